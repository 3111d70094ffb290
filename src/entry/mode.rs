//! Which end of a metric is the good one.

use serde::{Deserialize, Serialize};

/// Which end of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Smaller is better, as with a loss.
    Min,
    /// Larger is better, as with an accuracy.
    Max,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Mode::Min => "min",
            Mode::Max => "max",
        })
    }
}
