//! Points in time as sources write them, and how sure they are.

use std::fmt;

use annals::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::Deserialize;

use super::ImportReport;
use crate::when;

/// Forms of a row's time, for messages. Words such as `24h` are no point in time: what they mean
/// depends on when they are read.
pub const FORMS: &str = "give 2025-07-25T14:30:05Z, the same with a zone's offset or without a \
                         zone, or a number since 1970";

/// A time, and how sure it is.
#[derive(Clone, Copy, Debug)]
pub struct ReadTime {
    pub time: Timestamp,
    /// As if it were UTC's, if it bears no zone.
    pub local: Option<i64>,
    pub doubt: Option<TimeDoubt>,
}

impl ReadTime {
    fn sure(time: Timestamp) -> Self {
        ReadTime {
            time,
            local: None,
            doubt: None,
        }
    }
}

/// Why a time may be another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeDoubt {
    /// The clocks were put back, so that hour came twice; read as the first.
    Twice,
    /// The clocks were put forward over it.
    Never,
}

/// The doubts about the times of a row.
#[derive(Clone, Copy, Default)]
pub struct Doubts {
    no_zone: bool,
    twice: bool,
    never: bool,
}

impl Doubts {
    /// Adds those of one time.
    pub fn note(&mut self, read: &ReadTime) {
        self.no_zone |= read.local.is_some();
        self.twice |= read.doubt == Some(TimeDoubt::Twice);
        self.never |= read.doubt == Some(TimeDoubt::Never);
    }

    /// Counts a row that was taken in.
    pub fn count(self, report: &mut ImportReport) {
        report.no_zone += u64::from(self.no_zone);
        report.twice += u64::from(self.twice);
        report.never += u64::from(self.never);
    }
}

/// A time in a text: with a zone, without one, or as a number since 1970.
pub fn text(text: &str, zone: &TimeZone) -> Option<ReadTime> {
    let text = text.trim();
    for name in [" UTC", " GMT", " utc", " gmt"] {
        if let Some(text) = text.strip_suffix(name) {
            return when::local(text.trim_end(), &TimeZone::UTC).map(ReadTime::sure);
        }
    }
    if let Some(local) = when::local(text, &TimeZone::UTC) {
        let time = when::local(text, zone)?;
        let civil = jiff::Timestamp::from_microsecond(local.as_micros()).ok()?;
        let civil = TimeZone::UTC.to_datetime(civil);
        let doubt = match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { .. } => None,
            AmbiguousOffset::Fold { .. } => Some(TimeDoubt::Twice),
            AmbiguousOffset::Gap { .. } => Some(TimeDoubt::Never),
        };
        return Some(ReadTime {
            time,
            local: Some(local.as_micros()),
            doubt,
        });
    }
    let zoned = text.parse::<jiff::Timestamp>().ok();
    zoned
        .map(|time| Timestamp::from_micros(time.as_microsecond()))
        .or_else(|| text.parse().ok().and_then(since_1970))
        .or_else(|| text.parse().ok().and_then(real_since_1970))
        // As export writes it: every time that there is, beyond jiff's years too.
        .or_else(|| text.parse().ok())
        .map(ReadTime::sure)
}

/// A whole number of any unit that it can be of.
pub fn integer(number: i64) -> Option<ReadTime> {
    since_1970(number).map(ReadTime::sure)
}

/// A number of any unit that it can be of.
pub fn real(number: f64) -> Option<ReadTime> {
    real_since_1970(number).map(ReadTime::sure)
}

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

/// A time as JSON has it.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum GivenTime {
    Text(String),
    Integer(i64),
    Real(f64),
}

impl GivenTime {
    /// The time of `field`; `Err` says what is there instead.
    pub fn read(&self, field: &str, zone: &TimeZone) -> Result<ReadTime, String> {
        let read = match self {
            GivenTime::Text(words) => text(words, zone),
            GivenTime::Integer(number) => integer(*number),
            GivenTime::Real(number) => real(*number),
        };
        read.ok_or_else(|| format!("{field} {self} is no time: {FORMS}"))
    }
}

impl fmt::Display for GivenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenTime::Text(text) => write!(f, "{text:?}"),
            GivenTime::Integer(number) => write!(f, "{number}"),
            GivenTime::Real(number) => write!(f, "{number}"),
        }
    }
}

/// A quarter of an hour: zones are whole numbers of it apart.
pub const QUARTER: i64 = 900_000_000;
/// The clocks of the westernmost and easternmost zone, as quarters behind and ahead of UTC.
pub const ZONES: (i64, i64) = (-48, 56);

/// Whether there can be a zone whose clocks show `local`, written as if it were UTC, at `time`.
pub fn is_of_a_zone(local: i64, time: i64) -> bool {
    local.checked_sub(time).is_some_and(|ahead| {
        ahead % QUARTER == 0 && (ZONES.0..=ZONES.1).contains(&(ahead / QUARTER))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_753_454_079_000_000;

    fn micros(words: &str) -> Option<i64> {
        text(words, &TimeZone::UTC).map(|read| read.time.as_micros())
    }

    #[test]
    fn every_form_of_a_point_in_time_is_read() {
        for words in [
            "2025-07-25T14:34:39Z",
            "2025-07-25 14:34:39",
            "2025-07-25 14:34:39,000",
            "2025-07-25 14:34:39.000000 UTC",
            "2025-07-25T17:34:39+03:00",
            "2025-07-25T17:34:39+03:00[Europe/Sofia]",
            " 1753454079 ",
            "1753454079.0",
            "1753454079000",
            "1753454079000000us",
        ] {
            assert_eq!(micros(words), Some(AT), "{words}");
        }
        assert_eq!(micros("-9223372036854775808us"), Some(i64::MIN));
    }

    #[test]
    fn words_that_depend_on_now_are_no_times() {
        for words in [
            "now",
            "today",
            "yesterday",
            "24h",
            "7d",
            "90s",
            "2w",
            "1.5h",
            "soon",
            "",
            "2025-13-01",
            "inf",
            "NaN",
        ] {
            assert_eq!(micros(words), None, "{words}");
        }
        let said = GivenTime::Text("24h".into()).read("event_time", &TimeZone::UTC);
        let said = said.err().unwrap_or_default();
        assert!(said.starts_with("event_time \"24h\" is no time"), "{said}");
    }

    #[test]
    fn hours_that_come_twice_or_never_are_told() {
        let zone = TimeZone::get("Europe/Sofia").unwrap();
        let doubt = |words: &str| {
            let read = text(words, &zone).unwrap();
            (read.local.is_some(), read.doubt)
        };
        assert_eq!(doubt("2025-10-26 03:30:00"), (true, Some(TimeDoubt::Twice)));
        assert_eq!(doubt("2025-03-30 03:30:00"), (true, Some(TimeDoubt::Never)));
        assert_eq!(doubt("2025-07-25 03:30:00"), (true, None));
        assert_eq!(doubt("2025-10-26T03:30:00+02:00"), (false, None));
        assert_eq!(doubt("1753454079"), (false, None));
    }

    #[test]
    fn zones_are_quarters_of_an_hour_apart() {
        let hour = 3_600_000_000;
        for ahead in [0, 3 * hour, -hour / 4, 14 * hour, -12 * hour] {
            assert!(is_of_a_zone(AT, AT - ahead), "{ahead}");
        }
        for ahead in [1_000_000, 15 * hour, -13 * hour] {
            assert!(!is_of_a_zone(AT, AT - ahead), "{ahead}");
        }
        assert!(!is_of_a_zone(i64::MIN, i64::MAX));
    }
}
