//! The human-readable text files.

use std::path::{Path, PathBuf};

use annals::logs::{LogRetentionPlan, Mirror};
use annals::{Maintenance, Reader};
use serde_json::json;

use crate::entries;
use crate::escape::sentence;
use crate::failure::{Done, Result};
use crate::missing;
use crate::options;
use crate::options::Configured;
use crate::output::{Out, style};
use crate::policy::{LIMITS, MEANING, Rules};
use crate::table::{Rows, escaped};
use crate::units;

/// Commands for the text files.
#[derive(clap::Subcommand, Debug)]
pub enum MirrorCommand {
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
        /// The agent's file of options, in JSON, for the settings of the text files. With them, the
        /// files are equal to the agent's.
        #[arg(long, value_name = "FILE")]
        options: Option<PathBuf>,
    },
    /// Shows which text files a policy would delete and, with --yes, deletes them.
    Retain(RetainLinesArgs),
}

/// Options of `mirror retain`.
#[derive(clap::Args, Debug)]
#[command(after_help = format!("\
Examples:
  annals mirror retain --max-age 30d
  annals mirror retain --max-files 30 --keep-latest 100000 --yes
  annals mirror retain --options agent.json

{MEANING} Limits count within each kind of file; --max-count and --keep-latest count lines. Whole \
files go, never the current one. The entries stay, and `annals mirror rebuild` writes their lines \
anew. Shows the plan; with --yes it is applied. The agent may run meanwhile. With --options, the \
retention of the file's mirror holds, and rules given here replace its own."))]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true)
    .args(LIMITS.into_iter().chain(["max_files", "options"])))]
pub struct RetainLinesArgs {
    #[command(flatten)]
    rules: Rules,
    /// Deletes what is beyond the newest so many files.
    #[arg(long, value_name = "N")]
    max_files: Option<u64>,
    /// The directory of the text files, if it is not logs in the journal's.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The agent's file of options, in JSON.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Goes ahead: deletes what is shown.
    #[arg(long)]
    yes: bool,
}

/// Runs one of the commands.
pub fn run(dir: &Path, command: MirrorCommand, out: &mut Out) -> Result<Done> {
    match command {
        MirrorCommand::Rebuild {
            to,
            local_time,
            options,
        } => {
            let configured = Configured::read_some(options.as_deref())?;
            let settings = configured.mirror.unwrap_or_default();
            let settings = match local_time {
                true => settings.local_time(),
                false => settings,
            };
            rebuild(dir, &to, settings, out)
        }
        MirrorCommand::Retain(args) => retain(dir, args, out),
    }
}

/// Shows what a policy would delete and, if that was said, deletes it.
fn retain(dir: &Path, args: RetainLinesArgs, out: &mut Out) -> Result<Done> {
    let maintenance = Maintenance::open(dir)?;
    let file = args.options.as_deref();
    let configured = Configured::read_some(file)?;
    let has_limit = args.rules.has_limit() || args.max_files.is_some();
    let base = options::base(configured.log_retention(), file, has_limit, "text files")?;
    let mut policy = args.rules.policy(base);
    if let Some(files) = args.max_files {
        policy = policy.max_files(files);
    }
    let mut retention = maintenance.log_retention(policy);
    if let Some(logs) = args.logs.or_else(|| configured.logs()) {
        retention = retention.directory(logs);
    }
    let plan = retention.plan()?;
    print_plan(&plan, args.yes, out)?;
    if !args.yes {
        if !out.json && !plan.files().is_empty() {
            out.line("nothing was deleted: say --yes to do it")?;
        }
        return Ok(Done::Well);
    }
    let deleted = plan.apply()?;
    if !out.json {
        let files = units::counted(deleted.files, "file");
        let lines = units::counted(deleted.lines, "line");
        let freed = units::bytes(deleted.bytes);
        out.line(format!("{files} deleted: {lines}, {freed}"))?;
    }
    Ok(Done::Well)
}

fn print_plan(plan: &LogRetentionPlan, applied: bool, out: &mut Out) -> Result<()> {
    if out.json {
        let files = plan.files().iter().map(|planned| {
            json!({
                "file": entries::path(&planned.file),
                "kind": planned.kind.stem(),
                "lines": planned.lines,
                "bytes": planned.bytes,
                "reason": planned.reason,
            })
        });
        return out.json(&json!({
            "files": files.collect::<Vec<_>>(),
            "lines": plan.lines(),
            "bytes": plan.bytes(),
            "held_back": plan.held_back(),
            "applied": applied,
        }));
    }
    for why in plan.held_back() {
        out.line(out.paint(style::WARN, sentence(why)))?;
    }
    if plan.files().is_empty() {
        return out.line("nothing to delete");
    }
    let mut rows = Rows::new(["file", ">lines", ">size", "because"]);
    for planned in plan.files() {
        let name = planned.file.file_name().unwrap_or_default();
        rows.push([
            name.to_string_lossy().into_owned(),
            units::count(planned.lines),
            units::bytes(planned.bytes),
            planned.reason.clone(),
        ]);
    }
    rows.print(out)?;
    let lines = units::counted(plan.lines(), "line");
    let bytes = units::bytes(plan.bytes());
    out.line(out.paint(style::HEAD, format!("{lines}, {bytes}")))
}

/// Writes the text files anew.
fn rebuild(dir: &Path, to: &Path, settings: Mirror, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let lines = reader.rebuild_mirror(to, settings)?;
    if out.json {
        out.json(&json!({"lines": lines, "directory": entries::path(to)}))?;
    } else {
        out.line(format!(
            "{} in {}",
            units::counted(lines, "line"),
            escaped(&to.display().to_string())
        ))?;
    }
    Ok(missing::done(&reader))
}
