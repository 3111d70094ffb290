//! SQLite's values as ours: any of its types may stand in any column.

use std::borrow::Cow;

use annals::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};
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

/// A time, and how sure it is.
#[derive(Clone, Copy)]
pub struct Read {
    pub time: Timestamp,
    /// As if it were UTC's, if it bears no zone.
    pub local: Option<i64>,
    pub doubt: Option<Doubt>,
}

/// Why a time may be another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The clocks were put back, so that hour came twice; read as the first.
    Twice,
    /// The clocks were put forward over it.
    Never,
}

/// A time: text with or without a zone, or a number of seconds, milli-, micro- or nanoseconds since
/// 1970; also where either was stored as bytes.
pub fn time(value: ValueRef<'_>, zone: &TimeZone) -> Option<Read> {
    let since = |time: Option<Timestamp>| {
        time.map(|time| Read {
            time,
            local: None,
            doubt: None,
        })
    };
    match value {
        ValueRef::Text(bytes) => text_time(bytes, zone),
        ValueRef::Integer(number) => since(since_1970(number)),
        ValueRef::Real(number) => since(real_since_1970(number)),
        ValueRef::Blob(bytes) => text_time(bytes, zone).or_else(|| {
            // numpy's int64; a time before 1980 in seconds would be as good as anything.
            let number = <[u8; 8]>::try_from(bytes).ok().map(i64::from_le_bytes);
            since(
                number
                    .filter(|number| *number > 300_000_000)
                    .and_then(since_1970),
            )
        }),
        ValueRef::Null => None,
    }
}

fn text_time(bytes: &[u8], zone: &TimeZone) -> Option<Read> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if let Some(local) = when::local(text, &TimeZone::UTC) {
        let time = when::local(text, zone)?;
        let civil = jiff::Timestamp::from_microsecond(local.as_micros()).ok()?;
        let civil = TimeZone::UTC.to_datetime(civil);
        let doubt = match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { .. } => None,
            AmbiguousOffset::Fold { .. } => Some(Doubt::Twice),
            AmbiguousOffset::Gap { .. } => Some(Doubt::Never),
        };
        return Some(Read {
            time,
            local: Some(local.as_micros()),
            doubt,
        });
    }
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let time = zoned
        .map(|time| Timestamp::from_micros(time.as_microsecond()))
        .or_else(|| text.parse().ok().and_then(since_1970))
        .or_else(|| text.parse().ok().and_then(real_since_1970))?;
    Some(Read {
        time,
        local: None,
        doubt: None,
    })
}

/// A whole number of any unit that it can be of.
fn since_1970(number: i64) -> Option<Timestamp> {
    let micros = match number.unsigned_abs() {
        n if n < 100_000_000_000 => number.checked_mul(1_000_000)?,
        n if n < 100_000_000_000_000 => number.checked_mul(1_000)?,
        n if n < 100_000_000_000_000_000 => number,
        // The greatest of all stands for "never" rather than for a time.
        n if n < 9_200_000_000_000_000_000 => number.div_euclid(1_000),
        _ => return None,
    };
    Some(Timestamp::from_micros(micros))
}

fn real_since_1970(number: f64) -> Option<Timestamp> {
    let micros = match number.abs() {
        n if n < 1e11 => number * 1e6,
        n if n < 1e14 => number * 1e3,
        n if n < 1e17 => number,
        n if n < 9.2e18 => number / 1e3,
        _ => return None,
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "within the bounds that are checked"
    )]
    Some(Timestamp::from_micros(micros.round() as i64))
}

/// Whether a hash fits into 64 bits as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Whole,
    InPart,
}

/// A hash of up to 16 hexadecimal digits as it is; of a longer one, the first 16; of any other
/// text, its FNV-1a hash.
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
    fn hours_that_come_twice_or_never_are_told() {
        let zone = TimeZone::get("Europe/Sofia").unwrap();
        let doubt = |text: &str| {
            let read = time(ValueRef::Text(text.as_bytes()), &zone).unwrap();
            (read.local.is_some(), read.doubt)
        };
        assert_eq!(doubt("2025-10-26 03:30:00"), (true, Some(Doubt::Twice)));
        assert_eq!(doubt("2025-03-30 03:30:00"), (true, Some(Doubt::Never)));
        assert_eq!(doubt("2025-07-25 03:30:00"), (true, None));
        assert_eq!(doubt("2025-10-26T03:30:00+02:00"), (false, None));
        assert_eq!(doubt("1753454079"), (false, None));
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
