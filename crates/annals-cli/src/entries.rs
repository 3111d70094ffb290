//! Entries as JSON and as chosen columns: the same names everywhere.

use std::path::{Path, PathBuf};

use annals::entry::{EpisodeRecord, Gap, Latest, OutcomeEntry, RecordedOutcome, Repeat};
use annals::{Content, Entry, InferenceRecord, Outcomes, Value};
pub use annals_arrow::texts::{latest, named_values, other_times, outcome, real, values};
use clap::ValueEnum;
use serde_json::Value as Json;

use crate::output::Out;
use crate::table::escaped;
use crate::units;
use crate::zone::Zone;

/// A column of `tail` and `follow`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[allow(missing_docs, reason = "their names say it")]
pub enum EntryColumn {
    Time,
    Recorded,
    Id,
    Sequence,
    Model,
    Symbol,
    Action,
    Confidence,
    Latency,
    Checkpoint,
    Probabilities,
    Hash,
    Memory,
    Reward,
    Correct,
    Label,
    Attributes,
    Propensity,
    Vector,
    Cause,
    Correlation,
    Episode,
    Step,
    Predictions,
}

/// The heading of a column of [`Rows`](crate::table::Rows).
pub fn heading(column: EntryColumn) -> &'static str {
    match column {
        EntryColumn::Time => "time",
        EntryColumn::Recorded => "recorded",
        EntryColumn::Id => "id",
        EntryColumn::Sequence => ">sequence",
        EntryColumn::Model => "model",
        EntryColumn::Symbol => "symbol",
        EntryColumn::Action => "action",
        EntryColumn::Confidence => ">confidence",
        EntryColumn::Latency => ">latency",
        EntryColumn::Checkpoint => "checkpoint",
        EntryColumn::Probabilities => "probabilities",
        EntryColumn::Hash => "hash",
        EntryColumn::Memory => ">memory",
        EntryColumn::Reward => ">reward",
        EntryColumn::Correct => "correct",
        EntryColumn::Label => "label",
        EntryColumn::Attributes => "attributes",
        EntryColumn::Propensity => ">propensity",
        EntryColumn::Vector => "vector",
        EntryColumn::Cause => "cause",
        EntryColumn::Correlation => "correlation",
        EntryColumn::Episode => "episode",
        EntryColumn::Step => ">step",
        EntryColumn::Predictions => "predictions",
    }
}

/// Whether any of the columns is about outcomes.
pub fn ask_for_outcomes(columns: &[EntryColumn]) -> bool {
    let about = [
        EntryColumn::Reward,
        EntryColumn::Correct,
        EntryColumn::Label,
    ];
    columns.iter().any(|column| about.contains(column))
}

/// Content of a column.
pub fn cell(
    record: &InferenceRecord,
    outcomes: Option<&Outcomes>,
    column: EntryColumn,
    zone: &Zone,
) -> String {
    let dash = || "-".to_owned();
    match column {
        EntryColumn::Time => zone.millisecond(record.event_time),
        EntryColumn::Recorded => zone.millisecond(record.recorded_time),
        EntryColumn::Id => record.id.to_string(),
        EntryColumn::Sequence => record.sequence.to_string(),
        EntryColumn::Model => escaped(&record.model),
        EntryColumn::Symbol => escaped(&record.symbol),
        EntryColumn::Action => escaped(&record.action),
        EntryColumn::Confidence => record
            .confidence
            .map_or_else(dash, |confidence| format!("{confidence:.3}")),
        EntryColumn::Latency => record.processing_time.map_or_else(dash, units::duration),
        EntryColumn::Checkpoint => record.checkpoint.as_deref().map_or_else(dash, escaped),
        EntryColumn::Probabilities => {
            let pairs = record.probabilities.iter();
            let pairs = pairs.map(|(label, value)| format!("{}={value:.3}", escaped(label)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        EntryColumn::Hash => record
            .feature_hash
            .map_or_else(dash, |hash| format!("{hash:016x}")),
        EntryColumn::Memory => record.memory.map_or_else(dash, units::bytes),
        EntryColumn::Reward => {
            let reward = outcomes.and_then(|known| known.reward);
            reward.map_or_else(dash, |latest| units::real(latest.value))
        }
        EntryColumn::Correct => {
            let correct = outcomes.and_then(|known| known.correct);
            let word = |latest: Latest<bool>| if latest.value { "yes" } else { "no" };
            correct.map_or_else(dash, |latest| word(latest).to_owned())
        }
        EntryColumn::Label => {
            let label = outcomes.and_then(|known| known.label.as_ref());
            label.map_or_else(dash, |latest| escaped(&latest.value))
        }
        EntryColumn::Attributes => {
            let pairs = record.attributes.iter();
            let pairs = pairs.map(|(k, v)| format!("{}={}", escaped(k), escaped(&v.to_string())));
            pairs.collect::<Vec<_>>().join(" ")
        }
        EntryColumn::Propensity => record
            .propensity
            .map_or_else(dash, |given| given.to_string()),
        EntryColumn::Vector => {
            let values = record.action_vector.iter().map(ToString::to_string);
            values.collect::<Vec<_>>().join(" ")
        }
        EntryColumn::Cause => record.caused_by.map_or_else(dash, |id| id.to_string()),
        EntryColumn::Correlation => record.correlation.as_deref().map_or_else(dash, escaped),
        EntryColumn::Episode => record.episode.map_or_else(dash, |id| id.to_string()),
        EntryColumn::Step => record.step.map_or_else(dash, |step| step.to_string()),
        EntryColumn::Predictions => {
            let pairs = record.predictions.iter();
            let pairs = pairs.map(|(name, number)| format!("{}={number}", escaped(name)));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

/// An entry as a line of the text files, with its time on the clocks of `--zone`.
pub fn line(entry: &Entry, out: &Out) -> String {
    let time = match &entry.content {
        Content::Inference(record) => record.event_time,
        Content::Repeat(repeat) => repeat.event_time,
        Content::Outcome(outcome) => outcome.time,
        _ => entry.recorded_time,
    };
    let line = entry.to_string();
    let shown = out.zone.line(line.clone(), time);
    match shown == line {
        // It may begin with when it was recorded.
        true => out.zone.line(line, entry.recorded_time),
        false => shown,
    }
}

/// A figure as JSON: null where it is not known.
pub fn figure(value: f64) -> Json {
    if value.is_finite() {
        Json::from(value)
    } else {
        Json::Null
    }
}

/// A path as JSON, which is text. A path need not be: what is no UTF-8 is shown as `\u{fffd}`.
pub fn path(path: &Path) -> Json {
    Json::from(path.to_string_lossy())
}

/// Paths as JSON.
pub fn paths(paths: &[PathBuf]) -> Json {
    paths.iter().map(|one| path(one)).collect()
}

/// The library's JSON: the one dialect.
fn said(what: &impl serde::Serialize) -> Json {
    serde_json::to_value(what).unwrap_or_default()
}

/// An `f32` with as many digits as it has.
pub fn real32(value: f32) -> Json {
    if value.is_finite() {
        // Through its own shortest text: 0.85, and not 0.8500000238418579.
        let shortest = value.to_string().parse::<f64>();
        shortest.map_or(Json::Null, Json::from)
    } else {
        Json::from(value.to_string())
    }
}

/// A value of an attribute.
pub fn value(value: &Value) -> Json {
    said(value)
}

/// An inference or a repeat, with what has turned out for it.
pub fn record(record: &InferenceRecord, outcomes: Option<&Outcomes>) -> Json {
    let mut json = said(record);
    if let (Json::Object(fields), Some(outcomes)) = (&mut json, outcomes) {
        fields.insert("outcome".into(), outcome(outcomes));
    }
    json
}

/// Every outcome of one inference, oldest first.
pub fn history(history: &[RecordedOutcome]) -> Json {
    history.iter().map(said).collect()
}

/// A repeat, without the answer that it repeats.
pub fn repeat(repeat: &Repeat) -> Json {
    said(repeat)
}

/// An outcome on its own.
pub fn late(outcome: &OutcomeEntry) -> Json {
    said(outcome)
}

/// An episode.
pub fn episode(episode: &EpisodeRecord) -> Json {
    said(episode)
}

/// A gap.
pub fn gap(gap: &Gap) -> Json {
    said(gap)
}

/// Any entry.
pub fn entry(entry: &Entry) -> Json {
    said(entry)
}
