//! The one representation of a point in time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// Microseconds of an hour.
pub(crate) const HOUR_MICROS: i64 = 3_600_000_000;

/// A point in time: microseconds since 1970-01-01 00:00:00 UTC, negative before it.
///
/// An `i64` of microseconds reaches 292,000 years in both directions, so back-tests over old or
/// far-off dates need no special case. The processing time, kept in nanoseconds, covers finer
/// differences within one process.
///
/// It converts from and to [`SystemTime`] and text of RFC 3339. `+` and `-` stop at the ends, as
/// the `saturating_` calls do; the `checked_` calls tell of them.
///
/// ```
/// use annals::Timestamp;
///
/// let bar: Timestamp = "2007-12-31T00:00:00Z".parse()?;
/// assert_eq!(bar.to_string(), "2007-12-31T00:00:00.000000Z");
/// assert!(bar < Timestamp::now());
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub(crate) i64);

impl Timestamp {
    /// The earliest representable time.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest representable time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The time `micros` microseconds after (or, if negative, before) 1970-01-01 UTC.
    ///
    /// ```
    /// use annals::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_micros(1_000_000), "1970-01-01T00:00:01Z".parse()?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// Microseconds since 1970-01-01 UTC.
    ///
    /// ```
    /// use annals::Timestamp;
    ///
    /// let second: Timestamp = "1970-01-01T00:00:01Z".parse()?;
    /// assert_eq!(second.as_micros(), 1_000_000);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Time of this machine's wall clock. One clock read, about 25 ns.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::Timestamp;
    ///
    /// let hour_ago = Timestamp::now().saturating_sub(Duration::from_secs(3_600));
    /// assert!(hour_ago < Timestamp::now());
    /// ```
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// This time moved later by `by`; stops at [`Timestamp::MAX`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::Timestamp;
    ///
    /// let start = Timestamp::from_micros(1_000_000);
    /// assert_eq!(start.saturating_add(Duration::from_secs(2)).as_micros(), 3_000_000);
    /// assert_eq!(Timestamp::MAX.saturating_add(Duration::from_secs(2)), Timestamp::MAX);
    /// ```
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        self.checked_add(by).unwrap_or(Timestamp::MAX)
    }

    /// This time moved earlier by `by`; stops at [`Timestamp::MIN`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::Timestamp;
    ///
    /// let start = Timestamp::from_micros(1_000_000);
    /// assert_eq!(start.saturating_sub(Duration::from_secs(2)).as_micros(), -1_000_000);
    /// assert_eq!(Timestamp::MIN.saturating_sub(Duration::from_secs(2)), Timestamp::MIN);
    /// ```
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        self.checked_sub(by).unwrap_or(Timestamp::MIN)
    }

    /// This time moved later by `by`; `None` beyond [`Timestamp::MAX`]. Parts of a microsecond are
    /// cut off.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use std::time::Duration;
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(Timestamp::MIN.checked_add(minute), Some(Timestamp::MIN + minute));
    /// assert_eq!(Timestamp::MAX.checked_add(minute), None);
    /// ```
    #[must_use]
    pub fn checked_add(self, by: Duration) -> Option<Self> {
        let micros = u64::try_from(by.as_micros()).ok()?;
        self.0.checked_add_unsigned(micros).map(Timestamp)
    }

    /// This time moved earlier by `by`; `None` beyond [`Timestamp::MIN`]. Parts of a microsecond
    /// are cut off.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use std::time::Duration;
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(Timestamp::MAX.checked_sub(minute), Some(Timestamp::MAX - minute));
    /// assert_eq!(Timestamp::MIN.checked_sub(minute), None);
    /// ```
    #[must_use]
    pub fn checked_sub(self, by: Duration) -> Option<Self> {
        let micros = u64::try_from(by.as_micros()).ok()?;
        self.0.checked_sub_unsigned(micros).map(Timestamp)
    }

    /// Duration since `earlier`; zero if `earlier` is later.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use std::time::Duration;
    /// let (open, close) = (Timestamp::from_micros(-5), Timestamp::from_micros(7));
    /// assert_eq!(close.saturating_since(open), Duration::from_micros(12));
    /// assert_eq!(open.saturating_since(close), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        if self <= earlier {
            return Duration::ZERO;
        }
        Duration::from_micros(self.0.abs_diff(earlier.0))
    }

    /// The time as the standard library has it; `None` where the system's clock does not reach.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use annals::Timestamp;
    ///
    /// let time = Timestamp::from_micros(1_500_000);
    /// let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
    /// assert_eq!(time.to_system_time(), Some(expected));
    /// ```
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_micros(self.0.unsigned_abs());
        match self.0 < 0 {
            true => UNIX_EPOCH.checked_sub(distance),
            false => UNIX_EPOCH.checked_add(distance),
        }
    }

    /// Duration since `earlier`; `None` if `earlier` is later.
    ///
    /// ```
    /// # use annals::Timestamp;
    /// # use std::time::Duration;
    /// let (open, close) = (Timestamp::from_micros(-5), Timestamp::from_micros(7));
    /// assert_eq!(close.checked_since(open), Some(Duration::from_micros(12)));
    /// assert_eq!(open.checked_since(close), None);
    /// ```
    #[must_use]
    pub fn checked_since(self, earlier: Timestamp) -> Option<Duration> {
        (self >= earlier).then(|| self.saturating_since(earlier))
    }

    /// The hour that it lies in, counted from 1970.
    #[inline]
    pub(crate) const fn hour(self) -> i64 {
        self.0.div_euclid(HOUR_MICROS)
    }

    /// Where an [`hour`](Self::hour) begins; the first one that a time can lie in begins earlier.
    #[inline]
    pub(crate) const fn of_hour(hour: i64) -> Timestamp {
        Timestamp(hour.saturating_mul(HOUR_MICROS))
    }

    /// Microseconds since `earlier`; 0 if `earlier` is later.
    #[inline]
    pub(crate) const fn micros_since(self, earlier: Timestamp) -> u64 {
        if self.0 <= earlier.0 {
            return 0;
        }
        self.0.abs_diff(earlier.0)
    }

    /// The distance of this time from `other`, as blocks store it: any two times have one.
    #[inline]
    pub(crate) const fn distance_from(self, other: Timestamp) -> i64 {
        self.0.wrapping_sub(other.0)
    }

    /// The time at this [`distance`](Self::distance_from). Wraps on hostile bytes, where a time
    /// means nothing.
    #[inline]
    pub(crate) const fn at_distance(self, distance: i64) -> Timestamp {
        Timestamp(self.0.wrapping_add(distance))
    }

    /// The last time before this one; `None` if there is none.
    #[inline]
    pub(crate) fn before(self) -> Option<Timestamp> {
        self.0.checked_sub(1).map(Timestamp)
    }

    /// This time moved by so many microseconds; stops at the ends.
    #[inline]
    pub(crate) const fn moved_by(self, micros: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(micros))
    }

    /// `None` beyond the years that chrono covers.
    pub(crate) fn datetime(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }
}

/// Conversions with chrono, whose versions are no concern of who does not ask for them.
#[cfg(feature = "chrono")]
impl Timestamp {
    /// The same time as a value of chrono 0.4, or `None` beyond the years that chrono covers.
    ///
    /// ```
    /// use annals::Timestamp;
    /// use chrono::{TimeZone, Utc};
    ///
    /// let bar = Utc.with_ymd_and_hms(2007, 12, 31, 0, 0, 0).unwrap();
    /// assert_eq!(Timestamp::from(bar).to_datetime(), Some(bar));
    /// assert_eq!(Timestamp::MAX.to_datetime(), None);
    /// ```
    #[must_use]
    pub fn to_datetime(self) -> Option<DateTime<Utc>> {
        self.datetime()
    }
}

/// From a time of any zone. Digits below a microsecond are cut off.
#[cfg(feature = "chrono")]
impl<Z: chrono::TimeZone> From<DateTime<Z>> for Timestamp {
    fn from(time: DateTime<Z>) -> Self {
        Timestamp(time.timestamp_micros())
    }
}

/// As [`Timestamp::saturating_add`].
///
/// ```
/// # use annals::Timestamp;
/// # use std::time::Duration;
/// let minute = Duration::from_secs(60);
/// let open = Timestamp::from_micros(0);
/// assert_eq!((open + minute) - open, minute);
/// assert_eq!((open - minute).as_micros(), -60_000_000);
/// ```
impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, by: Duration) -> Timestamp {
        self.saturating_add(by)
    }
}

/// As [`Timestamp::saturating_sub`].
impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, by: Duration) -> Timestamp {
        self.saturating_sub(by)
    }
}

/// As [`Timestamp::saturating_since`], and so as the difference of two
/// [`Instant`](std::time::Instant)s.
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Timestamp) -> Duration {
        self.saturating_since(earlier)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A duration in whole nanoseconds; the greatest number for what is longer.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// For a field whose name ends in `_ns`.
pub(crate) mod as_nanos {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::nanos(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp(micros(after)),
            Err(before) => Timestamp(-micros(before.duration())),
        }
    }
}

/// RFC 3339 with microseconds, in UTC; times beyond chrono's years as `<microseconds>us`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.datetime() {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn year_9999_and_1833_survive() {
        for (year, text) in [(9999, "9999-07-01T"), (1833, "1833-07-01T")] {
            let time = Utc.with_ymd_and_hms(year, 7, 1, 0, 0, 0).single();
            let stamp = Timestamp(time.unwrap_or_default().timestamp_micros());
            assert!(stamp.to_string().starts_with(text), "{stamp}");
            assert_eq!(stamp.datetime(), time);
        }
    }

    #[test]
    fn all_times_are_within_reach_of_each_other() {
        let whole = Duration::from_micros(u64::MAX);
        assert_eq!(Timestamp::MIN.checked_add(whole), Some(Timestamp::MAX));
        assert_eq!(Timestamp::MAX.checked_sub(whole), Some(Timestamp::MIN));
        assert_eq!(Timestamp::MIN + whole, Timestamp::MAX);
        assert_eq!(Timestamp::MAX - Timestamp::MIN, whole);
        let beyond = whole + Duration::from_micros(1);
        assert_eq!(Timestamp::MIN.checked_add(beyond), None);
        assert_eq!(Timestamp::MAX.checked_sub(beyond), None);
    }

    #[test]
    #[cfg(feature = "chrono")]
    fn zones_of_chrono_are_the_same_time() {
        let utc = Utc.timestamp_micros(-1).single().unwrap_or_default();
        let offset = chrono::FixedOffset::east_opt(3_600).map(|zone| utc.with_timezone(&zone));
        assert_eq!(Timestamp::from(utc), Timestamp(-1));
        assert_eq!(offset.map(Timestamp::from), Some(Timestamp(-1)));
        let local = utc.with_timezone(&chrono::Local);
        assert_eq!(Timestamp::from(local).to_datetime(), Some(utc));
    }

    #[test]
    fn ends_saturate_and_print() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.to_string(), "9223372036854775807us");
    }

    #[test]
    fn every_time_is_read_as_it_was_written() {
        let mut micros: Vec<i64> = vec![0, -1, i64::MIN, i64::MAX, 253_402_300_799_999_999];
        // Ends of the years that have four digits, and of chrono's.
        for end in [-62_167_219_200_000_000, 253_402_300_800_000_000] {
            micros.extend([end - 1, end, end + 1]);
        }
        let ends = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC];
        for end in ends.map(|end| end.timestamp_micros()) {
            micros.extend([end - 1, end, end + 1]);
        }
        let mut random = 1_u64;
        for shift in 0..2_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            micros.push(random.cast_signed() >> (shift % 63));
        }
        for micros in micros {
            let time = Timestamp::from_micros(micros);
            let read = time.to_string().parse::<Timestamp>();
            assert_eq!(read.ok(), Some(time), "{micros}: {time}");
        }
        for text in [
            "",
            "us",
            "1",
            "yesterday",
            "2025-07-25",
            "99999999999999999999us",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn before_1970_counts_down() {
        let before = UNIX_EPOCH - Duration::from_micros(5);
        assert_eq!(Timestamp::from(before).as_micros(), -5);
    }
}
