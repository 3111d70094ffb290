//! Rows as columns, in the order of the schema.

use std::sync::Arc;

use annals::entry::{OutcomeEntry, Repeat};
use annals::{InferenceRecord, Outcomes, Timestamp};

use crate::column::{ColumnValues, ListColumn, Optional};
use crate::names::{ColumnText, Names};
use crate::texts;

/// A row of the columns.
#[derive(Clone, Copy, Debug)]
pub enum DecisionRow<'a> {
    /// A decision with its outcomes. One that is a repeat has its original's answer.
    Inference(&'a InferenceRecord, Option<&'a Outcomes>),
    /// A repeat as an entry: when it was recorded, its sequence, and its outcomes.
    Repeat(&'a Repeat, Timestamp, u64, Option<&'a Outcomes>),
    /// An outcome by itself: when it was recorded, and its sequence.
    Late(&'a OutcomeEntry, Timestamp, u64),
}

/// Rows that are not written yet, column by column.
#[derive(Default)]
pub struct DecisionColumns<T> {
    names: Names<T>,
    /// What rows are of.
    kinds: [T; 3],
    has_no_ids: bool,
    /// The labels of the last row: mostly those of the next one.
    last_labels: Option<(Arc<str>, Vec<T>)>,
    kind: Vec<T>,
    id: Vec<T>,
    run: Vec<i32>,
    number: Vec<i64>,
    sequence: Vec<i64>,
    event_time: Optional<i64>,
    recorded_time: Vec<i64>,
    model: Optional<T>,
    symbol: Optional<T>,
    action: Optional<T>,
    checkpoint: Optional<T>,
    confidence: Optional<f32>,
    labels: ListColumn<T>,
    probabilities: ListColumn<f32>,
    feature_hash: Optional<i64>,
    processing_ns: Optional<i64>,
    memory_bytes: Optional<i64>,
    divergent: Optional<bool>,
    repeat_of: Optional<T>,
    attributes: Optional<T>,
    reward: Optional<f64>,
    correct: Optional<bool>,
    outcome_label: Optional<T>,
    outcome_values: Optional<T>,
    outcome_time: Optional<i64>,
    outcome_times: Optional<T>,
    journal: Vec<T>,
    propensity: Optional<f32>,
    action_vector: ListColumn<f32>,
    caused_by: Optional<T>,
    correlation: Optional<T>,
    episode: Optional<T>,
    step: Optional<i64>,
    prediction_names: ListColumn<T>,
    predictions: ListColumn<f64>,
    /// The journal of all rows.
    same_journal: T,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl<T: ColumnText> DecisionColumns<T> {
    /// No rows, of this journal.
    #[must_use]
    pub fn new(journal: annals::JournalId) -> Self {
        DecisionColumns {
            same_journal: T::from(&journal.to_string()),
            kinds: ["inference", "repeat", "outcome"].map(T::from),
            ..DecisionColumns::default()
        }
    }

    /// Leaves the column `id` out, which takes long to make: it has no rows.
    #[must_use]
    pub fn without_ids(mut self) -> Self {
        self.has_no_ids = true;
        self
    }

    #[allow(
        clippy::cast_possible_wrap,
        reason = "the column is declared unsigned: the bits are the number"
    )]
    /// Adds a row.
    pub fn push(&mut self, row: DecisionRow<'_>) {
        let [inference, repeated, outcome_alone] = self.kinds.clone();
        let nanos = |time: Option<std::time::Duration>| {
            time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        match row {
            DecisionRow::Inference(record, outcomes) => {
                self.key(
                    match record.repeat_of {
                        None => inference,
                        Some(_) => repeated,
                    },
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
                self.repeat_of
                    .push(record.repeat_of.map(|id| text(&id.to_string())));
                let attributes = (!record.attributes.is_empty())
                    .then(|| text(&texts::values(&record.attributes).to_string()));
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
                self.push_outcomes(outcomes);
            }
            DecisionRow::Repeat(repeat, recorded, sequence, outcomes) => {
                self.key(repeated, repeat.id, sequence, recorded);
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
                self.push_outcomes(outcomes);
            }
            DecisionRow::Late(outcome, recorded, sequence) => {
                self.key(outcome_alone, outcome.of, sequence, recorded);
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
        }
    }

    fn key(&mut self, kind: T, id: annals::InferenceId, sequence: u64, recorded: Timestamp) {
        self.kind.push(kind);
        if !self.has_no_ids {
            self.id.push(text(&id.to_string()));
        }
        self.journal.push(self.same_journal.clone());
        self.run
            .push(i32::try_from(id.run().get()).unwrap_or(i32::MAX));
        self.number.push(signed(id.counter()));
        self.sequence.push(signed(sequence));
        self.recorded_time.push(recorded.as_micros());
    }

    fn push_labels(&mut self, record: &InferenceRecord) {
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
        let none = T::default();
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

    fn push_outcomes(&mut self, known: Option<&Outcomes>) {
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
        let time = known.and_then(texts::latest);
        self.outcome_time.push(time.map(Timestamp::as_micros));
        let times = known.and_then(texts::other_times);
        self.outcome_times.push(times.map(|times| text(&times)));
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sequence.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column with this number of the schema.
    #[must_use]
    pub fn column(&self, index: usize) -> Option<ColumnValues<'_, T>> {
        use ColumnValues as V;
        Some(match index {
            0 => V::Text(&self.kind),
            1 => V::Text(&self.id),
            2 => V::Int32(&self.run),
            3 => V::Int64(&self.number),
            4 => V::Int64(&self.sequence),
            5 => V::OptionalInt64(&self.event_time),
            6 => V::Int64(&self.recorded_time),
            7 => V::OptionalText(&self.model),
            8 => V::OptionalText(&self.symbol),
            9 => V::OptionalText(&self.action),
            10 => V::OptionalText(&self.checkpoint),
            11 => V::OptionalFloat(&self.confidence),
            12 => V::TextList(&self.labels),
            13 => V::FloatList(&self.probabilities),
            14 => V::OptionalInt64(&self.feature_hash),
            15 => V::OptionalInt64(&self.processing_ns),
            16 => V::OptionalInt64(&self.memory_bytes),
            17 => V::OptionalBool(&self.divergent),
            18 => V::OptionalText(&self.repeat_of),
            19 => V::OptionalText(&self.attributes),
            20 => V::OptionalDouble(&self.reward),
            21 => V::OptionalBool(&self.correct),
            22 => V::OptionalText(&self.outcome_label),
            23 => V::OptionalText(&self.outcome_values),
            24 => V::OptionalInt64(&self.outcome_time),
            25 => V::OptionalText(&self.outcome_times),
            26 => V::Text(&self.journal),
            27 => V::OptionalFloat(&self.propensity),
            28 => V::FloatList(&self.action_vector),
            29 => V::OptionalText(&self.caused_by),
            30 => V::OptionalText(&self.correlation),
            31 => V::OptionalText(&self.episode),
            32 => V::OptionalInt64(&self.step),
            33 => V::TextList(&self.prediction_names),
            34 => V::DoubleList(&self.predictions),
            _ => return None,
        })
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
        self.prediction_names.clear();
        self.predictions.clear();
    }
}

/// Named values as a JSON object; none if there are none.
fn named_values<'a, T: ColumnText>(values: impl Iterator<Item = (&'a str, f64)>) -> Option<T> {
    texts::named_values(values).map(|values| text(&values))
}

/// A text that is not worth remembering.
fn text<T: ColumnText>(text: &str) -> T {
    T::from(text)
}
