//! Every call is accounted for: recorded, or dropped and counted, and the journal says how many.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::{CheckpointAction, GapReason, Refusal, RunState};
use annals::health::State;
use annals::{
    Error, Inference, InferenceId, Journal, Level, ManualClock, Options, Outcome, Overflow, Reader,
    Recorder, Value,
};
use support::{
    BOUND, NEVER, assert_books_close, committed_ids, entries, flush, gaps, micros, missing,
    records, repeats,
};

/// The smallest queue that options take.
const TINY: usize = 4;
const THREADS: usize = 4;

/// One thread's own calls.
#[derive(Default)]
struct Told {
    kept: Vec<InferenceId>,
    lost: u64,
}

impl Told {
    fn note(&mut self, answer: Option<InferenceId>) {
        match answer {
            Some(id) => self.kept.push(id),
            None => self.lost += 1,
        }
    }

    fn calls(&self) -> u64 {
        self.kept.len() as u64 + self.lost
    }
}

fn ids_of(told: &[Told]) -> BTreeSet<InferenceId> {
    let listed = told.iter().flat_map(|told| told.kept.iter().copied());
    let ids: BTreeSet<InferenceId> = listed.collect();
    let kept: usize = told.iter().map(|told| told.kept.len()).sum();
    assert_eq!(ids.len(), kept, "an id was given twice");
    ids
}

fn lost_of(told: &[Told]) -> u64 {
    told.iter().map(|told| told.lost).sum()
}

fn calls_of(told: &[Told]) -> u64 {
    told.iter().map(Told::calls).sum()
}

/// Runs `body` in several threads that begin together.
fn crowd<T: Send>(threads: usize, body: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let begin = |thread| {
            let (start, body) = (&start, &body);
            scope.spawn(move || {
                start.wait();
                body(thread)
            })
        };
        let running: Vec<_> = (0..threads).map(begin).collect();
        let ended = running.into_iter().map(|thread| thread.join().unwrap());
        ended.collect()
    })
}

/// One call, in turn by a recorder, by strings, and by the slower way through an allocation.
fn log_somehow(journal: &Journal, recorder: &Recorder, call: usize) -> Option<InferenceId> {
    let plain = Inference::new("m", "s", "BUY").probabilities(&[("BUY", 0.9), ("SELL", 0.1)]);
    match call % 3 {
        0 => recorder.log(recorder.start(), 0, &[0.9, 0.1], &[]),
        1 => journal.log(plain),
        _ => journal.log(plain.attributes(&[("call", Value::Flag(true))])),
    }
}

/// Empty features are features: without this, most calls here would be repeats.
fn without_dedup() -> Options {
    Journal::options().dedup_window(Duration::ZERO)
}

fn recorder(journal: &Journal) -> Recorder {
    let builder = journal.recorder("m", "s").actions(["BUY", "SELL"]);
    builder.build().unwrap()
}

/// Logs at full speed until enough calls were kept and enough were dropped.
fn log_until_both(journal: &Journal, enough: u64) -> Told {
    let recorder = recorder(journal);
    let mut told = Told::default();
    for call in 0..50_000_000 {
        told.note(log_somehow(journal, &recorder, call));
        if told.lost >= enough && told.kept.len() as u64 >= enough {
            return told;
        }
    }
    panic!("{} kept, {} lost", told.kept.len(), told.lost);
}

fn overrun(overflow: Overflow) {
    let dir = tempfile::tempdir().unwrap();
    let options = without_dedup().queue_capacity(TINY).overflow(overflow);
    let journal = options.open(dir.path()).unwrap();
    let told = crowd(THREADS, |_| log_until_both(&journal, 200));
    flush(&journal);
    let reader = journal.reader().unwrap();
    for _ in 0..2 {
        let health = journal.health();
        assert_books_close(&health);
        assert_eq!(health.offered, calls_of(&told));
        assert_eq!(health.queued, 0);
        assert_eq!(health.dropped.queue_full, lost_of(&told));
        assert_eq!(health.dropped.total(), lost_of(&told));
        assert_eq!(committed_ids(&reader), ids_of(&told));
        assert_eq!(health.committed, ids_of(&told).len() as u64);
        assert_eq!(missing(&reader, GapReason::QueueFull), lost_of(&told));
        // The second time round the journal is closed; nothing may have changed.
        journal.close().unwrap();
    }
    let run = reader.runs().next().unwrap().unwrap();
    assert_eq!(run.committed, ids_of(&told).len() as u64);
    assert_eq!(run.dropped, lost_of(&told));
    assert_eq!(run.last_id, ids_of(&told).last().copied());
    assert!(matches!(run.state, RunState::Closed(_)));
}

#[test]
fn what_a_full_queue_drops_is_in_the_gaps_and_the_rest_on_disk() {
    overrun(Overflow::DropNewest);
}

#[test]
fn a_wait_for_room_that_runs_out_is_a_drop() {
    overrun(Overflow::Block {
        timeout: Duration::ZERO,
    });
    overrun(Overflow::Block {
        timeout: Duration::from_micros(1),
    });
}

#[test]
fn a_long_wait_for_room_loses_nothing_and_keeps_each_threads_order() {
    let dir = tempfile::tempdir().unwrap();
    let overflow = Overflow::Block { timeout: BOUND };
    let options = without_dedup().queue_capacity(TINY).overflow(overflow);
    let journal = options.open(dir.path()).unwrap();
    let told = crowd(THREADS, |_| {
        let recorder = recorder(&journal);
        let mut told = Told::default();
        (0..1_000).for_each(|call| told.note(log_somehow(&journal, &recorder, call)));
        told
    });
    flush(&journal);
    assert_eq!(lost_of(&told), 0);
    assert_books_close(&journal.health());
    let reader = journal.reader().unwrap();
    assert_eq!(committed_ids(&reader), ids_of(&told));
    assert!(gaps(&reader).is_empty());
    let place: BTreeMap<_, _> = records(&reader)
        .into_iter()
        .map(|record| (record.id, record.sequence))
        .collect();
    for told in &told {
        assert!(told.kept.is_sorted_by_key(|id| place[id]));
    }
}

/// Half the fun of a flush is that other threads log, flush and read at the same time.
#[test]
fn a_flush_covers_what_its_thread_logged_before() {
    let journal = without_dedup().in_memory().unwrap();
    let reader = journal.reader().unwrap();
    crowd(THREADS, |_| {
        let recorder = recorder(&journal);
        for call in 0..300 {
            let id = log_somehow(&journal, &recorder, call).unwrap();
            flush(&journal);
            assert!(reader.get(id).unwrap().is_some(), "{id}");
        }
    });
    assert_books_close(&journal.health());
}

#[test]
fn a_journal_under_load_is_closed_with_every_call_explained() {
    let policies = [
        (65_536, Overflow::DropNewest),
        (TINY, Overflow::DropNewest),
        (TINY, Overflow::Block { timeout: BOUND }),
    ];
    for (capacity, overflow) in policies {
        for round in 0..10 {
            let options = without_dedup().queue_capacity(capacity).overflow(overflow);
            let options = options.commit_interval(Duration::from_millis(1));
            // With lanes, where there are some, and without.
            if round < 3 {
                let dir = tempfile::tempdir().unwrap();
                close_under_load(&options.clone().open(dir.path()).unwrap());
            }
            close_under_load(&options.in_memory().unwrap());
        }
    }
}

fn close_under_load(journal: &Journal) {
    let is_closed = AtomicBool::new(false);
    let told = crowd(THREADS, |thread| {
        if thread == 0 {
            while journal.health().committed == 0 {
                thread::yield_now();
            }
            journal.close().unwrap();
            is_closed.store(true, Ordering::SeqCst);
            return Told::default();
        }
        let recorder = recorder(journal);
        let mut told = Told::default();
        while !is_closed.load(Ordering::SeqCst) {
            let call = told.kept.len();
            told.note(log_somehow(journal, &recorder, call));
        }
        let late = told.lost;
        (0..10).for_each(|call| told.note(log_somehow(journal, &recorder, call)));
        assert_eq!(told.lost, late + 10, "a closed journal takes nothing");
        told
    });
    let health = journal.health();
    let committed = committed_ids(&journal.reader().unwrap());
    let kept = ids_of(&told);
    assert_eq!(health.state, State::Closed);
    assert_eq!(health.offered, calls_of(&told));
    assert_eq!((health.queued, health.unknown), (0, 0));
    assert_books_close(&health);
    assert_eq!(health.committed, committed.len() as u64);
    // A call that slipped in behind the writer got no id; it is counted as closed.
    assert_eq!(committed, kept, "an id was returned, or it was not");
    assert_eq!(health.dropped.total(), lost_of(&told));
    assert!(health.dropped.closed >= 10 * (THREADS as u64 - 1));
}

#[test]
fn calls_after_close_are_counted_whatever_they_are() {
    let journal = Journal::in_memory().unwrap();
    let recorder = recorder(&journal);
    assert!(log_somehow(&journal, &recorder, 0).is_some());
    journal.close().unwrap();
    for call in 0..9 {
        assert_eq!(log_somehow(&journal, &recorder, call), None);
    }
    // Calls that would be refused are counted as closed all the same.
    assert_eq!(recorder.log(recorder.start(), 2, &[], &[]), None);
    assert_eq!(recorder.log(recorder.start(), 0, &[0.0; 1_025], &[]), None);
    let health = journal.health();
    assert_eq!(health.dropped.closed, 11);
    assert_eq!(health.dropped.total(), 11);
    assert_books_close(&health);
    assert!(gaps(&journal.reader().unwrap()).is_empty());
    let late = journal.flush().wait(BOUND);
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}

#[test]
fn closing_twice_and_from_many_threads_is_no_error() {
    let journal = Journal::in_memory().unwrap();
    assert!(journal.log(Inference::new("m", "s", "BUY")).is_some());
    let ended = crowd(THREADS, |_| journal.close());
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    journal.close().unwrap();
    assert_eq!(journal.health().committed, 1);
}

#[test]
fn a_dropped_journal_has_committed_what_was_logged() {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options().commit_interval(NEVER);
    let journal = options.open(dir.path()).unwrap();
    let kept: BTreeSet<_> = (0..100)
        .map(|_| journal.log(Inference::new("m", "s", "BUY")).unwrap())
        .collect();
    drop(journal);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(committed_ids(&reader), kept);
    let run = reader.runs().next().unwrap().unwrap();
    assert!(matches!(run.state, RunState::Closed(_)), "{run:?}");
}

#[test]
fn a_recorder_neither_keeps_the_journal_open_nor_minds_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mut kept = recorder(&journal);
    let id = kept.log(kept.start(), 1, &[0.2, 0.8], &[1.0]).unwrap();
    drop(journal);
    assert_eq!(kept.log(kept.start(), 1, &[0.2, 0.8], &[1.0]), None);
    kept.set_model("another");
    kept.set_checkpoint("c");
    assert_eq!(kept.clone().inference(0).log(), None);
    let journal = Journal::open(dir.path()).unwrap();
    // The old recorder belongs to the old journal, not to the directory.
    assert_eq!(kept.log(kept.start(), 1, &[0.2, 0.8], &[1.0]), None);
    assert_eq!(journal.health().offered, 0);
    assert_eq!(committed_ids(&journal.reader().unwrap()), [id].into());
}

#[test]
fn a_disabled_recorder_counts_nowhere() {
    let mut disabled = Recorder::disabled();
    disabled.set_model("m");
    disabled.clear_checkpoint();
    assert_eq!(disabled.log(disabled.start(), 7, &[0.5], &[1.0]), None);
    assert_eq!(disabled.inference(0).features(&[1.0]).log(), None);
}

#[test]
fn runs_roll_over_under_load_without_losing_or_repeating_an_id() {
    let dir = tempfile::tempdir().unwrap();
    let overflow = Overflow::Block { timeout: BOUND };
    let options = without_dedup().ids_per_run(1_000).queue_capacity(256);
    let journal = options.overflow(overflow).open(dir.path()).unwrap();
    let told = crowd(THREADS, |_| {
        let recorder = recorder(&journal);
        let mut told = Told::default();
        (0..5_000).for_each(|call| told.note(log_somehow(&journal, &recorder, call)));
        told
    });
    journal.close().unwrap();
    let kept = ids_of(&told);
    assert_eq!(kept.len(), 20_000);
    assert_eq!(journal.health().offered, 20_000);
    assert_books_close(&journal.health());
    let reader = journal.reader().unwrap();
    assert_eq!(committed_ids(&reader), kept);
    for id in kept.iter().step_by(97) {
        assert_eq!(reader.get(*id).unwrap().unwrap().id, *id);
    }
    assert_runs_follow_each_other(&reader, &kept);
}

fn assert_runs_follow_each_other(reader: &Reader, kept: &BTreeSet<InferenceId>) {
    let runs: Vec<_> = reader.runs().map(Result::unwrap).collect();
    let numbers: Vec<u32> = runs.iter().map(|run| run.id.get()).collect();
    let expected: Vec<u32> = (1..=u32::try_from(runs.len()).unwrap()).collect();
    assert_eq!(numbers, expected);
    assert!(runs.len() > 2, "the runs have rolled over");
    let (last, earlier) = runs.split_last().unwrap();
    let continued = |state| matches!(state, RunState::Continued(_));
    assert!(earlier.iter().all(|run| continued(run.state)));
    assert!(matches!(last.state, RunState::Closed(_)));
    let committed: u64 = runs.iter().map(|run| run.committed).sum();
    assert_eq!(committed, kept.len() as u64);
    let used: BTreeSet<u32> = kept.iter().map(|id| id.run().get()).collect();
    assert!(used.len() > 2 && used.iter().all(|run| numbers.contains(run)));
}

/// The writer takes a new run while what it swept under the old one is not yet committed.
#[test]
fn each_run_counts_the_events_that_bear_its_number() {
    let options = without_dedup().ids_per_run(1).commit_interval(NEVER);
    let journal = options.in_memory().unwrap();
    // The first event of a run wakes the writer, which sweeps it and moves on to the next run.
    for run in 1..=3 {
        let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
        assert_eq!(id.run().get(), run);
        let began = Instant::now();
        while journal.health().run.get() == run {
            assert!(began.elapsed() < BOUND, "the run does not end");
            thread::yield_now();
        }
    }
    journal.close().unwrap();
    let runs = journal.reader().unwrap().runs().map(Result::unwrap);
    let counted: Vec<_> = runs
        .map(|run| (run.committed, run.last_id.map(|id| id.run() == run.id)))
        .collect();
    let own = Some(true);
    assert_eq!(counted, [(1, own), (1, own), (1, own), (0, None)]);
}

#[test]
fn calls_that_cannot_be_recorded_are_refused_and_counted() {
    let clock = ManualClock::at(micros(1_000_000));
    let journal = Journal::options().clock(clock.clone()).in_memory().unwrap();
    let recorder = recorder(&journal);
    let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    let many = vec![("BUY", 0.5); 1_025];
    let long = "x".repeat((1 << 20) + 1);
    let attributes = [("note", Value::Text(long.clone()))];
    let plain = Inference::new("m", "s", "BUY");
    let refused = [
        journal.log(plain.probabilities(&many)),
        journal.log(plain.attributes(&attributes)),
        journal.log(Inference::new(&long, "s", "BUY")),
        recorder.log(recorder.start(), 0, &[0.5; 1_025], &[]),
        recorder.log(recorder.start(), 2, &[0.5, 0.5], &[]),
        recorder.log(recorder.start(), usize::MAX, &[], &[]),
        bare.log(bare.start(), 1, &[], &[]),
    ];
    assert_eq!(refused, [None; 7]);
    assert!(journal.log(plain).is_some());
    flush(&journal);
    let health = journal.health();
    assert_eq!((health.dropped.refused, health.dropped.total()), (7, 7));
    assert_eq!((health.offered, health.committed), (8, 1));
    let reader = journal.reader().unwrap();
    let found = gaps(&reader);
    let now = Some((clock.now(), clock.now()));
    for gap in &found {
        assert_eq!(gap.reason, GapReason::Refused);
        assert_eq!((gap.run, gap.after), (health.run, None));
        assert_eq!((gap.recorded_range, gap.event_range), (now, now));
    }
    let said = |refusal: &Refusal| {
        let model = refusal.model.as_deref().unwrap().chars().next();
        (model, refusal.field.clone(), refusal.reason.clone())
    };
    let of = |model, field: &str, reason: &str| (Some(model), field.to_owned(), reason.to_owned());
    let text = "the texts of one entry have at most 1048576 bytes";
    let expected = [
        (
            of(
                'm',
                "probabilities",
                "more than 1024 cannot be stored (first: 1025)",
            ),
            2,
        ),
        (of('m', "note", &format!("{text} (first: 1048645)")), 1),
        (of('x', "model", &format!("{text} (first: 1048577)")), 1),
        (
            of(
                'm',
                "action",
                "the index is beyond the recorder's 2 actions (first: 2)",
            ),
            2,
        ),
        (
            of(
                'm',
                "action",
                "the index is beyond the recorder's 1 action (first: 1)",
            ),
            1,
        ),
    ];
    let written = found.iter().map(|gap| {
        let refusal = gap.refusal.as_ref().unwrap();
        (said(refusal), gap.count.unwrap())
    });
    assert_eq!(written.collect::<Vec<_>>(), expected);
    let counted = health
        .refusals
        .iter()
        .map(|known| (said(&known.refusal), known.count));
    assert_eq!(counted.collect::<Vec<_>>(), expected);
    let lines = reader.events().map(|entry| entry.unwrap().to_string());
    let lines: Vec<_> = lines.collect();
    let line = "1 event is missing in run 1: they could not be recorded as given \
                (model m, action: the index is beyond the recorder's 1 action (first: 1)), from";
    assert!(lines.iter().any(|known| known.contains(line)), "{lines:?}");
}

#[test]
fn outcomes_and_system_events_that_are_refused_say_why() {
    let journal = Journal::in_memory().unwrap();
    let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
    let long = "x".repeat(1 << 20);
    assert!(!journal.attach_outcome(id, Outcome::new().label(&long).value("v", 1.0)));
    let names: Vec<String> = (0..1_025).map(|n| n.to_string()).collect();
    let many = names
        .iter()
        .fold(Outcome::new(), |outcome, name| outcome.value(name, 0.0));
    assert!(!journal.attach_outcome(id, many));
    assert!(!journal.event(Level::Warn, "feed", long.clone()));
    assert!(!journal.checkpoint_event(CheckpointAction::Saved, "m", "cp", &long));
    let said: Vec<_> = journal
        .health()
        .refusals
        .iter()
        .map(|known| known.refusal.to_string())
        .collect();
    let text = "the texts of one entry have at most 1048576 bytes";
    assert_eq!(
        said,
        [
            format!("outcome: {text} (first: 1048577)"),
            "outcome values: more than 1024 cannot be stored (first: 1025)".to_owned(),
            format!("system event of feed: {text} (first: 1048580)"),
            format!("model m, detail: {text} (first: 1048579)"),
        ]
    );
}

#[test]
fn a_recorder_needs_actions_that_can_be_told_apart() {
    let journal = Journal::in_memory().unwrap();
    let none = journal
        .recorder("dqn", "s")
        .build()
        .unwrap_err()
        .to_string();
    assert!(none.contains("actions") && none.contains("dqn"), "{none}");
    let twice = journal.recorder("m", "s").actions(["A", "B", "A"]).build();
    let twice = twice.unwrap_err().to_string();
    assert!(twice.contains("\"A\" twice"), "{twice}");
    let labels = journal.recorder("m", "s").actions(["A"]).labels(["x", "x"]);
    assert!(labels.build().is_err());
}

#[test]
fn the_largest_calls_that_fit_are_recorded() {
    let journal = Journal::in_memory().unwrap();
    let most = vec![("BUY", 0.5); 1_024];
    // Key, text and 64 bytes for the attribute itself are one mebibyte.
    let attributes = [("note", Value::Text("x".repeat((1 << 20) - 68)))];
    let plain = Inference::new("m", "s", "BUY");
    let ids = [
        journal.log(plain.probabilities(&most)).unwrap(),
        journal.log(plain.attributes(&attributes)).unwrap(),
    ];
    flush(&journal);
    let reader = journal.reader().unwrap();
    let wide = reader.get(ids[0]).unwrap().unwrap();
    assert_eq!(wide.probabilities.values(), [0.5; 1_024]);
    assert_eq!(wide.probabilities.labels().len(), 1_024);
    let long = reader.get(ids[1]).unwrap().unwrap();
    assert_eq!(long.attributes[0].1, attributes[0].1);
    assert_eq!(journal.health().dropped.total(), 0);
}

#[test]
fn a_gap_says_which_times_are_missing() {
    let clock = ManualClock::at(micros(0));
    // Only a flush writes a gap: a commit in between would divide the first one.
    let options = Journal::options().commit_interval(NEVER);
    let journal = options.clock(clock.clone()).in_memory().unwrap();
    let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    let refuse = |event: Option<i64>| {
        clock.advance(Duration::from_secs(1));
        let prepared = bare.inference(1);
        let answer = match event {
            Some(event) => prepared.event_time(micros(event)).log(),
            None => prepared.log(),
        };
        assert_eq!(answer, None);
    };
    for event in [Some(77), None, Some(-5), Some(12)] {
        refuse(event);
    }
    flush(&journal);
    refuse(None);
    flush(&journal);
    let ranges: Vec<_> = gaps(&journal.reader().unwrap())
        .into_iter()
        .map(|gap| (gap.recorded_range.unwrap(), gap.event_range.unwrap()))
        .collect();
    let range = |from, until| (micros(from), micros(until));
    let fifth = range(5_000_000, 5_000_000);
    let first = (range(1_000_000, 4_000_000), range(-5, 77));
    assert_eq!(ranges, [first, (fifth, fifth)]);
}

/// Losses and the writer that takes them meet without a lock; the times must not get lost.
#[test]
fn no_gap_reaches_back_before_its_losses() {
    let clock = ManualClock::at(micros(0));
    let options = Journal::options().clock(clock.clone());
    let journal = options.in_memory().unwrap();
    let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    clock.advance(NEVER);
    let calls: u64 = 60_000;
    let left = Barrier::new(2);
    thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (bare, left) = (&bare, &left);
            scope.spawn(move || {
                for call in 0..calls {
                    assert_eq!(bare.inference(1).log(), None);
                    // Another pause each time, so that a call meets every step of a commit.
                    (0..(call * 7 + thread * 13) % 500).for_each(|_| std::hint::spin_loop());
                }
                left.wait();
            });
        }
        while journal.health().dropped.refused < 2 * calls {
            flush(&journal);
        }
    });
    journal.close().unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(missing(&reader, GapReason::Refused), 2 * calls);
    let now = Some((clock.now(), clock.now()));
    for gap in gaps(&reader) {
        assert_eq!(gap.recorded_range, now, "{gap:?}");
    }
}

/// One answer of a model: what the journal must give back, also where it kept a reference.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    action: &'static str,
    confidence: u32,
    feature_hash: Option<u64>,
    checkpoint: Option<&'static str>,
}

fn answer(number: usize) -> (Answer, [f32; 1]) {
    let action = ["BUY", "SELL"][number % 2];
    let confidence = [0.25_f32, f32::NAN, 0.75][number % 3];
    let checkpoint = [None, Some("c1"), Some("c2")][number / 6 % 3];
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let features = [(number / 18 % 5) as f32];
    let answer = Answer {
        action,
        confidence: confidence.to_bits(),
        feature_hash: Some(annals::feature_hash(&features)),
        checkpoint,
    };
    (answer, features)
}

fn log_answer(journal: &Journal, number: usize) -> (InferenceId, Answer) {
    let (answer, features) = answer(number);
    let inference = Inference::new("m", "s", answer.action)
        .confidence(f32::from_bits(answer.confidence))
        .features(&features)
        .deterministic();
    let id = match answer.checkpoint {
        Some(checkpoint) => journal.log(inference.checkpoint(checkpoint)),
        None => journal.log(inference),
    };
    (id.unwrap(), answer)
}

#[test]
fn repeats_and_divergences_are_what_was_answered() {
    let journal = Journal::options().dedup_window(NEVER).in_memory().unwrap();
    let told = crowd(THREADS, |thread| {
        let numbers = (0..400).map(|call| call * (2 * thread + 1) / 3);
        let answers = numbers.map(|number| log_answer(&journal, number));
        answers.collect::<Vec<_>>()
    });
    journal.close().unwrap();
    let told: BTreeMap<InferenceId, Answer> = told.into_iter().flatten().collect();
    let reader = journal.reader().unwrap();
    let (mut repeated, mut divergent) = (0, 0);
    for (id, answer) in &told {
        let record = reader.get(*id).unwrap().unwrap();
        let found = Answer {
            action: answer.action,
            confidence: record.confidence.unwrap_or(f32::NAN).to_bits(),
            feature_hash: record.feature_hash,
            checkpoint: answer.checkpoint,
        };
        assert_eq!(found, *answer);
        assert_eq!(&*record.action, answer.action);
        assert_eq!(record.checkpoint.as_deref(), answer.checkpoint);
        divergent += u64::from(record.divergent);
        if let Some(original) = record.repeat_of {
            repeated += 1;
            assert_eq!(told[&original], *answer);
            assert_eq!(reader.get(original).unwrap().unwrap().repeat_of, None);
        }
    }
    let health = journal.health();
    assert!(repeated > 200 && divergent > 100, "{health:?}");
    assert_eq!((health.repeats, health.divergences), (repeated, divergent));
    assert_eq!(repeats(&reader).len() as u64, repeated);
    let invalid = told.values().map(|told| f32::from_bits(told.confidence));
    let invalid = invalid.filter(|confidence| confidence.is_nan()).count();
    assert_eq!(health.invalid, invalid as u64);
    assert_eq!(health.committed, entries(&reader).len() as u64);
    assert_books_close(&health);
}

#[test]
fn journals_in_one_thread_do_not_mix_their_names() {
    // More journals than a thread's cache of names serves at once.
    let journals: Vec<_> = (0..6).map(|_| Journal::in_memory().unwrap()).collect();
    crowd(2, |thread| {
        for call in 0..50 {
            for (number, journal) in journals.iter().enumerate() {
                let model = format!("model of {number}");
                let symbol = format!("symbol {} of {number}", call % 3);
                let action = format!("action {thread} of {number}");
                let label = format!("label of {number}");
                let probabilities = [(label.as_str(), 1.0)];
                let inference = Inference::new(&model, &symbol, &action);
                let id = journal.log(inference.probabilities(&probabilities));
                assert!(id.is_some());
            }
        }
    });
    for (number, journal) in journals.iter().enumerate() {
        journal.close().unwrap();
        let owner = format!("of {number}");
        let found = records(&journal.reader().unwrap());
        assert_eq!(found.len(), 100);
        for record in found {
            let label = &record.probabilities.labels()[0];
            for name in [&record.model, &record.symbol, &record.action, label] {
                assert!(name.ends_with(&owner), "{record:?}");
            }
        }
    }
}

#[test]
fn a_thread_that_panics_leaves_its_last_event_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options()
        .commit_interval(NEVER)
        .flush_on_panic(BOUND);
    let journal = Arc::new(options.open(dir.path()).unwrap());
    let (id, other) = (journal.clone(), journal.clone());
    let (sender, told) = std::sync::mpsc::channel();
    let ended = thread::spawn(move || {
        sender
            .send(id.log(Inference::new("m", "s", "BUY")))
            .unwrap();
        drop(id);
        panic!("on purpose");
    });
    assert!(ended.join().is_err());
    let id = told.recv().unwrap().unwrap();
    // No other handle has flushed: another handle finds the event.
    let reader = match cfg!(annals_portable) {
        // There, no other process may open it.
        true => other.reader().unwrap(),
        false => Reader::open(dir.path()).unwrap(),
    };
    assert_eq!(committed_ids(&reader), [id].into());
    assert_eq!(other.health().commits, 1);
    other.close().unwrap();
}
