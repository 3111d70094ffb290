//! Repairing a journal.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::engine::directory::Directory;
use crate::entry::error::Result;
use crate::entry::ids::RunId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Result of [`repair`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Repaired {
    /// The sequences whose entries were lost, in order. In their place stand gaps now, of the
    /// reason [`Damaged`](crate::entry::GapReason::Damaged), that count them.
    pub lost: Vec<Range<u64>>,
    /// Where the damaged files are now, in the folder `damaged`. Nothing reads them: remove them
    /// when they are of no more use.
    pub set_aside: Vec<PathBuf>,
    /// The files that were written anew, or whose registration was corrected.
    pub changed: Vec<PathBuf>,
    /// Substitutes for names whose text was lost.
    pub names: Vec<String>,
    /// Runs whose rows were lost, and were made anew from their entries.
    pub runs: Vec<RunId>,
    /// The tables and values of `journal.redb` (see `FORMAT.md`) that could not be read to the end.
    /// Indexes are made anew. Rollups are dropped then, or if a name was lost, and folded anew from
    /// the kept entries.
    pub incomplete: Vec<String>,
    /// Entries that the journal holds now, gaps among them.
    pub entries: u64,
}

impl Repaired {
    /// Whether there was nothing to repair: no file was changed.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// annals::Journal::open(&dir)?.close()?;
    /// assert!(annals::maintenance::repair(&dir)?.is_untouched());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.changed.is_empty() && self.set_aside.is_empty()
    }
}

/// Repairs the journal in the directory `dir`, which must not be open in any process. Keeps every
/// entry that can be read, under its sequence; puts gaps in the place of all others; sets damaged
/// files aside, in `dir/damaged`, and deletes none. Undamaged parts stay as they are, and so does a
/// journal without damage.
///
/// Rows of `journal.redb` beside the entries that cannot be read are made anew from the entries or
/// left out, as [`Repaired`] lists. It cannot know of entries at the very end of a journal that has
/// lost its length. Weights of checkpoints are not read;
/// [`Registry::reconcile`](crate::Registry::reconcile) restores lost rows of the registry from the
/// sidecars.
///
/// Reads everything at least twice, and writes damaged files anew and durably. If it dies, or the
/// power goes, the journal is as damaged as it was, or less, and can be repaired again. A backup
/// that is whole is better than any repair; see [`restore`](crate::maintenance::restore).
///
/// # Errors
/// [`Error::InUse`](crate::Error::InUse) if a process has the journal open;
/// [`Error::Corrupt`](crate::Error::Corrupt) or [`Error::Foreign`](crate::Error::Foreign) if
/// nothing of it can be read; [`Error::UnknownFormat`](crate::Error::UnknownFormat), and
/// [`Error::Io`](crate::Error::Io).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("data");
/// # annals::Journal::open(&dir)?.close()?;
/// let repaired = annals::maintenance::repair(&dir)?;
/// for lost in &repaired.lost {
///     eprintln!("entries {} to {} are lost", lost.start, lost.end - 1);
/// }
/// assert!(repaired.is_untouched());
/// # Ok::<(), annals::Error>(())
/// ```
pub fn repair(dir: impl AsRef<Path>) -> Result<Repaired> {
    let directory = Directory::existing(dir.as_ref())?;
    let mended = crate::maintenance::repair::repair(&directory, Timestamp::now())?;
    Ok(Repaired {
        lost: joined(mended.lost),
        set_aside: mended.set_aside,
        changed: mended.changed,
        names: mended.names,
        runs: mended.runs.into_iter().map(RunId).collect(),
        incomplete: mended.incomplete,
        entries: mended.entries,
    })
}

/// Ranges in order, those that touch as one.
fn joined(ranges: Vec<Range<Sequence>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        let range = range.start.get()..range.end.get();
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}
