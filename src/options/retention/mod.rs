//! Retention policies: which entries, text lines and checkpoints to keep. One grammar for all
//! three.

mod text;

use std::time::Duration;

use super::words::{Size, Span};
use crate::entry::error::{Error, Result};
use crate::entry::mode::Mode;

const MINUTE: Duration = Duration::from_secs(60);
const MEBIBYTE: u64 = 1 << 20;

/// Which entries, text lines or checkpoints to keep.
///
/// A policy has limits (`max_…`) and keep rules (`keep_…`). *An item is deleted if it exceeds one
/// of the limits and no keep rule holds it.* So the order of the rules does not matter. A further
/// limit can only delete more, and a further keep rule can only delete less.
///
/// | rule | entries | text lines | checkpoints |
/// |---|---|---|---|
/// | counted in | the journal | each kind of file | each model |
/// | deleted as | sealed segments | files; lines by `max_count` | checkpoints |
/// | [`max_age`] | since recorded | since the file was written | since taken in |
/// | [`max_bytes`] | segments and entries | files | weights that the registry wrote |
/// | [`max_count`], [`keep_latest`] | entries | lines | checkpoints |
/// | [`max_files`] | | files | |
/// | [`keep_after_cursor`] | not exported yet | | |
/// | [`keep_best`], [`keep_every_steps`], [`keep_tagged`] | | | checkpoints |
/// | always kept | unsealed entries | the current file | pins, aliases, newest, best |
/// | planned by | [`Maintenance::retention`] | [`log_retention`] | [`Registry::retention`] |
/// | applied by itself | [`Options::retention`] | [`Mirror::retention`] | |
///
/// A plan shows what would be deleted, and why, before it is applied. Of text lines it lists whole
/// files.
///
/// `max_bytes`, `max_count` and `max_files` count from the newest item. The first item with which
/// the sum passes the limit exceeds it, and so does every older one, whether newer ones stay by a
/// keep rule or not. Segments go whole.
///
/// # Safety
///
/// * A policy without a limit would delete nothing, for ever. It is refused as
///   [`Error::InvalidOption`], and so are zeros, ages of less than a minute, and sizes of less than
///   1 MiB.
/// * A rule that does not concern a kind of item is refused there, by the table above.
/// * A keep rule that names something that is not there deletes nothing. While a cursor is not
///   stored, all entries stay. A metric or a tag that no checkpoint has is an error of the plan. A
///   model in which no checkpoint has the metric, the tag or any step keeps all its checkpoints,
///   and the plan reports that.
/// * Age is elapsed time: a clock that jumps deletes nothing. See [`max_age`](Self::max_age).
///
/// A call of the same name replaces the earlier value. `keep_best`, `keep_tagged` and
/// `keep_after_cursor` add to each other.
///
/// ```
/// use annals::{Mode, RetentionPolicy};
///
/// // Entries: the predecessor's 30 days, at most 50 GB, and only what was exported goes.
/// let entries = RetentionPolicy::new()
///     .max_age_days(30)
///     .max_bytes(50_000_000_000)
///     .keep_after_cursor("export");
/// // Text lines: a week, but never fewer than 1,000 lines.
/// let lines = RetentionPolicy::new().max_age_days(7).keep_latest(1_000);
/// // Checkpoints: the newest 5, the 3 best, and releases.
/// let checkpoints = RetentionPolicy::new()
///     .max_count(5)
///     .keep_best(3, "val_loss", Mode::Min)
///     .keep_tagged("release");
///
/// // One form for configuration files and one for a line of text.
/// let read: RetentionPolicy = serde_json::from_str(r#"{"max_age": "7d", "keep_latest": 1000}"#)?;
/// assert_eq!(read, lines);
/// assert_eq!(lines.to_string(), "max_age=7d, keep_latest=1000");
/// # let _ = (entries, checkpoints);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// [`max_age`]: Self::max_age
/// [`max_bytes`]: Self::max_bytes
/// [`max_count`]: Self::max_count
/// [`max_files`]: Self::max_files
/// [`keep_latest`]: Self::keep_latest
/// [`keep_after_cursor`]: Self::keep_after_cursor
/// [`keep_best`]: Self::keep_best
/// [`keep_every_steps`]: Self::keep_every_steps
/// [`keep_tagged`]: Self::keep_tagged
/// [`Maintenance::retention`]: crate::Maintenance::retention
/// [`log_retention`]: crate::Maintenance::log_retention
/// [`Options::retention`]: crate::Options::retention
/// [`Mirror::retention`]: crate::logs::Mirror::retention
/// [`Registry::retention`]: crate::Registry::retention
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a policy deletes nothing until options use it or a plan with it is applied"]
pub struct RetentionPolicy {
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_count: Option<u64>,
    pub(crate) max_files: Option<u64>,
    pub(crate) keep_latest: Option<u64>,
    pub(crate) keep_best: Vec<Best>,
    pub(crate) keep_every_steps: Option<u64>,
    pub(crate) keep_tagged: Vec<String>,
    pub(crate) keep_after_cursor: Vec<String>,
    pub(crate) trust_clock: bool,
}

/// Keeps the `n` best checkpoints by a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Best {
    pub(crate) n: u64,
    pub(crate) metric: String,
    pub(crate) mode: Mode,
}

/// The kinds of items that a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptItem {
    Entries,
    Lines,
    Checkpoints,
}

impl RetentionPolicy {
    /// Without rules: add at least one limit.
    ///
    /// ```
    /// use annals::{Options, RetentionPolicy};
    ///
    /// let refused = Options::default().retention(RetentionPolicy::new()).in_memory();
    /// assert!(refused.is_err()); // without a limit nothing would ever be deleted
    /// ```
    pub fn new() -> Self {
        RetentionPolicy::default()
    }

    /// Limits the age of items: when an entry was *recorded*, a text file last written, a
    /// checkpoint taken in by the registry. A back-test over the year 2000 that was recorded today
    /// is new.
    ///
    /// Age is elapsed time, not the difference of two readings of the wall clock. On Linux the
    /// machine's own clock measures it. A restart of the machine ends that measure. Then time
    /// counts while a run of the journal is open, a pause between two runs counts for at most 7
    /// days, and the longest such pause since an entry was recorded does not count for it. So a
    /// clock that jumps never deletes anything, and a job of five minutes on a machine that is
    /// started each day keeps about a day more than it asked for. A plan lists what is older by
    /// the wall clock alone.
    /// [`trust_clock`](Self::trust_clock) goes by the wall clock instead.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_age(std::time::Duration::from_secs(12 * 3_600));
    /// assert_eq!(policy.to_string(), "max_age=12h");
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// [`max_age`](Self::max_age) of so many times 24 hours.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_age_days(30);
    /// assert_eq!(policy.to_string(), "max_age=30d");
    /// ```
    pub fn max_age_days(self, days: u32) -> Self {
        self.max_age(Duration::from_secs(u64::from(days) * 86_400))
    }

    /// Limits the bytes of all items together. Of entries, segments and the entries in
    /// `journal.redb` count, which are up to about two
    /// [`Options::seal_bytes`](crate::Options::seal_bytes); free room in it does not. Of
    /// checkpoints, weights count that the registry wrote.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_bytes(50_000_000_000);
    /// assert_eq!(policy.to_string(), "max_bytes=50GB");
    /// ```
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Limits the number of items: entries, text lines of each kind, checkpoints of each model.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_count(1_000);
    /// assert_eq!(policy.to_string(), "max_count=1000");
    /// ```
    pub fn max_count(mut self, count: u64) -> Self {
        self.max_count = Some(count);
        self
    }

    /// Limits the number of text files of each kind, the current one among them.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_files(30);
    /// assert_eq!(policy.to_string(), "max_files=30");
    /// ```
    pub fn max_files(mut self, files: u64) -> Self {
        self.max_files = Some(files);
        self
    }

    /// Keeps the newest `n` items: entries, text lines of each kind, checkpoints of each model.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_age_days(30).keep_latest(1_000);
    /// assert_eq!(policy.to_string(), "max_age=30d, keep_latest=1000");
    /// ```
    pub fn keep_latest(mut self, n: u64) -> Self {
        self.keep_latest = Some(n);
        self
    }

    /// Keeps each model's `n` best checkpoints by a metric.
    ///
    /// ```
    /// use annals::{Mode, RetentionPolicy};
    ///
    /// let policy = RetentionPolicy::new().max_count(5).keep_best(3, "val_loss", Mode::Min);
    /// assert_eq!(policy.to_string(), "max_count=5, keep_best=3:val_loss:min");
    /// ```
    pub fn keep_best(mut self, n: u64, metric: impl Into<String>, mode: Mode) -> Self {
        self.keep_best.push(Best {
            n,
            metric: metric.into(),
            mode,
        });
        self
    }

    /// Keeps the first checkpoint at or after each multiple of so many steps.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_count(5).keep_every_steps(10_000);
    /// assert_eq!(policy.to_string(), "max_count=5, keep_every_steps=10000");
    /// ```
    pub fn keep_every_steps(mut self, steps: u64) -> Self {
        self.keep_every_steps = Some(steps);
        self
    }

    /// Keeps checkpoints with this tag.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_count(5).keep_tagged("release");
    /// assert_eq!(policy.to_string(), "max_count=5, keep_tagged=release");
    /// ```
    pub fn keep_tagged(mut self, tag: impl Into<String>) -> Self {
        self.keep_tagged.push(tag.into());
        self
    }

    /// Keeps the entries that the cursor of this name has not passed: archive, then delete. While
    /// no such cursor is stored, all entries stay.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_age_days(30).keep_after_cursor("export");
    /// assert_eq!(policy.to_string(), "max_age=30d, keep_after_cursor=export");
    /// ```
    pub fn keep_after_cursor(mut self, name: impl Into<String>) -> Self {
        self.keep_after_cursor.push(name.into());
        self
    }

    /// Lets [`max_age`](Self::max_age) go by the wall clock: by [`Checkpoint::created`] and by the
    /// time at which entries were recorded. A clock that is ahead then deletes what is young. Use
    /// it for one plan if the clock is right and the journal was not in use for longer than 7
    /// days.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    ///
    /// let policy = RetentionPolicy::new().max_age_days(30).trust_clock();
    /// # let _ = policy;
    /// ```
    ///
    /// [`Checkpoint::created`]: crate::Checkpoint::created
    pub fn trust_clock(mut self) -> Self {
        self.trust_clock = true;
        self
    }

    /// Refuses what makes no sense for items of this kind.
    pub(crate) fn check(&self, kind: KeptItem) -> Result<()> {
        self.check_values()?;
        let is_for = |name, value: Option<String>, kinds: &[KeptItem], advice| match value {
            Some(value) if !kinds.contains(&kind) => Err(invalid(name, value, advice)),
            _ => Ok(()),
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let first = |texts: &[String]| texts.first().cloned();
        let best = self.keep_best.first().map(ToString::to_string);
        let clock = (self.trust_clock && kind == KeptItem::Lines).then(|| "true".to_owned());
        let checkpoints = "it is for checkpoints";
        let entries = "it is for entries";
        is_for(
            "max_files",
            number(self.max_files),
            &[KeptItem::Lines],
            "it is for text files",
        )?;
        is_for("keep_best", best, &[KeptItem::Checkpoints], checkpoints)?;
        is_for(
            "keep_every_steps",
            number(self.keep_every_steps),
            &[KeptItem::Checkpoints],
            checkpoints,
        )?;
        is_for(
            "keep_tagged",
            first(&self.keep_tagged),
            &[KeptItem::Checkpoints],
            checkpoints,
        )?;
        is_for(
            "keep_after_cursor",
            first(&self.keep_after_cursor),
            &[KeptItem::Entries],
            entries,
        )?;
        is_for(
            "trust_clock",
            clock,
            &[KeptItem::Entries, KeptItem::Checkpoints],
            "it is for entries and checkpoints",
        )
    }

    /// Refuses values that make no sense for any item.
    fn check_values(&self) -> Result<()> {
        if let Some(age) = self.max_age.filter(|age| *age < MINUTE) {
            let value = Span(age).to_string();
            return Err(invalid("max_age", value, "give at least one minute"));
        }
        if let Some(bytes) = self.max_bytes.filter(|bytes| *bytes < MEBIBYTE) {
            let value = Size(bytes).to_string();
            return Err(invalid("max_bytes", value, "give at least 1 MiB"));
        }
        let numbers = [
            ("max_count", self.max_count),
            ("max_files", self.max_files),
            ("keep_latest", self.keep_latest),
            ("keep_every_steps", self.keep_every_steps),
        ];
        for (name, number) in numbers {
            if number == Some(0) {
                return Err(invalid(name, "0".to_owned(), "give at least 1"));
            }
        }
        for best in &self.keep_best {
            if best.n == 0 || best.metric.is_empty() {
                let advice = "give at least 1, and the metric's name";
                return Err(invalid("keep_best", best.to_string(), advice));
            }
        }
        for (name, texts) in [
            ("keep_tagged", &self.keep_tagged),
            ("keep_after_cursor", &self.keep_after_cursor),
        ] {
            if texts.iter().any(String::is_empty) {
                return Err(invalid(name, "\"\"".to_owned(), "give a name"));
            }
        }
        let has_limit = self.max_age.is_some()
            || self.max_bytes.is_some()
            || self.max_count.is_some()
            || self.max_files.is_some();
        if !has_limit {
            let value = match *self == RetentionPolicy::new() {
                true => "no rule".to_owned(),
                false => self.to_string(),
            };
            let advice = "add a limit (max_age, max_bytes, max_count, max_files): without one \
                          nothing is ever deleted";
            return Err(invalid("retention", value, advice));
        }
        Ok(())
    }

    /// Whether there is a limit that a new text file may pass.
    pub(crate) fn limits_files(&self) -> bool {
        self.max_files.is_some() || self.max_bytes.is_some()
    }

    /// The limit that an item exceeds if it and all newer ones are so many, with so many bytes.
    pub(crate) fn exceeded(&self, count: u64, bytes: u64) -> Option<String> {
        if let Some(most) = self.max_count.filter(|most| count > *most) {
            return Some(format!("beyond the newest {most} (max_count)"));
        }
        let most = self.max_bytes.filter(|most| bytes > *most)?;
        Some(format!("beyond the newest {} (max_bytes)", Size(most)))
    }
}

/// Why an item goes that is older than `age`.
pub(crate) fn too_old(age: Duration) -> String {
    format!("older than {} (max_age)", in_days(age))
}

/// `30 days`, or in the words of a configuration file.
pub(crate) fn in_days(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds / 86_400 {
        days if days > 1 && seconds.is_multiple_of(86_400) => format!("{days} days"),
        _ => Span(age).to_string(),
    }
}

fn invalid(name: &'static str, value: String, advice: &'static str) -> Error {
    Error::InvalidOption {
        name,
        value,
        advice,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refused(policy: &RetentionPolicy, kind: KeptItem) -> &'static str {
        match policy.check(kind) {
            Err(Error::InvalidOption { name, .. }) => name,
            other => panic!("{policy}: {other:?}"),
        }
    }

    const KINDS: [KeptItem; 3] = [KeptItem::Entries, KeptItem::Lines, KeptItem::Checkpoints];

    #[test]
    fn nonsense_is_refused_and_named() {
        let new = RetentionPolicy::new;
        for kind in KINDS {
            for (policy, name) in [
                (new(), "retention"),
                (new().keep_latest(3), "retention"),
                (new().trust_clock(), "retention"),
                (new().max_age_days(0), "max_age"),
                (new().max_age(Duration::from_secs(59)), "max_age"),
                (new().max_bytes(0), "max_bytes"),
                (new().max_bytes((1 << 20) - 1), "max_bytes"),
                (new().max_count(0), "max_count"),
                (new().max_files(0), "max_files"),
                (new().max_count(1).keep_latest(0), "keep_latest"),
                (new().max_count(1).keep_every_steps(0), "keep_every_steps"),
                (
                    new().max_count(1).keep_best(0, "loss", Mode::Min),
                    "keep_best",
                ),
                (new().max_count(1).keep_best(1, "", Mode::Min), "keep_best"),
                (new().max_count(1).keep_tagged(""), "keep_tagged"),
                (
                    new().max_count(1).keep_after_cursor(""),
                    "keep_after_cursor",
                ),
            ] {
                assert_eq!(refused(&policy, kind), name, "{policy} {kind:?}");
            }
        }
    }

    #[test]
    fn each_rule_is_for_the_kinds_of_the_table() {
        let some = || RetentionPolicy::new().max_count(1);
        for (policy, name, kinds) in [
            (some().max_age_days(1), "", &KINDS[..]),
            (some().max_bytes(1 << 20), "", &KINDS[..]),
            (some().keep_latest(1), "", &KINDS[..]),
            (some().max_files(1), "max_files", &KINDS[1..2]),
            (
                some().keep_best(1, "l", Mode::Min),
                "keep_best",
                &KINDS[2..],
            ),
            (some().keep_every_steps(1), "keep_every_steps", &KINDS[2..]),
            (some().keep_tagged("x"), "keep_tagged", &KINDS[2..]),
            (
                some().keep_after_cursor("x"),
                "keep_after_cursor",
                &KINDS[..1],
            ),
        ] {
            for kind in KINDS {
                match kinds.contains(&kind) {
                    true => policy.check(kind).unwrap(),
                    false => assert_eq!(refused(&policy, kind), name, "{kind:?}"),
                }
            }
        }
        assert_eq!(
            refused(&some().trust_clock(), KeptItem::Lines),
            "trust_clock"
        );
    }

    #[test]
    fn one_limit_that_is_exceeded_is_enough() {
        let policy = RetentionPolicy::new().max_count(5).max_bytes(1 << 20);
        assert_eq!(policy.exceeded(5, 1 << 20), None);
        let count = policy.exceeded(6, 0).unwrap();
        assert!(count.contains("newest 5"), "{count}");
        let bytes = policy.exceeded(1, (1 << 20) + 1).unwrap();
        assert!(bytes.contains("1MiB"), "{bytes}");
        assert_eq!(RetentionPolicy::new().exceeded(u64::MAX, u64::MAX), None);
        assert_eq!(in_days(Duration::from_secs(2 * 86_400)), "2 days");
        assert_eq!(in_days(Duration::from_secs(86_400)), "1d");
        assert_eq!(in_days(Duration::from_secs(5_400)), "1h 30m");
    }
}
