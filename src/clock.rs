//! The two clocks of a process, and a pair of hands to turn them in tests.
//!
//! Inference threads read only the monotonic one (*ticks*), once per call. The writer reads both
//! together (an *anchor*) and turns ticks into wall time, so a step of the wall clock can neither
//! make a processing time negative nor cost the hot path a second read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::timestamp::Timestamp;

/// A clock that stands still until it is told to move; for tests of code that logs.
///
/// Hand it over with [`Options::clock`](crate::Options::clock). Clones turn the same clock.
///
/// ```
/// use std::time::Duration;
/// use annals::{ManualClock, Timestamp};
///
/// let clock = ManualClock::at(Timestamp::from_micros(0));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Timestamp::from_micros(1_000_000));
/// clock.set(Timestamp::from_micros(-5)); // the wall clock steps, as NTP or a person may do
/// assert_eq!(clock.now(), Timestamp::from_micros(-5));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    wall_micros: AtomicI64,
    ticks_nanos: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `time`.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        ManualClock(Arc::new(Hands {
            wall_micros: AtomicI64::new(time.as_micros()),
            ticks_nanos: AtomicU64::new(1),
        }))
    }

    /// Lets `by` pass: wall clock and monotonic clock both move on.
    pub fn advance(&self, by: Duration) {
        self.0.ticks_nanos.fetch_add(nanos(by), Ordering::SeqCst);
        self.set(self.now().saturating_add(by));
    }

    /// Sets the wall clock, forward or back; the monotonic clock does not notice.
    pub fn set(&self, time: Timestamp) {
        self.0.wall_micros.store(time.as_micros(), Ordering::SeqCst);
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.wall_micros.load(Ordering::SeqCst))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where a journal's times come from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The machine's clocks; ticks count from this instant.
    System(Instant),
    Manual(ManualClock),
}

impl Clock {
    pub(crate) fn system() -> Self {
        Clock::System(Instant::now())
    }

    /// Nanoseconds on the monotonic clock, from a start that only this value knows.
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        match self {
            Clock::System(start) => nanos(start.elapsed()),
            Clock::Manual(clock) => clock.0.ticks_nanos.load(Ordering::SeqCst),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Clock::System(_) => Timestamp::now(),
            Clock::Manual(clock) => clock.now(),
        }
    }

    /// Both clocks, read together.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor {
            ticks: self.ticks(),
            wall: self.now(),
        }
    }
}

/// One reading of both clocks, from which ticks near it are turned into wall time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    ticks: u64,
    wall: Timestamp,
}

impl Anchor {
    #[inline]
    pub(crate) fn wall_of(&self, ticks: u64) -> Timestamp {
        // Two of these may be an hour apart or a lifetime, never 2^63 ns.
        let nanos = ticks.wrapping_sub(self.ticks).cast_signed();
        let micros = nanos.div_euclid(1_000);
        Timestamp::from_micros(self.wall.as_micros().saturating_add(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_wall_time_on_both_sides_of_the_anchor() {
        let anchor = Anchor {
            ticks: 5_000,
            wall: Timestamp::from_micros(100),
        };
        assert_eq!(anchor.wall_of(7_000), Timestamp::from_micros(102));
        assert_eq!(anchor.wall_of(2_000), Timestamp::from_micros(97));
    }

    #[test]
    fn a_wall_clock_set_back_leaves_ticks_alone() {
        let hands = ManualClock::at(Timestamp::from_micros(10));
        let clock = Clock::Manual(hands.clone());
        let before = clock.ticks();
        hands.set(Timestamp::from_micros(-10));
        assert_eq!(clock.ticks(), before);
        assert_eq!(clock.now(), Timestamp::from_micros(-10));
    }
}
