//! Outcomes of inferences: by id, and joined to a query.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use ahash::AHashMap;

use super::names::ReaderDictionary;
use super::{Cursor, Inferences, Query, Reader};
use crate::engine::format::row::{OutcomeRow, OutcomeValue, StoredOutcome};
use crate::engine::source::{Source, Unopened};
use crate::entry::error::{Error, Result};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::outcome::{OutcomeEntry, Outcomes, RecordedOutcome};
use crate::entry::record::InferenceRecord;
use crate::entry::sequence::Sequence;
use crate::outcomes::current::{CurrentForReaders, NewValue};

impl Reader {
    /// All outcomes of the inference or repeat with this id: under each name the value that was
    /// recorded last, by any process. `None` if nothing has. A look-up in the index for each part
    /// of the journal that may hold any, and every block that does.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # use annals::{Inference, Journal, Outcome};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(-0.5).value("slippage_bp", 0.3));
    /// journal.attach_outcome(id, Outcome::new().reward(1.5)); // corrected
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let known = journal.reader()?.outcome(id)?.unwrap();
    /// assert_eq!(known.reward.map(|reward| reward.value), Some(1.5));
    /// assert_eq!(known.get("slippage_bp").map(|latest| latest.value), Some(0.3));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn outcome(&self, id: InferenceId) -> Result<Option<Outcomes>> {
        let mut found = self.outcomes_of(&[id])?;
        Ok(found.remove(&id))
    }

    /// The outcomes of each of `ids`, in their order. Many are looked up much faster together than
    /// one by one.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// journal.attach_outcome(id, annals::Outcome::new().reward(1.5));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let outcomes = journal.reader()?.outcomes_of_each(&[id])?;
    /// assert!(outcomes[0].is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn outcomes_of_each(&self, ids: &[InferenceId]) -> Result<Vec<Option<Outcomes>>> {
        let mut found = self.outcomes_of(ids)?;
        Ok(ids.iter().map(|id| found.remove(id)).collect())
    }

    /// Every outcome that was recorded for each of `ids` before `until`, oldest first: also those
    /// that later ones have replaced. [`Outcomes::of_history`] makes of it what holds. Costs what
    /// [`outcomes_of_each`](Self::outcomes_of_each) does.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading), and
    /// [`Error::ForeignCursor`](crate::Error::ForeignCursor).
    ///
    /// ```
    /// # use annals::{Inference, Journal, Outcome, Outcomes};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(-0.5));
    /// journal.attach_outcome(id, Outcome::new().reward(1.5)); // corrected
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let history = reader.outcome_history(&[id], reader.end()?)?.remove(0);
    /// let rewards: Vec<_> = history.iter().map(|past| past.outcome.reward).collect();
    /// assert_eq!(rewards, [Some(-0.5), Some(1.5)]);
    /// assert_eq!(Outcomes::of_history(&history), reader.outcome(id)?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn outcome_history(
        &self,
        ids: &[InferenceId],
        until: Cursor,
    ) -> Result<Vec<Vec<RecordedOutcome>>> {
        if until.journal() != self.id {
            return Err(Error::ForeignCursor {
                cursor: until.to_string(),
                reason: format!("this is journal {}", self.id),
            });
        }
        let mut rows = self.stored_outcomes(ids, until.next())?;
        // Of those that are retired while this looks, some may have come twice, and all come last.
        rows.sort_by_key(|stored| (stored.sequence, stored.recorded.is_none()));
        rows.dedup_by_key(|stored| stored.sequence);
        let mut found: AHashMap<InferenceId, Vec<RecordedOutcome>> = AHashMap::new();
        for stored in rows {
            let past = RecordedOutcome {
                sequence: stored.sequence.get(),
                recorded_time: stored.recorded,
                outcome: self.names.outcome(&self.source, &stored.row)?,
            };
            found.entry(past.outcome.of).or_default().push(past);
        }
        let history = ids.iter().map(|id| found.remove(id).unwrap_or_default());
        Ok(history.collect())
    }

    /// The outcomes of `ids` whose sequence is less than `before`, newest first.
    fn stored_outcomes(&self, ids: &[InferenceId], before: Sequence) -> Result<Vec<StoredOutcome>> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        // The look-up searches by halves, and an id that was given twice must not count its
        // outcomes twice.
        sorted.dedup();
        let mut rows = Vec::new();
        let unopened = Unopened::PassedOver;
        self.source.outcomes(&sorted, before, unopened, |outcome| {
            rows.push(outcome);
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// The outcomes of each of `ids`; ids without outcomes are left out.
    fn outcomes_of(&self, ids: &[InferenceId]) -> Result<AHashMap<InferenceId, Outcomes>> {
        let rows = self.stored_outcomes(ids, Sequence::MAX)?;
        let mut found: AHashMap<InferenceId, CurrentForReaders> = AHashMap::new();
        // They come newest first.
        for StoredOutcome { sequence, row, .. } in rows {
            let current = found.entry(row.of).or_default();
            let entry = (row.time, sequence.get());
            for value in &row.values {
                let value = self.names.value(&self.source, value)?;
                current.offer(value, entry);
            }
        }
        let found = found.into_iter();
        Ok(found
            .map(|(of, current)| (of, Outcomes::new(of, current)))
            .collect())
    }
}

impl ReaderDictionary {
    /// The outcome that `row` is.
    pub(super) fn outcome(&self, source: &Source, row: &OutcomeRow) -> Result<OutcomeEntry> {
        let mut entry = OutcomeEntry {
            run: RunId(row.run),
            of: row.of,
            time: row.time,
            reward: None,
            correct: None,
            label: None,
            values: Vec::new(),
        };
        for value in &row.values {
            match self.value(source, value)? {
                NewValue::Reward(reward) => entry.reward = Some(reward),
                NewValue::Correct(correct) => entry.correct = Some(correct),
                NewValue::Label(label) => entry.label = Some(label),
                NewValue::Named(name, value) => entry.values.push((name, value)),
            }
        }
        Ok(entry)
    }

    /// One value of an outcome, with its name as text.
    fn value(&self, source: &Source, value: &OutcomeValue) -> Result<NewValue<Arc<str>, Arc<str>>> {
        Ok(match value {
            OutcomeValue::Reward(reward) => NewValue::Reward(*reward),
            OutcomeValue::Correct(correct) => NewValue::Correct(*correct),
            OutcomeValue::Label(label) => NewValue::Label(label.as_str().into()),
            OutcomeValue::Named(id, value) => NewValue::Named(self.name(source, *id)?, *value),
        })
    }
}

/// Inferences whose outcomes are looked up together: few at first, for callers that want few.
const FIRST: usize = 16;
const MOST: usize = 1_024;

impl Query {
    /// Runs the query, and gives each inference with its outcomes. Outcomes are looked up for up to
    /// 1,024 inferences at a time, so each block that holds any is read once for them.
    ///
    /// ```
    /// # use annals::{Inference, Journal, Outcome};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// # journal.attach_outcome(id, Outcome::new().correct(true));
    /// # journal.flush().wait(Duration::from_secs(5))?;
    /// for judged in journal.reader()?.inferences().model("dqn_agent").with_outcomes() {
    ///     let (inference, outcomes) = judged?;
    ///     let correct = outcomes.and_then(|outcomes| outcomes.correct);
    ///     println!("{} {:?}", inference.action, correct.map(|latest| latest.value));
    /// #   assert_eq!(correct.map(|latest| latest.value), Some(true));
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn with_outcomes(self) -> WithOutcomes {
        WithOutcomes::new(self.reader.clone(), self.iter())
    }
}

/// Inferences with their outcomes; from [`Query::with_outcomes`](crate::Query::with_outcomes).
pub struct WithOutcomes {
    reader: Reader,
    inferences: Inferences,
    together: usize,
    ready: VecDeque<(InferenceRecord, Option<Outcomes>)>,
    /// Met while reading ahead; given after the earlier entries.
    failed: Option<crate::Error>,
}

impl WithOutcomes {
    pub(super) fn new(reader: Reader, inferences: Inferences) -> Self {
        WithOutcomes {
            reader,
            inferences,
            together: FIRST,
            ready: VecDeque::new(),
            failed: None,
        }
    }

    fn fill(&mut self) -> Result<()> {
        let mut records = Vec::with_capacity(self.together);
        for record in self.inferences.by_ref().take(self.together) {
            match record {
                Ok(record) => records.push(record),
                // Told after the records before it, which are good.
                Err(error) => self.failed = Some(error),
            }
        }
        // A look-up for many costs little more than one for few; a caller who stops early pays for
        // few.
        self.together = (4 * self.together).min(MOST);
        let ids: Vec<InferenceId> = records.iter().map(|record| record.id).collect();
        let mut outcomes = self.reader.outcomes_of(&ids)?;
        self.ready.extend(records.into_iter().map(|record| {
            let known = outcomes.remove(&record.id);
            (record, known)
        }));
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(InferenceRecord, Option<Outcomes>)>> {
        if self.ready.is_empty() && self.failed.is_none() {
            self.fill()?;
        }
        match (self.ready.pop_front(), self.failed.take()) {
            (None, Some(error)) => Err(error),
            (ready, failed) => {
                self.failed = failed;
                Ok(ready)
            }
        }
    }
}

impl Iterator for WithOutcomes {
    type Item = Result<(InferenceRecord, Option<Outcomes>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            // Nothing is read after an error.
            self.together = 0;
        }
        item
    }
}
