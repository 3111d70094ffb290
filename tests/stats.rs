//! Statistics against an oracle: a loop over the decisions as they were logged.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a test may fail loudly, and its numbers are its own"
)]

mod common;
#[path = "oracle/history.rs"]
mod history;
mod oracle;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use annals::import::{Answer, Importer};
use annals::stats::{Calendar, Periods};
use annals::{
    Group, Inference, InferenceId, Journal, Maintenance, ManualClock, Options, Outcome, Reader,
    Timestamp,
};
use common::Random;
use common::look::end_look;
use history::{HOUR_MICROS, NOON, attach, compare, log, random_decision, random_outcome};
use oracle::{Held, Logged, check};

const MINUTE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Journal::options()
        .without_mirror()
        .commit_interval(Duration::from_secs(3_600))
        .dedup_window(Duration::ZERO)
}

/// A history with folds, seals, restarts and a second journal in between; every answer on the way
/// and at the end is the oracle's.
fn random_history(seed: u64, dir: &Path, steps: u64) {
    let mut random = Random::from_seed(seed);
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let open = |max_names: usize| {
        options()
            .clock(clock.clone())
            .fold_interval(Duration::from_secs(3_600))
            .max_names(max_names)
            .open(dir)
            .unwrap()
    };
    let mut journals = vec![open(65_536), open(6)];
    let mut logged: Vec<Logged> = Vec::new();
    let mut ids = Vec::new();
    for step in 0..steps {
        match random.below(14) {
            12 | 13 if !ids.is_empty() => {
                let journal = &journals[random.below(2) as usize];
                for _ in 0..random.below(200) {
                    let which = random.below(ids.len() as u64) as usize;
                    let outcome = random_outcome(&mut random);
                    attach(journal, ids[which], outcome);
                    logged[which].outcome.replace(outcome);
                }
                journal.flush().wait(MINUTE).unwrap();
            }
            0 => {
                journals[random.below(2) as usize].fold(MINUTE).unwrap();
            }
            1 => {
                journals[random.below(2) as usize].seal(MINUTE).unwrap();
            }
            2 => {
                let which = random.below(2) as usize;
                journals.remove(which).close().unwrap();
                journals.push(open(if random.below(2) == 0 { 4 } else { 65_536 }));
            }
            3 => clock.advance(Duration::from_secs(random.below(7_200))),
            4 => compare(
                &journals[0].reader().unwrap(),
                &logged,
                &mut random,
                &format!("seed {seed}, step {step}"),
            ),
            _ => {
                let which = random.below(2) as usize;
                let (journal, other) = (&journals[which], &journals[1 - which]);
                for _ in 0..random.below(400) {
                    let mut decision = random_decision(&mut random, clock.now().as_micros());
                    let id = log(journal, &decision, None);
                    if random.below(50) == 0 {
                        // Recorded before its inference is, which waits in the other's queue.
                        decision.outcome = random_outcome(&mut random);
                        attach(other, id, decision.outcome);
                    }
                    ids.push(id);
                    logged.push(decision);
                }
                other.flush().wait(MINUTE).unwrap();
                if random.below(3) == 0 {
                    other.fold(MINUTE).unwrap();
                }
                journal.flush().wait(MINUTE).unwrap();
            }
        }
    }
    let what = format!("seed {seed}, at the end");
    compare(&Reader::open(dir).unwrap(), &logged, &mut random, &what);
    journals[0].fold(MINUTE).unwrap();
    compare(&Reader::open(dir).unwrap(), &logged, &mut random, &what);
    let stats = journals[0].stats_of_all().get().unwrap();
    assert_eq!(stats.coverage.folded, stats.coverage.sequence);
}

#[test]
fn random_histories_give_the_oracles_answers() {
    for seed in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        random_history(seed, &dir.path().join("data"), 40);
    }
    let random = Random::new();
    println!("ANNALS_TEST_SEED={}", random.seed());
    let dir = tempfile::tempdir().unwrap();
    random_history(random.seed(), &dir.path().join("data"), 40);
}

#[test]
fn an_unknown_model_has_an_empty_answer_that_says_so() {
    let journal = options().in_memory().unwrap();
    let stats = journal.stats("nobody").get().unwrap();
    assert!(!stats.known && stats.is_empty());
    assert!(stats.confidence.mean.is_none() && stats.confidence.min.is_none());
    assert_eq!(stats.processing_time.p50, None);
    assert_eq!((stats.first, stats.memory.max), (None, None));
    assert_eq!(stats.coverage.completeness, Some(1.0));
    assert!(
        journal
            .stats("nobody")
            .by(Group::Symbol)
            .unwrap()
            .is_empty()
    );
    assert_eq!(journal.health().offered, 0, "no line about it");
    let stats = journal.stats_of_all().get().unwrap();
    assert!(stats.known && stats.is_empty());
}

#[test]
fn ranges_without_anything_in_them_are_empty() {
    let journal = options().in_memory().unwrap();
    let mut random = Random::from_seed(7);
    let decision = random_decision(&mut random, NOON);
    log(&journal, &decision, None);
    journal.flush().wait(MINUTE).unwrap();
    let at = Timestamp::from_micros;
    for fold in [false, true] {
        if fold {
            journal.fold(MINUTE).unwrap();
        }
        for (from, until) in [
            (decision.event, decision.event),
            (decision.event + 1, i64::MAX),
            (i64::MIN, decision.event),
            (i64::MAX, i64::MIN),
            (decision.event, decision.event - 1),
            (i64::MIN, i64::MIN),
        ] {
            let question = journal
                .stats(&decision.model)
                .since(at(from))
                .until(at(until));
            let stats = question.get().unwrap();
            assert!(stats.is_empty() && stats.known, "{from} {until}");
            assert!(question.by([Group::Hour, Group::Model]).unwrap().is_empty());
        }
        let one = journal
            .stats(&decision.model)
            .since(at(decision.event))
            .until(at(decision.event + 1));
        check(&one.get().unwrap(), &[&decision], "one microsecond");
    }
}

#[test]
fn the_ends_of_time_are_counted() {
    let journal = options().in_memory().unwrap();
    let mut random = Random::from_seed(9);
    let mut logged = Vec::new();
    for event in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        logged.push(Logged {
            event,
            ..random_decision(&mut random, NOON)
        });
    }
    for decision in &logged {
        log(&journal, decision, None);
    }
    journal.flush().wait(MINUTE).unwrap();
    let all: Vec<&Logged> = logged.iter().collect();
    for fold in [false, true] {
        if fold {
            journal.fold(MINUTE).unwrap();
        }
        check(&journal.stats_of_all().get().unwrap(), &all, "all of time");
        let rows = journal.stats_of_all().by(Group::Day).unwrap();
        assert_eq!(rows.iter().map(|row| row.stats.count).sum::<u64>(), 6);
        let late = journal
            .stats_of_all()
            .since(Timestamp::from_micros(i64::MAX));
        check(&late.get().unwrap(), &all[5..], "the last microsecond");
    }
}

#[test]
fn repeats_count_and_means_leave_them_out() {
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let journal = options()
        .clock(clock.clone())
        .dedup_window(MINUTE)
        .in_memory()
        .unwrap();
    let mut random = Random::from_seed(11);
    let mut logged: Vec<Logged> = Vec::new();
    for number in 0..500_u16 {
        let mut decision = random_decision(&mut random, NOON);
        decision.confidence = Some(f32::from(number) / 500.0);
        // A repeat predicts nothing of its own.
        decision.predicted = None;
        let features = [f32::from(number)];
        log(&journal, &decision, Some(&features));
        for _ in 0..random.below(3) {
            let mut again = Logged {
                event: decision.event + 1,
                nanos: Some(5),
                repeat: true,
                ..decision.clone()
            };
            let id = log(&journal, &again, Some(&features));
            again.outcome = random_outcome(&mut random);
            attach(&journal, id, again.outcome);
            logged.push(again);
        }
        logged.push(decision);
    }
    journal.flush().wait(MINUTE).unwrap();
    let reader = journal.reader().unwrap();
    compare(&reader, &logged, &mut random, "not folded");
    journal.fold(MINUTE).unwrap();
    compare(&reader, &logged, &mut random, "folded");
}

#[test]
fn names_that_are_written_out_are_names_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let journal = options().max_names(3).open(&dir).unwrap();
    let mut random = Random::from_seed(13);
    let long = "a".repeat(70_000);
    let mut logged = Vec::new();
    for number in 0..600 {
        let mut decision = random_decision(&mut random, NOON);
        if number % 7 == 0 {
            decision.model = long.clone();
        }
        log(&journal, &decision, None);
        logged.push(decision);
    }
    journal.flush().wait(MINUTE).unwrap();
    let reader = journal.reader().unwrap();
    let own: Vec<&Logged> = logged
        .iter()
        .filter(|logged| logged.model == long)
        .collect();
    for fold in [false, true] {
        if fold {
            journal.fold(MINUTE).unwrap();
        }
        compare(&reader, &logged, &mut random, "written out");
        let stats = reader.stats(&long).get().unwrap();
        assert!(stats.known);
        check(&stats, &own, "a long name");
        assert!(!reader.stats("b".repeat(70_000)).get().unwrap().known);
    }
}

#[test]
fn an_outcome_for_nobody_waits_until_its_inference_shows_up() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let (journal, other) = (options().open(&dir).unwrap(), options().open(&dir).unwrap());
    let mut random = Random::from_seed(17);
    let mut decision = random_decision(&mut random, NOON);
    let id = log(&journal, &decision, None);
    for reward in [1.0, 2.0] {
        let held = Held {
            reward: Some(reward),
            ..Held::default()
        };
        attach(&other, id, held);
        decision.outcome.replace(held);
        other.flush().wait(MINUTE).unwrap();
        other.fold(MINUTE).unwrap();
        let stats = other.stats_of_all().get().unwrap();
        assert_eq!((stats.count, stats.outcomes.attached), (0, 0));
        assert_eq!(stats.coverage.unmatched, 1);
    }
    journal.flush().wait(MINUTE).unwrap();
    for fold in [false, true] {
        if fold {
            other.fold(MINUTE).unwrap();
        }
        check(
            &other.stats_of_all().get().unwrap(),
            &[&decision],
            "shown up",
        );
    }
    assert_eq!(other.stats_of_all().get().unwrap().coverage.unmatched, 0);
}

#[test]
fn outcomes_of_what_never_comes_are_given_up_after_a_month() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let journal = options().clock(clock.clone()).open(dir.path()).unwrap();
    attach(
        &journal,
        InferenceId::from_u64(u64::MAX),
        Held {
            reward: Some(1.0),
            ..Held::default()
        },
    );
    journal.flush().wait(MINUTE).unwrap();
    for (days, unmatched) in [(0, 1), (29, 1), (2, 0)] {
        clock.advance(Duration::from_secs(days * 86_400));
        end_look(&journal);
        log(
            &journal,
            &random_decision(&mut Random::from_seed(5), NOON),
            None,
        );
        journal.flush().wait(MINUTE).unwrap();
        journal.fold(MINUTE).unwrap();
        let stats = journal.stats_of_all().get().unwrap();
        assert_eq!(stats.coverage.unmatched, unmatched, "{days} days later");
    }
}

/// It was not counted, so nothing is subtracted when something newer is attached.
#[test]
fn what_was_given_up_does_not_count_when_its_decision_comes_after_all() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let open = || options().clock(clock.clone()).open(dir.path()).unwrap();
    let (journal, other) = (open(), open());
    let mut decision = random_decision(&mut Random::from_seed(17), NOON);
    let id = log(&journal, &decision, None);
    let turn_out = |reward, correct| {
        let held = Held {
            reward: Some(reward),
            correct: Some(correct),
            ..Held::default()
        };
        attach(&other, id, held);
        other.flush().wait(MINUTE).unwrap();
        held
    };
    turn_out(1.0, false);
    other.fold(MINUTE).unwrap();
    clock.advance(Duration::from_secs(31 * 86_400));
    other.fold(MINUTE).unwrap();
    assert_eq!(other.stats_of_all().get().unwrap().coverage.unmatched, 0);

    journal.flush().wait(MINUTE).unwrap();
    let compare = |decision: &Logged, what: &str| {
        check(&other.stats_of_all().get().unwrap(), &[decision], what);
        other.fold(MINUTE).unwrap();
        check(&other.stats_of_all().get().unwrap(), &[decision], what);
    };
    compare(&decision, "it came");
    decision.outcome.replace(turn_out(2.0, true));
    compare(&decision, "something turned out");
    decision.outcome.replace(turn_out(3.0, false));
    compare(&decision, "something else turned out");
}

#[test]
fn a_hundred_thousand_symbols_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let symbols = 100_000_u32;
    for number in 0..symbols {
        let symbol = format!("S{number}");
        let decision = Inference::new("mlp", &symbol, "BUY")
            .confidence(0.5)
            .event_time(Timestamp::from_micros(NOON));
        // The queue holds fewer than these.
        if journal.log(decision).is_none() || number % 10_000 == 0 {
            journal.flush().wait(MINUTE).unwrap();
        }
    }
    journal.flush().wait(MINUTE).unwrap();
    let kept = journal.health();
    assert_eq!(kept.dropped.total(), 0, "{kept:?}");
    for folded in [false, true] {
        if folded {
            journal.fold(MINUTE).unwrap();
        }
        let rows = journal.stats("mlp").by(Group::Symbol).unwrap();
        assert_eq!(rows.len(), symbols as usize);
        assert!(rows.iter().all(|row| row.stats.count == 1));
        // The last ones were beyond the table of names, and are written out in their rows.
        for number in [0, symbols / 2, symbols - 1] {
            let one = journal.stats("mlp").symbol(format!("S{number}"));
            assert_eq!(one.get().unwrap().count, 1, "{number}");
        }
    }
}

#[test]
fn as_of_knows_what_had_turned_out_by_then() {
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let journal = options().clock(clock).in_memory().unwrap();
    let at = |minutes: i64| Timestamp::from_micros(NOON + minutes * 60_000_000);
    let decide = |minutes: i64| {
        let inference = Inference::new("m", "s", "BUY")
            .confidence(0.8)
            .event_time(at(minutes));
        journal.log(inference).unwrap()
    };
    let (first, second) = (decide(0), decide(10));
    journal.attach_outcome(first, Outcome::new().reward(1.0).at(at(5)));
    journal.attach_outcome(first, Outcome::new().reward(3.0).at(at(15)));
    journal.attach_outcome(second, Outcome::new().reward(-1.0).at(at(20)));
    journal.flush().wait(MINUTE).unwrap();
    for fold in [false, true] {
        if fold {
            journal.fold(MINUTE).unwrap();
        }
        for (minute, count, rewards) in [
            (0, 0, (0, 0.0)),
            (5, 1, (0, 0.0)),
            (6, 1, (1, 1.0)),
            (16, 2, (1, 3.0)),
            (21, 2, (2, 2.0)),
        ] {
            let stats = journal.stats("m").as_of(at(minute)).get().unwrap();
            let reward = stats.outcomes.reward;
            assert_eq!(
                (stats.count, (reward.count, reward.sum)),
                (count, rewards),
                "{minute}"
            );
        }
    }
}

#[test]
fn a_million_outcomes_for_one_inference_are_one() {
    let journal = options()
        .overflow(annals::Overflow::Block { timeout: MINUTE })
        .in_memory()
        .unwrap();
    let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
    let many: u32 = if std::env::var_os("ANNALS_TEST_LONG").is_some() {
        1_000_000
    } else {
        30_000
    };
    for number in 0..many {
        assert!(journal.attach_outcome(id, Outcome::new().reward(f64::from(number))));
    }
    journal.flush().wait(MINUTE).unwrap();
    for fold in [false, true] {
        if fold {
            journal.fold(MINUTE).unwrap();
        }
        let stats = journal.stats("m").get().unwrap();
        let reward = stats.outcomes.reward;
        assert_eq!((reward.count, reward.sum), (1, f64::from(many - 1)));
    }
}

#[test]
fn gaps_count_where_their_minutes_touch_the_range() {
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let journal = options().clock(clock).in_memory().unwrap();
    let at = |minutes: i64| Timestamp::from_micros(NOON + minutes * 60_000_000);
    let many = vec![0.5; 2_000];
    let labels: Vec<(&str, f32)> = many.iter().map(|value| ("a", *value)).collect();
    for minute in [0, 3, 60] {
        let inference = Inference::new("m", "s", "BUY").event_time(at(minute));
        journal.log(inference).unwrap();
        // Refused: too many probabilities.
        assert_eq!(journal.log(inference.probabilities(&labels)), None);
        journal.flush().wait(MINUTE).unwrap();
    }
    for fold in [false, true] {
        if fold {
            journal.fold(MINUTE).unwrap();
        }
        for (from, until, dropped, completeness) in [
            (0, 1, 1, 0.5),
            (0, 4, 2, 0.5),
            (1, 3, 0, 1.0),
            (3, 61, 2, 0.5),
            (-9, 0, 0, 1.0),
        ] {
            let question = journal.stats("nobody").since(at(from)).until(at(until));
            let coverage = question.get().unwrap().coverage;
            assert_eq!(coverage.dropped, dropped, "{from} {until}");
            assert_eq!(coverage.completeness, Some(completeness), "{from} {until}");
        }
        let rows = journal.stats("m").by(Group::Hour).unwrap();
        let dropped: Vec<u64> = rows.iter().map(|row| row.stats.coverage.dropped).collect();
        assert_eq!(dropped, [2, 1]);
    }
}

#[test]
fn statistics_outlive_their_entries_and_say_what_they_cannot_place() {
    const DAY_MICROS: i64 = 24 * HOUR_MICROS;
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(NOON));
    let journal = options()
        .clock(clock.clone())
        .open(dir.path().join("data"))
        .unwrap();
    let mut random = Random::from_seed(19);
    let mut logged = Vec::new();
    for day in 0..4 {
        if day > 0 {
            clock.advance(Duration::from_secs(24 * 3_600));
            end_look(&journal);
        }
        for second in 0..500 {
            let event = NOON + day * DAY_MICROS + second * 1_000_000;
            let mut decision = Logged {
                event,
                ..random_decision(&mut random, event)
            };
            let id = log(&journal, &decision, None);
            decision.outcome = random_outcome(&mut random);
            attach(&journal, id, decision.outcome);
            logged.push(decision);
        }
        journal.flush().wait(MINUTE).unwrap();
        journal.seal(MINUTE).unwrap();
        journal.fold(MINUTE).unwrap();
    }
    let maintenance = journal.maintenance().unwrap();
    let plan = maintenance
        .retention(annals::RetentionPolicy::new().max_age_days(1))
        .plan()
        .unwrap();
    assert!(plan.apply().unwrap().segments > 0);
    // The rest of the first day's minutes goes too.
    clock.advance(Duration::from_secs(3_600));
    end_look(&journal);
    log(&journal, &random_decision(&mut random, 0), None);
    journal.flush().wait(MINUTE).unwrap();
    journal.fold(MINUTE).unwrap();

    let reader = journal.reader().unwrap();
    let at = |micros: i64| Timestamp::from_micros(NOON + micros);
    let first_day: Vec<&Logged> = logged[..500].iter().collect();
    let whole = reader.stats_of_all().since(at(0)).until(at(DAY_MICROS));
    check(&whole.get().unwrap(), &first_day, "a retired day");
    assert_eq!(whole.get().unwrap().coverage.retired, 0);
    let cut = reader
        .stats_of_all()
        .since(at(100_000_000))
        .until(at(DAY_MICROS));
    let stats = cut.get().unwrap();
    assert_eq!((stats.count, stats.coverage.retired), (0, 500));
    let last_day: Vec<&Logged> = logged[1_600..].iter().collect();
    let kept = reader
        .stats_of_all()
        .since(at(3 * DAY_MICROS + 100_000_000))
        .until(at(4 * DAY_MICROS));
    check(&kept.get().unwrap(), &last_day, "a cut day that is kept");
    assert_eq!(kept.get().unwrap().coverage.retired, 0);

    // Clocks where midnight is at two minutes past noon UTC: each day's hour is cut.
    let ahead = 12 * 3_600 - 120;
    let times = at(0)..at(4 * DAY_MICROS);
    let days = Periods::local(Calendar::Day, times, |_| ahead).unwrap();
    let rows = reader.stats_of_all().by_periods(&days, []).unwrap();
    assert_eq!(rows.len(), 5);
    let names: Vec<_> = rows.iter().map(|row| row.period.as_deref()).collect();
    assert_eq!(
        names,
        ["25", "26", "27", "28", "29"]
            .map(|day| format!("2025-07-{day}"))
            .each_ref()
            .map(|day| Some(day.as_str()))
    );
    // A part that may belong to this row or to the next is reported in both.
    assert_eq!(
        (rows[0].stats.count, rows[0].stats.coverage.retired),
        (0, 500)
    );
    assert!(rows[1].stats.coverage.retired >= 500);
    let last: Vec<&Logged> = logged[1_620..].iter().collect();
    check(&rows[4].stats, &last, "a day that is kept");
    assert_eq!(rows[4].stats.coverage.retired, 0);
}

/// Half a million decisions with outcomes, more than the folder takes in its pauses.
fn log_many(journal: &Journal, count: u64) {
    let recorder = journal.recorder("m", "s").actions(["BUY"]).build().unwrap();
    for number in 0..count {
        let inference = recorder.inference(0).confidence(0.5);
        let id = inference.log().or_else(|| {
            journal.flush().wait(MINUTE).unwrap();
            recorder.inference(0).confidence(0.5).log()
        });
        if number % 10 == 0 {
            journal.attach_outcome(id.unwrap(), Outcome::new().reward(1.0));
        }
        if number % 10_000 == 9_999 {
            journal.flush().wait(MINUTE).unwrap();
        }
    }
}

fn unfolded(dir: &Path) -> u64 {
    Reader::open(dir).unwrap().unfolded().unwrap()
}

#[test]
fn a_closed_journal_is_folded() {
    for count in [0, 1, 200_000] {
        let dir = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3_600);
        let options = options().fold_interval(hour).close_timeout(MINUTE);
        let journal = options.open(dir.path()).unwrap();
        log_many(&journal, count);
        match count {
            // Dropping is closing.
            1 => drop(journal),
            _ => journal.close().unwrap(),
        }
        assert_eq!(unfolded(dir.path()), 0, "{count}");
        let stats = Reader::open(dir.path()).unwrap().stats("m").get().unwrap();
        assert_eq!(stats.coverage.folded, stats.coverage.sequence);
        assert_eq!(
            (stats.count, stats.outcomes.attached),
            (count, count.div_ceil(10))
        );
    }
}

/// A close that has no time folds nothing, and neither does one that was told not to fold.
#[test]
fn what_a_close_leaves_unfolded_is_folded_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().without_folding().open(dir.path()).unwrap();
    log_many(&journal, 100_000);
    let beside = journal.maintenance().unwrap();
    let busy = beside.fold_if_idle(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(busy, None, "the journal is open");
    journal.close().unwrap();
    let all = unfolded(dir.path());
    assert!(all >= 110_000, "{all}");
    let before = Reader::open(dir.path()).unwrap().stats("m").get().unwrap();

    let maintenance = Maintenance::open(dir.path()).unwrap();
    let stopped = maintenance.fold_with(|_| ControlFlow::Break(())).unwrap();
    assert_eq!((stopped.entries, stopped.left), (0, all));
    let mut seen = Vec::new();
    let folded = maintenance
        .fold_if_idle(|progress| {
            seen.push((progress.done, progress.total));
            ControlFlow::Continue(())
        })
        .unwrap()
        .expect("nobody else is there");
    assert_eq!((folded.entries, folded.left), (all, 0));
    assert_eq!(seen.first(), Some(&(0, all)));
    assert_eq!(seen.last(), Some(&(all, all)));
    assert!(seen.len() > 3 && seen.is_sorted(), "{seen:?}");
    assert_eq!(
        (maintenance.fold().unwrap().entries, unfolded(dir.path())),
        (0, 0)
    );
    let mut after = Reader::open(dir.path()).unwrap().stats("m").get().unwrap();
    assert_eq!(after.coverage.folded, after.coverage.sequence);
    after.coverage.folded = before.coverage.folded;
    // Means of nothing are NaN, which nothing is equal to.
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
}

#[test]
fn a_finished_import_is_folded() {
    let dir = tempfile::tempdir().unwrap();
    let mut importer = Importer::open(dir.path()).unwrap();
    let source = importer.source("old").unwrap();
    for number in 1..=1_000 {
        let inference = Inference::new("m", "s", "BUY").confidence(0.5);
        let id = source.inference(number).unwrap();
        importer.add(id, &inference, Answer::Full).unwrap();
    }
    importer.close().unwrap();
    assert_eq!(unfolded(dir.path()), 0);
}
