//! Several processes seal the same journal, and some of them are killed. Every flushed entry is
//! there, once, in order, and nothing of an unfinished segment is left.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use annals::{Inference, InferenceId, Journal, Options, Reader};
use common::{BOUND, Child, Random, command, role, say, spin};

fn options() -> Options {
    Journal::options().without_mirror().seal_bytes(1 << 16)
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "sealer" => seal_for_ever(&dir),
        "worker" => seal_on_command(&dir),
        other => panic!("no role {other}"),
    }
}

/// Logs, flushes, says the highest id that is sure, and seals; again and again.
fn seal_for_ever(dir: &Path) {
    let journal = options().open(dir).unwrap();
    loop {
        say(&log(&journal, 300).to_string());
        // Another process may be at it, and then there is nothing for us to seal.
        journal.seal(BOUND).unwrap();
    }
}

/// For each command, some flushed inferences, a segment if no one else is at it, and the last id.
fn seal_on_command(dir: &Path) {
    let journal = options().open(dir).unwrap();
    while command().is_some() {
        let id = log(&journal, 300);
        journal.seal(BOUND).unwrap();
        say(&id.to_string());
    }
    journal.close().unwrap();
}

fn log(journal: &Journal, events: u32) -> InferenceId {
    let log = |_| journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    let last = (0..events).filter_map(log).last().unwrap();
    journal.flush().wait(BOUND).unwrap();
    last
}

/// The ids of all inferences; fails if a sequence is missing or an id comes twice.
fn ids(dir: &Path) -> BTreeSet<InferenceId> {
    let reader = Reader::open(dir).unwrap();
    let mut ids = BTreeSet::new();
    let entries = reader.follow(reader.start()).unwrap();
    for (sequence, entry) in (1..).zip(entries) {
        let entry = entry.unwrap();
        assert_eq!(entry.sequence, sequence);
        if let Some(id) = entry.id() {
            assert!(ids.insert(id), "{id} comes twice");
        }
    }
    ids
}

/// Every id of a run up to the last one that was sure must be there.
fn assert_there(ids: &BTreeSet<InferenceId>, sure: InferenceId) {
    for counter in 0..=sure.counter() {
        let id = InferenceId::from_u64(sure.to_u64() - counter);
        assert!(ids.contains(&id), "{id} was flushed and is not there");
    }
}

/// Files of segments that were never finished or registered.
fn strays(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("segments")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".new-")).collect()
}

#[test]
fn a_sealer_that_is_killed_leaves_the_journal_whole() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut sure = Vec::new();
    for _ in 0..12 {
        let sealer = Child::start("sealer", dir);
        let mut last = sealer.hear();
        for _ in 0..random.below(4) {
            last = sealer.hear();
        }
        spin(Duration::from_micros(random.below(8_000)));
        if let Some(line) = sealer.kill().pop() {
            last = line.text;
        }
        sure.push(last.parse::<InferenceId>().unwrap());
        let found = ids(dir);
        sure.iter().for_each(|sure| assert_there(&found, *sure));
    }
    let journal = options().open(dir).unwrap();
    journal.seal(BOUND).unwrap();
    journal.close().unwrap();
    let found = ids(dir);
    sure.iter().for_each(|sure| assert_there(&found, *sure));
    assert_eq!(strays(dir), [""; 0]);
}

#[test]
fn two_processes_that_seal_at_once_share_the_work() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut workers = [Child::start("worker", dir), Child::start("worker", dir)];
    let mut sure = Vec::new();
    for _ in 0..15 {
        workers.iter_mut().for_each(|worker| worker.tell("go on"));
        for worker in &workers {
            sure.push(worker.hear().parse::<InferenceId>().unwrap());
        }
        // While they are at it.
        let found = ids(dir);
        sure.iter().for_each(|sure| assert_there(&found, *sure));
    }
    workers.into_iter().for_each(Child::finish);
    let found = ids(dir);
    assert_eq!(found.len(), 2 * 15 * 300);
    assert_eq!(strays(dir), [""; 0]);
}
