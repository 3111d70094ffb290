//! Which events and gaps of a source are there already. They have no id, so they are known by their
//! content.

use std::fmt::Debug;

use ahash::AHashMap;
use xxhash_rust::xxh3::xxh3_128;

use super::Importer;
use super::loss::Loss;
use crate::entry::error::Result;
use crate::entry::ids::RunId;
use crate::entry::record::Content;
use crate::entry::timestamp::Timestamp;
use crate::read::Reader;

/// Number of copies of each in the journal, and in the source so far. A source may have the same
/// twice.
#[derive(Default)]
pub(super) struct KnownNotes {
    /// In the journal; `None` until the first question.
    there: Option<AHashMap<u128, u32>>,
    said: AHashMap<u128, u32>,
}

/// Content of a gap, in 16 bytes.
pub(super) fn gap_key(gap: &Loss, recorded: Option<Timestamp>) -> u128 {
    key(gap.run, recorded, gap)
}

/// Content of an event, in 16 bytes.
pub(super) fn event_key(run: RunId, recorded: Timestamp, says: &impl Debug) -> u128 {
    key(run, Some(recorded), says)
}

/// Content of one of a run, recorded then, in 16 bytes.
pub(super) fn key(run: RunId, recorded: Option<Timestamp>, says: &impl Debug) -> u128 {
    let recorded = recorded.map(Timestamp::as_micros);
    xxh3_128(format!("{} {recorded:?} {says:?}", run.get()).as_bytes())
}

impl Importer {
    /// Notes that the source has this, and returns whether it has to be added. The first time that
    /// it is asked about a source that was there before, it costs a look at all events and gaps.
    pub(super) fn is_new_note(&mut self, run: RunId, key: u128) -> Result<bool> {
        // Read once, and only for a source that was taken in before: it reads all events.
        if self.taking(run)?.is_continued && self.notes.there.is_none() {
            self.notes.there = Some(self.notes_there()?);
        }
        let there = self.notes.there.as_ref().and_then(|all| all.get(&key));
        let there = there.copied().unwrap_or(0);
        // Equal events may have happened more than once: they are counted, not compared.
        Ok(self.count_said(key) > there)
    }

    /// Notes that the source says this, and how often it has said it.
    pub(super) fn count_said(&mut self, key: u128) -> u32 {
        let said = self.notes.said.entry(key).or_default();
        *said = said.saturating_add(1);
        *said
    }

    fn notes_there(&self) -> Result<AHashMap<u128, u32>> {
        let mut there = AHashMap::new();
        for entry in Reader::new(self.source.clone())?.events() {
            let entry = entry?;
            let recorded = entry.recorded_time;
            let keys = match &entry.content {
                Content::Gap(gap) => {
                    let loss = Loss::from(gap);
                    [gap_key(&loss, Some(recorded)), gap_key(&loss, None)]
                }
                Content::SystemEvent(event) => {
                    let says = (
                        event.level,
                        &*event.component,
                        &event.message,
                        &event.fields,
                    );
                    [event_key(event.run, recorded, &says); 2]
                }
                Content::CheckpointEvent(event) => {
                    let (model, checkpoint) = (&*event.model, &*event.checkpoint);
                    let says = (event.action, model, checkpoint, &*event.detail);
                    [event_key(event.run, recorded, &says); 2]
                }
                _ => continue,
            };
            let count: &mut u32 = there.entry(keys[0]).or_default();
            *count = count.saturating_add(1);
            if keys[1] != keys[0] {
                let count: &mut u32 = there.entry(keys[1]).or_default();
                *count = count.saturating_add(1);
            }
        }
        Ok(there)
    }
}
