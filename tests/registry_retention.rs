//! Retention: what the plan says is what happens, and what matters is never in it.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod registries;

use std::collections::BTreeSet;
use std::time::Duration;

use annals::registry::{CheckpointRetentionPlan, Fate};
use annals::{Checkpoint, Error, Mode, RetentionPolicy, Timestamp};
use proptest::prelude::*;
use registries::{Place, place};

const MODEL: &str = "dqn_agent";

fn max_count(count: u64) -> RetentionPolicy {
    RetentionPolicy::new().max_count(count)
}

fn max_age(age: Duration) -> RetentionPolicy {
    RetentionPolicy::new().max_age(age)
}

impl Place {
    fn save(&self, step: u64, loss: f64) -> Checkpoint {
        self.clock.advance(Duration::from_secs(60));
        let new = self
            .registry
            .checkpoint(MODEL)
            .metric("loss", loss)
            .step(step);
        new.save(b"weights").unwrap()
    }

    fn plan(&self, policy: RetentionPolicy) -> CheckpointRetentionPlan {
        self.registry.retention(policy).plan().unwrap()
    }

    fn kept(&self) -> Vec<u64> {
        let listed = self.registry.list(MODEL).get().unwrap();
        listed.iter().map(|found| found.step().unwrap()).collect()
    }
}

fn doomed(plan: &CheckpointRetentionPlan) -> Vec<u64> {
    plan.deletions()
        .map(|found| found.step().unwrap())
        .collect()
}

#[test]
fn each_rule_keeps_what_it_says() {
    let place = place();
    for (step, loss) in [
        (1, 0.9),
        (5, 0.1),
        (11, 0.5),
        (14, f64::NAN),
        (23, 0.2),
        (25, 0.3),
    ] {
        place.save(step, loss);
    }
    let policy = || max_count(1);
    let min = || policy().keep_best(2, "loss", Mode::Min);
    assert_eq!(doomed(&place.plan(max_count(2))), [14, 11, 5, 1]);
    assert_eq!(doomed(&place.plan(policy().keep_latest(2))), [14, 11, 5, 1]);
    assert_eq!(doomed(&place.plan(policy())), [23, 14, 11, 5, 1]);
    assert_eq!(doomed(&place.plan(min())), [14, 11, 1]);
    assert_eq!(doomed(&place.plan(min().max_count(2))), [14, 11, 1]);
    assert_eq!(doomed(&place.plan(min().keep_latest(2))), [14, 11, 1]);
    let misspelt = place
        .registry
        .retention(min().keep_best(1, "los", Mode::Max));
    let error = misspelt.plan().err().unwrap();
    assert!(matches!(&error, Error::UnknownMetric { metric, .. } if metric == "los"));
    assert!(error.to_string().contains("known are loss"), "{error}");
    assert_eq!(doomed(&place.plan(policy().keep_every_steps(10))), [14, 5]);
    assert_eq!(
        doomed(&place.plan(max_age(Duration::from_secs(120)).trust_clock())),
        [11, 5, 1]
    );
    let tagged = place.registry.list(MODEL).steps(14..15).get().unwrap();
    place.registry.tag(tagged[0].id(), "release").unwrap();
    assert_eq!(
        doomed(&place.plan(policy().keep_tagged("release"))),
        [23, 11, 5, 1]
    );

    let plan = place.plan(min().keep_every_steps(10));
    let rules: Vec<_> = plan
        .lines()
        .iter()
        .map(|line| (line.fate, line.reason.as_str()))
        .collect();
    assert_eq!(
        rules,
        [
            (Fate::Keep, "the newest of its model"),
            (Fate::Keep, "best 2 by loss (min)"),
            (Fate::Delete, "beyond the newest 1 (max_count)"),
            (Fate::Keep, "every 10 steps"),
            (Fate::Keep, "best 2 by loss (min)"),
            (Fate::Keep, "every 10 steps"),
        ]
    );
    let applied = plan.apply().unwrap();
    assert_eq!((applied.deleted.len(), applied.bytes), (1, 7));
    assert_eq!(place.kept(), [25, 23, 11, 5, 1]);
}

#[test]
fn what_matters_is_never_deleted() {
    let place = place();
    let saved: Vec<_> = (1..=6_u32)
        .map(|step| place.save(step.into(), f64::from(6 - step)))
        .collect();
    place
        .registry
        .set_monitor(MODEL, "loss", Mode::Max)
        .unwrap();
    place.registry.pin(saved[1].id()).unwrap();
    place.registry.activate(saved[2].id()).unwrap();
    place.registry.set_alias("champion", saved[3].id()).unwrap();
    let plan = place.plan(max_count(1));
    assert_eq!(doomed(&plan), [5]);
    plan.apply().unwrap();
    assert_eq!(place.kept(), [6, 4, 3, 2, 1]);
    // Other models are looked at on their own.
    place
        .registry
        .checkpoint("other")
        .step(1)
        .save(b"")
        .unwrap();
    place
        .registry
        .checkpoint("other")
        .step(2)
        .save(b"")
        .unwrap();
    let only = place
        .registry
        .retention(max_count(1))
        .model("other")
        .plan()
        .unwrap();
    assert_eq!(only.lines().len(), 2);
    assert_eq!(only.apply().unwrap().deleted.len(), 1);
}

#[test]
fn a_plan_that_is_out_of_date_deletes_nothing() {
    type Meddle = fn(&Place, &[Checkpoint]);
    let meddling: [(Meddle, &str); 6] = [
        (|p, c| p.registry.pin(c[1].id()).unwrap(), "has changed"),
        (
            |p, c| p.registry.tag(c[1].id(), "x").unwrap(),
            "has changed",
        ),
        (|p, c| p.registry.activate(c[1].id()).unwrap(), "alias"),
        (
            |p, c| p.registry.delete(c[1].id(), "test").unwrap(),
            "is gone",
        ),
        (
            |p, c| p.registry.delete(c[3].id(), "test").unwrap(),
            "newest",
        ),
        (
            |p, _| p.registry.set_monitor(MODEL, "loss", Mode::Max).unwrap(),
            "best",
        ),
    ];
    for (meddle, word) in meddling {
        let place = place();
        let saved: Vec<_> = (0..4_u32)
            .map(|step| place.save(step.into(), -f64::from(step)))
            .collect();
        let plan = place.plan(max_count(1));
        assert_eq!(doomed(&plan), [2, 1, 0]);
        meddle(&place, &saved);
        let before = place.kept();
        let error = plan.apply().unwrap_err();
        let Error::PlanOutdated {
            changes,
            deleted: 0,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert!(
            changes.iter().any(|change| change.contains(word)),
            "{error}"
        );
        assert_eq!(place.kept(), before);
    }
    // Later saves do not count and are left alone; nor does a digest that was computed.
    let place = place();
    (0..3).for_each(|step| drop(place.save(step, 0.0)));
    let plan = place.plan(max_count(1));
    place.save(7, 0.0);
    assert_eq!(plan.apply().unwrap().deleted.len(), 2);
    assert_eq!(place.kept(), [7, 2]);
}

#[test]
fn a_policy_that_makes_no_sense_is_refused() {
    let place = place();
    place.save(1, 0.1);
    for policy in [
        RetentionPolicy::new(),
        RetentionPolicy::new().keep_latest(1),
        max_count(0),
        max_count(1).keep_every_steps(0),
        max_count(1).keep_best(0, "loss", Mode::Min),
        max_count(1).max_files(1),
        max_count(1).keep_after_cursor("export"),
    ] {
        let error = place.registry.retention(policy).plan().err();
        assert!(
            matches!(error, Some(Error::InvalidOption { .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_plan_is_applied_in_slices() {
    let place = place();
    let file = place.path("weights.pt");
    std::fs::write(&file, b"weights").unwrap();
    let entry = |index: i64| {
        let new = place
            .registry
            .checkpoint(MODEL)
            .created(Timestamp::from_micros(index));
        new.metric("loss", 0.5)
            .import_as(format!("c{index}"), &file)
            .unwrap()
    };
    let entries: Vec<_> = (0..1_203).map(entry).collect();
    assert_eq!(place.registry.import(entries).unwrap(), 1_203);
    let plan = place.plan(max_count(3));
    assert_eq!(plan.apply().unwrap().deleted.len(), 1_200);
    assert_eq!(place.registry.count(MODEL).unwrap(), 3);
    assert!(file.exists());
    assert_eq!(place.registry.list(MODEL).get().unwrap()[0].id(), "c1202");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// For every policy: kept and deleted checkpoints are all there are, protected ones are kept,
    /// and applying does what was planned.
    #[test]
    fn a_plan_is_what_happens(
        losses in prop::collection::vec(-2_i32..3, 1..12),
        latest in 1_u64..4,
        best in 1_u64..4,
        pinned in 0_usize..12,
    ) {
        let place = place();
        place.registry.set_monitor(MODEL, "loss", Mode::Min).unwrap();
        let mut saved = Vec::new();
        for (step, loss) in losses.iter().enumerate() {
            saved.push(place.save(step as u64, f64::from(*loss)));
        }
        if let Some(pinned) = saved.get(pinned) {
            place.registry.pin(pinned.id()).unwrap();
        }
        let policy = max_count(latest).keep_best(best, "loss", Mode::Max);
        let plan = place.plan(policy);
        prop_assert_eq!(plan.lines().len(), saved.len());
        let planned: BTreeSet<_> = plan.deletions().map(|found| found.id().to_owned()).collect();
        let best = place.registry.best(MODEL).unwrap().unwrap();
        let newest = place.registry.latest(MODEL).unwrap().unwrap();
        prop_assert!(!planned.contains(best.id()) && !planned.contains(newest.id()));
        prop_assert!(saved.get(pinned).is_none_or(|pinned| !planned.contains(pinned.id())));
        let applied: BTreeSet<_> = plan.apply().unwrap().deleted.into_iter().collect();
        prop_assert_eq!(&applied, &planned);
        for found in &saved {
            let is_there = place.registry.get(found.id()).unwrap().is_some();
            prop_assert_eq!(is_there, !planned.contains(found.id()));
            prop_assert_eq!(found.path().exists(), is_there);
        }
        let still = place.registry.best(MODEL).unwrap().unwrap();
        prop_assert_eq!(still.id(), best.id());
    }
}

/// Saves one checkpoint a day, as many as there are steps, with its entry in the journal.
fn save_daily(place: &Place, steps: std::ops::Range<u64>, freeze: bool) {
    for step in steps {
        let wall = place.clock.now();
        place.clock.advance(DAY);
        if freeze {
            place.clock.set(wall);
        }
        let new = place.registry.checkpoint(MODEL).step(step);
        new.save(b"weights").unwrap();
        place.journal.flush().wait(Duration::from_secs(60)).unwrap();
    }
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn one_jump_of_the_clock_deletes_nothing_and_age_still_counts_afterwards() {
    let policy = || max_age(10 * DAY);
    let year = 365 * DAY;
    type Jump = fn(Timestamp, Duration) -> Timestamp;
    let jumps: [(&str, Jump); 4] = [
        ("ahead", |now, year| now.saturating_add(year)),
        ("back", |now, year| now.saturating_sub(year)),
        ("1970", |_, _| Timestamp::from_micros(0)),
        ("none", |now, _| now),
    ];
    for (name, jump) in jumps {
        let place = place();
        save_daily(&place, 0..4, false);
        place.clock.set(jump(place.clock.now(), year));
        let plan = place.plan(policy());
        assert!(doomed(&plan).is_empty(), "{name}");
        assert_eq!(plan.held_back().is_empty(), name != "ahead", "{name}");
        if name == "ahead" {
            let trusting = place.plan(policy().trust_clock());
            assert_eq!(doomed(&trusting).len(), 3, "the newest stays");
            assert!(trusting.held_back().is_empty());
        }
        // The jump itself, seen by an entry, proves nothing either.
        save_daily(&place, 4..8, false);
        assert!(doomed(&place.plan(policy())).is_empty(), "{name}");
        // Those of the first days are certainly older than 10 days by then.
        save_daily(&place, 8..22, false);
        let gone = doomed(&place.plan(policy()));
        assert!(gone.contains(&0) && gone.contains(&3), "{name}: {gone:?}");
        assert!(gone.iter().all(|step| *step < 12), "{name}: {gone:?}");
    }
    // A clock that stands still: the monotonic one counts while the journal is open.
    let place = place();
    save_daily(&place, 0..22, true);
    let gone = doomed(&place.plan(policy()));
    assert!(
        gone.contains(&3) && gone.iter().all(|step| *step < 12),
        "{gone:?}"
    );
}

#[test]
fn a_rule_that_can_keep_nothing_of_a_model_leaves_it_alone() {
    let place = place();
    (0..4).for_each(|step| drop(place.save(step, 0.5)));
    for _ in 0..3 {
        let other = place.registry.checkpoint("other").metric("accuracy", 0.5);
        other.save(b"w").unwrap();
    }
    place
        .registry
        .tag(&newest(&place, MODEL), "release")
        .unwrap();
    // `other` has neither the metric, nor steps, nor the tag.
    let left_alone = [
        max_count(1).keep_best(1, "loss", Mode::Min),
        max_count(1).keep_every_steps(2),
        max_count(1).keep_tagged("release"),
    ];
    for policy in left_alone {
        let plan = place.plan(policy.clone());
        let other = plan.deletions().filter(|found| found.model() == "other");
        assert_eq!(other.count(), 0, "{policy}");
        assert!(doomed_of(&plan, MODEL) > 0, "{policy}");
        let [why] = plan.held_back() else {
            panic!("{policy}: {:?}", plan.held_back());
        };
        assert!(why.contains("other") && why.contains("keep_"), "{why}");
    }
    // Where each rule has something to go by, the limit decides.
    assert_eq!(doomed_of(&place.plan(max_count(1)), "other"), 2);
    // Asked about one model alone, its metrics and its tags count.
    let only = |policy| place.registry.retention(policy).model("other").plan();
    assert!(matches!(
        only(max_count(1).keep_best(1, "loss", Mode::Min)),
        Err(Error::UnknownMetric { .. })
    ));
    assert!(matches!(
        only(max_count(1).keep_tagged("release")),
        Err(Error::UnknownTag { .. })
    ));
    assert_eq!(place.kept().len(), 4);
}

fn newest(place: &Place, model: &str) -> String {
    let newest = place.registry.latest(model).unwrap().unwrap();
    newest.id().to_owned()
}

fn doomed_of(plan: &CheckpointRetentionPlan, model: &str) -> usize {
    let doomed = plan.deletions();
    doomed.filter(|found| found.model() == model).count()
}

#[test]
fn a_tag_or_a_metric_that_no_checkpoint_has_deletes_nothing() {
    let place = place();
    (0..4).for_each(|step| drop(place.save(step, f64::NAN)));
    place
        .registry
        .tag(&newest(&place, MODEL), "release")
        .unwrap();
    let misspelt = max_count(1).keep_tagged("release").keep_tagged("relaese");
    let error = place.registry.retention(misspelt).plan().err().unwrap();
    assert!(matches!(&error, Error::UnknownTag { tag, .. } if tag == "relaese"));
    assert!(error.to_string().contains("known are release"), "{error}");
    assert_eq!(error.kind(), annals::ErrorKind::NotFound);
    // NaN ranks nothing.
    let plan = place.plan(max_count(1).keep_best(2, "loss", Mode::Min));
    assert!(doomed(&plan).is_empty());
    assert!(plan.held_back()[0].contains("loss"));
    // Without checkpoints there is nothing to delete, and no name is wrong.
    let none = max_count(1).keep_tagged("x").keep_best(1, "y", Mode::Min);
    let none = place.registry.retention(none).model("nobody").plan();
    assert!(none.unwrap().lines().is_empty());
}

#[test]
fn weights_are_limited_by_their_bytes() {
    let place = place();
    let weights = vec![7; 1 << 20];
    for step in 0..5 {
        let new = place.registry.checkpoint(MODEL).step(step);
        new.save(&weights).unwrap();
    }
    // Weights that lie elsewhere would not be freed, and do not count.
    let file = place.path("weights.pt");
    std::fs::write(&file, &weights).unwrap();
    let elsewhere = place.registry.checkpoint(MODEL).step(5);
    elsewhere.register(&file).unwrap();
    let policy = || RetentionPolicy::new().max_bytes(2 << 20);
    let plan = place.plan(policy());
    assert_eq!((doomed(&plan), plan.bytes()), (vec![2, 1, 0], 3 << 20));
    let lines = plan.lines();
    assert_eq!(lines[1].reason, "within the limits");
    assert_eq!(lines[3].reason, "beyond the newest 2MiB (max_bytes)");
    // What a rule keeps counts, and comes on top of it.
    assert_eq!(doomed(&place.plan(policy().keep_every_steps(2))), [1]);
    let applied = plan.apply().unwrap();
    assert_eq!((applied.deleted.len(), applied.bytes), (3, 3 << 20));
    let gone = place.registry.load(&applied.deleted[0]).err().unwrap();
    assert!(gone.to_string().contains("max_bytes"), "{gone}");
}

/// The part of a policy that a number chooses.
fn with_rule(policy: RetentionPolicy, rule: u8) -> RetentionPolicy {
    match rule {
        0 => policy.max_count(3),
        1 => policy.max_age(Duration::from_secs(240)).trust_clock(),
        2 => policy.max_bytes(1 << 20),
        3 => policy.keep_latest(4),
        4 => policy.keep_best(2, "loss", Mode::Min),
        5 => policy.keep_best(1, "loss", Mode::Max),
        6 => policy.keep_every_steps(3),
        _ => policy.keep_tagged("release"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The meaning of every policy: the order of rules does not matter, a further limit deletes at
    /// least as much, and a further keep rule at most as much.
    #[test]
    fn limits_only_delete_more_and_keep_rules_only_less(
        losses in prop::collection::vec(-2_i32..3, 4..9),
        rules in prop::sample::subsequence((0..8_u8).collect::<Vec<_>>(), 0..6),
        more in 0..8_u8,
    ) {
        let place = place();
        for (step, loss) in losses.iter().enumerate() {
            let saved = place.save(step as u64, f64::from(*loss));
            if step % 3 == 1 {
                place.registry.tag(saved.id(), "release").unwrap();
            }
        }
        let whole = rules.iter().fold(max_count(6), |policy, rule| with_rule(policy, *rule));
        let reversed = rules.iter().rev();
        let reversed = reversed.fold(RetentionPolicy::new(), |policy, rule| {
            with_rule(policy, *rule)
        });
        let reversed = match rules.contains(&0) {
            true => reversed,
            false => reversed.max_count(6),
        };
        let deleted = |policy| BTreeSet::from_iter(doomed(&place.plan(policy)));
        let before = deleted(whole.clone());
        prop_assert_eq!(&before, &deleted(reversed));
        let after = deleted(with_rule(whole, more));
        let (least, most) = if more < 3 { (&before, &after) } else { (&after, &before) };
        prop_assert!(least.is_subset(most), "{:?} {:?}", before, after);
    }
}
