//! Taking in models that have files and no entries: from their sidecars, and from plain files.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::import::{Import, SLICE};
use super::layout::plain::may_be_weights;
use super::safetensors;
use super::sidecar;
use super::sidecar::Unreadable;
use super::tables::details::Details;
use super::tables::look::RegistryView;
use super::tables::names;
use super::tables::rows::{CheckpointRow, Condition, Origin};
use super::{Registry, checkpoint};
use crate::engine::format::codec::Stored;
use crate::entry::error::{Error, Result};
use crate::entry::name;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::disk::Below;
use crate::fs::lock;
use crate::threads::worker::lock;

/// Content of a model's folder.
#[derive(Default)]
pub(super) struct Contents {
    /// Whole checkpoints, from their sidecars.
    pub(super) described: Vec<Import>,
    /// Unreadable sidecars, and the reasons. Claims are not among them.
    pub(super) unreadable: Vec<(PathBuf, Unreadable)>,
    /// Whole sidecars without their weights.
    pub(super) without_weights: Vec<(PathBuf, String)>,
    /// Files that no sidecar speaks of.
    pub(super) plain: Vec<PathBuf>,
    /// Names of files that belong to a save that is under way.
    pub(super) busy: HashSet<String>,
}

impl Registry {
    /// Takes in every folder below `checkpoints/` whose model the registry does not know. Opening
    /// continues if that fails: look-ups of other models do not depend on it.
    pub(super) fn take_in_unknown_models(&self) {
        let mut new = Vec::new();
        let outcome = self.take_in(&mut new).err();
        lock(&self.core().unreported).append(&mut new);
        *lock(&self.core().rebuild_failure) = outcome;
    }

    /// The ids that were taken in since the last question.
    pub(super) fn taken_in(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.core().unreported))
    }

    fn take_in(&self, new: &mut Vec<String>) -> Result<()> {
        let core = self.core();
        let above = core.root.join(names::FOLDER);
        let Ok(entries) = fs::read_dir(&above) else {
            return Ok(()); // Nothing was ever saved.
        };
        let folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let folders: Vec<PathBuf> = folders
            .into_iter()
            .filter(|path| disk::is_directory_inside(&above, path))
            .collect();
        if folders.is_empty() {
            return Ok(());
        }
        let models = core.store.read(|view| view.models())?;
        let known: HashSet<String> = models
            .into_iter()
            .filter(|(_, row)| row.checkpoints > 0 || row.highest.is_some())
            .flat_map(|(name, _)| [names::spelling(&name), name])
            .collect();
        for folder in folders {
            let name = folder.file_name().and_then(|name| name.to_str());
            // A model that the registry knows is compared by `reconcile`, which a user asks for.
            if name.is_some_and(|name| !known.contains(name)) {
                new.extend(self.adopt_folder(&folder, true)?);
            }
        }
        Ok(())
    }

    /// Takes in the content of a model's folder that the registry does not know. Returns the new
    /// ids.
    pub(super) fn adopt_folder(&self, folder: &Path, with_plain: bool) -> Result<Vec<String>> {
        let mut contents = look(&self.core().root, folder)?;
        let mut entries = std::mem::take(&mut contents.described);
        if with_plain {
            let model = model_of(folder);
            let plain = contents.plain.iter().filter(|path| may_be_weights(path));
            entries.extend(plain.filter_map(|path| describe(path, model.as_deref()?)));
        }
        // In the order of their saves, so that the newest comes last and is the newest.
        entries.sort_by(|a, b| (a.row.created, &a.id).cmp(&(b.row.created, &b.id)));
        self.adopt(entries)
    }

    pub(super) fn adopt(&self, entries: Vec<Import>) -> Result<Vec<String>> {
        let core = self.core();
        // Deleted checkpoints stay deleted, even if their files are still there.
        let mut entries: Vec<Import> = core.store.read(|view| {
            let mut kept = Vec::new();
            let mut ids = HashSet::new();
            for mut entry in entries {
                if view.deleted(&entry.id)?.is_some() {
                    continue;
                }
                // `best.pt` of two models, and `a.pt` beside `a.onnx`, are two checkpoints.
                if entry.row.digest.is_none() {
                    for id in spare_ids(&entry) {
                        let known = view.checkpoint(&id)?.map(|known| known.file);
                        let is_same = known.as_ref().is_none_or(|file| *file == entry.row.file);
                        if is_same && !ids.contains(&id) {
                            entry.id = id;
                            break;
                        }
                    }
                }
                ids.insert(entry.id.clone());
                kept.push(entry);
            }
            Ok(kept)
        })?;
        let mut new = Vec::new();
        for slice in entries.chunks_mut(SLICE) {
            new.extend(self.insert(slice)?);
        }
        Ok(new)
    }
}

/// Ids that a plain file may have: the first that nothing else has is taken.
fn spare_ids(entry: &Import) -> [String; 4] {
    let (model, stem) = (&entry.row.model, &entry.id);
    let file = entry.row.file.rsplit(['/', '\\']).next().unwrap_or(stem);
    [
        stem.clone(),
        format!("{model}_{stem}"),
        file.to_owned(),
        format!("{model}_{file}"),
    ]
}

/// The model of a folder of plain files: the folder's name.
fn model_of(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?;
    names::check_model(name).ok().map(|()| name.to_owned())
}

/// Examines every file of a model's folder. Changes nothing.
pub(super) fn look(root: &Path, folder: &Path) -> Result<Contents> {
    let looking = |cause| Error::io("look into", folder, cause);
    let mut found = Contents::default();
    let mut others: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut sidecars = Vec::new();
    for entry in fs::read_dir(folder).map_err(looking)? {
        let path = entry.map_err(looking)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            found.plain.push(path);
            continue;
        };
        // A link that leads out of the folder is not followed, and nothing but files is opened.
        if name.starts_with('.') || !disk::is_file_inside(folder, &path) {
            continue;
        }
        if name.ends_with(names::SIDECAR) {
            sidecars.push((name.to_owned(), path));
        } else {
            others.insert(name.to_owned(), path);
        }
    }
    let sidecars_seen: HashSet<PathBuf> = sidecars.iter().map(|(_, path)| path.clone()).collect();
    for (name, path) in sidecars {
        let stem = name.trim_end_matches(names::SIDECAR);
        // Read before the lock is looked at: a saver that ends in between shows as a claim, and is
        // left alone.
        let read = sidecar::read(&path).map_err(|e| Error::io("read", &path, e))?;
        if lock::is_held(&path) {
            found
                .busy
                // Its weights are being written, and belong to no checkpoint for now.
                .extend(others.keys().filter(|other| is_of(other, stem)).cloned());
            found.busy.insert(name);
            continue;
        }
        match read {
            Ok((id, row)) => match judge(folder, stem, &id, &row) {
                Ok(weights) => {
                    if let Some(weights) = &weights {
                        let file = weights.file_name().and_then(|file| file.to_str());
                        file.and_then(|file| others.remove(file));
                    }
                    match checkpoint::metadata(root, &row) {
                        Ok(known) if known.is_file() => {
                            let mut row = row;
                            if known.len() != row.bytes {
                                let (is, was) = (known.len(), row.bytes);
                                let why = format!("it has {is} bytes, {was} were saved");
                                row.condition = Condition::Corrupt(why);
                            }
                            found.described.push(Import { id, row });
                        }
                        _ => found.without_weights.push((path, id)),
                    }
                }
                Err(why) => found.unreadable.push((path, Unreadable::Broken(why))),
            },
            // The removal of leftovers knows what to do with it.
            Err(Unreadable::Claim(_)) => {
                found
                    .busy
                    .extend(others.keys().filter(|other| is_of(other, stem)).cloned());
                found.busy.insert(name);
            }
            Err(why) => found.unreadable.push((path, why)),
        }
    }
    let busy = &found.busy;
    let plain = others.into_iter().filter(|(name, _)| !busy.contains(name));
    // A save may have begun behind the back of this look, which then missed its claim.
    let is_spoken_for = |path: &Path| {
        let is_new = |sidecar: &PathBuf| !sidecars_seen.contains(sidecar) && sidecar.exists();
        is_new(&path.with_extension(&names::SIDECAR[1..]))
    };
    let plain =
        plain.filter(|(name, path)| !name.ends_with(names::PARTIAL) && !is_spoken_for(path));
    found.plain.extend(plain.map(|(_, path)| path));
    Ok(found)
}

fn is_of(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a sidecar speaks of the place where it lies: one that was moved, or made up, must not
/// lead anywhere else. Returns the weights beside it, if they are beside it.
fn judge(
    folder: &Path,
    stem: &str,
    id: &str,
    row: &CheckpointRow,
) -> std::result::Result<Option<PathBuf>, String> {
    let here = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    // A sidecar is a file that any program may have written.
    row.check()?;
    name::check_word("checkpoint id", id).map_err(|error| error.to_string())?;
    if names::spelling(&row.model) != here {
        return Err(format!(
            "it speaks of the model {}",
            name::shown(&row.model)
        ));
    }
    if names::stem(&row.model, id) != stem {
        return Err(format!("it speaks of the checkpoint {}", name::shown(id)));
    }
    if row.origin == Origin::Registered {
        return Ok(None);
    }
    let name = row
        .file
        .strip_prefix(here)
        .and_then(|rest| rest.strip_prefix('/'));
    match name {
        Some(name) if is_of(name, stem) && !name.contains(['/', '\\']) => {
            Ok(Some(folder.join(name)))
        }
        _ => Err(format!(
            "its weights are not beside it: {}",
            name::shown(&row.file)
        )),
    }
}

/// Facts that a plain file shows.
pub(super) fn describe(path: &Path, model: &str) -> Option<Import> {
    let known = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let folder = path.parent()?.file_name()?.to_str()?;
    let stem = path.file_stem()?.to_str()?;
    name::check_word("checkpoint id", stem).ok()?;
    let file = format!("{folder}/{}", path.file_name()?.to_str()?);
    // A file that the row could not open later is not taken in.
    Below::new(&file).ok()?;
    let created = known.modified().map_or(Timestamp::now(), Timestamp::from);
    Some(Import {
        id: stem.to_owned(),
        row: CheckpointRow {
            model: model.into(),
            model_type: String::new(),
            created,
            order: Timestamp::default(),
            number: 0,
            origin: Origin::Found,
            condition: Condition::Present,
            file,
            bytes: known.len(),
            digest: None,
            metrics: Vec::new(),
            step: None,
            epoch: None,
            parent: None,
            tags: Vec::new(),
            pinned: false,
            metadata: Details::new(safetensors::metadata(path)),
            saved: Timestamp::default(),
            sequence: Sequence::ZERO,
            parts: Vec::new(),
        },
    })
}
