//! Directories to look at, and the command that looks.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use annals::{Inference, Journal, Mode, Outcome, Timestamp};

/// 2025-07-25 14:34:39 UTC.
pub const BEGIN: i64 = 1_753_454_079_000_000;

/// A folder that goes with the test, and in it the directory of a journal.
pub struct Place {
    folder: tempfile::TempDir,
    /// The journal's directory: it is not there yet, unless [`Place::with`] made it.
    pub data: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Place { folder, data }
    }

    /// With a [`journal`] of `count` decisions.
    pub fn with(count: u32) -> Self {
        let place = Place::new();
        journal(&place.data, count);
        place
    }

    /// A file of this name beside the journal.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs the command on the journal: see [`run`].
    pub fn run(&self, args: &[&str]) -> String {
        run(&self.data, args, 0)
    }

    /// Exports to what is called so beside the journal, and gives the path.
    pub fn export(&self, name: &str, more: &[&str]) -> PathBuf {
        self.run(&[&["export", &self.arg(name)], more].concat());
        self.path(name)
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A journal of `count` decisions, one for each second, a third of them judged, and checkpoints.
pub fn journal(dir: &Path, count: u32) {
    let journal = Journal::options()
        .dedup_window(Duration::ZERO)
        .open(dir)
        .unwrap();
    let registry = journal.registry().unwrap();
    registry
        .set_monitor("dqn_agent", "val_loss", Mode::Min)
        .unwrap();
    for (loss, tag) in [(0.5, "old"), (0.25, "nightly"), (0.75, "nightly")] {
        let new = registry
            .checkpoint("dqn_agent")
            .metric("val_loss", loss)
            .tag(tag);
        new.metadata("lr", 0.001).save(b"weights").unwrap();
    }
    let best = registry.best("dqn_agent").unwrap().unwrap();
    for number in 0..count {
        let action = ["BUY", "SELL", "HOLD"][number as usize % 3];
        let confidence = 0.5 + f32::from(u16::try_from(number % 100).unwrap()) / 250.0;
        let time = BEGIN + i64::from(number) * 1_000_000;
        let rest = 1.0 - confidence;
        let id = journal
            .log(
                Inference::new("dqn_agent", "ETH/USDT", action)
                    .confidence(confidence)
                    .probabilities(&[(action, confidence), ("other", rest)])
                    .features_hashed(u64::from(number))
                    .processing_time(Duration::from_micros(12_500 + u64::from(number)))
                    .checkpoint(best.id())
                    .event_time(Timestamp::from_micros(time)),
            )
            .unwrap();
        if number % 3 == 0 {
            let outcome = Outcome::new()
                .reward(f64::from(number) - 10.0)
                .correct(number % 2 == 0);
            let outcome = outcome.label("closed").value("pnl", 0.5);
            journal.attach_outcome(id, outcome.at(Timestamp::from_micros(time + 5_000_000)));
        }
        if number % 1_000 == 999 {
            journal.flush().wait(Duration::from_secs(60)).unwrap();
        }
    }
    journal.event(annals::Level::Warn, "exchange", "feed is late");
    journal.flush().wait(Duration::from_secs(60)).unwrap();
    journal.close().unwrap();
}

/// The command, on the journal in `dir`.
pub fn annals(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command
        .arg("--dir")
        .arg(dir)
        .args(args)
        .env_remove("ANNALS_DIR")
        .env_remove("ANNALS_ZONE");
    command
}

/// Standard output of the command; it must have ended with `code`.
pub fn run(dir: &Path, args: &[&str], code: i32) -> String {
    let output = annals(dir, args).output().unwrap();
    let text = both(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of the command in one line; it must have ended with `code`.
pub fn complaint(dir: &Path, args: &[&str], code: i32) -> String {
    let output = annals(dir, args).output().unwrap();
    let text = both(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    String::from_utf8(output.stderr).unwrap()
}

fn both(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// The JSON documents that the command printed.
pub fn json(dir: &Path, args: &[&str]) -> Vec<serde_json::Value> {
    let mut all = args.to_vec();
    all.push("--json");
    let text = run(dir, &all, 0);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A predecessor's database with `rows` rows and the oddities that real files have.
pub fn database(path: &Path, rows: u32) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch(
        "CREATE TABLE inference_records (id INTEGER PRIMARY KEY AUTOINCREMENT, model_name TEXT,
            timestamp TEXT, symbol TEXT, action TEXT, confidence REAL, probabilities TEXT,
            input_features_hash TEXT, processing_time_ms REAL, memory_usage_mb REAL,
            checkpoint_id TEXT, metadata TEXT, created_by_hand TEXT);
         CREATE TABLE model_performance (id INTEGER PRIMARY KEY, date TEXT);
         CREATE TABLE notes (text TEXT);
         BEGIN;",
    )
    .unwrap();
    for row in 0..rows {
        file.execute(
            "INSERT INTO inference_records (model_name, timestamp, symbol, action, confidence,
                probabilities, input_features_hash, processing_time_ms, memory_usage_mb,
                checkpoint_id, metadata)
             VALUES ('dqn_agent', ?1, 'ETH/USDT', 'BUY', 0.85, ?2, ?3, 12.5, 100.5, 'cp_1', ?4)",
            (
                format!("2025-07-25 14:{:02}:{:02}.250000", row / 60 % 60, row % 60),
                r#"{"BUY": 0.85, "SELL": 0.10, "HOLD": 0.05}"#,
                format!("{row:016x}"),
                r#"{"paper": true, "lots": 3}"#,
            ),
        )
        .unwrap();
    }
    file.execute_batch("COMMIT;").unwrap();
}
