//! Points in time, in words.

use annals::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use crate::zone::Zone;

/// Forms that `--since` and `--until` accept, for messages and help.
pub const FORMS: &str = "90s, 30m, 24h, 7d or 2w (ago), now, today, yesterday, 2025-07-25, \
                         '2025-07-25 14:30', '2025-07-25 14:30:05' (on the clocks of --zone) or \
                         RFC 3339";

/// A point in time as it was given. Which moment it is may depend on a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// The same everywhere.
    At(Timestamp),
    /// The beginning of the day that the clocks show at a moment, or of one so many days before.
    Midnight(Timestamp, u32),
    /// A time of the clocks.
    Shown(civil::DateTime),
}

impl When {
    /// The first moment that is meant on the clocks of `zone`.
    pub fn on(self, zone: &Zone) -> Timestamp {
        let (found, shown) = match self {
            When::At(time) => return time,
            When::Midnight(now, days_ago) => (zone.midnight(now, days_ago), None),
            When::Shown(shown) => (zone.first(shown), Some(shown)),
        };
        // At the ends of jiff's years an offset leads out of them.
        let beyond = match shown {
            Some(shown) if shown.year() < 0 => Timestamp::MIN,
            Some(_) => Timestamp::MAX,
            None => Timestamp::MIN,
        };
        found.unwrap_or(beyond)
    }
}

/// For clap: a point in time, as seen from this moment.
pub fn read(text: &str) -> Result<When, String> {
    read_at(text, Timestamp::now())
}

/// Reads a point in time, as seen from `now`.
fn read_at(text: &str, now: Timestamp) -> Result<When, String> {
    let text = text.trim();
    let read = match text {
        "now" => Some(When::At(now)),
        "today" => Some(When::Midnight(now, 0)),
        "yesterday" => Some(When::Midnight(now, 1)),
        _ => ago(text, now)
            .map(When::At)
            .or_else(|| civil(text).map(When::Shown))
            .or_else(|| {
                let time: jiff::Timestamp = text.parse().ok()?;
                Some(When::At(Timestamp::from_micros(time.as_microsecond())))
            })
            // Times beyond jiff's years.
            .or_else(|| text.parse().ok().map(When::At)),
    };
    read.ok_or_else(|| format!("{text:?} is no time: give {FORMS}"))
}

/// `24h`: so long before `now`.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span = span(text)?;
    Some(Timestamp::from_micros(now.as_micros().saturating_sub(span)))
}

/// `24h` in microseconds.
fn span(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: f64 = text[..text.len() - 1].parse().ok()?;
    let micros = number * f64::from(seconds) * 1e6;
    // A few centuries are enough, and stay within an i64.
    #[allow(clippy::cast_possible_truncation, reason = "within the bounds")]
    let micros = (0.0..1e16).contains(&micros).then(|| micros.round() as i64);
    micros
}

/// For clap: a length of time, `24h`.
pub fn length(text: &str) -> Result<std::time::Duration, String> {
    let millis = text.strip_suffix("ms").and_then(|number| {
        let number: f64 = number.parse().ok()?;
        (0.0..1e12).contains(&number).then_some(number * 1e3)
    });
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds"
    )]
    let micros = millis
        .map(|micros| micros.round() as u64)
        .or_else(|| span(text).and_then(|micros| u64::try_from(micros).ok()));
    micros
        .map(std::time::Duration::from_micros)
        .ok_or_else(|| format!("{text:?} is no length of time: give 50ms, 90s, 30m, 24h, 7d or 2w"))
}

/// A date, or date and time of day, that bears no zone.
fn civil(text: &str) -> Option<civil::DateTime> {
    // jiff reads what bears a zone too, and ignores the zone.
    if text.len() > 11 && text.get(11..)?.contains(['Z', 'z', '+', '-']) {
        return None;
    }
    match text.len() {
        10 => Some(
            text.parse::<civil::Date>()
                .ok()?
                .to_datetime(civil::Time::midnight()),
        ),
        _ => text.parse().ok(),
    }
}

/// A date, or date and time of day, on the clocks of `zone`.
pub fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let time = zone.to_timestamp(civil(text)?).ok()?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone;

    /// 2025-07-25 14:34:39 UTC.
    const NOW: Timestamp = Timestamp::from_micros(1_753_454_079_000_000);

    fn on(text: &str, zone: &str) -> Result<String, String> {
        let zone = zone::read(zone)?;
        read_at(text, NOW).map(|when| when.on(&zone).to_string())
    }

    #[test]
    fn words_are_understood() {
        for (text, meant) in [
            ("now", "2025-07-25T14:34:39.000000Z"),
            ("24h", "2025-07-24T14:34:39.000000Z"),
            ("90m", "2025-07-25T13:04:39.000000Z"),
            ("7d", "2025-07-18T14:34:39.000000Z"),
            ("1.5h", "2025-07-25T13:04:39.000000Z"),
            ("today", "2025-07-25T00:00:00.000000Z"),
            ("yesterday", "2025-07-24T00:00:00.000000Z"),
            ("2025-07-25", "2025-07-25T00:00:00.000000Z"),
            ("2025-07-25 14:30", "2025-07-25T14:30:00.000000Z"),
            ("2025-07-25T14:30:05", "2025-07-25T14:30:05.000000Z"),
            ("2025-07-25T14:30:05Z", "2025-07-25T14:30:05.000000Z"),
            (
                "2025-07-25T14:30:05.25+02:00",
                "2025-07-25T12:30:05.250000Z",
            ),
        ] {
            assert_eq!(on(text, "UTC").as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_zone() {
        for (text, zone, meant) in [
            ("today", "Asia/Tokyo", "2025-07-24T15:00:00.000000Z"),
            (
                "yesterday",
                "America/New_York",
                "2025-07-24T04:00:00.000000Z",
            ),
            ("2025-03-30", "Europe/Berlin", "2025-03-29T23:00:00.000000Z"),
            ("2025-03-31", "Europe/Berlin", "2025-03-30T22:00:00.000000Z"),
            // Clocks jumped over it: the moment of the jump.
            (
                "2025-03-30 02:30",
                "Europe/Berlin",
                "2025-03-30T01:00:00.000000Z",
            ),
            // Clocks showed it twice: the first time.
            (
                "2025-10-26 02:30",
                "Europe/Berlin",
                "2025-10-26T00:30:00.000000Z",
            ),
            (
                "2025-07-25 14:30",
                "Asia/Kathmandu",
                "2025-07-25T08:45:00.000000Z",
            ),
            // A word about a moment is the same everywhere.
            ("24h", "Asia/Tokyo", "2025-07-24T14:34:39.000000Z"),
            (
                "2025-07-25T14:30:05Z",
                "Asia/Tokyo",
                "2025-07-25T14:30:05.000000Z",
            ),
        ] {
            assert_eq!(on(text, zone).as_deref(), Ok(meant), "{text} {zone}");
        }
        for (text, zone) in [("9999-12-31", "-12:00"), ("-009999-01-01", "+14:00")] {
            let found =
                read_at(text, NOW).map(|when| when.on(&zone::read(zone).unwrap_or_default()));
            assert!(found.is_ok() || text.len() > 10, "{text}");
        }
    }

    #[test]
    fn nonsense_is_told_what_is_accepted() {
        for text in [
            "",
            "h",
            "-1h",
            "25",
            "2025-13-01",
            "2025-07-25 25:00",
            "soon",
            "1e99d",
            "ß",
        ] {
            let refused = read_at(text, NOW).err();
            assert!(refused.is_some_and(|why| why.contains("24h")), "{text}");
        }
        assert!(length("50ms").is_ok() && length("7d").is_ok());
        assert!(length("-5s").is_err() && length("").is_err() && length("ms").is_err());
    }
}
