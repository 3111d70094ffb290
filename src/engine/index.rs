//! A block and the rows that find it: stored together, removed together.

use super::format::block::Block;
use super::format::block_index::BlockIndex;
use super::format::codec;
use super::format::min_max::MinMaxByKey;
use super::keys;
use super::kv::{Table, WriteTransaction};
use super::meta::sealed;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;

/// A row that finds a block: its facts about the block, if any.
pub(crate) type IndexMinMax = Option<(u16, u16)>;

/// The tables of rows that find blocks.
pub(crate) const TABLES: [Table; 4] = [Table::Hours, Table::Ids, Table::Outcomes, Table::Kinds];

/// Facts of a row of one of these tables about its block; `None` if it is impossible.
pub(crate) fn min_max_of(table: Table, value: &[u8]) -> Option<IndexMinMax> {
    match table {
        Table::Kinds => Some(None),
        _ => codec::decode::<(u16, u16)>(value).ok().map(Some),
    }
}

/// Shows every row that finds a block of this `index`, whose entries begin at `start`, in the block
/// that begins at `first`.
pub(crate) fn each_row(
    first: Sequence,
    start: Sequence,
    index: &BlockIndex,
    mut see: impl FnMut(Table, [u8; 16], IndexMinMax) -> Result<()>,
) -> Result<()> {
    for (hour, low, high) in index.hours.iter() {
        let key = keys::pair(keys::ordered(*hour), first);
        see(Table::Hours, key, Some((*low, *high)))?;
    }
    let mut buckets = |table, spans: &MinMaxByKey<u64>| {
        spans.iter().try_for_each(|(bucket, low, high)| {
            see(table, keys::pair(*bucket, first), Some((*low, *high)))
        })
    };
    buckets(Table::Ids, &index.ids)?;
    buckets(Table::Outcomes, &index.outcomes)?;
    for (kind, position) in &index.kinds {
        let key = keys::pair(*kind as u64, start.saturating_add((*position).into()));
        see(Table::Kinds, key, None)?;
    }
    Ok(())
}

/// Stores `block` as the one that begins at `first`.
pub(crate) fn put(
    transaction: &mut WriteTransaction<'_>,
    first: Sequence,
    block: &mut Block,
) -> Result<()> {
    // One transaction holds the block and all that finds it: an index row without its block would
    // be reported as damage.
    transaction.put(Table::Blocks, &keys::number(first), &mut block.value)?;
    each_row(first, first, &block.index, |table, key, span| {
        let mut value = match span {
            Some(span) => sealed(&span),
            None => sealed(&()),
        };
        transaction.put(table, &key, &mut value)
    })
}

/// Removes the block of this `index` that begins at `first`.
pub(crate) fn remove(
    transaction: &mut WriteTransaction<'_>,
    first: Sequence,
    index: &BlockIndex,
) -> Result<()> {
    transaction.remove(Table::Blocks, &keys::number(first))?;
    each_row(first, first, index, |table, key, _| {
        transaction.remove(table, &key)
    })
}
