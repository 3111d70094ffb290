//! Which decisions a query is about, in the words of its user.

use std::ops::RangeInclusive;

use crate::engine::format::name::NameKind;
use crate::engine::format::select::{Selection, WantedName};
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

impl Criteria {
    /// The same in stored numbers, of entries before the sequence `end`.
    pub(super) fn selection(&self, source: &Source, end: u64) -> Result<Selection> {
        let wanted = |kind: NameKind, text: &Option<String>| {
            text.as_ref()
                .map(|text| {
                    let id = source.name_id(kind as u8, text)?;
                    let text = text.clone();
                    Ok(WantedName { id, text })
                })
                .transpose()
        };
        Ok(Selection {
            sequences: 0..end,
            times: self.times.clone(),
            repeats: self.repeats == Repeats::Include,
            model: wanted(NameKind::Model, &self.model)?,
            symbol: wanted(NameKind::Symbol, &self.symbol)?,
            action: wanted(NameKind::Action, &self.action)?,
            checkpoint: wanted(NameKind::Checkpoint, &self.checkpoint)?,
        })
    }
}
