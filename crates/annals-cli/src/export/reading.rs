//! From the journal's entries to the rows of an export.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use annals::entry::KeptInput;
use annals::read::FollowWithInputs;
use annals::{
    Content, Cursor, Entry, Follow, InferenceId, InferenceRecord, Outcomes, Reader, Timestamp,
};

use super::{DecisionOutcomes, ExportRow, History, Inputs, Part};
use crate::failure::Result;
use crate::filter::Filter;
use crate::input;

/// Entries that are made rows at once.
const BATCH: usize = 8_192;
/// Bytes of inputs after which there are no more of them.
const BATCH_BYTES: usize = 16 << 20;
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
    inputs: Inputs,
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
            inputs: part.inputs,
            days,
            sender,
            recent: HashSet::new(),
        }
    }

    /// Sends everything, or until the receiver is gone.
    pub fn run(mut self) -> Result<()> {
        let follow = self.reader.follow(self.from)?;
        let mut follow = match self.inputs {
            Inputs::LeftOut => Entries::Alone(follow),
            Inputs::Taken => Entries::WithInputs(follow.with_inputs()),
        };
        let end = self.until.next_sequence();
        let mut entries = Vec::with_capacity(BATCH);
        loop {
            let mut bytes = 0;
            for entry in follow.by_ref().take(BATCH) {
                let (entry, input) = entry?;
                if entry.sequence >= end {
                    break;
                }
                bytes += input::bytes(&input);
                entries.push((entry, input));
                if bytes >= BATCH_BYTES {
                    break;
                }
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

    fn rows(&mut self, entries: &mut Vec<(Entry, KeptInput)>) -> Result<Vec<ExportRow>> {
        let id = |(entry, _): &(Entry, KeptInput)| entry.id();
        let ids: Vec<InferenceId> = entries.iter().filter_map(id).collect();
        if self.recent.len() > RECENT {
            self.recent.clear();
        }
        self.recent.extend(&ids);
        let ids = match &self.days {
            None => ids,
            Some(days) => {
                let zone = &self.filter.zone;
                entries.retain(|(entry, _)| days.contains(&zone.day(time_of(entry))));
                entries.iter().filter_map(id).collect()
            }
        };
        let outcomes = self.reader.outcome_history(&ids, self.until)?;
        let mut outcomes = outcomes.into_iter().map(DecisionOutcomes::new);
        let earlier = self.earlier(entries)?;
        let mut rows = Vec::with_capacity(entries.len());
        for (entry, input) in entries.drain(..) {
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
                        rows.push(ExportRow::Inference(record, known, input));
                    }
                }
                Content::Repeat(repeat) => {
                    let known = outcomes.next().flatten();
                    let now = known.as_ref().map(|judged| &judged.now);
                    if self.filter.keeps_repeat(&repeat, now) {
                        let row = ExportRow::Repeat(repeat, recorded, sequence, known, input);
                        rows.push(row);
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
    fn earlier(&self, entries: &[(Entry, KeptInput)]) -> Result<HashMap<InferenceId, LookedUp>> {
        let judged = entries
            .iter()
            .filter_map(|(entry, _)| match &entry.content {
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

/// Entries in their order, with inputs or without.
enum Entries {
    Alone(Follow),
    WithInputs(FollowWithInputs),
}

impl Iterator for Entries {
    type Item = annals::Result<(Entry, KeptInput)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Entries::Alone(follow) => {
                let entry = follow.next()?;
                Some(entry.map(|entry| (entry, KeptInput::NotKept)))
            }
            Entries::WithInputs(follow) => follow.next(),
        }
    }
}
