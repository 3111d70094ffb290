//! Shared memory that is missing, small, full, private, or cleared under a process. The health says
//! which promise holds, no call panics or ends the process, decisions go on, and after a death all
//! that the spool had is there, once.
//!
//! Each case runs in a namespace of mounts of its own, where this process may make one.

#![cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::GapReason;
use annals::{
    BlackBox, Content, Entry, Inference, InferenceId, Journal, Maintenance, Options, Outcome,
    Reader,
};
use common::{BOUND, Child, command, role, say, spool_frames};

/// No commit comes in this time: what is found after a death was in the spool or in lanes.
const NEVER: Duration = Duration::from_secs(3_600);
const SHARED_MEMORY: &str = "/dev/shm";
/// A lane takes a page and 2 MB, and leaves room for four more.
const LEFT_FREE: u64 = 4 * (2 << 20);

fn options() -> Options {
    let options = Journal::options().without_mirror().without_folding();
    options
        .black_box(BlackBox::Lanes)
        .dedup_window(Duration::ZERO)
}

/// What a case mounts before it begins.
enum Mounts {
    /// In a container: process 1 sees the same.
    Contained(&'static str),
    /// The same, and the case is process 1.
    First(&'static str),
    /// In a namespace of mounts alone: process 1 sees another shared memory.
    Private(&'static str),
}

/// Mounts a file system in memory over the shared memory; `$size` is its size.
macro_rules! sized {
    ($size:literal) => {
        concat!("mount -t tmpfs -o size=", $size, " tmpfs /dev/shm")
    };
}

/// A command that mounts, and runs what follows there. `None` where this process may not.
fn isolated(mounts: &Mounts) -> Option<Command> {
    let (setup, run, contained) = match mounts {
        Mounts::Contained(setup) => (setup, "\"$0\" \"$@\"; exit $?", true),
        Mounts::First(setup) => (setup, "exec \"$0\" \"$@\"", true),
        Mounts::Private(setup) => (setup, "exec \"$0\" \"$@\"", false),
    };
    let more: &[&str] = match contained {
        true => &["--pid", "--fork", "--mount-proc", "--kill-child"],
        false => &[],
    };
    // As root, or as a user who is root in a namespace of users.
    for user in [&[] as &[&str], &["--user", "--map-root-user"]] {
        let unshare = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(user).arg("--mount").args(more);
            command.args(["sh", "-c", script]);
            command
        };
        let mut probe = unshare(setup);
        let probe = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_ok_and(|status| status.success()) {
            let mut command = unshare(&format!("{setup} && {run}"));
            command.arg(env::current_exe().unwrap());
            return Some(command);
        }
    }
    println!("skipped: no namespace with mounts of its own can be made here");
    None
}

/// Runs a case, which says that it is done.
fn case(mounts: &Mounts, role: &str) {
    let Some(command) = isolated(mounts) else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let child = Child::start_with(command, role, scratch.path());
    assert_eq!(child.hear(), "done");
    child.finish();
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("fall-back", why) => fall_back(&dir, why),
        ("crowd", _) => crowd(&dir),
        ("brim", _) => brim(&dir),
        ("cleared", _) => cleared(&dir),
        ("tell", _) => tell(&dir),
        ("crowd-and-sync", _) => crowd_and_sync(&dir),
        ("brim-and-sync", _) => brim_and_sync(&dir),
        _ => panic!("{role}"),
    }
}

fn is_spool(journal: &Journal, why: &str) {
    let health = journal.health();
    assert_eq!(health.black_box, BlackBox::Spool, "{health:?}");
    let said = health.black_box_error.unwrap();
    assert!(said.contains(why), "{said}");
}

fn log(journal: &Journal, symbol: &str) -> InferenceId {
    journal.log(Inference::new("m", symbol, "BUY")).unwrap()
}

/// Several threads log, each decision with its outcome; all calls are accepted.
fn log_from_threads(journal: &Journal, threads: usize, each: usize) -> Vec<InferenceId> {
    let all_have_begun = Barrier::new(threads);
    thread::scope(|scope| {
        let spawn = |number: usize| {
            let all_have_begun = &all_have_begun;
            scope.spawn(move || {
                let symbol = format!("s{number}");
                let one = |_| {
                    let id = log(journal, &symbol);
                    assert!(journal.attach_outcome(id, Outcome::new().reward(0.5)));
                    id
                };
                let first = one(0);
                // All have a lane now, or none.
                all_have_begun.wait();
                std::iter::once(first).chain((1..each).map(one)).collect()
            })
        };
        let threads: Vec<_> = (0..threads).map(spawn).collect();
        let ids = threads.into_iter().map(|thread| thread.join().unwrap());
        ids.collect::<Vec<Vec<_>>>().concat()
    })
}

/// The journal has all of `ids`, each entry once, and each outcome behind its decision.
fn assert_has(dir: &Path, ids: &[InferenceId], deaths: usize) {
    let reader = Reader::open(dir).unwrap();
    let follow = reader.follow(reader.start()).unwrap();
    let entries: Vec<Entry> = follow.map(Result::unwrap).collect();
    let sequences = entries.iter().map(|entry| entry.sequence);
    assert!(sequences.eq(1..=entries.len() as u64));
    let (mut decisions, mut outcomes) = (BTreeMap::new(), BTreeMap::new());
    let mut found = 0;
    for entry in entries {
        let before = match entry.content {
            Content::Inference(decision) => decisions.insert(decision.id, entry.sequence),
            Content::Outcome(outcome) => {
                assert!(decisions.contains_key(&outcome.of), "{}", outcome.of);
                outcomes.insert(outcome.of, entry.sequence)
            }
            Content::Gap(gap) if gap.reason == GapReason::Died => {
                found += 1;
                None
            }
            _ => None,
        };
        assert_eq!(before, None, "{} is there twice", entry.sequence);
    }
    let missing = ids.iter().filter(|id| !decisions.contains_key(id)).count();
    assert_eq!(missing, 0, "of {}", ids.len());
    assert_eq!(found, deaths);
    drop(reader);
    assert!(Maintenance::open(dir).unwrap().verify().is_whole());
}

fn open_and_close(dir: &Path) {
    options().open(dir).unwrap().close().unwrap();
}

/// There are no lanes: the spool has the calls, also after a death.
fn fall_back(dir: &Path, why: &str) {
    let whole = dir.join("whole");
    let journal = options().open(&whole).unwrap();
    is_spool(&journal, why);
    let ids = log_from_threads(&journal, 4, 500);
    journal.sync().wait(BOUND).unwrap();
    journal.flush().wait(BOUND).unwrap();
    is_spool(&journal, why);
    let health = journal.health();
    assert_eq!(health.dropped.total(), 0, "{health:?}");
    journal.close().unwrap();
    assert_has(&whole, &ids, 0);

    let dead = dir.join("dead");
    let child = Child::start("tell", &dead);
    let told: Vec<InferenceId> = (0..50).map(|_| child.hear().parse().unwrap()).collect();
    // The frame that is under way may have begun before. Later ones have all of them.
    let enough = spool_frames(&dead) + 3;
    let began = Instant::now();
    while spool_frames(&dead) < enough {
        // Process 1 has no lanes here; its children have some.
        if std::process::id() == 1 {
            break;
        }
        assert!(began.elapsed() < BOUND, "nothing is spooled");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill();
    open_and_close(&dead);
    assert_has(&dead, &told, 1);
    open_and_close(&dead);
    assert_has(&dead, &told, 1);
    say("done");
}

/// Logs for ever, and says each id.
fn tell(dir: &Path) {
    let journal = options().commit_interval(NEVER).open(dir).unwrap();
    loop {
        let id = log(&journal, "s");
        assert!(journal.attach_outcome(id, Outcome::new().reward(0.5)));
        say(&id.to_string());
        thread::sleep(Duration::from_micros(200));
    }
}

/// Bytes of the shared memory that nobody has.
fn free_bytes() -> u64 {
    let room = rustix::fs::statvfs(SHARED_MEMORY).unwrap();
    room.f_bavail * room.f_frsize
}

/// More threads than the shared memory has room for.
fn crowd(dir: &Path) {
    let whole = dir.join("whole");
    let journal = options().open(&whole).unwrap();
    assert_eq!(journal.health().black_box, BlackBox::Lanes);
    let ids = log_from_threads(&journal, 40, 50);
    // Others have the rest of it.
    assert!(free_bytes() >= LEFT_FREE, "{}", free_bytes());
    journal.flush().wait(BOUND).unwrap();
    is_spool(&journal, "bytes left");
    assert_eq!(journal.health().dropped.total(), 0);
    // A second journal has no room for its first lane.
    let second = dir.join("second");
    let other = options().open(&second).unwrap();
    is_spool(&other, "bytes left");
    let others = log_from_threads(&other, 2, 50);
    other.close().unwrap();
    assert_has(&second, &others, 0);
    journal.close().unwrap();
    assert_has(&whole, &ids, 0);
    // Its lanes are memory of this process until then.
    drop(journal);
    killed_after_sync("crowd-and-sync", &dir.join("dead"));
    // What the dead one had is given back.
    let journal = options().open(&second).unwrap();
    let health = journal.health();
    assert_eq!(
        health.black_box,
        BlackBox::Lanes,
        "{health:?} {}",
        free_bytes()
    );
    journal.close().unwrap();
    say("done");
}

/// Kills a child that has said ids which a sync had confirmed.
fn killed_after_sync(role: &str, dir: &Path) {
    let child = Child::start(role, dir);
    let count: usize = child.hear().parse().unwrap();
    let told: Vec<InferenceId> = (0..count).map(|_| child.hear().parse().unwrap()).collect();
    child.kill();
    open_and_close(dir);
    assert_has(dir, &told, 1);
}

fn say_and_wait(ids: &[InferenceId]) {
    say(&ids.len().to_string());
    ids.iter().for_each(|id| say(&id.to_string()));
    command();
}

fn crowd_and_sync(dir: &Path) {
    let journal = options().commit_interval(NEVER).open(dir).unwrap();
    let ids = log_from_threads(&journal, 40, 50);
    journal.sync().wait(BOUND).unwrap();
    say_and_wait(&ids);
}

/// Fills the shared memory to the last byte.
fn fill() -> PathBuf {
    let path = Path::new(SHARED_MEMORY).join("full");
    let mut file = File::create(&path).unwrap();
    let error = loop {
        if let Err(error) = file.write_all(&[1; 1 << 12]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(free_bytes() < 1 << 12, "{}", free_bytes());
    path
}

/// Logs in a lane while there is no room: its pages are its own. Others have no lane, and new names
/// are in no file.
fn log_at_the_brim(journal: &Journal) -> Vec<InferenceId> {
    let mut ids = vec![log(journal, "before")];
    assert_eq!(journal.health().black_box, BlackBox::Lanes);
    fill();
    // Around the lane more than once.
    for _ in 0..10 {
        ids.extend((0..20_000).map(|_| log(journal, "before")));
        journal.sync().wait(BOUND).unwrap();
    }
    ids.extend((0..1_000).map(|number| log(journal, &format!("new {number}"))));
    ids.extend(log_from_threads(journal, 4, 100));
    ids
}

/// The shared memory becomes full under a process.
fn brim(dir: &Path) {
    let whole = dir.join("whole");
    let journal = options().open(&whole).unwrap();
    let ids = log_at_the_brim(&journal);
    journal.flush().wait(BOUND).unwrap();
    is_spool(&journal, "bytes left");
    assert_eq!(journal.health().dropped.total(), 0);
    let second = dir.join("second");
    let other = options().open(&second).unwrap();
    is_spool(&other, "bytes left");
    let others = log_from_threads(&other, 2, 50);
    other.close().unwrap();
    assert_has(&second, &others, 0);
    journal.close().unwrap();
    assert_has(&whole, &ids, 0);
    fs::remove_file(Path::new(SHARED_MEMORY).join("full")).unwrap();
    killed_after_sync("brim-and-sync", &dir.join("dead"));
    say("done");
}

fn brim_and_sync(dir: &Path) {
    let journal = options().commit_interval(NEVER).open(dir).unwrap();
    let ids = log_at_the_brim(&journal);
    journal.sync().wait(BOUND).unwrap();
    say_and_wait(&ids);
}

/// All files are deleted under a process, as `RemoveIPC` does.
fn cleared(dir: &Path) {
    let whole = dir.join("whole");
    let journal = options().open(&whole).unwrap();
    let mut ids = log_from_threads(&journal, 3, 100);
    for entry in fs::read_dir(SHARED_MEMORY).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    ids.extend(log_from_threads(&journal, 3, 100));
    // Looked at with each flush; said with what is logged after that.
    for _ in 0..2 {
        journal.flush().wait(BOUND).unwrap();
        ids.push(log(&journal, "s"));
    }
    journal.flush().wait(BOUND).unwrap();
    is_spool(&journal, "lost its name");
    // Lanes that are made now are in no directory.
    ids.extend(log_from_threads(&journal, 8, 100));
    // Another one makes the directory anew.
    let second = dir.join("second");
    let other = options().open(&second).unwrap();
    assert_eq!(other.health().black_box, BlackBox::Lanes);
    let others = log_from_threads(&other, 2, 50);
    other.close().unwrap();
    assert_has(&second, &others, 0);
    journal.flush().wait(BOUND).unwrap();
    is_spool(&journal, "lost its name");
    assert_eq!(journal.health().dropped.total(), 0);
    journal.close().unwrap();
    assert_has(&whole, &ids, 0);
    say("done");
}

#[test]
fn full_shared_memory_leaves_the_spool() {
    case(&Mounts::Contained(sized!("1m")), "fall-back bytes left");
}

#[test]
fn a_system_without_shared_memory_leaves_the_spool() {
    // The redirections of the standard library need a file of this name.
    let setup = "mount -t tmpfs tmpfs /dev && : > /dev/null";
    case(&Mounts::Contained(setup), "fall-back is missing");
}

#[test]
fn shared_memory_that_dies_with_the_process_leaves_the_spool() {
    case(
        &Mounts::Private(sized!("64m")),
        "fall-back for this process alone",
    );
    case(&Mounts::First(sized!("64m")), "fall-back process 1 ends");
}

#[test]
fn a_container_s_64_mb_have_room_for_some_threads() {
    case(&Mounts::Contained(sized!("64m")), "crowd");
}

#[test]
fn shared_memory_that_becomes_full_ends_no_process() {
    case(&Mounts::Contained(sized!("64m")), "brim");
}

#[test]
fn shared_memory_that_is_cleared_leaves_the_spool() {
    case(&Mounts::Contained(sized!("64m")), "cleared");
}
