//! Which decisions a query is about, in the words of its user.

use std::ops::{Range, RangeInclusive};

use crate::engine::format::attribute_filter::AttributeFilter;
use crate::engine::format::name::NameKind;
use crate::engine::format::select::{Selection, Steps};
use crate::engine::source::Source;
use crate::entry::attribute::AttributeCondition;
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

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
    pub(super) correlation: Option<String>,
    pub(super) cause: Option<InferenceId>,
    pub(super) steps: Steps,
    pub(super) attributes: Vec<(String, AttributeCondition)>,
    pub(super) repeats: Repeats,
    /// Event times; `None` means all.
    pub(super) times: Option<RangeInclusive<Timestamp>>,
    /// Sequences; `None` means all.
    pub(super) sequences: Option<Range<Sequence>>,
}

impl Criteria {
    /// The same in stored numbers, of entries before the sequence `end`.
    pub(super) fn selection(&self, source: &Source, end: Sequence) -> Result<Selection> {
        let mut is_unknown = false;
        let mut wanted = |kind: NameKind, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let id = source.name_id(kind as u8, text)?;
            is_unknown |= id.is_none();
            Ok(id)
        };
        let (model, symbol) = (
            wanted(NameKind::Model, &self.model)?,
            wanted(NameKind::Symbol, &self.symbol)?,
        );
        let (action, checkpoint) = (
            wanted(NameKind::Action, &self.action)?,
            wanted(NameKind::Checkpoint, &self.checkpoint)?,
        );
        let mut attributes = Vec::new();
        for (name, condition) in &self.attributes {
            attributes.push(AttributeFilter {
                name: name.clone(),
                // Without an id, decisions may have it as an attribute that nobody has bound.
                id: source.name_id(NameKind::AttributeName as u8, name)?,
                condition: condition.clone(),
            });
        }
        let asked = self.sequences.clone().unwrap_or(Sequence::ZERO..end);
        Ok(Selection {
            // No entry has a name that the table does not know.
            sequences: match is_unknown {
                true => Sequence::ZERO..Sequence::ZERO,
                false => asked.start..asked.end.min(end),
            },
            times: self.times.clone(),
            repeats: self.repeats == Repeats::Include,
            model,
            symbol,
            action,
            checkpoint,
            correlation: self.correlation.clone(),
            cause: self.cause,
            steps: self.steps,
            attributes,
        })
    }
}
