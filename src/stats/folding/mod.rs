//! The thread that keeps statistics fast: it looks whether there is enough to fold.

pub(crate) mod fold;
pub(crate) mod folded;
mod health;
pub(crate) mod merge;
mod request;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::engine::source::Source;
use crate::entry::clock::Clock;
use crate::entry::error::Result;
use crate::record::conditions::Conditions;
use crate::threads::rounds::{Rounds, RoundsFrame, RoundsThread};
use fold::Folder;
pub use health::FoldingHealth;

/// Least rate of looks: one read of some 10 µs each.
const LOOK: Duration = Duration::from_millis(250);
/// Entries that do not wait for the interval: to read them takes a statistic some milliseconds.
const MANY: u64 = 65_536;
/// A fold is followed by a pause of this many times its duration, so that commits get their turn.
const PAUSE: u32 = 8;
/// Rest after a fault before the next try.
const REST: Duration = Duration::from_secs(10);

/// Fold all there is.
type FoldCommand = Sender<Result<u64>>;

/// The thread that folds.
pub(crate) struct FoldThread(RoundsThread<Folding>);

impl FoldThread {
    pub(crate) fn start(
        folder: Folder,
        source: Arc<Source>,
        interval: Duration,
        clock: Clock,
        conditions: Arc<Conditions>,
    ) -> Result<FoldThread> {
        let thread = RoundsThread::start(FoldingHealth::default(), conditions, move || Folding {
            folder,
            source,
            interval,
            clock,
            last: Instant::now(),
        })?;
        Ok(FoldThread(thread))
    }

    pub(crate) fn health(&self) -> FoldingHealth {
        self.0.health()
    }

    /// Folds all committed entries; returns their number.
    pub(crate) fn fold(&self, timeout: Duration) -> Result<u64> {
        self.0.worker().ask("folding", timeout, |reply| reply)
    }

    /// Tells the thread to fold all entries committed so far, until `last` at most, and then to
    /// end. The next fold does the rest.
    pub(crate) fn wind_up(&self, last: Instant) {
        self.0.worker().stop_by(last);
    }

    /// Waits for the thread's end, for at most `timeout`; returns whether it has ended.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.0.worker().finish(timeout)
    }
}

pub(crate) struct Folding {
    folder: Folder,
    source: Arc<Source>,
    interval: Duration,
    clock: Clock,
    /// When the last fold ended.
    last: Instant,
}

impl Rounds for Folding {
    const NAME: &'static str = "annals-folder";
    const FAULT: &'static str = "statistics cannot be folded";
    type Command = FoldCommand;
    type Health = FoldingHealth;

    fn path(&self) -> &Path {
        self.source.path()
    }

    fn round(&mut self, frame: &RoundsFrame<Self>) -> Result<Duration> {
        let took = self.fold_if_due(frame)?;
        let look = LOOK.min(self.interval);
        Ok(look.max(took.saturating_mul(PAUSE)))
    }

    fn rest(&self) -> Duration {
        REST
    }

    fn obey(&mut self, reply: FoldCommand, frame: &RoundsFrame<Self>) {
        // The caller may have stopped waiting.
        let _ = reply.send(self.fold(frame));
    }

    /// The last fold: every statistic would read the entries that it leaves again.
    fn wind_up(&mut self, frame: &RoundsFrame<Self>) {
        while frame.has_time() {
            let folded = self.fold(frame);
            let pending = frame.health().pending;
            match folded {
                Ok(entries) if entries > 0 && pending > 0 => {}
                Ok(_) => break,
                // There is no journal any more that could record it.
                Err(error) => {
                    frame.health().fault = Some(error.to_string());
                    break;
                }
            }
        }
    }
}

impl Folding {
    /// Folds if that is due; returns its duration.
    fn fold_if_due(&mut self, frame: &RoundsFrame<Self>) -> Result<Duration> {
        let pending = self.pending(frame)?;
        let due = pending >= MANY || (pending > 0 && self.last.elapsed() >= self.interval);
        if !due {
            return Ok(Duration::ZERO);
        }
        let began = Instant::now();
        self.fold(frame)?;
        Ok(began.elapsed())
    }

    fn pending(&self, frame: &RoundsFrame<Self>) -> Result<u64> {
        let pending = self.source.unfolded()?;
        frame.health().pending = pending;
        Ok(pending)
    }

    fn fold(&mut self, frame: &RoundsFrame<Self>) -> Result<u64> {
        let began = Instant::now();
        let now = self.clock.now();
        let folded = self.folder.fold(now, &|_| frame.has_time())?;
        self.last = Instant::now();
        self.pending(frame)?;
        let Some(entries) = folded else {
            // Another process is folding.
            return Ok(0);
        };
        let mut known = frame.health();
        known.folded += entries;
        known.last_took = began.elapsed();
        Ok(entries)
    }
}
