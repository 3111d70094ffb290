//! Whether a file, or an earlier state of it, has been taken in before.

use std::path::Path;

use annals::Reader;
use jiff::tz::TimeZone;

use super::table::Table;
use super::values;

/// The name under which this file has been taken in before: by the last row that was taken from
/// it, which may be in a copy, in a file that has grown, or in one whose old rows were deleted.
pub fn recognise(
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
            let model = values::text(row.get_ref(1)?);
            let time = row
                .get_ref(2)
                .ok()
                .and_then(|time| values::time(time, zone));
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
