//! How far predictions were from what turned out.

use std::sync::Arc;

use super::outcomes::ratio;
use super::rollup::errors::ErrorSums;
use super::rollup::outcomes::OutcomeSums;
use super::rollup::real_bins::RealBins;
use crate::engine::format::row::NameId;
use crate::entry::error::Result;
use crate::entry::prediction;

/// The errors of one prediction: predicted less actual, of decisions for which both are known. Part
/// of [`Stats`](super::Stats).
///
/// Sums are exact, and an actual that was replaced does not count. Quantiles are within
/// [`Coverage::quantile_error`](super::Coverage::quantile_error), relative to the error. Errors
/// below 2^-256 count as 0 in them, and those from 2^256 on as 2^256.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PredictionErrors {
    /// How many there are.
    pub count: u64,
    /// Their mean: above zero, the model predicts too much. `None` if there are none.
    pub bias: Option<f64>,
    /// The mean of their sizes (MAE).
    pub mae: Option<f64>,
    /// The square root of the mean of their squares (RMSE).
    pub rmse: Option<f64>,
    /// 5 of 100 errors are at most this.
    pub p5: Option<f64>,
    /// Their median.
    pub p50: Option<f64>,
    /// 95 of 100 errors are at most this.
    pub p95: Option<f64>,
    /// Pairs of which the prediction, the actual or the error is NaN or infinite. They count
    /// nowhere else.
    pub invalid: u64,
    bins: RealBins,
}

impl PredictionErrors {
    /// The bins that quantiles are read from, with their counts.
    pub(crate) fn bins(&self) -> Vec<(u16, u64)> {
        self.bins.counted().collect()
    }

    /// Unknown errors with these bins, which are refused if no errors have them.
    pub(crate) fn with_bins(bins: &[(u16, u64)]) -> std::result::Result<Self, String> {
        let mut read = PredictionErrors::default();
        for (bin, count) in bins {
            read.bins.push(*bin, *count)?;
        }
        Ok(read)
    }

    fn new(sums: &ErrorSums) -> Self {
        let count = sums.errors.count;
        let mean = |sum: f64| ratio(sum, count).filter(|mean| mean.is_finite());
        PredictionErrors {
            count,
            bias: mean(sums.errors.sum.to_f64()),
            mae: mean(sums.sizes.to_f64()),
            rmse: mean(sums.errors.squares.to_f64()).map(f64::sqrt),
            p5: sums.bins.quantile(0.05),
            p50: sums.bins.quantile(0.5),
            p95: sums.bins.quantile(0.95),
            invalid: sums.invalid,
            bins: sums.bins.clone(),
        }
    }

    /// The errors of each prediction, sorted by name.
    pub(super) fn of_each(
        sums: &OutcomeSums,
        name: &mut impl FnMut(NameId) -> Result<Option<Arc<str>>>,
    ) -> Result<Vec<(Arc<str>, PredictionErrors)>> {
        let mut predictions = Vec::new();
        for (id, errors) in &sums.predictions {
            if errors.errors.count > 0 || errors.invalid > 0 {
                let stored = name(*id)?.unwrap_or_else(|| "".into());
                let name = prediction::prediction_of(&stored).into();
                predictions.push((name, PredictionErrors::new(errors)));
            }
        }
        predictions.sort_by(|one: &(Arc<str>, _), other| one.0.cmp(&other.0));
        Ok(predictions)
    }

    /// The error that the share `q` of the errors did not exceed: below zero where too little was
    /// predicted. `None` if there are none, and if `q` is not from 0 to 1.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// for price in [99.0, 100.0, 104.0] {
    ///     let forecast = Inference::new("forecast", "ETH/USDT", "up").prediction("price", price);
    ///     let id = journal.log(forecast).unwrap();
    ///     journal.attach_outcome(id, Outcome::new().actual(100.0));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("forecast").get()?;
    /// let errors = stats.prediction("price").expect("there are three");
    /// assert!((errors.quantile(0.0).expect("of one") + 1.0).abs() < 0.01);
    /// assert!((errors.quantile(1.0).expect("of three") - 4.0).abs() < 0.04);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.bins.quantile(q)
    }

    /// The size that the share `q` of the errors did not exceed, whatever their sign.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// for price in [97.0, 101.0] {
    ///     let forecast = Inference::new("forecast", "ETH/USDT", "up").prediction("price", price);
    ///     let id = journal.log(forecast).unwrap();
    ///     journal.attach_outcome(id, Outcome::new().actual(100.0));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("forecast").get()?;
    /// let errors = stats.prediction("price").expect("there are two");
    /// assert!((errors.size_quantile(1.0).expect("of two") - 3.0).abs() < 0.03);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn size_quantile(&self, q: f64) -> Option<f64> {
        self.bins.quantile_of_sizes(q)
    }
}
