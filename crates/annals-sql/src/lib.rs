//! SQL over a live journal, in SQLite's dialect.
//!
//! The tables are virtual: a statement reads the journal itself, while other processes write it.
//! It sees the decisions and events that were committed when it began. Nothing can be changed.
//!
//! ```
//! use annals::{Inference, Journal};
//! use annals_sql::Database;
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path().join("data");
//! # let journal = Journal::open(&dir)?;
//! # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8));
//! # journal.close()?;
//! let mut database = Database::open(&dir)?;
//! let answer = database.query(
//!     "SELECT model_name, AVG(confidence), COUNT(*) FROM inference_records
//!      WHERE timestamp > datetime('now', '-24 hours') GROUP BY model_name",
//! )?;
//! assert_eq!(answer.columns(), ["model_name", "AVG(confidence)", "COUNT(*)"]);
//! let rows = answer.rows()?;
//! assert_eq!(rows[0][2], annals_sql::Value::Integer(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | table | has a row for |
//! |---|---|
//! | `decisions` | each decision, repeats too, with its outcomes that hold |
//! | `outcomes` | each outcome as it was recorded |
//! | `episodes` | each episode |
//! | `events` | each system event and checkpoint event |
//! | `gaps` | each gap |
//! | `runs` | each run |
//! | `checkpoints` | each checkpoint of the registry |
//! | `inference_records` | each decision that is no repeat, in the columns of the predecessor |
//! | `checkpoint_metadata` | each checkpoint, in the columns of the predecessor |
//! | `model_performance` | each model and day, from rollups |
//!
//! Times are text: `YYYY-MM-DD HH:MM:SS`, in UTC, with six digits of a fraction if there is one, as
//! SQLite's `datetime` writes them. Their order as text is their order in time from year 0 to 9999.
//! Columns whose names end in `_us` have the same as microseconds since 1970.
//!
//! Conditions on model, symbol, action, checkpoint, event time and sequence narrow what is read.
//! Counts, means, extremes and sums by model, symbol, checkpoint and action are
//! [answered from rollups](Answer::is_from_rollups) where these can give the same figures.

mod aggregate;
mod cells;
mod error;
mod place;
mod tables;
mod times;
mod types;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, InterruptHandle};

pub use error::{Error, Result};
pub use rusqlite::types::{Value, ValueRef};
pub use types::{ColumnType, ColumnTypes};

use place::Place;

/// The longest text or blob of a statement, in bytes.
const LONGEST: i32 = 64 << 20;

/// A journal whose tables can be asked in SQL.
pub struct Database {
    connection: Connection,
    place: Arc<Place>,
    with_rollups: bool,
}

/// Ends a statement from another thread; from [`Database::interrupter`].
pub struct Interrupter(InterruptHandle);

impl Interrupter {
    /// Ends the statement that runs now, with [`Error::Interrupted`]. Without one it does nothing.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Database {
    /// Opens the journal in `dir` for reading. Other processes may write it meanwhile.
    ///
    /// # Errors
    /// Those of [`annals::Reader::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Database> {
        let place = Arc::new(Place::open(dir.as_ref())?);
        let mut connection = Connection::open_in_memory()?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
        tables::register(&connection, &place)?;
        // After the tables: from here on nothing is made or changed.
        connection.authorizer(Some(only_reading))?;
        Ok(Database {
            connection,
            place,
            with_rollups: true,
        })
    }

    /// Whether statements may be answered from rollups, as they are at first. Without them every
    /// statement reads the rows.
    #[must_use]
    pub fn with_rollups(mut self, with_rollups: bool) -> Database {
        self.with_rollups = with_rollups;
        self
    }

    /// For another thread that may end a statement.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.connection.get_interrupt_handle())
    }

    /// Prepares one statement. It sees the entries that are committed now.
    ///
    /// # Errors
    /// [`Error::Sql`] for text that is no statement, [`Error::ReadOnly`] for one that writes, and
    /// errors of reading the journal.
    pub fn query(&mut self, sql: &str) -> Result<Answer<'_>> {
        self.place.begin()?;
        // Also of a statement that rollups answer: its names and its errors are SQLite's.
        let statement = self.connection.prepare(sql)?;
        let names = statement.column_names().map(str::to_owned);
        let columns: Vec<String> = names.collect();
        let ready = match self.with_rollups {
            true => aggregate::answer(&self.place, sql)?,
            false => None,
        };
        Ok(Answer {
            place: self.place.clone(),
            columns,
            source: match ready {
                Some(rows) => Source::Ready(rows),
                None => Source::Statement(statement),
            },
        })
    }
}

/// The rows that a statement gives.
pub struct Answer<'a> {
    place: Arc<Place>,
    columns: Vec<String>,
    source: Source<'a>,
}

enum Source<'a> {
    Statement(rusqlite::Statement<'a>),
    Ready(Vec<Vec<Value>>),
}

impl Answer<'_> {
    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether it comes from rollups. Then counts include decisions whose rows retention removed.
    #[must_use]
    pub fn is_from_rollups(&self) -> bool {
        matches!(self.source, Source::Ready(_))
    }

    /// Gives each row to `see`, which ends it with [`ControlFlow::Break`].
    ///
    /// # Errors
    /// [`Error::Interrupted`], and errors of reading the journal or of the statement.
    pub fn for_each(self, see: impl FnMut(&[ValueRef<'_>]) -> ControlFlow<()>) -> Result<()> {
        let place = self.place.clone();
        let given = self.give(see);
        match (given, place.failure()) {
            (Err(Error::Sql { .. }), Some(failure)) => Err(failure.into()),
            (given, _) => given,
        }
    }

    fn give(self, mut see: impl FnMut(&[ValueRef<'_>]) -> ControlFlow<()>) -> Result<()> {
        let mut statement = match self.source {
            Source::Ready(rows) => {
                for row in &rows {
                    let row: Vec<ValueRef<'_>> = row.iter().map(ValueRef::from).collect();
                    if see(&row).is_break() {
                        break;
                    }
                }
                return Ok(());
            }
            Source::Statement(statement) => statement,
        };
        let columns = self.columns.len();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let row = (0..columns).map(|column| row.get_ref(column));
            let row: Vec<ValueRef<'_>> = row.collect::<rusqlite::Result<_>>()?;
            if see(&row).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// All rows at once.
    ///
    /// # Errors
    /// Those of [`for_each`](Self::for_each).
    pub fn rows(self) -> Result<Vec<Vec<Value>>> {
        let mut rows = Vec::new();
        self.for_each(|row| {
            let cells = row.iter().map(|cell| Value::try_from(*cell));
            rows.push(cells.map(|cell| cell.unwrap_or(Value::Null)).collect());
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }
}

/// Whether a statement may do what it wants to: read, and nothing else.
fn only_reading(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        // The tables of this connection, as SQLite's own shell shows them.
        AuthAction::Pragma { pragma_name, .. } => {
            let known = ["table_info", "table_xinfo", "table_list", "function_list"];
            let is_known = known
                .iter()
                .any(|name| name.eq_ignore_ascii_case(pragma_name));
            match is_known {
                true => Authorization::Allow,
                false => Authorization::Deny,
            }
        }
        _ => Authorization::Deny,
    }
}
