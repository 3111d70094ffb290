//! Random decisions and outcomes, how they are given to a journal, and how its answers are asked
//! for.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::time::Duration;

use annals::stats::{Calendar, Periods};
use annals::{Group, Inference, InferenceId, Journal, Outcome, Reader, Stats, Timestamp};

use crate::common::Random;
use crate::oracle::{Held, Logged, check, check_rows};

pub const HOUR_MICROS: i64 = 3_600_000_000;
/// 2025-07-25 12:00 UTC.
pub const NOON: i64 = 1_753_444_800_000_000;

pub fn log(journal: &Journal, logged: &Logged, features: Option<&[f32]>) -> InferenceId {
    let mut inference = Inference::new(&logged.model, &logged.symbol, &logged.action)
        .event_time(Timestamp::from_micros(logged.event));
    if let Some(confidence) = logged.confidence {
        inference = inference.confidence(confidence);
    }
    if let Some(nanos) = logged.nanos {
        inference = inference.processing_time(Duration::from_nanos(nanos));
    }
    if let Some(checkpoint) = &logged.checkpoint {
        inference = inference.checkpoint(checkpoint);
    }
    if let Some(features) = features {
        inference = inference.features(features).deterministic();
    }
    if let Some(predicted) = logged.predicted {
        return journal
            .log(inference.prediction("price", predicted))
            .unwrap();
    }
    journal.log(inference).unwrap()
}

/// A decision at about `time`; some with odd confidences, some far away in time.
pub fn random_decision(random: &mut Random, time: i64) -> Logged {
    let event = match random.below(20) {
        0 => time - 400 * 24 * HOUR_MICROS - random.below(1 << 40) as i64,
        1 => time + random.below(1 << 36) as i64,
        2 => -(random.below(1 << 50) as i64),
        _ => time - random.below(2 * HOUR_MICROS as u64) as i64,
    };
    Logged {
        model: format!("model_{}", random.below(3)),
        symbol: format!("symbol_{}", random.below(4)),
        action: ["BUY", "SELL", "HOLD"][random.below(3) as usize].to_owned(),
        checkpoint: match random.below(3) {
            0 => None,
            n => Some(format!("checkpoint_{n}")),
        },
        event,
        confidence: match random.below(12) {
            0 => None,
            1 => Some(f32::NAN),
            2 => Some(1.5),
            3 => Some(1e-9 * random.below(1_000) as f32),
            4 => Some([0.0, 1.0][random.below(2) as usize]),
            _ => Some(random.below(1 << 24) as f32 / (1 << 24) as f32),
        },
        nanos: match random.below(8) {
            0 => None,
            _ => {
                let most = 1 << random.below(40);
                Some(random.below(most))
            }
        },
        repeat: false,
        divergent: false,
        predicted: match random.below(12) {
            0..=4 => None,
            5 => Some(f64::NAN),
            6 => Some(f64::NEG_INFINITY),
            _ => Some((random.below(4_096) as f64 - 2_048.0) / 1_024.0),
        },
        outcome: Held::default(),
    }
}

/// Up to `most` decisions at about `time`, each with its features. Some are followed by the same
/// question, answered alike or not.
pub fn random_batch(random: &mut Random, most: u64, time: i64) -> Vec<(Logged, [f32; 2])> {
    let mut batch = Vec::new();
    for _ in 0..random.below(most) {
        let mut decision = random_decision(random, time);
        // One that predicts is never a repeat.
        decision.predicted = None;
        let mut number = || random.below(1 << 24) as f32;
        let features = [number(), number()];
        batch.push((decision.clone(), features));
        let mut again = Logged {
            event: decision.event.saturating_sub(random.below(1 << 30) as i64),
            nanos: None,
            ..decision
        };
        match random.below(8) {
            0 => again.repeat = true,
            1 => {
                again.action.push('!');
                again.divergent = true;
            }
            _ => continue,
        }
        batch.push((again, features));
    }
    batch
}

pub fn random_outcome(random: &mut Random) -> Held {
    let mut value = || match random.below(8) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        _ => (random.below(4_096) as f64 - 2_048.0) / 1_024.0,
    };
    let (reward, slippage, actual) = (value(), value(), value());
    // One of them at least: an outcome that says nothing is none.
    let which = 1 + random.below(15);
    Held {
        reward: (which & 1 != 0).then_some(reward),
        correct: (which & 2 != 0).then(|| random.below(2) == 0),
        slippage: (which & 4 != 0).then_some(slippage),
        actual: (which & 8 != 0).then_some(actual),
    }
}

pub fn attach(journal: &Journal, id: InferenceId, held: Held) {
    let mut outcome = match (held.reward, held.correct) {
        (Some(reward), None) => Outcome::new().reward(reward),
        (Some(reward), Some(correct)) => Outcome::new().reward(reward).correct(correct),
        (None, Some(correct)) => Outcome::new().correct(correct),
        (None, None) => Outcome::new(),
    };
    if let Some(slippage) = held.slippage {
        outcome = outcome.value("slippage", slippage);
    }
    if let Some(actual) = held.actual {
        // By name or not: of a decision's only prediction both are the same.
        outcome = outcome.actual(actual);
    }
    assert!(journal.attach_outcome(id, outcome));
}

/// Compares an answer with the decisions that it is about, unless it says that the range cuts hours
/// of which only sums are left.
fn check_what_is_kept(stats: &Stats, decisions: &[&Logged], what: &str) {
    if stats.coverage.retired == 0 {
        check(stats, decisions, what);
        return;
    }
    // It is unknown on which side of the cut those lie.
    let (least, count) = (stats.count, decisions.len() as u64);
    let most = least + stats.coverage.retired;
    assert!(
        (least..=most).contains(&count),
        "{what}: {count}, not {stats:?}"
    );
}

/// Asks a reader in many ways and compares each answer.
pub fn compare(reader: &Reader, logged: &[Logged], random: &mut Random, what: &str) {
    let all: Vec<&Logged> = logged.iter().collect();
    check(&reader.stats_of_all().get().unwrap(), &all, what);
    for _question in 0..6 {
        let model = format!("model_{}", random.below(3));
        let mut near = || NOON + random.below(6 * HOUR_MICROS as u64) as i64 - 3 * HOUR_MICROS;
        let (from, until) = (near(), near());
        let of_model = || all.iter().copied().filter(|logged| logged.model == model);
        let question = || {
            let question = reader.stats(&model);
            question
                .since(Timestamp::from_micros(from))
                .until(Timestamp::from_micros(until))
        };
        let own: Vec<&Logged> = of_model()
            .filter(|logged| (from..until).contains(&logged.event))
            .collect();
        let what = format!("{what}: {model} from {from} until {until}");
        let asked = question().get().unwrap();
        let is_whole = asked.coverage.retired == 0;
        check_what_is_kept(&asked, &own, &what);
        let bought: Vec<&Logged> = own
            .iter()
            .copied()
            .filter(|logged| {
                logged.symbol == "symbol_1" && logged.checkpoint.as_deref() == Some("checkpoint_2")
            })
            .collect();
        let narrow = question().symbol("symbol_1").checkpoint("checkpoint_2");
        check_what_is_kept(&narrow.get().unwrap(), &bought, &what);
        let whole: Vec<&Logged> = of_model().collect();
        check(&reader.stats(&model).get().unwrap(), &whole, &what);
        let groups: &[Group] = match random.below(6) {
            0 => &[Group::Symbol],
            1 => &[Group::Checkpoint, Group::Symbol],
            2 => &[Group::Action],
            3 => &[Group::Hour],
            4 => &[Group::Day, Group::Action],
            _ => &[Group::Day],
        };
        let rows = question().by(groups).unwrap();
        if is_whole {
            check_rows(&rows, &own, groups, &what);
        }
    }
    compare_periods(reader, &all, random, what);
    let by_model = reader
        .stats_of_all()
        .by([Group::Model, Group::Day])
        .unwrap();
    check_rows(&by_model, &all, &[Group::Model, Group::Day], what);
}

/// The hours or days on the clocks of a zone whose offset changes at about noon, and times between
/// any moments.
fn compare_periods(reader: &Reader, all: &[&Logged], random: &mut Random, what: &str) {
    let change = NOON + random.below(2 * HOUR_MICROS as u64) as i64 - HOUR_MICROS;
    let offsets = [
        0, 3_600, 7_200, 19_800, 20_700, -12_600, -36_000, 50_400, 1_172,
    ];
    let mut offset = || offsets[random.below(offsets.len() as u64) as usize];
    let (before, after) = (offset(), offset());
    let clock = |time: i64| if time < change { before } else { after };
    let (calendar, unit) = match random.below(2) {
        0 => (Calendar::Hour, HOUR_MICROS),
        _ => (Calendar::Day, 24 * HOUR_MICROS),
    };
    let (from, until) = (NOON - 20 * HOUR_MICROS, NOON + 20 * HOUR_MICROS);
    let times = Timestamp::from_micros(from)..Timestamp::from_micros(until);
    let local = Periods::local(calendar, times.clone(), |time| clock(time.as_micros())).unwrap();
    // Of an hour that comes twice, each is one.
    let local_bucket = |time: i64| {
        let local = time + i64::from(clock(time)) * 1_000_000;
        let twice = match calendar {
            Calendar::Hour => clock(time),
            _ => 0,
        };
        (local.div_euclid(unit), twice)
    };
    let mut bounds: Vec<i64> = (0..random.below(20) + 2)
        .map(|_| from + random.below((until - from) as u64) as i64)
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let parts = bounds.iter().map(|micros| Timestamp::from_micros(*micros));
    let Ok(parts) = Periods::between(parts) else {
        return;
    };
    let part_bucket = |time: i64| {
        let after = bounds.partition_point(|bound| *bound <= time);
        (after as i64, 0)
    };
    type Bucket<'a> = &'a dyn Fn(i64) -> (i64, i32);
    let model = format!("model_{}", random.below(3));
    for (periods, bucket) in [
        (&local, &local_bucket as Bucket<'_>),
        (&parts, &part_bucket),
    ] {
        let question = reader.stats(&model).since(times.start).until(times.end);
        let rows = question.by_periods(periods, [Group::Symbol]).unwrap();
        if rows.iter().any(|row| row.stats.coverage.retired > 0) {
            continue;
        }
        let is_meant = |logged: &&&Logged| {
            let is_between = match std::ptr::eq(periods, &local) {
                true => true,
                false => bounds[0] <= logged.event && logged.event < bounds[bounds.len() - 1],
            };
            is_between && logged.model == model && (from..until).contains(&logged.event)
        };
        let own: Vec<&Logged> = all.iter().filter(is_meant).copied().collect();
        let key = |logged: &Logged| (bucket(logged.event), logged.symbol.clone());
        let mut keys: Vec<_> = own.iter().map(|logged| key(logged)).collect();
        keys.sort();
        keys.dedup();
        let what = format!("{what}: {model}, {calendar:?}, {before} until {change}, then {after}");
        assert_eq!(rows.len(), keys.len(), "{what}: {rows:?}");
        for row in &rows {
            // Its first decision says which one it is.
            let first = row.stats.first.unwrap().as_micros();
            let wanted = (bucket(first), row.symbol.as_deref().unwrap().to_owned());
            let of_row: Vec<&Logged> = own
                .iter()
                .filter(|logged| key(logged) == wanted)
                .copied()
                .collect();
            check(
                &row.stats,
                &of_row,
                &format!("{what}: {:?} {wanted:?}", row.period),
            );
            assert!(row.time.unwrap().as_micros() <= first);
            assert!(first < row.end.unwrap().as_micros());
        }
    }
}
