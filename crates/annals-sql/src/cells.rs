//! Columns of tables: their names, their types, and how a row fills them.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use annals::{Timestamp, Value};
use annals_virtual_table::Cell;
use serde_json::{Map, Value as Json};

use crate::times;

/// What a condition on a column narrows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Sequence,
    /// Event time as text.
    Time,
    /// Event time in microseconds.
    Micros,
    Model,
    Symbol,
    Action,
    Checkpoint,
    /// Nothing, but it needs the outcomes of the decision.
    Outcome,
    /// Nothing.
    None,
}

/// A column of rows of one type.
pub(crate) struct Column<R> {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) role: Role,
    pub(crate) cell: fn(&R) -> Cell<'_>,
}

impl<R> Column<R> {
    /// A column that narrows nothing.
    pub(crate) const fn new(
        name: &'static str,
        kind: &'static str,
        cell: fn(&R) -> Cell<'_>,
    ) -> Self {
        Column {
            name,
            kind,
            role: Role::None,
            cell,
        }
    }

    pub(crate) const fn with(self, role: Role) -> Self {
        Column {
            name: self.name,
            kind: self.kind,
            role,
            cell: self.cell,
        }
    }
}

/// The statement that declares a table with these columns.
pub(crate) fn declaration<R>(columns: &[Column<R>]) -> String {
    let columns = columns
        .iter()
        .map(|column| format!("\"{}\" {}", column.name, column.kind));
    format!("CREATE TABLE t({})", columns.collect::<Vec<_>>().join(", "))
}

pub(crate) fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

pub(crate) fn owned<'a>(text: String) -> Cell<'a> {
    Cell::Text(Cow::Owned(text))
}

pub(crate) fn shown<'a>(value: impl Display) -> Cell<'a> {
    owned(value.to_string())
}

pub(crate) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell<'static>) -> Cell<'static> {
    value.map_or(Cell::Null, cell)
}

/// A whole number; one beyond SQLite's is its greatest.
pub(crate) fn whole<'a>(number: impl TryInto<i64>) -> Cell<'a> {
    Cell::Integer(number.try_into().unwrap_or(i64::MAX))
}

/// A short number through its own shortest text: 0.85, and not 0.8500000238418579.
pub(crate) fn short<'a>(number: f32) -> Cell<'a> {
    Cell::Real(widened(number))
}

fn widened(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}

pub(crate) fn time<'a>(time: Timestamp) -> Cell<'a> {
    owned(times::text(time))
}

pub(crate) fn micros<'a>(time: Timestamp) -> Cell<'a> {
    Cell::Integer(time.as_micros())
}

pub(crate) fn milliseconds<'a>(duration: Duration) -> Cell<'a> {
    Cell::Real(duration.as_secs_f64() * 1e3)
}

/// An object of JSON, or NULL without members.
pub(crate) fn object<'a, K: Into<String>>(
    members: impl IntoIterator<Item = (K, Json)>,
) -> Cell<'a> {
    let members = members.into_iter().map(|(key, value)| (key.into(), value));
    let members: Map<String, Json> = members.collect();
    match members.is_empty() {
        true => Cell::Null,
        false => owned(Json::Object(members).to_string()),
    }
}

/// A number of JSON; one that is not finite is null.
pub(crate) fn json_short(number: f32) -> Json {
    widened(number).into()
}

/// The same of a double.
pub(crate) fn json_real(number: f64) -> Json {
    number.into()
}

/// The value of an attribute or a field.
pub(crate) fn json_value(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}
