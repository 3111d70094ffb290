//! What is killed. Each keeps the same decision: a number, when, model, symbol, action, confidence.

mod annals;
mod logdb;
mod parquet;
mod redb;
mod sqlite;
mod text;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

const MODEL: &str = "dqn_agent";
const SYMBOL: &str = "ETH/USDT";
const ACTION: &str = "BUY";
const CONFIDENCE: f32 = 0.85;

/// Decisions of one transaction or one file, where a subject writes in batches.
const BATCH: usize = 10_000;

/// A way to remember decisions, open in the child.
pub trait Subject: Sync {
    /// Records decision `number`. `true` is the answer that a user takes for "it is kept".
    fn log(&self, number: u64) -> Result<bool>;

    /// Records the outcome of a decision that was accepted before.
    fn attach_outcome(&self, number: u64) -> Result<bool>;

    /// Ends in good order.
    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// What is there after the death.
#[derive(Debug, Default)]
pub struct Found {
    /// Numbers of decisions, in the order in which they are kept.
    pub decisions: Vec<u64>,
    pub outcomes: Vec<u64>,
    /// The subject itself says that something may be missing.
    pub says_loss: bool,
    /// Deaths that it says.
    pub deaths: usize,
    /// Parts of a decision that no reader can use.
    pub torn: u64,
}

/// How much a subject promises of calls that were answered with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// All of them are there.
    All,
    /// Those of the last moments may be missing.
    AllButTheLast,
}

/// A subject with its settings.
pub struct Kind {
    pub name: &'static str,
    pub description: &'static str,
    /// What is checked beside the table.
    pub promise: Option<Promise>,
    open: fn(&Path) -> Result<Box<dyn Subject>>,
    read: fn(&Path) -> Result<Found>,
}

impl Kind {
    pub fn open(&self, dir: &Path) -> Result<Box<dyn Subject>> {
        (self.open)(dir)
    }

    /// Opens what a dead process left, as its user would, and reads all of it.
    ///
    /// # Errors
    /// It cannot be read as it is.
    pub fn read(&self, dir: &Path) -> Result<Found> {
        (self.read)(dir)
    }
}

/// All subjects, in the table's order. One more is one more item here.
pub const ALL: &[Kind] = &[
    annals::DEFAULT,
    annals::OFF,
    annals::SPOOL,
    annals::SYNC,
    text::DEFAULT,
    text::DIRECT,
    sqlite::DEFAULT,
    sqlite::WAL,
    sqlite::WAL_BATCHED,
    redb::ROWS,
    redb::BATCHED,
    logdb::DEFAULT,
    logdb::FLUSHED,
    parquet::ONE_FILE,
    parquet::MANY_FILES,
];

pub fn named(name: &str) -> Result<&'static Kind> {
    let kind = ALL.iter().find(|kind| kind.name == name);
    kind.with_context(|| format!("there is no subject {name}"))
}

/// Microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// Numbers are far below this.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A decision, or an outcome, as bytes for subjects that keep bytes.
fn encode(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend_from_slice(&now().to_le_bytes());
    bytes.extend_from_slice(&CONFIDENCE.to_le_bytes());
    for name in [MODEL, SYMBOL, ACTION] {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// The number in such bytes.
fn number_of(bytes: &[u8]) -> Result<u64> {
    let number = bytes.first_chunk().context("a record that is cut off")?;
    Ok(u64::from_le_bytes(*number))
}

impl Found {
    /// Takes in what a subject keeps in one row for each decision and each outcome.
    fn take(&mut self, number: u64) {
        let outcome = crate::child::OUTCOME;
        if number & outcome == 0 {
            self.decisions.push(number);
        } else {
            self.outcomes.push(number & !outcome);
        }
    }
}
