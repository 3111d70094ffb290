//! Summary of a block, read without decoding its rows: index keys, least and greatest values, and
//! the names that it needs. Sealing takes the block over as it is.

use super::block::Part;
use super::block_index::BlockIndex;
use super::column::unpack_into;
use super::row::{NameId, Note, OutcomeRow};
use super::view::BlockView;
use crate::entry::ids::InferenceId;

/// The least and the greatest of something.
type Span<T> = Option<(T, T)>;

/// Summary of a block.
#[derive(Debug, Default)]
pub(crate) struct Gist {
    pub(crate) index: BlockIndex,
    /// Inferences and repeats.
    pub(crate) events: u32,
    /// Recorded times, microseconds since 1970.
    pub(crate) recorded: Span<i64>,
    /// Event times of the inferences and repeats.
    pub(crate) event_times: Span<i64>,
    /// Ids of the inferences and repeats.
    pub(crate) ids: Span<u64>,
    /// Ids of the inferences that its outcomes belong to.
    pub(crate) outcomes: Span<u64>,
    /// The runs that recorded it; one may stand here more than once.
    pub(crate) runs: Vec<u32>,
}

/// Makes `span` cover `value`.
pub(crate) fn widen<T: Ord + Copy>(span: &mut Span<T>, value: T) {
    let (low, high) = span.unwrap_or((value, value));
    *span = Some((low.min(value), high.max(value)));
}

impl Gist {
    /// Reads it, and shows every stored name that the block needs; 0 stands for none.
    pub(crate) fn of(view: &BlockView<'_>, mut name: impl FnMut(NameId)) -> Result<Gist, String> {
        let mut gist = Gist {
            events: view.header().events,
            ..Gist::default()
        };
        let mut numbers = Vec::new();
        for part in [
            Part::Model,
            Part::Symbol,
            Part::Action,
            Part::Checkpoint,
            Part::Labels,
        ] {
            gist.load(view, part, &mut numbers);
            let mut before = None;
            for number in &numbers {
                if before != Some(number) {
                    let id = NameId::try_from(*number);
                    name(id.map_err(|_| format!("{number} is no name id"))?);
                    before = Some(number);
                }
            }
        }
        gist.see_events(view, &mut numbers);
        if view.header().note_count() > 0 {
            for stored in view.notes_alone(|_| true)? {
                gist.see_note(stored.position, stored.recorded, &stored.note);
                stored.note.each_name(&mut name);
            }
        }
        Ok(gist)
    }

    fn load(&self, view: &BlockView<'_>, part: Part, numbers: &mut Vec<i64>) {
        unpack_into(
            view.head(part),
            view.bytes(part),
            self.events as usize,
            numbers,
        );
    }

    fn see_events(&mut self, view: &BlockView<'_>, numbers: &mut Vec<i64>) {
        let (mut ids, mut recorded) = (Vec::new(), Vec::new());
        self.load(view, Part::Id, &mut ids);
        self.load(view, Part::Recorded, &mut recorded);
        self.load(view, Part::Event, numbers);
        let (mut id, mut at) = (view.header().base_id, view.header().base_recorded);
        for ((more, later), event) in ids.iter().zip(recorded).zip(numbers.iter()) {
            id = id.wrapping_add_signed(*more);
            at = at.wrapping_add(later);
            let event = at.wrapping_add(*event);
            self.index.event(id, event);
            widen(&mut self.ids, id);
            widen(&mut self.recorded, at);
            widen(&mut self.event_times, event);
            self.see_run(InferenceId::from_u64(id).run().get());
        }
    }

    fn see_note(&mut self, position: u32, recorded: i64, note: &Note) {
        self.index.note(position, note);
        widen(&mut self.recorded, recorded);
        if let Note::Outcome(OutcomeRow { of, .. }) = note {
            widen(&mut self.outcomes, *of);
        }
        self.see_run(note.run());
    }

    fn see_run(&mut self, run: u32) {
        if self.runs.last() != Some(&run) {
            self.runs.push(run);
        }
    }
}

#[cfg(test)]
#[path = "gist_tests.rs"]
mod tests;
