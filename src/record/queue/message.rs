//! The message in the queue: a small record that is copied, and a box for the rest.

use crate::engine::format::name::NameKind;
use crate::entry::extras::OwnedExtras;
use crate::entry::floats::INLINE;
use crate::entry::input::Condition;

use super::channel::Numbered;
use super::input_queue::{QueuedBlob, QueuedInput};
use super::local_names::{LocalName, NO_NAME};
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::typed::{TypedValue, ValueKind};
use crate::entry::value::Value;

/// Stands for "processing time unknown".
pub(crate) const NO_PROCESSING: u64 = u64::MAX;

/// An inference whose names are numbers and whose probabilities fit in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) id: u64,
    /// Monotonic time of the call.
    pub(crate) ticks: u64,
    /// Microseconds since 1970, if `has_event`; otherwise it happened when it was recorded.
    pub(crate) event: i64,
    /// xxh3-64 of the features, if `has_features`.
    pub(crate) features: u64,
    /// Nanoseconds, or [`NO_PROCESSING`].
    pub(crate) processing: u64,
    pub(crate) model: LocalName,
    pub(crate) symbol: LocalName,
    pub(crate) action: LocalName,
    pub(crate) checkpoint: LocalName,
    pub(crate) labels: LocalName,
    pub(crate) confidence: f32,
    pub(crate) probabilities: [f32; INLINE],
    pub(crate) probability_count: u8,
    pub(crate) has_event: bool,
    pub(crate) has_features: bool,
    pub(crate) has_confidence: bool,
    /// Another answer to the same question is a divergence.
    pub(crate) is_deterministic: bool,
    /// An input was to be kept, and was given up.
    pub(crate) is_input_given_up: bool,
}

/// An inference with something that a [`Record`] has no room for.
#[derive(Debug)]
pub(crate) struct Extended {
    /// Its probabilities are ignored.
    pub(crate) record: Record,
    pub(crate) probabilities: Box<[f32]>,
    /// Bytes of process memory that the caller gave.
    pub(crate) memory: Option<u64>,
    pub(crate) texts: Option<Box<Texts>>,
    pub(crate) extras: Option<Box<OwnedExtras>>,
    pub(crate) input: Option<QueuedInput>,
    pub(crate) blobs: Vec<QueuedBlob>,
    pub(crate) values: Vec<TypedField>,
}

/// A typed value of a decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TypedField {
    pub(crate) kind: ValueKind,
    pub(crate) name: LocalName,
    /// The name, if the table of this process has no room for it.
    pub(crate) written: Option<Box<str>>,
    pub(crate) value: TypedValue,
}

/// The kind of a typed value's name. That of a prediction is the name of its actual.
pub(crate) const fn name_kind(kind: ValueKind) -> NameKind {
    match kind {
        ValueKind::Prediction => NameKind::OutcomeName,
        ValueKind::Attribute => NameKind::AttributeName,
    }
}

/// Attributes, and the names that the table of this process has no room for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    pub(crate) model: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) checkpoint: Option<String>,
    /// Joined.
    pub(crate) labels: Option<String>,
    pub(crate) attributes: Vec<(String, Value)>,
}

impl Texts {
    /// Shows the names.
    fn each_name(&self, mut see: impl FnMut(NameKind, &str)) {
        for (kind, text) in [
            (NameKind::Model, &self.model),
            (NameKind::Symbol, &self.symbol),
            (NameKind::Action, &self.action),
            (NameKind::Checkpoint, &self.checkpoint),
            (NameKind::Labels, &self.labels),
        ] {
            if let Some(text) = text {
                see(kind, text);
            }
        }
    }
}

/// One value of an outcome, and under which name.
#[derive(Debug)]
pub(crate) enum QueuedValue {
    Reward(f64),
    Correct(bool),
    Label(String),
    Named(LocalName, f64),
    /// One whose name the table of this process has no room for.
    Written(String, f64),
}

/// Something that is no inference.
#[derive(Debug)]
pub(crate) enum OtherEntry {
    System {
        ticks: u64,
        level: Level,
        component: LocalName,
        written: Option<String>,
        message: String,
        fields: Vec<(String, Value)>,
    },
    Checkpoint {
        ticks: u64,
        action: CheckpointAction,
        model: LocalName,
        checkpoint: LocalName,
        written: (Option<String>, Option<String>),
        detail: String,
    },
    Outcome {
        ticks: u64,
        of: u64,
        /// Microseconds since 1970; `None` if it turned out when it was recorded.
        time: Option<i64>,
        values: Vec<QueuedValue>,
    },
}

/// One slot of the queue.
#[derive(Debug)]
pub(crate) enum Message {
    Inference(Record),
    Extended(Box<Extended>),
    /// With the id that its call took, which orders it among the others.
    Other(u64, Box<OtherEntry>),
}

impl Numbered for Message {
    fn id(&self) -> Option<u64> {
        match self {
            Message::Inference(record) => Some(record.id),
            Message::Extended(extended) => Some(extended.record.id),
            Message::Other(id, _) => Some(*id),
        }
    }
}

impl Message {
    /// Shows every name that the message refers to to `see`.
    pub(crate) fn each_name(&self, see: impl FnMut(LocalName)) {
        let (record, input, values) = match self {
            Message::Inference(record) => (record, None, &[][..]),
            Message::Extended(extended) => {
                let input = extended.input.as_ref();
                (&extended.record, input, &extended.values[..])
            }
            Message::Other(_, event) => return event.each_name(see),
        };
        [
            record.model,
            record.symbol,
            record.action,
            record.checkpoint,
            record.labels,
            input.map_or(NO_NAME, |input| input.names),
        ]
        .into_iter()
        .chain(values.iter().map(|value| value.name))
        .filter(|name| *name != NO_NAME)
        .for_each(see);
    }
}

impl Message {
    /// Takes the input and the blobs away for want of room, and notes that; how many there were.
    pub(crate) fn give_up_inputs(&mut self) -> u64 {
        let Message::Extended(extended) = self else {
            return 0;
        };
        let had_one = extended.input.take().is_some();
        extended.record.is_input_given_up |= had_one;
        let blobs = extended.blobs.iter_mut();
        let given_up = blobs.filter_map(|blob| blob.content.take()).count() as u64;
        given_up + u64::from(had_one)
    }

    /// Whether its input is to be kept, or was given up.
    pub(crate) fn was_to_keep_input(&self) -> bool {
        match self {
            Message::Inference(record) => record.is_input_given_up,
            Message::Extended(extended) => {
                let is_kept = |input: &QueuedInput| input.condition == Condition::None;
                let is_kept = extended.input.as_ref().is_some_and(is_kept);
                is_kept || extended.record.is_input_given_up
            }
            Message::Other(..) => false,
        }
    }

    /// Whether another answer to its question is a divergence.
    #[inline]
    pub(crate) fn is_deterministic(&self) -> bool {
        match self {
            Message::Inference(record) => record.is_deterministic,
            Message::Extended(extended) => extended.record.is_deterministic,
            Message::Other(..) => false,
        }
    }

    /// Bytes of its texts and of its input, roughly.
    #[inline]
    pub(crate) fn text_bytes(&self) -> usize {
        let of_pairs = |pairs: &[(String, Value)]| -> usize {
            let bytes = |(key, value): &(String, Value)| match value {
                Value::Text(text) => key.len() + text.len(),
                _ => key.len(),
            };
            pairs.iter().map(bytes).sum()
        };
        match self {
            Message::Inference(_) => 0,
            Message::Extended(extended) => {
                let texts = extended.texts.as_ref();
                let of_extras = extended.extras.as_ref().map_or(0, |extras| {
                    let correlation = extras.correlation.as_deref().map_or(0, str::len);
                    4 * extras.vector.len() + correlation
                });
                let of_input = extended.input.as_ref().map_or(0, |input| input.bytes.len());
                let of_values = extended.values.iter();
                let of_values = of_values.map(|value| 8 + value.value.as_typed().text_bytes());
                let of_values: usize = of_values.sum();
                let blobs = extended.blobs.iter();
                let of_blobs = blobs.map(QueuedBlob::bytes).sum::<usize>();
                let of_texts = texts.map_or(0, |texts| of_pairs(&texts.attributes));
                of_texts + of_extras + of_input + of_values + of_blobs
            }
            Message::Other(_, entry) => match &**entry {
                OtherEntry::System {
                    message, fields, ..
                } => message.len() + of_pairs(fields),
                OtherEntry::Checkpoint { detail, .. } => detail.len(),
                OtherEntry::Outcome { values, .. } => {
                    let bytes = |value: &QueuedValue| match value {
                        QueuedValue::Label(text) => text.len(),
                        _ => 0,
                    };
                    values.iter().map(bytes).sum()
                }
            },
        }
    }

    /// Shows every name of the message that the table of this process has no room for.
    #[inline]
    pub(crate) fn each_written(&self, mut see: impl FnMut(NameKind, &str)) {
        match self {
            Message::Inference(_) => {}
            Message::Extended(extended) => {
                for value in &extended.values {
                    let written = value.written.iter();
                    written.for_each(|text| see(name_kind(value.kind), text));
                }
                if let Some(texts) = &extended.texts {
                    texts.each_name(see);
                }
            }
            Message::Other(_, event) => event.each_written(see),
        }
    }
}

impl OtherEntry {
    fn each_written(&self, mut see: impl FnMut(NameKind, &str)) {
        match self {
            OtherEntry::System { written, .. } => {
                written
                    .iter()
                    .for_each(|text| see(NameKind::Component, text));
            }
            OtherEntry::Checkpoint { written, .. } => {
                let (model, checkpoint) = written;
                model.iter().for_each(|text| see(NameKind::Model, text));
                checkpoint
                    .iter()
                    .for_each(|text| see(NameKind::Checkpoint, text));
            }
            OtherEntry::Outcome { values, .. } => {
                for value in values {
                    if let QueuedValue::Written(name, _) = value {
                        see(NameKind::OutcomeName, name);
                    }
                }
            }
        }
    }

    fn each_name(&self, mut see: impl FnMut(LocalName)) {
        let named = |name: &LocalName| *name != NO_NAME;
        match self {
            OtherEntry::System { component, .. } => {
                [*component].into_iter().filter(named).for_each(see);
            }
            OtherEntry::Checkpoint {
                model, checkpoint, ..
            } => [*model, *checkpoint]
                .into_iter()
                .filter(named)
                .for_each(see),
            OtherEntry::Outcome { values, .. } => {
                for value in values {
                    if let QueuedValue::Named(name, _) = value {
                        see(*name);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_small() {
        // Two slots to a pair of cache lines: every byte here is copied twice per inference.
        assert!(size_of::<Message>() <= 112, "{}", size_of::<Message>());
    }
}
