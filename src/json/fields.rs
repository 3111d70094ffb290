//! Entries as JSON objects, both ways. All kinds share one list of fields, because they share most
//! of its names. Reading takes the fields of its kind and passes over the others.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::entry::episode::EpisodeId;
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::floats::Floats;
use crate::entry::gap::{GapReason, Refusal};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::manifest::RunManifest;
use crate::entry::outcome::{Latest, OutcomeEntry, Outcomes, RecordedOutcome};
use crate::entry::record::{
    CheckpointEvent, Content, Entry, Gap, InferenceRecord, Probabilities, Repeat, Run, RunState,
    SystemEvent,
};
use crate::entry::timestamp::{Timestamp, nanos};
use crate::entry::value::Value;

const INFERENCE: &str = "inference";
const REPEAT: &str = "repeat";
const GAP: &str = "gap";
const EVENT: &str = "event";
const CHECKPOINT_EVENT: &str = "checkpoint_event";
const OUTCOME: &str = "outcome";

/// A number; one that is not finite is a text, because JSON has no number for it.
#[derive(Clone, Copy)]
pub(super) struct Real<T>(pub(super) T);

impl Serialize for Real<f64> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl Serialize for Real<f32> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Through its own shortest text: 0.85, and not 0.8500000238418579.
        let shortest: f64 = self.0.to_string().parse().unwrap_or(f64::NAN);
        Real(shortest).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Real<f64> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrWord;
        impl Visitor<'_> for NumberOrWord {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
            }

            fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
                Ok(number)
            }

            #[expect(clippy::cast_precision_loss, reason = "a number of JSON is an f64")]
            fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
                Ok(number as f64)
            }

            #[expect(clippy::cast_precision_loss, reason = "a number of JSON is an f64")]
            fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
                Ok(number as f64)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<f64, E> {
                match word {
                    "NaN" => Ok(f64::NAN),
                    "inf" => Ok(f64::INFINITY),
                    "-inf" => Ok(f64::NEG_INFINITY),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(NumberOrWord).map(Real)
    }
}

impl<'de> Deserialize<'de> for Real<f32> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Real(number) = Real::<f64>::deserialize(deserializer)?;
        // The shortest text of an f32 lies within its rounding: this gives the same one again.
        #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest")]
        Ok(Real(number as f32))
    }
}

/// An object whose names keep their order; one may come twice.
pub(super) struct InOrder<K, V>(pub(super) Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for InOrder<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for InOrder<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = Vec<(K, V)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<(K, V)>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer
            .deserialize_map(Pairs(PhantomData))
            .map(InOrder)
    }
}

/// 64 bits as 16 hexadecimal digits.
struct Hash(u64);

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        let hash = u64::from_str_radix(&text, 16).map_err(D::Error::custom)?;
        Ok(Hash(hash))
    }
}

/// An object of fields that are left out where they are absent.
macro_rules! object {
    ($(#[$about:meta])* $type:ident { $($field:ident: $of:ty,)* }) => {
        $(#[$about])*
        #[derive(Default, serde::Serialize, serde::Deserialize)]
        struct $type { $(
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $field: Option<$of>,
        )* }
    };
}

object! {
    /// The fields of all entries, in the order in which they are written.
    Fields {
        kind: Cow<'static, str>,
        id: InferenceId,
        repeat_of: InferenceId,
        sequence: u64,
        run: RunId,
        recorded_by: RunId,
        event_time: Timestamp,
        recorded_time: Timestamp,
        model: Arc<str>,
        symbol: Arc<str>,
        // Of a decision, or what happened to a checkpoint.
        action: Arc<str>,
        confidence: Real<f32>,
        labels: Vec<Arc<str>>,
        probabilities: Vec<Real<f32>>,
        feature_hash: Hash,
        processing_ns: u64,
        memory_bytes: u64,
        checkpoint: Arc<str>,
        detail: String,
        divergent: bool,
        attributes: InOrder<String, Value>,
        propensity: Real<f32>,
        action_vector: Vec<Real<f32>>,
        caused_by: InferenceId,
        correlation: Arc<str>,
        episode: EpisodeId,
        step: u64,
        predictions: InOrder<Arc<str>, Real<f64>>,
        blobs: Vec<String>,
        outcome: Said,
        level: Level,
        component: Arc<str>,
        message: String,
        fields: EvenEmpty,
        reason: GapReason,
        count: u64,
        after: InferenceId,
        recorded_range: (Timestamp, Timestamp),
        event_range: (Timestamp, Timestamp),
        refusal: Refusal,
    }
}

object! {
    /// Content of an outcome.
    Said {
        time: Timestamp,
        reward: Real<f64>,
        correct: bool,
        label: Arc<str>,
        values: InOrder<Arc<str>, Real<f64>>,
    }
}

object! {
    /// One outcome of the history of a decision.
    Past {
        id: InferenceId,
        sequence: u64,
        recorded_by: RunId,
        recorded_time: Timestamp,
        time: Timestamp,
        reward: Real<f64>,
        correct: bool,
        label: Arc<str>,
        values: InOrder<Arc<str>, Real<f64>>,
    }
}

object! {
    /// The values that hold. `time` is the latest of their times and `sequence` the latest of their
    /// sequences; `times` and `sequences` hold those that differ, by name.
    Current {
        id: InferenceId,
        reward: Real<f64>,
        correct: bool,
        label: Arc<str>,
        values: InOrder<Arc<str>, Real<f64>>,
        time: Timestamp,
        times: InOrder<Cow<'static, str>, Timestamp>,
        sequence: u64,
        sequences: InOrder<Cow<'static, str>, u64>,
    }
}

object! {
    RunFields {
        id: RunId,
        alive: bool,
        state: Cow<'static, str>,
        started: Timestamp,
        ended: Timestamp,
        process: u32,
        committed: u64,
        dropped: u64,
        last_id: InferenceId,
        source: String,
        manifest: RunManifest,
    }
}

fn needed<T, E: Error>(field: Option<T>, name: &'static str) -> Result<T, E> {
    field.ok_or_else(|| E::missing_field(name))
}

impl Fields {
    /// Refuses an object of another kind.
    fn expect<E: Error>(&self, expected: &str) -> Result<(), E> {
        match self.kind.as_deref() {
            Some(kind) if kind == expected => Ok(()),
            Some(kind) => Err(E::custom(format_args!(
                "this is of the kind {kind}, and not of the kind {expected}"
            ))),
            None => Err(E::missing_field("kind")),
        }
    }
}

/// Pairs that are written even if there are none.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct EvenEmpty(InOrder<String, Value>);

/// A value that has a field of this type.
trait InField<F>: Sized {
    /// The field's content; `None` where the field is left out.
    fn put(&self) -> Option<F>;

    fn take<E: Error>(field: Option<F>, name: &'static str) -> Result<Self, E>;
}

macro_rules! needed {
    ($($type:ty),*) => { $(
        impl InField<$type> for $type {
            fn put(&self) -> Option<$type> {
                Some(self.clone())
            }

            fn take<E: Error>(field: Option<$type>, name: &'static str) -> Result<Self, E> {
                needed(field, name)
            }
        }
    )* };
}

needed!(
    InferenceId,
    RunId,
    Timestamp,
    u32,
    u64,
    Arc<str>,
    String,
    GapReason,
    Level
);

impl<T: Clone> InField<T> for Option<T> {
    fn put(&self) -> Option<T> {
        self.clone()
    }

    fn take<E: Error>(field: Option<T>, _: &'static str) -> Result<Self, E> {
        Ok(field)
    }
}

/// Values in a form of their own; `$none` is read where the field is left out.
macro_rules! in_form {
    ($($type:ty as $form:ty: $put:expr, $take:expr, $none:expr;)*) => { $(
        impl InField<$form> for $type {
            fn put(&self) -> Option<$form> {
                ($put)(self)
            }

            fn take<E: Error>(field: Option<$form>, _: &'static str) -> Result<Self, E> {
                Ok(field.map_or($none, $take))
            }
        }
    )* };
}

in_form! {
    bool as bool: |yes: &bool| yes.then_some(true), |yes| yes, false;
    Option<f32> as Real<f32>: |given: &Self| given.map(Real), |Real(given)| Some(given), None;
    Vec<f32> as Vec<Real<f32>>:
        |all: &Self| (!all.is_empty()).then(|| all.iter().copied().map(Real).collect()),
        |all| all.into_iter().map(|Real(given)| given).collect(), Vec::new();
    Vec<String> as Vec<String>: |all: &Self| (!all.is_empty()).then(|| all.clone()), |all| all,
        Vec::new();
    Option<u64> as Hash: |hash: &Self| hash.map(Hash), |Hash(hash)| Some(hash), None;
    Option<Duration> as u64: |time: &Self| time.map(nanos),
        |nanos| Some(Duration::from_nanos(nanos)), None;
    Vec<(String, Value)> as InOrder<String, Value>:
        |pairs: &Self| (!pairs.is_empty()).then(|| InOrder(pairs.clone())),
        |InOrder(pairs)| pairs, Vec::new();
    Vec<(String, Value)> as EvenEmpty: |pairs: &Self| Some(EvenEmpty(InOrder(pairs.clone()))),
        |EvenEmpty(InOrder(pairs))| pairs, Vec::new();
}

/// One description of an object for both directions. It has the fields of a type by their names in
/// JSON, and its kind if it is an entry. Functions stand for parts that are not in one field of
/// their own.
macro_rules! both_ways {
    ($write:ident, $read:ident: $type:ident in $fields:ident $(of $kind:ident)? {
        $($own:ident as $field:ident),* $(,)?
    } $(with { $($special:ident: $put:ident, $take:ident;)* })?) => {
        #[allow(unused_mut, reason = "only where functions are called")]
        fn $write(known: &$type) -> $fields {
            let mut fields = $fields {
                $(kind: Some($kind.into()),)?
                $($field: InField::put(&known.$own),)*
                ..$fields::default()
            };
            $($($put(known, &mut fields);)*)?
            fields
        }

        #[allow(unused_mut, reason = "only where functions are called")]
        fn $read<E: Error>(mut fields: $fields) -> Result<$type, E> {
            $(fields.expect($kind)?;)?
            Ok($type {
                $($($special: $take(&mut fields)?,)*)?
                $($own: InField::take(fields.$field, stringify!($field))?,)*
            })
        }
    };
}

both_ways! {
    write_inference, read_inference: InferenceRecord in Fields {
        id as id, sequence as sequence, event_time as event_time, recorded_time as recorded_time,
        model as model, symbol as symbol, action as action, confidence as confidence,
        feature_hash as feature_hash, processing_time as processing_ns, memory as memory_bytes,
        checkpoint as checkpoint, attributes as attributes, divergent as divergent,
        propensity as propensity, action_vector as action_vector, caused_by as caused_by,
        correlation as correlation, episode as episode, step as step, blobs as blobs,
    } with {
        repeat_of: put_original, take_original;
        probabilities: put_probabilities, take_probabilities;
        predictions: put_predictions, take_predictions;
    }
}

both_ways! {
    write_repeat, read_repeat: Repeat in Fields of REPEAT {
        id as id, original as repeat_of, event_time as event_time, model as model,
        symbol as symbol, action as action, confidence as confidence,
        processing_time as processing_ns, checkpoint as checkpoint,
    }
}

both_ways! {
    write_gap, read_gap: Gap in Fields of GAP {
        sequence as sequence, run as run, reason as reason, count as count, after as after,
        recorded_range as recorded_range, event_range as event_range, refusal as refusal,
    }
}

both_ways! {
    write_event, read_event: SystemEvent in Fields of EVENT {
        run as run, level as level, component as component, message as message, fields as fields,
    }
}

both_ways! {
    write_checkpoint_event, read_checkpoint_event: CheckpointEvent in Fields of CHECKPOINT_EVENT {
        run as run, model as model, checkpoint as checkpoint, detail as detail,
    } with {
        action: put_action, take_action;
    }
}

both_ways! {
    write_run, read_run: Run in RunFields {
        id as id, started as started, process as process, committed as committed,
        dropped as dropped, last_id as last_id, source as source, manifest as manifest,
    } with {
        state: put_state, take_state;
    }
}

fn put_action(event: &CheckpointEvent, fields: &mut Fields) {
    fields.action = Some(event.action.as_str().into());
}

fn take_action<E: Error>(fields: &mut Fields) -> Result<CheckpointAction, E> {
    let action = needed(fields.action.take(), "action")?;
    action.parse().map_err(E::custom)
}

fn kind_of(original: Option<InferenceId>) -> &'static str {
    match original {
        Some(_) => REPEAT,
        None => INFERENCE,
    }
}

fn put_original(record: &InferenceRecord, fields: &mut Fields) {
    fields.kind = Some(kind_of(record.repeat_of).into());
    fields.repeat_of = record.repeat_of;
}

fn take_original<E: Error>(fields: &mut Fields) -> Result<Option<InferenceId>, E> {
    fields.expect(kind_of(fields.repeat_of))?;
    Ok(fields.repeat_of)
}

fn put_predictions(record: &InferenceRecord, fields: &mut Fields) {
    fields.predictions = write_values(&record.predictions);
}

fn take_predictions<E>(fields: &mut Fields) -> Result<Vec<(Arc<str>, f64)>, E> {
    Ok(read_values(fields.predictions.take()))
}

fn put_probabilities(record: &InferenceRecord, fields: &mut Fields) {
    let probabilities = &record.probabilities;
    if !probabilities.is_empty() {
        let labels = probabilities.iter().map(|(label, _)| Arc::from(label));
        let values = probabilities.values().iter().copied().map(Real);
        fields.labels = Some(labels.collect());
        fields.probabilities = Some(values.collect());
    }
}

fn take_probabilities<E: Error>(fields: &mut Fields) -> Result<Probabilities, E> {
    let labels = fields.labels.take().unwrap_or_default();
    let values = fields.probabilities.take().unwrap_or_default();
    if labels.len() > values.len() {
        return Err(E::custom("there are more labels than probabilities"));
    }
    Ok(Probabilities {
        labels: labels.into(),
        values: Floats::collect(values.len(), values.into_iter().map(|Real(value)| value)),
    })
}

fn write_outcome(outcome: &OutcomeEntry) -> Fields {
    Fields {
        id: Some(outcome.of),
        recorded_by: Some(outcome.run),
        outcome: Some(Said {
            time: Some(outcome.time),
            reward: outcome.reward.map(Real),
            correct: outcome.correct,
            label: outcome.label.clone(),
            values: write_values(&outcome.values),
        }),
        kind: Some(OUTCOME.into()),
        ..Fields::default()
    }
}

fn read_outcome<E: Error>(fields: Fields) -> Result<OutcomeEntry, E> {
    fields.expect(OUTCOME)?;
    let said = needed(fields.outcome, "outcome")?;
    Ok(OutcomeEntry {
        run: needed(fields.recorded_by, "recorded_by")?,
        of: needed(fields.id, "id")?,
        time: needed(said.time, "time")?,
        reward: said.reward.map(|Real(reward)| reward),
        correct: said.correct,
        label: said.label,
        values: read_values(said.values),
    })
}

type Numbers = InOrder<Arc<str>, Real<f64>>;

fn write_values(values: &[(Arc<str>, f64)]) -> Option<Numbers> {
    let named = values
        .iter()
        .map(|(name, value)| (name.clone(), Real(*value)));
    (!values.is_empty()).then(|| InOrder(named.collect()))
}

fn read_values(values: Option<Numbers>) -> Vec<(Arc<str>, f64)> {
    let values = values.into_iter().flat_map(|InOrder(named)| named);
    values.map(|(name, Real(value))| (name, value)).collect()
}

fn write_past(past: &RecordedOutcome) -> Past {
    let said = &past.outcome;
    Past {
        id: Some(said.of),
        sequence: Some(past.sequence),
        recorded_by: Some(said.run),
        recorded_time: past.recorded_time,
        time: Some(said.time),
        reward: said.reward.map(Real),
        correct: said.correct,
        label: said.label.clone(),
        values: write_values(&said.values),
    }
}

fn read_past<E: Error>(fields: Past) -> Result<RecordedOutcome, E> {
    Ok(RecordedOutcome {
        sequence: needed(fields.sequence, "sequence")?,
        recorded_time: fields.recorded_time,
        outcome: OutcomeEntry {
            run: needed(fields.recorded_by, "recorded_by")?,
            of: needed(fields.id, "id")?,
            time: needed(fields.time, "time")?,
            reward: fields.reward.map(|Real(reward)| reward),
            correct: fields.correct,
            label: fields.label,
            values: read_values(fields.values),
        },
    })
}

/// The name of a value among the times and sequences of [`Current`].
fn named(name: &str) -> Cow<'static, str> {
    format!("values.{name}").into()
}

fn write_current(known: &Outcomes) -> Current {
    let mut places: Vec<(Cow<'static, str>, Timestamp, u64)> = Vec::new();
    let mut place = |name: Cow<'static, str>, time, sequence| places.push((name, time, sequence));
    if let Some(reward) = &known.reward {
        place("reward".into(), reward.time, reward.sequence);
    }
    if let Some(correct) = &known.correct {
        place("correct".into(), correct.time, correct.sequence);
    }
    if let Some(label) = &known.label {
        place("label".into(), label.time, label.sequence);
    }
    for (name, latest) in &known.values {
        place(named(name), latest.time, latest.sequence);
    }
    let time = places.iter().map(|(_, time, _)| *time).max();
    let sequence = places.iter().map(|(.., sequence)| *sequence).max();
    let (mut times, mut sequences) = (Vec::new(), Vec::new());
    for (name, at, place) in places {
        if Some(place) != sequence {
            sequences.push((name.clone(), place));
        }
        if Some(at) != time {
            times.push((name, at));
        }
    }
    let values = known.values.iter();
    let values = values.map(|(name, latest)| (name.clone(), Real(latest.value)));
    Current {
        id: Some(known.of),
        reward: known.reward.map(|latest| Real(latest.value)),
        correct: known.correct.map(|latest| latest.value),
        label: known.label.as_ref().map(|latest| latest.value.clone()),
        values: (!known.values.is_empty()).then(|| InOrder(values.collect())),
        time,
        times: (!times.is_empty()).then_some(InOrder(times)),
        sequence,
        sequences: (!sequences.is_empty()).then_some(InOrder(sequences)),
    }
}

fn read_current<E: Error>(fields: Current) -> Result<Outcomes, E> {
    fn place<T: Copy>(
        others: Option<&InOrder<Cow<'static, str>, T>>,
        name: &str,
        latest: Option<T>,
    ) -> Option<T> {
        let others = others.map_or(&[][..], |InOrder(others)| others);
        let other = others.iter().find(|(known, _)| known == name);
        other.map(|(_, place)| *place).or(latest)
    }
    let time = |name: &str| {
        let time = place(fields.times.as_ref(), name, fields.time);
        needed(time, "time")
    };
    let sequence = |name: &str| {
        let sequence = place(fields.sequences.as_ref(), name, fields.sequence);
        needed(sequence, "sequence")
    };
    fn latest<T, E>(
        value: T,
        time: Result<Timestamp, E>,
        sequence: Result<u64, E>,
    ) -> Result<Latest<T>, E> {
        let (time, sequence) = (time?, sequence?);
        Ok(Latest {
            value,
            time,
            sequence,
        })
    }
    let reward = fields.reward.map(|Real(value)| value);
    let reward = reward.map(|value| latest(value, time("reward"), sequence("reward")));
    let correct = fields.correct;
    let correct = correct.map(|value| latest(value, time("correct"), sequence("correct")));
    let label = fields.label.clone();
    let label = label.map(|value| latest(value, time("label"), sequence("label")));
    let mut values = Vec::new();
    for (name, Real(value)) in fields.values.iter().flat_map(|InOrder(values)| values) {
        let within = named(name);
        let value = latest(*value, time(&within), sequence(&within))?;
        values.push((name.clone(), value));
    }
    // `Outcomes::get` searches by halves.
    values.sort_by(|(one, _), (other, _): &(Arc<str>, Latest<f64>)| one.cmp(other));
    Ok(Outcomes {
        of: needed(fields.id, "id")?,
        reward: reward.transpose()?,
        correct: correct.transpose()?,
        label: label.transpose()?,
        values,
    })
}

fn write_content(content: &Content) -> Fields {
    match content {
        Content::Inference(record) => write_inference(record),
        Content::Repeat(repeat) => write_repeat(repeat),
        Content::Gap(gap) => write_gap(gap),
        Content::SystemEvent(event) => write_event(event),
        Content::CheckpointEvent(event) => write_checkpoint_event(event),
        Content::Outcome(outcome) => write_outcome(outcome),
    }
}

fn read_content<E: Error>(fields: Fields) -> Result<Content, E> {
    match fields.kind.as_deref() {
        Some(INFERENCE) => read_inference(fields).map(Content::Inference),
        Some(REPEAT) => read_repeat(fields).map(Content::Repeat),
        Some(GAP) => read_gap(fields).map(Content::Gap),
        Some(EVENT) => read_event(fields).map(Content::SystemEvent),
        Some(CHECKPOINT_EVENT) => read_checkpoint_event(fields).map(Content::CheckpointEvent),
        Some(OUTCOME) => read_outcome(fields).map(Content::Outcome),
        Some(other) => Err(E::unknown_variant(
            other,
            &[INFERENCE, REPEAT, GAP, EVENT, CHECKPOINT_EVENT, OUTCOME],
        )),
        None => Err(E::missing_field("kind")),
    }
}

fn write_entry(entry: &Entry) -> Fields {
    Fields {
        sequence: Some(entry.sequence),
        recorded_time: Some(entry.recorded_time),
        ..write_content(&entry.content)
    }
}

fn read_entry<E: Error>(fields: Fields) -> Result<Entry, E> {
    Ok(Entry {
        sequence: needed(fields.sequence, "sequence")?,
        recorded_time: needed(fields.recorded_time, "recorded_time")?,
        content: read_content(fields)?,
    })
}

fn put_state(run: &Run, fields: &mut RunFields) {
    let (state, ended) = match run.state {
        RunState::Alive => ("alive", None),
        RunState::Closed(at) => ("closed", Some(at)),
        RunState::Died(at) => ("died", at),
        RunState::Continued(at) => ("continued", Some(at)),
        RunState::Panicked(at) => ("panicked", at),
    };
    fields.alive = Some(run.state == RunState::Alive);
    fields.state = Some(state.into());
    fields.ended = ended;
}

fn take_state<E: Error>(fields: &mut RunFields) -> Result<RunState, E> {
    let state = needed(fields.state.take(), "state")?;
    let ended = fields.ended;
    Ok(match &*state {
        "alive" => RunState::Alive,
        "closed" => RunState::Closed(needed(ended, "ended")?),
        "died" => RunState::Died(ended),
        "continued" => RunState::Continued(needed(ended, "ended")?),
        "panicked" => RunState::Panicked(ended),
        other => {
            let known = &["alive", "closed", "died", "continued", "panicked"];
            return Err(E::unknown_variant(other, known));
        }
    })
}

/// As a map from label to value.
impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(label, value)| (label, Real(value))))
    }
}

impl<'de> Deserialize<'de> for Probabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let InOrder(pairs) = InOrder::<Arc<str>, Real<f32>>::deserialize(deserializer)?;
        let values = pairs.iter().map(|(_, Real(value))| *value);
        let values = Floats::collect(pairs.len(), values);
        Ok(Probabilities {
            values,
            labels: pairs.into_iter().map(|(label, _)| label).collect(),
        })
    }
}

super::as_object! {
    Entry as Fields: write_entry, read_entry;
    Content as Fields: write_content, read_content;
    InferenceRecord as Fields: write_inference, read_inference;
    Repeat as Fields: write_repeat, read_repeat;
    Gap as Fields: write_gap, read_gap;
    SystemEvent as Fields: write_event, read_event;
    CheckpointEvent as Fields: write_checkpoint_event, read_checkpoint_event;
    OutcomeEntry as Fields: write_outcome, read_outcome;
    Run as RunFields: write_run, read_run;
    RecordedOutcome as Past: write_past, read_past;
    Outcomes as Current: write_current, read_current;
}
