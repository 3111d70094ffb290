//! Files of checkpoints: written aside, made durable, given their names, and never over another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::entry::error::{Error, Result};
use crate::fs::disk;

pub(super) use crate::fs::disk::{create, publish, remove};

/// Read or written at a time: memory does not grow with the file.
const CHUNK: usize = 256 << 10;

/// Creates `folder`, for its owner only, and makes its name durable.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    disk::create_directory(folder).map_err(|cause| Error::io("create", folder, cause))
}

/// Makes the names in a directory durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    disk::sync_directory(folder).map_err(|cause| Error::io("sync", folder, cause))
}

/// Size and digest of a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileDigest {
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
}

/// Passes on the bytes that are written or read, and takes their fingerprint.
#[derive(Debug)]
pub(super) struct Hashing<W> {
    inner: W,
    hasher: Box<blake3::Hasher>,
    bytes: u64,
}

impl<W> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Hashing {
            inner,
            hasher: Box::new(blake3::Hasher::new()),
            bytes: 0,
        }
    }

    pub(super) fn fingerprint(&self) -> FileDigest {
        FileDigest {
            bytes: self.bytes,
            digest: *self.hasher.finalize().as_bytes(),
        }
    }

    fn see(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.see(bytes.get(..taken).unwrap_or(bytes));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.inner.read(buffer)?;
        if let Some(read) = buffer.get(..taken) {
            self.see(read);
        }
        Ok(taken)
    }
}

/// Copies everything, a piece at a time.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut piece = vec![0; CHUNK];
    loop {
        let taken = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(piece.get(..taken).unwrap_or(&piece))?;
    }
}

/// Reads a file to its end, or one byte beyond the `most` that are expected, and takes its
/// fingerprint.
pub(super) fn fingerprint(file: &mut File, most: u64) -> io::Result<FileDigest> {
    let mut hashing = Hashing::new(file.take(most.saturating_add(1)));
    copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.fingerprint())
}
