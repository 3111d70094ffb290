//! Statistics of random histories that two processes write together, against an oracle: repeats,
//! divergences, back-dated times, outcomes that come early, late and again, folds, seals,
//! retention, restarts and kills. Every answer on the way and at the end is the oracle's, to the
//! bit, unless it says which of its hours are cut.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a test may fail loudly, and its numbers are its own"
)]

mod common;
#[path = "oracle/history.rs"]
mod history;
mod oracle;

use std::path::Path;
use std::time::Duration;

use annals::{InferenceId, Journal, ManualClock, Options, Reader, RetentionPolicy, Timestamp};
use common::{BOUND, Child, Random, cases, command, role, say};
use history::{NOON, attach, compare, log, random_batch, random_outcome};
use oracle::Logged;

const DAY: Duration = Duration::from_secs(86_400);
/// Decisions logged at once, without those that follow up on another.
const MOST: u64 = 300;

fn options(clock: &ManualClock) -> Options {
    Journal::options()
        .without_mirror()
        .commit_interval(Duration::from_secs(3_600))
        .fold_interval(Duration::from_secs(3_600))
        .dedup_window(Duration::from_secs(60))
        .seal_bytes(1 << 16)
        .clock(clock.clone())
}

/// Logs the decisions that `seed` makes at `time`, and waits until they are on disk.
fn log_batch(journal: &Journal, seed: u64, time: i64) -> Vec<InferenceId> {
    let batch = random_batch(&mut Random::from_seed(seed), MOST, time);
    let ids = batch
        .iter()
        .map(|(decision, features)| log(journal, decision, Some(features)))
        .collect();
    journal.flush().wait(BOUND).unwrap();
    ids
}

/// Attaches what `seed` makes to the inferences of these ids.
fn judge(journal: &Journal, seed: u64, ids: impl IntoIterator<Item = InferenceId>) {
    let mut random = Random::from_seed(seed);
    for id in ids {
        attach(journal, id, random_outcome(&mut random));
    }
    journal.flush().wait(BOUND).unwrap();
}

fn retire(journal: &Journal) -> u64 {
    let maintenance = journal.maintenance().unwrap();
    let plan = maintenance
        .retention(RetentionPolicy::new().max_age_days(1))
        .plan()
        .unwrap();
    plan.apply().unwrap().segments as u64
}

/// The second process: a list of words is a command, answered when it is done.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    // A clock that begins elsewhere and jumps would count as time that has passed.
    let (max_names, now) = role.split_once('@').unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(now.parse().unwrap()));
    let max_names = max_names.parse().unwrap();
    let journal = options(&clock).max_names(max_names).open(dir).unwrap();
    while let Some(line) = command() {
        let mut words = line.split_whitespace();
        let order = words.next().unwrap();
        let mut number = || words.next().unwrap().parse::<i64>().unwrap();
        // Both of its clocks move on, as those of the other process did: a machine has one
        // monotonic clock.
        let now = Timestamp::from_micros(number());
        clock.advance(now.saturating_since(clock.now()));
        let seed = number() as u64;
        match order {
            "log" => {
                let ids = log_batch(&journal, seed, clock.now().as_micros());
                let ids: Vec<String> = ids.iter().map(InferenceId::to_string).collect();
                say(&ids.join(" "));
                continue;
            }
            "judge" => judge(&journal, seed, words.map(|id| id.parse().unwrap())),
            "fold" => _ = journal.fold(BOUND).unwrap(),
            "seal" => _ = journal.seal(BOUND).unwrap(),
            "retire" => {
                say(&retire(&journal).to_string());
                continue;
            }
            _ => unreachable!("{line}"),
        }
        say("done");
    }
    journal.close().unwrap();
}

/// Two processes of one journal, and what was given to them.
struct History<'a> {
    dir: &'a Path,
    random: Random,
    clock: ManualClock,
    here: Journal,
    there: Child,
    logged: Vec<Logged>,
    ids: Vec<InferenceId>,
    /// When each was recorded.
    recorded: Vec<i64>,
    retired: u64,
}

impl<'a> History<'a> {
    fn begin(seed: u64, dir: &'a Path) -> Self {
        let clock = ManualClock::at(Timestamp::from_micros(NOON));
        History {
            dir,
            random: Random::from_seed(seed),
            here: options(&clock).open(dir).unwrap(),
            there: Child::start(&format!("6@{NOON}"), dir),
            clock,
            logged: Vec::new(),
            ids: Vec::new(),
            recorded: Vec::new(),
            retired: 0,
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }

    fn toss(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn order(&mut self, order: &str, seed: u64, rest: &str) -> String {
        let now = self.now();
        self.there.ask(&format!("{order} {now} {seed} {rest}"))
    }

    fn step(&mut self) {
        let seed = 1 + self.random.below(1 << 40);
        match self.random.below(16) {
            0..6 => self.log(seed),
            6..9 if !self.ids.is_empty() => self.judge(seed),
            9 | 10 if self.toss() => _ = self.here.fold(BOUND).unwrap(),
            9 | 10 => _ = self.order("fold", 0, ""),
            11 if self.toss() => _ = self.here.seal(BOUND).unwrap(),
            11 => _ = self.order("seal", 0, ""),
            12 => self.restart(),
            13 => {
                let seconds = self.random.below(60_000);
                self.clock.advance(Duration::from_secs(seconds));
            }
            14 => {
                self.retired += match self.toss() {
                    true => retire(&self.here),
                    false => self.order("retire", 0, "").parse().unwrap(),
                };
            }
            _ => self.check("on the way"),
        }
    }

    fn log(&mut self, seed: u64) {
        let now = self.now();
        let ids = if self.toss() {
            log_batch(&self.here, seed, now)
        } else {
            let said = self.order("log", seed, "");
            said.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect()
        };
        let batch = random_batch(&mut Random::from_seed(seed), MOST, now);
        assert_eq!(ids.len(), batch.len());
        self.ids.extend(ids);
        self.recorded.resize(self.ids.len(), now);
        self.logged
            .extend(batch.into_iter().map(|(logged, _)| logged));
    }

    /// Attaches outcomes to decisions that are kept, of any process.
    fn judge(&mut self, seed: u64) {
        let kept = self.now() - DAY.as_micros() as i64;
        let mut judged = Vec::new();
        for _ in 0..self.random.below(150) {
            let which = self.random.below(self.ids.len() as u64) as usize;
            if self.recorded[which] > kept {
                judged.push(which);
            }
        }
        let ids: Vec<InferenceId> = judged.iter().map(|which| self.ids[*which]).collect();
        if self.toss() {
            judge(&self.here, seed, ids);
        } else {
            let ids: Vec<String> = ids.iter().map(InferenceId::to_string).collect();
            self.order("judge", seed, &ids.join(" "));
        }
        let mut random = Random::from_seed(seed);
        for which in judged {
            self.logged[which]
                .outcome
                .replace(random_outcome(&mut random));
        }
    }

    /// Ends one of the processes, or kills the other, and starts it again.
    fn restart(&mut self) {
        let max_names = ["4", "65536"][self.random.below(2) as usize];
        let role = format!("{max_names}@{}", self.now());
        match self.random.below(3) {
            0 => {
                self.here.close().unwrap();
                self.here = options(&self.clock).open(self.dir).unwrap();
            }
            1 => {
                let next = Child::start(&role, self.dir);
                std::mem::replace(&mut self.there, next).kill();
            }
            _ => {
                let next = Child::start(&role, self.dir);
                std::mem::replace(&mut self.there, next).finish();
            }
        }
    }

    fn check(&mut self, when: &str) {
        let reader = Reader::open(self.dir).unwrap();
        compare(&reader, &self.logged, &mut self.random, when);
    }
}

#[test]
fn two_processes_random_histories_give_the_oracles_answers() {
    let mut random = Random::printed();
    let mut retired = 0;
    for number in 0..cases(5, 200) {
        // Four are always the same.
        let seed = match number {
            0..4 => [6, 20, 23, 239_507_803_235][number],
            _ => 1 + random.below(1 << 40),
        };
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("data");
        let mut history = History::begin(seed, &dir);
        for step in 0..60 {
            println!("history {seed}, step {step}");
            history.step();
        }
        history.check("at the end");
        history.here.fold(BOUND).unwrap();
        history.check("folded");
        history.here.seal(BOUND).unwrap();
        history.clock.advance(2 * DAY);
        history.retired += retire(&history.here);
        history.check("retired");
        retired += history.retired;
        history.there.finish();
        history.here.close().unwrap();
    }
    assert!(retired > 0, "no history retired anything");
}
