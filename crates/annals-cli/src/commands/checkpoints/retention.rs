//! Which checkpoints are kept: shown first, and applied only when that was said.

use annals::Registry;
use annals::registry::{Decision, Policy};
use serde_json::json;

use super::{Rank, known};
use crate::escape::sentence;
use crate::failure::{Done, Failure, Result};
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;
use crate::when;

/// Options of `checkpoints plan` and `checkpoints apply`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints plan --latest 5 --best 3:val_loss:min
  annals checkpoints plan --model dqn_agent --newer-than 30d --tagged release
  annals checkpoints apply --latest 5 --best 3:val_loss:min --yes

A checkpoint stays if any rule keeps it. Whatever has an alias or a pin, is a model's newest or \
its best, is never deleted.")]
pub struct Args {
    /// Only this model's.
    #[arg(long, short)]
    model: Option<String>,
    /// Keeps the newest so many of each model.
    #[arg(long, value_name = "N")]
    latest: Option<usize>,
    /// Keeps the best so many of each model by a metric: N:METRIC:min or N:METRIC:max.
    #[arg(long, value_name = "N:METRIC:MODE", value_parser = best)]
    best: Vec<(usize, String, Rank)>,
    /// Keeps those at every so many steps.
    #[arg(long, value_name = "STEPS")]
    every_steps: Option<u64>,
    /// Keeps those that are newer (7d, 12h).
    #[arg(long, value_name = "AGE", value_parser = when::length)]
    newer_than: Option<std::time::Duration>,
    /// Goes by the wall clock, also where elapsed time does not bear it out. A clock that is ahead
    /// then deletes what is young.
    #[arg(long, requires = "newer_than")]
    trust_clock: bool,
    /// Keeps those with this tag.
    #[arg(long, value_name = "TAG")]
    tagged: Vec<String>,
    /// Goes ahead: with apply, deletes what is shown.
    #[arg(long)]
    yes: bool,
}

fn best(text: &str) -> Result<(usize, String, Rank), String> {
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

/// Shows the plan, and applies it if that was asked for and said again.
pub fn run(registry: &Registry, args: Args, apply: bool, out: &mut Out) -> Result<Done> {
    let says_nothing = args.latest.is_none()
        && args.best.is_empty()
        && args.every_steps.is_none()
        && args.newer_than.is_none()
        && args.tagged.is_empty();
    if says_nothing {
        return Err(Failure::Usage(
            "a policy has to keep something: give --latest, --best, --every-steps, --newer-than or \
             --tagged"
                .into(),
        ));
    }
    if let Some(model) = &args.model {
        known::model(registry, model)?;
    }
    for tag in known::unknown_tags(registry, args.model.as_deref(), &args.tagged)? {
        let tag = sentence(&tag);
        crate::progress::say(&format!(
            "annals: no checkpoint has the tag {tag}: it keeps none"
        ));
    }
    let mut policy = Policy::new();
    if let Some(n) = args.latest {
        policy = policy.latest(n);
    }
    for (n, metric, mode) in args.best {
        policy = policy.best(n, metric, mode.into());
    }
    if let Some(steps) = args.every_steps {
        policy = policy.every_steps(steps);
    }
    if let Some(age) = args.newer_than {
        policy = policy.newer_than(age);
    }
    if args.trust_clock {
        policy = policy.trust_clock();
    }
    for tag in args.tagged {
        policy = policy.tagged(tag);
    }
    let mut retention = registry.retention(policy);
    if let Some(model) = args.model {
        retention = retention.model(model);
    }
    let plan = retention.plan()?;
    let lines = plan.lines().iter();
    let bytes = plan.deletions().map(|checkpoint| checkpoint.bytes());
    let bytes = bytes.fold(0, u64::saturating_add);
    let doomed = plan.deletions().count();
    if out.json {
        let lines = lines.map(|line| {
            json!({
                "id": line.checkpoint.id(),
                "delete": line.decision == Decision::Delete,
                "rule": line.rule,
                "bytes": line.checkpoint.bytes(),
            })
        });
        out.json(&json!({
            "plan": lines.collect::<Vec<_>>(),
            "delete": doomed,
            "held_back": plan.held_back(),
            "bytes": bytes,
            "applied": apply && args.yes,
        }))?;
    } else {
        let mut rows = Rows::new(["", "id", ">size", "because"]);
        for line in lines {
            let word = match line.decision {
                Decision::Keep => "keep",
                Decision::Delete => "DELETE",
            };
            rows.push([
                word.to_owned(),
                line.checkpoint.id().to_owned(),
                units::bytes(line.checkpoint.bytes()),
                line.rule.clone(),
            ]);
        }
        rows.print(out)?;
        let all = units::count(plan.lines().len() as u64);
        let sum = format!(
            "{doomed} of {all} would be deleted, {}",
            units::bytes(bytes)
        );
        out.line(out.paint(style::HEAD, sum))?;
        for why in plan.held_back() {
            let why = why.replace("trust_clock", "--trust-clock");
            out.line(out.paint(style::WARN, escaped(&why)))?;
        }
    }
    if !apply {
        return Ok(Done::Well);
    }
    if !args.yes {
        return Err(Failure::Usage(
            "nothing was deleted: say --yes to delete what the plan shows".into(),
        ));
    }
    let applied = plan.apply()?;
    if !out.json {
        let freed = units::bytes(applied.bytes);
        out.line(format!("{} deleted, {freed} freed", applied.deleted.len()))?;
    }
    Ok(Done::Well)
}
