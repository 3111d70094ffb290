//! How a journal is doing, in numbers that add up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::entry::error::Error;
use crate::entry::ids::RunId;
use crate::entry::timestamp::Timestamp;
use crate::json::as_nanos;
use crate::record::queue::drops::Dropped;
use crate::record::queue::refusals::RefusalCount;

/// Whether a journal can commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// A reading of [`Journal::health`](crate::Journal::health). Counts are those of this handle since
/// it was opened.
///
/// While nothing is in flight — after a flush, with no call running — the books close:
/// `offered == committed + queued + unknown + dropped.total()`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether commits go through.
    pub state: State,
    /// Events that were to be recorded: the callers' and those of the journal itself.
    pub offered: u64,
    /// Events on disk: inferences, repeats, system events and checkpoint events.
    pub committed: u64,
    /// Events accepted and not yet on disk.
    pub queued: u64,
    /// Events of a batch whose commit failed and may or may not hold.
    pub unknown: u64,
    /// Events not recorded, by reason.
    pub dropped: Dropped,
    /// Reasons for refused calls, by model and field. 64 reasons are told apart; the last item
    /// counts the others.
    pub refusals: Vec<RefusalCount>,
    /// Among the committed: recorded as a reference to the same answer shortly before.
    pub repeats: u64,
    /// Among the committed: the same question was answered differently shortly before, by a
    /// [deterministic](crate::Inference::deterministic) model.
    pub divergences: u64,
    /// Among the committed: confidence given, but NaN or outside 0 to 1.
    pub invalid: u64,
    /// Room in the queue, in events.
    pub queue_capacity: usize,
    /// Commits that reached the disk.
    pub commits: u64,
    /// When the last one did.
    pub last_commit: Option<Timestamp>,
    /// Duration of the last one.
    #[serde(rename = "last_commit_took_ns", serialize_with = "as_nanos")]
    pub last_commit_took: Duration,
    /// The last error, in words; kept after recovery.
    pub last_error: Option<String>,
    /// Entries that this journal's readers and threads have passed over because their blocks cannot
    /// be read; [`Reader::missing`](crate::Reader::missing) lists them. [`repair`](crate::repair)
    /// puts gaps in their place. 0 until a read meets one.
    pub damaged: u64,
    /// Background threads that panicked, with their messages. Their work stops until the journal is
    /// opened again. [`close`](crate::Journal::close) returns the first.
    pub thread_panics: Vec<String>,
    /// The run that inferences are recorded under now.
    pub run: RunId,
    /// Names that this process has used.
    pub names: usize,
    /// Size of `journal.redb` in bytes; 0 in memory.
    pub file_bytes: u64,
    /// Memory of this process at the writer's last sample, bytes; `None` where unsupported.
    pub process_memory: Option<u64>,
    /// The human-readable files; `None` if they are off.
    pub mirror: Option<MirrorHealth>,
    /// The segments; `None` in memory.
    pub sealing: Option<SealingHealth>,
    /// The rollups that statistics are made of; `None` if this journal does not fold.
    pub folding: Option<FoldingHealth>,
}

/// How the human-readable files are doing; part of [`Health`].
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MirrorHealth {
    /// Whether this process writes the files; otherwise another one does, or none yet.
    pub writing: bool,
    /// Entries committed and not yet in the files, at the last look; 0 if another process writes.
    pub lag: u64,
    /// Lines written by this process.
    pub lines: u64,
    /// The obstacle to writing the files now, in words.
    pub fault: Option<String>,
}

/// How sealing is doing; part of [`Health`].
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SealingHealth {
    /// Segments at the last look.
    pub segments: u64,
    /// Bytes of blocks in the hot file at the last look.
    pub hot_bytes: u64,
    /// The obstacle to sealing now, in words.
    pub fault: Option<String>,
    /// The longest time that one transaction of sealing has held up other writers.
    #[serde(rename = "longest_transaction_ns", serialize_with = "as_nanos")]
    pub longest_transaction: Duration,
    /// Segments that automatic retention of this process has retired.
    pub retired: u64,
    /// The obstacle to retiring segments now, in words.
    pub retention_fault: Option<String>,
}

/// How folding is doing; part of [`Health`].
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct FoldingHealth {
    /// Entries that the rollups do not hold yet, at the last look. Statistics read them.
    pub pending: u64,
    /// Entries folded by this process.
    pub folded: u64,
    /// Duration of the last fold of this process.
    #[serde(rename = "last_took_ns", serialize_with = "as_nanos")]
    pub last_took: Duration,
    /// The obstacle to folding now, in words.
    pub fault: Option<String>,
}

impl Health {
    /// Whether every event that was offered is in one of the counts.
    pub(crate) fn adds_up(&self) -> bool {
        let accounted = self.committed + self.queued + self.unknown + self.dropped.total();
        self.offered == accounted
    }
}

/// State of the writer, read for the health.
#[derive(Debug)]
pub(crate) struct Status {
    inner: Mutex<Known>,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) state: State,
    pub(crate) counts: Counts,
    /// Events in the writer's hands.
    pub(crate) in_hand: u64,
    pub(crate) unknown: u64,
    pub(crate) commits: u64,
    pub(crate) last_commit: Option<Timestamp>,
    pub(crate) last_commit_took: Duration,
    pub(crate) failure: Option<Error>,
    pub(crate) run: RunId,
    pub(crate) file_bytes: u64,
    pub(crate) process_memory: Option<u64>,
    /// Whether the writer thread has ended.
    pub(crate) gone: bool,
}

/// Contribution of a batch to the counts once it is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) repeats: u64,
    pub(crate) divergences: u64,
    pub(crate) invalid: u64,
    /// Events that the batch's gap entries stand for.
    pub(crate) gaps: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
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
            inner: Mutex::new(Known {
                state: State::Running,
                counts: Counts::default(),
                in_hand: 0,
                unknown: 0,
                commits: 0,
                last_commit: None,
                last_commit_took: Duration::ZERO,
                failure: None,
                run,
                file_bytes: 0,
                process_memory: None,
                gone: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
