//! Damaged files are set aside, and files that must not be in use are locked.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::directory::{Directory, private_file, sync_directory};
use crate::engine::kv::Kv;
use crate::entry::error::{Error, Result};
use crate::fs::disk;
use crate::fs::failpoint::lock_timeout;
use crate::fs::lock::{FileLock, LockMode};
use crate::options::Sharing;
use crate::sealing::seal;

/// Longest wait for a lock. A program that this process is starting holds every lock of this
/// process until it has begun.
const STARTING: Duration = Duration::from_millis(500);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(2);

/// Gives a damaged file a second name in the folder of such files. Its first file is replaced by a
/// rename, so that one of both is there at every moment.
pub(super) fn quarantine(directory: &Directory, file: &Path) -> Result<PathBuf> {
    let folder = directory.set_aside();
    disk::create_directory(&folder).map_err(|error| Error::io("create", &folder, error))?;
    disk::inside(directory.path(), &folder).map_err(|error| Error::io("use", &folder, error))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut aside = folder.join(&*name);
    let mut number = 1_u32;
    // A link to nowhere takes a name too.
    while fs::symlink_metadata(&aside).is_ok() {
        number = number.saturating_add(1);
        aside = folder.join(format!("{name}.{number}"));
    }
    if fs::hard_link(file, &aside).is_err() {
        disk::copy(file, &aside).map_err(|error| Error::io("copy", &aside, error))?;
    }
    sync_directory(&folder)?;
    Ok(aside)
}

/// Locks everything that a user of the journal holds; released when the value is dropped.
pub(super) fn hold(directory: &Directory) -> Result<Vec<FileLock>> {
    let most = lock_timeout(directory.path(), STARTING);
    let began = Instant::now();
    loop {
        match try_hold(directory) {
            Err(Error::InUse { .. }) if began.elapsed() < most => thread::sleep(PAUSE),
            held => return held,
        }
    }
}

fn try_hold(directory: &Directory) -> Result<Vec<FileLock>> {
    let in_use = |path: &Path| Error::InUse {
        path: path.to_owned(),
        reason: "a repair, or undoing an import, needs a journal that is closed".to_owned(),
    };
    let runs = directory.runs();
    disk::create_directory(&runs).map_err(|error| Error::io("create", &runs, error))?;
    disk::inside(directory.path(), &runs).map_err(|error| Error::io("use", &runs, error))?;
    let mut locks = vec![runs.join("create.lock")];
    let files = fs::read_dir(&runs).map_err(|error| Error::io("read", &runs, error))?;
    let files = files.flatten().map(|entry| entry.path());
    locks.extend(files.filter(|path| path.extension().is_some_and(|end| end == "lock")));
    locks.sort_unstable();
    locks.dedup();
    let mut held = Vec::new();
    for path in locks {
        let lock = private_file(&path)?;
        let lock = FileLock::of(lock, LockMode::Exclusive);
        let lock = lock.map_err(|error| Error::io("lock", &path, error))?;
        held.push(lock.ok_or_else(|| in_use(&path))?);
    }
    let folder = directory.segments();
    if folder.exists() {
        held.push(seal::hold(&folder)?.ok_or_else(|| in_use(&folder))?);
    }
    match Kv::try_open_read_only(&directory.hot_file(), Sharing::Exclusive, 0) {
        Err(error @ Error::InUse { .. }) => Err(error),
        // Without locks the engine knows its users. Its other defects are the reason for the
        // repair.
        _ => Ok(held),
    }
}
