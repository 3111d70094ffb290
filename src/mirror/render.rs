//! From stored rows to lines, with names rendered once.

use std::time::Duration;

use super::settings::LogKind;
use crate::error::{Error, Result};
use crate::format::block::Placed;
use crate::format::row::{
    GapReason, GapRow, InferenceRow, NameId, Names, Note, RepeatRow, Row, SystemEventRow,
};
use crate::ids::InferenceId;
use crate::store::Source;
use crate::text::{
    InferenceLine, RepeatLine, Stamps, Zone, column, escape_bracketed_into, push_checkpoint_event,
    push_inference, push_repeat, push_system_event,
};
use crate::timestamp::Timestamp;

/// Names as they stand in a column, by stored id: ids are dense, and a name is rendered once.
#[derive(Default)]
struct Columns(Vec<Option<Box<[u8]>>>);

/// How a name is rendered.
#[derive(Clone, Copy)]
enum Style {
    Column(usize),
    Bracketed,
}

const MODEL: Style = Style::Column(15);
const SYMBOL: Style = Style::Column(10);
const ACTION: Style = Style::Column(4);

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
        let index = id as usize;
        if id == 0 || self.0.get(index).is_some_and(Option::is_some) {
            return Ok(());
        }
        // Looked up first: an id that no name has must not ask for room.
        let rendered = style.render(&name(source, id)?);
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(rendered);
        Ok(())
    }

    fn get(&self, id: NameId) -> &[u8] {
        let rendered = self.0.get(id as usize).and_then(Option::as_deref);
        rendered.unwrap_or_default()
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

/// Turns rows into lines.
pub(super) struct Renderer {
    stamps: Stamps,
    models: Columns,
    symbols: Columns,
    actions: Columns,
    checkpoints: Columns,
}

impl Renderer {
    pub(super) fn new(zone: Zone) -> Self {
        Renderer {
            stamps: Stamps::new(zone),
            models: Columns::default(),
            symbols: Columns::default(),
            actions: Columns::default(),
            checkpoints: Columns::default(),
        }
    }

    /// The file that a row's line belongs to.
    pub(super) fn kind(row: &Row) -> LogKind {
        match row {
            Row::Inference(_) | Row::Repeat(_) => LogKind::Inferences,
            Row::Note(Note::CheckpointEvent(_)) => LogKind::Checkpoints,
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
                let message = gap_message(row);
                push_system_event(out, &mut self.stamps, recorded, "WARN", "annals", &message);
                Ok(())
            }
            Row::Note(Note::SystemEvent(row)) => self.system_event(out, source, recorded, row),
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

    fn learn(&mut self, source: &Source, names: Names) -> Result<()> {
        self.models.learn(source, MODEL, names.model)?;
        self.symbols.learn(source, SYMBOL, names.symbol)?;
        self.actions.learn(source, ACTION, names.action)?;
        self.checkpoints
            .learn(source, Style::Bracketed, names.checkpoint)
    }

    fn inference(
        &mut self,
        out: &mut Vec<u8>,
        source: &Source,
        event: i64,
        row: &InferenceRow,
    ) -> Result<()> {
        let names = row.names;
        self.learn(source, names)?;
        let texts = row.texts.as_deref();
        let written = |text: Option<&String>, style: Style| text.map(|text| style.render(text));
        let model = written(texts.and_then(|t| t.model.as_ref()), MODEL);
        let symbol = written(texts.and_then(|t| t.symbol.as_ref()), SYMBOL);
        let action = written(texts.and_then(|t| t.action.as_ref()), ACTION);
        let checkpoint = written(texts.and_then(|t| t.checkpoint.as_ref()), Style::Bracketed);
        let known = (names.checkpoint != 0).then(|| self.checkpoints.get(names.checkpoint));
        let line = InferenceLine {
            time: event,
            model: model
                .as_deref()
                .unwrap_or_else(|| self.models.get(names.model)),
            symbol: symbol
                .as_deref()
                .unwrap_or_else(|| self.symbols.get(names.symbol)),
            action: action
                .as_deref()
                .unwrap_or_else(|| self.actions.get(names.action)),
            confidence: row.confidence,
            processing_nanos: row.processing.checked_sub(1),
            checkpoint: checkpoint.as_deref().or(known),
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
        let names = row.names;
        self.learn(source, names)?;
        let texts = row.texts.as_deref();
        let written = |text: Option<&String>, style: Style| text.map(|text| style.render(text));
        let model = written(texts.and_then(|t| t.model.as_ref()), MODEL);
        let symbol = written(texts.and_then(|t| t.symbol.as_ref()), SYMBOL);
        let action = written(texts.and_then(|t| t.action.as_ref()), ACTION);
        let checkpoint = written(texts.and_then(|t| t.checkpoint.as_ref()), Style::Bracketed);
        let known = (names.checkpoint != 0).then(|| self.checkpoints.get(names.checkpoint));
        let original = InferenceId::from_u64(row.original);
        let line = RepeatLine {
            time: placed.place.event,
            model: model
                .as_deref()
                .unwrap_or_else(|| self.models.get(names.model)),
            symbol: symbol
                .as_deref()
                .unwrap_or_else(|| self.symbols.get(names.symbol)),
            action: action
                .as_deref()
                .unwrap_or_else(|| self.actions.get(names.action)),
            original_run: original.run().get(),
            original_counter: original.counter(),
            processing_nanos: row.processing.checked_sub(1),
            checkpoint: checkpoint.as_deref().or(known),
        };
        push_repeat(out, &mut self.stamps, &line);
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
        let mut message = row.message.clone();
        for (key, value) in &row.fields {
            if !message.is_empty() {
                message.push(' ');
            }
            message.push_str(&format!("{key}={value}"));
        }
        let level = row.level.as_str();
        push_system_event(out, &mut self.stamps, recorded, level, &component, &message);
        Ok(())
    }
}

/// What a gap says to people.
fn gap_message(row: &GapRow) -> String {
    let run = row.run;
    let reason = match row.reason {
        GapReason::QueueFull => "the queue was full",
        GapReason::Refused => "they could not be recorded as given",
        GapReason::Died => {
            return match row.after {
                Some(id) => {
                    let id = InferenceId::from_u64(id);
                    format!("run {run} ended without closing: what came after {id} is unknown")
                }
                None => format!("run {run} ended without closing: what it logged is unknown"),
            };
        }
    };
    let count = row.count.unwrap_or(0);
    let events = if count == 1 { "event is" } else { "events are" };
    let over = row.recorded_range.map_or(Duration::ZERO, |(first, last)| {
        Duration::from_micros(last.saturating_sub(first).max(0).unsigned_abs())
    });
    let from = row.recorded_range.map_or_else(String::new, |(first, _)| {
        format!(", from {}", Timestamp::from_micros(first))
    });
    format!("{count} {events} missing in run {run}: {reason}{from} over {over:?}")
}
