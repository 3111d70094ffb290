//! How sealing is doing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entry::timestamp::as_nanos;
use crate::threads::rounds::RoundsHealth;

/// How sealing is doing; part of [`Health`](crate::health::Health).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealingHealth {
    /// Segments at the last look.
    pub segments: u64,
    /// Bytes of blocks in the hot file at the last look.
    pub hot_bytes: u64,
    /// The obstacle to sealing now, in words.
    pub fault: Option<String>,
    /// The longest time that one transaction of sealing has held up other writers.
    #[serde(rename = "longest_transaction_ns", with = "as_nanos")]
    pub longest_transaction: Duration,
    /// Segments that automatic retention of this process has retired.
    pub retired: u64,
    /// The obstacle to retiring segments now, in words.
    pub retention_fault: Option<String>,
}

impl RoundsHealth for SealingHealth {
    fn fault(&mut self) -> &mut Option<String> {
        &mut self.fault
    }
}
