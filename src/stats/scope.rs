//! The scope of a statistic: whose decisions are added up.

use super::rollup::Combination;
use crate::engine::format::row::NameId;

/// The names whose decisions are added up; `None` stands for all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope {
    pub(super) model: Option<NameId>,
    pub(super) symbol: Option<NameId>,
    pub(super) checkpoint: Option<NameId>,
}

impl Scope {
    #[inline]
    pub(super) fn holds(&self, combination: Combination) -> bool {
        let is = |wanted: Option<NameId>, name| wanted.is_none_or(|wanted| wanted == name);
        is(self.model, combination.model)
            && is(self.symbol, combination.symbol)
            && is(self.checkpoint, combination.checkpoint)
    }
}
