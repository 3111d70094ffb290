//! An embedded flight recorder and checkpoint registry for inference loops.
//!
//! One call records a model's decision; its median is some 50 ns. A background thread commits it
//! to redb with an fsync and mirrors it into text files. Any thread and any process reads the
//! journal while the loop runs.
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
//! # Main tasks
//!
//! | task | start at |
//! |---|---|
//! | open a journal, change its settings | [`Journal::open`], [`Options`] |
//! | record decisions with prepared names | [`Recorder`] |
//! | record decisions with names as strings | [`Journal::log`], [`Inference`] |
//! | wait until entries are on disk, and visible to readers | [`Journal::flush`] |
//! | the same without a commit, for single decisions | [`Journal::sync`] |
//! | attach what became known later | [`Journal::attach_outcome`], [`Outcome`] |
//! | record events and states of the environment | [`Journal::event`], [`Journal::raise`] |
//! | query, follow, go on from a stored place | [`Reader`] |
//! | compute statistics, rank checkpoints, find drift | [`Journal::stats`], [`Reader::compare`] |
//! | save, rank, load and watch checkpoints | [`Journal::registry`] |
//! | configure the text files | [`logs::Mirror`] |
//! | retire, back up, verify, repair | [`Journal::maintenance`] |
//! | take in records from elsewhere | [`import::Importer`] |
//!
//! A journal can be shared by reference, in an `Arc`, or by [`install`] for code that cannot be
//! handed one. [`Journal`] lists the promises of its calls. [`Error`] lists the errors that reads
//! and commits have in common.
//!
//! # Reading
//!
//! Readers work in any process. Filters are names, ranges of time, and order.
//!
//! ```
//! use annals::{Inference, Journal, Reader};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path().join("data");
//! # let journal = Journal::open(&dir)?;
//! # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
//! # journal.log(Inference::new("dqn_agent", "ETH/USDT", "SELL"));
//! # journal.close()?;
//! let reader = Reader::open(&dir)?;
//! let sold = reader.inferences().model("dqn_agent").action("SELL");
//! assert_eq!(sold.newest_first().iter().count(), 1);
//!
//! let mut follow = reader.follow(reader.start())?;
//! assert_eq!(follow.by_ref().count(), 2); // the entries that are there
//! let cursor = follow.cursor(); // print it, store it, follow from it later
//! # drop(cursor);
//! # Ok::<(), annals::Error>(())
//! ```
//!
//! # Outcomes and statistics
//!
//! An outcome belongs to the decision that caused it. Statistics count it at the time of that
//! decision.
//!
//! ```
//! use std::time::Duration;
//! use annals::{Inference, Journal, Outcome};
//!
//! let journal = Journal::in_memory()?;
//! let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8));
//! let id = id.expect("the queue has room");
//! journal.attach_outcome(id, Outcome::new().reward(1.5).correct(true));
//! journal.flush().wait(Duration::from_secs(5))?;
//!
//! let day = journal.stats("dqn_agent").last(Duration::from_secs(86_400)).get()?;
//! assert_eq!(day.count, 1);
//! # Ok::<(), annals::Error>(())
//! ```
//!
//! # Checkpoints
//!
//! The registry saves weights with metrics, and finds the best one without reading a file.
//!
//! ```
//! use annals::{Journal, Mode};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let journal = Journal::open(dir.path().join("data"))?;
//! let registry = journal.registry()?;
//! registry.set_monitor("dqn_agent", "val_loss", Mode::Min)?;
//! registry.checkpoint("dqn_agent").metric("val_loss", 0.3).save(b"early")?;
//! registry.checkpoint("dqn_agent").metric("val_loss", 0.1).save(b"late")?;
//!
//! let best = registry.best("dqn_agent")?.expect("two were saved");
//! assert_eq!(registry.load(best.id())?.into_bytes()?, b"late"); // digest verified
//! # Ok::<(), annals::Error>(())
//! ```
//!
//! # Modules
//!
//! The types of daily use are here. The rest is in the module of its feature.
//!
//! | module | holds |
//! |---|---|
//! | [`record`] | prepared calls, episodes, attributes, waiting for a flush |
//! | [`entry`] | the kinds of entries that a reader gives |
//! | [`read`] | iterators of a reader |
//! | [`stats`] | parts of statistics, groups, calibration, drift, live rankings |
//! | [`registry`] | saving, loading, watching, aliases, retention of checkpoints |
//! | [`logs`] | the text files and their settings |
//! | [`maintenance`] | retention, backup, `verify`, `repair`, usage |
//! | [`import`] | records from elsewhere |
//! | [`health`] | parts of a journal's health |
//!
//! # Crate features
//!
//! | feature | adds |
//! |---|---|
//! | `tracing` | `Journal::layer`: `tracing` events become system events, with their spans |
//! | `safetensors` | `Registry::safetensors`: names, shapes and types of tensors, from the header |
//! | `stream` | `Follow::into_stream`: a follower as a `futures_core::Stream`, in any runtime |
//! | `chrono` | conversions between [`Timestamp`] and the times of chrono 0.4 |
//!
//! None is on by default. `fuzzing` and `__test-hooks` are for the crate's own tests.
//!
//! # More
//!
//! `ARCHITECTURE.md` describes how annals is built, `FORMAT.md` the bytes on disk,
//! `docs/reliability.md` failures and their cost, `docs/performance.md` all figures.

mod engine;
pub mod entry;
#[cfg(all(test, not(annals_portable)))]
mod faults;
mod fs;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
mod journal;
mod json;
pub mod logs;
pub mod maintenance;
mod options;
mod outcomes;
pub mod read;
pub mod record;
pub mod registry;
mod sealing;
pub mod stats;
mod threads;

pub use entry::clock::ManualClock;
pub use entry::error::{Error, ErrorKind, Result};
pub use entry::event::Level;
pub use entry::features::feature_hash;
pub use entry::ids::{InferenceId, JournalId, RunId};
pub use entry::inference::{Inference, Timer};
pub use entry::mode::Mode;
pub use entry::outcome::{Outcome, Outcomes};
pub use entry::record::{Content, Entry, InferenceRecord};
pub use entry::timestamp::Timestamp;
pub use entry::value::{Number, Value};
pub use journal::Journal;
pub use journal::global::{install, installed, log};
#[cfg(feature = "tracing")]
pub use journal::layer::JournalLayer;
pub use maintenance::handle::Maintenance;
pub use options::manifest::Manifest;
pub use options::retention::RetentionPolicy;
pub use options::{BlackBox, Options, Overflow, Sharing};
pub use read::cursor::Cursor;
pub use read::filter::Repeats;
pub use read::follow::Follow;
pub use read::handle::Reader;
pub use read::query::Query;
pub use record::recorder::Recorder;
pub use registry::checkpoint::Checkpoint;
pub use registry::handle::Registry;
pub use stats::group::Group;
pub use stats::query::StatsQuery;
pub use stats::result::Stats;

/// How a journal is doing: counts of what was recorded and lost, and its background threads.
///
/// [`Journal::health`] gives a [`Health`](health::Health).
pub mod health {
    pub use crate::journal::health::Health;
    pub use crate::journal::inputs::InputsHealth;
    pub use crate::logs::health::MirrorHealth;
    pub use crate::record::queue::drop_counters::Dropped;
    pub use crate::record::queue::refusals::RefusalCount;
    pub use crate::record::status::State;
    pub use crate::sealing::SealingHealth;
    pub use crate::stats::folding::FoldingHealth;
    pub use crate::threads::panics::is_caught_panic;
}

/// Documents whose examples run with the tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/migrating.md")]
    struct Migrating;
}
