//! A process that is stopped in the middle of a transaction, as a debugger or `SIGSTOP` does it,
//! holds up everybody's commits. Loops do not notice, drops are counted, waits keep their bounds,
//! and when it goes on or dies, all goes on.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::GapReason;
use annals::health::{Health, State};
use annals::{Error, Inference, InferenceId, Journal, Reader};
use common::{BOUND, Child, Random, cases, command, role, say, spin};
use support::{assert_books_close, committed_ids, missing};

/// Longer than a commit takes on a busy machine: who is not done by then is held up.
const HELD_UP: Duration = Duration::from_millis(400);
/// Bound of closing, and the extra time on a busy machine.
const CLOSING: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_secs(5);
const CAPACITY: usize = 256;

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "writer" => commit_all_the_time(&dir),
        "reader" => read_all_the_time(&dir),
        other => panic!("no role {other}"),
    }
}

/// Runs `busy` again and again beside the commands; answers each with what `busy` came to.
fn beside_commands(busy: impl Fn() -> u64 + Sync) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                count += busy();
            }
            count
        });
        say("busy");
        assert_eq!(command().as_deref(), Some("end"));
        done.store(true, Ordering::Relaxed);
        let count = busy.join().unwrap();
        say(&count.to_string());
    });
}

fn commit_all_the_time(dir: &Path) {
    let journal = Journal::options().without_mirror().open(dir).unwrap();
    beside_commands(|| {
        log(&journal).unwrap();
        journal.flush().wait(BOUND).unwrap();
        1
    });
    let health = journal.health();
    assert_eq!((health.state, health.dropped.total()), (State::Running, 0));
    journal.close().unwrap();
}

fn read_all_the_time(dir: &Path) {
    let reader = Reader::open(dir).unwrap();
    beside_commands(|| {
        reader.newest(1).for_each(|entry| drop(entry.unwrap()));
        1
    });
}

fn log(journal: &Journal) -> Option<InferenceId> {
    journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"))
}

fn open(dir: &Path) -> Journal {
    let options = Journal::options().queue_capacity(CAPACITY);
    options.close_timeout(CLOSING).open(dir).unwrap()
}

fn is_held_up(journal: &Journal) -> bool {
    match journal.flush().wait(HELD_UP) {
        Ok(()) => false,
        Err(error @ Error::TimedOut { .. }) => {
            let said = error.to_string();
            assert!(said.contains("flush was not done after 400ms"), "{said}");
            assert!(said.contains("a stopped process"), "{said}");
            true
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Stops `child` again and again until it stands where it holds up commits.
fn stop_inside(child: &Child, journal: &Journal, kept: &mut Vec<InferenceId>, random: &mut Random) {
    for _ in 0..10_000 {
        spin(Duration::from_micros(random.below(20_000)));
        child.stop();
        kept.extend(log(journal));
        // Twice, so that a slow disk is not taken for it.
        if is_held_up(journal) && is_held_up(journal) {
            return;
        }
        child.go_on();
    }
    panic!("it is never inside");
}

/// Logs several queues full; says what was dropped. That it returns at all, while the other one
/// stands, is the proof that no call waits for it.
fn overrun(journal: &Journal, kept: &mut Vec<InferenceId>) -> u64 {
    let before = kept.len();
    let calls = 8 * CAPACITY;
    let began = Instant::now();
    kept.extend((0..calls).filter_map(|_| log(journal)));
    assert!(began.elapsed() < Duration::from_secs(1), "recording waited");
    (calls - (kept.len() - before)) as u64
}

fn assert_close_keeps_its_bound(journal: &Journal) {
    let began = Instant::now();
    let closed = journal.close();
    let took = began.elapsed();
    let said = closed.unwrap_err().to_string();
    assert!(said.contains("close was not done after 300ms"), "{said}");
    assert!(took < CLOSING + SLACK, "closing took {took:?}");
}

/// Closes, again if that is not done in time.
fn close(journal: &Journal) {
    let began = Instant::now();
    loop {
        match journal.close() {
            Ok(()) => return,
            Err(Error::TimedOut { .. }) if began.elapsed() < BOUND => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn assert_all_is_explained(dir: &Path, health: &Health, kept: &[InferenceId], dropped: u64) {
    assert_books_close(health);
    assert_eq!((health.queued, health.unknown), (0, 0), "{health:?}");
    assert_eq!(health.dropped.queue_full, dropped);
    let reader = Reader::open(dir).unwrap();
    let committed = committed_ids(&reader);
    for id in kept {
        assert!(committed.contains(id), "{id} was queued and is lost");
    }
    let of_run = |gap: &annals::entry::Gap| gap.run == health.run;
    let gaps = reader.gaps().map(Result::unwrap).filter(of_run);
    let full = gaps.filter(|gap| gap.reason == GapReason::QueueFull);
    let counted: u64 = full.map(|gap| gap.count.unwrap()).sum();
    assert_eq!(counted, dropped, "in the gaps");
}

/// One round: a `role` stands inside; then it continues, or dies. In between, this process
/// continues, or closes.
fn hold_up(role: &str, dir: &Path, round: usize, random: &mut Random) {
    let journal = open(dir);
    let mut kept = Vec::new();
    let mut child = Child::start(role, dir);
    assert_eq!(child.hear(), "busy");
    stop_inside(&child, &journal, &mut kept, random);

    let dropped = overrun(&journal, &mut kept);
    assert!(dropped > 0);
    assert_eq!(journal.health().dropped.queue_full, dropped);
    assert_books_close(&journal.health());
    let sealed = journal.seal(Duration::from_millis(50));
    // If nothing is committed yet, there is nothing to wait for.
    let defined = matches!(sealed, Ok(0) | Err(Error::TimedOut { .. }));
    assert!(defined, "{sealed:?}");
    let closes = round & 1 == 1;
    if closes {
        assert_close_keeps_its_bound(&journal);
        assert_eq!(log(&journal), None);
    }

    if round & 2 == 2 {
        child.kill();
    } else {
        child.go_on();
        let count: u64 = child.ask("end").parse().unwrap();
        println!("round {round}: it went on, {count} in all");
        child.finish();
    }

    if !closes {
        journal.flush().wait(BOUND).unwrap();
        assert_eq!(journal.health().state, State::Running);
        kept.extend(log(&journal));
    }
    close(&journal);
    assert_all_is_explained(dir, &journal.health(), &kept, dropped);
}

fn hold_up_again_and_again(role: &str) {
    let mut random = Random::printed();
    let directory = tempfile::tempdir().unwrap();
    for round in 0..cases(10, 100) {
        let dir = directory.path().join((round / 10).to_string());
        hold_up(role, &dir, round, &mut random);
    }
}

#[test]
fn a_stopped_writer_holds_up_commits_and_no_loop() {
    hold_up_again_and_again("writer");
}

#[test]
fn a_stopped_reader_holds_up_commits_and_no_loop() {
    hold_up_again_and_again("reader");
}

/// Opening waits for a minute; it goes on when the other one does.
#[test]
fn opening_waits_for_a_stopped_writer() {
    let mut random = Random::printed();
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir);
    let mut child = Child::start("writer", dir);
    assert_eq!(child.hear(), "busy");
    stop_inside(&child, &journal, &mut Vec::new(), &mut random);
    thread::scope(|scope| {
        let opening = scope.spawn(|| Journal::open(dir));
        thread::sleep(HELD_UP);
        assert!(!opening.is_finished());
        child.go_on();
        opening.join().unwrap().unwrap().close().unwrap();
    });
    child.ask("end");
    child.finish();
    close(&journal);
    assert_eq!(
        missing(&Reader::open(dir).unwrap(), GapReason::QueueFull),
        0
    );
}
