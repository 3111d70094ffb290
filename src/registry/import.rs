//! Many files that exist already, registered at once.

use std::fs;
use std::path::PathBuf;

use super::Registry;
use super::save::NewCheckpoint;
use crate::error::{Error, Result};
use crate::store::{ChangeFailure, CheckpointRow, Origin};

/// Checkpoints that one transaction brings: it has to stay short.
pub(super) const SLICE: usize = 500;

/// A file that is to be registered where it lies, under an id of the caller's; see
/// [`Registry::import`].
#[must_use = "nothing is registered until it is given to import"]
pub struct Import {
    pub(super) id: String,
    pub(super) row: CheckpointRow,
}

impl NewCheckpoint<'_> {
    /// Makes this an entry for [`Registry::import`]: the file at `path`, registered as `id`.
    ///
    /// # Errors
    /// [`Error::InvalidName`], also for an id that is empty, longer than 255 bytes or contains
    /// control characters; [`Error::Io`] if `path` is no file.
    pub fn import_as(self, id: impl Into<String>, path: impl Into<PathBuf>) -> Result<Import> {
        let (id, path) = (id.into(), path.into());
        crate::store::names::check_word("checkpoint id", &id)?;
        let found = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?;
        if !found.is_file() {
            let cause = std::io::Error::other("it is no regular file");
            return Err(Error::io("look at", path, cause));
        }
        let mut row = self.into_row(Origin::Registered)?;
        let whole = std::path::absolute(&path).map_err(|e| Error::io("look at", &path, e))?;
        row.file = whole.into_os_string().into_string().map_err(|_| {
            let cause = std::io::Error::other("its path is no UTF-8");
            Error::io("register", &path, cause)
        })?;
        row.bytes = found.len();
        Ok(Import { id, row })
    }
}

impl Registry {
    /// Registers many files at once, a few hundred in each redb commit, without reading them: each
    /// gets its digest when it is first loaded. No sidecars are written. Ids that are known already
    /// are left as they are. Returns how many were new.
    ///
    /// # Errors
    /// Those of a commit; what earlier commits brought stays.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let old = dir.path().join("old.pt");
    /// # std::fs::write(&old, b"weights").unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let entry = registry.checkpoint("dqn_agent").metric("loss", 0.1).import_as("old", &old)?;
    /// assert_eq!(registry.import([entry])?, 1);
    /// assert_eq!(registry.load("old")?.into_bytes()?, b"weights");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn import(&self, entries: impl IntoIterator<Item = Import>) -> Result<usize> {
        let mut entries = entries.into_iter();
        let mut new = 0;
        loop {
            let mut slice: Vec<Import> = entries.by_ref().take(SLICE).collect();
            if slice.is_empty() {
                return Ok(new);
            }
            new += self.insert(&mut slice)?.len();
        }
    }

    /// Inserts a slice in one transaction and returns the ids that were new.
    pub(super) fn insert(&self, slice: &mut [Import]) -> Result<Vec<String>> {
        let core = self.core();
        let now = core.now();
        let inserted = core.store.write(|change| {
            let mut inserted = Vec::new();
            for Import { id, row } in slice.iter_mut() {
                row.saved = now;
                if change.insert(id, row, false)? {
                    inserted.push(id.clone());
                }
            }
            Ok(inserted)
        });
        core.watches.nudge();
        let inserted = inserted.map_err(ChangeFailure::into_error)?;
        if core.journal.is_some() {
            let models: std::collections::BTreeSet<&str> =
                slice.iter().map(|entry| &*entry.row.model).collect();
            models.into_iter().for_each(|model| core.say_some(model));
        }
        Ok(inserted)
    }
}
