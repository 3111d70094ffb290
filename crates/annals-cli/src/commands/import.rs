//! Taking in what was recorded elsewhere.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::escape::sentence;
use crate::failure::{Done, Failure, Result};
use crate::import::{Report, folder, jsonl, sqlite};
use crate::output::{Out, style};
use crate::units;

/// Options of `import`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals import data/trading_system.db --zone Europe/Sofia
  annals import export.jsonl
  annals --dir old export - --format jsonl | annals --dir new import --format jsonl -
  annals import --format checkpoints --model dqn_agent models/dqn

Twice is the same as once: each source gets a run of its own, and each of its rows the id of that \
run and of its number in the source. A broken row is said with its number and does not stop the \
rest.")]
pub struct Args {
    /// A logger's SQLite file, JSON lines (- for standard input), or a folder of checkpoints.
    from: PathBuf,
    /// What it is, if that does not show.
    #[arg(long, short, value_enum)]
    format: Option<Form>,
    /// The zone of times that bear none: UTC, Europe/Sofia, ...
    #[arg(long, default_value = "UTC", value_parser = zone)]
    zone: TimeZone,
    /// The source's name, which it is known by when it is imported again. Found by itself: a
    /// SQLite file is known by the last row that was taken from it, our own lines by their journal.
    #[arg(long)]
    source: Option<String>,
    /// For a folder of checkpoints: the model that they are of.
    #[arg(long)]
    model: Option<String>,
}

/// What can be taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Form {
    /// The tables inference_records and checkpoint_metadata.
    Sqlite,
    /// What export writes.
    Jsonl,
    /// Files of weights, registered where they lie, also within folders: as Hugging Face,
    /// Lightning, Keras and Orbax lay them out.
    Checkpoints,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("{name:?} is no time zone: give UTC or Europe/Sofia"))
}

/// Imports.
pub fn run(dir: &Path, args: Args, out: &mut Out) -> Result<Done> {
    let mut report = Report::default();
    match form(&args)? {
        Form::Sqlite => {
            sqlite::import(
                dir,
                &args.from,
                args.source.as_deref(),
                &args.zone,
                &mut report,
            )?;
        }
        Form::Jsonl => jsonl::import(dir, &args.from, args.source.as_deref(), &mut report)?,
        Form::Checkpoints => {
            let model = args.model.as_deref().ok_or_else(|| {
                Failure::Usage("a folder of checkpoints needs --model NAME".into())
            })?;
            folder::import(dir, model, &args.from, &mut report)?;
        }
    }
    print(&report, out)?;
    Ok(if report.broken == 0 && report.damaged == 0 {
        Done::Well
    } else {
        Done::WithProblems
    })
}

fn form(args: &Args) -> Result<Form> {
    if let Some(form) = args.format {
        return Ok(form);
    }
    let path = &args.from;
    if path.as_os_str() == "-" {
        return Ok(Form::Jsonl);
    }
    let looking = |cause| Failure::io(format!("read {}", path.display()), cause);
    if std::fs::metadata(path).map_err(looking)?.is_dir() {
        return Ok(Form::Checkpoints);
    }
    let mut first = [0; 16];
    let mut file = std::fs::File::open(path).map_err(looking)?;
    let read = std::io::Read::read(&mut file, &mut first).map_err(looking)?;
    if &first == b"SQLite format 3\0" {
        return Ok(Form::Sqlite);
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_lines = matches!(extension, Some("jsonl" | "ndjson" | "json"));
    if is_lines || first[..read].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        return Ok(Form::Jsonl);
    }
    Err(Failure::Usage(format!(
        "{} is neither a SQLite file nor JSON lines: say --format if it is",
        path.display()
    )))
}

fn print(report: &Report, out: &mut Out) -> Result<()> {
    if out.json {
        return out.json(&json!({
            "source": report.source,
            "inferences": report.inferences,
            "outcomes": report.outcomes,
            "gaps": report.gaps,
            "events": report.events,
            "checkpoints": report.checkpoints,
            "known": report.known,
            "broken": report.broken,
            "damaged": report.damaged,
            "notes": report.notes,
        }));
    }
    for note in &report.notes {
        out.line(format!("note: {}", sentence(note)))?;
    }
    let mut parts = Vec::new();
    if report.inferences > 0 || report.checkpoints == 0 {
        parts.push(units::counted(report.inferences, "inference"));
    }
    for (count, what) in [
        (report.outcomes, "outcome"),
        (report.gaps, "gap"),
        (report.events, "event"),
        (report.checkpoints, "checkpoint"),
    ] {
        if count > 0 {
            parts.push(units::counted(count, what));
        }
    }
    out.line(format!("taken in: {}", parts.join(", ")))?;
    if report.known > 0 {
        out.line(format!("already there: {}", units::count(report.known)))?;
    }
    if report.damaged > 0 {
        let text = format!(
            "taken in without a damaged field: {}",
            units::counted(report.damaged, "row")
        );
        out.line(out.paint(style::WARN, text))?;
    }
    if report.broken > 0 {
        let text = format!(
            "broken and left out: {}",
            units::counted(report.broken, "row")
        );
        out.line(out.paint(style::BAD, text))?;
    }
    Ok(())
}
