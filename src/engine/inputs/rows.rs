//! The table of the files of inputs: how far each is committed, and until when it is needed.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::format::codec::{self, Stored, bounded};
use crate::engine::format::row::InputNumber;
use crate::engine::keys;
use crate::engine::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::{self, damaged, sealed};
use crate::entry::error::Result;
use crate::entry::ids::{COUNTER_BITS, RunId};
use crate::entry::sequence::Sequence;

/// The highest counter of a run's inputs.
const MOST_INPUTS: u64 = (1 << COUNTER_BITS) - 1;
/// No file counts for more bytes.
pub(super) const MOST_FILE: u64 = 1 << 30;

/// Stored form of a file of inputs, under the number of its first one.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InputFileRow {
    /// The number after that of its last input.
    pub(crate) next: InputNumber,
    /// Bytes of the file that count.
    pub(crate) length: u64,
    /// Only decisions before this sequence have inputs of the file.
    pub(crate) until: Sequence,
    pub(crate) state: FileState,
}

/// Whether there will be more, or no more at all.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// Its run may write on.
    Open,
    /// It is never written again.
    Ended,
    /// It was removed for the budget. The row goes when no decision needs it any more.
    Removed,
}

impl Stored for InputFileRow {
    fn check(&self) -> std::result::Result<(), String> {
        bounded("a sequence", self.until.get())?;
        if self.length > MOST_FILE {
            return Err(format!("a file of {} bytes cannot be", self.length));
        }
        Ok(())
    }
}

/// A file of inputs with its row.
pub(crate) type InputFile = (InputNumber, InputFileRow);

pub(crate) fn put(
    transaction: &mut WriteTransaction<'_>,
    first: InputNumber,
    row: &InputFileRow,
) -> Result<()> {
    transaction.put(Table::Inputs, &keys::number(first), &mut sealed(row))
}

/// All files, in the order of their numbers.
pub(crate) fn list(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Vec<InputFile>> {
    let mut found = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let ascending = Direction::Ascending;
    snapshot.scan(Table::Inputs, everything, ascending, |key, value| {
        found.push(decode(path, key, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The same, as a transaction sees them.
pub(crate) fn list_to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Vec<InputFile>> {
    let mut found = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let ascending = Direction::Ascending;
    transaction.scan(Table::Inputs, everything, ascending, |key, value| {
        found.push(decode(path, key, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The file that has the input with this number, if it is committed.
pub(crate) fn find(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    number: InputNumber,
) -> Result<Option<InputFile>> {
    let mut found = None;
    let key = keys::number(number);
    let range = (Bound::Unbounded, Bound::Included(&key[..]));
    let descending = Direction::Descending;
    snapshot.scan(Table::Inputs, range, descending, |key, value| {
        found = Some(decode(path, key, value)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found.filter(|(_, row)| number < row.next))
}

/// The number of the next new input of a run that writes on.
pub(crate) fn next_of(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    run: RunId,
) -> Result<InputNumber> {
    let (first, next) = (run.first_id(), run.first_id().saturating_add(MOST_INPUTS));
    let (first, next) = (keys::number(first), keys::number(next));
    let range = (Bound::Included(&first[..]), Bound::Included(&next[..]));
    let mut found = InputNumber::first_of(run);
    snapshot.scan(Table::Inputs, range, Direction::Descending, |key, value| {
        found = decode(path, key, value)?.1.next;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Writes down that `run` writes no more, and that its decisions before the journal's end may have
/// inputs of its last file.
pub(crate) fn end_run(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    run: RunId,
) -> Result<()> {
    let (first, next) = (
        run.first_id(),
        RunId(run.get().saturating_add(1)).first_id(),
    );
    let (first, next) = (keys::number(first), keys::number(next));
    let range = (Bound::Included(&first[..]), Bound::Excluded(&next[..]));
    let mut open = Vec::new();
    transaction.scan(Table::Inputs, range, Direction::Ascending, |key, value| {
        let (first, row) = decode(path, key, value)?;
        if row.state == FileState::Open {
            open.push((first, row));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if open.is_empty() {
        return Ok(());
    }
    let until = meta::extent_to_write(transaction, path)?.next;
    for (first, row) in open {
        let row = InputFileRow {
            until,
            state: FileState::Ended,
            ..row
        };
        put(transaction, first, &row)?;
    }
    Ok(())
}

/// Takes the oldest ended files out of the table until the rest has no more than `budget` bytes;
/// returns them. Files that may still be written stay.
pub(crate) fn remove_beyond(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    budget: u64,
) -> Result<Vec<InputFile>> {
    let mut all = list_to_write(transaction, path)?;
    all.retain(|(_, row)| row.state != FileState::Removed);
    let sum = all.iter().map(|(_, row)| row.length);
    let mut sum = sum.fold(0, u64::saturating_add);
    // The oldest is the one that newer decisions need the least.
    all.sort_by_key(|(first, row)| (row.until, *first));
    let mut removed = Vec::new();
    for (first, mut row) in all {
        if sum <= budget {
            break;
        }
        if row.state == FileState::Open {
            continue;
        }
        sum = sum.saturating_sub(row.length);
        removed.push((first, row));
        row.state = FileState::Removed;
        put(transaction, first, &row)?;
    }
    Ok(removed)
}

/// Forgets the ended files that only decisions before `kept` had inputs of; returns them.
pub(crate) fn retire(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    kept: Sequence,
) -> Result<Vec<InputFile>> {
    let mut retired = list_to_write(transaction, path)?;
    retired.retain(|(_, row)| row.state != FileState::Open && row.until <= kept);
    for (first, _) in &retired {
        transaction.remove(Table::Inputs, &keys::number(*first))?;
    }
    Ok(retired)
}

pub(crate) fn decode(path: &Path, key: &[u8], value: &[u8]) -> Result<InputFile> {
    let first: InputNumber = keys::one_number(key)
        .ok_or_else(|| damaged(path, "inputs", "a key is no number of an input"))?;
    let row: InputFileRow =
        codec::decode(value).map_err(|why| damaged(path, &format!("inputs from {first}"), &why))?;
    // Empty inputs take no bytes, so the length bounds no count.
    if row.next <= first || row.next.run() != first.run() {
        let why = format!("the next one cannot be {}", row.next);
        return Err(damaged(path, &format!("inputs from {first}"), &why));
    }
    Ok((first, row))
}
