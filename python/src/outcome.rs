//! What became known after a decision.

use annals::Outcome;
use annals::entry::EpisodeEnd;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::invalid;
use crate::values;

/// The keywords of an outcome, read.
#[derive(Default)]
pub(crate) struct Given {
    reward: Option<f64>,
    correct: Option<bool>,
    label: Option<String>,
    at: Option<annals::Timestamp>,
    episode_end: Option<EpisodeEnd>,
    episode_reward: Option<f64>,
    values: Vec<(String, f64)>,
}

/// How an episode ends, from its word.
pub(crate) fn episode_end(name: &str, given: &Bound<'_, PyAny>) -> PyResult<EpisodeEnd> {
    let word = values::text(name, given)?;
    let all = [
        EpisodeEnd::Terminated,
        EpisodeEnd::Truncated,
        EpisodeEnd::Abandoned,
    ];
    let found = all.into_iter().find(|end| end.as_str() == word);
    found.ok_or_else(|| {
        let known = all.map(EpisodeEnd::as_str).join(", ");
        invalid(
            name,
            format!("{word:?} is no end of an episode; give one of {known}"),
        )
    })
}

impl Given {
    /// Reads the keywords; those that are not built in are values with that name.
    pub(crate) fn of(given: Option<&Bound<'_, PyDict>>) -> PyResult<Given> {
        let mut outcome = Given::default();
        for (key, item) in given.into_iter().flatten() {
            if item.is_none() {
                continue;
            }
            let key = values::text("keyword", &key)?;
            match &*key {
                "reward" => outcome.reward = Some(values::real(&key, &item)?),
                "correct" => {
                    let correct = item.extract::<bool>().map_err(|_| {
                        let kind = values::kind_of(&item);
                        invalid(&key, format!("expected True or False, got {kind}"))
                    })?;
                    outcome.correct = Some(correct);
                }
                "label" => outcome.label = Some(values::text(&key, &item)?.into_owned()),
                "at" => outcome.at = Some(values::timestamp(&key, &item)?),
                "episode_end" => outcome.episode_end = Some(episode_end(&key, &item)?),
                "episode_reward" => outcome.episode_reward = Some(values::real(&key, &item)?),
                _ => {
                    let value = values::real(&key, &item)?;
                    outcome.values.push((key.into_owned(), value));
                }
            }
        }
        Ok(outcome)
    }

    /// As the library takes it.
    pub(crate) fn outcome(&self) -> Outcome<'_> {
        let mut outcome = Outcome::new();
        if let Some(reward) = self.reward {
            outcome = outcome.reward(reward);
        }
        if let Some(correct) = self.correct {
            outcome = outcome.correct(correct);
        }
        if let Some(label) = &self.label {
            outcome = outcome.label(label);
        }
        if let Some(time) = self.at {
            outcome = outcome.at(time);
        }
        if let Some(end) = self.episode_end {
            outcome = outcome.ends_episode(end);
        }
        if let Some(reward) = self.episode_reward {
            outcome = outcome.episode_reward(reward);
        }
        for (name, value) in &self.values {
            outcome = outcome.value(name, *value);
        }
        outcome
    }
}
