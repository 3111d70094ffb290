//! Proof by fault injection, with the whole real stack on a real directory: every call to the disk
//! fails once, and the power fails at every moment. Every acknowledged entry has to be there.
//!
//! `story` is the sequence of calls, `ledger` the promised content afterwards, `disk` a recorder of
//! all calls and the states that a power cut may leave.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "tests may be short"
)]

mod closing;
mod disk;
mod errors;
mod failed;
mod inputs;
mod ledger;
mod mirrored;
mod nth;
mod panics;
mod power;
mod repairing;
#[cfg(all(target_os = "linux", not(annals_portable)))]
mod stopped;
mod story;
mod syncing;
mod withdrawing;

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// A longer wait counts as a hang.
const HANG: Duration = Duration::from_secs(10);

/// `quick` in a usual run of the tests, `thorough` where `ANNALS_THOROUGH` is set, as it is before
/// a change lands, `long` where `ANNALS_LONG` is set.
fn scale(quick: usize, thorough: usize, long: usize) -> usize {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value == "1");
    match (is_set("ANNALS_LONG"), is_set("ANNALS_THOROUGH")) {
        (true, _) => long,
        (false, true) => thorough,
        (false, false) => quick,
    }
}

/// Distance between failing calls: a usual run of the tests tries a part of them.
fn stride() -> usize {
    scale(8, 1, 1)
}

/// Bound of a long run, seconds in `ANNALS_LONG_SECONDS`; none if that is not set.
fn patience() -> Duration {
    let wanted = std::env::var("ANNALS_LONG_SECONDS").ok();
    let seconds = wanted.and_then(|wanted| wanted.parse().ok());
    Duration::from_secs(seconds.unwrap_or(u64::from(u32::MAX)))
}

/// A directory in memory where there is one: the tests check our calls to a disk, and a disk that
/// really syncs is slow.
fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}

/// Fails if `body` takes too long.
fn in_time<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let began = Instant::now();
    let thread = thread::spawn(move || sender.send(body()));
    match receiver.recv_timeout(4 * HANG) {
        Ok(value) => {
            assert!(began.elapsed() < 2 * HANG, "{what}: {:?}", began.elapsed());
            let _ = thread.join();
            value
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => panic!("{what}: no answer"),
        },
    }
}
/// A xorshift generator.
#[derive(Clone)]
struct Random(u64);

impl Random {
    /// Another sequence every time, unless `ANNALS_TEST_SEED` asks for a certain one; prints it.
    fn new() -> Random {
        let wanted = std::env::var("ANNALS_TEST_SEED").ok();
        let wanted = wanted.and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = wanted.unwrap_or(now.as_secs() ^ u64::from(now.subsec_nanos()) << 32);
        println!("seed {seed}");
        Random(seed.max(1))
    }

    /// One for a part of the work, so that its draws do not move those of others.
    fn from(random: &mut Random) -> Random {
        random.below(2);
        Random(random.0 ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
