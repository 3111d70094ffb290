//! From stored rows to lines, with names rendered once.

use super::line::{
    AnswerColumn, DecisionLine, LineValue, NameColumn, Stamps, push_checkpoint_event,
    push_decision, push_gap, push_outcome, push_system_event,
};
use crate::engine::format::block::StoredEntry;
use crate::engine::format::by_name_id::ByNameId;
use crate::engine::format::row::{
    NameId, NameIds, Note, OutcomeRow, OutcomeValue, Row, SystemEventRow,
};
use crate::engine::source::Source;
use crate::entry::error::Result;
use crate::entry::record::Gap;
use crate::entry::timestamp::Timestamp;
use crate::options::logs::{LogKind, LogZone};

/// Names as they stand in a column, by stored id: ids are dense, and a name is rendered once. It is
/// no dictionary of the reader's, because it has escaped and padded bytes, and one thread uses it
/// without a lock.
#[derive(Default)]
struct RenderedNames(ByNameId<Box<[u8]>>);

impl RenderedNames {
    fn learn(&mut self, source: &Source, column: NameColumn, id: NameId) -> Result<()> {
        if id == NameId::NONE || self.0.get(id).is_some() {
            return Ok(());
        }
        let rendered = column.render(&source.used_name(id)?);
        let bytes = rendered.len();
        self.0.insert(id, rendered, bytes);
        Ok(())
    }

    fn get(&self, id: NameId) -> &[u8] {
        self.0.get(id).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// The rendered names of all rows so far.
#[derive(Default)]
struct NameColumns {
    models: RenderedNames,
    symbols: RenderedNames,
    actions: RenderedNames,
    checkpoints: RenderedNames,
    values: RenderedNames,
}

/// The names of one row, as they stand in its line.
struct LineNames<'a> {
    model: &'a [u8],
    symbol: &'a [u8],
    action: &'a [u8],
    checkpoint: Option<&'a [u8]>,
}

impl NameColumns {
    fn of(&mut self, source: &Source, ids: NameIds) -> Result<LineNames<'_>> {
        // Before any of the row's names is looked up: forgetting in between could take a name that
        // was just learnt.
        for columns in [
            &mut self.models,
            &mut self.symbols,
            &mut self.actions,
            &mut self.checkpoints,
        ] {
            columns.0.make_room();
        }
        self.models.learn(source, NameColumn::Model, ids.model)?;
        self.symbols.learn(source, NameColumn::Symbol, ids.symbol)?;
        self.actions.learn(source, NameColumn::Action, ids.action)?;
        self.checkpoints
            .learn(source, NameColumn::Checkpoint, ids.checkpoint)?;
        Ok(LineNames {
            model: self.models.get(ids.model),
            symbol: self.symbols.get(ids.symbol),
            action: self.actions.get(ids.action),
            checkpoint: (ids.checkpoint != NameId::NONE)
                .then(|| self.checkpoints.get(ids.checkpoint)),
        })
    }
}

/// Turns rows into lines.
pub(super) struct Renderer {
    stamps: Stamps,
    names: NameColumns,
}

impl Renderer {
    pub(super) fn new(zone: LogZone, micros: bool) -> Self {
        Renderer {
            stamps: Stamps::new(zone).short_times(micros),
            names: NameColumns::default(),
        }
    }

    /// The file that a row's line belongs to.
    pub(super) fn kind(row: &Row) -> LogKind {
        match row {
            Row::Inference(_) | Row::Repeat(_) => LogKind::Inferences,
            Row::Note(Note::CheckpointEvent(_)) => LogKind::Checkpoints,
            Row::Note(Note::Outcome(_)) => LogKind::Outcomes,
            Row::Note(Note::Gap(_) | Note::SystemEvent(_)) => LogKind::System,
        }
    }

    /// Appends the one line of `entry`.
    pub(super) fn push(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        entry: &StoredEntry,
    ) -> Result<()> {
        let recorded = entry.head.recorded;
        match &entry.row {
            Row::Inference(row) => {
                let answer = AnswerColumn::Confidence(row.confidence);
                self.decision(out, source, entry, row.names, row.processing, answer)
            }
            Row::Repeat(row) => {
                let original = row.original;
                let answer = AnswerColumn::RepeatOf(original.run().get(), original.counter());
                self.decision(out, source, entry, row.names, row.processing, answer)
            }
            Row::Note(Note::Gap(row)) => {
                push_gap(
                    out,
                    &mut self.stamps,
                    recorded,
                    &Gap::new(entry.sequence, row),
                );
                Ok(())
            }
            Row::Note(Note::SystemEvent(row)) => self.system_event(out, source, recorded, row),
            Row::Note(Note::Outcome(row)) => self.outcome(out, source, row),
            Row::Note(Note::CheckpointEvent(row)) => {
                let model = source.used_name(row.model)?;
                let checkpoint = source.used_name(row.checkpoint)?;
                let action = row.action.as_str();
                let stamps = &mut self.stamps;
                let subject = (&*model, &*checkpoint);
                push_checkpoint_event(out, stamps, recorded, action, subject, &row.detail);
                Ok(())
            }
        }
    }

    fn decision(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        entry: &StoredEntry,
        names: NameIds,
        processing: u64,
        answer: AnswerColumn,
    ) -> Result<()> {
        let names = self.names.of(source, names)?;
        let line = DecisionLine {
            time: entry.head.event,
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            answer,
            processing_nanos: processing.checked_sub(1),
            checkpoint: names.checkpoint,
        };
        push_decision(out, &mut self.stamps, &line);
        Ok(())
    }

    fn outcome(&mut self, out: &mut Vec<u8>, source: &Source, row: &OutcomeRow) -> Result<()> {
        let names = &mut self.names.values;
        // Before the names of this row, of which none may be forgotten until it is written.
        names.0.make_room();
        // In two passes, because a line borrows all names at once.
        for value in &row.values {
            if let OutcomeValue::Named(id, _) = value {
                names.learn(source, NameColumn::Value, *id)?;
            }
        }
        let values = row.values.iter().map(|value| match value {
            OutcomeValue::Reward(reward) => LineValue::Reward(*reward),
            OutcomeValue::Correct(correct) => LineValue::Correct(*correct),
            OutcomeValue::Label(label) => LineValue::Label(label),
            OutcomeValue::Named(id, value) => LineValue::Rendered(names.get(*id), *value),
        });
        let of = row.of;
        push_outcome(out, &mut self.stamps, row.time, of, values);
        Ok(())
    }

    fn system_event(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        recorded: Timestamp,
        row: &SystemEventRow,
    ) -> Result<()> {
        let component = source.used_name(row.component)?;
        let from = (row.level.as_str(), &*component);
        let stamps = &mut self.stamps;
        push_system_event(out, stamps, recorded, from, &row.message, &row.fields);
        Ok(())
    }
}
