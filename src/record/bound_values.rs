//! Names of predictions and attributes that a recorder has bound.

use super::queue::local_names::LocalNames;
use super::queue::typed::{BoundAttribute, BoundName};
use crate::entry::prediction;
use crate::entry::typed::{AttributeType, ValueKind};

/// The names of typed values, in the order in which calls give them.
#[derive(Debug, Default)]
pub(super) struct BoundValues {
    pub(super) predictions: Vec<BoundName>,
    pub(super) attributes: Vec<BoundAttribute>,
}

impl BoundValues {
    pub(super) fn bind(
        names: &LocalNames,
        predictions: &[String],
        attributes: &[(String, AttributeType)],
    ) -> BoundValues {
        let prediction = |name: &String| {
            let stored = prediction::actual_of(name);
            BoundName::bind(names, ValueKind::Prediction, &stored)
        };
        let attribute = |(name, value_type): &(String, AttributeType)| BoundAttribute {
            name: BoundName::bind(names, ValueKind::Attribute, name),
            text: name.as_str().into(),
            value_type: *value_type,
        };
        BoundValues {
            predictions: predictions.iter().map(prediction).collect(),
            attributes: attributes.iter().map(attribute).collect(),
        }
    }
}
