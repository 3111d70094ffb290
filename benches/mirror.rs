//! Cost of the text files: the speed of writing a backlog, and the journal's durable throughput
//! with and without them.
//!
//! `cargo bench --bench mirror` prints lines per second of a journal of distinct inferences that is
//! mirrored anew. Then it prints events per second of one producer at full speed, from the first
//! call until the flush returns. Runs without and with the files alternate, so that a machine that
//! grows slower meets both. A run in which anything was dropped or a line is missing is an error.
//!
//! `-- --events 1000000 --pairs 3` sets the sizes; `-- --test` runs a few events only.

#![allow(missing_docs, clippy::print_stdout, clippy::cast_precision_loss)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use annals::logs::Mirror;
use annals::{Journal, Reader};
use common::events::Decisions;
use common::{BOUND, Failure, journals, machine};

struct Plan {
    events: u64,
    pairs: u64,
}

impl Plan {
    fn from_arguments() -> Result<Plan, Failure> {
        let (events, pairs) = if common::trial() {
            (2_000, 1)
        } else {
            (1_000_000, 3)
        };
        Ok(Plan {
            events: common::number("--events")?.unwrap_or(events),
            pairs: common::number("--pairs")?.unwrap_or(pairs),
        })
    }
}

/// Logs distinct inferences at full speed, and commits; says how long it took.
fn commit(journal: &Journal, events: u64) -> Result<Duration, Failure> {
    let recorder = journals::recorder(journal, journals::MODEL, journals::SYMBOL)?;
    let mut decisions = Decisions::default();
    let began = Instant::now();
    for _ in 0..events {
        // Drops are counted, and checked in the end.
        let _ = journals::log(&recorder, &decisions.draw());
    }
    journals::recorded(journal, events)?;
    Ok(began.elapsed())
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Writes a whole journal's lines anew.
fn backlog(plan: &Plan, place: &Path) -> Result<(), Failure> {
    let dir = place.join("backlog");
    let journal = journals::options().without_mirror().open(&dir)?;
    commit(&journal, plan.events)?;
    journal.close()?;
    let reader = Reader::open(&dir)?;
    println!("backlog                          lines/s    MB/s");
    for turn in 1..=plan.pairs {
        let again = place.join(format!("again-{turn}"));
        let began = Instant::now();
        let lines = reader.rebuild_mirror(&again, Mirror::new())?;
        let took = began.elapsed();
        if lines != plan.events {
            return Err(format!("{lines} lines of {} events", plan.events).into());
        }
        let megabytes = machine::size(&again)? as f64 / 1e6;
        println!(
            "  turn {turn:<22} {:>11.0} {:>7.0}",
            per_second(lines, took),
            megabytes / took.as_secs_f64()
        );
    }
    Ok(())
}

/// One run of the producer; with the files, also how long they lagged behind after the flush.
fn run(plan: &Plan, dir: &Path, mirrored: bool) -> Result<(f64, Option<Duration>), Failure> {
    let options = if mirrored {
        journals::options()
    } else {
        journals::options().without_mirror()
    };
    let journal = options.open(dir)?;
    let took = commit(&journal, plan.events)?;
    let lag = mirrored.then(|| catch_up(&journal, plan.events));
    let lag = lag.transpose()?;
    journal.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok((per_second(plan.events, took), lag))
}

/// Waits until every event has its line.
fn catch_up(journal: &Journal, events: u64) -> Result<Duration, Failure> {
    let began = Instant::now();
    loop {
        let mirror = journal.health().mirror.ok_or("the mirror is off")?;
        if mirror.lag == 0 && mirror.lines == events {
            return Ok(began.elapsed());
        }
        if mirror.fault.is_some() || began.elapsed() > BOUND {
            return Err(format!("the files do not catch up: {mirror:?}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn throughput(plan: &Plan, place: &Path) -> Result<(), Failure> {
    println!("durable throughput              events/s   lag after the flush");
    let dir = place.join("data");
    let mut ratios = Vec::new();
    for pair in 1..=plan.pairs {
        let (without, _) = run(plan, &dir, false)?;
        println!("  pair {pair}, without the files {without:>13.0}");
        let (with, lag) = run(plan, &dir, true)?;
        let lag = lag.unwrap_or_default();
        println!("  pair {pair}, with the files    {with:>13.0}   {lag:.0?}");
        ratios.push(with / without);
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!("  with / without, median     {median:>13.2}");
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let plan = Plan::from_arguments()?;
    let (directory, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    println!("{machine}");
    backlog(&plan, directory.path())?;
    throughput(&plan, directory.path())
}
