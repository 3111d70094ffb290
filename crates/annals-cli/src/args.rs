//! All commands: the front page of the help.

use std::path::PathBuf;

use clap::Parser;

use crate::commands::Command;
use crate::output::Color;
use crate::zone::{self, Zone};

const AFTER: &str = "\
Examples:
  annals status --watch
  annals tail -n 50 --model dqn_agent --since 24h
  annals stats --by model,day --since 7d
  annals checkpoints best dqn_agent
  annals export week.parquet --since 7d

Exit codes:
  0  done, also if nothing fits a filter
  1  done, with problems found: damage, rows or fields that an import left out
  2  an invalid or unknown option, id or model
  3  no journal there, or it cannot be opened
  4  a failure on the way: a damaged file, a full disk

Times without a zone are of --zone, in --since and in tables; JSON and exports have UTC. Commands \
that only read never disturb a running agent. Tables are as wide as the terminal, or as COLUMNS. \
In text, characters that steer the terminal or are invisible are written as \\n, \\t or \
\\u{202e}; JSON has names as they are.";

/// The heading of what every command understands, apart from a command's own options.
const SHARED: &str = "Options of every command";

/// Shows, follows, queries, checks, imports and exports journals of decisions.
#[derive(Parser, Debug)]
#[command(name = "annals", version, after_help = AFTER, propagate_version = true)]
pub struct CommandLine {
    /// The journal's directory.
    #[arg(
        long,
        short = 'd',
        global = true,
        env = "ANNALS_DIR",
        default_value = "data",
        help_heading = SHARED
    )]
    pub dir: PathBuf,
    /// JSON: one document, or one for each line.
    #[arg(long, global = true, help_heading = SHARED)]
    pub json: bool,
    /// When to use colours.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = SHARED
    )]
    pub color: Color,
    /// Whose clocks and days are meant: UTC, a name such as Europe/Sofia, +02:00, or local. By
    /// default those that ANNALS_ZONE names, or UTC.
    #[arg(
        long,
        global = true,
        value_parser = zone::read,
        allow_hyphen_values = true,
        value_name = "ZONE",
        help_heading = SHARED
    )]
    pub zone: Option<Zone>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}
