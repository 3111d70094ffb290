//! Ranges of keys, and the direction in which they are read.

use std::ops::Bound;

/// Keys and values as redb gives them.
pub(super) type StaticBytes = &'static [u8];

/// Which way a scan runs over its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    /// Whether it leads from one key to another.
    pub(super) fn leads(self, from: &[u8], to: &[u8]) -> bool {
        match self {
            Direction::Ascending => from < to,
            Direction::Descending => from > to,
        }
    }
}

/// The range of keys that a scan covers.
pub(crate) type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Every key of a table.
pub(crate) const EVERYTHING: KeyRange<'static> = (Bound::Unbounded, Bound::Unbounded);
