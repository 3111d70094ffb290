//! annals beside other ways to remember a decision: the same decisions, each way at its best
//! settings, in a process of its own.
//!
//! `cargo run --release -p bench-compare` prints the tables, writes `docs/comparison.json` and draws
//! the plots beside it. `-- --test` runs a few events and leaves `docs` alone; `--out DIR` writes
//! somewhere else; `--only annals,logdb` picks; `--calls`, `--events` and `--pace-us` set sizes.
//!
//! What a call costs is a histogram over single calls of a paced loop. Throughput is from the first
//! call until what the subject promises holds for every event; what that is stands in the table. A
//! run that lost an event is an error.

#![allow(
    missing_docs,
    clippy::print_stdout,
    reason = "a program that prints figures"
)]

#[path = "../../../benches/common/mod.rs"]
mod common;
mod measure;
mod plots;
mod report;
mod subjects;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;

use measure::{Growth, Latency, Throughput};
use report::Report;
use subjects::Kind;

/// How much is measured.
struct Plan {
    subjects: Vec<Kind>,
    calls: u64,
    paces_us: Vec<u64>,
    events: u64,
    growth_steps: u64,
}

impl Plan {
    fn from_arguments() -> Result<Plan> {
        let trial = common::trial();
        let number = |name, usual, short| match common::number(name) {
            Ok(given) => Ok(given.unwrap_or(if trial { short } else { usual })),
            Err(error) => Err(anyhow!("{error}")),
        };
        let only = common::text("--only");
        let wanted = |kind: &Kind| match &only {
            Some(only) => only.split(',').any(|name| name == kind.name()),
            None => true,
        };
        let paces = common::numbers("--pace-us").map_err(|error| anyhow!("{error}"))?;
        Ok(Plan {
            subjects: Kind::ALL.into_iter().filter(wanted).collect(),
            calls: number("--calls", 100_000, 300)?,
            paces_us: paces.unwrap_or_else(|| if trial { vec![20] } else { vec![20, 200] }),
            events: number("--events", 2_000_000, 3_000)?,
            growth_steps: if trial { 1 } else { 8 },
        })
    }
}

/// Runs one measurement in a process of its own: some subjects can be started once only, and none
/// is to pay for the memory or the threads of another.
fn child<T: DeserializeOwned>(what: &str, kind: Kind, dir: &Path, sizes: &[u64]) -> Result<T> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", what, kind.name()])
        .arg(dir)
        .args(sizes.iter().map(u64::to_string))
        .output()?;
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{what} of {} failed: {why}", kind.name());
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{what} of {}: {output:?}", kind.name()))
}

/// The other side of [`child`].
fn obey(arguments: &[String]) -> Result<()> {
    let [what, name, dir, sizes @ ..] = arguments else {
        bail!("a child needs to be told what to measure, of which subject and where");
    };
    let kind = Kind::named(name).with_context(|| format!("there is no subject {name}"))?;
    let sizes: Result<Vec<u64>, _> = sizes.iter().map(|size| size.parse()).collect();
    let dir = Path::new(dir);
    std::fs::create_dir_all(dir)?;
    let answer = match (what.as_str(), sizes?.as_slice()) {
        ("latency", [calls, pace]) => serde_json::to_string(&kind.latency(dir, *calls, *pace)?)?,
        ("throughput", [events, repeats]) => {
            serde_json::to_string(&kind.throughput(dir, *events, *repeats)?)?
        }
        ("growth", [events, steps]) => serde_json::to_string(&kind.growth(dir, *events, *steps)?)?,
        (what, sizes) => bail!("{what} with {sizes:?} is nothing to measure"),
    };
    println!("{answer}");
    Ok(())
}

/// Starts `ticklog`: here, because its macros look for one another at the root of a crate.
fn ticklog_start(sink: ticklog::FileSink) -> Result<ticklog::Guard> {
    let guard = ticklog::configure! {
        sink: sink,
        backpressure: ticklog::Backpressure::Block,
    };
    guard.map_err(|error| anyhow!("{error:?}"))
}

fn ticklog_line(decision: &common::events::Decision) {
    let [buy, sell, hold] = decision.probabilities;
    ticklog::info!(
        "{} | {} | {} | conf={} | p={} {} {} | features={} | time={} | {}",
        subjects::MODEL,
        subjects::SYMBOL,
        subjects::ACTIONS[decision.action],
        decision.probabilities[decision.action],
        buy,
        sell,
        hold,
        annals::feature_hash(&decision.features),
        u64::try_from(decision.took.as_nanos()).unwrap_or(u64::MAX),
        subjects::CHECKPOINT
    );
}

fn out() -> PathBuf {
    match common::text("--out") {
        Some(out) => PathBuf::from(out),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs"),
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, rest @ ..] = arguments.as_slice()
        && flag == "--child"
    {
        return obey(rest);
    }
    let plan = Plan::from_arguments()?;
    // On the disk that the build is on: the system's temporary directory may be memory.
    let program = std::env::current_exe()?;
    let disk = program.parent().context("a program lies in a folder")?;
    let (folder, machine) = common::machine::place(disk).map_err(|error| anyhow!("{error}"))?;
    let dir = folder.path().join("data");
    let mut report = Report::new(machine);
    report.head();
    for kind in &plan.subjects {
        for pace in &plan.paces_us {
            let sizes = [kind.calls(plan.calls), *pace];
            let latency: Latency = child("latency", *kind, &dir, &sizes)?;
            report.latency(*kind, latency);
        }
        for repeats in [0, 20] {
            let sizes = [kind.events(plan.events), repeats];
            let throughput: Throughput = child("throughput", *kind, &dir, &sizes)?;
            report.throughput(*kind, throughput);
        }
        if kind.grows() {
            let sizes = [plan.events, plan.growth_steps];
            let growth: Growth = child("growth", *kind, &dir, &sizes)?;
            report.growth(*kind, growth);
        }
    }
    report.print();
    if common::trial() && common::text("--out").is_none() {
        return Ok(());
    }
    let out = out();
    std::fs::create_dir_all(&out)?;
    report.write(&out.join("comparison.json"))?;
    plots::draw(&report, &out)
}
