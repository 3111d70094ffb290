//! ticklog: text lines, formatted and written behind the caller's back.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use ticklog::{FileSink, Guard};

use super::Subject;
use crate::common::events::Decision;

pub struct Lines {
    /// Until everything is written.
    guard: Option<Guard>,
    file: PathBuf,
}

impl Subject for Lines {
    fn open(dir: &Path) -> Result<Self> {
        let file = dir.join("inferences.log");
        let sink = FileSink::new(&file)?;
        let guard = crate::ticklog_start(sink)?;
        ticklog::warm_up().map_err(|error| anyhow!("{error:?}"))?;
        Ok(Lines {
            guard: Some(guard),
            file,
        })
    }

    fn log(&mut self, decision: &Decision) {
        crate::ticklog_line(decision);
    }

    fn settle(&mut self) -> Result<()> {
        drop(self.guard.take());
        File::open(&self.file)?.sync_all()?;
        Ok(())
    }

    fn check(&mut self, events: u64) -> Result<()> {
        super::tracing::count_lines(&self.file, events).or_else(|error| bail!("ticklog: {error}"))
    }
}
