//! The usual calls allocate nothing, once a thread has used their names: an allocator's lock or a
//! page fault would pause the loop.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use allocation_counter::measure;
use annals::record::KeepInputs;
use annals::{Inference, Journal, Options, Recorder, Timestamp, Value};
use support::{assert_books_close, flush};

const CALLS: u32 = 10_000;
const THREADS: usize = 2;
/// More than all calls of a test, so that none finds the queue full.
const ROOM: usize = 1 << 17;

fn options() -> Options {
    Journal::options().queue_capacity(ROOM)
}

fn recorder(journal: &Journal) -> Recorder {
    let builder = journal.recorder("dqn_agent", "ETH/USDT");
    let builder = builder.actions(["BUY", "SELL", "HOLD"]).checkpoint("c1");
    builder.build().unwrap()
}

/// The allocations of `calls` calls on each of several threads, after two calls on each. The first
/// makes the names known, the second makes the room in which labels are joined to be looked up.
fn allocations(calls: u32, call: impl Fn(u32) + Sync) -> Vec<u64> {
    let start = Barrier::new(THREADS);
    let measured = || {
        call(0);
        call(0);
        start.wait();
        let made = measure(|| (1..=calls).for_each(&call));
        made.count_total
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..THREADS).map(|_| scope.spawn(measured)).collect();
        let counts = running.into_iter().map(|thread| thread.join().unwrap());
        counts.collect()
    })
}

fn features(number: u32) -> [f32; 16] {
    #[expect(clippy::cast_precision_loss, reason = "any number will do")]
    [number as f32; 16]
}

fn log_prepared(recorder: &Recorder, number: u32) {
    let timer = recorder.start();
    let probabilities = [0.85, 0.1, 0.05];
    let action = number as usize % 3;
    let id = recorder.log(timer, action, &probabilities, &features(number));
    assert!(id.is_some());
}

fn log_strings(journal: &Journal, number: u32) {
    let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY")
        .confidence(0.85)
        .probabilities(&[("BUY", 0.85), ("SELL", 0.1), ("HOLD", 0.05)])
        .features(&features(number))
        .timer(journal.start())
        .event_time(Timestamp::from_micros(i64::from(number)))
        .checkpoint("c1");
    assert!(journal.log(inference).is_some());
}

fn assert_nothing_lost(journal: &Journal) {
    flush(journal);
    let health = journal.health();
    assert_books_close(&health);
    assert_eq!(health.dropped.total(), 0);
}

#[test]
fn prepared_calls_allocate_nothing() {
    let journal = options().in_memory().unwrap();
    let recorder = recorder(&journal);
    let made = allocations(CALLS, |number| log_prepared(&recorder, number));
    assert_eq!(made, [0; THREADS]);
    assert_nothing_lost(&journal);
}

#[test]
fn calls_by_strings_allocate_nothing() {
    let journal = options().in_memory().unwrap();
    let made = allocations(CALLS, |number| log_strings(&journal, number));
    assert_eq!(made, [0; THREADS]);
    assert_nothing_lost(&journal);
}

/// Names in turn, other labels each time, and both forms: nothing depends on the last call.
#[test]
fn changing_names_allocate_nothing_once_they_are_known() {
    let journal = options().in_memory().unwrap();
    let labels = [&["BUY", "SELL"][..], &["UP", "DOWN", "FLAT"], &["x"]];
    let symbols = ["ETH/USDT", "BTC/USDT", "SOL/USDT"];
    let log = |number: u32| {
        for (labels, symbol) in labels.iter().zip(symbols) {
            let mut probabilities = [("", 0.0); 3];
            for (slot, label) in probabilities.iter_mut().zip(*labels) {
                *slot = (label, 0.5);
            }
            let inference = Inference::new(labels[0], symbol, labels[0])
                .probabilities(&probabilities[..labels.len()])
                .features(&features(number));
            assert!(journal.log(inference).is_some());
        }
    };
    assert_eq!(allocations(CALLS / 3, log), [0; THREADS]);
    assert_nothing_lost(&journal);
}

#[test]
fn dropped_refused_and_late_calls_allocate_nothing() {
    let journal = Journal::options().queue_capacity(4).in_memory().unwrap();
    let recorder = recorder(&journal);
    let late = Journal::in_memory().unwrap();
    late.close().unwrap();
    let log = |number: u32| {
        let (timer, features) = (recorder.start(), features(number));
        // The queue is so small that most of these are dropped.
        recorder.log(timer, 0, &[0.85, 0.1, 0.05], &features);
        assert_eq!(recorder.log(timer, 3, &[], &features), None);
        assert_eq!(late.log(Inference::new("m", "s", "BUY")), None);
    };
    assert_eq!(allocations(CALLS, log), [0; THREADS]);
    flush(&journal);
    let dropped = journal.health().dropped;
    assert!(dropped.queue_full > 0, "{dropped:?}");
    let all = (u64::from(CALLS) + 2) * THREADS as u64;
    assert_eq!((dropped.refused, late.health().dropped.closed), (all, all));
}

/// In a lane, extras of the documented lengths travel without an allocation.
#[test]
fn short_extras_allocate_nothing_where_there_are_lanes() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().without_mirror().open(dir.path()).unwrap();
    if journal.health().black_box != annals::BlackBox::Lanes {
        return;
    }
    let recorder = recorder(&journal);
    let (torques, text) = ([0.25; 64], "x".repeat(120));
    let probabilities = [0.85, 0.1, 0.05];
    let log = |number: u32| {
        let decision = recorder.inference(0).probabilities(&probabilities);
        let input = features(number);
        let decision = decision.features(&input).sampled();
        let decision = decision.action_vector(&torques).correlation(&text);
        let cause = annals::InferenceId::from_u64(number.into());
        let episode = annals::entry::EpisodeId::from_u64(7);
        let decision = decision.caused_by(cause).episode(episode, number.into());
        assert!(decision.log().is_some());
    };
    // As many as a lane has room for.
    assert_eq!(allocations(500, log), [0; THREADS]);
    assert_nothing_lost(&journal);
}

/// Predictions travel as they are, too.
#[test]
fn bound_predictions_allocate_nothing_where_there_are_lanes() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().without_mirror().open(dir.path()).unwrap();
    if journal.health().black_box != annals::BlackBox::Lanes {
        return;
    }
    let builder = journal.recorder("forecast", "s").actions(["up", "down"]);
    let names = (0..23).map(|number| format!("p{number}"));
    let recorder = builder.predictions(names).build().unwrap();
    let log = |number: u32| {
        let predictions = [f64::from(number); 23];
        let decision = recorder.inference(0).probabilities(&[0.75, 0.25]);
        assert!(decision.predictions(&predictions).log().is_some());
    };
    // As many as a lane has room for.
    assert_eq!(allocations(500, log), [0; THREADS]);
    assert_nothing_lost(&journal);
}

/// Attributes that are bound, and names of one call.
#[test]
fn bound_attributes_allocate_nothing_where_there_are_lanes() {
    use annals::entry::AttributeType;

    let dir = tempfile::tempdir().unwrap();
    let journal = options().without_mirror().open(dir.path()).unwrap();
    if journal.health().black_box != annals::BlackBox::Lanes {
        return;
    }
    let builder = journal.recorder("m", "s").actions(["up", "down"]);
    let numbers = (0..19).map(|number| (format!("a{number}"), AttributeType::F32));
    let types = numbers.chain([("venue".to_owned(), AttributeType::Text)]);
    let recorder = builder.attributes(types).build().unwrap();
    let torques = [0.25; 7];
    let log = |number: u32| {
        let mut values = [f64::from(number).into(); 20];
        values[19] = "paper".into();
        let decision = recorder.inference(0).probabilities(&[0.75, 0.25]);
        let decision = decision
            .symbol("other")
            .checkpoint("c2")
            .action_vector(&torques);
        assert!(decision.attribute_values(&values).log().is_some());
    };
    // As many as a lane has room for.
    assert_eq!(allocations(500, log), [0; THREADS]);
    assert_nothing_lost(&journal);
}

/// Where there are lanes, a vector goes into one as it is.
#[test]
fn calls_that_keep_their_input_allocate_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().without_mirror().open(dir.path()).unwrap();
    if journal.health().black_box != annals::BlackBox::Lanes {
        return;
    }
    let builder = journal.recorder("m", "s").actions(["BUY", "SELL"]);
    let names = (0..32).map(|number| format!("feature {number}"));
    let builder = builder.feature_names(names).keep_inputs(KeepInputs::Always);
    let recorder = builder.build().unwrap();
    // Fewer than a lane has room for.
    let calls = 2_000;
    let made = allocations(calls, |number| {
        let mut input = [0.5; 32];
        input[..16].copy_from_slice(&features(number));
        assert!(
            recorder
                .log(recorder.start(), 0, &[0.85, 0.15], &input)
                .is_some()
        );
    });
    assert_eq!(made, [0; THREADS]);
    assert_nothing_lost(&journal);
    let inputs = journal.health().inputs;
    let all = (u64::from(calls) + 2) * THREADS as u64;
    assert_eq!((inputs.kept + inputs.repeated, inputs.queue_full), (all, 0));
    assert_eq!(inputs.kept, u64::from(calls) + 1);
}

/// The slower way is counted too, or this file would prove nothing.
#[test]
fn an_allocation_is_noticed() {
    let journal = options().in_memory().unwrap();
    let attributes = [("paper", Value::Flag(true))];
    let slow = |_| {
        let inference = Inference::new("m", "s", "BUY").attributes(&attributes);
        assert!(journal.log(inference).is_some());
    };
    let made = allocations(100, slow);
    assert!(made.iter().all(|count| *count >= 100), "{made:?}");
    let new_names = measure(|| {
        let inference = Inference::new("new", "s", "BUY");
        assert!(journal.log(inference).is_some());
    });
    assert!(new_names.count_total > 0);
}

/// Also with a commit every millisecond, which works beside the threads that log.
#[test]
fn commits_beside_the_loop_cost_it_no_allocation() {
    let interval = Duration::from_millis(1);
    let journal = options().commit_interval(interval).in_memory().unwrap();
    let recorder = recorder(&journal);
    let made = allocations(CALLS, |number| {
        log_prepared(&recorder, number);
        log_strings(&journal, number);
    });
    assert_eq!(made, [0; THREADS]);
    assert_nothing_lost(&journal);
}
