//! Errors of predictions, added up so that a replaced actual can be subtracted.

use super::bytes::{ByteReader, put};
use super::exact_sum::ExactSum;
use super::real_bins::RealBins;
use super::reals::{Reals, Sign, change};

type Result<T> = std::result::Result<T, String>;

/// Errors (prediction less actual) of one prediction.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ErrorSums {
    /// Those that are finite numbers.
    pub(crate) errors: Reals,
    /// The sum of their sizes.
    pub(crate) sizes: ExactSum,
    /// Pairs of which the prediction, the actual or the error is no finite number. Wraps.
    pub(crate) invalid: u64,
    pub(crate) bins: RealBins,
}

impl ErrorSums {
    pub(crate) fn change(&mut self, predicted: f64, actual: f64, sign: Sign) {
        // Rounded once, so it is the same number when it is taken away.
        let error = predicted - actual;
        if !error.is_finite() {
            return change(&mut self.invalid, sign);
        }
        self.errors.change(error, sign);
        match sign {
            Sign::Plus => self.sizes.add(error.abs()),
            Sign::Minus => self.sizes.subtract(error.abs()),
        }
        self.bins.change(error, sign);
    }

    pub(crate) fn merge(&mut self, other: &ErrorSums) {
        self.errors.merge(&other.errors);
        self.sizes.merge(&other.sizes);
        self.invalid = self.invalid.wrapping_add(other.invalid);
        self.bins.merge(&other.bins);
    }

    pub(super) fn is_zero(&self) -> bool {
        self.invalid == 0
            && self.errors.is_zero()
            && self.sizes.is_zero()
            && self.bins.counted().next().is_none()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.errors.encode(out);
        self.sizes.encode(out);
        put(self.invalid, out);
        let bins = self.bins.counted();
        put(bins.clone().count() as u64, out);
        let mut before = 0;
        for (bin, count) in bins {
            // Bins ascend by E1, so no distance is negative.
            put(u64::from(bin - before), out);
            put(count, out);
            before = bin;
        }
    }

    pub(super) fn decode(bytes: &mut ByteReader<'_>) -> Result<Self> {
        let mut sums = ErrorSums {
            errors: Reals::decode(bytes)?,
            sizes: ExactSum::decode(bytes)?,
            invalid: bytes.number()?,
            bins: RealBins::default(),
        };
        let mut bin = 0_u16;
        for _bin in 0..bytes.count()? {
            let more: u16 = bytes.small()?;
            // Checked here: a sum that wrapped would pass for a lower bin.
            bin = bin.checked_add(more).ok_or("a bin too many")?;
            sums.bins.push(bin, bytes.number()?)?;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::real_bins::{ZERO, bin_of, middle_of};
    use super::super::sketch::ERROR;
    use super::*;

    fn errors() -> impl Strategy<Value = f64> {
        prop_oneof![
            -10.0..10.0_f64,
            -1e60..1e60_f64,
            -1e-60..1e-60_f64,
            Just(0.0),
            Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn the_middle_of_a_bin_is_near_all_its_errors(error in errors()) {
            let middle = middle_of(bin_of(error));
            prop_assert!((middle - error).abs() <= error.abs() * ERROR, "{}: {}", error, middle);
            prop_assert_eq!(bin_of(middle), bin_of(error));
        }

        #[test]
        fn quantiles_are_those_of_sorted_errors(
            mut errors in prop::collection::vec(errors(), 1..100),
            q in 0.0..=1.0_f64,
        ) {
            let mut sums = ErrorSums::default();
            errors.iter().for_each(|error| sums.change(*error, 0.0, Sign::Plus));
            let near = |found: Option<f64>, exact: f64| {
                found.is_some_and(|found| (found - exact).abs() <= exact.abs() * ERROR)
            };
            let rank = (1..=errors.len()).find(|rank| *rank as f64 >= q * errors.len() as f64);
            let place = rank.map_or(0, |rank| rank - 1);
            errors.sort_by(f64::total_cmp);
            prop_assert!(near(sums.bins.quantile(q), errors[place]));
            errors.iter_mut().for_each(|error| *error = error.abs());
            errors.sort_by(f64::total_cmp);
            prop_assert!(near(sums.bins.quantile_of_sizes(q), errors[place]));
        }

        #[test]
        fn what_is_replaced_was_never_there(
            kept in prop::collection::vec((errors(), errors()), 0..20),
            replaced in prop::collection::vec((errors(), errors()), 0..20),
        ) {
            let sums = |pairs: &[(f64, f64)], sign| {
                let mut sums = ErrorSums::default();
                pairs.iter().for_each(|(one, other)| sums.change(*one, *other, sign));
                sums
            };
            let bytes = |sums: &ErrorSums| {
                let mut out = Vec::new();
                sums.encode(&mut out);
                out
            };
            let expected = sums(&kept, Sign::Plus);
            let mut found = sums(&replaced, Sign::Minus);
            found.merge(&expected);
            found.merge(&sums(&replaced, Sign::Plus));
            prop_assert_eq!(bytes(&found), bytes(&expected));
            let bytes = bytes(&found);
            let mut reader = ByteReader::new(&bytes);
            prop_assert_eq!(ErrorSums::decode(&mut reader), Ok(expected));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn extremes_lie_in_the_last_bins() {
        let bins = [f64::MIN, -1.0, -1e-300, 0.0, 1e-300, 1.0, f64::MAX].map(bin_of);
        assert!(bins.is_sorted(), "{bins:?}");
        assert_eq!(
            (bins[0], bins[2], bins[4], bins[6]),
            (1, ZERO, ZERO, u16::MAX)
        );
        assert_eq!(middle_of(bin_of(f64::MAX)), middle_of(u16::MAX));
        let mut sums = ErrorSums::default();
        for (predicted, actual) in [(f64::NAN, 0.0), (0.0, f64::INFINITY), (f64::MAX, f64::MIN)] {
            sums.change(predicted, actual, Sign::Plus);
        }
        assert_eq!((sums.invalid, sums.errors.count), (3, 0));
        assert_eq!(sums.bins.quantile(0.5), None);
    }
}
