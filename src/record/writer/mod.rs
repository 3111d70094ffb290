//! The background thread: drain the queue, encode, commit, answer, nap.
//!
//! It is never blocked inside the channel, so no sender pays for waking it. It naps for up to the
//! commit interval and is woken early by every n-th event, by a full queue, a flush or a close.

pub(crate) mod batch;
pub(crate) mod commit;
pub(crate) mod commit_thread;
pub(crate) mod dedup;
pub(crate) mod dictionary;
pub(crate) mod in_flight;
pub(crate) mod runs;
pub(crate) mod serve;
mod spooling;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::flush::FlushReply;
use super::queue::Queue;
use super::queue::intake::Intake;
use super::queue::message::Message;
use super::recovery::Recovery;
use crate::engine::hot::Hot;
use crate::engine::inputs::store::InputStore;
use crate::engine::kv::WriteFailure;
use crate::engine::runs::{RunEnd, RunRow};
use crate::engine::spool::Spool;
use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::fs::failpoint;
use crate::options::{BlackBox, Options};
use crate::record::status::{State, Status};
use crate::threads::worker;
use batch::{Batch, Readings};
use commit::Progress;
use commit_thread::{CommitThread, Wait};
use dedup::Dedup;
use dictionary::{UnknownName, WriterDictionary};
use in_flight::InFlight;
use runs::WriterRuns;
use serve::{Urgency, Work, serve};
use spooling::{SPOOL_INTERVAL, Spooling};

/// Events taken from the queue before they are encoded: few enough to stay in the nearest cache.
const SLICE: usize = 128;
/// No further one is taken when their texts have so many bytes.
const SLICE_BYTES: usize = 1 << 20;
/// As [`SLICE`], where many of the names are new: each slice then takes a transaction.
const SLICE_OF_NEW: usize = 4_096;
/// Interval of checking that the files have their names, besides at every flush.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How much may be encoded while the device is full, in commits' worth.
const HELD_COMMITS: usize = 2;

/// Settings of the writer; see [`Options`].
struct Settings {
    commit_interval: Duration,
    commit_bytes: usize,
    memory_interval: Duration,
    ids_per_run: u64,
}

/// Messages that a round may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// So many of the channel.
    Messages(usize),
    /// Those with lower ids, of the lanes and of the channel.
    Below(u64),
    Nothing,
}

pub(crate) struct Writer {
    queue: Arc<Queue>,
    status: Arc<Status>,
    requests: Receiver<FlushReply>,
    hot: Hot,
    settings: Settings,
    runs: WriterRuns,
    names: WriterDictionary,
    /// How many events are taken from the queue next.
    slice: usize,
    /// Taken from the queue, not yet encoded.
    incoming: Vec<Message>,
    /// `None` if there are no lanes: all comes through the channel.
    intake: Option<Intake>,
    batch: Batch,
    /// Invariant W1: while a commit is in flight, here or with the commit thread, nothing newer
    /// is committed.
    in_flight: Option<InFlight>,
    /// Invariant W2: while it has a commit, no other transaction of this writer begins.
    commit_thread: CommitThread,
    /// `None` if no spool is wanted, or none is possible.
    spooling: Option<Spooling>,
    failed: Option<Error>,
    /// When the device was last found full, and its error.
    no_room: Option<(Instant, Error)>,
    /// A caller waits: a full device is asked again now rather than after the interval.
    urgent: bool,
    last_commit: Instant,
    /// When it was last looked whether the file and the run's lock have their names, and what
    /// became of the file's.
    names_checked: Option<Instant>,
    misplaced: Option<Error>,
    memory: Option<(Instant, u64)>,
}

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        status: Arc<Status>,
        requests: Receiver<FlushReply>,
        hot: Hot,
        run: (RunId, RunRow),
        spool: Option<Spool>,
        options: &Options,
    ) -> Self {
        let intake = queue.lanes().map(Intake::of);
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
            commit_thread: CommitThread::new(hot.commits()),
            spooling: spool.map(Spooling::new),
            queue,
            status,
            requests,
            hot,
            runs: WriterRuns::new(run.0, run.1),
            names: WriterDictionary::default(),
            slice: SLICE,
            incoming: Vec::with_capacity(SLICE),
            intake,
            in_flight: None,
            failed: None,
            no_room: None,
            urgent: false,
            last_commit: Instant::now(),
            names_checked: None,
            misplaced: None,
            memory: None,
        }
    }

    /// Keeps inputs there.
    pub(crate) fn keep_inputs(&mut self, inputs: InputStore) {
        self.batch.keep_inputs(inputs);
    }

    /// The thread's body. Sends its result to `done` when the journal is closed and settled.
    pub(crate) fn run(mut self, done: &Sender<Result<()>>) {
        // The writer has nothing else to do; flush, close and the queue have bounds of their own.
        self.hot.wait_endlessly();
        // A panic must not leave callers of `flush` and `close` waiting: it becomes the journal's
        // failure.
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let result = ended.unwrap_or_else(|panic| {
            let panic = worker::panicked("annals-writer", &*panic);
            self.fail(Error::Failed {
                path: self.hot.name().to_owned(),
                reason: panic.to_string(),
            });
            self.queue.note_panic(panic);
            self.failure()
        });
        // The receiver is gone: senders must not wait for room.
        // Before sealing: senders that see it closed count their own loss, and the rest are
        // stranded below.
        self.queue.close();
        self.queue.seal();
        if let Some(intake) = &mut self.intake {
            self.queue.count_closed(intake.end());
        }
        let status = self.status.clone();
        // Closing the file may wait for the disk or for another process, and belongs to the wait.
        // It also answers the flushes that are left: a dropped request reports that the journal is
        // closed.
        drop(self);
        status.lock().gone = true;
        // The caller may be gone, if the journal was dropped past its bound.
        let _ = done.send(result);
    }

    fn serve(&mut self) -> Result<()> {
        let (queue, requests) = (self.queue.clone(), self.requests.clone());
        serve(self, &queue, &requests)
    }

    /// Encodes the messages in the queue now, committing whenever a batch is full.
    fn encode_queued(&mut self) -> Result<()> {
        if self.failed.is_some() {
            self.discard_queued();
            return Ok(());
        }
        let readings = self.readings();
        // Compared before each slice and not after it, so that a full batch is on its way while the
        // next slice is encoded.
        let room = self.settings.commit_bytes;
        // Read once: a loop that followed a fast producer would never end, and no flush be
        // answered.
        let mut left = match &mut self.intake {
            None => Left::Messages(self.queue.len()),
            Some(intake) => {
                intake.note(readings.into());
                let left = Left::Below(intake.begin_round(&self.queue));
                self.queue.count_failed(intake.take_unreadable());
                left
            }
        };
        loop {
            if self.batch.pending_bytes() >= room {
                let committed = self.submit_batch();
                // Without room the queue fills and drops are counted; more memory would only delay
                // that.
                if self.failed.is_some() || self.batch.pending_bytes() >= HELD_COMMITS * room {
                    return committed;
                }
            }
            // A slice of the longest messages stays below what a frame of the spool takes.
            let mut bytes = 0;
            while self.incoming.len() < self.slice
                && bytes < SLICE_BYTES
                && let Some(message) = self.receive(&mut left)
            {
                bytes += message.text_bytes();
                self.incoming.push(message);
            }
            if !self.incoming.is_empty() {
                // Before and after: new names need a transaction, which may be held up for long.
                self.publish_uncommitted();
                let encoded = self.encode(readings);
                self.publish_uncommitted();
                encoded?;
                if self.is_frame_due() {
                    self.spool_encoded();
                }
            }
            if left == Left::Nothing || self.failed.is_some() {
                return Ok(());
            }
        }
    }

    /// The next message, of those that are `left`.
    #[inline]
    fn receive(&mut self, left: &mut Left) -> Option<Message> {
        let next = match (&mut self.intake, *left) {
            (Some(intake), Left::Below(bound)) => intake.next(bound),
            (_, Left::Messages(count)) => {
                let count = count.checked_sub(1);
                count.and_then(|count| {
                    *left = Left::Messages(count);
                    self.queue.receive()
                })
            }
            _ => None,
        };
        if next.is_none() {
            *left = Left::Nothing;
        }
        next
    }

    fn encode(&mut self, readings: Readings) -> Result<()> {
        // Looked at after the messages were received: each sender had its names by then.
        let all = self.queue.names.len();
        let unknown = self.names.unknown(&self.incoming, &self.queue.names, all);
        self.slice = if unknown.len() >= SLICE / 4 {
            SLICE_OF_NEW
        } else {
            SLICE
        };
        self.store_names(unknown)?;
        if self.failed.is_some() {
            return Ok(());
        }
        self.batch.push(&mut self.incoming, &self.names, readings);
        if let Some(intake) = &mut self.intake {
            intake.mark_encoded();
        }
        // Events of the journal itself take ids like all others, so that each id ends in one count.
        for _event in 0..self.batch.take_own() {
            self.queue.take_id();
        }
        let refused = self.batch.take_refused();
        if refused > 0 {
            self.queue.count_refused(refused);
            self.queue.note_losses();
        }
        Ok(())
    }

    /// Gives stored ids to names that this process uses for the first time, or has forgotten. An
    /// error says that the device is full.
    fn store_names(&mut self, unknown: Vec<UnknownName>) -> Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        // W2: storing names is a transaction of its own.
        self.poll_commit_thread(Wait::UntilDone)?;
        if self.failed.is_some() {
            return Ok(());
        }
        if let Some(error) = self.recent_no_room() {
            return Err(error);
        }
        let run = Some(self.runs.current());
        let learnt = self
            .names
            .learn(unknown, |names| self.hot.intern(run, names));
        match learnt {
            Ok(()) => Ok(()),
            Err(failure) => match self.recover(failure, None) {
                Progress::NoRoom(error) => Err(error),
                Progress::Done => Ok(()),
            },
        }
    }

    fn discard_queued(&mut self) {
        let mut drained = self.intake.as_mut().map_or(0, Intake::discard);
        while self.queue.receive().is_some() {
            drained += 1;
        }
        self.queue.count_failed(drained);
    }

    /// Takes a new run long before the counter of the current one ends.
    fn continue_under_next_run(&mut self) {
        if self.queue.used_of_run() < self.settings.ids_per_run
            || self.poll_commit_thread(Wait::UntilDone).is_err()
        {
            return;
        }
        if self.failed.is_some() || self.in_flight.is_some() || self.recent_no_room().is_some() {
            return;
        }
        // The spool's frames count commits of the run that they began in. The next opener removes a
        // file of inputs that no commit has, as soon as its run is over.
        let has_to_commit = self.spooling.is_some() || self.batch.has_inputs();
        if has_to_commit
            && (self.commit_batch().is_err() || self.failed.is_some() || self.in_flight.is_some())
        {
            return;
        }
        let now = self.queue.clock.now();
        // A copy: if the transaction fails, the run has not ended.
        let mut ended = self.runs.row().clone();
        ended.end = Some(RunEnd::Continued(now));
        let old = self.runs.current();
        let before = Some((old, &ended));
        let (run, row) = match self.hot.begin_run(now, before, &Recovery) {
            Ok(begun) => begun,
            Err(failure) => {
                // Half of the counter is left: time enough to try again.
                self.recover(failure, None);
                return;
            }
        };
        // Of all that matters to ids, the queue moves last. Until then senders still take ids of
        // the old run. These stay valid, because the old run's row is kept and written with their
        // commit.
        self.runs.move_to(run, row, ended);
        self.queue.move_to_run(run);
        self.batch.move_to_run(run);
        if let Some(spooling) = &mut self.spooling {
            spooling.spool.move_to_run(run);
        }
        if let Some(intake) = &mut self.intake {
            intake.move_to_run(run);
        }
        let mut known = self.status.lock();
        known.run = run;
        known.died_inputs = self.hot.lost_inputs();
    }

    fn readings(&mut self) -> Readings {
        let interval = self.settings.memory_interval;
        let stale = self
            .memory
            .is_none_or(|(sampled, _)| sampled.elapsed() >= interval);
        if stale {
            let bytes = memory_stats::memory_stats().map(|stats| stats.physical_mem as u64);
            // 0 means unknown in a row, so known values are one higher.
            let stored = bytes.map_or(0, |bytes| bytes / 1_024 + 1);
            self.memory = Some((Instant::now(), stored));
            self.status.lock().process_memory = bytes;
        }
        Readings {
            anchor: self.queue.clock.anchor(),
            memory: self.memory.map_or(0, |(_, stored)| stored),
        }
    }

    /// Looks whether the file that is written can still be found. Writing continues: a directory
    /// that was moved has all of it, and may be moved back.
    fn check_names(&mut self) {
        self.names_checked = Some(Instant::now());
        if self.failed.is_some() {
            return;
        }
        if let Some(spooling) = &mut self.spooling
            && !spooling.spool.check_names()
        {
            self.status.lock().black_box = BlackBox::Off;
        }
        if let Some(intake) = &mut self.intake {
            intake.check_names();
        }
        // A commit into a file that was moved succeeds: only the directory tells.
        let found = self.hot.check_name().err();
        if found.is_none() {
            // An obstacle to making it anew is met again by the next look.
            let _ = self.hot.keep_lock(self.runs.current());
        }
        let mut known = self.status.lock();
        if let Some(error) = &found {
            known.failure = Some(error.clone());
        }
        match (known.state, found.is_some()) {
            (State::Running, true) => known.state = State::Misplaced,
            (State::Misplaced, false) => known.state = State::Running,
            _ => {}
        }
        drop(known);
        self.misplaced = found;
    }

    fn publish_uncommitted(&self) {
        let uncommitted = self.batch.events() + self.received() + self.events_in_flight();
        self.status.lock().uncommitted = uncommitted;
    }
}

impl Work for Writer {
    fn drain(&mut self, urgency: Urgency) -> Result<()> {
        failpoint::round(self.hot.name());
        self.urgent = urgency == Urgency::Urgent;
        // So that the health shows it soon. An error is kept, and the next commit returns it.
        let _ = self.poll_commit_thread(Wait::No);
        let encoded = self.encode_queued();
        // Lanes keep what they have until a commit takes it, unless they need their room.
        let wants_frame = self.intake.as_ref().is_none_or(Intake::wants_frame);
        if wants_frame || urgency == Urgency::Sync {
            self.spool_encoded();
        }
        encoded
    }

    fn is_drained(&mut self) -> bool {
        self.intake.as_mut().is_none_or(Intake::is_drained)
    }

    fn sync(&mut self) -> Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        // A file without a name is found by no opener.
        self.check_names();
        if self.sync_spool() {
            return Ok(());
        }
        self.urgent = true;
        self.commit_batch()
    }

    fn is_due(&self) -> bool {
        self.last_commit.elapsed() >= self.settings.commit_interval
    }

    fn commit(&mut self) -> Result<()> {
        // The queue is looked at while another thread commits: a death in this time costs no more.
        let committed = if self.urgent || self.spooling.is_none() {
            self.commit_batch()
        } else {
            self.submit_batch()
        };
        if self.urgent
            || self
                .names_checked
                .is_none_or(|at| at.elapsed() >= CHECK_INTERVAL)
        {
            self.check_names();
        }
        committed
    }

    fn failure(&self) -> Result<()> {
        match &self.failed {
            None => self.misplaced.clone().map_or(Ok(()), Err),
            Some(error @ Error::Failed { .. }) => Err(error.clone()),
            Some(error) => Err(Error::Failed {
                path: self.hot.name().to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    fn between_rounds(&mut self) {
        self.continue_under_next_run();
    }

    fn nap_time(&self) -> Duration {
        let since = self.last_commit.elapsed();
        let left = self.settings.commit_interval.saturating_sub(since);
        // At the very least a moment, so that a full device is not asked in a tight loop.
        let left = left.max(Duration::from_millis(1));
        let must_look = match &self.intake {
            None => self.spooling.is_some(),
            Some(intake) => intake.watch(),
        };
        if must_look {
            left.min(SPOOL_INTERVAL)
        } else {
            left
        }
    }

    fn finish(&mut self, result: Result<()>) -> Result<()> {
        if self.failed.is_some() {
            return result;
        }
        // Entries that are still held for want of room are lost with the journal, and counted. The
        // run stays open, so that the next opener writes the gap, which has no room now. It also
        // takes in what the spool has.
        let spooled = self.events_in_spool();
        let held = self.batch.events() - spooled + self.received();
        let in_flight = self.in_flight.as_ref();
        let lost_gaps = in_flight.is_some_and(|commit| commit.counts.gaps > 0);
        let (absent, unknown) = match in_flight {
            None => (0, 0),
            Some(commit) if commit.is_absent && self.spooling.is_none() => {
                (commit.counts.events, 0)
            }
            Some(commit) => (0, commit.counts.events),
        };
        let unknown = unknown + spooled;
        self.queue.count_failed(held + absent);
        let result = if held + absent + unknown > 0 || lost_gaps || result.is_err() {
            self.leave_spool();
            result
        } else {
            let now = self.queue.clock.now();
            let end = if self.queue.unwound.load(Ordering::Acquire) {
                RunEnd::Panicked(now)
            } else {
                RunEnd::Closed(now)
            };
            let run = self.runs.current();
            let ended = self.hot.end_run(run, self.runs.row(), end);
            match &ended {
                Ok(()) => self.end_spool(),
                Err(_) => self.leave_spool(),
            }
            ended.map_err(WriteFailure::into_error)
        };
        let file_bytes = self.hot.file_bytes();
        let mut known = self.status.lock();
        known.state = State::Closed;
        known.unknown += unknown;
        known.uncommitted = 0;
        known.file_bytes = file_bytes;
        result
    }
}
