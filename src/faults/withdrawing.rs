//! Every call to the disk fails once while an import is undone. Nothing but the import is lost, and
//! after a repair the undo is done again.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::{HANG, in_time, patience, scratch, stride};
use crate::entry::GapReason;
use crate::fs::failpoint::{Call, Probe, place};
use crate::import::{Answer, Importer};
use crate::maintenance::{repair, undo_import};
use crate::{Content, Inference, Journal, Maintenance, Reader, RunId, Timestamp};

/// Refuses the call with this number, of those that read or of the others.
struct Failing {
    reads: bool,
    at: usize,
    counted: AtomicUsize,
}

impl Probe for Failing {
    fn before(&self, _path: &Path, call: Call<'_>) -> io::Result<()> {
        if matches!(call, Call::Read | Call::Length) != self.reads {
            return Ok(());
        }
        let number = self.counted.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.at {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// A journal with own entries and an import's, in a segment and in the hot file.
fn journal(dir: &Path) -> RunId {
    let mut first = 1;
    let mut import = || {
        let mut importer = Importer::open(dir).unwrap();
        let run = importer.source("a").unwrap();
        for number in first..first + 5 {
            let inference = Inference::new("old", "s", "BUY").event_time(Timestamp::from_micros(7));
            let id = run.inference(number).unwrap();
            importer.add(id, &inference, Answer::Full).unwrap();
        }
        first += 5;
        importer.close().unwrap();
        run
    };
    let log = || {
        let options = Journal::options().without_mirror();
        let journal = options.open(dir).unwrap();
        for _ in 0..3 {
            journal.log(Inference::new("live", "s", "BUY"));
        }
        journal.flush().wait(HANG).unwrap();
        journal
    };
    log().close().unwrap();
    let run = import();
    let own = log();
    assert!(own.seal(HANG).unwrap() > 5);
    own.close().unwrap();
    import();
    log().close().unwrap();
    run
}

/// Own and imported decisions, whether there are holes of lost entries, and the statistics.
fn counts(dir: &Path) -> (usize, usize, bool, u64, u64) {
    let reader = Reader::open(dir).unwrap();
    let (mut own, mut old, mut is_lost) = (0, 0, false);
    for entry in reader.follow(reader.start()).unwrap() {
        match entry.unwrap().content {
            Content::Inference(record) if &*record.model == "live" => own += 1,
            Content::Inference(_) => old += 1,
            Content::Gap(gap) => is_lost |= gap.reason == GapReason::Damaged,
            _ => {}
        }
    }
    let of = |model: &str| reader.stats(model).get().unwrap().count;
    (own, old, is_lost, of("live"), of("old"))
}

fn copy_to(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copied = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_to(&entry.path(), &copied);
        } else {
            fs::copy(entry.path(), copied).unwrap();
        }
    }
}

/// Undoes the import with a fault at one call after the other; returns how often that was an error.
fn sweep(reads: bool) -> usize {
    let directory = scratch();
    let dir = directory.path().join("data");
    let run = journal(&dir);
    assert_eq!(counts(&dir), (9, 10, false, 9, 10));
    let mut refused = 0;
    let began = Instant::now();
    for at in (1..).step_by(stride()) {
        let what = format!("reads {reads}, call {at}");
        let dir = dir.clone();
        let said = in_time(&what.clone(), move || {
            let directory = scratch();
            let copy = directory.path().join("data");
            copy_to(&dir, &copy);
            let failing = Arc::new(Failing {
                reads,
                at,
                counted: AtomicUsize::new(0),
            });
            let placed = place(directory.path(), failing.clone());
            let undone = undo_import(&copy, run);
            drop(placed);
            if failing.counted.load(Ordering::SeqCst) < at {
                undone.unwrap();
                return None;
            }
            if !Maintenance::open(&copy).is_ok_and(|upkeep| upkeep.verify().is_whole()) {
                assert!(undone.is_err(), "{what}");
                repair(&copy).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            }
            let (own, old, is_lost, ..) = counts(&copy);
            assert!(own == 9 && !is_lost, "{what}: {own} {old} {undone:?}");
            if old > 0 {
                assert!(undone.is_err(), "{what}");
            }
            let again = undo_import(&copy, run);
            assert_eq!(
                counts(&copy),
                (9, 0, false, 9, 0),
                "{what}: {undone:?} {again:?}"
            );
            assert!(
                Maintenance::open(&copy).unwrap().verify().is_whole(),
                "{what}"
            );
            Some(undone.is_err())
        });
        let Some(is_refused) = said else { break };
        refused += usize::from(is_refused);
        if began.elapsed() > patience() {
            break;
        }
    }
    refused
}

#[test]
fn an_undo_that_cannot_write_loses_nothing_else_and_is_done_again() {
    assert!(sweep(false) > 0);
}

#[test]
fn an_undo_that_cannot_read_loses_nothing_else_and_is_done_again() {
    assert!(sweep(true) > 0);
}
