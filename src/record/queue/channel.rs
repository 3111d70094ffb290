//! The lock-free way from inference threads to the writer, and the exact count of what took it.

use std::time::Duration;

use crate::entry::gap::GapReason;
use crate::entry::ids::{InferenceId, RunId};
use crate::options::Overflow;
use crate::threads::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::threads::sync::channel::{Receiver, SendTimeoutError, Sender, TrySendError};
use crate::threads::sync::thread::Thread;
use crate::threads::sync::{
    CachePadded, Mutex, MutexGuard, OnceLock, PoisonError, channel, thread,
};

use super::drop_counters::{DropCounter, Dropped};

/// A message that may know the id of its event.
pub(crate) trait Numbered {
    /// The id that its call returns; `None` if its call returns none.
    fn id(&self) -> Option<u64>;
}

/// The way of the events `M` of one open journal. Shared by the journal, its recorders and its
/// writer.
pub(crate) struct Channel<M> {
    /// The id of the next event. Every event takes one, recorded or not.
    next_id: CachePadded<AtomicU64>,
    /// Ids handed out in earlier runs of this handle, and the first id of this one.
    earlier: Mutex<Earlier>,
    sender: Sender<M>,
    /// Invariant Q1: only the writer receives while it lives. The queue keeps a receiver so that
    /// what slips in behind a closing writer stays here and can be counted.
    receiver: Receiver<M>,
    /// Every event whose id has these bits zero wakes the writer: a quarter of the queue.
    wake_mask: u64,
    writer: OnceLock<Thread>,
    closed: AtomicBool,
    /// The writer has looked at the queue for the last time. While [`stranded`](Self::stranded) is
    /// locked, this is final: the writer tries it out under the same lock.
    sealed: AtomicBool,
    /// The ids of what got into the queue behind the writer's last look, once a call has asked.
    stranded: Mutex<Vec<Option<u64>>>,
    /// How many these are.
    stranded_count: AtomicU64,
    overflow: Overflow,
    full: DropCounter,
    refused: DropCounter,
    after_close: AtomicU64,
    failed: AtomicU64,
}

struct Earlier {
    offered: u64,
    base: u64,
}

impl<M> Channel<M> {
    pub(crate) fn new(run: RunId, capacity: usize, overflow: Overflow) -> Self {
        let (sender, receiver) = channel::bounded(capacity);
        let quarter = (capacity as u64 / 4).max(1);
        Channel {
            next_id: CachePadded::new(AtomicU64::new(run.first_id())),
            earlier: Mutex::new(Earlier {
                offered: 0,
                base: run.first_id(),
            }),
            sender,
            receiver,
            // A power of two, so that the test in `send` is one `and` of an id that is in a
            // register.
            wake_mask: (1 << quarter.ilog2()) - 1,
            writer: OnceLock::new(),
            closed: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            stranded: Mutex::new(Vec::new()),
            stranded_count: AtomicU64::new(0),
            overflow,
            full: DropCounter::default(),
            refused: DropCounter::default(),
            after_close: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Takes the id for an event. Its call must end in [`send`](Self::send) or
    /// [`refuse`](Self::refuse), or, for an event of the writer's own, in a batch: otherwise the
    /// accounts would not add up.
    #[inline]
    pub(crate) fn take_id(&self) -> u64 {
        // A thread that sees the id taken sees the stores of this thread into its lane before, and
        // what this one knew of others: see `next_id`.
        self.next_id.fetch_add(1, Ordering::Release)
    }

    /// Events from here on have this id or a higher one. An event with a lower one, and all that
    /// its call knew of, can be found in the lanes now, unless its call is still under way.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.load(Ordering::Acquire)
    }

    /// Counts an event that cannot be recorded as it was given.
    #[cold]
    pub(crate) fn refuse(&self, ticks: u64, event: Option<i64>) {
        if self.closed.load(Ordering::Acquire) {
            self.after_close.fetch_add(1, Ordering::Relaxed);
        } else {
            self.refused.add(ticks, event);
        }
    }

    pub(crate) fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub(crate) fn set_writer(&self, writer: Thread) {
        // Set once, by the journal that starts the thread.
        let _ = self.writer.set(writer);
    }

    pub(crate) fn is_writer(&self) -> bool {
        self.writer
            .get()
            .is_some_and(|writer| writer.id() == thread::current().id())
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_writer();
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Counts events of calls that came too late.
    #[cold]
    pub(crate) fn count_closed(&self, events: u64) {
        self.after_close.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts an event for which there was no room.
    #[cold]
    pub(crate) fn lose(&self, ticks: u64, event: Option<i64>) {
        if self.is_closed() {
            // Whether the writer still writes a gap cannot be known.
            self.count_closed(1);
        } else {
            self.full.add(ticks, event);
        }
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Losses so far, of which some may be in gaps.
    pub(crate) fn losses(&self) -> [u64; 2] {
        [self.full.total(), self.refused.total()]
    }

    /// Whether the writer has looked for the last time, or tries that out now.
    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Beside the closing: whether the writer takes an event that is in a lane. `is_before` tells
    /// it once the channel is sealed for good. Counts the event if not.
    #[cold]
    pub(crate) fn is_taken(&self, is_before: impl FnOnce() -> bool) -> bool {
        let stranded = self.stranded();
        // Not sealed any more: the writer continues, and takes up the rest.
        let is_taken = !self.is_sealed() || is_before();
        drop(stranded);
        if !is_taken {
            self.count_closed(1);
        }
        is_taken
    }

    fn stranded(&self) -> MutexGuard<'_, Vec<Option<u64>>> {
        self.stranded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the writer, after the closing: whether nothing is left to be taken up or written down.
    /// Then the channel is sealed: what gets through from here on stays in it. `lanes_are_quiet`
    /// tells the same of the lanes.
    pub(crate) fn seal_if_quiet(&self, mut lanes_are_quiet: impl FnMut() -> bool) -> bool {
        if !self.is_quiet() || !lanes_are_quiet() {
            return false;
        }
        let stranded = self.stranded();
        self.sealed.store(true, Ordering::SeqCst);
        // Checked again: a call whose send came before the sealing may return its id.
        let is_quiet = self.is_quiet() && lanes_are_quiet();
        if !is_quiet {
            self.sealed.store(false, Ordering::SeqCst);
        }
        drop(stranded);
        is_quiet
    }

    /// For the writer, at any kind of end: messages in the queue are stranded.
    pub(crate) fn seal(&self) {
        let stranded = self.stranded();
        self.sealed.store(true, Ordering::SeqCst);
        drop(stranded);
    }

    fn is_quiet(&self) -> bool {
        self.len() == 0 && !self.full.is_untaken() && !self.refused.is_untaken()
    }

    pub(crate) fn len(&self) -> usize {
        let stranded = self.stranded_count.load(Ordering::Relaxed);
        // Taken out of the channel by a call, but not committed: still waiting, for the accounts.
        let stranded = usize::try_from(stranded).unwrap_or(usize::MAX);
        self.receiver.len().saturating_add(stranded)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.receiver.capacity().unwrap_or(usize::MAX)
    }

    /// For the writer: the next event, if there is one.
    #[inline]
    pub(crate) fn receive(&self) -> Option<M> {
        self.receiver.try_recv().ok()
    }

    /// For the writer: the losses that the next commit writes down as gaps.
    pub(crate) fn drop_counters(&self) -> [(GapReason, &DropCounter); 2] {
        [
            (GapReason::QueueFull, &self.full),
            (GapReason::Refused, &self.refused),
        ]
    }

    /// For the writer: counts an event that it received and could not write down, and that it has
    /// left a gap for.
    pub(crate) fn count_refused(&self, events: u64) {
        self.refused.add_taken(events);
    }

    /// For the writer: counts events that it drained but cannot commit any more.
    pub(crate) fn count_failed(&self, events: u64) {
        self.failed.fetch_add(events, Ordering::Relaxed);
    }

    /// Ids handed out since the current run began.
    pub(crate) fn used_of_run(&self) -> u64 {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        self.next_id.load(Ordering::Relaxed) - earlier.base
    }

    /// Continues with the ids of `run`, long before the counter of the current one ends.
    pub(crate) fn move_to_run(&self, run: RunId) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock of `earlier`: `offered` must see both changes or none.
        let ended = self.next_id.swap(run.first_id(), Ordering::Relaxed);
        earlier.offered += ended - earlier.base;
        earlier.base = run.first_id();
    }

    /// Every event ever offered to this handle.
    pub(crate) fn offered(&self) -> u64 {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.offered + (self.next_id.load(Ordering::Relaxed) - earlier.base)
    }

    pub(crate) fn dropped(&self, writer_is_gone: bool) -> Dropped {
        // A message that comes in behind a closing writer will never be committed.
        let stranded = if writer_is_gone { self.len() as u64 } else { 0 };
        Dropped {
            queue_full: self.full.total(),
            refused: self.refused.total(),
            closed: self.after_close.load(Ordering::Relaxed) + stranded,
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl<M: Numbered> Channel<M> {
    /// Queues `message`, whose id is `id`, or counts it as dropped.
    ///
    /// Invariant Q2: an id that is returned was queued before the channel was sealed. The writer
    /// looks at the queue once more after it has sealed it, so it takes the event up. A message
    /// that gets through later, from a call that had begun before the closing, is stranded: no id
    /// is returned for it, and it is counted as closed. A thread that is held up after its send,
    /// and finds the channel sealed, looks whether its message is among the stranded.
    #[inline]
    pub(crate) fn send(
        &self,
        id: u64,
        message: M,
        ticks: u64,
        event: Option<i64>,
    ) -> Option<InferenceId> {
        if self.closed.load(Ordering::Acquire) {
            self.after_close.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        // Every quarter of the queue, so that a burst finds the writer awake before it is full.
        if id & self.wake_mask == 0 {
            self.wake_writer();
        }
        match self.sender.try_send(message) {
            // The send moved the queue's end before this load, in the one order of all `SeqCst`
            // operations. If the channel is not sealed here, the writer's look after sealing sees
            // that.
            Ok(()) => self.unless_sealed(id),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                self.send_when_full(id, message, ticks, event)
            }
        }
    }

    #[cold]
    fn send_when_full(
        &self,
        id: u64,
        message: M,
        ticks: u64,
        event: Option<i64>,
    ) -> Option<InferenceId> {
        self.wake_writer();
        if let Overflow::Block { timeout } = self.overflow
            && self.wait_for_room(message, timeout)
        {
            return self.unless_sealed(id);
        }
        self.lose(ticks, event);
        None
    }

    fn wait_for_room(&self, message: M, timeout: Duration) -> bool {
        match self.sender.send_timeout(message, timeout) {
            Ok(()) => true,
            Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => false,
        }
    }

    #[inline]
    fn unless_sealed(&self, id: u64) -> Option<InferenceId> {
        if self.sealed.load(Ordering::SeqCst) {
            return self.unless_stranded(id);
        }
        Some(InferenceId(id))
    }

    /// Whether the writer has taken up the message with this id, or will. Waits for a few memory
    /// accesses of the writer, and of other calls that were under way at the closing.
    #[cold]
    fn unless_stranded(&self, id: u64) -> Option<InferenceId> {
        let mut stranded = self.stranded();
        if !self.sealed.load(Ordering::SeqCst) {
            // The writer continues, and takes up the rest.
            return Some(InferenceId(id));
        }
        // The writer has ended its looks, so Q1 does not forbid this thread to receive.
        while let Ok(message) = self.receiver.try_recv() {
            stranded.push(message.id());
            self.stranded_count.fetch_add(1, Ordering::Relaxed);
        }
        (!stranded.contains(&Some(id))).then_some(InferenceId(id))
    }
}
