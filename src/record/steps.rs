//! The steps of an episode that one handle records.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::entry::episode::EpisodeId;
use crate::entry::ids::InferenceId;

/// The episode, and how far it is.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) id: EpisodeId,
    /// The number of the next step.
    next: AtomicU64,
    /// The highest id that a step got; none before the first.
    last: AtomicU64,
}

impl Steps {
    pub(crate) fn new(id: EpisodeId) -> Self {
        Steps {
            id,
            next: AtomicU64::new(0),
            last: AtomicU64::new(InferenceId::NONE.to_u64()),
        }
    }

    /// The number of a step, which no other gets.
    pub(crate) fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// How many numbers were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// A step was queued as this decision.
    pub(crate) fn note(&self, id: InferenceId) {
        self.last.fetch_max(id.to_u64(), Ordering::Relaxed);
    }

    /// The last decision that was queued.
    pub(crate) fn last(&self) -> Option<InferenceId> {
        let last = InferenceId::from_u64(self.last.load(Ordering::Relaxed));
        (last != InferenceId::NONE).then_some(last)
    }
}
