//! A follower as a stream: each entry once, no wake-up without an entry, nothing left after a drop.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use annals::read::FollowStream;
use annals::{
    Entry, Error, Inference, Journal, ManualClock, Reader, Result, RetentionPolicy, Timestamp,
};
use futures_core::Stream;

const BOUND: Duration = Duration::from_secs(60);
/// Some looks of the thread.
const SOME_LOOKS: Duration = Duration::from_millis(200);

/// Counts its calls, and wakes the thread that waits.
struct Counting {
    thread: Thread,
    calls: AtomicU64,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn counting() -> Arc<Counting> {
    Arc::new(Counting {
        thread: thread::current(),
        calls: AtomicU64::new(0),
    })
}

/// The least executor there is: sleeps until the task is woken.
fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    let waker = Waker::from(counting());
    let began = Instant::now();
    loop {
        if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        assert!(began.elapsed() < BOUND, "nothing wakes the task");
        thread::park_timeout(BOUND);
    }
}

fn poll(stream: &mut FollowStream, waker: &Waker) -> Poll<Option<Result<Entry>>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

async fn next(stream: &mut FollowStream) -> Result<Entry> {
    let item = poll_fn(|task| Pin::new(&mut *stream).poll_next(task)).await;
    item.expect("a stream does not end")
}

fn log(journal: &Journal) {
    assert!(journal.log(Inference::new("m", "s", "BUY")).is_some());
}

fn stream_of(reader: &Reader) -> FollowStream {
    let follow = reader.follow(reader.start()).unwrap();
    follow.into_stream().unwrap()
}

#[test]
fn each_entry_comes_once_through_any_handle() {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options()
        .without_mirror()
        .dedup_window(Duration::ZERO);
    let journal = options.open(dir.path()).unwrap();
    log(&journal);
    journal.flush().wait(BOUND).unwrap();
    // A handle of its own, as in another process.
    let other = Reader::open(dir.path()).unwrap();
    let mut streams = [stream_of(&journal.reader().unwrap()), stream_of(&other)];
    let writer = thread::spawn(move || {
        for _ in 0..20 {
            log(&journal);
            journal.flush().wait(BOUND).unwrap();
        }
        journal
    });
    for stream in &mut streams {
        let given = block_on(async {
            let mut given = Vec::new();
            while given.len() < 21 {
                given.push(next(stream).await.unwrap().sequence);
            }
            given
        });
        assert_eq!(given, (1..=21).collect::<Vec<_>>());
        assert_eq!(stream.cursor(), other.end().unwrap());
    }
    writer.join().unwrap().close().unwrap();
    // The journal may be opened again: the stream waits, and goes on.
    let count = counting();
    let [stream, _] = &mut streams;
    assert!(poll(stream, &Waker::from(count)).is_pending());
    let again = Journal::open(dir.path()).unwrap();
    log(&again);
    let mut sequence = 0;
    while sequence < 22 {
        sequence = block_on(next(&mut streams[1])).unwrap().sequence;
    }
    again.close().unwrap();
}

#[test]
fn a_task_is_woken_once_and_only_for_an_entry() {
    let journal = Journal::in_memory().unwrap();
    let mut stream = stream_of(&journal.reader().unwrap());
    let count = counting();
    let waker = Waker::from(count.clone());
    assert!(poll(&mut stream, &waker).is_pending());
    thread::sleep(SOME_LOOKS);
    assert_eq!(
        count.calls.load(Ordering::SeqCst),
        0,
        "nothing was committed"
    );
    // Only the task that polled last is woken.
    let last = counting();
    let waker = Waker::from(last.clone());
    assert!(poll(&mut stream, &waker).is_pending());
    log(&journal);
    let began = Instant::now();
    while last.calls.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < BOUND, "nothing wakes the task");
        thread::park_timeout(BOUND);
    }
    thread::sleep(SOME_LOOKS);
    assert_eq!(last.calls.load(Ordering::SeqCst), 1);
    assert_eq!(count.calls.load(Ordering::SeqCst), 0);
    assert!(poll(&mut stream, &waker).is_ready());
}

#[test]
fn a_dropped_stream_leaves_nothing_behind() {
    let journal = Journal::in_memory().unwrap();
    let reader = journal.reader().unwrap();
    let mut stream = stream_of(&reader);
    let count = counting();
    let waker = Waker::from(count.clone());
    assert!(poll(&mut stream, &waker).is_pending());
    drop(waker);
    assert_eq!(
        Arc::strong_count(&count),
        2,
        "the seat has the task's waker"
    );
    let place = stream.cursor();
    drop(stream);
    assert_eq!(Arc::strong_count(&count), 1);
    log(&journal);
    journal.flush().wait(BOUND).unwrap();
    assert_eq!(count.calls.load(Ordering::SeqCst), 0);
    // Nothing is lost: another one goes on from there.
    let mut next_one = reader.follow(place).unwrap().into_stream().unwrap();
    assert_eq!(block_on(next(&mut next_one)).unwrap().sequence, 1);
}

/// Some executors drop a task on the thread that wakes it.
#[test]
fn a_stream_may_be_dropped_by_its_own_wake_up() {
    struct Dropping(Mutex<Option<FollowStream>>, Thread);
    impl Wake for Dropping {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.unpark();
        }
    }
    let journal = Journal::in_memory().unwrap();
    let stream = stream_of(&journal.reader().unwrap());
    let dropping = Arc::new(Dropping(Mutex::new(Some(stream)), thread::current()));
    let waker = Waker::from(dropping.clone());
    let mut held = dropping.0.lock().unwrap();
    assert!(poll(held.as_mut().unwrap(), &waker).is_pending());
    drop(held);
    log(&journal);
    let began = Instant::now();
    while dropping.0.lock().unwrap().is_some() {
        assert!(began.elapsed() < BOUND, "nothing wakes the task");
        thread::park_timeout(Duration::from_millis(10));
    }
    // Streams work after that.
    let mut stream = stream_of(&journal.reader().unwrap());
    assert_eq!(block_on(next(&mut stream)).unwrap().sequence, 1);
}

#[test]
fn an_error_keeps_the_place_and_does_not_spin() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let options = Journal::options().without_mirror().clock(clock.clone());
    let journal = options
        .dedup_window(Duration::ZERO)
        .open(dir.path())
        .unwrap();
    for _segment in 0..2 {
        (0..10).for_each(|_| log(&journal));
        journal.flush().wait(BOUND).unwrap();
        journal.seal(BOUND).unwrap();
        clock.advance(Duration::from_secs(3 * 86_400));
    }
    log(&journal);
    journal.flush().wait(BOUND).unwrap();
    let reader = journal.reader().unwrap();
    let mut follow = reader.follow(reader.start()).unwrap();
    assert_eq!(follow.next().unwrap().unwrap().sequence, 1);
    let cursor = follow.cursor();
    let maintenance = journal.maintenance().unwrap();
    let plan = maintenance
        .retention(RetentionPolicy::new().max_age_days(2))
        .plan()
        .unwrap();
    assert!(plan.apply().unwrap().entries > 0);

    let mut stream = reader.follow(cursor).unwrap().into_stream().unwrap();
    let count = counting();
    let waker = Waker::from(count.clone());
    let began = Instant::now();
    for _try in 0..3 {
        // A task that passes over the error and polls at once has to wait.
        let item = loop {
            assert!(began.elapsed() < BOUND, "it does not try again");
            match poll(&mut stream, &waker) {
                Poll::Ready(item) => break item.unwrap(),
                Poll::Pending => thread::park_timeout(BOUND),
            }
        };
        let error = item.unwrap_err();
        assert!(
            matches!(error, Error::Retired { sequence: 2, .. }),
            "{error}"
        );
        assert_eq!(stream.cursor(), cursor);
    }
    assert!(began.elapsed() >= 2 * Duration::from_millis(20));
    let woken = count.calls.load(Ordering::SeqCst);
    assert!(woken <= 2, "{woken} calls");
    // Where the journal begins now, the same stream's follower goes on.
    drop(stream);
    let kept = stream_of(&reader).into_follow().next().unwrap().unwrap();
    assert!(kept.sequence > 10);
}

#[tokio::test]
async fn a_runtime_runs_and_cancels_it() {
    let journal = Journal::in_memory().unwrap();
    let reader = journal.reader().unwrap();
    let mut stream = stream_of(&reader);
    // Cancelled while it waits, in the middle of a `select`.
    let late = tokio::time::timeout(Duration::from_millis(50), next(&mut stream)).await;
    assert!(late.is_err(), "nothing was committed");
    let task = tokio::spawn(async move {
        let entry = next(&mut stream).await?;
        Ok::<_, Error>((entry.sequence, stream))
    });
    log(&journal);
    let (sequence, mut stream) = task.await.unwrap().unwrap();
    assert_eq!(sequence, 1);
    let task = tokio::spawn(async move { next(&mut stream).await.is_ok() });
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}
