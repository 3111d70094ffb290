//! What a decision carries besides its answer comes back as it was given, whatever happens to the
//! journal: propensity, action vector, cause, correlation and step.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::path::Path;
use std::time::Duration;

use annals::entry::EpisodeId;
use annals::maintenance::restore;
use annals::{Inference, InferenceId, InferenceRecord, Journal, Maintenance, Options, Reader};
use common::{BOUND, Child, role, say};

const ACTIONS: [&str; 3] = ["BUY", "SELL", "HOLD"];

/// Texts on both sides of the room that a lane's record has without an allocation.
fn texts() -> [String; 4] {
    [0, 36, 121, 1_024].map(|bytes| "x".repeat(bytes))
}

/// Odd numbers, and as many as there may be.
fn vectors() -> [Vec<f32>; 5] {
    let odd = vec![
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        0.5,
        1e-45,
        7.0,
    ];
    let of = |length: usize| vec![0.25; length];
    [odd, of(64), of(65), of(1_024), of(0)]
}

const PROPENSITIES: [f32; 8] = [0.5, 1.0, 0.0, -1.0, 1.5, f32::NAN, f32::INFINITY, 1e-45];

/// The decision that `number` stands for, with any mixture of extras.
fn described<'a>(
    mut inference: Inference<'a>,
    number: u64,
    texts: &'a [String],
    vectors: &'a [Vec<f32>],
) -> Inference<'a> {
    let at = |length: usize| usize::try_from(number).unwrap() % length;
    if number & 1 != 0 {
        inference = inference.propensity(PROPENSITIES[at(8)]);
    }
    if number & 2 != 0 {
        inference = inference.action_vector(&vectors[at(5)]);
    }
    if number & 4 != 0 {
        inference = inference.caused_by(InferenceId::from_u64(number << 37));
    }
    if number & 8 != 0 {
        inference = inference.correlation(&texts[at(4)]);
    }
    if number & 16 != 0 {
        inference = inference.episode(EpisodeId::from_u64(number / 3), number);
    }
    inference
}

fn assert_described(record: &InferenceRecord, number: u64) {
    let (texts, vectors) = (texts(), vectors());
    let at = |length: usize| usize::try_from(number).unwrap() % length;
    let is = |bit: u64| number & bit != 0;
    let bits = |values: &[f32]| values.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
    let propensity = is(1).then(|| PROPENSITIES[at(8)].to_bits());
    assert_eq!(record.propensity.map(f32::to_bits), propensity, "{number}");
    let vector = if is(2) { &vectors[at(5)][..] } else { &[] };
    assert_eq!(bits(&record.action_vector), bits(vector), "{number}");
    let cause = is(4).then(|| InferenceId::from_u64(number << 37));
    assert_eq!(record.caused_by, cause, "{number}");
    let correlation = is(8).then(|| &*texts[at(4)]);
    assert_eq!(record.correlation.as_deref(), correlation, "{number}");
    let episode = is(16).then(|| EpisodeId::from_u64(number / 3));
    assert_eq!(record.episode, episode, "{number}");
    assert_eq!(record.step, is(16).then_some(number), "{number}");
}

/// Logs decisions of all forms, and gives their ids by their numbers.
fn log_all(journal: &Journal) -> Vec<InferenceId> {
    let (texts, vectors) = (texts(), vectors());
    let builder = journal.recorder("m", "s").actions(ACTIONS);
    let recorder = builder.build().unwrap();
    let attributes = [("k", 1.into())];
    let mut ids = Vec::new();
    for number in 0..200 {
        let plain = Inference::new("m", "s", "BUY").confidence(0.5);
        let given = described(plain, number, &texts, &vectors);
        let id = match number % 3 {
            0 => journal.log(given),
            1 => journal.log(given.attributes(&attributes).memory(1 << 20)),
            // The same by a prepared call.
            _ => {
                let at = |length: usize| usize::try_from(number).unwrap() % length;
                let mut given = recorder.inference(0).probabilities(&[0.5, 0.25, 0.25]);
                if number & 1 != 0 {
                    given = given.propensity(PROPENSITIES[at(8)]);
                }
                if number & 2 != 0 {
                    given = given.action_vector(&vectors[at(5)]);
                }
                if number & 4 != 0 {
                    given = given.caused_by(InferenceId::from_u64(number << 37));
                }
                if number & 8 != 0 {
                    given = given.correlation(&texts[at(4)]);
                }
                if number & 16 != 0 {
                    given = given.episode(EpisodeId::from_u64(number / 3), number);
                }
                given.log()
            }
        };
        ids.push(id.unwrap());
    }
    ids
}

fn assert_all(reader: &Reader, ids: &[InferenceId]) {
    for (number, record) in (0..).zip(reader.get_each(ids).unwrap()) {
        let record = record.unwrap();
        assert_described(&record, number);
        assert_eq!(
            record.attributes.len(),
            usize::from(number % 3 == 1),
            "{number}"
        );
    }
    // By a scan, and by what queries look for.
    assert_eq!(reader.inferences().count().unwrap(), ids.len() as u64);
    let numbers = || 0..ids.len() as u64;
    let long = "x".repeat(1_024);
    let expected = numbers().filter(|number| number & 8 != 0 && number % 4 == 3);
    let found = reader.inferences().correlation(&*long).count().unwrap();
    assert_eq!(found, expected.count() as u64);
    let cause = InferenceId::from_u64(5 << 37);
    let caused: Vec<_> = reader.inferences().caused_by(cause).iter().collect();
    assert_eq!(caused.len(), 1);
    assert_eq!(caused[0].as_ref().unwrap().id, ids[5]);
    let none = reader.inferences().correlation("order-1").count().unwrap();
    assert_eq!(none, 0);
}

fn options() -> Options {
    let options = Journal::options().without_mirror();
    options.dedup_window(Duration::from_secs(3_600))
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((_, dir)) = role() else { return };
    let journal = options().commit_interval(Duration::from_secs(3_600));
    let journal = journal.open(&dir).unwrap();
    let ids = log_all(&journal);
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    say(&ids.join(" "));
    std::thread::sleep(BOUND);
}

#[test]
fn all_of_it_comes_back_from_memory_and_from_files() {
    let journal = options().in_memory().unwrap();
    let ids = log_all(&journal);
    journal.flush().wait(BOUND).unwrap();
    assert_all(&journal.reader().unwrap(), &ids);

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let journal = options().seal_bytes(1 << 16).open(&data).unwrap();
    let ids = log_all(&journal);
    journal.flush().wait(BOUND).unwrap();
    assert_all(&journal.reader().unwrap(), &ids);
    assert!(journal.seal(BOUND).unwrap() > 0);
    assert_all(&Reader::open(&data).unwrap(), &ids);
    let copy = dir.path().join("copy");
    let maintenance = journal.maintenance().unwrap();
    maintenance.backup(&copy).run().unwrap();
    journal.close().unwrap();
    let again = dir.path().join("again");
    restore(&copy, &again).unwrap();
    for place in [&data, &again] {
        assert_all(&Reader::open(place).unwrap(), &ids);
        let verified = Maintenance::open(place).unwrap().verify();
        assert!(verified.defects.is_empty(), "{verified:?}");
    }
}

/// The next opener has them from the lanes.
#[test]
fn all_of_it_outlives_a_kill() {
    if !common::HAS_LANES {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start("log", dir.path());
    let said = child.hear();
    drop(child.kill());
    let ids: Vec<InferenceId> = said.split(' ').map(|id| id.parse().unwrap()).collect();
    let journal = options().open(dir.path()).unwrap();
    assert_all(&journal.reader().unwrap(), &ids);
    journal.close().unwrap();
}

fn refused(dir: Option<&Path>) {
    let journal = match dir {
        Some(dir) => options().open(dir).unwrap(),
        None => options().in_memory().unwrap(),
    };
    let (numbers, text) = (vec![0.0; 1_025], "x".repeat(1_025));
    let recorder = journal.recorder("m", "s").actions(ACTIONS).build().unwrap();
    let inference = Inference::new("m", "s", "BUY");
    let attributes = [("k", 1.into())];
    assert!(journal.log(inference.action_vector(&numbers)).is_none());
    assert!(journal.log(inference.correlation(&text)).is_none());
    let long = inference.attributes(&attributes);
    assert!(journal.log(long.correlation(&text)).is_none());
    assert!(
        recorder
            .inference(0)
            .action_vector(&numbers)
            .log()
            .is_none()
    );
    assert!(recorder.inference(0).correlation(&text).log().is_none());
    assert!(
        journal
            .log(inference.action_vector(&numbers[1..]))
            .is_some()
    );
    journal.flush().wait(BOUND).unwrap();
    let health = journal.health();
    assert_eq!((health.dropped.refused, health.dropped.total()), (5, 5));
    let told = |place: usize| {
        let counted = &health.refusals[place];
        (counted.refusal.to_string(), counted.count)
    };
    let vector = "model m, action vector: more than 1024 cannot be stored (first: 1025)";
    assert_eq!(told(0), (vector.to_owned(), 2));
    let text = "model m, correlation: the texts of one entry have at most 1024 bytes (first: 1025)";
    assert_eq!(told(1), (text.to_owned(), 3));
    assert_eq!(journal.reader().unwrap().inferences().count().unwrap(), 1);
}

#[test]
fn what_is_too_long_is_refused_and_counted() {
    refused(None);
    let dir = tempfile::tempdir().unwrap();
    refused(Some(dir.path()));
}

/// Two equal answers to one question: only those that carry nothing are repeats.
#[test]
fn a_decision_with_extras_is_no_repeat() {
    let journal = options().in_memory().unwrap();
    let ask = || {
        Inference::new("m", "s", "BUY")
            .features_hashed(7)
            .confidence(0.5)
    };
    let first = journal.log(ask().propensity(0.5)).unwrap();
    let second = journal.log(ask().propensity(0.5)).unwrap();
    let plain = journal.log(ask()).unwrap();
    journal.flush().wait(BOUND).unwrap();
    let reader = journal.reader().unwrap();
    let of = |id| reader.get(id).unwrap().unwrap();
    assert_eq!((of(first).repeat_of, of(second).repeat_of), (None, None));
    assert_eq!(of(second).propensity, Some(0.5));
    // Its answer is the same. It carries nothing, and so does not the repeat.
    assert_eq!(of(plain).repeat_of, Some(first));
    assert_eq!(of(plain).propensity, None);
}

/// A continuous action is a part of the answer.
#[test]
fn another_vector_is_another_answer() {
    let journal = options().in_memory().unwrap();
    let ask = || Inference::new("m", "s", "move").features_hashed(7);
    for vector in [
        &[0.5_f32, 1.0][..],
        &[0.5, 1.0],
        &[0.5, 1.0, 0.0],
        &[0.5, 2.0],
    ] {
        journal
            .log(ask().action_vector(vector).deterministic())
            .unwrap();
    }
    journal.flush().wait(BOUND).unwrap();
    assert_eq!(journal.health().divergences, 2);
    assert_eq!(journal.health().repeats, 0);
}

/// The propensity of a sampled action is that of the label that is the action, and no other.
#[test]
fn a_sampled_action_has_the_probability_of_its_label() {
    let journal = options().in_memory().unwrap();
    let builder = journal.recorder("m", "s").actions(["b", "c", "z"]);
    let recorder = builder.labels(["a", "b", "c"]).build().unwrap();
    let values = [0.5, 0.3, 0.2];
    let of = |action: usize| {
        let drawn = recorder.inference(action).probabilities(&values).sampled();
        drawn.log().unwrap()
    };
    let ids = [of(0), of(1), of(2)];
    let given = recorder.inference(0).probabilities(&values).sampled();
    let given = given.propensity(0.75).log().unwrap();
    let short = recorder
        .inference(1)
        .probabilities(&values[..2])
        .sampled()
        .log()
        .unwrap();
    let none = recorder.inference(1).sampled().log().unwrap();
    journal.flush().wait(BOUND).unwrap();
    let reader = journal.reader().unwrap();
    let propensity = |id| reader.get(id).unwrap().unwrap().propensity;
    assert_eq!(ids.map(propensity), [Some(0.3), Some(0.2), None]);
    assert_eq!(propensity(given), Some(0.75));
    assert_eq!((propensity(short), propensity(none)), (None, None));
}

/// Off-policy evaluation divides by a propensity: a density may be above one, a probability not.
#[test]
fn only_a_propensity_that_can_be_divided_by_is_valid() {
    let journal = options().in_memory().unwrap();
    let log = |propensity: f32, vector: &[f32]| {
        let inference = Inference::new("m", "s", "move").propensity(propensity);
        journal.log(inference.action_vector(vector)).unwrap()
    };
    let given = [
        1e-45,
        0.5,
        1.0,
        1.5,
        f32::MAX,
        0.0,
        -0.0,
        -1.0,
        f32::NAN,
        f32::INFINITY,
    ];
    let discrete = given.map(|propensity| log(propensity, &[]));
    let continuous = given.map(|propensity| log(propensity, &[0.1]));
    let nobody = journal.log(Inference::new("m", "s", "move")).unwrap();
    journal.flush().wait(BOUND).unwrap();
    let reader = journal.reader().unwrap();
    let is_valid = |id| reader.get(id).unwrap().unwrap().has_valid_propensity();
    let valid = |ids: [InferenceId; 10]| ids.map(is_valid).iter().filter(|yes| **yes).count();
    assert_eq!((valid(discrete), valid(continuous)), (3, 5));
    assert!(!is_valid(nobody));
}
