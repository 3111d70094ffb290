//! Fields of a line, as they are written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use annals::Value;
use annals::entry::RecordedOutcome;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::super::json;
use super::super::times::GivenTime;
use crate::input::JsonInput;

/// A line; what it does not know, it leaves aside.
#[derive(Deserialize)]
pub struct Line<'a> {
    #[serde(default = "inference")]
    pub kind: Cow<'a, str>,
    pub journal: Option<Cow<'a, str>>,
    pub id: Option<Cow<'a, str>>,
    pub sequence: Option<u64>,
    pub event_time: Option<GivenTime>,
    pub model: Option<Cow<'a, str>>,
    pub symbol: Option<Cow<'a, str>>,
    pub action: Option<Cow<'a, str>>,
    pub confidence: Option<JsonNumber>,
    #[serde(default)]
    pub labels: Vec<Cow<'a, str>>,
    #[serde(default)]
    pub probabilities: Vec<Option<JsonNumber>>,
    pub feature_hash: Option<Cow<'a, str>>,
    pub processing_ns: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub checkpoint: Option<Cow<'a, str>>,
    #[serde(default)]
    pub divergent: bool,
    pub repeat_of: Option<Cow<'a, str>>,
    #[serde(default)]
    pub attributes: JsonPairs,
    pub propensity: Option<JsonNumber>,
    #[serde(default)]
    pub action_vector: Vec<Option<JsonNumber>>,
    pub caused_by: Option<Cow<'a, str>>,
    pub correlation: Option<Cow<'a, str>>,
    pub episode: Option<Cow<'a, str>>,
    pub step: Option<u64>,
    pub input: Option<JsonInput>,
    #[serde(default)]
    pub predictions: BTreeMap<String, Option<JsonNumber>>,
    pub outcome: Option<LineOutcomes>,
    /// Every outcome that there was, oldest first.
    pub outcomes: Option<Vec<RecordedOutcome>>,
    pub recorded_by: Option<u32>,
    pub run: Option<u32>,
    pub reason: Option<Cow<'a, str>>,
    pub count: Option<u64>,
    pub after: Option<Cow<'a, str>>,
    pub recorded_range: Option<[GivenTime; 2]>,
    pub event_range: Option<[GivenTime; 2]>,
    pub refusal: Option<annals::entry::Refusal>,
    pub recorded_time: Option<GivenTime>,
    pub level: Option<Cow<'a, str>>,
    pub component: Option<Cow<'a, str>>,
    pub message: Option<Cow<'a, str>>,
    #[serde(default)]
    pub fields: JsonPairs,
    pub detail: Option<Cow<'a, str>>,
}

/// Names and values in their order; a name may come twice.
#[derive(Default)]
pub struct JsonPairs(pub Vec<(String, Json)>);

impl<'de> Deserialize<'de> for JsonPairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = JsonPairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and values")
            }

            fn visit_unit<E>(self) -> Result<JsonPairs, E> {
                Ok(JsonPairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonPairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(JsonPairs(pairs))
            }
        }
        deserializer.deserialize_any(PairsVisitor)
    }
}

impl JsonPairs {
    /// Names and values as they are stored.
    pub fn values(&self) -> Vec<(&str, Value)> {
        let pairs = self.0.iter();
        let values = pairs.map(|(name, value)| (name.as_str(), json::value(value)));
        values.collect()
    }
}

/// The fields of [`Line`] and of [`LineOutcomes`], sorted.
const FIELDS: [&str; 43] = [
    "action",
    "action_vector",
    "after",
    "attributes",
    "caused_by",
    "checkpoint",
    "component",
    "confidence",
    "correlation",
    "count",
    "detail",
    "divergent",
    "episode",
    "event_range",
    "event_time",
    "feature_hash",
    "fields",
    "id",
    "input",
    "journal",
    "kind",
    "labels",
    "level",
    "memory_bytes",
    "message",
    "model",
    "number",
    "outcome",
    "outcomes",
    "predictions",
    "probabilities",
    "processing_ns",
    "propensity",
    "reason",
    "recorded_by",
    "recorded_range",
    "recorded_time",
    "refusal",
    "repeat_of",
    "run",
    "sequence",
    "step",
    "symbol",
];
const TURNED: [&str; 9] = [
    "correct",
    "id",
    "label",
    "reward",
    "sequence",
    "sequences",
    "time",
    "times",
    "values",
];

/// The names of a line's fields that nothing here knows.
pub fn unknown(text: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut reading = serde_json::Deserializer::from_str(text);
    let known = KnownFields {
        fields: &FIELDS,
        prefix: "",
        unknown: &mut unknown,
    };
    // A line that cannot be read is reported as such.
    let _ = known.deserialize(&mut reading);
    unknown
}

/// Looks at the names of an object's fields, and passes over their values.
struct KnownFields<'k> {
    fields: &'static [&'static str],
    prefix: &'static str,
    unknown: &'k mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for KnownFields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KnownFields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let name = &*name.0;
            if self.fields.binary_search(&name).is_err() {
                self.unknown.push(format!("{}{name}", self.prefix));
            } else if name == "outcome" {
                map.next_value_seed(KnownFields {
                    fields: &TURNED,
                    prefix: "outcome.",
                    unknown: self.unknown,
                })?;
                continue;
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A name that is not copied if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn inference() -> Cow<'static, str> {
    "inference".into()
}

/// A number, or the word for one that is not finite.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum JsonNumber {
    Finite(f64),
    Word(String),
}

impl JsonNumber {
    /// The number, if there is one.
    pub fn optional(number: Option<&JsonNumber>) -> Result<Option<f64>, String> {
        number.map(JsonNumber::value).transpose()
    }

    /// The number.
    pub fn value(&self) -> Result<f64, String> {
        match self {
            JsonNumber::Finite(value) => Ok(*value),
            JsonNumber::Word(word) => word.parse().map_err(|_| format!("{word:?} is no number")),
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it was an f32 once")]
/// A number that was an `f32`.
pub fn real32(value: f64) -> f32 {
    value as f32
}

/// Outcomes.
#[derive(Deserialize)]
pub struct LineOutcomes {
    pub time: Option<GivenTime>,
    pub reward: Option<JsonNumber>,
    pub correct: Option<bool>,
    pub label: Option<String>,
    #[serde(default)]
    pub values: HashMap<String, Option<JsonNumber>>,
    #[serde(default)]
    pub times: HashMap<String, GivenTime>,
}

/// A field that has to be there.
pub fn needed<'l>(name: &str, text: &'l Option<Cow<'_, str>>) -> Result<&'l str, String> {
    text.as_deref().ok_or_else(|| format!("it has no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nothing_knows_are_found() {
        assert!(FIELDS.is_sorted() && TURNED.is_sorted());
        let text = concat!(
            r#"{"id": "1-1", "reward": 1, "outcome": {"reward": 1, "pnl": 2}, "#,
            r#""e\u0301": [{"id": 1}]}"#
        );
        assert_eq!(unknown(text), ["reward", "outcome.pnl", "e\u{301}"]);
        assert!(unknown(r#"{"id": "1-1", "outcome": null}"#).is_empty());
        assert!(unknown("[1]").is_empty() && unknown("{").is_empty());
    }
}
