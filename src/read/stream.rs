//! A follower as a stream. One thread of the process looks for all streams that wait, and wakes
//! only those that have something to give.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use futures_core::Stream;

use super::cursor::Cursor;
use super::follow::{Follow, POLL};
use crate::engine::source::Source;
use crate::entry::error::Result;
use crate::entry::record::Entry;
use crate::entry::sequence::Sequence;
use crate::threads::worker::{Worker, lock};

/// Longest wait of the last stream for the thread. It ends after one look.
const LETTING_GO: Duration = Duration::from_secs(2);

/// A [`Follow`] for asynchronous code, in any runtime or none; from [`Follow::into_stream`].
///
/// * It gives every committed entry once, in sequence, and then waits for more. One thread of the
///   process, `annals-follow`, looks every 20 ms for all streams, and wakes a task only when its
///   stream has an entry.
/// * It never ends, because any process may open the journal again. Drop it to stop, at any time:
///   nothing is lost, and [`cursor`](Self::cursor) is where to go on.
/// * After an error its place is unchanged. It tries again with the next poll, 20 ms later at the
///   earliest, so a task that passes over errors does not spin. Stop at errors that remain, such
///   as [`Error::Retired`](crate::Error::Retired).
///
/// A poll reads up to 256 KiB of blocks, on the thread that polls, when it has given what it read
/// before. That takes about a millisecond, or as long as the disk takes.
///
/// ```
/// use std::future::poll_fn;
/// use std::pin::Pin;
/// use annals::{Inference, Journal};
/// use futures_core::Stream; // or `StreamExt::next` of futures, tokio-stream, futures-lite
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let journal = Journal::in_memory()?;
/// let reader = journal.reader()?;
/// let mut entries = reader.follow(reader.start())?.into_stream()?;
/// journal.log(Inference::new("m", "s", "BUY"));
/// let entry = poll_fn(|task| Pin::new(&mut entries).poll_next(task)).await;
/// assert_eq!(entry.expect("a stream does not end")?.sequence, 1);
/// # Ok::<(), annals::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct FollowStream {
    follow: Follow,
    /// Set after an error.
    not_before: Option<Instant>,
    seat: Seat,
}

impl Follow {
    /// The same follower as a [`Stream`](futures_core::Stream). The first one starts the thread
    /// that looks for all of them, and the last one joins it as it is dropped.
    ///
    /// # Errors
    /// [`Error::Thread`](crate::Error::Thread) if the thread cannot be started.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let reader = journal.reader()?;
    /// let entries = reader.follow(reader.start())?.into_stream()?;
    /// assert_eq!(entries.cursor(), reader.start());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn into_stream(self) -> Result<FollowStream> {
        Ok(FollowStream {
            follow: self,
            not_before: None,
            seat: Seat::new()?,
        })
    }
}

impl FollowStream {
    /// The place after the entry that was given last.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let entries = reader.follow(reader.start())?.into_stream()?;
    /// assert_eq!(entries.cursor().next_sequence(), 1); // nothing was given yet
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.follow.cursor()
    }

    /// The follower, at the same place, for a thread that may block.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let reader = journal.reader()?;
    /// let entries = reader.follow(reader.start())?.into_stream()?;
    /// assert_eq!(entries.into_follow().cursor(), reader.start());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn into_follow(self) -> Follow {
        self.follow
    }
}

impl Stream for FollowStream {
    type Item = Result<Entry>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.not_before.is_none_or(|until| until <= Instant::now()) {
            this.not_before = None;
            if let Some(item) = this.follow.next() {
                if item.is_err() {
                    this.not_before = Instant::now().checked_add(POLL);
                }
                this.seat.leave();
                return Poll::Ready(Some(item));
            }
        }
        // An entry that is committed from here on is seen by the thread's next look, because it
        // compares places instead of waiting for an event.
        this.seat.take(WaitingStream {
            source: this.follow.source().clone(),
            next: this.follow.cursor().next(),
            not_before: this.not_before,
            waker: task.waker().clone(),
        });
        Poll::Pending
    }
}

impl fmt::Debug for FollowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowStream")
            .field("follow", &self.follow)
            .finish_non_exhaustive()
    }
}

/// A stream that waits.
struct WaitingStream {
    source: Arc<Source>,
    /// The sequence that it waits for.
    next: Sequence,
    /// After an error: when to try again, without a look.
    not_before: Option<Instant>,
    waker: Waker,
}

/// Where one stream waits. Leaving it drops the task's waker.
struct Seat {
    number: u64,
    watcher: Arc<StreamThread>,
}

impl Seat {
    fn new() -> Result<Seat> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Ok(Seat {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            watcher: StreamThread::shared()?,
        })
    }

    /// Waits, with the task that polled last.
    fn take(&self, waiting: WaitingStream) {
        let before = lock(&self.watcher.room.seats).insert(self.number, waiting);
        // A waker runs foreign code as it is dropped: not under the lock.
        drop(before);
    }

    fn leave(&self) {
        let left = lock(&self.watcher.room.seats).remove(&self.number);
        drop(left);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The state that the thread shares with the streams.
#[derive(Default)]
struct WaitingRoom {
    seats: Mutex<AHashMap<u64, WaitingStream>>,
    thread: OnceLock<ThreadId>,
}

/// The thread; the streams own it together.
struct StreamThread {
    room: Arc<WaitingRoom>,
    worker: Worker<()>,
}

static WATCHER: Mutex<Weak<StreamThread>> = Mutex::new(Weak::new());

impl StreamThread {
    /// That of all streams of this process.
    fn shared() -> Result<Arc<StreamThread>> {
        let mut known = lock(&WATCHER);
        if let Some(watcher) = known.upgrade() {
            return Ok(watcher);
        }
        let room = Arc::new(WaitingRoom::default());
        let own = room.clone();
        // A look cannot panic: what it calls is caught there.
        let worker = Worker::start("annals-follow", drop, move |orders| {
            let _ = own.thread.set(thread::current().id());
            while !orders.is_stopped() {
                own.look();
                orders.next_before(Instant::now() + POLL);
            }
        })?;
        let watcher = Arc::new(StreamThread { room, worker });
        *known = Arc::downgrade(&watcher);
        Ok(watcher)
    }
}

impl Drop for StreamThread {
    fn drop(&mut self) {
        // A task that drops the last stream when it is woken does so on the thread itself, which
        // cannot wait for its own end.
        if self.room.thread.get() == Some(&thread::current().id()) {
            self.worker.stop();
        } else {
            self.worker.finish(LETTING_GO);
        }
    }
}

impl WaitingRoom {
    /// Wakes the streams that have something to give. No lock is held while a file is read or a
    /// waker is called.
    fn look(&self) {
        let now = Instant::now();
        let seats = lock(&self.seats);
        let asked = seats.iter().map(|(number, waiting)| {
            let source = waiting.not_before.is_none().then(|| waiting.source.clone());
            let is_due = waiting.not_before.is_some_and(|until| until <= now);
            (*number, source, waiting.next, is_due)
        });
        let asked: Vec<_> = asked.collect();
        drop(seats);
        // Streams of one reader ask once.
        let mut ends = AHashMap::new();
        let ready = asked.into_iter().filter(|(_, source, next, is_due)| {
            let Some(source) = source else {
                return *is_due;
            };
            let end = ends.entry(Arc::as_ptr(source)).or_insert_with(|| {
                let end = catch_unwind(AssertUnwindSafe(|| source.next_sequence()));
                // The stream meets the same obstacle, and gives it as an error.
                end.ok().and_then(Result::ok).unwrap_or(Sequence::MAX)
            });
            *end > *next
        });
        let ready: Vec<u64> = ready.map(|(number, ..)| number).collect();
        for number in ready {
            let woken = lock(&self.seats).remove(&number);
            if let Some(waiting) = woken {
                // A waker that panics must not take the other streams with it.
                let _ = catch_unwind(AssertUnwindSafe(|| waiting.waker.wake()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The only test of this binary that has streams: it sees the thread end.
    #[test]
    fn the_last_stream_joins_the_thread() {
        let (one, other) = (Seat::new().unwrap(), Seat::new().unwrap());
        assert!(Arc::ptr_eq(&one.watcher, &other.watcher));
        let room = Arc::downgrade(&one.watcher.room);
        drop(one);
        assert_eq!(
            room.strong_count(),
            2,
            "the thread's and the other stream's"
        );
        drop(other);
        assert_eq!(room.strong_count(), 0, "the thread has ended");
        drop(Seat::new().unwrap());
    }
}
