//! Rows of `inference_records`: read in this thread, taken in by another, in pieces of bounded size.

use std::sync::mpsc::{Receiver, sync_channel};

use annals::{Importer, RunId};
use jiff::tz::TimeZone;

use super::super::Report;
use super::Trouble;
use super::decision::{self, Decision};
use super::table::Table;
use super::words::Words;
use crate::failure::{Failure, Result};
use crate::progress;

/// Rows that are handed over at once.
const BATCH: usize = 1_024;
/// Batches under way.
const AHEAD: usize = 4;

/// A row's number, and what it says.
type Read = (i64, Result<Decision, Trouble>);

/// Takes in all rows, in the order of their numbers.
pub fn inferences(
    table: &Table<'_>,
    importer: &mut Importer,
    run: RunId,
    zone: &TimeZone,
    report: &mut Report,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<()> {
    let bar = progress::rows(Some(table.rows), "importing inferences");
    let select = format!("{} ORDER BY rowid", table.select);
    let mut query = table.file.prepare(&select).map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<Read>>(AHEAD);
        let mut taking = Taking {
            importer,
            run,
            report,
            table: table.name,
        };
        let bar = &bar;
        let taking = scope.spawn(move || taking.all(&receiver, |rows| bar.inc(rows)));
        let mut words = Words::default();
        let mut batch = Vec::with_capacity(BATCH);
        let read = loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break Ok(()),
                Err(error) => break Err(failed(error)),
            };
            let number: i64 = row.get(0).map_err(failed)?;
            batch.push((number, decision::read(row, zone, &mut words)));
            if batch.len() == BATCH {
                let whole = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                // Whoever takes in has stopped, and says why below.
                if sender.send(whole).is_err() {
                    break Ok(());
                }
            }
        };
        // What was read is taken in, whatever came after it.
        let _ = sender.send(batch);
        drop(sender);
        match taking.join() {
            Ok(taken) => taken.and(read),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// The importing side.
struct Taking<'t> {
    importer: &'t mut Importer,
    run: RunId,
    report: &'t mut Report,
    table: &'static str,
}

impl Taking<'_> {
    fn all(&mut self, receiver: &Receiver<Vec<Read>>, done: impl Fn(u64)) -> Result<()> {
        for batch in receiver {
            done(batch.len() as u64);
            for (number, decision) in batch {
                let table = self.table;
                let place = || format!("{table} row {number}");
                match decision.and_then(|decision| self.one(number, decision)) {
                    Ok(None) => {}
                    Ok(Some(damage)) => self.report.damaged(&place(), &damage),
                    Err(Trouble::Row(why)) => self.report.broken(&place(), &why),
                    Err(Trouble::Fatal(failure)) => return Err(failure),
                }
            }
        }
        Ok(())
    }

    /// Takes one in; says which field could not be read, if the row is new.
    fn one(&mut self, number: i64, decision: Decision) -> Result<Option<String>, Trouble> {
        let number =
            u64::try_from(number).map_err(|_| Trouble::Row("its number is negative".into()))?;
        let id = self.run.inference(number)?;
        if decision.add(id, self.importer)? {
            self.report.inferences += 1;
            return Ok(decision.damage);
        }
        self.report.known += 1;
        Ok(None)
    }
}
