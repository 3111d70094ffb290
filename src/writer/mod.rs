//! The background thread: sweep the queue, encode, commit, answer, nap.
//!
//! It is never blocked inside the channel, so no sender pays for waking it; it naps for up to the
//! commit interval and is woken early by every n-th event, by a full queue, a flush or a close.

mod batch;
pub(crate) mod dedup;
mod names;
mod runs;
mod serve;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::error::{Error, Result};
use crate::flush::Answer;
use crate::format::block::Block;
use crate::health::{Counts, State, Status};
use crate::ids::RunId;
use crate::options::Options;
use crate::queue::Queue;
use crate::queue::names::LocalName;
use crate::queue::record::Message;
use crate::store::{Commit, Hot, RunEnd, RunRow, WriteFailure};
use batch::{Batch, Readings};
use dedup::Dedup;
use names::StoredNames;
use runs::Runs;
use serve::{Pace, Work, serve};

/// Events taken from the queue before they are encoded: few enough to stay in the nearest cache.
const SLICE: usize = 128;
/// How much may be encoded while the device is full, in commits' worth.
const HELD_COMMITS: usize = 3;

/// Settings of the writer; see [`Options`].
struct Settings {
    commit_interval: Duration,
    commit_bytes: usize,
    memory_interval: Duration,
    ids_per_run: u64,
}

pub(crate) struct Writer {
    queue: Arc<Queue>,
    status: Arc<Status>,
    requests: Receiver<Answer>,
    hot: Hot,
    settings: Settings,
    runs: Runs,
    names: StoredNames,
    /// Taken from the queue, not yet encoded.
    incoming: Vec<Message>,
    batch: Batch,
    /// Invariant W1: while there is an attempt, nothing newer is committed.
    attempt: Option<Attempt>,
    failed: Option<Error>,
    /// When the device was last found full, and what it said.
    held: Option<(Instant, Error)>,
    /// Somebody waits: a full device is asked again now rather than after the interval.
    urgent: bool,
    last_commit: Instant,
    memory: Option<(Instant, u64)>,
}

/// A commit that was begun and is not known to have reached the disk.
struct Attempt {
    blocks: Vec<Block>,
    counts: Counts,
    rows: Vec<(RunId, RunRow)>,
    /// Tried, looked for, and not found: nothing of it is on disk.
    is_absent: bool,
}

/// What one try at a commit came to.
enum Progress {
    Done,
    /// The device is full; what was to be committed is kept.
    Held(Error),
}

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        status: Arc<Status>,
        requests: Receiver<Answer>,
        hot: Hot,
        run: (RunId, RunRow),
        options: &Options,
    ) -> Self {
        Writer {
            batch: Batch::new(
                run.0,
                Dedup::new(options.dedup_window, options.dedup_capacity),
            ),
            settings: Settings {
                commit_interval: options.commit_interval,
                commit_bytes: options.commit_bytes,
                memory_interval: options.memory_interval,
                ids_per_run: options.ids_per_run,
            },
            queue,
            status,
            requests,
            hot,
            runs: Runs::new(run.0, run.1),
            names: StoredNames::default(),
            incoming: Vec::with_capacity(SLICE),
            attempt: None,
            failed: None,
            held: None,
            urgent: false,
            last_commit: Instant::now(),
            memory: None,
        }
    }

    /// The thread's body. Sends its result to `done` when the journal is closed and settled.
    pub(crate) fn run(mut self, done: &Sender<Result<()>>) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let result = ended.unwrap_or_else(|_| {
            self.fail(Error::Failed {
                path: self.hot.name().to_owned(),
                reason: "the writer thread panicked; please report this".to_owned(),
            });
            self.outcome()
        });
        // Nobody receives any more: senders must not wait for room.
        self.queue.close();
        let status = self.status.clone();
        // Closing the file may wait for the disk or for another process, and belongs to the wait.
        drop(self);
        status.lock().gone = true;
        // Nobody may be waiting any more, if the journal was dropped past its bound.
        let _ = done.send(result);
    }

    fn serve(&mut self) -> Result<()> {
        let (queue, requests) = (self.queue.clone(), self.requests.clone());
        serve(self, &queue, &requests)
    }

    /// Encodes what is in the queue now, committing whenever a batch is full.
    fn take_up(&mut self) -> Result<()> {
        if self.failed.is_some() {
            self.drain_into_nothing();
            return Ok(());
        }
        let readings = self.readings();
        let room = self.settings.commit_bytes;
        let mut left = self.queue.len();
        loop {
            if self.batch.pending_bytes() >= room {
                let committed = self.commit_batch();
                if self.batch.pending_bytes() >= HELD_COMMITS * room {
                    return committed;
                }
            }
            let wanted = SLICE.min(left + self.incoming.len());
            while self.incoming.len() < wanted {
                match self.queue.receive() {
                    Some(message) => {
                        self.incoming.push(message);
                        left -= 1;
                    }
                    None => {
                        left = 0;
                        break;
                    }
                }
            }
            if !self.incoming.is_empty() {
                // Before and after: new names need a transaction, which may be held up for long.
                self.publish_in_hand();
                let encoded = self.encode(readings);
                self.publish_in_hand();
                encoded?;
            }
            if left == 0 || self.failed.is_some() {
                return Ok(());
            }
        }
    }

    fn encode(&mut self, readings: Readings) -> Result<()> {
        // Looked at after the messages were received: whoever sent one had its names by then.
        let all = self.queue.names.len();
        let unknown = self.names.unknown(&self.incoming, all);
        if !unknown.is_empty()
            && let Progress::Held(error) = self.store_names(&unknown)
        {
            return Err(error);
        }
        if self.failed.is_some() {
            return Ok(());
        }
        self.batch.push(&mut self.incoming, &self.names, readings);
        for _event in 0..self.batch.take_own() {
            self.queue.take_id();
        }
        Ok(())
    }

    /// Gives stored ids to names that this process uses for the first time.
    fn store_names(&mut self, unknown: &[LocalName]) -> Progress {
        if let Some(error) = self.still_held() {
            return Progress::Held(error);
        }
        let named: Vec<_> = unknown
            .iter()
            .filter_map(|local| {
                let (kind, text) = self.queue.names.text(*local)?;
                Some((*local, (kind as u8, text)))
            })
            .collect();
        let texts: Vec<_> = named.iter().map(|(_, name)| name.clone()).collect();
        match self.hot.intern(Some(self.runs.current()), &texts) {
            Ok(ids) => {
                for ((local, _), stored) in named.iter().zip(ids) {
                    self.names.set(*local, stored);
                }
                Progress::Done
            }
            Err(failure) => self.recover(failure, None),
        }
    }

    /// Commits all that is encoded, and the losses since the last commit. An error says that the
    /// device is full and how; a failure is in `self.failed`.
    fn commit_batch(&mut self) -> Result<()> {
        self.last_commit = Instant::now();
        if let Some(error) = self.still_held() {
            return Err(error);
        }
        // What an earlier commit left behind, then what is new, once: while the queue overflows
        // there are new losses at every look, and the queue must be swept between two looks.
        self.try_attempt()?;
        if self.failed.is_none() {
            self.begin_attempt();
        }
        self.try_attempt()
    }

    fn try_attempt(&mut self) -> Result<()> {
        let Some(attempt) = &mut self.attempt else {
            return Ok(());
        };
        let began = Instant::now();
        attempt.is_absent = false;
        let batch = attempt.rows.first().map(|(_, row)| row.batch);
        let outcome = self.hot.commit(Commit {
            blocks: &mut attempt.blocks,
            rows: &attempt.rows,
        });
        match outcome {
            Ok(_) => self.settle(began),
            Err(failure) => match self.recover(failure, batch) {
                Progress::Done => self.settle(began),
                Progress::Held(error) => return Err(error),
            },
        }
        Ok(())
    }

    fn begin_attempt(&mut self) {
        let anchor = self.queue.clock.anchor();
        let queue = self.queue.clone();
        for (reason, tally) in queue.tallies() {
            if let Some(lost) = tally.take() {
                self.batch.push_gap(reason, lost, anchor);
            }
        }
        let (blocks, counts, shares) = self.batch.take();
        if blocks.is_empty() {
            return;
        }
        self.attempt = Some(Attempt {
            rows: self.runs.with(&shares, counts.gaps),
            blocks,
            counts,
            is_absent: false,
        });
    }

    /// The attempt is on disk.
    fn settle(&mut self, began: Instant) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        self.runs.settle(attempt.rows);
        self.held = None;
        self.last_commit = Instant::now();
        let file_bytes = self.hot.file_bytes();
        let mut known = self.status.lock();
        known.state = State::Running;
        known.counts.add(attempt.counts);
        known.commits += 1;
        known.last_commit = Some(self.queue.clock.now());
        known.last_commit_took = began.elapsed();
        known.in_hand = self.batch.events() + self.incoming.len() as u64;
        known.file_bytes = file_bytes;
    }

    /// After a failed transaction. `batch` is the number of the commit that failed, if it was
    /// one: it may be on disk all the same.
    fn recover(&mut self, failure: WriteFailure, batch: Option<u64>) -> Progress {
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
    fn still_held(&self) -> Option<Error> {
        let (when, error) = self.held.as_ref()?;
        let recent = when.elapsed() < self.settings.commit_interval;
        (recent && !self.urgent).then(|| error.clone())
    }

    /// Gives up for good: nothing more is written, everything more is counted.
    fn fail(&mut self, error: Error) {
        let (_, never_tried, _) = self.batch.take();
        self.queue
            .count_failed(never_tried.events + self.incoming.len() as u64);
        self.incoming.clear();
        let attempted = self
            .attempt
            .take()
            .map_or(0, |attempt| attempt.counts.events);
        let mut known = self.status.lock();
        known.state = State::Failed;
        known.unknown += attempted;
        known.in_hand = 0;
        known.failure = Some(error.clone());
        drop(known);
        self.failed = Some(error);
    }

    fn drain_into_nothing(&mut self) {
        let mut drained = 0;
        while self.queue.receive().is_some() {
            drained += 1;
        }
        self.queue.count_failed(drained);
    }

    /// Takes a new run long before the counter of the current one ends.
    fn continue_under_next_run(&mut self) {
        let busy = self.failed.is_some() || self.attempt.is_some() || self.still_held().is_some();
        if busy || self.queue.used_of_run() < self.settings.ids_per_run {
            return;
        }
        let now = self.queue.clock.now().as_micros();
        let mut ended = self.runs.row().clone();
        ended.end = Some(RunEnd::Continued(now));
        let old = self.runs.current();
        let (run, row) = match self.hot.begin_run(now, Some((old, &ended))) {
            Ok(begun) => begun,
            Err(failure) => {
                // Half of the counter is left: time enough to try again.
                self.recover(failure, None);
                return;
            }
        };
        self.runs.move_to(run, row, ended);
        self.queue.move_to_run(run);
        self.batch.move_to_run(run);
        self.status.lock().run = run;
    }

    fn readings(&mut self) -> Readings {
        let interval = self.settings.memory_interval;
        let stale = self
            .memory
            .is_none_or(|(sampled, _)| sampled.elapsed() >= interval);
        if stale {
            let bytes = memory_stats::memory_stats().map(|stats| stats.physical_mem as u64);
            let stored = bytes.map_or(0, |bytes| bytes / 1_024 + 1);
            self.memory = Some((Instant::now(), stored));
            self.status.lock().process_memory = bytes;
        }
        Readings {
            anchor: self.queue.clock.anchor(),
            memory: self.memory.map_or(0, |(_, stored)| stored),
        }
    }

    fn publish_in_hand(&self) {
        let attempted = self
            .attempt
            .as_ref()
            .map_or(0, |attempt| attempt.counts.events);
        self.status.lock().in_hand = self.batch.events() + self.incoming.len() as u64 + attempted;
    }
}

impl Work for Writer {
    fn sweep(&mut self, pace: Pace) -> Result<()> {
        self.urgent = pace == Pace::Urgent;
        self.take_up()
    }

    fn is_due(&self) -> bool {
        self.last_commit.elapsed() >= self.settings.commit_interval
    }

    fn commit(&mut self) -> Result<()> {
        self.commit_batch()
    }

    fn outcome(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(error @ Error::Failed { .. }) => Err(error.clone()),
            Some(error) => Err(Error::Failed {
                path: self.hot.name().to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    fn tidy(&mut self) {
        self.continue_under_next_run();
    }

    fn rest(&self) -> Duration {
        let since = self.last_commit.elapsed();
        let left = self.settings.commit_interval.saturating_sub(since);
        // At the very least a moment, so that a full device is not asked in a tight loop.
        left.max(Duration::from_millis(1))
    }

    fn finish(&mut self, outcome: Result<()>) -> Result<()> {
        if self.failed.is_some() {
            return outcome;
        }
        // What is still held for want of room goes down with the journal, and is counted; the run
        // stays open, so that the next opener writes the gap that there is no room for now.
        let held = self.batch.events() + self.incoming.len() as u64;
        let attempted = self.attempt.as_ref();
        let lost_gaps = attempted.is_some_and(|attempt| attempt.counts.gaps > 0);
        let (absent, unknown) = match attempted {
            None => (0, 0),
            Some(attempt) if attempt.is_absent => (attempt.counts.events, 0),
            Some(attempt) => (0, attempt.counts.events),
        };
        self.queue.count_failed(held + absent);
        let outcome = if held + absent + unknown > 0 || lost_gaps || outcome.is_err() {
            outcome
        } else {
            let now = self.queue.clock.now().as_micros();
            let end = RunEnd::Closed(now);
            let run = self.runs.current();
            let ended = self.hot.end_run(run, self.runs.row(), end);
            ended.map_err(WriteFailure::into_error)
        };
        let file_bytes = self.hot.file_bytes();
        let mut known = self.status.lock();
        known.state = State::Closed;
        known.unknown += unknown;
        known.in_hand = 0;
        known.file_bytes = file_bytes;
        outcome
    }
}
