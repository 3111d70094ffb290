//! How folding is doing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entry::timestamp::as_nanos;
use crate::threads::rounds::RoundsHealth;

/// How folding is doing; part of [`Health`](crate::health::Health).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoldingHealth {
    /// Entries that the rollups do not hold yet, at the last look. Statistics read them.
    pub pending: u64,
    /// Entries folded by this process.
    pub folded: u64,
    /// Duration of the last fold of this process.
    #[serde(rename = "last_took_ns", with = "as_nanos")]
    pub last_took: Duration,
    /// The obstacle to folding now, in words.
    pub fault: Option<String>,
}

impl RoundsHealth for FoldingHealth {
    fn fault(&mut self) -> &mut Option<String> {
        &mut self.fault
    }
}
