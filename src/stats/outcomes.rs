//! Outcomes in sum: accuracy, rewards, and how well confidence is calibrated.

use std::sync::Arc;

use serde::Serialize;

use super::rollup::fixed::UNITS;
use super::rollup::outcomes::{BINS, OutcomeSums};
use super::rollup::reals::Reals;
use crate::engine::format::row::NameId;
use crate::entry::error::Result;

/// Outcomes of some decisions; part of [`Stats`](super::Stats).
///
/// An outcome counts at its decision's time and for its decision's names, whenever it was attached.
/// One that was replaced does not count at all; one for a repeat counts for the repeat.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OutcomeStats {
    /// Decisions for which anything turned out.
    pub attached: u64,
    /// Decisions that turned out right.
    pub correct: u64,
    /// Decisions that turned out wrong.
    pub wrong: u64,
    /// The share of the right ones in those two; `None` if there are none.
    pub accuracy: Option<f64>,
    /// The rewards.
    pub reward: Values,
    /// Rewards above zero.
    pub wins: u64,
    /// The share of these; `None` without rewards.
    pub win_rate: Option<f64>,
    /// Values by name, sorted by it.
    pub values: Vec<(Arc<str>, Values)>,
    /// Rewards and named values that are NaN or infinite. They count nowhere else.
    pub invalid: u64,
}

/// Some finite numbers; part of [`OutcomeStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Values {
    /// How many there are.
    pub count: u64,
    /// Their sum, without an error but that of its last rounding to an `f64`.
    pub sum: f64,
    /// Their mean; `None` if there are none.
    pub mean: Option<f64>,
    /// The sample variance (of n − 1); `None` for fewer than two. From sums without an error of the
    /// values and of their squares, each of which is rounded to an `f64`.
    pub variance: Option<f64>,
}

/// Agreement of confidence and outcome: of decisions with a valid confidence that turned out right
/// or wrong. Part of [`Stats`](super::Stats).
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Such decisions.
    pub count: u64,
    /// The mean of (confidence − 1)² of the right ones and of confidence² of the wrong ones: 0 is
    /// perfect. `None` if there are none. From Brier, *Verification of forecasts expressed in terms
    /// of probability* (1950), for the one answer that was given.
    pub brier: Option<f64>,
    /// The expected calibration error: the mean distance of confidence and accuracy over the bins,
    /// weighted by their decisions; `None` if there are none. From Guo, Pleiss, Sun, Weinberger,
    /// *On calibration of modern neural networks* (2017).
    pub expected_error: Option<f64>,
    /// The reliability table: ten bins of equal width, in order.
    pub bins: Vec<Reliability>,
}

/// Decisions of about the same confidence; part of [`Calibration`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Reliability {
    /// Confidences in it are greater than this (or 0)…
    pub above: f64,
    /// … and at most this.
    pub up_to: f64,
    /// Decisions in it.
    pub count: u64,
    /// Those that turned out right.
    pub correct: u64,
    /// The mean of the confidences; `None` if there are none.
    pub confidence: Option<f64>,
    /// The share of the right ones; `None` if there are none.
    pub accuracy: Option<f64>,
}

/// A figure, unless nothing is known of it.
pub(super) fn known(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// The share of each of so many in a sum; nothing if there are none.
pub(super) fn ratio(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    ratio(part as f64, whole)
}

impl OutcomeStats {
    pub(super) fn new(
        sums: &OutcomeSums,
        name: &mut impl FnMut(NameId) -> Result<Option<Arc<str>>>,
    ) -> Result<Self> {
        let mut values = Vec::new();
        for (id, reals) in sums.named.iter().filter(|(_, reals)| reals.count > 0) {
            values.push((name(*id)?.unwrap_or_else(|| "".into()), Values::new(reals)));
        }
        values.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(OutcomeStats {
            attached: sums.attached,
            correct: sums.correct,
            wrong: sums.wrong,
            accuracy: share(sums.correct, sums.correct.saturating_add(sums.wrong)),
            reward: Values::new(&sums.rewards),
            wins: sums.wins,
            win_rate: share(sums.wins, sums.rewards.count),
            values,
            invalid: sums.invalid,
        })
    }
}

impl Values {
    pub(super) fn new(reals: &Reals) -> Self {
        let count = reals.count as f64;
        let sum = reals.sum.to_f64();
        let mean = sum / count;
        let around = reals.squares.to_f64() - sum * mean;
        Values {
            count: reals.count,
            sum,
            mean: ratio(sum, reals.count),
            variance: (reals.count > 1).then(|| (around / (count - 1.0)).max(0.0)),
        }
    }
}

impl Calibration {
    pub(super) fn new(sums: &OutcomeSums) -> Self {
        let mut bins = Vec::with_capacity(BINS);
        let mut apart = 0.0;
        for (place, bin) in sums.bins.iter().enumerate() {
            let confidence = ratio(bin.confidence as f64 / UNITS, bin.count);
            let accuracy = share(bin.correct, bin.count);
            if let (Some(confidence), Some(accuracy)) = (confidence, accuracy) {
                let weight = bin.count as f64 / sums.scored as f64;
                apart += (confidence - accuracy).abs() * weight;
            }
            bins.push(Reliability {
                above: place as f64 / BINS as f64,
                up_to: (place + 1) as f64 / BINS as f64,
                count: bin.count,
                correct: bin.correct,
                confidence,
                accuracy,
            });
        }
        Calibration {
            count: sums.scored,
            brier: ratio(sums.brier as f64 / UNITS, sums.scored),
            expected_error: (sums.scored > 0).then_some(apart),
            bins,
        }
    }
}
