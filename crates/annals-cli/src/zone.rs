//! Whose clocks are meant: of dates that are given, of hours and days, and of times in text.

use annals::stats::{Calendar, Periods, StatsRow};
use annals::{StatsQuery, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::failure::{Failure, Result};
use crate::units;

/// Forms that `--zone` accepts, for messages.
const FORMS: &str = "give UTC, a name such as Europe/Sofia, +02:00, or local (this machine's)";
/// The variable that says the zone if `--zone` does not.
const VARIABLE: &str = "ANNALS_ZONE";
/// Days without decisions between which statistics are asked for apart. No period is as long.
const APART: i64 = 40 * 86_400_000_000;

/// A time zone, and how it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// For clap: a time zone.
pub fn read(name: &str) -> Result<Zone, String> {
    let wrong = |why: String| format!("{name:?} is no time zone{why}: {FORMS}");
    let zone = match offset(name) {
        Some(offset) => TimeZone::fixed(offset),
        None if name == "local" => {
            TimeZone::try_system().map_err(|error| wrong(format!(" here ({error})")))?
        }
        None if name == "UTC" => TimeZone::UTC,
        None => TimeZone::get(name).map_err(|_| wrong(String::new()))?,
    };
    let name = match zone.iana_name() {
        Some(known) if name == "local" => known,
        _ => name,
    };
    Ok(Zone {
        name: name.to_owned(),
        zone,
    })
}

/// `+02:00`, `-0530` or `+2`: a zone that is always as far from UTC.
fn offset(text: &str) -> Option<Offset> {
    let text = text.trim_start_matches("UTC");
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |text: &str, most: i32| -> Option<i32> {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok()?;
        (is_number && number <= most).then_some(number)
    };
    let seconds = number(hours, 14)? * 3_600 + number(minutes, 59)? * 60;
    Offset::from_seconds(sign * seconds).ok()
}

impl Default for Zone {
    fn default() -> Self {
        Zone {
            name: "UTC".to_owned(),
            zone: TimeZone::UTC,
        }
    }
}

impl Zone {
    /// The zone that the environment names, or UTC.
    pub fn of_environment() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => {
                read(&name).map_err(|why| Failure::Usage(format!("{VARIABLE}: {why}")))
            }
            _ => Ok(Zone::default()),
        }
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_utc(&self) -> bool {
        self.zone == TimeZone::UTC
    }

    /// How many seconds the zone's clocks are ahead of UTC.
    pub fn ahead(&self, time: Timestamp) -> i32 {
        let (least, most) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let micros = time.as_micros();
        let micros = micros.clamp(least.as_microsecond(), most.as_microsecond());
        let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        self.zone.to_offset(time).seconds()
    }

    /// Time of the clocks, as if it were UTC.
    fn shown(&self, time: Timestamp) -> Timestamp {
        let ahead = i64::from(self.ahead(time)) * 1_000_000;
        Timestamp::from_micros(time.as_micros().saturating_add(ahead))
    }

    /// The day that the clocks show, counted from 1970.
    pub fn day(&self, time: Timestamp) -> i64 {
        self.shown(time).as_micros().div_euclid(86_400_000_000)
    }

    /// `2025-07-25`.
    pub fn date(&self, time: Timestamp) -> String {
        let text = self.second(time);
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// `2025-W30`, as in ISO 8601.
    pub fn week(&self, time: Timestamp) -> String {
        let shown = self.shown(time).to_datetime();
        shown.map_or_else(
            || time.to_string(),
            |shown| shown.format("%G-W%V").to_string(),
        )
    }

    /// `2025-07`.
    pub fn month(&self, time: Timestamp) -> String {
        let shown = self.shown(time).to_datetime();
        shown.map_or_else(
            || time.to_string(),
            |shown| shown.format("%Y-%m").to_string(),
        )
    }

    /// To the second: `2025-07-25 14:34:39`.
    pub fn second(&self, time: Timestamp) -> String {
        units::second(self.shown(time))
    }

    /// To the millisecond.
    pub fn millisecond(&self, time: Timestamp) -> String {
        match self.shown(time).to_datetime() {
            Some(time) => time.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            None => time.to_string(),
        }
    }

    /// A line of the text files, which begins with a time of UTC, with that time on these clocks.
    pub fn line(&self, line: String, time: Timestamp) -> String {
        if self.is_utc() {
            return line;
        }
        match line.strip_prefix(&units::second(time)) {
            Some(rest) => format!("{}{rest}", self.second(time)),
            None => line,
        }
    }

    /// The first moment at which the clocks show `time` or, where they skip it, a later one.
    pub fn first(&self, time: DateTime) -> Option<Timestamp> {
        let found = match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time).ok()?,
            AmbiguousOffset::Gap { before, .. } => {
                // The clocks jumped at this moment, or somewhat earlier.
                let late = before.to_timestamp(time).ok()?;
                let after = late.checked_add(jiff::Span::new().microseconds(1)).ok()?;
                let jump = self.zone.preceding(after).next();
                jump.map_or(late, |jump| jump.timestamp())
            }
        };
        Some(Timestamp::from_micros(found.as_microsecond()))
    }

    /// The first moment at which the clocks show a day, counted from 1970.
    pub fn begin(&self, day: i64) -> Timestamp {
        let found = midnight_of(day).and_then(|midnight| self.first(midnight));
        found.unwrap_or_else(|| self.about(day))
    }

    /// The moment after the last one at which they show it.
    pub fn end(&self, day: i64) -> Timestamp {
        let next = day.saturating_add(1);
        let found = midnight_of(next).and_then(|midnight| {
            match self.zone.to_ambiguous_timestamp(midnight).offset() {
                AmbiguousOffset::Fold { after, .. } => {
                    let last = after.to_timestamp(midnight).ok()?;
                    Some(Timestamp::from_micros(last.as_microsecond()))
                }
                _ => self.first(midnight),
            }
        });
        found.unwrap_or_else(|| self.about(next))
    }

    /// The beginning of a day beyond the years that have a calendar.
    fn about(&self, day: i64) -> Timestamp {
        let Some(midnight) = day.checked_mul(86_400_000_000) else {
            return if day < 0 {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            };
        };
        let midnight = Timestamp::from_micros(midnight);
        let ahead = i64::from(self.ahead(midnight)) * 1_000_000;
        Timestamp::from_micros(midnight.as_micros().saturating_sub(ahead))
    }

    /// The beginning of the day that the clocks show, or of the last one so many days before it.
    pub fn midnight(&self, now: Timestamp, days_ago: u32) -> Option<Timestamp> {
        let begin = |time: Timestamp| self.first(midnight_of(self.day(time))?);
        let mut midnight = begin(now)?;
        for _ in 0..days_ago {
            // A day that the clocks skipped was not yesterday.
            let before = midnight.saturating_sub(std::time::Duration::from_micros(1));
            midnight = begin(before)?;
        }
        Some(midnight)
    }

    /// The periods of `calendar` that touch these times.
    fn periods(&self, calendar: Calendar, first: Timestamp, last: Timestamp) -> Result<Periods> {
        let end = last.saturating_add(std::time::Duration::from_micros(1));
        let periods = Periods::local(calendar, first..end, |time| self.ahead(time));
        periods.map_err(|_| {
            let (first, last) = (self.second(first), self.second(last));
            let why = format!(
                "{first} to {last} are more than {} hours or days: give --since, or divide by \
                 days, weeks or months",
                units::count(Periods::MOST as u64)
            );
            Failure::Usage(why)
        })
    }

    /// Statistics by these hours, days, weeks or months, and by `groups`; in the order of time.
    pub fn by(
        &self,
        query: &StatsQuery,
        calendar: Calendar,
        groups: &[annals::Group],
    ) -> Result<Vec<StatsRow>> {
        // Only near the days on which anything was decided: one event of 1970 makes no table of
        // fifty years.
        let mut near: Vec<(Timestamp, Timestamp)> = Vec::new();
        for day in query.by(annals::Group::Day)? {
            let whole = day.time.zip(day.end);
            let (from, until) = whole.unwrap_or((Timestamp::MIN, Timestamp::MAX));
            let first = day.stats.first.unwrap_or(from);
            let last = day.stats.last.unwrap_or(until);
            match near.last_mut() {
                Some(before) if first.as_micros().saturating_sub(before.1.as_micros()) < APART => {
                    before.1 = before.1.max(last);
                }
                _ => near.push((first, last)),
            }
        }
        let mut rows = Vec::new();
        for (first, last) in near {
            let periods = self.periods(calendar, first, last)?;
            rows.extend(query.by_periods(&periods, groups)?);
        }
        Ok(rows)
    }
}

/// Time of the clocks when a day begins; none beyond the years that have a calendar.
fn midnight_of(day: i64) -> Option<DateTime> {
    let midnight = jiff::Timestamp::from_second(day.checked_mul(86_400)?).ok()?;
    Some(TimeZone::UTC.to_datetime(midnight))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn midnight_is_the_first_moment_of_a_day() {
        for (zone, now, days, midnight) in [
            ("UTC", "2025-07-25T14:00:00Z", 0, "2025-07-25T00:00:00Z"),
            (
                "Asia/Kolkata",
                "2025-07-25T20:00:00Z",
                0,
                "2025-07-25T18:30:00Z",
            ),
            ("+05:45", "2025-07-25T20:00:00Z", 1, "2025-07-24T18:15:00Z"),
            // Clocks go forth at midnight.
            (
                "America/Havana",
                "2025-03-09T12:00:00Z",
                0,
                "2025-03-09T05:00:00Z",
            ),
            (
                "America/Toronto",
                "1919-03-31T12:00:00Z",
                0,
                "1919-03-31T04:30:00Z",
            ),
            // And back: midnight comes twice.
            (
                "America/St_Johns",
                "2006-10-29T12:00:00Z",
                0,
                "2006-10-29T02:30:00Z",
            ),
            // There was no 30 December.
            (
                "Pacific/Apia",
                "2011-12-31T00:00:00Z",
                0,
                "2011-12-30T10:00:00Z",
            ),
            (
                "Pacific/Apia",
                "2011-12-31T00:00:00Z",
                1,
                "2011-12-29T10:00:00Z",
            ),
            (
                "Europe/Amsterdam",
                "1935-01-01T12:00:00Z",
                0,
                "1934-12-31T23:40:28Z",
            ),
        ] {
            let found = read(zone).unwrap().midnight(at(now), days).unwrap();
            // Other names for Amsterdam's old clocks may be in use; then the day is whole anyway.
            if zone == "Europe/Amsterdam" && found != at(midnight) {
                assert!(found > at("1934-12-31T22:00:00Z") && found <= at("1935-01-01T00:00:00Z"));
                continue;
            }
            assert_eq!(found, at(midnight), "{zone} {now}");
        }
    }

    /// For each change of each zone from 1880 to 2040: the moments around it, and a day before and
    /// after it, belong to the day and hour of the clocks.
    #[test]
    fn every_moment_belongs_to_the_day_that_the_clocks_show() {
        let (from, until) = (at("1880-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z"));
        let until = jiff::Timestamp::from_microsecond(until.as_micros()).unwrap();
        let start = jiff::Timestamp::from_microsecond(from.as_micros()).unwrap();
        let mut changes = 0;
        // A few zones, and with ANNALS_LONG all that there are.
        let all = std::env::var_os("ANNALS_LONG").is_some();
        let names = jiff::tz::db().available();
        let chosen = [
            "Africa/Casablanca",
            "Africa/Monrovia",
            "America/Caracas",
            "America/St_Johns",
            "America/Scoresbysund",
            "Asia/Kathmandu",
            "Asia/Manila",
            "Asia/Pyongyang",
            "Australia/Lord_Howe",
            "Europe/Amsterdam",
            "Europe/Berlin",
            "Europe/Dublin",
            "Pacific/Apia",
            "Pacific/Chatham",
            "Pacific/Kwajalein",
        ];
        for name in names.filter(|name| all || chosen.contains(&name.as_str())) {
            let zone = read(name.as_str()).unwrap();
            for change in zone.time_zone().following(start) {
                let change = change.timestamp();
                if change > until {
                    break;
                }
                changes += 1;
                let around = change.as_microsecond();
                let day = 86_400_000_000;
                let range = (around - day, around + day);
                for calendar in [Calendar::Day, Calendar::Hour] {
                    let first = Timestamp::from_micros(range.0);
                    let last = Timestamp::from_micros(range.1);
                    let periods = zone.periods(calendar, first, last).unwrap();
                    let names: Vec<&str> = periods.iter().filter_map(|one| one.0).collect();
                    for apart in [-day, -3_600_000_000, -1, 0, 1, 3_599_999_999, day] {
                        let moment = jiff::Timestamp::from_microsecond(around + apart).unwrap();
                        let shown = zone.time_zone().to_datetime(moment);
                        let wanted = match calendar {
                            Calendar::Day => shown.date().to_string(),
                            _ => format!("{} {:02}:00", shown.date(), shown.hour()),
                        };
                        let is_there = names.iter().any(|name| name.starts_with(&wanted));
                        assert!(is_there, "{name:?} {moment}: {wanted} in {names:?}");
                        let time = Timestamp::from_micros(around + apart);
                        assert_eq!(
                            zone.date(time),
                            shown.date().to_string(),
                            "{name:?} {moment}"
                        );
                    }
                }
            }
        }
        assert!(changes > 500, "{changes}");
    }

    #[test]
    fn a_day_begins_and_ends_where_the_clocks_say() {
        for (zone, day, begin, end) in [
            (
                "UTC",
                "2025-07-25",
                "2025-07-25T00:00:00Z",
                "2025-07-26T00:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2025-03-30",
                "2025-03-29T23:00:00Z",
                "2025-03-30T22:00:00Z",
            ),
            // Shown again from 23:01 on, after one minute of the next day.
            (
                "America/St_Johns",
                "2006-10-28",
                "2006-10-28T02:30:00Z",
                "2006-10-29T03:30:00Z",
            ),
            (
                "America/St_Johns",
                "2006-10-29",
                "2006-10-29T02:30:00Z",
                "2006-10-30T03:30:00Z",
            ),
            (
                "Pacific/Apia",
                "2011-12-29",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
        ] {
            let zone = read(zone).unwrap();
            let noon = format!("{day}T12:00:00Z");
            let number = at(&noon).as_micros().div_euclid(86_400_000_000);
            assert_eq!(
                (zone.begin(number), zone.end(number)),
                (at(begin), at(end)),
                "{day}"
            );
        }
        for zone in ["+05:30", "UTC", "Pacific/Apia"] {
            let zone = read(zone).unwrap();
            for time in [Timestamp::MIN, Timestamp::MAX] {
                let day = zone.day(time);
                assert!(zone.begin(day) <= time && zone.end(day) >= time);
            }
        }
    }

    #[test]
    fn a_line_has_the_time_of_the_zone() {
        let zone = read("Asia/Kolkata").unwrap();
        let time = at("2025-07-25T20:00:00Z");
        let line = |line: &str| zone.line(line.to_owned(), time);
        assert_eq!(line("2025-07-25 20:00:00 | x"), "2025-07-26 01:30:00 | x");
        assert_eq!(line("another"), "another");
        assert_eq!(zone.millisecond(time), "2025-07-26 01:30:00.000");
    }
}
