//! Whether two statistics describe the same behaviour: effect sizes, and their meaning in words.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::outcomes::known;
use super::result::{ActionCount, Confidence, ProcessingTime, Stats};

/// Distance of a model's behaviour in one statistic from that in another; from
/// [`Reader::compare`](crate::Reader::compare) and [`Drift::between`]. It prints itself in words.
///
/// Effect sizes show how much changed, not whether that could be chance: where it easily could, the
/// verdict is [`Shift::TooFew`]. Decisions of one loop are seldom independent of each other, so
/// chance does more than the numbers here assume.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Drift {
    /// Decisions before and after, repeats included.
    pub decisions: (u64, u64),
    /// Decided actions.
    pub actions: ActionDrift,
    /// How sure the model was.
    pub confidence: ConfidenceDrift,
    /// Duration.
    pub latency: LatencyDrift,
}

/// How much something changed, in a word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
pub enum Shift {
    /// There are too few decisions for a verdict.
    TooFew,
    /// Nothing worth speaking of.
    Negligible,
    /// A little.
    Small,
    /// Enough to look into.
    Medium,
    /// So much that earlier results tell little about the present.
    Large,
}

impl Shift {
    /// The shift in lower case.
    ///
    /// ```
    /// use annals::stats::Shift;
    ///
    /// assert_eq!(Shift::Large.as_str(), "large");
    /// assert!(Shift::Small < Shift::Large); // an alarm compares
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Shift::TooFew => "too few to tell",
            Shift::Negligible => "negligible",
            Shift::Small => "small",
            Shift::Medium => "medium",
            Shift::Large => "large",
        }
    }

    /// The shift of an effect of this size; the limits are where small, medium and large begin.
    fn of(size: f64, limits: [f64; 3]) -> Shift {
        let [small, medium, large] = limits;
        match size {
            size if size >= large => Shift::Large,
            size if size >= medium => Shift::Medium,
            size if size >= small => Shift::Small,
            size if size.is_nan() => Shift::TooFew,
            _ => Shift::Negligible,
        }
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the mix of actions changed, repeats included; part of [`Drift`].
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ActionDrift {
    /// The population stability index. Shares are estimated with half a decision added to each
    /// action (Krichevsky and Trofimov, *The performance of universal encoding*, 1981). Without it,
    /// an action that was never decided would make it infinite.
    pub stability_index: Option<f64>,
    /// Its expected value without a difference, by chance alone: (actions − 1) · (1/before +
    /// 1/after) (Yurdakul and Naranjo, *Statistical properties of the population stability index*,
    /// 2020).
    pub by_chance: Option<f64>,
    /// The Jensen–Shannon divergence in bits, 0 to 1 (Lin, *Divergence measures based on the
    /// Shannon entropy*, 1991).
    pub divergence: Option<f64>,
    /// Of the stability index: up to 0.1 negligible, from 0.25 large, medium between them
    /// (Siddiqi, *Credit risk scorecards*, 2006); too few if chance alone would make it 0.05.
    pub shift: Shift,
    /// Each action's share before and after, the greatest change first.
    pub shares: Vec<ActionShift>,
}

/// An action's share of the decisions; part of [`ActionDrift`].
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ActionShift {
    /// The action.
    pub action: Arc<str>,
    /// Its share before; `None` if nothing was decided.
    pub before: Option<f64>,
    /// Its share after; `None` if nothing was decided.
    pub after: Option<f64>,
}

/// How confidences changed; part of [`Drift`].
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ConfidenceDrift {
    /// The means before and after.
    pub means: (Option<f64>, Option<f64>),
    /// The difference of the means in pooled standard deviations, positive if the model became
    /// surer: Cohen's *d* (*Statistical power analysis for the behavioral sciences*, 1988).
    pub standardised: Option<f64>,
    /// The standard error of it (Hedges and Olkin, *Statistical methods for meta-analysis*, 1985).
    pub standard_error: Option<f64>,
    /// Of the size of the standardised difference: small from 0.2, medium from 0.5, large from 0.8
    /// (Cohen, 1988). Too few if the standard error of no difference at all would be more than 0.1,
    /// which takes some 200 confidences on each side.
    pub shift: Shift,
}

/// How processing times changed; part of [`Drift`].
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct LatencyDrift {
    /// The median after, divided by the one before; `None` if a time is not known.
    pub median_ratio: Option<f64>,
    /// The same of the time that 90 of 100 did not exceed.
    pub p90_ratio: Option<f64>,
    /// The same of the time that 99 of 100 did not exceed.
    pub p99_ratio: Option<f64>,
    /// Of the median's ratio, whichever way: small from 1.1, medium from 1.25, large from 2. There
    /// is no scale that the field agrees on; this one is ours. Ratios are within 1.6 % of those of
    /// the times themselves. Too few if there are fewer than 30 times on either side.
    pub shift: Shift,
}

const INDEX_LIMITS: [f64; 3] = [0.1, 0.1, 0.25];
const MOST_BY_CHANCE: f64 = 0.05;
const DIFFERENCE_LIMITS: [f64; 3] = [0.2, 0.5, 0.8];
const MOST_ERROR: f64 = 0.1;
const RATIO_LIMITS: [f64; 3] = [1.1, 1.25, 2.0];
const FEWEST_TIMES: u64 = 30;

impl Drift {
    /// The difference between `before` and `after`. Two windows of one model, or two models,
    /// symbols or checkpoints in one window. Nothing is read; a microsecond or so.
    ///
    /// # Source
    /// The fields of [`ActionDrift`] and [`ConfidenceDrift`] name theirs. The limits of
    /// [`LatencyDrift::shift`] are our own.
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use annals::stats::{Drift, Shift};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// for number in 0..400 {
    ///     let (model, action) = if number < 200 { ("old", "BUY") } else { ("new", "SELL") };
    ///     journal.log(Inference::new(model, "ETH/USDT", action).confidence(0.5));
    /// }
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let drift = Drift::between(&journal.stats("old").get()?, &journal.stats("new").get()?);
    /// assert_eq!(drift.actions.shift, Shift::Large);
    /// assert_eq!(drift.actions.divergence, Some(1.0));
    /// assert_eq!(drift.confidence.shift, Shift::Negligible);
    /// println!("{drift}");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn between(before: &Stats, after: &Stats) -> Drift {
        Drift {
            decisions: (before.count, after.count),
            actions: ActionDrift::between(&before.actions, &after.actions),
            confidence: ConfidenceDrift::between(&before.confidence, &after.confidence),
            latency: LatencyDrift::between(&before.processing_time, &after.processing_time),
        }
    }
}

impl ActionDrift {
    fn between(before: &[ActionCount], after: &[ActionCount]) -> Self {
        let mut counts: Vec<(Arc<str>, [u64; 2])> = Vec::new();
        for (side, actions) in [before, after].into_iter().enumerate() {
            for action in actions {
                let known = counts.iter().position(|count| count.0 == action.action);
                let place = known.unwrap_or_else(|| {
                    counts.push((action.action.clone(), [0; 2]));
                    counts.len() - 1
                });
                let count = &mut counts[place].1[side];
                *count = count.saturating_add(action.recorded.saturating_add(action.repeats));
            }
        }
        let total = |side: usize| {
            let counts = counts.iter().map(|count| count.1[side]);
            counts.fold(0, u64::saturating_add) as f64
        };
        let totals = [total(0), total(1)];
        let kinds = counts.len() as f64;
        let (mut index, mut divergence) = (0.0, 0.0);
        for (_, count) in &counts {
            // Half a decision more for each action: one that is new or gone would make the
            // logarithm infinite.
            let smooth = |side: usize| (count[side] as f64 + 0.5) / (totals[side] + kinds / 2.0);
            let share = |side: usize| count[side] as f64 / totals[side];
            index += (smooth(1) - smooth(0)) * (smooth(1) / smooth(0)).ln();
            let middle = f64::midpoint(share(0), share(1));
            divergence += (surprise(share(0), middle) + surprise(share(1), middle)) / 2.0;
        }
        // The index that two samples of one behaviour have on average.
        let by_chance = (kinds - 1.0).max(0.0) * (1.0 / totals[0] + 1.0 / totals[1]);
        let empty = totals[0] == 0.0 || totals[1] == 0.0;
        let mut shares: Vec<ActionShift> = counts
            .into_iter()
            .map(|(action, count)| ActionShift {
                action,
                before: known(count[0] as f64 / totals[0]),
                after: known(count[1] as f64 / totals[1]),
            })
            .collect();
        let change = |shift: &ActionShift| {
            let both = shift.before.zip(shift.after);
            both.map_or(f64::NAN, |(before, after)| (after - before).abs())
        };
        shares.sort_by(|one, other| change(other).total_cmp(&change(one)));
        ActionDrift {
            stability_index: (!empty).then_some(index),
            by_chance: (!empty).then_some(by_chance),
            divergence: (!empty).then(|| divergence.clamp(0.0, 1.0)),
            shift: if empty || by_chance >= MOST_BY_CHANCE {
                Shift::TooFew
            } else {
                Shift::of(index, INDEX_LIMITS)
            },
            shares,
        }
    }
}

/// Contribution of a share to the divergence of its distribution from the one in the middle.
fn surprise(share: f64, middle: f64) -> f64 {
    if share > 0.0 {
        share * (share / middle).log2()
    } else {
        0.0
    }
}

impl ConfidenceDrift {
    fn between(before: &Confidence, after: &Confidence) -> Self {
        let (many, more) = (before.count as f64, after.count as f64);
        let figure = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let (mean, later_mean) = (figure(before.mean), figure(after.mean));
        let squares =
            (many - 1.0) * figure(before.variance) + (more - 1.0) * figure(after.variance);
        let deviation = (squares / (many + more - 2.0)).max(0.0).sqrt();
        let difference = later_mean - mean;
        // Means of equal confidences may differ in their last bit.
        let noise = mean.abs().max(later_mean.abs()) * 1e-9;
        let standardised = if difference.abs() <= noise {
            0.0
        } else {
            difference / deviation
        };
        let about = (many + more) / (many * more);
        let standard_error = (about + standardised.powi(2) / (2.0 * (many + more))).sqrt();
        ConfidenceDrift {
            means: (before.mean, after.mean),
            standardised: known(standardised),
            standard_error: known(standard_error),
            // The error grows with the difference, so only its part that does not is bounded: a
            // large difference is known as well as a small one, relative to its size.
            shift: if about.sqrt() <= MOST_ERROR {
                Shift::of(standardised.abs(), DIFFERENCE_LIMITS)
            } else {
                Shift::TooFew
            },
        }
    }
}

impl LatencyDrift {
    fn between(before: &ProcessingTime, after: &ProcessingTime) -> Self {
        let ratio = |quantile: f64| {
            let times = before.quantile(quantile).zip(after.quantile(quantile));
            times.map_or(f64::NAN, |(before, after)| {
                match (before.as_nanos(), after.as_nanos()) {
                    // Two times below the clock's resolution are equal, and 0 / 0 is no ratio.
                    (0, 0) => 1.0,
                    _ => after.as_secs_f64() / before.as_secs_f64(),
                }
            })
        };
        let median_ratio = ratio(0.5);
        LatencyDrift {
            median_ratio: known(median_ratio),
            p90_ratio: known(ratio(0.9)),
            p99_ratio: known(ratio(0.99)),
            shift: if before.count.min(after.count) < FEWEST_TIMES {
                Shift::TooFew
            } else {
                // Twice as fast is as large a shift as twice as slow.
                Shift::of(median_ratio.max(1.0 / median_ratio), RATIO_LIMITS)
            },
        }
    }
}

/// A figure that is not known is printed as NaN.
fn shown(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

/// Four lines: how many decisions, actions, confidence, latency.
impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.decisions;
        writeln!(f, "{before} decisions before, {after} after")?;
        let actions = &self.actions;
        write!(
            f,
            "actions: {} (stability index {:.3}, divergence {:.3} bits)",
            actions.shift,
            shown(actions.stability_index),
            shown(actions.divergence)
        )?;
        if let Some(most) = actions.shares.first() {
            let (before, after) = (100.0 * shown(most.before), 100.0 * shown(most.after));
            write!(
                f,
                ", most of all {} {before:.1} → {after:.1} %",
                most.action
            )?;
        }
        let confidence = &self.confidence;
        writeln!(
            f,
            "\nconfidence: {} ({:+.2} standard deviations, {:.3} → {:.3})",
            confidence.shift,
            shown(confidence.standardised),
            shown(confidence.means.0),
            shown(confidence.means.1)
        )?;
        let latency = &self.latency;
        write!(
            f,
            "latency: {} (median × {:.2}, p99 × {:.2})",
            latency.shift,
            shown(latency.median_ratio),
            shown(latency.p99_ratio)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rollup::fixed::Confidences;

    fn confidence(values: &[(f32, u32)]) -> Confidence {
        let mut sums = Confidences::default();
        for (value, times) in values {
            (0..*times).for_each(|_| sums.add(*value));
        }
        Confidence::new(&sums)
    }

    fn shift(before: &[(f32, u32)], after: &[(f32, u32)]) -> Shift {
        ConfidenceDrift::between(&confidence(before), &confidence(after)).shift
    }

    /// Cohen's d by the book: means and deviations in two passes over the values.
    fn by_the_book(before: &[f32], after: &[f32]) -> f64 {
        let mean = |values: &[f32]| {
            values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
        };
        let around = |values: &[f32]| {
            let middle = mean(values);
            let squares = values
                .iter()
                .map(|value| (f64::from(*value) - middle).powi(2));
            squares.sum::<f64>()
        };
        let freedom = (before.len() + after.len() - 2) as f64;
        let difference = mean(after) - mean(before);
        match difference.abs() < 1e-9 {
            true => 0.0,
            false => difference / ((around(before) + around(after)) / freedom).sqrt(),
        }
    }

    /// Every shape beside every other one and itself, in samples of 2 to 2,000.
    #[test]
    fn verdicts_are_those_of_the_book_whatever_the_shape() {
        type Shape = fn(f32) -> f32;
        // Each gives the value below which a share of the confidences lies.
        let shapes: [(&str, Shape); 12] = [
            ("constant", |_| 0.9),
            ("another constant", |_| 0.1),
            ("zero", |_| 0.0),
            ("one", |_| 1.0),
            ("uniform", |share| share),
            ("narrow", |share| 0.7 + share / 100.0),
            ("nearly constant", |share| 0.9 + share / 2_000.0),
            ("two points", |share| if share < 0.5 { 0.2 } else { 0.8 }),
            ("rare", |share| if share < 0.999 { 0.5 } else { 1.0 }),
            ("skewed", |share| share * share * share),
            ("sure", |share| 1.0 - share.powi(8)),
            ("ends", |share| if share < 0.3 { 0.0 } else { 1.0 }),
        ];
        for (one, before) in &shapes {
            for (other, after) in &shapes {
                for (many, more) in [(2, 2), (50, 50), (199, 201), (400, 400), (2_000, 150)] {
                    let sample = |shape: &Shape, count: u16| -> Vec<f32> {
                        let share = |index: u16| (f32::from(index) + 0.5) / f32::from(count);
                        (0..count).map(|index| shape(share(index))).collect()
                    };
                    let (before, after) = (sample(before, many), sample(after, more));
                    let sums = |values: &[f32]| {
                        let mut sums = Confidences::default();
                        values.iter().for_each(|value| sums.add(*value));
                        Confidence::new(&sums)
                    };
                    let drift = ConfidenceDrift::between(&sums(&before), &sums(&after));
                    let what = format!("{one} {many}, {other} {more}: {drift:?}");
                    let standardised = shown(drift.standardised);
                    let book = by_the_book(&before, &after);
                    let error = 1.0 / f64::from(many) + 1.0 / f64::from(more);
                    if error.sqrt() > 0.1 {
                        assert_eq!(drift.shift, Shift::TooFew, "{what}");
                        continue;
                    }
                    let near = (standardised - book).abs() <= 1e-3 * book.abs().max(1e-3);
                    let same = standardised.is_infinite() && book.abs() > 1e6;
                    assert!(near || same || standardised == book, "{what}: {book}");
                    let is_open = DIFFERENCE_LIMITS
                        .iter()
                        .any(|limit| (book.abs() - limit).abs() < 1e-3);
                    let expected = Shift::of(book.abs(), DIFFERENCE_LIMITS);
                    assert!(is_open || drift.shift == expected, "{what}: {book}");
                }
            }
        }
    }

    #[test]
    fn a_shift_is_judged_by_its_relative_error() {
        assert_eq!(shift(&[(0.9, 10_000)], &[(0.1, 10_000)]), Shift::Large);
        assert_eq!(shift(&[(0.5, 10_000)], &[(0.25, 10_000)]), Shift::Large);
        assert_eq!(shift(&[(0.9, 10_000)], &[(0.9, 9_999)]), Shift::Negligible);
        // One that differs in 10,000 makes a tiny deviation, not an unknown one.
        let nearly = [(0.9, 9_999), (0.900_001, 1)];
        assert_eq!(shift(&nearly, &[(0.1, 10_000)]), Shift::Large);
        // Three deviations, with 400 confidences on each side.
        let (low, high) = ([(0.52, 200), (0.58, 200)], [(0.61, 200), (0.67, 200)]);
        assert_eq!(shift(&low, &high), Shift::Large);
        let (low, high) = ([(0.52, 20), (0.58, 20)], [(0.61, 20), (0.67, 20)]);
        assert_eq!(shift(&low, &high), Shift::TooFew);
        for few in [&[][..], &[(0.9, 1)][..], &[(0.9, 2)][..]] {
            assert_eq!(shift(few, &[(0.1, 10_000)]), Shift::TooFew);
        }
        let wide = [(0.0, 5_000), (1.0, 5_000)];
        assert_eq!(shift(&wide, &wide), Shift::Negligible);
        let moved = [(0.0, 4_000), (1.0, 6_000)];
        assert_eq!(shift(&wide, &moved), Shift::Small);
    }
}
