//! Whether recording disturbs the loop: the agent's forward pass, with a journal that records
//! every decision and with none.
//!
//! `cargo bench -p trading-agent` walks in rounds of three blocks in random order: one that
//! records, and two that do not, of which the difference shows how far chance alone goes. Before a
//! block begins, the one before is on disk and in the text files, so none pays for another. Every
//! decision is another: the bars are the sample's, each time a little different. A run in which
//! anything was dropped is an error.
//!
//! `-- --rounds 25 --block-ms 500` sets the sizes; `-- --pace-us 200` waits that long from one
//! decision to the next instead of going on at once; `-- --test` runs a few.

#![allow(missing_docs, clippy::print_stdout)]

// A program has no library: the agent's own modules are compiled once more.
#[allow(dead_code, unused_imports, reason = "the agent uses the rest")]
#[path = "../src/bars.rs"]
mod bars;
#[path = "../../../benches/common/mod.rs"]
mod common;
#[allow(dead_code, unused_imports, reason = "the agent uses the rest")]
#[path = "../src/features.rs"]
mod features;
#[allow(dead_code, unused_imports, reason = "the agent uses the rest")]
#[path = "../src/network.rs"]
mod network;

use std::path::Path;
use std::time::{Duration, Instant};

use annals::{Journal, Recorder};
use chrono::{NaiveDate, NaiveTime};
use common::events::Random;
use common::{BOUND, Failure, machine};
use features::{ACTIONS, Periods, Vector};
use hdrhistogram::Histogram;
use network::{Network, Schedule};

/// The agent, ready to decide.
struct Agent {
    network: Network,
    bars: Vec<Vector>,
}

impl Agent {
    fn trained() -> Result<Agent, Failure> {
        let series = bars::parse("the sample", bars::SAMPLE, "sample")?;
        let samples = series.iter().enumerate();
        let samples = samples
            .flat_map(|(index, series)| features::samples(index, series, features::HOLD_BAND));
        let until = NaiveDate::from_ymd_opt(2007, 12, 31).ok_or("no such day")?;
        let periods = Periods::divide(samples.collect(), until.and_time(NaiveTime::MIN).and_utc());
        let schedule = Schedule { epochs: 1, seed: 7 };
        let (network, _) =
            network::train(&periods.training, &periods.validation, schedule, |_, _| {
                Ok::<_, Failure>(())
            })?;
        let bars = periods.walk.iter().map(|sample| sample.features).collect();
        Ok(Agent { network, bars })
    }
}

/// Times of single decisions, in nanoseconds.
struct Times {
    forward: Histogram<u64>,
    /// The forward pass and what records it.
    step: Histogram<u64>,
}

impl Times {
    fn new() -> Result<Times, Failure> {
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        Ok(Times {
            forward: histogram.clone(),
            step: histogram,
        })
    }

    fn with(&self, other: &Times) -> Result<Times, Failure> {
        let mut both = Times::new()?;
        for times in [self, other] {
            both.forward.add(&times.forward)?;
            both.step.add(&times.step)?;
        }
        Ok(both)
    }
}

/// Length of a block, and its number of decisions.
struct Plan {
    rounds: u64,
    block: Duration,
    pace: Duration,
}

impl Plan {
    fn from_arguments() -> Result<Plan, Failure> {
        let (rounds, block) = if common::trial() { (1, 20) } else { (25, 500) };
        let block = common::number("--block-ms")?.unwrap_or(block);
        Ok(Plan {
            rounds: common::number("--rounds")?.unwrap_or(rounds),
            block: Duration::from_millis(block),
            pace: Duration::from_micros(common::number("--pace-us")?.unwrap_or(0)),
        })
    }
}

/// Decides for the length of a block, and says how often.
fn decide(
    agent: &Agent,
    plan: &Plan,
    recorder: &Recorder,
    random: &mut Random,
    times: &mut Times,
) -> Result<u64, Failure> {
    let began = Instant::now();
    let (mut decisions, mut due) = (0, began);
    while began.elapsed() < plan.block {
        let mut bar = agent.bars[random.below(agent.bars.len())];
        for value in &mut bar {
            *value *= 1.0 + 1e-3 * random.unit();
        }
        due += plan.pace;
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let timer = recorder.start();
        let before = Instant::now();
        let probabilities = agent.network.probabilities(&bar);
        let decided = Instant::now();
        let ranked = probabilities.iter().enumerate();
        let action = ranked.max_by(|one, other| one.1.total_cmp(other.1));
        let action = action.map_or(0, |(action, _)| action);
        std::hint::black_box(recorder.log(timer, action, &probabilities, &bar));
        let after = Instant::now();
        times.forward.saturating_record(nanos(decided - before));
        times.step.saturating_record(nanos(after - before));
        decisions += 1;
    }
    Ok(decisions)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Waits until nothing is left to do for the `decisions` so far.
fn rest(journal: &Journal, decisions: u64) -> Result<(), Failure> {
    journal.flush().wait(BOUND)?;
    loop {
        let health = journal.health();
        let mirror = health.mirror.ok_or("the text files are off")?;
        if health.committed != decisions || health.dropped.total() > 0 || health.repeats > 0 {
            return Err(format!("{decisions} decisions, not all recorded in full").into());
        }
        if let Some(fault) = mirror.fault {
            return Err(format!("the text files do not catch up: {fault:?}").into());
        }
        if mirror.lag == 0 && mirror.lines == decisions {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

fn show(what: &str, figures: [String; 3]) {
    let [p50, p99, p999] = figures;
    println!("  {what:<42} {p50:>9} {p99:>9} {p999:>9}");
}

fn at(histogram: &Histogram<u64>) -> [String; 3] {
    QUANTILES.map(|quantile| histogram.value_at_quantile(quantile).to_string())
}

fn apart(one: &Histogram<u64>, other: &Histogram<u64>) -> [String; 3] {
    QUANTILES.map(|quantile| {
        let (one, other) = (
            one.value_at_quantile(quantile),
            other.value_at_quantile(quantile),
        );
        format!("{:+}", i128::from(one) - i128::from(other))
    })
}

fn print(title: &str, on: &Histogram<u64>, off: [&Histogram<u64>; 3]) {
    let [off, first, second] = off;
    println!("{title}");
    show("not recorded", at(off));
    show("recorded", at(on));
    show("difference", apart(on, off));
    show(
        "difference of two that are not recorded",
        apart(first, second),
    );
}

fn main() -> Result<(), Failure> {
    let plan = Plan::from_arguments()?;
    let agent = Agent::trained()?;
    let (folder, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let journal = Journal::open(folder.path().join("data"))?;
    let recorder = journal.recorder(network::NAME, "IBM").actions(ACTIONS);
    let recorders = [
        recorder.build()?,
        Recorder::disabled(),
        Recorder::disabled(),
    ];
    let mut times = [Times::new()?, Times::new()?, Times::new()?];
    let (mut random, mut recorded) = (Random::default(), 0);
    // Costs of the first calls alone are no part of it.
    for recorder in &recorders {
        let decisions = decide(&agent, &plan, recorder, &mut random, &mut Times::new()?)?;
        recorded += if recorded == 0 { decisions } else { 0 };
    }
    for _ in 0..plan.rounds {
        let mut order = [0, 1, 2];
        order.swap(0, random.below(3));
        order.swap(1, 1 + random.below(2));
        for block in order {
            rest(&journal, recorded)?;
            let (recorder, times) = (&recorders[block], &mut times[block]);
            let decisions = decide(&agent, &plan, recorder, &mut random, times)?;
            recorded += if block == 0 { decisions } else { 0 };
        }
    }
    rest(&journal, recorded)?;
    journal.close()?;

    let [on, first, second] = times;
    let off = first.with(&second)?;
    println!(
        "{machine}; {} rounds, {} ms a block, {} µs from one decision to the next at least; {} \
         decisions recorded, {} not",
        plan.rounds,
        plan.block.as_millis(),
        plan.pace.as_micros(),
        on.step.len(),
        off.step.len(),
    );
    println!(
        "  {:<42} {:>9} {:>9} {:>9}",
        "nanoseconds", "p50", "p99", "p99.9"
    );
    let forward = [&off.forward, &first.forward, &second.forward];
    print("forward pass", &on.forward, forward);
    let step = [&off.step, &first.step, &second.step];
    print("forward pass and what records it", &on.step, step);
    Ok(())
}
