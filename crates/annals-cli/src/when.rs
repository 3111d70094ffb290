//! Points in time, in words.

use annals::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// Forms that `--since` and `--until` accept, for messages and help.
pub const FORMS: &str = "90s, 30m, 24h, 7d or 2w (ago), now, today, yesterday, 2025-07-25, \
                         '2025-07-25 14:30', '2025-07-25 14:30:05' (all UTC) or RFC 3339";

/// Reads a point in time, as seen from `now`.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    let midnight = |days: i64| {
        const DAY: i64 = 86_400_000_000;
        let today = now.as_micros().div_euclid(DAY);
        Timestamp::from_micros(today.saturating_sub(days).saturating_mul(DAY))
    };
    let read = match text {
        "now" => Some(now),
        "today" => Some(midnight(0)),
        "yesterday" => Some(midnight(1)),
        _ => ago(text, now)
            .or_else(|| local(text, &TimeZone::UTC))
            .or_else(|| {
                let time: jiff::Timestamp = text.parse().ok()?;
                Some(Timestamp::from_micros(time.as_microsecond()))
            })
            // Times beyond jiff's years.
            .or_else(|| text.parse().ok()),
    };
    read.ok_or_else(|| format!("{text:?} is no time: give {FORMS}"))
}

/// For clap: as seen from this moment.
pub fn from_now(text: &str) -> Result<Timestamp, String> {
    parse(text, Timestamp::now())
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

/// A date, or date and time of day, on the clocks of `zone`.
pub fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    // jiff reads what bears a zone as local too, and ignores the zone.
    if text.len() > 11 && text.get(11..)?.contains(['Z', 'z', '+', '-']) {
        return None;
    }
    let time: civil::DateTime = match text.len() {
        10 => text
            .parse::<civil::Date>()
            .ok()?
            .to_datetime(civil::Time::midnight()),
        _ => text.parse().ok()?,
    };
    let time = zone.to_timestamp(time).ok()?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-07-25 14:34:39 UTC.
    const NOW: Timestamp = Timestamp::from_micros(1_753_454_079_000_000);

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
            let read = parse(text, NOW).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Ok(meant), "{text}");
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
            let refused = parse(text, NOW).err();
            assert!(refused.is_some_and(|why| why.contains("24h")), "{text}");
        }
        assert!(length("50ms").is_ok() && length("7d").is_ok());
        assert!(length("-5s").is_err() && length("").is_err() && length("ms").is_err());
    }
}
