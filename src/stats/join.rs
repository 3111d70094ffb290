//! Outcomes and their inferences, many at once: the outcomes between two places in the journal.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use ahash::AHashMap;

use super::folding::folded::FoldedReach;
use super::rollup::outcomes::{Current, Predictions};
use super::rollup::sums::OutcomeChange;
use crate::engine::blocks::Projection;
use crate::engine::format::block::StoredEntry;
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{NameId, OutcomeRow, OutcomeValue, Row, StoredOutcome};
use crate::engine::format::scan::{Scan, ScannedDecision};
use crate::engine::kv::Table;
use crate::engine::segments::Registered;
use crate::engine::source::{Source, Unopened};
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::prediction::ACTUAL;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::outcomes::current::NewValue;
use crate::outcomes::out_of_order;
use crate::outcomes::out_of_order::OutOfOrder;

/// Between which places outcomes are compared.
#[derive(Clone, Copy)]
pub(crate) struct JoinRange<'f> {
    /// The earlier value of a folded inference is the folded one; others have none.
    pub(crate) folded: &'f FoldedReach,
    /// Before this sequence everything counts.
    pub(crate) end: Sequence,
    /// Outcomes that turned out later are left out.
    pub(crate) until: Timestamp,
    pub(crate) unopened: Unopened,
}

/// A decision and its predictions.
type Predicted = (ScannedDecision, Vec<(NameId, f64)>);

/// Outcomes of inferences that are there.
pub(crate) struct Joined {
    /// The change of each of them.
    pub(crate) changes: Vec<OutcomeChange>,
    /// The outcomes that are older than their inference.
    pub(crate) out_of_order: Vec<OutOfOrder>,
}

impl Source {
    /// The changes of those `ids` (ascending) whose inferences are there.
    pub(crate) fn changes(&self, ids: &[InferenceId], range: JoinRange<'_>) -> Result<Joined> {
        let found = self.events_of(ids, range)?;
        // Few journals have predictions, and the name is looked up for these alone.
        let has_predictions = found.iter().any(|(_, predictions)| !predictions.is_empty());
        let unnamed = match has_predictions {
            true => self.name_id(NameKind::OutcomeName as u8, ACTUAL)?,
            false => None,
        };
        let unnamed = unnamed.unwrap_or_default();
        let mut changes: AHashMap<InferenceId, OutcomeChange> =
            AHashMap::with_capacity(found.len());
        for (event, values) in found {
            let change = OutcomeChange {
                event,
                predictions: Predictions { values, unnamed },
                before: Current::default(),
                after: Current::default(),
            };
            changes.insert(event.id, change);
        }
        let mut known: Vec<InferenceId> = changes.keys().copied().collect();
        known.sort_unstable();
        let mut rows = Vec::new();
        self.outcomes(&known, range.end, range.unopened, |outcome| {
            if outcome.row.time <= range.until {
                rows.push(outcome);
            }
            ControlFlow::Continue(())
        })?;
        let counted = self.counted_out_of_order(&rows, &changes, range)?;
        let mut out_of_order = Vec::new();
        for outcome in rows {
            let StoredOutcome { sequence, row, .. } = &outcome;
            let Some(change) = changes.get_mut(&row.of) else {
                continue;
            };
            let inference = change.event.sequence;
            let is_out_of_order = *sequence < inference;
            // It was not noted when its decision was folded: no sum holds it, and none will.
            if is_out_of_order && range.folded.holds(&change.event) && !counted.contains(sequence) {
                continue;
            }
            offer(&mut change.after, row);
            // Only what rollups hold already is taken out of them again.
            let is_folded = range.folded.holds(&change.event)
                && range.folded.holds_outcome(&change.event, *sequence);
            if is_folded {
                offer(&mut change.before, row);
            }
            if is_out_of_order {
                out_of_order.push(OutOfOrder { outcome, inference });
            }
        }
        Ok(Joined {
            changes: changes.into_values().collect(),
            out_of_order,
        })
    }

    /// Those outcomes among `rows`, by their sequence, that are older than an inference that is
    /// folded, and were counted with it.
    fn counted_out_of_order(
        &self,
        rows: &[StoredOutcome],
        changes: &AHashMap<InferenceId, OutcomeChange>,
        range: JoinRange<'_>,
    ) -> Result<BTreeSet<Sequence>> {
        let is_out_of_order = |outcome: &&StoredOutcome| {
            let change = changes.get(&outcome.row.of);
            change.is_some_and(|OutcomeChange { event, .. }| {
                outcome.sequence < event.sequence && range.folded.holds(event)
            })
        };
        let ids = rows
            .iter()
            .filter(is_out_of_order)
            .map(|outcome| outcome.row.of);
        let ids: BTreeSet<InferenceId> = ids.collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let ids: Vec<InferenceId> = ids.into_iter().collect();
        self.read(|snapshot| out_of_order::noted(snapshot, &ids, range.unopened))
    }

    /// The inferences and repeats of `ids` (ascending) that are there, in no order. Reads every
    /// block that has any of them, once.
    pub(crate) fn find_each(&self, ids: &[InferenceId]) -> Result<Vec<StoredEntry>> {
        debug_assert!(ids.is_sorted());
        let mut found = Vec::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(found);
        }
        self.in_parts(holds_any(ids), Unopened::PassedOver, |blocks| {
            for first in blocks.of_ids(Table::Ids, ids, Sequence::MAX)? {
                let rows = blocks.block_with(first, Projection::All)?.rows.into_iter();
                found.extend(rows.filter(|entry| {
                    !matches!(entry.row, Row::Note(_)) && ids.binary_search(&entry.head.id).is_ok()
                }));
            }
            // An id is in one place only: older parts are not read when all are found.
            Ok(found.len() < ids.len())
        })?;
        Ok(found)
    }

    /// Those of `ids` (ascending) whose inferences or repeats are there before the end, with their
    /// predictions. Reads every block that has any of them, once.
    fn events_of(&self, ids: &[InferenceId], range: JoinRange<'_>) -> Result<Vec<Predicted>> {
        debug_assert!(ids.is_sorted());
        let mut found = Vec::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let mut scan = Scan::default();
        self.in_parts(holds_any(ids), range.unopened, |blocks| {
            for first in blocks.of_ids(Table::Ids, ids, Sequence::MAX)? {
                // One that cannot be read holds nothing any more.
                blocks.look_into(first, |block| {
                    scan.load(&block)?;
                    let (mut predictions, mut index) = (block.predictions(), 0);
                    scan.for_each(|event| {
                        if event.sequence < range.end && ids.binary_search(&event.id).is_ok() {
                            found.push((*event, predictions.of(index)));
                        }
                        index += 1;
                    });
                    Ok(())
                })?;
            }
            Ok(found.len() < ids.len())
        })?;
        Ok(found)
    }
}

/// Whether a segment may hold any inference of `ids` (ascending).
fn holds_any(ids: &[InferenceId]) -> impl Fn(&Registered) -> bool {
    |segment| {
        segment.row.ids.is_some_and(|(lowest, highest)| {
            // The first id that is not below the segment's: no other can be within it unless this
            // one is.
            let next = ids.get(ids.partition_point(|id| *id < lowest));
            next.is_some_and(|id| *id <= highest)
        })
    }
}

/// Offers the values of an outcome, which is older than those that were offered before.
fn offer(current: &mut Current, row: &OutcomeRow) {
    for value in &row.values {
        let value = match value {
            OutcomeValue::Reward(reward) => NewValue::Reward(*reward),
            OutcomeValue::Correct(correct) => NewValue::Correct(*correct),
            OutcomeValue::Label(_) => NewValue::Label(()),
            OutcomeValue::Named(name, value) => NewValue::Named(*name, *value),
        };
        current.offer(value, ());
    }
}
