//! Threads that a slow disk holds up while their journal closes: each call of `close` keeps its bound
//! and says so, waits again for what has not ended, and is `Ok` when all has.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::{HANG, scratch};
use crate::probe::{Call, Probe, place};
use crate::{Error, Inference, Journal, Mirror};

/// How long a close waits here.
const CLOSING: Duration = Duration::from_millis(200);

/// Holds up the calls of one thread.
struct Gate {
    thread: &'static str,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
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
        let nobody = |state: &mut State| state.waiting == 0;
        let waited = self.changed.wait_timeout_while(state, HANG, nobody);
        assert!(!waited.unwrap().1.timed_out(), "{} is idle", self.thread);
    }
}

impl Probe for Gate {
    fn before(&self, _path: &Path, _call: Call<'_>) -> io::Result<()> {
        if std::thread::current().name() != Some(self.thread) {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let shut = |state: &mut State| state.is_shut;
        let mut state = self.changed.wait_while(state, shut).unwrap();
        state.waiting -= 1;
        Ok(())
    }
}

fn log(journal: &Journal, count: usize) {
    for _ in 0..count {
        let inference = Inference::new("m", "s", "BUY");
        assert!(journal.log(inference).is_some());
    }
    journal.flush().wait(HANG).unwrap();
}

fn close_while_held_up(thread: &'static str) {
    let directory = scratch();
    let gate = Arc::new(Gate {
        thread,
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let placed = place(directory.path(), gate.clone());
    let options = Journal::options()
        .mirror(Mirror::new())
        .fold_interval(Duration::from_millis(1))
        .close_timeout(CLOSING);
    let journal = options.open(directory.path().join("data")).unwrap();
    log(&journal, 10);
    gate.shut();
    gate.wait_until_somebody_waits();
    for time in ["first", "second"] {
        let began = Instant::now();
        let late = journal.close();
        assert!(
            matches!(late, Err(Error::TimedOut { .. })),
            "{thread}, {time}: {late:?}"
        );
        assert!(began.elapsed() < HANG, "{thread}, {time}");
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
    assert_eq!((health.offered, health.committed), (10, 10), "{health:?}");
    drop(placed);
}

#[test]
fn whoever_closes_again_waits_again_for_the_sealer() {
    close_while_held_up("annals-sealer");
}

#[test]
fn whoever_closes_again_waits_again_for_the_folder() {
    close_while_held_up("annals-folder");
}

#[test]
fn whoever_closes_again_waits_again_for_the_text_files() {
    close_while_held_up("annals-mirror");
}
