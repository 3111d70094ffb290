//! A thread that takes full batches to the disk, so that the writer encodes the next one at the
//! same time: a commit of megabytes mostly waits. It is started by the first full batch; a loop
//! that never fills one between two commits does without it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::in_flight::InFlight;
use crate::engine::hot::Commits;
use crate::engine::kv::WriteFailure;
use crate::entry::error::Result;
use crate::fs::failpoint;
use crate::record::queue::Queue;
use crate::threads::worker;

/// How the writer waits for the commit thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all.
    No,
    /// For as long as the commit takes, as if it had committed itself.
    UntilDone,
}

/// Result of a submitted commit.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and the large one is the usual one"
)]
pub(super) enum Finished {
    Commit {
        in_flight: InFlight,
        result: Result<(), WriteFailure>,
        took: Duration,
    },
    /// The thread is gone, and the commit with it.
    Panicked,
}

pub(super) struct CommitThread {
    commits: Commits,
    thread: Option<RunningCommitThread>,
    /// Events of the commit that was submitted and is not polled yet.
    submitted: Option<u64>,
}

struct RunningCommitThread {
    commits: Sender<InFlight>,
    finished: Receiver<Finished>,
    thread: JoinHandle<()>,
}

impl CommitThread {
    pub(super) fn new(commits: Commits) -> Self {
        CommitThread {
            commits,
            thread: None,
            submitted: None,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.submitted.is_some()
    }

    /// Events of the commit that it is at.
    pub(super) fn events(&self) -> u64 {
        self.submitted.unwrap_or(0)
    }

    /// Gives the commit to the thread, which wakes the writer when it is done. Returns it if no
    /// thread can be started.
    pub(super) fn submit(&mut self, in_flight: InFlight, queue: &Arc<Queue>) -> Option<InFlight> {
        // Were there two, the second could be durable although the first failed: a gap in the
        // sequence of batches that recovery cannot name.
        debug_assert!(self.submitted.is_none(), "W1");
        if self.thread.is_none() {
            self.thread = start(self.commits.clone(), queue.clone()).ok();
        }
        let Some(running) = &self.thread else {
            return Some(in_flight);
        };
        let events = in_flight.counts.events;
        // Fails only if the thread is gone. The commit comes back whole.
        match running.commits.send(in_flight) {
            Ok(()) => {
                self.submitted = Some(events);
                None
            }
            Err(refused) => {
                self.thread = None;
                Some(refused.into_inner())
            }
        }
    }

    /// Result of the submitted commit, if it is known after `wait`.
    pub(super) fn poll(&mut self, wait: Wait) -> Option<Finished> {
        self.submitted?;
        let running = self.thread.as_ref()?;
        let finished = match wait {
            Wait::No if running.finished.is_empty() => return None,
            _ => running.finished.recv(),
        };
        if finished.is_ok() {
            self.submitted = None;
        }
        Some(finished.unwrap_or(Finished::Panicked))
    }

    /// Forgets the submitted commit: the caller counts its events.
    pub(super) fn abandon(&mut self) {
        self.submitted = None;
    }
}

impl Drop for CommitThread {
    /// Waits for the thread, which keeps the file open.
    fn drop(&mut self) {
        if let Some(RunningCommitThread {
            commits, thread, ..
        }) = self.thread.take()
        {
            // The thread's loop ends with its sender. Without this the join would wait for ever.
            drop(commits);
            // A panic was reported when it was noticed.
            let _ = thread.join();
        }
    }
}

fn start(commits: Commits, queue: Arc<Queue>) -> Result<RunningCommitThread> {
    // One at a time (W1): after a failed commit no later one may be made.
    let (submitted, received) = bounded::<InFlight>(1);
    let (sender, finished) = bounded(1);
    let thread = worker::spawn("annals-commit", queue.keep_panic(), move || {
        for mut in_flight in received {
            failpoint::round(commits.path());
            let began = Instant::now();
            let result = commits.commit(in_flight.commit());
            let commit = Finished::Commit {
                in_flight,
                result,
                took: began.elapsed(),
            };
            if sender.send(commit).is_err() {
                return;
            }
            // The writer may be in its nap, and a flush may wait for this commit.
            queue.wake_writer();
        }
    })?;
    Ok(RunningCommitThread {
        commits: submitted,
        finished,
        thread,
    })
}
