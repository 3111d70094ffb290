//! JSON's values as attributes.

use annals::Value;
use serde_json::Value as Json;

/// A value; lists and objects are kept as their text.
pub fn value(json: Json) -> Value {
    match json {
        Json::Bool(flag) => Value::Flag(flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Real(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        other => Value::Text(other.to_string()),
    }
}
