//! Flush, close and the count of what is lost, in every order of the threads.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use protocol_model::{RingScript, Scenario, Script, SealingScript};
use protocol_model::{explore, explore_publishing, explore_ring, explore_sealing};

/// Commits never fail.
const ALL: usize = usize::MAX;

/// Explores, and prints how much that was. The scenarios with a flush within a producer have many
/// orders; `ANNALS_LONG` allows them a second switch as well.
fn check(name: &str, scenario: &Scenario, preemptions: usize) {
    let long = std::env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    let preemptions = if long { 2 } else { preemptions };
    let began = Instant::now();
    let orders = explore(scenario, preemptions);
    println!(
        "{name}: {orders} orders of its threads in {:.1?}",
        began.elapsed()
    );
    assert!(orders > 1_000, "{name} was hardly explored");
}

#[test]
fn two_producers_a_flush_and_a_close() {
    let scenario = Scenario {
        capacity: 8,
        producers: vec![Script::Log(2), Script::Log(2)],
        flushes: 1,
        good_commits: ALL,
    };
    check("two producers, flush, close", &scenario, 2);
}

#[test]
fn a_queue_that_overflows() {
    let scenario = Scenario {
        capacity: 1,
        producers: vec![Script::Log(2), Script::Log(2)],
        flushes: 1,
        good_commits: ALL,
    };
    check("a queue that overflows", &scenario, 1);
}

#[test]
fn a_flush_that_meets_a_close() {
    let scenario = Scenario {
        capacity: 8,
        producers: vec![Script::LogFlushLog(1), Script::LogAndForget(2)],
        flushes: 0,
        good_commits: ALL,
    };
    check("a flush that meets a close", &scenario, 1);
}

#[test]
fn syncs_that_meet_a_flush_and_a_close() {
    let scenario = Scenario {
        capacity: 8,
        producers: vec![Script::LogSyncLog(1), Script::LogSyncLog(1)],
        flushes: 1,
        good_commits: ALL,
    };
    check("syncs, a flush and a close", &scenario, 1);
}

#[test]
fn a_user_thread_that_panics() {
    let scenario = Scenario {
        capacity: 8,
        producers: vec![Script::LogAndPanic(2), Script::LogFlushLog(1)],
        flushes: 0,
        good_commits: ALL,
    };
    check("a user's thread that panics", &scenario, 1);
}

#[test]
fn a_commit_that_fails_for_good() {
    let scenario = Scenario {
        capacity: 8,
        producers: vec![Script::Log(2), Script::LogFlushLog(1)],
        flushes: 1,
        good_commits: 1,
    };
    check("a commit that fails for good", &scenario, 1);
}

#[test]
fn a_watch_that_two_threads_refresh_is_never_stale() {
    let began = Instant::now();
    let orders = explore_publishing(2, 1, 3);
    println!(
        "a watch: {orders} orders of its threads in {:.1?}",
        began.elapsed()
    );
    assert!(orders > 100, "hardly explored: {orders}");
}

/// Two laps of a ring that is full in between: records of three lengths, one around the end.
const RING: RingScript = RingScript {
    words: 8,
    lengths: &[1, 0, 3],
    records: 5,
    sweeps: 3,
    producer_dies_after: usize::MAX,
    consumer_dies_after: usize::MAX,
};

#[test]
fn a_ring_loses_tears_and_doubles_nothing() {
    let began = Instant::now();
    let orders = explore_ring(RING, 3);
    println!("a ring: {orders} orders in {:.1?}", began.elapsed());
    assert!(orders > 1_000, "hardly explored: {orders}");
}

#[test]
fn a_ring_whose_threads_are_killed_at_any_access_keeps_what_was_published() {
    let began = Instant::now();
    let mut orders = 0;
    for producer_dies_after in 0..20 {
        for consumer_dies_after in [0, 1, 2, 3, 5, 8, usize::MAX] {
            let script = RingScript {
                producer_dies_after,
                consumer_dies_after,
                ..RING
            };
            orders += explore_ring(script, 2);
        }
    }
    println!("killed: {orders} orders in {:.1?}", began.elapsed());
    assert!(orders > 1_000, "hardly explored: {orders}");
}

#[test]
fn a_record_that_is_stored_beside_the_sealing_is_returned_exactly_if_it_is_taken() {
    let began = Instant::now();
    let mut orders = 0;
    for (threads, records, preemptions) in [(1, 2, 4), (2, 1, 3), (2, 2, 2)] {
        let script = SealingScript {
            threads,
            records,
            has_barrier: true,
        };
        orders += explore_sealing(script, preemptions);
    }
    println!("sealing: {orders} orders in {:.1?}", began.elapsed());
    assert!(orders > 1_000, "hardly explored: {orders}");
}

#[test]
#[should_panic(expected = "returned, and taken")]
fn without_the_barrier_a_returned_record_can_be_lost() {
    let script = SealingScript {
        threads: 1,
        records: 1,
        has_barrier: false,
    };
    explore_sealing(script, 4);
}
