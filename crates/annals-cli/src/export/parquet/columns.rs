//! Rows as columns, in the order of the schema.

use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;

use super::super::{COLUMNS, ExportRow, Inputs};
use super::column::{ListColumn, Optional};
use super::inputs::InputColumns;
use super::names::{Names, text};
use crate::entries;

/// The rows that are not written yet, column by column.
#[derive(Default)]
pub struct ParquetColumns {
    names: Names,
    /// The labels of the last row: mostly those of the next one.
    last_labels: Option<(Arc<str>, Vec<ByteArray>)>,
    kind: Vec<ByteArray>,
    id: Vec<ByteArray>,
    run: Vec<i32>,
    number: Vec<i64>,
    sequence: Vec<i64>,
    event_time: Optional<i64>,
    recorded_time: Vec<i64>,
    model: Optional<ByteArray>,
    symbol: Optional<ByteArray>,
    action: Optional<ByteArray>,
    checkpoint: Optional<ByteArray>,
    confidence: Optional<f32>,
    labels: ListColumn<ByteArray>,
    probabilities: ListColumn<f32>,
    feature_hash: Optional<i64>,
    processing_ns: Optional<i64>,
    memory_bytes: Optional<i64>,
    divergent: Optional<bool>,
    repeat_of: Optional<ByteArray>,
    attributes: Optional<ByteArray>,
    reward: Optional<f64>,
    correct: Optional<bool>,
    outcome_label: Optional<ByteArray>,
    outcome_values: Optional<ByteArray>,
    outcome_time: Optional<i64>,
    outcome_times: Optional<ByteArray>,
    journal: Vec<ByteArray>,
    propensity: Optional<f32>,
    action_vector: ListColumn<f32>,
    caused_by: Optional<ByteArray>,
    correlation: Optional<ByteArray>,
    episode: Optional<ByteArray>,
    step: Optional<i64>,
    /// `None` if they are left out.
    inputs: Option<InputColumns>,
    prediction_names: ListColumn<ByteArray>,
    predictions: ListColumn<f64>,
    /// The journal of all rows.
    same_journal: ByteArray,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl ParquetColumns {
    /// No rows, of this journal.
    pub fn new(journal: annals::JournalId, inputs: Inputs) -> Self {
        ParquetColumns {
            inputs: (inputs == Inputs::Taken).then(InputColumns::default),
            same_journal: text(&journal.to_string()),
            ..ParquetColumns::default()
        }
    }

    #[allow(
        clippy::cast_possible_wrap,
        reason = "the column is declared unsigned: the bits are the number"
    )]
    /// Adds a row.
    pub fn push(&mut self, row: &ExportRow) {
        let kind = |kind: &'static str| ByteArray::from(bytes::Bytes::from_static(kind.as_bytes()));
        let nanos = |time: Option<std::time::Duration>| {
            time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        match row {
            ExportRow::Inference(record, outcomes, _) => {
                self.key(
                    kind("inference"),
                    record.id,
                    record.sequence,
                    record.recorded_time,
                );
                self.event_time.push(Some(record.event_time.as_micros()));
                self.model.push(Some(self.names.get(&record.model)));
                self.symbol.push(Some(self.names.get(&record.symbol)));
                self.action.push(Some(self.names.get(&record.action)));
                let checkpoint = record.checkpoint.as_ref();
                self.checkpoint
                    .push(checkpoint.map(|id| self.names.get(id)));
                self.confidence.push(record.confidence);
                self.push_labels(record);
                self.probabilities
                    .push(record.probabilities.values().iter().copied());
                self.feature_hash
                    .push(record.feature_hash.map(|hash| hash as i64));
                self.processing_ns.push(nanos(record.processing_time));
                self.memory_bytes.push(record.memory.map(signed));
                self.divergent.push(Some(record.divergent));
                self.repeat_of.push(None);
                let attributes = (!record.attributes.is_empty())
                    .then(|| text(&entries::values(&record.attributes).to_string()));
                self.attributes.push(attributes);
                self.propensity.push(record.propensity);
                self.action_vector
                    .push(record.action_vector.iter().copied());
                self.caused_by
                    .push(record.caused_by.map(|id| text(&id.to_string())));
                self.correlation
                    .push(record.correlation.as_deref().map(text));
                self.episode
                    .push(record.episode.map(|id| text(&id.to_string())));
                self.step.push(record.step.map(|step| step as i64));
                let predictions = record.predictions.iter();
                let names = predictions.clone().map(|(name, _)| self.names.get(name));
                self.prediction_names.push(names);
                self.predictions
                    .push(predictions.map(|(_, number)| *number));
                self.push_outcomes(outcomes.as_ref().map(|judged| &judged.now));
            }
            ExportRow::Repeat(repeat, recorded, sequence, outcomes, _) => {
                self.key(kind("repeat"), repeat.id, *sequence, *recorded);
                self.event_time.push(Some(repeat.event_time.as_micros()));
                self.model.push(Some(self.names.get(&repeat.model)));
                self.symbol.push(Some(self.names.get(&repeat.symbol)));
                self.action.push(Some(self.names.get(&repeat.action)));
                let checkpoint = repeat.checkpoint.as_ref();
                self.checkpoint
                    .push(checkpoint.map(|id| self.names.get(id)));
                self.push_no_answer(repeat.confidence, nanos(repeat.processing_time));
                self.repeat_of
                    .push(Some(text(&repeat.original.to_string())));
                self.attributes.push(None);
                self.push_no_extras();
                self.push_outcomes(outcomes.as_ref().map(|judged| &judged.now));
            }
            ExportRow::Late(outcome, recorded, sequence) => {
                self.key(kind("outcome"), outcome.of, *sequence, *recorded);
                self.event_time.push(None);
                for names in [
                    &mut self.model,
                    &mut self.symbol,
                    &mut self.action,
                    &mut self.checkpoint,
                ] {
                    names.push(None);
                }
                self.push_no_answer(None, None);
                self.repeat_of.push(None);
                self.attributes.push(None);
                self.push_no_extras();
                self.reward.push(outcome.reward);
                self.correct.push(outcome.correct);
                self.outcome_label.push(outcome.label.as_deref().map(text));
                let named = outcome.values.iter().map(|(name, value)| (&**name, *value));
                self.outcome_values.push(named_values(named));
                self.outcome_time.push(Some(outcome.time.as_micros()));
                self.outcome_times.push(None);
            }
            ExportRow::Gap(..) | ExportRow::Event(_) => return,
        }
        if let Some(inputs) = &mut self.inputs {
            inputs.push(row.input(), &mut self.names);
        }
    }

    /// Bytes of the rows' inputs.
    pub fn input_bytes(&self) -> usize {
        self.inputs.as_ref().map_or(0, |inputs| inputs.held_bytes)
    }

    fn key(
        &mut self,
        kind: ByteArray,
        id: annals::InferenceId,
        sequence: u64,
        recorded: annals::Timestamp,
    ) {
        self.kind.push(kind);
        self.id.push(text(&id.to_string()));
        self.journal.push(self.same_journal.clone());
        self.run
            .push(i32::try_from(id.run().get()).unwrap_or(i32::MAX));
        self.number.push(signed(id.counter()));
        self.sequence.push(signed(sequence));
        self.recorded_time.push(recorded.as_micros());
    }

    fn push_labels(&mut self, record: &annals::InferenceRecord) {
        let labels = &record.probabilities;
        let first = labels.labels().first();
        let is_last = match (&self.last_labels, first) {
            // The same list is shared by all who have it.
            (Some((known, _)), Some(first)) => Arc::ptr_eq(known, first),
            _ => false,
        };
        if !is_last {
            let arrays = labels
                .labels()
                .iter()
                .map(|label| self.names.get(label))
                .collect();
            self.last_labels = first.map(|first| (first.clone(), arrays));
        }
        let known = self.last_labels.as_ref().filter(|_| first.is_some());
        let known = known.map_or(&[][..], |(_, arrays)| arrays);
        let none = ByteArray::from(Vec::new());
        let padded = known.iter().cloned().chain(std::iter::repeat(none));
        self.labels.push(padded.take(labels.len()));
    }

    fn push_no_answer(&mut self, confidence: Option<f32>, nanos: Option<i64>) {
        self.confidence.push(confidence);
        self.labels.push(std::iter::empty());
        self.probabilities.push(std::iter::empty());
        self.feature_hash.push(None);
        self.processing_ns.push(nanos);
        self.memory_bytes.push(None);
        self.divergent.push(None);
    }

    fn push_no_extras(&mut self) {
        self.propensity.push(None);
        self.action_vector.push(std::iter::empty());
        for column in [
            &mut self.caused_by,
            &mut self.correlation,
            &mut self.episode,
        ] {
            column.push(None);
        }
        self.step.push(None);
        self.prediction_names.push(std::iter::empty());
        self.predictions.push(std::iter::empty());
    }

    fn push_outcomes(&mut self, known: Option<&annals::Outcomes>) {
        self.reward.push(
            known
                .and_then(|known| known.reward)
                .map(|latest| latest.value),
        );
        self.correct.push(
            known
                .and_then(|known| known.correct)
                .map(|latest| latest.value),
        );
        let label = known.and_then(|known| known.label.as_ref());
        self.outcome_label
            .push(label.map(|latest| text(&latest.value)));
        let named = known.into_iter().flat_map(|known| &known.values);
        let named = named.map(|(name, latest)| (&**name, latest.value));
        self.outcome_values.push(named_values(named));
        let time = known.and_then(entries::latest);
        self.outcome_time
            .push(time.map(annals::Timestamp::as_micros));
        let times = known.and_then(entries::other_times);
        self.outcome_times.push(times.map(|times| text(&times)));
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.sequence.len()
    }

    /// Writes the column with this number of the schema.
    pub fn write(&self, index: usize, to: &mut ColumnWriter<'_>) -> parquet::errors::Result<usize> {
        use ColumnWriter as W;
        if let (Some(index), Some(inputs)) = (index.checked_sub(COLUMNS.len()), &self.inputs) {
            return inputs.write(index, to);
        }
        match (index, to) {
            (0, W::ByteArrayColumnWriter(to)) => to.write_batch(&self.kind, None, None),
            (1, W::ByteArrayColumnWriter(to)) => to.write_batch(&self.id, None, None),
            (26, W::ByteArrayColumnWriter(to)) => to.write_batch(&self.journal, None, None),
            (2, W::Int32ColumnWriter(to)) => to.write_batch(&self.run, None, None),
            (3, W::Int64ColumnWriter(to)) => to.write_batch(&self.number, None, None),
            (4, W::Int64ColumnWriter(to)) => to.write_batch(&self.sequence, None, None),
            (6, W::Int64ColumnWriter(to)) => to.write_batch(&self.recorded_time, None, None),
            (12, W::ByteArrayColumnWriter(to)) => {
                let list = &self.labels;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (33, W::ByteArrayColumnWriter(to)) => {
                let list = &self.prediction_names;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (34, W::DoubleColumnWriter(to)) => {
                let list = &self.predictions;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (13, W::FloatColumnWriter(to)) => {
                let list = &self.probabilities;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (28, W::FloatColumnWriter(to)) => {
                let list = &self.action_vector;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (11 | 27, W::FloatColumnWriter(to)) => {
                let column = match index {
                    11 => &self.confidence,
                    _ => &self.propensity,
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (20, W::DoubleColumnWriter(to)) => {
                let column = &self.reward;
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (index, W::Int64ColumnWriter(to)) => {
                let column = match index {
                    5 => &self.event_time,
                    14 => &self.feature_hash,
                    15 => &self.processing_ns,
                    16 => &self.memory_bytes,
                    32 => &self.step,
                    _ => &self.outcome_time,
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (index, W::BoolColumnWriter(to)) => {
                let column = if index == 17 {
                    &self.divergent
                } else {
                    &self.correct
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (index, W::ByteArrayColumnWriter(to)) => {
                let column = match index {
                    7 => &self.model,
                    8 => &self.symbol,
                    9 => &self.action,
                    10 => &self.checkpoint,
                    18 => &self.repeat_of,
                    19 => &self.attributes,
                    22 => &self.outcome_label,
                    25 => &self.outcome_times,
                    29 => &self.caused_by,
                    30 => &self.correlation,
                    31 => &self.episode,
                    _ => &self.outcome_values,
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            _ => Err(ParquetError::General("a column of another type".into())),
        }
    }

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.names.forget();
        self.kind.clear();
        self.id.clear();
        self.journal.clear();
        self.run.clear();
        self.number.clear();
        self.sequence.clear();
        self.recorded_time.clear();
        self.event_time.clear();
        for column in [
            &mut self.model,
            &mut self.symbol,
            &mut self.action,
            &mut self.checkpoint,
            &mut self.repeat_of,
            &mut self.attributes,
            &mut self.outcome_label,
            &mut self.outcome_values,
            &mut self.outcome_times,
            &mut self.caused_by,
            &mut self.correlation,
            &mut self.episode,
        ] {
            column.clear();
        }
        self.confidence.clear();
        self.labels.clear();
        self.probabilities.clear();
        self.feature_hash.clear();
        self.processing_ns.clear();
        self.memory_bytes.clear();
        self.divergent.clear();
        self.correct.clear();
        self.reward.clear();
        self.outcome_time.clear();
        self.propensity.clear();
        self.action_vector.clear();
        self.step.clear();
        self.inputs.iter_mut().for_each(InputColumns::clear);
        self.prediction_names.clear();
        self.predictions.clear();
    }
}

/// Named values as a JSON object; none if there are none.
fn named_values<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Option<ByteArray> {
    entries::named_values(values).map(|values| text(&values))
}
