//! Identities: of a journal, of a run, of an inference.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::Error;

/// Bits of an [`InferenceId`] that count within a run; the rest number the run.
pub(crate) const COUNTER_BITS: u32 = 40;
/// The highest run number: ids have 24 bits for it.
pub(crate) const MAX_RUN: u32 = (1 << 24) - 1;

/// The number of one opening of a journal by one process, from 1. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub(crate) u32);

impl RunId {
    /// The plain number.
    ///
    /// ```
    /// let run: annals::RunId = "3".parse()?;
    /// assert_eq!(run.get(), 3);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The id of the inference of this run with this number.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a number of more than 40 bits.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// let id = importer.source("old.db")?.inference(17)?;
    /// assert_eq!(id.counter(), 17);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn inference(self, number: u64) -> Result<InferenceId, Error> {
        if number >> COUNTER_BITS != 0 {
            return Err(Error::InvalidOption {
                name: "number",
                value: number.to_string(),
                advice: "give a number of an inference below 2^40",
            });
        }
        Ok(InferenceId(self.first_id() | number))
    }

    /// The run with this number; `None` beyond the highest.
    pub(crate) fn from_number(number: u64) -> Option<RunId> {
        let number = u32::try_from(number).ok();
        number.filter(|run| *run <= MAX_RUN).map(RunId)
    }

    /// The id that an inference of this run with this counter has.
    pub(crate) const fn first_id(self) -> u64 {
        (self.0 as u64) << COUNTER_BITS
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.parse().ok().filter(|run| *run <= MAX_RUN);
        number.map(RunId).ok_or_else(|| Error::Parse {
            what: "run",
            text: text.to_owned(),
            expected: "a number up to 16777215",
        })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one inference for ever: 24 bits of run, 40 bits of counter. Never reused.
///
/// Ids are handed out before an inference is queued, so their order is nearly, not exactly, the
/// order of commit; an id whose call was dropped is never seen again. It prints as
/// `<run>-<counter>` and parses from the same form.
///
/// ```
/// use annals::InferenceId;
///
/// let id: InferenceId = "3-17".parse()?;
/// assert_eq!((id.run().get(), id.counter()), (3, 17));
/// assert_eq!(id.to_string(), "3-17");
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InferenceId(pub(crate) u64);

impl InferenceId {
    /// Stands for no decision: runs are numbered from 1.
    pub(crate) const NONE: InferenceId = InferenceId(0);
    pub(crate) const MAX: InferenceId = InferenceId(u64::MAX);

    /// The stored default of a field whose value is elsewhere.
    pub(crate) const fn none() -> InferenceId {
        InferenceId::NONE
    }

    /// The distance of this id from `other`, as blocks store it: any two ids have one.
    #[inline]
    pub(crate) const fn distance_from(self, other: InferenceId) -> i64 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// The id at this [`distance`](Self::distance_from). Wraps on hostile bytes: a wrong id leads
    /// to no entry, and a panic would end the reader.
    #[inline]
    pub(crate) const fn at_distance(self, distance: i64) -> InferenceId {
        InferenceId(self.0.wrapping_add_signed(distance))
    }

    /// The run in which the inference was logged.
    ///
    /// ```
    /// let id: annals::InferenceId = "3-4711".parse()?;
    /// assert_eq!(id.run(), "3".parse()?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn run(self) -> RunId {
        RunId((self.0 >> COUNTER_BITS) as u32)
    }

    /// The inference's number within its run.
    ///
    /// ```
    /// let id: annals::InferenceId = "3-4711".parse()?;
    /// assert_eq!(id.counter(), 4_711);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn counter(self) -> u64 {
        self.0 & ((1 << COUNTER_BITS) - 1)
    }

    /// The id as one number, for storage elsewhere.
    ///
    /// ```
    /// let id: annals::InferenceId = "3-4711".parse()?;
    /// assert_eq!(id.to_u64(), (3 << 40) + 4_711); // a column of 64-bit integers holds it
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The id that [`to_u64`](Self::to_u64) gave.
    ///
    /// ```
    /// use annals::InferenceId;
    ///
    /// let id: InferenceId = "3-4711".parse()?;
    /// assert_eq!(InferenceId::from_u64(id.to_u64()), id);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn from_u64(id: u64) -> Self {
        InferenceId(id)
    }
}

impl fmt::Display for InferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run(), self.counter())
    }
}

impl fmt::Debug for InferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InferenceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.split_once('-').and_then(|(run, counter)| {
            let run: u32 = run.parse().ok().filter(|run| *run <= MAX_RUN)?;
            let counter: u64 = counter.parse().ok().filter(|c| c >> COUNTER_BITS == 0)?;
            Some(InferenceId(RunId(run).first_id() | counter))
        });
        parsed.ok_or_else(|| Error::Parse {
            what: "inference id",
            text: text.to_owned(),
            expected: "<run>-<counter>, such as 3-17",
        })
    }
}

/// The random 128-bit identity of a journal, given when its directory is created.
///
/// It tells journals apart when entries of many machines are brought together. It also keeps a
/// [`Cursor`](crate::Cursor) from being used on a foreign journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(pub(crate) u128);

impl JournalId {
    /// The identity as one number.
    ///
    /// ```
    /// let id = annals::Journal::in_memory()?.id();
    /// assert_eq!(format!("{:032x}", id.to_u128()), id.to_string());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JournalId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parsed = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        parsed.map(JournalId).ok_or_else(|| Error::Parse {
            what: "journal id",
            text: text.to_owned(),
            expected: "32 hexadecimal digits",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_at_their_ends() {
        for id in [0, 1, (1 << COUNTER_BITS) - 1, 1 << COUNTER_BITS, u64::MAX] {
            let id = InferenceId(id);
            assert_eq!(id.to_string().parse::<InferenceId>().ok(), Some(id));
        }
    }

    #[test]
    fn bad_ids_are_refused() {
        for text in ["", "3", "3-", "-3", "16777216-0", "0-1099511627776", "a-b"] {
            let error = text.parse::<InferenceId>();
            assert!(matches!(error, Err(Error::Parse { .. })), "{text}");
        }
    }
}
