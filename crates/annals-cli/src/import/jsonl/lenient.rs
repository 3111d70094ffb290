//! Lines of which some fields are of another type than they should be: read without these.

use serde::de::DeserializeOwned;
use serde_json::{Error, Map, Value as Json};

use super::line::{Line, LineOutcomes};

/// A field that is left out.
pub struct Lost {
    pub field: String,
    /// The kind of reason, which losses are counted by.
    pub reason: &'static str,
    /// The reason in full.
    pub why: String,
}

impl Lost {
    pub fn new(field: impl Into<String>, reason: &'static str, why: impl Into<String>) -> Self {
        Lost {
            field: field.into(),
            reason,
            why: why.into(),
        }
    }
}

/// Fields without which a line would get another place in time: it is left out instead.
const TIMES: [&str; 4] = [
    "event_time",
    "recorded_time",
    "event_range",
    "recorded_range",
];
/// Characters of a value that is shown.
const SHOWN: usize = 60;

/// The line without the fields that cannot be read; `Err` if it is no object at all.
pub fn line(text: &str, error: &Error) -> Result<(Line<'static>, Vec<Lost>), String> {
    // Of a field that is there twice, neither can be told to be meant.
    let is_twofold = error.to_string().contains("duplicate field");
    let fields = match serde_json::from_str(text) {
        Ok(Json::Object(fields)) if !is_twofold => fields,
        _ => return Err(error.to_string()),
    };
    let mut lost = Vec::new();
    let mut fields = readable::<Line<'static>>(fields, "", &mut lost);
    if let Some(Json::Object(outcome)) = fields.get_mut("outcome") {
        let all = std::mem::take(outcome);
        *outcome = readable::<LineOutcomes>(all, "outcome.", &mut lost);
    }
    if let Some(time) = lost.iter().find(|lost| TIMES.contains(&&*lost.field)) {
        return Err(format!("{}: {}", time.field, time.why));
    }
    let line = serde_json::from_value(Json::Object(fields)).map_err(|error| error.to_string())?;
    Ok((line, lost))
}

/// The fields that a `T` can have.
fn readable<T: DeserializeOwned>(
    fields: Map<String, Json>,
    prefix: &str,
    lost: &mut Vec<Lost>,
) -> Map<String, Json> {
    let mut kept = Map::new();
    for (name, value) in fields {
        let mut alone = Map::new();
        alone.insert(name.clone(), value.clone());
        // The content of an outcome is looked at by itself.
        let is_outcome = prefix.is_empty() && name == "outcome" && value.is_object();
        if is_outcome || serde_json::from_value::<T>(Json::Object(alone)).is_ok() {
            kept.insert(name, value);
        } else {
            let shown: String = value.to_string().chars().take(SHOWN).collect();
            let why = format!("{shown} is of another type");
            lost.push(Lost::new(format!("{prefix}{name}"), "of another type", why));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Line<'static>, Vec<Lost>), String> {
        let error = serde_json::from_str::<Line<'_>>(text).err();
        line(text, &error.expect("it cannot be read"))
    }

    #[test]
    fn a_field_of_another_type_costs_that_field() {
        let text = r#"{"model": "m", "processing_ns": -1, "divergent": "yes", "confidence": 0.5,
            "outcome": {"reward": 2.0, "correct": "maybe", "times": 7}}"#;
        let (line, lost) = read(text).unwrap();
        assert_eq!(line.model.as_deref(), Some("m"));
        assert!(line.confidence.is_some() && line.processing_ns.is_none());
        let outcome = line.outcome.unwrap();
        assert!(outcome.reward.is_some() && outcome.correct.is_none());
        let mut names: Vec<_> = lost.iter().map(|lost| &*lost.field).collect();
        names.sort_unstable();
        let all = [
            "divergent",
            "outcome.correct",
            "outcome.times",
            "processing_ns",
        ];
        assert_eq!(names, all);
    }

    #[test]
    fn what_is_no_object_or_twofold_is_refused() {
        assert!(read("[1]").is_err() && read("{").is_err());
        assert!(read(r#"{"model": "a", "model": "b"}"#).is_err());
        let why = read(r#"{"model": "a", "event_time": [1]}"#).err();
        assert_eq!(why.as_deref(), Some("event_time: [1] is of another type"));
    }
}
