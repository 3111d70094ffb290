//! Which operation failed first: redb reports an error, not where it came from.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::hold::Hold;
use super::locks::{Lock, Locks};
use crate::fs::failpoint::{IoCall, guarded};
use crate::threads::worker::lock;

/// The first operation that failed in a write transaction. redb reports an error and not its
/// origin. After a failed write nothing is lost; after a failed sync the fate is unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultLog(Arc<Mutex<Option<Fault>>>);

#[derive(Clone, Debug)]
pub(super) struct Fault {
    operation: Operation,
    kind: io::ErrorKind,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    Resize,
    Sync,
}

impl Fault {
    pub(super) fn is_out_of_room(&self) -> bool {
        matches!(self.operation, Operation::Write | Operation::Resize)
            && matches!(
                self.kind,
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            )
    }
}

impl FaultLog {
    fn note<T>(&self, operation: Operation, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let mut first = lock(&self.0);
            first.get_or_insert_with(|| Fault {
                operation,
                kind: error.kind(),
                reason: error.to_string(),
            });
        }
        result
    }

    /// The first fault since the last call or clearing.
    pub(super) fn take(&self) -> Option<Fault> {
        lock(&self.0).take()
    }

    pub(super) fn clear(&self) {
        *lock(&self.0) = None;
    }
}

/// redb's own file backend, with its failures written down.
#[derive(Debug)]
pub(super) struct FaultRecorder {
    file: FileBackend,
    path: PathBuf,
    faults: FaultLog,
    locks: Arc<Locks>,
    /// Whether reads behind the end give zeros.
    padded: bool,
}

impl FaultRecorder {
    pub(super) fn new(file: FileBackend, path: &Path, faults: FaultLog, locks: Arc<Locks>) -> Self {
        FaultRecorder {
            file,
            path: path.to_owned(),
            faults,
            locks,
            padded: false,
        }
    }

    /// The same, with zeros behind the end of the file. After one failed read the engine refuses
    /// all others, so nothing else of a file that was cut off could be read.
    pub(super) fn padded(self) -> Self {
        FaultRecorder {
            padded: true,
            ..self
        }
    }

    fn read_padded(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let length = self.file.len()?;
        if out.len() as u64 > length {
            // No page is as large. The engine's buffer is zero, and is not to take memory.
            return Ok(());
        }
        let there = length.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        let (from_file, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        match from_file {
            [] => Ok(()),
            _ => self.file.read(offset, from_file),
        }
    }

    /// A forked child must change nothing: file and locks are its parent's.
    fn refuse_forked(&self) -> io::Result<()> {
        if self.locks.are_inherited() {
            return Err(io::Error::other(
                "the file was opened before this process was forked: open it anew",
            ));
        }
        Ok(())
    }

    fn call<T>(
        &self,
        operation: Operation,
        call: IoCall<'_>,
        go: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.faults.note(operation, guarded(&self.path, call, go))
    }
}

impl StorageBackend for FaultRecorder {
    fn len(&self) -> io::Result<u64> {
        self.call(Operation::Read, IoCall::Length, || self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.call(Operation::Read, IoCall::Read, || {
            if self.padded {
                self.read_padded(offset, out)
            } else {
                self.file.read(offset, out)
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.refuse_forked()?;
        self.call(Operation::Resize, IoCall::Resize(len), || {
            self.file.set_len(len)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(Operation::Sync, IoCall::Sync, || self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.refuse_forked()?;
        self.call(Operation::Write, IoCall::Write { offset, data }, || {
            self.file.write(offset, data)
        })
    }

    fn close(&self) -> io::Result<()> {
        if self.locks.are_inherited() {
            // A lock that is released here would be lost to the parent.
            return Ok(());
        }
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if self.locks.are_inherited() {
            return Ok(false);
        }
        match Lock::of(start, end) {
            Lock::Other => self.file.try_lock_range(start, end),
            lock => {
                let engines = || engine(self.file.try_lock_range(start, end));
                Ok(self.locks.try_take(lock, Hold::Alone, engines)?)
            }
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.refuse_forked()?;
        match Lock::of(start, end) {
            Lock::Other => self.file.try_lock_shared_range(start, end),
            lock => {
                let engines = || engine(self.file.try_lock_shared_range(start, end));
                Ok(self.locks.try_take(lock, Hold::Shared, engines)?)
            }
        }
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.refuse_forked()?;
        let engines = || engine(self.file.try_lock_range(start, end));
        Ok(self
            .locks
            .take(Lock::of(start, end), Hold::Alone, engines)?)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.refuse_forked()?;
        let engines = || engine(self.file.try_lock_shared_range(start, end));
        let lock = Lock::of(start, end);
        Ok(self.locks.take(lock, Hold::Shared, engines)?)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        if self.locks.are_inherited() {
            return Ok(());
        }
        let engines = || Ok(self.file.unlock_range(start, end)?);
        Ok(self.locks.give_back(Lock::of(start, end), engines)?)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

fn engine<T>(result: Result<T, BackendError>) -> io::Result<T> {
    Ok(result?)
}
