//! Outcomes from another process than the one that decides: before the inference is there, after
//! its run has ended, for repeats, again and again. The outcome that was attached last holds, and
//! statistics follow. The oracle is a map that is written over.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use annals::{Inference, InferenceId, Journal, Options, Outcome, Reader, Repeats};
use common::{BOUND, Child, Random, cases, command, role, say};

fn options() -> Options {
    Journal::options().without_mirror().seal_bytes(1 << 16)
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    assert_eq!(role, "judge");
    let journal = options().open(dir).unwrap();
    // Each command is a list of ids and rewards, answered when they are on disk.
    while let Some(line) = command() {
        for pair in line.split_whitespace() {
            let (id, reward) = pair.split_once('=').unwrap();
            let outcome = Outcome::new().reward(reward.parse::<f64>().unwrap());
            assert!(journal.attach_outcome(id.parse().unwrap(), outcome));
        }
        journal.flush().wait(BOUND).unwrap();
        say("judged");
    }
    journal.close().unwrap();
}

fn one_of(random: &mut Random, ids: &[InferenceId]) -> InferenceId {
    ids[usize::try_from(random.below(ids.len() as u64)).unwrap()]
}

/// Asserts that the journal in `dir` says of the inferences in `ids` what `held` does.
fn assert_holds(dir: &Path, ids: &[InferenceId], held: &BTreeMap<InferenceId, i32>, when: &str) {
    let reader = Reader::open(dir).unwrap();
    let all = reader.inferences().repeats(Repeats::Include);
    let mut read = 0;
    for joined in all.with_outcomes() {
        let (record, outcomes) = joined.unwrap();
        let reward = outcomes.and_then(|found| found.reward);
        let reward = reward.map(|latest| latest.value);
        assert_eq!(
            reward,
            held.get(&record.id).map(|value| f64::from(*value)),
            "{when}"
        );
        read += 1;
    }
    assert_eq!(read, ids.len(), "{when}");
    // Only what belongs to an inference that is there counts.
    let known = ids.iter().filter_map(|id| held.get(id));
    let (count, sum) = known.fold((0, 0), |(count, sum), value| {
        (count + 1, sum + i64::from(*value))
    });
    let stats = reader.stats("m").get().unwrap();
    assert_eq!(stats.count, ids.len() as u64, "{when}");
    let rewards = stats.outcomes.reward;
    assert_eq!(
        (rewards.count, stats.outcomes.attached),
        (count, count),
        "{when}"
    );
    #[expect(clippy::cast_precision_loss, reason = "a sum of few small numbers")]
    let sum = sum as f64;
    assert_eq!(if count == 0 { 0.0 } else { rewards.sum }, sum, "{when}");
}

#[test]
fn another_process_judges_what_this_one_decides() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut random = Random::printed();
    let mut ids: Vec<InferenceId> = Vec::new();
    let mut held = BTreeMap::new();
    let mut judge = None;
    for round in 0..cases(6, 40) {
        let journal = options().open(dir).unwrap();
        // The judge outlives some of the runs that it judges, and sometimes begins anew.
        let mut child = match judge.take() {
            Some(child) if round % 3 != 0 => child,
            _ => Child::start("judge", dir),
        };
        for _step in 0..5 {
            let log = |features: u32| {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let inference = Inference::new("m", "s", "BUY").features(&[features as f32]);
                journal.log(inference).unwrap()
            };
            let first = log(0);
            // Every second one is a repeat of the one before.
            let logged = (1..100).map(|number| log(number / 2));
            let logged: Vec<_> = std::iter::once(first).chain(logged).collect();
            // Some of what is judged is not committed yet, and some will never be there.
            let mut line = String::new();
            for _ in 0..60 {
                let id = match random.below(4) {
                    0 if !ids.is_empty() => one_of(&mut random, &ids),
                    1 => InferenceId::from_u64(logged[0].to_u64() + (1 << 30)),
                    _ => one_of(&mut random, &logged),
                };
                let reward = i32::try_from(random.below(2_000)).unwrap() - 1_000;
                held.insert(id, reward);
                line.push_str(&format!("{id}={reward} "));
            }
            ids.extend(&logged);
            assert_eq!(child.ask(&line), "judged");
        }
        journal.flush().wait(BOUND).unwrap();
        assert_holds(dir, &ids, &held, "as it is");
        journal.fold(BOUND).unwrap();
        assert_holds(dir, &ids, &held, "folded");
        journal.seal(BOUND).unwrap();
        assert_holds(dir, &ids, &held, "sealed");
        journal.close().unwrap();
        assert_holds(dir, &ids, &held, "closed");
        judge = Some(child);
    }
    judge.unwrap().finish();
    assert_holds(dir, &ids, &held, "at last");
}
