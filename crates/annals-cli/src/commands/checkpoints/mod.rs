//! The models' checkpoints.

mod best;
mod change;
mod known;
mod live;
mod look;
mod retention;

use std::path::Path;

use annals::{Mode, Registry};
use clap::ValueEnum;

use crate::failure::{Done, Result};
use crate::output::Out;

/// Commands for checkpoints.
#[derive(clap::Subcommand, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints list dqn_agent --tag nightly
  annals checkpoints best dqn_agent
  annals checkpoints retain --max-count 5 --keep-best 3:val_loss:min")]
pub enum CheckpointsCommand {
    /// Lists a model's checkpoints, newest first; without a model, the models.
    List(look::ListArgs),
    /// Shows the best checkpoint of a model.
    Best(best::BestArgs),
    /// Shows one checkpoint whole.
    Show(look::Show),
    /// Compares two checkpoints: metrics, metadata, age, size.
    Diff(look::Diff),
    /// Reads the weights and compares their digests.
    Verify(look::VerifyCheckpointsArgs),
    /// Makes a checkpoint its model's active one.
    Activate(change::Activate),
    /// Points an alias at a checkpoint, takes it away, or rolls it back.
    Alias(change::Alias),
    /// Protects a checkpoint from deletion.
    Pin(change::Pin),
    /// Gives a checkpoint a tag, or takes it away.
    Tag(change::TagArgs),
    /// Sets the metric that ranks a model's checkpoints.
    Monitor(change::Monitor),
    /// Compares the registry with the files.
    Reconcile(change::Reconcile),
    /// Points registered checkpoints to files that were moved.
    Relocate(change::Relocate),
    /// Shows what a retention policy would delete and, with --yes, deletes it.
    Retain(retention::RetainCheckpointsArgs),
}

/// Runs the command.
pub fn run(dir: &Path, command: CheckpointsCommand, out: &mut Out) -> Result<Done> {
    let registry = Registry::open(dir)?;
    match command {
        CheckpointsCommand::List(args) => look::list(&registry, args, out),
        CheckpointsCommand::Best(args) => match args.live() {
            Some(_) => live::best(dir, args, out),
            None => best::best(&registry, args, out),
        },
        CheckpointsCommand::Show(args) => look::show(&registry, args, out),
        CheckpointsCommand::Diff(args) => look::diff(&registry, args, out),
        CheckpointsCommand::Verify(args) => look::verify(&registry, args, out),
        CheckpointsCommand::Activate(args) => change::activate(&registry, args, out),
        CheckpointsCommand::Alias(args) => change::alias(&registry, args, out),
        CheckpointsCommand::Pin(args) => change::pin(&registry, args, out),
        CheckpointsCommand::Tag(args) => change::tag(&registry, args, out),
        CheckpointsCommand::Monitor(args) => change::monitor(&registry, args, out),
        CheckpointsCommand::Reconcile(args) => change::reconcile(&registry, args, out),
        CheckpointsCommand::Relocate(args) => change::relocate(&registry, args, out),
        CheckpointsCommand::Retain(args) => retention::retain(&registry, args, out),
    }
}

/// Whether the smallest or the largest value is best.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Rank {
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl From<Rank> for Mode {
    fn from(rank: Rank) -> Mode {
        match rank {
            Rank::Min => Mode::Min,
            Rank::Max => Mode::Max,
        }
    }
}
