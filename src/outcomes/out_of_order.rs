//! Out-of-order outcomes: those with a lower sequence than the inference that they belong to, which
//! another process committed later. The end of a segment may lie between the two, and then
//! retention takes the outcome and leaves the inference. So each is noted when the inference is
//! folded, and the note stands for it as long as the inference is kept and the outcome is not. An
//! outcome that expired unmatched ([given up](super::unmatched)) is not copied, and does not count.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::blocks::go_on;
use crate::engine::format::codec;
use crate::engine::format::codec::Stored;
use crate::engine::format::row::{OutcomeRow, OutcomeValue, StoredOutcome};
use crate::engine::keys;
use crate::engine::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::engine::source::{Snapshot, Unopened};
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Rows that one transaction writes or removes: others wait for it.
pub(crate) const SLICE: usize = 2_000;

/// An outcome, and the inference that came after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutOfOrder {
    pub(crate) outcome: StoredOutcome,
    /// The sequence of the inference or repeat.
    pub(crate) inference: Sequence,
}

/// Stored fields besides the id of the inference and the outcome's sequence.
#[derive(Serialize, Deserialize)]
struct OutOfOrderRow {
    inference: Sequence,
    run: u32,
    time: Timestamp,
    values: Vec<OutcomeValue>,
    is_undated: bool,
}

impl Stored for OutOfOrderRow {}

fn decode(path: &Path, key: &[u8], value: &[u8]) -> Result<OutOfOrder> {
    let broken = |why: &str| damaged(path, "out_of_order_outcomes", why);
    let numbers = keys::two_numbers(key);
    let (of, sequence) = numbers.ok_or_else(|| broken("a key has the wrong length"))?;
    let row: OutOfOrderRow = codec::decode(value).map_err(|why| broken(&why))?;
    Ok(OutOfOrder {
        outcome: StoredOutcome {
            sequence,
            recorded: None,
            row: OutcomeRow {
                run: row.run,
                of,
                time: row.time,
                values: row.values,
                is_undated: row.is_undated,
            },
        },
        inference: row.inference,
    })
}

/// Whether the content of a row is possible.
pub(crate) fn check(path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    decode(path, key, value).map(drop)
}

/// Whether a row is of an outcome and an inference in this order, both before `end`.
pub(crate) fn is_before(path: &Path, key: &[u8], value: &[u8], end: Sequence) -> bool {
    decode(path, key, value)
        .is_ok_and(|row| row.outcome.sequence < row.inference && row.inference < end)
}

/// Notes them; those that are noted already stay as they are.
pub(crate) fn note(transaction: &mut WriteTransaction<'_>, row: &[OutOfOrder]) -> Result<()> {
    for OutOfOrder { outcome, inference } in row {
        let row = OutOfOrderRow {
            inference: *inference,
            run: outcome.row.run,
            time: outcome.row.time,
            values: outcome.row.values.clone(),
            is_undated: outcome.row.is_undated,
        };
        let key = keys::pair(outcome.row.of, outcome.sequence);
        transaction.put(Table::OutOfOrderOutcomes, &key, &mut sealed(&row))?;
    }
    Ok(())
}

/// Shows every note from `from` on until `see` breaks.
pub(crate) fn each(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    from: InferenceId,
    mut see: impl FnMut(OutOfOrder) -> ControlFlow<()>,
) -> Result<()> {
    let first = keys::pair(from, Sequence::ZERO);
    let range = (Bound::Included(&first[..]), Bound::Unbounded);
    let ascending = Direction::Ascending;
    snapshot.scan(Table::OutOfOrderOutcomes, range, ascending, |key, value| {
        Ok(see(decode(path, key, value)?))
    })
}

/// Shows every note of the inferences `ids` (ascending). Where segments that cannot be opened are
/// passed over, so are notes that cannot be read.
fn each_of(
    snapshot: &Snapshot<'_, '_>,
    ids: &[InferenceId],
    unopened: Unopened,
    mut see: impl FnMut(OutOfOrder),
) -> Result<()> {
    let mut found = Vec::new();
    // Held back until all are read: after damage they are read again by another way.
    let read = jump_to_each(snapshot, ids, |row| found.push(row));
    match (read, unopened) {
        (Err(Error::Corrupt { .. }), Unopened::PassedOver) => {
            snapshot.losses().note_rollups();
            readable(snapshot, ids, see)
        }
        (read, _) => {
            read?;
            found.into_iter().for_each(&mut see);
            Ok(())
        }
    }
}

/// Shows every note of the inferences `ids` (ascending) that can be read.
fn readable(
    snapshot: &Snapshot<'_, '_>,
    ids: &[InferenceId],
    mut see: impl FnMut(OutOfOrder),
) -> Result<()> {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return Ok(());
    };
    let (first, last) = (
        keys::pair(*first, Sequence::ZERO),
        keys::pair(*last, Sequence::MAX),
    );
    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    let (table, ascending) = (Table::OutOfOrderOutcomes, Direction::Ascending);
    snapshot.reach(table, range, ascending, |key, value| {
        let row = value.and_then(|value| decode(snapshot.path(), key, value));
        if let Ok(row) = row
            && ids.binary_search(&row.outcome.row.of).is_ok()
        {
            see(row);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn jump_to_each(
    snapshot: &Snapshot<'_, '_>,
    ids: &[InferenceId],
    mut see: impl FnMut(OutOfOrder),
) -> Result<()> {
    let mut wanted = ids;
    // Others' notes are jumped over: either of the two may be many.
    while let Some(next) = wanted.first() {
        let mut reached = InferenceId::MAX;
        each(snapshot, snapshot.path(), *next, |row| {
            reached = row.outcome.row.of;
            let is_wanted = wanted.binary_search(&reached).is_ok();
            if is_wanted {
                see(row);
            }
            go_on(is_wanted)
        })?;
        // Each look-up ends at the first note that is not wanted: the next begins at the next id.
        let behind = wanted.partition_point(|id| *id <= reached);
        wanted = wanted.get(behind..).unwrap_or_default();
    }
    Ok(())
}

/// Out-of-order outcomes of the inferences `ids` (ascending) where the outcome is retired and the
/// inference is not. Newest first.
pub(crate) fn of(
    snapshot: &Snapshot<'_, '_>,
    ids: &[InferenceId],
    unopened: Unopened,
) -> Result<Vec<StoredOutcome>> {
    let kept = snapshot.extent()?.kept;
    let mut found = Vec::new();
    each_of(snapshot, ids, unopened, |row| {
        // Where the outcome's own entry is still there, it is found as such. Where the decision is
        // gone, no one asks.
        if row.outcome.sequence < kept && row.inference >= kept {
            found.push(row.outcome);
        }
    })?;
    found.sort_unstable_by_key(|outcome| std::cmp::Reverse(outcome.sequence));
    Ok(found)
}

/// The sequences of all outcomes of the inferences `ids` (ascending) that are noted.
pub(crate) fn noted(
    snapshot: &Snapshot<'_, '_>,
    ids: &[InferenceId],
    unopened: Unopened,
) -> Result<BTreeSet<Sequence>> {
    let mut sequences = BTreeSet::new();
    each_of(snapshot, ids, unopened, |row| {
        sequences.insert(row.outcome.sequence);
    })?;
    Ok(sequences)
}

/// Up to a slice of the notes of inferences that are retired.
pub(crate) fn stale(snapshot: &Snapshot<'_, '_>) -> Result<Vec<OutOfOrder>> {
    let kept = snapshot.extent()?.kept;
    let mut found = Vec::new();
    each(snapshot, snapshot.path(), InferenceId::NONE, |row| {
        if row.inference < kept {
            found.push(row);
        }
        // In slices, each with a transaction of its own: other writers come in between.
        go_on(found.len() < SLICE)
    })?;
    Ok(found)
}

/// Forgets them.
pub(crate) fn forget(transaction: &mut WriteTransaction<'_>, row: &[OutOfOrder]) -> Result<()> {
    row.iter().try_for_each(|row| {
        let outcome = &row.outcome;
        let key = keys::pair(outcome.row.of, outcome.sequence);
        transaction.remove(Table::OutOfOrderOutcomes, &key)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::format::row::NameId;
    use crate::engine::kv::{Kv, WriteFailure};
    use crate::engine::lost_ranges::LostRanges;
    use crate::engine::meta;
    use crate::engine::meta::Extent;

    fn row(of: u64, sequence: u64, inference: u64) -> OutOfOrder {
        let values = vec![OutcomeValue::Named(NameId::new(7), sequence as f64)];
        let row = OutcomeRow {
            run: 3,
            of: InferenceId::from_u64(of),
            time: Timestamp(-5),
            values,
            is_undated: sequence.is_multiple_of(2),
        };
        let outcome = StoredOutcome {
            sequence: Sequence::new(sequence),
            recorded: None,
            row,
        };
        OutOfOrder {
            outcome,
            inference: Sequence::new(inference),
        }
    }

    fn write(
        kv: &Kv,
        row: &[OutOfOrder],
        body: impl FnOnce(&mut WriteTransaction<'_>, &[OutOfOrder]) -> Result<()>,
    ) {
        let written = kv.write(|transaction| {
            transaction.create_tables()?;
            body(transaction, row)
        });
        written.map_err(WriteFailure::into_error).unwrap();
    }

    fn in_snapshot<T>(
        kv: &Kv,
        kept: Sequence,
        body: impl FnOnce(&Snapshot<'_, '_>) -> Result<T>,
    ) -> T {
        let extent = Extent {
            next: kept,
            hot: kept,
            kept,
            ..Extent::new()
        };
        let written = kv.write(|transaction| meta::set_extent(transaction, extent));
        written.map_err(WriteFailure::into_error).unwrap();
        let losses = LostRanges::default();
        let read = kv.read(|tables| body(&Snapshot::new(tables, kv.path(), &losses)));
        read.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_copy_stands_for_a_retired_outcome_of_a_kept_inference(
            noted in prop::collection::btree_map((0_u64..12, 1_u64..40), 1_u64..20, 0..40),
            ids in prop::collection::btree_set(0_u64..14, 0..8),
            kept in 1_u64..60,
        ) {
            let kept = Sequence::new(kept);
            let noted = noted.into_iter();
            let noted: Vec<OutOfOrder> = noted
                .map(|((of, sequence), later)| row(of, sequence, sequence + later))
                .collect();
            let dir = tempfile::tempdir().unwrap();
            let kv = Kv::create(&dir.path().join("hot"), 1 << 20).unwrap();
            write(&kv, &noted, note);
            let ids: Vec<InferenceId> = ids.into_iter().map(InferenceId::from_u64).collect();
            let holds = |row: &&OutOfOrder| {
                let is_asked_for = ids.contains(&row.outcome.row.of);
                is_asked_for && row.outcome.sequence < kept && kept <= row.inference
            };
            let mut expected: Vec<StoredOutcome> = noted
                .iter()
                .filter(holds)
                .map(|row| row.outcome.clone())
                .collect();
            expected.sort_by_key(|outcome| (std::cmp::Reverse(outcome.sequence), outcome.row.of));
            let mut found = in_snapshot(&kv, kept, |view| of(view, &ids, Unopened::Refused));
            prop_assert!(found.is_sorted_by(|one, next| one.sequence >= next.sequence));
            found.sort_by_key(|outcome| (std::cmp::Reverse(outcome.sequence), outcome.row.of));
            prop_assert_eq!(&found, &expected);

            // Forgotten rows can no longer be asked for.
            let retired = noted.iter().filter(|row| row.inference < kept);
            let expired = in_snapshot(&kv, kept, stale);
            prop_assert!(expired.iter().eq(retired));
            write(&kv, &expired, forget);
            prop_assert_eq!(in_snapshot(&kv, kept, stale), vec![]);
            let left = in_snapshot(&kv, kept, |view| of(view, &ids, Unopened::Refused));
            prop_assert_eq!(left.len(), expected.len());
        }
    }
}
