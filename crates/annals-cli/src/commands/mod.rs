//! One file for each command.

pub mod black_boxes;
pub mod calibration;
pub mod checkpoints;
pub mod compare;
pub mod completions;
pub mod cursors;
pub mod episodes;
pub mod events;
pub mod explain;
pub mod export;
pub mod follow;
pub mod import;
pub mod maintenance;
pub mod mirror;
pub mod runs;
pub mod sql;
pub mod stats;
pub mod status;
pub mod tail;

use std::path::Path;

use clap::Subcommand;

use crate::failure::{Done, Result};
use crate::output::Out;

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Shows the state of the journal: runs, rates, drops, sizes.
    Status(status::StatusArgs),
    /// Shows the newest decisions.
    Tail(tail::TailArgs),
    /// Shows decisions as they are committed, also over restarts of the agent.
    Follow(follow::FollowArgs),
    /// Shows system events, checkpoint events and gaps.
    Events(events::EventsArgs),
    /// Shows one decision whole: its checkpoint, outcome, repeats and neighbours.
    Explain(explain::ExplainArgs),
    /// Lists runs, and shows which program decided in each.
    Runs(runs::RunsArgs),
    /// Lists episodes: their length, return and end.
    Episodes(episodes::EpisodesArgs),
    /// Shows statistics of models: counts, confidence, latency, outcomes, coverage.
    Stats(stats::StatsArgs),
    /// Compares two windows of time, or two checkpoints.
    Compare(compare::CompareArgs),
    /// Shows the calibration of a model's confidence.
    Calibration(calibration::CalibrationArgs),
    /// Shows, ranks, names, checks and deletes checkpoints.
    #[command(subcommand)]
    Checkpoints(checkpoints::CheckpointsCommand),
    /// Writes decisions to a file: JSON lines, CSV or Parquet.
    Export(export::ExportArgs),
    /// Takes in a logger's SQLite file, our own JSON lines, or a folder of checkpoints.
    Import(import::ImportArgs),
    /// Shows and removes cursors that were stored by name.
    Cursors(cursors::CursorsArgs),
    /// Rebuilds the text files, or deletes old ones.
    #[command(subcommand)]
    Mirror(mirror::MirrorCommand),
    /// Reads the whole journal and lists damage.
    Verify(maintenance::VerifyArgs),
    /// Keeps the readable part of a damaged journal, and lists the lost part.
    Repair(maintenance::Repair),
    /// Shows which segments a policy would retire and, with --yes, retires them.
    Retain(maintenance::RetainArgs),
    /// Folds entries into rollups: statistics are fast again after a kill.
    Fold(maintenance::Fold),
    /// Gives free room within journal.redb back.
    Compact(maintenance::Compact),
    /// Copies the journal while it is in use.
    Backup(maintenance::BackupArgs),
    /// Makes a journal from a backup.
    Restore(maintenance::Restore),
    /// Answers a question in SQL, over tables of decisions, checkpoints, events and runs.
    Sql(sql::SqlArgs),
    /// Prints a script that completes commands and options in a shell.
    Completions(completions::CompletionsArgs),
}

/// Runs the command; `whole` is the whole command line's definition.
pub fn run(dir: &Path, command: Command, whole: clap::Command, out: &mut Out) -> Result<Done> {
    match command {
        Command::Status(args) => status::run(dir, args, out),
        Command::Tail(args) => tail::run(dir, args, out),
        Command::Follow(args) => follow::run(dir, args, out),
        Command::Events(args) => events::run(dir, args, out),
        Command::Explain(args) => explain::run(dir, args, out),
        Command::Runs(args) => runs::run(dir, args, out),
        Command::Episodes(args) => episodes::run(dir, args, out),
        Command::Stats(args) => stats::run(dir, args, out),
        Command::Compare(args) => compare::run(dir, args, out),
        Command::Calibration(args) => calibration::run(dir, args, out),
        Command::Checkpoints(command) => checkpoints::run(dir, command, out),
        Command::Export(args) => export::run(dir, args, out),
        Command::Import(args) => import::run(dir, args, out),
        Command::Cursors(args) => cursors::run(dir, args, out),
        Command::Mirror(command) => mirror::run(dir, command, out),
        Command::Verify(args) => maintenance::verify(dir, args, out),
        Command::Repair(args) => maintenance::repair(dir, args, out),
        Command::Retain(args) => maintenance::retain(dir, args, out),
        Command::Fold(args) => maintenance::fold(dir, args, out),
        Command::Compact(args) => maintenance::compact(dir, args, out),
        Command::Backup(args) => maintenance::backup(dir, args, out),
        Command::Restore(args) => maintenance::restore(args, out),
        Command::Sql(args) => sql::run(dir, args, out),
        Command::Completions(args) => completions::run(args, whole, out),
    }
}
