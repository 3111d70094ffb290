//! The outcome by which checkpoints are ranked live.

use serde::Serialize;

use super::outcomes::OutcomeStats;
use crate::entry::mode::Mode;

/// The outcome that ranks checkpoints; see
/// [`StatsQuery::best_live`](super::StatsQuery::best_live).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum LiveValue {
    /// The share of decisions that were correct.
    Correct,
    /// The mean reward.
    Reward,
    /// The mean of a named value, of which more (`Max`) or less (`Min`) is better.
    Named(String, Mode),
}

impl LiveValue {
    /// The named value `name`, of which more is better.
    ///
    /// ```
    /// use annals::Mode;
    /// use annals::stats::LiveValue;
    ///
    /// assert_eq!(LiveValue::named("profit"), LiveValue::Named("profit".to_owned(), Mode::Max));
    /// ```
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        LiveValue::Named(name.into(), Mode::Max)
    }

    /// Decisions that count, their mean, and the variance of one of them.
    pub(super) fn of(&self, outcomes: &OutcomeStats) -> (u64, f64, f64) {
        let values = match self {
            LiveValue::Correct => {
                let count = outcomes.correct.saturating_add(outcomes.wrong);
                let mean = outcomes.accuracy.unwrap_or(f64::NAN);
                let many = count as f64;
                return (count, mean, mean * (1.0 - mean) * many / (many - 1.0));
            }
            LiveValue::Reward => Some(&outcomes.reward),
            LiveValue::Named(name, _) => {
                let named = outcomes.values.iter().find(|named| *named.0 == **name);
                named.map(|named| &named.1)
            }
        };
        values.map_or((0, f64::NAN, f64::NAN), |known| {
            let (mean, variance) = (known.mean, known.variance);
            (
                known.count,
                mean.unwrap_or(f64::NAN),
                variance.unwrap_or(f64::NAN),
            )
        })
    }

    pub(super) fn mode(&self) -> Mode {
        match self {
            LiveValue::Correct | LiveValue::Reward => Mode::Max,
            LiveValue::Named(_, mode) => *mode,
        }
    }
}
