//! Covering a range of event time: days and hours inside it, minutes at its edges, and entries
//! where rollups are too coarse or not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::reader::StatsReader;
use super::rollup::sums::Rollup;
use super::rollup::{Combination, Resolution};
use super::scope::Scope;
use super::totals::Totals;
use crate::engine::format::row::{GapRow, Note};
use crate::engine::format::scan::{Scan, ScannedDecision};
use crate::entry::error::Result;
use crate::entry::gap::GapReason;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// How one range is covered in one snapshot.
pub(super) struct Cover<'c, 's, 'k> {
    stats: &'c StatsReader<'s, 'k>,
    scope: Scope,
    /// Buckets whose entries have to be read, by their first and last microsecond: a bucket that
    /// two ranges cut is read once.
    edges: BTreeMap<(Timestamp, Timestamp), Edge>,
    /// Decisions that are read one by one, at most; with more, nothing is read.
    most_read: u64,
    residual: ResidualWork,
}

/// A bucket that ranges cut.
#[derive(Default)]
struct Edge {
    /// The parts of it that lie in the ranges, ascending.
    times: Vec<RangeInclusive<Timestamp>>,
    /// The combinations whose rollups are cut.
    scope: BTreeSet<Combination>,
    /// Decisions in the whole bucket, by its rollups.
    decisions: u64,
    /// Whether anything turned out for any of them.
    has_outcomes: bool,
}

/// Look-ups after the snapshot, in entries that do not change: they must not wait.
#[derive(Default)]
pub(super) struct ResidualWork {
    /// Gaps that are not folded, with their recorded times.
    pub(super) gaps: Vec<(GapRow, Timestamp)>,
    /// Decisions that were read in place of rollups, which would have had their outcomes.
    pub(super) read: Vec<InferenceId>,
    /// Decisions with outcomes that no rollup holds yet.
    pub(super) touched: BTreeSet<InferenceId>,
    /// Decisions of buckets at the ranges' edges whose entries are retired, by what their time
    /// belongs to.
    pub(super) retired: BTreeMap<i64, u64>,
    /// The same, of entries that cannot be read any more.
    pub(super) damaged: BTreeMap<i64, u64>,
    /// There were more decisions to be read than may be: nothing was.
    pub(super) is_too_much: bool,
    /// The first sequences of the lost ranges among `gaps` that stand for entries which rollups
    /// were not asked for.
    lost_ranges: BTreeSet<Sequence>,
}

impl<'c, 's, 'k> Cover<'c, 's, 'k> {
    pub(super) fn new(stats: &'c StatsReader<'s, 'k>, scope: Scope) -> Self {
        Cover {
            stats,
            scope,
            edges: BTreeMap::new(),
            most_read: u64::MAX,
            residual: ResidualWork::default(),
        }
    }

    /// Reads nothing if more decisions than these would have to be read one by one.
    pub(super) fn at_most(mut self, most_read: u64) -> Self {
        self.most_read = most_read;
        self
    }

    /// The look-ups that are left.
    pub(super) fn into_residual(self) -> ResidualWork {
        self.residual
    }

    /// Adds everything in `times` to `totals`, without rollups.
    pub(super) fn entries(
        &mut self,
        times: &RangeInclusive<Timestamp>,
        totals: &mut Totals,
    ) -> Result<()> {
        let (from, until) = (*times.start(), *times.end());
        let mut scan = Scan::default();
        let mut read = Vec::new();
        let mut lost_ranges = Vec::new();
        self.stats.blocks_between(from, until, &mut scan, |scan| {
            scan.for_each(|event| {
                if self.is_meant(event, from, until) {
                    totals.add(event);
                    read.push(event.id);
                }
            });
            lost_ranges.extend(scan.notes().filter_map(|seen| match seen.note {
                Note::Gap(gap) => Some((seen.sequence, gap, seen.recorded)),
                _ => None,
            }));
            Ok(())
        })?;
        self.residual.read = read;
        for (sequence, gap, recorded) in lost_ranges {
            if gap.reason != GapReason::Damaged || !self.residual.lost_ranges.insert(sequence) {
                continue;
            }
            // One that was folded as a lost range is among the folded gaps; others were whole then.
            let times = gap.event_range.unwrap_or((recorded, recorded));
            let folded = self.stats.folded().holds_gap(sequence)
                && self.stats.gaps(times.0, times.1)?.damaged > 0;
            if !folded {
                self.residual.gaps.push((gap, recorded));
            }
        }
        Ok(())
    }

    /// Adds everything in `ranges`, which ascend and do not overlap, to `totals`.
    pub(super) fn ranges(
        &mut self,
        ranges: &[RangeInclusive<Timestamp>],
        totals: &mut Totals,
    ) -> Result<()> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Ok(());
        };
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            let coarsest = totals.grouping().time.coarsest(range);
            self.level(coarsest, *range.start(), *range.end(), totals)?;
        }
        let folded = self.stats.folded().all_before();
        // An upper bound: unfolded entries of any name.
        let mut to_read = self.stats.next_sequence().since(folded);
        for edge in self.edges.values() {
            to_read = to_read.saturating_add(edge.decisions);
        }
        if to_read > self.most_read {
            self.residual.is_too_much = true;
            return Ok(());
        }
        let mut scan = Scan::default();
        for (bucket, edge) in std::mem::take(&mut self.edges) {
            self.edge(bucket, &edge, &mut scan, totals)?;
        }
        self.rest(*first.start(), *last.end(), &mut scan, totals)
    }

    /// Adds the rollups of `level` that lie in `from..=until`, and finer ones at its ends.
    fn level(
        &mut self,
        level: Resolution,
        from: Timestamp,
        until: Timestamp,
        totals: &mut Totals,
    ) -> Result<()> {
        let (first, last) = (level.bucket(from), level.bucket(until));
        let begins_whole = level.start(first) >= from;
        let ends_whole = level.last(last) <= until;
        // The range lies within one bucket: there is no whole one to add.
        if first == last && !(begins_whole && ends_whole) {
            return self.part(level, first, (from, until), totals);
        }
        let (mut low, mut high) = (first, last);
        if !begins_whole {
            self.part(level, first, (from, level.last(first)), totals)?;
            low = low.saturating_add(1);
        }
        if !ends_whole {
            self.part(level, last, (level.start(last), until), totals)?;
            high = high.saturating_sub(1);
        }
        if low > high {
            return Ok(());
        }
        let scope = self.scope;
        let unreadable = self.unreadable_buckets(level, low..=high)?;
        let is_lost = |bucket| {
            let next = unreadable.partition_point(|stretch| *stretch.end() < bucket);
            unreadable
                .get(next)
                .is_some_and(|stretch| stretch.contains(&bucket))
        };
        let see = |bucket, combination, rollup: &Rollup| {
            if scope.holds(combination) && (unreadable.is_empty() || !is_lost(bucket)) {
                totals.add_rollup(level.start(bucket).max(from), combination, rollup);
            }
        };
        self.stats.rollups(level, low..=high, scope.model, see)?;
        for stretch in &unreadable {
            let first = level.start(*stretch.start()).max(from);
            let last = level.last(*stretch.end()).min(until);
            match level {
                Resolution::Day => self.level(Resolution::Hour, first, last, totals)?,
                // Many hours may lie in it, of which few have minutes.
                Resolution::Hour | Resolution::Minute => {
                    let edge = self.edges.entry((first, last)).or_default();
                    edge.times.push(first..=last);
                    edge.has_outcomes = true;
                }
            }
        }
        Ok(())
    }

    /// The stretches of buckets that lack rollups because these cannot be read.
    fn unreadable_buckets(
        &self,
        level: Resolution,
        buckets: RangeInclusive<i64>,
    ) -> Result<Vec<RangeInclusive<i64>>> {
        if !self.stats.may_be_unreadable() {
            return Ok(Vec::new());
        }
        self.stats.unreadable_buckets(level, buckets)
    }

    /// Adds a bucket's share of `from..=until`. If every row lies in that part or beside it, as
    /// today's do in a range that ends now, the rows will do.
    fn part(
        &mut self,
        level: Resolution,
        bucket: i64,
        (from, until): (Timestamp, Timestamp),
        totals: &mut Totals,
    ) -> Result<()> {
        let scope = self.scope;
        let mut within: Vec<(Combination, Rollup)> = Vec::new();
        let mut cut = BTreeSet::new();
        let (mut has_outcomes, mut decisions) = (false, 0_u64);
        let see = |_, combination, rollup: &Rollup| {
            if !scope.holds(combination) {
                return;
            }
            decisions = decisions.saturating_add(rollup.events());
            // All its decisions lie in the bucket, but outside the range.
            if rollup.is_beside(from, until) {
                return;
            }
            has_outcomes |= rollup.has_outcomes();
            if rollup.is_within(from, until) {
                within.push((combination, rollup.clone()));
            } else {
                cut.insert(combination);
            }
        };
        self.stats
            .rollups(level, bucket..=bucket, scope.model, see)?;
        let is_whole = self.unreadable_buckets(level, bucket..=bucket)?.is_empty();
        if !is_whole {
            // The rows that can be read are not all, so the entries are read instead.
            (decisions, has_outcomes) = (0, true);
        } else if cut.is_empty() {
            for (combination, rollup) in &within {
                totals.add_rollup(level.start(bucket).max(from), *combination, rollup);
            }
            return Ok(());
        }
        match level {
            Resolution::Day => self.level(Resolution::Hour, from, until, totals),
            // An hour has rows for all of its minutes or for none, so nothing is counted twice.
            Resolution::Hour if self.stats.has_minutes(bucket)? => {
                self.level(Resolution::Minute, from, until, totals)
            }
            Resolution::Hour | Resolution::Minute => {
                let whole = (level.start(bucket), level.last(bucket));
                let edge = self.edges.entry(whole).or_default();
                edge.times.push(from..=until);
                edge.scope.append(&mut cut);
                edge.decisions = decisions;
                edge.has_outcomes |= has_outcomes;
                Ok(())
            }
        }
    }

    /// Adds the entries of an edge that the rollups hold.
    fn edge(
        &mut self,
        bucket: (Timestamp, Timestamp),
        edge: &Edge,
        scan: &mut Scan,
        totals: &mut Totals,
    ) -> Result<()> {
        let folded = self.stats.folded();
        // Where entries have been retired, the rest of the bucket shows whether any of its own
        // were.
        let (from, until) = match (edge.times.first(), edge.times.last()) {
            (Some(first), Some(last)) if !self.stats.has_retired() => (*first.start(), *last.end()),
            _ => bucket,
        };
        let (mut read, mut seen) = (Vec::new(), 0);
        self.stats.blocks_between(from, until, scan, |scan| {
            scan.for_each(|event| {
                if self.is_meant(event, from, until) && folded.holds(event) {
                    // Counted for the whole bucket: its rollups do not know the parts.
                    seen += 1;
                    // Thousands of periods may cut an hour.
                    let times = edge
                        .times
                        .partition_point(|times| *times.end() < event.event);
                    if !edge
                        .times
                        .get(times)
                        .is_some_and(|times| times.contains(&event.event))
                    {
                        return;
                    }
                    totals.add(event);
                    if edge.has_outcomes {
                        read.push(event.id);
                    }
                }
            });
            Ok(())
        })?;
        self.residual.read.extend(read);
        let is_retired = self.stats.has_retired();
        if !is_retired {
            if !self.stats.has_lost()? {
                return Ok(());
            }
            seen = self.folded_in(&(bucket.0..=bucket.1), scan)?;
        }
        let lost = edge.decisions.saturating_sub(seen);
        if lost == 0 {
            return Ok(());
        }
        let missing = match is_retired {
            true => &mut self.residual.retired,
            false => &mut self.residual.damaged,
        };
        // They may lie in each of the parts.
        let buckets = edge
            .times
            .iter()
            .filter_map(|times| totals.bucket(*times.start()));
        for bucket in buckets.collect::<BTreeSet<_>>() {
            let missing = missing.entry(bucket).or_default();
            *missing = missing.saturating_add(lost);
        }
        for times in &edge.times {
            for scope in &edge.scope {
                totals.ensure_of(*times.start(), *scope);
            }
        }
        Ok(())
    }

    /// How many of the folded decisions in `times` can be read.
    fn folded_in(&self, times: &RangeInclusive<Timestamp>, scan: &mut Scan) -> Result<u64> {
        let folded = self.stats.folded();
        let (from, until) = (*times.start(), *times.end());
        let mut seen = 0;
        self.stats.blocks_between(from, until, scan, |scan| {
            scan.for_each(|event| {
                seen += u64::from(self.is_meant(event, from, until) && folded.holds(event));
            });
            Ok(())
        })?;
        Ok(seen)
    }

    /// Adds the entries that no rollup holds yet.
    fn rest(
        &mut self,
        from: Timestamp,
        until: Timestamp,
        scan: &mut Scan,
        totals: &mut Totals,
    ) -> Result<()> {
        let folded = self.stats.folded();
        let unmatched = self.stats.known_unmatched()?;
        let is_unmatched = |id: InferenceId| match &unmatched {
            Some(known) => !known.is_empty() && known.binary_search(&id).is_ok(),
            None => true,
        };
        let mut residual = std::mem::take(&mut self.residual);
        self.stats.blocks_from(folded.all_before(), scan, |scan| {
            scan.for_each(|event| {
                if self.is_meant(event, from, until) && !folded.holds(event) {
                    totals.add(event);
                    if is_unmatched(event.id) {
                        residual.touched.insert(event.id);
                    }
                }
            });
            for seen in scan.notes() {
                match seen.note {
                    Note::Gap(gap) if !folded.holds_gap(seen.sequence) => {
                        residual.gaps.push((gap, seen.recorded));
                    }
                    Note::Outcome(outcome) if seen.sequence >= folded.all_before() => {
                        residual.touched.insert(outcome.of);
                    }
                    _ => {}
                }
            }
            Ok(())
        })?;
        self.residual = residual;
        Ok(())
    }

    #[inline]
    fn is_meant(&self, event: &ScannedDecision, from: Timestamp, until: Timestamp) -> bool {
        (from..=until).contains(&event.event) && self.scope.holds(Combination::of(event))
    }
}
