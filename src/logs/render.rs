//! From stored rows to lines, with names rendered once.

use super::line::{
    Answer, DecisionLine, LineValue, NameColumn, Stamps, push_checkpoint_event, push_decision,
    push_gap, push_outcome, push_system_event,
};
use crate::engine::format::block::Placed;
use crate::engine::format::numbered::Numbered;
use crate::engine::format::row::{
    NameId, Names, Note, OutcomeRow, OutcomeValue, Row, SystemEventRow, Texts,
};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::record::Gap;
use crate::options::logs::{LogKind, Zone};

/// Names as they stand in a column, by stored id: ids are dense, and a name is rendered once.
#[derive(Default)]
struct Columns(Numbered<Box<[u8]>>);

impl Columns {
    fn learn(&mut self, source: &Source, column: NameColumn, id: NameId) -> Result<()> {
        if id == 0 || self.0.get(id).is_some() {
            return Ok(());
        }
        let rendered = column.render(&name(source, id)?);
        self.0.insert(id, rendered);
        Ok(())
    }

    fn get(&self, id: NameId) -> &[u8] {
        self.0.get(id).map(AsRef::as_ref).unwrap_or_default()
    }
}

fn name(source: &Source, id: NameId) -> Result<std::sync::Arc<str>> {
    match source.name(id)? {
        Some((_, text)) => Ok(text),
        None => Err(Error::Corrupt {
            path: source.path().to_owned(),
            detail: format!("names: {id} is used but not there"),
        }),
    }
}

/// The rendered names of all rows so far.
#[derive(Default)]
struct NameColumns {
    models: Columns,
    symbols: Columns,
    actions: Columns,
    checkpoints: Columns,
    values: Columns,
}

/// The names of one row, as they stand in its line.
struct LineNames<'a> {
    model: &'a [u8],
    symbol: &'a [u8],
    action: &'a [u8],
    checkpoint: Option<&'a [u8]>,
}

/// The names that a row has written out, rendered.
struct WrittenColumns {
    model: Option<Box<[u8]>>,
    symbol: Option<Box<[u8]>>,
    action: Option<Box<[u8]>>,
    checkpoint: Option<Box<[u8]>>,
}

impl WrittenColumns {
    fn of(texts: Option<&Texts>) -> Self {
        let written = Texts::written(texts);
        let render = |text: Option<&str>, column: NameColumn| text.map(|text| column.render(text));
        WrittenColumns {
            model: render(written.model, NameColumn::Model),
            symbol: render(written.symbol, NameColumn::Symbol),
            action: render(written.action, NameColumn::Action),
            checkpoint: render(written.checkpoint, NameColumn::Checkpoint),
        }
    }
}

impl NameColumns {
    fn of<'a>(
        &'a mut self,
        source: &Source,
        ids: Names,
        written: &'a WrittenColumns,
    ) -> Result<LineNames<'a>> {
        self.models.learn(source, NameColumn::Model, ids.model)?;
        self.symbols.learn(source, NameColumn::Symbol, ids.symbol)?;
        self.actions.learn(source, NameColumn::Action, ids.action)?;
        self.checkpoints
            .learn(source, NameColumn::Checkpoint, ids.checkpoint)?;
        let known = (ids.checkpoint != 0).then(|| self.checkpoints.get(ids.checkpoint));
        let or = |written: &'a Option<Box<[u8]>>, columns: &'a Columns, id: NameId| {
            written.as_deref().unwrap_or_else(|| columns.get(id))
        };
        Ok(LineNames {
            model: or(&written.model, &self.models, ids.model),
            symbol: or(&written.symbol, &self.symbols, ids.symbol),
            action: or(&written.action, &self.actions, ids.action),
            checkpoint: written.checkpoint.as_deref().or(known),
        })
    }
}

/// Turns rows into lines.
pub(super) struct Renderer {
    stamps: Stamps,
    names: NameColumns,
}

impl Renderer {
    pub(super) fn new(zone: Zone, micros: bool) -> Self {
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

    /// Appends the one line of `placed`.
    pub(super) fn push(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        placed: &Placed,
    ) -> Result<()> {
        let recorded = placed.place.recorded;
        match &placed.row {
            Row::Inference(row) => {
                let answer = Answer::Confidence(row.confidence);
                let names = (row.names, row.texts.as_deref());
                self.decision(out, source, placed, names, row.processing, answer)
            }
            Row::Repeat(row) => {
                let original = InferenceId::from_u64(row.original);
                let answer = Answer::RepeatOf(original.run().get(), original.counter());
                let names = (row.names, row.texts.as_deref());
                self.decision(out, source, placed, names, row.processing, answer)
            }
            Row::Note(Note::Gap(row)) => {
                push_gap(
                    out,
                    &mut self.stamps,
                    recorded,
                    &Gap::new(placed.sequence, row),
                );
                Ok(())
            }
            Row::Note(Note::SystemEvent(row)) => self.system_event(out, source, recorded, row),
            Row::Note(Note::Outcome(row)) => self.outcome(out, source, row),
            Row::Note(Note::CheckpointEvent(row)) => {
                let text = |id, written: &Option<String>| match written {
                    Some(text) => Ok(text.as_str().into()),
                    None => name(source, id),
                };
                let model = text(row.model, &row.written.0)?;
                let checkpoint = text(row.checkpoint, &row.written.1)?;
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
        placed: &Placed,
        (names, texts): (Names, Option<&Texts>),
        processing: u64,
        answer: Answer,
    ) -> Result<()> {
        let written = WrittenColumns::of(texts);
        let names = self.names.of(source, names, &written)?;
        let line = DecisionLine {
            time: placed.place.event,
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
            OutcomeValue::Written(name, value) => LineValue::Named(name, *value),
        });
        let of = InferenceId::from_u64(row.of);
        push_outcome(out, &mut self.stamps, row.time, of, values);
        Ok(())
    }

    fn system_event(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        recorded: i64,
        row: &SystemEventRow,
    ) -> Result<()> {
        let component = match &row.written {
            Some(text) => text.as_str().into(),
            None => name(source, row.component)?,
        };
        let from = (row.level.as_str(), &*component);
        let stamps = &mut self.stamps;
        push_system_event(out, stamps, recorded, from, &row.message, &row.fields);
        Ok(())
    }
}
