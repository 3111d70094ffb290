//! SQLite's values as ours: any of its types may stand in any column.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;

use super::super::times::{self, ReadTime};

/// A text; `None` for NULL.
pub fn text(value: ValueRef<'_>) -> Option<Cow<'_, str>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes)),
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
    }
}

/// A value as it is shown.
pub fn shown(value: ValueRef<'_>) -> String {
    const SHOWN: usize = 60;
    match text(value) {
        Some(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
        None => "NULL".to_owned(),
    }
}

/// Whether a text has to be changed to be one.
pub fn is_text(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => std::str::from_utf8(bytes).is_ok(),
        _ => true,
    }
}

/// A number, also where it was stored as text; `Err` says what is there instead.
pub fn number(value: ValueRef<'_>) -> Result<Option<f64>, String> {
    match value {
        ValueRef::Null => Ok(None),
        #[allow(clippy::cast_precision_loss, reason = "what SQLite itself would do")]
        ValueRef::Integer(number) => Ok(Some(number as f64)),
        ValueRef::Real(number) => Ok(Some(number)),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim();
            if text.is_empty() {
                return Ok(None);
            }
            text.parse()
                .map(Some)
                .map_err(|_| format!("{text:?} is no number"))
        }
        // numpy's numbers arrive as their bytes if they are not converted.
        ValueRef::Blob(bytes) => match (<[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
            (Ok(four), _) => Ok(Some(f64::from(f32::from_le_bytes(four)))),
            (_, Ok(eight)) => Ok(Some(eight_bytes(eight))),
            _ => Err(format!("{} bytes are no number", bytes.len())),
        },
    }
}

/// A float64, or an int64: read as a float, that is far too small.
fn eight_bytes(bytes: [u8; 8]) -> f64 {
    let number = f64::from_le_bytes(bytes);
    if number.is_subnormal() {
        #[allow(clippy::cast_precision_loss, reason = "what SQLite itself would do")]
        return i64::from_le_bytes(bytes) as f64;
    }
    number
}

/// A time: text with or without a zone, or a number of seconds, milli-, micro- or nanoseconds since
/// 1970; also where either was stored as bytes.
pub fn time(value: ValueRef<'_>, zone: &TimeZone) -> Option<ReadTime> {
    match value {
        ValueRef::Text(bytes) => text_time(bytes, zone),
        ValueRef::Integer(number) => times::integer(number),
        ValueRef::Real(number) => times::real(number),
        ValueRef::Blob(bytes) => text_time(bytes, zone).or_else(|| {
            // numpy's int64; a time before 1980 in seconds would be as good as anything.
            let number = <[u8; 8]>::try_from(bytes).ok().map(i64::from_le_bytes);
            let number = number.filter(|number| *number > 300_000_000);
            number.and_then(times::integer)
        }),
        ValueRef::Null => None,
    }
}

fn text_time(bytes: &[u8], zone: &TimeZone) -> Option<ReadTime> {
    times::text(std::str::from_utf8(bytes).ok()?, zone)
}

/// Whether a hash fits into 64 bits as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HashFit {
    Whole,
    InPart,
}

/// A hash of up to 16 hexadecimal digits as it is; of a longer one, the first 16; of any other
/// text, its FNV-1a hash.
pub fn feature_hash(text: &str) -> (u64, HashFit) {
    let digits = text.get(..16).unwrap_or(text);
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(hash) if is_hex && text.len() <= 16 => (hash, HashFit::Whole),
        Ok(hash) if is_hex => (hash, HashFit::InPart),
        _ => {
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            (hash, HashFit::InPart)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(value: ValueRef<'_>) -> Option<i64> {
        time(value, &TimeZone::UTC).map(|read| read.time.as_micros())
    }

    #[test]
    fn every_unit_since_1970_is_told_by_its_size() {
        const AT: i64 = 1_753_454_079_000_000;
        for number in [AT / 1_000_000, AT / 1_000, AT, AT * 1_000] {
            assert_eq!(micros(ValueRef::Integer(number)), Some(AT), "{number}");
            let text = number.to_string();
            assert_eq!(micros(ValueRef::Text(text.as_bytes())), Some(AT), "{text}");
            assert_eq!(micros(ValueRef::Blob(&number.to_le_bytes())), Some(AT));
        }
        assert_eq!(micros(ValueRef::Integer(i64::MAX)), None);
        assert_eq!(micros(ValueRef::Blob(b"2025-07-25 14:34:39")), Some(AT));
        assert_eq!(micros(ValueRef::Blob(b"\x00\xff")), None);
    }

    #[test]
    fn bytes_of_integers_are_no_tiny_floats() {
        assert_eq!(number(ValueRef::Blob(&7_i64.to_le_bytes())), Ok(Some(7.0)));
        assert_eq!(
            number(ValueRef::Blob(&0.25_f64.to_le_bytes())),
            Ok(Some(0.25))
        );
        assert_eq!(number(ValueRef::Blob(&[0; 8])), Ok(Some(0.0)));
    }
}
