//! Completion of commands and options in a shell.

use clap_complete::Shell;

use crate::failure::{Done, Result};
use crate::output::Out;

/// Options of `completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals completions bash > /etc/bash_completion.d/annals
  annals completions zsh > ~/.zfunc/_annals
  annals completions fish > ~/.config/fish/completions/annals.fish")]
pub struct CompletionsArgs {
    /// For which shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: CompletionsArgs, mut whole: clap::Command, out: &mut Out) -> Result<Done> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut whole, "annals", &mut script);
    std::io::Write::write_all(out, &script)?;
    Ok(Done::Well)
}
