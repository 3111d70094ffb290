//! Journals that lie: values that no journal can hold, under right checksums. Every use of one
//! gives an answer or an error: no panic, no hang, at most 64 MB of memory, and nothing outside of
//! its directory is touched. `ANNALS_LONG=1` tries some hundred times as many, `ANNALS_SEED=n` the
//! one with this number, and `ANNALS_SEEDS=n` so many from there on.
//!
//! A program of its own, because it measures the memory of the process.

#![cfg(all(target_os = "linux", not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "hostile/craft.rs"]
mod craft;
#[path = "hostile/exercise.rs"]
mod exercise;

use std::env;
use std::fs;
use std::ops::Range;
use std::panic;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use craft::{Choices, Outside};
use exercise::{Done, STEP, exercise};

/// Journals that are tried with `ANNALS_THOROUGH=1`, and half of them by default.
const SEEDS: u64 = 24;
const LONG_SEEDS: u64 = 10_000;
/// Memory that one may take, KiB.
const MOST_KIB: u64 = 64 << 10;
/// A longer wait counts as a hang.
const FOR_EVER: Duration = Duration::from_secs(90);
/// Bound of a step on a quiet machine, as one with `ANNALS_LONG=1` is, and the factor for a busy
/// one.
const MOST_TIME: Duration = Duration::from_secs(2);
const PATIENCE: u32 = 10;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn a_journal_that_lies_does_no_harm() {
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path().join("base");
    craft::base(&base);
    panic::set_hook(Box::new(|panic| {
        let panic = format!("{panic}, in {:?}", thread::current().name());
        PANICS.lock().unwrap().push(panic);
    }));
    let resident = status("VmRSS");
    let honest = one(&base, &scratch.path().join("honest"), None, resident);
    assert!(honest.is_fine(), "{honest:?}");
    let wanted = |name| env::var(name).ok().and_then(|value| value.parse().ok());
    let first = wanted("ANNALS_SEED");
    let is_long = wanted("ANNALS_LONG") == Some(1);
    let limit = MOST_TIME * if is_long { 1 } else { PATIENCE };
    let seeds = match wanted("ANNALS_SEEDS") {
        Some(many) => many,
        None if first.is_some() => 1,
        None if is_long => LONG_SEEDS,
        None if wanted("ANNALS_THOROUGH") == Some(1) => SEEDS,
        None => SEEDS / 2,
    };
    let seeds = first.unwrap_or(0)..first.unwrap_or(0) + seeds;
    if seeds.end - seeds.start > SEEDS {
        return in_processes(seeds);
    }
    let mut bad = Vec::new();
    let (mut slowest, mut largest) = (honest.longest(), 0);
    for seed in seeds {
        let found = one(&base, &scratch.path().join("lies"), Some(seed), resident);
        if found.longest().1 > slowest.1 {
            slowest = found.longest();
        }
        largest = largest.max(found.kib);
        if !found.is_fine() || found.longest().1 > limit {
            println!("seed {seed}: {found:#?}");
            bad.push(seed);
        }
    }
    println!(
        "slowest {slowest:?} of {limit:?}, honest {:?}; {largest} KiB at most",
        honest.longest()
    );
    let _ = panic::take_hook();
    assert!(bad.is_empty(), "seeds {bad:?}");
}

/// Tries these in one process after the other: what the allocator keeps grows, and would hide what
/// is taken.
fn in_processes(seeds: Range<u64>) {
    let _ = panic::take_hook();
    let mut bad = Vec::new();
    for first in seeds.clone().step_by(usize::try_from(SEEDS).unwrap()) {
        let many = SEEDS.min(seeds.end - first);
        let status = Command::new(env::current_exe().unwrap())
            .args(["a_journal_that_lies", "--nocapture"])
            .env("ANNALS_SEED", first.to_string())
            .env("ANNALS_SEEDS", many.to_string())
            .status();
        if !status.unwrap().success() {
            bad.push(first);
        }
    }
    assert!(bad.is_empty(), "from the seeds {bad:?} on");
}

/// Result of one journal.
#[derive(Debug)]
#[allow(dead_code, reason = "shown")]
struct Found {
    lies: Vec<String>,
    panics: Vec<String>,
    /// The step that did not end.
    hung: Option<String>,
    done: Vec<Done>,
    /// Memory that the process had more than before all of them.
    kib: u64,
    /// Files outside, if they have changed.
    outside: Option<Vec<String>>,
}

impl Found {
    fn is_fine(&self) -> bool {
        self.panics.is_empty()
            && self.hung.is_none()
            && self.outside.is_none()
            && self.kib <= MOST_KIB
    }

    fn longest(&self) -> Done {
        let longest = self.done.iter().max_by_key(|done| done.1);
        longest.copied().unwrap_or_default()
    }
}

/// Copies the base, makes the copy lie, and does everything with it. `resident` is what the process
/// had before.
fn one(base: &Path, place: &Path, seed: Option<u64>, resident: u64) -> Found {
    let _ = fs::remove_dir_all(place);
    let dir = place.join("data");
    craft::copy(base, &dir);
    let outside = Outside::make(place.join("outside"));
    let lies = seed.map(|seed| {
        let first = usize::try_from(seed).ok();
        craft::lie(&dir, &outside, first, &mut Choices::seeded(seed))
    });
    let before = outside.listing();
    let spare = place.join("spare");
    fs::create_dir(&spare).unwrap();
    PANICS.lock().unwrap().clear();
    // The greatest size of the process begins anew.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (send, done) = mpsc::channel();
    let worker = thread::spawn(move || send.send(exercise(&dir, &spare)));
    let done = done.recv_timeout(FOR_EVER);
    let hung = done.is_err().then(|| STEP.lock().unwrap().to_string());
    if hung.is_none() {
        let _ = worker.join();
    }
    let kib = status("VmHWM").saturating_sub(resident);
    let after = outside.listing();
    Found {
        lies: lies.unwrap_or_default(),
        panics: std::mem::take(&mut *PANICS.lock().unwrap()),
        hung,
        done: done.unwrap_or_default(),
        kib,
        outside: (before != after).then_some(after),
    }
}

/// The system's figures for this process, in KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
