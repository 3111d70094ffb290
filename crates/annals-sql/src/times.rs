//! Times as text, as SQLite's `datetime` writes them, and back.

use annals::Timestamp;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// `2025-07-25 14:34:39`, with six digits of a fraction if there is one.
pub(crate) fn text(time: Timestamp) -> String {
    let micros = time.as_micros();
    let Some(time) = time.to_datetime() else {
        return format!("{micros} us");
    };
    let form = match micros.rem_euclid(1_000_000) {
        0 => "%Y-%m-%d %H:%M:%S",
        _ => "%Y-%m-%d %H:%M:%S%.6f",
    };
    time.format(form).to_string()
}

/// `2025-07-25`.
pub(crate) fn date(time: Timestamp) -> String {
    text(time)
        .chars()
        .take_while(|letter| *letter != ' ')
        .collect()
}

/// A bound in text, as a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// Texts compare with it as their times do with this one.
    Exact(Timestamp),
    /// A day: its texts lie around it in some order.
    Day(Timestamp, Timestamp),
    /// Before the texts of this time and after those of all before it: a date without a time.
    Before(Timestamp),
}

/// Reads a bound; `None` if it does not begin with a date.
pub(crate) fn bound(text: &str) -> Option<Bound> {
    let date = text.get(..10)?;
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    // The parser takes blanks and signs too, of which the order as text is another one.
    if day.format("%Y-%m-%d").to_string() != date {
        return None;
    }
    let midnight = day.and_hms_opt(0, 0, 0)?.and_utc();
    let start = timestamp(midnight)?;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(Bound::Before(start));
    }
    if rest.len() == 9 || rest.len() == 16 {
        let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
        let exact = parsed.and_then(|time| timestamp(time.and_utc()));
        // Only a text that would be written in the same way compares as its time does.
        if let Some(exact) = exact.filter(|exact| self::text(*exact) == text) {
            return Some(Bound::Exact(exact));
        }
    }
    let next = timestamp(midnight.checked_add_days(chrono::Days::new(1))?)?;
    Some(Bound::Day(start, next))
}

fn timestamp(time: DateTime<Utc>) -> Option<Timestamp> {
    Some(Timestamp::from_micros(time.timestamp_micros()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn the_order_of_texts_is_that_of_times() {
        let second = 1_753_454_079_000_000;
        let times = [0, 1, 999_999, 1_000_000, 1_000_001];
        let texts = times.map(|more| text(Timestamp::from_micros(second + more)));
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[0], "2025-07-25 14:34:39");
        assert_eq!(texts[1], "2025-07-25 14:34:39.000001");
    }

    #[test]
    fn only_texts_as_we_write_them_are_exact_bounds() {
        let exact = Timestamp::from_micros(1_753_454_079_000_000);
        assert_eq!(bound("2025-07-25 14:34:39"), Some(Bound::Exact(exact)));
        let day = 1_753_401_600_000_000;
        let start = Timestamp::from_micros(day);
        assert_eq!(bound("2025-07-25"), Some(Bound::Before(start)));
        let next = Timestamp::from_micros(day + 86_400_000_000);
        for text in [
            "2025-07-25T14:34:39",
            "2025-07-25 14:34",
            "2025-07-25 14:34:39.500",
        ] {
            assert_eq!(bound(text), Some(Bound::Day(start, next)), "{text}");
        }
        for text in [
            "",
            "2025",
            "yesterday",
            "2025-13-01 00:00:00",
            "2025-07- 5",
            "2025- 7-25",
            " 2025-7-25",
            "é2025-07-25",
        ] {
            assert_eq!(bound(text), None, "{text}");
        }
    }
}
