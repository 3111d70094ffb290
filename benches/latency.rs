//! What one call costs the loop that makes it: a histogram over single calls, paced like a real
//! loop, never the average of a batch.
//!
//! `cargo bench --bench latency` prints a table in nanoseconds. The row "empty" is the harness
//! itself (two reads of the time-stamp counter around nothing) and is not subtracted from the
//! others. Every event is distinct: fresh random features, hashed inside the timed call, and
//! full-mantissa probabilities. A row in which anything was dropped is an error.
//!
//! `-- --pace-us 20,200 --calls 200000` sets pace and length; `-- --test` runs a few calls only.

#![allow(missing_docs, clippy::print_stdout, clippy::cast_possible_truncation)]

use std::time::Duration;

use annals::{Inference, Journal};
use hdrhistogram::Histogram;
use quanta::Clock;

type Failure = Box<dyn std::error::Error>;

struct Plan {
    paces: Vec<Duration>,
    calls: u64,
}

impl Plan {
    fn from_arguments() -> Result<Plan, Failure> {
        let mut plan = Plan {
            paces: vec![Duration::from_micros(20), Duration::from_micros(200)],
            calls: 200_000,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--pace-us" => {
                    let list = arguments.next().unwrap_or_default();
                    let paces: Result<Vec<u64>, _> = list.split(',').map(str::parse).collect();
                    plan.paces = paces?.into_iter().map(Duration::from_micros).collect();
                }
                "--calls" => plan.calls = arguments.next().unwrap_or_default().parse()?,
                "--test" => {
                    plan.calls = 200;
                    plan.paces.truncate(1);
                }
                _ => {} // cargo bench passes flags of its own
            }
        }
        Ok(plan)
    }
}

/// A small generator, so that making an event costs the loop next to nothing.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    fn features(&mut self) -> [f32; 16] {
        std::array::from_fn(|_| self.unit())
    }

    fn probabilities(&mut self) -> [f32; 3] {
        let raw = [self.unit(), self.unit(), self.unit()];
        let sum: f32 = raw.iter().sum();
        raw.map(|value| value / sum)
    }
}

/// Calls `body` once per pace, spinning in between as a busy loop would, and times each call.
fn measure(
    clock: &Clock,
    pace: Duration,
    calls: u64,
    mut body: impl FnMut(&[f32; 3], &[f32; 16]),
) -> Result<Histogram<u64>, Failure> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut due = clock.now();
    for call in 0..calls {
        let features = random.features();
        let probabilities = random.probabilities();
        due += pace;
        while clock.now() < due {
            std::hint::spin_loop();
        }
        let before = clock.raw();
        body(&probabilities, &features);
        let after = clock.raw();
        if call >= calls / 20 {
            histogram.record(clock.delta_as_nanos(before, after).max(1))?;
        }
    }
    Ok(histogram)
}

fn row(name: &str, pace: Duration, histogram: &Histogram<u64>) {
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!(
        "{name:<22} {:>6} µs {:>8} {:>8} {:>8} {:>8} {:>10}",
        pace.as_micros(),
        at(0.50),
        at(0.90),
        at(0.99),
        at(0.999),
        histogram.max(),
    );
}

fn recorded(journal: &Journal) -> Result<(), Failure> {
    journal.flush().wait(Duration::from_secs(30))?;
    let dropped = journal.health().dropped.total();
    if dropped > 0 {
        return Err(format!("{dropped} events were dropped: this row measures nothing").into());
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let plan = Plan::from_arguments()?;
    let clock = Clock::new();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    println!("one call, nanoseconds; {} calls per row", plan.calls);
    println!(
        "{:<22} {:>9} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "call", "pace", "p50", "p90", "p99", "p99.9", "max"
    );
    for (index, pace) in plan.paces.iter().enumerate() {
        let journal = Journal::open(dir.path().join(index.to_string()))?;
        let empty = measure(&clock, *pace, plan.calls, |probabilities, features| {
            std::hint::black_box((probabilities, features));
        })?;
        row("empty (harness)", *pace, &empty);

        let mut recorder = journal
            .recorder("dqn_agent", "ETH/USDT")
            .actions(["BUY", "SELL", "HOLD"])
            .build()?;
        recorder.set_checkpoint("dqn_agent_20250725_143500");
        let prepared = measure(&clock, *pace, plan.calls, |probabilities, features| {
            let logged = recorder
                .inference(0)
                .probabilities(probabilities)
                .features(features)
                .processing_time(Duration::from_micros(80))
                .log();
            std::hint::black_box(logged);
        })?;
        recorded(&journal)?;
        row("prepared", *pace, &prepared);

        let strings = measure(&clock, *pace, plan.calls, |probabilities, features| {
            let [buy, sell, hold] = *probabilities;
            let logged = journal.log(
                Inference::new("dqn_agent", "ETH/USDT", "BUY")
                    .confidence(buy)
                    .probabilities(&[("BUY", buy), ("SELL", sell), ("HOLD", hold)])
                    .features(features)
                    .processing_time(Duration::from_micros(80))
                    .checkpoint("dqn_agent_20250725_143500"),
            );
            std::hint::black_box(logged);
        })?;
        recorded(&journal)?;
        row("strings", *pace, &strings);

        let clones = measure(&clock, *pace, plan.calls, |_, _| {
            std::hint::black_box(recorder.clone());
        })?;
        row("recorder clone + drop", *pace, &clones);
        journal.close()?;
    }
    Ok(())
}
