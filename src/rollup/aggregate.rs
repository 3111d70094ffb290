//! Many decisions, added up by minute and combination.

use ahash::AHashMap;

use super::row::{Change, Rollup};
use super::{Combination, Level, PARTITIONS};
use crate::format::scan::Event;

/// A bucket and whose it is.
pub(crate) type Key = (i64, Combination);

/// Rollups of minutes, in the order in which they came up.
#[derive(Default)]
pub(crate) struct Aggregate {
    rows: Vec<(Key, Rollup)>,
    places: AHashMap<Key, usize>,
    last: usize,
}

impl Aggregate {
    /// Adds a decision.
    #[inline]
    pub(crate) fn add(&mut self, event: &Event) {
        self.row(event).add(event);
    }

    /// Adds what turned out anew for a decision, which may be in a stored row.
    pub(crate) fn change(&mut self, change: &Change) {
        self.row(&change.event).change(change);
    }

    #[inline]
    fn row(&mut self, event: &Event) -> &mut Rollup {
        let key = (Level::Minute.bucket(event.event), Combination::of(event));
        // Loops often decide about one thing for a while.
        if self.rows.get(self.last).is_none_or(|row| row.0 != key) {
            self.last = *self.places.entry(key).or_insert_with(|| {
                self.rows.push((key, Rollup::default()));
                self.rows.len() - 1
            });
        }
        &mut self.rows[self.last].1
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows of each partition.
    pub(crate) fn partitioned(self) -> Vec<Vec<(Key, Rollup)>> {
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
    finer: impl Iterator<Item = &'r (Key, Rollup)>,
    from: Level,
    level: Level,
) -> Vec<(Key, Rollup)> {
    let mut rows: Vec<(Key, Rollup)> = Vec::new();
    let mut places = AHashMap::new();
    for ((bucket, whose), rollup) in finer {
        let key = (level.bucket(from.start(*bucket)), *whose);
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
