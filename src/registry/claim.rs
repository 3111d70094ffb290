//! A save in progress: an id is claimed, then the weights are written aside, made durable and
//! named. The sidecar replaces the claim, and the registry takes the checkpoint in. If it comes to
//! nothing, nothing of it stays.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::files;
use super::files::FileDigest;
use super::tables::look::RegistryView;
use super::tables::rows::CheckpointRow;
use super::tables::{ChangeFailure, names};
use super::{Core, leftovers, sidecar};
use crate::engine::directory::HOT_FILE;
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::entry::name;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::lock::{FileLock, LockMode};
use crate::threads::worker;

/// Checkpoints of one model that one second may see.
const MOST_PER_SECOND: u32 = 1_000_000;

/// An id that belongs to this save. Dropped before it is finished, it leaves nothing behind.
pub(super) struct Claim<'c> {
    core: &'c Core,
    id: String,
    model: Box<str>,
    folder: PathBuf,
    stem: String,
    /// Open, and thereby locked, while the save lives: it tells a save from leftovers.
    held: Vec<FileLock>,
    /// To be removed if the save comes to nothing.
    leftovers: Vec<PathBuf>,
}

impl<'c> Claim<'c> {
    pub(super) fn take(
        core: &'c Core,
        row: &CheckpointRow,
        extension: Option<&str>,
    ) -> Result<Self> {
        let folder = names::folder(&core.root, &row.model);
        let not_saved = |path: &Path, cause| not_saved(&row.model, path, cause);
        // Its name is durable before a file in it is: otherwise a power cut could take the folder
        // with finished weights.
        files::create_folder(&folder)?;
        // A model's folder that is a link would have weights written, and swept, anywhere.
        let inside = disk::inside(&core.root.join(names::FOLDER), &folder);
        inside.map_err(|error| not_saved(&folder, error))?;
        leftovers::once(core, &row.model, &folder)?;
        core.step("claim");
        // Shared by savers. A process that clears up leftovers takes it alone, so that no claim
        // appears while it decides which files are dead.
        let claims = core.hold_claims(LockMode::Shared)?;
        let base = format!("{}_{}", row.model, stamp(row.created));
        let first = {
            let last = worker::lock(&core.last_claim);
            // Many saves within a second would otherwise try every earlier number again.
            if last.0 == base { last.1 + 1 } else { 1 }
        };
        for attempt in first..MOST_PER_SECOND {
            let id = match attempt {
                1 => base.clone(),
                more => format!("{base}_{more}"),
            };
            let stem = names::stem(&row.model, &id);
            let path = folder.join(format!("{stem}{}", names::SIDECAR));
            // Creating the file is the claim: of two processes that want one id, one finds the name
            // taken.
            let file = match files::create(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(not_saved(&path, error)),
            };
            let mut claim = Claim {
                core,
                id,
                model: row.model.clone(),
                folder: folder.clone(),
                stem,
                held: Vec::new(),
                leftovers: vec![path.clone()],
            };
            let lock = FileLock::of(file, LockMode::Exclusive);
            // Somebody has opened it within this moment and examines whether it is dead. The next
            // id costs less than to wait.
            let Some(lock) = lock.map_err(|e| not_saved(&path, e))? else {
                continue;
            };
            let weights = extension.map(|extension| format!("{}.{extension}", claim.stem));
            // The claim names the weights that will come: after a crash a later saver knows what to
            // remove.
            let text = sidecar::claim(weights.as_deref());
            let written = lock.file().write_all(text.as_bytes());
            written.map_err(|e| not_saved(&path, e))?;
            claim.held.push(lock);
            // An id names one checkpoint for ever, also where its files are gone.
            let used = core.store.read(|view| {
                Ok(view.checkpoint(&claim.id)?.is_some() || view.deleted(&claim.id)?.is_some())
            })?;
            if !used {
                let mut last = worker::lock(&core.last_claim);
                *last = (base, attempt);
                drop((claims, last));
                return Ok(claim);
            }
        }
        let taken = io::Error::other("this second has had a million checkpoints");
        Err(not_saved(&folder, taken))
    }

    pub(super) fn file_name(&self, extension: &str) -> String {
        format!("{}/{}.{extension}", names::spelling(&self.model), self.stem)
    }

    fn not_saved(&self, path: &Path, cause: io::Error) -> Error {
        not_saved(&self.model, path, cause)
    }

    /// Writes the weights aside, makes them durable and gives them their name.
    pub(super) fn weights(
        &mut self,
        extension: &str,
        write: impl FnOnce(&mut File, &Path) -> io::Result<FileDigest>,
    ) -> Result<FileDigest> {
        self.core.step("weights");
        let name = self.folder.join(format!("{}.{extension}", self.stem));
        let partial = with_suffix(&name, names::PARTIAL);
        let mut file = files::create(&partial).map_err(|e| self.not_saved(&partial, e))?;
        // Noted before the first byte is written, so that a failed write leaves nothing.
        self.leftovers.push(partial.clone());
        let found = write(&mut file, &partial).map_err(|e| self.not_saved(&partial, e))?;
        self.core.step("sync weights");
        // Contents before the name: a file under its final name is always whole.
        disk::sync(&file, &partial).map_err(|e| self.not_saved(&partial, e))?;
        self.core.step("name weights");
        files::publish(&partial, &name).map_err(|e| self.not_saved(&name, e))?;
        self.leftovers.push(name);
        Ok(found)
    }

    /// Replaces the claim by the sidecar and registers the checkpoint.
    pub(super) fn finish(mut self, mut row: CheckpointRow) -> Result<Checkpoint> {
        let core = self.core;
        core.step("sidecar");
        let name = self.folder.join(format!("{}{}", self.stem, names::SIDECAR));
        let partial = with_suffix(&name, names::PARTIAL);
        let file = files::create(&partial).map_err(|e| self.not_saved(&partial, e))?;
        self.leftovers.push(partial.clone());
        let lock = FileLock::of(file, LockMode::Exclusive);
        let lock = lock.map_err(|e| self.not_saved(&partial, e))?;
        // No other saver knows the name of this file.
        let taken = || self.not_saved(&partial, io::ErrorKind::WouldBlock.into());
        let lock = lock.ok_or_else(taken)?;
        let mut file = lock.file();
        let text = sidecar::write(&self.id, &row);
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| disk::sync(lock.file(), &partial));
        written.map_err(|e| self.not_saved(&partial, e))?;
        core.step("name sidecar");
        // The claim becomes the sidecar in one step, so the id is never free in between.
        disk::rename(&partial, &name).map_err(|e| self.not_saved(&partial, e))?;
        // The lock of the claim is kept too, until the end. Its file has lost its name to the
        // sidecar, and a removal that opened it earlier still finds it held.
        self.held.push(lock);
        core.step("sync folder");
        // One sync makes both names durable, of the weights and of the sidecar. The registry must
        // not name a file that a power cut could take away.
        files::sync_folder(&self.folder)?;
        core.step("register");
        // As late as possible: ages count from the moment of the entry.
        row.saved = core.now();
        // Last: before this commit a crash leaves files that the next save removes, after it a
        // whole checkpoint.
        let written = core
            .store
            .write(|change| change.insert(&self.id, &mut row, true));
        match written {
            Ok(_) => {}
            Err(ChangeFailure::Nothing(error)) => return Err(error),
            Err(ChangeFailure::Unknown(error)) => self.resolve(&row, error)?,
        }
        core.step("say");
        // From here on the files belong to the checkpoint.
        self.leftovers.clear();
        let saved = Checkpoint::new(&*self.id, row, &core.root);
        core.emit(
            CheckpointAction::Saved,
            saved.model(),
            saved.id(),
            &detail(&saved),
        );
        core.clear_none(saved.model());
        core.watches.notify();
        Ok(saved)
    }

    /// After a commit of unknown fate: nothing is removed unless the commit certainly did not
    /// happen.
    fn resolve(&mut self, row: &CheckpointRow, error: Error) -> Result<()> {
        let core = self.core;
        // Of a full device the engine can be asked afterwards. After any other failure only the
        // next opening shows what holds.
        if matches!(error, Error::NoRoom { .. }) {
            let known = core.store.read_settled(|view| view.checkpoint(&self.id));
            match known {
                // The commit holds although it was reported as failed.
                Ok(Some(known)) if known.digest == row.digest => return Ok(()),
                Ok(_) => {
                    let cause = io::Error::new(io::ErrorKind::StorageFull, error.to_string());
                    return Err(self.not_saved(&core.root.join(HOT_FILE), cause));
                }
                Err(_) => {}
            }
        }
        // The entry may be there, and must find its files. If it is not, a reconciliation takes the
        // sidecar up again.
        self.leftovers.clear();
        Err(Error::Unconfirmed {
            id: self.id.clone(),
            path: super::checkpoint::path(&self.core.root, row),
            reason: error.to_string(),
        })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // The claim goes last: while it is there, no other process uses the rest. Files that cannot
        // be removed are swept up later.
        for path in self.leftovers.iter().rev() {
            // In reverse: the weights go before the claim that protects them.
            let _ = files::remove(path);
        }
    }
}

fn not_saved(model: &str, path: &Path, cause: io::Error) -> Error {
    Error::NotSaved {
        model: name::shown(model),
        path: path.to_owned(),
        cause: Arc::new(cause),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// `YYYYMMDD_HHMMSS`, in UTC.
fn stamp(time: Timestamp) -> String {
    use chrono::Datelike;
    let time = time.datetime();
    match time.filter(|time| (0..=9_999).contains(&time.year())) {
        Some(time) => time.format("%Y%m%d_%H%M%S").to_string(),
        // No calendar that fits; still unique with its number.
        None => "00000000_000000".to_owned(),
    }
}

/// Detail of the journal's event: the metrics, the epoch and the step.
fn detail(saved: &Checkpoint) -> String {
    let metrics = saved.metrics().iter();
    let mut words: Vec<String> = metrics
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    words.extend(saved.epoch().map(|epoch| format!("epoch={epoch}")));
    words.extend(saved.step().map(|step| format!("step={step}")));
    words.truncate(16);
    words.join(" ")
}
