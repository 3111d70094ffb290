//! Counting unrecorded events, without a lock: the loop that loses an event must not wait.

use crate::threads::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How many offered events were not recorded, by reason. Part of [`Health`](crate::health::Health).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Dropped {
    /// The queue was full (or, with a bounded wait, stayed full).
    pub queue_full: u64,
    /// The call could not be recorded as given; see
    /// [`GapReason::Refused`](crate::entry::GapReason).
    pub refused: u64,
    /// The journal was closed.
    pub closed: u64,
    /// The journal had failed, or was closed while the device was full.
    pub failed: u64,
}

impl Dropped {
    /// The sum over all reasons.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// journal.close()?;
    /// journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY")); // too late
    /// let dropped = journal.health().dropped;
    /// assert_eq!((dropped.total(), dropped.closed), (1, 1));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.queue_full + self.refused + self.closed + self.failed
    }
}

/// Events lost for one reason since the writer last asked.
pub(crate) struct DropCounter {
    all: AtomicU64,
    /// Invariant T1: never more than `all`, as the writer sees it. The events that it has taken are
    /// in a gap entry.
    taken: AtomicU64,
    first_ticks: AtomicU64,
    last_ticks: AtomicU64,
    first_event: AtomicI64,
    last_event: AtomicI64,
    /// The end of the gap that was taken last; only the writer uses it.
    until: AtomicU64,
}

/// Fields of a gap entry about its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drops {
    pub(crate) count: u64,
    pub(crate) first_ticks: u64,
    pub(crate) last_ticks: u64,
    /// Explicit event times only; `None` if no lost event had one.
    pub(crate) events: Option<(i64, i64)>,
}

impl Default for DropCounter {
    fn default() -> Self {
        DropCounter {
            all: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            first_ticks: AtomicU64::new(u64::MAX),
            last_ticks: AtomicU64::new(0),
            first_event: AtomicI64::new(i64::MAX),
            last_event: AtomicI64::new(i64::MIN),
            until: AtomicU64::new(0),
        }
    }
}

impl DropCounter {
    /// Counts one lost event. The times go in before the count, so that a writer which sees the
    /// count has seen them too, in this gap or in the one before.
    pub(crate) fn add(&self, ticks: u64, event: Option<i64>) {
        self.first_ticks.fetch_min(ticks, Ordering::Relaxed);
        self.last_ticks.fetch_max(ticks, Ordering::Relaxed);
        if let Some(event) = event {
            self.first_event.fetch_min(event, Ordering::Relaxed);
            self.last_event.fetch_max(event, Ordering::Relaxed);
        }
        self.all.fetch_add(1, Ordering::Release);
    }

    /// Counts lost events that are in a gap entry already; only the writer calls this.
    pub(crate) fn add_taken(&self, events: u64) {
        self.taken.fetch_add(events, Ordering::Relaxed);
        self.all.fetch_add(events, Ordering::Release);
    }

    pub(crate) fn total(&self) -> u64 {
        self.all.load(Ordering::Acquire)
    }

    /// Whether something was lost since the last [`take`](Self::take).
    pub(crate) fn is_untaken(&self) -> bool {
        self.all.load(Ordering::Acquire) != self.taken.load(Ordering::Relaxed)
    }

    /// Losses since the last [`take`](Self::take), which stay in the counter.
    pub(crate) fn peek(&self) -> Option<Drops> {
        let count = self.all.load(Ordering::Acquire) - self.taken.load(Ordering::Relaxed);
        let last_ticks = self.last_ticks.load(Ordering::Relaxed);
        let last_ticks = last_ticks.max(self.until.load(Ordering::Relaxed));
        let first_ticks = self.first_ticks.load(Ordering::Relaxed).min(last_ticks);
        let first_event = self.first_event.load(Ordering::Relaxed);
        let last_event = self.last_event.load(Ordering::Relaxed);
        (count > 0).then_some(Drops {
            count,
            first_ticks,
            last_ticks,
            events: (first_event <= last_event).then_some((first_event, last_event)),
        })
    }

    /// Losses since the last call; only the writer calls this.
    pub(crate) fn take(&self) -> Option<Drops> {
        let all = self.all.load(Ordering::Acquire);
        // A loss that comes now stays in `all`, and is taken the next time.
        let count = all - self.taken.swap(all, Ordering::Relaxed);
        if count == 0 {
            return None;
        }
        let first_ticks = self.first_ticks.swap(u64::MAX, Ordering::Relaxed);
        let last_ticks = self.last_ticks.swap(0, Ordering::Relaxed);
        let first_event = self.first_event.swap(i64::MAX, Ordering::Relaxed);
        let last_event = self.last_event.swap(i64::MIN, Ordering::Relaxed);
        // The times may have gone into the gap before, taken between a neighbour's times and its
        // count; then that gap's end is the best that is known.
        let before = self.until.load(Ordering::Relaxed);
        let last_ticks = last_ticks.max(before);
        self.until.store(last_ticks, Ordering::Relaxed);
        let first_ticks = if first_ticks == u64::MAX {
            last_ticks
        } else {
            first_ticks.min(last_ticks)
        };
        Some(Drops {
            count,
            first_ticks,
            last_ticks,
            events: (first_event <= last_event).then_some((first_event, last_event)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_gives_each_loss_once() {
        let tally = DropCounter::default();
        assert_eq!(tally.take(), None);
        tally.add(7, None);
        tally.add(5, Some(-3));
        let lost = tally.take();
        assert_eq!(
            lost,
            Some(Drops {
                count: 2,
                first_ticks: 5,
                last_ticks: 7,
                events: Some((-3, -3)),
            })
        );
        assert_eq!(tally.take(), None);
        tally.add(9, None);
        assert_eq!(
            tally.take().map(|lost| (lost.count, lost.events)),
            Some((1, None))
        );
        assert_eq!(tally.total(), 3);
    }

    #[test]
    fn threads_and_a_taker_agree_on_the_sum() {
        let tally = DropCounter::default();
        let mut seen = 0;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10_000).for_each(|n| tally.add(n, None))))
                .collect();
            while !threads.iter().all(|thread| thread.is_finished()) {
                seen += tally.take().map_or(0, |lost| lost.count);
            }
        });
        seen += tally.take().map_or(0, |lost| lost.count);
        assert_eq!((seen, tally.total()), (40_000, 40_000));
    }
}
