//! Inferences that another source lost.

use crate::entry::gap::{GapReason, Refusal};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::record::Gap;
use crate::entry::timestamp::Timestamp;

/// Inferences that another source lost, for [`Importer::add_gap`](super::Importer::add_gap): the
/// content of a [`Gap`], without its sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The run, one of [`Importer::source`](super::Importer::source)'s.
    pub run: RunId,
    /// Why they are missing.
    pub reason: GapReason,
    /// Number of lost events; `None` if it is unknown.
    pub count: Option<u64>,
    /// The last id before a death, of the same run.
    pub after: Option<InferenceId>,
    /// When the first and the last of them were offered.
    pub recorded_range: Option<(Timestamp, Timestamp)>,
    /// Their first and last event time.
    pub event_range: Option<(Timestamp, Timestamp)>,
    /// The reason of refused calls.
    pub refusal: Option<Refusal>,
}

impl From<&Gap> for Loss {
    fn from(gap: &Gap) -> Self {
        Loss {
            run: gap.run,
            reason: gap.reason,
            count: gap.count,
            after: gap.after,
            recorded_range: gap.recorded_range,
            event_range: gap.event_range,
            refusal: gap.refusal.clone(),
        }
    }
}
