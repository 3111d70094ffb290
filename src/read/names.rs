//! From stored rows to entries with names in words.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::engine::format::block::StoredEntry;
use crate::engine::format::by_name_id::ByNameId;
use crate::engine::format::name::{LABEL_SEPARATOR, split_labels};
use crate::engine::format::row::{
    GapRow, InferenceRow, NameId, NameIds, Note, RepeatRow, Row, flag,
};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::extras::{Extras, OwnedExtras};
use crate::entry::floats;
use crate::entry::ids::RunId;
use crate::entry::prediction;
use crate::entry::record::{
    CheckpointEvent, Content, Entry, Gap, InferenceRecord, Probabilities, Repeat, SystemEvent,
};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::{TypedValue, ValueKind};
use crate::entry::value::Value;

type Labels = Arc<[Arc<str>]>;

/// Bytes of joined names of the values of an input, with escapes.
const MOST_FEATURE_NAMES: usize = 128 << 10;

/// The texts of the ids read so far. Names are only ever added, so cached ones stay true.
///
/// It is not the writer's dictionary: it answers from id to text, for many threads at once, and
/// memory is bounded by forgetting, because every text can be read again.
#[derive(Default)]
pub(super) struct ReaderDictionary {
    names: RwLock<ByNameId<Arc<str>>>,
    labels: RwLock<ByNameId<Labels>>,
    predictions: RwLock<ByNameId<Arc<str>>>,
}

impl ReaderDictionary {
    /// The name with this id.
    pub(super) fn name(&self, source: &Source, id: NameId) -> Result<Arc<str>> {
        if let Some(name) = read(&self.names).get(id) {
            return Ok(name.clone());
        }
        // Read without the lock, so that other threads find their names at the same time.
        let name = source.used_name(id)?;
        let mut names = write(&self.names);
        names.make_room();
        names.insert(id, name.clone(), name.len());
        drop(names);
        Ok(name)
    }

    fn labels(&self, source: &Source, id: NameId) -> Result<Labels> {
        if id == NameId::NONE {
            return Ok(Arc::new([]));
        }
        if let Some(labels) = read(&self.labels).get(id) {
            return Ok(labels.clone());
        }
        let joined = self.name(source, id)?;
        // A name of separators alone would ask for sixteen times its size.
        let separators = joined.matches(LABEL_SEPARATOR).take(floats::MOST).count();
        if separators == floats::MOST {
            return Err(Error::Corrupt {
                path: source.path().to_owned(),
                detail: format!("names: {id} joins more than {} labels", floats::MOST),
            });
        }
        let labels: Labels = split_labels(&joined).map(Into::into).collect();
        let bytes = joined.len().saturating_add(labels.len().saturating_mul(32));
        let mut known = write(&self.labels);
        known.make_room();
        known.insert(id, labels.clone(), bytes);
        drop(known);
        Ok(labels)
    }

    /// The prediction that is stored under this name.
    fn prediction(&self, source: &Source, id: NameId) -> Result<Arc<str>> {
        if let Some(name) = read(&self.predictions).get(id) {
            return Ok(name.clone());
        }
        let stored = self.name(source, id)?;
        let name: Arc<str> = prediction::prediction_of(&stored).into();
        let mut known = write(&self.predictions);
        known.make_room();
        known.insert(id, name.clone(), name.len());
        drop(known);
        Ok(name)
    }

    /// The names of the values of an input.
    pub(super) fn feature_names(&self, source: &Source, id: NameId) -> Result<Labels> {
        if let Some(names) = read(&self.labels).get(id) {
            return Ok(names.clone());
        }
        let joined = self.name(source, id)?;
        // A writer joins no more; a name of separators alone would ask for sixteen times its size.
        if joined.len() > MOST_FEATURE_NAMES {
            return Err(Error::Corrupt {
                path: source.path().to_owned(),
                detail: format!("names: {id} joins names of {} bytes", joined.len()),
            });
        }
        let names: Labels = split_labels(&joined).map(Into::into).collect();
        let bytes = joined.len().saturating_add(names.len().saturating_mul(32));
        let mut known = write(&self.labels);
        known.make_room();
        known.insert(id, names.clone(), bytes);
        drop(known);
        Ok(names)
    }

    /// The entry that `entry` is.
    pub(super) fn entry(&self, source: &Source, entry: StoredEntry) -> Result<Entry> {
        let sequence = entry.sequence;
        let recorded_time = entry.head.recorded;
        let content = match &entry.row {
            Row::Inference(row) => Content::Inference(self.inference(source, &entry, row)?),
            Row::Repeat(row) => Content::Repeat(self.repeat(source, &entry, row)?),
            Row::Note(Note::Gap(row)) => Content::Gap(Gap::new(sequence, row)),
            Row::Note(Note::SystemEvent(row)) => Content::SystemEvent(SystemEvent {
                run: RunId(row.run),
                level: row.level,
                component: self.name(source, row.component)?,
                message: row.message.clone(),
                fields: row.fields.clone(),
            }),
            Row::Note(Note::CheckpointEvent(row)) => Content::CheckpointEvent(CheckpointEvent {
                run: RunId(row.run),
                action: row.action,
                model: self.name(source, row.model)?,
                checkpoint: self.name(source, row.checkpoint)?,
                detail: row.detail.clone(),
            }),
            Row::Note(Note::Outcome(row)) => Content::Outcome(self.outcome(source, row)?),
        };
        Ok(Entry {
            sequence: sequence.get(),
            recorded_time,
            content,
        })
    }

    /// The inference that `entry` is; a repeat with its original's answer; `None` for others.
    pub(super) fn record(
        &self,
        source: &Source,
        entry: &StoredEntry,
    ) -> Result<Option<InferenceRecord>> {
        match &entry.row {
            Row::Inference(row) => self.inference(source, entry, row).map(Some),
            Row::Repeat(row) => {
                let repeat = self.repeat(source, entry, row)?;
                // The original may be retired or damaged: the repeat stands without what only it
                // has.
                let original = match source.find_readable(repeat.original)? {
                    Some(original) => match &original.row {
                        Row::Inference(row) => Some(self.inference(source, &original, row)?),
                        _ => None,
                    },
                    None => None,
                };
                let recorded = entry.head.recorded;
                let sequence = entry.sequence;
                Ok(Some(as_record(
                    repeat,
                    original.as_ref(),
                    sequence,
                    recorded,
                )))
            }
            Row::Note(_) => Ok(None),
        }
    }

    fn inference(
        &self,
        source: &Source,
        entry: &StoredEntry,
        row: &InferenceRow,
    ) -> Result<InferenceRecord> {
        let names = self.named(source, row.names)?;
        let extras = row
            .extras
            .as_deref()
            .map_or(Extras::NONE, OwnedExtras::as_extras);
        Ok(InferenceRecord {
            id: entry.head.id,
            sequence: entry.sequence.get(),
            event_time: entry.head.event,
            recorded_time: entry.head.recorded,
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            confidence: (row.flags & flag::NO_CONFIDENCE == 0).then_some(row.confidence),
            probabilities: Probabilities {
                labels: self.labels(source, row.labels)?,
                values: row.probabilities.clone(),
            },
            feature_hash: row.features,
            processing_time: processing_time(row.processing),
            memory: entry
                .memory
                .checked_sub(1)
                .map(|kib| kib.saturating_mul(1_024)),
            checkpoint: names.checkpoint,
            attributes: self.attributes(source, row)?,
            divergent: row.flags & flag::DIVERGENT != 0,
            repeat_of: None,
            propensity: extras.propensity,
            action_vector: extras.vector.to_vec(),
            caused_by: extras.cause,
            correlation: extras.correlation.map(Into::into),
            episode: extras.step.map(|(episode, _)| episode),
            step: extras.step.map(|(_, step)| step),
            predictions: self.predictions(source, row)?,
            blobs: row.blobs.iter().map(|(name, _)| name.clone()).collect(),
        })
    }

    /// Bound attributes, sorted by name, and then the others as they were given.
    fn attributes(&self, source: &Source, row: &InferenceRow) -> Result<Vec<(String, Value)>> {
        let mut attributes = Vec::new();
        for stored in &row.values {
            if stored.kind == ValueKind::Attribute {
                let name = self.name(source, stored.name)?;
                attributes.push((name.to_string(), stored.value.as_typed().to_value()));
            }
        }
        // Stored ones are in the order of their ids, which another journal gives differently.
        attributes.sort_by(|one, other| one.0.cmp(&other.0));
        attributes.extend(row.attributes.iter().cloned());
        Ok(attributes)
    }

    fn predictions(&self, source: &Source, row: &InferenceRow) -> Result<Vec<(Arc<str>, f64)>> {
        let mut predictions = Vec::new();
        for stored in &row.values {
            if let (ValueKind::Prediction, TypedValue::F64(number)) = (stored.kind, &stored.value) {
                predictions.push((self.prediction(source, stored.name)?, *number));
            }
        }
        // Stored ones are in the order of their ids, which another journal gives differently.
        predictions.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(predictions)
    }

    fn repeat(&self, source: &Source, entry: &StoredEntry, row: &RepeatRow) -> Result<Repeat> {
        let names = self.named(source, row.names)?;
        Ok(Repeat {
            id: entry.head.id,
            original: row.original,
            event_time: entry.head.event,
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            confidence: row.confidence,
            processing_time: processing_time(row.processing),
            checkpoint: names.checkpoint,
        })
    }

    /// The names of a decision if all are known: under one lock.
    fn known(&self, ids: NameIds) -> Option<DecisionNames> {
        let names = read(&self.names);
        let name = |id| names.get(id).cloned();
        Some(DecisionNames {
            model: name(ids.model)?,
            symbol: name(ids.symbol)?,
            action: name(ids.action)?,
            checkpoint: match ids.checkpoint {
                NameId::NONE => None,
                id => Some(name(id)?),
            },
        })
    }

    fn named(&self, source: &Source, ids: NameIds) -> Result<DecisionNames> {
        if let Some(known) = self.known(ids) {
            return Ok(known);
        }
        Ok(DecisionNames {
            model: self.name(source, ids.model)?,
            symbol: self.name(source, ids.symbol)?,
            action: self.name(source, ids.action)?,
            checkpoint: match ids.checkpoint {
                NameId::NONE => None,
                id => Some(self.name(source, id)?),
            },
        })
    }
}

/// The names of an inference or repeat, in words.
struct DecisionNames {
    model: Arc<str>,
    symbol: Arc<str>,
    action: Arc<str>,
    checkpoint: Option<Arc<str>>,
}

/// A repeat as an inference, completed from its original as far as that is still there.
fn as_record(
    repeat: Repeat,
    original: Option<&InferenceRecord>,
    sequence: Sequence,
    recorded_time: Timestamp,
) -> InferenceRecord {
    InferenceRecord {
        id: repeat.id,
        sequence: sequence.get(),
        event_time: repeat.event_time,
        recorded_time,
        model: repeat.model,
        symbol: repeat.symbol,
        action: repeat.action,
        confidence: repeat.confidence,
        probabilities: original.map_or_else(Probabilities::none, |original| {
            original.probabilities.clone()
        }),
        feature_hash: original.and_then(|original| original.feature_hash),
        processing_time: repeat.processing_time,
        memory: None,
        checkpoint: repeat.checkpoint,
        attributes: Vec::new(),
        divergent: false,
        repeat_of: Some(repeat.original),
        propensity: None,
        action_vector: Vec::new(),
        caused_by: None,
        correlation: None,
        episode: None,
        step: None,
        predictions: Vec::new(),
        blobs: Vec::new(),
    }
}

fn processing_time(stored: u64) -> Option<Duration> {
    stored.checked_sub(1).map(Duration::from_nanos)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Gap {
    /// The gap that is stored as `row`.
    pub(crate) fn new(sequence: Sequence, row: &GapRow) -> Self {
        Gap {
            sequence: sequence.get(),
            run: RunId(row.run),
            reason: row.reason,
            count: row.count,
            after: row.after,
            recorded_range: row.recorded_range,
            event_range: row.event_range,
            refusal: row.refusal.clone(),
        }
    }
}
