//! Retention plans for text files: which go, shown before anything happens, then done exactly.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place;
use super::place::FoundFile;
use super::state::MirrorState;
use super::surplus;
use super::surplus::{SurplusLines, count_lines};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::JournalId;
use crate::fs::disk;
use crate::options::logs::LogKind;
use crate::options::retention::{KeptItem, RetentionPolicy};

/// A policy for text lines that is about to be planned; from
/// [`Maintenance::log_retention`](crate::Maintenance::log_retention).
#[must_use = "nothing is planned until plan is called"]
pub struct LogRetention {
    source: Arc<Source>,
    journal: JournalId,
    directory: PathBuf,
    policy: RetentionPolicy,
}

/// Which text files are to be deleted. Nothing happens until it is applied.
#[must_use = "nothing is deleted until apply is called"]
#[derive(Debug)]
pub struct LogRetentionPlan {
    directory: PathBuf,
    files: Vec<PlannedLogFile>,
    held_back: Vec<String>,
}

/// One file of a [`LogRetentionPlan`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PlannedLogFile {
    /// Its path.
    pub file: PathBuf,
    /// The kind of its lines.
    pub kind: LogKind,
    /// How many lines it has.
    pub lines: u64,
    /// Its size; compressed, if it is.
    pub bytes: u64,
    /// The limit that it exceeds.
    pub reason: String,
}

/// Result of applying a [`LogRetentionPlan`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct LogRetentionReport {
    /// How many files are deleted.
    pub files: u64,
    /// How many lines they had.
    pub lines: u64,
    /// Their size together.
    pub bytes: u64,
}

impl LogRetention {
    pub(crate) fn new(
        source: Arc<Source>,
        journal: JournalId,
        directory: PathBuf,
        policy: RetentionPolicy,
    ) -> Self {
        LogRetention {
            source,
            journal,
            directory,
            policy,
        }
    }

    /// Names the directory of the text files, where it is not `logs` below the journal's.
    ///
    /// ```
    /// use annals::{Journal, RetentionPolicy};
    /// use annals::logs::Mirror;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (dir, elsewhere) = (dir.path().join("data"), dir.path().join("texts"));
    /// let mirror = Mirror::new().directory(&elsewhere);
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// let policy = RetentionPolicy::new().max_files(30);
    /// let plan = journal.maintenance()?.log_retention(policy).directory(&elsewhere).plan()?;
    /// assert!(plan.files().is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Lists the files that would go. It changes nothing. Only whole files are planned, and no file
    /// that may still be written. A file of which only the first lines exceed
    /// [`max_count`](RetentionPolicy::max_count) stays, and the plan reports that; the clean-up of
    /// [`Mirror::retention`](crate::logs::Mirror::retention) cuts it.
    ///
    /// Decodes the files that would go, to count their lines; with a limit of lines or
    /// [`keep_latest`](RetentionPolicy::keep_latest), those with the newest lines too.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a policy that [`RetentionPolicy`] calls refused, [`Error::Io`]
    /// if a file cannot be read, and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use annals::logs::{Mirror, Rotation};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().rotation(Rotation::Size(1_024));
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// for _ in 0..100 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// }
    /// journal.close()?;
    /// let maintenance = annals::Maintenance::open(&dir)?;
    /// let newest = RetentionPolicy::new().max_files(1);
    /// let plan = maintenance.log_retention(newest).plan()?;
    /// assert!(plan.files().iter().all(|file| file.file.starts_with(dir.join("logs"))));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn plan(self) -> Result<LogRetentionPlan> {
        self.policy.check(KeptItem::Lines)?;
        let elapsed = self.source.elapsed_by_system_clock()?;
        let directory = &self.directory;
        let fault = |error| Error::io("read the text files in", directory, error);
        let mut plan = LogRetentionPlan {
            directory: directory.clone(),
            files: Vec::new(),
            held_back: Vec::new(),
        };
        let Some(state) = MirrorState::load(directory, self.journal).map_err(fault)? else {
            let directory = directory.display();
            let none = format!("no text files of this journal are in {directory}");
            plan.held_back.push(none);
            return Ok(plan);
        };
        for kind in LogKind::ALL {
            // A kind that was never written has no current file, and foreign ones are not touched.
            let Some(position) = state.positions[kind as usize] else {
                continue;
            };
            let found = place::files(directory, kind).map_err(fault)?;
            let current = position.part.file_name(kind);
            let surplus = surplus::of(directory, &found, &current, &self.policy, elapsed.as_ref())
                .map_err(fault)?;
            let held = surplus.held_back.into_iter();
            plan.held_back
                .extend(held.map(|why| format!("{}: {why}", kind.stem())));
            if let Some(SurplusLines { file, lines }) = surplus.first_lines {
                let FoundFile { name, .. } = file;
                let first = match lines {
                    1 => "first line exceeds".to_owned(),
                    lines => format!("first {lines} lines exceed"),
                };
                plan.held_back.push(format!(
                    "{name}: its {first} max_count and stay with the others"
                ));
            }
            for gone in surplus.whole {
                // The state is up to a second old: its writer may have begun a later file since.
                let file = found.iter().find(|file| file.name == gone.name);
                let Some(file) = file.filter(|file| file.part < position.part) else {
                    continue;
                };
                let path = directory.join(&file.name);
                let bytes = fs::symlink_metadata(&path).map_err(fault)?.len();
                plan.files.push(PlannedLogFile {
                    kind,
                    lines: count_lines(&path, file.compressed).map_err(fault)?,
                    bytes,
                    reason: gone.reason,
                    file: path,
                });
            }
        }
        Ok(plan)
    }
}

impl LogRetentionPlan {
    /// The files that would be deleted: by kind, each kind oldest first.
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use annals::logs::{Mirror, Rotation};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().rotation(Rotation::Size(1_024));
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// for _ in 0..100 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// }
    /// journal.close()?;
    /// let maintenance = annals::Maintenance::open(&dir)?;
    /// let newest = RetentionPolicy::new().max_files(1);
    /// let plan = maintenance.log_retention(newest).plan()?;
    /// assert_eq!(plan.files()[0].reason, "beyond the newest 1 files (max_files)");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn files(&self) -> &[PlannedLogFile] {
        &self.files
    }

    /// How many lines would be deleted.
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use annals::logs::{Mirror, Rotation};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().rotation(Rotation::Size(1_024));
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// for _ in 0..100 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// }
    /// journal.close()?;
    /// let maintenance = annals::Maintenance::open(&dir)?;
    /// let newest = RetentionPolicy::new().max_files(1);
    /// let plan = maintenance.log_retention(newest).plan()?;
    /// assert!((1..100).contains(&plan.lines()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn lines(&self) -> u64 {
        let lines = self.files.iter().map(|file| file.lines);
        lines.fold(0, u64::saturating_add)
    }

    /// How many bytes would be freed.
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use annals::logs::{Mirror, Rotation};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().rotation(Rotation::Size(1_024));
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// for _ in 0..100 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// }
    /// journal.close()?;
    /// let maintenance = annals::Maintenance::open(&dir)?;
    /// let newest = RetentionPolicy::new().max_files(1);
    /// let plan = maintenance.log_retention(newest).plan()?;
    /// assert!(plan.bytes() > 1_024);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = self.files.iter().map(|file| file.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// The reasons why further files stay although they exceed a limit. Empty if there are none.
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use annals::logs::{Mirror, Rotation};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().rotation(Rotation::Size(1_024));
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// for _ in 0..100 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// }
    /// journal.close()?;
    /// let maintenance = annals::Maintenance::open(&dir)?;
    /// let newest = RetentionPolicy::new().max_files(1);
    /// let plan = maintenance.log_retention(newest.keep_latest(50)).plan()?;
    /// assert!(plan.held_back()[0].contains("the newest 50 lines stay"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn held_back(&self) -> &[String] {
        &self.held_back
    }

    /// Deletes exactly the files of the plan, oldest first. If one of them is gone or has another
    /// size by now, nothing is deleted, and the error lists the differences. The writer of the text
    /// files goes on at the same time. One fsync for the directory.
    ///
    /// # Errors
    /// [`Error::PlanOutdated`], and [`Error::Io`] if a file cannot be deleted.
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use annals::logs::{Mirror, Rotation};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().rotation(Rotation::Size(1_024));
    /// let journal = Journal::options().mirror(mirror).open(&dir)?;
    /// for _ in 0..100 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// }
    /// journal.close()?;
    /// let maintenance = annals::Maintenance::open(&dir)?;
    /// let newest = RetentionPolicy::new().max_files(1);
    /// let plan = maintenance.log_retention(newest).plan()?;
    /// let files = plan.files().len() as u64;
    /// assert_eq!(plan.apply()?.files, files);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn apply(self) -> Result<LogRetentionReport> {
        // All are looked at before the first one goes: an outdated plan deletes nothing.
        let changes: Vec<String> = self.files.iter().filter_map(changed).collect();
        if !changes.is_empty() {
            return Err(Error::PlanOutdated {
                changes,
                deleted: 0,
            });
        }
        let mut report = LogRetentionReport::default();
        for planned in &self.files {
            disk::remove(&planned.file)
                .map_err(|error| Error::io("delete", &planned.file, error))?;
            report.files += 1;
            report.lines = report.lines.saturating_add(planned.lines);
            report.bytes = report.bytes.saturating_add(planned.bytes);
        }
        // A power cut must not bring files back that were reported as deleted.
        if report.files > 0 {
            sync(&self.directory)?;
        }
        Ok(report)
    }
}

/// The difference between a planned file and the file that is there.
fn changed(planned: &PlannedLogFile) -> Option<String> {
    let file = planned.file.display();
    match fs::symlink_metadata(&planned.file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("{file} is gone")),
        // Deleting it reports the fault.
        Err(_) => None,
        Ok(found) if found.len() == planned.bytes => None,
        Ok(found) => Some(format!("{file} has {} bytes now", found.len())),
    }
}

fn sync(directory: &Path) -> Result<()> {
    disk::sync_directory(directory).map_err(|error| Error::io("sync", directory, error))
}
