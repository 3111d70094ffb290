//! An embedded flight recorder and checkpoint registry for inference loops.
//!
//! One call records a model's decision in less than 100 ns; a background thread commits it to
//! redb; any thread and any process reads it while the loop runs.
//!
//! ```
//! use std::time::Duration;
//! use annals::Journal;
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path().join("data");
//! let journal = Journal::open(&dir)?;
//! let recorder = journal
//!     .recorder("dqn_agent", "ETH/USDT")
//!     .actions(["BUY", "SELL", "HOLD"])
//!     .build()?;
//!
//! let timer = recorder.start();
//! let probabilities = [0.85, 0.10, 0.05]; // the forward pass
//! let id = recorder.log(timer, 0, &probabilities, &[0.1, 0.2, 0.3]);
//!
//! journal.flush().wait(Duration::from_secs(5))?; // on disk now
//! let newest = journal.reader()?.newest(1).next().transpose()?;
//! assert_eq!(newest.map(|record| record.id), id);
//! journal.close()?;
//! # Ok::<(), annals::Error>(())
//! ```
//!
//! [`Journal`] owns the directory and the writer thread; [`Recorder`] logs; [`Reader`] reads;
//! [`Registry`] keeps the models' checkpoints; [`Maintenance`] keeps the directory in order.
//! [`Journal`] states the promise of each call. `ARCHITECTURE.md` describes how it is built,
//! `FORMAT.md` the bytes on disk.

mod engine;
mod entry;
#[cfg(all(test, not(annals_portable)))]
mod faults;
mod fs;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod journal;
mod json;
mod logs;
mod maintenance;
mod options;
mod outcomes;
mod read;
mod record;
mod registry;
mod sealing;
mod stats;
mod threads;

pub use crate::maintenance::repair;
pub use engine::format::row::GapReason;
pub use entry::clock::ManualClock;
pub use entry::error::{Error, ErrorKind, Result};
pub use entry::event::{CheckpointAction, Level};
pub use entry::features::{Float, feature_hash};
pub use entry::ids::{InferenceId, JournalId, RunId};
pub use entry::inference::{Attributes, Inference, OwnedAttributes, Timer};
pub use entry::outcome::{Latest, Outcome, OutcomeEntry, Outcomes};
pub use entry::record::{
    CheckpointEvent, Content, Entry, Gap, InferenceRecord, Probabilities, Repeat, Run, RunState,
    SystemEvent,
};
pub use entry::timestamp::Timestamp;
pub use entry::value::{Number, Value};
pub use import::{Answer, Importer, Loss};
pub use journal::Journal;
pub use journal::global::{install, installed, log};
pub use journal::health::{FoldingHealth, Health, MirrorHealth, SealingHealth, State};
#[cfg(feature = "tracing")]
pub use journal::layer::JournalLayer;
pub use logs::{Cleaned, recent_lines};
pub use maintenance::verify::defect::{Defect, DefectKind};
pub use maintenance::{
    BackedUp, Backup, FoldProgress, Folded, Maintenance, ModelUsage, NamedCursor, PlannedSegment,
    Repaired, RetirePlan, Retired, RetiredSoFar, Retirement, UndoneImport, Usage, Verified,
    restore, undo_import,
};
pub use options::keep::Keep;
pub use options::logs::{LogKind, Mirror, Rotation};
pub use options::{Options, Overflow, Sharing};
pub use read::{
    Cursor, Events, Follow, Gaps, Inferences, Query, Reader, Repeats, Runs, WithOutcomes,
};
pub use record::flush::Flush;
pub use record::queue::drops::Dropped;
pub use record::queue::refusals::{Refusal, RefusalCount};
pub use record::recorder::{Prepared, Recorder, RecorderBuilder};
pub use registry::metadata::Metadata;
pub use registry::tables::rows::{Condition, Mode, Origin};
pub use registry::{
    AliasChange, Applied, Checkpoint, Decision, Fallback, FolderImport, Import, Imported, List,
    Loaded, NewCheckpoint, Plan, Planned, Policy, Problem, Registry, Relocated, Report, Retention,
    Skipped, Watch, Watched, WeightsReader,
};
#[cfg(feature = "safetensors")]
pub use registry::{SafetensorsHeader, TensorInfo};
pub use stats::{
    ActionCount, ActionDrift, ActionShift, Calendar, Calibration, Confidence, ConfidenceDrift,
    Coverage, Drift, Group, Groups, LatencyDrift, LiveCandidate, LiveRanking, LiveValue, Memory,
    OutcomeStats, Periods, ProcessingTime, Reliability, Shift, Stats, StatsQuery, StatsRow, Values,
};
pub use threads::panics::is_caught_panic;

/// Documents whose examples run with the tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/migrating.md")]
    struct Migrating;
}
