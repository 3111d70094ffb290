//! Delay of an event, from its log in another process until it is shown.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use annals::{Inference, Journal};

use super::common::{BOUND, Failure};
use super::process::command;

/// Longer than any pause between two commits, so that each event meets another part of the
/// interval.
const PACE: Duration = Duration::from_millis(73);

/// Logs `events` in this process, one after another, and waits for each in the other's output.
pub fn measure(dir: &Path, events: usize) -> Result<(), Failure> {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    let journal = Journal::options().without_mirror().open(dir)?;
    let count = (events + 1).to_string();
    let mut child = command(dir, &["follow", "--from-start", "-n", &count])
        .stdout(Stdio::piped())
        .spawn()?;
    let shown = child.stdout.take().ok_or("no output")?;
    let (sender, receiver) = channel();
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(shown).lines().map_while(Result::ok) {
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    let log = |number: usize| -> Result<Instant, Failure> {
        let action = number.to_string();
        let inference = Inference::new("dqn_agent", "ETH/USDT", &action);
        let at = Instant::now();
        journal.log(inference).ok_or("an event was dropped")?;
        Ok(at)
    };
    // The first one is seen when the follower has started.
    log(0)?;
    receiver.recv_timeout(BOUND)?;
    let mut logged = Vec::with_capacity(events);
    for number in 1..=events {
        logged.push(log(number)?);
        std::thread::sleep(PACE);
    }
    let mut times = Vec::with_capacity(events);
    for (number, at) in logged.iter().enumerate() {
        let (seen, line) = receiver.recv_timeout(BOUND)?;
        if !line.contains(&format!("| {:<4} |", number + 1)) {
            return Err(format!("event {} is missing: {line}", number + 1).into());
        }
        times.push(seen.saturating_duration_since(*at));
    }
    child.wait()?;
    reading
        .join()
        .map_err(|_| "the reading thread ended badly")?;
    journal.close()?;
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() - 1) * share / 1_000);
    let millis = |share| at(share).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1e3);
    println!(
        "follow: {events} events shown after p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
        millis(500),
        millis(990),
        millis(1_000)
    );
    Ok(())
}
