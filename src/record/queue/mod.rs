//! From a call to the writer: names become numbers, a call becomes a small record, and the record
//! goes into the thread's lane, or through the channel.

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
pub(crate) mod black_box;
pub(crate) mod channel;
pub(crate) mod drop_counters;
pub(crate) mod enqueue;
pub(crate) mod input_queue;
mod inputs;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
pub(crate) mod intake;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
pub(crate) mod lane;
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))),
    path = "no_lanes.rs"
)]
pub(crate) mod lanes;
pub(crate) mod local_names;
pub(crate) mod message;
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))),
    expect(dead_code, reason = "without shared memory there are no lanes")
)]
pub(crate) mod packing;
pub(crate) mod redact;
pub(crate) mod refusals;
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))),
    expect(dead_code, reason = "without shared memory there are no lanes")
)]
pub(crate) mod ring;
#[cfg(test)]
mod ring_tests;
pub(crate) mod typed;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))))]
pub(crate) use lanes as intake;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::entry::clock::Clock;
use crate::entry::episode::EpisodeId;
use crate::entry::error::Error;
use crate::entry::event::Level;
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::redaction::RedactionHook;
use crate::entry::value::Value;
use crate::options::Overflow;
use crate::threads::panics;
use channel::Channel;
use input_queue::InputQueue;
use lanes::Lanes;
use local_names::{LocalNames, NamesLog};
use message::Message;
use redact::Redactor;
use refusals::Refusals;

/// The queue of one open journal: its channel, and the conversion of calls into messages.
pub(crate) struct Queue {
    channel: Channel<Message>,
    /// `None` where there is no shared memory, or it is not wanted.
    lanes: Option<Lanes>,
    pub(crate) clock: Clock,
    pub(crate) names: LocalNames,
    /// Episodes that were begun.
    episodes: AtomicU64,
    panics: Mutex<Panics>,
    pub(crate) refusals: Refusals,
    pub(crate) inputs: InputQueue,
    /// The program's hook, if it has one.
    pub(crate) redactor: Option<Redactor>,
    /// The number of the first panic that may end this journal.
    pub(crate) first_panic: u64,
    /// The number of the panic that was recorded last.
    pub(crate) last_panic: AtomicU64,
    /// A panic was recorded that the run's row does not have yet.
    pub(crate) panicked: AtomicBool,
    /// The journal is closed by a thread that unwinds.
    pub(crate) unwound: AtomicBool,
}

/// Panics of the threads in the background.
#[derive(Default)]
struct Panics {
    errors: Vec<Error>,
    /// How many of them a close has returned.
    told: usize,
}

impl Queue {
    pub(crate) fn new(
        run: RunId,
        capacity: usize,
        overflow: Overflow,
        max_names: usize,
        clock: Clock,
        lanes: Option<(Lanes, NamesLog)>,
    ) -> Self {
        let names = LocalNames::new(max_names);
        let lanes = lanes.map(|(lanes, log)| {
            names.keep_in(log);
            lanes
        });
        Queue {
            channel: Channel::new(run, capacity, overflow),
            lanes,
            clock,
            names,
            episodes: AtomicU64::new(0),
            panics: Mutex::default(),
            refusals: Refusals::default(),
            inputs: InputQueue::default(),
            redactor: None,
            // Opened while its thread unwinds, it may be closed by the same panic.
            first_panic: match thread::panicking() {
                true => 0,
                false => panics::next_number(),
            },
            last_panic: AtomicU64::new(0),
            panicked: AtomicBool::new(false),
            unwound: AtomicBool::new(false),
        }
    }

    /// The same with inputs, if they can be kept.
    pub(crate) fn with_inputs(self, inputs: InputQueue) -> Self {
        Queue { inputs, ..self }
    }

    /// The same with a hook that texts pass first.
    pub(crate) fn with_redactor(self, hook: Option<RedactionHook>) -> Self {
        let redactor = hook.map(Redactor::new);
        Queue { redactor, ..self }
    }

    /// The lanes of this journal, if it has some.
    pub(crate) fn lanes(&self) -> Option<&Lanes> {
        self.lanes.as_ref()
    }

    /// The id of a new episode: of the run of this moment, and of a counter of their own.
    pub(crate) fn next_episode(&self) -> EpisodeId {
        let number = self.episodes.fetch_add(1, Ordering::Relaxed);
        let run = InferenceId::from_u64(self.channel.next_id()).run();
        // The counter has 40 bits: nobody begins as many episodes.
        EpisodeId::from_u64(run.first_id() | InferenceId::from_u64(number).counter())
    }

    /// Events that wait for the writer.
    pub(crate) fn waiting(&self) -> u64 {
        let in_lanes = self.lanes.as_ref().map_or(0, Lanes::len);
        in_lanes.saturating_add(self.channel.len() as u64)
    }

    /// For a thread in the background that this journal starts: keeps its panic for the health and
    /// for `close`, and records it.
    pub(crate) fn keep_panic(self: &Arc<Self>) -> impl FnOnce(Error) + Send + 'static {
        let queue = self.clone();
        move |error| queue.note_panic(error)
    }

    /// See [`keep_panic`](Self::keep_panic).
    pub(crate) fn note_panic(&self, error: Error) {
        let cause = vec![("cause".to_owned(), Value::Text(error.to_string()))];
        let message = "a thread in the background panicked".to_owned();
        // Before the health knows: a flush after that covers the entry.
        self.system_event(Level::Error, "annals", message, cause);
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        panics.errors.push(error);
    }

    /// Panics of background threads, in words.
    pub(crate) fn panics(&self) -> Vec<String> {
        let panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        panics.errors.iter().map(Error::to_string).collect()
    }

    /// The first panic that no close has returned yet; a close returns all then.
    pub(crate) fn untold_panic(&self) -> Option<Error> {
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = panics.errors.get(panics.told).cloned();
        panics.told = panics.errors.len();
        untold
    }
}

/// A queue is used as a channel by code that only sends, receives or counts.
impl Deref for Queue {
    type Target = Channel<Message>;

    fn deref(&self) -> &Channel<Message> {
        &self.channel
    }
}
