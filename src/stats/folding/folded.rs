//! Reach of the rollups in sequences, and their content.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::format::codec;
use crate::engine::format::codec::{Stored, bounded};
use crate::engine::format::scan::ScannedDecision;
use crate::engine::kv::{ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::stats::rollup::{Combination, PARTITIONS};

const KEY: &[u8] = b"folded";

/// The tables that folding writes. They change together, and with this row of `meta`.
pub(crate) const TABLES: [Table; 5] = [
    Table::Rollups,
    Table::HourDetails,
    Table::GapSums,
    Table::UnmatchedOutcomes,
    Table::OutOfOrderOutcomes,
];

/// Reach of the rollups, as it is stored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
struct Reach {
    partitions: Vec<Sequence>,
    gaps: Sequence,
    longest_gap: u64,
    unmatched: u64,
}

impl Stored for Reach {
    fn check(&self) -> std::result::Result<(), String> {
        let ends = self.partitions.iter().copied();
        let mut numbers = ends
            .chain([self.gaps])
            .map(Sequence::get)
            .chain([self.unmatched]);
        numbers.try_for_each(|number| bounded("a number", number))
    }
}

/// Reach of the rollups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoldedReach {
    /// For each partition of combinations, the first sequence that is not in their rollups.
    partitions: Vec<Sequence>,
    /// The first sequence whose gaps are not in the rows of gaps.
    gaps: Sequence,
    /// The most minutes that a gap's first and last are apart.
    pub(crate) longest_gap: u64,
    /// Inferences that have folded outcomes and are not there.
    unmatched: u64,
    /// Invariant F1: the least and the greatest of `partitions`.
    least: Sequence,
    most: Sequence,
}

impl FoldedReach {
    fn new(reach: Reach) -> Self {
        let least = reach.partitions.iter().copied().min();
        let most = reach.partitions.iter().copied().max();
        FoldedReach {
            least: least.unwrap_or(Sequence::FIRST),
            most: most.unwrap_or(Sequence::FIRST),
            partitions: reach.partitions,
            gaps: reach.gaps,
            longest_gap: reach.longest_gap,
            unmatched: reach.unmatched,
        }
    }

    /// Of empty rollups of a journal whose first entry is `first`.
    pub(crate) fn beginning_at(first: Sequence) -> Self {
        FoldedReach::new(Reach {
            partitions: vec![first; PARTITIONS],
            gaps: first,
            longest_gap: 0,
            unmatched: 0,
        })
    }

    /// Nothing from it on is in the rollups.
    pub(crate) fn farthest(&self) -> Sequence {
        self.most.max(self.gaps)
    }

    /// Everything before it is in the rollups.
    pub(crate) fn all_before(&self) -> Sequence {
        self.least.min(self.gaps)
    }

    /// Whether the rollups hold this inference or repeat.
    #[inline]
    pub(crate) fn holds(&self, event: &ScannedDecision) -> bool {
        // Between two folds all partitions reach equally far.
        if event.sequence < self.least {
            return true;
        }
        if event.sequence >= self.most {
            return false;
        }
        let partition = Combination::of(event).partition();
        let folded = self.partitions.get(partition);
        folded.is_some_and(|folded| event.sequence < *folded)
    }

    /// Whether the rollups hold the values of the outcome with this sequence of `event`, which they
    /// hold themselves.
    pub(crate) fn holds_outcome(&self, event: &ScannedDecision, sequence: Sequence) -> bool {
        self.holds(&ScannedDecision { sequence, ..*event })
    }

    /// Whether the rows of gaps hold the gap with this sequence.
    pub(crate) fn holds_gap(&self, sequence: Sequence) -> bool {
        sequence < self.gaps
    }

    /// The same, with some partitions folded up to `sequence`.
    pub(crate) fn with_partitions(
        &self,
        partitions: impl Iterator<Item = usize>,
        sequence: Sequence,
    ) -> Self {
        let mut reach = self.reach();
        for partition in partitions {
            if let Some(folded) = reach.partitions.get_mut(partition) {
                *folded = sequence;
            }
        }
        FoldedReach::new(reach)
    }

    /// The same, with the gaps folded up to `sequence`, of which one takes up to `minutes`.
    pub(crate) fn with_gaps(&self, sequence: Sequence, minutes: u64) -> Self {
        let mut reach = self.reach();
        reach.gaps = sequence;
        // Never shorter: a search for gaps that touch a range begins so much before it.
        reach.longest_gap = reach.longest_gap.max(minutes);
        FoldedReach::new(reach)
    }

    /// The same, with so many more unmatched outcomes, and so many fewer.
    pub(crate) fn with_unmatched(&self, more: u64, fewer: u64) -> Self {
        let mut reach = self.reach();
        reach.unmatched = reach.unmatched.saturating_add(more).saturating_sub(fewer);
        FoldedReach::new(reach)
    }

    pub(crate) fn unmatched(&self) -> u64 {
        self.unmatched
    }

    fn reach(&self) -> Reach {
        Reach {
            partitions: self.partitions.clone(),
            gaps: self.gaps,
            longest_gap: self.longest_gap,
            unmatched: self.unmatched,
        }
    }
}

fn known(path: &Path, stored: Option<Result<Reach, String>>) -> Result<FoldedReach> {
    match stored {
        // Another number of partitions would assign combinations to others than they were added to.
        Some(Ok(reach)) if reach.partitions.len() == PARTITIONS => Ok(FoldedReach::new(reach)),
        Some(Ok(reach)) => {
            let why = format!("{} partitions", reach.partitions.len());
            Err(damaged(path, "meta folded", &why))
        }
        Some(Err(why)) => Err(damaged(path, "meta folded", &why)),
        None => Ok(FoldedReach::new(Reach {
            partitions: vec![Sequence::FIRST; PARTITIONS],
            gaps: Sequence::FIRST,
            longest_gap: 0,
            unmatched: 0,
        })),
    }
}

/// Whether a stored value is possible.
pub(crate) fn check(value: &[u8]) -> std::result::Result<(), String> {
    let reach: Reach = codec::decode(value)?;
    match reach.partitions.len() {
        PARTITIONS => Ok(()),
        other => Err(format!("{other} partitions")),
    }
}

/// Their reach, as `snapshot` shows it.
pub(crate) fn read(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<FoldedReach> {
    known(path, snapshot.get(Table::Meta, KEY, codec::decode)?)
}

/// The same where they can be read; `None` otherwise.
pub(crate) fn readable(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Option<FoldedReach>> {
    match read(snapshot, path) {
        Err(Error::Corrupt { .. }) => Ok(None),
        read => read.map(Some),
    }
}

pub(crate) fn to_write(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<FoldedReach> {
    known(path, transaction.get(Table::Meta, KEY, codec::decode)?)
}

pub(crate) fn put(transaction: &mut WriteTransaction<'_>, folded: &FoldedReach) -> Result<()> {
    transaction.put(Table::Meta, KEY, &mut sealed(&folded.reach()))
}
