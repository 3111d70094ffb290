//! The columns that statistics add up, of one block after another: a few numbers of each decision,
//! at the cost of a few loads.

use std::ops::Range;

use super::block::BlockColumn;
use super::notes::StoredNote;
use super::reader::BlockReader;
use super::row::{NameId, Note, flag};
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Values read from an inference or a repeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScannedDecision {
    pub(crate) sequence: Sequence,
    pub(crate) id: InferenceId,
    pub(crate) event: Timestamp,
    pub(crate) model: NameId,
    pub(crate) symbol: NameId,
    pub(crate) action: NameId,
    pub(crate) checkpoint: NameId,
    /// See [`flag`].
    pub(crate) flags: u16,
    /// NaN if there is none.
    pub(crate) confidence: f32,
    /// Nanoseconds plus one; 0 is unknown.
    pub(crate) processing: u64,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
}

impl ScannedDecision {
    /// The confidence, if there is one from 0 to 1.
    pub(crate) fn valid_confidence(&self) -> Option<f32> {
        let given = self.flags & flag::NO_CONFIDENCE == 0;
        (given && (0.0..=1.0).contains(&self.confidence)).then_some(self.confidence)
    }
}

/// An entry without an id: sequence, recorded time, and content.
pub(crate) struct ScannedNote {
    pub(crate) sequence: Sequence,
    pub(crate) recorded: Timestamp,
    pub(crate) note: Note,
}

/// The columns of one block; kept from block to block, so that reading allocates nothing.
#[derive(Default)]
pub(crate) struct Scan {
    first: Sequence,
    end: Sequence,
    // Invariant N1: each column has one number for each event.
    ids: Vec<InferenceId>,
    times: Vec<Timestamp>,
    models: Vec<NameId>,
    symbols: Vec<NameId>,
    actions: Vec<NameId>,
    checkpoints: Vec<NameId>,
    flags: Vec<u16>,
    confidences: Vec<f32>,
    processing: Vec<u64>,
    memory: Vec<u64>,
    notes: Vec<StoredNote>,
    numbers: Vec<i64>,
}

impl Scan {
    /// Reads a block in place of the one before.
    pub(crate) fn load(&mut self, block: &BlockReader<'_>) -> Result<(), String> {
        let sequences = block.sequences();
        (self.first, self.end) = (sequences.start, sequences.end);
        block.ids(&mut self.ids);
        block.recorded(&mut self.times);
        let later = block.column(BlockColumn::Event);
        if later.only() != Some(0) {
            later.unpack(&mut self.numbers, |more| more);
            for (time, more) in self.times.iter_mut().zip(&self.numbers) {
                *time = time.at_distance(*more);
            }
        }
        block.names(BlockColumn::Model, &mut self.models);
        block.names(BlockColumn::Symbol, &mut self.symbols);
        block.names(BlockColumn::Action, &mut self.actions);
        block.names(BlockColumn::Checkpoint, &mut self.checkpoints);
        let small = |number| u16::try_from(number).unwrap_or(u16::MAX);
        block
            .column(BlockColumn::Flags)
            .unpack(&mut self.flags, small);
        block.confidences(&mut self.confidences);
        let unsigned = i64::cast_unsigned;
        block
            .column(BlockColumn::Processing)
            .unpack(&mut self.processing, unsigned);
        block
            .column(BlockColumn::Memory)
            .unpack(&mut self.memory, unsigned);
        self.notes = block.notes(|_| true)?;
        // Readers show a lost range for a block of which a part does not decode; sums must agree.
        block.check_attributes()
    }

    /// The sequences of the block's entries.
    pub(crate) fn sequences(&self) -> Range<Sequence> {
        self.first..self.end
    }

    /// Shows every inference and repeat, in order.
    #[inline]
    pub(crate) fn for_each(&self, mut see: impl FnMut(&ScannedDecision)) {
        let mut sequence = self.first;
        let mut notes = self
            .notes
            .iter()
            .map(|stored| self.first.saturating_add(stored.position.into()));
        let mut next_note = notes.next();
        for index in 0..self.flags.len() {
            while next_note == Some(sequence) {
                sequence = sequence.saturating_add(1);
                next_note = notes.next();
            }
            // By N1 every column has this index.
            see(&ScannedDecision {
                sequence,
                id: self.ids[index],
                event: self.times[index],
                model: self.models[index],
                symbol: self.symbols[index],
                action: self.actions[index],
                checkpoint: self.checkpoints[index],
                flags: self.flags[index],
                confidence: self.confidences[index],
                processing: self.processing[index],
                memory: self.memory[index],
            });
            sequence = sequence.saturating_add(1);
        }
    }

    /// The block's other entries, in order.
    pub(crate) fn notes(&self) -> impl Iterator<Item = ScannedNote> + '_ {
        self.notes.iter().map(|stored| ScannedNote {
            sequence: self.first.saturating_add(stored.position.into()),
            recorded: stored.recorded,
            note: stored.note.clone(),
        })
    }
}
