//! What the models did.

use std::path::Path;

use annals::{Group, Reader, Stats, StatsQuery, StatsRow, Timestamp, Values};
use clap::ValueEnum;
use serde_json::{Value as Json, json};

use crate::entries;
use crate::failure::{Done, Result};
use crate::output::{Out, style};
use crate::table::Rows;
use crate::units;
use crate::when;

/// What to divide by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[allow(missing_docs, reason = "their names say it")]
pub enum By {
    Model,
    Symbol,
    Checkpoint,
    Action,
    Hour,
    Day,
}

impl From<By> for Group {
    fn from(by: By) -> Group {
        match by {
            By::Model => Group::Model,
            By::Symbol => Group::Symbol,
            By::Checkpoint => Group::Checkpoint,
            By::Action => Group::Action,
            By::Hour => Group::Hour,
            By::Day => Group::Day,
        }
    }
}

/// Which decisions are meant.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Which {
    /// Only this model's.
    #[arg(long, short)]
    pub model: Option<String>,
    /// Only about this symbol.
    #[arg(long, short)]
    pub symbol: Option<String>,
    /// Only decided by this checkpoint.
    #[arg(long, short)]
    pub checkpoint: Option<String>,
}

impl Which {
    /// The question to the library.
    pub fn query(&self, reader: &Reader) -> StatsQuery {
        let mut query = match &self.model {
            Some(model) => reader.stats(model),
            None => reader.stats_of_all(),
        };
        if let Some(symbol) = &self.symbol {
            query = query.symbol(symbol);
        }
        if let Some(checkpoint) = &self.checkpoint {
            query = query.checkpoint(checkpoint);
        }
        query
    }
}

/// Options of `stats`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals stats --since 24h
  annals stats --by action --model dqn_agent --since yesterday --until today
  annals stats --by model,day --since 7d --json")]
pub struct Args {
    /// Divides by these, one row each; by model if there is nothing else to say.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model")]
    by: Vec<By>,
    #[command(flatten)]
    which: Which,
    /// Only event times from here on.
    #[arg(long, value_parser = when::from_now, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only event times before this.
    #[arg(long, value_parser = when::from_now, value_name = "TIME")]
    until: Option<Timestamp>,
}

/// Prints statistics.
pub fn run(dir: &Path, args: Args, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let mut query = args.which.query(&reader);
    if let Some(since) = args.since {
        query = query.since(since);
    }
    if let Some(until) = args.until {
        query = query.until(until);
    }
    let all = query.get()?;
    let groups: Vec<Group> = args.by.iter().map(|by| (*by).into()).collect();
    let rows = query.by(&groups[..])?;
    if out.json {
        out.json(&json!({
            "all": as_json(&all),
            "rows": rows.iter().map(row_as_json).collect::<Vec<_>>(),
        }))?;
        return Ok(Done::Well);
    }
    if all.is_empty() {
        out.line("no decisions in this range")?;
        return Ok(Done::Well);
    }
    let mut table = Rows::new(args.by.iter().map(|by| name(*by)).chain(NUMBERS));
    for row in &rows {
        let of = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
        let keys = args.by.iter().map(|by| match by {
            By::Model => of(&row.model),
            By::Symbol => of(&row.symbol),
            By::Checkpoint => of(&row.checkpoint),
            By::Action => of(&row.action),
            By::Hour => row.time.map_or_else(|| "-".into(), |time| at(time, 16)),
            By::Day => row.time.map_or_else(|| "-".into(), |time| at(time, 10)),
        });
        table.push(keys.chain(numbers(&row.stats)));
    }
    if rows.len() > 1 {
        let keys = (0..args.by.len()).map(|index| if index == 0 { "all" } else { "" });
        table.push(keys.map(str::to_owned).chain(numbers(&all)));
    }
    table.print(out)?;
    out.line(footnote(&all, out))?;
    Ok(Done::Well)
}

fn name(by: By) -> &'static str {
    match by {
        By::Model => "model",
        By::Symbol => "symbol",
        By::Checkpoint => "checkpoint",
        By::Action => "action",
        By::Hour => "hour",
        By::Day => "day",
    }
}

/// The first `length` characters of a time.
fn at(time: Timestamp, length: usize) -> String {
    units::second(time).chars().take(length).collect()
}

const NUMBERS: [&str; 9] = [
    ">decisions",
    ">repeats",
    ">confidence",
    ">±",
    ">p50",
    ">p99",
    ">accuracy",
    ">mean reward",
    "actions",
];

fn numbers(stats: &Stats) -> impl Iterator<Item = String> {
    let dash = || "-".to_owned();
    let confidence = &stats.confidence;
    let known = confidence.count > 0;
    let outcomes = &stats.outcomes;
    let judged = outcomes.correct + outcomes.wrong;
    let mean = known.then(|| format!("{:.3}", confidence.mean));
    let deviation = known.then(|| format!("{:.3}", confidence.deviation()));
    let actions = stats.actions.iter().take(4);
    let actions: Vec<String> = actions
        .map(|action| {
            format!(
                "{} {}",
                action.action,
                units::count(action.recorded + action.repeats)
            )
        })
        .collect();
    [
        units::count(stats.count),
        units::count(stats.repeats),
        mean.unwrap_or_else(dash),
        deviation.unwrap_or_else(dash),
        stats.processing_time.p50.map_or_else(dash, units::duration),
        stats.processing_time.p99.map_or_else(dash, units::duration),
        if judged > 0 {
            format!("{:.1} %", outcomes.accuracy * 100.0)
        } else {
            dash()
        },
        if outcomes.reward.count > 0 {
            units::real(outcomes.reward.mean)
        } else {
            dash()
        },
        actions.join(", "),
    ]
    .into_iter()
}

/// How far the numbers can be trusted.
pub fn footnote(stats: &Stats, out: &Out) -> String {
    let coverage = &stats.coverage;
    let complete = match coverage.completeness {
        Some(share) if share >= 1.0 => out.paint(style::GOOD, "complete"),
        Some(share) => {
            let dropped = units::count(coverage.dropped);
            out.paint(
                style::WARN,
                format!("{:.4} % complete: {dropped} dropped", share * 100.0),
            )
        }
        None => out.paint(
            style::WARN,
            "a run died in this time: what it logged last is unknown",
        ),
    };
    let range = match (stats.first, stats.last) {
        (Some(first), Some(last)) => {
            format!("{} to {}", units::second(first), units::second(last))
        }
        _ => "no times".to_owned(),
    };
    format!("{range}; {complete}")
}

/// A statistic as JSON.
pub fn as_json(stats: &Stats) -> Json {
    let nanos = |time: Option<std::time::Duration>| {
        time.and_then(|time| u64::try_from(time.as_nanos()).ok())
    };
    let confidence = &stats.confidence;
    let processing = &stats.processing_time;
    let outcomes = &stats.outcomes;
    let number = |value: f64| {
        if confidence.count == 0 {
            Json::Null
        } else {
            entries::real(value)
        }
    };
    json!({
        "count": stats.count,
        "recorded": stats.recorded,
        "repeats": stats.repeats,
        "divergences": stats.divergences,
        "invalid": stats.invalid,
        "without_confidence": stats.without_confidence,
        "first": stats.first.map(|time| time.to_string()),
        "last": stats.last.map(|time| time.to_string()),
        "confidence": {
            "count": confidence.count,
            "mean": number(confidence.mean),
            "min": number(f64::from(confidence.min)),
            "max": number(f64::from(confidence.max)),
            "deviation": number(confidence.deviation()),
        },
        "actions": stats.actions.iter().map(|action| json!({
            "action": &*action.action,
            "recorded": action.recorded,
            "repeats": action.repeats,
        })).collect::<Vec<_>>(),
        "processing_ns": {
            "count": processing.count,
            "mean": nanos(processing.mean),
            "min": nanos(processing.min),
            "max": nanos(processing.max),
            "p50": nanos(processing.p50),
            "p90": nanos(processing.p90),
            "p99": nanos(processing.p99),
        },
        "memory_bytes": {
            "count": stats.memory.count,
            "mean": (stats.memory.count > 0).then_some(stats.memory.mean),
            "max": stats.memory.max,
        },
        "outcomes": {
            "attached": outcomes.attached,
            "correct": outcomes.correct,
            "wrong": outcomes.wrong,
            "reward": reals(&outcomes.reward),
            "wins": outcomes.wins,
            "values": outcomes.values.iter().map(|(name, known)| (name.to_string(), reals(known)))
                .collect::<serde_json::Map<_, _>>(),
            "invalid": outcomes.invalid,
        },
        "completeness": stats.coverage.completeness,
        "dropped": stats.coverage.dropped,
    })
}

fn reals(known: &Values) -> Json {
    let some = |value: f64| (known.count > 0).then(|| entries::real(value));
    json!({"count": known.count, "sum": some(known.sum), "mean": some(known.mean)})
}

fn row_as_json(row: &StatsRow) -> Json {
    let mut json = as_json(&row.stats);
    if let Json::Object(fields) = &mut json {
        let texts = [
            ("model", &row.model),
            ("symbol", &row.symbol),
            ("checkpoint", &row.checkpoint),
            ("action", &row.action),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.insert(name.to_owned(), Json::from(&**text));
            }
        }
        if let Some(time) = row.time {
            fields.insert("time".to_owned(), Json::from(time.to_string()));
        }
    }
    json
}
