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

/// Millions of names: time, memory, disk, opening again and a question, printed as rows of a table.
/// In the ordinary run few; with `ANNALS_LONG=1` a million and five million in an optimised build:
///
/// ```text
/// ANNALS_LONG=1 cargo test --release --test symbols -- --nocapture millions_of_names
/// ```
#[test]
fn millions_of_names_cost_what_one_would_expect() {
    let counts: [u64; 2] = match std::env::var_os("ANNALS_LONG") {
        Some(_) => [1_000_000, 5_000_000],
        None => [3_000, 15_000],
    };
    println!(
        "| names | log and commit | fold, close | disk | memory | open again | one symbol \
         | newest |"
    );
    let costs = counts.map(names);
    let [few, many] = costs;
    // Bytes do not depend on the load of the machine, times do.
    assert!(many.disk < 2.0 * few.disk, "{costs:?}");
    assert!(many.written < 3.0 * few.written, "{costs:?}");
}

/// Bytes of each name.
#[derive(Debug, Clone, Copy)]
struct Cost {
    disk: f64,
    written: f64,
}

fn names(count: u64) -> Cost {
    let dir = tempfile::tempdir().unwrap();
    let options = || {
        let options = Journal::options().without_mirror();
        options
            .dedup_window(Duration::ZERO)
            .close_timeout(BOUND)
            .overflow(annals::Overflow::Block { timeout: BOUND })
    };
    let before = written();
    let began = Instant::now();
    let journal = options().open(dir.path()).unwrap();
    // A tenth each are models and actions, the others symbols.
    let mut logged = 0;
    for n in (0..count).step_by(10) {
        let model = format!("model-{}", n / 1_000);
        let action = format!("ACTION-{n}");
        for more in 0..10 {
            let symbol = format!("user-{}", n + more);
            let action = if more == 0 { &*action } else { "BUY" };
            let inference = Inference::new(&model, &symbol, action).confidence(0.5);
            journal.log(inference).unwrap();
            logged += 1;
        }
    }
    journal.flush().wait(BOUND).unwrap();
    let committed = began.elapsed();
    let began = Instant::now();
    while journal.fold(BOUND).unwrap() > 0 {}
    journal.close().unwrap();
    let closed = began.elapsed();
    let disk = size(dir.path());
    let all_written = written() - before;
    let memory = peak();
    let began = Instant::now();
    let journal = options().open(dir.path()).unwrap();
    let opened = began.elapsed();
    let reader = journal.reader().unwrap();
    let began = Instant::now();
    let wanted = format!("user-{}", count / 2);
    let model = format!("model-{}", count / 2 / 1_000);
    let stats = reader.stats(&model).symbol(&wanted).get().unwrap();
    assert_eq!(stats.count, 1);
    let asked = began.elapsed();
    let began = Instant::now();
    assert_eq!(reader.newest(20).map(Result::unwrap).count(), 20);
    let newest = began.elapsed();
    let all = reader.stats_of_all().get().unwrap();
    assert_eq!(all.count, logged);
    // A name of before and a new one.
    let began = Instant::now();
    journal.log(Inference::new(&model, &wanted, "BUY")).unwrap();
    journal.log(Inference::new(&model, "new", "BUY")).unwrap();
    journal.flush().wait(BOUND).unwrap();
    let went_on = began.elapsed();
    journal.close().unwrap();
    println!(
        "| {count} | {committed:.1?} | {closed:.1?} | {} MB | {} MB | {opened:.1?} | {asked:.1?} \
         | {newest:.1?} | goes on {went_on:.1?}, {} MB written |",
        disk >> 20,
        memory >> 10,
        all_written >> 20,
    );
    #[expect(clippy::cast_precision_loss, reason = "a cost for each")]
    let each = |bytes: u64| bytes as f64 / count as f64;
    Cost {
        disk: each(disk),
        written: each(all_written),
    }
}

/// Bytes of all files below `dir`.
fn size(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        match metadata.is_dir() {
            true => size(&entry.path()),
            false => metadata.len(),
        }
    });
    sizes.sum()
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}
