//! Outcomes of decisions, added up so that a replaced outcome can be subtracted.

use super::bytes::{ByteReader, put, put_wide};
use super::errors::ErrorSums;
use super::fixed::units;
use super::reals::{Reals, Sign, change};
use crate::engine::format::row::NameId;
use crate::outcomes::current::CurrentValues;

type Result<T> = std::result::Result<T, String>;

/// Bins of confidence, equally wide: (0, 0.1], … (0.9, 1]; 0 itself belongs to the first.
pub(crate) const BINS: usize = 10;

/// The current outcome of one decision, as far as statistics need it.
pub(crate) type Current = CurrentValues<NameId, (), ()>;

/// Outcomes of the decisions of one cell.
///
/// Counts wrap: a stored row's share may be subtracted before that row is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OutcomeSums {
    /// Decisions with an outcome.
    pub(crate) attached: u64,
    pub(crate) correct: u64,
    pub(crate) wrong: u64,
    pub(crate) rewards: Reals,
    /// Rewards above zero.
    pub(crate) wins: u64,
    /// Rewards and named values that are no finite numbers.
    pub(crate) invalid: u64,
    /// Decisions with a valid confidence that turned out correct or wrong.
    pub(crate) scored: u64,
    /// Of those, the sum of (confidence − 1 or 0)², each rounded to units.
    pub(crate) brier: u128,
    pub(crate) bins: [Bin; BINS],
    /// By name. Invariant O1: sorted.
    pub(crate) named: Vec<(NameId, Reals)>,
    /// Of predictions, by the name of the actual. Invariant O2: sorted.
    pub(crate) predictions: Vec<(NameId, ErrorSums)>,
}

/// The predictions of one decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Predictions {
    /// By the name of the actual.
    pub(crate) values: Vec<(NameId, f64)>,
    /// The name of the actual of a decision's only prediction; none if nothing has it.
    pub(crate) unnamed: NameId,
}

impl Predictions {
    /// Each with the actual that holds, if there is one.
    fn with_actuals(&self, current: &Current) -> impl Iterator<Item = (NameId, f64, f64)> {
        let actual = |name: NameId| {
            let place = current.named.binary_search_by(|known| known.0.cmp(&name));
            place
                .ok()
                .and_then(|place| current.named.get(place))
                .map(|known| known.1)
        };
        self.values.iter().filter_map(move |(name, predicted)| {
            let unnamed = || actual(self.unnamed).filter(|_| self.values.len() == 1);
            let actual = actual(*name).or_else(unnamed)?;
            Some((*name, *predicted, actual))
        })
    }
}

/// Outcomes of decisions of about the same confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bin {
    pub(crate) count: u64,
    pub(crate) correct: u64,
    /// Sum of the confidences in units.
    pub(crate) confidence: u128,
}

fn change_sum(sum: &mut u128, by: u64, sign: Sign) {
    *sum = match sign {
        Sign::Plus => sum.wrapping_add(by.into()),
        Sign::Minus => sum.wrapping_sub(by.into()),
    };
}

/// The bin of a confidence from 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 10"
)]
pub(crate) fn bin_of(confidence: f32) -> usize {
    let above = (f64::from(confidence) * BINS as f64).ceil() as usize;
    // A bin holds its upper end; 0 has none below it.
    above.saturating_sub(1).min(BINS - 1)
}

impl OutcomeSums {
    /// Adds or takes away what holds for a decision with this `confidence`, if it has a valid one,
    /// and these predictions.
    pub(crate) fn change(
        &mut self,
        current: &Current,
        confidence: Option<f32>,
        predictions: &Predictions,
        sign: Sign,
    ) {
        if current.is_empty() {
            return;
        }
        for (name, predicted, actual) in predictions.with_actuals(current) {
            self.prediction(name).change(predicted, actual, sign);
        }
        change(&mut self.attached, sign);
        match current.reward {
            // NaN and infinities would spoil the sum for ever.
            Some((reward, ())) if reward.is_finite() => {
                self.rewards.change(reward, sign);
                if reward > 0.0 {
                    change(&mut self.wins, sign);
                }
            }
            Some(_) => change(&mut self.invalid, sign),
            None => {}
        }
        for (name, value, ()) in &current.named {
            if value.is_finite() {
                self.named(*name).change(*value, sign);
            } else {
                change(&mut self.invalid, sign);
            }
        }
        let Some((correct, ())) = current.correct else {
            return;
        };
        change(
            if correct {
                &mut self.correct
            } else {
                &mut self.wrong
            },
            sign,
        );
        let Some(confidence) = confidence else { return };
        change(&mut self.scored, sign);
        let exact = f64::from(confidence);
        let error = exact - if correct { 1.0 } else { 0.0 };
        change_sum(&mut self.brier, units(error * error), sign);
        let bin = &mut self.bins[bin_of(confidence)];
        change(&mut bin.count, sign);
        change_sum(&mut bin.confidence, units(exact), sign);
        if correct {
            change(&mut bin.correct, sign);
        }
    }

    fn named(&mut self, name: NameId) -> &mut Reals {
        let place = self.named.binary_search_by_key(&name, |named| named.0);
        let index = place.unwrap_or_else(|index| {
            self.named.insert(index, (name, Reals::default()));
            index
        });
        &mut self.named[index].1
    }

    fn prediction(&mut self, name: NameId) -> &mut ErrorSums {
        let place = self
            .predictions
            .binary_search_by_key(&name, |known| known.0);
        let index = place.unwrap_or_else(|index| {
            self.predictions.insert(index, (name, ErrorSums::default()));
            index
        });
        &mut self.predictions[index].1
    }

    pub(crate) fn merge(&mut self, other: &OutcomeSums) {
        for (count, more) in [
            (&mut self.attached, other.attached),
            (&mut self.correct, other.correct),
            (&mut self.wrong, other.wrong),
            (&mut self.wins, other.wins),
            (&mut self.invalid, other.invalid),
            (&mut self.scored, other.scored),
        ] {
            *count = count.wrapping_add(more);
        }
        self.rewards.merge(&other.rewards);
        self.brier = self.brier.wrapping_add(other.brier);
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.count = bin.count.wrapping_add(more.count);
            bin.correct = bin.correct.wrapping_add(more.correct);
            bin.confidence = bin.confidence.wrapping_add(more.confidence);
        }
        for (name, reals) in &other.named {
            self.named(*name).merge(reals);
        }
        for (name, errors) in &other.predictions {
            self.prediction(*name).merge(errors);
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for count in [
            self.attached,
            self.correct,
            self.wrong,
            self.wins,
            self.invalid,
        ] {
            put(count, out);
        }
        self.rewards.encode(out);
        put(self.scored, out);
        if self.scored != 0 {
            put_wide(self.brier, out);
            for bin in &self.bins {
                put(bin.count, out);
                if bin.count != 0 {
                    put(bin.correct, out);
                    put_wide(bin.confidence, out);
                }
            }
        }
        // Names whose values were all replaced leave nothing.
        let named = self.named.iter().filter(|(_, reals)| !reals.is_zero());
        put(named.clone().count() as u64, out);
        for (name, reals) in named {
            put((*name).into(), out);
            reals.encode(out);
        }
        let predictions = self
            .predictions
            .iter()
            .filter(|(_, errors)| !errors.is_zero());
        put(predictions.clone().count() as u64, out);
        for (name, errors) in predictions {
            put((*name).into(), out);
            errors.encode(out);
        }
    }

    pub(super) fn decode(bytes: &mut ByteReader<'_>) -> Result<Self> {
        let mut outcomes = OutcomeSums {
            attached: bytes.number()?,
            correct: bytes.number()?,
            wrong: bytes.number()?,
            wins: bytes.number()?,
            invalid: bytes.number()?,
            rewards: Reals::decode(bytes)?,
            scored: bytes.number()?,
            ..OutcomeSums::default()
        };
        if outcomes.scored != 0 {
            outcomes.brier = bytes.wide()?;
            for bin in &mut outcomes.bins {
                bin.count = bytes.number()?;
                if bin.count != 0 {
                    (bin.correct, bin.confidence) = (bytes.number()?, bytes.wide()?);
                }
            }
        }
        for _named in 0..bytes.count()? {
            let name: NameId = bytes.small()?;
            // O1: `named` searches by halves.
            if outcomes.named.last().is_some_and(|last| last.0 >= name) {
                return Err(format!("value {name} is out of order"));
            }
            outcomes.named.push((name, Reals::decode(bytes)?));
        }
        for _prediction in 0..bytes.count()? {
            let name: NameId = bytes.small()?;
            // O2: `prediction` searches by halves.
            if outcomes
                .predictions
                .last()
                .is_some_and(|last| last.0 >= name)
            {
                return Err(format!("prediction {name} is out of order"));
            }
            outcomes.predictions.push((name, ErrorSums::decode(bytes)?));
        }
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn current() -> impl Strategy<Value = Current> {
        let value = prop_oneof![
            -10.0..10.0_f64,
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(1e300)
        ];
        let named =
            prop::collection::btree_map((1_u32..4).prop_map(NameId::new), value.clone(), 0..3);
        let values = (
            prop::option::of(value),
            prop::option::of(any::<bool>()),
            any::<bool>(),
        );
        (values, named).prop_map(|((reward, correct, label), named)| Current {
            reward: reward.map(|reward| (reward, ())),
            correct: correct.map(|correct| (correct, ())),
            label: label.then_some(((), ())),
            named: named
                .into_iter()
                .map(|(name, value)| (name, value, ()))
                .collect(),
        })
    }

    type Decision = (Current, Option<f32>, Predictions);

    fn decision() -> impl Strategy<Value = Decision> {
        let value = prop_oneof![-10.0..10.0_f64, Just(f64::NAN), Just(1e300)];
        let values = prop::collection::btree_map((1_u32..4).prop_map(NameId::new), value, 0..3);
        let predictions = values.prop_map(|values| Predictions {
            values: values.into_iter().collect(),
            unnamed: NameId::new(3),
        });
        (current(), prop::option::of(0.0..=1.0_f32), predictions)
    }

    proptest! {
        #[test]
        fn what_is_replaced_was_never_there(
            kept in prop::collection::vec(decision(), 0..20),
            replaced in prop::collection::vec(decision(), 0..20),
        ) {
            let change = |sums: &mut OutcomeSums, decisions: &[Decision], sign: Sign| {
                for (current, confidence, predictions) in decisions {
                    sums.change(current, *confidence, predictions, sign);
                }
            };
            let mut expected = OutcomeSums::default();
            change(&mut expected, &kept, Sign::Plus);
            // Subtracted before it is there, as by a fold that has not read the row yet.
            let (mut found, mut stored) = (OutcomeSums::default(), OutcomeSums::default());
            change(&mut found, &replaced, Sign::Minus);
            change(&mut found, &kept, Sign::Plus);
            change(&mut stored, &replaced, Sign::Plus);
            stored.merge(&found);
            let bytes = |outcomes: &OutcomeSums| {
                let mut out = Vec::new();
                outcomes.encode(&mut out);
                out
            };
            prop_assert_eq!(bytes(&stored), bytes(&expected));
            let bytes = bytes(&stored);
            let mut reader = ByteReader::new(&bytes);
            let read = OutcomeSums::decode(&mut reader).unwrap();
            prop_assert_eq!(reader.end(), Ok(()));
            expected.named.retain(|(_, reals)| !reals.is_zero());
            expected.predictions.retain(|(_, errors)| !errors.is_zero());
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn bins_are_those_of_ten_equal_parts() {
        for (confidence, bin) in [(0.0, 0), (0.1, 1), (0.05, 0), (0.5, 4), (0.95, 9), (1.0, 9)] {
            assert_eq!(bin_of(confidence), bin, "{confidence}");
        }
    }
}
