//! Every committed entry once, in sequence, from a cursor on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Cursor, Reader};
use crate::engine::format::block::StoredEntry;
use crate::engine::format::row::InputRef;
use crate::entry::error::{Error, Result};
use crate::entry::record::Entry;
use crate::entry::sequence::Sequence;

/// How much is decoded at once.
const BUDGET_BYTES: usize = 256 << 10;
/// Interval of a waiting follower's looks: one read of about 10 µs each time.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// Follows a journal; from [`Reader::follow`].
///
/// As an iterator it gives committed entries and then `None`; ask again later, or
/// [`wait`](Self::wait). It polls, so no writer has to notify it. With the feature `stream`,
/// `into_stream` gives a `futures_core::Stream`.
///
/// ```
/// # use annals::{Inference, Journal};
/// # use std::time::Duration;
/// # let journal = Journal::in_memory()?;
/// let reader = journal.reader()?;
/// let mut follow = reader.follow(reader.start())?;
/// journal.log(Inference::new("m", "s", "BUY"));
/// assert!(follow.wait(Duration::from_secs(5))?); // committed within the interval
/// for entry in follow.by_ref() {
///     println!("{:?}", entry?);
/// }
/// let resume_here = follow.cursor().to_string();
/// # assert!(resume_here.ends_with(":2"));
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Debug)]
pub struct Follow {
    pub(super) reader: Reader,
    /// Invariant F1: the sequence of the first buffered row, or of the first one not yet read.
    next: Sequence,
    buffered: VecDeque<StoredEntry>,
}

impl Follow {
    pub(super) fn new(reader: Reader, cursor: Cursor) -> Result<Self> {
        let foreign = |reason: String| Error::ForeignCursor {
            cursor: cursor.to_string(),
            reason,
        };
        if cursor.journal() != reader.id() {
            return Err(foreign(format!("this is journal {}", reader.id())));
        }
        let extent = reader.source.extent()?;
        let mut next = cursor.next();
        // A cursor of an older state: the journal was put back, and other entries will get these
        // numbers.
        if next > extent.next {
            let end = extent.next;
            return Err(foreign(format!("this journal ends before {end}")));
        }
        // The start is wherever the journal begins now.
        if cursor == reader.start() {
            next = extent.kept;
        }
        Ok(Follow {
            reader,
            next,
            buffered: VecDeque::new(),
        })
    }

    /// The place after the entry that was given last.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let mut follow = reader.follow(reader.start())?;
    /// follow.next().transpose()?;
    /// let text = follow.cursor().to_string();
    /// let later = reader.follow(text.parse()?)?; // in another process, after a restart
    /// assert_eq!(later.count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.reader.id(), self.next)
    }

    /// Waits until there is an entry, for at most `timeout`; returns whether there is one.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// use std::time::Duration;
    ///
    /// let reader = journal.reader()?;
    /// let mut follow = reader.follow(reader.start())?;
    /// assert!(follow.wait(Duration::from_secs(5))?);
    /// assert!(follow.next().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let began = Instant::now();
        loop {
            self.fill()?;
            if !self.buffered.is_empty() {
                return Ok(true);
            }
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            // Commits of other processes give no signal that could be waited for.
            std::thread::sleep(left.min(POLL));
        }
    }

    #[cfg(feature = "stream")]
    pub(super) fn source(&self) -> &std::sync::Arc<crate::engine::source::Source> {
        &self.reader.source
    }

    fn fill(&mut self) -> Result<()> {
        if self.buffered.is_empty() {
            for located in self.reader.source.after(self.next, BUDGET_BYTES)? {
                let fresh = located.rows.into_iter();
                self.buffered
                    .extend(fresh.filter(|entry| entry.sequence >= self.next));
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        let entry = self.look()?;
        // Only when the entry is made: an error leaves the place, and the next call tries again.
        self.pass();
        Ok(entry.map(|(entry, _)| entry))
    }

    /// The next entry, and what became of its input. The place stays.
    pub(super) fn look(&mut self) -> Result<Option<(Entry, InputRef)>> {
        self.fill()?;
        let Some(stored) = self.buffered.front() else {
            return Ok(None);
        };
        let input = stored.row.input();
        let entry = self
            .reader
            .names
            .entry(&self.reader.source, stored.clone())?;
        Ok(Some((entry, input)))
    }

    /// Goes on behind the entry that was looked at.
    pub(super) fn pass(&mut self) {
        if let Some(stored) = self.buffered.pop_front() {
            self.next = stored.next();
        }
    }
}

impl Iterator for Follow {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        // After an error the place is unchanged, so asking again is safe and tries again.
        self.step().transpose()
    }
}
