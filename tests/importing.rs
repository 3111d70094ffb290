//! Records of other sources are taken in once, however often they are read and whichever process
//! dies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use annals::entry::{Input, InputValues, KeptInput, RunState};
use annals::import::{Answer, Importer};
use annals::{Error, Inference, Journal, Maintenance, Outcome, Reader, Timestamp, Value};

const WAIT: Duration = Duration::from_secs(60);

fn take(dir: &std::path::Path, source: &str, numbers: impl IntoIterator<Item = u64>) -> u64 {
    let mut importer = Importer::open(dir).unwrap();
    let new = add(&mut importer, source, numbers);
    importer.close().unwrap();
    new
}

fn add(importer: &mut Importer, source: &str, numbers: impl IntoIterator<Item = u64>) -> u64 {
    let run = importer.source(source).unwrap();
    let mut new = 0;
    for number in numbers {
        let id = run.inference(number).unwrap();
        let inference = Inference::new("m", "s", "BUY")
            .confidence(0.5)
            .probabilities(&[("BUY", 0.5), ("SELL", 0.25)])
            .features_hashed(number)
            .event_time(Timestamp::from_micros(i64::try_from(number).unwrap()));
        new += u64::from(importer.add(id, &inference, Answer::Full).unwrap());
    }
    new
}

fn numbers(dir: &std::path::Path) -> Vec<(u32, u64)> {
    let records = Reader::open(dir).unwrap().inferences().iter();
    let mut found: Vec<_> = records
        .map(|record| record.unwrap().id)
        .map(|id| (id.run().get(), id.counter()))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn twice_is_once_whatever_the_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    assert_eq!(take(&dir, "a", (1..=3_000).step_by(3)), 1_000);
    assert_eq!(take(&dir, "a", (1..=3_000).step_by(3)), 0);
    // Overlapping, out of order, and the same number twice in one go.
    let rest = (1..=3_000).rev().chain(500..600);
    assert_eq!(take(&dir, "a", rest), 2_000);
    assert_eq!(take(&dir, "b", 1..=10), 10);
    let ids = numbers(&dir);
    assert_eq!(ids.len(), 3_010);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    // Also after all of it was sealed away.
    let journal = Journal::open(&dir).unwrap();
    assert!(journal.seal(WAIT).unwrap() >= 3_010);
    journal.close().unwrap();
    assert_eq!(take(&dir, "a", 1..=3_001), 1);
}

#[test]
fn what_a_dead_importer_left_is_completed_and_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let mut importer = Importer::open(&dir).unwrap();
    assert_eq!(add(&mut importer, "a", 1..=100), 100);
    importer.commit().unwrap();
    assert_eq!(add(&mut importer, "a", 101..=200), 100);
    drop(importer); // As a process that dies: without an end, and what was not committed is gone.

    let journal = Journal::open(&dir).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.gaps().count(), 0);
    let runs: Vec<_> = reader.runs().map(Result::unwrap).collect();
    assert_eq!(runs[0].source.as_deref(), Some("a"));
    assert!(matches!(runs[0].state, RunState::Died(Some(_))));
    assert_eq!(numbers(&dir).len(), 100);

    // Beside a journal that is open.
    assert_eq!(take(&dir, "a", 1..=200), 100);
    assert_eq!(numbers(&dir).len(), 200);
    let runs: Vec<_> = reader.runs().map(Result::unwrap).collect();
    assert!(matches!(runs[0].state, RunState::Closed(_)));
    assert_eq!(runs[0].committed, 200);
    journal.close().unwrap();
}

#[test]
fn one_source_is_taken_in_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let mut first = Importer::open(&dir).unwrap();
    first.source("a").unwrap();
    let mut second = Importer::open(&dir).unwrap();
    assert!(matches!(
        second.source("a"),
        Err(annals::Error::InUse { .. })
    ));
    second.source("b").unwrap();
    first.close().unwrap();
    second.source("a").unwrap();
}

#[test]
fn names_that_have_no_number_and_gaps_come_through() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let long = "x".repeat(300);
    let probabilities = [(&*long, 0.75)];
    for _twice in 0..2 {
        let mut importer = Importer::open(&dir).unwrap();
        let run = importer.source("a").unwrap();
        let inference = Inference::new(&long, "s", &long)
            .probabilities(&probabilities)
            .checkpoint(&long)
            .event_time(Timestamp::from_micros(-5));
        let id = run.inference(9).unwrap();
        importer.add(id, &inference, Answer::Divergent).unwrap();
        let repeat = run.inference(10).unwrap();
        importer
            .add(repeat, &inference, Answer::RepeatOf(id))
            .unwrap();
        importer.close().unwrap();
    }
    let reader = Reader::open(&dir).unwrap();
    let all: Vec<_> = reader
        .inferences()
        .repeats(annals::Repeats::Include)
        .iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(all.len(), 2);
    for record in &all {
        assert_eq!((&*record.model, &*record.action), (&*long, &*long));
        assert_eq!(record.checkpoint.as_deref(), Some(&*long));
        assert_eq!(record.confidence, Some(0.75));
        assert_eq!(record.probabilities.get(&long), Some(0.75));
        assert_eq!(record.event_time, Timestamp::from_micros(-5));
    }
    assert!(all[0].divergent);
    assert_eq!(all[1].repeat_of, Some(all[0].id));
}

#[test]
fn ids_of_other_runs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path().join("data")).unwrap();
    let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
    let mut importer = Importer::open(dir.path().join("data")).unwrap();
    let refused = importer.add(id, &Inference::new("m", "s", "BUY"), Answer::Full);
    assert!(matches!(refused, Err(annals::Error::InvalidOption { .. })));
    let run = importer.source("a").unwrap();
    assert!(run.inference(1 << 40).is_err());
    journal.close().unwrap();
}

#[test]
fn outcomes_are_taken_in_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    for _twice in 0..2 {
        let mut importer = Importer::open(&dir).unwrap();
        let run = importer.source("a").unwrap();
        let id = run.inference(1).unwrap();
        let new = importer
            .add(id, &Inference::new("m", "s", "BUY"), Answer::Full)
            .unwrap();
        let at = |micros| Timestamp::from_micros(micros);
        let first = Outcome::new().reward(f64::NAN).value("pnl", 2.0).at(at(5));
        assert_eq!(importer.add_outcome(id, &first).unwrap(), new);
        assert!(!importer.add_outcome(id, &first).unwrap());
        let second = Outcome::new().reward(3.0).label("x").at(at(6));
        assert_eq!(importer.add_outcome(id, &second).unwrap(), new);
        importer.close().unwrap();
    }
    let reader = Reader::open(&dir).unwrap();
    let entries: Vec<_> = reader.follow(reader.start()).unwrap().collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(
        entries[2].as_ref().unwrap().to_string(),
        "1970-01-01 00:00:00 | 1-1             | reward=3 label=x"
    );
    let id = reader.newest(1).next().unwrap().unwrap().id;
    let known = reader.outcome(id).unwrap().unwrap();
    assert_eq!(known.reward.map(|latest| latest.value), Some(3.0));
    assert_eq!(known.get("pnl").map(|latest| latest.value), Some(2.0));
}

/// An entry that a reader could not decode is refused where it comes in, and costs that row alone.
#[test]
fn a_row_that_no_reader_could_decode_is_refused() {
    const MOST: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let mut importer = Importer::open(&dir).unwrap();
    let run = importer.source("a").unwrap();
    let (fits, beyond) = ("y".repeat(MOST - 200), "y".repeat(MOST + 1));
    let many: Vec<(&str, Value)> = vec![("k", Value::Integer(1)); 700_000];
    let mut number = 0;
    let mut add = |inference: &Inference<'_>| {
        number += 1;
        importer.add(run.inference(number).unwrap(), inference, Answer::Full)
    };
    let plain = || Inference::new("m", "s", "BUY");
    let text = |text: &str| [("k", Value::from(text))];
    let labels = [("BUY", 0.5), (&*fits, 0.5)];
    add(&Inference::new(&fits, "s", "BUY")).unwrap();
    add(&Inference::new("m", &fits, "BUY")).unwrap();
    add(&Inference::new("m", "s", &fits)).unwrap();
    add(&plain().checkpoint(&fits)).unwrap();
    add(&plain().probabilities(&labels)).unwrap();
    add(&plain().attributes(&text(&fits))).unwrap();
    let long = [("BUY", 0.5), (&*beyond, 0.5)];
    let crowd = vec![("BUY", 0.0); 1_025];
    for (field, refused) in [
        ("model", add(&Inference::new(&beyond, "s", "BUY"))),
        ("symbol", add(&Inference::new("m", &beyond, "BUY"))),
        ("action", add(&Inference::new("m", "s", &beyond))),
        ("checkpoint", add(&plain().checkpoint(&beyond))),
        ("labels", add(&plain().probabilities(&long))),
        ("probabilities", add(&plain().probabilities(&crowd))),
        ("attributes", add(&plain().attributes(&text(&beyond)))),
        ("attributes", add(&plain().attributes(&many))),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
    add(&plain()).unwrap();
    let id = run.inference(1).unwrap();
    let name = "v".repeat(MOST + 1);
    assert!(
        importer
            .add_outcome(id, &Outcome::new().label(&beyond))
            .is_err()
    );
    let named = Outcome::new().reward(1.0).value(&name, 1.0);
    assert!(importer.add_outcome(id, &named).is_err());
    assert!(
        importer
            .add_outcome(id, &Outcome::new().label(&fits))
            .unwrap()
    );
    importer.close().unwrap();
    assert_eq!(numbers(&dir).len(), 7);
    assert!(Maintenance::open(&dir).unwrap().verify().is_whole());
    let journal = Journal::open(&dir).unwrap();
    assert_eq!(journal.stats("m").get().unwrap().count, 6);
    journal.close().unwrap();
}

/// Everything of a journal that is not of `run`, with its place.
fn others(dir: &std::path::Path, run: annals::RunId) -> Vec<(u64, String)> {
    let reader = Reader::open(dir).unwrap();
    let entries = reader.follow(reader.start()).unwrap().map(Result::unwrap);
    let kept = entries.filter(|entry| match &entry.content {
        annals::Content::Inference(record) => record.id.run() != run,
        annals::Content::Repeat(repeat) => repeat.id.run() != run,
        annals::Content::Outcome(outcome) => outcome.of.run() != run,
        annals::Content::Gap(gap) => gap.reason != annals::entry::GapReason::Withdrawn,
        _ => true,
    });
    kept.map(|entry| (entry.sequence, entry.to_string()))
        .collect()
}

#[test]
fn an_import_that_is_undone_leaves_the_rest_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let log = |count: usize| {
        let journal = Journal::open(&dir).unwrap();
        for number in 0..count {
            let action = ["BUY", "SELL"][number % 2];
            let id = journal.log(Inference::new("live", "s", action).confidence(0.25));
            journal.attach_outcome(id.unwrap(), Outcome::new().reward(1.0));
        }
        journal.flush().wait(WAIT).unwrap();
        journal
    };
    let import = |numbers: std::ops::RangeInclusive<u64>| {
        let mut importer = Importer::open(&dir).unwrap();
        add(&mut importer, "a", numbers.clone());
        let run = importer.source("a").unwrap();
        for number in numbers {
            let id = run.inference(number).unwrap();
            let outcome = Outcome::new().reward(5.0).at(Timestamp::from_micros(9));
            importer.add_outcome(id, &outcome).unwrap();
        }
        importer.close().unwrap();
        run
    };
    // Own entries and the import's in a segment and after it, in blocks that were merged.
    log(20).close().unwrap();
    let run = import(1..=300);
    let journal = log(20);
    assert!(journal.seal(WAIT).unwrap() > 300);
    journal.close().unwrap();
    import(301..=600);
    log(20).close().unwrap();
    let live = |dir: &std::path::Path| {
        let stats = Reader::open(dir).unwrap().stats("live").get().unwrap();
        (stats.count, stats.outcomes.reward.sum)
    };
    let (before, counted) = (others(&dir, run), live(&dir));
    let runs = Reader::open(&dir).unwrap().runs().count();

    let journal = Journal::open(&dir).unwrap();
    assert!(matches!(
        annals::maintenance::undo_import(&dir, run),
        Err(Error::InUse { .. })
    ));
    let own = Reader::open(&dir).unwrap().runs().next().unwrap().unwrap();
    journal.close().unwrap();
    assert!(matches!(
        annals::maintenance::undo_import(&dir, own.id),
        Err(Error::InvalidOption { .. })
    ));
    let undone = annals::maintenance::undo_import(&dir, run).unwrap();
    assert_eq!((&*undone.source, undone.inferences), ("a", 600));
    assert_eq!(undone.others, 600);

    let mut after = others(&dir, run);
    // The run that tried to undo it beside an open journal left its own word.
    after.truncate(before.len());
    assert_eq!(after, before);
    assert_eq!(live(&dir), counted);
    let reader = Reader::open(&dir).unwrap();
    assert_eq!(reader.stats("m").get().unwrap().count, 0);
    let all = reader.stats("live").get().unwrap();
    assert_eq!(all.coverage.dropped, 0);
    let verified = Maintenance::open(&dir).unwrap().verify();
    assert!(verified.is_whole(), "{verified:?}");
    assert!(!dir.join("damaged").exists());

    // Once more, under a number that no run had.
    let again = import(1..=300);
    assert!(again.get() as usize > runs);
    assert_eq!(
        Reader::open(&dir).unwrap().stats("m").get().unwrap().count,
        300
    );
    assert!(annals::maintenance::undo_import(&dir, run).is_err());
    assert!(Maintenance::open(&dir).unwrap().verify().is_whole());
}

/// The values of the input of one decision, and the names of these.
fn input_of(number: u16) -> KeptInput {
    let values = InputValues::F32(vec![f32::from(number), f32::NAN].into());
    KeptInput::Kept(Input::new(values, ["spread", "volume"]))
}

#[test]
fn inputs_are_taken_in_once_also_after_a_death() {
    let dir = tempfile::tempdir().unwrap();
    let take_in = |until: u16| {
        let mut importer = Importer::open(dir.path()).unwrap();
        // More sources than files are open at once, in turn.
        for number in 0..until {
            let run = importer.source(&format!("source {}", number % 20)).unwrap();
            let id = run.inference(u64::from(number) + 1).unwrap();
            let decision = Inference::new("m", "s", "BUY").features_hashed(number.into());
            let input = match number % 10 {
                7 => KeptInput::Removed,
                8 => KeptInput::GivenUp,
                9 => KeptInput::NotKept,
                _ => input_of(number),
            };
            let added = importer.add_with_input(id, &decision, Answer::Full, &input);
            added.unwrap();
        }
        importer
    };
    let mut importer = take_in(100);
    importer.commit().unwrap();
    // It dies here: its runs stay open.
    drop(importer);
    for _twice in 0..2 {
        take_in(200).close().unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        let decided = reader.inferences().with_inputs();
        let mut found = 0;
        for decided in decided {
            let (record, input) = decided.unwrap();
            let number = u16::try_from(record.feature_hash.unwrap()).unwrap();
            let expected = match number % 10 {
                7 => KeptInput::Removed,
                8 => KeptInput::GivenUp,
                9 => KeptInput::NotKept,
                _ => input_of(number),
            };
            assert_eq!(format!("{input:?}"), format!("{expected:?}"), "{number}");
            found += 1;
        }
        assert_eq!(found, 200);
        assert!(Maintenance::open(dir.path()).unwrap().verify().is_whole());
    }
    // A journal that is opened leaves the files of ended imports.
    Journal::open(dir.path()).unwrap().close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let inputs = reader.inferences().with_inputs();
    let kept = inputs.filter(|found| found.as_ref().unwrap().1.clone().kept().is_some());
    assert_eq!(kept.count(), 140);
}

#[test]
fn an_input_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut importer = Importer::open(dir.path()).unwrap();
    let id = importer.source("a").unwrap().inference(1).unwrap();
    let bytes = vec![0; (1 << 20) + 1];
    let decision = Inference::new("m", "s", "BUY").keep_bytes(&bytes);
    let refused = importer.add(id, &decision, Answer::Full).unwrap_err();
    assert!(refused.to_string().contains("1 MiB"), "{refused}");
    let input = Input::new(InputValues::Bytes(vec![1].into()), ["x".repeat(1 << 16)]);
    let input = KeptInput::Kept(input);
    let decision = Inference::new("m", "s", "BUY");
    let refused = importer.add_with_input(id, &decision, Answer::Full, &input);
    assert!(refused.unwrap_err().to_string().contains("64 KiB"));
    let decision = decision.keep_bytes(b"x");
    assert!(importer.add(id, &decision, Answer::Full).unwrap());
    importer.close().unwrap();
    let input = Reader::open(dir.path()).unwrap().input(id).unwrap();
    assert_eq!(
        input.kept().unwrap().values,
        InputValues::Bytes(vec![b'x'].into())
    );
}
