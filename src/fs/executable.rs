//! The digest of the executable of this process, computed once.
//!
//! Nobody waits for the lock, and nothing is computed while it is held. So a child that was forked
//! at any moment finds the digest, or computes it anew, or has none.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// A larger file is not digested.
const MOST_BYTES: u64 = 1 << 30;
/// How much is read at once, and between two looks whether to go on.
const PIECE: usize = 1 << 18;
/// Interval of looks whether another thread is done.
const LOOK: Duration = Duration::from_millis(1);

/// BLAKE3 of a file.
pub(crate) type Digest = [u8; 32];

enum State {
    Unknown,
    /// A thread of the process with this id computes it.
    Begun(u32),
    /// `None` if the file cannot be digested.
    Known(Option<Digest>),
}

static STATE: Mutex<State> = Mutex::new(State::Unknown);

/// The digest, once it is known; `Some(None)` if there will be none.
pub(crate) fn known() -> Option<Option<Digest>> {
    match &*STATE.try_lock().ok()? {
        State::Known(digest) => Some(*digest),
        State::Unknown | State::Begun(_) => None,
    }
}

/// Whether the caller is to compute it: nobody else does.
pub(crate) fn claim() -> bool {
    let Ok(mut state) = STATE.try_lock() else {
        return false;
    };
    let this = std::process::id();
    let is_free = match *state {
        State::Unknown => true,
        // Its thread is of another process, which this one was forked from.
        State::Begun(process) => process != this,
        State::Known(_) => false,
    };
    if is_free {
        *state = State::Begun(this);
    }
    is_free
}

/// Lets others [claim](claim) it: this process does not compute it after all.
pub(crate) fn give_back() {
    if let Ok(mut state) = STATE.try_lock()
        && matches!(*state, State::Begun(process) if process == std::process::id())
    {
        *state = State::Unknown;
    }
}

/// Gives it back also if computing it panics.
struct Claimed;

impl Drop for Claimed {
    fn drop(&mut self) {
        give_back();
    }
}

/// Computes it for the process, as long as `go_on` says so. Reads the file once, up to 1 GiB.
pub(crate) fn compute(go_on: impl Fn() -> bool) {
    let _claimed = Claimed;
    let digest = digest(go_on);
    // Held for a few instructions by others. Without it the digest stays begun, and is given up.
    let stored = (0..1_000).find_map(|_| {
        let state = STATE.try_lock().ok();
        if state.is_none() {
            thread::yield_now();
        }
        state
    });
    if let Some(mut state) = stored {
        *state = match digest {
            Ok(Some(digest)) => State::Known(Some(digest)),
            // Stopped.
            Ok(None) => State::Unknown,
            Err(_) => State::Known(None),
        };
    }
}

/// Waits until it is known, or nobody computes it, or `until`.
pub(crate) fn wait(until: Instant) {
    let this = std::process::id();
    let is_begun = || {
        let state = STATE.try_lock();
        state.is_ok_and(|state| matches!(*state, State::Begun(process) if process == this))
    };
    while is_begun() && Instant::now() < until {
        thread::sleep(LOOK);
    }
}

/// `None` if it was stopped.
fn digest(go_on: impl Fn() -> bool) -> io::Result<Option<Digest>> {
    let mut file = File::open(path()?)?;
    if file.metadata()?.len() > MOST_BYTES {
        return Err(io::Error::other("the file is too large"));
    }
    let (mut hash, mut piece, mut left) = (blake3::Hasher::new(), vec![0; PIECE], MOST_BYTES);
    while go_on() {
        let read = file.read(&mut piece)?;
        let bytes = piece.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Some(*hash.finalize().as_bytes()));
        }
        hash.update(bytes);
        // A file that has grown since is none that runs.
        left = left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("the file is too large"))?;
    }
    Ok(None)
}

fn path() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        // The file that runs, also if it was replaced or deleted since.
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe()
}
