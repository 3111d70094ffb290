//! Locks on files between processes. Nothing else asks the system for one. Two questions are
//! decided here: which answer means "taken", and how a system without locks is treated.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::disk;
use super::disk::FileId;
use super::failpoint::lock_timeout;
use super::owner::ProcessId;
use crate::entry::error::Error;

/// Sharing of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockMode {
    /// This holder alone.
    Exclusive,
    /// All that ask for a shared one.
    Shared,
}

/// A locked file. The lock is released when the value is dropped.
#[derive(Debug)]
pub(crate) struct FileLock(File);

impl FileLock {
    /// Locks an open file; `None` if another process holds a lock that excludes this one.
    pub(crate) fn of(file: File, mode: LockMode) -> io::Result<Option<FileLock>> {
        Ok(try_lock(&file, mode)?.then_some(FileLock(file)))
    }

    /// Takes the exclusive lock of the file at `path`, which is created where it is missing; `None`
    /// if another process holds it. The file names its holder. A forked child inherits a lock and
    /// keeps it when its parent has been killed: if the holder is gone, another file takes the
    /// name.
    pub(crate) fn hold(path: &Path) -> io::Result<Option<FileLock>> {
        // A round is lost only if another process replaces the file at the same moment.
        const ROUNDS: u32 = 8;
        for _ in 0..ROUNDS {
            // A new handle in each round: the name may lead to another file by now.
            let held = FileLock(disk::open_or_begin(path)?.0);
            // Invariant L1: a file that names a dead holder is owned, or loses its name, only under
            // the lock of its directory. Otherwise one process could remove the file that another
            // has just made in its place.
            let names = held.names_a_dead_holder().then(|| names_in(path));
            if held.try_own()? {
                // A lock of a file that has lost its name excludes no process.
                if held.has_name(path).unwrap_or(true) {
                    return Ok(Some(held));
                }
                continue;
            }
            let (Some(Some(_names)), true) = (names, held.is_orphaned()) else {
                return Ok(None);
            };
            match held.has_name(path) {
                // The orphan keeps its lock on a file without a name. A second process that looks
                // at the same moment may remove the file that a third one has just created. The
                // third one finds it out by `has_name` above.
                Some(true) => disk::remove(path)?,
                // Another process has replaced the file already.
                Some(false) => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Locks the file at `path`, which is created where it is missing. Waits for another holder for
    /// at most `most`.
    pub(crate) fn wait(path: &Path, mode: LockMode, most: Duration) -> Result<FileLock, Error> {
        const PAUSE: Duration = Duration::from_millis(1);
        let file = disk::open_or_create(path);
        let file = file.map_err(|error| Error::io("create", path, error))?;
        let most = lock_timeout(path, most);
        let began = Instant::now();
        loop {
            let locked = try_lock(&file, mode);
            if locked.map_err(|error| Error::io("lock", path, error))? {
                return Ok(FileLock(file));
            }
            if began.elapsed() >= most {
                return Err(Error::Locked {
                    path: path.to_owned(),
                    operation: match mode {
                        LockMode::Exclusive => "written",
                        LockMode::Shared => "read",
                    },
                    lock: "it",
                    holder: "another process".to_owned(),
                    waited: began.elapsed(),
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    /// Tries the exclusive lock and names this process in the file.
    fn try_own(&self) -> io::Result<bool> {
        let mut file = &self.0;
        let held = try_lock(file, LockMode::Exclusive)?;
        // The name is an aid: without it only the lock counts. A file with a second name belongs to
        // another program and is not written to.
        // Written only by the holder, so that a reader never sees the words of two.
        if held && disk::has_one_name(file) {
            let owner = ProcessId::this()
                .map(|owner| owner.print())
                .unwrap_or_default();
            let _ = file
                // A crash between the two leaves an empty file, which names no process: the lock
                // alone counts.
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(owner.as_bytes()));
        }
        Ok(held)
    }

    /// Whether the file still has this name; `None` where files have no identity.
    fn has_name(&self, path: &Path) -> Option<bool> {
        let id = FileId::of(&self.0)?;
        Some(FileId::at(path) == Some(id))
    }

    /// Whether the file names a holder that is gone, and keeps naming it: a new holder writes its
    /// name a moment after it has the lock.
    fn is_orphaned(&self) -> bool {
        const MOMENT: Duration = Duration::from_millis(10);
        self.names_a_dead_holder() && {
            std::thread::sleep(MOMENT);
            self.names_a_dead_holder()
        }
    }

    fn names_a_dead_holder(&self) -> bool {
        const LONGEST: u64 = 1_024;
        let mut file = &self.0;
        let mut text = String::new();
        let read = file
            .rewind()
            .and_then(|()| file.take(LONGEST).read_to_string(&mut text));
        read.is_ok() && ProcessId::parse(&text).is_some_and(|owner| owner.is_gone())
    }
}

/// Whether a living process holds the exclusive lock of the file at `path`. A file that cannot be
/// opened, and may therefore be locked, counts as held.
pub(crate) fn is_held(path: &Path) -> bool {
    match disk::open_regular(path) {
        // Shared, so that two processes that ask at once do not take each other for the holder.
        Ok(file) => match try_lock(&file, LockMode::Shared) {
            Ok(true) => false,
            Ok(false) => !FileLock(file).is_orphaned(),
            Err(_) => true,
        },
        // Only regular files are locked.
        Err(error) => error.kind() != io::ErrorKind::NotFound && !disk::is_no_regular_file(&error),
    }
}

/// Locks the directory of `path`, where names of orphaned files change hands. `None` if that is not
/// possible or takes too long: then no name is taken away.
fn names_in(path: &Path) -> Option<FileLock> {
    const LONGEST: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(1);
    let directory = File::open(path.parent()?).ok()?;
    let began = Instant::now();
    loop {
        match directory.try_lock() {
            Ok(()) => return Some(FileLock(directory)),
            Err(TryLockError::WouldBlock) if began.elapsed() < LONGEST => std::thread::sleep(PAUSE),
            Err(_) => return None,
        }
    }
}

/// Tries once. Where the system has no locks, one process at a time has the journal, and every lock
/// is free.
fn try_lock(file: &File, mode: LockMode) -> io::Result<bool> {
    let tried = match mode {
        LockMode::Exclusive => file.try_lock(),
        LockMode::Shared => file.try_lock_shared(),
    };
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_lock_excludes_as_its_mode_demands() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        let lock = |mode| FileLock::wait(&path, mode, Duration::ZERO);
        assert!(!is_held(&path), "there is no file");
        let one = lock(LockMode::Shared).unwrap();
        let two = lock(LockMode::Shared).unwrap();
        assert!(!is_held(&path), "a shared lock is nobody's");
        assert!(matches!(
            lock(LockMode::Exclusive),
            Err(Error::Locked { .. })
        ));
        drop((one, two));
        let alone = lock(LockMode::Exclusive).unwrap();
        assert!(is_held(&path));
        assert!(matches!(lock(LockMode::Shared), Err(Error::Locked { .. })));
        assert!(FileLock::hold(&path).unwrap().is_none());
        let other = disk::open_regular(&path).unwrap();
        assert!(FileLock::of(other, LockMode::Shared).unwrap().is_none());
        drop(alone);
        assert!(!is_held(&path));
        assert!(FileLock::hold(&path).unwrap().is_some());
    }

    #[test]
    fn only_regular_files_are_held() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(!is_held(scratch.path()));
        assert!(FileLock::hold(scratch.path()).is_err());
    }

    /// A forked child keeps its parent's lock: the file shows that the parent is gone.
    #[test]
    fn a_lock_of_a_process_that_is_gone_is_taken_over() {
        let Some(this) = ProcessId::this() else {
            return;
        };
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        let inherited = FileLock::hold(&path).unwrap().unwrap();
        assert!(is_held(&path));
        // Where files have no identity, their names are not taken over.
        if FileId::of(inherited.file()).is_none() {
            return;
        }
        name_a_dead_holder(&path, &this);
        assert!(!is_held(&path));
        let taken = FileLock::hold(&path).unwrap().unwrap();
        assert!(is_held(&path));
        assert_ne!(FileId::of(inherited.file()), FileId::of(taken.file()));
    }
    fn name_a_dead_holder(path: &Path, this: &ProcessId) {
        let mut words: Vec<String> = this.print().split(' ').map(str::to_owned).collect();
        // The same process number, started at another time.
        let started = words.iter_mut().rev().nth(1).unwrap();
        *started = "1".to_owned();
        std::fs::write(path, words.join(" ")).unwrap();
    }

    /// Each opening of a file locks for itself, so threads stand for processes here.
    #[test]
    fn of_several_that_take_a_lock_over_one_has_it() {
        const TAKERS: usize = 4;
        let Some(this) = ProcessId::this() else {
            return;
        };
        let scratch = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = scratch.path().join(round.to_string());
            let inherited = FileLock::hold(&path).unwrap().unwrap();
            if FileId::of(inherited.file()).is_none() {
                return;
            }
            name_a_dead_holder(&path, &this);
            let start = std::sync::Barrier::new(TAKERS);
            let take = || {
                start.wait();
                FileLock::hold(&path).unwrap()
            };
            let taken: Vec<FileLock> = std::thread::scope(|scope| {
                let takers: Vec<_> = (0..TAKERS).map(|_| scope.spawn(take)).collect();
                let taken = takers.into_iter().map(|taker| taker.join().unwrap());
                taken.flatten().collect()
            });
            assert_eq!(taken.len(), 1, "round {round}");
            assert_eq!(taken[0].has_name(&path), Some(true), "round {round}");
        }
    }
}
