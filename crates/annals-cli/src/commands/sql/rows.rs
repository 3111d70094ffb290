//! Rows of an answer as a table, JSON lines or CSV: text that is written row by row.

use std::io::Write;

use annals_sql::ValueRef;
use serde_json::Value as Json;

use super::{AnswerWriter, RowFormat};
use crate::failure::Result;
use crate::table::Rows;

/// Rows of a table whose columns are made as wide as needed together: an answer of any length is
/// written in little memory.
const TOGETHER: usize = 1_000;

/// Writes rows, one after the other.
pub(super) struct RowWriter<'a> {
    format: RowFormat,
    columns: Vec<String>,
    width: Option<usize>,
    /// Rows of a table that are not written yet.
    waiting: Vec<Vec<String>>,
    /// Which columns of these have numbers only.
    numbers: Vec<bool>,
    has_written: bool,
    to: &'a mut dyn Write,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(
        format: RowFormat,
        columns: &[String],
        width: Option<usize>,
        to: &'a mut dyn Write,
    ) -> Result<Self> {
        let columns = match format {
            RowFormat::Json => distinct(columns),
            _ => columns.to_vec(),
        };
        let writer = RowWriter {
            format,
            numbers: vec![true; columns.len()],
            columns,
            width,
            waiting: Vec::new(),
            has_written: false,
            to,
        };
        if format == RowFormat::Csv {
            let heading: Vec<String> = writer.columns.iter().map(|name| quoted(name)).collect();
            write!(writer.to, "{}\r\n", heading.join(","))?;
        }
        Ok(writer)
    }

    fn write_table(&mut self) -> Result<()> {
        let headings = self.columns.iter().zip(&self.numbers);
        let headings = headings.map(|(name, is_number)| match is_number {
            true => format!(">{name}"),
            false => name.clone(),
        });
        let headings: Vec<String> = headings.collect();
        let mut table = Rows::new(headings.iter().map(String::as_str));
        for row in self.waiting.drain(..) {
            table.push(row);
        }
        self.has_written = true;
        self.numbers.fill(true);
        table.write(self.width, self.to)
    }
}

impl AnswerWriter for RowWriter<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> Result<()> {
        match self.format {
            RowFormat::Table => {
                let cells = row.iter().zip(&mut self.numbers).map(|(value, is_number)| {
                    *is_number &= !matches!(value, ValueRef::Text(_) | ValueRef::Blob(_));
                    shown(*value)
                });
                self.waiting.push(cells.collect());
                if self.waiting.len() == TOGETHER {
                    self.write_table()?;
                }
            }
            RowFormat::Json => {
                // In the order of the statement, which no map keeps.
                for (index, (name, value)) in self.columns.iter().zip(row).enumerate() {
                    let before = if index == 0 { "{" } else { "," };
                    let name = Json::from(name.as_str());
                    write!(self.to, "{before}{name}:{}", json(value))?;
                }
                self.to.write_all(b"}\n")?;
            }
            RowFormat::Csv => {
                let cells: Vec<String> = row.iter().map(|value| cell(*value)).collect();
                write!(self.to, "{}\r\n", cells.join(","))?;
            }
            // It has a writer of its own.
            RowFormat::Parquet => {}
        }
        Ok(())
    }

    /// Writes what waits. An empty table has its heading.
    fn finish(mut self) -> Result<()> {
        let is_due = !self.waiting.is_empty() || !self.has_written;
        if self.format == RowFormat::Table && is_due {
            self.write_table()?;
        }
        Ok(())
    }
}

/// The names, each once: an object has one member of a name.
pub(super) fn distinct(columns: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let numbered = (2..).map(|number| format!("{column}_{number}"));
        let mut candidates = std::iter::once(column.clone()).chain(numbered);
        names.extend(candidates.find(|name| !names.contains(name)));
    }
    names
}

/// A value for people.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "-".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => hexadecimal(bytes),
    }
}

/// A value of JSON. A number that is not finite is null.
fn json(value: &ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => (*number).into(),
        ValueRef::Real(number) => (*number).into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => hexadecimal(bytes).into(),
    }
}

/// A cell of CSV: nothing for NULL, and text in quotes where it has to be told from that.
fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Text(text) => quoted(&String::from_utf8_lossy(text)),
        other => shown(other),
    }
}

fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty() && !text.contains(['"', ',', '\r', '\n']);
    match is_plain {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('"', "\"\"")),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
