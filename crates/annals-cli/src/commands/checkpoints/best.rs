//! Which checkpoint is best by a metric.

use annals::{Checkpoint, Registry};

use super::{Rank, known, look};
use crate::checkpoint::{as_json, print_one};
use crate::failure::{Done, Failure, Result};
use crate::output::Out;
use crate::table::escaped;
use crate::which::Within;

/// Options of `checkpoints best`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints best dqn_agent
  annals checkpoints best dqn_agent --by val_loss --mode min -n 5
  annals checkpoints best dqn_agent --live reward --since 24h
  annals checkpoints best dqn_agent --live slippage_bp --mode min --at-least 100
  annals checkpoints best dqn_agent --json | jq -r .path

With --live, checkpoints are ranked by what their decisions led to, with 95 % intervals (Wilson's \
for correct, Student's for means), beside the one that is best by the model's monitor.")]
pub struct BestArgs {
    /// The model.
    pub model: String,
    /// By this metric instead of the model's monitor.
    #[arg(long, requires = "mode", conflicts_with = "live")]
    by: Option<String>,
    /// Whether the smallest or the largest is best.
    #[arg(long, value_enum)]
    pub mode: Option<Rank>,
    /// By outcome: reward, correct, or the name of a value.
    #[arg(long, value_name = "VALUE")]
    live: Option<String>,
    /// With --live, ranks checkpoints with so many outcomes.
    #[arg(long, value_name = "N", default_value_t = 30, requires = "live")]
    pub at_least: u64,
    /// With --live, of decisions in this time.
    #[command(flatten)]
    pub within: Within,
    /// How many, the best first; 1, and with --live 10.
    #[arg(short = 'n', long)]
    lines: Option<usize>,
}

impl BestArgs {
    /// By which outcome, if by any.
    pub fn live(&self) -> Option<&str> {
        self.live.as_deref()
    }

    /// How many are wanted.
    pub fn lines_or(&self, usual: usize) -> usize {
        self.lines.unwrap_or(usual)
    }

    /// Options that would be without effect.
    fn idle(&self) -> Option<&'static str> {
        if self.within.since.is_some() || self.within.until.is_some() {
            return Some("--since and --until go with --live");
        }
        let lacks_metric = self.mode.is_some() && self.by.is_none();
        lacks_metric.then_some("--mode goes with --by or with --live VALUE")
    }
}

pub fn best(registry: &Registry, args: BestArgs, out: &mut Out) -> Result<Done> {
    if let Some(why) = args.idle() {
        return Err(Failure::Usage(why.into()));
    }
    let (model, lines) = (&args.model, args.lines_or(1));
    known::model(registry, model)?;
    if let Some(metric) = &args.by {
        known::metric(registry, model, metric)?;
    }
    let found: Vec<Checkpoint> = match (&args.by, args.mode) {
        (Some(metric), Some(mode)) => registry.top_k(model, metric, mode.into(), lines)?,
        _ if lines == 1 => registry.best(model)?.into_iter().collect(),
        _ => match registry.monitor(model)? {
            Some((metric, mode)) => registry.top_k(model, &metric, mode, lines)?,
            None => registry.best(model)?.into_iter().collect(),
        },
    };
    match &found[..] {
        [] => Err(Failure::Usage(format!(
            "no checkpoint of {} ranks",
            escaped(model)
        ))),
        [one] if out.json => {
            out.json(&as_json(one, &registry.aliases(model)?))?;
            Ok(Done::Well)
        }
        [one] => {
            print_one(one, &registry.aliases(model)?, out)?;
            Ok(Done::Well)
        }
        many => look::print(registry, model, many, out),
    }
}
