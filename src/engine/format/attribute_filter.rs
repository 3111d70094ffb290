//! A condition on an attribute, with the name under which recorders have bound it.

use super::row::NameId;
use crate::entry::attribute::AttributeCondition;

/// Decisions are meant whose attribute of this name meets the condition.
#[derive(Clone, Debug)]
pub(crate) struct AttributeFilter {
    pub(crate) name: String,
    /// The stored name; `None` if no recorder has bound it.
    pub(crate) id: Option<NameId>,
    pub(crate) condition: AttributeCondition,
}
