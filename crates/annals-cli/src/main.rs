//! `annals`: look at, follow, ask, check, import and export journals of inferences while they are
//! being written.

mod args;
mod blob;
mod checkpoint;
mod commands;
mod entries;
mod escape;
mod export;
mod failure;
mod filter;
mod folding;
mod import;
mod input;
mod line;
mod links;
mod missing;
mod near;
mod options;
mod output;
mod policy;
mod predictions;
mod progress;
mod statistics;
mod table;
mod units;
mod when;
mod which;
mod zone;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

/// clap's name for a missing command.
const NOTHING: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

fn main() -> ExitCode {
    let args = match args::CommandLine::try_parse() {
        Ok(args) => args,
        // Requested help, or help without a command, is printed as it is.
        Err(asked) if !asked.use_stderr() || asked.kind() == NOTHING => asked.exit(),
        Err(wrong) => return failure::misunderstood(&wrong),
    };
    let zone = match (args.zone, &args.command) {
        (Some(zone), _) => Ok(zone),
        // The meaning of a source must not depend on its reader.
        (None, commands::Command::Import(_)) => Ok(zone::Zone::default()),
        (None, _) => zone::Zone::of_environment(),
    };
    let zone = match zone {
        Ok(zone) => zone,
        Err(failure) => return failure.report(),
    };
    let mut out = output::Out::new(args.json, args.color, zone);
    let whole = args::CommandLine::command();
    let done = commands::run(&args.dir, args.command, whole, &mut out).and_then(|done| {
        out.flush()?;
        Ok(done)
    });
    match done {
        Ok(done) => done.into(),
        // The reader of the output has had enough.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
