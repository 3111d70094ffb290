//! Losses of a source, each once.

use super::loss::Loss;
use super::{Importer, limits, notes};
use crate::engine::format::row::{GapRow, Note};
use crate::entry::error::{Error, Result};
use crate::entry::gap::GapReason;

impl Importer {
    /// Adds a gap of a source; `false` if the same one is there already. Its run and the id in it
    /// have to be those of [`source`](Self::source). Gaps are the same if their content is the same
    /// and, if [`recorded_at`](Self::recorded_at) is given, they were recorded at that time. A gap
    /// that a source has twice is taken in twice.
    ///
    /// # Errors
    /// As [`add`](Self::add); [`Error::InvalidOption`] for entries that were damaged and are none.
    ///
    /// ```
    /// use annals::entry::GapReason;
    /// use annals::import::{Importer, Loss};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mut importer = Importer::open(&dir)?;
    /// let run = importer.source("old.db")?;
    /// importer.add_gap(&Loss {
    ///     run,
    ///     reason: GapReason::QueueFull,
    ///     count: Some(12),
    ///     after: None,
    ///     recorded_range: None,
    ///     event_range: None,
    ///     refusal: None,
    /// })?;
    /// importer.close()?;
    /// assert_eq!(annals::Reader::open(&dir)?.gaps().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_gap(&mut self, gap: &Loss) -> Result<bool> {
        self.taking(gap.run)?;
        // Such a gap stands in the place of its entries: it has to have a place.
        if gap.reason == GapReason::Damaged && gap.count == Some(0) {
            return Err(Error::InvalidOption {
                name: "count",
                value: "0 damaged entries".to_owned(),
                advice: "give at least 1, or none if the number is not known",
            });
        }
        let key = notes::gap_key(gap, self.recorded);
        if !self.is_new_note(gap.run, key)? {
            return Ok(false);
        }
        let row = GapRow {
            run: gap.run.get(),
            reason: gap.reason,
            count: gap.count,
            after: gap.after,
            recorded_range: gap.recorded_range,
            event_range: gap.event_range,
            refusal: gap.refusal.clone(),
        };
        let dropped = &mut self.taking(gap.run)?.row.dropped;
        *dropped = dropped.saturating_add(gap.count.unwrap_or(0));
        let encoded = self.encoder.note(self.recorded_or_now(), &Note::Gap(row));
        encoded.map_err(|why| limits::too_large("gap", why))?;
        self.commit_if_due()?;
        Ok(true)
    }
}
