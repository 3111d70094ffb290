//! Which day a time belongs to, in the zone of the files.

use chrono::{Datelike, Local, NaiveDate, TimeZone};

use crate::entry::timestamp::Timestamp;
use crate::options::logs::LogZone;

const DAY_MICROS: i64 = 86_400_000_000;

/// Days as numbers (since 1970-01-01 in the zone), with the last one remembered.
pub(super) struct Days {
    zone: LogZone,
    /// When the remembered day begins, and the next one.
    span: (Timestamp, Timestamp),
    day: i64,
}

impl Days {
    pub(super) fn new(zone: LogZone) -> Self {
        Days {
            zone,
            span: (Timestamp::MIN, Timestamp::MIN),
            day: 0,
        }
    }

    pub(super) fn of(&mut self, time: Timestamp) -> i64 {
        if !(self.span.0..self.span.1).contains(&time) {
            (self.span, self.day) = self.look_up(time);
        }
        self.day
    }

    fn look_up(&self, time: Timestamp) -> ((Timestamp, Timestamp), i64) {
        let local = match self.zone {
            LogZone::Local => local_day(time),
            LogZone::Utc => None,
        };
        local.unwrap_or_else(|| {
            let day = time.as_micros().div_euclid(DAY_MICROS);
            let start = Timestamp::from_micros(day.saturating_mul(DAY_MICROS));
            ((start, start.moved_by(DAY_MICROS)), day)
        })
    }
}

/// The local day of `time` and, to be safe around changes of the clock, the quarter of an hour of
/// it that holds `time`. `None` beyond chrono's years.
fn local_day(time: Timestamp) -> Option<((Timestamp, Timestamp), i64)> {
    // Zones change by quarters of an hour, so a quarter belongs to one day.
    const QUARTER_MICROS: i64 = 900_000_000;
    // The last years that chrono knows have no local time everywhere.
    const MOST_MICROS: u64 = 8_000_000_000_000_000_000;
    let micros = time.as_micros();
    if micros.unsigned_abs() > MOST_MICROS {
        return None;
    }
    let date = Local.from_utc_datetime(&time.datetime()?.naive_utc());
    let date = date.date_naive();
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let start = time.moved_by(-micros.rem_euclid(QUARTER_MICROS));
    let day = date.signed_duration_since(epoch).num_days();
    Some(((start, start.moved_by(QUARTER_MICROS)), day))
}

/// A day as it stands in file names: `2026-11-23`.
pub(super) fn name(day: i64) -> String {
    let date = i32::try_from(day)
        .ok()
        .and_then(|day| {
            NaiveDate::from_ymd_opt(1970, 1, 1)?
                .checked_add_signed(chrono::Duration::days(day.into()))
        })
        .filter(|date| (0..=9_999).contains(&date.year()));
    match date {
        Some(date) => date.format("%Y-%m-%d").to_string(),
        None => format!("day{day}"),
    }
}

/// The inverse of [`name`].
pub(super) fn parse(text: &str) -> Option<i64> {
    if let Some(day) = text.strip_prefix("day") {
        return day.parse().ok();
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    Some(date.signed_duration_since(epoch).num_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_change_at_midnight_and_print() {
        let mut days = Days::new(LogZone::Utc);
        assert_eq!(days.of(Timestamp(0)), 0);
        assert_eq!(days.of(Timestamp(DAY_MICROS - 1)), 0);
        assert_eq!(days.of(Timestamp(DAY_MICROS)), 1);
        assert_eq!(days.of(Timestamp(-1)), -1);
        for day in [-1, 0, 20_780, -800_000, i64::MAX / DAY_MICROS] {
            assert_eq!(parse(&name(day)), Some(day), "{}", name(day));
        }
        assert_eq!(name(0), "1970-01-01");
    }
}
