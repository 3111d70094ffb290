//! `annals`: look at, follow, ask, check, import and export journals of inferences while they are
//! being written.

mod args;
mod checkpoint;
mod commands;
mod entries;
mod export;
mod failure;
mod filter;
mod import;
mod line;
mod output;
mod progress;
mod statistics;
mod table;
mod units;
mod when;
mod which;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let args = args::Args::parse();
    let mut out = output::Out::new(args.json, args.color);
    let whole = args::Args::command();
    let done = commands::run(&args.dir, args.command, whole, &mut out).and_then(|done| {
        out.flush()?;
        Ok(done)
    });
    match done {
        Ok(done) => done.into(),
        // Whoever reads has had enough.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
