//! `tracing` with `tracing-appender`: what most Rust services write their decisions with.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use super::Subject;
use crate::common::events::Decision;
use crate::common::journals::{ACTIONS, CHECKPOINT, MODEL, SYMBOL};

pub struct Lines {
    /// Until everything is written.
    guard: Option<WorkerGuard>,
    file: PathBuf,
}

impl Subject for Lines {
    fn open(dir: &Path) -> Result<Self> {
        let appender = tracing_appender::rolling::never(dir, "inferences.log");
        // Lossy, its default, would measure how fast lines are thrown away.
        let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(appender);
        let subscriber = tracing_subscriber::fmt()
            .with_writer(writer)
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(Lines {
            guard: Some(guard),
            file: dir.join("inferences.log"),
        })
    }

    fn log(&mut self, decision: &Decision) {
        let [buy, sell, hold] = decision.probabilities;
        tracing::info!(
            model = MODEL,
            symbol = SYMBOL,
            action = ACTIONS[decision.action],
            confidence = decision.probabilities[decision.action],
            buy,
            sell,
            hold,
            features = annals::feature_hash(&decision.features),
            time = u64::try_from(decision.took.as_nanos()).unwrap_or(u64::MAX),
            checkpoint = CHECKPOINT,
        );
    }

    fn settle(&mut self) -> Result<()> {
        drop(self.guard.take());
        File::open(&self.file)?.sync_all()?;
        Ok(())
    }

    fn check(&mut self, events: u64) -> Result<()> {
        count_lines(&self.file, events)
    }
}

/// Fails unless `file` has one line for each event.
pub fn count_lines(file: &Path, events: u64) -> Result<()> {
    let mut lines = 0;
    for line in BufReader::new(File::open(file)?).split(b'\n') {
        lines += u64::from(!line?.is_empty());
    }
    if lines != events {
        bail!("{lines} lines of {events} events");
    }
    Ok(())
}
