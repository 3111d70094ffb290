//! The spool between the commits: what was taken from the queue survives this process.

use std::time::{Duration, Instant};

use super::Writer;
use super::batch::{Readings, pending_gaps};
use crate::engine::spool::{Spool, Spooled};
use crate::options::BlackBox;
use crate::record::queue::intake::Intake;
use crate::record::queue::lanes::Reading;

/// Time between two looks at the queue while a spool is kept and there are no lanes. With the look
/// itself it is less than the 5 ms that a death may cost.
pub(super) const SPOOL_INTERVAL: Duration = Duration::from_millis(4);
/// So many encoded bytes do not wait for the interval: a frame takes a few times as much.
const MOST_UNSPOOLED: usize = 4 << 20;

/// The spool of the writer, and what it has.
pub(super) struct Spooling {
    pub(super) spool: Spool,
    last: Instant,
    /// Losses that the last frame has gaps for.
    told: u64,
    /// Encoded bytes of the batch when the last frame was written.
    bytes: usize,
}

impl Spooling {
    pub(super) fn new(spool: Spool) -> Self {
        Spooling {
            spool,
            last: Instant::now(),
            told: 0,
            bytes: 0,
        }
    }
}

impl From<Readings> for Reading {
    fn from(readings: Readings) -> Reading {
        Reading {
            anchor: readings.anchor,
            memory: readings.memory,
        }
    }
}

impl Writer {
    /// Whether what is encoded goes to the spool before more is.
    pub(super) fn is_frame_due(&self) -> bool {
        let Some(spooling) = &self.spooling else {
            return false;
        };
        let pending = self.batch.pending_bytes();
        // A commit took what was pending before.
        let unspooled = pending.checked_sub(spooling.bytes).unwrap_or(pending);
        match &self.intake {
            None => spooling.last.elapsed() >= SPOOL_INTERVAL,
            Some(intake) => intake.wants_frame() || unspooled >= MOST_UNSPOOLED,
        }
    }

    /// The number of the batch that is encoded now, and whether the one before is under way.
    fn encoded_batch(&mut self) -> (u64, bool) {
        let under_way = self.in_flight.is_some() || self.commit_thread.is_busy();
        let confirmed = self.runs.row().batch;
        (confirmed + 1 + u64::from(under_way), under_way)
    }

    /// Hands all that is encoded to the spool, if there is one. A failure ends the promise until
    /// the next batch, and no commit.
    pub(super) fn spool_encoded(&mut self) {
        let (batch, under_way) = self.encoded_batch();
        let Some(spooling) = &mut self.spooling else {
            return;
        };
        if self.failed.is_some() {
            return;
        }
        spooling.last = Instant::now();
        let counters = self.queue.drop_counters();
        let losses = counters.map(|(reason, counter)| Some((reason, counter.peek()?)));
        let losses = losses.into_iter().flatten();
        // A frame also tells of losses, so new ones are a reason for a frame without new entries.
        let told = losses.clone().map(|(_, lost)| lost.count).sum();
        if !self.batch.has_unspooled() && told == spooling.told {
            return;
        }
        let pending = pending_gaps(self.runs.current(), losses, self.queue.clock.anchor());
        let spooled = Spooled {
            batch,
            blocks: self.batch.unspooled(),
            pending: &pending,
            panicked: self
                .queue
                .panicked
                .load(std::sync::atomic::Ordering::Acquire),
            is_one_frame: self.intake.is_some(),
        };
        let intake = &mut self.intake;
        let kept = spooling.spool.append(&spooled, |covered| {
            if let Some(intake) = intake {
                intake.mark(covered);
            }
        });
        // Without room the batch keeps its entries for its commit alone.
        self.batch.mark_spooled();
        spooling.told = told;
        spooling.bytes = self.batch.pending_bytes();
        // Also without a frame: lanes that stay full would lose calls, and the commit is near.
        let shortcoming = match intake {
            None => None,
            Some(intake) => {
                intake.release();
                Some(intake.shortcoming())
            }
        };
        let mut known = self.status.lock();
        (known.black_box, known.black_box_error) = match (kept, shortcoming) {
            (Err(error), _) => (BlackBox::Off, Some(error.to_string())),
            // These frames count only behind those of the commit that is under way.
            (Ok(()), _) if under_way && !spooling.spool.follows_whole_batch() => {
                (BlackBox::Off, known.black_box_error.take())
            }
            (Ok(()), None) => (BlackBox::Spool, known.black_box_error.take()),
            (Ok(()), Some(None)) => (BlackBox::Lanes, None),
            (Ok(()), Some(why)) => (BlackBox::Spool, why),
        };
    }

    /// Makes all that is encoded durable by a sync of the spool. Returns false if only a commit
    /// can: without a spool, and where a part of what the next opener would need is missing.
    pub(super) fn sync_spool(&mut self) -> bool {
        let (batch, under_way) = self.encoded_batch();
        let Some(spooling) = &mut self.spooling else {
            return false;
        };
        match spooling.spool.sync(batch, under_way) {
            Ok(is_durable) => is_durable && !self.batch.has_unspooled(),
            Err(error) => {
                let mut known = self.status.lock();
                known.black_box = BlackBox::Off;
                known.black_box_error = Some(error.to_string());
                false
            }
        }
    }

    /// Events without a commit that the spool may have.
    pub(super) fn events_in_spool(&self) -> u64 {
        match &self.spooling {
            Some(_) => self.batch.spooled_events(),
            None => 0,
        }
    }

    /// Leaves what no commit has to the next opener, which takes it in from the spool. The lanes
    /// go: what the spool does not have is counted as lost.
    pub(super) fn leave_spool(&mut self) {
        if self.spooling.take().is_some() {
            self.intake.iter().for_each(Intake::remove);
            self.status.lock().black_box = BlackBox::Off;
        }
    }

    /// Removes the spool of a run that has ended: everything is committed.
    pub(super) fn end_spool(&mut self) {
        if let Some(spooling) = &mut self.spooling {
            spooling.spool.remove();
        }
        self.leave_spool();
    }
}
