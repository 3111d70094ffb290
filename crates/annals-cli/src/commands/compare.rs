//! Two windows of time, or two checkpoints, beside each other.

use std::path::Path;

use annals::{Reader, Stats, Timestamp};
use serde_json::json;

use super::stats::{self, Which};
use crate::failure::{Done, Failure, Result};
use crate::output::Out;
use crate::table::Rows;
use crate::units;
use crate::when;

/// Options of `compare`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals compare 48h..24h 24h..now --model dqn_agent
  annals compare 2025-07-24..2025-07-25 2025-07-25..now
  annals compare --checkpoints dqn_agent_20250725_143500 dqn_agent_20250726_080000 --since 7d")]
pub struct Args {
    /// Two windows, each FROM..UNTIL; with --checkpoints, two ids.
    #[arg(num_args = 2, required = true, value_name = "THIS THAT")]
    sides: Vec<String>,
    /// The two are checkpoints.
    #[arg(long)]
    checkpoints: bool,
    #[command(flatten)]
    which: Which,
    /// With --checkpoints, only event times from here on.
    #[arg(long, value_parser = when::from_now, value_name = "TIME", requires = "checkpoints")]
    since: Option<Timestamp>,
    /// With --checkpoints, only event times before this.
    #[arg(long, value_parser = when::from_now, value_name = "TIME", requires = "checkpoints")]
    until: Option<Timestamp>,
}

/// Prints both sides and the difference.
pub fn run(dir: &Path, args: Args, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let mut found = Vec::with_capacity(2);
    for side in &args.sides {
        let query = args.which.query(&reader);
        let query = if args.checkpoints {
            let query = query.checkpoint(side);
            let query = args
                .since
                .into_iter()
                .fold(query, |query, time| query.since(time));
            args.until
                .into_iter()
                .fold(query, |query, time| query.until(time))
        } else {
            let (from, until) = window(side)?;
            query.since(from).until(until)
        };
        found.push(query.get()?);
    }
    let [this, that] = &found[..] else {
        return Err(Failure::Usage("give two windows or two checkpoints".into()));
    };
    if out.json {
        out.json(&json!({
            "this": stats::as_json(this),
            "that": stats::as_json(that),
        }))?;
        return Ok(Done::Well);
    }
    let (one, other) = (args.sides[0].clone(), args.sides[1].clone());
    let mut rows = Rows::new(["", ">this", ">that", ">change"]);
    rows.push([String::new(), one, other, String::new()]);
    for (name, value, shown) in VALUES {
        let (before, after) = (value(this), value(that));
        let change = match (before, after) {
            (Some(before), Some(after)) if before != 0.0 => {
                format!("{:+.1} %", (after / before - 1.0) * 100.0)
            }
            _ => "-".to_owned(),
        };
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
        rows.push([(*name).to_owned(), show(before), show(after), change]);
    }
    for action in actions(this, that) {
        let share = |stats: &Stats| {
            let known = stats.actions.iter().find(|known| *known.action == *action);
            let count = known.map_or(0, |known| known.recorded + known.repeats);
            (stats.count > 0).then(|| units_share(count, stats.count))
        };
        let (before, after) = (share(this), share(that));
        let show = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |share| format!("{share:.1} %"))
        };
        let change = before.zip(after);
        let change = change.map_or_else(|| "-".into(), |(a, b)| format!("{:+.1} points", b - a));
        rows.push([
            format!("share of {action}"),
            show(before),
            show(after),
            change,
        ]);
    }
    rows.print(out)?;
    out.line(format!("this: {}", stats::footnote(this, out)))?;
    out.line(format!("that: {}", stats::footnote(that, out)))?;
    Ok(Done::Well)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a percentage is shown with one digit"
)]
fn units_share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

/// A name, where its value is, and how it is shown.
type Compared = (&'static str, fn(&Stats) -> Option<f64>, fn(f64) -> String);

#[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
const VALUES: &[Compared] = &[
    ("decisions", |s| Some(s.count as f64), |v| format!("{v:.0}")),
    ("repeats", |s| Some(s.repeats as f64), |v| format!("{v:.0}")),
    (
        "mean confidence",
        |s| some(s, s.confidence.mean),
        units::real,
    ),
    (
        "its deviation",
        |s| some(s, s.confidence.deviation()),
        units::real,
    ),
    ("latency p50", |s| seconds(s.processing_time.p50), shown),
    ("latency p99", |s| seconds(s.processing_time.p99), shown),
];

fn some(stats: &Stats, value: f64) -> Option<f64> {
    (stats.confidence.count > 0).then_some(value)
}

fn seconds(time: Option<std::time::Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

fn shown(seconds: f64) -> String {
    units::duration(std::time::Duration::from_secs_f64(seconds))
}

/// Every action of either side, the most frequent of `this` first.
fn actions(this: &Stats, that: &Stats) -> Vec<std::sync::Arc<str>> {
    let mut names = Vec::new();
    for action in this.actions.iter().chain(&that.actions) {
        if !names.contains(&action.action) {
            names.push(action.action.clone());
        }
    }
    names
}

/// `FROM..UNTIL`.
fn window(text: &str) -> Result<(Timestamp, Timestamp)> {
    let (from, until) = text.split_once("..").ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is no window: give FROM..UNTIL, such as 48h..24h"
        ))
    })?;
    let read = |text: &str, empty: Timestamp| match text.trim() {
        "" => Ok(empty),
        text => when::from_now(text).map_err(Failure::Usage),
    };
    let (from, until) = (read(from, Timestamp::MIN)?, read(until, Timestamp::now())?);
    if from >= until {
        return Err(Failure::Usage(format!(
            "the window {text:?} ends before it begins"
        )));
    }
    Ok((from, until))
}
