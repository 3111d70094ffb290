//! redb, one row for each event, as an application with a key-value store does it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use super::{Subject, encode};
use crate::common::events::Decision;

const TABLE: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("inferences");

/// Commits every `BATCH` events.
pub struct Rows<const BATCH: u64> {
    database: Database,
    /// Encoded and not yet committed.
    pending: Vec<Vec<u8>>,
    next: u64,
    failure: Option<anyhow::Error>,
}

impl<const BATCH: u64> Rows<BATCH> {
    fn commit(&mut self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for row in self.pending.drain(..) {
                table.insert(self.next, row.as_slice())?;
                self.next += 1;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

impl<const BATCH: u64> Subject for Rows<BATCH> {
    fn open(dir: &Path) -> Result<Self> {
        let database = Database::create(dir.join("inferences.redb"))?;
        Ok(Rows {
            database,
            pending: Vec::new(),
            next: 0,
            failure: None,
        })
    }

    fn log(&mut self, decision: &Decision) {
        let mut row = Vec::with_capacity(128);
        encode(decision, &mut row);
        self.pending.push(row);
        if self.pending.len() as u64 >= BATCH
            && let Err(error) = self.commit()
        {
            self.failure = Some(error);
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.commit()?;
        self.failure.take().map_or(Ok(()), Err)
    }

    fn check(&mut self, events: u64) -> Result<()> {
        let transaction = self.database.begin_read()?;
        let rows = transaction.open_table(TABLE).context("no table")?.len()?;
        if rows != events {
            bail!("{rows} rows of {events} events");
        }
        Ok(())
    }
}
