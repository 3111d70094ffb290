//! Taking in what a dead run left in its spool, and then in its lanes, in the transaction that
//! marks it dead.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::path::Path;

use ahash::AHashSet;

use super::append::append;
use super::directory::Directory;
use super::format::CHECKSUM_BYTES;
use super::format::block::{Block, BlockEncoder};
use super::format::codec::MOST;
use super::format::merge::merge;
use super::format::row::{InputRef, NameId};
use super::format::spooled::SpooledBlock;
use super::inputs::rows::{self, InputFile};
use super::kv::{Table, WriteTransaction};
use super::runs::{self, RunDelta, RunEnd, RunRow};
use super::spool::{Covered, Frame, Frames, SpoolOwner, parity};
use super::{dictionary, keys, meta};
use crate::entry::error::Result;
use crate::entry::ids::{JournalId, RunId};

/// Blocks are stored when they have so many bytes, so that memory stays flat.
const STORED_AT_ONCE: usize = 4 << 20;

/// The lanes that dead runs leave; a room above knows how to read them.
pub(crate) trait DeadLanes {
    /// Stores what the spool does not have, and counts it in the run's row. Returns how many calls
    /// were lost, if that is known. Lanes that cannot be read are no error.
    fn take_in(&self, dead: &mut DeadRun<'_, '_>) -> Result<Option<u64>>;

    /// The runs of a journal whose lanes are still there.
    fn runs(&self, journal: JournalId) -> Vec<RunId>;

    /// Removes the lanes of a run whose end is stored.
    fn forget(&self, journal: JournalId, run: RunId);
}

/// A dead run in the transaction that marks it dead.
pub(crate) struct DeadRun<'a, 'b> {
    transaction: &'a mut WriteTransaction<'b>,
    path: &'a Path,
    pub(crate) journal: JournalId,
    pub(crate) run: RunId,
    pub(crate) row: &'a mut RunRow,
    /// The newest commit or frame that is stored.
    pub(crate) covered: Covered,
    /// Inputs of decisions that were taken in, and that no commit has.
    pub(crate) lost_inputs: u64,
}

impl<'a, 'b> DeadRun<'a, 'b> {
    /// Takes in the spool of `run`.
    ///
    /// # Errors
    /// The transaction failed.
    pub(super) fn take_in(
        transaction: &'a mut WriteTransaction<'b>,
        path: &'a Path,
        directory: &Directory,
        run: RunId,
        row: &'a mut RunRow,
    ) -> Result<Self> {
        let journal = meta::identity_to_write(transaction, path)?.journal();
        let (covered, lost_inputs) = replay(transaction, path, directory, (journal, run), row)?;
        Ok(DeadRun {
            transaction,
            path,
            journal,
            run,
            row,
            covered,
            lost_inputs,
        })
    }

    /// The stored ids of `names`, given now to those that have none.
    pub(crate) fn intern<T: AsRef<str>>(&mut self, names: &[(u8, T)]) -> Result<Vec<NameId>> {
        dictionary::intern(self.transaction, self.path, self.run.get(), names)
    }

    /// Stores blocks behind all others and counts their entries. Returns how many entries are in
    /// blocks that no writer can have made: these are left out.
    pub(crate) fn append(&mut self, blocks: Vec<Block>) -> Result<u64> {
        let mut refused = 0_u64;
        let mut kept = Vec::with_capacity(blocks.len());
        for block in blocks {
            let payload = block.value.get(CHECKSUM_BYTES..).unwrap_or_default();
            let Ok(checked) = SpooledBlock::check(payload) else {
                refused = refused.saturating_add(block.count.into());
                continue;
            };
            let run = (self.run, &mut *self.row);
            count(self.transaction, self.path, run, &checked.deltas)?;
            kept.push(block);
        }
        append(self.transaction, self.path, &mut kept)?;
        Ok(refused)
    }

    /// Whether `earlier` went on as this run, or as one between them, in the same process.
    pub(crate) fn continues(&mut self, earlier: RunId) -> Result<bool> {
        let row = row_of_earlier(self.transaction, self.path, earlier, self.run)?;
        Ok(row.is_some_and(|row| row.process == self.row.process))
    }
}

/// Stores what the last commit of `run` does not cover, and counts it in `row`. A spool that was
/// torn, or made by another program, gives what can be checked of it, and no error; so does one
/// that cannot be read. The gap behind the last id stands for the rest. Also returns the number of
/// inputs of the decisions that no commit has.
///
/// # Errors
/// The transaction failed.
fn replay(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    directory: &Directory,
    (journal, run): (JournalId, RunId),
    row: &mut RunRow,
) -> Result<(Covered, u64)> {
    let journal = journal.0;
    let committed = row.batch;
    let mut covered = Covered::Commit { batch: committed };
    let mut replay = Replay {
        transaction,
        path,
        run,
        names: AHashSet::new(),
        encoder: BlockEncoder::default(),
        pending: Vec::new(),
        committed: None,
        lost_inputs: 0,
    };
    let mut before = None;
    for more in 1..=2 {
        let batch = committed.saturating_add(more);
        let owner = SpoolOwner { journal, run };
        let file = directory.spool(run, parity(batch));
        let Ok(Some(mut frames)) = Frames::open(&file, owner, batch) else {
            break;
        };
        let mut is_first = true;
        let mut is_whole = true;
        loop {
            let frame = match frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => {
                    is_whole = false;
                    break;
                }
            };
            // A later batch counts only behind all of the one before it: it may have outcomes of
            // that one's decisions.
            if is_first && more > 1 && (frame.before.is_none() || frame.before != before) {
                is_whole = false;
                break;
            }
            is_first = false;
            is_whole = replay.take_in(&frame, row)?;
            if !is_whole {
                break;
            }
            row.batch = batch;
            let index = frame.index;
            covered = Covered::Frame { batch, index };
            if frame.panicked {
                row.panicked = Some(batch);
            }
        }
        if !is_whole {
            break;
        }
        before = Some(frames.count());
    }
    let lost_inputs = replay.lost_inputs;
    replay.finish(row)?;
    Ok((covered, lost_inputs))
}

struct Replay<'a, 'b> {
    transaction: &'a mut WriteTransaction<'b>,
    path: &'a Path,
    run: RunId,
    /// Those that are known to be stored.
    names: AHashSet<NameId>,
    encoder: BlockEncoder,
    /// The newest frame's gaps for losses that no block has.
    pending: Vec<Vec<u8>>,
    /// The files of inputs, once they are asked for.
    committed: Option<Vec<InputFile>>,
    lost_inputs: u64,
}

impl Replay<'_, '_> {
    /// Takes in a whole frame; returns whether it could be believed. If not, nothing of it is taken
    /// in.
    fn take_in(&mut self, frame: &Frame, row: &mut RunRow) -> Result<bool> {
        let Some((blocks, payloads)) = frame.payloads() else {
            return Ok(false);
        };
        let mut checked = Vec::with_capacity(payloads.len());
        for payload in payloads {
            match self.check(payload, row)? {
                Some(mut block) => {
                    // Known to be stored: memory is bounded by the frame.
                    block.names = Vec::new();
                    checked.push((payload, block));
                }
                None => return Ok(false),
            }
        }
        let pending = checked.split_off(blocks.min(checked.len()));
        let pending = pending.into_iter().map(|(payload, _)| payload.to_owned());
        self.pending = pending.collect();
        for (payload, mut block) in checked {
            for input in std::mem::take(&mut block.inputs) {
                let is_lost = self.is_lost(input)?;
                self.lost_inputs = self.lost_inputs.saturating_add(is_lost.into());
            }
            self.push(payload, block, row)?;
        }
        Ok(true)
    }

    /// Whether no commit has an input that was to be kept. One that repeats may be an earlier
    /// commit's.
    fn is_lost(&mut self, input: InputRef) -> Result<bool> {
        let InputRef::Kept { number, .. } = input else {
            return Ok(true);
        };
        let files = match self.committed.take() {
            Some(files) => files,
            None => rows::list_to_write(self.transaction, self.path)?,
        };
        let behind = files.partition_point(|(first, _)| *first <= number);
        let file = behind.checked_sub(1).and_then(|place| files.get(place));
        let is_lost = file.is_none_or(|(_, row)| row.next <= number);
        self.committed = Some(files);
        Ok(is_lost)
    }

    /// The losses that came last, and the rest of the blocks.
    fn finish(mut self, row: &mut RunRow) -> Result<()> {
        for payload in std::mem::take(&mut self.pending) {
            if let Ok(block) = SpooledBlock::check(&payload) {
                self.push(&payload, block, row)?;
            }
        }
        append(self.transaction, self.path, &mut self.encoder.take())
    }

    /// Checks what a block alone cannot show: that its names are stored and its runs are this
    /// handle's.
    fn check(&mut self, payload: &[u8], row: &RunRow) -> Result<Option<SpooledBlock>> {
        let Ok(block) = SpooledBlock::check(payload) else {
            return Ok(None);
        };
        for name in &block.names {
            if self.names.contains(name) {
                continue;
            }
            let key = keys::number(u64::from(*name));
            if self.transaction.get(Table::Names, &key, |_| ())?.is_none() {
                return Ok(None);
            }
            self.names.insert(*name);
        }
        for delta in &block.deltas {
            let has_room = if delta.run == self.run {
                has_room(row, delta)
            } else {
                let earlier = row_of_earlier(self.transaction, self.path, delta.run, self.run)?;
                earlier.is_some_and(|row| has_room(&row, delta))
            };
            if !has_room {
                return Ok(None);
            }
        }
        Ok(Some(block))
    }

    fn push(&mut self, payload: &[u8], block: SpooledBlock, row: &mut RunRow) -> Result<()> {
        count(self.transaction, self.path, (self.run, row), &block.deltas)?;
        let block = Block::again(payload, block.count, block.index);
        merge(&mut self.encoder, block);
        if self.encoder.pending_bytes() >= STORED_AT_ONCE {
            append(self.transaction, self.path, &mut self.encoder.take_full())?;
        }
        Ok(())
    }
}

/// The row of a run that the same handle had before `run`: its threads may have taken their ids
/// there.
fn row_of_earlier(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    earlier: RunId,
    run: RunId,
) -> Result<Option<RunRow>> {
    let key = keys::number(u64::from(earlier.get()));
    let row = transaction.get(Table::Runs, &key, |value| {
        runs::decode(path, &key, value).map(|(_, row)| row)
    })?;
    let is_continued = |row: &RunRow| matches!(row.end, Some(RunEnd::Continued(_)));
    Ok(row
        .transpose()?
        .filter(|row| earlier < run && is_continued(row)))
}

/// Counts the entries of a block in the row of the dead run, which is stored later, and in those of
/// runs before it.
fn count(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    (run, row): (RunId, &mut RunRow),
    deltas: &[RunDelta],
) -> Result<()> {
    for delta in deltas {
        if delta.run == run {
            delta.add_to(row);
        } else if let Some(mut earlier) = row_of_earlier(transaction, path, delta.run, run)? {
            delta.add_to(&mut earlier);
            runs::put(transaction, delta.run, &earlier)?;
        }
    }
    Ok(())
}

/// Whether the counts of a run stay within what a row may hold.
fn has_room(row: &RunRow, delta: &RunDelta) -> bool {
    let fits = |count: u64, more: u64| count.saturating_add(more) < MOST / 2;
    fits(row.committed, delta.events) && fits(row.dropped, delta.lost)
}
