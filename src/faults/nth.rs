//! A disk that refuses the call with a number, shared by what is tried with a fault at one call
//! after the other.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fs::failpoint::{Failpoint, IoCall};

/// Which calls have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Reads,
    Changes,
}

/// Result of the call with the number, and of those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Once,
    ForEver,
}

/// Refuses the call with a number.
pub(super) struct Nth {
    which: Which,
    fault: Fault,
    at: usize,
    counted: AtomicUsize,
}

impl Nth {
    pub(super) fn new(which: Which, fault: Fault, at: usize) -> Arc<Self> {
        Arc::new(Nth {
            which,
            fault,
            at,
            counted: AtomicUsize::new(0),
        })
    }

    /// Whether there were so many calls that one was refused.
    pub(super) fn was_reached(&self) -> bool {
        self.counted.load(Ordering::SeqCst) >= self.at
    }
}

impl Failpoint for Nth {
    fn before(&self, _path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let is_read = matches!(call, IoCall::Read | IoCall::Length);
        if is_read != (self.which == Which::Reads) {
            return Ok(());
        }
        let number = self.counted.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.at || number > self.at && self.fault == Fault::ForEver {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// Copies a folder with all that is below it.
pub(super) fn copy_to(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copied = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_to(&entry.path(), &copied);
        } else {
            fs::copy(entry.path(), copied).unwrap();
        }
    }
}
