//! The two clocks of a process, and a pair of hands to turn them in tests.
//!
//! Inference threads read only the monotonic one (*ticks*), once per call. It is the processor's
//! counter where that runs at a constant rate, otherwise the system's clock. The writer reads both
//! together (an *anchor*) and turns ticks into wall time. So a step of the wall clock cannot make a
//! processing time negative, and the hot path needs one read only.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::timestamp::Timestamp;

/// A clock that moves only on request; for tests of code that logs.
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
    ///
    /// ```
    /// use annals::{Journal, ManualClock, Timestamp};
    ///
    /// let clock = ManualClock::at(Timestamp::from_micros(1_753_454_079_000_000));
    /// let journal = Journal::options().clock(clock.clone()).in_memory()?;
    /// assert_eq!(clock.now().as_micros(), 1_753_454_079_000_000);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        ManualClock(Arc::new(Hands {
            wall_micros: AtomicI64::new(time.as_micros()),
            ticks_nanos: AtomicU64::new(1),
        }))
    }

    /// Lets `by` pass: wall clock and monotonic clock both move on.
    ///
    /// ```
    /// use annals::{ManualClock, Timestamp};
    ///
    /// let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    /// clock.advance(std::time::Duration::from_secs(2));
    /// assert_eq!(clock.now(), Timestamp::from_micros(3_000_000));
    /// ```
    pub fn advance(&self, by: Duration) {
        self.0.ticks_nanos.fetch_add(nanos(by), Ordering::SeqCst);
        self.set(self.now().saturating_add(by));
    }

    /// Sets the wall clock, forward or back; the monotonic clock does not notice.
    ///
    /// ```
    /// use annals::{ManualClock, Timestamp};
    ///
    /// let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    /// clock.set(Timestamp::from_micros(500_000)); // somebody puts the wall clock back
    /// assert_eq!(clock.now(), Timestamp::from_micros(500_000));
    /// ```
    pub fn set(&self, time: Timestamp) {
        self.0.wall_micros.store(time.as_micros(), Ordering::SeqCst);
    }

    /// Time of the wall clock.
    ///
    /// ```
    /// use annals::{ManualClock, Timestamp};
    ///
    /// let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    /// assert_eq!(clock.now(), clock.now()); // it stands still until it is moved
    /// ```
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
    System(Counter),
    Manual(ManualClock),
}

/// The counter and its rate.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    source: quanta::Clock,
    rate: Rate,
}

/// Nanoseconds of 2^32 ticks.
#[derive(Clone, Copy, Debug)]
struct Rate(u64);

impl Rate {
    /// Ticks that are nanoseconds.
    const NANOS: Rate = Rate(1 << 32);

    #[inline]
    fn nanos(self, ticks: u64) -> u64 {
        // In 128 bits: 64 would overflow after seconds.
        let nanos = (u128::from(ticks) * u128::from(self.0)) >> 32;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

impl Clock {
    /// The first one of a process measures the counter's rate, which takes about a millisecond.
    pub(crate) fn system() -> Self {
        let source = quanta::Clock::new();
        let rate = Rate(source.delta_as_nanos(0, 1 << 32));
        Clock::System(Counter { source, rate })
    }

    /// Monotonic time, in the units of this clock.
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        match self {
            Clock::System(counter) => counter.source.raw(),
            Clock::Manual(clock) => clock.0.ticks_nanos.load(Ordering::SeqCst),
        }
    }

    /// Nanoseconds between two ticks; 0 if `to` is the earlier one.
    #[inline]
    pub(crate) fn nanos_between(&self, from: u64, to: u64) -> u64 {
        self.rate().nanos(to.saturating_sub(from))
    }

    #[inline]
    fn rate(&self) -> Rate {
        match self {
            Clock::System(counter) => counter.rate,
            Clock::Manual(_) => Rate::NANOS,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Clock::System(_) => Timestamp::now(),
            Clock::Manual(clock) => clock.now(),
        }
    }

    /// Both clocks at (nearly) the same moment.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor {
            ticks: self.ticks(),
            wall: self.now(),
            rate: self.rate(),
        }
    }
}

/// One reading of both clocks, from which ticks near it are turned into wall time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    ticks: u64,
    wall: Timestamp,
    rate: Rate,
}

impl Anchor {
    /// The reading as words, for another process of the same start of the machine.
    pub(crate) fn to_words(self) -> [u64; 3] {
        [
            self.ticks,
            self.wall.as_micros().cast_unsigned(),
            self.rate.0,
        ]
    }

    /// A reading of another process; any words are one.
    pub(crate) fn from_words([ticks, wall, rate]: [u64; 3]) -> Anchor {
        Anchor {
            ticks,
            wall: Timestamp::from_micros(wall.cast_signed()),
            rate: Rate(rate),
        }
    }

    #[inline]
    pub(crate) fn wall_of(&self, ticks: u64) -> Timestamp {
        let micros = |ticks| i64::try_from(self.rate.nanos(ticks) / 1_000).unwrap_or(i64::MAX);
        let wall = self.wall.as_micros();
        Timestamp::from_micros(if ticks >= self.ticks {
            wall.saturating_add(micros(ticks - self.ticks))
        } else {
            // The call read its ticks before the writer read both clocks.
            wall.saturating_sub(micros(self.ticks - ticks))
        })
    }

    /// `ticks` as nanoseconds since a moment that is the same for all ticks of this clock.
    #[inline]
    pub(crate) fn nanos_of(&self, ticks: u64) -> u64 {
        self.rate.nanos(ticks)
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
            rate: Rate::NANOS,
        };
        assert_eq!(anchor.wall_of(7_000), Timestamp::from_micros(102));
        assert_eq!(anchor.wall_of(2_000), Timestamp::from_micros(97));
    }

    #[test]
    fn a_counter_of_another_rate_gives_the_same_times() {
        let anchor = Anchor {
            ticks: 5_000,
            wall: Timestamp::from_micros(100),
            rate: Rate(1 << 31),
        };
        assert_eq!(anchor.wall_of(9_000), Timestamp::from_micros(102));
        assert_eq!(anchor.wall_of(1_000), Timestamp::from_micros(98));
        assert_eq!(anchor.nanos_of(9_000), 4_500);
    }

    #[test]
    fn the_system_clock_s_ticks_pass_as_fast_as_time_does() {
        let clock = Clock::system();
        let (ticks, began) = (clock.ticks(), std::time::Instant::now());
        while began.elapsed() < Duration::from_millis(20) {}
        let (passed, outside) = (clock.nanos_between(ticks, clock.ticks()), began.elapsed());
        // From outside a little less is seen, and the rate is measured, not given.
        let least = outside.as_nanos() * 99 / 100;
        assert!(
            u128::from(passed) >= least.min(20_000_000 * 99 / 100),
            "{passed}"
        );
        assert!(u128::from(passed) <= began.elapsed().as_nanos() * 101 / 100 + 1_000_000);
        assert_eq!(clock.nanos_between(5, 4), 0);
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
