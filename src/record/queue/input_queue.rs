//! What a queue does with inputs, and an input in a message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::local_names::{LocalName, NO_NAME};
use crate::entry::input::{Condition, GivenInput, InputKind};
use crate::threads::worker::lock;

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
    /// The last blob that was too large, in words.
    large_blob: Mutex<Option<String>>,
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

    pub(super) fn count_full(&self, count: u64) {
        self.full.fetch_add(count, Ordering::Relaxed);
    }

    /// The last blob that was given up because of its size, in words.
    pub(crate) fn large_blob(&self) -> Option<String> {
        lock(&self.large_blob).clone()
    }

    /// Counts a blob that is too large, and keeps its name.
    #[cold]
    pub(super) fn refuse_blob(&self, name: &str, bytes: usize) {
        self.too_large.fetch_add(1, Ordering::Relaxed);
        let words = format!("the blob {name:?} of {bytes} bytes is larger than 1 MiB");
        *lock(&self.large_blob) = Some(words);
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
        let room = self.room(input.bytes.len() as u64)?;
        Some(QueuedInput {
            kind: input.kind,
            bytes: input.kind.stored(input.bytes),
            names,
            condition: input.condition,
            _room: Some(room),
        })
    }

    /// Room for so many bytes; `None` if there is none, which is counted.
    pub(super) fn room(&self, bytes: u64) -> Option<Room> {
        let room = Room {
            waiting: self.waiting.clone(),
            bytes,
        };
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MOST_WAITING {
            self.count_full(1);
            return None;
        }
        Some(room)
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

impl QueuedInput {
    /// Bytes in stored order; `room` was taken for at least as many.
    pub(super) fn of(kind: InputKind, bytes: Vec<u8>, mut room: Room) -> Self {
        room.shrink(bytes.len() as u64);
        QueuedInput {
            kind,
            bytes,
            names: NO_NAME,
            condition: Condition::None,
            _room: Some(room),
        }
    }
}

/// A blob in a message.
#[derive(Debug)]
pub(crate) struct QueuedBlob {
    pub(crate) name: String,
    /// `None` if it was given up.
    pub(crate) content: Option<QueuedInput>,
}

impl QueuedBlob {
    /// What it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let content = self.content.as_ref();
        self.name.len() + content.map_or(0, |content| content.bytes.len())
    }
}

/// Room that is given back when the input is stored or lost.
#[derive(Debug)]
pub(crate) struct Room {
    waiting: Arc<AtomicU64>,
    bytes: u64,
}

impl Room {
    /// Gives back what is not needed of it.
    fn shrink(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.waiting.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
