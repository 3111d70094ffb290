//! A block and the rows that find it: stored together, removed together.

use super::keys;
use super::kv::{Table, WriteTransaction};
use super::meta::sealed;
use crate::error::Result;
use crate::format::block::Block;

/// Stores `block` as the one that begins at `first`.
pub(super) fn put(
    transaction: &mut WriteTransaction<'_>,
    first: u64,
    block: &mut Block,
) -> Result<()> {
    transaction.put(Table::Blocks, &keys::number(first), &mut block.value)?;
    for (hour, low, high) in block.hours.iter() {
        let key = keys::pair(keys::ordered(*hour), first);
        transaction.put(Table::Hours, &key, &mut sealed(&(low, high)))?;
    }
    for (bucket, low, high) in block.ids.iter() {
        let key = keys::pair(*bucket, first);
        transaction.put(Table::Ids, &key, &mut sealed(&(low, high)))?;
    }
    for (bucket, low, high) in block.outcomes.iter() {
        let key = keys::pair(*bucket, first);
        transaction.put(Table::Outcomes, &key, &mut sealed(&(low, high)))?;
    }
    for (mark, position) in &block.marks {
        let key = keys::pair(*mark as u64, first + u64::from(*position));
        transaction.put(Table::Marks, &key, &mut sealed(&()))?;
    }
    Ok(())
}

/// Removes the block that begins at `first`; `like` are blocks of the same entries.
pub(super) fn remove(
    transaction: &mut WriteTransaction<'_>,
    first: u64,
    like: &[Block],
) -> Result<()> {
    transaction.remove(Table::Blocks, &keys::number(first))?;
    let mut start = first;
    for block in like {
        for (hour, ..) in block.hours.iter() {
            transaction.remove(Table::Hours, &keys::pair(keys::ordered(*hour), first))?;
        }
        for (bucket, ..) in block.ids.iter() {
            transaction.remove(Table::Ids, &keys::pair(*bucket, first))?;
        }
        for (bucket, ..) in block.outcomes.iter() {
            transaction.remove(Table::Outcomes, &keys::pair(*bucket, first))?;
        }
        for (mark, position) in &block.marks {
            let key = keys::pair(*mark as u64, start + u64::from(*position));
            transaction.remove(Table::Marks, &key)?;
        }
        start += u64::from(block.count);
    }
    Ok(())
}
