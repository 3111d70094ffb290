//! Repair: readable entries are kept under their sequences, unreadable ones are counted in lost
//! ranges, and damaged files are set aside.
//!
//! Only damaged files are written anew: a segment under another name until it is finished, then in
//! the place of the damaged one; the hot file likewise, last. At every moment each name has the
//! damaged file or the repaired one, so a repair that dies is done again.

pub(crate) mod evidence;
pub(crate) mod fill;
pub(crate) mod hot;
mod inputs;
pub(crate) mod quarantine;
pub(crate) mod report;
pub(crate) mod salvage;
pub(crate) mod salvage_scan;
pub(crate) mod segment;
pub(crate) mod withdraw;
pub(crate) mod withdrawal;

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::verify::Findings;
use super::verify::defect::DefectKind;
use crate::engine::directory::Directory;
use crate::engine::kv::{Kv, WriteFailure};
use crate::engine::lost_ranges::MOST_LOST;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::meta;
use crate::engine::meta::Extent;
use crate::engine::segments::{Registered, file_name, put};
use crate::engine::uses::Uses;
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::options::Sharing;
use salvage::Salvage;
use segment::SegmentSlot;

/// Memory for cached pages of a file that is read or written.
const CACHE_BYTES: usize = 4 << 20;

/// Result of a repair.
#[derive(Debug, Default)]
pub(crate) struct Mended {
    /// Sequences that were lost, in order.
    pub(crate) lost: Vec<Range<Sequence>>,
    /// Where the damaged files are now.
    pub(crate) set_aside: Vec<PathBuf>,
    /// Files that were written anew or changed.
    pub(crate) changed: Vec<PathBuf>,
    /// Names whose text was lost, as they are called now.
    pub(crate) names: Vec<String>,
    /// Runs that only entries show.
    pub(crate) runs: Vec<u32>,
    /// Tables and values that could not be read to the end.
    pub(crate) incomplete: Vec<String>,
    /// Entries that there are now.
    pub(crate) entries: u64,
}

/// Which sequences there are, and which of them segments should hold.
struct SequenceLayout {
    slots: Vec<SegmentSlot>,
    extent: Extent,
}

/// Repairs the journal in `directory`, which must not be open in any process.
pub(crate) fn repair(directory: &Directory, now: Timestamp) -> Result<Mended> {
    // Held to the end: an opening in the middle would see half of the files replaced.
    let _locks = quarantine::hold(directory)?;
    let salvage = Salvage::open(directory)?;
    let mut mended = Mended::default();
    let mut uses = Uses::default();
    let mut hot = Findings::default();
    let (extent, registered) = salvage.check(&mut uses, &mut hot);
    let longest = registered
        .iter()
        .map(|segment| segment.row.next.since(segment.first));
    // A registration that was made up would be filled with lost ranges until the disk is full.
    if longest.max().is_some_and(|longest| longest > MOST_LOST) {
        let why = "no segment holds so many entries";
        hot.report(DefectKind::Registration, &salvage.path, None, why);
    }
    let layout = if hot.defects.is_empty() {
        let slots = registered.iter().map(|segment| SegmentSlot {
            range: segment.first..segment.row.next,
            row: Some(segment.row.clone()),
        });
        SequenceLayout {
            slots: slots.collect(),
            extent,
        }
    } else {
        salvage.layout()
    };
    let identity = salvage.identity(now)?;
    let mut segments = Vec::new();
    for slot in &layout.slots {
        segments.push(slot.mend(directory, &identity, now, &mut uses, &mut mended)?);
    }
    // Only now is it known which names and runs the entries of all files need.
    salvage.check_uses(&uses, &mut hot);
    if !hot.defects.is_empty() {
        // Damage that was found only now is in the tables beside the blocks: the layout holds.
        hot::write_anew(
            &salvage,
            directory,
            &layout,
            &segments,
            &identity,
            now,
            None,
            &mut mended,
        )?;
    }
    // It has the hot file open, which is registered in below.
    drop(salvage);
    let is_same = |(old, new): (&Registered, &Registered)| old.row == new.row;
    if hot.defects.is_empty() && !registered.iter().zip(&segments).all(is_same) {
        register(directory, &segments, mended.lost_entries())?;
        mended.changed.push(directory.hot_file());
    }
    if hot.defects.is_empty() {
        inputs::mend(directory, &identity, &mut mended)?;
    }
    mended.lost.sort_unstable_by_key(|lost| lost.start);
    mended.entries = verified(directory)?;
    Ok(mended)
}

impl Mended {
    /// How many entries lost ranges stand for now that were there before.
    fn lost_entries(&self) -> u64 {
        let lengths = self.lost.iter();
        let lengths = lengths.map(|lost| lost.end.since(lost.start));
        lengths.fold(0, u64::saturating_add)
    }
}

/// Registers the segments that were written anew.
fn register(directory: &Directory, all: &[Registered], lost: u64) -> Result<()> {
    let kv = Kv::open(&directory.hot_file(), Sharing::native(), CACHE_BYTES)?;
    // An unreadable row shows nothing of earlier repairs.
    let before = kv.read(|snapshot| meta::lost(snapshot, kv.path()));
    let before = before.unwrap_or(0);
    kv.write(|transaction| {
        let mut extent = meta::extent_to_write(transaction, kv.path())?;
        if lost > 0 {
            meta::set_lost(transaction, before.saturating_add(lost))?;
        }
        for segment in all {
            put(transaction, segment.first, &segment.row)?;
        }
        extent.generation = extent.generation.saturating_add(1);
        meta::set_extent(transaction, extent)
    })
    .map_err(WriteFailure::into_error)
}

/// Verifies the repaired journal; returns the number of its entries.
fn verified(directory: &Directory) -> Result<u64> {
    let found = MaintenanceHandle::open(directory.clone(), Sharing::native(), CACHE_BYTES)?.check();
    // The next sealer removes leftovers of a crash.
    let mut defects = found.defects.iter();
    match defects.find(|defect| defect.kind != DefectKind::Stray) {
        None => Ok(found.entries),
        Some(defect) => Err(Error::Corrupt {
            path: defect.file.clone(),
            detail: format!("it could not be repaired: {defect}"),
        }),
    }
}

/// Sets a file aside that is not registered and may hold what nothing else does.
fn set_stray_aside(
    directory: &Directory,
    first: Sequence,
    next: Sequence,
    mended: &mut Mended,
) -> Result<()> {
    let file = directory.segments().join(file_name(first, next));
    mended
        .set_aside
        .push(quarantine::quarantine(directory, &file)?);
    remove(&file)
}

fn remove(file: &Path) -> Result<()> {
    disk::remove(file).map_err(|error| Error::io("remove", file, error))
}
