//! What a decision carries besides its answer.

use annals::entry::EpisodeId;
use annals::{Inference, InferenceId, InferenceRecord};

use super::super::content::hash;

/// The extras of a line, with ids as they are here.
pub struct Extras<'l> {
    pub propensity: Option<f32>,
    pub vector: Vec<f32>,
    pub cause: Option<InferenceId>,
    pub correlation: Option<&'l str>,
    pub step: Option<(EpisodeId, u64)>,
    /// Sorted by name.
    pub predictions: Vec<(&'l str, f64)>,
}

impl Extras<'_> {
    /// Those of an entry.
    pub fn of_record(record: &InferenceRecord) -> Extras<'_> {
        Extras {
            propensity: record.propensity,
            vector: record.action_vector.clone(),
            cause: record.caused_by,
            correlation: record.correlation.as_deref(),
            step: record.episode.zip(record.step),
            predictions: record
                .predictions
                .iter()
                .map(|(name, number)| (&**name, *number))
                .collect(),
        }
    }

    /// The decision with all of them.
    pub fn given_to<'i>(&'i self, mut inference: Inference<'i>) -> Inference<'i> {
        if let Some(propensity) = self.propensity {
            inference = inference.propensity(propensity);
        }
        if let Some(cause) = self.cause {
            inference = inference.caused_by(cause);
        }
        if let Some(text) = self.correlation {
            inference = inference.correlation(text);
        }
        if let Some((episode, step)) = self.step {
            inference = inference.episode(episode, step);
        }
        inference
            .action_vector(&self.vector)
            .predictions(&self.predictions)
    }

    /// One number for equal ones. All NaN are the same.
    pub fn hash(&self) -> u64 {
        let bits = |value: f32| match value.is_nan() {
            true => f32::NAN.to_bits(),
            false => value.to_bits(),
        };
        let vector: Vec<u32> = self.vector.iter().copied().map(bits).collect();
        let propensity = self.propensity.map(bits);
        let step = self.step.map(|(episode, step)| (episode.to_u64(), step));
        let cause = self.cause.map(InferenceId::to_u64);
        let bits = |number: f64| match number.is_nan() {
            true => f64::NAN.to_bits(),
            false => number.to_bits(),
        };
        let predictions = self.predictions.iter();
        let predictions: Vec<_> = predictions
            .map(|(name, value)| (*name, bits(*value)))
            .collect();
        let linked = (cause, self.correlation, step);
        hash(&(propensity, vector, linked, predictions))
    }
}
