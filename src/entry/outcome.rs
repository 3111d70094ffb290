//! Later outcomes of an inference, as they are handed in and as they are read back.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use super::episode::{EPISODE_END, EPISODE_REWARD, EpisodeEnd};
use super::ids::{InferenceId, RunId};
use super::prediction::{self, ACTUAL};
use super::timestamp::Timestamp;
use super::value::Number;

/// An outcome of one inference, for [`Journal::attach_outcome`](crate::Journal::attach_outcome).
///
/// It borrows its texts. Values are known by name: *reward*, *correct* and *label* are built in,
/// others are named by the caller, in a space of names of their own. A later value replaces an
/// earlier one of the same name and leaves the others as they are.
///
/// ```
/// use annals::{Outcome, Timestamp};
///
/// let closed_at = Timestamp::from_micros(1_753_454_079_000_000);
/// let outcome = Outcome::new()
///     .reward(1.5)
///     .correct(true)
///     .label("take profit")
///     .value("slippage_bp", 0.3)
///     .at(closed_at);
/// # drop(outcome);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "an outcome is recorded by attach_outcome"]
pub struct Outcome<'a> {
    pub(crate) reward: Option<f64>,
    pub(crate) correct: Option<bool>,
    pub(crate) label: Option<&'a str>,
    /// No name twice.
    pub(crate) values: Vec<(Cow<'a, str>, f64)>,
    pub(crate) time: Option<Timestamp>,
}

impl<'a> Outcome<'a> {
    /// Without values: add those that are known.
    ///
    /// ```
    /// use annals::Outcome;
    ///
    /// assert_eq!(Outcome::new(), Outcome::default());
    /// let won = Outcome::new().reward(1.5);
    /// assert_ne!(won, Outcome::new());
    /// ```
    pub fn new() -> Self {
        Outcome::default()
    }

    /// Worth of the decision: a return, a score. NaN and infinite values are stored as given, left
    /// out of statistics and counted there as invalid.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert!(journal.attach_outcome(id, annals::Outcome::new().reward(1.5).correct(true)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn reward(mut self, reward: impl Into<Number>) -> Self {
        self.reward = Some(reward.into().get());
        self
    }

    /// Whether the decision was right.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("classifier", "camera_2", "cat")).unwrap();
    /// assert!(journal.attach_outcome(id, Outcome::new().correct(false)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn correct(mut self, correct: bool) -> Self {
        self.correct = Some(correct);
        self
    }

    /// The answer that would have been right, or any other word for the result.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("classifier", "camera_2", "cat")).unwrap();
    /// assert!(journal.attach_outcome(id, Outcome::new().label("dog")));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// A number with a name of its own. Names are kept for ever: use few.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let outcome = annals::Outcome::new().value("slippage_bp", 0.3).label("filled");
    /// assert!(journal.attach_outcome(id, outcome));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn value(mut self, name: &'a str, value: impl Into<Number>) -> Self {
        self.set(name.into(), value.into().get());
        self
    }

    fn set(&mut self, name: Cow<'a, str>, value: f64) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => self.values.push((name, value)),
        }
    }

    /// What the decision's only prediction should have been. Statistics compare both. A decision
    /// with several predictions needs [`actual_of`](Self::actual_of) for each. It is stored as the
    /// value `actual`, so it replaces an earlier one, and statistics list it among named values.
    ///
    /// NaN and infinite values are stored as given, left out of statistics and counted there as
    /// invalid.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let forecast = Inference::new("forecast", "ETH/USDT", "up").prediction("price", 101.5);
    /// let id = journal.log(forecast).unwrap();
    /// journal.attach_outcome(id, Outcome::new().actual(100.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("forecast").get()?;
    /// assert_eq!(stats.prediction("price").and_then(|errors| errors.bias), Some(1.5));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn actual(self, actual: impl Into<Number>) -> Self {
        self.value(ACTUAL, actual)
    }

    /// What the prediction with this name should have been. It comes before an unnamed
    /// [`actual`](Self::actual), and is stored as the value `actual.` and the name.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let forecast = Inference::new("forecast", "ETH/USDT", "up");
    /// let id = journal.log(forecast.predictions(&[("price", 101.5), ("volume", 7.0)])).unwrap();
    /// let outcome = Outcome::new().actual_of("price", 100.0).actual_of("volume", 9.0);
    /// journal.attach_outcome(id, outcome);
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("forecast").get()?;
    /// assert_eq!(stats.prediction("volume").and_then(|errors| errors.bias), Some(-2.0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn actual_of(mut self, prediction: &str, actual: impl Into<Number>) -> Self {
        self.set(
            prediction::actual_of(prediction).into(),
            actual.into().get(),
        );
        self
    }

    /// States that the episode of this decision has ended. Of several ends, the one that was
    /// recorded last holds. It is stored as the value `episode.end`, so statistics list it among
    /// named values.
    ///
    /// ```
    /// use annals::entry::{EpisodeEnd, EpisodeId};
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let episode = EpisodeId::from_u64(4_711); // a loop with episodes of its own
    /// let id = journal.log(Inference::new("dqn", "pong", "up").episode(episode, 0)).unwrap();
    /// let step = Outcome::new().reward(1.0).ends_episode(EpisodeEnd::Terminated);
    /// assert!(journal.attach_outcome(id, step));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn ends_episode(self, end: EpisodeEnd) -> Self {
        self.value(EPISODE_END, end.code())
    }

    /// The reward of the whole episode that this decision belongs to, beside those of its steps. Of
    /// several, the one that was recorded last holds. It is stored as the value `episode.reward`.
    ///
    /// ```
    /// use annals::entry::EpisodeId;
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let episode = EpisodeId::from_u64(4_711);
    /// let id = journal.log(Inference::new("dqn", "pong", "up").episode(episode, 0)).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(1.0).episode_reward(10.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.inferences().episodes()?[0].total_reward, 11.0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn episode_reward(self, reward: impl Into<Number>) -> Self {
        self.value(EPISODE_REWARD, reward)
    }

    /// When it turned out, if not now.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let outcome = annals::Outcome::new().reward(1.5).at(annals::Timestamp::now());
    /// assert!(journal.attach_outcome(id, outcome));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn at(mut self, time: impl Into<Timestamp>) -> Self {
        self.time = Some(time.into());
        self
    }
}

/// One outcome as it was recorded: an [`Entry`](crate::Entry) of its own, never changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutcomeEntry {
    /// The run that recorded it.
    pub run: RunId,
    /// The inference or repeat that it belongs to.
    pub of: InferenceId,
    /// When it turned out, as the caller said; by default when it was recorded.
    pub time: Timestamp,
    /// Worth of the decision.
    pub reward: Option<f64>,
    /// Whether it was right.
    pub correct: Option<bool>,
    /// The result, in a word.
    pub label: Option<Arc<str>>,
    /// Values by name.
    pub values: Vec<(Arc<str>, f64)>,
}

/// An outcome with its place in the journal; from
/// [`Reader::outcome_history`](crate::Reader::outcome_history).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecordedOutcome {
    /// The sequence of its entry.
    pub sequence: u64,
    /// When it was recorded. `None` if the entry is retired and its decision, which came after it,
    /// is not.
    pub recorded_time: Option<Timestamp>,
    /// The outcome.
    pub outcome: OutcomeEntry,
}

impl RecordedOutcome {
    /// Whether another one has taken the place of any of its values; `now` is what holds.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(1.0));
    /// journal.attach_outcome(id, Outcome::new().reward(2.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// let reader = journal.reader()?;
    /// let now = reader.outcome(id)?.expect("two were attached");
    /// let history = &reader.outcome_history(&[id], reader.end()?)?[0];
    /// let replaced: Vec<bool> = history.iter().map(|past| past.is_replaced(&now)).collect();
    /// assert_eq!(replaced, [true, false]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_replaced(&self, now: &Outcomes) -> bool {
        fn gone<V, T>(value: Option<V>, latest: Option<&Latest<T>>, sequence: u64) -> bool {
            value.is_some() && latest.is_none_or(|latest| latest.sequence != sequence)
        }
        let said = &self.outcome;
        gone(said.reward, now.reward.as_ref(), self.sequence)
            || gone(said.correct, now.correct.as_ref(), self.sequence)
            || gone(said.label.as_ref(), now.label.as_ref(), self.sequence)
            || said
                .values
                .iter()
                .any(|(name, value)| gone(Some(value), now.get(name).as_ref(), self.sequence))
    }
}

/// A value that holds now, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Latest<T> {
    /// The value.
    pub value: T,
    /// When it turned out.
    pub time: Timestamp,
    /// Sequence of the entry that states it.
    pub sequence: u64,
}

/// All outcomes of one inference: under each name the value that was recorded last. From
/// [`Reader::outcome`](crate::Reader::outcome).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcomes {
    /// The inference or repeat.
    pub of: InferenceId,
    /// Worth of the decision.
    pub reward: Option<Latest<f64>>,
    /// Whether it was right.
    pub correct: Option<Latest<bool>>,
    /// The result, in a word.
    pub label: Option<Latest<Arc<str>>>,
    /// Values by name, sorted by it.
    pub values: Vec<(Arc<str>, Latest<f64>)>,
}

impl Outcomes {
    /// The value with this name.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.attach_outcome(id, Outcome::new().value("slippage", 0.02));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let outcomes = journal.reader()?.outcome(id)?.expect("one was attached");
    /// assert_eq!(outcomes.get("slippage").map(|latest| latest.value), Some(0.02));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Latest<f64>> {
        let found = self
            .values
            .binary_search_by(|(known, _)| (**known).cmp(name));
        found.ok().map(|index| self.values[index].1)
    }

    /// The actual of a decision's only prediction, as [`Outcome::actual`](crate::Outcome::actual)
    /// gave it. [`InferenceRecord::actual_of`](crate::InferenceRecord::actual_of) also knows the
    /// predictions.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let forecast = Inference::new("forecast", "ETH/USDT", "up").prediction("price", 101.5);
    /// let id = journal.log(forecast).unwrap();
    /// journal.attach_outcome(id, Outcome::new().actual(100.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let outcomes = journal.reader()?.outcome(id)?.expect("one was attached");
    /// assert_eq!(outcomes.actual().map(|latest| latest.value), Some(100.0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn actual(&self) -> Option<Latest<f64>> {
        self.get(ACTUAL)
    }
}
