//! What a line may say, as it is written.

use std::borrow::Cow;
use std::collections::HashMap;

use annals::{Timestamp, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::super::json;
use crate::when;

/// A line; what it does not know, it leaves aside.
#[derive(Deserialize)]
pub struct Line<'a> {
    #[serde(default = "inference")]
    pub kind: Cow<'a, str>,
    pub journal: Option<Cow<'a, str>>,
    pub id: Option<Cow<'a, str>>,
    pub event_time: Option<Cow<'a, str>>,
    pub model: Option<Cow<'a, str>>,
    pub symbol: Option<Cow<'a, str>>,
    pub action: Option<Cow<'a, str>>,
    pub confidence: Option<Number>,
    #[serde(default)]
    pub labels: Vec<Cow<'a, str>>,
    #[serde(default)]
    pub probabilities: Vec<Number>,
    pub feature_hash: Option<Cow<'a, str>>,
    pub processing_ns: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub checkpoint: Option<Cow<'a, str>>,
    #[serde(default)]
    pub divergent: bool,
    pub repeat_of: Option<Cow<'a, str>>,
    #[serde(default)]
    pub attributes: Map<String, Json>,
    pub outcome: Option<Turned>,
    pub run: Option<u32>,
    pub reason: Option<Cow<'a, str>>,
    pub count: Option<u64>,
    pub after: Option<Cow<'a, str>>,
    pub recorded_range: Option<[String; 2]>,
    pub event_range: Option<[String; 2]>,
    pub refusal: Option<annals::Refusal>,
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

    #[allow(clippy::cast_possible_truncation, reason = "it was an f32 once")]
    /// What was an `f32`.
    pub fn value32(&self) -> Result<f32, String> {
        self.value().map(|value| value as f32)
    }
}

/// What turned out.
#[derive(Deserialize)]
pub struct Turned {
    pub time: Option<String>,
    pub reward: Option<Number>,
    pub correct: Option<bool>,
    pub label: Option<String>,
    #[serde(default)]
    pub values: HashMap<String, Number>,
    #[serde(default)]
    pub times: HashMap<String, String>,
}

/// A field that has to be there.
pub fn needed<'l>(name: &str, text: &'l Option<Cow<'_, str>>) -> Result<&'l str, String> {
    text.as_deref().ok_or_else(|| format!("it has no {name}"))
}

/// An attribute; a number that is not finite is written as an object.
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
    if let Some(micros) = text.strip_suffix("us") {
        let micros = micros.parse().map_err(|_| format!("{text:?} is no time"))?;
        return Ok(Timestamp::from_micros(micros));
    }
    when::parse(text, Timestamp::now())
}
