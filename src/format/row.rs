//! The stored form of every kind of entry. The order of fields and variants is the format.
//!
//! Numbers are variable-length, so what is small on disk has to be small as a number: ids and
//! times are differences to the row before, names are ids, absent is 0.

use serde::{Deserialize, Serialize};

use super::floats::Floats;
use crate::event::{CheckpointAction, Level};
use crate::value::Value;

/// A stored name id; 0 means "none" or, if [`Texts`] has one, "written out".
pub(crate) type NameId = u32;

/// One entry. New kinds are added at the end.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) enum Row {
    Inference(InferenceRow),
    Repeat(RepeatRow),
    Gap(GapRow),
    SystemEvent(SystemEventRow),
    CheckpointEvent(CheckpointEventRow),
}

/// Bits of [`InferenceRow::flags`].
pub(crate) mod flag {
    /// The same features and checkpoint were answered differently within the window.
    pub(crate) const DIVERGENT: u8 = 1;
    /// The caller gave no confidence; the stored NaN is not the model's.
    pub(crate) const NO_CONFIDENCE: u8 = 2;
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct InferenceRow {
    /// Difference to the id before.
    pub(crate) id: i64,
    /// Difference to the recorded time before, microseconds.
    pub(crate) recorded: i64,
    /// Event time less recorded time, microseconds.
    pub(crate) event: i64,
    pub(crate) model: NameId,
    pub(crate) symbol: NameId,
    pub(crate) action: NameId,
    pub(crate) checkpoint: NameId,
    pub(crate) labels: NameId,
    pub(crate) flags: u8,
    pub(crate) confidence: f32,
    pub(crate) probabilities: Floats,
    /// xxh3-64 of the features, little-endian.
    pub(crate) features: Option<[u8; 8]>,
    /// Processing time in nanoseconds plus one; 0 is unknown.
    pub(crate) processing: u64,
    /// Process memory in KiB plus one (0 is unknown), as a difference to the row before.
    pub(crate) memory: i64,
    pub(crate) texts: Option<Box<Texts>>,
}

/// What does not fit into a plain row.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub(crate) struct Texts {
    pub(crate) model: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) checkpoint: Option<String>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) attributes: Vec<(String, Value)>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct RepeatRow {
    pub(crate) id: i64,
    pub(crate) recorded: i64,
    pub(crate) event: i64,
    /// This row's id less the id of the inference that it repeats.
    pub(crate) original: i64,
    pub(crate) processing: u64,
    pub(crate) model: NameId,
    pub(crate) symbol: NameId,
    pub(crate) action: NameId,
    pub(crate) checkpoint: NameId,
    pub(crate) texts: Option<Box<Texts>>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct GapRow {
    pub(crate) recorded: i64,
    pub(crate) run: u32,
    pub(crate) reason: GapReason,
    /// How many; `None` is unknown.
    pub(crate) count: Option<u64>,
    /// The last id known to have been committed before the gap.
    pub(crate) after: Option<u64>,
    /// Recorded times of the first and last, microseconds since 1970.
    pub(crate) recorded_range: Option<(i64, i64)>,
    /// Event times of the first and last, microseconds since 1970.
    pub(crate) event_range: Option<(i64, i64)>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct SystemEventRow {
    pub(crate) recorded: i64,
    pub(crate) run: u32,
    pub(crate) level: Level,
    pub(crate) component: NameId,
    /// The component where the table of names had no room for it.
    pub(crate) written: Option<String>,
    pub(crate) message: String,
    pub(crate) fields: Vec<(String, Value)>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct CheckpointEventRow {
    pub(crate) recorded: i64,
    pub(crate) run: u32,
    pub(crate) action: CheckpointAction,
    pub(crate) model: NameId,
    pub(crate) checkpoint: NameId,
    /// Model and checkpoint where the table of names had no room for them.
    pub(crate) written: (Option<String>, Option<String>),
    pub(crate) detail: String,
}

/// Why events are missing from the journal.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The queue was full and the policy is to drop, or the bounded wait ran out.
    QueueFull,
    /// The call could not be recorded as given: too many probabilities, too much text, an action
    /// index beyond the recorder's actions.
    Refused,
    /// The run ended without closing the journal: killed, crashed, or the power went.
    Died,
}
