//! The thread that reads the executable, for the manifests of the runs of this process.

use std::time::{Duration, Instant};

use crate::entry::error::Error;
use crate::fs::executable;
use crate::threads::worker::Worker;

/// A close waits for the digest as long as this, at most.
const LAST: Duration = Duration::from_secs(1);

/// Digests the executable, once for a process.
pub(super) struct DigestThread(Worker<()>);

impl DigestThread {
    /// `None` if the digest is known, or on its way, or no thread can be started: then runs have
    /// none.
    pub(super) fn start(on_panic: impl FnOnce(Error) + Send + 'static) -> Option<Self> {
        if !executable::claim() {
            return None;
        }
        let worker = Worker::start("annals-digest", on_panic, |orders| {
            executable::compute(|| !orders.is_stopped());
        });
        if worker.is_err() {
            executable::give_back();
        }
        worker.ok().map(DigestThread)
    }

    /// Ends the thread; returns whether it has ended.
    pub(super) fn finish(&self, timeout: Duration) -> bool {
        self.0.finish(timeout)
    }
}

/// Waits for a digest that this process computes, so that the last commit of a run has it.
pub(super) fn wait(most: Duration) {
    let now = Instant::now();
    executable::wait(now.checked_add(most.min(LAST)).unwrap_or(now));
}
