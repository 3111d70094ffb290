//! Place, cuts and retention of the human-readable files.

use std::path::PathBuf;

use super::retention::RetentionPolicy;

/// The zone of a stamp's time of day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogZone {
    Utc,
    /// This machine's time zone, with the offset from UTC that it has at the stamp's time.
    Local,
}

/// The human-readable files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// `inference_records.txt`: inferences and repeats.
    Inferences,
    /// `checkpoint_events.txt`.
    Checkpoints,
    /// `system_events.txt`: system events and gaps.
    System,
    /// `outcome_records.txt`: later outcomes of inferences.
    Outcomes,
}

impl LogKind {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [LogKind; LogKind::COUNT] = [
        LogKind::Inferences,
        LogKind::Checkpoints,
        LogKind::System,
        LogKind::Outcomes,
    ];

    /// Prefix of its file names.
    ///
    /// ```
    /// use annals::logs::LogKind;
    ///
    /// let stems = [LogKind::Inferences, LogKind::System].map(LogKind::stem);
    /// assert_eq!(stems, ["inference_records", "system_events"]);
    /// ```
    #[must_use]
    pub const fn stem(self) -> &'static str {
        match self {
            LogKind::Inferences => "inference_records",
            LogKind::Checkpoints => "checkpoint_events",
            LogKind::System => "system_events",
            LogKind::Outcomes => "outcome_records",
        }
    }
}

/// When a new file is begun. It goes by the recorded time of the entries, so a rebuilt mirror is
/// cut at the same places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// At midnight, UTC or local as the times in the lines. The default.
    Daily,
    /// Before a file would pass this many bytes.
    Size(u64),
    /// At midnight, and before a file would pass this many bytes.
    DailyOrSize(u64),
    /// Never.
    Never,
}

impl Rotation {
    pub(crate) fn is_daily(self) -> bool {
        matches!(self, Rotation::Daily | Rotation::DailyOrSize(_))
    }

    pub(crate) fn most_bytes(self) -> u64 {
        match self {
            Rotation::Size(bytes) | Rotation::DailyOrSize(bytes) => bytes,
            Rotation::Daily | Rotation::Never => u64::MAX,
        }
    }
}

/// Settings of the human-readable files, for [`Options::mirror`](crate::Options::mirror).
///
/// ```
/// use annals::logs::{LogKind, Mirror, Rotation};
/// use annals::{Journal, RetentionPolicy};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let journal = Journal::options()
///     .mirror(
///         Mirror::new()
///             .rotation(Rotation::DailyOrSize(64 << 20))
///             .retention(RetentionPolicy::new().max_files(30))
///             .compress_old()
///             .without(LogKind::Checkpoints),
///     )
///     .open(dir.path().join("data"))?;
/// journal.close()?;
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings are used by Options::mirror"]
pub struct Mirror {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) zone: LogZone,
    pub(crate) micros: bool,
    pub(crate) rotation: Rotation,
    pub(crate) off: Vec<LogKind>,
    pub(crate) retention: Option<RetentionPolicy>,
    pub(crate) compress: bool,
}

impl Default for Mirror {
    fn default() -> Self {
        Mirror {
            directory: None,
            zone: LogZone::Utc,
            micros: false,
            rotation: Rotation::Daily,
            off: Vec::new(),
            retention: None,
            compress: false,
        }
    }
}

impl Mirror {
    /// All files, in `logs` below the journal's directory, cut daily, kept for ever.
    ///
    /// ```
    /// let mirror = annals::logs::Mirror::new();
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::options().mirror(mirror).open(&dir)?;
    /// assert_eq!(journal.log_directory(), Some(dir.join("logs")));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn new() -> Self {
        Mirror::default()
    }

    /// Puts the files elsewhere. Two journals must not share a directory: the second waits for
    /// the first.
    ///
    /// ```
    /// use annals::logs::Mirror;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let elsewhere = dir.join("elsewhere");
    /// let mirror = Mirror::new().directory(&elsewhere);
    /// let journal = annals::Journal::options().mirror(mirror).in_memory()?;
    /// assert_eq!(journal.log_directory(), Some(elsewhere));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Writes times, and cuts days, in the machine's local time instead of UTC.
    ///
    /// ```
    /// let mirror = annals::logs::Mirror::new().local_time();
    /// let options = annals::Options::default().mirror(mirror);
    /// ```
    pub fn local_time(mut self) -> Self {
        self.zone = LogZone::Local;
        self
    }

    /// Writes processing times of less than 0.1 ms in microseconds: `time= 12.35µs` instead of
    /// `time=   0.0ms`. Off by default: scripts for a Python logger's files expect ms.
    ///
    /// ```
    /// let mirror = annals::logs::Mirror::new().short_times_in_micros();
    /// let options = annals::Options::default().mirror(mirror);
    /// ```
    pub fn short_times_in_micros(mut self) -> Self {
        self.micros = true;
        self
    }

    /// When a new file is begun.
    ///
    /// ```
    /// use annals::logs::{Mirror, Rotation};
    ///
    /// let mirror = Mirror::new().rotation(Rotation::DailyOrSize(100 << 20));
    /// let options = annals::Options::default().mirror(mirror);
    /// ```
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// Leaves out one kind of file.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    /// use annals::logs::{LogKind, Mirror};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().without(LogKind::Inferences);
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.close()?; // no file of inferences
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn without(mut self, kind: LogKind) -> Self {
        self.off.push(kind);
        self
    }

    /// Deletes old files and lines of each kind by this policy. Checked once a minute, and a limit
    /// of files or bytes before each new file, too. Where files are small, each new one then costs
    /// two fsyncs.
    ///
    /// The current file is never deleted. A limit of lines cuts it off, and other files too;
    /// compressed files are deleted whole or not at all.
    /// [`Journal::clean_up_logs`](crate::Journal::clean_up_logs) applies the policy at once.
    /// [`Maintenance::log_retention`](crate::Maintenance::log_retention) shows what a policy would
    /// delete before it does.
    ///
    /// ```
    /// use annals::RetentionPolicy;
    /// use annals::logs::Mirror;
    ///
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let mirror = Mirror::new().retention(month.max_count(10_000));
    /// # let _ = mirror;
    /// ```
    pub fn retention(mut self, policy: RetentionPolicy) -> Self {
        self.retention = Some(policy);
        self
    }

    /// Compresses files that are no longer written (gzip).
    ///
    /// ```
    /// let mirror = annals::logs::Mirror::new().compress_old(); // yesterday's file becomes .txt.gz
    /// let options = annals::Options::default().mirror(mirror);
    /// ```
    pub fn compress_old(mut self) -> Self {
        self.compress = true;
        self
    }
}
