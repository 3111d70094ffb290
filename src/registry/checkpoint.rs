//! The registry's entry of one checkpoint.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::metadata::Metadata;
use super::tables::names;
use super::tables::rows::{CheckpointRow, Condition, Origin, WeightsPart};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::disk::Below;

/// One checkpoint as the registry knew it when it was asked. Cheap to clone; its weights are not
/// in it: see [`Registry::load`](crate::Registry::load).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("data");
/// let journal = annals::Journal::open(&dir)?;
/// let registry = journal.registry()?;
/// let new = registry.checkpoint("dqn_agent").model_type("DQN").step(40_000).epoch(4);
/// let saved = new.metric("val_loss", 0.1).metadata("seed", 7).tag("nightly").save(b"weights")?;
///
/// assert_eq!((saved.model(), saved.model_type()), ("dqn_agent", "DQN"));
/// assert_eq!((saved.step(), saved.epoch()), (Some(40_000), Some(4)));
/// assert_eq!(saved.metrics(), [("val_loss".to_owned(), 0.1)]);
/// assert_eq!(saved.all_metadata()[0].0, "seed");
/// assert_eq!(saved.tags(), ["nightly"]);
/// assert!(!saved.is_pinned());
/// assert!(saved.created() <= annals::Timestamp::now());
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint(Arc<KnownCheckpoint>);

struct KnownCheckpoint {
    id: Box<str>,
    row: CheckpointRow,
    root: Arc<Path>,
}

impl Checkpoint {
    pub(crate) fn new(id: impl Into<Box<str>>, row: CheckpointRow, root: &Arc<Path>) -> Self {
        Checkpoint(Arc::new(KnownCheckpoint {
            id: id.into(),
            row,
            root: root.clone(),
        }))
    }

    pub(crate) fn row(&self) -> &CheckpointRow {
        &self.0.row
    }

    /// Its id: `<model>_<YYYYMMDD_HHMMSS>` (UTC), with `_2`, `_3` and so on behind it where one
    /// second saw several. A checkpoint that was found in a folder has its file's name.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert!(saved.id().starts_with("dqn_agent_")); // and the second of its save
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The model whose state it is.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert_eq!(saved.model(), "dqn_agent");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn model(&self) -> &str {
        &self.0.row.model
    }

    /// The kind of model, as given; may be empty.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").model_type("DQN").save(b"weights")?;
    /// assert_eq!(saved.model_type(), "DQN");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn model_type(&self) -> &str {
        &self.0.row.model_type
    }

    /// When saving it began, or its file's time where it was found.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert!(saved.created() <= annals::Timestamp::now());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.0.row.created
    }

    /// The metric with this name.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(saved.metric("loss"), Some(0.1));
    /// assert_eq!(saved.metric("accuracy"), None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        let metrics = &self.0.row.metrics;
        metrics
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    }

    /// Names and values of its metrics, as they were given.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").metric("val_loss", 0.25).save(b"weights")?;
    /// assert_eq!(saved.metrics(), [("val_loss".to_owned(), 0.25)]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> &[(String, f64)] {
        &self.0.row.metrics
    }

    /// The value of its training metadata with this name.
    ///
    /// ```
    /// use annals::registry::Metadata;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let new = registry.checkpoint("dqn_agent").metadata("optimiser", "adam");
    /// let saved = new.save(b"weights")?;
    /// assert_eq!(saved.metadata("optimiser"), Some(&Metadata::from("adam")));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&Metadata> {
        let metadata = self.0.row.metadata.entries();
        metadata
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Names and values of its training metadata.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").metadata("seed", 7).save(b"weights")?;
    /// assert_eq!(saved.all_metadata(), [("seed".to_owned(), 7.into())]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn all_metadata(&self) -> &[(String, Metadata)] {
        self.0.row.metadata.entries()
    }

    /// The training step, if one was given.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").step(40_000).save(b"weights")?;
    /// assert_eq!(saved.step(), Some(40_000));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn step(&self) -> Option<u64> {
        self.0.row.step
    }

    /// The training epoch, if one was given.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").epoch(4).save(b"weights")?;
    /// assert_eq!(saved.epoch(), Some(4));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.0.row.epoch
    }

    /// The id of the checkpoint that its training started from.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let first = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// let tuned = registry.checkpoint("dqn_agent").parent(first.id()).save(b"tuned")?;
    /// assert_eq!(tuned.parent(), Some(first.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.row.parent.as_deref()
    }

    /// Its tags, in the order in which they were given.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").tag("nightly").save(b"weights")?;
    /// assert_eq!(saved.tags(), ["nightly"]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.0.row.tags
    }

    /// Whether it is pinned, which protects it from deletion.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// registry.pin(saved.id())?;
    /// assert!(registry.find(saved.id())?.is_pinned());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.0.row.pinned
    }

    /// Further files of its weights, where they consist of several: shards, or the files of a
    /// folder. [`path`](Self::path) is the first, such as the index of the shards.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert!(saved.parts().is_empty()); // one file has all of it
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn parts(&self) -> Vec<PathBuf> {
        let first = self.path();
        let folder = first.parent().unwrap_or(Path::new(""));
        let parts = self.0.row.parts.iter();
        parts.map(|part| folder.join(&part.file)).collect()
    }

    /// Size of its weights in bytes, all files together.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// assert_eq!(saved.bytes(), 7);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.row.bytes
    }

    /// blake3 digest of its weights; `None` for a file that was never read since it was found.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// let same = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert!(saved.digest().is_some());
    /// assert_eq!(saved.digest(), same.digest());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.0.row.digest
    }

    /// Its origin, which decides what may be removed with it.
    ///
    /// ```
    /// use annals::registry::Origin;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert_eq!(saved.origin(), Origin::Saved); // deleting it removes its file, too
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.row.origin
    }

    /// Known state of its weights. Only checkpoints whose weights are present are ranked.
    ///
    /// ```
    /// use annals::registry::Condition;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert_eq!(*saved.condition(), Condition::Present);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.0.row.condition
    }

    pub(super) fn open(&self) -> io::Result<File> {
        open(&self.0.root, &self.0.row)
    }

    pub(super) fn metadata_of_file(&self) -> io::Result<fs::Metadata> {
        metadata(&self.0.root, &self.0.row)
    }

    /// The file of its weights, unverified; [`Registry::load`](crate::Registry::load) verifies.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// assert!(saved.path().starts_with(&dir));
    /// assert!(saved.path().is_file());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path(&self.0.root, &self.0.row)
    }
}

/// Opens a checkpoint's weights for reading. Only one that its user registered may lie outside the
/// folder of all checkpoints, or behind a link that leads out of it.
pub(super) fn open(root: &Path, row: &CheckpointRow) -> io::Result<File> {
    match row.origin {
        Origin::Registered => disk::open_regular_anywhere(Path::new(&row.file)),
        _ => below(row)?.open(&root.join(names::FOLDER)),
    }
}

/// Opens a further file of a checkpoint's weights, under the same rules.
pub(super) fn open_part(root: &Path, row: &CheckpointRow, part: &WeightsPart) -> io::Result<File> {
    let folder = path(root, row);
    let folder = folder.parent().unwrap_or(root);
    let place = folder.join(&part.file);
    match row.origin {
        Origin::Registered => disk::open_regular_anywhere(&place),
        _ => disk::open_regular(&disk::inside(folder, &place)?),
    }
}

/// Metadata of the file that [`open`] would open.
pub(super) fn metadata(root: &Path, row: &CheckpointRow) -> io::Result<fs::Metadata> {
    match row.origin {
        Origin::Registered => fs::metadata(&row.file),
        _ => below(row)?.metadata(&root.join(names::FOLDER)),
    }
}

fn below(row: &CheckpointRow) -> io::Result<Below<'_>> {
    Below::new(&row.file).map_err(io::Error::other)
}

/// The file of a checkpoint's weights.
pub(super) fn path(root: &Path, row: &CheckpointRow) -> PathBuf {
    match row.origin {
        Origin::Registered => PathBuf::from(&row.file),
        _ => root.join(names::FOLDER).join(&row.file),
    }
}

/// One line: the id, step and epoch, metrics, tags, and the state of its weights if they are not
/// there.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let journal = annals::Journal::open(dir.path().join("data"))?;
/// # let registry = journal.registry()?;
/// let new = registry.checkpoint("dqn_agent").step(40_000).metric("val_loss", 0.25);
/// let saved = new.tag("nightly").save(b"weights")?;
/// let line = saved.to_string();
/// assert_eq!(line, format!("{} | step=40000 val_loss=0.25 | nightly", saved.id()));
/// # Ok::<(), annals::Error>(())
/// ```
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [("step", self.step()), ("epoch", self.epoch())];
        let counts = counts.into_iter();
        let counts = counts.filter_map(|(name, count)| Some(format!("{name}={}", count?)));
        let metrics = self.metrics().iter();
        let metrics = metrics.map(|(name, value)| format!("{}={value}", name.escape_debug()));
        let figures: Vec<String> = counts.chain(metrics).collect();
        f.write_str(self.id())?;
        if !figures.is_empty() {
            write!(f, " | {}", figures.join(" "))?;
        }
        if !self.tags().is_empty() {
            write!(f, " | {}", self.tags().join(" ").escape_debug())?;
        }
        match self.condition() {
            Condition::Present => Ok(()),
            Condition::Missing => f.write_str(" | weights missing"),
            Condition::Corrupt(why) => write!(f, " | weights corrupt: {}", why.escape_debug()),
        }
    }
}

/// Two are equal if all their methods tell the same. The registry's own numbers do not count, so a
/// checkpoint that was read from JSON equals the one that was written.
impl PartialEq for Checkpoint {
    fn eq(&self, other: &Self) -> bool {
        let told = |checkpoint: &Self| CheckpointRow {
            order: Timestamp::default(),
            number: 0,
            saved: Timestamp::default(),
            sequence: Sequence::ZERO,
            // The path has it, and which part of that is the root is no matter.
            file: String::new(),
            ..checkpoint.row().clone()
        };
        self.id() == other.id() && self.path() == other.path() && told(self) == told(other)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.0.row;
        f.debug_struct("Checkpoint")
            .field("id", &self.id())
            .field("created", &self.created())
            .field("metrics", &row.metrics)
            .field("step", &row.step)
            .field("epoch", &row.epoch)
            .field("tags", &row.tags)
            .field("bytes", &row.bytes)
            .field("condition", &row.condition)
            .finish_non_exhaustive()
    }
}
