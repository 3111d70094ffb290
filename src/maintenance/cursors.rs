//! Positions of readers in the journal, stored by name.

use super::Maintenance;
use crate::engine::cursors::CursorRow;
use crate::entry::error::{Error, Result};
use crate::entry::timestamp::Timestamp;
use crate::read::Cursor;

/// A [`Cursor`] that is stored in the journal; from [`Maintenance::cursors`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct NamedCursor {
    /// Its name.
    pub name: String,
    /// The place.
    pub cursor: Cursor,
    /// When it was stored.
    pub stored: Timestamp,
}

impl Maintenance {
    /// The cursor that was stored as `name`; `None` if none was. One short snapshot.
    ///
    /// It may lie before the first entry that is kept: [`Reader::follow`](crate::Reader::follow)
    /// then answers [`Error::Retired`].
    ///
    /// # Errors
    /// [`Error::InvalidName`], and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let maintenance = journal.maintenance()?;
    /// assert!(maintenance.cursor("export")?.is_none());
    /// maintenance.set_cursor("export", journal.reader()?.start())?;
    /// assert!(maintenance.cursor("export")?.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn cursor(&self, name: &str) -> Result<Option<Cursor>> {
        let row = self.maintenance.cursor(name)?;
        Ok(row.map(|row| Cursor::new(self.id, row.next)))
    }

    /// Stores `cursor` as `name`, durably, replacing the earlier one; it may go back. Opens the
    /// file for writing and commits: some milliseconds, so once for each batch, not for each entry.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] if it is another journal's or beyond the end,
    /// [`Error::InvalidName`] unless the name has 1 to 255 bytes and no control characters, and
    /// [errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let maintenance = journal.maintenance()?;
    /// let end = journal.reader()?.end()?;
    /// maintenance.set_cursor("nightly export", end)?;
    /// assert_eq!(maintenance.cursor("nightly export")?, Some(end));
    /// assert!(maintenance.remove_cursor("nightly export")?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn set_cursor(&self, name: &str, cursor: Cursor) -> Result<()> {
        let foreign = |reason: String| Error::ForeignCursor {
            cursor: cursor.to_string(),
            reason,
        };
        if cursor.journal() != self.id {
            return Err(foreign(format!("this is journal {}", self.id)));
        }
        let row = CursorRow {
            next: cursor.next(),
            stored: self.clock.now(),
        };
        let stored = self.maintenance.set_cursor(name, row)?;
        stored.map_err(|end| foreign(format!("this journal ends before {end}")))
    }

    /// All stored cursors, in the order of their names.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let maintenance = journal.maintenance()?;
    /// maintenance.set_cursor("export", journal.reader()?.start())?;
    /// assert_eq!(maintenance.cursors()?[0].name, "export");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn cursors(&self) -> Result<Vec<NamedCursor>> {
        let rows = self.maintenance.cursors()?.into_iter();
        let named = rows.map(|(name, row)| NamedCursor {
            name,
            cursor: Cursor::new(self.id, row.next),
            stored: row.stored,
        });
        Ok(named.collect())
    }

    /// Forgets the cursor of that `name`; returns whether there was one.
    ///
    /// # Errors
    /// [`Error::InvalidName`], and [errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let maintenance = journal.maintenance()?;
    /// maintenance.set_cursor("export", journal.reader()?.start())?;
    /// assert!(maintenance.remove_cursor("export")?);
    /// assert!(!maintenance.remove_cursor("export")?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn remove_cursor(&self, name: &str) -> Result<bool> {
        self.maintenance.remove_cursor(name)
    }
}
