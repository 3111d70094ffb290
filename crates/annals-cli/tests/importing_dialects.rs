//! Sources as real software writes them: tables that are none, odd columns, damaged files, times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{annals, json, run};
use rusqlite::Connection;
use serde_json::Value;

/// Imports; gives the report and what was said.
fn import(data: &Path, from: &Path, more: &[&str], code: i32) -> (Value, String) {
    let mut args = vec!["import", from.to_str().unwrap(), "--json"];
    args.extend(more);
    let output = annals(data, &args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (report, said)
}

fn tail(data: &Path) -> Vec<Value> {
    json(data, &["tail", "-n", "10000"])
}

/// Takes in what the statements make, twice.
fn twice(statements: &str, more: &[&str], rows: u64) -> (Value, Vec<Value>) {
    twice_with(statements, more, rows, 0)
}

/// The same, where the first import ends with `code`.
fn twice_with(statements: &str, more: &[&str], rows: u64, code: i32) -> (Value, Vec<Value>) {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("old.db"));
    let file = Connection::open(&from).unwrap();
    file.execute_batch(statements).unwrap();
    drop(file);
    let (report, said) = import(&data, &from, more, code);
    assert_eq!(report["inferences"], rows, "{statements}: {report} {said}");
    let (again, _) = import(&data, &from, more, 0);
    assert_eq!(again["inferences"], 0, "{statements}: {again}");
    assert_eq!(again["known"], rows, "{statements}: {again}");
    (report, tail(&data))
}

const COLUMNS: &str = "model_name TEXT, timestamp TEXT, symbol TEXT, action TEXT, confidence REAL";

fn row(id: &str, minute: u32, action: &str) -> String {
    format!(
        "INSERT INTO t VALUES ({id}, 'm', '2025-07-25 14:{minute:02}:00', 's', '{action}', 0.5);"
    )
}

#[test]
fn tables_that_are_no_plain_tables_are_read() {
    let three = row("1", 1, "BUY") + &row("2", 2, "BUY") + &row("70", 2, "BUY");
    let named = |create: &str| {
        let rows = three.replace("INTO t", "INTO inference_records");
        format!("{create} {rows}")
    };
    let view = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, {COLUMNS}); {three}
         CREATE VIEW Inference_Records AS SELECT * FROM t;"
    );
    let unnumbered = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, {COLUMNS}); {three} {}
         CREATE VIEW inference_records AS SELECT model_name, timestamp, symbol, action FROM t;",
        row("71", 2, "BUY")
    );
    let without = named(&format!(
        "CREATE TABLE inference_records (id INTEGER PRIMARY KEY NOT NULL, {COLUMNS}) WITHOUT ROWID;"
    ));
    let text_key = format!(
        "CREATE TABLE inference_records (id TEXT PRIMARY KEY, {COLUMNS}) WITHOUT ROWID; {}",
        three
            .replace("INTO t", "INTO inference_records")
            .replace("VALUES (", "VALUES ('k' || ")
    );
    let upper = named(&format!(
        "CREATE TABLE INFERENCE_RECORDS (ID INTEGER PRIMARY KEY, {COLUMNS});"
    ));
    let no_key = named(&format!(
        "CREATE TABLE inference_records (id INTEGER, {COLUMNS});"
    ));
    for (statements, rows, has_ids) in [
        (view, 3, true),
        (unnumbered, 4, false),
        (without, 3, true),
        (text_key, 3, false),
        (upper, 3, true),
        (no_key, 3, true),
    ] {
        let (_, taken) = twice(&statements, &[], rows);
        let has = taken.iter().any(|row| row["id"] == "1-70");
        assert_eq!(has, has_ids, "{statements}");
    }
}

#[test]
fn generated_columns_and_columns_called_rowid_are_columns() {
    let (_, taken) = twice(
        "CREATE TABLE inference_records (id INTEGER PRIMARY KEY, body TEXT, model_name TEXT,
            timestamp TEXT,
            action TEXT GENERATED ALWAYS AS (json_extract(body, '$.action')) STORED,
            confidence REAL GENERATED ALWAYS AS (json_extract(body, '$.confidence')) VIRTUAL);
         INSERT INTO inference_records (body, model_name, timestamp) VALUES
            ('{\"action\": \"SELL\", \"confidence\": 0.75}', 'm', '2025-07-25 14:01:00');",
        &[],
        1,
    );
    assert_eq!(
        (&taken[0]["action"], &taken[0]["confidence"]),
        (&"SELL".into(), &0.75.into())
    );
    twice(
        "CREATE TABLE inference_records (rowid TEXT, _rowid_ TEXT, oid TEXT, model_name TEXT,
            timestamp TEXT);
         INSERT INTO inference_records VALUES ('a', 'b', 'c', 'm', '2025-07-25 14:01:00');
         INSERT INTO inference_records VALUES ('a', 'b', 'c', 'm', '2025-07-25 14:02:00');",
        &[],
        2,
    );
}

#[test]
fn numbers_that_no_id_can_have_are_taken_in_by_content() {
    let ids = [
        "-1",
        "0",
        "1",
        "1099511627775",
        "1099511627776",
        "9223372036854775807",
    ];
    let rows: String = ids.iter().map(|id| row(id, 1, "BUY")).collect();
    let rows = rows.replace("INTO t", "INTO inference_records");
    let create = format!("CREATE TABLE inference_records (id INTEGER PRIMARY KEY, {COLUMNS});");
    let (_, taken) = twice(&(create + &rows), &[], 6);
    for id in ["1-0", "1-1", "1-1099511627775"] {
        assert!(taken.iter().any(|row| row["id"] == id), "{id}");
    }
}

#[test]
fn columns_that_are_not_known_are_kept_on_request_and_counted_otherwise() {
    let statements = "CREATE TABLE inference_records (id INTEGER PRIMARY KEY, model_name TEXT,
            timestamp TEXT, exchange TEXT, reward REAL, raw BLOB, metadata TEXT);
         INSERT INTO inference_records VALUES
            (1, 'm', '2025-07-25 14:01:00', 'kraken', -1.5, x'00ff', '{\"exchange\": \"other\"}'),
            (2, 'm', '2025-07-25 14:02:00', NULL, 2, NULL, NULL);";
    let (report, taken) = twice(statements, &[], 2);
    assert!(taken[0]["attributes"].get("reward").is_none());
    let left = report["not_taken_over"].to_string();
    for (column, values) in [("exchange", 1), ("reward", 2), ("raw", 1)] {
        let reason = "a column that is not known";
        let part = format!(
            r#"{{"field":"inference_records.{column}","reason":"{reason}","values":{values}}}"#
        );
        assert!(left.contains(&part), "{left}");
    }
    let (report, taken) = twice(statements, &["--keep-columns"], 2);
    assert_eq!(report["not_taken_over"], serde_json::json!([]));
    let first = &taken.iter().find(|row| row["id"] == "1-1").unwrap()["attributes"];
    assert_eq!(first["exchange"], "other");
    assert_eq!(first["column.exchange"], "kraken");
    assert_eq!(first["reward"], -1.5);
    assert_eq!(first["raw"], "00ff");
}

#[test]
fn one_bad_key_costs_that_key_and_every_loss_is_counted() {
    let many: Vec<String> = (0..1_025).map(|_| "0.5".into()).collect();
    let statements = format!(
        "CREATE TABLE inference_records (id INTEGER PRIMARY KEY, {COLUMNS}, probabilities TEXT,
            processing_time_ms REAL, memory_usage_mb REAL, metadata TEXT);
         INSERT INTO inference_records VALUES
            (1, 'm', '2025-07-25 14:01:00', 's', 'BUY', 'abc',
             '{{\"BUY\": 0.6, \"x\": \"y\", \"z\": [1]}}', -1, 'big', '{{'),
            (2, 'm', '2025-07-25 14:02:00', CAST(x'41ff' AS TEXT), 'BUY', 0.5,
             '[{}]', 1, 1, NULL);",
        many.join(", ")
    );
    let (report, taken) = twice_with(&statements, &[], 2, 1);
    let first = taken.iter().find(|row| row["id"] == "1-1").unwrap();
    assert_eq!(first["labels"], serde_json::json!(["BUY"]));
    let left = report["not_taken_over"].as_array().unwrap();
    let left: Vec<(&str, &str)> = left
        .iter()
        .map(|loss| {
            (
                loss["field"].as_str().unwrap(),
                loss["reason"].as_str().unwrap(),
            )
        })
        .collect();
    for loss in [
        ("confidence", "no number"),
        ("probabilities", "a value that is no number"),
        ("probabilities", "more than 1,024"),
        ("processing_time_ms", "no time"),
        ("memory_usage_mb", "no number"),
        ("metadata", "no JSON"),
        ("symbol", "no UTF-8"),
    ] {
        assert!(left.contains(&loss), "{loss:?}: {left:?}");
    }
    assert_eq!(report["damaged"], 2);
}

#[test]
fn times_without_a_zone_and_hours_that_came_twice_are_counted() {
    let rows: String = ["10-26 03:10", "10-26 03:40", "03-30 03:30", "07-25 10:00"]
        .iter()
        .map(|time| format!("INSERT INTO inference_records VALUES ('m', '2025-{time}:00');"))
        .collect();
    let statements = format!(
        "CREATE TABLE inference_records (model_name TEXT, timestamp); {rows}
         INSERT INTO inference_records VALUES ('m', '2025-07-25T10:00:00+03:00');
         INSERT INTO inference_records VALUES ('m', 1753454079000000000);
         INSERT INTO inference_records VALUES ('m', CAST('2025-07-25 11:00:00' AS BLOB));"
    );
    let (report, _) = twice(&statements, &["--zone", "Europe/Sofia"], 7);
    assert_eq!(report["times_without_a_zone"], 5, "{report}");
    assert_eq!(report["times_that_came_twice"], 2);
    assert_eq!(report["times_that_never_were"], 1);
    for (zone, hour) in [
        ("+02:00", "09"),
        ("-0530", "16"),
        ("UTC+1", "10"),
        ("UTC", "11"),
    ] {
        let (_, taken) = twice(&statements, &["--zone", zone], 7);
        let time = format!("2025-07-25T{hour}");
        let has = |row: &&Value| row["event_time"].as_str().unwrap().starts_with(&time);
        assert!(taken.iter().any(|row| has(&row)), "{zone}");
    }
    let dir = tempfile::tempdir().unwrap();
    for zone in ["+25:00", "+1:77", "Europe/Nowhere", "+", "+é"] {
        let args = ["import", "x.db", "--zone", zone];
        assert_eq!(
            annals(dir.path(), &args).output().unwrap().status.code(),
            Some(2),
            "{zone}"
        );
    }
}

/// A table of `rows` rows in pages of 1,024 bytes.
fn paged(path: &Path, rows: u32) {
    let file = Connection::open(path).unwrap();
    let create = format!(
        "PRAGMA page_size = 1024;
         CREATE TABLE inference_records (id INTEGER PRIMARY KEY, {COLUMNS});
         BEGIN;"
    );
    file.execute_batch(&create).unwrap();
    let mut insert = file
        .prepare("INSERT INTO inference_records VALUES (?1, 'm', 1753454079 + ?1, 's', 'BUY', 0.5)")
        .unwrap();
    for id in 1..=rows {
        insert.execute([id]).unwrap();
    }
    drop(insert);
    file.execute_batch("COMMIT").unwrap();
}

#[test]
fn of_a_file_with_bad_pages_the_rest_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("old.db");
    paged(&from, 2_000);
    let whole = fs::read(&from).unwrap();
    let pages = whole.len() / 1_024;
    let cases = [vec![pages / 2], vec![5, 6, pages / 3, pages - 2], vec![2]];
    for (number, bad) in cases.into_iter().enumerate() {
        let data = dir.path().join(format!("data{number}"));
        let mut bytes = whole.clone();
        for page in &bad {
            bytes[page * 1_024..(page + 1) * 1_024].fill(0);
        }
        fs::write(&from, &bytes).unwrap();
        let (report, said) = import(&data, &from, &[], 1);
        let unread = report["unread"].to_string();
        assert!(unread.contains("malformed"), "{bad:?}: {report} {said}");
        let taken = report["inferences"].as_u64().unwrap();
        assert!(taken >= 1_800 || bad == [2], "{bad:?}: {report}");
        let (again, _) = import(&data, &from, &[], 1);
        assert_eq!(again["inferences"], 0, "{bad:?}: {again}");
        // The whole file completes it.
        fs::write(&from, &whole).unwrap();
        let (mended, _) = import(&data, &from, &[], 0);
        assert_eq!(mended["inferences"], 2_000 - taken);
    }
}

#[test]
fn a_file_whose_writer_died_in_a_transaction_is_read_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("old.db"));
    paged(&from, 500);
    // Pages that a transaction has changed in the file, and the journal that undoes it.
    let file = Connection::open(&from).unwrap();
    file.execute_batch(
        "PRAGMA cache_size = 5; BEGIN; UPDATE inference_records SET action = 'SELL';",
    )
    .unwrap();
    let hot = dir.path().join("hot.db");
    fs::copy(&from, &hot).unwrap();
    fs::copy(
        dir.path().join("old.db-journal"),
        dir.path().join("hot.db-journal"),
    )
    .unwrap();
    drop(file);
    let (report, said) = import(&data, &hot, &[], 0);
    assert_eq!(report["inferences"], 500, "{said}");
    assert!(report["notes"].to_string().contains("copy"), "{report}");
    assert!(tail(&data).iter().all(|row| row["action"] == "BUY"));
    assert!(dir.path().join("hot.db-journal").exists());

    // A write-ahead log without its index, in a folder that may not be written.
    let log = dir.path().join("log.db");
    let file = Connection::open(&log).unwrap();
    file.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;")
        .unwrap();
    let create = format!("CREATE TABLE inference_records (id INTEGER PRIMARY KEY, {COLUMNS});");
    let rows = row("1", 1, "BUY").replace("INTO t", "INTO inference_records");
    file.execute_batch(&(create + &rows)).unwrap();
    let folder = dir.path().join("copy");
    fs::create_dir(&folder).unwrap();
    for name in ["log.db", "log.db-wal"] {
        fs::copy(dir.path().join(name), folder.join(name)).unwrap();
    }
    let mut closed = fs::metadata(&folder).unwrap().permissions();
    let open = closed.clone();
    closed.set_readonly(true);
    fs::set_permissions(&folder, closed).unwrap();
    let (report, said) = import(&dir.path().join("other"), &folder.join("log.db"), &[], 0);
    fs::set_permissions(&folder, open).unwrap();
    assert_eq!(report["inferences"], 1, "{said}");
}

#[test]
fn lines_with_marks_and_lines_that_are_too_long_count_as_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let line = |number: u32, more: &str| {
        format!(
            r#"{{"id": "1-{number}", "journal": "j", "event_time": "2025-07-25T14:01:00Z",
                "model": "m", "symbol": "s", "action": "BUY"{more}}}"#
        )
        .replace('\n', "")
            + "\n"
    };
    let huge = format!(r#", "attributes": {{"a": "{}"}}"#, "é".repeat(9 << 20));
    let text = format!("\u{feff}{}{}{}", line(1, ""), line(2, &huge), line(3, ""));
    let from = dir.path().join("no_extension");
    fs::write(&from, text + "{\n").unwrap();
    let data = dir.path().join("data");
    let (report, said) = import(&data, &from, &[], 1);
    assert_eq!(
        (&report["inferences"], &report["broken"]),
        (&2.into(), &2.into()),
        "{said}"
    );
    assert!(
        said.contains("line 2: it has") && said.contains("line 4"),
        "{said}"
    );
    for is_big in [true, false] {
        let units = line(1, "").encode_utf16().collect::<Vec<u16>>();
        let mut bytes = if is_big {
            vec![0xfe, 0xff]
        } else {
            vec![0xff, 0xfe]
        };
        for unit in units {
            bytes.extend(if is_big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            });
        }
        fs::write(&from, &bytes).unwrap();
        let (_, said) = import(&data, &from, &[], 2);
        assert!(said.contains("UTF-16") && said.contains("iconv"), "{said}");
        fs::write(&from, &bytes[2..]).unwrap();
        import(&data, &from, &[], 2);
    }
    run(&data, &["verify"], 0);
}

#[test]
fn a_bad_field_of_a_line_costs_that_field_and_a_line_that_changed_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("all.jsonl"));
    let line = |more: &str| {
        let id = r#""id": "1-1", "journal": "j", "event_time": "2025-07-25T14:01:00Z""#;
        format!(r#"{{{id}, "model": "m", "symbol": "s", "action": "BUY", {more}}}"#) + "\n"
    };
    let bad = concat!(
        r#""confidence": "abc", "feature_hash": "xyz", "#,
        r#""probabilities": ["q", 0.5], "memory_bytes": -1"#
    );
    fs::write(&from, line(bad)).unwrap();
    let (report, said) = import(&data, &from, &[], 1);
    assert_eq!(
        (&report["inferences"], &report["damaged"]),
        (&1.into(), &1.into()),
        "{said}"
    );
    let lost = report["not_taken_over"].as_array().unwrap();
    assert_eq!(lost.len(), 4, "{lost:?}");
    assert_eq!(
        tail(&data)[0]["probabilities"],
        serde_json::json!(["NaN", 0.5])
    );
    // The same content adds nothing; corrected content is counted as another.
    let (report, _) = import(&data, &from, &[], 0);
    assert_eq!(
        (&report["known"], &report["known_and_changed"]),
        (&1.into(), &0.into())
    );
    fs::write(
        &from,
        line(r#""confidence": 0.5, "probabilities": [0.25, 0.5]"#),
    )
    .unwrap();
    let (report, said) = import(&data, &from, &[], 0);
    assert_eq!(report["known_and_changed"], 1, "{report} {said}");
    assert_eq!(report["changed_fields"]["confidence"], 1);
}
