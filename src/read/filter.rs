//! Which rows a query keeps.

use std::ops::RangeInclusive;

use crate::engine::format::block::Placed;
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{NameId, Row, Texts};
use crate::engine::source::Source;
use crate::entry::error::Result;

/// Whether a query gives repeats too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeats {
    /// Only inferences that were recorded in full.
    Exclude,
    /// Repeats as well, with their original's answer; each costs a look-up. The default, so that
    /// rows are as many as in [`Stats::count`](crate::Stats::count).
    #[default]
    Include,
}

/// Conditions of a query, in its user's words.
#[derive(Clone, Debug, Default)]
pub(super) struct Criteria {
    pub(super) model: Option<String>,
    pub(super) symbol: Option<String>,
    pub(super) action: Option<String>,
    pub(super) checkpoint: Option<String>,
    pub(super) repeats: Repeats,
    /// Event times; `None` means all.
    pub(super) times: Option<RangeInclusive<i64>>,
}

/// Conditions that a row of the answer has to meet.
pub(super) struct Filter {
    /// The first sequence that was not there when the query was run.
    pub(super) end: u64,
    repeats: Repeats,
    times: Option<RangeInclusive<i64>>,
    model: Option<Wanted>,
    symbol: Option<Wanted>,
    action: Option<Wanted>,
    checkpoint: Option<Wanted>,
}

/// A name that is looked for, as a number and in words: rows have one or the other.
struct Wanted {
    id: Option<NameId>,
    text: String,
}

impl Wanted {
    fn is(&self, id: NameId, written: Option<&str>) -> bool {
        match written {
            Some(text) => text == self.text,
            None => self.id == Some(id),
        }
    }
}

impl Filter {
    pub(super) fn new(criteria: &Criteria, source: &Source, end: u64) -> Result<Self> {
        let wanted = |kind: NameKind, text: &Option<String>| {
            text.as_ref()
                .map(|text| {
                    let id = source.name_id(kind as u8, text)?;
                    let text = text.clone();
                    Ok(Wanted { id, text })
                })
                .transpose()
        };
        Ok(Filter {
            end,
            repeats: criteria.repeats,
            times: criteria.times.clone(),
            model: wanted(NameKind::Model, &criteria.model)?,
            symbol: wanted(NameKind::Symbol, &criteria.symbol)?,
            action: wanted(NameKind::Action, &criteria.action)?,
            checkpoint: wanted(NameKind::Checkpoint, &criteria.checkpoint)?,
        })
    }

    pub(super) fn keeps(&self, placed: &Placed) -> bool {
        let (names, texts) = match &placed.row {
            Row::Inference(row) => (row.names, row.texts.as_deref()),
            Row::Repeat(row) if self.repeats == Repeats::Include => {
                (row.names, row.texts.as_deref())
            }
            _ => return false,
        };
        let is = |wanted: &Option<Wanted>, id: NameId, written: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| wanted.is(id, written))
        };
        let event = placed.place.event;
        let times = self.times.as_ref();
        let written = Texts::written(texts);
        placed.sequence < self.end
            && times.is_none_or(|times| times.contains(&event))
            && is(&self.model, names.model, written.model)
            && is(&self.symbol, names.symbol, written.symbol)
            && is(&self.action, names.action, written.action)
            && is(&self.checkpoint, names.checkpoint, written.checkpoint)
    }
}
