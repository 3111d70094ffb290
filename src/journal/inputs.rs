//! Counts of kept inputs.

use serde::{Deserialize, Serialize};

/// What became of inputs that were to be kept; part of [`Health`](crate::health::Health). Counts
/// are those of this handle since it was opened. None of them is a lost decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InputsHealth {
    /// Stored and committed.
    pub kept: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Equal to one that was stored shortly before, and not stored again.
    pub repeated: u64,
    /// Given up because of more than 1 MiB.
    pub too_large: u64,
    /// Given up because the queue had no room for them.
    pub queue_full: u64,
    /// Given up because their file could not be written or synced; `error` has the reason.
    pub failed: u64,
    /// Removed for [the budget](crate::Options::input_budget) by commits of this handle.
    pub removed: u64,
    /// Of decisions that this handle took in from processes that had died: these had not committed
    /// them, or had given them up.
    pub died: u64,
    /// Why some were last given up, in words.
    pub error: Option<String>,
}
