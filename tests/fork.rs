//! A process that forks without exec: the child has no writer, its calls are counted as dropped,
//! and all its waits end. The parent does not notice.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use annals::entry::RunState;
use annals::health::State;
use annals::registry::Watched;
use annals::{BlackBox, Error, Inference, InferenceId, Journal, Mode, Reader};
use common::{BOUND, Child, role, say};
use rustix::process::{Pid, WaitOptions, waitpid};
use support::{NEVER, assert_books_close, committed_ids};

const CAPACITY: usize = 64;
const CLOSING: Duration = Duration::from_millis(200);
/// A longer wait counts as a hang.
const HANG: Duration = Duration::from_secs(10);

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    assert_eq!(role, "parent");
    fork_and_go_on(&dir);
}

fn log(journal: &Journal) -> Option<InferenceId> {
    journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"))
}

fn fork_and_go_on(dir: &Path) {
    let options = Journal::options().queue_capacity(CAPACITY);
    let options = options.commit_interval(NEVER).close_timeout(CLOSING);
    let journal = options.open(dir).unwrap();
    let registry = journal.registry().unwrap();
    registry
        .set_monitor("dqn_agent", "loss", Mode::Min)
        .unwrap();
    let mut watch = registry.watch("dqn_agent", Watched::Best).unwrap();
    let mut kept: Vec<InferenceId> = (0..10).filter_map(|_| log(&journal)).collect();
    journal.flush().wait(BOUND).unwrap();
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                use_what_was_forked(&journal);
                let began = Instant::now();
                drop(watch);
                drop(registry);
                drop(journal);
                assert!(began.elapsed() < HANG, "{:?}", began.elapsed());
            }));
            // Not on into the test harness, of which there is one already.
            std::process::exit(i32::from(ended.is_err()));
        }
        fork::Fork::Parent(child) => {
            let child = Pid::from_raw(child);
            let (_, ended) = waitpid(child, WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(ended.exit_status(), Some(0), "in the forked child");
        }
    }
    assert!(watch.current().is_none());
    kept.extend((0..10).filter_map(|_| log(&journal)));
    journal.flush().wait(BOUND).unwrap();
    let health = journal.health();
    assert_eq!((health.state, health.committed), (State::Running, 20));
    assert_books_close(&health);
    assert_eq!(committed_ids(&journal.reader().unwrap()).len(), kept.len());
    say("alive");
    assert_eq!(common::command().as_deref(), Some("close"));
    journal.close().unwrap();
    say("closed");
}

/// Everything that a forked child might do with a journal; nothing of it works, nothing waits for
/// ever.
fn use_what_was_forked(journal: &Journal) {
    let calls = 10 * CAPACITY;
    let has_lanes = journal.health().black_box == BlackBox::Lanes;
    let queued = (0..calls).filter_map(|_| log(journal)).count();
    let health = journal.health();
    if has_lanes {
        // They are the parent's.
        assert_eq!((queued, health.dropped.closed), (0, calls as u64));
    } else {
        assert_eq!(queued, CAPACITY);
        assert_eq!(health.dropped.queue_full, (calls - queued) as u64);
    }
    assert_books_close(&health);
    let flushed = journal.flush().wait(Duration::from_millis(50));
    assert!(
        matches!(flushed, Err(Error::TimedOut { .. })),
        "{flushed:?}"
    );
    let sealed = journal.seal(Duration::from_millis(50));
    assert!(matches!(sealed, Err(Error::TimedOut { .. })), "{sealed:?}");
    let closed = journal.close();
    assert!(matches!(closed, Err(Error::TimedOut { .. })), "{closed:?}");
}

#[test]
fn a_forked_child_cannot_record_and_does_its_parent_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut parent = Child::start("parent", dir);
    assert_eq!(parent.hear(), "alive");
    // The forked child is gone, and its end has released none of its parent's locks.
    let other = Journal::open(dir).unwrap();
    let reader = other.reader().unwrap();
    let state = reader.runs().next().unwrap().unwrap().state;
    assert_eq!(state, RunState::Alive);
    assert_eq!(reader.gaps().count(), 0);
    assert_eq!(parent.ask("close"), "closed");
    parent.finish();
    other.close().unwrap();
    let reader = Reader::open(dir).unwrap();
    let state = reader.runs().next().unwrap().unwrap().state;
    assert!(matches!(state, RunState::Closed(_)), "{state:?}");
}
