//! The readable blocks of a stretch of sequences, with lost ranges for the rest.

use std::ops::Range;
use std::path::Path;

use super::salvage_scan::salvage_scan;
use crate::engine::directory::HOT_FILE;
use crate::engine::format::block::StoredEntry;
use crate::engine::format::reader::BlockReader;
use crate::engine::keys;
use crate::engine::kv::{Kv, Table};
use crate::engine::lost_ranges::{
    BlockTimes, LostFacts, MOST_LOST, lost_ranges, run_between, see_times, spanned,
};
use crate::engine::meta::damaged;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Gives `push` the entries of `range`, in order: those of each block of `kv` that can be read, and
/// lost ranges for all others. Returns them. `recorded` is the time of a lost range at the
/// beginning.
pub(super) fn fill(
    kv: Option<&Kv>,
    range: &Range<Sequence>,
    mut recorded: Timestamp,
    mut push: impl FnMut(&[StoredEntry]) -> Result<()>,
) -> Result<Vec<Range<Sequence>>> {
    let mut lost = Vec::new();
    let mut next = range.start;
    let mut run = None;
    let times = kv.map_or_else(BlockTimes::new, times);
    if let Some(kv) = kv {
        for first in firsts(kv, range) {
            let rows = if first < next { None } else { rows(kv, first) };
            let Some((rows, last)) =
                rows.and_then(|rows| rows.last().cloned().map(|last| (rows, last)))
            else {
                continue;
            };
            if last.next() > range.end {
                continue;
            }
            let known = LostFacts {
                run: run_between(run, rows.first().map(StoredEntry::run)),
                recorded,
                event_range: spanned(&times, &(next..first)),
            };
            leave_out(next..first, known, &mut lost, &mut push)?;
            push(&rows)?;
            recorded = last.head.recorded;
            run = Some(last.run());
            next = last.next();
        }
    }
    let known = LostFacts {
        run: run_between(run, None),
        recorded,
        event_range: spanned(&times, &(next..range.end)),
    };
    leave_out(next..range.end, known, &mut lost, &mut push)?;
    Ok(lost)
}

/// The event times of all blocks, as far as the index can be read: when the decisions were that are
/// lost.
fn times(kv: &Kv) -> BlockTimes {
    let mut times = BlockTimes::new();
    salvage_scan(kv, Table::Hours, Sequence::MAX, &mut |key, value| {
        if let Ok(value) = value {
            see_times(&mut times, key, value);
        }
    });
    times
}

/// First sequences of the blocks of `range` whose checksums are right.
pub(super) fn firsts(kv: &Kv, range: &Range<Sequence>) -> Vec<Sequence> {
    let mut found = Vec::new();
    salvage_scan(kv, Table::Blocks, range.end, &mut |key, value| {
        if let (Some(first), Ok(_)) = (keys::first_number(key), value)
            && range.contains(&first)
        {
            found.push(first);
        }
    });
    found.sort_unstable();
    found
}

/// The entries of the block that begins at `first`, if it can be read.
pub(super) fn rows(kv: &Kv, first: Sequence) -> Option<Vec<StoredEntry>> {
    let read = kv.read(|snapshot| {
        snapshot.get(Table::Blocks, &keys::number(first), |payload| {
            BlockReader::new(first, payload).and_then(|block| block.rows())
        })
    });
    read.ok().flatten().and_then(Result::ok)
}

fn leave_out(
    range: Range<Sequence>,
    known: LostFacts,
    lost: &mut Vec<Range<Sequence>>,
    push: &mut impl FnMut(&[StoredEntry]) -> Result<()>,
) -> Result<()> {
    let missing = range.end.since(range.start);
    if missing > MOST_LOST {
        let (start, end) = (range.start, range.end);
        let why = format!(
            "{missing} entries would be missing from {start} to {end}, and no journal has that \
             many: a number in it was made up"
        );
        return Err(damaged(Path::new(HOT_FILE), "repair", &why));
    }
    for lost_range in lost_ranges(range.clone(), known) {
        push(&[lost_range])?;
    }
    if !range.is_empty() {
        lost.push(range);
    }
    Ok(())
}
