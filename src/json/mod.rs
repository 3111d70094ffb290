//! The one JSON dialect of the library and the command `annals`.
//!
//! Ids and hashes are text, because numbers of JSON are exact up to 2^53 only in many readers.
//! Times are RFC 3339. Durations are nanoseconds, and their names end in `_ns`. Absent values are
//! left out or null. A number that is not finite is the text `NaN`, `inf` or `-inf` in an entry and
//! null in a statistic.
//!
//! Types that are stored too use this form in formats that people read, and their stored form in
//! others. So the bytes of the journal come from the same implementations of serde.

mod checkpoint;
mod fields;
mod manifest;
mod statistics;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::entry::episode::{EpisodeEnd, EpisodeId};
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::gap::GapReason;
use crate::entry::ids::{InferenceId, JournalId};
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;
use crate::read::Cursor;

/// Types that are never stored are objects in every format.
macro_rules! as_object {
    ($($type:ty as $fields:ty: $write:ident, $read:ident;)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $write(self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $read(<$fields>::deserialize(deserializer)?)
            }
        }
    )* };
}
use as_object;

/// Text for people, and `$inner` for the journal.
macro_rules! as_text {
    ($type:ident, $inner:ty, $number:path, $expected:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        /// In formats that people read, the number is read too.
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(Text($expected, $number, PhantomData))
                } else {
                    <$inner>::deserialize(deserializer).map($number)
                }
            }
        }
    };
}

as_text!(
    InferenceId,
    u64,
    InferenceId,
    "an inference id, such as \"3-17\""
);
as_text!(EpisodeId, u64, EpisodeId, "an episode id, such as \"3-17\"");
as_text!(
    JournalId,
    u128,
    JournalId,
    "a journal's id, 32 hexadecimal digits"
);
as_text!(Timestamp, i64, Timestamp::from_micros, "a time as RFC 3339");

/// Reads a text, or the number that it stands for.
struct Text<T, N>(&'static str, fn(N) -> T, PhantomData<T>);

impl<T: FromStr<Err = crate::Error>, N: TryFrom<u64> + TryFrom<i64>> Visitor<'_> for Text<T, N> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let unexpected = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
        N::try_from(number).map(self.1).map_err(unexpected)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let unexpected = |_| E::invalid_value(de::Unexpected::Signed(number), &self);
        N::try_from(number).map(self.1).map_err(unexpected)
    }
}

/// One word for people, and the variant's number for the journal.
macro_rules! as_word {
    ($type:ident { $($number:literal $variant:ident = $word:literal),* $(,)? }) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let (number, variant, word) = match self {
                    $($type::$variant => ($number, stringify!($variant), $word),)*
                };
                if serializer.is_human_readable() {
                    serializer.serialize_str(word)
                } else {
                    serializer.serialize_unit_variant(stringify!($type), number, variant)
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                enum StoredWord {
                    $(#[serde(rename = $word)] $variant,)*
                }
                Ok(match StoredWord::deserialize(deserializer)? {
                    $(StoredWord::$variant => $type::$variant,)*
                })
            }
        }
    };
}

as_word!(Level {
    0 Trace = "TRACE",
    1 Debug = "DEBUG",
    2 Info = "INFO",
    3 Warn = "WARN",
    4 Error = "ERROR",
});
as_word!(CheckpointAction {
    0 Saved = "saved",
    1 Loaded = "loaded",
    2 Activated = "activated",
    3 Deleted = "deleted",
    4 Failed = "failed",
});
as_word!(EpisodeEnd {
    0 Terminated = "terminated",
    1 Truncated = "truncated",
    2 Abandoned = "abandoned",
});
as_word!(GapReason {
    0 QueueFull = "queue_full",
    1 Refused = "refused",
    2 Died = "died",
    3 Damaged = "damaged",
    4 Withdrawn = "withdrawn",
});

/// Text, a number or a flag; a number that is not finite as `{"real": "NaN"}`, which no text is.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return match self {
                Value::Text(text) => serializer.serialize_str(text),
                Value::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
                Value::Real(number) => {
                    let mut map = serializer.serialize_map(Some(1))?;
                    map.serialize_entry(REAL, &number.to_string())?;
                    map.end()
                }
                Value::Integer(number) => serializer.serialize_i64(*number),
                Value::Flag(flag) => serializer.serialize_bool(*flag),
            };
        }
        match self {
            Value::Text(text) => serializer.serialize_newtype_variant("Value", 0, "Text", text),
            Value::Real(real) => serializer.serialize_newtype_variant("Value", 1, "Real", real),
            Value::Integer(whole) => {
                serializer.serialize_newtype_variant("Value", 2, "Integer", whole)
            }
            Value::Flag(flag) => serializer.serialize_newtype_variant("Value", 3, "Flag", flag),
        }
    }
}

const REAL: &str = "real";

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        enum StoredValue {
            Text(String),
            Real(f64),
            Integer(i64),
            Flag(bool),
        }
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Bare);
        }
        Ok(match StoredValue::deserialize(deserializer)? {
            StoredValue::Text(text) => Value::Text(text),
            StoredValue::Real(real) => Value::Real(real),
            StoredValue::Integer(whole) => Value::Integer(whole),
            StoredValue::Flag(flag) => Value::Flag(flag),
        })
    }
}

struct Bare;

impl<'de> Visitor<'de> for Bare {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (Some((name, text)), None) = (
            map.next_entry::<String, String>()?,
            map.next_key::<String>()?,
        ) else {
            return Err(de::Error::custom("an object with one field was expected"));
        };
        match text.parse() {
            Ok(number) if name == REAL => Ok(Value::Real(number)),
            _ => Err(de::Error::custom(
                "only {\"real\": \"NaN\"} may be an object",
            )),
        }
    }
}

/// As it prints.
impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

// With the tests, because `tests/public_api.rs` reads a file up to them.
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::engine::format::codec;

    /// The bytes are those of serde's derived implementations, which journals were written with.
    #[test]
    fn what_is_stored_has_not_changed() {
        fn bytes(value: &impl Serialize) -> Vec<u8> {
            let mut out = Vec::new();
            codec::encode_into(value, &mut out).unwrap();
            out
        }
        assert_eq!(bytes(&Value::from("ab")), [0, 2, b'a', b'b']);
        assert_eq!(bytes(&Value::Integer(-1)), [2, 1]);
        assert_eq!(bytes(&Value::Flag(true)), [3, 1]);
        assert_eq!(bytes(&Value::Real(0.0)), [1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(&Level::Warn), [3]);
        assert_eq!(bytes(&CheckpointAction::Failed), [4]);
        assert_eq!(bytes(&GapReason::Damaged), [3]);
    }

    fn same<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    }

    #[test]
    fn ids_times_and_words_are_text() {
        same(&InferenceId::from_u64((3 << 40) | 17), "\"3-17\"");
        same(
            &InferenceId::from_u64(u64::MAX),
            "\"16777215-1099511627775\"",
        );
        same(&JournalId(7), "\"00000000000000000000000000000007\"");
        same(&Level::Info, "\"INFO\"");
        same(&CheckpointAction::Saved, "\"saved\"");
        same(&GapReason::QueueFull, "\"queue_full\"");
        let id: InferenceId = serde_json::from_str("3298534883345").unwrap();
        assert_eq!(id.to_string(), "3-17");
        assert!(serde_json::from_str::<InferenceId>("-1").is_err());
        assert!(serde_json::from_str::<InferenceId>("\"x\"").is_err());
    }

    #[test]
    fn times_of_all_years_come_back() {
        let year = 31_556_952_000_000_i64;
        let times = [
            i64::MIN,
            -200_000 * year,
            -3_000 * year,
            -1,
            0,
            1,
            40 * year,
        ];
        let later = [7_999 * year, 8_100 * year, 100_000 * year, i64::MAX];
        for micros in times.into_iter().chain(later) {
            let time = Timestamp::from_micros(micros);
            let text = serde_json::to_string(&time).unwrap();
            let back = serde_json::from_str::<Timestamp>(&text);
            assert_eq!(back.ok(), Some(time), "{text}");
        }
    }

    #[test]
    fn values_are_bare() {
        same(&Value::from("a"), "\"a\"");
        same(&Value::Integer(12), "12");
        same(&Value::Real(0.5), "0.5");
        same(&Value::Flag(false), "false");
        same(&Value::Real(f64::INFINITY), "{\"real\":\"inf\"}");
        let nan: Value = serde_json::from_str("{\"real\":\"NaN\"}").unwrap();
        assert!(matches!(nan, Value::Real(number) if number.is_nan()));
        assert!(serde_json::from_str::<Value>("{\"real\":\"1\",\"b\":\"2\"}").is_err());
        assert!(serde_json::from_str::<Value>("null").is_err());
    }
}
