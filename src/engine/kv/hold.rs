//! Terms that the engine's locks and those of a process share.

use std::time::{Duration, Instant};

/// Between two looks: at first, and after a second.
const SOON: Duration = Duration::from_micros(100);
const LATER: Duration = Duration::from_millis(1);

/// How a lock is to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Shared,
    Alone,
}

/// Rest before the next look, for a wait since `began`.
pub(super) fn pause(began: Instant) -> Duration {
    if began.elapsed() < Duration::from_secs(1) {
        SOON
    } else {
        LATER
    }
}
