//! The text files, with every call of ours to the disk refused once, and the power cut at every
//! kind of moment. Afterwards each entry of the journal has its line, once, in order.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::disk::{Honesty, Recorder};
use super::ledger;
use super::{HANG, Random, patience, scale, scratch};
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::logs::{LogKind, Mirror, Rotation, recent_lines};
use crate::{Error, Inference, Journal, Options, Reader};

/// Decisions between two clean-ups.
const BATCH: usize = 8;
const BATCHES: usize = 6;

fn options() -> Options {
    // A file holds about five lines, so that each batch begins, compresses and cuts some.
    let mirror = Mirror::new().rotation(Rotation::Size(600)).compress_old();
    ledger::options().mirror(mirror).without_folding()
}

/// The result for the journal; failed work on the text files is tried again.
fn tell(dir: &Path) -> crate::Result<()> {
    let journal = options().open(dir)?;
    for batch in 0..BATCHES {
        for number in 0..BATCH {
            let symbol = format!("n{}", batch * BATCH + number);
            assert!(journal.log(Inference::new("m", &symbol, "BUY")).is_some());
        }
        journal.flush().wait(HANG)?;
        // An error goes to the caller that asked, and is met again.
        let _ = journal.clean_up_logs(HANG);
    }
    journal.close()
}

/// The names in the journal, and those in the lines.
fn compare(dir: &Path, what: &str) {
    let reader = Reader::open(dir).unwrap();
    let newest = reader.newest(10_000).map(Result::unwrap);
    let mut entries: Vec<String> = newest
        .filter_map(|entry| {
            let line = entry.to_string();
            name_in(&line)
        })
        .collect();
    entries.reverse();
    let lines = recent_lines(dir.join("logs"), LogKind::Inferences, 10_000).unwrap();
    let lines: Vec<String> = lines.iter().filter_map(|line| name_in(line)).collect();
    assert_eq!(lines, entries, "{what}");
}

fn name_in(line: &str) -> Option<String> {
    let is_name = |word: &&str| {
        let number = word.strip_prefix('n');
        number.is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(is_name).map(str::to_owned)
}

/// Refuses call number `at` below the folder of the text files.
struct Refusing {
    at: usize,
    error: i32,
    calls: AtomicUsize,
    hit: Mutex<String>,
}

impl Failpoint for Refusing {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        if !path.iter().any(|part| part == "logs") {
            return Ok(());
        }
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            let mut hit = format!("{call:?} of {}", path.display());
            hit.truncate(120);
            *self.hit.lock().unwrap() = hit;
            return Err(io::Error::from_raw_os_error(self.error));
        }
        Ok(())
    }

    /// Failed work is tried again soon.
    fn lock_timeout(&self) -> Option<Duration> {
        Some(Duration::from_millis(2))
    }
}

fn refuse_each(error: i32) {
    let mut at = 1;
    let began = Instant::now();
    while began.elapsed() < patience() {
        let directory = scratch();
        let dir = directory.path().join("data");
        let refusing = Arc::new(Refusing {
            at,
            error,
            calls: AtomicUsize::new(0),
            hit: Mutex::default(),
        });
        let installed = install(&dir.join("logs"), refusing.clone());
        let told = tell(&dir);
        drop(installed);
        let hit = refusing.hit.lock().unwrap().clone();
        if hit.is_empty() {
            told.unwrap();
            break;
        }
        let what = format!("error {error} at {at}: {hit}");
        told.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        // The next run corrects the last failure.
        options().open(&dir).unwrap().close().unwrap();
        compare(&dir, &what);
        at += scale(18, 3, 1);
    }
    println!("error {error}: {} calls, {:?}", at, began.elapsed());
    assert!(at > 50, "{at} calls");
}

#[test]
fn whatever_is_refused_once_leaves_each_line_once() {
    // A broken device, no room, a limit of the file's size, no permission.
    for error in [libc::EIO, libc::ENOSPC, libc::EFBIG, libc::EACCES] {
        refuse_each(error);
    }
}

#[test]
fn a_power_cut_leaves_each_line_once() {
    let mut random = Random::new();
    let directory = scratch();
    let recorder = Recorder::new(directory.path());
    let installed = install(directory.path(), recorder.clone());
    tell(&directory.path().join("data")).unwrap();
    drop(installed);
    let log = recorder.log();
    let steps = log.steps();
    println!("{} deeds, {} steps", log.len(), steps.len());
    let (mut opened, began) = (0, Instant::now());
    for number in 0..scale(40, 200, 10_000) {
        if began.elapsed() > patience() {
            break;
        }
        // Anywhere, and at every step where names change.
        let at = match steps.get(number * scale(20, 4, 1)) {
            Some(at) => *at,
            None => random.below(log.len() + 1),
        };
        let image = log.cut(at, Honesty::Honest, &mut random);
        let directory = scratch();
        image.write(directory.path());
        let dir = directory.path().join("data");
        match options().open(&dir) {
            Ok(journal) => journal.close().unwrap(),
            Err(error) => panic!("{}: {error:?}", image.what),
        }
        compare(&dir, &image.what);
        opened += 1;
    }
    println!("{opened} images, {:?}", began.elapsed());
}

/// Refuses everything after call number `at` of a clean-up, until it is told to stop.
struct Closed(AtomicUsize);

impl Failpoint for Closed {
    fn before(&self, _path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let refuses = self.0.load(Ordering::SeqCst) == 1 && matches!(call, IoCall::Write { .. });
        if refuses {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }

    fn lock_timeout(&self) -> Option<Duration> {
        Some(Duration::from_millis(2))
    }
}

/// The round of a request for a clean-up fails: nothing is held on to with all files closed.
#[test]
fn a_clean_up_that_fails_lets_go_of_everything() {
    let directory = scratch();
    let dir = directory.path().join("data");
    let closed = Arc::new(Closed(AtomicUsize::new(0)));
    let installed = install(&dir.join("logs"), closed.clone());
    let journal: Journal = options().open(&dir).unwrap();
    let log = |number: usize| {
        let symbol = format!("n{number}");
        assert!(journal.log(Inference::new("m", &symbol, "BUY")).is_some());
        journal.flush().wait(HANG).unwrap();
    };
    log(0);
    journal.clean_up_logs(HANG).unwrap();
    closed.0.store(1, Ordering::SeqCst);
    log(1);
    let refused = journal.clean_up_logs(HANG);
    assert!(
        matches!(refused, Err(Error::Io { .. }) | Ok(_)),
        "{refused:?}"
    );
    let began = Instant::now();
    while journal.health().mirror.unwrap().fault.is_none() {
        assert!(began.elapsed() < HANG, "nothing says so");
        std::thread::sleep(Duration::from_millis(1));
    }
    closed.0.store(0, Ordering::SeqCst);
    log(2);
    journal.close().unwrap();
    drop(installed);
    compare(&dir, "after a clean-up that failed");
}
