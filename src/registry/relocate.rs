//! Weights that were registered where they lay, and lie elsewhere now.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::load::part_fault;
use super::problem::Problem;
use super::tables::names;
use super::tables::rows::{Condition, Origin};
use super::{Registry, checkpoint, files, sidecar};
use crate::entry::error::{Error, Result};
use crate::fs::disk;

/// Result of [`Registry::relocate`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Relocated {
    /// Ids of checkpoints that point to their new place now.
    pub moved: Vec<String>,
    /// Files that differ from the registered ones, or are absent: their checkpoints were left
    /// alone.
    pub problems: Vec<Problem>,
}

impl Registry {
    /// Points registered checkpoints whose files lay below `from`, or at it, to the same place
    /// below `to`. For files that were moved or renamed: the registry knows them by absolute paths.
    ///
    /// Each file is read, and its checkpoint moves only if size and digest are the registered ones.
    /// Checkpoints that the registry itself saved move with its directory, and need none of this.
    /// `from` may be absent. Calling it again is no harm.
    ///
    /// # Errors
    /// [`Error::Io`] for paths that cannot be made absolute or are no UTF-8, and [errors of a
    /// commit](crate::Error#errors-of-a-commit): checkpoints that were pointed elsewhere by then
    /// stay so.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (old, new) = (dir.path().join("proj"), dir.path().join("proj2"));
    /// # std::fs::create_dir(&old).unwrap();
    /// # std::fs::write(old.join("w.pt"), b"weights").unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// registry.import_folder("dqn_agent", &old)?;
    /// std::fs::rename(&old, &new).unwrap();
    /// assert_eq!(registry.relocate(&old, &new)?.moved, ["w"]);
    /// assert_eq!(registry.load("w")?.into_bytes()?, b"weights");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn relocate(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Relocated> {
        self.move_or_plan(from.as_ref(), to.as_ref(), true)
    }

    /// The changes that [`relocate`](Self::relocate) would make. Reads the files, and changes
    /// nothing.
    ///
    /// # Errors
    /// Those of [`relocate`](Self::relocate).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// // Nothing lies there, so nothing would change.
    /// let would = registry.plan_relocate("/old/place", "/new/place")?;
    /// println!("{would:?}");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn plan_relocate(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Relocated> {
        self.move_or_plan(from.as_ref(), to.as_ref(), false)
    }

    fn move_or_plan(&self, from: &Path, to: &Path, apply: bool) -> Result<Relocated> {
        let core = self.core();
        if apply {
            core.check_may_write()?;
        }
        let to = std::path::absolute(to).map_err(|e| Error::io("look at", to, e))?;
        let sources = spellings(from)?;
        let mut report = Relocated::default();
        for model in self.models()? {
            for known in self.list(model).get()? {
                let path = known.path();
                let below = sources.iter().find_map(|from| path.strip_prefix(from).ok());
                let Some(below) = below.filter(|_| known.origin() == Origin::Registered) else {
                    continue;
                };
                let place = if below.as_os_str().is_empty() {
                    to.clone()
                } else {
                    to.join(below)
                };
                if place == path {
                    continue;
                }
                let problem = |why: String| Problem {
                    path: place.clone(),
                    why: format!("{}: {why}", known.id()),
                };
                let Some(text) = place.to_str().map(str::to_owned) else {
                    report
                        .problems
                        .push(problem("its path is no UTF-8".to_owned()));
                    continue;
                };
                let seen = match verify(&core.root, &known, &text) {
                    Ok(seen) => seen,
                    Err(why) => {
                        report.problems.push(problem(why));
                        continue;
                    }
                };
                if apply {
                    core.change(|change| {
                        let edited = change.edit(known.id(), |row| {
                            row.file = text;
                            row.condition = Condition::Present;
                            // A file that was found was never read: this is its first fingerprint.
                            if row.digest.is_none() {
                                row.see(seen.bytes, seen.digest);
                            }
                        });
                        edited.map(drop)
                    })?;
                    self.write_sidecar_again(&self.find(known.id())?)?;
                }
                report.moved.push(known.id().to_owned());
            }
        }
        core.watches.notify();
        Ok(report)
    }

    /// A registry that is rebuilt from sidecars would look in the old place.
    fn write_sidecar_again(&self, moved: &Checkpoint) -> Result<()> {
        let folder = names::folder(&self.core().root, moved.model());
        let stem = names::stem(moved.model(), moved.id());
        let path = folder.join(format!("{stem}{}", names::SIDECAR));
        let is_its = matches!(sidecar::read(&path), Ok(Ok((id, _))) if id == moved.id());
        // Another checkpoint's sidecar, or a foreign file, stays as it is.
        if !is_its {
            return Ok(());
        }
        // Replaced by a rename: a crash leaves the old sidecar or the new one, and no torn one.
        let partial = folder.join(format!("{stem}{}{}", names::SIDECAR, names::PARTIAL));
        let text = sidecar::write(moved.id(), moved.row());
        let written = files::create(&partial)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                disk::sync(&file, &partial)
            })
            .and_then(|()| disk::rename(&partial, &path));
        if let Err(error) = written {
            // The first error is the one to report; a leftover is removed by a reconciliation.
            let _ = files::remove(&partial);
            return Err(Error::io("write", path, error));
        }
        files::sync_folder(&folder)
    }
}

/// How a folder may be spelt in the registry: as it was given, and as links lead.
fn spellings(from: &Path) -> Result<Vec<PathBuf>> {
    let given = std::path::absolute(from).map_err(|e| Error::io("look at", from, e))?;
    let mut spellings = vec![given.clone()];
    // It may be gone; the folders above it are there.
    let mut rest = PathBuf::new();
    let mut above = given.as_path();
    loop {
        if let Ok(real) = std::fs::canonicalize(above) {
            let real = if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(&rest)
            };
            if !spellings.contains(&real) {
                spellings.push(real);
            }
            return Ok(spellings);
        }
        let (Some(parent), Some(name)) = (above.parent(), above.file_name()) else {
            return Ok(spellings);
        };
        rest = if rest.as_os_str().is_empty() {
            PathBuf::from(name)
        } else {
            Path::new(name).join(&rest)
        };
        above = parent;
    }
}

/// Compares all files of a checkpoint, were it at `place`, with the registered ones.
fn verify(
    root: &std::sync::Arc<Path>,
    known: &Checkpoint,
    place: &str,
) -> Result<files::FileDigest, String> {
    let mut row = known.row().clone();
    row.file = place.to_owned();
    let there = Checkpoint::new(known.id(), row, root);
    let read = checkpoint::open(root, there.row());
    let read = read.and_then(|mut file| files::fingerprint(&mut file, u64::MAX));
    let seen = read.map_err(|error| error.to_string())?;
    if let Some(difference) = super::load::difference(&there, seen) {
        return Err(difference);
    }
    for part in &there.row().parts {
        match part_fault(root, &there, part, true) {
            Ok(None) => {}
            Ok(Some(why)) => return Err(why),
            Err(error) => return Err(format!("{}: {error}", part.file)),
        }
    }
    Ok(seen)
}
