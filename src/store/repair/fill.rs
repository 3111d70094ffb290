//! The readable blocks of a stretch of sequences, with holes for the rest.

use std::ops::Range;
use std::path::Path;

use super::super::directory::HOT_FILE;
use super::super::keys;
use super::super::kv::{Kv, Table};
use super::super::meta::damaged;
use super::sweep::sweep;
use crate::error::Result;
use crate::format::block::{Place, Placed};
use crate::format::row::{GapReason, GapRow, Note, Row};
use crate::format::view::BlockView;

/// Sequences that a journal can have lost in one stretch: four million million entries, which take 150
/// terabytes. A file that says more was made up, and the holes for it would fill the disk.
pub(super) const MOST_LOST: u64 = 1 << 42;

/// Gives `push` the entries of `range`, in order: those of each block of `kv` that can be read, and
/// holes for all others. Says which these are. `recorded` is the time of a hole at the beginning.
pub(super) fn fill(
    kv: Option<&Kv>,
    range: &Range<u64>,
    mut recorded: i64,
    mut push: impl FnMut(&[Placed]) -> Result<()>,
) -> Result<Vec<Range<u64>>> {
    let mut lost = Vec::new();
    let mut next = range.start;
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
            leave_out(next..first, recorded, &mut lost, &mut push)?;
            push(&rows)?;
            recorded = last.place.recorded;
            next = last.next();
        }
    }
    leave_out(next..range.end, recorded, &mut lost, &mut push)?;
    Ok(lost)
}

/// Where the blocks of `range` begin whose values are what was written.
pub(super) fn firsts(kv: &Kv, range: &Range<u64>) -> Vec<u64> {
    let mut found = Vec::new();
    sweep(kv, Table::Blocks, range.end, &mut |key, value| {
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
pub(super) fn rows(kv: &Kv, first: u64) -> Option<Vec<Placed>> {
    let read = kv.read(|snapshot| {
        snapshot.get(Table::Blocks, &keys::number(first), |payload| {
            BlockView::new(first, payload).and_then(|view| view.rows())
        })
    });
    read.ok().flatten().and_then(Result::ok)
}

fn leave_out(
    range: Range<u64>,
    recorded: i64,
    lost: &mut Vec<Range<u64>>,
    push: &mut impl FnMut(&[Placed]) -> Result<()>,
) -> Result<()> {
    let missing = range.end.saturating_sub(range.start);
    if missing > MOST_LOST {
        let (start, end) = (range.start, range.end);
        let why = format!(
            "{missing} entries would be missing from {start} to {end}, and no journal has that \
             many: a number in it was made up"
        );
        return Err(damaged(Path::new(HOT_FILE), "repair", &why));
    }
    let mut sequence = range.start;
    while sequence < range.end {
        // A hole stands for no more.
        let count = range.end.saturating_sub(sequence).min(u64::from(u32::MAX));
        push(&[hole(sequence, count, recorded)])?;
        sequence = sequence.saturating_add(count);
    }
    if !range.is_empty() {
        lost.push(range);
    }
    Ok(())
}

fn hole(sequence: u64, count: u64, recorded: i64) -> Placed {
    Placed {
        sequence,
        place: Place {
            recorded,
            ..Place::default()
        },
        memory: 0,
        row: Row::Note(Note::Gap(GapRow {
            run: 0,
            reason: GapReason::Damaged,
            count: Some(count),
            after: None,
            recorded_range: None,
            event_range: None,
            refusal: None,
        })),
    }
}
