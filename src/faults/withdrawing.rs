//! Every call to the disk fails once while an import is undone. Nothing but the import is lost, and
//! after a repair the undo is done again.

use std::path::Path;
use std::time::Instant;

use super::nth::{Fault, Nth, Which, copy_to};
use super::{HANG, in_time, patience, scratch, stride};
use crate::entry::GapReason;
use crate::fs::failpoint::install;
use crate::import::{Answer, Importer};
use crate::maintenance::{repair, undo_import};
use crate::{Content, Inference, Journal, Maintenance, Reader, RunId, Timestamp};

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

/// Own and imported decisions, whether there are lost ranges, and the statistics.
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

/// Undoes the import with a fault at one call after the other; returns how often that was an error.
fn sweep(which: Which) -> usize {
    let directory = scratch();
    let dir = directory.path().join("data");
    let run = journal(&dir);
    assert_eq!(counts(&dir), (9, 10, false, 9, 10));
    let mut refused = 0;
    let began = Instant::now();
    for at in (1..).step_by(stride()) {
        let what = format!("{which:?}, call {at}");
        let dir = dir.clone();
        let said = in_time(&what.clone(), move || {
            let directory = scratch();
            let copy = directory.path().join("data");
            copy_to(&dir, &copy);
            let failing = Nth::new(which, Fault::Once, at);
            let installed = install(directory.path(), failing.clone());
            let undone = undo_import(&copy, run);
            drop(installed);
            if !failing.was_reached() {
                undone.unwrap();
                return None;
            }
            if !Maintenance::open(&copy).is_ok_and(|maintenance| maintenance.verify().is_whole()) {
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
    assert!(sweep(Which::Changes) > 0);
}

#[test]
fn an_undo_that_cannot_read_loses_nothing_else_and_is_done_again() {
    assert!(sweep(Which::Reads) > 0);
}
