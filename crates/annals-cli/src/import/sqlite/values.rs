//! SQLite's values as ours: any of its types may stand in any column.

use std::borrow::Cow;

use annals::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;

use crate::when;

/// A text; `None` for NULL.
pub fn text(value: ValueRef<'_>) -> Option<Cow<'_, str>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes)),
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
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
        // numpy's floats arrive as their bytes if nobody converts them.
        ValueRef::Blob(bytes) => match (<[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
            (Ok(four), _) => Ok(Some(f64::from(f32::from_le_bytes(four)))),
            (_, Ok(eight)) => Ok(Some(f64::from_le_bytes(eight))),
            _ => Err(format!("{} bytes are no number", bytes.len())),
        },
    }
}

/// A time: text with or without a zone, or a number of seconds, milli- or microseconds since 1970.
pub fn time(value: ValueRef<'_>, zone: &TimeZone) -> Option<Timestamp> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "within the bounds that are checked"
    )]
    let since_1970 = |number: f64| {
        let micros = match number.abs() {
            n if n < 1e11 => number * 1e6,
            n if n < 1e14 => number * 1e3,
            n if n < 1e17 => number,
            _ => return None,
        };
        Some(Timestamp::from_micros(micros.round() as i64))
    };
    match value {
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?.trim();
            if let Some(time) = when::local(text, zone) {
                return Some(time);
            }
            if let Ok(time) = text.parse::<jiff::Timestamp>() {
                return Some(Timestamp::from_micros(time.as_microsecond()));
            }
            text.parse().ok().and_then(since_1970)
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "microseconds until 2255 are exact"
        )]
        ValueRef::Integer(number) => since_1970(number as f64),
        ValueRef::Real(number) => since_1970(number),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// Whether a hash fits into 64 bits as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Whole,
    InPart,
}

/// A hash of up to 16 hexadecimal digits as it is; of a longer one, the first 16; of any other text,
/// its FNV-1a hash.
pub fn feature_hash(text: &str) -> (u64, Kept) {
    let digits = text.get(..16).unwrap_or(text);
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(hash) if is_hex && text.len() <= 16 => (hash, Kept::Whole),
        Ok(hash) if is_hex => (hash, Kept::InPart),
        _ => {
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            (hash, Kept::InPart)
        }
    }
}
