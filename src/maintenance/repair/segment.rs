//! One segment: left as it is, or written anew with lost ranges in the place of unreadable blocks.

use std::fs;
use std::ops::Range;
use std::path::Path;

use super::fill::fill;
use super::quarantine::quarantine;
use super::{CACHE_BYTES, Mended};
use crate::engine::directory::{Directory, sync_directory};
use crate::engine::kv::Kv;
use crate::engine::meta::{Identity, damaged};
use crate::engine::segment_row::SegmentRow;
use crate::engine::segments::{Registered, Segment, file_name};
use crate::engine::uses::Uses;
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::maintenance::verify::{Findings, check_segment};
use crate::sealing::seal::SegmentWriter;

/// Sequences that a segment should hold, and its registration, if that can be read.
#[derive(Clone, Debug)]
pub(super) struct SegmentSlot {
    pub(super) range: Range<Sequence>,
    pub(super) row: Option<SegmentRow>,
}

impl SegmentSlot {
    /// Makes sure that there is a whole segment of these sequences; returns its registration.
    pub(super) fn mend(
        &self,
        directory: &Directory,
        identity: &Identity,
        now: Timestamp,
        uses: &mut Uses,
        mended: &mut Mended,
    ) -> Result<Registered> {
        if let Some(row) = &self.row
            && let Some(registered) = self.checked(directory, identity, row.clone(), uses)
        {
            return Ok(registered);
        }
        let folder = directory.create_segments()?;
        let file = folder.join(file_name(self.range.start, self.range.end));
        let kv = Kv::salvage(&file, CACHE_BYTES).ok();
        let recorded = self.row.as_ref().map_or(now, |row| row.recorded.0);
        // It may be whole, and only its registration wrong or lost.
        let mut row = SegmentRow::beginning_at(self.range.start);
        let lost = fill(kv.as_ref(), &self.range, recorded, |rows| {
            rows.iter().for_each(|entry| row.see(entry));
            Ok(())
        })?;
        row.bytes = fs::metadata(&file).map_or(0, |found| found.len());
        row.sealed = self.row.as_ref().map_or(row.recorded.1, |row| row.sealed);
        if lost.is_empty()
            && let Some(registered) = self.checked(directory, identity, row.clone(), uses)
        {
            return Ok(registered);
        }
        let unfinished = folder.join(format!("{:020}.new-repair", self.range.start.get()));
        disk::remove(&unfinished).map_err(|error| Error::io("remove", &unfinished, error))?;
        let mut writer = SegmentWriter::create(&unfinished, self.range.start)?;
        let lost = fill(kv.as_ref(), &self.range, recorded, |rows| {
            for entry in rows {
                let pushed = writer.push(entry);
                pushed.map_err(|why| unwritable(&file, entry.sequence, &why))?;
                uses.see(entry);
            }
            if writer.is_slice_full() {
                writer.write_full()?;
            }
            Ok(())
        })?;
        let sealed = row.sealed;
        let row = SegmentRow {
            sealed,
            ..writer.finish(identity.id)?
        };
        drop(kv);
        let registered = Registered {
            first: self.range.start,
            row,
        };
        // The last write, at its close, could not report its failure.
        Segment::open_file(&unfinished, identity, registered.clone())?;
        if file.exists() {
            mended.set_aside.push(quarantine(directory, &file)?);
        }
        disk::rename(&unfinished, &file).map_err(|error| Error::io("name", &file, error))?;
        sync_directory(&folder)?;
        mended.changed.push(file);
        mended.lost.extend(lost);
        Ok(registered)
    }

    /// The segment, if it is whole and fits `row`.
    fn checked(
        &self,
        directory: &Directory,
        identity: &Identity,
        row: SegmentRow,
        uses: &mut Uses,
    ) -> Option<Registered> {
        let registered = Registered {
            first: self.range.start,
            row,
        };
        let mut findings = Findings::default();
        let file = registered.file(directory);
        let opened = Segment::open(directory, identity, registered.clone());
        let mut own = Uses::default();
        check_segment(opened, &registered, &file, &mut own, &mut findings);
        findings.defects.is_empty().then(|| {
            uses.add(&own.row());
            registered
        })
    }
}

fn unwritable(file: &Path, sequence: Sequence, why: &str) -> Error {
    damaged(file, &format!("entry {sequence}"), why)
}
