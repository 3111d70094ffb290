//! The row that registers a segment.

use serde::{Deserialize, Serialize};

use super::format::block::StoredEntry;
use super::format::codec::{Stored, bounded};
use super::format::row::{Note, Row};
use super::format::summary::{Summary, widen};
use super::lost_ranges::{LostFacts, run_between};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Stored form of a segment, under its first sequence.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    /// The sequence after its last entry.
    pub(crate) next: Sequence,
    /// Size of its file.
    pub(crate) bytes: u64,
    /// Inferences and repeats in it.
    pub(crate) events: u64,
    /// First and last recorded time.
    pub(crate) recorded: (Timestamp, Timestamp),
    /// First and last event time of its inferences and repeats.
    pub(crate) event_times: Option<(Timestamp, Timestamp)>,
    /// Their lowest and highest id.
    pub(crate) ids: Option<(InferenceId, InferenceId)>,
    /// The lowest and highest id that it holds outcomes of.
    pub(crate) outcomes: Option<(InferenceId, InferenceId)>,
    /// When it was sealed.
    pub(crate) sealed: Timestamp,
}

impl Stored for SegmentRow {
    fn check(&self) -> std::result::Result<(), String> {
        bounded("an end", self.next.get())?;
        bounded("a size in bytes", self.bytes)?;
        bounded("a number of decisions", self.events)
    }
}

impl SegmentRow {
    /// Of a segment that holds nothing yet.
    pub(crate) fn beginning_at(first: Sequence) -> Self {
        SegmentRow {
            next: first,
            bytes: 0,
            events: 0,
            recorded: (Timestamp::MAX, Timestamp::MIN),
            event_times: None,
            ids: None,
            outcomes: None,
            sealed: Timestamp::default(),
        }
    }

    /// Takes in the entry that comes next.
    pub(crate) fn see(&mut self, entry: &StoredEntry) {
        let head = entry.head;
        self.next = entry.next();
        self.recorded.0 = self.recorded.0.min(head.recorded);
        self.recorded.1 = self.recorded.1.max(head.recorded);
        match &entry.row {
            Row::Inference(_) | Row::Repeat(_) => {
                self.events = self.events.saturating_add(1);
                widen(&mut self.event_times, head.event);
                widen(&mut self.ids, head.id);
            }
            Row::Note(Note::Outcome(outcome)) => widen(&mut self.outcomes, outcome.of),
            Row::Note(_) => {}
        }
    }

    /// Takes in the block that comes next and ends before `next`.
    pub(crate) fn see_block(&mut self, summary: &Summary, next: Sequence) {
        self.next = next;
        self.events = self.events.saturating_add(summary.events.into());
        if let Some((first, last)) = summary.recorded {
            self.recorded = (self.recorded.0.min(first), self.recorded.1.max(last));
        }
        widen_to(&mut self.event_times, summary.event_times);
        widen_to(&mut self.ids, summary.ids);
        widen_to(&mut self.outcomes, summary.outcomes);
    }

    /// Of a segment whose registration cannot be read: it may hold anything.
    pub(crate) fn unknown(next: Sequence) -> Self {
        SegmentRow {
            event_times: Some((Timestamp::MIN, Timestamp::MAX)),
            ids: Some((InferenceId::NONE, InferenceId::MAX)),
            outcomes: Some((InferenceId::NONE, InferenceId::MAX)),
            ..SegmentRow::beginning_at(next)
        }
    }

    /// Known facts about its entries where its file cannot be opened.
    pub(crate) fn known(&self) -> LostFacts {
        let is_known = self.recorded.0 <= self.recorded.1;
        let run = |id: InferenceId| id.run().get();
        let ids = self.ids.filter(|_| is_known);
        LostFacts {
            run: ids.map_or(0, |(low, high)| {
                run_between(Some(run(low)), Some(run(high)))
            }),
            recorded: if is_known {
                self.recorded.0
            } else {
                Timestamp::default()
            },
            event_range: self.event_times.filter(|_| is_known),
        }
    }
}

/// Makes `span` cover `other`.
fn widen_to<T: Ord + Copy>(span: &mut Option<(T, T)>, other: Option<(T, T)>) {
    if let Some((low, high)) = other {
        widen(span, low);
        widen(span, high);
    }
}
