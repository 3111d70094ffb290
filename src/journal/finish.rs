//! Work that a journal brings to an end on request, and its own end.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::Journal;
use super::{digest, panics};
use crate::entry::error::{Error, Result};
use crate::logs::Cleaned;
use crate::record::flush;
use crate::record::flush::{Demand, Flush};
use crate::threads::worker::lock;

impl Journal {
    /// Asks for everything logged so far to be committed now, regardless of the interval.
    ///
    /// Covers calls of [`log`](Self::log) that returned before this one was made, on any thread;
    /// not those that run at the same time. Does not block: wait on the ticket or await it. The
    /// ticket gives [`Error::Misplaced`] while `journal.redb` cannot be found under its name.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(Duration::from_secs(5))?; // on disk; async: journal.flush().await?
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn flush(&self) -> Flush {
        flush::request(&self.requests, Demand::Commit, || self.queue.wake_writer())
    }

    /// Asks for everything logged so far to be durable now, without a commit: it survives a loss of
    /// power. Covers the same calls as [`flush`](Self::flush). Readers see the entries after the
    /// next commit, one interval later at most; after a crash the next opener takes them in, once
    /// and in order.
    ///
    /// With [`BlackBox::Lanes`](crate::BlackBox::Lanes) and with
    /// [`BlackBox::Spool`](crate::BlackBox::Spool) this costs one write and one sync of the spool,
    /// for all threads that ask at the same time. Without a spool it is a commit, as `flush` is:
    /// switched off, in memory, or where it cannot be written. Does not block:
    /// wait on the ticket or await it. Its errors are those of `flush`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::open(&dir)?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.sync().wait(Duration::from_secs(5))?; // durable; async: journal.sync().await?
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn sync(&self) -> Flush {
        flush::request(&self.requests, Demand::Sync, || self.queue.wake_writer())
    }

    /// Seals everything that is committed now, instead of when there is enough of it: moves it from
    /// `journal.redb` into a segment, which is what backups copy and retention removes. Returns the
    /// number of entries that this call sealed; it waits for another process that is sealing.
    /// Writes them once more and fsyncs; loops and commits continue.
    ///
    /// # Errors
    /// The obstacle: [`Error::Io`], [`Error::NoRoom`], [`Error::Corrupt`]. [`Error::TimedOut`] past
    /// `timeout` (it continues); [`Error::Closed`] if the journal is closed; [`Error::NoDirectory`]
    /// if it is in memory.
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.flush().wait(minute)?;
    /// assert_eq!(journal.seal(minute)?, 1);
    /// assert!(journal.reader()?.get(id)?.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn seal(&self, timeout: Duration) -> Result<u64> {
        let sealing = self.sealing.as_ref().ok_or(Error::NoDirectory)?;
        sealing.seal(timeout)
    }

    /// Folds everything that is committed now into the rollups that statistics are made of, instead
    /// of when it is due. Returns their number; none if another process is folding. No statistic is
    /// different afterwards, only faster.
    ///
    /// # Errors
    /// The obstacle: [`Error::Io`], [`Error::NoRoom`], [`Error::Corrupt`]. [`Error::TimedOut`] past
    /// `timeout` (it continues); [`Error::Closed`] if the journal is closed; [`Error::SwitchedOff`]
    /// [without folding](crate::Options::without_folding).
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.fold(minute)?;
    /// let stats = journal.stats("dqn_agent").get()?;
    /// assert_eq!(stats.coverage.folded, stats.coverage.sequence);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn fold(&self, timeout: Duration) -> Result<u64> {
        let folding = self.folding.as_ref().ok_or(Error::SwitchedOff {
            what: "folding",
            option: "without_folding",
        })?;
        folding.fold(timeout)
    }

    /// Cleans up the human-readable files now, by the rules of [`Mirror`](crate::logs::Mirror);
    /// otherwise that happens once a minute. Does nothing if another process writes them.
    ///
    /// # Errors
    /// [`Error::Io`] naming the obstacle, [`Error::TimedOut`] past `timeout`, [`Error::Closed`] if
    /// the journal is closed. [`Error::NoDirectory`] if it is in memory, [`Error::SwitchedOff`]
    /// [without text files](crate::Options::without_mirror).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// journal.clean_up_logs(std::time::Duration::from_secs(5))?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn clean_up_logs(&self, timeout: Duration) -> Result<Cleaned> {
        let mirror = self.mirror.as_ref().ok_or(match self.dir {
            Some(_) => Error::SwitchedOff {
                what: "writing text files",
                option: "without_mirror",
            },
            None => Error::NoDirectory,
        })?;
        mirror.clean_up(timeout)
    }

    /// Commits the queue and ends the writer. An id that [`log`](Self::log) has returned, on any
    /// thread and also beside this call, is committed if this returns `Ok`. Calls that are lost
    /// beside the close are counted in [`health`](Self::health) and may be in no gap. Later calls
    /// of `log` return `None` and are counted. Readers continue; in exclusive mode they keep others
    /// out until they are dropped. Then it folds committed entries, in at most three quarters of
    /// [`Options::close_timeout`](crate::Options::close_timeout), so that statistics of the closed
    /// journal are fast. [`Maintenance::fold`](crate::Maintenance::fold) does the rest. Closing
    /// twice is no error. The second call has nothing to report, and waits only for threads that
    /// did not end in the first.
    ///
    /// # Errors
    /// The obstacle to the last commit; [`Error::Misplaced`] if the written file has lost its name.
    /// [`Error::TimedOut`] past [`Options::close_timeout`](crate::Options::close_timeout): the
    /// unfinished thread is let go and may still finish. [`Error::ThreadPanicked`] if a background
    /// thread panicked, once for each close that finds one.
    ///
    /// A thread that panics and drops or closes the journal while it unwinds leaves a system event
    /// of the component `panic`, with message, location and thread. Its run ends as
    /// [`RunState::Panicked`](crate::entry::RunState::Panicked).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// journal.close()?;
    /// journal.close()?; // closing twice is no error
    /// assert!(journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY")).is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        let most = self.close_timeout.saturating_sub(self.close_timeout / 4);
        self.close_folding(most)
    }

    /// Closes, and folds until `most` has passed.
    fn close_folding(&self, most: Duration) -> Result<()> {
        panics::note_unwinding(&self.queue);
        self.queue.close();
        let mut writer = lock(&self.thread);
        let began = Instant::now();
        let left = || self.close_timeout.saturating_sub(began.elapsed());
        // Told now, waited for last: it stops after its current slice.
        let (sealing, folding) = (self.sealing.as_ref(), self.folding.as_ref());
        sealing.inspect(|sealing| sealing.stop());
        if writer.is_some() && self.dir.is_some() && !std::thread::panicking() {
            digest::wait(self.close_timeout / 4);
        }
        let result = self.finish_writer(&mut writer);
        // Only now is everything committed that there will be. A journal in memory has no later
        // readers.
        let most = if self.dir.is_some() {
            most
        } else {
            Duration::ZERO
        };
        let last = began.checked_add(most).unwrap_or(began);
        folding.inspect(|folding| folding.wind_up(last));
        // Last, so that the files end with the last committed entry.
        let mirror = self.mirror.as_ref();
        let mirrored = mirror.is_none_or(|mirror| mirror.finish(left()));
        if self.dir.is_some() {
            let mut source = lock(&self.source);
            source.take();
        }
        let sealed = sealing.is_none_or(|sealing| sealing.finish(left()));
        let folded = folding.is_none_or(|folding| folding.finish(left()));
        let digested = self.digest.as_ref();
        let digested = digested.is_none_or(|digest| digest.finish(left()));
        if matches!(result, Err(Error::Failed { .. })) {
            // This error reports a panic of the writer.
            self.queue.untold_panic();
        }
        result?;
        if !(mirrored && sealed && folded && digested) {
            return Err(self.close_timed_out());
        }
        match self.queue.untold_panic() {
            Some(panic) => Err(panic),
            None => Ok(()),
        }
    }

    /// Waits for the writer's last word, unless that was heard before.
    fn finish_writer(&self, writer: &mut Option<JoinHandle<()>>) -> Result<()> {
        let Some(thread) = writer.take() else {
            return Ok(());
        };
        match self.done.recv_timeout(self.close_timeout) {
            Ok(result) => {
                // It has sent its last word, so this returns at once.
                let _ = thread.join();
                result
            }
            Err(RecvTimeoutError::Timeout) => {
                // Kept, so that closing again waits again.
                *writer = Some(thread);
                Err(self.close_timed_out())
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::ThreadPanicked {
                name: "annals-writer",
                message: "it ended without saying why".to_owned(),
            }),
        }
    }

    fn close_timed_out(&self) -> Error {
        Error::TimedOut {
            operation: "close",
            waited: self.close_timeout,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A destructor cannot return an error; `close` can. While the process panics, work that can
        // wait is left for later.
        let _ = match std::thread::panicking() {
            true => self.close_folding(Duration::ZERO),
            false => self.close(),
        };
    }
}
