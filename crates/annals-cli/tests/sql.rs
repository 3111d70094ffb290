//! The command `sql`: forms of output, files, errors, interruption and the prompt.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{annals, complaint, journal, json, run};

#[test]
fn rows_are_a_table_json_or_csv() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let sql = "SELECT model, COUNT(*) AS decisions, NULL AS void, 'a,\"b\"' AS odd \
               FROM decisions GROUP BY model ORDER BY model LIMIT 1";
    let table = run(dir.path(), &["sql", sql], 0);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(
        lines[0].starts_with("model") && lines[0].contains("decisions"),
        "{table}"
    );
    let rows = json(dir.path(), &["sql", sql]);
    assert_eq!(rows.len(), 1);
    let model = rows[0]["model"].as_str().unwrap().to_owned();
    let count = rows[0]["decisions"].as_u64().unwrap();
    assert!(count > 0 && rows[0]["void"].is_null());
    let csv = run(dir.path(), &["sql", "--format", "csv", sql], 0);
    let expected = format!("model,decisions,void,odd\r\n{model},{count},,\"a,\"\"b\"\"\"\r\n");
    assert_eq!(csv, expected);
    let all: u64 = json(dir.path(), &["sql", "SELECT COUNT(*) AS n FROM decisions"])[0]["n"]
        .as_u64()
        .unwrap();
    let scanned = json(
        dir.path(),
        &["sql", "--scan", "SELECT COUNT(*) AS n FROM decisions"],
    );
    assert_eq!(scanned[0]["n"].as_u64(), Some(all));
    let empty = run(
        dir.path(),
        &["sql", "SELECT id FROM decisions WHERE model = 'none'"],
        0,
    );
    assert_eq!(empty, "id\n");
}

#[test]
fn a_file_is_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let file = dir.path().join("answer.csv");
    let name = file.to_str().unwrap();
    let sql = "SELECT id FROM decisions";
    run(dir.path(), &["sql", "-f", "csv", "-o", name, sql], 0);
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.lines().count() > 2);
    let said = complaint(dir.path(), &["sql", "-o", name, sql], 4);
    assert!(said.contains("there already"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
    std::fs::remove_file(&file).unwrap();
    complaint(
        dir.path(),
        &["sql", "-o", name, "SELECT nonsense FROM decisions"],
        2,
    );
    assert!(!file.exists());
}

#[test]
fn what_writes_or_is_wrong_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 10);
    let said = complaint(dir.path(), &["sql", "DELETE FROM decisions"], 2);
    assert!(said.contains("only be read"), "{said}");
    let said = complaint(dir.path(), &["sql", "SELECT * FROM decision"], 2);
    assert!(said.contains("no such table: decision"), "{said}");
    complaint(&dir.path().join("nowhere"), &["sql", "SELECT 1"], 3);
}

#[test]
fn statements_come_from_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 10);
    let mut command = annals(dir.path(), &["sql", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"SELECT 1 + 1 AS two;\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{\"two\":2}\n");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_statement_that_never_ends() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 10);
    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
    let mut command = annals(dir.path(), &["sql", "--json", sql]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    rows.read_line(&mut line).unwrap();
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    // What it had written before fills the pipe.
    std::io::copy(&mut rows, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("interrupted"), "{said}");
}

#[test]
fn parquet_has_typed_columns_with_nulls() {
    use parquet::basic::{LogicalType, Type};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let file = dir.path().join("answer.parquet");
    let name = file.to_str().unwrap();
    // The last row decides that `share` has fractions, and `late` begins with NULL.
    let sql = "SELECT 1 AS share, NULL AS void, NULL AS late, 'a' AS word, x'ff00' AS bytes \
               UNION ALL SELECT 0.5, NULL, 7, NULL, NULL ORDER BY share DESC";
    run(dir.path(), &["sql", "-f", "parquet", "-o", name, sql], 0);
    let read = SerializedFileReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let schema = read.metadata().file_metadata().schema_descr_ptr();
    let types: Vec<Type> = schema.columns().iter().map(|c| c.physical_type()).collect();
    let text = Type::BYTE_ARRAY;
    assert_eq!(types, [Type::DOUBLE, text, Type::INT64, text, text]);
    assert_eq!(
        schema.column(3).logical_type_ref(),
        Some(&LogicalType::String)
    );
    let rows: Vec<Vec<Field>> = read
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            row.unwrap()
                .into_columns()
                .into_iter()
                .map(|c| c.1)
                .collect()
        })
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0][0], Field::Double(1.0));
    assert_eq!(rows[0][3], Field::Str("a".to_owned()));
    assert_eq!(rows[0][4], Field::Bytes(vec![0xff, 0].into()));
    assert_eq!(rows[1][0], Field::Double(0.5));
    assert_eq!(rows[1][2], Field::Long(7));
    for (row, column) in [(0, 1), (0, 2), (1, 1), (1, 3), (1, 4)] {
        assert_eq!(rows[row][column], Field::Null, "{row} {column}");
    }
    std::fs::remove_file(&file).unwrap();

    // All columns of a table, in groups of rows.
    let sql = "SELECT d.*, n.value FROM decisions d, (SELECT 1 AS value UNION SELECT 2) n";
    run(dir.path(), &["sql", "-f", "parquet", "-o", name, sql], 0);
    let read = SerializedFileReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let count = json(dir.path(), &["sql", "SELECT COUNT(*) AS n FROM decisions"]);
    let rows = read.metadata().file_metadata().num_rows();
    assert_eq!(Some(rows), count[0]["n"].as_i64().map(|n| 2 * n));
    std::fs::remove_file(&file).unwrap();

    let sql = "SELECT 1 AS odd UNION ALL SELECT 'two'";
    let said = complaint(dir.path(), &["sql", "-f", "parquet", "-o", name, sql], 2);
    assert!(
        said.contains("\"odd\" mixes whole numbers and text, first in row 2"),
        "{said}"
    );
    assert!(!file.exists());
    let said = complaint(dir.path(), &["sql", "-f", "parquet", "SELECT 1"], 2);
    assert!(said.contains("--output"), "{said}");
}
