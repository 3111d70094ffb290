//! Threads that a slow disk delays while their journal closes. Each call of `close` keeps its bound
//! and reports it, waits again for unfinished threads, and is `Ok` when all have ended. A thread
//! delayed elsewhere may hold the transaction that the writer needs. A thread delayed at a segment
//! holds none, so it delays only itself.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::{HANG, scratch};
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::health::State;
use crate::logs::Mirror;
use crate::{Error, Inference, Journal, Options};

/// Time that a close waits here.
const CLOSING: Duration = Duration::from_millis(200);

const SEALER: &str = "annals-sealer";
const FOLDER: &str = "annals-folder";
const MIRROR: &str = "annals-mirror";
/// Decisions in each run here.
const COUNT: u64 = 10;

/// Where a thread is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Anywhere,
    AtASegment,
}

/// Holds up the calls of one thread.
struct Gate {
    thread: &'static str,
    held: Held,
    state: Mutex<Door>,
    changed: Condvar,
}

#[derive(Default)]
struct Door {
    is_shut: bool,
    waiting: usize,
}

impl Gate {
    fn shut(&self) {
        self.state.lock().unwrap().is_shut = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().is_shut = false;
        self.changed.notify_all();
    }

    fn wait_until_somebody_waits(&self) {
        let state = self.state.lock().unwrap();
        let nobody = |state: &mut Door| state.waiting == 0;
        let waited = self.changed.wait_timeout_while(state, HANG, nobody);
        assert!(!waited.unwrap().1.timed_out(), "{} is idle", self.thread);
    }
}

impl Failpoint for Gate {
    fn before(&self, path: &Path, _call: IoCall<'_>) -> io::Result<()> {
        let is_there = match self.held {
            Held::Anywhere => true,
            Held::AtASegment => path.iter().any(|part| part == "segments"),
        };
        if !is_there || std::thread::current().name() != Some(self.thread) {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let shut = |state: &mut Door| state.is_shut;
        let mut state = self.changed.wait_while(state, shut).unwrap();
        state.waiting -= 1;
        Ok(())
    }
}

fn options() -> Options {
    Journal::options().close_timeout(CLOSING)
}

fn log(journal: &Journal) {
    for _ in 0..COUNT {
        let inference = Inference::new("m", "s", "BUY");
        assert!(journal.log(inference).is_some());
    }
    journal.flush().wait(HANG).unwrap();
}

/// A journal whose thread is held up, by its next call to the disk or by a segment that it needs.
fn held_up(dir: &Path, gate: &Gate) -> Journal {
    if gate.held == Held::AtASegment {
        let before = options().without_mirror().without_folding();
        let before = before.open(dir).unwrap();
        log(&before);
        assert_eq!(before.seal(HANG).unwrap(), COUNT);
        before.close().unwrap();
        gate.shut();
    }
    let alone = |thread| gate.held == Held::AtASegment && gate.thread != thread;
    // A batch that another thread has read is not read again.
    let mut options = options().fold_interval(Duration::from_millis(1));
    if alone(FOLDER) {
        options = options.without_folding();
    }
    options = if alone(MIRROR) {
        options.without_mirror()
    } else {
        options.mirror(Mirror::new())
    };
    let journal = options.open(dir).unwrap();
    log(&journal);
    gate.shut();
    if gate.thread == SEALER && gate.held == Held::AtASegment {
        let late = journal.seal(CLOSING);
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
    }
    gate.wait_until_somebody_waits();
    journal
}

fn close_while_held_up(thread: &'static str, held: Held) {
    let directory = scratch();
    let gate = Arc::new(Gate {
        thread,
        held,
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let installed = install(directory.path(), gate.clone());
    let journal = held_up(&directory.path().join("data"), &gate);
    for time in ["first", "second"] {
        let began = Instant::now();
        let late = journal.close();
        assert!(
            matches!(late, Err(Error::TimedOut { .. })),
            "{thread}, {held:?}, {time}: {late:?}"
        );
        assert!(began.elapsed() < HANG, "{thread}, {held:?}, {time}");
        if held == Held::AtASegment {
            let has_ended = journal.health().state == State::Closed;
            assert!(has_ended, "{thread}, {time}: the writer is held up too");
        }
    }
    gate.open();
    let began = Instant::now();
    while let Err(error) = journal.close() {
        assert!(
            matches!(error, Error::TimedOut { .. }),
            "{thread}: {error:?}"
        );
        assert!(began.elapsed() < HANG, "{thread}: it hangs");
    }
    journal.close().unwrap();
    let health = journal.health();
    assert_eq!(
        (health.offered, health.committed),
        (COUNT, COUNT),
        "{health:?}"
    );
    drop(installed);
}

#[test]
fn whoever_closes_again_waits_again_for_the_sealer() {
    close_while_held_up(SEALER, Held::Anywhere);
    close_while_held_up(SEALER, Held::AtASegment);
}

#[test]
fn whoever_closes_again_waits_again_for_the_folder() {
    close_while_held_up(FOLDER, Held::Anywhere);
    close_while_held_up(FOLDER, Held::AtASegment);
}

#[test]
fn whoever_closes_again_waits_again_for_the_text_files() {
    close_while_held_up(MIRROR, Held::Anywhere);
    close_while_held_up(MIRROR, Held::AtASegment);
}
