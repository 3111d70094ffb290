//! Whether a journal that holds much is as quick as one that holds little.
//!
//! `cargo bench --bench growth` records distinct inferences up to 1 M and 10 M. At each size it
//! prints the bytes and time of a commit of one event, the time of opening after a kill, of a
//! look-up by id and of the newest 20. It also prints memory, and the longest transaction of the
//! sealing. `-- --events 100000000` goes on to that size; `-- --test` stops at a few. A run in
//! which anything was dropped is an error. The system counts written bytes, where it can
//! (`/proc/self/io` on Linux).

#![allow(missing_docs, clippy::print_stdout, clippy::cast_precision_loss)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use annals::{Inference, InferenceId, Journal, Options, Reader};
use common::events::Decisions;
use common::machine::bytes_written;
use common::{BOUND, Failure, journals, machine, median};

const DIRECTORY: &str = "ANNALS_GROWTH_DIRECTORY";

fn options() -> Options {
    journals::options().without_mirror()
}

/// Logs distinct inferences at full speed, and waits until they are on disk. Gives some ids.
fn grow(
    journal: &Journal,
    decisions: &mut Decisions,
    events: u64,
) -> Result<Vec<InferenceId>, Failure> {
    let models = ["dqn_agent", "ppo_agent", "mlp", "lstm", "transformer"];
    let recorders: Result<Vec<_>, _> = models
        .iter()
        .map(|model| journals::recorder(journal, model, journals::SYMBOL))
        .collect();
    let recorders = recorders?;
    let mut some = Vec::new();
    for (recorder, event) in recorders.iter().cycle().zip(0..events) {
        let id = journals::log(recorder, &decisions.draw());
        let id = id.ok_or("an event was dropped")?;
        if event % (events / 500).max(1) == 7 {
            some.push(id);
        }
    }
    journal.flush().wait(BOUND)?;
    Ok(some)
}

/// Commits single events; says what one writes and how long it takes (medians).
fn commits(journal: &Journal) -> Result<(Option<u64>, Duration), Failure> {
    let (mut bytes, mut times) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let before = bytes_written();
        let began = Instant::now();
        journal.log(Inference::new("single", "ETH/USDT", "BUY"));
        journal.flush().wait(BOUND)?;
        times.push(began.elapsed());
        bytes.extend(bytes_written().zip(before).map(|(now, then)| now - then));
    }
    Ok((median(bytes), median(times).unwrap_or_default()))
}

/// The other process: opens the journal, commits, reports it and waits to be killed.
fn wait_to_be_killed(dir: &Path) -> Result<(), Failure> {
    let journal = options().open(dir)?;
    journal.log(Inference::new("killed", "ETH/USDT", "BUY"));
    journal.flush().wait(BOUND)?;
    println!("ready");
    loop {
        journal.log(Inference::new("killed", "ETH/USDT", "BUY"));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Time of opening after the last process was killed.
fn reopening(dir: &Path) -> Result<(Journal, Duration), Failure> {
    let mut other = Command::new(std::env::current_exe()?)
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = other.stdout.take().ok_or("no pipe")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    other.kill()?;
    other.wait()?;
    let began = Instant::now();
    let journal = options().open(dir)?;
    Ok((journal, began.elapsed()))
}

/// Look-ups by id over the whole journal, and the newest 20 (medians).
fn look_ups(dir: &Path, ids: &[InferenceId]) -> Result<(Duration, Duration), Failure> {
    let reader = Reader::open(dir)?;
    let mut single = Vec::new();
    for id in ids {
        let began = Instant::now();
        let found = reader.get(*id)?;
        single.push(began.elapsed());
        found.ok_or("an inference is not there")?;
    }
    let mut newest = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        if reader.newest(20).count() != 20 {
            return Err("there are no 20".into());
        }
        newest.push(began.elapsed());
    }
    let times = (median(single), median(newest));
    Ok((times.0.unwrap_or_default(), times.1.unwrap_or_default()))
}

/// Bytes of the hot file and of the segments, and how many entries are in those.
fn sizes(dir: &Path) -> Result<(u64, u64, u64), Failure> {
    let hot = std::fs::metadata(dir.join("journal.redb"))?.len();
    let (mut sealed, mut entries) = (0, 0);
    for file in std::fs::read_dir(dir.join("segments"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let sequences = name
            .strip_suffix(".redb")
            .and_then(|name| name.split_once('-'));
        if let Some((first, last)) = sequences {
            entries += last.parse::<u64>()? - first.parse::<u64>()? + 1;
            sealed += file.metadata()?.len();
        }
    }
    Ok((hot, sealed, entries))
}

fn main() -> Result<(), Failure> {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        return wait_to_be_killed(Path::new(&dir));
    }
    let targets = match (common::numbers("--events")?, common::trial()) {
        (_, true) => vec![5_000],
        (more, false) => [1_000_000, 10_000_000]
            .into_iter()
            .chain(more.into_iter().flatten())
            .collect(),
    };
    let (directory, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    println!("{machine}");
    let dir = directory.path().join("data");
    let empty = memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem);
    let mut journal = options().open(&dir)?;
    let mut decisions = Decisions::default();
    let (mut events, mut ids) = (0, Vec::new());
    println!(
        "{:>11} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9} {:>8} {:>8}",
        "events",
        "events/s",
        "B/commit",
        "commit",
        "reopen",
        "by id",
        "newest 20",
        "hot MB",
        "sealed MB",
        "B/event",
        "memory",
        "sealer"
    );
    for target in targets {
        let began = Instant::now();
        ids.extend(grow(&journal, &mut decisions, target - events)?);
        let rate = (target - events) as f64 / began.elapsed().as_secs_f64();
        events = target;
        let used = memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem);
        // Before what is measured, the sealing that is due comes to its end; the least that is
        // sealed is everything, at the first size.
        journal.seal(BOUND)?;
        while journal
            .health()
            .sealing
            .is_some_and(|sealing| sealing.hot_bytes > 128 << 20)
        {
            std::thread::sleep(Duration::from_millis(100));
        }
        let sealing = journal.health().sealing.unwrap_or_default();
        let longest = sealing.longest_transaction;
        let (hot, sealed, entries) = sizes(&dir)?;
        let (bytes, commit) = commits(&journal)?;
        journal.close()?;
        let (opened, reopen) = reopening(&dir)?;
        journal = opened;
        let (by_id, newest) = look_ups(&dir, &ids)?;
        println!(
            "{events:>11} {rate:>11.0} {:>9} {commit:>9.0?} {reopen:>9.1?} {by_id:>9.0?} \
             {newest:>9.0?} {:>8.0} {:>9.0} {:>9.1} {:>8.0} {longest:>8.0?}",
            bytes.map_or("-".to_owned(), |bytes| bytes.to_string()),
            hot as f64 / 1e6,
            sealed as f64 / 1e6,
            sealed as f64 / entries.max(1) as f64,
            used.saturating_sub(empty) as f64 / 1e6,
        );
    }
    journal.close()?;
    Ok(())
}
