//! From queued messages to encoded rows: names translated, repeats recognised, times anchored.

use ahash::AHashSet;

use super::dedup::{AnswerBits, Dedup, Fingerprint, Question, Verdict};
use super::dictionary::WriterDictionary;
use crate::engine::format::block::{Block, BlockEncoder, RowHead, StoredDecision};
use crate::engine::format::merge::merged;
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{
    BlobRow, CheckpointEventRow, GapRow, InputRef, NameId, NameIds, Note, OutcomeRow, OutcomeValue,
    RepeatRow, StoredValue, SystemEventRow, flag,
};
use crate::engine::inputs::store::{InputStore, InputsCommit};
use crate::engine::runs::{RunDelta, RunDeltas};
use crate::entry::clock::Anchor;
use crate::entry::event::Level;
use crate::entry::extras::Extras;
use crate::entry::gap::{GapReason, Refusal};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::input::Condition;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::ValueKind;
use crate::entry::value::Value;
use crate::record::queue::drop_counters::Drops;
use crate::record::queue::input_queue::{QueuedBlob, QueuedInput};
use crate::record::queue::local_names::NO_NAME;
use crate::record::queue::message::{
    Message, NO_PROCESSING, OtherEntry, QueuedValue, Record, Texts, TypedField, name_kind,
};
use crate::record::status::BatchCounts;

/// Divergences that are reported; later ones are counted only.
const MOST_REPORTED: usize = 4_096;

/// Rows encoded for the next commit, and their weight.
pub(crate) struct Batch {
    encoder: BlockEncoder,
    dedup: Dedup,
    /// `None` where none can be kept.
    inputs: Option<InputStore>,
    /// The question of each message of this slice; kept, so that this allocates once.
    questions: Vec<Option<Fingerprint>>,
    counts: BatchCounts,
    /// The run of the counted events.
    deltas: RunDeltas,
    run: RunId,
    /// Models and checkpoints (as in a [`Question`]) whose divergence has been reported.
    reported: AHashSet<(NameId, NameId)>,
    /// Events of the journal itself that are not counted as offered yet.
    own: u64,
    /// Events that no reader could decode, and that a gap stands for.
    refused: u64,
    /// How many of the encoder's blocks are in the spool.
    spooled: usize,
    /// How many of the counted events the spool may have.
    spooled_events: u64,
}

/// Readings of the clocks and the process for one drain of the queue.
#[derive(Clone, Copy)]
pub(crate) struct Readings {
    pub(crate) anchor: Anchor,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
}

impl Batch {
    pub(crate) fn new(run: RunId, dedup: Dedup) -> Self {
        Batch {
            encoder: BlockEncoder::default(),
            dedup,
            inputs: None,
            questions: Vec::new(),
            counts: BatchCounts::default(),
            deltas: RunDeltas::default(),
            run,
            reported: AHashSet::new(),
            own: 0,
            refused: 0,
            spooled: 0,
            spooled_events: 0,
        }
    }

    /// Keeps inputs there.
    pub(crate) fn keep_inputs(&mut self, inputs: InputStore) {
        self.inputs = Some(inputs);
    }

    /// The inputs since the last call, for the commit of the decisions that have them.
    pub(crate) fn take_inputs(&mut self) -> InputsCommit {
        let inputs = self.inputs.as_mut();
        inputs.map_or_else(|| InputsCommit::of(0), InputStore::take)
    }

    /// Whether there are inputs that no commit has.
    pub(crate) fn has_inputs(&self) -> bool {
        self.inputs.as_ref().is_some_and(InputStore::has_pending)
    }

    /// Those of a commit could not be made durable: later ones of the same file are lost, too.
    pub(crate) fn give_inputs_up(&mut self) {
        self.inputs.iter_mut().for_each(InputStore::give_up);
    }

    fn keep_input(&mut self, input: &QueuedInput, names: &WriterDictionary) -> InputRef {
        let inputs = self.inputs.as_mut();
        let number = inputs.and_then(|inputs| inputs.keep(input.kind, &input.bytes));
        number.map_or(InputRef::GivenUp, |number| InputRef::Kept {
            number,
            names: names.get(input.names),
        })
    }

    fn keep_blob(&mut self, blob: &QueuedBlob) -> BlobRow {
        let (inputs, content) = (self.inputs.as_mut(), blob.content.as_ref());
        let both = inputs.zip(content);
        let number = both.and_then(|(inputs, content)| inputs.keep(content.kind, &content.bytes));
        (blob.name.clone(), number)
    }

    /// Whether something is encoded that the spool does not have.
    pub(crate) fn has_unspooled(&mut self) -> bool {
        self.encoder.finished().len() > self.spooled
    }

    /// The blocks that are not in the spool yet; the one that was begun ends here.
    pub(crate) fn unspooled(&mut self) -> &[Block] {
        let spooled = self.spooled;
        self.encoder.finished().get(spooled..).unwrap_or_default()
    }

    /// They are in the spool now.
    pub(crate) fn mark_spooled(&mut self) {
        self.spooled = self.encoder.finished().len();
        self.spooled_events = self.counts.events;
    }

    /// Events that the spool has, or would have if it could be written.
    pub(super) fn spooled_events(&self) -> u64 {
        self.spooled_events.min(self.counts.events)
    }

    /// Later events belong to `run`.
    pub(crate) fn move_to_run(&mut self, run: RunId) {
        self.run = run;
        if let Some(inputs) = &mut self.inputs {
            inputs.move_to_run(run);
        }
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.encoder.pending_bytes()
    }

    /// How many events of its own the batch has made since the last call. They are to be counted
    /// as offered, or the accounts would not close.
    pub(crate) fn take_own(&mut self) -> u64 {
        std::mem::take(&mut self.own)
    }

    /// How many events the encoder has refused since the last call.
    pub(crate) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    pub(crate) fn events(&self) -> u64 {
        self.counts.events
    }

    /// Everything encoded since the last call, for one commit: blocks, counts and the runs'
    /// shares of them.
    pub(crate) fn take(&mut self) -> (Vec<Block>, BatchCounts, Vec<RunDelta>) {
        let mut blocks = self.encoder.take();
        // The spool cuts blocks short; a commit has few long ones.
        if std::mem::take(&mut self.spooled) > 0 {
            blocks = merged(blocks);
        }
        self.spooled_events = 0;
        let counts = std::mem::take(&mut self.counts);
        (blocks, counts, self.deltas.take())
    }

    /// Counts one event for `run`; `id` is none if it has none.
    fn count(&mut self, run: RunId, id: InferenceId) {
        self.counts.events += 1;
        self.deltas.of(run).count(id);
    }

    pub(crate) fn push_gap(
        &mut self,
        reason: GapReason,
        lost: Drops,
        refusal: Option<Refusal>,
        anchor: Anchor,
    ) {
        let (recorded, note) = gap(self.run, reason, lost, refusal, anchor);
        let noted = self.encoder.note(recorded, &note);
        debug_assert!(noted.is_ok(), "a gap takes some fifty bytes");
        self.counts.gaps += lost.count;
    }

    /// Leaves a gap for an event of `run` that was counted, and that the encoder refused.
    #[cold]
    fn refuse(&mut self, run: RunId, recorded: Timestamp, event: Timestamp) {
        // It was counted when it was taken up. Each call ends in one count.
        self.counts.events -= 1;
        let delta = self.deltas.of(run);
        delta.events = delta.events.saturating_sub(1);
        let row = GapRow {
            run: run.get(),
            reason: GapReason::Refused,
            count: Some(1),
            after: None,
            recorded_range: Some((recorded, recorded)),
            event_range: Some((event, event)),
            refusal: None,
        };
        let noted = self.encoder.note(recorded, &Note::Gap(row));
        debug_assert!(noted.is_ok(), "a gap takes some fifty bytes");
        self.counts.gaps += 1;
        self.refused += 1;
    }

    /// Encodes an entry without an id that was counted, or leaves a gap for it.
    fn push_note(&mut self, recorded: Timestamp, note: &Note) {
        if self.encoder.note(recorded, note).is_err() {
            self.refuse(self.run, recorded, recorded);
        }
    }

    /// Encodes all of `messages`, and leaves none.
    pub(crate) fn push(
        &mut self,
        messages: &mut Vec<Message>,
        names: &WriterDictionary,
        readings: Readings,
    ) {
        let mut questions = std::mem::take(&mut self.questions);
        // Two passes: the first one only touches the table, so that its memory is in the cache when
        // the second one compares.
        questions.extend(messages.iter().map(|message| self.fetch(message, names)));
        for (message, question) in messages.drain(..).zip(questions.drain(..)) {
            self.push_one(message, question, names, readings);
        }
        self.questions = questions;
    }

    /// The question of `message`; its answer is fetched from memory in the background.
    #[inline]
    fn fetch(&self, message: &Message, names: &WriterDictionary) -> Option<Fingerprint> {
        match message {
            Message::Inference(record) if record.has_features && !self.dedup.is_off() => {
                Some(self.dedup.fetch(Question {
                    model: names.get(record.model).into(),
                    symbol: names.get(record.symbol).into(),
                    checkpoint: names.get(record.checkpoint).into(),
                    features: record.features,
                }))
            }
            _ => None,
        }
    }

    fn push_one(
        &mut self,
        message: Message,
        question: Option<Fingerprint>,
        names: &WriterDictionary,
        readings: Readings,
    ) {
        match message {
            // A record is a hundred bytes: it is read where it lies.
            Message::Inference(ref record) => {
                let count = usize::from(record.probability_count);
                let probabilities = record.probabilities.get(..count).unwrap_or_default();
                let stored = stored(
                    record,
                    probabilities,
                    readings.memory,
                    None,
                    names,
                    readings,
                );
                self.push_inference(stored, (question, None), record, names, readings);
            }
            Message::Extended(extended) => {
                let memory = extended
                    .memory
                    .map_or(readings.memory, |bytes| (bytes / 1_024).saturating_add(1));
                let (record, texts) = (&extended.record, extended.texts.as_deref());
                let probabilities = &extended.probabilities;
                let mut stored = stored(record, probabilities, memory, texts, names, readings);
                if let Some(extras) = &extended.extras {
                    stored.extras = extras.as_extras();
                }
                let mut conditional = None;
                match &extended.input {
                    Some(input) if input.condition == Condition::None => {
                        stored.input = self.keep_input(input, names);
                    }
                    other => conditional = other.as_ref(),
                }
                let values = stored_values(extended.values, names);
                stored.values = &values;
                let blobs: Vec<BlobRow> = extended
                    .blobs
                    .iter()
                    .map(|blob| self.keep_blob(blob))
                    .collect();
                stored.blobs = &blobs;
                let question = self.question(&stored);
                let judged = (question, conditional);
                self.push_inference(stored, judged, record, names, readings);
            }
            Message::Other(_, event) => self.push_event(*event, names, readings.anchor),
        }
    }

    fn push_event(&mut self, event: OtherEntry, names: &WriterDictionary, anchor: Anchor) {
        self.count(self.run, InferenceId::NONE);
        match event {
            OtherEntry::System {
                ticks,
                level,
                component,
                written,
                message,
                fields,
            } => {
                let written = written.as_deref();
                let row = SystemEventRow {
                    run: self.run.get(),
                    level,
                    component: names.of(NameKind::Component, component, written),
                    message,
                    fields,
                };
                let recorded = anchor.wall_of(ticks);
                self.push_note(recorded, &Note::SystemEvent(row));
            }
            OtherEntry::Checkpoint {
                ticks,
                action,
                model,
                checkpoint,
                written: (of_model, of_checkpoint),
                detail,
            } => {
                let (of_model, of_checkpoint) = (of_model.as_deref(), of_checkpoint.as_deref());
                let row = CheckpointEventRow {
                    run: self.run.get(),
                    action,
                    model: names.of(NameKind::Model, model, of_model),
                    checkpoint: names.of(NameKind::Checkpoint, checkpoint, of_checkpoint),
                    detail,
                };
                let recorded = anchor.wall_of(ticks);
                self.push_note(recorded, &Note::CheckpointEvent(row));
            }
            OtherEntry::Outcome {
                ticks,
                of,
                time,
                values,
            } => {
                let kind = NameKind::OutcomeName;
                let values = values.into_iter().map(|value| match value {
                    QueuedValue::Reward(reward) => OutcomeValue::Reward(reward),
                    QueuedValue::Correct(correct) => OutcomeValue::Correct(correct),
                    QueuedValue::Label(label) => OutcomeValue::Label(label),
                    QueuedValue::Named(local, value) => {
                        OutcomeValue::Named(names.get(local), value)
                    }
                    QueuedValue::Written(text, value) => {
                        OutcomeValue::Named(names.of(kind, NO_NAME, Some(&text)), value)
                    }
                });
                let recorded = anchor.wall_of(ticks);
                let row = OutcomeRow {
                    run: self.run.get(),
                    of: InferenceId::from_u64(of),
                    time: time.map_or(recorded, Timestamp),
                    values: values.collect(),
                    is_undated: false,
                };
                self.push_note(recorded, &Note::Outcome(row));
            }
        }
    }

    fn push_inference(
        &mut self,
        mut stored: StoredDecision<'_>,
        // With an input that is kept only if the answer is divergent.
        (question, conditional): (Option<Fingerprint>, Option<&QueuedInput>),
        record: &Record,
        names: &WriterDictionary,
        readings: Readings,
    ) {
        let id = stored.head.id;
        self.count(id.run(), id);
        if record.has_confidence && !(0.0..=1.0).contains(&record.confidence) {
            self.counts.invalid += 1;
        }
        let nanos = readings.anchor.nanos_of(record.ticks);
        let encoded = match self.judge(&stored, question, nanos) {
            // A repeat has no room for extras, and no two have the same.
            Verdict::Repeat { original } if stored.extras.is_none() && stored.values.is_empty() => {
                self.push_repeat(&stored, original)
            }
            Verdict::Repeat { .. } => self.encoder.append(&stored),
            Verdict::New => self.encoder.append(&stored),
            // A policy that samples answers differently on purpose.
            Verdict::Divergent if !record.is_deterministic => self.encoder.append(&stored),
            Verdict::Divergent => {
                stored.flags |= flag::DIVERGENT;
                self.counts.divergences += 1;
                if let Some(input) = conditional {
                    stored.input = self.keep_input(input, names);
                }
                let encoded = self.encoder.append(&stored);
                self.report_divergence(&stored, names.own());
                encoded
            }
        };
        // It is longer than a block. Its id was given out, so a gap has to account for it.
        if encoded.is_err() {
            self.refuse(id.run(), stored.head.recorded, stored.head.event);
        }
    }

    /// A model that answers the same question in two ways is reported once per checkpoint.
    fn report_divergence(&mut self, stored: &StoredDecision<'_>, component: NameId) {
        let subject = (stored.names.model, stored.names.checkpoint);
        // Once for each pair of model and checkpoint: a model that diverges does so for ever.
        if self.reported.len() >= MOST_REPORTED || !self.reported.insert(subject) {
            return;
        }
        let head = stored.head;
        self.own += 1;
        self.count(self.run, InferenceId::NONE);
        let inference = Value::Text(head.id.to_string());
        let row = SystemEventRow {
            run: self.run.get(),
            level: Level::Warn,
            component,
            message: "a model answered the same features with the same checkpoint differently"
                .to_owned(),
            fields: vec![("inference".to_owned(), inference)],
        };
        self.push_note(head.recorded, &Note::SystemEvent(row));
    }

    fn push_repeat(
        &mut self,
        stored: &StoredDecision<'_>,
        original: InferenceId,
    ) -> Result<(), String> {
        self.counts.repeats += 1;
        let repeat = RepeatRow {
            names: stored.names,
            original,
            confidence: (stored.flags & flag::NO_CONFIDENCE == 0).then_some(stored.confidence),
            processing: stored.processing,
            input: stored.input,
        };
        self.encoder.repeat(stored.head, &repeat)
    }

    /// The question of `stored`, if it can be compared with others.
    fn question(&self, stored: &StoredDecision<'_>) -> Option<Fingerprint> {
        let has_features = stored.flags & flag::FEATURES != 0;
        // Without features there is no question to compare; attributes may hold anything.
        let has_attributes = !stored.attributes.is_empty()
            || !stored.blobs.is_empty()
            || stored
                .values
                .iter()
                .any(|value| value.kind == ValueKind::Attribute);
        if self.dedup.is_off() || !has_features || has_attributes {
            return None;
        }
        let names = stored.names;
        Some(self.dedup.fingerprint(Question {
            model: names.model.into(),
            symbol: names.symbol.into(),
            checkpoint: names.checkpoint.into(),
            features: stored.features,
        }))
    }

    fn judge(
        &mut self,
        stored: &StoredDecision<'_>,
        question: Option<Fingerprint>,
        nanos: u64,
    ) -> Verdict {
        let Some(question) = question else {
            return Verdict::New;
        };
        let answer = AnswerBits {
            action: stored.names.action.into(),
            labels: stored.labels.into(),
            confidence: stored.confidence,
            probabilities: stored.probabilities,
            vector: stored.extras.vector,
            values: stored.values,
        };
        self.dedup.judge(question, answer, stored.head.id, nanos)
    }
}

/// The gap for `lost`, and when it was recorded.
fn gap(
    run: RunId,
    reason: GapReason,
    lost: Drops,
    refusal: Option<Refusal>,
    anchor: Anchor,
) -> (Timestamp, Note) {
    let recorded = (
        anchor.wall_of(lost.first_ticks),
        anchor.wall_of(lost.last_ticks),
    );
    let row = GapRow {
        run: run.get(),
        reason,
        count: Some(lost.count),
        after: None,
        recorded_range: Some(recorded),
        // Calls without an event time have that of their recording, lost or not.
        event_range: lost
            .events
            .map(|(first, last)| (Timestamp(first), Timestamp(last)))
            .or(Some(recorded)),
        refusal,
    };
    (recorded.1, Note::Gap(row))
}

/// Gaps for losses that no commit has taken yet, for the spool alone.
pub(crate) fn pending_gaps(
    run: RunId,
    losses: impl IntoIterator<Item = (GapReason, Drops)>,
    anchor: Anchor,
) -> Vec<Block> {
    let mut encoder = BlockEncoder::default();
    for (reason, lost) in losses {
        let (recorded, note) = gap(run, reason, lost, None, anchor);
        let noted = encoder.note(recorded, &note);
        debug_assert!(noted.is_ok(), "a gap takes some fifty bytes");
    }
    encoder.take()
}

/// `record` in stored form, unless it is a repeat.
#[inline]
fn stored<'a>(
    record: &Record,
    probabilities: &'a [f32],
    memory: u64,
    texts: Option<&'a Texts>,
    names: &WriterDictionary,
    readings: Readings,
) -> StoredDecision<'a> {
    let recorded = readings.anchor.wall_of(record.ticks);
    let name = |kind, local, text: fn(&Texts) -> &Option<String>| {
        names.of(kind, local, texts.and_then(|texts| text(texts).as_deref()))
    };
    let has = |yes: bool, bit: u16| if yes { bit } else { 0 };
    StoredDecision {
        head: RowHead {
            id: InferenceId::from_u64(record.id),
            recorded,
            event: if record.has_event {
                Timestamp(record.event)
            } else {
                recorded
            },
        },
        memory,
        names: NameIds {
            model: name(NameKind::Model, record.model, |texts| &texts.model),
            symbol: name(NameKind::Symbol, record.symbol, |texts| &texts.symbol),
            action: name(NameKind::Action, record.action, |texts| &texts.action),
            checkpoint: name(NameKind::Checkpoint, record.checkpoint, |texts| {
                &texts.checkpoint
            }),
        },
        labels: name(NameKind::Labels, record.labels, |texts| &texts.labels),
        flags: has(!record.has_confidence, flag::NO_CONFIDENCE)
            | has(record.has_features, flag::FEATURES),
        original: 0,
        confidence: record.confidence,
        features: record.features,
        probabilities,
        processing: match record.processing {
            NO_PROCESSING => 0,
            // Unknown is the greatest number, so this does not overflow.
            nanos => nanos + 1,
        },
        attributes: texts.map_or(&[], |texts| &texts.attributes),
        blobs: &[],
        extras: Extras::NONE,
        input: if record.is_input_given_up {
            InputRef::GivenUp
        } else {
            InputRef::NotKept
        },
        values: &[],
    }
}

/// Typed values under their stored names.
fn stored_values(values: Vec<TypedField>, names: &WriterDictionary) -> Vec<StoredValue> {
    let stored = |field: TypedField| StoredValue {
        kind: field.kind,
        name: names.of(name_kind(field.kind), field.name, field.written.as_deref()),
        value: field.value,
    };
    values.into_iter().map(stored).collect()
}
