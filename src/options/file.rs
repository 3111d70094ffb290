//! Options from a configuration file: the same names as those of the methods, with durations and
//! sizes in words.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::keep::Keep;
use super::logs::{LogKind, Mirror, Rotation};
use super::{Options, Overflow, Sharing};

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

trait Words: Sized {
    const EXPECTED: &'static str;
    fn read(text: &str) -> Option<Self>;
    /// What a bare number means, if it means anything.
    fn bare(number: u64) -> Option<Self>;
}

struct Span(Duration);

impl Words for Span {
    const EXPECTED: &'static str = "a duration such as \"30d\", \"1h 30m\" or \"200ms\"";

    fn read(text: &str) -> Option<Self> {
        sum(text, &TIMES).map(|nanos| Span(Duration::from_nanos(nanos)))
    }

    /// Seconds or milliseconds? It is not guessed.
    fn bare(number: u64) -> Option<Self> {
        (number == 0).then_some(Span(Duration::ZERO))
    }
}

struct Size(u64);

impl Words for Size {
    const EXPECTED: &'static str = "a size such as \"64MiB\", \"50GB\" or a number of bytes";

    fn read(text: &str) -> Option<Self> {
        sum(text, &SIZES).map(Size)
    }

    fn bare(number: u64) -> Option<Self> {
        Some(Size(number))
    }
}

struct InWords<T>(PhantomData<T>);

impl<T: Words> Visitor<'_> for InWords<T> {
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

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum FullQueue {
    DropNewest,
    Block(Span),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Others {
    Shared,
    Exclusive,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cut {
    Daily,
    Size(Size),
    DailyOrSize(Size),
    Never,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Inferences,
    Checkpoints,
    System,
    Outcomes,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeepFile {
    newer_than: Option<Span>,
    bytes: Option<Size>,
    after_cursors: Vec<String>,
    trust_clock: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MirrorFile {
    directory: Option<PathBuf>,
    local_time: bool,
    short_times_in_micros: bool,
    rotation: Option<Cut>,
    without: Vec<Kind>,
    keep_files: Option<usize>,
    keep_age: Option<Span>,
    keep_last_lines: Option<u64>,
    compress_old: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OptionsFile {
    commit_interval: Option<Span>,
    commit_bytes: Option<Size>,
    queue_capacity: Option<usize>,
    overflow: Option<FullQueue>,
    dedup_window: Option<Span>,
    dedup_capacity: Option<usize>,
    max_names: Option<usize>,
    cache_bytes: Option<Size>,
    memory_interval: Option<Span>,
    close_timeout: Option<Span>,
    sharing: Option<Others>,
    flush_on_panic: Option<Span>,
    label: Option<String>,
    mirror: Option<Mirror>,
    without_mirror: bool,
    seal_bytes: Option<Size>,
    seal_age: Option<Span>,
    fold_interval: Option<Span>,
    without_folding: bool,
    keep: Option<Keep>,
}

/// A table with any of `newer_than`, `bytes`, `after_cursors` and `trust_clock`.
///
/// ```
/// use annals::Keep;
///
/// let keep: Keep = serde_json::from_str(r#"{"newer_than": "30d", "bytes": "50GB"}"#)?;
/// assert_eq!(keep, Keep::days(30).and_bytes(50_000_000_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = KeepFile::deserialize(deserializer)?;
        let keep = Keep {
            age: file.newer_than.map(|age| age.0),
            bytes: file.bytes.map(|bytes| bytes.0),
            cursors: file.after_cursors,
            trust_clock: file.trust_clock,
        };
        keep.check().map_err(de::Error::custom)?;
        Ok(keep)
    }
}

/// A table whose names are those of the methods: `directory`, `local_time`,
/// `short_times_in_micros`, `rotation`, `without`, `keep_files`, `keep_age`, `keep_last_lines`,
/// `compress_old`. A rotation is `"daily"`, `"never"`, `{"size": "64MiB"}` or
/// `{"daily_or_size": "64MiB"}`.
impl<'de> Deserialize<'de> for Mirror {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = MirrorFile::deserialize(deserializer)?;
        let mut mirror = Mirror::new();
        mirror.directory = file.directory;
        if file.local_time {
            mirror = mirror.local_time();
        }
        mirror.micros = file.short_times_in_micros;
        mirror.rotation = match file.rotation {
            None | Some(Cut::Daily) => Rotation::Daily,
            Some(Cut::Size(bytes)) => Rotation::Size(bytes.0),
            Some(Cut::DailyOrSize(bytes)) => Rotation::DailyOrSize(bytes.0),
            Some(Cut::Never) => Rotation::Never,
        };
        let off = file.without.into_iter().map(|kind| match kind {
            Kind::Inferences => LogKind::Inferences,
            Kind::Checkpoints => LogKind::Checkpoints,
            Kind::System => LogKind::System,
            Kind::Outcomes => LogKind::Outcomes,
        });
        mirror.off = off.collect();
        mirror.keep_files = file.keep_files;
        mirror.keep_age = file.keep_age.map(|age| age.0);
        mirror.keep_lines = file.keep_last_lines;
        mirror.compress = file.compress_old;
        Ok(mirror)
    }
}

/// From a table of any format that serde knows. Each name is that of a method here. What is left
/// out has its default. An unknown name is an error that says it; so is a value that cannot work.
///
/// In TOML:
///
/// ```toml
/// commit_interval = "50ms"
/// overflow = { block = "2ms" }
/// keep = { newer_than = "30d", bytes = "50GB" }
///
/// [mirror]
/// rotation = { daily_or_size = "64MiB" }
/// keep_files = 30
/// ```
///
/// ```
/// use annals::Options;
///
/// let options: Options = serde_json::from_str(
///     r#"{"commit_interval": "50ms", "label": "trainer-7", "mirror": {"keep_age": "7d"}}"#,
/// )?;
/// let misspelt = serde_json::from_str::<Options>(r#"{"commit_intervall": "50ms"}"#);
/// assert!(misspelt.unwrap_err().to_string().contains("commit_intervall"));
/// # let journal = options.in_memory().unwrap();
/// # drop(journal);
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = OptionsFile::deserialize(deserializer)?;
        let mut options = Options::default();
        let set = |option: &mut Duration, given: Option<Span>| {
            *option = given.map_or(*option, |given| given.0);
        };
        set(&mut options.commit_interval, file.commit_interval);
        set(&mut options.dedup_window, file.dedup_window);
        set(&mut options.memory_interval, file.memory_interval);
        set(&mut options.close_timeout, file.close_timeout);
        set(&mut options.seal_age, file.seal_age);
        let bytes = |name, given: Option<Size>, default: usize| match given {
            None => Ok(default),
            Some(given) => usize::try_from(given.0)
                .map_err(|_| de::Error::custom(format!("{name} = {} is too large", given.0))),
        };
        options.commit_bytes = bytes("commit_bytes", file.commit_bytes, options.commit_bytes)?;
        options.cache_bytes = bytes("cache_bytes", file.cache_bytes, options.cache_bytes)?;
        options.seal_bytes = file.seal_bytes.map_or(options.seal_bytes, |given| given.0);
        options.queue_capacity = file.queue_capacity.unwrap_or(options.queue_capacity);
        options.dedup_capacity = file.dedup_capacity.unwrap_or(options.dedup_capacity);
        options.max_names = file.max_names.unwrap_or(options.max_names);
        options.overflow = match file.overflow {
            None => options.overflow,
            Some(FullQueue::DropNewest) => Overflow::DropNewest,
            Some(FullQueue::Block(timeout)) => Overflow::Block { timeout: timeout.0 },
        };
        options.sharing = match file.sharing {
            None => options.sharing,
            Some(Others::Shared) => Sharing::Shared,
            Some(Others::Exclusive) => Sharing::Exclusive,
        };
        options.flush_on_panic = file.flush_on_panic.map(|timeout| timeout.0);
        options.label = file.label;
        options.mirror = match file.without_mirror {
            true => None,
            false => file.mirror.or(options.mirror),
        };
        options.fold_interval = match file.without_folding {
            true => None,
            false => file
                .fold_interval
                .map(|given| given.0)
                .or(options.fold_interval),
        };
        options.keep = file.keep;
        options.check().map_err(de::Error::custom)?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(json: &str) -> Result<Options, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

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
    fn every_option_can_be_read() {
        let options = read(
            r#"{"commit_interval": "50ms", "commit_bytes": "1MiB", "queue_capacity": 256,
            "overflow": {"block": "2ms"}, "dedup_window": 0, "dedup_capacity": 9,
            "max_names": 10, "cache_bytes": 1048576, "memory_interval": "5s",
            "close_timeout": "1m", "sharing": "exclusive", "flush_on_panic": "3s",
            "label": "trainer-7", "seal_bytes": "8MiB", "seal_age": "12h",
            "fold_interval": "1s", "keep": {"newer_than": "30d", "after_cursors": ["export"]},
            "mirror": {"directory": "logs", "local_time": true, "short_times_in_micros": true,
            "rotation": {"daily_or_size": "64MiB"}, "without": ["checkpoints"],
            "keep_files": 30, "keep_age": "7d", "keep_last_lines": 1000, "compress_old": true}}"#,
        )
        .unwrap();
        assert_eq!(options.commit_interval, Duration::from_millis(50));
        let timeout = Duration::from_millis(2);
        assert_eq!(options.overflow, Overflow::Block { timeout });
        assert_eq!(options.dedup_window, Duration::ZERO);
        assert_eq!(options.sharing, Sharing::Exclusive);
        assert_eq!(options.seal_bytes, 8 << 20);
        assert_eq!(options.keep, Some(Keep::days(30).after_cursor("export")));
        let mirror = options.mirror.unwrap();
        assert_eq!(mirror.rotation, Rotation::DailyOrSize(64 << 20));
        assert_eq!(mirror.off, [LogKind::Checkpoints]);
        assert_eq!(mirror.keep_age, Some(Duration::from_secs(7 * 86_400)));
        let bare = read(r#"{"without_mirror": true, "without_folding": true}"#).unwrap();
        assert!(bare.mirror.is_none() && bare.fold_interval.is_none());
    }

    #[test]
    fn an_error_names_the_key_or_the_value() {
        for (json, named) in [
            (r#"{"comit_bytes": 1}"#, "comit_bytes"),
            (r#"{"mirror": {"keepfiles": 1}}"#, "keepfiles"),
            (r#"{"keep": {"days": 1}}"#, "days"),
            (r#"{"commit_interval": "soon"}"#, "soon"),
            (r#"{"commit_interval": 200}"#, "200ms"),
            (r#"{"commit_interval": "2h"}"#, "commit_interval"),
            (r#"{"keep": {"newer_than": "1s"}}"#, "keep"),
            (r#"{"queue_capacity": 1}"#, "queue_capacity"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(named), "{json}: {error}");
        }
    }
}
