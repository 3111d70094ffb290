//! Figures that rollups have.

use annals::Stats;
use annals::stats::{Confidence, ProcessingTime};
use rusqlite::types::Value;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    Mean,
    Least,
    Greatest,
    Sum,
}

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Rows,
    Confidence,
    ProcessingTime,
}

/// A figure of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) function: Function,
    pub(super) of: Of,
}

impl Figure {
    /// Reads `avg(confidence)`; `None` for all that rollups do not have.
    pub(super) fn read(call: &str) -> Option<Figure> {
        let call = call.to_lowercase();
        let (function, argument) = call.strip_suffix(')')?.split_once('(')?;
        let of = match argument {
            "*" => Of::Rows,
            "confidence" => Of::Confidence,
            "processing_time_ms" => Of::ProcessingTime,
            _ => return None,
        };
        let function = match function {
            "count" => Function::Count,
            "avg" => Function::Mean,
            "min" => Function::Least,
            "max" => Function::Greatest,
            "sum" => Function::Sum,
            _ => return None,
        };
        let is_known = of != Of::Rows || function == Function::Count;
        is_known.then_some(Figure { function, of })
    }

    /// Whether statistics by action have it.
    pub(super) fn is_by_action(self) -> bool {
        self.of != Of::ProcessingTime
    }

    /// Its value; `None` if the rows would give another one.
    pub(super) fn of(self, stats: &Stats, with_repeats: bool) -> Option<Value> {
        if super::is_partial(stats) {
            return None;
        }
        // Means of statistics leave repeats out.
        if with_repeats && stats.repeats > 0 && self.of != Of::Rows {
            return None;
        }
        match self.of {
            Of::Rows if with_repeats => Some(whole(stats.count)),
            Of::Rows => Some(whole(stats.recorded)),
            // Invalid ones are rows with a number, and in no statistic.
            Of::Confidence if stats.invalid > 0 => None,
            Of::Confidence => Some(self.confidence(&stats.confidence)),
            Of::ProcessingTime => Some(self.processing_time(&stats.processing_time)),
        }
    }

    fn confidence(self, known: &Confidence) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "a sum of reals is a real")]
        let sum = known.sum_units as f64 / Confidence::UNITS;
        match self.function {
            Function::Count => whole(known.count),
            Function::Mean => real(known.mean),
            Function::Least => real(known.min.map(shortest)),
            Function::Greatest => real(known.max.map(shortest)),
            Function::Sum => real((known.count > 0).then_some(sum)),
        }
    }

    fn processing_time(self, known: &ProcessingTime) -> Value {
        let milliseconds =
            |time: Option<std::time::Duration>| real(time.map(|time| time.as_secs_f64() * 1e3));
        #[expect(clippy::cast_precision_loss, reason = "a sum of reals is a real")]
        let (sum, count) = (known.sum_nanos as f64 / 1e6, known.count as f64);
        match self.function {
            Function::Count => whole(known.count),
            Function::Mean => real((known.count > 0).then(|| sum / count)),
            Function::Least => milliseconds(known.min),
            Function::Greatest => milliseconds(known.max),
            Function::Sum => real((known.count > 0).then_some(sum)),
        }
    }
}

fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn real(number: Option<f64>) -> Value {
    number.map_or(Value::Null, Value::Real)
}

/// As the column of a table has it.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}
