//! logdb: an append-only log of bytes, synced by its committer.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use logdb::{Config, DurabilityMode, LogDb};

use super::{Subject, encode};
use crate::common::events::Decision;

pub struct Log {
    database: LogDb,
    bytes: Vec<u8>,
    appended: u64,
    failure: Option<String>,
}

impl Subject for Log {
    fn open(dir: &Path) -> Result<Self> {
        let config = Config {
            data_dir: dir.to_owned(),
            ring_size: 65_536,
            durability_mode: DurabilityMode::Batch,
            ..Config::default()
        };
        let database = LogDb::open(config).map_err(|error| anyhow!("{error:?}"))?;
        Ok(Log {
            database,
            bytes: Vec::with_capacity(128),
            appended: 0,
            failure: None,
        })
    }

    fn log(&mut self, decision: &Decision) {
        encode(decision, &mut self.bytes);
        match self.database.append(&self.bytes) {
            Ok(_) => self.appended += 1,
            Err(error) => self.failure = Some(format!("{error:?}")),
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.database
            .flush()
            .map_err(|error| anyhow!("{error:?}"))?;
        match self.failure.take() {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }

    fn check(&mut self, events: u64) -> Result<()> {
        if self.appended != events {
            bail!("{} of {events} events were appended", self.appended);
        }
        Ok(())
    }
}
