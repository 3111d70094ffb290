//! A place in a journal that can be stored and come back to.

use std::fmt;
use std::str::FromStr;

use crate::entry::error::Error;
use crate::entry::ids::JournalId;
use crate::entry::sequence::Sequence;

/// A place between two entries of one journal. Print it, store it, parse it, and continue from it
/// with [`Reader::follow`](crate::Reader::follow): every entry comes exactly once.
///
/// ```
/// # use annals::{Cursor, Journal};
/// # let journal = Journal::in_memory()?;
/// let cursor = journal.reader()?.end()?;
/// let stored = cursor.to_string();
/// assert_eq!(stored.parse::<Cursor>()?, cursor);
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    journal: JournalId,
    next: Sequence,
}

const PREFIX: &str = "annals:";

impl Cursor {
    pub(crate) fn new(journal: JournalId, next: Sequence) -> Self {
        Cursor { journal, next }
    }

    pub(super) fn at_start(journal: JournalId) -> Self {
        Cursor {
            journal,
            next: Sequence::FIRST,
        }
    }

    /// The journal that the cursor belongs to.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// assert_eq!(journal.reader()?.start().journal(), journal.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn journal(&self) -> JournalId {
        self.journal
    }

    /// The sequence of the entry that comes next.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// assert_eq!(journal.reader()?.start().next_sequence(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next.get()
    }

    pub(crate) fn next(&self) -> Sequence {
        self.next
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.journal, self.next)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.strip_prefix(PREFIX).and_then(|rest| {
            let (journal, next) = rest.split_once(':')?;
            let journal = u128::from_str_radix(journal, 16).ok()?;
            let next = next.parse().ok().filter(|next| *next > 0)?;
            Some(Cursor::new(JournalId(journal), Sequence::new(next)))
        });
        parsed.ok_or_else(|| Error::Parse {
            what: "cursor",
            text: text.to_owned(),
            expected: "annals:<journal id>:<sequence>, as a cursor prints itself",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_cursors_are_refused() {
        for text in [
            "",
            "annals:",
            "annals:1",
            "annals:x:1",
            "annals:1:0",
            "annals:1:-1",
            "1:1",
        ] {
            assert!(
                matches!(text.parse::<Cursor>(), Err(Error::Parse { .. })),
                "{text}"
            );
        }
    }
}
