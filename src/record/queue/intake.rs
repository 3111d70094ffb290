//! The writer's end of the lanes, and of the channel beside them.
//!
//! The writer takes records of all lanes in the order of their ids. A call takes its id before it
//! stores, and an outcome's call begins after its decision's call ended. So a round that takes ids
//! below a bound, which it reads at its beginning, finds each outcome behind its decision.

use std::sync::Arc;
use std::time::Duration;

use annals_mapping::barrier;

use super::black_box::Reading;
use super::channel::{Channel, Numbered};
use super::lane::Lane;
use super::lanes::{Counts, Lanes, QUARTER, Shared};
use super::message::Message;
use super::packing::{Assembled, Assembler};
use super::ring::Consumer;
use crate::engine::spool::Covered;
use crate::entry::ids::RunId;
use crate::threads::sync::atomic::Ordering;

/// The ends of all lanes that the writer takes from, and the channel beside them.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    readers: Vec<LaneReader>,
    /// The id of each reader's next message; the highest number for none.
    heads: Vec<u64>,
    /// Messages of the channel, the lowest id last.
    waiting: Vec<Message>,
    payload: Vec<u64>,
    /// Which of its two marks of frames a lane gets next.
    turn: bool,
    readings: u64,
    /// The channel was sealed when nothing was left.
    is_sealed: bool,
    /// The channel brought something since the last frame.
    has_channel: bool,
    is_kept: bool,
    /// Records that are no messages, since it was last asked.
    unreadable: u64,
}

struct LaneReader {
    lane: Lane,
    consumer: Consumer<Lane>,
    counts: Arc<Counts>,
    assembler: Assembler,
    head: Option<Message>,
    /// Records taken.
    records: u64,
    /// The position behind the last message that was handed out.
    handed: u64,
    /// The same of the last one that is encoded.
    encoded: u64,
    /// The position that was freed.
    freed: u64,
    /// A word was no header: somebody else stored into the lane.
    is_broken: bool,
    unreadable: u64,
}

impl Intake {
    /// The other ends of `lanes`.
    pub(crate) fn of(lanes: &Lanes) -> Intake {
        Intake {
            shared: lanes.shared().clone(),
            readers: Vec::new(),
            heads: Vec::new(),
            waiting: Vec::new(),
            payload: Vec::new(),
            turn: false,
            readings: 0,
            is_sealed: false,
            has_channel: false,
            is_kept: true,
            unreadable: 0,
        }
    }

    /// Begins a round: messages with ids below the result may be taken.
    pub(crate) fn begin_round(&mut self, channel: &Channel<Message>) -> u64 {
        self.is_sealed = false;
        // First, so that all that was queued before it is found below.
        let bound = channel.next_id();
        self.refresh();
        let mut left = channel.len();
        if left > 0 {
            while left > 0
                && let Some(message) = channel.receive()
            {
                self.waiting.push(message);
                left -= 1;
            }
            self.has_channel = true;
            self.waiting
                .sort_unstable_by_key(|message| std::cmp::Reverse(message.id()));
        }
        bound
    }

    /// Looks at all lanes.
    fn refresh(&mut self) {
        if self.shared.count.load(Ordering::SeqCst) != self.readers.len() {
            let made = self.shared.made();
            for (lane, counts) in made.all.iter().skip(self.readers.len()) {
                self.readers.push(LaneReader {
                    lane: lane.clone(),
                    consumer: Consumer::at(lane.clone(), 0),
                    counts: counts.clone(),
                    assembler: Assembler::default(),
                    head: None,
                    records: 0,
                    handed: 0,
                    encoded: 0,
                    freed: 0,
                    is_broken: false,
                    unreadable: 0,
                });
                self.heads.push(u64::MAX);
            }
        }
        for (reader, head) in self.readers.iter_mut().zip(&mut self.heads) {
            if reader.head.is_none() {
                *head = reader.look(&mut self.payload);
            }
            if reader.is_broken {
                // Nothing of it can be found any more.
                let pushed = reader.counts.pushed.load(Ordering::Relaxed);
                reader.unreadable += pushed.saturating_sub(reader.records);
                reader.take(pushed);
            }
            self.unreadable += std::mem::take(&mut reader.unreadable);
        }
    }

    /// How many records were no messages, since it was last asked: somebody else stored there.
    pub(crate) fn take_unreadable(&mut self) -> u64 {
        std::mem::take(&mut self.unreadable)
    }

    /// The next message with an id below `bound`.
    #[inline]
    pub(crate) fn next(&mut self, bound: u64) -> Option<Message> {
        let waiting = self
            .waiting
            .last()
            .and_then(Numbered::id)
            .unwrap_or(u64::MAX);
        let (mut first, mut place) = (waiting, usize::MAX);
        for (index, head) in self.heads.iter().enumerate() {
            if *head < first {
                (first, place) = (*head, index);
            }
        }
        if first >= bound {
            return None;
        }
        let Some(reader) = self.readers.get_mut(place) else {
            return self.waiting.pop();
        };
        let message = reader.hand_out();
        self.heads[place] = reader.look(&mut self.payload);
        message
    }

    /// Messages of the channel that are not taken yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// All that was handed out is encoded.
    pub(crate) fn mark_encoded(&mut self) {
        for reader in &mut self.readers {
            reader.encoded = reader.handed;
        }
    }

    /// Whether a frame is wanted before the next commit: a lane is a quarter full, or only the
    /// spool outlives the process.
    pub(crate) fn wants_frame(&self) -> bool {
        let is_filling = |reader: &LaneReader| reader.encoded - reader.freed >= QUARTER;
        self.has_channel || !self.is_kept || self.readers.iter().any(is_filling)
    }

    /// Notes in all lanes what the frame or commit covers that is made next.
    pub(crate) fn mark(&mut self, covered: Covered) {
        if matches!(covered, Covered::Frame { .. }) {
            self.turn = !self.turn;
        }
        for reader in &self.readers {
            reader.lane.mark(covered, self.turn, reader.encoded);
        }
    }

    /// Gives the room of all that is encoded back: the spool has it.
    pub(crate) fn release(&mut self) {
        self.has_channel = false;
        for reader in &mut self.readers {
            if reader.freed != reader.encoded {
                reader.consumer.release(reader.encoded);
                reader.freed = reader.encoded;
            }
        }
    }

    /// Notes a reading of the clocks for whoever finds the black box.
    pub(crate) fn note(&mut self, reading: Reading) {
        self.readings += 1;
        self.shared.black_box.note(self.readings, reading);
    }

    /// Whether the writer has to look every few milliseconds, for what only the spool outlives.
    pub(crate) fn watch(&self) -> bool {
        let is_watched = self.has_channel || !self.is_kept || !self.waiting.is_empty();
        self.shared.is_watched.store(is_watched, Ordering::Relaxed);
        is_watched
    }

    /// Finds out whether the black box still has its names.
    pub(crate) fn check_names(&mut self) {
        self.is_kept = self.shared.black_box.is_kept(self.readers.len());
    }

    /// Why not every id that was returned outlives the process.
    pub(crate) fn shortcoming(&self) -> Option<String> {
        if !self.is_kept {
            return Some("the black box has lost its name".to_owned());
        }
        if !self.shared.is_short.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.made().short.clone()
    }

    /// For the writer, after the closing: whether nothing is left in the lanes. If that holds after
    /// the channel is sealed, later records are stranded.
    pub(crate) fn is_drained(&mut self) -> bool {
        pass_barrier();
        self.refresh();
        let is_empty = |reader: &LaneReader| reader.head.is_none();
        self.is_sealed = self.waiting.is_empty() && self.readers.iter().all(is_empty);
        if self.is_sealed {
            self.store_ends();
        }
        self.is_sealed
    }

    fn store_ends(&self) {
        for reader in &self.readers {
            let until = &reader.counts.taken.until;
            until.store(reader.consumer.position(), Ordering::Release);
        }
    }

    /// After the channel was sealed for good: how many records nobody took.
    pub(crate) fn end(&mut self) -> u64 {
        if self.is_sealed {
            return 0;
        }
        pass_barrier();
        self.refresh();
        let left = self.discard();
        self.store_ends();
        left
    }

    /// Takes all messages and drops them; returns how many there were.
    pub(crate) fn discard(&mut self) -> u64 {
        self.refresh();
        let mut count = 0;
        while self.next(u64::MAX).is_some() {
            count += 1;
        }
        self.mark_encoded();
        self.release();
        count
    }

    /// The lanes belong to `run` from here on.
    pub(crate) fn move_to_run(&mut self, run: RunId) {
        self.refresh();
        // An opener that comes before this finds the box by the name of the run before.
        if self.shared.black_box.move_to_run(run).is_err() {
            self.is_kept = false;
        }
        for reader in &self.readers {
            reader.lane.move_to_next_run(reader.encoded);
        }
    }

    /// Removes the black box. The lanes stay as memory.
    pub(crate) fn remove(&self) {
        self.shared.black_box.remove();
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
    }
}

impl LaneReader {
    /// Reads the next message into `head`, and returns its id.
    #[inline]
    fn look(&mut self, payload: &mut Vec<u64>) -> u64 {
        if self.is_broken {
            return u64::MAX;
        }
        loop {
            match self.consumer.next(payload) {
                Ok(Some(tag)) => match self.assembler.add(tag, payload) {
                    Assembled::Whole(message) => {
                        let id = message.id().unwrap_or(0);
                        self.head = Some(message);
                        return id;
                    }
                    Assembled::Piece => {}
                    // Somebody else stored there. The next record may be whole.
                    Assembled::Nothing => {
                        self.unreadable += 1;
                        self.take(self.records + 1);
                    }
                },
                Ok(None) => return u64::MAX,
                Err(_) => {
                    self.is_broken = true;
                    return u64::MAX;
                }
            }
        }
    }

    fn take(&mut self, records: u64) {
        self.records = records;
        self.counts.taken.records.store(records, Ordering::Release);
    }

    #[inline]
    fn hand_out(&mut self) -> Option<Message> {
        self.take(self.records + 1);
        self.handed = self.consumer.position();
        self.head.take()
    }
}

/// All threads of the process pass a barrier.
fn pass_barrier() {
    if barrier().is_err() {
        // Forbidden since it was registered. A store is seen by the others after far less.
        std::thread::sleep(Duration::from_millis(1));
    }
}
