//! From the journal to files: read in one thread, written in another, in pieces of bounded size.

mod csv;
mod days;
mod file;
mod jsonl;
mod parquet;
mod reading;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use annals::{
    Cursor, Entry, Gap, InferenceRecord, JournalId, OutcomeEntry, Outcomes, Reader, Repeat,
    Timestamp,
};
use indicatif::ProgressBar;

use crate::failure::{Failure, Result};
use crate::filter::Filter;
use crate::output::Out;
use reading::{Batch, Reading};

/// Formats of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Jsonl,
    Csv,
    Parquet,
}

/// Where an export goes.
pub enum Target {
    Stdout,
    File(PathBuf),
    Days(PathBuf),
}

/// One row of an export.
pub enum Row {
    Inference(InferenceRecord, Option<Outcomes>),
    Repeat(Repeat, Timestamp, u64, Option<Outcomes>),
    /// What turned out for an inference of an earlier export.
    Late(OutcomeEntry, Timestamp, u64),
    Gap(Gap, Timestamp),
    /// A system event or a checkpoint event.
    Event(Entry),
}

impl Row {
    /// The time that it is filed under.
    fn time(&self) -> Timestamp {
        match self {
            Row::Inference(record, _) => record.event_time,
            Row::Repeat(repeat, ..) => repeat.event_time,
            Row::Late(outcome, ..) => outcome.time,
            Row::Gap(_, recorded) => *recorded,
            Row::Event(entry) => entry.recorded_time,
        }
    }
}

/// What takes rows.
pub trait Sink {
    /// Takes some rows.
    fn push(&mut self, rows: Vec<Row>) -> Result<()>;
    /// Makes what was taken durable and gives it its name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What an export held.
#[derive(Default)]
pub struct Sum {
    pub rows: u64,
    pub late: u64,
}

/// Batches under way.
const AHEAD: usize = 3;

/// What writes `format` to `target`.
pub fn sink<'o>(
    format: Format,
    target: Target,
    journal: JournalId,
    out: &'o mut Out,
) -> Result<Box<dyn Sink + 'o>> {
    Ok(match (format, target) {
        (Format::Jsonl, Target::Stdout) => Box::new(jsonl::Jsonl::new(out, journal)),
        (Format::Csv, Target::Stdout) => Box::new(csv::Csv::new(out)?),
        (Format::Parquet, Target::Stdout) => {
            return Err(Failure::Usage("Parquet needs a file".into()));
        }
        (format, Target::File(path)) => in_file(format, path, journal)?,
        (format, Target::Days(directory)) => Box::new(days::Days::new(format, directory, journal)),
    })
}

fn in_file(format: Format, path: PathBuf, journal: JournalId) -> Result<Box<dyn Sink>> {
    let file = file::Unfinished::create(path)?;
    Ok(match format {
        Format::Jsonl => Box::new(jsonl::Jsonl::new(file, journal)),
        Format::Csv => Box::new(csv::Csv::new(file)?),
        Format::Parquet => Box::new(parquet::Parquet::new(file)?),
    })
}

/// Exports what lies between two cursors.
pub fn run(
    reader: &Reader,
    from: Cursor,
    until: Cursor,
    filter: &Filter,
    mut sink: Box<dyn Sink + '_>,
    bar: &ProgressBar,
) -> Result<Sum> {
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let reading = scope.spawn(move || Reading::new(reader, filter, from, sender).run(until));
        let mut written = Ok(());
        for batch in receiver {
            let Batch { rows, entries } = batch;
            for row in &rows {
                match row {
                    Row::Late(..) => sum.late += 1,
                    Row::Gap(..) | Row::Event(_) => {}
                    Row::Inference(..) | Row::Repeat(..) => sum.rows += 1,
                }
            }
            written = sink.push(rows);
            bar.inc(entries);
            if written.is_err() {
                // The reading thread notices that nobody listens.
                break;
            }
        }
        written?;
        match reading.join() {
            Ok(read) => read?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        sink.finish()
    })?;
    Ok(sum)
}
