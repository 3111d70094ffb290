//! What statistics have to say, worked out from the decisions as they were logged: a loop over a
//! list, which shares no code with the library's reader or statistics.

#![allow(dead_code, reason = "each test file uses its own part")]

use annals::{Group, Stats, StatsRow};

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
}

/// What a statistic has to say of some decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub count: u64,
    pub recorded: u64,
    pub repeats: u64,
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

/// What a statistic says, in the same form.
pub fn said(stats: &Stats) -> Expected {
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap();
    let if_any = |value: f32| (stats.confidence.count > 0).then(|| value.to_bits());
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
        } else {
            check(&row.stats, &own, &what);
        }
    }
}
