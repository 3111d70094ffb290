//! Runs: when each began, how it ended, and which program decided.

use std::collections::VecDeque;
use std::path::Path;

use annals::entry::{Run, RunManifest, RunState};
use annals::{Reader, RunId, Timestamp};

use crate::failure::{Done, Failure, Result};
use crate::missing;
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;

/// Digits of a digest in a table.
const SHORT: usize = 12;

/// Options of `runs`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals runs
  annals runs 17
  annals runs -n 1 --json | jq .manifest.pairs

A run is one opening of the journal by one process. Its number begins the ids of its decisions. \
Command lines are stored without secrets.")]
pub struct RunsArgs {
    /// Shows this run whole.
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
    /// How many runs, the newest first.
    #[arg(short = 'n', long, default_value_t = 20, conflicts_with = "run")]
    lines: usize,
}

/// Lists the runs, or shows one.
pub fn run(dir: &Path, args: RunsArgs, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    if let Some(number) = args.run {
        let Some(found) = reader.run(number)? else {
            return Err(Failure::Usage(format!(
                "no run {number}: it never was, or was retired with its decisions; `annals runs` \
                 lists those that are there"
            )));
        };
        if out.json {
            out.json(&found)?;
        } else {
            print_one(&found, out)?;
        }
        return Ok(missing::done(&reader));
    }
    // Few of them are kept, however many there are.
    let mut newest = VecDeque::new();
    let mut all: u64 = 0;
    for run in reader.runs() {
        newest.push_front(run?);
        newest.truncate(args.lines);
        all += 1;
    }
    if out.json {
        for run in &newest {
            out.json(run)?;
        }
        return Ok(missing::done(&reader));
    }
    if all == 0 {
        out.line("no runs yet")?;
        return Ok(missing::done(&reader));
    }
    let now = Timestamp::now();
    let mut rows = Rows::new([
        ">run",
        "started",
        "state",
        ">committed",
        ">dropped",
        "program",
        "executable",
        "host",
    ]);
    for run in &newest {
        let manifest = run.manifest.clone().unwrap_or_default();
        let program = match &run.source {
            Some(source) => format!("import of {source}"),
            None => program(&manifest).unwrap_or_default(),
        };
        let mut executable = digits(&manifest).unwrap_or_default();
        executable.truncate(SHORT);
        rows.push([
            run.id.to_string(),
            out.zone.second(run.started),
            state(run, now),
            units::count(run.committed),
            units::count(run.dropped),
            program,
            executable,
            manifest.host.unwrap_or_default(),
        ]);
    }
    rows.print(out)?;
    let counted = units::counted(all, "run");
    out.line(out.paint(style::HEAD, counted))?;
    Ok(missing::done(&reader))
}

/// Name and version of a program.
fn program(manifest: &RunManifest) -> Option<String> {
    let name = manifest.program.as_ref()?;
    let version = manifest.version.as_deref().unwrap_or_default();
    Some(format!("{name} {version}").trim_end().to_owned())
}

/// The digest of the executable.
fn digits(manifest: &RunManifest) -> Option<String> {
    let digest = manifest.executable?;
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn print_one(run: &Run, out: &mut Out) -> Result<()> {
    out.line(out.paint(style::HEAD, format!("run {}", run.id)))?;
    let mut line = |name: &str, value: String| out.line(format!("  {name:<14} {value}"));
    line("state", state(run, Timestamp::now()))?;
    line("committed", units::count(run.committed))?;
    line("dropped", units::count(run.dropped))?;
    if let Some(last) = run.last_id {
        line("last id", last.to_string())?;
    }
    if let Some(source) = &run.source {
        line("import of", escaped(source))?;
    }
    line("process", run.process.to_string())?;
    let started = out.zone.second(run.started);
    out.line(format!("  {:<14} {started}", "started"))?;
    print_manifest(run.manifest.as_ref(), out)
}

/// The program of a run: a line for each thing that is known of it.
pub fn print_manifest(manifest: Option<&RunManifest>, out: &mut Out) -> Result<()> {
    let Some(manifest) = manifest else {
        return out.line("  no manifest");
    };
    let lines = [
        ("program", program(manifest)),
        (
            "features",
            (!manifest.features.is_empty()).then(|| manifest.features.join(" ")),
        ),
        ("executable", digits(manifest)),
        ("host", manifest.host.clone()),
        (
            "command line",
            (!manifest.command_line.is_empty()).then(|| manifest.command_line.join(" ")),
        ),
        ("seed", manifest.seed.map(|seed| seed.to_string())),
    ];
    let pairs = manifest.pairs.iter();
    let pairs = pairs.map(|(key, value)| (key.as_str(), Some(value.clone())));
    for (name, value) in lines.into_iter().chain(pairs) {
        if let Some(value) = value {
            out.line(format!("  {:<14} {}", escaped(name), escaped(&value)))?;
        }
    }
    Ok(())
}

/// How a run is, or ended.
pub fn state(run: &Run, now: Timestamp) -> String {
    match run.state {
        RunState::Alive => "alive".to_owned(),
        RunState::Closed(at) => format!("closed {}", units::ago(at, now)),
        RunState::Died(Some(at)) => format!("died, found {}", units::ago(at, now)),
        RunState::Died(None) => "died".to_owned(),
        RunState::Panicked(Some(at)) => format!("panicked, {}", units::ago(at, now)),
        RunState::Panicked(None) => "panicked".to_owned(),
        RunState::Continued(at) => format!("continued {}", units::ago(at, now)),
        _ => "?".to_owned(),
    }
}
