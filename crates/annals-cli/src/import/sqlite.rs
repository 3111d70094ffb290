//! The SQLite file of a Python logger: columns matched by name, whatever else is in it.

use std::path::Path;
use std::time::Duration;

use annals::{
    Answer, Importer, Inference, InferenceId, Metadata, Reader, Registry, RunId, Timestamp, Value,
};
use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde::Deserialize;
use serde_json::Value as Json;

use super::Report;
use crate::failure::{Failure, Result};
use crate::progress;
use crate::when;

const INFERENCES: &str = "inference_records";
const CHECKPOINTS: &str = "checkpoint_metadata";
const PERFORMANCE: &str = "model_performance";

/// Takes in the tables that are there.
pub fn import(
    dir: &Path,
    from: &Path,
    source: Option<&str>,
    zone: &TimeZone,
    report: &mut Report,
) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error: rusqlite::Error| {
        let cause = std::io::Error::other(error);
        Failure::io(format!("read {}", from.display()), cause)
    };
    std::fs::File::open(from)
        .map_err(|cause| Failure::io(format!("read {}", from.display()), cause))?;
    let file = Connection::open_with_flags(from, flags).map_err(failed)?;
    file.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    let known = [INFERENCES, CHECKPOINTS, PERFORMANCE];
    let tables = tables(&file).map_err(failed)?;
    if !tables.iter().any(|table| known.contains(&table.as_str())) {
        return Err(Failure::Usage(format!(
            "{} has none of the tables {}",
            from.display(),
            known.join(", ")
        )));
    }
    for missing in [INFERENCES, CHECKPOINTS]
        .iter()
        .filter(|name| !has(&tables, name))
    {
        report.notes.push(format!("there is no table {missing}"));
    }
    for other in tables
        .iter()
        .filter(|table| !known.contains(&table.as_str()))
    {
        report
            .notes
            .push(format!("the table {other} is left aside"));
    }
    if has(&tables, PERFORMANCE) {
        let rows = count(&file, PERFORMANCE).map_err(failed)?;
        report.notes.push(format!(
            "{rows} rows of {PERFORMANCE} are not needed: stats --by model,day says it from the rows"
        ));
    }
    let mut importer = Importer::open(dir)?;
    if has(&tables, INFERENCES) {
        let table = Table::open(&file, INFERENCES, &COLUMNS, report).map_err(failed)?;
        let name = match source {
            Some(name) => format!("sqlite:{name}"),
            None => recognise(dir, &table, from, zone).map_err(failed)?,
        };
        report.source.clone_from(&name);
        let run = importer.source(&name)?;
        inferences(&table, &mut importer, run, zone, report, &failed)?;
    }
    importer.close()?;
    if has(&tables, CHECKPOINTS) {
        let table = Table::open(&file, CHECKPOINTS, &CHECKPOINT_COLUMNS, report).map_err(failed)?;
        checkpoints(dir, from, &table, zone, report, &failed)?;
    }
    Ok(())
}

fn has(tables: &[String], name: &str) -> bool {
    tables.iter().any(|table| table == name)
}

fn tables(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = file.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )?;
    let names = query.query_map([], |row| row.get(0))?;
    names.collect()
}

fn count(file: &Connection, table: &str) -> rusqlite::Result<u64> {
    let count: i64 = file.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| {
        row.get(0)
    })?;
    Ok(count.unsigned_abs())
}

/// Columns of inferences, in the order in which they are asked for.
const COLUMNS: [&str; 11] = [
    "model_name",
    "timestamp",
    "symbol",
    "action",
    "confidence",
    "probabilities",
    "input_features_hash",
    "processing_time_ms",
    "memory_usage_mb",
    "checkpoint_id",
    "metadata",
];

const CHECKPOINT_COLUMNS: [&str; 9] = [
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

/// A table whose columns have been matched: those that are not there are read as NULL.
struct Table<'f> {
    file: &'f Connection,
    name: &'static str,
    select: String,
    rows: u64,
}

impl<'f> Table<'f> {
    fn open(
        file: &'f Connection,
        name: &'static str,
        wanted: &[&str],
        report: &mut Report,
    ) -> rusqlite::Result<Self> {
        let mut query = file.prepare(&format!("SELECT name FROM pragma_table_info('{name}')"))?;
        let there: Vec<String> = query
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut columns = vec!["rowid".to_owned()];
        for column in wanted {
            let known = there
                .iter()
                .find(|there| there.eq_ignore_ascii_case(column));
            match known {
                Some(known) => columns.push(format!("\"{}\"", known.replace('"', "\"\""))),
                None => {
                    report.notes.push(format!("{name} has no column {column}"));
                    columns.push("NULL".to_owned());
                }
            }
        }
        for other in &there {
            let is_known = wanted
                .iter()
                .any(|column| column.eq_ignore_ascii_case(other));
            if !is_known && !other.eq_ignore_ascii_case("id") {
                report
                    .notes
                    .push(format!("{name}: the column {other} is left aside"));
            }
        }
        Ok(Table {
            file,
            name,
            select: format!("SELECT {} FROM {name}", columns.join(", ")),
            rows: count(file, name)?,
        })
    }
}

/// The name under which this file has been taken in before: by the last row that was taken from
/// it, which may be in a copy, in a file that has grown, or in one whose old rows were deleted.
fn recognise(
    dir: &Path,
    table: &Table<'_>,
    from: &Path,
    zone: &TimeZone,
) -> rusqlite::Result<String> {
    let name = from
        .file_name()
        .map_or_else(|| "?".into(), |name| name.to_string_lossy());
    let fresh = format!("sqlite:{name}");
    let Ok(reader) = Reader::open(dir) else {
        return Ok(fresh);
    };
    let mut query = table
        .file
        .prepare(&format!("{} WHERE rowid = ?1", table.select))?;
    let mut used = Vec::new();
    for run in reader.runs().flatten() {
        let (Some(source), Some(last)) = (run.source, run.last_id) else {
            continue;
        };
        if !source.starts_with("sqlite:") {
            continue;
        }
        used.push(source.clone());
        let Some(there) = reader.get(last).ok().flatten() else {
            continue;
        };
        let number = i64::try_from(last.counter()).unwrap_or(i64::MAX);
        let mut rows = query.query([number])?;
        if let Some(row) = rows.next()? {
            let model = text(row, 1)?;
            let time = row.get_ref(2).ok().and_then(|time| self::time(time, zone));
            if model.as_deref() == Some(&*there.model) && time == Some(there.event_time) {
                return Ok(source);
            }
        }
    }
    // Another file of the same name must not be taken for this one.
    let mut name = fresh.clone();
    let mut number = 2;
    while used.contains(&name) {
        name = format!("{fresh}#{number}");
        number += 1;
    }
    Ok(name)
}

fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => None,
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}

/// A number, also where it was stored as text; `Err` says what is there instead.
fn number(value: ValueRef<'_>) -> Result<Option<f64>, String> {
    match value {
        ValueRef::Null => Ok(None),
        #[allow(clippy::cast_precision_loss, reason = "what SQLite itself would do")]
        ValueRef::Integer(number) => Ok(Some(number as f64)),
        ValueRef::Real(number) => Ok(Some(number)),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim();
            if text.is_empty() {
                return Ok(None);
            }
            text.parse()
                .map(Some)
                .map_err(|_| format!("{text:?} is no number"))
        }
        // numpy's floats arrive as their bytes if nobody converts them.
        ValueRef::Blob(bytes) => match (<[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
            (Ok(four), _) => Ok(Some(f64::from(f32::from_le_bytes(four)))),
            (_, Ok(eight)) => Ok(Some(f64::from_le_bytes(eight))),
            _ => Err(format!("{} bytes are no number", bytes.len())),
        },
    }
}

/// A time: text with or without a zone, or a number of seconds, milli- or microseconds since 1970.
fn time(value: ValueRef<'_>, zone: &TimeZone) -> Option<Timestamp> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "within the bounds that are checked"
    )]
    let since_1970 = |number: f64| {
        let micros = match number.abs() {
            n if n < 1e11 => number * 1e6,
            n if n < 1e14 => number * 1e3,
            n if n < 1e17 => number,
            _ => return None,
        };
        Some(Timestamp::from_micros(micros.round() as i64))
    };
    match value {
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?.trim();
            if let Some(time) = when::local(text, zone) {
                return Some(time);
            }
            if let Ok(time) = text.parse::<jiff::Timestamp>() {
                return Some(Timestamp::from_micros(time.as_microsecond()));
            }
            text.parse().ok().and_then(since_1970)
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "microseconds until 2255 are exact"
        )]
        ValueRef::Integer(number) => since_1970(number as f64),
        ValueRef::Real(number) => since_1970(number),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// One row while it is read; buffers are used again.
#[derive(Default)]
struct Reading {
    probabilities: Vec<(String, f32)>,
    attributes: Vec<(String, Value)>,
}

fn inferences(
    table: &Table<'_>,
    importer: &mut Importer,
    run: RunId,
    zone: &TimeZone,
    report: &mut Report,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<()> {
    let bar = progress::rows(Some(table.rows), "importing inferences");
    let mut query = table
        .file
        .prepare(&format!("{} ORDER BY rowid", table.select))
        .map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    let mut reading = Reading::default();
    let mut done = 0_u64;
    while let Some(row) = rows.next().map_err(failed)? {
        let rowid: i64 = row.get(0).map_err(failed)?;
        let place = || format!("{} row {rowid}", table.name);
        let id = u64::try_from(rowid)
            .map_err(|_| "a negative number".to_owned())
            .and_then(|number| run.inference(number).map_err(|error| error.to_string()));
        match id {
            Ok(id) => match take(row, id, zone, importer, &mut reading) {
                Ok((new, damage)) => {
                    if new {
                        report.inferences += 1;
                        if let Some(why) = damage {
                            report.damaged(&place(), &why);
                        }
                    } else {
                        report.known += 1;
                    }
                }
                Err(Trouble::Row(why)) => report.broken(&place(), &why),
                Err(Trouble::Fatal(failure)) => return Err(failure),
            },
            Err(why) => report.broken(&place(), &why),
        }
        done += 1;
        if done.is_multiple_of(4_096) {
            bar.set_position(done);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Why a row was not taken in: for its own sake, or because nothing can be.
enum Trouble {
    Row(String),
    Fatal(Failure),
}

impl From<annals::Error> for Trouble {
    fn from(error: annals::Error) -> Self {
        match error {
            annals::Error::InvalidOption { .. } => Trouble::Row(error.to_string()),
            other => Trouble::Fatal(other.into()),
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Row(error.to_string())
    }
}

fn as_str(value: ValueRef<'_>) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes)),
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
    }
}

/// Takes a row in; says whether it is new, and which field could not be read.
fn take(
    row: &Row<'_>,
    id: InferenceId,
    zone: &TimeZone,
    importer: &mut Importer,
    reading: &mut Reading,
) -> Result<(bool, Option<String>), Trouble> {
    let mut damage: Option<String> = None;
    let mut damaged = |field: &str, why: String| {
        damage.get_or_insert_with(|| format!("{field}: {why}; taken in without it"));
    };
    let model = as_str(row.get_ref(1)?).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Trouble::Row("it has no model_name".into()))?;
    let stamp = row.get_ref(2)?;
    let event = time(stamp, zone).ok_or_else(|| {
        let shown = as_str(stamp).map_or_else(|| "NULL".into(), |text| format!("{text:?}"));
        Trouble::Row(format!("timestamp {shown} is no time"))
    })?;
    let symbol = as_str(row.get_ref(3)?).unwrap_or_default();
    let action = as_str(row.get_ref(4)?).unwrap_or_default();
    reading.probabilities.clear();
    reading.attributes.clear();
    if let Some(json) = as_str(row.get_ref(6)?).filter(|json| !json.trim().is_empty()) {
        match probabilities(&json) {
            Ok(read) => reading.probabilities.extend(read),
            Err(why) => damaged("probabilities", why),
        }
    }
    if let Some(json) = as_str(row.get_ref(11)?).filter(|json| !json.trim().is_empty()) {
        match serde_json::from_str::<Json>(&json) {
            Ok(Json::Object(entries)) => {
                let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
                reading
                    .attributes
                    .extend(entries.map(|(name, value)| (name, attribute(value))));
            }
            Ok(Json::Null) => {}
            Ok(other) => reading
                .attributes
                .push(("metadata".into(), attribute(other))),
            Err(error) => {
                damaged("metadata", format!("{error}; kept as text"));
                let text = json.clone().into_owned();
                reading
                    .attributes
                    .push(("metadata".into(), Value::Text(text)));
            }
        }
    }
    let hash = as_str(row.get_ref(7)?).filter(|hash| !hash.is_empty());
    let features = hash.as_deref().map(feature_hash);
    if let Some((_, Kept::InPart)) = features {
        let text = hash.as_deref().unwrap_or_default().to_owned();
        reading
            .attributes
            .push(("input_features_hash".into(), Value::Text(text)));
    }
    let values: Vec<(&str, f32)> = reading
        .probabilities
        .iter()
        .map(|(label, value)| (label.as_str(), *value))
        .collect();
    let attributes: Vec<(&str, Value)> = reading
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let checkpoint = as_str(row.get_ref(10)?).filter(|id| !id.is_empty());
    let mut inference = Inference::new(&model, &symbol, &action)
        .event_time(event)
        .probabilities(&values)
        .attributes(&attributes);
    match number(row.get_ref(5)?) {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "confidences are kept as f32"
        )]
        Ok(Some(confidence)) => inference = inference.confidence(confidence as f32),
        Ok(None) => {}
        Err(why) => damaged("confidence", why),
    }
    if let Some((hash, _)) = features {
        inference = inference.features_hashed(hash);
    }
    match number(row.get_ref(8)?) {
        Ok(Some(millis)) if (0.0..1e15).contains(&millis) => {
            // Rounded, as 12.5 ms must not become 12.499999.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range"
            )]
            let nanos = (millis * 1e6).round() as u64;
            inference = inference.processing_time(Duration::from_nanos(nanos));
        }
        Ok(Some(millis)) => damaged("processing_time_ms", format!("{millis} is no time")),
        Ok(None) => {}
        Err(why) => damaged("processing_time_ms", why),
    }
    match number(row.get_ref(9)?) {
        Ok(Some(megabytes)) if (0.0..1e12).contains(&megabytes) => {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range"
            )]
            let bytes = (megabytes * 1_048_576.0).round() as u64;
            inference = inference.memory(bytes);
        }
        Ok(Some(megabytes)) => damaged("memory_usage_mb", format!("{megabytes} is no size")),
        Ok(None) => {}
        Err(why) => damaged("memory_usage_mb", why),
    }
    if let Some(checkpoint) = &checkpoint {
        inference = inference.checkpoint(checkpoint);
    }
    let new = importer.add(id, &inference, Answer::Full)?;
    Ok((new, damage))
}

/// `{"BUY": 0.85}` or `[0.85, 0.1]`, in the order in which it is written.
fn probabilities(json: &str) -> Result<Vec<(String, f32)>, String> {
    let read: Pairs = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(read.0)
}

/// Labels and numbers in their order, which JSON's own maps forget.
struct Pairs(Vec<(String, f32)>);

/// A number, also as text; null is not a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Probability {
    Number(f32),
    Text(String),
    Null(()),
}

impl Probability {
    fn read<E: serde::de::Error>(self) -> Result<f32, E> {
        match self {
            Probability::Number(number) => Ok(number),
            Probability::Text(text) => {
                let read = text.trim().parse();
                read.map_err(|_| E::custom(format!("{text:?} is no number")))
            }
            Probability::Null(()) => Ok(f32::NAN),
        }
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object or a list of numbers")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((label, value)) = map.next_entry::<String, Probability>()? {
                    pairs.push((label, value.read()?));
                }
                Ok(Pairs(pairs))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(value) = list.next_element::<Probability>()? {
                    pairs.push((String::new(), value.read()?));
                }
                Ok(Pairs(pairs))
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs(Vec::new()))
            }
        }
        json.deserialize_any(Visitor)
    }
}

/// Whether a hash fits into 64 bits as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Whole,
    InPart,
}

/// A hash of up to 16 hexadecimal digits as it is; of a longer one, the first 16; of any other text,
/// its FNV-1a hash.
fn feature_hash(text: &str) -> (u64, Kept) {
    let digits = text.get(..16).unwrap_or(text);
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(hash) if is_hex && text.len() <= 16 => (hash, Kept::Whole),
        Ok(hash) if is_hex => (hash, Kept::InPart),
        _ => {
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            (hash, Kept::InPart)
        }
    }
}

fn attribute(value: Json) -> Value {
    match value {
        Json::Bool(flag) => Value::Flag(flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Real(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        other => Value::Text(other.to_string()),
    }
}

/// Registers checkpoints where their files lie; paths are looked for as they stand and beside the
/// database.
fn checkpoints(
    dir: &Path,
    from: &Path,
    table: &Table<'_>,
    zone: &TimeZone,
    report: &mut Report,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<()> {
    let registry = Registry::open(dir)?;
    let mut query = table
        .file
        .prepare(&format!("{} ORDER BY rowid", table.select))
        .map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    let beside = from.parent().unwrap_or(Path::new("."));
    let mut active = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let rowid: i64 = row.get(0).map_err(failed)?;
        let place = format!("{} row {rowid}", table.name);
        match checkpoint(&registry, row, beside, zone, report, &place) {
            Ok(Some(id)) => active.push(id),
            Ok(None) => {}
            Err(Trouble::Row(why)) => report.broken(&place, &why),
            Err(Trouble::Fatal(failure)) => return Err(failure),
        }
    }
    for id in active {
        if let Some(known) = registry.get(&id)?
            && registry.active(known.model())?.is_none()
        {
            registry.activate(&id)?;
        }
    }
    Ok(())
}

/// Registers one checkpoint; gives its id if it was the active one.
fn checkpoint(
    registry: &Registry,
    row: &Row<'_>,
    beside: &Path,
    zone: &TimeZone,
    report: &mut Report,
    place: &str,
) -> Result<Option<String>, Trouble> {
    let missing = |what: &str| Trouble::Row(format!("it has no {what}"));
    let id = text(row, 1)?.ok_or_else(|| missing("checkpoint_id"))?;
    let model = text(row, 2)?.ok_or_else(|| missing("model_name"))?;
    let path = text(row, 7)?.ok_or_else(|| missing("file_path"))?;
    let is_active = number(row.get_ref(9)?)
        .ok()
        .flatten()
        .is_some_and(|flag| flag != 0.0);
    let active = is_active.then(|| id.clone());
    match registry.get(&id) {
        Ok(Some(_)) | Err(annals::Error::Deleted { .. }) => {
            report.known += 1;
            return Ok(active);
        }
        Ok(None) => {}
        Err(error) => return Err(error.into()),
    }
    let here = [Path::new(&path).to_owned(), beside.join(&path)];
    let Some(file) = here.iter().find(|path| path.is_file()) else {
        return Err(Trouble::Row(format!("there is no file {path:?}")));
    };
    let mut new = registry.checkpoint(model);
    if let Some(kind) = text(row, 3)? {
        new = new.model_type(kind);
    }
    match time(row.get_ref(4)?, zone) {
        Some(time) => new = new.created(time),
        None => report.damaged(place, "timestamp is no time; the file's time holds"),
    }
    for (index, what) in [(5, "performance_metrics"), (6, "training_metadata")] {
        let Some(json) = text(row, index)?.filter(|json| !json.trim().is_empty()) else {
            continue;
        };
        match serde_json::from_str::<Json>(&json) {
            Ok(Json::Object(entries)) => {
                for (name, value) in entries {
                    new = match value.as_f64() {
                        Some(number) if index == 5 => new.metric(name, number),
                        _ => new.metadata(name, metadata(&value)),
                    };
                }
            }
            Ok(Json::Null) => {}
            Ok(_) => report.damaged(place, &format!("{what} is no object; taken in without it")),
            Err(error) => report.damaged(place, &format!("{what}: {error}; taken in without it")),
        }
    }
    let entry = new.import_as(&*id, file);
    let entry = entry.map_err(|error| Trouble::Row(error.to_string()))?;
    report.checkpoints += registry.import([entry])? as u64;
    Ok(active)
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
