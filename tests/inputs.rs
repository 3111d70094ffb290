//! A kept input comes back bit by bit. What cannot be kept is counted, and costs no decision.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::entry::{Input, InputValues, KeptInput};
use annals::maintenance::{DefectKind, repair, restore};
use annals::record::KeepInputs;
use annals::{
    BlackBox, Inference, InferenceId, Journal, Maintenance, Options, Reader, Recorder, Repeats,
    RetentionPolicy,
};
use common::{BOUND, Child, role, say};

fn options() -> Options {
    Journal::options().without_mirror().without_folding()
}

fn keeping(journal: &Journal, keep: KeepInputs) -> Recorder {
    let builder = journal.recorder("m", "s").actions(["BUY", "SELL"]);
    builder.keep_inputs(keep).build().unwrap()
}

fn flush(journal: &Journal) {
    journal.flush().wait(BOUND).unwrap();
}

fn kept(reader: &Reader, id: InferenceId) -> Input {
    match reader.input(id).unwrap() {
        KeptInput::Kept(input) => input,
        other => panic!("{id}: {other:?}"),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("inputs")).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A vector of `length` that no other number gives.
fn features(number: usize, length: usize) -> Vec<f32> {
    let value = |place: usize| f32::from_bits(u32::try_from(number * 1_000 + place).unwrap());
    (0..length).map(value).collect()
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    let journal = options().commit_interval(Duration::from_secs(3_600));
    let journal = match role.as_str() {
        "die with a spool" => journal.black_box(BlackBox::Spool),
        _ => journal,
    };
    let journal = journal.open(&dir).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let log = |number| {
        let id = recorder.log(recorder.start(), 0, &[1.0], &features(number, 32));
        say(&id.unwrap().to_string());
    };
    (0..50).for_each(log);
    flush(&journal);
    if role == "close" {
        journal.close().unwrap();
        return say("closed");
    }
    (50..100).for_each(log);
    if role != "die" {
        journal.sync().wait(BOUND).unwrap();
    }
    say("ready");
    std::thread::sleep(BOUND);
}

#[test]
fn every_kind_of_input_comes_back_bit_by_bit() {
    for black_box in [BlackBox::Lanes, BlackBox::Spool, BlackBox::Off] {
        let dir = tempfile::tempdir().unwrap();
        let journal = options().black_box(black_box).open(dir.path()).unwrap();
        let recorder = keeping(&journal, KeepInputs::Always);
        let odd = [f32::NAN, -0.0, f32::INFINITY, f32::from_bits(0x7fc0_1234)];
        let long = features(1, 262_144);
        let vectors = [&[][..], &odd, &odd[..1], &features(2, 65), &long];
        let ids = vectors.map(|values| recorder.log(recorder.start(), 0, &[1.0], values).unwrap());
        let double = [0.1, f64::NEG_INFINITY];
        let of_double = recorder.inference(1).features(&double).log().unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        let of_bytes = recorder
            .inference(1)
            .keep_bytes(&bytes[..251])
            .log()
            .unwrap();
        let more = [("k", annals::Value::from(true))];
        let attributed = recorder.inference(0).features(&odd).attributes(&more);
        let attributed = attributed.log().unwrap();
        let named = Inference::new("m", "s", "BUY").keep_features(&double);
        let named = journal.log(named.attribute("k", 1)).unwrap();
        flush(&journal);
        let reader = journal.reader().unwrap();
        for (id, values) in ids.into_iter().zip(vectors) {
            let input = kept(&reader, id);
            assert_eq!(bits(input.features().unwrap()), bits(values));
            assert!(input.names.is_empty());
        }
        assert_eq!(
            bits(kept(&reader, attributed).features().unwrap()),
            bits(&odd)
        );
        for id in [of_double, named] {
            assert_eq!(
                kept(&reader, id).values,
                InputValues::F64(double.to_vec().into())
            );
        }
        let found = kept(&reader, of_bytes).values;
        assert_eq!(found, InputValues::Bytes(bytes[..251].to_vec().into()));
        let health = journal.health();
        assert_eq!((health.inputs.kept, health.inputs.repeated), (7, 2));
        assert_eq!(health.inputs.bytes, 4 * (4 + 1 + 65 + 262_144) + 16 + 251);
        assert!(health.inputs.error.is_none() && health.dropped.total() == 0);
        assert!(journal.maintenance().unwrap().verify().is_whole());
        let usage = journal.maintenance().unwrap().usage().unwrap();
        assert!(usage.input_bytes > health.inputs.bytes);
        journal.close().unwrap();
        // Also for the next opener, and from a query.
        let reader = Reader::open(dir.path()).unwrap();
        let decided = reader.inferences().with_inputs();
        let inputs = decided.map(|decided| decided.unwrap().1.kept().unwrap());
        assert_eq!(inputs.count(), 9);
    }
}

#[test]
fn names_are_kept_with_the_values() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let builder = || journal.recorder("m", "s").actions(["BUY"]);
    let many: Vec<String> = (0..500).map(|number| format!("feature {number}")).collect();
    let recorder = builder().feature_names(&many).build().unwrap();
    let odd = builder().feature_names(["a\u{1f}b", ""]).build().unwrap();
    let ids = [&recorder, &odd].map(|recorder| {
        recorder
            .inference(0)
            .keep_features(&[1.0_f32])
            .log()
            .unwrap()
    });
    let hashed = recorder.inference(0).features(&[2.0]).log().unwrap();
    flush(&journal);
    let reader = journal.reader().unwrap();
    let names = |id| {
        kept(&reader, id)
            .names
            .iter()
            .map(|name| name.to_string())
            .collect()
    };
    let found: Vec<String> = names(ids[0]);
    assert_eq!(found, many);
    let found: Vec<String> = names(ids[1]);
    assert_eq!(found, ["a\u{1f}b", ""]);
    assert_eq!(reader.input(hashed).unwrap(), KeptInput::NotKept);
    let too_many = vec!["x".repeat(1_000); 70];
    assert!(builder().feature_names(too_many).build().is_err());
    assert!(builder().keep_inputs(KeepInputs::OneIn(0)).build().is_err());
}

#[test]
fn an_input_that_repeats_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let states = [[1.0, 2.0], [3.0, 4.0]];
    let mut ids = Vec::new();
    for round in 0..50 {
        // Other answers, so that only some are repeats.
        let confidence = [round as f32 / 64.0];
        for state in &states {
            ids.push(
                recorder
                    .log(recorder.start(), 0, &confidence, state)
                    .unwrap(),
            );
            ids.push(
                recorder
                    .log(recorder.start(), 0, &confidence, state)
                    .unwrap(),
            );
        }
        if round % 20 == 0 {
            flush(&journal);
        }
    }
    flush(&journal);
    let health = journal.health();
    assert_eq!((health.inputs.kept, health.inputs.repeated), (2, 198));
    assert_eq!(health.repeats, 100);
    let reader = journal.reader().unwrap();
    for (place, id) in ids.into_iter().enumerate() {
        let values = states[place / 2 % 2];
        assert_eq!(kept(&reader, id).features(), Some(&values[..]));
    }
    let all = reader.inferences().repeats(Repeats::Include).with_inputs();
    assert_eq!(
        all.filter(|found| found.as_ref().unwrap().1.clone().kept().is_some())
            .count(),
        200
    );
}

#[test]
fn one_in_n_takes_all_decisions_about_an_input_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept_ones = Vec::new();
    for _opening in 0..2 {
        let journal = options().open(dir.path()).unwrap();
        let recorder = keeping(&journal, KeepInputs::OneIn(8));
        let log = |number| {
            recorder
                .log(recorder.start(), 0, &[1.0], &features(number, 5))
                .unwrap()
        };
        let ids: Vec<_> = (0..800).map(log).chain((0..800).map(log)).collect();
        flush(&journal);
        let reader = journal.reader().unwrap();
        let is_kept = |id: &InferenceId| reader.input(*id).unwrap().kept().is_some();
        let found: Vec<bool> = ids.iter().map(is_kept).collect();
        assert_eq!(found[..800], found[800..]);
        let count = found[..800].iter().filter(|kept| **kept).count();
        assert!((60..140).contains(&count), "{count} of 800");
        kept_ones.push(found);
    }
    assert_eq!(kept_ones[0], kept_ones[1]);
}

#[test]
fn an_input_that_is_too_large_costs_no_decision() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let million = vec![0.5; 1_000_000];
    let id = recorder.log(recorder.start(), 0, &[1.0], &million).unwrap();
    let bytes = vec![1; (1 << 20) + 1];
    let named = journal
        .log(Inference::new("m", "s", "BUY").keep_bytes(&bytes))
        .unwrap();
    flush(&journal);
    let reader = journal.reader().unwrap();
    for id in [id, named] {
        assert_eq!(reader.input(id).unwrap(), KeptInput::GivenUp);
        assert!(reader.get(id).unwrap().unwrap().feature_hash.is_some());
    }
    assert_eq!(journal.health().inputs.too_large, 2);
    assert!(files(dir.path()).is_empty());
}

#[test]
fn without_room_in_the_queue_the_decision_goes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let interval = Duration::from_secs(3_600);
    let journal = options()
        .commit_interval(interval)
        .open(dir.path())
        .unwrap();
    if journal.health().black_box != BlackBox::Lanes {
        return;
    }
    let recorder = keeping(&journal, KeepInputs::Always);
    let input = features(7, 200_000);
    // A lane has two megabytes, and the writer may take it up at any time.
    let ids: Vec<_> = (0..200)
        .map(|number| {
            let decision = recorder.inference(0).probabilities(&[1.0]).features(&input);
            // Every other one carries more, and goes in another form.
            let id = match number % 2 {
                0 => decision.log(),
                _ => decision.correlation("order 7").log(),
            };
            id.unwrap()
        })
        .collect();
    flush(&journal);
    let health = journal.health();
    assert_eq!(health.committed, 200);
    let [kept, given_up] = [
        health.inputs.kept + health.inputs.repeated,
        health.inputs.queue_full,
    ];
    assert_eq!(kept + given_up, 200);
    let reader = journal.reader().unwrap();
    let lost = ids
        .iter()
        .filter(|id| reader.input(**id).unwrap() == KeptInput::GivenUp);
    assert_eq!(lost.count() as u64, given_up);
    assert!(kept > 0);
}

#[test]
fn a_budget_of_zero_and_a_journal_in_memory_keep_none() {
    let dir = tempfile::tempdir().unwrap();
    let without = options().input_budget(0).open(dir.path()).unwrap();
    for journal in [without, Journal::in_memory().unwrap()] {
        let recorder = keeping(&journal, KeepInputs::Always);
        let id = recorder
            .log(recorder.start(), 0, &[1.0], &[1.0, 2.0])
            .unwrap();
        let asked = recorder.inference(0).keep_bytes(b"x").log().unwrap();
        let named = journal
            .log(Inference::new("m", "s", "BUY").keep_bytes(b"x"))
            .unwrap();
        flush(&journal);
        let reader = journal.reader().unwrap();
        for id in [id, asked, named] {
            assert_eq!(reader.input(id).unwrap(), KeptInput::NotKept);
        }
        assert_eq!(
            journal.health().inputs,
            Journal::in_memory().unwrap().health().inputs
        );
    }
    assert!(!dir.path().join("inputs").exists());
}

#[test]
fn the_oldest_go_when_the_budget_is_passed() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 1 << 20;
    let journal = options().input_budget(budget).open(dir.path()).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let mut ids = Vec::new();
    for round in 0..10 {
        for number in 0..2_000 {
            let input = features(round * 2_000 + number, 64);
            ids.push(recorder.log(recorder.start(), 0, &[1.0], &input).unwrap());
        }
        flush(&journal);
    }
    let health = journal.health().inputs;
    assert_eq!(health.kept, 20_000);
    assert!(health.removed > 12_000, "{health:?}");
    let usage = journal.maintenance().unwrap().usage().unwrap();
    // One file more is written at the moment.
    assert!(
        usage.input_bytes <= budget + budget / 8 + (256 << 10),
        "{usage:?}"
    );
    let reader = journal.reader().unwrap();
    let found: Vec<_> = ids.iter().map(|id| reader.input(*id).unwrap()).collect();
    let removed = usize::try_from(health.removed).unwrap();
    assert!(
        found[..removed]
            .iter()
            .all(|input| *input == KeptInput::Removed)
    );
    assert!(
        found[removed..]
            .iter()
            .all(|input| input.clone().kept().is_some())
    );
    assert!(journal.maintenance().unwrap().verify().is_whole());
}

#[test]
fn short_runs_stay_within_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 200 << 10;
    let mut ids = Vec::new();
    for run in 0..10 {
        let journal = options().input_budget(budget).open(dir.path()).unwrap();
        let recorder = keeping(&journal, KeepInputs::Always);
        for number in 0..100 {
            let input = features(run * 100 + number, 128);
            ids.push(recorder.log(recorder.start(), 0, &[1.0], &input).unwrap());
        }
        journal.close().unwrap();
    }
    let usage = Maintenance::open(dir.path()).unwrap().usage().unwrap();
    assert!(usage.input_bytes <= budget, "{usage:?}");
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.input(ids[0]).unwrap(), KeptInput::Removed);
    assert_eq!(kept(&reader, ids[999]).features().unwrap().len(), 128);
}

#[test]
fn divergent_decisions_keep_their_inputs_and_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().dedup_window(BOUND).open(dir.path()).unwrap();
    let [recorder, drawing] = [true, false].map(|is_deterministic| {
        let builder = journal.recorder("m", "s").actions(["BUY", "SELL"]);
        let builder = builder.keep_inputs(KeepInputs::Divergent);
        let builder = match is_deterministic {
            true => builder.deterministic(),
            false => builder,
        };
        builder.build().unwrap()
    });
    let states = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let log = |action: usize, state: &[f32]| {
        let decision = recorder.inference(action).features(state);
        decision.log().unwrap()
    };
    let first = states.each_ref().map(|state| log(0, state));
    let repeat = log(0, &states[0]);
    let other = log(1, &states[1]);
    // In the other form of the queue, too.
    let long = recorder.inference(1).features(&states[2]);
    let long = long.correlation("order 7").log().unwrap();
    // Sampled on purpose, and asked for.
    let sampled = drawing.inference(1).features(&states[0]).log().unwrap();
    let asked = recorder
        .inference(0)
        .keep_features(&[7.0_f32])
        .log()
        .unwrap();
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(kept(&reader, other).features(), Some(&states[1][..]));
    assert_eq!(kept(&reader, long).features(), Some(&states[2][..]));
    assert_eq!(kept(&reader, asked).features(), Some(&[7.0][..]));
    for id in first.into_iter().chain([repeat, sampled]) {
        assert_eq!(reader.input(id).unwrap(), KeptInput::NotKept);
    }
    let health = journal.health();
    assert_eq!((health.inputs.kept, health.divergences), (3, 2));
}

/// As soon as a run is over, the next opener removes its files that no commit has.
#[test]
fn a_change_of_runs_loses_no_input() {
    let dir = tempfile::tempdir().unwrap();
    let options = || options().commit_interval(Duration::from_secs(3_600));
    let journal = options().black_box(BlackBox::Off).ids_per_run(100);
    let journal = journal.open(dir.path()).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let run = journal.health().run;
    let mut ids = Vec::new();
    // More than a frame, so that there is a file; and then few bytes, so that all have room.
    let input = |number| features(number, if number < 150 { 1_000 } else { 1 });
    while journal.health().run == run {
        let input = input(ids.len());
        ids.extend(recorder.log(recorder.start(), 0, &[1.0], &input));
        std::thread::yield_now();
    }
    let other = options().open(dir.path()).unwrap();
    flush(&journal);
    let reader = other.reader().unwrap();
    for (number, id) in ids.into_iter().enumerate() {
        let found = kept(&reader, id);
        assert_eq!(bits(found.features().unwrap()), bits(&input(number)));
    }
}

#[test]
fn look_ups_in_many_files_in_turn_find_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for run in 0..12 {
        for id in closed(dir.path(), 300) {
            ids.push((ids.len() - 300 * run, id));
        }
    }
    let reader = Reader::open(dir.path()).unwrap();
    for stride in [1, 300, 299] {
        for place in (0..ids.len()).step_by(11) {
            let (number, id) = ids[place * stride % ids.len()];
            let input = kept(&reader, id);
            assert_eq!(bits(input.features().unwrap()), bits(&features(number, 64)));
        }
    }
}

#[test]
fn inputs_that_a_dead_process_had_not_committed_are_counted() {
    for role in ["die", "die with a spool"] {
        let dir = tempfile::tempdir().unwrap();
        let child = Child::start(role, dir.path());
        while child.hear() != "ready" {}
        drop(child);
        let journal = options().open(dir.path()).unwrap();
        let reader = journal.reader().unwrap();
        let all = reader.inferences().with_inputs();
        let lost = all.filter(|found| found.as_ref().unwrap().1 == KeptInput::GivenUp);
        let (lost, health) = (lost.count() as u64, journal.health());
        assert_eq!(health.inputs.died, lost, "{role}");
        // Without lanes, what came after the last frame is lost as a whole.
        if role != "die" || health.black_box == BlackBox::Lanes {
            assert_eq!(lost, 50, "{role}");
        }
        journal.close().unwrap();
        let again = options().open(dir.path()).unwrap();
        assert_eq!(again.health().inputs.died, 0);
    }
}

#[test]
fn after_a_kill_each_decision_is_there_and_each_committed_input() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start("die", dir.path());
    let mut ids = Vec::new();
    loop {
        match child.hear().as_str() {
            "ready" => break,
            id => ids.push(id.parse::<InferenceId>().unwrap()),
        }
    }
    drop(child);
    let journal = options().open(dir.path()).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(ids.len(), 100);
    for (number, id) in ids.iter().enumerate() {
        let input = reader.input(*id).unwrap();
        if number < 50 {
            let input = input.kept().unwrap();
            assert_eq!(bits(input.features().unwrap()), bits(&features(number, 32)));
        } else {
            assert_eq!(input, KeptInput::GivenUp);
        }
    }
    if journal.health().black_box == BlackBox::Lanes {
        let found = reader.get_each(&ids).unwrap();
        assert!(found.iter().all(Option::is_some));
    }
    assert!(journal.maintenance().unwrap().verify().is_whole());
}

#[test]
fn two_processes_keep_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let log = |number| {
        recorder
            .log(recorder.start(), 0, &[1.0], &features(number, 32))
            .unwrap()
    };
    let mut ids = vec![(log(1_000), 1_000)];
    flush(&journal);
    let child = Child::start("close", dir.path());
    for number in 0_usize.. {
        match child.hear().as_str() {
            "closed" => break,
            id => ids.push((id.parse().unwrap(), number)),
        }
    }
    ids.push((log(1_001), 1_001));
    flush(&journal);
    let reader = journal.reader().unwrap();
    for (id, number) in ids {
        let input = kept(&reader, id);
        assert_eq!(bits(input.features().unwrap()), bits(&features(number, 32)));
    }
    assert_eq!(files(dir.path()).len(), 2);
    journal.close().unwrap();
    // The next opener leaves what counts, and removes what a crash left.
    fs::write(dir.path().join("inputs/99-1.inputs"), "garbage").unwrap();
    let journal = options().open(dir.path()).unwrap();
    assert_eq!(files(dir.path()).len(), 2);
    assert!(journal.maintenance().unwrap().verify().is_whole());
}

/// A closed journal with `many` inputs, a few frames of them.
fn closed(dir: &Path, many: usize) -> Vec<InferenceId> {
    let journal = options().open(dir).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let log = |number| {
        recorder
            .log(recorder.start(), 0, &[1.0], &features(number, 64))
            .unwrap()
    };
    let ids = (0..many).map(log).collect();
    journal.close().unwrap();
    ids
}

#[test]
fn bytes_behind_the_end_mean_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ids = closed(dir.path(), 1_000);
    let file = files(dir.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend([7; 1_000]);
    fs::write(&file, bytes).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(
        kept(&reader, ids[999]).features(),
        Some(&features(999, 64)[..])
    );
    assert!(Maintenance::open(dir.path()).unwrap().verify().is_whole());
}

#[test]
fn a_copy_without_the_folder_reads_as_removed_and_can_be_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let ids = closed(dir.path(), 10);
    fs::remove_dir_all(dir.path().join("inputs")).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.input(ids[3]).unwrap(), KeptInput::Removed);
    assert_eq!(reader.inferences().count().unwrap(), 10);
    drop(reader);
    let found = Maintenance::open(dir.path()).unwrap().verify();
    assert_eq!(found.defects[0].kind, DefectKind::Input);
    let repaired = repair(dir.path()).unwrap();
    assert_eq!(repaired.entries, 10);
    assert!(Maintenance::open(dir.path()).unwrap().verify().is_whole());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.input(ids[3]).unwrap(), KeptInput::Removed);
}

#[test]
fn damage_is_reported_and_a_repair_keeps_what_lies_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let ids = closed(dir.path(), 1_000);
    let file = files(dir.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    // In the third frame.
    let place = 140_000;
    bytes[place] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(kept(&reader, ids[0]).features(), Some(&features(0, 64)[..]));
    // Behind the damage, too.
    assert_eq!(
        kept(&reader, ids[999]).features(),
        Some(&features(999, 64)[..])
    );
    let refused = reader.input(ids[600]).unwrap_err();
    assert!(refused.to_string().contains("checksum"), "{refused}");
    assert_eq!(reader.inferences().count().unwrap(), 1_000);
    drop(reader);
    let found = Maintenance::open(dir.path()).unwrap().verify();
    assert_eq!(found.defects.len(), 1);
    assert_eq!(found.defects[0].kind, DefectKind::Input);
    let repaired = repair(dir.path()).unwrap();
    assert_eq!(fs::read(&repaired.set_aside[0]).unwrap(), bytes);
    assert!(Maintenance::open(dir.path()).unwrap().verify().is_whole());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(kept(&reader, ids[0]).features(), Some(&features(0, 64)[..]));
    assert_eq!(reader.input(ids[999]).unwrap(), KeptInput::GivenUp);
}

#[test]
fn a_hot_file_that_is_written_anew_keeps_the_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let ids = closed(dir.path(), 1_000);
    let hot = dir.path().join("journal.redb");
    // Every page that says anything about inputs is spoilt.
    let mut bytes = fs::read(&hot).unwrap();
    let key = (1_u64 << 40 | 1).to_be_bytes();
    let places: Vec<_> = bytes
        .windows(8)
        .enumerate()
        .filter(|(_, found)| *found == key)
        .collect();
    let places: Vec<usize> = places.into_iter().map(|(place, _)| place).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + 8..place + 20].fill(0x5a);
    }
    fs::write(&hot, bytes).unwrap();
    assert!(!Maintenance::open(dir.path()).is_ok_and(|opened| opened.verify().is_whole()));
    assert!(!repair(dir.path()).unwrap().is_untouched());
    assert!(Maintenance::open(dir.path()).unwrap().verify().is_whole());
    let reader = Reader::open(dir.path()).unwrap();
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(
            bits(kept(&reader, id).features().unwrap()),
            bits(&features(number, 64))
        );
    }
}

#[test]
fn backups_have_them_and_are_restored_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let journal = options().open(place("data")).unwrap();
    let recorder = keeping(&journal, KeepInputs::Always);
    let log = |number| {
        recorder
            .log(recorder.start(), 0, &[1.0], &features(number, 64))
            .unwrap()
    };
    let mut ids: Vec<_> = (0..300).map(log).collect();
    for _again in 0..2 {
        flush(&journal);
        let maintenance = journal.maintenance().unwrap();
        let copied = maintenance.backup(place("copy")).run().unwrap();
        assert!(copied.incomplete.is_empty());
        let reader = Reader::open(place("copy")).unwrap();
        for (number, id) in ids.iter().enumerate() {
            let input = kept(&reader, *id);
            assert_eq!(bits(input.features().unwrap()), bits(&features(number, 64)));
        }
        ids.extend((ids.len()..ids.len() + 300).map(log));
    }
    restore(place("copy"), place("restored")).unwrap();
    let restored = options().open(place("restored")).unwrap();
    let reader = restored.reader().unwrap();
    assert_eq!(
        kept(&reader, ids[599]).features(),
        Some(&features(599, 64)[..])
    );
    // It goes on with numbers of its own.
    let recorder = keeping(&restored, KeepInputs::Always);
    let id = recorder
        .log(recorder.start(), 0, &[1.0], &features(7_777, 64))
        .unwrap();
    flush(&restored);
    assert_eq!(kept(&reader, id).features(), Some(&features(7_777, 64)[..]));
    assert!(restored.maintenance().unwrap().verify().is_whole());
}

#[test]
fn files_go_with_the_last_decisions_that_need_them() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let journal = options().open(dir.path()).unwrap();
        let recorder = keeping(&journal, KeepInputs::Always);
        for number in 0..100 {
            let input = features(1_000 * run + number, 8);
            recorder.log(recorder.start(), 0, &[1.0], &input).unwrap();
        }
        flush(&journal);
        journal.seal(BOUND).unwrap();
        journal.close().unwrap();
    }
    assert_eq!(files(dir.path()).len(), 3);
    let maintenance = Maintenance::open(dir.path()).unwrap();
    maintenance.fold().unwrap();
    let policy = RetentionPolicy::new().max_count(150);
    maintenance
        .retention(policy)
        .plan()
        .unwrap()
        .apply()
        .unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let left = reader.inferences().with_inputs();
    let left: Vec<_> = left.map(|decided| decided.unwrap()).collect();
    assert_eq!(left.len(), 100);
    assert!(left.into_iter().all(|(_, input)| input.kept().is_some()));
    assert_eq!(files(dir.path()).len(), 1);
    assert!(maintenance.verify().is_whole());
}
