//! What turned out later for an inference: as it is handed in, and as it is read back.

use std::sync::Arc;

use serde::Serialize;

use crate::ids::{InferenceId, RunId};
use crate::timestamp::Timestamp;
use crate::value::Number;

/// What turned out for one inference, to be handed to
/// [`Journal::attach_outcome`](crate::Journal::attach_outcome).
///
/// It borrows its texts. Values are known by name: *reward*, *correct* and *label* are built in,
/// others are named by the caller, in a space of names of their own. A later value replaces an
/// earlier one of the same name and leaves the others as they are.
///
/// ```
/// use annals::{Outcome, Timestamp};
///
/// let closed_at = Timestamp::from_micros(1_753_454_079_000_000);
/// let outcome = Outcome::reward(1.5)
///     .and_correct(true)
///     .and_label("take profit")
///     .and_value("slippage_bp", 0.3)
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
    pub(crate) values: Vec<(&'a str, f64)>,
    pub(crate) time: Option<Timestamp>,
}

impl<'a> Outcome<'a> {
    /// What the decision was worth: a return, a score. What is NaN or infinite is stored as given,
    /// left out of statistics and counted there as invalid.
    pub fn reward(reward: impl Into<Number>) -> Self {
        Outcome::default().and_reward(reward)
    }

    /// Whether the decision was right.
    pub fn correct(correct: bool) -> Self {
        Outcome::default().and_correct(correct)
    }

    /// What the answer should have been, or any other word for what came of it.
    pub fn label(label: &'a str) -> Self {
        Outcome::default().and_label(label)
    }

    /// A number with a name of its own. Names are kept for ever: use few.
    pub fn value(name: &'a str, value: impl Into<Number>) -> Self {
        Outcome::default().and_value(name, value)
    }

    /// With this [`reward`](Self::reward) too.
    pub fn and_reward(mut self, reward: impl Into<Number>) -> Self {
        self.reward = Some(reward.into().get());
        self
    }

    /// With this verdict too; see [`correct`](Self::correct).
    pub fn and_correct(mut self, correct: bool) -> Self {
        self.correct = Some(correct);
        self
    }

    /// With this [`label`](Self::label) too.
    pub fn and_label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// With this named [`value`](Self::value) too.
    pub fn and_value(mut self, name: &'a str, value: impl Into<Number>) -> Self {
        let value = value.into().get();
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => self.values.push((name, value)),
        }
        self
    }

    /// When it turned out, if not now.
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
    /// What the decision was worth.
    pub reward: Option<f64>,
    /// Whether it was right.
    pub correct: Option<bool>,
    /// What came of it, in a word.
    pub label: Option<Arc<str>>,
    /// Values by name.
    pub values: Vec<(Arc<str>, f64)>,
}

/// A value that holds now, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Latest<T> {
    /// The value.
    pub value: T,
    /// When it turned out.
    pub time: Timestamp,
    /// The sequence of the entry that says so.
    pub sequence: u64,
}

/// What has turned out for one inference: under each name what was recorded last. From
/// [`Reader::outcome`](crate::Reader::outcome).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcomes {
    /// The inference or repeat.
    pub of: InferenceId,
    /// What the decision was worth.
    pub reward: Option<Latest<f64>>,
    /// Whether it was right.
    pub correct: Option<Latest<bool>>,
    /// What came of it, in a word.
    pub label: Option<Latest<Arc<str>>>,
    /// Values by name, sorted by it.
    pub values: Vec<(Arc<str>, Latest<f64>)>,
}

impl Outcomes {
    pub(crate) fn none(of: InferenceId) -> Self {
        Outcomes {
            of,
            reward: None,
            correct: None,
            label: None,
            values: Vec::new(),
        }
    }

    /// The value with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Latest<f64>> {
        let found = self
            .values
            .binary_search_by(|(known, _)| (**known).cmp(name));
        found.ok().map(|index| self.values[index].1)
    }

    /// Takes over from `entry`, which is older than all that is known, what is not known yet.
    pub(crate) fn fill(&mut self, sequence: u64, entry: OutcomeEntry) {
        let time = entry.time;
        fill(&mut self.reward, entry.reward, time, sequence);
        fill(&mut self.correct, entry.correct, time, sequence);
        fill(&mut self.label, entry.label, time, sequence);
        for (name, value) in entry.values {
            let place = self.values.binary_search_by(|(known, _)| known.cmp(&name));
            if let Err(place) = place {
                let latest = Latest {
                    value,
                    time,
                    sequence,
                };
                self.values.insert(place, (name, latest));
            }
        }
    }
}

fn fill<T>(known: &mut Option<Latest<T>>, value: Option<T>, time: Timestamp, sequence: u64) {
    if known.is_none() {
        *known = value.map(|value| Latest {
            value,
            time,
            sequence,
        });
    }
}
