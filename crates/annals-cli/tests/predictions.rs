//! Predictions and their errors: what `stats` and `explain` say of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use annals::{Inference, Journal, Outcome};
use common::{Place, json, run};

/// Two forecasts of which the actual is known, and one of which it is not.
fn forecasts(place: &Place) -> Vec<String> {
    let journal = Journal::open(&place.data).unwrap();
    let mut ids = Vec::new();
    for (price, actual) in [(101.5, Some(100.0)), (98.0, Some(100.0)), (99.0, None)] {
        let forecast = Inference::new("forecast", "s", "up");
        let forecast = forecast.prediction("price", price).prediction("volume", 7);
        let id = journal.log(forecast).unwrap();
        if let Some(actual) = actual {
            journal.attach_outcome(id, Outcome::new().actual_of("price", actual));
        }
        ids.push(id.to_string());
    }
    journal.log(Inference::new("plain", "s", "up")).unwrap();
    journal.close().unwrap();
    ids
}

#[test]
fn explain_shows_prediction_actual_and_error() {
    let place = Place::new();
    let ids = forecasts(&place);
    let known = &json(&place.data, &["explain", &ids[0]])[0];
    assert_eq!(
        known["predictions"],
        serde_json::json!([
            {"name": "price", "predicted": 101.5, "actual": 100.0, "error": 1.5},
            {"name": "volume", "predicted": 7.0, "actual": null, "error": null},
        ])
    );
    assert_eq!(known["inference"]["predictions"]["price"], 101.5);
    let text = run(&place.data, &["explain", &ids[0]], 0);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(
        rows.contains(&vec!["name", "predicted", "actual", "error"]),
        "{text}"
    );
    let price = rows
        .iter()
        .find(|row| row.first() == Some(&"price"))
        .unwrap();
    assert!(
        price.ends_with(&["1.50"]) || price.ends_with(&["1.500"]),
        "{text}"
    );
    let volume = rows
        .iter()
        .find(|row| row.first() == Some(&"volume"))
        .unwrap();
    assert_eq!(volume[2..], ["-", "-"], "{text}");
}

#[test]
fn stats_shows_the_errors_of_each_prediction() {
    let place = Place::new();
    forecasts(&place);
    let known = &json(&place.data, &["stats"])[0];
    let errors = &known["all"]["predictions"]["price"];
    assert_eq!(
        (&errors["count"], &errors["bias"]),
        (&2.into(), &(-0.25).into())
    );
    assert_eq!(errors["mae"], 1.75);
    assert!(known["all"]["predictions"]["volume"].is_null());
    let text = run(&place.data, &["stats"], 0);
    let heading = text.lines().find(|line| line.contains("RMSE")).unwrap();
    assert!(
        heading.contains("bias") && heading.contains("p95"),
        "{text}"
    );
    let price = text.lines().find(|line| line.contains(" price ")).unwrap();
    assert!(
        price.starts_with("forecast") && price.contains("1.75"),
        "{text}"
    );
    // Without predictions there is no table of them.
    let text = run(&place.data, &["stats", "--model", "plain"], 0);
    assert!(!text.contains("RMSE"), "{text}");
}
