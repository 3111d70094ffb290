//! Two writers, a sealer and a reader on one journal, of which one, some or all are killed at the
//! same random moment. The survivors continue, flushed entries are there once, and each dead run
//! ends in one gap.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use annals::entry::{GapReason, RunState};
use annals::health::State;
use annals::{Entry, Inference, InferenceId, Journal, Options, Reader, RunId};
use common::{BOUND, Child, HAS_LANES, Random, cases, role, say, spin};

/// The processes on the journal: two writers, a sealer, a reader.
const ROLES: [&str; 4] = ["writer", "writer", "sealer", "reader"];

fn options() -> Options {
    Journal::options().without_mirror().seal_bytes(1 << 16)
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "writer" => work(&dir, |_| ()),
        "sealer" => work(&dir, |journal| {
            journal.seal(BOUND).unwrap();
        }),
        "reader" => read(&dir),
        other => panic!("no role {other}"),
    }
}

/// Logs, flushes, says the highest id that is sure; again and again.
fn work(dir: &Path, then: impl Fn(&Journal)) {
    let journal = options().open(dir).unwrap();
    loop {
        let log = |_| journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
        let last = (0..60).filter_map(log).last().unwrap();
        journal.flush().wait(BOUND).unwrap();
        assert_eq!(journal.health().state, State::Running);
        say(&last.to_string());
        then(&journal);
    }
}

/// Follows and says how far it has come; fails where an entry is missing.
fn read(dir: &Path) {
    let reader = Reader::open(dir).unwrap();
    let mut follow = reader.follow(reader.start()).unwrap();
    let mut seen = 0;
    loop {
        for entry in follow.by_ref() {
            seen += 1;
            assert_eq!(entry.unwrap().sequence, seen);
        }
        say(&seen.to_string());
        follow.wait(Duration::from_millis(5)).unwrap();
    }
}

/// A process of the crowd, and the highest id that it is sure of.
struct Member {
    role: &'static str,
    process: Child,
    sure: Option<InferenceId>,
}

impl Member {
    fn start(role: &'static str, dir: &Path) -> Member {
        let process = Child::start(role, dir);
        let mut member = Member {
            role,
            process,
            sure: None,
        };
        member.hear();
        member
    }

    /// Hears one more word: it works.
    fn hear(&mut self) {
        let said = self.process.hear();
        self.believe(&said);
    }

    fn believe(&mut self, said: &str) {
        if self.role != "reader" {
            self.sure = Some(said.parse().unwrap());
        }
    }

    /// Kills it, and says what it was sure of.
    fn kill(self) -> Option<InferenceId> {
        let Member {
            role,
            process,
            sure,
        } = self;
        let last = process.kill().pop();
        match last {
            Some(line) if role != "reader" => Some(line.text.parse().unwrap()),
            _ => sure,
        }
    }
}

/// Everything in the journal; fails if a sequence is missing or an id comes twice.
struct Found {
    ids: BTreeSet<InferenceId>,
    /// Gaps of runs that died.
    deaths: BTreeMap<RunId, usize>,
}

impl Found {
    fn of(reader: &Reader) -> Found {
        let mut found = Found {
            ids: BTreeSet::new(),
            deaths: BTreeMap::new(),
        };
        let entries = reader.follow(reader.start()).unwrap();
        for (sequence, entry) in (1..).zip(entries) {
            let entry: Entry = entry.unwrap();
            assert_eq!(entry.sequence, sequence);
            if let Some(id) = entry.id() {
                assert!(found.ids.insert(id), "{id} comes twice");
            }
        }
        for gap in reader.gaps().map(Result::unwrap) {
            assert_eq!(
                (gap.reason, gap.count.is_some()),
                (GapReason::Died, HAS_LANES)
            );
            *found.deaths.entry(gap.run).or_default() += 1;
        }
        found
    }

    fn assert_holds(&self, sure: InferenceId) {
        let first = sure.to_u64() - sure.counter();
        for id in (first..=sure.to_u64()).map(InferenceId::from_u64) {
            assert!(self.ids.contains(&id), "{id} was flushed, up to {sure}");
        }
    }
}

/// How many of the crowd die together in this round: one, some, all, in turn.
fn victims(round: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ROLES.len()).collect();
    for place in (1..order.len()).rev() {
        let other = usize::try_from(random.below(place as u64 + 1)).unwrap();
        order.swap(place, other);
    }
    let some = 2 + usize::try_from(random.below(2)).unwrap();
    order.truncate([1, some, ROLES.len()][round % 3]);
    order
}

#[test]
fn whoever_of_a_crowd_is_killed_the_rest_goes_on_and_nothing_is_lost() {
    /// Rounds in one directory: each reads all that came before it there.
    const IN_ONE: usize = 5;
    let mut random = Random::printed();
    let rounds = cases(20, 500);
    for first in (0..rounds).step_by(IN_ONE) {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        // The reader finds a journal.
        options().open(dir).unwrap().close().unwrap();
        let mut crowd: Vec<Option<Member>> =
            ROLES.map(|role| Some(Member::start(role, dir))).into();
        let mut dead = Vec::new();
        for round in first..(first + IN_ONE).min(rounds) {
            for member in crowd.iter_mut().flatten() {
                for _ in 0..=random.below(4) {
                    member.hear();
                }
            }
            spin(Duration::from_micros(random.below(5_000)));
            let killed = victims(round, &mut random);
            // One right after the other, without time to notice.
            let gone: Vec<Member> = killed.iter().filter_map(|at| crowd[*at].take()).collect();
            dead.extend(gone.into_iter().filter_map(Member::kill));
            crowd.iter_mut().flatten().for_each(Member::hear);
            check(dir, &dead, &crowd);
            for at in killed {
                crowd[at] = Some(Member::start(ROLES[at], dir));
            }
        }
        let last = crowd.into_iter().flatten().filter_map(Member::kill);
        dead.extend(last);
        check(dir, &dead, &[]);
    }
}

fn check(dir: &Path, dead: &[InferenceId], crowd: &[Option<Member>]) {
    let journal = options().open(dir).unwrap();
    let reader = journal.reader().unwrap();
    let found = Found::of(&reader);
    dead.iter().for_each(|sure| found.assert_holds(*sure));
    let alive = crowd.iter().flatten().filter_map(|member| member.sure);
    let alive: Vec<InferenceId> = alive.collect();
    alive.iter().for_each(|sure| found.assert_holds(*sure));
    for run in reader.runs().map(Result::unwrap) {
        let died = dead.iter().any(|sure| sure.run() == run.id);
        let buried = found.deaths.get(&run.id).copied().unwrap_or(0);
        assert_eq!(buried, usize::from(died), "{run:?}");
        assert_eq!(matches!(run.state, RunState::Died(_)), died, "{run:?}");
    }
    journal.close().unwrap();
}
