//! redb, a row for each decision: each in a transaction of its own, and in batches.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{BATCH, Found, Kind, Subject, encode, number_of};
use crate::child::OUTCOME;

const TABLE: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("decisions");

pub const ROWS: Kind = Kind {
    name: "redb",
    description: "redb 4, default durability, a transaction for each decision",
    promise: None,
    open: |dir| open(dir, 1),
    read,
};

pub const BATCHED: Kind = Kind {
    name: "redb-batches",
    description: "redb 4, a transaction for 10,000 decisions",
    promise: None,
    open: |dir| open(dir, BATCH),
    read,
};

struct Rows {
    database: Database,
    batch: usize,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    rows: Vec<Vec<u8>>,
    next: u64,
}

fn open(dir: &Path, batch: usize) -> Result<Box<dyn Subject>> {
    Ok(Box::new(Rows {
        database: Database::create(dir.join("decisions.redb"))?,
        batch,
        pending: Mutex::default(),
    }))
}

impl Subject for Rows {
    fn log(&self, number: u64) -> Result<bool> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.rows.push(encode(number));
        if pending.rows.len() < self.batch {
            return Ok(true);
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for row in std::mem::take(&mut pending.rows) {
                table.insert(pending.next, row.as_slice())?;
                pending.next += 1;
            }
        }
        transaction.commit()?;
        Ok(true)
    }

    fn attach_outcome(&self, number: u64) -> Result<bool> {
        self.log(number | OUTCOME)
    }
}

fn read(dir: &Path) -> Result<Found> {
    let database = Database::open(dir.join("decisions.redb"))?;
    let transaction = database.begin_read()?;
    let mut found = Found::default();
    let table = match transaction.open_table(TABLE) {
        // Nothing was committed yet.
        Err(TableError::TableDoesNotExist(_)) => return Ok(found),
        table => table?,
    };
    for row in table.iter()? {
        found.take(number_of(row?.1.value())?);
    }
    Ok(found)
}
