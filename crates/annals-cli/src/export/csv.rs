//! Comma-separated values, with the same columns as Parquet.

use super::file::Finish;
use super::{Row, Sink};
use crate::entries;
use crate::failure::{Failure, Result};

const COLUMNS: [&str; 23] = [
    "kind",
    "id",
    "sequence",
    "event_time",
    "recorded_time",
    "model",
    "symbol",
    "action",
    "checkpoint",
    "confidence",
    "labels",
    "probabilities",
    "feature_hash",
    "processing_ns",
    "memory_bytes",
    "divergent",
    "repeat_of",
    "attributes",
    "reward",
    "correct",
    "outcome_label",
    "outcome_values",
    "outcome_time",
];

/// Writes comma-separated values.
pub struct Csv<W: Finish> {
    to: csv::Writer<W>,
}

impl<W: Finish> Csv<W> {
    pub fn new(to: W) -> Result<Self> {
        let mut to = csv::Writer::from_writer(to);
        to.write_record(COLUMNS).map_err(failed)?;
        Ok(Csv { to })
    }
}

fn failed(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => Failure::io("write the CSV", cause),
        other => Failure::Usage(format!("cannot write the CSV: {other:?}")),
    }
}

impl<W: Finish> Sink for Csv<W> {
    fn push(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in &rows {
            if let Some(fields) = fields(row) {
                self.to.write_record(&fields).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut to = self.to.into_inner().map_err(|error| {
            Failure::io("write the CSV", std::io::Error::from(error.error().kind()))
        })?;
        to.finish()
    }
}

/// The fields of a row; gaps have none.
fn fields(row: &Row) -> Option<[String; COLUMNS.len()]> {
    let text = |text: Option<String>| text.unwrap_or_default();
    let mut fields: [String; COLUMNS.len()] = Default::default();
    let mut set = |name: &str, value: String| {
        if let Some(index) = COLUMNS.iter().position(|column| *column == name) {
            fields[index] = value;
        }
    };
    let nanos = |time: Option<std::time::Duration>| text(time.map(|t| t.as_nanos().to_string()));
    let known = match row {
        Row::Inference(record, outcomes) => {
            set("kind", "inference".into());
            set("id", record.id.to_string());
            set("sequence", record.sequence.to_string());
            set("event_time", record.event_time.to_string());
            set("recorded_time", record.recorded_time.to_string());
            set("model", record.model.to_string());
            set("symbol", record.symbol.to_string());
            set("action", record.action.to_string());
            set(
                "checkpoint",
                text(record.checkpoint.as_ref().map(|id| id.to_string())),
            );
            if record.confidence_given {
                set("confidence", record.confidence.to_string());
            }
            if !record.probabilities.is_empty() {
                let labels: Vec<&str> = record.probabilities.iter().map(|(l, _)| l).collect();
                set("labels", serde_json::to_string(&labels).unwrap_or_default());
                let values = record.probabilities.values().iter();
                let values: serde_json::Value = values.map(|v| entries::real32(*v)).collect();
                set("probabilities", values.to_string());
            }
            set(
                "feature_hash",
                text(record.feature_hash.map(|hash| format!("{hash:016x}"))),
            );
            set("processing_ns", nanos(record.processing_time));
            set(
                "memory_bytes",
                text(record.memory.map(|bytes| bytes.to_string())),
            );
            set("divergent", record.divergent.to_string());
            if !record.attributes.is_empty() {
                set(
                    "attributes",
                    entries::values(&record.attributes).to_string(),
                );
            }
            outcomes.as_ref()
        }
        Row::Repeat(repeat, recorded, sequence, outcomes) => {
            set("kind", "repeat".into());
            set("id", repeat.id.to_string());
            set("sequence", sequence.to_string());
            set("event_time", repeat.event_time.to_string());
            set("recorded_time", recorded.to_string());
            set("model", repeat.model.to_string());
            set("symbol", repeat.symbol.to_string());
            set("action", repeat.action.to_string());
            set(
                "checkpoint",
                text(repeat.checkpoint.as_ref().map(|id| id.to_string())),
            );
            set("processing_ns", nanos(repeat.processing_time));
            set("repeat_of", repeat.original.to_string());
            outcomes.as_ref()
        }
        Row::Late(outcome, recorded, sequence) => {
            set("kind", "outcome".into());
            set("id", outcome.of.to_string());
            set("sequence", sequence.to_string());
            set("recorded_time", recorded.to_string());
            set(
                "reward",
                text(outcome.reward.map(|reward| reward.to_string())),
            );
            set(
                "correct",
                text(outcome.correct.map(|correct| correct.to_string())),
            );
            set(
                "outcome_label",
                text(outcome.label.as_ref().map(|l| l.to_string())),
            );
            let named = outcome.values.iter();
            let named = named.map(|(name, value)| (&**name, *value));
            set("outcome_values", text(entries::named_values(named)));
            set("outcome_time", outcome.time.to_string());
            None
        }
        Row::Gap(..) | Row::Event(_) => return None,
    };
    if let Some(known) = known {
        set(
            "reward",
            text(known.reward.map(|latest| latest.value.to_string())),
        );
        set(
            "correct",
            text(known.correct.map(|latest| latest.value.to_string())),
        );
        set(
            "outcome_label",
            text(known.label.as_ref().map(|l| l.value.to_string())),
        );
        let named = known.values.iter();
        let named = named.map(|(name, latest)| (&**name, latest.value));
        set("outcome_values", text(entries::named_values(named)));
        set(
            "outcome_time",
            text(entries::latest(known).map(|time| time.to_string())),
        );
    }
    Some(fields)
}
