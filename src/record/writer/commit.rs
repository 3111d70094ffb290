//! The in-flight commit of the writer: begun, tried, and then finished, kept for when there is
//! room, or abandoned.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Writer;
use super::commit_thread::{Finished, Wait};
use super::in_flight::InFlight;
use crate::engine::kv::WriteFailure;
use crate::engine::spool::Covered;
use crate::entry::error::{Error, Result};
use crate::entry::gap::GapReason;
use crate::record::queue::drop_counters::Drops;
use crate::record::queue::intake::Intake;
use crate::record::status::State;

/// Result of one try at a transaction.
pub(super) enum Progress {
    Done,
    /// The device is full; the batch is kept.
    NoRoom(Error),
}

impl Writer {
    /// Commits all that is encoded, and the losses since the last commit. An error reports a full
    /// device; a failure is in `self.failed`.
    pub(super) fn commit_batch(&mut self) -> Result<()> {
        self.last_commit = Instant::now();
        // Its result decides first: after a failure nothing newer may be committed (W1).
        self.poll_commit_thread(Wait::UntilDone)?;
        if let Some(error) = self.recent_no_room() {
            return Err(error);
        }
        // Leftovers of an earlier commit, then new entries, once. While the queue overflows there
        // are new losses at every look, and the queue must be drained between two looks.
        self.try_in_flight()?;
        self.prepare_commit();
        self.try_in_flight()
    }

    /// Submits encoded blocks to the commit thread and continues to encode. While that still has
    /// the batch before, nothing happens, unless a second full batch waits already.
    pub(super) fn submit_batch(&mut self) -> Result<()> {
        // One batch at the disk and two in memory bound what a slow disk makes the writer hold.
        let is_ahead = self.batch.pending_bytes() >= 2 * self.settings.commit_bytes;
        let wait = if is_ahead { Wait::UntilDone } else { Wait::No };
        self.poll_commit_thread(wait)?;
        if self.commit_thread.is_busy() {
            return Ok(());
        }
        self.last_commit = Instant::now();
        if let Some(error) = self.recent_no_room() {
            return Err(error);
        }
        self.try_in_flight()?;
        self.prepare_commit();
        if let Some(in_flight) = self.in_flight.take() {
            // If no thread can be started, the commit comes back and is made here: slower, and
            // never lost.
            self.in_flight = self.commit_thread.submit(in_flight, &self.queue);
        }
        self.try_in_flight()
    }

    /// Takes the result of the commit thread. Without one, waits for it as `wait` demands.
    pub(super) fn poll_commit_thread(&mut self, wait: Wait) -> Result<()> {
        match self.commit_thread.poll(wait) {
            None => Ok(()),
            Some(Finished::Commit {
                in_flight,
                result,
                took,
            }) => {
                self.in_flight = Some(in_flight);
                self.conclude(result, took)
            }
            Some(Finished::Panicked) => {
                self.fail(Error::Failed {
                    path: self.hot.name().to_owned(),
                    reason: "the thread annals-commit panicked; please report this".to_owned(),
                });
                Ok(())
            }
        }
    }

    fn try_in_flight(&mut self) -> Result<()> {
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(());
        };
        let began = Instant::now();
        let result = self.hot.commit(in_flight.commit());
        self.conclude(result, began.elapsed())
    }

    /// After a try at `self.in_flight`.
    fn conclude(&mut self, result: Result<(), WriteFailure>, took: Duration) -> Result<()> {
        let Err(failure) = result else {
            self.finish_commit(took);
            return Ok(());
        };
        // Read before the recovery, which reopens the file and compares this number with the stored
        // one.
        let batch = self.in_flight.as_ref().and_then(InFlight::batch);
        match self.recover(failure, batch) {
            Progress::Done => self.finish_commit(took),
            Progress::NoRoom(error) => return Err(error),
        }
        Ok(())
    }

    fn prepare_commit(&mut self) {
        if self.failed.is_some() {
            return;
        }
        // One reading for all gaps of the commit, so that their times can be compared.
        let anchor = self.queue.clock.anchor();
        let queue = self.queue.clone();
        for (reason, counter) in queue.drop_counters() {
            let Some(mut lost) = counter.take() else {
                continue;
            };
            if reason == GapReason::Refused {
                // One gap for each reason. All have the times of the first and the last.
                for (refusal, count) in queue.refusals.take(lost.count) {
                    let part = Drops { count, ..lost };
                    self.batch.push_gap(reason, part, Some(refusal), anchor);
                    // The rest are losses whose reason was not kept: they get a gap too.
                    lost.count -= count;
                }
            }
            if lost.count > 0 {
                // In the same commit as the entries around the loss, so the gap cannot be lost
                // alone.
                self.batch.push_gap(reason, lost, None, anchor);
            }
        }
        // With the gaps, so that no death can count these losses twice or never.
        self.spool_encoded();
        let (blocks, counts, deltas) = self.batch.take();
        if blocks.is_empty() {
            return;
        }
        let mut rows = self.runs.with(&deltas, counts.gaps);
        if let (Some(intake), Some((_, row))) = (&mut self.intake, rows.first()) {
            // All that is encoded goes into this commit.
            intake.mark(Covered::Commit { batch: row.batch });
        }
        if queue.panicked.swap(false, Ordering::AcqRel)
            && let Some((_, row)) = rows.first_mut()
        {
            // The batch number tells which commit has the panic; the event itself is among its
            // entries.
            row.panicked = Some(row.batch);
        }
        self.in_flight = Some(InFlight {
            rows,
            blocks,
            counts,
            is_absent: false,
            inputs: self.batch.take_inputs(),
        });
    }

    /// The in-flight commit is on disk.
    fn finish_commit(&mut self, took: Duration) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        if in_flight.inputs.is_lost() {
            self.batch.give_inputs_up();
        }
        // Only now: the batch number of a commit that failed is used again by the next try, and
        // recovery compares it with the stored one.
        self.runs.confirm(in_flight.rows);
        self.no_room = None;
        self.last_commit = Instant::now();
        // Asked before the lock is taken: health is read by loops, which must not wait for a file
        // system.
        let file_bytes = self.hot.file_bytes();
        let received = self.received();
        let mut known = self.status.lock();
        known.state = match self.misplaced {
            None => State::Running,
            Some(_) => State::Misplaced,
        };
        known.counts.add(in_flight.counts);
        known.inputs.add(in_flight.inputs.counts());
        if let Some(error) = in_flight.inputs.error() {
            known.input_error = Some(error.to_owned());
        }
        known.commits += 1;
        known.last_commit = Some(self.queue.clock.now());
        known.last_commit_took = took;
        known.uncommitted = self.batch.events() + received;
        known.file_bytes = file_bytes;
    }

    /// After a failed transaction. `batch` is the number of the commit that failed, if it was
    /// one: it may be on disk all the same.
    pub(super) fn recover(&mut self, failure: WriteFailure, batch: Option<u64>) -> Progress {
        let full = match failure {
            WriteFailure::NoRoom(error) => error,
            WriteFailure::Fatal(error) => {
                self.fail(error);
                return Progress::Done;
            }
        };
        // redb refuses a handle after a failed write, and only a fresh one shows what holds.
        let error = match self.hot.reopen(self.runs.current()) {
            // The commit is there although redb reported an error: sending it again would double
            // it.
            Ok(stored) if Some(stored) == batch => return Progress::Done,
            Ok(_) => {
                if let Some(in_flight) = self.in_flight.as_mut().filter(|_| batch.is_some()) {
                    in_flight.is_absent = true;
                }
                full
            }
            // An obstacle to opening the file may pass, and waiting loses nothing.
            // `unknown` is not decided yet: the handle stays closed, and the next try opens it and
            // looks again.
            Err(error @ (Error::Io { .. } | Error::NoRoom { .. })) => error,
            Err(worse) => {
                self.fail(worse);
                return Progress::Done;
            }
        };
        self.no_room = Some((Instant::now(), error.clone()));
        let mut known = self.status.lock();
        known.state = State::NoRoom;
        known.failure = Some(error.clone());
        Progress::NoRoom(error)
    }

    /// The error of a full device, if it is too recent to ask again: senders that find the queue
    /// full wake the writer at every call.
    pub(super) fn recent_no_room(&self) -> Option<Error> {
        let (when, error) = self.no_room.as_ref()?;
        let recent = when.elapsed() < self.settings.commit_interval;
        (recent && !self.urgent).then(|| error.clone())
    }

    /// Gives up for good: nothing more is written, everything more is counted.
    pub(super) fn fail(&mut self, error: Error) {
        // The next opener takes in what the spool has, if it can read it: unknown, like a commit.
        let spooled = self.events_in_spool();
        // Encoded and never handed to redb or to the spool: certainly not on disk, so they count
        // as failed and not as unknown.
        let (_, never_tried, _) = self.batch.take();
        self.queue
            .count_failed(never_tried.events - spooled + self.incoming.len() as u64);
        self.incoming.clear();
        // An absent commit is certainly not on disk, unless the spool has it.
        let absent = self.in_flight.as_ref().filter(|commit| commit.is_absent);
        let absent = absent.filter(|_| self.spooling.is_none());
        let absent = absent.map_or(0, |commit| commit.counts.events);
        self.queue.count_failed(absent);
        self.leave_spool();
        let in_flight = self.events_in_flight() - absent;
        self.in_flight = None;
        // Its commit may still end well. The count says unknown, and the next opening finds what
        // holds.
        self.commit_thread.abandon();
        let mut known = self.status.lock();
        known.state = State::Failed;
        // Dropped or committed cannot be told before the journal is opened anew.
        known.unknown += in_flight + spooled;
        known.uncommitted = 0;
        known.failure = Some(error.clone());
        drop(known);
        self.failed = Some(error);
    }

    /// Events that were taken from the queue and are not encoded.
    pub(super) fn received(&self) -> u64 {
        let waiting = self.intake.as_ref().map_or(0, Intake::waiting);
        waiting + self.incoming.len() as u64
    }

    /// Events of the in-flight commit, here or with the commit thread.
    pub(super) fn events_in_flight(&self) -> u64 {
        let here = self.in_flight.as_ref();
        here.map_or(0, |in_flight| in_flight.counts.events) + self.commit_thread.events()
    }
}
