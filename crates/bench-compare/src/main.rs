//! annals beside other ways to remember a decision: the same decisions, each way at its best
//! settings, in a process of its own.
//!
//! `cargo run --release -p bench-compare` prints a page of tables, writes it to
//! `docs/comparison.md` and all figures to `docs/comparison.json`, and draws the plots beside them.
//! It takes some five minutes. `-- --only annals,logdb` measures those anew and keeps the existing
//! figures of all others, so that it can be done in pieces. `--calls`, `--events` and `--pace-us`
//! set sizes; `--out DIR` writes somewhere else; `--test` runs a few events and leaves `docs`
//! alone.
//!
//! The cost of a call is a histogram over single calls of a paced loop. Throughput is from the
//! first call until what the subject promises holds for every event; what that is stands in the
//! table. A run that lost an event is an error.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints figures"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use bench_compare::common::{self, Failure, machine};
use bench_compare::kind::Kind;
use bench_compare::report::{Figures, Report};
use bench_compare::{plots, tables};
use serde::de::DeserializeOwned;

/// How much is measured.
struct Plan {
    subjects: Vec<Kind>,
    calls: u64,
    paces_us: Vec<u64>,
    events: u64,
    growth_events: u64,
    growth_steps: u64,
}

fn failed(error: Failure) -> anyhow::Error {
    anyhow!("{error}")
}

impl Plan {
    fn from_arguments() -> Result<Plan> {
        let trial = common::trial();
        let number = |name, usual, short| -> Result<u64> {
            let given = common::number(name).map_err(failed)?;
            Ok(given.unwrap_or(if trial { short } else { usual }))
        };
        let subjects = match common::text("--only") {
            None => Kind::ALL.to_vec(),
            Some(only) => only.split(',').map(kind).collect::<Result<_>>()?,
        };
        let paces = common::numbers("--pace-us").map_err(failed)?;
        Ok(Plan {
            subjects,
            calls: number("--calls", 50_000, 300)?,
            paces_us: paces.unwrap_or_else(|| if trial { vec![20] } else { vec![20, 200] }),
            events: number("--events", 6_000_000, 3_000)?,
            growth_events: number("--growth-events", 2_000_000, 3_000)?,
            growth_steps: if trial { 1 } else { 8 },
        })
    }
}

fn kind(name: &str) -> Result<Kind> {
    Kind::named(name).with_context(|| format!("there is no subject {name}"))
}

/// Runs one measurement in a process of its own: some subjects can be started once only, and none
/// is to pay for the memory or the threads of another.
fn child<T: DeserializeOwned>(what: &str, kind: Kind, dir: &Path, sizes: &[u64]) -> Result<T> {
    eprintln!("{what} of {}", kind.name());
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
    let kind = kind(name)?;
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

fn measure(plan: &Plan, kind: Kind, disk: &Path) -> Result<Figures> {
    let (folder, machine) = machine::place(disk).map_err(failed)?;
    let dir = folder.path().join("data");
    let mut figures = Figures::new(kind, &machine);
    for pace in &plan.paces_us {
        let sizes = [kind.calls(plan.calls), *pace];
        figures.latency.push(child("latency", kind, &dir, &sizes)?);
    }
    for repeats in [0, 20] {
        let sizes = [kind.events(plan.events), repeats];
        let throughput = child("throughput", kind, &dir, &sizes)?;
        figures.throughput.push(throughput);
    }
    if kind.grows() {
        let sizes = [plan.growth_events, plan.growth_steps];
        figures.growth = Some(child("growth", kind, &dir, &sizes)?);
    }
    Ok(figures)
}

/// Where the page, the figures and the plots go; nowhere in a trial that names no place.
fn out() -> Option<PathBuf> {
    match common::text("--out") {
        Some(out) => Some(PathBuf::from(out)),
        None if common::trial() => None,
        None => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")),
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
    let file = out().map(|out| out.join("comparison.json"));
    let mut report = match &file {
        Some(file) => Report::read(file)?,
        None => Report::default(),
    };
    for kind in &plan.subjects {
        report.put(measure(&plan, *kind, disk)?);
        // Measured figures are kept, whatever happens to the rest.
        if let Some(file) = &file {
            std::fs::create_dir_all(file.parent().context("a file lies in a folder")?)?;
            report.write(file)?;
        }
    }
    let page = tables::page(&report);
    println!("{page}");
    if let Some(out) = out() {
        std::fs::write(out.join("comparison.md"), page)?;
        plots::draw(&report, &out)?;
    }
    Ok(())
}
