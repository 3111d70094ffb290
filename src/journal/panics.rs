//! Panics of the application: a journal records them and flushes, while the thread still unwinds.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::entry::event::Level;
use crate::entry::value::Value;
use crate::record::flush::{self, Demand, FlushReply};
use crate::record::queue::Queue;
use crate::threads::panics::{self, Panic, PanicObserver};

/// Records every panic in a journal and flushes it.
struct Recording {
    queue: Weak<Queue>,
    requests: Sender<FlushReply>,
    timeout: Duration,
}

impl PanicObserver for Recording {
    fn note(&self, panic: &Panic) -> Option<Box<dyn FnOnce()>> {
        let queue = self.queue.upgrade()?;
        // The writer cannot wait for itself.
        if queue.is_writer() || queue.is_closed() {
            return None;
        }
        // Where the journal's own threads are caught, their panics are recorded there.
        if !panic.is_own() {
            queue.panicked.store(true, Ordering::Release);
            record(panic, &queue);
        }
        let ticket = flush::request(&self.requests, Demand::Commit, || queue.wake_writer());
        let timeout = self.timeout;
        Some(Box::new(move || {
            // There is nothing more to be done about a flush that fails during a panic.
            let _ = ticket.wait(timeout);
        }))
    }
}

/// Records every panic from now on in the journal of `queue` and flushes it, as long as what is
/// returned is kept.
pub(super) fn watch(
    queue: &Arc<Queue>,
    requests: &Sender<FlushReply>,
    timeout: Duration,
) -> Arc<dyn PanicObserver> {
    let recording: Arc<dyn PanicObserver> = Arc::new(Recording {
        // Weak: the hook of the process must not keep a closed journal.
        queue: Arc::downgrade(queue),
        requests: requests.clone(),
        timeout,
    });
    panics::watch(&recording);
    recording
}

/// For the end of a journal: if this thread unwinds, records the reason, and marks the end of the
/// run with it.
pub(super) fn note_unwinding(queue: &Queue) {
    if !thread::panicking() || queue.is_closed() {
        return;
    }
    // A panic from before this journal was opened is not what unwinds now.
    let last = panics::last(queue.first_panic)
        .unwrap_or_else(|| Panic::with("a panic unwinds the thread that closes the journal"));
    record(&last, queue);
    queue.unwound.store(true, Ordering::Release);
}

/// Queues the panic as a system event, unless this journal has it already.
fn record(panic: &Panic, queue: &Queue) {
    // The hook and the closing of an unwinding thread may both see the same panic.
    if queue.last_panic.swap(panic.number, Ordering::Relaxed) == panic.number {
        return;
    }
    let fields = vec![
        ("location".to_owned(), Value::from(panic.location.as_str())),
        ("thread".to_owned(), Value::from(panic.thread.as_str())),
    ];
    queue.system_event(Level::Error, "panic", panic.message.clone(), fields);
}
