//! Handles of the hot file. In shared mode each user opens one of its own; in exclusive mode only
//! one may be open, and all users of a process borrow it. Both are decided here alone.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::directory::Directory;
use super::kv::{Kv, ReadTransaction};
use crate::entry::error::{Error, Result};
use crate::options::Sharing;

/// Why there is no handle: after a failed write the file is closed and opened again.
pub(crate) const REOPENED: &str = "the file could not be opened again after a failed write";

/// A handle that several users share. It is closed between a failure and the reopening.
#[derive(Clone)]
pub(crate) struct FileHandle {
    kv: Arc<RwLock<Option<Kv>>>,
    path: PathBuf,
}

impl FileHandle {
    pub(crate) fn new(kv: Kv) -> Self {
        FileHandle {
            path: kv.path().to_owned(),
            kv: Arc::new(RwLock::new(Some(kv))),
        }
    }

    fn closed(path: PathBuf) -> Self {
        FileHandle {
            kv: Arc::default(),
            path,
        }
    }

    /// Runs `body` if the file is open.
    pub(crate) fn try_with<T>(&self, body: impl FnOnce(&Kv) -> T) -> Option<T> {
        let kv = self.kv.read().unwrap_or_else(PoisonError::into_inner);
        kv.as_ref().map(body)
    }

    pub(crate) fn with<T>(&self, body: impl FnOnce(&Kv) -> Result<T>) -> Result<T> {
        self.try_with(body).unwrap_or_else(|| Err(self.failed()))
    }

    /// Runs `body` on one snapshot.
    pub(crate) fn read<T>(
        &self,
        body: impl FnOnce(&ReadTransaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with(|kv| kv.read(body))
    }

    /// Runs `body` while no other user of this handle reads or writes.
    fn with_alone<T>(&self, body: impl FnOnce(&mut Kv) -> Result<T>) -> Result<T> {
        let mut kv = self.kv.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *kv {
            Some(kv) => body(kv),
            None => Err(self.failed()),
        }
    }

    /// Closes the file and opens it again. If `open` fails, it stays closed.
    pub(crate) fn reopen<T>(&self, open: impl FnOnce() -> Result<(Kv, T)>) -> Result<T> {
        let mut kv = self.kv.write().unwrap_or_else(PoisonError::into_inner);
        // redb's own lock is released before the same file is opened again.
        *kv = None;
        let (opened, value) = open()?;
        *kv = Some(opened);
        Ok(value)
    }

    pub(crate) fn downgrade(&self) -> WeakHandle {
        WeakHandle {
            kv: Arc::downgrade(&self.kv),
            path: self.path.clone(),
        }
    }

    pub(crate) fn failed(&self) -> Error {
        Error::Failed {
            path: self.path.clone(),
            reason: REOPENED.to_owned(),
        }
    }
}

/// A handle that does not keep the file open.
pub(crate) struct WeakHandle {
    kv: Weak<RwLock<Option<Kv>>>,
    path: PathBuf,
}

impl WeakHandle {
    pub(crate) fn upgrade(&self) -> Option<FileHandle> {
        Some(FileHandle {
            kv: self.kv.upgrade()?,
            path: self.path.clone(),
        })
    }
}

/// A handle for writing: one of its own, which the first use opens, or the only one that there may
/// be.
pub(crate) struct WriteHandle {
    handle: FileHandle,
    /// Memory for cached pages of a handle of its own.
    own: Option<usize>,
}

impl WriteHandle {
    /// Writes into the journal in `directory`, whose readers in this process use `only`.
    pub(crate) fn new(
        directory: Option<&Directory>,
        sharing: Sharing,
        only: &FileHandle,
        cache_bytes: usize,
    ) -> Self {
        match directory {
            Some(directory) if sharing == Sharing::Shared => WriteHandle {
                handle: FileHandle::closed(directory.hot_file()),
                own: Some(cache_bytes),
            },
            _ => WriteHandle {
                handle: only.clone(),
                own: None,
            },
        }
    }

    /// Opens a handle of its own, if it is to have one and has none.
    pub(crate) fn open(&self) -> Result<()> {
        let Some(cache_bytes) = self.own else {
            return Ok(());
        };
        if self.handle.try_with(|_| ()).is_some() {
            return Ok(());
        }
        let kv = &self.handle.kv;
        let mut kv = kv.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have opened it between the look and the lock.
        if kv.is_none() {
            *kv = Some(Kv::open(&self.handle.path, Sharing::Shared, cache_bytes)?);
        }
        Ok(())
    }

    /// Runs `body` if the file is open.
    pub(crate) fn try_with<T>(&self, body: impl FnOnce(&Kv) -> T) -> Option<T> {
        self.handle.try_with(body)
    }

    pub(crate) fn failed(&self) -> Error {
        self.handle.failed()
    }

    pub(crate) fn with<T>(&self, body: impl FnOnce(&Kv) -> Result<T>) -> Result<T> {
        self.open()?;
        self.handle.with(body)
    }

    /// Runs `body` while no other user of the handle reads or writes.
    pub(crate) fn with_alone<T>(&self, body: impl FnOnce(&mut Kv) -> Result<T>) -> Result<T> {
        self.open()?;
        self.handle.with_alone(body)
    }

    /// Closes a handle of its own: after a failed write the engine refuses to write through it. The
    /// next use opens another. The only handle is the journal's, whose writer opens it again.
    pub(crate) fn let_go(&self) {
        if self.own.is_some() {
            let kv = &self.handle.kv;
            // Waits for the handle's readers, whose snapshots are short.
            *kv.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_closed_handle_is_an_error_until_it_is_opened_again() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("hot");
        let handle = FileHandle::new(Kv::create(&path, 1 << 20).unwrap());
        let weak = handle.downgrade();
        let borrowed = WriteHandle::new(None, Sharing::Exclusive, &handle, 0);
        assert!(handle.reopen::<()>(|| Err(Error::NoDirectory)).is_err());
        assert!(matches!(
            borrowed.with(|_| Ok(())),
            Err(Error::Failed { .. })
        ));
        let open = || Kv::open(&path, Sharing::Exclusive, 1 << 20);
        handle.reopen(|| Ok((open()?, ()))).unwrap();
        // The only handle is not the borrower's to close.
        borrowed.let_go();
        borrowed.with(|_| Ok(())).unwrap();
        drop((handle, borrowed));
        assert!(weak.upgrade().is_none(), "the file is closed");
        assert!(open().is_ok());
    }
}
