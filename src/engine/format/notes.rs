//! The notes of a block: columns of what every note has, and the rest of each, one behind the
//! other. The columns tell where the outcomes of an inference are, so the others stay undecoded.

use serde::{Deserialize, Serialize};

use super::codec;
use super::column::{Column, ColumnHead, unpack};
use super::row::Note;

type Result<T> = std::result::Result<T, String>;

/// The columns of every note, in this order:
///
/// * its position in the block, less the position after the note before (or 0);
/// * its recorded time, less the one before (or the head's), microseconds;
/// * of an outcome, the id of its inference, less that of the outcome before (or the head's);
/// * of an outcome, the time when it turned out, less its recorded time;
/// * how many bytes the rest of it takes.
pub(super) const NOTE_COLUMNS: usize = 5;

#[derive(Serialize, Deserialize, Debug, Default)]
pub(super) struct NotesHead {
    base_recorded: i64,
    base_of: u64,
    pub(super) columns: [ColumnHead; NOTE_COLUMNS],
}

/// A note with its position in the block.
pub(super) struct StoredNote {
    pub(super) position: u32,
    pub(super) recorded: i64,
    pub(super) note: Note,
}

/// Notes that are being collected.
#[derive(Default)]
pub(super) struct Notes {
    columns: [Column; NOTE_COLUMNS],
    /// Bytes that each note takes in the columns.
    column_bytes: usize,
    rest: Vec<u8>,
    count: usize,
    /// Recorded time of the first and last note, id of the first and last outcome's inference.
    recorded: Option<(i64, i64)>,
    of: Option<(u64, u64)>,
    next_position: u32,
}

impl Notes {
    /// How many bytes longer a note of which `length` bytes are not in columns makes the block.
    pub(super) fn growth(&self, position: u32, recorded: i64, note: &Note, length: usize) -> usize {
        let values = self.values(position, recorded, note, length);
        (self.count + 1) * self.column_bytes_with(&values) + self.rest.len() + length - self.bytes()
    }

    /// Appends a note; `rest` is its part outside the columns.
    pub(super) fn push(&mut self, position: u32, recorded: i64, note: &Note, rest: &[u8]) {
        let values = self.values(position, recorded, note, rest.len());
        self.column_bytes = self.column_bytes_with(&values);
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value, self.count);
        }
        self.rest.extend_from_slice(rest);
        self.recorded = Some((self.recorded.map_or(recorded, |(first, _)| first), recorded));
        if let Note::Outcome(row) = note {
            self.of = Some((self.of.map_or(row.of, |(first, _)| first), row.of));
        }
        self.next_position = position + 1;
        self.count += 1;
    }

    fn values(
        &self,
        position: u32,
        recorded: i64,
        note: &Note,
        length: usize,
    ) -> [i64; NOTE_COLUMNS] {
        let before = self.recorded.map_or(recorded, |(_, last)| last);
        let (of, time) = match note {
            Note::Outcome(row) => {
                let before = self.of.map_or(row.of, |(_, last)| last);
                let of = row.of.wrapping_sub(before).cast_signed();
                (of, row.time.wrapping_sub(recorded))
            }
            _ => (0, 0),
        };
        [
            i64::from(position) - i64::from(self.next_position),
            recorded.wrapping_sub(before),
            of,
            time,
            i64::try_from(length).unwrap_or(i64::MAX),
        ]
    }

    fn column_bytes_with(&self, values: &[i64; NOTE_COLUMNS]) -> usize {
        let columns = self.columns.iter().zip(values);
        columns
            .map(|(column, value)| column.width_with(*value))
            .sum()
    }

    /// Bytes that the notes take.
    pub(super) fn bytes(&self) -> usize {
        self.count * self.column_bytes + self.rest.len()
    }

    pub(super) fn head(&self) -> NotesHead {
        NotesHead {
            base_recorded: self.recorded.map_or(0, |(first, _)| first),
            base_of: self.of.map_or(0, |(first, _)| first),
            columns: std::array::from_fn(|column| self.columns[column].head()),
        }
    }

    /// Appends columns and notes to `out` and forgets them.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>) {
        for column in &mut self.columns {
            column.pack(out);
        }
        out.append(&mut self.rest);
        *self = Notes {
            columns: std::mem::take(&mut self.columns),
            rest: std::mem::take(&mut self.rest),
            ..Notes::default()
        };
    }
}

/// The `count` notes at the front of `rest`, which begins behind them afterwards; without the
/// outcomes of inferences that are not `wanted`.
pub(super) fn read(
    head: &NotesHead,
    count: u32,
    block: u32,
    rest: &mut &[u8],
    wanted: impl Fn(u64) -> bool,
) -> Result<Vec<StoredNote>> {
    let count = count as usize;
    let mut found = Vec::new();
    let mut columns: [Vec<i64>; NOTE_COLUMNS] = Default::default();
    for (index, (column, head)) in columns.iter_mut().zip(head.columns).enumerate() {
        if head.width() > 8 {
            return Err(format!(
                "column {index} of notes is {} bytes wide",
                head.width()
            ));
        }
        let bytes = split(rest, head.width() * count, || {
            format!("column {index} of notes")
        })?;
        *column = unpack(head, bytes, count);
    }
    let [positions, recorded, of, times, lengths] = columns;
    let (mut position, mut at, mut id) = (0_i64, head.base_recorded, head.base_of);
    for note in 0..count {
        let value = |column: &[i64]| column.get(note).copied().unwrap_or(0);
        // Each position is after the one before, and within the block.
        let next = position.checked_add(value(&positions));
        let known = next.filter(|next| (position..block.into()).contains(next));
        let place = known.and_then(|place| u32::try_from(place).ok());
        let place = place.ok_or("the notes are out of order")?;
        position = i64::from(place) + 1;
        at = at.wrapping_add(value(&recorded));
        id = id.wrapping_add_signed(value(&of));
        let length = usize::try_from(value(&lengths)).unwrap_or(usize::MAX);
        let bytes = split(rest, length, || format!("note {note}"))?;
        if !wanted(id) {
            continue;
        }
        let decoded = codec::decode(bytes).map_err(|error| format!("note {note}: {error}"))?;
        let mut stored = StoredNote {
            position: place,
            recorded: at,
            note: decoded,
        };
        if let Note::Outcome(row) = &mut stored.note {
            (row.of, row.time) = (id, at.wrapping_add(value(&times)));
        }
        found.push(stored);
    }
    Ok(found)
}

/// The next `bytes` of `rest`, which begins behind them afterwards.
pub(super) fn split<'a>(
    rest: &mut &'a [u8],
    bytes: usize,
    what: impl Fn() -> String,
) -> Result<&'a [u8]> {
    let (part, behind) = rest
        .split_at_checked(bytes)
        .ok_or_else(|| format!("{} has {} of {bytes} bytes", what(), rest.len()))?;
    *rest = behind;
    Ok(part)
}
