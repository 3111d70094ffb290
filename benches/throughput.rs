//! How many decisions a second reach the disk, and what that takes: producers at full speed, from
//! the first call until the flush returns.
//!
//! `cargo bench --bench throughput` prints one row for each of: 1, 2 and 4 producers; repeats; and
//! the text files. Features are hashed inside the calls. Every event is distinct, except for the
//! repeats that a row asks for. A run in which any event was dropped is an error. "Oldest" is the
//! highest age of the oldest uncommitted event, sampled every 2 ms.
//!
//! The last line says what an open journal takes that has nothing to do.
//!
//! `-- --events 4000000 --turns 3` sets the sizes (the middle one of the turns is shown),
//! `-- --producers 1` picks, `-- --only plain|repeats|mirror` too; `-- --test` runs a few events.

#![allow(missing_docs, clippy::print_stdout, clippy::cast_precision_loss)]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annals::{Journal, Options, Recorder};
use common::events::Decisions;
use common::{BOUND, Failure, journals, machine};

/// One row of the table.
#[derive(Clone, Copy)]
struct Row {
    producers: u64,
    repeats: u64,
    mirror: Mirrored,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mirrored {
    No,
    Yes,
}

/// Result of one run of a row.
struct Figures {
    per_second: f64,
    bytes_per_event: f64,
    cpu_per_event: Option<Duration>,
    peak: Option<u64>,
    oldest: Duration,
    commits: u64,
    /// Delay of the text files when the events were durable.
    lag: Option<Duration>,
}

fn options(row: Row) -> Options {
    match row.mirror {
        Mirrored::Yes => journals::options(),
        Mirrored::No => journals::options().without_mirror(),
    }
}

/// Logs `events` decisions at full speed. Drops are counted, and checked in the end.
fn produce(recorder: &Recorder, seed: u64, repeats: u64, events: u64) {
    let mut decisions = Decisions::new(seed, repeats);
    for _ in 0..events {
        let _ = journals::log(recorder, &decisions.draw());
    }
}

/// When how much was offered and committed.
struct Sample {
    at: Instant,
    offered: u64,
    committed: u64,
}

fn watch(journal: &Journal, over: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !over.load(Ordering::Acquire) {
        let health = journal.health();
        samples.push(Sample {
            at: Instant::now(),
            offered: health.offered,
            committed: health.committed,
        });
        std::thread::sleep(Duration::from_millis(2));
    }
    samples
}

/// The highest age of an event that was not committed.
fn oldest(samples: &[Sample]) -> Duration {
    let mut highest = Duration::ZERO;
    let mut first = 0;
    for sample in samples {
        // The first look that saw more offered than is committed by now is younger than the event.
        while samples[first].offered <= sample.committed && samples[first].at < sample.at {
            first += 1;
        }
        highest = highest.max(sample.at - samples[first].at);
    }
    highest
}

fn run(row: Row, events: u64, dir: &Path) -> Result<Figures, Failure> {
    let journal = options(row).open(dir)?;
    let recorders: Result<Vec<_>, _> = (0..row.producers)
        .map(|producer| {
            let symbol = format!("SYMBOL/{producer}");
            journals::recorder(&journal, journals::MODEL, &symbol)
        })
        .collect();
    let recorders = recorders?;
    machine::forget_peak();
    let over = AtomicBool::new(false);
    let before = machine::cpu_time();
    let began = Instant::now();
    let (took, samples) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&journal, &over));
        let producers: Vec<_> = recorders
            .iter()
            .zip(0..)
            .map(|(recorder, seed)| {
                scope.spawn(move || produce(recorder, seed, row.repeats, events / row.producers))
            })
            .collect();
        for producer in producers {
            // A panic in it goes on here when the scope ends.
            let _ = producer.join();
        }
        let flushed = journal.flush().wait(BOUND);
        let took = began.elapsed();
        over.store(true, Ordering::Release);
        let samples = watcher.join().map_err(|_| "the watching thread panicked")?;
        flushed?;
        Ok::<_, Failure>((took, samples))
    })?;
    let cpu = machine::cpu_time()
        .zip(before)
        .map(|(now, then)| now - then);
    let health = journal.health();
    let events = events / row.producers * row.producers;
    if health.committed != events || health.dropped.total() > 0 || health.divergences > 0 {
        return Err(format!("not every event was recorded in full: {health:?}").into());
    }
    if (row.repeats > 0) != (health.repeats > 0) {
        return Err(format!("{} repeats were recognised", health.repeats).into());
    }
    let lag = match row.mirror {
        Mirrored::Yes => Some(catch_up(&journal, events)?),
        Mirrored::No => None,
    };
    let peak = machine::peak_memory();
    journal.seal(BOUND)?;
    journal.close()?;
    let segments = machine::size(&dir.join("segments"))?;
    Ok(Figures {
        per_second: events as f64 / took.as_secs_f64(),
        bytes_per_event: segments as f64 / events as f64,
        cpu_per_event: cpu.map(|cpu| cpu.div_f64(events as f64)),
        peak,
        oldest: oldest(&samples),
        commits: health.commits,
        lag,
    })
}

/// Waits until every event has its line.
fn catch_up(journal: &Journal, events: u64) -> Result<Duration, Failure> {
    let began = Instant::now();
    loop {
        let mirror = journal.health().mirror.ok_or("the mirror is off")?;
        if mirror.lag == 0 && mirror.lines == events {
            return Ok(began.elapsed());
        }
        if mirror.fault.is_some() {
            return Err(format!("the files do not catch up: {mirror:?}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Which part of a processor a journal takes that is open, with all that it has, and has nothing to
/// do; `None` where the system does not say.
fn idle(dir: &Path, over: Duration) -> Result<Option<f64>, Failure> {
    let journal = Journal::open(dir)?;
    let recorder = journals::recorder(&journal, journals::MODEL, journals::SYMBOL)?;
    let decision = Decisions::default().draw();
    journals::log(&recorder, &decision).ok_or("the event was dropped")?;
    journals::recorded(&journal, 1)?;
    catch_up(&journal, 1)?;
    // Until what the event set off is over.
    std::thread::sleep(over / 10);
    let before = machine::threads_time();
    std::thread::sleep(over);
    let used = machine::threads_time()
        .zip(before)
        .map(|(now, then)| now - then);
    journal.close()?;
    Ok(used.map(|used| used.as_secs_f64() / over.as_secs_f64()))
}

fn rows() -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let only = common::text("--only");
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    if wanted("plain") {
        let producers = common::numbers("--producers")?.unwrap_or_else(|| vec![1, 2, 4]);
        rows.extend(producers.into_iter().map(|producers| Row {
            producers: producers.max(1),
            repeats: 0,
            mirror: Mirrored::No,
        }));
    }
    if wanted("repeats") {
        rows.push(Row {
            producers: 1,
            repeats: 20,
            mirror: Mirrored::No,
        });
    }
    if wanted("mirror") {
        rows.push(Row {
            producers: 1,
            repeats: 0,
            mirror: Mirrored::Yes,
        });
    }
    Ok(rows)
}

fn main() -> Result<(), Failure> {
    let trial = common::trial();
    let events = common::number("--events")?.unwrap_or(if trial { 20_000 } else { 4_000_000 });
    let turns = common::number("--turns")?.unwrap_or(if trial { 1 } else { 3 });
    let (folder, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    println!("{machine}; {events} events, the middle one of {turns} turns");
    println!(
        "{:>9} {:>7} {:>6} {:>11} {:>8} {:>10} {:>8} {:>8} {:>8} {:>9}",
        "producers",
        "repeats",
        "files",
        "events/s",
        "B/event",
        "CPU/event",
        "peak MB",
        "oldest",
        "commits",
        "files lag"
    );
    for row in rows()? {
        let mut runs = Vec::new();
        for _ in 0..turns.max(1) {
            let dir = folder.path().join("data");
            runs.push(run(row, events, &dir)?);
            std::fs::remove_dir_all(&dir)?;
        }
        runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        let figures = runs.swap_remove(runs.len() / 2);
        let mirrored = row.mirror == Mirrored::Yes;
        println!(
            "{:>9} {:>6}% {:>6} {:>11.0} {:>8.1} {:>10} {:>8} {:>8.0?} {:>8} {:>9}",
            row.producers,
            row.repeats,
            if mirrored { "yes" } else { "no" },
            figures.per_second,
            figures.bytes_per_event,
            figures
                .cpu_per_event
                .map_or("-".to_owned(), |cpu| format!("{cpu:.0?}")),
            figures
                .peak
                .map_or("-".to_owned(), |peak| format!("{:.0}", peak as f64 / 1e6)),
            figures.oldest,
            figures.commits,
            figures
                .lag
                .map_or("-".to_owned(), |lag| format!("{lag:.0?}")),
        );
    }
    let over = Duration::from_secs(if trial { 1 } else { 10 });
    if let Some(part) = idle(&folder.path().join("idle"), over)? {
        let percent = part * 100.0;
        println!("open, with text files, and nothing to do: {percent:.2} % of a core");
    }
    Ok(())
}
