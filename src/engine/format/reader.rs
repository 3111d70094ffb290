//! Reading a block: the one place that finds, measures and checks its parts and undoes what was
//! done to its numbers. Entries and columns are decoded when they are asked for, and no others.

use std::ops::Range;
use std::str::Utf8Error;

use super::attribute_filter::AttributeFilter;
use super::block::{
    BlockColumn, BlockHeader, COLUMNS, FULL_BYTES, MOST_ROWS, RowHead, StoredEntry,
};
use super::codec;
use super::column::ColumnNumbers;
use super::notes::{NotesReader, StoredNote, split};
use super::row::{
    BlobRow, InferenceRow, InputNumber, InputRef, NameId, NameIds, Note, RepeatRow, Row,
    StoredAttributes, StoredOutcome, flag,
};
use super::value_columns::{ValuesReader, ValuesWalk};
use crate::entry::episode::EpisodeId;
use crate::entry::extras::{LONGEST_CORRELATION, OwnedExtras};
use crate::entry::floats::{Floats, MOST};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::{TypedRef, ValueKind};
use crate::entry::value::Value;

type Result<T> = std::result::Result<T, String>;

/// The columns that hold name ids.
pub(super) const NAMES: [BlockColumn; 6] = [
    BlockColumn::Model,
    BlockColumn::Symbol,
    BlockColumn::Action,
    BlockColumn::Checkpoint,
    BlockColumn::Labels,
    BlockColumn::FeatureNames,
];

/// A block whose parts have been found, and whose columns hold what a block can hold. Of notes and
/// attributes only the lengths have been looked at.
pub(crate) struct BlockReader<'a> {
    first: Sequence,
    /// Bytes of the whole block.
    length: usize,
    header: BlockHeader,
    columns: [ColumnNumbers<'a>; COLUMNS],
    // Invariant L1: the lists are as long as the columns say that they are.
    confidences: &'a [[u8; 4]],
    features: &'a [[u8; 8]],
    probabilities: &'a [[u8; 4]],
    propensities: &'a [[u8; 4]],
    vectors: &'a [[u8; 4]],
    // Invariant L2: each correlation is UTF-8.
    correlations: &'a [u8],
    values: ValuesReader<'a>,
    notes: NotesReader<'a>,
    attributes: &'a [u8],
}

impl<'a> BlockReader<'a> {
    /// `first` is the sequence of the block's first entry. Allocates nothing.
    pub(crate) fn new(first: Sequence, payload: &'a [u8]) -> Result<Self> {
        #[cfg(test)]
        looked_at::count();
        let (header, taken): (BlockHeader, usize) =
            codec::decode_front(payload).map_err(|error| format!("header: {error}"))?;
        // Before any room is asked for by these numbers.
        let plausible = header.events <= header.count && header.attributed <= header.events;
        let many = header.count > MOST_ROWS && !header.is_lost_range();
        if !plausible || many || header.count == 0 {
            return Err(format!(
                "{} entries, {} with an id, {} with attributes",
                header.count, header.events, header.attributed
            ));
        }
        let mut rest = payload.get(taken..).unwrap_or_default();
        let events = header.events as usize;
        let mut columns = [ColumnNumbers::default(); COLUMNS];
        for (index, (column, head)) in columns.iter_mut().zip(header.columns).enumerate() {
            *column = ColumnNumbers::split_off(head, events, &mut rest)
                .map_err(|why| format!("column {index} {why}"))?;
        }
        let column = |part: BlockColumn| &columns[part as usize];
        for part in NAMES {
            if !column(part).are_within(0..=NameId::MAX.into()) {
                return Err(format!("column {} is of no name ids", part as usize));
            }
        }
        let (flags, lengths) = (
            column(BlockColumn::Flags),
            column(BlockColumn::Probabilities),
        );
        // All flags are the lowest bits.
        if !flags.are_within(0..=flag::ALL.into()) {
            return Err("unknown flags".to_owned());
        }
        if !lengths.are_within(0..=i64::try_from(MOST).unwrap_or(0)) {
            return Err(format!("more than {MOST} probabilities"));
        }
        // After the bound of each: 16,384 lengths of at most 1,024 cannot overflow.
        let lengths = usize::try_from(lengths.sum(0..events)).unwrap_or(usize::MAX);
        // L1: the flags say how long the lists are that follow the columns.
        let given = with_flag(flags, 0..events, flag::NO_CONFIDENCE, false);
        let hashed = with_flag(flags, 0..events, flag::FEATURES, true);
        let confidences = split(&mut rest, 4 * given, || "confidences".to_owned())?;
        let features = split(&mut rest, 8 * hashed, || "features".to_owned())?;
        // A length that no payload has is refused by `split`.
        let bytes = lengths.saturating_mul(4);
        let probabilities = split(&mut rest, bytes, || "probabilities".to_owned())?;
        let drawn = with_flag(flags, 0..events, flag::PROPENSITY, true);
        let propensities = split(&mut rest, 4 * drawn, || "propensities".to_owned())?;
        let lengths = column(BlockColumn::Vector);
        if !lengths.are_within(0..=i64::try_from(MOST).unwrap_or(0)) {
            return Err(format!("more than {MOST} numbers in an action vector"));
        }
        let lengths = usize::try_from(lengths.sum(0..events)).unwrap_or(usize::MAX);
        let bytes = lengths.saturating_mul(4);
        let vectors = split(&mut rest, bytes, || "action vectors".to_owned())?;
        let lengths = column(BlockColumn::Correlation);
        if !lengths.are_within(0..=i64::try_from(LONGEST_CORRELATION + 1).unwrap_or(0)) {
            return Err("a correlation that is too long".to_owned());
        }
        let bytes = correlation_bytes(lengths, 0..events);
        let correlations = split(&mut rest, bytes, || "correlations".to_owned())?;
        let values = ValuesReader::split_off(header.value_columns, events, &mut rest)?;
        let notes =
            NotesReader::split_off(&header.notes, header.note_count(), header.count, &mut rest)?;
        // With attributes, the decoder of these finds what is too much.
        if header.attributed == 0 && !rest.is_empty() {
            return Err(behind(rest));
        }
        let reader = BlockReader {
            first,
            length: payload.len(),
            header,
            columns,
            confidences: confidences.as_chunks().0,
            features: features.as_chunks().0,
            probabilities: probabilities.as_chunks().0,
            propensities: propensities.as_chunks().0,
            vectors: vectors.as_chunks().0,
            correlations,
            values,
            notes,
            attributes: rest,
        };
        // L2, and nothing is looked at in the usual block.
        let are_texts = || reader.correlations().flatten().all(|text| text.is_ok());
        if !correlations.is_empty() && !are_texts() {
            return Err("a correlation that is no UTF-8".to_owned());
        }
        Ok(reader)
    }

    /// Whether merging it with others would gain next to nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= FULL_BYTES || self.header.count == MOST_ROWS
    }

    /// Whether the block is one gap in the place of all its entries.
    pub(super) fn is_lost_range(&self) -> bool {
        self.header.is_lost_range()
    }

    /// The sequences of the block's entries.
    pub(crate) fn sequences(&self) -> Range<Sequence> {
        self.first..self.first.saturating_add(self.header.count.into())
    }

    /// All entries; of a lost range, those that it stands for.
    pub(crate) fn entries(&self) -> u32 {
        self.header.count
    }

    /// Inferences and repeats.
    pub(crate) fn decisions(&self) -> u32 {
        self.header.events
    }

    /// All entries.
    pub(crate) fn rows(&self) -> Result<Vec<StoredEntry>> {
        let (notes, mut attributes) = (self.notes(|_| true)?, self.attributes()?);
        let mut notes = notes.into_iter().peekable();
        if self.header.is_lost_range() {
            return Ok(notes.map(|stored| self.entry(stored)).collect());
        }
        // At most 16,384, which the header was checked for; a lost range was answered above.
        let mut rows = Vec::with_capacity(self.header.count as usize);
        let mut walk = Walk::new(self, &mut attributes);
        for position in 0..self.header.count {
            let entry = match notes.next_if(|stored| stored.position == position) {
                Some(stored) => self.entry(stored),
                None => walk.row(walk.passed, self.sequence(position)),
            };
            rows.push(entry);
        }
        Ok(rows)
    }

    /// The decisions at `indexes`, which ascend without repeats and are each before
    /// [`decisions`](Self::decisions); each with its sequence.
    pub(super) fn rows_at(&self, indexes: &[(usize, Sequence)]) -> Result<Vec<StoredEntry>> {
        if indexes.is_empty() {
            return Ok(Vec::new());
        }
        let mut attributes = self.attributes()?;
        let mut walk = Walk::new(self, &mut attributes);
        let rows = indexes.iter();
        Ok(rows
            .map(|(index, sequence)| walk.row(*index, *sequence))
            .collect())
    }

    /// The inference or repeat with this id.
    pub(crate) fn find(&self, id: InferenceId) -> Result<Option<StoredEntry>> {
        let Some(index) = self.each_id().position(|known| known == id) else {
            return Ok(None);
        };
        let found = self.sequences_of([index]);
        Ok(self.rows_at(&found)?.pop())
    }

    /// The ids of all inferences and repeats.
    pub(crate) fn each_id(&self) -> impl Iterator<Item = InferenceId> + use<'_, 'a> {
        let (column, mut id) = (self.column(BlockColumn::Id), self.header.base_id);
        (0..self.header.events as usize).map(move |index| {
            id = id.at_distance(column.get(index));
            id
        })
    }

    /// What became of the inputs of decisions that were to keep theirs.
    pub(super) fn each_kept_input(&self) -> impl Iterator<Item = InputRef> + use<'_, 'a> {
        let flags = self.column(BlockColumn::Flags);
        let numbers = self.column(BlockColumn::Input);
        let is_of_input = |flags: i64| flags & i64::from(flag::OF_INPUT) != 0;
        // Most blocks have none.
        let has_some = flags.only().is_none_or(is_of_input);
        let ids = has_some.then(|| self.each_id().enumerate());
        ids.into_iter().flatten().filter_map(move |(index, id)| {
            let flags = flags.get(index);
            if flags & i64::from(flag::INPUT) != 0 {
                let number = InputNumber::at_distance(id, numbers.get(index));
                let names = NameId::NONE;
                return Some(InputRef::Kept { number, names });
            }
            is_of_input(flags).then_some(InputRef::GivenUp)
        })
    }

    /// The entry with this sequence, if the block has it.
    pub(crate) fn at(&self, sequence: Sequence) -> Result<Option<StoredEntry>> {
        if !self.sequences().contains(&sequence) {
            return Ok(None);
        }
        if self.header.is_lost_range() {
            return Ok(self.rows()?.pop());
        }
        // Within the block, which was asked above, so it fits.
        let position = u32::try_from(sequence.since(self.first)).unwrap_or(u32::MAX);
        // Decisions are counted without the notes between them.
        let before = self.notes.positions().take_while(|note| *note < position);
        let before = before.count();
        if let Some(stored) = self.notes.read(|note, _| note == position)?.pop() {
            return Ok(Some(self.entry(stored)));
        }
        let index = (position as usize).saturating_sub(before);
        Ok(self.rows_at(&[(index, sequence)])?.pop())
    }

    /// The outcomes of the inferences that are `wanted`, in order.
    pub(crate) fn outcomes(
        &self,
        wanted: impl Fn(InferenceId) -> bool,
    ) -> Result<Vec<StoredOutcome>> {
        let outcome = |stored: StoredNote| match stored.note {
            Note::Outcome(row) => Some(StoredOutcome {
                sequence: self.sequence(stored.position),
                recorded: Some(stored.recorded),
                row,
            }),
            _ => None,
        };
        let notes = self.notes(wanted)?;
        Ok(notes.into_iter().filter_map(outcome).collect())
    }

    /// The notes, without the outcomes of inferences that are not `wanted`.
    pub(super) fn notes(&self, wanted: impl Fn(InferenceId) -> bool) -> Result<Vec<StoredNote>> {
        self.notes.read(|_, of| wanted(of))
    }

    /// The attributes of the decisions that have any.
    fn attributes(&self) -> Result<Vec<StoredAttributes>> {
        let (mut found, mut rest) = (Vec::new(), self.attributes);
        for number in 0..self.header.attributed {
            let (value, taken) = codec::decode_front(rest)
                .map_err(|error| format!("attributes {number}: {error}"))?;
            rest = rest.get(taken..).unwrap_or_default();
            found.push(value);
        }
        match rest {
            [] => Ok(found),
            rest => Err(behind(rest)),
        }
    }

    /// Whether the attributes decode.
    pub(super) fn check_attributes(&self) -> Result<()> {
        self.attributes().map(drop)
    }

    pub(super) fn column(&self, part: BlockColumn) -> &ColumnNumbers<'a> {
        &self.columns[part as usize]
    }

    /// A column of name ids.
    pub(super) fn names(&self, part: BlockColumn, out: &mut Vec<NameId>) {
        self.column(part).unpack(out, name);
    }

    pub(super) fn ids(&self, out: &mut Vec<InferenceId>) {
        let mut id = self.header.base_id;
        self.column(BlockColumn::Id).unpack(out, |more| {
            id = id.at_distance(more);
            id
        });
    }

    /// When decisions were recorded.
    pub(super) fn recorded(&self, out: &mut Vec<Timestamp>) {
        let mut recorded = self.header.base_recorded;
        self.column(BlockColumn::Recorded).unpack(out, |more| {
            recorded = recorded.at_distance(more);
            recorded
        });
    }

    /// The event times of the decisions at `indexes`, which ascend.
    pub(super) fn event_times(
        &self,
        indexes: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = Timestamp> {
        let (column, event) = (
            self.column(BlockColumn::Recorded),
            self.column(BlockColumn::Event),
        );
        let (mut recorded, mut passed) = (self.header.base_recorded, 0);
        indexes.map(move |index| {
            recorded = recorded.at_distance(column.sum(passed..index + 1));
            passed = index + 1;
            recorded.at_distance(event.get(index))
        })
    }

    /// The confidences; NaN where there is none.
    pub(super) fn confidences(&self, out: &mut Vec<f32>) {
        let mut given = self.confidences.iter().copied().map(f32::from_le_bytes);
        out.clear();
        // The usual block, in which each decision has one: no flag is looked at.
        if self.confidences.len() == self.header.events as usize {
            out.extend(given);
            return;
        }
        self.column(BlockColumn::Flags).unpack(out, |flags| {
            if flags & i64::from(flag::NO_CONFIDENCE) == 0 {
                given.next().unwrap_or(f32::NAN)
            } else {
                f32::NAN
            }
        });
    }

    /// The correlation of each decision.
    fn correlations(
        &self,
    ) -> impl Iterator<Item = Option<std::result::Result<&'a str, Utf8Error>>> + use<'_, 'a> {
        let (column, mut rest) = (self.column(BlockColumn::Correlation), self.correlations);
        (0..self.header.events as usize).map(move |index| {
            let length = usize::try_from(column.get(index)).unwrap_or(0);
            let (bytes, behind) = rest.split_at_checked(length.checked_sub(1)?)?;
            rest = behind;
            Some(std::str::from_utf8(bytes))
        })
    }

    /// Keeps those of `indexes` whose decisions have this correlation.
    pub(super) fn retain_correlated(&self, wanted: &str, indexes: &mut Vec<usize>) {
        let length = i64::try_from(wanted.len() + 1).unwrap_or(i64::MAX);
        let column = self.column(BlockColumn::Correlation);
        // Lengths are looked at first: most blocks have no correlation at all.
        if !indexes.iter().any(|index| column.get(*index) == length) {
            return indexes.clear();
        }
        let mut correlations = self.correlations();
        let mut passed = 0;
        indexes.retain(|index| {
            let correlation = correlations.nth(index.saturating_sub(passed)).flatten();
            passed = index + 1;
            correlation == Some(Ok(wanted))
        });
    }

    /// Keeps those of `indexes` whose decisions have this cause.
    pub(super) fn retain_caused(&self, cause: InferenceId, indexes: &mut Vec<usize>) {
        let flags = self.column(BlockColumn::Flags);
        let has_cause = |flags: i64| flags & i64::from(flag::CAUSE) != 0;
        if flags.only().is_some_and(|flags| !has_cause(flags)) {
            return indexes.clear();
        }
        let column = self.column(BlockColumn::Cause);
        let (mut ids, mut passed) = (self.each_id(), 0);
        indexes.retain(|index| {
            let id = ids.nth(index.saturating_sub(passed));
            passed = index + 1;
            let distance = column.get(*index).wrapping_neg();
            has_cause(flags.get(*index)) && id.map(|id| id.at_distance(distance)) == Some(cause)
        });
    }

    /// The names of typed values.
    pub(super) fn value_names(&self) -> impl Iterator<Item = NameId> + use<'a> {
        self.values.names()
    }

    /// Begins to go through the predictions.
    pub(crate) fn predictions(&self) -> PredictionsWalk<'a> {
        PredictionsWalk(self.values.walk_predictions())
    }

    /// Keeps those of `indexes` whose decisions meet all conditions on attributes.
    pub(super) fn retain_attributed(
        &self,
        wanted: &[AttributeFilter],
        indexes: &mut Vec<usize>,
    ) -> Result<()> {
        if self.header.attributed == 0 && self.header.value_columns == 0 {
            indexes.clear();
            return Ok(());
        }
        let unbound = self.attributes()?;
        let mut walk = self.values.walk();
        indexes.retain(|index| {
            let place = unbound.binary_search_by_key(index, |of| of.0 as usize);
            let unbound = place.ok().and_then(|place| unbound.get(place));
            let unbound = unbound.map_or(&[][..], |of| &of.1);
            let bound = walk.of(*index);
            let bound: Vec<(NameId, Value)> = bound
                .filter(|(kind, ..)| *kind == ValueKind::Attribute)
                .map(|(_, name, value)| (name, value.to_value()))
                .collect();
            wanted.iter().all(|wanted| {
                let is_named = |name: NameId| wanted.id == Some(name);
                let mut bound = bound.iter().filter(|(name, _)| is_named(*name));
                let mut unbound = unbound.iter().filter(|(name, _)| *name == wanted.name);
                bound.any(|(_, value)| wanted.condition.is_met_by(value))
                    || unbound.any(|(_, value)| wanted.condition.is_met_by(value))
            })
        });
        Ok(())
    }

    /// The sequences of the decisions at `indexes`, which ascend.
    pub(super) fn sequences_of(
        &self,
        indexes: impl IntoIterator<Item = usize>,
    ) -> Vec<(usize, Sequence)> {
        let mut notes = self.notes.positions().peekable();
        let mut before = 0;
        let sequences = indexes.into_iter().map(|index| {
            // The positions of notes go off those of decisions.
            while notes
                .next_if(|note| *note as usize <= index + before)
                .is_some()
            {
                before += 1;
            }
            let position = u32::try_from(index + before).unwrap_or(u32::MAX);
            (index, self.sequence(position))
        });
        sequences.collect()
    }

    pub(super) fn sequence(&self, position: u32) -> Sequence {
        match self.header.is_lost_range() {
            true => self.first,
            false => self.first.saturating_add(position.into()),
        }
    }

    fn entry(&self, stored: StoredNote) -> StoredEntry {
        StoredEntry {
            sequence: self.sequence(stored.position),
            head: RowHead {
                id: InferenceId::NONE,
                recorded: stored.recorded,
                event: stored.recorded,
            },
            memory: 0,
            row: Row::Note(stored.note),
        }
    }
}

/// A number of a column of name ids, which `new` has checked.
fn name(number: i64) -> NameId {
    u32::try_from(number).map(NameId::new).unwrap_or_default()
}

fn behind(rest: &[u8]) -> String {
    format!("{} bytes after the last part", rest.len())
}

/// How many of `range` have the flag, or have it not.
fn with_flag(flags: &ColumnNumbers<'_>, range: Range<usize>, bit: u16, is_set: bool) -> usize {
    flags.count(range, |flags| (flags & i64::from(bit) != 0) == is_set)
}

/// Bytes of the correlations of `range`.
fn correlation_bytes(lengths: &ColumnNumbers<'_>, range: Range<usize>) -> usize {
    // Each is stored plus one, and without one is 0.
    let more = lengths.count(range.clone(), |length| length != 0);
    let sum = usize::try_from(lengths.sum(range)).unwrap_or(usize::MAX);
    sum.saturating_sub(more)
}

/// Goes forward through the predictions of a block.
pub(crate) struct PredictionsWalk<'a>(ValuesWalk<'a>);

impl PredictionsWalk<'_> {
    /// Those of the decision at `index`, which is not before one that was asked for; by name id.
    pub(crate) fn of(&mut self, index: usize) -> Vec<(NameId, f64)> {
        let values = self.0.of(index);
        let predictions = values.filter_map(|(_, name, value)| match value {
            TypedRef::F64(number) => Some((name, number)),
            _ => None,
        });
        predictions.collect()
    }
}

/// Goes forward through the decisions of a block: what is stored as a difference is summed up, and
/// so is what varies in length.
struct Walk<'w, 'a> {
    block: &'w BlockReader<'a>,
    /// Of the decisions that are not gone past; of others they have been given away.
    attributes: &'w mut [StoredAttributes],
    /// Decisions gone past; the current one is the last of them.
    passed: usize,
    id: InferenceId,
    recorded: Timestamp,
    /// Where the current one's parts of the lists begin.
    confidence: usize,
    features: usize,
    probabilities: usize,
    propensity: usize,
    vector: usize,
    correlation: usize,
    values: ValuesWalk<'a>,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn new(block: &'w BlockReader<'a>, attributes: &'w mut [StoredAttributes]) -> Self {
        Walk {
            block,
            attributes,
            passed: 0,
            id: block.header.base_id,
            recorded: block.header.base_recorded,
            confidence: 0,
            features: 0,
            probabilities: 0,
            propensity: 0,
            vector: 0,
            correlation: 0,
            values: block.values.walk(),
        }
    }

    /// Goes on to the decision at `index`, which is not before the current one.
    fn go_to(&mut self, index: usize) {
        // Sums of ranges and no steps: a query that selects one row of a thousand does not build
        // the others.
        let fresh = self.passed..index + 1;
        // From the row that was read last on: its own values have not been passed yet.
        let before = self.passed.saturating_sub(1)..index;
        let block = self.block;
        let sum = |part: BlockColumn| block.column(part).sum(fresh.clone());
        self.id = self.id.at_distance(sum(BlockColumn::Id));
        self.recorded = self.recorded.at_distance(sum(BlockColumn::Recorded));
        let flags = block.column(BlockColumn::Flags);
        self.confidence += with_flag(flags, before.clone(), flag::NO_CONFIDENCE, false);
        self.features += with_flag(flags, before.clone(), flag::FEATURES, true);
        let lengths = block.column(BlockColumn::Probabilities).sum(before.clone());
        self.probabilities += usize::try_from(lengths).unwrap_or(0);
        self.propensity += with_flag(flags, before.clone(), flag::PROPENSITY, true);
        let lengths = block.column(BlockColumn::Vector).sum(before.clone());
        self.vector += usize::try_from(lengths).unwrap_or(0);
        self.correlation += correlation_bytes(block.column(BlockColumn::Correlation), before);
        self.passed = index + 1;
    }

    /// The decision at `index`, which is not before the current one.
    fn row(&mut self, index: usize, sequence: Sequence) -> StoredEntry {
        self.go_to(index);
        let block = self.block;
        let number = |part: BlockColumn| block.column(part).get(index);
        let name = |part: BlockColumn| name(number(part));
        let names = NameIds {
            model: name(BlockColumn::Model),
            symbol: name(BlockColumn::Symbol),
            action: name(BlockColumn::Action),
            checkpoint: name(BlockColumn::Checkpoint),
        };
        let processing = number(BlockColumn::Processing).cast_unsigned();
        let flags = u16::try_from(number(BlockColumn::Flags)).unwrap_or_default();
        let confidence = match flags & flag::NO_CONFIDENCE {
            0 => self.block.confidences.get(self.confidence),
            _ => None,
        };
        let confidence = confidence.map(|bytes| f32::from_le_bytes(*bytes));
        let input = match flags & flag::OF_INPUT {
            0 => InputRef::NotKept,
            flag::INPUT => InputRef::Kept {
                number: InputNumber::at_distance(self.id, number(BlockColumn::Input)),
                names: name(BlockColumn::FeatureNames),
            },
            _ => InputRef::GivenUp,
        };
        let row = if flags & flag::REPEAT != 0 {
            Row::Repeat(RepeatRow {
                names,
                original: self
                    .id
                    // Stored as the distance back to the original, which is seldom far.
                    .at_distance(number(BlockColumn::Original).wrapping_neg()),
                confidence,
                processing,
                input,
            })
        } else {
            let features = match flags & flag::FEATURES {
                0 => None,
                _ => self.block.features.get(self.features),
            };
            let length = usize::try_from(number(BlockColumn::Probabilities)).unwrap_or(0);
            let probabilities = self.probabilities..self.probabilities.saturating_add(length);
            let probabilities = self.block.probabilities.get(probabilities);
            let probabilities = probabilities.unwrap_or_default().iter().copied();
            let (attributes, blobs) = self.take_attributes(index);
            Row::Inference(InferenceRow {
                names,
                labels: name(BlockColumn::Labels),
                // That there are features shows in the row itself.
                flags: flags & !(flag::FEATURES | flag::EXTRAS | flag::OF_INPUT),
                confidence: confidence.unwrap_or(f32::NAN),
                probabilities: Floats::collect(length, probabilities.map(f32::from_le_bytes)),
                features: features.map(|bytes| u64::from_le_bytes(*bytes)),
                input,
                processing,
                attributes,
                blobs,
                extras: self.extras(index, flags),
                values: self.values.stored(index),
            })
        };
        StoredEntry {
            sequence,
            head: RowHead {
                id: self.id,
                recorded: self.recorded,
                event: self.recorded.at_distance(number(BlockColumn::Event)),
            },
            memory: number(BlockColumn::Memory).cast_unsigned(),
            row,
        }
    }

    /// The extras of the current decision, which is at `index`.
    fn extras(&self, index: usize, flags: u16) -> Option<Box<OwnedExtras>> {
        let number = |part: BlockColumn| self.block.column(part).get(index);
        let length = usize::try_from(number(BlockColumn::Vector)).unwrap_or(0);
        let bytes = usize::try_from(number(BlockColumn::Correlation)).unwrap_or(0);
        // The usual decision has none, and is done here.
        if flags & flag::EXTRAS == 0 && length == 0 && bytes == 0 {
            return None;
        }
        let has = |bit: u16| flags & bit != 0;
        let propensity = self.block.propensities.get(self.propensity);
        let propensity = propensity.map(|bytes| f32::from_le_bytes(*bytes));
        let vector = self.vector..self.vector.saturating_add(length);
        let vector = self.block.vectors.get(vector).unwrap_or_default().iter();
        let vector: Box<[f32]> = vector.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let correlation = bytes.checked_sub(1).map(|bytes| {
            let bytes = self.correlation..self.correlation.saturating_add(bytes);
            let text = self.block.correlations.get(bytes).unwrap_or_default();
            // L2.
            std::str::from_utf8(text).unwrap_or_default()
        });
        let episode = EpisodeId::from_u64(number(BlockColumn::Episode).cast_unsigned());
        let step = number(BlockColumn::Step).cast_unsigned();
        Some(Box::new(OwnedExtras {
            propensity: propensity.filter(|_| has(flag::PROPENSITY)),
            vector,
            cause: has(flag::CAUSE).then(|| {
                self.id
                    .at_distance(number(BlockColumn::Cause).wrapping_neg())
            }),
            correlation: correlation.map(Into::into),
            step: has(flag::STEP).then_some((episode, step)),
        }))
    }

    /// Takes attributes and blobs of a decision, which is visited once.
    fn take_attributes(&mut self, index: usize) -> (Vec<(String, Value)>, Vec<BlobRow>) {
        // Stored in the order of their rows, with the number of the row.
        let known = self
            .attributes
            .binary_search_by_key(&index, |of| of.0 as usize);
        let known = known.ok().and_then(|head| self.attributes.get_mut(head));
        known.map_or_else(Default::default, |(_, attributes, blobs)| {
            (std::mem::take(attributes), std::mem::take(blobs))
        })
    }
}

/// How many blocks a thread has looked into: what a test bounds.
#[cfg(test)]
pub(crate) mod looked_at {
    use std::cell::Cell;

    thread_local! {
        static BLOCKS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        BLOCKS.set(BLOCKS.get() + 1);
    }

    /// Blocks that this thread looks into while `body` runs.
    pub(crate) fn during(body: impl FnOnce()) -> u64 {
        let before = BLOCKS.get();
        body();
        BLOCKS.get() - before
    }
}
