//! Inputs on their way to the writer. What does not fit is given up, and its decision goes on
//! without it.

use std::borrow::Cow;

use super::Queue;
use super::enqueue::{Facts, GivenNames};
use super::input_queue::{QueuedBlob, QueuedInput};
use super::lanes::Sent;
use super::local_names::LocalName;
use super::message::{Extended, Message, Record};
use super::packing::{PLAIN, pack, with_packed_input};
use crate::engine::inputs::deflate::compressed;
use crate::entry::blob::Blob;
use crate::entry::floats::INLINE;
use crate::entry::ids::InferenceId;
use crate::entry::input::{GivenInput, InputKind, MOST_INPUT};
use crate::entry::redaction::RedactedPlace;

impl Queue {
    /// Queues an inference that would be plain without its input.
    pub(crate) fn log_with_input(
        &self,
        names: GivenNames,
        facts: Facts,
        (probabilities, count): ([f32; INLINE], usize),
        (input, feature_names): (GivenInput<'_>, LocalName),
    ) -> Option<InferenceId> {
        let mut record = self.record(names, facts, probabilities, count);
        let Some(bytes) = self.redacted(input) else {
            record.is_input_given_up = true;
            return self.send_record(record, facts);
        };
        let input = GivenInput {
            bytes: &bytes,
            ..input
        };
        if !self.inputs.is_taken(input) {
            record.is_input_given_up = true;
            return self.send_record(record, facts);
        }
        let Some(lanes) = self.lanes() else {
            return self.send_by_channel(record, facts, input, feature_names);
        };
        let send = || {
            with_packed_input(&record, input, feature_names, |tag, payload| {
                lanes.send(self, tag, payload)
            })
        };
        let mut sent = send();
        if sent == Sent::Full {
            sent = self.wait_for_room(send);
        }
        match sent {
            Sent::Queued => Some(InferenceId(record.id)),
            Sent::NoLane => self.send_by_channel(record, facts, input, feature_names),
            // The decision may still have room. Its call has waited for its input.
            Sent::Full => {
                self.inputs.count_full(1);
                record.is_input_given_up = true;
                let mut words = [0; PLAIN];
                let (tag, used) = pack(&record, &mut words);
                match lanes.send(self, tag, words.get(..used).unwrap_or_default()) {
                    Sent::Queued => Some(InferenceId(record.id)),
                    other => {
                        let message = Message::Inference(record);
                        self.not_sent(other, message, record.ticks, facts.event())
                    }
                }
            }
            Sent::Stranded | Sent::Closed => {
                let message = Message::Inference(record);
                self.not_sent(sent, message, record.ticks, facts.event())
            }
        }
    }

    /// What a redaction leaves of an input that is bytes; `None` if it is to be dropped.
    #[inline]
    pub(super) fn redacted<'c>(&self, input: GivenInput<'c>) -> Option<Cow<'c, [u8]>> {
        match &self.redactor {
            Some(redactor) if input.kind == InputKind::Bytes => {
                redactor.content(RedactedPlace::Input, "", input.bytes)
            }
            _ => Some(Cow::Borrowed(input.bytes)),
        }
    }

    /// A blob for a message: redacted, then compressed.
    pub(super) fn queued_blob(&self, blob: &Blob<'_>) -> QueuedBlob {
        let bytes = match &self.redactor {
            Some(redactor) => redactor.content(RedactedPlace::Blob, blob.name, blob.bytes),
            None => Some(Cow::Borrowed(blob.bytes)),
        };
        let content = bytes.and_then(|bytes| {
            if bytes.len() > MOST_INPUT {
                self.inputs.refuse_blob(blob.name, bytes.len());
                return None;
            }
            // Before the work: there may be no room for what comes of it.
            let room = self.inputs.room(bytes.len() as u64)?;
            let (kind, kept) = compressed(&bytes);
            Some(QueuedInput::of(kind, kept, room))
        });
        QueuedBlob {
            name: blob.name.to_owned(),
            content,
        }
    }

    #[cold]
    fn send_by_channel(
        &self,
        mut record: Record,
        facts: Facts,
        input: GivenInput<'_>,
        feature_names: LocalName,
    ) -> Option<InferenceId> {
        let input = self.inputs.copy(input, feature_names);
        record.is_input_given_up = input.is_none();
        let probabilities = record.probabilities.iter().copied();
        let message = Message::Extended(Box::new(Extended {
            probabilities: probabilities
                .take(record.probability_count.into())
                .collect(),
            record,
            memory: None,
            texts: None,
            extras: None,
            input,
            values: Vec::new(),
            blobs: Vec::new(),
        }));
        if self.lanes().is_none() {
            return self.send(record.id, message, record.ticks, facts.event());
        }
        self.not_sent(Sent::NoLane, message, record.ticks, facts.event())
    }
}
