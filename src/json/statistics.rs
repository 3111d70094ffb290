//! Statistics as JSON objects, both ways. A figure that is not known is null.

use std::sync::Arc;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::fields::{InOrder, Real};
use crate::entry::timestamp::{Timestamp, nanos};
use crate::stats::{
    ActionCount, Calibration, Confidence, Coverage, Memory, OutcomeStats, PredictionErrors,
    ProcessingTime, Stats, Values,
};

/// A whole number of 128 bits, as text: readers of JSON have 53 bits or 64.
struct Whole(u128);

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Whole).map_err(D::Error::custom)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct ConfidenceFields {
    count: u64,
    mean: Option<f64>,
    min: Option<Real<f32>>,
    max: Option<Real<f32>>,
    #[serde(skip_deserializing)]
    deviation: Option<f64>,
    variance: Option<f64>,
    sum_units: Whole,
    squares_units: Whole,
}

fn write_confidence(known: &Confidence) -> ConfidenceFields {
    ConfidenceFields {
        count: known.count,
        mean: known.mean,
        min: known.min.map(Real),
        max: known.max.map(Real),
        deviation: known.deviation(),
        variance: known.variance,
        sum_units: Whole(known.sum_units),
        squares_units: Whole(known.squares_units),
    }
}

fn read_confidence<E>(fields: ConfidenceFields) -> Result<Confidence, E> {
    Ok(Confidence {
        count: fields.count,
        mean: fields.mean,
        min: fields.min.map(|Real(min)| min),
        max: fields.max.map(|Real(max)| max),
        variance: fields.variance,
        sum_units: fields.sum_units.0,
        squares_units: fields.squares_units.0,
    })
}

/// Times in nanoseconds. The bins of the sketch, with their counts, are what quantiles are read
/// from.
#[derive(serde::Serialize, serde::Deserialize)]
struct ProcessingFields {
    count: u64,
    mean: Option<u64>,
    min: Option<u64>,
    max: Option<u64>,
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
    sum: Whole,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bins: Vec<(u16, u64)>,
}

fn write_processing(known: &ProcessingTime) -> ProcessingFields {
    ProcessingFields {
        count: known.count,
        mean: known.mean.map(nanos),
        min: known.min.map(nanos),
        max: known.max.map(nanos),
        p50: known.p50.map(nanos),
        p90: known.p90.map(nanos),
        p99: known.p99.map(nanos),
        sum: Whole(known.sum_nanos),
        bins: known.bins().to_vec(),
    }
}

fn read_processing<E: Error>(fields: ProcessingFields) -> Result<ProcessingTime, E> {
    let mut read = ProcessingTime::with_bins(&fields.bins).map_err(E::custom)?;
    let time = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
    read.count = fields.count;
    read.sum_nanos = fields.sum.0;
    read.mean = time(fields.mean);
    read.min = time(fields.min);
    read.max = time(fields.max);
    read.p50 = time(fields.p50);
    read.p90 = time(fields.p90);
    read.p99 = time(fields.p99);
    Ok(read)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct ValuesFields {
    count: u64,
    sum: Option<f64>,
    mean: Option<f64>,
    variance: Option<f64>,
}

fn write_values(known: &Values) -> ValuesFields {
    ValuesFields {
        count: known.count,
        sum: (known.count > 0 && known.sum.is_finite()).then_some(known.sum),
        mean: known.mean,
        variance: known.variance,
    }
}

fn read_values<E>(fields: ValuesFields) -> Result<Values, E> {
    Ok(Values {
        count: fields.count,
        // A sum that passed the greatest number has no number in JSON.
        sum: fields.sum.unwrap_or(match fields.count {
            0 => 0.0,
            _ => f64::NAN,
        }),
        mean: fields.mean,
        variance: fields.variance,
    })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct OutcomeFields {
    attached: u64,
    correct: u64,
    wrong: u64,
    accuracy: Option<f64>,
    reward: Values,
    wins: u64,
    win_rate: Option<f64>,
    values: InOrder<Arc<str>, Values>,
    invalid: u64,
}

fn write_outcomes(known: &OutcomeStats) -> OutcomeFields {
    OutcomeFields {
        attached: known.attached,
        correct: known.correct,
        wrong: known.wrong,
        accuracy: known.accuracy,
        reward: known.reward,
        wins: known.wins,
        win_rate: known.win_rate,
        values: InOrder(known.values.clone()),
        invalid: known.invalid,
    }
}

fn read_outcomes<E>(fields: OutcomeFields) -> Result<OutcomeStats, E> {
    let InOrder(values) = fields.values;
    Ok(OutcomeStats {
        attached: fields.attached,
        correct: fields.correct,
        wrong: fields.wrong,
        accuracy: fields.accuracy,
        reward: fields.reward,
        wins: fields.wins,
        win_rate: fields.win_rate,
        values,
        invalid: fields.invalid,
    })
}

/// The bins, with their counts, are what quantiles are read from.
#[derive(serde::Serialize, serde::Deserialize)]
struct PredictionFields {
    count: u64,
    bias: Option<f64>,
    mae: Option<f64>,
    rmse: Option<f64>,
    p5: Option<f64>,
    p50: Option<f64>,
    p95: Option<f64>,
    invalid: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bins: Vec<(u16, u64)>,
}

fn write_prediction(known: &PredictionErrors) -> PredictionFields {
    PredictionFields {
        count: known.count,
        bias: known.bias,
        mae: known.mae,
        rmse: known.rmse,
        p5: known.p5,
        p50: known.p50,
        p95: known.p95,
        invalid: known.invalid,
        bins: known.bins(),
    }
}

fn read_prediction<E: Error>(fields: PredictionFields) -> Result<PredictionErrors, E> {
    let mut read = PredictionErrors::with_bins(&fields.bins).map_err(E::custom)?;
    read.count = fields.count;
    read.bias = fields.bias;
    read.mae = fields.mae;
    read.rmse = fields.rmse;
    (read.p5, read.p50, read.p95) = (fields.p5, fields.p50, fields.p95);
    read.invalid = fields.invalid;
    Ok(read)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StatsFields {
    known: bool,
    count: u64,
    recorded: u64,
    repeats: u64,
    divergences: u64,
    invalid: u64,
    without_confidence: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    confidence: Confidence,
    actions: Vec<ActionCount>,
    processing_ns: ProcessingTime,
    memory_bytes: Memory,
    outcomes: OutcomeStats,
    calibration: Calibration,
    #[serde(default = "no_predictions")]
    predictions: InOrder<Arc<str>, PredictionErrors>,
    coverage: Coverage,
    // Of the coverage, for those who look at nothing else of it.
    #[serde(skip_deserializing)]
    completeness: Option<f64>,
    #[serde(skip_deserializing)]
    dropped: u64,
    #[serde(skip_deserializing)]
    damaged: u64,
}

fn no_predictions() -> InOrder<Arc<str>, PredictionErrors> {
    InOrder(Vec::new())
}

fn write_stats(stats: &Stats) -> StatsFields {
    StatsFields {
        known: stats.known,
        count: stats.count,
        recorded: stats.recorded,
        repeats: stats.repeats,
        divergences: stats.divergences,
        invalid: stats.invalid,
        without_confidence: stats.without_confidence,
        first: stats.first,
        last: stats.last,
        confidence: stats.confidence,
        actions: stats.actions.clone(),
        processing_ns: stats.processing_time.clone(),
        memory_bytes: stats.memory,
        outcomes: stats.outcomes.clone(),
        calibration: stats.calibration.clone(),
        predictions: InOrder(stats.predictions.clone()),
        coverage: stats.coverage.clone(),
        completeness: stats.coverage.completeness,
        dropped: stats.coverage.dropped,
        damaged: stats.coverage.damaged,
    }
}

fn read_stats<E>(fields: StatsFields) -> Result<Stats, E> {
    Ok(Stats {
        known: fields.known,
        count: fields.count,
        recorded: fields.recorded,
        repeats: fields.repeats,
        divergences: fields.divergences,
        invalid: fields.invalid,
        without_confidence: fields.without_confidence,
        first: fields.first,
        last: fields.last,
        confidence: fields.confidence,
        actions: fields.actions,
        processing_time: fields.processing_ns,
        memory: fields.memory_bytes,
        outcomes: fields.outcomes,
        calibration: fields.calibration,
        predictions: fields.predictions.0,
        coverage: fields.coverage,
    })
}

super::as_object! {
    Stats as StatsFields: write_stats, read_stats;
    Confidence as ConfidenceFields: write_confidence, read_confidence;
    ProcessingTime as ProcessingFields: write_processing, read_processing;
    Values as ValuesFields: write_values, read_values;
    OutcomeStats as OutcomeFields: write_outcomes, read_outcomes;
    PredictionErrors as PredictionFields: write_prediction, read_prediction;
}
