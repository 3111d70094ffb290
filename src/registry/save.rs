//! Saving: an id is claimed, the weights are written aside, made durable and named, the sidecar
//! replaces the claim, and then the registry takes the checkpoint in.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::checkpoint::Checkpoint;
use super::files::{self, Fingerprint, Hashing};
use super::{Core, Registry, sidecar, sweep};
use crate::error::{Error, Result};
use crate::event::CheckpointAction;
use crate::metadata::Metadata;
use crate::store::{
    ChangeFailure, CheckpointRow, Condition, Details, HOT_FILE, Origin, View, names,
};
use crate::timestamp::Timestamp;

/// Nesting of metadata that is taken.
const DEEPEST: usize = 32;
/// Bytes that a sidecar may have: what is stored must be decodable.
const MOST_TEXT: usize = 4 << 20;
/// Checkpoints of one model that one second may see.
const MOST_PER_SECOND: u32 = 1_000_000;

/// A checkpoint that is about to be saved: what is known of it besides its weights.
///
/// From [`Registry::checkpoint`]; one of the methods that take weights ends it. When that returns
/// `Ok`, weights, sidecar and entry are on disk: that takes three fsyncs (weights, sidecar,
/// folder), those of one redb commit, and two more for a model's first checkpoint. When it returns
/// an error, or the process dies, nothing of the checkpoint remains, or all of it; what is left
/// of a dead save is cleared away by the next one.
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
    pub fn model_type(mut self, model_type: impl Into<String>) -> Self {
        self.model_type = model_type.into();
        self
    }

    /// What the file's name ends in: 1 to 16 small letters and digits. Default `bin`.
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = extension.into();
        self
    }

    /// When the model was in this state, for imports and tests; by default, now. The id is made
    /// from it.
    pub fn created(mut self, time: Timestamp) -> Self {
        self.created = Some(time);
        self
    }

    /// A metric. NaN is kept, but never ranks. Given twice, the last value holds.
    pub fn metric(mut self, name: impl Into<String>, value: f64) -> Self {
        let name = name.into();
        self.metrics.retain(|(known, _)| *known != name);
        self.metrics.push((name, value));
        self
    }

    /// Something else about the training. Given twice, the last value holds.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Metadata>) -> Self {
        let name = name.into();
        self.metadata.retain(|(known, _)| *known != name);
        self.metadata.push((name, value.into()));
        self
    }

    /// The training step.
    pub fn step(mut self, step: u64) -> Self {
        self.step = Some(step);
        self
    }

    /// The training epoch.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The id of the checkpoint that training went on from.
    pub fn parent(mut self, id: impl Into<String>) -> Self {
        self.parent = Some(id.into());
        self
    }

    /// Adds a tag.
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
    /// [`Error::UnknownCheckpoint`] for a parent that nobody knows, [`Error::NotSaved`] if the
    /// weights, the sidecar or the entry cannot be written, others of a commit, and
    /// [`Error::Unconfirmed`] if the commit's fate is unknown.
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
            Ok(Fingerprint { bytes, digest })
        })
    }

    /// Saves all that `weights` gives, a piece at a time: memory does not grow with the weights.
    ///
    /// # Errors
    /// Those of [`save`](Self::save); [`Error::NotSaved`] also if reading fails.
    pub fn save_from(self, mut weights: impl Read) -> Result<Checkpoint> {
        self.write(|file, _| {
            let mut hashing = Hashing::new(file);
            files::copy(&mut weights, &mut hashing)?;
            Ok(hashing.fingerprint())
        })
    }

    /// Saves what `write` writes, as it is written. If it fails or panics, nothing is saved.
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
    pub fn save_to_path(self, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<Checkpoint> {
        self.write(|_, path| {
            caught(|| write(path))?;
            // Opened anew: it may have been replaced.
            let mut written = File::open(path)?;
            let found = files::fingerprint(&mut written)?;
            written.sync_all()?;
            Ok(found)
        })
    }

    /// Registers a file that already lies somewhere. It stays there, is read once for its digest,
    /// and is never removed by the registry.
    ///
    /// # Errors
    /// Those of [`save`](Self::save), and [`Error::Io`] if `path` cannot be read or is no file.
    pub fn register(self, path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = path.as_ref();
        let (path, found) = read_registered(path).map_err(|e| Error::io("read", path, e))?;
        let (core, mut row) = self.begin(Origin::Registered)?;
        let claim = Claim::take(core, &row, None)?;
        row.file = path;
        row.bytes = found.bytes;
        row.digest = Some(found.digest);
        claim.finish(row)
    }

    fn write(
        self,
        write: impl FnOnce(&mut File, &Path) -> io::Result<Fingerprint>,
    ) -> Result<Checkpoint> {
        let extension = self.extension.clone();
        let (core, mut row) = self.begin(Origin::Saved)?;
        let mut claim = Claim::take(core, &row, Some(&extension))?;
        let found = claim.weights(&extension, write)?;
        row.file = claim.file_name(&extension);
        row.bytes = found.bytes;
        row.digest = Some(found.digest);
        claim.finish(row)
    }
}

impl<'r> NewCheckpoint<'r> {
    /// Refuses what cannot be saved, and makes the row that lacks only what the weights say.
    fn begin(self, origin: Origin) -> Result<(&'r Core, CheckpointRow)> {
        let core = self.registry.core();
        let row = self.into_row(origin)?;
        if let Some(parent) = &row.parent {
            core.store.read(|view| {
                if view.checkpoint(parent)?.is_none() && view.deleted(parent)?.is_none() {
                    return Err(crate::store::unknown(parent, None));
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
            names::check_word(what, name)?;
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
        let created = self.created.map(Timestamp::as_micros);
        let row = CheckpointRow {
            model: self.model.into(),
            model_type: self.model_type,
            created: created.unwrap_or_else(|| self.registry.core().now()),
            order: 0,
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
        };
        let text = sidecar::write("", &row).len();
        if text > MOST_TEXT {
            return refused(
                format!("{text} bytes"),
                "give at most 4 MiB, and the rest in files",
            );
        }
        Ok(row)
    }
}

fn read_registered(path: &Path) -> io::Result<(String, Fingerprint)> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let whole = fs::canonicalize(path)?;
    let found = files::fingerprint(&mut File::open(&whole)?)?;
    match whole.into_os_string().into_string() {
        Ok(text) => Ok((text, found)),
        Err(_) => Err(io::Error::other("its path is no UTF-8")),
    }
}

/// A panic of the user's code as an error, so that a failed save does not take the host down.
fn caught(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let said = said.unwrap_or("no message");
        Err(io::Error::other(format!(
            "the writing closure panicked: {said}"
        )))
    })
}

/// An id that belongs to this save. Dropped before it is finished, it leaves nothing behind.
struct Claim<'c> {
    core: &'c Core,
    id: String,
    model: Box<str>,
    folder: PathBuf,
    stem: String,
    /// Open, and thereby locked, while the save lives: tells a save from what a dead one left.
    held: Vec<File>,
    /// To be removed if the save comes to nothing.
    leftovers: Vec<PathBuf>,
}

impl<'c> Claim<'c> {
    fn take(core: &'c Core, row: &CheckpointRow, extension: Option<&str>) -> Result<Self> {
        let folder = names::folder(&core.root, &row.model);
        let not_saved = |path: &Path, cause| not_saved(&row.model, path, cause);
        files::create_folder(&core.root, &folder)?;
        sweep::once(core, &row.model, &folder)?;
        core.step("claim");
        let claims = core.hold_claims(false)?;
        let base = format!("{}_{}", row.model, stamp(row.created));
        let first = {
            let last = core
                .last_claim
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if last.0 == base { last.1 + 1 } else { 1 }
        };
        for attempt in first..MOST_PER_SECOND {
            let id = match attempt {
                1 => base.clone(),
                more => format!("{base}_{more}"),
            };
            let stem = names::stem(&row.model, &id);
            let path = folder.join(format!("{stem}{}", names::SIDECAR));
            let mut file = match files::create(&path) {
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
            if !files::try_hold(&file).map_err(|e| not_saved(&path, e))? {
                continue;
            }
            let weights = extension.map(|extension| format!("{}.{extension}", claim.stem));
            let text = sidecar::claim(weights.as_deref());
            file.write_all(text.as_bytes())
                .map_err(|e| not_saved(&path, e))?;
            claim.held.push(file);
            // An id names one checkpoint for ever, also where its files are gone.
            let used = core.store.read(|view| {
                Ok(view.checkpoint(&claim.id)?.is_some() || view.deleted(&claim.id)?.is_some())
            })?;
            if !used {
                let mut last = core
                    .last_claim
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *last = (base, attempt);
                drop((claims, last));
                return Ok(claim);
            }
        }
        let taken = io::Error::other("this second has had a million checkpoints");
        Err(not_saved(&folder, taken))
    }

    fn file_name(&self, extension: &str) -> String {
        format!("{}/{}.{extension}", names::spelling(&self.model), self.stem)
    }

    fn not_saved(&self, path: &Path, cause: io::Error) -> Error {
        not_saved(&self.model, path, cause)
    }

    /// Writes the weights aside, makes them durable and gives them their name.
    fn weights(
        &mut self,
        extension: &str,
        write: impl FnOnce(&mut File, &Path) -> io::Result<Fingerprint>,
    ) -> Result<Fingerprint> {
        self.core.step("weights");
        let name = self.folder.join(format!("{}.{extension}", self.stem));
        let partial = with_suffix(&name, names::PARTIAL);
        let mut file = files::create(&partial).map_err(|e| self.not_saved(&partial, e))?;
        self.leftovers.push(partial.clone());
        let found = write(&mut file, &partial).map_err(|e| self.not_saved(&partial, e))?;
        self.core.step("sync weights");
        file.sync_all().map_err(|e| self.not_saved(&partial, e))?;
        self.core.step("name weights");
        files::publish(&partial, &name).map_err(|e| self.not_saved(&name, e))?;
        self.leftovers.push(name);
        Ok(found)
    }

    /// Replaces the claim by the sidecar and registers the checkpoint.
    fn finish(mut self, mut row: CheckpointRow) -> Result<Checkpoint> {
        let core = self.core;
        core.step("sidecar");
        let name = self.folder.join(format!("{}{}", self.stem, names::SIDECAR));
        let partial = with_suffix(&name, names::PARTIAL);
        let mut file = files::create(&partial).map_err(|e| self.not_saved(&partial, e))?;
        self.leftovers.push(partial.clone());
        // Nobody else knows this file; where there are no locks, there are no others.
        files::try_hold(&file).map_err(|e| self.not_saved(&partial, e))?;
        let text = sidecar::write(&self.id, &row);
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(|e| self.not_saved(&partial, e))?;
        core.step("name sidecar");
        fs::rename(&partial, &name).map_err(|e| self.not_saved(&partial, e))?;
        self.held.push(file);
        core.step("sync folder");
        files::sync_folder(&self.folder)?;
        core.step("register");
        let written = core
            .store
            .write(|change| change.insert(&self.id, &mut row, true));
        match written {
            Ok(_) => {}
            Err(ChangeFailure::Nothing(error)) => return Err(error),
            Err(ChangeFailure::Unknown(error)) => self.settle(&row, error)?,
        }
        core.step("say");
        self.leftovers.clear();
        let saved = Checkpoint::new(&*self.id, row, &core.root);
        core.say(
            CheckpointAction::Saved,
            saved.model(),
            saved.id(),
            &detail(&saved),
        );
        core.say_some(saved.model());
        core.watches.nudge();
        Ok(saved)
    }

    /// After a commit that nobody can vouch for: nothing is removed unless it certainly did not
    /// happen.
    fn settle(&mut self, row: &CheckpointRow, error: Error) -> Result<()> {
        let core = self.core;
        if matches!(error, Error::NoRoom { .. }) {
            let known = core.store.read_settled(|view| view.checkpoint(&self.id));
            match known {
                Ok(Some(known)) if known.digest == row.digest => return Ok(()),
                Ok(_) => {
                    let cause = io::Error::new(io::ErrorKind::StorageFull, error.to_string());
                    return Err(self.not_saved(&core.root.join(HOT_FILE), cause));
                }
                Err(_) => {}
            }
        }
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
        // The claim goes last: while it is there, nobody takes the rest for anything else. What
        // cannot be removed is swept up later.
        for path in self.leftovers.iter().rev() {
            let _ = files::remove(path);
        }
    }
}

fn not_saved(model: &str, path: &Path, cause: io::Error) -> Error {
    Error::NotSaved {
        model: names::shown(model),
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
fn stamp(micros: i64) -> String {
    use chrono::Datelike;
    let time = Timestamp::from_micros(micros).to_datetime();
    match time.filter(|time| (0..=9_999).contains(&time.year())) {
        Some(time) => time.format("%Y%m%d_%H%M%S").to_string(),
        // No calendar that fits; still unique with its number.
        None => "00000000_000000".to_owned(),
    }
}

/// What the journal's event says: the metrics, the epoch and the step.
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
