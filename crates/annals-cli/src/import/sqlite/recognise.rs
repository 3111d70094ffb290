//! Under which name a file, or an earlier state of it, has been taken in before.

use std::path::Path;

use jiff::tz::TimeZone;

use super::super::known::{KnownInferences, SourceRow};
use super::decision;
use super::decision::MoreColumns;
use super::table::SourceTable;
use super::words::TextPool;

/// Rows from the start and from the end of a table that a source is recognised by.
const SAMPLE: usize = 20_000;

/// The name that a file is taken in under. It is an earlier one, if most rows in common with an
/// earlier import are the same, or else its own.
pub fn recognise(
    known: &mut KnownInferences,
    table: &SourceTable<'_>,
    from: &Path,
    zone: &TimeZone,
) -> String {
    let own = name_of(from);
    if known.is_empty() {
        return own;
    }
    let sample = sample(table, zone);
    let is_same_name = |source: &str| {
        let rest = source.strip_prefix(&own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    match known.recognise(&sample, is_same_name) {
        Some(source) => source.to_owned(),
        None => free(known, &own),
    }
}

/// Takes a file for the source that `name` says.
pub fn assume(known: &mut KnownInferences, table: &SourceTable<'_>, name: &str, zone: &TimeZone) {
    if !known.is_empty() {
        known.assume(&sample(table, zone), name);
    }
}

/// First part of a file's source name.
pub fn name_of(from: &Path) -> String {
    let name = from.file_name();
    let name = name.map_or_else(|| "?".into(), |name| name.to_string_lossy());
    format!("sqlite:{name}")
}

/// `own`, or the first name like it that no other source bears.
pub fn free(known: &KnownInferences, own: &str) -> String {
    let mut name = own.to_owned();
    let mut number = 2_u64;
    while known.has_source(&name) {
        name = format!("{own}#{number}");
        number = number.saturating_add(1);
    }
    name
}

/// The first and the last rows that can be read.
fn sample(table: &SourceTable<'_>, zone: &TimeZone) -> Vec<SourceRow> {
    let mut found = Vec::new();
    let select = table.select(false, false);
    let first = format!("{select} LIMIT {SAMPLE}");
    read(table, &first, zone, &mut found);
    let is_long = table.rows.is_none_or(|rows| rows > SAMPLE as u64);
    if is_long && table.number.is_some() {
        let last = format!("{select} DESC LIMIT {SAMPLE}");
        read(table, &last, zone, &mut found);
    }
    found
}

fn read(table: &SourceTable<'_>, select: &str, zone: &TimeZone, found: &mut Vec<SourceRow>) {
    let mut words = TextPool::default();
    let Ok(mut query) = table.file.prepare(select) else {
        return;
    };
    let Ok(mut rows) = query.query([]) else {
        return;
    };
    // An unreadable table is skipped here; it is reported when it is taken in.
    while let Ok(Some(row)) = rows.next() {
        let number = row.get::<_, Option<i64>>(0).ok().flatten();
        if let Ok(decision) = decision::read(row, zone, MoreColumns::default(), &mut words) {
            found.push(decision.row(number));
        }
    }
}
