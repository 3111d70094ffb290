//! The thread that keeps the hot file small. It checks ten times a second whether there is enough
//! to seal, and applies retention.

mod health;
pub(crate) mod seal;

pub use health::SealingHealth;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::engine::source::Source;
use crate::entry::clock::Clock;
use crate::entry::error::Result;
use crate::record::conditions::Conditions;
use crate::threads::rounds::{Rounds, RoundsFrame, RoundsThread};
use seal::Sealer;

/// Interval of looks at the size: one read of some 10 µs. A busy writer adds 10 MB in this time.
const LOOK: Duration = Duration::from_millis(100);
/// Interval of looks at the age, which costs a block.
const LOOK_AT_AGE: Duration = Duration::from_secs(60);
/// Rest after a fault before the next try.
const REST: Duration = Duration::from_secs(10);

/// Interval of looks at another sealer, if this one is asked to seal.
const OTHERS: Duration = Duration::from_millis(2);

const RETENTION_FAULT: &str = "segments cannot be retired";

/// When blocks are sealed; see [`Options`](crate::Options).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
}

/// Automatic retention. It gets whether something was sealed and whether to continue, and returns
/// the number of retired segments, or the obstacle.
pub(crate) type Retire = Box<dyn FnMut(bool, &dyn Fn() -> bool) -> Result<u64, String> + Send>;

/// Seal all there is.
pub(crate) struct SealCommand {
    /// Time when the caller stops waiting for the answer; `None` is never.
    until: Option<Instant>,
    reply: Sender<Result<u64>>,
}

/// The thread that seals.
pub(crate) struct SealThread(RoundsThread<Sealing>);

impl SealThread {
    pub(crate) fn start(
        sealer: Sealer,
        retention: Option<Retire>,
        source: Arc<Source>,
        limits: Limits,
        clock: Clock,
        conditions: Arc<Conditions>,
    ) -> Result<SealThread> {
        let thread = RoundsThread::start(SealingHealth::default(), conditions, move || {
            // Leftovers that cannot be removed now are met again, and reported, by the first
            // sealing.
            let _ = sealer.tidy();
            Sealing {
                sealer,
                retention,
                source,
                limits,
                clock,
                aged: None,
            }
        })?;
        Ok(SealThread(thread))
    }

    pub(crate) fn health(&self) -> SealingHealth {
        self.0.health()
    }

    /// Seals all committed entries, of any size; returns their number.
    pub(crate) fn seal(&self, timeout: Duration) -> Result<u64> {
        let until = Instant::now().checked_add(timeout);
        let command = |reply| SealCommand { until, reply };
        self.0.worker().ask("sealing", timeout, command)
    }

    /// Tells the thread to end after its current slice. The next sealer finishes the rest.
    pub(crate) fn stop(&self) {
        self.0.worker().stop();
    }

    /// Waits for the thread's end, for at most `timeout`; returns whether it has ended.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.0.worker().finish(timeout)
    }
}

pub(crate) struct Sealing {
    sealer: Sealer,
    /// Automatic retention.
    retention: Option<Retire>,
    source: Arc<Source>,
    limits: Limits,
    clock: Clock,
    /// When the age was checked last.
    aged: Option<Instant>,
}

impl Rounds for Sealing {
    const NAME: &'static str = "annals-sealer";
    const FAULT: &'static str = "segments cannot be sealed";
    type Command = SealCommand;
    type Health = SealingHealth;

    fn path(&self) -> &Path {
        self.source.path()
    }

    fn round(&mut self, frame: &RoundsFrame<Self>) -> Result<Duration> {
        let sealed = self.seal_due(frame);
        // Also after a fault: segments that exist may be due for retention.
        self.retire(*sealed.as_ref().unwrap_or(&false), frame);
        sealed.map(|_| LOOK)
    }

    fn rest(&self) -> Duration {
        REST
    }

    fn obey(&mut self, command: SealCommand, frame: &RoundsFrame<Self>) {
        let sealed = self.seal_all(command.until, frame);
        // A fault is reported to the caller; its end is news for all.
        if sealed.is_ok() {
            frame.report(None);
        }
        // The caller may have stopped waiting.
        let _ = command.reply.send(sealed);
    }
}

impl Sealing {
    /// Seals what is due; returns whether there was anything.
    fn seal_due(&mut self, frame: &RoundsFrame<Self>) -> Result<bool> {
        let mut sealed = false;
        while self.is_due(frame)? && !frame.is_stopped() {
            if self.seal(frame)?.is_none() {
                // Another process is folding.
                break;
            }
            sealed = true;
        }
        Ok(sealed)
    }

    fn is_due(&mut self, frame: &RoundsFrame<Self>) -> Result<bool> {
        let extent = self.source.extent()?;
        // The list is cached by its generation: this costs one look.
        let segments = self.source.segments()?.len() as u64;
        let mut known = frame.health();
        (known.segments, known.hot_bytes) = (segments, extent.hot_bytes);
        drop(known);
        if extent.hot_bytes >= self.limits.bytes {
            return Ok(true);
        }
        if extent.hot == extent.next || self.aged.is_some_and(|at| at.elapsed() < LOOK_AT_AGE) {
            return Ok(false);
        }
        // The oldest entry has to be read for its age, which is not for every look.
        self.aged = Some(Instant::now());
        let oldest = self.source.after(extent.hot, 1)?;
        let recorded = oldest.first().and_then(|block| block.rows.first());
        let age = recorded.map_or(Duration::ZERO, |entry| {
            self.clock.now().saturating_since(entry.head.recorded)
        });
        Ok(age >= self.limits.age)
    }

    /// Seals one segment; `None` if there was nothing to do or another process is sealing.
    fn seal(&self, frame: &RoundsFrame<Self>) -> Result<Option<u64>> {
        let go_on = || !frame.is_stopped();
        let now = self.clock.now();
        let sealed = self.sealer.seal(self.limits.bytes, now, &go_on);
        frame.health().longest_transaction = self.sealer.longest_transaction();
        let sealed = sealed?;
        Ok(sealed.map(|segment| segment.row.next.since(segment.first)))
    }

    /// Seals the entries committed so far. The end is read once: others commit at the same time, as
    /// fast as this seals. Waits for another sealer until the caller stops waiting.
    fn seal_all(&self, until: Option<Instant>, frame: &RoundsFrame<Self>) -> Result<u64> {
        // Of the moment of the call: later entries would keep it from ending.
        let end = self.source.next_sequence()?;
        let mut entries = 0;
        while self.source.extent()?.hot < end {
            if let Some(sealed) = self.seal(frame)? {
                entries += sealed;
                continue;
            }
            let late = until.is_some_and(|until| Instant::now() >= until);
            if late || frame.is_stopped() {
                break;
            }
            thread::park_timeout(OTHERS);
        }
        Ok(entries)
    }

    /// Retires due segments; see [`Options::keep`](crate::Options::keep).
    fn retire(&mut self, sealed: bool, frame: &RoundsFrame<Self>) {
        let Some(retention) = &mut self.retention else {
            return;
        };
        let outcome = retention(sealed, &|| !frame.is_stopped());
        let retired = outcome.as_ref().copied().unwrap_or(0);
        frame.follow(RETENTION_FAULT, outcome.err(), |known, fault| {
            known.retired += retired;
            known.retention_fault = fault;
        });
    }
}
