//! Every outcome of a decision, as `export` writes them beside what holds.

use annals::entry::{OutcomeEntry, RecordedOutcome};
use annals::import::PastOutcome;
use annals::{InferenceId, Outcome, Timestamp};

use super::line::{JsonNumber, LineOutcomes};
use super::{JsonlImport, LineTrouble};

/// The outcome of an entry, as it was attached.
fn attached(entry: &OutcomeEntry) -> Outcome<'_> {
    let mut outcome = Outcome::new().at(entry.time);
    if let Some(reward) = entry.reward {
        outcome = outcome.reward(reward);
    }
    if let Some(correct) = entry.correct {
        outcome = outcome.correct(correct);
    }
    if let Some(label) = &entry.label {
        outcome = outcome.label(label);
    }
    let values = entry.values.iter();
    values.fold(outcome, |outcome, (name, value)| {
        outcome.value(name, *value)
    })
}

/// Whether all current values are in the history: the file may have been changed. `time` reads the
/// time of a value; without one, any time will do.
pub fn agrees(
    turned: &LineOutcomes,
    history: &[RecordedOutcome],
    time: impl Fn(&str) -> Result<Option<Timestamp>, String>,
) -> bool {
    let has = |name: &str, is_said: &dyn Fn(&OutcomeEntry) -> bool| {
        let Ok(time) = time(name) else { return false };
        let mut history = history.iter().map(|past| &past.outcome);
        history.any(|past| time.is_none_or(|time| past.time == time) && is_said(past))
    };
    let is_same = |one: &JsonNumber, other: Option<f64>| {
        let bits = one.value().ok().map(f64::to_bits);
        other.is_some_and(|other| bits == Some(other.to_bits()))
    };
    let reward = turned.reward.as_ref();
    let label = turned.label.as_deref();
    let mut values = turned.values.iter();
    reward.is_none_or(|reward| has("reward", &|past| is_same(reward, past.reward)))
        && (turned.correct.is_none() || has("correct", &|past| past.correct == turned.correct))
        && (label.is_none() || has("label", &|past| past.label.as_deref() == label))
        && values.all(|(name, value)| {
            let Some(value) = value else {
                return true;
            };
            has(&format!("values.{name}"), &|past| {
                let mut values = past.values.iter();
                let known = values.find(|(known, _)| &**known == name);
                is_same(value, known.map(|(_, value)| *value))
            })
        })
}

impl JsonlImport {
    /// The outcomes of a line, of the inference `there`, as they are taken in.
    pub(super) fn history<'l>(
        &mut self,
        journal: &str,
        there: InferenceId,
        history: &'l [RecordedOutcome],
    ) -> Result<Vec<PastOutcome<'l>>, LineTrouble> {
        let mut all = Vec::with_capacity(history.len());
        for past in history {
            let of = past.outcome.of;
            if of != there {
                return Err(format!("an outcome of {of}").into());
            }
            all.push(PastOutcome {
                outcome: attached(&past.outcome),
                recorded_time: past.recorded_time,
                recorded_by: self.run(journal, past.outcome.run.get())?,
            });
        }
        Ok(all)
    }
}
