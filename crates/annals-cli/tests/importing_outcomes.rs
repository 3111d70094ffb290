//! Columns of a SQLite file that hold what turned out for the decisions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};

use common::{annals, complaint, json, run};
use serde_json::Value;

/// A directory with a file of six rows.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
        };
        place.change(
            "CREATE TABLE inference_records(id INTEGER PRIMARY KEY, model_name TEXT,
                timestamp TEXT, symbol TEXT, action TEXT, PnL, was_right, verdict, slippage);
             INSERT INTO inference_records VALUES
                (1, 'm', '2025-07-25T10:00:00Z', 's', 'BUY', 1.5, 1, 'up', 0.25),
                (2, 'm', '2025-07-25T10:01:00Z', 's', 'BUY', '-0.5', 'False', NULL, NULL),
                (3, 'm', '2025-07-25T10:02:00Z', 's', 'BUY', NULL, NULL, '', ''),
                (4, 'm', '2025-07-25T10:03:00Z', 's', 'BUY', 'much', 2, 7, '1e400'),
                (5, 'm', '2025-07-25T10:04:00Z', 's', 'BUY', 'nan', X'01', X'ff41', 9e999),
                (6, 'm', '2025-07-25T10:05:00Z', 's', 'BUY', 9007199254740993, 'yes', 'up', 1);",
        );
        place
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("old.db")
    }

    fn change(&self, statements: &str) {
        let file = rusqlite::Connection::open(self.file()).unwrap();
        file.execute_batch(statements).unwrap();
    }

    fn import(&self, more: &[&str]) -> Value {
        let file = self.file();
        let mut args = vec!["import", file.to_str().unwrap(), "--json"];
        args.extend(more);
        let output = annals(&self.data(), &args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {said}"))
    }

    fn outcomes(&self) -> Value {
        json(&self.data(), &["stats"])[0]["all"]["outcomes"].clone()
    }
}

const ALL: [&str; 8] = [
    "--outcome",
    "reward=pnl",
    "--outcome",
    "correct=was_right",
    "--outcome",
    "label=verdict",
    "--outcome",
    "slippage=slippage",
];

#[test]
fn columns_become_outcomes_and_no_value_is_lost_in_silence() {
    let place = Place::new();
    let report = place.import(&ALL);
    assert_eq!(
        (&report["inferences"], &report["outcomes"]),
        (&6.into(), &5.into()),
        "{report}"
    );
    let lost = report["not_taken_over"].as_array().unwrap();
    let lost: Vec<(&str, &str)> = lost
        .iter()
        .map(|one| {
            (
                one["field"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("outcome correct", "neither yes nor no"),
        ("outcome label", "no UTF-8"),
        ("outcome reward", "more than 53 bits"),
        ("outcome reward", "no number"),
        ("outcome slippage", "more than a number holds"),
    ];
    assert_eq!(lost, expected);
    let outcomes = place.outcomes();
    assert_eq!(outcomes["correct"], 3, "{outcomes}");
    assert_eq!(outcomes["wrong"], 1, "{outcomes}");
    // NaN and infinity are stored, and left out of sums.
    let line = run(&place.data(), &["explain", "1-5"], 0);
    assert!(line.contains("NaN") && line.contains("inf"), "{line}");
}

#[test]
fn twice_is_once_and_the_option_may_come_later() {
    let place = Place::new();
    let report = place.import(&[]);
    assert_eq!(
        (&report["inferences"], &report["outcomes"]),
        (&6.into(), &0.into())
    );
    let rehearsed = place.import(&[&ALL[..], &["--dry-run"]].concat());
    let report = place.import(&ALL);
    for (what, count) in [("inferences", 0), ("known", 6), ("outcomes", 5)] {
        assert_eq!(report[what], count, "{report}");
        assert_eq!(rehearsed[what], count, "{rehearsed}");
    }
    assert_eq!(report["known_and_completed"], 5, "{report}");
    let before = place.outcomes();
    let again = place.import(&ALL);
    assert_eq!(
        (&again["outcomes"], &again["known"]),
        (&0.into(), &6.into()),
        "{again}"
    );
    assert_eq!(place.outcomes(), before);
    // A value that the source corrects holds from then on.
    place.change("UPDATE inference_records SET PnL = 2.5 WHERE id = 1");
    let mended = place.import(&ALL);
    assert_eq!(mended["outcomes"], 1, "{mended}");
    assert!(run(&place.data(), &["explain", "1-1"], 0).contains("2.5"));
}

#[test]
fn the_rows_of_a_renamed_file_get_their_outcomes() {
    let place = Place::new();
    place.import(&["--source", "first"]);
    let other = place.dir.path().join("other.db");
    std::fs::rename(place.file(), &other).unwrap();
    let file = other.to_str().unwrap();
    let said = run(
        &place.data(),
        &["import", file, "--outcome", "reward=pnl"],
        1,
    );
    assert!(
        said.contains("already there: 6") && said.contains("4 outcomes"),
        "{said}"
    );
    assert_eq!(place.outcomes()["attached"], 4);
}

#[test]
fn a_column_that_is_not_there_is_told_with_those_that_are() {
    let place = Place::new();
    let data = place.data();
    let file = place.file();
    let file = file.to_str().unwrap();
    let refused = |value: &str| complaint(&data, &["import", file, "--outcome", value], 2);
    assert!(
        refused("reward=pln").contains("did you mean \"PnL\""),
        "{}",
        refused("reward=pln")
    );
    assert!(refused("reward").contains("NAME=COLUMN"));
    let twice = [
        "import",
        file,
        "--outcome",
        "reward=pnl",
        "--outcome",
        "reward=slippage",
    ];
    assert!(complaint(&data, &twice, 2).contains("twice"));
    let lines = place.dir.path().join("x.jsonl");
    std::fs::write(&lines, "{}\n").unwrap();
    let args = ["import", lines.to_str().unwrap(), "--outcome", "reward=pnl"];
    assert!(complaint(&data, &args, 2).contains("SQLite"));
    assert!(!Path::new(&data).join("journal.redb").exists());
}

#[test]
fn a_view_and_a_generated_column_hold_outcomes_too() {
    let place = Place::new();
    place.change(
        "ALTER TABLE inference_records RENAME TO raw;
         ALTER TABLE raw ADD COLUMN twice REAL GENERATED ALWAYS AS (PnL * 2) VIRTUAL;
         CREATE VIEW inference_records AS SELECT * FROM raw WHERE id < 3;",
    );
    let report = place.import(&["--outcome", "twice=TWICE", "--keep-columns"]);
    assert_eq!(
        (&report["inferences"], &report["outcomes"]),
        (&2.into(), &2.into()),
        "{report}"
    );
    let again = place.import(&["--outcome", "twice=TWICE", "--keep-columns"]);
    assert_eq!(
        (&again["known"], &again["outcomes"]),
        (&2.into(), &0.into()),
        "{again}"
    );
}
