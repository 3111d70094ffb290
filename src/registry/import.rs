//! Many files that exist already, registered at once.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::layout;
use super::layout::FoundCheckpoint;
use super::metadata::Metadata;
use super::problem::Problem;
use super::save::{NewCheckpoint, check_size};
use super::tables::details::Details;
use super::tables::look::{RegistryChange, RegistryView};
use super::tables::rows::{CheckpointRow, Condition, Origin, WeightsPart};
use super::tables::{ChangeFailure, names};
use super::{Registry, checkpoint, files, safetensors};
use crate::entry::error::{Error, Result};
use crate::entry::name;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;

/// Checkpoints that one transaction brings: it has to stay short.
pub(super) const SLICE: usize = 500;
/// Ids that are tried for a checkpoint whose own id another model has.
const MOST_IDS: u32 = 10_000;

/// A file that is to be registered where it lies, under an id of the caller's; see
/// [`Registry::import`].
#[must_use = "nothing is registered until it is given to import"]
pub struct Import {
    pub(super) id: String,
    pub(super) row: CheckpointRow,
}

/// Result of one [`Import`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Imported {
    /// The id under which the registry has it: the one that was asked for, unless another model's
    /// checkpoint has that.
    pub id: String,
    /// Whether it is new. Otherwise it is known, or was deleted.
    pub is_new: bool,
    /// Whether it was deleted in the registry, which is not undone.
    pub is_deleted: bool,
    /// New facts: metrics, metadata, its weights' place or digest.
    pub completed: Vec<String>,
    /// Values of the import that differ from the registry, which keeps its own.
    pub differs: Vec<String>,
}

/// Result of [`Registry::import_folder`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct FolderImport {
    /// Ids that are new.
    pub new: Vec<String>,
    /// Ids that were known, and those among them that an import completed.
    pub known: Vec<String>,
    /// Ids among the known ones that lacked something until now.
    pub completed: Vec<String>,
    /// Ids of checkpoints whose weights are gone or damaged, and the sign of it. They do not rank.
    pub unusable: Vec<(String, String)>,
    /// The skipped files, and the reasons.
    pub skipped: Vec<Problem>,
    /// Files that are no weights: logs, configurations, optimizers' states.
    pub others: u64,
}

impl NewCheckpoint<'_> {
    /// Makes this an entry for [`Registry::import`]: the file at `path`, registered as `id`. Reads
    /// the file once, for its digest. Weights that do not fit their name, such as a safetensors
    /// file without a valid header, are registered as damaged.
    ///
    /// # Errors
    /// [`Error::InvalidName`], also for an id that is empty, longer than 255 bytes or contains
    /// control characters; [`Error::Io`] if `path` is no file or cannot be read.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let old = dir.join("old.pt");
    /// std::fs::write(&old, b"weights").unwrap();
    /// let entry = registry.checkpoint("dqn_agent").step(40_000).import_as("old", &old)?;
    /// registry.import([entry])?;
    /// assert_eq!(registry.find("old")?.step(), Some(40_000));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn import_as(self, id: impl Into<String>, path: impl Into<PathBuf>) -> Result<Import> {
        let (id, path) = (id.into(), path.into());
        name::check_word("checkpoint id", &id)?;
        let mut row = self.into_row(Origin::Registered)?;
        row.file = whole_path(&path)?;
        read_into(&mut row, &path)?;
        Ok(Import { id, row })
    }

    /// Makes this an entry for [`Registry::import`] of a checkpoint whose weights are gone. Its
    /// history is kept, and it does not rank. Weights that appear at `path` later are found by
    /// [`Registry::reconcile`] or by importing again. `bytes` is the size that they had, or 0.
    ///
    /// # Errors
    /// [`Error::InvalidName`] as for [`import_as`](Self::import_as).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let entry = registry.checkpoint("dqn").metric("loss", 0.1);
    /// let entry = entry.import_missing_as("old", "gone.pt", 0)?;
    /// registry.import([entry])?;
    /// assert_eq!(registry.find("old")?.metric("loss"), Some(0.1));
    /// assert_eq!(*registry.find("old")?.condition(), annals::registry::Condition::Missing);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn import_missing_as(
        self,
        id: impl Into<String>,
        path: impl Into<PathBuf>,
        bytes: u64,
    ) -> Result<Import> {
        let (id, path) = (id.into(), path.into());
        name::check_word("checkpoint id", &id)?;
        let mut row = self.into_row(Origin::Registered)?;
        row.file = whole_path(&path)?;
        row.bytes = bytes;
        row.condition = Condition::Missing;
        Ok(Import { id, row })
    }
}

fn whole_path(path: &Path) -> Result<String> {
    // Not resolved through links: the place that the user named is kept, and what a link leads to
    // may change.
    let whole = std::path::absolute(path).map_err(|e| Error::io("look at", path, e))?;
    whole.into_os_string().into_string().map_err(|_| {
        let cause = io::Error::other("its path is no UTF-8");
        Error::io("register", path, cause)
    })
}

/// Size, digest and condition of the file at `path`.
fn read_into(row: &mut CheckpointRow, path: &Path) -> Result<()> {
    let reading = |cause| Error::io("look at", path, cause);
    let mut file = disk::open_regular_anywhere(path).map_err(reading)?;
    if let Some(why) = safetensors::fault(path, &mut file).map_err(reading)? {
        row.condition = Condition::Corrupt(why);
    }
    let found = files::fingerprint(&mut file, u64::MAX).map_err(reading)?;
    row.bytes = found.bytes;
    row.digest = Some(found.digest);
    Ok(())
}

impl Registry {
    /// Registers many files at once, a few hundred in each redb commit. No sidecars are written. A
    /// known checkpoint keeps its facts, and gets missing ones: see
    /// [`import_each`](Self::import_each). Returns how many were new.
    ///
    /// # Errors
    /// [Errors of a commit](crate::Error#errors-of-a-commit); earlier commits stay.
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
        let imported = self.import_each(entries)?;
        Ok(imported.iter().filter(|imported| imported.is_new).count())
    }

    /// The same as [`import`](Self::import), with a result for each.
    ///
    /// An id names one checkpoint of one model. If another model's checkpoint has it, the new one
    /// becomes `<model>_<id>`. If this model has it, missing metrics and metadata are added, and
    /// differing values are reported and left alone. Weights that were missing or have moved are
    /// found again if their digest fits.
    ///
    /// # Errors
    /// [Errors of a commit](crate::Error#errors-of-a-commit); earlier commits stay.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let old = dir.join("old.pt");
    /// std::fs::write(&old, b"weights").unwrap();
    /// let entry = |loss| registry.checkpoint("dqn").metric("loss", loss).import_as("old", &old);
    /// let imported = registry.import_each([entry(0.1)?, entry(0.2)?])?;
    /// assert!(imported[0].is_new && !imported[1].is_new);
    /// assert_eq!(imported[1].differs.len(), 1); // the first value stays
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn import_each(&self, entries: impl IntoIterator<Item = Import>) -> Result<Vec<Imported>> {
        let with_ids = entries
            .into_iter()
            .map(|entry| (vec![entry.id], entry.row, true));
        self.take_in_each(with_ids)
    }

    /// Registers the checkpoints in a folder elsewhere, as checkpoints of `model`, where they lie.
    /// The files stay, and are never removed. Folders within it are looked into.
    ///
    /// These layouts are understood: Hugging Face (`checkpoint-500/` with shards and
    /// `trainer_state.json`), Lightning (`epoch=1-step=100.ckpt` with `hparams.yaml` and
    /// `metrics.csv`), Keras (`.keras`, `.h5`, `.weights.h5`, SavedModel, `.index` with `.data-…`)
    /// and Orbax (a folder for each step). Any other file of weights is a checkpoint named as the
    /// file. Every file of weights is read once, for its digest. Names that begin with a dot are
    /// skipped, and links to folders are not followed.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Io`] if the folder or a file of weights cannot be read, and
    /// [errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let folder = dir.path().join("models/run_1");
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # std::fs::write(folder.join("epoch=3-step=40.ckpt"), b"weights").unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let imported = registry.import_folder("dqn_agent", dir.path().join("models"))?;
    /// assert_eq!(imported.new, ["epoch=3-step=40"]);
    /// assert_eq!(registry.find("epoch=3-step=40")?.step(), Some(40));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn import_folder(&self, model: &str, folder: impl AsRef<Path>) -> Result<FolderImport> {
        names::check_model(model)?;
        let folder = folder.as_ref();
        let looking = |cause| Error::io("look into", folder, cause);
        let whole = fs::canonicalize(folder).map_err(looking)?;
        let layout = layout::find(&whole).map_err(looking)?;
        let mut report = FolderImport {
            skipped: layout.skipped,
            others: layout.others,
            ..FolderImport::default()
        };
        // By their real paths: the same file may have been registered through a link.
        let known = self.registered_files(model)?;
        let mut rows = Vec::new();
        for mut found in layout.found {
            let names = std::mem::take(&mut found.names);
            let path = found.file.clone();
            match self.row_of(model, found) {
                Ok(mut row) => {
                    let mut ids = ids_of(model, &names);
                    // A file has one id, whichever way it was registered first.
                    if let Some((id, file)) = known.get(Path::new(&row.file)) {
                        row.file.clone_from(file);
                        ids.insert(0, id.clone());
                    }
                    rows.push((ids, row, false));
                }
                Err(Error::Io { cause, .. }) => report.skipped.push(Problem {
                    path,
                    why: cause.to_string(),
                }),
                Err(error) => return Err(error),
            }
        }
        let order = |row: &CheckpointRow| (row.created, row.file.clone());
        // Ids and the order of "newest" do not depend on the order in which the folder is read.
        rows.sort_by_cached_key(|(_, row, _)| order(row));
        let conditions: Vec<Condition> = rows
            .iter()
            .map(|(_, row, _)| row.condition.clone())
            .collect();
        let imported = self.take_in_each(rows)?;
        for (imported, condition) in imported.into_iter().zip(conditions) {
            match condition {
                Condition::Present => {}
                Condition::Missing => {
                    let why = "its weights are missing".to_owned();
                    report.unusable.push((imported.id.clone(), why));
                }
                Condition::Corrupt(why) => report.unusable.push((imported.id.clone(), why)),
            }
            if !imported.completed.is_empty() {
                report.completed.push(imported.id.clone());
            }
            if imported.is_new {
                report.new.push(imported.id);
            } else {
                report.known.push(imported.id);
            }
        }
        Ok(report)
    }

    /// Ids and paths of a model's checkpoints that lie elsewhere, by where their files really are.
    fn registered_files(&self, model: &str) -> Result<HashMap<PathBuf, (String, String)>> {
        let mut files = HashMap::new();
        for known in self.list(model).get()? {
            if known.origin() == Origin::Registered
                && let Ok(path) = fs::canonicalize(known.path())
            {
                files.insert(path, (known.id().to_owned(), known.row().file.clone()));
            }
        }
        Ok(files)
    }

    fn row_of(&self, model: &str, found: FoundCheckpoint) -> Result<CheckpointRow> {
        let mut new = self.checkpoint(model);
        for (name, value) in found.metrics {
            new = new.metric(name, value);
        }
        for (name, value) in found.metadata {
            new = new.metadata(name, value);
        }
        let mut row = new.into_row(Origin::Registered)?;
        row.step = found.step;
        row.epoch = found.epoch;
        row.file = whole_path(&found.file)?;
        // Where the weights are gone, the files beside them give the time.
        let beside = found.file.parent().filter(|_| found.missing);
        let known = fs::metadata(beside.unwrap_or(&found.file));
        let written = known.and_then(|known| known.modified());
        let written = written.map(Timestamp::from);
        row.created = found.created.or(written.ok()).unwrap_or(row.created);
        if found.missing {
            row.condition = Condition::Missing;
            return Ok(row);
        }
        read_into(&mut row, &found.file)?;
        let folder = found.file.parent().unwrap_or(Path::new(""));
        for name in found.parts {
            let path = folder.join(&name);
            let reading = |cause| Error::io("look at", &path, cause);
            let mut file = disk::open_regular_anywhere(&path).map_err(reading)?;
            if let Some(why) = safetensors::fault(&path, &mut file).map_err(reading)? {
                row.condition = Condition::Corrupt(format!("{name}: {why}"));
            }
            let print = files::fingerprint(&mut file, u64::MAX).map_err(reading)?;
            row.bytes = row.bytes.saturating_add(print.bytes);
            row.parts.push(WeightsPart {
                file: name,
                bytes: print.bytes,
                digest: print.digest,
            });
        }
        if let Some(why) = found.fault {
            row.condition = Condition::Corrupt(why);
        }
        Ok(row)
    }

    /// Takes in rows with the ids that each may have. If the id matches a checkpoint of its model,
    /// that is the same one, whatever its file.
    fn take_in_each(
        &self,
        entries: impl IntoIterator<Item = (Vec<String>, CheckpointRow, bool)>,
    ) -> Result<Vec<Imported>> {
        let core = self.core();
        let mut entries = entries.into_iter();
        let mut all = Vec::new();
        loop {
            let mut slice: Vec<_> = entries.by_ref().take(SLICE).collect();
            if slice.is_empty() {
                return Ok(all);
            }
            let now = core.now();
            let written = core.store.write(|change| {
                let mut imported = Vec::with_capacity(slice.len());
                for (ids, row, by_id) in &mut slice {
                    row.saved = now;
                    imported.push(take_in(change, ids, row, *by_id, &core.root)?);
                }
                Ok(imported)
            });
            // Before the error is returned: a commit that failed may hold all the same.
            core.watches.notify();
            all.extend(written.map_err(ChangeFailure::into_error)?);
            if core.journal.is_some() {
                let models: std::collections::BTreeSet<&str> =
                    slice.iter().map(|(_, row, _)| &*row.model).collect();
                models.into_iter().for_each(|model| core.clear_none(model));
            }
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
        core.watches.notify();
        let inserted = inserted.map_err(ChangeFailure::into_error)?;
        if core.journal.is_some() {
            let models: std::collections::BTreeSet<&str> =
                slice.iter().map(|entry| &*entry.row.model).collect();
            models.into_iter().for_each(|model| core.clear_none(model));
        }
        Ok(inserted)
    }
}

/// Ids for a checkpoint that was found, by what its layout calls it.
fn ids_of(model: &str, names: &[String]) -> Vec<String> {
    let with_model = names.iter().map(|name| format!("{model}_{name}"));
    let mut ids: Vec<String> = names.iter().take(1).cloned().collect();
    ids.extend(
        names
            .iter()
            .skip(1)
            .filter(|name| !name.contains('.'))
            .cloned(),
    );
    ids.extend(with_model);
    ids.retain(|id| name::check_word("checkpoint id", id).is_ok());
    if ids.is_empty() {
        // Named after its path, which no id can hold.
        let digest = blake3::hash(names.concat().as_bytes()).to_hex();
        ids.push(format!("found_{}", digest.get(..16).unwrap_or_default()));
    }
    ids
}

/// Registers one checkpoint under the first id that is free, or completes the one that is known.
fn take_in(
    change: &mut RegistryChange<'_, '_>,
    ids: &[String],
    row: &mut CheckpointRow,
    by_id: bool,
    root: &std::sync::Arc<Path>,
) -> Result<Imported> {
    let mut imported = Imported {
        id: String::new(),
        is_new: false,
        is_deleted: false,
        completed: Vec::new(),
        differs: Vec::new(),
    };
    let first = ids.first().map_or("checkpoint", String::as_str);
    let model = row.model.clone();
    let numbered = (1..MOST_IDS).map(|number| match number {
        1 => format!("{model}_{first}"),
        more => format!("{model}_{first}_{more}"),
    });
    for id in ids.iter().cloned().chain(numbered) {
        if name::check_word("checkpoint id", &id).is_err() {
            continue;
        }
        if let Some(known) = change.checkpoint(&id)? {
            let is_file = known.file == row.file;
            let is_copy = known.digest.is_some()
                && known.digest == row.digest
                && known.parts == row.parts
                && checkpoint::metadata(root, &known).is_err();
            // Another checkpoint has this id: try the next.
            if known.model != row.model || !(by_id || is_file || is_copy) {
                continue;
            }
            complete(change, &id, &known, row, root, &mut imported)?;
            imported.id = id;
            return Ok(imported);
        }
        if let Some(note) = change.deleted(&id)? {
            // Deleted checkpoints stay deleted. Another model's id is another checkpoint.
            if note.model == row.model {
                imported.is_deleted = true;
                imported.id = id;
                return Ok(imported);
            }
            continue;
        }
        imported.is_new = change.insert(&id, row, false)?;
        imported.id = id;
        return Ok(imported);
    }
    Err(Error::InvalidName {
        what: "checkpoint id",
        name: name::shown(first),
        reason: "it is taken, and so is all that it could be instead",
    })
}

/// Gives a known checkpoint its missing facts, and reports differences.
fn complete(
    change: &mut RegistryChange<'_, '_>,
    id: &str,
    known: &CheckpointRow,
    row: &CheckpointRow,
    root: &std::sync::Arc<Path>,
    imported: &mut Imported,
) -> Result<()> {
    if known.origin != Origin::Registered {
        return Ok(());
    }
    let mut next = known.clone();
    for (name, value) in &row.metrics {
        match known.metrics.iter().find(|(known, _)| known == name) {
            None => {
                next.metrics.push((name.clone(), *value));
                imported.completed.push(format!("metric {name}"));
            }
            // By bits, so that a NaN equals itself.
            Some((_, known)) if known.to_bits() != value.to_bits() => {
                let differs = format!("metric {name}: {known} is kept, {value} was found");
                imported.differs.push(differs);
            }
            Some(_) => {}
        }
    }
    let mut metadata: Vec<(String, Metadata)> = known.metadata.entries().to_vec();
    for (name, value) in row.metadata.entries() {
        match metadata.iter().find(|(known, _)| known == name) {
            None => {
                imported.completed.push(format!("metadata {name}"));
                metadata.push((name.clone(), value.clone()));
            }
            Some((_, known)) if known != value => {
                imported.differs.push(format!("metadata {name}"));
            }
            Some(_) => {}
        }
    }
    // Encoded anew only if something came: the same values could have other bytes.
    if metadata.len() > known.metadata.entries().len() {
        next.metadata = Details::new(metadata);
    }
    next.step = known.step.or(row.step);
    next.epoch = known.epoch.or(row.epoch);
    if next.model_type.is_empty() {
        next.model_type.clone_from(&row.model_type);
    }
    let fits = known.digest.is_none() || (known.digest == row.digest && known.parts == row.parts);
    let is_usable = row.condition == Condition::Present;
    // A file that can be read at its place stays there. Another file at its place counts as a
    // change.
    let is_there = known.condition == Condition::Present
        && (known.file == row.file || checkpoint::metadata(root, known).is_ok());
    if is_usable && fits && (!is_there || known.digest.is_none()) {
        next.file.clone_from(&row.file);
        next.parts.clone_from(&row.parts);
        next.bytes = row.bytes;
        next.digest = row.digest;
        next.condition = Condition::Present;
        if next.file != known.file || next.condition != known.condition {
            imported.completed.push("its weights' place".to_owned());
        } else if next.digest != known.digest {
            imported.completed.push("its weights' digest".to_owned());
        }
    } else if is_usable && !fits {
        imported
            .differs
            .push("its weights are others than those that were taken in".to_owned());
    }
    // The known row is kept whole rather than replaced by one that no sidecar could hold.
    if let Err(error) = check_size(&next) {
        imported.completed.clear();
        imported.differs.push(format!("nothing is added: {error}"));
        return Ok(());
    }
    change.edit(id, |row| *row = next).map(drop)
}
