//! The spool of a run: blocks on their way to a commit, in two files that survive the process.
//!
//! The frames of one batch lie in one file, those of the next batch in the other one. A batch
//! begins when the one before the last is committed, so its file is free again. Nothing is ever cut
//! off. Frames behind the newest are of an earlier batch, and their number shows that.
//!
//! A commit stores its number in the row of its run, so that row says what the spool is covered to.
//!
//! Frames survive the process without a sync. [`Spool::sync`] makes them survive the machine: zeros
//! are written and synced ahead of the frames, so that a sync writes these and nothing about the
//! file.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::directory::Directory;
use super::format::CHECKSUM_BYTES;
use super::format::block::Block;
use crate::entry::ids::RunId;
use crate::fs::disk::{self, FileId};
use crate::fs::failpoint::{IoCall, guarded};

/// First bytes of a frame behind its checksum and length.
const MAGIC: u32 = u32::from_le_bytes(*b"ANS1");
/// Bytes of a frame before its blocks.
const HEADER_BYTES: usize = 68;
/// A frame of so many bytes takes no further block.
const FULL_FRAME: usize = 4 << 20;
/// No frame is longer: one block more than a full one, and no block takes more than 16 MiB.
const MOST_FRAME: usize = 32 << 20;
/// No frame has more blocks: a full one of the smallest has fewer.
const MOST_BLOCKS: u32 = 1 << 17;
/// Stands for the number of frames of a batch whose spool is not complete.
const INCOMPLETE: u32 = u32::MAX;
/// Zeros that a new file begins with, so that later writes do not change its length.
const RESERVED: usize = 64 << 10;
/// A file that is synced grows by as many zeros as it has bytes, and by no more than this.
const MOST_RESERVED: u64 = 4 << 20;
/// Bit of a frame's flags: a panic of the process was recorded that no commit has yet.
const PANICKED: u32 = 1;

/// Whose frames they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpoolOwner {
    pub(crate) journal: u128,
    pub(crate) run: RunId,
}

/// Up to which of its commits, or to which frame behind them, a run's entries are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covered {
    Commit { batch: u64 },
    Frame { batch: u64, index: u32 },
}

/// The writing side.
pub(crate) struct Spool {
    directory: Directory,
    owner: SpoolOwner,
    files: [Option<SpoolFile>; 2],
    /// The batch that the next frame belongs to.
    batch: u64,
    /// Number of the next frame in it.
    index: u32,
    /// Frames of the batch before; [`INCOMPLETE`] if some are missing.
    before: u32,
    /// Where the next frame begins.
    offset: u64,
    /// A write of this batch failed: it gets no more frames.
    is_broken: bool,
    /// Syncs are asked for, so files grow ahead of the frames.
    is_synced: bool,
    /// Kept, so that this allocates once.
    buffer: Vec<u8>,
}

struct SpoolFile {
    file: File,
    path: PathBuf,
    id: Option<FileId>,
    /// Bytes that were written once, if only with zeros.
    reserved: u64,
    /// Something was written since the last sync.
    is_dirty: bool,
    /// The directory was synced since the file has its name.
    has_durable_name: bool,
}

/// One addition to the spool.
pub(crate) struct Spooled<'a> {
    /// Number of the commit that the blocks belong to.
    pub(crate) batch: u64,
    pub(crate) blocks: &'a [Block],
    /// Gaps for losses that are not in `blocks` yet. They hold until the next frame.
    pub(crate) pending: &'a [Block],
    pub(crate) panicked: bool,
    /// All of it belongs into one frame, or none of it is there.
    pub(crate) is_one_frame: bool,
}

impl Spool {
    /// Of a run that has just begun. Touches no file.
    pub(crate) fn new(directory: Directory, owner: SpoolOwner) -> Self {
        Spool {
            directory,
            owner,
            files: [None, None],
            batch: 0,
            index: 0,
            before: INCOMPLETE,
            offset: 0,
            is_broken: false,
            is_synced: false,
            buffer: Vec::new(),
        }
    }

    /// Hands the blocks to the system, which keeps them when this process dies. No sync. `before`
    /// is told which frame has the last of them, before that is written.
    ///
    /// # Errors
    /// After an error the batch takes no more: all calls fail until the next batch begins.
    pub(crate) fn append(
        &mut self,
        spooled: &Spooled<'_>,
        before: impl FnOnce(Covered),
    ) -> io::Result<()> {
        if spooled.batch != self.batch {
            // Only the batch right before can be continued from, and only if all of it was written.
            let follows = self.batch.checked_add(1) == Some(spooled.batch);
            let complete = follows && !self.is_broken;
            self.before = if complete { self.index } else { INCOMPLETE };
            (self.batch, self.index, self.offset) = (spooled.batch, 0, 0);
            // A new batch begins its own file anew, so an old failure does not concern it.
            self.is_broken = false;
        }
        // A frame behind a missing one could never be read.
        if self.is_broken {
            return Err(io::Error::other("an earlier write to the spool failed"));
        }
        let written = self.append_frames(spooled, before);
        if written.is_err() {
            self.is_broken = true;
            // Anew with the batch that comes to this file next.
            if let Some(slot) = self.files.get_mut(parity(self.batch)) {
                *slot = None;
            }
        }
        written
    }

    fn append_frames(
        &mut self,
        spooled: &Spooled<'_>,
        before: impl FnOnce(Covered),
    ) -> io::Result<()> {
        let mut blocks = spooled.blocks;
        let mut before = Some(before);
        loop {
            let mut bytes = 0_usize;
            // Asked before the block is added, so at least one goes into each frame.
            let fits = |block: &&Block| {
                let fits = spooled.is_one_frame || bytes < FULL_FRAME;
                bytes = bytes.saturating_add(block.value.len());
                fits
            };
            let some = blocks.iter().take_while(fits).count();
            let (now, later) = blocks.split_at(some);
            blocks = later;
            if let Some(before) = before.take_if(|_| blocks.is_empty()) {
                let (batch, index) = (self.batch, self.index);
                before(Covered::Frame { batch, index });
            }
            self.append_frame(spooled, now)?;
            if blocks.is_empty() {
                return Ok(());
            }
        }
    }

    fn append_frame(&mut self, spooled: &Spooled<'_>, blocks: &[Block]) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(HEADER_BYTES, 0);
        for block in blocks.iter().chain(spooled.pending) {
            let payload = block.value.get(CHECKSUM_BYTES..).unwrap_or_default();
            buffer.extend_from_slice(&length(payload.len()).to_le_bytes());
            buffer.extend_from_slice(payload);
        }
        if buffer.len() > MOST_FRAME {
            return Err(io::Error::other("a frame would be too long"));
        }
        let header = FrameHeader {
            length: length(buffer.len()),
            owner: self.owner,
            index: self.index,
            batch: self.batch,
            before: self.before,
            blocks: length(blocks.len()),
            pending: length(spooled.pending.len()),
            flags: if spooled.panicked { PANICKED } else { 0 },
        };
        header.put(&mut buffer);
        let written = self.write(&buffer);
        // Also after a failure: the file is not written again before the next batch.
        self.offset = self.offset.saturating_add(buffer.len() as u64);
        self.index = self.index.saturating_add(1);
        // A large one is not kept for ever.
        if buffer.capacity() <= FULL_FRAME {
            self.buffer = buffer;
        }
        written
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let offset = self.offset;
        let place = parity(self.batch);
        let path = self.directory.spool(self.owner.run, place);
        let Some(slot) = self.files.get_mut(place) else {
            return Ok(());
        };
        let file = match slot {
            Some(file) => file,
            None => slot.insert(SpoolFile::create(path)?),
        };
        if self.is_synced {
            file.reserve(offset.saturating_add(bytes.len() as u64))?;
        }
        file.write(offset, bytes)
    }

    /// Makes all frames that `batch` needs durable: its own, and those of the batch before if that
    /// one's commit is `under_way`. Returns whether they are there to be found after a loss of
    /// power. If not, only a commit helps. One sync, or two with a commit under way; the first call
    /// also reserves room and syncs the directory.
    ///
    /// # Errors
    /// After an error the batch takes no more, as after a failed write.
    pub(crate) fn sync(&mut self, batch: u64, under_way: bool) -> io::Result<bool> {
        self.is_synced = true;
        let has_frames = self.batch == batch;
        let (current, before) = (parity(batch), parity(batch.wrapping_sub(1)));
        if has_frames && self.is_broken {
            return Ok(false);
        }
        if under_way {
            let is_whole = if has_frames {
                self.before != INCOMPLETE
            } else {
                self.batch.checked_add(1) == Some(batch) && !self.is_broken
            };
            if !is_whole {
                return Ok(false);
            }
            self.sync_file(before)?;
        } else if has_frames && let Some(slot @ None) = self.files.get_mut(before) {
            // For the batch after this one. Its file has nothing now: all before is committed.
            let path = self.directory.spool(self.owner.run, before);
            *slot = SpoolFile::create(path).ok();
            self.sync_file(before)?;
        }
        if has_frames {
            self.sync_file(current)?;
        }
        Ok(true)
    }

    fn sync_file(&mut self, place: usize) -> io::Result<()> {
        let Some(Some(file)) = self.files.get_mut(place) else {
            return Ok(());
        };
        let synced = file.sync();
        if synced.is_err() {
            // The system may report success for pages that it has lost: not asked again.
            self.lose(place);
        }
        synced
    }

    /// Frames of this file cannot be relied on.
    fn lose(&mut self, place: usize) {
        if let Some(slot) = self.files.get_mut(place) {
            *slot = None;
        }
        if place == parity(self.batch) {
            self.is_broken = true;
        } else {
            self.before = INCOMPLETE;
        }
    }

    /// Whether the frames of the batch before are all in the spool.
    pub(crate) fn follows_whole_batch(&self) -> bool {
        self.before != INCOMPLETE
    }

    /// Finds out whether the files still have their names; one that has lost it is made anew by the
    /// next batch that comes to it. Returns whether frames of this batch can still be found.
    pub(crate) fn check_names(&mut self) -> bool {
        for place in 0..self.files.len() {
            let file = self.files.get(place).and_then(Option::as_ref);
            if file.is_some_and(SpoolFile::has_lost_name) {
                self.lose(place);
            }
        }
        !self.is_broken
    }

    /// Continues for the next run of this handle, when all of this one is committed.
    pub(crate) fn move_to_run(&mut self, run: RunId) {
        self.remove();
        *self = Spool::new(self.directory.clone(), SpoolOwner { run, ..self.owner });
    }

    /// Removes the files.
    pub(crate) fn remove(&mut self) {
        self.files = [None, None];
        self.directory.forget_spool(self.owner.run);
    }
}

impl SpoolFile {
    fn create(path: PathBuf) -> io::Result<SpoolFile> {
        // Left by a batch whose write failed, or put there by another program.
        disk::remove(&path)?;
        let file = disk::create(&path)?;
        let mut file = SpoolFile {
            id: FileId::of(&file),
            file,
            path,
            reserved: 0,
            is_dirty: true,
            has_durable_name: false,
        };
        file.write(0, &[0; RESERVED])?;
        Ok(file)
    }

    /// Writes zeros behind the end if the file has less than `length` bytes.
    fn reserve(&mut self, length: u64) -> io::Result<()> {
        if length <= self.reserved {
            return Ok(());
        }
        let more = self.reserved.min(MOST_RESERVED);
        let end = length.max(self.reserved.saturating_add(more));
        while self.reserved < end {
            let some = end.saturating_sub(self.reserved).min(RESERVED as u64);
            let some = usize::try_from(some).unwrap_or(RESERVED);
            self.write(self.reserved, [0; RESERVED].get(..some).unwrap_or_default())?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.is_dirty = true;
        write_at(&self.file, &self.path, offset, bytes)?;
        let end = offset.saturating_add(bytes.len() as u64);
        self.reserved = self.reserved.max(end);
        Ok(())
    }

    /// Makes contents and name durable.
    fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            disk::sync_data(&self.file, &self.path)?;
            self.is_dirty = false;
        }
        if !self.has_durable_name {
            disk::sync_directory(self.path.parent().unwrap_or(Path::new(".")))?;
            self.has_durable_name = true;
        }
        Ok(())
    }

    fn has_lost_name(&self) -> bool {
        self.id.is_some_and(|id| id.lost_name(&self.path).is_some())
    }
}

fn write_at(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    disk::write_by(path, offset, bytes, || {
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    })
}

/// Which of the two files a batch is in.
pub(crate) fn parity(batch: u64) -> usize {
    usize::from(!batch.is_multiple_of(2))
}

/// Lengths here are far below what 32 bits hold; a longer one gives a frame that no reader takes.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The head of a frame. FORMAT.md has its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHeader {
    length: u32,
    owner: SpoolOwner,
    index: u32,
    batch: u64,
    before: u32,
    blocks: u32,
    pending: u32,
    flags: u32,
}

impl FrameHeader {
    /// Puts it, and the checksum, into the front of a frame.
    fn put(&self, frame: &mut [u8]) {
        let parts: [&[u8]; 11] = [
            &self.length.to_le_bytes(),
            &MAGIC.to_le_bytes(),
            &self.owner.journal.to_le_bytes(),
            &self.owner.run.get().to_le_bytes(),
            &self.index.to_le_bytes(),
            &self.batch.to_le_bytes(),
            &self.before.to_le_bytes(),
            &self.blocks.to_le_bytes(),
            &self.pending.to_le_bytes(),
            &self.flags.to_le_bytes(),
            // How many positions of lanes stand behind the header.
            &0_u32.to_le_bytes(),
        ];
        if let Some(place) = frame.get_mut(CHECKSUM_BYTES..HEADER_BYTES) {
            place.copy_from_slice(&parts.concat());
        }
        let checksum = xxh3_64(frame.get(CHECKSUM_BYTES..).unwrap_or_default());
        if let Some(place) = frame.get_mut(..CHECKSUM_BYTES) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
    }

    /// Reads the front of a frame.
    fn get(mut bytes: &[u8]) -> Option<(u64, FrameHeader)> {
        let checksum = u64::from_le_bytes(take(&mut bytes)?);
        let length = u32::from_le_bytes(take(&mut bytes)?);
        if u32::from_le_bytes(take(&mut bytes)?) != MAGIC {
            return None;
        }
        let journal = u128::from_le_bytes(take(&mut bytes)?);
        let run = RunId(u32::from_le_bytes(take(&mut bytes)?));
        let header = FrameHeader {
            length,
            owner: SpoolOwner { journal, run },
            index: u32::from_le_bytes(take(&mut bytes)?),
            batch: u64::from_le_bytes(take(&mut bytes)?),
            before: u32::from_le_bytes(take(&mut bytes)?),
            blocks: u32::from_le_bytes(take(&mut bytes)?),
            pending: u32::from_le_bytes(take(&mut bytes)?),
            flags: u32::from_le_bytes(take(&mut bytes)?),
        };
        let lanes = u32::from_le_bytes(take(&mut bytes)?);
        (lanes == 0).then_some((checksum, header))
    }
}

fn take<const BYTES: usize>(bytes: &mut &[u8]) -> Option<[u8; BYTES]> {
    let (front, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*front)
}

/// A frame that was read and whose checksum is right. Its blocks are not checked yet.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Frames of the batch before, if all are in the spool.
    pub(crate) before: Option<u32>,
    /// Its number among the frames of its batch.
    pub(crate) index: u32,
    pub(crate) panicked: bool,
    blocks: u32,
    pending: u32,
    bytes: Vec<u8>,
}

impl Frame {
    /// Payloads of its blocks, then of its pending gaps; the first number tells how many are
    /// blocks. `None` if lengths or numbers do not add up.
    pub(crate) fn payloads(&self) -> Option<(usize, Vec<&[u8]>)> {
        let all = self.blocks.checked_add(self.pending)?;
        // The numbers are not trusted: nothing is allocated for them.
        if all > MOST_BLOCKS {
            return None;
        }
        let all = usize::try_from(all).ok()?;
        let mut rest = self.bytes.get(HEADER_BYTES..)?;
        let mut payloads = Vec::new();
        for _payload in 0..all {
            let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
            let (payload, behind) = rest.split_at_checked(length)?;
            payloads.push(payload);
            rest = behind;
        }
        let blocks = usize::try_from(self.blocks).ok()?;
        rest.is_empty().then_some((blocks, payloads))
    }
}

/// The frames of one batch of a run, in order, up to the first that is missing, torn or another's.
pub(crate) struct Frames<R> {
    from: R,
    owner: SpoolOwner,
    batch: u64,
    next: u32,
}

impl Frames<File> {
    /// Opens the file of `batch`; `None` if there is none, or no regular one.
    pub(crate) fn open(path: &Path, owner: SpoolOwner, batch: u64) -> io::Result<Option<Self>> {
        match guarded(path, IoCall::Read, || disk::open_regular(path)) {
            Ok(file) => Ok(Some(Frames::new(file, owner, batch))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if disk::is_no_regular_file(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(from: R, owner: SpoolOwner, batch: u64) -> Self {
        Frames {
            from,
            owner,
            batch,
            next: 0,
        }
    }

    /// How many have been read.
    pub(crate) fn count(&self) -> u32 {
        self.next
    }

    /// The next one. Takes memory for one frame, and for no more than the file has.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut bytes = Vec::new();
        (&mut self.from)
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut bytes)?;
        let Some((checksum, header)) = FrameHeader::get(&bytes) else {
            return Ok(None);
        };
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        // Frames of an earlier batch may lie behind the last one of this: they do not follow it.
        let is_next = header.owner == self.owner
            && header.batch == self.batch
            && header.index == self.next
            && (HEADER_BYTES..=MOST_FRAME).contains(&length);
        if !is_next {
            return Ok(None);
        }
        let more = length.saturating_sub(HEADER_BYTES) as u64;
        (&mut self.from).take(more).read_to_end(&mut bytes)?;
        let checked = bytes.get(CHECKSUM_BYTES..).unwrap_or_default();
        // The tail of a frame that a kill cut short: the frames before it stand.
        if bytes.len() != length || xxh3_64(checked) != checksum {
            return Ok(None);
        }
        self.next = self.next.saturating_add(1);
        Ok(Some(Frame {
            before: (header.before != INCOMPLETE).then_some(header.before),
            index: header.index,
            panicked: header.flags & PANICKED != 0,
            blocks: header.blocks,
            pending: header.pending,
            bytes,
        }))
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
