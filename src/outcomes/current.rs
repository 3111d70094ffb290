//! Which value of an outcome holds: under each name the newest.

use std::sync::Arc;

use crate::entry::ids::InferenceId;
use crate::entry::outcome::{Latest, Outcomes, RecordedOutcome};
use crate::entry::timestamp::Timestamp;

/// The current outcome of one decision. Reads and statistics share this rule: under each name the
/// value of the newest outcome holds, and the names that an outcome does not mention stay as they
/// are.
///
/// Names are `N`, labels `L`. `E` says which entry a value is from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CurrentValues<N, L, E> {
    pub(crate) reward: Option<(f64, E)>,
    pub(crate) correct: Option<(bool, E)>,
    pub(crate) label: Option<(L, E)>,
    /// Sorted by name, none twice.
    pub(crate) named: Vec<(N, f64, E)>,
}

/// With the time and the sequence of each value's entry.
pub(crate) type CurrentForReaders = CurrentValues<Arc<str>, Arc<str>, (Timestamp, u64)>;

/// One value of an outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NewValue<N, L> {
    Reward(f64),
    Correct(bool),
    Label(L),
    Named(N, f64),
}

impl<N, L, E> Default for CurrentValues<N, L, E> {
    fn default() -> Self {
        CurrentValues {
            reward: None,
            correct: None,
            label: None,
            named: Vec::new(),
        }
    }
}

impl<N: Ord, L, E> CurrentValues<N, L, E> {
    /// Takes `value` over unless its name has one. So outcomes are offered newest first, which is
    /// the order in which they are read; if one repeats a name, its first value holds.
    pub(crate) fn offer(&mut self, value: NewValue<N, L>, entry: E) {
        match value {
            NewValue::Reward(reward) => {
                self.reward.get_or_insert((reward, entry));
            }
            NewValue::Correct(correct) => {
                self.correct.get_or_insert((correct, entry));
            }
            NewValue::Label(label) => {
                self.label.get_or_insert((label, entry));
            }
            NewValue::Named(name, value) => {
                let place = self.named.binary_search_by(|known| known.0.cmp(&name));
                if let Err(place) = place {
                    self.named.insert(place, (name, value, entry));
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reward.is_none()
            && self.correct.is_none()
            && self.label.is_none()
            && self.named.is_empty()
    }
}

impl Outcomes {
    /// The current values after all outcomes of one inference, oldest first; `None` if there are
    /// none.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome, Outcomes};
    ///
    /// let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(1.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let history = &reader.outcome_history(&[id], reader.end()?)?[0];
    /// assert_eq!(Outcomes::of_history(history), reader.outcome(id)?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn of_history(history: &[RecordedOutcome]) -> Option<Outcomes> {
        let of = history.first()?.outcome.of;
        let mut current = CurrentForReaders::default();
        for past in history.iter().rev() {
            let said = &past.outcome;
            let entry = (said.time, past.sequence);
            let built_in = [
                said.reward.map(NewValue::Reward),
                said.correct.map(NewValue::Correct),
                said.label.clone().map(NewValue::Label),
            ];
            let named = said.values.iter();
            let named = named.map(|(name, value)| NewValue::Named(name.clone(), *value));
            for value in built_in.into_iter().flatten().chain(named) {
                current.offer(value, entry);
            }
        }
        Some(Outcomes::new(of, current))
    }

    pub(crate) fn new(of: InferenceId, current: CurrentForReaders) -> Self {
        fn latest<T>((value, (time, sequence)): (T, (Timestamp, u64))) -> Latest<T> {
            Latest {
                value,
                time,
                sequence,
            }
        }
        let CurrentValues {
            reward,
            correct,
            label,
            named,
        } = current;
        let named = named.into_iter();
        Outcomes {
            of,
            reward: reward.map(latest),
            correct: correct.map(latest),
            label: label.map(latest),
            values: named
                .map(|(name, value, entry)| (name, latest((value, entry))))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type NewValues = Vec<NewValue<u8, char>>;

    fn values() -> impl Strategy<Value = NewValues> {
        let value = prop_oneof![
            (0..9_u8).prop_map(|reward| NewValue::Reward(reward.into())),
            any::<bool>().prop_map(NewValue::Correct),
            any::<char>().prop_map(NewValue::Label),
            (0..4_u8, 0..9_u8).prop_map(|(name, value)| NewValue::Named(name, value.into())),
        ];
        prop::collection::vec(value, 0..6)
    }

    fn name(value: &NewValue<u8, char>) -> String {
        match value {
            NewValue::Reward(_) => "reward".to_owned(),
            NewValue::Correct(_) => "correct".to_owned(),
            NewValue::Label(_) => "label".to_owned(),
            NewValue::Named(name, _) => format!("value {name}"),
        }
    }

    proptest! {
        #[test]
        fn under_each_name_the_newest_value_holds(
            outcomes in prop::collection::vec(values(), 0..8),
        ) {
            let mut current = CurrentValues::default();
            for (sequence, values) in outcomes.iter().enumerate().rev() {
                values.iter().for_each(|value| current.offer(value.clone(), sequence));
            }
            // The other way round: what comes later replaces what was there.
            let mut expected = BTreeMap::new();
            for (sequence, values) in outcomes.iter().enumerate() {
                // Of one outcome the first value of a name.
                for value in values.iter().rev() {
                    expected.insert(name(value), (value.clone(), sequence));
                }
            }
            let is_sorted = current.named.is_sorted_by(|one, next| one.0 < next.0);
            prop_assert!(is_sorted, "{:?}", current);
            prop_assert_eq!(current.is_empty(), expected.is_empty());
            let reward = current.reward.map(|(value, entry)| (NewValue::Reward(value), entry));
            let correct = current.correct.map(|(value, entry)| (NewValue::Correct(value), entry));
            let label = current.label.map(|(value, entry)| (NewValue::Label(value), entry));
            let named = current.named.into_iter();
            let named = named.map(|(name, value, entry)| (NewValue::Named(name, value), entry));
            let found: BTreeMap<String, (NewValue<u8, char>, usize)> = [reward, correct, label]
                .into_iter()
                .flatten()
                .chain(named)
                .map(|held| (name(&held.0), held))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
