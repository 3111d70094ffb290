//! Checkpoints and processes. A process that dies at any step of a save or a deletion leaves all of
//! a checkpoint or none. Several that save, look, watch and clean up at once lose nothing.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::registry::{Condition, Watched};
use annals::{Checkpoint, Error, Journal, Mode, Registry, RetentionPolicy};
use common::{BOUND, Child, Random, command, role, say};
use tempfile::TempDir;

const MODEL: &str = "dqn_agent";

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "dies saving" => die_at_step(&dir, |registry| {
            registry
                .checkpoint(MODEL)
                .metric("loss", 0.1)
                .save(WEIGHTS)
                .unwrap();
        }),
        "dies deleting" => die_at_step(&dir, |registry| {
            let oldest = registry.list(MODEL).get().unwrap().pop().unwrap();
            registry.delete(oldest.id(), "test").unwrap();
        }),
        "dies retaining" => die_at_step(&dir, |registry| {
            let plan = registry
                .retention(RetentionPolicy::new().max_count(1))
                .plan()
                .unwrap();
            plan.apply().unwrap();
        }),
        "saves for ever" => save_for_ever(&dir),
        "saves some" => save_some(&dir),
        "retains" => retain(&dir),
        "looks" => look(&dir),
        "saves and activates" => save_and_activate(&dir),
        other => panic!("no role {other}"),
    }
}

const WEIGHTS: &[u8] = b"all of the weights";

static STEPS: AtomicU64 = AtomicU64::new(0);
static LAST_STEP: AtomicU64 = AtomicU64::new(0);

/// Dies at the step that the parent names; ends in good order if there are not so many.
fn die_at_step(dir: &Path, body: fn(&Registry)) {
    let registry = Registry::open(dir).unwrap();
    LAST_STEP.store(command().unwrap().parse().unwrap(), Ordering::SeqCst);
    registry.at_each_step(|_| {
        if STEPS.fetch_add(1, Ordering::SeqCst) == LAST_STEP.load(Ordering::SeqCst) {
            std::process::abort();
        }
    });
    body(&registry);
    say("done");
}

fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Journal::open(dir.path()).unwrap().close().unwrap();
    dir
}

/// The files of a model, without the lock of the folder.
fn files(dir: &Path) -> BTreeSet<String> {
    let folder = dir.join("checkpoints").join(MODEL);
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Every checkpoint is whole, has its two files, and there are no other files.
fn assert_whole(registry: &Registry, dir: &Path) -> Vec<Checkpoint> {
    let listed = registry.list(MODEL).get().unwrap();
    let mut expected = BTreeSet::new();
    for checkpoint in &listed {
        let loaded = registry.load(checkpoint.id()).unwrap();
        assert_eq!(loaded.into_bytes().unwrap(), WEIGHTS);
        expected.insert(format!("{}.bin", checkpoint.id()));
        expected.insert(format!("{}.json", checkpoint.id()));
    }
    assert_eq!(files(dir), expected);
    listed
}

/// Runs `role` so often that it dies at each of its steps, and hands the directory to `check`.
fn die_everywhere(role: &str, before: impl Fn(&Registry), check: impl Fn(&Path)) -> u64 {
    for step in 0.. {
        let dir = place();
        let registry = Registry::open(dir.path()).unwrap();
        before(&registry);
        drop(registry);
        let mut child = Child::start(role, dir.path());
        child.tell(&step.to_string());
        let ended = child.die_or_say();
        check(dir.path());
        if ended {
            return step;
        }
    }
    unreachable!("a save has an end")
}

#[test]
fn a_save_that_dies_at_any_step_leaves_all_or_nothing() {
    let save_one = |registry: &Registry| {
        registry
            .checkpoint(MODEL)
            .metric("loss", 0.5)
            .save(WEIGHTS)
            .unwrap();
    };
    let steps = die_everywhere("dies saving", save_one, |dir| {
        // As it is found: nothing is seen half.
        let registry = Registry::open(dir).unwrap();
        for checkpoint in registry.list(MODEL).get().unwrap() {
            registry.load(checkpoint.id()).unwrap();
        }
        // The next save clears away what is left; the reconciliation takes in what is whole.
        registry
            .checkpoint(MODEL)
            .metric("loss", 0.7)
            .save(WEIGHTS)
            .unwrap();
        let report = registry.reconcile_contents().unwrap();
        assert!(
            report.foreign.is_empty() && report.orphaned.is_empty(),
            "{report:?}"
        );
        assert!(
            report.missing.is_empty() && report.corrupt.is_empty(),
            "{report:?}"
        );
        let listed = assert_whole(&registry, dir);
        assert!((2..=3).contains(&listed.len()));
        let best = registry.best_by(MODEL, "loss", Mode::Min).unwrap().unwrap();
        let expected = if listed.len() == 3 { 0.1 } else { 0.5 };
        assert_eq!(best.metric("loss"), Some(expected));
    });
    assert_eq!(steps, 9, "a save has other steps than the test knows");
}

/// Also when the registry knew nothing of the model, and takes in by itself what it finds.
#[test]
fn a_first_save_that_dies_leaves_all_or_nothing() {
    let nothing = |_: &Registry| ();
    die_everywhere("dies saving", nothing, |dir| {
        let registry = Registry::open(dir).unwrap();
        assert!(registry.rebuild_failure().is_none());
        let found = registry.list(MODEL).get().unwrap();
        assert!(found.len() <= 1);
        registry.reconcile().unwrap();
        assert_eq!(assert_whole(&registry, dir).len(), found.len());
    });
}

#[test]
fn a_deletion_that_dies_at_any_step_is_all_or_nothing() {
    let save_two = |registry: &Registry| {
        for _ in 0..2 {
            registry.checkpoint(MODEL).save(WEIGHTS).unwrap();
        }
    };
    for role in ["dies deleting", "dies retaining"] {
        let steps = die_everywhere(role, save_two, |dir| {
            let registry = Registry::open(dir).unwrap();
            let listed = registry.list(MODEL).get().unwrap();
            for checkpoint in &listed {
                registry.load(checkpoint.id()).unwrap();
            }
            // A deleted checkpoint does not come back, whatever its files contain.
            let report = registry.reconcile().unwrap();
            assert!(
                report.adopted.is_empty() && report.missing.is_empty(),
                "{report:?}"
            );
            let whole = assert_whole(&registry, dir);
            assert_eq!(whole.len(), listed.len());
        });
        assert_eq!(steps, 4, "a deletion has other steps than the test knows");
    }
}

/// Saves without pause and says each id once it is promised.
fn save_for_ever(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    loop {
        let saved = registry.checkpoint(MODEL).save(WEIGHTS).unwrap();
        say(saved.id());
    }
}

#[test]
fn what_was_saved_before_a_kill_is_there() {
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let dir = place();
    let mut promised = BTreeSet::new();
    for _ in 0..6 {
        let saver = Child::start("saves for ever", dir.path());
        for _ in 0..random.below(8) {
            promised.insert(saver.hear());
        }
        common::spin(Duration::from_micros(random.below(3_000)));
        promised.extend(saver.kill().into_iter().map(|line| line.text));
        let registry = Registry::open(dir.path()).unwrap();
        let known: BTreeSet<_> = registry
            .list(MODEL)
            .get()
            .unwrap()
            .iter()
            .map(|c| c.id().to_owned())
            .collect();
        assert!(promised.is_subset(&known), "{promised:?} {known:?}");
    }
    let registry = Registry::open(dir.path()).unwrap();
    registry.reconcile_contents().unwrap();
    assert_whole(&registry, dir.path());
}

const SAVES: usize = 25;

fn save_some(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    say("ready");
    command().unwrap();
    for index in 0..SAVES {
        let new = registry.checkpoint(MODEL).step(index as u64);
        say(new.save(WEIGHTS).unwrap().id());
    }
    say("done");
}

#[test]
fn several_savers_in_one_second_lose_nothing() {
    let dir = place();
    let mut savers: Vec<_> = (0..3)
        .map(|_| Child::start("saves some", dir.path()))
        .collect();
    savers
        .iter()
        .for_each(|saver| assert_eq!(saver.hear(), "ready"));
    savers.iter_mut().for_each(|saver| saver.tell("go"));
    let mut said = BTreeSet::new();
    for saver in &savers {
        loop {
            match saver.hear() {
                line if line == "done" => break,
                id => assert!(said.insert(id), "an id was given twice"),
            }
        }
    }
    savers.into_iter().for_each(Child::finish);
    assert_eq!(said.len(), 3 * SAVES);
    let registry = Registry::open(dir.path()).unwrap();
    let listed = assert_whole(&registry, dir.path());
    let listed: BTreeSet<_> = listed.iter().map(|c| c.id().to_owned()).collect();
    assert_eq!(listed, said);
}

/// Cleans up again and again until it is told to stop.
fn retain(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    say("ready");
    let mut deleted = 0;
    while command().unwrap() != "stop" {
        let plan = registry
            .retention(RetentionPolicy::new().max_count(3))
            .plan()
            .unwrap();
        match plan.apply() {
            Ok(applied) => deleted += applied.deleted.len(),
            Err(Error::PlanOutdated { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        say("retained");
    }
    say(&deleted.to_string());
}

/// Loads the best again and again; it may have been deleted in between, and nothing worse.
fn look(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    say("ready");
    while command().unwrap() != "stop" {
        for _ in 0..20 {
            let best = registry.best_by(MODEL, "loss", Mode::Min).unwrap();
            let latest = registry.latest(MODEL).unwrap();
            for found in best.into_iter().chain(latest) {
                match registry.load(found.id()) {
                    Ok(loaded) => assert_eq!(loaded.into_bytes().unwrap(), WEIGHTS),
                    Err(Error::Deleted { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        say("looked");
    }
    say("stopped");
}

#[test]
fn a_trainer_an_agent_and_a_cleaner_work_at_once() {
    let dir = place();
    let registry = Registry::open(dir.path()).unwrap();
    registry
        .checkpoint(MODEL)
        .metric("loss", 1e9)
        .save(WEIGHTS)
        .unwrap();
    registry.set_monitor(MODEL, "loss", Mode::Min).unwrap();
    let mut cleaner = Child::start("retains", dir.path());
    let mut agent = Child::start("looks", dir.path());
    assert_eq!(cleaner.hear(), "ready");
    assert_eq!(agent.hear(), "ready");
    let mut saved = 1;
    for round in 0..8 {
        cleaner.tell("go");
        agent.tell("go");
        for index in 0..6 {
            let loss = f64::from((round * 7 + index * 3) % 11);
            registry
                .checkpoint(MODEL)
                .metric("loss", loss)
                .save(WEIGHTS)
                .unwrap();
            saved += 1;
        }
        assert_eq!(cleaner.hear(), "retained");
        assert_eq!(agent.hear(), "looked");
    }
    assert_eq!(agent.ask("stop"), "stopped");
    let deleted: usize = cleaner.ask("stop").parse().unwrap();
    agent.finish();
    cleaner.finish();
    assert!(deleted > 0);
    let listed = assert_whole(&registry, dir.path());
    assert_eq!(listed.len() + deleted, saved);
    assert!(
        listed
            .iter()
            .all(|found| *found.condition() == Condition::Present)
    );
}

/// For each command, saves or activates, and says the id.
fn save_and_activate(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    say("ready");
    while let Some(loss) = command() {
        let new = registry
            .checkpoint(MODEL)
            .metric("loss", loss.parse::<f64>().unwrap());
        let saved = new.save(WEIGHTS).unwrap();
        registry.activate(saved.id()).unwrap();
        say(saved.id());
    }
}

#[test]
fn a_watch_sees_what_another_process_does_in_time() {
    let dir = place();
    let registry = Registry::open(dir.path()).unwrap();
    registry.set_monitor(MODEL, "loss", Mode::Min).unwrap();
    let mut best = registry.watch(MODEL, Watched::Best).unwrap();
    let mut active = registry.watch(MODEL, Watched::active()).unwrap();
    assert!(best.changed().is_none() && active.current().is_none());
    let mut trainer = Child::start("saves and activates", dir.path());
    assert_eq!(trainer.hear(), "ready");
    let mut slowest = Duration::ZERO;
    let mut expected = String::new();
    for loss in ["0.5", "0.2", "0.9"] {
        trainer.tell(loss);
        let line = trainer.hear_line();
        if loss != "0.9" {
            expected.clone_from(&line.text);
        }
        while active.current().map(Checkpoint::id) != Some(&line.text)
            || best.current().map(Checkpoint::id) != Some(&expected)
        {
            assert!(line.heard.elapsed() < BOUND, "the watch does not see it");
            std::thread::yield_now();
        }
        slowest = slowest.max(line.heard.elapsed());
    }
    println!("seen after {slowest:?} at the latest");
    // The promise is 250 ms; the bound is for a machine that has other things to do.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(best.changed().is_none());
    trainer.finish();
    let began = Instant::now();
    drop((best, active, registry));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "the thread does not end"
    );
}
