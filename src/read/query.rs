//! Inferences by time, model, symbol, action and checkpoint, in either order.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds, RangeInclusive};

use super::Reader;
use super::filter::{Criteria, Repeats};
use super::plan::ReadPlan;
use crate::engine::format::block::StoredEntry;
use crate::engine::format::row::InputRef;
use crate::engine::format::select::{Selection, Steps};
use crate::engine::kv::range::Direction;
use crate::engine::meta::Extent;
use crate::entry::attribute::AttributeCondition;
use crate::entry::episode::EpisodeId;
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::record::InferenceRecord;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// A question about inferences; from [`Reader::inferences`]. Nothing is read before
/// [`iter`](Self::iter), and entries only as the iterator gives them.
#[derive(Clone, Debug)]
#[must_use = "a query reads nothing until iter is called"]
pub struct Query {
    pub(super) reader: Reader,
    criteria: Criteria,
    direction: Direction,
    limit: usize,
}

impl Query {
    pub(super) fn new(reader: Reader) -> Self {
        Query {
            reader,
            criteria: Criteria::default(),
            direction: Direction::Ascending,
            limit: usize::MAX,
        }
    }

    /// Only this model's.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// assert_eq!(reader.inferences().model("dqn_agent").iter().count(), 1);
    /// assert_eq!(reader.inferences().model("other").iter().count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.criteria.model = Some(name.into());
        self
    }

    /// Only about this symbol.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let query = journal.reader()?.inferences().symbol("ETH/USDT");
    /// assert_eq!(query.iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn symbol(mut self, name: impl Into<String>) -> Self {
        self.criteria.symbol = Some(name.into());
        self
    }

    /// Only with this action.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let query = journal.reader()?.inferences().action("SELL");
    /// assert_eq!(query.iter().count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn action(mut self, name: impl Into<String>) -> Self {
        self.criteria.action = Some(name.into());
        self
    }

    /// Only decided by this checkpoint.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint("epoch_7"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let query = journal.reader()?.inferences().checkpoint("epoch_7");
    /// assert_eq!(query.iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn checkpoint(mut self, id: impl Into<String>) -> Self {
        self.criteria.checkpoint = Some(id.into());
        self
    }

    /// Only with an attribute that meets a condition: a text, a flag or a number that it equals, or
    /// a range of numbers. It may be [bound](crate::record::RecorderBuilder::attributes) or not.
    /// Of several conditions all have to be met. A repeat has no attributes. Blocks are looked
    /// through: a time range bounds the cost.
    ///
    /// ```
    /// use annals::entry::AttributeType;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let builder = journal.recorder("dqn", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder.attributes([("spread", AttributeType::F32)]).build()?;
    /// for spread in [0.25, 0.75] {
    ///     recorder.inference(0).attribute_values(&[spread.into()]).log();
    /// }
    /// journal.log(Inference::new("other", "ETH/USDT", "BUY").attribute("spread", 0.5));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let query = journal.reader()?.inferences();
    /// assert_eq!(query.clone().attribute("spread", 0.5..).iter().count(), 2);
    /// assert_eq!(query.clone().attribute("spread", 0.25).iter().count(), 1);
    /// assert_eq!(query.attribute("venue", "paper").iter().count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attribute(
        mut self,
        name: impl Into<String>,
        condition: impl Into<AttributeCondition>,
    ) -> Self {
        self.criteria
            .attributes
            .push((name.into(), condition.into()));
        self
    }

    /// Only with this [correlation](crate::Inference::correlation). Blocks are looked through, as
    /// for all that is no time and no id: a time range bounds the cost. Blocks without correlations
    /// cost next to nothing.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("signal", "ETH/USDT", "BUY").correlation("order-4711"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// assert_eq!(reader.inferences().correlation("order-4711").iter().count(), 1);
    /// assert_eq!(reader.inferences().correlation("order-4712").iter().count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn correlation(mut self, text: impl Into<String>) -> Self {
        self.criteria.correlation = Some(text.into());
        self
    }

    /// Only those that the decision `cause` [has caused](crate::Inference::caused_by), directly. It
    /// costs as much as [`correlation`](Self::correlation).
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let prompt = journal.log(Inference::new("llm", "user_7", "call a tool")).unwrap();
    /// for tool in ["search", "calculator"] {
    ///     journal.log(Inference::new(tool, "user_7", "run").caused_by(prompt));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.inferences().caused_by(prompt).iter().count(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn caused_by(mut self, cause: InferenceId) -> Self {
        self.criteria.cause = Some(cause);
        self
    }

    /// Only the steps of this [episode](crate::Inference::episode), in whatever runs. It costs as
    /// much as [`correlation`](Self::correlation).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// recorder.inference(0).log(); // of no episode
    /// episode.inference(1).log();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let steps = journal.reader()?.inferences().episode(episode.id());
    /// assert_eq!(steps.iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn episode(mut self, id: EpisodeId) -> Self {
        self.criteria.steps = Steps::Of(id);
        self
    }

    /// Leaves out decisions of no episode, and takes all others.
    pub(super) fn only_steps(mut self) -> Self {
        if self.criteria.steps == Steps::AndOthers {
            self.criteria.steps = Steps::OfAnyEpisode;
        }
        (self.direction, self.limit) = (Direction::Ascending, usize::MAX);
        self
    }

    /// Whether repeats are given too, which they are by default.
    ///
    /// ```
    /// use annals::{Inference, Journal, Repeats};
    ///
    /// let journal = Journal::in_memory()?;
    /// for _ in 0..2 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").features(&[0.1, 0.2]));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let query = journal.reader()?.inferences();
    /// assert_eq!(query.iter().count(), 2);
    /// assert_eq!(query.repeats(Repeats::Exclude).iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.criteria.repeats = repeats;
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
    /// assert_eq!(journal.reader()?.inferences().since(hour_ago).iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn since(mut self, time: impl Into<Timestamp>) -> Self {
        let end = self
            .criteria
            .times
            .map_or(Timestamp::MAX, |times| *times.end());
        self.criteria.times = Some(time.into()..=end);
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
    /// let query = journal.reader()?.inferences().since(nine);
    /// assert_eq!(query.iter().count(), 1);
    /// assert_eq!(query.until(nine).iter().count(), 0); // before, not at
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn until(mut self, time: impl Into<Timestamp>) -> Self {
        let start = self
            .criteria
            .times
            .map_or(Timestamp::MIN, |times| *times.start());
        self.criteria.times = Some(match time.into().before() {
            Some(last) => start..=last,
            // Nothing is before the beginning of time.
            None => RangeInclusive::new(Timestamp::MAX, Timestamp::MIN),
        });
        self
    }

    /// Only entries with these [sequences](InferenceRecord::sequence): the part of a journal that
    /// was committed between two moments. Blocks outside the range are not read, unless times are
    /// asked for too.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// for action in ["BUY", "SELL", "HOLD"] {
    ///     journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", action));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let first = reader.inferences().iter().next().expect("there are three")?.sequence;
    /// assert_eq!(reader.inferences().sequences(first + 1..).iter().count(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn sequences(mut self, sequences: impl RangeBounds<u64>) -> Self {
        let start = match sequences.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match sequences.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.criteria.sequences = Some(Sequence::new(start)..Sequence::new(end));
        self
    }

    /// Newest first. Without it, oldest first.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// # journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "SELL"));
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let newest = journal.reader()?.inferences().newest_first().limit(1).iter().next();
    /// assert_eq!(&*newest.expect("there are two")?.action, "SELL");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn newest_first(mut self) -> Self {
        self.direction = Direction::Descending;
        self
    }

    /// At most `n` of them.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.inferences().limit(0).iter().count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn limit(mut self, n: usize) -> Self {
        self.limit = n;
        self
    }

    /// Runs the query over the committed entries of this moment.
    ///
    /// Without a time range, the order is that of commit. With one, it is by hour of event time,
    /// and by commit within the hour, so back-dated decisions come where they belong. Only blocks
    /// that touch the range are read. A range that is empty or reversed gives nothing.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// for record in journal.reader()?.inferences().symbol("ETH/USDT").iter() {
    ///     let record = record?;
    ///     println!("{} {}", record.event_time, record.action);
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn iter(&self) -> Inferences {
        Inferences {
            // The end is read now, so that the iterator holds the entries of this call however late
            // it is run. An error is told by its first step.
            state: QueryState::New(Box::new((self.clone(), self.reader.source.extent()))),
        }
    }

    /// The number of decisions that [`iter`](Self::iter) gives. Reads them all: a
    /// [statistic](crate::StatsQuery) counts a model's decisions faster.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// for action in ["BUY", "SELL", "BUY"] {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", action));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.inferences().action("BUY").count()?, 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn count(&self) -> Result<u64> {
        let mut count = 0;
        for record in self.iter() {
            record?;
            count += 1;
        }
        Ok(count)
    }
}

impl IntoIterator for Query {
    type Item = Result<InferenceRecord>;
    type IntoIter = Inferences;

    fn into_iter(self) -> Inferences {
        self.iter()
    }
}

/// The answer to a [`Query`].
pub struct Inferences {
    state: QueryState,
}

enum QueryState {
    /// With the journal's content at the start of the query.
    New(Box<(Query, Result<Extent>)>),
    Running(Box<RunningQuery>),
    Ended,
}

impl Iterator for Inferences {
    type Item = Result<InferenceRecord>;

    #[inline]
    fn next(&mut self) -> Option<Result<InferenceRecord>> {
        match self.next_with(|_, _| Ok(()))? {
            Ok((record, ())) => Some(Ok(record)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Inferences {
    /// The next decision, and what `with` makes of its input. It is made where the caller wants it:
    /// a record has some hundred bytes, and its moves are a third of the time.
    #[inline]
    pub(super) fn next_with<T>(
        &mut self,
        mut with: impl FnMut(&Reader, InputRef) -> Result<T>,
    ) -> Option<Result<(InferenceRecord, T)>> {
        let item = self.step(&mut with);
        if !matches!(item, Some(Ok(_))) {
            self.state = QueryState::Ended;
        }
        item
    }

    #[inline]
    fn step<T>(
        &mut self,
        with: &mut impl FnMut(&Reader, InputRef) -> Result<T>,
    ) -> Option<Result<(InferenceRecord, T)>> {
        if let QueryState::New(asked) = &self.state {
            let (query, extent) = &**asked;
            let started = extent.clone();
            match started.and_then(|extent| RunningQuery::start(query, extent)) {
                Ok(running) => self.state = QueryState::Running(Box::new(running)),
                Err(error) => return Some(Err(error)),
            }
        }
        let QueryState::Running(running) = &mut self.state else {
            return None;
        };
        loop {
            let entry = match running.next_entry() {
                Ok(place) => running.buffered.get(place?)?,
                Err(error) => return Some(Err(error)),
            };
            let reader = &running.reader;
            match reader.names.record(&reader.source, entry) {
                Ok(Some(record)) => {
                    running.left -= 1;
                    return match with(reader, entry.row.input()) {
                        Ok(of_input) => Some(Ok((record, of_input))),
                        Err(error) => Some(Err(error)),
                    };
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

struct RunningQuery {
    reader: Reader,
    selection: Selection,
    left: usize,
    plan: ReadPlan,
    buffered: VecDeque<StoredEntry>,
    /// Of the next one of these. They stay until all are read, so that none is moved.
    place: usize,
}

impl RunningQuery {
    /// `extent` bounds the entries that are given, in either direction.
    fn start(query: &Query, extent: Extent) -> Result<Self> {
        let source = &query.reader.source;
        let selection = query.criteria.selection(source, extent.next)?;
        let first = extent.kept.max(selection.sequences.start);
        let range = first..extent.next.min(selection.sequences.end);
        Ok(RunningQuery {
            left: query.limit,
            plan: ReadPlan::new(query.criteria.times.as_ref(), range, query.direction),
            selection,
            reader: query.reader.clone(),
            buffered: VecDeque::new(),
            place: 0,
        })
    }

    /// The place of the next entry; `None` at the end.
    fn next_entry(&mut self) -> Result<Option<usize>> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.place >= self.buffered.len() {
            self.buffered.clear();
            self.place = 0;
            // A piece at a time: no snapshot is open while the caller works on a record.
            let (source, found) = (&self.reader.source, &mut self.buffered);
            if !self.plan.fill(source, &self.selection, self.left, found)? {
                return Ok(None);
            }
        }
        let place = self.place;
        self.place += 1;
        Ok(Some(place))
    }
}
