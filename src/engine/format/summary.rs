//! Facts that sealing needs of a block that it takes over: its index keys, its extent and its
//! names. No entry is decoded for it but the notes.

use super::block::BlockColumn;
use super::block_index::BlockIndex;
use super::reader::{BlockReader, NAMES};
use super::row::{NameId, Note, OutcomeRow};
use crate::entry::ids::InferenceId;
use crate::entry::timestamp::Timestamp;

/// The least and the greatest of something.
type MinMax<T> = Option<(T, T)>;

/// Summary of a block.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) index: BlockIndex,
    /// Inferences and repeats.
    pub(crate) events: u32,
    /// Recorded times.
    pub(crate) recorded: MinMax<Timestamp>,
    /// Event times of the inferences and repeats.
    pub(crate) event_times: MinMax<Timestamp>,
    /// Ids of the inferences and repeats.
    pub(crate) ids: MinMax<InferenceId>,
    /// Ids of the inferences that its outcomes belong to.
    pub(crate) outcomes: MinMax<InferenceId>,
    /// The runs that recorded it; one may stand here more than once.
    pub(crate) runs: Vec<u32>,
}

/// Makes `span` cover `value`.
pub(crate) fn widen<T: Ord + Copy>(span: &mut MinMax<T>, value: T) {
    let (low, high) = span.unwrap_or((value, value));
    *span = Some((low.min(value), high.max(value)));
}

impl Summary {
    /// Reads it, and shows every stored name that the block needs; 0 stands for none.
    pub(crate) fn of(
        block: &BlockReader<'_>,
        mut name: impl FnMut(NameId),
    ) -> Result<Summary, String> {
        let mut summary = Summary {
            events: block.decisions(),
            ..Summary::default()
        };
        let mut names = Vec::new();
        for part in NAMES {
            block.names(part, &mut names);
            names.dedup();
            names.iter().copied().for_each(&mut name);
        }
        block.value_names().for_each(&mut name);
        let (mut ids, mut recorded) = (Vec::new(), Vec::new());
        block.ids(&mut ids);
        block.recorded(&mut recorded);
        let later = block.column(BlockColumn::Event);
        for (index, (id, recorded)) in ids.into_iter().zip(recorded).enumerate() {
            let event = recorded.at_distance(later.get(index));
            summary.index.event(id, event);
            widen(&mut summary.ids, id);
            widen(&mut summary.recorded, recorded);
            widen(&mut summary.event_times, event);
            summary.see_run(id.run().get());
        }
        for stored in block.notes(|_| true)? {
            let note = &stored.note;
            summary.index.note(stored.position, note);
            widen(&mut summary.recorded, stored.recorded);
            if let Note::Outcome(OutcomeRow { of, .. }) = note {
                widen(&mut summary.outcomes, *of);
            }
            summary.see_run(note.run());
            note.each_name(&mut name);
        }
        Ok(summary)
    }

    fn see_run(&mut self, run: u32) {
        if self.runs.last() != Some(&run) {
            self.runs.push(run);
        }
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
