//! How a journal is doing, in numbers that add up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::inputs::InputsHealth;
use crate::entry::ids::RunId;
use crate::entry::timestamp::Timestamp;
use crate::entry::timestamp::as_nanos;
use crate::logs::health::MirrorHealth;
use crate::options::BlackBox;
use crate::record::queue::drop_counters::Dropped;
use crate::record::queue::refusals::RefusalCount;
use crate::record::status::State;
use crate::sealing::SealingHealth;
use crate::stats::folding::FoldingHealth;

/// A reading of [`Journal::health`](crate::Journal::health). Counts are those of this handle since
/// it was opened.
///
/// While nothing is in flight — after a flush, with no call running — the counts add up:
/// `offered == committed + queued + unknown + dropped.total()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether commits go through.
    pub state: State,
    /// The fate of accepted entries that no commit has yet, when this process dies.
    pub black_box: BlackBox,
    /// Why the black box last failed, in words; kept after recovery.
    pub black_box_error: Option<String>,
    /// Events that were to be recorded: the callers' and those of the journal itself.
    pub offered: u64,
    /// Events on disk: inferences, repeats, system events and checkpoint events.
    pub committed: u64,
    /// Events accepted and not yet on disk.
    pub queued: u64,
    /// Events that may be on disk or not: of a batch whose commit failed, or in the spool of a
    /// journal that can commit no more. The next opening finds those that hold.
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
    /// Inputs that were to be kept with their decisions.
    pub inputs: InputsHealth,
    /// Texts, blobs and inputs that were dropped because the hook of
    /// [`Options::redact`](crate::Options::redact) panicked over them.
    pub failed_redactions: u64,
    /// Room in the queue, in events.
    pub queue_capacity: usize,
    /// Commits that reached the disk.
    pub commits: u64,
    /// When the last one did.
    pub last_commit: Option<Timestamp>,
    /// Duration of the last one.
    #[serde(rename = "last_commit_took_ns", with = "as_nanos")]
    pub last_commit_took: Duration,
    /// The last error, in words; kept after recovery.
    pub last_error: Option<String>,
    /// Entries that this journal's readers and threads have passed over because their blocks cannot
    /// be read; [`Reader::missing`](crate::Reader::missing) lists them.
    /// [`repair`](crate::maintenance::repair) puts gaps in their place. 0 until a read meets one.
    pub damaged: u64,
    /// The number of times that statistics of this journal's readers met unreadable rollups, and
    /// read entries in their place. [`repair`](crate::maintenance::repair) makes them anew. 0 until
    /// a statistic meets one.
    pub damaged_rollups: u64,
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

/// One line: the state, the counts, and what is wrong.
///
/// ```
/// let journal = annals::Journal::in_memory()?;
/// journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY"));
/// journal.flush().wait(std::time::Duration::from_secs(5))?;
/// assert_eq!(journal.health().to_string(), "running: 1 committed, 0 queued, 0 dropped");
/// # Ok::<(), annals::Error>(())
/// ```
impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dropped = self.dropped.total();
        write!(
            f,
            "{}: {} committed, {} queued, {dropped} dropped",
            self.state, self.committed, self.queued
        )?;
        if self.unknown > 0 {
            write!(f, ", {} unknown", self.unknown)?;
        }
        if self.damaged > 0 {
            write!(f, ", {} damaged", self.damaged)?;
        }
        let mirror = self.mirror.as_ref().and_then(|known| known.fault.as_ref());
        let sealing = self.sealing.as_ref().and_then(|known| known.fault.as_ref());
        let retention = self.sealing.as_ref();
        let retention = retention.and_then(|known| known.retention_fault.as_ref());
        let folding = self.folding.as_ref().and_then(|known| known.fault.as_ref());
        let faults = [
            ("last error", self.last_error.as_ref()),
            ("text files", mirror),
            ("sealing", sealing),
            ("retention", retention),
            ("folding", folding),
            ("inputs", self.inputs.error.as_ref()),
            ("panic", self.thread_panics.first()),
        ];
        for (of, fault) in faults {
            if let Some(fault) = fault {
                write!(f, "; {of}: {fault}")?;
            }
        }
        Ok(())
    }
}

impl Health {
    /// Whether every event that was offered is in one of the counts.
    pub(crate) fn adds_up(&self) -> bool {
        let accounted = self.committed + self.queued + self.unknown + self.dropped.total();
        self.offered == accounted
    }
}
