//! Reading a block column by column, for sums over many decisions that need a few numbers of each,
//! at the cost of a few loads.

use std::ops::Range;

use super::block::Part;
use super::column::unpack_into;
use super::floats::MOST;
use super::name::NameKind;
use super::notes::{StoredNote, split};
use super::row::{NameId, Note, Texts, flag};
use super::view::{BlockView, listed};

type Result<T> = std::result::Result<T, String>;

/// Values read from an inference or a repeat.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Event {
    pub(crate) sequence: u64,
    pub(crate) id: u64,
    /// Microseconds since 1970.
    pub(crate) event: i64,
    pub(crate) model: NameId,
    pub(crate) symbol: NameId,
    pub(crate) action: NameId,
    pub(crate) checkpoint: NameId,
    /// See [`flag`].
    pub(crate) flags: u8,
    /// NaN if there is none.
    pub(crate) confidence: f32,
    /// Nanoseconds plus one; 0 is unknown.
    pub(crate) processing: u64,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
}

impl Event {
    /// The confidence, if there is one from 0 to 1.
    pub(crate) fn valid_confidence(&self) -> Option<f32> {
        let given = self.flags & flag::NO_CONFIDENCE == 0;
        (given && (0.0..=1.0).contains(&self.confidence)).then_some(self.confidence)
    }
}

/// An entry without an id: sequence, recorded time, and content.
pub(crate) struct SeenNote {
    pub(crate) sequence: u64,
    pub(crate) recorded: i64,
    pub(crate) note: Note,
}

/// The columns of one block; kept from block to block, so that reading allocates nothing.
#[derive(Default)]
pub(crate) struct Scan {
    first: u64,
    count: u32,
    // Invariant N1: each column has one number for each event.
    ids: Vec<u64>,
    times: Vec<i64>,
    models: Vec<NameId>,
    symbols: Vec<NameId>,
    actions: Vec<NameId>,
    checkpoints: Vec<NameId>,
    flags: Vec<u8>,
    confidences: Vec<f32>,
    processing: Vec<u64>,
    memory: Vec<u64>,
    notes: Vec<StoredNote>,
    texts: Vec<(u32, Texts)>,
    numbers: Vec<i64>,
}

impl Scan {
    /// Reads the block that begins at `first`, in place of the one before.
    pub(crate) fn load(&mut self, first: u64, payload: &[u8]) -> Result<()> {
        let view = BlockView::new(first, payload)?;
        let events = view.header().events as usize;
        (self.first, self.count) = (first, view.header().count);
        self.load_flags(&view)?;
        for (part, names) in [
            (Part::Model, &mut self.models),
            (Part::Symbol, &mut self.symbols),
            (Part::Action, &mut self.actions),
            (Part::Checkpoint, &mut self.checkpoints),
        ] {
            unpack_into(view.head(part), view.bytes(part), events, &mut self.numbers);
            let ok = self
                .numbers
                .iter()
                .all(|number| NameId::try_from(*number).is_ok());
            if !ok {
                return Err("a name id is too large".to_owned());
            }
            names.clear();
            names.extend(
                self.numbers
                    .iter()
                    .map(|number| NameId::try_from(*number).unwrap_or(0)),
            );
        }
        self.load_ids(&view, events);
        self.load_times(&view, events);
        for (part, values) in [
            (Part::Processing, &mut self.processing),
            (Part::Memory, &mut self.memory),
        ] {
            unpack_into(view.head(part), view.bytes(part), events, &mut self.numbers);
            values.clear();
            values.extend(self.numbers.iter().map(|number| number.cast_unsigned()));
        }
        self.load_lists(&view, events)
    }

    fn load_flags(&mut self, view: &BlockView<'_>) -> Result<()> {
        let events = view.header().events as usize;
        unpack_into(
            view.head(Part::Flags),
            view.bytes(Part::Flags),
            events,
            &mut self.numbers,
        );
        self.flags.clear();
        let small = |number: &i64| u8::try_from(*number).unwrap_or(u8::MAX);
        self.flags.extend(self.numbers.iter().map(small));
        let all = self.flags.iter().fold(0, |all, flags| all | flags);
        if all & !flag::ALL != 0 {
            return Err(format!("flags {all}"));
        }
        Ok(())
    }

    fn load_ids(&mut self, view: &BlockView<'_>, events: usize) {
        let mut id = view.header().base_id;
        unpack_into(
            view.head(Part::Id),
            view.bytes(Part::Id),
            events,
            &mut self.numbers,
        );
        self.ids.clear();
        self.ids.extend(self.numbers.iter().map(|more| {
            id = id.wrapping_add_signed(*more);
            id
        }));
    }

    fn load_times(&mut self, view: &BlockView<'_>, events: usize) {
        let header = view.header();
        unpack_into(
            view.head(Part::Recorded),
            view.bytes(Part::Recorded),
            events,
            &mut self.numbers,
        );
        self.times.clear();
        let mut recorded = header.base_recorded;
        self.times.extend(self.numbers.iter().map(|more| {
            recorded = recorded.wrapping_add(*more);
            recorded
        }));
        unpack_into(
            view.head(Part::Event),
            view.bytes(Part::Event),
            events,
            &mut self.numbers,
        );
        for (time, more) in self.times.iter_mut().zip(&self.numbers) {
            *time = time.wrapping_add(*more);
        }
    }

    fn load_lists(&mut self, view: &BlockView<'_>, events: usize) -> Result<()> {
        let mut rest = view.rest();
        let having = |bit: u8| self.flags.iter().filter(|flags| **flags & bit != 0).count();
        let given = events - having(flag::NO_CONFIDENCE);
        let mut list = |name: &str, bytes: usize| split(&mut rest, bytes, || name.to_owned());
        let (chunks, _) = list("confidences", 4 * given)?.as_chunks();
        self.confidences.clear();
        if given == events {
            self.confidences
                .extend(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)));
        } else {
            let mut chunks = chunks.iter();
            self.confidences.extend(self.flags.iter().map(|flags| {
                let chunk = if flags & flag::NO_CONFIDENCE == 0 {
                    chunks.next()
                } else {
                    None
                };
                chunk.map_or(f32::NAN, |chunk| f32::from_le_bytes(*chunk))
            }));
        }
        self.notes.clear();
        self.texts.clear();
        let header = view.header();
        if header.count == header.events && header.texts == 0 {
            return Ok(());
        }
        unpack_into(
            view.head(Part::Probabilities),
            view.bytes(Part::Probabilities),
            events,
            &mut self.numbers,
        );
        let mut probabilities = 0;
        for number in &self.numbers {
            let length = usize::try_from(*number)
                .ok()
                .filter(|length| *length <= MOST);
            probabilities += length.ok_or_else(|| format!("{number} probabilities"))?;
        }
        list("features", 8 * having(flag::FEATURES))?;
        list("probabilities", 4 * probabilities)?;
        self.notes = view.notes(&mut rest, |_| true)?;
        self.texts = listed(&mut rest, header.texts, "texts")?;
        Ok(())
    }

    /// The sequences of the block's entries.
    pub(crate) fn sequences(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.count.into())
    }

    /// Whether a name is written out in any of the rows.
    pub(crate) fn has_texts(&self) -> bool {
        !self.texts.is_empty()
    }

    /// Gives names that are written out in rows the numbers that `number` returns.
    pub(crate) fn number_texts<E>(
        &mut self,
        mut number: impl FnMut(NameKind, &str) -> std::result::Result<NameId, E>,
    ) -> std::result::Result<(), E> {
        for (event, texts) in &self.texts {
            let event = *event as usize;
            for (kind, text, names) in [
                (NameKind::Model, &texts.model, &mut self.models),
                (NameKind::Symbol, &texts.symbol, &mut self.symbols),
                (NameKind::Action, &texts.action, &mut self.actions),
                (
                    NameKind::Checkpoint,
                    &texts.checkpoint,
                    &mut self.checkpoints,
                ),
            ] {
                if let (Some(text), Some(name)) = (text, names.get_mut(event)) {
                    *name = number(kind, text)?;
                }
            }
        }
        Ok(())
    }

    /// Shows every inference and repeat, in order.
    #[inline]
    pub(crate) fn for_each(&self, mut see: impl FnMut(&Event)) {
        let mut sequence = self.first;
        let mut notes = self
            .notes
            .iter()
            .map(|stored| self.first.wrapping_add(stored.position.into()));
        let mut next_note = notes.next();
        for index in 0..self.flags.len() {
            while next_note == Some(sequence) {
                sequence = sequence.wrapping_add(1);
                next_note = notes.next();
            }
            // By N1 every column has this index.
            see(&Event {
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
            sequence = sequence.wrapping_add(1);
        }
    }

    /// Names written out in the row of a decision, by its place among the decisions.
    pub(crate) fn texts_of(&self, event: usize) -> Option<&Texts> {
        let event = u32::try_from(event).ok()?;
        let index = self.texts.binary_search_by_key(&event, |texts| texts.0);
        self.texts.get(index.ok()?).map(|texts| &texts.1)
    }

    /// The block's other entries, in order.
    pub(crate) fn notes(&self) -> impl Iterator<Item = SeenNote> + '_ {
        self.notes.iter().map(|stored| SeenNote {
            sequence: self.first.wrapping_add(stored.position.into()),
            recorded: stored.recorded,
            note: stored.note.clone(),
        })
    }
}
