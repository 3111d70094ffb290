//! Fields of a line, as they are written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use annals::{Timestamp, Value};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use super::super::json;
use crate::when;

/// A line; what it does not know, it leaves aside.
#[derive(Deserialize)]
pub struct Line<'a> {
    #[serde(default = "inference")]
    pub kind: Cow<'a, str>,
    pub journal: Option<Cow<'a, str>>,
    pub id: Option<Cow<'a, str>>,
    pub sequence: Option<u64>,
    pub event_time: Option<Cow<'a, str>>,
    pub model: Option<Cow<'a, str>>,
    pub symbol: Option<Cow<'a, str>>,
    pub action: Option<Cow<'a, str>>,
    pub confidence: Option<Number>,
    #[serde(default)]
    pub labels: Vec<Cow<'a, str>>,
    #[serde(default)]
    pub probabilities: Vec<Option<Number>>,
    pub feature_hash: Option<Cow<'a, str>>,
    pub processing_ns: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub checkpoint: Option<Cow<'a, str>>,
    #[serde(default)]
    pub divergent: bool,
    pub repeat_of: Option<Cow<'a, str>>,
    #[serde(default)]
    pub attributes: Pairs,
    pub outcome: Option<Turned>,
    pub run: Option<u32>,
    pub reason: Option<Cow<'a, str>>,
    pub count: Option<u64>,
    pub after: Option<Cow<'a, str>>,
    pub recorded_range: Option<[String; 2]>,
    pub event_range: Option<[String; 2]>,
    pub refusal: Option<annals::Refusal>,
    pub recorded_time: Option<Cow<'a, str>>,
    pub level: Option<Cow<'a, str>>,
    pub component: Option<Cow<'a, str>>,
    pub message: Option<Cow<'a, str>>,
    #[serde(default)]
    pub fields: Pairs,
    pub detail: Option<Cow<'a, str>>,
    /// Which number stands where null does, by its place.
    #[serde(default)]
    pub not_finite: HashMap<String, Number>,
}

/// Names and values in their order; a name may come twice.
#[derive(Default)]
pub struct Pairs(pub Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and values")
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(InOrder)
    }
}

impl Line<'_> {
    /// The number at `place`, if there is one: null may stand for one that is not finite.
    pub fn number(&self, place: &str, value: Option<&Number>) -> Result<Option<f64>, String> {
        let value = value.or_else(|| self.not_finite.get(place));
        value.map(Number::value).transpose()
    }

    /// Names and values as they are stored.
    pub fn values<'p>(&self, of: &str, pairs: &'p Pairs) -> Result<Vec<(&'p str, Value)>, String> {
        let pairs = pairs.0.iter().enumerate();
        let values = pairs.map(|(index, (name, value))| {
            let odd = match value {
                Json::Null => self.number(&format!("{of}.{index}"), None)?,
                _ => None,
            };
            let value = odd.map_or_else(|| attribute(value), Value::Real);
            Ok((name.as_str(), value))
        });
        values.collect()
    }
}

fn inference() -> Cow<'static, str> {
    "inference".into()
}

/// A number, or the word for one that is not finite.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum Number {
    Finite(f64),
    Word(String),
}

impl Number {
    /// The number.
    pub fn value(&self) -> Result<f64, String> {
        match self {
            Number::Finite(value) => Ok(*value),
            Number::Word(word) => word.parse().map_err(|_| format!("{word:?} is no number")),
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
pub struct Turned {
    pub time: Option<String>,
    pub reward: Option<Number>,
    pub correct: Option<bool>,
    pub label: Option<String>,
    #[serde(default)]
    pub values: HashMap<String, Option<Number>>,
    #[serde(default)]
    pub times: HashMap<String, String>,
}

/// A field that has to be there.
pub fn needed<'l>(name: &str, text: &'l Option<Cow<'_, str>>) -> Result<&'l str, String> {
    text.as_deref().ok_or_else(|| format!("it has no {name}"))
}

/// An attribute; an older export wrote a number that is not finite as an object.
pub fn attribute(value: &Json) -> Value {
    match value {
        Json::Object(fields) if fields.len() == 1 => {
            let word = fields.get("real").and_then(Json::as_str);
            let number = word.and_then(|word| word.parse().ok());
            number.map_or_else(|| json::value(value.clone()), Value::Real)
        }
        other => json::value(other.clone()),
    }
}

/// A time.
pub fn time(text: &str) -> Result<Timestamp, String> {
    // First as export writes it, for every time that there is.
    text.parse()
        .or_else(|_| when::parse(text, Timestamp::now()))
}
