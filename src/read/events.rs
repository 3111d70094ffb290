//! Entries that are no decisions, newest first, a page at a time.

use std::collections::VecDeque;

use super::Reader;
use crate::engine::format::block_index::EntryKind;
use crate::entry::error::Result;
use crate::entry::record::Entry;
use crate::entry::sequence::Sequence;

const KINDS: [EntryKind; 3] = [
    EntryKind::Gap,
    EntryKind::SystemEvent,
    EntryKind::CheckpointEvent,
];
const PAGE: usize = 64;

/// System events, checkpoint events and gaps, newest first; from [`Reader::events`].
pub struct Events {
    reader: Reader,
    page: VecDeque<Sequence>,
    /// The sequence that the next page lies before; `None` at the end.
    before: Option<Sequence>,
}

impl Events {
    pub(super) fn new(reader: Reader) -> Self {
        Events {
            reader,
            page: VecDeque::new(),
            before: Some(Sequence::MAX),
        }
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        loop {
            if self.page.is_empty()
                && let Some(before) = self.before
            {
                self.turn(before)?;
            }
            let Some(sequence) = self.page.pop_front() else {
                return Ok(None);
            };
            // Entries that were retired since are gone, and so are all before them.
            if let Some(entry) = self.reader.entry_at(sequence)? {
                let first = Sequence::new(entry.sequence);
                if first < sequence {
                    // It lies in a lost range, which stands for all that was there.
                    while self.page.front().is_some_and(|earlier| *earlier >= first) {
                        self.page.pop_front();
                    }
                    self.before = self.before.map(|before| before.min(first));
                }
                return Ok(Some(entry));
            }
        }
    }

    fn turn(&mut self, before: Sequence) -> Result<()> {
        let mut found = Vec::new();
        for kind in KINDS {
            found.extend(self.reader.source.of_kind_before(kind, before, PAGE)?);
        }
        // Each kind gave its newest; the newest of all are among them.
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(PAGE);
        self.before = found.last().copied().filter(|_| found.len() == PAGE);
        self.page = found.into();
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.before = None;
            self.page.clear();
        }
        item
    }
}
