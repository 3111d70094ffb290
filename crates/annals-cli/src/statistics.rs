//! Statistics as JSON, and how far they can be trusted.

use annals::{Stats, Values};
use serde_json::{Value as Json, json};

use crate::entries;
use crate::output::{Out, style};
use crate::units;

/// How far the numbers can be trusted.
pub fn footnote(stats: &Stats, out: &Out) -> String {
    let coverage = &stats.coverage;
    let complete = match coverage.completeness {
        Some(share) if share >= 1.0 => out.paint(style::GOOD, "complete"),
        Some(share) => {
            let dropped = units::count(coverage.dropped);
            let damaged = match coverage.damaged {
                0 => String::new(),
                n => format!(", {} of them damaged", units::count(n)),
            };
            out.paint(
                style::WARN,
                format!(
                    "{:.4} % complete: {dropped} dropped{damaged}",
                    share * 100.0
                ),
            )
        }
        None => out.paint(
            style::WARN,
            "a run died in this time: what it logged last is unknown",
        ),
    };
    let range = match (stats.first, stats.last) {
        (Some(first), Some(last)) => {
            format!("{} to {}", units::second(first), units::second(last))
        }
        _ => "no times".to_owned(),
    };
    format!("{range}; {complete}")
}

/// A statistic as JSON.
pub fn as_json(stats: &Stats) -> Json {
    let nanos = |time: Option<std::time::Duration>| {
        time.and_then(|time| u64::try_from(time.as_nanos()).ok())
    };
    let confidence = &stats.confidence;
    let processing = &stats.processing_time;
    let outcomes = &stats.outcomes;
    let number = |value: f64| {
        if confidence.count == 0 {
            Json::Null
        } else {
            entries::figure(value)
        }
    };
    json!({
        "count": stats.count,
        "recorded": stats.recorded,
        "repeats": stats.repeats,
        "divergences": stats.divergences,
        "invalid": stats.invalid,
        "without_confidence": stats.without_confidence,
        "first": stats.first.map(|time| time.to_string()),
        "last": stats.last.map(|time| time.to_string()),
        "confidence": {
            "count": confidence.count,
            "mean": number(confidence.mean),
            "min": number(f64::from(confidence.min)),
            "max": number(f64::from(confidence.max)),
            "deviation": number(confidence.deviation()),
        },
        "actions": stats.actions.iter().map(|action| json!({
            "action": &*action.action,
            "recorded": action.recorded,
            "repeats": action.repeats,
        })).collect::<Vec<_>>(),
        "processing_ns": {
            "count": processing.count,
            "mean": nanos(processing.mean),
            "min": nanos(processing.min),
            "max": nanos(processing.max),
            "p50": nanos(processing.p50),
            "p90": nanos(processing.p90),
            "p99": nanos(processing.p99),
        },
        "memory_bytes": {
            "count": stats.memory.count,
            "mean": (stats.memory.count > 0).then_some(stats.memory.mean),
            "max": stats.memory.max,
        },
        "outcomes": {
            "attached": outcomes.attached,
            "correct": outcomes.correct,
            "wrong": outcomes.wrong,
            "reward": reals(&outcomes.reward),
            "wins": outcomes.wins,
            "values": outcomes.values.iter().map(|(name, known)| (name.to_string(), reals(known)))
                .collect::<serde_json::Map<_, _>>(),
            "invalid": outcomes.invalid,
        },
        "completeness": stats.coverage.completeness,
        "dropped": stats.coverage.dropped,
        "damaged": stats.coverage.damaged,
    })
}

fn reals(known: &Values) -> Json {
    let some = |value: f64| (known.count > 0).then(|| entries::figure(value));
    json!({"count": known.count, "sum": some(known.sum), "mean": some(known.mean)})
}
