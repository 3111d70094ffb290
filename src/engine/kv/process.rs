//! Locks that belong to a process and not to an open file: no forked child has them. And the
//! holders of a lock, as far as the system reports them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::hold::{Hold, pause};
use crate::fs::disk;
use crate::fs::disk::FileId;
use crate::threads::worker::lock;

/// A lock on a small file, one for all handles of this process.
///
/// The system releases such a lock when the process closes any handle of the file. So the file is
/// opened once and stays open until no handle of the journal needs it. redb's own locks stand
/// behind it. They help if other code of the process opens and closes the file.
pub(super) struct ProcessLock {
    /// `None` for one that is not used any more.
    file: Option<File>,
    /// The process that holds it; a forked child has a copy that means nothing.
    owner: u32,
    state: Mutex<LockState>,
    changed: Condvar,
    /// redb's own lock was found to be an orphan's.
    orphan: AtomicBool,
}

#[derive(Default)]
struct LockState {
    /// Invariant P1: the system's lock is held, alone or shared, exactly if one of these states it.
    shared: usize,
    alone: bool,
    /// Threads that want it alone and find it shared within this process.
    eager: usize,
}

/// The locks of this process, and how many handles use each.
static KNOWN: Mutex<BTreeMap<LockKey, (Arc<ProcessLock>, usize)>> = Mutex::new(BTreeMap::new());

/// The process, because a forked child has a copy of the list; and the file.
type LockKey = (u32, FileId);

/// One handle's use of a lock.
pub(super) struct Used {
    lock: Arc<ProcessLock>,
    key: LockKey,
}

impl Deref for Used {
    type Target = ProcessLock;

    fn deref(&self) -> &ProcessLock {
        &self.lock
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        if self.key.0 != std::process::id() {
            // The list may have been locked when this process was forked.
            return;
        }
        let mut known = lock(&KNOWN);
        if let Some((_, users)) = known.get_mut(&self.key) {
            *users = users.saturating_sub(1);
            if *users == 0 {
                // Its file is closed below, when `self` goes; nothing opens it until then.
                known.remove(&self.key);
            }
        }
        // Within the lock of the list: closing it later would release a lock that was taken anew.
        self.lock = Arc::new(ProcessLock::gone());
        drop(known);
    }
}

/// Time that a thread which wants to share lets one go first that wants the lock alone.
const COURTESY: Duration = Duration::from_millis(1);

/// The lock on the file at `path`. `Purpose::Write` makes it where it is missing, and fails where
/// it cannot be had: a writer without it would be taken for an orphan. For a reader there may be
/// none.
pub(super) fn lock_file(path: &Path, purpose: Purpose) -> io::Result<Option<Used>> {
    if !HAS_LOCKS {
        return Ok(None);
    }
    let owner = std::process::id();
    // Held until the lock is listed. Otherwise two threads would open the file twice, and the one
    // that closes its handle first would release the lock of both.
    let mut known = lock(&KNOWN);
    // Looked up by name first: to open the file and to close it again would give the lock up.
    if let Some(id) = FileId::at(path)
        && let Some(used) = use_known(&mut known, (owner, id))
    {
        return Ok(Some(used));
    }
    let opened = match purpose {
        Purpose::Write => {
            if let Some(above) = path.parent() {
                disk::create_directory(above)?;
            }
            disk::open_or_create(path)?
        }
        Purpose::Read => {
            // A shared lock needs a file that is open for reading, an exclusive one writing. A
            // reader on a read-only medium has no writers to wait for.
            let both = disk::open_regular_with(path, File::options().read(true).write(true));
            match both.or_else(|_| disk::open_regular(path)) {
                Ok(opened) => opened,
                // Another user's directory or a medium that cannot be written: redb's own lock has
                // to do.
                Err(_) => return Ok(None),
            }
        }
    };
    let Some(id) = FileId::of(&opened) else {
        return Ok(None);
    };
    let key = (owner, id);
    if let Some(raced) = use_known(&mut known, key) {
        // It got this name between the two looks. It stays open, see above.
        std::mem::forget(opened);
        return Ok(Some(raced));
    }
    let lock = Arc::new(ProcessLock {
        file: Some(opened),
        owner,
        state: Mutex::default(),
        changed: Condvar::new(),
        orphan: AtomicBool::new(false),
    });
    known.insert(key, (lock.clone(), 1));
    Ok(Some(Used { lock, key }))
}

fn use_known(
    known: &mut BTreeMap<LockKey, (Arc<ProcessLock>, usize)>,
    key: LockKey,
) -> Option<Used> {
    let (lock, users) = known.get_mut(&key)?;
    *users = users.saturating_add(1);
    let lock = lock.clone();
    Some(Used { lock, key })
}

/// Purpose of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

impl ProcessLock {
    /// In place of one that is not used any more.
    fn gone() -> Self {
        ProcessLock {
            file: None,
            owner: 0,
            state: Mutex::default(),
            changed: Condvar::new(),
            orphan: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, LockState> {
        lock(&self.state)
    }

    /// Takes it, if that can be done before `until`.
    pub(super) fn take(&self, hold: Hold, until: Option<Instant>) -> io::Result<bool> {
        // A forked child. It has none of the locks, and must not wait for a state that no thread of
        // its own will ever change.
        if self.owner != std::process::id() {
            return Ok(true);
        }
        let began = Instant::now();
        let is_late = || until.is_some_and(|until| Instant::now() >= until);
        let mut state = self.lock();
        loop {
            // Readers share the lock and follow each other closely; without this a writer would
            // starve.
            let yields = hold == Hold::Shared && state.eager > 0 && began.elapsed() < COURTESY;
            let is_shared = hold == Hold::Alone && state.shared > 0;
            if state.alone || is_shared || yields {
                if is_late() {
                    return Ok(false);
                }
                // Counted only while it waits, so that a thread which has given up does not slow
                // down readers.
                state.eager += usize::from(is_shared);
                // With a bound: the deadline and the courtesy are both looked at again.
                let woken = self.changed.wait_timeout(state, COURTESY);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
                state.eager = state.eager.saturating_sub(usize::from(is_shared));
                continue;
            }
            // A further sharer needs no system call: the process has the lock already (P1).
            if state.shared > 0
                || self
                    .file
                    .as_ref()
                    .map_or(Ok(true), |file| ask(file, hold))?
            {
                match hold {
                    Hold::Alone => state.alone = true,
                    Hold::Shared => state.shared = state.shared.saturating_add(1),
                }
                return Ok(true);
            }
            // Another process has it. Nothing of this one waits for a thread that rests.
            drop(state);
            if is_late() {
                return Ok(false);
            }
            thread::sleep(pause(began));
            state = self.lock();
        }
    }

    pub(super) fn give_back(&self, hold: Hold) {
        if self.owner != std::process::id() {
            // The copy of the child. Releasing would free no lock, and would touch a mutex that
            // another thread may have held at the fork.
            return;
        }
        let mut state = self.lock();
        match hold {
            Hold::Alone => state.alone = false,
            Hold::Shared => state.shared = state.shared.saturating_sub(1),
        }
        if !state.alone
            && state.shared == 0
            && let Some(file) = &self.file
        {
            unlock(file);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn has_orphan(&self) -> bool {
        self.orphan.load(Ordering::Acquire)
    }

    pub(super) fn note_orphan(&self) {
        self.orphan.store(true, Ordering::Release);
    }

    pub(super) fn file(&self) -> Option<FileId> {
        FileId::of(self.file.as_ref()?)
    }
}

const HAS_LOCKS: bool = cfg!(all(target_os = "linux", not(annals_portable)));

#[cfg(all(target_os = "linux", not(annals_portable)))]
fn ask(file: &File, hold: Hold) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;
    let operation = match hold {
        Hold::Shared => FlockOperation::NonBlockingLockShared,
        Hold::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match fcntl_lock(file, operation) {
            Ok(()) => return Ok(true),
            // POSIX allows both for a lock that another process holds.
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(all(target_os = "linux", not(annals_portable)))]
fn unlock(file: &File) {
    use rustix::fs::{FlockOperation, fcntl_lock};
    // Fails for a handle that is not open only.
    let _ = fcntl_lock(file, FlockOperation::NonBlockingUnlock);
}

#[cfg(not(all(target_os = "linux", not(annals_portable))))]
fn ask(_file: &File, _hold: Hold) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(all(target_os = "linux", not(annals_portable))))]
fn unlock(_file: &File) {}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub(super) pid: u32,
    name: String,
    /// As in `/proc/<pid>/stat`: `R` and `S` run, `T` and `t` are stopped, `D` waits for a disk.
    state: char,
}

impl Holder {
    /// Whether it runs, as opposed to being stopped or held up by a disk.
    pub(super) fn runs(&self) -> bool {
        matches!(self.state, 'R' | 'S' | 'I')
    }
}

/// The processes that hold a lock on bytes of `range` of the file, as far as this user may see
/// them; `None` where the system does not report them. Examines every process: for exceptional
/// cases.
pub(super) fn holders(file: Option<FileId>, range: (u64, u64)) -> Option<Vec<Holder>> {
    let number = file?.number();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(handles) = fs::read_dir(entry.path().join("fdinfo")) else {
            continue;
        };
        let holds = handles.flatten().any(|handle| {
            fs::read_to_string(handle.path())
                .is_ok_and(|said| said.lines().any(|line| is_lock_on(line, number, range)))
        });
        if holds && let Some(holder) = look_at(pid) {
            found.push(holder);
        }
    }
    Some(found)
}

/// `lock:  1: OFDLCK ADVISORY  WRITE -1 fe:00:10035507 0 319`
fn is_lock_on(line: &str, number: u64, range: (u64, u64)) -> bool {
    let Some(line) = line.strip_prefix("lock:") else {
        return false;
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, kind, _, _, _, file, start, end] = words[..] else {
        return false;
    };
    // Only the number of the inode is compared: on btrfs, for one, `stat` names another device than
    // this list. A false match costs one more suspect, whom a look has to clear.
    let is_it = file.rsplit(':').next() == Some(number.to_string().as_str());
    let Ok(start) = start.parse::<u64>() else {
        return false;
    };
    // `EOF` stands for a range without an end.
    let end = end.parse::<u64>().unwrap_or(u64::MAX);
    is_it && kind != "FLOCK" && start <= range.1 && end >= range.0
}

fn look_at(pid: u32) -> Option<Holder> {
    let said = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the state comes after the last one.
    let (before, after) = said.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let state = after.trim_start().chars().next()?;
    Some(Holder { pid, name, state })
}

/// The holders in words.
pub(super) fn named(mut holders: Vec<Holder>) -> String {
    holders.sort();
    holders.dedup();
    let words: Vec<String> = holders
        .iter()
        .take(8)
        .map(|holder| {
            let state = match holder.state {
                'T' | 't' => ", stopped",
                'D' => ", waiting for a disk",
                _ => "",
            };
            format!("process {} ({:?}{state})", holder.pid, holder.name)
        })
        .collect();
    if words.is_empty() {
        "another process".to_owned()
    } else {
        words.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn locks_are_read_from_what_the_system_lists() {
        let line = "lock:\t1: OFDLCK ADVISORY  WRITE -1 fe:00:77 0 319";
        assert!(is_lock_on(line, 77, (0, 319)));
        assert!(is_lock_on(line, 77, (319, 400)));
        assert!(!is_lock_on(line, 77, (320, 400)));
        assert!(!is_lock_on(line, 7, (0, 319)));
        assert!(is_lock_on(
            "lock: 1: POSIX ADVISORY WRITE 5 00:1:77 0 EOF",
            77,
            (9, 9)
        ));
        assert!(!is_lock_on(
            "lock: 1: FLOCK ADVISORY WRITE 5 00:1:77 0 EOF",
            77,
            (9, 9)
        ));
        assert!(!is_lock_on("lock: 1", 77, (0, 1)));
        assert!(!is_lock_on("pos:\t0", 77, (0, 1)));
        let me = look_at(std::process::id()).unwrap();
        assert!(me.runs(), "{me:?}");
        assert!(named(vec![me.clone(), me]).starts_with("process "));
        assert_eq!(named(Vec::new()), "another process");
    }

    #[test]
    fn threads_share_and_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        assert!(lock_file(&path, Purpose::Read).unwrap().is_none());
        let Some(lock) = lock_file(&path, Purpose::Write).unwrap() else {
            return;
        };
        let again = lock_file(&path, Purpose::Read).unwrap().unwrap();
        assert!(std::ptr::eq(&*lock, &*again));
        let now = || Some(Instant::now());
        assert!(lock.take(Hold::Shared, now()).unwrap());
        assert!(lock.take(Hold::Shared, now()).unwrap());
        assert!(!lock.take(Hold::Alone, now()).unwrap());
        lock.give_back(Hold::Shared);
        lock.give_back(Hold::Shared);
        assert!(lock.take(Hold::Alone, now()).unwrap());
        assert!(!lock.take(Hold::Shared, now()).unwrap());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| lock.take(Hold::Shared, None).unwrap());
            lock.give_back(Hold::Alone);
            assert!(waiting.join().unwrap());
        });
        lock.give_back(Hold::Shared);
    }
}
