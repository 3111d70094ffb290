//! Costs of the command, as a whole process, on a journal of 10 million inferences.
//!
//! `cargo bench -p annals-cli` makes the journal and a predecessor's database below
//! `target/figures` once (`--dir DIR` elsewhere), and measures. `-- --events N` takes fewer,
//! `--runs N` more or fewer runs, `--only looking,follow,export,import` some of it. `-- --test`
//! stops at a few thousand. Times are of whole processes, from before they are started until they
//! have ended.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program that prints figures"
)]

#[path = "../../../../benches/common/mod.rs"]
mod common;
mod follow;
mod made;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::Failure;
use process::{Memory, run, run_watched};

struct Plan {
    dir: PathBuf,
    events: u64,
    runs: usize,
    only: Option<String>,
}

impl Plan {
    fn from_arguments() -> Result<Plan, Failure> {
        let trial = common::trial();
        let usual = |name, usual, short| -> Result<u64, Failure> {
            Ok(common::number(name)?.unwrap_or(if trial { short } else { usual }))
        };
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures");
        Ok(Plan {
            events: usual("--events", 10_000_000, 5_000)?,
            runs: usize::try_from(usual("--runs", 21, 2)?)?,
            dir: common::text("--dir").map_or(target, PathBuf::from),
            only: common::text("--only"),
        })
    }

    fn wants(&self, part: &str) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| only.split(',').any(|wanted| wanted == part))
    }
}

fn main() -> Result<(), Failure> {
    let plan = Plan::from_arguments()?;
    // A tenth as well, for what has to stay as it is when there is more.
    for events in [plan.events / 10, plan.events] {
        let place = plan.dir.join(events.to_string());
        if plan.wants("looking") || plan.wants("export") {
            made::journal(&place.join("journal"), events)?;
        }
        if plan.wants("import") {
            made::database(&place.join("trading_system.db"), events)?;
        }
    }
    let most = plan.dir.join(plan.events.to_string());
    if plan.wants("looking") {
        looking(&most.join("journal"), plan.runs)?;
    }
    if plan.wants("follow") {
        follow::measure(
            &plan.dir.join("followed"),
            if common::trial() { 5 } else { 300 },
        )?;
    }
    for events in [plan.events / 10, plan.events] {
        let place = plan.dir.join(events.to_string());
        if plan.wants("export") {
            exporting(&place, events)?;
        }
        if plan.wants("import") {
            importing(&place, events)?;
        }
    }
    Ok(())
}

/// The questions that people ask all day.
fn looking(journal: &Path, runs: usize) -> Result<(), Failure> {
    for args in [
        &["status"][..],
        &["stats", "--since", "24h"],
        &["stats", "--by", "model,action", "--since", "24h"],
        &["checkpoints", "best", "dqn_agent"],
        &["checkpoints", "best", "dqn_agent", "--live", "reward"],
        &["tail", "-n", "20"],
        &["tail", "-n", "20", "--columns", "time,action,reward"],
        &["events"],
    ] {
        // The first brings the files into the system's cache.
        run(journal, args)?;
        let times: Result<Vec<Duration>, Failure> = (0..runs).map(|_| run(journal, args)).collect();
        let (median, most) = process::median_and_most(times?);
        println!(
            "{:<55} p50 {:>6.1} ms  max {:>6.1} ms",
            args.join(" "),
            millis(median),
            millis(most)
        );
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn exporting(place: &Path, events: u64) -> Result<(), Failure> {
    let to = place.join("out");
    for format in ["parquet", "jsonl", "csv"] {
        let file = to.join(format!("all.{format}"));
        let file = file.to_string_lossy();
        let watched = run_watched(&place.join("journal"), &["export", &file])?;
        print("export", format, events, watched);
        std::fs::remove_dir_all(&to)?;
    }
    Ok(())
}

fn importing(place: &Path, events: u64) -> Result<(), Failure> {
    let database = place.join("trading_system.db");
    let fresh = place.join("imported");
    let args = ["import", &*database.to_string_lossy()];
    for what in ["sqlite", "sqlite again"] {
        let watched = run_watched(&fresh, &args)?;
        print("import", what, events, watched);
    }
    std::fs::remove_dir_all(&fresh)?;
    Ok(())
}

fn print(what: &str, kind: &str, events: u64, (time, peak): (Duration, Memory)) {
    println!(
        "{what} of {events} rows, {kind}: {:.2} s, {:.0} rows/s, {peak} at most",
        time.as_secs_f64(),
        events as f64 / time.as_secs_f64(),
    );
}
