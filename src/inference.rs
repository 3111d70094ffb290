//! One model decision as its caller describes it.

use std::time::Duration;

use crate::clock::Clock;
use crate::features::feature_hash;
use crate::format::name::is_same;
use crate::timestamp::Timestamp;
use crate::value::Value;

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

/// How long the model took: measured elsewhere, or still running.
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
#[derive(Clone, Copy, Debug)]
#[must_use = "an inference is recorded by Journal::log"]
pub struct Inference<'a> {
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
    pub(crate) attributes: &'a [(&'a str, Value)],
    pub(crate) deterministic: bool,
}

impl<'a> Inference<'a> {
    /// A decision `action` of `model` about `symbol`. Any text is accepted, the empty one too.
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
            deterministic: false,
        }
    }

    /// How sure the model is, 0 to 1. Left out, it is the probability whose label is the action.
    ///
    /// NaN, infinite and out-of-range values are stored as given, left out of averages and
    /// counted as invalid.
    #[inline]
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = Some(confidence);
        self
    }

    /// The probability of each possible action; up to 8 travel without an allocation, up to 1,024
    /// are stored, and an inference with more is refused and counted.
    #[inline]
    pub fn probabilities(mut self, probabilities: &'a [(&'a str, f32)]) -> Self {
        self.probabilities = probabilities;
        self
    }

    /// The model's input, of which [`feature_hash`] is stored; hashed here and now.
    #[inline]
    pub fn features(self, features: &[f32]) -> Self {
        self.features_hashed(feature_hash(features))
    }

    /// The hash of the model's input, where the input is no `[f32]`.
    #[inline]
    pub fn features_hashed(mut self, hash: u64) -> Self {
        self.features = Some(hash);
        self
    }

    /// Says that the model has one answer to these features with this checkpoint. If it has just given
    /// another one, the decision is marked as [divergent](crate::InferenceRecord::divergent), counted,
    /// and said once for each checkpoint: the first sign of an input that is missing from the features,
    /// or of a race. Without it nothing is a divergence: a policy that samples its actions, or explores,
    /// answers differently on purpose.
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

    /// How long the model took. Kept in nanoseconds, up to 584 years.
    #[inline]
    pub fn processing_time(mut self, time: Duration) -> Self {
        self.processing = Processing::Known(time);
        self
    }

    /// Takes the time from `timer`'s start to the call of `log` as the processing time.
    #[inline]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.processing = Processing::Since(timer);
        self
    }

    /// The id of the checkpoint that decided.
    #[inline]
    pub fn checkpoint(mut self, id: &'a str) -> Self {
        self.checkpoint = Some(id);
        self
    }

    /// When the decision was made, if not now: the bar's time in a back-test. Any
    /// [`Timestamp`] is accepted; retention goes by recorded time and is not fooled.
    #[inline]
    pub fn event_time(mut self, time: impl Into<Timestamp>) -> Self {
        self.event_time = Some(time.into());
        self
    }

    /// Bytes of memory that the process uses. Left out, the writer's latest sample is stored;
    /// given, the call takes the slower way through an allocation.
    #[inline]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Anything else worth keeping. Takes the slower way through an allocation.
    #[inline]
    pub fn attributes(mut self, attributes: &'a [(&'a str, Value)]) -> Self {
        self.attributes = attributes;
        self
    }

    /// The confidence as given or, left out, the probability whose label is the action.
    #[inline]
    pub(crate) fn confidence_or_probability(&self) -> Option<f32> {
        let chosen = |entry: &&(&str, f32)| is_same(entry.0, self.action);
        let probability = || self.probabilities.iter().find(chosen);
        self.confidence
            .or_else(|| probability().map(|entry| entry.1))
    }
}
