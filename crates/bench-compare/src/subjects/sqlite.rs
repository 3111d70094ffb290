//! SQLite with the columns and indexes of the system that annals replaces.

use std::path::Path;

use anyhow::{Result, bail};
use rusqlite::{Connection, params};

use super::{Subject, now};
use crate::common::events::Decision;
use crate::common::journals::{ACTIONS, CHECKPOINT, MODEL, SYMBOL};
use crate::predecessor::{INSERT, TABLE};

const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";

/// Commits every `BATCH` events.
pub struct Rows<const BATCH: u64> {
    connection: Connection,
    open: u64,
    failure: Option<anyhow::Error>,
}

impl<const BATCH: u64> Rows<BATCH> {
    fn insert(&mut self, decision: &Decision) -> Result<()> {
        if BATCH > 1 && self.open == 0 {
            self.connection.execute_batch("BEGIN")?;
        }
        let [buy, sell, hold] = decision.probabilities;
        let mut insert = self.connection.prepare_cached(INSERT)?;
        insert.execute(params![
            MODEL,
            now(),
            SYMBOL,
            ACTIONS[decision.action],
            f64::from(decision.probabilities[decision.action]),
            format!(r#"{{"BUY": {buy}, "SELL": {sell}, "HOLD": {hold}}}"#),
            format!("{:016x}", annals::feature_hash(&decision.features)),
            decision.took.as_secs_f64() * 1e3,
            None::<f64>,
            CHECKPOINT,
        ])?;
        drop(insert);
        self.open += 1;
        if self.open == BATCH {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if BATCH > 1 && self.open > 0 {
            self.connection.execute_batch("COMMIT")?;
        }
        self.open = 0;
        Ok(())
    }
}

impl<const BATCH: u64> Subject for Rows<BATCH> {
    fn open(dir: &Path) -> Result<Self> {
        let connection = Connection::open(dir.join("trading_system.db"))?;
        connection.execute_batch(SETTINGS)?;
        connection.execute_batch(TABLE)?;
        Ok(Rows {
            connection,
            open: 0,
            failure: None,
        })
    }

    fn log(&mut self, decision: &Decision) {
        if let Err(error) = self.insert(decision) {
            self.failure = Some(error);
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.commit()?;
        self.failure.take().map_or(Ok(()), Err)
    }

    fn check(&mut self, events: u64) -> Result<()> {
        let count = "SELECT COUNT(*) FROM inference_records";
        let rows: i64 = self.connection.query_row(count, [], |row| row.get(0))?;
        if u64::try_from(rows) != Ok(events) {
            bail!("{rows} rows of {events} events");
        }
        Ok(())
    }
}
