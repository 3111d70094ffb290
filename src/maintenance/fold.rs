//! Folding on request: for journals whose writer is gone, or does not fold.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Maintenance;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::{Timestamp, as_nanos};

/// Progress of a fold; given to the function of [`Maintenance::fold_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct FoldProgress {
    /// Entries that are read. It may fall back, if another process folds at the same time.
    pub done: u64,
    /// Entries that were not folded when this began.
    pub total: u64,
}

/// Result of [`Maintenance::fold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Folded {
    /// Entries that this call folded.
    pub entries: u64,
    /// Entries that are not folded: those committed during the fold; all, if another process is
    /// folding; the rest, if the fold was stopped.
    pub left: u64,
    /// Duration.
    #[serde(rename = "took_ns", with = "as_nanos")]
    pub took: Duration,
}

impl Maintenance {
    /// Entries that are committed and not folded: each statistic reads them again, at 2 to 40
    /// million a second. Few while a journal is open or after it was closed; many after its process
    /// was killed, or [without folding](crate::Options::without_folding). One short snapshot.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert!(journal.reader()?.unfolded()? <= 1); // entries that statistics read one by one
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn unfolded(&self) -> Result<u64> {
        self.maintenance.source().unfolded()
    }

    /// Folds everything that is committed now into the rollups that statistics are made of. No
    /// statistic is different afterwards, only faster. An open journal folds automatically, and so
    /// does one that closes. This is for the entries that a killed process has left. Some 2 to 10
    /// million entries per second, in transactions of some 20 ms; loops and commits continue.
    /// Another process that is folding is waited for, for at most two seconds.
    ///
    /// # Errors
    /// The obstacle: [`Error::Io`](crate::Error::Io), [`Error::NoRoom`](crate::Error::NoRoom),
    /// [`Error::Corrupt`](crate::Error::Corrupt). Earlier folds stay.
    ///
    /// ```
    /// # use annals::{Inference, Journal, Maintenance};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::options().without_folding().open(&dir)?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.close()?;
    /// let maintenance = Maintenance::open(&dir)?;
    /// assert_eq!(maintenance.unfolded()?, 1);
    /// let folded = maintenance.fold()?;
    /// assert_eq!((folded.entries, folded.left), (1, 0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn fold(&self) -> Result<Folded> {
        self.fold_with(|_| ControlFlow::Continue(()))
    }

    /// Like [`fold`](Self::fold); reports its progress to `watch` some hundred times a second, and
    /// stops where that breaks. Entries merged until then stay folded.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold).
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::options().without_folding().open(&dir)?;
    /// journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let folded = journal.maintenance()?.fold_with(|progress| {
    ///     println!("{} of {}", progress.done, progress.total);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!((folded.entries, folded.left), (1, 0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn fold_with(&self, watch: impl FnMut(FoldProgress) -> ControlFlow<()>) -> Result<Folded> {
        let folded = self.watched(watch, |now, go_on| {
            self.maintenance.fold_while(now, go_on).map(Some)
        })?;
        // Without a condition there is always an answer.
        Ok(folded.unwrap_or(Folded {
            entries: 0,
            left: 0,
            took: Duration::ZERO,
        }))
    }

    /// Like [`fold_with`](Self::fold_with), if it disturbs no other process and waits for none.
    /// Returns `None`, and does nothing, if a run is open (its journal folds) or another process is
    /// folding. For callers that are about to ask for statistics, and would read all the entries
    /// for the first of them anyhow.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold).
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use annals::{Journal, Maintenance};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::open(&dir)?;
    /// let maintenance = Maintenance::open(&dir)?;
    /// let folded = maintenance.fold_if_idle(|_| ControlFlow::Continue(()))?;
    /// assert!(folded.is_none()); // a run is open: its journal folds
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn fold_if_idle(
        &self,
        watch: impl FnMut(FoldProgress) -> ControlFlow<()>,
    ) -> Result<Option<Folded>> {
        self.watched(watch, |now, go_on| {
            self.maintenance.fold_if_idle(now, go_on)
        })
    }

    fn watched(
        &self,
        watch: impl FnMut(FoldProgress) -> ControlFlow<()>,
        fold: impl FnOnce(Timestamp, &dyn Fn(Sequence) -> bool) -> Result<Option<u64>>,
    ) -> Result<Option<Folded>> {
        let began = Instant::now();
        let source = self.maintenance.source();
        let total = source.unfolded()?;
        let start = source.next_sequence()?.saturating_sub(total);
        let (watch, stopped) = (RefCell::new(watch), Cell::new(false));
        let go_on = |reached: Sequence| {
            let done = reached.since(start).min(total);
            let broke = watch.borrow_mut()(FoldProgress { done, total }).is_break();
            stopped.set(stopped.get() || broke);
            !stopped.get()
        };
        let Some(entries) = fold(self.clock.now(), &go_on)? else {
            return Ok(None);
        };
        Ok(Some(Folded {
            entries,
            left: source.unfolded()?,
            took: began.elapsed(),
        }))
    }
}
