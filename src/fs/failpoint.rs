//! Where the crate's own tests stand between the library and the disk: they see every call before
//! it is made, and may refuse it. In any other build this is nothing at all.

use std::io;
use std::path::Path;

/// The next operation on a file or a directory.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "only tests look at it")]
pub(crate) enum Call<'a> {
    /// Asks how long the file is.
    Length,
    Read,
    Write {
        offset: u64,
        data: &'a [u8],
    },
    Resize(u64),
    /// Makes the file's contents durable.
    Sync,
    /// A new, empty file.
    Create,
    CreateDirectory,
    /// A second name for the file.
    Link(&'a Path),
    /// A link that leads to this name.
    Symlink(&'a str),
    Rename(&'a Path),
    Remove,
    /// Makes the names in the directory durable.
    SyncDirectory,
}

/// Makes the call, unless a test refuses it.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn meet<T>(
    _path: &Path,
    _call: Call<'_>,
    go: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    go()
}

/// A thread begins another round of its work on what lies at the path. Tests make it panic there.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn turn(_path: &Path) {}

/// Longest wait for a lock of the file, unless a test sets a shorter one.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn patience(_path: &Path, usual: std::time::Duration) -> std::time::Duration {
    usual
}

#[cfg(test)]
pub(crate) use placed::{Probe, meet, patience, place, turn};

#[cfg(test)]
mod placed {
    use std::path::PathBuf;
    use std::sync::{Arc, PoisonError, RwLock};
    use std::time::Duration;

    use super::{Call, Path, io};

    /// A test's reaction to calls below a directory.
    pub(crate) trait Probe: Send + Sync {
        /// Before the call; an error replaces the call's result.
        fn before(&self, path: &Path, call: Call<'_>) -> io::Result<()>;

        /// After the call has succeeded.
        fn after(&self, _path: &Path, _call: Call<'_>) {}

        /// A thread begins a round.
        fn turn(&self) {}

        /// Bound of a wait for a lock, if it is not the usual one.
        fn patience(&self) -> Option<Duration> {
            None
        }
    }

    static PROBES: RwLock<Vec<(PathBuf, Arc<dyn Probe>)>> = RwLock::new(Vec::new());

    /// Lets `probe` see the calls below `directory`, until the returned value is dropped.
    pub(crate) fn place(directory: &Path, probe: Arc<dyn Probe>) -> Placed {
        let mut probes = PROBES.write().unwrap_or_else(PoisonError::into_inner);
        probes.push((directory.to_owned(), probe));
        Placed(directory.to_owned())
    }

    #[must_use]
    pub(crate) struct Placed(PathBuf);

    impl Drop for Placed {
        fn drop(&mut self) {
            let mut probes = PROBES.write().unwrap_or_else(PoisonError::into_inner);
            probes.retain(|(directory, _)| *directory != self.0);
        }
    }

    pub(crate) fn meet<T>(
        path: &Path,
        call: Call<'_>,
        go: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(probe) = probe_of(path) else {
            return go();
        };
        probe.before(path, call)?;
        let done = go()?;
        probe.after(path, call);
        Ok(done)
    }

    pub(crate) fn turn(path: &Path) {
        if let Some(probe) = probe_of(path) {
            probe.turn();
        }
    }

    pub(crate) fn patience(path: &Path, usual: Duration) -> Duration {
        let wanted = probe_of(path).and_then(|probe| probe.patience());
        wanted.unwrap_or(usual)
    }

    fn probe_of(path: &Path) -> Option<Arc<dyn Probe>> {
        let probes = PROBES.read().unwrap_or_else(PoisonError::into_inner);
        let found = probes.iter().find(|(below, _)| path.starts_with(below));
        found.map(|(_, probe)| probe.clone())
    }
}
