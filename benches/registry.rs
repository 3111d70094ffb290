//! Cost of look-ups in the registry, and of a save beside its fsyncs.
//!
//! The registry holds 100,000 checkpoints of 50 models, registered in bulk. One cost per figure:
//!
//! | figure | what is timed |
//! |---|---|
//! | `best, fresh read` | one model's best, in a snapshot of its own |
//! | `best, open snapshot` | the same within a snapshot that is open, per model |
//! | `newest 20` | the newest 20 checkpoints of a model, in one snapshot |
//! | `watch` | a look at a watch whose answer has not changed |
//! | `open` | opening the registry, with these checkpoints and with none |
//! | `save 1 KB` | a save on this disk, beside the same fsyncs made by hand |

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use annals::registry::Watched;
use annals::{Journal, Mode, Registry, Timestamp};
use criterion::{Criterion, criterion_group, criterion_main};
use tempfile::TempDir;

const MODELS: u32 = 50;

fn checkpoints() -> u32 {
    // `--test` only asks whether everything runs.
    let short = std::env::args().any(|argument| argument == "--test");
    if short { 1_000 } else { 100_000 }
}

fn directory() -> TempDir {
    // On the disk that the build is on: the system's temporary directory may be memory.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn empty() -> (TempDir, Registry) {
    let dir = directory();
    Journal::open(dir.path()).unwrap().close().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    (dir, registry)
}

fn model(number: u32) -> String {
    format!("model_{number}")
}

fn full() -> (TempDir, Registry) {
    let (dir, registry) = empty();
    let file = dir.path().join("weights.pt");
    fs::write(&file, b"weights").unwrap();
    let began = Instant::now();
    let entry = |index: u32| {
        let model = model(index % MODELS);
        let loss = f64::from(index.wrapping_mul(2_654_435_761) >> 8);
        let created = Timestamp::from_micros(1_700_000_000_000_000 + i64::from(index) * 1_000_000);
        let new = registry
            .checkpoint(&*model)
            .model_type("rl")
            .created(created);
        let new = new.metric("val_loss", loss).metric("accuracy", loss / 3.0);
        let new = new.metadata("lr", 0.001).metadata("optimiser", "adam");
        let new = new.step(u64::from(index)).epoch(u64::from(index / MODELS));
        new.import_as(format!("{model}_{index:06}"), &file).unwrap()
    };
    let count = checkpoints();
    assert_eq!(
        registry.import((0..count).map(entry)).unwrap(),
        count as usize
    );
    for number in 0..MODELS {
        registry
            .set_monitor(&model(number), "val_loss", Mode::Min)
            .unwrap();
    }
    let took = began.elapsed();
    let bytes = fs::metadata(dir.path().join("journal.redb")).unwrap().len();
    println!(
        "{count} checkpoints registered in {took:?}; the file has {} MB",
        bytes >> 20
    );
    (dir, registry)
}

fn look_ups(c: &mut Criterion) {
    let (dir, registry) = full();
    let mut number = 0;
    let mut next = || {
        number = (number + 7) % MODELS;
        number
    };
    let names: Vec<String> = (0..MODELS).map(model).collect();
    let mut group = c.benchmark_group("registry");
    group.bench_function("best, fresh read", |b| {
        b.iter(|| registry.best(black_box(&names[next() as usize])).unwrap());
    });
    group.bench_function("best, open snapshot", |b| {
        // Per model: criterion is told how long one of them took.
        b.iter_custom(|times| {
            let rounds = times.div_ceil(u64::from(MODELS));
            let began = Instant::now();
            for _ in 0..rounds {
                black_box(registry.best_of_each(black_box(&names)).unwrap());
            }
            began.elapsed() * u32::try_from(times).unwrap()
                / u32::try_from(rounds).unwrap()
                / MODELS
        });
    });
    group.bench_function("get", |b| {
        b.iter(|| registry.get(black_box("model_7_000007")).unwrap());
    });
    group.bench_function("newest 20", |b| {
        b.iter(|| {
            let list = registry.list(black_box(&*names[next() as usize]));
            list.limit(20).get().unwrap()
        });
    });
    group.bench_function("top 20", |b| {
        b.iter(|| {
            registry
                .top_k(&names[next() as usize], "accuracy", Mode::Max, 20)
                .unwrap()
        });
    });
    let mut watch = registry.watch(&names[3], Watched::Best).unwrap();
    assert!(watch.changed().is_some());
    group.bench_function("watch", |b| {
        b.iter(|| black_box(&mut watch).current().is_some());
    });
    group.bench_function("open, full", |b| {
        b.iter(|| Registry::open(dir.path()).unwrap());
    });
    let (none, _registry) = empty();
    group.bench_function("open, empty", |b| {
        b.iter(|| Registry::open(none.path()).unwrap());
    });
    group.finish();
}

/// The fsyncs that a save makes before its commit: weights, sidecar, folder.
fn by_hand(folder: &Path, name: u64, weights: &[u8], sidecar: &[u8]) {
    for (contents, extension) in [(weights, "bin"), (sidecar, "json")] {
        let path = folder.join(format!("{name}.{extension}"));
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial).unwrap();
        file.write_all(contents).unwrap();
        file.sync_all().unwrap();
        fs::rename(&partial, &path).unwrap();
    }
    File::open(folder).unwrap().sync_all().unwrap();
}

/// In turns, so that both meet the same disk: a whole save; and by hand, the fsynced files and a
/// redb commit, which is what setting a tag is.
fn saves(_: &mut Criterion) {
    let (dir, registry) = empty();
    let folder = dir.path().join("by_hand");
    fs::create_dir(&folder).unwrap();
    let (weights, sidecar) = ([7; 1_024], [b' '; 700]);
    let first = registry.checkpoint("m").save(weights).unwrap();
    let rounds: u64 = if checkpoints() < 100_000 { 3 } else { 300 };
    let (mut saving, mut by_parts) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let began = Instant::now();
        registry
            .checkpoint("m")
            .metric("loss", 0.5)
            .save(weights)
            .unwrap();
        saving.push(began.elapsed());
        let began = Instant::now();
        by_hand(&folder, round, &weights, &sidecar);
        if round % 2 == 0 {
            registry.pin(first.id()).unwrap();
        } else {
            registry.unpin(first.id()).unwrap();
        }
        by_parts.push(began.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (saving, by_parts) = (median(&mut saving), median(&mut by_parts));
    let more = 100.0 * (saving.as_secs_f64() / by_parts.as_secs_f64() - 1.0);
    println!("save 1 KB: p50 {saving:?}; its fsyncs by hand: {by_parts:?}; {more:+.0} %");
}

criterion_group!(benches, look_ups, saves);
criterion_main!(benches);
