//! Predictions of decisions, and the actuals that they are compared with.

#![allow(clippy::unwrap_used)]

mod support;

use annals::import::{Answer, Importer};
use annals::{Group, Inference, InferenceId, Journal, Outcome, Reader, Timestamp};
use support::flush;

fn journal(dir: &std::path::Path) -> Journal {
    Journal::options().without_mirror().open(dir).unwrap()
}

fn logged(journal: &Journal, predictions: &[(&str, f64)]) -> InferenceId {
    let forecast = Inference::new("forecast", "ETH/USDT", "up").predictions(predictions);
    journal.log(forecast).unwrap()
}

/// The figures of a prediction: count, bias, MAE, invalid.
fn figures(journal: &Journal, name: &str) -> Option<(u64, Option<f64>, Option<f64>, u64)> {
    let stats = journal.stats("forecast").get().unwrap();
    let errors = stats.prediction(name)?;
    Some((errors.count, errors.bias, errors.mae, errors.invalid))
}

#[test]
fn an_actual_that_is_replaced_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let id = logged(&journal, &[("price", 101.5)]);
    flush(&journal);
    journal.fold(support::BOUND).unwrap();
    assert_eq!(figures(&journal, "price"), None);
    for (actual, bias) in [(100.0, 1.5), (102.0, -0.5), (101.5, 0.0)] {
        journal.attach_outcome(id, Outcome::new().actual(actual));
        flush(&journal);
        let expected = Some((1, Some(bias), Some(f64::abs(bias)), 0));
        assert_eq!(figures(&journal, "price"), expected);
        journal.fold(support::BOUND).unwrap();
        assert_eq!(figures(&journal, "price"), expected, "folded");
    }
}

#[test]
fn an_actual_by_name_comes_before_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let one = logged(&journal, &[("price", 10.0)]);
    let two = logged(&journal, &[("price", 10.0), ("volume", 5.0)]);
    for id in [one, two] {
        journal.attach_outcome(id, Outcome::new().actual(9.0));
    }
    flush(&journal);
    // Of two predictions, nobody knows which one is meant.
    assert_eq!(
        figures(&journal, "price"),
        Some((1, Some(1.0), Some(1.0), 0))
    );
    assert_eq!(figures(&journal, "volume"), None);
    for id in [one, two] {
        journal.attach_outcome(id, Outcome::new().actual_of("price", 12.0));
        // It is older news by then.
        journal.attach_outcome(id, Outcome::new().actual(9.0));
    }
    journal.attach_outcome(
        two,
        Outcome::new()
            .actual_of("volume", 1.0)
            .actual_of("other", 7.0),
    );
    flush(&journal);
    for fold in [false, true] {
        if fold {
            journal.fold(support::BOUND).unwrap();
        }
        assert_eq!(
            figures(&journal, "price"),
            Some((2, Some(-2.0), Some(2.0), 0))
        );
        assert_eq!(
            figures(&journal, "volume"),
            Some((1, Some(4.0), Some(4.0), 0))
        );
        assert_eq!(figures(&journal, "other"), None);
    }
    let reader = journal.reader().unwrap();
    let outcomes = reader.outcome(two).unwrap().unwrap();
    let record = reader.get(two).unwrap().unwrap();
    let actual = |name| record.actual_of(name, &outcomes).map(|latest| latest.value);
    assert_eq!([actual("price"), actual("volume")], [Some(12.0), Some(1.0)]);
    assert_eq!(actual("other"), None);
    assert_eq!(outcomes.actual().map(|latest| latest.value), Some(9.0));
}

#[test]
fn numbers_that_are_not_finite_are_stored_and_count_as_invalid() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    for (predicted, actual) in [
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (1.0, f64::NEG_INFINITY),
        (f64::MAX, f64::MIN),
        (3.0, 1.0),
    ] {
        let id = logged(&journal, &[("price", predicted)]);
        journal.attach_outcome(id, Outcome::new().actual(actual));
        flush(&journal);
        let record = journal.reader().unwrap().get(id).unwrap().unwrap();
        let found = record.prediction("price").unwrap();
        assert_eq!(found.to_bits(), predicted.to_bits());
    }
    assert_eq!(
        figures(&journal, "price"),
        Some((1, Some(2.0), Some(2.0), 4))
    );
}

#[test]
fn under_each_name_the_last_prediction_holds() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let forecast = Inference::new("forecast", "ETH/USDT", "up").predictions(&[("price", 1.0)]);
    let forecast = forecast
        .prediction("price", 2)
        .prediction("", 0.5)
        .prediction("price", 3.0);
    let id = journal.log(forecast).unwrap();
    flush(&journal);
    let record = journal.reader().unwrap().get(id).unwrap().unwrap();
    let found: Vec<_> = record
        .predictions
        .iter()
        .map(|(name, value)| (&**name, *value))
        .collect();
    assert_eq!(found, [("", 0.5), ("price", 3.0)]);
}

/// More are refused, and so is a list that is not as long as its names.
#[test]
fn what_cannot_be_stored_as_it_was_given_is_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let names: Vec<String> = (0..1_025).map(|number| format!("p{number}")).collect();
    let many: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 0.5)).collect();
    let forecast = Inference::new("forecast", "s", "up");
    assert!(journal.log(forecast.predictions(&many[..1_024])).is_some());
    assert!(journal.log(forecast.predictions(&many)).is_none());
    let builder = || journal.recorder("forecast", "s").actions(["up"]);
    let recorder = builder().predictions(["price", "volume"]).build().unwrap();
    for given in [&[1.0][..], &[1.0; 3]] {
        assert!(recorder.inference(0).predictions(given).log().is_none());
    }
    let unbound = builder().build().unwrap();
    assert!(unbound.inference(0).predictions(&[1.0]).log().is_none());
    assert!(
        recorder
            .inference(0)
            .predictions(&[1.0, 2.0])
            .log()
            .is_some()
    );
    assert!(
        recorder.inference(0).predictions(&[]).log().is_some(),
        "none are given"
    );
    flush(&journal);
    let reasons: Vec<String> = journal
        .health()
        .refusals
        .iter()
        .map(|counted| {
            let refusal = &counted.refusal;
            let model = refusal.model.as_deref().unwrap();
            format!(
                "{model}, {}: {} ({})",
                refusal.field, refusal.reason, counted.count
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "forecast, predictions: more than 1024 cannot be stored (first: 1025) (1)",
            "forecast, predictions: the recorder has 2 bound names for them (first: 1) (2)",
            "forecast, predictions: the recorder has 0 bound names for them (first: 1) (1)",
        ]
    );
    assert!(builder().predictions(["price", "price"]).build().is_err());
    assert!(builder().predictions(&names).build().is_err());
}

/// Names beyond the bound of the table go as text.
#[test]
fn names_without_room_in_the_table_are_stored_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options().without_mirror().max_names(3);
    let journal = options.open(dir.path()).unwrap();
    let builder = journal.recorder("forecast", "ETH/USDT").actions(["up"]);
    let recorder = builder
        .predictions(["price", "volume", "range"])
        .build()
        .unwrap();
    let vector = [0.5];
    let decision = recorder.inference(0).predictions(&[1.0, 2.0, 3.0]);
    let id = decision.action_vector(&vector).log().unwrap();
    let other = logged(&journal, &[("drawdown", 4.0), ("price", 5.0)]);
    journal.attach_outcome(id, Outcome::new().actual_of("range", 1.0));
    flush(&journal);
    let reader = journal.reader().unwrap();
    let (one, two) = (
        reader.get(id).unwrap().unwrap(),
        reader.get(other).unwrap().unwrap(),
    );
    let shown = |record: &annals::InferenceRecord| format!("{:?}", record.predictions);
    assert_eq!(
        shown(&one),
        r#"[("price", 1.0), ("range", 3.0), ("volume", 2.0)]"#
    );
    assert_eq!(shown(&two), r#"[("drawdown", 4.0), ("price", 5.0)]"#);
    assert_eq!(
        figures(&journal, "range"),
        Some((1, Some(2.0), Some(2.0), 0))
    );
}

/// Every forecast is a decision of its own, with the same answer to the same features too.
#[test]
fn a_decision_that_predicts_is_no_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let builder = journal
        .recorder("forecast", "s")
        .actions(["up"])
        .deterministic();
    let recorder = builder.predictions(["price"]).build().unwrap();
    for price in [1.0, 1.0, 2.0] {
        assert!(
            recorder
                .inference(0)
                .features(&[0.5])
                .predictions(&[price])
                .log()
                .is_some()
        );
    }
    flush(&journal);
    let health = journal.health();
    assert_eq!(
        (health.repeats, health.divergences),
        (0, 1),
        "another price is another answer"
    );
}

#[test]
fn errors_are_kept_by_model_symbol_checkpoint_and_day() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let day = |number: i64| Timestamp::from_micros(number * 86_400_000_000 + 7);
    for number in 0..40_u8 {
        let symbol = ["ETH", "BTC"][usize::from(number % 2)];
        let checkpoint = ["c1", "c2"][usize::from(number / 2 % 2)];
        let forecast = Inference::new("forecast", symbol, "up")
            .checkpoint(checkpoint)
            .event_time(day((number / 4 % 3).into()))
            .prediction("price", number);
        let id = journal.log(forecast).unwrap();
        journal.attach_outcome(id, Outcome::new().actual(0.0));
    }
    flush(&journal);
    let groups = [Group::Model, Group::Symbol, Group::Checkpoint, Group::Day];
    let look = || {
        let rows = journal.stats_of_all().by(groups).unwrap();
        let errors = |row: &annals::stats::StatsRow| {
            let errors = row.stats.prediction("price").unwrap();
            (
                row.symbol.clone(),
                row.checkpoint.clone(),
                row.time,
                errors.count,
                errors.bias,
            )
        };
        rows.iter().map(errors).collect::<Vec<_>>()
    };
    let rows = look();
    assert_eq!(rows.len(), 12);
    assert_eq!(rows.iter().map(|row| row.3).sum::<u64>(), 40);
    journal.fold(support::BOUND).unwrap();
    assert_eq!(look(), rows);
    drop(journal);
    // Sealed and folded, in another process.
    let reader = Reader::open(dir.path()).unwrap();
    let all = reader.stats_of_all().by(Group::Action).unwrap();
    let errors = all[0].stats.prediction("price").unwrap();
    assert_eq!((errors.count, errors.bias), (40, Some(19.5)));
}

#[test]
fn an_import_takes_predictions_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut importer = Importer::open(dir.path().join("data")).unwrap();
    let id = importer.source("old.db").unwrap().inference(1).unwrap();
    let predictions = [("price", 1.0), ("volume", 2.0), ("price", 3.0)];
    let forecast = Inference::new("forecast", "s", "up").predictions(&predictions);
    assert!(importer.add(id, &forecast, Answer::Full).unwrap());
    importer.close().unwrap();
    let reader = Reader::open(dir.path().join("data")).unwrap();
    let record = reader.get(id).unwrap().unwrap();
    assert_eq!(record.prediction("price"), Some(3.0));
    assert_eq!(record.prediction("volume"), Some(2.0));
}
