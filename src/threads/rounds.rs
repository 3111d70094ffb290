//! The frame of the threads that keep something up to date. It has rounds with pauses between them,
//! commands in the pauses, a health for readers, reports of faults, and last work after the stop.
//! Each thread adds only its own round.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::worker::{Orders, Worker, lock};
use crate::entry::error::{Error, Result};
use crate::fs::failpoint;

/// The work of one thread.
pub(crate) trait Rounds: Sized + 'static {
    /// The thread's name.
    const NAME: &'static str;
    /// The fault of a round, as the event words it.
    const FAULT: &'static str;
    /// A request of a caller, with the place of its answer.
    type Command: Send + 'static;
    type Health: RoundsHealth;

    /// The path that tells tests which thread begins a round.
    fn path(&self) -> &Path;

    /// Works once; returns the pause before the next round.
    fn round(&mut self, frame: &RoundsFrame<Self>) -> Result<Duration>;

    /// The pause after a round that failed.
    fn rest(&self) -> Duration;

    /// Does what a caller asks for, and answers.
    fn obey(&mut self, command: Self::Command, frame: &RoundsFrame<Self>);

    /// Last work, after the thread was stopped.
    fn wind_up(&mut self, _frame: &RoundsFrame<Self>) {}
}

/// State of a thread, as its callers read it.
pub(crate) trait RoundsHealth: Clone + Default + Send + 'static {
    /// The obstacle to a round now, in words.
    fn fault(&mut self) -> &mut Option<String>;

    /// The thread is gone, by this panic.
    fn set_panicked(&mut self, panic: String) {
        *self.fault() = Some(panic);
    }
}

/// The place where faults become events.
pub(crate) trait FaultSink: Send + Sync {
    /// Records a fault of the journal itself when it begins, and when it is over.
    fn follow_fault(&self, condition: &str, fault: Option<String>);

    /// Keeps the panic that ended a thread.
    fn keep_panic(&self, panic: Error);
}

/// The owner's end of a thread that works in rounds.
pub(crate) struct RoundsThread<R: Rounds> {
    worker: Worker<R::Command>,
    health: Arc<Mutex<R::Health>>,
}

/// The thread's own end.
pub(crate) struct RoundsFrame<R: Rounds> {
    orders: Orders<R::Command>,
    health: Arc<Mutex<R::Health>>,
    log: Arc<dyn FaultSink>,
}

impl<R: Rounds> RoundsThread<R> {
    /// Starts the thread, whose health is `health` until its first round. `make` runs on it, so it
    /// may do work that the caller does not wait for.
    pub(crate) fn start(
        health: R::Health,
        log: Arc<dyn FaultSink>,
        make: impl FnOnce() -> R + Send + 'static,
    ) -> Result<RoundsThread<R>> {
        let health = Arc::new(Mutex::new(health));
        let known = health.clone();
        let panics = log.clone();
        let on_panic = move |panic| panics.keep_panic(panic);
        let worker = Worker::start(R::NAME, on_panic, move |orders| {
            let frame = RoundsFrame {
                orders,
                health: known,
                log,
            };
            frame.run(make());
        })?;
        Ok(RoundsThread { worker, health })
    }

    pub(crate) fn health(&self) -> R::Health {
        let mut known = lock(&self.health).clone();
        if let Some(panic) = self.worker.panicked() {
            known.set_panicked(panic.to_string());
        }
        known
    }

    /// See [`Worker`].
    pub(crate) fn worker(&self) -> &Worker<R::Command> {
        &self.worker
    }
}

impl<R: Rounds> RoundsFrame<R> {
    fn run(&self, mut rounds: R) {
        while !self.orders.is_stopped() {
            failpoint::round(rounds.path());
            let outcome = rounds.round(self);
            let pause = match &outcome {
                Ok(pause) => *pause,
                Err(_) => rounds.rest(),
            };
            self.report(outcome.err());
            let until = Instant::now() + pause;
            // A command does not end the pause: callers who ask often must not make rounds more
            // frequent.
            while let Some(command) = self.orders.next_before(until) {
                rounds.obey(command, self);
            }
        }
        rounds.wind_up(self);
    }

    /// Whether the thread is to end at the next point where it can.
    pub(crate) fn is_stopped(&self) -> bool {
        self.orders.is_stopped()
    }

    /// Whether there is time for another piece of work. After a stop there is none, unless the
    /// thread got some for its end.
    pub(crate) fn has_time(&self) -> bool {
        self.orders.has_time()
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, R::Health> {
        lock(&self.health)
    }

    /// Reports a fault of a round when it begins and when it is over.
    pub(crate) fn report(&self, fault: Option<Error>) {
        let fault = fault.map(|error| error.to_string());
        self.follow(R::FAULT, fault, |health, fault| *health.fault() = fault);
    }

    /// Reports a fault of this condition as an event, and then by `note` in the health.
    pub(crate) fn follow(
        &self,
        condition: &str,
        fault: Option<String>,
        note: impl FnOnce(&mut R::Health, Option<String>),
    ) {
        // Before the health knows: a flush after a look at the health covers the event.
        self.log.follow_fault(condition, fault.clone());
        note(&mut self.health(), fault);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::OnceLock;

    use crossbeam_channel::{Receiver, Sender, bounded};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[derive(Clone, Default)]
    struct TestHealth {
        fault: Option<String>,
        rounds: u32,
    }

    impl RoundsHealth for TestHealth {
        fn fault(&mut self) -> &mut Option<String> {
            &mut self.fault
        }
    }

    /// The faults of the events, each with the fault that the health had then.
    #[derive(Default)]
    struct Log {
        health: OnceLock<Arc<Mutex<TestHealth>>>,
        events: Mutex<Vec<(Option<String>, Option<String>)>>,
        panics: Mutex<Vec<Error>>,
    }

    impl FaultSink for Log {
        fn follow_fault(&self, _condition: &str, fault: Option<String>) {
            let known = lock(self.health.get().unwrap()).fault.clone();
            lock(&self.events).push((fault, known));
        }

        fn keep_panic(&self, panic: Error) {
            lock(&self.panics).push(panic);
        }
    }

    /// Ends its rounds as it is told to; panics when it is not told any more.
    struct Told {
        outcomes: Receiver<Result<Duration>>,
        last_work: u32,
    }

    impl Rounds for Told {
        const NAME: &'static str = "annals-test";
        const FAULT: &'static str = "a round fails";
        type Command = Sender<Result<u32>>;
        type Health = TestHealth;

        fn path(&self) -> &Path {
            Path::new("/no/such/path")
        }

        fn round(&mut self, frame: &RoundsFrame<Self>) -> Result<Duration> {
            let outcome = self.outcomes.recv().unwrap();
            frame.health().rounds += 1;
            outcome
        }

        fn rest(&self) -> Duration {
            Duration::ZERO
        }

        fn obey(&mut self, reply: Sender<Result<u32>>, frame: &RoundsFrame<Self>) {
            let _ = reply.send(Ok(frame.health().rounds));
        }

        fn wind_up(&mut self, frame: &RoundsFrame<Self>) {
            while frame.has_time() && self.last_work > 0 {
                self.last_work -= 1;
                frame.health().rounds += 1_000;
            }
        }
    }

    fn start() -> (RoundsThread<Told>, Sender<Result<Duration>>, Arc<Log>) {
        let (sender, outcomes) = bounded(10);
        let log = Arc::new(Log::default());
        let told = move || Told {
            outcomes,
            last_work: 3,
        };
        let thread = RoundsThread::start(TestHealth::default(), log.clone(), told).unwrap();
        let _ = log.health.set(thread.health.clone());
        (thread, sender, log)
    }

    fn ask(thread: &RoundsThread<Told>) -> Result<u32> {
        thread.worker().ask("a test", LONG, |reply| reply)
    }

    #[test]
    fn a_fault_is_an_event_before_the_health_has_it() {
        let (thread, sender, log) = start();
        sender.send(Err(Error::Closed)).unwrap();
        sender.send(Ok(LONG)).unwrap();
        assert_eq!(ask(&thread).unwrap(), 2);
        let fault = Some(Error::Closed.to_string());
        assert_eq!(*lock(&log.events), [(fault.clone(), None), (None, fault)]);
        assert!(thread.health().fault.is_none());
        assert!(thread.worker().finish(LONG));
    }

    #[test]
    fn commands_do_not_end_a_pause() {
        let (thread, sender, _log) = start();
        sender.send(Ok(LONG)).unwrap();
        sender.send(Ok(LONG)).unwrap();
        for _ in 0..10 {
            assert_eq!(ask(&thread).unwrap(), 1);
        }
        assert!(thread.worker().finish(LONG));
    }

    #[test]
    fn last_work_is_done_while_there_is_time() {
        for (time, done) in [(Some(LONG), 3_001), (Some(Duration::ZERO), 1), (None, 1)] {
            let (thread, sender, _log) = start();
            sender.send(Ok(LONG)).unwrap();
            assert_eq!(ask(&thread).unwrap(), 1);
            if let Some(time) = time {
                thread.worker().stop_by(Instant::now() + time);
            }
            assert!(thread.worker().finish(LONG));
            assert_eq!(thread.health().rounds, done, "{time:?}");
        }
    }

    #[test]
    fn a_panic_is_in_the_health_and_in_the_log() {
        let (thread, sender, log) = start();
        drop(sender);
        assert!(ask(&thread).is_err());
        assert!(thread.worker().finish(LONG));
        let fault = thread.health().fault.unwrap();
        assert!(fault.contains("annals-test panicked"), "{fault}");
        assert_eq!(lock(&log.panics).len(), 1);
    }
}
