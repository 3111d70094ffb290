//! From a call to a committed entry: recorder, queue, batches, deduplication and commits.

pub(crate) mod conditions;
pub(crate) mod flush;
pub(crate) mod queue;
pub(crate) mod recorder;
pub(crate) mod status;
pub(crate) mod writer;
