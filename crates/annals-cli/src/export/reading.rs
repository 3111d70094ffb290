//! From the journal's entries to the rows of an export.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use annals::{Content, Cursor, Entry, InferenceId, InferenceRecord, Outcomes, Reader, Timestamp};

use super::{DecisionOutcomes, ExportRow, History, Part};
use crate::failure::Result;
use crate::filter::Filter;

/// Entries that are made rows at once.
const BATCH: usize = 8_192;
/// Ids that are remembered: some megabytes.
const RECENT: usize = 1 << 17;

/// Some rows, and how many entries they come from.
pub struct RowBatch {
    pub rows: Vec<ExportRow>,
    pub entries: u64,
}

/// An inference that was looked up, and all that is known to have turned out for it.
type LookedUp = (InferenceRecord, Option<Outcomes>);

/// Reads what an export is to hold.
pub struct ExportReader<'a> {
    reader: &'a Reader,
    filter: &'a Filter,
    from: Cursor,
    until: Cursor,
    history: History,
    /// The days whose rows are wanted; none for all.
    days: Option<Arc<BTreeSet<i64>>>,
    sender: SyncSender<RowBatch>,
    /// Ids that this export has met lately: outcomes are mostly about these.
    recent: HashSet<InferenceId>,
}

impl<'a> ExportReader<'a> {
    pub fn new(
        reader: &'a Reader,
        part: &Part<'a>,
        days: Option<Arc<BTreeSet<i64>>>,
        sender: SyncSender<RowBatch>,
    ) -> Self {
        ExportReader {
            reader,
            filter: part.filter,
            from: part.from,
            until: part.until,
            history: part.history,
            days,
            sender,
            recent: HashSet::new(),
        }
    }

    /// Sends everything, or until the receiver is gone.
    pub fn run(mut self) -> Result<()> {
        let mut follow = self.reader.follow(self.from)?;
        let end = self.until.next_sequence();
        let mut entries = Vec::with_capacity(BATCH);
        loop {
            for entry in follow.by_ref().take(BATCH) {
                let entry = entry?;
                if entry.sequence >= end {
                    break;
                }
                entries.push(entry);
            }
            if entries.is_empty() {
                return Ok(());
            }
            let count = entries.len() as u64;
            let rows = self.rows(&mut entries)?;
            let batch = RowBatch {
                rows,
                entries: count,
            };
            if self.sender.send(batch).is_err() {
                return Ok(());
            }
        }
    }

    fn rows(&mut self, entries: &mut Vec<Entry>) -> Result<Vec<ExportRow>> {
        let ids: Vec<InferenceId> = entries.iter().filter_map(Entry::id).collect();
        if self.recent.len() > RECENT {
            self.recent.clear();
        }
        self.recent.extend(&ids);
        let ids = match &self.days {
            None => ids,
            Some(days) => {
                entries.retain(|entry| days.contains(&self.filter.zone.day(time_of(entry))));
                entries.iter().filter_map(Entry::id).collect()
            }
        };
        let outcomes = self.reader.outcome_history(&ids, self.until)?;
        let mut outcomes = outcomes.into_iter().map(DecisionOutcomes::new);
        let earlier = self.earlier(entries)?;
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries.drain(..) {
            let (sequence, recorded) = (entry.sequence, entry.recorded_time);
            let is_event = matches!(
                entry.content,
                Content::SystemEvent(_) | Content::CheckpointEvent(_)
            );
            if is_event {
                if self.filter.keeps_event(recorded) {
                    rows.push(ExportRow::Event(entry));
                }
                continue;
            }
            match entry.content {
                Content::Inference(record) => {
                    let known = outcomes.next().flatten();
                    let now = known.as_ref().map(|judged| &judged.now);
                    if self.filter.keeps_all(&record, now) {
                        rows.push(ExportRow::Inference(record, known));
                    }
                }
                Content::Repeat(repeat) => {
                    let known = outcomes.next().flatten();
                    let now = known.as_ref().map(|judged| &judged.now);
                    if self.filter.keeps_repeat(&repeat, now) {
                        rows.push(ExportRow::Repeat(repeat, recorded, sequence, known));
                    }
                }
                Content::Outcome(outcome) if self.is_late(outcome.of, &earlier) => {
                    rows.push(ExportRow::Late(outcome, recorded, sequence));
                }
                Content::Gap(gap) if self.filter.keeps_gap(&gap, recorded) => {
                    rows.push(ExportRow::Gap(gap, recorded));
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// Whether an outcome may have to be a row of its own: if its inference may have been in an
    /// earlier export.
    /// From the journal's start there are no earlier exports, but outcomes of what is not there.
    fn may_be_earlier(&self, of: InferenceId) -> bool {
        if self.history == History::AsRows {
            return true;
        }
        if self.recent.contains(&of) {
            return false;
        }
        self.from.next_sequence() > 1 || self.filter.is_everything()
    }

    /// The inferences that outcomes among `entries` are about and that may be of earlier exports.
    fn earlier(&self, entries: &[Entry]) -> Result<HashMap<InferenceId, LookedUp>> {
        let judged = entries.iter().filter_map(|entry| match &entry.content {
            Content::Outcome(outcome) if self.may_be_earlier(outcome.of) => Some(outcome.of),
            _ => None,
        });
        let judged: Vec<InferenceId> = judged.collect();
        let known = self.reader.outcomes_of_each(&judged)?;
        let found = self.reader.get_each(&judged)?.into_iter().zip(known);
        let found = found.filter_map(|(record, known)| Some((record?, known)));
        Ok(found.map(|earlier| (earlier.0.id, earlier)).collect())
    }

    /// Whether an outcome is about an inference of an earlier export, and that one is meant.
    fn is_late(&self, of: InferenceId, earlier: &HashMap<InferenceId, LookedUp>) -> bool {
        if !self.may_be_earlier(of) {
            return false;
        }
        match earlier.get(&of) {
            Some((record, known)) => {
                let is_earlier = record.sequence < self.from.next_sequence();
                (is_earlier || self.history == History::AsRows)
                    && self.filter.keeps_all(record, known.as_ref())
            }
            // Unknown to all: it stays what it is, a word about an id.
            None => self.filter.is_everything(),
        }
    }
}

/// The time that the row of an entry is filed under.
fn time_of(entry: &Entry) -> Timestamp {
    match &entry.content {
        Content::Inference(record) => record.event_time,
        Content::Repeat(repeat) => repeat.event_time,
        Content::Outcome(outcome) => outcome.time,
        _ => entry.recorded_time,
    }
}
