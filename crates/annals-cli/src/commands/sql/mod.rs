//! Questions to the journal in SQL.

mod parquet;
mod prompt;
mod rows;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use annals_sql::{Database, Error, Interrupter, ValueRef};
use clap::ValueEnum;

use crate::failure::{Done, Failure, Result};
use crate::output::Out;
use parquet::ParquetRows;
use rows::RowWriter;

/// Options of `sql`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals sql \"SELECT model, COUNT(*) FROM decisions GROUP BY model\"
  annals sql --format csv \"SELECT * FROM checkpoints\" > checkpoints.csv
  annals sql --format parquet -o decisions.parquet \"SELECT * FROM decisions\"
  echo \"SELECT * FROM runs\" | annals sql --json
  annals sql                 # a prompt with a history; end it with Ctrl-D

The dialect is SQLite's. Tables: decisions, outcomes, episodes, events, gaps, runs and \
checkpoints; and inference_records, checkpoint_metadata and model_performance with the columns of \
the system that annals replaces. \"SELECT * FROM pragma_table_info('decisions')\" shows the \
columns of a table.

Times are text in UTC, as datetime() writes them: time > datetime('now', '-24 hours'). Conditions \
on model, symbol, action, checkpoint, time and sequence spare reading the other rows. Counts, \
means, extremes and sums by model, symbol, checkpoint, action or date(time) come from rollups, \
which is as quick with any number of rows; such counts include decisions whose rows retention has \
removed. Nothing can be written. Ctrl-C ends a statement, and \
pressed again the command.")]
pub struct SqlArgs {
    /// The statement; without one it is read from standard input, or asked for at a prompt.
    statement: Option<String>,
    /// How the rows are written; --json is the same as --format json.
    #[arg(long, short, value_enum)]
    format: Option<RowFormat>,
    /// The file to write to instead of standard output. One that exists is not replaced.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Reads the rows also where rollups have the answer.
    #[arg(long)]
    scan: bool,
}

/// Forms of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum RowFormat {
    /// A table for people.
    Table,
    /// An object on each line.
    Json,
    /// Comma-separated values with a heading.
    Csv,
    /// A file of typed columns; needs --output.
    Parquet,
}

/// Writes the rows of one answer.
trait AnswerWriter {
    /// Takes a row.
    fn row(&mut self, row: &[ValueRef<'_>]) -> Result<()>;
    /// Writes what is held back.
    fn finish(self) -> Result<()>;
}

/// Answers a statement, or many of them at a prompt.
pub fn run(dir: &Path, args: SqlArgs, out: &mut Out) -> Result<Done> {
    let mut database = Database::open(dir)
        .map_err(failure)?
        .with_rollups(!args.scan);
    let interrupter = database.interrupter();
    let format = match (args.format, out.json) {
        (Some(format), _) => format,
        (None, true) => RowFormat::Json,
        (None, false) => RowFormat::Table,
    };
    if format == RowFormat::Parquet && args.output.is_none() {
        let what = "Parquet needs a file: name it with --output FILE, and give the statement";
        return Err(Failure::Usage(what.to_owned()));
    }
    let statement = match args.statement {
        Some(statement) => statement,
        None if io::stdin().is_terminal() => {
            watch(interrupter)?;
            return prompt::run(&mut database, format, out).map(|()| Done::Well);
        }
        None => {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|cause| Failure::io("read the statement", cause))?;
            text
        }
    };
    // Only now: until here Ctrl-C ends the process.
    watch(interrupter)?;
    match args.output {
        None => {
            let width = out.width();
            answer(&mut database, &statement, |columns| {
                RowWriter::new(format, columns, width, out)
            })?;
        }
        Some(path) => {
            let doing = format!("write {}", path.display());
            let file = File::options().write(true).create_new(true).open(&path);
            let file = file.map_err(|cause| Failure::io(doing.clone(), cause))?;
            let mut file = BufWriter::new(file);
            let written = match format {
                RowFormat::Parquet => answer(&mut database, &statement, |columns| {
                    ParquetRows::new(columns, file.get_ref())
                }),
                _ => answer(&mut database, &statement, |columns| {
                    RowWriter::new(format, columns, None, &mut file)
                }),
            };
            let written = written.and_then(|()| {
                let synced = file.flush().and_then(|()| file.get_ref().sync_all());
                synced.map_err(|cause| Failure::io(doing, cause))
            });
            if written.is_err() {
                // A part of an answer would be taken for all of it.
                std::fs::remove_file(&path).ok();
            }
            written?;
        }
    }
    Ok(Done::Well)
}

/// Writes the answer to one statement, with what `writer` makes for its columns.
fn answer<W: AnswerWriter>(
    database: &mut Database,
    statement: &str,
    writer: impl FnOnce(&[String]) -> Result<W>,
) -> Result<()> {
    ASKED.store(0, Ordering::Relaxed);
    let answer = database.query(statement).map_err(failure)?;
    let mut writer = writer(answer.columns())?;
    let mut written = Ok(());
    answer
        .for_each(|row: &[ValueRef<'_>]| {
            written = writer.row(row);
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
        .map_err(failure)?;
    written?;
    writer.finish()
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Journal(error) => Failure::Journal(error),
        Error::Interrupted => Failure::Interrupted,
        other => Failure::Usage(other.to_string()),
    }
}

/// How often Ctrl-C was pressed during this statement.
static ASKED: AtomicU32 = AtomicU32::new(0);
/// The exit code of a process that Ctrl-C ends.
#[cfg(unix)]
const INTERRUPTED: i32 = 130;

/// From here on, Ctrl-C ends the statement, and the second one the process.
#[cfg(unix)]
fn watch(interrupter: Interrupter) -> Result<()> {
    use signal_hook::consts::SIGINT;
    use signal_hook::iterator::Signals;

    let failed = |cause| Failure::io("wait for signals", cause);
    let mut signals = Signals::new([SIGINT]).map_err(failed)?;
    let waiting = std::thread::Builder::new().name("annals-signals".into());
    let waiting = waiting.spawn(move || {
        for _ in signals.forever() {
            // A statement is ended between two rows, and some take long to find the next one.
            if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
                std::process::exit(INTERRUPTED);
            }
            interrupter.interrupt();
        }
    });
    waiting.map(drop).map_err(failed)
}

/// Elsewhere it ends the process.
#[cfg(not(unix))]
fn watch(_: Interrupter) -> Result<()> {
    Ok(())
}
