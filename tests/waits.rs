//! Waits that end and updates that are not lost: calls beside a close, files that lose their names,
//! children that outlive their parents.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::{GapReason, RunState};
use annals::health::State;
use annals::logs::{LogKind, Mirror, Rotation, recent_lines};
use annals::{Error, Inference, InferenceId, Journal, Reader};
use common::{BOUND, Child, Random, cases, role, say, spin};
use support::{assert_books_close, committed_ids, flush, missing, wait_until};

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "relative" => log_from_elsewhere(&dir),
        "forking" => fork_and_commit(&dir),
        "limited" => write_beyond_a_limit(&dir),
        "refused" => write_where_it_is_refused(&dir),
        other => panic!("no role {other}"),
    }
}

fn log(journal: &Journal) -> Option<InferenceId> {
    journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"))
}

fn open(dir: &Path) -> Journal {
    Journal::options().without_mirror().open(dir).unwrap()
}

/// With text files.
fn open_with_files(dir: &Path, mirror: Mirror) -> Journal {
    Journal::options().mirror(mirror).open(dir).unwrap()
}

fn wait_for_lines(journal: &Journal, count: u64) {
    wait_until("the lines are written", || {
        let mirror = journal.health().mirror.unwrap();
        mirror.writing && mirror.lag == 0 && mirror.lines >= count
    });
}

#[test]
fn an_id_that_is_returned_beside_a_close_is_there() {
    const THREADS: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    for round in 0..cases(20, 400) {
        let dir = directory.path().join(round.to_string());
        // Every second queue is too small, so that calls are dropped while it closes.
        let capacity = if round % 2 == 0 { 4_096 } else { 8 };
        let options = Journal::options().without_mirror();
        let journal = options.queue_capacity(capacity).open(&dir).unwrap();
        let together = Barrier::new(THREADS + 1);
        let returned: Vec<InferenceId> = thread::scope(|scope| {
            let log_until_closed = || {
                together.wait();
                let mut kept = Vec::new();
                while journal.health().state != State::Closed {
                    kept.extend((0..16).filter_map(|_| log(&journal)));
                }
                kept
            };
            let threads: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(log_until_closed))
                .collect();
            together.wait();
            let _ = log(&journal);
            journal.close().unwrap();
            let kept = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            kept.collect()
        });
        let health = journal.health();
        assert_books_close(&health);
        let reader = Reader::open(&dir).unwrap();
        let committed = committed_ids(&reader);
        for id in &returned {
            assert!(
                committed.contains(id),
                "round {round}: {id} was returned and is lost"
            );
        }
        let in_gaps = missing(&reader, GapReason::QueueFull);
        assert!(in_gaps <= health.dropped.queue_full, "{health:?}");
    }
}

/// Changes to the files of a journal that is open.
fn lose(what: impl Fn(&Path)) -> (Journal, PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let journal = open(&dir);
    log(&journal);
    flush(&journal);
    what(&dir);
    (journal, dir, directory)
}

fn assert_misplaced(journal: &Journal, word: &str) {
    log(journal);
    let flushed = journal.flush().wait(BOUND);
    let said = match flushed {
        Err(ref error @ Error::Misplaced { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(
        said.contains("journal.redb was") && said.contains(word),
        "{said}"
    );
    let health = journal.health();
    assert_eq!(health.state, State::Misplaced);
    assert_eq!(health.last_error, Some(said));
}

#[test]
fn a_file_that_is_removed_under_a_journal_is_noticed() {
    let (journal, _dir, _directory) =
        lose(|dir| fs::remove_file(dir.join("journal.redb")).unwrap());
    // Without a flush too.
    wait_until("it is noticed", || {
        journal.health().state == State::Misplaced
    });
    assert_misplaced(&journal, "removed");
    let closed = journal.close();
    assert!(matches!(closed, Err(Error::Misplaced { .. })), "{closed:?}");
}

#[test]
fn a_directory_that_is_removed_under_a_journal_is_noticed() {
    let (journal, _dir, _directory) = lose(|dir| fs::remove_dir_all(dir).unwrap());
    assert_misplaced(&journal, "removed");
    let closed = journal.close();
    assert!(matches!(closed, Err(Error::Misplaced { .. })), "{closed:?}");
}

#[test]
fn a_file_that_is_replaced_under_a_journal_is_noticed() {
    let (journal, _dir, _directory) = lose(|dir| {
        let copy = dir.join("copy");
        fs::copy(dir.join("journal.redb"), &copy).unwrap();
        fs::rename(copy, dir.join("journal.redb")).unwrap();
    });
    assert_misplaced(&journal, "replaced");
    let closed = journal.close();
    assert!(matches!(closed, Err(Error::Misplaced { .. })), "{closed:?}");
}

#[test]
fn a_directory_that_is_moved_away_and_back_has_everything() {
    let (journal, dir, directory) = lose(|_| ());
    let away = directory.path().join("away");
    fs::rename(&dir, &away).unwrap();
    assert_misplaced(&journal, "moved");
    fs::rename(&away, &dir).unwrap();
    log(&journal);
    flush(&journal);
    assert_eq!(journal.health().state, State::Running);
    journal.close().unwrap();
    let reader = Reader::open(&dir).unwrap();
    assert_eq!(committed_ids(&reader).len(), 3);
    let state = reader.runs().next().unwrap().unwrap().state;
    assert!(matches!(state, RunState::Closed(_)), "{state:?}");
}

#[test]
fn a_lock_that_is_removed_under_a_journal_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir);
    log(&journal);
    flush(&journal);
    for removed in ["a file", "the directory"] {
        match removed {
            "a file" => fs::remove_file(dir.join("runs/1.lock")).unwrap(),
            _ => fs::remove_dir_all(dir.join("runs")).unwrap(),
        }
        flush(&journal);
        let other = open(dir);
        let reader = other.reader().unwrap();
        assert_eq!(reader.gaps().count(), 0, "after {removed} was removed");
        let state = reader.runs().next().unwrap().unwrap().state;
        assert_eq!(state, RunState::Alive, "after {removed} was removed");
        other.close().unwrap();
    }
    journal.close().unwrap();
}

/// Opens by a relative name, and changes the directory.
fn log_from_elsewhere(dir: &Path) {
    std::env::set_current_dir(dir).unwrap();
    let journal = open(Path::new("data"));
    log(&journal);
    std::env::set_current_dir("/").unwrap();
    log(&journal);
    flush(&journal);
    assert_eq!(journal.health().state, State::Running);
    journal.close().unwrap();
    say("closed");
}

#[test]
fn a_process_that_changes_its_directory_has_lost_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let child = Child::start("relative", directory.path());
    assert_eq!(child.hear(), "closed");
    child.finish();
    let reader = Reader::open(directory.path().join("data")).unwrap();
    assert_eq!(committed_ids(&reader).len(), 2);
}

/// Forks a child that does nothing, and commits and reads until it is killed.
fn fork_and_commit(dir: &Path) {
    let journal = open_with_files(dir, Mirror::new());
    log(&journal);
    flush(&journal);
    thread::scope(|scope| {
        // So that the child is forked amid a transaction, more often than not.
        let commits = scope.spawn(|| {
            loop {
                log(&journal);
                flush(&journal);
            }
        });
        scope.spawn(|| {
            let reader = Reader::open(dir).unwrap();
            loop {
                reader.newest(1).for_each(|entry| drop(entry.unwrap()));
            }
        });
        spin(Duration::from_millis(20));
        match fork::fork().unwrap() {
            fork::Fork::Child => loop {
                thread::sleep(Duration::from_secs(3_600));
            },
            fork::Fork::Parent(child) => say(&child.to_string()),
        }
        commits.join().unwrap();
    });
}

/// A child that outlives its parent, killed when dropped.
struct Orphan(rustix::process::Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, rustix::process::Signal::KILL);
    }
}

/// The orphan keeps its parent's locks after the kill, and delays no process.
#[cfg(target_os = "linux")]
#[test]
fn an_orphan_neither_holds_up_an_opening_nor_keeps_a_run_alive() {
    let mut random = Random::printed();
    let directory = tempfile::tempdir().unwrap();
    for round in 0..cases(8, 100) {
        let dir = directory.path().join(round.to_string());
        let parent = Child::start("forking", &dir);
        let orphan = parent.hear().parse().unwrap();
        let orphan = Orphan(rustix::process::Pid::from_raw(orphan).unwrap());
        spin(Duration::from_micros(random.below(20_000)));
        // Killed as it is dropped. Its output is not read to its end: the orphan holds the pipe
        // too.
        drop(parent);
        let began = Instant::now();
        let reader = Reader::open(&dir).unwrap();
        let before = committed_ids(&reader).len();
        let journal = open_with_files(&dir, Mirror::new());
        log(&journal);
        flush(&journal);
        journal
            .registry()
            .unwrap()
            .checkpoint("m")
            .save(b"w")
            .unwrap();
        assert!(journal.seal(BOUND).unwrap() > 0);
        // The text files are this run's to write.
        wait_for_lines(&journal, 1);
        let took = began.elapsed();
        println!("round {round}: {took:?}, {before} of the dead run");
        assert!(took < BOUND / 2, "round {round}: {took:?}");
        let state = reader.runs().next().unwrap().unwrap().state;
        assert!(
            matches!(state, RunState::Died(_)),
            "round {round}: {state:?}"
        );
        let gaps: Vec<_> = reader.gaps().map(|gap| gap.unwrap().reason).collect();
        assert_eq!(gaps, [GapReason::Died], "round {round}");
        journal.close().unwrap();
        drop(orphan);
    }
}

/// Lines of this run, and that each number is in one of them, in order.
fn assert_lines(dir: &Path, count: usize) {
    let lines = recent_lines(dir.join("logs"), LogKind::Inferences, 1 << 20).unwrap();
    assert_eq!(lines.len(), count);
    for (number, line) in lines.iter().enumerate() {
        assert!(line.contains(&format!("n{number}x")), "{number}: {line}");
    }
}

/// Flushes every thousand. A line takes more than what is stored of it.
fn log_numbered(journal: &Journal, numbers: std::ops::Range<usize>) {
    let symbol = "s".repeat(240);
    for number in numbers {
        let action = format!("n{number}x");
        let inference = Inference::new("dqn_agent", &symbol, &action);
        assert!(journal.log(inference).is_some());
        if number % 1_000 == 999 {
            flush(journal);
        }
    }
    flush(journal);
}

fn wait_for_fault(journal: &Journal, word: &str) {
    wait_until("a fault is said", || {
        let fault = journal.health().mirror.unwrap().fault;
        fault.is_some_and(|fault| fault.contains(word))
    });
}

fn wait_for_recovery(journal: &Journal) {
    wait_until("the lines are written", || {
        let mirror = journal.health().mirror.unwrap();
        mirror.fault.is_none() && mirror.lag == 0
    });
}

/// A text file grows beyond what the process may write; then it may write more.
fn write_beyond_a_limit(dir: &Path) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let count = 30_000;
    let journal = open_with_files(dir, Mirror::new());
    log_numbered(&journal, 0..count);
    wait_for_fault(&journal, "too large");
    let health = journal.health();
    assert_eq!((health.state, health.dropped.total()), (State::Running, 0));
    let mut limit = getrlimit(Resource::Fsize);
    limit.current = limit.maximum;
    setrlimit(Resource::Fsize, limit).unwrap();
    wait_for_recovery(&journal);
    journal.close().unwrap();
    assert_lines(dir, count);
    say("written");
}

#[test]
fn a_limit_of_the_size_of_files_holds_up_text_files_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("sh");
    // The signal that comes with the limit is not to end the process. Blocks have 512 bytes.
    let program = "trap '' XFSZ; ulimit -S -f 16384; exec \"$0\" \"$@\"";
    shell
        .args(["-c", program])
        .arg(std::env::current_exe().unwrap());
    let child = Child::start_with(shell, "limited", &directory.path().join("data"));
    assert_eq!(child.hear(), "written");
    child.finish();
}

/// The folder of the text files may not be written while a new file is begun there.
fn write_where_it_is_refused(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(dir.join("logs"), permissions).unwrap();
    };
    let journal = open_with_files(dir, Mirror::new().rotation(Rotation::Size(2_000)));
    log_numbered(&journal, 0..20);
    wait_for_lines(&journal, 20);
    mode(0o500);
    log_numbered(&journal, 20..40);
    wait_for_fault(&journal, "denied");
    assert_eq!(journal.health().state, State::Running);
    mode(0o700);
    wait_for_recovery(&journal);
    journal.close().unwrap();
    assert_lines(dir, 40);
    say("written");
}

#[test]
fn a_folder_that_may_not_be_written_holds_up_text_files_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let anybodys = fs::Permissions::from_mode(0o777);
    fs::set_permissions(directory.path(), anybodys).unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(&exe);
    // Nothing is refused to root, so another user does it.
    if rustix::process::geteuid().is_root() {
        let program = directory.path().join("program");
        fs::copy(&exe, &program).unwrap();
        command = std::process::Command::new("setpriv");
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        if !command
            .args(user)
            .arg("true")
            .status()
            .is_ok_and(|ended| ended.success())
        {
            println!("skipped: there is no setpriv to become another user with");
            return;
        }
        command = std::process::Command::new("setpriv");
        command.args(user).arg(program);
    }
    let child = Child::start_with(command, "refused", &directory.path().join("data"));
    assert_eq!(child.hear(), "written");
    child.finish();
}
