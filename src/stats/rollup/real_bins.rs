//! Quantiles of numbers with a sign, from counts that can be added up and taken away.

use super::reals::Sign;
use super::sketch::nearest_rank;

type Result<T> = std::result::Result<T, String>;

/// How many numbers lie in each bin: a [`Sketch`](super::sketch::Sketch) of numbers with a sign,
/// and one that can be subtracted from.
///
/// The bins of numbers above zero are powers of two from 2^-256 to 2^256, each divided evenly into
/// 64. They are the exponent of an `f64` and the first bits behind it, so no logarithm is rounded.
/// Smaller numbers count as 0, larger ones as the largest bin. Numbers below zero mirror them.
#[derive(Clone, Default)]
pub(crate) struct RealBins {
    /// Invariant E1: sorted by bin. Counts wrap, and may be zero.
    bins: Vec<(u16, u64)>,
}

const BITS: u32 = 6;
/// The bin of 0.
pub(super) const ZERO: u16 = 1 << 15;
/// The exponent of the least number that is told from 0, and of the first that is too large.
const EXPONENTS: std::ops::Range<i32> = -256..256;
/// Of the bins above zero.
const LAST: u16 = u16::MAX - ZERO - 1;

pub(super) fn bin_of(number: f64) -> u16 {
    let bits = number.abs().to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1_023;
    if exponent < EXPONENTS.start {
        return ZERO;
    }
    let within = (bits >> (52 - BITS)) & ((1 << BITS) - 1);
    let power = u64::from((exponent - EXPONENTS.start).unsigned_abs());
    let above = u16::try_from((power << BITS) + within).map_or(LAST, |above| above.min(LAST));
    match number > 0.0 {
        true => ZERO + 1 + above,
        false => ZERO - 1 - above,
    }
}

/// The middle of a bin: from every number in it by less than
/// [`ERROR`](super::sketch::ERROR), if it is within the exponents.
pub(super) fn middle_of(bin: u16) -> f64 {
    let (above, sign) = match bin.checked_sub(ZERO) {
        Some(0) => return 0.0,
        Some(above) => (above - 1, 1.0),
        None => (ZERO - 1 - bin, -1.0),
    };
    let exponent = EXPONENTS.start + i32::from(above >> BITS);
    let within = f64::from(above & ((1 << BITS) - 1)) + 0.5;
    sign * 2_f64.powi(exponent) * (1.0 + within / f64::from(1_u16 << BITS))
}

impl RealBins {
    pub(in crate::stats) fn change(&mut self, number: f64, sign: Sign) {
        let by = match sign {
            Sign::Plus => 1,
            Sign::Minus => u64::MAX,
        };
        self.add_to(bin_of(number), by);
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

    pub(super) fn merge(&mut self, other: &RealBins) {
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
            return Err(format!("{count} numbers in bin {bin}"));
        }
        self.bins.push((bin, count));
        Ok(())
    }

    /// The bins in order, with their counts.
    pub(in crate::stats) fn counted(&self) -> impl Iterator<Item = (u16, u64)> + Clone + '_ {
        self.bins.iter().copied().filter(|(_, count)| *count != 0)
    }

    /// The number that at least the share `q` of all does not exceed; `None` if there are none or
    /// `q` is not from 0 to 1.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        nearest_rank(&self.bins, q).map(middle_of)
    }

    /// The same of the sizes of numbers.
    pub(crate) fn quantile_of_sizes(&self, q: f64) -> Option<f64> {
        let mut sizes = RealBins::default();
        for (bin, count) in self.counted() {
            // The one above zero that mirrors it. The bin 0 mirrors none, and no number has it.
            let mirrored = ZERO.saturating_add(ZERO.abs_diff(bin));
            sizes.add_to(mirrored, count);
        }
        sizes.quantile(q)
    }
}

/// In short form, as a sketch.
impl std::fmt::Debug for RealBins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RealBins({} bins)", self.counted().count())
    }
}

impl PartialEq for RealBins {
    fn eq(&self, other: &Self) -> bool {
        self.counted().eq(other.counted())
    }
}
