//! What turned out, each value once.

use std::ops::ControlFlow;

use super::{Importer, limits};
use crate::error::Result;
use crate::format::name::NameKind;
use crate::format::row::{Note, OutcomeRow, OutcomeValue};
use crate::ids::InferenceId;
use crate::outcome::Outcome;
use crate::timestamp::Timestamp;

impl Importer {
    /// Adds what turned out for the inference `of`, which has to be of a [`source`](Self::source)'s
    /// run, less what is recorded already with the same time; `false` if that is all of it.
    /// Right behind its new inference as cheap as that; otherwise it costs a look-up.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_outcome(&mut self, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        limits::check_outcome(outcome)?;
        self.taking(of.run())?;
        let now = self.recorded_micros();
        let time = outcome.time.map_or(now, Timestamp::as_micros);
        let mut values = self.stored_values(outcome)?;
        if self.fresh.take() != Some(of.to_u64()) {
            if self.judged.contains(&of.to_u64()) {
                self.commit()?;
            }
            self.source.outcomes(&[of.to_u64()], u64::MAX, |known| {
                if known.row.time == time {
                    values.retain(|value| !known.row.values.iter().any(|k| k.is_same(value)));
                }
                ControlFlow::Continue(())
            })?;
        }
        if values.is_empty() {
            return Ok(false);
        }
        let row = OutcomeRow {
            run: of.run().get(),
            of: of.to_u64(),
            time,
            values,
        };
        let encoded = self.encoder.note(now, &Note::Outcome(row));
        encoded.map_err(|why| limits::too_large("outcome", why))?;
        self.judged.insert(of.to_u64());
        self.taking(of.run())?.row.committed += 1;
        self.commit_if_due()?;
        Ok(true)
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
            let mut written = None;
            let id = self.stored_name(NameKind::OutcomeName, name, &mut written)?;
            values.push(match written {
                Some(name) => OutcomeValue::Written(name, *value),
                None => OutcomeValue::Named(id, *value),
            });
        }
        Ok(values)
    }
}
