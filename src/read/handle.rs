//! The handle of a reader; its calls stand beside what they do.

use std::sync::{Arc, Mutex};

use super::last_inputs::LastInputs;
use super::names::ReaderDictionary;
use crate::engine::source::Source;
use crate::entry::clock::Clock;
use crate::entry::ids::JournalId;

/// Reads a journal: committed entries, in snapshots that are held for microseconds.
///
/// It has a handle of its own, so it continues when the writer of this process fails, and delays no
/// other. Cheap to clone; `Send + Sync`. Iterators yield `Result`, end after the first error, and
/// keep nothing open between two items. A block that cannot be read is no error: it is passed over,
/// and [`missing`](Self::missing) lists its entries.
#[derive(Clone)]
pub struct Reader {
    pub(crate) source: Arc<Source>,
    pub(super) names: Arc<ReaderDictionary>,
    /// The parts of files of inputs that were read last.
    pub(super) inputs: Arc<Mutex<LastInputs>>,
    pub(super) id: JournalId,
    pub(super) label: Option<Arc<str>>,
    pub(super) clock: Clock,
}
