//! The indexes of a file's blocks, made anew from the blocks in memory because rows of them cannot
//! be read. An entry that an index has lost must not be missing from an answer in silence.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, Range};
use std::path::{Path, PathBuf};

use super::index;
use super::index::IndexMinMax;
use super::kv::{Direction, KeyRange, Table};
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;

/// Shown a key and its value, until it breaks.
type SeeRow<'s> = &'s mut dyn FnMut(&[u8], IndexMinMax) -> Result<ControlFlow<()>>;

/// The rows of one index.
type IndexRows = BTreeMap<[u8; 16], IndexMinMax>;

/// All that finds the blocks of one file. Costs a read of all of them, and some 50 bytes of memory
/// for each row; kept until another file needs it.
#[derive(Clone)]
pub(crate) struct RebuiltIndex {
    pub(super) path: PathBuf,
    pub(super) range: Range<Sequence>,
    pub(super) rows: [IndexRows; index::TABLES.len()],
    /// Where stretches begin that cannot be read, and of whose event times nothing is known.
    pub(crate) untimed: Vec<Sequence>,
}

impl RebuiltIndex {
    pub(super) fn new(path: &Path, range: Range<Sequence>) -> Self {
        RebuiltIndex {
            path: path.to_owned(),
            range,
            rows: Default::default(),
            untimed: Vec::new(),
        }
    }

    fn of(&self, table: Table) -> Option<&IndexRows> {
        let at = index::TABLES.iter().position(|known| *known == table)?;
        self.rows.get(at)
    }

    /// Shows the rows of `table` within `range` until `see` breaks.
    pub(crate) fn each(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        see: SeeRow<'_>,
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
