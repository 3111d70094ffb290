//! The agent's side of the journal: every use of `annals` is here.
//!
//! The shape is the one any inference loop can take over: open a journal, build one recorder per
//! symbol up front, and write each decision down in the one call that follows the forward pass.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annals::{Journal, Level, LogKind, Recorder};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::features::{ACTIONS, Vector};

/// How long the end of a run waits for what is still on its way to disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// A journal, with a recorder for each symbol.
pub struct Book {
    journal: Journal,
    recorders: Vec<Recorder>,
}

/// What became of one decision.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// Index of the action.
    pub action: usize,
    /// How sure the network was of it.
    pub confidence: f32,
    /// How long the forward pass took.
    pub thinking: Duration,
    /// How long the recording call took.
    pub recording: Duration,
}

/// One entry as it was read back.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in the journal.
    pub sequence: u64,
    /// When the bar was.
    pub event_time: String,
    /// Who decided.
    pub model: String,
    /// On what.
    pub symbol: String,
    /// What.
    pub action: String,
    /// How surely.
    pub confidence: f32,
    /// How long it took to decide.
    pub processing_time: Option<Duration>,
}

/// What the journal says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// Entries handed to it by this run.
    pub offered: u64,
    /// Entries on disk.
    pub committed: u64,
    /// Entries it could not take.
    pub dropped: u64,
}

/// What is left of a run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The newest entries, newest first.
    pub entries: Vec<Entry>,
    /// What the journal says of itself.
    pub health: Health,
    /// The text files and their last lines.
    pub lines: Vec<(PathBuf, Vec<String>)>,
}

impl Book {
    /// Opens the journal in a directory, which is created if need be.
    pub fn open<'a>(
        directory: &Path,
        model: &str,
        symbols: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let journal = Journal::open(directory)
            .with_context(|| format!("the journal in {} cannot be opened", directory.display()))?;
        let recorders = symbols
            .into_iter()
            .map(|symbol| {
                journal
                    .recorder(model, symbol)
                    .actions(ACTIONS)
                    .build()
                    .with_context(|| {
                        format!("the journal cannot record for the symbol \"{symbol}\"")
                    })
            })
            .collect::<Result<_>>()?;
        Ok(Self { journal, recorders })
    }

    /// Decides on one bar and writes the decision down, timing the two apart.
    ///
    /// Answers `None` for a symbol this book has no recorder for.
    pub fn decide<E>(
        &self,
        symbol: usize,
        time: DateTime<Utc>,
        features: &Vector,
        forward: impl FnOnce(&Vector) -> Result<Vec<f32>, E>,
    ) -> Result<Option<Decision>, E> {
        let Some(recorder) = self.recorders.get(symbol) else {
            return Ok(None);
        };
        let timer = recorder.start();

        let begun = Instant::now();
        let probabilities = forward(features)?;
        let thinking = begun.elapsed();
        let (action, confidence) = most_likely(&probabilities);

        let begun = Instant::now();
        recorder
            .inference(action)
            .probabilities(&probabilities)
            .features(features)
            .event_time(time)
            .timer(timer)
            .log();
        let recording = begun.elapsed();

        Ok(Some(Decision {
            action,
            confidence,
            thinking,
            recording,
        }))
    }

    /// Notes something that is no decision; it goes into the journal and its system events.
    pub fn note(&self, message: &str) {
        self.journal.event(Level::Info, "trading-agent", message);
    }

    /// Waits until everything recorded is on disk, then reads the newest entries and the journal's
    /// health back, closes it, and reads the ends of its text files.
    pub fn finish(self, newest: usize) -> Result<Finished> {
        let Self { journal, recorders } = self;
        drop(recorders);
        journal
            .flush()
            .wait(PATIENCE)
            .context("the journal did not get everything to disk")?;
        let reader = journal
            .reader()
            .context("the journal cannot be read back")?;
        let entries = reader
            .newest(newest)
            .map(|record| {
                record.map(|record| Entry {
                    sequence: record.sequence,
                    // Bars are dated to the second at most.
                    event_time: record.event_time.to_string().replace(".000000", ""),
                    model: record.model.to_string(),
                    symbol: record.symbol.to_string(),
                    action: record.action.to_string(),
                    confidence: record.confidence,
                    processing_time: record.processing_time,
                })
            })
            .collect::<annals::Result<_>>()
            .context("the newest entries cannot be read back")?;
        let health = journal.health();
        let health = Health {
            offered: health.offered,
            committed: health.committed,
            dropped: health.dropped.total(),
        };
        let logs = journal.log_directory();
        journal.close().context("the journal cannot be closed")?;
        let mut lines = Vec::new();
        if let Some(logs) = &logs {
            for kind in [LogKind::Inferences, LogKind::System] {
                let newest = annals::recent_lines(logs, kind, newest)
                    .context("the text files cannot be read back")?;
                lines.push((logs.join(format!("{}.txt", kind.stem())), newest));
            }
        }
        Ok(Finished {
            entries,
            health,
            lines,
        })
    }
}

/// The most likely action and its probability; the first of equals.
fn most_likely(probabilities: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, probability) in probabilities.iter().enumerate() {
        if *probability > best.1 {
            best = (index, *probability);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_likely_action_wins() {
        assert_eq!(most_likely(&[0.2, 0.5, 0.3]), (1, 0.5));
        assert_eq!(most_likely(&[0.4, 0.2, 0.4]), (0, 0.4));
    }
}
