//! Which contents were stored last, and under which number: an input that repeats is stored once.
//!
//! Two generations, as in deduplication: the older one is forgotten as a whole.

use ahash::{AHashMap, RandomState};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::engine::format::row::InputNumber;
use crate::entry::input::InputKind;

/// Contents of a generation.
const CAPACITY: usize = 1 << 16;

/// 128 bits of a hash of an input, with a secret of this process: nobody can prepare two inputs
/// that look alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContentHash(u128);

pub(super) struct Seen {
    newer: AHashMap<ContentHash, InputNumber>,
    older: AHashMap<ContentHash, InputNumber>,
    seed: u64,
}

impl Seen {
    pub(super) fn new() -> Self {
        Seen {
            newer: AHashMap::new(),
            older: AHashMap::new(),
            seed: RandomState::new().hash_one(0),
        }
    }

    pub(super) fn hash(&self, kind: InputKind, bytes: &[u8]) -> ContentHash {
        ContentHash(xxh3_128_with_seed(bytes, self.seed ^ kind as u64))
    }

    /// The number under which the content is stored.
    pub(super) fn find(&mut self, content: ContentHash) -> Option<InputNumber> {
        if let Some(number) = self.newer.get(&content) {
            return Some(*number);
        }
        let number = self.older.remove(&content)?;
        // One that still repeats is not forgotten.
        self.insert(content, number);
        Some(number)
    }

    pub(super) fn insert(&mut self, content: ContentHash, number: InputNumber) {
        if self.newer.len() >= CAPACITY {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        self.newer.insert(content, number);
    }

    pub(super) fn clear(&mut self) {
        self.newer.clear();
        self.older.clear();
    }
}
