//! Statements over a journal, and the same over a copy of its rows in a table of SQLite's own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use annals::entry::EpisodeEnd;
use annals::{Inference, Journal, Level, Mode, Outcome, Timestamp};
use annals_sql::{Database, Error, Value};
use rusqlite::Connection;
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(60);
/// 2025-07-25 14:00:00 UTC.
const NOON: i64 = 1_753_452_000_000_000;

fn place() -> (TempDir, std::path::PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    (home, dir)
}

/// Decisions of three models, about four symbols, out of order in time, some at one time, some
/// with repeats, checkpoints, outcomes, hostile names.
fn fill(dir: &Path, decisions: i64) {
    let journal = Journal::open(dir).unwrap();
    let names = ["dqn_agent", "cnn", "it's \"odd\"; DROP TABLE\u{202e}"];
    for number in 0..decisions {
        let model = names[usize::try_from(number % 3).unwrap()];
        let symbol =
            ["ETH/USDT", "BTC/USDT", "", "ETH/usdt"][usize::try_from(number / 6 % 4).unwrap()];
        // Hours apart, back and forth; every seventh at one time.
        let time = match number % 7 {
            0 => NOON,
            _ => NOON + (number * 7_919 % 400) * 61_000_003,
        };
        let confidence = (number % 101) as f32 / 100.0;
        let mut decision =
            Inference::new(model, symbol, ["BUY", "SELL"][usize::from(number % 5 > 2)])
                .features(&[(number / 6) as f32])
                .event_time(Timestamp::from_micros(time));
        if number % 11 > 0 {
            decision = decision.confidence(confidence);
        }
        if number % 2 > 0 {
            decision = decision.processing_time(Duration::from_micros(1 + number.unsigned_abs()));
        }
        if number % 3 > 0 {
            decision = decision.checkpoint("cp_1");
        }
        if number % 9 == 4 {
            // The second one is a repeat.
            journal.log(decision).unwrap();
            journal.log(decision).unwrap();
        }
        let id = journal.log(decision.attribute("lots", number)).unwrap();
        if number % 10 == 0 {
            journal.attach_outcome(id, Outcome::new().reward(0.5).correct(number % 20 == 0));
        }
    }
    let recorder = journal
        .recorder("walker", "hill")
        .actions(["left", "right"])
        .predictions(["price"]);
    let recorder = recorder.build().unwrap();
    let episode = recorder.episode();
    for action in 0..2 {
        let step = episode
            .inference(action)
            .probabilities(&[0.25, 0.75])
            .sampled();
        let step = step.action_vector(&[0.5, -1.0]);
        step.predictions(&[101.5]).log().unwrap();
    }
    assert!(episode.end(EpisodeEnd::Terminated));
    journal.event(Level::Warn, "exchange", "slow");
    journal.close().unwrap();
}

fn rows(database: &mut Database, sql: &str) -> Vec<Vec<Value>> {
    match database.query(sql).and_then(|answer| answer.rows()) {
        Ok(rows) => rows,
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// All rows of a table of the journal in a table of the same name.
fn copied(database: &mut Database, table: &str) -> Connection {
    let copy = Connection::open_in_memory().unwrap();
    let info = rows(
        database,
        &format!("SELECT name, type FROM pragma_table_info('{table}')"),
    );
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let columns = info
        .iter()
        .map(|row| format!("\"{}\" {}", text(&row[0]), text(&row[1])));
    let columns: Vec<String> = columns.collect();
    copy.execute_batch(&format!(
        "CREATE TABLE {table}({}); BEGIN",
        columns.join(", ")
    ))
    .unwrap();
    let places = vec!["?"; columns.len()].join(", ");
    for row in rows(database, &format!("SELECT * FROM {table}")) {
        let insert = format!("INSERT INTO {table} VALUES ({places})");
        copy.execute(&insert, rusqlite::params_from_iter(row))
            .unwrap();
    }
    copy.execute_batch("COMMIT").unwrap();
    copy
}

fn of_copy(copy: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = copy.prepare(sql).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column)).collect());
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn the_predecessors_statements_run_as_they_are_written() {
    let (_home, dir) = place();
    let journal = Journal::open(&dir).unwrap();
    let registry = journal.registry().unwrap();
    registry
        .set_monitor("dqn_agent", "loss", Mode::Min)
        .unwrap();
    let saved = registry
        .checkpoint("dqn_agent")
        .metric("loss", 0.25)
        .save(b"w")
        .unwrap();
    registry
        .checkpoint("dqn_agent")
        .metric("loss", 0.5)
        .save(b"x")
        .unwrap();
    registry.activate(saved.id()).unwrap();
    for confidence in [0.5, 0.75, 0.25] {
        journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(confidence));
    }
    let yesterday = Timestamp::now().saturating_sub(Duration::from_secs(90_000));
    journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(yesterday));
    journal.close().unwrap();

    let mut database = Database::open(&dir).unwrap();
    let active = rows(
        &mut database,
        "SELECT * FROM checkpoint_metadata WHERE model_name = 'dqn_agent' AND is_active = TRUE;",
    );
    assert_eq!(active.len(), 1);
    assert_eq!(active[0][0], Value::Text(saved.id().to_owned()));
    assert_eq!(active[0][4], Value::Text(r#"{"loss":0.25}"#.to_owned()));

    let statement = "SELECT model_name, AVG(confidence), COUNT(*) \nFROM inference_records \n\
                     WHERE timestamp > datetime('now', '-24 hours')\nGROUP BY model_name;";
    for with_rollups in [true, false] {
        let mut database = Database::open(&dir).unwrap().with_rollups(with_rollups);
        let answer = database.query(statement).unwrap();
        assert_eq!(answer.is_from_rollups(), with_rollups);
        let expected = [
            Value::Text("dqn_agent".to_owned()),
            Value::Real(0.5),
            Value::Integer(3),
        ];
        assert_eq!(answer.rows().unwrap(), [expected]);
    }
}

#[test]
fn conditions_orders_and_joins_are_those_of_sqlite() {
    let (_home, dir) = place();
    fill(&dir, 400);
    let mut database = Database::open(&dir).unwrap().with_rollups(false);
    let steps =
        "SELECT action, propensity, action_vector, step FROM decisions WHERE episode NOTNULL";
    let text = |text: &str| Value::Text(text.to_owned());
    let vector = text("[0.5,-1.0]");
    let first = [
        text("left"),
        Value::Real(0.25),
        vector.clone(),
        Value::Integer(0),
    ];
    let second = [text("right"), Value::Real(0.75), vector, Value::Integer(1)];
    assert_eq!(rows(&mut database, steps), [first, second]);
    let price = "SELECT SUM(predictions ->> 'price') FROM decisions";
    assert_eq!(rows(&mut database, price), [[Value::Real(203.0)]]);
    let copy = copied(&mut database, "decisions");
    let repeats = "SELECT COUNT(*) > 40 FROM decisions WHERE repeat_of IS NOT NULL";
    assert_eq!(of_copy(&copy, repeats), [[Value::Integer(1)]]);
    let times = [
        "2025-07-25 14:00:00",
        "2025-07-25",
        "2025-07-25T15:00:00",
        "2025-07-25 16",
        "2025-07-25 17:04:00.000183",
        "2025-07-26 01:00:00.5",
        "2025-07- 5",
        " 2025-7-25",
        "yesterday",
        "",
    ];
    let mut statements = vec![
        "SELECT * FROM decisions".to_owned(),
        "SELECT id FROM decisions WHERE model = 'cnn' ORDER BY time, sequence".to_owned(),
        "SELECT time, id FROM decisions ORDER BY time DESC LIMIT 300".to_owned(),
        "SELECT time, id FROM decisions ORDER BY time LIMIT 300".to_owned(),
        "SELECT id FROM decisions ORDER BY sequence DESC LIMIT 7".to_owned(),
        "SELECT id FROM decisions WHERE sequence BETWEEN 100 AND 120 AND symbol > 'B'".to_owned(),
        "SELECT id FROM decisions WHERE sequence > 390 AND sequence < 2000 AND sequence != 395"
            .to_owned(),
        "SELECT id FROM decisions WHERE symbol IN ('', 'ETH/USDT') AND action = 'SELL'".to_owned(),
        "SELECT id FROM decisions WHERE symbol = 'ETH/USDT' COLLATE NOCASE".to_owned(),
        "SELECT id FROM decisions WHERE model = 1 OR checkpoint IS NULL".to_owned(),
        // SQLite reads the table once for each side, and joins them.
        "SELECT id FROM decisions WHERE model = 'cnn' OR symbol = 'BTC/USDT'".to_owned(),
        "SELECT id FROM decisions WHERE action = 'SELL' OR sequence > 380".to_owned(),
        "SELECT id FROM decisions WHERE time < '2025-07-25 15:00:00' OR model = 'cnn'".to_owned(),
        format!(
            "SELECT id FROM decisions WHERE time_us <= {} AND time_us >= {}",
            i64::MAX,
            i64::MIN
        ),
        "SELECT id, reward, correct FROM decisions WHERE reward IS NOT NULL ORDER BY time, id"
            .to_owned(),
        "SELECT symbol, SUM(reward), COUNT(DISTINCT action) FROM decisions GROUP BY 1 ORDER BY 1"
            .to_owned(),
        "SELECT a.id, b.id FROM decisions a JOIN decisions b ON b.repeat_of = a.id".to_owned(),
        "SELECT json_extract(attributes, '$.lots') AS lots FROM decisions WHERE lots % 100 = 7"
            .to_owned(),
        format!(
            "SELECT id FROM decisions WHERE time_us > {NOON} AND time_us <= {}",
            NOON + 1_000_000
        ),
        format!("SELECT id FROM decisions WHERE time_us = {NOON} ORDER BY time, sequence"),
        "SELECT id FROM decisions WHERE time > 5 AND sequence < '20'".to_owned(),
    ];
    for time in times {
        for operator in ["=", "<", "<=", ">", ">="] {
            statements.push(format!(
                "SELECT id FROM decisions WHERE time {operator} '{time}'"
            ));
        }
    }
    let sorted = |mut rows: Vec<Vec<Value>>| {
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    };
    for sql in &statements {
        let (ours, theirs) = (rows(&mut database, sql), of_copy(&copy, sql));
        // Rows of the same time have no order of their own.
        let is_ordered = sql.contains("sequence") && sql.contains("ORDER BY");
        match is_ordered {
            true => assert!(ours == theirs, "{sql}"),
            false if sql.contains("LIMIT") => {
                let times = |rows: &[Vec<Value>]| -> Vec<Value> {
                    rows.iter().map(|row| row[0].clone()).collect()
                };
                assert!(times(&ours) == times(&theirs), "{sql}");
            }
            false => assert!(sorted(ours) == sorted(theirs), "{sql}"),
        }
    }
}

#[test]
fn a_sorted_table_takes_any_number_of_decisions_of_one_time() {
    let (_home, dir) = place();
    let journal = Journal::open(&dir).unwrap();
    let count = 40_000_i64;
    for number in 0..count {
        let same = NOON + if number % 8 == 0 { number } else { 7 };
        let decision = Inference::new("m", "s", "BUY").event_time(Timestamp::from_micros(same));
        // The queue is shorter than that.
        if journal.log(decision).is_none() {
            panic!("dropped {number}");
        }
        if number % 10_000 == 0 {
            journal.flush().wait(BOUND).unwrap();
        }
    }
    journal.close().unwrap();
    let mut database = Database::open(&dir).unwrap();
    for (direction, is_less) in [("", true), ("DESC", false)] {
        let sql = format!("SELECT time_us, sequence FROM decisions ORDER BY time {direction}");
        let found = rows(&mut database, &sql);
        assert_eq!(found.len(), usize::try_from(count).unwrap());
        let key = |row: &Vec<Value>| match row[..] {
            [Value::Integer(time), Value::Integer(sequence)] => (time, sequence),
            _ => panic!("{row:?}"),
        };
        for pair in found.windows(2) {
            assert_eq!(key(&pair[0]) < key(&pair[1]), is_less, "{pair:?}");
        }
    }
}

#[test]
fn rollups_and_rows_agree() {
    let (_home, dir) = place();
    fill(&dir, 2_000);
    let figures = "COUNT(*), COUNT(confidence), AVG(confidence), MIN(confidence), MAX(confidence), \
                   SUM(confidence)";
    let durations = "AVG(processing_time_ms), MIN(processing_time_ms), MAX(processing_time_ms), \
                     SUM(processing_time_ms), COUNT(processing_time_ms)";
    let since = "timestamp > '2025-07-25 15:00:00'";
    let statements = [
        format!("SELECT {figures}, {durations} FROM inference_records"),
        format!("SELECT model_name, {figures}, {durations} FROM inference_records GROUP BY 1"),
        format!("SELECT model_name, {figures} FROM inference_records GROUP BY model_name"),
        format!("SELECT symbol, {durations} FROM inference_records GROUP BY symbol"),
        format!("SELECT checkpoint_id, {figures} FROM inference_records GROUP BY checkpoint_id"),
        format!("SELECT action, symbol, {figures} FROM inference_records GROUP BY symbol, action"),
        "SELECT date(timestamp), COUNT(*) FROM inference_records GROUP BY date(timestamp)"
            .to_owned(),
        format!("SELECT COUNT(*) FROM inference_records WHERE {since} AND model_name = 'cnn'"),
        "SELECT COUNT(*) FROM inference_records WHERE model_name = 'nobody'".to_owned(),
        "SELECT symbol, COUNT(*) FROM inference_records WHERE model_name = 'x' GROUP BY symbol"
            .to_owned(),
        format!(
            "SELECT model_name m, ROUND(AVG(confidence), 3) c FROM inference_records WHERE {since} \
             GROUP BY model_name HAVING COUNT(*) > 1 ORDER BY c DESC, m LIMIT 2"
        ),
        "SELECT symbol, COUNT(*) * 2 FROM inference_records WHERE timestamp BETWEEN \
             '2025-07-25 14:00:00' AND '2025-07-25 14:00:00' GROUP BY symbol ORDER BY COUNT(*), 1"
            .to_owned(),
        "SELECT model, COUNT(*) FROM decisions GROUP BY model".to_owned(),
    ];
    let mut by_rollups = 0;
    for sql in &statements {
        let ask = |with_rollups| {
            let mut database = Database::open(&dir).unwrap().with_rollups(with_rollups);
            let answer = database.query(sql).unwrap();
            let is_from_rollups = answer.is_from_rollups();
            let columns = answer.columns().to_vec();
            let mut rows = answer.rows().unwrap();
            if !sql.contains("ORDER BY") {
                rows.sort_by_key(|row| format!("{row:?}"));
            }
            (is_from_rollups, columns, rows)
        };
        let ((fast, names, ours), (slow, expected_names, theirs)) = (ask(true), ask(false));
        assert!(!slow);
        by_rollups += usize::from(fast);
        assert_eq!(names, expected_names, "{sql}");
        assert_eq!(ours.len(), theirs.len(), "{sql}: {ours:?} {theirs:?}");
        for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            match (ours, theirs) {
                // Sums over rows are of numbers that were rounded for people.
                (Value::Real(a), Value::Real(b)) => {
                    assert!((a - b).abs() <= 1e-7 * b.abs().max(1.0), "{sql}: {a} {b}");
                }
                (a, b) => assert_eq!(a, b, "{sql}"),
            }
        }
    }
    // GROUP BY 1 is no column's name.
    assert_eq!(by_rollups, statements.len() - 1);
}

#[test]
fn other_statements_read_the_rows() {
    let (_home, dir) = place();
    fill(&dir, 50);
    let mut database = Database::open(&dir).unwrap();
    for sql in [
        "SELECT model, symbol, COUNT(*) FROM decisions GROUP BY model",
        "SELECT COUNT(DISTINCT model) FROM decisions",
        "SELECT COUNT(*) FROM decisions WHERE action = 'BUY'",
        "SELECT COUNT(*) FROM decisions WHERE model = 'cnn' OR model = 'dqn_agent'",
        "SELECT COUNT(*) FROM decisions WHERE time > '2025-07-25T15:00'",
        "SELECT COUNT(*) FROM decisions d",
        "SELECT COUNT(*) FROM decisions, runs",
        "SELECT AVG(confidence) FROM decisions",
        "SELECT action, AVG(processing_time_ms) FROM inference_records GROUP BY action",
        "SELECT COUNT(*) OVER () FROM decisions",
        "SELECT COUNT(*) FILTER (WHERE model = 'cnn') FROM decisions",
        "SELECT (SELECT 1), COUNT(*) FROM decisions",
        "WITH x AS (SELECT 1) SELECT COUNT(*) FROM decisions",
        "SELECT COUNT(*) FROM decisions UNION SELECT 1",
        "SELECT DISTINCT COUNT(*) FROM decisions",
        "SELECT COUNT(*) FROM decisions LIMIT (SELECT 1)",
        "SELECT model, AVG(confidence) AS confidence FROM decisions GROUP BY model \
         HAVING confidence > 0",
    ] {
        let answer = database
            .query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(!answer.is_from_rollups(), "{sql}");
        answer.rows().unwrap();
    }
}

#[test]
fn all_tables_have_rows() {
    let (_home, dir) = place();
    fill(&dir, 100);
    let journal = Journal::open(&dir).unwrap();
    let registry = journal.registry().unwrap();
    registry
        .checkpoint("cnn")
        .metric("loss", 0.5)
        .save(b"w")
        .unwrap();
    journal.close().unwrap();
    let mut database = Database::open(&dir).unwrap();
    let mut count = |table: &str| {
        let found = rows(&mut database, &format!("SELECT * FROM {table}"));
        found.len()
    };
    assert_eq!(count("decisions"), 124);
    assert_eq!(count("inference_records"), 113);
    assert_eq!(count("outcomes"), 11);
    assert_eq!(count("episodes"), 1);
    assert_eq!(count("runs"), 2);
    assert_eq!(count("gaps"), 0);
    assert_eq!(count("checkpoints"), 1);
    assert_eq!(count("checkpoint_metadata"), 1);
    assert!(count("events") >= 2, "a warning and a checkpoint");
    assert!(count("model_performance") >= 3, "a day of three models");
}

#[test]
fn nothing_can_be_written() {
    let (home, dir) = place();
    fill(&dir, 10);
    let other = home.path().join("other.db");
    let mut database = Database::open(&dir).unwrap();
    for sql in [
        "DELETE FROM decisions".to_owned(),
        "INSERT INTO decisions(model) VALUES ('m')".to_owned(),
        "CREATE TABLE t(x)".to_owned(),
        "CREATE TEMP TABLE t(x)".to_owned(),
        "DROP TABLE decisions".to_owned(),
        format!("ATTACH '{}' AS other", other.display()),
        format!("VACUUM INTO '{}'", other.display()),
        "PRAGMA journal_mode = WAL".to_owned(),
        "BEGIN".to_owned(),
    ] {
        let error = database
            .query(&sql)
            .and_then(|answer| answer.rows())
            .unwrap_err();
        assert!(matches!(error, Error::ReadOnly), "{sql}: {error}");
    }
    assert!(!other.exists());
    assert_eq!(
        rows(&mut database, "SELECT COUNT(*) FROM decisions"),
        [[Value::Integer(14)]]
    );
}

#[test]
fn wrong_statements_say_where() {
    let (_home, dir) = place();
    fill(&dir, 10);
    let mut database = Database::open(&dir).unwrap();
    for (sql, part) in [
        ("SELEC 1", "syntax error"),
        ("SELECT nonsense FROM decisions", "no such column: nonsense"),
        ("SELECT 1 FROM nowhere", "no such table: nowhere"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("", "empty"),
    ] {
        let error = database
            .query(sql)
            .and_then(|answer| answer.rows())
            .unwrap_err();
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
    let missing = Database::open(dir.join("nowhere")).map(drop).unwrap_err();
    assert!(matches!(
        missing,
        Error::Journal(annals::Error::Missing { .. })
    ));
}

#[test]
fn a_statement_that_never_ends_can_be_interrupted() {
    let (_home, dir) = place();
    fill(&dir, 10);
    let mut database = Database::open(&dir).unwrap();
    let interrupter = database.interrupter();
    let (begun, is_running) = std::sync::mpsc::channel();
    let ended = thread::scope(|scope| {
        scope.spawn(move || {
            is_running.recv().unwrap();
            interrupter.interrupt();
        });
        let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
        let answer = database.query(sql).unwrap();
        answer.for_each(|row| {
            if row[0] == annals_sql::ValueRef::Integer(1) {
                begun.send(()).unwrap();
            }
            ControlFlow::Continue(())
        })
    });
    assert!(matches!(ended, Err(Error::Interrupted)));
    assert_eq!(rows(&mut database, "SELECT 1"), [[Value::Integer(1)]]);
}

#[test]
fn a_statement_sees_what_was_committed_when_it_began() {
    let (_home, dir) = place();
    let journal = Journal::open(&dir).unwrap();
    let log = || {
        journal.log(Inference::new("m", "s", "BUY"));
        journal.flush().wait(BOUND).unwrap();
    };
    log();
    let mut database = Database::open(&dir).unwrap();
    let answer = database
        .query("SELECT COUNT(*) FROM decisions a, decisions b")
        .unwrap();
    log();
    assert_eq!(answer.rows().unwrap(), [[Value::Integer(1)]]);
    let now = rows(
        &mut database,
        "SELECT COUNT(*) FROM decisions a, decisions b",
    );
    assert_eq!(now, [[Value::Integer(4)]]);
}
