//! Retention: a plan lists what goes, applying it does exactly that, and followers that are behind
//! get an error.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use annals::maintenance::RetentionPlan;
use annals::{Content, Level};
use annals::{
    Cursor, Error, Inference, InferenceId, Journal, Maintenance, ManualClock, Options, Outcome,
    Reader, RetentionPolicy,
};
use support::look::end_look;
use support::{BOUND, NEVER, flush, micros, wait_until};

const HOUR: i64 = 3_600_000_000;
const DAY: Duration = Duration::from_secs(86_400);
/// 2027-01-15 08:00 UTC, in microseconds.
const NOW: i64 = 1_800_000_000_000_000;

fn options(clock: &ManualClock) -> Options {
    let options = Journal::options().clock(clock.clone()).without_mirror();
    options.seal_age(DAY * 10_000)
}

/// Logs and seals `per_day` inferences on each of `days` days; says the first id of each.
fn days(journal: &Journal, clock: &ManualClock, days: u32, per_day: u32) -> Vec<InferenceId> {
    let mut firsts = Vec::new();
    for day in 0..days {
        let model = format!("model of day {day}");
        // The clock has just been set, here or by the test.
        end_look(journal);
        let log = |_| journal.log(Inference::new(&model, "ETH/USDT", "BUY"));
        firsts.push((0..per_day).filter_map(log).next().unwrap());
        (1..per_day).filter_map(log).for_each(drop);
        flush(journal);
        assert_eq!(journal.seal(BOUND).unwrap(), u64::from(per_day));
        clock.advance(DAY);
    }
    firsts
}

fn segment_files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("segments")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".redb")).collect();
    names.sort();
    names
}

fn max_age_days(days: u32) -> RetentionPolicy {
    RetentionPolicy::new().max_age_days(days)
}

fn max_bytes(bytes: u64) -> RetentionPolicy {
    RetentionPolicy::new().max_bytes(bytes)
}

/// Waits for the folder: unfolded entries are not planned.
fn plan(maintenance: &Maintenance, policy: RetentionPolicy) -> RetentionPlan {
    let began = Instant::now();
    loop {
        let planned = maintenance.retention(policy.clone()).plan().unwrap();
        let mut held_back = planned.held_back().iter();
        if !held_back.any(|why| why.contains("statistics")) {
            return planned;
        }
        assert!(began.elapsed() < BOUND, "{:?}", planned.held_back());
    }
}

#[test]
fn a_plan_says_what_goes_and_applying_it_does_exactly_that() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(dir).unwrap();
    let firsts = days(&journal, &clock, 5, 100);
    let maintenance = journal.maintenance().unwrap();
    let reader = journal.reader().unwrap();
    let old = reader.start();
    let mut inside = reader.follow(old).unwrap();
    assert_eq!(inside.next().unwrap().unwrap().sequence, 1);
    let mut query = reader.inferences().model("model of day 4").iter();

    // It is day 5, and what is from before day 3 goes.
    let planned = plan(&maintenance, max_age_days(2));
    let listed: Vec<_> = planned
        .segments()
        .iter()
        .map(|s| s.sequences.clone())
        .collect();
    assert_eq!(listed, [1..=100, 101..=200, 201..=300]);
    let first = planned.segments()[0].clone();
    assert_eq!((first.entries, first.inferences), (100, 100));
    assert_eq!(first.recorded, (micros(NOW), micros(NOW)));
    assert_eq!(first.event_times, Some((micros(NOW), micros(NOW))));
    assert_eq!(first.bytes, fs::metadata(&first.file).unwrap().len());
    assert!(first.reason.contains("2 days"), "{}", first.reason);
    assert_eq!((planned.entries(), planned.kept_entries()), (300, 200));
    assert_eq!(planned.held_back(), [""; 0]);
    // Nothing has happened yet.
    assert_eq!(segment_files(dir).len(), 5);
    let bytes = planned.bytes();
    let retired = planned.apply().unwrap();
    assert_eq!(
        (retired.segments, retired.entries, retired.bytes),
        (3, 300, bytes)
    );
    assert_eq!(segment_files(dir).len(), 2);

    // A follower that is behind gets an error; a new one begins at the first kept entry.
    let behind = reader.follow(old.to_string().parse().unwrap()).unwrap();
    assert_eq!(behind.count(), 200);
    let cursor: Cursor = format!("annals:{}:150", reader.id()).parse().unwrap();
    let refused = reader.follow(cursor).unwrap().next().unwrap();
    assert!(matches!(
        refused,
        Err(Error::Retired {
            sequence: 150,
            kept: 301,
            ..
        })
    ));
    // Decoded entries are given first; then the error comes, and again at each call.
    let said = inside.by_ref().find_map(Result::err);
    assert!(matches!(said, Some(Error::Retired { .. })), "{said:?}");
    assert!(matches!(inside.next(), Some(Err(Error::Retired { .. }))));
    // A query that began before: what it still gives is right, or it says why it cannot.
    let given: Vec<_> = query.by_ref().collect();
    let (right, said): (Vec<_>, Vec<_>) = given.into_iter().partition(Result::is_ok);
    assert!(right.len() == 100 && said.is_empty() || matches!(said[0], Err(Error::Retired { .. })));
    assert_eq!(reader.get(firsts[0]).unwrap().map(|r| r.id), None);
    assert_eq!(reader.get(firsts[3]).unwrap().unwrap().id, firsts[3]);
    assert_eq!(reader.newest(1_000).count(), 200);
    assert!(reader.entry(300).unwrap().is_none());

    let so_far = maintenance.retired().unwrap();
    assert_eq!(
        (so_far.segments, so_far.entries, so_far.inferences),
        (3, 300, 300)
    );
    let hours: Vec<_> = (0..3)
        .map(|day| {
            let hour = (NOW + day * 24 * HOUR).div_euclid(HOUR) * HOUR;
            (micros(hour), micros(hour + HOUR - 1))
        })
        .collect();
    assert_eq!(so_far.event_times, hours);
    assert_eq!(
        so_far.recorded,
        Some((micros(NOW), micros(NOW + 48 * HOUR)))
    );
}

#[test]
fn the_oldest_go_until_the_rest_fits() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(dir).unwrap();
    days(&journal, &clock, 60, 3_000);
    journal.close().unwrap();
    let maintenance = Maintenance::open(dir).unwrap();
    let bytes = |dir: &Path| {
        let files = segment_files(dir).into_iter();
        let sizes = files.map(|name| fs::metadata(dir.join("segments").join(name)).unwrap().len());
        // All is sealed: what else is in the hot file does not count.
        sizes.sum::<u64>()
    };
    // The first plan folds what goes into the statistics; from then on nothing else changes.
    let _ = plan(&maintenance, max_bytes(1 << 20));
    let before = bytes(dir);
    let most = before * 2 / 3;
    let planned = plan(&maintenance, max_bytes(most).max_age_days(10_000));
    assert!(
        planned
            .segments()
            .iter()
            .all(|s| s.reason.contains("bytes"))
    );
    let last = planned.segments().last().unwrap().bytes;
    assert!(before - planned.bytes() <= most, "more has to go");
    assert!(before - planned.bytes() + last > most, "less has to go");
    planned.apply().unwrap();
    assert_eq!(plan(&maintenance, max_bytes(most * 2)).segments(), []);
}

/// A limit counts from the newest entry, unsealed ones too; what a rule keeps, it keeps from every
/// limit.
#[test]
fn only_so_many_entries_are_kept_and_the_newest_always() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(directory.path()).unwrap();
    days(&journal, &clock, 5, 100);
    for _ in 0..7 {
        journal.log(Inference::new("hot", "s", "BUY")).unwrap();
    }
    flush(&journal);
    let maintenance = journal.maintenance().unwrap();
    let max_count = |count| RetentionPolicy::new().max_count(count);
    let goes = |policy: RetentionPolicy| plan(&maintenance, policy).entries();
    assert_eq!(goes(max_count(507)), 0);
    assert_eq!(goes(max_count(506)), 100);
    assert_eq!(goes(max_count(207)), 300);
    assert_eq!(goes(max_count(1)), 500);
    // One limit that is exceeded is enough.
    assert_eq!(goes(max_count(400).max_age_days(1)), 400);
    // A segment with some of the newest entries stays whole.
    let planned = plan(&maintenance, max_count(1).keep_latest(208));
    assert_eq!((planned.entries(), planned.kept_entries()), (200, 307));
    assert!(planned.segments()[0].reason.contains("max_count"));
    let held_back = planned.held_back();
    assert!(held_back[0].contains("newest 208"), "{held_back:?}");
    assert_eq!(goes(max_age_days(1).keep_latest(207)), 300);
    assert_eq!(goes(max_age_days(1).keep_latest(1_000)), 0);
    planned.apply().unwrap();
    assert_eq!(journal.reader().unwrap().inferences().iter().count(), 307);
}

#[test]
fn what_is_not_sealed_stays_and_the_plan_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(directory.path()).unwrap();
    days(&journal, &clock, 2, 10);
    for _ in 0..7 {
        journal.log(Inference::new("hot", "s", "BUY")).unwrap();
    }
    flush(&journal);
    clock.advance(DAY * 365);
    let maintenance = journal.maintenance().unwrap();
    let planned = plan(&maintenance, max_age_days(1));
    assert_eq!((planned.entries(), planned.kept_entries()), (20, 7));
    assert!(
        planned.held_back()[0].starts_with("7 entries"),
        "{:?}",
        planned.held_back()
    );
    planned.apply().unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.inferences().iter().map(Result::unwrap).count(), 7);
    // Nothing is left to retire, and saying so changes nothing.
    assert_eq!(
        plan(&maintenance, max_age_days(1))
            .apply()
            .unwrap()
            .segments,
        0
    );
    for policy in [
        max_age_days(0),
        max_bytes(0),
        RetentionPolicy::new().max_age(Duration::from_secs(1)),
        RetentionPolicy::new(),
        RetentionPolicy::new().keep_latest(1),
        max_age_days(1).keep_tagged("release"),
    ] {
        let refused = maintenance.retention(policy.clone()).plan();
        assert!(matches!(refused, Err(Error::InvalidOption { .. })));
        let refused = Journal::options()
            .retention(policy)
            .open(directory.path().join("b"));
        assert!(matches!(refused, Err(Error::InvalidOption { .. })));
    }
}

#[test]
fn nothing_goes_before_it_was_exported() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(directory.path()).unwrap();
    days(&journal, &clock, 4, 10);
    clock.advance(DAY * 100);
    let maintenance = journal.maintenance().unwrap();
    let keep = || {
        max_age_days(1)
            .keep_after_cursor("export")
            .keep_after_cursor("archive")
    };
    let planned = plan(&maintenance, keep());
    assert_eq!(planned.segments(), []);
    assert_eq!(planned.held_back().len(), 2);
    let reader = journal.reader().unwrap();
    maintenance
        .set_cursor("archive", reader.end().unwrap())
        .unwrap();
    let mut export = reader.follow(reader.start()).unwrap();
    export.by_ref().take(25).for_each(drop);
    maintenance.set_cursor("export", export.cursor()).unwrap();
    let planned = plan(&maintenance, keep());
    // The segment that the cursor is in stays whole.
    assert_eq!(planned.entries(), 20);
    assert!(
        planned.held_back()[0].contains("come to 26"),
        "{:?}",
        planned.held_back()
    );
    planned.apply().unwrap();
    assert_eq!(export.map(Result::unwrap).count(), 15);
}

#[test]
fn a_plan_that_does_not_hold_any_more_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(directory.path()).unwrap();
    days(&journal, &clock, 3, 10);
    let maintenance = journal.maintenance().unwrap();
    let reader = journal.reader().unwrap();
    maintenance
        .set_cursor("export", reader.end().unwrap())
        .unwrap();
    let keep = max_age_days(1).keep_after_cursor("export");
    let planned = plan(&maintenance, keep.clone());
    let other = plan(&maintenance, keep.clone());
    // The export is to be made again.
    maintenance.set_cursor("export", reader.start()).unwrap();
    let refused = planned.apply();
    let Err(Error::PlanOutdated {
        changes,
        deleted: 0,
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(changes[0].contains("export"), "{changes:?}");
    assert_eq!(reader.follow(reader.start()).unwrap().count(), 30);
    maintenance
        .set_cursor("export", reader.end().unwrap())
        .unwrap();
    // Later sealing does not matter.
    days(&journal, &clock, 1, 10);
    plan(&maintenance, max_age_days(3)).apply().unwrap();
    let refused = other.apply();
    assert!(
        matches!(refused, Err(Error::PlanOutdated { .. })),
        "{refused:?}"
    );
    assert_eq!(reader.follow(reader.start()).unwrap().count(), 30);
}

#[test]
fn names_and_runs_of_what_is_retired_do_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    // A run that lives throughout, and knows a name that no other uses.
    let say = |journal: &Journal, component: &str| {
        assert!(journal.event(Level::Info, component, "tick"));
        flush(journal);
    };
    let components = |reader: &Reader| -> Vec<String> {
        let entries = reader.follow(reader.start()).unwrap().map(Result::unwrap);
        let components = entries.filter_map(|entry| match entry.content {
            Content::SystemEvent(event) => Some(event.component.to_string()),
            _ => None,
        });
        components.collect()
    };
    let long = options(&clock).open(dir).unwrap();
    say(&long, "of the long one");
    for round in 0..20 {
        let journal = options(&clock).open(dir).unwrap();
        for number in 0..50 {
            let component = format!("component {round} {number}");
            assert!(journal.event(Level::Info, &component, "tick"));
        }
        flush(&journal);
        journal.seal(BOUND).unwrap();
        journal.close().unwrap();
        clock.advance(DAY);
    }
    let maintenance = long.maintenance().unwrap();
    let retired = plan(&maintenance, max_age_days(2)).apply().unwrap();
    assert_eq!(
        (retired.segments, retired.names, retired.runs),
        (18, 18 * 50, 18)
    );
    let reader = long.reader().unwrap();
    assert_eq!(reader.runs().count(), 3);
    // The long one's entries are gone, but it still knows its name by its number; a name that
    // comes back gets another number.
    say(&long, "of the long one");
    say(&long, "component 0 0");
    for reader in [reader, Reader::open(dir).unwrap()] {
        let found = components(&reader);
        assert_eq!(found.len(), 2 * 50 + 2);
        assert_eq!(found[100..], ["of the long one", "component 0 0"]);
    }
    // Once it has ended and its entries are retired, its name goes too; run numbers go on.
    let last = long.health().run;
    long.seal(BOUND).unwrap();
    long.close().unwrap();
    clock.advance(DAY * 100);
    let journal = options(&clock).open(dir).unwrap();
    // Nothing but the clock says that so much time has passed.
    let maintenance = journal.maintenance().unwrap();
    let planned = plan(&maintenance, max_age_days(2));
    assert_eq!(planned.segments(), []);
    assert!(planned.held_back()[0].contains("clock"));
    let retired = plan(&maintenance, max_age_days(2).trust_clock());
    let retired = retired.apply().unwrap();
    assert_eq!((retired.segments, retired.names), (3, 2 * 50 + 2));
    assert!(journal.health().run > last);
    assert_eq!(journal.reader().unwrap().runs().count(), 1);
    say(&journal, "of the long one");
    assert_eq!(components(&journal.reader().unwrap()), ["of the long one"]);
}

#[test]
fn a_journal_retires_by_itself_if_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(dir).unwrap();
    days(&journal, &clock, 6, 10);
    journal.close().unwrap();
    let files = segment_files(dir).len();

    // A clock that is years ahead does not empty the journal.
    let ahead = ManualClock::at(micros(NOW + 10 * 365 * 24 * HOUR));
    let journal = options(&ahead)
        .retention(max_age_days(30))
        .open(dir)
        .unwrap();
    wait_until("it says why", || {
        let sealing = journal.health().sealing.unwrap();
        sealing
            .retention_fault
            .is_some_and(|fault| fault.contains("clock"))
    });
    assert_eq!(segment_files(dir).len(), files);
    journal.close().unwrap();

    let journal = options(&clock)
        .retention(max_age_days(3))
        .open(dir)
        .unwrap();
    wait_until("three are retired", || {
        journal.health().sealing.unwrap().retired == 3
    });
    assert_eq!(segment_files(dir).len(), files - 3);
    let reader = journal.reader().unwrap();
    assert!(reader.inferences().iter().map(Result::unwrap).count() >= 30);
}

#[test]
fn segments_that_cannot_be_read_any_more_are_retired_like_others() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(dir).unwrap();
    let firsts = days(&journal, &clock, 5, 100);
    // Entries that were not folded before the damage would have to be read.
    drop(plan(&journal.maintenance().unwrap(), max_age_days(1)));
    journal.close().unwrap();
    let files = segment_files(dir);
    let file = |index: usize| dir.join("segments").join(&files[index]);
    fs::remove_file(file(0)).unwrap();
    fs::write(file(1), "no segment at all").unwrap();
    // One that stays is damaged as well: what it needs is not known.
    let bytes = fs::read(file(3)).unwrap();
    fs::write(file(3), &bytes[..bytes.len() / 2]).unwrap();

    let journal = options(&clock).open(dir).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let planned = plan(&maintenance, max_age_days(2));
    assert_eq!((planned.segments().len(), planned.entries()), (3, 300));
    let retired = planned.apply().unwrap();
    assert_eq!((retired.segments, retired.entries), (3, 300));
    assert_eq!(segment_files(dir), files[3..]);
    let reader = journal.reader().unwrap();
    let damaged = reader.get(firsts[3]);
    assert!(matches!(damaged, Err(Error::Corrupt { .. })), "{damaged:?}");
    let kept = reader.get(firsts[4]).unwrap().unwrap();
    assert_eq!(&*kept.model, "model of day 4");
    let so_far = maintenance.retired().unwrap();
    assert_eq!((so_far.segments, so_far.inferences), (3, 300));

    // In time it goes too, and then all is whole again.
    clock.advance(DAY * 2);
    assert_eq!(
        plan(&maintenance, max_age_days(3))
            .apply()
            .unwrap()
            .segments,
        1
    );
    journal.close().unwrap();
    let verified = Maintenance::open(dir).unwrap().verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
}

/// A segment that was damaged before it was folded stays, and holds back later ones, not earlier
/// ones.
#[test]
fn what_cannot_be_read_holds_back_what_comes_after_it_until_it_is_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let unfolded = || options(&clock).without_folding();
    let journal = unfolded().open(dir).unwrap();
    days(&journal, &clock, 5, 100);
    journal.close().unwrap();
    let files = segment_files(dir);
    let bytes = fs::read(dir.join("segments").join(&files[2])).unwrap();
    fs::write(
        dir.join("segments").join(&files[2]),
        &bytes[..bytes.len() / 2],
    )
    .unwrap();

    let journal = unfolded().open(dir).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let plan = || maintenance.retention(max_age_days(2)).plan().unwrap();
    let planned = plan();
    assert_eq!((planned.segments().len(), planned.entries()), (2, 200));
    let [why] = planned.held_back() else {
        panic!("{planned:?}");
    };
    assert!(
        why.contains("from 201 on") && why.contains(&files[2]),
        "{why}"
    );
    assert_eq!(planned.apply().unwrap().segments, 2);
    assert_eq!(plan().segments(), []);
    // Statistics go on behind it, and say what they lack.
    let stats = journal.stats("model of day 1").get().unwrap();
    assert_eq!((stats.count, stats.coverage.damaged), (100, 100));
    journal.close().unwrap();

    // Retention by itself says the same.
    let journal = unfolded().retention(max_age_days(2)).open(dir).unwrap();
    wait_until("it says why", || {
        let sealing = journal.health().sealing.unwrap();
        let fault = sealing.retention_fault;
        fault.is_some_and(|fault| fault.contains(&files[2]))
    });
    journal.close().unwrap();

    drop(maintenance);
    annals::maintenance::repair(dir).unwrap();
    let journal = unfolded().open(dir).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let planned = maintenance.retention(max_age_days(2)).plan().unwrap();
    assert_eq!(planned.apply().unwrap().entries, 100);
    assert_eq!(journal.stats("model of day 1").get().unwrap().count, 100);
}

/// An outcome of a decision counts, even if it was not folded when the decision was retired.
#[test]
fn an_outcome_that_came_before_the_retirement_outlives_it() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let options = options(&clock).fold_interval(Duration::from_secs(3_600));
    let journal = options.open(directory.path()).unwrap();
    let ids = days(&journal, &clock, 3, 1);
    journal.fold(BOUND).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let attach = |day: usize| {
        journal.attach_outcome(ids[day], Outcome::new().reward(1.0));
        flush(&journal);
    };
    let rewarded = |day| {
        let stats = journal.stats(format!("model of day {day}")).get().unwrap();
        (stats.count, stats.outcomes.reward.count)
    };

    attach(0);
    let planned = plan(&maintenance, max_age_days(2));
    planned.apply().unwrap();
    assert_eq!(rewarded(0), (1, 1));

    clock.advance(DAY);
    let planned = plan(&maintenance, max_age_days(2));
    attach(1);
    assert_eq!(planned.apply().unwrap().entries, 1);
    assert_eq!(rewarded(1), (1, 1));

    // A later one counts for no decision.
    attach(1);
    journal.fold(BOUND).unwrap();
    assert_eq!(rewarded(1), (1, 1));
}

/// Nothing is committed or folded by itself, and a repeat is one however late it comes.
fn by_hand(clock: &ManualClock) -> Options {
    options(clock)
        .commit_interval(NEVER)
        .fold_interval(NEVER)
        .dedup_window(DAY)
}

/// Retires the one segment that there is, two days after it was recorded. Unsealed entries stay.
fn retire_the_only_segment(journal: &Journal, clock: &ManualClock) {
    clock.advance(DAY * 2);
    let planned = plan(&journal.maintenance().unwrap(), max_age_days(1));
    assert_eq!(planned.apply().unwrap().segments, 1);
}

/// Another process may know what turned out before the loop has committed its decision.
#[test]
fn an_outcome_that_is_older_than_its_decision_stays_as_long_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let journal = by_hand(&clock).open(dir).unwrap();
    let buy = Inference::new("agent", "ETH/USDT", "BUY");
    let id = journal.log(buy).unwrap();
    let other = by_hand(&clock).open(dir).unwrap();
    other.attach_outcome(id, Outcome::new().reward(0.5).value("bp", 3.0));
    other.attach_outcome(id, Outcome::new().reward(1.0));
    flush(&other);
    other.fold(BOUND).unwrap();
    assert_eq!(other.seal(BOUND).unwrap(), 2);
    other.close().unwrap();
    flush(&journal);
    retire_the_only_segment(&journal, &clock);

    // Rewards, their sum, and the sum of a named value; by reward and name what holds.
    let said = |journal: &Journal| {
        let outcomes = journal.stats("agent").get().unwrap().outcomes;
        let (_, named) = outcomes.values[0].clone();
        let known = journal.reader().unwrap().outcome(id).unwrap().unwrap();
        let holds = [known.reward, known.get("bp")].map(|latest| latest.unwrap().value);
        (outcomes.reward.count, outcomes.reward.sum, named.sum, holds)
    };
    assert_eq!(said(&journal), (1, 1.0, 3.0, [1.0, 3.0]));
    let attach = |journal: &Journal, outcome, expected| {
        assert!(journal.attach_outcome(id, outcome));
        flush(journal);
        assert_eq!(said(journal), expected, "not folded yet");
        journal.fold(BOUND).unwrap();
        assert_eq!(said(journal), expected, "folded");
    };
    attach(
        &journal,
        Outcome::new().reward(4.0),
        (1, 4.0, 3.0, [4.0, 3.0]),
    );

    // So it is in a copy.
    let copies = tempfile::tempdir().unwrap();
    let [backup, copy] = ["backup", "copy"].map(|name| copies.path().join(name));
    let maintenance = journal.maintenance().unwrap();
    maintenance.backup(&backup).run().unwrap();
    annals::maintenance::restore(&backup, &copy).unwrap();
    let copied = by_hand(&clock).open(&copy).unwrap();
    attach(
        &copied,
        Outcome::new().value("bp", 5.0),
        (1, 4.0, 5.0, [4.0, 5.0]),
    );
    copied.close().unwrap();

    // When the decision goes, what was counted stays, and nothing else.
    journal.seal(BOUND).unwrap();
    journal.log(Inference::new("another", "ETH/USDT", "BUY"));
    flush(&journal);
    retire_the_only_segment(&journal, &clock);
    let stats = journal.stats("agent").get().unwrap();
    assert_eq!((stats.count, stats.outcomes.reward.sum), (1, 4.0));
    let reader = journal.reader().unwrap();
    assert!(reader.outcome(id).unwrap().is_none());
    let verified = maintenance.verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
}

/// A repeat stores its own values: the inference that it repeats may be retired.
#[test]
fn a_repeat_outlives_its_original() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = by_hand(&clock).open(directory.path()).unwrap();
    let log = || {
        let buy = Inference::new("agent", "ETH/USDT", "BUY").confidence(0.75);
        let id = journal.log(buy.features(&[1.0])).unwrap();
        flush(&journal);
        id
    };
    log();
    journal.seal(BOUND).unwrap();
    let repeat = log();
    let turned_out = |correct| {
        journal.attach_outcome(repeat, Outcome::new().correct(correct));
        flush(&journal);
        journal.fold(BOUND).unwrap();
        let stats = journal.stats("agent").get().unwrap();
        assert_eq!((stats.recorded, stats.repeats), (1, 1));
        assert_eq!(stats.confidence.count, 1, "repeats are no evidence");
        (stats.calibration.count, stats.calibration.brier)
    };
    assert_eq!(turned_out(true), (1, Some(0.0625)));
    retire_the_only_segment(&journal, &clock);
    assert_eq!(turned_out(false), (1, Some(0.5625)));
    let record = journal.reader().unwrap().get(repeat).unwrap().unwrap();
    assert_eq!(record.confidence, Some(0.75));
}

/// Statistics outlive their entries, and so do the names of what they hold.
#[test]
fn values_keep_their_names_when_all_that_used_them_is_retired() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(directory.path()).unwrap();
    let id = journal.log(Inference::new("agent", "ETH/USDT", "BUY"));
    journal.attach_outcome(id.unwrap(), Outcome::new().value("bp", 3.0));
    flush(&journal);
    journal.seal(BOUND).unwrap();
    journal.close().unwrap();
    let journal = options(&clock).open(directory.path()).unwrap();
    journal.log(Inference::new("another", "ETH/USDT", "BUY"));
    flush(&journal);
    retire_the_only_segment(&journal, &clock);
    let values = journal.stats("agent").get().unwrap().outcomes.values;
    let (name, value) = &values[0];
    assert_eq!((&**name, value.sum), ("bp", 3.0));
}

/// A jump of the wall clock is no time that has passed, in whichever direction it goes.
#[test]
fn a_clock_that_jumps_while_a_run_is_open_retires_nothing() {
    const YEAR: i64 = 365 * 24 * HOUR;
    for jumped in [NOW + YEAR, NOW - YEAR, 0, i64::MIN, i64::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(micros(NOW));
        let journal = options(&clock).open(directory.path()).unwrap();
        let maintenance = journal.maintenance().unwrap();
        days(&journal, &clock, 3, 10);
        clock.set(micros(jumped));
        days(&journal, &clock, 3, 10);
        let planned = plan(&maintenance, max_age_days(30));
        assert_eq!(planned.segments(), [], "{jumped}");
        clock.set(micros(NOW).saturating_add(DAY * 6));
        assert_eq!(
            plan(&maintenance, max_age_days(30)).segments(),
            [],
            "{jumped}"
        );
        // An entry that is older by elapsed time goes, whatever the clock showed when it was
        // recorded.
        let planned = plan(&maintenance, max_age_days(2));
        assert_eq!(planned.segments().len(), 4, "{jumped}");
        drop(planned);
        journal.close().unwrap();
    }
}

#[test]
fn a_clock_that_stands_still_does_not_keep_old_entries() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(directory.path()).unwrap();
    let maintenance = journal.maintenance().unwrap();
    for _ in 0..5 {
        days(&journal, &clock, 1, 10);
        clock.set(micros(NOW));
    }
    assert_eq!(plan(&maintenance, max_age_days(2)).segments().len(), 3);
}

/// A jump between two runs counts as a pause of 7 days at most, and the longest pause is left out.
#[test]
fn a_clock_that_jumps_between_two_runs_retires_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let clock = ManualClock::at(micros(NOW));
    let journal = options(&clock).open(dir).unwrap();
    days(&journal, &clock, 1, 10);
    journal.close().unwrap();
    let ahead = ManualClock::at(micros(NOW + 60 * 24 * HOUR));
    let journal = options(&ahead).open(dir).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let planned = plan(&maintenance, max_age_days(3));
    assert_eq!(planned.segments(), []);
    assert!(planned.held_back()[0].contains("by the clock"));
    drop(planned);
    let planned = plan(&maintenance, max_age_days(3).trust_clock());
    assert_eq!(planned.segments().len(), 1);
    drop(planned);
    journal.close().unwrap();
    // The clock is put right: the pause is taken back.
    let right = ManualClock::at(micros(NOW).saturating_add(DAY * 2));
    let journal = options(&right).open(dir).unwrap();
    let maintenance = journal.maintenance().unwrap();
    assert_eq!(plan(&maintenance, max_age_days(3)).segments(), []);
    right.advance(DAY * 3);
    assert_eq!(plan(&maintenance, max_age_days(3)).segments().len(), 1);
}

#[test]
fn a_job_of_five_minutes_a_day_keeps_about_what_it_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for day in 0..45 {
        let clock = ManualClock::at(micros(NOW).saturating_add(DAY * day));
        let journal = options(&clock).open(dir).unwrap();
        for _ in 0..10 {
            journal.log(Inference::new("m", "s", "BUY")).unwrap();
        }
        flush(&journal);
        journal.seal(BOUND).unwrap();
        clock.advance(Duration::from_secs(300));
        if day == 44 {
            let planned = plan(&journal.maintenance().unwrap(), max_age_days(30));
            assert_eq!(planned.segments().len(), 14);
        }
        journal.close().unwrap();
    }
}
