//! Entries of a block that a withdrawal of an import removes.

use crate::engine::format::block::{RowHead, StoredEntry};
use crate::engine::format::row::{GapRow, Note, Row};
use crate::entry::gap::GapReason;
use crate::entry::ids::RunId;

/// Takes out the entries of an import.
pub(crate) struct Withdrawal {
    pub(super) run: RunId,
    /// Inferences and repeats that were taken out.
    pub(crate) inferences: u64,
    /// Outcomes, gaps and other entries.
    pub(crate) others: u64,
}

impl Withdrawal {
    /// Of the import that `run` is of.
    pub(crate) fn of(run: RunId) -> Self {
        Withdrawal {
            run,
            inferences: 0,
            others: 0,
        }
    }

    /// The rows of a block, with a lost range in the place of each stretch of the import's.
    pub(super) fn without(&self, rows: &[StoredEntry]) -> Vec<StoredEntry> {
        let mut kept: Vec<StoredEntry> = Vec::with_capacity(rows.len());
        let is_ours = |entry: &StoredEntry| entry.run() == self.run.get();
        for stretch in rows.chunk_by(|one, next| is_ours(one) == is_ours(next)) {
            match stretch.first().filter(|first| is_ours(first)) {
                Some(first) => kept.push(lost_range(first, stretch.len() as u64)),
                None => kept.extend_from_slice(stretch),
            }
        }
        kept
    }

    /// Counts those of the import among `rows`.
    pub(super) fn count(&mut self, rows: &[StoredEntry]) {
        for entry in rows.iter().filter(|entry| entry.run() == self.run.get()) {
            let counter = match entry.row {
                Row::Inference(_) | Row::Repeat(_) => &mut self.inferences,
                Row::Note(_) => &mut self.others,
            };
            *counter = counter.saturating_add(1);
        }
    }
}

fn lost_range(first: &StoredEntry, entries: u64) -> StoredEntry {
    StoredEntry {
        sequence: first.sequence,
        head: RowHead {
            recorded: first.head.recorded,
            ..RowHead::default()
        },
        memory: 0,
        row: Row::Note(Note::Gap(GapRow {
            run: 0,
            reason: GapReason::Withdrawn,
            count: Some(entries),
            after: None,
            recorded_range: None,
            event_range: None,
            refusal: None,
        })),
    }
}
