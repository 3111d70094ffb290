//! The threads that work beside the loops: each has a name, takes commands, ends on request, and is
//! waited for with a bound. It may be held up by a stopped process or a slow disk, and in a process
//! that was forked without exec it does not exist.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::panics;
use crate::entry::error::{Error, Result};

/// Interval of looks whether the thread has ended.
const LOOK: Duration = Duration::from_millis(1);

/// Time that an ending thread has to report its panic.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A thread that works until it is told to end, and takes commands in between.
pub(crate) struct Worker<C> {
    commands: Sender<C>,
    stop: Arc<Stop>,
    /// Kept until it has ended, so that a second wait waits for it again.
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Its panic, if there was one.
    panicked: Arc<OnceLock<Error>>,
}

/// The thread's own end of it.
pub(crate) struct Orders<C> {
    commands: Receiver<C>,
    stop: Arc<Stop>,
}

/// The order to end.
#[derive(Default)]
struct Stop {
    /// Set after `until`, so that a thread that sees it knows how long it may go on.
    told: AtomicBool,
    /// Until when the thread may do last work; absent if it is to do none.
    until: OnceLock<Instant>,
}

impl<C: Send + 'static> Worker<C> {
    /// Starts the thread, which ends when `run` does. If that is by a panic, `on_panic` is called.
    pub(crate) fn start(
        name: &'static str,
        on_panic: impl FnOnce(Error) + Send + 'static,
        run: impl FnOnce(Orders<C>) + Send + 'static,
    ) -> Result<Worker<C>> {
        let (commands, received) = crossbeam_channel::unbounded();
        let stop = Arc::new(Stop::default());
        let orders = Orders {
            commands: received,
            stop: stop.clone(),
        };
        let panicked = Arc::new(OnceLock::new());
        let known = panicked.clone();
        let on_panic = move |error: Error| {
            // Set before the thread's end can be seen.
            let _ = known.set(error.clone());
            on_panic(error);
        };
        let thread = spawn(name, on_panic, move || run(orders))?;
        Ok(Worker {
            commands,
            stop,
            thread: Mutex::new(Some(thread)),
            panicked,
        })
    }

    fn last_words(&self) -> Option<&Error> {
        let began = Instant::now();
        while self.panicked().is_none() && began.elapsed() < LAST_WORDS {
            let has_ended = lock(&self.thread)
                .as_ref()
                .is_none_or(JoinHandle::is_finished);
            if has_ended {
                break;
            }
            thread::park_timeout(LOOK);
        }
        self.panicked()
    }

    /// The panic that ended the thread, if one did.
    pub(crate) fn panicked(&self) -> Option<&Error> {
        self.panicked.get()
    }

    /// Gives the command that `command` makes of a place for the answer, and waits for that.
    pub(crate) fn ask<T>(
        &self,
        operation: &'static str,
        timeout: Duration,
        command: impl FnOnce(Sender<Result<T>>) -> C,
    ) -> Result<T> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        // If the thread is gone, so is the other end of the answer, which is an answer too.
        // Sent before it is woken: a thread that naps looks for commands when it wakes, not before
        // it naps.
        let _ = self.commands.send(command(reply));
        self.wake();
        match answer.recv_timeout(timeout) {
            Ok(result) => result,
            // It is ending: its panic is known a moment after the answer is gone.
            Err(RecvTimeoutError::Disconnected) => match self.last_words() {
                Some(panic) => Err(panic.clone()),
                None => Err(Error::Closed),
            },
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut {
                operation,
                waited: timeout,
            }),
        }
    }

    /// Tells the thread to end at the next point where it can.
    pub(crate) fn stop(&self) {
        self.stop.told.store(true, Ordering::Release);
        self.wake();
    }

    /// Tells the thread to end, and that it may do last work until `until`. A second call does not
    /// change the time.
    pub(crate) fn stop_by(&self, until: Instant) {
        self.stop.until.get_or_init(|| until);
        self.stop();
    }

    /// Stops the thread and waits for its end, for at most `timeout`; returns whether it has ended.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.stop();
        // Taken out for the wait, so that `wake` of another thread does not wait for the lock as
        // long.
        let Some(thread) = lock(&self.thread).take() else {
            return true;
        };
        let left = join_in_time(thread, timeout).err();
        // Put back if it has not ended: nothing is detached, and a second `finish` waits again.
        let has_ended = left.is_none();
        *lock(&self.thread) = left;
        has_ended
    }

    /// Ends a nap of the thread.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.thread().unpark();
        }
    }
}

impl<C> Orders<C> {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.told.load(Ordering::Acquire)
    }

    /// Whether there is time for another piece of work: the thread was not stopped, or it may still
    /// do last work.
    pub(crate) fn has_time(&self) -> bool {
        let may = |until: &Instant| Instant::now() < *until;
        !self.is_stopped() || self.stop.until.get().is_some_and(may)
    }

    /// The next command, if one is given before `until` and before the thread is stopped.
    pub(crate) fn next_before(&self, until: Instant) -> Option<C> {
        while !self.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if let Ok(command) = self.commands.try_recv() {
                return Some(command);
            }
            thread::park_timeout(left);
        }
        None
    }
}

/// Starts a thread of this name. If it ends by a panic, `on_panic` is called on it: a background
/// thread that is not joined must not die in silence.
pub(crate) fn spawn(
    name: &'static str,
    on_panic: impl FnOnce(Error) + Send + 'static,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let body = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            on_panic(panicked(name, &*panic));
        }
    };
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map_err(|cause| Error::Thread {
        name,
        cause: Arc::new(cause),
    })
}

/// The error for a panic of the thread of this name.
pub(crate) fn panicked(name: &'static str, panic: &(dyn Any + Send)) -> Error {
    Error::ThreadPanicked {
        name,
        message: panics::said(panic),
    }
}

/// Joins the thread if it ends within `timeout`, and gives it back if not. A panic of it was
/// reported when it happened.
pub(crate) fn join_in_time(
    thread: JoinHandle<()>,
    timeout: Duration,
) -> Result<(), JoinHandle<()>> {
    let began = Instant::now();
    // `JoinHandle` has no wait with a bound.
    while !thread.is_finished() {
        if began.elapsed() >= timeout {
            return Err(thread);
        }
        thread::park_timeout(LOOK);
    }
    // It has ended, so this returns at once.
    let _ = thread.join();
    Ok(())
}

/// A thread's state is whole after each step, so a panic leaves nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_thread_that_does_not_end_is_given_back() {
        let (sender, receiver) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // Ends when the other end is dropped.
            let _ = receiver.recv();
        });
        let kept = join_in_time(thread, SHORT);
        drop(sender);
        assert!(kept.is_err_and(|thread| join_in_time(thread, LONG).is_ok()));
    }

    #[test]
    fn a_worker_that_is_held_up_is_waited_for_again() {
        let (sender, receiver) = mpsc::channel::<()>();
        let worker = Worker::<()>::start("annals-test", drop, move |_| {
            let _ = receiver.recv();
        });
        let worker = worker.unwrap();
        assert!(!worker.finish(SHORT));
        assert!(!worker.finish(SHORT), "it still works");
        drop(sender);
        assert!(worker.finish(LONG));
        assert!(worker.finish(SHORT), "there is nothing to wait for");
    }

    #[test]
    fn a_worker_answers_until_it_is_stopped() {
        let worker = Worker::<Sender<Result<u8>>>::start("annals-test", drop, |orders| {
            while let Some(reply) = orders.next_before(Instant::now() + LONG) {
                let _ = reply.send(Ok(7));
            }
        });
        let worker = worker.unwrap();
        for _ in 0..100 {
            assert!(matches!(worker.ask("a test", LONG, |reply| reply), Ok(7)));
        }
        assert!(worker.finish(LONG), "it naps");
        let late = worker.ask("a test", LONG, |reply| reply);
        assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    }

    #[test]
    fn who_asks_a_worker_that_is_busy_waits_no_longer_than_he_said() {
        let (sender, receiver) = mpsc::channel::<()>();
        let worker = Worker::<Sender<Result<()>>>::start("annals-test", drop, move |orders| {
            let _ = receiver.recv();
            drop(orders);
        });
        let worker = worker.unwrap();
        let late = worker.ask("a test", SHORT, |reply| reply);
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        drop(sender);
        assert!(worker.finish(LONG));
    }

    #[test]
    fn a_worker_that_panics_says_so_to_all_who_ask() {
        let (sender, told) = mpsc::channel();
        let on_panic = move |error| {
            let _ = sender.send(error);
        };
        let worker = Worker::<Sender<Result<()>>>::start("annals-test", on_panic, |orders| {
            let _command = orders.next_before(Instant::now() + LONG);
            panic!("a thread of {}", "ours");
        });
        let worker = worker.unwrap();
        let asked = worker.ask("a test", LONG, |reply| reply);
        let said = asked.unwrap_err().to_string();
        assert!(
            said.contains("annals-test panicked (a thread of ours)"),
            "{said}"
        );
        assert!(matches!(
            told.recv_timeout(LONG),
            Ok(Error::ThreadPanicked { .. })
        ));
        assert!(worker.finish(LONG));
        assert!(worker.panicked().is_some());
    }
}
