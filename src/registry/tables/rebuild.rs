//! The registry's tables made anew from those of their rows that can be read.

use std::path::Path;

use super::keys;
use super::look::{CHANGE_KEY, RegistryChange};
use super::rows::{AliasRow, AliasStep, CheckpointRow, DeletedRow, LeavingRow, ModelRow};
use crate::engine::format::codec;
use crate::engine::format::codec::Stored;
use crate::engine::keys::first_number;
use crate::engine::kv::{ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::name;
use crate::registry::tables::rows::WITHIN_BITS;

/// The tables of the registry.
pub(crate) const TABLES: [Table; 10] = [
    Table::Checkpoints,
    Table::Models,
    Table::Bests,
    Table::Newest,
    Table::Ranking,
    Table::Tags,
    Table::Aliases,
    Table::AliasHistory,
    Table::Deleted,
    Table::Leaving,
];

/// The number of the last change; `None` before the first.
pub(crate) fn stored_change(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Option<u64>> {
    known_change(path, snapshot.get(Table::Meta, CHANGE_KEY, codec::decode)?)
}

/// The number of the last change as it was read. Numbers of checkpoints begin with it, so there is
/// a highest.
pub(super) fn known_change(
    path: &Path,
    stored: Option<std::result::Result<u64, String>>,
) -> Result<Option<u64>> {
    const MOST: u64 = 1 << 40;
    let known = stored.transpose().and_then(|known| match known {
        Some(number) if number > MOST => Err(format!("change {number} cannot be")),
        known => Ok(known),
    });
    known.map_err(|why| damaged(path, "meta registry", &why))
}

/// Whether a stored number of the last change can be one.
pub(crate) fn check_change(value: &[u8]) -> std::result::Result<(), String> {
    let stored = Some(codec::decode(value));
    let known = known_change(Path::new("meta"), stored);
    known.map(drop).map_err(|error| error.to_string())
}

/// Stores the number of the last change.
pub(crate) fn set_change(transaction: &mut WriteTransaction<'_>, number: u64) -> Result<()> {
    transaction.put(Table::Meta, CHANGE_KEY, &mut sealed(&number))
}

/// A key and a payload.
type RawRow = (Vec<u8>, Vec<u8>);

/// Writes into empty tables the result of `rows` for each, so that the invariants of a change hold.
/// Indexes are made of the checkpoints, and an alias without its checkpoint is left out. `change`
/// is the number of the last change, if it is known.
pub(crate) fn rebuild(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    change: Option<u64>,
    mut rows: impl FnMut(Table) -> Vec<RawRow>,
) -> Result<()> {
    let checkpoints: Vec<(String, CheckpointRow)> = decoded(rows(Table::Checkpoints));
    // The next change must be above all that rows were made by, also if the stored number is lost.
    let numbers = checkpoints.iter().map(|(_, row)| row.number >> WITHIN_BITS);
    let highest = numbers.max().unwrap_or(0).max(change.unwrap_or(0));
    // Nothing else knows these rows: what can be read is kept as it is.
    for table in [Table::AliasHistory, Table::Deleted, Table::Leaving] {
        for (key, payload) in rows(table) {
            if check_row(table, &key, &payload).is_err() {
                continue;
            }
            transaction.put_payload(table, &key, &payload)?;
        }
    }
    let mut change = RegistryChange {
        transaction,
        path,
        number: highest.saturating_add(1),
        inserted: 0,
    };
    for (id, row) in &checkpoints {
        change.put(id, row)?;
    }
    for (model, row) in decoded::<ModelRow>(rows(Table::Models)) {
        change.with_model(&model, |known| {
            known.monitor = row.monitor;
            // Also if the checkpoint that had it is lost: the next save has to be newer.
            known.highest = known.highest.max(row.highest);
        })?;
    }
    for (key, payload) in rows(Table::Aliases) {
        let Ok(row) = codec::decode::<AliasRow>(&payload) else {
            continue;
        };
        let Some((model, alias)) = std::str::from_utf8(&key)
            .ok()
            .and_then(|key| key.split_once('\0'))
        else {
            continue;
        };
        let is_its =
            |(id, known): &(String, CheckpointRow)| *id == row.target && *known.model == *model;
        // An alias of a checkpoint that is lost would name nothing.
        if !checkpoints.iter().any(is_its) {
            continue;
        }
        change.store(Table::Aliases, &key, &row)?;
        let step = keys::step(model, alias, row.since);
        let known = change.transaction.get(Table::AliasHistory, &step, |_| ())?;
        // The history has to end where the alias points, or `alias_at` would contradict it.
        if known.is_none() {
            let target = Some(row.target);
            change.store(
                Table::AliasHistory,
                &step,
                &AliasStep { target, back: None },
            )?;
        }
    }
    let number = change.number;
    change.store(Table::Meta, CHANGE_KEY, &number)
}

fn decoded<T: Stored>(rows: Vec<RawRow>) -> Vec<(String, T)> {
    let decode = |(key, payload): RawRow| {
        let row = codec::decode(&payload).ok()?;
        Some((String::from_utf8(key).ok()?, row))
    };
    rows.into_iter().filter_map(decode).collect()
}

/// Whether a row of one of [`TABLES`] is what this registry could have written.
pub(crate) fn check_row(
    table: Table,
    key: &[u8],
    payload: &[u8],
) -> std::result::Result<(), String> {
    match table {
        Table::Checkpoints => {
            let id = std::str::from_utf8(key).map_err(|error| error.to_string())?;
            name::check_word("checkpoint id", id).map_err(|error| error.to_string())?;
            codec::decode::<CheckpointRow>(payload)?.check_metadata()
        }
        Table::Models => codec::decode::<ModelRow>(payload).map(drop),
        Table::Bests => codec::decode::<(String, CheckpointRow)>(payload).map(drop),
        Table::Newest | Table::Ranking | Table::Tags => codec::decode::<String>(payload).map(drop),
        Table::Aliases => codec::decode::<AliasRow>(payload).map(drop),
        Table::AliasHistory => {
            let step: AliasStep = codec::decode(payload)?;
            let time = key.last_chunk::<8>().and_then(|time| first_number(time));
            match (time, step.back) {
                (None, _) => Err("a key is too short".to_owned()),
                (Some(time), Some(back)) if back >= time => {
                    Err(format!("it goes back from {time} to {back}"))
                }
                _ => Ok(()),
            }
        }
        Table::Deleted => codec::decode::<DeletedRow>(payload).map(drop),
        Table::Leaving => codec::decode::<LeavingRow>(payload).map(drop),
        _ => Ok(()),
    }
}
