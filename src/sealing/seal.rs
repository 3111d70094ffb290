//! Sealing: the hot file's blocks become a segment.
//!
//! The order keeps a journal whole. First the segment is written under another name, finished,
//! synced and given its name. Then one transaction registers it and moves the hot file's
//! first sequence. Only then are the blocks before it removed, in slices. A crash
//! leaves a file without a registration, or blocks before that sequence. No reader uses either, and
//! the next sealer removes both.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::time::Duration;

use crate::engine::blocks::{BlockVisit, Blocks, go_on};
use crate::engine::directory::sync_directory;
use crate::engine::format::CHECKSUM_BYTES;
use crate::engine::format::block::{Block, BlockEncoder, StoredEntry};
use crate::engine::format::block_index::BlockIndex;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::summary::Summary;
use crate::engine::kv::{Direction, Kv, ReadTransaction, Table, WriteFailure, WriteTransaction};
use crate::engine::lost_ranges::LostRanges;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::meta::Extent;
use crate::engine::segment_row::SegmentRow;
use crate::engine::segments::sequences_of;
use crate::engine::segments::{Registered, Segment, file_name, put_head};
use crate::engine::uses::Uses;
use crate::engine::{index, keys, meta, segments};
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::lock::FileLock;

/// Memory for cached pages while a segment is written.
const CACHE_BYTES: usize = 4 << 20;
/// How much is read in one transaction.
const READ_BYTES: usize = 256 << 10;
/// How much one transaction of the segment writes: it is held in memory twice.
const SLICE_BYTES: usize = 1 << 20;
/// How many blocks one transaction removes from the hot file: others wait for it.
const SLICE_BLOCKS: usize = 128;

const LOCK: &str = ".lock";
const UNFINISHED: &str = ".new-";
const UNREADABLE: &str = "it cannot be read, and is not sealed before `annals repair`";

/// Seals segments of one journal.
pub(crate) struct Sealer {
    /// The longest transaction so far.
    longest: Cell<Duration>,
    maintenance: MaintenanceHandle,
    journal: u128,
}

impl Sealer {
    pub(crate) fn new(maintenance: MaintenanceHandle, journal: u128) -> Self {
        Sealer {
            longest: Cell::default(),
            maintenance,
            journal,
        }
    }

    /// Duration of the longest transaction of all sealings, which other writers waited for.
    pub(crate) fn longest_transaction(&self) -> Duration {
        self.longest.get()
    }

    /// Seals about `bytes` of the oldest blocks, or all there are, and removes leftovers of a
    /// crash. `None` if there is nothing to seal or another process is sealing. Asks `go_on`
    /// between two slices.
    pub(crate) fn seal(
        &self,
        bytes: u64,
        now: Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Registered>> {
        let folder = self.maintenance.directory().create_segments()?;
        let Some(lock) = hold(&folder)? else {
            return Ok(None);
        };
        let sealed = self.maintenance.with_kv(|kv| {
            let sealed = self.seal_under_lock(kv, &folder, bytes, now, go_on);
            self.longest
                .set(self.longest.get().max(kv.longest_transaction()));
            sealed
        });
        drop::<FileLock>(lock);
        sealed
    }

    /// Removes files that a crash left, unless another process is sealing.
    pub(crate) fn tidy(&self) -> Result<()> {
        let folder = self.maintenance.directory().segments();
        if !folder.exists() {
            return Ok(());
        }
        let Some(lock) = hold(&folder)? else {
            return Ok(());
        };
        let known = self
            .maintenance
            .source()
            .read(|snapshot| segments::list(snapshot, self.maintenance.source().path()))?;
        remove_strays(&known, &folder)?;
        drop::<FileLock>(lock);
        Ok(())
    }

    fn seal_under_lock(
        &self,
        kv: &Kv,
        folder: &Path,
        bytes: u64,
        now: Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Registered>> {
        let known = kv.read(|snapshot| segments::list(snapshot, kv.path()))?;
        remove_strays(&known, folder)?;
        remove_sealed(kv, go_on)?;
        let extent = kv.read(|snapshot| meta::extent(snapshot, kv.path()))?;
        if extent.hot == extent.next {
            return Ok(None);
        }
        let unfinished = folder.join(format!(
            "{:020}{UNFINISHED}{:016x}",
            extent.hot.get(),
            now.as_micros()
        ));
        // One that a crash left was removed above, so this name is free. Hot blocks below
        // `extent.next` do not change any more, so no snapshot is held while they are copied, and
        // others may commit.
        let written = self.merge(kv, &unfinished, extent, bytes, go_on);
        let registered = match written {
            Ok(Some(mut written)) => {
                written.registered.row.sealed = now;
                self.publish(kv, folder, &unfinished, written)
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if !matches!(registered, Ok(Some(_))) {
            // Files that cannot be removed now are removed by the next sealer.
            let _ = disk::remove(&unfinished);
        }
        let registered = registered?;
        remove_sealed(kv, go_on)?;
        Ok(registered)
    }

    /// Writes a segment of the first blocks of the hot file; `None` if it was told to stop.
    fn merge(
        &self,
        kv: &Kv,
        unfinished: &Path,
        extent: Extent,
        bytes: u64,
        may_go_on: &dyn Fn() -> bool,
    ) -> Result<Option<FinishedSegment>> {
        let mut segment = SegmentWriter::create(unfinished, extent.hot)?;
        let (mut next, mut taken) = (extent.hot, 0);
        let mut is_blocked = false;
        // A snapshot for each quarter of a megabyte: an old one keeps redb from reusing pages, and
        // the file would grow.
        while next < extent.next && segment.bytes() < bytes && !is_blocked {
            if !may_go_on() {
                return Ok(None);
            }
            kv.read(|snapshot| {
                let range = extent.hot..extent.next;
                // Its own, and thrown away: what cannot be sealed is not lost to readers.
                let losses = LostRanges::default();
                let blocks = Blocks::new(snapshot, kv.path(), range, &losses);
                let mut read = 0;
                blocks.payloads(next, |visit| {
                    let BlockVisit { block, payload, .. } = visit;
                    let first = block.sequences().start;
                    let taken_over = match visit.is_lost {
                        false => segment.take_over(block, payload),
                        true => Err(UNREADABLE.to_owned()),
                    };
                    match taken_over {
                        Ok(end) => next = end,
                        // Entries before it are sealed; a repair has to see the rest as it is.
                        Err(_) if next > extent.hot => {
                            is_blocked = true;
                            return Ok(ControlFlow::Break(()));
                        }
                        Err(why) => return Err(blocks.broken(first, &why)),
                    }
                    read += CHECKSUM_BYTES + payload.len();
                    taken += (CHECKSUM_BYTES + payload.len()) as u64;
                    Ok(go_on(read < READ_BYTES))
                })
            })?;
            if segment.is_slice_full() {
                segment.write_full()?;
            }
        }
        let row = segment.finish(self.journal)?;
        Ok(Some(FinishedSegment {
            registered: Registered {
                first: extent.hot,
                row,
            },
            taken,
        }))
    }

    /// Gives the finished segment its name and registers it; `None` if another process has sealed
    /// these blocks in between.
    fn publish(
        &self,
        kv: &Kv,
        folder: &Path,
        unfinished: &Path,
        written: FinishedSegment,
    ) -> Result<Option<Registered>> {
        let FinishedSegment { registered, taken } = written;
        let file = folder.join(file_name(registered.first, registered.row.next));
        // No registered segment has this name, so an existing file was left by a crash.
        // Named before it is registered. The other order could register a file that a power cut
        // takes away.
        disk::rename(unfinished, &file).map_err(|error| Error::io("name", &file, error))?;
        sync_directory(folder)?;
        // The last write, at its close, could not report its failure.
        Segment::open(
            self.maintenance.directory(),
            &self.maintenance.source().identity()?,
            registered.clone(),
        )?;
        // After an error it may be registered all the same. The file stays, and the next sealer
        // finds out.
        let is_registered = kv.write(|transaction| {
            let mut extent = meta::extent_to_write(transaction, kv.path())?;
            // The lock is a file, which others can remove. The hot file's first sequence decides: a
            // second segment over the same blocks would move it back. Its file goes with the other
            // strays.
            if extent.hot != registered.first {
                return Ok(false);
            }
            // One transaction for the row and the hot file's first sequence: readers find each
            // entry in exactly one place.
            segments::put(transaction, registered.first, &registered.row)?;
            extent.hot = registered.row.next;
            extent.hot_bytes = extent.hot_bytes.saturating_sub(taken);
            if extent.hot == extent.next {
                // A file with false counts and no entries left would be sealed again and again.
                extent.hot_bytes = 0;
            }
            // Readers keep a list of segments and compare this number to know whether it is
            // current.
            extent.generation = extent.generation.saturating_add(1);
            meta::set_extent(transaction, extent)?;
            Ok(true)
        });
        let is_registered = is_registered.map_err(WriteFailure::into_error)?;
        Ok(is_registered.then_some(registered))
    }
}

/// Keeps other processes from sealing until the value is dropped; `None` if one is sealing.
pub(crate) fn hold(folder: &Path) -> Result<Option<FileLock>> {
    let path = folder.join(LOCK);
    FileLock::hold(&path).map_err(|error| Error::io("lock", path, error))
}

/// The same in a folder that may be absent or read-only: then no sealing runs.
pub(crate) fn hold_existing(folder: &Path) -> Option<Option<FileLock>> {
    if !folder.join(LOCK).exists() {
        return Some(None);
    }
    match hold(folder) {
        Ok(None) => None,
        held => Some(held.ok().flatten()),
    }
}

/// Whether a file's name is one that sealing gives.
pub(crate) fn is_ours(name: &str) -> bool {
    name.contains(UNFINISHED) || is_segment(name)
}

/// A segment that is finished and not registered.
struct FinishedSegment {
    registered: Registered,
    /// Size of its blocks in the hot file.
    taken: u64,
}

/// Removes files that no registration knows. Call it with the lock held: no segment is being
/// written.
pub(crate) fn remove_strays(known: &[Registered], folder: &Path) -> Result<()> {
    let known: BTreeSet<String> = known
        .iter()
        .map(|segment| file_name(segment.first, segment.row.next))
        .collect();
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read", folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_ours(&name) && !known.contains(&name) {
            let path = entry.path();
            disk::remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
    }
    Ok(())
}

/// Whether a file has the form of a segment's name. Other files are foreign.
fn is_segment(name: &str) -> bool {
    sequences_of(name).is_some()
}

/// Removes the hot blocks that are in segments, a slice at a time. Call it with the lock held: no
/// other process removes them, so their index rows are read before others have to wait.
fn remove_sealed(kv: &Kv, may_go_on: &dyn Fn() -> bool) -> Result<()> {
    while may_go_on() {
        let found = kv.read(|snapshot| sealed_blocks(snapshot, kv.path()))?;
        if found.is_empty() {
            break;
        }
        kv.write(|transaction| {
            found
                .iter()
                // Before the hot file's first sequence already, so readers do not care how far this
                // gets before a crash.
                .try_for_each(|(first, index)| index::remove(transaction, *first, index))
        })
        .map_err(WriteFailure::into_error)?;
        // Short slices: every other writer of the file waits for each of these transactions.
        if found.len() < SLICE_BLOCKS {
            break;
        }
    }
    Ok(())
}

/// Some of the hot blocks that are in segments.
fn sealed_blocks(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
) -> Result<Vec<(Sequence, BlockIndex)>> {
    let first = meta::extent(snapshot, path)?.hot;
    let end = keys::number(first);
    let range = (Bound::Unbounded, Bound::Excluded(&end[..]));
    let mut found = Vec::new();
    let direction = Direction::Ascending;
    snapshot.scan(Table::Blocks, range, direction, |key, payload| {
        let first = keys::first_number(key).unwrap_or(Sequence::ZERO);
        let block = BlockReader::new(first, payload);
        let summary = block.and_then(|block| Summary::of(&block, |_| ()));
        let summary =
            summary.map_err(|why| meta::damaged(path, &format!("block {first}"), &why))?;
        found.push((first, summary.index));
        Ok(go_on(found.len() < SLICE_BLOCKS))
    })?;
    Ok(found)
}

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    kv: Kv,
    encoder: BlockEncoder,
    first: Sequence,
    /// The sequence that the next block gets.
    next: Sequence,
    bytes: u64,
    row: SegmentRow,
    uses: Uses,
}

impl SegmentWriter {
    pub(crate) fn create(path: &Path, first: Sequence) -> Result<Self> {
        let kv = Kv::create(path, CACHE_BYTES)?;
        kv.write(|transaction| transaction.create_tables_of_segment())
            .map_err(WriteFailure::into_error)?;
        Ok(SegmentWriter {
            kv,
            encoder: BlockEncoder::default(),
            first,
            next: first,
            bytes: 0,
            row: SegmentRow::beginning_at(first),
            uses: Uses::default(),
        })
    }

    /// Appends an entry; returns the reason if no reader could read it.
    pub(crate) fn push(&mut self, entry: &StoredEntry) -> Result<(), String> {
        self.encoder.again(entry)?;
        self.uses.see(entry);
        self.row.see(entry);
        Ok(())
    }

    /// Takes a block over: as it is if it is full, otherwise merged with its neighbours. Returns
    /// the next sequence.
    fn take_over(&mut self, block: &BlockReader<'_>, payload: &[u8]) -> Result<Sequence, String> {
        let sequences = block.sequences();
        // A full block is copied as bytes: encoded anew it would be no smaller.
        if block.is_full() {
            let uses = &mut self.uses;
            let summary = Summary::of(block, |name| uses.see_name(name))?;
            summary.runs.iter().for_each(|run| uses.see_run(*run));
            self.row.see_block(&summary, sequences.end);
            self.encoder
                .block_again(payload, block.entries(), summary.index);
        } else {
            block
                .rows()?
                .iter()
                .try_for_each(|entry| self.push(entry))?;
        }
        Ok(sequences.end)
    }

    /// Bytes of blocks so far, written or not.
    fn bytes(&self) -> u64 {
        let pending = self.encoder.pending_bytes() as u64;
        self.bytes.saturating_add(pending)
    }

    pub(crate) fn is_slice_full(&self) -> bool {
        self.encoder.pending_bytes() >= SLICE_BYTES
    }

    /// Writes the blocks that are full.
    pub(crate) fn write_full(&mut self) -> Result<()> {
        let mut blocks = self.encoder.take_full();
        // Without waiting for the disk: if the rest is never written, this file is never read. One
        // sync at the end is enough; syncs in between would hold the sealer up.
        let next = self
            .kv
            .write_ahead(|transaction| put(transaction, self.next, &mut blocks));
        self.wrote(&blocks, next)
    }

    fn wrote(&mut self, blocks: &[Block], next: Result<Sequence, WriteFailure>) -> Result<()> {
        self.next = next.map_err(WriteFailure::into_error)?;
        let bytes = blocks.iter().map(|block| block.value.len() as u64);
        self.bytes = bytes.fold(self.bytes, u64::saturating_add);
        Ok(())
    }

    /// Writes the rest and returns the segment's description.
    pub(crate) fn finish(mut self, journal: u128) -> Result<SegmentRow> {
        let mut blocks = self.encoder.take();
        let next = self.kv.write(|transaction| {
            put_head(transaction, journal, self.first, self.row.next, &self.uses)?;
            put(transaction, self.next, &mut blocks)
        });
        self.wrote(&blocks, next)?;
        // A segment is never written again: the free pages of its making would stay in it.
        self.kv.compact()?;
        let path = self.kv.path().to_owned();
        // Closing writes to the file once more.
        drop(self.kv);
        let file = disk::open_regular(&path).map_err(|error| Error::io("open", &path, error))?;
        disk::sync(&file, &path).map_err(|error| Error::io("sync", &path, error))?;
        let length = file
            .metadata()
            .map_err(|error| Error::io("look at", &path, error))?;
        self.row.bytes = length.len();
        Ok(self.row)
    }
}

/// Stores `blocks` from the sequence `next` on; returns the next one after them.
fn put(
    transaction: &mut WriteTransaction<'_>,
    mut next: Sequence,
    blocks: &mut [Block],
) -> Result<Sequence> {
    for block in blocks {
        index::put(transaction, next, block)?;
        next = next.saturating_add(block.count.into());
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::directory::Directory;
    use crate::options::Sharing;
    use crate::{Inference, Journal, Maintenance, Reader};

    const BOUND: Duration = Duration::from_secs(60);
    const BLOCKS: u64 = 6;

    /// The lock is a file. Where it fails, the hot file's first sequence still decides.
    #[test]
    #[cfg_attr(
        annals_portable,
        ignore = "one handle has the whole file, so no second sealer opens it"
    )]
    fn blocks_that_another_process_has_sealed_are_not_registered_twice() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("data");
        let options = Journal::options().without_mirror().without_folding();
        let journal = options.open(&dir).unwrap();
        for _ in 0..BLOCKS {
            journal.log(Inference::new("m", "s", "BUY")).unwrap();
            journal.flush().wait(BOUND).unwrap();
        }
        let id = journal.id().to_u128();
        journal.close().unwrap();
        let sealer = || {
            let directory = Directory::existing(&dir).unwrap();
            let maintenance =
                MaintenanceHandle::open(directory, Sharing::native(), 1 << 20).unwrap();
            Sealer::new(maintenance, id)
        };
        let (late, other) = (sealer(), sealer());
        let folder = late.maintenance.directory().create_segments().unwrap();
        let (unfinished, kept) = (folder.join(".new-late"), scratch.path().join("kept"));
        let published = late.maintenance.with_kv(|kv| {
            let extent = kv.read(|snapshot| meta::extent(snapshot, kv.path()))?;
            let written = late.merge(kv, &unfinished, extent, 1, &|| true)?;
            // The other one takes the unfinished file for a stray.
            fs::rename(&unfinished, &kept).unwrap();
            assert!(other.seal(u64::MAX, Timestamp(0), &|| true)?.is_some());
            fs::rename(&kept, &unfinished).unwrap();
            late.publish(kv, &folder, &unfinished, written.unwrap())
        });
        assert!(published.unwrap().is_none());
        late.tidy().unwrap();
        assert!(Maintenance::open(&dir).unwrap().verify().is_whole());
        let reader = Reader::open(&dir).unwrap();
        assert_eq!(reader.inferences().iter().map(Result::unwrap).count(), 6);
        assert_eq!(reader.missing(), []);
    }
}
