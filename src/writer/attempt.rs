//! One batch on its way to the disk: begun, tried, and either settled, kept for when there is room, or
//! given up.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Writer;
use super::committer::{Patience, Tried};
use crate::error::{Error, Result};
use crate::format::block::Block;
use crate::format::row::GapReason;
use crate::health::{Counts, State};
use crate::ids::RunId;
use crate::queue::drops::Lost;
use crate::store::{Commit, RunRow, WriteFailure};

/// A commit that was begun and is not known to have reached the disk.
pub(super) struct Attempt {
    blocks: Vec<Block>,
    pub(super) counts: Counts,
    rows: Vec<(RunId, RunRow)>,
    /// Tried, looked for, and not found: nothing of it is on disk.
    pub(super) is_absent: bool,
}

impl Attempt {
    /// What is to be committed, for one more try: nobody knows any more whether it is there.
    pub(super) fn commit(&mut self) -> Commit<'_> {
        self.is_absent = false;
        Commit {
            blocks: &mut self.blocks,
            rows: &self.rows,
        }
    }

    /// The number that its run's batches have reached with it.
    fn batch(&self) -> Option<u64> {
        self.rows.first().map(|(_, row)| row.batch)
    }
}

/// What one try at a transaction came to.
pub(super) enum Progress {
    Done,
    /// The device is full; what was to be committed is kept.
    Held(Error),
}

impl Writer {
    /// Commits all that is encoded, and the losses since the last commit. An error says that the
    /// device is full and how; a failure is in `self.failed`.
    pub(super) fn commit_batch(&mut self) -> Result<()> {
        self.last_commit = Instant::now();
        self.take_back(Patience::Endless)?;
        if let Some(error) = self.still_held() {
            return Err(error);
        }
        // What an earlier commit left behind, then what is new, once: while the queue overflows
        // there are new losses at every look, and the queue must be swept between two looks.
        self.try_attempt()?;
        self.begin_attempt();
        self.try_attempt()
    }

    /// Has the committer commit what is encoded, to go on encoding meanwhile. While it is still at the
    /// batch before, nothing happens, unless a whole one waits already.
    pub(super) fn commit_beside(&mut self) -> Result<()> {
        let is_ahead = self.batch.pending_bytes() >= 2 * self.settings.commit_bytes;
        let patience = if is_ahead {
            Patience::Endless
        } else {
            Patience::None
        };
        self.take_back(patience)?;
        if self.committer.is_at_work() {
            return Ok(());
        }
        self.last_commit = Instant::now();
        if let Some(error) = self.still_held() {
            return Err(error);
        }
        self.try_attempt()?;
        self.begin_attempt();
        if let Some(attempt) = self.attempt.take() {
            self.attempt = self.committer.hand_over(attempt, &self.queue);
        }
        self.try_attempt()
    }

    /// Takes over what became of the committer's attempt, as soon as `patience` allows.
    pub(super) fn take_back(&mut self, patience: Patience) -> Result<()> {
        match self.committer.take_back(patience) {
            None => Ok(()),
            Some(Tried::Ended {
                attempt,
                outcome,
                took,
            }) => {
                self.attempt = Some(attempt);
                self.conclude(outcome, took)
            }
            Some(Tried::Lost) => {
                self.fail(Error::Failed {
                    path: self.hot.name().to_owned(),
                    reason: "the thread annals-commit panicked; please report this".to_owned(),
                });
                Ok(())
            }
        }
    }

    fn try_attempt(&mut self) -> Result<()> {
        let Some(attempt) = &mut self.attempt else {
            return Ok(());
        };
        let began = Instant::now();
        let outcome = self.hot.commit(attempt.commit()).map(drop);
        self.conclude(outcome, began.elapsed())
    }

    /// After a try at `self.attempt`.
    fn conclude(&mut self, outcome: Result<(), WriteFailure>, took: Duration) -> Result<()> {
        let Err(failure) = outcome else {
            self.settle(took);
            return Ok(());
        };
        let batch = self.attempt.as_ref().and_then(Attempt::batch);
        match self.recover(failure, batch) {
            Progress::Done => self.settle(took),
            Progress::Held(error) => return Err(error),
        }
        Ok(())
    }

    fn begin_attempt(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let anchor = self.queue.clock.anchor();
        let queue = self.queue.clone();
        for (reason, tally) in queue.tallies() {
            let Some(mut lost) = tally.take() else {
                continue;
            };
            if reason == GapReason::Refused {
                // One gap for each reason. All have the times of the first and the last.
                for (refusal, count) in queue.refusals.take(lost.count) {
                    let part = Lost { count, ..lost };
                    self.batch.push_gap(reason, part, Some(refusal), anchor);
                    lost.count -= count;
                }
            }
            if lost.count > 0 {
                self.batch.push_gap(reason, lost, None, anchor);
            }
        }
        let (blocks, counts, shares) = self.batch.take();
        if blocks.is_empty() {
            return;
        }
        let mut rows = self.runs.with(&shares, counts.gaps);
        if queue.panicked.swap(false, Ordering::AcqRel)
            && let Some((_, row)) = rows.first_mut()
        {
            row.panicked = Some(row.batch);
        }
        self.attempt = Some(Attempt {
            rows,
            blocks,
            counts,
            is_absent: false,
        });
    }

    /// The attempt is on disk.
    fn settle(&mut self, took: Duration) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        self.runs.settle(attempt.rows);
        self.held = None;
        self.last_commit = Instant::now();
        let file_bytes = self.hot.file_bytes();
        let mut known = self.status.lock();
        known.state = match self.misplaced {
            None => State::Running,
            Some(_) => State::Misplaced,
        };
        known.counts.add(attempt.counts);
        known.commits += 1;
        known.last_commit = Some(self.queue.clock.now());
        known.last_commit_took = took;
        known.in_hand = self.batch.events() + self.incoming.len() as u64;
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
        let error = match self.hot.reopen(self.runs.current()) {
            Ok(stored) if Some(stored) == batch => return Progress::Done,
            Ok(_) => {
                if let Some(attempt) = self.attempt.as_mut().filter(|_| batch.is_some()) {
                    attempt.is_absent = true;
                }
                full
            }
            // What keeps the file from being opened may pass, and nothing is lost by waiting.
            Err(error @ (Error::Io { .. } | Error::NoRoom { .. })) => error,
            Err(worse) => {
                self.fail(worse);
                return Progress::Done;
            }
        };
        self.held = Some((Instant::now(), error.clone()));
        let mut known = self.status.lock();
        known.state = State::NoRoom;
        known.failure = Some(error.clone());
        Progress::Held(error)
    }

    /// What a full device said, if that is too recent to ask again: senders that find the queue
    /// full wake the writer at every call.
    pub(super) fn still_held(&self) -> Option<Error> {
        let (when, error) = self.held.as_ref()?;
        let recent = when.elapsed() < self.settings.commit_interval;
        (recent && !self.urgent).then(|| error.clone())
    }

    /// Gives up for good: nothing more is written, everything more is counted.
    pub(super) fn fail(&mut self, error: Error) {
        let (_, never_tried, _) = self.batch.take();
        self.queue
            .count_failed(never_tried.events + self.incoming.len() as u64);
        self.incoming.clear();
        let attempted = self.attempted();
        self.attempt = None;
        self.committer.give_up();
        let mut known = self.status.lock();
        known.state = State::Failed;
        known.unknown += attempted;
        known.in_hand = 0;
        known.failure = Some(error.clone());
        drop(known);
        self.failed = Some(error);
    }

    /// Events of the attempt, wherever it is.
    pub(super) fn attempted(&self) -> u64 {
        let here = self.attempt.as_ref();
        here.map_or(0, |attempt| attempt.counts.events) + self.committer.events()
    }
}
