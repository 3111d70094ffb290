//! The measurements, the same for every subject.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::common::events::Decisions;
use crate::common::paced::paced;
use crate::common::{Failure, machine};
use crate::subjects::Subject;

/// Costs of single calls, in nanoseconds.
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

/// Points of a distribution from one half of what is left to the next.
const STEPS: u32 = 8;

/// Events that are recorded one by one at each size.
const SINGLE: u64 = 15;

/// Time to record one event durably, by the number of events.
#[derive(Serialize, Deserialize)]
pub struct Growth {
    /// Events, and microseconds (the middle one of several).
    pub points: Vec<(u64, f64)>,
}

fn failed(error: Failure) -> anyhow::Error {
    anyhow!("{error}")
}

pub fn latency<S: Subject>(dir: &Path, calls: u64, pace_us: u64) -> Result<Latency> {
    let pace = Duration::from_micros(pace_us);
    let mut subject = S::open(dir)?;
    let empty = paced(pace, calls.min(20_000), |decision| {
        std::hint::black_box(decision);
    });
    let empty = empty.map_err(failed)?;
    let histogram = paced(pace, calls, |decision| subject.log(decision)).map_err(failed)?;
    subject.settle()?;
    subject.check(calls)?;
    let distribution = histogram
        .iter_quantiles(STEPS)
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
        subject.log(&decisions.draw());
    }
    subject.settle()?;
    let took = began.elapsed();
    let cpu = machine::cpu_time()
        .zip(before)
        .map(|(now, then)| now - then);
    subject.check(events)?;
    drop(subject);
    let bytes = machine::size(dir).map_err(failed)?;
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
            subject.log(&decisions.draw());
        }
        subject.settle()?;
        let mut times = Vec::new();
        for _ in 0..SINGLE {
            let began = Instant::now();
            subject.log(&decisions.draw());
            subject.settle()?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let middle = times[times.len() / 2];
        points.push((events / steps * step, middle.as_secs_f64() * 1e6));
    }
    subject.check(events / steps * steps + steps * SINGLE)?;
    Ok(Growth { points })
}
