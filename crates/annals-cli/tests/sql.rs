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
