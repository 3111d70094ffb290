//! Something for each name, by the name's stored number, in bounded memory.

use ahash::AHashMap;

use super::row::NameId;

/// Numbers are dense, so most are places in a list. A number that a file made up must not ask for
/// gigabytes: from here on each takes room of its own.
const DENSE: usize = 1 << 16;
/// A value that weighs more has no place in the list, bytes.
const LIGHT: usize = 1 << 10;
/// Greatest weight of the values outside of the list before they are forgotten.
const MOST_BYTES: usize = 16 << 20;
/// Weight of a value beside its bytes.
const OVERHEAD: usize = 64;

/// Values by number. Some are forgotten where there are very many, and have to be found again.
pub(crate) struct ByNameId<T> {
    dense: Vec<Option<T>>,
    more: AHashMap<NameId, T>,
    /// The weight of `more`.
    bytes: usize,
}

impl<T> Default for ByNameId<T> {
    fn default() -> Self {
        ByNameId {
            dense: Vec::new(),
            more: AHashMap::new(),
            bytes: 0,
        }
    }
}

impl<T> ByNameId<T> {
    #[inline]
    pub(crate) fn get(&self, number: NameId) -> Option<&T> {
        let listed = self.dense.get(number.get() as usize);
        match listed.and_then(Option::as_ref) {
            Some(value) => Some(value),
            None => self.more.get(&number),
        }
    }

    /// Forgets the values that are not in the list if they are very many.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        if self.bytes >= MOST_BYTES {
            self.more.clear();
            self.bytes = 0;
        }
    }

    /// Keeps a value that takes so many `bytes`, until `make_room` is called.
    pub(crate) fn insert(&mut self, number: NameId, value: T, bytes: usize) {
        let place = number.get() as usize;
        if place >= DENSE || bytes > LIGHT {
            if self.more.insert(number, value).is_none() {
                self.bytes = self.bytes.saturating_add(bytes.saturating_add(OVERHEAD));
            }
            return;
        }
        if self.dense.len() <= place {
            self.dense.resize_with(place.saturating_add(1), || None);
        }
        if let Some(slot) = self.dense.get_mut(place) {
            *slot = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_value_and_no_more_room_than_that() {
        let mut numbered = ByNameId::default();
        for number in [0, 7, 65_535, 65_536, u32::MAX].map(NameId::new) {
            assert_eq!(numbered.get(number), None);
            numbered.insert(number, number, 4);
            numbered.insert(number, number, 4);
            assert_eq!(numbered.get(number), Some(&number));
        }
        assert_eq!((numbered.dense.len(), numbered.more.len()), (DENSE, 2));
    }

    #[test]
    fn many_values_are_forgotten_and_the_last_one_is_there() {
        let mut numbered = ByNameId::default();
        for number in (0..1_000).map(NameId::new) {
            numbered.make_room();
            numbered.insert(number, number, 1 << 20);
            assert_eq!(numbered.get(number), Some(&number));
            assert!(numbered.more.len() <= 17);
        }
        for number in (100_000..1_000_000).map(NameId::new) {
            numbered.make_room();
            numbered.insert(number, number, 16);
        }
        assert!(numbered.more.len() <= MOST_BYTES / OVERHEAD);
    }
}
