//! The notes of a block: columns of what every note has, and the rest of each, one behind the
//! other. The columns tell where the outcomes of an inference are, so the others stay undecoded.

use serde::{Deserialize, Serialize};

use super::codec;
use super::column::{Column, ColumnHead, ColumnNumbers};
use super::row::Note;
use crate::entry::ids::InferenceId;
use crate::entry::timestamp::Timestamp;

type Result<T> = std::result::Result<T, String>;

/// The columns of every note, in this order:
///
/// * its position in the block, less the position after the note before (or 0);
/// * its recorded time, less the one before (or the head's), microseconds;
/// * of an outcome, the id of its inference, less that of the outcome before (or the head's);
/// * of an outcome, the time when it turned out, less its recorded time;
/// * how many bytes the rest of it takes.
pub(super) const NOTE_COLUMNS: usize = 5;

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct NotesHead {
    base_recorded: Timestamp,
    base_of: InferenceId,
    pub(super) columns: [ColumnHead; NOTE_COLUMNS],
}

/// A note with its position in the block.
pub(super) struct StoredNote {
    pub(super) position: u32,
    pub(super) recorded: Timestamp,
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
    recorded: Option<(Timestamp, Timestamp)>,
    of: Option<(InferenceId, InferenceId)>,
    next_position: u32,
}

impl Notes {
    /// How many bytes longer a note of which `length` bytes are not in columns makes the block.
    pub(super) fn growth(
        &self,
        position: u32,
        recorded: Timestamp,
        note: &Note,
        length: usize,
    ) -> usize {
        let values = self.values(position, recorded, note, length);
        (self.count + 1) * self.column_bytes_with(&values) + self.rest.len() + length - self.bytes()
    }

    /// Appends a note; `rest` is its part outside the columns.
    pub(super) fn push(&mut self, position: u32, recorded: Timestamp, note: &Note, rest: &[u8]) {
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
        recorded: Timestamp,
        note: &Note,
        length: usize,
    ) -> [i64; NOTE_COLUMNS] {
        let before = self.recorded.map_or(recorded, |(_, last)| last);
        let (of, time) = match note {
            Note::Outcome(row) => {
                let before = self.of.map_or(row.of, |(_, last)| last);
                (
                    row.of.distance_from(before),
                    row.time.distance_from(recorded),
                )
            }
            _ => (0, 0),
        };
        [
            // Notes that follow each other have 0 here, which takes no room.
            i64::from(position) - i64::from(self.next_position),
            // Modulo 2^64: times at both ends of the range come back as they were.
            recorded.distance_from(before),
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
            base_recorded: self
                .recorded
                .map_or(Timestamp::default(), |(first, _)| first),
            base_of: self.of.map_or(InferenceId::NONE, |(first, _)| first),
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

/// The notes of a block that is read: found and measured, and decoded if they are asked for.
pub(super) struct NotesReader<'a> {
    base_recorded: Timestamp,
    base_of: InferenceId,
    // Invariant N1: positions ascend and lie within the block; lengths add up to those of `bytes`.
    positions: ColumnNumbers<'a>,
    recorded: ColumnNumbers<'a>,
    of: ColumnNumbers<'a>,
    times: ColumnNumbers<'a>,
    lengths: ColumnNumbers<'a>,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> NotesReader<'a> {
    /// The `count` notes at the front of `rest`, which begins behind them afterwards, of a block of
    /// `entries`.
    pub(super) fn split_off(
        head: &NotesHead,
        count: u32,
        entries: u32,
        rest: &mut &'a [u8],
    ) -> Result<Self> {
        let count = count as usize;
        let mut columns = [ColumnNumbers::default(); NOTE_COLUMNS];
        for (index, (column, head)) in columns.iter_mut().zip(head.columns).enumerate() {
            *column = ColumnNumbers::split_off(head, count, rest)
                .map_err(|why| format!("column {index} of notes {why}"))?;
        }
        let [positions, recorded, of, times, lengths] = columns;
        let (mut next, mut bytes) = (0_i64, 0_usize);
        for note in 0..count {
            // Each position is after the one before, and within the block.
            let position = next.checked_add(positions.get(note));
            let position = position.filter(|place| (next..entries.into()).contains(place));
            next = position.ok_or("the notes are out of order")? + 1;
            let length = usize::try_from(lengths.get(note)).ok();
            let end = length.and_then(|length| bytes.checked_add(length));
            bytes = end
                .filter(|end| *end <= rest.len())
                .ok_or_else(|| format!("note {note} ends behind the block"))?;
        }
        Ok(NotesReader {
            base_recorded: head.base_recorded,
            base_of: head.base_of,
            positions,
            recorded,
            of,
            times,
            lengths,
            count,
            bytes: split(rest, bytes, || "notes".to_owned())?,
        })
    }

    /// Their positions in the block, in order.
    pub(super) fn positions(&self) -> impl Iterator<Item = u32> + use<'_, 'a> {
        let mut next = 0_i64;
        (0..self.count).map(move |note| {
            // Checked when the block was read: wrapping only spares the checks here.
            let position = next.wrapping_add(self.positions.get(note));
            next = position.wrapping_add(1);
            u32::try_from(position).unwrap_or(u32::MAX)
        })
    }

    /// Those that are wanted by their position and by the inference that they are an outcome of, in
    /// order.
    pub(super) fn read(
        &self,
        wanted: impl Fn(u32, InferenceId) -> bool,
    ) -> Result<Vec<StoredNote>> {
        let mut found = Vec::new();
        let (mut recorded, mut of, mut rest) = (self.base_recorded, self.base_of, self.bytes);
        for (note, position) in self.positions().enumerate() {
            recorded = recorded.at_distance(self.recorded.get(note));
            of = of.at_distance(self.of.get(note));
            let length = usize::try_from(self.lengths.get(note)).unwrap_or(usize::MAX);
            let bytes = split(&mut rest, length, || format!("note {note}"))?;
            // Decoded only now: a note may be large, and most are not asked for.
            if !wanted(position, of) {
                continue;
            }
            let decoded = codec::decode(bytes).map_err(|error| format!("note {note}: {error}"))?;
            let mut stored = StoredNote {
                position,
                recorded,
                note: decoded,
            };
            if let Note::Outcome(row) = &mut stored.note {
                (row.of, row.time) = (of, recorded.at_distance(self.times.get(note)));
            }
            found.push(stored);
        }
        Ok(found)
    }
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
