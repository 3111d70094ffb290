//! The journal and the database that are measured, made once and kept.

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals::{
    Inference, InferenceId, Journal, ManualClock, Mode, Outcome, Overflow, Registry, Timestamp,
};

use super::common::events::Decisions;
use super::common::{BOUND, Failure};

const MODELS: [&str; 5] = ["dqn_agent", "ppo_agent", "mlp", "lstm", "transformer"];
const ACTIONS: [&str; 3] = ["BUY", "SELL", "HOLD"];
const CHECKPOINTS: usize = 20;
const SPAN: Duration = Duration::from_secs(48 * 3_600);
/// One of so many decisions has an outcome, that many decisions later.
const JUDGED: u64 = 50;

/// Whether `name` has to be made; what was half made is removed.
fn is_missing(path: &Path) -> Result<bool, Failure> {
    let whole = path.with_extension("whole");
    if whole.exists() {
        return Ok(false);
    }
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(true)
}

fn is_whole(path: &Path) -> Result<(), Failure> {
    Ok(fs::write(path.with_extension("whole"), b"")?)
}

/// Distinct decisions of 5 models about 10 symbols, evenly over 48 hours that end now.
pub fn journal(dir: &Path, events: u64) -> Result<(), Failure> {
    if !is_missing(dir)? {
        return Ok(());
    }
    let start = Timestamp::now().saturating_sub(SPAN);
    let clock = ManualClock::at(start);
    let journal = Journal::options()
        .without_mirror()
        .clock(clock.clone())
        .overflow(Overflow::Block { timeout: BOUND })
        .close_timeout(BOUND)
        .open(dir)?;
    let checkpoints = checkpoints(&journal.registry()?)?;
    let symbols: Vec<String> = (0..10).map(|n| format!("SYM{n}/USDT")).collect();
    let mut decisions = Decisions::new(1, 0);
    let mut earlier: Option<InferenceId> = None;
    for event in 0..events {
        let time = start.saturating_add(SPAN.mul_f64(event as f64 / events as f64));
        if event % 4_096 == 0 {
            clock.set(time);
        }
        let decision = decisions.draw();
        let model = pick(event, MODELS.len());
        let action = ACTIONS.get(decision.action).copied().unwrap_or("HOLD");
        let [buy, sell, hold] = decision.probabilities;
        // Each decides for a while, and then the next one does.
        let turn = pick(event * CHECKPOINTS as u64 / events, CHECKPOINTS);
        let checkpoint = checkpoints.get(model * CHECKPOINTS + turn);
        let probabilities = [("BUY", buy), ("SELL", sell), ("HOLD", hold)];
        let mut inference = Inference::new(
            MODELS[model],
            &symbols[pick(event / 5, symbols.len())],
            action,
        )
        .probabilities(&probabilities)
        .confidence(buy.max(sell).max(hold))
        .features(&decision.features)
        .processing_time(decision.took)
        .event_time(time);
        if let Some(checkpoint) = checkpoint {
            inference = inference.checkpoint(checkpoint);
        }
        let id = journal.log(inference).ok_or("an event was dropped")?;
        if event % JUDGED == 0
            && let Some(earlier) = earlier.replace(id)
        {
            let reward = f64::from(buy) - 0.33;
            let outcome = Outcome::new().reward(reward).correct(reward > 0.0);
            journal.attach_outcome(earlier, outcome.at(time));
        }
    }
    clock.set(Timestamp::now());
    journal.flush().wait(BOUND)?;
    journal.fold(BOUND)?;
    journal.close()?;
    is_whole(dir)
}

fn pick(number: u64, of: usize) -> usize {
    usize::try_from(number).unwrap_or(0) % of
}

fn checkpoints(registry: &Registry) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for model in MODELS {
        registry.set_monitor(model, "val_loss", Mode::Min)?;
        for number in 0..CHECKPOINTS {
            let loss = 1.0 / (number + 2) as f64;
            let new = registry.checkpoint(model).metric("val_loss", loss);
            ids.push(new.save(b"weights")?.id().to_owned());
        }
    }
    Ok(ids)
}

/// A predecessor's file with so many rows.
pub fn database(path: &Path, rows: u64) -> Result<(), Failure> {
    if !is_missing(path)? {
        return Ok(());
    }
    let file = rusqlite::Connection::open(path)?;
    file.execute_batch(
        "PRAGMA journal_mode = OFF;
         PRAGMA synchronous = OFF;
         CREATE TABLE inference_records (id INTEGER PRIMARY KEY AUTOINCREMENT, model_name TEXT,
            timestamp TEXT, symbol TEXT, action TEXT, confidence REAL, probabilities TEXT,
            input_features_hash TEXT, processing_time_ms REAL, memory_usage_mb REAL,
            checkpoint_id TEXT, metadata TEXT);
         BEGIN;",
    )?;
    let mut insert = file.prepare(
        "INSERT INTO inference_records (model_name, timestamp, symbol, action, confidence,
            probabilities, input_features_hash, processing_time_ms, memory_usage_mb, checkpoint_id,
            metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let start = Timestamp::now().saturating_sub(SPAN);
    let mut decisions = Decisions::new(2, 0);
    for row in 0..rows {
        let decision = decisions.draw();
        let [buy, sell, hold] = decision.probabilities;
        let time = start.saturating_add(SPAN.mul_f64(row as f64 / rows as f64));
        let model = MODELS[pick(row, MODELS.len())];
        insert.execute(rusqlite::params![
            model,
            // As Python's isoformat() writes it: local, without a zone.
            time.to_string().trim_end_matches('Z'),
            format!("SYM{}/USDT", row / 7 % 10),
            ACTIONS[decision.action],
            f64::from(buy.max(sell).max(hold)),
            format!(r#"{{"BUY": {buy}, "SELL": {sell}, "HOLD": {hold}}}"#),
            format!("{:016x}", row.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            decision.took.as_secs_f64() * 1e3,
            1_500.5 + (row % 64) as f64,
            format!("{model}_20250725_{:06}", row / 100_000),
            r#"{"paper": true, "lots": 3}"#,
        ])?;
    }
    drop(insert);
    file.execute_batch("COMMIT;")?;
    file.close().map_err(|(_, error)| error)?;
    is_whole(path)
}
