//! The power fails at every kind of moment, also while a journal recovers from that, and while
//! segments are sealed and checkpoints saved.

use std::env;
use std::ops::Range;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::disk::{Honesty, Image, Log, Recorder};
use super::ledger::{Ledger, Rigour};
use super::story::{Story, Teller, Waits};
use super::{Random, in_time, patience, scale, scratch, stride};
use crate::Error;
use crate::fs::failpoint::install;

/// A recorded story, and the promises with their times.
#[derive(Clone)]
struct Recorded {
    log: Arc<Log>,
    promises: Arc<Vec<Ledger>>,
    /// All that was ever said.
    told: Arc<Ledger>,
}

fn record(waits: Waits) -> Recorded {
    let story = Story {
        commits: 60,
        save_every: 9,
        seal_every: 11,
        reopen_every: 16,
        burst_every: 30,
        waits,
    };
    let directory = scratch();
    let root = directory.path();
    let recorder = Recorder::new(root);
    let installed = install(root, recorder.clone());
    let promises = Mutex::new(Vec::new());
    let mut promised = |ledger: &Ledger| {
        let mut promises = promises.lock().unwrap();
        recorder.promise(promises.len());
        promises.push(ledger.clone());
    };
    let dir = root.join("data");
    let mut teller = Teller::new(&dir, &mut promised);
    teller.tell(story);
    let told = teller.ledger;
    drop(installed);
    assert!(told.errors.is_empty(), "{:?}", told.errors);
    Recorded {
        log: Arc::new(recorder.log()),
        promises: Arc::new(promises.into_inner().unwrap()),
        told: Arc::new(told),
    }
}

impl Recorded {
    /// Entries that must be there after a cut, and those that may be.
    fn ledger(&self, promise: Option<usize>, honesty: Honesty) -> Ledger {
        let promised = match (promise, honesty) {
            (Some(number), Honesty::Honest) => self.promises[number].clone(),
            // The promises of a disk that lies are void.
            _ => Ledger::default(),
        };
        Ledger::after_a_cut(&self.told, promised)
    }

    fn check(&self, image: &Image, honesty: Honesty, random: &mut Random) {
        let directory = scratch();
        let root = directory.path();
        image.write(root);
        let ledger = self.ledger(image.promise, honesty);
        // Cut once more while it is opened.
        if honesty == Honesty::Honest && random.chance(30) {
            let recorder = Recorder::new(root);
            let installed = install(root, recorder.clone());
            let opened = super::ledger::options().open(root.join("data"));
            let opened = opened.unwrap_or_else(|error| panic!("{}: {error:?}", image.what));
            let _ = opened.reader().unwrap();
            if random.chance(50) {
                let _ = opened.seal(super::HANG);
            }
            opened.close().unwrap();
            drop(installed);
            let log = recorder.log();
            let again = log.cut(random.below(log.len() + 1), honesty, random);
            let what = format!("{}, then {}", image.what, again.what);
            let directory = scratch();
            again.write(directory.path());
            self.check_once(&ledger, directory.path(), honesty, &what);
        } else {
            self.check_once(&ledger, root, honesty, &image.what);
        }
    }

    fn check_once(&self, ledger: &Ledger, root: &std::path::Path, honesty: Honesty, what: &str) {
        let rigour = match honesty {
            Honesty::Honest => Rigour::Full,
            Honesty::Liar => Rigour::Truth,
        };
        match (ledger.check(&root.join("data"), rigour, what), honesty) {
            (Ok(()), _) => {}
            (Err(error @ Error::TimedOut { .. }), _) => panic!("{what}: {error:?}"),
            // Entries that a disk has forgotten cannot be read, but the loss is reported.
            (Err(_), Honesty::Liar) => {}
            (Err(error), _) => panic!("{what}: {error:?}"),
        }
    }
}

fn cut(images: Range<usize>, honesty: Honesty, waits: Waits) {
    let mut random = Random::new();
    let recorded = record(waits);
    let steps = recorded.log.steps();
    println!(
        "{} deeds, {} promises, {} steps",
        recorded.log.len(),
        recorded.promises.len(),
        steps.len()
    );
    let began = Instant::now();
    let Range { start, end } = images;
    let mut number = start;
    while number < end && began.elapsed() < patience() {
        if honesty == Honesty::Liar {
            println!("{IMAGE}{number}");
        }
        // The steps once, then anywhere.
        let at = match steps.get(number * stride()) {
            Some(at) => *at,
            None => random.below(recorded.log.len() + 1),
        };
        let recorded = recorded.clone();
        let mut fork = Random::from(&mut random);
        in_time(&format!("image {number}"), move || {
            let image = recorded.log.cut(at, honesty, &mut fork);
            recorded.check(&image, honesty, &mut fork);
        });
        number += 1;
    }
    println!(
        "{} images, {honesty:?}, {:?}",
        number - start,
        began.elapsed()
    );
}

/// Which images the other process begins with and ends before.
const IMAGES: &str = "ANNALS_TEST_IMAGES";
/// The prefix that it prints before each.
const IMAGE: &str = "image ";
/// The message of the runtime when a panic meets another one that unwinds.
const ENDED: &str = "panic in a destructor during cleanup";

/// Cuts in another process: over pages that do not belong together the storage engine may panic,
/// and once more while that unwinds, which ends the process. Then it begins again behind that
/// image.
fn cut_elsewhere(images: usize) {
    let mut random = Random::new();
    let began = Instant::now();
    let (mut next, mut ended) = (0, 0);
    while next < images && began.elapsed() < patience() {
        let mut other = Command::new(env::current_exe().unwrap());
        other.args([
            "--exact",
            "--nocapture",
            "faults::power::what_the_other_process_cuts",
        ]);
        other.env(IMAGES, format!("{next} {images}"));
        other.env("ANNALS_TEST_SEED", random.below(usize::MAX).to_string());
        let output = other.output().unwrap();
        if output.status.success() {
            break;
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(ENDED), "{said}{complaint}");
        let mut numbers = said.lines().filter_map(|line| line.strip_prefix(IMAGE));
        let last: usize = numbers.next_back().unwrap().parse().unwrap();
        next = last + 1;
        ended += 1;
    }
    println!("{ended} of {images} images ended the process");
    assert!(ended <= 2 + images / 500, "{ended} of {images}");
}

/// Does nothing in the test run proper.
#[test]
fn what_the_other_process_cuts() {
    let Ok(images) = env::var(IMAGES) else { return };
    let (start, end) = images.split_once(' ').unwrap();
    let images = start.parse().unwrap()..end.parse().unwrap();
    cut(images, Honesty::Liar, Waits::Flush);
}

#[test]
fn a_power_cut_at_any_moment_costs_nothing_that_was_promised() {
    cut(0..scale(150, 1_000, 50_000), Honesty::Honest, Waits::Flush);
}

#[test]
fn a_power_cut_at_any_moment_costs_nothing_that_was_synced() {
    cut(0..scale(100, 300, 50_000), Honesty::Honest, Waits::Sync);
}

#[test]
fn a_disk_that_lies_is_found_out_or_does_no_harm() {
    cut_elsewhere(scale(50, 300, 10_000));
}
