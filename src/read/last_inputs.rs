//! What look-ups of inputs remember of each other.

use std::sync::Arc;

use crate::engine::format::row::NameId;
use crate::engine::inputs::read::InputCache;

/// The inputs that were read last, and the names of their values.
#[derive(Default)]
pub(super) struct LastInputs {
    pub(super) inputs: InputCache,
    pub(super) names: Option<(NameId, Arc<[Arc<str>]>)>,
}
