//! Import and export: once whatever is read again, the same statistics on the other side, and
//! files that others read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::File;
use std::path::Path;

use common::{BEGIN, annals, complaint, database, journal, json, run};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{ListAccessor, RowAccessor};

fn stats(dir: &Path) -> serde_json::Value {
    let by = ["stats", "--by", "model,symbol,checkpoint,action,day"];
    json(dir, &by).remove(0)
}

#[test]
fn a_database_with_oddities_is_taken_in_row_by_row_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (data, path) = (
        dir.path().join("data"),
        dir.path().join("trading_system.db"),
    );
    database(&path, 100);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        r#"INSERT INTO inference_records
            (id, model_name, timestamp, symbol, action, confidence, probabilities) VALUES
            (200, NULL, '2025-07-25 15:00:00', 's', 'a', 0.5, NULL),
            (201, 'm', 'yesterday or so', 's', 'a', 0.5, NULL),
            (202, 'm', '2025-07-25T15:00:00+03:00', NULL, 'a', 'very', '{"a": '),
            (203, 'm', 1753455600, 's', 'a', '0.25', '[0.5, 0.25]'),
            (204, 'm', NULL, 's', 'a', 0.5, NULL),
            (205, 'm', '2025-07-25', 's', 'a', NULL, '{"a": "x"}');"#,
    )
    .unwrap();
    let from = path.to_str().unwrap();
    let output = annals(&data, &["import", from, "--zone", "Europe/Sofia", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for row in ["row 200", "row 201", "row 202", "row 204", "row 205"] {
        assert!(said.contains(row), "{row}: {said}");
    }
    assert!(!said.contains("row 203"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["inferences"], 103);
    assert_eq!(report["broken"], 3);
    assert_eq!(report["damaged"], 2);
    let notes = report["notes"].to_string();
    for note in [
        "checkpoint_metadata",
        "created_by_hand",
        "notes",
        "model_performance",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }

    let rows = json(&data, &["tail", "-n", "200"]);
    assert_eq!(rows.len(), 103);
    let one = rows.iter().find(|row| row["id"] == "1-1").unwrap();
    // Sofia's summer is three hours ahead.
    assert_eq!(one["event_time"], "2025-07-25T11:00:00.250000Z");
    assert_eq!(one["model"], "dqn_agent");
    assert_eq!(one["confidence"], 0.85);
    assert_eq!(one["processing_ns"], 12_500_000);
    assert_eq!(one["memory_bytes"], 105_381_888);
    assert_eq!(one["feature_hash"], "0000000000000000");
    assert_eq!(one["labels"], serde_json::json!(["BUY", "SELL", "HOLD"]));
    assert_eq!(one["probabilities"], serde_json::json!([0.85, 0.1, 0.05]));
    assert_eq!(one["checkpoint"], "cp_1");
    assert_eq!(one["attributes"]["lots"], 3);
    assert_eq!(one["attributes"]["paper"], true);
    let zoned = rows.iter().find(|row| row["id"] == "1-202").unwrap();
    assert_eq!(zoned["event_time"], "2025-07-25T12:00:00.000000Z");
    let seconds = rows.iter().find(|row| row["id"] == "1-203").unwrap();
    assert_eq!(seconds["event_time"], "2025-07-25T15:00:00.000000Z");
    assert_eq!(seconds["confidence"], 0.25);

    // Twice, under another name, grown, and with its old rows deleted.
    let copy = dir.path().join("copy.db");
    drop(file);
    std::fs::copy(&path, &copy).unwrap();
    let again = |path: &Path| {
        let args = [
            "import",
            path.to_str().unwrap(),
            "--zone",
            "Europe/Sofia",
            "--json",
        ];
        let output = annals(&data, &args).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["inferences"].as_u64().unwrap()
    };
    assert_eq!(again(&path), 0);
    assert_eq!(again(&copy), 0);
    let file = rusqlite::Connection::open(&copy).unwrap();
    file.execute_batch(
        "DELETE FROM inference_records WHERE id < 100;
         INSERT INTO inference_records (id, model_name, timestamp) VALUES (300, 'm', '2025-07-26')",
    )
    .unwrap();
    drop(file);
    assert_eq!(again(&copy), 1);
    assert_eq!(json(&data, &["tail", "-n", "200"]).len(), 104);
}

/// A row that real files have, and what is taken in of it; `None` if nothing can be.
type Odd = (
    &'static str,
    Option<(&'static str, &'static str, serde_json::Value)>,
);

#[test]
fn times_and_types_of_real_files_are_read_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let (data, path) = (dir.path().join("data"), dir.path().join("old.db"));
    let null = serde_json::Value::Null;
    // Time, confidence and milliseconds as SQL; then event time, field and value.
    let rows: Vec<Odd> = vec![
        (
            "'2025-03-30 02:59:59', 0.5, 1",
            Some(("2025-03-30T00:59:59.000000Z", "confidence", 0.5.into())),
        ),
        // That hour was left out in Sofia: read as if the clocks had not been changed yet.
        (
            "'2025-03-30 03:30:00', 0.5, 1",
            Some(("2025-03-30T01:30:00.000000Z", "confidence", 0.5.into())),
        ),
        (
            "'2025-03-30 04:30:00', 0.5, 1",
            Some(("2025-03-30T01:30:00.000000Z", "confidence", 0.5.into())),
        ),
        // That hour came twice: the first of them.
        (
            "'2025-10-26 03:30:00', 0.5, 1",
            Some(("2025-10-26T00:30:00.000000Z", "confidence", 0.5.into())),
        ),
        (
            "'2025-10-26 04:00:00', 0.5, 1",
            Some(("2025-10-26T02:00:00.000000Z", "confidence", 0.5.into())),
        ),
        (
            "'2025-10-26 03:30:00+02:00', 0.5, 1",
            Some(("2025-10-26T01:30:00.000000Z", "confidence", 0.5.into())),
        ),
        (
            "'2025-07-25T14:34:39.123456789Z', 0.5, 1",
            Some(("2025-07-25T14:34:39.123456Z", "confidence", 0.5.into())),
        ),
        (
            "'2025-07-25 14:34:39,250', 0.5, 1",
            Some(("2025-07-25T11:34:39.250000Z", "confidence", 0.5.into())),
        ),
        (
            "'  2025-07-25 14:34  ', 0.5, 1",
            Some(("2025-07-25T11:34:00.000000Z", "confidence", 0.5.into())),
        ),
        (
            "'1753454079', 0.5, 1",
            Some(("2025-07-25T14:34:39.000000Z", "confidence", 0.5.into())),
        ),
        (
            "1753454079250, 0.5, 1",
            Some(("2025-07-25T14:34:39.250000Z", "confidence", 0.5.into())),
        ),
        (
            "1753454079.25, 0.5, 1",
            Some(("2025-07-25T14:34:39.250000Z", "confidence", 0.5.into())),
        ),
        ("'', 0.5, 1", None),
        ("'2025-02-30 10:00:00', 0.5, 1", None),
        ("x'00ff', 0.5, 1", None),
        ("1e300, 0.5, 1", None),
        ("9223372036854775807, 0.5, 1", None),
        // Python's float('nan') is NULL in SQLite; numpy's float32 is a blob of its bytes.
        (
            "0, NULL, 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", null.clone())),
        ),
        (
            "0, x'0000803e', 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", 0.25.into())),
        ),
        (
            "0, x'000000000000d03f', 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", 0.25.into())),
        ),
        (
            "0, x'01', 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", null.clone())),
        ),
        (
            "0, ' 0.25 ', 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", 0.25.into())),
        ),
        (
            "0, 'nan', 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", "NaN".into())),
        ),
        (
            "0, 9e999, 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", "inf".into())),
        ),
        (
            "0, 7, 1",
            Some(("1970-01-01T00:00:00.000000Z", "confidence", 7.0.into())),
        ),
        (
            "0, 0.5, -1",
            Some(("1970-01-01T00:00:00.000000Z", "processing_ns", null.clone())),
        ),
        (
            "0, 0.5, 1e300",
            Some(("1970-01-01T00:00:00.000000Z", "processing_ns", null.clone())),
        ),
        (
            "0, 0.5, '12,5'",
            Some(("1970-01-01T00:00:00.000000Z", "processing_ns", null)),
        ),
        (
            "0, 0.5, 0.0000004",
            Some(("1970-01-01T00:00:00.000000Z", "processing_ns", 0.into())),
        ),
    ];
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "CREATE TABLE inference_records
            (Symbol, MODEL_NAME, timestamp, confidence, processing_time_ms)",
    )
    .unwrap();
    for (values, _) in &rows {
        let insert = format!("INSERT INTO inference_records VALUES ('s', 'm', {values})");
        file.execute_batch(&insert).unwrap();
    }
    // The same row once more is another decision: it has a number of its own.
    file.execute_batch(
        "INSERT INTO inference_records SELECT * FROM inference_records WHERE rowid = 1",
    )
    .unwrap();
    drop(file);
    let args = ["import", path.to_str().unwrap(), "--zone", "Europe/Sofia"];
    run(&data, &args, 1);
    let taken = json(&data, &["tail", "-n", "1000"]);
    let taken_rows = rows.iter().filter(|(_, row)| row.is_some()).count();
    assert_eq!(taken.len(), taken_rows + 1);
    for (number, (values, expected)) in rows.iter().enumerate() {
        let id = format!("1-{}", number + 1);
        let found = taken.iter().find(|row| row["id"] == id.as_str());
        let Some((time, field, value)) = expected else {
            assert!(found.is_none(), "{values}: {found:?}");
            continue;
        };
        let found = found.unwrap_or_else(|| panic!("{values} is missing"));
        assert_eq!(found["event_time"], *time, "{values}");
        assert_eq!(found[*field], *value, "{values}");
    }
}

#[test]
fn checkpoints_of_a_database_are_registered() {
    let dir = tempfile::tempdir().unwrap();
    let (data, path) = (dir.path().join("data"), dir.path().join("old.db"));
    std::fs::write(dir.path().join("a.pt"), b"weights").unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        r#"CREATE TABLE checkpoint_metadata (checkpoint_id TEXT, model_name TEXT, model_type TEXT,
            timestamp TEXT, performance_metrics TEXT, training_metadata TEXT, file_path TEXT,
            file_size_mb REAL, is_active INTEGER);
           INSERT INTO checkpoint_metadata VALUES
            ('a', 'dqn_agent', 'rl', '2025-07-25 14:35:00', '{"loss": 0.0234}', '{"epochs": 100}',
             'a.pt', 0.1, 1),
            ('b', 'dqn_agent', 'rl', '2025-07-25 14:35:00', '{}', '{}', 'gone.pt', 0.1, 0);"#,
    )
    .unwrap();
    drop(file);
    let from = path.to_str().unwrap();
    for _twice in 0..2 {
        let said = run(&data, &["import", from], 0);
        assert!(said.contains("kept as missing: b"), "{said}");
    }
    let missing = &json(&data, &["checkpoints", "show", "b"])[0];
    assert_eq!(missing["condition"], "missing", "{missing}");
    let known = &json(&data, &["checkpoints", "show", "a"])[0];
    assert_eq!(known["metrics"]["loss"], 0.0234);
    assert_eq!(known["metadata"]["epochs"], 100);
    assert_eq!(known["created"], "2025-07-25T14:35:00.000000Z");
    assert_eq!(json(&data, &["checkpoints", "list"])[0][0]["active"], "a");
    let folder = dir.path().to_str().unwrap();
    // The journal in it is said, and not taken for weights.
    assert!(
        complaint(&data, &["import", "--model", "other", folder], 1).contains("it is a journal")
    );
    assert_eq!(json(&data, &["checkpoints", "list", "other"]).len(), 1);
    complaint(&data, &["import", folder], 2);
}

#[test]
fn what_is_exported_and_imported_has_the_same_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    journal(&data, 3_000);
    let lines = dir.path().join("all.jsonl");
    let lines = lines.to_str().unwrap();
    run(&data, &["export", lines], 0);
    run(&copy, &["import", lines], 0);
    assert_eq!(stats(&copy), stats(&data));
    // Twice, and a broken line in between.
    let text = std::fs::read_to_string(lines).unwrap();
    let broken = format!("{{\"kind\":\n{text}{{}}\n\u{0}\n{text}");
    std::fs::write(lines, broken).unwrap();
    let report = annals(&copy, &["import", lines, "--json"])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["inferences"], 0);
    assert_eq!(report["outcomes"], 0);
    assert_eq!(report["broken"], 3);
    assert_eq!(stats(&copy), stats(&data));
}

#[test]
fn an_export_goes_on_where_the_last_one_ended_late_outcomes_included() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    journal(&data, 100);
    let part = |name: &str| {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap().to_owned();
        run(&data, &["export", &path, "--cursor", "lake"], 0);
        run(&copy, &["import", &path], 0);
        std::fs::read_to_string(path).unwrap()
    };
    let first = part("1.jsonl");
    assert_eq!(first.matches("\"kind\":\"inference\"").count(), 100);
    assert_eq!(part("2.jsonl"), "");
    let again = annals::Journal::open(&data).unwrap();
    let first = again
        .reader()
        .unwrap()
        .inferences()
        .iter()
        .next()
        .unwrap()
        .unwrap()
        .id;
    again.attach_outcome(
        first,
        annals::Outcome::new()
            .reward(77.0)
            .at(annals::Timestamp::from_micros(BEGIN)),
    );
    again.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    again.close().unwrap();
    let third = part("3.jsonl");
    assert_eq!(third.lines().count(), 2, "{third}");
    assert!(
        third.contains("\"kind\":\"outcome\"") && third.contains("77.0"),
        "{third}"
    );
    assert_eq!(
        stats(&copy)["all"]["outcomes"],
        stats(&data)["all"]["outcomes"]
    );
    assert_eq!(stats(&copy)["all"]["count"], 101);
}

#[test]
fn parquet_and_csv_hold_what_statistics_say() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 2_000);
    let path = dir.path().join("all.parquet");
    run(&data, &["export", path.to_str().unwrap()], 0);
    let file = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let mut sum = 0.0_f64;
    let (mut rows, mut rewards) = (0, 0.0_f64);
    for row in file.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        rows += 1;
        // In the order of the schema; an error is a null.
        let confidence = row.get_float(11).unwrap();
        sum += f64::from(confidence);
        rewards += row.get_double(20).unwrap_or(0.0);
        assert_eq!(row.get_list(12).unwrap().len(), 2);
        assert_eq!(row.get_list(13).unwrap().get_float(0).unwrap(), confidence);
    }
    let all = &stats(&data)["all"];
    assert_eq!(rows, 2_000);
    let mean = sum / 2_000.0;
    assert!((mean - all["confidence"]["mean"].as_f64().unwrap()).abs() < 1e-7);
    assert_eq!(rewards, all["outcomes"]["reward"]["sum"].as_f64().unwrap());

    let csv = run(
        &data,
        &["export", "-", "--format", "csv", "--action", "BUY"],
        0,
    );
    assert_eq!(csv.lines().count(), 1 + 667);
    let days = dir.path().join("lake");
    run(
        &data,
        &[
            "export",
            days.to_str().unwrap(),
            "--by-day",
            "--format",
            "parquet",
        ],
        0,
    );
    assert!(days.join("day=2025-07-25").is_dir());
    assert!(
        !std::fs::read_dir(days.join("day=2025-07-25"))
            .unwrap()
            .any(|entry| {
                entry
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "partial")
            })
    );
    complaint(&data, &["export", "-", "--format", "parquet"], 2);
    complaint(&data, &["export", "what.ever"], 2);
    complaint(&data, &["export", "/proc/no/such.csv"], 4);
}

#[test]
fn what_cannot_be_imported_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let odd = dir.path().join("odd.bin");
    std::fs::write(&odd, b"\x00\x01\x02").unwrap();
    complaint(&data, &["import", odd.to_str().unwrap()], 2);
    complaint(&data, &["import", "/no/such/file"], 4);
    complaint(
        &data,
        &["import", odd.to_str().unwrap(), "--zone", "Moon/Base"],
        2,
    );
    let empty = dir.path().join("empty.db");
    let file = rusqlite::Connection::open(&empty).unwrap();
    file.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(file);
    assert!(
        complaint(&data, &["import", empty.to_str().unwrap()], 2).contains("inference_records")
    );
    std::fs::write(&odd, b"SQLite format 3\0 and then nothing of the kind").unwrap();
    complaint(&data, &["import", odd.to_str().unwrap()], 4);
    assert!(!data.exists());
}
