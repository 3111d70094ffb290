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

use crate::args::{Args, Command};
use crate::failure::{Done, Result};
use crate::output::Out;

/// Does what was asked for.
pub fn run(args: Args, out: &mut Out) -> Result<Done> {
    let dir = &*args.dir;
    match args.command {
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
        Command::Compact(args) => upkeep::compact(dir, args, out),
        Command::Backup(args) => upkeep::backup(dir, args, out),
        Command::Restore(args) => upkeep::restore(args, out),
        Command::Completions(args) => completions::run(args, out),
    }
}
