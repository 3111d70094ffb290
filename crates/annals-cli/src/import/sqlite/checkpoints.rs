//! Rows of `checkpoint_metadata` as checkpoints of the registry.

use std::path::Path;

use annals::Registry;
use annals::registry::Metadata;
use jiff::tz::TimeZone;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::Value as Json;

use super::super::times::Doubts;
use super::super::{ImportReport, python};
use super::registered::{Pending, RegisteredBatch};
use super::table::SourceTable;
use super::{RowTrouble, values};
use crate::failure::{Failure, Result};

/// The columns, in the order in which they are asked for.
pub const COLUMNS: [&str; 9] = [
    "checkpoint_id",
    "model_name",
    "model_type",
    "timestamp",
    "performance_metrics",
    "training_metadata",
    "file_path",
    "file_size_mb",
    "is_active",
];

fn owned(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    Ok(values::text(row.get_ref(index)?).map(std::borrow::Cow::into_owned))
}

/// Registers checkpoints where their files lie; paths are looked for as they stand and beside the
/// database.
pub fn checkpoints(
    dir: &Path,
    from: &Path,
    table: &SourceTable<'_>,
    zone: &TimeZone,
    report: &mut ImportReport,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<()> {
    let registry = report.doing.registry(dir)?;
    let mut query = table
        .file
        .prepare(&table.select(false, false))
        .map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    let beside = from.parent().unwrap_or(Path::new("."));
    let mut batch = RegisteredBatch::new(&registry);
    let mut count = 0_u64;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) if super::rest::is_damage(&error) => {
                let unread = format!("{}: the rows after {count}: {error}", table.name);
                report.unread.push(unread);
                break;
            }
            Err(error) => return Err(failed(error)),
        };
        count += 1;
        let number = row.get::<_, Option<i64>>(0).map_err(failed)?;
        let number = number.map_or_else(|| count.to_string(), |number| number.to_string());
        let place = format!("{} row {number}", table.name);
        match checkpoint(&registry, row, beside, zone, report, &place) {
            Ok(row) => batch.push(row, report)?,
            Err(RowTrouble::Row(why)) => report.broken(&place, &why),
            Err(RowTrouble::Fatal(failure)) => return Err(failure),
        }
    }
    batch.finish(table.name, report)
}

/// One checkpoint as the registry takes it. One whose weights are gone is kept as missing.
fn checkpoint(
    registry: &Registry,
    row: &Row<'_>,
    beside: &Path,
    zone: &TimeZone,
    report: &mut ImportReport,
    place: &str,
) -> Result<Pending, RowTrouble> {
    let missing = |what: &str| RowTrouble::Row(format!("it has no {what}"));
    let id = owned(row, 1)?.ok_or_else(|| missing("checkpoint_id"))?;
    let model = owned(row, 2)?.ok_or_else(|| missing("model_name"))?;
    let path = owned(row, 7)?.filter(|path| !path.trim().is_empty());
    let active = is_true(row.get_ref(9)?);
    let here = path
        .iter()
        .flat_map(|path| [Path::new(path).to_owned(), beside.join(path)]);
    let file = here.into_iter().find(|path| path.exists());
    let mut new = registry.checkpoint(&model);
    if let Some(kind) = owned(row, 3)? {
        new = new.model_type(kind);
    }
    let mut doubts = Doubts::default();
    let stamp = row.get_ref(4)?;
    match values::time(stamp, zone) {
        Some(read) => {
            doubts.note(&read);
            new = new.created(read.time);
        }
        None => {
            let shown = values::shown(stamp);
            let why = format!("timestamp {shown} is no time; that of the import holds");
            report.damaged(place, &why);
        }
    }
    for (index, what) in [(5, "performance_metrics"), (6, "training_metadata")] {
        let Some(json) = owned(row, index)?.filter(|json| !json.trim().is_empty()) else {
            continue;
        };
        match serde_json::from_str::<Json>(&python::as_json(&json)) {
            Ok(Json::Object(entries)) => {
                for (name, value) in entries {
                    let number = number(&value).filter(|_| index == 5);
                    new = match number {
                        Some(number) if can_rank(&name) => new.metric(name, number),
                        Some(_) => {
                            let why = format!(
                                "{what}: a name of {} bytes is no metric's; kept as metadata",
                                name.len()
                            );
                            report.damaged(place, &why);
                            report.not_taken(what, "a name that no metric can have");
                            new.metadata(name, metadata(&value))
                        }
                        None => new.metadata(name, metadata(&value)),
                    };
                }
            }
            Ok(Json::Null) => {}
            Ok(_) => report.damaged(place, &format!("{what} is no object; taken in without it")),
            Err(error) => report.damaged(place, &format!("{what}: {error}; taken in without it")),
        }
    }
    let present = file.is_some();
    let entry = match (file, path) {
        (Some(file), _) => new.import_as(&*id, file),
        (None, path) => {
            // Its size as weights is kept, and no size in bytes.
            if let Ok(Some(size)) = values::number(row.get_ref(8)?) {
                new = new.metadata("file_size_mb", size);
            }
            let path = path.unwrap_or_else(|| format!("{id} (no file_path)"));
            new.import_missing_as(&*id, beside.join(path), 0)
        }
    };
    let entry = entry.map_err(|error| RowTrouble::Row(error.to_string()))?;
    Ok(Pending {
        entry,
        id,
        model,
        active,
        present,
        doubts,
    })
}

/// Whether a flag is set: as a number, or as one of the words that people write.
fn is_true(value: ValueRef<'_>) -> bool {
    match values::number(value) {
        Ok(number) => number.is_some_and(|number| number != 0.0),
        Err(_) => values::text(value).is_some_and(|text| {
            let words = ["true", "t", "yes", "y", "on"];
            words
                .iter()
                .any(|word| text.trim().eq_ignore_ascii_case(word))
        }),
    }
}

/// Whether a metric can have this name: 1 to 255 bytes without control characters.
fn can_rank(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// A metric's number, also if it was written as text.
fn number(json: &Json) -> Option<f64> {
    match json {
        Json::String(text) => text.trim().parse().ok(),
        _ => json.as_f64(),
    }
}

fn metadata(json: &Json) -> Metadata {
    match json {
        Json::Null => Metadata::Null,
        Json::Bool(flag) => Metadata::Flag(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Metadata::Integer(number),
            None => Metadata::Real(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Metadata::Text(text.clone()),
        Json::Array(values) => Metadata::List(values.iter().map(metadata).collect()),
        Json::Object(entries) => Metadata::map(
            entries
                .iter()
                .map(|(name, value)| (name.clone(), metadata(value))),
        ),
    }
}
