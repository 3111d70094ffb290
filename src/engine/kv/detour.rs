//! Where a table can be read again behind a page that the engine cannot read.
//!
//! The engine says no more than that it cannot go on. So keys are tried: ever farther ones until
//! one can be read, then by halves back to the border. Then some between are tried, because there
//! may be pages between two damaged ones.

use std::ops::{Bound, RangeInclusive};
use std::path::Path;

use redb::ReadOnlyTable;

use super::errors::{guard, storage_error};
use super::range::{Direction, KeyRange, StaticBytes};
use crate::entry::error::Result;

/// Bytes of a key that are looked at: two numbers.
const LOOKED_AT: usize = 16;
/// Keys that are tried between the last row and the border, where all seems lost.
const BETWEEN: u128 = 64;

/// The rest of a range that is being read in one direction.
pub(super) struct Way {
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    direction: Direction,
}

/// The engine's answer to a key.
enum Tried {
    /// The row that comes there.
    Row(Vec<u8>),
    /// No row comes any more.
    End,
    Unreadable,
}

impl Way {
    pub(super) fn new((low, high): KeyRange<'_>, direction: Direction) -> Self {
        Way {
            low: low.map(<[u8]>::to_vec),
            high: high.map(<[u8]>::to_vec),
            direction,
        }
    }

    pub(super) fn range(&self) -> KeyRange<'_> {
        (
            self.low.as_ref().map(Vec::as_slice),
            self.high.as_ref().map(Vec::as_slice),
        )
    }

    /// Goes on behind the row `last`, which has been read.
    pub(super) fn leave(&mut self, last: Vec<u8>) {
        *self.begin() = Bound::Excluded(last);
    }

    fn begin(&mut self) -> &mut Bound<Vec<u8>> {
        match self.direction {
            Direction::Ascending => &mut self.low,
            Direction::Descending => &mut self.high,
        }
    }

    /// Goes on with the next row that can be read; says whether there is one.
    pub(super) fn find_on(
        &mut self,
        rows: &ReadOnlyTable<StaticBytes, StaticBytes>,
        path: &Path,
    ) -> bool {
        match self.next(&|place| self.try_at(rows, path, place)) {
            Some(key) => {
                *self.begin() = Bound::Included(key);
                true
            }
            None => false,
        }
    }

    /// The next row that `try_at` gives.
    fn next(&self, try_at: &dyn Fn(u128) -> Tried) -> Option<Vec<u8>> {
        // Keys are treated as numbers along the way, descending ones inverted: one search serves
        // both directions.
        let (start, limit) = self.places().into_inner();
        let mut unreadable = start;
        let mut step = self.unit();
        let (mut border, mut found) = loop {
            let place = unreadable.saturating_add(step).min(limit);
            match try_at(place) {
                Tried::Row(key) => break (place, Some(key)),
                Tried::End => break (place, None),
                Tried::Unreadable if place == limit => return None,
                Tried::Unreadable => unreadable = place,
            }
            // Doubled: a damaged page hides some thousand keys, a damaged branch millions. The cost
            // is the logarithm of what is lost.
            step = step.saturating_mul(2);
        };
        // The step may have jumped over readable rows: without this a detour would lose up to half
        // of what it found.
        self.halve(try_at, unreadable, &mut border, &mut found);
        // Pages between damaged ones.
        let wide = border
            .saturating_sub(start)
            .checked_div(BETWEEN)
            .unwrap_or(0);
        // Halving assumes one damaged stretch. Where there are two, it may settle behind the
        // second.
        if wide >= self.unit() {
            for part in 1..BETWEEN {
                let place = start.saturating_add(wide.saturating_mul(part));
                if place >= border {
                    break;
                }
                if let Tried::Row(key) = try_at(place)
                    && self.place(&key) < border
                {
                    (border, found) = (place, Some(key));
                    let before = place.saturating_sub(wide).max(start);
                    self.halve(try_at, before, &mut border, &mut found);
                    break;
                }
            }
        }
        found
    }

    /// Moves `border`, from which on can be read, as near to `unreadable` as it goes.
    fn halve(
        &self,
        try_at: &dyn Fn(u128) -> Tried,
        mut unreadable: u128,
        border: &mut u128,
        found: &mut Option<Vec<u8>>,
    ) {
        while border.saturating_sub(unreadable) > 1 {
            let middle = unreadable.midpoint(*border);
            match try_at(middle) {
                Tried::Row(key) => (*border, *found) = (middle, Some(key)),
                Tried::End => (*border, *found) = (middle, None),
                Tried::Unreadable => unreadable = middle,
            }
        }
    }

    /// The places that are left, in the way's direction.
    fn places(&self) -> RangeInclusive<u128> {
        let (begin, end) = match self.direction {
            Direction::Ascending => (&self.low, &self.high),
            Direction::Descending => (&self.high, &self.low),
        };
        let place = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => Some(self.place(key)),
            Bound::Unbounded => None,
        };
        place(begin).unwrap_or(0)..=place(end).unwrap_or(u128::MAX)
    }

    /// Least distance of the keys of a table of numbers.
    fn unit(&self) -> u128 {
        let length = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => Some(key.len()),
            Bound::Unbounded => None,
        };
        match length(&self.low).or(length(&self.high)) {
            Some(8) => 1 << 64,
            _ => 1,
        }
    }

    /// Position of a key along the way.
    fn place(&self, key: &[u8]) -> u128 {
        let mut bytes = [0; LOOKED_AT];
        for (byte, of_key) in bytes.iter_mut().zip(key) {
            *byte = *of_key;
        }
        let number = u128::from_be_bytes(bytes);
        match self.direction {
            Direction::Ascending => number,
            Direction::Descending => !number,
        }
    }

    fn try_at(
        &self,
        rows: &ReadOnlyTable<StaticBytes, StaticBytes>,
        path: &Path,
        place: u128,
    ) -> Tried {
        // Each try has a guard of its own: the engine may panic over one page and read the next.
        let read: Result<Option<Vec<u8>>> = guard(path, || {
            let bytes = match self.direction {
                Direction::Ascending => place.to_be_bytes(),
                Direction::Descending => (!place).to_be_bytes(),
            };
            let (low, high) = self.range();
            let ascending = self.direction == Direction::Ascending;
            let range = match self.direction {
                // A shorter key sorts before a longer one that it begins.
                Direction::Ascending => (Bound::Included(trimmed(&bytes)), high),
                Direction::Descending => (low, Bound::Included(&bytes[..])),
            };
            let mut found = rows
                .range::<&[u8]>(range)
                .map_err(|error| storage_error(path, error))?;
            let row = if ascending {
                found.next()
            } else {
                found.next_back()
            };
            let row = row.transpose();
            let row = row.map_err(|error| storage_error(path, error))?;
            Ok(row.map(|(key, value)| {
                // The value has to be there too.
                let _ = value.value().len();
                key.value().to_vec()
            }))
        });
        match read {
            // Pages that do not belong together lead anywhere.
            Ok(Some(key)) if self.place(&key) < place => Tried::Unreadable,
            Ok(Some(key)) => Tried::Row(key),
            Ok(None) => Tried::End,
            Err(_) => Tried::Unreadable,
        }
    }
}

/// The bytes without the zeros at their end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|byte| *byte != 0);
    bytes
        .get(..length.map_or(0, |last| last + 1))
        .unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Result of [`Way::next`] where the numbers in `rows` are there and those in `lost` cannot be
    /// read.
    fn next(rows: &[u64], lost: &[std::ops::Range<u64>], direction: Direction) -> Option<u64> {
        let (from, to) = (rows[0], 1_000_000_u64);
        let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
        let zero = 0_u64.to_be_bytes();
        let way = match direction {
            Direction::Ascending => Way::new(
                (Bound::Excluded(&from[..]), Bound::Excluded(&to[..])),
                direction,
            ),
            Direction::Descending => Way::new(
                (Bound::Included(&zero[..]), Bound::Excluded(&from[..])),
                direction,
            ),
        };
        let key = way.next(&|place| {
            let (at, mut rest): (u64, Vec<u64>) = match direction {
                Direction::Ascending => {
                    let at = u64::try_from(place.div_ceil(1 << 64)).unwrap();
                    let rest = rows.iter().copied().filter(|row| *row >= at);
                    (at, rest.collect())
                }
                Direction::Descending => {
                    let at = u64::try_from(!place >> 64).unwrap();
                    let rest = rows.iter().copied().filter(|row| *row <= at);
                    (at, rest.collect())
                }
            };
            if direction == Direction::Descending {
                rest.sort_unstable_by(|one, other| other.cmp(one));
            }
            let is_lost = |number: u64| lost.iter().any(|lost| lost.contains(&number));
            match rest.first() {
                _ if is_lost(at) => Tried::Unreadable,
                Some(row) if is_lost(*row) => Tried::Unreadable,
                Some(row) => Tried::Row(row.to_be_bytes().to_vec()),
                None => Tried::End,
            }
        });
        key.map(|key| u64::from_be_bytes(key.try_into().unwrap()))
    }

    #[test]
    fn the_next_row_behind_a_page_is_found() {
        let rows: Vec<u64> = (1_000..100_000).step_by(100).collect();
        for (lost, expected) in [
            (1_001..1_200, 1_200),
            (1_001..1_201, 1_300),
            (1_050..90_001, 90_100),
        ] {
            let found = next(&rows, std::slice::from_ref(&lost), Direction::Ascending);
            assert_eq!(found, Some(expected), "{lost:?}");
        }
        assert_eq!(
            next(
                &rows,
                &[1_001..9_000, 9_000..u64::MAX],
                Direction::Ascending
            ),
            None
        );
    }

    #[test]
    fn a_page_between_two_that_cannot_be_read_is_found() {
        let rows: Vec<u64> = (1_000..100_000).step_by(100).collect();
        let lost = [1_001..20_000, 25_000..90_000];
        assert_eq!(next(&rows, &lost, Direction::Ascending), Some(20_000));
    }

    #[test]
    fn backwards_it_is_the_same() {
        let mut rows: Vec<u64> = (1_000..100_000).step_by(100).collect();
        rows.reverse();
        for (lost, expected) in [(99_800..99_900, 99_700), (5_000..99_900, 4_900)] {
            let found = next(&rows, std::slice::from_ref(&lost), Direction::Descending);
            assert_eq!(found, Some(expected), "{lost:?}");
        }
        assert_eq!(
            next(&rows, &[0..9_000, 9_000..99_900], Direction::Descending),
            None
        );
    }
}
