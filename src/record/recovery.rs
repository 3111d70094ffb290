//! What a killed process had in its lanes, as entries: the work of its writer is done once more,
//! by the opener that marks its run dead.

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
mod dead_lanes {
    use std::time::Duration;

    use crate::engine::replay::DeadRun;
    use crate::engine::spool::Covered;
    use crate::entry::error::Result;
    use crate::entry::ids::{InferenceId, RunId};
    use crate::record::queue::black_box::{self, DeadBox};
    use crate::record::queue::channel::Numbered;
    use crate::record::queue::lane::{DeadLane, DeadMessages};
    use crate::record::queue::lanes::MOST_LANES;
    use crate::record::queue::local_names::LocalNames;
    use crate::record::queue::message::Message;
    use crate::record::writer::batch::{Batch, Readings};
    use crate::record::writer::dedup::Dedup;
    use crate::record::writer::dictionary::WriterDictionary;

    /// Messages that are encoded at once.
    const SLICE: usize = 4_096;
    /// Bytes of their texts after which there are no more.
    const SLICE_BYTES: usize = 1 << 20;
    /// Blocks are stored when they have so many bytes, so that memory stays flat.
    const STORED_AT_ONCE: usize = 4 << 20;
    /// No process loses more calls than this: a higher number is none.
    const MOST_LOST: u64 = 1 << 40;

    /// See [`DeadLanes::take_in`](crate::engine::replay::DeadLanes::take_in).
    pub(super) fn take_in(dead: &mut DeadRun<'_, '_>) -> Result<Option<u64>> {
        let Some(found) = open(dead)? else {
            return Ok(None);
        };
        let mut lanes = Lanes::of(&found, dead.covered);
        let mut taking = Taking {
            names: found.names(),
            dictionary: WriterDictionary::default(),
            // What the dead process had seen before is not known: repeats are stored in full.
            batch: Batch::new(dead.run, Dedup::new(Duration::ZERO, 0)),
            readings: Readings {
                anchor: found.reading.anchor,
                memory: found.reading.memory,
            },
            earlier: Vec::new(),
            unreadable: 0,
        };
        let mut slice = Vec::new();
        let mut bytes = 0;
        while let Some(message) = lanes.next() {
            bytes += message.text_bytes();
            if taking.is_believed(&message, dead)? {
                let is_lost = message.was_to_keep_input();
                dead.lost_inputs = dead.lost_inputs.saturating_add(is_lost.into());
                slice.push(message);
            }
            if slice.len() >= SLICE || bytes >= SLICE_BYTES {
                taking.encode(&mut slice, dead)?;
                bytes = 0;
            }
        }
        taking.encode(&mut slice, dead)?;
        taking.store(dead)?;
        let is_exact = lanes.is_exact() && taking.unreadable == 0;
        let [full, refused] = found.losses;
        let lost = full.saturating_add(refused);
        // Some are in gaps already, of the last commit or of the last frame.
        let lost = lost.saturating_sub(dead.row.dropped);
        Ok((is_exact && lost < MOST_LOST).then_some(lost))
    }

    /// The black box of a dead run, or of the run that its process had before.
    fn open(dead: &mut DeadRun<'_, '_>) -> Result<Option<DeadBox>> {
        if let Some(found) = DeadBox::open(dead.journal, dead.run) {
            return Ok(Some(found));
        }
        for run in black_box::left(dead.journal) {
            // Killed before the box got its new name.
            if dead.continues(run)? {
                return Ok(DeadBox::open(dead.journal, run));
            }
        }
        Ok(None)
    }

    /// All lanes of a box, in the order of ids.
    struct Lanes {
        lanes: Vec<DeadMessages>,
        heads: Vec<Option<Message>>,
        /// The first record of each lane that is not covered is there.
        is_whole: bool,
    }

    impl Lanes {
        fn of(found: &DeadBox, covered: Covered) -> Lanes {
            let mut is_whole = true;
            let mut lanes = Vec::new();
            // No process makes more.
            is_whole &= found.lanes.len() <= MOST_LANES;
            for number in found.lanes.iter().take(MOST_LANES) {
                let bytes = found.lane(*number);
                match bytes.map(|bytes| DeadLane::parse(&bytes, *number)) {
                    Some(Ok(Some(lane))) => {
                        let freed = lane.freed();
                        // Made after the commit or frame: nothing in it is covered.
                        let covered = lane.covered(covered).unwrap_or(0);
                        is_whole &= freed <= covered;
                        lanes.push(lane.read(covered.max(freed)));
                    }
                    Some(Ok(None)) => {}
                    Some(Err(_)) | None => is_whole = false,
                }
            }
            let heads = lanes.iter_mut().map(Iterator::next).collect();
            Lanes {
                lanes,
                heads,
                is_whole,
            }
        }

        fn next(&mut self) -> Option<Message> {
            let first = self.heads.iter().enumerate();
            let first = first.filter_map(|(place, head)| Some((head.as_ref()?.id()?, place)));
            let (_, place) = first.min()?;
            let lane = self.lanes.get_mut(place)?;
            std::mem::replace(self.heads.get_mut(place)?, lane.next())
        }

        fn is_exact(&self) -> bool {
            let is_exact = |lane: &DeadMessages| lane.unreadable == 0 && !lane.is_broken;
            self.is_whole && self.lanes.iter().all(is_exact)
        }
    }

    /// The writer's work for a process that has none any more.
    struct Taking {
        names: LocalNames,
        dictionary: WriterDictionary,
        batch: Batch,
        readings: Readings,
        /// Runs that the same handle had before.
        earlier: Vec<RunId>,
        unreadable: u64,
    }

    impl Taking {
        /// Whether a process can have stored it: names that it uses are kept, and its id is of one
        /// of the handle's runs.
        fn is_believed(&mut self, message: &Message, dead: &mut DeadRun<'_, '_>) -> Result<bool> {
            let mut is_believed = true;
            message.each_name(|name| is_believed &= self.names.text(name).is_some());
            let run = message.id().map(|id| InferenceId::from_u64(id).run());
            if let Some(run) = run.filter(|run| *run != dead.run && !self.earlier.contains(run)) {
                if dead.continues(run)? {
                    self.earlier.push(run);
                } else {
                    is_believed = false;
                }
            }
            self.unreadable += u64::from(!is_believed);
            Ok(is_believed)
        }

        fn encode(&mut self, slice: &mut Vec<Message>, dead: &mut DeadRun<'_, '_>) -> Result<()> {
            let all = self.names.len();
            let unknown = self.dictionary.unknown(slice, &self.names, all);
            self.dictionary.learn(unknown, |names| dead.intern(names))?;
            self.batch.push(slice, &self.dictionary, self.readings);
            if self.batch.pending_bytes() >= STORED_AT_ONCE {
                self.store(dead)?;
            }
            Ok(())
        }

        fn store(&mut self, dead: &mut DeadRun<'_, '_>) -> Result<()> {
            let (blocks, _, _) = self.batch.take();
            self.unreadable = self.unreadable.saturating_add(dead.append(blocks)?);
            Ok(())
        }
    }
}

use crate::engine::replay::{DeadLanes, DeadRun};
use crate::entry::error::Result;
use crate::entry::ids::{JournalId, RunId};

/// Reads black boxes in shared memory, where there are some.
pub(crate) struct Recovery;

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
impl DeadLanes for Recovery {
    fn take_in(&self, dead: &mut DeadRun<'_, '_>) -> Result<Option<u64>> {
        dead_lanes::take_in(dead)
    }

    fn runs(&self, journal: JournalId) -> Vec<RunId> {
        super::queue::black_box::left(journal)
    }

    fn forget(&self, journal: JournalId, run: RunId) {
        super::queue::black_box::forget(journal, run);
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))))]
impl DeadLanes for Recovery {
    fn take_in(&self, _dead: &mut DeadRun<'_, '_>) -> Result<Option<u64>> {
        Ok(None)
    }

    fn runs(&self, _journal: JournalId) -> Vec<RunId> {
        Vec::new()
    }

    fn forget(&self, _journal: JournalId, _run: RunId) {}
}
