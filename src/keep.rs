//! What a journal keeps of its entries.

use std::time::Duration;

use crate::error::{Error, Result};

/// What is kept; the rest may be retired, oldest segments first. A segment goes if it breaks one
/// of the rules. What is not sealed yet is always kept.
///
/// ```
/// use annals::Keep;
///
/// // The predecessor's 30 days, but never more than 50 GB, and only what was exported.
/// let keep = Keep::days(30).and_bytes(50 << 30).after_cursor("export");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is retired until a plan is applied or Options::keep is set"]
pub struct Keep {
    pub(crate) age: Option<Duration>,
    pub(crate) bytes: Option<u64>,
    pub(crate) cursors: Vec<String>,
}

impl Keep {
    /// Keeps what was *recorded* within this time. A back-test over the year 2000 that was recorded
    /// today is new.
    pub fn newer_than(age: Duration) -> Keep {
        Keep {
            age: Some(age),
            bytes: None,
            cursors: Vec::new(),
        }
    }

    /// Keeps what was recorded within so many times 24 hours.
    pub fn days(days: u32) -> Keep {
        Keep::newer_than(Duration::from_secs(u64::from(days) * 86_400))
    }

    /// Keeps the newest entries, so that segments and `journal.redb` together take at most so many
    /// bytes; the latter takes up to about two [`Options::seal_bytes`](crate::Options::seal_bytes).
    pub fn bytes(bytes: u64) -> Keep {
        Keep {
            age: None,
            bytes: Some(bytes),
            cursors: Vec::new(),
        }
    }

    /// Also keeps at most so many bytes.
    pub fn and_bytes(self, bytes: u64) -> Keep {
        Keep {
            bytes: Some(bytes),
            ..self
        }
    }

    /// Also keeps at most what was recorded within so many times 24 hours.
    pub fn and_days(self, days: u32) -> Keep {
        Keep {
            age: Keep::days(days).age,
            ..self
        }
    }

    /// Retires nothing that the cursor of this name has not passed: archive, then retire. While no
    /// such cursor is stored, nothing is retired. May be called for several.
    pub fn after_cursor(mut self, name: impl Into<String>) -> Keep {
        self.cursors.push(name.into());
        self
    }

    /// Refuses what would retire everything, always.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |value: String, advice| {
            Err(Error::InvalidOption {
                name: "keep",
                value,
                advice,
            })
        };
        if self.age.is_some_and(|age| age < Duration::from_secs(60)) {
            return bad(format!("{:?}", self.age), "give at least one minute");
        }
        if self.bytes.is_some_and(|bytes| bytes < 1 << 20) {
            return bad(format!("{:?} bytes", self.bytes), "give at least 1 MiB");
        }
        Ok(())
    }
}
