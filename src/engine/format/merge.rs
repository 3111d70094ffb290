//! Many small blocks become few before they are committed.

use super::CHECKSUM_BYTES;
use super::block::{Block, BlockEncoder, VALUE_BYTES};
use super::reader::BlockReader;
use crate::entry::sequence::Sequence;

/// Smaller blocks are merged.
const SMALL_BYTES: usize = VALUE_BYTES / 4;

/// Appends `block` as it is, or its entries if it is small.
pub(crate) fn merge(encoder: &mut BlockEncoder, block: Block) {
    if block.value.len() < SMALL_BYTES {
        let payload = block.value.get(CHECKSUM_BYTES..).unwrap_or_default();
        let rows = BlockReader::new(Sequence::FIRST, payload).and_then(|reader| reader.rows());
        if let Ok(rows) = rows {
            // Nothing is refused that was in a block before.
            let again = rows.iter().try_for_each(|entry| encoder.again(entry));
            debug_assert!(again.is_ok(), "{again:?}");
            return;
        }
    }
    encoder.push_block(block);
}

/// The same entries in fewer blocks.
pub(crate) fn merged(blocks: Vec<Block>) -> Vec<Block> {
    if blocks.len() < 2 {
        return blocks;
    }
    let mut encoder = BlockEncoder::default();
    for block in blocks {
        merge(&mut encoder, block);
    }
    encoder.take()
}
