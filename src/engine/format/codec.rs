//! The only file that names bincode: stored values to bytes and back, within a limit.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No stored value needs more; a larger length field is damaged or hostile.
const DECODE_LIMIT: usize = 16 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> =
    bincode::config::standard()
        .with_little_endian()
        .with_variable_int_encoding()
        .with_limit::<DECODE_LIMIT>();

/// No stored sequence, count or number of bytes is higher: five million entries a second reach it
/// after 450 years. Two hundred such numbers can be added without an overflow.
pub(crate) const MOST: u64 = 1 << 56;

/// A value that is stored on its own, and is believed only within bounds. A checksum proves that a
/// value was written so, not that a journal can hold it.
pub(crate) trait Stored: DeserializeOwned {
    /// Refuses values that no journal can hold, with the reason.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Numbers, names and pairs without a meaning of their own: their readers check the bounds.
macro_rules! unbounded {
    ($($stored:ty),*) => { $(impl Stored for $stored {})* };
}

unbounded!(u32, u64, i64, String, (u16, u16), (u8, String));

/// Refuses a number above [`MOST`].
pub(crate) fn bounded(what: &str, number: u64) -> Result<(), String> {
    if number > MOST {
        return Err(format!("{what} of {number} cannot be"));
    }
    Ok(())
}

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

/// An encoding up to this long is always decoded: a number takes at least one byte of it, and the
/// limit counts eight.
pub(crate) const SURELY_READABLE: usize = 64 << 10;

/// Appends `value` to `out`, unless a reader would refuse it. In that case `out` stays unchanged,
/// and the error has the reason. A long encoding is read back as readers do, because the limit
/// counts more than the bytes: many short texts pass it long before they take 16 MiB.
pub(crate) fn encode_readable<T>(value: &T, out: &mut Vec<u8>) -> Result<(), String>
where
    T: Serialize + DeserializeOwned,
{
    encode_as::<T, T>(value, out)
}

/// The same for a value that is read as another type with the same encoding, such as a reference.
pub(crate) fn encode_as<T: Serialize, R: DeserializeOwned>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let before = out.len();
    let encoded = encode_into(value, out).map_err(|error| error.to_string());
    let readable = encoded.and_then(|()| {
        let bytes = out.get(before..).unwrap_or_default();
        if bytes.len() <= SURELY_READABLE {
            return Ok(());
        }
        let length = bytes.len();
        let limit = DECODE_LIMIT >> 20;
        decode_front::<R>(bytes).map(|_| ()).map_err(|error| {
            format!("its {length} bytes take more than {limit} MiB to read ({error})")
        })
    });
    if readable.is_err() {
        out.truncate(before);
    }
    readable
}

/// Reads one value from the front of `bytes`, and how many bytes it took.
pub(crate) fn decode_front<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::decode_from_slice(bytes, CONFIG)
}

/// Reads one value that must take up all of `bytes` and be within its bounds.
pub(crate) fn decode<T: Stored>(bytes: &[u8]) -> Result<T, String> {
    let (value, taken): (T, usize) = decode_front(bytes).map_err(|error| error.to_string())?;
    match bytes.len().checked_sub(taken) {
        Some(0) => {}
        more => return Err(format!("{} bytes after the value", more.unwrap_or(0))),
    }
    value.check()?;
    Ok(value)
}
