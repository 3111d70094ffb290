//! From the journal to files: read in one thread, written in another, in pieces of bounded size.

mod csv;
mod days;
mod file;
mod jsonl;
mod parquet;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use annals::{
    Content, Cursor, Entry, Gap, InferenceId, InferenceRecord, JournalId, OutcomeEntry, Outcomes,
    Reader, Repeat, RunId, Timestamp,
};
use indicatif::ProgressBar;

use crate::failure::{Failure, Result};
use crate::filter::Filter;
use crate::output::Out;

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
}

impl Row {
    /// The time that it is filed under.
    fn time(&self) -> Timestamp {
        match self {
            Row::Inference(record, _) => record.event_time,
            Row::Repeat(repeat, ..) => repeat.event_time,
            Row::Late(outcome, ..) => outcome.time,
            Row::Gap(_, recorded) => *recorded,
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

/// Rows that are handed over at once.
const BATCH: usize = 8_192;
/// Batches under way.
const AHEAD: usize = 3;
/// Ids that are taken before a commit and sent after it may be so far out of order.
const DISORDER: u64 = 1 << 20;

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
        let reading = scope.spawn(move || {
            Reading {
                reader,
                filter,
                sender,
                continued: from.next_sequence() > 1,
                lowest: HashMap::new(),
            }
            .run(from, until)
        });
        let mut written = Ok(());
        for batch in receiver {
            let Batch { rows, entries } = batch;
            for row in &rows {
                match row {
                    Row::Late(..) => sum.late += 1,
                    Row::Gap(..) => {}
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

struct Batch {
    rows: Vec<Row>,
    entries: u64,
}

struct Reading<'a> {
    reader: &'a Reader,
    filter: &'a Filter,
    sender: SyncSender<Batch>,
    /// Whether there was an export before this one.
    continued: bool,
    /// The lowest id of each run that this export has met.
    lowest: HashMap<RunId, InferenceId>,
}

impl Reading<'_> {
    fn run(mut self, from: Cursor, until: Cursor) -> Result<()> {
        let mut follow = self.reader.follow(from)?;
        let end = until.next_sequence();
        let mut entries = Vec::with_capacity(BATCH);
        loop {
            entries.clear();
            for entry in follow.by_ref().take(BATCH) {
                let entry = entry?;
                if entry.sequence >= end {
                    break;
                }
                entries.push(entry);
            }
            if entries.is_empty() {
                return Ok(());
            }
            let count = entries.len() as u64;
            let rows = self.rows(&mut entries)?;
            let batch = Batch {
                rows,
                entries: count,
            };
            if self.sender.send(batch).is_err() {
                return Ok(());
            }
        }
    }

    fn rows(&mut self, entries: &mut Vec<Entry>) -> Result<Vec<Row>> {
        let ids: Vec<InferenceId> = entries.iter().filter_map(Entry::id).collect();
        for id in &ids {
            let lowest = self.lowest.entry(id.run()).or_insert(*id);
            *lowest = (*lowest).min(*id);
        }
        let mut outcomes = self.reader.outcomes_of_each(&ids)?.into_iter();
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries.drain(..) {
            let (sequence, recorded) = (entry.sequence, entry.recorded_time);
            match entry.content {
                Content::Inference(record) => {
                    let known = outcomes.next().flatten();
                    if self.filter.keeps_all(&record, known.as_ref()) {
                        rows.push(Row::Inference(record, known));
                    }
                }
                Content::Repeat(repeat) => {
                    let known = outcomes.next().flatten();
                    if self.filter.keeps_repeat(&repeat) {
                        rows.push(Row::Repeat(repeat, recorded, sequence, known));
                    }
                }
                Content::Outcome(outcome) if self.continued && self.is_late(outcome.of)? => {
                    rows.push(Row::Late(outcome, recorded, sequence));
                }
                Content::Gap(gap) if self.filter.is_everything() => {
                    rows.push(Row::Gap(gap, recorded));
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// Whether an inference that something turned out for is none of this export's own.
    fn is_late(&self, of: InferenceId) -> Result<bool> {
        let lowest = self.lowest.get(&of.run());
        let surely_ours = lowest.is_some_and(|lowest| of.to_u64() > lowest.to_u64() + DISORDER);
        if surely_ours {
            return Ok(false);
        }
        let Some(record) = self.reader.get(of)? else {
            // Unknown to all: it stays what it is, a word about an id.
            return Ok(self.filter.is_everything());
        };
        let begun = lowest.is_some_and(|lowest| of >= *lowest);
        Ok(!begun && self.filter.keeps_all(&record, None))
    }
}
