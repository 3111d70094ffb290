//! Finding checkpoints other than the best.

use super::Registry;
use super::checkpoint::Checkpoint;
use super::rank::known;
use super::tables::look::RegistryView;
use crate::entry::error::{Error, Result};

/// Bound of a lineage.
const LONGEST_LINE: usize = 100_000;

impl Registry {
    /// The checkpoint with this id; `None` if there is none, or none any more. One snapshot.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert!(registry.get(saved.id())?.is_some());
    /// assert!(registry.get("unknown")?.is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn get(&self, id: &str) -> Result<Option<Checkpoint>> {
        let core = self.core();
        let row = core.store.read(|view| view.checkpoint(id))?;
        Ok(row.map(|row| Checkpoint::new(id, row, &core.root)))
    }

    /// The checkpoint with this id, or why there is none.
    ///
    /// # Errors
    /// [`Error::Deleted`] with time and reason, [`Error::UnknownCheckpoint`], and [errors of
    /// reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(registry.find(saved.id())?.metric("loss"), Some(0.1));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn find(&self, id: &str) -> Result<Checkpoint> {
        let core = self.core();
        core.store.read(|view| match view.checkpoint(id)? {
            Some(row) => Ok(Checkpoint::new(id, row, &core.root)),
            None => Err(super::tables::change::unknown(id, view.deleted(id)?)),
        })
    }

    /// A model's newest checkpoint: the one that was saved last, in spite of any jump of the clock.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let latest = registry.latest("dqn_agent")?;
    /// assert_eq!(latest.as_ref().map(|latest| latest.id()), Some(saved.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn latest(&self, model: &str) -> Result<Option<Checkpoint>> {
        let core = self.core();
        let newest = core.store.read(|view| {
            let Some(id) = view.newest(model)? else {
                return Ok(None);
            };
            let row = view.checkpoint(&id)?;
            Ok(row.map(|row| Checkpoint::new(&*id, row, &core.root)))
        })?;
        core.noted(model, newest)
    }

    /// The models that have checkpoints or a monitor, by name.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(registry.models()?, ["dqn_agent"]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn models(&self) -> Result<Vec<String>> {
        let models = self.core().store.read(|view| view.models())?;
        Ok(models.into_iter().map(|(name, _)| name).collect())
    }

    /// The metrics that a model's checkpoints have, in the order in which they appeared.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(registry.metrics("dqn_agent")?, ["loss"]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn metrics(&self, model: &str) -> Result<Vec<String>> {
        let row = self.core().store.read(|view| view.model(model))?;
        Ok(row.map_or_else(Vec::new, |row| known(&row)))
    }

    /// How many checkpoints a model has. One row is read, however many there are.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(registry.count("dqn_agent")?, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn count(&self, model: &str) -> Result<u64> {
        let row = self.core().store.read(|view| view.model(model))?;
        Ok(row.map_or(0, |row| row.checkpoints))
    }

    /// Bytes that the weights of a model's checkpoints take. One row is read.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(registry.bytes("dqn_agent")?, 7);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn bytes(&self, model: &str) -> Result<u64> {
        let row = self.core().store.read(|view| view.model(model))?;
        Ok(row.map_or(0, |row| row.bytes))
    }

    /// A checkpoint and its origins: itself, its parent, its parent's parent, as far as they are
    /// known. Ends at a parent that was deleted, and at one that comes again.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`] or [`Error::Deleted`] if `id` itself is not there, and [errors
    /// of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let tuned = registry.checkpoint("dqn_agent").parent(saved.id()).save(b"tuned")?;
    /// let line = registry.lineage(tuned.id())?;
    /// assert_eq!(line.iter().map(|one| one.id()).collect::<Vec<_>>(), [tuned.id(), saved.id()]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn lineage(&self, id: &str) -> Result<Vec<Checkpoint>> {
        let mut line = vec![self.find(id)?];
        let mut seen = std::collections::HashSet::from([id.to_owned()]);
        while line.len() < LONGEST_LINE {
            let Some(parent) = line.last().and_then(Checkpoint::parent) else {
                break;
            };
            if !seen.insert(parent.to_owned()) {
                break;
            }
            match self.find(parent) {
                Ok(parent) => line.push(parent),
                Err(Error::Deleted { .. } | Error::UnknownCheckpoint { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(line)
    }
}
