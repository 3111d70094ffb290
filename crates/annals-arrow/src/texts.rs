//! Values with parts of their own as the text of one JSON object.

use annals::entry::Latest;
use annals::{Outcomes, Timestamp, Value};
use serde_json::{Map, Value as Json};

/// A number as JSON, which has no word for what is not finite: those are text.
///
/// ```
/// assert_eq!(annals_arrow::texts::real(0.5), 0.5);
/// assert_eq!(annals_arrow::texts::real(f64::INFINITY), "inf");
/// ```
#[must_use]
pub fn real(value: f64) -> Json {
    if value.is_finite() {
        Json::from(value)
    } else {
        Json::from(value.to_string())
    }
}

/// Names and values as an object.
///
/// ```
/// let attributes = [("spread_bp".to_owned(), annals::Value::from(1.5))];
/// assert_eq!(annals_arrow::texts::values(&attributes).to_string(), r#"{"spread_bp":1.5}"#);
/// ```
#[must_use]
pub fn values(entries: &[(String, Value)]) -> Json {
    let entries = entries.iter();
    Json::Object(entries.map(|(k, v)| (k.clone(), said(v))).collect())
}

/// Named values of an outcome as the text of one object; none if there are none.
///
/// ```
/// let named = [("slippage_bp", 0.3)].into_iter();
/// assert_eq!(annals_arrow::texts::named_values(named).unwrap(), r#"{"slippage_bp":0.3}"#);
/// ```
pub fn named_values<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Option<String> {
    let object: Map<String, Json> = values
        .map(|(name, value)| (name.to_owned(), real(value)))
        .collect();
    (!object.is_empty()).then(|| Json::Object(object).to_string())
}

/// The outcomes; `time` is the latest one, and `times` holds those that differ from it. The id
/// stands beside them, and their sequences are this journal's own.
#[must_use]
pub fn outcome(outcomes: &Outcomes) -> Json {
    let mut json = said(outcomes);
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|name, _| !["id", "sequence", "sequences"].contains(&&**name));
    }
    json
}

/// When the last of it turned out.
#[must_use]
pub fn latest(outcomes: &Outcomes) -> Option<Timestamp> {
    times(outcomes).max()
}

/// The times that differ from the latest one, as the text of one object; none if there are none.
#[must_use]
pub fn other_times(outcomes: &Outcomes) -> Option<String> {
    let latest = latest(outcomes)?;
    if times(outcomes).all(|time| time == latest) {
        return None;
    }
    outcome(outcomes).get("times").map(Json::to_string)
}

fn times(outcomes: &Outcomes) -> impl Iterator<Item = Timestamp> {
    let built_in = [
        outcomes.reward.map(|latest: Latest<f64>| latest.time),
        outcomes.correct.map(|latest| latest.time),
        outcomes.label.as_ref().map(|latest| latest.time),
    ];
    let named = outcomes.values.iter().map(|(_, latest)| latest.time);
    built_in.into_iter().flatten().chain(named)
}

/// The library's JSON: the one dialect.
fn said(what: &impl serde::Serialize) -> Json {
    serde_json::to_value(what).unwrap_or_default()
}
