//! Undoing an import: a lost range replaces each stretch of its entries, so that no sequence
//! changes, and the rollups are folded anew.
//!
//! Files are replaced as a repair replaces them: segments first, the hot file last. After a death
//! in between a repair registers the new segments, and the rest is done again.

use std::path::Path;

use super::fill::fill;
use super::salvage::Salvage;
use super::segment::SegmentSlot;
use super::withdrawal::Withdrawal;
use super::{CACHE_BYTES, Mended, SequenceLayout, hot, quarantine, remove};
use crate::engine::directory::{Directory, sync_directory};
use crate::engine::kv::Kv;
use crate::engine::meta::{Identity, damaged};
use crate::engine::segments::{Registered, Segment};
use crate::engine::uses::Uses;
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::maintenance::verify::Findings;
use crate::sealing::seal::SegmentWriter;

impl Withdrawal {
    /// Counts those of the import in a file, all of which must be readable.
    fn count_in(
        &mut self,
        kv: Option<&Kv>,
        file: &Path,
        range: &std::ops::Range<Sequence>,
    ) -> Result<u64> {
        let before = self.inferences.saturating_add(self.others);
        let lost = fill(kv, range, Timestamp::default(), |rows| {
            self.count(rows);
            Ok(())
        })?;
        if !lost.is_empty() {
            return Err(unreadable(file));
        }
        let after = self.inferences.saturating_add(self.others);
        Ok(after.saturating_sub(before))
    }

    /// Writes a segment anew without the import's entries, if it holds any.
    fn segment(
        &mut self,
        directory: &Directory,
        identity: &Identity,
        old: &Registered,
    ) -> Result<Registered> {
        let file = old.file(directory);
        let range = old.first..old.row.next;
        let kv = Kv::salvage(&file, CACHE_BYTES)?;
        if self.count_in(Some(&kv), &file, &range)? == 0 {
            return Ok(old.clone());
        }
        let folder = directory.segments();
        let unfinished = folder.join(format!("{:020}.new-repair", old.first.get()));
        disk::remove(&unfinished).map_err(|error| Error::io("remove", &unfinished, error))?;
        let mut writer = SegmentWriter::create(&unfinished, old.first)?;
        let lost = fill(Some(&kv), &range, old.row.recorded.0, |rows| {
            for entry in self.without(rows) {
                writer
                    .push(&entry)
                    .map_err(|why| damaged(&file, "undo", &why))?;
            }
            if writer.is_slice_full() {
                writer.write_full()?;
            }
            Ok(())
        })?;
        if !lost.is_empty() {
            return Err(unreadable(&file));
        }
        let mut row = writer.finish(identity.id)?;
        row.sealed = old.row.sealed;
        drop(kv);
        let first = old.first;
        let new = Registered { first, row };
        // The last write, at its close, could not report its failure.
        Segment::open_file(&unfinished, identity, new.clone())?;
        disk::rename(&unfinished, &file).map_err(|error| Error::io("name", &file, error))?;
        sync_directory(&folder)?;
        Ok(new)
    }

    /// Takes the import's entries out of the journal in `directory`, which must not be open in any
    /// process.
    pub(crate) fn apply(&mut self, directory: &Directory, now: Timestamp) -> Result<()> {
        let _locks = quarantine::hold(directory)?;
        let salvage = Salvage::open(directory)?;
        let mut findings = Findings::default();
        let (mut extent, registered) = salvage.check(&mut Uses::default(), &mut findings);
        if let Some(defect) = findings.defects.first() {
            let why = format!("{defect}; repair it first");
            return Err(damaged(&salvage.path, "undo", &why));
        }
        if extent.kept > Sequence::FIRST {
            return Err(Error::InvalidOption {
                name: "run",
                value: self.run.to_string(),
                advice: "entries of this journal were retired, and statistics of these would be \
                         lost with the rollups: make a new journal of an export without the run",
            });
        }
        let identity = salvage.identity(now)?;
        let mut segments = Vec::new();
        for segment in &registered {
            segments.push(self.segment(directory, &identity, segment)?);
        }
        let hot_range = extent.hot..extent.next;
        self.count_in(salvage.kv.as_ref(), &salvage.path, &hot_range)?;
        extent.generation = extent.generation.saturating_add(1);
        let slots = segments.iter().map(|segment| SegmentSlot {
            range: segment.first..segment.row.next,
            row: Some(segment.row.clone()),
        });
        let layout = SequenceLayout {
            slots: slots.collect(),
            extent,
        };
        let mut mended = Mended::default();
        hot::write_anew(
            &salvage,
            directory,
            &layout,
            &segments,
            &identity,
            now,
            Some(&*self),
            &mut mended,
        )?;
        drop(salvage);
        // It was whole and is not needed any more.
        mended.set_aside.iter().try_for_each(|file| remove(file))?;
        let _ = std::fs::remove_dir(directory.set_aside());
        Ok(())
    }
}

fn unreadable(file: &Path) -> Error {
    damaged(
        file,
        "undo",
        "it cannot be read to its end: repair it first",
    )
}
