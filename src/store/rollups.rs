//! The table of rollups: what decisions add up to, by level, time and combination; gaps by the
//! minutes that they touch; and up to which sequence it all is folded.

use std::ops::{Bound, ControlFlow, RangeInclusive};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::keys;
use super::kv::{Direction, Snapshot, Table, WriteTransaction};
use super::meta::{FIRST_SEQUENCE, damaged, sealed};
use crate::error::Result;
use crate::format::codec;
use crate::format::row::{GapRow, NameId};
use crate::format::scan::Event;
use crate::rollup::{Combination, Level, PARTITIONS};

const FOLDED_KEY: &[u8] = b"folded";

/// What stands before the number in the keys of rows that are no rollups.
const DETAIL: u8 = 4;
const GAPS: u8 = 5;
pub(super) const ORPHANS: u8 = 6;
pub(super) const EARLY: u8 = 7;

/// How far the rollups reach, as it is stored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
struct Reach {
    partitions: Vec<u64>,
    gaps: u64,
    longest_gap: u64,
    orphans: u64,
}

/// How far the rollups reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    /// For each partition of combinations, the first sequence that is not in their rollups.
    partitions: Vec<u64>,
    /// The first sequence whose gaps are not in the rows of gaps.
    gaps: u64,
    /// The most minutes that a gap's first and last are apart.
    pub(super) longest_gap: u64,
    /// Inferences that have folded outcomes and are not there.
    orphans: u64,
    /// Invariant F1: the least and the greatest of `partitions`.
    least: u64,
    most: u64,
}

impl Folded {
    fn new(reach: Reach) -> Self {
        let least = reach.partitions.iter().copied().min();
        let most = reach.partitions.iter().copied().max();
        Folded {
            least: least.unwrap_or(FIRST_SEQUENCE),
            most: most.unwrap_or(FIRST_SEQUENCE),
            partitions: reach.partitions,
            gaps: reach.gaps,
            longest_gap: reach.longest_gap,
            orphans: reach.orphans,
        }
    }

    /// Of rollups that hold nothing, of a journal whose first entry is `first`.
    pub(super) fn beginning_at(first: u64) -> Self {
        Folded::new(Reach {
            partitions: vec![first; PARTITIONS],
            gaps: first,
            longest_gap: 0,
            orphans: 0,
        })
    }

    /// Nothing from it on is in the rollups.
    pub(super) fn farthest(&self) -> u64 {
        self.most.max(self.gaps)
    }

    /// Everything before it is in the rollups.
    pub(crate) fn all_before(&self) -> u64 {
        self.least.min(self.gaps)
    }

    /// Whether the rollups hold this inference or repeat.
    #[inline]
    pub(crate) fn holds(&self, event: &Event) -> bool {
        // Between two folds all partitions reach equally far.
        if event.sequence < self.least {
            return true;
        }
        if event.sequence >= self.most {
            return false;
        }
        let partition = Combination::of(event).partition();
        let folded = self.partitions.get(partition);
        folded.is_some_and(|folded| event.sequence < *folded)
    }

    /// Whether the rollups hold what the outcome with this sequence says of `event`, which they
    /// hold themselves.
    pub(crate) fn holds_outcome(&self, event: &Event, sequence: u64) -> bool {
        self.holds(&Event { sequence, ..*event })
    }

    /// Whether the rows of gaps hold the gap with this sequence.
    pub(crate) fn holds_gap(&self, sequence: u64) -> bool {
        sequence < self.gaps
    }

    /// The same, with some partitions folded up to `sequence`.
    pub(super) fn with_partitions(
        &self,
        partitions: impl Iterator<Item = usize>,
        sequence: u64,
    ) -> Self {
        let mut reach = self.reach();
        for partition in partitions {
            if let Some(folded) = reach.partitions.get_mut(partition) {
                *folded = sequence;
            }
        }
        Folded::new(reach)
    }

    /// The same, with the gaps folded up to `sequence`, of which one takes up to `minutes`.
    pub(super) fn with_gaps(&self, sequence: u64, minutes: u64) -> Self {
        let mut reach = self.reach();
        reach.gaps = sequence;
        reach.longest_gap = reach.longest_gap.max(minutes);
        Folded::new(reach)
    }

    /// The same, with so many more orphans, and so many fewer.
    pub(super) fn with_orphans(&self, more: u64, fewer: u64) -> Self {
        let mut reach = self.reach();
        reach.orphans = (reach.orphans + more).saturating_sub(fewer);
        Folded::new(reach)
    }

    pub(crate) fn orphans(&self) -> u64 {
        self.orphans
    }

    fn reach(&self) -> Reach {
        Reach {
            partitions: self.partitions.clone(),
            gaps: self.gaps,
            longest_gap: self.longest_gap,
            orphans: self.orphans,
        }
    }
}

fn known_folded(path: &Path, stored: Option<Result<Reach, String>>) -> Result<Folded> {
    match stored {
        Some(Ok(reach)) if reach.partitions.len() == PARTITIONS => Ok(Folded::new(reach)),
        Some(Ok(reach)) => {
            let why = format!("{} partitions", reach.partitions.len());
            Err(damaged(path, "meta folded", &why))
        }
        Some(Err(why)) => Err(damaged(path, "meta folded", &why)),
        None => Ok(Folded::new(Reach {
            partitions: vec![FIRST_SEQUENCE; PARTITIONS],
            gaps: FIRST_SEQUENCE,
            longest_gap: 0,
            orphans: 0,
        })),
    }
}

pub(super) fn folded(snapshot: &Snapshot<'_>, path: &Path) -> Result<Folded> {
    known_folded(path, snapshot.get(Table::Meta, FOLDED_KEY, codec::decode)?)
}

pub(super) fn folded_to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Folded> {
    known_folded(
        path,
        transaction.get(Table::Meta, FOLDED_KEY, codec::decode)?,
    )
}

pub(super) fn set_folded(transaction: &mut WriteTransaction<'_>, folded: &Folded) -> Result<()> {
    transaction.put(Table::Meta, FOLDED_KEY, &mut sealed(&folded.reach()))
}

const KEY_BYTES: usize = 21;

/// The key of a rollup.
pub(super) fn key(level: Level, bucket: i64, whose: Combination) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[0] = level as u8;
    key[1..9].copy_from_slice(&keys::number(keys::ordered(bucket)));
    for (place, name) in [whose.model, whose.symbol, whose.checkpoint]
        .into_iter()
        .enumerate()
    {
        let at = 9 + 4 * place;
        key[at..at + 4].copy_from_slice(&name.to_be_bytes());
    }
    key
}

/// The bucket and combination of a rollup's key.
pub(super) fn parse(path: &Path, key: &[u8]) -> Result<(i64, Combination)> {
    let name = |at: usize| {
        let bytes = key.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u32::from_be_bytes(*bytes))
    };
    let bucket = key.get(1..).and_then(keys::first_number);
    match (bucket, name(9), name(13), name(17)) {
        (Some(bucket), Some(model), Some(symbol), Some(checkpoint)) if key.len() == KEY_BYTES => {
            let whose = Combination {
                model,
                symbol,
                checkpoint,
            };
            Ok((keys::unordered(bucket), whose))
        }
        _ => Err(damaged(path, "rollups", "a key has the wrong length")),
    }
}

/// Shows the rollups of `buckets`, of one model or of all, in the order of their keys.
pub(super) fn scan(
    snapshot: &Snapshot<'_>,
    path: &Path,
    level: Level,
    buckets: RangeInclusive<i64>,
    model: Option<NameId>,
    mut see: impl FnMut(i64, Combination, &[u8]) -> Result<()>,
) -> Result<()> {
    const HIGHEST: Combination = Combination {
        model: u32::MAX,
        symbol: u32::MAX,
        checkpoint: u32::MAX,
    };
    let of_model = |model: NameId| Combination {
        model,
        symbol: 0,
        checkpoint: 0,
    };
    let last = *buckets.end();
    let mut next = *buckets.start();
    // Other models' rows are jumped over, not read.
    while next <= last {
        let start = key(level, next, of_model(model.unwrap_or(0)));
        let end = key(level, last, HIGHEST);
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut jump = None;
        snapshot.scan(Table::Rollups, range, Direction::Ascending, |key, value| {
            let (bucket, whose) = parse(path, key)?;
            match model {
                Some(model) if whose.model < model => jump = Some(bucket),
                Some(model) if whose.model > model => jump = bucket.checked_add(1),
                _ => {
                    see(bucket, whose, value)?;
                    return Ok(ControlFlow::Continue(()));
                }
            }
            Ok(ControlFlow::Break(()))
        })?;
        match jump {
            Some(bucket) => next = bucket,
            None => break,
        }
    }
    Ok(())
}

/// What is known of an hour that has rows for its minutes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Detail {
    /// Inferences and repeats.
    pub(super) events: u64,
    /// Rows of its minutes.
    pub(super) rows: u64,
}

pub(super) fn detail_key(hour: i64) -> [u8; 9] {
    let mut key = [DETAIL; 9];
    key[1..].copy_from_slice(&keys::number(keys::ordered(hour)));
    key
}

/// Whether an hour has complete rows for its minutes.
pub(super) fn has_detail(snapshot: &Snapshot<'_>, hour: i64) -> Result<bool> {
    let found = snapshot.get(Table::Rollups, &detail_key(hour), |_| ())?;
    Ok(found.is_some())
}

/// The first minute from `from` on that has a row.
pub(super) fn first_minute(snapshot: &Snapshot<'_>, path: &Path, from: i64) -> Result<Option<i64>> {
    let lowest = Combination {
        model: 0,
        symbol: 0,
        checkpoint: 0,
    };
    let start = key(Level::Minute, from, lowest);
    let range = (
        Bound::Included(&start[..]),
        Bound::Excluded(&[Level::Hour as u8][..]),
    );
    let mut first = None;
    snapshot.scan(Table::Rollups, range, Direction::Ascending, |key, _| {
        first = Some(parse(path, key)?.0);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

/// Hours with rows for their minutes, and what is known of them.
pub(super) fn details(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Vec<(i64, Detail)>> {
    let mut found = Vec::new();
    let range = (
        Bound::Included(&[DETAIL][..]),
        Bound::Excluded(&[DETAIL + 1][..]),
    );
    transaction.scan(Table::Rollups, range, Direction::Ascending, |key, value| {
        let broken = |why: &str| damaged(path, "rollups: an hour's detail", why);
        let hour = key.get(1..).and_then(keys::first_number);
        let hour = hour.ok_or_else(|| broken("a short key"))?;
        let detail = codec::decode(value).map_err(|why| broken(&why))?;
        found.push((keys::unordered(hour), detail));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// When a gap's events happened, in minutes since 1970: the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GapTimes {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What gaps add up to that touch the same minutes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GapSums {
    pub(crate) gaps: u64,
    /// Events, as far as they were counted.
    pub(crate) dropped: u64,
    /// Gaps that nobody could count.
    pub(crate) uncounted: u64,
}

impl GapTimes {
    /// The minutes of a gap whose events happened `between` these two times.
    pub(crate) fn new(between: (i64, i64)) -> Self {
        let (first, last) = (
            Level::Minute.bucket(between.0),
            Level::Minute.bucket(between.1),
        );
        GapTimes {
            first: first.min(last),
            last: first.max(last),
        }
    }

    /// Whether it touches the minutes of `from..=until`.
    pub(crate) fn touches(self, from: i64, until: i64) -> bool {
        self.first <= Level::Minute.bucket(until) && self.last >= Level::Minute.bucket(from)
    }

    pub(super) fn minutes(self) -> u64 {
        self.last.abs_diff(self.first)
    }

    pub(super) fn key(self) -> [u8; 17] {
        let mut key = [GAPS; 17];
        key[1..].copy_from_slice(&keys::pair(
            keys::ordered(self.first),
            keys::ordered(self.last),
        ));
        key
    }
}

impl GapSums {
    pub(crate) fn add(&mut self, gap: &GapRow) {
        self.merge(GapSums {
            gaps: 1,
            dropped: gap.count.unwrap_or(0),
            uncounted: u64::from(gap.count.is_none()),
        });
    }

    pub(crate) fn merge(&mut self, other: GapSums) {
        self.gaps += other.gaps;
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.uncounted += other.uncounted;
    }
}

/// What the gaps add up to that touch the minutes of `from..=until`; none of them is longer than
/// `longest` minutes.
pub(super) fn gaps(
    snapshot: &Snapshot<'_>,
    path: &Path,
    (from, until): (i64, i64),
    longest: u64,
) -> Result<GapSums> {
    let mut sums = GapSums::default();
    let earliest = Level::Minute.bucket(from).saturating_sub_unsigned(longest);
    let start = GapTimes {
        first: earliest,
        last: i64::MIN,
    };
    let end = GapTimes {
        first: Level::Minute.bucket(until),
        last: i64::MAX,
    };
    let (start, end) = (start.key(), end.key());
    let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
    snapshot.scan(Table::Rollups, range, Direction::Ascending, |key, value| {
        let broken = |why: &str| damaged(path, "rollups: gaps", why);
        let (first, last) = key
            .get(1..)
            .and_then(|key| keys::first_number(key).zip(keys::second_number(key)))
            .ok_or_else(|| broken("a short key"))?;
        let times = GapTimes {
            first: keys::unordered(first),
            last: keys::unordered(last),
        };
        if times.touches(from, until) {
            sums.merge(codec::decode(value).map_err(|why| broken(&why))?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_order() {
        let whose = |model, symbol, checkpoint| Combination {
            model,
            symbol,
            checkpoint,
        };
        let rows = [
            (Level::Minute, 5, whose(9, 9, 9)),
            (Level::Hour, -1, whose(1, 2, 3)),
            (Level::Hour, 0, whose(1, 2, 3)),
            (Level::Hour, 0, whose(1, 3, 0)),
            (Level::Hour, 0, whose(2, 0, 0)),
            (Level::Day, i64::MIN, whose(0, 0, 0)),
        ];
        for pair in rows.windows(2) {
            let keys = [0, 1].map(|row| key(pair[row].0, pair[row].1, pair[row].2));
            assert!(keys[0] < keys[1], "{pair:?}");
        }
        for (level, bucket, whose) in rows {
            let parsed = parse(Path::new("x"), &key(level, bucket, whose));
            assert_eq!(parsed.unwrap(), (bucket, whose));
        }
        assert!(parse(Path::new("x"), &[1; 20]).is_err());
    }

    #[test]
    fn a_gap_touches_whole_minutes() {
        let minute = 60_000_000;
        let times = GapTimes::new((minute + 5, 2 * minute + 5));
        assert!(times.touches(minute, minute));
        assert!(times.touches(3 * minute - 1, i64::MAX));
        assert!(!times.touches(i64::MIN, minute - 1));
        assert!(!times.touches(3 * minute, i64::MAX));
        assert_eq!(GapTimes::new((9, -9)), GapTimes { first: -1, last: 0 });
    }
}
