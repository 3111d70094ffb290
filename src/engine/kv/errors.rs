//! The meaning of redb's errors and panics for users of this library.

use std::io;
use std::path::Path;

use redb::{
    CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError,
};

use super::locks::waited_too_long;
use crate::entry::error::{Error, Result};
use crate::threads::panics;

pub(crate) fn foreign(path: &Path, reason: &str) -> Error {
    Error::Foreign {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// redb panics on some damaged files. A flight recorder must not take its host down with it, and a
/// host's panic hook, which may end the process, must not be called. Has no effect where panics
/// abort.
pub(super) fn guard<T>(path: &Path, body: impl FnOnce() -> Result<T>) -> Result<T> {
    panics::caught(body).unwrap_or_else(|message| {
        Err(Error::Corrupt {
            path: path.to_owned(),
            detail: format!("the storage engine panicked: {message}"),
        })
    })
}

pub(super) fn database_error(path: &Path, error: DatabaseError) -> Error {
    let in_use = |reason: &str| Error::InUse {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    match error {
        DatabaseError::Storage(error) => storage_error(path, error),
        DatabaseError::DatabaseAlreadyOpen => in_use("its lock is taken"),
        DatabaseError::LockProtocolMismatch => in_use("with another redb lock protocol"),
        DatabaseError::UpgradeRequired(version) => foreign(
            path,
            &format!("it is a redb file of the old format {version}"),
        ),
        other => corrupt(path, other.to_string()),
    }
}

pub(super) fn corrupt(path: &Path, detail: String) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        detail,
    }
}

pub(super) fn storage_error(path: &Path, error: StorageError) -> Error {
    match error {
        StorageError::Io(source) => match source.kind() {
            io::ErrorKind::TimedOut if waited_too_long(&source).is_some() => {
                waited_too_long(&source).unwrap_or_else(|| Error::io("lock", path, source))
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                corrupt(path, source.to_string())
            }
            _ => Error::io("read or write", path, source),
        },
        // These say nothing of the file's content: what was read is not damaged for them.
        other @ (StorageError::PreviousIo | StorageError::LockPoisoned(_)) => {
            Error::io("read or write", path, io::Error::other(other.to_string()))
        }
        other => corrupt(path, other.to_string()),
    }
}

pub(super) fn transaction_error(path: &Path, error: TransactionError) -> Error {
    match error {
        TransactionError::Storage(error) => storage_error(path, error),
        other => corrupt(path, other.to_string()),
    }
}

pub(super) fn table_error(path: &Path, error: TableError) -> Error {
    match error {
        TableError::Storage(error) => storage_error(path, error),
        TableError::TableTypeMismatch { table, .. } => foreign(
            path,
            &format!("it is a redb file whose table {table} has other types"),
        ),
        other => corrupt(path, other.to_string()),
    }
}

pub(super) fn compaction_error(path: &Path, error: CompactionError) -> Error {
    match error {
        CompactionError::Storage(error) => storage_error(path, error),
        other => Error::InUse {
            path: path.to_owned(),
            reason: other.to_string(),
        },
    }
}

pub(super) fn commit_error(path: &Path, error: CommitError) -> Error {
    match error {
        CommitError::Storage(error) => storage_error(path, error),
        other => corrupt(path, other.to_string()),
    }
}
