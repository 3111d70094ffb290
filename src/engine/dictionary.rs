//! The dictionary of a journal, on disk: each text is stored once and gets an id that no other text
//! ever gets. Names that nothing needs are forgotten.
//!
//! Each other map of names keeps a part of this table in memory, for one kind of question:
//!
//! | type | from | to | its own reason |
//! |---|---|---|---|
//! | `LocalNames`, `CachedNames` | text | number in the process | callers do not read a journal |
//! | `WriterDictionary` | number in the process | id | the writer alone knows both |
//! | `NameCache` | text | id | names without such a number; bounded |
//! | `ReaderDictionary` | id | text | shared by threads that read |
//! | `RenderedNames` | id | column of a line | escaped and padded once |

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::format::codec;
use super::format::codec::Stored;
use super::format::row::NameId;
use super::keys;
use super::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use super::meta::{damaged, sealed};
use crate::entry::error::{Error, Result};

const NEXT_KEY: &[u8] = b"next_name";

/// Stands for a run where a name is not to be forgotten.
pub(crate) const FOR_EVER: u32 = u32::MAX;

/// Stored form of a name, under its kind and text.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameRow {
    pub(crate) id: NameId,
    /// The lowest and highest run that asked for the id: each may use it as long as it lives.
    pub(crate) asked: (u32, u32),
}

impl Stored for NameRow {
    fn check(&self) -> std::result::Result<(), String> {
        let (lowest, highest) = self.asked;
        if self.id == NameId::NONE || lowest > highest {
            return Err(format!("{self:?} cannot be"));
        }
        Ok(())
    }
}

pub(crate) fn decode_row(path: &Path, value: &[u8]) -> Result<NameRow> {
    codec::decode(value).map_err(|why| damaged(path, "name_ids", &why))
}

/// The text of the name with this id, as the other table says it that has it. Reads all of that:
/// for a row that cannot be read.
pub(crate) fn text_beside(
    snapshot: &ReadTransaction<'_>,
    id: NameId,
) -> Result<Option<(u8, String)>> {
    let mut found = None;
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let direction = Direction::Ascending;
    snapshot.reach(Table::NameIds, everything, direction, |key, value| {
        let row = value
            .ok()
            .and_then(|value| codec::decode::<NameRow>(value).ok());
        if row.is_some_and(|row| row.id == id) {
            found = name_in(key);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The name that a key of the table of ids says, unless it was too long for one.
pub(crate) fn name_in(key: &[u8]) -> Option<(u8, String)> {
    let (kind, text) = key.split_first()?;
    let text = std::str::from_utf8(text).ok()?;
    (keys::name(*kind, text) == key).then(|| (*kind, text.to_owned()))
}

/// The id of a name, as the other table says it that has it; see [`text_beside`].
pub(crate) fn id_beside(
    snapshot: &ReadTransaction<'_>,
    kind: u8,
    text: &str,
) -> Result<Option<NameId>> {
    let mut found = None;
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let direction = Direction::Ascending;
    snapshot.reach(Table::Names, everything, direction, |key, value| {
        let name = value.ok().map(codec::decode::<(u8, String)>);
        if name.is_some_and(|name| name.is_ok_and(|(k, t)| k == kind && t == text)) {
            found = keys::first_number(key);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The id of a name, if it has one. Where its row cannot be read, the other table is asked.
pub(crate) fn id_of(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    kind: u8,
    text: &str,
) -> Result<Option<NameId>> {
    let key = keys::name(kind, text);
    let row = snapshot.get(Table::NameIds, &key, |value| decode_row(path, value));
    match row.and_then(Option::transpose) {
        Ok(row) => Ok(row.map(|row| row.id)),
        Err(error @ Error::Corrupt { .. }) => {
            id_beside(snapshot, kind, text)?.map(Some).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// The ids of `names` for `run`, given now to those that have none.
pub(crate) fn intern<T: AsRef<str>>(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    run: u32,
    names: &[(u8, T)],
) -> Result<Vec<NameId>> {
    // Two processes may ask for the same new name at once. The transactions follow each other, and
    // the second finds it.
    let begin = next(transaction, path)?;
    let mut next = begin;
    let mut ids = Vec::with_capacity(names.len());
    for (kind, text) in names {
        let text = text.as_ref();
        let key = keys::name(*kind, text);
        let known = transaction.get(Table::NameIds, &key, |value| decode_row(path, value))?;
        let known = known.transpose()?;
        let id = known.map_or(next, |row| row.id);
        if known.is_none() {
            next = next
                .checked_next()
                .ok_or_else(|| damaged(path, "names", "all numbers of names are used up"))?;
            let number = keys::number(id);
            transaction.put(Table::Names, &number, &mut sealed(&(kind, text)))?;
        }
        let before = known.map_or((run, run), |row| row.asked);
        // Retention must not forget a name that a living run has in its cache and has not used yet.
        let asked = (before.0.min(run), before.1.max(run));
        // The usual case, a known name of a known run, writes nothing.
        if known.is_none() || asked != before {
            transaction.put(Table::NameIds, &key, &mut sealed(&NameRow { id, asked }))?;
        }
        ids.push(id);
    }
    if next != begin {
        set_next(transaction, next)?;
    }
    Ok(ids)
}

/// Stores the id that the next new name gets.
pub(crate) fn set_next(transaction: &mut WriteTransaction<'_>, next: NameId) -> Result<()> {
    transaction.put(Table::Meta, NEXT_KEY, &mut sealed(&next))
}

/// Stores a name under its id.
pub(crate) fn put(
    transaction: &mut WriteTransaction<'_>,
    (kind, text): (u8, &str),
    row: NameRow,
) -> Result<()> {
    let number = keys::number(row.id);
    transaction.put(Table::Names, &number, &mut sealed(&(kind, text)))?;
    transaction.put(Table::NameIds, &keys::name(kind, text), &mut sealed(&row))
}

/// The id of the next new name, in stored form.
pub(crate) fn stored_next(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Option<NameId>> {
    let stored = snapshot.get(Table::Meta, NEXT_KEY, codec::decode::<NameId>)?;
    let stored = stored.transpose();
    stored.map_err(|why| damaged(path, "meta next_name", &why))
}

/// The id that the next new name gets.
fn next(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<NameId> {
    let stored = transaction.get(Table::Meta, NEXT_KEY, codec::decode::<NameId>)?;
    let stored = stored.transpose();
    let stored = stored.map_err(|why| damaged(path, "meta next_name", &why))?;
    let mut highest = Some(NameId::NONE);
    let everything = (Bound::Unbounded, Bound::Unbounded);
    transaction.scan(Table::Names, everything, Direction::Descending, |key, _| {
        highest = keys::first_number(key);
        Ok(ControlFlow::Break(()))
    })?;
    let highest = highest.ok_or_else(|| damaged(path, "names", "a key is no name id"))?;
    // Both are looked at: the counter outlives names that were forgotten, and the table outlives a
    // counter that a repair could not read.
    Ok(stored.unwrap_or_default().max(highest.saturating_next()))
}
