//! Taking in what was recorded elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use annals::Reader;
use clap::ValueEnum;
use serde_json::json;

use crate::escape::sentence;
use crate::failure::{Done, Failure, Result};
use crate::import::{Doing, ImportReport, RowIdentity, TakenColumns, folder, jsonl, sqlite};
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
  annals import old.db --outcome reward=pnl --outcome correct=was_right

Twice is the same as once: a source is recognised by its rows, also under another name, with old \
rows deleted, or with the right --zone after a wrong one. Rows that look like earlier ones are \
counted, with the name that they were taken in under. A broken row is named with its number and \
does not stop the rest. --dry-run reports all of that and writes nothing.")]
pub struct ImportArgs {
    /// A logger's SQLite file, JSON lines (- for standard input), also compressed with gzip or
    /// zstd, or a folder of checkpoints.
    #[arg(required_unless_present = "undo", conflicts_with = "undo")]
    from: Option<PathBuf>,
    /// The format, if it cannot be recognised.
    #[arg(long, short, value_enum)]
    format: Option<ImportForm>,
    /// The source's name, which it is known by when it is imported again. Found by itself: a
    /// SQLite file is known by its rows, our own lines by their journal.
    #[arg(long)]
    source: Option<String>,
    /// For a folder of checkpoints: the model that they are of.
    #[arg(long)]
    model: Option<String>,
    /// Says what would be taken in, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Takes all of it in as another source, also rows that look like earlier ones.
    #[arg(long)]
    as_new: bool,
    /// Keeps columns of a SQLite file that are not known as attributes.
    #[arg(long)]
    keep_columns: bool,
    /// The column of a SQLite file with the outcome of a row's decision: reward, correct, label or
    /// a value of any other name. May be repeated. Counts as known from the import on.
    #[arg(long, value_name = "NAME=COLUMN")]
    outcome: Vec<sqlite::OutcomeColumn>,
    /// Takes out again what an import took in under this run, which its report names. No process
    /// may have the journal open. Checkpoints stay registered.
    #[arg(long, value_name = "RUN")]
    undo: Option<u32>,
}

/// Known kinds of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ImportForm {
    /// The tables inference_records and checkpoint_metadata.
    Sqlite,
    /// The JSON lines of `annals export`.
    Jsonl,
    /// Files of weights, registered where they lie, also within folders: as Hugging Face,
    /// Lightning, Keras and Orbax lay them out.
    Checkpoints,
}

/// Imports.
pub fn run(dir: &Path, args: ImportArgs, out: &mut Out) -> Result<Done> {
    if let Some(run) = args.undo {
        return undo(dir, run, args.dry_run, out);
    }
    let Some(from) = &args.from else {
        return Err(Failure::Usage("say what to import".into()));
    };
    let mut report = ImportReport {
        doing: if args.dry_run {
            Doing::Rehearsal
        } else {
            Doing::Real
        },
        ..ImportReport::default()
    };
    let identity = if args.as_new {
        RowIdentity::New
    } else {
        RowIdentity::Recognised
    };
    let source = args.source.as_deref();
    let form = form(args.format, from)?;
    if form != ImportForm::Sqlite && !args.outcome.is_empty() {
        return Err(Failure::Usage(
            "--outcome names columns of a SQLite file; a JSON line has the outcome in its \
             field outcome"
                .into(),
        ));
    }
    match form {
        ImportForm::Sqlite => {
            let settings = sqlite::SqliteSettings {
                source,
                zone: out.zone.time_zone(),
                identity,
                columns: if args.keep_columns {
                    TakenColumns::All
                } else {
                    TakenColumns::Known
                },
                outcomes: &args.outcome,
            };
            sqlite::import(dir, from, &settings, &mut report)?;
        }
        ImportForm::Jsonl => {
            let settings = jsonl::JsonlSettings {
                source,
                zone: out.zone.time_zone(),
                identity,
            };
            jsonl::import(dir, from, &settings, &mut report)?;
        }
        ImportForm::Checkpoints => {
            let model = args.model.as_deref().ok_or_else(|| {
                Failure::Usage("a folder of checkpoints needs --model NAME".into())
            })?;
            folder::import(dir, model, from, &mut report)?;
        }
    }
    print(&report, out)?;
    Ok(
        if report.broken == 0 && report.damaged == 0 && report.unread.is_empty() {
            Done::Well
        } else {
            Done::WithProblems
        },
    )
}

/// Takes out again what an import took in.
fn undo(dir: &Path, number: u32, is_rehearsal: bool, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let mut imports = Vec::new();
    let mut found = None;
    for run in reader.runs() {
        let run = run?;
        if run.id.get() == number {
            found = Some(run);
        } else if let Some(source) = &run.source {
            imports.push(format!("{} ({})", run.id, sentence(source)));
        }
    }
    drop(reader);
    let run = found.filter(|run| run.source.is_some()).ok_or_else(|| {
        let known = if imports.is_empty() {
            "there are none".to_owned()
        } else {
            format!("these are: {}", imports.join(", "))
        };
        Failure::Usage(format!("run {number} is no import's: {known}"))
    })?;
    let source = run.source.unwrap_or_default();
    if is_rehearsal {
        if out.json {
            let entries = run.committed;
            let json =
                json!({"run": number, "source": source, "entries": entries, "dry_run": true});
            return out.json(&json).map(|()| Done::Well);
        }
        let entries = units::counted(run.committed, "entry");
        let source = sentence(&source);
        out.line(format!(
            "would be taken out: {entries} of {source} (run {number})"
        ))?;
        return Ok(Done::Well);
    }
    let undone = annals::maintenance::undo_import(dir, run.id)?;
    if out.json {
        let (inferences, others) = (undone.inferences, undone.others);
        let json = json!({
            "run": number,
            "source": source,
            "inferences": inferences,
            "others": others,
            "dry_run": false,
        });
        return out.json(&json).map(|()| Done::Well);
    }
    let inferences = units::counted(undone.inferences, "decision");
    let others = units::counted(undone.others, "other entry");
    let source = sentence(&source);
    out.line(format!(
        "taken out: {inferences} and {others} of {source} (run {number})"
    ))?;
    out.line("text files keep their lines until annals mirror rebuild".to_owned())?;
    Ok(Done::Well)
}

fn form(said: Option<ImportForm>, path: &Path) -> Result<ImportForm> {
    if let Some(form) = said {
        return Ok(form);
    }
    if path.as_os_str() == "-" {
        return Ok(ImportForm::Jsonl);
    }
    let looking = |cause| Failure::io(format!("read {}", path.display()), cause);
    if std::fs::metadata(path).map_err(looking)?.is_dir() {
        return Ok(ImportForm::Checkpoints);
    }
    let mut first = [0; 16];
    let mut file = std::fs::File::open(path).map_err(looking)?;
    let mut read = std::io::Read::read(&mut file, &mut first).map_err(looking)?;
    let mut plain = path.to_path_buf();
    let packing = jsonl::Packing::of_start(first.get(..read).unwrap_or_default());
    if packing.is_some() {
        plain = plain.with_extension("");
        file = std::fs::File::open(path).map_err(looking)?;
        let mut text = jsonl::unpacked(file).map_err(looking)?;
        read = std::io::Read::read(&mut text, &mut first).map_err(looking)?;
    }
    if &first == b"SQLite format 3\0" {
        if let Some(packing) = packing {
            let (name, command) = (path.display(), packing.command());
            return Err(Failure::Usage(format!(
                "{name} is a compressed SQLite file: unpack it first, with {command} {name}"
            )));
        }
        return Ok(ImportForm::Sqlite);
    }
    let extension = plain.extension().and_then(|extension| extension.to_str());
    let is_lines = matches!(extension, Some("jsonl" | "ndjson" | "json"));
    let start = &first[..read];
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let begins = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if is_lines || begins == Some(&b'{') || jsonl::is_utf16(start) {
        return Ok(ImportForm::Jsonl);
    }
    Err(Failure::Usage(format!(
        "{} is neither a SQLite file nor JSON lines: say --format if it is",
        path.display()
    )))
}

fn print(report: &ImportReport, out: &mut Out) -> Result<()> {
    if out.json {
        return out.json(&as_json(report));
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
        (report.inputs, "input"),
        (report.gaps, "gap"),
        (report.events, "event"),
        (report.checkpoints, "checkpoint"),
    ] {
        if count > 0 {
            parts.push(units::counted(count, what));
        }
    }
    let what = match report.doing {
        Doing::Real => "taken in",
        Doing::Rehearsal => "would be taken in",
    };
    out.line(format!("{what}: {}", parts.join(", ")))?;
    if !report.source.is_empty() && report.inferences + report.known > 0 {
        let source = sentence(&report.source);
        let runs: Vec<String> = report.runs.iter().map(u32::to_string).collect();
        let runs = match (report.doing, &runs[..]) {
            (Doing::Rehearsal, _) | (_, []) => String::new(),
            (_, [run]) => format!(" (run {run})"),
            (_, runs) => format!(" (runs {})", runs.join(", ")),
        };
        out.line(format!("source: {source}{runs}"))?;
    }
    print_known(report, out)?;
    print_times(report, out)?;
    if !report.not_taken.is_empty() {
        out.line("not taken over as it was:".to_owned())?;
        for ((field, reason), count) in &report.not_taken {
            let values = units::counted(*count, "value");
            let (field, reason) = (sentence(field), sentence(reason));
            out.line(format!("  {field}: {values}: {reason}"))?;
        }
    }
    if report.damaged > 0 {
        let rows = units::counted(report.damaged, "row");
        let text = format!("taken in without a damaged field: {rows}");
        out.line(out.paint(style::WARN, text))?;
    }
    for unread in &report.unread {
        let text = format!("cannot be read: {}", sentence(unread));
        out.line(out.paint(style::BAD, text))?;
    }
    if report.broken > 0 {
        let rows = units::counted(report.broken, "row");
        out.line(out.paint(style::BAD, format!("broken and left out: {rows}")))?;
    }
    Ok(())
}

/// Rows that were there already, under which names, and their differences.
fn print_known(report: &ImportReport, out: &mut Out) -> Result<()> {
    if report.known > 0 {
        out.line(format!("already there: {}", units::count(report.known)))?;
        for (source, count) in &report.known_as {
            let rows = units::counted(*count, "row");
            out.line(format!("  {rows} as {}", sentence(source)))?;
        }
    }
    if report.completed > 0 {
        let rows = units::counted(report.completed, "row");
        out.line(format!("completed with an outcome: {rows}"))?;
    }
    if report.other_zone > 0 {
        let rows = units::counted(report.other_zone, "row");
        let text = format!("taken in earlier with another --zone, and left so: {rows}");
        out.line(out.paint(style::WARN, text))?;
    }
    if report.differs > 0 {
        let rows = units::counted(report.differs, "row");
        let text = format!("changed in the source since, and left so: {rows}");
        out.line(out.paint(style::WARN, text))?;
        for ((field, change), count) in &report.differing {
            let rows = units::counted(*count, "row");
            out.line(format!("  {field}: {rows}: {}", change.reason()))?;
        }
    }
    if !report.outdated.is_empty() {
        let undo = report
            .outdated
            .iter()
            .map(|run| format!("annals import --undo {run}"));
        let undo = undo.collect::<Vec<_>>().join(", ");
        out.line(format!(
            "entries never change; to have them anew: {undo}, then import again"
        ))?;
    }
    for (source, count) in &report.alike {
        let rows = units::counted(*count, "row");
        let text = format!(
            "looks like what {} has, and taken in: {rows}",
            sentence(source)
        );
        out.line(out.paint(style::WARN, text))?;
    }
    Ok(())
}

/// Times that may be others.
fn print_times(report: &ImportReport, out: &mut Out) -> Result<()> {
    for (count, what) in [
        (
            report.no_zone,
            "time without a zone, read in that of --zone",
        ),
        (
            report.twice,
            "in an hour that came twice, read as the first",
        ),
        (
            report.never,
            "in an hour that the clocks left out, read as if they had not",
        ),
    ] {
        if count > 0 {
            out.line(format!("{what}: {}", units::counted(count, "row")))?;
        }
    }
    Ok(())
}

fn as_json(report: &ImportReport) -> serde_json::Value {
    let mut fields: BTreeMap<&str, u64> = BTreeMap::new();
    let mut not_completed = Vec::new();
    for ((field, change), count) in &report.differing {
        *fields.entry(field).or_default() += count;
        let reason = change.reason();
        not_completed.push(json!({"field": field, "reason": reason, "rows": count}));
    }
    let not_taken = report.not_taken.iter();
    let not_taken: Vec<_> = not_taken
        .map(
            |((field, reason), values)| json!({"field": field, "reason": reason, "values": values}),
        )
        .collect();
    json!({
        "dry_run": report.doing == Doing::Rehearsal,
        "source": report.source,
        "runs": report.runs,
        "inferences": report.inferences,
        "outcomes": report.outcomes,
        "inputs": report.inputs,
        "gaps": report.gaps,
        "events": report.events,
        "checkpoints": report.checkpoints,
        "known": report.known,
        "known_as": report.known_as,
        "known_with_another_zone": report.other_zone,
        "known_and_completed": report.completed,
        "known_and_changed": report.differs,
        "changed_fields": fields,
        "not_completed": not_completed,
        "outdated_runs": report.outdated,
        "alike": report.alike,
        "times_without_a_zone": report.no_zone,
        "times_that_came_twice": report.twice,
        "times_that_never_were": report.never,
        "not_taken_over": not_taken,
        "unread": report.unread,
        "broken": report.broken,
        "damaged": report.damaged,
        "notes": report.notes,
    })
}
