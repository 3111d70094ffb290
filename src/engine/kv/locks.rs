//! Waiting for the locks of a redb file: with a bound, and not for the dead.
//!
//! redb locks ranges of the file. Such a lock belongs to the open file. So a stopped process keeps
//! it, and so does a child that was forked without exec when its parent has been killed. Two locks
//! are waited for: the writer's, held during a transaction, and the header's, held while a
//! transaction begins or is published. Both are taken twice. First one that belongs to the process
//! (see [`process`](super::process)), which no child inherits; then redb's own. If the first is
//! held and the second is not free, no living process can hold it. Then it is an orphan's, and is
//! done without.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::hold::{Hold, pause};
use super::process;
use super::process::{ProcessLock, Purpose, Used};
use crate::entry::error::Error;
use crate::fs::disk::FileId;
use crate::fs::failpoint::lock_timeout;
use crate::threads::worker::lock;

/// Longest wait of a read for the header. A disk that takes seconds for a sync holds it for two of
/// them.
const READ: Duration = Duration::from_secs(10);
/// Longest wait of an opening, and of a change by anything but the writer.
const CHANGE: Duration = Duration::from_secs(60);
/// Longest wait for redb's own lock once that of the process is held.
const ORPHANED: Duration = Duration::from_millis(500);
/// Number of looks at its holders during that wait.
const LOOKS: u32 = 8;

/// Bytes `0..320`: redb's header, and the lock on it.
const HEADER_BYTES: u64 = 320;
/// redb's lock for a write transaction.
const WRITER_BYTE: u64 = 1 << 62;

/// The lock that redb takes by waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Writer,
    Header,
    /// Held by nothing that this version knows; waited for all the same.
    Other,
}

impl Lock {
    pub(super) fn of(start: Bound<u64>, end: Bound<u64>) -> Lock {
        let start = match start {
            Bound::Included(start) => Some(start),
            Bound::Excluded(before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match end {
            Bound::Excluded(end) => Some(end),
            Bound::Included(last) => last.checked_add(1),
            Bound::Unbounded => None,
        };
        match (start, end) {
            (Some(0), Some(HEADER_BYTES)) => Lock::Header,
            (Some(WRITER_BYTE), Some(end)) if end == WRITER_BYTE + 1 => Lock::Writer,
            _ => Lock::Other,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Lock::Writer => "the lock for write transactions",
            Lock::Header => "the lock on the file's header",
            Lock::Other => "a lock of the storage engine",
        }
    }

    /// First and last byte, as the system lists them.
    fn range(self) -> (u64, u64) {
        match self {
            Lock::Writer => (WRITER_BYTE, WRITER_BYTE),
            Lock::Header => (0, HEADER_BYTES - 1),
            Lock::Other => (WRITER_BYTE, u64::MAX),
        }
    }

    fn file_name(self) -> Option<&'static str> {
        match self {
            Lock::Writer => Some("writer.lock"),
            Lock::Header => Some("header.lock"),
            Lock::Other => None,
        }
    }
}

/// Whether a lock was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockTaken {
    /// Also redb's own.
    Whole,
    /// Without redb's own, which an orphan keeps.
    WithoutOrphan,
    No,
}

/// The cause that goes through redb and is recognised on the other side.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TooLong(Box<Error>);

/// The error that names the lock, if `error` is about one.
pub(super) fn waited_too_long(error: &io::Error) -> Option<Error> {
    let cause = error.get_ref()?.downcast_ref::<TooLong>()?;
    Some((*cause.0).clone())
}

/// The locks that one handle of a file takes.
pub(super) struct Locks {
    path: PathBuf,
    file: Option<FileId>,
    /// The process that opened the file; a forked child is another one.
    opener: u32,
    is_open: AtomicBool,
    /// Write transactions wait until they have their turn.
    is_endless: AtomicBool,
    writer: HeldLock,
    header: HeldLock,
    /// The last wait for the header, if it was in vain.
    in_vain: Mutex<Option<VainWait>>,
}

/// A wait for the header that ended without it. Later callers do not wait for the same time each.
#[derive(Clone, Debug)]
struct VainWait {
    since: Instant,
    /// The processes that held the lock at its end; empty where the system does not show them.
    holders: Vec<u32>,
}

impl VainWait {
    /// Whether the lock is still with a process that this wait was for, as far as is known.
    fn is_about(&self, now: &[process::Holder]) -> bool {
        self.holders.is_empty() || now.iter().any(|holder| self.holders.contains(&holder.pid))
    }
}

/// One of the two locks, as far as this handle holds it.
#[derive(Default)]
struct HeldLock {
    process: Option<Used>,
    now: Mutex<Option<(Hold, LockTaken)>>,
}

impl HeldLock {
    fn set(&self, now: Option<(Hold, LockTaken)>) -> Option<(Hold, LockTaken)> {
        let mut held = lock(&self.now);
        std::mem::replace(&mut *held, now)
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Locks {
    /// For the file at `path`, of which other processes may have handles too.
    pub(super) fn shared(path: &Path, file: Option<FileId>, purpose: Purpose) -> io::Result<Locks> {
        let runs = path.parent().unwrap_or(path).join("runs");
        let held = |lock: Lock| {
            let process = match lock.file_name() {
                Some(name) => process::lock_file(&runs.join(name), purpose)?,
                None => None,
            };
            io::Result::Ok(HeldLock {
                process,
                now: Mutex::default(),
            })
        };
        Ok(Locks {
            path: path.to_owned(),
            file,
            opener: std::process::id(),
            is_open: AtomicBool::new(false),
            is_endless: AtomicBool::new(false),
            writer: held(Lock::Writer)?,
            header: held(Lock::Header)?,
            in_vain: Mutex::default(),
        })
    }

    /// For a file that is locked as a whole, when it is opened.
    pub(super) fn alone(path: &Path, file: Option<FileId>) -> Locks {
        Locks {
            path: path.to_owned(),
            file,
            opener: std::process::id(),
            is_open: AtomicBool::new(false),
            is_endless: AtomicBool::new(false),
            writer: HeldLock::default(),
            header: HeldLock::default(),
            in_vain: Mutex::default(),
        }
    }

    /// Opening is over: from here on what waits is a transaction.
    pub(super) fn opened(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// From here on write transactions wait until they have their turn: for the journal's writer,
    /// which is waited for with bounds of their own.
    pub(super) fn wait_endlessly(&self) {
        self.is_endless.store(true, Ordering::Release);
    }

    /// Whether this process is a forked child of the one that opened the file. Its locks are the
    /// parent's: the parent would lose a lock that is released here.
    pub(super) fn are_inherited(&self) -> bool {
        std::process::id() != self.opener
    }

    /// Bound of the wait; `None` is for ever.
    fn bound(&self, lock: Lock, hold: Hold) -> Option<Duration> {
        let bound = match hold {
            // A read that waits for a minute would look like a hang, and no reader holds up others.
            Hold::Shared if lock == Lock::Header => READ,
            Hold::Alone if self.is_endless.load(Ordering::Acquire) => return None,
            _ => CHANGE,
        };
        Some(lock_timeout(&self.path, bound))
    }

    fn held(&self, lock: Lock) -> Option<&HeldLock> {
        match lock {
            Lock::Writer => Some(&self.writer),
            Lock::Header => Some(&self.header),
            Lock::Other => None,
        }
    }

    /// Takes `lock`, waiting as long as this handle does; `engines` tries redb's own.
    pub(super) fn take(
        &self,
        lock: Lock,
        hold: Hold,
        engines: impl Fn() -> io::Result<bool>,
    ) -> io::Result<()> {
        let bound = self.bound(lock, hold);
        let mut since = Instant::now();
        let vain = self.in_vain().clone().filter(|_| lock == Lock::Header);
        // A stopped writer would cost each of a thousand queued reads ten seconds. Those that
        // follow a vain wait share its bound and fail at once, until one has had the lock.
        if let Some(vain) = vain {
            if self.take_within(lock, hold, vain.since, bound, &engines)? {
                return Ok(());
            }
            let holders = self.holders(lock);
            if vain.is_about(&holders) {
                return Err(self.too_long(lock, hold, vain.since.elapsed(), holders));
            }
            // Another process has the lock now, and gets the usual time.
            since = Instant::now();
        }
        if self.take_within(lock, hold, since, bound, &engines)? {
            return Ok(());
        }
        let holders = self.holders(lock);
        if lock == Lock::Header {
            let holders = holders.iter().map(|holder| holder.pid).collect();
            *self.in_vain() = Some(VainWait { since, holders });
        }
        Err(self.too_long(lock, hold, since.elapsed(), holders))
    }

    /// Takes `lock`, waiting for `bound` after `since`; for ever without a bound.
    fn take_within(
        &self,
        lock: Lock,
        hold: Hold,
        since: Instant,
        bound: Option<Duration>,
        engines: &dyn Fn() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let until = bound.and_then(|bound| since.checked_add(bound));
        let is_taken = self.take_until(lock, hold, until, engines)? != LockTaken::No;
        if is_taken && lock == Lock::Header {
            *self.in_vain() = None;
        }
        Ok(is_taken)
    }

    fn in_vain(&self) -> std::sync::MutexGuard<'_, Option<VainWait>> {
        lock(&self.in_vain)
    }

    /// Takes `lock` if it is free now.
    pub(super) fn try_take(
        &self,
        lock: Lock,
        hold: Hold,
        engines: impl Fn() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let taken = self.take_until(lock, hold, Some(Instant::now()), &engines)?;
        Ok(taken != LockTaken::No)
    }

    fn take_until(
        &self,
        lock: Lock,
        hold: Hold,
        until: Option<Instant>,
        engines: &dyn Fn() -> io::Result<bool>,
    ) -> io::Result<LockTaken> {
        let held = self.held(lock);
        // The order is the same in every process: first its own lock, then redb's. Two locks in one
        // order cannot deadlock.
        let process = held.and_then(|held| held.process.as_deref());
        // A living writer of this version never holds redb's lock without that of its process. So
        // the holder of redb's lock from here on is an orphan or another program, or for
        // microseconds a reader.
        if let Some(process) = process
            && !process.take(hold, until)?
        {
            return Ok(LockTaken::No);
        }
        let taken = self.take_engines(lock, process, until, engines);
        match (&taken, held, process) {
            (Ok(taken @ (LockTaken::Whole | LockTaken::WithoutOrphan)), Some(held), _) => {
                held.set(Some((hold, *taken)));
            }
            // Otherwise the process would keep a lock that no handle uses, and block all others.
            (_, _, Some(process)) => process.give_back(hold),
            _ => {}
        }
        taken
    }

    /// redb's own lock, when that of the process is held.
    fn take_engines(
        &self,
        lock: Lock,
        process: Option<&ProcessLock>,
        until: Option<Instant>,
        engines: &dyn Fn() -> io::Result<bool>,
    ) -> io::Result<LockTaken> {
        let began = Instant::now();
        let mut suspects = Suspects::default();
        loop {
            if engines()? {
                return Ok(LockTaken::Whole);
            }
            let now = Instant::now();
            if let Some(process) = process
                && suspects.is_time(now)
            {
                let holders = process::holders(self.file, lock.range());
                let is_orphans = suspects.look(now, holders.unwrap_or_default());
                // An orphan keeps its lock until it ends, which may be for days: once found, it is
                // not looked for eight times at each transaction.
                if is_orphans || (process.has_orphan() && suspects.may_be()) {
                    process.note_orphan();
                    return Ok(LockTaken::WithoutOrphan);
                }
            }
            // Examined after the try, so that a bound of zero still tries once.
            if until.is_some_and(|until| now >= until) {
                return Ok(LockTaken::No);
            }
            thread::sleep(pause(began));
        }
    }

    /// Gives `lock` back; `engines` gives back redb's own, if that was had.
    pub(super) fn give_back(
        &self,
        lock: Lock,
        engines: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(held) = self.held(lock) else {
            return engines();
        };
        let was = held.set(None);
        // redb's own first: the holder of the process's lock finds it free.
        let given = match was {
            // It was never had. Unlocking it would do nothing here; the orphan's lock is on its own
            // handle.
            Some((_, LockTaken::WithoutOrphan)) => Ok(()),
            _ => engines(),
        };
        if let (Some(process), Some((hold, _))) = (&held.process, was) {
            process.give_back(hold);
        }
        given
    }

    /// The processes that hold `lock`, as far as the system shows them.
    fn holders(&self, lock: Lock) -> Vec<process::Holder> {
        let mut holders = process::holders(self.file, lock.range()).unwrap_or_default();
        if let Some(process) = self.held(lock).and_then(|held| held.process.as_ref()) {
            let others = process::holders(process.file(), (0, u64::MAX));
            holders.extend(others.unwrap_or_default());
        }
        holders
    }

    fn too_long(
        &self,
        lock: Lock,
        hold: Hold,
        waited: Duration,
        holders: Vec<process::Holder>,
    ) -> io::Error {
        let is_open = self.is_open.load(Ordering::Acquire);
        let error = Error::Locked {
            path: self.path.clone(),
            operation: match (is_open, hold) {
                (false, _) => "opened",
                (true, Hold::Shared) => "read",
                (true, Hold::Alone) => "written",
            },
            lock: lock.words(),
            holder: process::named(holders),
            waited,
        };
        io::Error::new(io::ErrorKind::TimedOut, TooLong(Box::new(error)))
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        if !self.are_inherited() {
            for lock in [Lock::Writer, Lock::Header] {
                // redb's own went with the file.
                let _ = self.give_back(lock, || Ok(()));
            }
        }
    }
}

/// Those that were found to hold redb's lock while that of the process was had. A living writer
/// takes the lock of its process before redb's. A read-only user does not, but it holds the header
/// for microseconds only, and is not met at every look.
#[derive(Default)]
struct Suspects {
    looks: u32,
    looked: Option<Instant>,
    began: Option<Instant>,
    /// Found at every look.
    always: Option<Vec<u32>>,
    /// At the last look all of them ran: one that is stopped may be so amid something.
    run: bool,
}

impl Suspects {
    fn is_time(&self, now: Instant) -> bool {
        self.looked
            .is_none_or(|looked| now.duration_since(looked) >= ORPHANED / LOOKS)
    }

    /// Takes in one look; returns whether all holders of the lock are orphans.
    fn look(&mut self, now: Instant, holders: Vec<process::Holder>) -> bool {
        self.looked = Some(now);
        let began = *self.began.get_or_insert(now);
        self.looks = self.looks.saturating_add(1);
        self.run = holders.iter().all(process::Holder::runs);
        let pids: Vec<u32> = holders.into_iter().map(|holder| holder.pid).collect();
        let before = self.always.get_or_insert_with(|| pids.clone());
        // A holder that was absent at one look has given the lock back and is alive.
        before.retain(|pid| pids.contains(pid));
        let are_all = !pids.is_empty() && pids.iter().all(|pid| before.contains(pid));
        // A newcomer at the last look could be a reader that holds the header for a moment: then
        // not all holders were there always, and the wait goes on.
        are_all && self.may_be() && self.looks >= LOOKS && now.duration_since(began) >= ORPHANED
    }

    /// Whether nothing speaks against it.
    fn may_be(&self) -> bool {
        let me = std::process::id();
        let always = self.always.as_deref().unwrap_or_default();
        // An empty list means that the system shows no holders to this user: nothing is concluded
        // from it. This process itself can hold redb's lock through another handle.
        self.run && !always.is_empty() && !always.contains(&me)
    }
}
