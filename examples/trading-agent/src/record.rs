//! The agent's side of the journal: every use of `annals` is here.
//!
//! The shape fits any inference loop: open a journal, build one recorder per symbol up front, and
//! record each decision in the one call that follows the forward pass.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annals::entry::RunState;
use annals::logs::LogKind;
use annals::record::KeepInputs;
use annals::registry::CheckpointRetentionPlan;
use annals::stats::{LiveValue, StatsRow};
use annals::{
    Checkpoint, Group, InferenceId, InferenceRecord, Journal, Level, Mode, Outcome, Outcomes,
    Recorder, Registry, Repeats, RetentionPolicy,
};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::crash::Rehearsed;
use crate::features::{self, ACTIONS, NAMES, POSITIONS, Vector};
use crate::network::{Epoch, Probabilities};

/// Longest wait at the end of a run for entries on their way to disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// A checkpoint that decided less often is not ranked by what it earned.
const LEAST_REWARDS: u64 = 100;

/// The metric that ranks the checkpoints.
const MONITOR: &str = "val_loss";

/// A journal and its checkpoints, with a recorder for each symbol.
pub struct Book {
    journal: Journal,
    registry: Registry,
    model: String,
    recorders: Vec<Recorder>,
}

/// Result of one decision.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// Its id in the journal; `None` if it was dropped.
    pub id: Option<InferenceId>,
    /// Index of the action.
    pub action: usize,
    /// How sure the network was of it.
    pub confidence: f32,
    /// Time of the forward pass.
    pub thinking: Duration,
    /// Time of the recording call.
    pub recording: Duration,
}

/// One entry as it was read back.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in the journal.
    pub sequence: u64,
    /// When the bar was.
    pub event_time: String,
    /// The model.
    pub model: String,
    /// On what.
    pub symbol: String,
    /// The action.
    pub action: String,
    /// How surely.
    pub confidence: f32,
    /// Time of the decision.
    pub processing_time: Option<Duration>,
}

/// The journal's own facts.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// Entries handed to it by this run.
    pub offered: u64,
    /// Entries on disk.
    pub committed: u64,
    /// Entries it could not take.
    pub dropped: u64,
}

/// One decision as the journal has it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Decided actions.
    pub record: InferenceRecord,
    /// Its outcomes.
    pub outcomes: Option<Outcomes>,
    /// Which checkpoint decided, and how good it was.
    pub checkpoint: Option<String>,
}

/// The checkpoint that earned most per decision.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id.
    pub checkpoint: String,
    /// Average reward of a decision.
    pub reward: f64,
    /// Distance to the truth that is not exceeded 95 times in 100.
    pub reach: f64,
    /// Whether it is better than the others beyond what chance explains.
    pub is_clear: bool,
    /// The one that was best on the validation years.
    pub validated: Option<String>,
}

/// The rest of a run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The newest entries, newest first.
    pub entries: Vec<Entry>,
    /// Results of the decisions, by checkpoint and symbol, of all runs.
    pub results: Vec<StatsRow>,
    /// The checkpoint that earned most.
    pub live: Option<Live>,
    /// The journal's own facts.
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
                    // So that a decision can be explained, and made again, from what it was.
                    .feature_names(NAMES)
                    .keep_inputs(KeepInputs::Always)
                    .build()
                    .with_context(|| {
                        format!("the journal cannot record for the symbol \"{symbol}\"")
                    })
            })
            .collect::<Result<_>>()?;
        let registry = journal
            .registry()
            .context("the checkpoints cannot be opened")?;
        Ok(Self {
            journal,
            registry,
            model: model.to_owned(),
            recorders,
        })
    }

    /// Says what ranks the checkpoints that will be saved.
    pub fn rank_checkpoints(&self) -> Result<()> {
        self.registry
            .set_monitor(&self.model, MONITOR, Mode::Min)
            .context("the checkpoints' monitor cannot be set")
    }

    /// Saves the network as it is after an epoch; `write` writes it into the file that it is given.
    pub fn save(&self, epoch: &Epoch, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        self.registry
            .checkpoint(&*self.model)
            .model_type("mlp")
            .extension("safetensors")
            .epoch(epoch.number.into())
            .metric(MONITOR, epoch.validation_loss)
            .metric("val_accuracy", epoch.validation_accuracy)
            .metric("training_loss", epoch.training_loss)
            .save_to_path(write)
            .with_context(|| format!("the checkpoint of epoch {} cannot be saved", epoch.number))?;
        Ok(())
    }

    /// Loads the best checkpoint of a model, verified, with `read`, and notes it in every decision
    /// from now on. A damaged one is passed over; `None` if there is none at all.
    pub fn load_best<T>(
        &mut self,
        model: &str,
        read: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<Option<(T, Checkpoint)>> {
        let best = self
            .registry
            .best_loadable(model)
            .context("the best checkpoint cannot be loaded")?;
        let Some(best) = best else { return Ok(None) };
        let checkpoint = best.loaded.checkpoint().clone();
        let network = read(best.loaded.path())
            .with_context(|| format!("checkpoint {} cannot be used", checkpoint.id()))?;
        self.registry
            .activate(checkpoint.id())
            .context("the best checkpoint cannot be made the active one")?;
        for recorder in &mut self.recorders {
            recorder.set_checkpoint(checkpoint.id());
        }
        Ok(Some((network, checkpoint)))
    }

    /// Deletes old checkpoints, but the best and the newest ones. Returns the number.
    pub fn tidy(&self) -> Result<usize> {
        let policy = RetentionPolicy::new()
            .max_count(5)
            .keep_best(5, MONITOR, Mode::Min);
        let plan = self.registry.retention(policy).model(&*self.model).plan();
        let applied = plan.and_then(CheckpointRetentionPlan::apply);
        Ok(applied
            .context("old checkpoints cannot be deleted")?
            .deleted
            .len())
    }

    /// Decides on one bar and writes the decision down, timing the two apart.
    ///
    /// Answers `None` for a symbol this book has no recorder for.
    pub fn decide(
        &self,
        symbol: usize,
        time: DateTime<Utc>,
        features: &Vector,
        forward: impl FnOnce(&Vector) -> Probabilities,
    ) -> Option<Decision> {
        let recorder = self.recorders.get(symbol)?;
        let timer = recorder.start();

        let begun = Instant::now();
        let probabilities = forward(features);
        let thinking = begun.elapsed();
        let (action, confidence) = most_likely(&probabilities);

        let begun = Instant::now();
        let id = recorder
            .inference(action)
            .probabilities(&probabilities)
            .features(features)
            .event_time(time)
            .timer(timer)
            .log();
        let recording = begun.elapsed();

        Some(Decision {
            id,
            action,
            confidence,
            thinking,
            recording,
        })
    }

    /// Writes down what came of a decision: what it earned, and whether it was right.
    pub fn settle(&self, decision: &Decision, outcome: &features::Outcome) {
        let position = POSITIONS.get(decision.action).copied().unwrap_or_default();
        let came = Outcome::new()
            .reward(position * outcome.gain)
            .correct(decision.action == outcome.action)
            .at(outcome.time);
        if let Some(id) = decision.id {
            self.journal.attach_outcome(id, came);
        }
    }

    /// Notes something that is no decision; it goes into the journal and its system events.
    pub fn note(&self, message: &str) {
        self.journal.event(Level::Info, "trading-agent", message);
    }

    /// Waits until everything recorded so far is on disk.
    pub fn flush(&self) -> Result<()> {
        self.journal
            .flush()
            .wait(PATIENCE)
            .context("the journal did not get everything to disk")
    }

    /// How many checkpoints of the model there are.
    pub fn checkpoints(&self) -> Result<u64> {
        let count = self.registry.count(&self.model);
        count.context("the checkpoints cannot be counted")
    }

    /// Reads a decision back, with what came of it and who decided.
    pub fn explain(&self, id: InferenceId) -> Result<Option<Explained>> {
        let reader = self
            .journal
            .reader()
            .context("the journal cannot be read back")?;
        let record = reader.get(id).context("a decision cannot be read back")?;
        let Some(record) = record else {
            return Ok(None);
        };
        let outcomes = reader.outcome(id).context("an outcome cannot be read")?;
        let known = match record.checkpoint.as_deref() {
            Some(id) => self
                .registry
                .get(id)
                .context("a checkpoint is unreadable")?,
            None => None,
        };
        let checkpoint = known.map(|known| {
            let epoch = known.epoch().unwrap_or_default();
            let loss = known.metric(MONITOR).unwrap_or(f64::NAN);
            format!("{}, epoch {epoch}, {MONITOR} {loss:.4}", known.id())
        });
        Ok(Some(Explained {
            record,
            outcomes,
            checkpoint,
        }))
    }

    /// Looks for decisions of a run that was killed: `acknowledged` of them were called durable,
    /// `last` was the newest of those.
    pub fn look_for(&self, model: &str, acknowledged: u64, last: InferenceId) -> Result<Rehearsed> {
        let reader = self
            .journal
            .reader()
            .context("the journal cannot be read back")?;
        let (mut found, mut later) = (0, 0);
        let query = reader.inferences().model(model).repeats(Repeats::Include);
        for record in query.iter() {
            let id = record.context("the killed run cannot be read")?.id;
            if id.run() == last.run() {
                *(if id <= last { &mut found } else { &mut later }) += 1;
            }
        }
        let mut is_known = false;
        for run in reader.runs() {
            let run = run.context("the runs cannot be read")?;
            is_known |= run.id == last.run() && matches!(run.state, RunState::Died(_));
        }
        Ok(Rehearsed {
            last,
            acknowledged,
            found,
            later,
            is_known,
        })
    }

    /// Waits until everything recorded is on disk, then reads the newest entries and the journal's
    /// health back, closes it, and reads the ends of its text files.
    pub fn finish(self, newest: usize) -> Result<Finished> {
        let Self {
            journal,
            registry,
            recorders,
            model,
        } = self;
        drop((recorders, registry));
        journal
            .flush()
            .wait(PATIENCE)
            .context("the journal did not get everything to disk")?;
        let health = journal.health();
        let health = Health {
            offered: health.offered,
            committed: health.committed,
            dropped: health.dropped.total(),
        };
        let reader = journal
            .reader()
            .context("the journal cannot be read back")?;
        let entries = reader
            .inferences()
            .model(&*model)
            .newest_first()
            .limit(newest)
            .iter()
            .map(|record| {
                record.map(|record| Entry {
                    sequence: record.sequence,
                    // Bars are dated to the second at most.
                    event_time: record.event_time.to_string().replace(".000000", ""),
                    model: record.model.to_string(),
                    symbol: record.symbol.to_string(),
                    action: record.action.to_string(),
                    confidence: record.confidence.unwrap_or(f32::NAN),
                    processing_time: record.processing_time,
                })
            })
            .collect::<annals::Result<_>>()
            .context("the newest entries cannot be read back")?;
        let statistics = journal.stats(&model);
        let results = statistics
            .by([Group::Checkpoint, Group::Symbol])
            .context("the results cannot be added up")?;
        let ranking = statistics
            .best_live(&LiveValue::Reward, LEAST_REWARDS)
            .context("the checkpoints cannot be ranked")?;
        let live = ranking.best().map(|best| Live {
            checkpoint: best.checkpoint.as_deref().unwrap_or("none").to_owned(),
            reward: best.mean.unwrap_or(f64::NAN),
            reach: best
                .low
                .zip(best.high)
                .map_or(f64::INFINITY, |(low, high)| (high - low) / 2.0),
            is_clear: ranking.is_clear(),
            validated: ranking.registry_best.as_deref().map(str::to_owned),
        });
        let logs = journal.log_directory();
        journal.close().context("the journal cannot be closed")?;
        let mut lines = Vec::new();
        if let Some(logs) = &logs {
            for kind in [
                LogKind::Inferences,
                LogKind::Outcomes,
                LogKind::Checkpoints,
                LogKind::System,
            ] {
                let newest = annals::logs::recent_lines(logs, kind, newest)
                    .context("the text files cannot be read back")?;
                lines.push((logs.join(format!("{}.txt", kind.stem())), newest));
            }
        }
        Ok(Finished {
            entries,
            results,
            live,
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
