//! The parts of a decision that few calls give: keyword arguments of every `log`.

use std::time::Duration;

use annals::entry::EpisodeId;
use annals::{InferenceId, Timestamp, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::invalid;
use crate::features::{Numbers, Shape};
use crate::timer::Timer;
use crate::values;

/// Every keyword of `log`, given or left out.
#[derive(Default)]
pub(crate) struct More {
    pub(crate) confidence: Option<f64>,
    pub(crate) processing_time: Option<Duration>,
    pub(crate) event_time: Option<Timestamp>,
    pub(crate) feature_hash: Option<u64>,
    pub(crate) propensity: Option<f64>,
    pub(crate) sampled: bool,
    pub(crate) action_vector: Vec<f32>,
    pub(crate) caused_by: Option<InferenceId>,
    pub(crate) correlation: Option<String>,
    pub(crate) episode: Option<(EpisodeId, u64)>,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) keep: bool,
    pub(crate) keep_bytes: Option<Vec<u8>>,
    /// Only with names as strings; a recorder has its own.
    pub(crate) checkpoint: Option<String>,
    pub(crate) memory: Option<u64>,
    pub(crate) deterministic: bool,
}

/// Whether names are strings of the call, or bound to a recorder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    InCall,
    Bound,
}

impl More {
    /// Reads the keywords. One whose value is None counts as left out.
    pub(crate) fn of(given: Option<&Bound<'_, PyDict>>, names: Names) -> PyResult<More> {
        let mut more = More::default();
        let (mut episode, mut step) = (None, None);
        for (key, item) in given.into_iter().flatten() {
            if item.is_none() {
                continue;
            }
            let key = values::text("keyword", &key)?;
            match (&*key, names) {
                ("confidence", _) => more.confidence = Some(values::real(&key, &item)?),
                ("processing_time", _) => {
                    more.processing_time = Some(values::duration(&key, &item)?);
                }
                ("event_time", _) => more.event_time = Some(values::timestamp(&key, &item)?),
                ("feature_hash", _) => more.feature_hash = Some(values::count(&key, &item)?),
                ("propensity", _) => more.propensity = Some(values::real(&key, &item)?),
                ("sampled", _) => more.sampled = item.is_truthy()?,
                ("action_vector", _) => {
                    let vector = Numbers::of(&key, &item, Shape::Row)?;
                    more.action_vector = vector.to_f32().into_owned();
                }
                ("caused_by", _) => more.caused_by = Some(values::inference_id(&key, &item)?),
                ("correlation", _) => {
                    more.correlation = Some(values::text(&key, &item)?.into_owned());
                }
                ("episode", _) => episode = Some(values::episode_id(&key, &item)?),
                ("step", _) => step = Some(values::count(&key, &item)?),
                ("attributes", _) => more.attributes = values::named_values(&key, &item)?,
                ("keep", _) => more.keep = item.is_truthy()?,
                ("keep_bytes", _) => {
                    let bytes = item.cast::<PyBytes>().map_err(|_| {
                        invalid(
                            &key,
                            format!("expected bytes, got {}", values::kind_of(&item)),
                        )
                    })?;
                    more.keep_bytes = Some(bytes.as_bytes().to_vec());
                }
                ("timer", Names::InCall) => {
                    let timer = item.cast::<Timer>()?;
                    more.processing_time = Some(timer.get().elapsed());
                }
                ("checkpoint", Names::InCall) => {
                    more.checkpoint = Some(values::text(&key, &item)?.into_owned());
                }
                ("memory", Names::InCall) => more.memory = Some(values::count(&key, &item)?),
                ("deterministic", Names::InCall) => more.deterministic = item.is_truthy()?,
                _ => {
                    let message = format!("log() got an unexpected keyword argument '{key}'");
                    return Err(PyTypeError::new_err(message));
                }
            }
        }
        more.episode = match (episode, step) {
            (Some(id), step) => Some((id, step.unwrap_or(0))),
            (None, Some(_)) => return Err(invalid("step", "give the episode too")),
            (None, None) => None,
        };
        Ok(more)
    }
}

/// Adds the parts to a decision, with names in the call or bound: both have the same methods.
macro_rules! add_more {
    ($decision:ident, $more:ident) => {
        if let Some(confidence) = $more.confidence {
            $decision = $decision.confidence(confidence);
        }
        if let Some(time) = $more.processing_time {
            $decision = $decision.processing_time(time);
        }
        if let Some(time) = $more.event_time {
            $decision = $decision.event_time(time);
        }
        if let Some(hash) = $more.feature_hash {
            $decision = $decision.features_hashed(hash);
        }
        if let Some(probability) = $more.propensity {
            $decision = $decision.propensity(probability);
        }
        if $more.sampled {
            $decision = $decision.sampled();
        }
        if !$more.action_vector.is_empty() {
            $decision = $decision.action_vector(&$more.action_vector);
        }
        if let Some(cause) = $more.caused_by {
            $decision = $decision.caused_by(cause);
        }
        if let Some(correlation) = &$more.correlation {
            $decision = $decision.correlation(correlation);
        }
        if let Some((episode, step)) = $more.episode {
            $decision = $decision.episode(episode, step);
        }
        if let Some(bytes) = &$more.keep_bytes {
            $decision = $decision.keep_bytes(bytes);
        }
    };
}
pub(crate) use add_more;

/// Attributes as the library borrows them.
pub(crate) fn borrowed(attributes: &[(String, Value)]) -> Vec<(&str, Value)> {
    let pairs = attributes.iter();
    pairs
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect()
}
