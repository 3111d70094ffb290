//! Decisions in the order of event time. A query by time gives one hour after the other, in the
//! order of commit within the hour. Here each stretch of time is sorted, in bounded memory.

use std::cmp::Reverse;
use std::collections::VecDeque;

use annals::read::Inferences;
use annals::{InferenceId, InferenceRecord, Query, Reader, Result};

use super::{Decision, Times};

/// Decisions that are sorted at once. A stretch with more is halved, down to a microsecond.
const MOST: usize = 1 << 14;
/// Microseconds of the first stretch: an hour, as in the index of the journal.
const HOUR: i64 = 3_600_000_000;
/// Decisions whose outcomes are looked up together.
const TOGETHER: usize = 1_024;

/// Decisions sorted by event time, those of one time by sequence.
pub(super) struct ByEventTime {
    query: Query,
    newest_first: bool,
    /// Times of which no stretch is made yet.
    rest: Times,
    /// Stretches that are still to be read, the next one last.
    stretches: Vec<Times>,
    sorted: VecDeque<InferenceRecord>,
    /// A stretch of one time, whose decisions a query gives in order, however many there are.
    same_time: Option<Inferences>,
}

impl ByEventTime {
    pub(super) fn new(query: Query, times: Times, newest_first: bool) -> Self {
        ByEventTime {
            query: match newest_first {
                true => query.newest_first(),
                false => query,
            },
            newest_first,
            rest: times,
            stretches: Vec::new(),
            sorted: VecDeque::new(),
            same_time: None,
        }
    }

    /// The same with outcomes.
    pub(super) fn with_outcomes(self, reader: Reader) -> Judged {
        Judged {
            reader,
            decisions: self,
            ready: VecDeque::new(),
        }
    }

    fn step(&mut self) -> Result<Option<InferenceRecord>> {
        loop {
            if let Some(record) = self.sorted.pop_front() {
                return Ok(Some(record));
            }
            if let Some(same) = &mut self.same_time {
                match same.next() {
                    Some(record) => return record.map(Some),
                    None => self.same_time = None,
                }
            }
            let Some(stretch) = self.next_stretch()? else {
                return Ok(None);
            };
            self.read(stretch)?;
        }
    }

    /// The next stretch: one that is left, or the next hour that has decisions.
    fn next_stretch(&mut self) -> Result<Option<Times>> {
        if let Some(stretch) = self.stretches.pop() {
            return Ok(Some(stretch));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let next = self.rest.by_hour(self.query.clone()).limit(1).iter().next();
        let Some(next) = next.transpose()? else {
            self.rest = Times::NONE;
            return Ok(None);
        };
        let hour = next
            .event_time
            .as_micros()
            .div_euclid(HOUR)
            .saturating_mul(HOUR);
        let hour = Times {
            first: hour.max(self.rest.first),
            last: hour.saturating_add(HOUR - 1).min(self.rest.last),
        };
        self.rest = match self.newest_first {
            true => self.rest.before(hour.first),
            false => self.rest.after(hour.last),
        };
        Ok(Some(hour))
    }

    /// Reads and sorts a stretch, or divides it.
    fn read(&mut self, stretch: Times) -> Result<()> {
        let query = stretch.by_hour(self.query.clone());
        if stretch.first == stretch.last {
            self.same_time = Some(query.iter());
            return Ok(());
        }
        let found: Result<Vec<InferenceRecord>> = query.limit(MOST + 1).iter().collect();
        let mut found = found?;
        if found.len() > MOST {
            let (early, late) = stretch.halves();
            let next_last = match self.newest_first {
                true => [early, late],
                false => [late, early],
            };
            self.stretches.extend(next_last);
            return Ok(());
        }
        let key = |record: &InferenceRecord| (record.event_time, record.sequence);
        match self.newest_first {
            true => found.sort_unstable_by_key(|record| Reverse(key(record))),
            false => found.sort_unstable_by_key(key),
        }
        self.sorted = found.into();
        Ok(())
    }
}

impl Iterator for ByEventTime {
    type Item = Result<InferenceRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.rest = Times::NONE;
            self.stretches.clear();
            self.same_time = None;
        }
        item
    }
}

/// Sorted decisions with their outcomes.
pub(super) struct Judged {
    reader: Reader,
    decisions: ByEventTime,
    ready: VecDeque<Decision>,
}

impl Judged {
    fn fill(&mut self) -> Result<()> {
        let records: Result<Vec<InferenceRecord>> =
            self.decisions.by_ref().take(TOGETHER).collect();
        let records = records?;
        let ids: Vec<InferenceId> = records.iter().map(|record| record.id).collect();
        let outcomes = self.reader.outcomes_of_each(&ids)?;
        let judged = records.into_iter().zip(outcomes);
        self.ready
            .extend(judged.map(|(record, outcomes)| Decision { record, outcomes }));
        Ok(())
    }
}

impl Iterator for Judged {
    type Item = Result<Decision>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && let Err(error) = self.fill()
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}
