//! SQLite: with its default settings, with a write-ahead log, and with that in batches.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rusqlite::{Connection, params};

use super::{
    ACTION, BATCH, CONFIDENCE, Found, Kind, MODEL, SYMBOL, Subject, now, signed, unsigned,
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, number INTEGER, is_outcome INTEGER, time INTEGER, model TEXT,
    symbol TEXT, action TEXT, confidence REAL)";
const INSERT: &str = "INSERT INTO decisions
    (number, is_outcome, time, model, symbol, action, confidence) VALUES (?, ?, ?, ?, ?, ?, ?)";

pub const DEFAULT: Kind = Kind {
    name: "sqlite",
    description: "SQLite, default settings (rollback journal), a transaction for each decision",
    promise: None,
    open: |dir| open(dir, "", 1),
    read,
};

pub const WAL: Kind = Kind {
    name: "sqlite-wal",
    description: "SQLite, WAL, `synchronous = FULL`, a transaction for each decision",
    promise: None,
    open: |dir| {
        open(
            dir,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
            1,
        )
    },
    read,
};

pub const WAL_BATCHED: Kind = Kind {
    name: "sqlite-wal-batches",
    description: "SQLite, WAL, `synchronous = FULL`, a transaction for 10,000 decisions",
    promise: None,
    open: |dir| {
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
        open(dir, settings, BATCH)
    },
    read,
};

struct Rows {
    inner: Mutex<Inner>,
    batch: usize,
}

struct Inner {
    connection: Connection,
    /// Rows of the transaction that is open.
    open: usize,
}

fn open(dir: &Path, settings: &str, batch: usize) -> Result<Box<dyn Subject>> {
    let connection = Connection::open(dir.join("decisions.db"))?;
    connection.execute_batch(settings)?;
    connection.execute_batch(TABLE)?;
    Ok(Box::new(Rows {
        inner: Mutex::new(Inner {
            connection,
            open: 0,
        }),
        batch,
    }))
}

impl Rows {
    fn insert(&self, number: u64, is_outcome: bool) -> Result<bool> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.batch > 1 && inner.open == 0 {
            inner.connection.execute_batch("BEGIN")?;
        }
        let mut insert = inner.connection.prepare_cached(INSERT)?;
        let number = signed(number);
        insert.execute(params![
            number,
            is_outcome,
            now(),
            MODEL,
            SYMBOL,
            ACTION,
            CONFIDENCE
        ])?;
        drop(insert);
        inner.open += 1;
        if inner.open >= self.batch {
            if self.batch > 1 {
                inner.connection.execute_batch("COMMIT")?;
            }
            inner.open = 0;
        }
        Ok(true)
    }
}

impl Subject for Rows {
    fn log(&self, number: u64) -> Result<bool> {
        self.insert(number, false)
    }

    fn attach_outcome(&self, number: u64) -> Result<bool> {
        self.insert(number, true)
    }
}

fn read(dir: &Path) -> Result<Found> {
    let connection = Connection::open(dir.join("decisions.db"))?;
    let mut found = Found::default();
    let mut select = connection.prepare("SELECT number, is_outcome FROM decisions ORDER BY id")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (number, is_outcome): (i64, bool) = row?;
        let kept = if is_outcome {
            &mut found.outcomes
        } else {
            &mut found.decisions
        };
        kept.push(unsigned(number));
    }
    Ok(found)
}
