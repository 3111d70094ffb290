//! The time of single calls, made at a pace: never the average of a batch.

use std::time::Duration;

use hdrhistogram::Histogram;
use quanta::Clock;

use super::Failure;
use super::events::{Decision, Decisions};

/// Calls `body` once per `pace`, spinning in between as a busy loop would, and times each call, in
/// nanoseconds. The first twentieth of the calls is not counted.
///
/// Two reads of the time-stamp counter are part of every figure: see what the same around nothing
/// gives.
pub fn paced(
    pace: Duration,
    calls: u64,
    mut body: impl FnMut(&Decision),
) -> Result<Histogram<u64>, Failure> {
    let clock = Clock::new();
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut decisions = Decisions::default();
    let mut due = clock.now();
    for call in 0..calls {
        let decision = decisions.draw();
        due += pace;
        while clock.now() < due {
            std::hint::spin_loop();
        }
        let before = clock.raw();
        body(&decision);
        let after = clock.raw();
        // A loop that is slower than the pace does not run after it.
        due = due.max(clock.now() - pace);
        if call >= calls / 20 {
            histogram.record(clock.delta_as_nanos(before, after).max(1))?;
        }
    }
    Ok(histogram)
}
