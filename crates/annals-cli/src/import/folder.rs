//! A folder of checkpoints: registered where they lie.

use std::path::Path;

use super::ImportReport;
use crate::failure::Result;
use crate::units::counted;

/// Registers the files of `folder` as checkpoints of `model`.
pub fn import(dir: &Path, model: &str, folder: &Path, report: &mut ImportReport) -> Result<()> {
    let found = report.doing.registry(dir)?.import_folder(model, folder)?;
    report.source = folder.display().to_string();
    report.checkpoints = found.new.len() as u64;
    report.known = found.known.len() as u64;
    for (id, why) in &found.unusable {
        report.damaged(id, why);
    }
    for skipped in &found.skipped {
        report.broken(&skipped.path.display().to_string(), &skipped.why);
    }
    if !found.completed.is_empty() {
        let (count, ids) = (found.completed.len(), found.completed.join(", "));
        let note = format!("{count} {}: {ids}", report.doing.completes());
        report.notes.push(note);
    }
    if found.others > 0 {
        let files = counted(found.others, "file");
        let note = format!("left aside beside the checkpoints, no weights: {files}");
        report.notes.push(note);
    }
    Ok(())
}
