//! Naming, protecting and ranking checkpoints; nothing here deletes any.

use annals::Registry;
use serde_json::json;

use super::{Rank, known};
use crate::entries;
use crate::failure::{Done, Failure, Result};
use crate::near::unknown;
use crate::output::{Out, style};
use crate::units;

/// Options of `checkpoints activate`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints activate dqn_agent_20250725_143500")]
pub struct Activate {
    /// The checkpoint's id.
    id: String,
}

pub fn activate(registry: &Registry, args: Activate, out: &mut Out) -> Result<Done> {
    known::checkpoint(registry, &args.id)?;
    registry.activate(&args.id)?;
    said(out, &format!("{} is active", args.id))
}

/// Options of `checkpoints alias`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints alias champion dqn_agent_20250725_143500
  annals checkpoints alias champion --model dqn_agent --rollback
  annals checkpoints alias champion --model dqn_agent --remove
  annals checkpoints alias champion --model dqn_agent --history")]
pub struct Alias {
    /// The alias.
    alias: String,
    /// The checkpoint that it is to point at.
    #[arg(required_unless_present_any = ["remove", "rollback", "history"],
          conflicts_with_all = ["remove", "rollback", "history"])]
    id: Option<String>,
    /// The model, where no checkpoint is named.
    #[arg(long, required_unless_present = "id")]
    model: Option<String>,
    /// Takes the alias away; its history stays.
    #[arg(long, conflicts_with_all = ["rollback", "history"])]
    remove: bool,
    /// Points it back at where it pointed before.
    #[arg(long, conflicts_with = "history")]
    rollback: bool,
    /// Shows where it pointed, and when.
    #[arg(long)]
    history: bool,
}

pub fn alias(registry: &Registry, args: Alias, out: &mut Out) -> Result<Done> {
    let alias = &args.alias;
    if let Some(id) = &args.id {
        known::checkpoint(registry, id)?;
        registry.set_alias(alias, id)?;
        return said(out, &format!("{alias} points at {id}"));
    }
    let model = args.model.as_deref().unwrap_or_default();
    known::alias(registry, model, alias)?;
    if args.remove {
        if !registry.remove_alias(model, alias)? {
            return Err(Failure::Usage(format!("{model} has no alias {alias:?}")));
        }
        return said(out, &format!("{alias} points nowhere"));
    }
    if args.rollback {
        let back = registry.rollback(model, alias)?;
        return said(out, &format!("{alias} points at {}", back.id()));
    }
    let history = registry.alias_history(model, alias)?;
    for change in &history {
        let target = change.target.as_deref();
        if out.json {
            out.json(&json!({"since": change.since.to_string(), "target": target}))?;
        } else {
            let since = out.second(change.since);
            out.line(format!("{since}  {}", target.unwrap_or("nowhere")))?;
        }
    }
    Ok(Done::Well)
}

/// Options of `checkpoints pin`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints pin dqn_agent_20250725_143500
  annals checkpoints pin --remove dqn_agent_20250725_143500")]
pub struct Pin {
    /// The checkpoint's id.
    id: String,
    /// Takes the pin away.
    #[arg(long)]
    remove: bool,
}

pub fn pin(registry: &Registry, args: Pin, out: &mut Out) -> Result<Done> {
    known::checkpoint(registry, &args.id)?;
    if args.remove {
        registry.unpin(&args.id)?;
        return said(out, &format!("{} is not pinned any more", args.id));
    }
    registry.pin(&args.id)?;
    said(out, &format!("{} is pinned", args.id))
}

/// Options of `checkpoints tag`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints tag dqn_agent_20250725_143500 nightly
  annals checkpoints tag --remove dqn_agent_20250725_143500 nightly")]
pub struct TagArgs {
    /// The checkpoint's id.
    id: String,
    /// The tag.
    tag: String,
    /// Takes the tag away.
    #[arg(long)]
    remove: bool,
}

pub fn tag(registry: &Registry, args: TagArgs, out: &mut Out) -> Result<Done> {
    let checkpoint = known::checkpoint(registry, &args.id)?;
    if args.remove {
        if !checkpoint.tags().contains(&args.tag) {
            let what = format!("tag of {:?}", args.id);
            let shows = format!("`annals checkpoints show {}` shows them", args.id);
            return Err(unknown(&what, &args.tag, checkpoint.tags(), &shows));
        }
        registry.untag(&args.id, &args.tag)?;
        return said(
            out,
            &format!("{} has no tag {} any more", args.id, args.tag),
        );
    }
    registry.tag(&args.id, &args.tag)?;
    said(out, &format!("{} has the tag {}", args.id, args.tag))
}

/// Options of `checkpoints monitor`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints monitor dqn_agent val_loss min
  annals checkpoints monitor new_agent val_loss min --new

A model and a metric have to be there, so that a misspelt name makes none.")]
pub struct Monitor {
    /// The model.
    model: String,
    /// The metric.
    metric: String,
    /// Whether the smallest or the largest is best.
    #[arg(value_enum)]
    mode: Rank,
    /// Also for a model that has no checkpoints yet, or a metric that none of them has.
    #[arg(long)]
    new: bool,
}

pub fn monitor(registry: &Registry, args: Monitor, out: &mut Out) -> Result<Done> {
    if !args.new {
        known::model(registry, &args.model).map_err(known::or_new)?;
        known::metric(registry, &args.model, &args.metric).map_err(known::or_new)?;
    }
    registry.set_monitor(&args.model, &args.metric, args.mode.into())?;
    said(out, &format!("{} is ranked by {}", args.model, args.metric))
}

/// Options of `checkpoints reconcile`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints reconcile
  annals checkpoints reconcile --contents

Takes in whole checkpoints that the registry does not know, marks what is missing or damaged, and \
removes what dead savers left. Nothing else is removed.")]
pub struct Reconcile {
    /// Reads all weights and compares their digests too.
    #[arg(long)]
    contents: bool,
}

pub fn reconcile(registry: &Registry, args: Reconcile, out: &mut Out) -> Result<Done> {
    let report = if args.contents {
        registry.reconcile_contents()?
    } else {
        registry.reconcile()?
    };
    let bad =
        report.missing.len() + report.corrupt.len() + report.orphaned.len() + report.sidecars.len();
    if out.json {
        out.json(&json!({
            "checked": report.checked,
            "adopted": report.adopted,
            "restored": report.restored,
            "missing": report.missing,
            "corrupt": report.corrupt.iter()
                .map(|(id, why)| json!({"id": id, "why": why})).collect::<Vec<_>>(),
            "orphaned": entries::paths(&report.orphaned),
            "foreign": entries::paths(&report.foreign),
            "sidecars": report.sidecars.iter()
                .map(|p| json!({"path": entries::path(&p.path), "why": p.why})).collect::<Vec<_>>(),
            "removed": entries::paths(&report.removed),
        }))?;
    } else {
        out.line(format!(
            "{} checked",
            units::counted(report.checked, "checkpoint")
        ))?;
        let paths = |paths: &[std::path::PathBuf]| -> Vec<String> {
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        let corrupt = report
            .corrupt
            .iter()
            .map(|(id, why)| format!("{id} ({why})"));
        let sidecars = report.sidecars.iter();
        let sidecars = sidecars.map(|p| format!("{} ({})", p.path.display(), p.why));
        for (what, style, found) in [
            ("taken in", style::GOOD, report.adopted.clone()),
            ("well again", style::GOOD, report.restored.clone()),
            ("weights missing", style::BAD, report.missing.clone()),
            ("weights damaged", style::BAD, corrupt.collect()),
            (
                "sidecar without weights",
                style::BAD,
                paths(&report.orphaned),
            ),
            ("unusable sidecar", style::BAD, sidecars.collect()),
            ("not ours", style::DIM, paths(&report.foreign)),
            ("removed", style::DIM, paths(&report.removed)),
        ] {
            for one in found {
                let one = crate::table::escaped(&one);
                out.line(format!("{}: {one}", out.paint(style, what)))?;
            }
        }
    }
    Ok(if bad == 0 {
        Done::Well
    } else {
        Done::WithProblems
    })
}

/// Options of `checkpoints relocate`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints relocate /home/ann/proj /home/ann/proj2
  annals checkpoints relocate old/weights.pt new/weights.pt --dry-run

For checkpoints that were registered or imported where they lay. Each file is read, and its \
checkpoint moves only if it is what was registered. Checkpoints that annals saved itself move with \
the journal.")]
pub struct Relocate {
    /// The folder, or the file, where the weights lay. It need not exist any more.
    from: std::path::PathBuf,
    /// Where they lie now.
    to: std::path::PathBuf,
    /// Shows what would move. Changes nothing.
    #[arg(long)]
    dry_run: bool,
}

pub fn relocate(registry: &Registry, args: Relocate, out: &mut Out) -> Result<Done> {
    let done = if args.dry_run {
        registry.plan_relocate(&args.from, &args.to)?
    } else {
        registry.relocate(&args.from, &args.to)?
    };
    if out.json {
        let problems = done.problems.iter();
        let problems =
            problems.map(|one| json!({"path": one.path.display().to_string(), "why": one.why}));
        out.json(&json!({
            "moved": done.moved,
            "problems": problems.collect::<Vec<_>>(),
            "applied": !args.dry_run,
        }))?;
    } else {
        for problem in &done.problems {
            let line = format!("{}: {}", problem.path.display(), problem.why);
            out.line(out.paint(style::BAD, crate::table::escaped(&line)))?;
        }
        let count = crate::units::counted(done.moved.len() as u64, "checkpoint");
        let what = if args.dry_run {
            "would point to"
        } else {
            "pointed to"
        };
        out.line(format!("{count} {what} {}", args.to.display()))?;
        if done.moved.is_empty() && done.problems.is_empty() {
            let from = args.from.display().to_string();
            let note = format!("no checkpoint was registered below {from}");
            out.line(out.paint(style::WARN, crate::table::escaped(&note)))?;
        }
    }
    Ok(match done.problems.is_empty() {
        true => Done::Well,
        false => Done::WithProblems,
    })
}

/// The result, in a line; in JSON, as a document.
fn said(out: &mut Out, what: &str) -> Result<Done> {
    if out.json {
        out.json(&json!({"done": what}))?;
    } else {
        out.line(crate::table::escaped(what))?;
    }
    Ok(Done::Well)
}
