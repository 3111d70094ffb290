//! The subjects by name: what each promises, how much of it is measured, and by what.

use std::path::Path;

use anyhow::Result;

use crate::measure::{self, Growth, Latency, Throughput};
use crate::subjects::{BATCH, annals, logdb, redb, sqlite, ticklog, tracing};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Annals,
    AnnalsStrings,
    AnnalsText,
    Logdb,
    Ticklog,
    Tracing,
    RedbSingle,
    RedbBatched,
    SqliteSingle,
    SqliteBatched,
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::Annals,
        Kind::AnnalsStrings,
        Kind::AnnalsText,
        Kind::Logdb,
        Kind::Ticklog,
        Kind::Tracing,
        Kind::RedbSingle,
        Kind::RedbBatched,
        Kind::SqliteSingle,
        Kind::SqliteBatched,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Annals => "annals",
            Kind::AnnalsStrings => "annals-strings",
            Kind::AnnalsText => "annals-text",
            Kind::Logdb => "logdb",
            Kind::Ticklog => "ticklog",
            Kind::Tracing => "tracing-appender",
            Kind::RedbSingle => "redb-row",
            Kind::RedbBatched => "redb-batched",
            Kind::SqliteSingle => "sqlite-row",
            Kind::SqliteBatched => "sqlite-batched",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The promise at the end of a measurement of throughput, and the questions that can be asked
    /// afterwards.
    pub fn promise(self) -> &'static str {
        match self {
            Kind::Annals => "fsynced every 200 ms, repeats found, indexed",
            Kind::AnnalsStrings => "the same, names looked up in the call",
            Kind::AnnalsText => "the same, with the text files behind it",
            Kind::Logdb => "fsynced, bytes by number",
            Kind::Ticklog => "text lines, fsynced at the end only",
            Kind::Tracing => "text lines, fsynced at the end only",
            Kind::RedbSingle => "fsynced in the call, rows by number",
            Kind::RedbBatched => "fsynced every 10,000, rows by number",
            Kind::SqliteSingle => "fsynced in the call, rows and 3 indexes",
            Kind::SqliteBatched => "fsynced every 10,000, rows and 3 indexes",
        }
    }

    /// Whether every call waits for the disk.
    fn is_synchronous(self) -> bool {
        matches!(self, Kind::RedbSingle | Kind::SqliteSingle)
    }

    /// Fewer where each call waits for the disk.
    pub fn calls(self, usual: u64) -> u64 {
        if self.is_synchronous() {
            usual.min(5_000)
        } else {
            usual
        }
    }

    /// Fewer where so many would take minutes.
    pub fn events(self, usual: u64) -> u64 {
        match self {
            Kind::RedbSingle | Kind::SqliteSingle => usual.min(5_000),
            Kind::SqliteBatched => usual.min(300_000),
            Kind::RedbBatched | Kind::Tracing => usual.min(2_000_000),
            _ => usual,
        }
    }

    /// Whether it commits single events, so that one can ask how long that takes in a large file.
    pub fn grows(self) -> bool {
        matches!(
            self,
            Kind::Annals | Kind::RedbBatched | Kind::SqliteBatched | Kind::Logdb
        )
    }

    pub fn latency(self, dir: &Path, calls: u64, pace_us: u64) -> Result<Latency> {
        match self {
            Kind::Annals => measure::latency::<annals::Prepared>(dir, calls, pace_us),
            Kind::AnnalsStrings => measure::latency::<annals::Strings>(dir, calls, pace_us),
            Kind::AnnalsText => measure::latency::<annals::WithText>(dir, calls, pace_us),
            Kind::Logdb => measure::latency::<logdb::Log>(dir, calls, pace_us),
            Kind::Ticklog => measure::latency::<ticklog::Lines>(dir, calls, pace_us),
            Kind::Tracing => measure::latency::<tracing::Lines>(dir, calls, pace_us),
            Kind::RedbSingle => measure::latency::<redb::Rows<1>>(dir, calls, pace_us),
            Kind::RedbBatched => measure::latency::<redb::Rows<BATCH>>(dir, calls, pace_us),
            Kind::SqliteSingle => measure::latency::<sqlite::Rows<1>>(dir, calls, pace_us),
            Kind::SqliteBatched => measure::latency::<sqlite::Rows<BATCH>>(dir, calls, pace_us),
        }
    }

    pub fn throughput(self, dir: &Path, events: u64, repeats: u64) -> Result<Throughput> {
        match self {
            Kind::Annals => measure::throughput::<annals::Prepared>(dir, events, repeats),
            Kind::AnnalsStrings => measure::throughput::<annals::Strings>(dir, events, repeats),
            Kind::AnnalsText => measure::throughput::<annals::WithText>(dir, events, repeats),
            Kind::Logdb => measure::throughput::<logdb::Log>(dir, events, repeats),
            Kind::Ticklog => measure::throughput::<ticklog::Lines>(dir, events, repeats),
            Kind::Tracing => measure::throughput::<tracing::Lines>(dir, events, repeats),
            Kind::RedbSingle => measure::throughput::<redb::Rows<1>>(dir, events, repeats),
            Kind::RedbBatched => measure::throughput::<redb::Rows<BATCH>>(dir, events, repeats),
            Kind::SqliteSingle => measure::throughput::<sqlite::Rows<1>>(dir, events, repeats),
            Kind::SqliteBatched => measure::throughput::<sqlite::Rows<BATCH>>(dir, events, repeats),
        }
    }

    pub fn growth(self, dir: &Path, events: u64, steps: u64) -> Result<Growth> {
        match self {
            Kind::RedbBatched => measure::growth::<redb::Rows<BATCH>>(dir, events, steps),
            Kind::SqliteBatched => measure::growth::<sqlite::Rows<BATCH>>(dir, events, steps),
            Kind::Logdb => measure::growth::<logdb::Log>(dir, events, steps),
            _ => measure::growth::<annals::Prepared>(dir, events, steps),
        }
    }
}
