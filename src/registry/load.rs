//! Loading: weights are handed out when their digest was compared, or while it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::checkpoint;
use super::checkpoint::Checkpoint;
use super::files;
use super::files::{FileDigest, Hashing};
use super::tables::look::RegistryView;
use super::tables::rows::{Condition, WeightsPart};
use super::{Core, Registry, safetensors};
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::entry::hex::hex;
use crate::fs::disk;

/// Weights whose digest was compared. Holds the file open: on Unix it can be read to its end even
/// if the checkpoint is deleted in between.
#[derive(Debug)]
pub struct Loaded {
    checkpoint: Checkpoint,
    path: PathBuf,
    file: File,
}

impl Loaded {
    /// The registry's entry.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").step(40_000).save(b"weights")?;
    /// let loaded = registry.load(saved.id())?;
    /// assert_eq!(loaded.checkpoint().step(), Some(40_000));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Its file, for libraries that open files themselves.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let loaded = registry.load(saved.id())?;
    /// assert!(loaded.path().exists()); // for libraries that read from a path
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, at its beginning.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// let mut text = String::new();
    /// registry.load(saved.id())?.into_file().read_to_string(&mut text).unwrap();
    /// assert_eq!(text, "weights");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    /// All of the weights, in memory.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(registry.load(saved.id())?.into_bytes()?, b"weights");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn into_bytes(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.file.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(cause) => Err(Error::io("read", self.path, cause)),
        }
    }
}

impl Read for Loaded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Loaded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Weights whose digest is compared as they are read. The read that meets the end fails with
/// [`io::ErrorKind::InvalidData`] if they differ from the saved ones. Trust them only after that.
#[derive(Debug)]
pub struct WeightsReader {
    checkpoint: Checkpoint,
    hashing: Hashing<File>,
    done: bool,
}

impl WeightsReader {
    /// The registry's entry.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").step(40_000).save(b"weights")?;
    /// let reader = registry.reader(saved.id())?;
    /// assert_eq!(reader.checkpoint().step(), Some(40_000));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl Read for WeightsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.hashing.read(buffer)?;
        // An empty buffer reads nothing too, and says nothing about the end.
        if taken == 0 && !buffer.is_empty() && !self.done {
            if let Some(difference) = difference(&self.checkpoint, self.hashing.fingerprint()) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, difference));
            }
            self.done = true;
        }
        Ok(taken)
    }
}

/// The best checkpoint that could be loaded, and those that are better and could not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fallback {
    /// The weights, verified.
    pub loaded: Loaded,
    /// Better ones, best first, with the defect of each. Empty if the best is well.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint that could not be loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Its id.
    pub id: String,
    /// Why.
    pub error: Error,
}

impl Registry {
    /// Verifies a checkpoint's weights and opens them: size and blake3 digest, one pass over the
    /// file in pieces. Weights that were found in a folder have no digest until they are read; the
    /// first load computes it. Weights of several files are all verified, and [`Loaded`] is the
    /// first.
    ///
    /// A checkpoint whose weights prove missing or damaged no longer ranks, until
    /// [`reconcile`](Self::reconcile) finds them well.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`], [`Error::Deleted`], [`Error::WeightsMissing`],
    /// [`Error::WeightsCorrupt`], [`Error::Io`] if the file cannot be read.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let weights = registry.load(saved.id())?.into_bytes()?; // digest verified
    /// assert_eq!(weights, b"weights");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn load(&self, id: &str) -> Result<Loaded> {
        let core = self.core();
        let checkpoint = self.find(id)?;
        let path = checkpoint.path();
        let mut file = core.open(&checkpoint, &path)?;
        let reading = |e| Error::io("read", &path, e);
        // A file of another size is not read: a row may name one that has no end.
        let bytes = file.metadata().map_err(reading)?.len();
        let was = checkpoint.row().first_bytes();
        if bytes != was && !is_unseen(&checkpoint) {
            return Err(core.corrupt(&checkpoint, path, other_size(bytes, was)));
        }
        // The open file is read, hashed and handed on: a replacement of its name changes nothing.
        let found = files::fingerprint(&mut file, bytes).map_err(reading)?;
        if let Some(difference) = difference(&checkpoint, found) {
            return Err(core.corrupt(&checkpoint, path, difference));
        }
        core.check_parts(&checkpoint)?;
        file.rewind().map_err(|e| Error::io("read", &path, e))?;
        if checkpoint.digest().is_none()
            && let Some(why) = safetensors::fault(&path, &mut file).map_err(reading)?
        {
            return Err(core.corrupt(&checkpoint, path, why));
        }
        core.learn(&checkpoint, found);
        core.emit(CheckpointAction::Loaded, checkpoint.model(), id, "");
        Ok(Loaded {
            checkpoint,
            path,
            file,
        })
    }

    /// Opens a checkpoint's weights to be verified while they are read; see [`WeightsReader`].
    ///
    /// # Errors
    /// Those of [`load`](Self::load), except for damage, which the reader reports.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// use std::io::Read;
    ///
    /// let mut weights = Vec::new();
    /// registry.reader(saved.id())?.read_to_end(&mut weights).expect("whole weights");
    /// assert_eq!(weights, b"weights");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn reader(&self, id: &str) -> Result<WeightsReader> {
        let core = self.core();
        let checkpoint = self.find(id)?;
        let file = core.open(&checkpoint, &checkpoint.path())?;
        core.check_parts(&checkpoint)?;
        core.emit(CheckpointAction::Loaded, checkpoint.model(), id, "");
        Ok(WeightsReader {
            checkpoint,
            hashing: Hashing::new(file),
            done: false,
        })
    }

    /// Loads a model's best checkpoint, or the best of those with whole weights, and reports the
    /// defects of the better ones. `None` if none ranks or none is well.
    ///
    /// # Errors
    /// Those of [`best`](Self::best) and of a file that is there and cannot be read.
    ///
    /// ```
    /// # use annals::{Journal, Mode};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// registry.set_monitor("dqn_agent", "loss", Mode::Min)?;
    /// let good = registry.checkpoint("dqn_agent").metric("loss", 0.2).save(b"good")?;
    /// let best = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"best")?;
    /// std::fs::remove_file(best.path()).unwrap();
    ///
    /// let fallback = registry.best_loadable("dqn_agent")?.expect("one is well");
    /// assert_eq!(fallback.loaded.checkpoint().id(), good.id());
    /// assert_eq!(fallback.skipped[0].id, best.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn best_loadable(&self, model: &str) -> Result<Option<Fallback>> {
        // A checkpoint that fails is passed over, also where its state cannot be stored.
        let mut skipped: Vec<Skipped> = Vec::new();
        loop {
            // The usual case is one look-up. Only after a failure is the ranking read on.
            let best = match skipped.len() {
                0 => self.best(model)?.into_iter().collect(),
                passed => self.ranked_past(model, passed)?,
            };
            // Where the state of a failed one could not be stored, it is still ranked.
            let is_new = |found: &&Checkpoint| skipped.iter().all(|known| known.id != found.id());
            let Some(next) = best.iter().find(is_new) else {
                return Ok(None);
            };
            match self.load(next.id()) {
                Ok(loaded) => return Ok(Some(Fallback { loaded, skipped })),
                Err(
                    error @ (Error::WeightsMissing { .. }
                    | Error::WeightsCorrupt { .. }
                    | Error::Deleted { .. }
                    | Error::UnknownCheckpoint { .. }),
                ) => skipped.push(Skipped {
                    id: next.id().to_owned(),
                    error,
                }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Enough of the best that one lies behind `passed` others.
    fn ranked_past(&self, model: &str, passed: usize) -> Result<Vec<Checkpoint>> {
        match self.monitor(model)? {
            Some((metric, mode)) => match self.top_k(model, &metric, mode, passed + 1) {
                Err(Error::UnknownMetric { .. }) => Ok(Vec::new()),
                found => found,
            },
            None => Ok(Vec::new()),
        }
    }
}

/// Whether its weights were gone before they were ever read: neither size nor digest is known.
pub(super) fn is_unseen(checkpoint: &Checkpoint) -> bool {
    checkpoint.digest().is_none() && *checkpoint.condition() == Condition::Missing
}

/// The defect of a further file of a checkpoint, if there is one.
pub(super) fn part_fault(
    root: &Path,
    checkpoint: &Checkpoint,
    part: &WeightsPart,
    with_contents: bool,
) -> io::Result<Option<String>> {
    let mut file = checkpoint::open_part(root, checkpoint.row(), part)?;
    let length = file.metadata()?.len();
    if length != part.bytes {
        return Ok(Some(format!(
            "{}: {}",
            part.file,
            other_size(length, part.bytes)
        )));
    }
    let is_whole = !with_contents || files::fingerprint(&mut file, length)?.digest == part.digest;
    Ok((!is_whole).then(|| format!("{}: its blake3 digest is another one", part.file)))
}

pub(super) fn other_size(is: u64, was: u64) -> String {
    format!("it has {is} bytes, {was} were saved")
}

/// The difference between these contents and the saved ones.
pub(super) fn difference(checkpoint: &Checkpoint, found: FileDigest) -> Option<String> {
    let was = checkpoint.row().first_bytes();
    if found.bytes != was && !is_unseen(checkpoint) {
        return Some(other_size(found.bytes, was));
    }
    match checkpoint.digest() {
        Some(digest) if digest != found.digest => Some(format!(
            "its blake3 digest is {}, {} was saved",
            hex(&found.digest),
            hex(&digest)
        )),
        _ => None,
    }
}

impl Core {
    /// Verifies the further files of weights that consist of several.
    fn check_parts(&self, checkpoint: &Checkpoint) -> Result<()> {
        for (part, path) in checkpoint.row().parts.iter().zip(checkpoint.parts()) {
            match part_fault(&self.root, checkpoint, part, true) {
                Ok(None) => {}
                Ok(Some(why)) => return Err(self.corrupt(checkpoint, path, why)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.mark(checkpoint, Condition::Missing);
                    let id = checkpoint.id().to_owned();
                    return Err(Error::WeightsMissing { id, path });
                }
                Err(error) if disk::is_no_regular_file(&error) => {
                    return Err(self.corrupt(checkpoint, path, error.to_string()));
                }
                Err(error) => return Err(Error::io("read", path, error)),
            }
        }
        Ok(())
    }

    fn open(&self, checkpoint: &Checkpoint, path: &Path) -> Result<File> {
        match checkpoint.open() {
            Ok(file) => Ok(file),
            Err(error) if disk::is_no_regular_file(&error) => {
                Err(self.corrupt(checkpoint, path.to_owned(), error.to_string()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Deleted since it was looked up?
                self.store
                    .read(|view| match view.checkpoint(checkpoint.id())? {
                        Some(_) => Ok(()),
                        None => {
                            let note = view.deleted(checkpoint.id())?;
                            Err(super::tables::change::unknown(checkpoint.id(), note))
                        }
                    })?;
                self.mark(checkpoint, Condition::Missing);
                self.emit(
                    CheckpointAction::Failed,
                    checkpoint.model(),
                    checkpoint.id(),
                    "its weights are missing",
                );
                Err(Error::WeightsMissing {
                    id: checkpoint.id().to_owned(),
                    path: path.to_owned(),
                })
            }
            Err(error) => Err(Error::io("open", path, error)),
        }
    }

    fn corrupt(&self, checkpoint: &Checkpoint, path: PathBuf, detail: String) -> Error {
        self.mark(checkpoint, Condition::Corrupt(detail.clone()));
        self.emit(
            CheckpointAction::Failed,
            checkpoint.model(),
            checkpoint.id(),
            &detail,
        );
        Error::WeightsCorrupt {
            id: checkpoint.id().to_owned(),
            path,
            detail,
        }
    }

    /// Notes the defect, so that it no longer ranks. A process without the right to write skips it.
    fn mark(&self, checkpoint: &Checkpoint, condition: Condition) {
        if *checkpoint.condition() == condition {
            return;
        }
        let noted = self.change(|change| {
            change
                .edit(checkpoint.id(), |row| row.condition = condition)
                .map(drop)
        });
        // The present error is more useful than a failure to store it.
        let _ = noted;
    }

    /// Stores the digest of weights that were never read before.
    fn learn(&self, checkpoint: &Checkpoint, found: FileDigest) {
        // Weights that were missing or found damaged are well now, or this would not be reached.
        let is_well = *checkpoint.condition() == Condition::Present;
        if checkpoint.digest().is_none() || !is_well {
            let learnt = self.change(|change| {
                let edit = |row: &mut super::tables::rows::CheckpointRow| {
                    // Another process may have learnt it first: its digest stands.
                    if row.digest.is_none() {
                        row.see(found.bytes, found.digest);
                    }
                    row.condition = Condition::Present;
                };
                change.edit(checkpoint.id(), edit).map(drop)
            });
            // Without the right to write, the next load learns it.
            let _ = learnt;
        }
    }
}
