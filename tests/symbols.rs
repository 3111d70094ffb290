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

/// Bytes that the writer writes for each of so many symbols that its table has no room for.
fn bytes_beyond_the_table(count: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options().without_mirror().max_names(8);
    let options = options.dedup_window(Duration::ZERO).fold_interval(BOUND);
    let journal = options.open(dir.path()).unwrap();
    let before = written();
    let name = |n: u64| format!("user-{n}");
    for n in 0..count {
        let of = name(n);
        journal
            .log(Inference::new("m", &of, "a").confidence(0.5))
            .unwrap();
        if n % 10_000 == 0 {
            journal.flush().wait(BOUND).unwrap();
        }
    }
    journal.flush().wait(BOUND).unwrap();
    let bytes = (written() - before) / count;
    // Nothing is folded, and every name is found all the same.
    let reader = journal.reader().unwrap();
    for n in [0, 1, count / 2, count - 1] {
        let found = reader.inferences().symbol(name(n)).iter();
        let found: Vec<_> = found.map(|record| record.unwrap().symbol).collect();
        assert_eq!(found, [name(n).into()]);
        assert_eq!(journal.stats("m").symbol(name(n)).get().unwrap().count, 1);
    }
    let unknown = reader.inferences().symbol(name(count));
    assert_eq!(unknown.iter().count(), 0);
    // The same name gets the same number in the next run, and is stored once.
    journal.log(Inference::new("m", &name(1), "a")).unwrap();
    journal.close().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.log(Inference::new("m", &name(1), "a")).unwrap();
    journal.flush().wait(BOUND).unwrap();
    let found = journal.reader().unwrap().inferences().symbol(name(1));
    assert_eq!(found.iter().count(), 3);
    println!("{count} symbols beyond the table: {bytes} bytes each");
    bytes
}

#[test]
fn names_beyond_the_table_are_found_and_cost_the_same_for_each() {
    let (few, many) = match std::env::var_os("ANNALS_LONG") {
        Some(_) => (30_000, 300_000),
        None => (3_000, 15_000),
    };
    let (few, many) = (bytes_beyond_the_table(few), bytes_beyond_the_table(many));
    assert!(
        many < 2 * few && many < 4_096,
        "{few} and {many} bytes for each symbol"
    );
}
