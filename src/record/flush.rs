//! Waiting for the disk: a ticket that a thread can wait on and any async runtime can await.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::entry::error::{Error, Result};
use crate::threads::sync::channel::Sender;
use crate::threads::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The promise that everything logged before it was asked for is on disk; from
/// [`Journal::flush`](crate::Journal::flush) and [`Journal::sync`](crate::Journal::sync).
///
/// Wait with a bound, or `.await` it in any runtime: it needs none. Dropping it does not undo what
/// was asked for.
///
/// ```
/// # use annals::{Inference, Journal};
/// # use std::time::Duration;
/// let journal = Journal::in_memory()?;
/// journal.log(Inference::new("m", "s", "BUY"));
/// journal.flush().wait(Duration::from_secs(5))?;
/// assert_eq!(journal.health().committed, 1);
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a flush promises nothing unless it is waited for"]
pub struct Flush {
    state: Arc<TicketState>,
    demand: Demand,
}

/// The promise of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Durable and visible to every new reader: a commit.
    Commit,
    /// Durable: in the spool, if there is one.
    Sync,
}

#[derive(Debug, Default)]
struct TicketState {
    answer: Mutex<Waiting>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    result: Option<Result<()>>,
    waker: Option<Waker>,
}

impl TicketState {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's end of a ticket. Dropped without an answer, it answers that the journal is closed.
#[derive(Debug)]
pub(crate) struct FlushReply {
    state: Arc<TicketState>,
    demand: Demand,
}

/// A ticket and the end that answers it.
fn ticket(demand: Demand) -> (Flush, FlushReply) {
    let state = Arc::new(TicketState::default());
    let flush = Flush {
        state: state.clone(),
        demand,
    };
    (flush, FlushReply { state, demand })
}

/// Asks the receiver of `requests` for what `demand` says, and wakes it.
pub(crate) fn request(requests: &Sender<FlushReply>, demand: Demand, wake: impl FnOnce()) -> Flush {
    let (flush, answer) = ticket(demand);
    // If the receiver is gone, the answer comes back with the error and reports "closed" as it
    // drops.
    // The request is in the channel before the writer is woken. The other order could let it nap
    // through the whole interval.
    let _ = requests.send(answer);
    wake();
    flush
}

impl FlushReply {
    pub(crate) fn demand(&self) -> Demand {
        self.demand
    }

    pub(crate) fn send(self, result: Result<()>) {
        self.answer(result);
    }

    fn answer(&self, result: Result<()>) {
        let mut waiting = self.state.lock();
        if waiting.result.is_none() {
            waiting.result = Some(result);
            self.state.answered.notify_all();
            if let Some(waker) = waiting.waker.take() {
                // A waker may run the future at once, on this thread: it takes this lock.
                drop(waiting);
                waker.wake();
            }
        }
    }
}

impl Drop for FlushReply {
    fn drop(&mut self) {
        self.answer(Err(Error::Closed));
    }
}

impl Flush {
    /// Blocks until the entries are on disk, for at most `timeout`.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if that was not done in time (it may still come), [`Error::NoRoom`] if
    /// the device is full (the events are kept), [`Error::Failed`] if the commit failed.
    /// [`Error::Closed`] if the journal was closed before the ticket was asked for.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let journal = annals::Journal::in_memory()?;
    /// let flush = journal.flush(); // asks now; the loop can go on
    /// flush.wait(Duration::from_secs(5))?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn wait(self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now().checked_add(timeout);
        let mut waiting = self.state.lock();
        loop {
            if let Some(result) = &waiting.result {
                return result.clone();
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                // A deadline beyond the clock's range: waited for in hours, for ever.
                None => Duration::from_secs(3_600),
            };
            if left.is_zero() {
                return Err(Error::TimedOut {
                    operation: match self.demand {
                        Demand::Commit => "flush",
                        Demand::Sync => "sync",
                    },
                    waited: timeout,
                });
            }
            let woken = self.state.answered.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Future for Flush {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut waiting = self.state.lock();
        match &waiting.result {
            Some(result) => Poll::Ready(result.clone()),
            None => {
                // Replaced at each poll: a future may move between tasks, and the last one waits.
                waiting.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_the_waiting_thread() {
        let (flush, answer) = ticket(Demand::Commit);
        let waiting = std::thread::spawn(move || flush.wait(Duration::from_secs(60)));
        answer.send(Ok(()));
        assert!(matches!(waiting.join(), Ok(Ok(()))));
    }

    #[test]
    fn no_answer_is_a_timeout_and_a_lost_one_is_closed() {
        let (flush, answer) = ticket(Demand::Commit);
        let error = flush.wait(Duration::from_millis(1));
        assert!(matches!(error, Err(Error::TimedOut { .. })));
        drop(answer);
        let (flush, answer) = ticket(Demand::Commit);
        drop(answer);
        assert!(matches!(flush.wait(Duration::ZERO), Err(Error::Closed)));
    }
}
