//! A short list of probabilities that needs no allocation in the usual case.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many values fit without an allocation.
pub(crate) const INLINE: usize = 8;
/// How many values an inference may have.
pub(crate) const MOST: usize = 1_024;

/// Up to [`MOST`] floats; up to [`INLINE`] of them stored in place.
#[derive(Clone)]
pub(crate) enum Floats {
    Inline { len: u8, values: [f32; INLINE] },
    Heap(Box<[f32]>),
}

impl Floats {
    #[inline]
    pub(crate) fn new(slice: &[f32]) -> Self {
        if slice.len() <= INLINE {
            let mut values = [0.0; INLINE];
            values[..slice.len()].copy_from_slice(slice);
            #[expect(clippy::cast_possible_truncation, reason = "at most INLINE")]
            let len = slice.len() as u8;
            Floats::Inline { len, values }
        } else {
            Floats::Heap(slice.into())
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[f32] {
        match self {
            Floats::Inline { len, values } => &values[..usize::from(*len).min(INLINE)],
            Floats::Heap(values) => values,
        }
    }
}

impl fmt::Debug for Floats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl Serialize for Floats {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.as_slice();
        let mut sequence = serializer.serialize_seq(Some(values.len()))?;
        for value in values {
            sequence.serialize_element(value)?;
        }
        sequence.end()
    }
}

impl<'de> Deserialize<'de> for Floats {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Floats;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MOST} floats")
            }

            #[inline]
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Floats, A::Error> {
                let expected = seq.size_hint().unwrap_or(0);
                if expected > MOST {
                    return Err(A::Error::invalid_length(expected, &self));
                }
                let mut values = [0.0; INLINE];
                for len in 0..INLINE {
                    match seq.next_element()? {
                        Some(value) => values[len] = value,
                        None => return Ok(Floats::new(&values[..len])),
                    }
                }
                let mut more = values.to_vec();
                while let Some(value) = seq.next_element()? {
                    if more.len() == MOST {
                        return Err(A::Error::invalid_length(MOST + 1, &self));
                    }
                    more.push(value);
                }
                Ok(Floats::new(&more))
            }
        }
        deserializer.deserialize_seq(List)
    }
}
