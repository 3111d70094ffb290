//! The right statistics, computed from the decisions as they were logged: a loop over a list, which
//! shares no code with the library's reader or statistics.

#![allow(dead_code, reason = "each test file uses its own part")]

use annals::stats::StatsRow;
use annals::{Group, Stats};

/// A decision as it was logged.
#[derive(Clone, Debug)]
pub struct Logged {
    pub model: String,
    pub symbol: String,
    pub action: String,
    pub checkpoint: Option<String>,
    pub event: i64,
    pub confidence: Option<f32>,
    pub nanos: Option<u64>,
    /// Recognised as the same answer as the one before.
    pub repeat: bool,
    /// Recognised as another answer to the question before.
    pub divergent: bool,
    /// A multiple of 1/1024, or not finite, under the name "price".
    pub predicted: Option<f64>,
    pub outcome: Held,
}

/// Outcome of a decision, as it was attached last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// A multiple of 1/1024, so that sums are exact however they are made; or not finite.
    pub reward: Option<f64>,
    pub correct: Option<bool>,
    /// The same, under the name "slippage".
    pub slippage: Option<f64>,
    /// The same: what the prediction should have been.
    pub actual: Option<f64>,
}

impl Held {
    /// Takes over what `newer` says.
    pub fn replace(&mut self, newer: Held) {
        self.reward = newer.reward.or(self.reward);
        self.correct = newer.correct.or(self.correct);
        self.slippage = newer.slippage.or(self.slippage);
        self.actual = newer.actual.or(self.actual);
    }

    fn is_empty(&self) -> bool {
        self.reward.is_none()
            && self.correct.is_none()
            && self.slippage.is_none()
            && self.actual.is_none()
    }
}

/// The right results of outcomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turned {
    pub attached: u64,
    pub correct: u64,
    pub wrong: u64,
    pub invalid: u64,
    pub wins: u64,
    /// How many, their sum and the sum of their squares, in 1/1024 and 1/1048576.
    pub rewards: (u64, i64, i64),
    pub slippages: (u64, i64, i64),
    pub actuals: (u64, i64, i64),
    pub scored: u64,
    pub brier_units: u128,
    /// Count, correct, confidence in units.
    pub bins: [(u64, u64, u128); 10],
}

fn add_real(sums: &mut (u64, i64, i64), invalid: &mut u64, value: Option<f64>) {
    match value {
        Some(value) if value.is_finite() => {
            let thousandths = (value * 1_024.0) as i64;
            sums.0 += 1;
            sums.1 += thousandths;
            sums.2 += thousandths * thousandths;
        }
        Some(_) => *invalid += 1,
        None => {}
    }
}

fn turned(decisions: &[&Logged]) -> Turned {
    let mut sum = Turned::default();
    for logged in decisions.iter().filter(|logged| !logged.outcome.is_empty()) {
        let outcome = logged.outcome;
        sum.attached += 1;
        add_real(&mut sum.rewards, &mut sum.invalid, outcome.reward);
        add_real(&mut sum.slippages, &mut sum.invalid, outcome.slippage);
        add_real(&mut sum.actuals, &mut sum.invalid, outcome.actual);
        sum.wins += u64::from(
            outcome
                .reward
                .is_some_and(|reward| reward.is_finite() && reward > 0.0),
        );
        let Some(correct) = outcome.correct else {
            continue;
        };
        sum.correct += u64::from(correct);
        sum.wrong += u64::from(!correct);
        let valid = |value: &f32| *value >= 0.0 && *value <= 1.0;
        let Some(confidence) = logged.confidence.filter(valid) else {
            continue;
        };
        let exact = f64::from(confidence);
        let error = if correct { exact - 1.0 } else { exact };
        sum.scored += 1;
        sum.brier_units += units(error * error);
        let mut bin = 0;
        while bin < 9 && exact * 10.0 > (bin + 1) as f64 {
            bin += 1;
        }
        sum.bins[bin].0 += 1;
        sum.bins[bin].1 += u64::from(correct);
        sum.bins[bin].2 += units(exact);
    }
    sum
}

fn check_outcomes(stats: &Stats, decisions: &[&Logged], what: &str) {
    check_predictions(stats, decisions, what);
    let wanted = turned(decisions);
    let said = &stats.outcomes;
    let counts = [
        said.attached,
        said.correct,
        said.wrong,
        said.wins,
        said.invalid,
    ];
    let wanted_counts = [
        wanted.attached,
        wanted.correct,
        wanted.wrong,
        wanted.wins,
        wanted.invalid,
    ];
    assert_eq!(
        counts, wanted_counts,
        "{what}: attached, correct, wrong, wins, invalid"
    );
    let none = (0, 0, 0);
    let slippage = said.values.iter().find(|(name, _)| &**name == "slippage");
    assert_eq!(slippage.is_some(), wanted.slippages != none, "{what}");
    let actual = said.values.iter().find(|(name, _)| &**name == "actual");
    assert_eq!(actual.is_some(), wanted.actuals != none, "{what}");
    for (values, (count, sum, squares)) in [
        (Some(said.reward), wanted.rewards),
        (slippage.map(|slippage| slippage.1), wanted.slippages),
        (actual.map(|actual| actual.1), wanted.actuals),
    ] {
        let Some(values) = values else { continue };
        assert_eq!(values.count, count, "{what}");
        assert_eq!(
            values.sum.to_bits(),
            (sum as f64 / 1_024.0 + 0.0).to_bits(),
            "{what}"
        );
        if count > 1 {
            let (count, sum) = (count as f64, sum as f64 / 1_024.0);
            let variance = (squares as f64 / 1_048_576.0 - sum * sum / count) / (count - 1.0);
            assert!(
                (values.variance.unwrap() - variance).abs() <= 1e-9 * variance.max(1.0),
                "{what}"
            );
        } else {
            assert!(values.variance.is_none(), "{what}");
        }
    }
    let unit = 1_099_511_627_776.0;
    let calibration = &stats.calibration;
    assert_eq!(calibration.count, wanted.scored, "{what}");
    let mut apart = 0.0;
    for (bin, (count, correct, confidence)) in calibration.bins.iter().zip(wanted.bins) {
        assert_eq!(
            (bin.count, bin.correct),
            (count, correct),
            "{what}: {bin:?}"
        );
        if count > 0 {
            let mean = confidence as f64 / unit / count as f64;
            assert_eq!(
                bin.confidence.unwrap_or(f64::NAN).to_bits(),
                mean.to_bits(),
                "{what}: {bin:?}"
            );
            let accuracy = correct as f64 / count as f64;
            apart += (mean - accuracy).abs() * count as f64 / wanted.scored as f64;
        }
    }
    if wanted.scored > 0 {
        let brier = wanted.brier_units as f64 / unit / wanted.scored as f64;
        assert_eq!(
            calibration.brier.unwrap_or(f64::NAN).to_bits(),
            brier.to_bits(),
            "{what}"
        );
        assert!(
            (calibration.expected_error.unwrap() - apart).abs() < 1e-12,
            "{what}"
        );
    }
}

/// The errors of the prediction, in 1/1024; sums to the bit, quantiles within the stated error.
fn check_predictions(stats: &Stats, decisions: &[&Logged], what: &str) {
    let mut errors: Vec<f64> = Vec::new();
    let mut invalid = 0;
    for logged in decisions {
        let Some((predicted, actual)) = logged.predicted.zip(logged.outcome.actual) else {
            continue;
        };
        match predicted - actual {
            error if error.is_finite() => errors.push(error),
            _ => invalid += 1,
        }
    }
    let said = stats.prediction("price");
    assert_eq!(
        stats.predictions.len(),
        usize::from(said.is_some()),
        "{what}"
    );
    let count = errors.len() as u64;
    let Some(said) = said else {
        assert_eq!((count, invalid), (0, 0), "{what}");
        return;
    };
    assert_eq!((said.count, said.invalid), (count, invalid), "{what}");
    let thousandths = |error: &f64| (error * 1_024.0) as i64;
    let mean = |sum: i64, unit: f64| (count > 0).then(|| sum as f64 / unit / count as f64);
    let bias = mean(errors.iter().map(thousandths).sum(), 1_024.0);
    let mae = mean(
        errors.iter().map(|error| thousandths(error).abs()).sum(),
        1_024.0,
    );
    let squares = errors.iter().map(|error| thousandths(error).pow(2)).sum();
    let rmse = mean(squares, 1_048_576.0).map(f64::sqrt);
    assert_eq!(
        (said.bias, said.mae, said.rmse),
        (bias, mae, rmse),
        "{what}"
    );
    let mut sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    errors.sort_by(f64::total_cmp);
    sizes.sort_by(f64::total_cmp);
    for q in [0.0, 0.05, 0.5, 0.95, 1.0] {
        for (found, sorted) in [(said.quantile(q), &errors), (said.size_quantile(q), &sizes)] {
            let Some(last) = sorted.len().checked_sub(1) else {
                assert_eq!(found, None, "{what}");
                continue;
            };
            let rank = (q * sorted.len() as f64).ceil() as usize;
            let exact = sorted[rank.saturating_sub(1).min(last)];
            let error = (found.unwrap() - exact).abs();
            assert!(
                error <= stats.coverage.quantile_error * exact.abs(),
                "{what}: q {q} is {exact}, not {found:?}"
            );
        }
    }
}

/// The right statistic of some decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub count: u64,
    pub recorded: u64,
    pub repeats: u64,
    pub divergences: u64,
    pub invalid: u64,
    pub without_confidence: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub confidences: u64,
    pub sum_units: u128,
    pub squares_units: u128,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub times: u64,
    pub sum_nanos: u128,
    pub min_nanos: Option<u64>,
    pub max_nanos: Option<u64>,
    /// Action, recorded, repeats; sorted.
    pub actions: Vec<(String, u64, u64)>,
}

fn units(value: f64) -> u128 {
    // 2^40 written out, and rounding half to even by hand.
    let scaled = value * 1_099_511_627_776.0;
    let floor = scaled.floor();
    let rest = scaled - floor;
    let odd = (floor as u128) % 2 == 1;
    let up = rest > 0.5 || (rest == 0.5 && odd);
    floor as u128 + u128::from(up)
}

pub fn expected(decisions: &[&Logged]) -> Expected {
    let mut sum = Expected {
        count: 0,
        recorded: 0,
        repeats: 0,
        divergences: 0,
        invalid: 0,
        without_confidence: 0,
        first: None,
        last: None,
        confidences: 0,
        sum_units: 0,
        squares_units: 0,
        min: None,
        max: None,
        times: 0,
        sum_nanos: 0,
        min_nanos: None,
        max_nanos: None,
        actions: Vec::new(),
    };
    let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
    for logged in decisions {
        sum.count += 1;
        sum.first = Some(
            sum.first
                .map_or(logged.event, |first| first.min(logged.event)),
        );
        sum.last = Some(sum.last.map_or(logged.event, |last| last.max(logged.event)));
        let place = sum
            .actions
            .iter()
            .position(|known| known.0 == logged.action);
        let place = place.unwrap_or_else(|| {
            sum.actions.push((logged.action.clone(), 0, 0));
            sum.actions.len() - 1
        });
        if logged.repeat {
            sum.repeats += 1;
            sum.actions[place].2 += 1;
            continue;
        }
        sum.recorded += 1;
        sum.divergences += u64::from(logged.divergent);
        sum.actions[place].1 += 1;
        match logged.confidence {
            None => sum.without_confidence += 1,
            Some(value) if (0.0..=1.0).contains(&value) => {
                sum.confidences += 1;
                sum.sum_units += units(value.into());
                sum.squares_units += units(f64::from(value) * f64::from(value));
                min = min.min(value);
                max = max.max(value);
            }
            Some(_) => sum.invalid += 1,
        }
        if let Some(nanos) = logged.nanos {
            sum.times += 1;
            sum.sum_nanos += u128::from(nanos);
            sum.min_nanos = Some(sum.min_nanos.map_or(nanos, |min| min.min(nanos)));
            sum.max_nanos = Some(sum.max_nanos.map_or(nanos, |max| max.max(nanos)));
        }
    }
    if sum.confidences > 0 {
        (sum.min, sum.max) = (Some(min.to_bits()), Some(max.to_bits()));
    }
    sum.actions.sort();
    sum
}

/// The library's statistic, in the same form.
pub fn said(stats: &Stats) -> Expected {
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap();
    let if_any = |value: Option<f32>| value.map(f32::to_bits);
    let mut actions: Vec<_> = stats
        .actions
        .iter()
        .map(|action| (action.action.to_string(), action.recorded, action.repeats))
        .collect();
    actions.sort();
    Expected {
        count: stats.count,
        recorded: stats.recorded,
        repeats: stats.repeats,
        divergences: stats.divergences,
        invalid: stats.invalid,
        without_confidence: stats.without_confidence,
        first: stats.first.map(|time| time.as_micros()),
        last: stats.last.map(|time| time.as_micros()),
        confidences: stats.confidence.count,
        sum_units: stats.confidence.sum_units,
        squares_units: stats.confidence.squares_units,
        min: if_any(stats.confidence.min),
        max: if_any(stats.confidence.max),
        times: stats.processing_time.count,
        sum_nanos: stats.processing_time.sum_nanos,
        min_nanos: stats.processing_time.min.map(nanos),
        max_nanos: stats.processing_time.max.map(nanos),
        actions,
    }
}

/// Compares a statistic with the decisions that it is about, to the bit, and its quantiles within
/// the error that it states.
pub fn check(stats: &Stats, decisions: &[&Logged], what: &str) {
    assert_eq!(said(stats), expected(decisions), "{what}");
    check_outcomes(stats, decisions, what);
    let fresh = decisions.iter().filter(|logged| !logged.repeat);
    let mut times: Vec<u64> = fresh.filter_map(|logged| logged.nanos).collect();
    times.sort_unstable();
    for q in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
        let found = stats.processing_time.quantile(q);
        let Some(last) = times.len().checked_sub(1) else {
            assert_eq!(found, None, "{what}");
            continue;
        };
        let rank = (q * times.len() as f64).ceil() as usize;
        let exact = times[rank.saturating_sub(1).min(last)] as f64;
        let found = found.unwrap().as_nanos() as f64;
        let error = stats.coverage.quantile_error * exact + 1.0;
        assert!(
            (found - exact).abs() <= error,
            "{what}: q {q} is {exact}, not {found}"
        );
    }
}

/// A group's name in each dimension, as the oracle puts it.
pub fn group_of(logged: &Logged, groups: &[Group]) -> Vec<String> {
    groups
        .iter()
        .map(|group| match group {
            Group::Model => logged.model.clone(),
            Group::Symbol => logged.symbol.clone(),
            Group::Checkpoint => logged.checkpoint.clone().unwrap_or_default(),
            Group::Action => logged.action.clone(),
            Group::Hour => logged.event.div_euclid(3_600_000_000).to_string(),
            Group::Day => logged.event.div_euclid(86_400_000_000).to_string(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The same of a row.
pub fn group_of_row(row: &StatsRow, groups: &[Group]) -> Vec<String> {
    let text = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or("").to_owned();
    groups
        .iter()
        .map(|group| match group {
            Group::Model => text(&row.model),
            Group::Symbol => text(&row.symbol),
            Group::Checkpoint => text(&row.checkpoint),
            Group::Action => text(&row.action),
            Group::Hour => (row.time.unwrap().as_micros().div_euclid(3_600_000_000)).to_string(),
            Group::Day => (row.time.unwrap().as_micros().div_euclid(86_400_000_000)).to_string(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Compares the rows of a divided statistic with the decisions.
pub fn check_rows(rows: &[StatsRow], decisions: &[&Logged], groups: &[Group], what: &str) {
    let mut keys: Vec<Vec<String>> = decisions
        .iter()
        .map(|logged| group_of(logged, groups))
        .collect();
    keys.sort();
    keys.dedup();
    let mut found: Vec<Vec<String>> = rows.iter().map(|row| group_of_row(row, groups)).collect();
    found.sort();
    assert_eq!(found, keys, "{what}: groups");
    for row in rows {
        let key = group_of_row(row, groups);
        let own = decisions
            .iter()
            .filter(|logged| group_of(logged, groups) == key);
        let own: Vec<&Logged> = own.copied().collect();
        let what = format!("{what}, {key:?}");
        if groups.contains(&Group::Action) {
            let mut wanted = expected(&own);
            (wanted.first, wanted.last) = (None, None);
            let mut said = said(&row.stats);
            (said.first, said.last) = (None, None);
            assert_eq!(said, wanted, "{what}");
            check_outcomes(&row.stats, &own, &what);
        } else {
            check(&row.stats, &own, &what);
        }
    }
}
