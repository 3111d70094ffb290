//! Ids of names by their text, in bounded memory. It holds the names that a process uses often; the
//! table of names has the rest. `ByNameId` is no substitute: it goes from the id to a value, and
//! its keys are dense numbers.

use std::sync::Arc;

use ahash::AHashMap;

use super::format::name::{KINDS, NameKind};
use super::format::row::NameId;

/// Greatest weight of the names of a generation, bytes.
const MOST_BYTES: usize = 8 << 20;
/// Weight of a name beside its text.
const OVERHEAD: usize = 64;

type IdsByKind = [AHashMap<Arc<str>, NameId>; KINDS];

/// Ids of the names that were used last. Names are never changed, so a known id stays true.
#[derive(Default)]
pub(crate) struct NameCache {
    // Invariant N1: what was found or set since `make_room` is in `newer`.
    newer: IdsByKind,
    older: IdsByKind,
    /// The weight of `newer`.
    bytes: usize,
}

impl NameCache {
    /// The id of a name, which is kept then until `make_room` has been called twice.
    pub(crate) fn find(&mut self, kind: NameKind, text: &str) -> Option<NameId> {
        let index = kind as usize - 1;
        if let Some(id) = self.newer[index].get(text) {
            return Some(*id);
        }
        let (text, id) = self.older[index].remove_entry(text)?;
        self.put(kind, text, id);
        Some(id)
    }

    /// The id of a name that was found or set since `make_room`.
    pub(crate) fn known(&self, kind: NameKind, text: &str) -> Option<NameId> {
        self.newer[kind as usize - 1].get(text).copied()
    }

    pub(crate) fn put(&mut self, kind: NameKind, text: Arc<str>, id: NameId) {
        let bytes = text.len() + OVERHEAD;
        if self.newer[kind as usize - 1].insert(text, id).is_none() {
            self.bytes += bytes;
        }
    }

    /// Forgets the names that were not used for long, if there are many.
    pub(crate) fn make_room(&mut self) {
        if self.bytes >= MOST_BYTES {
            self.older = std::mem::take(&mut self.newer);
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_stay_and_memory_is_bounded() {
        let mut cache = NameCache::default();
        let long = "x".repeat(1 << 16);
        let text = |number: NameId| Arc::<str>::from(format!("{number}{long}"));
        let (one, mut held) = (NameId::new(1), 0);
        for number in (1..1_000).map(NameId::new) {
            cache.make_room();
            cache.put(NameKind::Symbol, text(number), number);
            assert_eq!(cache.known(NameKind::Symbol, &text(number)), Some(number));
            assert_eq!(cache.find(NameKind::Model, &text(number)), None);
            // One that is asked for again and again.
            assert_eq!(cache.find(NameKind::Symbol, &text(one)), Some(one));
            held = cache.newer[1].len() + cache.older[1].len();
            assert!(held <= 2 * (MOST_BYTES >> 16) + 2, "{held}");
        }
        assert!(held > 100);
        assert_eq!(cache.find(NameKind::Symbol, &text(NameId::new(2))), None);
    }
}
