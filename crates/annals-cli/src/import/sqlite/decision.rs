//! One row of `inference_records`, read.

use std::sync::Arc;
use std::time::Duration;

use annals::{Answer, Importer, Inference, InferenceId, Timestamp, Value};
use jiff::tz::TimeZone;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::Value as Json;

use super::super::{json, python};
use super::values::{self, Kept};
use super::words::Words;
use super::{Trouble, probabilities};

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

/// What a row says.
pub struct Decision {
    model: Arc<str>,
    symbol: Arc<str>,
    action: Arc<str>,
    checkpoint: Option<Arc<str>>,
    event_time: Timestamp,
    confidence: Option<f32>,
    probabilities: Vec<(Arc<str>, f32)>,
    features: Option<u64>,
    processing_time: Option<Duration>,
    memory: Option<u64>,
    attributes: Vec<(Arc<str>, Value)>,
    /// The first field that could not be read, and why.
    pub damage: Option<String>,
}

impl Decision {
    fn damaged(&mut self, field: &str, why: impl std::fmt::Display) {
        let say = || format!("{field}: {why}; taken in without it");
        self.damage.get_or_insert_with(say);
    }

    /// Hands it to the importer; says whether it was new.
    pub fn add(&self, id: InferenceId, importer: &mut Importer) -> annals::Result<bool> {
        let probabilities = self.probabilities.iter();
        let probabilities: Vec<(&str, f32)> = probabilities.map(|(l, v)| (&**l, *v)).collect();
        let attributes = self.attributes.iter();
        let attributes: Vec<(&str, Value)> =
            attributes.map(|(name, v)| (&**name, v.clone())).collect();
        let mut inference = Inference::new(&self.model, &self.symbol, &self.action)
            .event_time(self.event_time)
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

/// Reads a row.
pub fn read(row: &Row<'_>, zone: &TimeZone, words: &mut Words) -> Result<Decision, Trouble> {
    let mut name = |index| -> Result<Option<Arc<str>>, Trouble> {
        Ok(values::text(row.get_ref(index)?).map(|text| words.get(&text)))
    };
    let model = name(1)?.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Trouble::Row("it has no model_name".into()))?;
    let (symbol, action) = (name(3)?.unwrap_or_default(), name(4)?.unwrap_or_default());
    let checkpoint = name(10)?.filter(|id| !id.is_empty());
    let stamp = row.get_ref(2)?;
    let event_time = values::time(stamp, zone).ok_or_else(|| {
        let shown = values::text(stamp).map_or_else(|| "NULL".into(), |text| format!("{text:?}"));
        Trouble::Row(format!("timestamp {shown} is no time"))
    })?;
    let mut decision = Decision {
        model,
        symbol,
        action,
        checkpoint,
        event_time,
        confidence: None,
        probabilities: Vec::new(),
        features: None,
        processing_time: None,
        memory: None,
        attributes: Vec::new(),
        damage: None,
    };
    decision.read_probabilities(row.get_ref(6)?, words);
    decision.read_metadata(row.get_ref(11)?, words);
    decision.read_hash(row.get_ref(7)?, words);
    decision.read_numbers(row)?;
    Ok(decision)
}

impl Decision {
    fn read_probabilities(&mut self, value: ValueRef<'_>, words: &mut Words) {
        let Some(json) = values::text(value).filter(|json| !json.trim().is_empty()) else {
            return;
        };
        self.probabilities.reserve(4);
        let json = python::as_json(&json);
        if let Err(why) = probabilities::read(&json, words, &mut self.probabilities) {
            self.probabilities.clear();
            self.damaged("probabilities", why);
        }
    }

    fn read_metadata(&mut self, value: ValueRef<'_>, words: &mut Words) {
        let Some(json) = values::text(value).filter(|json| !json.trim().is_empty()) else {
            return;
        };
        match serde_json::from_str::<Json>(&python::as_json(&json)) {
            Ok(Json::Object(entries)) => {
                let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
                let entries = entries.map(|(name, value)| (words.get(&name), json::value(value)));
                self.attributes.extend(entries);
            }
            Ok(Json::Null) => {}
            Ok(other) => {
                let name = words.get("metadata");
                self.attributes.push((name, json::value(other)));
            }
            Err(error) => {
                self.damage
                    .get_or_insert_with(|| format!("metadata: {error}; kept as text"));
                let text = Value::Text(json.into_owned());
                self.attributes.push((words.get("metadata"), text));
            }
        }
    }

    fn read_hash(&mut self, value: ValueRef<'_>, words: &mut Words) {
        let Some(text) = values::text(value).filter(|hash| !hash.is_empty()) else {
            return;
        };
        let (hash, kept) = values::feature_hash(&text);
        self.features = Some(hash);
        if kept == Kept::InPart {
            let name = words.get("input_features_hash");
            self.attributes.push((name, Value::Text(text.into_owned())));
        }
    }

    fn read_numbers(&mut self, row: &Row<'_>) -> Result<(), Trouble> {
        match values::number(row.get_ref(5)?) {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "confidences are kept as f32"
            )]
            Ok(confidence) => self.confidence = confidence.map(|confidence| confidence as f32),
            Err(why) => self.damaged("confidence", why),
        }
        match values::number(row.get_ref(8)?) {
            // Rounded, as 12.5 ms must not become 12.499999.
            Ok(Some(millis)) if (0.0..1e15).contains(&millis) => {
                self.processing_time = Some(Duration::from_nanos(rounded(millis * 1e6)));
            }
            Ok(Some(millis)) => {
                self.damaged("processing_time_ms", format_args!("{millis} is no time"));
            }
            Ok(None) => {}
            Err(why) => self.damaged("processing_time_ms", why),
        }
        match values::number(row.get_ref(9)?) {
            Ok(Some(megabytes)) if (0.0..1e12).contains(&megabytes) => {
                self.memory = Some(rounded(megabytes * 1_048_576.0));
            }
            Ok(Some(megabytes)) => {
                self.damaged("memory_usage_mb", format_args!("{megabytes} is no size"));
            }
            Ok(None) => {}
            Err(why) => self.damaged("memory_usage_mb", why),
        }
        Ok(())
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within bounds that were checked"
)]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}
