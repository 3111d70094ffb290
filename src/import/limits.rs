//! The size of an imported entry: as much as a recorder takes, so that every reader can decode it.

use crate::engine::format::name::LONGEST_NAME;
use crate::entry::error::{Error, Result};
use crate::entry::extras::TooLarge;
use crate::entry::floats::MOST;
use crate::entry::inference::Inference;
use crate::entry::outcome::Outcome;
use crate::entry::value::Value;
use crate::record::queue::enqueue::{LABEL_OVERHEAD, MOST_TEXT, attribute_bytes};

/// The longest name of a source, bytes: as long as a path.
const LONGEST_SOURCE: usize = 4_096;

/// Refuses an inference that is too large, and names the field that takes most.
pub(super) fn check_inference(inference: &Inference<'_>) -> Result<()> {
    if inference.probabilities.len() > MOST {
        return Err(Error::InvalidOption {
            name: "probabilities",
            value: format!("{} of them", inference.probabilities.len()),
            advice: "give at most 1,024",
        });
    }
    if inference.predictions.len() > MOST {
        return Err(Error::InvalidOption {
            name: "predictions",
            value: format!("{} of them", inference.predictions.len()),
            advice: "give at most 1,024",
        });
    }
    inference.extras().check().map_err(|what| match what {
        TooLarge::Vector(many) => Error::InvalidOption {
            name: "action vector",
            value: format!("{many} numbers"),
            advice: "give at most 1,024",
        },
        TooLarge::Correlation(bytes) => Error::InvalidOption {
            name: "correlation",
            value: format!("{bytes} bytes"),
            advice: "give at most 1,024 bytes",
        },
    })?;
    let labels = inference.probabilities.iter().map(|(label, _)| *label);
    let attributes = inference.attributes.iter();
    let attributes = attributes.map(|(key, value)| attribute_bytes(key, value));
    let predictions = inference.predictions.iter();
    let predictions = predictions.map(|(name, _)| written(name));
    check_text([
        ("model", written(inference.model)),
        ("symbol", written(inference.symbol)),
        ("action", written(inference.action)),
        ("checkpoint", inference.checkpoint.map_or(0, written)),
        ("labels of probabilities", written_labels(labels)),
        ("attributes", attributes.sum()),
        ("predictions", predictions.sum()),
    ])
}

/// Bytes of a name that stands in its entry: a short one is stored once, and counts as little as
/// where it was recorded.
fn written(name: &str) -> usize {
    match name.len() {
        0..=LONGEST_NAME => 0,
        longer => longer,
    }
}

/// The same for the labels of an inference, which are one name with a separator between them.
fn written_labels<'l>(labels: impl Iterator<Item = &'l str> + Clone) -> usize {
    let joined = labels.clone().map(|label| label.len().saturating_add(1));
    if joined.fold(0, usize::saturating_add) <= LONGEST_NAME + 1 {
        return 0;
    }
    let each = labels.map(|label| label.len().saturating_add(LABEL_OVERHEAD));
    each.fold(0, usize::saturating_add)
}

/// Refuses an outcome that is too large.
pub(super) fn check_outcome(outcome: &Outcome<'_>) -> Result<()> {
    if outcome.values.len() > MOST {
        return Err(Error::InvalidOption {
            name: "values of an outcome",
            value: format!("{} of them", outcome.values.len()),
            advice: "give at most 1,024",
        });
    }
    let names = outcome.values.iter().map(|(name, _)| name.len());
    check_text([
        ("label of an outcome", outcome.label.map_or(0, str::len)),
        ("names of an outcome's values", names.sum()),
    ])
}

/// Refuses a system event that is too large.
pub(super) fn check_event(
    component: &str,
    message: &str,
    fields: &[(String, Value)],
) -> Result<()> {
    let bytes = fields
        .iter()
        .map(|(key, value)| attribute_bytes(key, value));
    check_text([
        ("component of an event", component.len()),
        ("message of an event", message.len()),
        ("fields of an event", bytes.sum()),
    ])
}

/// Refuses a checkpoint event that is too large.
pub(super) fn check_checkpoint_event(model: &str, checkpoint: &str, detail: &str) -> Result<()> {
    check_text([
        ("model", model.len()),
        ("checkpoint", checkpoint.len()),
        ("detail of an event", detail.len()),
    ])
}

fn check_text<const N: usize>(fields: [(&'static str, usize); N]) -> Result<()> {
    let sizes = fields.iter().map(|(_, bytes)| *bytes);
    let total = sizes.fold(0, usize::saturating_add);
    if total <= MOST_TEXT {
        return Ok(());
    }
    let largest = fields.iter().max_by_key(|(_, bytes)| *bytes);
    let (name, bytes) = largest.copied().unwrap_or_default();
    Err(Error::InvalidOption {
        name,
        value: format!("{bytes} bytes, {total} with the other texts"),
        advice: "give at most 1 MiB of text with one entry",
    })
}

/// Refuses a source whose name is too long: the runs are read whenever the journal is opened.
pub(super) fn check_source(name: &str) -> Result<()> {
    if name.len() <= LONGEST_SOURCE {
        return Ok(());
    }
    Err(Error::InvalidOption {
        name: "source",
        value: format!("{} bytes", name.len()),
        advice: "give a name of at most 4,096 bytes",
    })
}

/// The error of an entry that the encoder refused.
pub(super) fn too_large(name: &'static str, why: String) -> Error {
    Error::InvalidOption {
        name,
        value: why,
        advice: "give less with one entry",
    }
}
