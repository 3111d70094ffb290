//! Sums of finite numbers, of which any can be taken away again.

use super::bytes::{ByteReader, put};
use super::exact_sum::ExactSum;

type Result<T> = std::result::Result<T, String>;

/// Whether something is added or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

/// A sum of numbers that are finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reals {
    pub(crate) count: u64,
    pub(crate) sum: ExactSum,
    /// Of the squares, each rounded to an `f64`, and at most the greatest.
    pub(crate) squares: ExactSum,
}

pub(super) fn change(count: &mut u64, sign: Sign) {
    *count = match sign {
        // The sums of a slice hold changes only: they may pass below zero until they are merged
        // with the stored ones.
        Sign::Plus => count.wrapping_add(1),
        Sign::Minus => count.wrapping_sub(1),
    };
}

impl Reals {
    pub(in crate::stats) fn change(&mut self, value: f64, sign: Sign) {
        change(&mut self.count, sign);
        // The square of a finite value may be infinite, and could not be subtracted again.
        let square = (value * value).min(f64::MAX);
        match sign {
            Sign::Plus => {
                self.sum.add(value);
                self.squares.add(square);
            }
            Sign::Minus => {
                self.sum.subtract(value);
                self.squares.subtract(square);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Reals) {
        self.count = self.count.wrapping_add(other.count);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    pub(super) fn is_zero(&self) -> bool {
        self.count == 0 && self.sum.is_zero() && self.squares.is_zero()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(self.count, out);
        self.sum.encode(out);
        self.squares.encode(out);
    }

    pub(super) fn decode(bytes: &mut ByteReader<'_>) -> Result<Self> {
        Ok(Reals {
            count: bytes.number()?,
            sum: ExactSum::decode(bytes)?,
            squares: ExactSum::decode(bytes)?,
        })
    }
}
