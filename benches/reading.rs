//! Cost of reading: one line of text, one block, all entries, those of one model, one entry, a
//! statistic.

#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use annals::{InferenceId, Journal, Recorder};
use common::events::{Decisions, Random};
use common::journals::{MODEL, SYMBOL};
use common::{BOUND, journals, machine};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

/// As many entries as one block of this kind holds, nearly.
const BLOCK: u64 = 1_500;

/// A journal of distinct decisions, on disk and folded, and their ids.
fn journal(events: u64) -> (TempDir, Journal, Vec<InferenceId>) {
    let (folder, _) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let options = journals::options().without_mirror();
    let journal = options.open(folder.path().join("data")).unwrap();
    let recorder = journals::recorder(&journal, MODEL, SYMBOL).unwrap();
    let mut decisions = Decisions::default();
    let ids = (0..events).map(|_| journals::log(&recorder, &decisions.draw()).unwrap());
    let ids = ids.collect();
    journals::recorded(&journal, events).unwrap();
    journal.fold(BOUND).unwrap();
    (folder, journal, ids)
}

/// `Display` writes the line of the text files.
fn text_line(criterion: &mut Criterion) {
    let (_folder, journal, _) = journal(BLOCK);
    let reader = journal.reader().unwrap();
    let records: Result<Vec<_>, _> = reader.inferences().iter().collect();
    let (records, mut line) = (records.unwrap(), String::new());
    let mut records = records.iter().cycle();
    criterion.bench_function("text_line", |bencher| {
        bencher.iter(|| {
            line.clear();
            write!(line, "{}", records.next().unwrap()).unwrap();
            black_box(line.len())
        });
    });
}

/// One snapshot, one block, its entries with their names.
fn block(criterion: &mut Criterion) {
    let (_folder, journal, ids) = journal(BLOCK);
    let reader = journal.reader().unwrap();
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(BLOCK));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| black_box(reader.inferences().iter().count()));
    });
    group.bench_function("one of it", |bencher| {
        bencher.iter(|| reader.get(black_box(ids[700])).unwrap());
    });
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let events = if common::trial() { 5_000 } else { 1_000_000 };
    let (_folder, journal, ids) = journal(events);
    let reader = journal.reader().unwrap();
    let mut next = 0;
    criterion.bench_function("by_id", |bencher| {
        bencher.iter_batched(
            || {
                next = (next + 7_919) % ids.len();
                ids[next]
            },
            |id| reader.get(id).unwrap(),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("newest_20", |bencher| {
        bencher.iter(|| black_box(reader.newest(20).count()));
    });
    let mut group = criterion.benchmark_group("scan");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(events));
    group.bench_function("all", |bencher| {
        bencher.iter(|| black_box(reader.inferences().iter().count()));
    });
    group.finish();
    let mut group = criterion.benchmark_group("stats");
    group.bench_function("last 24 hours", |bencher| {
        let day = Duration::from_secs(86_400);
        bencher.iter(|| journal.stats(black_box(MODEL)).last(day).get().unwrap());
    });
    group.finish();
}

/// A query that keeps one decision in fifty, over 10 M: the figure counts those that it looks at.
fn filtered(criterion: &mut Criterion) {
    let events: u64 = if common::trial() { 5_000 } else { 10_000_000 };
    let (folder, _) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let options = journals::options().without_mirror().without_folding();
    let journal = options.open(folder.path().join("data")).unwrap();
    let models: Vec<String> = (0..50).map(|number| format!("model-{number}")).collect();
    let recorders: Vec<Recorder> = models
        .iter()
        .map(|model| journals::recorder(&journal, model, SYMBOL).unwrap())
        .collect();
    let (mut decisions, mut random) = (Decisions::default(), Random::new(1));
    for _ in 0..events {
        let recorder = &recorders[random.below(recorders.len())];
        journals::log(recorder, &decisions.draw()).unwrap();
    }
    journals::recorded(&journal, events).unwrap();
    let reader = journal.reader().unwrap();
    let mut group = criterion.benchmark_group("scan");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(events));
    group.bench_function("one of 50 models", |bencher| {
        bencher.iter(|| black_box(reader.inferences().model("model-7").iter().count()));
    });
    group.finish();
}

criterion_group!(benches, text_line, block, whole, filtered);
criterion_main!(benches);
