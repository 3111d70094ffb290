//! Everything at once for a while: two processes of four loops each, with text files, segments,
//! checkpoints, outcomes and statistics. They retire counted entries, while processes are stopped
//! and killed and the disk is full now and then. A follower that counts is held up now and then:
//! entries behind its cursor stay, and those before it go all the same. At the end every event is
//! explained, and nothing has grown that should not. It takes 12 seconds, 60 with
//! `ANNALS_THOROUGH=1`, an hour with `ANNALS_LONG=1`, or as many seconds as `ANNALS_LONG_SECONDS`
//! says.

#![cfg(all(target_os = "linux", not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::{GapReason, RunState};
use annals::logs::{Mirror, Rotation};
use annals::{
    Content, Entry, Error, Follow, Inference, Journal, Maintenance, Mode, Options, Outcome, Reader,
    Registry, RetentionPolicy,
};
use common::{BOUND, Child, Random, cases, command, role, say};
use rustix::process::{Resource, Rlimit, prlimit};
use support::assert_books_close;

/// Loops in each process, and how often each decides.
const LOOPS: usize = 4;
const PACE: Duration = Duration::from_millis(1);
/// Size of segments and hot file; further entries are retired as far as they have been counted.
const KEPT_BYTES: u64 = 4 << 20;
/// Uncounted segments at which counting continues, when it is held back.
const BACKLOG: u64 = 8;
/// For how many rounds it keeps up then.
const ROUNDS: usize = 5;
const COUNTED: &str = "counted";
/// Growth of memory from the first third to the last: allocators keep what they had.
const GROWTH_KIB: u64 = 16 << 10;
/// Files that the process has open which writes the text files: a lock, and each of four files
/// twice. Another one takes over when it is held up, so they do not count as growth.
const TEXT_FILES: usize = 9;
/// Segments that a process keeps open.
const SEGMENTS: usize = 8;
/// Which part of the time caches have to fill, with pages, names and open segments, before memory
/// and files are judged.
const WARM_UP: u32 = 4;

fn options() -> Options {
    let mirror = Mirror::new()
        .rotation(Rotation::Size(4 << 20))
        .retention(RetentionPolicy::new().max_files(3));
    Journal::options()
        .mirror(mirror)
        .queue_capacity(1_024)
        .commit_interval(Duration::from_millis(50))
        .seal_bytes(1 << 19)
        .retention(
            RetentionPolicy::new()
                .max_bytes(KEPT_BYTES)
                .keep_after_cursor(COUNTED),
        )
        .dedup_capacity(4_096)
        .close_timeout(BOUND)
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "worker" => work_until_told(&dir),
        "victim" => loop_and_flush(&dir),
        other => panic!("no role {other}"),
    }
}

/// Logs and flushes until it is killed; says how many are sure.
fn loop_and_flush(dir: &Path) {
    let journal = options().open(dir).unwrap();
    for sure in 1_u64.. {
        journal.log(Inference::new("victim", "ETH/USDT", "BUY"));
        match journal.flush().wait(BOUND) {
            Ok(()) | Err(Error::NoRoom { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        if sure == 20 {
            say("at work");
        }
    }
}

fn work_until_told(dir: &Path) {
    let journal = options().open(dir).unwrap();
    let done = AtomicBool::new(false);
    let accepted = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..LOOPS {
            let (journal, done, accepted) = (&journal, &done, &accepted);
            scope.spawn(move || decide(journal, number, done, accepted));
        }
        scope.spawn(|| train(&journal, &done));
        scope.spawn(|| ask(&journal, &done));
        say("at work");
        assert_eq!(command().as_deref(), Some("end"));
        done.store(true, Ordering::Relaxed);
    });
    journal.flush().wait(BOUND).unwrap();
    let health = journal.health();
    assert_books_close(&health);
    assert_eq!((health.queued, health.unknown), (0, 0), "{health:?}");
    journal.close().unwrap();
    let health = journal.health();
    assert_books_close(&health);
    let (run, full) = (health.run, health.dropped.queue_full);
    let accepted = accepted.into_inner();
    say(&format!("{run} {} {full} {accepted}", health.committed));
}

/// An inference loop: decides, attaches what turned out, and repeats itself now and then.
fn decide(journal: &Journal, number: usize, done: &AtomicBool, accepted: &AtomicU64) {
    let model = format!("model_{number}");
    let recorder = journal
        .recorder(&model, "ETH/USDT")
        .actions(["BUY", "SELL", "HOLD"]);
    let recorder = recorder.build().unwrap();
    let mut before = None;
    let mut step: u16 = 0;
    while !done.load(Ordering::Relaxed) {
        step = step.wrapping_add(1);
        let features = [f32::from(step / 2)];
        let timer = recorder.start();
        let id = recorder.log(timer, usize::from(step % 3), &[0.5, 0.25, 0.25], &features);
        accepted.fetch_add(u64::from(id.is_some()), Ordering::Relaxed);
        if let Some(before) = before.filter(|_| step.is_multiple_of(8)) {
            let attached = journal.attach_outcome(before, Outcome::new().reward(f64::from(step)));
            accepted.fetch_add(u64::from(attached), Ordering::Relaxed);
        }
        before = id;
        thread::sleep(PACE);
    }
}

/// A trainer: saves, follows the best, and keeps few.
fn train(journal: &Journal, done: &AtomicBool) {
    let registry = journal.registry().unwrap();
    while !done.load(Ordering::Relaxed) {
        if let Err(error) = save_and_clean_up(&registry) {
            assert!(is_of_this_life(&error), "{error:?}");
        }
        thread::sleep(50 * PACE);
    }
}

/// The disk is full now and then, and another process cleans up as well.
fn is_of_this_life(error: &Error) -> bool {
    let full = matches!(
        error,
        Error::NoRoom { .. }
            | Error::Io { .. }
            | Error::NotSaved { .. }
            | Error::Unconfirmed { .. }
    );
    let deleted = matches!(
        error,
        Error::PlanOutdated { .. } | Error::Deleted { .. } | Error::WeightsMissing { .. }
    );
    full || deleted
}

fn save_and_clean_up(registry: &Registry) -> annals::Result<()> {
    registry.set_monitor("model_0", "loss", Mode::Min)?;
    let saving = registry.checkpoint("model_0").metric("loss", 0.5);
    let saved = saving.save([7; 4_096])?;
    registry.load(saved.id())?.into_bytes()?;
    let policy = RetentionPolicy::new()
        .max_count(5)
        .keep_best(2, "loss", Mode::Min);
    registry
        .retention(policy)
        .model("model_0")
        .plan()?
        .apply()?;
    Ok(())
}

/// Someone at a dashboard.
fn ask(journal: &Journal, done: &AtomicBool) {
    let reader = journal.reader().unwrap();
    while !done.load(Ordering::Relaxed) {
        for record in reader.newest(10) {
            assert!(
                matches!(record, Ok(_) | Err(Error::Retired { .. })),
                "{record:?}"
            );
        }
        let stats = reader.stats("model_1").last(Duration::from_secs(60)).get();
        assert!(stats.is_ok(), "{stats:?}");
        thread::sleep(100 * PACE);
    }
}

/// A process to which writing beyond a limit is an error and no signal, as on a full disk.
fn start(role: &str, dir: &Path) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    shell.arg(env::current_exe().unwrap());
    let child = Child::start_with(shell, role, dir);
    assert_eq!(child.hear(), "at work");
    child
}

/// For a while, no file of the child's may grow beyond 64 KiB.
fn starve(child: &Child, time: Duration) {
    let limit = |bytes| {
        let wanted = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(child.pid()), Resource::Fsize, wanted).unwrap();
    };
    limit(Some(64 << 10));
    thread::sleep(time);
    limit(None);
}

fn stop(child: &Child, time: Duration) {
    child.stop();
    thread::sleep(time);
    child.go_on();
}

/// Resident memory in KiB, and open files other than segments and text files. Of those there may
/// be as many again for a moment, while one is exchanged for another.
fn footprint(child: &Child) -> (u64, u64) {
    let process = format!("/proc/{}", child.number());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let memory = line.unwrap().split_whitespace().nth(1).unwrap();
    let files = fs::read_dir(format!("{process}/fd")).unwrap();
    // One may be closed while they are looked at.
    let mut files: Vec<PathBuf> = files
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .collect();
    for (folder, most) in [("segments", SEGMENTS), ("logs", TEXT_FILES)] {
        let before = files.len();
        files.retain(|file| file.parent().is_none_or(|above| !above.ends_with(folder)));
        let within = before - files.len();
        assert!(within <= 2 * most, "{within} files are open in {folder}");
    }
    (memory.parse().unwrap(), files.len() as u64)
}

/// Medians of memory and of open files: a burst, or a disk that is full for a moment, makes either
/// large for a moment.
fn middle(seen: &[(u64, u64)]) -> (u64, u64) {
    let of = |mut numbers: Vec<u64>| {
        numbers.sort_unstable();
        numbers[numbers.len() / 2]
    };
    let memory = of(seen.iter().map(|(memory, _)| *memory).collect());
    let files = of(seen.iter().map(|(_, files)| *files).collect());
    (memory, files)
}

#[test]
fn everything_at_once_leaves_every_event_explained_and_nothing_grown() {
    let mut random = Random::printed();
    let whole = whole();
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut workers = [start("worker", dir), start("worker", dir)];
    let mut counting = Counting::new(dir);
    let mut seen = [Vec::new(), Vec::new()];
    let mut kills = 0;
    let began = Instant::now();
    while began.elapsed() < whole || counting.backlogs == 0 {
        assert!(began.elapsed() < whole + 4 * BOUND, "there is no backlog");
        let victim = start("victim", dir);
        let which = usize::try_from(random.below(2)).unwrap();
        let time = Duration::from_millis(50 + random.below(500));
        match random.below(4) {
            0 => stop(&workers[which], time),
            1 => stop(&victim, time),
            2 => starve(&workers[which], time),
            _ => thread::sleep(time),
        }
        victim.kill();
        kills += 1;
        thread::sleep(Duration::from_millis(500));
        counting.round();
        if began.elapsed() > whole / WARM_UP {
            for (worker, seen) in workers.iter().zip(&mut seen) {
                seen.push(footprint(worker));
            }
        }
    }
    let told: Vec<Vec<u64>> = workers
        .iter_mut()
        .map(|worker| {
            let said = worker.ask("end");
            said.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        })
        .collect();
    workers.into_iter().for_each(Child::finish);
    // Buries the last of the dead.
    options().open(dir).unwrap().close().unwrap();
    counting.count();
    counting.check(dir, &told, kills);
    for seen in &seen {
        let third = seen.len() / 3;
        let (before, after) = (middle(&seen[..third]), middle(&seen[2 * third..]));
        println!("memory and files: {before:?} at first, {after:?} at last");
        assert!(after.0 <= before.0 + GROWTH_KIB, "memory grows: {seen:?}");
        assert!(after.1 <= before.1 + 8, "open files grow: {seen:?}");
    }
}

fn whole() -> Duration {
    let wanted = env::var("ANNALS_LONG_SECONDS").ok();
    let long = wanted.and_then(|wanted| wanted.parse().ok());
    let is_thorough = env::var_os("ANNALS_THOROUGH").is_some_and(|value| value == "1");
    let usual = if is_thorough { 60 } else { 12 };
    Duration::from_secs(cases(usual, long.unwrap_or(3_600)) as u64)
}

/// Content of the journal, by run, counted before it may be retired.
struct Counting {
    maintenance: Maintenance,
    follow: Follow,
    next: u64,
    committed: BTreeMap<u64, u64>,
    calls: BTreeMap<u64, u64>,
    /// Dropped events that gaps stand for.
    lost: BTreeMap<u64, u64>,
    deaths: usize,
    pace: Pace,
    /// Number of times that it was behind.
    backlogs: usize,
}

/// How counting goes on.
enum Pace {
    /// It keeps up, for so many rounds.
    KeepsUp(usize),
    /// It counts nothing.
    HeldBack,
    /// Half of the backlog is counted, and fewer segments than these were retired then.
    HalfWay { retired: u64, since: Instant },
}

impl Counting {
    fn new(dir: &Path) -> Counting {
        let reader = Reader::open(dir).unwrap();
        Counting {
            maintenance: Maintenance::open(dir).unwrap(),
            follow: reader.follow(reader.start()).unwrap(),
            next: 1,
            committed: BTreeMap::new(),
            calls: BTreeMap::new(),
            lost: BTreeMap::new(),
            deaths: 0,
            pace: Pace::HeldBack,
            backlogs: 0,
        }
    }

    /// Counts, or does not keep up.
    fn round(&mut self) {
        let retired = self.maintenance.retired().unwrap();
        assert!(retired.entries < self.next, "what nobody had counted went");
        self.pace = match self.pace {
            Pace::KeepsUp(0) => Pace::HeldBack,
            Pace::KeepsUp(rounds) => {
                self.count();
                Pace::KeepsUp(rounds - 1)
            }
            Pace::HeldBack => {
                let usage = self.maintenance.usage().unwrap();
                let bytes = usage.hot_bytes + usage.segment_bytes;
                if usage.segments < BACKLOG || bytes < KEPT_BYTES + KEPT_BYTES / 4 {
                    return;
                }
                let end = retired.entries + usage.entries;
                self.count_until(self.next + (end - self.next) / 2);
                Pace::HalfWay {
                    retired: retired.segments,
                    since: Instant::now(),
                }
            }
            Pace::HalfWay {
                retired: before, ..
            } if retired.segments > before => {
                self.backlogs += 1;
                self.count();
                Pace::KeepsUp(ROUNDS)
            }
            Pace::HalfWay { since, .. } => {
                assert!(since.elapsed() < BOUND, "what was counted stays");
                return;
            }
        };
    }

    /// Counts what has been committed, and lets it go.
    fn count(&mut self) {
        self.count_until(u64::MAX);
    }

    /// Counts what has been committed up to a sequence, and lets it go.
    fn count_until(&mut self, end: u64) {
        while self.next < end
            && let Some(entry) = self.follow.next()
        {
            self.entry(&entry.unwrap());
        }
        let place = self.follow.cursor();
        self.maintenance.set_cursor(COUNTED, place).unwrap();
    }

    fn entry(&mut self, entry: &Entry) {
        assert_eq!(entry.sequence, self.next);
        self.next += 1;
        let (run, is_call) = match &entry.content {
            Content::Inference(record) => (record.id.run(), true),
            Content::Repeat(repeat) => (repeat.id.run(), true),
            Content::Outcome(outcome) => (outcome.run, true),
            Content::SystemEvent(event) => (event.run, false),
            Content::CheckpointEvent(event) => (event.run, false),
            Content::Gap(gap) if gap.reason == GapReason::Died => {
                self.deaths += 1;
                return;
            }
            Content::Gap(gap) => {
                *self.lost.entry(gap.run.get().into()).or_default() += gap.count.unwrap();
                return;
            }
            other => panic!("{other:?}"),
        };
        let run = u64::from(run.get());
        *self.committed.entry(run).or_default() += 1;
        *self.calls.entry(run).or_default() += u64::from(is_call);
    }

    /// The count of each run is that of its row and of its process; entries that are gone were
    /// retired.
    fn check(&self, dir: &Path, told: &[Vec<u64>], kills: usize) {
        assert_eq!(self.deaths, kills);
        let reader = Reader::open(dir).unwrap();
        for run in reader.runs() {
            let run = run.unwrap();
            let found = self.committed.get(&run.id.get().into()).copied();
            assert_eq!(run.committed, found.unwrap_or(0), "{run:?}");
            assert!(!matches!(run.state, RunState::Alive), "{run:?}");
        }
        let retired = self.maintenance.retired().unwrap();
        let kept = reader.follow(reader.start()).unwrap().count() as u64;
        println!(
            "{kept} entries kept, {} retired in {} segments, {} backlogs",
            retired.entries, retired.segments, self.backlogs
        );
        assert!(retired.segments > 0);
        assert_eq!(retired.entries + kept, self.next - 1);
        let verified = self.maintenance.verify();
        assert!(verified.is_whole(), "{:?}", verified.defects);
        for told in told {
            let [run, said, full, accepted] = told[..] else {
                panic!("{told:?}");
            };
            println!("run {run}: {said} committed, {full} dropped, {kills} killed beside it");
            assert_eq!(self.committed[&run], said, "run {run}");
            assert_eq!(self.calls[&run], accepted, "run {run}");
            assert_eq!(self.lost.get(&run).copied().unwrap_or(0), full, "run {run}");
        }
    }
}
