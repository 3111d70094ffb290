//! A block that comes from a spool and not from a table: all of it is checked before a word of it
//! is believed.

use super::block_index::BlockIndex;
use super::codec::bounded;
use super::reader::BlockReader;
use super::row::{NameId, Note};
use super::summary::Summary;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;

/// What taking in a spooled block takes.
pub(crate) struct SpooledBlock {
    pub(crate) count: u32,
    pub(crate) index: BlockIndex,
    /// The stored names that it needs, without 0. One may stand here more than once.
    pub(crate) names: Vec<NameId>,
    /// Entries by run.
    pub(crate) shares: Vec<RunShare>,
}

/// Part of one run in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunShare {
    pub(crate) run: u32,
    /// Entries that are no gaps.
    pub(crate) events: u64,
    /// Events that its gaps stand for.
    pub(crate) lost: u64,
    /// The highest id; 0 without one.
    pub(crate) last_id: InferenceId,
}

impl SpooledBlock {
    /// Checks the block with this payload, all of it.
    ///
    /// # Errors
    /// The reason why no writer can have made it.
    pub(crate) fn check(payload: &[u8]) -> Result<SpooledBlock, String> {
        // Sequences are given later; nothing that is checked depends on them.
        let block = BlockReader::new(Sequence::FIRST, payload)?;
        if block.is_hole() {
            return Err("a hole".to_owned());
        }
        block.check_attributes()?;
        let mut names = Vec::new();
        let summary = Summary::of(&block, |name| {
            if name != NameId::NONE && names.last() != Some(&name) {
                names.push(name);
            }
        })?;
        let mut shares = Shares::default();
        for id in block.each_id() {
            let share = shares.of(id.run().get());
            share.events = share.events.saturating_add(1);
            share.last_id = share.last_id.max(id);
        }
        for stored in block.notes(|_| true)? {
            let share = shares.of(stored.note.run());
            match &stored.note {
                Note::Gap(gap) => {
                    let lost = gap.count.ok_or("a gap without a count")?;
                    share.lost = share.lost.saturating_add(lost);
                    bounded("a gap's count", share.lost)?;
                }
                _ => share.events = share.events.saturating_add(1),
            }
        }
        Ok(SpooledBlock {
            count: block.entries(),
            index: summary.index,
            names,
            shares: shares.0,
        })
    }
}

/// Shares of runs, each once. There are one or two.
#[derive(Default)]
struct Shares(Vec<RunShare>);

impl Shares {
    fn of(&mut self, run: u32) -> &mut RunShare {
        // The run of the last entry is almost always that of the next one.
        let known = self.0.iter().rposition(|share| share.run == run);
        let place = known.unwrap_or_else(|| {
            self.0.push(RunShare {
                run,
                events: 0,
                lost: 0,
                last_id: InferenceId::NONE,
            });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}
