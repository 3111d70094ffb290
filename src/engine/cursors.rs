//! Cursors by name: how far exports and followers have come, kept in the journal itself so that
//! retention can wait for them.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::format::codec;
use super::format::codec::{Stored, bounded};
use super::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use super::maintenance_handle::MaintenanceHandle;
use super::meta;
use super::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::name;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Stored form of a cursor, under its name.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CursorRow {
    /// The sequence of the entry that comes next.
    pub(crate) next: Sequence,
    /// When it was stored.
    pub(crate) stored: Timestamp,
}

impl Stored for CursorRow {
    fn check(&self) -> std::result::Result<(), String> {
        bounded("a sequence", self.next.get())
    }
}

impl MaintenanceHandle {
    /// All cursors with their names, in the order of the names.
    pub(crate) fn cursors(&self) -> Result<Vec<(String, CursorRow)>> {
        let path = self.source().path();
        self.source().read(|snapshot| list(snapshot, path))
    }

    /// The cursor with this name.
    pub(crate) fn cursor(&self, name: &str) -> Result<Option<CursorRow>> {
        name::check_word("cursor", name)?;
        let path = self.source().path();
        let row = self.source().read(|snapshot| {
            snapshot.get(Table::Cursors, name.as_bytes(), |value| {
                decode(path, name, value)
            })
        })?;
        row.transpose()
    }

    /// Stores the cursor `name`, unless it lies beyond the journal's end: then that is given back.
    pub(crate) fn set_cursor(&self, name: &str, row: CursorRow) -> Result<Result<(), Sequence>> {
        name::check_word("cursor", name)?;
        let path = self.source().path();
        self.write(|transaction| {
            let end = meta::extent_to_write(transaction, path)?.next;
            if row.next > end {
                return Ok(Err(end));
            }
            transaction.put(Table::Cursors, name.as_bytes(), &mut sealed(&row))?;
            Ok(Ok(()))
        })
    }

    /// Removes the cursor `name`; returns whether there was one.
    pub(crate) fn remove_cursor(&self, name: &str) -> Result<bool> {
        name::check_word("cursor", name)?;
        let path = self.source().path();
        self.write(|transaction| {
            let known = to_write(transaction, path, name)?.is_some();
            transaction.remove(Table::Cursors, name.as_bytes())?;
            Ok(known)
        })
    }
}

/// All cursors with their names, in the order of the names.
pub(crate) fn list(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
) -> Result<Vec<(String, CursorRow)>> {
    let mut found = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let direction = Direction::Ascending;
    snapshot.scan(Table::Cursors, everything, direction, |key, value| {
        let name = String::from_utf8_lossy(key).into_owned();
        let row = decode(path, &name, value)?;
        found.push((name, row));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The cursor `name` as a transaction sees it.
pub(crate) fn to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    name: &str,
) -> Result<Option<CursorRow>> {
    let row = transaction.get(Table::Cursors, name.as_bytes(), |value| {
        decode(path, name, value)
    })?;
    row.transpose()
}

fn decode(path: &Path, name: &str, value: &[u8]) -> Result<CursorRow> {
    codec::decode(value).map_err(|why| damaged(path, &format!("cursor {name:?}"), &why))
}
