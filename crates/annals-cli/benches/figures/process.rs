//! The command, run and timed.

use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::common::Failure;

/// The command on the journal in `dir`; what it prints goes nowhere.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.arg("--dir").arg(dir).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Runs it, and says how long that took.
pub fn run(dir: &Path, args: &[&str]) -> Result<Duration, Failure> {
    let began = Instant::now();
    let status = command(dir, args).status()?;
    let took = began.elapsed();
    check(status, args)?;
    Ok(took)
}

/// Bytes of memory, where the system says how many.
pub struct Memory(Option<u64>);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{} MB", bytes / 1_000_000),
            None => f.write_str("unknown memory"),
        }
    }
}

/// Runs it, and says how much memory it used at most too: as looked up every few milliseconds.
pub fn run_watched(dir: &Path, args: &[&str]) -> Result<(Duration, Memory), Failure> {
    let began = Instant::now();
    let mut child = command(dir, args).spawn()?;
    let file = format!("/proc/{}/status", child.id());
    let mut peak = None;
    loop {
        if let Some(status) = child.try_wait()? {
            let took = began.elapsed();
            check(status, args)?;
            return Ok((took, Memory(peak)));
        }
        peak = peak.max(high_water(&file));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn high_water(file: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1_024)
}

fn check(status: ExitStatus, args: &[&str]) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(format!("annals {} ended with {status}", args.join(" ")).into())
}

/// The one in the middle, and the longest.
pub fn median_and_most(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}
