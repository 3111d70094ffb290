//! The command and the library say the same in JSON.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use annals::entry::RecordedOutcome;
use annals::{Entry, Inference, Journal, Level, Outcome, Reader, StatsQuery};
use common::json;
use serde_json::Value as Json;

fn of(what: &impl serde::Serialize) -> Json {
    serde_json::to_value(what).unwrap()
}

/// Asserts that all of `part` is in `whole`; a mean may differ in its last digit.
fn assert_within(part: &Json, whole: &Json, path: &str) {
    match (part, whole) {
        (Json::Object(part), Json::Object(whole)) => {
            for (key, value) in part {
                let path = format!("{path}.{key}");
                assert_within(
                    value,
                    whole.get(key).unwrap_or_else(|| panic!("no {path}")),
                    &path,
                );
            }
        }
        (Json::Array(part), Json::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{path}");
            for (index, (part, whole)) in part.iter().zip(whole).enumerate() {
                assert_within(part, whole, &format!("{path}[{index}]"));
            }
        }
        (Json::Number(part), Json::Number(whole)) => {
            let (part, whole) = (part.as_f64().unwrap(), whole.as_f64().unwrap());
            assert!(
                (part - whole).abs() <= 1e-6 * part.abs(),
                "{path}: {part}, {whole}"
            );
        }
        (part, whole) => assert_eq!(part, whole, "{path}"),
    }
}

#[test]
fn entries_and_statistics_are_the_same_in_both() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    common::journal(dir, 30);
    let reader = Reader::open(dir).unwrap();

    let told = json(dir, &["tail", "-n", "30"]);
    let mut known: Vec<_> = reader
        .newest(30)
        .map(|record| of(&record.unwrap()))
        .collect();
    known.reverse();
    assert_eq!(told.len(), known.len());
    for (told, known) in told.iter().zip(&known) {
        assert_within(known, told, "inference");
        assert!(told["id"].is_string() && told["feature_hash"].is_string());
        assert!(told["processing_ns"].is_number() && told["event_time"].is_string());
    }

    let stats: StatsQuery = reader.stats("dqn_agent");
    let told = json(dir, &["stats", "--model", "dqn_agent"]);
    assert_within(&told[0]["all"], &of(&stats.get().unwrap()), "stats");

    let told = json(dir, &["status"]);
    let runs: Vec<_> = reader.runs().map(|run| of(&run.unwrap())).collect();
    for (told, known) in told[0]["runs"].as_array().unwrap().iter().zip(&runs) {
        let mut told = told.clone();
        told.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        assert_within(&told, known, "run");
    }
}

/// The lines of an export are in the library's dialect: entries, and the history of each decision.
#[test]
fn the_library_reads_what_export_writes() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    common::journal(dir, 30);
    let open = Journal::open(dir).unwrap();
    let id = open.log(Inference::new("m", "s", "BUY")).unwrap();
    open.attach_outcome(id, Outcome::new().reward(f64::INFINITY).value("bp", 0.5));
    open.attach_outcome(id, Outcome::new().reward(2.0).correct(true));
    open.event(Level::Warn, "feed", "late");
    open.close().unwrap();
    let text = common::run(dir, &["export", "-", "--format", "jsonl"], 0);
    let mut kinds = BTreeSet::new();
    for line in text.lines() {
        let json: Json = serde_json::from_str(line).unwrap();
        let entry: Entry = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(json["sequence"], entry.sequence);
        kinds.insert(json["kind"].as_str().unwrap().to_owned());
        if let Some(history) = json.get("outcomes") {
            let history: Vec<RecordedOutcome> = serde_json::from_value(history.clone()).unwrap();
            for past in history {
                assert_eq!(json["id"], past.outcome.of.to_string());
            }
        }
    }
    assert!(kinds.len() >= 2, "{kinds:?}");
}
