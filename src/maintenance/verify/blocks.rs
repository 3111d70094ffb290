//! Blocks against the indexes that find them, in both directions.

use std::ops::{Bound, ControlFlow};

use ahash::AHashMap;

use super::Findings;
use super::defect::DefectKind;
use crate::engine::blocks::Blocks;
use crate::engine::format::block::{BlockEncoder, StoredEntry};
use crate::engine::format::codec;
use crate::engine::format::reader::BlockReader;
use crate::engine::index::IndexMinMax;
use crate::engine::kv::{Direction, Table};
use crate::engine::segment_row::SegmentRow;
use crate::engine::uses::Uses;
use crate::engine::{index, keys};
use crate::entry::sequence::Sequence;

/// Sums of the blocks of a file.
pub(super) struct BlockSums {
    pub(super) row: SegmentRow,
    pub(super) bytes: u64,
    /// Whether every block could be read.
    pub(super) complete: bool,
}

/// Prefix of a defect's detail about one block.
pub(crate) const BLOCK: &str = "block ";

type Expected = AHashMap<(&'static str, [u8; 16]), IndexMinMax>;

/// Every block, and the indexes in both directions.
pub(super) fn check_blocks(
    blocks: &Blocks<'_, '_>,
    uses: &mut Uses,
    findings: &mut Findings,
) -> BlockSums {
    let Blocks {
        snapshot,
        path,
        range,
        ..
    } = blocks;
    let mut found = BlockSums {
        row: SegmentRow::beginning_at(range.start),
        bytes: 0,
        complete: true,
    };
    let mut expected: Expected = AHashMap::new();
    let mut next = range.start;
    let (start, end) = (keys::number(range.start), keys::number(range.end));
    let keys = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
    let swept = snapshot.sweep(Table::Blocks, keys, Direction::Ascending, |key, value| {
        let first = keys::first_number(key).unwrap_or(Sequence::ZERO);
        let read = value.map_err(|error| (DefectKind::Checksum, error.to_string()));
        let read = read.and_then(|payload| {
            let rows = BlockReader::new(first, payload).and_then(|block| block.rows());
            rows.map(|rows| (rows, payload.len()))
                .map_err(|why| (DefectKind::Undecodable, why))
        });
        match read {
            Ok((rows, bytes)) => {
                if first != next {
                    findings.report(DefectKind::Missing, path, Some(next..first), "no block");
                    found.complete = false;
                }
                // By the rows, because the header of a block could lie.
                next = rows.last().map_or(first, StoredEntry::next);
                found.bytes += bytes as u64 + crate::engine::format::CHECKSUM_BYTES as u64;
                findings.blocks += 1;
                findings.entries += rows.len() as u64;
                // The required content of the indexes, made from the rows a second time.
                expect(&rows, first, &mut expected);
                for entry in &rows {
                    uses.see(entry);
                    found.row.see(entry);
                }
            }
            Err((kind, why)) => {
                findings.report(kind, path, None, format!("{BLOCK}{first}: {why}"));
                found.complete = false;
            }
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = swept {
        findings.report(
            DefectKind::Unreadable,
            path,
            None,
            format!("blocks: {error}"),
        );
    }
    if next != range.end {
        findings.report(DefectKind::Missing, path, Some(next..range.end), "no block");
        found.complete = false;
    }
    check_index(blocks, expected, found.complete, findings);
    found
}

/// The rows that should find the block of these entries.
fn expect(rows: &[StoredEntry], first: Sequence, expected: &mut Expected) {
    let mut encoder = BlockEncoder::default();
    let again = rows.iter().try_for_each(|entry| encoder.again(entry));
    debug_assert!(again.is_ok(), "what was read can be read again");
    let mut start = first;
    for block in encoder.take() {
        let seen = index::each_row(first, start, &block.index, |table, key, span| {
            // A merged block is encoded as several here, whose parts share a row of the index.
            let known = expected.entry((table.name(), key)).or_insert(span);
            if let (Some(known), Some(more)) = (known, span) {
                *known = (known.0.min(more.0), known.1.max(more.1));
            }
            Ok(())
        });
        debug_assert!(seen.is_ok(), "nothing in there fails");
        start = start.saturating_add(block.count.into());
    }
}

/// Whether the indexes hold the expected rows, and, if every block is known, nothing else.
fn check_index(
    blocks: &Blocks<'_, '_>,
    mut expected: Expected,
    complete: bool,
    findings: &mut Findings,
) {
    let path = blocks.path;
    for table in index::TABLES {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let direction = Direction::Ascending;
        let swept = blocks
            .snapshot
            .sweep(table, everything, direction, |key, value| {
                let place = keys::second_number(key).unwrap_or(Sequence::ZERO);
                // Before the range lie leftovers of a sealing, without a meaning.
                if place < blocks.range.start {
                    return ControlFlow::Continue(());
                }
                let known = <[u8; 16]>::try_from(key).ok();
                let known = known.and_then(|key| expected.remove(&(table.name(), key)));
                let said = match &value {
                    Ok([]) => Ok(None),
                    Ok(payload) => codec::decode(payload).map(Some),
                    Err(error) => Err(error.to_string()),
                };
                match (said, known) {
                    (Err(why), _) => findings.report(DefectKind::Checksum, path, None, why),
                    (Ok(said), Some(known)) if said == known => {}
                    // It may be of the block that cannot be read.
                    (Ok(_), None) if !complete => {}
                    (Ok(said), known) => {
                        let detail = format!("{} {place}: {said:?}, not {known:?}", table.name());
                        findings.report(DefectKind::Index, path, None, detail);
                    }
                }
                ControlFlow::Continue(())
            });
        if let Err(error) = swept {
            let detail = format!("table {}: {error}", table.name());
            findings.report(DefectKind::Unreadable, path, None, detail);
        }
    }
    // Rows that the sweep above did not meet.
    for (table, key) in expected.into_keys() {
        let place = keys::second_number(&key).unwrap_or(Sequence::ZERO);
        findings.report(
            DefectKind::Index,
            path,
            None,
            format!("{table} lacks {place}"),
        );
    }
}
