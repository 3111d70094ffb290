//! The prepared way to log: names bound once, then numbers only.

use std::sync::Arc;

use ahash::AHashMap;

use super::bound_values::BoundValues;
use super::keep_inputs::{BoundInputs, KeepInputs};
use super::queue::Queue;
use super::queue::enqueue::MOST_TEXT;
use super::queue::enqueue::{Carried, Facts, GivenNames};
use super::queue::local_names::{LocalName, NO_NAME};
use super::queue::message::Texts;
use super::queue::refusals::{RefusalKind, Why};
use super::queue::typed::GivenValues;
use super::steps::Steps;
use crate::engine::format::name::{NameKind, join_labels};
use crate::entry::attribute::AttributeValue;
use crate::entry::blob::Blob;
use crate::entry::episode::EpisodeId;
use crate::entry::error::{Error, Result};
use crate::entry::extras::Extras;
use crate::entry::features::{Float, feature_hash};
use crate::entry::floats::{INLINE, MOST};
use crate::entry::ids::InferenceId;
use crate::entry::inference::{Attributes as _, Processing, Timer};
use crate::entry::input::GivenInput;
use crate::entry::outcome::Outcome;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::AttributeType;
use crate::entry::value::Value;

/// Collects the names of a [`Recorder`]; from [`Journal::recorder`](crate::Journal::recorder).
#[must_use = "a recorder is made by build"]
pub struct RecorderBuilder {
    pub(super) queue: Arc<Queue>,
    model: String,
    symbol: String,
    actions: Vec<String>,
    labels: Option<Vec<String>>,
    checkpoint: Option<String>,
    deterministic: bool,
    pub(super) keep_inputs: KeepInputs,
    pub(super) feature_names: Vec<String>,
    predictions: Vec<String>,
    attributes: Vec<(String, AttributeType)>,
}

impl RecorderBuilder {
    pub(crate) fn new(queue: Arc<Queue>, model: String, symbol: String) -> Self {
        RecorderBuilder {
            queue,
            model,
            symbol,
            actions: Vec::new(),
            labels: None,
            checkpoint: None,
            deterministic: false,
            keep_inputs: KeepInputs::Asked,
            feature_names: Vec::new(),
            predictions: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// The actions that the model chooses from, in the order of its outputs. They also label the
    /// probabilities, unless [`labels`](Self::labels) sets others.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let recorder = builder.actions(["BUY", "SELL", "HOLD"]).build()?;
    /// recorder.log(recorder.start(), 2, &[0.1, 0.2, 0.7], &[0.1]); // HOLD
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn actions<A: AsRef<str>>(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        let actions = actions.into_iter();
        self.actions = actions.map(|action| action.as_ref().to_owned()).collect();
        self
    }

    /// Labels of the probabilities, where they are not the actions.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// let journal = Journal::in_memory()?;
    /// let builder = journal.recorder("classifier", "camera_2").actions(["accept", "ask a human"]);
    /// let recorder = builder.labels(["cat", "dog", "bird"]).build()?;
    /// let id = recorder.log(recorder.start(), 0, &[0.8, 0.1, 0.1], &[0.1]).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.probabilities.get("cat"), Some(0.8));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn labels<A: AsRef<str>>(mut self, labels: impl IntoIterator<Item = A>) -> Self {
        let labels = labels.into_iter();
        self.labels = Some(labels.map(|label| label.as_ref().to_owned()).collect());
        self
    }

    /// The checkpoint that decides, until [`Recorder::set_checkpoint`] changes it.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder.checkpoint("dqn_agent_20250725_143500").build()?;
    /// # drop(recorder);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn checkpoint(mut self, id: impl Into<String>) -> Self {
        self.checkpoint = Some(id.into());
        self
    }

    /// States that the model has one answer to the same features with the same checkpoint; see
    /// [`Inference::deterministic`](crate::Inference::deterministic). Not for policies that sample.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// let journal = Journal::in_memory()?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder.deterministic().build()?;
    /// for action in [0, 1] {
    ///     recorder.inference(action).features(&[0.1, 0.2]).log(); // the same question twice
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.health().divergences, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn deterministic(mut self) -> Self {
        self.deterministic = true;
        self
    }

    /// Names of the numbers that the model predicts, in the order in which
    /// [`Prepared::predictions`] gets them. Up to 1,024.
    ///
    /// ```
    /// use annals::{Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let builder = journal.recorder("forecast", "ETH/USDT").actions(["forecast"]);
    /// let recorder = builder.predictions(["price", "volume"]).build()?;
    /// let id = recorder.inference(0).predictions(&[101.5, 7.0]).log().unwrap();
    /// recorder.attach_outcome(id, Outcome::new().actual_of("price", 100.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("forecast").get()?;
    /// assert_eq!(stats.prediction("price").and_then(|errors| errors.mae), Some(1.5));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn predictions<A: AsRef<str>>(mut self, names: impl IntoIterator<Item = A>) -> Self {
        let names = names.into_iter();
        self.predictions = names.map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Names and types of attributes, in the order in which [`Prepared::attribute_values`] gets
    /// their values. They are stored in columns: a value takes as many bytes as its type, and none
    /// where it is missing. Readers give them as [attributes](crate::InferenceRecord::attributes),
    /// sorted by name, and [`Query::attribute`](crate::Query::attribute) filters by them. Names are
    /// kept for ever. Up to 1,024.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::entry::AttributeType;
    ///
    /// let journal = Journal::in_memory()?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder
    ///     .attributes([
    ///         ("spread", AttributeType::F32),
    ///         ("position", AttributeType::I64),
    ///         ("venue", AttributeType::Text),
    ///     ])
    ///     .build()?;
    /// let values = [0.25.into(), (-3).into(), "paper".into()];
    /// let id = recorder.inference(0).attribute_values(&values).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.attributes[0], ("position".to_owned(), (-3).into()));
    /// let wide = journal.reader()?.inferences().attribute("spread", 0.5..);
    /// assert_eq!(wide.iter().count(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attributes<A: AsRef<str>>(
        mut self,
        attributes: impl IntoIterator<Item = (A, AttributeType)>,
    ) -> Self {
        let attributes = attributes.into_iter();
        self.attributes = attributes
            .map(|(name, value_type)| (name.as_ref().to_owned(), value_type))
            .collect();
        self
    }

    /// Binds the names.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] without any action, for an action, label, prediction or attribute
    /// that is given twice, and for more of either than an inference may have (1,024).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// assert!(journal.recorder("dqn_agent", "ETH/USDT").build().is_err());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn build(self) -> Result<Recorder> {
        // Each call names an action by its index: without one, all calls would be refused.
        if self.actions.is_empty() {
            return Err(Error::InvalidOption {
                name: "actions",
                value: format!("none, for model {}", self.model),
                advice: "give what the model chooses from, such as .actions([\"BUY\", \"SELL\"])",
            });
        }
        // Statistics by action would add up two indexes under one name.
        refuse_twice("actions", &self.actions)?;
        refuse_twice("labels", self.labels.as_deref().unwrap_or_default())?;
        // One prediction would be compared with the other's actual.
        refuse_twice("predictions", &self.predictions)?;
        let names: Vec<String> = self.attributes.iter().map(|one| one.0.clone()).collect();
        refuse_twice("attributes", &names)?;
        for (name, many) in [
            ("predictions", self.predictions.len()),
            ("attributes", names.len()),
        ] {
            if many > MOST {
                return Err(Error::InvalidOption {
                    name,
                    value: format!("{many} of them"),
                    advice: "give at most 1,024",
                });
            }
        }
        let most = self
            .actions
            .len()
            .max(self.labels.as_ref().map_or(0, Vec::len));
        if most > MOST {
            return Err(Error::InvalidOption {
                name: "actions",
                value: format!("{most} of them"),
                advice: "give at most 1,024 actions or labels",
            });
        }
        let values = BoundValues::bind(&self.queue.names, &self.predictions, &self.attributes);
        let inputs = BoundInputs::bind(&self.queue, self.keep_inputs, &self.feature_names)?;
        let mut recorder = Recorder {
            queue: Some(self.queue),
            names: GivenNames {
                model: NO_NAME,
                symbol: NO_NAME,
                action: NO_NAME,
                checkpoint: NO_NAME,
                labels: NO_NAME,
            },
            actions: Arc::new(Actions::default()),
            values: Arc::new(values),
            written: None,
            deterministic: self.deterministic,
            inputs,
        };
        recorder.set_model(&self.model);
        recorder.set_symbol(&self.symbol);
        if let Some(id) = &self.checkpoint {
            recorder.set_checkpoint(id);
        }
        recorder.bind_actions(self.actions, self.labels);
        Ok(recorder)
    }
}

/// Two outputs of one name could not be told apart in the journal.
fn refuse_twice(name: &'static str, texts: &[String]) -> Result<()> {
    let mut seen = ahash::AHashSet::new();
    match texts.iter().find(|text| !seen.insert(text.as_str())) {
        None => Ok(()),
        Some(twice) => Err(Error::InvalidOption {
            name,
            value: format!("{twice:?} twice"),
            advice: "give each a name of its own",
        }),
    }
}

/// A handle that logs the inferences of one model about one symbol, prepared like a statement:
/// names are looked up when they are bound, not when they are logged.
///
/// Cheap to clone (three reference counts), `Send + Sync`, rebindable at any time. It does not keep
/// the journal open: after [`Journal::close`](crate::Journal::close), calls return `None`.
///
/// ```
/// use annals::Journal;
///
/// let journal = Journal::in_memory()?;
/// let mut recorder = journal
///     .recorder("dqn_agent", "ETH/USDT")
///     .actions(["BUY", "SELL", "HOLD"])
///     .build()?;
/// let features = [0.1, 0.2];
/// let timer = recorder.start();
/// let probabilities = [0.85, 0.10, 0.05]; // the model's forward pass
/// let id = recorder.log(timer, 0, &probabilities, &features);
/// assert!(id.is_some());
///
/// recorder.set_checkpoint("dqn_agent_20250725_143500");
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone)]
pub struct Recorder {
    /// `None` in a disabled recorder.
    pub(super) queue: Option<Arc<Queue>>,
    /// Invariant R1: a name that is [`NO_NAME`] here is written out in `written` or in
    /// `actions`, or was never given.
    names: GivenNames,
    actions: Arc<Actions>,
    /// Names of predictions and attributes.
    values: Arc<BoundValues>,
    written: Option<Arc<Texts>>,
    deterministic: bool,
    pub(super) inputs: BoundInputs,
}

#[derive(Default)]
struct Actions {
    bound: Vec<Bound>,
    /// Joined, if the table of names has no room for them.
    labels: Option<String>,
}

struct Bound {
    name: LocalName,
    /// The action's text where the table of names had no room for it.
    written: Option<String>,
    /// The index of the label that is the action.
    label: Option<usize>,
}

impl Recorder {
    /// A recorder that records nothing: for code that takes one and a run that wants none. Its
    /// calls cost about a nanosecond and return `None`.
    ///
    /// ```
    /// let recorder = annals::Recorder::disabled(); // for a loop that may run without a journal
    /// assert!(recorder.log(recorder.start(), 0, &[1.0], &[0.1]).is_none());
    /// ```
    #[must_use]
    pub fn disabled() -> Recorder {
        Recorder {
            queue: None,
            names: GivenNames {
                model: NO_NAME,
                symbol: NO_NAME,
                action: NO_NAME,
                checkpoint: NO_NAME,
                labels: NO_NAME,
            },
            actions: Arc::new(Actions::default()),
            values: Arc::new(BoundValues::default()),
            written: None,
            deterministic: false,
            inputs: BoundInputs::default(),
        }
    }

    /// Starts measuring a processing time. One clock read; none in a disabled recorder.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let recorder = builder.actions(["BUY", "SELL"]).build()?;
    /// let timer = recorder.start(); // before the forward pass
    /// let probabilities = [0.85, 0.15];
    /// recorder.log(timer, 0, &probabilities, &[0.1]); // with the time that it took
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn start(&self) -> Timer {
        match &self.queue {
            Some(queue) => Timer::start(&queue.clock),
            None => Timer { ticks: 0 },
        }
    }

    /// Records a decision: `action` is an index into the bound actions, its confidence is its
    /// probability, its processing time is `timer`'s, its event time is now. Returns the
    /// inference's id, or `None` if it was dropped and counted.
    ///
    /// No lock, allocation or system call, with two exceptions. Every n-th call (n = a quarter of
    /// the queue) wakes the writer. More than 8 probabilities, a name over the bound of the name
    /// table, or a kept input of more than 256 bytes take an allocation.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let recorder = builder.actions(["BUY", "SELL"]).build()?;
    /// let id = recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1, 0.2]);
    /// assert!(id.is_some()); // queued
    /// assert!(recorder.log(recorder.start(), 9, &[0.85], &[0.1]).is_none()); // no such action
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn log(
        &self,
        timer: Timer,
        action: usize,
        probabilities: &[f32],
        features: &[f32],
    ) -> Option<InferenceId> {
        self.inference(action)
            .timer(timer)
            .probabilities(probabilities)
            .features(features)
            .log()
    }

    /// Begins a decision that needs more than [`log`](Self::log) takes.
    ///
    /// ```
    /// # use annals::{Journal, Timestamp};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let recorder = journal.recorder("m", "s").actions(["BUY", "SELL"]).build()?;
    /// let bar = Timestamp::from_micros(1_190_000_000_000_000);
    /// let id = recorder
    ///     .inference(1)
    ///     .probabilities(&[0.2, 0.8])
    ///     .confidence(0.7)
    ///     .features(&[1.0, 2.0, 3.0])
    ///     .processing_time(Duration::from_micros(80))
    ///     .event_time(bar)
    ///     .log();
    /// assert!(id.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn inference(&self, action: usize) -> Prepared<'_> {
        Prepared {
            recorder: self,
            action,
            probabilities: &[],
            facts: Facts {
                confidence: None,
                features: None,
                processing: Processing::Unknown,
                event_time: None,
                deterministic: self.deterministic,
            },
            attributes: &[],
            extras: Extras::NONE,
            predictions: &[],
            values: &[],
            instead: Instead::NOTHING,
            sampled: false,
            steps: None,
            input: None,
            is_kept: false,
            blobs: &[],
        }
    }

    /// Records an outcome of an inference, of this recorder or any other; see
    /// [`Journal::attach_outcome`](crate::Journal::attach_outcome).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let recorder = builder.actions(["BUY", "SELL"]).build()?;
    /// if let Some(id) = recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1]) {
    ///     assert!(recorder.attach_outcome(id, annals::Outcome::new().correct(true)));
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attach_outcome(&self, id: InferenceId, outcome: Outcome<'_>) -> bool {
        let queue = self.queue.as_deref();
        queue.is_some_and(|queue| queue.outcome(id, &outcome))
    }

    /// Binds another model. Like every binding: a look-up, and an allocation for a new name.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let mut recorder = builder.actions(["BUY", "SELL"]).build()?;
    /// recorder.set_model("dqn_agent_v2"); // decisions from here on
    /// recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn set_model(&mut self, model: &str) {
        self.names.model = self.bind(NameKind::Model, model, |texts| &mut texts.model);
    }

    /// Binds another symbol.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let mut recorder = builder.actions(["BUY", "SELL"]).build()?;
    /// for symbol in ["ETH/USDT", "BTC/USDT"] {
    ///     recorder.set_symbol(symbol);
    ///     recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1]);
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn set_symbol(&mut self, symbol: &str) {
        self.names.symbol = self.bind(NameKind::Symbol, symbol, |texts| &mut texts.symbol);
    }

    /// Binds the checkpoint that decides from now on.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT");
    /// let mut recorder = builder.actions(["BUY", "SELL"]).build()?;
    /// recorder.set_checkpoint("dqn_agent_20250725_143500");
    /// recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1]);
    /// recorder.clear_checkpoint(); // further decisions are of no checkpoint
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn set_checkpoint(&mut self, id: &str) {
        self.names.checkpoint = self.bind(NameKind::Checkpoint, id, |texts| &mut texts.checkpoint);
    }

    /// States that no checkpoint decides from now on.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let mut recorder = builder.checkpoint("dqn_agent_20250725_143500").build()?;
    /// recorder.clear_checkpoint();
    /// recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1]); // of no checkpoint
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn clear_checkpoint(&mut self) {
        self.names.checkpoint = NO_NAME;
        self.set_written(|texts| texts.checkpoint = None);
    }

    /// The id of a new episode.
    pub(super) fn next_episode(&self) -> EpisodeId {
        let queue = self.queue.as_deref();
        queue.map_or(EpisodeId::from_u64(0), Queue::next_episode)
    }

    /// Whether calls can still be recorded.
    pub(super) fn is_open(&self) -> bool {
        self.queue
            .as_deref()
            .is_some_and(|queue| !queue.is_closed())
    }

    fn bind(
        &mut self,
        kind: NameKind,
        text: &str,
        slot: impl Fn(&mut Texts) -> &mut Option<String>,
    ) -> LocalName {
        let Some(queue) = &self.queue else {
            return NO_NAME;
        };
        let id = queue.names.id(kind, text);
        // The table of names is bounded. A name that it cannot take goes as text with each call.
        let written = id.is_none().then(|| text.to_owned());
        self.set_written(|texts| *slot(texts) = written);
        id.unwrap_or(NO_NAME)
    }

    fn set_written(&mut self, change: impl FnOnce(&mut Texts)) {
        // Copied: a clone of this recorder may share the texts, and keeps its own names.
        let mut texts = self.written.as_deref().cloned().unwrap_or_default();
        change(&mut texts);
        // Without texts a call allocates nothing.
        self.written = (texts != Texts::default()).then(|| Arc::new(texts));
    }

    fn bind_actions(&mut self, actions: Vec<String>, labels: Option<Vec<String>>) {
        let Some(queue) = &self.queue else { return };
        let labels = labels.unwrap_or_else(|| actions.clone());
        self.names.labels = if labels.is_empty() {
            NO_NAME
        } else {
            let parts = labels.iter().map(String::as_str);
            queue.names.labels_id(parts).unwrap_or(NO_NAME)
        };
        // All labels together are one name: they change seldom, and a record has one number for
        // them.
        let written = self.names.labels == NO_NAME && !labels.is_empty();
        let places = labels.iter().map(String::as_str).zip(0..);
        let places: AHashMap<&str, usize> = places.collect();
        let bound = actions
            .into_iter()
            .map(|action| {
                let name = queue.names.id(NameKind::Action, &action);
                Bound {
                    name: name.unwrap_or(NO_NAME),
                    label: places.get(action.as_str()).copied(),
                    written: name.is_none().then_some(action),
                }
            })
            .collect();
        self.actions = Arc::new(Actions {
            bound,
            labels: written.then(|| join_labels(labels.iter().map(String::as_str))),
        });
    }

    /// Records a decision; `more` has what is not usual.
    #[inline(always)]
    fn log_prepared(&self, prepared: &Plain<'_>, more: Option<&More<'_>>) -> Option<InferenceId> {
        let queue = self.queue.as_deref()?;
        let mut facts = prepared.facts;
        let values = prepared.probabilities;
        let Some(action) = self.actions.bound.get(prepared.action) else {
            self.refuse(queue, prepared.action, facts);
            return None;
        };
        if facts.confidence.is_none() {
            // The probability of the chosen action is its confidence, unless the caller knows
            // better.
            facts.confidence = values.get(prepared.action).copied();
        }
        let mut names = self.names;
        names.action = action.name;
        if values.is_empty() {
            // Labels say nothing without values, and would be looked up for nothing.
            names.labels = NO_NAME;
        }
        // Only this takes a slot of the queue alone. All else allocates.
        let plain = values.len() <= INLINE
            && self.written.is_none()
            && action.written.is_none()
            && self.actions.labels.is_none()
            && prepared.attributes.is_empty();
        let extras = more.map_or(Extras::NONE, |more| {
            with_propensity(more.extras, more.sampled, prepared, action)
        });
        let input = more.and_then(|more| more.input);
        let typed = more.map_or(GivenValues::NONE, |more| more.values);
        let blobs = more.map_or(&[][..], |more| more.blobs);
        let instead = more.map_or(Instead::NOTHING, |more| more.instead);
        if !instead.is_nothing() {
            self.name_instead(queue, instead, &mut names);
        }
        let is_named = (instead.symbol.is_none() || names.symbol != NO_NAME)
            && (instead.checkpoint.is_none() || names.checkpoint != NO_NAME);
        if !plain || !is_named || instead.memory.is_some() || !blobs.is_empty() {
            let carried = Carried {
                extras,
                input,
                blobs,
                values: typed.to_fields(),
            };
            return self.log_written(queue, names, facts, action, prepared, (carried, instead));
        }
        if let Some(input) = input {
            return Recorder::log_with_input(queue, names, facts, values, input, (extras, typed));
        }
        let mut probabilities = [0.0; INLINE];
        probabilities[..values.len()].copy_from_slice(values);
        if !extras.is_none() || !typed.is_empty() {
            let probabilities = (probabilities, values.len());
            return queue.log_with_extras(names, facts, probabilities, extras, typed);
        }
        queue.log_record(names, facts, probabilities, values.len())
    }

    /// The names of one call. One that the table of names has no room for is none.
    fn name_instead(&self, queue: &Queue, instead: Instead<'_>, names: &mut GivenNames) {
        let id = |kind, text| queue.names.id(kind, text).unwrap_or(NO_NAME);
        if let Some(symbol) = instead.symbol {
            names.symbol = id(NameKind::Symbol, symbol);
        }
        if let Some(checkpoint) = instead.checkpoint {
            names.checkpoint = id(NameKind::Checkpoint, checkpoint);
        }
    }

    #[cold]
    fn refuse(&self, queue: &Queue, action: usize, facts: Facts) {
        let most = self.actions.bound.len();
        self.refuse_for(
            queue,
            RefusalKind::NoSuchAction,
            "action",
            (action, most),
            facts,
        );
    }

    #[cold]
    fn refuse_for(
        &self,
        queue: &Queue,
        kind: RefusalKind,
        field: &str,
        (given, most): (usize, usize),
        facts: Facts,
    ) {
        let known = queue.names.text(self.names.model);
        let known = known.as_ref().map(|(_, name)| &**name);
        let written = self.written.as_deref();
        let written = written.and_then(|texts| texts.model.as_deref());
        let why = Why {
            kind,
            model: written.or(known),
            field,
            given,
            most,
        };
        queue.refuse_call(why, facts);
    }

    #[cold]
    fn log_written(
        &self,
        queue: &Queue,
        names: GivenNames,
        facts: Facts,
        action: &Bound,
        prepared: &Plain<'_>,
        (carried, instead): (Carried<'_>, Instead<'_>),
    ) -> Option<InferenceId> {
        let mut texts = self.written.as_deref().cloned().unwrap_or_default();
        for (text, name, slot) in [
            (instead.symbol, names.symbol, &mut texts.symbol),
            (instead.checkpoint, names.checkpoint, &mut texts.checkpoint),
        ] {
            // A bound name that is written out is not this call's.
            if let Some(text) = text {
                *slot = (name == NO_NAME).then(|| text.to_owned());
            }
        }
        texts.action = action.written.clone();
        texts.attributes = prepared.attributes.to_owned_pairs();
        let values = prepared.probabilities;
        if !values.is_empty() {
            texts.labels = self.actions.labels.clone();
        }
        queue.send_extended(names, facts, values.into(), instead.memory, texts, carried)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("disabled", &self.queue.is_none())
            .field("actions", &self.actions.bound.len())
            .finish_non_exhaustive()
    }
}

/// What a decision carries that most do not.
struct More<'a> {
    extras: Extras<'a>,
    values: GivenValues<'a>,
    instead: Instead<'a>,
    /// Whether the action was drawn from the probabilities.
    sampled: bool,
    /// The input, if it is to be kept, and the names of its values.
    input: Option<(GivenInput<'a>, LocalName)>,
    blobs: &'a [Blob<'a>],
}

/// What holds for one call, instead of what is bound or sampled.
#[derive(Clone, Copy)]
struct Instead<'a> {
    symbol: Option<&'a str>,
    checkpoint: Option<&'a str>,
    memory: Option<u64>,
}

impl Instead<'_> {
    const NOTHING: Instead<'static> = Instead {
        symbol: None,
        checkpoint: None,
        memory: None,
    };

    #[inline(always)]
    fn is_nothing(&self) -> bool {
        self.symbol.is_none() && self.checkpoint.is_none() && self.memory.is_none()
    }
}

/// A decision without extras and inputs. The usual call hands it over in memory, so it is small.
#[derive(Clone, Copy)]
struct Plain<'a> {
    recorder: &'a Recorder,
    action: usize,
    probabilities: &'a [f32],
    facts: Facts,
    attributes: &'a [(&'a str, Value)],
}

impl Plain<'_> {
    #[inline]
    fn log(&self) -> Option<InferenceId> {
        self.recorder.log_prepared(self, None)
    }

    #[inline(never)]
    fn log_with(&self, more: &More<'_>) -> Option<InferenceId> {
        self.recorder.log_prepared(self, Some(more))
    }
}

/// The extras, with the propensity of a sampled action.
fn with_propensity<'a>(
    mut extras: Extras<'a>,
    sampled: bool,
    prepared: &Plain<'_>,
    action: &Bound,
) -> Extras<'a> {
    if sampled && extras.propensity.is_none() {
        let probability = action
            .label
            .and_then(|index| prepared.probabilities.get(index));
        extras.propensity = probability.copied();
    }
    extras
}

/// A decision being put together; from [`Recorder::inference`].
#[derive(Clone, Copy)]
#[must_use = "a decision is recorded by log"]
pub struct Prepared<'a> {
    recorder: &'a Recorder,
    action: usize,
    probabilities: &'a [f32],
    pub(super) facts: Facts,
    attributes: &'a [(&'a str, Value)],
    extras: Extras<'a>,
    predictions: &'a [f64],
    values: &'a [AttributeValue<'a>],
    instead: Instead<'a>,
    sampled: bool,
    /// Of the handle that numbers it.
    steps: Option<&'a Steps>,
    pub(super) input: Option<GivenInput<'a>>,
    /// Whatever the recorder's own rule says.
    pub(super) is_kept: bool,
    blobs: &'a [Blob<'a>],
}

impl<'a> Prepared<'a> {
    /// The decision as the next step of an episode.
    #[inline(always)]
    pub(super) fn of_episode(mut self, steps: &'a Steps) -> Self {
        self.steps = Some(steps);
        self
    }

    #[inline(never)]
    fn log_more(mut self) -> Option<InferenceId> {
        let values = self.typed_values()?;
        if let Some(steps) = self.steps {
            self.extras.step = Some((steps.id, steps.take()));
        }
        let more = More {
            extras: self.extras,
            values,
            instead: self.instead,
            sampled: self.sampled,
            input: self.recorder.input_to_keep(&self),
            blobs: self.blobs,
        };
        let id = self.plain().log_with(&more)?;
        if let Some(steps) = self.steps {
            steps.note(id);
        }
        Some(id)
    }

    /// The typed values with their names; `None` if the call is refused for them.
    fn typed_values(&self) -> Option<GivenValues<'a>> {
        let recorder = self.recorder;
        let queue = recorder.queue.as_deref()?;
        let bound = &recorder.values;
        let refuse = |kind, field: &str, given, most| {
            recorder.refuse_for(queue, kind, field, (given, most), self.facts);
        };
        // A value without a name, or with another's, would say something else.
        for (field, given, bound) in [
            (
                "predictions",
                self.predictions.len(),
                bound.predictions.len(),
            ),
            ("attributes", self.values.len(), bound.attributes.len()),
        ] {
            if given > 0 && given != bound {
                refuse(RefusalKind::WrongNumber, field, given, bound);
                return None;
            }
        }
        let mut bytes = 0;
        for (bound, value) in bound.attributes.iter().zip(self.values) {
            match value.as_type(bound.value_type) {
                Some(value) => bytes += value.text_bytes(),
                None if value.is_missing() => {}
                None => {
                    let most = bound.value_type as usize;
                    refuse(RefusalKind::WrongType, &bound.text, 0, most);
                    return None;
                }
            }
        }
        if bytes > MOST_TEXT {
            refuse(RefusalKind::TooLong, "attributes", bytes, MOST_TEXT);
            return None;
        }
        Some(GivenValues {
            prediction_names: &bound.predictions,
            predictions: self.predictions,
            bound_attributes: &bound.attributes,
            attributes: self.values,
        })
    }

    #[inline(always)]
    fn plain(&self) -> Plain<'a> {
        Plain {
            recorder: self.recorder,
            action: self.action,
            probabilities: self.probabilities,
            facts: self.facts,
            attributes: self.attributes,
        }
    }

    /// The model's outputs, in the order of the bound labels; up to 8 without an allocation, up
    /// to 1,024 in all, more is refused and counted.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let id = recorder.inference(0).probabilities(&[0.85, 0.15]).log();
    /// assert!(id.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn probabilities(mut self, probabilities: &'a [f32]) -> Self {
        self.probabilities = probabilities;
        self
    }

    /// How sure the model is; left out, it is the probability of the action.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// recorder.inference(0).confidence(0.75).log();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.stats("dqn_agent").get()?.confidence.mean, Some(0.75));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn confidence(mut self, confidence: impl Float) -> Self {
        self.facts.confidence = Some(confidence.to_f32());
        self
    }

    /// The model's input, of which [`feature_hash`] is stored; hashed here and now. It is kept
    /// itself too if the recorder's [`keep_inputs`](RecorderBuilder::keep_inputs) says so.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let id = recorder.inference(0).features(&[0.1, 0.2]).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.feature_hash, Some(annals::feature_hash(&[0.1, 0.2])));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn features<F: Float>(self, features: &'a [F]) -> Self {
        self.with_input(features)
            .features_hashed(feature_hash(features))
    }

    /// The hash of the model's input, where the input is no `[f32]`.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("chat", "user_7").actions(["answer", "refuse"]).build()?;
    /// let hash_of_prompt = 0x5eed;
    /// assert!(recorder.inference(1).features_hashed(hash_of_prompt).log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn features_hashed(mut self, hash: u64) -> Self {
        self.facts.features = Some(hash);
        self
    }

    /// Takes the time from `timer`'s start to the call of [`log`](Self::log).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let timer = recorder.start();
    /// let action = 1; // the forward pass
    /// assert!(recorder.inference(action).timer(timer).log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.facts.processing = Processing::Since(timer);
        self
    }

    /// Time that the model took, measured elsewhere.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// recorder.inference(0).processing_time(Duration::from_micros(80)).log();
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let stats = journal.stats("dqn_agent").get()?;
    /// assert_eq!(stats.processing_time.min, Some(Duration::from_micros(80)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn processing_time(mut self, time: std::time::Duration) -> Self {
        self.facts.processing = Processing::Known(time);
        self
    }

    /// When the decision was made, if not now.
    ///
    /// ```
    /// use annals::{Journal, Timestamp};
    ///
    /// let journal = Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let bar: Timestamp = "2025-07-25T12:00:00Z".parse()?; // of a back-test
    /// let id = recorder.inference(0).event_time(bar).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.get(id)?.expect("it is committed").event_time, bar);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn event_time(mut self, time: impl Into<Timestamp>) -> Self {
        self.facts.event_time = Some(time.into());
        self
    }

    /// States that the action was drawn from the given probabilities; see
    /// [`Inference::sampled`](crate::Inference::sampled).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("policy", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let id = recorder.inference(1).probabilities(&[0.75, 0.25]).sampled().log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.get(id)?.expect("it is committed").propensity, Some(0.25));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn sampled(mut self) -> Self {
        self.sampled = true;
        self
    }

    /// The probability with which the action was drawn; see
    /// [`Inference::propensity`](crate::Inference::propensity).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("bandit", "user_7").actions(["banner_1", "none"]).build()?;
    /// let id = recorder.inference(0).propensity(0.125).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.get(id)?.expect("it is committed").propensity, Some(0.125));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn propensity(mut self, probability: impl Float) -> Self {
        self.extras.propensity = Some(probability.to_f32());
        self
    }

    /// A continuous action; see [`Inference::action_vector`](crate::Inference::action_vector). Up
    /// to 64 numbers travel without an allocation where the journal has lanes.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("arm", "robot_2").actions(["move"]).build()?;
    /// let torques = [0.5, -0.25, 0.0, 1.5, 0.0, 0.0, -2.0];
    /// let id = recorder.inference(0).action_vector(&torques).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.get(id)?.expect("it is committed").action_vector, torques);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn action_vector(mut self, vector: &'a [f32]) -> Self {
        self.extras.vector = vector;
        self
    }

    /// The model's numeric predictions, in the order of the
    /// [bound names](RecorderBuilder::predictions); see
    /// [`Inference::prediction`](crate::Inference::prediction). They travel without an allocation
    /// where the journal has lanes, up to 23 of them. As many as there are names, or the call is
    /// refused and counted.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let builder = journal.recorder("forecast", "ETH/USDT").actions(["forecast"]);
    /// let recorder = builder.predictions(["price"]).build()?;
    /// let id = recorder.inference(0).predictions(&[101.5]).log().unwrap();
    /// assert!(recorder.inference(0).predictions(&[101.5, 7.0]).log().is_none()); // one is bound
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.prediction("price"), Some(101.5));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn predictions(mut self, predictions: &'a [f64]) -> Self {
        self.predictions = predictions;
        self
    }

    /// The decision that caused this one; see
    /// [`Inference::caused_by`](crate::Inference::caused_by).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let signal = journal.recorder("signal", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let router = journal.recorder("router", "ETH/USDT").actions(["venue_1"]).build()?;
    /// let cause = signal.inference(0).log().unwrap();
    /// assert!(router.inference(0).caused_by(cause).log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn caused_by(mut self, cause: InferenceId) -> Self {
        self.extras.cause = Some(cause);
        self
    }

    /// A text that this decision shares with others; see
    /// [`Inference::correlation`](crate::Inference::correlation). Up to 120 bytes travel without an
    /// allocation where the journal has lanes.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("router", "ETH/USDT").actions(["venue_1"]).build()?;
    /// assert!(recorder.inference(0).correlation("order-4711").log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn correlation(mut self, text: &'a str) -> Self {
        self.extras.correlation = Some(text);
        self
    }

    /// States that this decision is step number `step` of an episode; see
    /// [`Inference::episode`](crate::Inference::episode).
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = annals::entry::EpisodeId::from_u64(4_711);
    /// assert!(recorder.inference(0).episode(episode, 0).log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn episode(mut self, id: EpisodeId, step: u64) -> Self {
        self.extras.step = Some((id, step));
        self
    }

    /// The values of the [bound attributes](RecorderBuilder::attributes), in their order; one that
    /// is not there is [`AttributeValue::Missing`] or a `None`. They travel without an allocation
    /// where the journal has lanes, up to 20 numbers. A call is refused and counted if it has not
    /// as many values as there are names, or one of another type.
    ///
    /// ```
    /// use annals::entry::AttributeType;
    ///
    /// let journal = annals::Journal::in_memory()?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let types = [("spread", AttributeType::F64), ("venue", AttributeType::Text)];
    /// let recorder = builder.attributes(types).build()?;
    /// recorder.inference(0).attribute_values(&[0.25.into(), "paper".into()]).log();
    /// recorder.inference(1).attribute_values(&[0.5.into(), None::<&str>.into()]).log();
    ///
    /// assert!(recorder.inference(0).attribute_values(&["x".into(), "y".into()]).log().is_none());
    /// let refusal = &journal.health().refusals[0].refusal;
    /// assert_eq!((refusal.model.as_deref(), &*refusal.field), (Some("dqn_agent"), "spread"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn attribute_values(mut self, values: &'a [AttributeValue<'a>]) -> Self {
        self.values = values;
        self
    }

    /// The subject of this decision, instead of the recorder's. One look-up in the thread's names.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// for symbol in ["BTC/USDT", "SOL/USDT"] {
    ///     recorder.inference(0).symbol(symbol).log();
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.inferences().symbol("SOL/USDT").iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn symbol(mut self, name: &'a str) -> Self {
        self.instead.symbol = Some(name);
        self
    }

    /// The checkpoint that decided, instead of the recorder's. One look-up in the thread's names.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let id = recorder.inference(0).checkpoint("epoch_7").log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.checkpoint.as_deref(), Some("epoch_7"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn checkpoint(mut self, id: &'a str) -> Self {
        self.instead.checkpoint = Some(id);
        self
    }

    /// Bytes of memory that the process uses; see
    /// [`Inference::memory`](crate::Inference::memory). Takes the slower way through an allocation.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// assert!(recorder.inference(0).memory(48 << 20).log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.instead.memory = Some(bytes);
        self
    }

    /// Anything else worth keeping; see [`Inference::attributes`](crate::Inference::attributes).
    /// Takes the slower way through an allocation.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let recorder = journal.recorder("m", "s").actions(["BUY", "SELL"]).build()?;
    /// let attributes = [("spread_bp", 0.4.into()), ("venue", "paper".into())];
    /// assert!(recorder.inference(0).attributes(&attributes).log().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn attributes(mut self, attributes: &'a [(&'a str, Value)]) -> Self {
        self.attributes = attributes;
        self
    }

    /// Texts or bytes that are kept with the decision, by name; see
    /// [`Inference::blobs`](crate::Inference::blobs). Compresses and copies.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::record::Blob;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let recorder = journal.recorder("guard", "chat").actions(["allow", "refuse"]).build()?;
    /// let blobs = [Blob::new("prompt", "is this safe?")];
    /// let id = recorder.inference(0).blobs(&blobs).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let prompt = journal.reader()?.blob(id, "prompt")?.text();
    /// assert_eq!(prompt.as_deref(), Some("is this safe?"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn blobs(mut self, blobs: &'a [Blob<'a>]) -> Self {
        self.blobs = blobs;
        self
    }

    /// Queues the decision. An action index beyond the bound actions is refused and counted.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// assert!(recorder.inference(1).log().is_some());
    /// assert!(recorder.inference(2).log().is_none()); // there are two actions
    /// assert_eq!(journal.health().dropped.refused, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline(always)]
    pub fn log(self) -> Option<InferenceId> {
        let is_usual = self.extras.is_none()
            && self.predictions.is_empty()
            && self.values.is_empty()
            && self.instead.is_nothing()
            && !self.sampled
            && self.steps.is_none()
            && self.blobs.is_empty();
        match is_usual && !self.recorder.wants_input(&self) {
            true => self.plain().log(),
            false => self.log_more(),
        }
    }
}
