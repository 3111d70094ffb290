//! The calls of loops: decisions, outcomes, events.

use super::Journal;
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::ids::InferenceId;
use crate::entry::inference::{Attributes, Inference, Timer};
use crate::entry::outcome::Outcome;
use crate::entry::value::Value;
use crate::record::recorder::RecorderBuilder;

impl Journal {
    /// Records one decision: looks its names up in a cache of this thread, hashes nothing it was
    /// not given, reads the clock once and copies 100 bytes into the queue.
    ///
    /// Returns the inference's id, or `None` if it was dropped and counted: the queue is full, the
    /// journal closed, or the inference [cannot be recorded](crate::entry::GapReason::Refused). An
    /// id that was returned is committed by a [`close`](Self::close) that returns `Ok`, also if the
    /// two ran at the same time.
    ///
    /// No lock, allocation or system call, with these exceptions. A thread's first use of a name;
    /// more than 8 probabilities, attributes, given memory, or a name over 255 bytes (an
    /// allocation). An action vector of more than 64 numbers, or a correlation of more than 120
    /// bytes, allocates too. Where the journal has no lanes, all that goes beyond the answer does:
    /// propensity, vector, cause, correlation and step. Every n-th call (n = a quarter of the
    /// queue) wakes the writer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(
    ///     Inference::new("dqn_agent", "ETH/USDT", "BUY")
    ///         .probabilities(&[("BUY", 0.85), ("SELL", 0.15)])
    ///         .features(&[0.1, 0.2])
    ///         .processing_time(Duration::from_micros(120)),
    /// );
    /// assert!(id.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn log<A: Attributes>(&self, inference: Inference<'_, A>) -> Option<InferenceId> {
        self.queue.log(&inference)
    }

    /// Starts measuring a processing time; see [`Inference::timer`].
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let timer = journal.start();
    /// let probabilities = [("BUY", 0.85), ("SELL", 0.15)]; // the forward pass
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// journal.log(decision.probabilities(&probabilities).timer(timer));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn start(&self) -> Timer {
        Timer::start(&self.queue.clock)
    }

    /// Begins a [`Recorder`](crate::Recorder): names bound once, for the fastest calls.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let recorder = journal
    ///     .recorder("dqn_agent", "ETH/USDT")
    ///     .actions(["BUY", "SELL", "HOLD"])
    ///     .build()?;
    /// let timer = recorder.start();
    /// recorder.log(timer, 0, &[0.85, 0.10, 0.05], &[0.1, 0.2]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn recorder(&self, model: impl Into<String>, symbol: impl Into<String>) -> RecorderBuilder {
        RecorderBuilder::new(self.queue.clone(), model.into(), symbol.into())
    }

    /// Records an outcome of an inference or repeat: of this run, of an earlier one or of another
    /// process. Returns whether it was queued; if not, it is counted as dropped.
    ///
    /// Each value replaces the earlier one under the same name. An id that is not in the journal
    /// yet is no error: the two may be under way in different processes. Looks up each named
    /// value's name and allocates; no lock in the ordinary case, and no system call. An outcome
    /// with over 1,024 named values or 1 MiB of text is refused and counted.
    ///
    /// ```
    /// # use annals::{Inference, Journal, Outcome};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # let id = id.unwrap();
    /// // a bar later
    /// assert!(journal.attach_outcome(id, Outcome::new().reward(1.5).correct(true)));
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let known = journal.reader()?.outcome(id)?;
    /// assert_eq!(known.and_then(|known| known.reward).map(|reward| reward.value), Some(1.5));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attach_outcome(&self, id: InferenceId, outcome: Outcome<'_>) -> bool {
        self.queue.outcome(id, &outcome)
    }

    /// Records something that happened around the models. Returns whether it was queued; if not, it
    /// is counted as dropped. Allocates; for the loop itself there is [`log`](Self::log).
    ///
    /// ```
    /// # use annals::{Journal, Level};
    /// # let journal = Journal::in_memory()?;
    /// assert!(journal.event(Level::Warn, "exchange", "no ticks for 5 s"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn event(&self, level: Level, component: &str, message: impl Into<String>) -> bool {
        self.queue
            .system_event(level, component, message.into(), Vec::new())
    }

    /// Like [`event`](Self::event), with named values.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// use annals::{Level, Value};
    ///
    /// let fields = vec![("delay_ms".to_owned(), Value::from(250))];
    /// assert!(journal.event_with(Level::Warn, "feed", "the feed is late", fields));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn event_with(
        &self,
        level: Level,
        component: &str,
        message: impl Into<String>,
        fields: Vec<(String, Value)>,
    ) -> bool {
        self.queue
            .system_event(level, component, message.into(), fields)
    }

    /// Records what happened to a checkpoint, for code that keeps its checkpoints itself.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// use annals::entry::CheckpointAction;
    ///
    /// // For checkpoints that the registry does not keep; its own are recorded by itself.
    /// let id = "dqn_agent_20250725_143500";
    /// assert!(journal.checkpoint_event(CheckpointAction::Loaded, "dqn_agent", id, "epoch=7"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn checkpoint_event(
        &self,
        action: CheckpointAction,
        model: &str,
        checkpoint: &str,
        detail: &str,
    ) -> bool {
        self.queue
            .checkpoint_event(action, model, checkpoint, detail)
    }

    /// A layer that records `tracing` events of `least` and above as system events. Needs the
    /// feature `tracing`.
    ///
    /// ```
    /// use annals::{Journal, Level};
    /// use tracing_subscriber::prelude::*;
    ///
    /// let journal = Journal::in_memory()?;
    /// let subscriber = tracing_subscriber::registry().with(journal.layer(Level::Info));
    /// tracing::subscriber::with_default(subscriber, || tracing::info!("feed connected"));
    /// assert_eq!(journal.health().offered, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn layer(&self, least: Level) -> crate::JournalLayer {
        crate::JournalLayer::new(self.queue.clone(), least)
    }

    /// Reports that a condition holds, once: the first call records an event, further ones are only
    /// counted until [`clear`](Self::clear). Returns whether this call was the first. Takes a lock.
    ///
    /// ```
    /// # use annals::{Journal, Level};
    /// # let journal = Journal::in_memory()?;
    /// for _tick in 0..10_000 {
    ///     journal.raise(Level::Info, "registry", "no checkpoints for dqn_agent");
    /// }
    /// journal.clear("registry", "no checkpoints for dqn_agent"); // says it, with the count
    /// assert_eq!(journal.health().offered, 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn raise(&self, level: Level, component: &str, condition: &str) -> bool {
        self.conditions
            .raise(level, component, condition, Vec::new())
    }

    /// Reports that a condition that was [raised](Self::raise) is over, and how often it occurred.
    /// Returns whether it had been raised.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// journal.raise(annals::Level::Warn, "feed", "the feed is late");
    /// assert!(journal.clear("feed", "the feed is late"));
    /// assert!(!journal.clear("feed", "the feed is late")); // it was over already
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn clear(&self, component: &str, condition: &str) -> bool {
        self.conditions.clear(component, condition)
    }
}
