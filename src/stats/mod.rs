//! Exact statistics of a model over any range of event time. They are made of rollups and of the
//! entries that are not in them yet, in one snapshot.

pub(crate) mod ask;
mod attributes;
pub(crate) mod batches;
pub(crate) mod bounds;
pub(crate) mod cover;
pub(crate) mod coverage;
mod display;
pub(crate) mod drift;
pub(crate) mod folding;
pub(crate) mod group;
pub(crate) mod join;
pub(crate) mod live;
mod live_value;
pub(crate) mod outcomes;
pub(crate) mod periods;
mod predictions;
pub(crate) mod query;
pub(crate) mod reader;
pub(crate) mod result;
pub(crate) mod rollup;
mod scope;
pub(crate) mod totals;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::source::{Source, Unopened};
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::read::Reader;
pub use attributes::AttributeRow;
use cover::{Cover, ResidualWork};
use coverage::JournalFacts;
pub use drift::{ActionDrift, ActionShift, ConfidenceDrift, Drift, LatencyDrift, Shift};
use folding::folded::FoldedReach;
pub(crate) use group::Group;
use group::{GroupKey, Grouping};
pub use group::{Groups, StatsRow};
use join::JoinRange;
pub use live::{LiveCandidate, LiveRanking};
pub use live_value::LiveValue;
pub use outcomes::{Calibration, OutcomeStats, Reliability, Values};
use periods::Division;
pub use periods::{Calendar, Periods};
pub use predictions::PredictionErrors;
pub(crate) use query::StatsQuery;
use reader::StatsReader;
pub(crate) use result::Stats;
pub use result::{ActionCount, Confidence, Coverage, Memory, ProcessingTime};
use rollup::Combination;
use rollup::outcomes::Current;
use scope::Scope;
use totals::Totals;

/// Number of new starts of a statistic because entries that it read were retired.
const TRIES: usize = 5;
/// Decisions whose outcomes are looked up together.
const JOINED: usize = 1 << 16;

/// The names that are meant; `None` stands for all.
#[derive(Clone, Debug, Default)]
struct Subject {
    model: Option<Arc<str>>,
    symbol: Option<Arc<str>>,
    checkpoint: Option<Arc<str>>,
}

impl StatsQuery {
    pub(crate) fn new(reader: Result<Reader>, model: Option<&str>) -> Self {
        StatsQuery {
            reader,
            subject: Subject {
                model: model.map(Into::into),
                ..Subject::default()
            },
            times: Timestamp::MIN..=Timestamp::MAX,
            known_until: None,
        }
    }

    /// Only decisions about this symbol.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.stats("dqn_agent").symbol("ETH/USDT").get()?.count, 1);
    /// assert_eq!(journal.stats("dqn_agent").symbol("BTC/USDT").get()?.count, 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn symbol(mut self, name: impl AsRef<str>) -> Self {
        self.subject.symbol = Some(name.as_ref().into());
        self
    }

    /// Only decisions of this checkpoint.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint("epoch_7");
    /// journal.log(decision);
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.stats("dqn_agent").checkpoint("epoch_7").get()?.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn checkpoint(mut self, id: impl AsRef<str>) -> Self {
        self.subject.checkpoint = Some(id.as_ref().into());
        self
    }

    /// Only event times from `time` on.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// use std::time::Duration;
    /// use annals::Timestamp;
    ///
    /// let hour_ago = Timestamp::now().saturating_sub(Duration::from_secs(3_600));
    /// assert_eq!(journal.stats("dqn_agent").since(hour_ago).get()?.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn since(mut self, time: impl Into<Timestamp>) -> Self {
        self.times = time.into()..=*self.times.end();
        self
    }

    /// Only event times before `time`.
    ///
    /// ```
    /// use annals::{Inference, Journal, Timestamp};
    ///
    /// let journal = Journal::in_memory()?;
    /// let nine: Timestamp = "2025-07-25T09:00:00Z".parse()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(nine));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.stats("dqn_agent").since(nine).get()?.count, 1);
    /// assert_eq!(journal.stats("dqn_agent").until(nine).get()?.count, 0); // before, not at
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn until(mut self, time: impl Into<Timestamp>) -> Self {
        self.times = match time.into().before() {
            Some(last) => *self.times.start()..=last,
            // Nothing is before the beginning of time.
            None => RangeInclusive::new(Timestamp::MAX, Timestamp::MIN),
        };
        self
    }

    /// The knowledge at `time`, for back-tests: decisions with event times before it, and only the
    /// outcomes known by then, as [`Outcome::at`](crate::Outcome::at) states. Reads every entry in
    /// the range, at some 20 million a second.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// use annals::Timestamp;
    ///
    /// let yesterday = Timestamp::now().saturating_sub(std::time::Duration::from_secs(86_400));
    /// assert_eq!(journal.stats("dqn_agent").as_of(yesterday).get()?.count, 0); // not known then
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn as_of(mut self, time: impl Into<Timestamp>) -> Self {
        let time = time.into();
        self.known_until = Some(time.moved_by(-1));
        self.until(time)
    }

    /// The `duration` that ends now, by the journal's clock (for [`Reader::open`], by the
    /// machine's).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// use std::time::Duration;
    ///
    /// let hour = journal.stats("dqn_agent").last(Duration::from_secs(3_600)).get()?;
    /// assert_eq!(hour.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn last(mut self, duration: Duration) -> Self {
        if let Ok(reader) = &self.reader {
            let now = reader.now();
            self.times = now.saturating_sub(duration)..=now;
        }
        self
    }

    /// Everything in one.
    ///
    /// Reads some rows for each hour and combination of names in the range, and the entries of the
    /// last second or so. That is about 2 ms for a day of a busy model, without fsyncs or waiting
    /// for writers. Where an edge of the range lies within an hour that is long past, or one with
    /// few decisions, that hour's entries are read. So are all entries that a killed process left
    /// unfolded, until they are [folded](crate::Maintenance::fold).
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("dqn_agent").get()?;
    /// assert_eq!((stats.count, &*stats.actions[0].action), (1, "BUY"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn get(&self) -> Result<Stats> {
        let mut rows = self.by(Groups::default())?;
        // Without groups there is one row, always.
        Ok(rows.pop().map(|row| row.stats).unwrap_or_default())
    }

    /// One row for each group that there is, in the order of the groups' times and names. Takes
    /// some 2 kB of memory for each.
    ///
    /// # Errors
    /// Those of [`get`](Self::get), and [`Error::InvalidOption`] for more than 524,288 groups.
    ///
    /// ```
    /// # use annals::{Group, Inference, Journal};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8));
    /// # journal.flush().wait(Duration::from_secs(5))?;
    /// let rows = journal.stats("dqn_agent").by([Group::Checkpoint, Group::Day])?;
    /// assert_eq!((rows[0].checkpoint.as_deref(), rows[0].stats.count), (None, 1));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn by(&self, groups: impl Into<Groups>) -> Result<Vec<StatsRow>> {
        let grouping = groups.into().grouping();
        let rows = self.grouped(&grouping, u64::MAX)?;
        Ok(rows.unwrap_or_default())
    }

    /// One row for each of the `periods`, and group in it, that has any decisions; in the order of
    /// time and names. Decisions between periods are not counted. A row's `period` is the name of
    /// its period, `time` and `end` are its limits, also if the question is about a part of it
    /// only.
    ///
    /// Exact, and as quick as [`by`](Self::by) where periods begin with an hour of UTC: of these,
    /// rollups are read. Elsewhere an hour is cut. Its minutes have rollups for 25 hours; later its
    /// entries are read, 1 in 24 of a day's. Are these [retired](crate::Maintenance::retention),
    /// its decisions are in neither row, and [`Coverage::retired`] of both says how many.
    ///
    /// # Errors
    /// Those of [`by`](Self::by), and [`Error::InvalidOption`] if `groups` has an hour or a day
    /// too.
    ///
    /// ```
    /// # use annals::{Group, Inference, Journal, Timestamp};
    /// # use annals::stats::Periods;
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// let at = |hour: i64| Timestamp::from_micros(hour * 3_600_000_000);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(at(9)));
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(at(13)));
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let sessions = Periods::named([("morning", at(8)..at(12)), ("evening", at(18)..at(22))])?;
    /// let rows = journal.stats_of_all().by_periods(&sessions, Group::Model)?;
    /// assert_eq!(rows.len(), 1);
    /// assert_eq!((rows[0].period.as_deref(), rows[0].stats.count), (Some("morning"), 1));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn by_periods(
        &self,
        periods: &Periods,
        groups: impl Into<Groups>,
    ) -> Result<Vec<StatsRow>> {
        let rows = self.by_periods_at_most(periods, groups.into(), u64::MAX)?;
        Ok(rows.unwrap_or_default())
    }

    /// The same, unless more decisions than `most_read` would have to be read one by one.
    fn by_periods_at_most(
        &self,
        periods: &Periods,
        groups: Groups,
        most_read: u64,
    ) -> Result<Option<Vec<StatsRow>>> {
        let mut grouping = groups.grouping();
        if grouping.time != Division::None {
            return Err(Error::InvalidOption {
                name: "by_periods",
                value: "hours or days too".to_owned(),
                advice: "leave Group::Hour and Group::Day out: the periods divide time",
            });
        }
        grouping.time = Division::Periods(periods.clone());
        self.grouped(&grouping, most_read)
    }

    /// One row for each group; `None` if more decisions than `most_read` would have to be read.
    fn grouped(&self, grouping: &Grouping, most_read: u64) -> Result<Option<Vec<StatsRow>>> {
        let reader = self.reader.clone()?;
        let mut tries = 0;
        loop {
            let answer = self.answer(&reader, grouping, most_read);
            tries += 1;
            match answer {
                Err(Error::Retired { .. }) if tries < TRIES => {}
                answer => return answer,
            }
        }
    }

    fn answer(
        &self,
        reader: &Reader,
        grouping: &Grouping,
        most_read: u64,
    ) -> Result<Option<Vec<StatsRow>>> {
        let source = &reader.source;
        // Damage that other statistics meet at the same time is counted here too: rather too much
        // than too little.
        let known = source.losses().rollups();
        let answer =
            source.with_readable_rollups(|stats| self.sum_up(stats, grouping, most_read))?;
        let Some(mut answer) = answer else {
            return Ok(None);
        };
        // The snapshot is closed: looking for outcomes may take long, and must not keep old pages.
        answer.join(source, &self.times, self.known_until)?;
        answer.totals.check()?;
        answer.seen.place_gaps(source)?;
        let damaged = source.losses().rollups().saturating_sub(known);
        let AnsweredSnapshot {
            totals,
            seen,
            known,
            ..
        } = answer;
        let mut name = |id| reader.optional_name(id);
        let mut rows = Vec::new();
        for (key, rollup) in totals.into_groups() {
            let range = grouping.range_of(key.bucket, &self.times);
            let coverage = seen.coverage(&range, key.bucket, damaged);
            let mut stats = Stats::new(&rollup, coverage, &mut name)?;
            stats.known = known;
            rows.push(key.row(grouping, stats, &mut name)?);
        }
        rows.sort_by(StatsRow::order);
        Ok(Some(rows))
    }

    /// Answers the question in one snapshot.
    fn sum_up(
        &self,
        stats: &StatsReader<'_, '_>,
        grouping: &Grouping,
        most_read: u64,
    ) -> Result<Option<AnsweredSnapshot>> {
        let scope = Scope::of(stats, &self.subject)?;
        let mut totals = Totals::new(grouping.clone());
        if *grouping == Grouping::default() {
            // Without groups there is one row, also of nothing.
            totals.ensure(GroupKey::default());
        }
        let mut cover = Cover::new(stats, scope).at_most(most_read);
        let parts = grouping.time.parts(&self.times);
        match (self.known_until, parts.first(), parts.last()) {
            (Some(_), Some(first), Some(last)) => {
                // Rollups do not know when an outcome was known, so entries are read.
                let whole = *first.start()..=*last.end();
                cover.entries(&whole, &mut totals)?;
            }
            _ => cover.ranges(&parts, &mut totals)?,
        }
        let mut residual = cover.into_residual();
        if residual.is_too_much {
            return Ok(None);
        }
        totals.check()?;
        let times = &self.times;
        let seen = JournalFacts::look(stats, &mut residual, times, grouping, &totals, most_read)?;
        if residual.is_too_much {
            return Ok(None);
        }
        let known = self.subject.model.is_none() || scope.model != Some(scope::UNKNOWN);
        Ok(Some(AnsweredSnapshot {
            totals,
            seen,
            known,
            scope,
            residual,
            folded: stats.folded().clone(),
            end: stats.next_sequence(),
        }))
    }
}

/// The result of one snapshot.
struct AnsweredSnapshot {
    totals: Totals,
    seen: JournalFacts,
    known: bool,
    scope: Scope,
    residual: ResidualWork,
    folded: FoldedReach,
    end: Sequence,
}

impl AnsweredSnapshot {
    /// Adds outcomes of decisions that are not in the rollups that were read.
    fn join(
        &mut self,
        source: &Source,
        times: &RangeInclusive<Timestamp>,
        known_until: Option<Timestamp>,
    ) -> Result<()> {
        let between = JoinRange {
            folded: &self.folded,
            end: self.end,
            until: known_until.unwrap_or(Timestamp::MAX),
            unopened: Unopened::PassedOver,
        };
        let mut read = std::mem::take(&mut self.residual.read);
        read.sort_unstable();
        for ids in read.chunks(JOINED) {
            for mut change in source.changes(ids, between)?.changes {
                if known_until.is_none() {
                    change.after = change.before;
                }
                // Entries bring no outcomes with them, so there is nothing to take away.
                change.before = Current::default();
                self.totals.change(&change);
            }
        }
        let touched: Vec<InferenceId> = std::mem::take(&mut self.residual.touched)
            .into_iter()
            .collect();
        for ids in touched.chunks(JOINED) {
            for change in source.changes(ids, between)?.changes {
                let scope = Combination::of(&change.event);
                // Later outcomes of folded decisions: of any model and time, so they are sorted out
                // here.
                if times.contains(&change.event.event) && self.scope.holds(scope) {
                    self.totals.change(&change);
                }
            }
        }
        Ok(())
    }
}
