//! A column of numbers: each stored as its distance to the least, in as few bytes as the greatest
//! needs, and in none if all are equal.

use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

/// How a column is stored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnHead {
    pub(super) least: i64,
    /// Bytes for each number, 0 to 8.
    pub(super) width: u8,
}

impl ColumnHead {
    pub(super) fn width(self) -> usize {
        usize::from(self.width)
    }
}

/// Numbers that are being collected.
pub(super) struct Column {
    /// Invariant C1: empty while all numbers are equal. Most columns of a block are: only one
    /// number of theirs is kept, and pushing another is a comparison.
    values: Vec<i64>,
    /// Invariant C2: of an empty column, `least` is more than `most`, so nothing is between them.
    least: i64,
    most: i64,
    /// Bytes that the distance between them needs.
    width: usize,
}

impl Default for Column {
    fn default() -> Self {
        Column {
            values: Vec::new(),
            least: i64::MAX,
            most: i64::MIN,
            width: 0,
        }
    }
}

impl Column {
    /// Whether `value` leaves the width unchanged.
    #[inline]
    pub(super) fn covers(&self, value: i64) -> bool {
        self.least <= value && value <= self.most
    }

    /// The width with `value` in it.
    pub(super) fn width_with(&self, value: i64) -> usize {
        if self.least > self.most {
            // An empty column has no least number yet.
            0
        } else {
            bytes_of(self.most.max(value), self.least.min(value))
        }
    }

    /// Adds `value` to the `before` numbers that are there.
    #[inline]
    pub(super) fn push(&mut self, value: i64, before: usize) {
        // C1: while all numbers are equal none is stored, which is the usual case for most columns.
        if self.values.is_empty() && (value == self.least || before == 0) {
            (self.least, self.most) = (value, value);
            return;
        }
        if self.values.is_empty() || !self.covers(value) {
            self.widen(value, before);
        }
        self.values.push(value);
    }

    #[cold]
    fn widen(&mut self, value: i64, before: usize) {
        if self.values.is_empty() {
            // C1 ends here: the equal numbers so far are written out after all.
            self.values.resize(before, self.least);
        }
        // The width is found anew only when the range grows: most values are covered, and cost a
        // comparison.
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        self.width = bytes_of(self.most, self.least);
    }

    pub(super) fn head(&self) -> ColumnHead {
        if self.least > self.most {
            return ColumnHead::default();
        }
        ColumnHead {
            least: self.least,
            width: u8::try_from(self.width).unwrap_or(8),
        }
    }

    /// Appends the numbers to `out` and forgets them.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>) {
        let (values, least) = (&self.values, self.least);
        match self.width {
            0 => {}
            1 => pack_as::<1>(values, least, out),
            2 => pack_as::<2>(values, least, out),
            3 => pack_as::<3>(values, least, out),
            4 => pack_as::<4>(values, least, out),
            5 => pack_as::<5>(values, least, out),
            6 => pack_as::<6>(values, least, out),
            7 => pack_as::<7>(values, least, out),
            _ => pack_as::<8>(values, least, out),
        }
        self.values.clear();
        (self.least, self.most, self.width) = (i64::MAX, i64::MIN, 0);
    }
}

fn pack_as<const WIDTH: usize>(values: &[i64], least: i64, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + values.len() * WIDTH, 0);
    let (places, _) = out[start..].as_chunks_mut::<WIDTH>();
    for (place, value) in places.iter_mut().zip(values) {
        // `least` is the least of all, so the distance is at most `u64::MAX`, and its upper bytes
        // are zero.
        let distance = value.wrapping_sub(least).to_le_bytes();
        place.copy_from_slice(&distance[..WIDTH]);
    }
}

#[inline]
fn bytes_of(most: i64, least: i64) -> usize {
    // Wrapping is right: the distance of any two i64 fits in a u64.
    let distance = most.wrapping_sub(least).cast_unsigned();
    (u64::BITS - distance.leading_zeros()).div_ceil(8) as usize
}

/// A column of a block that is read: each number costs a load, wherever it stands.
#[derive(Clone, Copy, Default)]
pub(super) struct ColumnNumbers<'a> {
    least: i64,
    width: usize,
    /// The bits of a distance.
    mask: u64,
    count: usize,
    /// Begins with the column's numbers. The bytes after them belong to other parts. They let a
    /// number be taken out of eight bytes without a check of their count.
    bytes: &'a [u8],
}

impl<'a> ColumnNumbers<'a> {
    /// The column of `count` numbers at the front of `rest`, which begins behind it afterwards.
    pub(super) fn split_off(
        head: ColumnHead,
        count: usize,
        rest: &mut &'a [u8],
    ) -> Result<Self, String> {
        let width = head.width();
        // A stored number. A greater one would shift by more than 64 bits below.
        if width > 8 {
            return Err(format!("is {width} bytes wide"));
        }
        let bytes = *rest;
        // At most 8 times 16,384: `count` was checked against its own bound.
        let wanted = width * count;
        *rest = rest
            .get(wanted..)
            .ok_or_else(|| format!("has {} of {wanted} bytes", bytes.len()))?;
        Ok(ColumnNumbers {
            least: head.least,
            width,
            mask: u64::MAX
                .checked_shr(64 - 8 * u32::from(head.width))
                .unwrap_or(0),
            count,
            bytes,
        })
    }

    /// The number at `index`, which has to be less than the count.
    #[inline]
    pub(super) fn get(&self, index: usize) -> i64 {
        debug_assert!(index < self.count);
        let at = index * self.width;
        let distance = match self.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            // Eight bytes are read and masked, whatever the width: one load instead of a loop. The
            // bytes behind the column are of the next one, and there are some except at the very
            // end.
            Some(eight) => u64::from_le_bytes(*eight),
            None => self.near_the_end(at),
        };
        let distance = distance & self.mask;
        self.least.wrapping_add(distance.cast_signed())
    }

    /// The load of [`get`](Self::get) where the payload ends less than eight bytes behind `at`.
    #[cold]
    fn near_the_end(&self, at: usize) -> u64 {
        let mut eight = [0; 8];
        let bytes = self.bytes.get(at..).unwrap_or_default();
        for (to, from) in eight.iter_mut().zip(bytes) {
            *to = *from;
        }
        u64::from_le_bytes(eight)
    }

    /// The number of all entries, if the column stores none.
    pub(super) fn only(&self) -> Option<i64> {
        (self.width == 0).then_some(self.least)
    }

    /// Their sum, modulo 2^64.
    pub(super) fn sum(&self, range: Range<usize>) -> i64 {
        let count = u64::try_from(range.len()).unwrap_or(u64::MAX).cast_signed();
        // Wraps: the sum is exact modulo 2^64, whatever the numbers are.
        let base = self.least.wrapping_mul(count);
        match self.width {
            0 => base,
            1 => {
                let bytes = self.bytes.get(range).unwrap_or_default();
                let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
                base.wrapping_add(sum.cast_signed())
            }
            _ => range.fold(0, |sum: i64, index| sum.wrapping_add(self.get(index))),
        }
    }

    /// How many of `range` are as `is` says.
    #[inline]
    pub(super) fn count(&self, range: Range<usize>, is: impl Fn(i64) -> bool) -> usize {
        match self.width {
            0 if is(self.least) => range.len(),
            0 => 0,
            1 => {
                let bytes = self.bytes.get(range).unwrap_or_default().iter();
                let number = |byte: &u8| self.least.wrapping_add(i64::from(*byte));
                bytes.filter(|byte| is(number(byte))).count()
            }
            _ => range.filter(|index| is(self.get(*index))).count(),
        }
    }

    /// Whether all are in `within`: mostly seen from the head alone.
    pub(super) fn are_within(&self, within: RangeInclusive<i64>) -> bool {
        let most = i64::try_from(self.mask)
            .ok()
            .and_then(|mask| self.least.checked_add(mask));
        // The head alone proves it in the usual case, without a look at the numbers. A head's bound
        // may be wider than its numbers, so a "no" must look.
        let surely = most.is_some_and(|most| within.contains(&most));
        (surely && within.contains(&self.least))
            || (0..self.count).all(|index| within.contains(&self.get(index)))
    }

    /// The indexes at which `number` stands.
    pub(super) fn indexes_of(&self, number: i64) -> Vec<usize> {
        let distance = number.wrapping_sub(self.least).cast_unsigned();
        // Not representable at this width: the number is not there.
        if distance > self.mask {
            return Vec::new();
        }
        match self.width {
            0 => (0..self.count).collect(),
            1 => {
                let bytes = self.bytes.get(..self.count).unwrap_or_default();
                let places = bytes.iter().enumerate();
                let is = |(_, byte): &(usize, &u8)| u64::from(**byte) == distance;
                places.filter(is).map(|(index, _)| index).collect()
            }
            _ => {
                let is = |index: &usize| self.get(*index) == number;
                (0..self.count).filter(is).collect()
            }
        }
    }

    /// All numbers as `to` makes them, in place of what `out` held.
    pub(super) fn unpack<T>(&self, out: &mut Vec<T>, mut to: impl FnMut(i64) -> T) {
        out.clear();
        let least = self.least;
        let mut add = |distance: u64| to(least.wrapping_add(distance.cast_signed()));
        let bytes = self.bytes.get(..self.width * self.count);
        let bytes = bytes.unwrap_or_default();
        match self.width {
            0 => out.extend((0..self.count).map(|_| add(0))),
            1 => out.extend(bytes.iter().map(|byte| add(u64::from(*byte)))),
            2 => narrow::<2, T>(bytes, out, |two| add(u64::from(u16::from_le_bytes(two)))),
            3 => narrow::<3, T>(bytes, out, |[a, b, c]| {
                add(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }),
            4 => narrow::<4, T>(bytes, out, |four| add(u64::from(u32::from_le_bytes(four)))),
            8 => narrow::<8, T>(bytes, out, |eight| add(u64::from_le_bytes(eight))),
            width => {
                let wide = bytes.chunks_exact(width).map(|chunk| {
                    let mut distance = [0; 8];
                    distance[..chunk.len()].copy_from_slice(chunk);
                    add(u64::from_le_bytes(distance))
                });
                out.extend(wide);
            }
        }
    }
}

fn narrow<const WIDTH: usize, T>(
    bytes: &[u8],
    out: &mut Vec<T>,
    number: impl FnMut([u8; WIDTH]) -> T,
) {
    let (chunks, _) = bytes.as_chunks::<WIDTH>();
    out.extend(chunks.iter().copied().map(number));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            base in any::<i64>(),
            span in 0_u32..64,
            distances in prop::collection::vec(any::<u64>(), 0..40),
            behind in 0_usize..9,
        ) {
            let mask = (1_u64 << span) | ((1 << span) - 1);
            let number = |distance: &u64| base.wrapping_add((distance & mask).cast_signed());
            let numbers: Vec<i64> = distances.iter().map(number).collect();
            let mut column = Column::default();
            let mut width = 0;
            for (before, number) in numbers.iter().enumerate() {
                let covered = column.covers(*number);
                let last = std::mem::replace(&mut width, column.width_with(*number));
                prop_assert!(!covered || width == last);
                column.push(*number, before);
            }
            let mut bytes = Vec::new();
            let head = column.head();
            column.pack(&mut bytes);
            prop_assert_eq!(head.width(), width);
            prop_assert_eq!(bytes.len(), width * numbers.len());
            prop_assert_eq!(column.width_with(7), 0);

            bytes.resize(bytes.len() + behind, 0xff);
            let count = numbers.len();
            let mut rest = &bytes[..];
            let read = ColumnNumbers::split_off(head, count, &mut rest).unwrap();
            prop_assert_eq!(rest.len(), behind);
            let mut unpacked = vec![7];
            read.unpack(&mut unpacked, |number| number);
            prop_assert_eq!(&unpacked, &numbers);
            for (index, number) in numbers.iter().enumerate() {
                prop_assert_eq!(read.get(index), *number);
                let mut places = numbers.iter().enumerate();
                let places: Vec<usize> = places
                    .by_ref()
                    .filter(|(_, other)| *other == number)
                    .map(|(place, _)| place)
                    .collect();
                prop_assert_eq!(read.indexes_of(*number), places);
                let sum = numbers[index..].iter().fold(0, |sum: i64, more| sum.wrapping_add(*more));
                prop_assert_eq!(read.sum(index..count), sum);
            }
            let range = |numbers: &[i64]| {
                let (least, most) = (numbers.iter().min(), numbers.iter().max());
                least.zip(most).map(|(least, most)| *least..=*most)
            };
            if let Some(range) = range(&numbers) {
                prop_assert!(read.are_within(range.clone()));
                if let Some(more) = range.start().checked_add(1) {
                    prop_assert!(!read.are_within(more..=i64::MAX));
                }
            }
        }
    }
}
