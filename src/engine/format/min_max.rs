//! The index needs of a block: for each key, the lowest and highest value seen with it.

use ahash::AHashMap;

use crate::entry::ids::InferenceId;

/// Ids are indexed in buckets of this many bits.
pub(crate) const ID_BUCKET_BITS: u32 = 8;

/// For each key, the lowest and highest value seen with it.
#[derive(Debug)]
pub(crate) struct MinMaxByKey<K> {
    spans: Vec<(K, u16, u16)>,
    places: AHashMap<K, usize>,
    last: usize,
}

impl<K> Default for MinMaxByKey<K> {
    fn default() -> Self {
        MinMaxByKey {
            spans: Vec::new(),
            places: AHashMap::new(),
            last: 0,
        }
    }
}

impl<K: Copy + Eq + std::hash::Hash> MinMaxByKey<K> {
    #[inline]
    pub(super) fn cover(&mut self, key: K, value: u16) {
        // Neighbouring rows share their hour and their bucket, so the map is asked rarely.
        if self.spans.get(self.last).is_none_or(|span| span.0 != key) {
            self.last = *self.places.entry(key).or_insert_with(|| {
                self.spans.push((key, value, value));
                self.spans.len() - 1
            });
        }
        if let Some((_, low, high)) = self.spans.get_mut(self.last) {
            *low = (*low).min(value);
            *high = (*high).max(value);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, u16, u16)> {
        self.spans.iter()
    }
}

impl MinMaxByKey<u64> {
    #[inline]
    pub(super) fn cover_id(&mut self, id: InferenceId) {
        let (bucket, within) = id_bucket(id);
        self.cover(bucket, within);
    }
}

/// The bucket of an id, and its number within it.
#[inline]
pub(crate) fn id_bucket(id: InferenceId) -> (u64, u16) {
    let id = id.to_u64();
    let within = id & ((1 << ID_BUCKET_BITS) - 1);
    (
        id >> ID_BUCKET_BITS,
        u16::try_from(within).unwrap_or(u16::MAX),
    )
}
