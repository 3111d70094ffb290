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
#[derive(Default)]
pub(super) struct Column {
    values: Vec<i64>,
    least: i64,
    most: i64,
    /// Bytes that the distance between them needs.
    width: usize,
}

impl Column {
    /// The width with `value` in it.
    #[inline]
    pub(super) fn width_with(&self, value: i64) -> usize {
        if self.values.is_empty() {
            0
        } else if value < self.least {
            bytes_of(self.most, value)
        } else if value > self.most {
            bytes_of(value, self.least)
        } else {
            self.width
        }
    }

    #[inline]
    pub(super) fn push(&mut self, value: i64) {
        if self.values.is_empty() {
            (self.least, self.most) = (value, value);
        }
        if value < self.least || value > self.most {
            self.least = self.least.min(value);
            self.most = self.most.max(value);
            self.width = bytes_of(self.most, self.least);
        }
        self.values.push(value);
    }

    pub(super) fn head(&self) -> ColumnHead {
        ColumnHead {
            least: self.least,
            width: u8::try_from(self.width).unwrap_or(8),
        }
    }

    /// Appends the numbers to `out` and forgets them.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>) {
        let least = self.least;
        let distances = self.values.drain(..).map(|value| distance(value, least));
        match self.width {
            0 => drop(distances),
            1 => distances.for_each(|distance| out.extend_from_slice(&distance[..1])),
            2 => distances.for_each(|distance| out.extend_from_slice(&distance[..2])),
            3 => distances.for_each(|distance| out.extend_from_slice(&distance[..3])),
            4 => distances.for_each(|distance| out.extend_from_slice(&distance[..4])),
            width => distances.for_each(|distance| out.extend_from_slice(&distance[..width])),
        }
        (self.least, self.most, self.width) = (0, 0, 0);
    }
}

#[inline]
fn distance(value: i64, least: i64) -> [u8; 8] {
    value.wrapping_sub(least).to_le_bytes()
}

#[inline]
fn bytes_of(most: i64, least: i64) -> usize {
    let distance = most.wrapping_sub(least).cast_unsigned();
    (u64::BITS - distance.leading_zeros()).div_ceil(8) as usize
}

/// The numbers of a column of `count`; `bytes` has exactly what they take.
pub(super) fn unpack(head: ColumnHead, bytes: &[u8], count: usize) -> Vec<i64> {
    let add = |distance: u64| head.least.wrapping_add(distance.cast_signed());
    match head.width {
        0 => vec![head.least; count],
        1 => bytes.iter().map(|byte| add(u64::from(*byte))).collect(),
        2 => narrow::<2>(bytes, |two| add(u64::from(u16::from_le_bytes(two)))),
        4 => narrow::<4>(bytes, |four| add(u64::from(u32::from_le_bytes(four)))),
        8 => narrow::<8>(bytes, |eight| add(u64::from_le_bytes(eight))),
        width => {
            let wide = bytes.chunks_exact(usize::from(width)).map(|chunk| {
                let mut distance = [0; 8];
                distance[..chunk.len()].copy_from_slice(chunk);
                add(u64::from_le_bytes(distance))
            });
            wide.collect()
        }
    }
}

fn narrow<const WIDTH: usize>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> i64) -> Vec<i64> {
    let (chunks, _) = bytes.as_chunks::<WIDTH>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
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
            for number in &numbers {
                width = column.width_with(*number);
                column.push(*number);
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
