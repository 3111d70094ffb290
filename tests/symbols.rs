//! Many names: what they cost grows as they do, and no faster.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use annals::{Group, Inference, Journal};

const BOUND: Duration = Duration::from_secs(600);

/// Bytes that this process has given to write calls: no other load changes them.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("wchar:")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// Bytes that a fold writes for each of so many symbols that are new.
fn fold_bytes(count: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options().without_mirror();
    let options = options.dedup_window(Duration::ZERO).fold_interval(BOUND);
    let journal = options.open(dir.path()).unwrap();
    for n in 0..count {
        let name = format!("user-{n}");
        journal
            .log(Inference::new("m", &name, "a").confidence(0.5))
            .unwrap();
        if n % 10_000 == 0 {
            journal.flush().wait(BOUND).unwrap();
        }
    }
    journal.flush().wait(BOUND).unwrap();
    let (before, began) = (written(), Instant::now());
    while journal.fold(BOUND).unwrap() > 0 {}
    let (bytes, folded) = ((written() - before) / count, began.elapsed());
    let rows = journal.stats("m").by(Group::Symbol).unwrap();
    assert_eq!(rows.len() as u64, count);
    assert!(rows.iter().all(|row| row.stats.count == 1));
    println!("{count} symbols: folded in {folded:?}, {bytes} bytes each");
    bytes
}

#[test]
fn folding_new_names_costs_the_same_for_each() {
    let (few, many) = match std::env::var_os("ANNALS_LONG") {
        Some(_) => (30_000, 300_000),
        None => (3_000, 15_000),
    };
    let (few, many) = (fold_bytes(few), fold_bytes(many));
    assert!(
        many < 2 * few && many < 4_096,
        "{few} and {many} bytes for each symbol"
    );
}
