//! Reads return what was logged: every query against the test's own memory.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annals::entry::RunState;
use annals::{
    Content, Cursor, Error, Inference, InferenceId, InferenceRecord, Journal, ManualClock, Options,
    Query, Reader, Repeats, Timestamp,
};
use chrono::{DateTime, Datelike, TimeZone, Utc};
use proptest::prelude::*;
use support::{BOUND, NEVER, entries, flush, gaps, micros, records};

const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;
/// Time of the tests' clocks: in the middle of an hour.
const NOW: i64 = 500_000 * HOUR + HOUR / 2;

fn in_memory() -> Journal {
    still().in_memory().unwrap()
}

/// A clock that stands still, commits only by request, and a window that never passes.
fn still() -> Options {
    Journal::options()
        .clock(ManualClock::at(micros(NOW)))
        .commit_interval(NEVER)
        .dedup_window(NEVER)
}

fn log_at(journal: &Journal, event: i64) -> InferenceId {
    let inference = Inference::new("m", "s", "BUY").event_time(micros(event));
    journal.log(inference).unwrap()
}

fn ids(query: &Query) -> Vec<InferenceId> {
    query.iter().map(|record| record.unwrap().id).collect()
}

/// The query's answer, after making sure that newest first is the same answer reversed.
fn both_ways(query: &Query) -> Vec<InferenceId> {
    let found = ids(query);
    let mut reversed = ids(&query.clone().newest_first());
    reversed.reverse();
    assert_eq!(found, reversed, "newest first is oldest first reversed");
    found
}

/// Loops hand them to their threads.
#[test]
fn handles_can_be_sent_and_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Journal>();
    shared::<Reader>();
    shared::<annals::Recorder>();
    shared::<annals::Registry>();
}

#[test]
fn the_newest_come_newest_first_and_no_more_than_there_are() {
    let journal = in_memory();
    let logged: Vec<_> = (0..10).map(|event| log_at(&journal, event)).collect();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.newest(3).count(), 0, "nothing is committed yet");
    flush(&journal);
    let newest = |n| -> Vec<_> { reader.newest(n).map(|record| record.unwrap().id).collect() };
    let mut all = logged.clone();
    all.reverse();
    assert_eq!(newest(0), []);
    assert_eq!(newest(1), all[..1]);
    assert_eq!(newest(9), all[..9]);
    assert_eq!(newest(10), all);
    assert_eq!(newest(usize::MAX), all);
    assert_eq!(ids(&reader.inferences().limit(4)), logged[..4]);
    assert_eq!(ids(&reader.inferences().limit(0)), []);
}

#[test]
fn since_is_inclusive_and_until_is_not_to_the_microsecond() {
    let journal = in_memory();
    let seven = 7 * HOUR;
    let events = [seven - 1, seven, seven + 1, seven + SECOND, seven + HOUR];
    let logged: Vec<_> = events.map(|event| log_at(&journal, event)).into();
    flush(&journal);
    let reader = journal.reader().unwrap();
    let between = |since: i64, until: i64| {
        let query = reader.inferences().since(micros(since));
        both_ways(&query.until(micros(until)))
    };
    for (index, event) in events.into_iter().enumerate() {
        assert_eq!(between(event, event + 1), logged[index..=index]);
        assert_eq!(between(event, event), []);
        let before = reader.inferences().until(micros(event));
        assert_eq!(both_ways(&before), logged[..index]);
        let since = reader.inferences().since(micros(event));
        assert_eq!(both_ways(&since), logged[index..]);
    }
    assert_eq!(between(seven + 2, seven + SECOND), []);
    assert_eq!(between(seven + 1, seven + SECOND + 1), logged[2..4]);
}

#[test]
fn an_empty_or_reversed_range_gives_nothing() {
    let journal = in_memory();
    for event in -2..3 {
        log_at(&journal, event * HOUR);
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    let ranges = [(0, 0), (1, 0), (HOUR, -HOUR), (i64::MAX, i64::MIN)];
    for (since, until) in ranges {
        let query = reader.inferences().since(micros(since));
        assert_eq!(both_ways(&query.until(micros(until))), []);
    }
    // The bound that was given last counts.
    let moved = reader.inferences().since(micros(HOUR)).since(micros(0));
    assert_eq!(ids(&moved.until(micros(HOUR))).len(), 1);
}

/// Places in the index of event times are read 256 at a time.
#[test]
fn a_range_of_any_number_of_hours_is_whole() {
    for hours in [1, 255, 256, 257, 511, 512, 513] {
        let journal = in_memory();
        let logged: Vec<_> = (0..hours).map(|h| log_at(&journal, h * HOUR)).collect();
        flush(&journal);
        let reader = journal.reader().unwrap();
        let all = reader.inferences().since(micros(0));
        assert_eq!(both_ways(&all.until(micros(hours * HOUR))), logged);
    }
}

/// Daily bars in no order of time, over several commits.
#[test]
fn a_back_test_is_found_by_year() {
    let dir = tempfile::tempdir().unwrap();
    let journal = still().open(dir.path()).unwrap();
    let by_year = log_daily_bars(&journal);
    assert_eq!(by_year.len(), 14);
    let reader = journal.reader().unwrap();
    for (year, expected) in &by_year {
        let query = reader.inferences().since(midnight(*year));
        let query = query.until(midnight(year + 1));
        let found: Vec<_> = query.iter().map(Result::unwrap).collect();
        let times = found.iter().map(|record| record.event_time);
        assert!(times.is_sorted(), "a bar a day, so hours are in order");
        let found_ids: BTreeSet<_> = found.iter().map(|record| record.id).collect();
        assert_eq!((found.len(), &found_ids), (expected.len(), expected));
        let sold = found.iter().filter(|record| &*record.action == "SELL");
        let sold: Vec<_> = sold.map(|record| record.id).collect();
        assert_eq!(both_ways(&query.action("SELL")), sold);
    }
    assert_eq!(ids(&reader.inferences().until(midnight(2000))), []);
    assert_eq!(ids(&reader.inferences().since(midnight(2014))), []);
}

fn midnight(year: i32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap()
}

/// A bar for each day from 2000 to 2013, and the ids of each year.
fn log_daily_bars(journal: &Journal) -> BTreeMap<i32, BTreeSet<InferenceId>> {
    let days = 5_114;
    let mut by_year = BTreeMap::<i32, BTreeSet<InferenceId>>::new();
    for step in 0..days {
        // A factor without a common divisor visits every day once.
        let day = step * 1_009 % days;
        let time = midnight(2000) + chrono::Days::new(day);
        let action = if day % 3 == 0 { "BUY" } else { "SELL" };
        let inference = Inference::new("m", "s", action).event_time(time);
        let id = journal.log(inference).unwrap();
        by_year.entry(time.year()).or_default().insert(id);
        if step % 2_000 == 0 {
            flush(journal);
        }
    }
    flush(journal);
    by_year
}

#[test]
fn the_first_and_last_of_all_times_are_found() {
    let journal = in_memory();
    let first = journal.log(Inference::new("m", "s", "BUY").event_time(Timestamp::MIN));
    let last = journal.log(Inference::new("m", "s", "BUY").event_time(Timestamp::MAX));
    flush(&journal);
    let reader = journal.reader().unwrap();
    let time = |id: Option<InferenceId>| reader.get(id.unwrap()).unwrap().unwrap().event_time;
    assert_eq!((time(first), time(last)), (Timestamp::MIN, Timestamp::MAX));
}

#[test]
fn a_range_reaches_the_first_of_all_times() {
    let journal = in_memory();
    let first = log_at(&journal, i64::MIN + 1);
    flush(&journal);
    let reader = journal.reader().unwrap();
    let all = reader.inferences().since(Timestamp::MIN);
    assert_eq!(both_ways(&all), [first]);
    let start = all.until(micros(i64::MIN + SECOND));
    assert_eq!(both_ways(&start), [first]);
}

#[test]
fn a_range_without_an_end_reaches_the_last_of_all_times() {
    let journal = in_memory();
    let last = log_at(&journal, i64::MAX);
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(both_ways(&reader.inferences().since(micros(0))), [last]);
    let before = reader.inferences().until(Timestamp::MAX);
    assert_eq!(both_ways(&before), []);
}

#[test]
fn names_that_no_inference_bears_find_nothing() {
    let journal = in_memory();
    let plain = Inference::new("m", "s", "BUY");
    journal.log(plain).unwrap();
    flush(&journal);
    let reader = journal.reader().unwrap();
    let all = || reader.inferences();
    let long = "x".repeat(100_000);
    for name in ["", "M", "m ", "s", &long] {
        assert_eq!(ids(&all().model(name)), [], "{name:.9}");
    }
    // A name of one kind is not a name of another.
    assert_eq!(ids(&all().symbol("m")), []);
    assert_eq!(ids(&all().action("s")), []);
    assert_eq!(ids(&all().checkpoint("")), [], "no checkpoint is no name");
    assert_eq!(ids(&all().model("m").symbol("s").action("BUY")).len(), 1);
    journal.log(plain.checkpoint("")).unwrap();
    flush(&journal);
    assert_eq!(ids(&all().checkpoint("")).len(), 1);
}

#[test]
fn every_id_is_found_whatever_its_row_and_others_are_not() {
    let journal = in_memory();
    let mut logged = Vec::new();
    for number in 0..700_u16 {
        // Every third is a repeat, every tenth refused: its id is never seen again.
        let features = [f32::from(number / 3)];
        let plain = Inference::new("m", "s", "BUY").features(&features);
        logged.push(journal.log(plain).unwrap());
        if number % 10 == 0 {
            let many = vec![("BUY", 0.5); 1_025];
            assert_eq!(journal.log(plain.probabilities(&many)), None);
        }
        if number % 90 == 0 {
            flush(&journal);
        }
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(journal.health().repeats, 700 - 234);
    for (number, id) in logged.iter().enumerate() {
        let found = reader.get(*id).unwrap().unwrap();
        let original = logged[number / 3 * 3];
        assert_eq!(found.id, *id);
        assert_eq!(found.repeat_of, (original != *id).then_some(original));
    }
    let known: BTreeSet<_> = logged.iter().copied().collect();
    let last = logged.last().unwrap().to_u64();
    let around = (last - 800..last + 600).map(InferenceId::from_u64);
    for id in around.chain([0, 1, last << 1, u64::MAX].map(InferenceId::from_u64)) {
        assert_eq!(reader.get(id).unwrap().is_some(), known.contains(&id));
    }
}

/// Ids are taken before the send, so threads commit them out of order.
#[test]
fn ids_that_were_committed_out_of_order_are_found() {
    let journal = Journal::in_memory().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for event in 0..1_000 {
                    log_at(&journal, event);
                }
            });
        }
    });
    flush(&journal);
    let reader = journal.reader().unwrap();
    let all = records(&reader);
    assert_eq!(all.len(), 4_000);
    for record in all.iter().step_by(37) {
        let found = reader.get(record.id).unwrap().unwrap();
        assert_eq!(found.sequence, record.sequence);
    }
}

#[test]
fn every_sequence_has_its_entry_and_every_cursor_its_rest() {
    let journal = in_memory();
    let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    for commit in 0..40 {
        for event in 0..commit % 4 {
            log_at(&journal, event);
        }
        if commit % 3 == 0 {
            assert_eq!(bare.inference(1).log(), None);
        }
        flush(&journal);
    }
    let reader = journal.reader().unwrap();
    let all = entries(&reader);
    assert_eq!(all.len(), 60 + 14);
    assert!(
        all.iter()
            .any(|entry| matches!(entry.content, Content::Gap(_)))
    );
    let end = all.len() as u64 + 1;
    assert_eq!(reader.start().next_sequence(), 1);
    assert_eq!(reader.end().unwrap().next_sequence(), end);
    for from in 1..=end {
        let cursor: Cursor = format!("annals:{}:{from}", reader.id()).parse().unwrap();
        let mut follow = reader.follow(cursor).unwrap();
        for expected in from..end {
            assert_eq!(follow.cursor().next_sequence(), expected);
            let entry = follow.next().unwrap().unwrap();
            assert_eq!(entry.sequence, expected);
            let known = &all[usize::try_from(expected).unwrap() - 1];
            assert_eq!(entry.id(), known.id());
            let alone = reader.entry(expected).unwrap().unwrap();
            assert_eq!((alone.sequence, alone.id()), (expected, known.id()));
        }
        assert!(follow.next().is_none());
        assert_eq!(follow.cursor(), reader.end().unwrap());
    }
    for sequence in [0, end, end + 1, u64::MAX] {
        assert!(reader.entry(sequence).unwrap().is_none());
    }
}

#[test]
fn a_follower_at_the_end_goes_on_with_what_comes() {
    let journal = in_memory();
    let reader = journal.reader().unwrap();
    let mut follow = reader.follow(reader.end().unwrap()).unwrap();
    for round in 0..5 {
        assert!(follow.next().is_none());
        assert!(!follow.wait(Duration::ZERO).unwrap());
        let id = log_at(&journal, round);
        assert!(follow.next().is_none(), "not committed yet");
        flush(&journal);
        assert!(follow.wait(BOUND).unwrap());
        assert!(follow.wait(Duration::ZERO).unwrap(), "it is still there");
        assert_eq!(follow.next().unwrap().unwrap().id(), Some(id));
    }
}

#[test]
fn a_cursor_of_another_journal_or_of_the_future_is_refused() {
    let (journal, other) = (in_memory(), in_memory());
    let reader = journal.reader().unwrap();
    let foreign = other.reader().unwrap().start();
    let beyond: Cursor = format!("annals:{}:2", reader.id()).parse().unwrap();
    for cursor in [foreign, beyond] {
        let error = reader.follow(cursor).unwrap_err();
        assert!(matches!(error, Error::ForeignCursor { .. }), "{error}");
        assert!(error.to_string().contains(&cursor.to_string()), "{error}");
    }
    log_at(&journal, 0);
    flush(&journal);
    assert_eq!(reader.follow(beyond).unwrap().count(), 0);
}

/// Consumes half of each query, commits and asks more, and then consumes the rest.
#[test]
fn an_iterator_holds_nothing_and_sees_nothing_new() {
    let dir = tempfile::tempdir().unwrap();
    let journal = still().open(dir.path()).unwrap();
    for event in 0..3_000 {
        log_at(&journal, event * HOUR / 7);
        if event % 500 == 0 {
            flush(&journal);
        }
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    let by_time = reader.inferences().since(micros(0));
    let queries = [
        reader.inferences(),
        reader.inferences().newest_first(),
        by_time.clone(),
        by_time.newest_first(),
    ];
    let expected: Vec<_> = queries.iter().map(ids).collect();
    let begun = |query: &Query| {
        let mut answer = query.iter();
        let seen: Vec<_> = answer.by_ref().take(1_500).map(Result::unwrap).collect();
        (answer, seen)
    };
    let half: Vec<_> = queries.iter().map(begun).collect();
    for event in 0..1_000 {
        // Among the hours that have been read, and among those that have not.
        log_at(&journal, event * 3 * HOUR / 7);
        if event % 100 == 0 {
            flush(&journal);
            assert_eq!(reader.newest(1).count(), 1);
        }
    }
    flush(&journal);
    for ((answer, seen), expected) in half.into_iter().zip(expected) {
        assert_eq!(expected.len(), 3_000);
        let all = seen.into_iter().chain(answer.map(Result::unwrap));
        let all: Vec<_> = all.map(|record| record.id).collect();
        assert_eq!(all, expected);
    }
}

/// "Runs the query over what is committed now", says `iter`; now is not the first `next`.
#[test]
fn an_iterator_answers_for_the_moment_in_which_it_was_made() {
    let journal = in_memory();
    let early = log_at(&journal, 1);
    flush(&journal);
    let reader = journal.reader().unwrap();
    let answer = reader.inferences().iter();
    log_at(&journal, 2);
    flush(&journal);
    let found: Vec<_> = answer.map(|record| record.unwrap().id).collect();
    assert_eq!(found, [early]);
}

#[test]
fn any_number_of_gaps_is_listed() {
    // Gaps are read 64 at a time.
    for count in [0, 1, 63, 64, 65, 128, 129] {
        let journal = in_memory();
        let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
        for _ in 0..count {
            assert_eq!(bare.inference(1).log(), None);
            flush(&journal);
            log_at(&journal, 0);
        }
        flush(&journal);
        let reader = journal.reader().unwrap();
        let found = gaps(&reader);
        assert_eq!(found.len(), count);
        assert!(found.is_sorted_by_key(|gap| gap.sequence));
        assert!(found.iter().all(|gap| gap.count == Some(1)));
        assert_eq!(entries(&reader).len(), 2 * count);
    }
}

#[test]
fn any_number_of_runs_is_listed() {
    // Runs are read 64 at a time; each flush ends one.
    let journal = still().ids_per_run(1).in_memory().unwrap();
    let reader = journal.reader().unwrap();
    for ended in 1..=130_u32 {
        log_at(&journal, 0);
        flush(&journal);
        while journal.health().run.get() <= ended {
            std::thread::yield_now();
        }
        if [63, 64, 65, 127, 128, 129, 130].contains(&(ended + 1)) {
            let numbers: Vec<u32> = reader.runs().map(|run| run.unwrap().id.get()).collect();
            assert_eq!(numbers, (1..=ended + 1).collect::<Vec<_>>());
        }
    }
    let last = reader.runs().last().unwrap().unwrap();
    assert_eq!(last.state, RunState::Alive);
}

#[test]
fn a_reader_outlives_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    for journal in [in_memory(), still().open(dir.path()).unwrap()] {
        let reader = journal.reader().unwrap();
        let id = log_at(&journal, 5);
        drop(journal);
        assert_eq!(ids(&reader.inferences()), [id]);
        assert_eq!(reader.get(id).unwrap().unwrap().event_time, micros(5));
        let run = reader.runs().next().unwrap().unwrap();
        assert!(matches!(run.state, RunState::Closed(_)), "{run:?}");
    }
}

#[test]
fn the_label_is_that_of_the_journals_creation() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Journal::options();
    let first = options().label("trainer-7").open(dir.path()).unwrap();
    let id = first.id();
    drop(first);
    let again = options().label("another").open(dir.path()).unwrap();
    let reader = again.reader().unwrap();
    assert_eq!((again.id(), reader.id()), (id, id));
    assert_eq!(reader.label(), Some("trainer-7"));
    assert_eq!(in_memory().reader().unwrap().label(), None);
}

// ---------------------------------------------------------------- against an oracle

/// One call as the test makes it; names are indices into the lists below.
#[derive(Clone, Debug)]
struct Call {
    model: usize,
    symbol: usize,
    action: usize,
    checkpoint: usize,
    confidence: Option<u8>,
    labelled: bool,
    features: Option<u8>,
    event: Option<i64>,
    /// Whether a commit follows.
    commits: bool,
}

/// The right content of the journal for one call.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    id: InferenceId,
    sequence: u64,
    event: i64,
    model: String,
    symbol: String,
    action: String,
    checkpoint: Option<String>,
    confidence: u32,
    probabilities: Vec<(String, f32)>,
    feature_hash: Option<u64>,
    divergent: bool,
    repeat_of: Option<InferenceId>,
}

/// Three times too many names for a table of four, an empty one, and one that is too long.
fn name(kind: &str, index: usize) -> String {
    match index {
        0 => String::new(),
        1 => kind.repeat(300),
        _ => format!("{kind}{index}"),
    }
}

fn checkpoint(index: usize) -> Option<String> {
    (index > 0).then(|| name("c", index - 1))
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let hours = prop::sample::select(vec![-30_000, -1, 0, 1, 2, 300, 301]);
    let offsets = prop::sample::select(vec![-1, 0, 1, SECOND - 1, SECOND, HOUR / 2]);
    let event = (hours, offsets).prop_map(|(hour, offset)| hour * HOUR + offset);
    let names = (0..4_usize, 0..3_usize, 0..3_usize, 0..4_usize);
    let answer = (
        prop::option::of(0..3_u8),
        any::<bool>(),
        prop::option::of(0..3_u8),
    );
    let call = (
        names,
        answer,
        prop::option::of(event),
        prop::bool::weighted(0.2),
    );
    let call = call.prop_map(|(names, answer, event, commits)| Call {
        model: names.0,
        symbol: names.1,
        action: names.2,
        checkpoint: names.3,
        confidence: answer.0,
        labelled: answer.1,
        features: answer.2,
        event,
        commits,
    });
    prop::collection::vec(call, 0..80)
}

/// Conditions of a query.
#[derive(Clone, Debug)]
struct Question {
    model: Option<usize>,
    symbol: Option<usize>,
    action: Option<usize>,
    checkpoint: Option<usize>,
    repeats: bool,
    since: Option<i64>,
    until: Option<i64>,
    newest_first: bool,
    limit: usize,
}

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let bound = || {
        let hours = prop::sample::select(vec![-30_000, -1, 0, 1, 2, 300, 302, 500_000, 500_001]);
        let offsets = prop::sample::select(vec![0, 1, SECOND - 1, SECOND, HOUR / 2 + 1]);
        prop::option::weighted(
            0.6,
            (hours, offsets).prop_map(|(hour, offset)| hour * HOUR + offset),
        )
    };
    // The index after the last is a name that nothing bears.
    let names = || prop::option::weighted(0.3, 0..5_usize);
    let names = (names(), names(), names(), names());
    let rest = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec![usize::MAX, 7, 1, 0]),
    );
    let question =
        (names, bound(), bound(), rest).prop_map(|(names, since, until, rest)| Question {
            model: names.0,
            symbol: names.1,
            action: names.2,
            checkpoint: names.3,
            repeats: rest.0,
            since,
            until,
            newest_first: rest.1,
            limit: rest.2,
        });
    prop::collection::vec(question, 12)
}

/// Makes the calls and says what should be in the journal, by the rules of deduplication.
fn play(journal: &Journal, calls: &[Call]) -> Vec<Expected> {
    let mut expected: Vec<Expected> = Vec::new();
    for call in calls {
        let logged = log_call(journal, call, &expected);
        expected.push(logged);
        if call.commits {
            flush(journal);
        }
    }
    flush(journal);
    expected
}

fn log_call(journal: &Journal, call: &Call, before: &[Expected]) -> Expected {
    let (model, symbol) = (name("m", call.model), name("s", call.symbol));
    let (action, checkpoint) = (name("a", call.action), checkpoint(call.checkpoint));
    let confidence = call.confidence.map(|given| f32::from(given) / 2.0);
    let features = call.features.map(|given| [f32::from(given)]);
    let labels = [action.as_str(), "other"];
    let probabilities = [(labels[0], 0.75), (labels[1], 0.25)];
    let probabilities = if call.labelled {
        &probabilities[..]
    } else {
        &[]
    };
    let mut inference = Inference::new(&model, &symbol, &action).probabilities(probabilities);
    if let Some(confidence) = confidence {
        inference = inference.confidence(confidence);
    }
    if let Some(features) = &features {
        inference = inference.features(features).deterministic();
    }
    if let Some(checkpoint) = &checkpoint {
        inference = inference.checkpoint(checkpoint);
    }
    if let Some(event) = call.event {
        inference = inference.event_time(micros(event));
    }
    let id = journal.log(inference).unwrap();
    let by_label = call.labelled.then_some(0.75);
    let mut expected = Expected {
        id,
        sequence: before
            .last()
            .map_or(1, |last| last.sequence + 1 + said(before)),
        event: call.event.unwrap_or(NOW),
        confidence: confidence.or(by_label).unwrap_or(f32::NAN).to_bits(),
        probabilities: probabilities
            .iter()
            .map(|(label, value)| ((*label).to_owned(), *value))
            .collect(),
        feature_hash: features.map(|features| annals::feature_hash(&features)),
        divergent: false,
        repeat_of: None,
        model,
        symbol,
        action,
        checkpoint,
    };
    judge(&mut expected, before);
    expected
}

/// Behind the first divergence of a model and checkpoint stands an event that reports it.
fn said(before: &[Expected]) -> u64 {
    let Some((last, earlier)) = before.split_last() else {
        return 0;
    };
    let same = |of: &Expected| {
        of.divergent && (&of.model, &of.checkpoint) == (&last.model, &last.checkpoint)
    };
    u64::from(last.divergent && !earlier.iter().any(same))
}

/// The last answer in full to the same question decides.
fn judge(expected: &mut Expected, before: &[Expected]) {
    let question = |of: &Expected| {
        let names = (of.model.clone(), of.symbol.clone(), of.checkpoint.clone());
        (names, of.feature_hash)
    };
    let answer = |of: &Expected| (of.action.clone(), of.confidence, of.probabilities.clone());
    let same = before.iter().rev().find(|earlier| {
        earlier.repeat_of.is_none()
            && earlier.feature_hash.is_some()
            && question(earlier) == question(expected)
    });
    if let Some(earlier) = same {
        if answer(earlier) == answer(expected) {
            expected.repeat_of = Some(earlier.id);
        } else {
            expected.divergent = true;
        }
    }
}

fn seen(record: &InferenceRecord) -> Expected {
    Expected {
        id: record.id,
        sequence: record.sequence,
        event: record.event_time.as_micros(),
        model: record.model.to_string(),
        symbol: record.symbol.to_string(),
        action: record.action.to_string(),
        checkpoint: record.checkpoint.as_deref().map(str::to_owned),
        confidence: record.confidence.unwrap_or(f32::NAN).to_bits(),
        probabilities: record
            .probabilities
            .iter()
            .map(|(label, value)| (label.to_owned(), value))
            .collect(),
        feature_hash: record.feature_hash,
        divergent: record.divergent,
        repeat_of: record.repeat_of,
    }
}

fn ask(reader: &Reader, question: &Question) -> Vec<Expected> {
    let mut query = reader.inferences().limit(question.limit);
    if let Some(index) = question.model {
        query = query.model(name("m", index));
    }
    if let Some(index) = question.symbol {
        query = query.symbol(name("s", index));
    }
    if let Some(index) = question.action {
        query = query.action(name("a", index));
    }
    if let Some(index) = question.checkpoint {
        query = query.checkpoint(name("c", index));
    }
    if !question.repeats {
        query = query.repeats(Repeats::Exclude);
    }
    if let Some(since) = question.since {
        query = query.since(micros(since));
    }
    if let Some(until) = question.until {
        query = query.until(micros(until));
    }
    if question.newest_first {
        query = query.newest_first();
    }
    query.iter().map(|record| seen(&record.unwrap())).collect()
}

fn know(all: &[Expected], question: &Question) -> Vec<Expected> {
    let is = |wanted: Option<usize>, kind: &str, text: &str| {
        wanted.is_none_or(|index| name(kind, index) == text)
    };
    let keeps = |of: &&Expected| {
        let checkpoint = question.checkpoint.map(|index| name("c", index));
        (question.repeats || of.repeat_of.is_none())
            && is(question.model, "m", &of.model)
            && is(question.symbol, "s", &of.symbol)
            && is(question.action, "a", &of.action)
            && (checkpoint.is_none() || checkpoint == of.checkpoint)
            && question.since.is_none_or(|since| of.event >= since)
            && question.until.is_none_or(|until| of.event < until)
    };
    let mut known: Vec<Expected> = all.iter().filter(keeps).cloned().collect();
    if question.since.is_some() || question.until.is_some() {
        known.sort_by_key(|of| (of.event.div_euclid(HOUR), of.sequence));
    }
    if question.newest_first {
        known.reverse();
    }
    known.truncate(question.limit);
    known
}

fn assert_read_as_logged(journal: &Journal, calls: &[Call], questions: &[Question]) {
    let all = play(journal, calls);
    let reader = journal.reader().unwrap();
    let found: Vec<_> = records(&reader).iter().map(seen).collect();
    assert_eq!(found, all);
    for expected in &all {
        let record = reader.get(expected.id).unwrap().unwrap();
        assert_eq!(seen(&record), *expected);
    }
    for question in questions {
        assert_eq!(ask(&reader, question), know(&all, question), "{question:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_query_gives_what_was_logged(
        calls in calls(),
        questions in questions(),
        most in prop::sample::select(vec![65_536, 4, 0]),
    ) {
        let journal = still().max_names(most).in_memory().unwrap();
        assert_read_as_logged(&journal, &calls, &questions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 6,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_query_gives_what_was_logged_on_disk_too(
        calls in calls(),
        questions in questions(),
        most in prop::sample::select(vec![65_536, 4, 0]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let journal = still().max_names(most).open(dir.path()).unwrap();
        assert_read_as_logged(&journal, &calls, &questions);
        journal.close().unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        prop_assert_eq!(records(&reader).len(), calls.len());
    }
}

/// A name that one process writes out for want of room may be in another's table.
#[test]
fn a_name_is_found_whether_it_is_written_out_or_a_number() {
    let dir = tempfile::tempdir().unwrap();
    let mut logged = Vec::new();
    for most in [4, 65_536, 0] {
        let journal = still().max_names(most).open(dir.path()).unwrap();
        for number in 0..6 {
            let model = format!("model {number}");
            let checkpoint = format!("checkpoint {number}");
            let inference = Inference::new(&model, "s", "BUY").checkpoint(&checkpoint);
            logged.push((number, journal.log(inference).unwrap()));
        }
        journal.close().unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    for number in 0..6 {
        let expected: Vec<_> = logged
            .iter()
            .filter(|(of, _)| *of == number)
            .map(|(_, id)| *id)
            .collect();
        let model = reader.inferences().model(format!("model {number}"));
        assert_eq!(both_ways(&model), expected);
        let checkpoint = format!("checkpoint {number}");
        let checkpoint = reader.inferences().checkpoint(checkpoint);
        assert_eq!(both_ways(&checkpoint), expected);
    }
}
