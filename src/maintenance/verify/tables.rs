//! The tables beside the blocks: checksums, names, runs, cursors, out-of-order outcomes.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use super::Findings;
use super::defect::DefectKind;
use crate::engine::cursors::CursorRow;
use crate::engine::dictionary;
use crate::engine::elapsed;
use crate::engine::format::codec;
use crate::engine::format::row::NameId;
use crate::engine::inputs::rows as inputs;
use crate::engine::keys;
use crate::engine::kv::{Direction, ReadTransaction, Table};
use crate::engine::manifests;
use crate::engine::meta;
use crate::engine::retired::RetiredRow;
use crate::engine::runs;
use crate::engine::segments;
use crate::engine::uses::Uses;
use crate::entry::ids::InferenceId;
use crate::entry::name;
use crate::entry::sequence::Sequence;
use crate::outcomes::{out_of_order, unmatched};
use crate::registry::tables;
use crate::stats::folding::folded;
use crate::stats::rollup::{gaps, table};

/// Whether a value that has the right checksum is one that this journal could have written. Blocks,
/// and the rows that find them, are checked against each other.
pub(crate) fn check_value(
    table: Table,
    path: &Path,
    key: &[u8],
    value: &[u8],
) -> Result<(), String> {
    let said = |error: crate::Error| error.to_string();
    match table {
        Table::Meta => check_meta(key, value),
        Table::Names => {
            let id = keys::one_number::<NameId>(key);
            id.filter(|id| *id != NameId::NONE)
                .ok_or("a key is no name id")?;
            codec::decode::<(u8, String)>(value).map(drop)
        }
        Table::NameIds => dictionary::decode_row(path, value).map(drop).map_err(said),
        Table::Runs => runs::decode(path, key, value).map(drop).map_err(said),
        Table::Segments => {
            let first: Sequence = keys::first_number(key).ok_or("a key is too short")?;
            segments::decode(first, value).map(drop)
        }
        Table::Rollups => table::check(path, key, value).map_err(said),
        Table::HourDetails => table::check_detail(path, key, value).map_err(said),
        Table::GapSums => gaps::check(path, key, value).map_err(said),
        Table::UnmatchedOutcomes => unmatched::check(path, key, value).map_err(said),
        Table::OutOfOrderOutcomes => out_of_order::check(path, key, value).map_err(said),
        Table::Cursors => codec::decode::<CursorRow>(value).map(drop),
        Table::Manifests => manifests::decode(path, key, value).map(drop).map_err(said),
        Table::Inputs => inputs::decode(path, key, value).map(drop).map_err(said),
        Table::Checkpoints
        | Table::Models
        | Table::Bests
        | Table::Newest
        | Table::Ranking
        | Table::Tags
        | Table::Aliases
        | Table::AliasHistory
        | Table::Deleted
        | Table::Leaving => tables::check_row(table, key, value),
        // Blocks and their indexes are compared with each other, entry by entry.
        Table::Blocks | Table::Hours | Table::Ids | Table::Outcomes | Table::Kinds => Ok(()),
    }
}

/// The checksum of every value of a table, and whether its content is possible.
pub(super) fn check_values(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    table: Table,
    findings: &mut Findings,
) {
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let swept = snapshot.sweep(table, everything, Direction::Ascending, |key, value| {
        match value {
            Ok(value) => {
                if let Err(why) = check_value(table, path, key, value) {
                    let detail = format!("table {}, {}: {why}", table.name(), shown(key));
                    findings.report(DefectKind::Undecodable, path, None, detail);
                }
            }
            Err(error) => findings.report(DefectKind::Checksum, path, None, error.to_string()),
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = swept {
        let detail = format!("table {}: {error}", table.name());
        findings.report(DefectKind::Unreadable, path, None, detail);
    }
}

/// A key in words: texts as they are, everything else as bytes.
fn shown(key: &[u8]) -> String {
    // A hostile key may be of any length.
    let key = key.get(..64).unwrap_or(key);
    format!("key \"{}\"", key.escape_ascii())
}

/// The values of which there is one each.
fn check_meta(key: &[u8], value: &[u8]) -> Result<(), String> {
    match key {
        b"extent" => codec::decode::<meta::Extent>(value).map(drop),
        b"identity" => codec::decode::<meta::Identity>(value).map(drop),
        b"retired" => codec::decode::<RetiredRow>(value).map(drop),
        b"lost" => codec::decode::<u64>(value).map(drop),
        b"folded" => folded::check(value),
        key if elapsed::is_mark(key) => elapsed::check_mark(key, value),
        b"elapsed" => codec::decode::<elapsed::Stamp>(value).map(drop),
        b"registry" => tables::check_change(value),
        b"format" | b"next_name" => codec::decode::<u32>(value).map(drop),
        // Of a segment; `Segment::open` and the comparison of its uses read them.
        _ => Ok(()),
    }
}

/// Both tables of names against each other, and against their use.
pub(crate) fn check_names(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    uses: &Uses,
    findings: &mut Findings,
) {
    let everything = || (Bound::Unbounded, Bound::Unbounded);
    let mut ids = BTreeSet::new();
    let mut wrong = Vec::new();
    let swept = snapshot.sweep(
        Table::Names,
        everything(),
        Direction::Ascending,
        |key, value| {
            let id = keys::first_number::<NameId>(key);
            let name = value.ok().map(codec::decode::<(u8, String)>);
            if let (Some(id), Some(Ok((kind, text)))) = (id, name) {
                ids.insert(id);
                let row = snapshot.get(Table::NameIds, &keys::name(kind, &text), |value| {
                    dictionary::decode_row(path, value)
                });
                match row {
                    Ok(Some(Ok(row))) if row.id == id => {}
                    other => {
                        let text = name::shown(&text);
                        wrong.push(format!("name {id} {text:?}: its id is {other:?}"));
                    }
                }
            }
            ControlFlow::Continue(())
        },
    );
    if let Err(error) = swept {
        wrong.push(error.to_string());
    }
    let swept = snapshot.sweep(
        Table::NameIds,
        everything(),
        Direction::Ascending,
        |_, value| {
            let row = value.and_then(|value| dictionary::decode_row(path, value));
            if let Ok(row) = row
                && !ids.contains(&row.id)
            {
                wrong.push(format!("the id {} has no name", row.id));
            }
            ControlFlow::Continue(())
        },
    );
    if let Err(error) = swept {
        wrong.push(error.to_string());
    }
    for id in uses.row().names.iter().filter(|id| !ids.contains(id)) {
        wrong.push(format!("{id} is used, and has no name"));
    }
    for detail in wrong {
        findings.report(DefectKind::Name, path, None, detail);
    }
}

/// Runs of entries, and the content of their rows.
pub(crate) fn check_runs(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    uses: &Uses,
    findings: &mut Findings,
) {
    let rows = match runs::page(snapshot, path, 0, usize::MAX) {
        Ok(rows) => rows,
        Err(error) => {
            findings.report(DefectKind::Run, path, None, error.to_string());
            return;
        }
    };
    let known: BTreeSet<u32> = rows.iter().map(|(run, _)| run.get()).collect();
    for run in uses
        .row()
        .runs
        .iter()
        .filter(|run| **run != 0 && !known.contains(run))
    {
        findings.report(
            DefectKind::Run,
            path,
            None,
            format!("run {run} has entries and no row"),
        );
    }
    for (run, row) in rows {
        if row.last_id != InferenceId::NONE && row.last_id.run() != run {
            let last = row.last_id;
            findings.report(
                DefectKind::Run,
                path,
                None,
                format!("run {run} ends with {last}"),
            );
        }
    }
}

/// The copies of out-of-order outcomes.
pub(super) fn check_out_of_order(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    end: Sequence,
    uses: &mut Uses,
    findings: &mut Findings,
) {
    let read = out_of_order::each(snapshot, path, InferenceId::NONE, |known| {
        known.outcome.row.each_name(|name| uses.see_name(name));
        let places = known.outcome.sequence..known.inference;
        if places.is_empty() || places.end >= end {
            let detail = format!("an out-of-order outcome at {places:?}, the end is {end}");
            findings.report(DefectKind::Extent, path, None, detail);
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = read {
        findings.report(DefectKind::Undecodable, path, None, error.to_string());
    }
}

pub(crate) fn check_cursors(snapshot: &ReadTransaction<'_>, path: &Path, findings: &mut Findings) {
    let end = meta::extent(snapshot, path).map_or(Sequence::MAX, |extent| extent.next);
    for (name, row) in crate::engine::cursors::list(snapshot, path).unwrap_or_default() {
        if row.next > end {
            let detail = format!("the cursor {name:?} is at {}, the end is {end}", row.next);
            findings.report(DefectKind::Extent, path, None, detail);
        }
    }
}
