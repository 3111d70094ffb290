//! The handle of maintenance; its calls stand beside what they do.

use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::entry::clock::Clock;
use crate::entry::ids::JournalId;

/// Maintenance of a journal: cursors by name, retention, backups, checks, folding.
///
/// It works from any process, beside running journals or without one. Calls read in short
/// snapshots. Changes are short transactions, which wait for those of other processes. Nothing here
/// is meant for the loop. Cheap to clone; `Send + Sync`.
///
/// ```
/// use annals::{Journal, Maintenance, Reader};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("data");
/// # Journal::open(&dir)?.close()?;
/// let maintenance = Maintenance::open(&dir)?; // or journal.maintenance()
/// let reader = Reader::open(&dir)?;
/// let from = maintenance.cursor("export")?.unwrap_or(reader.start());
/// let mut follow = reader.follow(from)?;
/// for entry in follow.by_ref() {
///     let _exported = entry?;
/// }
/// maintenance.set_cursor("export", follow.cursor())?; // on disk when this returns
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone)]
pub struct Maintenance {
    pub(crate) maintenance: MaintenanceHandle,
    pub(super) id: JournalId,
    pub(super) clock: Clock,
}
