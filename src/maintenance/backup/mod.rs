//! Backups of a journal that is in use, and journals made of them.

mod around;
pub(crate) mod copy;
mod inputs;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Maintenance;
use crate::engine::directory::Directory;
use crate::entry::error::{Error, Result};
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::options::Sharing;
use crate::registry;
use crate::registry::tables::{Checkpoints, names};
use copy::Segments;

/// A backup that is about to be made; from [`Maintenance::backup`].
#[must_use = "nothing is copied until run is called"]
pub struct Backup<'m> {
    maintenance: &'m Maintenance,
    to: PathBuf,
    segments: Segments,
    checkpoints: bool,
}

/// Result of [`Backup::run`] or [`restore`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// Entries that the copy holds.
    pub entries: u64,
    /// Segments that were copied or linked.
    pub new_segments: usize,
    /// Segments that the place held already.
    pub known_segments: usize,
    /// Files of checkpoints that were copied.
    pub checkpoint_files: usize,
    /// Ids of checkpoints whose weights the copy lacks, with the reasons. Registered checkpoints
    /// are among them if their files are gone or changed. Empty if checkpoints were not asked for.
    pub lacking: Vec<(String, String)>,
    /// Entries that cannot be read in the copy because they cannot be read in the original. Their
    /// blocks are copied as they are; [`repair`](crate::maintenance::repair) puts gaps in their
    /// place.
    pub damaged: u64,
    /// The tables of `journal.redb` (see `FORMAT.md`) that cannot be read to the end in the
    /// original. The copy has indexes that were made anew. Its rollups are empty then, and are
    /// folded anew from the kept entries: statistics of retired decisions are not in it. Also the
    /// files of kept inputs that the original lacks, or cannot be read in it.
    pub incomplete: Vec<String>,
}

impl Maintenance {
    /// Begins a backup of the journal into the directory `to`: a consistent copy of one moment,
    /// while loops and commits continue. [`Reader::open`](crate::Reader::open) reads it, and
    /// [`restore`](crate::maintenance::restore) makes it a journal again.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let to = dir.path().join("backup");
    /// journal.maintenance()?.backup(&to).run()?; // again later: copies what is new
    /// annals::maintenance::restore(&to, dir.path().join("restored"))?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn backup(&self, to: impl Into<PathBuf>) -> Backup<'_> {
        Backup {
            maintenance: self,
            to: to.into(),
            segments: Segments::Linked,
            checkpoints: false,
        }
    }
}

impl Backup<'_> {
    /// Copies segments always, also where a hard link would do. A link costs no room and no time,
    /// and segments are never written again, but damage to the disk damages both.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let to = dir.path().join("backup"); // better: on another disk
    /// journal.maintenance()?.backup(&to).without_links().run()?;
    /// assert_eq!(annals::Reader::open(&to)?.id(), journal.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn without_links(mut self) -> Self {
        self.segments = Segments::Copied;
        self
    }

    /// Also copies the checkpoints' weights and sidecars, those of checkpoints that were registered
    /// elsewhere as well. [`BackedUp::lacking`] lists files that could not be copied.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let copy = dir.path().join("copy");
    /// let done = journal.maintenance()?.backup(&copy).with_checkpoints().run()?;
    /// assert!(done.lacking.is_empty()); // no weights are missing
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn with_checkpoints(mut self) -> Self {
        self.checkpoints = true;
        self
    }

    /// Makes the backup and verifies it before it takes the place of an earlier one. Parts of an
    /// earlier backup are kept as far as the journal still has them. So only new segments are
    /// written, and the hot file of at most some 300 MB. Then everything in the directory is read.
    /// Reads `journal.redb` in one snapshot: commits continue, and its file grows until the end.
    /// The text files are not copied; see
    /// [`Reader::rebuild_mirror`](crate::Reader::rebuild_mirror).
    ///
    /// # Errors
    /// [`Error::Foreign`] if the directory holds another journal or a copy that was written to,
    /// [`Error::InUse`] if another backup is made there. [`Error::Corrupt`] if more is damaged than
    /// blocks, indexes, rollups and names that are there twice: only
    /// [`repair`](crate::maintenance::repair) makes other tables anew. And [`Error::Io`]. The
    /// earlier content is still there then. A segment that is damaged in the backup alone is copied
    /// again when it was removed there.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let done = journal.maintenance()?.backup(dir.path().join("copy")).run()?;
    /// println!("{} entries in the copy", done.entries);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn run(self) -> Result<BackedUp> {
        let maintenance = &self.maintenance.maintenance;
        let to = Directory::bare(&self.to)?;
        // Within the journal's own directory a backup would copy itself.
        refuse_same(maintenance.root(), to.path())?;
        let copied = maintenance.copy_to(&to, self.segments)?;
        let mut checkpoint_files = 0;
        let mut lacking = Vec::new();
        if self.checkpoints {
            let from = maintenance.root().join(names::FOLDER);
            checkpoint_files = copy_tree(&from, &to.path().join(names::FOLDER))?;
            // By the registry of the copy: later saves and deletions do not concern it.
            let registered = registry::into_backup(&checkpoints(to)?)?;
            checkpoint_files += registered.files;
            lacking = registered.lacking;
        }
        Ok(BackedUp {
            entries: copied.entries,
            new_segments: copied.new,
            known_segments: copied.known,
            checkpoint_files,
            lacking,
            damaged: copied.damaged,
            incomplete: copied.incomplete,
        })
    }
}

/// The registry of a copy.
fn checkpoints(copy: Directory) -> Result<Checkpoints> {
    Checkpoints::open(copy, Sharing::native(), CACHE_BYTES)
}

/// Memory for cached pages of a copy's registry.
const CACHE_BYTES: usize = 4 << 20;

/// Makes a journal in the directory `to`, which must not hold one, of the backup in `from`; again,
/// if an earlier try died. It gets an identity of its own, because both may continue: cursors of
/// one do not fit the other. It remembers which journals it comes from. Weights and sidecars come
/// along if the backup has them: checkpoints that were registered elsewhere have their files in the
/// journal's directory then. Everything is copied, synced and verified. [`BackedUp::lacking`] names
/// the checkpoints without weights.
///
/// # Errors
/// [`Error::Io`] if `to` holds a journal or cannot be written, [`Error::Missing`] if `from` holds
/// none, [`Error::Corrupt`] if more of the backup is damaged than single blocks.
///
/// See [`Maintenance::backup`] for an example.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let journal = annals::Journal::open(dir.path().join("data"))?;
/// # journal.close()?;
/// let data = dir.path().join("data");
/// let copy = dir.path().join("copy");
/// annals::Maintenance::open(&data)?.backup(&copy).run()?;
/// annals::maintenance::restore(&copy, dir.path().join("restored"))?;
/// let restored = annals::Journal::open(dir.path().join("restored"))?;
/// assert_ne!(restored.id(), annals::Reader::open(&data)?.id()); // both may go on
/// # Ok::<(), annals::Error>(())
/// ```
pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<BackedUp> {
    let from = Directory::existing(from.as_ref())?;
    let to = Directory::bare(to.as_ref())?;
    refuse_same(from.path(), to.path())?;
    let copied = crate::maintenance::backup::copy::restore(&from, &to, Timestamp::now())?;
    let files = copy_tree(
        &from.path().join(names::FOLDER),
        &to.path().join(names::FOLDER),
    )?;
    // Registered weights that the backup holds belong to the restored journal now.
    let restored = registry::after_restore(&checkpoints(to)?)?;
    Ok(BackedUp {
        entries: copied.entries,
        new_segments: copied.new,
        known_segments: 0,
        checkpoint_files: files,
        lacking: restored.lacking,
        damaged: copied.damaged,
        incomplete: copied.incomplete,
    })
}

fn refuse_same(from: &Path, to: &Path) -> Result<()> {
    // A directory that is not there yet has no real path.
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real(to).starts_with(real(from)) {
        return Err(Error::InvalidOption {
            name: "to",
            value: to.display().to_string(),
            advice: "give a directory outside of the journal's",
        });
    }
    Ok(())
}

/// Copies the files below `from` that `to` lacks or has in another size; returns their number.
fn copy_tree(from: &Path, to: &Path) -> Result<usize> {
    let fault = |path: &Path, error| Error::io("copy", path, error);
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| fault(from, error))?,
    };
    disk::create_directory(to).map_err(|error| fault(to, error))?;
    let mut copied = 0;
    for entry in entries {
        let entry = entry.map_err(|error| fault(from, error))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| fault(&path, error))?;
        if kind.is_dir() {
            copied += copy_tree(&path, &copy)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // A save that is under way is not a checkpoint yet.
        if !kind.is_file() || name.ends_with(names::PARTIAL) || name.starts_with('.') {
            continue;
        }
        let size = |path: &Path| {
            let found = fs::symlink_metadata(path).ok();
            found.filter(fs::Metadata::is_file).map(|found| found.len())
        };
        // Weights are never written again; sidecars are small.
        if size(&path) == size(&copy) && !name.ends_with(names::SIDECAR) {
            continue;
        }
        // An existing file of that name is replaced: a link would lead elsewhere.
        disk::remove(&copy).map_err(|error| fault(&copy, error))?;
        match disk::copy(&path, &copy) {
            // It was deleted after the listing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            written => written.map_err(|error| fault(&copy, error))?,
        }
        copied += 1;
    }
    // The names of all copies with one sync, after their contents.
    disk::sync_directory(to).map_err(|error| fault(to, error))?;
    Ok(copied)
}
