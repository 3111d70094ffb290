//! Average cost of a call, one circumstance at a time: how it is made, how many features it hashes,
//! how many producers there are, what the writer is doing. See `latency.rs` for what a single call
//! costs a paced loop; these say what a change of the code changes.
//!
//! Decisions are made beforehand, in lots that fit into the queue, and no two are equal. Logged
//! events are on disk before the next lot begins. A lot in which any event was dropped is a panic,
//! except for the one that measures this.

#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use annals::{Journal, Options, Overflow, Recorder, feature_hash};
use common::events::{Decision, Decisions, Random};
use common::journals::{MODEL, SYMBOL};
use common::{BOUND, journals, machine};
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

/// Calls between two flushes: fewer than wake the writer.
const LOT: u64 = 8_000;

/// A journal whose writer sleeps until it is called.
fn options() -> Options {
    let options = Journal::options().commit_interval(Duration::from_secs(10));
    options.without_mirror().without_folding()
}

/// `calls`, in lots.
fn lots(calls: u64) -> impl Iterator<Item = u64> {
    let firsts = (0..calls).step_by(usize::try_from(LOT).unwrap());
    firsts.map(move |first| LOT.min(calls - first))
}

/// A journal, the decisions that are logged in it, and how many were.
struct Bench {
    journal: Journal,
    recorder: Recorder,
    decisions: Decisions,
    logged: u64,
    /// Holds the journal's files.
    _folder: TempDir,
}

impl Bench {
    fn new(options: Options) -> Bench {
        let (folder, _) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let journal = options.open(folder.path().join("data")).unwrap();
        let recorder = journals::recorder(&journal, MODEL, SYMBOL).unwrap();
        Bench {
            recorder,
            journal,
            decisions: Decisions::default(),
            logged: 0,
            _folder: folder,
        }
    }

    fn lot(&mut self, events: u64) -> Vec<Decision> {
        self.logged += events;
        (0..events).map(|_| self.decisions.draw()).collect()
    }

    fn settle(&self) {
        journals::recorded(&self.journal, self.logged).unwrap();
    }

    /// Times `lot` for as many calls as are wanted.
    fn time(
        &mut self,
        bencher: &mut Bencher<'_>,
        mut lot: impl FnMut(&mut Bench, u64) -> Duration,
    ) {
        bencher.iter_custom(|calls| {
            let mut took = Duration::ZERO;
            for calls in lots(calls) {
                took += lot(self, calls);
                self.settle();
            }
            took
        });
    }

    fn prepared(&mut self, calls: u64) -> Duration {
        let lot = self.lot(calls);
        let began = Instant::now();
        for decision in &lot {
            black_box(journals::log(&self.recorder, decision));
        }
        began.elapsed()
    }

    fn strings(&mut self, calls: u64) -> Duration {
        let lot = self.lot(calls);
        let began = Instant::now();
        for decision in &lot {
            black_box(journals::log_strings(&self.journal, decision));
        }
        began.elapsed()
    }

    /// The features of each call are a window of one long row, one further than the last call's.
    fn with_features(&mut self, calls: u64, count: usize) -> Duration {
        let lot = self.lot(calls);
        let mut random = Random::new(self.logged);
        let row: Vec<f32> = (0..lot.len() + count).map(|_| random.unit()).collect();
        let began = Instant::now();
        for (first, decision) in lot.iter().enumerate() {
            let call = self
                .recorder
                .inference(decision.action)
                .probabilities(&decision.probabilities)
                .processing_time(decision.took);
            let call = match count {
                0 => call,
                count => call.features(&row[first..first + count]),
            };
            black_box(call.log());
        }
        began.elapsed()
    }

    /// The same number of calls by each of several producers, as the slowest of them sees it.
    fn by_several(&mut self, calls: u64, producers: usize) -> Duration {
        let share = calls.div_ceil(producers as u64);
        let lots: Vec<_> = (0..producers).map(|_| self.lot(share)).collect();
        let (recorder, start) = (&self.recorder, &Barrier::new(producers));
        let slowest = std::thread::scope(|scope| {
            let producers: Vec<_> = lots
                .iter()
                .map(|lot| {
                    scope.spawn(move || {
                        start.wait();
                        let began = Instant::now();
                        for decision in lot {
                            black_box(journals::log(recorder, decision));
                        }
                        began.elapsed()
                    })
                })
                .collect();
            producers
                .into_iter()
                .map(|producer| producer.join().unwrap())
                .max()
        });
        // Told for all the calls, so that what comes out is the time of one.
        slowest.unwrap().mul_f64(calls as f64 / share as f64)
    }

    /// While the writer encodes what it was just given.
    fn beside_the_writer(&mut self, calls: u64) -> Duration {
        for decision in self.lot(3 * LOT) {
            journals::log(&self.recorder, &decision).unwrap();
        }
        self.prepared(calls)
    }
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group
        .sample_size(20)
        .measurement_time(Duration::from_millis(300));
    let mut bench = Bench::new(options());
    group.bench_function("prepared", |b| bench.time(b, Bench::prepared));
    group.bench_function("strings", |b| bench.time(b, Bench::strings));
    for count in [0, 16, 256, 4_096] {
        group.bench_function(format!("{count} features"), |b| {
            bench.time(b, |bench, calls| bench.with_features(calls, count));
        });
    }
    for producers in [1, 2, 4] {
        group.bench_function(format!("{producers} producers"), |b| {
            bench.time(b, |bench, calls| bench.by_several(calls, producers));
        });
    }
    group.finish();
}

/// The writer asleep (as above), at work, and so far behind that the queue is full.
fn writer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writer");
    group
        .sample_size(20)
        .measurement_time(Duration::from_millis(300));
    let mut bench = Bench::new(options());
    group.bench_function("napping", |b| bench.time(b, Bench::prepared));
    group.bench_function("busy", |b| bench.time(b, Bench::beside_the_writer));
    let waiting = options().overflow(Overflow::Block { timeout: BOUND });
    let mut bench = Bench::new(waiting.queue_capacity(1_024));
    group.bench_function("queue full, waiting", |b| bench.time(b, Bench::prepared));
    let mut bench = Bench::new(options().queue_capacity(1_024));
    group.bench_function("queue full, dropping", |b| {
        b.iter_custom(|calls| {
            let took = lots(calls).map(|calls| bench.prepared(calls)).sum();
            bench.journal.flush().wait(BOUND).unwrap();
            let health = bench.journal.health();
            let counted = health.committed + health.dropped.total();
            assert_eq!(counted, bench.logged, "{health:?}");
            took
        });
    });
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feature_hash");
    let mut random = Random::default();
    for count in [16_u64, 256, 4_096] {
        let values: Vec<f32> = (0..count).map(|_| random.unit()).collect();
        group.throughput(Throughput::Bytes(count * 4));
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| feature_hash(black_box(&values)));
        });
    }
    group.finish();
}

criterion_group!(benches, calls, writer, hashing);
criterion_main!(benches);
