//! The questions that a reader is asked about statistics: they build on reading, not the other way.

use std::ops::Range;
use std::time::Duration;

use super::{Drift, Group, LiveRanking, LiveValue, StatsQuery, StatsRow};
use crate::entry::error::Result;
use crate::entry::timestamp::Timestamp;
use crate::read::Reader;

impl Reader {
    /// Begins a question about what `model` did. The model may be unknown.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.stats("dqn_agent").get()?.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn stats(&self, model: impl AsRef<str>) -> StatsQuery {
        StatsQuery::new(Ok(self.clone()), Some(model.as_ref()))
    }

    /// Begins a question about what all models did.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.stats_of_all().get()?.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn stats_of_all(&self) -> StatsQuery {
        StatsQuery::new(Ok(self.clone()), None)
    }

    /// Statistics of `model` for each day of event time with decisions, oldest first.
    ///
    /// # Errors
    /// Those of [`StatsQuery::get`].
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let days = journal.reader()?.daily("dqn_agent")?;
    /// assert_eq!(days.len(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn daily(&self, model: impl AsRef<str>) -> Result<Vec<StatsRow>> {
        self.stats(model).by(Group::Day)
    }

    /// Ranks `model`'s checkpoints by what their decisions of the last `window` led to; see
    /// [`StatsQuery::best_live`], which takes any range.
    ///
    /// # Errors
    /// Those of [`StatsQuery::get`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal, Outcome};
    /// use annals::stats::LiveValue;
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint("epoch_1");
    /// let id = journal.log(decision).unwrap();
    /// journal.attach_outcome(id, Outcome::new().correct(true));
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let (reader, day) = (journal.reader()?, Duration::from_secs(86_400));
    /// let ranking = reader.best_live("dqn_agent", &LiveValue::Correct, day, 30)?;
    /// assert_eq!((ranking.ranked.len(), ranking.too_few.len()), (0, 1)); // one outcome is not 30
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn best_live(
        &self,
        model: impl AsRef<str>,
        value: &LiveValue,
        window: Duration,
        at_least: u64,
    ) -> Result<LiveRanking> {
        let recent = self.stats(model).last(window);
        recent.best_live(value, at_least)
    }

    /// Distance of `model`'s behaviour in the event times of `after` from that in those of
    /// `before`; see [`Drift::between`], which compares any two statistics.
    ///
    /// # Errors
    /// Those of [`StatsQuery::get`].
    ///
    /// ```
    /// # use annals::{Inference, Journal, Timestamp};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # journal.flush().wait(Duration::from_secs(5))?;
    /// let now = Timestamp::now();
    /// let day_ago = now.saturating_sub(Duration::from_secs(86_400));
    /// let week_ago = now.saturating_sub(Duration::from_secs(7 * 86_400));
    /// let drift = journal.reader()?.compare("dqn_agent", week_ago..day_ago, day_ago..now)?;
    /// println!("{drift}"); // four lines, in words
    /// # assert_eq!(drift.decisions, (0, 1));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn compare(
        &self,
        model: impl AsRef<str>,
        before: Range<Timestamp>,
        after: Range<Timestamp>,
    ) -> Result<Drift> {
        let of = |times: Range<Timestamp>| {
            let stats = self.stats(&model).since(times.start).until(times.end);
            stats.get()
        };
        Ok(Drift::between(&of(before)?, &of(after)?))
    }
}
