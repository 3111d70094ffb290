//! Every call to the disk fails, once or from then on, in a journal that others may write too.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::ledger::{Ledger, Rigour};
use super::story::{Story, Teller, Waits};
use super::{in_time, patience, scale, scratch, stride};
use crate::Error;
use crate::fs::failpoint::{Failpoint, IoCall, install};

/// Result of the failing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The device is broken for one call.
    Once,
    /// The device is broken from then on.
    ForEver,
    /// The device is full for one call, after half of its bytes.
    Full,
}

/// The thread whose calls are counted; others' calls pass, except where the device is broken for
/// good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The writer's and the user's.
    Ours,
    /// The sealer's.
    Sealers,
}

/// Fails call number `at`.
struct Failing {
    fault: Fault,
    whose: Whose,
    at: usize,
    counted: AtomicUsize,
    fired: AtomicBool,
    /// Name of the failing call.
    hit: Mutex<String>,
}

impl Failing {
    fn new(fault: Fault, whose: Whose, at: usize) -> Arc<Failing> {
        Arc::new(Failing {
            fault,
            whose,
            at,
            counted: AtomicUsize::new(0),
            fired: AtomicBool::new(false),
            hit: Mutex::default(),
        })
    }

    fn hit(&self) -> String {
        let hit = self.hit.lock();
        hit.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_counted(&self, call: IoCall<'_>) -> bool {
        let thread = std::thread::current();
        let whose = match thread.name() {
            Some("annals-sealer") => Whose::Sealers,
            // It works in its own time, so its calls have no numbers.
            Some("annals-folder") => return false,
            _ => Whose::Ours,
        };
        let ours = whose == self.whose;
        let takes_room = matches!(
            call,
            IoCall::Write { .. } | IoCall::Resize(_) | IoCall::Create | IoCall::CreateDirectory
        );
        ours && (self.fault != Fault::Full || takes_room)
    }
}

impl Failpoint for Failing {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let broken = || io::Error::from_raw_os_error(5);
        if self.fired.load(Ordering::SeqCst) {
            return match self.fault {
                Fault::ForEver => Err(broken()),
                _ => Ok(()),
            };
        }
        if !self.is_counted(call) || self.counted.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
            return Ok(());
        }
        self.fired.store(true, Ordering::SeqCst);
        let mut hit = format!("{call:?} of {}", path.display());
        hit.truncate(160);
        *self.hit.lock().unwrap_or_else(PoisonError::into_inner) = hit;
        match (self.fault, call) {
            (Fault::Full, IoCall::Write { offset, data }) => {
                write_half(path, offset, data);
                Err(io::ErrorKind::StorageFull.into())
            }
            (Fault::Full, _) => Err(io::ErrorKind::StorageFull.into()),
            _ => Err(broken()),
        }
    }
}

/// A full device takes as much as it has room for.
fn write_half(path: &Path, offset: u64, data: &[u8]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&data[..data.len() / 2]).unwrap();
}

/// Tells the story with a fault at call number `at`; `None` if the story has not that many calls.
fn tell(story: Story, fault: Fault, whose: Whose, at: usize) -> Option<(Ledger, String)> {
    let directory = scratch();
    let dir = directory.path().join("data");
    let failing = Failing::new(fault, whose, at);
    let installed = install(directory.path(), failing.clone());
    let mut nothing = |_: &Ledger| ();
    let mut teller = Teller::new(&dir, &mut nothing);
    teller.tell(story);
    let ledger = teller.ledger;
    drop(installed);
    if !failing.fired.load(Ordering::SeqCst) {
        return None;
    }
    let what = format!("{fault:?} at {at}: {}", failing.hit());
    ledger
        .check(&dir, Rigour::Full, &what)
        .unwrap_or_else(|error| {
            panic!("{what}: {error:?} after {:?}", ledger.errors);
        });
    check_errors(&ledger, fault, &what);
    Some((ledger, failing.hit()))
}

/// Errors name the failed call, and after one failure there is no second one.
fn check_errors(ledger: &Ledger, fault: Fault, what: &str) {
    for error in &ledger.errors {
        let said = error.to_string();
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(!matches!(error, Error::TimedOut { .. }), "{what}: {said}");
        assert!(!matches!(error, Error::Foreign { .. }), "{what}: {said}");
    }
    if fault == Fault::Full {
        for account in &ledger.accounts {
            // The entries of a spool at a close without room are for the next opener.
            let is_left = ledger.has_spool && !account.closed;
            let unknown = account.health.unknown;
            assert!(unknown == 0 || is_left, "{what}: {account:?}");
            // Entries without room at the close are lost with it, and the journal reports that.
            let lost = account.health.dropped.total();
            assert!(lost == 0 || !account.closed, "{what}: {account:?}");
        }
    }
}

fn sweep(fault: Fault, whose: Whose) {
    let story = Story {
        commits: scale(60, 60, 200),
        save_every: 20,
        seal_every: 25,
        reopen_every: 40,
        burst_every: 30,
        waits: Waits::Flush,
    };
    sweep_story(story, fault, whose, stride());
}

fn sweep_syncs(fault: Fault) {
    let story = Story {
        commits: scale(24, 24, 200),
        save_every: 20,
        seal_every: 25,
        reopen_every: 14,
        burst_every: 12,
        waits: Waits::Sync,
    };
    // The calls of commits were tried above.
    sweep_story(story, fault, Whose::Ours, scale(16, 3, 1));
}

fn sweep_story(story: Story, fault: Fault, whose: Whose, step: usize) {
    let began = Instant::now();
    let mut at = 1;
    let mut errors = 0;
    while began.elapsed() < patience() {
        let told = in_time(&format!("{fault:?} at {at}"), move || {
            tell(story, fault, whose, at)
        });
        let Some((ledger, _)) = told else { break };
        errors += ledger.errors.len();
        at += step;
    }
    println!(
        "{fault:?}, {whose:?}: {} calls, {errors} errors, {:?}",
        at - 1,
        began.elapsed()
    );
    assert!(errors > 0);
}

#[test]
fn whatever_fails_once_costs_at_most_the_batch_that_it_was_in() {
    sweep(Fault::Once, Whose::Ours);
}

#[test]
fn a_disk_that_breaks_for_good_leaves_what_was_promised() {
    sweep(Fault::ForEver, Whose::Ours);
}

#[test]
fn a_disk_that_is_full_for_a_moment_costs_nothing() {
    sweep(Fault::Full, Whose::Ours);
}

#[test]
fn whatever_fails_once_leaves_what_was_synced() {
    sweep_syncs(Fault::Once);
    sweep_syncs(Fault::Full);
}

#[test]
fn a_disk_that_breaks_for_good_leaves_what_was_synced() {
    sweep_syncs(Fault::ForEver);
}

#[test]
fn whatever_fails_while_a_segment_is_sealed_costs_nothing() {
    sweep(Fault::Once, Whose::Sealers);
    sweep(Fault::Full, Whose::Sealers);
    sweep(Fault::ForEver, Whose::Sealers);
}
