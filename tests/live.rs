//! Results of statistics: the checkpoint with the best outcomes, and drift.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use annals::stats::{Drift, LiveCandidate, LiveValue, Shift};
use annals::{Inference, Journal, Mode, Outcome, Stats, Timestamp};
use support::{flush, micros};

/// Logs one decision of `checkpoint` and what came of it.
fn judged(journal: &Journal, checkpoint: &str, outcome: Outcome<'_>) {
    let inference = Inference::new("m", "s", "BUY").checkpoint(checkpoint);
    let id = journal.log(inference).unwrap();
    assert!(journal.attach_outcome(id, outcome));
}

fn ids(candidates: &[LiveCandidate]) -> Vec<&str> {
    let ids = candidates.iter();
    ids.map(|candidate| candidate.checkpoint.as_deref().unwrap_or("none"))
        .collect()
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn checkpoints_are_ranked_by_what_turned_out() {
    let journal = Journal::in_memory().unwrap();
    let mut sums = [(0_u32, 0.0); 3];
    for number in 0..300_u32 {
        let which = number as usize % 3;
        // Means of 0.5, 1.5 and 2.5 about, spread by 4.
        let reward = f64::from(number % 9 / 3 * 4) - 4.0 + 0.5 + which as f64;
        sums[which].0 += 1;
        sums[which].1 += reward;
        let outcome = Outcome::new()
            .reward(reward)
            .correct(number % [2, 3, 4][which] == 0);
        judged(
            &journal,
            ["a", "b", "c"][which],
            outcome.value("cost", reward),
        );
    }
    for _ in 0..5 {
        judged(&journal, "few", Outcome::new().reward(100.0));
        judged(&journal, "odd", Outcome::new().reward(f64::NAN));
    }
    journal.log(Inference::new("m", "s", "BUY"));
    judged(&journal, "few", Outcome::new().reward(f64::INFINITY));
    flush(&journal);
    let reader = journal.reader().unwrap();
    let ranking = reader.best_live("m", &LiveValue::Reward, DAY, 10).unwrap();
    assert_eq!(ids(&ranking.ranked), ["c", "b", "a"]);
    assert_eq!(ids(&ranking.too_few)[0], "few");
    assert_eq!(
        (ranking.too_few[0].count, ranking.too_few[0].decisions),
        (5, 6)
    );
    assert_eq!(ranking.too_few.len(), 3);
    assert_eq!(ranking.registry_best, None);
    assert_eq!(ranking.agrees_with_registry(), None);
    for candidate in &ranking.ranked {
        let place = ["a", "b", "c"]
            .iter()
            .position(|id| Some(*id) == candidate.checkpoint.as_deref());
        let (count, sum) = sums[place.unwrap()];
        assert_eq!(
            (candidate.count, candidate.decisions),
            (u64::from(count), u64::from(count))
        );
        let mean = candidate.mean.unwrap();
        assert!((mean - sum / f64::from(count)).abs() < 1e-12);
        let (low, high) = (candidate.low.unwrap(), candidate.high.unwrap());
        assert!(low < mean && mean < high);
        assert!(high - low < 2.0);
    }
    // The intervals are some 1.3 wide, the means 1 apart.
    assert!(!ranking.is_clear());
    let least = LiveValue::Named("cost".to_owned(), Mode::Min);
    let ranking = reader.best_live("m", &least, DAY, 10).unwrap();
    assert_eq!(ids(&ranking.ranked), ["a", "b", "c"]);
    let correct = reader.best_live("m", &LiveValue::Correct, DAY, 10).unwrap();
    // Of a's numbers every second is even, of b's (3n + 1) none is a multiple of 3.
    assert_eq!(ids(&correct.ranked), ["a", "c", "b"]);
    assert_eq!(correct.ranked[0].mean, Some(0.5));
    let nothing = reader
        .best_live("m", &LiveValue::named("nobody"), DAY, 0)
        .unwrap();
    assert!(nothing.ranked.is_empty() && nothing.best().is_none() && !nothing.is_clear());
}

/// Steps of an episode turn out alike; fifty episodes say no more than fifty decisions.
#[test]
fn the_steps_of_an_episode_do_not_count_as_independent() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::options()
        .without_mirror()
        .open(dir.path())
        .unwrap();
    for number in 0..10_000_i64 {
        let episode = number / 100;
        let steps = f64::from(u32::try_from(episode * 37 % 11).unwrap());
        let each = f64::from(u32::try_from(number * 37 % 11).unwrap());
        for (checkpoint, reward) in [("episodes", steps), ("steps", each)] {
            let inference = Inference::new("m", "s", "BUY").checkpoint(checkpoint);
            // Within a minute: no rollup tells the episodes apart.
            let id = journal.log(inference.event_time(micros(number))).unwrap();
            let outcome = Outcome::new().reward(reward).correct(reward > 5.0);
            journal.attach_outcome(id, outcome);
        }
        if number % 2_000 == 0 {
            flush(&journal);
        }
    }
    flush(&journal);
    for value in [LiveValue::Reward, LiveValue::Correct] {
        let open = journal.stats("m").best_live(&value, 30).unwrap();
        journal.fold(DAY).unwrap();
        let folded = journal.stats("m").best_live(&value, 30).unwrap();
        assert_eq!(open.ranked, folded.ranked);
        for candidate in &folded.ranked {
            assert_eq!(candidate.batches, 30);
            let is_of_steps = candidate.checkpoint.as_deref() == Some("steps");
            let effect = candidate.design_effect;
            assert_eq!(effect < 2.0, is_of_steps, "{candidate:?}");
            assert!(is_of_steps || effect > 20.0, "{candidate:?}");
        }
        let [one, other] = &folded.ranked[..] else {
            panic!("{:?}", folded.ranked);
        };
        let width = |of: &LiveCandidate| of.high.unwrap() - of.low.unwrap();
        let (wide, narrow) = (width(one).max(width(other)), width(one).min(width(other)));
        assert!(wide > 3.0 * narrow, "{wide} {narrow}");
    }
}

#[test]
fn an_unknown_model_and_an_empty_range_have_no_ranking() {
    let journal = Journal::in_memory().unwrap();
    judged(&journal, "a", Outcome::new().reward(1.0));
    flush(&journal);
    let unknown = journal
        .stats("nobody")
        .best_live(&LiveValue::Reward, 1)
        .unwrap();
    assert!(unknown.ranked.is_empty() && unknown.too_few.is_empty());
    let empty = journal.stats("m").since(micros(5)).until(micros(5));
    let empty = empty.best_live(&LiveValue::Reward, 1).unwrap();
    assert!(empty.ranked.is_empty() && empty.too_few.is_empty());
}

#[test]
fn the_registrys_best_stands_beside_the_live_one() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::options()
        .without_mirror()
        .open(dir.path())
        .unwrap();
    let registry = journal.registry().unwrap();
    registry.set_monitor("m", "loss", Mode::Min).unwrap();
    let mut saved = Vec::new();
    for loss in [0.1, 0.2] {
        let checkpoint = registry
            .checkpoint("m")
            .metric("loss", loss)
            .save(b"w")
            .unwrap();
        saved.push(checkpoint.id().to_owned());
    }
    for number in 0..100 {
        let which = number % 2;
        judged(&journal, &saved[which], Outcome::new().correct(which == 1));
    }
    flush(&journal);
    let ranking = journal
        .stats("m")
        .best_live(&LiveValue::Correct, 30)
        .unwrap();
    assert_eq!(ranking.registry_best.as_deref(), Some(&*saved[0]));
    assert_eq!(ids(&ranking.ranked), [&*saved[1], &*saved[0]]);
    assert_eq!(ranking.agrees_with_registry(), Some(false));
    assert!(ranking.is_clear());
}

/// Decisions by action, all with the same confidences and times.
fn mix(journal: &Journal, model: &str, actions: &[(&str, u32)]) {
    for (action, count) in actions {
        for number in 0..*count {
            let inference = Inference::new(model, "s", action)
                .confidence(if number % 2 == 0 { 0.4 } else { 0.6 })
                .processing_time(Duration::from_micros(100));
            journal.log(inference).unwrap();
        }
    }
}

fn stats(journal: &Journal, model: &str) -> Stats {
    journal.stats(model).get().unwrap()
}

fn assert_near(found: impl Into<Option<f64>>, expected: f64) {
    let found = found.into().unwrap_or(f64::NAN);
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn a_mix_of_actions_drifts_by_the_book() {
    let journal = Journal::in_memory().unwrap();
    mix(
        &journal,
        "even",
        &[("BUY", 400), ("SELL", 400), ("HOLD", 200)],
    );
    mix(
        &journal,
        "same",
        &[("BUY", 200), ("SELL", 200), ("HOLD", 100)],
    );
    mix(
        &journal,
        "shifted",
        &[("BUY", 500), ("SELL", 250), ("HOLD", 250)],
    );
    mix(&journal, "other", &[("WAIT", 1_000)]);
    mix(&journal, "few", &[("BUY", 10), ("SELL", 10)]);
    flush(&journal);
    let between = |before, after| Drift::between(&stats(&journal, before), &stats(&journal, after));
    let same = between("even", "same");
    assert_near(same.actions.divergence, 0.0);
    assert!(same.actions.stability_index.unwrap() < 1e-4, "{same:?}");
    assert_eq!(same.actions.shift, Shift::Negligible);
    assert_eq!(same.decisions, (1_000, 500));

    let shifted = between("even", "shifted").actions;
    // Worked out by hand, with half a decision added to each action of 1,000 + 1.5.
    let share = |count: f64| (count + 0.5) / 1_001.5;
    let term = |before, after| (share(after) - share(before)) * (share(after) / share(before)).ln();
    let index = term(400.0, 500.0) + term(400.0, 250.0) + term(200.0, 250.0);
    assert_near(shifted.stability_index, index);
    assert!((0.1..0.25).contains(&index));
    assert_eq!(shifted.shift, Shift::Medium);
    assert_near(shifted.by_chance, 2.0 * 2.0 / 1_000.0);
    let entropy = |shares: [f64; 3]| -> f64 { shares.iter().map(|p| -p * p.log2()).sum() };
    let divergence = entropy([0.45, 0.325, 0.225])
        - (entropy([0.4, 0.4, 0.2]) + entropy([0.5, 0.25, 0.25])) / 2.0;
    assert_near(shifted.divergence, divergence);
    assert_eq!(&*shifted.shares[0].action, "SELL");
    assert_near(shifted.shares[0].before, 0.4);
    assert_near(shifted.shares[0].after, 0.25);

    let other = between("even", "other").actions;
    assert_near(other.divergence, 1.0);
    assert_eq!(other.shift, Shift::Large);
    assert!(other.stability_index.unwrap().is_finite());
    assert_eq!(between("even", "few").actions.shift, Shift::TooFew);
    let nobody = between("even", "nobody");
    assert_eq!(nobody.actions.shift, Shift::TooFew);
    assert_eq!(nobody.confidence.shift, Shift::TooFew);
    assert_eq!(nobody.latency.shift, Shift::TooFew);
    assert!(nobody.actions.divergence.is_none() && nobody.confidence.standardised.is_none());
    assert_eq!(between("nobody", "nobody").actions.shift, Shift::TooFew);
}

#[test]
fn confidence_and_latency_drift_by_the_book() {
    let journal = Journal::in_memory().unwrap();
    for number in 0..1_000_u32 {
        let spread = if number % 2 == 0 { -0.125 } else { 0.125 };
        for (model, middle, nanos) in [("a", 0.5, 1_000), ("b", 0.59375, 1_200), ("c", 0.75, 2_500)]
        {
            let inference = Inference::new(model, "s", "BUY")
                .confidence(middle + spread)
                .processing_time(Duration::from_nanos(nanos));
            journal.log(inference).unwrap();
        }
        journal
            .log(Inference::new("certain", "s", "BUY").confidence(1.0))
            .unwrap();
        journal
            .log(Inference::new("sure", "s", "BUY").confidence(0.5))
            .unwrap();
    }
    flush(&journal);
    let between = |before, after| Drift::between(&stats(&journal, before), &stats(&journal, after));
    let one = between("a", "b");
    // Each side's sample deviation is 0.125 · √(1000/999).
    let deviation = 0.125 * (1_000.0_f64 / 999.0).sqrt();
    assert!((one.confidence.standardised.unwrap() - 0.09375 / deviation).abs() < 1e-6);
    let error = (0.002 + one.confidence.standardised.unwrap().powi(2) / 4_000.0).sqrt();
    assert_near(one.confidence.standard_error.unwrap(), error);
    assert_eq!(
        (one.confidence.shift, one.latency.shift),
        (Shift::Medium, Shift::Small)
    );
    assert!((one.latency.median_ratio.unwrap() - 1.2).abs() < 0.02);
    let back = between("c", "a");
    assert_eq!(
        (back.confidence.shift, back.latency.shift),
        (Shift::Large, Shift::Large)
    );
    assert!(back.confidence.standardised.unwrap() < -1.9 && back.latency.p99_ratio.unwrap() < 0.42);
    assert_eq!(between("a", "a").confidence.shift, Shift::Negligible);
    assert_eq!(between("a", "a").latency.shift, Shift::Negligible);
    assert_eq!(
        between("certain", "certain").confidence.shift,
        Shift::Negligible
    );
    // Where nothing varies, any difference is infinitely many deviations.
    let certain = between("sure", "certain").confidence;
    assert_eq!(
        (certain.standardised, certain.shift),
        (Some(f64::INFINITY), Shift::Large)
    );
    assert_eq!(between("sure", "certain").latency.shift, Shift::TooFew);
}

#[test]
fn two_windows_of_a_model_are_compared_in_words() {
    let journal = Journal::in_memory().unwrap();
    for number in 0..2_000_i64 {
        let action = if number < 1_000 || number % 4 == 0 {
            "BUY"
        } else {
            "SELL"
        };
        let inference = Inference::new("m", "s", action).confidence(0.5);
        journal.log(inference.event_time(micros(number))).unwrap();
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    let (start, middle, end) = (micros(0), micros(1_000), micros(2_000));
    let drift = reader.compare("m", start..middle, middle..end).unwrap();
    assert_eq!(drift.decisions, (1_000, 1_000));
    let text = drift.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "1000 decisions before, 1000 after");
    assert!(
        lines[1].starts_with("actions: large (stability index "),
        "{text}"
    );
    assert!(
        lines[1].ends_with("100.0 → 25.0 %") || lines[1].ends_with("0.0 → 75.0 %"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("confidence: negligible (+0.00"),
        "{text}"
    );
    assert!(lines[3].starts_with("latency: too few to tell"), "{text}");
    let reversed = reader.compare("m", middle..start, Timestamp::MIN..Timestamp::MAX);
    assert_eq!(reversed.unwrap().decisions, (0, 2_000));
}
