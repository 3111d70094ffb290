//! Inputs on their way to the writer. What does not fit is given up, and its decision goes on
//! without it.

use std::thread;
use std::time::{Duration, Instant};

use super::Queue;
use super::enqueue::{Facts, GivenNames, LEAST_NAP, MOST_NAP};
use super::lanes::Sent;
use super::local_names::LocalName;
use super::message::{Extended, Message, Record};
use super::packing::{PLAIN, pack, with_packed_input};
use crate::entry::floats::INLINE;
use crate::entry::ids::InferenceId;
use crate::entry::input::GivenInput;
use crate::options::Overflow;

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
        if let (Sent::Full, Overflow::Block { timeout }) = (sent, self.overflow()) {
            sent = self.wait_for_lane(timeout, send);
        }
        match sent {
            Sent::Queued => Some(InferenceId(record.id)),
            Sent::NoLane => self.send_by_channel(record, facts, input, feature_names),
            // The decision may still have room.
            Sent::Full => {
                self.inputs.count_full();
                record.is_input_given_up = true;
                self.send_record(record, facts)
            }
            Sent::Stranded | Sent::Closed => self.record_not_queued(sent, record, facts),
        }
    }

    /// Tries `send` again and again until the lane has room.
    #[cold]
    fn wait_for_lane(&self, timeout: Duration, mut send: impl FnMut() -> Sent) -> Sent {
        let began = Instant::now();
        let mut nap = LEAST_NAP;
        let mut sent = Sent::Full;
        while sent == Sent::Full && began.elapsed() < timeout {
            self.wake_writer();
            thread::sleep(nap.min(timeout.saturating_sub(began.elapsed())));
            nap = (nap * 2).min(MOST_NAP);
            sent = send();
        }
        sent
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
        }));
        if self.lanes().is_none() {
            return self.send(record.id, message, record.ticks, facts.event());
        }
        // It has no payload: a lane takes no part in this.
        self.not_queued(Sent::NoLane, (0, &[]), message, record.ticks, facts.event())
    }

    /// After a send of a record that was not taken for a reason that its input has no part in.
    #[cold]
    fn record_not_queued(&self, sent: Sent, record: Record, facts: Facts) -> Option<InferenceId> {
        let mut words = [0; PLAIN];
        let (tag, used) = pack(&record, &mut words);
        let payload = words.get(..used).unwrap_or_default();
        let message = Message::Inference(record);
        self.not_queued(sent, (tag, payload), message, record.ticks, facts.event())
    }
}
