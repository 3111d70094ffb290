//! Verifying a journal.

use super::defect::Defect;
use crate::maintenance::Maintenance;

/// Result of [`Maintenance::verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Verified {
    /// The defects; at most 10,000 are listed.
    pub defects: Vec<Defect>,
    /// How many there are beyond those that are listed.
    pub more_defects: u64,
    /// Entries that were read.
    pub entries: u64,
    /// Blocks that they were in.
    pub blocks: u64,
    /// Segments that were checked.
    pub segments: u64,
    /// Bytes of the files that were read.
    pub bytes: u64,
}

impl Verified {
    /// Whether nothing was found.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let verified = journal.maintenance()?.verify();
    /// assert!(verified.is_whole(), "{verified:?}");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.defects.is_empty()
    }
}

impl Maintenance {
    /// Checks the whole journal: the checksum of every stored value, dense sequences, and each
    /// index against the blocks and back. It also checks segments against their registration and
    /// size, unknown files, names and runs against their use, and runs the storage engine's own
    /// check of each file. Changes nothing and delays no process: the engine, which would repair
    /// what it checks, works over a copy of its pages in memory.
    ///
    /// Reads everything once. Entries committed during the check are not looked at. Weights of
    /// checkpoints are not read; see [`Registry::reconcile`](crate::Registry::reconcile).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let verified = journal.maintenance()?.verify();
    /// assert!(verified.is_whole(), "{:?}", verified.defects);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn verify(&self) -> Verified {
        let found = self.maintenance.check();
        Verified {
            defects: found.defects,
            more_defects: found.more,
            entries: found.entries,
            blocks: found.blocks,
            segments: found.segments,
            bytes: found.bytes,
        }
    }
}
