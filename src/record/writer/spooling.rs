//! The spool between the commits: what was taken from the queue survives this process.

use std::time::{Duration, Instant};

use super::Writer;
use super::batch::pending_gaps;
use crate::engine::spool::{Spool, Spooled};
use crate::options::BlackBox;

/// Time between two looks at the queue while a spool is kept. With the look itself it is less than
/// the 5 ms that a death may cost.
pub(super) const SPOOL_INTERVAL: Duration = Duration::from_millis(4);

/// The spool of the writer, and what it has.
pub(super) struct Spooling {
    pub(super) spool: Spool,
    last: Instant,
    /// Losses that the last frame has gaps for.
    told: u64,
}

impl Spooling {
    pub(super) fn new(spool: Spool) -> Self {
        Spooling {
            spool,
            last: Instant::now(),
            told: 0,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.last.elapsed() >= SPOOL_INTERVAL
    }
}

impl Writer {
    /// The number of the batch that is encoded now, and whether the one before is under way.
    fn encoded_batch(&mut self) -> (u64, bool) {
        let under_way = self.in_flight.is_some() || self.commit_thread.is_busy();
        let confirmed = self.runs.row().batch;
        (confirmed + 1 + u64::from(under_way), under_way)
    }

    /// Hands all that is encoded to the spool, if there is one. A failure ends the promise until
    /// the next batch, and no commit.
    pub(super) fn spool_encoded(&mut self) {
        let (batch, _) = self.encoded_batch();
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
        };
        let kept = spooling.spool.append(&spooled);
        // Without room the batch keeps its entries for its commit alone.
        self.batch.mark_spooled();
        spooling.told = told;
        let mut known = self.status.lock();
        match &kept {
            Ok(()) => known.black_box = BlackBox::Spool,
            Err(error) => {
                known.black_box = BlackBox::Off;
                known.black_box_error = Some(error.to_string());
            }
        }
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

    /// Leaves what no commit has to the next opener, which takes it in from the spool.
    pub(super) fn leave_spool(&mut self) {
        if self.spooling.take().is_some() {
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
