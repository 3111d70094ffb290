//! Reads what a statistic is made of from one snapshot: rollups, how far they reach, and the blocks
//! behind them.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow, Range, RangeInclusive};

use super::folding::folded;
use super::folding::folded::FoldedReach;
use super::rollup::gaps;
use super::rollup::gaps::GapSums;
use super::rollup::sums::Rollup;
use super::rollup::table;
use super::rollup::{Combination, Resolution};
use crate::engine::blocks::{Blocks, VisitResult};
use crate::engine::dictionary;
use crate::engine::elapsed::Elapsed;
use crate::engine::format::name::NameKind;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::row::NameId;
use crate::engine::format::scan::Scan;
use crate::engine::kv::{Direction, Table};
use crate::engine::meta;
use crate::engine::meta::Extent;
use crate::engine::meta::damaged;
use crate::engine::source::{Snapshot, Source, Unopened};
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::outcomes::out_of_order;
use crate::outcomes::unmatched;

/// Places of the index of event times that are read at once.
const PLACES: usize = 1 << 16;

/// The treatment of rows of the statistics' tables that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// They are an error.
    Whole,
    /// They are gone round: finer rows and entries are read in their place.
    Readable,
    /// It is not known how far the rollups reach, so that none of them can be used.
    Nothing,
}

/// A snapshot, with the reach of its rollups, for as long as one statistic takes.
pub(crate) struct StatsReader<'s, 'k> {
    source: &'s Source,
    snapshot: &'s Snapshot<'s, 'k>,
    extent: Extent,
    folded: FoldedReach,
    trust: Trust,
}

impl Source {
    /// Runs `body` on one snapshot of the journal.
    pub(crate) fn with_rollups<T>(
        &self,
        body: impl FnOnce(&StatsReader<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        self.read(|snapshot| {
            body(&StatsReader {
                source: self,
                snapshot,
                extent: snapshot.extent()?,
                folded: folded::read(snapshot, snapshot.path())?,
                trust: Trust::Whole,
            })
        })
    }

    /// The same. If rows of the statistics' tables cannot be read, `body` runs again and goes round
    /// them.
    pub(crate) fn with_readable_rollups<T>(
        &self,
        mut body: impl FnMut(&StatsReader<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        match self.with_rollups(&mut body) {
            // Damaged rollups must not end a statistic: it reads entries in their place.
            Err(Error::Corrupt { .. }) => {}
            answer => return answer,
        }
        self.read(|snapshot| {
            let extent = snapshot.extent()?;
            let folded = folded::readable(snapshot, snapshot.path())?;
            let trust = match &folded {
                Some(_) => Trust::Readable,
                None => Trust::Nothing,
            };
            if trust == Trust::Nothing {
                snapshot.losses().note_rollups();
            }
            body(&StatsReader {
                source: self,
                snapshot,
                extent,
                // Nothing counts as folded then, so every entry is read.
                folded: folded.unwrap_or_else(|| FoldedReach::beginning_at(Sequence::FIRST)),
                trust,
            })
        })
    }

    /// Entries that are committed and in no rollup.
    pub(crate) fn unfolded(&self) -> Result<u64> {
        self.with_readable_rollups(|snapshot| {
            let folded = snapshot.folded().all_before();
            Ok(snapshot.next_sequence().since(folded))
        })
    }
}

impl StatsReader<'_, '_> {
    /// Reach of the rollups.
    pub(crate) fn folded(&self) -> &FoldedReach {
        &self.folded
    }

    /// The sequence after the last committed entry.
    pub(crate) fn next_sequence(&self) -> Sequence {
        self.extent.next
    }

    /// Whether any entry has been retired.
    pub(crate) fn has_retired(&self) -> bool {
        self.extent.kept > Sequence::FIRST
    }

    pub(crate) fn name_id(&self, kind: NameKind, text: &str) -> Result<Option<NameId>> {
        dictionary::id_of(self.snapshot, self.snapshot.path(), kind as u8, text)
    }

    /// Shows the rollups of `buckets`, of one model or of all.
    pub(crate) fn rollups(
        &self,
        level: Resolution,
        buckets: RangeInclusive<i64>,
        model: Option<NameId>,
        mut see: impl FnMut(i64, Combination, &Rollup),
    ) -> Result<()> {
        let (snapshot, path) = (self.snapshot, self.snapshot.path());
        if self.trust != Trust::Whole {
            return self.readable(level, buckets, |row| {
                if let Some((bucket, combination, rollup)) = row
                    && model.is_none_or(|model| combination.model == model)
                {
                    see(bucket, combination, rollup);
                }
            });
        }
        // One for all rows: decoding into it allocates seldom.
        let mut rollup = Rollup::default();
        table::scan(
            snapshot,
            path,
            level,
            buckets,
            model,
            |bucket, combination, bytes| {
                let read = rollup.decode(level.start(bucket), bytes);
                read.map_err(|why| {
                    let row = format!("rollup {level:?} {bucket} {combination:?}");
                    damaged(path, &row, &why)
                })?;
                see(bucket, combination, &rollup);
                Ok(())
            },
        )
    }

    /// Whether rows may be missing among the [`rollups`](Self::rollups): then the
    /// [`unreadable_buckets`](Self::unreadable_buckets) say where.
    pub(crate) fn may_be_unreadable(&self) -> bool {
        self.trust == Trust::Readable
    }

    /// Shows the rollups of `buckets` that can be read, and `None` for others between them.
    fn readable(
        &self,
        level: Resolution,
        buckets: RangeInclusive<i64>,
        mut see: impl FnMut(Option<(i64, Combination, &Rollup)>),
    ) -> Result<()> {
        if self.trust == Trust::Nothing || buckets.is_empty() {
            return Ok(());
        }
        let (first, last) = table::ends(level, &buckets);
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let (snapshot, path) = (self.snapshot, self.snapshot.path());
        let mut rollup = Rollup::default();
        let ascending = Direction::Ascending;
        snapshot.reach_around(Table::Rollups, range, ascending, |row| {
            let read = row.and_then(|(key, value)| {
                let (bucket, combination) = table::parse(path, key).ok()?;
                rollup.decode(level.start(bucket), value.ok()?).ok()?;
                Some((bucket, combination))
            });
            see(read.map(|(bucket, combination)| (bucket, combination, &rollup)));
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// The buckets that lack any of their rollups, because these cannot be read: stretches,
    /// ascending and apart.
    pub(crate) fn unreadable_buckets(
        &self,
        level: Resolution,
        buckets: RangeInclusive<i64>,
    ) -> Result<Vec<RangeInclusive<i64>>> {
        let mut unreadable: Vec<RangeInclusive<i64>> = Vec::new();
        let mut last = *buckets.start();
        let mut is_open = false;
        let mut close = |from: i64, until: i64| {
            match unreadable.last_mut() {
                // Stretches that touch are one, so that no bucket is read twice.
                Some(before) if before.end().saturating_add(1) >= from => {
                    *before = *before.start()..=until;
                }
                _ => unreadable.push(from..=until),
            }
            self.snapshot.losses().note_rollups();
        };
        self.readable(level, buckets.clone(), |row| {
            // A row that is gone may be of the same bucket as its neighbours.
            match row {
                Some((bucket, ..)) => {
                    if std::mem::take(&mut is_open) {
                        close(last, bucket);
                    }
                    last = bucket;
                }
                // Where it ends is known from the next row that can be read.
                None => is_open = true,
            }
        })?;
        if is_open {
            close(last, *buckets.end());
        }
        Ok(unreadable)
    }

    /// Shows every name that the rollups and out-of-order outcomes need. Decodes the rollups of the
    /// days, which stand for all.
    pub(crate) fn each_name(&self, mut see: impl FnMut(NameId)) -> Result<()> {
        self.rollups(
            Resolution::Day,
            i64::MIN..=i64::MAX,
            None,
            |_, combination, rollup| {
                let names = [
                    combination.model,
                    combination.symbol,
                    combination.checkpoint,
                ];
                names.into_iter().for_each(&mut see);
                rollup.names().for_each(&mut see);
            },
        )?;
        out_of_order::each(
            self.snapshot,
            self.snapshot.path(),
            InferenceId::NONE,
            |known| {
                known.outcome.row.each_name(&mut see);
                ControlFlow::Continue(())
            },
        )
    }

    /// Whether there are rows for the minutes of this hour.
    pub(crate) fn has_minutes(&self, hour: i64) -> Result<bool> {
        let has = table::has_detail(self.snapshot, hour);
        self.or_around(has, || false)
    }

    /// The value that was read, or where that may be gone round, another one.
    fn or_around<T>(&self, read: Result<T>, other: impl FnOnce() -> T) -> Result<T> {
        match read {
            Err(Error::Corrupt { .. }) if self.trust != Trust::Whole => {
                self.snapshot.losses().note_rollups();
                Ok(other())
            }
            read => read,
        }
    }

    /// Whether there are rows for minutes of hours before `oldest`, or of hours without a note that
    /// they have such.
    pub(crate) fn has_stale_minutes(&self, oldest: i64) -> Result<bool> {
        let (snapshot, path) = (self.snapshot, self.snapshot.path());
        let mut next = i64::MIN;
        while let Some(minute) = table::first_minute(snapshot, path, next)? {
            let hour = Resolution::Hour.bucket(Resolution::Minute.start(minute));
            if hour < oldest || !self.has_minutes(hour)? {
                return Ok(true);
            }
            // A hostile key may stand for the last hour that there is.
            let Some(after) = hour.checked_add(1) else {
                break;
            };
            let after = Resolution::Minute.bucket(Resolution::Hour.start(after));
            // The bounds saturate at the ends of time: without progress the loop would not end.
            if after <= next {
                break;
            }
            next = after;
        }
        Ok(false)
    }

    /// Whether any entry is known to be unreadable, or was when the journal was repaired.
    pub(crate) fn has_lost(&self) -> Result<bool> {
        if self.snapshot.losses().entries() > 0 {
            return Ok(true);
        }
        Ok(self.repaired()? > 0)
    }

    /// How many entries repairs have put lost ranges in the place of.
    pub(crate) fn repaired(&self) -> Result<u64> {
        meta::lost(self.snapshot, self.snapshot.path())
    }

    /// The inferences that have folded outcomes and were not there when these were folded,
    /// ascending.
    pub(crate) fn unmatched(&self) -> Result<Vec<InferenceId>> {
        unmatched::list(self.snapshot, self.snapshot.path())
    }

    /// The same; `None` if that cannot be read, so that any inference may be one of them.
    pub(crate) fn known_unmatched(&self) -> Result<Option<Vec<InferenceId>>> {
        if self.trust == Trust::Nothing {
            return Ok(Some(Vec::new()));
        }
        self.or_around(self.unmatched().map(Some), || None)
    }

    /// Some of the unmatched outcomes that have not shown up for too long.
    pub(crate) fn expired_unmatched(&self, elapsed: &Elapsed) -> Result<Vec<InferenceId>> {
        unmatched::expired(self.snapshot, self.snapshot.path(), elapsed)
    }

    /// Sum of the folded gaps that touch the minutes of `from..=until`.
    pub(crate) fn gaps(&self, from: Timestamp, until: Timestamp) -> Result<GapSums> {
        let longest = self.folded.longest_gap;
        let (snapshot, path) = (self.snapshot, self.snapshot.path());
        match self.trust {
            Trust::Whole => gaps::between(snapshot, path, (from, until), longest),
            Trust::Readable => {
                let (sums, is_whole) = gaps::readable(snapshot, path, (from, until), longest)?;
                if !is_whole {
                    self.snapshot.losses().note_rollups();
                }
                Ok(sums)
            }
            // All gaps that are there still count as not folded.
            Trust::Nothing => Ok(GapSums::default()),
        }
    }

    /// Shows every block that holds `from` or later entries.
    pub(crate) fn blocks_from(
        &self,
        from: Sequence,
        scan: &mut Scan,
        mut see: impl FnMut(&mut Scan) -> Result<()>,
    ) -> Result<()> {
        let extent = self.extent;
        let mut next = from.max(extent.kept);
        self.in_segments(
            |range, _| range.end > from,
            |blocks| {
                next = next.max(blocks.range.end);
                show(blocks, from.max(blocks.range.start), scan, &mut see)
            },
        )?;
        if next < extent.next {
            show(&self.snapshot.hot()?, next.max(extent.hot), scan, &mut see)?;
        }
        Ok(())
    }

    /// Shows the blocks that have inferences or repeats of the seconds of `from..=until`, each
    /// once.
    pub(crate) fn blocks_between(
        &self,
        from: Timestamp,
        until: Timestamp,
        scan: &mut Scan,
        mut see: impl FnMut(&mut Scan) -> Result<()>,
    ) -> Result<()> {
        self.in_segments(
            |_, times| times.is_some_and(|(first, last)| first <= until && last >= from),
            |blocks| show_between(blocks, (from, until), scan, &mut see),
        )?;
        show_between(&self.snapshot.hot()?, (from, until), scan, &mut see)
    }

    /// Runs `body` on the segments that `wanted` likes by their sequences and event times.
    fn in_segments(
        &self,
        wanted: impl Fn(Range<Sequence>, Option<(Timestamp, Timestamp)>) -> bool,
        mut body: impl FnMut(&Blocks<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let unopened = Unopened::PassedOver;
        for segment in self.source.list_with(self.snapshot, unopened)?.iter() {
            let row = &segment.row;
            if wanted(segment.first..row.next, row.event_times) {
                let open = self.source.segment_with(segment, unopened);
                let answer = open.and_then(|open| open.read(&mut body));
                self.source.unless_retired(segment, answer)?;
            }
        }
        Ok(())
    }
}

fn show(
    blocks: &Blocks<'_, '_>,
    from: Sequence,
    scan: &mut Scan,
    see: &mut impl FnMut(&mut Scan) -> Result<()>,
) -> Result<()> {
    blocks.ascend(from, &mut |visit| {
        if scan.load(visit.block).is_err() {
            return Ok(VisitResult::Undecodable);
        }
        see(scan)?;
        Ok(VisitResult::Read {
            next: scan.sequences().end,
            flow: ControlFlow::Continue(()),
        })
    })
}

fn show_between(
    blocks: &Blocks<'_, '_>,
    (from, until): (Timestamp, Timestamp),
    scan: &mut Scan,
    see: &mut impl FnMut(&mut Scan) -> Result<()>,
) -> Result<()> {
    let mut touched = BTreeSet::new();
    let mut start = None;
    loop {
        let places = blocks.hours(from, until, start, Direction::Ascending, PLACES)?;
        touched.extend(places.found.iter().map(|place| place.first));
        touched.extend(places.untimed);
        match places.found.last() {
            Some(last) if places.found.len() >= PLACES => {
                let mut after = *last;
                // Go on behind the last place: a page may end within an hour.
                after.first = after.first.saturating_add(1);
                start = Some(after);
            }
            _ => break,
        }
    }
    // A lost range reaches to the next block that can be read, over others that cannot.
    let mut shown = Sequence::ZERO;
    for first in touched {
        if first < shown {
            continue;
        }
        let loaded = blocks.look_into(first, |block| scan.load(&block))?;
        if loaded.is_none() {
            let (first, lost_range) = blocks.lost_range_at(first)?.unwrap_or_default();
            let loaded = BlockReader::new(first, &lost_range).and_then(|block| scan.load(&block));
            loaded.map_err(|why| blocks.broken(first, &why))?;
        }
        shown = scan.sequences().end;
        see(scan)?;
    }
    Ok(())
}
