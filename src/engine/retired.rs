//! All that has been retired, in one row. Its entries are gone, and statistics must know which
//! hours of event time are incomplete.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::format::codec;
use super::format::codec::{Stored, bounded};
use super::kv::{ReadTransaction, Table, WriteTransaction};
use super::meta::{damaged, sealed};
use super::segments::Registered;
use crate::entry::error::Result;
use crate::entry::timestamp::Timestamp;

const KEY: &[u8] = b"retired";

/// Bound on the ranges of hours. Beyond it the nearest are joined, so that the row stays small: an
/// hour that is whole may then count as retired, never the other way round.
const MOST_RANGES: usize = 2_048;

/// All that has been retired so far.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetiredRow {
    pub(crate) segments: u64,
    pub(crate) entries: u64,
    /// Inferences and repeats among them.
    pub(crate) events: u64,
    /// Of their segments' files.
    pub(crate) bytes: u64,
    /// First and last recorded time.
    pub(crate) recorded: Option<(Timestamp, Timestamp)>,
    /// When something was retired last.
    pub(crate) last: Timestamp,
    /// Hours of event time since 1970 that something was retired of.
    pub(crate) hours: HourRanges,
}

impl Stored for RetiredRow {
    fn check(&self) -> std::result::Result<(), String> {
        let counts = [self.segments, self.entries, self.events, self.bytes];
        let mut counts = counts.into_iter();
        counts.try_for_each(|count| bounded("a count", count))?;
        let ranges = &self.hours.0;
        let in_order = ranges.iter().all(|range| range.0 <= range.1)
            && ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
        if ranges.len() > MOST_RANGES || !in_order {
            return Err(format!("{} ranges of hours, out of order", ranges.len()));
        }
        Ok(())
    }
}

impl RetiredRow {
    pub(crate) fn add(&mut self, segment: &Registered, now: Timestamp) {
        let row = &segment.row;
        let entries = row.next.since(segment.first);
        self.segments = self.segments.saturating_add(1);
        self.entries = self.entries.saturating_add(entries);
        self.events = self.events.saturating_add(row.events);
        self.bytes = self.bytes.saturating_add(row.bytes);
        let (first, last) = self.recorded.unwrap_or(row.recorded);
        self.recorded = Some((first.min(row.recorded.0), last.max(row.recorded.1)));
        self.last = now;
    }
}

/// A set of hours: ranges with both ends, in order, none touching another.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HourRanges(Vec<(i64, i64)>);

impl HourRanges {
    /// Adds the hours from `first` to `last`.
    pub(crate) fn add(&mut self, first: i64, last: i64) {
        let start = self
            .0
            .partition_point(|range| range.1.saturating_add(1) < first);
        let (mut low, mut high) = (first, last);
        let mut end = start;
        while let Some(range) = self.0.get(end)
            && range.0 <= high.saturating_add(1)
        {
            low = low.min(range.0);
            high = high.max(range.1);
            end += 1;
        }
        self.0.splice(start..end, [(low, high)]);
        while self.0.len() > MOST_RANGES {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let between = |pair: &[(i64, i64)]| pair[1].0.abs_diff(pair[0].1);
        let pairs = self.0.windows(2).enumerate();
        let Some((nearest, _)) = pairs.min_by_key(|(_, pair)| between(pair)) else {
            return;
        };
        let (_, last) = self.0.remove(nearest + 1);
        if let Some(range) = self.0.get_mut(nearest) {
            range.1 = last;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().copied()
    }
}

/// Retired entries as `snapshot` shows them.
pub(crate) fn read(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<RetiredRow> {
    known(path, snapshot.get(Table::Meta, KEY, codec::decode)?)
}

pub(crate) fn to_write(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<RetiredRow> {
    known(path, transaction.get(Table::Meta, KEY, codec::decode)?)
}

fn known(path: &Path, stored: Option<Result<RetiredRow, String>>) -> Result<RetiredRow> {
    let stored = stored.unwrap_or_else(|| Ok(RetiredRow::default()));
    stored.map_err(|why| damaged(path, "meta retired", &why))
}

pub(crate) fn put(transaction: &mut WriteTransaction<'_>, row: &RetiredRow) -> Result<()> {
    transaction.put(Table::Meta, KEY, &mut sealed(row))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_hold_what_was_added_and_nothing_else(
            added in proptest::collection::vec((0_i64..200, 0_i64..5), 0..60),
        ) {
            let mut ranges = HourRanges::default();
            let mut hours = std::collections::BTreeSet::new();
            for (first, more) in added {
                ranges.add(first, first + more);
                hours.extend(first..=first + more);
            }
            let listed: Vec<i64> = ranges.iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(&listed, &hours.iter().copied().collect::<Vec<_>>());
            for pair in ranges.0.windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0);
            }
        }
    }

    #[test]
    fn there_are_never_too_many_ranges() {
        let mut ranges = HourRanges::default();
        for day in 0..10_000 {
            ranges.add(day * 24 + day % 3, day * 24 + day % 3);
        }
        assert_eq!(ranges.0.len(), MOST_RANGES);
        let holds = |hour| {
            ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&hour))
        };
        assert!((0..10_000).all(|day| holds(day * 24 + day % 3)));
        ranges.add(i64::MIN, i64::MAX);
        assert_eq!(ranges.0, [(i64::MIN, i64::MAX)]);
    }
}
