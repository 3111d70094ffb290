//! Accepted entries that no commit has yet survive the death of the process: the next opener takes
//! them in from the spool, once and in order.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::GapReason;
use annals::{
    BlackBox, Content, Entry, Inference, InferenceId, Journal, Maintenance, Options, Outcome,
    Reader,
};
use common::{Child, Random, cases, command, copied, role, say, spool_files, spool_frames};
use tempfile::TempDir;

/// No commit comes in this time: all that is found afterwards was in the spool.
const NEVER: Duration = Duration::from_secs(3_600);
const BOUND: Duration = Duration::from_secs(60);

fn options() -> Options {
    let options = Journal::options().without_mirror().without_folding();
    options.black_box(BlackBox::Spool)
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.parse() {
        Ok(pace) => log_for_ever(&dir, Duration::from_micros(pace)),
        Err(_) => open_when_told(&dir),
    }
}

/// Logs one inference per `pace`, with an outcome of each, and says each id that it got.
fn log_for_ever(dir: &Path, pace: Duration) {
    let journal = options().commit_interval(NEVER).open(dir).unwrap();
    loop {
        let id = journal.log(Inference::new("m", "s", "BUY"));
        if let Some(id) = id
            && journal.attach_outcome(id, Outcome::new().reward(0.5))
        {
            say(&id.to_string());
        }
        thread::sleep(pace);
    }
}

fn open_when_told(dir: &Path) {
    say("ready");
    command();
    let journal = options().open(dir).unwrap();
    say("open");
    command();
    journal.close().unwrap();
}

/// The ids that a child said; frames that were begun later had been written when it was killed.
fn killed(dir: &Path, pace: u64) -> Vec<InferenceId> {
    let child = Child::start(&pace.to_string(), dir);
    let told: Vec<_> = (0..50).map(|_| child.hear().parse().unwrap()).collect();
    // The frame that is under way may have begun before.
    let enough = spool_frames(dir) + 5;
    let began = Instant::now();
    while spool_frames(dir) < enough {
        assert!(began.elapsed() < BOUND, "nothing is spooled");
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_micros(Random::new().below(20_000)));
    drop(child.kill());
    told
}

/// What a reader finds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    ids: Vec<InferenceId>,
    outcomes: usize,
    deaths: usize,
}

fn found(dir: &Path) -> Found {
    let reader = Reader::open(dir).unwrap();
    let follow = reader.follow(reader.start()).unwrap();
    let entries: Vec<Entry> = follow.map(Result::unwrap).collect();
    let sequences = entries.iter().map(|entry| entry.sequence);
    assert!(sequences.eq(1..=entries.len() as u64));
    let mut found = Found::default();
    for entry in &entries {
        match &entry.content {
            Content::Outcome(_) => found.outcomes += 1,
            Content::Gap(gap) if gap.reason == GapReason::Died => found.deaths += 1,
            _ => {}
        }
        found.ids.extend(entry.id());
    }
    // Ids of system events, such as those of the journal itself, are not meant.
    assert!(found.ids.is_sorted_by(|a, b| a < b));
    found
}

fn open_and_close(dir: &Path) {
    options().open(dir).unwrap().close().unwrap();
}

fn scratch() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    (scratch, dir)
}

#[test]
fn returned_ids_are_there_after_a_kill_once_and_with_their_outcomes() {
    for pace in [50, 500, 5_000] {
        let (_scratch, dir) = scratch();
        let told = killed(&dir, pace);
        // The default takes it in too: a spool that is there is used.
        let default = Journal::options().without_mirror().without_folding();
        default.open(&dir).unwrap().close().unwrap();
        let first = found(&dir);
        for id in &told {
            assert!(first.ids.binary_search(id).is_ok(), "{pace}: {id}");
        }
        // The last one's outcome may have been in no frame.
        assert!(first.outcomes + 1 >= first.ids.len(), "{pace}: {first:?}");
        assert!(first.outcomes >= told.len(), "{pace}: {first:?}");
        assert_eq!(first.deaths, 1);
        let outcome = Reader::open(&dir).unwrap().outcome(told[0]).unwrap();
        assert_eq!(outcome.unwrap().reward.unwrap().value, 0.5);
        assert_eq!(spool_files(&dir), [] as [PathBuf; 0]);
        open_and_close(&dir);
        assert_eq!(found(&dir), first, "{pace}");
    }
}

#[test]
fn two_processes_that_open_at_once_take_it_in_once() {
    for _case in 0..cases(3, 50) {
        let (_scratch, dir) = scratch();
        let told = killed(&dir, 500);
        let mut openers = [(); 2].map(|()| Child::start("opener", &dir));
        for opener in &openers {
            assert_eq!(opener.hear(), "ready");
        }
        for opener in &mut openers {
            opener.tell("open");
        }
        for opener in &openers {
            assert_eq!(opener.hear(), "open");
        }
        let found = found(&dir);
        assert!(found.ids.len() >= told.len());
        assert_eq!(found.deaths, 1);
        for mut opener in openers {
            opener.tell("close");
            opener.finish();
        }
    }
}

#[test]
fn no_spool_keeps_a_journal_from_opening() {
    let mut random = Random::printed();
    let (_scratch, dead) = scratch();
    let (_other, foreign) = scratch();
    let told = killed(&dead, 500);
    killed(&foreign, 500);
    let foreign = fs::read(&spool_files(&foreign)[0]).unwrap();
    let (scratch, whole) = scratch();
    copied(&dead, &whole);
    open_and_close(&whole);
    let whole = found(&whole);
    let mut sizes = BTreeMap::new();
    for case in 0..cases(60, 2_000) {
        let dir = scratch.path().join(case.to_string());
        copied(&dead, &dir);
        let [path] = <[PathBuf; 1]>::try_from(spool_files(&dir)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let length = bytes.len() as u64;
        let at = |random: &mut Random, end: u64| usize::try_from(random.below(end)).unwrap();
        match case % 6 {
            0 => bytes.truncate(at(&mut random, length)),
            1 => {
                let place = at(&mut random, length.min(4_000));
                bytes[place] ^= 1 << random.below(8);
            }
            2 => bytes
                .iter_mut()
                .for_each(|byte| *byte = random.below(256).to_le_bytes()[0]),
            3 => bytes.clone_from(&foreign),
            // A length that the file does not have.
            4 => bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes()),
            _ => {
                // The same frames again, behind themselves and in the other batch's file.
                let again = bytes.clone();
                bytes.extend_from_slice(&again);
                fs::write(path.with_extension("spool-0"), &again).unwrap();
            }
        }
        fs::write(&path, &bytes).unwrap();
        open_and_close(&dir);
        let found = found(&dir);
        assert_eq!(found.deaths, 1, "{case}");
        assert!(whole.ids.starts_with(&found.ids), "{case}");
        assert!(
            Maintenance::open(&dir).unwrap().verify().is_whole(),
            "{case}"
        );
        sizes.insert(found.ids.len(), case);
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(whole.ids.len() >= told.len());
    assert!(sizes.contains_key(&0) && sizes.contains_key(&whole.ids.len()));
}

#[test]
fn a_spool_that_cannot_be_written_stops_no_commit() {
    let (_scratch, dir) = scratch();
    open_and_close(&dir);
    for place in 0..2 {
        // No program removes this, or writes it.
        fs::create_dir_all(dir.join(format!("runs/2.spool-{place}/held"))).unwrap();
    }
    let journal = options().open(&dir).unwrap();
    for number in 1..=3 {
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
        journal.flush().wait(BOUND).unwrap();
        let health = journal.health();
        assert!(health.committed >= number, "{health:?}");
        assert_eq!(health.black_box, BlackBox::Off);
        assert!(health.black_box_error.is_some(), "{health:?}");
    }
    journal.close().unwrap();
    assert_eq!(found(&dir).ids.len(), 3);
}

#[test]
fn a_spool_is_kept_where_it_is_asked_for_and_ends_with_its_run() {
    for (black_box, files) in [(BlackBox::Off, 0), (BlackBox::Spool, 1)] {
        let (_scratch, dir) = scratch();
        let options = Journal::options().without_mirror().black_box(black_box);
        let journal = options.open(&dir).unwrap();
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
        journal.flush().wait(BOUND).unwrap();
        assert_eq!(journal.health().black_box, black_box);
        assert_eq!(spool_files(&dir).len(), files);
        journal.close().unwrap();
        assert_eq!(spool_files(&dir), [] as [PathBuf; 0]);
    }
    let default = Journal::options().in_memory().unwrap();
    assert_eq!(default.health().black_box, BlackBox::Off);
}

#[test]
fn maintenance_leaves_a_spool_alone() {
    let (scratch, dir) = scratch();
    let told = killed(&dir, 500);
    let before = spool_files(&dir);
    assert_eq!(before.len(), 1);
    let maintenance = Maintenance::open(&dir).unwrap();
    assert!(maintenance.verify().is_whole());
    let backup = scratch.path().join("backup");
    maintenance.backup(&backup).run().unwrap();
    assert_eq!(spool_files(&backup), [] as [PathBuf; 0]);
    drop(maintenance);
    assert!(annals::maintenance::repair(&dir).unwrap().is_untouched());
    assert_eq!(spool_files(&dir), before);
    open_and_close(&dir);
    assert!(found(&dir).ids.len() >= told.len());
}
