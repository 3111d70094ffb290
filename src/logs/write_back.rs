//! Syncing appended lines while more are rendered. Without it the system writes everything in one
//! piece, and commits, which wait for the same disk, come after it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::entry::error::Error;
use crate::fs::{disk, failpoint};
use crate::record::queue::Queue;
use crate::threads::worker;

/// After how many bytes the disk is set to work.
const AHEAD_BYTES: usize = 16 << 20;

/// A thread that syncs a file now and then. It is started by the first bytes that are that many.
#[derive(Default)]
pub(super) struct WriteBack {
    /// Bytes that were appended since it was last given a file.
    ahead: usize,
    files: Option<Sender<PathBuf>>,
    /// Where a panic of the thread is kept.
    panics: Option<Arc<Queue>>,
}

impl WriteBack {
    /// Keeps a panic of the thread in `queue`.
    pub(super) fn new(queue: Option<Arc<Queue>>) -> Self {
        WriteBack {
            panics: queue,
            ..WriteBack::default()
        }
    }

    /// `bytes` more are in the file at `path`. Does not wait: if the thread is still at the last
    /// one, it gets more the next time. An error reports that the thread panicked.
    pub(super) fn appended(&mut self, path: &Path, bytes: usize) -> io::Result<()> {
        self.ahead = self.ahead.saturating_add(bytes);
        if self.ahead < AHEAD_BYTES {
            return Ok(());
        }
        // Without a thread there is only less time to write in.
        let files = self.files.take().or_else(|| self.start());
        let taken = files.as_ref().map(|files| files.try_send(path.to_owned()));
        match taken {
            Some(Ok(())) => self.ahead = 0,
            Some(Err(TrySendError::Disconnected(_))) => {
                // It ends only when `files` is dropped. A new one is started next time.
                self.ahead = 0;
                return Err(io::Error::other("the thread annals-writeback panicked"));
            }
            Some(Err(TrySendError::Full(_))) | None => {}
        }
        self.files = files;
        Ok(())
    }

    /// Ends when the other end is dropped.
    fn start(&self) -> Option<Sender<PathBuf>> {
        // No room: a file is handed over only while the thread is idle, and the writer never waits.
        let (files, received) = bounded::<PathBuf>(0);
        let panics = self.panics.clone();
        let on_panic = move |panic: Error| {
            if let Some(queue) = panics {
                queue.note_panic(panic);
            }
        };
        let started = worker::spawn("annals-writeback", on_panic, move || {
            for path in received {
                failpoint::round(&path);
                // Through a handle of its own: the one that vouches for the lines hears of its
                // errors too.
                let _ = disk::open_regular(&path).and_then(|file| disk::sync_data(&file, &path));
            }
        });
        started.is_ok().then_some(files)
    }
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
        write_back.appended(&path, AHEAD_BYTES - 1).unwrap();
        assert!(write_back.files.is_none(), "there is no thread yet");
        // Until the thread takes the file it is offered again, without waiting.
        while write_back.ahead > 0 {
            write_back.appended(&path, 1).unwrap();
            std::thread::yield_now();
        }
        assert!(write_back.files.is_some());
        write_back.appended(&path, 1).unwrap();
        assert_eq!(write_back.ahead, 1, "it begins anew");
    }

    #[test]
    fn a_file_that_is_gone_does_not_end_it() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone.txt");
        let mut write_back = WriteBack::default();
        for _ in 0..3 {
            write_back.appended(&gone, AHEAD_BYTES).unwrap();
            while write_back.ahead > 0 {
                write_back.appended(&gone, 0).unwrap();
                std::thread::yield_now();
            }
        }
    }
}
