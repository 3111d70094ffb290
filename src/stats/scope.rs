//! The scope of a statistic: whose decisions are added up.

use std::sync::Arc;

use super::Subject;
use super::reader::StatsReader;
use super::rollup::Combination;
use crate::engine::format::name::NameKind;
use crate::engine::format::row::NameId;
use crate::entry::error::Result;

/// Stands for a name that is not stored, and so in no entry: no id is as high.
pub(super) const UNKNOWN: NameId = NameId::MAX;

/// The names whose decisions are added up; `None` stands for all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope {
    pub(super) model: Option<NameId>,
    pub(super) symbol: Option<NameId>,
    pub(super) checkpoint: Option<NameId>,
}

impl Scope {
    /// The scope of the decisions of `subject`.
    pub(super) fn of(stats: &StatsReader<'_, '_>, subject: &Subject) -> Result<Scope> {
        let id = |kind: NameKind, name: &Option<Arc<str>>| {
            let Some(text) = name else { return Ok(None) };
            Ok(Some(stats.name_id(kind, text)?.unwrap_or(UNKNOWN)))
        };
        Ok(Scope {
            model: id(NameKind::Model, &subject.model)?,
            symbol: id(NameKind::Symbol, &subject.symbol)?,
            checkpoint: id(NameKind::Checkpoint, &subject.checkpoint)?,
        })
    }

    #[inline]
    pub(super) fn holds(&self, combination: Combination) -> bool {
        let is = |wanted: Option<NameId>, name| wanted.is_none_or(|wanted| wanted == name);
        is(self.model, combination.model)
            && is(self.symbol, combination.symbol)
            && is(self.checkpoint, combination.checkpoint)
    }
}
