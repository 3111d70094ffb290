//! The checkpoint registry within one process: what is saved is found, what is best is best, and
//! names, pins and tags mean what they say.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod registries;
mod support;

use std::time::Duration;

use annals::entry::CheckpointAction;
use annals::registry::{Condition, Metadata};
use annals::{Checkpoint, Content, Error, Journal, Mode, Registry, Sharing, Timestamp};
use proptest::prelude::*;
use registries::{NOW, Place, place, place_with};
use support::{entries, flush, micros};

const MODEL: &str = "dqn_agent";
impl Place {
    fn save(&self, loss: f64) -> Checkpoint {
        self.clock.advance(Duration::from_secs(1));
        let new = self.registry.checkpoint(MODEL).metric("loss", loss);
        new.save(loss.to_string()).unwrap()
    }

    fn events(&self) -> Vec<(CheckpointAction, String)> {
        flush(&self.journal);
        let event = |content| match content {
            Content::CheckpointEvent(event) => Some((event.action, event.checkpoint.to_string())),
            _ => None,
        };
        let all = entries(&self.journal.reader().unwrap()).into_iter();
        all.filter_map(|entry| event(entry.content)).collect()
    }

    fn messages(&self) -> Vec<String> {
        flush(&self.journal);
        let message = |content| match content {
            Content::SystemEvent(event) => Some(event.message),
            _ => None,
        };
        let all = entries(&self.journal.reader().unwrap()).into_iter();
        all.filter_map(|entry| message(entry.content)).collect()
    }
}

fn ids(found: &[Checkpoint]) -> Vec<&str> {
    found.iter().map(Checkpoint::id).collect()
}

#[test]
fn what_is_saved_is_found_with_all_that_was_said() {
    for sharing in [Sharing::Shared, Sharing::Exclusive] {
        let place = place_with(sharing);
        let parent = place.registry.checkpoint(MODEL).save(b"parent").unwrap();
        assert_eq!(parent.id(), "dqn_agent_20250725_143500");
        place.clock.advance(Duration::from_secs(61));
        let schedule = Metadata::map([("warm", Metadata::from(true)), ("by", 0.5.into())]);
        let new = place.registry.checkpoint(MODEL).model_type("rl");
        let new = new
            .extension("pt")
            .metric("loss", 9.0)
            .metric("loss", 0.0234);
        let new = new.metric("accuracy", f64::NAN).metadata("lr", 0.001);
        let new = new.metadata("schedule", schedule.clone()).metadata("n", 7);
        let new = new
            .step(12)
            .epoch(3)
            .parent(parent.id())
            .tag("nightly")
            .tag("nightly");
        let saved = new.save(b"weights").unwrap();

        let found = place.registry.get(saved.id()).unwrap().unwrap();
        assert_eq!(found.id(), "dqn_agent_20250725_143601");
        assert_eq!((found.model(), found.model_type()), (MODEL, "rl"));
        assert_eq!(found.created(), micros(NOW + 61_000_000));
        assert_eq!(found.metric("loss"), Some(0.0234));
        assert!(found.metric("accuracy").unwrap().is_nan());
        assert_eq!(found.metric("other"), None);
        assert_eq!(found.metadata("schedule"), Some(&schedule));
        assert_eq!(found.metadata("n"), Some(&Metadata::Integer(7)));
        assert_eq!((found.step(), found.epoch()), (Some(12), Some(3)));
        assert_eq!(found.parent(), Some(parent.id()));
        assert_eq!(found.tags(), ["nightly"]);
        assert_eq!((found.bytes(), found.is_pinned()), (7, false));
        assert_eq!(found.digest(), Some(*blake3::hash(b"weights").as_bytes()));
        let folder = place.dir.path().join("data/checkpoints/dqn_agent");
        let file = "dqn_agent_20250725_143601.pt";
        assert_eq!(found.path(), folder.join(file));
        assert_eq!(std::fs::read(found.path()).unwrap(), b"weights");
        assert_eq!(place.registry.models().unwrap(), [MODEL]);
        assert_eq!(place.registry.metrics(MODEL).unwrap(), ["loss", "accuracy"]);
        assert_eq!(place.registry.bytes(MODEL).unwrap(), 13);
        assert_eq!(place.registry.count(MODEL).unwrap(), 2);
        assert_eq!(
            ids(&place.registry.lineage(saved.id()).unwrap()),
            [saved.id(), parent.id()]
        );

        // Another registry, in another process as it were, sees the same.
        place.journal.close().unwrap();
        let (data, root) = (place.dir.path().join("data"), place.dir);
        drop((place.registry, place.journal));
        let other = Registry::open(data).unwrap();
        assert_eq!(
            other
                .latest(MODEL)
                .unwrap()
                .map(|c| c.id().to_owned())
                .as_deref(),
            Some(saved.id())
        );
        drop(root);
    }
}

#[test]
fn one_second_sees_many_checkpoints() {
    let place = place();
    let saved: Vec<_> = (0..20)
        .map(|_| place.registry.checkpoint(MODEL).save(b"x").unwrap())
        .collect();
    assert_eq!(saved[0].id(), "dqn_agent_20250725_143500");
    assert_eq!(saved[1].id(), "dqn_agent_20250725_143500_2");
    assert_eq!(saved[19].id(), "dqn_agent_20250725_143500_20");
    let listed = place.registry.list(MODEL).get().unwrap();
    let mut expected = ids(&saved);
    expected.reverse();
    assert_eq!(ids(&listed), expected);
}

#[test]
fn what_was_saved_last_is_newest_whatever_the_clock_says() {
    let place = place();
    place.save(0.1);
    place.clock.set(micros(NOW - 3_600_000_000));
    let saved = place.save(0.2);
    let latest = place.registry.latest(MODEL).unwrap().unwrap();
    assert_eq!(latest.id(), saved.id());
    assert_eq!(latest.created(), micros(NOW - 3_599_000_000));
}

#[test]
fn the_best_is_the_best() {
    let place = place();
    let registry = &place.registry;
    assert!(registry.best(MODEL).unwrap().is_none());
    registry.set_monitor(MODEL, "loss", Mode::Min).unwrap();
    assert!(registry.best(MODEL).unwrap().is_none());
    let worse = place.save(0.5);
    let best = place.save(0.0);
    place.save(f64::NAN);
    place.save(f64::INFINITY);
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), best.id());
    // −0.0 is 0.0, and of equals the newest is best.
    let equal = place.save(-0.0);
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), equal.id());
    let other = place
        .registry
        .checkpoint(MODEL)
        .metric("reward", 3.0)
        .save(b"")
        .unwrap();
    assert_eq!(
        registry
            .best_by(MODEL, "reward", Mode::Max)
            .unwrap()
            .unwrap()
            .id(),
        other.id()
    );
    let top = registry.top_k(MODEL, "loss", Mode::Min, 3).unwrap();
    assert_eq!(ids(&top), [equal.id(), best.id(), worse.id()]);
    let most = registry.best_by(MODEL, "loss", Mode::Max).unwrap().unwrap();
    assert_eq!(most.metric("loss"), Some(f64::INFINITY));
    let lowest = place.save(f64::NEG_INFINITY);
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), lowest.id());
    registry.set_monitor(MODEL, "reward", Mode::Max).unwrap();
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), other.id());
    assert_eq!(
        registry.monitor(MODEL).unwrap(),
        Some(("reward".to_owned(), Mode::Max))
    );
    let each = registry.best_of_each(&[MODEL, "unheard"]).unwrap();
    assert_eq!(each[0].as_ref().map(Checkpoint::id), Some(other.id()));
    assert!(each[1].is_none());
}

#[test]
fn an_unknown_metric_says_which_are_known() {
    let place = place();
    let unset = place.save(1.0);
    let error = place.registry.best(MODEL).unwrap_err();
    assert!(matches!(error, Error::NoMonitor { .. }), "{error:?}");
    assert!(error.to_string().contains("loss"), "{error}");
    place.registry.set_monitor(MODEL, "los", Mode::Min).unwrap();
    for error in [
        place.registry.best(MODEL).unwrap_err(),
        place.registry.best_by(MODEL, "los", Mode::Max).unwrap_err(),
        place
            .registry
            .top_k(MODEL, "los", Mode::Max, 0)
            .unwrap_err(),
    ] {
        assert!(matches!(&error, Error::UnknownMetric { known, .. } if known == &["loss"]));
    }
    // A metric that is nowhere a number is known and ranks nothing.
    place
        .registry
        .checkpoint(MODEL)
        .metric("los", f64::NAN)
        .save(b"")
        .unwrap();
    assert!(place.registry.best(MODEL).unwrap().is_none());
    // It is unknown again when the last checkpoint that had it is gone.
    place.registry.delete(unset.id(), "test").unwrap();
    assert_eq!(place.registry.metrics(MODEL).unwrap(), ["los"]);
}

fn metric() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(Some(f64::NEG_INFINITY)),
        2 => Just(Some(0.0)),
        2 => Just(Some(-0.0)),
        6 => (-3_i32..3).prop_map(|n| Some(f64::from(n) / 2.0)),
        3 => any::<f64>().prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Against a plain sort of everything that ranks.
    #[test]
    fn ranking_is_a_sort(values in prop::collection::vec(metric(), 1..24), drop in any::<u32>()) {
        let place = place();
        place.registry.set_monitor(MODEL, "m", Mode::Max).unwrap();
        let mut known = Vec::new();
        for (age, value) in values.iter().enumerate() {
            let new = place.registry.checkpoint(MODEL);
            let new = match value {
                Some(value) => new.metric("m", *value),
                None => new,
            };
            known.push((age, *value, new.save(b"").unwrap()));
        }
        // Some are deleted, as far as they may be.
        for index in 0..known.len() - 1 {
            if drop >> index & 1 == 1 {
                place.registry.delete(known[index].2.id(), "test").unwrap();
                known[index].1 = None;
            }
        }
        for mode in [Mode::Min, Mode::Max] {
            let mut expected: Vec<_> = known
                .iter()
                .filter_map(|(age, value, c)| Some((value.filter(|v| !v.is_nan())? + 0.0, *age, c)))
                .collect();
            expected.sort_by(|a, b| {
                let better = match mode {
                    Mode::Min => a.0.total_cmp(&b.0),
                    _ => b.0.total_cmp(&a.0),
                };
                better.then(b.1.cmp(&a.1))
            });
            let expected: Vec<&str> = expected.iter().map(|(_, _, c)| c.id()).collect();
            let top = match place.registry.top_k(MODEL, "m", mode, 100) {
                Ok(top) => top,
                Err(Error::UnknownMetric { .. }) => Vec::new(),
                Err(error) => panic!("{error}"),
            };
            prop_assert_eq!(ids(&top), &expected[..]);
            place.registry.set_monitor(MODEL, "m", mode).unwrap();
            let best = place.registry.best(MODEL).ok().flatten();
            prop_assert_eq!(best.as_ref().map(Checkpoint::id), expected.first().copied());
            if !expected.is_empty() {
                let three = place.registry.top_k(MODEL, "m", mode, 3).unwrap();
                prop_assert_eq!(ids(&three), &expected[..expected.len().min(3)]);
            }
        }
    }
}

#[test]
fn lists_are_filtered_and_newest_first() {
    let place = place();
    let mut saved = Vec::new();
    for step in 1..=6 {
        place.clock.advance(Duration::from_secs(1));
        let new = place.registry.checkpoint(MODEL).step(step);
        let new = if step % 2 == 0 { new.tag("even") } else { new };
        saved.push(new.save(b"").unwrap());
    }
    place
        .registry
        .checkpoint("other")
        .tag("even")
        .save(b"")
        .unwrap();
    let list = || place.registry.list(MODEL);
    let steps = |list: annals::registry::List| -> Vec<u64> {
        let found = list.get().unwrap();
        found.iter().map(|c| c.step().unwrap()).collect()
    };
    assert_eq!(steps(list()), [6, 5, 4, 3, 2, 1]);
    assert_eq!(steps(list().limit(2)), [6, 5]);
    assert_eq!(steps(list().limit(0)), [0_u64; 0]);
    assert_eq!(steps(list().tag("even")), [6, 4, 2]);
    assert_eq!(steps(list().tag("even").steps(..5).limit(1)), [4]);
    assert_eq!(steps(list().steps(2..=3)), [3, 2]);
    assert_eq!(steps(list().steps(3..3)), [0_u64; 0]);
    assert_eq!(steps(list().since(saved[4].created())), [6, 5]);
    assert_eq!(steps(list().until(saved[1].created())), [1]);
    assert_eq!(steps(list().tag("odd")), [0_u64; 0]);
    assert_eq!(steps(list().active()), [0_u64; 0]);
    place.registry.activate(saved[2].id()).unwrap();
    assert_eq!(steps(list().active()), [3]);
    assert_eq!(steps(list().active().tag("even")), [0_u64; 0]);
    place.registry.tag(saved[2].id(), "even").unwrap();
    assert_eq!(steps(list().tag("even")), [6, 4, 3, 2]);
    place.registry.untag(saved[3].id(), "even").unwrap();
    assert_eq!(steps(list().tag("even")), [6, 3, 2]);
}

#[test]
fn aliases_remember_where_they_pointed() {
    let place = place();
    let registry = &place.registry;
    let (a, b, c) = (place.save(0.1), place.save(0.2), place.save(0.3));
    assert!(registry.active(MODEL).unwrap().is_none());
    let error = registry.rollback(MODEL, "active").unwrap_err();
    assert!(matches!(error, Error::UnknownAlias { .. }), "{error:?}");
    let mut times = vec![micros(NOW)];
    for checkpoint in [&a, &b, &c] {
        place.clock.advance(Duration::from_secs(10));
        registry.activate(checkpoint.id()).unwrap();
        registry.activate(checkpoint.id()).unwrap(); // changes nothing
        times.push(place.clock.now());
    }
    assert_eq!(registry.active(MODEL).unwrap().unwrap().id(), c.id());
    let at = |time: Timestamp| registry.alias_at(MODEL, "active", time).unwrap();
    assert_eq!(at(times[0]), None);
    assert_eq!(at(times[1]).as_deref(), Some(a.id()));
    assert_eq!(
        at(times[2].saturating_sub(Duration::from_micros(1))).as_deref(),
        Some(a.id())
    );
    assert_eq!(at(times[2]).as_deref(), Some(b.id()));
    assert_eq!(at(Timestamp::MAX).as_deref(), Some(c.id()));

    // Back, and further back; the way there is history too. The clock may go back in between.
    place.clock.set(micros(NOW));
    assert_eq!(registry.rollback(MODEL, "active").unwrap().id(), b.id());
    assert_eq!(registry.rollback(MODEL, "active").unwrap().id(), a.id());
    let error = registry.rollback(MODEL, "active").unwrap_err();
    assert!(matches!(error, Error::NothingBefore { .. }), "{error:?}");
    assert_eq!(at(times[3]).as_deref(), Some(c.id()));
    let history = registry.alias_history(MODEL, "active").unwrap();
    let targets: Vec<_> = history
        .iter()
        .map(|change| change.target.as_deref().unwrap())
        .collect();
    assert_eq!(targets, [a.id(), b.id(), c.id(), b.id(), a.id()]);
    assert!(history.windows(2).all(|pair| pair[0].since < pair[1].since));

    // Deleted checkpoints are passed over.
    registry.set_alias("champion", a.id()).unwrap();
    registry.set_alias("champion", b.id()).unwrap();
    registry.set_alias("champion", c.id()).unwrap();
    registry.delete(b.id(), "test").unwrap();
    assert_eq!(registry.rollback(MODEL, "champion").unwrap().id(), a.id());
    assert_eq!(registry.aliases(MODEL).unwrap().len(), 2);
    assert!(registry.remove_alias(MODEL, "champion").unwrap());
    assert!(!registry.remove_alias(MODEL, "champion").unwrap());
    assert!(registry.alias(MODEL, "champion").unwrap().is_none());
    assert_eq!(
        registry
            .alias_at(MODEL, "champion", Timestamp::MAX)
            .unwrap(),
        None
    );
    assert_eq!(registry.rollback(MODEL, "champion").unwrap().id(), a.id());
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let place = place();
    let registry = &place.registry;
    let only = place.save(0.1);
    let refuse = |id: &str, word: &str| {
        let error = registry.delete(id, "test").unwrap_err();
        assert!(
            matches!(&error, Error::Protected { by, .. } if by.contains(word)),
            "{error:?}"
        );
    };
    refuse(only.id(), "last");
    let other = place.save(0.2);
    registry.pin(only.id()).unwrap();
    refuse(only.id(), "pinned");
    registry.unpin(only.id()).unwrap();
    registry.activate(only.id()).unwrap();
    refuse(only.id(), "active");
    registry.activate(other.id()).unwrap();
    registry.delete(only.id(), "superseded").unwrap();
    assert!(!only.path().exists() && !only.path().with_extension("json").exists());
    assert_eq!(registry.bytes(MODEL).unwrap(), other.bytes());
    for error in [
        registry.delete(only.id(), "again").unwrap_err(),
        registry.activate(only.id()).unwrap_err(),
        registry.load(only.id()).unwrap_err(),
        registry.pin(only.id()).unwrap_err(),
        registry.find(only.id()).unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Deleted { why, .. } if why == "superseded"),
            "{error:?}"
        );
    }
    // Its id is not given again.
    place.clock.set(only.created());
    let again = registry.checkpoint(MODEL).save(b"").unwrap();
    assert_eq!(again.id(), format!("{}_2", only.id()));
}

#[test]
fn the_journal_tells_what_happened() {
    use CheckpointAction::{Activated, Deleted, Failed, Loaded, Saved};
    let place = place();
    let (a, b) = (place.save(0.1), place.save(0.2));
    place.registry.activate(b.id()).unwrap();
    place.registry.load(b.id()).unwrap();
    std::fs::write(b.path(), b"xxx").unwrap();
    place.registry.load(b.id()).unwrap_err();
    place.registry.delete(a.id(), "test").unwrap();
    let (a, b) = (a.id().to_owned(), b.id().to_owned());
    let expected = [
        (Saved, a.clone()),
        (Saved, b.clone()),
        (Activated, b.clone()),
        (Loaded, b.clone()),
        (Failed, b),
        (Deleted, a),
    ];
    assert_eq!(place.events(), expected);
}

#[test]
fn no_checkpoints_is_said_once() {
    let place = place();
    for _ in 0..1_000 {
        assert!(place.registry.best(MODEL).unwrap().is_none());
        assert!(place.registry.latest(MODEL).unwrap().is_none());
    }
    place.save(0.1);
    place.registry.latest(MODEL).unwrap().unwrap();
    let messages = place.messages();
    assert_eq!(
        messages,
        [
            "no checkpoints for dqn_agent",
            "over: no checkpoints for dqn_agent"
        ]
    );
}

#[test]
fn a_journal_in_memory_has_no_place_for_weights() {
    let journal = Journal::in_memory().unwrap();
    let error = journal.registry().unwrap_err();
    assert!(matches!(error, Error::NoDirectory), "{error:?}");
}

#[test]
fn a_journal_gives_the_registry_that_is_open() {
    let place = place();
    let other = place.journal.registry().unwrap();
    let saved = place.save(0.5);
    assert_eq!(other.get(saved.id()).unwrap().unwrap(), saved);
    assert_eq!(*saved.condition(), Condition::Present);
}

#[test]
fn a_registry_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Registry>();
    shared::<Checkpoint>();
    shared::<annals::registry::Watch>();
    shared::<annals::registry::CheckpointRetentionPlan>();
}
