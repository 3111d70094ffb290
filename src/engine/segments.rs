//! Segments: files of full blocks that are never written again, and the table that knows them.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fs;
use std::io;
use std::ops::{Bound, ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::directory::Directory;
use super::format::codec;
use super::format::codec::Stored;
use super::keys;
use super::kv::{Direction, Kv, ReadTransaction, Table, WriteFailure, WriteTransaction};
use super::lost_ranges::{LostRanges, MOST_LOST};
use super::meta::{Identity, damaged, sealed};
use super::segment_row::SegmentRow;
use super::uses::{Uses, UsesRow};
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::options::Sharing;
use crate::threads::worker::lock;

/// Memory for cached pages of each open segment.
const CACHE_BYTES: usize = 1 << 20;
/// Time that a segment which cannot be opened is taken for lost before it is tried again.
const TAKEN_FOR_LOST: Duration = Duration::from_secs(1);
/// Segments that are kept open: most questions are about a few of them.
const MOST_OPEN: usize = 8;

/// A registered segment.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) first: Sequence,
    pub(crate) row: SegmentRow,
}

impl Registered {
    pub(crate) fn file(&self, directory: &Directory) -> PathBuf {
        directory
            .segments()
            .join(file_name(self.first, self.row.next))
    }
}

/// The first and last sequence in a segment's name.
pub(crate) fn sequences_of(name: &str) -> Option<(Sequence, Sequence)> {
    let (first, last) = name.strip_suffix(".redb")?.split_once('-')?;
    let number = |text: &str| {
        // `parse` alone would take `+1`, and a shorter number would sort wrongly.
        let digits = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| text.parse().ok().map(Sequence::new))
            .flatten()
    };
    Some((number(first)?, number(last)?))
}

/// `<first>-<last>.redb`, so that names sort like sequences.
pub(crate) fn file_name(first: Sequence, next: Sequence) -> String {
    let last = next.saturating_sub(1);
    format!("{:020}-{:020}.redb", first.get(), last.get())
}

pub(crate) fn put(
    transaction: &mut WriteTransaction<'_>,
    first: Sequence,
    row: &SegmentRow,
) -> Result<()> {
    transaction.put(Table::Segments, &keys::number(first), &mut sealed(row))
}

/// The segment that is registered under `first`, as a transaction sees it.
pub(crate) fn to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    first: Sequence,
) -> Result<Option<SegmentRow>> {
    let stored = transaction.get(Table::Segments, &keys::number(first), |value| {
        decode(first, value)
    })?;
    let stored = stored.transpose();
    stored.map_err(|why| damaged(path, &format!("segment {first}"), &why))
}

/// The row of the segment that begins at `first`, if it can be its.
pub(crate) fn decode(first: Sequence, value: &[u8]) -> Result<SegmentRow, String> {
    let row: SegmentRow = codec::decode(value)?;
    let entries = row.next.since(first);
    match entries {
        // The checksum proves that we wrote these bytes, not that they are sensible: an extent that
        // ends before it begins would make every later subtraction wrong.
        1.. if row.events <= entries && first >= Sequence::FIRST => Ok(row),
        _ => Err(format!("it cannot begin at {first} and be {row:?}")),
    }
}

/// All registered segments, in order.
pub(crate) fn list(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Vec<Registered>> {
    let mut found: Vec<Registered> = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    snapshot.scan(
        Table::Segments,
        everything,
        Direction::Ascending,
        |key, value| {
            let first = keys::first_number(key)
                .ok_or_else(|| damaged(path, "segments", "a key is too short"))?;
            let row = decode(first, value)
                .map_err(|why| damaged(path, &format!("segment {first}"), &why))?;
            // Segments adjoin. Where a row is missing, its entries are lost, and not retired.
            if let Some(before) = found.last()
                && before.row.next != first
            {
                let gap = format!("none begins at {}", before.row.next);
                return Err(damaged(path, "segments", &gap));
            }
            found.push(Registered { first, row });
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(found)
}

/// The sequences of all files that have a segment's name, in order.
pub(crate) fn files(directory: &Directory) -> Vec<(Sequence, Sequence)> {
    let entries = fs::read_dir(directory.segments())
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(Sequence, Sequence)> = entries
        .filter_map(|entry| sequences_of(&entry.file_name().to_string_lossy()))
        .filter(|(first, last)| {
            // A file's name is not trusted either: what it claims is shown as lost ranges if it
            // cannot be opened.
            let is_long = last.since(*first) > MOST_LOST;
            first <= last && *first >= Sequence::FIRST && last.get() < codec::MOST && !is_long
        })
        .map(|(first, last)| (first, last.saturating_add(1)))
        .collect();
    found.sort_unstable();
    found
}

/// The segments of `range` as the names of their files tell, with one more in each place where
/// there is none.
pub(crate) fn by_files(directory: &Directory, range: Range<Sequence>) -> Vec<Registered> {
    let mut found = Vec::new();
    let mut next = range.start;
    let push = |found: &mut Vec<Registered>, first: Sequence, next: Sequence| {
        let row = SegmentRow::unknown(next);
        found.push(Registered { first, row });
    };
    for (first, end) in files(directory) {
        // Of two that overlap, as a crash may leave them, the first one. Files beyond the range are
        // of a sealer that died before it registered them: their entries are in the hot file.
        if first < next || end > range.end {
            continue;
        }
        if next < first {
            push(&mut found, next, first);
        }
        push(&mut found, first, end);
        next = end;
    }
    if next < range.end {
        push(&mut found, next, range.end);
    }
    found
}

/// A segment's own description.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    format: u32,
    journal: u128,
    first: Sequence,
    next: Sequence,
}

impl Stored for Head {}

const HEAD_KEY: &[u8] = b"segment";
const USES_KEY: &[u8] = b"uses";

/// Writes into the file of a finished segment its journal, its extent and its needs.
pub(crate) fn put_head(
    transaction: &mut WriteTransaction<'_>,
    journal: u128,
    first: Sequence,
    next: Sequence,
    uses: &Uses,
) -> Result<()> {
    let head = Head {
        format: super::meta::FORMAT,
        journal,
        first,
        next,
    };
    transaction.put(Table::Meta, HEAD_KEY, &mut sealed(&head))?;
    transaction.put(Table::Meta, USES_KEY, &mut sealed(&uses.row()))
}

/// The journal in a segment's own description.
pub(crate) fn stated_journal(kv: &Kv) -> Result<Option<u128>> {
    let head: Option<Result<Head, String>> =
        kv.read(|snapshot| snapshot.get(Table::Meta, HEAD_KEY, codec::decode))?;
    Ok(head.and_then(Result::ok).map(|head| head.journal))
}

/// An open segment, or what stands in the place of one that cannot be opened.
pub(crate) struct Segment {
    kv: Kv,
    path: PathBuf,
    registered: Registered,
    losses: Arc<LostRanges>,
    is_lost: bool,
}

impl Segment {
    /// Opens the file and checks that it is the registered one.
    pub(crate) fn open(
        directory: &Directory,
        identity: &Identity,
        registered: Registered,
    ) -> Result<Self> {
        let path = registered.file(directory);
        Segment::open_file(&path, identity, registered)
    }

    /// The same for a file that has another name yet.
    pub(crate) fn open_file(
        path: &Path,
        identity: &Identity,
        registered: Registered,
    ) -> Result<Self> {
        let missing = || damaged(path, "segment", "the file is missing");
        let opened = Kv::try_open_read_only(path, Sharing::Exclusive, CACHE_BYTES);
        // Complete before it had its name, and never written again: one that needs a recovery was
        // never finished.
        let kv = match opened {
            Err(Error::Missing { .. }) => return Err(missing()),
            opened => opened?.ok_or_else(|| damaged(path, "segment", "it was not finished"))?,
        };
        let head: Option<Result<Head, String>> =
            kv.read(|snapshot| snapshot.get(Table::Meta, HEAD_KEY, codec::decode))?;
        let owned = |head: &Head| identity.owns(head.journal, head.next);
        let expected = Head {
            format: super::meta::FORMAT,
            // A restored journal has a new identity and still owns the segments of its ancestors,
            // up to where it was copied.
            journal: match &head {
                Some(Ok(head)) if owned(head) => head.journal,
                _ => identity.id,
            },
            first: registered.first,
            next: registered.row.next,
        };
        match head {
            Some(Ok(head)) if head == expected => Ok(Segment {
                kv,
                path: path.to_owned(),
                registered,
                losses: Arc::default(),
                is_lost: false,
            }),
            Some(Ok(head)) => {
                let why = format!("it is {head:?}, registered is {expected:?}");
                Err(damaged(path, "segment", &why))
            }
            Some(Err(why)) => Err(damaged(path, "segment", &why)),
            None => Err(damaged(path, "segment", "it does not say what it holds")),
        }
    }

    /// A segment without blocks, in the place of one whose file cannot be opened: all that reads
    /// it finds lost ranges.
    fn lost(
        directory: &Directory,
        registered: Registered,
        losses: Arc<LostRanges>,
    ) -> Result<Self> {
        // An empty file instead of an `Option`: every reader of blocks handles lost ranges already,
        // and none needs a second path for a missing file.
        let kv = Kv::in_memory(CACHE_BYTES)?;
        kv.write(|transaction| transaction.create_tables_of_segment())
            .map_err(WriteFailure::into_error)?;
        Ok(Segment {
            kv,
            path: registered.file(directory),
            registered,
            losses,
            is_lost: true,
        })
    }

    /// Names and runs that its entries need; `None` if it does not list them.
    pub(crate) fn uses(&self) -> Result<Option<UsesRow>> {
        let stored = self
            .kv
            .read(|snapshot| snapshot.get(Table::Meta, USES_KEY, codec::decode))?;
        let stored = stored.transpose();
        stored.map_err(|why| damaged(&self.path, "meta uses", &why))
    }

    /// Runs `body` on the segment's blocks.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&Blocks<'_, '_>) -> Result<T>) -> Result<T> {
        self.kv.read(|snapshot| {
            let range = self.registered.first..self.registered.row.next;
            let blocks = Blocks::new(snapshot, &self.path, range, &self.losses);
            body(&match self.is_lost {
                true => blocks.of_lost(&self.registered.row),
                false => blocks,
            })
        })
    }
}

/// The segments as one reader knows them.
#[derive(Default)]
pub(crate) struct SegmentCache {
    listed: Mutex<Option<Listed>>,
    /// Most recently used last.
    open: Mutex<Vec<(Sequence, Arc<Segment>)>>,
    /// Those that cannot be opened, and when they were tried.
    lost: Mutex<Vec<(Instant, Arc<Segment>)>>,
    losses: Arc<LostRanges>,
}

/// A generation of the table, and the segments in it.
type Listed = (u64, Arc<[Registered]>);

impl SegmentCache {
    /// Of a source that remembers unreadable stretches in `losses`.
    pub(crate) fn of(losses: &Arc<LostRanges>) -> Self {
        SegmentCache {
            losses: losses.clone(),
            ..SegmentCache::default()
        }
    }

    /// The segments of `generation`, which `snapshot` shows.
    pub(crate) fn list(
        &self,
        snapshot: &ReadTransaction<'_>,
        path: &Path,
        generation: u64,
    ) -> Result<Arc<[Registered]>> {
        let mut listed = lock(&self.listed);
        match &*listed {
            // The generation counts changes of the table, so an unchanged one needs no scan. It is
            // from the same snapshot as the table.
            Some((known, segments)) if *known == generation => Ok(segments.clone()),
            _ => {
                let segments: Arc<[Registered]> = list(snapshot, path)?.into();
                *listed = Some((generation, segments.clone()));
                Ok(segments)
            }
        }
    }

    /// The open segment, opened if need be.
    pub(crate) fn open(
        &self,
        directory: &Directory,
        identity: &Identity,
        registered: &Registered,
    ) -> Result<Arc<Segment>> {
        let mut open = lock(&self.open);
        let same = |(first, segment): &(Sequence, Arc<Segment>)| {
            // A repair may have written the segment anew under the same first sequence: the old
            // file is still open here, and must not answer for the new one.
            *first == registered.first && segment.registered.row == registered.row
        };
        let segment = match open.iter().position(same) {
            Some(index) => open.remove(index).1,
            None => Arc::new(Segment {
                losses: self.losses.clone(),
                ..Segment::open(directory, identity, registered.clone())?
            }),
        };
        // The oldest use goes. Readers that still hold it keep the file open through their `Arc`.
        if open.len() == MOST_OPEN {
            open.remove(0);
        }
        open.push((registered.first, segment.clone()));
        Ok(segment)
    }

    /// Substitute for a segment that cannot be opened. Its entries are remembered as lost, and it
    /// is tried again after a second: the file may be put back.
    pub(crate) fn open_or_lost(
        &self,
        directory: &Directory,
        identity: &Identity,
        registered: &Registered,
    ) -> Result<Arc<Segment>> {
        let mut lost = lock(&self.lost);
        // Without this memory a scan would try to open a missing file once for each block that it
        // asks for.
        lost.retain(|(tried, _)| tried.elapsed() < TAKEN_FOR_LOST);
        let known = lost.iter().map(|(_, segment)| segment);
        let mut known = known.filter(|segment| segment.registered.first == registered.first);
        let segment = match known.find(|segment| segment.registered.row == registered.row) {
            Some(known) => known.clone(),
            None => match self.open(directory, identity, registered) {
                Err(error) if is_loss(&error) => {
                    let segment =
                        Segment::lost(directory, registered.clone(), self.losses.clone())?;
                    let segment = Arc::new(segment);
                    lost.push((Instant::now(), segment.clone()));
                    segment
                }
                opened => return opened,
            },
        };
        self.losses.note(registered.first..registered.row.next);
        Ok(segment)
    }
}

/// Whether a segment's entries are lost for this reason, and not only out of reach for a moment.
fn is_loss(error: &Error) -> bool {
    match error {
        Error::Corrupt { .. } | Error::Foreign { .. } => true,
        // Too many open files, or a network that is down, will pass. Showing lost ranges then would
        // tell a follower that entries are gone for ever.
        Error::Io { cause, .. } => cause.kind() == io::ErrorKind::PermissionDenied,
        _ => false,
    }
}
