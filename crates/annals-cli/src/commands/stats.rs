//! Statistics of models.

use std::path::Path;

use annals::{Group, Stats, StatsRow, Timestamp};
use clap::ValueEnum;
use serde_json::{Value as Json, json};

use crate::failure::{Done, Result};
use crate::folding;
use crate::missing;
use crate::output::{Out, style};
use crate::statistics::{as_json, footnote};
use crate::table::Rows;
use crate::units;
use crate::which::{Which, Within};

/// The groups.
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

/// Options of `stats`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals stats --since 24h
  annals stats --by action --model dqn_agent --since yesterday --until today
  annals stats --by model,day --since 7d --json

Processing times are kept by model, symbol, checkpoint and time, and not by action: a table by \
action has none, and its JSON has null in their place.")]
pub struct Args {
    /// Divides by these, one row each; by model if there is nothing else to say.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model")]
    by: Vec<By>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    within: Within,
}

/// Prints statistics.
pub fn run(dir: &Path, args: Args, out: &mut Out) -> Result<Done> {
    let reader = folding::reader(dir)?;
    let query = args.within.of(args.which.query(&reader));
    let all = query.get()?;
    let groups: Vec<Group> = args.by.iter().map(|by| (*by).into()).collect();
    let rows = query.by(&groups[..])?;
    if all.is_empty() {
        args.which.say_unknown(&reader)?;
    }
    if out.json {
        out.json(&json!({
            "all": as_json(&all),
            "rows": rows.iter().map(row_as_json).collect::<Vec<_>>(),
        }))?;
        return done(&reader, &all);
    }
    if all.is_empty() {
        out.line("no decisions in this range")?;
        return done(&reader, &all);
    }
    // Of what is not kept by action there are no columns.
    let numbers: Vec<Number> = match args.by.contains(&By::Action) {
        true => NUMBERS
            .into_iter()
            .filter(|number| number.by_action)
            .collect(),
        false => NUMBERS.into(),
    };
    let headings = numbers.iter().map(|number| number.heading);
    let mut table = Rows::new(args.by.iter().map(|by| name(*by)).chain(headings));
    let cells = |stats: &Stats| -> Vec<String> {
        let cells = numbers.iter().map(|number| (number.cell)(stats));
        cells
            .map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
            .collect()
    };
    for row in &rows {
        let keys = args.by.iter().map(|by| key(row, *by));
        table.push(keys.chain(cells(&row.stats)));
    }
    if rows.len() > 1 {
        let keys = (0..args.by.len()).map(|index| if index == 0 { "all" } else { "" });
        table.push(keys.map(str::to_owned).chain(cells(&all)));
    }
    table.print(out)?;
    out.line(footnote(&all, out))?;
    if numbers.len() < NUMBERS.len() {
        out.line(out.paint(style::DIM, "processing times are not kept by action"))?;
    }
    done(&reader, &all)
}

/// How it ended: entries that cannot be read are said, also if only their gap is known.
fn done(reader: &annals::Reader, all: &Stats) -> Result<Done> {
    let done = missing::done(reader);
    // Gaps of a repair are in the coverage alone.
    if done == Done::Well && all.coverage.damaged > 0 && reader.known_damaged()? > 0 {
        let damaged = missing::damaged(all.coverage.damaged, " of this time");
        anstream::eprintln!("annals: {damaged}");
        return Ok(Done::WithProblems);
    }
    Ok(done)
}

/// The key of a row.
fn key(row: &StatsRow, by: By) -> String {
    let text = match by {
        By::Model => row.model.as_deref().map(str::to_owned),
        By::Symbol => row.symbol.as_deref().map(str::to_owned),
        By::Checkpoint => row.checkpoint.as_deref().map(str::to_owned),
        By::Action => row.action.as_deref().map(str::to_owned),
        By::Hour => row.time.map(|time| at(time, 16)),
        By::Day => row.time.map(|time| at(time, 10)),
    };
    text.unwrap_or_else(|| "-".to_owned())
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

/// A column of numbers.
#[derive(Clone, Copy)]
struct Number {
    heading: &'static str,
    /// Whether it is known by action.
    by_action: bool,
    cell: fn(&Stats) -> Option<String>,
}

const fn number(heading: &'static str, cell: fn(&Stats) -> Option<String>) -> Number {
    Number {
        heading,
        by_action: true,
        cell,
    }
}

const fn not_by_action(heading: &'static str, cell: fn(&Stats) -> Option<String>) -> Number {
    Number {
        heading,
        by_action: false,
        cell,
    }
}

const NUMBERS: [Number; 9] = [
    number(">decisions", |stats| Some(units::count(stats.count))),
    number(">repeats", |stats| Some(units::count(stats.repeats))),
    number(">confidence", |stats| {
        stats.confidence.mean.map(|mean| format!("{mean:.3}"))
    }),
    number(">±", |stats| {
        let deviation = stats.confidence.deviation();
        deviation.map(|deviation| format!("{deviation:.3}"))
    }),
    not_by_action(">p50", |stats| {
        stats.processing_time.p50.map(units::duration)
    }),
    not_by_action(">p99", |stats| {
        stats.processing_time.p99.map(units::duration)
    }),
    number(">accuracy", |stats| {
        let accuracy = stats.outcomes.accuracy;
        accuracy.map(|accuracy| format!("{:.1} %", accuracy * 100.0))
    }),
    number(">mean reward", |stats| {
        stats.outcomes.reward.mean.map(units::real)
    }),
    not_by_action("actions", |stats| {
        let actions = stats.actions.iter().take(4).map(|action| {
            let count = units::count(action.recorded.saturating_add(action.repeats));
            format!("{} {count}", action.action)
        });
        Some(actions.collect::<Vec<_>>().join(", "))
    }),
];

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
