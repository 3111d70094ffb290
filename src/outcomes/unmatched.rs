//! Unmatched outcomes: the inferences that have outcomes and are not there. Each is noted until it
//! shows up, or for a month.

use std::collections::BTreeMap;
use std::path::Path;

use crate::engine::blocks::go_on;
use crate::engine::elapsed::Elapsed;
use crate::engine::format::codec;
use crate::engine::keys;
use crate::engine::kv::{Direction, EVERYTHING, ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;

/// Time that an inference may take to appear, in hours of elapsed time.
const EXPIRE_HOURS: i64 = 30 * 24;
/// Rows that one transaction removes: others wait for it.
const SLICE: usize = 5_000;

fn decode(path: &Path, key: &[u8], value: &[u8]) -> Result<(InferenceId, i64)> {
    let broken = |why: &str| damaged(path, "unmatched_outcomes", why);
    let id = keys::one_number(key).ok_or_else(|| broken("a key has the wrong length"))?;
    let noted = codec::decode(value).map_err(|why| broken(&why))?;
    Ok((id, noted))
}

/// Whether the content of a row is possible.
pub(crate) fn check(path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    decode(path, key, value).map(drop)
}

/// Their ids, ascending.
pub(crate) fn list(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Vec<InferenceId>> {
    let mut found = Vec::new();
    each(snapshot, path, |id, _| {
        found.push(id);
        true
    })?;
    Ok(found)
}

/// Shows each id with the hours when it was noted, ascending, until `see` has enough.
fn each(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    mut see: impl FnMut(InferenceId, i64) -> bool,
) -> Result<()> {
    let table = Table::UnmatchedOutcomes;
    snapshot.scan(table, EVERYTHING, Direction::Ascending, |key, value| {
        let (id, noted) = decode(path, key, value)?;
        Ok(go_on(see(id, noted)))
    })
}

/// Notes which inferences are absent (`false`) and which are there now (`true`); returns the number
/// of new ones among the first, and of those that appeared.
pub(crate) fn note(
    transaction: &mut WriteTransaction<'_>,
    unmatched: &BTreeMap<InferenceId, bool>,
    hours: i64,
) -> Result<(u64, u64)> {
    let (mut more, mut fewer) = (0, 0);
    for (id, is_there) in unmatched {
        let key = keys::number(*id);
        let is_known = transaction
            .get(Table::UnmatchedOutcomes, &key, |_| ())?
            .is_some();
        // Counted by what really changes: a slice that is merged twice after a crash counts once.
        if *is_there && is_known {
            transaction.remove(Table::UnmatchedOutcomes, &key)?;
            fewer += 1;
        } else if !*is_there && !is_known {
            transaction.put(Table::UnmatchedOutcomes, &key, &mut sealed(&hours))?;
            more += 1;
        }
    }
    Ok((more, fewer))
}

/// Up to a slice of those that were noted too long ago.
pub(crate) fn expired(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    elapsed: &Elapsed,
) -> Result<Vec<InferenceId>> {
    let mut found = Vec::new();
    each(snapshot, path, |id, noted| {
        // Elapsed time: a clock that jumps gives nothing up.
        if elapsed.hours_since(noted) > EXPIRE_HOURS {
            found.push(id);
        }
        found.len() < SLICE
    })?;
    Ok(found)
}
