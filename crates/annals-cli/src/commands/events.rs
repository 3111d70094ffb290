//! System events, checkpoint events and gaps.

use std::path::Path;

use annals::{Content, Entry, Level, Reader, Timestamp};
use clap::ValueEnum;

use crate::entries;
use crate::failure::{Done, Result};
use crate::missing;
use crate::output::{Out, style};
use crate::when::{self, When};

/// Kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kind {
    /// A message about the environment.
    System,
    /// Checkpoint events: saved, activated, deleted and so on.
    Checkpoint,
    /// What was lost, when and why.
    Gap,
}

/// Options of `events`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals events
  annals events --since 24h --level warn
  annals events --kind gap --json
  annals events --component exchange -n 100")]
pub struct EventsArgs {
    /// How many, at most; all of them if --since is given.
    #[arg(short = 'n', long)]
    lines: Option<usize>,
    /// Only this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only system events of at least this level: trace, debug, info, warn or error. Gaps are warn.
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    /// Only from this component.
    #[arg(long)]
    component: Option<String>,
    /// Only this model's checkpoint events.
    #[arg(long, short)]
    model: Option<String>,
    /// Only recorded from here on.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    since: Option<When>,
    /// Only recorded before this.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    until: Option<When>,
}

fn level(text: &str) -> Result<Level, String> {
    let levels = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
    ];
    let known = levels
        .into_iter()
        .find(|level| level.as_str().eq_ignore_ascii_case(text));
    known.ok_or_else(|| "give trace, debug, info, warn or error".to_owned())
}

/// Prints events, oldest first.
pub fn run(dir: &Path, args: EventsArgs, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let most = args
        .lines
        .unwrap_or(if args.since.is_some() { usize::MAX } else { 20 });
    let since = args.since.map(|since| since.on(&out.zone));
    let until = args.until.map(|until| until.on(&out.zone));
    let in_time = |time: Timestamp| {
        since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until)
    };
    let mut found = Vec::new();
    for entry in reader.events() {
        let entry = entry?;
        // Recorded times nearly follow the sequence; a clock that was set back is forgiven an hour.
        let hour = std::time::Duration::from_secs(3_600);
        if since.is_some_and(|since| entry.recorded_time < since.saturating_sub(hour)) {
            break;
        }
        if found.len() < most && args.wants(&entry) && in_time(entry.recorded_time) {
            found.push(entry);
        }
        if found.len() == most {
            break;
        }
    }
    if found.is_empty() && !out.json {
        out.line("no events that fit")?;
    }
    for entry in found.iter().rev() {
        if out.json {
            out.json(&entries::entry(entry))?;
        } else {
            let line = entries::line(entry, out);
            let line = match rank(entry) {
                Some(Level::Error) => out.paint(style::BAD, line),
                Some(Level::Warn) => out.paint(style::WARN, line),
                _ => line,
            };
            out.line(line)?;
        }
    }
    Ok(missing::done(&reader))
}

/// How much an event matters.
fn rank(entry: &Entry) -> Option<Level> {
    match &entry.content {
        Content::SystemEvent(event) => Some(event.level),
        Content::Gap(_) => Some(Level::Warn),
        _ => None,
    }
}

impl EventsArgs {
    fn wants(&self, entry: &Entry) -> bool {
        let kind = match &entry.content {
            Content::SystemEvent(_) => Kind::System,
            Content::CheckpointEvent(_) => Kind::Checkpoint,
            _ => Kind::Gap,
        };
        let component = match &entry.content {
            Content::SystemEvent(event) => Some(&*event.component),
            _ => None,
        };
        let model = match &entry.content {
            Content::CheckpointEvent(event) => Some(&*event.model),
            _ => None,
        };
        let is = |wanted: &Option<String>, known: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| known == Some(wanted))
        };
        self.kind.is_none_or(|wanted| wanted == kind)
            && self
                .level
                .is_none_or(|least| rank(entry).is_some_and(|rank| rank >= least))
            && is(&self.component, component)
            && is(&self.model, model)
    }
}
