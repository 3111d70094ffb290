//! The subjects of the comparison. Each records the same decision: when, model, symbol, action,
//! confidence, three probabilities, the hash of the features (made in the call), processing time,
//! checkpoint.

pub mod annals;
pub mod logdb;
pub mod redb;
pub mod sqlite;
pub mod ticklog;
pub mod tracing;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::common::events::Decision;
use crate::common::journals::{ACTIONS, CHECKPOINT, MODEL, SYMBOL};

/// Events of one transaction, where a subject commits in batches.
pub const BATCH: u64 = 10_000;

/// One way to remember decisions.
pub trait Subject: Sized {
    fn open(dir: &Path) -> Result<Self>;

    /// Records one decision: the timed call. A failure is reported by [`settle`](Self::settle).
    fn log(&mut self, decision: &Decision);

    /// Returns when all that was logged is as safe as this subject makes it.
    fn settle(&mut self) -> Result<()>;

    /// Fails unless `events` are kept.
    fn check(&mut self, events: u64) -> Result<()>;
}

/// Microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// A decision as bytes, for subjects that keep bytes; written into `bytes`.
fn encode(decision: &Decision, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(&now().to_le_bytes());
    bytes.extend_from_slice(&::annals::feature_hash(&decision.features).to_le_bytes());
    let nanos = u64::try_from(decision.took.as_nanos()).unwrap_or(u64::MAX);
    bytes.extend_from_slice(&nanos.to_le_bytes());
    for probability in decision.probabilities {
        bytes.extend_from_slice(&probability.to_le_bytes());
    }
    for name in [MODEL, SYMBOL, ACTIONS[decision.action], CHECKPOINT] {
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name.as_bytes());
    }
}
