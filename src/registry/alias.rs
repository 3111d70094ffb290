//! Movable names, pins and tags.

use super::checkpoint::Checkpoint;
use super::save::check_size;
use super::tables::ChangeFailure;
use super::tables::look::{RegistryChange, RegistryView};
use super::{Core, Registry};
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::entry::name;
use crate::entry::timestamp::Timestamp;

/// The alias of the checkpoint that is in use.
pub(super) const ACTIVE: &str = "active";

/// Where an alias pointed from a time on; see [`Registry::alias_history`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct AliasChange {
    /// From when on.
    pub since: Timestamp,
    /// The id that it pointed at; `None` for nowhere.
    pub target: Option<String>,
}

impl Registry {
    /// Makes a checkpoint the active one of its model: the alias `active`. One redb commit; every
    /// process that watches it learns of it within 250 ms.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`], [`Error::Deleted`], and [errors of a
    /// commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.activate(saved.id())?;
    /// let active = registry.active("dqn_agent")?;
    /// assert_eq!(active.as_ref().map(|active| active.id()), Some(saved.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn activate(&self, id: &str) -> Result<()> {
        self.set_alias(ACTIVE, id)
    }

    /// A model's active checkpoint.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert!(registry.active("dqn_agent")?.is_none());
    /// registry.activate(saved.id())?;
    /// assert!(registry.active("dqn_agent")?.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn active(&self, model: &str) -> Result<Option<Checkpoint>> {
        self.alias(model, ACTIVE)
    }

    /// Points an alias of the checkpoint's model at it, from now on. A checkpoint with an alias is
    /// not deleted. Pointing it where it points already changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::UnknownCheckpoint`], [`Error::Deleted`], and [errors of a
    /// commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let a = registry.checkpoint("dqn_agent").save(b"a")?;
    /// let b = registry.checkpoint("dqn_agent").save(b"b")?;
    /// registry.set_alias("champion", a.id())?;
    /// registry.set_alias("champion", b.id())?;
    /// let back = registry.rollback("dqn_agent", "champion")?;
    /// assert_eq!(back.id(), a.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn set_alias(&self, alias: &str, id: &str) -> Result<()> {
        name::check_word("alias", alias)?;
        let core = self.core();
        let model = core.change(|change| {
            let Some(row) = change.checkpoint(id)? else {
                return Err(change.why_unknown(id)?);
            };
            let now = change.alias(&row.model, alias)?;
            // Pointing where it points already adds no step: a rollback would go back to the same
            // place.
            if now.as_ref().is_none_or(|now| now.target != id) {
                let back = now.map(|now| now.since);
                change.point(&row.model, alias, Some(id), core.now(), back)?;
            }
            Ok(row.model)
        })?;
        core.pointed(&model, alias, id);
        Ok(())
    }

    /// Removes an alias; its history stays. Returns whether there was one.
    ///
    /// # Errors
    /// [Errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// assert!(registry.remove_alias("dqn_agent", "champion")?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn remove_alias(&self, model: &str, alias: &str) -> Result<bool> {
        let core = self.core();
        core.change(|change| {
            let now = change.alias(model, alias)?;
            if let Some(now) = &now {
                change.point(model, alias, None, core.now(), Some(now.since))?;
            }
            Ok(now.is_some())
        })
    }

    /// The checkpoint that an alias points at.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// let champion = registry.alias("dqn_agent", "champion")?.expect("it was set");
    /// assert_eq!(champion.id(), saved.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn alias(&self, model: &str, alias: &str) -> Result<Option<Checkpoint>> {
        let core = self.core();
        core.store.read(|view| core.pointed_at(view, model, alias))
    }

    /// A model's aliases and the ids that they point at.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// let aliases = registry.aliases("dqn_agent")?;
    /// assert_eq!(aliases, [("champion".to_owned(), saved.id().to_owned())]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn aliases(&self, model: &str) -> Result<Vec<(String, String)>> {
        let aliases = self.core().store.read(|view| view.aliases(model))?;
        Ok(aliases
            .into_iter()
            .map(|(name, row)| (name, row.target))
            .collect())
    }

    /// The id that an alias pointed at, at a time; it may have been deleted since. `None` if it
    /// pointed nowhere.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use annals::Timestamp;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// let id = registry.alias_at("dqn_agent", "champion", Timestamp::now())?;
    /// assert_eq!(id.as_deref(), Some(saved.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn alias_at(
        &self,
        model: &str,
        alias: &str,
        time: impl Into<Timestamp>,
    ) -> Result<Option<String>> {
        let time = time.into();
        let step = self
            .core()
            .store
            .read(|view| view.alias_at(model, alias, time))?;
        Ok(step.and_then(|step| step.target))
    }

    /// Where an alias has pointed, oldest first.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// assert_eq!(registry.alias_history("dqn_agent", "champion")?.len(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn alias_history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
        let steps = self
            .core()
            .store
            .read(|view| view.alias_steps(model, alias))?;
        let steps = steps.into_iter();
        Ok(steps
            .map(|(since, step)| AliasChange {
                since,
                target: step.target,
            })
            .collect())
    }

    /// Points an alias at its earlier checkpoint, passing over deleted ones; each further call goes
    /// further back. Returns the checkpoint that it points at now.
    ///
    /// # Errors
    /// [`Error::NothingBefore`], [`Error::UnknownAlias`] if it never existed, and [errors of a
    /// commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// let later = registry.checkpoint("dqn_agent").save(b"later")?;
    /// registry.set_alias("champion", later.id())?;
    /// assert_eq!(registry.rollback("dqn_agent", "champion")?.id(), saved.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn rollback(&self, model: &str, alias: &str) -> Result<Checkpoint> {
        let core = self.core();
        let found = core.change(|change| {
            let Some(last) = change.last_step(model, alias)? else {
                let known = change.aliases(model)?;
                return Err(Error::UnknownAlias {
                    model: name::shown(model),
                    alias: name::shown(alias),
                    known: known.into_iter().map(|(name, _)| name).collect(),
                });
            };
            roll_back(change, model, alias, last, core)
        })?;
        core.pointed(model, alias, found.id());
        Ok(found)
    }

    /// Protects a checkpoint from deletion. One redb commit.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`], [`Error::Deleted`], and [errors of a
    /// commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.pin(saved.id())?;
    /// assert!(registry.delete(saved.id(), "old").is_err()); // until it is unpinned
    /// registry.unpin(saved.id())?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn pin(&self, id: &str) -> Result<()> {
        self.core()
            .change(|change| change.edit(id, |row| row.pinned = true).map(drop))
    }

    /// Undoes [`pin`](Self::pin).
    ///
    /// # Errors
    /// Those of [`pin`](Self::pin).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// registry.pin(saved.id())?;
    /// registry.unpin(saved.id())?;
    /// assert!(!registry.find(saved.id())?.is_pinned());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn unpin(&self, id: &str) -> Result<()> {
        self.core()
            .change(|change| change.edit(id, |row| row.pinned = false).map(drop))
    }

    /// Adds a tag to a checkpoint.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidOption`] if the checkpoint's tags, metrics and
    /// metadata take more than 4 MiB with it, and those of [`pin`](Self::pin).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.tag(saved.id(), "nightly")?;
    /// assert_eq!(registry.list("dqn_agent").tag("nightly").get()?.len(), 1);
    /// registry.untag(saved.id(), "nightly")?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn tag(&self, id: &str, tag: &str) -> Result<()> {
        name::check_word("tag", tag)?;
        let add = |tags: &mut Vec<String>| {
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        };
        self.core().change(|change| {
            let edited = change.edit(id, |row| add(&mut row.tags))?;
            check_size(&edited)
        })
    }

    /// Takes a tag off a checkpoint.
    ///
    /// # Errors
    /// Those of [`pin`](Self::pin).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").tag("nightly").save(b"weights")?;
    /// registry.untag(saved.id(), "nightly")?;
    /// assert!(registry.find(saved.id())?.tags().is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn untag(&self, id: &str, tag: &str) -> Result<()> {
        let edit =
            |row: &mut super::tables::rows::CheckpointRow| row.tags.retain(|known| known != tag);
        self.core().change(|change| change.edit(id, edit).map(drop))
    }
}

fn roll_back(
    change: &mut RegistryChange<'_, '_>,
    model: &str,
    alias: &str,
    last: Timestamp,
    core: &Core,
) -> Result<Checkpoint> {
    let now = change.alias(model, alias)?.map(|now| now.target);
    let mut step = change.alias_step(model, alias, last)?;
    let mut at = last;
    // Each entry knows the one that it replaced, which is older: this ends. A file with false facts
    // must not keep this transaction open for ever.
    while let Some(time) = step.and_then(|step| step.back).filter(|time| *time < at) {
        at = time;
        step = change.alias_step(model, alias, time)?;
        let Some(target) = step.as_ref().and_then(|step| step.target.clone()) else {
            continue;
        };
        if now.as_deref() == Some(&target) {
            continue;
        }
        if let Some(row) = change.checkpoint(&target)? {
            let back = step.as_ref().and_then(|step| step.back);
            change.point(model, alias, Some(&target), core.now(), back)?;
            return Ok(Checkpoint::new(&*target, row, &core.root));
        }
    }
    Err(Error::NothingBefore {
        model: name::shown(model),
        alias: name::shown(alias),
    })
}

impl Core {
    pub(super) fn change<T>(
        &self,
        body: impl FnOnce(&mut RegistryChange<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let changed = self.store.write(body).map_err(ChangeFailure::into_error);
        self.watches.notify();
        changed
    }

    pub(super) fn pointed_at(
        &self,
        view: &mut impl RegistryView,
        model: &str,
        alias: &str,
    ) -> Result<Option<Checkpoint>> {
        let Some(row) = view.alias(model, alias)? else {
            return Ok(None);
        };
        let found = view.checkpoint(&row.target)?;
        Ok(found.map(|found| Checkpoint::new(&*row.target, found, &self.root)))
    }

    fn pointed(&self, model: &str, alias: &str, id: &str) {
        let detail = if alias == ACTIVE { "" } else { alias };
        self.emit(CheckpointAction::Activated, model, id, detail);
    }
}
