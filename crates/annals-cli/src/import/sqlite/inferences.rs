//! Rows of `inference_records`: read in this thread, taken in by another, in pieces of bounded
//! size.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use annals::import::Importer;
use annals::{InferenceId, RunId};
use jiff::tz::TimeZone;

use super::super::ImportReport;
use super::super::content::{InferenceContent, hash};
use super::super::known::{BY_CONTENT, How, KnownInferences, Recognition, SourceRow};
use super::super::times::Doubts;
use super::RowTrouble;
use super::decision::{self, Decision, MoreColumns};
use super::rest::{self, Scanned};
use super::table::SourceTable;
use super::words::TextPool;
use crate::failure::{Failure, Result};
use crate::progress;

/// Rows that are handed over at once.
const BATCH: usize = 1_024;
/// Batches under way.
const AHEAD: usize = 4;
/// Numbers that are tried for a row without one: rows with the same content follow each other.
const MOST_TRIES: u64 = 1 << 24;

/// A row's number, and what it says.
type ReadRow = (Option<i64>, Result<Decision, RowTrouble>);

/// Takes in all rows that can be read, in the order of their numbers.
pub fn inferences(
    table: &SourceTable<'_>,
    more: MoreColumns<'_>,
    taking: SqliteImport<'_>,
    zone: &TimeZone,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<()> {
    let bar = progress::rows(table.rows, "importing inferences");
    let unread = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<ReadRow>>(AHEAD);
        let bar = &bar;
        let taker = scope.spawn(move || taking.all(&receiver, |rows| bar.inc(rows)));
        let read = read_all(table, more, zone, sender, failed);
        match taker.join() {
            Ok(taken) => taken.and_then(|report| read.map(|unread| (report, unread))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    bar.finish_and_clear();
    let (report, unread) = unread?;
    report.unread.extend(unread);
    Ok(())
}

/// Reads the rows, beyond those that cannot be read too; says which these are.
fn read_all(
    table: &SourceTable<'_>,
    more: MoreColumns<'_>,
    zone: &TimeZone,
    sender: SyncSender<Vec<ReadRow>>,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<Vec<String>> {
    let mut words = TextPool::default();
    let mut batch = Vec::with_capacity(BATCH);
    let unread = rest::scan(table, !more.others.is_empty(), failed, |number, row| {
        batch.push((number, decision::read(row, zone, more, &mut words)));
        if batch.len() < BATCH {
            return Scanned::Further;
        }
        let whole = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        // The other thread has stopped if this fails, and its error is given.
        match sender.send(whole) {
            Ok(()) => Scanned::Further,
            Err(_) => Scanned::Enough,
        }
    });
    // Rows that were read are taken in, whatever came after them.
    let _ = sender.send(batch);
    unread
}

/// The importing side.
pub struct SqliteImport<'t> {
    pub importer: &'t mut Importer,
    pub run: RunId,
    pub report: &'t mut ImportReport,
    pub table: &'static str,
    /// Rows taken in before; empty if all of the source is to be taken in.
    pub known: KnownInferences,
}

impl<'t> SqliteImport<'t> {
    fn all(
        mut self,
        receiver: &Receiver<Vec<ReadRow>>,
        done: impl Fn(u64),
    ) -> Result<&'t mut ImportReport> {
        for batch in receiver {
            done(batch.len() as u64);
            for (number, decision) in batch {
                match decision.and_then(|decision| self.one(number, decision)) {
                    Ok(()) => {}
                    Err(RowTrouble::Row(why)) => {
                        let place = place(self.table, number);
                        self.report.broken(&place, &why);
                    }
                    Err(RowTrouble::Fatal(failure)) => return Err(failure),
                }
            }
        }
        Ok(self.report)
    }

    /// Takes one in, if it is new.
    fn one(&mut self, number: Option<i64>, decision: Decision) -> Result<(), RowTrouble> {
        if self.known.is_empty()
            && let Some(id) = self.own_id(number)
        {
            // There is nothing that it could be known by.
            let is_new = decision.add(id, self.importer)?;
            self.count(number, is_new, &decision)?;
            // Where another row has the number, nothing tells whose outcome that is.
            return match is_new {
                true => self.turned(id, number, &decision),
                false => Ok(()),
            };
        }
        let row = decision.row(number);
        let verdict = self.known.judge(self.run.get(), &row);
        match verdict {
            Recognition::Known(stored, how) => {
                let run = stored.run();
                self.known(number, run, how, &row.content);
                if decision.turned.outcome().is_none() && decision.turned.losses.is_empty() {
                    return Ok(());
                }
                let source = self.known.source(run).to_owned();
                let id = self.importer.source(&source)?.inference(stored.counter())?;
                let before = self.report.outcomes;
                self.turned(id, number, &decision)?;
                self.report.completed += u64::from(self.report.outcomes > before);
                return Ok(());
            }
            Recognition::Alike(run) => {
                let source = self.known.source(run).to_owned();
                *self.report.alike.entry(source).or_default() += 1;
            }
            Recognition::New => {}
        }
        let id = self.add(&row, &decision)?;
        self.count(number, id.is_some(), &decision)?;
        id.map_or(Ok(()), |id| self.turned(id, number, &decision))
    }

    /// Adds what turned out for the decision with this id.
    fn turned(
        &mut self,
        id: InferenceId,
        number: Option<i64>,
        decision: &Decision,
    ) -> Result<(), RowTrouble> {
        let place = place(self.table, number);
        for (index, loss) in decision.turned.losses.iter().enumerate() {
            self.report.not_taken(loss.field.clone(), loss.reason);
            if index == 0 {
                self.report.damaged(&place, &loss.why);
            }
        }
        let Some(outcome) = decision.turned.outcome() else {
            return Ok(());
        };
        match self
            .importer
            .add_outcome(id, &outcome)
            .map_err(RowTrouble::from)
        {
            Ok(is_new) => self.report.outcomes += u64::from(is_new),
            Err(RowTrouble::Row(why)) => {
                self.report.not_taken("outcome", "more than an entry holds");
                self.report.damaged(&place, &why);
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// The id that a row's own number gives it.
    fn own_id(&self, number: Option<i64>) -> Option<InferenceId> {
        let number = u64::try_from(number?).ok()?;
        self.run.inference(number).ok()
    }

    /// Counts a row that was handed to the importer.
    fn count(
        &mut self,
        number: Option<i64>,
        is_new: bool,
        decision: &Decision,
    ) -> Result<(), RowTrouble> {
        if !is_new {
            // Another row of this source has the same number: it cannot be told from that.
            self.report.known += 1;
            return Ok(());
        }
        self.report.inferences += 1;
        let mut doubts = Doubts::default();
        doubts.note(&decision.stamp());
        doubts.count(self.report);
        for (index, loss) in decision.losses.iter().enumerate() {
            self.report.not_taken(loss.field.clone(), loss.reason);
            if index == 0 {
                self.report.damaged(&place(self.table, number), &loss.why);
            }
        }
        Ok(())
    }

    fn known(&mut self, number: Option<i64>, run: u32, how: How, content: &InferenceContent) {
        let report = &mut *self.report;
        report.known += 1;
        let source = self.known.source(run).to_owned();
        *report.known_as.entry(source).or_default() += 1;
        match how {
            How::Same => {}
            How::OtherZone => report.other_zone(run),
            How::Differs(before) => {
                let changes = content.changes(&before);
                report.differs(&place(self.table, number), run, &changes);
            }
        }
    }

    /// Adds a row under its own number, or one that its content gives it; its id, if it is new.
    fn add(
        &mut self,
        row: &SourceRow,
        decision: &Decision,
    ) -> Result<Option<InferenceId>, RowTrouble> {
        if let Some(number) = row.number {
            let id = self.run.inference(number)?;
            if !self.known.has_id(id) {
                // A row that exists all the same came in from another import of this source at the
                // same time.
                let is_new = decision.add(id, self.importer)?;
                return Ok(is_new.then_some(id));
            }
        }
        let start = hash(&(row.content.core, row.content.time, row.content.fields));
        for further in 0..MOST_TRIES {
            let number = BY_CONTENT | (start.wrapping_add(further) & (BY_CONTENT - 1));
            let id: InferenceId = self.run.inference(number)?;
            if !self.known.has_id(id) && decision.add(id, self.importer)? {
                return Ok(Some(id));
            }
        }
        Err(RowTrouble::row("there are too many rows with this content"))
    }
}

fn place(table: &str, number: Option<i64>) -> String {
    match number {
        Some(number) => format!("{table} row {number}"),
        None => format!("a row of {table}"),
    }
}
