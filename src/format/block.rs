//! Blocks: runs of encoded rows, the unit that is stored, checked and read.
//!
//! A block's value is `[checksum][header][row]…`. No block is ever extended, so whoever has read
//! a block has read it for ever.

use std::ops::Range;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use super::CHECKSUM_BYTES;
use super::codec;
use super::row::{CheckpointEventRow, GapRow, InferenceRow, RepeatRow, Row, SystemEventRow};

/// redb stores large values in runs of 2^k pages of 4,096 bytes and needs 16 bytes of the first.
const VALUE_BYTES: usize = 65_520;
/// The header's largest size: a count and two 64-bit numbers, each with a length byte.
const HEADER_BYTES: usize = 5 + 9 + 9;
const ROWS_BYTES: usize = VALUE_BYTES - CHECKSUM_BYTES - HEADER_BYTES;

/// Ids are indexed in buckets of this many bits.
pub(crate) const ID_BUCKET_BITS: u32 = 8;
pub(crate) const HOUR_MICROS: i64 = 3_600_000_000;
const SECOND_MICROS: i64 = 1_000_000;

#[derive(Serialize, Deserialize)]
struct Header {
    count: u32,
    base_id: u64,
    base_recorded: i64,
}

/// Kinds of entry that are rare enough to be indexed one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    Gap = 1,
    SystemEvent = 2,
    CheckpointEvent = 3,
}

/// A finished block and what its indexes need.
#[derive(Debug)]
pub(crate) struct Block {
    /// The stored value; its first bytes are room for the checksum.
    pub(crate) value: Vec<u8>,
    pub(crate) count: u32,
    /// Hours of event time since 1970, with the first and last second that the block touches.
    pub(crate) hours: Spans<i64>,
    /// Buckets of ids, with the first and last id within the bucket.
    pub(crate) ids: Spans<u64>,
    /// Kind and position of the rows that are indexed one by one.
    pub(crate) marks: Vec<(Mark, u32)>,
}

/// For each key, the lowest and highest value seen with it.
#[derive(Debug)]
pub(crate) struct Spans<K> {
    spans: Vec<(K, u16, u16)>,
    places: AHashMap<K, usize>,
    last: usize,
}

impl<K> Default for Spans<K> {
    fn default() -> Self {
        Spans {
            spans: Vec::new(),
            places: AHashMap::new(),
            last: 0,
        }
    }
}

impl<K: Copy + Eq + std::hash::Hash> Spans<K> {
    #[inline]
    fn cover(&mut self, key: K, value: u16) {
        // Neighbouring rows share their hour and their bucket, so the map is asked rarely.
        if self.spans.get(self.last).is_none_or(|span| span.0 != key) {
            self.last = *self.places.entry(key).or_insert_with(|| {
                self.spans.push((key, value, value));
                self.spans.len() - 1
            });
        }
        if let Some((_, low, high)) = self.spans.get_mut(self.last) {
            *low = (*low).min(value);
            *high = (*high).max(value);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, u16, u16)> {
        self.spans.iter()
    }
}

/// Where and when a row belongs, in absolute numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) recorded: i64,
    pub(crate) event: i64,
}

/// The values that the next row is stored as a difference to.
#[derive(Clone, Copy, Default)]
struct Previous {
    id: u64,
    recorded: i64,
    memory: u64,
}

/// Turns rows into blocks.
#[derive(Default)]
pub(crate) struct BlockEncoder {
    base: Previous,
    previous: Previous,
    rows: Vec<u8>,
    count: u32,
    hours: Spans<i64>,
    ids: Spans<u64>,
    marks: Vec<(Mark, u32)>,
    finished: Vec<Block>,
    finished_bytes: usize,
}

impl BlockEncoder {
    /// Appends an inference; `row`'s differences are filled in here. `memory` is KiB plus one.
    pub(crate) fn inference(&mut self, place: Place, memory: u64, row: &mut InferenceRow) {
        self.append(place, |previous, out| {
            row.id = difference(place.id, previous.id);
            row.recorded = place.recorded.wrapping_sub(previous.recorded);
            row.event = place.event.wrapping_sub(place.recorded);
            row.memory = difference(memory, previous.memory);
            previous.memory = memory;
            encode_variant(0, row, out);
        });
        self.index(place);
    }

    /// Appends a repeat of the inference `original`.
    pub(crate) fn repeat(&mut self, place: Place, original: u64, row: &mut RepeatRow) {
        self.append(place, |previous, out| {
            row.id = difference(place.id, previous.id);
            row.recorded = place.recorded.wrapping_sub(previous.recorded);
            row.event = place.event.wrapping_sub(place.recorded);
            row.original = difference(place.id, original);
            encode_variant(1, row, out);
        });
        self.index(place);
    }

    /// Appends a gap.
    pub(crate) fn gap(&mut self, recorded: i64, row: &mut GapRow) {
        self.append_marked(Mark::Gap, recorded, |difference, out| {
            row.recorded = difference;
            encode_variant(2, row, out);
        });
    }

    /// Appends a system event.
    pub(crate) fn system_event(&mut self, recorded: i64, row: &mut SystemEventRow) {
        self.append_marked(Mark::SystemEvent, recorded, |difference, out| {
            row.recorded = difference;
            encode_variant(3, row, out);
        });
    }

    /// Appends a checkpoint event.
    pub(crate) fn checkpoint_event(&mut self, recorded: i64, row: &mut CheckpointEventRow) {
        self.append_marked(Mark::CheckpointEvent, recorded, |difference, out| {
            row.recorded = difference;
            encode_variant(4, row, out);
        });
    }

    /// Appends a row that has no id and no place in the index of event times, but a mark.
    fn append_marked(
        &mut self,
        mark: Mark,
        recorded: i64,
        mut encode: impl FnMut(i64, &mut Vec<u8>),
    ) {
        let id = if self.count == 0 { 0 } else { self.previous.id };
        let place = Place {
            id,
            recorded,
            event: recorded,
        };
        self.append(place, |previous, out| {
            encode(recorded.wrapping_sub(previous.recorded), out);
        });
        self.marks.push((mark, self.count - 1));
    }

    fn append(&mut self, place: Place, mut encode: impl FnMut(&mut Previous, &mut Vec<u8>)) {
        if self.count == 0 {
            self.start(place);
        }
        let before = self.rows.len();
        let mut previous = self.previous;
        encode(&mut previous, &mut self.rows);
        // A row too large for any block has one of its own.
        if self.rows.len() > ROWS_BYTES && before > 0 {
            self.rows.truncate(before);
            self.finish();
            self.start(place);
            previous = self.previous;
            encode(&mut previous, &mut self.rows);
        }
        previous.id = place.id;
        previous.recorded = place.recorded;
        self.previous = previous;
        self.count += 1;
    }

    fn start(&mut self, place: Place) {
        self.base = Previous {
            id: place.id,
            recorded: place.recorded,
            memory: 0,
        };
        self.previous = self.base;
    }

    fn index(&mut self, place: Place) {
        let second = place.event.rem_euclid(HOUR_MICROS) / SECOND_MICROS;
        let within = place.id & ((1 << ID_BUCKET_BITS) - 1);
        self.hours.cover(
            place.event.div_euclid(HOUR_MICROS),
            u16::try_from(second).unwrap_or(u16::MAX),
        );
        self.ids.cover(
            place.id >> ID_BUCKET_BITS,
            u16::try_from(within).unwrap_or(u16::MAX),
        );
    }

    fn finish(&mut self) {
        if self.count == 0 {
            return;
        }
        let header = Header {
            count: self.count,
            base_id: self.base.id,
            base_recorded: self.base.recorded,
        };
        let mut value = Vec::with_capacity(CHECKSUM_BYTES + HEADER_BYTES + self.rows.len());
        value.resize(CHECKSUM_BYTES, 0);
        encode(&header, &mut value);
        value.extend_from_slice(&self.rows);
        self.finished_bytes += value.len();
        self.finished.push(Block {
            value,
            count: self.count,
            hours: std::mem::take(&mut self.hours),
            ids: std::mem::take(&mut self.ids),
            marks: std::mem::take(&mut self.marks),
        });
        self.rows.clear();
        self.count = 0;
    }

    /// Bytes encoded and not yet taken.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.finished_bytes + self.rows.len()
    }

    /// All rows so far, as blocks; the encoder is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<Block> {
        self.finish();
        self.finished_bytes = 0;
        std::mem::take(&mut self.finished)
    }
}

fn difference(value: u64, base: u64) -> i64 {
    value.wrapping_sub(base).cast_signed()
}

fn encode_variant(variant: u8, row: &impl Serialize, out: &mut Vec<u8>) {
    // What bincode writes for `Row`, without building the enum around a borrowed row.
    out.push(variant);
    encode(row, out);
}

fn encode(value: &impl Serialize, out: &mut Vec<u8>) {
    let encoded = codec::encode_into(value, out);
    debug_assert!(encoded.is_ok(), "stored types have known lengths");
}

/// One row with its place in the journal.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) sequence: u64,
    pub(crate) place: Place,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
    pub(crate) row: Row,
}

impl Placed {
    /// Whether this row has an id of its own: an inference or a repeat.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self.row, Row::Inference(_) | Row::Repeat(_))
    }
}

/// Decodes the payload of the block whose first sequence is `first`.
pub(crate) fn decode(first: u64, payload: &[u8]) -> Result<Vec<Placed>, String> {
    let (header, taken): (Header, usize) =
        codec::decode_front(payload).map_err(|error| format!("header: {error}"))?;
    let mut rest = payload.get(taken..).unwrap_or_default();
    // A row has at least three bytes, so a damaged count cannot ask for more than is there.
    let plausible = (header.count as usize).min(rest.len() / 3 + 1);
    let mut rows = Vec::with_capacity(plausible);
    let mut previous = Previous {
        id: header.base_id,
        recorded: header.base_recorded,
        memory: 0,
    };
    for position in 0..u64::from(header.count) {
        let (row, taken): (Row, usize) =
            codec::decode_front(rest).map_err(|error| format!("row {position}: {error}"))?;
        rest = rest.get(taken..).unwrap_or_default();
        let (id, recorded, event) = match &row {
            Row::Inference(row) => {
                previous.memory = previous.memory.wrapping_add_signed(row.memory);
                (row.id, row.recorded, row.event)
            }
            Row::Repeat(row) => (row.id, row.recorded, row.event),
            Row::Gap(row) => (0, row.recorded, 0),
            Row::SystemEvent(row) => (0, row.recorded, 0),
            Row::CheckpointEvent(row) => (0, row.recorded, 0),
        };
        previous.id = previous.id.wrapping_add_signed(id);
        previous.recorded = previous.recorded.wrapping_add(recorded);
        rows.push(Placed {
            sequence: first.wrapping_add(position),
            place: Place {
                id: previous.id,
                recorded: previous.recorded,
                event: previous.recorded.wrapping_add(event),
            },
            memory: previous.memory,
            row,
        });
    }
    if rest.is_empty() {
        Ok(rows)
    } else {
        Err(format!("{} bytes after the last row", rest.len()))
    }
}

/// The count that a block's header states, for checks that need no rows.
pub(crate) fn count(payload: &[u8]) -> Result<u32, String> {
    let (header, _): (Header, usize) =
        codec::decode_front(payload).map_err(|error| format!("header: {error}"))?;
    Ok(header.count)
}

/// The sequences of a block.
pub(crate) fn sequences(first: u64, payload: &[u8]) -> Result<Range<u64>, String> {
    Ok(first..first.saturating_add(u64::from(count(payload)?)))
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
