//! Panics: those that annals answers with an error do not reach the application's hook, and the
//! journal keeps the last words of the others.
//!
//! The hook belongs to the process, so the tests here take turns.

#![cfg(panic = "unwind")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use annals::entry::{RunState, SystemEvent};
use annals::health::is_caught_panic;
use annals::maintenance::repair;
use annals::{Content, Inference, Journal, Level, Options, Reader, Value};
use support::{BOUND, flush};

static TURN: Mutex<()> = Mutex::new(());
/// Names the directory to the process that plays the role.
const ROLE: &str = "ANNALS_TEST_PANICS_IN";

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Damages of one segment, each of which is read and repaired.
fn damage(dir: &Path, at: usize) {
    let segment = fs::read_dir(dir.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "redb"))
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() * at / 8;
    let span = bytes.len() / 6;
    for byte in bytes.iter_mut().skip(middle).take(span) {
        *byte = !*byte;
    }
    fs::write(&segment, bytes).unwrap();
}

fn sealed(dir: &Path) {
    let options = Options::default().without_mirror().without_folding();
    let journal = options
        .dedup_window(std::time::Duration::ZERO)
        .open(dir)
        .unwrap();
    let mut state = 7_u64;
    for _ in 0..20_000 {
        // Numbers without a pattern, so that the segment has many pages.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let inference = Inference::new("m", "s", "BUY").features_hashed(state);
        while journal.log(inference.confidence(0.5)).is_none() {
            thread::yield_now();
        }
    }
    flush(&journal);
    journal.seal(BOUND).unwrap();
    journal.close().unwrap();
}

/// Reads all that can be read, then repairs.
fn read_and_repair(dir: &Path) -> Vec<String> {
    let mut said = Vec::new();
    match Reader::open(dir) {
        Ok(reader) => said.extend(reader.inferences().iter().filter_map(Result::err)),
        Err(error) => said.push(error),
    }
    if let Err(error) = repair(dir) {
        said.push(error);
    }
    said.iter().map(ToString::to_string).collect()
}

#[test]
fn panics_that_are_caught_do_not_reach_the_applications_hook() {
    let _turn = turn();
    let whole = tempfile::tempdir().unwrap();
    sealed(whole.path());
    // By now annals has put its hook before this one, or will: either way it is told apart.
    let (caught, uncaught) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (mine, others) = (caught.clone(), uncaught.clone());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |_| {
        let counter = if is_caught_panic() { &mine } else { &others };
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    for at in 2..5 {
        let copy = tempfile::tempdir().unwrap();
        copy_all(whole.path(), copy.path());
        damage(copy.path(), at);
        read_and_repair(copy.path());
    }
    assert!(
        caught.load(Ordering::SeqCst) > 0,
        "the storage engine did not panic: choose other damage"
    );
    assert_eq!(uncaught.load(Ordering::SeqCst), 0);
    assert!(!is_caught_panic());
    let said = thread::spawn(|| panic!("heard")).join();
    assert!(said.is_err());
    assert_eq!(uncaught.load(Ordering::SeqCst), 1);
    std::panic::set_hook(before);
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The process that is started anew by the tests below; does nothing in the test run proper.
#[test]
fn child() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    let dir = Path::new(&role);
    if let Some(damaged) = std::env::var_os("ANNALS_TEST_DAMAGED") {
        // As a service does that must not go on after a panic.
        std::panic::set_hook(Box::new(|_| std::process::exit(70)));
        let said = read_and_repair(Path::new(&damaged));
        std::process::exit(if said.iter().any(|line| line.contains("panicked")) {
            3
        } else {
            4
        });
    }
    let journal = Journal::options().flush_on_panic(BOUND).open(dir).unwrap();
    // As behind a static: nothing drops it.
    let journal: &'static Journal = Box::leak(Box::new(journal));
    journal.log(Inference::new("m", "s", "BUY"));
    panic!("the last words");
}

fn start(dir: &Path, damaged: Option<&Path>) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child"]).env(ROLE, dir);
    if let Some(damaged) = damaged {
        command.env("ANNALS_TEST_DAMAGED", damaged);
    }
    command.output().unwrap().status
}

#[test]
fn a_hook_that_ends_the_process_is_not_called_for_damage() {
    let _turn = turn();
    let whole = tempfile::tempdir().unwrap();
    sealed(whole.path());
    let ended = (2..5).map(|at| {
        let copy = tempfile::tempdir().unwrap();
        copy_all(whole.path(), copy.path());
        damage(copy.path(), at);
        start(copy.path(), Some(copy.path())).code()
    });
    let ended: Vec<_> = ended.collect();
    assert!(
        ended.iter().all(|code| matches!(code, Some(3 | 4))),
        "{ended:?}"
    );
}

fn panics(reader: &Reader) -> Vec<SystemEvent> {
    let entries = reader.events().map(|entry| entry.unwrap().content);
    let events = entries.filter_map(|content| match content {
        Content::SystemEvent(event) if &*event.component == "panic" => Some(event),
        _ => None,
    });
    events.collect()
}

fn assert_said(event: &SystemEvent, message: &str, thread: &str) {
    assert_eq!(
        (event.level, event.message.as_str()),
        (Level::Error, message)
    );
    let fields: Vec<_> = event.fields.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(fields, ["location", "thread"]);
    let location = event.fields[0].1.to_string();
    assert!(
        location.starts_with(file!()) && location.matches(':').count() == 2,
        "{location}"
    );
    assert_eq!(event.fields[1].1, Value::from(thread));
}

fn states(reader: &Reader) -> Vec<RunState> {
    reader.runs().map(|run| run.unwrap().state).collect()
}

#[test]
fn a_panic_of_the_owner_is_recorded_and_ends_the_run() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let owner = thread::Builder::new()
        .name("trader".to_owned())
        .spawn(move || {
            let journal = Journal::open(&path).unwrap();
            journal.log(Inference::new("m", "s", "BUY"));
            panic!("no price for {}", "ETH");
        });
    assert!(owner.unwrap().join().is_err());
    let reader = Reader::open(dir.path()).unwrap();
    let said = panics(&reader);
    assert_eq!(said.len(), 1);
    assert_said(&said[0], "no price for ETH", "trader");
    let states = states(&reader);
    assert!(
        matches!(states[..], [RunState::Panicked(Some(_))]),
        "{states:?}"
    );
    assert_eq!(reader.gaps().count(), 0, "nothing is missing");
    let line = reader.events().next().unwrap().unwrap().to_string();
    assert!(
        line.contains("| ERROR | panic           | no price for ETH location="),
        "{line}"
    );
}

/// A hook that is set later hides panics from ours: the last one that it met is from before.
#[test]
fn a_panic_from_before_the_journal_was_opened_is_not_its_end() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    // Puts our hook before the one that is set.
    Journal::in_memory().unwrap().close().unwrap();
    let path = dir.path().to_owned();
    let owner = thread::spawn(move || {
        let earlier = std::panic::catch_unwind(|| panic!("long ago"));
        assert!(earlier.is_err());
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let unwound = std::panic::catch_unwind(|| {
            let _journal = Journal::open(&path).unwrap();
            panic!("unheard");
        });
        std::panic::set_hook(before);
        assert!(unwound.is_err());
    });
    owner.join().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let said: Vec<String> = panics(&reader)
        .into_iter()
        .map(|event| event.message)
        .collect();
    let unknown = "a panic unwinds the thread that closes the journal";
    assert_eq!(said, [unknown]);
    assert!(matches!(states(&reader)[..], [RunState::Panicked(Some(_))]));
}

#[test]
fn a_panic_of_another_thread_is_recorded_on_request_and_the_run_goes_on() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::options()
        .flush_on_panic(BOUND)
        .open(dir.path())
        .unwrap();
    let silent = Journal::in_memory().unwrap();
    for message in ["first", "second"] {
        let worker = thread::Builder::new().name("worker".to_owned());
        assert!(
            worker
                .spawn(move || panic!("{message}"))
                .unwrap()
                .join()
                .is_err()
        );
    }
    // On disk by then.
    let reader = journal.reader().unwrap();
    let said = panics(&reader);
    assert_eq!(said.len(), 2);
    assert_said(&said[0], "second", "worker");
    assert_said(&said[1], "first", "worker");
    assert!(matches!(states(&reader)[..], [RunState::Alive]));
    journal.close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert!(matches!(states(&reader)[..], [RunState::Closed(_)]));
    assert_eq!(silent.health().offered, 0);
}

#[test]
fn a_process_that_a_panic_ends_without_closing_says_so() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    assert!(!start(dir.path(), None).success());
    let reader = Reader::open(dir.path()).unwrap();
    let said = panics(&reader);
    assert_eq!(said.len(), 1);
    assert_said(&said[0], "the last words", "child");
    assert!(matches!(states(&reader)[..], [RunState::Panicked(None)]));
    // The next opener notices, and says where certainty ends.
    drop(reader);
    Journal::open(dir.path()).unwrap().close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let states = states(&reader);
    assert!(
        matches!(
            states[..],
            [RunState::Panicked(Some(_)), RunState::Closed(_)]
        ),
        "{states:?}"
    );
    assert_eq!(reader.gaps().count(), 1);
}
