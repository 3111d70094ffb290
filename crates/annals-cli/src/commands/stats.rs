//! Statistics of models.

use std::path::Path;

use annals::stats::{Calendar, StatsRow};
use annals::{Group, Reader, Stats, StatsQuery};
use clap::ValueEnum;
use serde_json::{Value as Json, json};

use crate::failure::{Done, Failure, Result};
use crate::folding;
use crate::missing;
use crate::output::{Out, style};
use crate::statistics::{as_json, footnote};
use crate::table::Rows;
use crate::units;
use crate::which::{Which, Within};
use crate::zone::Zone;

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
    /// From Monday on, as in ISO 8601.
    Week,
    Month,
}

impl By {
    /// The library's group, beside time.
    fn group(self) -> Option<Group> {
        match self {
            By::Model => Some(Group::Model),
            By::Symbol => Some(Group::Symbol),
            By::Checkpoint => Some(Group::Checkpoint),
            By::Action => Some(Group::Action),
            By::Hour | By::Day | By::Week | By::Month => None,
        }
    }

    /// How it divides time.
    fn calendar(self) -> Option<Calendar> {
        match self {
            By::Hour => Some(Calendar::Hour),
            By::Day => Some(Calendar::Day),
            By::Week => Some(Calendar::Week),
            By::Month => Some(Calendar::Month),
            By::Model | By::Symbol | By::Checkpoint | By::Action => None,
        }
    }
}

/// The shortest of the periods that are asked for: it divides time, the others are read off it.
fn shortest(by: &[By]) -> Option<Calendar> {
    let order = [By::Hour, By::Day, By::Week, By::Month];
    let shortest = order.into_iter().find(|one| by.contains(one));
    shortest.and_then(By::calendar)
}

/// Options of `stats`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals stats --since 24h
  annals stats --by action --model dqn_agent --since yesterday --until today
  annals stats --by model,day --since 7d --json
  annals stats --attribute spread --by symbol --since 24h
  annals stats --by day --zone Europe/Sofia --since 2025-03-01

Hours, days, weeks and months are those of --zone, with as many hours as the clocks made them. An \
hour that the clocks showed twice has two rows. In a zone that is not whole hours from UTC, each \
day cuts two hours of UTC. Once these are retired, the rows of both days lack their decisions, and \
a line below the table counts them.

Processing times are kept by model, symbol, checkpoint and time, and not by action: a table by \
action has none, and its JSON has null in their place.")]
pub struct StatsArgs {
    /// Divides into a row for each of these.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model")]
    by: Vec<By>,
    /// Adds up the numbers of this attribute instead. Reads the decisions one by one.
    #[arg(long, value_name = "NAME")]
    attribute: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    within: Within,
}

/// Prints statistics.
pub fn run(dir: &Path, args: StatsArgs, out: &mut Out) -> Result<Done> {
    let reader = folding::reader(dir)?;
    let query = args.within.of(args.which.query(&reader), &out.zone);
    if let Some(name) = &args.attribute {
        return attribute(&reader, &query, name, &args.by, out);
    }
    let all = query.get()?;
    let rows = rows(&query, &args.by, &out.zone)?;
    if all.is_empty() {
        args.which.say_unknown(&reader)?;
    }
    if out.json {
        let zone = out.zone.clone();
        let in_json = rows.iter().map(|row| row_as_json(row, &args.by, &zone));
        out.json(&json!({
            "all": as_json(&all),
            "rows": in_json.collect::<Vec<_>>(),
        }))?;
        return done(&reader, &all);
    }
    if all.is_empty() {
        out.line("no decisions in this range")?;
        return done(&reader, &all);
    }
    // Of what is not kept by action there are no columns.
    let numbers: Vec<NumberColumn> = match args.by.contains(&By::Action) {
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
        let keys = args.by.iter().map(|by| key(row, *by, &out.zone));
        table.push(keys.chain(cells(&row.stats)));
    }
    if rows.len() > 1 {
        let keys = (0..args.by.len()).map(|index| if index == 0 { "all" } else { "" });
        table.push(keys.map(str::to_owned).chain(cells(&all)));
    }
    table.print(out)?;
    print_predictions(&rows, &args.by, out)?;
    out.line(footnote(&all, out))?;
    if let Some(lost) = not_placed(&rows) {
        out.line(out.paint(style::WARN, lost))?;
    }
    if numbers.len() < NUMBERS.len() {
        out.line(out.paint(style::DIM, "processing times are not kept by action"))?;
    }
    done(&reader, &all)
}

/// The numbers of an attribute, in a table.
fn attribute(
    reader: &Reader,
    query: &StatsQuery,
    name: &str,
    by: &[By],
    out: &mut Out,
) -> Result<Done> {
    let group = |by: &By| match by {
        By::Hour => Some(Group::Hour),
        By::Day => Some(Group::Day),
        other => other.group(),
    };
    let groups: Option<Vec<Group>> = by.iter().map(group).collect();
    let is_of_time = by.iter().any(|by| by.calendar().is_some());
    let groups = groups.filter(|_| !is_of_time || out.zone.is_utc());
    let Some(groups) = groups else {
        let why =
            "--attribute divides by model, symbol, checkpoint, action, and by hour or day of UTC";
        return Err(Failure::Usage(why.to_owned()));
    };
    let rows = query.attribute(name, &groups[..])?;
    if out.json {
        out.json(&json!({ "attribute": name, "rows": rows }))?;
        return Ok(missing::done(reader));
    }
    let figures = [
        ">count", ">sum", ">mean", ">min", ">p5", ">p50", ">p95", ">max", ">invalid", ">others",
    ];
    let mut table = Rows::new(by.iter().map(|by| self::name(*by)).chain(figures));
    for row in &rows {
        let keys = by.iter().map(|by| {
            let text = match by {
                By::Model => row.model.as_deref().map(str::to_owned),
                By::Symbol => row.symbol.as_deref().map(str::to_owned),
                By::Checkpoint => row.checkpoint.as_deref().map(str::to_owned),
                By::Action => row.action.as_deref().map(str::to_owned),
                By::Hour => row
                    .time
                    .map(|time| out.zone.second(time).chars().take(16).collect()),
                _ => row.time.map(|time| out.zone.date(time)),
            };
            text.unwrap_or_else(|| "-".to_owned())
        });
        let sum = (row.values.count > 0).then_some(row.values.sum);
        let figures = [
            sum,
            row.values.mean,
            row.min,
            row.p5,
            row.p50,
            row.p95,
            row.max,
        ];
        let figures = figures.map(|figure| figure.map_or_else(|| "-".to_owned(), units::real));
        let counts = [row.invalid, row.others].map(units::count);
        let cells = [units::count(row.values.count)].into_iter().chain(figures);
        table.push(keys.chain(cells).chain(counts));
    }
    if rows.is_empty() {
        out.line("no decision in this range has this attribute")?;
    } else {
        table.print(out)?;
    }
    Ok(missing::done(reader))
}

/// The errors of predictions, in a table of their own: a row may have several.
fn print_predictions(rows: &[StatsRow], by: &[By], out: &mut Out) -> Result<()> {
    if rows.iter().all(|row| row.stats.predictions.is_empty()) {
        return Ok(());
    }
    let figures = [
        "prediction",
        ">count",
        ">bias",
        ">MAE",
        ">RMSE",
        ">p5",
        ">p50",
        ">p95",
        ">invalid",
    ];
    let mut table = Rows::new(by.iter().map(|by| name(*by)).chain(figures));
    for row in rows {
        for (prediction, errors) in &row.stats.predictions {
            let keys = by.iter().map(|by| key(row, *by, &out.zone));
            let figures = [
                errors.bias,
                errors.mae,
                errors.rmse,
                errors.p5,
                errors.p50,
                errors.p95,
            ];
            let figures = figures.map(|figure| figure.map_or_else(|| "-".to_owned(), units::real));
            let counts = [prediction.to_string(), units::count(errors.count)];
            let cells = counts.into_iter().chain(figures);
            table.push(keys.chain(cells).chain([units::count(errors.invalid)]));
        }
    }
    out.line("")?;
    table.print(out)?;
    out.line(out.paint(style::DIM, "errors are predicted less actual"))
}

/// One row for each group.
fn rows(query: &StatsQuery, by: &[By], zone: &Zone) -> Result<Vec<StatsRow>> {
    let mut groups: Vec<Group> = by.iter().filter_map(|by| by.group()).collect();
    match (shortest(by), zone.is_utc()) {
        (Some(calendar), false) => return zone.by(query, calendar, &groups),
        (Some(Calendar::Hour), true) => groups.push(Group::Hour),
        (Some(Calendar::Day), true) => groups.push(Group::Day),
        (Some(calendar), true) => return zone.by(query, calendar, &groups),
        (None, _) => {}
    }
    Ok(query.by(&groups[..])?)
}

/// The note about hours that periods cut and whose entries are retired.
fn not_placed(rows: &[StatsRow]) -> Option<String> {
    let mut periods: Vec<_> = rows
        .iter()
        .filter(|row| row.stats.coverage.retired > 0)
        .map(|row| (row.time, row.stats.coverage.retired))
        .collect();
    periods.dedup();
    let most = periods.iter().map(|period| period.1);
    let most = most.fold(0, u64::saturating_add);
    (most > 0).then(|| {
        let (decisions, of) = (units::counted(most, "decision"), periods.len() as u64);
        format!(
            "up to {decisions} of hours that {} cut are in no row: their entries are retired",
            units::counted(of, "period")
        )
    })
}

/// How it ended: entries that cannot be read are said, also if only their gap is known.
fn done(reader: &Reader, all: &Stats) -> Result<Done> {
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
fn key(row: &StatsRow, by: By, zone: &Zone) -> String {
    let text = match by {
        By::Model => row.model.as_deref().map(str::to_owned),
        By::Symbol => row.symbol.as_deref().map(str::to_owned),
        By::Checkpoint => row.checkpoint.as_deref().map(str::to_owned),
        By::Action => row.action.as_deref().map(str::to_owned),
        By::Hour if zone.is_utc() => row
            .time
            .map(|time| zone.second(time).chars().take(16).collect()),
        By::Hour => row.period.as_deref().map(str::to_owned),
        By::Day => row.time.map(|time| zone.date(time)),
        By::Week => row.time.map(|time| zone.week(time)),
        By::Month => row.time.map(|time| zone.month(time)),
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
        By::Week => "week",
        By::Month => "month",
    }
}

/// A column of numbers.
#[derive(Clone, Copy)]
struct NumberColumn {
    heading: &'static str,
    /// Whether it is known by action.
    by_action: bool,
    cell: fn(&Stats) -> Option<String>,
}

const fn number(heading: &'static str, cell: fn(&Stats) -> Option<String>) -> NumberColumn {
    NumberColumn {
        heading,
        by_action: true,
        cell,
    }
}

const fn not_by_action(heading: &'static str, cell: fn(&Stats) -> Option<String>) -> NumberColumn {
    NumberColumn {
        heading,
        by_action: false,
        cell,
    }
}

const NUMBERS: [NumberColumn; 9] = [
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

fn row_as_json(row: &StatsRow, by: &[By], zone: &Zone) -> Json {
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
        if let Some(end) = row.end {
            fields.insert("end".to_owned(), Json::from(end.to_string()));
        }
        for by in by.iter().filter(|by| by.calendar().is_some()) {
            fields.insert(name(*by).to_owned(), Json::from(key(row, *by, zone)));
        }
        if row.stats.coverage.retired > 0 {
            // Of hours that the period cuts.
            fields.insert(
                "not_placed".to_owned(),
                Json::from(row.stats.coverage.retired),
            );
        }
    }
    json
}
