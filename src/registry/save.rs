//! Saving: the facts about a checkpoint, and the ways in which its weights come. How they are
//! written is in `claim`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::claim::Claim;
use super::files;
use super::files::{FileDigest, Hashing};
use super::metadata::Metadata;
use super::tables::details::Details;
use super::tables::look::RegistryView;
use super::tables::names;
use super::tables::rows::{CheckpointRow, Condition, Origin};
use super::{Core, Registry, safetensors, sidecar};
use crate::entry::error::{Error, Result};
use crate::entry::name;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Number;
use crate::fs::disk;
use crate::threads::panics;

/// Nesting of metadata that is taken.
const DEEPEST: usize = 32;

/// A checkpoint that is about to be saved: its known facts besides its weights.
///
/// From [`Registry::checkpoint`]; one of the methods that take weights ends it. When that returns
/// `Ok`, weights, sidecar and entry are on disk. That takes three fsyncs (weights, sidecar,
/// folder), those of one redb commit, and two more for a model's first checkpoint. After an error,
/// or if the process dies, all of the checkpoint remains, or nothing; the next save removes
/// leftovers.
#[must_use = "nothing is saved until a method that takes weights is called"]
pub struct NewCheckpoint<'r> {
    registry: &'r Registry,
    model: String,
    model_type: String,
    extension: String,
    created: Option<Timestamp>,
    metrics: Vec<(String, f64)>,
    metadata: Vec<(String, Metadata)>,
    step: Option<u64>,
    epoch: Option<u64>,
    parent: Option<String>,
    tags: Vec<String>,
}

impl Registry {
    /// Begins a checkpoint of `model`: at most 160 bytes without separators of paths and control
    /// characters. Names that differ in anything are different models, on every file system.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry
    ///     .checkpoint("dqn_agent")
    ///     .epoch(7)
    ///     .metric("val_loss", 0.0234)
    ///     .metadata("lr", 0.001)
    ///     .save(b"weights")?;
    /// assert_eq!(saved.epoch(), Some(7));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn checkpoint(&self, model: impl Into<String>) -> NewCheckpoint<'_> {
        NewCheckpoint {
            registry: self,
            model: model.into(),
            model_type: String::new(),
            extension: "bin".to_owned(),
            created: None,
            metrics: Vec::new(),
            metadata: Vec::new(),
            step: None,
            epoch: None,
            parent: None,
            tags: Vec::new(),
        }
    }
}

impl NewCheckpoint<'_> {
    /// The kind of model, for people.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").model_type("DQN").save(b"weights")?;
    /// assert_eq!(saved.model_type(), "DQN");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn model_type(mut self, model_type: impl Into<String>) -> Self {
        self.model_type = model_type.into();
        self
    }

    /// Extension of the file's name: 1 to 16 small letters and digits. Default `bin`. Weights saved
    /// as `safetensors` are refused unless their header keeps the rules of that format.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").extension("pt").save(b"weights")?;
    /// assert!(saved.path().extension().is_some_and(|extension| extension == "pt"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = extension.into();
        self
    }

    /// When the model was in this state, for imports and tests; by default, now. The id is made
    /// from it.
    ///
    /// ```
    /// use annals::Timestamp;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let nine: Timestamp = "2025-07-25T09:00:00Z".parse()?;
    /// let saved = registry.checkpoint("dqn_agent").created(nine).save(b"weights")?;
    /// assert_eq!(saved.id(), "dqn_agent_20250725_090000");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn created(mut self, time: Timestamp) -> Self {
        self.created = Some(time);
        self
    }

    /// A metric, of any number. NaN is kept, but never ranks. Given twice, the last value holds.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").metric("val_loss", 0.0234).save(b"weights")?;
    /// assert_eq!(saved.metric("val_loss"), Some(0.0234));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<Number>) -> Self {
        let (name, value) = (name.into(), value.into().get());
        // One value for each name: the index of ranks has one row for it.
        self.metrics.retain(|(known, _)| *known != name);
        self.metrics.push((name, value));
        self
    }

    /// Several [metrics](Self::metric).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let figures = [("val_loss", 0.25), ("accuracy", 0.875)];
    /// let saved = registry.checkpoint("dqn_agent").metrics(figures).save(b"weights")?;
    /// assert_eq!(saved.metric("accuracy"), Some(0.875));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn metrics<K: Into<String>, V: Into<Number>>(
        self,
        metrics: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let add = |new: Self, (name, value)| new.metric(name, value);
        metrics.into_iter().fold(self, add)
    }

    /// Something else about the training. Given twice, the last value holds.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").metadata("lr", 0.001).save(b"weights")?;
    /// assert_eq!(saved.metadata("lr").and_then(|lr| lr.as_f64()), Some(0.001));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Metadata>) -> Self {
        let name = name.into();
        self.metadata.retain(|(known, _)| *known != name);
        self.metadata.push((name, value.into()));
        self
    }

    /// The training step.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").step(40_000).save(b"weights")?;
    /// assert_eq!(saved.step(), Some(40_000));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn step(mut self, step: u64) -> Self {
        self.step = Some(step);
        self
    }

    /// The training epoch.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").epoch(4).save(b"weights")?;
    /// assert_eq!(saved.epoch(), Some(4));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The id of the checkpoint that its training started from.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let tuned = registry.checkpoint("dqn_agent").parent(saved.id()).save(b"tuned")?;
    /// assert_eq!(tuned.parent(), Some(saved.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn parent(mut self, id: impl Into<String>) -> Self {
        self.parent = Some(id.into());
        self
    }

    /// Adds a tag.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let new = registry.checkpoint("dqn_agent").tag("nightly").tag("release");
    /// let saved = new.save(b"weights")?;
    /// assert_eq!(saved.tags(), ["nightly", "release"]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        self
    }

    /// Saves these weights.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidOption`] for metadata beyond its bounds,
    /// [`Error::UnknownCheckpoint`] for an unknown parent. [`Error::NotSaved`] if the weights, the
    /// sidecar or the entry cannot be written, [errors of a
    /// commit](crate::Error#errors-of-a-commit), and [`Error::Unconfirmed`] if the commit's fate is
    /// unknown.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").metric("loss", 0.0234).save(&[1, 2, 3])?;
    /// assert_eq!(saved.bytes(), 3);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn save(self, weights: impl AsRef<[u8]>) -> Result<Checkpoint> {
        let weights = weights.as_ref();
        self.write(|file, _| {
            file.write_all(weights)?;
            let digest = *blake3::hash(weights).as_bytes();
            let bytes = weights.len() as u64;
            Ok(FileDigest { bytes, digest })
        })
    }

    /// Saves all that `weights` gives, a piece at a time: memory does not grow with the weights.
    ///
    /// # Errors
    /// Those of [`save`](Self::save); [`Error::NotSaved`] also if reading fails.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let weights: &[u8] = b"weights"; // any reader: a file, a socket
    /// let saved = registry.checkpoint("dqn_agent").save_from(weights)?;
    /// assert_eq!(saved.bytes(), 7);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn save_from(self, mut weights: impl Read) -> Result<Checkpoint> {
        self.write(|file, _| {
            let mut hashing = Hashing::new(file);
            files::copy(&mut weights, &mut hashing)?;
            Ok(hashing.fingerprint())
        })
    }

    /// Saves the output of `write`, as it is written. If it fails or panics, nothing is saved.
    ///
    /// # Errors
    /// Those of [`save`](Self::save); [`Error::NotSaved`] also with the closure's error, or with
    /// the message of its panic.
    ///
    /// ```
    /// # use std::io::Write;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save_with(|out| writeln!(out, "w = {}", 0.5))?;
    /// assert_eq!(saved.bytes(), 8);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn save_with(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Checkpoint> {
        self.write(|file, _| {
            let mut out = BufWriter::with_capacity(64 << 10, Hashing::new(file));
            caught(|| write(&mut out))?;
            out.flush()?;
            Ok(out.get_ref().fingerprint())
        })
    }

    /// Saves what `write` puts into the file at the path that it is given, for libraries that
    /// write files themselves. The file exists and is empty; it is read once afterwards.
    ///
    /// # Errors
    /// Those of [`save_with`](Self::save_with).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// // For libraries that only write to a path.
    /// let new = registry.checkpoint("dqn_agent");
    /// let saved = new.save_to_path(|path| std::fs::write(path, b"weights"))?;
    /// assert_eq!(saved.bytes(), 7);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn save_to_path(self, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<Checkpoint> {
        self.write(|_, path| {
            caught(|| write(path))?;
            // Opened anew: it may have been replaced.
            let mut written = disk::open_regular(path)?;
            let found = files::fingerprint(&mut written, u64::MAX)?;
            // The caller's own handle may be closed without a sync.
            written.sync_all()?;
            Ok(found)
        })
    }

    /// Registers a file that already lies somewhere. It stays there, is read once for its digest,
    /// and is never removed by the registry.
    ///
    /// # Errors
    /// Those of [`save`](Self::save), and [`Error::Io`] if `path` cannot be read or is no file.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let file = dir.path().join("elsewhere.pt");
    /// std::fs::write(&file, b"weights").unwrap();
    /// let registered = registry.checkpoint("dqn_agent").register(&file)?; // stays where it is
    /// assert_eq!(registered.bytes(), 7);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn register(self, path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = path.as_ref();
        let (path, found) = read_registered(path).map_err(|e| Error::io("read", path, e))?;
        let (core, mut row) = self.begin(Origin::Registered)?;
        // After the file was read: a file that cannot be registered claims no id.
        let claim = Claim::take(core, &row, None)?;
        row.file = path;
        row.bytes = found.bytes;
        row.digest = Some(found.digest);
        claim.finish(row)
    }

    fn write(
        self,
        write: impl FnOnce(&mut File, &Path) -> io::Result<FileDigest>,
    ) -> Result<Checkpoint> {
        let extension = self.extension.clone();
        let (core, mut row) = self.begin(Origin::Saved)?;
        let mut claim = Claim::take(core, &row, Some(&extension))?;
        let found = claim.weights(&extension, |file, path| {
            let found = write(file, path)?;
            if extension == "safetensors" {
                let mut written = disk::open_regular(path)?;
                // Before the name is given: a broken file must not become a checkpoint.
                safetensors::parse(&mut written, found.bytes)?;
            }
            Ok(found)
        })?;
        row.file = claim.file_name(&extension);
        row.bytes = found.bytes;
        row.digest = Some(found.digest);
        claim.finish(row)
    }
}

impl<'r> NewCheckpoint<'r> {
    /// Refuses a checkpoint that cannot be saved, and makes the row, which lacks only the facts
    /// about the weights.
    fn begin(self, origin: Origin) -> Result<(&'r Core, CheckpointRow)> {
        let core = self.registry.core();
        let row = self.into_row(origin)?;
        if let Some(parent) = &row.parent {
            core.store.read(|view| {
                // A deleted parent is still part of the lineage.
                if view.checkpoint(parent)?.is_none() && view.deleted(parent)?.is_none() {
                    return Err(super::tables::change::unknown(parent, None));
                }
                Ok(())
            })?;
        }
        Ok((core, row))
    }

    pub(super) fn into_row(self, origin: Origin) -> Result<CheckpointRow> {
        names::check_model(&self.model)?;
        names::check_extension(&self.extension)?;
        let metrics = self.metrics.iter().map(|(name, _)| ("metric", name));
        let tags = self.tags.iter().map(|name| ("tag", name));
        for (what, name) in metrics.chain(tags) {
            name::check_word(what, name)?;
        }
        let refused = |value: String, advice| {
            Err(Error::InvalidOption {
                name: "metadata",
                value,
                advice,
            })
        };
        let depths = self.metadata.iter().map(|(_, value)| value.depth(DEEPEST));
        if depths.max().unwrap_or(0) > DEEPEST {
            return refused("too deep".to_owned(), "nest at most 32 lists and maps");
        }
        let row = CheckpointRow {
            model: self.model.into(),
            model_type: self.model_type,
            created: self.created.unwrap_or_else(|| self.registry.core().now()),
            order: Timestamp::default(),
            number: 0,
            origin,
            condition: Condition::Present,
            file: String::new(),
            bytes: 0,
            digest: None,
            metrics: self.metrics,
            step: self.step,
            epoch: self.epoch,
            parent: self.parent,
            tags: self.tags,
            pinned: false,
            metadata: Details::new(self.metadata),
            saved: Timestamp::default(),
            sequence: Sequence::ZERO,
            parts: Vec::new(),
        };
        check_size(&row)?;
        Ok(row)
    }
}

/// Refuses a row that is larger than a sidecar may be: what is stored must be readable again.
pub(super) fn check_size(row: &CheckpointRow) -> Result<()> {
    // Measured as it will be written: a sidecar beyond the limits could not be read back.
    let text = sidecar::write("", row);
    let values = sidecar::count_values(text.as_bytes());
    if text.len() <= sidecar::MOST_TEXT && values <= sidecar::MOST_VALUES {
        return Ok(());
    }
    Err(Error::InvalidOption {
        name: "metadata",
        value: format!("{} bytes, {values} values", text.len()),
        advice: "give at most 4 MiB and 250,000 values, and the rest in files",
    })
}

fn read_registered(path: &Path) -> io::Result<(String, FileDigest)> {
    let mut file = disk::open_regular_anywhere(path)?;
    let whole = fs::canonicalize(path)?;
    if let Some(why) = safetensors::fault(path, &mut file)? {
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let found = files::fingerprint(&mut file, u64::MAX)?;
    match whole.into_os_string().into_string() {
        Ok(text) => Ok((text, found)),
        Err(_) => Err(io::Error::other("its path is no UTF-8")),
    }
}

/// A panic of the user's code as an error, so that a failed save does not take the host down. The
/// user's panic hook is called: the panic is the user's.
fn caught(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // The claim and the half file are cleared away, as after an error.
    catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|panic| {
        let said = panics::said(&*panic);
        Err(io::Error::other(format!(
            "the writing closure panicked: {said}"
        )))
    })
}
