//! Random histories of two handles on one directory, against a model in memory that shares no code
//! with the library. `ANNALS_LONG=1` tells many more; proptest prints the history that fails.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

#[path = "model/book.rs"]
mod book;
mod oracle;
#[path = "model/shelf.rs"]
mod shelf;
#[path = "model/sums.rs"]
mod sums;

use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::maintenance::RetentionPlan;
use annals::registry::CheckpointRetentionPlan;
use annals::{
    Error, Inference, Journal, Level, ManualClock, Mode, Options, Outcome, Reader, Registry,
    RetentionPolicy, Timestamp,
};
use book::{Book, Call, Doomed};
use proptest::prelude::*;
use shelf::Shelf;
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_millis(900);
const ACTIONS: [&str; 2] = ["BUY", "SELL"];
/// Models of inferences and of checkpoints.
pub const MODELS: [&str; 2] = ["dqn_agent", "mlp"];
/// Aliases of checkpoints.
pub const ALIASES: [&str; 2] = ["active", "champion"];

/// The steps that may happen. Numbers of things that were logged or saved count from the last one,
/// round.
#[derive(Clone, Debug)]
enum Step {
    Log {
        handle: usize,
        call: Call,
    },
    Event {
        handle: usize,
    },
    Outcome {
        handle: usize,
        of: usize,
        reward: i8,
    },
    Flush {
        handle: usize,
    },
    Reopen {
        handle: usize,
    },
    Wait {
        millis: u64,
    },
    Seal {
        handle: usize,
    },
    SetCursor {
        handle: usize,
    },
    Save {
        model: usize,
        loss: Option<u8>,
    },
    Monitor {
        model: usize,
        mode: bool,
    },
    Alias {
        alias: usize,
        which: usize,
    },
    Rollback {
        model: usize,
        alias: usize,
    },
    Pin {
        which: usize,
        on: bool,
    },
    /// Plans which checkpoints of a model go.
    Plan {
        model: usize,
        latest: u64,
        best: u64,
    },
    /// Does what was planned last, whatever happened since.
    Apply,
    Fold {
        handle: usize,
    },
    /// Plans which segments go.
    PlanRetirement {
        handle: usize,
        minutes: u32,
        only_exported: bool,
    },
    /// Does what was planned last, whatever happened since.
    Retire,
    /// Opens a journal that retires by itself.
    ReopenKeeping {
        handle: usize,
        minutes: u32,
    },
    Look,
}

fn call() -> impl Strategy<Value = Call> {
    let features = prop::option::weighted(0.8, 0..4_u8);
    let event = prop::option::weighted(0.3, -5..5_i64);
    let extras = prop_oneof![6 => Just(0_u8), 1 => 0..64_u8];
    (0..2_usize, 0..2_usize, 0..2_u8, features, event, extras).prop_map(
        |(model, action, confidence, features, event, extras)| Call {
            model,
            action,
            confidence,
            features,
            event: event.map(|hours| hours * 1_800_000_000),
            extras,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let handle = || 0..2_usize;
    prop_oneof![
        12 => (handle(), call()).prop_map(|(handle, call)| Step::Log { handle, call }),
        1 => handle().prop_map(|handle| Step::Event { handle }),
        4 => (handle(), 0..9_usize, any::<i8>())
            .prop_map(|(handle, of, reward)| Step::Outcome { handle, of, reward }),
        4 => handle().prop_map(|handle| Step::Flush { handle }),
        1 => handle().prop_map(|handle| Step::Reopen { handle }),
        2 => (0..1_000_u64).prop_map(|millis| Step::Wait { millis }),
        2 => (1..5_u64).prop_map(|minutes| Step::Wait { millis: 50_000 * minutes }),
        3 => handle().prop_map(|handle| Step::Seal { handle }),
        1 => handle().prop_map(|handle| Step::Fold { handle }),
        2 => (handle(), 1..4_u32, prop::bool::weighted(0.3)).prop_map(
            |(handle, minutes, only_exported)| Step::PlanRetirement {
                handle,
                minutes,
                only_exported,
            },
        ),
        3 => Just(Step::Retire),
        1 => (handle(), 1..4_u32)
            .prop_map(|(handle, minutes)| Step::ReopenKeeping { handle, minutes }),
        1 => handle().prop_map(|handle| Step::SetCursor { handle }),
        5 => (0..2_usize, prop::option::of(0..4_u8))
            .prop_map(|(model, loss)| Step::Save { model, loss }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(model, mode)| Step::Monitor { model, mode }),
        2 => (0..2_usize, 0..5_usize).prop_map(|(alias, which)| Step::Alias { alias, which }),
        1 => (0..2_usize, 0..2_usize).prop_map(|(model, alias)| Step::Rollback { model, alias }),
        3 => (0..5_usize, prop::bool::weighted(0.8))
            .prop_map(|(which, on)| Step::Pin { which, on }),
        3 => (0..2_usize, 1..3_u64, 1..3_u64)
            .prop_map(|(model, latest, best)| Step::Plan { model, latest, best }),
        3 => Just(Step::Apply),
        1 => Just(Step::Look),
    ]
}

/// So many microseconds since 1970.
pub fn micros(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A directory in memory where there is one: the disk's part is tested elsewhere.
fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}

/// The real thing and the model of it, side by side.
struct World {
    dir: PathBuf,
    clock: ManualClock,
    handles: Vec<Journal>,
    registry: Registry,
    book: Book,
    shelf: Shelf,
    /// A model's number, what is planned for it, and what has to be.
    planned: Option<(usize, CheckpointRetentionPlan, Vec<String>)>,
    retirement: Option<(RetentionPlan, Doomed)>,
}

impl World {
    fn new(dir: &Path) -> World {
        let clock = ManualClock::at(Timestamp::from_micros(1_750_000_000_000_000));
        let handles: Vec<_> = (0..2).map(|_| options(&clock).open(dir).unwrap()).collect();
        let runs = handles.iter().map(|journal| journal.health().run.get());
        World {
            dir: dir.to_owned(),
            book: Book::new(runs.collect()),
            shelf: Shelf::default(),
            registry: Registry::open(dir).unwrap(),
            planned: None,
            retirement: None,
            handles,
            clock,
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Log { handle, call } => self.log(*handle, call),
            Step::Event { handle } => {
                assert!(self.handles[*handle].event(Level::Info, "model", "it happened"));
                self.book.event(*handle);
            }
            Step::Outcome { handle, of, reward } => {
                let Some(id) = self.book.logged(*of) else {
                    return;
                };
                let reward = f64::from(*reward) / 8.0;
                let outcome = Outcome::new().reward(reward).correct(reward > 0.0);
                assert!(self.handles[*handle].attach_outcome(id, outcome));
                self.book.outcome(*handle, id, reward);
            }
            Step::Flush { handle } => self.flush(*handle),
            Step::Reopen { handle } => self.reopen(*handle, options(&self.clock)),
            Step::Wait { millis } => {
                // The queue is taken up first: an answer arrives when it is swept.
                self.flush(0);
                self.flush(1);
                self.clock.advance(Duration::from_millis(*millis));
            }
            Step::Seal { handle } => {
                // Entries of the hot file, committed by any process.
                let sealed = self.handles[*handle].seal(BOUND).unwrap();
                assert_eq!(sealed, self.book.seal());
            }
            Step::SetCursor { handle } => {
                let maintenance = self.handles[*handle].maintenance().unwrap();
                let end = self.handles[*handle].reader().unwrap().end().unwrap();
                maintenance.set_cursor("export", end).unwrap();
                assert_eq!(maintenance.cursor("export").unwrap(), Some(end));
                assert_eq!(end.next_sequence(), self.book.set_cursor());
            }
            Step::Save { model, loss } => {
                let mut checkpoint = self.registry.checkpoint(MODELS[*model]);
                if let Some(loss) = loss {
                    checkpoint = checkpoint.metric("loss", f64::from(*loss));
                }
                let saved = checkpoint.save([self.shelf.saved_in_all()]).unwrap();
                self.shelf.save(*model, saved.id(), *loss);
            }
            Step::Monitor { model, mode } => {
                let mode = if *mode { Mode::Min } else { Mode::Max };
                self.registry
                    .set_monitor(MODELS[*model], "loss", mode)
                    .unwrap();
                self.shelf.monitor(*model, mode);
            }
            Step::Alias { alias, which } => {
                let Some(id) = self.shelf.nth(*which) else {
                    return;
                };
                self.registry.set_alias(ALIASES[*alias], &id).unwrap();
                self.shelf.alias(*alias, &id);
            }
            Step::Rollback { model, alias } => {
                let back = self.registry.rollback(MODELS[*model], ALIASES[*alias]);
                let expected = self.shelf.rollback(*model, *alias);
                assert_eq!(back.ok().map(|to| to.id().to_owned()), expected);
            }
            Step::Pin { which, on } => {
                let Some(id) = self.shelf.nth(*which) else {
                    return;
                };
                if *on {
                    self.registry.pin(&id).unwrap();
                } else {
                    self.registry.unpin(&id).unwrap();
                }
                self.shelf.pin(&id, *on);
            }
            Step::Plan {
                model,
                latest,
                best,
            } => {
                let policy =
                    RetentionPolicy::new()
                        .max_count(*latest)
                        .keep_best(*best, "loss", Mode::Min);
                let retention = self.registry.retention(policy).model(MODELS[*model]);
                let plan = match retention.plan() {
                    // A metric that no checkpoint of the model has is refused, and deletes nothing.
                    Err(Error::UnknownMetric { .. }) => {
                        assert!(!self.shelf.has_losses(*model));
                        return;
                    }
                    plan => plan.unwrap(),
                };
                assert!(self.shelf.has_losses(*model) || self.shelf.is_empty(*model));
                let mut planned: Vec<_> = plan.deletions().map(|c| c.id().to_owned()).collect();
                planned.sort();
                assert_eq!(
                    planned,
                    self.shelf.doomed(*model, *latest as usize, *best as usize)
                );
                self.planned = Some((*model, plan, planned));
            }
            Step::Apply => {
                let Some((model, plan, planned)) = self.planned.take() else {
                    return;
                };
                let applied = plan.apply();
                if !self.shelf.delete(model, &planned) {
                    assert!(is_outdated(&applied), "{applied:?}");
                    return;
                }
                let mut deleted = applied.unwrap().deleted;
                deleted.sort();
                assert_eq!(planned, deleted);
            }
            Step::Fold { handle } => {
                self.handles[*handle].fold(BOUND).unwrap();
            }
            Step::PlanRetirement {
                handle,
                minutes,
                only_exported,
            } => {
                let mut keep = keeping(*minutes);
                if *only_exported {
                    keep = keep.keep_after_cursor("export");
                }
                let doomed = self.book.doomed(self.minutes_ago(*minutes), *only_exported);
                let maintenance = self.handles[*handle].maintenance().unwrap();
                let plan = maintenance.retention(keep).plan().unwrap();
                assert_eq!(plan.segments().len(), doomed.segments, "{plan:?}");
                assert_eq!(plan.entries(), doomed.entries, "{plan:?}");
                self.retirement = Some((plan, doomed));
            }
            Step::Retire => {
                let Some((plan, doomed)) = self.retirement.take() else {
                    return;
                };
                // A call that is under way would come too late for the entries that go.
                self.flush(0);
                self.flush(1);
                let applied = plan.apply();
                if !self.book.retire(doomed) {
                    assert!(is_outdated(&applied), "{applied:?}");
                    return;
                }
                assert_eq!(applied.unwrap().entries, doomed.entries);
            }
            Step::ReopenKeeping { handle, minutes } => {
                self.flush(0);
                self.flush(1);
                // Where everything is old it is left alone, and an event reports that.
                if self.book.is_old(self.minutes_ago(*minutes)) {
                    return;
                }
                let doomed = self.book.doomed(self.minutes_ago(*minutes), false);
                self.reopen(*handle, options(&self.clock).retention(keeping(*minutes)));
                // Asked after its first round, in which it retires.
                let sealed = self.handles[*handle].seal(BOUND).unwrap();
                let known = self.handles[*handle].health().sealing.unwrap();
                assert_eq!(known.retired, doomed.segments as u64, "{known:?}");
                assert!(self.book.retire(doomed));
                assert_eq!(sealed, self.book.seal());
            }
            Step::Look => self.look(),
        }
    }

    fn log(&mut self, handle: usize, call: &Call) {
        let confidence = call.confidence();
        let features = call.features.map(|given| [f32::from(given)]);
        let mut inference = Inference::new(MODELS[call.model], "ETH/USDT", ACTIONS[call.action])
            .confidence(confidence);
        if let Some(features) = &features {
            inference = inference.features(features).deterministic();
        }
        if let Some(event) = call.event {
            inference = inference.event_time(Timestamp::from_micros(event));
        }
        let inference = call.described(inference);
        let id = self.handles[handle].log(inference).unwrap();
        let now = self.now();
        self.book.log(handle, id, call, now);
    }

    fn flush(&mut self, handle: usize) {
        self.handles[handle].flush().wait(BOUND).unwrap();
        self.book.flush(handle, self.now());
    }

    fn reopen(&mut self, handle: usize, options: Options) {
        self.handles[handle].close().unwrap();
        self.book.flush(handle, self.now());
        self.handles[handle] = options.open(&self.dir).unwrap();
        let run = self.handles[handle].health().run.get();
        self.book.reopen(handle, run);
    }

    fn minutes_ago(&self, minutes: u32) -> i64 {
        self.now() - i64::from(minutes) * 60_000_000
    }

    /// Compares all that can be asked.
    fn look(&self) {
        for reader in [
            Reader::open(&self.dir).unwrap(),
            self.handles[0].reader().unwrap(),
        ] {
            self.book.compare(&reader);
        }
        for (handle, journal) in self.handles.iter().enumerate() {
            let health = journal.health();
            assert_eq!(health.committed, self.book.committed(handle), "{health:?}");
            let offered = self.book.offered(handle);
            assert!(offered.contains(&health.offered), "{offered:?} {health:?}");
            assert_eq!((health.unknown, health.dropped.total()), (0, 0));
        }
        self.shelf.compare(&self.registry);
        self.shelf.compare(&Registry::open(&self.dir).unwrap());
    }
}

fn is_outdated<T>(applied: &annals::Result<T>) -> bool {
    matches!(applied, Err(Error::PlanOutdated { deleted: 0, .. }))
}

fn keeping(minutes: u32) -> RetentionPolicy {
    RetentionPolicy::new().max_age(Duration::from_secs(60) * minutes)
}

/// Nothing happens by itself.
fn options(clock: &ManualClock) -> Options {
    Journal::options()
        .clock(clock.clone())
        .commit_interval(Duration::from_secs(3_600))
        .fold_interval(Duration::from_secs(3_600))
        .dedup_window(WINDOW)
        .queue_capacity(1_024)
        .dedup_capacity(1_024)
        .cache_bytes(1 << 20)
        .without_mirror()
}

fn cases() -> u32 {
    let is_long = std::env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    let wanted = std::env::var("ANNALS_LONG_CASES").ok();
    let long = wanted
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(20_000);
    let is_thorough = std::env::var_os("ANNALS_THOROUGH").is_some_and(|value| value == "1");
    match (is_long, is_thorough) {
        (true, _) => long,
        (false, true) => 500,
        (false, false) => 200,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_journal_is_what_was_done_to_it(steps in prop::collection::vec(step(), 1..50)) {
        let directory = scratch();
        let mut world = World::new(&directory.path().join("data"));
        for step in &steps {
            world.play(step);
        }
        world.flush(0);
        world.flush(1);
        world.look();
        for journal in &world.handles {
            journal.close().unwrap();
            let health = journal.health();
            assert_eq!(health.offered, health.committed, "{health:?}");
        }
        world.book.compare(&Reader::open(&world.dir).unwrap());
    }
}
