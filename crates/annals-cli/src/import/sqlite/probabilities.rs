//! Probabilities as the predecessor wrote them: `{"BUY": 0.85}` or `[0.85, 0.1]`.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::words::TextPool;

/// Reads them in the order in which they are written, which JSON's own maps forget. Leaves out
/// what is no number, and says how many those are.
pub fn read(
    json: &str,
    words: &mut TextPool,
    into: &mut Vec<(Arc<str>, f32)>,
) -> Result<u64, String> {
    let mut reading = serde_json::Deserializer::from_str(json);
    let mut bad = 0;
    let pairs = ProbabilitiesVisitor {
        words,
        into,
        bad: &mut bad,
    };
    let read = pairs.deserialize(&mut reading);
    read.and_then(|()| reading.end())
        .map(|()| bad)
        .map_err(|error| error.to_string())
}

struct ProbabilitiesVisitor<'r> {
    words: &'r mut TextPool,
    into: &'r mut Vec<(Arc<str>, f32)>,
    bad: &'r mut u64,
}

impl<'de> DeserializeSeed<'de> for ProbabilitiesVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ProbabilitiesVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(label) = map.next_key_seed(Label(self.words))? {
            match map.next_value_seed(Probability)? {
                Some(value) => self.into.push((label, value)),
                None => *self.bad += 1,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let none = self.words.get("");
        while let Some(value) = list.next_element_seed(Probability)? {
            match value {
                Some(value) => self.into.push((none.clone(), value)),
                // The others keep their places.
                None => {
                    *self.bad += 1;
                    self.into.push((none.clone(), f32::NAN));
                }
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A label, made once for all rows.
struct Label<'w>(&'w mut TextPool);

impl<'de> DeserializeSeed<'de> for Label<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Arc<str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Label<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a label")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(self.0.get(text))
    }
}

/// A number, also as text; null is not a number. `None` for anything else.
struct Probability;

impl<'de> DeserializeSeed<'de> for Probability {
    type Value = Option<f32>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<f32>, D::Error> {
        json.deserialize_any(self)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "probabilities are kept as f32"
)]
impl<'de> Visitor<'de> for Probability {
    type Value = Option<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<f32>, E> {
        Ok(Some(number as f32))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<f32>, E> {
        Ok(Some(number as f32))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<f32>, E> {
        Ok(Some(number as f32))
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<f32>, E> {
        Ok(text.trim().parse().ok())
    }

    fn visit_unit<E>(self) -> Result<Option<f32>, E> {
        Ok(Some(f32::NAN))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<f32>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<f32>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<f32>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
