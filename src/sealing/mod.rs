//! The thread that keeps the hot file small. It checks ten times a second whether there is enough
//! to seal, and applies retention.

mod health;
pub(crate) mod seal;

pub use health::SealingHealth;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::engine::source::Source;
use crate::entry::clock::Clock;
use crate::entry::error::{Error, Result};
use crate::fs::failpoint::round;
use crate::record::conditions::Conditions;
use crate::threads::worker::{Orders, Worker, lock};
use seal::Sealer;

/// Interval of looks at the size: one read of some 10 µs. A busy writer adds 10 MB in this time.
const LOOK: Duration = Duration::from_millis(100);
/// Interval of looks at the age, which costs a block.
const LOOK_AT_AGE: Duration = Duration::from_secs(60);
/// Rest after a fault before the next try.
const REST: Duration = Duration::from_secs(10);

/// Interval of looks at another sealer, if this one is asked to seal.
const OTHERS: Duration = Duration::from_millis(2);

const COMPONENT: &str = "annals";
const FAULT: &str = "segments cannot be sealed";
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
struct SealCommand {
    /// Time when the caller stops waiting for the answer; `None` is never.
    until: Option<Instant>,
    reply: Sender<Result<u64>>,
}

/// The thread that seals, and its known state.
pub(crate) struct SealThread {
    worker: Worker<SealCommand>,
    health: Arc<Mutex<SealingHealth>>,
}

impl SealThread {
    pub(crate) fn start(
        sealer: Sealer,
        retention: Option<Retire>,
        source: Arc<Source>,
        limits: Limits,
        clock: Clock,
        conditions: Arc<Conditions>,
    ) -> Result<SealThread> {
        let health = Arc::new(Mutex::new(SealingHealth::default()));
        let known = health.clone();
        let on_panic = conditions.queue().keep_panic();
        let worker = Worker::start("annals-sealer", on_panic, move |orders| {
            let mut sealing = Sealing {
                sealer,
                retention,
                source,
                limits,
                clock,
                conditions,
                orders,
                health: known,
                aged: None,
            };
            sealing.run();
        })?;
        Ok(SealThread { worker, health })
    }

    pub(crate) fn health(&self) -> SealingHealth {
        let mut known = lock(&self.health).clone();
        if let Some(panic) = self.worker.panicked() {
            known.fault = Some(panic.to_string());
        }
        known
    }

    /// Seals all committed entries, of any size; returns their number.
    pub(crate) fn seal(&self, timeout: Duration) -> Result<u64> {
        let until = Instant::now().checked_add(timeout);
        let command = |reply| SealCommand { until, reply };
        self.worker.ask("sealing", timeout, command)
    }

    /// Tells the thread to end after its current slice. The next sealer finishes the rest.
    pub(crate) fn stop(&self) {
        self.worker.stop();
    }

    /// Waits for the thread's end, for at most `timeout`; returns whether it has ended.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.worker.finish(timeout)
    }
}

struct Sealing {
    sealer: Sealer,
    /// Automatic retention.
    retention: Option<Retire>,
    source: Arc<Source>,
    limits: Limits,
    clock: Clock,
    conditions: Arc<Conditions>,
    orders: Orders<SealCommand>,
    health: Arc<Mutex<SealingHealth>>,
    /// When the age was checked last.
    aged: Option<Instant>,
}

impl Sealing {
    fn run(&mut self) {
        // Leftovers that cannot be removed now are met again, and reported, by the first sealing.
        let _ = self.sealer.tidy();
        while !self.orders.is_stopped() {
            round(self.source.path());
            let outcome = self.round();
            let rest = if outcome.is_err() { REST } else { LOOK };
            self.retire(*outcome.as_ref().unwrap_or(&false));
            self.report(outcome.err());
            let until = Instant::now() + rest;
            while let Some(command) = self.orders.next_before(until) {
                let sealed = self.seal_all(command.until);
                // A fault is reported to the caller; its end is news for all.
                if sealed.is_ok() {
                    self.report(None);
                }
                // The caller may have stopped waiting.
                let _ = command.reply.send(sealed);
            }
        }
    }

    /// Seals what is due; returns whether there was anything.
    fn round(&mut self) -> Result<bool> {
        let mut sealed = false;
        while self.is_due()? && !self.orders.is_stopped() {
            if self.seal()?.is_none() {
                // Another process is folding.
                break;
            }
            sealed = true;
        }
        Ok(sealed)
    }

    fn is_due(&mut self) -> Result<bool> {
        let extent = self.source.extent()?;
        // The list is cached by its generation: this costs one look.
        let segments = self.source.segments()?.len() as u64;
        let mut known = lock(&self.health);
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
    fn seal(&self) -> Result<Option<u64>> {
        let go_on = || !self.orders.is_stopped();
        let now = self.clock.now();
        let sealed = self.sealer.seal(self.limits.bytes, now, &go_on);
        lock(&self.health).longest_transaction = self.sealer.longest_transaction();
        let sealed = sealed?;
        Ok(sealed.map(|segment| segment.row.next.since(segment.first)))
    }

    /// Seals the entries committed so far. The end is read once: others commit at the same time, as
    /// fast as this seals. Waits for another sealer until the caller stops waiting.
    fn seal_all(&self, until: Option<Instant>) -> Result<u64> {
        // Of the moment of the call: later entries would keep it from ending.
        let end = self.source.next_sequence()?;
        let mut entries = 0;
        while self.source.extent()?.hot < end {
            if let Some(sealed) = self.seal()? {
                entries += sealed;
                continue;
            }
            let late = until.is_some_and(|until| Instant::now() >= until);
            if late || self.orders.is_stopped() {
                break;
            }
            thread::park_timeout(OTHERS);
        }
        Ok(entries)
    }

    /// Retires due segments; see [`Options::keep`](crate::Options::keep).
    fn retire(&mut self, sealed: bool) {
        let Some(retention) = &mut self.retention else {
            return;
        };
        let orders = &self.orders;
        let outcome = retention(sealed, &|| !orders.is_stopped());
        let retired = outcome.as_ref().copied().unwrap_or(0);
        let fault = outcome.err();
        // Before the health knows: a flush after that covers the event.
        self.conditions
            .follow(COMPONENT, RETENTION_FAULT, fault.clone());
        let mut known = lock(&self.health);
        known.retired += retired;
        known.retention_fault = fault;
    }

    /// Reports a fault when it begins and when it is over. The journal continues.
    fn report(&self, fault: Option<Error>) {
        let fault = fault.map(|error| error.to_string());
        // Before the health knows: a flush after that covers the event.
        self.conditions.follow(COMPONENT, FAULT, fault.clone());
        lock(&self.health).fault = fault;
    }
}
