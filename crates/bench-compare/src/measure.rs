//! The measurements, the same for every subject.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::common::events::Decisions;
use crate::common::machine;
use crate::subjects::Subject;

/// What single calls cost, in nanoseconds.
#[derive(Serialize, Deserialize)]
pub struct Latency {
    pub pace_us: u64,
    pub calls: u64,
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    /// Of the harness around nothing, in the same process.
    pub empty_p50: u64,
    /// Nanoseconds, and which part of the calls took at most that.
    pub distribution: Vec<(u64, f64)>,
}

#[derive(Serialize, Deserialize)]
pub struct Throughput {
    /// Percent of the events that say what the one before said.
    pub repeats: u64,
    pub events: u64,
    pub per_second: f64,
    pub bytes_per_event: f64,
    pub cpu_ns_per_event: Option<f64>,
    pub peak_bytes: Option<u64>,
}

/// How long it takes to record one event durably, by how many there are.
#[derive(Serialize, Deserialize)]
pub struct Growth {
    /// Events, and microseconds (the middle one of several).
    pub points: Vec<(u64, f64)>,
}

/// Calls `body` once per pace, spinning in between as a busy loop would, and times each call.
fn paced(
    pace: Duration,
    calls: u64,
    mut body: impl FnMut(&crate::common::events::Decision),
) -> Result<Histogram<u64>> {
    let clock = quanta::Clock::new();
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut decisions = Decisions::default();
    let mut due = clock.now();
    for call in 0..calls {
        let decision = decisions.next();
        due += pace;
        while clock.now() < due {
            std::hint::spin_loop();
        }
        let before = clock.raw();
        body(&decision);
        let after = clock.raw();
        // A subject that is slower than the pace is not made to run after it.
        due = due.max(clock.now() - pace);
        if call >= calls / 20 {
            histogram.record(clock.delta_as_nanos(before, after).max(1))?;
        }
    }
    Ok(histogram)
}

pub fn latency<S: Subject>(dir: &Path, calls: u64, pace_us: u64) -> Result<Latency> {
    let pace = Duration::from_micros(pace_us);
    let mut subject = S::open(dir)?;
    let empty = paced(pace, calls.min(20_000), |decision| {
        std::hint::black_box(decision);
    })?;
    let histogram = paced(pace, calls, |decision| subject.log(decision))?;
    subject.settle()?;
    let distribution = histogram
        .iter_recorded()
        .map(|step| (step.value_iterated_to(), step.quantile_iterated_to()))
        .collect();
    Ok(Latency {
        pace_us,
        calls,
        p50: histogram.value_at_quantile(0.5),
        p99: histogram.value_at_quantile(0.99),
        p999: histogram.value_at_quantile(0.999),
        max: histogram.max(),
        empty_p50: empty.value_at_quantile(0.5),
        distribution,
    })
}

#[allow(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
pub fn throughput<S: Subject>(dir: &Path, events: u64, repeats: u64) -> Result<Throughput> {
    let mut subject = S::open(dir)?;
    let mut decisions = Decisions::new(0, repeats);
    machine::forget_peak();
    let before = machine::cpu_time();
    let began = Instant::now();
    for _ in 0..events {
        subject.log(&decisions.next());
    }
    subject.settle()?;
    let took = began.elapsed();
    let cpu = machine::cpu_time()
        .zip(before)
        .map(|(now, then)| now - then);
    subject.check(events)?;
    drop(subject);
    let bytes = machine::size(dir).map_err(|error| anyhow!("{error}"))?;
    Ok(Throughput {
        repeats,
        events,
        per_second: events as f64 / took.as_secs_f64(),
        bytes_per_event: bytes as f64 / events as f64,
        cpu_ns_per_event: cpu.map(|cpu| cpu.as_nanos() as f64 / events as f64),
        peak_bytes: machine::peak_memory(),
    })
}

pub fn growth<S: Subject>(dir: &Path, events: u64, steps: u64) -> Result<Growth> {
    let mut subject = S::open(dir)?;
    let mut decisions = Decisions::default();
    let mut points = Vec::new();
    for step in 1..=steps {
        for _ in 0..events / steps {
            subject.log(&decisions.next());
        }
        subject.settle()?;
        let mut times = Vec::new();
        for _ in 0..15 {
            let began = Instant::now();
            subject.log(&decisions.next());
            subject.settle()?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let middle = times[times.len() / 2];
        points.push((events / steps * step, middle.as_secs_f64() * 1e6));
    }
    Ok(Growth { points })
}
