//! Reading a block: found and measured first, then as much of it decoded as is asked for.

use std::ops::Range;

use super::block::{COLUMNS, FULL_BYTES, Header, MOST_ROWS, Part, Place, Placed};
use super::codec;
use super::column::{ColumnHead, unpack};
use super::floats::{Floats, MOST};
use super::notes;
use super::notes::{StoredNote, split};
use super::row::{InferenceRow, NameId, Names, Note, OutcomeRow, RepeatRow, Row, Texts, flag};

type Result<T> = std::result::Result<T, String>;

/// A block whose columns have been found.
pub(crate) struct BlockView<'a> {
    first: u64,
    /// Bytes of the whole block.
    length: usize,
    header: Header,
    columns: [&'a [u8]; COLUMNS],
    /// The flat lists, the notes and the texts.
    rest: &'a [u8],
}

impl<'a> BlockView<'a> {
    /// `first` is the sequence of the block's first entry.
    pub(crate) fn new(first: u64, payload: &'a [u8]) -> Result<Self> {
        let (header, taken): (Header, usize) =
            codec::decode_front(payload).map_err(|error| format!("header: {error}"))?;
        let plausible = header.events <= header.count && header.texts <= header.events;
        let many = header.count > MOST_ROWS && !header.is_hole();
        if !plausible || many || header.count == 0 {
            return Err(format!(
                "{} entries, {} with an id, {} with texts",
                header.count, header.events, header.texts
            ));
        }
        let mut rest = payload.get(taken..).unwrap_or_default();
        let mut columns = [&[][..]; COLUMNS];
        for (index, head) in header.columns.iter().enumerate() {
            if head.width() > 8 {
                return Err(format!("column {index} is {} bytes wide", head.width()));
            }
            let bytes = head.width() * header.events as usize;
            columns[index] = split(&mut rest, bytes, || format!("column {index}"))?;
        }
        Ok(BlockView {
            first,
            length: payload.len(),
            header,
            columns,
            rest,
        })
    }

    /// Whether merging it with others would gain next to nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= FULL_BYTES || self.header.count == MOST_ROWS
    }

    /// The sequences of the block's entries.
    pub(crate) fn sequences(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.header.count.into())
    }

    /// All entries.
    pub(crate) fn rows(&self) -> Result<Vec<Placed>> {
        let mut events = Events::new(self)?;
        let mut notes = std::mem::take(&mut events.notes).into_iter().peekable();
        if self.header.is_hole() {
            return Ok(notes
                .map(|stored| placed_note(self.first, stored))
                .collect());
        }
        let mut rows = Vec::with_capacity(self.header.count as usize);
        for position in 0..self.header.count {
            let sequence = self.first.wrapping_add(position.into());
            let placed = match notes.next_if(|stored| stored.position == position) {
                Some(stored) => placed_note(sequence, stored),
                None => {
                    events.step()?;
                    events.row(sequence)?
                }
            };
            rows.push(placed);
        }
        Ok(rows)
    }

    /// The inference or repeat with this id.
    pub(crate) fn find(&self, id: u64) -> Result<Option<Placed>> {
        let mut events = Events::new(self)?;
        for _event in 0..self.header.events {
            events.step()?;
            if events.id == id {
                let sequence = self.first.wrapping_add(events.position().into());
                return events.row(sequence).map(Some);
            }
        }
        Ok(None)
    }

    /// The ids of all events.
    pub(crate) fn ids(&self) -> Result<Vec<u64>> {
        let mut events = Events::new(self)?;
        let mut ids = Vec::with_capacity(self.header.events as usize);
        for _event in 0..self.header.events {
            events.step()?;
            ids.push(events.id);
        }
        Ok(ids)
    }

    /// The entry with this sequence, if the block has it.
    pub(crate) fn at(&self, sequence: u64) -> Result<Option<Placed>> {
        if !self.sequences().contains(&sequence) {
            return Ok(None);
        }
        let mut events = Events::new(self)?;
        let position = if self.header.is_hole() {
            0
        } else {
            u32::try_from(sequence - self.first).unwrap_or(u32::MAX)
        };
        let known = events
            .notes
            .iter()
            .position(|stored| stored.position == position);
        if let Some(index) = known {
            let stored = events.notes.swap_remove(index);
            let sequence = self.first.wrapping_add(position.into());
            return Ok(Some(placed_note(sequence, stored)));
        }
        let notes = events
            .notes
            .partition_point(|stored| stored.position < position);
        for _event in 0..=(position as usize).saturating_sub(notes) {
            events.step()?;
        }
        events.row(sequence).map(Some)
    }

    /// The outcomes of the inferences that are `wanted`, in order: with their sequences.
    pub(crate) fn outcomes(&self, wanted: impl Fn(u64) -> bool) -> Result<Vec<(u64, OutcomeRow)>> {
        let notes = self.notes_alone(wanted)?;
        let outcome = |stored: StoredNote| match stored.note {
            Note::Outcome(row) => {
                let sequence = self.first.wrapping_add(stored.position.into());
                Some((sequence, row))
            }
            _ => None,
        };
        Ok(notes.into_iter().filter_map(outcome).collect())
    }

    /// The flat lists, measured by the columns that their lengths depend on.
    fn lists(&self) -> Result<Lists<'a>> {
        let flags = self.column(Part::Flags);
        let having = |bit: u8, set: bool| {
            let has = |flags: &&i64| (**flags & i64::from(bit) != 0) == set;
            flags.iter().filter(has).count()
        };
        let lengths = self.column(Part::Probabilities);
        let mut probabilities = 0;
        for length in &lengths {
            probabilities += usize::try_from(*length)
                .ok()
                .filter(|length| *length <= MOST)
                .ok_or_else(|| format!("{length} probabilities"))?;
        }
        let mut rest = self.rest;
        let mut list = |name: &str, bytes: usize| split(&mut rest, bytes, || name.to_owned());
        Ok(Lists {
            confidences: list("confidences", 4 * having(flag::NO_CONFIDENCE, false))?,
            features: list("features", 8 * having(flag::FEATURES, true))?,
            probabilities: list("probabilities", 4 * probabilities)?,
            flags,
            lengths,
            behind: rest,
        })
    }

    /// The notes at the front of `behind`, which begins behind them afterwards; without the
    /// outcomes of inferences that are not `wanted`.
    pub(super) fn notes(
        &self,
        behind: &mut &[u8],
        wanted: impl Fn(u64) -> bool,
    ) -> Result<Vec<StoredNote>> {
        let header = &self.header;
        let count = header.note_count();
        notes::read(&header.notes, count, header.count, behind, wanted)
    }

    /// The notes, without the outcomes of inferences that are not `wanted`.
    pub(super) fn notes_alone(&self, wanted: impl Fn(u64) -> bool) -> Result<Vec<StoredNote>> {
        let mut behind = self.lists()?.behind;
        self.notes(&mut behind, wanted)
    }

    fn column(&self, part: Part) -> Vec<i64> {
        let count = self.header.events as usize;
        unpack(self.head(part), self.bytes(part), count)
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// How a column is stored, and its bytes.
    pub(super) fn head(&self, part: Part) -> ColumnHead {
        self.header.columns[part as usize]
    }

    pub(super) fn bytes(&self, part: Part) -> &'a [u8] {
        self.columns[part as usize]
    }

    /// The bytes after the columns.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

fn placed_note(sequence: u64, stored: StoredNote) -> Placed {
    Placed {
        sequence,
        place: Place {
            id: 0,
            recorded: stored.recorded,
            event: stored.recorded,
        },
        memory: 0,
        row: Row::Note(stored.note),
    }
}

/// The flat lists of a block, and the columns with their lengths.
struct Lists<'a> {
    flags: Vec<i64>,
    lengths: Vec<i64>,
    confidences: &'a [u8],
    features: &'a [u8],
    probabilities: &'a [u8],
    /// The notes and the texts.
    behind: &'a [u8],
}

/// The events of a block, gone through in order: what varies in length has to be summed up.
struct Events<'a> {
    columns: [Vec<i64>; COLUMNS],
    /// The rest of the lists, from this event on.
    confidences: &'a [u8],
    features: &'a [u8],
    probabilities: &'a [u8],
    notes: Vec<StoredNote>,
    texts: Vec<(u32, Texts)>,
    /// Events stepped on so far; the current one is the last of them.
    steps: usize,
    id: u64,
    recorded: i64,
    flags: u8,
    probability_bytes: usize,
}

impl<'a> Events<'a> {
    fn new(view: &BlockView<'a>) -> Result<Self> {
        let Lists {
            flags,
            lengths,
            confidences,
            features,
            probabilities,
            mut behind,
        } = view.lists()?;
        let notes = view.notes(&mut behind, |_| true)?;
        let texts = listed(&mut behind, view.header.texts, "texts")?;
        if !behind.is_empty() {
            return Err(format!("{} bytes after the last part", behind.len()));
        }
        Ok(Events {
            columns: [
                view.column(Part::Id),
                view.column(Part::Recorded),
                view.column(Part::Event),
                view.column(Part::Original),
                view.column(Part::Model),
                view.column(Part::Symbol),
                view.column(Part::Action),
                view.column(Part::Checkpoint),
                view.column(Part::Labels),
                flags,
                lengths,
                view.column(Part::Processing),
                view.column(Part::Memory),
            ],
            confidences,
            features,
            probabilities,
            notes,
            texts,
            steps: 0,
            id: view.header.base_id,
            recorded: view.header.base_recorded,
            flags: flag::NO_CONFIDENCE,
            probability_bytes: 0,
        })
    }

    fn value(&self, part: Part) -> i64 {
        let event = self.steps.wrapping_sub(1);
        self.columns[part as usize].get(event).copied().unwrap_or(0)
    }

    /// Continues to the next decision.
    fn step(&mut self) -> Result<()> {
        // The lists of the event before are behind this point.
        if self.flags & flag::NO_CONFIDENCE == 0 {
            self.confidences = self.confidences.get(4..).unwrap_or_default();
        }
        if self.flags & flag::FEATURES != 0 {
            self.features = self.features.get(8..).unwrap_or_default();
        }
        let behind = self.probability_bytes;
        self.probabilities = self.probabilities.get(behind..).unwrap_or_default();
        self.steps += 1;
        let flags = u8::try_from(self.value(Part::Flags)).unwrap_or(u8::MAX);
        if flags & !flag::ALL != 0 {
            return Err(format!("flags {flags}"));
        }
        self.flags = flags;
        self.id = self.id.wrapping_add_signed(self.value(Part::Id));
        self.recorded = self.recorded.wrapping_add(self.value(Part::Recorded));
        // Measured by `new`.
        self.probability_bytes = usize::try_from(self.value(Part::Probabilities)).unwrap_or(0) * 4;
        Ok(())
    }

    /// The current event's position in the block: the notes before it count too.
    fn position(&self) -> u32 {
        let mut position = u32::try_from(self.steps)
            .unwrap_or(u32::MAX)
            .saturating_sub(1);
        for stored in &self.notes {
            position += u32::from(stored.position <= position);
        }
        position
    }

    /// The current event.
    fn row(&self, sequence: u64) -> Result<Placed> {
        let name = |part: Part| {
            let value = self.value(part);
            NameId::try_from(value).map_err(|_| format!("{value} is no name id"))
        };
        let names = Names {
            model: name(Part::Model)?,
            symbol: name(Part::Symbol)?,
            action: name(Part::Action)?,
            checkpoint: name(Part::Checkpoint)?,
        };
        let processing = self.value(Part::Processing).cast_unsigned();
        let has_confidence = self.flags & flag::NO_CONFIDENCE == 0;
        let row = if self.flags & flag::REPEAT != 0 {
            Row::Repeat(RepeatRow {
                names,
                original: self
                    .id
                    .wrapping_sub(self.value(Part::Original).cast_unsigned()),
                confidence: has_confidence.then(|| self.confidence()),
                processing,
                texts: self.texts(),
            })
        } else {
            Row::Inference(InferenceRow {
                names,
                labels: name(Part::Labels)?,
                flags: self.flags & !flag::FEATURES,
                confidence: self.confidence(),
                probabilities: self.probabilities(),
                features: self.features(),
                processing,
                texts: self.texts(),
            })
        };
        Ok(Placed {
            sequence,
            place: Place {
                id: self.id,
                recorded: self.recorded,
                event: self.recorded.wrapping_add(self.value(Part::Event)),
            },
            memory: self.value(Part::Memory).cast_unsigned(),
            row,
        })
    }

    fn confidence(&self) -> f32 {
        match self.confidences.first_chunk() {
            Some(bytes) if self.flags & flag::NO_CONFIDENCE == 0 => f32::from_le_bytes(*bytes),
            _ => f32::NAN,
        }
    }

    fn features(&self) -> Option<u64> {
        let bytes = self.features.first_chunk()?;
        (self.flags & flag::FEATURES != 0).then(|| u64::from_le_bytes(*bytes))
    }

    fn probabilities(&self) -> Floats {
        let bytes = self.probabilities.get(..self.probability_bytes);
        let (chunks, _) = bytes.unwrap_or_default().as_chunks();
        Floats::collect(
            chunks.len(),
            chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)),
        )
    }

    fn texts(&self) -> Option<Box<Texts>> {
        let event = u32::try_from(self.steps.wrapping_sub(1)).ok()?;
        let index = self
            .texts
            .binary_search_by_key(&event, |texts| texts.0)
            .ok()?;
        Some(Box::new(self.texts[index].1.clone()))
    }
}

/// The next `count` encoded values of `rest`, which begins behind them afterwards.
pub(super) fn listed<T: serde::de::DeserializeOwned>(
    rest: &mut &[u8],
    count: u32,
    what: &str,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for number in 0..count {
        let (value, taken) =
            codec::decode_front(rest).map_err(|error| format!("{what} {number}: {error}"))?;
        *rest = rest.get(taken..).unwrap_or_default();
        found.push(value);
    }
    Ok(found)
}
