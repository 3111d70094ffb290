//! Which end of a metric is the good one.

use serde::{Deserialize, Serialize};

use super::error::Error;

/// Which end of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Smaller is better, as with a loss.
    Min,
    /// Larger is better, as with an accuracy.
    Max,
}

/// Reads `min` or `max`.
///
/// ```
/// use annals::Mode;
///
/// assert_eq!("min".parse::<Mode>()?, Mode::Min);
/// # Ok::<(), annals::Error>(())
/// ```
impl std::str::FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "min" => Ok(Mode::Min),
            "max" => Ok(Mode::Max),
            _ => Err(Error::Parse {
                what: "mode",
                text: text.to_owned(),
                expected: "min or max",
            }),
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Mode::Min => "min",
            Mode::Max => "max",
        })
    }
}
