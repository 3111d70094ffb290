//! The commit that the writer has begun and that is not known to be on disk.

use crate::engine::format::block::Block;
use crate::engine::hot::Commit;
use crate::engine::inputs::store::InputsCommit;
use crate::engine::runs::RunRow;
use crate::entry::ids::RunId;
use crate::record::status::BatchCounts;

/// A commit that was begun and is not known to have reached the disk.
pub(super) struct InFlight {
    pub(super) blocks: Vec<Block>,
    pub(super) counts: BatchCounts,
    pub(super) rows: Vec<(RunId, RunRow)>,
    /// Tried, looked for, and not found: nothing of it is on disk.
    pub(super) is_absent: bool,
    pub(super) inputs: InputsCommit,
}

impl InFlight {
    /// The content of a commit, for one more try. From here on it may be on disk.
    pub(super) fn commit(&mut self) -> Commit<'_> {
        self.is_absent = false;
        Commit {
            blocks: &mut self.blocks,
            rows: &self.rows,
            inputs: &mut self.inputs,
        }
    }

    /// The number that its run's batches have reached with it.
    pub(super) fn batch(&self) -> Option<u64> {
        self.rows.first().map(|(_, row)| row.batch)
    }
}
