//! Inferences that have outcomes and are not there: noted until they show up, or for a month.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use crate::engine::blocks::go_on;
use crate::engine::elapsed::Elapsed;
use crate::engine::format::codec;
use crate::engine::keys;
use crate::engine::kv::{Direction, Snapshot, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::stats::rollup::table::ORPHANS;

/// Time that an inference may take to appear, in hours of elapsed time.
const EXPIRE_HOURS: i64 = 30 * 24;
/// Rows that one transaction removes: others wait for it.
const SLICE: usize = 5_000;

fn key(id: u64) -> [u8; 9] {
    let mut key = [ORPHANS; 9];
    key[1..].copy_from_slice(&keys::number(id));
    key
}

fn id(key: &[u8], path: &Path) -> Result<u64> {
    let id = key.get(1..).and_then(keys::first_number);
    id.ok_or_else(|| damaged(path, "rollups: an orphan", "a short key"))
}

/// Their ids, ascending.
pub(crate) fn list(snapshot: &Snapshot<'_>, path: &Path) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    let see = |key: &[u8], _: &[u8]| {
        found.push(id(key, path)?);
        Ok(ControlFlow::Continue(()))
    };
    let (first, last) = (key(0), key(u64::MAX));
    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    snapshot.scan(Table::Rollups, range, Direction::Ascending, see)?;
    Ok(found)
}

/// Notes which inferences are absent (`false`) and which are there now (`true`); returns the number
/// of new ones among the first, and of those that appeared.
pub(crate) fn note(
    transaction: &mut WriteTransaction<'_>,
    orphans: &BTreeMap<u64, bool>,
    hours: i64,
) -> Result<(u64, u64)> {
    let (mut more, mut fewer) = (0, 0);
    for (id, is_there) in orphans {
        let key = key(*id);
        let is_known = transaction.get(Table::Rollups, &key, |_| ())?.is_some();
        if *is_there && is_known {
            transaction.remove(Table::Rollups, &key)?;
            fewer += 1;
        } else if !*is_there && !is_known {
            transaction.put(Table::Rollups, &key, &mut sealed(&hours))?;
            more += 1;
        }
    }
    Ok((more, fewer))
}

/// Up to a slice of those that were noted too long ago.
pub(crate) fn expired(snapshot: &Snapshot<'_>, path: &Path, elapsed: &Elapsed) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    let see = |key: &[u8], value: &[u8]| {
        let noted: i64 =
            codec::decode(value).map_err(|why| damaged(path, "rollups: an orphan", &why))?;
        if elapsed.hours_since(noted) > EXPIRE_HOURS {
            found.push(id(key, path)?);
        }
        Ok(go_on(found.len() < SLICE))
    };
    let (first, last) = (key(0), key(u64::MAX));
    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    snapshot.scan(Table::Rollups, range, Direction::Ascending, see)?;
    Ok(found)
}
