//! The public vocabulary: decisions, outcomes, events, ids, times, values and errors.

pub(crate) mod blob;
pub(crate) mod clock;
pub(crate) mod episode;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod extras;
pub(crate) mod features;
pub(crate) mod floats;
pub(crate) mod gap;
pub(crate) mod hex;
pub(crate) mod ids;
pub(crate) mod inference;
pub(crate) mod input;
pub(crate) mod manifest;
pub(crate) mod mode;
pub(crate) mod name;
pub(crate) mod outcome;
mod parse;
pub(crate) mod prediction;
pub(crate) mod record;
pub(crate) mod redaction;
pub(crate) mod sequence;
pub(crate) mod shared_slice;
pub(crate) mod timestamp;
pub(crate) mod typed;
pub(crate) mod value;

pub use blob::KeptBlob;
pub use episode::{EpisodeEnd, EpisodeId, EpisodeRecord};
pub use event::CheckpointAction;
pub use gap::{GapReason, Refusal};
pub use input::{Input, InputValues, KeptInput};
pub use manifest::RunManifest;
pub use outcome::{Latest, OutcomeEntry, RecordedOutcome};
pub use record::{CheckpointEvent, Gap, Probabilities, Repeat, Run, RunState, SystemEvent};
pub use shared_slice::SharedSlice;
