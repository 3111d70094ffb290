//! Virtual tables of SQLite behind safe traits.
//!
//! A [`Table`] names its columns and opens [`Rows`]. SQLite's conditions on its columns reach it as
//! a [`Search`], which only narrows: SQLite checks every condition again on each row. A table may
//! therefore give too many rows, and never too few.

mod module;

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;

/// The reason why a table cannot be read; the text reaches the user of the SQL.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A table that SQLite reads.
pub trait Table: Send + Sync + 'static {
    /// The `CREATE TABLE` statement; its columns are counted from 0.
    fn declaration(&self) -> &str;

    /// Whether conditions on this column spare work.
    fn narrows(&self, column: usize) -> bool;

    /// Whether the rows can come in the order of this column, in both directions, when conditions
    /// on the columns of `narrowed` are used.
    fn is_sorted_by(&self, column: usize, narrowed: &[usize]) -> bool;

    /// The rows that fit.
    ///
    /// # Errors
    /// The reason why they cannot be read.
    fn open(&self, search: &Search) -> Result<Box<dyn Rows>, Failure>;
}

/// Rows of a table, one after the other.
pub trait Rows {
    /// Goes to the next row, the first one at first; `false` at the end.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    fn advance(&mut self) -> Result<bool, Failure>;

    /// A column of the row that was reached.
    ///
    /// # Errors
    /// The reason why it has no value.
    fn cell(&self, column: usize) -> Result<Cell<'_>, Failure>;

    /// A number of the row that was reached, the same in every search. A table that narrows must
    /// have one: SQLite joins the rows of several searches by it. The default is the position.
    fn id(&self) -> Option<i64> {
        None
    }
}

/// A value in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A real number; SQLite has NULL for NaN.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The column is equal to the value.
    Equal,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
}

/// A condition that all wanted rows meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The number of the column.
    pub column: usize,
    /// How it compares.
    pub operator: Operator,
    /// What it is compared with.
    pub value: Value,
}

/// What SQLite asks a table for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Conditions on columns that the table [narrows](Table::narrows).
    pub conditions: Vec<Condition>,
    /// A bit for each column that is read. Bit 63 stands for all columns from the 64th on.
    pub columns: u64,
    /// The column that the rows come in the order of, and whether the greatest comes first.
    pub order: Option<(usize, bool)>,
}

impl Search {
    /// Whether the column is read.
    #[must_use]
    pub fn reads(&self, column: usize) -> bool {
        self.columns >> column.min(63) & 1 == 1
    }
}

/// Makes the table known to the connection under a name.
///
/// # Errors
/// Those of SQLite: the name is taken, or the declaration is no statement.
pub fn register(
    connection: &Connection,
    name: &str,
    table: Arc<dyn Table>,
) -> rusqlite::Result<()> {
    module::register(connection, name, table)
}
