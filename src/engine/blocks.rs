//! The tables of blocks in one file, the hot one or a segment: blocks by sequence, by hour of event
//! time and by id. Every function works within one snapshot.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow, Range};
use std::path::Path;

use super::format::CHECKSUM_BYTES;
use super::format::block::StoredEntry;
use super::format::block_index::EntryKind;
use super::format::min_max::id_bucket;
use super::format::reader::BlockReader;
use super::format::select::{Limit, Selection};
use super::index::IndexMinMax;
use super::kv::{Direction, ReadTransaction, Table};
use super::lost_ranges::{BlockTimes, LostFacts, LostRanges, MOST_LOST, payload_of, run_between};
use super::meta::damaged;
use super::{index, keys, lost_ranges};
use crate::engine::segment_row::SegmentRow;
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Recorded time and run of an entry beside a lost range, if there is one.
type Neighbour = Option<(Timestamp, u32)>;

/// The requested part of a block.
#[derive(Debug)]
pub(crate) struct DecodedBlock {
    /// The sequence of the block's first entry.
    pub(crate) first: Sequence,
    /// The sequence after its last entry.
    pub(crate) next: Sequence,
    /// In order.
    pub(crate) rows: Vec<StoredEntry>,
    /// Its size in the file.
    pub(crate) bytes: usize,
}

impl DecodedBlock {
    /// Substitute for a block that cannot be read. It holds no decision, so nothing of it is
    /// selected.
    fn of_lost_range(lost_range: StoredEntry, projection: Projection<'_>) -> Self {
        DecodedBlock {
            first: lost_range.sequence,
            next: lost_range.next(),
            rows: match projection {
                Projection::All => vec![lost_range],
                Projection::Selected(..) => Vec::new(),
            },
            bytes: 0,
        }
    }

    /// The entries of the block that are asked for.
    fn read(
        block: &BlockReader<'_>,
        payload: &[u8],
        projection: Projection<'_>,
        within: Range<Sequence>,
    ) -> Result<Self, String> {
        let sequences = block.sequences();
        Ok(DecodedBlock {
            first: sequences.start,
            next: sequences.end,
            rows: match projection {
                Projection::All => block.rows()?,
                Projection::Selected(selection, most) => block.select(selection, within, most)?,
            },
            bytes: payload.len().saturating_add(CHECKSUM_BYTES),
        })
    }

    /// Its weight in a read that is bounded by bytes.
    fn cost(&self, block: &BlockReader<'_>, projection: Projection<'_>) -> usize {
        let built = self.rows.len().saturating_mul(LEAST_OF_ENTRY);
        // Decisions that are not selected are looked at all the same.
        let looked_at = match projection {
            Projection::All => 0,
            Projection::Selected(..) => block.decisions() as usize,
        };
        self.bytes.max(built).max(looked_at)
    }
}

/// The part of each block that is read.
#[derive(Clone, Copy)]
pub(crate) enum Projection<'s> {
    /// Every entry.
    All,
    /// So many of the decisions that a selection means, of each block.
    Selected(&'s Selection, Limit),
}

/// A key of the index of event times: an hour since 1970, and a block that touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HourKey {
    pub(crate) hour: i64,
    pub(crate) first: Sequence,
}

/// A page of the index of event times.
#[derive(Default)]
pub(crate) struct HourPlaces {
    pub(crate) found: Vec<HourKey>,
    /// Where stretches begin that cannot be read and may be of any hour.
    pub(crate) untimed: Vec<Sequence>,
}

/// Least weight of an entry where reads are bounded by bytes: entries whose columns are equal take
/// none in their block, and some two hundred in memory.
const LEAST_OF_ENTRY: usize = 32;

/// The blocks of one file.
pub(crate) struct Blocks<'s, 'k> {
    pub(crate) snapshot: &'s ReadTransaction<'k>,
    pub(crate) path: &'s Path,
    /// The sequences that are meant. Others in the file are leftovers.
    pub(crate) range: Range<Sequence>,
    /// Where unreadable stretches are remembered.
    pub(crate) losses: &'s LostRanges,
    /// The registration of a segment that cannot be opened, whose blocks these would be.
    stand_in: Option<&'s SegmentRow>,
    /// The event times of each block by the index; read when the first block cannot be.
    times: OnceCell<BlockTimes>,
}

/// A stretch of the journal as it is shown: a block, or the lost range in its place.
#[derive(Clone, Copy)]
pub(crate) struct BlockVisit<'p> {
    pub(crate) block: &'p BlockReader<'p>,
    pub(crate) payload: &'p [u8],
    /// Whether the block is there and cannot be read, or is absent.
    pub(crate) is_lost: bool,
}

/// Result of showing a block.
pub(crate) enum VisitResult {
    /// It was read; it ends before `next`.
    Read {
        next: Sequence,
        flow: ControlFlow<()>,
    },
    /// It does not decode.
    Undecodable,
}

impl<'s, 'k> Blocks<'s, 'k> {
    pub(crate) fn new(
        snapshot: &'s ReadTransaction<'k>,
        path: &'s Path,
        range: Range<Sequence>,
        losses: &'s LostRanges,
    ) -> Self {
        Blocks {
            snapshot,
            path,
            range,
            losses,
            stand_in: None,
            times: OnceCell::new(),
        }
    }

    /// None, in the place of a segment of which this is registered.
    pub(crate) fn of_lost(self, row: &'s SegmentRow) -> Self {
        Blocks {
            stand_in: Some(row),
            ..self
        }
    }
}

impl Blocks<'_, '_> {
    /// Blocks that hold `from` and later entries, oldest first, until `budget` bytes are read.
    pub(crate) fn after(
        &self,
        from: Sequence,
        budget: usize,
        projection: Projection<'_>,
    ) -> Result<Vec<DecodedBlock>> {
        let mut found = Vec::new();
        let mut bytes = 0_usize;
        self.ascend(from, &mut |visit| {
            let BlockVisit { block, payload, .. } = visit;
            let Ok(decoded) = DecodedBlock::read(block, payload, projection, from..Sequence::MAX)
            else {
                return Ok(VisitResult::Undecodable);
            };
            bytes = bytes.saturating_add(decoded.cost(block, projection));
            let (next, flow) = (decoded.next, go_on(bytes < budget));
            found.push(decoded);
            Ok(VisitResult::Read { next, flow })
        })?;
        Ok(found)
    }

    /// The blocks that hold `from` and what follows, oldest first, until `see` breaks.
    pub(crate) fn payloads(
        &self,
        from: Sequence,
        mut see: impl FnMut(BlockVisit<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.ascend(from, &mut |visit| {
            let next = visit.block.sequences().end;
            let flow = see(visit)?;
            Ok(VisitResult::Read { next, flow })
        })
    }

    /// Shows the block that holds `from` and those that follow, oldest first, until `see` breaks.
    /// In the place of missing blocks, or of those that `see` cannot decode, lost ranges are shown.
    /// A lost range ends where the next readable block begins. An error is the engine's, or of
    /// `see`.
    pub(crate) fn ascend(
        &self,
        from: Sequence,
        see: &mut dyn FnMut(BlockVisit<'_>) -> Result<VisitResult>,
    ) -> Result<()> {
        if !self.range.contains(&from) {
            return Ok(());
        }
        // Keys are first sequences, so the block that holds `from` usually begins before it; redb
        // has no "last key at or before", which costs a seek more.
        let begin = self.key_until(from)?.unwrap_or(from);
        let (start, end) = (keys::number(begin), keys::number(self.range.end));
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let mut expected = from;
        let mut is_first = true;
        let mut outcome = Ok(ControlFlow::Continue(()));
        self.snapshot
            .reach(Table::Blocks, range, Direction::Ascending, |key, value| {
                outcome = self.step(key, value, &mut expected, &mut is_first, see);
                match outcome {
                    Ok(flow) => flow,
                    Err(_) => ControlFlow::Break(()),
                }
            })?;
        // The caller's own error, or its wish to stop.
        if outcome?.is_break() {
            return Ok(());
        }
        self.show_lost_ranges(expected..self.range.end, &mut expected, see)
            .map(drop)
    }

    /// One row of [`ascend`](Self::ascend): everything before `expected` has been shown.
    fn step(
        &self,
        key: &[u8],
        value: Result<&[u8]>,
        expected: &mut Sequence,
        is_first: &mut bool,
        see: &mut dyn FnMut(BlockVisit<'_>) -> Result<VisitResult>,
    ) -> Result<ControlFlow<()>> {
        let was_first = std::mem::replace(is_first, false);
        let (Some(first), Ok(payload)) = (keys::first_number(key), value) else {
            return Ok(ControlFlow::Continue(()));
        };
        // A block that ends or begins within the shown part has a false length. Behind the range
        // are leftovers of a sealer that died between its commit and its cleaning.
        let fits = |next: Sequence| next > *expected && next <= self.range.end;
        let Ok(block) = BlockReader::new(first, payload) else {
            return Ok(ControlFlow::Continue(()));
        };
        // Only the first block may begin before `expected`: it holds `from` somewhere in the
        // middle. Any other would show entries twice.
        if !fits(block.sequences().end) || (first < *expected && !was_first) {
            return Ok(ControlFlow::Continue(()));
        }
        if first > *expected {
            // Only a readable block ends a lost range: the header alone could lie. A repair uses
            // the same rule, so both find lost ranges of the same length.
            if block.rows().is_err() {
                return Ok(ControlFlow::Continue(()));
            }
            if self
                .show_lost_ranges(*expected..first, expected, see)?
                .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        let visit = BlockVisit {
            block: &block,
            payload,
            is_lost: false,
        };
        match see(visit)? {
            VisitResult::Read { next, flow } => {
                *expected = next;
                Ok(flow)
            }
            // `expected` stays: the next readable block, or the end, shows the lost range.
            VisitResult::Undecodable => Ok(ControlFlow::Continue(())),
        }
    }

    /// Shows lost ranges for all of `range`, and moves `expected` behind them.
    fn show_lost_ranges(
        &self,
        range: Range<Sequence>,
        expected: &mut Sequence,
        see: &mut dyn FnMut(BlockVisit<'_>) -> Result<VisitResult>,
    ) -> Result<ControlFlow<()>> {
        for lost_range in self.lost_ranges(range)? {
            let broken = |why: String| self.broken(lost_range.sequence, &why);
            let payload = payload_of(&lost_range).map_err(broken)?;
            let block = BlockReader::new(lost_range.sequence, &payload).map_err(broken)?;
            let visit = BlockVisit {
                block: &block,
                payload: &payload,
                is_lost: true,
            };
            match see(visit)? {
                VisitResult::Read { next, flow } => {
                    *expected = next;
                    if flow.is_break() {
                        return Ok(flow);
                    }
                }
                VisitResult::Undecodable => {
                    return Err(self.broken(lost_range.sequence, "a lost range"));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Lost ranges in the place of `range`, which is remembered as lost.
    fn lost_ranges(&self, range: Range<Sequence>) -> Result<impl Iterator<Item = StoredEntry>> {
        // A damaged extent may claim anything: its lost ranges must not fill memory.
        let missing = range.end.since(range.start);
        if missing > MOST_LOST {
            return Err(self.missing(range.start, range.end));
        }
        let mut known = LostFacts::default();
        if missing > 0 {
            self.losses.note(range.clone());
            known = match self.stand_in {
                Some(row) => row.known(),
                None => self.known_beside(&range),
            };
        }
        Ok(lost_ranges::lost_ranges(range, known))
    }

    /// Facts about the entries in `range`, from its neighbours and from the index of event times.
    fn known_beside(&self, range: &Range<Sequence>) -> LostFacts {
        let times = self
            .times
            .get_or_init(|| lost_ranges::times_of(self.snapshot));
        let event_range = lost_ranges::spanned(times, range);
        let (before, behind) = self.beside(range);
        let run = |(_, run): &(Timestamp, u32)| *run;
        LostFacts {
            run: run_between(before.as_ref().map(run), behind.as_ref().map(run)),
            // If nothing beside it can be read, the index has to do.
            recorded: before.or(behind).map_or_else(
                || event_range.map_or(Timestamp::default(), |(_, last)| last),
                |(recorded, _)| recorded,
            ),
            event_range,
        }
    }

    /// The recorded times and runs of the entries before and behind `range`.
    fn beside(&self, range: &Range<Sequence>) -> (Neighbour, Neighbour) {
        let beside = |low: Sequence, high: Sequence, direction| {
            let (low, high) = (keys::number(low), keys::number(high));
            let between = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
            let mut found = None;
            let reached = self
                .snapshot
                .reach(Table::Blocks, between, direction, |key, value| {
                    if let (Some(first), Ok(payload)) = (keys::first_number(key), value)
                        && let Ok(rows) = rows(first, payload)
                    {
                        let row = match direction {
                            Direction::Ascending => rows.first(),
                            Direction::Descending => rows.last(),
                        };
                        found = row.map(|entry| (entry.head.recorded, entry.run()));
                    }
                    go_on(found.is_none())
                });
            reached.ok().and(found)
        };
        (
            beside(self.range.start, range.start, Direction::Descending),
            beside(range.end, self.range.end, Direction::Ascending),
        )
    }

    /// Shows the block that begins at `first` to `see`; `None` if it cannot be read.
    pub(crate) fn look_into<T>(
        &self,
        first: Sequence,
        see: impl FnOnce(BlockReader<'_>) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let key = keys::number(first);
        let seen = self.snapshot.get(Table::Blocks, &key, |payload| {
            BlockReader::new(first, payload).and_then(see).ok()
        });
        match seen {
            Ok(Some(Some(seen))) => Ok(Some(seen)),
            // Noted as lost before it is passed over: health and statistics count it.
            Ok(_) | Err(Error::Corrupt { .. }) => {
                self.lost_range_around(first)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The bytes of the lost range that begins at `from`, whose block does not decode.
    pub(crate) fn lost_range_at(&self, from: Sequence) -> Result<Option<(Sequence, Vec<u8>)>> {
        let end = self.lost_range_around(from)?.next();
        let lost_range = self.lost_ranges(from..end)?.next();
        let payload = lost_range.map(|lost_range| {
            payload_of(&lost_range).map(|payload| (lost_range.sequence, payload))
        });
        payload.transpose().map_err(|why| self.broken(from, &why))
    }

    /// Blocks that begin before `until`, newest first, until `budget` bytes are read, with lost
    /// ranges as [`ascend`](Self::ascend) shows them.
    pub(crate) fn before(
        &self,
        until: Sequence,
        budget: usize,
        projection: Projection<'_>,
    ) -> Result<Vec<DecodedBlock>> {
        let within = Sequence::ZERO..until;
        let until = until.min(self.range.end);
        let mut found: Vec<DecodedBlock> = Vec::new();
        let mut bytes = 0_usize;
        let (start, end) = (keys::number(self.range.start), keys::number(until));
        if until <= self.range.start {
            return Ok(found);
        }
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let mut oldest = until;
        let mut outcome = Ok(());
        self.snapshot
            .reach(Table::Blocks, range, Direction::Descending, |key, value| {
                let (Some(first), Ok(payload)) = (keys::first_number(key), value) else {
                    return ControlFlow::Continue(());
                };
                let read = BlockReader::new(first, payload).and_then(|block| {
                    let decoded = DecodedBlock::read(&block, payload, projection, within.clone())?;
                    let cost = decoded.cost(&block, projection);
                    Ok((decoded, cost))
                });
                let Ok((decoded, cost)) = read else {
                    return ControlFlow::Continue(());
                };
                // The newest block may hold `until` itself; all others end where the next
                // begins.
                if decoded.next > oldest && (oldest < until || decoded.next > self.range.end) {
                    return ControlFlow::Continue(());
                }
                if decoded.next < oldest {
                    outcome = self.push_lost_ranges(decoded.next..oldest, projection, &mut found);
                    if outcome.is_err() {
                        return ControlFlow::Break(());
                    }
                }
                oldest = first;
                bytes = bytes.saturating_add(cost);
                found.push(decoded);
                go_on(bytes < budget)
            })?;
        outcome?;
        if bytes < budget && oldest > self.range.start {
            self.push_lost_ranges(self.range.start..oldest, projection, &mut found)?;
        }
        Ok(found)
    }

    /// Appends lost ranges for all of `range`, newest first.
    fn push_lost_ranges(
        &self,
        range: Range<Sequence>,
        projection: Projection<'_>,
        found: &mut Vec<DecodedBlock>,
    ) -> Result<()> {
        let lost_ranges: Vec<StoredEntry> = self.lost_ranges(range)?.collect();
        let lost_ranges = lost_ranges.into_iter().rev();
        found.extend(
            lost_ranges.map(|lost_range| DecodedBlock::of_lost_range(lost_range, projection)),
        );
        Ok(())
    }

    /// The block that holds `sequence`, or the lost range in its place.
    pub(crate) fn block_with(
        &self,
        sequence: Sequence,
        projection: Projection<'_>,
    ) -> Result<DecodedBlock> {
        let read = self.whole_block_with(sequence, |block, payload| {
            DecodedBlock::read(&block, payload, projection, Sequence::ZERO..Sequence::MAX)
        })?;
        match read {
            Some(decoded) => Ok(decoded),
            None => Ok(DecodedBlock::of_lost_range(
                self.lost_range_around(sequence)?,
                projection,
            )),
        }
    }

    /// The result of `see` for the block that holds `sequence`; `None` if it cannot be read.
    fn whole_block_with<T>(
        &self,
        sequence: Sequence,
        see: impl FnOnce(BlockReader<'_>, &[u8]) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(first) = self.key_until(sequence)? else {
            return Ok(None);
        };
        let key = keys::number(first);
        let seen = self.snapshot.get(Table::Blocks, &key, |payload| {
            let block = BlockReader::new(first, payload)?;
            let covered = block.sequences();
            match covered.contains(&sequence) && covered.end <= self.range.end {
                true => see(block, payload),
                false => Err("another block's".to_owned()),
            }
        });
        match seen {
            Ok(seen) => Ok(seen.and_then(|seen: Result<T, String>| seen.ok())),
            Err(Error::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The lost range that holds `sequence`, whose block cannot be read.
    fn lost_range_around(&self, sequence: Sequence) -> Result<StoredEntry> {
        let mut start = self.range.start;
        let (low, high) = (keys::number(start), keys::number(sequence));
        let range = (Bound::Included(&low[..]), Bound::Included(&high[..]));
        self.snapshot
            .reach(Table::Blocks, range, Direction::Descending, |key, value| {
                let end = match (keys::first_number(key), value) {
                    (Some(first), Ok(payload)) => end_of(first, payload),
                    _ => Err(String::new()),
                };
                match end {
                    Ok(end) if end <= sequence => start = end,
                    _ => return ControlFlow::Continue(()),
                }
                ControlFlow::Break(())
            })?;
        let mut end = self.range.end;
        let (low, high) = (keys::number(sequence), keys::number(end));
        let range = (Bound::Excluded(&low[..]), Bound::Excluded(&high[..]));
        self.snapshot
            .reach(Table::Blocks, range, Direction::Ascending, |key, value| {
                if let (Some(first), Ok(payload)) = (keys::first_number(key), value)
                    && end_of(first, payload).is_ok()
                {
                    end = first;
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        let mut lost_ranges = self.lost_ranges(start..end)?;
        let lost_range = lost_ranges.find(|lost_range| lost_range.next() > sequence);
        lost_range.ok_or_else(|| self.missing(start, end))
    }

    /// Up to `most` places of the index of event times whose seconds touch `from..=until` in
    /// `direction`: ascending from `start` on, descending from before it. Rows of the index may
    /// turn out to be damaged. Then all blocks that may be of any hour come too: each question must
    /// meet them, whichever of its pages finds the damage.
    pub(crate) fn hours(
        &self,
        from: Timestamp,
        until: Timestamp,
        start: Option<HourKey>,
        direction: Direction,
        most: usize,
    ) -> Result<HourPlaces> {
        let mut found = Vec::new();
        if let Some(row) = self.stand_in {
            found.extend(self.key_of_lost(row, (from, until), start, direction));
            return Ok(HourPlaces {
                found,
                ..HourPlaces::default()
            });
        }
        let hour = |time: Timestamp| keys::ordered(time.hour());
        let low = keys::pair(hour(from), Sequence::ZERO);
        let high = keys::pair(hour(until), Sequence::MAX);
        let start = start.map(|key| keys::pair(keys::ordered(key.hour), key.first));
        let range = match (&start, direction) {
            (None, _) => (Bound::Included(&low[..]), Bound::Included(&high[..])),
            (Some(start), Direction::Ascending) => {
                (Bound::Included(&start[..]), Bound::Included(&high[..]))
            }
            (Some(start), Direction::Descending) => {
                (Bound::Included(&low[..]), Bound::Excluded(&start[..]))
            }
        };
        let rebuilt = self.index(Table::Hours, range, direction, |key, span| {
            let (key, touched) = self.hour_key(key, span)?;
            // Rows of blocks before the hot file's first sequence stay in the index until the
            // sealer removes them.
            let meant = self.range.contains(&key.first);
            if meant && touched.0 <= until && touched.1 >= from {
                found.push(key);
            }
            Ok(go_on(found.len() < most))
        })?;
        let untimed = rebuilt.iter().flat_map(|rebuilt| &rebuilt.untimed);
        let untimed = untimed.filter(|first| self.range.contains(first)).copied();
        Ok(HourPlaces {
            untimed: untimed.collect(),
            found,
        })
    }

    /// Where a segment that cannot be opened belongs in the order of event times.
    fn key_of_lost(
        &self,
        row: &SegmentRow,
        (from, until): (Timestamp, Timestamp),
        start: Option<HourKey>,
        direction: Direction,
    ) -> Option<HourKey> {
        let (first, last) = row.event_times?;
        if first > until || last < from {
            return None;
        }
        let time = match direction {
            Direction::Ascending => first.max(from),
            Direction::Descending => last.min(until),
        };
        let key = HourKey {
            hour: time.hour(),
            first: self.range.start,
        };
        let is_left = start.is_none_or(|start| match direction {
            Direction::Ascending => key >= start,
            Direction::Descending => key < start,
        });
        is_left.then_some(key)
    }

    /// Every hour of event time that a block touches.
    pub(crate) fn all_hours(&self) -> Result<BTreeSet<i64>> {
        let mut hours = BTreeSet::new();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let direction = Direction::Ascending;
        self.snapshot
            .scan(Table::Hours, everything, direction, |key, value| {
                let broken = |why: &str| damaged(self.path, "hours", why);
                let span =
                    index::min_max_of(Table::Hours, value).ok_or_else(|| broken("no span"))?;
                hours.insert(self.hour_key(key, span)?.0.hour);
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(hours)
    }

    /// A row of the index of event times, with the first and last microsecond that it covers.
    fn hour_key(&self, key: &[u8], span: IndexMinMax) -> Result<(HourKey, (Timestamp, Timestamp))> {
        let broken = |why: &str| damaged(self.path, "hours", why);
        let (hour, first) = keys::first_number(key)
            .zip(keys::second_number(key))
            .ok_or_else(|| broken("a key is too short"))?;
        let (low, high) = span.ok_or_else(|| broken("a row says nothing"))?;
        let hour = keys::unordered(hour);
        // The first hour that a time can be in begins before the first time.
        let at = |second: u16, more: i128| {
            let seconds = i128::from(hour) * 3_600 + i128::from(second);
            let micros = seconds * 1_000_000 + more;
            let clamped = micros.clamp(i64::MIN.into(), i64::MAX.into());
            Timestamp::from_micros(i64::try_from(clamped).unwrap_or_default())
        };
        let touched = (at(low, 0), at(high, 999_999));
        Ok((HourKey { hour, first }, touched))
    }

    /// The inference or repeat with this id. Adds to `unread` the blocks that may hold it and
    /// cannot be read.
    pub(crate) fn find(
        &self,
        id: InferenceId,
        unread: &mut Vec<Sequence>,
    ) -> Result<Option<StoredEntry>> {
        let (bucket, within) = id_bucket(id);
        let (start, end) = (
            keys::pair(bucket, Sequence::ZERO),
            keys::pair(bucket, Sequence::MAX),
        );
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        if self.stand_in.is_some() {
            unread.push(self.range.start);
            return Ok(None);
        }
        let mut found = None;
        let rebuilt = self.index(Table::Ids, range, Direction::Ascending, |key, span| {
            let broken = |why: &str| damaged(self.path, "ids", why);
            let (low, high) = span.ok_or_else(|| broken("a row says nothing"))?;
            let first = keys::second_number(key).ok_or_else(|| broken("a short key"))?;
            // The span of ids keeps most blocks of a bucket from being read: loops of several
            // processes spread one bucket over many.
            if !(low..=high).contains(&within) || !self.range.contains(&first) {
                return Ok(ControlFlow::Continue(()));
            }
            match self.look_into(first, |block| block.find(id))? {
                Some(seen) => found = seen,
                None => unread.push(first),
            }
            Ok(go_on(found.is_none()))
        })?;
        if let (None, Some(rebuilt)) = (&found, rebuilt) {
            // A lost decision may have had a name that the damaged index lacks.
            unread.extend(&rebuilt.untimed);
        }
        Ok(found)
    }

    /// The entry with this sequence.
    pub(crate) fn at(&self, sequence: Sequence) -> Result<Option<StoredEntry>> {
        if !self.range.contains(&sequence) {
            return Ok(None);
        }
        let read = self.whole_block_with(sequence, |block, _| block.at(sequence))?;
        match read.flatten() {
            Some(entry) => Ok(Some(entry)),
            None => self.lost_range_around(sequence).map(Some),
        }
    }

    /// Up to `most` sequences of entries of one kind within `wanted`, in `direction`.
    pub(crate) fn of_kind(
        &self,
        kind: EntryKind,
        wanted: Range<Sequence>,
        direction: Direction,
        most: usize,
    ) -> Result<Vec<Sequence>> {
        let start = keys::pair(kind as u64, wanted.start.max(self.range.start));
        let end = keys::pair(kind as u64, wanted.end.min(self.range.end));
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let mut found = Vec::new();
        if self.stand_in.is_some() && wanted.contains(&self.range.start) {
            // The lost range in its place.
            found.push(self.range.start);
        }
        if start >= end {
            return Ok(found);
        }
        self.index(Table::Kinds, range, direction, |key, _| {
            let sequence = keys::second_number(key)
                .ok_or_else(|| damaged(self.path, Table::Kinds.name(), "a key is too short"))?;
            found.push(sequence);
            Ok(go_on(found.len() < most))
        })?;
        Ok(found)
    }

    /// The first sequences of the blocks that begin before `before` and that an index by id finds
    /// for `ids` (ascending): [`Table::Ids`] for their decisions, [`Table::Outcomes`] for their
    /// outcomes.
    pub(crate) fn of_ids(
        &self,
        table: Table,
        ids: &[InferenceId],
        before: Sequence,
    ) -> Result<BTreeSet<Sequence>> {
        let broken = |why: &str| damaged(self.path, table.name(), why);
        let mut blocks = BTreeSet::new();
        for bucket in ids.chunk_by(|one, next| id_bucket(*one).0 == id_bucket(*next).0) {
            let (Some(first), Some(last)) = (bucket.first(), bucket.last()) else {
                continue;
            };
            let (number, lowest) = id_bucket(*first);
            let (_, highest) = id_bucket(*last);
            let start = keys::pair(number, self.range.start);
            let end = keys::pair(number, before.min(self.range.end));
            if start >= end {
                continue;
            }
            let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
            self.index(table, range, Direction::Ascending, |key, span| {
                let (low, high) = span.ok_or_else(|| broken("a row says nothing"))?;
                let first = keys::second_number(key).ok_or_else(|| broken("a short key"))?;
                if low <= highest && high >= lowest {
                    blocks.insert(first);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(blocks)
    }

    /// The ids of this bucket of [`ID_BUCKET_BITS`] that are here.
    pub(crate) fn ids_of(&self, bucket: u64) -> Result<Vec<InferenceId>> {
        let (start, end) = (
            keys::pair(bucket, Sequence::ZERO),
            keys::pair(bucket, Sequence::MAX),
        );
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut found = Vec::new();
        self.index(Table::Ids, range, Direction::Ascending, |key, _| {
            let first =
                keys::second_number(key).ok_or_else(|| damaged(self.path, "ids", "a short key"))?;
            if self.range.contains(&first) {
                // Nothing of an unreadable block is left. A block touches several buckets.
                let is_meant = |id: &InferenceId| id_bucket(*id).0 == bucket;
                self.look_into(first, |block| {
                    found.extend(block.each_id().filter(is_meant));
                    Ok(())
                })?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The first sequence of the block that begins at `sequence` or is the next before it.
    fn key_until(&self, sequence: Sequence) -> Result<Option<Sequence>> {
        let mut first = None;
        let (low, high) = (keys::number(self.range.start), keys::number(sequence));
        let range = (Bound::Included(&low[..]), Bound::Included(&high[..]));
        self.snapshot
            .reach(Table::Blocks, range, Direction::Descending, |key, _| {
                first = keys::first_number(key);
                ControlFlow::Break(())
            })?;
        Ok(first)
    }

    pub(crate) fn broken(&self, first: Sequence, why: &str) -> Error {
        damaged(self.path, &format!("block {first}"), why)
    }

    fn missing(&self, from: Sequence, until: Sequence) -> Error {
        damaged(
            self.path,
            "blocks",
            &format!(
                "sequences {from} to {} are missing",
                until.saturating_sub(1)
            ),
        )
    }
}

/// The entries of the block that begins at `first`.
fn rows(first: Sequence, payload: &[u8]) -> Result<Vec<StoredEntry>, String> {
    BlockReader::new(first, payload)?.rows()
}

/// The sequence after the block that begins at `first`, if all of it can be read.
fn end_of(first: Sequence, payload: &[u8]) -> Result<Sequence, String> {
    let block = BlockReader::new(first, payload)?;
    block.rows()?;
    Ok(block.sequences().end)
}

pub(crate) fn go_on(more: bool) -> ControlFlow<()> {
    if more {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}
