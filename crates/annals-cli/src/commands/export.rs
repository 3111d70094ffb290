//! Writing inferences to a file.

use std::path::{Path, PathBuf};

use annals::{Cursor, Error, Maintenance, Reader};
use clap::ValueEnum;
use serde_json::json;

use crate::export::{
    self, Cells, Compression, DayFolders, FilePacking, Format, History, Inputs, Lake, LeftOut, Part,
};
use crate::failure::{Done, Failure, Result};
use crate::filter::FilterArgs;
use crate::missing;
use crate::output::Out;
use crate::progress;
use crate::table::escaped;
use crate::units;

/// Options of `export`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals export all.jsonl
  annals export all.csv.gz
  annals export all.parquet --compress zstd
  annals export - --format csv --model dqn_agent --since 24h | head
  annals export week.parquet --since 7d
  annals export lake --format parquet --by-day --cursor lake   # next time only what is new
  annals export sheet.csv --safe-cells -n 10000   # for a spreadsheet
  annals export training.parquet --inputs   # with the kept inputs
  annals export - --format jsonl | annals --dir copy import --format jsonl -

Decisions come with their outcomes so far. JSON lines have every outcome that was recorded, \
oldest first, in outcomes; CSV and Parquet have those that hold, and with --history a \
row of kind outcome for each. JSON lines have gaps and events too, of \
the times asked for and whatever else is filtered, because they belong to no model; CSV and \
Parquet have none. The columns of all formats are the same; JSON lines have those of outcomes \
within outcome. A number that is not finite is the text NaN, inf or -inf in JSON and CSV, \
and a number in Parquet. In CSV a missing text is nothing between the commas, and an empty one is \
\"\". \
With --inputs, JSON lines have the kept input of a decision in input, as type, values and the \
names of these; an input of bytes has hex in place of values. Each number comes back as it was, \
bit by bit: a NaN of other bits than the usual ones is a text with these, as NaN:7fc01234. \
Parquet has the columns input_f32, input_f64, input_bytes, input_names and input_missing. An \
input that was to be kept and is not there has a reason in missing: given_up or removed. \
`annals import` takes inputs in, and keeps all of them. Without --inputs they are left out.

With --cursor, later outcomes of decisions of an earlier export come as rows of kind outcome, with \
the decision's id. The cursor is stored when the file is on disk: a crash before \
that repeats an export and loses nothing.

With --by-day a day gets its files when all days are written, and an export replaces the file that \
an earlier one of the same journal wrote for a day: twice is the same as once. Only the days of \
--since and --until are replaced, which are taken as whole days. With --cursor nothing is \
replaced: new rows come in files beside the old ones. Rows that the journal has retired stay. One \
folder is for one choice of filters for each journal and format; another choice is refused. So is \
another --zone. Two exports into one folder wait for each other.

An export that Ctrl-C or SIGTERM ends removes its unfinished file, leaves the one that it would \
have replaced, and ends with exit code 130 or 143.")]
pub struct ExportArgs {
    /// The file, or with --by-day the folder; - is standard output. CSV and JSON lines are
    /// compressed if the name ends in .gz or .zst.
    to: PathBuf,
    /// The format, if the file's name does not say it.
    #[arg(long, short, value_enum)]
    format: Option<ExportForm>,
    /// A folder for each day of event time, on the clocks of --zone, with one file of this export
    /// in it: day=2025-07-25/part-....parquet. Days that are there already are replaced.
    #[arg(long)]
    by_day: bool,
    /// How files are compressed: zstd, zstd:LEVEL (1 to 22), gzip, gzip:LEVEL, none; in Parquet
    /// also snappy, the default there. CSV and JSON lines go by the file's name.
    #[arg(long, value_name = "HOW")]
    compress: Option<Compression>,
    /// Goes on where the export with this name ended, and stores where this one does.
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
    /// At most so many rows, the first ones. A cursor is stored behind the last of them.
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// CSV for spreadsheets: an apostrophe goes before a text that begins with = + - @, a tab or a
    /// carriage return, so that it is no formula. Numbers stay as they are.
    #[arg(long)]
    safe_cells: bool,
    /// CSV and Parquet with a row of kind outcome for each outcome that was recorded, also for
    /// those that later ones have replaced. JSON lines have them within the line of the decision.
    #[arg(long)]
    history: bool,
    /// With the inputs of decisions that kept them; in JSON lines and Parquet.
    #[arg(long)]
    inputs: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Formats of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExportForm {
    /// One JSON document for each line: every entry; `annals import` reads them.
    Jsonl,
    /// Comma-separated values with a heading.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Exports.
pub fn run(dir: &Path, args: ExportArgs, out: &mut Out) -> Result<Done> {
    let packing = packing_of(&args)?;
    let filter = args.filter.on(&out.zone);
    let filter = if args.by_day {
        export::whole_days(filter)
    } else {
        filter
    };
    let is_stdout = is_stdout(&args.to);
    if is_stdout && (args.by_day || packing.format == Format::Parquet) {
        return Err(Failure::Usage(
            "Parquet and --by-day need a file's name instead of -".into(),
        ));
    }
    let reader = Reader::open(dir)?;
    let maintenance = match &args.cursor {
        Some(_) => Some(Maintenance::open(dir)?),
        None => None,
    };
    export::watch()?;
    // Before the cursor is read: another export into the same folder may still move it.
    let lake = if args.by_day {
        let to = args.to.clone();
        Some(Lake::open(to, packing, reader.id(), &filter)?)
    } else {
        None
    };
    let from = match (&args.cursor, &maintenance) {
        (Some(name), Some(maintenance)) => maintenance.cursor(name)?,
        _ => None,
    };
    // The beginning of an export; an import has to find it.
    let from = from.unwrap_or(reader.start());
    if let Err(error @ Error::Retired { .. }) = reader.follow(from).map(drop) {
        return Err(error.into());
    }
    let end = reader.end()?;
    let total = end.next_sequence().saturating_sub(from.next_sequence());
    let bar = progress::rows(Some(total), "exporting");
    let sink = match lake {
        Some(lake) => {
            let first = first_entry(&reader, from, end)?;
            Box::new(DayFolders::new(packing, lake, reader.id(), first, &filter))
        }
        None if is_stdout => export::to_stdout(packing, reader.id(), out)?,
        None => export::to_path(packing, args.to.clone(), reader.id())?,
    };
    let part = Part {
        from,
        until: end,
        filter: &filter,
        format: packing.format,
        limit: args.limit,
        history: if args.history {
            History::AsRows
        } else {
            History::WithinRows
        },
        inputs: packing.inputs,
    };
    let sum = export::run(&reader, &part, sink, &bar);
    bar.finish_and_clear();
    let sum = sum?;
    out.flush()?;
    if let (Some(name), Some(maintenance)) = (&args.cursor, &maintenance) {
        maintenance.set_cursor(name, sum.next)?;
    }
    if is_stdout {
        return Ok(missing::done(&reader));
    }
    if out.json {
        let LeftOut {
            gaps,
            events,
            outcomes,
        } = sum.left_out;
        out.json(&json!({
            "rows": sum.rows,
            "outcomes": sum.late,
            "next": sum.next.to_string(),
            "left_out": {"gaps": gaps, "events": events, "replaced_outcomes": outcomes},
        }))?;
    } else {
        let late = match sum.late {
            0 => String::new(),
            n if args.history => format!(" and {}", units::counted(n, "outcome")),
            n => format!(" and {}", units::counted(n, "late outcome")),
        };
        let rows = units::counted(sum.rows, "row");
        let to = escaped(&args.to.display().to_string());
        out.line(format!("{rows}{late} in {to}"))?;
        say_left_out(sum.left_out, out)?;
    }
    Ok(missing::done(&reader))
}

/// Says what the format has no place for.
fn say_left_out(left_out: LeftOut, out: &mut Out) -> Result<()> {
    let parts = [
        (left_out.gaps, "gap"),
        (left_out.events, "event"),
        (left_out.outcomes, "replaced outcome"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| units::counted(count, what))
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    let history = if left_out.outcomes > 0 {
        "; --history has the outcomes"
    } else {
        ""
    };
    let parts = parts.join(", ");
    out.line(format!("left out: {parts} (JSON lines have them{history})"))
}

/// The entry that an export begins with: those before it may have been retired.
fn first_entry(reader: &Reader, from: Cursor, end: Cursor) -> Result<u64> {
    if from != reader.start() {
        return Ok(from.next_sequence());
    }
    let first = reader.follow(from)?.next().transpose()?;
    Ok(first.map_or(end.next_sequence(), |first| first.sequence))
}

/// Whether this is what the command prints to. Opened once more, it would be written over that.
fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"]
        .iter()
        .any(|name| path.as_os_str() == *name)
}

fn packing_of(args: &ExportArgs) -> Result<FilePacking> {
    let format = format_of(args)?;
    // A target without a name of its own: a folder, a pipe.
    let is_nameless = args.by_day || is_stdout(&args.to) || args.to.extension().is_none();
    let name = (!is_nameless).then_some(&*args.to);
    let inputs = if args.inputs {
        Inputs::Taken
    } else {
        Inputs::LeftOut
    };
    if inputs == Inputs::Taken && matches!(format, Format::Csv(_)) {
        return Err(Failure::Usage(
            "CSV has no place for inputs: leave --inputs out, or give --format jsonl or parquet"
                .into(),
        ));
    }
    Ok(FilePacking {
        format,
        compression: export::compression(args.compress, name, format)?,
        inputs,
    })
}

fn format_of(args: &ExportArgs) -> Result<Format> {
    let is_packed = !args.by_day && Compression::of_name(&args.to).is_some();
    let plain = if is_packed {
        args.to.with_extension("")
    } else {
        args.to.clone()
    };
    let extension = plain.extension().and_then(|extension| extension.to_str());
    let form = args.format.or(match extension {
        Some("jsonl" | "ndjson" | "json") => Some(ExportForm::Jsonl),
        Some("csv") => Some(ExportForm::Csv),
        Some("parquet") => Some(ExportForm::Parquet),
        _ => None,
    });
    let cells = if args.safe_cells {
        Cells::Safe
    } else {
        Cells::AsTheyAre
    };
    if args.history && form == Some(ExportForm::Jsonl) {
        return Err(Failure::Usage(
            "JSON lines have the history within the line of each decision: leave --history out"
                .into(),
        ));
    }
    match form {
        Some(ExportForm::Csv) => Ok(Format::Csv(cells)),
        Some(_) if args.safe_cells => Err(Failure::Usage(
            "--safe-cells is for CSV: leave it out, or give --format csv".into(),
        )),
        Some(ExportForm::Jsonl) => Ok(Format::Jsonl),
        Some(ExportForm::Parquet) => Ok(Format::Parquet),
        None => Err(Failure::Usage(format!(
            "{} does not say its format: give --format jsonl, csv or parquet",
            args.to.display()
        ))),
    }
}
