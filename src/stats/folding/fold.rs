//! Folding: entries committed since the last fold are added up and merged into the rollups.
//!
//! A fold takes a stretch of sequences, adds it up in memory and merges it in short transactions.
//! Each transaction has some of the partitions and stores how far these reach now. So the contents
//! of rollups and their stated reach never differ, whenever a process dies. Only one process folds
//! at a time, under a lock; a transaction that finds that another one was faster gives up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ahash::AHashMap;

use super::folded;
use super::folded::FoldedReach;
use super::merge::{Merge, TRANSACTION_ROWS, oldest_detailed, prune};
use crate::engine::directory::Directory;
use crate::engine::elapsed::Elapsed;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::row::{GapRow, NameId, Note};
use crate::engine::format::scan::Scan;
use crate::engine::handle::WriteHandle;
use crate::engine::kv::{WriteFailure, WriteTransaction};
use crate::engine::meta::damaged;
use crate::engine::source::{Source, Unopened};
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::lock::FileLock;
use crate::outcomes::out_of_order::OutOfOrder;
use crate::outcomes::{out_of_order, unmatched};
use crate::stats::join::JoinRange;
use crate::stats::rollup::aggregate::Aggregate;
use crate::stats::rollup::gaps::{self, GapSums, GapTimes};

/// Memory for cached pages of the folder's own handle.
const CACHE_BYTES: usize = 8 << 20;
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// Entries and rows of minutes that are added up before they are merged.
const SLICE_ENTRIES: u64 = 2 << 20;
const SLICE_ROWS: usize = 1 << 15;
/// Inferences whose outcomes are looked up together.
const JOINED: usize = 1 << 16;

const LOCK: &str = "fold.lock";

/// Asked between two steps of a fold whether to continue, with its sequence so far.
pub(crate) type GoOn<'g> = &'g dyn Fn(Sequence) -> bool;

/// Folds the entries of one journal.
pub(crate) struct Folder {
    writer: WriteHandle,
    directory: Option<Directory>,
    source: Arc<Source>,
    scan: Scan,
    /// Elapsed time when this fold began: unmatched outcomes wait by it.
    elapsed: Elapsed,
    /// The highest number of a name that was folded. Numbers of names rise.
    highest: NameId,
}

impl Folder {
    /// A folder that reads through `source`, and writes through its handle where only one may be
    /// open.
    pub(crate) fn of(source: Arc<Source>) -> Self {
        Folder {
            writer: source.writer(CACHE_BYTES),
            directory: source.directory().cloned(),
            source,
            scan: Scan::default(),
            elapsed: Elapsed::default(),
            highest: NameId::NONE,
        }
    }

    /// Folds everything that is committed when it begins; returns the number of entries, `None` if
    /// another process is folding. Asks `go_on` between two transactions and while it reads.
    pub(crate) fn fold(&mut self, now: Timestamp, go_on: GoOn<'_>) -> Result<Option<u64>> {
        // The lock saves two processes from adding up the same entries. It does not keep the sums
        // right: each transaction does that, by comparing where the rollups reach.
        let lock = match &self.directory {
            Some(directory) => match take_lock(directory)? {
                Some(lock) => Some(lock),
                None => return Ok(None),
            },
            None => None,
        };
        // Before anything is read: an obstacle to writing would make the work in vain.
        self.writer.open()?;
        let outcome = self.fold_under_lock(now, go_on);
        if outcome.is_err() {
            // After a failed commit the handle may be of no more use.
            self.writer.let_go();
        }
        drop::<Option<FileLock>>(lock);
        outcome.map(Some)
    }

    fn fold_under_lock(&mut self, now: Timestamp, go_on: GoOn<'_>) -> Result<u64> {
        self.elapsed = self.source.elapsed(now)?;
        // The end is fixed here, so that a fold ends however fast others commit.
        let (mut folded, end) = self
            .source
            .with_rollups(|stats| Ok((stats.folded().clone(), stats.next_sequence())))?;
        let begin = folded.all_before();
        while folded.all_before() < end && go_on(folded.all_before()) {
            let Some(slice) = self.read(&folded, end, go_on)? else {
                break;
            };
            // An unreadable block comes next, and a repair has to decide what it was.
            if slice.next == folded.all_before() {
                break;
            }
            // First: what rollups hold of an outcome is taken away again with its help.
            self.note_out_of_order(&slice.out_of_order)?;
            folded = match self.merge(slice, folded.clone(), now, go_on)? {
                Some(folded) => folded,
                None => break,
            };
        }
        let reached = folded.all_before();
        // Last, and only with what is left of the time: statistics are right without it.
        self.prune(now, &|| go_on(reached))?;
        self.expire_unmatched(&|| go_on(reached))?;
        Ok(folded.all_before().since(begin))
    }

    /// Adds up the entries after `folded`, or a part of them, in memory; `None` if `go_on` returned
    /// false.
    fn read(
        &mut self,
        folded: &FoldedReach,
        end: Sequence,
        go_on: GoOn<'_>,
    ) -> Result<Option<Slice>> {
        let begin = folded.all_before();
        let mut slice = Slice {
            next: begin,
            ..Slice::default()
        };
        // Read once for each slice: it is short, and each of its ids must be found while the
        // entries are in memory.
        let waiting = self.source.with_rollups(|stats| stats.unmatched())?;
        let mut scan = std::mem::take(&mut self.scan);
        // Names that were never folded before begin rows of their own, and larger sums save
        // nothing. Each transaction of a large slice touches all pages of its rows, while a small
        // slice is one transaction.
        let (known, mut highest, mut new_names) = (self.highest, self.highest, 0_usize);
        'reading: while slice.next < end
            && slice.next.since(begin) < SLICE_ENTRIES
            && slice.rows.len() < SLICE_ROWS
        {
            if !go_on(slice.next) {
                self.scan = scan;
                return Ok(None);
            }
            let payloads = match self.source.payloads(slice.next, READ_BYTES) {
                Ok(payloads) if payloads.is_empty() => break,
                // Entries before an unreadable block are folded all the same.
                Err(_) if slice.next > begin => break,
                read => read?,
            };
            for (first, payload) in payloads {
                let read = BlockReader::new(first, &payload);
                if read.and_then(|block| scan.load(&block)).is_err() {
                    let from = first.max(slice.next);
                    let (first, lost_range) = self.source.lost_range_at(from)?.unwrap_or_default();
                    let loaded =
                        BlockReader::new(first, &lost_range).and_then(|block| scan.load(&block));
                    loaded.map_err(|why| self.broken(first, &why))?;
                }
                if scan.sequences().end <= slice.next {
                    // A lost range reached beyond it.
                    continue;
                }
                // A block that sealing merged may begin with entries that were seen before.
                let fresh = slice.next;
                // Also within a block, which may have 16,384 entries: the next slice continues
                // there.
                let mut cut = None;
                scan.for_each(|event| {
                    if cut.is_some_and(|cut| event.sequence >= cut) {
                        return;
                    }
                    // Partitions are merged in several transactions. After a crash some of them
                    // already hold this entry.
                    if event.sequence >= fresh && !folded.holds(event) {
                        slice.rows.add(event);
                        let name = event.model.max(event.symbol).max(event.checkpoint);
                        new_names += usize::from(name > known);
                        highest = highest.max(name);
                        let rows = slice.rows.len();
                        if rows >= TRANSACTION_ROWS / 3 && new_names * 2 >= rows {
                            cut = Some(event.sequence.saturating_add(1));
                        }
                    }
                    if !waiting.is_empty() && waiting.binary_search(&event.id).is_ok() {
                        slice.outcomes_of.insert(event.id);
                        slice.unmatched.insert(event.id, true);
                    }
                });
                let end = cut.unwrap_or(scan.sequences().end);
                let within = fresh..end;
                for seen in scan.notes().filter(|seen| within.contains(&seen.sequence)) {
                    match seen.note {
                        Note::Gap(gap) if !folded.holds_gap(seen.sequence) => {
                            let times = self.source.gap_times(&gap, seen.recorded)?;
                            slice.gaps.entry(times).or_default().add(&gap);
                        }
                        Note::Outcome(outcome) => {
                            slice.outcomes_of.insert(outcome.of);
                        }
                        _ => {}
                    }
                }
                slice.next = end;
                // After each block: a read has thousands of entries.
                let has_moved_on = || slice.rows.has_moved_on();
                self.highest = highest;
                if cut.is_some() || (slice.rows.len() >= TRANSACTION_ROWS / 3 && has_moved_on()) {
                    break 'reading;
                }
            }
        }
        self.scan = scan;
        // When the slice's end is known: an outcome behind it belongs to the next slice.
        self.join(&mut slice, folded)?;
        Ok(Some(slice))
    }

    /// Adds the outcomes in the slice, of decisions in it and before.
    fn join(&mut self, slice: &mut Slice, folded: &FoldedReach) -> Result<()> {
        let range = JoinRange {
            folded,
            end: slice.next,
            until: Timestamp::MAX,
            unopened: Unopened::Refused,
        };
        let ids: Vec<InferenceId> = std::mem::take(&mut slice.outcomes_of).into_iter().collect();
        for ids in ids.chunks(JOINED) {
            let mut missing: BTreeSet<InferenceId> = ids.iter().copied().collect();
            let source = self.source.clone();
            let joined = source.changes(ids, range)?;
            // All that is older than an inference is known when that is folded, and noted once.
            let fresh = folded.all_before();
            let out_of_order = joined.out_of_order.into_iter();
            slice
                .out_of_order
                .extend(out_of_order.filter(|known| known.inference >= fresh));
            for change in joined.changes {
                missing.remove(&change.event.id);
                if !folded.holds_outcome(&change.event, slice.next.saturating_sub(1)) {
                    slice.rows.change(&change);
                }
            }
            let missing = missing.into_iter().map(|id| (id, false));
            slice.unmatched.extend(missing);
        }
        Ok(())
    }

    fn note_out_of_order(&self, out_of_order: &[OutOfOrder]) -> Result<()> {
        out_of_order
            .chunks(out_of_order::SLICE)
            .try_for_each(|slice| {
                self.write(|transaction, _| out_of_order::note(transaction, slice))
            })
    }

    /// Merges a slice into the rollups; returns their reach then, `None` if another process was
    /// faster or `go_on` returned false.
    fn merge(
        &self,
        slice: Slice,
        mut folded: FoldedReach,
        now: Timestamp,
        go_on: GoOn<'_>,
    ) -> Result<Option<FoldedReach>> {
        let mut gaps: Vec<_> = slice.gaps.into_iter().collect();
        gaps.sort_unstable_by_key(|gap| gap.0);
        let mut parts = slice.rows.partitioned().into_iter().enumerate().peekable();
        while parts.peek().is_some() {
            if !go_on(slice.next) {
                return Ok(None);
            }
            let mut taken = Vec::new();
            let mut rows = 0;
            while let Some((_, part)) = parts.peek()
                // A minute, an hour and a day for each combination. One part always fits, however
                // large.
                && (rows == 0 || rows + 3 * part.len() <= TRANSACTION_ROWS)
            {
                rows += 3 * part.len();
                taken.extend(parts.next());
            }
            let partitions = taken.iter().map(|(partition, _)| *partition);
            let mut after = folded.with_partitions(partitions, slice.next);
            // Gaps have no partition, so they go with the last transaction of the slice.
            let is_last = parts.peek().is_none();
            if is_last {
                let longest = gaps.iter().map(|gap| gap.0.minutes()).max();
                after = after.with_gaps(slice.next, longest.unwrap_or(0));
            }
            let merged = self.write(|transaction, path| {
                // Another process may have folded since the snapshot: its sums must not be added
                // again.
                // The lock is a file, which can be removed or lie on a file system without locks.
                if folded::to_write(transaction, path)? != folded {
                    return Ok(None);
                }
                let mut merge = Merge::new(transaction, path, now)?;
                for (_, part) in &taken {
                    merge.part(part)?;
                }
                merge.finish()?;
                let mut after = after;
                if is_last {
                    gaps::merge(transaction, path, &gaps)?;
                    let (more, fewer) =
                        unmatched::note(transaction, &slice.unmatched, self.elapsed.hours())?;
                    after = after.with_unmatched(more, fewer);
                }
                // With the sums, in one transaction: a crash leaves both or neither.
                folded::put(transaction, &after)?;
                Ok(Some(after))
            })?;
            match merged {
                Some(after) => folded = after,
                None => return Ok(None),
            }
        }
        Ok(Some(folded))
    }

    /// Forgets inferences that had outcomes and have not shown up for too long.
    fn expire_unmatched(&self, go_on: &dyn Fn() -> bool) -> Result<()> {
        while go_on() {
            let expired = self
                .source
                .with_rollups(|stats| stats.expired_unmatched(&self.elapsed))?;
            if expired.is_empty() {
                break;
            }
            let gone = expired.into_iter().map(|id| (id, true)).collect();
            self.write(|transaction, path| {
                let (_, fewer) = unmatched::note(transaction, &gone, self.elapsed.hours())?;
                let folded = folded::to_write(transaction, path)?;
                folded::put(transaction, &folded.with_unmatched(0, fewer))
            })?;
        }
        Ok(())
    }

    /// Gives up the minutes of hours that lie too far back, and unneeded ones.
    fn prune(&self, now: Timestamp, go_on: &dyn Fn() -> bool) -> Result<()> {
        let oldest = oldest_detailed(now);
        let stale = self
            .source
            .with_rollups(|stats| stats.has_stale_minutes(oldest))?;
        let mut more = stale;
        while more && go_on() {
            more = self.write(|transaction, path| prune(transaction, path, oldest))?;
        }
        Ok(())
    }

    fn write<T>(
        &self,
        body: impl FnOnce(&mut WriteTransaction<'_>, &Path) -> Result<T>,
    ) -> Result<T> {
        let path = self.source.path();
        self.writer.with(|kv| {
            kv.write(|transaction| body(transaction, path))
                .map_err(WriteFailure::into_error)
        })
    }

    fn broken(&self, first: Sequence, why: &str) -> Error {
        damaged(self.source.path(), &format!("block {first}"), why)
    }
}

/// The lock of folding; `None` if another process has it.
fn take_lock(directory: &Directory) -> Result<Option<FileLock>> {
    let runs = directory.runs();
    // A journal that was restored has had no run yet.
    disk::create_directory(&runs).map_err(|error| Error::io("create", &runs, error))?;
    let path = runs.join(LOCK);
    FileLock::hold(&path).map_err(|error| Error::io("lock", path, error))
}

/// A stretch of sequences, added up.
#[derive(Default)]
struct Slice {
    rows: Aggregate,
    gaps: AHashMap<GapTimes, GapSums>,
    /// Inferences that have outcomes in it.
    outcomes_of: BTreeSet<InferenceId>,
    /// Inferences that had outcomes before they were there, and whether they are there now.
    unmatched: BTreeMap<InferenceId, bool>,
    /// Outcomes that are older than their inference, which is in it.
    out_of_order: Vec<OutOfOrder>,
    /// The sequence after its last entry.
    next: Sequence,
}

impl Source {
    /// When the events of a gap happened. Of a run that died it is known only that it lived when
    /// its last entry was made, and was found dead at `recorded`.
    pub(crate) fn gap_times(&self, gap: &GapRow, recorded: Timestamp) -> Result<GapTimes> {
        if let Some(times) = gap.event_range {
            return Ok(GapTimes::new(times));
        }
        let last = match gap.after {
            Some(id) => self.find_readable(id)?.map(|entry| entry.head.event),
            None => {
                let runs = self.runs(gap.run, 1)?;
                let run = runs.first().filter(|(run, _)| run.get() == gap.run);
                run.map(|(_, row)| row.started)
            }
        };
        Ok(GapTimes::new((last.unwrap_or(recorded), recorded)))
    }
}
