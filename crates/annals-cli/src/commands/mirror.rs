//! The human-readable text files.

use std::path::{Path, PathBuf};

use annals::Reader;
use annals::logs::Mirror;
use serde_json::json;

use crate::failure::{Done, Result};
use crate::missing;
use crate::output::Out;
use crate::table::escaped;
use crate::units;

/// Commands for the text files.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Writes the text files of the whole journal anew, elsewhere.
    #[command(after_help = "\
Examples:
  annals mirror rebuild /tmp/logs
  annals --dir data mirror rebuild --local-time /tmp/logs")]
    Rebuild {
        /// A directory that holds no text files of a journal.
        to: PathBuf,
        /// Days and times on this machine's clock instead of UTC.
        #[arg(long)]
        local_time: bool,
    },
}

/// Writes the text files anew.
pub fn run(dir: &Path, command: Command, out: &mut Out) -> Result<Done> {
    let Command::Rebuild { to, local_time } = command;
    let reader = Reader::open(dir)?;
    let mut settings = Mirror::new();
    if local_time {
        settings = settings.local_time();
    }
    let lines = reader.rebuild_mirror(&to, settings)?;
    if out.json {
        out.json(&json!({"lines": lines, "directory": to}))?;
    } else {
        out.line(format!(
            "{} in {}",
            units::counted(lines, "line"),
            escaped(&to.display().to_string())
        ))?;
    }
    Ok(missing::done(&reader))
}
