//! The only file that names bincode: stored values to bytes and back, within a limit.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No stored value needs more; a length field that says otherwise is damaged or hostile.
const DECODE_LIMIT: usize = 16 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> =
    bincode::config::standard()
        .with_little_endian()
        .with_variable_int_encoding()
        .with_limit::<DECODE_LIMIT>();

/// Appends `value` to `out`.
///
/// Encoding into memory fails only for types that serde cannot describe ahead (sequences of
/// unknown length); stored types have none, and a test encodes each of them.
pub(crate) fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    struct Append<'a>(&'a mut Vec<u8>);
    impl bincode::enc::write::Writer for Append<'_> {
        #[inline]
        fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    bincode::serde::encode_into_writer(value, Append(out), CONFIG)
}

/// Reads one value from the front of `bytes`, and how many bytes it took.
pub(crate) fn decode_front<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::decode_from_slice(bytes, CONFIG)
}

/// Reads one value that must take up all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match decode_front(bytes) {
        Ok((value, taken)) if taken == bytes.len() => Ok(value),
        Ok((_, taken)) => Err(format!("{} bytes after the value", bytes.len() - taken)),
        Err(error) => Err(error.to_string()),
    }
}
