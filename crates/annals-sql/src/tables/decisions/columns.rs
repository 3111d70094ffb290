//! The columns of decisions, under our names and under the predecessor's.

use annals_virtual_table::Cell;
use serde_json::Value as Json;

use super::Decision;
use crate::cells::{
    Column, Role, json_real, json_short, json_value, maybe, micros, milliseconds, object, owned,
    short, shown, text, time, whole,
};

pub(super) const OURS: &[Column<Decision>] = &[
    Column::new("sequence", "INTEGER", sequence).with(Role::Sequence),
    Column::new("id", "TEXT", id),
    Column::new("time", "TEXT", event_time).with(Role::Time),
    Column::new("time_us", "INTEGER", event_micros).with(Role::Micros),
    Column::new("recorded_time", "TEXT", |row| {
        time(row.record.recorded_time)
    }),
    Column::new("recorded_time_us", "INTEGER", |row| {
        micros(row.record.recorded_time)
    }),
    Column::new("model", "TEXT", model).with(Role::Model),
    Column::new("symbol", "TEXT", symbol).with(Role::Symbol),
    Column::new("action", "TEXT", action).with(Role::Action),
    Column::new("confidence", "REAL", confidence),
    Column::new("probabilities", "TEXT", probabilities),
    Column::new("feature_hash", "TEXT", feature_hash),
    Column::new("processing_time_ms", "REAL", processing_time),
    Column::new("memory", "INTEGER", |row| maybe(row.record.memory, whole)),
    Column::new("checkpoint", "TEXT", checkpoint).with(Role::Checkpoint),
    Column::new("divergent", "INTEGER", |row| {
        Cell::Integer(row.record.divergent.into())
    }),
    Column::new("repeat_of", "TEXT", |row| {
        maybe(row.record.repeat_of, shown)
    }),
    Column::new("attributes", "TEXT", attributes),
    Column::new("propensity", "REAL", |row| {
        maybe(row.record.propensity, short)
    }),
    Column::new("action_vector", "TEXT", action_vector),
    Column::new("caused_by", "TEXT", |row| {
        maybe(row.record.caused_by, shown)
    }),
    Column::new("correlation", "TEXT", correlation),
    Column::new("episode", "TEXT", |row| maybe(row.record.episode, shown)),
    Column::new("step", "INTEGER", |row| maybe(row.record.step, whole)),
    Column::new("predictions", "TEXT", predictions),
    Column::new("reward", "REAL", reward).with(Role::Outcome),
    Column::new("correct", "INTEGER", correct).with(Role::Outcome),
    Column::new("label", "TEXT", label).with(Role::Outcome),
    Column::new("named", "TEXT", named).with(Role::Outcome),
];

pub(super) const PREDECESSOR: &[Column<Decision>] = &[
    Column::new("id", "INTEGER", sequence).with(Role::Sequence),
    Column::new("model_name", "TEXT", model).with(Role::Model),
    Column::new("timestamp", "TEXT", event_time).with(Role::Time),
    Column::new("symbol", "TEXT", symbol).with(Role::Symbol),
    Column::new("action", "TEXT", action).with(Role::Action),
    Column::new("confidence", "REAL", confidence),
    Column::new("probabilities", "TEXT", probabilities),
    Column::new("input_features_hash", "TEXT", feature_hash),
    Column::new("processing_time_ms", "REAL", processing_time),
    Column::new("memory_usage_mb", "REAL", |row| {
        maybe(row.record.memory, |bytes| Cell::Real(megabytes(bytes)))
    }),
    Column::new("checkpoint_id", "TEXT", checkpoint).with(Role::Checkpoint),
    Column::new("metadata", "TEXT", attributes),
];

fn sequence(row: &Decision) -> Cell<'_> {
    whole(row.record.sequence)
}

fn id(row: &Decision) -> Cell<'_> {
    shown(row.record.id)
}

fn event_time(row: &Decision) -> Cell<'_> {
    time(row.record.event_time)
}

fn event_micros(row: &Decision) -> Cell<'_> {
    micros(row.record.event_time)
}

fn model(row: &Decision) -> Cell<'_> {
    text(&row.record.model)
}

fn symbol(row: &Decision) -> Cell<'_> {
    text(&row.record.symbol)
}

fn action(row: &Decision) -> Cell<'_> {
    text(&row.record.action)
}

fn confidence(row: &Decision) -> Cell<'_> {
    maybe(row.record.confidence, short)
}

fn probabilities(row: &Decision) -> Cell<'_> {
    let probabilities = row.record.probabilities.iter();
    object(probabilities.map(|(label, share)| (label, json_short(share))))
}

fn feature_hash(row: &Decision) -> Cell<'_> {
    maybe(row.record.feature_hash, |hash| {
        owned(format!("{hash:016x}"))
    })
}

fn processing_time(row: &Decision) -> Cell<'_> {
    maybe(row.record.processing_time, milliseconds)
}

#[expect(clippy::cast_precision_loss, reason = "a size to be read")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn checkpoint(row: &Decision) -> Cell<'_> {
    row.record.checkpoint.as_deref().map_or(Cell::Null, text)
}

fn action_vector(row: &Decision) -> Cell<'_> {
    let vector = &row.record.action_vector;
    match vector.is_empty() {
        true => Cell::Null,
        false => {
            let numbers: Vec<Json> = vector.iter().map(|number| json_short(*number)).collect();
            owned(Json::from(numbers).to_string())
        }
    }
}

fn predictions(row: &Decision) -> Cell<'_> {
    let predictions = row.record.predictions.iter();
    object(predictions.map(|(name, number)| (&**name, json_real(*number))))
}

fn correlation(row: &Decision) -> Cell<'_> {
    row.record.correlation.as_deref().map_or(Cell::Null, text)
}

fn attributes(row: &Decision) -> Cell<'_> {
    let attributes = row.record.attributes.iter();
    object(attributes.map(|(name, value)| (name.as_str(), json_value(value))))
}

fn reward(row: &Decision) -> Cell<'_> {
    let reward = row.outcomes.as_ref().and_then(|outcomes| outcomes.reward);
    maybe(reward, |latest| Cell::Real(latest.value))
}

fn correct(row: &Decision) -> Cell<'_> {
    let correct = row.outcomes.as_ref().and_then(|outcomes| outcomes.correct);
    maybe(correct, |latest| Cell::Integer(latest.value.into()))
}

fn label(row: &Decision) -> Cell<'_> {
    let outcomes = row.outcomes.as_ref();
    let label = outcomes.and_then(|outcomes| outcomes.label.as_ref());
    label.map_or(Cell::Null, |latest| text(&latest.value))
}

fn named(row: &Decision) -> Cell<'_> {
    let Some(outcomes) = &row.outcomes else {
        return Cell::Null;
    };
    let values = outcomes.values.iter();
    object(values.map(|(name, latest)| (&**name, latest.value.into())))
}
