//! One model decision as its caller describes it.

use std::borrow::Cow;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::blob::Blob;
use super::clock::Clock;
use super::episode::EpisodeId;
use super::extras::Extras;
use super::features::{Float, as_input, feature_hash};
use super::ids::InferenceId;
use super::input::{Condition, GivenInput, InputKind};
use super::timestamp::Timestamp;
use super::value::{Number, Value};
use crate::entry::name::is_same;

/// A running measurement of processing time, from [`Journal::start`](crate::Journal::start) or
/// [`Recorder::start`](crate::Recorder::start). One read of the monotonic clock, about 25 ns.
#[derive(Clone, Copy, Debug)]
#[must_use = "a timer measures up to the call that it is given to"]
pub struct Timer {
    pub(crate) ticks: u64,
}

impl Timer {
    #[inline]
    pub(crate) fn start(clock: &Clock) -> Self {
        Timer {
            ticks: clock.ticks(),
        }
    }
}

/// Time that the model took: measured elsewhere, or still running.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Processing {
    Unknown,
    Known(Duration),
    Since(Timer),
}

/// One model decision, to be handed to [`Journal::log`](crate::Journal::log).
///
/// Only model, symbol and action are needed; it borrows everything and building it costs nothing.
///
/// ```
/// use annals::{Inference, Journal};
/// use std::time::Duration;
///
/// let journal = Journal::in_memory()?;
/// let id = journal.log(
///     Inference::new("dqn_agent", "ETH/USDT", "BUY")
///         .confidence(0.85)
///         .probabilities(&[("BUY", 0.85), ("SELL", 0.10), ("HOLD", 0.05)])
///         .features(&[0.1, 0.2, 0.3])
///         .processing_time(Duration::from_micros(12_500))
///         .checkpoint("dqn_agent_20250725_143500"),
/// );
/// assert!(id.is_some());
/// # Ok::<(), annals::Error>(())
/// ```
///
/// Attributes are borrowed too, or owned; then it is no longer `Copy`:
///
/// ```
/// use annals::Inference;
/// use annals::record::OwnedParts;
///
/// fn described(tokens: usize) -> Inference<'static, OwnedParts<'static>> {
///     Inference::new("router", "chat", "search")
///         .attribute("tokens", tokens)
///         .attribute("prompt", format!("{tokens} words"))
/// }
/// # let journal = annals::Journal::in_memory()?;
/// assert!(journal.log(described(12)).is_some());
/// # Ok::<(), annals::Error>(())
/// ```
///
/// It may carry more than the answer: how likely the drawn action was, a continuous action, its
/// cause, a text that it shares with others, and its step of an episode.
///
/// ```
/// use annals::entry::EpisodeId;
/// use annals::{Inference, Journal};
///
/// let journal = Journal::in_memory()?;
/// let policy = [("fast", 0.75), ("slow", 0.25)];
/// let plan = Inference::new("planner", "robot_2", "slow").probabilities(&policy).sampled();
/// let cause = journal.log(plan).unwrap();
/// let torques = [0.5, -0.25, 0.0];
/// let step = Inference::new("arm", "robot_2", "move")
///     .action_vector(&torques)
///     .caused_by(cause)
///     .correlation("job-4711")
///     .episode(EpisodeId::from_u64(7), 0); // or a handle: `Recorder::episode`
/// journal.log(step);
///
/// journal.flush().wait(std::time::Duration::from_secs(5))?;
/// let reader = journal.reader()?;
/// let moved = reader.inferences().correlation("job-4711").iter().next().unwrap()?;
/// assert_eq!((moved.caused_by, moved.step), (Some(cause), Some(0)));
/// assert_eq!(reader.get(cause)?.and_then(|plan| plan.propensity), Some(0.25));
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "an inference is recorded by Journal::log"]
pub struct Inference<'a, A = &'a [(&'a str, Value)]> {
    pub(crate) model: &'a str,
    pub(crate) symbol: &'a str,
    pub(crate) action: &'a str,
    pub(crate) confidence: Option<f32>,
    pub(crate) probabilities: &'a [(&'a str, f32)],
    pub(crate) features: Option<u64>,
    pub(crate) processing: Processing,
    pub(crate) checkpoint: Option<&'a str>,
    pub(crate) event_time: Option<Timestamp>,
    pub(crate) memory: Option<u64>,
    pub(crate) attributes: A,
    /// Those that are borrowed.
    pub(crate) predictions: &'a [(&'a str, f64)],
    pub(crate) deterministic: bool,
    /// With the given propensity.
    pub(crate) extras: Extras<'a>,
    /// The propensity is the probability of the action, unless one is given.
    pub(crate) sampled: bool,
    /// The input, if it is to be kept.
    pub(crate) input: Option<GivenInput<'a>>,
    pub(crate) blobs: &'a [Blob<'a>],
}

/// What an [`Inference`] owns: attributes from [`Inference::attribute`] and predictions from
/// [`Inference::prediction`].
#[derive(Clone, Debug, Default)]
pub struct OwnedParts<'a> {
    attributes: Vec<(Cow<'a, str>, Value)>,
    predictions: Vec<(&'a str, f64)>,
}

/// Attributes of an [`Inference`], borrowed or owned, and the predictions that it owns.
pub trait Attributes: sealed::Sealed {
    /// Whether there are none of either.
    fn has_none(&self) -> bool;
    /// Copies of all attributes.
    fn to_owned_pairs(&self) -> Vec<(String, Value)>;
    /// The predictions that are owned.
    fn owned_predictions(&self) -> &[(&str, f64)];
}

mod sealed {
    use super::{OwnedParts, Value};

    pub trait Sealed {}
    impl Sealed for &[(&str, Value)] {}
    impl Sealed for OwnedParts<'_> {}
}

impl Attributes for &[(&str, Value)] {
    #[inline]
    fn has_none(&self) -> bool {
        self.is_empty()
    }

    fn to_owned_pairs(&self) -> Vec<(String, Value)> {
        let pairs = self.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect()
    }

    fn owned_predictions(&self) -> &[(&str, f64)] {
        &[]
    }
}

impl Attributes for OwnedParts<'_> {
    #[inline]
    fn has_none(&self) -> bool {
        self.attributes.is_empty() && self.predictions.is_empty()
    }

    fn to_owned_pairs(&self) -> Vec<(String, Value)> {
        let pairs = self.attributes.iter();
        pairs
            .map(|(key, value)| (key.as_ref().to_owned(), value.clone()))
            .collect()
    }

    fn owned_predictions(&self) -> &[(&str, f64)] {
        &self.predictions
    }
}

impl<'a> Inference<'a> {
    /// A decision `action` of `model` about `symbol`. Any text is accepted, the empty one too.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// assert!(id.is_some()); // queued
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn new(model: &'a str, symbol: &'a str, action: &'a str) -> Self {
        Inference {
            model,
            symbol,
            action,
            confidence: None,
            probabilities: &[],
            features: None,
            processing: Processing::Unknown,
            checkpoint: None,
            event_time: None,
            memory: None,
            attributes: &[],
            predictions: &[],
            deterministic: false,
            extras: Extras::NONE,
            sampled: false,
            input: None,
            blobs: &[],
        }
    }

    /// Anything else worth keeping. Takes the slower way through an allocation. Names that are not
    /// kept as numbers, keys, values and 64 bytes for each attribute have at most 1 MiB together.
    /// An inference with more is refused and counted, and
    /// [`Health::refusals`](crate::health::Health::refusals) names the largest.
    ///
    /// ```
    /// use annals::{Inference, Journal, Value};
    ///
    /// let journal = Journal::in_memory()?;
    /// let more = [("spread", Value::from(0.25)), ("session", "night".into())];
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").attributes(&more);
    /// assert!(journal.log(decision).is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn attributes(mut self, attributes: &'a [(&'a str, Value)]) -> Self {
        self.attributes = attributes;
        self
    }

    /// With one more attribute, which the inference owns; see [`attributes`](Self::attributes).
    /// Allocates.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// let id = journal.log(decision.attribute("spread", 0.25).attribute("session", "night"));
    /// assert!(id.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attribute(
        self,
        key: impl Into<Cow<'a, str>>,
        value: impl Into<Value>,
    ) -> Inference<'a, OwnedParts<'a>> {
        self.owning().attribute(key, value)
    }

    /// A number that the model predicts, under a name: a price, a demand, a time. An
    /// [`Outcome::actual`](crate::Outcome::actual) tells later what it should have been, and
    /// [statistics](crate::Stats::predictions) compare both. Names are kept for ever: use few. A
    /// later prediction of the same name replaces an earlier one. Allocates; a
    /// [`Recorder`](crate::Recorder) with bound names does not.
    ///
    /// NaN and infinities are stored as given, left out of statistics and counted there as invalid.
    /// A decision with predictions is never stored as a repeat.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let forecast = Inference::new("forecast", "ETH/USDT", "up");
    /// let id = journal.log(forecast.prediction("price", 101.5).prediction("volume", 7)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.prediction("price"), Some(101.5));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn prediction(
        self,
        name: &'a str,
        value: impl Into<Number>,
    ) -> Inference<'a, OwnedParts<'a>> {
        self.owning().prediction(name, value)
    }

    fn owning(self) -> Inference<'a, OwnedParts<'a>> {
        let borrowed = self.attributes.iter();
        let attributes = borrowed.map(|(key, value)| (Cow::Borrowed(*key), value.clone()));
        let owned = OwnedParts {
            attributes: attributes.collect(),
            predictions: Vec::new(),
        };
        self.with(owned)
    }
}

impl<'a> Inference<'a, OwnedParts<'a>> {
    /// With one more prediction.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let call = Inference::new("forecast", "prompt-7", "answer").attribute("tokens", 512);
    /// assert!(journal.log(call.prediction("latency_ms", 40.0)).is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn prediction(mut self, name: &'a str, value: impl Into<Number>) -> Self {
        let owned = &mut self.attributes.predictions;
        owned.push((name, value.into().get()));
        self
    }

    /// With one more attribute.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let call = Inference::new("llm", "prompt-7", "answer").attribute("tokens", 512);
    /// journal.log(call.attribute("model_version", "2025-07"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.newest(1).next().transpose()?.expect("was logged");
    /// assert_eq!(record.attributes.len(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attribute(mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value>) -> Self {
        let owned = &mut self.attributes.attributes;
        owned.push((key.into(), value.into()));
        self
    }
}

impl<'a, A> Inference<'a, A> {
    fn with<B>(self, attributes: B) -> Inference<'a, B> {
        Inference {
            model: self.model,
            symbol: self.symbol,
            action: self.action,
            confidence: self.confidence,
            probabilities: self.probabilities,
            features: self.features,
            processing: self.processing,
            checkpoint: self.checkpoint,
            event_time: self.event_time,
            memory: self.memory,
            deterministic: self.deterministic,
            extras: self.extras,
            sampled: self.sampled,
            input: self.input,
            predictions: self.predictions,
            blobs: self.blobs,
            attributes,
        }
    }

    /// The model's numeric predictions, all at once; see [`prediction`](Self::prediction). Up to
    /// 1,024; a decision with more is refused and counted.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let quantiles = [("price.p10", 99.0), ("price.p90", 103.5)];
    /// let id = journal.log(Inference::new("forecast", "ETH/USDT", "up").predictions(&quantiles));
    /// assert!(id.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn predictions(mut self, predictions: &'a [(&'a str, f64)]) -> Self {
        self.predictions = predictions;
        self
    }

    /// How sure the model is, 0 to 1. Left out, it is the probability whose label is the action.
    ///
    /// NaN, infinite and out-of-range values are stored as given, left out of averages and
    /// counted as invalid. An `f64` is rounded to the nearest `f32`.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.85);
    /// let id = journal.log(decision).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.confidence, Some(0.85));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn confidence(mut self, confidence: impl Float) -> Self {
        self.confidence = Some(confidence.to_f32());
        self
    }

    /// The probability of each possible action; up to 8 travel without an allocation, up to 1,024
    /// are stored, and an inference with more is refused and counted.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let probabilities = [("BUY", 0.85), ("SELL", 0.15)];
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// journal.log(decision.probabilities(&probabilities)); // its confidence is 0.85
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn probabilities(mut self, probabilities: &'a [(&'a str, f32)]) -> Self {
        self.probabilities = probabilities;
        self
    }

    /// The model's input, of which [`feature_hash`] is stored; hashed here and now.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let features = [0.1_f32, 0.2];
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").features(&features);
    /// journal.log(decision); // the same features again, with the same answer: a repeat
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn features<F: Float>(self, features: &[F]) -> Self {
        self.features_hashed(feature_hash(features))
    }

    /// The model's input, which is kept: not only its hash, but its numbers as they are.
    /// [`Reader::input`](crate::Reader::input) gives them again. Up to 1 MiB; more is given up and
    /// counted, and the decision is recorded without it. Allocates; a
    /// [`Recorder`](crate::Recorder) keeps inputs without an allocation. An
    /// [import](crate::import::Importer::add) takes the hash alone.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").keep_features(&[0.1, 0.2]);
    /// let id = journal.log(decision).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let input = journal.reader()?.input(id)?.kept().expect("it was kept");
    /// assert_eq!(input.values, annals::entry::InputValues::F64(vec![0.1, 0.2].into()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn keep_features<F: Float>(mut self, features: &'a [F]) -> Self {
        self.input = Some(as_input(features));
        self.features(features)
    }

    /// The same for an input that is no list of numbers: tokens, an image. Its feature hash is
    /// xxh3-64 of the bytes.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    /// use annals::entry::InputValues;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let prompt = "is this safe?".as_bytes();
    /// let id = journal.log(Inference::new("guard", "chat", "yes").keep_bytes(prompt)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let input = journal.reader()?.input(id)?.kept().expect("it was kept");
    /// assert_eq!(input.values, InputValues::Bytes(prompt.to_vec().into()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn keep_bytes(mut self, bytes: &'a [u8]) -> Self {
        let kind = InputKind::Bytes;
        let condition = Condition::None;
        self.input = Some(GivenInput {
            kind,
            bytes,
            condition,
        });
        self.features_hashed(xxh3_64(bytes))
    }

    /// Texts or bytes that are kept with the decision, by name: the prompt and the answer of a
    /// language model. [`Reader::blob`](crate::Reader::blob) gives them again.
    ///
    /// A blob has up to 1 MiB. One with more, and one that finds no room, is given up: it is
    /// counted, and the decision is recorded without it. Equal blobs are stored once.
    /// [`Options::input_budget`](crate::Options::input_budget) bounds them and kept inputs
    /// together, and a journal in memory keeps none. A decision has up to 16 of them, with names of
    /// up to 64 bytes; one with more is refused and counted. Of two of one name, readers find the
    /// first. A decision with blobs is never stored as a repeat. Imports and exports have their
    /// names alone.
    ///
    /// Compresses and copies in the caller's thread, which takes time by the size: milliseconds for
    /// a megabyte.
    ///
    /// ```
    /// use annals::record::Blob;
    /// use annals::{Inference, Journal};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let blobs = [Blob::new("prompt", "is this safe?"), Blob::new("answer", "yes, it is")];
    /// let id = journal.log(Inference::new("guard", "chat", "allow").blobs(&blobs)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// let reader = journal.reader()?;
    /// assert_eq!(reader.get(id)?.expect("it is committed").blobs, ["prompt", "answer"]);
    /// assert_eq!(reader.blob(id, "answer")?.text().as_deref(), Some("yes, it is"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn blobs(mut self, blobs: &'a [Blob<'a>]) -> Self {
        self.blobs = blobs;
        self
    }

    /// The hash of the model's input, where the input is no `[f32]`.
    ///
    /// ```
    /// use annals::{Inference, Journal, feature_hash};
    ///
    /// let journal = Journal::in_memory()?;
    /// let hash = feature_hash(&[0.1, 0.2]); // or any other hash of a prompt or an image
    /// let decision = Inference::new("chat", "user_7", "refuse").features_hashed(hash);
    /// assert!(journal.log(decision).is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn features_hashed(mut self, hash: u64) -> Self {
        self.features = Some(hash);
        self
    }

    /// States that the model has one answer to these features with this checkpoint. If it has just
    /// given another one, the decision is marked as [divergent](crate::InferenceRecord::divergent),
    /// counted, and reported once for each checkpoint. It is the first sign of an input that is
    /// missing from the features, or of a race. Without it nothing is a divergence: a policy that
    /// samples its actions, or explores, answers differently on purpose.
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// for action in ["BUY", "SELL"] {
    ///     let inference = Inference::new("dqn_agent", "ETH/USDT", action).features(&[0.1, 0.2]);
    ///     journal.log(inference.deterministic());
    /// }
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// assert_eq!(journal.health().divergences, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn deterministic(mut self) -> Self {
        self.deterministic = true;
        self
    }

    /// Time that the model took. Kept in nanoseconds, up to 584 years.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// journal.log(decision.processing_time(Duration::from_micros(80)));
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let stats = journal.stats("dqn_agent").get()?;
    /// assert_eq!(stats.processing_time.max, Some(Duration::from_micros(80)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn processing_time(mut self, time: Duration) -> Self {
        self.processing = Processing::Known(time);
        self
    }

    /// Takes the time from `timer`'s start to the call of `log` as the processing time.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let timer = journal.start(); // before the forward pass
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// journal.log(decision.timer(timer));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.processing = Processing::Since(timer);
        self
    }

    /// The id of the checkpoint that decided.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// journal.log(decision.checkpoint("dqn_agent_20250725_143500"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn checkpoint(mut self, id: &'a str) -> Self {
        self.checkpoint = Some(id);
        self
    }

    /// When the decision was made, if not now: the bar's time in a back-test. Any
    /// [`Timestamp`] is accepted; retention goes by recorded time and is not fooled.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let bar = annals::Timestamp::from_micros(1_753_454_079_000_000); // of a back-test
    /// journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(bar));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn event_time(mut self, time: impl Into<Timestamp>) -> Self {
        self.event_time = Some(time.into());
        self
    }

    /// States that the action was drawn from the given probabilities. Its propensity is then the
    /// probability whose label is the action. Without such a label there is none. A given
    /// [`propensity`](Self::propensity) comes first.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let policy = [("BUY", 0.75), ("SELL", 0.25)];
    /// let drawn = |action| Inference::new("policy", "ETH/USDT", action).probabilities(&policy);
    /// let id = journal.log(drawn("SELL").sampled()).unwrap();
    /// let greedy = journal.log(drawn("BUY")).unwrap(); // nobody said how it was chosen
    /// let odd = journal.log(drawn("HOLD").sampled()).unwrap(); // there is no such label
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let records = reader.get_each(&[id, greedy, odd])?;
    /// let propensities: Vec<_> = records.iter().flatten().map(|one| one.propensity).collect();
    /// assert_eq!(propensities, [Some(0.25), None, None]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn sampled(mut self) -> Self {
        self.sampled = true;
        self
    }

    /// The probability with which the action was drawn. Off-policy evaluation needs it, and nothing
    /// else claims to know one: of a continuous action it is a density.
    ///
    /// NaN, 0 and numbers beyond 0 to 1 are stored as given, because a recorder does not lose a
    /// decision for them.
    /// [`InferenceRecord::has_valid_propensity`](crate::InferenceRecord::has_valid_propensity)
    /// tells which can be used. A decision with a propensity is never stored as a repeat.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let shown = Inference::new("bandit", "user_7", "banner_3").propensity(0.125);
    /// let id = journal.log(shown).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.propensity, Some(0.125));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn propensity(mut self, probability: impl Float) -> Self {
        self.extras.propensity = Some(probability.to_f32());
        self
    }

    /// A continuous action: torques, velocities, a position. Up to 1,024 numbers; a decision with
    /// more is refused and counted. Each decision has a length of its own. NaN and infinities are
    /// stored as given. An empty one is none.
    ///
    /// Up to 64 numbers travel without an allocation where the journal has lanes.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let torques = [0.5, -0.25, 0.0, 1.5, 0.0, 0.0, -2.0];
    /// let id = journal.log(Inference::new("arm", "robot_2", "move").action_vector(&torques));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id.unwrap())?.expect("it is committed");
    /// assert_eq!(record.action_vector, torques);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn action_vector(mut self, vector: &'a [f32]) -> Self {
        self.extras.vector = vector;
        self
    }

    /// The decision that caused this one: the prompt of a tool's call, the signal of an order. It
    /// may be of any run and process, and it need not be there yet. A cause that never arrives, is
    /// retired or leads in a circle is stored as given; readers name it as missing or end there.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let prompt = journal.log(Inference::new("llm", "user_7", "call a tool")).unwrap();
    /// journal.log(Inference::new("search", "user_7", "query").caused_by(prompt));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let caused = journal.reader()?.inferences().caused_by(prompt).iter().next();
    /// assert_eq!(&*caused.expect("there is one")?.model, "search");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn caused_by(mut self, cause: InferenceId) -> Self {
        self.extras.cause = Some(cause);
        self
    }

    /// A text that this decision shares with others: the id of an order, a conversation or a trace.
    /// It is kept with the decision, and is no name: there may be as many as there are decisions.
    /// Up to 1,024 bytes; a decision with more is refused and counted.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("signal", "ETH/USDT", "BUY").correlation("order-4711"));
    /// journal.log(Inference::new("router", "ETH/USDT", "venue_2").correlation("order-4711"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let of_order = journal.reader()?.inferences().correlation("order-4711");
    /// assert_eq!(of_order.iter().count(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn correlation(mut self, text: &'a str) -> Self {
        self.extras.correlation = Some(text);
        self
    }

    /// States that this decision is step number `step` of an episode, for callers that number their
    /// steps, and for several processes in one episode. Numbers are stored as given: they may be
    /// missing or come twice.
    ///
    /// ```
    /// use annals::entry::EpisodeId;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let episode = EpisodeId::from_u64(4_711); // or an id that another process has told
    /// let id = journal.log(Inference::new("dqn", "pong", "up").episode(episode, 3)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!((record.episode, record.step), (Some(episode), Some(3)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn episode(mut self, id: EpisodeId, step: u64) -> Self {
        self.extras.step = Some((id, step));
        self
    }

    /// Bytes of memory that the process uses. Left out, the writer's latest sample is stored;
    /// given, the call takes the slower way through an allocation.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").memory(48 << 20);
    /// journal.log(decision);
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.stats("dqn_agent").get()?.memory.max, Some(48 << 20));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The confidence as given or, left out, the probability whose label is the action.
    #[inline]
    pub(crate) fn confidence_or_probability(&self) -> Option<f32> {
        self.confidence.or_else(|| self.probability_of_action())
    }

    /// The probability whose label is the action.
    #[inline]
    fn probability_of_action(&self) -> Option<f32> {
        let chosen = |entry: &&(&str, f32)| is_same(entry.0, self.action);
        self.probabilities.iter().find(chosen).map(|entry| entry.1)
    }

    /// The extras, with the propensity of a sampled action.
    #[inline]
    pub(crate) fn extras(&self) -> Extras<'a> {
        let mut extras = self.extras;
        if self.sampled && extras.propensity.is_none() {
            extras.propensity = self.probability_of_action();
        }
        extras
    }
}
