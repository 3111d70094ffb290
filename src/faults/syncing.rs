//! Calls to the disk that a sync makes, and what it leaves when the journal fails afterwards.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::ledger::options;
use super::{HANG, scratch};
use crate::engine::directory::HOT_FILE;
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::health::State;
use crate::{BlackBox, Error, Inference, InferenceId, Journal, Reader};

/// Counts syncs, and holds up or refuses those of some files.
#[derive(Default)]
struct Disk {
    counted: Mutex<Counted>,
    changed: Condvar,
    /// The hot file cannot be synced.
    is_broken: AtomicBool,
    /// Spools cannot be synced.
    is_spool_broken: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    hot_file: usize,
    spool: usize,
    runs: usize,
    /// Syncs of spools wait while this is set.
    is_held: bool,
    /// One does.
    is_waiting: bool,
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, is_held: bool) {
        self.lock().is_held = is_held;
        self.changed.notify_all();
    }

    fn wait_until_one_waits(&self) {
        let mut counted = self.lock();
        while !counted.is_waiting {
            let (again, timeout) = self.changed.wait_timeout(counted, HANG).unwrap();
            assert!(!timeout.timed_out());
            counted = again;
        }
    }
}

fn is_spool(path: &Path) -> bool {
    path.to_string_lossy().contains(".spool-")
}

impl Failpoint for Disk {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let mut counted = self.lock();
        let is_broken = match call {
            IoCall::SyncDirectory if path.ends_with("runs") => {
                counted.runs += 1;
                return Ok(());
            }
            IoCall::Sync if path.ends_with(HOT_FILE) => {
                counted.hot_file += 1;
                &self.is_broken
            }
            IoCall::Sync if is_spool(path) => {
                counted.spool += 1;
                while counted.is_held {
                    counted.is_waiting = true;
                    self.changed.notify_all();
                    counted = self.changed.wait(counted).unwrap();
                }
                counted.is_waiting = false;
                &self.is_spool_broken
            }
            _ => return Ok(()),
        };
        if is_broken.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

fn log(journal: &Journal) -> InferenceId {
    journal.log(Inference::new("m", "s", "BUY")).unwrap()
}

fn sync(journal: &Journal) -> Result<(), Error> {
    journal.sync().wait(HANG)
}

fn ids(dir: &Path) -> Vec<InferenceId> {
    let reader = Reader::open(dir).unwrap();
    let records = reader.inferences().iter();
    records.map(|record| record.unwrap().id).collect()
}

/// A new journal on a watched disk.
fn with_disk(black_box: BlackBox, body: impl FnOnce(&Journal, &Arc<Disk>, &Path)) {
    let directory = scratch();
    let dir = directory.path().join("data");
    let disk = Arc::new(Disk::default());
    let installed = install(directory.path(), disk.clone());
    let journal = options().black_box(black_box).open(&dir).unwrap();
    body(&journal, &disk, &dir);
    drop(installed);
}

#[test]
fn a_sync_is_one_sync_of_the_spool_and_no_commit() {
    with_disk(BlackBox::Spool, |journal, disk, dir| {
        // The first stores names and reserves room.
        log(journal);
        sync(journal).unwrap();
        let before = *disk.lock();
        for _ in 0..10 {
            log(journal);
            sync(journal).unwrap();
        }
        let after = *disk.lock();
        assert_eq!(after.spool - before.spool, 10);
        assert_eq!(after.hot_file, before.hot_file);
        assert_eq!(after.runs, before.runs);
        // Nothing new: nothing to sync.
        sync(journal).unwrap();
        assert_eq!(*disk.lock(), after);
        // Readers see it after a commit.
        assert_eq!(ids(dir), []);
        journal.flush().wait(HANG).unwrap();
        assert_eq!(ids(dir).len(), 11);
        // The next batch is in the other file, whose room is reserved.
        let before = *disk.lock();
        log(journal);
        sync(journal).unwrap();
        let after = *disk.lock();
        assert_eq!(after.spool - before.spool, 1);
        assert_eq!(after.runs, before.runs);
        journal.close().unwrap();
    });
}

#[test]
fn without_a_spool_a_sync_is_a_commit() {
    with_disk(BlackBox::Off, |journal, disk, dir| {
        let before = *disk.lock();
        let id = log(journal);
        sync(journal).unwrap();
        let after = *disk.lock();
        assert!(after.hot_file > before.hot_file);
        assert_eq!(after.spool, 0);
        assert_eq!(ids(dir), [id]);
    });
    let journal = Journal::in_memory().unwrap();
    log(&journal);
    sync(&journal).unwrap();
    assert_eq!(journal.health().committed, 1);
}

#[test]
fn threads_that_sync_at_once_share_one() {
    with_disk(BlackBox::Spool, |journal, disk, _| {
        log(journal);
        sync(journal).unwrap();
        let before = disk.lock().spool;
        disk.hold(true);
        log(journal);
        let first = journal.sync();
        disk.wait_until_one_waits();
        let more: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        log(journal);
                        journal.sync()
                    })
                })
                .collect();
            let tickets = threads.into_iter().map(|thread| thread.join().unwrap());
            tickets.collect()
        });
        disk.hold(false);
        for ticket in more.into_iter().chain([first]) {
            ticket.wait(HANG).unwrap();
        }
        assert_eq!(disk.lock().spool - before, 2);
    });
}

#[test]
fn a_journal_that_fails_leaves_what_was_synced_to_the_next_opener() {
    with_disk(BlackBox::Spool, |journal, disk, dir| {
        let first = log(journal);
        journal.flush().wait(HANG).unwrap();
        let mut synced = vec![first];
        for _ in 0..5 {
            synced.push(log(journal));
        }
        sync(journal).unwrap();
        disk.is_broken.store(true, Ordering::SeqCst);
        let error = journal.flush().wait(HANG).unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error:?}");
        let health = journal.health();
        assert_eq!(health.state, State::Failed);
        assert_eq!((health.committed, health.unknown), (1, 5), "{health:?}");
        assert!(matches!(sync(journal), Err(Error::Failed { .. })));
        assert!(journal.close().is_err());
        disk.is_broken.store(false, Ordering::SeqCst);
        let next = options().open(dir).unwrap();
        assert_eq!(ids(dir), synced);
        next.close().unwrap();
    });
}

#[test]
fn a_spool_that_cannot_be_synced_is_replaced_by_a_commit() {
    with_disk(BlackBox::Spool, |journal, disk, dir| {
        let mut synced = Vec::new();
        for round in 0..6 {
            disk.is_spool_broken.store(round % 2 == 1, Ordering::SeqCst);
            synced.push(log(journal));
            sync(journal).unwrap();
            if round % 2 == 1 {
                assert_eq!(ids(dir), synced);
                assert!(journal.health().black_box_error.is_some());
            }
        }
        journal.close().unwrap();
        assert_eq!(ids(dir), synced);
    });
}
