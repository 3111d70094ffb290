//! A column of numbers: each stored as its distance to the least, in as few bytes as the greatest
//! needs, and in none if all are equal.

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
            0
        } else {
            bytes_of(self.most.max(value), self.least.min(value))
        }
    }

    /// Adds `value` to the `before` numbers that are there.
    #[inline]
    pub(super) fn push(&mut self, value: i64, before: usize) {
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
            self.values.resize(before, self.least);
        }
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
        let distance = value.wrapping_sub(least).to_le_bytes();
        place.copy_from_slice(&distance[..WIDTH]);
    }
}

#[inline]
fn bytes_of(most: i64, least: i64) -> usize {
    let distance = most.wrapping_sub(least).cast_unsigned();
    (u64::BITS - distance.leading_zeros()).div_ceil(8) as usize
}

/// The numbers of a column of `count`; `bytes` has exactly their size.
pub(super) fn unpack(head: ColumnHead, bytes: &[u8], count: usize) -> Vec<i64> {
    let mut numbers = Vec::new();
    unpack_into(head, bytes, count, &mut numbers);
    numbers
}

/// Like [`unpack`], in place of what `numbers` held.
pub(super) fn unpack_into(head: ColumnHead, bytes: &[u8], count: usize, numbers: &mut Vec<i64>) {
    numbers.clear();
    let add = |distance: u64| head.least.wrapping_add(distance.cast_signed());
    match head.width {
        0 => numbers.resize(count, head.least),
        1 => numbers.extend(bytes.iter().map(|byte| add(u64::from(*byte)))),
        2 => narrow::<2>(bytes, numbers, |two| {
            add(u64::from(u16::from_le_bytes(two)))
        }),
        3 => narrow::<3>(bytes, numbers, |[a, b, c]| {
            add(u64::from(u32::from_le_bytes([a, b, c, 0])))
        }),
        4 => narrow::<4>(bytes, numbers, |four| {
            add(u64::from(u32::from_le_bytes(four)))
        }),
        8 => narrow::<8>(bytes, numbers, |eight| add(u64::from_le_bytes(eight))),
        width => {
            let wide = bytes.chunks_exact(usize::from(width)).map(|chunk| {
                let mut distance = [0; 8];
                distance[..chunk.len()].copy_from_slice(chunk);
                add(u64::from_le_bytes(distance))
            });
            numbers.extend(wide);
        }
    }
}

fn narrow<const WIDTH: usize>(
    bytes: &[u8],
    numbers: &mut Vec<i64>,
    number: impl Fn([u8; WIDTH]) -> i64,
) {
    let (chunks, _) = bytes.as_chunks::<WIDTH>();
    numbers.extend(chunks.iter().map(|chunk| number(*chunk)));
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
            prop_assert_eq!(unpack(head, &bytes, numbers.len()), numbers);
            prop_assert_eq!(column.width_with(7), 0);
        }
    }
}
