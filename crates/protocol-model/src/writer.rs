//! The work of a writer whose disk is a list.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::entry::error::{Error, Result};
use crate::record::queue::channel::{Channel, Numbered};
use crate::record::serve::{Urgency, Work};

/// The batches "on disk". A mutex of std: to loom, looking at it is no step.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Vec<u64>>>);

impl Disk {
    pub(crate) fn holds(&self, ids: &[u64]) -> bool {
        let held = self.ids();
        ids.iter().all(|id| held.contains(id))
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    fn write(&self, ids: Vec<u64>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(ids);
    }
}

impl Numbered for u64 {
    fn id(&self) -> Option<u64> {
        Some(*self)
    }
}

pub(crate) struct Writer {
    pub(crate) channel: Arc<Channel<u64>>,
    pub(crate) disk: Disk,
    /// Commits that go well before one fails.
    pub(crate) good_commits: usize,
    pub(crate) taken_up: Vec<u64>,
    pub(crate) failed: bool,
}

impl Work for Writer {
    fn drain(&mut self, _urgency: Urgency) -> Result<()> {
        let queued = self.channel.len();
        let swept = std::iter::from_fn(|| self.channel.receive()).take(queued);
        if self.failed {
            self.channel.count_failed(swept.count() as u64);
        } else {
            self.taken_up.extend(swept);
        }
        Ok(())
    }

    /// There are no lanes here.
    fn is_drained(&mut self) -> bool {
        true
    }

    /// As without a spool.
    fn sync(&mut self) -> Result<()> {
        self.commit()
    }

    /// The interval never ends: what is not asked for is not committed.
    fn is_due(&self) -> bool {
        false
    }

    fn commit(&mut self) -> Result<()> {
        // Written down as gaps, which have no place on this disk.
        for (_reason, counter) in self.channel.drop_counters() {
            let _gap = counter.take();
        }
        let batch = std::mem::take(&mut self.taken_up);
        if self.good_commits == 0 {
            self.failed = true;
            self.channel.count_failed(batch.len() as u64);
        } else if !batch.is_empty() {
            self.good_commits -= 1;
            self.disk.write(batch);
        }
        Ok(())
    }

    fn failure(&self) -> Result<()> {
        if self.failed {
            Err(Error::Failed)
        } else {
            Ok(())
        }
    }

    fn between_rounds(&mut self) {}

    fn nap_time(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn finish(&mut self, result: Result<()>) -> Result<()> {
        result
    }
}
