//! Errors of statements.

use rusqlite::ffi::ErrorCode;

/// The result of a call that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a statement has no answer.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] annals::Error),
    /// The statement writes.
    #[error("in SQL the journal can only be read: a statement may SELECT, and nothing else")]
    ReadOnly,
    /// The statement was [interrupted](crate::Interrupter::interrupt).
    #[error("the statement was interrupted")]
    Interrupted,
    /// A column of the answer has values of types that no single type fits; from
    /// [`ColumnTypes`](crate::ColumnTypes).
    #[error(
        "the column {column:?} mixes {} and {}, first in row {row}: columns of this format have \
         one type; give it one with CAST(... AS TEXT), or another format",
        types.0, types.1
    )]
    MixedTypes {
        /// The column's name.
        column: String,
        /// What it has at first, and what does not fit that.
        types: (&'static str, &'static str),
        /// The first row that does not fit, counted from 1.
        row: u64,
    },
    /// SQLite's reason.
    #[error("{message}")]
    Sql {
        /// Its words.
        message: String,
    },
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => return Error::Interrupted,
            Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => {
                return Error::ReadOnly;
            }
            _ => {}
        }
        // SQLite's own refusal to change a virtual table has no code.
        if error.to_string().contains("may not be modified") {
            return Error::ReadOnly;
        }
        let message = match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            rusqlite::Error::SqlInputError {
                msg, sql, offset, ..
            } => at(&msg, &sql, offset),
            rusqlite::Error::MultipleStatement => "give one statement at a time".to_owned(),
            other => other.to_string(),
        };
        Error::Sql { message }
    }
}

/// SQLite's words with the place in the statement that they are about.
fn at(message: &str, sql: &str, offset: i32) -> String {
    let rest = usize::try_from(offset).ok().and_then(|at| sql.get(at..));
    let rest = rest.map(str::trim).filter(|rest| !rest.is_empty());
    match rest {
        Some(rest) => {
            let near: String = rest.chars().take(40).collect();
            format!("{message}, at {near:?}")
        }
        None => message.to_owned(),
    }
}
