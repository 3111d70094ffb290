//! A block that comes from a spool and not from a table: all of it is checked before a word of it
//! is believed.

use super::block_index::BlockIndex;
use super::codec::bounded;
use super::reader::BlockReader;
use super::row::{InputRef, NameId, Note};
use super::summary::Summary;
use crate::engine::runs::{RunDelta, RunDeltas};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::sequence::Sequence;

/// The facts about a spooled block that taking it in needs.
pub(crate) struct SpooledBlock {
    pub(crate) count: u32,
    pub(crate) index: BlockIndex,
    /// The stored names that it needs, without 0. One may stand here more than once.
    pub(crate) names: Vec<NameId>,
    pub(crate) deltas: Vec<RunDelta>,
    /// The inputs that its decisions were to keep.
    pub(crate) inputs: Vec<InputRef>,
}

impl SpooledBlock {
    /// Checks the block with this payload, all of it.
    ///
    /// # Errors
    /// The reason why no writer can have made it.
    pub(crate) fn check(payload: &[u8]) -> Result<SpooledBlock, String> {
        // Sequences are given later; nothing that is checked depends on them.
        let block = BlockReader::new(Sequence::FIRST, payload)?;
        if block.is_lost_range() {
            return Err("a lost range".to_owned());
        }
        block.check_attributes()?;
        let mut names = Vec::new();
        let summary = Summary::of(&block, |name| {
            if name != NameId::NONE && names.last() != Some(&name) {
                names.push(name);
            }
        })?;
        let mut deltas = RunDeltas::default();
        for id in block.each_id() {
            deltas.of(id.run()).count(id);
        }
        for stored in block.notes(|_| true)? {
            let delta = deltas.of(RunId(stored.note.run()));
            match &stored.note {
                Note::Gap(gap) => {
                    let lost = gap.count.ok_or("a gap without a count")?;
                    delta.lost = delta.lost.saturating_add(lost);
                    bounded("a gap's count", delta.lost)?;
                }
                _ => delta.count(InferenceId::NONE),
            }
        }
        Ok(SpooledBlock {
            count: block.entries(),
            index: summary.index,
            names,
            deltas: deltas.take(),
            inputs: block.each_kept_input().collect(),
        })
    }
}
