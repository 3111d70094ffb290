//! Messages as words of a lane, and back. A plain decision takes at most 96 bytes, its header
//! included; one word more with an event time or a processing time of more than four seconds.
//!
//! The words may come from the lane of a process that is dead, or from a file that lies: every
//! number is checked, and a record that is no message gives `None`.

use super::input_queue::{QueuedBlob, QueuedInput};
use super::local_names::{LocalName, NO_NAME};
use super::message::{
    Extended, Message, NO_PROCESSING, OtherEntry, QueuedValue, Record, Texts, TypedField,
};
use super::ring::Tag;
use super::typed::GivenValues;
use crate::entry::blob::{MOST_BLOB_NAME, MOST_BLOBS};
use crate::entry::episode::EpisodeId;
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::extras::{Extras, LONGEST_CORRELATION, OwnedExtras};
use crate::entry::floats::{INLINE, MOST};
use crate::entry::ids::InferenceId;
use crate::entry::input::{Condition, GivenInput, InputKind};
use crate::entry::typed::{AttributeType, TypedRef, ValueKind};
use crate::entry::value::Value;

/// Words of the payload of the longest plain decision.
pub(crate) const PLAIN: usize = 13;
/// Words of the longest decision with extras that is packed without an allocation: 47 of them hold
/// the action vector, the correlation and typed values.
pub(crate) const WITH_EXTRAS: usize = PLAIN + 4 + 47;

// A tag is a kind, and for decisions which of their fields are there.
const KIND: Tag = 0b111;
const INFERENCE: Tag = 1;
const EXTENDED: Tag = 2;
const SYSTEM: Tag = 3;
const CHECKPOINT: Tag = 4;
const OUTCOME: Tag = 5;
/// A piece of a message that is too long for one record; the last piece has the message's tag.
pub(crate) const PIECE: Tag = 6;
/// A plain decision, its input, and a word about that.
const WITH_INPUT: Tag = 7;
/// A longer message is in no lane.
const MOST_WORDS: usize = 1 << 18;
const HAS_EVENT: Tag = 1 << 3;
const HAS_FEATURES: Tag = 1 << 4;
const HAS_CONFIDENCE: Tag = 1 << 5;
const IS_DETERMINISTIC: Tag = 1 << 6;
const HAS_PROCESSING: Tag = 1 << 7;
/// The processing time has a word of its own.
const LONG_PROCESSING: Tag = 1 << 8;
/// How many probabilities: four bits.
const COUNT_SHIFT: u32 = 9;
const COUNT: Tag = 0b1111;
const INPUT_GIVEN_UP: Tag = 1 << 13;
const USED: Tag = (1 << 14) - 1;
/// Extras follow the decision.
const HAS_EXTRAS: Tag = 1 << 15;

// The first word of extras: which of them there are, their lengths and the propensity.
const PROPENSITY: u64 = 1;
const CAUSE: u64 = 1 << 1;
const STEP: u64 = 1 << 2;
const CORRELATION: u64 = 1 << 3;
/// Of the correlation in bytes, 12 bits; of the action vector in numbers, 11 bits.
const CORRELATION_SHIFT: u32 = 4;
const CORRELATION_MASK: u64 = (1 << 12) - 1;
const VECTOR_SHIFT: u32 = 16;
const VECTOR_MASK: u64 = (1 << 11) - 1;
/// Typed values are behind the others.
const VALUES: u64 = 1 << 27;
const PROPENSITY_SHIFT: u32 = 32;

// The first word of a typed value: its name, its kind, its type, and the bytes of its text.
const VALUE_KIND_SHIFT: u32 = 32;
const VALUE_TYPE_SHIFT: u32 = 33;
const VALUE_TYPE_MASK: u64 = 0b111;
const VALUE_TEXT_SHIFT: u32 = 36;

/// Words of an input that take no allocation: 64 `f32`.
const INLINE_WORDS: usize = 32;
/// Bits of the word about an input that are its length in bytes; its kind is behind them.
const LENGTH_BITS: u32 = 28;
/// The input is kept only if its decision is divergent.
const ONLY_DIVERGENT: u32 = 1 << 31;
/// The same, of the byte that has the kind elsewhere.
const KIND_ONLY_DIVERGENT: u8 = 1 << 7;

/// Whole words, and then halves of words.
struct Packer<'a> {
    words: &'a mut [u64; PLAIN],
    used: usize,
    /// The next value goes into the upper half of the last word.
    is_half: bool,
}

impl Packer<'_> {
    #[inline]
    fn word(&mut self, value: u64) {
        if let Some(word) = self.words.get_mut(self.used) {
            *word = value;
            self.used += 1;
        }
    }

    #[inline]
    fn half(&mut self, value: u32) {
        if self.is_half {
            if let Some(word) = self.words.get_mut(self.used - 1) {
                *word |= u64::from(value) << 32;
            }
        } else {
            self.word(u64::from(value));
        }
        self.is_half = !self.is_half;
    }
}

/// Writes a plain decision into `words`; the result is its tag, and how many words it took.
#[inline]
pub(crate) fn pack(record: &Record, words: &mut [u64; PLAIN]) -> (Tag, usize) {
    let count = usize::from(record.probability_count).min(INLINE);
    let mut tag = INFERENCE;
    tag |= (Tag::from(record.probability_count) & COUNT) << COUNT_SHIFT;
    let mut packer = Packer {
        words,
        used: 0,
        is_half: false,
    };
    packer.word(record.id);
    packer.word(record.ticks);
    if record.has_features {
        tag |= HAS_FEATURES;
        packer.word(record.features);
    }
    if record.has_event {
        tag |= HAS_EVENT;
        packer.word(record.event.cast_unsigned());
    }
    let short = u32::try_from(record.processing).ok();
    if record.processing != NO_PROCESSING {
        tag |= HAS_PROCESSING;
        if short.is_none() {
            tag |= LONG_PROCESSING;
            packer.word(record.processing);
        }
    }
    packer.half(short.unwrap_or(0));
    for name in [
        record.model,
        record.symbol,
        record.action,
        record.checkpoint,
        record.labels,
    ] {
        packer.half(name.get());
    }
    if record.has_confidence {
        tag |= HAS_CONFIDENCE;
        packer.half(record.confidence.to_bits());
    }
    if record.is_deterministic {
        tag |= IS_DETERMINISTIC;
    }
    if record.is_input_given_up {
        tag |= INPUT_GIVEN_UP;
    }
    for value in &record.probabilities[..count] {
        packer.half(value.to_bits());
    }
    (tag, packer.used)
}

/// Writes a decision with extras into `words`, as [`pack`]; `None` if they are too long for it.
pub(crate) fn pack_with_extras(
    record: &Record,
    extras: &Extras<'_>,
    values: GivenValues<'_>,
    words: &mut [u64; WITH_EXTRAS],
) -> Option<(Tag, usize)> {
    let packed = values.iter().map(|given| PackedValue {
        kind: given.kind,
        name: given.name.local,
        value: given.value,
    });
    // A name that is written out has no room here.
    if packed.clone().any(|value| value.name == NO_NAME) {
        return None;
    }
    let (tag, used) = pack(record, words.first_chunk_mut::<PLAIN>()?);
    // They begin behind the last word of the decision, wherever that is.
    let more = pack_extras(extras, packed, words.get_mut(used..)?)?;
    Some((tag | HAS_EXTRAS, used + more))
}

/// A typed value whose name is a number.
#[derive(Clone, Copy)]
struct PackedValue<'a> {
    kind: ValueKind,
    name: LocalName,
    value: TypedRef<'a>,
}

impl PackedValue<'_> {
    /// Words that it takes.
    fn words(self) -> usize {
        match self.value {
            TypedRef::Text(text) => 1 + text.len().div_ceil(8),
            _ => 2,
        }
    }

    fn head(self) -> u64 {
        u64::from(self.name.get())
            | (self.kind as u64) << VALUE_KIND_SHIFT
            | (self.value.value_type() as u64) << VALUE_TYPE_SHIFT
            | (self.value.text_bytes() as u64) << VALUE_TEXT_SHIFT
    }
}

/// How many words extras take.
fn extras_words(extras: &Extras<'_>) -> usize {
    let correlation = extras.correlation.unwrap_or_default();
    let fixed = 1 + usize::from(extras.cause.is_some()) + 2 * usize::from(extras.step.is_some());
    fixed + extras.vector.len().div_ceil(2) + correlation.len().div_ceil(8)
}

/// Writes extras and typed values into `words`; `None` if there are too few. Extras are within
/// their bounds.
#[inline]
fn pack_extras<'v>(
    extras: &Extras<'_>,
    values: impl Iterator<Item = PackedValue<'v>> + Clone,
    words: &mut [u64],
) -> Option<usize> {
    let (count, of_values) = values.clone().fold((0_u64, 0), |(count, words), value| {
        (count + 1, words + value.words())
    });
    let used = extras_words(extras) + of_values + usize::from(count > 0);
    let mut places = words.get_mut(..used)?.iter_mut();
    let mut put = |value: u64| places.next().map(|place| *place = value);
    let has = |yes: bool, bit: u64| if yes { bit } else { 0 };
    let correlation = extras.correlation.unwrap_or_default().as_bytes();
    let bits = extras.propensity.map_or(0, f32::to_bits);
    put(has(extras.propensity.is_some(), PROPENSITY)
        | has(extras.cause.is_some(), CAUSE)
        | has(extras.step.is_some(), STEP)
        | has(extras.correlation.is_some(), CORRELATION)
        | has(count > 0, VALUES)
        | (correlation.len() as u64 & CORRELATION_MASK) << CORRELATION_SHIFT
        | (extras.vector.len() as u64 & VECTOR_MASK) << VECTOR_SHIFT
        | u64::from(bits) << PROPENSITY_SHIFT)?;
    if let Some(cause) = extras.cause {
        put(cause.to_u64())?;
    }
    if let Some((episode, step)) = extras.step {
        put(episode.to_u64())?;
        put(step)?;
    }
    for pair in extras.vector.chunks(2) {
        let half = |index: usize| u64::from(pair.get(index).map_or(0, |value| value.to_bits()));
        put(half(0) | half(1) << 32)?;
    }
    let text_word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    for chunk in correlation.chunks(8) {
        put(text_word(chunk))?;
    }
    if count > 0 {
        put(count)?;
    }
    for value in values {
        put(value.head())?;
        match value.value {
            TypedRef::Text(text) => {
                for chunk in text.as_bytes().chunks(8) {
                    put(text_word(chunk))?;
                }
            }
            number => put(number.to_bits())?,
        }
    }
    Some(used)
}

/// A text that `words` hold; `None` if they are more or fewer.
fn unpack_text(words: &[u64], bytes: usize) -> Option<String> {
    if words.len() != bytes.div_ceil(8) {
        return None;
    }
    let mut text: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    text.truncate(bytes);
    String::from_utf8(text).ok()
}

/// The typed value at the front of `rest`, which begins behind it afterwards.
fn unpack_value(rest: &mut &[u64]) -> Option<TypedField> {
    let (head, behind) = rest.split_first()?;
    let value_type = AttributeType::of((head >> VALUE_TYPE_SHIFT) & VALUE_TYPE_MASK)?;
    let bytes = usize::try_from(head >> VALUE_TEXT_SHIFT).ok()?;
    let length = match value_type {
        AttributeType::Text => bytes.div_ceil(8),
        _ => 1,
    };
    let (words, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    let (bits, text) = match value_type {
        AttributeType::Text => (0, unpack_text(words, bytes)?),
        _ => (*words.first()?, String::new()),
    };
    Some(TypedField {
        kind: ValueKind::of((head >> VALUE_KIND_SHIFT) & 1)?,
        name: LocalName::new(u32::try_from(head & u64::from(u32::MAX)).ok()?),
        written: None,
        value: TypedRef::of(value_type, bits, &text)?.to_owned(),
    })
}

/// Those of which the name is a number.
fn packed(values: &[TypedField]) -> impl Iterator<Item = PackedValue<'_>> + Clone {
    values.iter().map(|field| PackedValue {
        kind: field.kind,
        name: field.name,
        value: field.value.as_typed(),
    })
}

/// The extras and typed values that `words` hold, all of them; `None` if they are none.
fn unpack_extras(words: &[u64]) -> Option<(OwnedExtras, Vec<TypedField>)> {
    let (head, mut rest) = words.split_first()?;
    let has = |bit: u64| head & bit != 0;
    let length = |shift: u32, mask: u64| usize::try_from((head >> shift) & mask).ok();
    let bytes = length(CORRELATION_SHIFT, CORRELATION_MASK)?;
    let numbers = length(VECTOR_SHIFT, VECTOR_MASK)?;
    if bytes > LONGEST_CORRELATION || numbers > MOST {
        return None;
    }
    let mut word = || {
        let (first, behind) = rest.split_first()?;
        rest = behind;
        Some(*first)
    };
    let propensity = f32::from_bits(u32::try_from(head >> PROPENSITY_SHIFT).ok()?);
    let cause = if has(CAUSE) {
        Some(InferenceId(word()?))
    } else {
        None
    };
    let step = if has(STEP) {
        Some((EpisodeId(word()?), word()?))
    } else {
        None
    };
    let (vector, rest) = rest.split_at_checked(numbers.div_ceil(2))?;
    let (correlation, mut rest) = rest.split_at_checked(bytes.div_ceil(8))?;
    let mut values = Vec::new();
    if has(VALUES) {
        let (count, behind) = rest.split_first()?;
        rest = behind;
        // Each takes a word at least: no more room is asked for than there are words.
        let count = usize::try_from(*count)
            .ok()
            .filter(|count| *count <= rest.len())?;
        for _value in 0..count {
            values.push(unpack_value(&mut rest)?);
        }
    }
    // As they were put together, in any order of bytes.
    let halves = vector.iter().flat_map(|word| [*word, *word >> 32]);
    let correlation = unpack_text(correlation, bytes)?;
    let extras = OwnedExtras {
        propensity: has(PROPENSITY).then_some(propensity),
        vector: halves
            .take(numbers)
            .map(|half| f32::from_bits(u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0)))
            .collect(),
        cause,
        correlation: has(CORRELATION).then(|| correlation.into_boxed_str()),
        step,
    };
    // All that is written differently is no producer's.
    let mut again = vec![0; words.len()];
    let used = pack_extras(&extras.as_extras(), packed(&values), &mut again)?;
    let is_empty = extras.as_extras().is_none() && values.is_empty();
    let is_whole = used == words.len() && again == words && !is_empty;
    let is_whole = is_whole && values.iter().all(|value| value.name != NO_NAME);
    is_whole.then_some((extras, values))
}

/// Sends a plain decision with an input that [fits](crate::entry::input::InputKind::fits): the
/// words of the decision, the bytes of the input filled up to words, and one word with its length,
/// its kind and its names.
#[inline]
pub(crate) fn with_packed_input<T>(
    record: &Record,
    input: GivenInput<'_>,
    names: LocalName,
    send: impl FnOnce(Tag, &[u64]) -> T,
) -> T {
    let mut plain = [0; PLAIN];
    let (tag, used) = pack(record, &mut plain);
    let plain = plain.get(..used).unwrap_or_default();
    let tag = (tag & !KIND) | WITH_INPUT;
    let words = used + input.bytes.len().div_ceil(8) + 1;
    if words <= PLAIN + INLINE_WORDS + 1 {
        let mut room = [0; PLAIN + INLINE_WORDS + 1];
        let payload = room.get_mut(..words).unwrap_or_default();
        fill_with_input(payload, plain, input, names);
        send(tag, payload)
    } else {
        let mut payload = vec![0; words];
        fill_with_input(&mut payload, plain, input, names);
        send(tag, &payload)
    }
}

#[inline]
fn fill_with_input(payload: &mut [u64], plain: &[u64], input: GivenInput<'_>, names: LocalName) {
    let Some((last, payload)) = payload.split_last_mut() else {
        return;
    };
    let Some((first, rest)) = payload.split_at_mut_checked(plain.len()) else {
        return;
    };
    first.copy_from_slice(plain);
    if let Some(bytes) = bytemuck::cast_slice_mut(rest).get_mut(..input.bytes.len()) {
        bytes.copy_from_slice(input.bytes);
    }
    let length = u32::try_from(input.bytes.len()).unwrap_or(0);
    let condition = if input.condition == Condition::Divergent {
        ONLY_DIVERGENT
    } else {
        0
    };
    let head = condition | ((input.kind as u32) << LENGTH_BITS) | length;
    *last = u64::from(head) | (u64::from(names.get()) << 32);
}

fn condition_of(is_only_divergent: bool) -> Condition {
    if is_only_divergent {
        Condition::Divergent
    } else {
        Condition::None
    }
}

fn unpack_with_input(tag: Tag, words: &[u64]) -> Option<Message> {
    let (last, words) = words.split_last()?;
    let [a, b, c, d, e, f, g, h] = last.to_le_bytes();
    let head = u32::from_le_bytes([a, b, c, d]);
    let length = usize::try_from(head & ((1 << LENGTH_BITS) - 1)).ok()?;
    let condition = condition_of(head & ONLY_DIVERGENT != 0);
    let kind = InputKind::of((head & !ONLY_DIVERGENT) >> LENGTH_BITS);
    let kind = kind.filter(|kind| kind.fits(length))?;
    let plain = words.len().checked_sub(length.div_ceil(8))?;
    let (plain, input) = words.split_at_checked(plain)?;
    let record = unpack(tag, plain)?;
    let bytes: &[u8] = bytemuck::cast_slice(input);
    let count = usize::from(record.probability_count);
    Some(Message::Extended(Box::new(Extended {
        record,
        probabilities: record.probabilities.get(..count)?.into(),
        memory: None,
        texts: None,
        extras: None,
        input: Some(QueuedInput {
            kind,
            bytes: kind.stored(bytes.get(..length)?),
            names: LocalName::new(u32::from_le_bytes([e, f, g, h])),
            condition,
            _room: None,
        }),
        values: Vec::new(),
        blobs: Vec::new(),
    })))
}

/// Words that are read one by one.
struct Unpacker<'a> {
    words: std::slice::Iter<'a, u64>,
    upper: Option<u32>,
}

impl Unpacker<'_> {
    #[inline]
    fn word(&mut self) -> Option<u64> {
        self.words.next().copied()
    }

    #[inline]
    fn half(&mut self) -> Option<u32> {
        if let Some(upper) = self.upper.take() {
            return Some(upper);
        }
        let word = self.word()?;
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        self.upper = Some(u32::from_le_bytes([e, f, g, h]));
        Some(u32::from_le_bytes([a, b, c, d]))
    }
}

fn unpack(tag: Tag, words: &[u64]) -> Option<Record> {
    let mut from = Unpacker {
        words: words.iter(),
        upper: None,
    };
    let record = unpack_from(tag, &mut from)?;
    // The record ends where its fields end.
    (from.words.len() == 0).then_some(record)
}

/// A decision with extras.
fn unpack_with_extras(tag: Tag, words: &[u64]) -> Option<Message> {
    let mut from = Unpacker {
        words: words.iter(),
        upper: None,
    };
    let mut record = unpack_from(tag & !HAS_EXTRAS, &mut from)?;
    let (extras, values) = unpack_extras(from.words.as_slice())?;
    let count = usize::from(std::mem::take(&mut record.probability_count));
    let probabilities = std::mem::take(&mut record.probabilities);
    Some(Message::Extended(Box::new(Extended {
        record,
        probabilities: probabilities.get(..count)?.into(),
        memory: None,
        texts: None,
        extras: (!extras.as_extras().is_none()).then(|| Box::new(extras)),
        input: None,
        values,
        blobs: Vec::new(),
    })))
}

#[inline]
fn unpack_from(tag: Tag, from: &mut Unpacker<'_>) -> Option<Record> {
    let count = usize::from((tag >> COUNT_SHIFT) & COUNT);
    let has = |flag: Tag| tag & flag != 0;
    if tag & !USED != 0 || count > INLINE || (has(LONG_PROCESSING) && !has(HAS_PROCESSING)) {
        return None;
    }
    let (id, ticks) = (from.word()?, from.word()?);
    let features = if has(HAS_FEATURES) { from.word()? } else { 0 };
    let event = if has(HAS_EVENT) { from.word()? } else { 0 };
    let long = if has(LONG_PROCESSING) {
        Some(from.word()?)
    } else {
        None
    };
    let short = u64::from(from.half()?);
    let (model, symbol, action) = (from.half()?, from.half()?, from.half()?);
    let (checkpoint, labels) = (from.half()?, from.half()?);
    let confidence = if has(HAS_CONFIDENCE) {
        f32::from_bits(from.half()?)
    } else {
        f32::NAN
    };
    let mut probabilities = [0.0; INLINE];
    for value in &mut probabilities[..count] {
        *value = f32::from_bits(from.half()?);
    }
    Some(Record {
        id,
        ticks,
        event: event.cast_signed(),
        features,
        processing: if has(HAS_PROCESSING) {
            long.unwrap_or(short)
        } else {
            NO_PROCESSING
        },
        model: LocalName::new(model),
        symbol: LocalName::new(symbol),
        action: LocalName::new(action),
        checkpoint: LocalName::new(checkpoint),
        labels: LocalName::new(labels),
        confidence,
        probabilities,
        probability_count: u8::try_from(count).ok()?,
        has_event: has(HAS_EVENT),
        has_features: has(HAS_FEATURES),
        has_confidence: has(HAS_CONFIDENCE),
        is_deterministic: has(IS_DETERMINISTIC),
        is_input_given_up: has(INPUT_GIVEN_UP),
    })
}

/// Any message as words: its tag, and its payload, whose first word is the id.
pub(crate) fn pack_any(message: &Message) -> (Tag, Vec<u64>) {
    let mut bytes = Bytes::default();
    let (tag, id) = match message {
        Message::Inference(record) => {
            let mut words = [0; PLAIN];
            let (tag, used) = pack(record, &mut words);
            return (tag, words[..used].to_vec());
        }
        Message::Extended(extended) => (bytes.extended(extended), extended.record.id),
        Message::Other(id, event) => (bytes.other(event), *id),
    };
    (tag, bytes.into_words(id))
}

/// Puts messages of several records together again.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    words: Vec<u64>,
}

/// What a record of a lane is.
#[derive(Debug)]
pub(crate) enum Assembled {
    /// A message that ends with it.
    Whole(Message),
    /// A piece of one.
    Piece,
    /// Nothing that a producer writes.
    Nothing,
}

impl Assembler {
    /// Takes the next record of a lane.
    #[inline]
    pub(crate) fn add(&mut self, tag: Tag, payload: &[u64]) -> Assembled {
        if tag != PIECE && self.words.is_empty() {
            return unpack_any(tag, payload).map_or(Assembled::Nothing, Assembled::Whole);
        }
        self.add_piece(tag, payload)
    }

    #[cold]
    fn add_piece(&mut self, tag: Tag, payload: &[u64]) -> Assembled {
        let Some((id, rest)) = payload.split_first() else {
            return Assembled::Nothing;
        };
        if self.words.first().is_some_and(|begun| begun != id) {
            // Its last piece never came.
            self.words.clear();
        }
        if self.words.is_empty() {
            self.words.push(*id);
        }
        if self.words.len().saturating_add(rest.len()) > MOST_WORDS {
            self.words.clear();
            return Assembled::Nothing;
        }
        self.words.extend_from_slice(rest);
        if tag == PIECE {
            return Assembled::Piece;
        }
        let message = unpack_any(tag, &self.words);
        // A long one is not kept for ever.
        self.words = Vec::new();
        message.map_or(Assembled::Nothing, Assembled::Whole)
    }
}

/// The message that a record is; `None` if it is none.
pub(crate) fn unpack_any(tag: Tag, words: &[u64]) -> Option<Message> {
    if tag & KIND == INFERENCE {
        return match tag & HAS_EXTRAS {
            0 => unpack(tag, words).map(Message::Inference),
            _ => unpack_with_extras(tag, words),
        };
    }
    if tag & KIND == WITH_INPUT {
        return unpack_with_input(tag, words);
    }
    let (id, words) = words.split_first()?;
    let bytes = bytes_of(words)?;
    let mut from = Given(&bytes);
    let other = |entry| Message::Other(*id, Box::new(entry));
    let message = match tag {
        EXTENDED => {
            let extended = from.extended()?;
            if extended.record.id != *id {
                return None;
            }
            Message::Extended(Box::new(extended))
        }
        SYSTEM => other(from.system()?),
        CHECKPOINT => other(from.checkpoint()?),
        OUTCOME => other(from.outcome()?),
        _ => return None,
    };
    from.0.is_empty().then_some(message)
}

/// The bytes that words hold: the first word is their number.
fn bytes_of(words: &[u64]) -> Option<Vec<u8>> {
    let (length, words) = words.split_first()?;
    let length = usize::try_from(*length).ok()?;
    if length.div_ceil(8) != words.len() {
        return None;
    }
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(length);
    Some(bytes)
}

/// What is not plain, byte by byte. Lengths are four bytes.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn into_words(self, id: u64) -> Vec<u64> {
        let chunks = self.0.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let head = [id, self.0.len() as u64];
        head.into_iter().chain(chunks).collect()
    }

    fn word(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn half(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A length beyond four bytes is beyond every lane: the record is not pushed.
    fn length(&mut self, length: usize) {
        self.half(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.byte(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn optional_word(&mut self, value: Option<u64>) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            self.word(value);
        }
    }

    fn pairs(&mut self, pairs: &[(String, Value)]) {
        self.length(pairs.len());
        for (key, value) in pairs {
            self.text(key);
            match value {
                Value::Text(text) => {
                    self.byte(0);
                    self.text(text);
                }
                Value::Real(number) => {
                    self.byte(1);
                    self.word(number.to_bits());
                }
                Value::Integer(number) => {
                    self.byte(2);
                    self.word(number.cast_unsigned());
                }
                Value::Flag(flag) => {
                    self.byte(3);
                    self.byte(u8::from(*flag));
                }
            }
        }
    }

    fn extended(&mut self, extended: &Extended) -> Tag {
        let mut words = [0; PLAIN];
        let (tag, used) = pack(&extended.record, &mut words);
        self.half(u32::from(tag));
        self.length(used);
        words[..used].iter().for_each(|word| self.word(*word));
        self.length(extended.probabilities.len());
        let values = extended.probabilities.iter();
        values.for_each(|value| self.half(value.to_bits()));
        self.optional_word(extended.memory);
        self.byte(u8::from(extended.texts.is_some()));
        if let Some(texts) = &extended.texts {
            for text in [
                &texts.model,
                &texts.symbol,
                &texts.action,
                &texts.checkpoint,
                &texts.labels,
            ] {
                self.optional_text(text.as_deref());
            }
            self.pairs(&texts.attributes);
        }
        self.byte(u8::from(extended.extras.is_some()));
        if let Some(extras) = &extended.extras {
            let extras = extras.as_extras();
            let mut words = vec![0; extras_words(&extras)];
            let used = pack_extras(&extras, std::iter::empty(), &mut words);
            debug_assert_eq!(used, Some(words.len()), "there is room for each");
            self.length(words.len());
            words.iter().for_each(|word| self.word(*word));
        }
        self.byte(u8::from(extended.input.is_some()));
        if let Some(input) = &extended.input {
            self.input(input);
        }
        self.length(extended.blobs.len());
        for blob in &extended.blobs {
            self.text(&blob.name);
            self.byte(u8::from(blob.content.is_some()));
            if let Some(content) = &blob.content {
                self.input(content);
            }
        }
        self.length(extended.values.len());
        for field in &extended.values {
            self.byte(field.kind as u8);
            self.half(field.name.get());
            self.optional_text(field.written.as_deref());
            let value = field.value.as_typed();
            self.byte(value.value_type() as u8);
            match value {
                TypedRef::Text(text) => self.text(text),
                number => self.word(number.to_bits()),
            }
        }
        EXTENDED
    }

    fn input(&mut self, input: &QueuedInput) {
        let condition = match input.condition {
            Condition::None => 0,
            Condition::Divergent => KIND_ONLY_DIVERGENT,
        };
        self.byte(input.kind as u8 | condition);
        self.half(input.names.get());
        self.length(input.bytes.len());
        self.0.extend(&input.bytes);
    }

    fn other(&mut self, event: &OtherEntry) -> Tag {
        match event {
            OtherEntry::System {
                ticks,
                level,
                component,
                written,
                message,
                fields,
            } => {
                self.word(*ticks);
                self.byte(*level as u8);
                self.half(component.get());
                self.optional_text(written.as_deref());
                self.text(message);
                self.pairs(fields);
                SYSTEM
            }
            OtherEntry::Checkpoint {
                ticks,
                action,
                model,
                checkpoint,
                written,
                detail,
            } => {
                self.word(*ticks);
                self.byte(*action as u8);
                self.half(model.get());
                self.half(checkpoint.get());
                self.optional_text(written.0.as_deref());
                self.optional_text(written.1.as_deref());
                self.text(detail);
                CHECKPOINT
            }
            OtherEntry::Outcome {
                ticks,
                of,
                time,
                values,
            } => {
                self.word(*ticks);
                self.word(*of);
                self.optional_word(time.map(i64::cast_unsigned));
                self.length(values.len());
                for value in values {
                    self.value(value);
                }
                OUTCOME
            }
        }
    }

    fn value(&mut self, value: &QueuedValue) {
        match value {
            QueuedValue::Reward(reward) => {
                self.byte(0);
                self.word(reward.to_bits());
            }
            QueuedValue::Correct(correct) => {
                self.byte(1);
                self.byte(u8::from(*correct));
            }
            QueuedValue::Label(label) => {
                self.byte(2);
                self.text(label);
            }
            QueuedValue::Named(name, value) => {
                self.byte(3);
                self.half(name.get());
                self.word(value.to_bits());
            }
            QueuedValue::Written(name, value) => {
                self.byte(4);
                self.text(name);
                self.word(value.to_bits());
            }
        }
    }
}

/// Bytes that are read one after the other, of which none is believed.
struct Given<'a>(&'a [u8]);

impl<'a> Given<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn real(&mut self) -> Option<f64> {
        self.word().map(f64::from_bits)
    }

    fn half(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A number of things that take at least `least` bytes each: no more than there are bytes for.
    fn length(&mut self, least: usize) -> Option<usize> {
        let length = usize::try_from(self.half()?).ok()?;
        (length.checked_mul(least)? <= self.0.len()).then_some(length)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length(1)?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn optional_text(&mut self) -> Option<Option<String>> {
        if !self.flag()? {
            return Some(None);
        }
        self.text().map(|text| Some(text.to_owned()))
    }

    fn optional_word(&mut self) -> Option<Option<u64>> {
        if !self.flag()? {
            return Some(None);
        }
        self.word().map(Some)
    }

    fn pairs(&mut self) -> Option<Vec<(String, Value)>> {
        // A key's length, a kind and a flag.
        let pairs = self.length(6)?;
        let pair = |_| {
            let key = self.text()?.to_owned();
            let value = match self.byte()? {
                0 => Value::Text(self.text()?.to_owned()),
                1 => Value::Real(self.real()?),
                2 => Value::Integer(self.word()?.cast_signed()),
                3 => Value::Flag(self.flag()?),
                _ => return None,
            };
            Some((key, value))
        };
        (0..pairs).map(pair).collect()
    }

    fn extended(&mut self) -> Option<Extended> {
        let tag = Tag::try_from(self.half()?).ok()?;
        let used = self.length(8)?;
        let words: Option<Vec<u64>> = (0..used).map(|_| self.word()).collect();
        let is_inference = tag & KIND == INFERENCE;
        // Extras of its own stand behind, and nowhere else.
        let record = unpack(tag, &words.filter(|_| is_inference)?)?;
        let count = self.length(4).filter(|count| *count <= MOST)?;
        let values = (0..count).map(|_| self.half().map(f32::from_bits));
        let probabilities = values.collect::<Option<_>>()?;
        let memory = self.optional_word()?;
        let texts = if self.flag()? {
            Some(Box::new(Texts {
                model: self.optional_text()?,
                symbol: self.optional_text()?,
                action: self.optional_text()?,
                checkpoint: self.optional_text()?,
                labels: self.optional_text()?,
                attributes: self.pairs()?,
            }))
        } else {
            None
        };
        let extras = if self.flag()? {
            let words = self.length(8)?;
            let words: Option<Vec<u64>> = (0..words).map(|_| self.word()).collect();
            let (extras, values) = unpack_extras(&words?)?;
            // Typed values stand behind.
            Some(Box::new(extras)).filter(|_| values.is_empty())
        } else {
            None
        };
        let input = if self.flag()? {
            Some(self.input()?)
        } else {
            None
        };
        // A name's length and a flag.
        let blobs = self.length(5).filter(|count| *count <= MOST_BLOBS)?;
        let blobs = (0..blobs).map(|_| self.blob());
        let blobs = blobs.collect::<Option<_>>()?;
        // A kind, a name, a flag, a type and a length at least.
        let count = self.length(11)?;
        let values = (0..count).map(|_| self.field());
        let values = values.collect::<Option<_>>()?;
        Some(Extended {
            record,
            probabilities,
            memory,
            texts,
            extras,
            input,
            blobs,
            values,
        })
    }

    fn blob(&mut self) -> Option<QueuedBlob> {
        let name = self.text().filter(|name| name.len() <= MOST_BLOB_NAME)?;
        let content = if self.flag()? {
            Some(self.input()?)
        } else {
            None
        };
        Some(QueuedBlob {
            name: name.to_owned(),
            content,
        })
    }

    fn field(&mut self) -> Option<TypedField> {
        let kind = ValueKind::of(self.byte()?.into())?;
        let name = LocalName::new(self.half()?);
        let written = self.optional_text()?.map(String::into_boxed_str);
        // A name is a number, or is written out.
        if (name == NO_NAME) != written.is_some() {
            return None;
        }
        let value_type = AttributeType::of(self.byte()?.into())?;
        let (bits, text) = match value_type {
            AttributeType::Text => (0, self.text()?),
            _ => (self.word()?, ""),
        };
        Some(TypedField {
            kind,
            name,
            written,
            value: TypedRef::of(value_type, bits, text)?.to_owned(),
        })
    }

    fn input(&mut self) -> Option<QueuedInput> {
        let kind = self.byte()?;
        let condition = condition_of(kind & KIND_ONLY_DIVERGENT != 0);
        let kind = InputKind::of((kind & !KIND_ONLY_DIVERGENT).into())?;
        let names = LocalName::new(self.half()?);
        let length = self.length(1).filter(|length| kind.fits(*length))?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(QueuedInput {
            kind,
            bytes: bytes.to_vec(),
            names,
            condition,
            _room: None,
        })
    }

    fn system(&mut self) -> Option<OtherEntry> {
        Some(OtherEntry::System {
            ticks: self.word()?,
            level: match self.byte()? {
                0 => Level::Trace,
                1 => Level::Debug,
                2 => Level::Info,
                3 => Level::Warn,
                4 => Level::Error,
                _ => return None,
            },
            component: LocalName::new(self.half()?),
            written: self.optional_text()?,
            message: self.text()?.to_owned(),
            fields: self.pairs()?,
        })
    }

    fn checkpoint(&mut self) -> Option<OtherEntry> {
        Some(OtherEntry::Checkpoint {
            ticks: self.word()?,
            action: match self.byte()? {
                0 => CheckpointAction::Saved,
                1 => CheckpointAction::Loaded,
                2 => CheckpointAction::Activated,
                3 => CheckpointAction::Deleted,
                4 => CheckpointAction::Failed,
                _ => return None,
            },
            model: LocalName::new(self.half()?),
            checkpoint: LocalName::new(self.half()?),
            written: (self.optional_text()?, self.optional_text()?),
            detail: self.text()?.to_owned(),
        })
    }

    fn outcome(&mut self) -> Option<OtherEntry> {
        let (ticks, of) = (self.word()?, self.word()?);
        let time = self.optional_word()?.map(u64::cast_signed);
        // A kind and a flag. An outcome has three values besides the named ones.
        let count = self.length(2).filter(|count| *count <= MOST + 3)?;
        let value = |_| {
            Some(match self.byte()? {
                0 => QueuedValue::Reward(self.real()?),
                1 => QueuedValue::Correct(self.flag()?),
                2 => QueuedValue::Label(self.text()?.to_owned()),
                3 => {
                    let name = self.half().map(LocalName::new);
                    let name = name.filter(|name| *name != NO_NAME)?;
                    QueuedValue::Named(name, self.real()?)
                }
                4 => QueuedValue::Written(self.text()?.to_owned(), self.real()?),
                _ => return None,
            })
        };
        let values = (0..count).map(value).collect::<Option<_>>()?;
        Some(OtherEntry::Outcome {
            ticks,
            of,
            time,
            values,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::super::typed::BoundName;
    use super::*;
    use crate::entry::typed::TypedValue;

    fn records() -> impl Strategy<Value = Record> {
        let numbers = (any::<u64>(), any::<u64>(), any::<i64>(), any::<u64>());
        let processing = prop_oneof![
            Just(NO_PROCESSING),
            any::<u64>(),
            (0_u64..1 << 33),
            Just(u64::from(u32::MAX))
        ];
        let names = any::<[u32; 5]>();
        let floats = (any::<u32>(), any::<[u32; INLINE]>(), 0..=INLINE);
        let flags = any::<[bool; 5]>();
        (numbers, processing, names, floats, flags).prop_map(
            |((id, ticks, event, features), processing, names, floats, flags)| {
                let [model, symbol, action, checkpoint, labels] = names.map(LocalName::new);
                let (confidence, values, count) = floats;
                let mut probabilities = [0.0; INLINE];
                for (slot, bits) in probabilities.iter_mut().zip(values).take(count) {
                    *slot = f32::from_bits(bits);
                }
                let [
                    has_event,
                    has_features,
                    has_confidence,
                    is_deterministic,
                    given_up,
                ] = flags;
                Record {
                    id,
                    ticks,
                    event: if has_event { event } else { 0 },
                    features: if has_features { features } else { 0 },
                    processing,
                    model,
                    symbol,
                    action,
                    checkpoint,
                    labels,
                    confidence: if has_confidence {
                        f32::from_bits(confidence)
                    } else {
                        f32::NAN
                    },
                    probabilities,
                    probability_count: u8::try_from(count).unwrap(),
                    has_event,
                    has_features,
                    has_confidence,
                    is_deterministic,
                    is_input_given_up: given_up,
                }
            },
        )
    }

    fn pairs() -> impl Strategy<Value = Vec<(String, Value)>> {
        let value = prop_oneof![
            ".{0,40}".prop_map(Value::Text),
            any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))),
            any::<i64>().prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Flag),
        ];
        prop::collection::vec((".{0,20}", value), 0..6)
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(".{0,30}")
    }

    fn extras() -> impl Strategy<Value = OwnedExtras> {
        let propensity = prop::option::of(any::<u32>().prop_map(f32::from_bits));
        let vector = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..70);
        let cause = prop::option::of(any::<u64>().prop_map(InferenceId));
        let step = prop::option::of((any::<u64>().prop_map(EpisodeId), any::<u64>()));
        (propensity, vector, cause, text(), step).prop_map(
            |(propensity, vector, cause, correlation, step)| OwnedExtras {
                propensity,
                vector: vector.into(),
                cause,
                correlation: correlation.map(Into::into),
                step,
            },
        )
    }

    fn typed() -> impl Strategy<Value = TypedValue> {
        prop_oneof![
            any::<u32>().prop_map(|bits| TypedValue::F32(f32::from_bits(bits))),
            any::<u64>().prop_map(|bits| TypedValue::F64(f64::from_bits(bits))),
            any::<i64>().prop_map(TypedValue::I64),
            any::<bool>().prop_map(TypedValue::Bool),
            ".{0,9}".prop_map(|text| TypedValue::Text(text.into())),
        ]
    }

    fn fields() -> impl Strategy<Value = Vec<TypedField>> {
        let kind = prop_oneof![Just(ValueKind::Prediction), Just(ValueKind::Attribute)];
        let name = prop_oneof![
            (1..=u32::MAX).prop_map(|name| (LocalName::new(name), None)),
            ".{0,5}".prop_map(|text| (NO_NAME, Some(text.into()))),
        ];
        let field = (kind, name, typed()).prop_map(|(kind, (name, written), value)| TypedField {
            kind,
            name,
            written,
            value,
        });
        prop::collection::vec(field, 0..4)
    }

    fn bound() -> BoundName {
        BoundName {
            local: LocalName::new(7),
            written: None,
        }
    }

    fn inputs() -> impl Strategy<Value = QueuedInput> {
        let kind = prop_oneof![
            Just(InputKind::F32),
            Just(InputKind::F64),
            Just(InputKind::Bytes),
            Just(InputKind::Deflated)
        ];
        let words = prop::collection::vec(any::<u64>(), 0..60);
        (kind, words, 0_usize..8, any::<u32>()).prop_map(|(kind, words, less, names)| {
            let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
            let less = match kind {
                InputKind::F32 => less / 4 * 4,
                InputKind::F64 => 0,
                InputKind::Bytes | InputKind::Deflated => less,
            };
            bytes.truncate(bytes.len().saturating_sub(less));
            QueuedInput {
                kind,
                bytes,
                names: LocalName::new(names),
                condition: condition_of(names.is_multiple_of(3)),
                _room: None,
            }
        })
    }

    fn messages() -> impl Strategy<Value = Message> {
        let texts = (text(), text(), text(), text(), text(), pairs());
        let texts = texts.prop_map(|(model, symbol, action, checkpoint, labels, attributes)| {
            Box::new(Texts {
                model,
                symbol,
                action,
                checkpoint,
                labels,
                attributes,
            })
        });
        let values = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..40);
        let memory = prop::option::of(any::<u64>());
        let texts = prop::option::of(texts);
        let blob = ("[a-z]{0,64}", prop::option::of(inputs()));
        let blob = blob.prop_map(|(name, content)| QueuedBlob { name, content });
        let blobs = prop::collection::vec(blob, 0..4);
        let carried = (extras(), prop::option::of(inputs()), blobs, fields());
        let extended = (records(), values, memory, texts, carried).prop_map(
            |(record, probabilities, memory, texts, (extras, input, blobs, values))| {
                let extras = (!extras.as_extras().is_none()).then(|| Box::new(extras));
                Message::Extended(Box::new(Extended {
                    record,
                    probabilities: probabilities.into(),
                    memory,
                    texts,
                    extras,
                    input,
                    values,
                    blobs,
                }))
            },
        );
        let level = prop_oneof![
            Just(Level::Trace),
            Just(Level::Debug),
            Just(Level::Info),
            Just(Level::Warn),
            Just(Level::Error)
        ];
        let system = (
            any::<u64>(),
            level,
            any::<u32>(),
            text(),
            ".{0,90}",
            pairs(),
        )
            .prop_map(|(ticks, level, component, written, message, fields)| {
                OtherEntry::System {
                    ticks,
                    level,
                    component: LocalName::new(component),
                    written,
                    message,
                    fields,
                }
            });
        let action = prop_oneof![
            Just(CheckpointAction::Saved),
            Just(CheckpointAction::Loaded),
            Just(CheckpointAction::Activated),
            Just(CheckpointAction::Deleted),
            Just(CheckpointAction::Failed)
        ];
        let checkpoint = (any::<[u32; 2]>(), action, text(), text(), ".{0,90}").prop_map(
            |([model, checkpoint], action, first, second, detail)| OtherEntry::Checkpoint {
                ticks: 5,
                action,
                model: LocalName::new(model),
                checkpoint: LocalName::new(checkpoint),
                written: (first, second),
                detail,
            },
        );
        let real = || any::<u64>().prop_map(f64::from_bits);
        let value = prop_oneof![
            real().prop_map(QueuedValue::Reward),
            any::<bool>().prop_map(QueuedValue::Correct),
            ".{0,30}".prop_map(QueuedValue::Label),
            (1..=u32::MAX, real())
                .prop_map(|(name, value)| QueuedValue::Named(LocalName::new(name), value)),
            (".{0,30}", real()).prop_map(|(name, value)| QueuedValue::Written(name, value)),
        ];
        let time = prop::option::of(any::<i64>());
        let outcome = (any::<u64>(), time, prop::collection::vec(value, 0..9)).prop_map(
            |(of, time, values)| OtherEntry::Outcome {
                ticks: 1,
                of,
                time,
                values,
            },
        );
        let event = prop_oneof![system, checkpoint, outcome];
        prop_oneof![
            records().prop_map(Message::Inference),
            extended,
            (any::<u64>(), event).prop_map(|(id, event)| Message::Other(id, Box::new(event))),
        ]
    }

    proptest! {
        #[test]
        fn a_message_comes_back_as_it_was(message in messages()) {
            let (tag, words) = pack_any(&message);
            let back = unpack_any(tag, &words).unwrap();
            // Floats of any bits: a second packing compares them.
            prop_assert_eq!(pack_any(&back), (tag, words));
            let shown = |message: &Message| format!("{message:?}");
            prop_assert_eq!(shown(&back), shown(&message));
        }

        #[test]
        fn a_decision_with_extras_comes_back(
            record in records(),
            extras in extras(),
            predictions in prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..4),
            place in any::<prop::sample::Index>(),
            value in any::<u64>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut words = [0; WITH_EXTRAS];
            let extras = extras.as_extras();
            let names = vec![bound(); predictions.len()];
            let typed = GivenValues {
                prediction_names: &names,
                predictions: &predictions,
                ..GivenValues::NONE
            };
            let Some((tag, used)) = pack_with_extras(&record, &extras, typed, &mut words) else {
                let long = extras.vector.len().div_ceil(2);
                let long = long + 2 * predictions.len() + 1;
                let long = long + extras.correlation.unwrap_or_default().len().div_ceil(8);
                prop_assert!(long > 47, "{} words of its own", long);
                return Ok(());
            };
            let words = &words[..used];
            let Some(Message::Extended(back)) = unpack_any(tag, words) else {
                prop_assert!(extras.is_none() && typed.is_empty());
                return Ok(());
            };
            prop_assert_eq!(format!("{:?}", back.values), format!("{:?}", typed.to_fields()));
            let owned = back.extras.as_deref().map(|extras| extras.as_extras());
            let owned = owned.unwrap_or(Extras::NONE);
            prop_assert_eq!(format!("{:?}", owned), format!("{:?}", extras));
            let mut again = Record {
                probability_count: record.probability_count,
                ..back.record
            };
            let count = back.probabilities.len();
            again.probabilities[..count].copy_from_slice(&back.probabilities);
            prop_assert_eq!(format!("{:?}", again), format!("{:?}", record));
            // Nothing of it panics, and no part of it is a whole one.
            let mut changed = words.to_vec();
            changed[place.index(used)] = value;
            let _ = unpack_any(tag, &changed);
            prop_assert!(unpack_any(tag, &words[..cut.index(used)]).is_none());
            prop_assert!(unpack_any(tag, &[words, &[0]].concat()).is_none());
        }

        #[test]
        fn a_decision_with_an_input_comes_back_as_it_was(
            record in records(),
            input in inputs(),
            place in any::<prop::sample::Index>(),
            value in any::<u64>(),
        ) {
            let condition = input.condition;
            let given = GivenInput { kind: input.kind, bytes: &input.bytes, condition };
            let (tag, mut words) =
                with_packed_input(&record, given, input.names, |tag, words| (tag, words.to_vec()));
            let Some(Message::Extended(back)) = unpack_any(tag, &words) else {
                panic!("it is one with an input");
            };
            let mut plain = [[0; PLAIN]; 2];
            let packed = pack(&record, &mut plain[0]);
            prop_assert_eq!(packed, pack(&back.record, &mut plain[1]));
            prop_assert_eq!(plain[0], plain[1]);
            prop_assert_eq!(back.probabilities.len(), usize::from(record.probability_count));
            let found = back.input.unwrap();
            prop_assert_eq!((found.kind, &found.bytes), (input.kind, &input.bytes));
            prop_assert_eq!((found.names, found.condition), (input.names, input.condition));
            // None of these may panic, or take more memory than there are bytes for.
            let last = words.len() - 1;
            prop_assert!(unpack_any(tag, &words[..last]).is_none() || record.id == words[0]);
            words[place.index(last + 1)] = value;
            let _ = unpack_any(tag, &words);
        }

        #[test]
        fn a_record_that_was_changed_is_a_message_or_none(
            message in messages(),
            tag_bits in any::<u16>(),
            place in any::<prop::sample::Index>(),
            value in any::<u64>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let (tag, words) = pack_any(&message);
            // None of these may panic, or take more memory than there are bytes for.
            let mut changed = words.clone();
            changed[place.index(words.len())] = value;
            let _ = unpack_any(tag, &changed);
            let _ = unpack_any(tag ^ tag_bits, &words);
            prop_assert!(unpack_any(tag, &words[..cut.index(words.len())]).is_none());
            let longer = [words, vec![0]].concat();
            prop_assert!(unpack_any(tag, &longer).is_none());
        }
    }

    #[test]
    fn a_plain_decision_stays_within_96_bytes() {
        let full = Record {
            id: 1,
            ticks: 2,
            event: 0,
            features: 3,
            processing: 4,
            model: LocalName::new(5),
            symbol: LocalName::new(6),
            action: LocalName::new(7),
            checkpoint: LocalName::new(8),
            labels: LocalName::new(9),
            confidence: 0.5,
            probabilities: [0.25; INLINE],
            probability_count: 8,
            has_event: false,
            has_features: true,
            has_confidence: true,
            is_deterministic: true,
            is_input_given_up: true,
        };
        let bytes = |record: &Record| {
            let (_, used) = pack(record, &mut [0; PLAIN]);
            (used + 1) * 8
        };
        assert_eq!(bytes(&full), 96);
        let two = Record {
            probability_count: 2,
            ..full
        };
        assert_eq!(bytes(&two), 72);
        let widest = Record {
            has_event: true,
            processing: u64::MAX - 1,
            ..full
        };
        assert_eq!(bytes(&widest), (PLAIN + 1) * 8);
    }

    #[test]
    fn the_documented_extras_are_packed_in_place() {
        let record = records()
            .new_tree(&mut TestRunner::deterministic())
            .unwrap();
        let (numbers, text) = ([0.5; 64], "x".repeat(120));
        let packed = |numbers: &[f32], text: &str| {
            let extras = Extras {
                propensity: Some(0.5),
                vector: numbers,
                cause: Some(InferenceId(7)),
                correlation: Some(text),
                step: Some((EpisodeId(8), 9)),
            };
            let words = &mut [0; WITH_EXTRAS];
            pack_with_extras(&record.current(), &extras, GivenValues::NONE, words).is_some()
        };
        assert!(packed(&numbers, &text));
        assert!(!packed(&[0.5; MOST], &text));
        let predicted = |count: usize| {
            let typed = GivenValues {
                prediction_names: &vec![bound(); count],
                predictions: &vec![0.5; count],
                ..GivenValues::NONE
            };
            let words = &mut [0; WITH_EXTRAS];
            pack_with_extras(&record.current(), &Extras::NONE, typed, words).is_some()
        };
        assert!(predicted(23) && !predicted(40));
        // A name that is written out is in no lane's words.
        let written = BoundName {
            local: NO_NAME,
            written: Some("x".into()),
        };
        let typed = GivenValues {
            prediction_names: &[written],
            predictions: &[0.5],
            ..GivenValues::NONE
        };
        let words = &mut [0; WITH_EXTRAS];
        let packed = pack_with_extras(&record.current(), &Extras::NONE, typed, words);
        assert_eq!(packed, None);
    }

    #[test]
    fn a_long_message_comes_back_from_its_pieces() {
        let event = OtherEntry::System {
            ticks: 0,
            level: Level::Info,
            component: LocalName::new(1),
            written: None,
            message: "x".repeat(1 << 20),
            fields: Vec::new(),
        };
        let message = Message::Other(7, Box::new(event));
        let (tag, words) = pack_any(&message);
        let mut assembler = Assembler::default();
        let pieces: Vec<Vec<u64>> = words[1..]
            .chunks(1_000)
            .map(|chunk| [&[7], chunk].concat())
            .collect();
        let (last, rest) = pieces.split_last().unwrap();
        for round in 0..3 {
            // The second time the last piece is missing.
            for piece in rest {
                assert!(matches!(assembler.add(PIECE, piece), Assembled::Piece));
            }
            if round == 1 {
                let (tag, words) = pack_any(&plain_event(8));
                let next = assembler.add(tag, &words);
                assert!(matches!(next, Assembled::Whole(Message::Other(8, _))));
                continue;
            }
            let Assembled::Whole(back) = assembler.add(tag, last) else {
                panic!("round {round}");
            };
            assert_eq!(pack_any(&back), (tag, words.clone()));
        }
        // Pieces without an end take no memory without an end.
        let piece = vec![9; 4_000];
        let refused =
            (0..1_000).filter(|_| matches!(assembler.add(PIECE, &piece), Assembled::Nothing));
        assert!(refused.count() > 10);
    }

    fn plain_event(id: u64) -> Message {
        let event = OtherEntry::Outcome {
            ticks: 1,
            of: 2,
            time: None,
            values: Vec::new(),
        };
        Message::Other(id, Box::new(event))
    }
}
