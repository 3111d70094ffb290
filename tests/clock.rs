//! Wall clocks step, stand still and lie; the journal's order, durations and windows do not.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use annals::entry::RunState;
use annals::{Inference, InferenceId, InferenceRecord, Journal, ManualClock, Options, Timestamp};
use support::look::end_look;
use support::{BOUND, NEVER, entries, flush, gaps, micros, records};

const HOUR: Duration = NEVER;
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
/// 2025-07-25, in the afternoon.
const START: i64 = 1_753_453_679_000_000;

fn options(clock: &ManualClock) -> Options {
    Journal::options()
        .clock(clock.clone())
        .commit_interval(NEVER)
}

fn journal() -> (Journal, ManualClock) {
    let clock = ManualClock::at(micros(START));
    (options(&clock).in_memory().unwrap(), clock)
}

/// Logs an inference and has it committed: what is swept later is put down to a later clock.
fn log_now(journal: &Journal) -> InferenceId {
    // The test may just have set its clock.
    end_look(journal);
    let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
    flush(journal);
    id
}

fn recorded(journal: &Journal) -> Vec<InferenceRecord> {
    let reader = journal.reader().unwrap();
    // Fails if a sequence is missing.
    let all = entries(&reader);
    let found = records(&reader);
    assert_eq!(all.len(), found.len());
    found
}

fn recorded_times(journal: &Journal) -> Vec<Timestamp> {
    let times = recorded(journal).into_iter();
    times.map(|record| record.recorded_time).collect()
}

#[test]
fn recorded_time_follows_a_clock_that_is_set_back_stands_still_or_leaps() {
    let (journal, clock) = journal();
    let mut expected = Vec::new();
    let mut log = |clock: &ManualClock| {
        log_now(&journal);
        expected.push(clock.now());
    };
    log(&clock);
    clock.set(clock.now().saturating_sub(HOUR));
    log(&clock);
    log(&clock);
    clock.set(clock.now().saturating_add(YEAR));
    log(&clock);
    clock.advance(Duration::from_micros(1));
    log(&clock);
    clock.set(micros(-1));
    log(&clock);
    assert_eq!(recorded_times(&journal), expected);
    let reader = journal.reader().unwrap();
    let newest = reader.newest(1).next().unwrap().unwrap();
    // The newest is the one committed last, not the one with the latest time.
    assert_eq!(newest.recorded_time, micros(-1));
}

#[test]
fn time_that_passes_before_the_commit_is_not_added() {
    let (journal, clock) = journal();
    for _ in 0..3 {
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
        clock.advance(Duration::from_millis(1_500));
    }
    flush(&journal);
    let expected = [0, 1_500_000, 3_000_000].map(|passed| micros(START + passed));
    assert_eq!(recorded_times(&journal), expected);
}

/// The wall clock steps while events wait: their distances stay, and only the anchor moves.
#[test]
fn a_step_between_log_and_commit_moves_events_together() {
    let (journal, clock) = journal();
    // The first event of a journal wakes the writer, which may then be busy with it.
    log_now(&journal);
    for _ in 0..3 {
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
        clock.advance(SECOND);
    }
    clock.set(clock.now().saturating_sub(HOUR));
    flush(&journal);
    let times = recorded_times(&journal);
    assert_eq!(times.len(), 4);
    for (passed, time) in times[1..].iter().enumerate() {
        let straight = micros(START + i64::try_from(passed).unwrap() * 1_000_000);
        let stepped = straight.saturating_sub(HOUR);
        // Which of the two depends on whether the writer looked before or after the step.
        assert!([straight, stepped].contains(time), "{passed}: {time}");
    }
}

#[test]
fn event_time_is_recorded_time_unless_it_is_given() {
    let (journal, clock) = journal();
    log_now(&journal);
    clock.set(clock.now().saturating_sub(HOUR));
    log_now(&journal);
    let bar = micros(-86_400_000_000);
    journal
        .log(Inference::new("m", "s", "BUY").event_time(bar))
        .unwrap();
    flush(&journal);
    let found = recorded(&journal);
    assert_eq!(found[0].event_time, found[0].recorded_time);
    assert_eq!(found[1].event_time, found[1].recorded_time);
    let given = (found[2].event_time, found[2].recorded_time);
    assert_eq!(given, (bar, clock.now()));
    // A query by time finds what was recorded under the clock that was set back.
    let reader = journal.reader().unwrap();
    let before = reader.inferences().since(clock.now()).until(micros(START));
    let ids: Vec<_> = before.iter().map(|record| record.unwrap().id).collect();
    assert_eq!(ids, [found[1].id]);
}

#[test]
fn processing_time_goes_by_the_monotonic_clock_and_is_never_negative() {
    let (journal, clock) = journal();
    let recorder = journal.recorder("m", "s").actions(["BUY"]).build().unwrap();
    let steps: [&dyn Fn(); 4] = [
        &|| (),
        &|| clock.set(clock.now().saturating_sub(HOUR)),
        &|| clock.set(clock.now().saturating_add(YEAR)),
        &|| clock.advance(Duration::from_nanos(12_345)),
    ];
    for step in steps {
        let (prepared, plain) = (recorder.start(), journal.start());
        step();
        recorder.log(prepared, 0, &[1.0], &[]).unwrap();
        let inference = Inference::new("m", "s", "BUY").timer(plain);
        journal.log(inference).unwrap();
    }
    flush(&journal);
    let times: Vec<_> = recorded(&journal)
        .iter()
        .map(|record| record.processing_time.unwrap())
        .collect();
    assert_eq!(times[..6], [Duration::ZERO; 6]);
    assert_eq!(times[6..], [Duration::from_nanos(12_345); 2]);
}

/// A timer of another clock may lie ahead of this journal's; that is no time, not a huge one.
#[test]
fn a_timer_from_the_future_gives_no_time_at_all() {
    let (ahead, clock) = journal();
    clock.advance(YEAR);
    let timer = ahead.start();
    let (journal, _) = journal();
    let inference = Inference::new("m", "s", "BUY").timer(timer);
    journal.log(inference).unwrap();
    flush(&journal);
    let found = recorded(&journal);
    assert_eq!(found[0].processing_time, Some(Duration::ZERO));
}

fn log_same(journal: &Journal) -> InferenceId {
    let inference = Inference::new("m", "s", "BUY").features(&[1.0]);
    journal.log(inference).unwrap()
}

#[test]
fn the_window_of_repeats_ends_to_the_nanosecond() {
    let clock = ManualClock::at(micros(START));
    let options = options(&clock).dedup_window(SECOND);
    let journal = options.in_memory().unwrap();
    let first = log_same(&journal);
    clock.advance(SECOND);
    let last_repeat = log_same(&journal);
    clock.advance(Duration::from_nanos(1));
    let again = log_same(&journal);
    // A repeat does not prolong the window; a new answer begins one.
    clock.advance(SECOND);
    let of_again = log_same(&journal);
    flush(&journal);
    let found: Vec<_> = recorded(&journal)
        .iter()
        .map(|record| (record.id, record.repeat_of))
        .collect();
    let expected = [
        (first, None),
        (last_repeat, Some(first)),
        (again, None),
        (of_again, Some(again)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_window_of_repeats_does_not_see_the_wall_clock() {
    let clock = ManualClock::at(micros(START));
    let options = options(&clock).dedup_window(SECOND);
    let journal = options.in_memory().unwrap();
    let first = log_same(&journal);
    clock.set(clock.now().saturating_add(YEAR));
    log_same(&journal);
    clock.set(clock.now().saturating_sub(YEAR + HOUR));
    log_same(&journal);
    flush(&journal);
    clock.set(micros(START));
    log_same(&journal);
    flush(&journal);
    let repeats = journal.health().repeats;
    assert_eq!(
        repeats, 3,
        "time has not passed, however the hands were turned"
    );
    clock.advance(SECOND + SECOND);
    clock.set(micros(START));
    let new = log_same(&journal);
    flush(&journal);
    let found = recorded(&journal);
    let originals: Vec<_> = found.iter().map(|record| record.repeat_of).collect();
    let of_first = Some(first);
    assert_eq!(originals, [None, of_first, of_first, of_first, None]);
    assert_eq!(found[4].id, new);
}

#[test]
fn runs_and_commits_are_dated_by_the_wall_clock_however_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(START));
    let journal = options(&clock).open(dir.path()).unwrap();
    assert_eq!(journal.health().last_commit, None);
    clock.set(clock.now().saturating_sub(HOUR));
    end_look(&journal);
    let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    assert_eq!(bare.inference(1).log(), None);
    log_now(&journal);
    assert_eq!(journal.health().last_commit, Some(clock.now()));
    let gap = &gaps(&journal.reader().unwrap())[0];
    assert_eq!(gap.recorded_range, Some((clock.now(), clock.now())));
    clock.set(clock.now().saturating_sub(HOUR));
    journal.close().unwrap();
    let run = journal.reader().unwrap().runs().next().unwrap().unwrap();
    assert_eq!(run.started, micros(START));
    // It ended before it began, as the wall clock would have it; nothing is made up.
    let ended = micros(START).saturating_sub(HOUR + HOUR);
    assert_eq!(run.state, RunState::Closed(ended));
}

#[test]
fn a_clock_at_the_ends_of_time_is_recorded_as_it_is() {
    for end in [Timestamp::MIN, micros(0), Timestamp::MAX] {
        let clock = ManualClock::at(end);
        let journal = options(&clock).in_memory().unwrap();
        log_now(&journal);
        clock.advance(SECOND);
        log_now(&journal);
        let times = recorded_times(&journal);
        assert_eq!(times, [end, end.saturating_add(SECOND)]);
        journal.close().unwrap();
    }
}

/// The clock is set a day back and forth, stands still, and shows times before 1970, between
/// segments.
#[test]
fn segments_and_statistics_hold_whatever_the_clock_did_between() {
    const DAY: i64 = 86_400_000_000;
    const EACH: usize = 3;
    let hands = [START, START - DAY, START + DAY, START, -DAY, -1, 0, START];
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(START));
    let open = || {
        options(&clock)
            .without_mirror()
            .open(directory.path())
            .unwrap()
    };
    let mut journal = open();
    let mut expected = Vec::new();
    for (number, hand) in hands.into_iter().enumerate() {
        clock.set(micros(hand));
        for _ in 0..EACH {
            log_now(&journal);
            expected.push(micros(hand));
        }
        match number % 3 {
            0 => assert!(journal.seal(BOUND).unwrap() > 0),
            1 => {
                journal.close().unwrap();
                journal = open();
            }
            _ => {}
        }
    }
    assert_eq!(recorded_times(&journal), expected);
    let reader = journal.reader().unwrap();
    for hand in hands {
        let times = hands.into_iter().filter(|other| *other == hand).count();
        let at = reader
            .inferences()
            .since(micros(hand))
            .until(micros(hand + 1));
        assert_eq!(at.iter().count(), EACH * times, "at {hand}");
        let stats = reader
            .stats("m")
            .since(micros(hand))
            .until(micros(hand + 1));
        assert_eq!(
            stats.get().unwrap().count,
            (EACH * times) as u64,
            "at {hand}"
        );
    }
    let all = reader.stats("m").get().unwrap();
    assert_eq!(all.count, expected.len() as u64);
    assert_eq!(
        (all.first, all.last),
        (Some(micros(-DAY)), Some(micros(START + DAY)))
    );
    let early = reader.stats("m").until(micros(1)).get().unwrap();
    assert_eq!(early.count, 3 * EACH as u64);
    journal.close().unwrap();
}

/// Sealing by age goes by the present clock: set back, nothing is old.
#[test]
fn age_is_not_negative_when_the_clock_was_set_back() {
    const DAY: i64 = 86_400_000_000;
    for (hand, left) in [(START - DAY, 1), (-1, 1), (START, 1), (START + DAY, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(micros(START));
        let options = || options(&clock).without_mirror().seal_age(HOUR);
        let journal = options().open(directory.path()).unwrap();
        log_now(&journal);
        journal.close().unwrap();
        clock.set(micros(hand));
        let journal = options().open(directory.path()).unwrap();
        // The thread looks at the age before it does what it is asked.
        assert_eq!(journal.seal(BOUND).unwrap(), left, "at {hand}");
        journal.close().unwrap();
    }
}
