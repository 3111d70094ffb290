//! From a call to a committed entry: recorder, queue, batches, deduplication and commits.

mod bound_values;
pub(crate) mod conditions;
pub(crate) mod episode;
pub(crate) mod flush;
mod inputs;
pub(crate) mod keep_inputs;
pub(crate) mod queue;
pub(crate) mod recorder;
pub(crate) mod recovery;
pub(crate) mod status;
pub(crate) mod steps;
pub(crate) mod writer;

pub use crate::entry::blob::Blob;
pub use crate::entry::features::Float;
pub use crate::entry::inference::{Attributes, OwnedParts};
pub use crate::entry::redaction::{RedactedPlace, Redaction};
pub use episode::Episode;
pub use flush::Flush;
pub use keep_inputs::KeepInputs;
pub use recorder::{Prepared, RecorderBuilder};
