//! From a call to the writer: names become numbers, a call becomes a small record, and the record
//! goes down the lane.

pub(crate) mod drops;
pub(crate) mod intake;
pub(crate) mod lane;
pub(crate) mod names;
pub(crate) mod record;

use std::ops::Deref;

use crate::clock::Clock;
use crate::ids::RunId;
use crate::options::Overflow;
use lane::Lane;
use names::NameTable;
use record::Message;

/// The queue of one open journal: its lane, and what turns calls into what travels on it.
pub(crate) struct Queue {
    lane: Lane<Message>,
    pub(crate) clock: Clock,
    pub(crate) names: NameTable,
}

impl Queue {
    pub(crate) fn new(
        run: RunId,
        capacity: usize,
        overflow: Overflow,
        max_names: usize,
        clock: Clock,
    ) -> Self {
        Queue {
            lane: Lane::new(run, capacity, overflow),
            clock,
            names: NameTable::new(max_names),
        }
    }
}

/// A queue is used as a lane by all who only send, receive or count.
impl Deref for Queue {
    type Target = Lane<Message>;

    fn deref(&self) -> &Lane<Message> {
        &self.lane
    }
}
