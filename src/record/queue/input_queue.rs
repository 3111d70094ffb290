//! What a queue does with inputs, and an input in a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::local_names::LocalName;
use crate::entry::input::{Condition, GivenInput, InputKind};

/// Bytes of inputs that wait in the channel at most.
const MOST_WAITING: u64 = 64 << 20;

/// What a queue does with inputs, and what it gave up.
#[derive(Debug, Default)]
pub(crate) struct InputQueue {
    /// They can be kept at all.
    is_on: bool,
    too_large: AtomicU64,
    full: AtomicU64,
    /// Bytes in the channel.
    waiting: Arc<AtomicU64>,
}

impl InputQueue {
    pub(crate) fn new(is_on: bool) -> Self {
        InputQueue {
            is_on,
            ..InputQueue::default()
        }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Inputs that were given up because of their size, and for want of room.
    pub(crate) fn given_up(&self) -> [u64; 2] {
        [&self.too_large, &self.full].map(|count| count.load(Ordering::Relaxed))
    }

    pub(super) fn count_full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an input of this size is taken; counts it if not.
    pub(super) fn is_taken(&self, input: GivenInput<'_>) -> bool {
        let fits = input.kind.fits(input.bytes.len());
        if !fits {
            self.too_large.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    /// A copy for a message that is no record of a lane; `None` if there is no room for it, which
    /// is counted.
    pub(crate) fn copy(&self, input: GivenInput<'_>, names: LocalName) -> Option<QueuedInput> {
        if !self.is_taken(input) {
            return None;
        }
        let bytes = input.bytes.len() as u64;
        let room = Room {
            waiting: self.waiting.clone(),
            bytes,
        };
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MOST_WAITING {
            self.count_full();
            return None;
        }
        Some(QueuedInput {
            kind: input.kind,
            bytes: input.kind.stored(input.bytes),
            names,
            condition: input.condition,
            _room: Some(room),
        })
    }
}

/// An input in a message: its bytes in stored order.
#[derive(Debug)]
pub(crate) struct QueuedInput {
    pub(crate) kind: InputKind,
    pub(crate) bytes: Vec<u8>,
    /// The names of its values, joined; none if none were bound.
    pub(crate) names: LocalName,
    pub(crate) condition: Condition,
    /// What it takes of the bound of all that wait; from a lane it takes nothing.
    pub(crate) _room: Option<Room>,
}

/// Room that is given back when the input is stored or lost.
#[derive(Debug)]
pub(crate) struct Room {
    waiting: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
