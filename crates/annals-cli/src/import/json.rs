//! JSON's values as attributes.

use annals::Value;
use serde::Deserialize;
use serde_json::Value as Json;

/// A value as the library reads it. Lists, objects and null, which the library refuses, are kept as
/// their text.
pub fn value(json: &Json) -> Value {
    Value::deserialize(json).unwrap_or_else(|_| Value::Text(json.to_string()))
}
