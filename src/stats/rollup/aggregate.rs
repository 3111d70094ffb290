//! Many decisions, added up by minute and combination.

use ahash::AHashMap;

use super::sums::{OutcomeChange, Rollup};
use super::{Combination, PARTITIONS, Resolution};
use crate::engine::format::scan::ScannedDecision;

/// A bucket and its owner.
pub(crate) type BucketKey = (i64, Combination);

/// Rollups of minutes, in the order in which they came up.
#[derive(Default)]
pub(crate) struct Aggregate {
    rows: Vec<(BucketKey, Rollup)>,
    places: AHashMap<BucketKey, usize>,
    last: usize,
    /// The first and the newest minute.
    minutes: Option<(i64, i64)>,
    /// Rows that came up for minutes long before the newest.
    late: usize,
}

/// How many minutes back a row still counts as in order.
const NEAR: i64 = 2;

impl Aggregate {
    /// Adds a decision.
    #[inline]
    pub(crate) fn add(&mut self, event: &ScannedDecision) {
        self.row(event).add(event);
    }

    /// Adds a new outcome of a decision, which may be in a stored row.
    pub(crate) fn change(&mut self, change: &OutcomeChange) {
        self.row(&change.event).change(change);
    }

    #[inline]
    fn row(&mut self, event: &ScannedDecision) -> &mut Rollup {
        let key = (
            Resolution::Minute.bucket(event.event),
            Combination::of(event),
        );
        // Loops often decide about one thing for a while.
        if self.rows.get(self.last).is_none_or(|row| row.0 != key) {
            self.last = match self.places.get(&key) {
                Some(place) => *place,
                None => self.begin(key),
            };
        }
        &mut self.rows[self.last].1
    }

    fn begin(&mut self, key: BucketKey) -> usize {
        let minute = key.0;
        let (first, newest) = self.minutes.unwrap_or((minute, minute));
        self.late += usize::from(minute < newest.saturating_sub(NEAR));
        self.minutes = Some((first.min(minute), newest.max(minute)));
        let place = self.rows.len();
        self.rows.push((key, Rollup::default()));
        self.places.insert(key, place);
        place
    }

    /// Whether time proceeds in it: the next entries will most likely be in other rows. Then it is
    /// merged: a longer stretch saves no rows, and each of its transactions would touch every page.
    pub(crate) fn has_moved_on(&self) -> bool {
        let (first, newest) = self.minutes.unwrap_or_default();
        newest.saturating_sub(first) > NEAR && self.late * 8 < self.rows.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows of each partition.
    pub(crate) fn partitioned(self) -> Vec<Vec<(BucketKey, Rollup)>> {
        let mut parts: Vec<_> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        for (key, rollup) in self.rows {
            if let Some(part) = parts.get_mut(key.1.partition()) {
                part.push((key, rollup));
            }
        }
        parts
    }
}

/// The rollups of a coarser level that those of a finer one make, in the order of their keys.
pub(crate) fn coarser<'r>(
    finer: impl Iterator<Item = &'r (BucketKey, Rollup)>,
    from: Resolution,
    level: Resolution,
) -> Vec<(BucketKey, Rollup)> {
    let mut rows: Vec<(BucketKey, Rollup)> = Vec::new();
    let mut places = AHashMap::new();
    for ((bucket, combination), rollup) in finer {
        let key = (level.bucket(from.start(*bucket)), *combination);
        let place = *places.entry(key).or_insert_with(|| {
            rows.push((key, Rollup::default()));
            rows.len() - 1
        });
        if let Some((_, row)) = rows.get_mut(place) {
            row.merge(rollup);
        }
    }
    rows.sort_unstable_by_key(|row| row.0);
    rows
}
