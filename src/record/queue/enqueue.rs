//! From an inference as the caller describes it to the record that is queued.

use std::thread;
use std::time::{Duration, Instant};

use super::Queue;
use super::channel::Numbered;
use super::lanes::Sent;
use super::local_names::{LocalName, NO_NAME};
use super::message::{
    Extended, Message, NO_PROCESSING, OtherEntry, QueuedValue, Record, Texts, TypedField,
};
use super::packing::{PLAIN, WITH_EXTRAS, pack, pack_any, pack_with_extras};
use super::refusals::{RefusalKind, Why};
use super::ring::Tag;
use super::typed::GivenValues;
use crate::engine::format::name::{LABEL_SEPARATOR, NameKind, join_labels};
use crate::entry::blob::{Blob, MOST_BLOB_NAME, MOST_BLOBS};
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::extras::{Extras, LONGEST_CORRELATION, TooLarge};
use crate::entry::floats::{INLINE, MOST};
use crate::entry::ids::InferenceId;
use crate::entry::inference::{Attributes, Inference, Processing};
use crate::entry::input::GivenInput;
use crate::entry::outcome::Outcome;
use crate::entry::prediction;
use crate::entry::redaction::RedactedPlace;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::{TypedValue, ValueKind};
use crate::entry::value::Value;
use crate::options::Overflow;

/// Time between two looks of a call whether its lane has room.
const LEAST_NAP: Duration = Duration::from_micros(50);
/// The same, after some looks.
const MOST_NAP: Duration = Duration::from_millis(1);
/// Text that one inference may carry, names and attributes together, in bytes.
pub(crate) const MOST_TEXT: usize = 1 << 20;
/// Weight of a probability's label besides its bytes.
pub(crate) const LABEL_OVERHEAD: usize = 64;

/// The names of an inference, in either form.
#[derive(Clone, Copy)]
pub(crate) struct GivenNames {
    pub(crate) model: LocalName,
    pub(crate) symbol: LocalName,
    pub(crate) action: LocalName,
    pub(crate) checkpoint: LocalName,
    pub(crate) labels: LocalName,
}

/// Fields of an inference besides its names and probabilities.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) confidence: Option<f32>,
    pub(crate) features: Option<u64>,
    pub(crate) processing: Processing,
    pub(crate) event_time: Option<Timestamp>,
    pub(crate) deterministic: bool,
}

/// What an inference carries that most do not, in a box.
pub(crate) struct Carried<'a> {
    pub(crate) extras: Extras<'a>,
    /// The input, if it is to be kept, and the names of its values.
    pub(crate) input: Option<(GivenInput<'a>, LocalName)>,
    pub(crate) blobs: &'a [Blob<'a>],
    pub(crate) values: Vec<TypedField>,
}

impl Facts {
    pub(super) fn event(&self) -> Option<i64> {
        self.event_time.map(Timestamp::as_micros)
    }
}

impl Queue {
    /// Queues an inference whose names are strings.
    #[inline]
    pub(crate) fn log<A: Attributes>(&self, inference: &Inference<'_, A>) -> Option<InferenceId> {
        let facts = Facts {
            confidence: inference.confidence_or_probability(),
            features: inference.features,
            processing: inference.processing,
            event_time: inference.event_time,
            deterministic: inference.deterministic,
        };
        let plain = inference.probabilities.len() <= INLINE
            && inference.memory.is_none()
            && inference.attributes.has_none()
            && inference.predictions.is_empty()
            && inference.input.is_none()
            && inference.blobs.is_empty();
        if plain && let Some(names) = self.names_of(inference) {
            let mut probabilities = [0.0; INLINE];
            for (slot, (_, value)) in probabilities.iter_mut().zip(inference.probabilities) {
                *slot = *value;
            }
            let count = inference.probabilities.len();
            let extras = inference.extras();
            if !extras.is_none() {
                let probabilities = (probabilities, count);
                return self.log_with_extras(
                    names,
                    facts,
                    probabilities,
                    extras,
                    GivenValues::NONE,
                );
            }
            return self.log_record(names, facts, probabilities, count);
        }
        self.log_extended(inference, facts)
    }

    /// Queues a decision that is plain but for its extras and typed values: in a lane without an
    /// allocation, if they are short.
    #[inline(never)]
    pub(crate) fn log_with_extras(
        &self,
        names: GivenNames,
        facts: Facts,
        (probabilities, count): ([f32; INLINE], usize),
        extras: Extras<'_>,
        values: GivenValues<'_>,
    ) -> Option<InferenceId> {
        let record = self.record(names, facts, probabilities, count);
        if let Err(what) = extras.check() {
            let known = self.names.text(names.model);
            let model = known.as_ref().map(|(_, name)| &**name);
            self.refuse_for(too_large(model, what), record.ticks, facts.event());
            return None;
        }
        let message = |values: Vec<TypedField>| {
            let probabilities = probabilities.get(..count).unwrap_or_default().into();
            Message::Extended(Box::new(Extended {
                record: Record {
                    probabilities: [0.0; INLINE],
                    probability_count: 0,
                    ..record
                },
                probabilities,
                memory: None,
                texts: None,
                extras: extras.to_owned(),
                input: None,
                values,
                blobs: Vec::new(),
            }))
        };
        let mut words = [0; WITH_EXTRAS];
        // A text passes the hook in a copy of its own, and may come back longer.
        if self.redactor.is_some() && values.has_text() {
            let mut fields = values.to_fields();
            self.redact_fields(&mut fields);
            let text = field_bytes(&fields);
            if text > MOST_TEXT {
                let known = self.names.text(names.model);
                let model = known.as_ref().map(|(_, name)| &**name);
                let why = too_long(model, "attributes", text);
                self.refuse_for(why, record.ticks, facts.event());
                return None;
            }
            return self.put(record.id, message(fields), record.ticks, facts.event());
        }
        let packed = self.lanes().and_then(|lanes| {
            let (tag, used) = pack_with_extras(&record, &extras, values, &mut words)?;
            Some((lanes, tag, words.get(..used)?))
        });
        let Some((lanes, tag, payload)) = packed else {
            let message = message(values.to_fields());
            return self.put(record.id, message, record.ticks, facts.event());
        };
        match lanes.send(self, tag, payload) {
            Sent::Queued => Some(InferenceId(record.id)),
            other => {
                let at = (record.ticks, facts.event());
                let message = message(values.to_fields());
                self.not_queued(other, (tag, payload), message, at.0, at.1)
            }
        }
    }

    /// Queues an inference whose names are numbers and whose probabilities fit in place.
    #[inline]
    pub(crate) fn log_record(
        &self,
        names: GivenNames,
        facts: Facts,
        probabilities: [f32; INLINE],
        count: usize,
    ) -> Option<InferenceId> {
        let record = self.record(names, facts, probabilities, count);
        self.send_record(record, facts)
    }

    #[inline]
    pub(super) fn send_record(&self, record: Record, facts: Facts) -> Option<InferenceId> {
        let Some(lanes) = self.lanes() else {
            let message = Message::Inference(record);
            return self.send(record.id, message, record.ticks, facts.event());
        };
        let mut words = [0; PLAIN];
        let (tag, used) = pack(&record, &mut words);
        match lanes.send(self, tag, words.get(..used).unwrap_or_default()) {
            Sent::Queued => Some(InferenceId(record.id)),
            other => {
                let message = Message::Inference(record);
                let payload = words.get(..used).unwrap_or_default();
                self.not_queued(other, (tag, payload), message, record.ticks, facts.event())
            }
        }
    }

    /// Queues a message, in whichever way, or counts it as dropped.
    #[cold]
    fn put(
        &self,
        id: u64,
        message: Message,
        ticks: u64,
        event: Option<i64>,
    ) -> Option<InferenceId> {
        let Some(lanes) = self.lanes() else {
            return self.send(id, message, ticks, event);
        };
        let mut message = message;
        let (tag, payload) = pack_any(&message);
        let mut sent = lanes.send(self, tag, &payload);
        if sent == Sent::Full {
            sent = self.wait_for_room(|| lanes.send(self, tag, &payload));
        }
        let given_up = match sent {
            Sent::Full => message.give_up_inputs(),
            _ => 0,
        };
        if given_up > 0 {
            // The decision may still have room. Its call has waited for its input.
            self.inputs.count_full(given_up);
            let (tag, payload) = pack_any(&message);
            sent = lanes.send(self, tag, &payload);
        }
        match sent {
            Sent::Queued => Some(InferenceId(id)),
            other => self.not_sent(other, message, ticks, event),
        }
    }

    /// As [`Overflow`] says: tries `send` again and again until there is room in the lane.
    #[cold]
    pub(super) fn wait_for_room(&self, mut send: impl FnMut() -> Sent) -> Sent {
        let mut sent = Sent::Full;
        if let Overflow::Block { timeout } = self.overflow() {
            let began = Instant::now();
            let mut nap = LEAST_NAP;
            while sent == Sent::Full && began.elapsed() < timeout {
                self.wake_writer();
                // Nothing tells when there is room: a thread that could be told would cost every
                // call of the others.
                thread::sleep(nap.min(timeout.saturating_sub(began.elapsed())));
                nap = (nap * 2).min(MOST_NAP);
                sent = send();
            }
        }
        sent
    }

    /// A record that its lane has not taken: waits for room, goes by the channel, or is counted as
    /// dropped.
    #[cold]
    pub(super) fn not_queued(
        &self,
        sent: Sent,
        (tag, payload): (Tag, &[u64]),
        message: Message,
        ticks: u64,
        event: Option<i64>,
    ) -> Option<InferenceId> {
        let lanes = self.lanes()?;
        let mut sent = sent;
        if sent == Sent::Full {
            sent = self.wait_for_room(|| lanes.send(self, tag, payload));
        }
        self.not_sent(sent, message, ticks, event)
    }

    /// The end of a call whose lane has not taken its record, after all waiting: it goes by the
    /// channel, or is counted as dropped.
    #[cold]
    pub(super) fn not_sent(
        &self,
        sent: Sent,
        message: Message,
        ticks: u64,
        event: Option<i64>,
    ) -> Option<InferenceId> {
        let (lanes, id) = (self.lanes()?, message.id()?);
        let id = match sent {
            Sent::Queued => return Some(InferenceId(id)),
            Sent::Stranded => None,
            Sent::Closed => {
                self.count_closed(1);
                None
            }
            Sent::Full => {
                self.wake_writer();
                self.lose(ticks, event);
                None
            }
            Sent::NoLane => {
                let sent = self.send(id, message, ticks, event);
                // Only the spool outlives this process, so the writer puts it there soon.
                if !lanes.is_watched() {
                    self.wake_writer();
                }
                sent
            }
        };
        if id.is_none() {
            self.note_losses();
        }
        id
    }

    /// Notes all losses where they outlive this process.
    #[cold]
    pub(crate) fn note_losses(&self) {
        if let Some(lanes) = self.lanes() {
            lanes.note_losses(self.losses());
        }
    }

    #[inline]
    pub(super) fn record(
        &self,
        names: GivenNames,
        facts: Facts,
        probabilities: [f32; INLINE],
        count: usize,
    ) -> Record {
        let ticks = self.clock.ticks();
        let processing = match facts.processing {
            Processing::Unknown => NO_PROCESSING,
            Processing::Since(timer) => self.clock.nanos_between(timer.ticks, ticks),
            Processing::Known(time) => {
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                // The largest value stands for unknown.
                nanos.min(NO_PROCESSING - 1)
            }
        };
        Record {
            // Ends in a send or in a refusal, or the accounts would not close.
            id: self.take_id(),
            ticks,
            event: facts.event_time.map_or(0, Timestamp::as_micros),
            features: facts.features.unwrap_or(0),
            processing,
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            checkpoint: names.checkpoint,
            labels: names.labels,
            confidence: facts.confidence.unwrap_or(f32::NAN),
            probabilities,
            probability_count: u8::try_from(count).unwrap_or(u8::MAX),
            has_event: facts.event_time.is_some(),
            has_features: facts.features.is_some(),
            has_confidence: facts.confidence.is_some(),
            is_deterministic: facts.deterministic,
            is_input_given_up: false,
        }
    }

    #[inline]
    fn names_of<A>(&self, inference: &Inference<'_, A>) -> Option<GivenNames> {
        let known = self.names.with_thread(|names| {
            Some(GivenNames {
                model: names.find(NameKind::Model, inference.model)?,
                symbol: names.find(NameKind::Symbol, inference.symbol)?,
                action: names.find(NameKind::Action, inference.action)?,
                checkpoint: match inference.checkpoint {
                    Some(id) => names.find(NameKind::Checkpoint, id)?,
                    None => NO_NAME,
                },
                labels: match inference.probabilities {
                    [] => NO_NAME,
                    entries => names.find_labels(entries.iter().map(|entry| entry.0))?,
                },
            })
        });
        // Out of line: the way with known names stays small enough to be inlined.
        known.flatten().or_else(|| self.new_names_of(inference))
    }

    /// The names of an inference of which some are new to this thread, or other labels than the
    /// last one's.
    #[inline(never)]
    fn new_names_of<A>(&self, inference: &Inference<'_, A>) -> Option<GivenNames> {
        Some(GivenNames {
            model: self.names.id(NameKind::Model, inference.model)?,
            symbol: self.names.id(NameKind::Symbol, inference.symbol)?,
            action: self.names.id(NameKind::Action, inference.action)?,
            checkpoint: match inference.checkpoint {
                Some(id) => self.names.id(NameKind::Checkpoint, id)?,
                None => NO_NAME,
            },
            labels: match inference.probabilities {
                [] => NO_NAME,
                entries => self.names.labels_id(entries.iter().map(|entry| entry.0))?,
            },
        })
    }

    #[cold]
    fn log_extended<A: Attributes>(
        &self,
        inference: &Inference<'_, A>,
        facts: Facts,
    ) -> Option<InferenceId> {
        if inference.probabilities.len() > MOST {
            let given = inference.probabilities.len();
            let model = Some(inference.model);
            self.refuse_call(too_many(model, "probabilities", given), facts);
            return None;
        }
        let mut texts = Texts::default();
        let name = |kind, text: &str, written: &mut Option<String>| {
            self.names.id(kind, text).unwrap_or_else(|| {
                *written = Some(text.to_owned());
                NO_NAME
            })
        };
        let labels = inference.probabilities.iter().map(|entry| entry.0);
        let names = GivenNames {
            model: name(NameKind::Model, inference.model, &mut texts.model),
            symbol: name(NameKind::Symbol, inference.symbol, &mut texts.symbol),
            action: name(NameKind::Action, inference.action, &mut texts.action),
            checkpoint: inference.checkpoint.map_or(NO_NAME, |id| {
                name(NameKind::Checkpoint, id, &mut texts.checkpoint)
            }),
            labels: if inference.probabilities.is_empty() {
                NO_NAME
            } else {
                self.names.labels_id(labels.clone()).unwrap_or_else(|| {
                    texts.labels = Some(join_labels(labels));
                    NO_NAME
                })
            },
        };
        texts.attributes = inference.attributes.to_owned_pairs();
        let probabilities = inference.probabilities.iter().map(|entry| entry.1);
        self.send_extended(
            names,
            facts,
            probabilities.collect(),
            inference.memory,
            texts,
            Carried {
                extras: inference.extras(),
                input: inference.input.map(|input| (input, NO_NAME)),
                values: self.predictions_of(inference),
                blobs: inference.blobs,
            },
        )
    }

    /// Under each name the last one.
    fn predictions_of<A: Attributes>(&self, inference: &Inference<'_, A>) -> Vec<TypedField> {
        let owned = inference.attributes.owned_predictions();
        let mut fields: Vec<TypedField> = Vec::new();
        for (name, number) in inference.predictions.iter().chain(owned) {
            let name = prediction::actual_of(name);
            let local = self.names.id(NameKind::OutcomeName, &name);
            let field = TypedField {
                kind: ValueKind::Prediction,
                name: local.unwrap_or(NO_NAME),
                written: local.is_none().then(|| name.into()),
                value: TypedValue::F64(*number),
            };
            let same =
                |known: &TypedField| (known.name, &known.written) == (field.name, &field.written);
            match fields
                .iter()
                .position(same)
                .and_then(|place| fields.get_mut(place))
            {
                Some(known) => known.value = field.value,
                None => fields.push(field),
            }
            // One more than there is room for is enough for the refusal.
            if fields.len() > MOST {
                break;
            }
        }
        fields
    }

    /// Queues an inference with something that a record has no room for, in a box.
    #[cold]
    pub(crate) fn send_extended(
        &self,
        names: GivenNames,
        facts: Facts,
        probabilities: Box<[f32]>,
        memory: Option<u64>,
        mut texts: Texts,
        carried: Carried<'_>,
    ) -> Option<InferenceId> {
        let Carried {
            extras,
            input,
            blobs,
            mut values,
        } = carried;
        let mut record = self.record(names, facts, [0.0; INLINE], 0);
        if let Some(redactor) = &self.redactor {
            redactor.pairs(RedactedPlace::Attribute, &mut texts.attributes);
        }
        self.redact_fields(&mut values);
        let (checked, blobs_refused) = (extras.check(), refusal_of(blobs));
        let text = text_bytes(&texts).saturating_add(field_bytes(&values));
        let predictions = values
            .iter()
            .filter(|field| field.kind == ValueKind::Prediction);
        let predictions = predictions.count();
        let most = probabilities.len().max(predictions);
        if most > MOST || text > MOST_TEXT || checked.is_err() || blobs_refused.is_some() {
            let known = self.names.text(names.model);
            let model = known.as_ref().map(|(_, name)| &**name);
            let model = texts.model.as_deref().or(model);
            let why = if let Err(what) = checked {
                too_large(model, what)
            } else if let Some(why) = blobs_refused {
                Why { model, ..why }
            } else if probabilities.len() > MOST {
                too_many(model, "probabilities", probabilities.len())
            } else if predictions > MOST {
                too_many(model, "predictions", predictions)
            } else {
                too_long(model, largest(&texts), text)
            };
            self.refuse_for(why, record.ticks, facts.event());
            return None;
        }
        let given = input.filter(|_| self.inputs.is_on());
        let input = given.and_then(|(input, names)| {
            let bytes = self.redacted(input)?;
            let input = GivenInput {
                bytes: &bytes,
                ..input
            };
            self.inputs.copy(input, names)
        });
        record.is_input_given_up = given.is_some() && input.is_none();
        let blobs = blobs.iter().filter(|_| self.inputs.is_on());
        let extended = Extended {
            record,
            probabilities,
            memory,
            texts: (texts != Texts::default()).then(|| Box::new(texts)),
            extras: extras.to_owned(),
            input,
            values,
            blobs: blobs.map(|blob| self.queued_blob(blob)).collect(),
        };
        let message = Message::Extended(Box::new(extended));
        self.put(record.id, message, record.ticks, facts.event())
    }

    /// Queues a system event; returns whether it was queued.
    pub(crate) fn system_event(
        &self,
        level: Level,
        component: &str,
        mut message: String,
        mut fields: Vec<(String, Value)>,
    ) -> bool {
        let (id, ticks) = (self.take_id(), self.clock.ticks());
        if let Some(redactor) = &self.redactor {
            redactor.text(RedactedPlace::Message, component, &mut message);
            redactor.pairs(RedactedPlace::Field, &mut fields);
        }
        let text: usize = fields
            .iter()
            .map(|(key, value)| attribute_bytes(key, value))
            .sum();
        let text = text + message.len() + component.len();
        if text > MOST_TEXT {
            let field = format!("system event of {component}");
            self.refuse_for(too_long(None, &field, text), ticks, None);
            return false;
        }
        let name = self.names.id(NameKind::Component, component);
        let event = OtherEntry::System {
            ticks,
            level,
            component: name.unwrap_or(NO_NAME),
            written: name.is_none().then(|| component.to_owned()),
            message,
            fields,
        };
        let message = Message::Other(id, Box::new(event));
        self.put(id, message, ticks, None).is_some()
    }

    /// Queues a checkpoint event; returns whether it was queued.
    pub(crate) fn checkpoint_event(
        &self,
        action: CheckpointAction,
        model: &str,
        checkpoint: &str,
        detail: &str,
    ) -> bool {
        let (id, ticks) = (self.take_id(), self.clock.ticks());
        let mut detail = detail.to_owned();
        if let Some(redactor) = &self.redactor {
            redactor.text(RedactedPlace::Detail, model, &mut detail);
        }
        let text = model.len() + checkpoint.len() + detail.len();
        if text > MOST_TEXT {
            let parts = [
                ("model", model),
                ("checkpoint", checkpoint),
                ("detail", detail.as_str()),
            ];
            let largest = parts.into_iter().max_by_key(|(_, text)| text.len());
            let field = largest.map_or("detail", |(field, _)| field);
            self.refuse_for(too_long(Some(model), field, text), ticks, None);
            return false;
        }
        let names = (
            self.names.id(NameKind::Model, model),
            self.names.id(NameKind::Checkpoint, checkpoint),
        );
        let event = OtherEntry::Checkpoint {
            ticks,
            action,
            model: names.0.unwrap_or(NO_NAME),
            checkpoint: names.1.unwrap_or(NO_NAME),
            written: (
                names.0.is_none().then(|| model.to_owned()),
                names.1.is_none().then(|| checkpoint.to_owned()),
            ),
            detail,
        };
        let message = Message::Other(id, Box::new(event));
        self.put(id, message, ticks, None).is_some()
    }

    /// Queues an outcome of the inference `of`; returns whether it was queued.
    pub(crate) fn outcome(&self, of: InferenceId, outcome: &Outcome<'_>) -> bool {
        let (id, ticks) = (self.take_id(), self.clock.ticks());
        let names = outcome.values.iter().map(|(name, _)| name.len());
        let label = outcome.label.map(|label| {
            let mut label = label.to_owned();
            if let Some(redactor) = &self.redactor {
                redactor.text(RedactedPlace::Label, "", &mut label);
            }
            label
        });
        let text = label.as_ref().map_or(0, String::len) + names.sum::<usize>();
        if text > MOST_TEXT || outcome.values.len() > MOST {
            let why = if text > MOST_TEXT {
                too_long(None, "outcome", text)
            } else {
                too_many(None, "outcome values", outcome.values.len())
            };
            self.refuse_for(why, ticks, None);
            return false;
        }
        let built_in = [
            outcome.reward.map(QueuedValue::Reward),
            outcome.correct.map(QueuedValue::Correct),
            label.map(QueuedValue::Label),
        ];
        let named = outcome.values.iter().map(|(name, value)| {
            match self.names.id(NameKind::OutcomeName, name) {
                Some(id) => QueuedValue::Named(id, *value),
                None => QueuedValue::Written(name.clone().into_owned(), *value),
            }
        });
        let event = OtherEntry::Outcome {
            ticks,
            of: of.to_u64(),
            time: outcome.time.map(Timestamp::as_micros),
            values: built_in.into_iter().flatten().chain(named).collect(),
        };
        let message = Message::Other(id, Box::new(event));
        self.put(id, message, ticks, None).is_some()
    }

    /// Counts a call that cannot be recorded as it was given.
    #[cold]
    pub(crate) fn refuse_call(&self, why: Why<'_>, facts: Facts) {
        self.take_id();
        self.refuse_for(why, self.clock.ticks(), facts.event());
    }

    /// Counts an event, whose id is taken, that cannot be recorded as it was given.
    #[cold]
    fn refuse_for(&self, why: Why<'_>, ticks: u64, event: Option<i64>) {
        // After the closing it is lost for that reason.
        if !self.is_closed() {
            self.refusals.add(why);
        }
        self.refuse(ticks, event);
        self.note_losses();
    }
}

fn too_many<'a>(model: Option<&'a str>, field: &'a str, given: usize) -> Why<'a> {
    Why {
        kind: RefusalKind::TooMany,
        model,
        field,
        given,
        most: MOST,
    }
}

/// Why a decision with these blobs cannot be recorded, if it cannot.
fn refusal_of<'a>(blobs: &[Blob<'_>]) -> Option<Why<'a>> {
    if blobs.len() > MOST_BLOBS {
        return Some(Why {
            most: MOST_BLOBS,
            ..too_many(None, "blobs", blobs.len())
        });
    }
    let longest = blobs.iter().map(|blob| blob.name.len()).max()?;
    (longest > MOST_BLOB_NAME).then(|| Why {
        most: MOST_BLOB_NAME,
        ..too_long(None, "name of a blob", longest)
    })
}

fn too_large(model: Option<&str>, what: TooLarge) -> Why<'_> {
    match what {
        TooLarge::Vector(given) => too_many(model, "action vector", given),
        TooLarge::Correlation(given) => Why {
            most: LONGEST_CORRELATION,
            ..too_long(model, "correlation", given)
        },
    }
}

fn too_long<'a>(model: Option<&'a str>, field: &'a str, given: usize) -> Why<'a> {
    Why {
        kind: RefusalKind::TooLong,
        model,
        field,
        given,
        most: MOST_TEXT,
    }
}

/// Which of the texts takes the most room; an attribute is known by its key.
fn largest(texts: &Texts) -> &str {
    let names = [
        ("model", &texts.model),
        ("symbol", &texts.symbol),
        ("action", &texts.action),
        ("checkpoint", &texts.checkpoint),
    ];
    let names = names
        .into_iter()
        .map(|(field, text)| (field, text.as_ref().map_or(0, String::len)));
    let labels = texts.labels.as_deref().map_or(0, label_bytes);
    let attributes = texts.attributes.iter();
    let attributes = attributes.map(|(key, value)| (key.as_str(), attribute_bytes(key, value)));
    let parts = names.chain([("labels", labels)]).chain(attributes);
    parts
        .max_by_key(|(_, bytes)| *bytes)
        .map_or("texts", |(field, _)| field)
}

/// Weight of the texts of typed values.
fn field_bytes(values: &[TypedField]) -> usize {
    let bytes = |field: &TypedField| {
        field.value.as_typed().text_bytes() + field.written.as_deref().map_or(0, str::len)
    };
    values.iter().map(bytes).sum()
}

fn text_bytes(texts: &Texts) -> usize {
    let names = [
        &texts.model,
        &texts.symbol,
        &texts.action,
        &texts.checkpoint,
    ];
    let names = names.into_iter().flatten().map(String::len);
    let labels = texts.labels.as_deref().map(label_bytes);
    let attributes = texts.attributes.iter();
    let attributes = attributes.map(|(key, value)| attribute_bytes(key, value));
    names.chain(labels).chain(attributes).sum()
}

/// Weight of joined labels.
fn label_bytes(joined: &str) -> usize {
    let labels = joined.matches(LABEL_SEPARATOR).count() + 1;
    joined.len() + labels * LABEL_OVERHEAD
}

/// Weight of an attribute.
pub(crate) fn attribute_bytes(key: &str, value: &Value) -> usize {
    // Lengths and tags count too, as generously as the limit on decoding counts them.
    const OVERHEAD: usize = 64;
    let text = match value {
        Value::Text(text) => text.len(),
        _ => 0,
    };
    OVERHEAD + key.len() + text
}
