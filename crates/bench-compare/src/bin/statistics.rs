//! The question that the system before annals was asked most, put to both on the same rows: mean
//! confidence and count by model over the last 24 hours.
//!
//! `cargo run --release -p bench-compare --bin statistics`; `-- --events n` sets how many rows,
//! spread over 48 hours, of 5 models and 10 symbols; `-- --test` takes a few. The answers are
//! compared: counts have to be equal, means to within 1e-9.

#![allow(
    missing_docs,
    clippy::print_stdout,
    reason = "a program that prints figures"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use annals::{Group, Inference, Journal, ManualClock, Overflow, Timestamp};
use anyhow::{Context, Result, anyhow, ensure};
use bench_compare::common::events::Random;
use bench_compare::common::{self, BOUND, machine};
use bench_compare::predecessor::{INSERT, TABLE};
use rusqlite::{Connection, params};

const HOUR_MICROS: i64 = 3_600_000_000;
/// 2025-07-25 12:34:56 UTC.
const NOW: i64 = 1_753_446_896_000_000;
const MODELS: [&str; 5] = ["dqn_agent", "ppo_agent", "mlp", "lstm", "transformer"];
const ACTIONS: [&str; 3] = ["BUY", "SELL", "HOLD"];

const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;";
const QUESTION: &str = "
    SELECT model_name, AVG(confidence), COUNT(*) FROM inference_records
    WHERE timestamp > ? GROUP BY model_name ORDER BY model_name";

/// One decision, the same for both.
struct Decision {
    model: &'static str,
    symbol: String,
    action: &'static str,
    confidence: f32,
    features: f32,
    took: Duration,
    time: i64,
}

fn decision(random: &mut Random, number: u32, of: u32) -> Decision {
    let since = f64::from(number) / f64::from(of) * 48.0 * HOUR_MICROS as f64;
    #[expect(clippy::cast_possible_truncation, reason = "48 hours of microseconds")]
    let time = NOW - 48 * HOUR_MICROS + since as i64;
    Decision {
        model: MODELS[random.below(5)],
        symbol: format!("SYM{}/USDT", random.below(10)),
        action: ACTIONS[random.below(3)],
        confidence: f32::from(u16::try_from(random.below(65_536)).unwrap_or(0)) / 65_535.0,
        features: f32::from_bits(0x3F80_0000 + number),
        took: Duration::from_nanos(5_000_000 + random.draw() % 5_000_000),
        time,
    }
}

fn fill(sqlite: &Connection, journal: &Journal, clock: &ManualClock, events: u32) -> Result<()> {
    let mut random = Random::default();
    sqlite.execute_batch("BEGIN")?;
    let mut insert = sqlite.prepare(INSERT)?;
    for number in 0..events {
        let one = decision(&mut random, number, events);
        if number % 4_096 == 0 {
            clock.set(Timestamp::from_micros(one.time));
        }
        let features = [one.features];
        let inference = Inference::new(one.model, &one.symbol, one.action)
            .confidence(one.confidence)
            .features(&features)
            .processing_time(one.took)
            .checkpoint("checkpoint_20250725_120000")
            .event_time(Timestamp::from_micros(one.time));
        journal.log(inference).context("a decision was dropped")?;
        insert.execute(params![
            one.model,
            one.time,
            one.symbol,
            one.action,
            f64::from(one.confidence),
            "{}",
            format!("{:016x}", annals::feature_hash(&features)),
            one.took.as_secs_f64() * 1e3,
            None::<f64>,
            "checkpoint_20250725_120000",
        ])?;
    }
    sqlite.execute_batch("COMMIT; ANALYZE;")?;
    clock.set(Timestamp::from_micros(NOW));
    journal.flush().wait(BOUND)?;
    journal.fold(BOUND)?;
    Ok(())
}

/// Model, mean confidence, count.
type Answer = Vec<(String, f64, u64)>;

/// The median of several runs, and the answer.
fn timed(rounds: usize, mut ask: impl FnMut() -> Result<Answer>) -> Result<(Duration, Answer)> {
    let mut answer = ask()?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        answer = ask()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], answer))
}

fn compare(dir: &Path, events: u32) -> Result<()> {
    let clock = ManualClock::at(Timestamp::from_micros(NOW));
    let journal = Journal::options()
        .without_mirror()
        .clock(clock.clone())
        .overflow(Overflow::Block { timeout: BOUND })
        .open(dir.join("data"))?;
    let sqlite = Connection::open(dir.join("trading_system.db"))?;
    sqlite.execute_batch(SETTINGS)?;
    sqlite.execute_batch(TABLE)?;
    fill(&sqlite, &journal, &clock, events)?;
    let mut select = sqlite.prepare(QUESTION)?;
    let (theirs, rows) = timed(15, || {
        let rows = select.query_map([NOW - 24 * HOUR_MICROS - 1], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get::<_, i64>(2)?.unsigned_abs(),
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })?;
    let day = Duration::from_secs(86_400);
    let (ours, answer) = timed(200, || {
        let rows = journal.stats_of_all().last(day).by(Group::Model)?;
        let answer = rows.into_iter().map(|row| {
            let model = row.model.as_deref().unwrap_or_default().to_owned();
            (
                model,
                row.stats.confidence.mean.unwrap_or(f64::NAN),
                row.stats.count,
            )
        });
        Ok(answer.collect())
    })?;
    ensure!(rows.len() == answer.len(), "{rows:?} and {answer:?}");
    for (row, stats) in rows.iter().zip(&answer) {
        let equal = row.0 == stats.0 && row.2 == stats.2 && (row.1 - stats.1).abs() < 1e-9;
        ensure!(equal, "{row:?} and {stats:?}");
    }
    println!("{events} rows, mean confidence and count by model over 24 hours (median)");
    println!("  SQLite  {:>10.3} ms", theirs.as_secs_f64() * 1e3);
    println!("  annals  {:>10.3} ms", ours.as_secs_f64() * 1e3);
    println!(
        "  ratio   {:>10.0}",
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
    journal.close()?;
    Ok(())
}

fn main() -> Result<()> {
    let usual = if common::trial() { 10_000 } else { 2_000_000 };
    let given = common::number("--events").map_err(|error| anyhow!("{error}"))?;
    let events = given.map_or(Ok(usual), u32::try_from)?;
    // On the disk that the build is on: the system's temporary directory may be memory.
    let program = std::env::current_exe()?;
    let disk = program.parent().context("a program lies in a folder")?;
    let (dir, machine) = machine::place(disk).map_err(|error| anyhow!("{error}"))?;
    println!("{machine}");
    compare(dir.path(), events)
}
