//! The journal for work beside the writer: sealing, cursors, retention.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::kv::{Kv, WriteFailure, WriteTransaction};
use super::source::Source;
use crate::entry::error::{Error, Result};
use crate::options::Sharing;

/// Memory for cached pages while something is written.
const CACHE_BYTES: usize = 4 << 20;
/// Between two attempts to compact: about as long as a transaction takes.
const PAUSE: Duration = Duration::from_millis(20);

/// A journal's directory, open for reading; the hot file is opened for writing for each change, so
/// that a change that failed leaves nothing behind. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MaintenanceHandle {
    source: Arc<Source>,
    directory: Directory,
}

impl MaintenanceHandle {
    /// Works beside the readers of `source`; `None` for a journal in memory.
    pub(crate) fn of(source: Arc<Source>) -> Option<Self> {
        let directory = source.directory()?.clone();
        Some(MaintenanceHandle { source, directory })
    }

    /// Opens the journal in `directory` beside its other users.
    pub(crate) fn open(directory: Directory, sharing: Sharing, cache_bytes: usize) -> Result<Self> {
        let source = Source::open_for_maintenance(directory.clone(), sharing, cache_bytes)?;
        Ok(MaintenanceHandle {
            source: Arc::new(source),
            directory,
        })
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The journal's directory.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Compacts the stored pages and gives the rest of the hot file back. The storage engine
    /// refuses while any transaction is open. Ours are short, so it is asked again for as long as
    /// `timeout` lasts.
    pub(crate) fn compact(&self, timeout: Duration) -> Result<()> {
        let began = Instant::now();
        self.source.writer(CACHE_BYTES).with_alone(|kv| {
            loop {
                match kv.compact() {
                    Err(Error::InUse { .. }) if began.elapsed() < timeout => thread::sleep(PAUSE),
                    Err(Error::InUse { path, reason }) => {
                        let reason = format!(
                            "{reason} It was tried for {timeout:?}: compact when the backup or \
                             statistic that is under way is over"
                        );
                        return Err(Error::InUse { path, reason });
                    }
                    compacted => return compacted,
                }
            }
        })
    }

    /// Bytes of the hot file.
    pub(crate) fn hot_bytes(&self) -> u64 {
        std::fs::metadata(self.directory.hot_file()).map_or(0, |found| found.len())
    }

    /// Lends a handle for writing.
    pub(crate) fn with_kv<T>(&self, body: impl FnOnce(&Kv) -> Result<T>) -> Result<T> {
        self.source.writer(CACHE_BYTES).with(body)
    }

    /// Runs `body` in one durable transaction. Waits for other transactions for a minute.
    pub(crate) fn write<T>(
        &self,
        body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_kv(|kv| kv.write(body).map_err(WriteFailure::into_error))
    }
}
