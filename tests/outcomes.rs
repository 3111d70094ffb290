//! Outcomes: what was attached last under each name holds, wherever and whenever it was attached.

#![allow(clippy::unwrap_used)]

mod logs;
mod support;

use std::collections::BTreeMap;

use annals::entry::{Latest, OutcomeEntry};
use annals::logs::{LogKind, Mirror};
use annals::{
    Content, Inference, InferenceId, InferenceRecord, Journal, Options, Outcome, Outcomes, Reader,
    Recorder, Repeats, Timestamp,
};
use support::{BOUND, flush, micros};

fn value<T: Copy>(latest: Option<Latest<T>>) -> Option<T> {
    latest.map(|latest| latest.value)
}

fn log(journal: &Journal) -> InferenceId {
    journal.log(Inference::new("m", "s", "BUY")).unwrap()
}

fn outcome(reader: &Reader, id: InferenceId) -> Outcomes {
    reader.outcome(id).unwrap().unwrap()
}

fn entries(reader: &Reader) -> Vec<OutcomeEntry> {
    let entries = reader.follow(reader.start()).unwrap();
    entries
        .filter_map(|entry| match entry.unwrap().content {
            Content::Outcome(outcome) => Some(outcome),
            _ => None,
        })
        .collect()
}

#[test]
fn every_value_is_read_back() {
    let journal = Journal::in_memory().unwrap();
    let id = log(&journal);
    let given = Outcome::new()
        .reward(1.5)
        .correct(false)
        .label("stopped out")
        .value("pnl", -0.5)
        .value("fee", 0.1)
        .value("pnl", 0.5)
        .at(micros(-7));
    assert!(journal.attach_outcome(id, given));
    flush(&journal);
    let reader = journal.reader().unwrap();
    let found = outcome(&reader, id);
    assert_eq!(found.of, id);
    let reward = found.reward.unwrap();
    assert_eq!(
        (reward.value, reward.time, reward.sequence),
        (1.5, micros(-7), 2)
    );
    assert_eq!(value(found.correct), Some(false));
    assert_eq!(
        found.label.as_ref().map(|label| &*label.value),
        Some("stopped out")
    );
    assert_eq!(value(found.get("pnl")), Some(0.5));
    assert_eq!(value(found.get("fee")), Some(0.1));
    assert_eq!(value(found.get("reward")), None);
    let entry = &entries(&reader)[0];
    assert_eq!(
        (entry.of, entry.run, entry.time),
        (id, id.run(), micros(-7))
    );
    let values: Vec<_> = entry
        .values
        .iter()
        .map(|(name, value)| (&**name, *value))
        .collect();
    assert_eq!(values, [("pnl", 0.5), ("fee", 0.1)]);
}

#[test]
fn without_a_time_it_turned_out_when_it_was_recorded() {
    let clock = logs::july();
    let journal = Options::default().clock(clock).in_memory().unwrap();
    let id = log(&journal);
    journal.attach_outcome(id, Outcome::new().label("x"));
    flush(&journal);
    let found = outcome(&journal.reader().unwrap(), id);
    assert_eq!(found.label.unwrap().time, micros(logs::JULY));
}

#[test]
fn each_name_keeps_its_own_last_value() {
    let journal = Journal::in_memory().unwrap();
    let (id, other) = (log(&journal), log(&journal));
    for (number, time) in [(1.0, 30), (2.0, 20), (3.0, 10)] {
        let outcome = Outcome::new().reward(number).value("v", number);
        assert!(journal.attach_outcome(id, outcome.at(micros(time))));
        flush(&journal);
    }
    journal.attach_outcome(id, Outcome::new().correct(true));
    journal.attach_outcome(other, Outcome::new().reward(9.0));
    journal.attach_outcome(id, Outcome::new().value("v", f64::NAN));
    flush(&journal);
    let reader = journal.reader().unwrap();
    let found = outcome(&reader, id);
    // The outcome that was recorded last holds, not the one with the latest time: a correction is
    // about the past.
    let reward = found.reward.unwrap();
    assert_eq!((reward.value, reward.time), (3.0, micros(10)));
    assert_eq!(value(found.correct), Some(true));
    assert!(found.get("v").unwrap().value.is_nan());
    assert_eq!(value(outcome(&reader, other).reward), Some(9.0));
    assert_eq!(entries(&reader).len(), 6);
}

#[test]
fn nothing_known_is_none() {
    let journal = Journal::in_memory().unwrap();
    let id = log(&journal);
    flush(&journal);
    let reader = journal.reader().unwrap();
    for id in [
        id,
        InferenceId::from_u64(0),
        InferenceId::from_u64(u64::MAX),
    ] {
        assert_eq!(reader.outcome(id).unwrap(), None);
    }
}

#[test]
fn an_outcome_may_come_before_its_inference_and_without_one() {
    let journal = Journal::in_memory().unwrap();
    for id in [0, 7, u64::MAX] {
        let id = InferenceId::from_u64(id);
        assert!(journal.attach_outcome(id, Outcome::new().reward(1.0)));
    }
    let next = InferenceId::from_u64(log(&journal).to_u64() + 2);
    assert!(journal.attach_outcome(next, Outcome::new().reward(2.0)));
    assert_eq!(log(&journal), next);
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(value(outcome(&reader, next).reward), Some(2.0));
    let nobody = InferenceId::from_u64(u64::MAX);
    assert_eq!(value(outcome(&reader, nobody).reward), Some(1.0));
}

#[test]
fn one_for_a_repeat_is_the_repeats() {
    let journal = Journal::in_memory().unwrap();
    let same = || Inference::new("m", "s", "BUY").features(&[1.0]);
    let original = journal.log(same()).unwrap();
    let repeat = journal.log(same()).unwrap();
    journal.attach_outcome(repeat, Outcome::new().reward(2.0));
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(reader.outcome(original).unwrap(), None);
    let joined = reader
        .inferences()
        .repeats(Repeats::Include)
        .with_outcomes();
    let joined: Vec<_> = joined
        .map(|joined| {
            let (record, outcomes) = joined.unwrap();
            (record.id, value(outcomes.and_then(|found| found.reward)))
        })
        .collect();
    assert_eq!(joined, [(original, None), (repeat, Some(2.0))]);
}

#[test]
fn a_recorder_attaches_too_and_a_disabled_one_does_not() {
    let journal = Journal::in_memory().unwrap();
    let recorder = journal.recorder("m", "s").actions(["BUY"]).build().unwrap();
    let id = recorder.log(recorder.start(), 0, &[1.0], &[]).unwrap();
    assert!(recorder.attach_outcome(id, Outcome::new().reward(1.0)));
    assert!(!Recorder::disabled().attach_outcome(id, Outcome::new().reward(2.0)));
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(value(outcome(&reader, id).reward), Some(1.0));
}

#[test]
fn the_accounts_count_outcomes_like_events() {
    let journal = Journal::in_memory().unwrap();
    let id = log(&journal);
    assert!(journal.attach_outcome(id, Outcome::new().correct(true)));
    let long = "x".repeat((1 << 20) + 1);
    assert!(!journal.attach_outcome(id, Outcome::new().label(&long)));
    let names: Vec<String> = (0..1_025).map(|number| number.to_string()).collect();
    let many = names
        .iter()
        .fold(Outcome::new().reward(1.0), |outcome, name| {
            outcome.value(name, 0.0)
        });
    assert!(!journal.attach_outcome(id, many));
    flush(&journal);
    let health = journal.health();
    assert_eq!((health.offered, health.committed), (4, 2));
    assert_eq!(health.dropped.refused, 2);
    journal.close().unwrap();
    assert!(!journal.attach_outcome(id, Outcome::new().correct(false)));
    assert_eq!(journal.health().dropped.closed, 1);
}

#[test]
fn names_beyond_the_table_are_the_same_names() {
    let journal = Options::default().max_names(4).in_memory().unwrap();
    let id = log(&journal);
    // One more finds room, the others are written out.
    for round in 0..3 {
        for name in ["a", "b", "c"] {
            journal.attach_outcome(id, Outcome::new().value(name, f64::from(round)));
        }
    }
    flush(&journal);
    let found = outcome(&journal.reader().unwrap(), id);
    let values: Vec<_> = found
        .values
        .iter()
        .map(|(name, latest)| (&**name, latest.value))
        .collect();
    assert_eq!(values, [("a", 2.0), ("b", 2.0), ("c", 2.0)]);
}

/// The plain rule: a map that is written over.
#[derive(Default)]
struct Oracle(BTreeMap<InferenceId, f64>);

impl Oracle {
    fn assert_holds(&self, reader: &Reader, ids: &[InferenceId]) {
        for id in ids.iter().step_by(101) {
            let found = reader.outcome(*id).unwrap();
            let reward = value(found.and_then(|found| found.reward));
            assert_eq!(reward, self.0.get(id).copied(), "{id}");
        }
        let joined = |query: annals::Query| -> Vec<(InferenceId, Option<f64>)> {
            let rewards = query.with_outcomes().map(|joined| {
                let (record, outcomes): (InferenceRecord, _) = joined.unwrap();
                (record.id, value(outcomes.and_then(|found| found.reward)))
            });
            rewards.collect()
        };
        let expected: Vec<_> = ids
            .iter()
            .map(|id| (*id, self.0.get(id).copied()))
            .collect();
        assert_eq!(joined(reader.inferences()), expected);
        let newest = joined(reader.inferences().newest_first().limit(100));
        let last = expected.iter().rev().take(100).copied();
        assert_eq!(newest, last.collect::<Vec<_>>());
    }
}

/// The way of a journal: runs, sealing, and outcomes for whatever there is.
#[test]
fn the_last_one_holds_across_runs_and_segments() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Journal::options().seal_bytes(1 << 16).without_mirror();
    let mut oracle = Oracle::default();
    let mut ids = Vec::new();
    let mut random = 1_u64;
    for _run in 0..4 {
        let journal = options().open(dir.path()).unwrap();
        for step in 0..3_000 {
            ids.push(log(&journal));
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let index = usize::try_from(random >> 33).unwrap() % ids.len();
            let reward = f64::from(u32::try_from(random >> 40).unwrap());
            journal.attach_outcome(ids[index], Outcome::new().reward(reward));
            oracle.0.insert(ids[index], reward);
            if step % 700 == 0 {
                flush(&journal);
            }
        }
        flush(&journal);
        journal.seal(BOUND).unwrap();
        oracle.assert_holds(&journal.reader().unwrap(), &ids);
        journal.close().unwrap();
    }
    assert!(
        std::fs::read_dir(dir.path().join("segments"))
            .unwrap()
            .count()
            > 3
    );
    oracle.assert_holds(&Reader::open(dir.path()).unwrap(), &ids);
}

#[test]
fn many_for_one_inference_are_one_answer() {
    let journal = Journal::options()
        .queue_capacity(1 << 18)
        .in_memory()
        .unwrap();
    let id = log(&journal);
    for number in 0..100_000 {
        assert!(journal.attach_outcome(id, Outcome::new().reward(f64::from(number))));
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(value(outcome(&reader, id).reward), Some(99_999.0));
}

#[test]
fn each_outcome_has_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let options = Journal::options().mirror(Mirror::new()).clock(logs::july());
    let journal = options.open(&data).unwrap();
    let id = log(&journal);
    journal.attach_outcome(id, Outcome::new().reward(1.5).correct(true).label("a|b\nc"));
    let late = Timestamp::from_micros(logs::JULY + 60_000_000);
    let odd = Outcome::new().value("a b|", f64::NAN).value("big", 1e300);
    journal.attach_outcome(id, odd.at(late));
    flush(&journal);
    logs::wait_for_lines(&journal, 3);
    journal.close().unwrap();
    let found = logs::lines(&data.join("logs"), LogKind::Outcomes);
    assert_eq!(
        found[0],
        format!(
            "2025-07-25 14:34:39 | {:<15} | reward=1.5 correct=true label=a\\|b\\nc",
            id.to_string()
        )
    );
    assert!(found[1].starts_with("2025-07-25 14:35:39"), "{}", found[1]);
    logs::assert_mirrored(&data, &data.join("logs"));
}
