//! In which order a query reads: by sequence, or by hour of event time. Sealing may merge blocks
//! while a query runs, so a plan remembers sequences and never blocks.

use std::collections::{BTreeSet, VecDeque};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::engine::blocks::{DecodedBlock, HourKey, Projection};
use crate::engine::format::block::StoredEntry;
use crate::engine::format::select::{Limit, Selection};
use crate::engine::kv::range::Direction;
use crate::engine::source::Source;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// How much is decoded at once.
const BUDGET_BYTES: usize = 256 << 10;
/// Places of the index of event times that are read at once.
const PLACES: usize = 256;
/// Decoded blocks kept by a query by time: with daily bars, one block touches many hours.
const BLOCKS: usize = 4;

/// How a query goes through the journal.
pub(super) enum ReadPlan {
    BySequence(BySequence),
    ByTime(ByTime),
}

impl ReadPlan {
    /// Over `sequences`, or by event time over `times`.
    pub(super) fn new(
        times: Option<&RangeInclusive<Timestamp>>,
        sequences: Range<Sequence>,
        direction: Direction,
    ) -> Self {
        match times {
            Some(times) => ReadPlan::ByTime(ByTime::new(times.clone(), direction)),
            None => ReadPlan::BySequence(BySequence::new(&sequences, direction)),
        }
    }

    /// Reads on: appends up to `most` of the next decisions that are meant. Returns whether there
    /// was anything to read.
    pub(super) fn fill(
        &mut self,
        source: &Source,
        selection: &Selection,
        most: usize,
        found: &mut VecDeque<StoredEntry>,
    ) -> Result<bool> {
        if selection.sequences.is_empty() {
            return Ok(false);
        }
        match self {
            ReadPlan::BySequence(plan) => plan.fill(source, selection, most, found),
            ReadPlan::ByTime(plan) => plan.fill(source, selection, most, found),
        }
    }
}

/// Block after block, in the order of commit or against it.
pub(super) struct BySequence {
    direction: Direction,
    /// Going up, the first sequence that has not been read; going down, the last one that has.
    next: Sequence,
    budget: usize,
}

impl BySequence {
    fn new(sequences: &Range<Sequence>, direction: Direction) -> Self {
        BySequence {
            direction,
            next: match direction {
                Direction::Ascending => sequences.start,
                Direction::Descending => sequences.end,
            },
            // The newest few are most often in the newest block.
            budget: 1,
        }
    }

    fn fill(
        &mut self,
        source: &Source,
        selection: &Selection,
        most: usize,
        found: &mut VecDeque<StoredEntry>,
    ) -> Result<bool> {
        // A block may have been merged with others since. Its part beyond the reached place has
        // been given already, and is not selected again.
        let (next, budget) = (self.next, self.budget);
        let located = match self.direction {
            Direction::Ascending if next >= selection.sequences.end => return Ok(false),
            Direction::Descending if next <= selection.sequences.start => return Ok(false),
            Direction::Ascending => source.projected_after(
                next,
                budget,
                Projection::Selected(selection, Limit::First(most)),
            )?,
            Direction::Descending => source.before(
                next,
                budget,
                Projection::Selected(selection, Limit::Last(most)),
            )?,
        };
        // The first read was one block: a question for the newest few is answered by it.
        self.budget = BUDGET_BYTES;
        let Some(last) = located.last() else {
            return Ok(false);
        };
        self.next = match self.direction {
            Direction::Ascending => last.next,
            // Continues before the block's first entry. If sealing has merged it since, the
            // selection leaves out what was given.
            Direction::Descending => last.first,
        };
        for block in located {
            // Entries beyond the requested number are not kept.
            let most = most.saturating_sub(found.len());
            let rows = block.rows.into_iter();
            match self.direction {
                Direction::Ascending => found.extend(rows.take(most)),
                Direction::Descending => found.extend(rows.rev().take(most)),
            }
        }
        Ok(true)
    }
}

/// Hour after hour of event time, and within an hour in the order of commit or against it.
pub(super) struct ByTime {
    direction: Direction,
    times: RangeInclusive<Timestamp>,
    places: VecDeque<HourKey>,
    /// Progress of the answer: an hour, and the border between its given part and the rest. Blocks
    /// may be merged while the query runs, sequences stay.
    reached: Option<HourKey>,
    ended: bool,
    /// Most recently used last.
    blocks: Vec<Arc<DecodedBlock>>,
    /// Beginnings of the stretches of unknown time that have been looked into.
    met: BTreeSet<Sequence>,
}

/// A part of the answer: the rows of a block in one hour.
struct PlanPiece {
    hour: i64,
    block: Arc<DecodedBlock>,
    /// The sequences that have not been given.
    fresh: Range<Sequence>,
}

impl ByTime {
    fn new(times: RangeInclusive<Timestamp>, direction: Direction) -> Self {
        ByTime {
            direction,
            times,
            places: VecDeque::new(),
            reached: None,
            ended: false,
            blocks: Vec::new(),
            met: BTreeSet::new(),
        }
    }

    fn fill(
        &mut self,
        source: &Source,
        selection: &Selection,
        most: usize,
        found: &mut VecDeque<StoredEntry>,
    ) -> Result<bool> {
        let Some(piece) = self.next(source, selection)? else {
            return Ok(false);
        };
        let rows = piece.block.rows.iter().filter(|entry| {
            let hour = entry.head.event.hour();
            // A block that touches several hours is met once for each, and gives those of one hour
            // each time.
            hour == piece.hour && piece.fresh.contains(&entry.sequence)
        });
        match self.direction {
            Direction::Ascending => found.extend(rows.take(most).cloned()),
            Direction::Descending => found.extend(rows.rev().take(most).cloned()),
        }
        Ok(true)
    }

    /// The next hour that holds something, and the block that holds it.
    fn next(&mut self, source: &Source, selection: &Selection) -> Result<Option<PlanPiece>> {
        if self.places.is_empty() && !self.ended {
            self.look_up(source, selection)?;
        }
        let Some(place) = self.places.pop_front() else {
            return Ok(None);
        };
        let Some(block) = self.block(source, selection, place.first)? else {
            return Ok(None);
        };
        let end = block.next;
        let reached = self.reached.filter(|reached| reached.hour == place.hour);
        // The border never moves back: a block kept from before a merge ends inside the merged one.
        let (fresh, border) = match (self.direction, reached.map(|reached| reached.first)) {
            (Direction::Ascending, before) => {
                let before = before.unwrap_or(Sequence::ZERO);
                (before..Sequence::MAX, before.max(end))
            }
            (Direction::Descending, before) => {
                let before = before.unwrap_or(Sequence::MAX);
                (Sequence::ZERO..before, before.min(block.first))
            }
        };
        self.reached = Some(HourKey {
            hour: place.hour,
            first: border,
        });
        Ok(Some(PlanPiece {
            hour: place.hour,
            block,
            fresh,
        }))
    }

    fn look_up(&mut self, source: &Source, selection: &Selection) -> Result<()> {
        let (from, until) = (*self.times.start(), *self.times.end());
        loop {
            let start = self.start(source, selection)?;
            let places = source.hours(from, until, start, self.direction, PLACES)?;
            // Sealing may have merged blocks between the two snapshots. The one that holds the
            // border then begins before `start`, and was not listed.
            if self.start(source, selection)? == start {
                // Fewer than asked for are all there are.
                self.ended = places.found.len() < PLACES;
                self.places = places.found.into();
                return self.meet(source, selection, &places.untimed);
            }
        }
    }

    /// Looks once into each of the stretches that may be of any hour. They have nothing to give,
    /// and are counted as lost.
    fn meet(&mut self, source: &Source, selection: &Selection, untimed: &[Sequence]) -> Result<()> {
        for first in untimed {
            // Each once: reading it notes a loss, which the health counts.
            if self.met.insert(*first) {
                let none = Projection::Selected(selection, Limit::First(0));
                source.block_with(*first, none)?;
            }
        }
        Ok(())
    }

    /// Where the places begin that may have something left: going up, with the block that holds the
    /// border.
    fn start(&self, source: &Source, selection: &Selection) -> Result<Option<HourKey>> {
        // Only the block's ends are wanted, so no row is built.
        let none = Projection::Selected(selection, Limit::First(0));
        let mut start = self.reached;
        if let (Direction::Ascending, Some(reached)) = (self.direction, &mut start)
            && let Some(block) = source.block_with(reached.first, none)?
        {
            reached.first = block.first;
        }
        Ok(start)
    }

    fn block(
        &mut self,
        source: &Source,
        selection: &Selection,
        sequence: Sequence,
    ) -> Result<Option<Arc<DecodedBlock>>> {
        let all = Projection::Selected(selection, Limit::First(usize::MAX));
        let holds = |block: &Arc<DecodedBlock>| (block.first..block.next).contains(&sequence);
        // Neighbouring hours share blocks: a few that were decoded last are kept.
        let block = match self.blocks.iter().position(holds) {
            Some(index) => self.blocks.remove(index),
            None => match source.block_with(sequence, all)? {
                Some(block) => Arc::new(block),
                None => return Ok(None),
            },
        };
        if self.blocks.len() == BLOCKS {
            self.blocks.remove(0);
        }
        self.blocks.push(block.clone());
        Ok(Some(block))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Sequence, Source};
    use crate::engine::directory::Directory;
    use crate::engine::format::reader::looked_at;
    use crate::engine::keys;
    use crate::engine::kv::{Direction, Kv, Table, WriteFailure};
    use crate::engine::meta::sealed;
    use crate::entry::timestamp::HOUR_MICROS;
    use crate::options::Sharing;
    use crate::{Inference, InferenceRecord, Journal, Reader, Timestamp};

    const BLOCKS: u64 = 80;
    const OF_BLOCK: u64 = 15;
    const BOUND: Duration = Duration::from_secs(60);

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> i64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            i64::try_from(self.0 % end).unwrap()
        }
    }

    /// Blocks of a clock that jumps by days between blocks and by hours within some, a third of
    /// them in each of two segments.
    fn journal(dir: &std::path::Path, random: &mut Random) -> Vec<(u64, u64, i64)> {
        let options = Journal::options().without_mirror().without_folding();
        let options = options.dedup_window(Duration::ZERO);
        let journal = options.commit_interval(BOUND).open(dir).unwrap();
        let mut logged = Vec::new();
        for block in 0..BLOCKS {
            let day = (random.below(40) - 20) * 24;
            for _ in 0..OF_BLOCK {
                let hours = if block % 3 == 0 { random.below(6) } else { 0 };
                let within = random.below(HOUR_MICROS.unsigned_abs());
                let time = (day + hours) * HOUR_MICROS + within;
                let inference = Inference::new("m", "s", "BUY");
                let inference = inference.event_time(Timestamp::from_micros(time));
                journal.log(inference).unwrap();
                logged.push((block, logged.len() as u64 + 1, time));
            }
            journal.flush().wait(BOUND).unwrap();
            if block == BLOCKS / 3 || block == 2 * BLOCKS / 3 {
                assert!(journal.seal(BOUND).unwrap() > 0);
            }
        }
        journal.close().unwrap();
        logged
    }

    fn given(records: impl Iterator<Item = crate::Result<InferenceRecord>>) -> Vec<u64> {
        records.map(|record| record.unwrap().sequence).collect()
    }

    /// A damaged row of the index is met on the last page: a block that may be of any hour is told
    /// of then.
    #[test]
    fn damage_that_a_later_page_meets_is_not_passed_over() {
        for (bad, direction) in [(5, Direction::Ascending), (0, Direction::Descending)] {
            let directory = tempfile::tempdir().unwrap();
            let dir = directory.path().join("data");
            let options = Journal::options().without_mirror().without_folding();
            let journal = options.commit_interval(BOUND).open(&dir).unwrap();
            for hour in 0..6 {
                let time = Timestamp::from_micros(hour * HOUR_MICROS);
                let inference = Inference::new("m", "s", "BUY").event_time(time);
                journal.log(inference).unwrap();
                journal.flush().wait(BOUND).unwrap();
            }
            journal.close().unwrap();
            drop(journal);
            let directory = Directory::existing(&dir).unwrap();
            let kv = Kv::open(&directory.hot_file(), Sharing::Shared, 1 << 20).unwrap();
            let no_row = "nothing that a row can be".to_owned();
            let written = kv.write(|transaction| {
                let key = keys::pair(keys::ordered(bad), Sequence::new(1 + bad.unsigned_abs()));
                transaction.put(Table::Hours, &key, &mut sealed(&no_row))?;
                transaction.put(
                    Table::Blocks,
                    &keys::number(Sequence::new(3)),
                    &mut sealed(&no_row),
                )
            });
            written.map_err(WriteFailure::into_error).unwrap();
            drop(kv);
            let source = Source::open(directory, Sharing::Shared, 1 << 20).unwrap();
            let page =
                |start| source.hours(Timestamp(0), Timestamp::of_hour(6), start, direction, 2);
            let first = page(None).unwrap();
            assert_eq!((first.found.len(), first.untimed), (2, vec![]));
            let (mut start, mut untimed) = (first.found.last().copied(), BTreeSet::new());
            for _ in 0..6 {
                if let (Some(start), Direction::Ascending) = (&mut start, direction) {
                    start.first = start.first.saturating_add(1);
                }
                let places = page(start).unwrap();
                start = places.found.last().copied().or(start);
                untimed.extend(places.untimed);
            }
            assert_eq!(untimed, BTreeSet::from([Sequence::new(3)]), "{direction:?}");
        }
    }

    /// Blocks are merged while a query by time has some of them in memory and others not.
    #[test]
    fn blocks_merged_under_way_give_each_decision_once() {
        let directory = tempfile::tempdir().unwrap();
        let options = Journal::options().without_mirror().without_folding();
        let options = options.dedup_window(Duration::ZERO).commit_interval(BOUND);
        let journal = options.open(directory.path().join("data")).unwrap();
        // Hour 1 is in all blocks, hour 0 in four of the first, hour 2 in four of the last.
        for block in 0..8 {
            let of_first = (1..5).contains(&block);
            let of_last = (3..7).contains(&block);
            for hour in [(0, of_first), (1, true), (2, of_last)] {
                for second in 0..if hour.1 { 5 } else { 0 } {
                    let time = Timestamp::from_micros(hour.0 * HOUR_MICROS + second * 1_000_000);
                    let inference = Inference::new("m", "s", "BUY").event_time(time);
                    journal.log(inference).unwrap();
                }
            }
            journal.flush().wait(BOUND).unwrap();
        }
        let reader = journal.reader().unwrap();
        let (from, until) = (0, 3 * HOUR_MICROS);
        let query = || {
            let query = reader.inferences().since(Timestamp::from_micros(from));
            query.until(Timestamp::from_micros(until))
        };
        let expected = [given(query().iter()), given(query().newest_first().iter())];
        let mut under_way = [query().iter(), query().newest_first().iter()];
        let begun = under_way.each_mut().map(|iter| given(iter.take(20)));
        assert!(journal.seal(BOUND).unwrap() > 0);
        for ((mut found, rest), expected) in begun.into_iter().zip(under_way).zip(expected) {
            found.extend(given(rest));
            assert_eq!(found, expected);
        }
        journal.close().unwrap();
    }

    #[test]
    fn a_scan_by_time_skips_blocks_and_does_not_stop_early() {
        let directory = tempfile::tempdir().unwrap();
        let mut random = Random(0x5EED);
        let dir = directory.path().join("data");
        let logged = journal(&dir, &mut random);
        let reader = Reader::open(&dir).unwrap();
        let whole = 2 * 20 * 24 * HOUR_MICROS.unsigned_abs();
        let mut skipped = 0;
        for round in 0..120 {
            let begin = random.below(whole) - 20 * 24 * HOUR_MICROS;
            // Empty ranges, minutes, hours, days and all.
            let length = match round % 5 {
                0 => random.below(60_000_000),
                1 => random.below(HOUR_MICROS.unsigned_abs()),
                2 => random.below(24 * HOUR_MICROS.unsigned_abs()),
                3 => random.below(whole),
                _ => 0,
            };
            let end = begin + length;
            let hour = |time: i64| time.div_euclid(HOUR_MICROS);
            let mut expected: Vec<(i64, u64)> = logged
                .iter()
                .filter(|(_, _, time)| (begin..end).contains(time))
                .map(|(_, sequence, time)| (hour(*time), *sequence))
                .collect();
            expected.sort_unstable();
            let mut expected: Vec<u64> = expected.into_iter().map(|(_, seq)| seq).collect();
            // A block is looked into once for each hour in which it touches the range.
            let places: BTreeSet<(i64, u64)> = logged
                .iter()
                .filter(|(_, _, time)| (hour(begin)..=hour(end)).contains(&hour(*time)))
                .map(|(block, _, time)| (hour(*time), *block))
                .collect();
            let query = reader.inferences();
            let query = query.since(Timestamp::from_micros(begin));
            let query = query.until(Timestamp::from_micros(end));
            let looked = looked_at::during(|| {
                assert_eq!(given(query.iter()), expected, "round {round}");
            });
            assert!(looked <= places.len() as u64 + 2, "{looked} of {places:?}");
            skipped += BLOCKS.saturating_sub(looked);
            expected.reverse();
            let looked = looked_at::during(|| {
                assert_eq!(
                    given(query.newest_first().iter()),
                    expected,
                    "round {round}"
                );
            });
            assert!(looked <= places.len() as u64 + 2, "{looked} of {places:?}");
            if round % 10 == 3 {
                let stats = reader.stats("m").since(Timestamp::from_micros(begin));
                let stats = stats.until(Timestamp::from_micros(end)).get().unwrap();
                assert_eq!(stats.count, expected.len() as u64, "round {round}");
            }
        }
        assert!(skipped > 120 * BLOCKS / 2, "{skipped}");
    }
}
