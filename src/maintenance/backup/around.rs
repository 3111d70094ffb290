//! Copying a hot file of which pages cannot be read. Facts that the blocks and other tables have
//! are made anew, so that the copy has no silent gap.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use crate::engine::dictionary;
use crate::engine::dictionary::{FOR_EVER, NameRow};
use crate::engine::format::codec;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::row::NameId;
use crate::engine::format::summary::Summary;
use crate::engine::index;
use crate::engine::keys;
use crate::engine::kv::{Direction, EVERYTHING, Kv, ReadTransaction, Table, WriteFailure};
use crate::engine::meta;
use crate::engine::meta::sealed;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::maintenance::verify::check_value;
use crate::stats::folding::folded;
use crate::stats::folding::folded::FoldedReach;

/// Blocks whose index is stored in one transaction.
const SLICE: usize = 256;

/// The tables that cannot be read to the end, and those that are made anew with them. Others that
/// are damaged are an error: they cannot be made of anything else.
pub(super) fn damaged(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Vec<Table>> {
    let mut found = Vec::new();
    let is_whole = |table| -> Result<bool> {
        let mut is_right = true;
        let reached = snapshot.reach(table, EVERYTHING, Direction::Ascending, |key, value| {
            is_right &= match value {
                Ok(value) => table == Table::Blocks || check_value(table, path, key, value).is_ok(),
                // A block with a wrong checksum is copied as it is.
                Err(_) => table == Table::Blocks,
            };
            ControlFlow::Continue(())
        })?;
        Ok(reached && is_right)
    };
    let mut together = |tables: &[Table]| -> Result<()> {
        for table in tables {
            if !is_whole(*table)? {
                found.extend_from_slice(tables);
                break;
            }
        }
        Ok(())
    };
    let [hours, ids, outcomes, kinds] = index::TABLES;
    // An index that lacks rows hides entries, so all of them are made from the blocks again.
    together(&[Table::Blocks, hours, ids, outcomes, kinds])?;
    // Sums that lack a part are wrong: all are folded anew in the copy.
    together(&folded::TABLES)?;
    // Either of the two has what the other lacks.
    together(&[Table::Names, Table::NameIds])?;
    for table in Table::ALL {
        if !found.contains(&table) && !is_whole(table)? {
            let why = "pages of it cannot be read, and nothing else knows its rows";
            return Err(meta::damaged(path, table.name(), why));
        }
    }
    Ok(found)
}

/// Writes the `damaged` tables anew into `kv`, which has the blocks.
pub(super) fn make_anew(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    kv: &Kv,
    damaged: &[Table],
) -> Result<()> {
    if damaged.contains(&Table::Blocks) {
        write_indexes(kv)?;
    }
    if damaged.contains(&Table::Rollups) {
        let nothing = FoldedReach::beginning_at(meta::extent(snapshot, path)?.kept);
        kv.write(|transaction| folded::put(transaction, &nothing))
            .map_err(WriteFailure::into_error)?;
    }
    if damaged.contains(&Table::Names) {
        write_names(snapshot, kv)?;
    }
    Ok(())
}

/// Writes the indexes that the blocks of `kv` make.
fn write_indexes(kv: &Kv) -> Result<()> {
    let mut next = Sequence::ZERO;
    loop {
        let start = keys::number(next);
        let range = (Bound::Included(&start[..]), Bound::Unbounded);
        let mut summaries = Vec::new();
        let mut last = None;
        kv.read(|snapshot| {
            snapshot.sweep(Table::Blocks, range, Direction::Ascending, |key, value| {
                let first = keys::first_number(key);
                last = first.or(last);
                let read = first.zip(value.ok()).and_then(|(first, payload)| {
                    let block = BlockReader::new(first, payload).ok()?;
                    Some((first, Summary::of(&block, |_| ()).ok()?))
                });
                // One that does not decode is lost like one with a wrong checksum.
                summaries.extend(read);
                match summaries.len() < SLICE {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })
        })?;
        let is_last = summaries.len() < SLICE;
        kv.write(|transaction| {
            for (first, summary) in &summaries {
                index::each_row(*first, *first, &summary.index, |table, key, span| {
                    let mut value = match span {
                        Some(span) => sealed(&span),
                        None => sealed(&()),
                    };
                    transaction.put(table, &key, &mut value)
                })?;
            }
            Ok(())
        })
        .map_err(WriteFailure::into_error)?;
        match last {
            Some(last) if !is_last && last < Sequence::MAX => next = last.saturating_add(1),
            _ => return Ok(()),
        }
    }
}

/// Writes the names that either of their two tables has.
fn write_names(snapshot: &ReadTransaction<'_>, kv: &Kv) -> Result<()> {
    let mut names = std::collections::BTreeMap::new();
    let mut asked = std::collections::BTreeMap::new();
    let ascending = Direction::Ascending;
    snapshot.reach(Table::Names, EVERYTHING, ascending, |key, value| {
        let id = keys::first_number::<NameId>(key);
        let name = value.ok().and_then(|value| codec::decode(value).ok());
        names.extend(id.zip(name));
        ControlFlow::Continue(())
    })?;
    snapshot.reach(Table::NameIds, EVERYTHING, ascending, |key, value| {
        let row = value
            .ok()
            .and_then(|value| codec::decode::<NameRow>(value).ok());
        if let Some(row) = row {
            asked.insert(row.id, row.asked);
            if let Some(name) = dictionary::name_in(key) {
                names.entry(row.id).or_insert(name);
            }
        }
        ControlFlow::Continue(())
    })?;
    kv.write(|transaction| {
        for (id, name) in &names {
            let (kind, text): &(u8, String) = name;
            let asked = asked.get(id).copied().unwrap_or((FOR_EVER, FOR_EVER));
            dictionary::put(transaction, (*kind, text), NameRow { id: *id, asked })?;
        }
        Ok(())
    })
    .map_err(WriteFailure::into_error)
}
