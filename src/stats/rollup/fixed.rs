//! Confidences as integers: sums of integers do not depend on their order, and equal to the bit
//! is something that can be tested.

/// Confidences and their squares are summed in units of 2^-40, each rounded to the nearest unit
/// (ties to even). An `f32` from 2^-17 on loses nothing.
pub(crate) const UNITS: f64 = (1_u64 << 40) as f64;

/// A number from 0 to 1 in units.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 2^40"
)]
pub(crate) fn units(value: f64) -> u64 {
    (value * UNITS).round_ties_even() as u64
}

/// Aggregate of many confidences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Confidences {
    pub(crate) count: u64,
    pub(crate) sum: u128,
    pub(crate) squares: u128,
    /// Invariant C1: infinite while there are none.
    pub(crate) min: f32,
    pub(crate) max: f32,
}

impl Default for Confidences {
    fn default() -> Self {
        Confidences {
            count: 0,
            sum: 0,
            squares: 0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        }
    }
}

impl Confidences {
    /// Adds a number from 0 to 1.
    #[inline]
    pub(crate) fn add(&mut self, confidence: f32) {
        let value = f64::from(confidence);
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(u128::from(units(value)));
        self.squares = self
            .squares
            .saturating_add(u128::from(units(value * value)));
        // −0.0 is 0.0: which of the two is less would depend on the order.
        self.min = self.min.min(confidence + 0.0);
        self.max = self.max.max(confidence + 0.0);
    }

    pub(crate) fn merge(&mut self, other: &Confidences) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// NaN if there are none.
    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.count as f64 / UNITS
    }

    /// The sample variance (of n − 1): NaN for fewer than two. Exact in integers up to the last
    /// division, so that nearly equal confidences lose nothing to cancellation.
    pub(crate) fn variance(&self) -> f64 {
        if self.count < 2 {
            return f64::NAN;
        }
        // Squares are rounded one by one, which would leave a deviation to equal confidences.
        if self.min >= self.max {
            return 0.0;
        }
        // Of sums that were made up there is none.
        let around = self.around_mean().unwrap_or(0);
        around as f64 / self.count.saturating_sub(1) as f64 / UNITS / UNITS
    }

    /// Σ(c − mean)² in units of units; `None` if the sums cannot be those of confidences.
    fn around_mean(&self) -> Option<u128> {
        let count = u128::from(self.count);
        let near = self.sum.checked_div(count)?;
        // Σ(c − near)² less what `near` is beside the mean; all terms stay below 2^128.
        // Stored sums may be made up: an overflow means that there is no variance, and no panic.
        let squares = self.squares.checked_mul(1 << 40)?;
        let squares = squares.checked_add(count.checked_mul(near.checked_mul(near)?)?)?;
        let around = squares.saturating_sub(near.checked_mul(self.sum)?.checked_mul(2)?);
        let rest = self.sum.checked_sub(near.checked_mul(count)?)?;
        let beside = rest.checked_mul(rest)?.checked_div(count)?;
        Some(around.saturating_sub(beside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_a_loop_in_f64() {
        let values: Vec<f32> = (0..10_000_u16).map(|n| f32::from(n % 97) / 96.0).collect();
        let mut moments = Confidences::default();
        values.iter().for_each(|value| moments.add(*value));
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 10_000.0;
        let around = |v: &f32| (f64::from(*v) - mean).powi(2);
        let variance = values.iter().map(around).sum::<f64>() / 9_999.0;
        assert!((moments.mean() - mean).abs() < 1e-12);
        assert!((moments.variance() - variance).abs() < 1e-12);
        assert_eq!((moments.min, moments.max), (0.0, 1.0));
    }

    #[test]
    fn equal_confidences_have_no_variance() {
        let mut moments = Confidences::default();
        assert!(moments.mean().is_nan() && moments.variance().is_nan());
        (0..1_000).for_each(|_| moments.add(0.7));
        assert_eq!(moments.variance().to_bits(), 0.0_f64.to_bits());
        moments.add(-0.0);
        assert!(moments.min.is_sign_positive());
    }
}
