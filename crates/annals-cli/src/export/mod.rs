//! From the journal to files: read in one thread, written in another, in pieces of bounded size.

mod calendar;
mod compress;
mod csv;
mod days;
mod file;
mod interrupt;
mod jsonl;
mod lake;
mod parquet;
mod reading;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use annals::entry::{Gap, KeptInput, OutcomeEntry, RecordedOutcome, Repeat};
use annals::{Cursor, Entry, InferenceId, InferenceRecord, JournalId, Outcomes, Reader, Timestamp};
use annals_arrow::DecisionRow;
use indicatif::ProgressBar;

use crate::failure::{Failure, Result};
use crate::filter::Filter;
use crate::output::Out;
pub use compress::{Compression, choose as compression};
pub use days::{DayFolders, whole_days};
use file::Unfinished;
pub use interrupt::watch;
pub use lake::Lake;
pub use parquet::failed as parquet_failure;
use reading::{ExportReader, RowBatch};

/// Formats of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Jsonl,
    Csv(Cells),
    Parquet,
}

impl Format {
    /// Whether it has rows of this kind: gaps and events have no columns, and are counted.
    fn has(self, row: &ExportRow, left_out: &mut LeftOut) -> bool {
        let count = match row {
            _ if self == Format::Jsonl => return true,
            ExportRow::Gap(..) => &mut left_out.gaps,
            ExportRow::Event(_) => &mut left_out.events,
            _ => return true,
        };
        *count += 1;
        false
    }
}

/// A format, and how it is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilePacking {
    pub format: Format,
    pub compression: Compression,
    pub inputs: Inputs,
}

/// Whether the kept inputs of decisions are exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inputs {
    LeftOut,
    Taken,
}

impl FilePacking {
    /// Whether the whole file goes through a compressor, which has some megabytes.
    fn is_packed_stream(self) -> bool {
        self.format != Format::Parquet && self.compression != Compression::None
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
const COLUMNS: [&str; 35] = [
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
    "propensity",
    "action_vector",
    "caused_by",
    "correlation",
    "episode",
    "step",
    "prediction_names",
    "predictions",
];

/// Outcomes of one inference.
pub struct DecisionOutcomes {
    /// The current values.
    pub now: Outcomes,
    /// Every outcome that was recorded, oldest first.
    pub history: Vec<RecordedOutcome>,
}

impl DecisionOutcomes {
    /// Result of a history; none if it is empty.
    pub fn new(history: Vec<RecordedOutcome>) -> Option<Self> {
        let now = Outcomes::of_history(&history)?;
        Some(DecisionOutcomes { now, history })
    }

    /// How many outcomes others have taken the place of, at least in part.
    fn replaced(&self) -> u64 {
        let history = self.history.iter();
        history.filter(|past| past.is_replaced(&self.now)).count() as u64
    }
}

/// One row of an export.
pub enum ExportRow {
    Inference(InferenceRecord, Option<DecisionOutcomes>, KeptInput),
    Repeat(Repeat, Timestamp, u64, Option<DecisionOutcomes>, KeptInput),
    /// An outcome by itself: of an inference of an earlier export, or of the history.
    Late(OutcomeEntry, Timestamp, u64),
    Gap(Gap, Timestamp),
    /// A system event or a checkpoint event.
    Event(Entry),
}

impl ExportRow {
    /// The row of columns; gaps and events have none.
    fn decision(&self) -> Option<DecisionRow<'_>> {
        fn now(judged: &Option<DecisionOutcomes>) -> Option<&Outcomes> {
            judged.as_ref().map(|judged| &judged.now)
        }
        Some(match self {
            ExportRow::Inference(record, judged, _) => DecisionRow::Inference(record, now(judged)),
            ExportRow::Repeat(repeat, recorded, sequence, judged, _) => {
                DecisionRow::Repeat(repeat, *recorded, *sequence, now(judged))
            }
            ExportRow::Late(outcome, recorded, sequence) => {
                DecisionRow::Late(outcome, *recorded, *sequence)
            }
            ExportRow::Gap(..) | ExportRow::Event(_) => return None,
        })
    }

    /// The time that it is filed under.
    fn time(&self) -> Timestamp {
        match self {
            ExportRow::Inference(record, ..) => record.event_time,
            ExportRow::Repeat(repeat, ..) => repeat.event_time,
            ExportRow::Late(outcome, ..) => outcome.time,
            ExportRow::Gap(_, recorded) => *recorded,
            ExportRow::Event(entry) => entry.recorded_time,
        }
    }

    /// Its place in the journal.
    fn sequence(&self) -> u64 {
        match self {
            ExportRow::Inference(record, ..) => record.sequence,
            ExportRow::Repeat(_, _, sequence, ..) | ExportRow::Late(_, _, sequence) => *sequence,
            ExportRow::Gap(gap, _) => gap.sequence,
            ExportRow::Event(entry) => entry.sequence,
        }
    }

    /// The inference that it is about.
    fn id(&self) -> Option<InferenceId> {
        match self {
            ExportRow::Inference(record, ..) => Some(record.id),
            ExportRow::Repeat(repeat, ..) => Some(repeat.id),
            ExportRow::Late(outcome, ..) => Some(outcome.of),
            ExportRow::Gap(..) | ExportRow::Event(_) => None,
        }
    }

    /// Its input, if that was to be kept and is exported.
    fn input(&self) -> Option<&KeptInput> {
        let input = match self {
            ExportRow::Inference(.., input) | ExportRow::Repeat(.., input) => input,
            _ => return None,
        };
        Some(input).filter(|input| **input != KeptInput::NotKept)
    }
}

/// A receiver of rows.
pub trait Sink {
    /// Takes some rows.
    fn push(&mut self, rows: Vec<ExportRow>) -> Result<()>;

    /// Makes what was taken durable and gives it its name. It is all up to before the entry
    /// `until`.
    fn finish(self: Box<Self>, until: u64) -> Result<()>;

    /// Rows that are held back until there are more; one more for each KiB of their inputs.
    fn held(&self) -> usize {
        0
    }

    /// Writes what is held back.
    fn write_out(&mut self) -> Result<()> {
        Ok(())
    }

    /// The days of which the same rows have to be pushed once more; none when all is taken.
    fn next_pass(&mut self) -> Result<Option<Arc<BTreeSet<i64>>>> {
        Ok(None)
    }
}

/// The exported part.
pub struct Part<'a> {
    pub from: Cursor,
    pub until: Cursor,
    pub filter: &'a Filter,
    pub format: Format,
    /// The most rows.
    pub limit: Option<u64>,
    pub history: History,
    pub inputs: Inputs,
}

/// Whether every outcome is a row of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    /// Only those of inferences of an earlier export.
    WithinRows,
    AsRows,
}

/// The journal's entries that were asked for, and the format has no place for.
#[derive(Clone, Copy, Default)]
pub struct LeftOut {
    pub gaps: u64,
    pub events: u64,
    /// Outcomes that others have replaced.
    pub outcomes: u64,
}

/// Sums of an export.
pub struct Sum {
    pub rows: u64,
    pub late: u64,
    pub left_out: LeftOut,
    /// Where the next export begins.
    pub next: Cursor,
}

/// Batches under way.
const AHEAD: usize = 3;

/// A writer to standard output.
pub fn to_stdout<'o>(
    packing: FilePacking,
    journal: JournalId,
    out: &'o mut Out,
) -> Result<Box<dyn Sink + 'o>> {
    let packed = compress::Packed::new(out, packing.compression)?;
    Ok(match packing.format {
        Format::Jsonl => Box::new(jsonl::Jsonl::new(packed, journal)),
        Format::Csv(cells) => Box::new(csv::Csv::new(packed, journal, cells)?),
        Format::Parquet => return Err(Failure::Usage("Parquet needs a file".into())),
    })
}

/// A writer to a file of this name.
pub fn to_path(packing: FilePacking, path: PathBuf, journal: JournalId) -> Result<Box<dyn Sink>> {
    to_file(packing, Unfinished::create(path)?, journal)
}

fn to_file(packing: FilePacking, file: Unfinished, journal: JournalId) -> Result<Box<dyn Sink>> {
    let compression = packing.compression;
    let format = match packing.format {
        Format::Parquet => {
            return Ok(Box::new(parquet::Parquet::new(file, journal, packing)?));
        }
        lines => lines,
    };
    let packed = compress::Packed::new(file, compression)?;
    Ok(match format {
        Format::Csv(cells) => Box::new(csv::Csv::new(packed, journal, cells)?),
        _ => Box::new(jsonl::Jsonl::new(packed, journal)),
    })
}

/// Exports what lies between two cursors.
pub fn run(
    reader: &Reader,
    part: &Part<'_>,
    mut sink: Box<dyn Sink + '_>,
    bar: &ProgressBar,
) -> Result<Sum> {
    if part.limit == Some(0) {
        let next = part.from;
        return sink.finish(next.next_sequence()).map(|()| Sum {
            rows: 0,
            late: 0,
            left_out: LeftOut::default(),
            next,
        });
    }
    let sum = pass(reader, part, None, &mut *sink, bar)?;
    while let Some(days) = sink.next_pass()? {
        bar.set_position(0);
        pass(reader, part, Some(days), &mut *sink, bar)?;
    }
    sink.finish(sum.next.next_sequence())?;
    Ok(sum)
}

/// Reads what is exported and hands it to the sink; of some days only, if these are given.
fn pass(
    reader: &Reader,
    part: &Part<'_>,
    days: Option<Arc<BTreeSet<i64>>>,
    sink: &mut (dyn Sink + '_),
    bar: &ProgressBar,
) -> Result<Sum> {
    let mut sum = Sum {
        rows: 0,
        late: 0,
        left_out: LeftOut::default(),
        next: part.until,
    };
    let mut left = part.limit.unwrap_or(u64::MAX);
    let mut last = 0;
    // JSON lines have the history within the line of the decision.
    let is_short = part.format != Format::Jsonl && part.history == History::WithinRows;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        // The first so many rows are those of all days.
        let days = days.filter(|_| part.limit.is_none());
        let reading = ExportReader::new(reader, part, days, sender);
        let reading = scope.spawn(move || reading.run());
        let mut written = Ok(());
        for batch in receiver {
            let RowBatch { mut rows, entries } = batch;
            rows.retain(|row| part.format.has(row, &mut sum.left_out));
            rows.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= rows.len() as u64;
            last = rows.last().map_or(last, ExportRow::sequence);
            for row in &rows {
                match row {
                    ExportRow::Late(..) => sum.late += 1,
                    ExportRow::Gap(..) | ExportRow::Event(_) => {}
                    ExportRow::Inference(_, judged, _) | ExportRow::Repeat(_, _, _, judged, _) => {
                        sum.rows += 1;
                        if let Some(judged) = judged.as_ref().filter(|_| is_short) {
                            sum.left_out.outcomes += judged.replaced();
                        }
                    }
                }
            }
            written = sink.push(rows);
            bar.inc(entries);
            if written.is_err() || left == 0 {
                // The reading thread notices that the receiver is gone.
                break;
            }
        }
        written?;
        match reading.join() {
            // Its findings behind the last row do not matter.
            Ok(_) if left == 0 => Ok(()),
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    if left == 0 {
        // A cursor is made of its text only.
        let next = format!("annals:{}:{}", reader.id(), last.saturating_add(1));
        sum.next = next.parse()?;
    }
    Ok(sum)
}
