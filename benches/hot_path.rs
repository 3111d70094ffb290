//! Our own costs, one at a time: logging, committing, reading. See `latency.rs` for what a single
//! call costs a paced loop; these are averages and say what a change of code changes.

#![allow(missing_docs, clippy::cast_possible_truncation)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use annals::{Inference, InferenceId, Journal, Overflow, feature_hash};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

type Failure = Box<dyn std::error::Error>;

fn journal() -> Result<(tempfile::TempDir, Journal), Failure> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let journal = Journal::options()
        .overflow(Overflow::Block {
            timeout: Duration::from_secs(10),
        })
        .open(dir.path().join("data"))?;
    Ok((dir, journal))
}

fn features(seed: u64, count: usize) -> Vec<f32> {
    (0..count)
        .map(|index| seed as f32 + index as f32 * 0.37)
        .collect()
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feature_hash");
    for count in [16, 256, 4_096] {
        let values = features(1, count);
        group.throughput(Throughput::Bytes(count as u64 * 4));
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| feature_hash(black_box(&values)));
        });
    }
    group.finish();
}

/// Until durable: a batch of distinct inferences is logged and flushed; the time is all of it.
fn until_durable(criterion: &mut Criterion) {
    let Ok((_dir, journal)) = journal() else {
        return;
    };
    let Ok(recorder) = journal
        .recorder("dqn_agent", "ETH/USDT")
        .actions(["BUY", "SELL", "HOLD"])
        .build()
    else {
        return;
    };
    let mut group = criterion.benchmark_group("until_durable");
    group.sample_size(10);
    let mut seed = 0u64;
    for count in [1u64, 100_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter_custom(|rounds| {
                let began = Instant::now();
                for _ in 0..rounds {
                    for _ in 0..count {
                        seed += 1;
                        let hash = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                        let p = (hash >> 40) as f32 / (1 << 24) as f32;
                        recorder
                            .inference(0)
                            .probabilities(&[p, 1.0 - p, 0.0])
                            .features_hashed(hash)
                            .log();
                    }
                    black_box(journal.flush().wait(Duration::from_secs(60)).is_ok());
                }
                began.elapsed()
            });
        });
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    const EVENTS: u64 = 200_000;
    let Ok((_dir, journal)) = journal() else {
        return;
    };
    let mut ids: Vec<InferenceId> = Vec::new();
    for event in 0..EVENTS {
        let seed = features(event, 1);
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").features(&seed);
        ids.extend(journal.log(inference));
    }
    let flushed = journal.flush().wait(Duration::from_secs(60));
    let (Ok(()), Ok(reader)) = (flushed, journal.reader()) else {
        return;
    };
    criterion.bench_function("newest_20", |bencher| {
        bencher.iter(|| black_box(reader.newest(20).count()));
    });
    let mut next = 0;
    criterion.bench_function("by_id", |bencher| {
        bencher.iter_batched(
            || {
                next = (next + 7_919) % ids.len();
                ids[next]
            },
            |id| black_box(reader.get(id).is_ok()),
            BatchSize::SmallInput,
        );
    });
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10);
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("all", |bencher| {
        bencher.iter(|| black_box(reader.inferences().iter().count()));
    });
    group.finish();
}

criterion_group!(benches, hashing, until_durable, reading);
criterion_main!(benches);
