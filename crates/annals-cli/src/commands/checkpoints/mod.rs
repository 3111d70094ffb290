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
pub enum Command {
    /// Lists a model's checkpoints, newest first; without a model, the models.
    List(look::List),
    /// Shows the best checkpoint of a model.
    Best(best::Best),
    /// Shows one checkpoint whole.
    Show(look::Show),
    /// Compares two checkpoints: metrics, metadata, age, size.
    Diff(look::Diff),
    /// Reads the weights and compares their digests.
    Verify(look::Verify),
    /// Makes a checkpoint its model's active one.
    Activate(change::Activate),
    /// Points an alias at a checkpoint, takes it away, or rolls it back.
    Alias(change::Alias),
    /// Protects a checkpoint from deletion.
    Pin(change::Pin),
    /// Gives a checkpoint a tag, or takes it away.
    Tag(change::Tag),
    /// Sets the metric that ranks a model's checkpoints.
    Monitor(change::Monitor),
    /// Compares the registry with the files.
    Reconcile(change::Reconcile),
    /// Points registered checkpoints to files that were moved.
    Relocate(change::Relocate),
    /// Shows what a retention policy would delete and, with --yes, deletes it.
    Retain(retention::Retain),
}

/// Runs the command.
pub fn run(dir: &Path, command: Command, out: &mut Out) -> Result<Done> {
    let registry = Registry::open(dir)?;
    match command {
        Command::List(args) => look::list(&registry, args, out),
        Command::Best(args) => match args.live() {
            Some(_) => live::best(dir, args, out),
            None => best::best(&registry, args, out),
        },
        Command::Show(args) => look::show(&registry, args, out),
        Command::Diff(args) => look::diff(&registry, args, out),
        Command::Verify(args) => look::verify(&registry, args, out),
        Command::Activate(args) => change::activate(&registry, args, out),
        Command::Alias(args) => change::alias(&registry, args, out),
        Command::Pin(args) => change::pin(&registry, args, out),
        Command::Tag(args) => change::tag(&registry, args, out),
        Command::Monitor(args) => change::monitor(&registry, args, out),
        Command::Reconcile(args) => change::reconcile(&registry, args, out),
        Command::Relocate(args) => change::relocate(&registry, args, out),
        Command::Retain(args) => retention::retain(&registry, args, out),
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
