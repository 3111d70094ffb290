//! The journal that the tables read, and how far a statement sees.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use annals::{Reader, Registry};

/// A journal, with the end of what the running statement sees.
pub(crate) struct Place {
    dir: PathBuf,
    pub(crate) reader: Reader,
    /// Entries from this sequence on are left out.
    end: AtomicU64,
    /// The journal's error that ended the statement: SQLite hands on its text alone.
    failure: Mutex<Option<annals::Error>>,
}

impl Place {
    pub(crate) fn open(dir: &Path) -> annals::Result<Place> {
        Ok(Place {
            dir: dir.to_owned(),
            reader: Reader::open(dir)?,
            end: AtomicU64::new(0),
            failure: Mutex::default(),
        })
    }

    /// A new statement sees what is committed now.
    pub(crate) fn begin(&self) -> annals::Result<()> {
        self.failure();
        let end = self.reader.end()?.next_sequence();
        self.end.store(end, Ordering::Relaxed);
        Ok(())
    }

    /// What was read; an error is noted, and its text handed on.
    pub(crate) fn noted<T>(&self, read: annals::Result<T>) -> Result<T, String> {
        read.map_err(|error| {
            let text = error.to_string();
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            text
        })
    }

    /// The error that was noted last, once.
    pub(crate) fn failure(&self) -> Option<annals::Error> {
        let mut known = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        known.take()
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// The checkpoints; opened when a statement asks for them, because most do not.
    pub(crate) fn registry(&self) -> annals::Result<Registry> {
        Registry::open(&self.dir)
    }
}
