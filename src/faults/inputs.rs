//! Whatever fails while inputs are kept costs inputs alone, and is counted.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::disk::{Honesty, Recorder};
use super::ledger::{options, settled};
use super::nth::{Fault, Nth, Which};
use super::{HANG, Random, in_time, scale, scratch};
use crate::engine::directory::HOT_FILE;
use crate::entry::input::{Input, InputValues, KeptInput};
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::import::{Answer, Importer};
use crate::record::keep_inputs::KeepInputs;
use crate::{BlackBox, Inference, InferenceId, Journal, Maintenance, Reader};

/// Decisions between two flushes. Their inputs take more than a frame.
const ROUND: usize = 40;
const VALUES: usize = 512;

/// Refuses a call to files of inputs, or to their folder.
struct OfInputs<F>(F);

impl<F: Failpoint> Failpoint for OfInputs<F> {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let is_one = path.to_string_lossy().contains("/inputs");
        if is_one {
            self.0.before(path, call)
        } else {
            Ok(())
        }
    }
}

fn features(number: usize) -> Vec<f32> {
    let value = |place| u16::try_from(number * 7 + place).map(f32::from).unwrap();
    (0..VALUES).map(value).collect()
}

/// Logs a round of decisions, flushes, and returns their ids. The inputs of two rounds are equal.
fn round(journal: &Journal, round: usize) -> Vec<InferenceId> {
    let builder = journal.recorder("m", "s").actions(["BUY"]);
    let recorder = builder.keep_inputs(KeepInputs::Always).build().unwrap();
    let log = |number: usize| {
        let decision = recorder.inference(0).confidence(round as f32);
        let id = decision.features(&features(number)).log();
        id.unwrap()
    };
    let ids = (0..ROUND)
        .map(|number| log(round / 2 * ROUND + number))
        .collect();
    journal.flush().wait(HANG).unwrap();
    ids
}

/// The number of inputs that are there. Each is right, or was given up.
fn check(reader: &Reader, round: usize, ids: &[InferenceId]) -> usize {
    let mut kept = 0;
    for (number, id) in ids.iter().enumerate() {
        assert!(reader.get(*id).unwrap().is_some(), "no decision is lost");
        match reader.input(*id).unwrap() {
            KeptInput::Kept(input) => {
                let expected = features(round / 2 * ROUND + number);
                assert_eq!(input.features(), Some(&expected[..]));
                kept += 1;
            }
            KeptInput::GivenUp => {}
            other => panic!("{other:?}"),
        }
    }
    kept
}

fn fail(at: usize, fault: Fault) -> bool {
    let directory = scratch();
    let nth = Nth::new(Which::Changes, fault, at);
    let dir = directory.path().join("data");
    let black_box = if at.is_multiple_of(2) {
        BlackBox::Off
    } else {
        BlackBox::Lanes
    };
    // Small files, so that some end.
    let open = options()
        .black_box(black_box)
        .input_budget(64 << 20)
        .open(&dir);
    let journal = open.unwrap();
    let shared = std::sync::Arc::new(OfInputs(Shared(nth.clone())));
    let installed = install(directory.path(), shared);
    let rounds: Vec<_> = (0..6).map(|number| round(&journal, number)).collect();
    drop(installed);
    let last = round(&journal, 8);
    let health = settled(&journal);
    let inputs = &health.inputs;
    let all = (7 * ROUND) as u64;
    assert_eq!(
        inputs.kept + inputs.repeated + inputs.failed,
        all,
        "{inputs:?}"
    );
    assert_eq!(health.committed, all);
    assert_eq!(
        inputs.error.is_some(),
        nth.was_reached(),
        "call {at}: {inputs:?}"
    );
    let count = |reader: &Reader| {
        let rounds = rounds.iter().enumerate();
        let kept: usize = rounds.map(|(number, ids)| check(reader, number, ids)).sum();
        let last = check(reader, 8, &last);
        // The disk is well again.
        assert_eq!(last, ROUND, "call {at}");
        kept + last
    };
    let kept = count(&journal.reader().unwrap());
    let counted = usize::try_from(inputs.kept + inputs.repeated).unwrap();
    // The system may have lost what a failed sync should have kept: a later one does not count it.
    assert_eq!(kept, counted, "call {at}: {inputs:?}");
    journal.close().unwrap();
    assert_eq!(count(&Reader::open(&dir).unwrap()), kept);
    assert!(Maintenance::open(&dir).unwrap().verify().is_whole());
    nth.was_reached()
}

/// A failpoint that the test can still ask.
struct Shared(std::sync::Arc<Nth>);

impl Failpoint for Shared {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        self.0.before(path, call)
    }
}

#[test]
fn whatever_fails_costs_inputs_alone() {
    for fault in [Fault::Once, Fault::ForEver] {
        let mut at = 1;
        while in_time(&format!("call {at}"), move || fail(at, fault)) {
            at += 1;
        }
        assert!(at > 8, "{at} calls");
    }
}

#[test]
fn a_power_cut_costs_no_input_that_was_flushed() {
    let directory = scratch();
    let root = directory.path();
    let dir = root.join("data");
    let recorder = Recorder::new(root);
    let installed = install(root, recorder.clone());
    let journal = options().black_box(BlackBox::Off).open(&dir).unwrap();
    let mut rounds = Vec::new();
    for number in 0..5 {
        rounds.push(round(&journal, number));
        recorder.promise(number);
    }
    drop(journal);
    drop(installed);
    let log = recorder.log();
    let steps = log.steps();
    let mut random = Random::new();
    let rounds = std::sync::Arc::new(Mutex::new(rounds));
    for number in 0..scale(60, 300, 3_000) {
        let at = steps.get(number * 3).copied();
        let at = at.unwrap_or_else(|| random.below(log.len() + 1));
        let image = log.cut(at, Honesty::Honest, &mut random);
        let rounds = rounds.clone();
        in_time(&image.what.clone(), move || {
            let directory = scratch();
            image.write(directory.path());
            let dir = directory.path().join("data");
            if !dir.join(HOT_FILE).exists() {
                assert!(image.promise.is_none());
                return;
            }
            let journal = options().open(&dir).unwrap();
            let reader = journal.reader().unwrap();
            let promised = image.promise.map_or(0, |promise| promise + 1);
            let rounds = rounds.lock().unwrap();
            for (number, ids) in rounds.iter().take(promised).enumerate() {
                assert_eq!(check(&reader, number, ids), ROUND, "{}", image.what);
            }
            let found = journal.maintenance().unwrap().verify();
            assert!(found.is_whole(), "{}: {:?}", image.what, found.defects);
            journal.close().unwrap();
        });
    }
}

/// Stops the first write below it until the test goes on.
struct Stop {
    reached: SyncSender<()>,
    go_on: Mutex<Option<Receiver<()>>>,
}

impl Failpoint for Stop {
    fn before(&self, path: &Path, _call: IoCall<'_>) -> io::Result<()> {
        if path.ends_with("inputs")
            && let Some(go_on) = self.go_on.lock().unwrap().take()
        {
            self.reached.send(()).unwrap();
            go_on.recv_timeout(HANG).unwrap();
        }
        Ok(())
    }
}

/// The budget removes files between the snapshot of a backup and their copies.
#[test]
fn a_backup_tells_removed_inputs_from_missing_ones() {
    let directory = scratch();
    let place = |name: &str| directory.path().join(name);
    let open = options().input_budget(256 << 10).open(place("data"));
    let journal = open.unwrap();
    let mut rounds: Vec<_> = (0..8).map(|number| round(&journal, 2 * number)).collect();
    let before = journal.health().inputs.removed;
    let (reached, is_reached) = sync_channel(1);
    let (go, go_on) = sync_channel(1);
    let go_on = Mutex::new(Some(go_on));
    let installed = install(&place("copy"), std::sync::Arc::new(Stop { reached, go_on }));
    let copied = std::thread::scope(|scope| {
        let maintenance = journal.maintenance().unwrap();
        let copied = scope.spawn({
            let copy = place("copy");
            move || maintenance.backup(copy).run()
        });
        is_reached.recv_timeout(HANG).unwrap();
        while journal.health().inputs.removed < before + 8 * ROUND as u64 {
            rounds.push(round(&journal, 2 * rounds.len()));
        }
        go.send(()).unwrap();
        copied.join().unwrap()
    });
    drop(installed);
    assert!(copied.unwrap().incomplete.is_empty());
    let reader = Reader::open(place("copy")).unwrap();
    for ids in &rounds[..8] {
        for id in ids {
            assert_eq!(reader.input(*id).unwrap(), KeptInput::Removed);
        }
    }
    assert!(
        Maintenance::open(place("copy"))
            .unwrap()
            .verify()
            .is_whole()
    );
    drop(reader);
    // What the original lacks without a word is missing.
    std::fs::remove_dir_all(place("data/inputs")).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let copied = maintenance.backup(place("other")).run().unwrap();
    assert!(!copied.incomplete.is_empty());
}

/// An importer whose input could not be written adds nothing more: its decision would be left out
/// without a word. Another one takes all of it in.
#[test]
fn an_importer_that_failed_says_so_from_then_on() {
    let mut failures = 0;
    for at in 1..=8 {
        let directory = scratch();
        let dir = directory.path().join("data");
        Journal::open(&dir).unwrap().close().unwrap();
        let input = |number: usize| Input::new(InputValues::F32(features(number).into()), ["a"]);
        let add = |importer: &mut Importer, number: usize| {
            let id = importer.source("old")?.inference(number as u64)?;
            let decision = Inference::new("m", "s", "BUY");
            let input = KeptInput::Kept(input(number));
            importer.add_with_input(id, &decision, Answer::Full, &input)
        };
        let failed = {
            let nth = Shared(Nth::new(Which::Changes, Fault::Once, at));
            let _installed = install(directory.path(), Arc::new(OfInputs(nth)));
            let mut importer = Importer::open(&dir).unwrap();
            let first = add(&mut importer, 1).and_then(|_| importer.commit());
            if first.is_ok() {
                continue;
            }
            // The disk works again, and nothing that follows hides the failure.
            let again = [
                add(&mut importer, 2).map(drop),
                importer.commit(),
                importer.close(),
            ];
            again.iter().all(Result::is_err)
        };
        assert!(failed, "at {at}");
        failures += 1;
        let mut importer = Importer::open(&dir).unwrap();
        for number in [1, 2] {
            add(&mut importer, number).unwrap();
        }
        let run = importer.source("old").unwrap();
        importer.close().unwrap();
        let reader = Reader::open(&dir).unwrap();
        for number in [1, 2] {
            let id = run.inference(number as u64).unwrap();
            assert!(reader.get(id).unwrap().is_some(), "at {at}: {number}");
            assert_eq!(reader.input(id).unwrap().kept(), Some(input(number)));
        }
    }
    assert!(failures > 2, "{failures}");
}
