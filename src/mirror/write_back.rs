//! Bringing what was appended to the disk while more is rendered. What is left to the system's own time
//! comes in one piece, and commits, which wait for the same disk, come after it.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Sender, bounded};

use crate::disk;
use crate::threads;

/// After how many bytes the disk is set to work.
const AHEAD_BYTES: usize = 16 << 20;

/// A thread that syncs a file now and then. It is started by the first bytes that are that many.
#[derive(Default)]
pub(super) struct WriteBack {
    /// Bytes that were appended since it was last given a file.
    ahead: usize,
    files: Option<Sender<PathBuf>>,
}

impl WriteBack {
    /// `bytes` more are in the file at `path`. Does not wait: if the thread is still at the last one, it
    /// gets more the next time.
    pub(super) fn appended(&mut self, path: &Path, bytes: usize) {
        self.ahead += bytes;
        if self.ahead < AHEAD_BYTES {
            return;
        }
        let files = self.files.take().or_else(start);
        let is_taken = files
            .as_ref()
            .is_some_and(|files| files.try_send(path.to_owned()).is_ok());
        if is_taken {
            self.ahead = 0;
        }
        self.files = files;
    }
}

/// Ends when the other end is dropped. Without it, there is only less time to write in.
fn start() -> Option<Sender<PathBuf>> {
    let (files, received) = bounded::<PathBuf>(0);
    let started = threads::spawn("annals-writeback", move || {
        for path in received {
            // Through a handle of its own: the one that vouches for the lines hears of its errors too.
            let _ = disk::open_regular(&path).and_then(|file| file.sync_data());
        }
    });
    started.is_ok().then_some(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_disk_is_set_to_work_when_there_is_enough() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines.txt");
        std::fs::write(&path, "a line").unwrap();
        let mut write_back = WriteBack::default();
        write_back.appended(&path, AHEAD_BYTES - 1);
        assert!(write_back.files.is_none(), "there is no thread yet");
        // Until the thread takes the file it is offered again, and nobody waits.
        while write_back.ahead > 0 {
            write_back.appended(&path, 1);
            std::thread::yield_now();
        }
        assert!(write_back.files.is_some());
        write_back.appended(&path, 1);
        assert_eq!(write_back.ahead, 1, "it begins anew");
    }

    #[test]
    fn a_file_that_is_gone_does_not_end_it() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone.txt");
        let mut write_back = WriteBack::default();
        for _ in 0..3 {
            write_back.appended(&gone, AHEAD_BYTES);
            while write_back.ahead > 0 {
                write_back.appended(&gone, 0);
                std::thread::yield_now();
            }
        }
    }
}
