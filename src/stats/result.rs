//! The answer of a statistic.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::outcomes::{Calibration, OutcomeStats, known, ratio};
use super::predictions::PredictionErrors;
use super::rollup::fixed::{Confidences, UNITS};
use super::rollup::outcomes::OutcomeSums;
use super::rollup::sketch::Sketch;
use super::rollup::sums::{ProcessingSums, Rollup};
use crate::engine::format::row::NameId;
use crate::entry::error::Result;
use crate::entry::timestamp::Timestamp;

/// Coverage of a statistic; part of [`Stats`](super::Stats).
///
/// Events that were [dropped](crate::entry::Gap) were never recorded, so their model is unknown:
/// they count here for every model. A gap counts whole if the minutes of its first and last event
/// touch the range.
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Coverage {
    /// The first microsecond that was asked for.
    pub first: Timestamp,
    /// The last one.
    pub last: Timestamp,
    /// Events that gaps in the range stand for, as far as they were counted.
    pub dropped: u64,
    /// Of these, entries that were recorded and cannot be read any more, of any kind: blocks that
    /// are damaged, and those that a [`repair`](crate::maintenance::repair) lost. They count in the
    /// hours that the index of event times has for their decisions.
    pub damaged: u64,
    /// Gaps in the range without a count, because a run died, or because the row that counts them
    /// cannot be read.
    pub uncounted: u64,
    /// Stretches of the rollups' tables that cannot be read. The entries were read instead, which
    /// takes longer and misses no decision that is there. Of decisions that are retired an unknown
    /// number may be missing. [`repair`](crate::maintenance::repair) makes the rollups anew.
    pub damaged_rollups: u64,
    /// Of all models' decisions in the range, the share that was recorded: `seen / (seen +
    /// dropped)`. `None` is unknown: a run died in the range, or rollups of retired decisions
    /// cannot be read.
    pub completeness: Option<f64>,
    /// Decisions of hours that the range cuts and whose entries are retired. Their rollups do not
    /// show on which side of the cut they lie, so none of them is counted. Of all groups with the
    /// same time together; by [periods](super::Periods), two that meet within such an hour both say
    /// it. 0 means that nothing of the range is missing.
    pub retired: u64,
    /// Inferences of the whole journal that have outcomes and are not there (yet). Theirs count as
    /// soon as they show up, which they have 30 days for.
    pub unmatched: u64,
    /// Everything that was committed before this sequence is counted.
    pub sequence: u64,
    /// The part that came from rollups: everything before this sequence.
    pub folded: u64,
    /// The greatest relative error of quantiles. All other numbers are exact.
    pub quantile_error: f64,
}

/// Sum of some decisions. Means, extremes and quantiles leave repeats out; counts show both.
///
/// Counts, extremes and sums are exact and do not depend on the order in which decisions were
/// recorded or read.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Whether the journal has ever seen the model that was asked for.
    pub known: bool,
    /// Decisions: recorded in full, or as repeats.
    pub count: u64,
    /// Decisions recorded in full.
    pub recorded: u64,
    /// Decisions recorded as a reference to the same answer shortly before.
    pub repeats: u64,
    /// Decisions whose question had just been answered differently, of
    /// [deterministic](crate::Inference::deterministic) models.
    pub divergences: u64,
    /// Decisions whose confidence was not a number from 0 to 1.
    pub invalid: u64,
    /// Decisions without a confidence.
    pub without_confidence: u64,
    /// The first event time, repeats included.
    pub first: Option<Timestamp>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// The confidences.
    pub confidence: Confidence,
    /// Decided actions, most frequent first.
    pub actions: Vec<ActionCount>,
    /// Time that the model took.
    pub processing_time: ProcessingTime,
    /// Memory of the process.
    pub memory: Memory,
    /// Outcomes of the decisions, repeats included.
    pub outcomes: OutcomeStats,
    /// Agreement of confidence and outcome.
    pub calibration: Calibration,
    /// Errors of the predictions whose actual is known, by name, sorted by it.
    pub predictions: Vec<(Arc<str>, PredictionErrors)>,
    /// Coverage of the numbers.
    pub coverage: Coverage,
}

/// The valid confidences of some decisions; part of [`Stats`].
#[derive(Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Confidence {
    /// How many there are.
    pub count: u64,
    /// Their mean; `None` if there are none.
    pub mean: Option<f64>,
    /// The least. −0.0 counts as 0.0.
    pub min: Option<f32>,
    /// The greatest.
    pub max: Option<f32>,
    /// The sample variance (of n − 1); `None` for fewer than two. To within 10⁻¹².
    pub variance: Option<f64>,
    /// The sum in units of 2⁻⁴⁰, to which each confidence is rounded (ties to even): an `f32` of
    /// 2⁻¹⁷ or more loses nothing.
    pub sum_units: u128,
    /// The sum of the squares in the same units, each rounded.
    pub squares_units: u128,
}

/// Number of decisions for an action; part of [`Stats`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ActionCount {
    /// The action.
    pub action: Arc<str>,
    /// Decisions recorded in full.
    pub recorded: u64,
    /// Decisions recorded as repeats.
    pub repeats: u64,
}

/// Time that a model took; part of [`Stats`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProcessingTime {
    /// Decisions whose time is known.
    pub count: u64,
    /// Their sum, nanoseconds.
    pub sum_nanos: u128,
    /// Their mean, rounded down to nanoseconds.
    pub mean: Option<Duration>,
    /// The shortest.
    pub min: Option<Duration>,
    /// The longest.
    pub max: Option<Duration>,
    /// The median, within [`Coverage::quantile_error`].
    pub p50: Option<Duration>,
    /// 90 of 100 took no longer, within the same error.
    pub p90: Option<Duration>,
    /// 99 of 100 took no longer, within the same error.
    pub p99: Option<Duration>,
    sketch: Sketch,
}

/// Memory of the process that decided; part of [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Memory {
    /// Decisions for which it is known.
    pub count: u64,
    /// Mean in bytes (kept in KiB).
    pub mean: Option<f64>,
    /// The most, bytes.
    pub max: Option<u64>,
}

impl Stats {
    pub(super) fn new(
        rollup: &Rollup,
        coverage: Coverage,
        name: &mut impl FnMut(NameId) -> Result<Option<Arc<str>>>,
    ) -> Result<Self> {
        let mut actions = Vec::with_capacity(rollup.cells.len());
        for (action, cell) in &rollup.cells {
            actions.push(ActionCount {
                action: name(*action)?.unwrap_or_else(|| "".into()),
                recorded: cell.recorded,
                repeats: cell.repeats,
            });
        }
        let count = |action: &ActionCount| action.recorded.saturating_add(action.repeats);
        actions.sort_by(|one, other| {
            let often = count(other).cmp(&count(one));
            often.then_with(|| one.action.cmp(&other.action))
        });
        let all = rollup.whole();
        let has_times = rollup.first <= rollup.last;
        let memory = rollup.memory;
        let none = OutcomeSums::default();
        let outcomes = all.outcomes.as_deref().unwrap_or(&none);
        Ok(Stats {
            known: true,
            count: all.recorded.saturating_add(all.repeats),
            recorded: all.recorded,
            repeats: all.repeats,
            divergences: all.divergences,
            invalid: all.invalid,
            without_confidence: all.without_confidence,
            first: has_times.then_some(rollup.first),
            last: has_times.then_some(rollup.last),
            confidence: Confidence::new(&all.confidences),
            actions,
            processing_time: ProcessingTime::new(&all.processing, &rollup.processing),
            memory: Memory {
                count: memory.count,
                mean: ratio(memory.sum as f64 * 1_024.0, memory.count),
                max: (memory.count > 0).then_some(memory.max.saturating_mul(1_024)),
            },
            outcomes: OutcomeStats::new(outcomes, name)?,
            calibration: Calibration::new(outcomes),
            predictions: PredictionErrors::of_each(outcomes, name)?,
            coverage,
        })
    }

    /// Whether nothing was decided.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let stats = journal.stats("dqn_agnet").get()?;
    /// assert!(stats.is_empty());
    /// assert!(!stats.known); // the name is misspelt
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The errors of the prediction with this name; `None` if no actual of it is known.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// for (price, actual) in [(101.0, 100.0), (97.0, 100.0)] {
    ///     let forecast = Inference::new("forecast", "ETH/USDT", "up").prediction("price", price);
    ///     let id = journal.log(forecast).unwrap();
    ///     journal.attach_outcome(id, Outcome::new().actual(actual));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let stats = journal.stats("forecast").get()?;
    /// let errors = stats.prediction("price").expect("actuals are known");
    /// assert_eq!((errors.count, errors.bias, errors.mae), (2, Some(-1.0), Some(2.0)));
    /// assert_eq!(errors.rmse, Some(5.0_f64.sqrt()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn prediction(&self, name: &str) -> Option<&PredictionErrors> {
        let found = self.predictions.iter().find(|known| &*known.0 == name);
        found.map(|known| &known.1)
    }
}

/// Without the sums in units, which are for code.
impl fmt::Debug for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confidence")
            .field("count", &self.count)
            .field("mean", &self.mean)
            .field("min", &self.min)
            .field("max", &self.max)
            .field("variance", &self.variance)
            .finish_non_exhaustive()
    }
}

impl Confidence {
    pub(super) fn new(sums: &Confidences) -> Self {
        let if_any = |value: f32| (sums.count > 0).then_some(value);
        Confidence {
            count: sums.count,
            mean: known(sums.mean()),
            min: if_any(sums.min),
            max: if_any(sums.max),
            variance: known(sums.variance()),
            sum_units: sums.sum,
            squares_units: sums.squares,
        }
    }

    /// The sample standard deviation; `None` for fewer than two.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// for (action, confidence) in [("BUY", 0.5), ("SELL", 1.0)] {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", action).confidence(confidence));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let deviation = journal.stats("dqn_agent").get()?.confidence.deviation();
    /// assert!((deviation.expect("there are two") - 0.3536).abs() < 1e-4);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        self.variance.map(f64::sqrt)
    }

    /// How many of [`sum_units`](Self::sum_units) are 1: 2⁴⁰.
    pub const UNITS: f64 = UNITS;
}

impl ProcessingTime {
    /// The bins that quantiles are read from, with their counts.
    pub(crate) fn bins(&self) -> &[(u16, u64)] {
        self.sketch.bins()
    }

    /// Unknown times with these bins, which are refused if no sketch has them.
    pub(crate) fn with_bins(bins: &[(u16, u64)]) -> std::result::Result<Self, String> {
        let mut read = ProcessingTime::default();
        for (bin, count) in bins {
            read.sketch.push(*bin, *count)?;
        }
        Ok(read)
    }

    fn new(times: &ProcessingSums, sketch: &Sketch) -> Self {
        let known = |nanos: u64| (times.count > 0).then_some(Duration::from_nanos(nanos));
        let mean = times.sum.checked_div(times.count.into());
        let mut found = ProcessingTime {
            count: times.count,
            sum_nanos: times.sum,
            mean: known(mean.and_then(|mean| u64::try_from(mean).ok()).unwrap_or(0)),
            min: known(times.min),
            max: known(times.max),
            p50: None,
            p90: None,
            p99: None,
            sketch: sketch.clone(),
        };
        found.p50 = found.quantile(0.5);
        found.p90 = found.quantile(0.9);
        found.p99 = found.quantile(0.99);
        found
    }

    /// The time that the share `q` of the decisions did not exceed, within
    /// [`Coverage::quantile_error`] of it. `None` if no time is known, in a row of
    /// [`Group::Action`](super::Group::Action), and if `q` is not from 0 to 1.
    ///
    /// # Source
    /// Masson, Rim, Lee, *DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    /// guarantees*, VLDB 2019.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// for micros in 1..=100 {
    ///     let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    ///     journal.log(decision.processing_time(Duration::from_micros(micros)));
    /// }
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let times = journal.stats("dqn_agent").get()?.processing_time;
    /// let p95 = times.quantile(0.95).expect("times are known").as_micros();
    /// assert!((94..=96).contains(&p95), "{p95}");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let nanos = self.sketch.quantile(q)?;
        Some(Duration::from_secs_f64(nanos / 1e9))
    }
}
