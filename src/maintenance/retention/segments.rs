//! Retiring segments: out of the table in one short transaction, then their files.
//!
//! A crash in between leaves files without a registration, which the next sealer removes; see
//! [`seal`](crate::sealing::seal).

use std::path::PathBuf;

use crate::engine::cursors;
use crate::engine::directory::sync_directory;
use crate::engine::elapsed::Elapsed;
use crate::engine::inputs;
use crate::engine::keys;
use crate::engine::kv::Table;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::meta;
use crate::engine::meta::Extent;
use crate::engine::retired;
use crate::engine::retired::RetiredRow;
use crate::engine::segments;
use crate::engine::segments::Registered;
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::outcomes::out_of_order;
use crate::stats::folding::folded;

/// Segments that one transaction retires: others wait for it.
const SLICE: usize = 100;

/// The base of a decision about retirement; checked again when it happens.
#[derive(Debug)]
pub(crate) struct RetentionBase {
    pub(crate) extent: Extent,
    /// Oldest first.
    pub(crate) segments: Vec<Registered>,
    /// Position of each requested cursor; 0 if it is not stored.
    pub(crate) cursors: Vec<(String, Sequence)>,
    /// Entries before this sequence are not needed by the journal itself.
    pub(crate) retirable: Sequence,
    /// How old entries are at least.
    pub(crate) elapsed: Elapsed,
}

/// Result of a retirement.
#[derive(Debug)]
pub(crate) struct RetiredSegments {
    /// How many of the segments are retired.
    pub(crate) segments: usize,
    /// The differences from the plan; the rest was left alone then.
    pub(crate) changes: Vec<String>,
}

impl MaintenanceHandle {
    /// The base of a decision about retirement at `now`.
    pub(crate) fn retention_base(&self, names: &[String], now: Timestamp) -> Result<RetentionBase> {
        let source = self.source();
        // Before the extent: a cursor that moves on between the two only holds back more.
        let stored = self.cursors()?;
        let come = |name: &String| {
            let row = stored.iter().find(|(known, _)| known == name);
            (
                name.clone(),
                row.map_or(Sequence::ZERO, |(_, row)| row.next),
            )
        };
        let (extent, segments) = source.extent_and_segments()?;
        let folded = source.with_rollups(|stats| Ok(stats.folded().clone()))?;
        Ok(RetentionBase {
            extent,
            segments: segments.to_vec(),
            // Whole segments go, and statistics outlive only entries that are folded.
            retirable: extent.hot.min(folded.all_before()),
            cursors: names.iter().map(come).collect(),
            elapsed: source.elapsed(now)?,
        })
    }

    /// All that has been retired so far.
    pub(crate) fn retired(&self) -> Result<RetiredRow> {
        let source = self.source();
        source.read(|snapshot| retired::read(snapshot, source.path()))
    }

    /// Retires `expired`, which must be the oldest segments, in transactions of some of them. Each
    /// checks the plan again: the first one that would differ from it is not begun. Every one of
    /// `cursors` has to be past the retired entries. Committed entries are folded first: outcomes
    /// find their decisions only as long as these are there.
    pub(crate) fn retire(
        &self,
        expired: &[Registered],
        names: &[String],
        now: Timestamp,
    ) -> Result<RetiredSegments> {
        let mut done = RetiredSegments {
            segments: 0,
            changes: Vec::new(),
        };
        if expired.is_empty() {
            return Ok(done);
        }
        // Before anything goes: statistics outlive their entries only if these were added up.
        let known = match self.fold(now) {
            // An unreadable outcome counts for no decision.
            Err(Error::Corrupt { .. }) => Sequence::ZERO,
            folded => folded?,
        };
        for slice in expired.chunks(SLICE) {
            done.changes = self.retire_slice(slice, known, names, now)?;
            if !done.changes.is_empty() {
                break;
            }
            done.segments += slice.len();
            // After the commit: a crash leaves a file without a registration. The other order would
            // leave a registration without its file, which is damage.
            self.unlink(slice)?;
        }
        // Copies of outcomes whose decisions are retired now.
        self.forget_early()?;
        Ok(done)
    }

    /// Forgets out-of-order outcomes of retired inferences: nothing reads them any more.
    fn forget_early(&self) -> Result<()> {
        loop {
            let source = self.source();
            let stale = source.read(out_of_order::stale)?;
            if stale.is_empty() {
                return Ok(());
            }
            self.write(|transaction| out_of_order::forget(transaction, &stale))?;
        }
    }

    fn retire_slice(
        &self,
        slice: &[Registered],
        known: Sequence,
        names: &[String],
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let path = self.source().path();
        // Read before the transaction, which others wait for.
        let hours: Vec<_> = slice.iter().map(|segment| self.hours_of(segment)).collect();
        let mut files = Vec::new();
        let retired = self.write(|transaction| {
            let mut extent = meta::extent_to_write(transaction, path)?;
            let mut changes = Vec::new();
            let first = slice.first().map_or(extent.kept, |segment| segment.first);
            // Retention goes from the oldest on: the kept entries stay dense.
            if first != extent.kept {
                changes.push(format!("the first entry kept is {} now", extent.kept));
            }
            let until = slice.last().map_or(first, |segment| segment.row.next);
            let folded = folded::to_write(transaction, path)?.all_before();
            if until > extent.hot || folded < until.max(known) {
                changes.push(format!(
                    "entries from {folded} on are not in the statistics yet"
                ));
            }
            for name in names {
                let row = cursors::to_write(transaction, path, name)?;
                let next = row.map_or(Sequence::ZERO, |row| row.next);
                // Read in this transaction: a reader that was put back since has not seen them yet.
                if next < until {
                    changes.push(format!("the cursor {name:?} is at {next} now"));
                }
            }
            let mut total = retired::to_write(transaction, path)?;
            for (segment, hours) in slice.iter().zip(&hours) {
                if segments::to_write(transaction, path, segment.first)?.as_ref()
                    != Some(&segment.row)
                {
                    changes.push(format!("the segment from {} has changed", segment.first));
                }
                // Also where a change was found: the error below aborts it all.
                transaction.remove(Table::Segments, &keys::number(segment.first))?;
                total.add(segment, now);
                for (first, last) in hours {
                    total.hours.add(*first, *last);
                }
            }
            if !changes.is_empty() {
                return Err(Error::PlanOutdated {
                    changes,
                    deleted: 0,
                });
            }
            extent.kept = until;
            extent.generation = extent.generation.saturating_add(1);
            meta::set_extent(transaction, extent)?;
            retired::put(transaction, &total)?;
            // Only retired decisions have their inputs.
            files = inputs::rows::retire(transaction, path, until)?;
            Ok(Vec::new())
        });
        match retired {
            Ok(changes) => {
                for (first, _) in files {
                    // What cannot be removed now is removed by the next opener.
                    let _ = disk::remove(&inputs::path_of(self.directory(), first));
                }
                Ok(changes)
            }
            Err(Error::PlanOutdated { changes, .. }) => Ok(changes),
            Err(error) => Err(error),
        }
    }

    /// The hours of event time that a segment touches, by its index; of an unreadable one, all
    /// between its first and last.
    fn hours_of(&self, segment: &Registered) -> Vec<(i64, i64)> {
        if let Ok(open) = self.source().segment(segment)
            && let Ok(hours) = open.read(|blocks| blocks.all_hours())
        {
            return hours.into_iter().map(|hour| (hour, hour)).collect();
        }
        let times = segment.row.event_times.iter();
        times
            .map(|(first, last)| (first.hour(), last.hour()))
            .collect()
    }

    /// Where the file of a segment lies.
    pub(crate) fn file_of(&self, segment: &Registered) -> PathBuf {
        segment.file(self.directory())
    }

    /// Removes the files of retired segments. Files that cannot be removed now are removed by the
    /// next sealing or retirement.
    fn unlink(&self, retired: &[Registered]) -> Result<()> {
        for segment in retired {
            let path = self.file_of(segment);
            disk::remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        sync_directory(&self.directory().segments())
    }
}
