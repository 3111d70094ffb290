//! Ctrl-C and `kill`: an export that is asked to end leaves no unfinished file.

use super::file;
use crate::failure::{Failure, Result};

/// Added to a signal's number, as shells do.
#[cfg(unix)]
const SIGNALLED: i32 = 128;

/// From here on, SIGINT and SIGTERM remove what is unfinished and end the process.
///
/// A thread of its own waits for them, because the others may wait for a slow pipe.
#[cfg(unix)]
pub fn watch() -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let failed = |cause| Failure::io("wait for signals", cause);
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let waiting = std::thread::Builder::new().name("annals-signals".into());
    let waiting = waiting.spawn(move || {
        if let Some(signal) = signals.forever().next() {
            file::abandon(SIGNALLED + signal);
        }
    });
    waiting.map(drop).map_err(failed)
}

/// Elsewhere the next export removes what is left.
#[cfg(not(unix))]
pub fn watch() -> Result<()> {
    Ok(())
}
