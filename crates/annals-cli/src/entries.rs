//! Entries as JSON and as chosen columns: the same names everywhere.

use annals::{
    Content, Entry, Gap, GapReason, InferenceRecord, Latest, OutcomeEntry, Outcomes, Repeat,
    Timestamp, Value,
};
use clap::ValueEnum;
use serde_json::{Map, Value as Json, json};

use crate::table::escaped;
use crate::units;

/// A column of `tail` and `follow`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Column {
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
}

/// The heading of a column of [`Rows`](crate::table::Rows).
pub fn heading(column: Column) -> &'static str {
    match column {
        Column::Time => "time",
        Column::Recorded => "recorded",
        Column::Id => "id",
        Column::Sequence => ">sequence",
        Column::Model => "model",
        Column::Symbol => "symbol",
        Column::Action => "action",
        Column::Confidence => ">confidence",
        Column::Latency => ">latency",
        Column::Checkpoint => "checkpoint",
        Column::Probabilities => "probabilities",
        Column::Hash => "hash",
        Column::Memory => ">memory",
        Column::Reward => ">reward",
        Column::Correct => "correct",
        Column::Label => "label",
        Column::Attributes => "attributes",
    }
}

/// Whether any of the columns is about outcomes.
pub fn ask_for_outcomes(columns: &[Column]) -> bool {
    let about = [Column::Reward, Column::Correct, Column::Label];
    columns.iter().any(|column| about.contains(column))
}

/// What stands in a column.
pub fn cell(record: &InferenceRecord, outcomes: Option<&Outcomes>, column: Column) -> String {
    let dash = || "-".to_owned();
    match column {
        Column::Time => millis(record.event_time),
        Column::Recorded => millis(record.recorded_time),
        Column::Id => record.id.to_string(),
        Column::Sequence => record.sequence.to_string(),
        Column::Model => escaped(&record.model),
        Column::Symbol => escaped(&record.symbol),
        Column::Action => escaped(&record.action),
        Column::Confidence => format!("{:.3}", record.confidence),
        Column::Latency => record.processing_time.map_or_else(dash, units::duration),
        Column::Checkpoint => record.checkpoint.as_deref().map_or_else(dash, escaped),
        Column::Probabilities => {
            let pairs = record.probabilities.iter();
            let pairs = pairs.map(|(label, value)| format!("{}={value:.3}", escaped(label)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        Column::Hash => record
            .feature_hash
            .map_or_else(dash, |hash| format!("{hash:016x}")),
        Column::Memory => record.memory.map_or_else(dash, units::bytes),
        Column::Reward => {
            let reward = outcomes.and_then(|known| known.reward);
            reward.map_or_else(dash, |latest| units::real(latest.value))
        }
        Column::Correct => {
            let correct = outcomes.and_then(|known| known.correct);
            let word = |latest: Latest<bool>| if latest.value { "yes" } else { "no" };
            correct.map_or_else(dash, |latest| word(latest).to_owned())
        }
        Column::Label => {
            let label = outcomes.and_then(|known| known.label.as_ref());
            label.map_or_else(dash, |latest| escaped(&latest.value))
        }
        Column::Attributes => {
            let pairs = record.attributes.iter();
            let pairs = pairs.map(|(k, v)| format!("{}={}", escaped(k), escaped(&v.to_string())));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

/// To the millisecond, in UTC.
fn millis(time: Timestamp) -> String {
    match time.to_datetime() {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        None => time.to_string(),
    }
}

/// A number as JSON, which has no word for what is not finite: those are text.
pub fn real(value: f64) -> Json {
    if value.is_finite() {
        Json::from(value)
    } else {
        Json::from(value.to_string())
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

/// Named values of an outcome as the text of one object; none if there are none.
pub fn named_values<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Option<String> {
    let object: serde_json::Map<String, Json> = values
        .map(|(name, value)| (name.to_owned(), real(value)))
        .collect();
    (!object.is_empty()).then(|| Json::Object(object).to_string())
}

/// An `f32` with as many digits as it has.
pub fn real32(value: f32) -> Json {
    if value.is_finite() {
        // Through its own shortest text: 0.85, and not 0.8500000238418579.
        value
            .to_string()
            .parse::<f64>()
            .map_or(Json::Null, Json::from)
    } else {
        Json::from(value.to_string())
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        // Told from a text by being none.
        Value::Real(number) if !number.is_finite() => json!({"real": number.to_string()}),
        Value::Real(number) => real(*number),
        Value::Integer(number) => Json::from(*number),
        Value::Flag(flag) => Json::from(*flag),
        other => Json::from(other.to_string()),
    }
}

/// Names and values as an object.
pub fn values(entries: &[(String, Value)]) -> Json {
    let entries = entries.iter();
    Json::Object(entries.map(|(k, v)| (k.clone(), value(v))).collect())
}

/// An inference or a repeat, with what has turned out for it.
pub fn record(record: &InferenceRecord, outcomes: Option<&Outcomes>) -> Json {
    let mut json = Map::new();
    let kind = match record.repeat_of {
        Some(_) => "repeat",
        None => "inference",
    };
    json.insert("kind".into(), kind.into());
    json.insert("id".into(), record.id.to_string().into());
    json.insert("sequence".into(), record.sequence.into());
    json.insert("event_time".into(), record.event_time.to_string().into());
    json.insert(
        "recorded_time".into(),
        record.recorded_time.to_string().into(),
    );
    json.insert("model".into(), (&*record.model).into());
    json.insert("symbol".into(), (&*record.symbol).into());
    json.insert("action".into(), (&*record.action).into());
    if record.confidence_given {
        json.insert("confidence".into(), real32(record.confidence));
    }
    if !record.probabilities.is_empty() {
        let labels = record
            .probabilities
            .iter()
            .map(|(label, _)| Json::from(label));
        json.insert("labels".into(), labels.collect());
        let values = record.probabilities.values().iter();
        json.insert("probabilities".into(), values.map(|v| real32(*v)).collect());
    }
    if let Some(hash) = record.feature_hash {
        json.insert("feature_hash".into(), format!("{hash:016x}").into());
    }
    if let Some(time) = record.processing_time {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        json.insert("processing_ns".into(), nanos.into());
    }
    if let Some(memory) = record.memory {
        json.insert("memory_bytes".into(), memory.into());
    }
    if let Some(checkpoint) = &record.checkpoint {
        json.insert("checkpoint".into(), (&**checkpoint).into());
    }
    if record.divergent {
        json.insert("divergent".into(), true.into());
    }
    if let Some(original) = record.repeat_of {
        json.insert("repeat_of".into(), original.to_string().into());
    }
    if !record.attributes.is_empty() {
        json.insert("attributes".into(), values(&record.attributes));
    }
    if let Some(outcomes) = outcomes {
        json.insert("outcome".into(), outcome(outcomes));
    }
    Json::Object(json)
}

/// What has turned out; `time` is the latest one, and `times` holds those that differ from it.
pub fn outcome(outcomes: &Outcomes) -> Json {
    let mut json = Map::new();
    let mut times: Vec<(String, Timestamp)> = Vec::new();
    if let Some(reward) = &outcomes.reward {
        json.insert("reward".into(), real(reward.value));
        times.push(("reward".into(), reward.time));
    }
    if let Some(correct) = &outcomes.correct {
        json.insert("correct".into(), correct.value.into());
        times.push(("correct".into(), correct.time));
    }
    if let Some(label) = &outcomes.label {
        json.insert("label".into(), (&*label.value).into());
        times.push(("label".into(), label.time));
    }
    if !outcomes.values.is_empty() {
        let mut named = Map::new();
        for (name, latest) in &outcomes.values {
            named.insert(name.to_string(), real(latest.value));
            times.push((format!("values.{name}"), latest.time));
        }
        json.insert("values".into(), Json::Object(named));
    }
    if let Some(latest) = times.iter().map(|(_, time)| *time).max() {
        json.insert("time".into(), latest.to_string().into());
        let others = times.into_iter().filter(|(_, time)| *time != latest);
        let others: Map<String, Json> = others.map(|(k, t)| (k, t.to_string().into())).collect();
        if !others.is_empty() {
            json.insert("times".into(), Json::Object(others));
        }
    }
    Json::Object(json)
}

/// A repeat, without the answer that it repeats.
pub fn repeat(repeat: &Repeat) -> Json {
    without_nulls(json!({
        "kind": "repeat",
        "id": repeat.id.to_string(),
        "repeat_of": repeat.original.to_string(),
        "event_time": repeat.event_time.to_string(),
        "model": &*repeat.model,
        "symbol": &*repeat.symbol,
        "action": &*repeat.action,
        "confidence": repeat.confidence_given.then(|| real32(repeat.confidence)),
        "processing_ns": repeat.processing_time
            .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        "checkpoint": repeat.checkpoint.as_deref(),
    }))
}

/// An outcome on its own.
pub fn late(outcome: &OutcomeEntry) -> Json {
    let values = outcome.values.iter();
    let values: Map<String, Json> = values.map(|(k, v)| (k.to_string(), real(*v))).collect();
    json!({
        "kind": "outcome",
        "id": outcome.of.to_string(),
        "outcome": without_nulls(json!({
            "time": outcome.time.to_string(),
            "reward": outcome.reward.map(real),
            "correct": outcome.correct,
            "label": outcome.label.as_deref(),
            "values": (!values.is_empty()).then_some(values),
        })),
    })
}

/// A gap.
pub fn gap(gap: &Gap) -> Json {
    let range = |range: Option<(Timestamp, Timestamp)>| {
        range.map(|(first, last)| [first.to_string(), last.to_string()])
    };
    without_nulls(json!({
        "kind": "gap",
        "run": gap.run.get(),
        "sequence": gap.sequence,
        "reason": reason(gap.reason),
        "count": gap.count,
        "after": gap.after.map(|id| id.to_string()),
        "recorded_range": range(gap.recorded_range),
        "event_range": range(gap.event_range),
        "refusal": gap.refusal,
    }))
}

fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::QueueFull => "queue_full",
        GapReason::Refused => "refused",
        GapReason::Died => "died",
        _ => "unknown",
    }
}

fn without_nulls(mut json: Json) -> Json {
    if let Json::Object(fields) = &mut json {
        fields.retain(|_, value| !value.is_null());
    }
    json
}

/// When the last of it turned out.
pub fn latest(outcomes: &Outcomes) -> Option<Timestamp> {
    let built_in = [
        outcomes.reward.map(|latest| latest.time),
        outcomes.correct.map(|latest| latest.time),
        outcomes.label.as_ref().map(|latest| latest.time),
    ];
    let named = outcomes.values.iter().map(|(_, latest)| latest.time);
    built_in.into_iter().flatten().chain(named).max()
}

/// Any entry.
pub fn entry(entry: &Entry) -> Json {
    let mut json = match &entry.content {
        Content::Inference(inference) => return record(inference, None),
        Content::Repeat(same) => repeat(same),
        Content::Outcome(outcome) => late(outcome),
        Content::Gap(missing) => gap(missing),
        Content::SystemEvent(event) => json!({
            "kind": "event",
            "run": event.run.get(),
            "level": event.level.as_str(),
            "component": &*event.component,
            "message": event.message,
            "fields": values(&event.fields),
        }),
        Content::CheckpointEvent(event) => json!({
            "kind": "checkpoint_event",
            "run": event.run.get(),
            "action": event.action.as_str(),
            "model": &*event.model,
            "checkpoint": &*event.checkpoint,
            "detail": event.detail,
        }),
        _ => json!({"kind": "unknown"}),
    };
    if let Json::Object(fields) = &mut json {
        fields.insert("sequence".into(), entry.sequence.into());
        fields.insert(
            "recorded_time".into(),
            entry.recorded_time.to_string().into(),
        );
    }
    json
}
