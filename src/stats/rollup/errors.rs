//! Errors of predictions, added up so that a replaced actual can be subtracted.

use super::bytes::{ByteReader, put};
use super::exact_sum::ExactSum;
use super::outcomes::{Reals, Sign, change};
use super::sketch::nearest_rank;

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
    pub(crate) bins: ErrorBins,
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
            bins: ErrorBins::default(),
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

/// How many errors lie in each bin: a [`Sketch`](super::sketch::Sketch) of numbers with a sign, and
/// one that can be subtracted from.
///
/// The bins of errors above zero are powers of two from 2^-256 to 2^256, each divided evenly into
/// 64. They are the exponent of an `f64` and the first bits behind it, so no logarithm is rounded.
/// Smaller errors count as 0, larger ones as the largest bin. Errors below zero mirror them.
#[derive(Clone, Default)]
pub(crate) struct ErrorBins {
    /// Invariant E1: sorted by bin. Counts wrap, and may be zero.
    bins: Vec<(u16, u64)>,
}

const BITS: u32 = 6;
/// The bin of 0.
const ZERO: u16 = 1 << 15;
/// The exponent of the least error that is told from 0, and of the first that is too large.
const EXPONENTS: std::ops::Range<i32> = -256..256;
/// Of the bins above zero.
const LAST: u16 = u16::MAX - ZERO - 1;

fn bin_of(error: f64) -> u16 {
    let bits = error.abs().to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1_023;
    if exponent < EXPONENTS.start {
        return ZERO;
    }
    let within = (bits >> (52 - BITS)) & ((1 << BITS) - 1);
    let power = u64::from((exponent - EXPONENTS.start).unsigned_abs());
    let above = u16::try_from((power << BITS) + within).map_or(LAST, |above| above.min(LAST));
    match error > 0.0 {
        true => ZERO + 1 + above,
        false => ZERO - 1 - above,
    }
}

/// The middle of a bin: from every error in it by less than
/// [`ERROR`](super::sketch::ERROR), if it is within the exponents.
fn middle_of(bin: u16) -> f64 {
    let (above, sign) = match bin {
        ZERO => return 0.0,
        ZERO.. => (bin - ZERO - 1, 1.0),
        _ => (ZERO - 1 - bin, -1.0),
    };
    let exponent = EXPONENTS.start + i32::from(above >> BITS);
    let within = f64::from(above & ((1 << BITS) - 1)) + 0.5;
    sign * 2_f64.powi(exponent) * (1.0 + within / f64::from(1_u16 << BITS))
}

impl ErrorBins {
    fn change(&mut self, error: f64, sign: Sign) {
        let by = match sign {
            Sign::Plus => 1,
            Sign::Minus => u64::MAX,
        };
        self.add_to(bin_of(error), by);
    }

    fn add_to(&mut self, bin: u16, count: u64) {
        match self.bins.binary_search_by_key(&bin, |known| known.0) {
            Ok(place) => {
                let known = &mut self.bins[place].1;
                // The changes of a slice may pass below zero until they are merged.
                *known = known.wrapping_add(count);
            }
            Err(place) => self.bins.insert(place, (bin, count)),
        }
    }

    fn merge(&mut self, other: &ErrorBins) {
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        for (bin, count) in &other.bins {
            self.add_to(*bin, *count);
        }
    }

    /// Adds a bin that comes after those that are there.
    pub(in crate::stats) fn push(&mut self, bin: u16, count: u64) -> Result<()> {
        let after = self.bins.last().is_none_or(|last| last.0 < bin);
        if count == 0 || !after {
            return Err(format!("{count} errors in bin {bin}"));
        }
        self.bins.push((bin, count));
        Ok(())
    }

    /// The bins in order, with their counts.
    pub(in crate::stats) fn counted(&self) -> impl Iterator<Item = (u16, u64)> + Clone + '_ {
        self.bins.iter().copied().filter(|(_, count)| *count != 0)
    }

    /// The error that at least the share `q` of all does not exceed; `None` if there are none or
    /// `q` is not from 0 to 1.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        nearest_rank(&self.bins, q).map(middle_of)
    }

    /// The same of the sizes of errors.
    pub(crate) fn quantile_of_sizes(&self, q: f64) -> Option<f64> {
        let mut sizes = ErrorBins::default();
        for (bin, count) in self.counted() {
            // The one above zero that mirrors it. The bin 0 mirrors none, and no error has it.
            let mirrored = ZERO.saturating_add(ZERO.abs_diff(bin));
            sizes.add_to(mirrored, count);
        }
        sizes.quantile(q)
    }
}

/// In short form, as a sketch.
impl std::fmt::Debug for ErrorBins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ErrorBins({} bins)", self.counted().count())
    }
}

impl PartialEq for ErrorBins {
    fn eq(&self, other: &Self) -> bool {
        self.counted().eq(other.counted())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
