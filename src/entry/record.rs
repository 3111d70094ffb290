//! The entries that a reader returns, with their names as text.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::episode::EpisodeId;
use super::event::{CheckpointAction, Level};
use super::ids::{InferenceId, RunId};
use super::manifest::RunManifest;
use super::outcome::{Latest, OutcomeEntry, Outcomes};
use super::prediction;
use super::timestamp::Timestamp;
use super::value::Value;
use crate::entry::floats::Floats;
use crate::entry::gap::{GapReason, Refusal};

/// Anything in the journal, with the sequence number that its commit gave it.
///
/// It is written as JSON and read again, as are all its parts: ids and times as text, numbers that
/// are not finite as `"NaN"`, `"inf"` and `"-inf"`. `==` compares numbers, so an entry with NaN
/// does not equal itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Dense, from 1, in the order of commit across all processes.
    pub sequence: u64,
    /// When the entry was made, by the clock of the machine that made it.
    pub recorded_time: Timestamp,
    /// The entry itself.
    pub content: Content,
}

/// The kinds of [`Entry`].
#[expect(
    clippy::large_enum_variant,
    reason = "most entries are inferences, and a box for each would cost an allocation"
)]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// A decision in full.
    Inference(InferenceRecord),
    /// A decision that had just been recorded with the same answer.
    Repeat(Repeat),
    /// Events that were not recorded.
    Gap(Gap),
    /// A message about the environment.
    SystemEvent(SystemEvent),
    /// A change of a checkpoint.
    CheckpointEvent(CheckpointEvent),
    /// A later outcome of an inference.
    Outcome(OutcomeEntry),
}

/// One recorded model decision.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InferenceRecord {
    /// Its id, as `log` returned it.
    pub id: InferenceId,
    /// Its place in the journal.
    pub sequence: u64,
    /// When the decision was made, as the caller said; by default when it was recorded.
    pub event_time: Timestamp,
    /// When it was logged.
    pub recorded_time: Timestamp,
    /// The model that decided.
    pub model: Arc<str>,
    /// Subject of the decision.
    pub symbol: Arc<str>,
    /// The action that was decided for.
    pub action: Arc<str>,
    /// As given, also if that is NaN or beyond 0 to 1; otherwise the probability that bears the
    /// action's name; `None` without either.
    pub confidence: Option<f32>,
    /// The model's outputs with their labels.
    pub probabilities: Probabilities,
    /// xxh3-64 of the features; `None` if none were given.
    pub feature_hash: Option<u64>,
    /// Time that the model took.
    pub processing_time: Option<Duration>,
    /// Memory of the process, bytes (kept in KiB): as given, or the writer's latest sample.
    pub memory: Option<u64>,
    /// The checkpoint that decided.
    pub checkpoint: Option<Arc<str>>,
    /// Attributes that the caller attached.
    pub attributes: Vec<(String, Value)>,
    /// Whether the same features and checkpoint had just been answered differently by a
    /// [deterministic](crate::Inference::deterministic) model.
    pub divergent: bool,
    /// Set if this is a repeat: the inference whose answer it gave again. Confidence,
    /// probabilities and feature hash are then that inference's.
    pub repeat_of: Option<InferenceId>,
    /// The probability with which the action was drawn, as given; `None` if nobody said. A repeat
    /// has none. See [`has_valid_propensity`](Self::has_valid_propensity).
    pub propensity: Option<f32>,
    /// A continuous action, as given; empty if there is none.
    pub action_vector: Vec<f32>,
    /// The decision that caused this one, as given: it may be of any run, and need not be there.
    pub caused_by: Option<InferenceId>,
    /// A text that links this decision with others: the id of an order.
    pub correlation: Option<Arc<str>>,
    /// The episode that this decision belongs to.
    pub episode: Option<EpisodeId>,
    /// The number of its step within the episode; set if `episode` is.
    pub step: Option<u64>,
    /// Numeric predictions by name, sorted by it.
    pub predictions: Vec<(Arc<str>, f64)>,
    /// Names of the blobs that it was given, in that order; see
    /// [`Reader::blob`](crate::Reader::blob).
    pub blobs: Vec<String>,
}

impl InferenceRecord {
    /// The prediction with this name.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let forecast = Inference::new("forecast", "ETH/USDT", "up");
    /// let id = journal.log(forecast.predictions(&[("price", 101.5), ("volume", 7.0)])).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.prediction("volume"), Some(7.0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn prediction(&self, name: &str) -> Option<f64> {
        let found = self.predictions.iter().find(|known| &*known.0 == name);
        found.map(|known| known.1)
    }

    /// The actual that the prediction with this name is compared with: the one that was
    /// [given by name](crate::Outcome::actual_of), and otherwise, if there is no other prediction,
    /// the [unnamed](crate::Outcome::actual) one.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let forecast = Inference::new("forecast", "ETH/USDT", "up").prediction("price", 101.5);
    /// let id = journal.log(forecast).unwrap();
    /// journal.attach_outcome(id, Outcome::new().actual(100.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let record = reader.get(id)?.expect("it is committed");
    /// let outcomes = reader.outcome(id)?.expect("one was attached");
    /// let actual = record.actual_of("price", &outcomes).map(|latest| latest.value);
    /// assert_eq!(actual, Some(100.0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn actual_of(&self, name: &str, outcomes: &Outcomes) -> Option<Latest<f64>> {
        self.prediction(name)?;
        let unnamed = || outcomes.actual().filter(|_| self.predictions.len() == 1);
        outcomes.get(&prediction::actual_of(name)).or_else(unnamed)
    }
}

impl InferenceRecord {
    /// Whether the confidence is a number from 0 to 1. Others stay out of averages.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("m", "s", "BUY").confidence(f32::NAN)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert!(!record.has_valid_confidence());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn has_valid_confidence(&self) -> bool {
        self.confidence
            .is_some_and(|given| (0.0..=1.0).contains(&given))
    }
}

impl InferenceRecord {
    /// Whether the propensity can be divided by, as off-policy evaluation does: it is there, finite
    /// and above 0. It is at most 1, unless there is an action vector, whose density may be more.
    /// Evaluations have to leave out the others, and say how many they were.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// for given in [0.25, 1.0, 0.0, -0.5, 1.5, f32::NAN] {
    ///     journal.log(Inference::new("m", "s", "BUY").propensity(given));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let records: Result<Vec<_>, _> = journal.reader()?.inferences().iter().collect();
    /// let valid: Vec<_> = records?.iter().map(|one| one.has_valid_propensity()).collect();
    /// assert_eq!(valid, [true, true, false, false, false, false]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn has_valid_propensity(&self) -> bool {
        self.propensity.is_some_and(|given| {
            let most = match self.action_vector.is_empty() {
                true => 1.0,
                false => f32::MAX,
            };
            given > 0.0 && given <= most
        })
    }
}

/// The probabilities of one inference, and their labels.
#[derive(Clone, Debug)]
pub struct Probabilities {
    pub(crate) labels: Arc<[Arc<str>]>,
    pub(crate) values: Floats,
}

impl Probabilities {
    pub(crate) fn none() -> Self {
        Probabilities {
            labels: Arc::new([]),
            values: Floats::new(&[]),
        }
    }

    /// The values, in the order in which they were given.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// let id = journal.log(decision.probabilities(&[("BUY", 0.75), ("SELL", 0.25)])).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.probabilities.values(), [0.75, 0.25]);
    /// assert_eq!(&*record.probabilities.labels()[1], "SELL");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn values(&self) -> &[f32] {
        self.values.as_slice()
    }

    /// The labels, in the same order; shorter than the values if fewer were bound.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// let id = journal.log(decision.probabilities(&[("BUY", 0.75), ("SELL", 0.25)])).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(&*record.probabilities.labels()[0], "BUY");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn labels(&self) -> &[Arc<str>] {
        &self.labels
    }

    /// The probability with this label.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let probabilities = [("BUY", 0.85), ("SELL", 0.15)];
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// # let id = journal.log(decision.probabilities(&probabilities)).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it was committed");
    /// assert_eq!(record.probabilities.get("BUY"), Some(0.85));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn get(&self, label: &str) -> Option<f32> {
        let index = self.labels.iter().position(|known| &**known == label)?;
        self.values().get(index).copied()
    }

    /// Labels and values; a value without a label has an empty one.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// let id = journal.log(decision.probabilities(&[("BUY", 0.75), ("SELL", 0.25)])).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// let likeliest = record.probabilities.iter().max_by(|one, other| one.1.total_cmp(&other.1));
    /// assert_eq!(likeliest, Some(("BUY", 0.75)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, f32)> {
        let labels = self.labels.iter().map(|label| &**label);
        let labels = labels.chain(std::iter::repeat(""));
        labels.zip(self.values().iter().copied())
    }

    /// How many values there are.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// let id = journal.log(decision.probabilities(&[("BUY", 0.75), ("SELL", 0.25)])).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.probabilities.len(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.values().len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert!(record.probabilities.is_empty()); // none were given
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values().is_empty()
    }
}

/// Equal if they have the same labels and values in the same order.
impl PartialEq for Probabilities {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// An inference whose question had just been answered the same way; see
/// [`Options::dedup_window`](crate::Options::dedup_window).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Repeat {
    /// Its own id, as `log` returned it.
    pub id: InferenceId,
    /// The inference recorded in full.
    pub original: InferenceId,
    /// When the decision was made.
    pub event_time: Timestamp,
    /// The model that decided.
    pub model: Arc<str>,
    /// Subject of the decision.
    pub symbol: Arc<str>,
    /// The action that was decided for.
    pub action: Arc<str>,
    /// The same as its original's; `None` if none was given.
    pub confidence: Option<f32>,
    /// Time that the model took for this repeat.
    pub processing_time: Option<Duration>,
    /// The checkpoint that decided.
    pub checkpoint: Option<Arc<str>>,
}

/// An entry that counts what was lost: how many events, when, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// Its place in the journal.
    pub sequence: u64,
    /// The run whose events are missing.
    pub run: RunId,
    /// Why they are.
    pub reason: GapReason,
    /// Number of lost events; `None` if it is unknown, because the process died.
    pub count: Option<u64>,
    /// The last id that was committed before a death; `None` before the first, and otherwise.
    pub after: Option<InferenceId>,
    /// When the first and the last of them were offered.
    pub recorded_range: Option<(Timestamp, Timestamp)>,
    /// The first and last explicit event time among them; where none was given, the recorded ones.
    pub event_range: Option<(Timestamp, Timestamp)>,
    /// Reason why calls were [refused](GapReason::Refused), with one gap for each reason; `None`
    /// for other gaps.
    pub refusal: Option<Refusal>,
}

/// Something that happened around the models; see [`Journal::event`](crate::Journal::event).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SystemEvent {
    /// The run that recorded it.
    pub run: RunId,
    /// How much it matters.
    pub level: Level,
    /// The part of the system that it came from.
    pub component: Arc<str>,
    /// The message.
    pub message: String,
    /// Named values that belong to it.
    pub fields: Vec<(String, Value)>,
}

/// Something that happened to a checkpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckpointEvent {
    /// The run that recorded it.
    pub run: RunId,
    /// The message.
    pub action: CheckpointAction,
    /// The model whose checkpoint it is.
    pub model: Arc<str>,
    /// The checkpoint's id.
    pub checkpoint: Arc<str>,
    /// Further details: a metric, a path, a reason.
    pub detail: String,
}

/// One opening of the journal by one process.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// Its number, which its inferences' ids begin with.
    pub id: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The process's id on its machine.
    pub process: u32,
    /// State of the run.
    pub state: RunState,
    /// Events committed so far: inferences, repeats, system events and checkpoint events.
    pub committed: u64,
    /// Events that gap entries of this run stand for.
    pub dropped: u64,
    /// The highest id committed.
    pub last_id: Option<InferenceId>,
    /// The source that was taken in under this run, for those of an
    /// [`Importer`](crate::import::Importer).
    pub source: Option<String>,
    /// Which program decided, and how it was started. `None` for a run of an import, and where a
    /// repair could not read it.
    pub manifest: Option<RunManifest>,
}

/// State of a [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum RunState {
    /// Its process holds its lock.
    Alive,
    /// It was closed.
    Closed(Timestamp),
    /// Its process is gone without having closed it; `None` if no writer has noticed yet,
    /// otherwise when one did.
    Died(Option<Timestamp>),
    /// Its ids ran low, and its process continued under the next run.
    Continued(Timestamp),
    /// A panic ended it: one unwound the thread that closed the journal, or the process is gone and
    /// a panic is the last that it recorded (with
    /// [`Options::flush_on_panic`](crate::Options::flush_on_panic)). When it was closed or found
    /// dead; `None` if no writer has noticed yet.
    Panicked(Option<Timestamp>),
}
