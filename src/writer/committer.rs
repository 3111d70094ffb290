//! A thread that takes full batches to the disk, so that the writer encodes the next one meanwhile: a
//! commit of megabytes is mostly waiting. It is started by the first full batch; a loop that never
//! fills one between two commits does without it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::attempt::Attempt;
use crate::error::Result;
use crate::queue::Queue;
use crate::store::{Commits, WriteFailure};
use crate::{probe, threads};

/// How long the writer waits for the committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// For as long as the commit takes, as if it had committed itself.
    Endless,
}

/// What became of an attempt that was handed over.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and the large one is the usual one"
)]
pub(super) enum Tried {
    Ended {
        attempt: Attempt,
        outcome: Result<(), WriteFailure>,
        took: Duration,
    },
    /// The thread is gone, and the attempt with it.
    Lost,
}

pub(super) struct Committer {
    commits: Commits,
    thread: Option<Running>,
    /// Events of the attempt that it is at, if it is at one.
    under_way: Option<u64>,
}

struct Running {
    attempts: Sender<Attempt>,
    tried: Receiver<Tried>,
    thread: JoinHandle<()>,
}

impl Committer {
    pub(super) fn new(commits: Commits) -> Self {
        Committer {
            commits,
            thread: None,
            under_way: None,
        }
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.under_way.is_some()
    }

    /// Events of the attempt that it is at.
    pub(super) fn events(&self) -> u64 {
        self.under_way.unwrap_or(0)
    }

    /// Gives the attempt to the thread, which wakes the writer when it is done; or back, if there can
    /// be no thread.
    pub(super) fn hand_over(&mut self, attempt: Attempt, queue: &Arc<Queue>) -> Option<Attempt> {
        debug_assert!(self.under_way.is_none(), "W1");
        if self.thread.is_none() {
            self.thread = start(self.commits.clone(), queue.clone()).ok();
        }
        let Some(running) = &self.thread else {
            return Some(attempt);
        };
        let events = attempt.counts.events;
        match running.attempts.send(attempt) {
            Ok(()) => {
                self.under_way = Some(events);
                None
            }
            Err(refused) => {
                self.thread = None;
                Some(refused.into_inner())
            }
        }
    }

    /// What became of the attempt that it is at, if that is known within `patience`.
    pub(super) fn take_back(&mut self, patience: Patience) -> Option<Tried> {
        self.under_way?;
        let running = self.thread.as_ref()?;
        let tried = match patience {
            Patience::None if running.tried.is_empty() => return None,
            _ => running.tried.recv(),
        };
        if tried.is_ok() {
            self.under_way = None;
        }
        Some(tried.unwrap_or(Tried::Lost))
    }

    /// The attempt that it is at is somebody else's to count.
    pub(super) fn give_up(&mut self) {
        self.under_way = None;
    }
}

impl Drop for Committer {
    /// Waits for the thread, which keeps the file open.
    fn drop(&mut self) {
        if let Some(Running {
            attempts, thread, ..
        }) = self.thread.take()
        {
            drop(attempts);
            // That it panicked was said when it was noticed.
            let _ = thread.join();
        }
    }
}

fn start(commits: Commits, queue: Arc<Queue>) -> Result<Running> {
    let (attempts, received) = bounded::<Attempt>(1);
    let (sender, tried) = bounded(1);
    let thread = threads::spawn("annals-commit", queue.keep_panic(), move || {
        for mut attempt in received {
            probe::turn(commits.path());
            let began = Instant::now();
            let outcome = commits.commit(attempt.commit());
            let ended = Tried::Ended {
                attempt,
                outcome: outcome.map(drop),
                took: began.elapsed(),
            };
            if sender.send(ended).is_err() {
                return;
            }
            queue.wake_writer();
        }
    })?;
    Ok(Running {
        attempts,
        tried,
        thread,
    })
}
