//! Something for each name, by the name's stored number.

use ahash::AHashMap;

use super::row::NameId;

/// Numbers are dense, so most are places in a list. A number that a file made up must not ask for
/// gigabytes: from here on each takes room of its own.
const DENSE: usize = 1 << 16;

/// Values by number.
pub(crate) struct Numbered<T> {
    dense: Vec<Option<T>>,
    more: AHashMap<NameId, T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered {
            dense: Vec::new(),
            more: AHashMap::new(),
        }
    }
}

impl<T> Numbered<T> {
    #[inline]
    pub(crate) fn get(&self, number: NameId) -> Option<&T> {
        let place = number as usize;
        if place < DENSE {
            self.dense.get(place)?.as_ref()
        } else {
            self.more.get(&number)
        }
    }

    pub(crate) fn insert(&mut self, number: NameId, value: T) {
        let place = number as usize;
        if place >= DENSE {
            self.more.insert(number, value);
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
        let mut numbered = Numbered::default();
        for number in [0, 7, 65_535, 65_536, u32::MAX] {
            assert_eq!(numbered.get(number), None);
            numbered.insert(number, number);
            numbered.insert(number, number);
            assert_eq!(numbered.get(number), Some(&number));
        }
        assert_eq!((numbered.dense.len(), numbered.more.len()), (DENSE, 2));
    }
}
