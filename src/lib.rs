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
//! What each call promises is said at [`Journal`]; how it is built, in `ARCHITECTURE.md`; what is
//! on disk, in `FORMAT.md`.

mod clock;
mod conditions;
mod disk;
mod entry;
mod error;
mod event;
#[cfg(all(test, not(annals_portable)))]
mod faults;
mod features;
mod flush;
mod folding;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod global;
mod health;
mod ids;
mod importer;
mod inference;
mod journal;
mod json;
mod keep;
#[cfg(feature = "tracing")]
mod layer;
mod line;
mod lock;
mod maintenance;
mod metadata;
mod mirror;
mod options;
mod outcome;
mod owner;
mod panics;
mod probe;
mod queue;
mod reader;
mod recorder;
mod registry;
mod rollup;
mod sealing;
mod stats;
mod store;
mod sync;
mod text;
mod threads;
mod timestamp;
mod value;
mod writer;

pub use clock::ManualClock;
pub use entry::{
    CheckpointEvent, Content, Entry, Gap, InferenceRecord, Probabilities, Repeat, Run, RunState,
    SystemEvent,
};
pub use error::{Error, ErrorKind, Result};
pub use event::{CheckpointAction, Level};
pub use features::{Float, feature_hash};
pub use flush::Flush;
pub use format::row::GapReason;
pub use global::{install, installed, log};
pub use health::{FoldingHealth, Health, MirrorHealth, SealingHealth, State};
pub use ids::{InferenceId, JournalId, RunId};
pub use importer::{Answer, Importer, Loss};
pub use inference::{Attributes, Inference, OwnedAttributes, Timer};
pub use journal::Journal;
pub use keep::Keep;
#[cfg(feature = "tracing")]
pub use layer::JournalLayer;
pub use maintenance::{
    BackedUp, Backup, FoldProgress, Folded, Maintenance, ModelUsage, NamedCursor, PlannedSegment,
    Repaired, RetirePlan, Retired, RetiredSoFar, Retirement, UndoneImport, Usage, Verified, repair,
    restore, undo_import,
};
pub use metadata::Metadata;
pub use mirror::settings::{LogKind, Mirror, Rotation};
pub use mirror::{Cleaned, recent_lines};
pub use options::{Options, Overflow, Sharing};
pub use outcome::{Latest, Outcome, OutcomeEntry, Outcomes};
pub use panics::is_caught_panic;
pub use queue::drops::Dropped;
pub use queue::refusals::{Refusal, RefusalCount};
pub use reader::{
    Cursor, Events, Follow, Gaps, Inferences, Query, Reader, Repeats, Runs, WithOutcomes,
};
pub use recorder::{Prepared, Recorder, RecorderBuilder};
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
pub use store::{Condition, Defect, DefectKind, Mode, Origin};
pub use timestamp::Timestamp;
pub use value::{Number, Value};

/// Documents whose examples run with the tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/migrating.md")]
    struct Migrating;
}
