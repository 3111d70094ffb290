//! Imports: what Python writes, what is too large, and which checkpoint is active.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{annals, json, run};

fn database(path: &Path, statements: &str) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch(
        "CREATE TABLE inference_records (id INTEGER PRIMARY KEY, model_name TEXT, timestamp TEXT,
            symbol TEXT, action TEXT, confidence REAL, probabilities TEXT, metadata TEXT);
         CREATE TABLE checkpoint_metadata (id INTEGER PRIMARY KEY, checkpoint_id TEXT,
            model_name TEXT, model_type TEXT, timestamp TEXT, performance_metrics TEXT,
            training_metadata TEXT, file_path TEXT, is_active BOOLEAN DEFAULT TRUE);",
    )
    .unwrap();
    file.execute_batch(statements).unwrap();
}

fn checkpoint(number: u32, metrics: &str, active: &str) -> String {
    format!(
        "INSERT INTO checkpoint_metadata VALUES ({number}, 'c{number}', 'dqn', 'rl',
            '2025-07-25 10:0{number}:00', '{metrics}', '{{}}', 'w{number}.pt', {active});"
    )
}

#[test]
fn numbers_that_python_writes_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("old.db"));
    let mut rows = String::from(
        r#"INSERT INTO inference_records VALUES (1, 'dqn', '2025-07-25 10:00:00', 'ETH', 'BUY',
            0.5, '{"BUY": NaN, "SELL": 0.25}', '{"sharpe": NaN, "note": "NaN"}');"#,
    );
    for number in 1..=3 {
        fs::write(dir.path().join(format!("w{number}.pt")), b"weights").unwrap();
    }
    rows += &checkpoint(1, r#"{"val_loss": NaN, "accuracy": 0.97}"#, "0");
    rows += &checkpoint(2, r#"{"val_loss": "0.25", "best": Infinity}"#, "0");
    rows += &checkpoint(3, r#"{"val_loss": 0.40}"#, "0");
    database(&from, &rows);
    run(&data, &["import", from.to_str().unwrap()], 0);
    let line = &json(&data, &["tail"])[0];
    assert_eq!(line["labels"].as_array().unwrap().len(), 2, "{line}");
    for (metric, mode, best) in [("val_loss", "min", "c2"), ("accuracy", "max", "c1")] {
        let asked = ["checkpoints", "best", "dqn", "--by", metric, "--mode", mode];
        let found = run(&data, &asked, 0);
        assert!(found.contains(best), "{metric}: {found}");
    }
    let lines = dir.path().join("new.jsonl");
    let text = run(&data, &["export", "-", "--format", "jsonl"], 0);
    fs::write(&lines, text.replace("\"NaN\",", "NaN,")).unwrap();
    let copy = dir.path().join("copy");
    run(&copy, &["import", lines.to_str().unwrap()], 0);
    assert_eq!(json(&copy, &["tail"]).len(), 1);
}

#[test]
fn of_several_active_checkpoints_the_newest_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("old.db"));
    let mut rows = String::new();
    for (number, active) in [(2, "1"), (3, "'True'"), (1, "1"), (4, "'false'")] {
        fs::write(dir.path().join(format!("w{number}.pt")), b"weights").unwrap();
        rows += &checkpoint(number, "{}", active);
    }
    database(&from, &rows);
    let output = annals(&data, &["import", from.to_str().unwrap()]).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("c3 is the newest"), "{said}");
    let list = run(&data, &["checkpoints", "list", "dqn"], 0);
    let active = list.lines().find(|line| line.contains("active")).unwrap();
    assert!(active.contains("c3"), "{list}");
}

#[test]
fn a_row_that_is_too_large_costs_that_row() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("old.db"));
    let insert = |number: u32, metadata: &str| {
        format!(
            "INSERT INTO inference_records VALUES ({number}, 'dqn', '2025-07-25 10:00:00', 'ETH',
                'BUY', 0.5, NULL, {metadata});"
        )
    };
    let huge = "'{\"s\": \"' || replace(hex(zeroblob(8500000)), '0', 'y') || '\"}'";
    database(
        &from,
        &(insert(1, "NULL") + &insert(2, huge) + &insert(3, "NULL")),
    );
    let output = annals(&data, &["import", from.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("row 2: metadata: 17000065 bytes"), "{said}");
    assert_eq!(json(&data, &["stats"])[0]["all"]["count"], 2);
    run(&data, &["verify"], 0);
}
