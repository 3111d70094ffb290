//! Taking in what a dead run left in its spool, in the transaction that marks it dead.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::path::Path;

use ahash::AHashSet;

use super::append::append;
use super::directory::Directory;
use super::format::block::{Block, BlockEncoder};
use super::format::codec::MOST;
use super::format::merge::merge;
use super::format::row::NameId;
use super::format::spooled::{RunShare, SpooledBlock};
use super::kv::{Table, WriteTransaction};
use super::runs::{self, RunEnd, RunRow};
use super::spool::{Frame, Frames, SpoolOwner, parity};
use super::{keys, meta};
use crate::entry::error::Result;
use crate::entry::ids::RunId;

/// Blocks are stored when they have so many bytes, so that memory stays flat.
const STORED_AT_ONCE: usize = 4 << 20;

/// Stores what the last commit of `run` does not cover, and counts it in `row`. A spool that was
/// torn, or made by another program, gives what can be checked of it, and no error; so does one
/// that cannot be read. The gap behind the last id stands for the rest.
///
/// # Errors
/// The transaction failed.
pub(super) fn replay(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    directory: &Directory,
    run: RunId,
    row: &mut RunRow,
) -> Result<()> {
    let journal = meta::identity_to_write(transaction, path)?.id;
    let covered = row.batch;
    let mut replay = Replay {
        transaction,
        path,
        run,
        names: AHashSet::new(),
        encoder: BlockEncoder::default(),
        pending: Vec::new(),
    };
    let mut before = None;
    for more in 1..=2 {
        let batch = covered.saturating_add(more);
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
            if frame.panicked {
                row.panicked = Some(batch);
            }
        }
        if !is_whole {
            break;
        }
        before = Some(frames.count());
    }
    replay.finish(row)
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
        for (payload, block) in checked {
            self.push(payload, block, row)?;
        }
        Ok(true)
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
        for share in &block.shares {
            if share.run == self.run.get() {
                if !has_room(row, share) {
                    return Ok(None);
                }
            } else if !self
                .row_of_earlier(share.run)?
                .is_some_and(|row| has_room(&row, share))
            {
                return Ok(None);
            }
        }
        Ok(Some(block))
    }

    /// The row of a run that the same handle had before: its threads may have taken their ids
    /// there.
    fn row_of_earlier(&mut self, run: u32) -> Result<Option<RunRow>> {
        let key = keys::number(u64::from(run));
        let path = self.path;
        let row = self.transaction.get(Table::Runs, &key, |value| {
            runs::decode(path, &key, value).map(|(_, row)| row)
        })?;
        let row = row.transpose()?;
        Ok(row.filter(|row| run < self.run.get() && matches!(row.end, Some(RunEnd::Continued(_)))))
    }

    fn push(&mut self, payload: &[u8], block: SpooledBlock, row: &mut RunRow) -> Result<()> {
        for share in &block.shares {
            if share.run == self.run.get() {
                count(row, share);
            } else if let Some(mut earlier) = self.row_of_earlier(share.run)? {
                count(&mut earlier, share);
                runs::put(self.transaction, RunId(share.run), &earlier)?;
            }
        }
        let block = Block::again(payload, block.count, block.index);
        merge(&mut self.encoder, block);
        if self.encoder.pending_bytes() >= STORED_AT_ONCE {
            append(self.transaction, self.path, &mut self.encoder.take_full())?;
        }
        Ok(())
    }
}

/// Whether the counts of a run stay within what a row may hold.
fn has_room(row: &RunRow, share: &RunShare) -> bool {
    let fits = |count: u64, more: u64| count.saturating_add(more) < MOST / 2;
    fits(row.committed, share.events) && fits(row.dropped, share.lost)
}

fn count(row: &mut RunRow, share: &RunShare) {
    row.committed = row.committed.saturating_add(share.events);
    row.dropped = row.dropped.saturating_add(share.lost);
    row.last_id = row.last_id.max(share.last_id);
}
