//! Content of an inference, in a few numbers: rows are known by it where their numbers are not
//! stable.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use annals::{InferenceRecord, Value};

/// The fields that are compared one by one.
pub const FIELDS: [&str; 10] = [
    "model_name",
    "symbol",
    "action",
    "confidence",
    "probabilities",
    "input_features_hash",
    "processing_time_ms",
    "memory_usage_mb",
    "checkpoint_id",
    "metadata",
];
const MODEL: usize = 0;
const METADATA: usize = 9;

/// The content of one inference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InferenceContent {
    /// Of everything but the event time and the attributes.
    pub core: u64,
    /// The event time, microseconds since 1970.
    pub time: i64,
    /// Of each field; 0 where it is missing.
    pub fields: [u16; FIELDS.len()],
}

/// How the same row was when it was taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Likeness {
    Same,
    /// Fields are there that were missing, and the others are the same.
    Completed,
    /// Of the same model and time, with other fields.
    Changed,
    Other,
}

impl InferenceContent {
    /// How `self` stands to what was taken in before.
    pub fn likeness(&self, before: &InferenceContent) -> Likeness {
        if self.time != before.time || self.fields[MODEL] != before.fields[MODEL] {
            return Likeness::Other;
        }
        if self.core == before.core && self.fields == before.fields {
            return Likeness::Same;
        }
        let mut pairs = self.fields.iter().zip(&before.fields);
        if pairs.all(|(new, old)| new == old || *old == 0) {
            return Likeness::Completed;
        }
        Likeness::Changed
    }

    /// The fields that differ, and how.
    pub fn changes(&self, before: &InferenceContent) -> Vec<(&'static str, FieldChange)> {
        let pairs = self.fields.iter().zip(&before.fields);
        let named = FIELDS.into_iter().zip(pairs);
        let changed = named.filter(|(_, (new, old))| new != old);
        let how = changed.map(|(name, (new, old))| (name, FieldChange::of(*new != 0, *old != 0)));
        how.collect()
    }
}

/// How a field of a row differs from what was taken in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FieldChange {
    /// It was missing then.
    Completed,
    /// Another value was there.
    Other,
    /// It is missing now.
    Gone,
}

impl FieldChange {
    fn of(is_there: bool, was_there: bool) -> FieldChange {
        match (is_there, was_there) {
            (true, false) => FieldChange::Completed,
            (false, true) => FieldChange::Gone,
            _ => FieldChange::Other,
        }
    }

    /// In words.
    pub fn reason(self) -> &'static str {
        match self {
            FieldChange::Completed => "it was missing when the row was taken in",
            FieldChange::Other => "it is another than when the row was taken in",
            FieldChange::Gone => "it is missing now; the entry has it",
        }
    }
}

/// The parts of an inference, from wherever they come.
pub struct Parts<'p> {
    pub model: &'p str,
    pub symbol: &'p str,
    pub action: &'p str,
    pub confidence: Option<f32>,
    pub probabilities: &'p [(&'p str, f32)],
    pub features: Option<u64>,
    pub processing: Option<Duration>,
    /// Bytes; compared in KiB, as they are stored.
    pub memory: Option<u64>,
    pub checkpoint: Option<&'p str>,
}

impl Parts<'_> {
    /// The content, with the event time and the attributes.
    pub fn content<'a>(
        &self,
        time: i64,
        attributes: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> InferenceContent {
        let given = |text: &str| (!text.is_empty()).then(|| hash(&text));
        let labelled = || {
            let mut known = self.probabilities.iter();
            known.find(|(label, _)| *label == self.action)
        };
        let confidence = self
            .confidence
            .or_else(|| labelled().map(|(_, value)| *value));
        let pairs: Vec<(&str, u32)> = self
            .probabilities
            .iter()
            .map(|(label, value)| (*label, bits(*value)))
            .collect();
        let mut metadata = None;
        for (name, value) in attributes {
            // In any order: JSON's objects have none.
            let one = hash(&(name, format!("{value:?}")));
            metadata = Some(metadata.unwrap_or(0_u64).wrapping_add(one));
        }
        let wide = [
            given(self.model),
            given(self.symbol),
            given(self.action),
            confidence.map(|value| hash(&bits(value))),
            (!pairs.is_empty()).then(|| hash(&pairs)),
            self.features.map(|features| hash(&features)),
            self.processing.map(|time| hash(&time)),
            self.memory.map(|bytes| hash(&(bytes / 1_024))),
            self.checkpoint.and_then(given),
            metadata,
        ];
        let core = hash(&wide.get(..METADATA));
        InferenceContent {
            core,
            time,
            fields: wide.map(|wide| wide.map_or(0, narrow)),
        }
    }
}

/// The content of what is stored.
pub fn of_record(record: &InferenceRecord) -> InferenceContent {
    let probabilities: Vec<(&str, f32)> = record.probabilities.iter().collect();
    let parts = Parts {
        model: &record.model,
        symbol: &record.symbol,
        action: &record.action,
        confidence: record.confidence,
        probabilities: &probabilities,
        features: record.feature_hash,
        processing: record.processing_time,
        memory: record.memory,
        checkpoint: record.checkpoint.as_deref(),
    };
    let attributes = record.attributes.iter();
    let attributes = attributes.map(|(name, value)| (name.as_str(), value));
    parts.content(record.event_time.as_micros(), attributes)
}

/// A hash that is the same in every process.
pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// One number for all NaN.
fn bits(value: f32) -> u32 {
    if value.is_nan() {
        return f32::NAN.to_bits();
    }
    value.to_bits()
}

/// 16 bits of a hash, none of which means "missing".
fn narrow(hash: u64) -> u16 {
    u16::try_from(hash >> 48).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(action: &str, confidence: Option<f32>, note: Option<i64>) -> InferenceContent {
        let parts = Parts {
            model: "m",
            symbol: "s",
            action,
            confidence,
            probabilities: &[],
            features: None,
            processing: None,
            memory: None,
            checkpoint: None,
        };
        let note = note.map(Value::Integer);
        parts.content(5, note.iter().map(|value| ("note", value)))
    }

    #[test]
    fn rows_are_the_same_completed_changed_or_others() {
        let before = content("BUY", None, None);
        assert_eq!(before.likeness(&before), Likeness::Same);
        let later = content("BUY", Some(0.5), Some(3));
        assert_eq!(later.likeness(&before), Likeness::Completed);
        let completed = ["confidence", "metadata"].map(|name| (name, FieldChange::Completed));
        assert_eq!(later.changes(&before), completed);
        let gone = ["confidence", "metadata"].map(|name| (name, FieldChange::Gone));
        assert_eq!(before.changes(&later), gone);
        assert_eq!(before.likeness(&later), Likeness::Changed);
        assert_eq!(
            content("SELL", None, None).likeness(&before),
            Likeness::Changed
        );
        let other = content("SELL", None, None).changes(&before);
        assert_eq!(other, [("action", FieldChange::Other)]);
        let elsewhere = InferenceContent { time: 6, ..before };
        assert_eq!(elsewhere.likeness(&before), Likeness::Other);
        assert_eq!(before.core, elsewhere.core);
        assert_eq!(content("BUY", None, Some(1)).core, before.core);
    }

    #[test]
    fn every_nan_is_the_same() {
        let other = f32::from_bits(f32::NAN.to_bits() | 1);
        assert_eq!(
            content("a", Some(f32::NAN), None),
            content("a", Some(other), None)
        );
    }
}
