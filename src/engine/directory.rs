//! The journal's directory: places of its files, rights, live runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::fs::disk;
use crate::fs::disk::FileId;
use crate::fs::lock;
use crate::fs::lock::{FileLock, LockMode};

/// The layout of one journal's directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    hot: PathBuf,
}

pub(crate) const HOT_FILE: &str = "journal.redb";
/// Longest wait for another process that creates the hot file: it takes milliseconds.
const CREATION: Duration = Duration::from_secs(60);
/// A hot file that is being created; renamed when redb has finished it.
const UNFINISHED: &str = "journal.redb.new-";

impl Directory {
    /// The directory at `root`, which must exist.
    pub(crate) fn existing(root: &Path) -> Result<Self> {
        match fs::metadata(root) {
            Ok(found) if found.is_dir() => Ok(Directory {
                root: root.to_owned(),
                hot: root.join(HOT_FILE),
            }),
            Ok(_) => Err(Error::NotADirectory {
                path: root.to_owned(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing {
                path: root.to_owned(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(Error::NotADirectory {
                    path: root.to_owned(),
                })
            }
            Err(error) => Err(Error::io("look at", root, error)),
        }
    }

    /// The directory that would be at `root`, where there is none.
    pub(crate) fn missing(root: &Path) -> Self {
        Directory {
            root: root.to_owned(),
            hot: root.join(HOT_FILE),
        }
    }

    /// The directory at `root`, created with its parents (for its owner only) where missing.
    pub(crate) fn create(root: &Path) -> Result<Self> {
        if let Err(error) = disk::create_directory(root) {
            // A file in the place of a directory gets an error of its own.
            return Err(match Directory::existing(root) {
                Err(said @ Error::NotADirectory { .. }) => said,
                _ => Error::io("create", root, error),
            });
        }
        let directory = Directory::existing(root)?;
        let runs = directory.runs();
        disk::create_directory(&runs).map_err(|error| Error::io("create", &runs, error))?;
        // Only locks lie there: they are needed nowhere else.
        disk::inside(root, &runs).map_err(|error| Error::io("use", runs, error))?;
        Ok(directory)
    }

    /// The directory at `root`, created where it is missing, for a copy that no process has open.
    pub(crate) fn bare(root: &Path) -> Result<Self> {
        disk::create_directory(root).map_err(|error| Error::io("create", root, error))?;
        Directory::existing(root)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    pub(crate) fn hot_file(&self) -> PathBuf {
        self.hot.clone()
    }

    /// A name for a hot file that is being created, different for every call.
    pub(crate) fn unfinished_hot_file(&self, unique: u64) -> PathBuf {
        self.root.join(format!("{UNFINISHED}{unique:016x}"))
    }

    /// The same directory with a hot file that does not have its name yet.
    pub(crate) fn with_hot_file(&self, unfinished: &Path) -> Self {
        Directory {
            root: self.root.clone(),
            hot: unfinished.to_owned(),
        }
    }

    /// Whether it holds a hot file whose creation was cut short.
    pub(crate) fn has_unfinished(&self) -> bool {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with(UNFINISHED))
    }

    /// The name of a part of a journal that is here without a hot file.
    #[cfg_attr(
        not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))),
        expect(dead_code, reason = "without shared memory nobody asks")
    )]
    pub(crate) fn parts_without_hot_file(&self) -> Option<&'static str> {
        let mut parts = ["segments", "runs", "damaged"].into_iter();
        parts.find(|part| self.root.join(part).symlink_metadata().is_ok())
    }

    /// Gives a finished hot file its name unless another process was faster.
    pub(crate) fn publish_hot_file(&self, finished: &Path) -> Result<()> {
        let name = self.hot_file();
        match disk::publish(finished, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Files that cannot be removed now are removed by the next opening.
                let _ = disk::remove(finished);
            }
            published => published.map_err(|error| Error::io("create", name, error))?,
        }
        self.sync()
    }

    /// Keeps other processes from creating the hot file until the value is dropped. Waits for one
    /// that is creating it now.
    pub(crate) fn hold_creation(&self) -> Result<FileLock> {
        let path = self.runs().join("create.lock");
        FileLock::wait(&path, LockMode::Exclusive, CREATION)
    }

    /// Removes hot files whose creation was cut short by a crash. Call it with the creation held:
    /// then every one of them is abandoned.
    pub(crate) fn remove_unfinished(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                // Files that cannot be removed now are tried again at the next opening.
                let _ = disk::remove(&entry.path());
            }
        }
    }

    /// Makes the directory's own entries durable.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_directory(&self.root)
    }

    /// Where a repair puts damaged files.
    pub(crate) fn set_aside(&self) -> PathBuf {
        self.root.join("damaged")
    }

    /// Where segments lie.
    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    /// The directory of the segments, created for its owner only where it is missing.
    pub(crate) fn create_segments(&self) -> Result<PathBuf> {
        let path = self.segments();
        disk::create_directory(&path).map_err(|error| Error::io("create", &path, error))?;
        Ok(path)
    }

    /// Where the files of kept inputs lie.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    fn run_lock(&self, run: RunId) -> PathBuf {
        self.runs().join(format!("{run}.lock"))
    }

    /// Takes the lock that marks `run` as alive; released when the value is dropped.
    pub(crate) fn hold_run(&self, run: RunId) -> Result<RunLock> {
        let path = self.run_lock(run);
        let file = lock_run(&path)?;
        // Absolute, so that it is still the same name when the process changes its directory.
        let path = std::path::absolute(&path).unwrap_or(path);
        Ok(RunLock { path, file })
    }

    /// Whether `run`'s process has let go of its lock, willingly or not.
    pub(crate) fn is_run_dead(&self, run: RunId) -> bool {
        !lock::is_held(&self.run_lock(run))
    }

    /// Removes the lock file and the spool of a run that has ended.
    pub(crate) fn forget_run(&self, run: RunId) {
        self.forget_spool(run);
        let _ = disk::remove(&self.run_lock(run));
    }

    /// One of the two files of a run's spool.
    pub(crate) fn spool(&self, run: RunId, place: usize) -> PathBuf {
        self.runs().join(format!("{run}.spool-{place}"))
    }

    /// Removes the spool of a run that needs it no more. A file that cannot be removed is never
    /// read: the run's row says that it has ended.
    pub(crate) fn forget_spool(&self, run: RunId) {
        for place in 0..2 {
            let _ = disk::remove(&self.spool(run, place));
        }
    }
}

/// Takes the lock file of a run.
fn lock_run(path: &Path) -> Result<FileLock> {
    let held = FileLock::hold(path).map_err(|error| Error::io("lock", path, error))?;
    held.ok_or_else(|| Error::InUse {
        path: path.to_owned(),
        reason: "the run of this name is under way there".to_owned(),
    })
}

/// Makes the entries of `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    disk::sync_directory(directory).map_err(|error| Error::io("sync", directory, error))
}

/// Opens a file that only its owner may read, creating it if it is missing.
pub(crate) fn private_file(path: &Path) -> Result<File> {
    disk::open_or_create(path).map_err(|error| Error::io("create", path, error))
}

/// Held while a run lives.
#[derive(Debug)]
pub(crate) struct RunLock {
    path: PathBuf,
    file: FileLock,
}

impl RunLock {
    /// Makes the lock file anew if it has been removed: a process that opened the journal without
    /// it would take the run for dead.
    pub(crate) fn keep_name(&mut self) -> Result<()> {
        let file = FileId::of(self.file.file());
        if file.is_none_or(|file| file.lost_name(&self.path).is_none()) {
            return Ok(());
        }
        if let Some(runs) = self.path.parent() {
            disk::create_directory(runs).map_err(|error| Error::io("create", runs, error))?;
        }
        // The old file's lock is released by this assignment, after the new one is held: there is
        // no moment in which the run counts as dead.
        self.file = lock_run(&self.path)?;
        Ok(())
    }

    /// Lets go of the lock of a run that has ended in good order.
    pub(crate) fn release(self) {
        let _ = disk::remove(&self.path);
    }
}
