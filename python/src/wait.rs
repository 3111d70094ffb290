//! Waiting without the interpreter's lock, and without hiding Ctrl-C.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use annals::record::Flush;
use pyo3::prelude::*;

use crate::errors::{AnnalsError, BusyError, OrRaise};

/// How long Python's signal handlers may have to wait.
const SLICE: Duration = Duration::from_millis(50);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a ticket. Ctrl-C ends the wait with `KeyboardInterrupt`, and does not undo what was
/// asked for.
pub(crate) fn for_flush(
    py: Python<'_>,
    mut flush: Flush,
    what: &str,
    patience: Duration,
) -> PyResult<()> {
    let began = Instant::now();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let result = py.detach(|| {
            let mut context = Context::from_waker(&waker);
            let mut poll = || Pin::new(&mut flush).poll(&mut context);
            match poll() {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => {
                    thread::park_timeout(left.min(SLICE));
                    poll()
                }
            }
        });
        if let Poll::Ready(result) = result {
            return result.or_raise();
        }
        py.check_signals()?;
        if left.is_zero() {
            let seconds = patience.as_secs_f64();
            let message = format!("the {what} was not done within {seconds} s; it may still come");
            return Err(BusyError::new_err(message));
        }
    }
}

/// Runs `work` on a thread of its own and waits for it. After Ctrl-C the result is dropped when it
/// comes.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> annals::Result<T> + Send + 'static,
) -> PyResult<T> {
    let (sender, mut receiver) = sync_channel(1);
    let worker = thread::Builder::new().name("annals-python".to_owned());
    let started = worker.spawn(move || {
        // Nobody listens any more after Ctrl-C.
        let _ = sender.send(work());
    });
    started
        .map_err(|error| AnnalsError::new_err(format!("no thread could be started: {error}")))?;
    loop {
        let result;
        (receiver, result) = py.detach(move || {
            let result = receiver.recv_timeout(SLICE);
            (receiver, result)
        });
        match result {
            Ok(result) => return result.or_raise(),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(AnnalsError::new_err(
                    "a thread of annals panicked; see stderr",
                ));
            }
        }
    }
}
