//! The SQLite file of a Python logger: columns matched by name, whatever else is in it.

mod checkpoints;
mod decision;
mod inferences;
mod open;
mod outcome;
mod probabilities;
mod recognise;
mod registered;
mod rest;
mod table;
mod values;
mod words;

use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::known::KnownInferences;
use super::{ImportReport, RowIdentity, TakenColumns};
use crate::failure::{Failure, Result};
use crate::units::counted;
use decision::MoreColumns;
use inferences::SqliteImport;
pub use outcome::OutcomeColumn;
use table::{Named, SourceTable, count, find};

const INFERENCES: &str = "inference_records";
const CHECKPOINTS: &str = "checkpoint_metadata";
const PERFORMANCE: &str = "model_performance";
/// Prefix of the names of all sources of this kind.
const PREFIX: &str = "sqlite:";

/// How to take a file in.
pub struct SqliteSettings<'s> {
    /// The source's name, if it was said.
    pub source: Option<&'s str>,
    pub zone: &'s TimeZone,
    pub identity: RowIdentity,
    pub columns: TakenColumns,
    /// The columns that hold what turned out for the decisions.
    pub outcomes: &'s [OutcomeColumn],
}

/// Takes in the tables that are there.
pub fn import(
    dir: &Path,
    from: &Path,
    settings: &SqliteSettings<'_>,
    report: &mut ImportReport,
) -> Result<()> {
    let failed = |error: rusqlite::Error| {
        let hint = if rest::is_damage(&error) {
            "; sqlite3 FILE .recover may read more of it"
        } else {
            ""
        };
        let cause = std::io::Error::other(format!("{error}{hint}"));
        Failure::io(format!("read {}", from.display()), cause)
    };
    let opened = open::open(from, report, &failed)?;
    let (file, tables) = (&opened.file, &opened.tables);
    let known = [INFERENCES, CHECKPOINTS, PERFORMANCE];
    let is_known = |table: &Named| known.iter().any(|name| table.is(name));
    if !tables.iter().any(is_known) {
        return Err(Failure::Usage(format!(
            "{} has none of the tables {}",
            from.display(),
            known.join(", ")
        )));
    }
    let (records, checkpoints) = (find(tables, INFERENCES), find(tables, CHECKPOINTS));
    for (missing, _) in [(INFERENCES, records), (CHECKPOINTS, checkpoints)]
        .iter()
        .filter(|(_, found)| found.is_none())
    {
        report.notes.push(format!("there is no table {missing}"));
    }
    for other in tables.iter().filter(|table| !is_known(table)) {
        let what = if other.is_view { "view" } else { "table" };
        let rows = count(file, &other.name);
        let rows = rows.map_or_else(String::new, |rows| format!(", {},", counted(rows, "row")));
        let name = &other.name;
        let note = format!("the {what} {name}{rows} is left aside");
        report.notes.push(note);
    }
    if let Some(table) = find(tables, PERFORMANCE) {
        let rows = counted(count(file, &table.name).unwrap_or(0), "row");
        report.notes.push(format!(
            "{PERFORMANCE} is left aside, {rows}: stats --by model,day computes it from the \
             decisions"
        ));
    }
    if records.is_none() && !settings.outcomes.is_empty() {
        let text = format!(
            "--outcome is about {INFERENCES}, which {} lacks",
            from.display()
        );
        return Err(Failure::Usage(text));
    }
    if let Some(found) = records {
        let columns = &decision::COLUMNS;
        let mut table =
            SourceTable::open(file, INFERENCES, found, columns, report).map_err(failed)?;
        let outcomes = outcome::matched(settings.outcomes, &table.all)?;
        // After the options were judged: a mistake in them makes no journal.
        let mut importer = report.doing.importer(dir)?;
        let names = outcomes.iter().map(|column| column.column().to_owned());
        table.more = names.collect();
        let others = others(&table, settings.columns, report);
        let (name, known) = identify(dir, from, &table, settings)?;
        report.source.clone_from(&name);
        let run = importer.source(&name)?;
        report.runs.push(run.get());
        let taking = SqliteImport {
            importer: &mut importer,
            run,
            report,
            table: table.name,
            known,
        };
        let more = MoreColumns {
            outcomes: &outcomes,
            others: &others,
        };
        inferences::inferences(&table, more, taking, settings.zone, &failed)?;
        importer.close()?;
    } else {
        report.doing.importer(dir)?.close()?;
    }
    let Some(found) = checkpoints else {
        return Ok(());
    };
    let columns = &checkpoints::COLUMNS;
    let table = SourceTable::open(file, CHECKPOINTS, found, columns, report).map_err(failed)?;
    others(&table, TakenColumns::Known, report);
    checkpoints::checkpoints(dir, from, &table, settings.zone, report, &failed)
}

/// The name that the file is taken in under, and what it is compared with.
fn identify(
    dir: &Path,
    from: &Path,
    table: &SourceTable<'_>,
    settings: &SqliteSettings<'_>,
) -> Result<(String, KnownInferences)> {
    let mut known = KnownInferences::read(dir, PREFIX)?;
    let named = settings.source.map(|name| format!("{PREFIX}{name}"));
    let own = named.clone().unwrap_or_else(|| recognise::name_of(from));
    let name = match (settings.identity, named) {
        (RowIdentity::New, _) => recognise::free(&known, &own),
        (RowIdentity::Recognised, Some(name)) => {
            recognise::assume(&mut known, table, &name, settings.zone);
            name
        }
        (RowIdentity::Recognised, None) => {
            recognise::recognise(&mut known, table, from, settings.zone)
        }
    };
    Ok((name, known))
}

/// The columns that are kept as attributes; the others are counted.
fn others(
    table: &SourceTable<'_>,
    columns: TakenColumns,
    report: &mut ImportReport,
) -> Vec<Arc<str>> {
    if table.others.is_empty() {
        return Vec::new();
    }
    if columns == TakenColumns::All {
        return table
            .others
            .iter()
            .map(|name| name.as_str().into())
            .collect();
    }
    let name = table.name;
    let values = table.values_of_others().unwrap_or_default();
    for (index, other) in table.others.iter().enumerate() {
        if table.more.contains(other) {
            continue;
        }
        let note = format!("{name}: the column {other} is left aside");
        report.notes.push(note);
        if let Some(values) = values.get(index).filter(|values| **values > 0) {
            let field = format!("{name}.{other}");
            report.not_taken_times(field, "a column that is not known", *values);
        }
    }
    if name == INFERENCES {
        let note = "--keep-columns keeps columns that are not known as attributes";
        report.notes.push(note.to_owned());
    }
    Vec::new()
}

/// Why a row was not taken in: for its own sake, or because nothing can be.
enum RowTrouble {
    Row(String),
    Fatal(Failure),
}

impl RowTrouble {
    fn row(why: &str) -> Self {
        RowTrouble::Row(why.to_owned())
    }
}

impl From<annals::Error> for RowTrouble {
    fn from(error: annals::Error) -> Self {
        // The field as the table calls it.
        let column = |why: String| {
            let known = decision::FIELDS
                .iter()
                .find(|(field, _)| why.starts_with(*field));
            match known {
                Some((field, column)) => {
                    format!("{column}{}", why.get(field.len()..).unwrap_or(""))
                }
                None => why,
            }
        };
        match super::refusal(&error) {
            Some(why) => RowTrouble::Row(column(why)),
            None => RowTrouble::Fatal(error.into()),
        }
    }
}

impl From<rusqlite::Error> for RowTrouble {
    fn from(error: rusqlite::Error) -> Self {
        RowTrouble::Row(error.to_string())
    }
}
