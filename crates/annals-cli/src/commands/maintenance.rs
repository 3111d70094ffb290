//! Keeping a journal in order: verify, repair, retain, compact, backup, restore.

use std::path::{Path, PathBuf};

use annals::Maintenance;
use annals::maintenance::{Defect, RetentionPlan};
use serde_json::json;

use crate::entries;
use crate::escape::sentence;
use crate::failure::{Done, Failure, Result};
use crate::folding;
use crate::missing;
use crate::options;
use crate::options::Configured;
use crate::output::{Out, style};
use crate::policy::{ClockRules, LIMITS, MEANING};
use crate::table::{Rows, escaped};
use crate::units;

/// Options of `verify`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals verify
  annals verify --json | jq .defects

Reads everything and changes nothing; the agent goes on. Ends with 1 if there are defects.")]
pub struct VerifyArgs {}

/// Reads the whole journal.
pub fn verify(dir: &Path, _: VerifyArgs, out: &mut Out) -> Result<Done> {
    let verified = Maintenance::open(dir)?.verify();
    if out.json {
        let defects = verified.defects.iter().map(|defect| {
            json!({
                "file": entries::path(&defect.file),
                "kind": format!("{:?}", defect.kind),
                "sequences": defect.sequences.as_ref().map(|lost| [lost.start, lost.end]),
                "detail": defect.detail,
            })
        });
        out.json(&json!({
            "whole": verified.is_whole(),
            "defects": defects.collect::<Vec<_>>(),
            "more_defects": verified.more_defects,
            "entries": verified.entries,
            "blocks": verified.blocks,
            "segments": verified.segments,
            "bytes": verified.bytes,
        }))?;
    } else {
        let mut file = None;
        for (place, line) in by_place(&verified.defects) {
            if file != Some(place) {
                file = Some(place);
                out.line(format!("{}:", escaped(&place.display().to_string())))?;
            }
            out.line(out.paint(style::BAD, format!("  {}", sentence(&line))))?;
        }
        if !verified.is_whole() {
            let advice = "`annals repair --yes` keeps what can be read; a whole backup is better";
            out.line(advice)?;
        }
        let sum = format!(
            "{} in {} and {}, {}",
            units::counted(verified.entries, "entry"),
            units::counted(verified.blocks, "block"),
            units::counted(verified.segments, "segment"),
            units::bytes(verified.bytes)
        );
        let defects = verified.defects.len() as u64 + verified.more_defects;
        out.line(if verified.is_whole() {
            out.paint(style::GOOD, format!("whole: {sum}"))
        } else {
            out.paint(
                style::BAD,
                format!("{}: {sum}", units::counted(defects, "defect")),
            )
        })?;
    }
    Ok(if verified.is_whole() {
        Done::Well
    } else {
        Done::WithProblems
    })
}

/// Defects as lines, each with its file. The loss caused by the defect before it is reported with
/// that one, and advice is given once, below all.
fn by_place(defects: &[Defect]) -> Vec<(&Path, String)> {
    let mut lines: Vec<(&Path, String)> = Vec::new();
    for defect in defects {
        let damaged = format!("{} is damaged: ", defect.file.display());
        let detail = defect.detail.replace(&damaged, "");
        let detail = detail
            .split("; restore a backup")
            .next()
            .unwrap_or_default();
        let lost = defect.sequences.as_ref().map(|lost| {
            let last = lost.end.saturating_sub(1);
            let count = lost.end.saturating_sub(lost.start);
            let lost = format!("sequences {} to {last} are lost", lost.start);
            format!("{lost} ({})", units::counted(count, "entry"))
        });
        let block = defect
            .sequences
            .as_ref()
            .map(|lost| format!("block {}: ", lost.start));
        let (Some(lost), Some(block)) = (lost, block) else {
            lines.push((&defect.file, detail.to_owned()));
            continue;
        };
        match lines.last_mut() {
            Some((file, line)) if *file == defect.file && line.starts_with(&block) => {
                line.push_str("; ");
                line.push_str(&lost);
            }
            _ => lines.push((&defect.file, format!("{detail}: {lost}"))),
        }
    }
    lines
}

/// Options of `retain`.
#[derive(clap::Args, Debug)]
#[command(after_help = format!("\
Examples:
  annals retain --max-age 30d
  annals retain --max-bytes 10GB --keep-after-cursor lake
  annals retain --max-age 30d --keep-latest 100000 --yes
  annals retain --max-age 30d --trust-clock
  annals retain --options agent.json

{MEANING} Whole segments of entries go, by recorded time. Shows them; with --yes they go. \
Statistics of what is gone stay. With --options, the file's retention holds, and rules given here \
replace its own."))]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true)
    .args(LIMITS.into_iter().chain(["options"])))]
pub struct RetainArgs {
    #[command(flatten)]
    rules: ClockRules,
    /// Keeps the entries that the cursor of this name, such as an export's, has not passed.
    #[arg(long, value_name = "NAME")]
    keep_after_cursor: Vec<String>,
    /// The agent's file of options, in JSON.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Goes ahead: retires what is shown.
    #[arg(long)]
    yes: bool,
}

/// Shows what a policy would retire and, if that was said, retires it.
pub fn retain(dir: &Path, args: RetainArgs, out: &mut Out) -> Result<Done> {
    let maintenance = Maintenance::open(dir)?;
    let file = args.options.as_deref();
    let configured = Configured::read_some(file)?.retention;
    let base = options::base(configured, file, args.rules.has_limit(), "entries")?;
    let cursors = args.keep_after_cursor.into_iter();
    let policy = cursors.fold(args.rules.policy(base), |policy, name| {
        policy.keep_after_cursor(name)
    });
    let plan = maintenance.retention(policy).plan()?;
    print_plan(&plan, args.yes, out)?;
    if !args.yes {
        if !out.json && !plan.segments().is_empty() {
            out.line("nothing was retired: say --yes to do it")?;
        }
        return Ok(Done::Well);
    }
    let retired = plan.apply()?;
    if !out.json {
        let freed = units::bytes(retired.bytes);
        let entries = units::counted(retired.entries, "entry");
        let segments = units::counted(retired.segments as u64, "segment");
        out.line(format!("{segments} retired: {entries}, {freed}"))?;
    }
    Ok(Done::Well)
}

fn print_plan(plan: &RetentionPlan, applied: bool, out: &mut Out) -> Result<()> {
    if out.json {
        let segments = plan.segments().iter().map(|segment| {
            json!({
                "file": entries::path(&segment.file),
                "first": segment.sequences.start(),
                "last": segment.sequences.end(),
                "entries": segment.entries,
                "bytes": segment.bytes,
                "reason": segment.reason,
            })
        });
        return out.json(&json!({
            "segments": segments.collect::<Vec<_>>(),
            "entries": plan.entries(),
            "bytes": plan.bytes(),
            "kept_entries": plan.kept_entries(),
            "held_back": plan.held_back(),
            "applied": applied,
        }));
    }
    for why in plan.held_back() {
        let why = why.replace("trust_clock", "--trust-clock");
        out.line(out.paint(style::WARN, sentence(&why)))?;
    }
    if plan.segments().is_empty() {
        return out.line("nothing to retire");
    }
    let mut rows = Rows::new(["recorded from", "to", ">entries", ">size", "because"]);
    for segment in plan.segments() {
        rows.push([
            out.second(segment.recorded.0),
            out.second(segment.recorded.1),
            units::count(segment.entries),
            units::bytes(segment.bytes),
            segment.reason.clone(),
        ]);
    }
    rows.print(out)?;
    let kept = units::counted(plan.kept_entries(), "entry");
    let stay = if plan.kept_entries() == 1 {
        "stays"
    } else {
        "stay"
    };
    let entries = units::counted(plan.entries(), "entry");
    let bytes = units::bytes(plan.bytes());
    out.line(out.paint(style::HEAD, format!("{entries}, {bytes}; {kept} {stay}")))
}

/// Lines of one kind that a repair prints.
const SHOWN: usize = 20;

/// Options of `repair`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals repair --yes

No process may have the journal open. Keeps every entry that can be read, puts gaps in the place \
of the others, and moves damaged files into the folder damaged. A whole backup is better than any \
repair. Ends with 1 if entries were lost.")]
pub struct Repair {
    /// Goes ahead.
    #[arg(long)]
    yes: bool,
}

/// Repairs a journal.
pub fn repair(dir: &Path, args: Repair, out: &mut Out) -> Result<Done> {
    if !args.yes {
        return Err(Failure::Usage(
            "repairing writes damaged files anew and sets them aside: look at `annals verify`, \
             then say --yes"
                .into(),
        ));
    }
    let repaired = annals::maintenance::repair(dir)?;
    if out.json {
        out.json(&json!({
            "untouched": repaired.is_untouched(),
            "lost": repaired.lost.iter().map(|lost| [lost.start, lost.end]).collect::<Vec<_>>(),
            "set_aside": entries::paths(&repaired.set_aside),
            "changed": entries::paths(&repaired.changed),
            "names": repaired.names,
            "runs": repaired.runs.iter().map(|run| run.get()).collect::<Vec<_>>(),
            "incomplete": repaired.incomplete,
            "entries": repaired.entries,
        }))?;
    } else if repaired.is_untouched() {
        out.line(out.paint(style::GOOD, "nothing to repair"))?;
    } else {
        some(out, &repaired.lost, "stretch", |lost, out| {
            let last = lost.end.saturating_sub(1);
            let text = match lost.start {
                first if first == last => format!("entry {first} is lost"),
                first => format!("entries {first} to {last} are lost"),
            };
            out.paint(style::BAD, text)
        })?;
        some(out, &repaired.incomplete, "table", |what, out| {
            let text = format!("{} could not be read whole", escaped(what));
            out.paint(style::WARN, text)
        })?;
        some(out, &repaired.set_aside, "file", |file, _| {
            format!("set aside: {}", escaped(&file.display().to_string()))
        })?;
        let entries = units::counted(repaired.entries, "entry");
        out.line(format!("repaired: {entries}, gaps among them"))?;
    }
    Ok(if repaired.lost.is_empty() {
        Done::Well
    } else {
        Done::WithProblems
    })
}

/// A line for each of the first of `all`, and one that counts the rest.
fn some<T>(out: &mut Out, all: &[T], what: &str, line: impl Fn(&T, &Out) -> String) -> Result<()> {
    for one in all.iter().take(SHOWN) {
        let text = line(one, out);
        out.line(text)?;
    }
    match all.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => {
            let (more, what) = (units::count(more as u64), units::plural(more as u64, what));
            out.line(format!("and {more} more {what}"))
        }
    }
}

/// Options of `fold`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals fold

Statistics are made of rollups, which are sums by minute, hour and day, and of the entries that \
are not folded into them yet. An agent folds while it runs and when it closes. One that was killed \
leaves entries unfolded, and every statistic reads them again. Folding changes no number. The \
agent may run meanwhile.")]
pub struct Fold {}

/// Folds, and says how far statistics are folded then.
pub fn fold(dir: &Path, _args: Fold, out: &mut Out) -> Result<Done> {
    let maintenance = Maintenance::open(dir)?;
    let folded = folding::watched(|watch| maintenance.fold_with(watch))?;
    let is_stuck = folded.entries == 0 && folded.left > 0;
    if out.json {
        out.json(&json!({
            "entries": folded.entries,
            "left": folded.left,
            "seconds": folded.took.as_secs_f64(),
        }))?;
    } else {
        let entries = |count| match count {
            1 => "1 entry".to_owned(),
            count => format!("{} entries", units::count(count)),
        };
        out.line(match (folded.entries, folded.left) {
            (0, 0) => "nothing to fold: all entries are folded".to_owned(),
            (0, left) => format!(
                "another process is folding: {} left when it was last seen",
                entries(left)
            ),
            (done, left) => {
                let rest = match left {
                    0 => "all entries are folded".to_owned(),
                    left => format!("{} came meanwhile or are left", entries(left)),
                };
                let took = units::duration(folded.took);
                format!("{} folded in {took}; {rest}", entries(done))
            }
        })?;
    }
    Ok(match is_stuck {
        true => Done::WithProblems,
        false => Done::Well,
    })
}

/// Options of `compact`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals compact --yes

Gives the free room within journal.redb back. Every commit waits while it runs, and it needs a \
moment without readers.")]
pub struct Compact {
    /// Goes ahead.
    #[arg(long)]
    yes: bool,
}

/// Gives free room back.
pub fn compact(dir: &Path, args: Compact, out: &mut Out) -> Result<Done> {
    let maintenance = Maintenance::open(dir)?;
    if !args.yes {
        return Err(Failure::Usage(
            "every commit waits while compacting runs: say --yes".into(),
        ));
    }
    let bytes = maintenance.compact()?;
    if out.json {
        out.json(&json!({"bytes": bytes}))?;
    } else {
        out.line(format!("{} given back", units::bytes(bytes)))?;
    }
    Ok(Done::Well)
}

/// Options of `backup`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals backup /mnt/backup/agent
  annals backup --checkpoints --copy /mnt/other/agent

While the agent runs. The next backup to the same place copies only what is new.")]
pub struct BackupArgs {
    /// A directory.
    to: PathBuf,
    /// The checkpoints' weights too.
    #[arg(long)]
    checkpoints: bool,
    /// Copies segments instead of linking them where that is possible.
    #[arg(long)]
    copy: bool,
}

/// Backs the journal up.
pub fn backup(dir: &Path, args: BackupArgs, out: &mut Out) -> Result<Done> {
    let maintenance = Maintenance::open(dir)?;
    let mut backup = maintenance.backup(&args.to);
    if args.checkpoints {
        backup = backup.with_checkpoints();
    }
    if args.copy {
        backup = backup.without_links();
    }
    print_copy(&backup.run()?, &args.to, out)
}

/// Options of `restore`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals restore /mnt/backup/agent --to data-restored

The restored journal has an identity of its own: cursors of the first journal do not fit it.")]
pub struct Restore {
    /// The backup.
    from: PathBuf,
    /// A directory that holds nothing yet.
    #[arg(long)]
    to: PathBuf,
}

/// Restores a backup.
pub fn restore(args: Restore, out: &mut Out) -> Result<Done> {
    let mut restored = annals::maintenance::restore(&args.from, &args.to)?;
    // A backup without any weights was made without --checkpoints: that was asked for.
    let lacking = match restored.checkpoint_files {
        0 => std::mem::take(&mut restored.lacking),
        _ => Vec::new(),
    };
    let done = print_copy(&restored, &args.to, out)?;
    if !lacking.is_empty() && !out.json {
        let checkpoints = units::counted(lacking.len() as u64, "checkpoint");
        let text = format!("without the weights of {checkpoints}: the backup has none");
        out.line(out.paint(style::DIM, text))?;
    }
    Ok(done)
}

fn print_copy(copy: &annals::maintenance::BackedUp, to: &Path, out: &mut Out) -> Result<Done> {
    if out.json {
        out.json(&json!({
            "entries": copy.entries,
            "new_segments": copy.new_segments,
            "known_segments": copy.known_segments,
            "checkpoint_files": copy.checkpoint_files,
            "lacking": copy.lacking.iter()
                .map(|(id, why)| json!({"id": id, "why": why})).collect::<Vec<_>>(),
            "damaged": copy.damaged,
            "incomplete": copy.incomplete,
        }))?;
    } else {
        out.line(format!(
            "{} in {}: {} new, {} there already, {}",
            units::counted(copy.entries, "entry"),
            escaped(&to.display().to_string()),
            units::counted(copy.new_segments as u64, "segment"),
            copy.known_segments,
            units::counted(copy.checkpoint_files as u64, "checkpoint file")
        ))?;
        for (id, why) in &copy.lacking {
            let lacking = escaped(&format!("the weights of {id} are not in it: {why}"));
            out.line(out.paint(style::WARN, lacking))?;
        }
    }
    if copy.damaged > 0 {
        let damaged = missing::damaged(copy.damaged, " of the copy, as of the original,");
        anstream::eprintln!("annals: {damaged}");
    }
    if !copy.incomplete.is_empty() {
        let tables = copy.incomplete.join(", ");
        anstream::eprintln!(
            "annals: the original's tables {tables} cannot be read to the end, and were made anew \
             in the copy from what can be: `annals repair` does that in the original"
        );
    }
    if copy.damaged > 0 || !copy.incomplete.is_empty() {
        return Ok(Done::WithProblems);
    }
    Ok(match copy.lacking.is_empty() {
        true => Done::Well,
        false => Done::WithProblems,
    })
}
