//! Two windows of time, or two checkpoints, beside each other.

use std::path::Path;

use annals::stats::{Drift, Shift};
use annals::{Group, Reader, Registry, Stats, Timestamp};
use serde_json::json;

use crate::failure::{Done, Failure, Result};
use crate::folding;
use crate::missing;
use crate::output::{Out, style};
use crate::statistics::{as_json, footnote};
use crate::table::{Rows, escaped};
use crate::units;
use crate::when;
use crate::which::{Which, Within};
use crate::zone::Zone;

/// Options of `compare`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals compare 48h..24h 24h..now --model dqn_agent
  annals compare 2025-07-24..2025-07-25 2025-07-25..now
  annals compare --checkpoints dqn_agent_20250725_143500 dqn_agent_20250726_080000 --since 7d

Words say how much behaviour changed, by the population stability index of the actions \
(0.1, 0.25), Cohen's d of the confidences (0.2, 0.5, 0.8) and the ratio of the median latencies \
(1.1, 1.25, 2). Where chance could easily have done it, there are too few decisions to tell.")]
pub struct CompareArgs {
    /// Two windows, each FROM..UNTIL; with --checkpoints, two ids.
    #[arg(num_args = 2, required = true, value_names = ["THIS", "THAT"])]
    sides: Vec<String>,
    /// The two are checkpoints.
    #[arg(long)]
    checkpoints: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    within: Within,
}

/// Prints both sides, the difference, and whether that is worth speaking of.
pub fn run(dir: &Path, args: CompareArgs, out: &mut Out) -> Result<Done> {
    let reader = folding::reader(dir)?;
    if !args.checkpoints && (args.within.since.is_some() || args.within.until.is_some()) {
        let why = "windows say their times themselves: --since and --until go with --checkpoints";
        return Err(Failure::Usage(why.into()));
    }
    let mut found = Vec::with_capacity(2);
    for side in &args.sides {
        let query = args.which.query(&reader);
        let query = if args.checkpoints {
            args.within.of(query.checkpoint(side), &out.zone)
        } else {
            let (from, until) = window(side, &out.zone)?;
            query.since(from).until(until)
        };
        found.push(query.get()?);
    }
    let ([this, that], [one, other]) = (&found[..], &args.sides[..]) else {
        return Err(Failure::Usage("give two windows or two checkpoints".into()));
    };
    if args.checkpoints {
        known_checkpoints(dir, &reader, &args.sides, &found)?;
    }
    let drift = Drift::between(this, that);
    if out.json {
        out.json(&json!({
            "this": as_json(this),
            "that": as_json(that),
            "drift": drift,
        }))?;
        return Ok(missing::done(&reader));
    }
    let mut rows = Rows::new(["", ">this", ">that", ">change"]);
    rows.push([String::new(), one.clone(), other.clone(), String::new()]);
    for (name, value, shown, measure) in VALUES {
        let (before, after) = (value(this), value(that));
        let change = match (before, after) {
            (Some(before), Some(after)) if *measure == Measure::Share => {
                format!("{:+.1} points", (after - before) * 100.0)
            }
            (Some(before), Some(after)) if before > 0.0 && after >= 0.0 => {
                format!("{:+.1} %", (after / before - 1.0) * 100.0)
            }
            // Of what may be below zero, a share says nothing.
            (Some(before), Some(after)) if after != before => {
                let sign = if after > before { "+" } else { "" };
                format!("{sign}{}", units::real(after - before))
            }
            _ => "-".to_owned(),
        };
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
        rows.push([(*name).to_owned(), show(before), show(after), change]);
    }
    for shift in &drift.actions.shares {
        let share = |share: Option<f64>| 100.0 * share.unwrap_or(f64::NAN);
        let (before, after) = (share(shift.before), share(shift.after));
        let show = |share: f64| match share.is_finite() {
            true => format!("{share:.1} %"),
            false => "-".to_owned(),
        };
        let change = match (after - before).is_finite() {
            true => format!("{:+.1} points", after - before),
            false => "-".to_owned(),
        };
        let name = format!("share of {}", shift.action);
        rows.push([name, show(before), show(after), change]);
    }
    rows.print(out)?;
    print_drift(&drift, out)?;
    out.line(format!("this: {}", footnote(this, out)))?;
    out.line(format!("that: {}", footnote(that, out)))?;
    Ok(missing::done(&reader))
}

/// Refuses a checkpoint that decided nothing and that the registry does not know either.
fn known_checkpoints(dir: &Path, reader: &Reader, ids: &[String], found: &[Stats]) -> Result<()> {
    for (id, _) in ids.iter().zip(found).filter(|(_, stats)| stats.is_empty()) {
        if Registry::open(dir)?.get(id)?.is_none() {
            let rows = reader.stats_of_all().by(Group::Checkpoint)?;
            let ids = rows.iter().filter_map(|row| row.checkpoint.as_deref());
            let near = match close_to(id, ids) {
                near if near.is_empty() => String::new(),
                near => format!(" (close: {})", near.join(", ")),
            };
            return Err(Failure::Usage(format!(
                "no checkpoint {id:?}{near}: `annals stats --by checkpoint` shows which have \
                 decided"
            )));
        }
    }
    Ok(())
}

/// The names that differ least from `wanted`, in at most a third of its characters.
fn close_to<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let most = wanted.chars().count().div_ceil(3);
    let near = names.map(|name| (distance(wanted, name), name));
    let mut near: Vec<_> = near.filter(|(edits, _)| *edits <= most).collect();
    near.sort_unstable();
    let names = near.into_iter().take(3).map(|(_, name)| escaped(name));
    names.collect()
}

/// How many characters have to be added, removed or changed (Levenshtein, 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut before = index;
        row[0] = index + 1;
        for (column, same) in other.iter().enumerate() {
            let changed = before + usize::from(*same != character);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

fn print_drift(drift: &Drift, out: &mut Out) -> Result<()> {
    out.line("")?;
    let (actions, confidence, latency) = (&drift.actions, &drift.confidence, &drift.latency);
    for (what, shift, why) in [
        (
            "actions",
            actions.shift,
            format!(
                "stability index {}, by chance {}, divergence {} bits",
                known(actions.stability_index),
                known(actions.by_chance),
                known(actions.divergence)
            ),
        ),
        (
            "confidence",
            confidence.shift,
            format!(
                "{} standard deviations (Cohen's d), standard error {}",
                known(confidence.standardised),
                known(confidence.standard_error)
            ),
        ),
        (
            "latency",
            latency.shift,
            format!(
                "median × {}, p90 × {}, p99 × {}",
                known(latency.median_ratio),
                known(latency.p90_ratio),
                known(latency.p99_ratio)
            ),
        ),
    ] {
        let style = match shift {
            Shift::Large => style::BAD,
            Shift::Medium => style::WARN,
            Shift::Small | Shift::Negligible => style::GOOD,
            Shift::TooFew => style::DIM,
        };
        // Painted when it has its width: colours have none.
        let word = out.paint(style, format!("{shift:<15}"));
        out.line(format!("{what:<12} {word}  {why}"))?;
    }
    Ok(())
}

fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"))
}

/// How two values are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// By their ratio.
    Ratio,
    /// Both are shares: by the points between them, as the shares of actions are.
    Share,
}

/// A name, where its value is, how it is shown, and how two of it are compared.
type Compared = (
    &'static str,
    fn(&Stats) -> Option<f64>,
    fn(f64) -> String,
    Measure,
);

fn share(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// Of the decisions, so that a longer window does not look worse.
#[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
fn repeated(stats: &Stats) -> Option<f64> {
    some(
        stats.count,
        stats.repeats as f64 / stats.count.max(1) as f64,
    )
}

#[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
const VALUES: &[Compared] = &[
    (
        "decisions",
        |s| Some(s.count as f64),
        counted,
        Measure::Ratio,
    ),
    ("repeated", repeated, share, Measure::Share),
    (
        "without confidence",
        |s| {
            let lacking = s.without_confidence.saturating_add(s.invalid);
            some(s.recorded, lacking as f64 / s.recorded.max(1) as f64)
        },
        share,
        Measure::Share,
    ),
    (
        "mean confidence",
        |s| s.confidence.mean,
        units::real,
        Measure::Ratio,
    ),
    (
        "its deviation",
        |s| s.confidence.deviation(),
        units::real,
        Measure::Ratio,
    ),
    (
        "latency p50",
        |s| seconds(s.processing_time.p50),
        shown,
        Measure::Ratio,
    ),
    (
        "latency p99",
        |s| seconds(s.processing_time.p99),
        shown,
        Measure::Ratio,
    ),
    ("accuracy", |s| s.outcomes.accuracy, share, Measure::Share),
    (
        "mean reward",
        |s| s.outcomes.reward.mean,
        units::real,
        Measure::Ratio,
    ),
];

fn some(count: u64, value: f64) -> Option<f64> {
    (count > 0).then_some(value)
}

fn seconds(time: Option<std::time::Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

fn shown(seconds: f64) -> String {
    units::duration(std::time::Duration::from_secs_f64(seconds))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it was a count"
)]
fn counted(count: f64) -> String {
    units::count(count as u64)
}

/// `FROM..UNTIL`.
fn window(text: &str, zone: &Zone) -> Result<(Timestamp, Timestamp)> {
    let (from, until) = text.split_once("..").ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is no window: give FROM..UNTIL, such as 48h..24h"
        ))
    })?;
    let read = |text: &str, empty: Timestamp| match text.trim() {
        "" => Ok(empty),
        text => match when::read(text) {
            Ok(when) => Ok(when.on(zone)),
            Err(why) => Err(Failure::Usage(why)),
        },
    };
    let (from, until) = (read(from, Timestamp::MIN)?, read(until, Timestamp::now())?);
    if from >= until {
        return Err(Failure::Usage(format!(
            "the window {text:?} ends before it begins"
        )));
    }
    Ok((from, until))
}
