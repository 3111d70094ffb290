//! Where a journal lies: behind links, on media that may only be read, among another user's files.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod support;
mod tiny;

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use annals::{Error, Inference, Journal, Mode, Options, Reader, Registry};
use common::{Child, command, role, say};
use support::{BOUND, committed_ids};
use tiny::Tiny;

/// A user who owns nothing; the number that `nobody` has nearly everywhere.
const NOBODY: u32 = 65_534;

fn options() -> Options {
    Journal::options().close_timeout(BOUND)
}

/// One run of `count` inferences; sealed in between.
fn run(dir: &Path, count: usize) {
    let journal = options().open(dir).unwrap();
    log(&journal, count);
    journal.seal(BOUND).unwrap();
    log(&journal, count);
    journal.close().unwrap();
}

fn log(journal: &Journal, count: usize) {
    for _ in 0..count {
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY");
        journal.log(inference).unwrap();
    }
    journal.flush().wait(BOUND).unwrap();
}

fn count(dir: &Path) -> usize {
    committed_ids(&Reader::open(dir).unwrap()).len()
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "stranger" => look_and_touch(&dir),
        "victim" => {
            let journal = options().open(&dir).unwrap();
            log(&journal, 3);
            say("flushed");
            // Until it is killed.
            command();
        }
        other => panic!("no role {other}"),
    }
}

fn look_and_touch(dir: &Path) {
    while let Some(command) = command() {
        let outcome = match command.as_str() {
            "read" => Reader::open(dir).map(|reader| committed_ids(&reader).len()),
            "write" => options().open(dir).map(|_| 0),
            "look up" => Registry::open(dir).and_then(|registry| found(&registry)),
            "register" => Registry::open(dir).and_then(|registry| change(&registry)),
            other => panic!("cannot {other}"),
        };
        match outcome {
            Ok(count) => say(&count.to_string()),
            Err(error) => say(&error.to_string()),
        }
    }
}

fn found(registry: &Registry) -> annals::Result<usize> {
    registry
        .latest("dqn_agent")
        .map(|found| found.iter().count())
}

fn change(registry: &Registry) -> annals::Result<usize> {
    registry
        .set_monitor("dqn_agent", "loss", Mode::Min)
        .map(|_| 0)
}

/// This test as another user, who may run it from a place of its own; `None` where this process
/// cannot change its user.
fn start_stranger(directory: &Path, dir: &Path) -> Option<Child> {
    let program = directory.join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.uid(NOBODY).gid(NOBODY);
    let able = command.arg("--list").output();
    if !able.is_ok_and(|output| output.status.success()) {
        println!("skipped: this process cannot be another user");
        return None;
    }
    let mut command = Command::new(&program);
    command.uid(NOBODY).gid(NOBODY);
    Some(Child::start_with(command, "stranger", dir))
}

/// The same permissions for all directories, and for all files, from `path` down.
fn open_up(path: &Path, directories: u32, files: u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let mode = if metadata.is_dir() {
        directories
    } else {
        files
    };
    if !metadata.is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            open_up(&entry.unwrap().path(), directories, files);
        }
    }
}

fn assert_refused(said: &str, path: &Path, why: &str) {
    assert!(said.contains(&path.display().to_string()), "{said}");
    assert!(said.contains(why), "{said}");
}

#[test]
fn another_users_journal_is_closed_to_strangers_and_read_where_that_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    run(&dir, 3);
    let Some(mut stranger) = start_stranger(directory.path(), &dir) else {
        return;
    };
    for command in ["read", "write", "look up", "register"] {
        assert_refused(&stranger.ask(command), &dir, "Permission denied");
    }
    open_up(&dir, 0o755, 0o644);
    assert_eq!(stranger.ask("read"), "6");
    assert_eq!(stranger.ask("look up"), "0");
    for command in ["write", "register"] {
        assert_refused(&stranger.ask(command), &dir, "Permission denied");
    }
    // A stranger's reader cannot do the recovery that a dead writer has left, and reports that.
    let victim = Child::start("victim", &dir);
    assert_eq!(victim.hear(), "flushed");
    open_up(&dir, 0o755, 0o644);
    assert_eq!(stranger.ask("read"), "9", "beside its writer");
    victim.kill();
    let said = stranger.ask("read");
    assert_refused(&said, &dir, "needs recovery after its writer died");
    assert_refused(&said, &dir, "open the journal for writing once");
    run(&dir, 1);
    open_up(&dir, 0o755, 0o644);
    assert_eq!(stranger.ask("read"), "11");
    stranger.finish();
}

#[test]
fn media_that_may_only_be_read_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("tiny");
    let Some(tiny) = Tiny::mount(&place, 16 << 10) else {
        return;
    };
    let dir = place.join("data");
    run(&dir, 3);
    tiny.read_only(true);
    assert_eq!(count(&dir), 6);
    let refused = options().open(&dir).unwrap_err();
    assert_refused(&refused.to_string(), &dir, "Read-only file system");
    let registry = Registry::open(&dir).unwrap();
    assert_eq!(found(&registry).unwrap(), 0);
    let refused = change(&registry).unwrap_err();
    assert_refused(&refused.to_string(), &dir, "Read-only file system");
    drop(registry);
    let refused = options().open(place.join("new")).unwrap_err();
    assert_refused(&refused.to_string(), &place, "Read-only file system");

    tiny.read_only(false);
    let victim = Child::start("victim", &dir);
    assert_eq!(victim.hear(), "flushed");
    victim.kill();
    tiny.read_only(true);
    let refused = Reader::open(&dir).unwrap_err();
    assert!(
        matches!(refused, Error::NeedsRecovery { .. }),
        "{refused:?}"
    );
    let said = refused.to_string();
    assert_refused(&said, &dir, "copy it to writable media");
    tiny.read_only(false);
    assert_eq!(count(&dir), 9);
}

#[test]
fn a_journal_behind_links_is_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    let link = directory.path().join("link");
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    // Parts of it may lie elsewhere as well.
    for part in ["segments", "logs"] {
        let elsewhere = directory.path().join(format!("elsewhere-{part}"));
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, real.join(part)).unwrap();
    }
    let through_link = options().open(&link).unwrap();
    let straight = options().open(&real).unwrap();
    assert_eq!(through_link.id(), straight.id());
    log(&through_link, 3);
    log(&straight, 3);
    through_link.seal(BOUND).unwrap();
    straight.seal(BOUND).unwrap();
    assert_eq!((count(&link), count(&real)), (6, 6));
    through_link.close().unwrap();
    straight.close().unwrap();
    let sealed = fs::read_dir(directory.path().join("elsewhere-segments"));
    assert!(sealed.unwrap().count() > 1);
    assert_eq!(count(&link), 6);
}

#[test]
fn links_that_lead_nowhere_are_errors_that_name_them() {
    let directory = tempfile::tempdir().unwrap();
    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("nowhere"), &dangling).unwrap();
    let circle = directory.path().join("circle");
    symlink(&circle, &circle).unwrap();
    for link in [dangling, circle] {
        assert_names(options().open(&link).unwrap_err(), &link);
        assert_names(Reader::open(&link).unwrap_err(), &link);
    }
    // The hot file itself, as a link to nowhere.
    let dir: PathBuf = directory.path().join("data");
    run(&dir, 1);
    fs::rename(dir.join("journal.redb"), dir.join("moved.redb")).unwrap();
    symlink(dir.join("nowhere.redb"), dir.join("journal.redb")).unwrap();
    assert_names(options().open(&dir).unwrap_err(), &dir);
    assert_names(Reader::open(&dir).unwrap_err(), &dir);
    fs::remove_file(dir.join("journal.redb")).unwrap();
    symlink(dir.join("moved.redb"), dir.join("journal.redb")).unwrap();
    assert_eq!(count(&dir), 2);
}

fn assert_names(error: Error, path: &Path) {
    let said = error.to_string();
    assert!(said.contains(&path.display().to_string()), "{said}");
    assert!(!matches!(error, Error::TimedOut { .. }), "{said}");
}

/// Closing is not held up by any of this.
#[test]
fn a_directory_that_vanishes_under_an_open_journal_is_no_hang() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let journal = Journal::options()
        .close_timeout(Duration::from_secs(2))
        .open(&dir)
        .unwrap();
    log(&journal, 3);
    fs::remove_dir_all(&dir).unwrap();
    // The open file is still there for those who hold it: commits go on into nothing, and end.
    for _ in 0..3 {
        journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    }
    // They are told so.
    let flushed = journal.flush().wait(BOUND);
    assert!(
        matches!(flushed, Err(Error::Misplaced { .. })),
        "{flushed:?}"
    );
    assert_eq!(journal.health().committed, 6);
    let _ = journal.seal(Duration::from_secs(2));
    let closed = journal.close();
    assert!(matches!(closed, Err(Error::Misplaced { .. })), "{closed:?}");
    assert!(matches!(Reader::open(&dir), Err(Error::Missing { .. })));
}
