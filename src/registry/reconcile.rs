//! Comparing the registry with what lies on disk.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::adopt;
use super::adopt::Contents;
use super::checkpoint::Checkpoint;
use super::import::Import;
use super::load::{difference, is_unseen, other_size, part_fault};
use super::problem::Problem;
use super::sidecar::Unreadable;
use super::tables::look::RegistryView;
use super::tables::names;
use super::tables::rows::Condition;
use super::{Core, Registry, files, leftovers, safetensors};
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::fs::disk;

/// Result of [`Registry::reconcile`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Checkpoints that were examined.
    pub checked: u64,
    /// Ids that were taken into the registry from sidecars and, where a model was not known, from
    /// plain files; also those that opening this registry took in.
    pub adopted: Vec<String>,
    /// Ids that were missing or damaged and are well again, so that they rank again.
    pub restored: Vec<String>,
    /// Ids whose weights are missing.
    pub missing: Vec<String>,
    /// Ids whose weights differ from the saved ones, and the sign of it.
    pub corrupt: Vec<(String, String)>,
    /// Whole sidecars without their weights, or of deleted checkpoints whose files have come back.
    pub orphaned: Vec<PathBuf>,
    /// Files that the registry did not write and does not know.
    pub foreign: Vec<PathBuf>,
    /// Sidecars that cannot be used: damaged, of a later version, or not of this library.
    pub sidecars: Vec<Problem>,
    /// Files of dead saves and of deleted checkpoints that were removed.
    pub removed: Vec<PathBuf>,
}

impl Registry {
    /// Compares every checkpoint with its file by size, and every file with the registry. Missing
    /// and damaged weights no longer rank, and recovered ones rank again. Whole checkpoints that
    /// the registry does not know are taken in, and leftovers of dead processes are removed.
    /// Nothing else is removed, ever. Costs a look at each file.
    ///
    /// # Errors
    /// [Errors of a commit](crate::Error#errors-of-a-commit), and [`Error::Io`] for a folder that
    /// cannot be read.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// std::fs::remove_file(saved.path()).unwrap();
    /// assert_eq!(registry.reconcile()?.missing, [saved.id()]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn reconcile(&self) -> Result<Report> {
        self.compare(false)
    }

    /// Like [`reconcile`](Self::reconcile), and reads every file to compare its digest.
    ///
    /// # Errors
    /// As there, and [`Error::Io`] for a file that cannot be read.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let report = registry.reconcile_contents()?; // reads all weights
    /// assert_eq!(report.checked, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn reconcile_contents(&self) -> Result<Report> {
        self.compare(true)
    }

    fn compare(&self, with_contents: bool) -> Result<Report> {
        let core = self.core();
        let mut report = Report {
            // First what was decided earlier: files of deleted checkpoints must not be taken for
            // new ones.
            removed: leftovers::finish_deletions(core)?,
            ..Report::default()
        };
        for folder in folders(&core.root)? {
            // Leftovers next: a partial file is no checkpoint's weights.
            report.removed.extend(leftovers::folder(core, &folder)?);
        }
        self.take_in_unknown_models();
        report.adopted = self.taken_in();
        // Comparing further would call the weights of unknown models foreign.
        if let Some(failure) = self.rebuild_failure() {
            return Err(failure);
        }
        for folder in folders(&core.root)? {
            self.compare_folder(&folder, &mut report)?;
        }
        for model in self.models()? {
            for checkpoint in self.list(model).get()? {
                report.checked += 1;
                self.compare_one(&checkpoint, with_contents, &mut report)?;
            }
        }
        core.watches.notify();
        Ok(report)
    }

    fn compare_folder(&self, folder: &Path, report: &mut Report) -> Result<()> {
        let core = self.core();
        let Contents {
            described,
            unreadable,
            without_weights,
            plain,
            ..
        } = adopt::look(&core.root, folder)?;
        core.store.read(|view| {
            for Import { id, row } in &described {
                // A sidecar that came back, from a backup for instance, does not revive a deleted
                // checkpoint.
                if view.deleted(id)?.is_some() {
                    let stem = names::stem(&row.model, id);
                    report
                        .orphaned
                        .push(folder.join(format!("{stem}{}", names::SIDECAR)));
                }
            }
            Ok(())
        })?;
        report.adopted.extend(self.adopt(described)?);
        let known = known_files(core, folder)?;
        for path in plain {
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_none_or(|name| !known.contains(name)) {
                report.foreign.push(path);
            }
        }
        for (path, id) in without_weights {
            let is_known = core
                .store
                .read(|view| Ok(view.checkpoint(&id)?.is_some()))?;
            // One that the registry has is missing, which is reported in its own place.
            if !is_known {
                report.orphaned.push(path);
            }
        }
        for (path, why) in unreadable {
            if matches!(why, Unreadable::Foreign(_)) {
                report.foreign.push(path.clone());
            }
            report.sidecars.push(Problem {
                path,
                why: why.to_string(),
            });
        }
        Ok(())
    }

    fn compare_one(
        &self,
        checkpoint: &Checkpoint,
        with_contents: bool,
        report: &mut Report,
    ) -> Result<()> {
        let core = self.core();
        let id = checkpoint.id();
        let now = state(&core.root, checkpoint, with_contents)?;
        // Only reading can prove that contents which were found damaged are whole again.
        let before = checkpoint.condition();
        // The look so far was at name and size only.
        let unread = !with_contents && now == Condition::Present;
        if unread && matches!(before, Condition::Corrupt(why) if why.contains("digest")) {
            if let Condition::Corrupt(why) = before {
                report.corrupt.push((id.to_owned(), why.clone()));
            }
            return Ok(());
        }
        if now != *before {
            let noted = now.clone();
            // These weights were never read before: their present contents are taken as theirs.
            let seen = if now == Condition::Present && is_unseen(checkpoint) {
                let path = checkpoint.path();
                let read = checkpoint.open();
                let read = read.and_then(|mut file| files::fingerprint(&mut file, u64::MAX));
                Some(read.map_err(|e| Error::io("read", path, e))?)
            } else {
                None
            };
            let edited = core.change(|change| {
                let edited = change.edit(id, |row| {
                    // Noted under the id alone: the row may have changed since, and only its
                    // condition is replaced.
                    row.condition = noted;
                    if let Some(seen) = seen {
                        row.see(seen.bytes, seen.digest);
                    }
                });
                edited.map(drop)
            });
            match edited {
                // Deleted since: nothing to compare.
                Err(Error::Deleted { .. } | Error::UnknownCheckpoint { .. }) => return Ok(()),
                outcome => outcome?,
            }
        }
        let why = match &now {
            Condition::Present => {
                if *before != now {
                    report.restored.push(id.to_owned());
                }
                return Ok(());
            }
            Condition::Missing => {
                report.missing.push(id.to_owned());
                "its weights are missing"
            }
            Condition::Corrupt(why) => {
                report.corrupt.push((id.to_owned(), why.clone()));
                why
            }
        };
        if now != *before {
            core.emit(CheckpointAction::Failed, checkpoint.model(), id, why);
        }
        Ok(())
    }
}

fn state(root: &Path, checkpoint: &Checkpoint, with_contents: bool) -> Result<Condition> {
    let path = checkpoint.path();
    let known = match checkpoint.metadata_of_file() {
        Ok(known) if known.is_file() => known,
        Ok(_) => return Ok(Condition::Corrupt("it is no regular file".to_owned())),
        Err(error) if disk::is_no_regular_file(&error) => {
            return Ok(Condition::Corrupt(error.to_string()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Condition::Missing),
        // No right to look is no proof that the file is gone: the entry stays as it is.
        Err(error) => return Err(Error::io("look at", path, error)),
    };
    let was = checkpoint.row().first_bytes();
    if known.len() != was && !is_unseen(checkpoint) {
        return Ok(Condition::Corrupt(other_size(known.len(), was)));
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        let read = checkpoint.open();
        let read = read.and_then(|mut file| safetensors::fault(&path, &mut file));
        if let Some(why) = read.map_err(|e| Error::io("read", &path, e))? {
            return Ok(Condition::Corrupt(why));
        }
    }
    for part in &checkpoint.row().parts {
        match part_fault(root, checkpoint, part, with_contents) {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(Condition::Corrupt(why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Condition::Missing),
            Err(error) if disk::is_no_regular_file(&error) => {
                return Ok(Condition::Corrupt(error.to_string()));
            }
            Err(error) => return Err(Error::io("read", &path, error)),
        }
    }
    if with_contents {
        let read = checkpoint.open();
        let read = read.and_then(|mut file| files::fingerprint(&mut file, known.len()));
        let found = read.map_err(|e| Error::io("read", &path, e))?;
        if let Some(difference) = difference(checkpoint, found) {
            return Ok(Condition::Corrupt(difference));
        }
    }
    Ok(Condition::Present)
}

/// The folders of models.
fn folders(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let above = root.join(names::FOLDER);
    let entries = match fs::read_dir(&above) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Error::io("look into", above, error)),
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths
        .filter(|path| disk::is_directory_inside(&above, path))
        .collect())
}

/// The names of files in `folder` that checkpoints of the registry, or deleted ones, have.
fn known_files(core: &Core, folder: &Path) -> Result<HashSet<String>> {
    let here = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let mut known = HashSet::new();
    core.store.read(|view| {
        for (model, _) in view.models()? {
            if names::spelling(&model) != here && model != here {
                continue;
            }
            for (_, row) in view.of_model(&model)? {
                let name = row.file.rsplit('/').next().unwrap_or(&row.file);
                known.insert(name.to_owned());
            }
        }
        Ok(())
    })?;
    Ok(known)
}
