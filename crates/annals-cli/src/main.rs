//! `annals`: look at, follow, ask, check, import and export journals of inferences while they are
//! being written.

mod args;
mod commands;
mod entries;
mod export;
mod failure;
mod filter;
mod import;
mod output;
mod progress;
mod table;
mod units;
mod when;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let mut out = output::Out::new(args.json, args.color);
    let done = commands::run(args, &mut out).and_then(|done| {
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
