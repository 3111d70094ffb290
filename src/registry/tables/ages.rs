//! Age of checkpoints, by evidence other than the wall clock.
//!
//! Two lower bounds are known, and the larger holds. The journal's elapsed time counts from an
//! entry that was recorded after the checkpoint. Where nothing is recorded, the moments count at
//! which the registry took in later checkpoints: the wall clock is read at each, and at the plan.
//! One gap between two moments counts for seven days at most, and the longest for nothing, so one
//! jump of the clock is never taken for age.

use super::{CheckpointRow, Checkpoints};
use crate::engine::elapsed::{Elapsed, LONGEST_PAUSE};
use crate::engine::meta;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use std::time::Duration;

/// Known elapsed time when a plan is made.
pub(crate) struct Ages {
    elapsed: Elapsed,
    /// The sequence of the journal's next entry.
    next: Sequence,
    /// The wall clock.
    wall: Timestamp,
}

impl Checkpoints {
    /// Reads the evidence for the age of checkpoints; `wall` is the wall clock now.
    pub(crate) fn ages(&self, wall: Timestamp) -> Result<Ages> {
        self.source.read(|snapshot| {
            Ok(Ages {
                elapsed: Elapsed::read(snapshot, self.source.path(), None, wall)?,
                next: meta::extent(snapshot, self.source.path())?.next,
                wall,
            })
        })
    }
}

impl Ages {
    /// The time that has passed at least since each of these checkpoints of one model was saved, in
    /// the order in which they are given.
    pub(crate) fn of(&self, rows: &[&CheckpointRow]) -> Vec<Duration> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|index| rows.get(*index).map(|row| row.number));
        let walls: Vec<Timestamp> = order
            .iter()
            .filter_map(|index| rows.get(*index).map(|row| row.saved))
            .collect();
        let moments = between_moments(&walls, self.wall);
        let mut ages = vec![Duration::ZERO; rows.len()];
        for (index, by_moments) in order.into_iter().zip(moments) {
            let (Some(row), Some(age)) = (rows.get(index), ages.get_mut(index)) else {
                continue;
            };
            // An entry behind the checkpoint has to be there: before it, time that passes in an
            // idle run could lie before the checkpoint as well.
            let by_entries = if row.sequence < self.next {
                self.elapsed.since_entry(row.sequence)
            } else {
                Duration::ZERO
            };
            *age = by_entries.max(by_moments);
        }
        ages
    }
}

/// Time since each of these readings of the wall clock, oldest first, that later readings confirm.
fn between_moments(walls: &[Timestamp], now: Timestamp) -> Vec<Duration> {
    let mut found = vec![Duration::ZERO; walls.len()];
    // A reading that later ones fall behind was ahead: it is taken for as early as they are.
    let (mut later, mut total, mut longest) = (now, 0_u64, 0_u64);
    for (wall, age) in walls.iter().zip(&mut found).rev() {
        let wall = (*wall).min(later);
        let gap = later.micros_since(wall);
        let gap = gap.min(LONGEST_PAUSE);
        total = total.saturating_add(gap);
        longest = longest.max(gap);
        later = wall;
        *age = Duration::from_micros(total.saturating_sub(longest));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;
    const YEAR: i64 = 365 * DAY;

    fn days(walls: &[i64], now: i64) -> Vec<u64> {
        let walls: Vec<Timestamp> = walls.iter().copied().map(Timestamp).collect();
        let ages = between_moments(&walls, Timestamp(now));
        ages.iter().map(|age| age.as_secs() / 86_400).collect()
    }

    #[test]
    fn a_checkpoint_a_day_ages_by_days() {
        let walls: Vec<i64> = (0..5).map(|day| day * DAY).collect();
        assert_eq!(days(&walls, 5 * DAY), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn no_single_jump_makes_anything_older() {
        let start = 1_700_000_000_000_000;
        for jump in [YEAR, -YEAR, -start, i64::MAX / 2, i64::MIN / 2] {
            for at in 0..5_i64 {
                let wall = |n: i64| start + n * DAY + if n >= at { jump } else { 0 };
                let walls: Vec<i64> = (0..4).map(wall).collect();
                let ages = days(&walls, wall(4));
                for (index, age) in ages.iter().enumerate() {
                    let real = 4 - u64::try_from(index).unwrap_or(0);
                    assert!(*age <= real, "jump {jump} at {at}: {ages:?}");
                }
            }
        }
        // One that is ahead and comes back proves nothing either.
        assert_eq!(days(&[0, YEAR, 2 * YEAR], DAY), [0, 0, 0]);
        // Frozen, and as far apart as numbers can be.
        assert_eq!(days(&[7; 3], 7), [0; 3]);
        assert_eq!(days(&[i64::MIN, 0, i64::MAX], i64::MAX), [7, 0, 0]);
    }
}
