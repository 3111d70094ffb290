//! Does everything with a journal that may lie, as its owner would: looks, asks, records, saves,
//! deletes, copies, repairs. Errors are welcome; whatever takes long is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use annals::logs::{LogKind, Mirror, recent_lines};
use annals::stats::{Drift, LiveValue};
use annals::{Group, Inference, Journal, Maintenance, Outcome, Reader, Registry, RetentionPolicy};

use super::craft::{MODEL, copy, options};

/// Bound of every wait.
const WAIT: Duration = Duration::from_millis(200);
/// Entries that are read of a journal that claims to have millions.
const ENTRIES: usize = 3_000;

/// The step, and its duration.
pub type Done = (&'static str, Duration);

/// The step that is under way, for the thread that waits for it.
pub static STEP: Mutex<&str> = Mutex::new("");

struct Steps(Vec<Done>);

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce()) {
        *STEP.lock().unwrap() = name;
        let begun = Instant::now();
        // Panics are counted where they begin.
        let _ = catch_unwind(AssertUnwindSafe(step));
        self.0.push((name, begun.elapsed()));
    }
}

/// Does everything with the journal in `dir`; `spare` is a place for copies.
pub fn exercise(dir: &Path, spare: &Path) -> Vec<Done> {
    let mut steps = Steps(Vec::new());
    look(dir, &mut steps);
    let damaged = spare.join("damaged");
    copy(dir, &damaged);
    steps.run("repair", || drop(annals::maintenance::repair(&damaged)));
    steps.run("backup", || {
        if let Ok(maintenance) = Maintenance::open(dir) {
            let backup = maintenance.backup(spare.join("backup"));
            let _ = backup.with_checkpoints().run();
        }
    });
    steps.run("restore", || {
        drop(annals::maintenance::restore(
            spare.join("backup"),
            spare.join("restored"),
        ));
    });
    steps.run("rebuild the text files", || {
        // A piece of it: all of it may be millions of lines.
        if let Ok(reader) = Reader::open(dir)
            && reader.end().is_ok_and(|end| end.next_sequence() < 10_000)
        {
            let _ = reader.rebuild_mirror(spare.join("logs"), Mirror::new());
        }
    });
    own(dir, &mut steps);
    look(dir, &mut steps);
    steps.0
}

fn look(dir: &Path, steps: &mut Steps) {
    steps.run("verify", || {
        if let Ok(maintenance) = Maintenance::open(dir) {
            let _ = maintenance.verify();
        }
    });
    steps.run("plan, usage, cursors", || {
        let Ok(maintenance) = Maintenance::open(dir) else {
            return;
        };
        let _ = maintenance.retired();
        let _ = maintenance.cursors();
        let _ = maintenance.usage();
        let plan = maintenance
            .retention(RetentionPolicy::new().max_bytes(1 << 20))
            .plan();
        let _ = plan.map(|plan| (plan.entries(), plan.bytes(), plan.kept_entries()));
    });
    if let Ok(reader) = Reader::open(dir) {
        read(&reader, dir, steps);
    }
    if let Ok(registry) = Registry::open(dir) {
        steps.run("registry", || {
            for model in registry.models().unwrap_or_default() {
                for found in registry.list(&*model).get().unwrap_or_default() {
                    let _ = (found.all_metadata(), found.metric("loss"));
                    let _ = registry.load(found.id());
                    let _ = registry.lineage(found.id());
                }
                let _ = registry.best(&model);
                let _ = registry.best_loadable(&model);
                let _ = registry.latest(&model);
                let _ = registry.aliases(&model);
                let _ = registry.alias_history(&model, "champion");
                let _ = registry.bytes(&model);
            }
        });
    }
}

fn read(reader: &Reader, dir: &Path, steps: &mut Steps) {
    steps.run("newest", || {
        let ids: Vec<_> = reader.newest(50).flatten().map(|found| found.id).collect();
        let _ = reader.get_each(&ids);
        let _ = reader.outcomes_of_each(&ids);
    });
    steps.run("query", || {
        let all = reader.inferences().model(MODEL);
        let _ = all.iter().take(ENTRIES).count();
        let all = reader.inferences().newest_first();
        let _ = all.iter().take(ENTRIES).count();
        let since = annals::Timestamp::from_micros(i64::MIN);
        let _ = reader
            .inferences()
            .since(since)
            .iter()
            .take(ENTRIES)
            .count();
    });
    steps.run("follow", || {
        if let Ok(follow) = reader.follow(reader.start()) {
            // It would try again and again.
            let _ = follow.take(ENTRIES).take_while(Result::is_ok).count();
        }
    });
    steps.run("runs, gaps, events", || {
        let _ = reader.runs().take(ENTRIES).count();
        let _ = reader.gaps().take(ENTRIES).count();
        let _ = reader.events().take(ENTRIES).count();
        let _ = reader.gap_count();
        let _ = reader.mirror_lag(dir.join("logs"));
        let _ = recent_lines(dir.join("logs"), LogKind::Inferences, 50);
    });
    steps.run("stats", || {
        let _ = reader.stats(MODEL).get();
        let _ = reader.stats(MODEL).last(Duration::from_secs(3_600)).get();
        let _ = reader.daily(MODEL);
        let rows = reader.stats_of_all().by(Group::Action).unwrap_or_default();
        let _ = format!("{rows:?}");
        for group in [Group::Model, Group::Checkpoint, Group::Hour, Group::Day] {
            let rows = reader.stats_of_all().by(group).unwrap_or_default();
            if let (Some(one), Some(other)) = (rows.first(), rows.last()) {
                let _ = Drift::between(&one.stats, &other.stats);
            }
        }
        let _ = reader.stats(MODEL).best_live(&LiveValue::Reward, 1);
        let _ = reader.inferences().with_outcomes().take(ENTRIES).count();
    });
    steps.run("inputs", || {
        let all = reader.inferences().with_inputs();
        let _ = all.take(ENTRIES).count();
        for record in reader.newest(50).flatten() {
            let _ = reader.input(record.id);
        }
    });
}

/// Records, saves and deletes.
fn own(dir: &Path, steps: &mut Steps) {
    let mut opened = None;
    steps.run("open", || {
        let settings = options().mirror(
            Mirror::new()
                .compress_old()
                .retention(RetentionPolicy::new().max_count(1_000)),
        );
        let settings = settings
            .fold_interval(Duration::from_millis(20))
            .seal_bytes(64 << 10)
            .retention(RetentionPolicy::new().max_bytes(1 << 20));
        opened = settings.open(dir).ok();
    });
    let Some(journal) = opened else { return };
    steps.run("log", || {
        for number in 0..20_u8 {
            let decision = Inference::new(MODEL, "ETH/USDT", "BUY");
            let id = journal.log(decision.keep_features(&[f32::from(number)]));
            if let Some(id) = id {
                journal.attach_outcome(id, Outcome::new().reward(1.0));
            }
        }
        let _ = journal.flush().wait(WAIT);
        let _ = journal.health();
    });
    steps.run("seal", || drop(journal.seal(WAIT)));
    steps.run("fold", || drop(journal.fold(WAIT)));
    steps.run("clean up", || drop(journal.clean_up_logs(WAIT)));
    if let Ok(registry) = journal.registry() {
        change(&registry, steps);
    }
    steps.run("retire", || retire(&journal));
    steps.run("close", || drop(journal.close()));
    drop(journal);
}

fn change(registry: &Registry, steps: &mut Steps) {
    steps.run("save", || {
        let _ = registry.checkpoint(MODEL).metric("loss", 0.5).save(b"new");
        let _ = registry.checkpoint("fresh").save(b"new");
    });
    steps.run("alias", || {
        let _ = registry.rollback(MODEL, "champion");
        let _ = registry.rollback(MODEL, "active");
    });
    steps.run("reconcile", || {
        let _ = registry.reconcile();
        let _ = registry.reconcile_contents();
    });
    steps.run("delete", || {
        for model in registry.models().unwrap_or_default() {
            for found in registry.list(&*model).get().unwrap_or_default() {
                let _ = registry.delete(found.id(), "not wanted");
            }
            let plan = registry
                .retention(RetentionPolicy::new().max_count(1))
                .plan();
            let _ = plan.and_then(|plan| plan.apply());
        }
    });
}

fn retire(journal: &Journal) {
    if let Ok(maintenance) = journal.maintenance() {
        let keep = RetentionPolicy::new().max_age(Duration::from_secs(3_600));
        let plan = maintenance.retention(keep).plan();
        let _ = plan.and_then(|plan| plan.apply());
        let _ = maintenance.compact();
    }
}
