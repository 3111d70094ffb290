//! Positions of entries in their journal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The position of an entry in its journal, from 1. Positions are dense: each has its entry, or a
/// lost range that stands for it.
///
/// It is stored as the plain number. Arithmetic stops at the ends.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct Sequence(u64);

impl Sequence {
    /// Stands for "before everything".
    pub(crate) const ZERO: Sequence = Sequence(0);
    /// Of the first entry of a journal.
    pub(crate) const FIRST: Sequence = Sequence(1);
    pub(crate) const MAX: Sequence = Sequence(u64::MAX);

    #[inline]
    pub(crate) const fn new(number: u64) -> Self {
        Sequence(number)
    }

    #[inline]
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The position after so many `entries`.
    #[inline]
    pub(crate) const fn saturating_add(self, entries: u64) -> Self {
        Sequence(self.0.saturating_add(entries))
    }

    /// The position so many `entries` before.
    #[inline]
    pub(crate) const fn saturating_sub(self, entries: u64) -> Self {
        Sequence(self.0.saturating_sub(entries))
    }

    /// How many entries lie between `earlier`, with its own, and this; 0 if this is the earlier.
    #[inline]
    pub(crate) const fn since(self, earlier: Sequence) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
