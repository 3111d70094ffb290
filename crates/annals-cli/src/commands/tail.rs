//! The newest inferences, oldest of them first, as a log ends.

use std::path::Path;

use annals::{InferenceRecord, Outcomes, Reader};

use crate::entries::{self, EntryColumn};
use crate::failure::{Done, Result};
use crate::filter::{Filter, FilterArgs};
use crate::line::line;
use crate::missing;
use crate::output::Out;
use crate::table::Rows;

/// Options of `tail`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals tail
  annals tail -n 5 --model dqn_agent --action BUY --min-confidence 0.8
  annals tail --columns time,action,confidence,reward --outcome any
  annals tail -n 1000 --since yesterday --json | jq .confidence")]
pub struct TailArgs {
    /// How many decisions.
    #[arg(short = 'n', long, default_value_t = 20)]
    lines: usize,
    /// Which columns, in which order, instead of the line of the text files.
    #[arg(long, value_enum, value_delimiter = ',')]
    columns: Vec<EntryColumn>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// An inference and what has turned out for it.
type Found = (InferenceRecord, Option<Outcomes>);

/// Prints the newest inferences.
pub fn run(dir: &Path, args: TailArgs, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let filter = args.filter.on(&out.zone);
    let mut found = find(&reader, &args, &filter, out.json)?;
    found.reverse();
    if found.is_empty() {
        filter.say_unknown(&reader)?;
    }
    if out.json {
        for (record, outcomes) in &found {
            out.json(&entries::record(record, outcomes.as_ref()))?;
        }
    } else if found.is_empty() {
        out.line("no decisions that fit")?;
    } else if args.columns.is_empty() {
        for (record, outcomes) in &found {
            out.line(line(out, record, outcomes.as_ref()))?;
        }
    } else {
        let columns = &args.columns;
        let mut rows = Rows::new(columns.iter().map(|column| entries::heading(*column)));
        for (record, outcomes) in &found {
            let cells = columns.iter();
            rows.push_escaped(
                cells.map(|column| entries::cell(record, outcomes.as_ref(), *column, &out.zone)),
            );
        }
        rows.print(out)?;
    }
    Ok(missing::done(&reader))
}

fn find(reader: &Reader, args: &TailArgs, filter: &Filter, json: bool) -> Result<Vec<Found>> {
    let query = filter.query(reader).newest_first();
    let with_outcomes =
        json || filter.asks_for_outcomes() || entries::ask_for_outcomes(&args.columns);
    let mut found = Vec::new();
    let mut take = |record: InferenceRecord, outcomes: Option<Outcomes>| {
        if filter.keeps(&record, outcomes.as_ref()) {
            found.push((record, outcomes));
        }
        found.len() < args.lines
    };
    if args.lines == 0 {
        return Ok(found);
    }
    if with_outcomes {
        for item in query.with_outcomes() {
            let (record, outcomes) = item?;
            if !take(record, outcomes) {
                break;
            }
        }
    } else {
        for record in query.iter() {
            if !take(record?, None) {
                break;
            }
        }
    }
    Ok(found)
}
