//! The index keys of a block: the hours, ids and kinds of entry that it touches.

use std::ops::Range;

use super::min_max::MinMaxByKey;
use super::row::{Note, OutcomeRow};
use crate::entry::ids::InferenceId;
use crate::entry::timestamp::Timestamp;

const SECOND_MICROS: i64 = 1_000_000;
const SECONDS_OF_HOUR: i64 = 3_600;

/// Kinds of entry that are rare enough to be indexed one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EntryKind {
    Gap = 1,
    SystemEvent = 2,
    CheckpointEvent = 3,
}

/// The index rows of a block.
#[derive(Debug, Default)]
pub(crate) struct BlockIndex {
    /// Hours of event time since 1970, with the first and last second that the block touches.
    pub(crate) hours: MinMaxByKey<i64>,
    /// Buckets of ids, with the first and last id within the bucket.
    pub(crate) ids: MinMaxByKey<u64>,
    /// Like `ids`, for the inferences that the block's outcomes belong to.
    pub(crate) outcomes: MinMaxByKey<u64>,
    /// Kind and position of the rows that are indexed one by one.
    pub(crate) kinds: Vec<(EntryKind, u32)>,
    /// The second of event time, in microseconds, that was covered last: most events share it with
    /// the one before.
    second: Range<Timestamp>,
}

impl BlockIndex {
    /// Takes in an inference or a repeat.
    #[inline]
    pub(super) fn event(&mut self, id: InferenceId, event: Timestamp) {
        self.ids.cover_id(id);
        if self.second.contains(&event) {
            return;
        }
        let micros = event.as_micros();
        let past = micros.rem_euclid(SECOND_MICROS);
        self.second = event.moved_by(-past)..event.moved_by(SECOND_MICROS - past);
        let second = micros.div_euclid(SECOND_MICROS).rem_euclid(SECONDS_OF_HOUR);
        self.hours
            .cover(event.hour(), u16::try_from(second).unwrap_or(u16::MAX));
    }

    /// Takes in the entry without an id that stands at `position`.
    pub(super) fn note(&mut self, position: u32, note: &Note) {
        let kind = match note {
            Note::Gap(_) => EntryKind::Gap,
            Note::SystemEvent(_) => EntryKind::SystemEvent,
            Note::CheckpointEvent(_) => EntryKind::CheckpointEvent,
            Note::Outcome(OutcomeRow { of, .. }) => {
                self.outcomes.cover_id(*of);
                return;
            }
        };
        self.kinds.push((kind, position));
    }
}
