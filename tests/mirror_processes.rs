//! Several real processes in one directory: one of them writes the text files, another goes on
//! when it dies, and every entry of all has one line.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod logs;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use annals::logs::{LogKind, Mirror, Rotation};
use annals::{Inference, Journal, Level, ManualClock, Timestamp};
use common::{Child, Random, command, role, say, spin};
use logs::{BOUND, assert_mirrored, count_lines, flush, is_mirrored, names, wait_until};

/// How soon the files are written again after their writer has died.
const TAKE_OVER: Duration = Duration::from_secs(2);

/// 2025-07-26 00:00:00 UTC, in microseconds.
const MIDNIGHT: i64 = 1_753_488_000_000_000;

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "writer" => obey(&dir),
        "opener" => open_on_command(),
        other => panic!("no role {other}"),
    }
}

fn obey(dir: &Path) {
    let mirror = Mirror::new().rotation(Rotation::DailyOrSize(20_000));
    let options = Journal::options().mirror(mirror).close_timeout(BOUND);
    let options = options.commit_interval(Duration::from_millis(5));
    let journal = options.open(dir).unwrap();
    say("opened");
    while let Some(command) = command() {
        let answer = match command.as_str() {
            "log" => {
                log_some(&journal);
                flush(&journal);
                "logged".to_owned()
            }
            "load" => {
                log_until_told(&journal);
                return;
            }
            "writing" => journal.health().mirror.unwrap().writing.to_string(),
            "lag" => journal.health().mirror.unwrap().lag.to_string(),
            "close" => {
                journal.close().unwrap();
                "closed".to_owned()
            }
            other => panic!("no command {other}"),
        };
        say(&answer);
    }
}

/// Ten inferences and one event.
fn log_some(journal: &Journal) {
    let model = format!("model_{}", std::process::id());
    for number in 0..10 {
        let time = Duration::from_micros(number * 100);
        let inference = Inference::new(&model, "ETH/USDT", "BUY").processing_time(time);
        assert!(journal.log(inference).is_some());
    }
    assert!(journal.event(Level::Info, &model, "ten more"));
}

/// Logs without end, a little at a time, until the next command or the death of this process.
fn log_until_told(journal: &Journal) {
    let (sender, told) = mpsc::channel();
    thread::spawn(move || sender.send(command()));
    while told.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
        log_some(journal);
    }
    journal.close().unwrap();
    say("closed");
}

/// Opens a journal after some microseconds, by a clock that stands still at another time.
fn open_on_command() {
    while let Some(command) = command() {
        let words: Vec<_> = command.splitn(3, ' ').collect();
        let [delay, time, dir] = words[..] else {
            panic!("cannot open {command}");
        };
        spin(Duration::from_micros(delay.parse().unwrap()));
        let clock = ManualClock::at(Timestamp::from_micros(time.parse().unwrap()));
        let options = Journal::options().clock(clock).close_timeout(BOUND);
        let journal = options.open(dir).unwrap();
        for _ in 0..5 {
            log_some(&journal);
            flush(&journal);
        }
        say("logged");
        journal.close().unwrap();
    }
}

fn start(dir: &Path) -> Child {
    let child = Child::start("writer", dir);
    assert_eq!(child.hear(), "opened");
    child
}

fn is_writing(child: &mut Child) -> bool {
    child.ask("writing") == "true"
}

fn wait_for_writing(child: &mut Child) {
    wait_until("it writes", || is_writing(child));
}

fn log(child: &mut Child) {
    assert_eq!(child.ask("log"), "logged");
}

fn close(mut child: Child) {
    assert_eq!(child.ask("close"), "closed");
    child.finish();
}

/// Two processes of which the first writes the files, and where these are.
fn holder_and_other(dir: &Path) -> (Child, Child, PathBuf) {
    let mut holder = start(dir);
    wait_for_writing(&mut holder);
    let other = start(dir);
    (holder, other, dir.join("logs"))
}

#[test]
fn one_of_two_processes_writes_the_lines_of_both() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (mut holder, mut other, logs) = holder_and_other(dir);
    for _ in 0..20 {
        log(&mut holder);
        log(&mut other);
        assert!(is_writing(&mut holder));
        assert!(!is_writing(&mut other));
        assert_eq!(other.ask("lag"), "0");
    }
    // The holder writes what the other process commits, too.
    wait_until("all lines are there", || {
        count_lines(&logs, LogKind::Inferences) == 2 * 20 * 10
    });
    close(other);
    close(holder);
    assert_mirrored(dir, &logs);
}

#[test]
fn when_the_holder_closes_the_other_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (mut holder, mut other, logs) = holder_and_other(dir);
    log(&mut holder);
    close(holder);
    let began = Instant::now();
    wait_for_writing(&mut other);
    assert!(began.elapsed() < TAKE_OVER, "{:?}", began.elapsed());
    log(&mut other);
    close(other);
    assert_mirrored(dir, &logs);
}

#[test]
fn when_the_holder_is_killed_the_other_takes_over_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (mut holder, mut other, logs) = holder_and_other(dir);
    for _ in 0..4 {
        for _ in 0..3 {
            log(&mut other);
            log(&mut holder);
        }
        holder.kill();
        let killed = Instant::now();
        wait_for_writing(&mut other);
        assert!(killed.elapsed() < TAKE_OVER, "{:?}", killed.elapsed());
        holder = other;
        other = start(dir);
    }
    close(other);
    close(holder);
    assert_mirrored(dir, &logs);
}

#[test]
fn kills_at_any_moment_under_load_leave_each_line_once() {
    const ROUNDS: u32 = 12;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let logs = dir.join("logs");
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let loaded = || {
        let mut child = start(dir);
        child.tell("load");
        child
    };
    let mut running = [loaded(), loaded()];
    for _ in 0..ROUNDS {
        // Past several commits and looks of the mirror, and sometimes past a stored cursor.
        thread::sleep(Duration::from_micros(random.below(400_000)));
        let victim = usize::from(random.below(2) == 1);
        std::mem::replace(&mut running[victim], loaded()).kill();
    }
    for child in running {
        close(child);
    }
    assert_mirrored(dir, &logs);
    let aside = names(&logs).into_iter();
    println!(
        "{} files were begun anew",
        aside.filter(|name| name.contains("aside")).count()
    );
}

#[test]
fn two_processes_may_start_in_the_same_instant_at_midnight() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut openers = [
        Child::start("opener", directory.path()),
        Child::start("opener", directory.path()),
    ];
    for round in 0..15 {
        let dir = directory.path().join(format!("round {round}"));
        if round % 2 == 1 {
            // Over the predecessor's files, which only one of the two may move.
            fs::create_dir_all(dir.join("logs")).unwrap();
            fs::write(dir.join("logs/inference_records.txt"), "old\n").unwrap();
        }
        for (opener, time) in openers.iter_mut().zip([MIDNIGHT - 1, MIDNIGHT]) {
            opener.tell(&format!("{} {time} {}", random.below(3_000), dir.display()));
        }
        for opener in &openers {
            assert_eq!(opener.hear(), "logged");
        }
        // The one that closes last writes what is left; both are gone when a third may write.
        wait_until("all lines are there", || {
            let writer = Journal::open(&dir).unwrap();
            writer.close().unwrap();
            let logs = dir.join("logs");
            let inferences = count_lines(&logs, LogKind::Inferences);
            inferences == 2 * 5 * 10 && is_mirrored(&dir, &logs)
        });
        assert_mirrored(&dir, &dir.join("logs"));
        let old = names(&dir.join("logs")).into_iter();
        let old = old.filter(|name| name.contains("before-annals")).count();
        assert_eq!(old, round % 2);
    }
    openers.into_iter().for_each(Child::finish);
}

/// The folder of the holder's lock is deleted: the other process can lock it anew.
fn delete_under_both(delete: impl Fn(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (mut first, mut second, logs) = holder_and_other(dir);
    log(&mut first);
    wait_until("the lines are there", || {
        count_lines(&logs, LogKind::Inferences) == 10
    });
    delete(&logs);
    wait_until("there is a lock again", || logs.join(".lock").exists());
    let began = Instant::now();
    while is_writing(&mut first) == is_writing(&mut second) {
        assert!(began.elapsed() < TAKE_OVER, "both write, or none does");
        log(&mut first);
        log(&mut second);
    }
    close(first);
    close(second);
    assert_mirrored(dir, &logs);
}

#[test]
fn a_directory_deleted_under_two_processes_is_written_by_one() {
    // It is not empty if one of the processes has written into it.
    delete_under_both(|logs| wait_until("it is gone", || fs::remove_dir_all(logs).is_ok()));
}

#[test]
fn a_lock_deleted_under_two_processes_is_held_by_one() {
    delete_under_both(|logs| fs::remove_file(logs.join(".lock")).unwrap());
}
