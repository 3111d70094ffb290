//! Every kind of entry. Entries with an id are stored in columns (`block`). The rest, and all text,
//! is stored as [`Note`]s and attributes, whose order of fields and variants is the format.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::codec::Stored;
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::extras::OwnedExtras;
use crate::entry::floats::Floats;
use crate::entry::gap::{GapReason, Refusal};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::{TypedValue, ValueKind};
use crate::entry::value::Value;

/// The stored id of a name: 32 bits, so that a column holds any.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct NameId(u32);

impl NameId {
    pub(crate) const NONE: NameId = NameId(0);
    /// In no entry: the dictionary ends before it.
    pub(crate) const MAX: NameId = NameId(u32::MAX);

    pub(crate) const fn new(id: u32) -> Self {
        NameId(id)
    }

    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// The id of the next new name; `None` if all are used up.
    pub(crate) fn checked_next(self) -> Option<NameId> {
        self.0.checked_add(1).map(NameId)
    }

    /// The same, or the last one.
    pub(crate) fn saturating_next(self) -> NameId {
        NameId(self.0.saturating_add(1))
    }
}

impl Stored for NameId {}

impl fmt::Display for NameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NameId> for u64 {
    #[inline]
    fn from(id: NameId) -> u64 {
        id.0.into()
    }
}

impl From<NameId> for i64 {
    #[inline]
    fn from(id: NameId) -> i64 {
        id.0.into()
    }
}

/// The number of a kept input: 24 bits of run, 40 bits of counter, as in an inference's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct InputNumber(u64);

impl InputNumber {
    pub(crate) const fn new(number: u64) -> Self {
        InputNumber(number)
    }

    /// The first one of a run.
    pub(crate) const fn first_of(run: RunId) -> Self {
        InputNumber(run.first_id() | 1)
    }

    /// Stands for all inputs that an import found removed in their journal. No file has it.
    pub(crate) const fn removed_of(run: RunId) -> Self {
        InputNumber(run.first_id())
    }

    #[inline]
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn run(self) -> RunId {
        InferenceId::from_u64(self.0).run()
    }

    pub(crate) const fn counter(self) -> u64 {
        InferenceId::from_u64(self.0).counter()
    }

    pub(crate) const fn saturating_add(self, more: u64) -> Self {
        InputNumber(self.0.saturating_add(more))
    }

    /// How many inputs are from `first` on and before this one.
    pub(crate) const fn since(self, first: InputNumber) -> u64 {
        self.0.saturating_sub(first.0)
    }

    /// How far before `id` the number is, as blocks store it.
    #[inline]
    pub(crate) const fn distance_to(self, id: InferenceId) -> i64 {
        id.distance_from(InferenceId::from_u64(self.0))
    }

    /// The number at this distance before `id`. Wraps on hostile bytes: no file has a wrong number.
    #[inline]
    pub(crate) const fn at_distance(id: InferenceId, distance: i64) -> Self {
        InputNumber(id.at_distance(distance.wrapping_neg()).to_u64())
    }
}

impl fmt::Display for InputNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run(), self.counter())
    }
}

/// What became of a decision's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum InputRef {
    #[default]
    NotKept,
    GivenUp,
    Kept {
        number: InputNumber,
        /// Of its values; [`NameId::NONE`] if none were bound.
        names: NameId,
    },
}

impl InputRef {
    /// The bit of [`flag`] that says so.
    #[inline]
    pub(crate) const fn flag(self) -> u16 {
        match self {
            InputRef::NotKept => 0,
            InputRef::GivenUp => flag::INPUT_GIVEN_UP,
            InputRef::Kept { .. } => flag::INPUT,
        }
    }

    fn names(self) -> NameId {
        match self {
            InputRef::Kept { names, .. } => names,
            InputRef::NotKept | InputRef::GivenUp => NameId::NONE,
        }
    }
}

impl TryFrom<u64> for NameId {
    type Error = std::num::TryFromIntError;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        u32::try_from(number).map(NameId)
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    Inference(InferenceRow),
    Repeat(RepeatRow),
    Note(Note),
}

impl Stored for Note {}

/// An entry without an id. New kinds are added at the end.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) enum Note {
    Gap(GapRow),
    SystemEvent(SystemEventRow),
    CheckpointEvent(CheckpointEventRow),
    Outcome(OutcomeRow),
}

impl Row {
    /// What became of its input.
    pub(crate) fn input(&self) -> InputRef {
        match self {
            Row::Inference(row) => row.input,
            Row::Repeat(row) => row.input,
            Row::Note(_) => InputRef::NotKept,
        }
    }

    /// Shows every stored name that this row needs; 0 stands for none.
    pub(crate) fn each_name(&self, mut see: impl FnMut(NameId)) {
        let of = |names: &NameIds| [names.model, names.symbol, names.action, names.checkpoint];
        match self {
            Row::Inference(row) => {
                of(&row.names).into_iter().for_each(&mut see);
                see(row.labels);
                see(row.input.names());
                row.values.iter().for_each(|value| see(value.name));
            }
            Row::Repeat(row) => {
                of(&row.names).into_iter().for_each(&mut see);
                see(row.input.names());
            }
            Row::Note(note) => note.each_name(see),
        }
    }
}

impl Note {
    /// How many sequences it stands for, if it is a lost range.
    pub(crate) fn lost_range(&self) -> Option<u32> {
        match self {
            Note::Gap(row) if row.reason.is_lost_range() => {
                row.count.and_then(|count| u32::try_from(count).ok())
            }
            _ => None,
        }
    }

    /// Shows every stored name that it needs; 0 stands for none.
    pub(super) fn each_name(&self, mut see: impl FnMut(NameId)) {
        match self {
            Note::Gap(_) => {}
            Note::SystemEvent(row) => see(row.component),
            Note::CheckpointEvent(row) => [row.model, row.checkpoint].into_iter().for_each(see),
            Note::Outcome(row) => row.each_name(see),
        }
    }

    /// The run that it belongs to.
    pub(crate) fn run(&self) -> u32 {
        match self {
            Note::Gap(row) => row.run,
            Note::SystemEvent(row) => row.run,
            Note::CheckpointEvent(row) => row.run,
            Note::Outcome(row) => row.run,
        }
    }
}

/// Bits of [`InferenceRow::flags`]; bits that do not belong to the inference itself are set when it
/// is stored.
pub(crate) mod flag {
    /// The same features and checkpoint were answered differently within the window.
    pub(crate) const DIVERGENT: u16 = 1;
    /// The caller gave no confidence, and none is stored.
    pub(crate) const NO_CONFIDENCE: u16 = 2;
    /// The row is a repeat: of its answer only action and confidence are stored.
    pub(crate) const REPEAT: u16 = 4;
    /// A feature hash is stored.
    pub(crate) const FEATURES: u16 = 8;
    /// A propensity is stored.
    pub(crate) const PROPENSITY: u16 = 16;
    /// A cause is stored.
    pub(crate) const CAUSE: u16 = 32;
    /// The decision is a step of an episode.
    pub(crate) const STEP: u16 = 64;
    /// Its input is kept, and the column of inputs has its number.
    pub(crate) const INPUT: u16 = 128;
    /// Its input was to be kept, and was given up.
    pub(crate) const INPUT_GIVEN_UP: u16 = 256;
    /// Those that [`Extras`](crate::entry::extras::Extras) have.
    pub(crate) const EXTRAS: u16 = PROPENSITY | CAUSE | STEP;
    /// Set when a row is stored, and not part of it otherwise.
    pub(crate) const OF_INPUT: u16 = INPUT | INPUT_GIVEN_UP;
    pub(crate) const ALL: u16 = DIVERGENT | NO_CONFIDENCE | REPEAT | FEATURES | EXTRAS | OF_INPUT;
}

/// The names of an inference or repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NameIds {
    pub(crate) model: NameId,
    pub(crate) symbol: NameId,
    pub(crate) action: NameId,
    pub(crate) checkpoint: NameId,
}

/// The name of a blob, and its number among the inputs; `None` if it was given up.
pub(crate) type BlobRow = (String, Option<InputNumber>);

/// Attributes and blobs of a decision, with its index in its block.
pub(super) type StoredAttributes = (u32, Vec<(String, Value)>, Vec<BlobRow>);

/// One typed value of a decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredValue {
    pub(crate) kind: ValueKind,
    pub(crate) name: NameId,
    pub(crate) value: TypedValue,
}

#[derive(Debug, Clone)]
pub(crate) struct InferenceRow {
    pub(crate) names: NameIds,
    pub(crate) labels: NameId,
    pub(crate) flags: u16,
    /// NaN if there is none.
    pub(crate) confidence: f32,
    pub(crate) probabilities: Floats,
    /// xxh3-64 of the features.
    pub(crate) features: Option<u64>,
    pub(crate) input: InputRef,
    /// Processing time in nanoseconds plus one; 0 is unknown.
    pub(crate) processing: u64,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) blobs: Vec<BlobRow>,
    pub(crate) extras: Option<Box<OwnedExtras>>,
    pub(crate) values: Box<[StoredValue]>,
}

#[derive(Debug, Clone)]
pub(crate) struct RepeatRow {
    pub(crate) names: NameIds,
    /// The id of the inference that it repeats.
    pub(crate) original: InferenceId,
    /// The same as its original's, which may be retired earlier.
    pub(crate) confidence: Option<f32>,
    pub(crate) processing: u64,
    /// Its own: the original may be retired earlier.
    pub(crate) input: InputRef,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct GapRow {
    pub(crate) run: u32,
    pub(crate) reason: GapReason,
    /// How many; `None` is unknown.
    pub(crate) count: Option<u64>,
    /// The last id known to have been committed before the gap.
    pub(crate) after: Option<InferenceId>,
    /// Recorded times of the first and last.
    pub(crate) recorded_range: Option<(Timestamp, Timestamp)>,
    /// Event times of the first and last.
    pub(crate) event_range: Option<(Timestamp, Timestamp)>,
    /// The reason of refused calls.
    pub(crate) refusal: Option<Refusal>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct SystemEventRow {
    pub(crate) run: u32,
    pub(crate) level: Level,
    pub(crate) component: NameId,
    pub(crate) message: String,
    pub(crate) fields: Vec<(String, Value)>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct CheckpointEventRow {
    pub(crate) run: u32,
    pub(crate) action: CheckpointAction,
    pub(crate) model: NameId,
    pub(crate) checkpoint: NameId,
    pub(crate) detail: String,
}

/// A later outcome of one inference or repeat.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct OutcomeRow {
    pub(crate) run: u32,
    /// The id of the inference, which may be of any run, and may not be there yet. Stored in a
    /// column.
    #[serde(skip, default = "InferenceId::none")]
    pub(crate) of: InferenceId,
    /// When it turned out. Stored in a column.
    #[serde(skip)]
    pub(crate) time: Timestamp,
    /// Each replaces the value of earlier entries under the same name. At least one, and no name
    /// twice.
    pub(crate) values: Vec<OutcomeValue>,
    /// Whether it was imported without the time at which its source recorded it. An import that
    /// knows that time takes it for the same outcome.
    pub(crate) is_undated: bool,
}

/// An outcome with the sequence of its entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredOutcome {
    pub(crate) sequence: Sequence,
    /// When it was recorded; unknown where only a note is left of it.
    pub(crate) recorded: Option<Timestamp>,
    pub(crate) row: OutcomeRow,
}

impl OutcomeRow {
    /// Shows every stored name that it needs.
    pub(crate) fn each_name(&self, mut see: impl FnMut(NameId)) {
        for value in &self.values {
            if let OutcomeValue::Named(name, _) = value {
                see(*name);
            }
        }
    }
}

/// One value of an outcome, and under which name.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) enum OutcomeValue {
    Reward(f64),
    Correct(bool),
    Label(String),
    Named(NameId, f64),
}

impl OutcomeValue {
    /// Whether both are of the same name, so that only one of them holds.
    pub(crate) fn is_rival(&self, other: &OutcomeValue) -> bool {
        match (self, other) {
            (OutcomeValue::Reward(_), OutcomeValue::Reward(_))
            | (OutcomeValue::Correct(_), OutcomeValue::Correct(_))
            | (OutcomeValue::Label(_), OutcomeValue::Label(_)) => true,
            (OutcomeValue::Named(a, _), OutcomeValue::Named(b, _)) => a == b,
            _ => false,
        }
    }

    /// Whether both have the same value under the same name; not-a-numbers are compared by their
    /// bits.
    pub(crate) fn is_same(&self, other: &OutcomeValue) -> bool {
        match (self, other) {
            (OutcomeValue::Reward(a), OutcomeValue::Reward(b)) => a.to_bits() == b.to_bits(),
            (OutcomeValue::Named(a, x), OutcomeValue::Named(b, y)) => {
                a == b && x.to_bits() == y.to_bits()
            }
            (a, b) => a == b,
        }
    }
}
