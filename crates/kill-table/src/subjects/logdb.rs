//! logdb: an append-only log of bytes.

use std::path::Path;

use anyhow::{Result, anyhow};
use logdb::{Config, DurabilityMode, LogDb};

use super::{Found, Kind, Subject, encode, number_of};
use crate::child::OUTCOME;

pub const DEFAULT: Kind = Kind {
    name: "logdb",
    description: "logdb 0.6, default settings",
    promise: None,
    open: |dir| open(dir, DurabilityMode::Batch, false),
    read: |dir| read(dir, DurabilityMode::Batch),
};

pub const FLUSHED: Kind = Kind {
    name: "logdb-flush",
    description: "logdb 0.6, `DurabilityMode::Sync`, `flush` after each call",
    promise: None,
    open: |dir| open(dir, DurabilityMode::Sync, true),
    read: |dir| read(dir, DurabilityMode::Sync),
};

struct Log {
    database: LogDb,
    is_flushed: bool,
}

fn start(dir: &Path, durability_mode: DurabilityMode) -> Result<LogDb> {
    let config = Config {
        data_dir: dir.to_owned(),
        durability_mode,
        ..Config::default()
    };
    LogDb::open(config).map_err(|error| anyhow!("{error:?}"))
}

fn open(dir: &Path, mode: DurabilityMode, is_flushed: bool) -> Result<Box<dyn Subject>> {
    let database = start(dir, mode)?;
    Ok(Box::new(Log {
        database,
        is_flushed,
    }))
}

impl Subject for Log {
    fn log(&self, number: u64) -> Result<bool> {
        let appended = self.database.append(&encode(number));
        appended.map_err(|error| anyhow!("{error:?}"))?;
        if self.is_flushed {
            let flushed = self.database.flush();
            flushed.map_err(|error| anyhow!("{error:?}"))?;
        }
        Ok(true)
    }

    fn attach_outcome(&self, number: u64) -> Result<bool> {
        self.log(number | OUTCOME)
    }
}

fn read(dir: &Path, mode: DurabilityMode) -> Result<Found> {
    let database = start(dir, mode)?;
    let mut found = Found::default();
    let records = database.scan(0, database.committed_cursor());
    for record in records.map_err(|error| anyhow!("{error:?}"))? {
        let record = record.map_err(|error| anyhow!("{error:?}"))?;
        found.take(number_of(&record.content)?);
    }
    // Its drop was seen to wait for five seconds here; the next round need not.
    std::thread::spawn(move || drop(database));
    Ok(found)
}
