//! Waiting for a thread's end, with a bound: it may be held up by a stopped process or a slow disk,
//! and in a process that was forked without exec it does not exist.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often is looked whether the thread has ended.
const LOOK: Duration = Duration::from_millis(1);

/// Joins the thread if it ends within `timeout`, and gives it back if not. That it panicked was its
/// last word, and has been said.
pub(crate) fn join_in_time(
    thread: JoinHandle<()>,
    timeout: Duration,
) -> Result<(), JoinHandle<()>> {
    let began = Instant::now();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_does_not_end_is_given_back() {
        let (sender, receiver) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // Ends when the other end is dropped.
            let _ = receiver.recv();
        });
        let kept = join_in_time(thread, Duration::from_millis(5));
        drop(sender);
        let minute = Duration::from_secs(60);
        assert!(kept.is_err_and(|thread| join_in_time(thread, minute).is_ok()));
    }
}
