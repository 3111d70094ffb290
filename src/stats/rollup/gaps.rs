//! Sums of folded gaps, by the minutes that they touch.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Resolution;
use crate::engine::format::codec;
use crate::engine::format::codec::Stored;
use crate::engine::format::row::GapRow;
use crate::engine::keys;
use crate::engine::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::gap::GapReason;
use crate::entry::timestamp::Timestamp;

/// When a gap's events happened, in minutes since 1970: the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GapTimes {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// Sum of gaps that touch the same minutes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GapSums {
    pub(crate) gaps: u64,
    /// Events, as far as they were counted.
    pub(crate) dropped: u64,
    /// Gaps without a count.
    pub(crate) uncounted: u64,
    /// Of the counted, entries that were recorded and cannot be read any more.
    pub(crate) damaged: u64,
}

impl Stored for GapSums {}

impl GapTimes {
    /// The minutes of a gap whose events happened `between` these two times.
    pub(crate) fn new(between: (Timestamp, Timestamp)) -> Self {
        let (first, last) = (
            Resolution::Minute.bucket(between.0),
            Resolution::Minute.bucket(between.1),
        );
        GapTimes {
            // A clock that went back gives a last decision before the first.
            first: first.min(last),
            last: first.max(last),
        }
    }

    /// Whether it touches the minutes of `from..=until`.
    pub(crate) fn touches(self, from: Timestamp, until: Timestamp) -> bool {
        self.first <= Resolution::Minute.bucket(until)
            && self.last >= Resolution::Minute.bucket(from)
    }

    pub(crate) fn minutes(self) -> u64 {
        self.last.abs_diff(self.first)
    }

    fn key(self) -> [u8; 16] {
        keys::pair(keys::ordered(self.first), keys::ordered(self.last))
    }
}

impl GapSums {
    pub(crate) fn add(&mut self, gap: &GapRow) {
        if gap.reason == GapReason::Withdrawn {
            // Its owner took it out: nothing is missing.
            return;
        }
        self.merge(GapSums {
            gaps: 1,
            dropped: gap.count.unwrap_or(0),
            uncounted: u64::from(gap.count.is_none()),
            damaged: match gap.reason {
                GapReason::Damaged => gap.count.unwrap_or(0),
                _ => 0,
            },
        });
    }

    pub(crate) fn merge(&mut self, other: GapSums) {
        self.gaps = self.gaps.saturating_add(other.gaps);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.uncounted = self.uncounted.saturating_add(other.uncounted);
        self.damaged = self.damaged.saturating_add(other.damaged);
    }
}

/// Sum of the gaps that touch the minutes of `from..=until`; none of them is longer than `longest`
/// minutes.
pub(crate) fn between(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    (from, until): (Timestamp, Timestamp),
    longest: u64,
) -> Result<GapSums> {
    let mut sums = GapSums::default();
    let (start, end) = ends((from, until), longest);
    let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
    snapshot.scan(Table::GapSums, range, Direction::Ascending, |key, value| {
        let (times, known) = decode(path, key, value)?;
        if times.touches(from, until) {
            sums.merge(known);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sums)
}

/// The keys of all gaps that may touch `from..=until`.
fn ends((from, until): (Timestamp, Timestamp), longest: u64) -> ([u8; 16], [u8; 16]) {
    // Keys are in the order of first minutes. A gap that touches the range begins at most as long
    // before it as the longest gap lasts.
    let earliest = Resolution::Minute
        .bucket(from)
        .saturating_sub_unsigned(longest);
    let start = GapTimes {
        first: earliest,
        last: i64::MIN,
    };
    let end = GapTimes {
        first: Resolution::Minute.bucket(until),
        last: i64::MAX,
    };
    (start.key(), end.key())
}

/// The same, of the rows that can be read, and whether those are all. Others count as gaps without
/// a count.
pub(crate) fn readable(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    (from, until): (Timestamp, Timestamp),
    longest: u64,
) -> Result<(GapSums, bool)> {
    let mut sums = GapSums::default();
    let mut is_whole = true;
    let (start, end) = ends((from, until), longest);
    let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
    let ascending = Direction::Ascending;
    snapshot.reach_around(Table::GapSums, range, ascending, |row| {
        let read = row.and_then(|(key, value)| decode(path, key, value.ok()?).ok());
        match read {
            Some((times, known)) if times.touches(from, until) => sums.merge(known),
            Some(_) => {}
            None => {
                is_whole = false;
                sums.merge(GapSums {
                    // A row that cannot be read may count any number of events.
                    gaps: 1,
                    uncounted: 1,
                    ..GapSums::default()
                });
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok((sums, is_whole))
}

fn decode(path: &Path, key: &[u8], value: &[u8]) -> Result<(GapTimes, GapSums)> {
    let broken = |why: &str| damaged(path, "gap_sums", why);
    let (first, last) =
        keys::two_numbers(key).ok_or_else(|| broken("a key has the wrong length"))?;
    let times = GapTimes {
        first: keys::unordered(first),
        last: keys::unordered(last),
    };
    let sums = codec::decode(value).map_err(|why| broken(&why))?;
    Ok((times, sums))
}

/// Whether the content of a row is possible.
pub(crate) fn check(path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    decode(path, key, value).map(drop)
}

/// Merges what is known of gaps into the table.
pub(crate) fn merge(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    gaps: &[(GapTimes, GapSums)],
) -> Result<()> {
    for (times, sums) in gaps {
        let key = times.key();
        let known = transaction.get(Table::GapSums, &key, |value| decode(path, &key, value))?;
        let mut merged = *sums;
        if let Some((_, known)) = known.transpose()? {
            merged.merge(known);
        }
        transaction.put(Table::GapSums, &key, &mut sealed(&merged))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_touches_whole_minutes() {
        let at = Timestamp::from_micros;
        let minute = 60_000_000;
        let times = GapTimes::new((at(minute + 5), at(2 * minute + 5)));
        assert!(times.touches(at(minute), at(minute)));
        assert!(times.touches(at(3 * minute - 1), Timestamp::MAX));
        assert!(!times.touches(Timestamp::MIN, at(minute - 1)));
        assert!(!times.touches(at(3 * minute), Timestamp::MAX));
        assert_eq!(
            GapTimes::new((at(9), at(-9))),
            GapTimes { first: -1, last: 0 }
        );
    }
}
