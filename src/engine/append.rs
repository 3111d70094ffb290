//! Blocks get their sequences.

use std::path::Path;

use super::format::block::Block;
use super::kv::WriteTransaction;
use super::{index, meta};
use crate::entry::error::Result;

/// Gives `blocks` their sequences and stores them with their indexes.
pub(super) fn append(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    blocks: &mut [Block],
) -> Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    let mut extent = meta::extent_to_write(transaction, path)?;
    for block in blocks.iter_mut() {
        // Sequences are given here, within redb's lock, and nowhere else. So they are dense over
        // all processes, and their order is that of the commits.
        index::put(transaction, extent.next, block)?;
        // Far from an overflow: stored numbers have bounds, and so has a block.
        extent.next = extent.next.saturating_add(block.count.into());
        extent.hot_bytes = extent.hot_bytes.saturating_add(block.value.len() as u64);
    }
    meta::set_extent(transaction, extent)
}
