//! A disk that is full and has room again. Queued entries are kept, overflow is counted, and
//! everything continues from the same place, or from the place that a kill has left.

#![cfg(all(target_os = "linux", not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod support;
mod tiny;

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use annals::health::State;
use annals::{Error, Inference, InferenceId, Journal, Options, Reader};
use common::{BOUND, Child, Random, cases, command, role, say};
use rustix::process::{Resource, Rlimit, prlimit};
use support::{assert_books_close, committed_ids};
use tiny::Tiny;

const CAPACITY: u64 = 512;

fn options() -> Options {
    Journal::options()
        .queue_capacity(usize::try_from(CAPACITY).unwrap())
        .commit_interval(Duration::from_millis(20))
        .commit_bytes(1 << 16)
        .seal_bytes(1 << 16)
}

/// Logs `events` distinct inferences of some 250 bytes; returns the ids of those that were queued.
fn log(journal: &Journal, events: u64) -> Vec<InferenceId> {
    let text = "something that takes up room on the disk, and compresses into nothing ".repeat(3);
    let one = |_| {
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY");
        let attributes = [("note", annals::Value::from(text.as_str()))];
        journal.log(inference.attributes(&attributes))
    };
    (0..events).filter_map(one).collect()
}

/// Logs until a flush says that there is no room.
fn log_until_full(journal: &Journal, kept: &mut Vec<InferenceId>) {
    for _ in 0..10_000 {
        kept.extend(log(journal, 100));
        match journal.flush().wait(BOUND) {
            Ok(()) => {}
            Err(error @ Error::NoRoom { .. }) => {
                let said = error.to_string();
                assert!(said.starts_with("no room to write "), "{said}");
                assert!(said.contains("journal.redb"), "{said}");
                assert_eq!(journal.health().state, State::NoRoom);
                return;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk is never full");
}

/// Logs until the queue overflows as well, and checks that nothing is lost in silence.
fn log_until_dropped(journal: &Journal, kept: &mut Vec<InferenceId>) {
    let (mut dropped, mut known_full) = (0, false);
    for _ in 0..10_000 {
        let queued = log(journal, CAPACITY);
        dropped += CAPACITY - queued.len() as u64;
        kept.extend(queued);
        // Has the writer take up what it may hold. A sealer that finds no room either removes what
        // it has written, so that there may be some for a moment.
        let flushed = journal.flush().wait(BOUND);
        let is_full = matches!(flushed, Err(Error::NoRoom { .. }));
        assert!(is_full || flushed.is_ok(), "{flushed:?}");
        known_full = is_full && journal.health().state == State::NoRoom;
        if dropped > 0 && known_full {
            break;
        }
    }
    assert!(dropped > 0, "the queue is never full");
    let health = journal.health();
    assert!(known_full, "{health:?}");
    assert!(health.dropped.queue_full >= dropped, "{health:?}");
    assert_eq!((health.unknown, health.dropped.failed), (0, 0));
    assert_books_close(&health);
}

/// There is room again: all goes on by itself, and everything that was queued is there, once.
fn assert_recovers(journal: &Journal, dir: &Path, kept: &[InferenceId]) {
    journal.flush().wait(BOUND).unwrap();
    let mut health = journal.health();
    // The sealer and the text files say that their trouble has ended, each when it finds room. Such
    // an event may come behind the flush.
    let began = Instant::now();
    while health.queued > 0 && began.elapsed() < BOUND {
        journal.flush().wait(BOUND).unwrap();
        health = journal.health();
    }
    assert_eq!(health.state, State::Running, "{health:?}");
    assert_eq!((health.queued, health.unknown), (0, 0), "{health:?}");
    assert_books_close(&health);
    assert_holds(dir, kept);
}

fn assert_holds(dir: &Path, kept: &[InferenceId]) {
    let committed = committed_ids(&Reader::open(dir).unwrap());
    for id in kept {
        assert!(committed.contains(id), "{id} was queued and is lost");
    }
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    assert_eq!(role, "writer");
    let journal = options().open(&dir).unwrap();
    let mut kept = Vec::new();
    while let Some(command) = command() {
        match command.as_str() {
            "log" => {
                kept.extend(log(&journal, 100));
                journal.flush().wait(BOUND).unwrap();
            }
            "fill" => log_until_full(&journal, &mut kept),
            "overflow" => log_until_dropped(&journal, &mut kept),
            "recover" => assert_recovers(&journal, &dir, &kept),
            "close" => journal.close().unwrap(),
            "close while full" => {
                let closed = journal.close();
                assert!(matches!(closed, Err(Error::NoRoom { .. })), "{closed:?}");
                let health = journal.health();
                assert!(health.dropped.failed > 0 || health.unknown > 0);
                assert_books_close(&health);
            }
            other => panic!("cannot {other}"),
        }
        let last = kept.last().map_or(String::new(), InferenceId::to_string);
        say(&last);
    }
}

/// A writer for which writing beyond a limit is an error and no signal, as on a full disk.
fn start_writer(dir: &Path) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    shell.arg(env::current_exe().unwrap());
    Child::start_with(shell, "writer", dir)
}

/// No file of the child's may grow beyond `bytes` any more; `None`: as far as it likes.
fn limit(child: &Child, bytes: Option<u64>) {
    let wanted = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Some(child.pid()), Resource::Fsize, wanted).unwrap();
}

fn hot_bytes(dir: &Path) -> u64 {
    fs::metadata(dir.join("journal.redb")).unwrap().len()
}

#[test]
fn files_that_may_not_grow_are_waited_for() {
    let mut random = Random::printed();
    for round in 0..cases(10, 100) {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        let mut writer = start_writer(dir);
        let sure: InferenceId = writer.ask("log").parse().unwrap();
        let allowed = hot_bytes(dir) + random.below(300_000);
        limit(&writer, Some(allowed));
        writer.ask("fill");
        if random.below(2) == 0 {
            writer.ask("overflow");
        }
        match round % 4 {
            0 => {
                writer.kill();
                options().open(dir).unwrap().close().unwrap();
                assert_is_there(dir, sure);
            }
            1 => {
                writer.ask("close while full");
                writer.finish();
                options().open(dir).unwrap().close().unwrap();
                assert_is_there(dir, sure);
            }
            _ => {
                limit(&writer, None);
                writer.ask("recover");
                writer.ask("log");
                // And once more, with other files at the limit.
                limit(&writer, Some(hot_bytes(dir) + random.below(300_000)));
                writer.ask("fill");
                limit(&writer, None);
                writer.ask("recover");
                writer.ask("close");
                writer.finish();
            }
        }
    }
}

/// All that the run had flushed up to `sure` is there, and nothing comes twice.
fn assert_is_there(dir: &Path, sure: InferenceId) {
    let first = sure.to_u64() - sure.counter();
    let flushed: Vec<_> = (first..=sure.to_u64()).map(InferenceId::from_u64).collect();
    assert_holds(dir, &flushed);
}

#[test]
fn a_small_file_system_that_fills_up_is_waited_for() {
    let mut random = Random::printed();
    for _ in 0..cases(10, 100) {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("tiny");
        let Some(_tiny) = Tiny::mount(&place, 16 << 10) else {
            return;
        };
        let ballast = place.join("ballast");
        let dir = place.join("data");
        let journal = options().open(&dir).unwrap();
        let mut kept = log(&journal, 100);
        journal.flush().wait(BOUND).unwrap();
        for _ in 0..2 {
            let left = 100_000 + random.below(400_000);
            fill_up(&ballast, left);
            log_until_full(&journal, &mut kept);
            log_until_dropped(&journal, &mut kept);
            // Emptied, not removed: a child that another test starts may hold it for a moment.
            fs::write(&ballast, "").unwrap();
            assert_recovers(&journal, &dir, &kept);
        }
        journal.close().unwrap();
        assert_holds(&dir, &kept);
    }
}

/// Leaves about so many bytes free.
fn fill_up(ballast: &Path, left: u64) {
    let mut file = File::create(ballast).unwrap();
    let mut written: u64 = 0;
    let piece = vec![0; 1 << 12];
    while file.write_all(&piece).is_ok() {
        written += piece.len() as u64;
    }
    file.set_len(written.saturating_sub(left)).unwrap();
}
