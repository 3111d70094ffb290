//! Retention rules for the entries of a journal.

use std::time::Duration;

use crate::entry::error::{Error, Result};

/// Limits of the journal; entries beyond them may be retired, oldest segments first. A segment goes
/// if it breaks one of the rules. Unsealed entries are always kept.
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
    pub(crate) trust_clock: bool,
}

impl Keep {
    /// Keeps entries *recorded* within this time. A back-test over the year 2000 that was recorded
    /// today is new.
    ///
    /// Age is elapsed time, not the difference of two readings of the wall clock. Time counts while
    /// a run of the journal is open. A pause between two runs counts for at most 7 days, and
    /// the longest pause since an entry was recorded does not count for it. So a clock that jumps
    /// never deletes anything, and a daily job of five minutes keeps about a day more than it
    /// asked for. [`Keep::trust_clock`] goes by the wall clock instead.
    pub fn newer_than(age: Duration) -> Keep {
        Keep {
            age: Some(age),
            bytes: None,
            cursors: Vec::new(),
            trust_clock: false,
        }
    }

    /// Takes the wall clock's word for the age of entries. Use this for one plan if the clock is
    /// right and the journal was not in use for longer than 7 days.
    ///
    /// ```
    /// use annals::Keep;
    ///
    /// let keep = Keep::days(30).trust_clock();
    /// # let _ = keep;
    /// ```
    pub fn trust_clock(self) -> Keep {
        Keep {
            trust_clock: true,
            ..self
        }
    }

    /// Keeps entries recorded within so many times 24 hours.
    pub fn days(days: u32) -> Keep {
        Keep::newer_than(Duration::from_secs(u64::from(days) * 86_400))
    }

    /// Keeps the newest entries, so that segments and the entries in `journal.redb` together take
    /// at most so many bytes. Free room in `journal.redb` does not count; the entries in it take up
    /// to about two [`Options::seal_bytes`](crate::Options::seal_bytes).
    pub fn bytes(bytes: u64) -> Keep {
        Keep {
            age: None,
            bytes: Some(bytes),
            cursors: Vec::new(),
            trust_clock: false,
        }
    }

    /// Also keeps at most so many bytes.
    pub fn and_bytes(self, bytes: u64) -> Keep {
        Keep {
            bytes: Some(bytes),
            ..self
        }
    }

    /// Also keeps at most the entries recorded within so many times 24 hours.
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

    /// Refuses rules that would always retire everything.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |value: String, advice| {
            Err(Error::InvalidOption {
                name: "keep",
                value,
                advice,
            })
        };
        if self.age.is_some_and(|age| age < Duration::from_secs(60)) {
            let age = self.age.unwrap_or_default();
            return bad(format!("{age:?}"), "give at least one minute");
        }
        if self.bytes.is_some_and(|bytes| bytes < 1 << 20) {
            let bytes = self.bytes.unwrap_or_default();
            return bad(format!("{bytes} bytes"), "give at least 1 MiB");
        }
        Ok(())
    }
}
