//! Cost of a statistic, and of folding to the writer.
//!
//! `cargo bench --bench stats` records 10 M distinct inferences over 48 hours of event time, of 5
//! models and 10 symbols. Then it asks for one model's last 24 hours. A run in which anything was
//! dropped is an error.
//!
//! | option | effect |
//! |---|---|
//! | `-- --events 100000000` | that many inferences |
//! | `-- --writer` | the writer with and without folding, in turns |
//! | `-- --combinations 5000` | that many combinations of names |
//! | `-- --test` | a few inferences only |

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap
)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use annals::stats::{Calendar, Periods};
use annals::{Group, Inference, Journal, ManualClock, Options, Overflow, Reader, Timestamp};
use common::events::Random;
use common::{BOUND, Failure};
use hdrhistogram::Histogram;

const DAY: Duration = Duration::from_secs(86_400);
const SPAN_MICROS: u64 = 48 * 3_600_000_000;
/// 2025-07-25 12:34:56 UTC: the range's edge cuts an hour and a minute.
const NOW: i64 = 1_753_446_896_000_000;

fn options(clock: &ManualClock) -> Options {
    Journal::options()
        .without_mirror()
        .clock(clock.clone())
        .overflow(Overflow::Block { timeout: BOUND })
        .close_timeout(BOUND)
}

/// Logs `events` distinct inferences, evenly over 48 hours that end now, in their order.
fn record(journal: &Journal, clock: &ManualClock, events: u64) -> Result<(), Failure> {
    let mut random = Random::default();
    let models = ["dqn_agent", "ppo_agent", "mlp", "lstm", "transformer"];
    let symbols: Vec<String> = (0..10).map(|n| format!("SYM{n}/USDT")).collect();
    for event in 0..events {
        let since = (u128::from(event) * u128::from(SPAN_MICROS) / u128::from(events)) as u64;
        let time = NOW - SPAN_MICROS as i64 + since as i64;
        if event % 4_096 == 0 {
            clock.set(Timestamp::from_micros(time));
        }
        let pick = random.draw();
        let raw = [random.unit(), random.unit(), random.unit()];
        let sum: f32 = raw.iter().sum();
        let features = random.draw().to_le_bytes().map(f32::from);
        let inference = Inference::new(
            models[(pick % 5) as usize],
            &symbols[(pick / 5 % 10) as usize],
            ["BUY", "SELL", "HOLD"][(pick / 50 % 3) as usize],
        )
        .confidence(raw[0] / sum)
        .features(&features)
        .processing_time(Duration::from_nanos(5_000_000 + random.draw() % 5_000_000))
        .checkpoint("checkpoint_20250725_120000")
        .event_time(Timestamp::from_micros(time));
        journal.log(inference).ok_or("an event was dropped")?;
    }
    clock.set(Timestamp::from_micros(NOW));
    journal.flush().wait(BOUND)?;
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Times `ask`, several times, and prints it.
fn time<T>(
    what: &str,
    times: usize,
    mut ask: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut histogram = Histogram::<u64>::new(3)?;
    let mut last = ask()?;
    for _ in 0..times {
        let began = Instant::now();
        last = ask()?;
        histogram.record(micros(began.elapsed()))?;
    }
    println!(
        "{what:56} p50 {:>9.3} ms  p99 {:>9.3} ms",
        histogram.value_at_quantile(0.5) as f64 / 1e3,
        histogram.value_at_quantile(0.99) as f64 / 1e3,
    );
    Ok(last)
}

fn questions(dir: &Path, events: u64) -> Result<(), Failure> {
    let clock = ManualClock::at(Timestamp::from_micros(NOW - SPAN_MICROS as i64));
    let journal = options(&clock).open(dir)?;
    let began = Instant::now();
    record(&journal, &clock, events)?;
    println!(
        "{events} inferences recorded in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let began = Instant::now();
    journal.fold(BOUND)?;
    println!(
        "the rest folded in {:.3} s; {:?}",
        began.elapsed().as_secs_f64(),
        journal.health().folding
    );
    println!("journal.redb has {} MB", journal.health().file_bytes >> 20);
    let reader = journal.reader()?;
    let rounds = if events < 1_000_000 { 3 } else { 200 };
    let day = time("last(24 h) of one model", rounds, || {
        Ok(reader_at(&journal)?.stats("dqn_agent").last(DAY).get()?)
    })?;
    println!("  {} decisions, {:?}", day.count, day.processing_time.p99);
    // Edges that cut a minute elsewhere each time.
    let mut random = Random::new(7);
    time("24 hours that begin anywhere, of one model", rounds, || {
        let back = (random.draw() % 3_600_000_000) as i64;
        let since = Timestamp::from_micros(NOW - back - 86_400_000_000);
        let question = reader.stats("dqn_agent").since(since);
        Ok(question.until(Timestamp::from_micros(NOW - back)).get()?)
    })?;
    time(
        "24 hours: mean confidence and count by model",
        rounds,
        || {
            Ok(reader_at(&journal)?
                .stats_of_all()
                .last(DAY)
                .by(Group::Model)?)
        },
    )?;
    time("everything, of one model", rounds, || {
        Ok(reader.stats("dqn_agent").get()?)
    })?;
    time("daily performance of one model", rounds, || {
        Ok(reader.daily("dqn_agent")?)
    })?;
    let times = Timestamp::from_micros(NOW).saturating_sub(2 * DAY)..Timestamp::from_micros(NOW);
    for (what, ahead) in [
        ("days of a zone, whole hours from UTC, of one model", 10_800),
        ("days of a zone, half hours from UTC, of one model", 19_800),
    ] {
        let days = Periods::local(Calendar::Day, times.clone(), |_| ahead)?;
        time(what, rounds, || {
            Ok(reader.stats("dqn_agent").by_periods(&days, [])?)
        })?;
    }
    time("48 hours by hour and symbol", rounds.min(50), || {
        Ok(reader.stats("dqn_agent").by([Group::Hour, Group::Symbol])?)
    })?;
    journal.close()?;
    Ok(())
}

fn reader_at(journal: &Journal) -> Result<Reader, Failure> {
    Ok(journal.reader()?)
}

/// Every entry read, none folded.
fn scan(dir: &Path, events: u64) -> Result<(), Failure> {
    let clock = ManualClock::at(Timestamp::from_micros(NOW - SPAN_MICROS as i64));
    let journal = options(&clock).without_folding().open(dir)?;
    record(&journal, &clock, events)?;
    let reader = journal.reader()?;
    for what in ["one model", "all models"] {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            let stats = match what {
                "one model" => reader.stats("dqn_agent").get()?,
                _ => reader.stats_of_all().get()?,
            };
            best = best.min(began.elapsed());
            assert!(stats.coverage.folded == 1 && stats.count > 0);
        }
        let rate = events as f64 / best.as_secs_f64() / 1e6;
        println!("full scan, {what:44} {rate:>6.1} M inferences/s");
    }
    journal.close()?;
    let began = Instant::now();
    let journal = options(&clock).open(dir)?;
    journal.fold(BOUND)?;
    let rate = events as f64 / began.elapsed().as_secs_f64() / 1e6;
    println!("{:56} {rate:>5.1} M inferences/s", "folding all at once");
    journal.close()?;
    Ok(())
}

/// One producer at full speed, waiting for room; events a second, durable.
fn throughput(dir: &Path, events: u64, combinations: u64, folds: bool) -> Result<f64, Failure> {
    let mut options = Journal::options()
        .without_mirror()
        .overflow(Overflow::Block { timeout: BOUND })
        .close_timeout(BOUND);
    if !folds {
        options = options.without_folding();
    }
    let journal = options.open(dir)?;
    let mut random = Random::new(8);
    let symbols: Vec<String> = (0..combinations.div_ceil(5))
        .map(|n| format!("SYM{n}"))
        .collect();
    let recorders: Result<Vec<_>, _> = symbols
        .iter()
        .flat_map(|symbol| (0..5).map(move |model| (symbol, format!("model_{model}"))))
        .map(|(symbol, model)| {
            journal
                .recorder(model, symbol)
                .actions(["BUY", "SELL", "HOLD"])
                .build()
        })
        .collect();
    let recorders = recorders?;
    let began = Instant::now();
    for event in 0..events {
        let pick = random.draw();
        let probabilities = [random.unit(), random.unit(), random.unit()];
        let recorder = &recorders[(pick % recorders.len() as u64) as usize];
        recorder
            .inference((event % 3) as usize)
            .probabilities(&probabilities)
            .features_hashed(random.draw())
            .processing_time(Duration::from_nanos(random.draw() % 20_000_000))
            .log()
            .ok_or("an event was dropped")?;
    }
    journal.flush().wait(BOUND)?;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    journal.close()?;
    Ok(rate)
}

fn writer(events: u64, combinations: u64, pairs: usize) -> Result<(), Failure> {
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        let mut rates = Vec::new();
        for folds in [false, true] {
            let dir = tempfile::tempdir()?;
            rates.push(throughput(
                &dir.path().join("data"),
                events,
                combinations,
                folds,
            )?);
        }
        println!(
            "{combinations} combinations: {:.2} M/s without folding, {:.2} M/s with",
            rates[0] / 1e6,
            rates[1] / 1e6
        );
        ratios.push(rates[1] / rates[0]);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{combinations} combinations: median {:.3} of the throughput without folding",
        ratios[ratios.len() / 2]
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let number = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1));
        value.map_or(Ok(default), |value| value.parse())
    };
    let short = has("--test");
    let events = number("--events", if short { 20_000 } else { 10_000_000 })?;
    let only = ["--questions", "--scan", "--writer"];
    let wanted = |part: &str| has(part) || !only.iter().any(|part| has(part));
    let dir = tempfile::tempdir()?;
    if wanted("--questions") {
        questions(&dir.path().join("questions"), events)?;
    }
    if wanted("--scan") {
        scan(&dir.path().join("scan"), events.min(4_000_000))?;
    }
    if wanted("--writer") {
        let (events, pairs) = if short {
            (20_000, 1)
        } else {
            (events.min(6_000_000), 3)
        };
        for combinations in [50, 5_000] {
            let combinations = number("--combinations", combinations)?;
            writer(events, combinations, pairs)?;
        }
    }
    Ok(())
}
