//! Quantiles of times, to within a stated relative error, from counts that can be added up.
//!
//! A DDSketch of integers (Masson, Rim, Lee: *DDSketch: a fast and fully-mergeable quantile sketch
//! with relative-error guarantees*, VLDB 2019). Its bins are powers of two divided evenly into 64,
//! the linear interpolation of the logarithm that its authors propose for speed. Bins are found
//! with shifts alone, so they are the same on every machine. No bin is ever merged with another: a
//! sketch depends only on its values.

/// The greatest relative error of a quantile.
pub(crate) const ERROR: f64 = 1.0 / 128.0;

const BITS: u32 = 6;
/// Lower values have a bin each.
const EXACT: u64 = 1 << (BITS + 1);
/// Bins that there are.
const BINS: u16 = 128 + 57 * 64;

/// How many values lie in each bin; bins without one are left out.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Sketch {
    /// Invariant S1: sorted by bin, and no count is zero.
    bins: Vec<(u16, u64)>,
}

/// In short form: hundreds of bins are of no use to people.
impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch({} bins)", self.bins.len())
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "fewer than 4,096 bins")]
fn bin_of(value: u64) -> u16 {
    if value < EXACT {
        return value as u16;
    }
    let exponent = value.ilog2();
    // The bits below the highest one: a linear division of the power of two.
    let within = (value >> (exponent - BITS)) & ((1 << BITS) - 1);
    (EXACT + (u64::from(exponent - BITS - 1) << BITS) + within) as u16
}

/// The middle of a bin: from every value in it by less than the error.
fn middle_of(bin: u16) -> f64 {
    let bin = u64::from(bin);
    let Some(above) = bin.checked_sub(EXACT) else {
        return bin as f64;
    };
    let shift = (above >> BITS) + 1;
    let low = ((1 << BITS) + (above & ((1 << BITS) - 1))) << shift;
    let last = low + ((1 << shift) - 1);
    (low as f64 + last as f64) / 2.0
}

/// The bin of the value that at least the share `q` of all values does not exceed.
pub(super) fn nearest_rank(bins: &[(u16, u64)], q: f64) -> Option<u16> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let counts = bins.iter().map(|bin| bin.1);
    let all = counts.fold(0, u64::saturating_add);
    let rank = (q * all as f64).ceil().max(1.0);
    let mut seen = 0_u64;
    let holds = |bin: &&(u16, u64)| {
        seen = seen.saturating_add(bin.1);
        seen as f64 >= rank
    };
    let last = bins.iter().rev().find(|bin| bin.1 > 0);
    let found = bins.iter().find(holds).or(last);
    found.map(|bin| bin.0)
}

impl Sketch {
    #[inline]
    pub(crate) fn add(&mut self, value: u64) {
        self.add_to(bin_of(value), 1);
    }

    #[inline]
    fn add_to(&mut self, bin: u16, count: u64) {
        // Where bins are taken one and all, as in the middle of most sketches, a bin's place is its
        // distance from the first.
        let first = self.bins.first().map_or(bin, |first| first.0);
        let guess = usize::from(bin.wrapping_sub(first));
        if let Some(known) = self.bins.get_mut(guess)
            && known.0 == bin
        {
            known.1 = known.1.saturating_add(count);
            return;
        }
        match self.bins.binary_search_by_key(&bin, |known| known.0) {
            Ok(index) => {
                let known = &mut self.bins[index].1;
                *known = known.saturating_add(count);
            }
            Err(index) => self.bins.insert(index, (bin, count)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Sketch) {
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        for (bin, count) in &other.bins {
            self.add_to(*bin, *count);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The value that at least the share `q` of all values does not exceed (the nearest rank),
    /// within the error. `None` if there are no values or `q` is not from 0 to 1.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        nearest_rank(&self.bins, q).map(middle_of)
    }

    /// The bins in order, with their counts.
    pub(in crate::stats) fn bins(&self) -> &[(u16, u64)] {
        &self.bins
    }

    /// Adds a bin that comes after those that are there.
    pub(in crate::stats) fn push(&mut self, bin: u16, count: u64) -> Result<(), String> {
        let after = self.bins.last().is_none_or(|last| last.0 < bin);
        if bin >= BINS || count == 0 || !after {
            return Err(format!("{count} values in bin {bin}"));
        }
        self.bins.push((bin, count));
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.bins.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_are_in_the_order_of_values() {
        let mut values: Vec<u64> = (0..64).flat_map(|n| [1 << n, (1 << n) - 1]).collect();
        values.extend([u64::MAX, 127, 128, 129, 255, 256, 257, 258]);
        values.sort_unstable();
        for pair in values.windows(2) {
            assert!(bin_of(pair[0]) <= bin_of(pair[1]), "{pair:?}");
        }
        assert!(bin_of(u64::MAX) < BINS);
    }

    /// The place in a sorted list of what at least the share `q` does not exceed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a short list"
    )]
    fn rank(q: f64, count: usize) -> usize {
        ((q * count as f64).ceil() as usize).max(1) - 1
    }

    proptest! {
        #[test]
        fn the_middle_of_a_bin_is_near_all_its_values(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let (middle, exact) = (middle_of(bin_of(value)), value as f64);
            prop_assert!((middle - exact).abs() <= exact * ERROR, "{value}: {middle}");
        }

        #[test]
        fn quantiles_are_those_of_sorted_values(
            mut values in prop::collection::vec((any::<u64>(), 0_u32..64), 1..200),
            split in 0_usize..200,
            q in 0.0..=1.0_f64,
        ) {
            let mut parts = [Sketch::default(), Sketch::default()];
            for (index, (value, shift)) in values.iter().enumerate() {
                parts[usize::from(index < split)].add(value >> shift);
            }
            let [mut merged, other] = parts;
            merged.merge(&other);
            values.sort_unstable_by_key(|(value, shift)| value >> shift);
            let (value, shift) = values[rank(q, values.len())];
            let exact = (value >> shift) as f64;
            let found = merged.quantile(q).unwrap();
            prop_assert!((found - exact).abs() <= exact * ERROR, "{found} for {exact}");
        }
    }

    #[test]
    fn no_values_have_no_quantiles() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        let mut sketch = Sketch::default();
        sketch.add(0);
        assert_eq!(sketch.quantile(0.5), Some(0.0));
        assert_eq!(sketch.quantile(f64::NAN), None);
        assert_eq!(sketch.quantile(1.1), None);
    }
}
