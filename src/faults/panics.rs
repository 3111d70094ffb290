//! Background threads that panic. The health and an entry report it, `close` returns it, and other
//! threads continue.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{HANG, scratch};
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::health::{Health, State};
use crate::logs::Mirror;
use crate::registry::Watched;
use crate::{Error, Inference, Journal, Options};

/// Makes one thread panic at its next round.
struct Tripping {
    thread: &'static str,
    armed: AtomicBool,
}

impl Failpoint for Tripping {
    fn before(&self, _path: &Path, _call: IoCall<'_>) -> io::Result<()> {
        Ok(())
    }

    fn round(&self) {
        let is_it = std::thread::current().name() == Some(self.thread);
        if is_it && self.armed.swap(false, Ordering::SeqCst) {
            panic!("a test wants it");
        }
    }
}

fn tripping(thread: &'static str) -> Arc<Tripping> {
    Arc::new(Tripping {
        thread,
        armed: AtomicBool::new(true),
    })
}

fn log(journal: &Journal) {
    let inference = Inference::new("m", "s", "BUY");
    assert!(journal.log(inference).is_some());
}

fn wait_for(journal: &Journal, what: &str, is_so: impl Fn(&Health) -> bool) -> Health {
    let began = Instant::now();
    loop {
        let health = journal.health();
        if is_so(&health) {
            return health;
        }
        assert!(began.elapsed() < HANG, "{what}: {health:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Opens a journal whose `thread` panics; returns the health then, and the result of close.
fn panics(thread: &'static str, options: Options, work: impl Fn(&Journal)) -> (Health, Error) {
    let directory = scratch();
    let installed = install(directory.path(), tripping(thread));
    let journal = options.open(directory.path().join("data")).unwrap();
    work(&journal);
    let health = wait_for(&journal, thread, |health| !health.thread_panics.is_empty());
    let said = format!("the thread {thread} panicked (a test wants it)");
    assert!(health.thread_panics[0].starts_with(&said), "{health:?}");
    let closed = journal.close().unwrap_err();
    let said = format!("the thread {thread} panicked");
    assert!(closed.to_string().contains(&said), "{closed}");
    journal.close().unwrap();
    drop(installed);
    (health, closed)
}

/// The others continue: logged entries are committed, and the panic is an entry.
fn log_and_read(journal: &Journal) {
    log(journal);
    wait_for(journal, "a panic", |health| {
        !health.thread_panics.is_empty()
    });
    journal.flush().wait(HANG).unwrap();
    let events = journal.reader().unwrap().events().collect::<Vec<_>>();
    let said = format!("{events:?}");
    assert!(
        said.contains("a thread in the background panicked"),
        "{said}"
    );
}

#[test]
fn a_mirror_that_panics_is_a_fault_and_an_error_of_close() {
    let options = Journal::options().mirror(Mirror::new());
    let (health, closed) = panics("annals-mirror", options, log_and_read);
    let mirror = health.mirror.unwrap();
    assert!(!mirror.writing);
    assert!(mirror.fault.unwrap().contains("a test wants it"));
    assert!(matches!(closed, Error::ThreadPanicked { .. }), "{closed:?}");
}

#[test]
fn a_sealer_that_panics_is_a_fault_and_an_error_of_close() {
    let (health, closed) = panics("annals-sealer", Journal::options(), |journal| {
        log_and_read(journal);
        let sealed = journal.seal(HANG);
        assert!(
            matches!(sealed, Err(Error::ThreadPanicked { .. })),
            "{sealed:?}"
        );
    });
    assert!(
        health
            .sealing
            .unwrap()
            .fault
            .unwrap()
            .contains("a test wants it")
    );
    assert!(matches!(closed, Error::ThreadPanicked { .. }), "{closed:?}");
}

#[test]
fn a_folder_that_panics_is_a_fault_and_an_error_of_close() {
    let (health, closed) = panics("annals-folder", Journal::options(), log_and_read);
    assert!(
        health
            .folding
            .unwrap()
            .fault
            .unwrap()
            .contains("a test wants it")
    );
    assert!(matches!(closed, Error::ThreadPanicked { .. }), "{closed:?}");
}

#[test]
fn a_writer_that_panics_has_failed() {
    let (health, closed) = panics("annals-writer", Journal::options(), |_| ());
    assert!(health.last_error.unwrap().contains("a test wants it"));
    assert!(matches!(closed, Error::Failed { .. }), "{closed:?}");
}

#[test]
fn a_committer_that_panics_fails_the_journal() {
    // Batches that fill before their time is over, so that the second thread commits them.
    let options = Journal::options().commit_bytes(1 << 16).without_mirror();
    let options = options.commit_interval(HANG);
    let text = "x".repeat(1 << 10);
    let (_, closed) = panics("annals-commit", options, |journal| {
        let began = Instant::now();
        while journal.health().thread_panics.is_empty() && began.elapsed() < HANG {
            let _ = journal.log(Inference::new("m", "s", "BUY").attribute("text", text.as_str()));
        }
        let flushed = journal.flush().wait(HANG).unwrap_err();
        assert!(flushed.to_string().contains("annals-commit"), "{flushed}");
        assert_eq!(journal.health().state, State::Failed);
    });
    assert!(matches!(closed, Error::Failed { .. }), "{closed:?}");
}

#[test]
fn a_watching_thread_that_panics_is_a_fault_and_watches_on() {
    let (_, closed) = panics("annals-watch", Journal::options(), |journal| {
        let registry = journal.registry().unwrap();
        let mut watch = registry.watch("m", Watched::Latest).unwrap();
        wait_for(journal, "watch", |health| !health.thread_panics.is_empty());
        let fault = registry.watch_fault().map(|fault| fault.to_string());
        assert!(fault.unwrap_or_default().contains("a test wants it"));
        // A change by this process wakes it from its rest.
        let saved = registry.checkpoint("m").save(b"weights").unwrap();
        let began = Instant::now();
        while watch.current().map(crate::Checkpoint::id) != Some(saved.id()) {
            assert!(began.elapsed() < HANG, "the watch stands still");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(matches!(closed, Error::ThreadPanicked { .. }), "{closed:?}");
}
