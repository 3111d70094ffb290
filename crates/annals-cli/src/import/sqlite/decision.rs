//! One row of `inference_records`, read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use annals::import::{Answer, Importer};
use annals::{Inference, InferenceId, Value};
use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;
use serde_json::Value as Json;

use super::super::content::Parts;
use super::super::known::SourceRow;
use super::super::times::{self, FORMS};
use super::super::{json, python};
use super::outcome::{OutcomeColumn, RowOutcomes};
use super::values::{self, HashFit};
use super::words::TextPool;
use super::{RowTrouble, probabilities};

/// The columns, in the order in which they are asked for.
pub const COLUMNS: [&str; 11] = [
    "model_name",
    "timestamp",
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

/// The library's name of a field, and its column.
pub const FIELDS: [(&str, &str); 4] = [
    ("model:", "model_name:"),
    ("checkpoint:", "checkpoint_id:"),
    ("labels of probabilities:", "probabilities:"),
    ("attributes:", "metadata:"),
];

/// The most probabilities that an entry holds.
const MOST_PROBABILITIES: usize = 1_024;
/// Numbers that can be an id's.
const NUMBERS: std::ops::Range<i64> = 0..1 << 40;

/// Content of a row.
pub struct Decision {
    model: Arc<str>,
    symbol: Arc<str>,
    action: Arc<str>,
    checkpoint: Option<Arc<str>>,
    stamp: times::ReadTime,
    confidence: Option<f32>,
    probabilities: Vec<(Arc<str>, f32)>,
    features: Option<u64>,
    processing_time: Option<Duration>,
    memory: Option<u64>,
    attributes: Vec<(Arc<str>, Value)>,
    /// Its outcomes.
    pub turned: RowOutcomes,
    /// The fields that could not be taken over as they are.
    pub losses: Vec<FieldLoss>,
}

/// The columns that are read besides those that every table has.
#[derive(Clone, Copy, Default)]
pub struct MoreColumns<'c> {
    /// Those that hold what turned out.
    pub outcomes: &'c [OutcomeColumn],
    /// Those that are kept as attributes.
    pub others: &'c [Arc<str>],
}

/// A field that was not taken over as it is.
pub struct FieldLoss {
    pub field: Cow<'static, str>,
    /// The kind of reason, which losses are counted by.
    pub reason: &'static str,
    /// The reason in full.
    pub why: String,
}

impl Decision {
    fn lose(&mut self, field: &'static str, reason: &'static str, why: impl std::fmt::Display) {
        let why = format!("{field}: {why}");
        let field = field.into();
        self.losses.push(FieldLoss { field, reason, why });
    }

    /// When it was made, and how sure that is.
    pub fn stamp(&self) -> times::ReadTime {
        self.stamp
    }

    /// The key of the row.
    pub fn row(&self, number: Option<i64>) -> SourceRow {
        let probabilities = self.probabilities.iter();
        let probabilities: Vec<(&str, f32)> = probabilities.map(|(l, v)| (&**l, *v)).collect();
        let parts = Parts {
            model: &self.model,
            symbol: &self.symbol,
            action: &self.action,
            confidence: self.confidence,
            probabilities: &probabilities,
            features: self.features,
            processing: self.processing_time,
            memory: self.memory,
            checkpoint: self.checkpoint.as_deref(),
        };
        let attributes = self.attributes.iter().map(|(name, value)| (&**name, value));
        let number = number.filter(|number| NUMBERS.contains(number));
        SourceRow {
            number: number.map(i64::unsigned_abs),
            content: parts.content(self.stamp.time.as_micros(), attributes),
            local: self.stamp.local,
        }
    }

    /// Hands it to the importer; says whether it was new.
    pub fn add(&self, id: InferenceId, importer: &mut Importer) -> annals::Result<bool> {
        let probabilities = self.probabilities.iter();
        let probabilities: Vec<(&str, f32)> = probabilities.map(|(l, v)| (&**l, *v)).collect();
        let attributes = self.attributes.iter();
        let attributes: Vec<(&str, Value)> =
            attributes.map(|(name, v)| (&**name, v.clone())).collect();
        let mut inference = Inference::new(&self.model, &self.symbol, &self.action)
            .event_time(self.stamp.time)
            .probabilities(&probabilities)
            .attributes(&attributes);
        if let Some(confidence) = self.confidence {
            inference = inference.confidence(confidence);
        }
        if let Some(hash) = self.features {
            inference = inference.features_hashed(hash);
        }
        if let Some(time) = self.processing_time {
            inference = inference.processing_time(time);
        }
        if let Some(bytes) = self.memory {
            inference = inference.memory(bytes);
        }
        if let Some(checkpoint) = &self.checkpoint {
            inference = inference.checkpoint(checkpoint);
        }
        importer.add(id, &inference, Answer::Full)
    }
}

/// Reads a row. Behind the known columns stand those of outcomes, then those that become
/// attributes.
pub fn read(
    row: &rusqlite::Row<'_>,
    zone: &TimeZone,
    more: MoreColumns<'_>,
    words: &mut TextPool,
) -> Result<Decision, RowTrouble> {
    let mut name = |index| -> Result<Option<Arc<str>>, RowTrouble> {
        Ok(values::text(row.get_ref(index)?).map(|text| words.get(&text)))
    };
    let model = name(1)?.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| RowTrouble::row("it has no model_name"))?;
    let (symbol, action) = (name(3)?.unwrap_or_default(), name(4)?.unwrap_or_default());
    let checkpoint = name(10)?.filter(|id| !id.is_empty());
    let stamp = row.get_ref(2)?;
    let stamp = values::time(stamp, zone).ok_or_else(|| {
        let shown = values::shown(stamp);
        RowTrouble::Row(format!("timestamp {shown} is no time: {FORMS}"))
    })?;
    let mut decision = Decision {
        model,
        symbol,
        action,
        checkpoint,
        stamp,
        confidence: None,
        probabilities: Vec::new(),
        features: None,
        processing_time: None,
        memory: None,
        attributes: Vec::new(),
        turned: RowOutcomes::default(),
        losses: Vec::new(),
    };
    for (index, field) in COLUMNS.into_iter().enumerate() {
        if !values::is_text(row.get_ref(index + 1)?) && TEXTS.contains(&field) {
            let why = "it is no UTF-8; its bytes that are none become U+FFFD";
            decision.lose(field, "no UTF-8", why);
        }
    }
    decision.read_probabilities(row.get_ref(6)?, words);
    decision.read_metadata(row.get_ref(11)?, words);
    decision.read_hash(row.get_ref(7)?, words);
    decision.read_numbers(row)?;
    let mut at = COLUMNS.len() + 1;
    for column in more.outcomes {
        decision.turned.read(column, row.get_ref(at)?);
        at += 1;
    }
    for (index, name) in more.others.iter().enumerate() {
        let value = row.get_ref(at + index)?;
        decision.keep(name, value, words);
    }
    Ok(decision)
}

/// The columns whose texts are taken over as they are.
const TEXTS: [&str; 6] = [
    "model_name",
    "symbol",
    "action",
    "input_features_hash",
    "checkpoint_id",
    "metadata",
];

impl Decision {
    fn read_probabilities(&mut self, value: ValueRef<'_>, words: &mut TextPool) {
        let Some(json) = values::text(value).filter(|json| !json.trim().is_empty()) else {
            return;
        };
        let field = "probabilities";
        self.probabilities.reserve(4);
        let json = python::as_json(&json);
        match probabilities::read(&json, words, &mut self.probabilities) {
            Ok(0) => {}
            Ok(bad) => {
                let why = format!("{bad} of them are no numbers; taken in without these");
                self.lose(field, "a value that is no number", why);
            }
            Err(why) => {
                self.probabilities.clear();
                self.lose(field, "no JSON", format!("{why}; taken in without it"));
            }
        }
        if self.probabilities.len() > MOST_PROBABILITIES {
            let count = self.probabilities.len();
            let why = format!("{count} of them, 1,024 is the most; taken in without them");
            self.lose(field, "more than 1,024", why);
            self.probabilities.clear();
        }
    }

    fn read_metadata(&mut self, value: ValueRef<'_>, words: &mut TextPool) {
        let Some(json) = values::text(value).filter(|json| !json.trim().is_empty()) else {
            return;
        };
        match serde_json::from_str::<Json>(&python::as_json(&json)) {
            Ok(Json::Object(entries)) => {
                let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
                let entries = entries.map(|(name, value)| (words.get(&name), json::value(&value)));
                self.attributes.extend(entries);
            }
            Ok(Json::Null) => {}
            Ok(other) => {
                let name = words.get("metadata");
                self.attributes.push((name, json::value(&other)));
            }
            Err(error) => {
                self.lose("metadata", "no JSON", format!("{error}; kept as text"));
                let text = Value::Text(json.into_owned());
                self.attributes.push((words.get("metadata"), text));
            }
        }
    }

    fn read_hash(&mut self, value: ValueRef<'_>, words: &mut TextPool) {
        let Some(text) = values::text(value).filter(|hash| !hash.is_empty()) else {
            return;
        };
        let (hash, kept) = values::feature_hash(&text);
        self.features = Some(hash);
        if kept == HashFit::InPart {
            let name = words.get("input_features_hash");
            self.attributes.push((name, Value::Text(text.into_owned())));
        }
    }

    /// Keeps a column that is not known as an attribute.
    fn keep(&mut self, name: &Arc<str>, value: ValueRef<'_>, words: &mut TextPool) {
        let value = match value {
            ValueRef::Null => return,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Text(hexadecimal(bytes)),
            },
        };
        let is_taken = |known: &str| self.attributes.iter().any(|(other, _)| **other == *known);
        let name = if is_taken(name) {
            words.get(&format!("column.{name}"))
        } else {
            name.clone()
        };
        self.attributes.push((name, value));
    }

    fn read_numbers(&mut self, row: &rusqlite::Row<'_>) -> Result<(), RowTrouble> {
        match values::number(row.get_ref(5)?) {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "confidences are kept as f32"
            )]
            Ok(confidence) => self.confidence = confidence.map(|confidence| confidence as f32),
            Err(why) => {
                let mut known = self.probabilities.iter();
                let instead = known.any(|(label, _)| *label == self.action);
                let then = if instead {
                    "the probability of the action stands for it"
                } else {
                    "taken in without it"
                };
                self.lose("confidence", "no number", format!("{why}; {then}"));
            }
        }
        let without = |why: String| format!("{why}; taken in without it");
        let field = "processing_time_ms";
        match values::number(row.get_ref(8)?) {
            // Rounded, as 12.5 ms must not become 12.499999.
            Ok(Some(millis)) if (0.0..1e15).contains(&millis) => {
                self.processing_time = Some(Duration::from_nanos(rounded(millis * 1e6)));
            }
            Ok(Some(millis)) => {
                self.lose(field, "no time", without(format!("{millis} is no time")));
            }
            Ok(None) => {}
            Err(why) => self.lose(field, "no number", without(why)),
        }
        let field = "memory_usage_mb";
        match values::number(row.get_ref(9)?) {
            Ok(Some(megabytes)) if (0.0..1e12).contains(&megabytes) => {
                self.memory = Some(rounded(megabytes * 1_048_576.0));
            }
            Ok(Some(megabytes)) => {
                self.lose(field, "no size", without(format!("{megabytes} is no size")));
            }
            Ok(None) => {}
            Err(why) => self.lose(field, "no number", without(why)),
        }
        Ok(())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within bounds that were checked"
)]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}
