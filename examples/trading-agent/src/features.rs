//! The network's view of the market.
//!
//! Look-ahead is a classic mistake here. So features come out of a [`Stream`] that is handed one
//! bar at a time: when it answers for a bar, the later ones have not reached it yet. All sixteen
//! numbers are ratios or relative ranks, which makes them comparable between a share at 4 dollars
//! and one at 700.

use chrono::{DateTime, Utc};

use crate::bars::{Bar, Series};

/// How many numbers describe a bar.
pub const FEATURES: usize = 16;

/// The features of one bar.
pub type Vector = [f32; FEATURES];

/// Their names, in their order.
pub const NAMES: [&str; FEATURES] = [
    "return_1",
    "return_2",
    "return_5",
    "return_10",
    "return_21",
    "return_63",
    "volatility_5",
    "volatility_21",
    "range",
    "gap",
    "rsi",
    "macd",
    "macd_signal",
    "turnover",
    "place_in_21",
    "place_in_bar",
];

/// The agent's actions, in the order of the network's outputs.
pub const ACTIONS: [&str; 3] = ["BUY", "SELL", "HOLD"];

/// Position in the symbol until the next bar, for each action.
pub const POSITIONS: [f64; 3] = [1.0, -1.0, 0.0];

/// A next-bar log return within this distance of zero is not worth a trade and counts as HOLD. At
/// half a percent the three classes of the sample come out at about a third each.
pub const HOLD_BAND: f64 = 0.005;

/// The band that makes a third of the moves up to a time a HOLD. Prices move less within an hour
/// than within a day, and one currency less than one share.
pub fn hold_band(series: &[Series], until: DateTime<Utc>) -> f64 {
    let pairs = series.iter().flat_map(|series| series.bars.windows(2));
    let moves = pairs.filter_map(|pair| match pair {
        [before, after] if after.time <= until => Some((after.close / before.close).ln().abs()),
        _ => None,
    });
    let mut moves: Vec<f64> = moves.collect();
    moves.sort_unstable_by(f64::total_cmp);
    let third = moves.get(moves.len() / 3).copied().unwrap_or(HOLD_BAND);
    // Where a third of the bars do not move at all, those are what HOLD means.
    third.max(1e-9)
}

/// Bars a symbol needs before its first full feature vector: the longest look-back and the bar
/// itself.
pub const WARM_UP: usize = 64;

/// One bar ready to decide on.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Index of the symbol in the input.
    pub symbol: usize,
    /// Time of the bar, the last one the features know of.
    pub time: DateTime<Utc>,
    /// The features.
    pub features: Vector,
    /// The next bar; `None` for a symbol's last bar.
    pub outcome: Option<Outcome>,
}

/// The bar after a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// When it was known. A sample belongs to a period only if this does too.
    pub time: DateTime<Utc>,
    /// Index in [`ACTIONS`] of what would have been right.
    pub action: usize,
    /// Gain of the price until then, as a share of it.
    pub gain: f64,
}

/// The samples of one symbol, oldest first. A move within `band` is a HOLD.
pub fn samples(symbol: usize, series: &Series, band: f64) -> Vec<Sample> {
    let mut stream = Stream::default();
    let next = series.bars.iter().skip(1).map(Some).chain([None]);
    series
        .bars
        .iter()
        .zip(next)
        .filter_map(|(bar, next)| {
            let features = stream.push(bar)?;
            let outcome = next.map(|next| Outcome {
                time: next.time,
                action: label((next.close / bar.close).ln(), band),
                gain: next.close / bar.close - 1.0,
            });
            Some(Sample {
                symbol,
                time: bar.time,
                features,
                outcome,
            })
        })
        .collect()
}

/// The samples by what they may be used for. A sample's outcome lies in the same period as the
/// sample itself; the few that straddle a border are left out of both.
#[derive(Debug, Clone, Default)]
pub struct Periods {
    /// Fitted to, and the source of all statistics.
    pub training: Vec<Sample>,
    /// The last tenth of the training years, which decides when the fit is best.
    pub validation: Vec<Sample>,
    /// The years after, in date order across symbols: one decision each.
    pub walk: Vec<Sample>,
}

impl Periods {
    /// Divides samples at the last time the network may learn from.
    pub fn divide(mut samples: Vec<Sample>, train_until: DateTime<Utc>) -> Self {
        samples.sort_by_key(|sample| (sample.time, sample.symbol));
        let walk = samples.split_off(samples.partition_point(|sample| sample.time <= train_until));
        samples.retain(|sample| {
            sample
                .outcome
                .is_some_and(|outcome| outcome.time <= train_until)
        });
        let Some(border) = samples
            .get(samples.len() * 9 / 10)
            .map(|sample| sample.time)
        else {
            return Self {
                walk,
                ..Self::default()
            };
        };
        let validation = samples.split_off(samples.partition_point(|sample| sample.time < border));
        samples.retain(|sample| sample.outcome.is_some_and(|outcome| outcome.time < border));
        Self {
            training: samples,
            validation,
            walk,
        }
    }
}

/// The action a log return would have rewarded.
pub fn label(log_return: f64, band: f64) -> usize {
    if log_return > band {
        0
    } else if log_return < -band {
        1
    } else {
        2
    }
}

/// Turns bars, handed over oldest first, into feature vectors.
#[derive(Debug, Clone)]
pub struct Stream {
    bars: Vec<Bar>,
    rsi: Rsi,
    fast: Average,
    slow: Average,
    signal: Average,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            bars: Vec::new(),
            rsi: Rsi::new(14),
            fast: Average::over(12),
            slow: Average::over(26),
            signal: Average::over(9),
        }
    }
}

impl Stream {
    /// Takes the next bar and describes it, once [`WARM_UP`] bars have gone by.
    pub fn push(&mut self, bar: &Bar) -> Option<Vector> {
        let gap = self
            .bars
            .last()
            .map_or(0.0, |last| (bar.open / last.close).ln());
        self.bars.push(*bar);
        if self.bars.len() > WARM_UP {
            self.bars.remove(0);
        }
        let rsi = self.rsi.push(bar.close);
        let macd = (self.fast.push(bar.close) - self.slow.push(bar.close)) / bar.close;
        let signal = self.signal.push(macd);
        if self.bars.len() < WARM_UP {
            return None;
        }

        let features: [f64; FEATURES] = [
            self.log_return(1),
            self.log_return(2),
            self.log_return(5),
            self.log_return(10),
            self.log_return(21),
            self.log_return(63),
            self.volatility(5),
            self.volatility(21),
            (bar.high / bar.low).ln(),
            gap,
            rsi.map_or(0.0, |rsi| rsi / 50.0 - 1.0),
            macd,
            macd - signal,
            self.turnover_score(21),
            place(self.last(21), bar.close),
            place(std::slice::from_ref(bar), bar.close),
        ];
        Some(features.map(narrow))
    }

    /// The newest `count` bars.
    fn last(&self, count: usize) -> &[Bar] {
        self.bars
            .get(self.bars.len().saturating_sub(count)..)
            .unwrap_or_default()
    }

    fn log_return(&self, horizon: usize) -> f64 {
        match self.last(horizon + 1) {
            [first, .., last] => (last.close / first.close).ln(),
            _ => 0.0,
        }
    }

    /// Standard deviation of the last `count` one-bar returns.
    fn volatility(&self, count: usize) -> f64 {
        let returns = self.last(count + 1).windows(2).map(|pair| match pair {
            [before, after] => (after.close / before.close).ln(),
            _ => 0.0,
        });
        mean_and_deviation(returns).1
    }

    /// How many standard deviations the newest bar's turnover lies above its recent mean, on a log
    /// scale.
    fn turnover_score(&self, count: usize) -> f64 {
        let turnover = |bar: &Bar| bar.turnover.ln_1p();
        let (mean, deviation) = mean_and_deviation(self.last(count).iter().map(turnover));
        match self.bars.last() {
            Some(bar) if deviation > 1e-9 => (turnover(bar) - mean) / deviation,
            _ => 0.0,
        }
    }
}

/// Where a price lies between the lowest low (0) and the highest high (1) of some bars.
fn place(bars: &[Bar], price: f64) -> f64 {
    let low = bars.iter().map(|bar| bar.low).fold(f64::INFINITY, f64::min);
    let high = bars
        .iter()
        .map(|bar| bar.high)
        .fold(f64::NEG_INFINITY, f64::max);
    if high > low {
        ((price - low) / (high - low)).clamp(0.0, 1.0)
    } else {
        0.5
    }
}

fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// The network calculates in 32 bits, as networks do.
#[expect(
    clippy::cast_possible_truncation,
    reason = "seven digits of a feature are plenty"
)]
pub fn narrow(value: f64) -> f32 {
    value as f32
}

/// An exponential moving average, started at its first value.
#[derive(Debug, Clone)]
struct Average {
    weight: f64,
    value: Option<f64>,
}

impl Average {
    fn over(bars: u32) -> Self {
        Self {
            weight: 2.0 / (f64::from(bars) + 1.0),
            value: None,
        }
    }

    fn push(&mut self, value: f64) -> f64 {
        let average = self
            .value
            .map_or(value, |average| average + self.weight * (value - average));
        self.value = Some(average);
        average
    }
}

/// The relative strength index with Wilder's smoothing: 0 when prices only fell, 100 when they only
/// rose.
#[derive(Debug, Clone)]
struct Rsi {
    period: u32,
    changes: u32,
    last: Option<f64>,
    gain: f64,
    loss: f64,
}

impl Rsi {
    fn new(period: u32) -> Self {
        Self {
            period,
            changes: 0,
            last: None,
            gain: 0.0,
            loss: 0.0,
        }
    }

    /// Takes the next close; answers once there have been `period` changes.
    fn push(&mut self, close: f64) -> Option<f64> {
        let last = self.last.replace(close)?;
        // The first `period` changes are averaged plainly, later ones are smoothed in.
        self.changes = self.period.min(self.changes + 1);
        let weight = 1.0 / f64::from(self.changes);
        let change = close - last;
        self.gain += weight * (change.max(0.0) - self.gain);
        self.loss += weight * ((-change).max(0.0) - self.loss);
        if self.changes < self.period {
            return None;
        }
        let total = self.gain + self.loss;
        Some(if total > 0.0 {
            100.0 * self.gain / total
        } else {
            50.0
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::bars;

    /// The worked example of Wilder's index that charting references print.
    const CLOSES: [f64; 20] = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826,
        45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
    ];

    fn rsi(closes: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut rsi = Rsi::new(14);
        closes
            .into_iter()
            .filter_map(|close| rsi.push(close))
            .collect()
    }

    fn constant(bars: usize) -> Series {
        let bar = |time| Bar {
            time,
            open: 10.0,
            high: 10.0,
            low: 10.0,
            close: 10.0,
            turnover: 0.0,
        };
        Series {
            symbol: "FLAT".into(),
            bars: days().map(bar).take(bars).collect(),
        }
    }

    fn days() -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(Some(DateTime::UNIX_EPOCH), |day| {
            Some(*day + TimeDelta::days(1))
        })
    }

    #[test]
    fn rsi_matches_the_published_example() {
        let found: Vec<String> = rsi(CLOSES)
            .iter()
            .map(|value| format!("{value:.2}"))
            .collect();
        assert_eq!(
            found,
            ["70.53", "66.32", "66.55", "69.41", "66.36", "57.97"]
        );
    }

    #[test]
    fn rsi_at_its_ends() {
        assert_eq!(rsi((1..=15).map(f64::from)), [100.0]);
        assert_eq!(rsi((1..=15).rev().map(f64::from)), [0.0]);
        assert_eq!(rsi([5.0; 15]), [50.0]);
        assert!(rsi((1..=14).map(f64::from)).is_empty());
    }

    #[test]
    fn a_future_bar_changes_no_earlier_vector() -> Result<(), bars::InputError> {
        let series = bars::parse("sample", bars::SAMPLE, "sample")?;
        for original in &series {
            let whole = samples(0, original, HOLD_BAND);
            for change_at in [
                WARM_UP,
                WARM_UP + 1,
                original.bars.len() / 2,
                original.bars.len() - 1,
            ] {
                let mut changed = original.clone();
                for bar in &mut changed.bars[change_at..] {
                    bar.open *= 3.0;
                    bar.high *= 7.0;
                    bar.low *= 0.5;
                    bar.close *= 2.0;
                    bar.turnover *= 11.0;
                }
                let other = samples(0, &changed, HOLD_BAND);
                assert_eq!(whole.len(), other.len());
                let boundary = original.bars[change_at].time;
                for (before, after) in whole.iter().zip(&other) {
                    assert_eq!(before.time, after.time);
                    if before.time < boundary {
                        assert_eq!(
                            before.features, after.features,
                            "{} {}",
                            original.symbol, before.time
                        );
                    } else if before.time == boundary {
                        assert_ne!(
                            before.features, after.features,
                            "the change was not seen at all"
                        );
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_common_scale_cancels_out() -> Result<(), bars::InputError> {
        let series = bars::parse("sample", bars::SAMPLE, "sample")?;
        let mut scaled = series[0].clone();
        for bar in &mut scaled.bars {
            bar.open *= 8.0;
            bar.high *= 8.0;
            bar.low *= 8.0;
            bar.close *= 8.0;
        }
        assert_eq!(
            samples(0, &series[0], HOLD_BAND),
            samples(0, &scaled, HOLD_BAND)
        );
        Ok(())
    }

    #[test]
    fn every_feature_of_the_sample_is_finite_and_varies() -> Result<(), bars::InputError> {
        for series in bars::parse("sample", bars::SAMPLE, "sample")? {
            let samples = samples(0, &series, HOLD_BAND);
            assert_eq!(samples.len(), series.bars.len() + 1 - WARM_UP);
            for index in 0..FEATURES {
                let mut values = samples.iter().map(|sample| sample.features[index]);
                assert!(values.clone().all(f32::is_finite), "feature {index}");
                let first = values.next();
                assert!(
                    values.any(|value| Some(value) != first),
                    "feature {index} never changes"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn a_price_that_never_moves_has_plain_features() {
        let samples = samples(3, &constant(70), HOLD_BAND);
        assert_eq!(samples.len(), 7);
        for sample in &samples {
            let mut plain = [0.0; FEATURES];
            plain[14] = 0.5;
            plain[15] = 0.5;
            assert_eq!(sample.features, plain);
            assert_eq!(sample.symbol, 3);
        }
    }

    #[test]
    fn a_third_of_the_moves_is_no_trade() -> Result<(), bars::InputError> {
        let series = bars::parse("sample", bars::SAMPLE, "sample")?;
        let end = DateTime::<Utc>::MAX_UTC;
        // The constant's facts about the sample are found in it.
        let daily = hold_band(&series, end);
        assert!((daily - HOLD_BAND).abs() < 0.002, "{daily}");
        let mut calm = series.clone();
        for bar in calm.iter_mut().flat_map(|series| &mut series.bars) {
            bar.close = bar.close.powf(0.1);
        }
        let band = hold_band(&calm, end);
        assert!((band - daily / 10.0).abs() < 1e-9, "{band}");
        let labels = samples(0, &calm[0], band);
        let held = labels.iter().filter_map(|sample| sample.outcome);
        let held = held
            .filter(|outcome| ACTIONS[outcome.action] == "HOLD")
            .count();
        let share = held as f64 / labels.len() as f64;
        assert!((0.2..0.5).contains(&share), "{share}");
        assert_eq!(hold_band(&[constant(70)], end), 1e-9);
        assert_eq!(hold_band(&[], end), HOLD_BAND);
        Ok(())
    }

    #[test]
    fn the_outcome_is_the_next_bar() {
        let mut series = constant(67);
        for (bar, close) in series.bars[63..].iter_mut().zip([10.0, 10.2, 10.0, 10.01]) {
            bar.close = close;
        }
        let samples = samples(0, &series, HOLD_BAND);
        let actions: Vec<_> = samples
            .iter()
            .map(|sample| sample.outcome.map(|outcome| ACTIONS[outcome.action]))
            .collect();
        assert_eq!(actions, [Some("BUY"), Some("SELL"), Some("HOLD"), None]);
        assert_eq!(
            samples[0].outcome.map(|outcome| outcome.time),
            Some(samples[1].time)
        );
    }

    #[test]
    fn periods_do_not_see_past_their_borders() -> Result<(), bars::InputError> {
        let series = bars::parse("sample", bars::SAMPLE, "sample")?;
        let all: Vec<Sample> = series
            .iter()
            .enumerate()
            .flat_map(|(symbol, series)| samples(symbol, series, HOLD_BAND))
            .collect();
        let total = all.len();
        let until = all[1900].time;
        let periods = Periods::divide(all, until);
        let border = periods.validation[0].time;
        let known = |sample: &Sample| sample.outcome.map(|outcome| outcome.time);
        assert!(
            periods
                .training
                .iter()
                .all(|sample| known(sample).is_some_and(|time| time < border))
        );
        assert!(
            periods
                .validation
                .iter()
                .all(|sample| known(sample).is_some_and(|time| time <= until))
        );
        assert!(periods.walk.iter().all(|sample| sample.time > until));
        assert!(
            periods
                .walk
                .is_sorted_by_key(|sample| (sample.time, sample.symbol))
        );
        let kept = periods.training.len() + periods.validation.len() + periods.walk.len();
        assert!(
            total - kept <= 2 * series.len(),
            "{} samples were lost",
            total - kept
        );
        let share = periods.validation.len() as f64
            / (periods.training.len() + periods.validation.len()) as f64;
        assert!((0.09..0.11).contains(&share), "{share}");
        Ok(())
    }

    #[test]
    fn nothing_to_train_on_is_no_panic() {
        let samples = samples(0, &constant(70), HOLD_BAND);
        let periods = Periods::divide(samples, DateTime::UNIX_EPOCH);
        assert_eq!(
            (
                periods.training.len(),
                periods.validation.len(),
                periods.walk.len()
            ),
            (0, 0, 7)
        );
        assert!(
            Periods::divide(Vec::new(), DateTime::UNIX_EPOCH)
                .walk
                .is_empty()
        );
    }

    #[test]
    fn too_few_bars_give_no_sample() {
        assert!(samples(0, &constant(WARM_UP - 1), HOLD_BAND).is_empty());
        assert_eq!(samples(0, &constant(WARM_UP), HOLD_BAND).len(), 1);
    }
}
