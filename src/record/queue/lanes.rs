//! The lanes of one open journal. Each thread that logs has one of its own, from its first call to
//! its end; then another thread takes it over.
//!
//! A call stores its record into its lane, and the record outlives the process from there on. The
//! writer's end of the lanes is the intake.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, compiler_fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use annals_mapping::{ForkWords, PAGE_BYTES, register_barrier};
use crossbeam_utils::CachePadded;

pub(crate) use super::black_box::Reading;
use super::black_box::RunBox;
use super::channel::{Channel, Numbered};
use super::lane::{Lane, RING_WORDS};
use super::local_names::NamesLog;
use super::packing::{PIECE, PLAIN};
use super::ring::{LONGEST, Producer, Refused, Tag};
use crate::entry::ids::{JournalId, RunId};
use crate::threads::sync::atomic::{AtomicU64, Ordering};

/// The most threads that have a lane at the same time. The others use the channel.
pub(crate) const MOST_LANES: usize = 64;
/// Pieces of a long message have so many words of it.
const PIECE_WORDS: usize = 2_048;
/// A thread without a lane asks for one again after so many calls.
const ASK_AGAIN: u32 = 1_024;
/// Words of a quarter of a ring.
pub(super) const QUARTER: u64 = RING_WORDS as u64 / 4;
/// What a lane takes of the shared memory.
const LANE_BYTES: u64 = (PAGE_BYTES + RING_WORDS * 8) as u64;
/// Lanes never take the last of the shared memory: so many times their room stays.
const LEFT_FREE: u64 = 4;

/// The lanes of a journal.
pub(crate) struct Lanes(Arc<Shared>);

/// What the threads and the writer have in common.
pub(super) struct Shared {
    /// Tells these lanes from all others of the process.
    instance: u64,
    pub(super) black_box: RunBox,
    /// The first word is 1 in the process that opened the journal, and 0 in every forked child.
    fork: ForkWords,
    /// Records that a lane holds at most.
    capacity: u64,
    /// Lanes that are made at most because others are full.
    extra: usize,
    /// All that were made, and those that no thread has.
    made: Mutex<Made>,
    /// How many were made.
    pub(super) count: AtomicUsize,
    /// Some thread has none.
    pub(super) is_short: AtomicBool,
    /// The writer has ended: threads let go of their lanes.
    pub(super) is_ended: AtomicBool,
    /// The writer looks at the channel every few milliseconds.
    pub(super) is_watched: AtomicBool,
}

#[derive(Default)]
pub(super) struct Made {
    pub(super) all: Vec<(Lane, Arc<Counts>)>,
    free: Vec<LaneEnd>,
    /// Of them, how many were made because another one was full.
    extra: usize,
    /// Why there are no more.
    pub(super) short: Option<String>,
}

/// Counts of one lane, on a line that its thread stores to and one that the writer stores to.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) pushed: CachePadded<AtomicU64>,
    pub(super) taken: CachePadded<Taken>,
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) records: AtomicU64,
    /// Once the channel is sealed: the position up to which the writer took records.
    pub(super) until: AtomicU64,
}

/// The end of a lane that a thread stores into.
struct LaneEnd {
    producer: Producer<Lane>,
    counts: Arc<Counts>,
    pushed: u64,
    /// Records taken, when it was last looked.
    taken: u64,
    /// Words of a quarter of the ring, as a shift.
    quarter: u32,
    /// A quarter of the records.
    wake_mask: u64,
    capacity: u64,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Its record will be committed, whatever becomes of this process.
    Queued,
    /// It came too late.
    Stranded,
    /// The lane has no room.
    Full,
    /// The thread has no lane, or the lane can never take the record.
    NoLane,
    /// The journal is closed, or this is a forked child, which has no writer.
    Closed,
}

impl Lanes {
    /// Creates a black box for `run` of the journal in `place`, and the file where names go before
    /// their numbers are used.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn create(
        place: &Path,
        journal: JournalId,
        run: RunId,
        capacity: usize,
        reading: Reading,
    ) -> Result<(Lanes, NamesLog), String> {
        static INSTANCES: AtomicU64 = AtomicU64::new(0);
        register_barrier().map_err(|error| format!("barriers between threads: {error}"))?;
        let fork =
            ForkWords::new().map_err(|error| format!("words that a fork clears: {error}"))?;
        fork.words()[0].store(1, Ordering::Relaxed);
        let wanted = (1 + LEFT_FREE) * LANE_BYTES;
        let black_box = RunBox::create(place, journal, run, wanted, reading);
        let black_box = black_box.map_err(|error| error.to_string())?;
        let names = black_box.names_log().map_err(|error| {
            black_box.remove();
            format!("names in shared memory: {error}")
        })?;
        let lanes = Lanes(Arc::new(Shared {
            instance: INSTANCES.fetch_add(1, Ordering::Relaxed),
            black_box,
            fork,
            capacity: capacity as u64,
            extra: capacity.saturating_mul(PLAIN + 1) / RING_WORDS,
            made: Mutex::default(),
            count: AtomicUsize::new(0),
            is_short: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
        }));
        Ok((lanes, names))
    }

    /// For the writer's end.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Records that no round of the writer has taken.
    pub(crate) fn len(&self) -> u64 {
        // In a child that was forked while a lane was made, the lock is held for ever.
        if !self.0.is_own_process() {
            return 0;
        }
        let made = self.0.made();
        let waiting = made.all.iter().map(|(_, counts)| {
            let taken = counts.taken.records.load(Ordering::Relaxed);
            counts.pushed.load(Ordering::Relaxed).saturating_sub(taken)
        });
        waiting.sum()
    }

    /// Whether a message in the channel is taken soon without a wake-up.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.is_watched.load(Ordering::Relaxed)
    }

    /// Notes in the black box how many calls were lost.
    pub(crate) fn note_losses(&self, losses: [u64; 2]) {
        // A forked child's losses are its own.
        if self.0.is_own_process() {
            self.0.black_box.note_losses(losses);
        }
    }

    /// Stores the record of a call with this id, and finds out whether the writer takes it.
    #[inline]
    pub(crate) fn send<M: Numbered>(
        &self,
        channel: &Channel<M>,
        tag: Tag,
        payload: &[u64],
    ) -> Sent {
        // Before anything is touched that a parent would see.
        if !self.0.is_own_process() || channel.is_closed() {
            return Sent::Closed;
        }
        let sent = THREAD.try_with(|thread| {
            let mut thread = thread.try_borrow_mut().ok()?;
            let end = thread.of(&self.0)?;
            match end.send(channel, tag, payload) {
                Sent::Full if self.0.widen(end, payload) => Some(end.send(channel, tag, payload)),
                sent => Some(sent),
            }
        });
        // A thread that is being torn down has no lane any more.
        sent.ok().flatten().unwrap_or(Sent::NoLane)
    }
}

impl Shared {
    pub(super) fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn is_own_process(&self) -> bool {
        self.fork.words()[0].load(Ordering::Relaxed) == 1
    }

    /// A lane for this thread, if there is one.
    #[cold]
    fn take_lane(&self) -> Option<LaneEnd> {
        let mut made = self.made();
        if let Some(end) = made.free.pop() {
            return Some(end);
        }
        match self.make_lane(&mut made) {
            Ok(end) => Some(end),
            Err(why) => {
                made.short = Some(why);
                self.is_short.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Gives a thread whose lane is full another one that has room for `payload`. The full one goes
    /// to a later thread. The writer merges all lanes by id, so the order stays. Returns whether
    /// there was one: together, the lanes of a burst have room for as many plain records as the
    /// queue.
    #[cold]
    fn widen(&self, end: &mut LaneEnd, payload: &[u64]) -> bool {
        // Full of records, as the settings ask for.
        if end.pushed - end.taken >= end.capacity {
            return false;
        }
        // Held for longer than a moment while a lane is made. An overload must not become a wait.
        let Ok(mut made) = self.made.try_lock() else {
            return false;
        };
        let words = words_of(payload);
        let place = made.free.iter_mut().rposition(|free| free.takes(words));
        let other = match place {
            Some(place) => made.free.remove(place),
            None if made.extra < self.extra => {
                // Without room for it the call is lost as before; no thread is without a lane.
                let Ok(other) = self.make_lane(&mut made) else {
                    return false;
                };
                made.extra += 1;
                other
            }
            None => return false,
        };
        // The last place is taken first.
        made.free.insert(0, std::mem::replace(end, other));
        true
    }

    fn make_lane(&self, made: &mut Made) -> Result<LaneEnd, String> {
        let number = made.all.len();
        if number >= MOST_LANES {
            return Err(format!(
                "more than {MOST_LANES} threads log at the same time"
            ));
        }
        let free = self.black_box.free_bytes();
        if free < (1 + LEFT_FREE) * LANE_BYTES {
            return Err(format!("shared memory has {free} bytes left"));
        }
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let lane = self.black_box.create_lane(number);
        let lane = lane.map_err(|error| format!("a lane in shared memory: {error}"))?;
        let quarter = (self.capacity / 4).max(1);
        let end = LaneEnd {
            producer: Producer::new(lane.clone()),
            counts: Arc::default(),
            pushed: 0,
            taken: 0,
            quarter: QUARTER.ilog2(),
            wake_mask: (1 << quarter.ilog2()) - 1,
            capacity: self.capacity,
        };
        made.all.push((lane, end.counts.clone()));
        // Before the first record: the writer looks at this first.
        self.count.store(made.all.len(), Ordering::SeqCst);
        Ok(end)
    }
}

impl LaneEnd {
    #[inline]
    fn send<M: Numbered>(&mut self, channel: &Channel<M>, tag: Tag, payload: &[u64]) -> Sent {
        if self.pushed - self.taken >= self.capacity {
            self.taken = self.counts.taken.records.load(Ordering::Acquire);
            if self.pushed - self.taken >= self.capacity {
                return Sent::Full;
            }
        }
        let begin = self.producer.head();
        let pushed = if payload.len() < LONGEST {
            self.producer.push(tag, payload)
        } else {
            self.push_pieces(tag, payload)
        };
        match pushed {
            Ok(()) => {}
            Err(Refused::Full) => return Sent::Full,
            Err(Refused::TooLong) => return Sent::NoLane,
        }
        self.pushed += 1;
        self.counts.pushed.store(self.pushed, Ordering::Relaxed);
        let head = self.producer.head();
        // A burst finds the writer awake before the lane is full.
        if (begin ^ head) >> self.quarter != 0 || self.pushed & self.wake_mask == 0 {
            channel.wake_writer();
        }
        // The writer passes a barrier through this thread between its sealing and its last look. So
        // either the record is seen by that look, or the sealing is seen here.
        compiler_fence(Ordering::SeqCst);
        if channel.is_sealed() {
            let until = &self.counts.taken.until;
            if !channel.is_taken(|| until.load(Ordering::Acquire) >= head) {
                // It is counted as lost.
                self.pushed -= 1;
                self.counts.pushed.store(self.pushed, Ordering::Relaxed);
                return Sent::Stranded;
            }
        }
        Sent::Queued
    }

    /// Whether a record of so many words would be taken now.
    fn takes(&mut self, words: u64) -> bool {
        self.taken = self.counts.taken.records.load(Ordering::Acquire);
        self.pushed - self.taken < self.capacity && self.producer.has_room(words).is_ok()
    }

    #[cold]
    fn push_pieces(&mut self, tag: Tag, payload: &[u64]) -> Result<(), Refused> {
        let Some((id, rest)) = payload.split_first() else {
            return Err(Refused::TooLong);
        };
        let pieces = rest.len().div_ceil(PIECE_WORDS);
        // Each has a header and the id. All of them or none: what has room now has it later.
        self.producer.has_room((rest.len() + 2 * pieces) as u64)?;
        for (number, piece) in (1..).zip(rest.chunks(PIECE_WORDS)) {
            let mut words = Vec::with_capacity(1 + piece.len());
            words.push(*id);
            words.extend_from_slice(piece);
            let tag = if number == pieces { tag } else { PIECE };
            self.producer.push(tag, &words)?;
        }
        Ok(())
    }
}

/// Words that the record of a payload takes in a ring.
fn words_of(payload: &[u64]) -> u64 {
    let rest = payload.len().saturating_sub(1);
    let words = if payload.len() < LONGEST {
        payload.len() + 1
    } else {
        // Each piece has a header and the id.
        rest + 2 * rest.div_ceil(PIECE_WORDS)
    };
    words as u64
}

/// How many journals one thread has a lane of before it lets the one go that it used longest ago.
const JOURNALS_PER_THREAD: usize = 4;

#[derive(Default)]
struct ThreadLanes {
    /// Most recently used last.
    journals: Vec<OfThread>,
}

/// What a thread has of one journal.
struct OfThread {
    instance: u64,
    home: Weak<Shared>,
    end: Option<LaneEnd>,
    /// Calls since it last asked for one.
    without: u32,
}

impl Drop for OfThread {
    fn drop(&mut self) {
        let Some((end, home)) = self.end.take().zip(self.home.upgrade()) else {
            return;
        };
        // In a forked child nobody may hold the lock any more that was held then.
        if home.is_own_process()
            && let Ok(mut made) = home.made.lock()
        {
            made.free.push(end);
        }
    }
}

impl ThreadLanes {
    #[inline]
    fn of(&mut self, shared: &Arc<Shared>) -> Option<&mut LaneEnd> {
        let newest = self.journals.len().wrapping_sub(1);
        match self.journals.get(newest) {
            Some(of) if of.instance == shared.instance && of.end.is_some() => {}
            _ => self.bring_up(shared),
        }
        self.journals.last_mut()?.end.as_mut()
    }

    #[cold]
    fn bring_up(&mut self, shared: &Arc<Shared>) {
        let is_it = |of: &OfThread| of.instance == shared.instance;
        let mut of = match self.journals.iter().position(is_it) {
            Some(place) => self.journals.remove(place),
            None => OfThread {
                instance: shared.instance,
                home: Arc::downgrade(shared),
                end: None,
                without: 0,
            },
        };
        if of.end.is_none() {
            if of.without.is_multiple_of(ASK_AGAIN) {
                // Closed journals give their memory back.
                let is_open = |home: Arc<Shared>| !home.is_ended.load(Ordering::Relaxed);
                self.journals
                    .retain(|of| of.home.upgrade().is_some_and(is_open));
                of.end = shared.take_lane();
            }
            of.without = of.without.wrapping_add(1);
        }
        if self.journals.len() >= JOURNALS_PER_THREAD {
            self.journals.remove(0);
        }
        self.journals.push(of);
    }
}

thread_local! {
    static THREAD: RefCell<ThreadLanes> = RefCell::default();
}
