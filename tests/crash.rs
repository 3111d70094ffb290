//! The state after a process was killed: every flushed entry, once and in order, and a gap that
//! marks the end of certainty.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::{Gap, GapReason, Run, RunState};
use annals::health::State;
use annals::{Entry, Error, Inference, InferenceId, Journal, Reader, RunId};
use common::{BOUND, Child, HAS_LANES, Line, Random, cases, command, role, say, spin, unfinished};

/// Reopening takes milliseconds; this only catches a repair that reads the whole file.
const REOPENING: Duration = Duration::from_secs(1);

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "flusher" => flush_for_ever(&dir),
        "survivor" => flush_on_command(&dir),
        "ticker" => tick_for_ever(&dir),
        "creator" => create_on_command(&dir),
        other => panic!("no role {other}"),
    }
}

/// Logs without pause; after each flush, says the highest id that it covered.
fn flush_for_ever(dir: &Path) {
    let journal = Journal::open(dir).unwrap();
    let mut random = Random::new();
    loop {
        let acked = log_some(&journal, 1 + random.below(40));
        let flush = journal.flush();
        // Under way while the flush is: there or not there afterwards, both are right.
        log_some(&journal, 1 + random.below(10));
        flush.wait(BOUND).unwrap();
        say(&acked.to_string());
    }
}

fn log_some(journal: &Journal, events: u64) -> InferenceId {
    let log = |_| journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    (0..events).filter_map(log).last().unwrap()
}

/// For each command, one flushed inference and its id, as long as all is well.
fn flush_on_command(dir: &Path) {
    let journal = Journal::open(dir).unwrap();
    while command().is_some() {
        let id = log_some(&journal, 1);
        journal.flush().wait(BOUND).unwrap();
        assert_eq!(journal.health().state, State::Running);
        say(&id.to_string());
    }
    journal.close().unwrap();
}

/// Logs one inference per millisecond, says its id, and never flushes.
fn tick_for_ever(dir: &Path) {
    let options = Journal::options().commit_interval(TICKER_INTERVAL);
    let journal = options.open(dir).unwrap();
    loop {
        say(&log_some(&journal, 1).to_string());
        thread::sleep(Duration::from_millis(1));
    }
}

fn create_on_command(dir: &Path) {
    say("ready");
    if command().is_some() {
        let journal = Journal::open(dir).unwrap();
        say(&log_some(&journal, 1).to_string());
        journal.flush().wait(BOUND).unwrap();
        say("flushed");
        journal.close().unwrap();
        say("closed");
    }
}

/// Kills a flusher that has just begun, or has been at it for a while, and returns the highest id
/// that it was sure of.
fn kill_at_random(flusher: Child, random: &mut Random) -> InferenceId {
    let mut acked = flusher.hear();
    for _ in 0..random.below(30) {
        acked = flusher.hear();
    }
    spin(Duration::from_micros(random.below(3_000)));
    if let Some(Line { text, .. }) = flusher.kill().pop() {
        acked = text;
    }
    acked.parse().unwrap()
}

fn open_in_time(dir: &Path) -> Journal {
    let began = Instant::now();
    let journal = Journal::open(dir).unwrap();
    let took = began.elapsed();
    println!("reopened in {took:?}");
    assert!(took < REOPENING, "{took:?}");
    journal
}

fn entries(reader: &Reader) -> Vec<Entry> {
    let follow = reader.follow(reader.start()).unwrap();
    follow.map(Result::unwrap).collect()
}

/// The sequences have no hole and no double; the ids of each run have none either, and are in
/// order: a flusher logs from one thread and drops nothing.
fn assert_whole(reader: &Reader) {
    let entries = entries(reader);
    let sequences = entries.iter().map(|entry| entry.sequence);
    assert!(sequences.eq(1..=entries.len() as u64));
    for run in runs(reader) {
        let ids = entries.iter().filter_map(Entry::id);
        let of_run: Vec<_> = ids.filter(|id| id.run() == run.id).collect();
        let counters = of_run.iter().map(|id| id.counter());
        assert!(counters.eq(0..of_run.len() as u64), "{run:?}");
        assert_eq!(run.last_id, of_run.last().copied(), "{run:?}");
        assert_eq!(run.committed, of_run.len() as u64, "{run:?}");
    }
}

/// Every id that the run handed out up to `acked` leads to its inference.
fn assert_kept(reader: &Reader, acked: InferenceId) {
    let first = acked.to_u64() - acked.counter();
    for id in (first..=acked.to_u64()).map(InferenceId::from_u64) {
        let record = reader.get(id).unwrap();
        assert_eq!(record.map(|record| record.id), Some(id), "acked {acked}");
    }
}

/// The death of `run` has been written down, once, behind its last id.
fn assert_buried(reader: &Reader, run: RunId) {
    let gaps: Vec<_> = gaps(reader, run);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = &gaps[0];
    // What the lanes had is taken in, so that nothing is missing; without lanes nobody knows.
    let lost = HAS_LANES.then_some(0);
    assert_eq!((gap.reason, gap.count), (GapReason::Died, lost));
    assert_eq!(gap.after, last_id(reader, run));
    let state = state(reader, run);
    assert!(matches!(state, RunState::Died(Some(_))), "{state:?}");
}

fn last_id(reader: &Reader, run: RunId) -> Option<InferenceId> {
    let entries = entries(reader);
    let ids = entries.iter().filter_map(Entry::id);
    ids.filter(|id| id.run() == run).max()
}

fn runs(reader: &Reader) -> Vec<Run> {
    reader.runs().map(Result::unwrap).collect()
}

fn state(reader: &Reader, run: RunId) -> RunState {
    let runs = runs(reader);
    runs.iter().find(|found| found.id == run).unwrap().state
}

fn gaps(reader: &Reader, run: RunId) -> Vec<Gap> {
    let gaps = reader.gaps().map(Result::unwrap);
    gaps.filter(|gap| gap.run == run).collect()
}

#[test]
fn a_killed_writer_loses_nothing_that_was_flushed() {
    /// Kills in one directory: each is checked against all that came before it there.
    const IN_ONE: usize = 10;
    let mut random = Random::printed();
    let mut left = cases(50, 1_000);
    while left > 0 {
        let kills = left.min(IN_ONE);
        kill_and_check(kills, &mut random);
        left -= kills;
    }
}

fn kill_and_check(kills: usize, random: &mut Random) {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut deaths = Vec::new();
    for _ in 0..kills {
        let acked = kill_at_random(Child::start("flusher", dir), random);
        let journal = open_in_time(dir);
        let reader = journal.reader().unwrap();
        assert_kept(&reader, acked);
        assert_whole(&reader);
        deaths.push(acked.run());
        deaths.iter().for_each(|run| assert_buried(&reader, *run));
        let id = log_some(&journal, 1);
        journal.flush().wait(BOUND).unwrap();
        assert!(reader.get(id).unwrap().is_some());
        journal.close().unwrap();
    }
}

#[test]
fn a_writer_survives_the_other_one() {
    const KILLS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut survivor = Child::start("survivor", dir);
    let mut kept: Vec<InferenceId> = vec![survivor.ask("log").parse().unwrap()];
    let reader = Reader::open(dir).unwrap();
    for _ in 0..KILLS {
        let victim = Child::start("flusher", dir);
        victim.hear();
        // In the middle of its work when the other is killed, and right after.
        survivor.tell("log");
        let acked = kill_at_random(victim, &mut random);
        kept.push(survivor.hear().parse().unwrap());
        kept.push(survivor.ask("log").parse().unwrap());
        assert_kept(&reader, acked);
        assert_kept(&reader, kept[kept.len() - 1]);
        assert_eq!(state(&reader, acked.run()), RunState::Died(None));
        assert_eq!(state(&reader, kept[0].run()), RunState::Alive);
        assert_eq!(gaps(&reader, acked.run()).len(), 0);

        let journal = open_in_time(dir);
        assert_buried(&reader, acked.run());
        journal.close().unwrap();
        kept.push(survivor.ask("log").parse().unwrap());
    }
    assert_eq!(gaps(&reader, kept[0].run()).len(), 0);
    assert_whole(&reader);
    survivor.finish();
    let state = state(&reader, kept[0].run());
    assert!(matches!(state, RunState::Closed(_)), "{state:?}");
}

#[test]
fn a_reader_recovers_what_the_only_writer_left() {
    const KILLS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    for _ in 0..KILLS {
        let acked = kill_at_random(Child::start("flusher", dir), &mut random);
        let began = Instant::now();
        let reader = Reader::open(dir).unwrap();
        println!("opened for reading in {:?}", began.elapsed());
        assert_kept(&reader, acked);
        assert_whole(&reader);
        // Only a writer buries the dead; the reader can tell all the same.
        assert_eq!(state(&reader, acked.run()), RunState::Died(None));
        assert_eq!(gaps(&reader, acked.run()).len(), 0);
    }
}

#[test]
fn an_open_reader_reads_on_when_the_only_writer_dies() {
    const KILLS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    open_in_time(dir).close().unwrap();
    let reader = Reader::open(dir).unwrap();
    let mut follow = reader.follow(reader.start()).unwrap();
    let mut followed = Vec::new();
    for _ in 0..KILLS {
        let acked = kill_at_random(Child::start("flusher", dir), &mut random);
        assert_kept(&reader, acked);
        assert_whole(&reader);
        assert_eq!(state(&reader, acked.run()), RunState::Died(None));
        followed.extend(follow.by_ref().map(|entry| entry.unwrap().sequence));
        assert!(followed.iter().copied().eq(1..=followed.len() as u64));
        assert_eq!(followed.len(), entries(&reader).len());
    }
}

#[test]
fn readers_recover_at_the_same_time_what_the_only_writer_left() {
    const KILLS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    for _ in 0..KILLS {
        let acked = kill_at_random(Child::start("flusher", dir), &mut random);
        for reader in together(|| Reader::open(dir)) {
            assert_kept(&reader.unwrap(), acked);
        }
    }
}

#[test]
fn writers_that_come_at_the_same_time_bury_a_dead_one_once() {
    const KILLS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    for _ in 0..KILLS {
        let acked = kill_at_random(Child::start("flusher", dir), &mut random);
        for journal in together(|| Journal::open(dir)) {
            let journal = journal.unwrap();
            let reader = journal.reader().unwrap();
            assert_kept(&reader, acked);
            assert_buried(&reader, acked.run());
            journal.close().unwrap();
        }
    }
    assert_whole(&Reader::open(dir).unwrap());
}

/// Results of several threads that do the same thing at the same instant.
fn together<T: Send>(open: impl Fn() -> T + Sync) -> Vec<T> {
    const THREADS: usize = 6;
    let barrier = Barrier::new(THREADS);
    let wait_and_open = || {
        barrier.wait();
        open()
    };
    thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| scope.spawn(wait_and_open));
        threads.map(|thread| thread.join().unwrap()).into()
    })
}

#[test]
fn a_directory_whose_creator_was_killed_opens() {
    const KILLS: usize = 24;
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let lifetime = creation_time(&directory.path().join("whole"));
    println!("created and closed in {lifetime:?}");
    let mut found = [0; 3];
    for round in 0..KILLS {
        let dir = directory.path().join(round.to_string());
        let mut creator = Child::start("creator", &dir);
        assert_eq!(creator.hear(), "ready");
        creator.tell("create");
        spin(lifetime.mul_f64(random.below(1_500) as f64 / 1_000.0));
        let said = creator.kill();
        found[said.len().min(2)] += 1;
        assert_opens_after(&dir, &said);
    }
    println!("killed before an id was out, before it was flushed, later: {found:?}");
}

/// Lifetime of a creator that is not killed.
fn creation_time(dir: &Path) -> Duration {
    let mut creator = Child::start("creator", dir);
    assert_eq!(creator.hear(), "ready");
    let began = Instant::now();
    creator.tell("create");
    while creator.hear() != "closed" {}
    let lifetime = began.elapsed();
    creator.finish();
    lifetime
}

fn assert_opens_after(dir: &Path, said: &[Line]) {
    match Reader::open(dir) {
        Ok(_) => {}
        Err(Error::Missing { .. }) if said.is_empty() => {}
        Err(error) => panic!("{error:?}"),
    }
    let journal = open_in_time(dir);
    let reader = journal.reader().unwrap();
    if said.len() > 1 {
        assert_kept(&reader, said[0].text.parse().unwrap());
    }
    let id = log_some(&journal, 1);
    journal.flush().wait(BOUND).unwrap();
    assert!(reader.get(id).unwrap().is_some());
    assert_whole(&reader);
    assert_eq!(unfinished(dir), [""; 0]);
    journal.close().unwrap();
}

const TICKER_INTERVAL: Duration = Duration::from_millis(20);

#[test]
fn what_was_logged_well_before_the_kill_is_there_without_a_flush() {
    /// One interval and one commit, for which a busy machine gets this much.
    const LOSS: Duration = Duration::from_secs(2);
    const BEFORE: Duration = Duration::from_millis(500);
    let directory = tempfile::tempdir().unwrap();
    let ticker = Child::start("ticker", directory.path());
    let first = ticker.hear_line();
    let mut lines = vec![first];
    while lines[lines.len() - 1].heard < lines[0].heard + BEFORE + LOSS {
        lines.push(ticker.hear_line());
    }
    let killed = Instant::now();
    lines.extend(ticker.kill());

    let reader = Reader::open(directory.path()).unwrap();
    let id = |line: &Line| line.text.parse::<InferenceId>().unwrap();
    let old = lines.iter().filter(|line| line.heard + LOSS < killed);
    let safe = old.map(id).max().unwrap();
    assert_kept(&reader, safe);
    assert_whole(&reader);
    let committed = last_id(&reader, safe.run()).unwrap();
    assert!(safe.counter() > 0 && committed >= safe);
    let lost = lines.iter().find(|line| id(line) > committed);
    let lost = lost.map(|line| killed.saturating_duration_since(line.heard));
    println!("{} logged, lost: the last {lost:?}", lines.len());
}
