//! Checking a journal against itself: every checksum, every sequence, every index against the blocks
//! and the blocks against every index, segments against their registration.

use std::collections::BTreeSet;
use std::fs;
use std::ops::{Bound, ControlFlow, Range};
use std::path::Path;

use ahash::AHashMap;

use super::blocks::Blocks;
use super::defect::{Defect, DefectKind};
use super::early;
use super::index::{self, Span};
use super::keys;
use super::kv::{Direction, Kv, Snapshot, Table};
use super::meta::{self, Extent};
use super::name_table;
use super::runs;
use super::seal;
use super::segments::{self, Registered, Segment, SegmentRow, file_name};
use super::upkeep::Upkeep;
use super::uses::Uses;
use crate::error::Result;
use crate::format::block::{BlockEncoder, Placed};
use crate::format::codec;
use crate::format::view::BlockView;
use crate::ids::InferenceId;

/// Memory for cached pages of a file that is checked.
const CACHE_BYTES: usize = 4 << 20;
/// Defects that are listed; further ones are counted.
const MOST_DEFECTS: usize = 10_000;

/// What a check found.
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
    pub(super) fn say(
        &mut self,
        kind: DefectKind,
        file: &Path,
        sequences: Option<Range<u64>>,
        detail: impl Into<String>,
    ) {
        if self.defects.len() == MOST_DEFECTS {
            self.more += 1;
            return;
        }
        self.defects.push(Defect {
            file: file.to_owned(),
            kind,
            sequences,
            detail: detail.into(),
        });
    }
}

impl Upkeep {
    /// Checks the whole journal. Every file is checked in one snapshot; nothing is changed, and
    /// nobody is held up. What the storage engine checks it does over a copy of its pages in memory.
    pub(crate) fn check(&self) -> Findings {
        let mut findings = Findings::default();
        let mut uses = Uses::default();
        let path = self.directory().hot_file();
        let hot = self.source().read(|snapshot| {
            let registered = check_hot(snapshot, &path, &mut uses, &mut findings);
            // While the snapshot is held, nobody reuses the pages that it consists of.
            check_engine(&path, &mut findings);
            Ok(registered)
        });
        let (extent, registered) = match hot {
            Ok(known) => known,
            Err(error) => {
                findings.say(DefectKind::Unreadable, &path, None, error.to_string());
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
                Err(error) => findings.say(DefectKind::Unreadable, &file, None, error.to_string()),
            }
        }
        // A segment may have been retired while it was checked.
        let kept = self.source().extent().map_or(0, |extent| extent.kept);
        let retired = |lost: &Range<u64>| lost.end <= kept && lost.start >= extent.kept;
        findings
            .defects
            .retain(|defect| !defect.sequences.as_ref().is_some_and(retired));
        self.check_names_and_runs(&uses, &mut findings);
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
            findings.say(DefectKind::Unreadable, &path, None, error.to_string());
        }
    }

    /// Files that nobody knows, unless somebody is at work on them.
    fn check_strays(&self, registered: &[Registered], findings: &mut Findings) {
        let folder = self.directory().segments();
        let Ok(entries) = fs::read_dir(&folder) else {
            return;
        };
        let lock = seal::hold_existing(&folder);
        let Some(_lock) = lock else { return };
        // Nobody seals now; what was sealed until now is registered.
        let now = self.source().segments().map(|now| now.to_vec());
        let known: BTreeSet<String> = registered
            .iter()
            .chain(now.iter().flatten())
            .map(|segment| file_name(segment.first, segment.row.next))
            .collect();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if seal::is_ours(&name) && !known.contains(&name) && entry.path().exists() {
                let why = "no registration knows it";
                findings.say(DefectKind::Stray, &entry.path(), None, why);
            }
        }
    }
}

/// Checks everything in the hot file; says what it says of the journal's extent and segments.
pub(super) fn check_hot(
    snapshot: &Snapshot<'_>,
    path: &Path,
    uses: &mut Uses,
    findings: &mut Findings,
) -> (Extent, Vec<Registered>) {
    let identity = meta::identity(snapshot, path);
    let extent = meta::extent(snapshot, path);
    for error in [identity.map(|_| ()), extent.clone().map(|_| ())] {
        if let Err(error) = error {
            findings.say(DefectKind::Unreadable, path, None, error.to_string());
        }
    }
    for table in Table::ALL {
        if table != Table::Blocks && !index::TABLES.contains(&table) {
            check_values(snapshot, path, table, findings);
        }
    }
    let registered = segments::list(snapshot, path);
    if let Err(error) = &registered {
        findings.say(DefectKind::Registration, path, None, error.to_string());
    }
    let (Ok(extent), registered) = (extent, registered.unwrap_or_default()) else {
        return (Extent::new(), Vec::new());
    };
    let blocks = Blocks {
        snapshot,
        path,
        range: extent.hot..extent.next,
    };
    let found = check_blocks(&blocks, uses, findings);
    check_early(snapshot, path, extent.next, uses, findings);
    let first = registered
        .first()
        .map_or(extent.hot, |segment| segment.first);
    let next = registered
        .last()
        .map_or(extent.kept, |segment| segment.row.next);
    if first != extent.kept || next != extent.hot {
        let lost = (next < extent.hot).then_some(next..extent.hot);
        let detail = format!("segments hold {first} to {next}, {extent:?}");
        findings.say(DefectKind::Extent, path, lost, detail);
    }
    if found.complete && found.bytes != extent.hot_bytes {
        let detail = format!("{} bytes of hot blocks, {extent:?}", found.bytes);
        findings.say(DefectKind::Extent, path, None, detail);
    }
    (extent, registered)
}

/// The checksum of every value of a table.
fn check_values(snapshot: &Snapshot<'_>, path: &Path, table: Table, findings: &mut Findings) {
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let swept = snapshot.sweep(table, everything, Direction::Ascending, |_, value| {
        if let Err(error) = value {
            findings.say(DefectKind::Checksum, path, None, error.to_string());
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = swept {
        let detail = format!("table {}: {error}", table.name());
        findings.say(DefectKind::Unreadable, path, None, detail);
    }
}

/// What the blocks of a file add up to.
struct Found {
    row: SegmentRow,
    bytes: u64,
    /// Whether every block could be read.
    complete: bool,
}

type Expected = AHashMap<(&'static str, [u8; 16]), Span>;

/// Every block, and the indexes in both directions.
fn check_blocks(blocks: &Blocks<'_, '_>, uses: &mut Uses, findings: &mut Findings) -> Found {
    let Blocks {
        snapshot,
        path,
        range,
    } = blocks;
    let mut found = Found {
        row: SegmentRow::beginning_at(range.start),
        bytes: 0,
        complete: true,
    };
    let mut expected: Expected = AHashMap::new();
    let mut next = range.start;
    let (start, end) = (keys::number(range.start), keys::number(range.end));
    let keys = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
    let swept = snapshot.sweep(Table::Blocks, keys, Direction::Ascending, |key, value| {
        let first = keys::first_number(key).unwrap_or(0);
        let read = value.map_err(|error| (DefectKind::Checksum, error.to_string()));
        let read = read.and_then(|payload| {
            let rows = BlockView::new(first, payload).and_then(|view| view.rows());
            rows.map(|rows| (rows, payload.len()))
                .map_err(|why| (DefectKind::Undecodable, why))
        });
        match read {
            Ok((rows, bytes)) => {
                if first != next {
                    findings.say(DefectKind::Missing, path, Some(next..first), "no block");
                    found.complete = false;
                }
                next = rows.last().map_or(first, Placed::next);
                found.bytes += bytes as u64 + crate::format::CHECKSUM_BYTES as u64;
                findings.blocks += 1;
                findings.entries += rows.len() as u64;
                expect(&rows, first, &mut expected);
                for placed in &rows {
                    uses.see(placed);
                    found.row.see(placed);
                }
            }
            Err((kind, why)) => {
                findings.say(kind, path, None, format!("block {first}: {why}"));
                found.complete = false;
            }
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = swept {
        findings.say(
            DefectKind::Unreadable,
            path,
            None,
            format!("blocks: {error}"),
        );
    }
    if next != range.end {
        findings.say(DefectKind::Missing, path, Some(next..range.end), "no block");
        found.complete = false;
    }
    check_index(blocks, expected, found.complete, findings);
    found
}

/// The rows that should find the block of these entries.
fn expect(rows: &[Placed], first: u64, expected: &mut Expected) {
    let mut encoder = BlockEncoder::default();
    rows.iter().for_each(|placed| encoder.again(placed));
    let mut start = first;
    for block in encoder.take() {
        let seen = index::each_row(first, start, &block.index, |table, key, span| {
            let known = expected.entry((table.name(), key)).or_insert(span);
            if let (Some(known), Some(more)) = (known, span) {
                *known = (known.0.min(more.0), known.1.max(more.1));
            }
            Ok(())
        });
        debug_assert!(seen.is_ok(), "nothing in there fails");
        start += u64::from(block.count);
    }
}

/// Whether the indexes hold what is expected, and, if every block is known, nothing else.
fn check_index(
    blocks: &Blocks<'_, '_>,
    mut expected: Expected,
    complete: bool,
    findings: &mut Findings,
) {
    let path = blocks.path;
    for table in index::TABLES {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let direction = Direction::Ascending;
        let swept = blocks
            .snapshot
            .sweep(table, everything, direction, |key, value| {
                let place = keys::second_number(key).unwrap_or(0);
                // Before the range lie leftovers of a sealing, without a meaning.
                if place < blocks.range.start {
                    return ControlFlow::Continue(());
                }
                let known = <[u8; 16]>::try_from(key).ok();
                let known = known.and_then(|key| expected.remove(&(table.name(), key)));
                let said = match &value {
                    Ok([]) => Ok(None),
                    Ok(payload) => codec::decode(payload).map(Some),
                    Err(error) => Err(error.to_string()),
                };
                match (said, known) {
                    (Err(why), _) => findings.say(DefectKind::Checksum, path, None, why),
                    (Ok(said), Some(known)) if said == known => {}
                    (Ok(_), None) if !complete => {}
                    (Ok(said), known) => {
                        let detail = format!("{} {place}: {said:?}, not {known:?}", table.name());
                        findings.say(DefectKind::Index, path, None, detail);
                    }
                }
                ControlFlow::Continue(())
            });
        if let Err(error) = swept {
            let detail = format!("table {}: {error}", table.name());
            findings.say(DefectKind::Unreadable, path, None, detail);
        }
    }
    for (table, key) in expected.into_keys() {
        let place = keys::second_number(&key).unwrap_or(0);
        findings.say(
            DefectKind::Index,
            path,
            None,
            format!("{table} lacks {place}"),
        );
    }
}

pub(super) fn check_segment(
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
            if found.complete && row != segment.row {
                let detail = format!("it holds {row:?}, registered is {:?}", segment.row);
                findings.say(DefectKind::Registration, file, None, detail);
            }
            if found.complete && stated.is_some_and(|stated| stated != own.row()) {
                let why = "it does not need the names and runs that it says";
                findings.say(DefectKind::Registration, file, None, why);
            }
            Ok(())
        })
    });
    match read {
        Ok(()) => check_engine(file, findings),
        Err(error) => findings.say(DefectKind::Unreadable, file, whole, error.to_string()),
    }
}

pub(super) fn check_engine(file: &Path, findings: &mut Findings) {
    match Kv::over(file, CACHE_BYTES).and_then(|mut kv| kv.check_engine()) {
        Ok(true) => {}
        Ok(false) => findings.say(DefectKind::Engine, file, None, "its pages are out of order"),
        Err(error) => findings.say(DefectKind::Engine, file, None, error.to_string()),
    }
}

/// Both tables of names against each other, and against what is used.
pub(super) fn check_names(
    snapshot: &Snapshot<'_>,
    path: &Path,
    uses: &Uses,
    findings: &mut Findings,
) {
    let everything = || (Bound::Unbounded, Bound::Unbounded);
    let mut ids = BTreeSet::new();
    let mut wrong = Vec::new();
    let swept = snapshot.sweep(
        Table::Names,
        everything(),
        Direction::Ascending,
        |key, value| {
            let id = keys::first_number(key).and_then(|id| u32::try_from(id).ok());
            let name = value.ok().map(codec::decode::<(u8, String)>);
            if let (Some(id), Some(Ok((kind, text)))) = (id, name) {
                ids.insert(id);
                let row = snapshot.get(Table::NameIds, &keys::name(kind, &text), |value| {
                    name_table::decode_row(path, value)
                });
                match row {
                    Ok(Some(Ok(row))) if row.id == id => {}
                    other => wrong.push(format!("name {id} {text:?}: its id is {other:?}")),
                }
            }
            ControlFlow::Continue(())
        },
    );
    if let Err(error) = swept {
        wrong.push(error.to_string());
    }
    let swept = snapshot.sweep(
        Table::NameIds,
        everything(),
        Direction::Ascending,
        |_, value| {
            let row = value.and_then(|value| name_table::decode_row(path, value));
            if let Ok(row) = row
                && !ids.contains(&row.id)
            {
                wrong.push(format!("the id {} has no name", row.id));
            }
            ControlFlow::Continue(())
        },
    );
    if let Err(error) = swept {
        wrong.push(error.to_string());
    }
    for id in uses.row().names.iter().filter(|id| !ids.contains(id)) {
        wrong.push(format!("{id} is used, and has no name"));
    }
    for detail in wrong {
        findings.say(DefectKind::Name, path, None, detail);
    }
}

/// Runs that entries are of, and what their rows say.
pub(super) fn check_runs(
    snapshot: &Snapshot<'_>,
    path: &Path,
    uses: &Uses,
    findings: &mut Findings,
) {
    let rows = match runs::page(snapshot, path, 0, usize::MAX) {
        Ok(rows) => rows,
        Err(error) => {
            findings.say(DefectKind::Run, path, None, error.to_string());
            return;
        }
    };
    let known: BTreeSet<u32> = rows.iter().map(|(run, _)| run.get()).collect();
    for run in uses
        .row()
        .runs
        .iter()
        .filter(|run| **run != 0 && !known.contains(run))
    {
        findings.say(
            DefectKind::Run,
            path,
            None,
            format!("run {run} has entries and no row"),
        );
    }
    for (run, row) in rows {
        if row.last_id != 0 && InferenceId::from_u64(row.last_id).run() != run {
            let last = InferenceId::from_u64(row.last_id);
            findings.say(
                DefectKind::Run,
                path,
                None,
                format!("run {run} ends with {last}"),
            );
        }
    }
}

/// What is noted of outcomes that are older than their inference.
fn check_early(
    snapshot: &Snapshot<'_>,
    path: &Path,
    end: u64,
    uses: &mut Uses,
    findings: &mut Findings,
) {
    let read = early::each(snapshot, path, 0, |known| {
        known.outcome.row.each_name(|name| uses.see_name(name));
        let places = known.outcome.sequence..known.inference;
        if places.is_empty() || places.end >= end {
            let detail = format!("an early outcome at {places:?}, the end is {end}");
            findings.say(DefectKind::Extent, path, None, detail);
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = read {
        findings.say(DefectKind::Undecodable, path, None, error.to_string());
    }
}

pub(super) fn check_cursors(snapshot: &Snapshot<'_>, path: &Path, findings: &mut Findings) {
    let end = meta::extent(snapshot, path).map_or(u64::MAX, |extent| extent.next);
    for (name, row) in super::cursors::list(snapshot, path).unwrap_or_default() {
        if row.next > end {
            let detail = format!("the cursor {name:?} is at {}, the end is {end}", row.next);
            findings.say(DefectKind::Extent, path, None, detail);
        }
    }
}
