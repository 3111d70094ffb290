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
    /// Hands all that is encoded to the spool, if there is one. A failure ends the promise until
    /// the next batch, and no commit.
    pub(super) fn spool_encoded(&mut self) {
        let Some(spooling) = &mut self.spooling else {
            return;
        };
        let under_way = u64::from(self.in_flight.is_some() || self.commit_thread.is_busy());
        let batch = self.runs.row().batch + 1 + under_way;
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

    /// Ends the promise for good: the entries are committed, or counted as lost.
    pub(super) fn end_spool(&mut self) {
        if let Some(mut spooling) = self.spooling.take() {
            spooling.spool.remove();
            self.status.lock().black_box = BlackBox::Off;
        }
    }
}
