//! Checking a journal against itself: every checksum, every sequence, every index against the
//! blocks and the blocks against every index, segments against their registration.

pub(crate) mod blocks;
pub(crate) mod defect;
mod inputs;
pub(crate) mod report;
pub(crate) mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::engine::blocks::Blocks;
use crate::engine::kv::{Kv, ReadTransaction, Table};
use crate::engine::lost_ranges::LostRanges;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::meta::Extent;
use crate::engine::segment_row::SegmentRow;
use crate::engine::segments::{Registered, Segment, file_name};
use crate::engine::uses::Uses;
use crate::engine::{index, meta, segments};
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::sealing::seal;
use crate::stats::folding::folded;
pub(crate) use blocks::BLOCK;
use blocks::check_blocks;
use defect::{Defect, DefectKind};
pub(crate) use tables::{check_cursors, check_names, check_runs, check_value};
use tables::{check_out_of_order, check_values};

/// Memory for cached pages of a file that is checked.
const CACHE_BYTES: usize = 4 << 20;
/// Defects that are listed; further ones are counted.
const MOST_DEFECTS: usize = 10_000;

/// Result of a check.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) defects: Vec<Defect>,
    /// How many there are beyond those that are listed.
    pub(crate) more: u64,
    pub(crate) entries: u64,
    pub(crate) blocks: u64,
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
}

impl Findings {
    pub(crate) fn report(
        &mut self,
        kind: DefectKind,
        file: &Path,
        sequences: Option<Range<Sequence>>,
        detail: impl Into<String>,
    ) {
        // A file full of damage must not fill memory with its list.
        if self.defects.len() == MOST_DEFECTS {
            self.more += 1;
            return;
        }
        self.defects.push(Defect {
            file: file.to_owned(),
            kind,
            sequences: sequences.map(|lost| lost.start.get()..lost.end.get()),
            detail: detail.into(),
        });
    }
}

impl MaintenanceHandle {
    /// Checks the whole journal. Every file is checked in one snapshot. Nothing is changed, and no
    /// process is delayed. The storage engine's check runs over a copy of its pages in memory.
    pub(crate) fn check(&self) -> Findings {
        let mut findings = Findings::default();
        let mut uses = Uses::default();
        let path = self.directory().hot_file();
        let hot = self.source().read(|snapshot| {
            let registered = check_hot(snapshot, &path, &mut uses, &mut findings);
            // While the snapshot is held, its pages are not reused.
            check_engine(&path, &mut findings);
            Ok(registered)
        });
        let (extent, registered) = match hot {
            Ok(known) => known,
            Err(error) => {
                findings.report(DefectKind::Unreadable, &path, None, error.to_string());
                return findings;
            }
        };
        findings.bytes += self.hot_bytes();
        let journal = self.source().identity();
        for segment in &registered {
            let file = segment.file(self.directory());
            match &journal {
                Ok(identity) => {
                    let opened = Segment::open(self.directory(), identity, segment.clone());
                    check_segment(opened, segment, &file, &mut uses, &mut findings);
                }
                Err(error) => {
                    findings.report(DefectKind::Unreadable, &file, None, error.to_string())
                }
            }
        }
        // A segment may have been retired while it was checked.
        let kept = self
            .source()
            .extent()
            .map_or(Sequence::ZERO, |extent| extent.kept);
        let retired = |lost: &Range<u64>| lost.end <= kept.get() && lost.start >= extent.kept.get();
        findings
            .defects
            .retain(|defect| !defect.sequences.as_ref().is_some_and(retired));
        self.check_names_and_runs(&uses, &mut findings);
        self.check_inputs(&mut findings);
        self.check_strays(&registered, &mut findings);
        findings
    }

    fn check_names_and_runs(&self, uses: &Uses, findings: &mut Findings) {
        let path = self.directory().hot_file();
        let checked = self.source().read(|snapshot| {
            check_names(snapshot, &path, uses, findings);
            check_runs(snapshot, &path, uses, findings);
            check_cursors(snapshot, &path, findings);
            Ok(())
        });
        if let Err(error) = checked {
            findings.report(DefectKind::Unreadable, &path, None, error.to_string());
        }
    }

    /// Unknown files, unless a process is working on them.
    fn check_strays(&self, registered: &[Registered], findings: &mut Findings) {
        let folder = self.directory().segments();
        let Ok(entries) = fs::read_dir(&folder) else {
            return;
        };
        let lock = seal::hold_existing(&folder);
        // While another process seals, a file without a registration is no stray.
        let Some(_lock) = lock else { return };
        // No sealing runs now; everything sealed until now is registered.
        let now = self.source().segments().map(|now| now.to_vec());
        let known: BTreeSet<String> = registered
            .iter()
            .chain(now.iter().flatten())
            .map(|segment| file_name(segment.first, segment.row.next))
            .collect();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Looked at again last: retention may have removed it since the listing.
            if seal::is_ours(&name) && !known.contains(&name) && entry.path().exists() {
                let why = "no registration knows it";
                findings.report(DefectKind::Stray, &entry.path(), None, why);
            }
        }
    }
}

/// Checks everything in the hot file; returns the journal's extent and segments in it.
pub(crate) fn check_hot(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    uses: &mut Uses,
    findings: &mut Findings,
) -> (Extent, Vec<Registered>) {
    let identity = meta::identity(snapshot, path);
    let extent = meta::extent(snapshot, path);
    for error in [identity.map(|_| ()), extent.clone().map(|_| ())] {
        if let Err(error) = error {
            findings.report(DefectKind::Unreadable, path, None, error.to_string());
        }
    }
    for table in Table::ALL {
        if table != Table::Blocks && !index::TABLES.contains(&table) {
            check_values(snapshot, path, table, findings);
        }
    }
    let registered = segments::list(snapshot, path);
    if let Err(error) = &registered {
        findings.report(DefectKind::Registration, path, None, error.to_string());
    }
    let (Ok(extent), registered) = (extent, registered.unwrap_or_default()) else {
        return (Extent::new(), Vec::new());
    };
    let losses = LostRanges::default();
    let blocks = Blocks::new(snapshot, path, extent.hot..extent.next, &losses);
    let found = check_blocks(&blocks, uses, findings);
    check_out_of_order(snapshot, path, extent.next, uses, findings);
    let first = registered
        .first()
        .map_or(extent.hot, |segment| segment.first);
    let next = registered
        .last()
        .map_or(extent.kept, |segment| segment.row.next);
    // Kept, sealed and hot entries adjoin: anything else is a hole or an overlap.
    if first != extent.kept || next != extent.hot {
        let lost = (next < extent.hot).then_some(next..extent.hot);
        let detail = format!("segments hold {first} to {next}, {extent:?}");
        findings.report(DefectKind::Extent, path, lost, detail);
    }
    if let Ok(folded) = folded::read(snapshot, path)
        && folded.farthest() > extent.next
    {
        let detail = format!("rollups reach to {}, {extent:?}", folded.farthest());
        findings.report(DefectKind::Extent, path, None, detail);
    }
    // Where a block is missing, the sum differs for that reason.
    if found.complete && found.bytes != extent.hot_bytes {
        let detail = format!("{} bytes of hot blocks, {extent:?}", found.bytes);
        findings.report(DefectKind::Extent, path, None, detail);
    }
    (extent, registered)
}

pub(crate) fn check_segment(
    opened: Result<Segment>,
    segment: &Registered,
    file: &Path,
    uses: &mut Uses,
    findings: &mut Findings,
) {
    findings.segments += 1;
    let whole = Some(segment.first..segment.row.next);
    let length = fs::metadata(file).map(|found| found.len());
    findings.bytes += length.as_ref().copied().unwrap_or(0);
    let read = opened.and_then(|open| {
        let stated = open.uses()?;
        open.read(|blocks| {
            let mut own = Uses::default();
            check_values(blocks.snapshot, file, Table::Meta, findings);
            let found = check_blocks(blocks, &mut own, findings);
            uses.add(&own.row());
            let row = SegmentRow {
                bytes: length.as_ref().copied().unwrap_or(0),
                sealed: segment.row.sealed,
                ..found.row
            };
            // Everything but the time of sealing follows from the blocks.
            if found.complete && row != segment.row {
                let detail = format!("it holds {row:?}, registered is {:?}", segment.row);
                findings.report(DefectKind::Registration, file, None, detail);
            }
            if found.complete && stated.is_some_and(|stated| stated != own.row()) {
                let why = "it does not need the names and runs that it lists";
                findings.report(DefectKind::Registration, file, None, why);
            }
            Ok(())
        })
    });
    match read {
        Ok(()) => check_engine(file, findings),
        Err(error) => findings.report(DefectKind::Unreadable, file, whole, error.to_string()),
    }
}

pub(crate) fn check_engine(file: &Path, findings: &mut Findings) {
    match Kv::over(file, CACHE_BYTES).and_then(|mut kv| kv.check_engine()) {
        Ok(true) => {}
        Ok(false) => findings.report(DefectKind::Engine, file, None, "its pages are out of order"),
        Err(error) => findings.report(DefectKind::Engine, file, None, error.to_string()),
    }
}
