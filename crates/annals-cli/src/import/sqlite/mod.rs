//! The SQLite file of a Python logger: columns matched by name, whatever else is in it.

mod checkpoints;
mod decision;
mod inferences;
mod probabilities;
mod recognise;
mod registered;
mod table;
mod values;
mod words;

use std::path::Path;
use std::time::Duration;

use annals::Importer;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OpenFlags};

use super::Report;
use crate::failure::{Failure, Result};
use table::{Table, count, has, tables};

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
        let table = Table::open(&file, INFERENCES, &decision::COLUMNS, report).map_err(failed)?;
        let name = match source {
            Some(name) => format!("sqlite:{name}"),
            None => recognise::recognise(dir, &table, from, zone).map_err(failed)?,
        };
        report.source.clone_from(&name);
        let run = importer.source(&name)?;
        inferences::inferences(&table, &mut importer, run, zone, report, &failed)?;
    }
    importer.close()?;
    if has(&tables, CHECKPOINTS) {
        let table =
            Table::open(&file, CHECKPOINTS, &checkpoints::COLUMNS, report).map_err(failed)?;
        checkpoints::checkpoints(dir, from, &table, zone, report, &failed)?;
    }
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
