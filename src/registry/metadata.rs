//! Nested values: a training run's own facts.

use std::cell::Cell;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::entry::value::widened;

/// A value of a checkpoint's training metadata, as nested as JSON.
///
/// ```
/// use annals::registry::Metadata;
///
/// let optimiser = Metadata::map([("name", Metadata::from("adam")), ("lr", 0.001.into())]);
/// assert_eq!(optimiser.get("lr").and_then(Metadata::as_f64), Some(0.001));
/// assert_eq!(optimiser.to_string(), r#"{"name":"adam","lr":0.001}"#);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metadata {
    /// Nothing.
    Null,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A real number; NaN and infinities are kept.
    Real(f64),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Metadata>),
    /// Named values in order.
    Map(Vec<(String, Metadata)>),
}

/// JSON for formats that people read, and a variant for the journal.
impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.to_json().serialize(serializer);
        }
        const NAME: &str = "Metadata";
        match self {
            Metadata::Null => serializer.serialize_unit_variant(NAME, 0, "Null"),
            Metadata::Flag(flag) => serializer.serialize_newtype_variant(NAME, 1, "Flag", flag),
            Metadata::Integer(whole) => {
                serializer.serialize_newtype_variant(NAME, 2, "Integer", whole)
            }
            Metadata::Real(real) => serializer.serialize_newtype_variant(NAME, 3, "Real", real),
            Metadata::Text(text) => serializer.serialize_newtype_variant(NAME, 4, "Text", text),
            Metadata::List(list) => serializer.serialize_newtype_variant(NAME, 5, "List", list),
            Metadata::Map(map) => serializer.serialize_newtype_variant(NAME, 6, "Map", map),
        }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        enum StoredMetadata {
            Null,
            Flag(bool),
            Integer(i64),
            Real(f64),
            Text(String),
            List(#[serde(deserialize_with = "nested")] Vec<Metadata>),
            Map(#[serde(deserialize_with = "nested")] Vec<(String, Metadata)>),
        }
        if deserializer.is_human_readable() {
            let json = serde_json::Value::deserialize(deserializer)?;
            return Ok(Metadata::from_json(&json));
        }
        Ok(match StoredMetadata::deserialize(deserializer)? {
            StoredMetadata::Null => Metadata::Null,
            StoredMetadata::Flag(flag) => Metadata::Flag(flag),
            StoredMetadata::Integer(whole) => Metadata::Integer(whole),
            StoredMetadata::Real(real) => Metadata::Real(real),
            StoredMetadata::Text(text) => Metadata::Text(text),
            StoredMetadata::List(list) => Metadata::List(list),
            StoredMetadata::Map(map) => Metadata::Map(map),
        })
    }
}

/// Levels of lists and maps that are read: saving takes half as many, and each takes room on the
/// stack.
const DEEPEST_READ: u32 = 64;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Reads what lies one level deeper.
fn nested<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct NestedValue;
    impl Drop for NestedValue {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get().saturating_sub(1));
        }
    }
    DEPTH.set(DEPTH.get().saturating_add(1));
    // Leaves the level on each way out, also by an error.
    let _level = NestedValue;
    if DEPTH.get() > DEEPEST_READ {
        return Err(D::Error::custom("lists and maps are nested too deep"));
    }
    T::deserialize(deserializer)
}

impl Metadata {
    /// A map of these names and values.
    ///
    /// ```
    /// use annals::registry::Metadata;
    ///
    /// let layers = Metadata::from(vec![64_i64, 64]);
    /// let config = Metadata::map([("layers", layers), ("activation", "relu".into())]);
    /// assert_eq!(config.get("activation"), Some(&Metadata::from("relu")));
    /// ```
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Metadata)>) -> Self {
        Metadata::Map(entries.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// The value with this name, if this is a map that has it.
    ///
    /// ```
    /// use annals::registry::Metadata;
    ///
    /// let config = Metadata::map([("learning_rate", Metadata::from(0.001))]);
    /// assert_eq!(config.get("learning_rate").and_then(Metadata::as_f64), Some(0.001));
    /// assert_eq!(config.get("momentum"), None);
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Metadata> {
        match self {
            Metadata::Map(entries) => entries.iter().find(|(k, _)| k == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The number, whole or real.
    ///
    /// ```
    /// use annals::registry::Metadata;
    ///
    /// assert_eq!(Metadata::from(7_i64).as_f64(), Some(7.0));
    /// assert_eq!(Metadata::from("7").as_f64(), None);
    /// ```
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "what f64 means to its callers")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Metadata::Integer(number) => Some(*number as f64),
            Metadata::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// The text.
    ///
    /// ```
    /// use annals::registry::Metadata;
    ///
    /// assert_eq!(Metadata::from("adam").as_str(), Some("adam"));
    /// ```
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Metadata::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How many levels of lists and maps lie within each other; counts no further than `most`.
    pub(crate) fn depth(&self, most: usize) -> usize {
        let below = |values: &mut dyn Iterator<Item = &Metadata>| match most {
            // No deeper than what is asked for: the depth of hostile values must not be that of the
            // stack.
            0 => 0,
            _ => values.map(|value| value.depth(most - 1)).max().unwrap_or(0),
        };
        match self {
            Metadata::List(values) => 1 + below(&mut values.iter()),
            Metadata::Map(entries) => 1 + below(&mut entries.iter().map(|(_, value)| value)),
            _ => 0,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Metadata::Null => Json::Null,
            Metadata::Flag(flag) => Json::Bool(*flag),
            Metadata::Integer(number) => Json::from(*number),
            Metadata::Real(number) => real_to_json(*number),
            Metadata::Text(text) => Json::String(text.clone()),
            Metadata::List(values) => values.iter().map(Metadata::to_json).collect(),
            Metadata::Map(entries) => {
                let entries = entries.iter();
                entries.map(|(k, v)| (k.clone(), v.to_json())).collect()
            }
        }
    }

    pub(crate) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Metadata::Null,
            Json::Bool(flag) => Metadata::Flag(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Metadata::Integer(number),
                None => Metadata::Real(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Metadata::Text(text.clone()),
            Json::Array(values) => Metadata::List(values.iter().map(Self::from_json).collect()),
            Json::Object(entries) => match real_from_json(json) {
                Some(number) => Metadata::Real(number),
                None => {
                    let entries = entries.iter();
                    Metadata::Map(
                        entries
                            .map(|(k, v)| (k.clone(), Self::from_json(v)))
                            .collect(),
                    )
                }
            },
        }
    }
}

/// JSON has no numbers that are not finite: those are written `{"$real": "NaN"}`.
const REAL: &str = "$real";

pub(crate) fn real_to_json(number: f64) -> serde_json::Value {
    if number.is_finite() {
        serde_json::Value::from(number)
    } else {
        serde_json::json!({ REAL: number.to_string() })
    }
}

pub(crate) fn real_from_json(json: &serde_json::Value) -> Option<f64> {
    match json {
        serde_json::Value::Object(entries) if entries.len() == 1 => {
            entries.get(REAL)?.as_str()?.parse().ok()
        }
        other => other.as_f64(),
    }
}

/// JSON.
impl std::fmt::Display for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // By hand, because JSON's own maps forget the order.
            Metadata::Map(entries) => {
                f.write_str("{")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(
                        f,
                        "{comma}{}:{value}",
                        serde_json::Value::from(name.as_str())
                    )?;
                }
                f.write_str("}")
            }
            Metadata::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
            other => other.to_json().fmt(f),
        }
    }
}

impl From<&str> for Metadata {
    fn from(text: &str) -> Self {
        Metadata::Text(text.to_owned())
    }
}

impl From<String> for Metadata {
    fn from(text: String) -> Self {
        Metadata::Text(text)
    }
}

impl From<f64> for Metadata {
    fn from(number: f64) -> Self {
        Metadata::Real(number)
    }
}

impl From<i64> for Metadata {
    fn from(number: i64) -> Self {
        Metadata::Integer(number)
    }
}

impl From<f32> for Metadata {
    fn from(number: f32) -> Self {
        Metadata::Real(widened(number))
    }
}

macro_rules! from_whole {
    ($($whole:ty),*) => { $(
        impl From<$whole> for Metadata {
            fn from(number: $whole) -> Self {
                Metadata::Integer(number.into())
            }
        }
    )* };
}

from_whole!(i8, i16, i32, u8, u16, u32);

/// A number that no `i64` can hold is kept to the digit as text.
macro_rules! from_large {
    ($($whole:ty),*) => { $(
        impl From<$whole> for Metadata {
            fn from(number: $whole) -> Self {
                let whole = i64::try_from(number);
                whole.map_or_else(|_| Metadata::Text(number.to_string()), Metadata::Integer)
            }
        }
    )* };
}

from_large!(u64, usize, isize);

impl From<bool> for Metadata {
    fn from(flag: bool) -> Self {
        Metadata::Flag(flag)
    }
}

impl<T: Into<Metadata>> From<Vec<T>> for Metadata {
    fn from(values: Vec<T>) -> Self {
        Metadata::List(values.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_gives_back_what_it_was_given() {
        let deep = Metadata::map([
            ("a", Metadata::from(vec![1, 2, i64::MIN])),
            ("b", Metadata::map([("nan", Metadata::from(f64::INFINITY))])),
            ("c", Metadata::Null),
            ("d", Metadata::from(0.1 + 0.2)),
            ("e", Metadata::from(3.0)),
        ]);
        assert_eq!(Metadata::from_json(&deep.to_json()), deep);
        assert_eq!(deep.depth(9), 2);
        assert_eq!(deep.depth(0), 1);
        let nan = Metadata::from_json(&Metadata::from(f64::NAN).to_json());
        assert!(matches!(nan, Metadata::Real(number) if number.is_nan()));
    }

    #[test]
    fn what_is_nested_without_an_end_is_refused() {
        use crate::engine::format::codec;
        let nested = |levels: usize| {
            // A list of one value, again and again, and nothing at the bottom.
            let mut bytes = [5, 1].repeat(levels);
            bytes.push(0);
            codec::decode_front::<Metadata>(&bytes).is_ok()
        };
        assert!(nested(64) && !nested(65) && !nested(1 << 20) && nested(64));
    }
}
