//! The tables of blocks in one file, the hot one or a segment: blocks by sequence, by hour of event
//! time and by id. Every function works within one snapshot.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow, Range};
use std::path::Path;

use super::keys;
use super::kv::{Direction, Snapshot, Table};
use super::meta::damaged;
use crate::error::{Error, Result};
use crate::format::CHECKSUM_BYTES;
use crate::format::block::Placed;
use crate::format::block_index::{HOUR_MICROS, Mark};
use crate::format::codec;
use crate::format::spans::id_bucket;
use crate::format::view::BlockView;

/// A decoded block and the sequence of its first row.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) first: u64,
    /// The sequence after its last entry.
    pub(crate) next: u64,
    pub(crate) rows: Vec<Placed>,
    /// What it takes in its file.
    pub(crate) bytes: usize,
}

impl Located {
    /// What it counts for in a piece that is bounded by bytes.
    fn cost(&self) -> usize {
        self.bytes
            .max(self.rows.len().saturating_mul(LEAST_OF_ENTRY))
    }
}

/// A place in the index of event times: an hour since 1970, and a block that touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HourPlace {
    pub(crate) hour: i64,
    pub(crate) first: u64,
}

/// Bytes that each entry counts for at least where pieces are bounded by bytes: entries whose
/// columns are equal take none in their block, and some two hundred in memory.
const LEAST_OF_ENTRY: usize = 32;

/// The blocks of one file.
pub(super) struct Blocks<'s, 'k> {
    pub(super) snapshot: &'s Snapshot<'k>,
    pub(super) path: &'s Path,
    /// The sequences that are meant. Others in the file are leftovers.
    pub(super) range: Range<u64>,
}

impl Blocks<'_, '_> {
    /// Blocks that hold `from` and what follows, oldest first, until `budget` bytes are read.
    pub(super) fn after(&self, from: u64, budget: usize) -> Result<Vec<Located>> {
        let mut found = Vec::new();
        if !self.range.contains(&from) {
            return Ok(found);
        }
        let mut expected = self.first_of_block_with(from)?;
        let mut bytes = 0_usize;
        let (start, end) = (keys::number(expected), keys::number(self.range.end));
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        self.snapshot.scan(
            Table::Blocks,
            range,
            Direction::Ascending,
            |key, payload| {
                let located = self.locate(key, payload)?;
                if located.first != expected {
                    return Err(self.missing(expected, located.first));
                }
                expected = located.next;
                bytes = bytes.saturating_add(located.cost());
                found.push(located);
                Ok(go_on(bytes < budget))
            },
        )?;
        if bytes < budget && expected != self.range.end {
            return Err(self.missing(expected, self.range.end));
        }
        Ok(found)
    }

    /// The bytes of the blocks that hold `from` and what follows, each with the sequence that it
    /// begins at, oldest first, until `see` breaks.
    pub(super) fn payloads(
        &self,
        from: u64,
        mut see: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if !self.range.contains(&from) {
            return Ok(());
        }
        let mut expected = self.first_of_block_with(from)?;
        let mut broken_off = false;
        let (start, end) = (keys::number(expected), keys::number(self.range.end));
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        self.snapshot.scan(
            Table::Blocks,
            range,
            Direction::Ascending,
            |key, payload| {
                let first = self.first_of(key)?;
                if first != expected {
                    return Err(self.missing(expected, first));
                }
                expected = BlockView::new(first, payload)
                    .map_err(|why| self.broken(first, &why))?
                    .sequences()
                    .end;
                let flow = see(first, payload)?;
                broken_off = flow.is_break();
                Ok(flow)
            },
        )?;
        if !broken_off && expected != self.range.end {
            return Err(self.missing(expected, self.range.end));
        }
        Ok(())
    }

    /// The bytes of the block that begins at `first`.
    pub(super) fn payload(
        &self,
        first: u64,
        see: impl FnOnce(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let key = keys::number(first);
        let seen = self
            .snapshot
            .get(Table::Blocks, &key, |payload| see(first, payload))?;
        seen.unwrap_or_else(|| Err(self.missing(first, first.saturating_add(1))))
    }

    /// Blocks that begin before `until`, newest first, until `budget` bytes are read.
    pub(super) fn before(&self, until: u64, budget: usize) -> Result<Vec<Located>> {
        let until = until.min(self.range.end);
        let mut found: Vec<Located> = Vec::new();
        let mut bytes = 0_usize;
        let (start, end) = (keys::number(self.range.start), keys::number(until));
        if until <= self.range.start {
            return Ok(found);
        }
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        self.snapshot.scan(
            Table::Blocks,
            range,
            Direction::Descending,
            |key, payload| {
                let located = self.locate(key, payload)?;
                let after = located.next;
                // The newest block may hold `until` itself; all others end where the next begins.
                let dense = found
                    .last()
                    .map_or(after >= until, |newer| newer.first == after);
                if !dense {
                    let newer = found.last().map_or(until, |newer| newer.first);
                    return Err(self.missing(after, newer));
                }
                bytes = bytes.saturating_add(located.cost());
                found.push(located);
                Ok(go_on(bytes < budget))
            },
        )?;
        let oldest = found.last().map_or(until, |located| located.first);
        if bytes < budget && oldest > self.range.start {
            return Err(self.missing(self.range.start, oldest));
        }
        Ok(found)
    }

    /// The block that holds `sequence`.
    pub(super) fn block_with(&self, sequence: u64) -> Result<Located> {
        let first = self.first_of_block_with(sequence)?;
        let key = keys::number(first);
        let found = self
            .snapshot
            .get(Table::Blocks, &key, |payload| self.locate(&key, payload))?;
        found.unwrap_or_else(|| Err(self.missing(first, first.saturating_add(1))))
    }

    /// Shows the block that begins at `first` to `see`.
    pub(super) fn look_into<T>(
        &self,
        first: u64,
        see: impl FnOnce(BlockView<'_>) -> Result<T, String>,
    ) -> Result<T> {
        let key = keys::number(first);
        let seen = self.snapshot.get(Table::Blocks, &key, |payload| {
            BlockView::new(first, payload)
                .and_then(see)
                .map_err(|why| self.broken(first, &why))
        })?;
        seen.unwrap_or_else(|| Err(self.missing(first, first.saturating_add(1))))
    }

    /// Up to `most` places of the index of event times whose seconds touch `from..=until`
    /// (microseconds), in `direction`: ascending from `start` on, descending from before it.
    pub(super) fn hours(
        &self,
        from: i64,
        until: i64,
        start: Option<HourPlace>,
        direction: Direction,
        most: usize,
    ) -> Result<Vec<HourPlace>> {
        let mut found = Vec::new();
        let hour = |micros: i64| keys::ordered(micros.div_euclid(HOUR_MICROS));
        let low = keys::pair(hour(from), 0);
        let high = keys::pair(hour(until), u64::MAX);
        let start = start.map(|place| keys::pair(keys::ordered(place.hour), place.first));
        let range = match (&start, direction) {
            (None, _) => (Bound::Included(&low[..]), Bound::Included(&high[..])),
            (Some(start), Direction::Ascending) => {
                (Bound::Included(&start[..]), Bound::Included(&high[..]))
            }
            (Some(start), Direction::Descending) => {
                (Bound::Included(&low[..]), Bound::Excluded(&start[..]))
            }
        };
        self.snapshot
            .scan(Table::Hours, range, direction, |key, value| {
                let (place, touched) = self.hour_place(key, value)?;
                let meant = self.range.contains(&place.first);
                if meant && touched.0 <= until && touched.1 >= from {
                    found.push(place);
                }
                Ok(go_on(found.len() < most))
            })?;
        Ok(found)
    }

    /// Every hour of event time that a block touches.
    pub(super) fn all_hours(&self) -> Result<BTreeSet<i64>> {
        let mut hours = BTreeSet::new();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let direction = Direction::Ascending;
        self.snapshot
            .scan(Table::Hours, everything, direction, |key, value| {
                hours.insert(self.hour_place(key, value)?.0.hour);
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(hours)
    }

    /// A row of the index of event times, with the first and last microsecond that it covers.
    fn hour_place(&self, key: &[u8], value: &[u8]) -> Result<(HourPlace, (i64, i64))> {
        let broken = |why: &str| damaged(self.path, "hours", why);
        let (hour, first) = keys::first_number(key)
            .zip(keys::second_number(key))
            .ok_or_else(|| broken("a key is too short"))?;
        let (low, high): (u16, u16) = codec::decode(value).map_err(|why| broken(&why))?;
        let hour = keys::unordered(hour);
        // The first hour that an i64 reaches begins before it does.
        let at = |second: u16, more: i128| {
            let micros =
                i128::from(hour) * i128::from(HOUR_MICROS) + i128::from(second) * 1_000_000 + more;
            let clamped = micros.clamp(i64::MIN.into(), i64::MAX.into());
            i64::try_from(clamped).unwrap_or_default()
        };
        let touched = (at(low, 0), at(high, 999_999));
        Ok((HourPlace { hour, first }, touched))
    }

    /// The inference or repeat with this id.
    pub(super) fn find(&self, id: u64) -> Result<Option<Placed>> {
        let (bucket, within) = id_bucket(id);
        let (start, end) = (keys::pair(bucket, 0), keys::pair(bucket, u64::MAX));
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut found = None;
        self.snapshot
            .scan(Table::Ids, range, Direction::Ascending, |key, value| {
                let broken = |why: &str| damaged(self.path, "ids", why);
                let (low, high): (u16, u16) = codec::decode(value).map_err(|why| broken(&why))?;
                let first = keys::second_number(key).ok_or_else(|| broken("a short key"))?;
                if !(low..=high).contains(&within) || !self.range.contains(&first) {
                    return Ok(ControlFlow::Continue(()));
                }
                found = self.look_into(first, |view| view.find(id))?;
                Ok(go_on(found.is_none()))
            })?;
        Ok(found)
    }

    /// The entry with this sequence.
    pub(super) fn at(&self, sequence: u64) -> Result<Option<Placed>> {
        if !self.range.contains(&sequence) {
            return Ok(None);
        }
        let first = self.first_of_block_with(sequence)?;
        let found = self.look_into(first, |view| view.at(sequence))?;
        found
            .map(Some)
            .ok_or_else(|| self.missing(sequence, sequence.saturating_add(1)))
    }

    /// Up to `most` sequences of entries of one kind, from `from` on.
    pub(super) fn marks(&self, mark: Mark, from: u64, most: usize) -> Result<Vec<u64>> {
        let start = keys::pair(mark as u64, from.max(self.range.start));
        let end = keys::pair(mark as u64, self.range.end);
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let mut found = Vec::new();
        if start >= end {
            return Ok(found);
        }
        self.snapshot
            .scan(Table::Marks, range, Direction::Ascending, |key, _| {
                let sequence = keys::second_number(key)
                    .ok_or_else(|| damaged(self.path, "marks", "a key is too short"))?;
                found.push(sequence);
                Ok(go_on(found.len() < most))
            })?;
        Ok(found)
    }

    /// Up to `most` sequences of entries of one kind before `until`, newest first.
    pub(super) fn marks_before(&self, mark: Mark, until: u64, most: usize) -> Result<Vec<u64>> {
        let start = keys::pair(mark as u64, self.range.start);
        let end = keys::pair(mark as u64, until.min(self.range.end));
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let mut found = Vec::new();
        if start >= end {
            return Ok(found);
        }
        self.snapshot
            .scan(Table::Marks, range, Direction::Descending, |key, _| {
                let sequence = keys::second_number(key)
                    .ok_or_else(|| damaged(self.path, "marks", "a key is too short"))?;
                found.push(sequence);
                Ok(go_on(found.len() < most))
            })?;
        Ok(found)
    }

    /// The ids of this bucket of [`ID_BUCKET_BITS`] that are here.
    pub(super) fn ids_of(&self, bucket: u64) -> Result<Vec<u64>> {
        let (start, end) = (keys::pair(bucket, 0), keys::pair(bucket, u64::MAX));
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut found = Vec::new();
        self.snapshot
            .scan(Table::Ids, range, Direction::Ascending, |key, _| {
                let first = keys::second_number(key)
                    .ok_or_else(|| damaged(self.path, "ids", "a short key"))?;
                if self.range.contains(&first) {
                    let ids = self.look_into(first, |view| view.ids())?;
                    found.extend(ids.into_iter().filter(|id| id_bucket(*id).0 == bucket));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(found)
    }

    /// The first sequence of the block that holds `sequence`.
    fn first_of_block_with(&self, sequence: u64) -> Result<u64> {
        let mut first = None;
        let end = keys::number(sequence);
        let range = (Bound::Unbounded, Bound::Included(&end[..]));
        self.snapshot.scan(
            Table::Blocks,
            range,
            Direction::Descending,
            |key, payload| {
                let start = self.first_of(key)?;
                let covered = BlockView::new(start, payload)
                    .map_err(|why| self.broken(start, &why))?
                    .sequences();
                if !covered.contains(&sequence) {
                    return Err(self.missing(covered.end, sequence.saturating_add(1)));
                }
                first = Some(start);
                Ok(ControlFlow::Break(()))
            },
        )?;
        Ok(first.unwrap_or(self.range.start))
    }

    fn first_of(&self, key: &[u8]) -> Result<u64> {
        keys::first_number(key).ok_or_else(|| damaged(self.path, "blocks", "a key is too short"))
    }

    fn locate(&self, key: &[u8], payload: &[u8]) -> Result<Located> {
        let first = self.first_of(key)?;
        let broken = |why: String| self.broken(first, &why);
        let view = BlockView::new(first, payload).map_err(broken)?;
        let rows = view.rows().map_err(broken)?;
        Ok(Located {
            first,
            next: view.sequences().end,
            rows,
            bytes: payload.len().saturating_add(CHECKSUM_BYTES),
        })
    }

    pub(super) fn broken(&self, first: u64, why: &str) -> Error {
        damaged(self.path, &format!("block {first}"), why)
    }

    fn missing(&self, from: u64, until: u64) -> Error {
        damaged(
            self.path,
            "blocks",
            &format!(
                "sequences {from} to {} are missing",
                until.saturating_sub(1)
            ),
        )
    }
}

pub(super) fn go_on(more: bool) -> ControlFlow<()> {
    if more {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}
