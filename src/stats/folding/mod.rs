//! The thread that keeps statistics fast: it looks whether there is enough to fold.

pub(crate) mod fold;
pub(crate) mod folded;
mod health;
pub(crate) mod merge;
mod request;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::engine::source::Source;
use crate::entry::clock::Clock;
use crate::entry::error::{Error, Result};
use crate::fs::failpoint::round;
use crate::record::conditions::Conditions;
use crate::threads::worker::{Orders, Worker, lock};
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

const COMPONENT: &str = "annals";
const FAULT: &str = "statistics cannot be folded";

/// Fold all there is.
type FoldCommand = Sender<Result<u64>>;

/// The thread that folds, and its known state.
pub(crate) struct FoldThread {
    worker: Worker<FoldCommand>,
    health: Arc<Mutex<FoldingHealth>>,
    /// Time that it may continue after it was stopped.
    last: Arc<OnceLock<Instant>>,
}

impl FoldThread {
    pub(crate) fn start(
        folder: Folder,
        source: Arc<Source>,
        interval: Duration,
        clock: Clock,
        conditions: Arc<Conditions>,
    ) -> Result<FoldThread> {
        let health = Arc::new(Mutex::new(FoldingHealth::default()));
        let known = health.clone();
        let last = Arc::new(OnceLock::new());
        let until = last.clone();
        let on_panic = conditions.queue().keep_panic();
        let worker = Worker::start("annals-folder", on_panic, move |orders| {
            let mut folding = Folding {
                folder,
                source,
                interval,
                clock,
                conditions,
                orders,
                health: known,
                last: Instant::now(),
                until,
            };
            folding.run();
        })?;
        Ok(FoldThread {
            worker,
            health,
            last,
        })
    }

    pub(crate) fn health(&self) -> FoldingHealth {
        let mut known = lock(&self.health).clone();
        if let Some(panic) = self.worker.panicked() {
            known.fault = Some(panic.to_string());
        }
        known
    }

    /// Folds all committed entries; returns their number.
    pub(crate) fn fold(&self, timeout: Duration) -> Result<u64> {
        self.worker.ask("folding", timeout, |reply| reply)
    }

    /// Tells the thread to fold all entries committed so far, until `last` at most, and then to
    /// end. The next fold does the rest.
    pub(crate) fn wind_up(&self, last: Instant) {
        // A second close changes nothing about the first one's bound.
        let _ = self.last.set(last);
        self.worker.stop();
    }

    /// Waits for the thread's end, for at most `timeout`; returns whether it has ended.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.worker.finish(timeout)
    }
}

struct Folding {
    folder: Folder,
    source: Arc<Source>,
    interval: Duration,
    clock: Clock,
    conditions: Arc<Conditions>,
    orders: Orders<FoldCommand>,
    health: Arc<Mutex<FoldingHealth>>,
    /// When the last fold ended.
    last: Instant,
    /// See [`FoldThread::wind_up`].
    until: Arc<OnceLock<Instant>>,
}

impl Folding {
    fn run(&mut self) {
        let look = LOOK.min(self.interval);
        while !self.orders.is_stopped() {
            round(self.source.path());
            let outcome = self.round();
            let rest = match outcome {
                Ok(took) => look.max(took.saturating_mul(PAUSE)),
                Err(_) => REST,
            };
            self.report(outcome.err());
            let until = Instant::now() + rest;
            while let Some(reply) = self.orders.next_before(until) {
                // The caller may have stopped waiting.
                let _ = reply.send(self.fold());
            }
        }
        self.wind_up();
    }

    /// The last fold: every statistic would read the entries that it leaves again.
    fn wind_up(&mut self) {
        while self.may_go_on() {
            let folded = self.fold();
            let pending = lock(&self.health).pending;
            match folded {
                Ok(entries) if entries > 0 && pending > 0 => {}
                Ok(_) => break,
                // There is no journal any more that could record it.
                Err(error) => {
                    lock(&self.health).fault = Some(error.to_string());
                    break;
                }
            }
        }
    }

    fn may_go_on(&self) -> bool {
        let may = |until: &Instant| Instant::now() < *until;
        !self.orders.is_stopped() || self.until.get().is_some_and(may)
    }

    /// Folds if that is due; returns its duration.
    fn round(&mut self) -> Result<Duration> {
        let pending = self.pending()?;
        let due = pending >= MANY || (pending > 0 && self.last.elapsed() >= self.interval);
        if !due {
            return Ok(Duration::ZERO);
        }
        let began = Instant::now();
        self.fold()?;
        Ok(began.elapsed())
    }

    fn pending(&self) -> Result<u64> {
        let pending = self.source.unfolded()?;
        lock(&self.health).pending = pending;
        Ok(pending)
    }

    fn fold(&mut self) -> Result<u64> {
        let began = Instant::now();
        let (orders, until) = (&self.orders, &self.until);
        let go_on = |_| {
            let may = |until: &Instant| Instant::now() < *until;
            !orders.is_stopped() || until.get().is_some_and(may)
        };
        let now = self.clock.now();
        let folded = self.folder.fold(now, &go_on)?;
        self.last = Instant::now();
        self.pending()?;
        let Some(entries) = folded else {
            // Another process is folding.
            return Ok(0);
        };
        let mut known = lock(&self.health);
        known.folded += entries;
        known.last_took = began.elapsed();
        Ok(entries)
    }

    /// Reports a fault when it begins and when it is over. Statistics are right all the same.
    fn report(&self, fault: Option<Error>) {
        let fault = fault.map(|error| error.to_string());
        // Before the health knows: a flush after that covers the event.
        self.conditions.follow(COMPONENT, FAULT, fault.clone());
        lock(&self.health).fault = fault;
    }
}
