//! From stored rows to entries with names in words.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ahash::AHashMap;

use crate::engine::format::block::Placed;
use crate::engine::format::name::LABEL_SEPARATOR;
use crate::engine::format::numbered::Numbered;
use crate::engine::format::row::{
    GapRow, InferenceRow, NameId, Names, Note, RepeatRow, Row, Texts, flag,
};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::floats;
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::record::{
    CheckpointEvent, Content, Entry, Gap, InferenceRecord, Probabilities, Repeat, SystemEvent,
};
use crate::entry::timestamp::Timestamp;

type Labels = Arc<[Arc<str>]>;

/// The names read so far. Names are only ever added, so cached ones stay true.
#[derive(Default)]
pub(super) struct NameBook {
    names: RwLock<Numbered<Arc<str>>>,
    labels: RwLock<AHashMap<NameId, Labels>>,
}

impl NameBook {
    /// The name with this id, or the one that is written out beside it.
    pub(super) fn name(
        &self,
        source: &Source,
        id: NameId,
        written: Option<&str>,
    ) -> Result<Arc<str>> {
        if let Some(text) = written {
            return Ok(text.into());
        }
        if let Some(name) = read(&self.names).get(id) {
            return Ok(name.clone());
        }
        let (_, name) = source.name(id)?.ok_or_else(|| Error::Corrupt {
            path: source.path().to_owned(),
            detail: format!("names: {id} is used but not there"),
        })?;
        write(&self.names).insert(id, name.clone());
        Ok(name)
    }

    fn labels(&self, source: &Source, id: NameId, texts: Option<&Texts>) -> Result<Labels> {
        if let Some(labels) = texts.and_then(|texts| texts.labels.as_ref()) {
            return Ok(labels.iter().map(|label| label.as_str().into()).collect());
        }
        if id == 0 {
            return Ok(Arc::new([]));
        }
        if let Some(labels) = read(&self.labels).get(&id) {
            return Ok(labels.clone());
        }
        let joined = self.name(source, id, None)?;
        // A name of separators alone would ask for sixteen times its size.
        let separators = joined.matches(LABEL_SEPARATOR).take(floats::MOST).count();
        if separators == floats::MOST {
            return Err(Error::Corrupt {
                path: source.path().to_owned(),
                detail: format!("names: {id} joins more than {} labels", floats::MOST),
            });
        }
        let labels: Labels = joined.split(LABEL_SEPARATOR).map(Into::into).collect();
        write(&self.labels).insert(id, labels.clone());
        Ok(labels)
    }

    /// The entry that `placed` is.
    pub(super) fn entry(&self, source: &Source, placed: Placed) -> Result<Entry> {
        let sequence = placed.sequence;
        let recorded_time = Timestamp::from_micros(placed.place.recorded);
        let content = match &placed.row {
            Row::Inference(row) => Content::Inference(self.inference(source, &placed, row)?),
            Row::Repeat(row) => Content::Repeat(self.repeat(source, &placed, row)?),
            Row::Note(Note::Gap(row)) => Content::Gap(Gap::new(sequence, row)),
            Row::Note(Note::SystemEvent(row)) => Content::SystemEvent(SystemEvent {
                run: RunId(row.run),
                level: row.level,
                component: self.name(source, row.component, row.written.as_deref())?,
                message: row.message.clone(),
                fields: row.fields.clone(),
            }),
            Row::Note(Note::CheckpointEvent(row)) => Content::CheckpointEvent(CheckpointEvent {
                run: RunId(row.run),
                action: row.action,
                model: self.name(source, row.model, row.written.0.as_deref())?,
                checkpoint: self.name(source, row.checkpoint, row.written.1.as_deref())?,
                detail: row.detail.clone(),
            }),
            Row::Note(Note::Outcome(row)) => Content::Outcome(self.outcome(source, row)?),
        };
        Ok(Entry {
            sequence,
            recorded_time,
            content,
        })
    }

    /// The inference that `placed` is; a repeat with its original's answer; `None` for others.
    pub(super) fn record(
        &self,
        source: &Source,
        placed: Placed,
    ) -> Result<Option<InferenceRecord>> {
        match &placed.row {
            Row::Inference(row) => self.inference(source, &placed, row).map(Some),
            Row::Repeat(row) => {
                let repeat = self.repeat(source, &placed, row)?;
                let original = match source.find_readable(repeat.original.to_u64())? {
                    Some(original) => match &original.row {
                        Row::Inference(row) => Some(self.inference(source, &original, row)?),
                        _ => None,
                    },
                    None => None,
                };
                let recorded = Timestamp::from_micros(placed.place.recorded);
                let sequence = placed.sequence;
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
        placed: &Placed,
        row: &InferenceRow,
    ) -> Result<InferenceRecord> {
        let texts = row.texts.as_deref();
        let names = self.named(source, row.names, texts)?;
        Ok(InferenceRecord {
            id: InferenceId::from_u64(placed.place.id),
            sequence: placed.sequence,
            event_time: Timestamp::from_micros(placed.place.event),
            recorded_time: Timestamp::from_micros(placed.place.recorded),
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            confidence: (row.flags & flag::NO_CONFIDENCE == 0).then_some(row.confidence),
            probabilities: Probabilities {
                labels: self.labels(source, row.labels, texts)?,
                values: row.probabilities.clone(),
            },
            feature_hash: row.features,
            processing_time: processing_time(row.processing),
            memory: placed
                .memory
                .checked_sub(1)
                .map(|kib| kib.saturating_mul(1_024)),
            checkpoint: names.checkpoint,
            attributes: texts.map_or_else(Vec::new, |texts| texts.attributes.clone()),
            divergent: row.flags & flag::DIVERGENT != 0,
            repeat_of: None,
        })
    }

    fn repeat(&self, source: &Source, placed: &Placed, row: &RepeatRow) -> Result<Repeat> {
        let names = self.named(source, row.names, row.texts.as_deref())?;
        Ok(Repeat {
            id: InferenceId::from_u64(placed.place.id),
            original: InferenceId::from_u64(row.original),
            event_time: Timestamp::from_micros(placed.place.event),
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            confidence: row.confidence,
            processing_time: processing_time(row.processing),
            checkpoint: names.checkpoint,
        })
    }

    fn named(&self, source: &Source, ids: Names, texts: Option<&Texts>) -> Result<Named> {
        let written = Texts::written(texts);
        let has_checkpoint = ids.checkpoint != 0 || written.checkpoint.is_some();
        Ok(Named {
            model: self.name(source, ids.model, written.model)?,
            symbol: self.name(source, ids.symbol, written.symbol)?,
            action: self.name(source, ids.action, written.action)?,
            checkpoint: if has_checkpoint {
                Some(self.name(source, ids.checkpoint, written.checkpoint)?)
            } else {
                None
            },
        })
    }
}

/// The names of an inference or repeat, in words.
struct Named {
    model: Arc<str>,
    symbol: Arc<str>,
    action: Arc<str>,
    checkpoint: Option<Arc<str>>,
}

/// A repeat as an inference, completed from its original as far as that is still there.
fn as_record(
    repeat: Repeat,
    original: Option<&InferenceRecord>,
    sequence: u64,
    recorded_time: Timestamp,
) -> InferenceRecord {
    InferenceRecord {
        id: repeat.id,
        sequence,
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
    pub(crate) fn new(sequence: u64, row: &GapRow) -> Self {
        let times = |range: Option<(i64, i64)>| {
            range.map(|(first, last)| (Timestamp::from_micros(first), Timestamp::from_micros(last)))
        };
        Gap {
            sequence,
            run: RunId(row.run),
            reason: row.reason,
            count: row.count,
            after: row.after.map(InferenceId::from_u64),
            recorded_range: times(row.recorded_range),
            event_range: times(row.event_range),
            refusal: row.refusal.clone(),
        }
    }
}
