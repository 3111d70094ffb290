//! From stored rows to lines, with names rendered once.

use std::io::Write as _;

use super::display::{gap_message, with_fields};
use super::line::{
    InferenceLine, RepeatLine, Stamps, column, escape_bracketed_into, escape_into,
    push_checkpoint_event, push_inference, push_outcome, push_repeat, push_system_event,
};
use crate::engine::format::block::Placed;
use crate::engine::format::numbered::Numbered;
use crate::engine::format::row::{
    InferenceRow, NameId, Names, Note, OutcomeRow, OutcomeValue, RepeatRow, Row, SystemEventRow,
    Texts,
};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::record::Gap;
use crate::options::logs::{LogKind, Zone};

/// Names as they stand in a column, by stored id: ids are dense, and a name is rendered once.
#[derive(Default)]
struct Columns(Numbered<Box<[u8]>>);

/// How a name is rendered.
#[derive(Clone, Copy)]
enum Style {
    Column(usize),
    Bracketed,
}

const MODEL: Style = Style::Column(15);
const SYMBOL: Style = Style::Column(10);
const ACTION: Style = Style::Column(4);
/// A value's name stands in the middle of a line, as wide as it is.
const VALUE: Style = Style::Column(0);

impl Style {
    fn render(self, text: &str) -> Box<[u8]> {
        match self {
            Style::Column(width) => column(text, width),
            Style::Bracketed => {
                let mut rendered = Vec::new();
                escape_bracketed_into(&mut rendered, text);
                rendered.into()
            }
        }
    }
}

impl Columns {
    fn learn(&mut self, source: &Source, style: Style, id: NameId) -> Result<()> {
        if id == 0 || self.0.get(id).is_some() {
            return Ok(());
        }
        let rendered = style.render(&name(source, id)?);
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
        let render = |text: Option<&str>, style: Style| text.map(|text| style.render(text));
        WrittenColumns {
            model: render(written.model, MODEL),
            symbol: render(written.symbol, SYMBOL),
            action: render(written.action, ACTION),
            checkpoint: render(written.checkpoint, Style::Bracketed),
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
        self.models.learn(source, MODEL, ids.model)?;
        self.symbols.learn(source, SYMBOL, ids.symbol)?;
        self.actions.learn(source, ACTION, ids.action)?;
        self.checkpoints
            .learn(source, Style::Bracketed, ids.checkpoint)?;
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
            Row::Inference(row) => self.inference(out, source, placed.place.event, row),
            Row::Repeat(row) => self.repeat(out, source, placed, row),
            Row::Note(Note::Gap(row)) => {
                let message = gap_message(&Gap::new(placed.sequence, row));
                push_system_event(out, &mut self.stamps, recorded, "WARN", "annals", &message);
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
                push_checkpoint_event(
                    out,
                    stamps,
                    recorded,
                    action,
                    &model,
                    &checkpoint,
                    &row.detail,
                );
                Ok(())
            }
        }
    }

    fn inference(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        event: i64,
        row: &InferenceRow,
    ) -> Result<()> {
        let written = WrittenColumns::of(row.texts.as_deref());
        let names = self.names.of(source, row.names, &written)?;
        let line = InferenceLine {
            time: event,
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            confidence: row.confidence,
            processing_nanos: row.processing.checked_sub(1),
            checkpoint: names.checkpoint,
        };
        push_inference(out, &mut self.stamps, &line);
        Ok(())
    }

    fn repeat(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        placed: &Placed,
        row: &RepeatRow,
    ) -> Result<()> {
        let written = WrittenColumns::of(row.texts.as_deref());
        let names = self.names.of(source, row.names, &written)?;
        let original = InferenceId::from_u64(row.original);
        let line = RepeatLine {
            time: placed.place.event,
            model: names.model,
            symbol: names.symbol,
            action: names.action,
            original_run: original.run().get(),
            original_counter: original.counter(),
            processing_nanos: row.processing.checked_sub(1),
            checkpoint: names.checkpoint,
        };
        push_repeat(out, &mut self.stamps, &line);
        Ok(())
    }

    fn outcome(&mut self, out: &mut Vec<u8>, source: &Source, row: &OutcomeRow) -> Result<()> {
        let mut values = Vec::new();
        for value in &row.values {
            if !values.is_empty() {
                values.push(b' ');
            }
            // Writing to a vector cannot fail.
            let _ = match value {
                OutcomeValue::Reward(reward) => write!(values, "reward={reward}"),
                OutcomeValue::Correct(correct) => write!(values, "correct={correct}"),
                OutcomeValue::Label(label) => {
                    values.extend_from_slice(b"label=");
                    escape_into(&mut values, label);
                    Ok(())
                }
                OutcomeValue::Named(id, value) => {
                    self.names.values.learn(source, VALUE, *id)?;
                    values.extend_from_slice(self.names.values.get(*id));
                    write!(values, "={value}")
                }
                OutcomeValue::Written(name, value) => {
                    escape_into(&mut values, name);
                    write!(values, "={value}")
                }
            };
        }
        let of = InferenceId::from_u64(row.of);
        push_outcome(out, &mut self.stamps, row.time, &of.to_string(), &values);
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
        let message = with_fields(&row.message, &row.fields);
        let level = row.level.as_str();
        push_system_event(out, &mut self.stamps, recorded, level, &component, &message);
        Ok(())
    }
}
