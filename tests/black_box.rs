//! An id that a call returned is in the journal after its process died, for whatever reason: the
//! next opener takes in what the lanes in shared memory have, once and in order.

#![cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use annals::entry::GapReason;
use annals::maintenance::{LeftBlackBox, WhyLeft, left_black_boxes};
use annals::{
    BlackBox, Content, Entry, Inference, InferenceId, Journal, JournalId, Level, Maintenance,
    Options, Outcome, Reader, Timestamp,
};
use common::{BOUND, Child, Random, cases, command, copied, role, say};
use tempfile::TempDir;

const THREADS: u64 = 3;

fn options() -> Options {
    let options = Journal::options().without_mirror().without_folding();
    options
        .black_box(BlackBox::Lanes)
        .dedup_window(Duration::ZERO)
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.split_once(' ') {
        Some(("tell", interval)) => tell_all(&dir, interval.parse().unwrap()),
        Some(("run", interval)) => run_fast(&dir, interval.parse().unwrap()),
        Some(("end", how)) => end_as(&dir, how),
        Some(("drop", calls)) => drop_some(&dir, calls.parse().unwrap()),
        _ => open_when_told(&dir, &role),
    }
}

fn open(dir: &Path, interval: u64) -> Journal {
    let journal = options().commit_interval(Duration::from_millis(interval));
    let journal = journal.open(dir).unwrap();
    assert_eq!(journal.health().black_box, BlackBox::Lanes);
    journal
}

/// Several threads log all kinds of entries, and say each that was accepted.
fn tell_all(dir: &Path, interval: u64) {
    let journal = open(dir, interval);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                for call in 0.. {
                    tell_one(journal, thread, call);
                }
            });
        }
    });
}

fn tell_one(journal: &Journal, thread: u64, call: u64) {
    let symbol = format!("s{thread}");
    let decision = Inference::new("m", &symbol, "BUY");
    let long = "x".repeat(usize::try_from(call % 3).unwrap() * 30_000);
    let text = [("text", annals::Value::from(long))];
    let id = if call.is_multiple_of(7) {
        journal.log(decision.attributes(&text))
    } else {
        journal.log(decision)
    };
    let Some(id) = id else {
        return say("lost");
    };
    say(&format!("d {thread} {id}"));
    let is_kept = journal.attach_outcome(id, Outcome::new().reward(0.5));
    say(&if is_kept {
        format!("o {thread} {id}")
    } else {
        "lost".to_owned()
    });
    if call.is_multiple_of(5) {
        let message = format!("{thread} {call}");
        let is_kept = journal.event(Level::Info, &symbol, &*message);
        say(&if is_kept {
            format!("e {message}")
        } else {
            "lost".to_owned()
        });
    }
}

/// Several threads log as fast as they can. Each decision has its number among its thread's as its
/// time; the numbers that were accepted are said now and then.
fn run_fast(dir: &Path, interval: u64) {
    let journal = open(dir, interval);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let recorder = journal.recorder("m", format!("s{thread}"));
            let recorder = recorder.actions(["BUY", "SELL"]).build().unwrap();
            scope.spawn(move || {
                let mut accepted = 0;
                loop {
                    let time = Timestamp::from_micros(accepted);
                    let decision = recorder.inference(0).confidence(0.5).event_time(time);
                    if decision.log().is_some() {
                        accepted += 1;
                        if accepted % 256 == 0 {
                            say(&format!("n {thread} {accepted}"));
                        }
                    }
                }
            });
        }
    });
}

/// Logs more than the queue takes, says how many calls were refused, and waits.
fn drop_some(dir: &Path, calls: u64) {
    let journal = options()
        .queue_capacity(4)
        .commit_interval(Duration::from_secs(3_600));
    let journal = journal.open(dir).unwrap();
    let log = |_: &u64| journal.log(Inference::new("m", "s", "BUY")).is_none();
    let lost = (0..calls).filter(log).count();
    say(&format!("{lost}"));
    thread::sleep(BOUND);
}

fn end_as(dir: &Path, how: &str) {
    let journal = open(dir, 3_600_000);
    for call in 0..100 {
        tell_one(&journal, 0, call);
    }
    match how {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        "overflow" => {
            // The stack ends before the number does.
            fn deeper(depth: u64) -> u64 {
                if depth == 0 {
                    return 0;
                }
                std::hint::black_box(deeper(depth - 1)) + 1
            }
            std::process::exit(i32::try_from(deeper(u64::MAX) % 2).unwrap());
        }
        signal => {
            let signal = match signal {
                "segv" => rustix::process::Signal::SEGV,
                _ => rustix::process::Signal::KILL,
            };
            rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
            thread::sleep(BOUND);
        }
    }
}

fn open_when_told(dir: &Path, role: &str) {
    say("ready");
    command();
    let journal = options().open(dir).unwrap();
    say("open");
    if role == "opener" {
        command();
        journal.close().unwrap();
    } else {
        thread::sleep(BOUND);
    }
}

fn scratch() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    (scratch, dir)
}

/// The entries of a journal.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// Sequences of decisions.
    decisions: BTreeMap<InferenceId, u64>,
    /// Times of decisions by symbol, in order.
    numbers: BTreeMap<String, Vec<i64>>,
    /// Sequences of outcomes, by their decision.
    outcomes: BTreeMap<InferenceId, u64>,
    events: BTreeSet<String>,
    deaths: Vec<Option<u64>>,
    lost: u64,
}

fn found(dir: &Path) -> Found {
    let reader = Reader::open(dir).unwrap();
    let follow = reader.follow(reader.start()).unwrap();
    let entries: Vec<Entry> = follow.map(Result::unwrap).collect();
    let sequences = entries.iter().map(|entry| entry.sequence);
    assert!(sequences.eq(1..=entries.len() as u64));
    let mut found = Found::default();
    for entry in entries {
        let sequence = entry.sequence;
        match entry.content {
            Content::Inference(decision) => {
                let before = found.decisions.insert(decision.id, sequence);
                assert_eq!(before, None, "{} is there twice", decision.id);
                let numbers = found
                    .numbers
                    .entry(decision.symbol.to_string())
                    .or_default();
                numbers.push(decision.event_time.as_micros());
            }
            Content::Outcome(outcome) => {
                let before = found.outcomes.insert(outcome.of, sequence);
                assert_eq!(before, None, "an outcome of {} is there twice", outcome.of);
            }
            Content::SystemEvent(event) => {
                let message = event.message.to_string();
                assert!(found.events.insert(message), "an event is there twice");
            }
            Content::Gap(gap) if gap.reason == GapReason::Died => found.deaths.push(gap.count),
            Content::Gap(gap) => found.lost += gap.count.unwrap(),
            other => panic!("{other:?}"),
        }
    }
    for (id, outcome) in &found.outcomes {
        let decision = found.decisions.get(id);
        assert!(decision.is_some_and(|decision| decision < outcome), "{id}");
    }
    assert!(Maintenance::open(dir).unwrap().verify().is_whole());
    found
}

/// All that was said is there, and each thread's decisions are in order.
fn assert_has_all(found: &Found, lines: &[String]) {
    let mut last = BTreeMap::new();
    let mut lost = 0;
    for line in lines {
        let Some((kind, rest)) = line.split_once(' ') else {
            lost += 1;
            continue;
        };
        if kind == "e" {
            assert!(found.events.contains(rest), "{line}");
            continue;
        }
        let (thread, id) = rest.split_once(' ').unwrap();
        let id = id.parse().unwrap();
        if kind == "o" {
            assert!(found.outcomes.contains_key(&id), "{line}");
            continue;
        }
        let sequence = found.decisions.get(&id).copied();
        assert!(sequence.is_some(), "{line}");
        let before = last.insert(thread.to_owned(), sequence);
        assert!(before.is_none_or(|before| before < sequence), "{line}");
    }
    // Of each thread the last loss may not have been said.
    let [in_death] = found.deaths[..] else {
        panic!("{:?}", found.deaths);
    };
    let counted = found.lost + in_death.unwrap();
    assert!(
        (lost..=lost + THREADS).contains(&counted),
        "{counted} of {lost}"
    );
}

fn open_and_close(dir: &Path) {
    options().open(dir).unwrap().close().unwrap();
}

/// Lets a child play `role` until a random moment, kills it, and returns what it said.
fn killed(dir: &Path, role: &str, random: &mut Random) -> Vec<String> {
    let child = Child::start(role, dir);
    let first = child.hear();
    thread::sleep(Duration::from_micros(random.below(120_000)));
    let rest = child.kill().into_iter().map(|line| line.text);
    std::iter::once(first).chain(rest).collect()
}

/// The black boxes of the journal in `dir`.
fn boxes(dir: &Path) -> Vec<PathBuf> {
    boxes_of(&Reader::open(dir).unwrap().id().to_string())
}

/// The same, without recovering it: looked up in a copy.
fn boxes_of_the_dead(dir: &Path) -> Vec<PathBuf> {
    let copy = tempfile::tempdir().unwrap();
    copied(dir, copy.path());
    boxes(copy.path())
}

fn boxes_of(id: &str) -> Vec<PathBuf> {
    let user = fs::read_dir("/dev/shm")
        .unwrap()
        .map(|entry| entry.unwrap());
    let user = user.filter(|entry| entry.file_name().to_string_lossy().starts_with("annals-"));
    let all = user.flat_map(|entry| fs::read_dir(entry.path()).into_iter().flatten());
    let all = all.map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains(id))
        .collect()
}

#[test]
fn what_was_said_is_there_after_a_kill_at_any_moment() {
    let mut random = Random::printed();
    for round in 0..cases(9, 300) {
        let interval = [3_600_000, 1, 20][round % 3];
        let (_scratch, dir) = scratch();
        let lines = killed(&dir, &format!("tell {interval}"), &mut random);
        assert!(!boxes(&dir).is_empty());
        open_and_close(&dir);
        let first = found(&dir);
        println!("round {round}: {} lines", lines.len());
        assert_has_all(&first, &lines);
        assert_eq!(boxes(&dir), [] as [PathBuf; 0]);
        open_and_close(&dir);
        assert_eq!(found(&dir), first);
    }
}

#[test]
fn nothing_is_missing_between_what_fast_threads_logged() {
    let mut random = Random::printed();
    for round in 0..cases(6, 300) {
        let interval = [3_600_000, 5, 200][round % 3];
        let (_scratch, dir) = scratch();
        let lines = killed(&dir, &format!("run {interval}"), &mut random);
        open_and_close(&dir);
        let found = found(&dir);
        for (symbol, numbers) in &found.numbers {
            let expected = 0..i64::try_from(numbers.len()).unwrap();
            assert!(
                numbers.iter().copied().eq(expected),
                "round {round}, {symbol}"
            );
        }
        for line in lines {
            let [_, thread, accepted] = *line.split(' ').collect::<Vec<_>>() else {
                panic!("{line}");
            };
            let numbers = &found.numbers[&format!("s{thread}")];
            assert!(
                numbers.len() >= accepted.parse().unwrap(),
                "round {round}, {line}"
            );
        }
        assert!(
            found.deaths.len() == 1 && found.deaths[0].is_some(),
            "{:?}",
            found.deaths
        );
    }
}

#[test]
fn every_kind_of_death_leaves_what_was_said() {
    for how in ["abort", "exit", "segv", "kill", "overflow"] {
        let (_scratch, dir) = scratch();
        let child = Child::start(&format!("end {how}"), &dir);
        let mut lines = vec![child.hear()];
        while lines.len() < 100 + 100 + 20 {
            lines.push(child.hear());
        }
        drop(child);
        open_and_close(&dir);
        let found = found(&dir);
        assert_has_all(&found, &lines);
        assert_eq!(found.deaths, [Some(0)], "{how}");
    }
}

#[test]
fn two_openers_take_it_in_once() {
    let mut random = Random::printed();
    for _round in 0..cases(3, 50) {
        let (_scratch, dir) = scratch();
        let lines = killed(&dir, "tell 3600000", &mut random);
        let mut openers = [(); 2].map(|()| Child::start("opener", &dir));
        for opener in &openers {
            assert_eq!(opener.hear(), "ready");
        }
        openers.iter_mut().for_each(|opener| opener.tell("open"));
        for opener in &openers {
            assert_eq!(opener.hear(), "open");
        }
        let found = found(&dir);
        assert_has_all(&found, &lines);
        for mut opener in openers {
            opener.tell("close");
            opener.finish();
        }
    }
}

#[test]
fn an_opener_that_is_killed_leaves_all_of_it_to_the_next_one() {
    let mut random = Random::printed();
    for round in 0..cases(8, 300) {
        let (_scratch, dir) = scratch();
        let lines = killed(&dir, "tell 3600000", &mut random);
        let mut opener = Child::start("victim", &dir);
        assert_eq!(opener.hear(), "ready");
        opener.tell("open");
        thread::sleep(Duration::from_micros(random.below(30_000)));
        opener.kill();
        open_and_close(&dir);
        let mut found = found(&dir);
        // The opener's own run may have begun, with its black box or just before.
        if let [_, own] = found.deaths[..] {
            assert!(own.is_none_or(|lost| lost == 0), "round {round}");
            found.deaths.pop();
        }
        assert_has_all(&found, &lines);
        assert_eq!(boxes(&dir), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_burst_as_long_as_the_queue_is_accepted() {
    let (_scratch, dir) = scratch();
    let journal = options().open(&dir).unwrap();
    // One lane has room for a third of them. The writer may not have had a processor yet.
    let log = |_: &u32| journal.log(Inference::new("m", "s", "BUY")).is_some();
    assert_eq!((0..65_536).filter(log).count(), 65_536);
    journal.close().unwrap();
    let found = found(&dir);
    let sequences: Vec<u64> = found.decisions.values().copied().collect();
    // Ids rise with the sequences, whichever lane a decision came through.
    assert!(sequences.is_sorted());
    assert_eq!(sequences.len(), 65_536);
}

#[test]
fn a_thousand_threads_share_lanes() {
    let (_scratch, dir) = scratch();
    let journal = options().open(&dir).unwrap();
    let log = |symbol: &str| journal.log(Inference::new("m", symbol, "BUY")).unwrap();
    // One after the other: a lane is taken over.
    let mut kept: Vec<InferenceId> = Vec::new();
    for _ in 0..200 {
        kept.push(thread::scope(|scope| {
            scope.spawn(|| log("one")).join().unwrap()
        }));
    }
    let [path] = <[PathBuf; 1]>::try_from(boxes(&dir)).unwrap();
    let lanes = || {
        let files = fs::read_dir(&path)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        files
            .filter(|name| name.to_string_lossy().starts_with("lane-"))
            .count()
    };
    assert!(lanes() <= 4, "{}", lanes());
    assert_eq!(journal.health().black_box, BlackBox::Lanes);
    // Many at once: some go by the channel, and the health says so.
    let all_have_logged = Barrier::new(150);
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..150)
            .map(|_| {
                scope.spawn(|| {
                    let first = log("many");
                    all_have_logged.wait();
                    [first, log("many")]
                })
            })
            .collect();
        kept.extend(crowd.into_iter().flat_map(|thread| thread.join().unwrap()));
    });
    assert_eq!(lanes(), 64);
    journal.flush().wait(BOUND).unwrap();
    let health = journal.health();
    assert_eq!(health.black_box, BlackBox::Spool);
    let why = health.black_box_error.unwrap();
    assert!(why.contains("more than 64 threads"), "{why}");
    journal.close().unwrap();
    let found = found(&dir);
    assert!(kept.iter().all(|id| found.decisions.contains_key(id)));
    assert_eq!(found.decisions.len(), kept.len());
}

#[test]
fn a_black_box_that_was_deleted_leaves_the_spool() {
    let (_scratch, dir) = scratch();
    let journal = options().open(&dir).unwrap();
    journal.log(Inference::new("m", "s", "BUY")).unwrap();
    for path in boxes(&dir) {
        fs::remove_dir_all(path).unwrap();
    }
    // Looked at with each flush.
    for _ in 0..2 {
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
        journal.flush().wait(BOUND).unwrap();
    }
    journal.log(Inference::new("m", "s", "BUY")).unwrap();
    journal.flush().wait(BOUND).unwrap();
    let health = journal.health();
    assert_eq!(health.black_box, BlackBox::Spool, "{health:?}");
    assert!(health.black_box_error.unwrap().contains("lost its name"));
    journal.close().unwrap();
    assert_eq!(found(&dir).decisions.len(), 4);
}

/// Losses that no gap has when the process dies are counted in the gap of its death.
#[test]
fn losses_before_a_death_are_counted() {
    for calls in [10, 1_000, 20_000] {
        let (_scratch, dir) = scratch();
        let child = Child::start(&format!("drop {calls}"), &dir);
        let lost: u64 = child.hear().parse().unwrap();
        child.kill();
        open_and_close(&dir);
        let found = found(&dir);
        assert_eq!(found.decisions.len() as u64, calls - lost);
        assert_eq!(found.lost + found.deaths[0].unwrap(), lost, "{found:?}");
        let reader = Reader::open(&dir).unwrap();
        let run = reader.runs().next().unwrap().unwrap();
        assert_eq!((run.committed, run.dropped), (calls - lost, lost));
    }
}

#[test]
fn no_black_box_keeps_a_journal_from_opening() {
    let mut random = Random::printed();
    let (scratch, dead) = scratch();
    let lines = killed(&dead, "tell 3600000", &mut random);
    let [place] = <[PathBuf; 1]>::try_from(boxes_of_the_dead(&dead)).unwrap();
    let kept = scratch.path().join("box");
    copied(&place, &kept);
    let dir = scratch.path().join("whole");
    copied(&dead, &dir);
    open_and_close(&dir);
    let whole = found(&dir);
    assert_has_all(&whole, &lines);
    let mut exact = 0;
    for case in 0..cases(60, 3_000) {
        let dir = scratch.path().join(format!("case {case}"));
        copied(&dead, &dir);
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
        copied(&kept, &place);
        let names = ["lane-0", "lane-1", "lane-2", "names", "head"];
        let path = place.join(names[usize::try_from(random.below(5)).unwrap()]);
        if let Ok(mut bytes) = fs::read(&path) {
            damage(case, &mut bytes, &mut random);
            fs::write(&path, bytes).unwrap();
        }
        match case % 10 {
            8 => fs::remove_file(&path).unwrap_or(()),
            9 => {
                // As many lanes as fit, all the same.
                for number in 3..200 {
                    let lane = place.join(format!("lane-{number}"));
                    match fs::hard_link(place.join("lane-0"), lane) {
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                        linked => linked.unwrap(),
                    }
                }
            }
            _ => {}
        }
        open_and_close(&dir);
        let reader = Reader::open(&dir).unwrap();
        let deaths = reader.gaps().map(Result::unwrap);
        let deaths: Vec<_> = deaths.filter(|gap| gap.reason == GapReason::Died).collect();
        assert_eq!(deaths.len(), 1, "{case}");
        exact += usize::from(deaths[0].count.is_some());
        assert!(
            Maintenance::open(&dir).unwrap().verify().is_whole(),
            "{case}"
        );
        assert_eq!(boxes(&dir), [] as [PathBuf; 0], "{case}");
        fs::remove_dir_all(&dir).unwrap();
    }
    // Some changes do not matter, and some are noticed.
    assert!((1..cases(60, 3_000)).contains(&exact), "{exact}");
}

fn damage(case: usize, bytes: &mut Vec<u8>, random: &mut Random) {
    let mut at = |end: usize| usize::try_from(random.below(end.max(1) as u64)).unwrap();
    let length = bytes.len();
    match case % 10 {
        0 => bytes.truncate(at(length)),
        1 => (0..50).for_each(|_| {
            let place = at(length);
            bytes[place] ^= 1 << at(8);
        }),
        // In the first page, and where records begin.
        2 => (0..4).for_each(|_| {
            let place = at(length.min(400));
            bytes[place] ^= 1 << at(8);
        }),
        3..=5 => (0..3).for_each(|_| {
            let place = 4_096 + at(20_000);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << at(8);
            }
        }),
        6 => bytes
            .iter_mut()
            .for_each(|byte| *byte = at(256).to_le_bytes()[0]),
        7 => bytes.fill(0),
        _ => {}
    }
}

#[test]
fn a_copy_of_an_open_journal_leaves_the_living_one_its_black_box() {
    let (scratch, dir) = scratch();
    let journal = options().open(&dir).unwrap();
    journal.log(Inference::new("m", "s", "BUY")).unwrap();
    journal.flush().wait(BOUND).unwrap();
    journal.log(Inference::new("m", "s", "SELL")).unwrap();
    let copy = scratch.path().join("copy");
    copied(&dir, &copy);
    open_and_close(&copy);
    assert_eq!(boxes(&dir).len(), 1);
    assert_eq!(found(&copy).deaths, [None]);
    journal.close().unwrap();
    assert_eq!(found(&dir).decisions.len(), 2);
}

#[test]
fn a_closed_journal_leaves_no_black_box() {
    let (_scratch, dir) = scratch();
    let journal = options().open(&dir).unwrap();
    journal.log(Inference::new("m", "s", "BUY")).unwrap();
    assert_eq!(boxes(&dir).len(), 1);
    journal.close().unwrap();
    assert_eq!(boxes(&dir), [] as [PathBuf; 0]);
    let memory = options().in_memory().unwrap();
    assert_eq!(memory.health().black_box, BlackBox::Off);
}

/// The black boxes of a journal that no opening will take in.
fn left_of(id: JournalId) -> Vec<LeftBlackBox> {
    let mut left = left_black_boxes().unwrap();
    left.retain(|left| left.journal == id);
    left
}

/// Copied before it is looked at: the dead process's journal stays as it is.
fn id_of_the_dead(dir: &Path) -> JournalId {
    let copy = tempfile::tempdir().unwrap();
    copied(dir, copy.path());
    Reader::open(copy.path()).unwrap().id()
}

#[test]
fn the_box_of_a_journal_that_moved_is_told_of_until_it_is_opened_there() {
    let (scratch, dir) = scratch();
    let lines = killed(&dir, "tell 3600000", &mut Random::printed());
    let id = id_of_the_dead(&dir);
    // Its next opening takes it in.
    assert_eq!(left_of(id), []);
    let moved = scratch.path().join("moved");
    fs::rename(&dir, &moved).unwrap();
    let [left] = <[LeftBlackBox; 1]>::try_from(left_of(id)).unwrap();
    assert_eq!(left.why, WhyLeft::JournalGone);
    assert_eq!(
        left.journal_path,
        Some(fs::canonicalize(scratch.path()).unwrap().join("data"))
    );
    assert_eq!(boxes_of(&id.to_string()), std::slice::from_ref(&left.path));
    // A lane has 2 MB, and each thread had one.
    assert!(left.bytes > 2 << 20, "{}", left.bytes);
    open_and_close(&moved);
    assert_eq!(left_of(id), []);
    assert_has_all(&found(&moved), &lines);
}

#[test]
fn the_box_of_a_deleted_journal_goes_on_request_and_a_living_one_never() {
    let (_scratch, dir) = scratch();
    killed(&dir, "tell 3600000", &mut Random::printed());
    let id = id_of_the_dead(&dir);
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(left_of(id)[0].why, WhyLeft::JournalGone);
    // Another journal in its place, with a process.
    let child = Child::start("tell 3600000", &dir);
    child.hear();
    let other = Reader::open(&dir).unwrap().id();
    let [left] = <[LeftBlackBox; 1]>::try_from(left_of(id)).unwrap();
    assert_eq!(left.why, WhyLeft::OtherJournal(other));
    left.remove().unwrap();
    assert_eq!(boxes_of(&id.to_string()), [] as [PathBuf; 0]);
    // Its directory is lost, and its process lives.
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(left_of(other), []);
    assert_eq!(boxes_of(&other.to_string()).len(), 1);
    child.kill();
    let [left] = <[LeftBlackBox; 1]>::try_from(left_of(other)).unwrap();
    left.remove().unwrap();
    assert_eq!(boxes_of(&other.to_string()), [] as [PathBuf; 0]);
}
