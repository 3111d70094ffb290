//! Unreadable parts, and their substitute: a lost range, as a repair would write it.
//!
//! A block that does not decode costs its own entries and no more. A reader passes over it and gets
//! a lost range for it. So readers, followers, text files and statistics handle losses in one way,
//! repaired or not. A source remembers which sequences it has passed over.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::format::block::{BlockEncoder, RowHead, StoredEntry};
use super::format::row::{GapRow, Note, Row};
use super::format::{CHECKSUM_BYTES, codec};
use super::keys;
use super::kv::{Direction, ReadTransaction, Table};
use super::rebuilt_index::RebuiltIndex;
use crate::entry::gap::GapReason;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::threads::worker::lock;

/// Entries that one lost range can stand for.
const MOST_OF_HOLE: u64 = u32::MAX as u64;
/// Sequences that a journal can have lost in one stretch: four million million entries, which take
/// 150 terabytes. A larger extent was made up, and the lost ranges for it would fill the disk.
pub(crate) const MOST_LOST: u64 = 1 << 42;

/// The stretches that have been passed over, by their first sequence.
#[derive(Default)]
pub(crate) struct LostRanges {
    known: Mutex<BTreeMap<Sequence, Sequence>>,
    /// The indexes that were made anew last, because they cannot be read.
    rebuilt: Mutex<Option<Arc<RebuiltIndex>>>,
    /// The number of times that statistics went round unreadable rows of their tables.
    rollups: AtomicU64,
}

impl LostRanges {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Sequence, Sequence>> {
        lock(&self.known)
    }

    /// Remembers that `range` cannot be read.
    pub(crate) fn note(&self, range: Range<Sequence>) {
        let mut known = self.lock();
        let (mut start, mut end) = (range.start, range.end);
        // A touching stretch is merged with it: stretches stay apart and few.
        let touched: Vec<(Sequence, Sequence)> = known
            .range(..=end)
            .rev()
            .map(|(first, next)| (*first, *next))
            .take_while(|(_, next)| *next >= start)
            .collect();
        for (first, next) in touched {
            known.remove(&first);
            (start, end) = (start.min(first), end.max(next));
        }
        known.insert(start, end);
    }

    /// Remembers that rows of the statistics' tables cannot be read.
    pub(crate) fn note_rollups(&self) {
        self.rollups.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of times that this was met.
    pub(crate) fn rollups(&self) -> u64 {
        self.rollups.load(Ordering::Relaxed)
    }

    pub(crate) fn rebuilt(&self) -> MutexGuard<'_, Option<Arc<RebuiltIndex>>> {
        lock(&self.rebuilt)
    }

    /// All of them, in order.
    pub(crate) fn list(&self) -> Vec<Range<Sequence>> {
        let known = self.lock();
        known.iter().map(|(first, next)| *first..*next).collect()
    }

    /// How many entries they are.
    pub(crate) fn entries(&self) -> u64 {
        let known = self.lock();
        let lengths = known.iter().map(|(first, next)| next.since(*first));
        lengths.fold(0, u64::saturating_add)
    }
}

/// The event times of blocks, by their first sequence, as the index knows them.
pub(crate) type BlockTimes = BTreeMap<Sequence, (Timestamp, Timestamp)>;

/// Takes in a row of the index of event times.
pub(crate) fn see_times(times: &mut BlockTimes, key: &[u8], value: &[u8]) {
    let place = keys::first_number(key).zip(keys::second_number(key));
    let seconds: Option<(u16, u16)> = codec::decode(value).ok();
    if let (Some((hour, first)), Some((low, high))) = (place, seconds) {
        let start = Timestamp::of_hour(keys::unordered(hour));
        let second = |number: u16| start.moved_by(i64::from(number).saturating_mul(1_000_000));
        let (low, high) = (second(low), second(high).moved_by(999_999));
        let known = times.entry(first).or_insert((low, high));
        *known = (known.0.min(low), known.1.max(high));
    }
}

/// The event times of all blocks of a file. Rows that cannot be read are left out.
pub(crate) fn times_of(snapshot: &ReadTransaction<'_>) -> BlockTimes {
    let mut times = BlockTimes::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    // Rows that the engine cannot reach are unknown; the others are read.
    let _ = snapshot.reach(
        Table::Hours,
        everything,
        Direction::Ascending,
        |key, value| {
            if let Ok(value) = value {
                see_times(&mut times, key, value);
            }
            ControlFlow::Continue(())
        },
    );
    times
}

/// The first and last event time of the blocks in `range`; `None` if none of them has decisions.
pub(crate) fn spanned(
    times: &BlockTimes,
    range: &Range<Sequence>,
) -> Option<(Timestamp, Timestamp)> {
    if range.is_empty() {
        return None;
    }
    let known = times.range(range.clone()).map(|(_, times)| *times);
    known.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

/// Known facts about entries that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostFacts {
    /// The run that all of them are of; 0 if that is not known.
    pub(crate) run: u32,
    /// When the entry beside them was recorded.
    pub(crate) recorded: Timestamp,
    /// The first and last event time.
    pub(crate) event_range: Option<(Timestamp, Timestamp)>,
}

/// The run of entries between one of `before` and one of `behind`: theirs, if that is the same one.
/// Of two entries only one may be there, and a lost range says nothing.
pub(crate) fn run_between(before: Option<u32>, behind: Option<u32>) -> u32 {
    let known = |run: Option<u32>| run.filter(|run| *run > 0);
    match (known(before), known(behind)) {
        (Some(before), Some(behind)) if before == behind => before,
        (Some(run), None) | (None, Some(run)) => run,
        _ => 0,
    }
}

/// Lost ranges that stand for `range`, in order.
pub(crate) fn lost_ranges(
    range: Range<Sequence>,
    known: LostFacts,
) -> impl Iterator<Item = StoredEntry> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        let count = range.end.since(next).min(MOST_OF_HOLE);
        let sequence = next;
        next = next.saturating_add(count);
        (count > 0).then(|| lost_range(sequence, count, known))
    })
}

fn lost_range(sequence: Sequence, count: u64, known: LostFacts) -> StoredEntry {
    StoredEntry {
        sequence,
        head: RowHead {
            recorded: known.recorded,
            ..RowHead::default()
        },
        memory: 0,
        row: Row::Note(Note::Gap(GapRow {
            run: known.run,
            reason: GapReason::Damaged,
            count: Some(count),
            after: None,
            recorded_range: None,
            event_range: known.event_range,
            refusal: None,
        })),
    }
}

/// A lost range as the bytes of a block.
pub(crate) fn payload_of(lost_range: &StoredEntry) -> Result<Vec<u8>, String> {
    let mut encoder = BlockEncoder::default();
    encoder.again(lost_range)?;
    let block = encoder.take().pop().ok_or("a lost range takes a block")?;
    let payload = block.value.get(CHECKSUM_BYTES..);
    Ok(payload.unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_become_one() {
        let range = |start, end| Sequence::new(start)..Sequence::new(end);
        let losses = LostRanges::default();
        for (start, end) in [(10, 20), (40, 50), (20, 30), (15, 18), (5, 10)] {
            losses.note(range(start, end));
        }
        assert_eq!(losses.list(), [range(5, 30), range(40, 50)]);
        losses.note(range(29, 41));
        assert_eq!(losses.list(), [range(5, 50)]);
        losses.note(range(6, 7));
        assert_eq!(losses.list(), [range(5, 50)]);
        assert_eq!(losses.entries(), 45);
    }

    #[test]
    fn entries_between_two_of_a_run_are_of_it() {
        for (before, behind, run) in [
            (Some(3), Some(3), 3),
            (Some(3), Some(4), 0),
            (Some(3), None, 3),
            (None, Some(4), 4),
            (Some(0), Some(4), 4),
            (None, None, 0),
        ] {
            assert_eq!(run_between(before, behind), run, "{before:?}, {behind:?}");
        }
    }

    #[test]
    fn a_long_stretch_takes_several_lost_ranges() {
        let most = MOST_OF_HOLE;
        let all: Vec<StoredEntry> = lost_ranges(
            Sequence::new(7)..Sequence::new(most + 17),
            LostFacts::default(),
        )
        .collect();
        let places: Vec<(u64, u64)> = all
            .iter()
            .map(|lost_range| (lost_range.sequence.get(), lost_range.next().get()))
            .collect();
        assert_eq!(places, [(7, most + 7), (most + 7, most + 17)]);
    }
}
