//! Imported outcomes, each value once.

use std::ops::ControlFlow;

use super::{Importer, limits, notes};
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{Note, OutcomeRow, OutcomeValue, StoredOutcome};
use crate::engine::source::Unopened;
use crate::entry::error::Result;
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::outcome::Outcome;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// An outcome as its source recorded it, to be handed to [`Importer::add_outcome_history`].
#[derive(Clone, Debug, PartialEq)]
pub struct PastOutcome<'a> {
    /// The outcome.
    pub outcome: Outcome<'a>,
    /// When the source recorded it; `None` is the time of [`Importer::recorded_at`].
    pub recorded_time: Option<Timestamp>,
    /// The run that recorded it, one of [`Importer::source`]'s.
    pub recorded_by: RunId,
}

/// An outcome that is to be added, with names as they are stored.
struct Past {
    run: u32,
    recorded: Timestamp,
    /// Whether the source says when it recorded it.
    is_recorded: bool,
    time: Timestamp,
    values: Vec<OutcomeValue>,
}

/// How exactly an outcome has to be one that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    /// Recorded by the same run at the same time.
    Recorded,
    /// It says the same about the same time, and was taken in without the time at which it was
    /// recorded.
    Said,
}

impl Past {
    fn is(&self, stored: &StoredOutcome, how: Match) -> bool {
        let row = &stored.row;
        let says_the_same = row.time == self.time
            && row.values.len() == self.values.len()
            && self.values.iter().all(|value| {
                let mut others = row.values.iter();
                others.any(|other| other.is_same(value))
            });
        let is_recorded = row.run == self.run
            && (!self.is_recorded || stored.recorded.is_none_or(|at| at == self.recorded));
        says_the_same
            && match how {
                Match::Recorded => is_recorded,
                Match::Said => row.is_undated,
            }
    }
}

/// Which of two values of one name holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    OfTime,
    OfArrival,
}

impl Importer {
    /// Adds an outcome of the inference `of`, which has to be of a [`source`](Self::source)'s run;
    /// `false` if nothing of it is new. Sources may be read in any order. Of each value the one
    /// with the latest time holds; of two with the same time the later one. Each counts once. A
    /// value without a time is new if another one holds. Values that are older than the one that
    /// holds are left out, and counted by [`superseded`](Self::superseded). Right behind its new
    /// inference as cheap as that; otherwise it costs a look-up.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// # let run = importer.source("old.db")?;
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// importer.add(run.inference(1)?, &decision, annals::import::Answer::Full)?;
    /// assert!(importer.add_outcome(run.inference(1)?, &annals::Outcome::new().reward(1.5))?);
    /// # importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_outcome(&mut self, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        self.add_in(Order::OfTime, of, outcome)
    }

    /// Adds an outcome as [`add_outcome`](Self::add_outcome) does, if in its source it came after
    /// all that were added before: it holds, whatever its time.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// ```
    /// use annals::{Inference, Outcome, Timestamp};
    /// use annals::import::{Answer, Importer};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let at = Timestamp::from_micros;
    /// let mut importer = Importer::open(&dir)?;
    /// let id = importer.source("old.db")?.inference(1)?;
    /// importer.add(id, &Inference::new("dqn_agent", "ETH/USDT", "BUY"), Answer::Full)?;
    /// importer.add_later_outcome(id, &Outcome::new().reward(1.0).at(at(20)))?;
    /// importer.add_later_outcome(id, &Outcome::new().reward(2.0).at(at(10)))?; // it holds
    /// importer.close()?;
    /// let now = annals::Reader::open(&dir)?.outcome(id)?.expect("two were added");
    /// assert_eq!(now.reward.map(|latest| latest.value), Some(2.0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_later_outcome(&mut self, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        self.add_in(Order::OfArrival, of, outcome)
    }

    /// Adds all outcomes of the inference `of` that its source has, oldest first; says how many of
    /// them are new. Those that are there already are recognised by what they say, their time and
    /// when which run recorded them. So one that says the same once more is taken in once more, and
    /// importing twice is the same as importing once. Of one that came before others that are
    /// there, only the values that none of these has replaced are added.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// ```
    /// use annals::import::{Answer, Importer, PastOutcome};
    /// use annals::{Inference, Outcome, Timestamp};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let at = Timestamp::from_micros(1_753_454_079_000_000);
    /// for new in [3, 0] {
    ///     let mut importer = Importer::open(&dir)?;
    ///     let run = importer.source("old.db")?;
    ///     let id = run.inference(1)?;
    ///     importer.add(id, &Inference::new("m", "s", "BUY"), Answer::Full)?;
    ///     let history = [1.0, 2.0, 1.0].map(|reward| PastOutcome {
    ///         outcome: Outcome::new().reward(reward).at(at),
    ///         recorded_time: Some(at),
    ///         recorded_by: run,
    ///     });
    ///     assert_eq!(importer.add_outcome_history(id, &history)?, new);
    ///     importer.close()?;
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_outcome_history(
        &mut self,
        of: InferenceId,
        history: &[PastOutcome<'_>],
    ) -> Result<u64> {
        let mut all = Vec::with_capacity(history.len());
        for past in history {
            all.push(self.past(past)?);
        }
        let may_be_early = self.taking(of.run())?.has_outcomes;
        if self.fresh.take() != Some(of) || may_be_early {
            self.taking(of.run())?.has_outcomes = true;
            let stored = self.committed_outcomes(of)?;
            all = self.without_known(all, &stored);
        }
        let mut added = 0;
        for past in all {
            self.encode_outcome(of, past)?;
            added += 1;
        }
        Ok(added)
    }

    /// Adds one more outcome of the history of `of`, which its source recorded after all that were
    /// added before it: it holds, whatever its time. `false` if it is there already. A gap that a
    /// source has twice is taken in twice.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// ```
    /// use annals::{Inference, Outcome, Timestamp};
    /// use annals::import::{Answer, Importer, PastOutcome};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let at = Timestamp::from_micros(1_753_454_079_000_000);
    /// let mut importer = Importer::open(&dir)?;
    /// let run = importer.source("old.db")?;
    /// let id = run.inference(1)?;
    /// importer.add(id, &Inference::new("dqn_agent", "ETH/USDT", "BUY"), Answer::Full)?;
    /// let past = PastOutcome {
    ///     outcome: Outcome::new().reward(1.5).at(at),
    ///     recorded_time: Some(at),
    ///     recorded_by: run,
    /// };
    /// assert!(importer.add_past_outcome(id, &past)?);
    /// importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_past_outcome(&mut self, of: InferenceId, past: &PastOutcome<'_>) -> Result<bool> {
        let key = notes::key(past.recorded_by, past.recorded_time, &(of, &past.outcome));
        let past = self.past(past)?;
        self.fresh = None;
        self.taking(of.run())?.has_outcomes = true;
        let said = self.count_said(key);
        let stored = self.committed_outcomes(of)?;
        let count = |how| stored.iter().filter(|stored| past.is(stored, how)).count();
        let there = match count(Match::Recorded) {
            0 => count(Match::Said),
            there => there,
        };
        if u64::try_from(there).unwrap_or(u64::MAX) >= u64::from(said) {
            return Ok(false);
        }
        self.encode_outcome(of, past)?;
        Ok(true)
    }

    fn past(&mut self, past: &PastOutcome<'_>) -> Result<Past> {
        limits::check_outcome(&past.outcome)?;
        self.taking(past.recorded_by)?;
        let recorded = past.recorded_time;
        let now = recorded.unwrap_or_else(|| self.recorded_or_now());
        Ok(Past {
            run: past.recorded_by.get(),
            recorded: now,
            is_recorded: recorded.is_some(),
            time: past.outcome.time.unwrap_or(now),
            values: self.stored_values(&past.outcome)?,
        })
    }

    /// The outcomes of `of` that are there, oldest first.
    fn committed_outcomes(&mut self, of: InferenceId) -> Result<Vec<StoredOutcome>> {
        // The look-up below sees committed outcomes only.
        if self.judged.contains(&of) {
            self.commit()?;
        }
        let mut stored = Vec::new();
        let unopened = Unopened::Refused;
        self.source
            .outcomes(&[of], Sequence::MAX, unopened, |outcome| {
                stored.push(outcome);
                ControlFlow::Continue(())
            })?;
        stored.sort_by_key(|outcome| (outcome.sequence, outcome.recorded.is_none()));
        // An out-of-order outcome is there as an entry and as its copy.
        stored.dedup_by_key(|outcome| outcome.sequence);
        Ok(stored)
    }

    /// The part of a history that is not there yet, and does not come before the known one.
    fn without_known(&mut self, history: Vec<Past>, stored: &[StoredOutcome]) -> Vec<Past> {
        let mut is_used = vec![false; stored.len()];
        let mut is_known = vec![false; history.len()];
        // Exact matches first, so that a weaker one does not take their place.
        for how in [Match::Recorded, Match::Said] {
            for (past, is_known) in history.iter().zip(&mut is_known) {
                if *is_known {
                    continue;
                }
                let mut found = stored.iter().zip(&mut is_used);
                let found = found.find(|(stored, is_used)| !**is_used && past.is(stored, how));
                if let Some((_, is_used)) = found {
                    *is_used = true;
                    *is_known = true;
                }
            }
        }
        // From the newest on: values that a later one of the history has, and is there.
        let mut behind: Vec<OutcomeValue> = Vec::new();
        let mut kept = Vec::new();
        for (mut past, is_known) in history.into_iter().zip(is_known).rev() {
            if is_known {
                behind.extend(past.values);
                continue;
            }
            let before = past.values.len();
            past.values.retain(|value| {
                let is_replaced = behind.iter().any(|later| later.is_rival(value));
                // Outcomes that this history does not know of: the later time holds.
                let mut others = stored
                    .iter()
                    .zip(&is_used)
                    .filter(|(_, is_used)| !**is_used);
                let is_older = others.any(|(other, _)| {
                    let rival = other.row.values.iter().any(|other| other.is_rival(value));
                    rival && other.row.time > past.time
                });
                !is_replaced && !is_older
            });
            let superseded = u64::try_from(before - past.values.len()).unwrap_or(0);
            self.superseded = self.superseded.saturating_add(superseded);
            if !past.values.is_empty() {
                kept.push(past);
            }
        }
        kept.reverse();
        kept
    }

    fn encode_outcome(&mut self, of: InferenceId, past: Past) -> Result<()> {
        let row = OutcomeRow {
            run: past.run,
            of,
            time: past.time,
            values: past.values,
            is_undated: !past.is_recorded,
        };
        let encoded = self.encoder.note(past.recorded, &Note::Outcome(row));
        encoded.map_err(|why| limits::too_large("outcome", why))?;
        self.judged.insert(of);
        if let Some(taking) = self.runs.get_mut(&RunId(past.run)) {
            taking.row.committed += 1;
        }
        self.commit_if_due()
    }

    fn add_in(&mut self, order: Order, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        limits::check_outcome(outcome)?;
        let may_be_early = self.taking(of.run())?.has_outcomes;
        let now = self.recorded_or_now();
        let mut values = self.stored_values(outcome)?;
        if self.fresh.take() != Some(of) || may_be_early {
            if self.judged.contains(&of) {
                self.commit()?;
            }
            let time = outcome.time;
            let superseded = self.leave_out_known(order, of, time, &mut values)?;
            self.superseded = self.superseded.saturating_add(superseded);
            self.taking(of.run())?.has_outcomes = true;
        }
        if values.is_empty() {
            return Ok(false);
        }
        let past = Past {
            run: of.run().get(),
            recorded: now,
            is_recorded: false,
            time: outcome.time.unwrap_or(now),
            values,
        };
        self.encode_outcome(of, past)?;
        Ok(true)
    }

    /// Keeps the new ones of `values`; returns the number of those that are older than the current
    /// ones.
    fn leave_out_known(
        &self,
        order: Order,
        of: InferenceId,
        time: Option<Timestamp>,
        values: &mut Vec<OutcomeValue>,
    ) -> Result<u64> {
        // Of each value: the time of the one that holds, and whether it is the same.
        let mut holding: Vec<Option<(Timestamp, bool)>> = vec![None; values.len()];
        let mut recorded = vec![false; values.len()];
        let unopened = Unopened::Refused;
        self.source
            .outcomes(&[of], Sequence::MAX, unopened, |known| {
                let known = known.row;
                for (index, value) in values.iter().enumerate() {
                    let Some(found) = known.values.iter().find(|found| found.is_rival(value))
                    else {
                        continue;
                    };
                    let is_same = found.is_same(value);
                    // Newest first: the first that is met holds.
                    if let Some(holds @ None) = holding.get_mut(index) {
                        *holds = Some((known.time, is_same));
                    }
                    if let Some(recorded) = recorded.get_mut(index) {
                        *recorded |= is_same && Some(known.time) == time;
                    }
                }
                ControlFlow::Continue(())
            })?;
        let mut superseded = 0;
        let mut fates = holding.into_iter().zip(recorded);
        values.retain(|_| {
            let (holds, recorded) = fates.next().unwrap_or((None, false));
            match (holds, time) {
                (None, _) => true,
                (Some((_, is_same)), None) => !is_same,
                _ if recorded => false,
                (Some((at, _)), Some(time)) if order == Order::OfTime && at > time => {
                    superseded += 1;
                    false
                }
                (Some(_), Some(_)) => true,
            }
        });
        Ok(superseded)
    }

    fn stored_values(&mut self, outcome: &Outcome<'_>) -> Result<Vec<OutcomeValue>> {
        let label = outcome.label.map(str::to_owned);
        let built_in = [
            outcome.reward.map(OutcomeValue::Reward),
            outcome.correct.map(OutcomeValue::Correct),
            label.map(OutcomeValue::Label),
        ];
        let mut values: Vec<OutcomeValue> = built_in.into_iter().flatten().collect();
        for (name, value) in &outcome.values {
            let id = self.stored_name(NameKind::OutcomeName, name)?;
            values.push(OutcomeValue::Named(id, *value));
        }
        Ok(values)
    }
}
