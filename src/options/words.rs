//! Durations and sizes in words, such as `30d` and `50GB`: read and written.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Units of time in nanoseconds, as they are written.
const TIMES: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
/// Units of size in bytes.
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The sum of numbers with units, such as `1h 30m`.
fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_alphabetic());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        let value = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        sum = sum.checked_add(value)?;
        rest = behind.trim_start();
    }
    Some(sum)
}

pub(super) trait SettingWords: Sized {
    const EXPECTED: &'static str;
    fn read(text: &str) -> Option<Self>;
    /// The meaning of a bare number, if it has one.
    fn bare(number: u64) -> Option<Self>;
}

pub(super) struct Span(pub(super) Duration);

impl SettingWords for Span {
    const EXPECTED: &'static str = "a duration such as \"30d\", \"1h 30m\" or \"200ms\"";

    fn read(text: &str) -> Option<Self> {
        sum(text, &TIMES).map(|nanos| Span(Duration::from_nanos(nanos)))
    }

    /// Seconds or milliseconds? It is not guessed.
    fn bare(number: u64) -> Option<Self> {
        (number == 0).then_some(Span(Duration::ZERO))
    }
}

pub(super) struct Size(pub(super) u64);

impl SettingWords for Size {
    const EXPECTED: &'static str = "a size such as \"64MiB\", \"50GB\" or a number of bytes";

    fn read(text: &str) -> Option<Self> {
        sum(text, &SIZES).map(Size)
    }

    fn bare(number: u64) -> Option<Self> {
        Some(Size(number))
    }
}

pub(super) struct InWords<T>(PhantomData<T>);

impl<T: SettingWords> Visitor<'_> for InWords<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        T::bare(number).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let bare = u64::try_from(number).ok().and_then(T::bare);
        bare.ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }
}

macro_rules! in_words {
    ($($type:ty),*) => { $(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(InWords(PhantomData))
            }
        }
    )* };
}

in_words!(Span, Size);

/// The number in the largest unit that it is a whole number of. The units are in ascending order
/// within a kind; the later of two that fit equally is taken.
fn in_largest(number: u64, units: &[(&'static str, u64)]) -> (u64, &'static str) {
    let fitting = units
        .iter()
        .filter(|(_, factor)| number.is_multiple_of(*factor));
    let largest = fitting.max_by_key(|(_, factor)| *factor);
    largest.map_or((number, ""), |(name, factor)| (number / factor, *name))
}

impl fmt::Display for Span {
    /// Exact: `30d`, `1d 6h 30m`, `1500ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if self.0.subsec_nanos() > 0 || seconds == 0 {
            let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
            let (number, unit) = in_largest(nanos, &TIMES[..5]);
            return write!(f, "{number}{unit}");
        }
        let mut rest = seconds;
        let mut between = "";
        for (unit, factor) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= factor {
                write!(f, "{between}{}{unit}", rest / factor)?;
                between = " ";
            }
            rest %= factor;
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    /// Exact: `50GB`, `64MiB`, `1234567B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = in_largest(self.0, &SIZES);
        write!(f, "{number}{unit}")
    }
}

macro_rules! into_words {
    ($($type:ty),*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )* };
}

into_words!(Span, Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_summed() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("1h 30m", 5_400),
            ("1h30m", 5_400),
            ("2 s", 2),
        ] {
            let span = Span::read(text).map(|span| span.0);
            assert_eq!(span, Some(Duration::from_secs(seconds)), "{text}");
        }
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("50GB", 50_000_000_000),
            ("512 B", 512),
        ] {
            assert_eq!(Size::read(text).map(|size| size.0), Some(bytes), "{text}");
        }
        for text in [
            "",
            "30",
            "d",
            "-1s",
            "1.5s",
            "1 fortnight",
            "99999999999999999999d",
            "1s x",
        ] {
            assert!(Span::read(text).is_none(), "{text}");
        }
        assert!(Span::read("300000000d").is_none(), "longer than 584 years");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (seconds, text) in [
            (2_592_000, "30d"),
            (86_400 + 5_400, "1d 1h 30m"),
            (61, "1m 1s"),
        ] {
            let span = Span(Duration::from_secs(seconds));
            assert_eq!(span.to_string(), text);
            assert_eq!(Span::read(text).map(|read| read.0), Some(span.0));
        }
        for (nanos, text) in [(1_500_000_000, "1500ms"), (0, "0s"), (1, "1ns")] {
            let span = Span(Duration::from_nanos(nanos));
            assert_eq!(span.to_string(), text);
            assert_eq!(Span::read(text).map(|read| read.0), Some(span.0));
        }
        for (bytes, text) in [
            (50_000_000_000, "50GB"),
            (64 << 20, "64MiB"),
            (1_234_567, "1234567B"),
            (1_536, "1536B"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(Size::read(text).map(|read| read.0), Some(bytes));
        }
    }
}
