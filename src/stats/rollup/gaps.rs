//! Sums of folded gaps, by the minutes that they touch.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Level;
use super::table::{DAMAGED, GAPS};
use crate::engine::format::codec;
use crate::engine::format::codec::Stored;
use crate::engine::format::row::GapRow;
use crate::engine::keys;
use crate::engine::kv::{Direction, Snapshot, Table};
use crate::engine::meta::damaged;
use crate::entry::error::Result;
use crate::entry::gap::GapReason;

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
    /// Of the counted, entries that were recorded and cannot be read any more. They have rows of
    /// their own.
    #[serde(skip)]
    pub(crate) damaged: u64,
}

impl Stored for GapSums {}

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

    pub(crate) fn minutes(self) -> u64 {
        self.last.abs_diff(self.first)
    }

    pub(crate) fn key(self, kind: u8) -> [u8; 17] {
        let mut key = [kind; 17];
        key[1..].copy_from_slice(&keys::pair(
            keys::ordered(self.first),
            keys::ordered(self.last),
        ));
        key
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
    for kind in [GAPS, DAMAGED] {
        let (start, end) = (start.key(kind), end.key(kind));
        between_keys(snapshot, path, (&start, &end), (from, until), &mut sums)?;
    }
    Ok(sums)
}

fn between_keys(
    snapshot: &Snapshot<'_>,
    path: &Path,
    (start, end): (&[u8], &[u8]),
    (from, until): (i64, i64),
    sums: &mut GapSums,
) -> Result<()> {
    let range = (Bound::Included(start), Bound::Included(end));
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
            let mut known: GapSums = codec::decode(value).map_err(|why| broken(&why))?;
            if key.first() == Some(&DAMAGED) {
                known.damaged = known.dropped;
            }
            sums.merge(known);
        }
        Ok(ControlFlow::Continue(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
