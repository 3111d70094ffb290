//! Imported outcomes, each value once.

use std::ops::ControlFlow;

use super::{Importer, limits};
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{Note, OutcomeRow, OutcomeValue};
use crate::engine::source::Unopened;
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::outcome::Outcome;
use crate::entry::timestamp::Timestamp;

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
    /// assert!(importer.add_outcome(run.inference(1)?, &annals::Outcome::reward(1.5))?);
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
    pub fn add_later_outcome(&mut self, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        self.add_in(Order::OfArrival, of, outcome)
    }

    fn add_in(&mut self, order: Order, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        limits::check_outcome(outcome)?;
        let may_be_early = self.taking(of.run())?.has_outcomes;
        let now = self.recorded_micros();
        let mut values = self.stored_values(outcome)?;
        if self.fresh.take() != Some(of.to_u64()) || may_be_early {
            if self.judged.contains(&of.to_u64()) {
                self.commit()?;
            }
            let time = outcome.time.map(Timestamp::as_micros);
            let superseded = self.leave_out_known(order, of, time, &mut values)?;
            self.superseded = self.superseded.saturating_add(superseded);
            self.taking(of.run())?.has_outcomes = true;
        }
        if values.is_empty() {
            return Ok(false);
        }
        let row = OutcomeRow {
            run: of.run().get(),
            of: of.to_u64(),
            time: outcome.time.map_or(now, Timestamp::as_micros),
            values,
        };
        let encoded = self.encoder.note(now, &Note::Outcome(row));
        encoded.map_err(|why| limits::too_large("outcome", why))?;
        self.judged.insert(of.to_u64());
        self.taking(of.run())?.row.committed += 1;
        self.commit_if_due()?;
        Ok(true)
    }

    /// Keeps the new ones of `values`; returns the number of those that are older than the current
    /// ones.
    fn leave_out_known(
        &self,
        order: Order,
        of: InferenceId,
        time: Option<i64>,
        values: &mut Vec<OutcomeValue>,
    ) -> Result<u64> {
        // Of each value: the time of the one that holds, and whether it is the same.
        let mut holding: Vec<Option<(i64, bool)>> = vec![None; values.len()];
        let mut recorded = vec![false; values.len()];
        let unopened = Unopened::Refused;
        self.source
            .outcomes(&[of.to_u64()], u64::MAX, unopened, |known| {
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
