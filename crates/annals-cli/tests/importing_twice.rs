//! Importing twice is the same as importing once, however the source changed in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};

use common::{annals, json, run};
use serde_json::Value;

const PLAIN: &str = "id INTEGER PRIMARY KEY AUTOINCREMENT";

/// A directory, and files in it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with a table whose first column is `id`, after these statements.
    fn file(&self, name: &str, id: &str, statements: &str) -> PathBuf {
        let path = self.path(name);
        let comma = if id.is_empty() { "" } else { "," };
        let create = format!(
            "CREATE TABLE inference_records({id}{comma} model_name TEXT, timestamp TEXT,
                symbol TEXT, action TEXT, confidence REAL, probabilities TEXT, metadata TEXT);"
        );
        change(&path, &(create + statements));
        path
    }

    /// Imports; gives the report.
    fn import(&self, from: &Path, more: &[&str]) -> Value {
        let mut args = vec!["import", from.to_str().unwrap(), "--json"];
        args.extend(more);
        let output = annals(&self.data(), &args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {said}"))
    }

    /// How many decisions there are.
    fn count(&self) -> u64 {
        let stats = json(&self.data(), &["stats"]);
        stats[0]["all"]["count"].as_u64().unwrap()
    }

    #[track_caller]
    fn takes(&self, from: &Path, more: &[&str], new: u64, known: u64) -> Value {
        let report = self.import(from, more);
        assert_eq!(report["inferences"], new, "{report}");
        assert_eq!(report["known"], known, "{report}");
        report
    }
}

fn change(path: &Path, statements: &str) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch(statements).unwrap();
}

/// A row for each minute.
fn rows(minutes: std::ops::Range<u32>, action: &str, confidence: &str) -> String {
    let columns = "model_name, timestamp, symbol, action, confidence";
    minutes
        .map(|minute| {
            format!(
                "INSERT INTO inference_records ({columns}) VALUES
                    ('dqn', '2025-07-25T14:{minute:02}:00', 'ETH', '{action}', {confidence});"
            )
        })
        .collect()
}

#[test]
fn two_back_tests_over_the_same_bars_are_two_sources() {
    let place = Place::new();
    let a = place.file("run_a.db", PLAIN, &rows(0..5, "BUY", "0.6"));
    let b = place.file("run_b.db", PLAIN, &rows(0..5, "SELL", "0.7"));
    std::fs::create_dir(place.path("c")).unwrap();
    let c = place.file("c/run_a.db", PLAIN, &rows(0..5, "HOLD", "0.8"));
    for file in [&a, &b, &c] {
        place.takes(file, &[], 5, 0);
    }
    let sources = [(&a, "run_a.db"), (&b, "run_b.db"), (&c, "run_a.db#2")];
    for (file, source) in sources {
        let source = format!("sqlite:{source}");
        let report = place.takes(file, &[], 0, 5);
        assert_eq!(report["known_as"][&source], 5, "{report}");
        assert_eq!(report["known_and_changed"], 0);
    }
    // They go on, each as itself.
    change(&b, &rows(5..7, "SELL", "0.7"));
    place.takes(&b, &[], 2, 5);
    assert_eq!(place.count(), 17);
}

#[test]
fn deleted_rows_and_numbers_given_again_are_no_new_source() {
    let place = Place::new();
    let first = place.file(
        "first.db",
        "id INTEGER PRIMARY KEY",
        &rows(0..5, "BUY", "0.5"),
    );
    place.takes(&first, &[], 5, 0);
    let second = place.path("second.db");
    std::fs::copy(&first, &second).unwrap();
    change(&second, "DELETE FROM inference_records WHERE id = 5");
    place.takes(&second, &[], 0, 4);
    // SQLite gives the number 5 again.
    change(&second, &rows(5..6, "SELL", "0.5"));
    place.takes(&second, &[], 1, 4);
    place.takes(&second, &[], 0, 5);
    place.takes(&first, &[], 0, 5);
    assert_eq!(place.count(), 6);
    // It grows, all but its newest rows are deleted, and it goes on.
    change(&second, &rows(10..40, "SELL", "0.5"));
    place.takes(&second, &[], 30, 5);
    change(&second, "DELETE FROM inference_records WHERE id < 35");
    change(&second, &rows(40..60, "SELL", "0.5"));
    place.takes(&second, &[], 20, 1);
    assert_eq!(place.count(), 56);
}

#[test]
fn rows_that_got_other_numbers_are_the_same_rows() {
    let place = Place::new();
    let file = place.file("old.db", "", &rows(0..40, "BUY", "0.5"));
    // The same row twice is two decisions.
    change(&file, &rows(7..8, "BUY", "0.5"));
    place.takes(&file, &[], 41, 0);
    change(
        &file,
        "DELETE FROM inference_records WHERE rowid % 3 = 0; VACUUM;",
    );
    place.takes(&file, &[], 0, 28);
    change(&file, &rows(40..45, "BUY", "0.5"));
    place.takes(&file, &[], 5, 28);
    place.takes(&file, &[], 0, 33);
    assert_eq!(place.count(), 46);
}

#[test]
fn a_zone_that_is_said_later_is_no_new_source() {
    for (id, name) in [(PLAIN, "old.db"), ("key TEXT PRIMARY KEY", "view.db")] {
        let place = Place::new();
        let file = place.file(name, id, &rows(0..5, "BUY", "0.5"));
        change(
            &file,
            "UPDATE inference_records SET symbol = 'X' WHERE timestamp LIKE '%:03:%'",
        );
        let report = place.takes(&file, &[], 5, 0);
        assert_eq!(report["times_without_a_zone"], 5);
        let report = place.takes(&file, &["--zone", "Europe/Sofia"], 0, 5);
        assert_eq!(report["known_with_another_zone"], 5, "{report}");
        place.takes(&file, &["--zone", "+02:00"], 0, 5);
        change(&file, &rows(5..6, "SELL", "0.5"));
        place.takes(&file, &["--zone", "Europe/Sofia"], 1, 5);
        place.takes(&file, &["--zone", "Europe/Sofia"], 0, 6);
        assert_eq!(place.count(), 6, "{name}");
    }
}

#[test]
fn a_source_that_was_mended_is_the_same_and_its_differences_are_counted() {
    let place = Place::new();
    let file = place.file("old.db", PLAIN, &rows(0..5, "", "NULL"));
    place.takes(&file, &[], 5, 0);
    change(
        &file,
        "UPDATE inference_records SET action = 'SELL' WHERE id < 4;
         UPDATE inference_records SET confidence = 0.75 WHERE id = 1;
         UPDATE inference_records SET metadata = '{\"lots\": 3}' WHERE id = 5;",
    );
    let report = place.takes(&file, &[], 0, 5);
    assert_eq!(report["known_and_changed"], 4, "{report}");
    assert_eq!(report["changed_fields"]["action"], 3);
    assert_eq!(report["changed_fields"]["confidence"], 1);
    assert_eq!(report["changed_fields"]["metadata"], 1);
    // Missing values are reported apart from differing ones, with the way to get them.
    let missing = "it was missing when the row was taken in";
    for (field, rows) in [("action", 3), ("confidence", 1), ("metadata", 1)] {
        let part = serde_json::json!({"field": field, "reason": missing, "rows": rows});
        let left = report["not_completed"].as_array().unwrap();
        assert!(left.contains(&part), "{part}: {report}");
    }
    assert_eq!(report["outdated_runs"], serde_json::json!([1]));
    let said = run(&place.data(), &["import", file.to_str().unwrap()], 0);
    assert!(said.contains("annals import --undo 1"), "{said}");
    assert!(
        said.contains(&format!("action: 3 rows: {missing}")),
        "{said}"
    );
    // A column more says nothing against it either.
    change(
        &file,
        "ALTER TABLE inference_records ADD COLUMN exchange TEXT DEFAULT 'x'",
    );
    place.takes(&file, &["--keep-columns"], 0, 5);
    let report = place.takes(&file, &["--as-new"], 5, 0);
    assert_eq!(report["source"], "sqlite:old.db#2");
    assert_eq!(place.count(), 10);
}

#[test]
fn a_source_taken_in_as_new_says_whose_rows_its_rows_look_like() {
    let place = Place::new();
    let a = place.file("a.db", PLAIN, &rows(0..10, "BUY", "0.5"));
    place.takes(&a, &[], 10, 0);
    // Most of it is another's, and some rows agree.
    let half = rows(0..4, "BUY", "0.5") + &rows(4..10, "SELL", "0.5");
    let b = place.file("b.db", PLAIN, &half);
    let report = place.takes(&b, &[], 10, 0);
    assert_eq!(report["alike"]["sqlite:a.db"], 4, "{report}");
    place.takes(&b, &[], 0, 10);
    place.takes(&a, &[], 0, 10);
}

#[test]
fn a_rehearsal_counts_the_same_and_writes_nothing() {
    let place = Place::new();
    let file = place.file("old.db", PLAIN, &rows(0..9, "BUY", "0.5"));
    let report = place.takes(&file, &["--dry-run"], 9, 0);
    assert_eq!(report["dry_run"], true);
    assert!(!place.data().exists());
    place.takes(&file, &[], 9, 0);
    change(&file, &rows(9..12, "BUY", "0.5"));
    for _ in 0..2 {
        place.takes(&file, &["--dry-run"], 3, 9);
        assert_eq!(place.count(), 9);
    }
    place.takes(&file, &[], 3, 9);
    let lines = run(&place.data(), &["export", "-", "--format", "jsonl"], 0);
    let path = place.path("all.jsonl");
    std::fs::write(&path, lines).unwrap();
    let other = Place::new();
    other.takes(&path, &["--dry-run"], 12, 0);
    assert!(!other.data().exists());
    other.takes(&path, &[], 12, 0);
    other.takes(&path, &["--dry-run"], 0, 12);
    other.takes(&path, &["--as-new"], 12, 0);
    assert_eq!(other.count(), 24);
    run(&other.data(), &["verify"], 0);
}

#[test]
fn outcomes_count_by_their_time_in_any_order() {
    let outcome = |reward: f64, time: &str| {
        let time = if time.is_empty() {
            String::new()
        } else {
            format!(r#", "time": "2025-07-{time}T10:00:00Z""#)
        };
        format!(
            r#"{{"id": "1-1", "journal": "j", "event_time": "2025-07-25T14:01:00Z", "model": "m",
                "symbol": "s", "action": "BUY", "outcome": {{"reward": {reward:.1}{time}}}}}"#
        )
        .replace('\n', " ")
    };
    let days = [outcome(-1.0, "28"), outcome(5.0, "29"), outcome(2.0, "27")];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let place = Place::new();
        for index in order.into_iter().chain(order) {
            let path = place.path(&format!("{index}.jsonl"));
            std::fs::write(&path, &days[index]).unwrap();
            place.import(&path, &[]);
        }
        let all = &json(&place.data(), &["stats"])[0]["all"];
        assert_eq!(
            all["outcomes"]["reward"]["mean"].as_f64(),
            Some(5.0),
            "{order:?}: {all}"
        );
        // Once more says nothing new.
        let path = place.path("1.jsonl");
        assert_eq!(place.import(&path, &[])["outcomes"], 0);
    }
    let place = Place::new();
    let path = place.path("no_time.jsonl");
    std::fs::write(&path, outcome(5.0, "")).unwrap();
    assert_eq!(place.import(&path, &[])["outcomes"], 1);
    for _ in 0..2 {
        assert_eq!(place.import(&path, &[])["outcomes"], 0);
    }
}

#[test]
fn an_import_can_be_taken_out_and_done_again() {
    let place = Place::new();
    let data = place.data();
    common::journal(&data, 30);
    let file = place.file("old.db", PLAIN, &rows(0..9, "BUY", "0.5"));
    let report = place.takes(&file, &[], 9, 0);
    let number = report["runs"][0].to_string();
    assert_eq!(place.count(), 39);
    let lines = || {
        let asked = ["export", "-", "--format", "jsonl", "--model", "dqn_agent"];
        let all = run(&data, &asked, 0);
        let all = all.lines().filter(|line| !line.contains("withdrawn"));
        all.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = lines();
    let said = run(&data, &["import", "--undo", &number, "--dry-run"], 0);
    assert!(said.contains("9 entries of sqlite:old.db"), "{said}");
    assert_eq!(place.count(), 39);
    let said = common::complaint(&data, &["import", "--undo", "1"], 2);
    assert!(said.contains("2 (sqlite:old.db)"), "{said}");
    let said = run(&data, &["import", "--undo", &number], 0);
    assert!(said.contains("9 decisions"), "{said}");
    assert_eq!(place.count(), 30);
    assert!(lines() == before);
    run(&data, &["verify"], 0);
    common::complaint(&data, &["import", "--undo", &number], 2);
    let report = place.takes(&file, &["--zone", "Europe/Sofia"], 9, 0);
    assert_eq!(report["source"], "sqlite:old.db");
    // The gaps for rows that were taken out are no loss, here and in a copy.
    let all = run(&data, &["export", "-", "--format", "jsonl"], 0);
    let path = place.path("all.jsonl");
    std::fs::write(&path, all).unwrap();
    let copy = Place::new();
    copy.takes(&path, &[], 39, 0);
    for place in [&place, &copy] {
        let all = &json(&place.data(), &["stats"])[0]["all"];
        assert_eq!(
            (&all["count"], &all["dropped"]),
            (&39.into(), &0.into()),
            "{all}"
        );
    }
}

/// A line of a decision with these fields more.
fn line(number: u32, more: &str) -> String {
    format!(r#"{{"id":"1-{number}","journal":"j","model":"m","symbol":"s","action":"BUY"{more}}}"#)
        + "\n"
}

#[test]
fn lines_that_were_completed_give_their_outcomes_and_say_the_rest() {
    let place = Place::new();
    let path = place.path("all.jsonl");
    let time = r#","event_time":"2025-07-25T14:01:00Z""#;
    let plain: String = (0..4).map(|number| line(number, time)).collect();
    std::fs::write(&path, &plain).unwrap();
    place.takes(&path, &[], 4, 0);
    let judged = r#","outcome":{"reward":2.0,"values":{"pnl":0.5},"time":"2025-07-26T10:00:00Z"}"#;
    let mended = [
        line(0, &format!("{time}{judged}")),
        line(
            1,
            &format!(r#"{time},"confidence":0.75,"feature_hash":"7"{judged}"#),
        ),
        line(
            2,
            &format!(r#"{time},"attributes":{{"why":"late"}},"memory_bytes":4096"#),
        ),
        line(3, time).replace("BUY", "SELL"),
    ];
    std::fs::write(&path, mended.concat()).unwrap();
    let missing = "it was missing when the row was taken in";
    let other = "it is another than when the row was taken in";
    for (index, args) in [&["--dry-run"][..], &[], &[], &["--dry-run"]]
        .iter()
        .enumerate()
    {
        let report = place.takes(&path, args, 0, 4);
        let outcomes = if index < 2 { 2 } else { 0 };
        assert_eq!(report["outcomes"], outcomes, "{index}: {report}");
        assert_eq!(report["known_and_completed"], outcomes, "{index}: {report}");
        assert_eq!(report["known_and_changed"], 3, "{report}");
        let left = report["not_completed"].as_array().unwrap();
        for (field, reason) in [
            ("confidence", missing),
            ("input_features_hash", missing),
            ("metadata", missing),
            ("memory_usage_mb", missing),
            ("action", other),
        ] {
            let part = serde_json::json!({"field": field, "reason": reason, "rows": 1});
            assert!(left.contains(&part), "{field}: {report}");
        }
    }
    let all = &json(&place.data(), &["stats"])[0]["all"];
    assert_eq!(
        all["outcomes"]["reward"]["mean"].as_f64(),
        Some(2.0),
        "{all}"
    );
    let said = run(&place.data(), &["import", path.to_str().unwrap()], 0);
    assert!(said.contains("annals import --undo 1"), "{said}");
    // That way leads there, once and for all.
    run(&place.data(), &["import", "--undo", "1"], 0);
    let report = place.takes(&path, &[], 4, 0);
    assert_eq!(report["outcomes"], 2, "{report}");
    let report = place.takes(&path, &[], 0, 4);
    assert_eq!(report["known_and_changed"], 0, "{report}");
    // A line that comes twice in one file is compared with the first.
    let twice = line(9, time) + &line(9, &format!(r#"{time},"confidence":0.25"#));
    std::fs::write(&path, twice).unwrap();
    let report = place.takes(&path, &[], 1, 1);
    assert_eq!(report["changed_fields"]["confidence"], 1, "{report}");
}

#[test]
fn lines_without_a_zone_are_read_in_that_of_the_option() {
    let place = Place::new();
    let path = place.path("all.jsonl");
    let at = |number, time: &str| line(number, &format!(r#","event_time":{time}"#));
    let lines = [
        at(0, r#""2025-10-26 03:10:00""#),
        at(1, r#""2025-03-30T03:30:00""#),
        at(2, r#""2025-07-25 10:00:00.5""#),
        at(3, r#""2025-07-25T10:00:00+03:00""#),
        at(4, "1753454079"),
        at(5, "1753454079.5"),
        at(6, r#""2025-07-25 10:00:00 UTC""#),
        r#"{"kind":"event","journal":"j","run":1,"level":"INFO","component":"c","message":"m",
            "recorded_time":"2025-07-25 12:00:00"}"#
            .replace('\n', "")
            + "\n",
    ];
    std::fs::write(&path, lines.concat()).unwrap();
    let report = place.takes(&path, &["--zone", "Europe/Sofia"], 7, 0);
    assert_eq!(report["times_without_a_zone"], 4, "{report}");
    assert_eq!(report["times_that_came_twice"], 1);
    assert_eq!(report["times_that_never_were"], 1);
    assert_eq!(report["events"], 1);
    let rows = json(&place.data(), &["tail", "-n", "100"]);
    let time = |id: &str| {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        row["event_time"].as_str().unwrap().to_owned()
    };
    assert_eq!(time("1-2"), "2025-07-25T07:00:00.500000Z");
    assert_eq!(time("1-3"), "2025-07-25T07:00:00.000000Z");
    assert_eq!(time("1-4"), "2025-07-25T14:34:39.000000Z");
    assert_eq!(time("1-5"), "2025-07-25T14:34:39.500000Z");
    assert_eq!(time("1-6"), "2025-07-25T10:00:00.000000Z");
    // Nothing new, nothing to count; and with another zone, the same rows.
    let report = place.takes(&path, &["--zone", "Europe/Sofia"], 0, 8);
    assert_eq!(report["times_without_a_zone"], 0, "{report}");
    std::fs::write(&path, lines[..7].concat()).unwrap();
    let report = place.takes(&path, &["--zone", "+01:00"], 0, 7);
    assert_eq!(report["known_with_another_zone"], 3, "{report}");
    assert_eq!(report["known_and_changed"], 0, "{report}");
}

#[test]
fn words_that_depend_on_now_are_no_times_of_a_row() {
    let place = Place::new();
    let path = place.path("all.jsonl");
    for word in ["24h", "now", "yesterday", "today", "7d", "soon", ""] {
        let at = format!(r#","event_time":"{word}""#);
        let good = r#","event_time":"2025-07-25T10:00:00Z""#;
        let outcome =
            |time: &str| format!(r#"{good},"outcome":{{"reward":1,"values":{{"pnl":2}},{time}}}"#);
        let lines = [
            line(1, &at),
            line(2, &outcome(&format!(r#""time":"{word}""#))),
            line(3, &outcome(&format!(r#""times":{{"reward":"{word}"}}"#))),
            line(4, &format!(r#"{good},"recorded_time":"{word}""#)),
            line(5, good),
        ];
        std::fs::write(&path, lines.concat()).unwrap();
        let place = Place::new();
        let data = place.data();
        let args = ["import", path.to_str().unwrap(), "--json"];
        let output = annals(&data, &args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["inferences"], 3, "{word}: {report} {said}");
        assert_eq!(report["broken"], 2, "{word}: {report}");
        // Of the one without a time nothing is known; of the other, what has its own.
        assert_eq!(report["outcomes"], 1, "{word}: {report}");
        for part in [
            format!("line 1: event_time {word:?} is no time"),
            format!("line 2: outcome.reward: outcome.time {word:?} is no time"),
            format!("line 3: outcome.reward: outcome.times.reward {word:?} is no time"),
            format!("line 4: recorded_time {word:?} is no time"),
        ] {
            assert!(said.contains(&part), "{part} in {said}");
        }
        let table = place.file("old.db", PLAIN, "");
        change(
            &table,
            &format!(
                "INSERT INTO inference_records (model_name, timestamp) VALUES ('m', '{word}')"
            ),
        );
        let said = common::complaint(&data, &["import", table.to_str().unwrap()], 1);
        let part = format!("inference_records row 1: timestamp {word:?} is no time");
        assert!(said.contains(&part), "{said}");
    }
    // For questions they are what people mean.
    place.takes(
        &place.file("old.db", PLAIN, &rows(0..1, "BUY", "0.5")),
        &[],
        1,
        0,
    );
    run(&place.data(), &["tail", "--since", "24h"], 0);
}

#[test]
fn fields_that_no_line_has_are_counted() {
    let place = Place::new();
    let path = place.path("all.jsonl");
    let text = line(
        1,
        r#","timestamp":"2025-07-25T10:00:00Z","outcome":{"reward":1,"pnl":2}"#,
    );
    std::fs::write(&path, text).unwrap();
    let report = place.takes(&path, &[], 1, 0);
    let left = report["not_taken_over"].to_string();
    for (field, reason) in [
        ("timestamp", "a field that is not known"),
        ("outcome.pnl", "a field that is not known"),
        (
            "event_time",
            "none is there; the time of the import stands for it",
        ),
    ] {
        let part = format!(r#"{{"field":"{field}","reason":"{reason}","values":1}}"#);
        assert!(left.contains(&part), "{part}: {left}");
    }
}
