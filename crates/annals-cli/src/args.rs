//! What can be asked for: the front page of the help.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::output::Color;

const AFTER: &str = "\
Examples:
  annals status --watch
  annals tail -n 50 --model dqn_agent --since 24h
  annals stats --by model,day --since 7d
  annals checkpoints best dqn_agent
  annals export week.parquet --since 7d

Exit codes:
  0  done
  1  done, and problems were found (verify, reconcile, import with broken rows)
  2  asked for something that makes no sense
  3  no journal there, or it cannot be opened
  4  something failed on the way

Times are in UTC. A second process may look while the agent runs; nothing here stops it.";

/// Look at, follow, ask, check, import and export journals of inferences.
#[derive(Parser, Debug)]
#[command(name = "annals", version, after_help = AFTER, propagate_version = true)]
pub struct Args {
    /// The journal's directory.
    #[arg(
        long,
        short = 'd',
        global = true,
        env = "ANNALS_DIR",
        default_value = "data"
    )]
    pub dir: PathBuf,
    /// JSON: one document, or one for each line.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// How the journal is doing: runs, rates, drops, sizes.
    Status(commands::status::Args),
    /// The newest inferences.
    Tail(commands::tail::Args),
    /// Inferences as they are committed, also over restarts of the agent.
    Follow(commands::follow::Args),
    /// What happened around the models: system events, checkpoint events, gaps.
    Events(commands::events::Args),
    /// One inference whole: its checkpoint, outcome, repeats and neighbours.
    Explain(commands::explain::Args),
    /// What the models did: counts, confidence, latency, completeness.
    Stats(commands::stats::Args),
    /// Two windows, or two checkpoints, beside each other.
    Compare(commands::compare::Args),
    /// How far a model's confidence can be believed.
    Calibration(commands::calibration::Args),
    /// The models' checkpoints: look, rank, name, check, clear away.
    #[command(subcommand)]
    Checkpoints(commands::checkpoints::Command),
    /// Writes inferences to a file: JSON lines, CSV or Parquet.
    Export(commands::export::Args),
    /// Takes in a logger's SQLite file, our own JSON lines, or a folder of checkpoints.
    Import(commands::import::Args),
    /// Cursors that were stored by name.
    Cursors(commands::cursors::Args),
    /// The human-readable text files.
    #[command(subcommand)]
    Mirror(commands::mirror::Command),
    /// Reads the whole journal and says what is damaged.
    Verify(commands::upkeep::Verify),
    /// Keeps what can be read of a damaged journal, and lists what is lost.
    Repair(commands::upkeep::Repair),
    /// Shows which segments a policy would retire and, with --yes, retires them.
    Retain(commands::upkeep::Retain),
    /// Gives free room within journal.redb back.
    Compact(commands::upkeep::Compact),
    /// Copies the journal while it is in use.
    Backup(commands::upkeep::Backup),
    /// Makes a journal of a backup.
    Restore(commands::upkeep::Restore),
    /// A script that completes commands and options in your shell.
    Completions(commands::completions::Args),
}
