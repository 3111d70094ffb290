//! Cost until events are on disk: logged, encoded, committed, fsynced, answered.
//!
//! A table behind the benches has the time until one decision is durable, by `sync` and by `flush`.
//! Beside it stands a bare write and `fdatasync` of 200 bytes. The bare write goes to a file that
//! was filled with zeros before. The ways take turns, so that the disk and the machine are the same
//! for all. The table alone: `cargo bench --bench commit -- durable`, with `--rounds 3000`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use annals::{BlackBox, Journal, Options, Recorder};
use common::events::Decisions;
use common::journals::{MODEL, SYMBOL};
use common::{journals, machine};
use criterion::{Criterion, Throughput, criterion_group};
use hdrhistogram::Histogram;

/// Commits of one event, of a thousand, and of more than one commit holds.
fn commits(criterion: &mut Criterion) {
    let (folder, _) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let options = journals::options().without_mirror().without_folding();
    let journal = options.open(folder.path().join("data")).unwrap();
    let recorder = journals::recorder(&journal, MODEL, SYMBOL).unwrap();
    let (mut decisions, mut logged) = (Decisions::default(), 0);
    let mut group = criterion.benchmark_group("commit");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(2));
    for count in [1_u64, 1_000, 400_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let lot: Vec<_> = (0..count).map(|_| decisions.draw()).collect();
                    logged += count;
                    let began = Instant::now();
                    for decision in &lot {
                        journals::log(&recorder, decision).unwrap();
                    }
                    journals::recorded(&journal, logged).unwrap();
                    took += began.elapsed();
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commits);

/// One way to make a decision durable, and what it took.
struct Way<'a> {
    name: &'static str,
    go: Box<dyn FnMut() + 'a>,
    took: Histogram<u64>,
}

fn way<'a>(name: &'static str, go: impl FnMut() + 'a) -> Way<'a> {
    Way {
        name,
        go: Box::new(go),
        took: Histogram::new(3).unwrap(),
    }
}

/// A journal that nothing else works for, with a recorder.
fn open(options: Options, dir: &Path) -> (Journal, Recorder) {
    let journal = options.without_folding().open(dir).unwrap();
    let recorder = journals::recorder(&journal, MODEL, SYMBOL).unwrap();
    (journal, recorder)
}

fn durable() {
    const BARE: usize = 200;
    let usual = if common::trial() { 20 } else { 3_000 };
    let rounds = common::number("--rounds").unwrap().unwrap_or(usual);
    let (folder, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let plain = || journals::options().without_mirror();
    let spool = plain().black_box(BlackBox::Spool);
    let (with_spool, recorder) = open(spool.clone(), &folder.path().join("sync"));
    let (flushed, flushed_recorder) = open(plain(), &folder.path().join("flush"));
    let (both, both_recorder) = open(spool, &folder.path().join("both"));
    let mut file = File::create(folder.path().join("bare")).unwrap();
    let bytes = BARE * (usize::try_from(rounds).unwrap() + 1);
    file.write_all(&vec![0; bytes]).unwrap();
    file.sync_all().unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let decisions = std::cell::RefCell::new(Decisions::default());
    let log = |recorder: &Recorder| {
        let decision = decisions.borrow_mut().draw();
        journals::log(recorder, &decision).unwrap();
    };
    let wait = Duration::from_secs(60);
    let mut ways = [
        way("bare write, fdatasync", move || {
            file.write_all(&[7; BARE]).unwrap();
            file.sync_data().unwrap();
        }),
        way("log, sync", || {
            log(&recorder);
            with_spool.sync().wait(wait).unwrap();
        }),
        way("log, flush", || {
            log(&flushed_recorder);
            flushed.flush().wait(wait).unwrap();
        }),
        way("log, flush, with a spool", || {
            log(&both_recorder);
            both.flush().wait(wait).unwrap();
        }),
    ];
    // Once for the names, and to reserve room.
    for way in &mut ways {
        (way.go)();
    }
    for _ in 0..rounds {
        for way in &mut ways {
            let began = Instant::now();
            (way.go)();
            let micros = began.elapsed().as_nanos() / 100;
            way.took.record(u64::try_from(micros).unwrap()).unwrap();
        }
    }
    println!("{machine}; one decision until it is durable, µs, {rounds} rounds in turns");
    println!(
        "{:<26} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "p50", "p90", "p99", "max", "ratio"
    );
    let tenths = |value: u64| format!("{}.{}", value / 10, value % 10);
    let bare = ways[0].took.value_at_quantile(0.5).max(1);
    for way in &ways {
        let at = |quantile| way.took.value_at_quantile(quantile);
        let hundredths = at(0.5) * 100 / bare;
        println!(
            "{:<26} {:>8} {:>8} {:>8} {:>8} {:>5}.{:02}",
            way.name,
            tenths(at(0.5)),
            tenths(at(0.9)),
            tenths(at(0.99)),
            tenths(way.took.max()),
            hundredths / 100,
            hundredths % 100,
        );
    }
}

fn main() {
    if !common::asked("durable") {
        benches();
    }
    durable();
}
