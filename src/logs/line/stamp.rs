//! Times as people read them, to the second.

use chrono::{DateTime, Datelike, Local, NaiveDateTime, Offset, TimeZone, Timelike, Utc};

use super::push_u64;
use crate::entry::timestamp::Timestamp;
use crate::options::logs::LogZone;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Renders times as `YYYY-MM-DD HH:MM:SS`, remembering the last one.
///
/// A time within the same second as the one before costs a few ns, any other some tens of ns in
/// UTC and about 100 ns in local time.
#[derive(Debug)]
pub(crate) struct Stamps {
    zone: LogZone,
    /// Whether processing times of less than 0.1 ms are written in µs.
    pub(super) micros: bool,
    /// The first and last microsecond that `text` is right for; of none, if out of order. A
    /// second and not a minute, as no zone can change its offset within one.
    first: i64,
    last: i64,
    text: [u8; 22],
    len: usize,
}

impl Stamps {
    pub(crate) fn new(zone: LogZone) -> Self {
        Stamps {
            zone,
            micros: false,
            first: 0,
            last: -1,
            text: [b' '; 22],
            len: 0,
        }
    }

    /// Writes processing times of less than 0.1 ms in µs, if `micros` is set.
    pub(crate) fn short_times(mut self, micros: bool) -> Self {
        self.micros = micros;
        self
    }

    /// Appends the second that `time` lies in.
    ///
    /// Years outside 0000–9999 have a sign and at least four digits; times beyond the years that
    /// chrono covers are written as `<time>us`.
    #[inline]
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let time = time.as_micros();
        if (time < self.first || time > self.last) && !self.render(time) {
            if time < 0 {
                out.push(b'-');
            }
            push_u64(out, time.unsigned_abs());
            out.extend_from_slice(b"us");
            return;
        }
        out.extend_from_slice(&self.text[..self.len]);
    }

    /// Makes `text` that of `time`; false, and all as it was, if chrono does not cover it.
    #[inline(never)]
    fn render(&mut self, time: i64) -> bool {
        // Before 1970, too, a second begins at its lower end.
        let second = time.div_euclid(MICROS_PER_SECOND);
        let Some(shown) = shown(second, self.zone) else {
            return false;
        };
        // The calendar knows this second, and the last of its range in microseconds still fits.
        self.first = second * MICROS_PER_SECOND;
        self.last = self.first + (MICROS_PER_SECOND - 1);
        self.len = write_second(&mut self.text, shown);
        true
    }
}

/// The clock in `zone` at this second; `None` beyond chrono's years.
fn shown(second: i64, zone: LogZone) -> Option<NaiveDateTime> {
    let utc = DateTime::from_timestamp(second, 0)?.naive_utc();
    let offset = match zone {
        LogZone::Utc => Utc.fix(),
        LogZone::Local => Local.offset_from_utc_datetime(&utc).fix(),
    };
    utc.checked_add_offset(offset)
}

/// Writes the time to the front of `text` and returns its length: at most that of
/// `-262143-01-01 00:00:00`, chrono's first second.
fn write_second(text: &mut [u8; 22], time: NaiveDateTime) -> usize {
    let year = time.year().unsigned_abs();
    let mut at = 0;
    let mut push = |byte| {
        text[at] = byte;
        at += 1;
    };
    if time.year() < 0 {
        push(b'-');
    } else if year > 9_999 {
        push(b'+');
    }
    for unit in [100_000, 10_000, 1_000, 100, 10, 1] {
        if unit <= 1_000 || year >= unit {
            push(digit(year / unit));
        }
    }
    for (separator, number) in [
        (b'-', time.month()),
        (b'-', time.day()),
        (b' ', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        push(separator);
        push(digit(number / 10));
        push(digit(number));
    }
    at
}

/// The last decimal digit of `number`.
const fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use chrono::FixedOffset;
    use proptest::prelude::*;

    use super::*;

    fn stamp(stamps: &mut Stamps, time: i64) -> String {
        let mut out = Vec::new();
        stamps.push(&mut out, Timestamp::from_micros(time));
        String::from_utf8(out).unwrap()
    }

    /// chrono's own formatting of it.
    fn expected(time: i64, zone: LogZone) -> String {
        let Some(utc) = DateTime::from_timestamp_micros(time) else {
            return format!("{time}us");
        };
        let format = "%Y-%m-%d %H:%M:%S";
        match zone {
            LogZone::Utc => utc.format(format).to_string(),
            LogZone::Local => utc.with_timezone(&Local).format(format).to_string(),
        }
    }

    /// Any time, and times near now and near 1970.
    fn times() -> impl Strategy<Value = i64> {
        prop_oneof![
            any::<i64>(),
            -70_000_000_000_000_000..300_000_000_000_000_000i64,
            -5_000_000_000_000_000..5_000_000_000_000_000i64,
            -3_000_000..3_000_000i64,
        ]
    }

    #[test]
    fn known_times() {
        let mut stamps = Stamps::new(LogZone::Utc);
        let year_1 = -62_135_596_800_000_000;
        for (time, text) in [
            (0, "1970-01-01 00:00:00"),
            (999_999, "1970-01-01 00:00:00"),
            (1_000_000, "1970-01-01 00:00:01"),
            (-1, "1969-12-31 23:59:59"),
            (-1_000_000, "1969-12-31 23:59:59"),
            (-1_000_001, "1969-12-31 23:59:58"),
            (1_753_454_079_123_456, "2025-07-25 14:34:39"),
            (253_402_300_799_999_999, "9999-12-31 23:59:59"),
            (253_402_300_800_000_000, "+10000-01-01 00:00:00"),
            (year_1, "0001-01-01 00:00:00"),
            (year_1 - 366 * 86_400_000_000, "0000-01-01 00:00:00"),
            (year_1 - 366 * 86_400_000_000 - 1, "-0001-12-31 23:59:59"),
            (i64::MIN, "-9223372036854775808us"),
            (i64::MAX, "9223372036854775807us"),
        ] {
            assert_eq!(stamp(&mut stamps, time), text);
        }
    }

    #[test]
    fn chronos_ends_are_covered() {
        let ends = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC];
        for (end, text) in ends
            .into_iter()
            .zip(["-262143-01-01 00:00:00", "+262142-12-31 23:59:59"])
        {
            let end = end.timestamp_micros();
            let mut stamps = Stamps::new(LogZone::Utc);
            assert_eq!(stamp(&mut stamps, end), text);
            assert_eq!(
                stamp(&mut stamps, end + end.signum()),
                format!("{}us", end + end.signum())
            );
            assert_eq!(stamp(&mut stamps, end), text);
            // In local time the last hours may lie beyond.
            assert!(!stamp(&mut Stamps::new(LogZone::Local), end).is_empty());
        }
    }

    proptest! {
        #[test]
        fn stamps_agree_with_chrono(
            times in prop::collection::vec((times(), -2_000_000..2_000_000i64), 1..20),
        ) {
            for zone in [LogZone::Utc, LogZone::Local] {
                let mut stamps = Stamps::new(zone);
                for (time, step) in &times {
                    for time in [*time, time.saturating_add(*step)] {
                        prop_assert_eq!(stamp(&mut stamps, time), expected(time, zone));
                    }
                }
            }
        }

        /// Local time depends on the machine, so the rendering is tried at every offset.
        #[test]
        fn every_offset_is_rendered(
            second in -8_000_000_000_000..8_000_000_000_000i64,
            offset in -86_399..=86_399i32,
        ) {
            let utc = DateTime::from_timestamp(second, 0).unwrap();
            let local = utc.with_timezone(&FixedOffset::east_opt(offset).unwrap());
            let mut text = [0; 22];
            let len = write_second(&mut text, local.naive_local());
            prop_assert_eq!(
                str::from_utf8(&text[..len]).unwrap(),
                local.format("%Y-%m-%d %H:%M:%S").to_string()
            );
        }
    }
}
