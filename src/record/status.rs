//! The writer's own figures, for the health.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use crate::engine::inputs::store::InputCounts;
use crate::entry::error::Error;
use crate::entry::ids::RunId;
use crate::entry::timestamp::Timestamp;
use crate::options::BlackBox;
use crate::threads::worker::lock;

/// Whether a journal can commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// All is well.
    Running,
    /// The device is full, or the file could not be opened again after it was: events are kept,
    /// commits are tried again, overflow is counted. `last_error` names it.
    NoRoom,
    /// `journal.redb`, or the directory, was removed, moved or replaced while it was open. Commits
    /// still go to the open file; flushes fail and report it. Ends when the file has its name
    /// again.
    Misplaced,
    /// A commit failed for good; this handle writes nothing more. Drop it and open again.
    Failed,
    /// The journal was closed.
    Closed,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            State::Running => "running",
            State::NoRoom => "no room",
            State::Misplaced => "misplaced",
            State::Failed => "failed",
            State::Closed => "closed",
        })
    }
}

/// State of the writer, read for the health.
#[derive(Debug)]
pub(crate) struct Status {
    inner: Mutex<KnownStatus>,
}

#[derive(Debug, Clone)]
pub(crate) struct KnownStatus {
    pub(crate) state: State,
    pub(crate) counts: BatchCounts,
    pub(crate) inputs: InputCounts,
    /// Inputs that dead processes had not committed.
    pub(crate) died_inputs: u64,
    /// Why inputs were last given up, in words.
    pub(crate) input_error: Option<String>,
    /// Events in the writer's hands.
    pub(crate) uncommitted: u64,
    pub(crate) unknown: u64,
    pub(crate) commits: u64,
    pub(crate) last_commit: Option<Timestamp>,
    pub(crate) last_commit_took: Duration,
    pub(crate) failure: Option<Error>,
    pub(crate) black_box: BlackBox,
    pub(crate) black_box_error: Option<String>,
    pub(crate) run: RunId,
    pub(crate) file_bytes: u64,
    pub(crate) process_memory: Option<u64>,
    /// Whether the writer thread has ended.
    pub(crate) gone: bool,
}

/// Contribution of a batch to the counts once it is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchCounts {
    pub(crate) events: u64,
    pub(crate) repeats: u64,
    pub(crate) divergences: u64,
    pub(crate) invalid: u64,
    /// Events that the batch's gap entries stand for.
    pub(crate) gaps: u64,
}

impl BatchCounts {
    pub(crate) fn add(&mut self, other: BatchCounts) {
        self.events = self.events.saturating_add(other.events);
        self.repeats = self.repeats.saturating_add(other.repeats);
        self.divergences = self.divergences.saturating_add(other.divergences);
        self.invalid = self.invalid.saturating_add(other.invalid);
        self.gaps = self.gaps.saturating_add(other.gaps);
    }
}

impl Status {
    pub(crate) fn new(run: RunId) -> Self {
        Status {
            inner: Mutex::new(KnownStatus {
                state: State::Running,
                counts: BatchCounts::default(),
                inputs: InputCounts::default(),
                died_inputs: 0,
                input_error: None,
                uncommitted: 0,
                unknown: 0,
                commits: 0,
                last_commit: None,
                last_commit_took: Duration::ZERO,
                failure: None,
                black_box: BlackBox::Off,
                black_box_error: None,
                run,
                file_bytes: 0,
                process_memory: None,
                gone: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, KnownStatus> {
        lock(&self.inner)
    }
}
