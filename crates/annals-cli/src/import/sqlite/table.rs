//! The tables of a file, and their columns matched by name.

use rusqlite::Connection;

use super::super::Report;

/// Whether there is a table of this name.
pub fn has(tables: &[String], name: &str) -> bool {
    tables.iter().any(|table| table == name)
}

/// The names of all tables.
pub fn tables(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = file.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )?;
    let names = query.query_map([], |row| row.get(0))?;
    names.collect()
}

/// How many rows a table has.
pub fn count(file: &Connection, table: &str) -> rusqlite::Result<u64> {
    let count: i64 = file.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| {
        row.get(0)
    })?;
    Ok(count.unsigned_abs())
}

/// A table whose columns have been matched: those that are not there are read as NULL.
pub struct Table<'f> {
    pub file: &'f Connection,
    pub name: &'static str,
    /// Asks for the row's number and the columns that are wanted, in their order.
    pub select: String,
    pub rows: u64,
}

impl<'f> Table<'f> {
    /// Matches the columns; says what is missing and what is left over.
    pub fn open(
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
