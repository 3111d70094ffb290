//! Cost of opening and closing: a new journal, a large one, a reader of it. See `registry.rs` for
//! the registry's, and `growth.rs` for opening after a kill.

#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::Path;

use annals::Reader;
use common::events::Decisions;
use common::journals::{MODEL, SYMBOL};
use common::{journals, machine};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn opening(criterion: &mut Criterion) {
    let (folder, _) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let mut group = criterion.benchmark_group("open");
    group.sample_size(10);
    let mut number = 0;
    group.bench_function("new, and close", |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                folder.path().join(number.to_string())
            },
            |dir| journals::options().open(dir).unwrap().close().unwrap(),
            BatchSize::PerIteration,
        );
    });

    let events = if common::trial() { 5_000 } else { 1_000_000 };
    let dir = folder.path().join("full");
    let journal = journals::options().without_mirror().open(&dir).unwrap();
    let recorder = journals::recorder(&journal, MODEL, SYMBOL).unwrap();
    let mut decisions = Decisions::default();
    for _ in 0..events {
        journals::log(&recorder, &decisions.draw()).unwrap();
    }
    journals::recorded(&journal, events).unwrap();
    journal.close().unwrap();
    group.bench_function("full, and close", |bencher| {
        let options = journals::options().without_mirror();
        bencher.iter(|| options.clone().open(&dir).unwrap().close().unwrap());
    });
    group.bench_function("a reader", |bencher| {
        bencher.iter(|| Reader::open(&dir).unwrap());
    });
    group.finish();
}

criterion_group!(benches, opening);
criterion_main!(benches);
