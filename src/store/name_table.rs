//! The table of names: each text is stored once and gets a number that it keeps.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use super::keys;
use super::kv::{Direction, Table, WriteTransaction};
use super::meta::{damaged, sealed};
use crate::error::Result;
use crate::format::codec;

/// The stored ids of `names`, given now to those that have none.
pub(super) fn intern<T: AsRef<str>>(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    names: &[(u8, T)],
) -> Result<Vec<u32>> {
    let mut next = highest(transaction, path)? + 1;
    let mut ids = Vec::with_capacity(names.len());
    for (kind, text) in names {
        let text = text.as_ref();
        let key = keys::name(*kind, text);
        let known = transaction.get(Table::NameIds, &key, codec::decode::<u32>)?;
        let id = match known {
            Some(id) => id.map_err(|why| damaged(path, "name_ids", &why))?,
            None => {
                let id = next;
                next += 1;
                transaction.put(Table::NameIds, &key, &mut sealed(&id))?;
                let number = keys::number(u64::from(id));
                transaction.put(Table::Names, &number, &mut sealed(&(kind, text)))?;
                id
            }
        };
        ids.push(id);
    }
    Ok(ids)
}

fn highest(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<u32> {
    let mut highest = Some(0);
    let everything = (Bound::Unbounded, Bound::Unbounded);
    transaction.scan(Table::Names, everything, Direction::Descending, |key, _| {
        highest = keys::first_number(key).and_then(|id| u32::try_from(id).ok());
        Ok(ControlFlow::Break(()))
    })?;
    highest.ok_or_else(|| damaged(path, "names", "a key is no name id"))
}
