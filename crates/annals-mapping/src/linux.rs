//! The mappings of Linux.

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapMut, MmapOptions, MmapRaw};
use rustix::fs::{AtFlags, FallocateFlags, FileType, Mode, OFlags};
use rustix::fs::{fallocate, fstat, openat, unlinkat};
use rustix::mm::{Advice, madvise};
use rustix::thread::{MembarrierCommand, membarrier};

use crate::{PAGE_BYTES, PAGE_WORDS};

/// The words of a new file, mapped: a store is in the file at once, and stays there when the
/// process dies.
///
/// Somebody with the rights of the file's owner can cut it off. The next access to a lost page
/// then ends the process (`SIGBUS`), as every other fault would.
#[derive(Debug)]
pub struct SharedWords {
    /// Invariant M1: maps at least `words` words, readable and writable, until it is dropped.
    map: MmapRaw,
    words: usize,
}

impl SharedWords {
    /// Creates the file `name` of `pages` zeroed pages in `directory`, for its owner only
    /// (mode 0600), and maps it.
    ///
    /// Reserves all pages and touches them, which takes some 100 µs for 2 MB. No link is followed.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the name is taken, `StorageFull` if there is no room, `InvalidInput` if
    /// `name` is no plain name or `pages` is 0, `Unsupported` if the file system cannot reserve.
    /// The file is removed again if it cannot be used.
    pub fn create(directory: &File, name: &str, pages: usize) -> io::Result<SharedWords> {
        let is_plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        let bytes = pages.checked_mul(PAGE_BYTES).filter(|_| is_plain);
        let Some(bytes) = bytes.filter(|bytes| *bytes > 0) else {
            let message = format!("{name:?} of {pages} pages is no file of words");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?);
        Self::reserve_and_map(&file, bytes).inspect_err(|_| {
            // The first error is the one to know.
            let _ = unlinkat(directory, name, AtFlags::empty());
        })
    }

    fn reserve_and_map(file: &File, bytes: usize) -> io::Result<SharedWords> {
        // Without its pages a store could find no memory, which ends the process.
        fallocate(file, FallocateFlags::empty(), 0, bytes as u64)?;
        let found = fstat(file)?;
        let mode = found.st_mode & 0o7777;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if !is_file || mode != 0o600 || u64::try_from(found.st_size) != Ok(bytes as u64) {
            let message = format!("the new file has mode {mode:o} and {} bytes", found.st_size);
            return Err(io::Error::other(message));
        }
        let map = MmapOptions::new().len(bytes).populate().map_raw(file)?;
        Ok(SharedWords {
            map,
            words: bytes / 8,
        })
    }

    /// The words of the file, all of them 0 at first.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: By M1 the range is mapped, readable and writable for as long as `self` is
        // borrowed. A mapping begins at a page, so the words are aligned. Each bit pattern is an
        // `AtomicU64`. This process makes no other access to the range: the field is private, and
        // nothing else hands its address out. Other processes may store into the file, which the
        // accesses meet as a foreign atomic store. A file that is cut off ends the process.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), self.words) }
    }
}

/// A page of words of this process alone. In a forked child all of them are 0, whichever way the
/// child was made.
#[derive(Debug)]
pub struct ForkWords {
    /// Invariant F1: one page that is private, anonymous, readable and writable.
    map: MmapRaw,
}

impl ForkWords {
    /// Maps a page of zeros and asks the kernel to empty it in children.
    ///
    /// # Errors
    ///
    /// Where the kernel is older than 4.14, or has no memory.
    pub fn new() -> io::Result<ForkWords> {
        let map = MmapRaw::from(MmapMut::map_anon(PAGE_BYTES)?);
        // SAFETY: The range is the whole mapping that `map` owns, which is private and anonymous.
        // The advice changes nothing in this process. A child finds zeros, which are words too;
        // no reference of another type into the range exists.
        unsafe { madvise(map.as_mut_ptr().cast(), PAGE_BYTES, Advice::LinuxWipeOnFork)? };
        Ok(ForkWords { map })
    }

    /// The words of the page, all of them 0 at first.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[AtomicU64; PAGE_WORDS] {
        // SAFETY: By F1 the page is mapped, readable and writable for as long as `self` is
        // borrowed, and begins at a page. Each bit pattern is an `AtomicU64`. The field is private,
        // and nothing else hands its address out, so every access to the range is atomic.
        unsafe { &*self.map.as_ptr().cast::<[AtomicU64; PAGE_WORDS]>() }
    }
}

/// Prepares this process for [`barrier`]; once is enough, more is harmless.
///
/// # Errors
///
/// Where the kernel is older than 4.14, or a filter of system calls forbids it.
pub fn register_barrier() -> io::Result<()> {
    Ok(membarrier(MembarrierCommand::RegisterPrivateExpedited)?)
}

/// Lets every running thread of this process pass a full memory barrier before it returns; takes a
/// few microseconds. So the other threads get by with a compiler fence.
///
/// # Errors
///
/// Without [`register_barrier`].
pub fn barrier() -> io::Result<()> {
    Ok(membarrier(MembarrierCommand::PrivateExpedited)?)
}
