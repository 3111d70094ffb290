//! Which checkpoints are kept: shown first, and applied only when that was said.

use annals::registry::{CheckpointRetentionPlan, Fate};
use annals::{Registry, RetentionPolicy};
use serde_json::json;

use super::{Rank, known};
use crate::failure::{Done, Result};
use crate::output::{Out, style};
use crate::policy::{ClockRules, LIMITS, MEANING};
use crate::table::{Rows, escaped};
use crate::units;

/// Options of `checkpoints retain`.
#[derive(clap::Args, Debug)]
#[command(after_help = format!("\
Examples:
  annals checkpoints retain --max-count 5 --keep-best 3:val_loss:min
  annals checkpoints retain --model dqn_agent --max-age 30d --keep-tagged release
  annals checkpoints retain --max-count 5 --keep-best 3:val_loss:min --yes

{MEANING} Limits count within each model. Whatever has an alias or a pin, is a model's newest or \
its best, is never deleted. Shows the plan; with --yes it is applied."))]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true).args(LIMITS))]
pub struct RetainCheckpointsArgs {
    /// Only this model's.
    #[arg(long, short)]
    model: Option<String>,
    #[command(flatten)]
    rules: ClockRules,
    /// Keeps the best so many of each model by a metric: N:METRIC:min or N:METRIC:max.
    #[arg(long, value_name = "N:METRIC:MODE", value_parser = best)]
    keep_best: Vec<(u64, String, Rank)>,
    /// Keeps those at every so many steps.
    #[arg(long, value_name = "STEPS")]
    keep_every_steps: Option<u64>,
    /// Keeps those with this tag.
    #[arg(long, value_name = "TAG")]
    keep_tagged: Vec<String>,
    /// Goes ahead: deletes what is shown.
    #[arg(long)]
    yes: bool,
}

fn best(text: &str) -> Result<(u64, String, Rank), String> {
    let form = || format!("{text:?} is no N:METRIC:MODE, such as 3:val_loss:min");
    let (n, rest) = text.split_once(':').ok_or_else(form)?;
    let (metric, mode) = rest.rsplit_once(':').ok_or_else(form)?;
    let mode = match mode {
        "min" => Rank::Min,
        "max" => Rank::Max,
        _ => return Err(form()),
    };
    Ok((n.parse().map_err(|_| form())?, metric.to_owned(), mode))
}

/// Shows what a policy would delete and, if that was said, deletes it.
pub fn retain(registry: &Registry, args: RetainCheckpointsArgs, out: &mut Out) -> Result<Done> {
    if let Some(model) = &args.model {
        known::model(registry, model)?;
    }
    let mut policy = args.rules.policy(RetentionPolicy::new());
    for (n, metric, mode) in args.keep_best {
        policy = policy.keep_best(n, metric, mode.into());
    }
    if let Some(steps) = args.keep_every_steps {
        policy = policy.keep_every_steps(steps);
    }
    for tag in args.keep_tagged {
        policy = policy.keep_tagged(tag);
    }
    let mut retention = registry.retention(policy);
    if let Some(model) = args.model {
        retention = retention.model(model);
    }
    let plan = retention.plan()?;
    print_plan(&plan, args.yes, out)?;
    if !args.yes {
        if !out.json && plan.deletions().next().is_some() {
            out.line("nothing was deleted: say --yes to do it")?;
        }
        return Ok(Done::Well);
    }
    let applied = plan.apply()?;
    if !out.json {
        let freed = units::bytes(applied.bytes);
        out.line(format!("{} deleted, {freed} freed", applied.deleted.len()))?;
    }
    Ok(Done::Well)
}

fn print_plan(plan: &CheckpointRetentionPlan, applied: bool, out: &mut Out) -> Result<()> {
    let lines = plan.lines().iter();
    let deletions = plan.deletions().count();
    if out.json {
        let lines = lines.map(|line| {
            json!({
                "id": line.checkpoint.id(),
                "delete": line.fate == Fate::Delete,
                "reason": line.reason,
                "bytes": line.checkpoint.bytes(),
            })
        });
        return out.json(&json!({
            "checkpoints": lines.collect::<Vec<_>>(),
            "delete": deletions,
            "bytes": plan.bytes(),
            "held_back": plan.held_back(),
            "applied": applied,
        }));
    }
    let mut rows = Rows::new(["", "id", ">size", "because"]);
    for line in lines {
        let word = match line.fate {
            Fate::Keep => "keep",
            Fate::Delete => "DELETE",
        };
        rows.push([
            word.to_owned(),
            line.checkpoint.id().to_owned(),
            units::bytes(line.checkpoint.bytes()),
            line.reason.clone(),
        ]);
    }
    rows.print(out)?;
    let all = units::count(plan.lines().len() as u64);
    let bytes = units::bytes(plan.bytes());
    let sum = format!("{deletions} of {all} would be deleted, {bytes}");
    out.line(out.paint(style::HEAD, sum))?;
    for why in plan.held_back() {
        let why = why.replace("trust_clock", "--trust-clock");
        out.line(out.paint(style::WARN, escaped(&why)))?;
    }
    Ok(())
}
