//! Values of attributes: what a caller attaches to an inference beyond the fixed fields.

use serde::{Deserialize, Serialize};

/// The value of an attribute.
///
/// ```
/// use annals::Value;
///
/// assert_eq!(Value::from("paper"), Value::Text("paper".into()));
/// assert_eq!(Value::from(0.25), Value::Real(0.25));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Text(String),
    /// A real number.
    Real(f64),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

/// The bare value; text without quotation marks.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => text.fmt(f),
            Value::Real(number) => number.fmt(f),
            Value::Integer(number) => number.fmt(f),
            Value::Flag(flag) => flag.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}
