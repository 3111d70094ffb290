//! Removes leftovers of dead savers and deleters: only files that the registry itself wrote.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::tables::look::RegistryView;
use super::tables::names;
use super::{Core, files, sidecar};
use crate::entry::error::{Error, Result};
use crate::fs::lock::{LockMode, is_held};
use crate::threads::worker::lock;

/// Clears a model's folder, and the files of deleted checkpoints, when this process first saves
/// into it: one look at each entry of the folder.
pub(super) fn once(core: &Core, model: &str, folder: &Path) -> Result<()> {
    let mut swept = lock(&core.swept);
    if swept.contains(model) {
        return Ok(());
    }
    swept.insert(model.to_owned());
    drop(swept);
    finish_deletions(core)?;
    self::folder(core, folder)?;
    Ok(())
}

/// Removes leftovers of saves whose process died in `folder`, and returns them.
pub(super) fn folder(core: &Core, folder: &Path) -> Result<Vec<PathBuf>> {
    // Alone: a claim that was created and not locked yet must not be taken for a dead one.
    let _alone = core.hold_claims(LockMode::Exclusive)?;
    let looking = |cause| Error::io("look into", folder, cause);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(looking)? {
        if let Ok(name) = entry.map_err(looking)?.file_name().into_string() {
            entries.push(name);
        }
    }
    let mut removed = Vec::new();
    let mut alive = HashSet::new();
    for name in &entries {
        let Some(stem) = name.strip_suffix(names::SIDECAR) else {
            continue;
        };
        let path = folder.join(name);
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !found.is_file() || found.len() > sidecar::LONGEST_CLAIM {
            continue;
        }
        let Ok(Err(sidecar::Unreadable::Claim(weights))) = sidecar::read(&path) else {
            continue;
        };
        if is_held(&path) {
            alive.insert(stem.to_owned());
            continue;
        }
        // The claim goes last, in case the removal dies here.
        let weights = weights
            .filter(|name| belongs(name, stem))
            .map(|name| folder.join(name));
        for path in weights.into_iter().chain([path]) {
            if path.exists() && files::remove(&path).is_ok() {
                removed.push(path);
            }
        }
    }
    for name in &entries {
        let Some(stem) = partial_stem(name) else {
            continue;
        };
        let path = folder.join(name);
        // A pipe or a link of such a name is not a save.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let is_dead = is_file && !alive.contains(stem) && !is_held(&path);
        if is_dead && files::remove(&path).is_ok() {
            removed.push(path);
        }
    }
    Ok(removed)
}

/// The stem of the checkpoint whose file `name` was being written: `<stem>.<extension>.partial`.
fn partial_stem(name: &str) -> Option<&str> {
    let whole = name.strip_suffix(names::PARTIAL)?;
    whole.rsplit_once('.').map(|(stem, _)| stem)
}

/// Whether `name` is `<stem>.<extension>`: a claim names a file of its own, and no path.
fn belongs(name: &str, stem: &str) -> bool {
    let extension = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('.'));
    extension.is_some_and(|extension| names::check_extension(extension).is_ok())
}

/// Removes the files of deleted checkpoints whose deletion was cut short.
pub(super) fn finish_deletions(core: &Core) -> Result<Vec<PathBuf>> {
    let leaving = core.store.read(|view| view.leaving())?;
    super::delete::remove_files(core, &leaving)
}
