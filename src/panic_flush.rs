//! Flushing journals when a thread panics, for those who ask for it.

use std::panic;
use std::sync::{Mutex, Once, PoisonError, Weak};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::flush::{self, Answer};
use crate::queue::Queue;

struct Watched {
    queue: Weak<Queue>,
    requests: Sender<Answer>,
    timeout: Duration,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// Flushes this journal at every panic from now on, until it is dropped.
pub(crate) fn watch(queue: &std::sync::Arc<Queue>, requests: &Sender<Answer>, timeout: Duration) {
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.retain(|journal| journal.queue.strong_count() > 0);
    watched.push(Watched {
        queue: std::sync::Arc::downgrade(queue),
        requests: requests.clone(),
        timeout,
    });
    drop(watched);
    HOOK.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            flush_all();
            earlier(panic);
        }));
    });
}

fn flush_all() {
    // A panic while the list is being changed finds it locked, and goes without.
    let Ok(watched) = WATCHED.try_lock() else {
        return;
    };
    let tickets: Vec<_> = watched
        .iter()
        .filter_map(|journal| {
            let queue = journal.queue.upgrade()?;
            // The writer cannot wait for itself.
            let waits = !queue.is_writer() && !queue.is_closed();
            waits.then(|| {
                let ticket = flush::request(&journal.requests, || queue.wake_writer());
                (ticket, journal.timeout)
            })
        })
        .collect();
    drop(watched);
    for (ticket, timeout) in tickets {
        // There is nothing more to be done about a flush that fails during a panic.
        let _ = ticket.wait(timeout);
    }
}
