//! Options from a configuration file: the same names as those of the methods, with durations and
//! sizes in words.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer};

use super::logs::{LogKind, Mirror, Rotation};
use super::manifest::Manifest;
use super::retention::{KeptItem, RetentionPolicy};
use super::words::{Size, Span};
use super::{BlackBox, Options, Overflow, Sharing};

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
enum SettingKind {
    Inferences,
    Checkpoints,
    System,
    Outcomes,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MirrorFile {
    directory: Option<PathBuf>,
    local_time: bool,
    short_times_in_micros: bool,
    rotation: Option<Cut>,
    without: Vec<SettingKind>,
    retention: Option<RetentionPolicy>,
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
    black_box: Option<BlackBox>,
    input_budget: Option<Size>,
    flush_on_panic: Option<Span>,
    label: Option<String>,
    manifest: Option<Manifest>,
    mirror: Option<Mirror>,
    without_mirror: bool,
    seal_bytes: Option<Size>,
    seal_age: Option<Span>,
    fold_interval: Option<Span>,
    without_folding: bool,
    retention: Option<RetentionPolicy>,
}

/// Program, version, features, seed and pairs of a [`Manifest`].
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ManifestFile {
    program: Option<String>,
    version: Option<String>,
    features: Vec<String>,
    seed: Option<u64>,
    pairs: BTreeMap<String, String>,
    without_command_line: bool,
    without_host: bool,
}

/// A table whose names are those of the methods: `program`, `version`, `features`, `seed`, `pairs`,
/// `without_command_line`, `without_host`. Of `program` and `version` either may be left out.
impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = ManifestFile::deserialize(deserializer)?;
        let mut manifest = Manifest::new().features(file.features).pairs(file.pairs);
        if let Some(program) = file.program {
            manifest = manifest.program(program, file.version.unwrap_or_default());
        }
        if let Some(seed) = file.seed {
            manifest = manifest.seed(seed);
        }
        if file.without_command_line {
            manifest = manifest.without_command_line();
        }
        if file.without_host {
            manifest = manifest.without_host();
        }
        Ok(manifest)
    }
}

/// A table whose names are those of the methods: `directory`, `local_time`,
/// `short_times_in_micros`, `rotation`, `without`, `retention`, `compress_old`. A rotation is
/// `"daily"`, `"never"`, `{"size": "64MiB"}` or `{"daily_or_size": "64MiB"}`.
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
            SettingKind::Inferences => LogKind::Inferences,
            SettingKind::Checkpoints => LogKind::Checkpoints,
            SettingKind::System => LogKind::System,
            SettingKind::Outcomes => LogKind::Outcomes,
        });
        mirror.off = off.collect();
        if let Some(policy) = &file.retention {
            policy.check(KeptItem::Lines).map_err(de::Error::custom)?;
        }
        mirror.retention = file.retention;
        mirror.compress = file.compress_old;
        Ok(mirror)
    }
}

/// From a table of any format that serde knows. Each name is that of a method here. A key that is
/// left out has its default. An unknown name is an error that says it; so is a value that cannot
/// work.
///
/// In TOML:
///
/// ```toml
/// commit_interval = "50ms"
/// overflow = { block = "2ms" }
/// retention = { max_age = "30d", max_bytes = "50GB" }
///
/// [mirror]
/// rotation = { daily_or_size = "64MiB" }
/// retention = { max_files = 30 }
/// ```
///
/// ```
/// use annals::Options;
///
/// let options: Options = serde_json::from_str(
///     r#"{"commit_interval": "50ms", "retention": {"max_age": "30d"}}"#,
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
        options.input_budget = file
            .input_budget
            .map_or(options.input_budget, |given| given.0);
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
        options.black_box = file.black_box.unwrap_or(options.black_box);
        options.flush_on_panic = file.flush_on_panic.map(|timeout| timeout.0);
        options.label = file.label;
        options.manifest = file.manifest.unwrap_or_default();
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
        options.retention = file.retention;
        // Here already, so that the error has its place in the file, and not only when the journal
        // is opened.
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
    fn every_option_can_be_read() {
        let options = read(
            r#"{"commit_interval": "50ms", "commit_bytes": "1MiB", "queue_capacity": 256,
            "overflow": {"block": "2ms"}, "dedup_window": 0, "dedup_capacity": 9,
            "max_names": 10, "cache_bytes": 1048576, "memory_interval": "5s",
            "close_timeout": "1m", "sharing": "exclusive", "flush_on_panic": "3s",
            "black_box": "spool", "input_budget": "2GiB",
            "label": "trainer-7",
            "manifest": {"program": "agent", "version": "1.2.0", "features": ["gpu"], "seed": 7,
            "pairs": {"stage": "paper"}, "without_command_line": true, "without_host": true},
            "seal_bytes": "8MiB", "seal_age": "12h",
            "fold_interval": "1s",
            "retention": {"max_age": "30d", "keep_after_cursor": ["export"]},
            "mirror": {"directory": "logs", "local_time": true, "short_times_in_micros": true,
            "rotation": {"daily_or_size": "64MiB"}, "without": ["checkpoints"],
            "retention": {"max_files": 30, "max_age": "7d", "max_count": 1000},
            "compress_old": true}}"#,
        )
        .unwrap();
        assert_eq!(options.commit_interval, Duration::from_millis(50));
        let timeout = Duration::from_millis(2);
        assert_eq!(options.overflow, Overflow::Block { timeout });
        assert_eq!(options.dedup_window, Duration::ZERO);
        assert_eq!(options.sharing, Sharing::Exclusive);
        assert_eq!(options.black_box, BlackBox::Spool);
        assert_eq!(options.seal_bytes, 8 << 20);
        assert_eq!(options.input_budget, 2 << 30);
        let days = |days| RetentionPolicy::new().max_age_days(days);
        assert_eq!(
            options.retention,
            Some(days(30).keep_after_cursor("export"))
        );
        let manifest = Manifest::new().program("agent", "1.2.0").features(["gpu"]);
        let manifest = manifest.seed(7).pairs([("stage", "paper")]);
        assert_eq!(
            options.manifest,
            manifest.without_command_line().without_host()
        );
        let mirror = options.mirror.unwrap();
        assert_eq!(mirror.rotation, Rotation::DailyOrSize(64 << 20));
        assert_eq!(mirror.off, [LogKind::Checkpoints]);
        assert_eq!(
            mirror.retention,
            Some(days(7).max_files(30).max_count(1_000))
        );
        let bare = read(r#"{"without_mirror": true, "without_folding": true}"#).unwrap();
        assert!(bare.mirror.is_none() && bare.fold_interval.is_none());
    }

    #[test]
    fn an_error_names_the_key_or_the_value() {
        for (json, named) in [
            (r#"{"comit_bytes": 1}"#, "comit_bytes"),
            (r#"{"mirror": {"keepfiles": 1}}"#, "keepfiles"),
            (r#"{"retention": {"days": 1}}"#, "days"),
            (r#"{"retention": {}}"#, "max_age"),
            (r#"{"retention": {"max_files": 1}}"#, "text files"),
            (
                r#"{"mirror": {"retention": {"max_files": 0}}}"#,
                "max_files",
            ),
            (r#"{"commit_interval": "soon"}"#, "soon"),
            (r#"{"commit_interval": 200}"#, "200ms"),
            (r#"{"commit_interval": "2h"}"#, "commit_interval"),
            (r#"{"retention": {"max_age": "1s"}}"#, "max_age"),
            (r#"{"queue_capacity": 1}"#, "queue_capacity"),
            (r#"{"manifest": {"sed": 1}}"#, "sed"),
            (
                r#"{"manifest": {"pairs": {"": "x"}}}"#,
                "give each pair a key",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(named), "{json}: {error}");
        }
    }
}
