//! Outcomes by the inference that they belong to, wherever in the journal they were recorded.

use std::ops::ControlFlow;

use super::out_of_order;
use crate::engine::blocks::Blocks;
use crate::engine::format::row::StoredOutcome;
use crate::engine::kv::Table;
use crate::engine::segments::Registered;
use crate::engine::source::{Source, Unopened};
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;

impl Source {
    /// Shows the outcomes of the inferences `ids` (ascending) whose sequence is less than `before`
    /// to `see`, newest first, until it breaks.
    ///
    /// Those that are retired, and came before an inference that is not, are shown last; of those
    /// that are retired while this looks, some may come twice.
    ///
    /// Reads the index once for every 256 ids and part of the journal, and each block that it names
    /// once, without the inferences in it. A caller that wants each id's newest value of certain
    /// names breaks when it has them.
    pub(crate) fn outcomes(
        &self,
        ids: &[InferenceId],
        before: Sequence,
        unopened: Unopened,
        mut see: impl FnMut(StoredOutcome) -> ControlFlow<()>,
    ) -> Result<()> {
        debug_assert!(ids.is_sorted());
        if ids.is_empty() {
            return Ok(());
        }
        let touches = |segment: &Registered| {
            segment.row.outcomes.is_some_and(|(lowest, highest)| {
                let next = ids.get(ids.partition_point(|id| *id < lowest));
                segment.first < before && next.is_some_and(|id| *id <= highest)
            })
        };
        let (mut sealed, mut more) = (false, true);
        self.in_parts(touches, unopened, |blocks| {
            sealed |= blocks.range.start > Sequence::FIRST;
            more = blocks.outcomes(ids, before, &mut see)?.is_continue();
            Ok(more)
        })?;
        // Last, in a later snapshot: outcomes that were retired since, and so not seen above, have
        // a copy in it.
        if sealed && more {
            let copies = self.read(|snapshot| out_of_order::of(snapshot, ids, unopened))?;
            let mut copies = copies.into_iter().filter(|known| known.sequence < before);
            let _ = copies.try_for_each(see);
        }
        Ok(())
    }
}

impl Blocks<'_, '_> {
    fn outcomes(
        &self,
        ids: &[InferenceId],
        before: Sequence,
        see: &mut impl FnMut(StoredOutcome) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let wanted = |id: InferenceId| ids.binary_search(&id).is_ok();
        // Newest first: the caller often needs no older ones.
        for first in self.of_ids(Table::Outcomes, ids, before)?.into_iter().rev() {
            let found = self.look_into(first, |block| block.outcomes(wanted))?;
            // A block that cannot be read has been noted as lost.
            let found = found.unwrap_or_default();
            for outcome in found.into_iter().rev() {
                if outcome.sequence < before && see(outcome).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
