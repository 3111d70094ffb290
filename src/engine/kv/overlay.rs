//! A file that is only read; writes to it are kept in memory. So the storage engine may recover,
//! repair and check a file that must not change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard};

use crate::threads::worker::lock;

use redb::StorageBackend;

const PAGE_BYTES: u64 = 4_096;

#[derive(Debug)]
pub(super) struct Overlay(Mutex<OverlayPages>);

#[derive(Debug)]
struct OverlayPages {
    file: File,
    file_bytes: u64,
    bytes: u64,
    /// Pages that were written, by their number.
    changed: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Overlay(Mutex::new(OverlayPages {
            file,
            file_bytes: bytes,
            bytes,
            changed: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, OverlayPages> {
        lock(&self.0)
    }
}

impl OverlayPages {
    /// Bytes of the file itself; absent ones are zeros.
    fn read_file(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.file_bytes.min(self.bytes).saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        let (from_file, beyond) = out.split_at_mut(there);
        // Bytes that lengthen a file read as zeros, as the system would have it.
        beyond.fill(0);
        if from_file.is_empty() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(from_file)
    }

    /// The part of page `page` that `offset..offset + length` covers: where it begins in the page,
    /// where among the bytes asked for, and how long it is.
    fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            if done == length {
                return None;
            }
            let at = offset + done as u64;
            let within = usize::try_from(at % PAGE_BYTES).unwrap_or(0);
            let room = usize::try_from(PAGE_BYTES).unwrap_or(0) - within;
            let part = (at / PAGE_BYTES, within, done, room.min(length - done));
            done += part.3;
            Some(part)
        })
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.lock();
        if offset.saturating_add(out.len() as u64) > inner.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        inner.read_file(offset, out)?;
        for (page, within, at, length) in OverlayPages::parts(offset, out.len()) {
            if let Some(changed) = inner.changed.get(&page) {
                out[at..at + length].copy_from_slice(&changed[within..within + length]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.lock();
        // Cut off and lengthened again, a file has zeros there, and not its old pages.
        inner.changed.retain(|page, _| page * PAGE_BYTES < len);
        // For the same reason: bytes of the file beyond the cut do not come back.
        inner.file_bytes = inner.file_bytes.min(len);
        inner.bytes = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.max(offset + data.len() as u64);
        for (page, within, at, length) in OverlayPages::parts(offset, data.len()) {
            if !inner.changed.contains_key(&page) {
                let mut bytes = vec![0; usize::try_from(PAGE_BYTES).unwrap_or(0)];
                // A write may change a part of a page: the rest stays the file's.
                inner.read_file(page * PAGE_BYTES, &mut bytes)?;
                inner.changed.insert(page, bytes);
            }
            if let Some(changed) = inner.changed.get_mut(&page) {
                changed[within..within + length].copy_from_slice(&data[at..at + length]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_file_stays_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let before: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &before).unwrap();
        let overlay = Overlay::new(File::open(&path).unwrap()).unwrap();
        overlay.write(4_000, &[7; 5_000]).unwrap();
        overlay.write(9_999, &[8; 2]).unwrap();
        let mut expected = before.clone();
        expected[4_000..9_000].fill(7);
        expected[9_999] = 8;
        expected.push(8);
        let mut found = vec![0; 10_001];
        overlay.read(0, &mut found).unwrap();
        assert_eq!(found, expected);
        overlay.set_len(5_000).unwrap();
        overlay.set_len(9_000).unwrap();
        expected[5_000..].fill(0);
        let mut found = vec![1; 9_000];
        overlay.read(0, &mut found).unwrap();
        assert_eq!(found[..5_000], expected[..5_000]);
        assert!(overlay.read(8_999, &mut [0; 2]).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
