//! Every call to the disk fails while a damaged journal is repaired: a segment and the hot file, or
//! a segment alone, which is registered anew. The journal is as damaged as it was, or less, and a
//! second repair does what the first would have done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::nth::{Fault, Nth, Which, copy_to};
use super::{HANG, in_time, patience, scratch, stride};
use crate::entry::GapReason;
use crate::fs::failpoint::install;
use crate::maintenance::repair;
use crate::{Content, Inference, Journal, Level, Maintenance, Reader};

/// Beyond the end of the journal here.
const BEYOND: u64 = 200;

/// The length of an event: so that a segment has several blocks, and a damaged one others to lose.
const EVENT_BYTES: usize = 5_000;

/// The damage of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    SegmentAndHotFile,
    Segment,
}

/// A closed journal with a damaged block in one segment of two, and perhaps one in the hot file.
fn damaged(harm: Harm) -> (TempDir, PathBuf) {
    let directory = scratch();
    let dir = directory.path().join("data");
    let options = Journal::options().without_mirror().without_folding();
    let journal = options.open(&dir).unwrap();
    for number in 0..60 {
        journal.log(Inference::new("m", "s", "BUY"));
        let said = format!("{:<EVENT_BYTES$}", event(number));
        journal.event(Level::Info, "repair", said);
        if number % 10 == 9 {
            journal.flush().wait(HANG).unwrap();
        }
        if number == 19 || number == 39 {
            assert!(journal.seal(HANG).unwrap() > 0);
        }
    }
    journal.close().unwrap();
    drop(journal);
    let segments = fs::read_dir(dir.join("segments")).unwrap();
    let segments = segments.map(|entry| entry.unwrap().path());
    let hit: usize = segments.map(|file| damage(&file, 25)).sum();
    assert_eq!(hit, 1);
    if harm == Harm::SegmentAndHotFile {
        assert_eq!(damage(&dir.join("journal.redb"), 45), 1);
    }
    (directory, dir)
}

fn event(number: usize) -> String {
    format!("event {number:02}")
}

/// Flips a byte of the event, if it is there; returns how often.
fn damage(file: &Path, number: usize) -> usize {
    let mut bytes = fs::read(file).unwrap();
    let event = event(number).into_bytes();
    let found = bytes.windows(event.len()).position(|text| text == event);
    if let Some(at) = found {
        bytes[at] ^= 0x55;
        fs::write(file, bytes).unwrap();
    }
    usize::from(found.is_some())
}

/// All entries that can be read, by sequence, except for those that report losses.
fn readable(dir: &Path) -> BTreeMap<u64, String> {
    let copy = scratch();
    copy_to(dir, copy.path());
    let Ok(reader) = Reader::open(copy.path()) else {
        return BTreeMap::new();
    };
    let entries = (1..BEYOND).filter_map(|sequence| reader.entry(sequence).ok().flatten());
    entries
        .filter(|entry| {
            !matches!(&entry.content, Content::Gap(gap) if gap.reason == GapReason::Damaged)
        })
        .map(|entry| (entry.sequence, format!("{entry:?}")))
        .collect()
}

/// Losses according to the gaps.
fn lost(dir: &Path) -> Vec<(u64, Option<u64>)> {
    let reader = Reader::open(dir).unwrap();
    let gaps = reader.gaps().map(Result::unwrap);
    let gaps = gaps.filter(|gap| gap.reason == GapReason::Damaged);
    gaps.map(|gap| (gap.sequence, gap.count)).collect()
}

/// Number of repairs with a fault that still gave a result.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    refused: usize,
}

/// Repairs with a fault at one call after the other.
fn sweep(harm: Harm, which: Which, fault: Fault) -> Tally {
    let (_directory, dir) = damaged(harm);
    let files = match harm {
        Harm::SegmentAndHotFile => 2,
        Harm::Segment => 1,
    };
    let before = readable(&dir);
    let mended = scratch();
    copy_to(&dir, mended.path());
    let repaired = repair(mended.path()).unwrap();
    assert_eq!(repaired.set_aside.len(), files, "{repaired:?}");
    let (wanted, gaps) = (readable(mended.path()), lost(mended.path()));
    assert!(wanted.len() > 50 && gaps.len() == files, "{gaps:?}");
    let known = Arc::new((dir, before, wanted, gaps));
    let mut tally = Tally::default();
    let began = Instant::now();
    for at in (1..).step_by(stride()) {
        let known = known.clone();
        let what = format!("{harm:?}, {fault:?} of {which:?} at {at}");
        let said = in_time(&what.clone(), move || {
            let (dir, before, wanted, gaps) = &*known;
            let directory = scratch();
            let copy = directory.path().join("data");
            copy_to(dir, &copy);
            let failing = Nth::new(which, fault, at);
            let installed = install(directory.path(), failing.clone());
            let first = repair(&copy);
            drop(installed);
            if !failing.was_reached() {
                return None;
            }
            if which == Which::Changes {
                let now = readable(&copy);
                assert!(contains(&now, before), "{what}: {first:?}");
                let is_done = now == *wanted && lost(&copy) == *gaps;
                assert!(first.is_err() || is_done, "{what}: {first:?}");
            }
            let second = repair(&copy).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            let verified = Maintenance::open(&copy).unwrap().verify();
            assert!(verified.is_whole(), "{what}: {:?}", verified.defects);
            if which == Which::Changes || first.is_err() {
                assert_eq!((&readable(&copy), &lost(&copy)), (wanted, gaps), "{what}");
            } else {
                // Entries that the disk did not give are lost to the journal, and their file is set
                // aside.
                let set_aside = fs::read_dir(copy.join("damaged")).unwrap().count();
                assert!(set_aside >= files, "{what}: {second:?}");
            }
            assert!(repair(&copy).unwrap().is_untouched(), "{what}");
            Some(first.is_err())
        });
        let Some(refused) = said else { break };
        tally.calls += 1;
        tally.refused += usize::from(refused);
        if began.elapsed() > patience() {
            break;
        }
    }
    println!(
        "{harm:?}, {fault:?} of {which:?}: {tally:?}, {:?}",
        began.elapsed()
    );
    tally
}

fn contains(entries: &BTreeMap<u64, String>, others: &BTreeMap<u64, String>) -> bool {
    others
        .iter()
        .all(|(at, entry)| entries.get(at) == Some(entry))
}

fn without_writing(harm: Harm) {
    let once = sweep(harm, Which::Changes, Fault::Once);
    let for_ever = sweep(harm, Which::Changes, Fault::ForEver);
    // The last change of a file that is closed cannot report its failure, and no later step needs
    // it.
    assert!(once.refused > 0 && for_ever.refused >= for_ever.calls - 1);
}

fn without_reading(harm: Harm) {
    let once = sweep(harm, Which::Reads, Fault::Once);
    assert!(once.calls > 0);
}

#[test]
fn a_repair_that_cannot_write_leaves_the_journal_no_worse_and_is_done_again() {
    without_writing(Harm::SegmentAndHotFile);
}

#[test]
fn a_repair_of_a_segment_that_cannot_write_leaves_it_no_worse_and_is_done_again() {
    without_writing(Harm::Segment);
}

#[test]
fn a_repair_that_cannot_read_loses_nothing_that_is_not_set_aside() {
    without_reading(Harm::SegmentAndHotFile);
}

#[test]
fn a_repair_of_a_segment_that_cannot_read_loses_nothing_that_is_not_set_aside() {
    without_reading(Harm::Segment);
}
