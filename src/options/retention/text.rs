//! A policy as text: one table for configuration files, one line for everything else.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Best, RetentionPolicy};
use crate::entry::error::{Error, Result};
use crate::options::words::{Size, Span};

/// The table. Its names are those of the methods.
#[derive(Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_latest: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keep_best: Vec<Best>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_every_steps: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keep_tagged: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keep_after_cursor: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    trust_clock: bool,
}

/// The rules that may be given several times.
const LISTS: [&str; 3] = ["keep_best", "keep_tagged", "keep_after_cursor"];
/// The rule without a value.
const FLAG: &str = "trust_clock";

/// A table whose names are those of the methods. Ages and sizes are in words, the best are
/// `"N:METRIC:MODE"`. A rule that [`RetentionPolicy`] refuses for every kind of item is an error.
///
/// In TOML:
///
/// ```toml
/// [retention]
/// max_age = "30d"
/// max_bytes = "50GB"
/// keep_after_cursor = ["export"]
/// ```
///
/// ```
/// use annals::{Mode, RetentionPolicy};
///
/// let read = r#"{"max_count": 5, "keep_best": ["3:val_loss:min"], "keep_tagged": ["release"]}"#;
/// let policy: RetentionPolicy = serde_json::from_str(read)?;
/// let best = RetentionPolicy::new().max_count(5).keep_best(3, "val_loss", Mode::Min);
/// assert_eq!(policy, best.keep_tagged("release"));
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for RetentionPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = PolicyTable::deserialize(deserializer)?;
        let policy = RetentionPolicy {
            max_age: table.max_age.map(|age| age.0),
            max_bytes: table.max_bytes.map(|bytes| bytes.0),
            max_count: table.max_count,
            max_files: table.max_files,
            keep_latest: table.keep_latest,
            keep_best: table.keep_best,
            keep_every_steps: table.keep_every_steps,
            keep_tagged: table.keep_tagged,
            keep_after_cursor: table.keep_after_cursor,
            trust_clock: table.trust_clock,
        };
        policy.check_values().map_err(de::Error::custom)?;
        Ok(policy)
    }
}

impl Serialize for RetentionPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let policy = self.clone();
        let table = PolicyTable {
            max_age: policy.max_age.map(Span),
            max_bytes: policy.max_bytes.map(Size),
            max_count: policy.max_count,
            max_files: policy.max_files,
            keep_latest: policy.keep_latest,
            keep_best: policy.keep_best,
            keep_every_steps: policy.keep_every_steps,
            keep_tagged: policy.keep_tagged,
            keep_after_cursor: policy.keep_after_cursor,
            trust_clock: policy.trust_clock,
        };
        table.serialize(serializer)
    }
}

/// The rules in one line, as [`parse`](str::parse) reads them: `max_age=30d, keep_latest=1000`.
/// Values with commas, quotes or spaces at their ends are in quotes, as in JSON.
impl fmt::Display for RetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = |number: Option<u64>| number.map(|number| number.to_string());
        let single = [
            ("max_age", self.max_age.map(|age| Span(age).to_string())),
            ("max_bytes", self.max_bytes.map(|n| Size(n).to_string())),
            ("max_count", numbers(self.max_count)),
            ("max_files", numbers(self.max_files)),
            ("keep_latest", numbers(self.keep_latest)),
            ("keep_every_steps", numbers(self.keep_every_steps)),
        ];
        let best = self.keep_best.iter();
        let best = best.map(|best| ("keep_best", best.to_string()));
        let tags = self.keep_tagged.iter();
        let tags = tags.map(|tag| ("keep_tagged", tag.clone()));
        let cursors = self.keep_after_cursor.iter();
        let cursors = cursors.map(|name| ("keep_after_cursor", name.clone()));
        let single = single.into_iter();
        let single = single.filter_map(|(name, value)| Some((name, value?)));
        let mut between = "";
        for (name, value) in single.chain(best).chain(tags).chain(cursors) {
            match is_plain(&value) {
                true => write!(f, "{between}{name}={value}")?,
                false => write!(f, "{between}{name}={}", Value::from(value))?,
            }
            between = ", ";
        }
        if self.trust_clock {
            write!(f, "{between}{FLAG}")?;
        }
        Ok(())
    }
}

/// Whether a value can be read back without quotes.
fn is_plain(value: &str) -> bool {
    let is_odd = |c: char| c == ',' || c == '"' || c.is_control();
    !value.is_empty() && value.trim() == value && !value.contains(is_odd)
}

/// Reads rules in one line, as [`Display`](fmt::Display) writes them.
///
/// ```
/// use annals::RetentionPolicy;
///
/// let policy: RetentionPolicy = "max_age=30d, max_bytes=50GB, keep_latest=1000".parse()?;
/// assert_eq!(
///     policy,
///     RetentionPolicy::new().max_age_days(30).max_bytes(50_000_000_000).keep_latest(1_000),
/// );
/// # Ok::<(), annals::Error>(())
/// ```
impl FromStr for RetentionPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Parse {
            what: "retention policy",
            text: text.to_owned(),
            expected: "a limit and further rules, such as max_age=30d, keep_latest=1000",
        };
        let table = read_table(text).ok_or_else(wrong)?;
        serde_json::from_value(Value::Object(table)).map_err(|_| wrong())
    }
}

/// The rules of a line as a table; `None` if it is no list of rules, or has one twice.
fn read_table(text: &str) -> Option<Map<String, Value>> {
    let mut table = Map::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let name_end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let (name, behind) = rest.split_at(name_end.unwrap_or(rest.len()));
        let (value, behind) = match behind.strip_prefix('=') {
            None if name == FLAG => (Value::Bool(true), behind),
            None => return None,
            Some(value) => read_value(value)?,
        };
        rest = behind.trim_start();
        rest = match rest.strip_prefix(',') {
            // A comma promises another rule.
            Some(more) => Some(more.trim_start()).filter(|more| !more.is_empty())?,
            None if rest.is_empty() => rest,
            None => return None,
        };
        if LISTS.contains(&name) {
            let list = table.entry(name).or_insert(Value::Array(Vec::new()));
            list.as_array_mut()?.push(value);
        } else {
            let number = value.as_str().and_then(|text| text.parse::<u64>().ok());
            let value = number.map_or(value, Value::from);
            if table.insert(name.to_owned(), value).is_some() {
                return None;
            }
        }
    }
    Some(table)
}

/// A value, in quotes or up to the next comma, and what comes behind it.
fn read_value(text: &str) -> Option<(Value, &str)> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let value = values.next()?.ok()?;
        let behind = text.get(values.byte_offset()..)?;
        return Some((Value::String(value), behind));
    }
    let (value, behind) = text.split_at(text.find(',').unwrap_or(text.len()));
    Some((Value::String(value.trim().to_owned()), behind))
}

impl fmt::Display for Best {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.n, self.metric, self.mode)
    }
}

impl FromStr for Best {
    type Err = Error;

    /// A metric may have colons in its name.
    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (n, rest) = text.split_once(':')?;
            let (metric, mode) = rest.rsplit_once(':')?;
            Some(Best {
                n: n.parse().ok()?,
                metric: metric.to_owned(),
                mode: mode.parse().ok()?,
            })
        };
        parts().ok_or_else(|| Error::Parse {
            what: "rule for the best",
            text: text.to_owned(),
            expected: "N:METRIC:MODE, such as 3:val_loss:min",
        })
    }
}

impl<'de> Deserialize<'de> for Best {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Best {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::entry::mode::Mode;

    fn policies() -> impl Strategy<Value = RetentionPolicy> {
        let number = || prop::option::of(1..u64::MAX);
        let names = || prop::collection::vec("[a-z ,:=\"\\\\]{1,8}|\\PC{1,5}", 0..3);
        let limits = (
            60..1_000_000_000_u64,
            prop::option::of((1_u64 << 20)..u64::MAX),
            number(),
            number(),
        );
        let best = prop::collection::vec((1..u64::MAX, "[a-z:, ]{1,8}", any::<bool>()), 0..3);
        (
            limits,
            number(),
            number(),
            best,
            names(),
            names(),
            any::<bool>(),
        )
            .prop_map(
                |(limits, keep_latest, keep_every_steps, best, tags, cursors, trust_clock)| {
                    let (age, max_bytes, max_count, max_files) = limits;
                    let best = best.into_iter().map(|(n, metric, smaller)| Best {
                        n,
                        metric,
                        mode: if smaller { Mode::Min } else { Mode::Max },
                    });
                    RetentionPolicy {
                        max_age: Some(Duration::from_secs(age)),
                        max_bytes,
                        max_count,
                        max_files,
                        keep_latest,
                        keep_best: best.collect(),
                        keep_every_steps,
                        keep_tagged: tags,
                        keep_after_cursor: cursors,
                        trust_clock,
                    }
                },
            )
    }

    proptest! {
        /// As a line and as a table.
        #[test]
        fn what_is_written_is_read_back(policy in policies()) {
            let line = policy.to_string();
            prop_assert_eq!(&line.parse::<RetentionPolicy>().unwrap(), &policy, "{}", line);
            let table = serde_json::to_string(&policy).unwrap();
            let read: RetentionPolicy = serde_json::from_str(&table).unwrap();
            prop_assert_eq!(&read, &policy, "{}", table);
        }

        #[test]
        fn no_line_is_a_panic(line in "(max_age|keep_best|trust_clock|[=,\"]|\\PC){0,12}") {
            let _ = line.parse::<RetentionPolicy>();
        }
    }

    #[test]
    fn a_line_is_read_whole_or_not_at_all() {
        for (line, policy) in [
            ("max_count=5", RetentionPolicy::new().max_count(5)),
            (
                " max_age=1h 30m ,trust_clock",
                RetentionPolicy::new()
                    .max_age(Duration::from_secs(5_400))
                    .trust_clock(),
            ),
            (
                "max_count=5, keep_tagged=\"a, b\", keep_tagged=5",
                RetentionPolicy::new()
                    .max_count(5)
                    .keep_tagged("a, b")
                    .keep_tagged("5"),
            ),
        ] {
            assert_eq!(line.parse::<RetentionPolicy>().unwrap(), policy, "{line}");
        }
        for line in [
            "",
            "max_count",
            "max_count=",
            "max_count=0",
            "max_count=NaN",
            "max_count=-1",
            "max_count=1.5",
            "max_count=5,",
            "max_count=5 max_files=3",
            "max_count=5, max_count=6",
            "max_age=30",
            "max_age=0d",
            "max_bytes=1XB",
            "keep_latest=5",
            "max_count=5, keep_best=val_loss",
            "max_count=5, keep_best=3:val_loss:least",
            "max_count=5, keep_tagged=\"open",
            "max_count=5, kept=1",
            "max_count=5, trust_clock=1",
        ] {
            let refused = line.parse::<RetentionPolicy>();
            assert!(matches!(refused, Err(Error::Parse { .. })), "{line}");
        }
        let bare = serde_json::from_str::<RetentionPolicy>(r#"{"max_bytes": 50000000}"#);
        assert_eq!(bare.unwrap(), RetentionPolicy::new().max_bytes(50_000_000));
        for table in [
            "{}",
            r#"{"keep_latest": 5}"#,
            r#"{"max_age": 30}"#,
            r#"{"max_count": -1}"#,
            r#"{"max_count": 1.5}"#,
            r#"{"max_count": 5, "keep_best": [3]}"#,
            r#"{"max_cuont": 5}"#,
        ] {
            assert!(
                serde_json::from_str::<RetentionPolicy>(table).is_err(),
                "{table}"
            );
        }
    }
}
