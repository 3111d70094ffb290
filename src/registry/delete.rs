//! Deletion: the registry first, then the files, and only those that the registry wrote.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::tables::look::RegistryView;
use super::tables::rows::{CheckpointRow, DeletedRow, Origin};
use super::tables::{ChangeFailure, names};
use super::{Core, Registry, files};
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::entry::name;
use crate::fs::disk;
use crate::fs::disk::Below;

/// Bytes that a reason may have: the note of a deletion is kept without end.
const LONGEST_WHY: usize = 64 << 10;

/// The protections of a checkpoint against deletion on request.
pub(super) fn held_by(
    view: &mut impl RegistryView,
    id: &str,
    row: &CheckpointRow,
) -> Result<Option<String>> {
    if row.pinned {
        return Ok(Some("pinned".to_owned()));
    }
    let aliases = view.aliases(&row.model)?;
    let alias = aliases.into_iter().find(|(_, alias)| alias.target == id);
    if let Some((name, _)) = alias {
        return Ok(Some(format!("alias {name:?}")));
    }
    // A model without checkpoints has nothing to fall back to. Deleting the last one is most often
    // a mistake.
    let count = view.model(&row.model)?.map_or(0, |model| model.checkpoints);
    Ok((count <= 1).then(|| "the last checkpoint of its model".to_owned()))
}

/// The protections of a checkpoint against deletion by a policy: the same, and those that a model
/// would continue with.
pub(super) fn kept_by(
    view: &mut impl RegistryView,
    id: &str,
    row: &CheckpointRow,
) -> Result<Option<String>> {
    if let Some(by) = held_by(view, id, row)? {
        return Ok(Some(by));
    }
    if view.newest(&row.model)?.as_deref() == Some(id) {
        return Ok(Some("the newest of its model".to_owned()));
    }
    if let Some((metric, mode)) = view.model(&row.model)?.and_then(|model| model.monitor) {
        let best = view.ranked(&row.model, &metric, mode, 1)?;
        if best.first().is_some_and(|(best, _)| best == id) {
            return Ok(Some(format!("the best of its model by {metric} ({mode})")));
        }
    }
    Ok(None)
}

/// The files that go with a checkpoint: those that the registry wrote.
pub(super) fn files_of(id: &str, row: &CheckpointRow) -> Vec<String> {
    let stem = names::stem(&row.model, id);
    let sidecar = format!("{}/{stem}{}", names::spelling(&row.model), names::SIDECAR);
    match row.origin {
        // Only weights of this checkpoint: a row may name another one's.
        Origin::Saved if is_own(&row.file, &sidecar) => vec![row.file.clone(), sidecar],
        Origin::Saved => vec![sidecar],
        Origin::Registered => vec![sidecar],
        Origin::Found => Vec::new(),
    }
}

/// Whether the sidecar has weights of its name beside it.
fn is_own(file: &str, sidecar: &str) -> bool {
    let stem = sidecar.strip_suffix(names::SIDECAR).unwrap_or(sidecar);
    let extension = file
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('.'));
    extension.is_some_and(|extension| names::check_extension(extension).is_ok())
}

/// Removes files of deleted checkpoints, and writes down that they are gone. Files that cannot be
/// removed now stay on the list.
pub(super) fn remove_files(core: &Core, leaving: &[(String, Vec<String>)]) -> Result<Vec<PathBuf>> {
    core.check_may_write()?;
    if leaving.is_empty() {
        return Ok(Vec::new());
    }
    let mut removed = Vec::new();
    let mut folders = BTreeSet::new();
    let mut gone = Vec::new();
    for (id, names) in leaving {
        let mut all = true;
        for name in names {
            core.step("remove file");
            let above = core.root.join(names::FOLDER);
            let path = above.join(name);
            // A path that leads elsewhere must not be removed, and leaves the list.
            let gone = match Below::new(name).map(|below| below.remove(&above)) {
                // The list is read from a file: it may name anything.
                Err(_) => Ok(false),
                Ok(Err(error)) if disk::is_no_regular_file(&error) => Ok(false),
                Ok(gone) => gone,
            };
            all &= gone.is_ok();
            if gone.is_ok_and(|was_there| was_there) {
                folders.extend(path.parent().map(PathBuf::from));
                removed.push(path);
            }
        }
        if all {
            gone.push(id);
        }
    }
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        // Before the list is cleared: names that come back after a power cut have to be on it
        // still.
        files::sync_folder(folder)?;
    }
    core.step("forget files");
    let forgotten = core.store.write(|change| {
        for id in &gone {
            change.files_gone(id)?;
        }
        Ok(())
    });
    // If that fails, a later look finds files that are gone: no harm.
    let _ = forgotten;
    Ok(removed)
}

impl Registry {
    /// Deletes one checkpoint: its entry first, in a transaction, then its files, as far as the
    /// registry wrote them. A process that has it open can read it to the end, where the system
    /// allows that.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`], [`Error::Deleted`], [`Error::Protected`] if it is pinned, has
    /// an alias, or is the last of its model. [`Error::InvalidOption`] for a reason of more than 64
    /// KiB; and [errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let old = registry.checkpoint("dqn_agent").save(b"old")?;
    /// registry.checkpoint("dqn_agent").save(b"new")?;
    /// registry.delete(old.id(), "superseded")?;
    /// assert!(registry.get(old.id())?.is_none());
    /// assert!(matches!(registry.load(old.id()), Err(annals::Error::Deleted { .. })));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn delete(&self, id: &str, why: &str) -> Result<()> {
        let core = self.core();
        if why.len() > LONGEST_WHY {
            return Err(Error::InvalidOption {
                name: "why",
                value: format!("{} bytes", why.len()),
                advice: "give at most 64 KiB",
            });
        }
        let now = core.now();
        core.step("delete");
        // The registry first: a crash behind this leaves files that are listed as leaving, and the
        // next look removes them. The other order would leave an entry without weights.
        let deleted = core.store.write(|change| {
            let Some(row) = change.checkpoint(id)? else {
                return Err(change.why_unknown(id)?);
            };
            if let Some(by) = held_by(change, id, &row)? {
                return Err(Error::Protected {
                    id: name::shown(id),
                    by,
                });
            }
            let note = DeletedRow {
                model: row.model.clone(),
                at: now,
                why: why.to_owned(),
            };
            let files = files_of(id, &row);
            // It lists the files in the same transaction, so none is forgotten.
            change.delete(id, &note, &files)?;
            Ok((row, files))
        });
        let (row, files) = deleted.map_err(ChangeFailure::into_error)?;
        core.emit(CheckpointAction::Deleted, &row.model, id, why);
        // Watches of this process see it at once, others within their interval.
        core.watches.notify();
        remove_files(core, &[(id.to_owned(), files)])?;
        Ok(())
    }
}
