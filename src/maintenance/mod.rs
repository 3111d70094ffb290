//! Keeping a journal's directory in order, beside its users.

pub(crate) mod backup;
pub(crate) mod black_boxes;
pub(crate) mod cursors;
pub(crate) mod fold;
pub(crate) mod handle;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod usage;
pub(crate) mod verify;
pub(crate) mod withdraw;

use std::path::Path;

use crate::engine::directory::Directory;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::entry::clock::Clock;
use crate::entry::error::Result;
use crate::entry::ids::JournalId;
use crate::options::Options;

pub use backup::{BackedUp, Backup, restore};
pub use black_boxes::{LeftBlackBox, WhyLeft, left_black_boxes};
pub use cursors::NamedCursor;
pub use fold::{FoldProgress, Folded};
pub(crate) use handle::Maintenance;
pub use repair::report::{Repaired, repair};
pub use retention::plan::{
    PlannedSegment, Retention, RetentionPlan, RetentionReport, RetentionTotals,
};
pub use usage::{ModelUsage, Usage};
pub use verify::defect::{Defect, DefectKind};
pub use verify::report::Verified;
pub use withdraw::{UndoneImport, undo_import};

impl Maintenance {
    /// Opens the journal in `dir`, beside its other users. Takes milliseconds. Where only one
    /// process may have a journal open, it is that process until it is dropped.
    ///
    /// # Errors
    /// Those of [`Reader::open`](crate::Reader::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # journal.close()?;
    /// let maintenance = annals::Maintenance::open(dir.path().join("data"))?;
    /// assert!(maintenance.verify().is_whole());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Maintenance> {
        Maintenance::open_with(dir, &Options::default())
    }

    /// Opens it with `options`: whether others may use it too, how much it may cache, and by which
    /// clock it goes. The other options are a journal's own.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// # annals::Journal::open(&dir)?.close()?;
    /// let options = annals::Options::default().cache_bytes(1 << 20);
    /// let opened = annals::Maintenance::open_with(&dir, &options)?;
    /// # drop(opened);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open_with(dir: impl AsRef<Path>, options: &Options) -> Result<Maintenance> {
        let directory = Directory::existing(dir.as_ref())?;
        let maintenance = MaintenanceHandle::open(directory, options.sharing, options.cache_bytes)?;
        Maintenance::new(maintenance, options.clock.clone())
    }

    pub(crate) fn new(maintenance: MaintenanceHandle, clock: Clock) -> Result<Maintenance> {
        let id = maintenance.source().identity()?.journal();
        Ok(Maintenance {
            maintenance,
            id,
            clock,
        })
    }

    /// The journal's identity.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// assert_eq!(journal.maintenance()?.id(), journal.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.id
    }
}

impl std::fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maintenance")
            .field("id", &self.id)
            .field("path", &self.maintenance.source().path())
            .finish_non_exhaustive()
    }
}
