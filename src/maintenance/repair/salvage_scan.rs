//! Reading a table of which some pages cannot be read: forwards up to them, backwards up to them,
//! and what lies between from the middle, in ever smaller parts.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};

use crate::engine::keys;
use crate::engine::kv::{Direction, Kv, Table};
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;

/// Number of parts that are tried of a stretch that can be read from neither end.
const MOST_PARTS: u32 = 4_096;

type SweepKey = Bound<Vec<u8>>;
type VisitDamaged<'v> = dyn FnMut(&[u8], Result<&[u8]>) + 'v;

/// Shows every row that can be reached to `see`, in no certain order; returns whether that was all.
/// No key that begins with a number begins with one of `end` or above.
pub(super) fn salvage_scan(
    kv: &Kv,
    table: Table,
    end: Sequence,
    see: &mut VisitDamaged<'_>,
) -> bool {
    let mut parts: VecDeque<(SweepKey, SweepKey)> =
        VecDeque::from([(Bound::Unbounded, Bound::Unbounded)]);
    let (mut whole, mut tried) = (true, 0);
    while let Some((mut low, mut high)) = parts.pop_front() {
        let mut last = None;
        if run(
            kv,
            table,
            (&low, &high),
            Direction::Ascending,
            &mut last,
            see,
        ) {
            continue;
        }
        whole = false;
        low = last.take().map_or(low, Bound::Excluded);
        if run(
            kv,
            table,
            (&low, &high),
            Direction::Descending,
            &mut last,
            see,
        ) {
            continue;
        }
        high = last.map_or(high, Bound::Excluded);
        let (from, to) = (
            number(&low).unwrap_or(0),
            number(&high).unwrap_or(end.get()),
        );
        if to.saturating_sub(from) < 2 || tried == MOST_PARTS {
            continue;
        }
        tried = tried.saturating_add(1);
        let middle = keys::number(from.midpoint(to)).to_vec();
        parts.push_back((low, Bound::Excluded(middle.clone())));
        parts.push_back((Bound::Included(middle), high));
    }
    whole
}

fn run(
    kv: &Kv,
    table: Table,
    (low, high): (&SweepKey, &SweepKey),
    direction: Direction,
    last: &mut Option<Vec<u8>>,
    see: &mut VisitDamaged<'_>,
) -> bool {
    let range = (as_slice(low), as_slice(high));
    let swept = kv.read(|snapshot| {
        snapshot.sweep(table, range, direction, |key, value| {
            *last = Some(key.to_vec());
            see(key, value);
            ControlFlow::Continue(())
        })
    });
    swept.is_ok()
}

fn as_slice(key: &SweepKey) -> Bound<&[u8]> {
    key.as_ref().map(Vec::as_slice)
}

fn number(key: &SweepKey) -> Option<u64> {
    match key {
        Bound::Included(key) | Bound::Excluded(key) => keys::first_number(key),
        Bound::Unbounded => None,
    }
}
