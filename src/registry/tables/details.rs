//! Training metadata in stored form: bytes that are decoded on request, so that other look-ups pay
//! nothing for it.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::engine::format::codec;
use crate::engine::format::codec::Stored;
use crate::registry::metadata::Metadata;

impl Stored for Vec<(String, Metadata)> {}

/// Names and values.
#[derive(Clone, Default)]
pub(crate) struct Details {
    bytes: Box<[u8]>,
    decoded: OnceLock<Vec<(String, Metadata)>>,
}

impl Details {
    pub(crate) fn new(entries: Vec<(String, Metadata)>) -> Self {
        let mut bytes = Vec::new();
        if !entries.is_empty() {
            let encoded = codec::encode_into(&entries, &mut bytes);
            debug_assert!(encoded.is_ok(), "stored types have known lengths");
        }
        Details {
            bytes: bytes.into(),
            decoded: OnceLock::from(entries),
        }
    }

    /// Whether the bytes can be read.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        codec::decode::<Vec<(String, Metadata)>>(&self.bytes).map(drop)
    }

    pub(crate) fn entries(&self) -> &[(String, Metadata)] {
        // The row's checksum was compared, so these are the bytes that `new` made, unless the file
        // was made up: then there are none.
        self.decoded
            .get_or_init(|| codec::decode(&self.bytes).unwrap_or_default())
    }
}

impl PartialEq for Details {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries().fmt(f)
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Box<[u8]>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(bytes.into())
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
                Ok(bytes.into())
            }
        }
        let bytes = deserializer
            .deserialize_byte_buf(BytesVisitor)
            .map_err(D::Error::custom)?;
        Ok(Details {
            bytes,
            decoded: OnceLock::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Stored for Details {}

    #[test]
    fn what_goes_in_comes_out() {
        for entries in [Vec::new(), vec![("lr".to_owned(), Metadata::from(0.5))]] {
            let details = Details::new(entries.clone());
            let mut bytes = Vec::new();
            assert!(codec::encode_into(&details, &mut bytes).is_ok());
            let read: Result<Details, _> = codec::decode(&bytes);
            assert_eq!(read.as_ref().map(Details::entries), Ok(&entries[..]));
            assert_eq!(read, Ok(details));
        }
    }
}
