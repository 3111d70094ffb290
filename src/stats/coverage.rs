//! Coverage of a statistic: its times, and the known losses.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ahash::AHashMap;

use super::cover::{Cover, ResidualWork};
use super::group::Grouping;
use super::reader::StatsReader;
use super::result::Coverage;
use super::rollup::gaps::{GapSums, GapTimes};
use super::rollup::sketch;
use super::scope::Scope;
use super::totals::Totals;
use crate::engine::format::row::GapRow;
use crate::engine::source::Source;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Facts about the journal beside the decisions.
pub(super) struct JournalFacts {
    sequence: Sequence,
    has_retired: bool,
    folded: Sequence,
    unmatched: u64,
    retired: BTreeMap<i64, u64>,
    damaged: BTreeMap<i64, u64>,
    /// By bucket of time; all in one if the statistic is not divided by time.
    buckets: AHashMap<i64, Bucket>,
    /// Gaps that are not folded, with their recorded time.
    gaps: Vec<(GapRow, Timestamp)>,
    /// The same, when it is known when they were.
    placed: Vec<(GapTimes, GapSums)>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    folded: GapSums,
    /// Decisions of all models; unknown where it does not matter.
    entries: u64,
}

impl JournalFacts {
    /// Looks for gaps in the `times` of each group of `totals`, and where there are any, for what
    /// all models did.
    pub(super) fn look(
        stats: &StatsReader<'_, '_>,
        residual: &mut ResidualWork,
        times: &RangeInclusive<Timestamp>,
        grouping: &Grouping,
        totals: &Totals,
        most_read: u64,
    ) -> Result<Self> {
        let gaps = std::mem::take(&mut residual.gaps);
        let damaged = std::mem::take(&mut residual.damaged);
        let mut buckets = AHashMap::new();
        let mut with_gaps = Vec::new();
        for key in totals.keys() {
            if buckets.contains_key(&key.bucket) {
                continue;
            }
            let range = grouping.range_of(key.bucket, times);
            let mut bucket = Bucket::default();
            if !range.is_empty() {
                bucket.folded = stats.gaps(*range.start(), *range.end())?;
            }
            // The share of what is there needs the number of entries, which costs a second pass.
            // Only buckets with losses pay for it.
            if bucket.folded.gaps > 0 || !gaps.is_empty() || damaged.contains_key(&key.bucket) {
                with_gaps.push(key.bucket);
            }
            buckets.insert(key.bucket, bucket);
        }
        if !with_gaps.is_empty() {
            let parts = grouping.time.parts_of(times, with_gaps);
            let mut all = Totals::new(Grouping {
                time: grouping.time.clone(),
                ..Grouping::default()
            });
            // Of all names: a gap does not tell whose decisions it counts.
            let mut cover = Cover::new(stats, Scope::default()).at_most(most_read);
            cover.ranges(&parts, &mut all)?;
            residual.is_too_much |= cover.into_residual().is_too_much;
            for (key, rollup) in all.into_groups() {
                if let Some(bucket) = buckets.get_mut(&key.bucket) {
                    bucket.entries = rollup.events();
                }
            }
        }
        Ok(JournalFacts {
            sequence: stats.next_sequence(),
            has_retired: stats.has_retired(),
            unmatched: stats.folded().unmatched(),
            retired: std::mem::take(&mut residual.retired),
            damaged,
            folded: stats.folded().all_before(),
            buckets,
            gaps,
            placed: Vec::new(),
        })
    }

    /// Finds out when the gaps were that are not folded.
    pub(super) fn place_gaps(&mut self, source: &Source) -> Result<()> {
        for (gap, recorded) in std::mem::take(&mut self.gaps) {
            let mut sums = GapSums::default();
            sums.add(&gap);
            self.placed.push((source.gap_times(&gap, recorded)?, sums));
        }
        Ok(())
    }

    /// Coverage of the statistic of a group, which is about `range`.
    /// Of the statistics' tables, `damaged_rollups` stretches cannot be read.
    pub(super) fn coverage(
        &self,
        range: &RangeInclusive<Timestamp>,
        bucket: i64,
        damaged_rollups: u64,
    ) -> Coverage {
        let damaged = self.damaged.get(&bucket).copied().unwrap_or(0);
        let retired = self.retired.get(&bucket).copied().unwrap_or(0);
        let bucket = self.buckets.get(&bucket).copied().unwrap_or_default();
        let mut sums = bucket.folded;
        let (first, last) = (*range.start(), *range.end());
        let touching = |gap: &&(GapTimes, GapSums)| first <= last && gap.0.touches(first, last);
        self.placed
            .iter()
            .filter(touching)
            .for_each(|gap| sums.merge(gap.1));
        // A decision that only the rollup of a cut hour knows is lost for this answer, as those in
        // gaps are.
        sums.dropped = sums.dropped.saturating_add(damaged);
        sums.damaged = sums.damaged.saturating_add(damaged);
        // Only rollups know of decisions that are retired.
        let is_unknown = damaged_rollups > 0 && self.has_retired;
        let completeness = if sums.uncounted > 0 || is_unknown {
            None
        } else if sums.dropped == 0 {
            Some(1.0)
        } else {
            let entries = bucket.entries as f64;
            Some(entries / (entries + sums.dropped as f64))
        };
        Coverage {
            first,
            last,
            dropped: sums.dropped,
            damaged: sums.damaged,
            uncounted: sums.uncounted,
            completeness,
            damaged_rollups,
            retired,
            unmatched: self.unmatched,
            sequence: self.sequence.get(),
            folded: self.folded.get(),
            quantile_error: sketch::ERROR,
        }
    }
}
