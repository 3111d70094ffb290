//! The indexes of a file's blocks, made anew from the blocks in memory because rows of them cannot
//! be read: what an index does not say any more must not be missing from an answer in silence.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{Blocks, Shown};
use super::format::summary::Summary;
use super::index;
use super::index::Span;
use super::kv::{Direction, KeyRange, Table};
use crate::entry::error::Result;

/// The rows of one index.
type Rows = BTreeMap<[u8; 16], Span>;

/// All that finds the blocks of one file. Costs a read of all of them, and some 50 bytes of memory
/// for each row; kept until another file needs it.
#[derive(Clone)]
pub(crate) struct Rebuilt {
    path: PathBuf,
    range: Range<u64>,
    rows: [Rows; index::TABLES.len()],
    /// Where stretches begin that cannot be read, and of whose event times nothing is known.
    pub(crate) untimed: Vec<u64>,
}

impl Rebuilt {
    fn new(path: &Path, range: Range<u64>) -> Self {
        Rebuilt {
            path: path.to_owned(),
            range,
            rows: Default::default(),
            untimed: Vec::new(),
        }
    }

    fn of(&self, table: Table) -> Option<&Rows> {
        let at = index::TABLES.iter().position(|known| *known == table)?;
        self.rows.get(at)
    }

    /// Shows the rows of `table` within `range` until `see` breaks.
    pub(crate) fn each(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        see: &mut dyn FnMut(&[u8], Span) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let Some(rows) = self.of(table) else {
            return Ok(());
        };
        // Keys are of 16 bytes, as all rows of an index have them.
        let key = |bound: Bound<&[u8]>| match bound {
            Bound::Included(key) => {
                <[u8; 16]>::try_from(key).map_or(Bound::Unbounded, Bound::Included)
            }
            Bound::Excluded(key) => {
                <[u8; 16]>::try_from(key).map_or(Bound::Unbounded, Bound::Excluded)
            }
            Bound::Unbounded => Bound::Unbounded,
        };
        let (low, high) = (key(range.0), key(range.1));
        if is_empty(&low, &high) {
            return Ok(());
        }
        let mut found = rows.range((low, high));
        loop {
            let row = match direction {
                Direction::Ascending => found.next(),
                Direction::Descending => found.next_back(),
            };
            let Some((key, span)) = row else {
                return Ok(());
            };
            if see(key, *span)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// Whether no key can lie between two bounds, which a map refuses to be asked for.
fn is_empty(low: &Bound<[u8; 16]>, high: &Bound<[u8; 16]>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
        _ => false,
    }
}

impl Blocks<'_, '_> {
    /// Shows the rows of an index of this file's blocks in `range` to `see`, until it breaks. Rows
    /// that cannot be read are made anew from the blocks.
    pub(crate) fn index(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        mut see: impl FnMut(&[u8], Span) -> Result<ControlFlow<()>>,
    ) -> Result<Option<Arc<Rebuilt>>> {
        let mut last: Option<Vec<u8>> = None;
        let mut outcome = Ok(ControlFlow::Continue(()));
        let mut is_whole = true;
        // Whatever comes first that cannot be read ends this: then all rows behind it are made
        // anew.
        let reached =
            self.snapshot
                .until_damaged(table, range, direction, |key, value| {
                    match value.and_then(|value| index::span(table, value)) {
                        Some(span) if key.len() == 16 => {
                            outcome = see(key, span);
                            last = Some(key.to_vec());
                            match outcome {
                                Ok(flow) => flow,
                                Err(_) => ControlFlow::Break(()),
                            }
                        }
                        _ => {
                            is_whole = false;
                            ControlFlow::Break(())
                        }
                    }
                })?;
        if outcome?.is_break() || (is_whole && reached) {
            return Ok(None);
        }
        let rest = match (&last, direction) {
            (None, _) => range,
            (Some(last), Direction::Ascending) => (Bound::Excluded(&last[..]), range.1),
            (Some(last), Direction::Descending) => (range.0, Bound::Excluded(&last[..])),
        };
        let rebuilt = self.rebuilt()?;
        rebuilt.each(table, rest, direction, &mut see)?;
        Ok(Some(rebuilt))
    }

    /// The indexes as the blocks themselves make them.
    fn rebuilt(&self) -> Result<Arc<Rebuilt>> {
        let mut kept = self.losses.rebuilt();
        let known = kept.take().filter(|known| {
            known.path == self.path
                && known.range.start <= self.range.start
                && known.range.end <= self.range.end
        });
        let rebuilt = match known {
            Some(known) if known.range.end == self.range.end => known,
            Some(known) => {
                let from = known.range.end.max(self.range.start);
                self.extended(Arc::unwrap_or_clone(known), from)?
            }
            None => self.extended(
                Rebuilt::new(self.path, self.range.clone()),
                self.range.start,
            )?,
        };
        *kept = Some(rebuilt.clone());
        Ok(rebuilt)
    }

    fn extended(&self, mut rebuilt: Rebuilt, from: u64) -> Result<Arc<Rebuilt>> {
        self.ascend(from, &mut |piece| {
            let sequences = piece.block.sequences();
            let Ok(summary) = Summary::of(piece.block, |_| ()) else {
                return Ok(Shown::Undecodable);
            };
            let first = sequences.start;
            index::each_row(first, first, &summary.index, |table, key, span| {
                let rows = index::TABLES.iter().zip(&mut rebuilt.rows);
                if let Some((_, rows)) = rows.into_iter().find(|(known, _)| **known == table) {
                    rows.insert(key, span);
                }
                Ok(())
            })?;
            if piece.is_lost {
                rebuilt.untimed.push(first);
            }
            Ok(Shown::Read {
                next: sequences.end,
                flow: ControlFlow::Continue(()),
            })
        })?;
        rebuilt.range.end = self.range.end;
        Ok(Arc::new(rebuilt))
    }
}
