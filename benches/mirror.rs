//! What the text files cost: how fast a backlog is written, and what the journal's durable
//! throughput is with and without them.
//!
//! `cargo bench --bench mirror` prints lines per second of a journal of distinct inferences that
//! is mirrored anew, then events per second, from the first call until the flush returns, of one
//! producer at full speed: in turns without and with the files, so that a machine that grows
//! slower meets both. A run in which anything was dropped or a line is missing is an error.
//!
//! `-- --events 1000000 --pairs 3` sets the sizes; `-- --test` runs a few events only.

#![allow(missing_docs, clippy::print_stdout, clippy::cast_precision_loss)]

use std::path::Path;
use std::time::{Duration, Instant};

use annals::{Journal, Mirror, Options, Overflow, Reader, Recorder};
use tempfile::TempDir;

type Failure = Box<dyn std::error::Error>;

/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(300);

struct Plan {
    events: u64,
    pairs: usize,
}

impl Plan {
    fn from_arguments() -> Result<Plan, Failure> {
        let mut plan = Plan {
            events: 1_000_000,
            pairs: 3,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--events" => plan.events = arguments.next().unwrap_or_default().parse()?,
                "--pairs" => plan.pairs = arguments.next().unwrap_or_default().parse()?,
                "--test" => {
                    plan.events = 2_000;
                    plan.pairs = 1;
                }
                _ => {} // cargo bench passes flags of its own
            }
        }
        Ok(plan)
    }
}

/// A small generator, so that making an event costs the loop next to nothing.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    #[allow(clippy::cast_possible_truncation, reason = "24 bits fit")]
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    fn probabilities(&mut self) -> [f32; 3] {
        let raw = [self.unit(), self.unit(), self.unit()];
        let sum: f32 = raw.iter().sum();
        raw.map(|value| value / sum)
    }
}

fn directory() -> Result<TempDir, Failure> {
    // On the disk that the build is on: the system's temporary directory may be memory.
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

fn options() -> Options {
    let options = Journal::options().overflow(Overflow::Block { timeout: BOUND });
    options.close_timeout(BOUND)
}

/// Logs distinct inferences at full speed.
fn produce(recorder: &Recorder, events: u64) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for event in 0..events {
        let probabilities = random.probabilities();
        let time = Duration::from_nanos(random.next() % 20_000_000);
        // What is dropped is counted, and looked at in the end.
        let _ = recorder
            .inference(usize::try_from(event % 3).unwrap_or(0))
            .probabilities(&probabilities)
            .features_hashed(random.next())
            .processing_time(time)
            .log();
    }
}

fn recorder(journal: &Journal) -> Result<Recorder, Failure> {
    let recorder = journal
        .recorder("dqn_agent", "ETH/USDT")
        .actions(["BUY", "SELL", "HOLD"])
        .checkpoint("dqn_agent_20250725_143500");
    Ok(recorder.build()?)
}

/// Logs and commits; says how long it took.
fn commit(journal: &Journal, events: u64) -> Result<Duration, Failure> {
    let recorder = recorder(journal)?;
    let began = Instant::now();
    produce(&recorder, events);
    journal.flush().wait(BOUND)?;
    let took = began.elapsed();
    let health = journal.health();
    if health.committed != events || health.dropped.total() > 0 || health.repeats > 0 {
        return Err(format!("not every event was recorded in full: {health:?}").into());
    }
    Ok(took)
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Writes a whole journal's lines anew.
fn backlog(plan: &Plan) -> Result<(), Failure> {
    let directory = directory()?;
    let dir = directory.path().join("data");
    let journal = options().without_mirror().open(&dir)?;
    commit(&journal, plan.events)?;
    journal.close()?;
    let reader = Reader::open(&dir)?;
    println!("backlog                          lines/s    MB/s");
    for turn in 1..=plan.pairs {
        let again = directory.path().join(format!("again-{turn}"));
        let began = Instant::now();
        let lines = reader.rebuild_mirror(&again, Mirror::new())?;
        let took = began.elapsed();
        if lines != plan.events {
            return Err(format!("{lines} lines of {} events", plan.events).into());
        }
        let megabytes = size(&again)? as f64 / 1e6;
        println!(
            "  turn {turn:<22} {:>11.0} {:>7.0}",
            per_second(lines, took),
            megabytes / took.as_secs_f64()
        );
    }
    Ok(())
}

fn size(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // A link says how long it is itself, which is next to nothing.
        bytes += entry.metadata()?.len();
    }
    Ok(bytes)
}

/// One run of the producer; with the files, also how long they lagged behind after the flush.
fn run(plan: &Plan, mirrored: bool) -> Result<(f64, Option<Duration>), Failure> {
    let directory = directory()?;
    let dir = directory.path().join("data");
    let options = if mirrored {
        options()
    } else {
        options().without_mirror()
    };
    let journal = options.open(&dir)?;
    let took = commit(&journal, plan.events)?;
    let lag = mirrored.then(|| catch_up(&journal, plan.events));
    let lag = lag.transpose()?;
    journal.close()?;
    Ok((per_second(plan.events, took), lag))
}

/// Waits until every event has its line.
fn catch_up(journal: &Journal, events: u64) -> Result<Duration, Failure> {
    let began = Instant::now();
    loop {
        let mirror = journal.health().mirror.ok_or("the mirror is off")?;
        if mirror.lag == 0 && mirror.lines == events {
            return Ok(began.elapsed());
        }
        if mirror.fault.is_some() || began.elapsed() > BOUND {
            return Err(format!("the files do not catch up: {mirror:?}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn throughput(plan: &Plan) -> Result<(), Failure> {
    println!("durable throughput              events/s   lag after the flush");
    let mut ratios = Vec::new();
    for pair in 1..=plan.pairs {
        let (without, _) = run(plan, false)?;
        println!("  pair {pair}, without the files {without:>13.0}");
        let (with, lag) = run(plan, true)?;
        let lag = lag.unwrap_or_default();
        println!("  pair {pair}, with the files    {with:>13.0}   {lag:.0?}");
        ratios.push(with / without);
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!("  with / without, median     {median:>13.2}");
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let plan = Plan::from_arguments()?;
    backlog(&plan)?;
    throughput(&plan)
}
