//! Every outcome of a decision, as `export` writes them beside what holds.

use std::collections::HashMap;

use annals::Outcome;
use annals::import::PastOutcome;
use serde::Deserialize;

use super::super::times::GivenTime;
use super::line::{JsonNumber, LineOutcomes};
use super::{JsonlImport, LineTrouble};

/// One outcome, and who recorded it when.
#[derive(Deserialize)]
pub struct HistoryOutcome {
    /// A run of the journal that it comes from.
    pub recorded_by: Option<u32>,
    recorded_time: Option<GivenTime>,
    time: Option<GivenTime>,
    reward: Option<JsonNumber>,
    correct: Option<bool>,
    label: Option<String>,
    #[serde(default)]
    values: HashMap<String, Option<JsonNumber>>,
}

impl HistoryOutcome {
    fn outcome(&self) -> Result<Outcome<'_>, String> {
        let mut outcome = Outcome::new();
        if let Some(reward) = &self.reward {
            outcome = outcome.reward(reward.value()?);
        }
        if let Some(correct) = self.correct {
            outcome = outcome.correct(correct);
        }
        if let Some(label) = &self.label {
            outcome = outcome.label(label);
        }
        for (name, value) in &self.values {
            if let Some(value) = value {
                outcome = outcome.value(name, value.value()?);
            }
        }
        Ok(outcome)
    }
}

/// Whether all current values are in the history: the file may have been changed.
pub fn agrees(turned: &LineOutcomes, history: &[HistoryOutcome]) -> bool {
    let has = |name: &str, is_said: &dyn Fn(&HistoryOutcome) -> bool| {
        let time = turned.times.get(name).or(turned.time.as_ref());
        let mut history = history.iter();
        history.any(|past| (time.is_none() || past.time.as_ref() == time) && is_said(past))
    };
    let is_same = |one: &JsonNumber, other: Option<&JsonNumber>| {
        let bits = |number: &JsonNumber| number.value().ok().map(f64::to_bits);
        other.is_some_and(|other| bits(one) == bits(other))
    };
    let reward = turned.reward.as_ref();
    let label = turned.label.as_ref();
    let mut values = turned.values.iter();
    reward.is_none_or(|reward| has("reward", &|past| is_same(reward, past.reward.as_ref())))
        && (turned.correct.is_none() || has("correct", &|past| past.correct == turned.correct))
        && (label.is_none() || has("label", &|past| past.label.as_ref() == label))
        && values.all(|(name, value)| {
            let Some(value) = value else {
                return true;
            };
            has(&format!("values.{name}"), &|past| {
                is_same(value, past.values.get(name).and_then(Option::as_ref))
            })
        })
}

impl JsonlImport {
    /// The outcomes of a line as they are taken in; those without a run of their own are of `run`.
    pub(super) fn history<'l>(
        &mut self,
        journal: &str,
        run: u32,
        history: &'l [HistoryOutcome],
    ) -> Result<Vec<PastOutcome<'l>>, LineTrouble> {
        let mut all = Vec::with_capacity(history.len());
        for past in history {
            let mut outcome = past.outcome()?;
            if let Some(time) = &past.time {
                outcome = outcome.at(self.times.time("outcomes.time", time)?);
            }
            let recorded = past.recorded_time.as_ref();
            let recorded = recorded.map(|stamp| self.times.time("outcomes.recorded_time", stamp));
            all.push(PastOutcome {
                outcome,
                recorded_time: recorded.transpose()?,
                recorded_by: self.run(journal, past.recorded_by.unwrap_or(run))?,
            });
        }
        Ok(all)
    }
}
