//! Actions of the threads, and the conditions that must hold in any order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::channel::{self, Sender};
use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::options::Overflow;
use crate::parking::Thread;
use crate::record::flush::{self, Demand, FlushReply};
use crate::record::queue::channel::Channel;
use crate::record::serve::serve;
use crate::writer::{Disk, Writer};

/// One thread's calls, in order.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// Logs so many messages.
    Log(usize),
    /// Logs so many, flushes and waits, and logs as many again.
    LogFlushLog(usize),
    /// Logs so many, syncs and waits, and logs as many again.
    LogSyncLog(usize),
    /// Logs so many, asks for a flush and drops the ticket.
    LogAndForget(usize),
    /// Logs so many and panics.
    LogAndPanic(usize),
}

/// Producers that run beside the writer, and the thread that flushes and closes beside them all.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Room in the queue.
    pub capacity: usize,
    /// Actions of each of the producers.
    pub producers: Vec<Script>,
    /// Number of flushes of the closing thread before it closes.
    pub flushes: usize,
    /// Commits that go well before one fails for good.
    pub good_commits: usize,
}

/// Runs `scenario` in every order of its threads that takes at most `preemptions` switches away
/// from a thread that could have gone on, and says in how many. Panics where a promise is broken.
pub fn explore(scenario: &Scenario, preemptions: usize) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    let (scenario, counted) = (scenario.clone(), orders.clone());
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run(&scenario);
    });
    orders.load(Ordering::Relaxed)
}

/// The journal as its users see it: any thread logs and flushes.
#[derive(Clone)]
struct Journal {
    channel: Arc<Channel<u64>>,
    requests: Arc<Sender<FlushReply>>,
    disk: Disk,
    /// Ids whose calls have returned them.
    queued: Arc<Mutex<Vec<u64>>>,
}

impl Journal {
    fn log(&self) {
        let id = self.channel.take_id();
        if self.channel.send(id, id, 0, None).is_some() {
            self.queued().push(id);
        }
    }

    fn queued(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, demand: Demand) -> flush::Flush {
        flush::request(&self.requests, demand, || self.channel.wake_writer())
    }

    fn flush(&self) -> flush::Flush {
        self.ask(Demand::Commit)
    }

    fn flush_and_check(&self) -> Result<()> {
        self.ask_and_check(Demand::Commit)
    }

    /// What is answered "Ok" has on disk what was queued before it was asked for.
    fn ask_and_check(&self, demand: Demand) -> Result<()> {
        let before = self.queued().clone();
        let outcome = self.ask(demand).wait(Duration::from_secs(3_600));
        if outcome.is_ok() {
            assert!(self.disk.holds(&before), "a flush lied: {before:?}");
        }
        outcome
    }

    fn play(&self, script: Script) {
        let log = |messages| (0..messages).for_each(|_| self.log());
        match script {
            Script::Log(messages) => log(messages),
            Script::LogFlushLog(messages) | Script::LogSyncLog(messages) => {
                log(messages);
                let outcome = match script {
                    Script::LogSyncLog(_) => self.ask_and_check(Demand::Sync),
                    _ => self.flush_and_check(),
                };
                let known = matches!(outcome, Ok(()) | Err(Error::Closed | Error::Failed));
                assert!(known, "{outcome:?}");
                log(messages);
            }
            Script::LogAndForget(messages) => {
                log(messages);
                drop(self.flush());
            }
            Script::LogAndPanic(messages) => {
                log(messages);
                // As a thread of the user's would end, without the message.
                std::panic::resume_unwind(Box::new("a user's thread panics"));
            }
        }
    }
}

/// A thread that was started, and what it came to.
struct Started<T> {
    result: Arc<Mutex<Option<T>>>,
    ended: Thread,
}

fn start<T: 'static>(as_thread: Thread, body: impl FnOnce() -> T + 'static) -> Started<T> {
    let started = Started {
        result: Arc::default(),
        ended: Thread::new(),
    };
    let (result, ended) = (started.result.clone(), started.ended.clone());
    loom::thread::spawn(move || {
        as_thread.enter();
        let value = body();
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        ended.unpark();
    });
    started
}

impl<T> Started<T> {
    #[expect(clippy::expect_used, reason = "a model fails by panics")]
    fn join(self) -> T {
        self.ended.park();
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.take().expect("a thread that has ended has a result")
    }
}

fn run(scenario: &Scenario) {
    let channel = Channel::new(RunId, scenario.capacity, Overflow::DropNewest);
    let (requests, received) = channel::unbounded();
    let journal = Journal {
        channel: Arc::new(channel),
        requests: Arc::new(requests),
        disk: Disk::default(),
        queued: Arc::default(),
    };
    let mut writer = Writer {
        channel: journal.channel.clone(),
        disk: journal.disk.clone(),
        good_commits: scenario.good_commits,
        taken_up: Vec::new(),
        failed: false,
    };
    let writing = Thread::new();
    journal.channel.set_writer(writing.clone());
    let writing = start(writing, move || {
        let channel = writer.channel.clone();
        let ended = serve(&mut writer, &channel, &received);
        channel.close();
        channel.seal();
        ended
    });
    let producers: Vec<_> = scenario
        .producers
        .iter()
        .map(|script| {
            let (journal, script) = (journal.clone(), *script);
            start(Thread::new(), move || {
                let play = std::panic::AssertUnwindSafe(|| journal.play(script));
                match (std::panic::catch_unwind(play), script) {
                    (Ok(()), _) | (Err(_), Script::LogAndPanic(_)) => {}
                    (Err(broken), _) => std::panic::resume_unwind(broken),
                }
            })
        })
        .collect();

    for _ in 0..scenario.flushes {
        let outcome = journal.flush_and_check();
        let known = matches!(outcome, Ok(()) | Err(Error::Failed));
        assert!(known, "before the close: {outcome:?}");
    }
    let before = journal.queued().clone();
    let asked_before = journal.flush();
    journal.channel.close();
    let ended = writing.join();
    let answered = asked_before.wait(Duration::from_secs(3_600));
    assert_ne!(answered, Err(Error::Closed), "asked for before the close");
    assert!(
        ended.is_err() || journal.disk.holds(&before),
        "a close lied"
    );
    for producer in producers {
        producer.join();
    }
    // Also those that were returned beside the close.
    let returned = journal.queued().clone();
    assert!(
        ended.is_err() || journal.disk.holds(&returned),
        "an id was returned, and its message is not there"
    );

    // And the reverse: a call that was told "no" has left nothing.
    for id in journal.disk.ids() {
        assert!(returned.contains(&id), "{id} is there and was not returned");
    }

    let closed = journal.flush().wait(Duration::from_secs(3_600));
    assert_eq!(closed, Err(Error::Closed), "after the close");
    let committed = journal.disk.ids();
    let mut once = committed.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), committed.len(), "committed twice");
    let lost = journal.channel.dropped(true).total();
    let accounted = committed.len() as u64 + lost;
    assert_eq!(
        journal.channel.offered(),
        accounted,
        "the books do not close"
    );
}
