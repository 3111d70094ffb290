//! Reading an index of blocks: from its rows, and where they are damaged from the blocks.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::blocks::{Blocks, VisitResult};
use super::format::summary::Summary;
use super::index;
use super::index::IndexMinMax;
use super::kv::{Direction, KeyRange, Table};
use super::rebuilt_index::RebuiltIndex;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;

impl Blocks<'_, '_> {
    /// Shows the rows of an index of this file's blocks in `range` to `see`, until it breaks. Rows
    /// that cannot be read are made anew from the blocks.
    pub(crate) fn index(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        mut see: impl FnMut(&[u8], IndexMinMax) -> Result<ControlFlow<()>>,
    ) -> Result<Option<Arc<RebuiltIndex>>> {
        let mut last: Option<Vec<u8>> = None;
        let mut outcome = Ok(ControlFlow::Continue(()));
        let mut is_whole = true;
        // The first unreadable row ends this: then all rows behind it are made anew.
        let reached =
            self.snapshot
                .until_damaged(table, range, direction, |key, value| {
                    match value.and_then(|value| index::min_max_of(table, value)) {
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
    fn rebuilt(&self) -> Result<Arc<RebuiltIndex>> {
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
                RebuiltIndex::new(self.path, self.range.clone()),
                self.range.start,
            )?,
        };
        *kept = Some(rebuilt.clone());
        Ok(rebuilt)
    }

    fn extended(&self, mut rebuilt: RebuiltIndex, from: Sequence) -> Result<Arc<RebuiltIndex>> {
        self.ascend(from, &mut |visit| {
            let sequences = visit.block.sequences();
            let Ok(summary) = Summary::of(visit.block, |_| ()) else {
                return Ok(VisitResult::Undecodable);
            };
            let first = sequences.start;
            index::each_row(first, first, &summary.index, |table, key, span| {
                let rows = index::TABLES.iter().zip(&mut rebuilt.rows);
                if let Some((_, rows)) = rows.into_iter().find(|(known, _)| **known == table) {
                    rows.insert(key, span);
                }
                Ok(())
            })?;
            if visit.is_lost {
                rebuilt.untimed.push(first);
            }
            Ok(VisitResult::Read {
                next: sequences.end,
                flow: ControlFlow::Continue(()),
            })
        })?;
        rebuilt.range.end = self.range.end;
        Ok(Arc::new(rebuilt))
    }
}
