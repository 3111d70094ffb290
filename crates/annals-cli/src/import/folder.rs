//! A folder of checkpoints: registered where they lie.

use std::path::Path;

use annals::{Journal, Registry};

use super::Report;
use crate::failure::Result;

/// Registers the files of `folder` as checkpoints of `model`.
pub fn import(dir: &Path, model: &str, folder: &Path, report: &mut Report) -> Result<()> {
    if !dir.join("journal.redb").exists() {
        Journal::options().without_mirror().open(dir)?.close()?;
    }
    let new = Registry::open(dir)?.import_folder(model, folder)?;
    report.source = folder.display().to_string();
    report.checkpoints = new.len() as u64;
    Ok(())
}
