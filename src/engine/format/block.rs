//! Blocks: runs of entries, the unit that is stored, checked and read.
//!
//! A block's value is `[checksum][header][columns][flat lists][columns of values]
//! [notes][attributes]`. Entries with an
//! id are stored in columns, so that a reader of one number of each entry touches only those bytes.
//! No block is ever extended; sealing merges blocks into new ones with the same sequences.

use serde::{Deserialize, Serialize};

use super::block_index::BlockIndex;
use super::column::{Column, ColumnHead};
use super::notes::{NOTE_COLUMNS, Notes, NotesHead};
use super::row::{
    BlobRow, InferenceRow, InputRef, NameId, NameIds, Note, RepeatRow, Row, StoredAttributes,
    StoredValue, flag,
};
use super::value_columns::ValueColumns;
use super::{CHECKSUM_BYTES, codec};
use crate::entry::extras::{Extras, LONGEST_CORRELATION, OwnedExtras, TooLarge};
use crate::entry::floats::MOST;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;

/// redb stores large values in runs of 2^k pages of 4,096 bytes and needs 16 bytes of the first.
pub(super) const VALUE_BYTES: usize = 65_520;
/// The header's largest size: five counts, four 64-bit numbers and the columns' heads.
const HEADER_BYTES: usize = 5 * 5 + 4 * 9 + (COLUMNS + NOTE_COLUMNS) * 10;
const PARTS_BYTES: usize = VALUE_BYTES - CHECKSUM_BYTES - HEADER_BYTES;
/// A block of so many bytes is not worth merging with others.
pub(super) const FULL_BYTES: usize = VALUE_BYTES / 8 * 7;
/// Entries of a block, at most: what needs no bytes must not be counted for ever.
pub(super) const MOST_ROWS: u32 = 16_384;

/// Id of the base in a lost range's header: the block is one gap, in the place of `count` entries.
pub(super) const HOLE: InferenceId = InferenceId::from_u64(1);

/// The stored numbers of every inference and repeat, in this order.
#[derive(Clone, Copy)]
pub(super) enum BlockColumn {
    /// Id, less the id before (or the header's).
    Id,
    /// Recorded time, less the one before (or the header's), microseconds.
    Recorded,
    /// Event time less recorded time, microseconds.
    Event,
    /// Of a repeat, its id less its original's; otherwise 0.
    Original,
    Model,
    Symbol,
    Action,
    Checkpoint,
    Labels,
    Flags,
    /// How many probabilities.
    Probabilities,
    /// Processing time, nanoseconds plus one; 0 is unknown.
    Processing,
    /// Process memory, KiB plus one; 0 is unknown.
    Memory,
    /// How many numbers the action vector has.
    Vector,
    /// Id, less its cause's; 0 without one.
    Cause,
    /// Bytes of the correlation, plus one; 0 without one.
    Correlation,
    /// Id of the episode; of a decision without one, that of the decision before, or 0.
    Episode,
    /// Number of the step within its episode; of a decision without one, as in `Episode`.
    Step,
    /// Of a kept input, the decision's id less its number; otherwise that of the decision before.
    Input,
    /// Of a kept input, the name of its values' names; otherwise that of the decision before.
    FeatureNames,
}

pub(super) const COLUMNS: usize = BlockColumn::FeatureNames as usize + 1;
/// The columns before those of extras and inputs, which are 0 in most blocks.
const USUAL: usize = BlockColumn::Memory as usize + 1;

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct BlockHeader {
    /// Entries.
    pub(super) count: u32,
    /// Entries with an id: inferences and repeats. The rest are notes.
    pub(super) events: u32,
    /// Events with attributes or blobs.
    pub(super) attributed: u32,
    /// Columns of typed values.
    pub(super) value_columns: u32,
    /// Of the first event. Without events it is 0, or [`HOLE`].
    pub(super) base_id: InferenceId,
    pub(super) base_recorded: Timestamp,
    pub(super) columns: [ColumnHead; COLUMNS],
    pub(super) notes: NotesHead,
}

/// A finished block and what its indexes need.
#[derive(Debug)]
pub(crate) struct Block {
    /// The stored value; its first bytes are room for the checksum.
    pub(crate) value: Vec<u8>,
    pub(crate) count: u32,
    pub(crate) index: BlockIndex,
}

impl Block {
    /// From a payload that was read and checked.
    pub(crate) fn again(payload: &[u8], count: u32, index: BlockIndex) -> Block {
        let mut value = Vec::with_capacity(CHECKSUM_BYTES + payload.len());
        value.resize(CHECKSUM_BYTES, 0);
        value.extend_from_slice(payload);
        Block {
            value,
            count,
            index,
        }
    }
}

/// Where and when a row belongs, in absolute numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowHead {
    pub(crate) id: InferenceId,
    pub(crate) recorded: Timestamp,
    pub(crate) event: Timestamp,
}

impl Default for RowHead {
    fn default() -> Self {
        RowHead {
            id: InferenceId::NONE,
            recorded: Timestamp::default(),
            event: Timestamp::default(),
        }
    }
}

/// The values that the next row is stored as a difference to.
#[derive(Clone, Copy, Default)]
struct Previous {
    head: RowHead,
    /// A repeat stores the values of the event before where it has none: a column of equals is
    /// free.
    labels: NameId,
    memory: u64,
    /// So does a decision that is no step.
    step: (u64, u64),
    /// So does a decision without an input.
    input: i64,
    feature_names: NameId,
}

/// An inference or a repeat, in stored form.
#[derive(Clone, Copy)]
pub(crate) struct StoredDecision<'a> {
    pub(crate) head: RowHead,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
    pub(crate) names: NameIds,
    pub(crate) labels: NameId,
    /// Bits of [`flag`]; they tell which of the other fields count.
    pub(crate) flags: u16,
    /// Of a repeat, its id less its original's; otherwise 0.
    pub(crate) original: i64,
    pub(crate) confidence: f32,
    pub(crate) features: u64,
    pub(crate) probabilities: &'a [f32],
    /// Nanoseconds plus one; 0 is unknown.
    pub(crate) processing: u64,
    pub(crate) attributes: &'a [(String, Value)],
    pub(crate) blobs: &'a [BlobRow],
    /// Their bits in `flags` are set when they are stored.
    pub(crate) extras: Extras<'a>,
    pub(crate) input: InputRef,
    pub(crate) values: &'a [StoredValue],
}

impl StoredDecision<'_> {
    /// Whether it has attributes or blobs, which are stored together.
    fn is_attributed(&self) -> bool {
        !(self.attributes.is_empty() && self.blobs.is_empty())
    }
}

impl BlockHeader {
    /// Whether the block is one gap in the place of all its entries.
    pub(super) fn is_lost_range(&self) -> bool {
        self.events == 0 && self.base_id == HOLE
    }

    /// How many notes there are.
    pub(super) fn note_count(&self) -> u32 {
        if self.is_lost_range() {
            1
        } else {
            self.count - self.events
        }
    }
}

/// Turns rows into blocks.
#[derive(Default)]
pub(crate) struct BlockEncoder {
    /// Of the first event.
    base: RowHead,
    previous: Previous,
    columns: [Column; COLUMNS],
    /// Whether a number of a column behind the usual ones was not 0. Until then these columns are
    /// left alone.
    has_unusual: bool,
    /// Bytes that each event takes in the columns.
    event_bytes: usize,
    /// Of the events that have one.
    confidences: Vec<f32>,
    features: Vec<u64>,
    probabilities: Vec<f32>,
    propensities: Vec<f32>,
    vectors: Vec<f32>,
    correlations: Vec<u8>,
    values: ValueColumns,
    notes: Notes,
    /// Where a note is encoded; kept, so that this allocates once.
    note: Vec<u8>,
    attributes: Vec<u8>,
    count: u32,
    events: u32,
    attributed: u32,
    index: BlockIndex,
    finished: Vec<Block>,
    finished_bytes: usize,
}

impl BlockEncoder {
    /// Appends an entry that was read from another block.
    ///
    /// # Errors
    /// Like all that append: returns the reason if a reader would refuse the entry, which is left
    /// out then.
    pub(crate) fn again(&mut self, entry: &StoredEntry) -> Result<(), String> {
        match &entry.row {
            Row::Inference(row) => self.inference(entry.head, entry.memory, row),
            Row::Repeat(row) => self.repeat(entry.head, row),
            Row::Note(note) => self.note(entry.head.recorded, note),
        }
    }

    /// Appends a block as it was read; earlier entries end in a block of their own.
    pub(crate) fn block_again(&mut self, payload: &[u8], count: u32, index: BlockIndex) {
        self.push_block(Block::again(payload, count, index));
    }

    /// Appends a finished block; earlier entries end in a block of their own.
    pub(super) fn push_block(&mut self, block: Block) {
        // A block that is copied as it is keeps its own differences: it cannot be continued.
        self.finish();
        self.finished_bytes += block.value.len();
        self.finished.push(block);
    }

    /// Appends an inference that was read. `memory` is KiB plus one.
    pub(crate) fn inference(
        &mut self,
        head: RowHead,
        memory: u64,
        row: &InferenceRow,
    ) -> Result<(), String> {
        let has_features = if row.features.is_some() {
            flag::FEATURES
        } else {
            0
        };
        self.append(&StoredDecision {
            head,
            memory,
            names: row.names,
            labels: row.labels,
            flags: row.flags | has_features,
            original: 0,
            confidence: row.confidence,
            features: row.features.unwrap_or(0),
            probabilities: row.probabilities.as_slice(),
            processing: row.processing,
            attributes: &row.attributes,
            blobs: &row.blobs,
            extras: row
                .extras
                .as_deref()
                .map_or(Extras::NONE, OwnedExtras::as_extras),
            input: row.input,
            values: &row.values,
        })
    }

    /// Appends a repeat.
    pub(crate) fn repeat(&mut self, head: RowHead, row: &RepeatRow) -> Result<(), String> {
        self.append(&StoredDecision {
            head,
            // A repeat has neither. The value of the row before costs nothing, because the column
            // does not widen.
            memory: self.previous.memory,
            names: row.names,
            labels: self.previous.labels,
            flags: match row.confidence {
                Some(_) => flag::REPEAT,
                None => flag::REPEAT | flag::NO_CONFIDENCE,
            },
            // As a distance: repeats follow their original closely, so the column is narrow.
            original: head.id.distance_from(row.original),
            confidence: row.confidence.unwrap_or(f32::NAN),
            features: 0,
            probabilities: &[],
            processing: row.processing,
            attributes: &[],
            blobs: &[],
            extras: Extras::NONE,
            input: row.input,
            values: &[],
        })
    }

    /// Appends an entry without an id. It has no row in the index of event times, but one of its
    /// kind or, if it is an outcome, one beside its inference.
    pub(crate) fn note(&mut self, recorded: Timestamp, note: &Note) -> Result<(), String> {
        if let Some(entries) = note.lost_range() {
            return self.lost_range(recorded, note, entries);
        }
        let mut bytes = std::mem::take(&mut self.note);
        bytes.clear();
        if let Err(why) = codec::encode_readable(note, &mut bytes) {
            self.note = bytes;
            return Err(why);
        }
        let growth = self.notes.growth(self.count, recorded, note, bytes.len());
        if self.is_full(self.event_bytes, growth) {
            self.finish();
        }
        self.notes.push(self.count, recorded, note, &bytes);
        self.note = bytes;
        self.index.note(self.count, note);
        self.count += 1;
        Ok(())
    }

    /// Appends a lost range, which has a block of its own.
    fn lost_range(&mut self, recorded: Timestamp, note: &Note, entries: u32) -> Result<(), String> {
        if entries == 0 {
            return Err("a lost range in the place of no entry".to_owned());
        }
        let mut bytes = Vec::new();
        codec::encode_readable(note, &mut bytes)?;
        // A lost range stands alone in its block: `count` is the number of lost entries, and no
        // column could hold as many.
        self.finish();
        self.notes.push(0, recorded, note, &bytes);
        self.index.note(0, note);
        self.base.id = HOLE;
        self.count = entries;
        self.finish();
        Ok(())
    }

    /// Appends an inference or a repeat.
    pub(crate) fn append(&mut self, stored: &StoredDecision<'_>) -> Result<(), String> {
        if stored.probabilities.len() > MOST {
            let many = stored.probabilities.len();
            return Err(format!("{many} probabilities are more than {MOST}"));
        }
        let extras = &stored.extras;
        extras.check().map_err(|what| match what {
            TooLarge::Vector(many) => format!("an action vector of {many} is longer than {MOST}"),
            TooLarge::Correlation(bytes) => {
                format!("a correlation of {bytes} bytes is longer than {LONGEST_CORRELATION}")
            }
        })?;
        ValueColumns::check(stored.values)?;
        // Attributes are encoded first, because only then is their length known; a full block gives
        // them back below.
        let before = self.attributes.len();
        let mut values = self.values(stored);
        self.begin_unusual(&values);
        let mut event_bytes = self.event_bytes_with(&values);
        self.push_attributes(stored)?;
        // A confidence and a feature hash at most: a little too much is better than a second pass.
        let flat = 12 + 4 * stored.probabilities.len() + flat_bytes_of(extras);
        let flat = flat + self.values.growth(self.events, stored.values);
        let too_many = self.count > 0 && self.values.are_too_many_with(stored.values);
        if too_many || self.is_full(event_bytes, event_bytes + flat) {
            // They belong to the next block, whose event numbers begin anew.
            self.attributes.truncate(before);
            self.finish();
            values = self.values(stored);
            self.begin_unusual(&values);
            event_bytes = self.event_bytes_with(&values);
            self.push_attributes(stored)?;
        }
        if self.events == 0 {
            self.base = stored.head;
        }
        let events = self.events as usize;
        let used = self.used();
        for (column, value) in self.columns.iter_mut().zip(values).take(used) {
            column.push(value, events);
        }
        self.event_bytes = event_bytes;
        if stored.flags & flag::NO_CONFIDENCE == 0 {
            self.confidences.push(stored.confidence);
        }
        if stored.flags & flag::FEATURES != 0 {
            self.features.push(stored.features);
        }
        self.probabilities.extend_from_slice(stored.probabilities);
        self.propensities.extend(extras.propensity);
        self.vectors.extend_from_slice(extras.vector);
        let correlation = extras.correlation.unwrap_or_default();
        self.correlations.extend_from_slice(correlation.as_bytes());
        self.values.push(self.events, stored.values);
        self.attributed += u32::from(stored.is_attributed());
        let (input, feature_names) = self.input(stored);
        self.previous = Previous {
            head: stored.head,
            labels: stored.labels,
            memory: stored.memory,
            step: self.step_of(extras),
            input,
            feature_names,
        };
        self.count += 1;
        self.events += 1;
        self.index.event(stored.head.id, stored.head.event);
        Ok(())
    }

    /// What the columns of inputs have for a decision. Without an input it is what the decision
    /// before has, so that the columns stay narrow.
    #[inline]
    fn input(&self, stored: &StoredDecision<'_>) -> (i64, NameId) {
        match stored.input {
            InputRef::Kept { number, names } => (number.distance_to(stored.head.id), names),
            InputRef::NotKept | InputRef::GivenUp => {
                (self.previous.input, self.previous.feature_names)
            }
        }
    }

    fn values(&self, stored: &StoredDecision<'_>) -> [i64; COLUMNS] {
        let RowHead {
            id,
            recorded,
            event,
        } = stored.head;
        let previous = match self.events {
            // The first event of a block is the base itself, so its differences are 0.
            0 => (id, recorded),
            _ => (self.previous.head.id, self.previous.head.recorded),
        };
        let (names, extras) = (stored.names, &stored.extras);
        let flags = stored.flags & !flag::EXTRAS | flags_of(extras) | stored.input.flag();
        let (episode, step) = self.step_of(extras);
        let (input, feature_names) = self.input(stored);
        [
            id.distance_from(previous.0),
            recorded.distance_from(previous.1),
            event.distance_from(recorded),
            stored.original,
            names.model.into(),
            names.symbol.into(),
            names.action.into(),
            names.checkpoint.into(),
            stored.labels.into(),
            flags.into(),
            i64::try_from(stored.probabilities.len()).unwrap_or(i64::MAX),
            stored.processing.cast_signed(),
            stored.memory.cast_signed(),
            i64::try_from(extras.vector.len()).unwrap_or(i64::MAX),
            extras.cause.map_or(0, |cause| id.distance_from(cause)),
            i64::try_from(extras.correlation.map_or(0, |text| text.len() + 1)).unwrap_or(i64::MAX),
            episode.cast_signed(),
            step.cast_signed(),
            input,
            feature_names.into(),
        ]
    }

    /// Episode and step, or those of the decision before: equal numbers take no bytes.
    fn step_of(&self, extras: &Extras<'_>) -> (u64, u64) {
        let step = extras.step;
        step.map_or(self.previous.step, |(episode, step)| {
            (episode.to_u64(), step)
        })
    }

    /// Before a value of the columns behind the usual ones is not 0 for the first time in a block:
    /// they get the zeros that they have been spared.
    #[inline]
    fn begin_unusual(&mut self, values: &[i64; COLUMNS]) {
        if self.has_unusual || values.iter().skip(USUAL).all(|value| *value == 0) {
            return;
        }
        self.has_unusual = true;
        if self.events > 0 {
            for column in self.columns.iter_mut().skip(USUAL) {
                column.push(0, 0);
            }
        }
    }

    /// How many columns have numbers of their own.
    #[inline]
    fn used(&self) -> usize {
        if self.has_unusual { COLUMNS } else { USUAL }
    }

    fn event_bytes_with(&self, values: &[i64; COLUMNS]) -> usize {
        let columns = || self.columns.iter().zip(values).take(self.used());
        // The common case: no column grows, so nothing has to be summed up.
        if columns().all(|(column, value)| column.covers(*value)) {
            return self.event_bytes;
        }
        columns()
            .map(|(column, value)| column.width_with(*value))
            .sum()
    }

    fn push_attributes(&mut self, stored: &StoredDecision<'_>) -> Result<(), String> {
        if !stored.is_attributed() {
            return Ok(());
        }
        let attributes = (self.events, stored.attributes, stored.blobs);
        codec::encode_as::<_, StoredAttributes>(&attributes, &mut self.attributes)
    }

    /// Whether the block has to be finished before it takes an entry of `more` bytes, with
    /// `event_bytes` for each event in the columns. An entry too large for any block has one of
    /// its own.
    fn is_full(&self, event_bytes: usize, more: usize) -> bool {
        // Rows are bounded too: those whose columns are equal take no bytes, and no block may
        // decode to more memory than a reader expects.
        let bytes = self.events as usize * event_bytes + self.flat_bytes() + more;
        self.count > 0 && (bytes > PARTS_BYTES || self.count == MOST_ROWS)
    }

    /// Bytes of everything that is not in the events' columns.
    fn flat_bytes(&self) -> usize {
        let floats = self.confidences.len() + self.probabilities.len();
        let floats = floats + self.propensities.len() + self.vectors.len();
        let bytes = self.correlations.len() + self.notes.bytes() + self.attributes.len();
        let bytes = bytes + self.values.bytes();
        4 * floats + 8 * self.features.len() + bytes
    }

    fn finish(&mut self) {
        // An empty block would have no sequence of its own.
        if self.count == 0 {
            return;
        }
        let header = BlockHeader {
            count: self.count,
            events: self.events,
            attributed: self.attributed,
            value_columns: self.values.columns(),
            base_id: self.base.id,
            base_recorded: self.base.recorded,
            columns: std::array::from_fn(|column| self.columns[column].head()),
            notes: self.notes.head(),
        };
        let parts = self.events as usize * self.event_bytes + self.flat_bytes();
        let mut value = Vec::with_capacity(CHECKSUM_BYTES + HEADER_BYTES + parts);
        value.resize(CHECKSUM_BYTES, 0);
        encode(&header, &mut value);
        for column in &mut self.columns {
            column.pack(&mut value);
        }
        extend(&mut value, self.confidences.drain(..).map(f32::to_le_bytes));
        extend(&mut value, self.features.drain(..).map(u64::to_le_bytes));
        extend(
            &mut value,
            self.probabilities.drain(..).map(f32::to_le_bytes),
        );
        extend(
            &mut value,
            self.propensities.drain(..).map(f32::to_le_bytes),
        );
        extend(&mut value, self.vectors.drain(..).map(f32::to_le_bytes));
        value.append(&mut self.correlations);
        self.values.pack(&mut value);
        self.notes.pack(&mut value);
        value.append(&mut self.attributes);
        self.finished_bytes += value.len();
        self.finished.push(Block {
            value,
            count: self.count,
            index: std::mem::take(&mut self.index),
        });
        (self.base, self.previous) = (RowHead::default(), Previous::default());
        (self.count, self.events, self.attributed) = (0, 0, 0);
        self.event_bytes = 0;
        self.has_unusual = false;
    }

    /// Bytes encoded and not yet taken.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.finished_bytes + self.events as usize * self.event_bytes + self.flat_bytes()
    }

    /// All rows since the last taking, as blocks: the one that was begun ends here.
    pub(crate) fn finished(&mut self) -> &[Block] {
        self.finish();
        &self.finished
    }

    /// The blocks that nothing more would fit into.
    pub(crate) fn take_full(&mut self) -> Vec<Block> {
        self.finished_bytes = 0;
        std::mem::take(&mut self.finished)
    }

    /// All rows so far, as blocks; the encoder is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<Block> {
        self.finish();
        self.finished_bytes = 0;
        std::mem::take(&mut self.finished)
    }
}

fn extend<const WIDTH: usize>(
    out: &mut Vec<u8>,
    numbers: impl ExactSizeIterator<Item = [u8; WIDTH]>,
) {
    let start = out.len();
    out.resize(start + WIDTH * numbers.len(), 0);
    let (places, _) = out[start..].as_chunks_mut::<WIDTH>();
    for (head, number) in places.iter_mut().zip(numbers) {
        *head = number;
    }
}

/// The bits of the flags that extras have.
#[inline]
fn flags_of(extras: &Extras<'_>) -> u16 {
    let has = |yes: bool, bit: u16| if yes { bit } else { 0 };
    has(extras.propensity.is_some(), flag::PROPENSITY)
        | has(extras.cause.is_some(), flag::CAUSE)
        | has(extras.step.is_some(), flag::STEP)
}

/// Bytes that extras take in the lists.
#[inline]
fn flat_bytes_of(extras: &Extras<'_>) -> usize {
    let floats = usize::from(extras.propensity.is_some()) + extras.vector.len();
    4 * floats + extras.correlation.map_or(0, str::len)
}

fn encode(value: &impl Serialize, out: &mut Vec<u8>) {
    let encoded = codec::encode_into(value, out);
    // Writing into a `Vec` cannot fail, and every sequence in these types knows its length.
    debug_assert!(encoded.is_ok(), "stored types have known lengths");
}

/// One row with its place in the journal.
#[derive(Debug, Clone)]
pub(crate) struct StoredEntry {
    pub(crate) sequence: Sequence,
    /// Of a note, only the times are meant.
    pub(crate) head: RowHead,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
    pub(crate) row: Row,
}

impl StoredEntry {
    /// The sequence that comes next: a lost range stands for many.
    pub(crate) fn next(&self) -> Sequence {
        let lost_range = match &self.row {
            Row::Note(note) => note.lost_range(),
            Row::Inference(_) | Row::Repeat(_) => None,
        };
        self.sequence.saturating_add(lost_range.unwrap_or(1).into())
    }

    /// The run that recorded it.
    pub(crate) fn run(&self) -> u32 {
        match &self.row {
            Row::Note(note) => note.run(),
            Row::Inference(_) | Row::Repeat(_) => self.head.id.run().get(),
        }
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "extras_tests.rs"]
mod extras_tests;

#[cfg(test)]
#[path = "value_tests.rs"]
mod value_tests;
