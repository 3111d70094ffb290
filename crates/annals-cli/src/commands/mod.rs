//! One file for each command.

pub mod calibration;
pub mod checkpoints;
pub mod compare;
pub mod completions;
pub mod cursors;
pub mod events;
pub mod explain;
pub mod export;
pub mod follow;
pub mod import;
pub mod mirror;
pub mod stats;
pub mod status;
pub mod tail;
pub mod upkeep;

use std::path::Path;

use clap::Subcommand;

use crate::failure::{Done, Result};
use crate::output::Out;

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// How the journal is doing: runs, rates, drops, sizes.
    Status(status::Args),
    /// The newest inferences.
    Tail(tail::Args),
    /// Inferences as they are committed, also over restarts of the agent.
    Follow(follow::Args),
    /// What happened around the models: system events, checkpoint events, gaps.
    Events(events::Args),
    /// One inference whole: its checkpoint, outcome, repeats and neighbours.
    Explain(explain::Args),
    /// What the models did: counts, confidence, latency, completeness.
    Stats(stats::Args),
    /// Two windows, or two checkpoints, beside each other.
    Compare(compare::Args),
    /// Calibration of a model's confidence.
    Calibration(calibration::Args),
    /// The models' checkpoints: look, rank, name, check, clear away.
    #[command(subcommand)]
    Checkpoints(checkpoints::Command),
    /// Writes inferences to a file: JSON lines, CSV or Parquet.
    Export(export::Args),
    /// Takes in a logger's SQLite file, our own JSON lines, or a folder of checkpoints.
    Import(import::Args),
    /// Cursors that were stored by name.
    Cursors(cursors::Args),
    /// The human-readable text files.
    #[command(subcommand)]
    Mirror(mirror::Command),
    /// Reads the whole journal and says what is damaged.
    Verify(upkeep::Verify),
    /// Keeps what can be read of a damaged journal, and lists what is lost.
    Repair(upkeep::Repair),
    /// Shows which segments a policy would retire and, with --yes, retires them.
    Retain(upkeep::Retain),
    /// Makes statistics fast again after an agent was killed.
    Fold(upkeep::Fold),
    /// Gives free room within journal.redb back.
    Compact(upkeep::Compact),
    /// Copies the journal while it is in use.
    Backup(upkeep::Backup),
    /// Makes a journal of a backup.
    Restore(upkeep::Restore),
    /// A script that completes commands and options in your shell.
    Completions(completions::Args),
}

/// Does what was asked for; `whole` is the command with all that it understands.
pub fn run(dir: &Path, command: Command, whole: clap::Command, out: &mut Out) -> Result<Done> {
    match command {
        Command::Status(args) => status::run(dir, args, out),
        Command::Tail(args) => tail::run(dir, args, out),
        Command::Follow(args) => follow::run(dir, args, out),
        Command::Events(args) => events::run(dir, args, out),
        Command::Explain(args) => explain::run(dir, args, out),
        Command::Stats(args) => stats::run(dir, args, out),
        Command::Compare(args) => compare::run(dir, args, out),
        Command::Calibration(args) => calibration::run(dir, args, out),
        Command::Checkpoints(command) => checkpoints::run(dir, command, out),
        Command::Export(args) => export::run(dir, args, out),
        Command::Import(args) => import::run(dir, args, out),
        Command::Cursors(args) => cursors::run(dir, args, out),
        Command::Mirror(command) => mirror::run(dir, command, out),
        Command::Verify(args) => upkeep::verify(dir, args, out),
        Command::Repair(args) => upkeep::repair(dir, args, out),
        Command::Retain(args) => upkeep::retain(dir, args, out),
        Command::Fold(args) => upkeep::fold(dir, args, out),
        Command::Compact(args) => upkeep::compact(dir, args, out),
        Command::Backup(args) => upkeep::backup(dir, args, out),
        Command::Restore(args) => upkeep::restore(args, out),
        Command::Completions(args) => completions::run(args, whole, out),
    }
}
