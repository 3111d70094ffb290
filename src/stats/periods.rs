//! Stretches of event time that a statistic is divided by: the days of a time zone, sessions, or
//! any others.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use ahash::AHashMap;
use chrono::{Datelike, NaiveDate};

use super::rollup::Resolution;
use crate::entry::error::{Error, Result};
use crate::entry::timestamp::Timestamp;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Distance of the times at which a zone's offset is asked for. Two changes in between that cancel
/// each other are missed; no zone had two changes within a day.
const STEP: i64 = 3 * HOUR;
/// The parts of time in a calendar; for [`Periods::local`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Calendar {
    /// Hours, named `2025-10-26 02:00+02:00`. An hour that the clocks show twice is two.
    Hour,
    /// Days, named `2025-10-26`. They have 23 or 25 hours when the clocks change.
    Day,
    /// Weeks from Monday on, named as in ISO 8601: `2025-W43`.
    Week,
    /// Months, named `2025-10`.
    Month,
}

impl Calendar {
    /// The unit of its periods.
    fn unit(self) -> i64 {
        match self {
            Calendar::Hour => HOUR,
            Calendar::Day | Calendar::Week | Calendar::Month => DAY,
        }
    }

    /// No period is longer, also where clocks go back by a day.
    fn longest(self) -> i64 {
        match self {
            Calendar::Hour | Calendar::Day => 3 * DAY,
            Calendar::Week => 9 * DAY,
            Calendar::Month => 33 * DAY,
        }
    }
}

/// Periods of event time that [`StatsQuery::by_periods`](super::StatsQuery::by_periods) divides by.
/// They do not overlap, and there may be time between them. A clone shares them.
///
/// The library has no database of time zones: a function says how far a zone's clocks are ahead of
/// UTC. Any crate that has such a database can be asked: `chrono-tz`, `jiff`, `tz-rs`.
///
/// ```
/// # use annals::{Inference, Journal, Timestamp};
/// # use annals::stats::{Calendar, Periods};
/// # use std::time::Duration;
/// # let journal = Journal::in_memory()?;
/// # let at: Timestamp = "2025-07-24T20:00:00Z".parse()?;
/// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(at));
/// # journal.flush().wait(Duration::from_secs(5))?;
/// let since: Timestamp = "2025-07-01T00:00:00Z".parse()?;
/// let until: Timestamp = "2025-08-01T00:00:00Z".parse()?;
/// // In jiff this is `TimeZone::to_offset`, in chrono `offset_from_utc_datetime`.
/// let in_india = |_: Timestamp| 5 * 3_600 + 30 * 60;
/// let days = Periods::local(Calendar::Day, since..until, in_india)?;
/// let rows = journal.stats("dqn_agent").by_periods(&days, [])?;
/// assert_eq!(rows[0].period.as_deref(), Some("2025-07-25")); // 01:30 there
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods(Arc<PeriodList>);

#[derive(Debug, Default, PartialEq, Eq)]
struct PeriodList {
    /// Invariant P1: they ascend and do not overlap.
    stretches: Vec<PeriodPart>,
    periods: Vec<Period>,
}

/// An unbroken part of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PeriodPart {
    first: Timestamp,
    /// Its last microsecond.
    last: Timestamp,
    period: usize,
}

/// From its first stretch to its last.
#[derive(Debug, PartialEq, Eq)]
struct Period {
    name: Option<Arc<str>>,
    first: Timestamp,
    last: Timestamp,
}

impl Periods {
    /// The most periods of one question.
    pub const MOST: usize = 1 << 19;

    /// The periods between these times, each from one of them until before the next.
    /// `Timestamp::MAX` at the end includes the last microsecond of all.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if there are fewer than two times, if one is not after the one
    /// before, and for more than [`MOST`](Self::MOST) periods.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use annals::stats::Periods;
    /// let quarter = |number: i64| Timestamp::from_micros(number * 900_000_000);
    /// let quarters = Periods::between((0..=96).map(quarter))?;
    /// assert_eq!(quarters.len(), 96);
    /// assert!(Periods::between([quarter(1), quarter(1)]).is_err());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn between(bounds: impl IntoIterator<Item = impl Into<Timestamp>>) -> Result<Self> {
        let mut bounds = bounds.into_iter().map(Into::into);
        let mut inner = PeriodList::default();
        let mut start: Option<Timestamp> = bounds.next();
        for end in bounds {
            if let Some(start) = start.replace(end) {
                inner.push(None, start..end)?;
            }
        }
        if inner.periods.is_empty() {
            return Err(invalid("fewer than two times".to_owned()));
        }
        Ok(Periods(Arc::new(inner)))
    }

    /// Periods with names, each from its start until before its end; one whose end is
    /// `Timestamp::MAX` includes that. Those with the same name are one period, which has several
    /// parts.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if a period is empty or begins before the one before it has ended,
    /// and for more than [`MOST`](Self::MOST) of them.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use annals::stats::Periods;
    /// let hour = |number: i64| Timestamp::from_micros(number * 3_600_000_000);
    /// let sessions = [("morning", hour(8)..hour(12)), ("evening", hour(18)..hour(22))];
    /// let sessions = Periods::named(sessions)?;
    /// assert_eq!(sessions.iter().next(), Some((Some("morning"), hour(8)..hour(12))));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn named(
        periods: impl IntoIterator<Item = (impl Into<Arc<str>>, Range<Timestamp>)>,
    ) -> Result<Self> {
        let mut inner = PeriodList::default();
        let mut known: AHashMap<Arc<str>, usize> = AHashMap::new();
        for (name, times) in periods {
            let name: Arc<str> = name.into();
            match known.get(&name) {
                Some(period) => inner.extend(*period, times)?,
                None => {
                    known.insert(name.clone(), inner.periods.len());
                    inner.push(Some(name), times)?;
                }
            }
        }
        Ok(Periods(Arc::new(inner)))
    }

    /// The hours, days, weeks or months that touch `times` on the clocks of a zone. `offset` says
    /// how many seconds these are ahead of UTC at a time, negative if behind. It is asked eight
    /// times for each day, and some 35 times more for each change.
    ///
    /// Every time belongs to the period that the clocks show. A day that they skip is not there;
    /// one that they show again after the next has begun has two parts.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `times` has more than [`MOST`](Self::MOST) hours (of
    /// [`Calendar::Hour`]) or days.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use annals::stats::{Calendar, Periods};
    /// # use std::time::Duration;
    /// // Berlin, in the spring of 2025.
    /// let change: Timestamp = "2025-03-30T01:00:00Z".parse()?;
    /// let berlin = |time: Timestamp| if time < change { 3_600 } else { 7_200 };
    /// let second = change..change.saturating_add(Duration::from_secs(1));
    /// let days = Periods::local(Calendar::Day, second, berlin)?;
    /// let (name, day) = days.iter().next().unwrap();
    /// assert_eq!(name, Some("2025-03-30"));
    /// assert_eq!(day.end.saturating_since(day.start), Duration::from_secs(23 * 3_600));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn local(
        calendar: Calendar,
        times: Range<Timestamp>,
        mut offset: impl FnMut(Timestamp) -> i32,
    ) -> Result<Self> {
        let Some((from, until)) = inclusive(&times) else {
            return Ok(Periods(Arc::new(PeriodList::default())));
        };
        let (from, until) = (from.as_micros(), until.as_micros());
        let unit = calendar.unit();
        let most = i64::try_from(Self::MOST).unwrap_or(i64::MAX);
        // Refused before the search, which would call the offset for each of them.
        if until.saturating_sub(from) / unit >= most {
            return Err(too_many());
        }
        let mut offset =
            |time: i64| i64::from(offset(Timestamp::from_micros(time))).saturating_mul(SECOND);
        let mut found = PeriodSearch {
            calendar,
            inner: PeriodList::default(),
            known: AHashMap::new(),
        };
        // The period that `times` begins in, from its own beginning, and to the end of the last.
        let margin = calendar.longest();
        let (begin, end) = (from.saturating_sub(margin), until.saturating_add(margin));
        let mut first = begin;
        while first <= end {
            let current = offset(first);
            let mut last = first;
            // Invariant: the offset at `last` is `current`.
            loop {
                if last >= end {
                    last = end;
                    break;
                }
                let next = last.saturating_add(STEP).min(end);
                // Two changes within a step are missed only if they undo each other.
                if offset(next) == current {
                    last = next;
                    continue;
                }
                let mut beyond = next;
                // Halved until the change lies between two neighbouring microseconds.
                while beyond - last > 1 {
                    let middle = last + (beyond - last) / 2;
                    if offset(middle) == current {
                        last = middle;
                    } else {
                        beyond = middle;
                    }
                }
                break;
            }
            found.add(first, last, current)?;
            match last.checked_add(1) {
                Some(next) => first = next,
                None => break,
            }
        }
        let mut inner = found.inner;
        inner.keep_touching(Timestamp::from_micros(from), Timestamp::from_micros(until));
        Ok(Periods(Arc::new(inner)))
    }

    /// How many there are.
    ///
    /// ```
    /// use annals::Timestamp;
    /// use annals::stats::Periods;
    ///
    /// let hour = |number: i64| Timestamp::from_micros(number * 3_600_000_000);
    /// assert_eq!(Periods::between((0..=24).map(hour))?.len(), 24);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.periods.len()
    }

    /// Whether there is none.
    ///
    /// ```
    /// use annals::Timestamp;
    /// use annals::stats::Periods;
    ///
    /// let hour = |number: i64| Timestamp::from_micros(number * 3_600_000_000);
    /// assert!(!Periods::between((0..=24).map(hour))?.is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.periods.is_empty()
    }

    /// The name of each, if it has one, and from when until when it lasts.
    ///
    /// ```
    /// use annals::Timestamp;
    /// use annals::stats::Periods;
    ///
    /// let hour = |number: i64| Timestamp::from_micros(number * 3_600_000_000);
    /// let hours = Periods::between((0..=24).map(hour))?;
    /// assert_eq!(hours.iter().next(), Some((None, hour(0)..hour(1))));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, Range<Timestamp>)> {
        self.0.periods.iter().map(|period| {
            (
                period.name.as_deref(),
                period.first..period.last.moved_by(1),
            )
        })
    }

    pub(super) fn name(&self, period: i64) -> Option<Arc<str>> {
        self.period(period).and_then(|period| period.name.clone())
    }

    /// From the first microsecond of a period to its last.
    pub(super) fn range(&self, period: i64) -> RangeInclusive<Timestamp> {
        match self.period(period) {
            Some(period) => period.first..=period.last,
            // Reversed, which holds no time.
            None => RangeInclusive::new(Timestamp::MAX, Timestamp::MIN),
        }
    }

    fn period(&self, number: i64) -> Option<&Period> {
        let number = usize::try_from(number).ok()?;
        self.0.periods.get(number)
    }

    /// The period that a time lies in. `near` is where the last one was found.
    #[inline]
    pub(super) fn of(&self, time: Timestamp, near: &mut usize) -> Option<i64> {
        let stretches = &self.0.stretches;
        let holds = |stretch: &PeriodPart| stretch.first <= time && time <= stretch.last;
        if !stretches.get(*near).is_some_and(holds) {
            // The last that begins at or before `time`, by P1.
            let after = stretches.partition_point(|stretch| stretch.first <= time);
            *near = after.checked_sub(1)?;
        }
        let stretch = stretches.get(*near).filter(|stretch| holds(stretch))?;
        i64::try_from(stretch.period).ok()
    }

    /// The parts of all periods that lie within `times`, ascending, with the period of each.
    pub(super) fn stretches(
        &self,
        times: &RangeInclusive<Timestamp>,
    ) -> impl Iterator<Item = (i64, RangeInclusive<Timestamp>)> {
        let (from, until) = (*times.start(), *times.end());
        self.0.stretches.iter().filter_map(move |stretch| {
            let range = stretch.first.max(from)..=stretch.last.min(until);
            let period = i64::try_from(stretch.period).ok()?;
            (!range.is_empty()).then_some((period, range))
        })
    }
}

impl PeriodList {
    /// One more period.
    fn push(&mut self, name: Option<Arc<str>>, times: Range<Timestamp>) -> Result<()> {
        let (first, last) = inclusive(&times).ok_or_else(|| {
            let (start, end) = (times.start, times.end);
            invalid(format!("a period from {start} until {end}"))
        })?;
        let period = self.periods.len();
        if period >= Periods::MOST {
            return Err(too_many());
        }
        self.stretch(PeriodPart {
            first,
            last,
            period,
        })?;
        self.periods.push(Period { name, first, last });
        Ok(())
    }

    /// One more part of a period.
    fn extend(&mut self, period: usize, times: Range<Timestamp>) -> Result<()> {
        let (first, last) = inclusive(&times).ok_or_else(|| {
            let (start, end) = (times.start, times.end);
            invalid(format!("a period from {start} until {end}"))
        })?;
        self.stretch(PeriodPart {
            first,
            last,
            period,
        })?;
        if let Some(period) = self.periods.get_mut(period) {
            period.last = last;
        }
        Ok(())
    }

    fn stretch(&mut self, stretch: PeriodPart) -> Result<()> {
        if self.stretches.len() >= 2 * Periods::MOST {
            return Err(too_many());
        }
        match self.stretches.last_mut() {
            Some(before) if stretch.first <= before.last => {
                let (begins, ends) = (stretch.first, before.last);
                Err(invalid(format!(
                    "a period from {begins} on, after one until {ends}"
                )))
            }
            Some(before)
                if before.period == stretch.period && before.last.moved_by(1) == stretch.first =>
            {
                before.last = stretch.last;
                Ok(())
            }
            _ => {
                self.stretches.push(stretch);
                Ok(())
            }
        }
    }

    /// Leaves out the periods that have no part in `from..=until`.
    fn keep_touching(&mut self, from: Timestamp, until: Timestamp) {
        let mut touches = vec![false; self.periods.len()];
        for stretch in &self.stretches {
            touches[stretch.period] |= stretch.first <= until && stretch.last >= from;
        }
        let mut numbers = Vec::with_capacity(touches.len());
        let mut kept = 0;
        for touches in &touches {
            numbers.push(kept);
            kept += usize::from(*touches);
        }
        let mut index = 0;
        self.periods.retain(|_| {
            index += 1;
            touches[index - 1]
        });
        self.stretches.retain(|stretch| touches[stretch.period]);
        for stretch in &mut self.stretches {
            stretch.period = numbers[stretch.period];
        }
    }
}

/// Periods of a calendar while they are found.
struct PeriodSearch {
    calendar: Calendar,
    inner: PeriodList,
    /// Periods by their number and, of hours, by the offset: an hour that clocks show twice is two.
    known: AHashMap<(i64, i64), usize>,
}

impl PeriodSearch {
    /// Divides a stretch of time with one offset.
    fn add(&mut self, first: i64, last: i64, offset: i64) -> Result<()> {
        let unit = self.calendar.unit();
        let mut begin = first;
        loop {
            let number = begin.saturating_add(offset).div_euclid(unit);
            let next = number.saturating_add(1).saturating_mul(unit);
            // Where time ends, nothing else begins.
            let end = next.saturating_sub(offset).saturating_sub(1);
            let end = if end < begin { last } else { end.min(last) };
            self.part(number, offset, begin, end)?;
            if end >= last {
                return Ok(());
            }
            begin = end + 1;
        }
    }

    fn part(&mut self, number: i64, offset: i64, first: i64, last: i64) -> Result<()> {
        let (first, last) = (Timestamp::from_micros(first), Timestamp::from_micros(last));
        let key = match self.calendar {
            Calendar::Hour => (number, offset),
            Calendar::Day => (number, 0),
            // 1970 began on a Thursday.
            Calendar::Week => ((number.saturating_add(3)).div_euclid(7), 0),
            Calendar::Month => match date(number) {
                Some(date) => (i64::from(date.year()) * 12 + i64::from(date.month0()), 0),
                None => (number, 1),
            },
        };
        let stretch = |period| PeriodPart {
            first,
            last,
            period,
        };
        if let Some(period) = self.known.get(&key) {
            self.inner.stretch(stretch(*period))?;
            if let Some(period) = self.inner.periods.get_mut(*period) {
                period.last = last;
            }
            return Ok(());
        }
        let period = self.inner.periods.len();
        self.known.insert(key, period);
        self.inner.stretch(stretch(period))?;
        self.inner.periods.push(Period {
            name: Some(self.name(number, offset).into()),
            first,
            last,
        });
        Ok(())
    }

    fn name(&self, number: i64, offset: i64) -> String {
        let day = match self.calendar {
            Calendar::Hour => number.div_euclid(24),
            _ => number,
        };
        let Some(date) = date(day) else {
            // Beyond the years that a calendar has.
            return format!("day {day}");
        };
        match self.calendar {
            Calendar::Hour => {
                let hour = number.rem_euclid(24);
                let sign = if offset < 0 { '-' } else { '+' };
                let seconds = (offset / SECOND).unsigned_abs();
                let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
                let rest = match seconds % 60 {
                    0 => String::new(),
                    rest => format!(":{rest:02}"),
                };
                format!("{date} {hour:02}:00{sign}{hours:02}:{minutes:02}{rest}")
            }
            Calendar::Day => date.to_string(),
            Calendar::Week => {
                let week = date.iso_week();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Calendar::Month => date.format("%Y-%m").to_string(),
        }
    }
}

/// A day, counted from 1970.
fn date(day: i64) -> Option<NaiveDate> {
    const TO_1970: i64 = 719_163;
    let from_year_1 = i32::try_from(day.checked_add(TO_1970)?).ok()?;
    NaiveDate::from_num_days_from_ce_opt(from_year_1)
}

/// The first and last microsecond; `None` if there is none.
fn inclusive(times: &Range<Timestamp>) -> Option<(Timestamp, Timestamp)> {
    let (first, end) = (times.start, times.end);
    let last = if end == Timestamp::MAX {
        end
    } else {
        end.before()?
    };
    (first <= last).then_some((first, last))
}

fn invalid(value: String) -> Error {
    Error::InvalidOption {
        name: "periods",
        value,
        advice: "each begins before it ends and not before the one before it has ended",
    }
}

fn too_many() -> Error {
    Error::InvalidOption {
        name: "periods",
        value: format!("more than {}", Periods::MOST),
        advice: "ask about a shorter time, or about days instead of hours",
    }
}

/// How a statistic is divided by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Division {
    /// Not at all.
    #[default]
    None,
    /// By the hours or days of UTC.
    Level(Resolution),
    Periods(Periods),
}

impl Division {
    /// The period of a time; `None` if it lies between periods.
    #[inline]
    pub(super) fn bucket(&self, time: Timestamp, near: &mut usize) -> Option<i64> {
        match self {
            Division::None => Some(0),
            Division::Level(level) => Some(level.bucket(time)),
            Division::Periods(periods) => periods.of(time, near),
        }
    }

    /// From the first microsecond of a bucket to its last, if it is not all of time.
    pub(super) fn range(&self, bucket: i64) -> Option<RangeInclusive<Timestamp>> {
        match self {
            Division::None => None,
            Division::Level(level) => Some(level.start(bucket)..=level.last(bucket)),
            Division::Periods(periods) => Some(periods.range(bucket)),
        }
    }

    /// The unbroken parts of `times` that are asked for, ascending.
    pub(super) fn parts(
        &self,
        times: &RangeInclusive<Timestamp>,
    ) -> Vec<RangeInclusive<Timestamp>> {
        match self {
            _ if times.is_empty() => Vec::new(),
            Division::None | Division::Level(_) => vec![times.clone()],
            Division::Periods(periods) => {
                let stretches = periods.stretches(times);
                stretches.map(|(_, range)| range).collect()
            }
        }
    }

    /// The parts of `times` that belong to `buckets`, ascending.
    pub(super) fn parts_of(
        &self,
        times: &RangeInclusive<Timestamp>,
        mut buckets: Vec<i64>,
    ) -> Vec<RangeInclusive<Timestamp>> {
        buckets.sort_unstable();
        match self {
            Division::None => vec![times.clone()],
            Division::Level(level) => {
                let ranges = buckets.into_iter().map(|bucket| {
                    let start = level.start(bucket).max(*times.start());
                    start..=level.last(bucket).min(*times.end())
                });
                ranges.filter(|range| !range.is_empty()).collect()
            }
            Division::Periods(periods) => {
                let wanted = |period: &i64| buckets.binary_search(period).is_ok();
                let stretches = periods.stretches(times);
                stretches
                    .filter(|(period, _)| wanted(period))
                    .map(|(_, range)| range)
                    .collect()
            }
        }
    }

    /// The coarsest rollups that do not mix buckets, for a part of the time that is asked for.
    pub(super) fn coarsest(&self, part: &RangeInclusive<Timestamp>) -> Resolution {
        match self {
            Division::None => Resolution::Day,
            Division::Level(level) => *level,
            Division::Periods(_) => {
                // Days that do not lie within are not worth a look: their hours are read anyway.
                let first = Resolution::Day
                    .bucket(part.start().moved_by(-1))
                    .saturating_add(1);
                match Resolution::Day.last(first) <= *part.end() {
                    true => Resolution::Day,
                    false => Resolution::Hour,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A zone by its changes: from when on clocks are how far ahead, in seconds.
    fn zone(first: i32, changes: Vec<(&str, i32)>) -> impl Fn(Timestamp) -> i32 {
        let changes: Vec<_> = changes
            .into_iter()
            .map(|change| (at(change.0), change.1))
            .collect();
        move |time| {
            let before = changes.iter().rev().find(|change| change.0 <= time);
            before.map_or(first, |change| change.1)
        }
    }

    /// Names and lengths in seconds.
    fn found(
        calendar: Calendar,
        times: (&str, &str),
        zone: impl Fn(Timestamp) -> i32,
    ) -> Vec<(String, u64)> {
        let periods = Periods::local(calendar, at(times.0)..at(times.1), zone).unwrap();
        let length = |times: &Range<Timestamp>| times.end.saturating_since(times.start).as_secs();
        periods
            .iter()
            .map(|(name, times)| (name.unwrap().to_owned(), length(&times)))
            .collect()
    }

    fn is(found: &[(String, u64)], wanted: &[(&str, u64)]) {
        let found: Vec<_> = found
            .iter()
            .map(|(name, length)| (name.as_str(), *length))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn days_are_as_long_as_the_clocks_make_them() {
        let berlin = || {
            zone(
                3_600,
                vec![
                    ("2025-03-30T01:00:00Z", 7_200),
                    ("2025-10-26T01:00:00Z", 3_600),
                ],
            )
        };
        is(
            &found(
                Calendar::Day,
                ("2025-03-29T12:00:00Z", "2025-03-31T12:00:00Z"),
                berlin(),
            ),
            &[
                ("2025-03-29", 86_400),
                ("2025-03-30", 82_800),
                ("2025-03-31", 86_400),
            ],
        );
        is(
            &found(
                Calendar::Day,
                ("2025-10-26T00:00:00Z", "2025-10-26T00:00:01Z"),
                berlin(),
            ),
            &[("2025-10-26", 90_000)],
        );
        is(
            &found(
                Calendar::Hour,
                ("2025-10-25T23:30:00Z", "2025-10-26T02:00:00Z"),
                berlin(),
            ),
            &[
                ("2025-10-26 01:00+02:00", 3_600),
                ("2025-10-26 02:00+02:00", 3_600),
                ("2025-10-26 02:00+01:00", 3_600),
            ],
        );
        is(
            &found(
                Calendar::Week,
                ("2025-10-26T00:00:00Z", "2025-10-26T23:30:00Z"),
                berlin(),
            ),
            &[("2025-W43", 7 * 86_400 + 3_600), ("2025-W44", 7 * 86_400)],
        );
        is(
            &found(
                Calendar::Month,
                ("2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z"),
                berlin(),
            ),
            &[("2025-03", 31 * 86_400 - 3_600)],
        );
    }

    #[test]
    fn odd_zones_have_their_days_too() {
        // Apia went from one side of the date line to the other, and had no 30 December.
        let apia = zone(-36_000, vec![("2011-12-30T10:00:00Z", 50_400)]);
        is(
            &found(
                Calendar::Day,
                ("2011-12-30T09:00:00Z", "2011-12-30T11:00:00Z"),
                apia,
            ),
            &[("2011-12-29", 86_400), ("2011-12-31", 86_400)],
        );
        // Amsterdam's clocks were ahead by 19 minutes and 32 seconds.
        let amsterdam = zone(1_172, vec![]);
        is(
            &found(
                Calendar::Day,
                ("1935-01-01T00:00:00Z", "1935-01-01T00:00:01Z"),
                amsterdam,
            ),
            &[("1935-01-01", 86_400)],
        );
        // Lord Howe's change by half an hour.
        let lord_howe = zone(39_600, vec![("2025-04-05T15:00:00Z", 37_800)]);
        is(
            &found(
                Calendar::Hour,
                ("2025-04-05T14:30:00Z", "2025-04-05T16:00:00Z"),
                lord_howe,
            ),
            &[
                ("2025-04-06 01:00+11:00", 3_600),
                ("2025-04-06 01:00+10:30", 1_800),
                ("2025-04-06 02:00+10:30", 3_600),
            ],
        );
        // St John's went back from 00:01 to 23:01: that day comes twice.
        let st_johns = || zone(-9_000, vec![("2006-10-29T02:31:00Z", -12_600)]);
        let times = at("2006-10-28T12:00:00Z")..at("2006-10-29T12:00:00Z");
        let days = Periods::local(Calendar::Day, times, st_johns()).unwrap();
        let mut near = 0;
        for (time, day) in [
            ("2006-10-29T02:29:59Z", "2006-10-28"),
            ("2006-10-29T02:30:00Z", "2006-10-29"),
            ("2006-10-29T02:30:59Z", "2006-10-29"),
            ("2006-10-29T02:31:00Z", "2006-10-28"),
            ("2006-10-29T03:29:59Z", "2006-10-28"),
            ("2006-10-29T03:30:00Z", "2006-10-29"),
            ("2006-10-30T03:29:59Z", "2006-10-29"),
        ] {
            let period = days.of(at(time), &mut near).unwrap();
            assert_eq!(days.name(period).as_deref(), Some(day), "{time}");
        }
        assert_eq!(days.of(at("2006-10-30T03:30:00Z"), &mut near), None);
        assert_eq!(days.len(), 2);
    }

    #[test]
    fn what_are_no_periods_is_refused() {
        let hour = |number: i64| Timestamp::from_micros(number * HOUR);
        for bounds in [vec![], vec![1], vec![1, 1], vec![2, 1], vec![1, 2, 2]] {
            let refused = Periods::between(bounds.iter().map(|number| hour(*number)));
            assert!(
                matches!(
                    refused,
                    Err(Error::InvalidOption {
                        name: "periods",
                        ..
                    })
                ),
                "{bounds:?}"
            );
        }
        assert!(Periods::named([("a", hour(1)..hour(1))]).is_err());
        assert!(Periods::named([("a", hour(1)..hour(3)), ("b", hour(2)..hour(4))]).is_err());
        assert!(Periods::named([("a", hour(3)..hour(4)), ("b", hour(1)..hour(2))]).is_err());
        let twice = Periods::named([
            ("a", hour(1)..hour(2)),
            ("b", hour(2)..hour(3)),
            ("a", hour(4)..hour(5)),
        ]);
        assert_eq!(twice.unwrap().len(), 2);
        let many = i64::try_from(Periods::MOST).unwrap() + 1;
        assert!(Periods::between((0..many).map(hour)).is_ok());
        assert!(Periods::between((0..=many).map(hour)).is_err());
        let all = Timestamp::MIN..Timestamp::MAX;
        assert!(Periods::local(Calendar::Month, all, |_| 0).is_err());
        let none = Periods::local(Calendar::Day, hour(1)..hour(1), |_| 0).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn the_ends_of_time_have_days() {
        let day = Duration::from_secs(86_400);
        for (times, length) in [
            (Timestamp::MIN..Timestamp::MIN.saturating_add(day), 2),
            (Timestamp::MAX.saturating_sub(day)..Timestamp::MAX, 2),
        ] {
            for offset in [-50_400, 0, 19_800, 50_400] {
                let days = Periods::local(Calendar::Day, times.clone(), |_| offset).unwrap();
                assert!((1..=length + 1).contains(&days.len()), "{offset}: {days:?}");
                let mut near = 0;
                for time in [times.start, times.end] {
                    assert!(days.of(time, &mut near).is_some(), "{time} {offset}");
                }
            }
        }
        let until_the_end = Periods::between([Timestamp::MIN, Timestamp::MAX]).unwrap();
        assert_eq!(until_the_end.of(Timestamp::MAX, &mut 0), Some(0));
    }

    use std::time::Duration;
}
