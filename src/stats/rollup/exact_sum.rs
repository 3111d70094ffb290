//! Sums of `f64` without an error: the same in every order, and an added value can be subtracted
//! without a trace.
//!
//! A superaccumulator, as in Neal, *Fast exact summation using small and large superaccumulators*
//! (2015). It is an integer wide enough for every finite `f64`, of which only non-zero digits are
//! kept.

use super::bytes::{ByteReader, put, put_signed};

/// Bits of a digit.
const BITS: u32 = 32;
/// The exponent of the least `f64`, which is the unit.
const LEAST: i32 = -1_074;
/// Digits: those of 2^1024 in units, and room for 2^63 of them.
const DIGITS: u8 = 68;
/// After so many additions a digit may be near its limits.
const MOST_ADDED: u32 = 1 << 29;

/// A sum of finite numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExactSum {
    /// Place and value of a digit. Invariant E1: sorted by place.
    digits: Vec<(u8, i64)>,
    added: u32,
}

impl ExactSum {
    /// Adds a number that must be finite; others are left out.
    pub(crate) fn add(&mut self, value: f64) {
        self.add_signed(value, 1);
    }

    /// Takes away a number that was added.
    pub(crate) fn subtract(&mut self, value: f64) {
        self.add_signed(value, -1);
    }

    fn add_signed(&mut self, value: f64, sign: i64) {
        // Callers leave out what is not finite; zero has no digits.
        if !value.is_finite() || value == 0.0 {
            return;
        }
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7FF;
        let fraction = bits & ((1 << 52) - 1);
        // Where its lowest bit stands, in units.
        let (mantissa, place) = match exponent {
            // Subnormal numbers have no leading one, and the scale of the least normal ones.
            0 => (fraction, 0),
            _ => (fraction | 1 << 52, exponent - 1),
        };
        // Digits are signed and may exceed 32 bits until they are carried: adding is one addition.
        let sign = if value < 0.0 { -sign } else { sign };
        let mut wide = u128::from(mantissa) << (place % u64::from(BITS));
        let mut digit = u8::try_from(place / u64::from(BITS)).unwrap_or(u8::MAX);
        while wide != 0 {
            let low = i64::try_from(wide & u128::from(u32::MAX)).unwrap_or(0);
            self.add_digit(digit, sign * low);
            // A mantissa of 53 bits reaches over at most three digits.
            wide >>= BITS;
            digit += 1;
        }
        self.count_addition(1);
    }

    fn add_digit(&mut self, place: u8, value: i64) {
        match self.digits.binary_search_by_key(&place, |digit| digit.0) {
            Ok(index) => self.digits[index].1 += value,
            Err(index) => self.digits.insert(index, (place, value)),
        }
    }

    fn count_addition(&mut self, additions: u32) {
        self.added += additions;
        if self.added >= MOST_ADDED {
            self.carry();
        }
    }

    pub(crate) fn merge(&mut self, other: &ExactSum) {
        let mut other = other.clone();
        // Carried digits have 32 bits, so that two of them count as two additions.
        other.carry();
        self.carry();
        for (place, value) in other.digits {
            self.add_digit(place, value);
        }
        // A merged digit may be as large as two added ones.
        self.count_addition(2);
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.carried().is_empty()
    }

    /// The digits as they are written in one way only: all from 0 to 2^32 − 1, none of them zero,
    /// but the highest, which has the sign.
    fn carried(&self) -> Vec<(u8, i64)> {
        let mut sum = self.clone();
        sum.carry();
        sum.digits
    }

    fn carry(&mut self) {
        self.added = 0;
        let mut carried: Vec<(u8, i64)> = Vec::with_capacity(self.digits.len() + 1);
        let mut digits = std::mem::take(&mut self.digits).into_iter().peekable();
        let mut carry = 0;
        let mut place = 0;
        while carry != 0 || digits.peek().is_some() {
            if carry == 0
                && let Some((next, _)) = digits.peek()
            {
                place = *next;
            }
            let here = digits.next_if(|digit| digit.0 == place);
            let value = here.map_or(0, |digit| digit.1) + carry;
            let is_last = digits.peek().is_none();
            // A negative number's highest digit stays; otherwise the −1 would be carried for ever.
            let keep = is_last && (1 - (1 << BITS)..0).contains(&value);
            let digit = if keep {
                value
            } else {
                value.rem_euclid(1 << BITS)
            };
            carry = if keep { 0 } else { value.div_euclid(1 << BITS) };
            if digit != 0 {
                carried.push((place, digit));
            }
            place = place.saturating_add(1);
        }
        self.digits = carried;
        self.shorten();
    }

    /// A negative highest digit of −1 with digits below it is the same as a longer one without.
    fn shorten(&mut self) {
        while let [.., (below, value), (top, -1)] = self.digits[..]
            && top == below + 1
        {
            self.digits.pop();
            self.digits.pop();
            let joined = value - (1 << BITS);
            if joined != 0 {
                self.digits.push((below, joined));
            }
        }
    }

    /// The sum, rounded once, to the nearest `f64` (ties to even); infinite beyond the greatest.
    pub(crate) fn to_f64(&self) -> f64 {
        let mut digits = self.carried();
        let negative = digits.last().is_some_and(|digit| digit.1 < 0);
        if negative {
            let mut sum = ExactSum {
                digits: digits
                    .iter()
                    .map(|(place, value)| (*place, -value))
                    .collect(),
                added: 0,
            };
            sum.carry();
            digits = sum.digits;
        }
        let magnitude = magnitude(&digits);
        if negative { -magnitude } else { magnitude }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let digits = self.carried();
        put(digits.len() as u64, out);
        for (place, value) in digits {
            out.push(place);
            put_signed(value, out);
        }
    }

    pub(super) fn decode(bytes: &mut ByteReader<'_>) -> Result<ExactSum, String> {
        let mut sum = ExactSum::default();
        for _digit in 0..bytes.count()? {
            let (place, value) = (bytes.byte()?, bytes.signed()?);
            let after = sum.digits.last().is_none_or(|last| last.0 < place);
            // Larger digits could overflow before they are carried.
            if place >= DIGITS || !after || value == 0 || value.unsigned_abs() > 1 << BITS {
                return Err(format!("digit {value} at place {place} of a sum"));
            }
            sum.digits.push((place, value));
        }
        Ok(sum)
    }
}

/// Digits that are carried and not negative, as the nearest `f64`.
fn magnitude(digits: &[(u8, i64)]) -> f64 {
    let Some((top, _)) = digits.last() else {
        return 0.0;
    };
    // The four highest places hold the highest 97 bits at least; of the rest matters only whether
    // it is zero.
    let lowest = top.saturating_sub(3);
    // A sum may have more than 2,000 bits; rounding needs only the highest of them.
    let mut window = 0_u128;
    let mut rest = false;
    for (place, value) in digits {
        match place.checked_sub(lowest) {
            Some(above) => window |= u128::from(value.unsigned_abs()) << (u32::from(above) * BITS),
            None => rest = true,
        }
    }
    let bits = u128::BITS - window.leading_zeros();
    // 64 bits are enough to round correctly, if the last of them marks whether more follow. Numbers
    // below the normal ones have fewer bits than that, and are exact.
    let shift = bits.saturating_sub(64);
    let lost = window & ((1_u128 << shift) - 1) != 0 || rest;
    let kept = u64::try_from(window >> shift).unwrap_or(u64::MAX) | u64::from(lost);
    let exponent = LEAST + i32::from(lowest) * BITS.cast_signed() + shift.cast_signed();
    scaled(kept as f64, exponent)
}

/// `value` × 2^`exponent`, in steps that neither overflow nor round on the way to a result that
/// does not.
fn scaled(mut value: f64, mut exponent: i32) -> f64 {
    while exponent > 0 && value.is_finite() {
        // A power of two beyond the range of an f64 would be infinite by itself.
        let step = exponent.min(1_000);
        value *= 2_f64.powi(step);
        exponent -= step;
    }
    while exponent < 0 && value != 0.0 {
        let step = (-exponent).min(1_000);
        value /= 2_f64.powi(step);
        exponent += step;
    }
    value
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        self.carried() == other.carried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum_of(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn what_plain_addition_loses_is_there() {
        assert_eq!(sum_of(&[1e100, 1.0, -1e100]).to_f64(), 1.0);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX, -f64::MAX]).to_f64(), f64::MAX);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX]).to_f64(), f64::INFINITY);
        assert_eq!(sum_of(&[0.1; 10]).to_f64(), 1.0);
        assert_eq!(sum_of(&[-0.5]).to_f64(), -0.5);
        assert_eq!(sum_of(&[f64::NAN, f64::INFINITY, 2.0]).to_f64(), 2.0);
        assert_eq!(sum_of(&[]).to_f64(), 0.0);
        let tiny = f64::from_bits(1);
        assert_eq!(sum_of(&[tiny, tiny, tiny]).to_f64(), f64::from_bits(3));
        assert_eq!(
            sum_of(&[f64::MIN_POSITIVE, -tiny]).to_f64().to_bits(),
            (1 << 52) - 1
        );
        // Halfway between two floats, and a little more.
        assert_eq!(sum_of(&[1.0, f64::EPSILON / 2.0]).to_f64(), 1.0);
        assert_eq!(
            sum_of(&[1.0, f64::EPSILON / 2.0, tiny]).to_f64(),
            1.0 + f64::EPSILON
        );
    }

    fn finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            -1e6..1e6_f64,
            any::<u64>()
                .prop_map(f64::from_bits)
                .prop_filter("finite", |value| value.is_finite()),
        ]
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(
            values in prop::collection::vec(finite(), 0..40),
            at in 0_usize..40,
        ) {
            let forward = sum_of(&values);
            let mut backward = values.clone();
            backward.reverse();
            prop_assert_eq!(&forward, &sum_of(&backward));
            let (left, right) = values.split_at(at.min(values.len()));
            let mut merged = sum_of(left);
            merged.merge(&sum_of(right));
            prop_assert_eq!(&forward, &merged);
            prop_assert_eq!(forward.to_f64().to_bits(), merged.to_f64().to_bits());
        }

        #[test]
        fn what_is_taken_away_was_never_there(
            values in prop::collection::vec(finite(), 0..20),
            more in finite(),
        ) {
            let before = sum_of(&values);
            let mut after = before.clone();
            after.add(more);
            after.subtract(more);
            prop_assert_eq!(&before, &after);
            values.iter().for_each(|value| after.subtract(*value));
            prop_assert!(after.is_zero());
        }

        #[test]
        fn one_number_is_itself(value in finite()) {
            prop_assert_eq!(sum_of(&[value]).to_f64(), value);
        }

        #[test]
        fn integers_sum_as_integers(
            values in prop::collection::vec(-(1_i64 << 50)..1 << 50, 0..50),
        ) {
            let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            prop_assert_eq!(sum_of(&floats).to_f64(), values.iter().sum::<i64>() as f64);
        }

        #[test]
        fn bytes_come_back(values in prop::collection::vec(finite(), 0..20)) {
            let sum = sum_of(&values);
            let mut out = Vec::new();
            sum.encode(&mut out);
            let mut bytes = ByteReader::new(&out);
            prop_assert_eq!(ExactSum::decode(&mut bytes), Ok(sum));
            prop_assert_eq!(bytes.end(), Ok(()));
        }
    }
}
