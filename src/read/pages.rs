//! Runs and gaps, a page at a time.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;
use std::sync::Arc;

use super::Reader;
use crate::engine::format::block_index::EntryKind;
use crate::engine::format::row::{Note, Row};
use crate::engine::runs::{RunEnd, RunRow};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::record::{Gap, Run, RunState};
use crate::entry::sequence::Sequence;

const PAGE: usize = 64;
/// Entries of an index that are counted in one snapshot.
const COUNTED: usize = 1 << 16;

/// The runs of a journal; from [`Reader::runs`].
pub struct Runs {
    source: Arc<Source>,
    page: VecDeque<(RunId, RunRow)>,
    /// The number to continue from; `None` at the end.
    next: Option<u32>,
}

impl Runs {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Runs {
            source,
            page: VecDeque::new(),
            next: Some(1),
        }
    }

    fn step(&mut self) -> Result<Option<Run>> {
        if self.page.is_empty()
            && let Some(from) = self.next
        {
            self.page = self.source.runs(from, PAGE)?.into();
            let more = self.page.len() == PAGE;
            let last = self.page.back().map(|(run, _)| run.get().saturating_add(1));
            // A page that is not full is the last one, without another look. Rows that come later
            // are not of this iteration.
            self.next = last.filter(|_| more);
        }
        match self.page.pop_front() {
            Some((run, row)) => whole(&self.source, run, row).map(Some),
            None => Ok(None),
        }
    }
}

/// The run with this number.
pub(super) fn run(source: &Source, run: RunId) -> Result<Option<Run>> {
    let found = source.runs(run.get(), 1)?;
    let found = found.into_iter().find(|(known, _)| *known == run);
    found.map(|(run, row)| whole(source, run, row)).transpose()
}

fn whole(source: &Source, run: RunId, mut row: RunRow) -> Result<Run> {
    let dead = row.end.is_none() && source.is_run_dead(run);
    if dead {
        // It may have closed since the row was read: a run writes its end before it lets go
        // of its lock, so the row that is read now decides.
        let now = source.runs(run.get(), 1)?;
        if let Some((_, current)) = now.into_iter().find(|(found, _)| *found == run) {
            row = current;
        }
    }
    let manifest = source.manifest(run, &row)?.map(Into::into);
    Ok(Run {
        id: run,
        started: row.started,
        process: row.process,
        state: match row.end {
            Some(RunEnd::Closed(at)) => RunState::Closed(at),
            Some(RunEnd::Panicked(at)) => RunState::Panicked(Some(at)),
            Some(RunEnd::FoundDead(at)) if row.ends_with_panic() => RunState::Panicked(Some(at)),
            // Before the plain deaths below: a panic that was the last sign of a run explains
            // its end.
            None if dead && row.ends_with_panic() => RunState::Panicked(None),
            Some(RunEnd::FoundDead(at)) => RunState::Died(Some(at)),
            Some(RunEnd::Continued(at)) => RunState::Continued(at),
            None if dead => RunState::Died(None),
            None => RunState::Alive,
        },
        committed: row.committed,
        dropped: row.dropped,
        last_id: (row.last_id > InferenceId::NONE).then_some(row.last_id),
        source: row.source,
        manifest,
    })
}

impl Iterator for Runs {
    type Item = Result<Run>;

    fn next(&mut self) -> Option<Result<Run>> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.next = None;
            self.page.clear();
        }
        item
    }
}

/// The gaps of a journal; from [`Reader::gaps`].
pub struct Gaps {
    reader: Reader,
    page: VecDeque<Sequence>,
    /// The sequence to continue from; `None` at the end.
    next: Option<Sequence>,
}

impl Gaps {
    pub(super) fn new(reader: Reader) -> Self {
        Gaps {
            reader,
            page: VecDeque::new(),
            next: Some(Sequence::ZERO),
        }
    }

    fn step(&mut self) -> Result<Option<Gap>> {
        let source = &self.reader.source;
        if self.page.is_empty()
            && let Some(from) = self.next
        {
            self.page = source.of_kind(EntryKind::Gap, from, PAGE)?.into();
            let more = self.page.len() == PAGE;
            let last = self.page.back().map(|sequence| sequence.saturating_add(1));
            self.next = last.filter(|_| more);
        }
        let Some(sequence) = self.page.pop_front() else {
            return Ok(None);
        };
        let entry = source.at(sequence)?;
        if let Some(entry) = &entry {
            // Entries in a lost range are gone, and the lost range stands for all of them.
            let next = entry.next();
            while self.page.front().is_some_and(|later| *later < next) {
                self.page.pop_front();
            }
            self.next = self.next.map(|from| from.max(next));
        }
        match entry.map(|entry| (entry.sequence, entry.row)) {
            Some((sequence, Row::Note(Note::Gap(row)))) => Ok(Some(Gap::new(sequence, &row))),
            _ => Err(Error::Corrupt {
                path: source.path().to_owned(),
                detail: format!("kinds: entry {sequence} is no gap"),
            }),
        }
    }
}

impl Reader {
    /// Number of gaps; reads the index alone, and not the gaps.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.gap_count()?, 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn gap_count(&self) -> Result<u64> {
        let (mut count, mut from) = (0, Sequence::ZERO);
        loop {
            let page = self.source.of_kind(EntryKind::Gap, from, COUNTED)?;
            count = page.len().saturating_add(count);
            match page.last() {
                Some(last) if page.len() == COUNTED => from = last.saturating_add(1),
                _ => return Ok(count as u64),
            }
        }
    }
}

impl Iterator for Gaps {
    type Item = Result<Gap>;

    fn next(&mut self) -> Option<Result<Gap>> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.next = None;
            self.page.clear();
        }
        item
    }
}
