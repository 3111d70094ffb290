//! Exact sums over decisions that do not depend on the order of additions: statistics of a stretch
//! of time. Any two can be merged; `row` has their stored form.

pub(crate) mod aggregate;
pub(crate) mod bytes;
pub(crate) mod errors;
pub(crate) mod exact_sum;
pub(crate) mod fixed;
pub(crate) mod gaps;
pub(crate) mod outcomes;
pub(crate) mod real_bins;
pub(crate) mod reals;
pub(crate) mod sketch;
pub(crate) mod sums;
pub(crate) mod table;

use crate::engine::format::row::NameId;
use crate::engine::format::scan::ScannedDecision;
use crate::entry::timestamp::Timestamp;

/// The names that a row sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Combination {
    pub(crate) model: NameId,
    pub(crate) symbol: NameId,
    pub(crate) checkpoint: NameId,
}

/// Combinations are folded in this many partitions, so that one fold can be several short
/// transactions. Each partition stores how far it is folded: a crash between two transactions
/// leaves no decision counted twice.
pub(crate) const PARTITIONS: usize = 64;

impl Combination {
    #[inline]
    pub(crate) fn of(event: &ScannedDecision) -> Self {
        Combination {
            model: event.model,
            symbol: event.symbol,
            checkpoint: event.checkpoint,
        }
    }

    /// The partition that it belongs to. Stored rows depend on it: part of the format.
    #[inline]
    pub(crate) fn partition(self) -> usize {
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let names = [self.model, self.symbol, self.checkpoint];
        let mixed = names.iter().fold(0_u64, |mixed, name| {
            (mixed ^ u64::from(*name)).wrapping_mul(MIX).rotate_left(29)
        });
        usize::try_from(mixed % PARTITIONS as u64).unwrap_or(0)
    }
}

/// The stretches of time that have rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resolution {
    /// Kept for recent hours with many decisions, so that the edges of a range cost little.
    Minute = 1,
    Hour = 2,
    Day = 3,
}

impl Resolution {
    /// The level that is stored as this number.
    pub(crate) const fn of(number: u8) -> Option<Resolution> {
        match number {
            1 => Some(Resolution::Minute),
            2 => Some(Resolution::Hour),
            3 => Some(Resolution::Day),
            _ => None,
        }
    }

    pub(crate) const fn micros(self) -> i64 {
        match self {
            Resolution::Minute => 60_000_000,
            Resolution::Hour => 3_600_000_000,
            Resolution::Day => 86_400_000_000,
        }
    }

    /// The bucket that a time lies in, counted from 1970.
    #[inline]
    pub(crate) const fn bucket(self, time: Timestamp) -> i64 {
        time.as_micros().div_euclid(self.micros())
    }

    /// The first and the last bucket that a time lies in.
    pub(crate) const fn ends(self) -> (i64, i64) {
        (self.bucket(Timestamp::MIN), self.bucket(Timestamp::MAX))
    }

    /// The first microsecond of a bucket; the first bucket of all begins where time does.
    pub(crate) const fn start(self, bucket: i64) -> Timestamp {
        Timestamp::from_micros(bucket.saturating_mul(self.micros()))
    }

    /// The last microsecond of a bucket.
    pub(crate) const fn last(self, bucket: i64) -> Timestamp {
        match bucket.saturating_add(1).checked_mul(self.micros()) {
            Some(next) => Timestamp::from_micros(next - 1),
            // Only the last bucket of all ends beyond the end of time.
            None => Timestamp::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket() {
        for level in [Resolution::Minute, Resolution::Hour, Resolution::Day] {
            for time in [i64::MIN, -1, 0, 1, 59_999_999, 60_000_000, i64::MAX] {
                let time = Timestamp::from_micros(time);
                let bucket = level.bucket(time);
                assert!(level.start(bucket) <= time, "{level:?} {time}");
                assert!(level.last(bucket) >= time, "{level:?} {time}");
            }
            assert_eq!(level.last(-1), Timestamp::from_micros(-1));
        }
    }

    #[test]
    fn partitions_share_the_work() {
        let mut counts = [0; PARTITIONS];
        for number in 0..6_400 {
            let combination = Combination {
                model: NameId::new(number % 5 + 1),
                symbol: NameId::new(number / 5 + 1),
                checkpoint: NameId::NONE,
            };
            counts[combination.partition()] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..=150).contains(count)),
            "{counts:?}"
        );
    }
}
