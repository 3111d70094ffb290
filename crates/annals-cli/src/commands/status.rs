//! How the journal is doing, on one screen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::entry::{Run, RunState};
use annals::maintenance::LeftBlackBox;
use annals::{Reader, Registry, Timestamp};
use serde_json::json;

use super::black_boxes;
use super::runs::state;
use crate::entries;
use crate::failure::{Done, Result};
use crate::folding::MANY;
use crate::missing;
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;

/// Options of `status`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals status
  annals status --watch
  annals status --watch 5 --dir /srv/agent/data
  annals status --json | jq .rates.last_minute
  annals status --black-boxes
  annals status --remove-black-boxes all")]
pub struct StatusArgs {
    /// Shows it again every so many seconds, until it is stopped.
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// The directory of the text files, if it is not logs in the journal's.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Lists only the black boxes in shared memory whose journal is not at its path: deleted or
    /// moved. Needs no journal.
    #[arg(long, conflicts_with_all = ["watch", "logs"])]
    black_boxes: bool,
    /// Removes black boxes whose journal is not at its path, with the decisions that only they
    /// have: those of one JOURNAL, by its id, or all.
    #[arg(long, value_name = "JOURNAL|all", value_parser = black_boxes::whose,
          conflicts_with_all = ["watch", "logs", "black_boxes"])]
    remove_black_boxes: Option<black_boxes::Whose>,
}

/// The newest runs that are shown.
const RUNS: usize = 5;

/// Facts about a journal at one moment.
struct Seen {
    now: Timestamp,
    reader: Reader,
    runs: Vec<Run>,
    next: u64,
    last: Option<Timestamp>,
    /// Entries a second, by the progress of the run that is open; 0 if none is.
    rates: [(&'static str, f64); 3],
    lag: Option<u64>,
    sizes: Sizes,
    checkpoints: Vec<(String, u64, Option<String>)>,
    gaps: u64,
    /// Entries that are known to be unreadable.
    damaged: u64,
    /// Entries that are not in rollups yet.
    unfolded: u64,
    /// Black boxes of other journals, which are gone; or why that is not known.
    left: Result<Vec<LeftBlackBox>, String>,
}

/// Bytes of what lies in the directory.
#[derive(Default)]
struct Sizes {
    hot: u64,
    segments: u64,
    segment_files: u64,
    logs: u64,
    checkpoints: u64,
}

/// Prints the status, once or again and again.
pub fn run(dir: &Path, args: StatusArgs, out: &mut Out) -> Result<Done> {
    if let Some(whose) = args.remove_black_boxes {
        return black_boxes::remove(dir, whose, out);
    }
    if args.black_boxes {
        return black_boxes::list(dir, out);
    }
    let reader = Reader::open(dir)?;
    let registry = Registry::open(dir)?;
    loop {
        let seen = look(dir, &args, &reader, &registry)?;
        if args.watch.is_some() && out.is_terminal() && !out.json {
            // Home, and clear what is below.
            std::io::Write::write_all(out, b"\x1b[H\x1b[J")?;
        }
        if out.json {
            out.json(&as_json(&seen))?;
        } else {
            print(dir, &seen, out)?;
        }
        out.flush()?;
        match args.watch {
            Some(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
            None => return Ok(Done::Well),
        }
    }
}

fn look(dir: &Path, args: &StatusArgs, reader: &Reader, registry: &Registry) -> Result<Seen> {
    let now = Timestamp::now();
    let next = reader.end()?.next_sequence();
    let last = match next.checked_sub(1).filter(|last| *last > 0) {
        Some(last) => reader.entry(last)?.map(|entry| entry.recorded_time),
        None => None,
    };
    let runs: Vec<Run> = reader.runs().collect::<annals::Result<_>>()?;
    let is_written = runs.iter().any(|run| run.state == RunState::Alive);
    let mut rates = [("last 10 s", 0.0), ("last minute", 0.0), ("last hour", 0.0)];
    for ((_, rate), seconds) in rates.iter_mut().zip([10, 60, 3_600]) {
        if is_written {
            *rate = reader.rate(Duration::from_secs(seconds))?;
        }
    }
    let logs = args.logs.clone().unwrap_or_else(|| dir.join("logs"));
    let mut checkpoints = Vec::new();
    for model in registry.models()? {
        let count = registry.count(&model)?;
        let best = registry.best(&model).ok().flatten();
        checkpoints.push((model, count, best.map(|best| best.id().to_owned())));
    }
    Ok(Seen {
        now,
        runs,
        next,
        last,
        rates,
        lag: reader.mirror_lag(&logs)?,
        sizes: Sizes {
            hot: size(&dir.join("journal.redb")).0,
            segments: size(&dir.join("segments")).0,
            segment_files: size(&dir.join("segments")).1,
            logs: size(&logs).0,
            checkpoints: size(&dir.join("checkpoints")).0,
        },
        reader: reader.clone(),
        checkpoints,
        gaps: reader.gap_count()?,
        damaged: reader.known_damaged()?,
        unfolded: reader.unfolded()?,
        left: black_boxes::left(Some(reader.id())).map_err(|failure| failure.text()),
    })
}

/// Bytes and number of the regular files at and below `path`.
fn size(path: &Path) -> (u64, u64) {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return (0, 0);
    };
    if found.is_file() {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        return (found.len(), u64::from(!hidden));
    }
    if !found.is_dir() {
        return (0, 0);
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.fold((0, 0), |(bytes, files), entry| {
        let (more, other) = size(&entry.path());
        (bytes + more, files + other)
    })
}

fn alive(runs: &[Run]) -> usize {
    let alive = runs.iter().filter(|run| run.state == RunState::Alive);
    alive.count()
}

fn print(dir: &Path, seen: &Seen, out: &mut Out) -> Result<()> {
    let label = seen
        .reader
        .label()
        .map(|label| format!(" ({})", escaped(label)));
    let head = format!(
        "journal {}{}",
        escaped(&dir.display().to_string()),
        label.unwrap_or_default()
    );
    out.line(format!(
        "{}  {}",
        out.paint(style::HEAD, head),
        out.paint(style::DIM, seen.reader.id())
    ))?;
    let alive = alive(&seen.runs);
    let state = match alive {
        0 => out.paint(style::WARN, "no active writer"),
        1 => out.paint(style::GOOD, "1 run alive"),
        n => out.paint(style::GOOD, format!("{n} runs alive")),
    };
    let last = match seen.last {
        Some(last) => format!("last entry {}", units::ago(last, seen.now)),
        None => "no entries yet".to_owned(),
    };
    out.line(format!("{state}, {last}"))?;
    out.line("")?;
    let entries = seen.next.saturating_sub(1);
    out.line(format!("entries      {}", units::count(entries)))?;
    let rates = seen
        .rates
        .iter()
        .map(|(name, rate)| format!("{} /s ({name})", units::real(*rate)));
    out.field("rate", 13, &rates.collect::<Vec<_>>())?;
    let dropped = seen.runs.iter().map(|run| run.dropped);
    let dropped = dropped.fold(0, u64::saturating_add);
    let lost = format!(
        "{}, {} in the journal",
        units::counted(dropped, "event"),
        units::counted(seen.gaps, "gap")
    );
    let lost = match seen.gaps {
        0 => out.paint(style::GOOD, "none"),
        _ => out.paint(style::WARN, lost),
    };
    out.line(format!("dropped      {lost}"))?;
    if seen.damaged > 0 {
        let damaged = missing::damaged(seen.damaged, "");
        out.line(format!("damaged      {}", out.paint(style::BAD, damaged)))?;
    }
    let unfolded = units::counted(seen.unfolded, "entry");
    out.line(format!(
        "statistics   {}",
        match seen.unfolded {
            0 => "all entries are folded".to_owned(),
            // A running agent folds within seconds, and reading so few takes milliseconds.
            few if few < MANY => format!("{unfolded} not folded yet"),
            _ if alive > 0 => format!("{unfolded} not folded yet: the agent folds them as it can"),
            _ => out.paint(
                style::WARN,
                format!("{unfolded} not folded: `annals fold` makes statistics fast"),
            ),
        }
    ))?;
    out.line(format!(
        "text files   {}",
        match seen.lag {
            None => "none".to_owned(),
            Some(0) => "up to date".to_owned(),
            Some(lag) => format!("{} behind, as stored last", units::counted(lag, "entry")),
        }
    ))?;
    let sizes = &seen.sizes;
    let segments = units::counted(sizes.segment_files, "segment");
    let sizes = [
        format!("journal {}", units::bytes(sizes.hot)),
        format!("{segments} {}", units::bytes(sizes.segments)),
        format!("text files {}", units::bytes(sizes.logs)),
        format!("checkpoints {}", units::bytes(sizes.checkpoints)),
    ];
    out.field("size", 13, &sizes)?;
    match &seen.left {
        Ok(left) => black_boxes::print_summary(left, out)?,
        Err(why) => out.line(out.paint(
            style::WARN,
            format!("black boxes  not known; {}", escaped(why)),
        ))?,
    }
    out.line("")?;
    print_runs(seen, out)?;
    if !seen.checkpoints.is_empty() {
        out.line("")?;
        let mut rows = Rows::new(["model", ">checkpoints", "best"]);
        for (model, count, best) in &seen.checkpoints {
            let best = best.clone().unwrap_or_else(|| "-".to_owned());
            rows.push([model.clone(), units::count(*count), best]);
        }
        rows.print(out)?;
    }
    Ok(())
}

fn print_runs(seen: &Seen, out: &mut Out) -> Result<()> {
    if seen.runs.is_empty() {
        return out.line("no runs yet");
    }
    let mut rows = Rows::new([
        ">run",
        "state",
        "started",
        ">committed",
        ">dropped",
        "process",
    ]);
    for run in seen.runs.iter().rev().take(RUNS) {
        let process = match &run.source {
            Some(source) => format!("import of {source}"),
            None => run.process.to_string(),
        };
        rows.push([
            run.id.to_string(),
            state(run, seen.now),
            units::ago(run.started, seen.now),
            units::count(run.committed),
            units::count(run.dropped),
            process,
        ]);
    }
    rows.print(out)?;
    match seen.runs.len().checked_sub(RUNS) {
        Some(more) if more > 0 => {
            let more = units::counted(more as u64, "earlier run");
            out.line(format!("and {more}"))
        }
        _ => Ok(()),
    }
}

fn as_json(seen: &Seen) -> serde_json::Value {
    let rates = seen.rates.iter().map(|(name, rate)| {
        let name = name.replace(' ', "_");
        (name, entries::real(*rate))
    });
    let runs = seen.runs.iter().map(|run| {
        json!({
            "id": run.id.get(),
            "alive": run.state == RunState::Alive,
            "state": state_word(run),
            "started": run.started.to_string(),
            "process": run.process,
            "committed": run.committed,
            "dropped": run.dropped,
            "source": run.source,
        })
    });
    json!({
        "journal": seen.reader.id().to_string(),
        "label": seen.reader.label(),
        "time": seen.now.to_string(),
        "entries": seen.next.saturating_sub(1),
        "next_sequence": seen.next,
        "last_entry": seen.last.map(|last| last.to_string()),
        "alive_runs": alive(&seen.runs),
        "rates": rates.collect::<serde_json::Map<_, _>>(),
        "dropped": seen.runs.iter().map(|run| run.dropped).fold(0, u64::saturating_add),
        "gaps": seen.gaps,
        "damaged": seen.damaged,
        "unfolded": seen.unfolded,
        "mirror_lag": seen.lag,
        "bytes": {
            "journal": seen.sizes.hot,
            "segments": seen.sizes.segments,
            "logs": seen.sizes.logs,
            "checkpoints": seen.sizes.checkpoints,
        },
        "segments": seen.sizes.segment_files,
        "runs": runs.collect::<Vec<_>>(),
        "models": seen.checkpoints.iter().map(|(model, count, best)| json!({
            "model": model, "checkpoints": count, "best": best,
        })).collect::<Vec<_>>(),
        "left_black_boxes": seen.left.as_ref().ok().map(|left| {
            left.iter().map(black_boxes::as_json).collect::<Vec<_>>()
        }),
    })
}

fn state_word(run: &Run) -> &'static str {
    match run.state {
        RunState::Alive => "alive",
        RunState::Closed(_) => "closed",
        RunState::Died(_) => "died",
        RunState::Panicked(_) => "panicked",
        RunState::Continued(_) => "continued",
        _ => "unknown",
    }
}
