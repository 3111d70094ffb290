//! Cost until events are on disk: logged, encoded, committed, fsynced, answered.

#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::events::Decisions;
use common::journals::{MODEL, SYMBOL};
use common::{journals, machine};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

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
criterion_main!(benches);
