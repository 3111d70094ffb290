//! From the journal to files: read in one thread, written in another, in pieces of bounded size.

mod csv;
mod days;
mod file;
mod interrupt;
mod jsonl;
mod parquet;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use annals::{
    Cursor, Entry, Gap, InferenceId, InferenceRecord, JournalId, OutcomeEntry, Outcomes, Reader,
    Repeat, Timestamp,
};
use indicatif::ProgressBar;

use crate::failure::{Failure, Result};
use crate::filter::Filter;
use crate::output::Out;
pub use interrupt::watch;
use reading::{Batch, Reading};

/// Formats of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Jsonl,
    Csv(Cells),
    Parquet,
}

impl Format {
    /// Whether it has rows of this kind: gaps and events have no columns.
    fn has(self, row: &Row) -> bool {
        self == Format::Jsonl || !matches!(row, Row::Gap(..) | Row::Event(_))
    }
}

/// How cells of text are written to CSV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cells {
    AsTheyAre,
    /// An apostrophe stands before what a spreadsheet would take for a formula.
    Safe,
}

/// The columns of CSV and Parquet. In JSON lines the ones of outcomes are within `outcome`.
const COLUMNS: [&str; 27] = [
    "kind",
    "id",
    "run",
    "number",
    "sequence",
    "event_time",
    "recorded_time",
    "model",
    "symbol",
    "action",
    "checkpoint",
    "confidence",
    "labels",
    "probabilities",
    "feature_hash",
    "processing_ns",
    "memory_bytes",
    "divergent",
    "repeat_of",
    "attributes",
    "reward",
    "correct",
    "outcome_label",
    "outcome_values",
    "outcome_time",
    "outcome_times",
    "journal",
];

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

    /// Its place in the journal.
    fn sequence(&self) -> u64 {
        match self {
            Row::Inference(record, _) => record.sequence,
            Row::Repeat(_, _, sequence, _) | Row::Late(_, _, sequence) => *sequence,
            Row::Gap(gap, _) => gap.sequence,
            Row::Event(entry) => entry.sequence,
        }
    }

    /// The inference that it is about.
    fn id(&self) -> Option<InferenceId> {
        match self {
            Row::Inference(record, _) => Some(record.id),
            Row::Repeat(repeat, ..) => Some(repeat.id),
            Row::Late(outcome, ..) => Some(outcome.of),
            Row::Gap(..) | Row::Event(_) => None,
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

/// What is exported.
pub struct Part<'a> {
    pub from: Cursor,
    pub until: Cursor,
    pub filter: &'a Filter,
    pub format: Format,
    /// The most rows.
    pub limit: Option<u64>,
}

/// What an export held.
pub struct Sum {
    pub rows: u64,
    pub late: u64,
    /// Where the next export begins.
    pub next: Cursor,
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
        (Format::Csv(cells), Target::Stdout) => Box::new(csv::Csv::new(out, journal, cells)?),
        (Format::Parquet, Target::Stdout) => {
            return Err(Failure::Usage("Parquet needs a file".into()));
        }
        (format, Target::File(path)) => in_file(format, path, journal)?,
        (format, Target::Days(directory)) => Box::new(days::Days::new(format, directory, journal)),
    })
}

/// Whether a file is compressed, by its name.
pub fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn in_file(format: Format, path: PathBuf, journal: JournalId) -> Result<Box<dyn Sink>> {
    let is_gzip = is_gzip(&path);
    let file = file::Unfinished::create(path)?;
    Ok(match format {
        Format::Jsonl if is_gzip => Box::new(jsonl::Jsonl::new(file::Gzip::new(file), journal)),
        Format::Csv(cells) if is_gzip => {
            Box::new(csv::Csv::new(file::Gzip::new(file), journal, cells)?)
        }
        Format::Jsonl => Box::new(jsonl::Jsonl::new(file, journal)),
        Format::Csv(cells) => Box::new(csv::Csv::new(file, journal, cells)?),
        Format::Parquet => Box::new(parquet::Parquet::new(file, journal)?),
    })
}

/// Exports what lies between two cursors.
pub fn run(
    reader: &Reader,
    part: &Part<'_>,
    mut sink: Box<dyn Sink + '_>,
    bar: &ProgressBar,
) -> Result<Sum> {
    let mut sum = Sum {
        rows: 0,
        late: 0,
        next: part.until,
    };
    let mut left = part.limit.unwrap_or(u64::MAX);
    if left == 0 {
        sum.next = part.from;
        return sink.finish().map(|()| sum);
    }
    let mut last = 0;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let reading = Reading::new(reader, part.filter, part.from, sender);
        let reading = scope.spawn(move || reading.run(part.until));
        let mut written = Ok(());
        for batch in receiver {
            let Batch { mut rows, entries } = batch;
            rows.retain(|row| part.format.has(row));
            rows.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= rows.len() as u64;
            last = rows.last().map_or(last, Row::sequence);
            for row in &rows {
                match row {
                    Row::Late(..) => sum.late += 1,
                    Row::Gap(..) | Row::Event(_) => {}
                    Row::Inference(..) | Row::Repeat(..) => sum.rows += 1,
                }
            }
            written = sink.push(rows);
            bar.inc(entries);
            if written.is_err() || left == 0 {
                // The reading thread notices that nobody listens.
                break;
            }
        }
        written?;
        match reading.join() {
            // What it met behind the last row does not matter.
            Ok(_) if left == 0 => {}
            Ok(read) => read?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        sink.finish()
    })?;
    if left == 0 {
        // A cursor is made of its text only.
        let next = format!("annals:{}:{}", reader.id(), last.saturating_add(1));
        sum.next = next.parse()?;
    }
    Ok(sum)
}
