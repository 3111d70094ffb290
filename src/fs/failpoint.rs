//! Where the crate's own tests stand between the library and the disk: they see every call before
//! it is made, and may refuse it. In any other build this is nothing at all.

use std::io;
use std::path::Path;

/// The next operation on a file or a directory.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "only tests look at it")]
pub(crate) enum IoCall<'a> {
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
pub(crate) fn guarded<T>(
    _path: &Path,
    _call: IoCall<'_>,
    go: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    go()
}

/// A thread begins another round of its work on what lies at the path. Tests make it panic there.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn round(_path: &Path) {}

/// Longest wait for a lock of the file, unless a test sets a shorter one.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn lock_timeout(_path: &Path, usual: std::time::Duration) -> std::time::Duration {
    usual
}

#[cfg(test)]
pub(crate) use installed::{Failpoint, guarded, install, lock_timeout, round};

#[cfg(test)]
mod installed {
    use std::path::PathBuf;
    use std::sync::{Arc, PoisonError, RwLock};
    use std::time::Duration;

    use super::{IoCall, Path, io};

    /// A test's reaction to calls below a directory.
    pub(crate) trait Failpoint: Send + Sync {
        /// Before the call; an error replaces the call's result.
        fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()>;

        /// After the call has succeeded.
        fn after(&self, _path: &Path, _call: IoCall<'_>) {}

        /// A thread begins a round.
        fn round(&self) {}

        /// Bound of a wait for a lock, if it is not the usual one.
        fn lock_timeout(&self) -> Option<Duration> {
            None
        }
    }

    static FAILPOINTS: RwLock<Vec<(PathBuf, Arc<dyn Failpoint>)>> = RwLock::new(Vec::new());

    /// Lets `failpoint` see the calls below `directory`, until the returned value is dropped.
    pub(crate) fn install(directory: &Path, failpoint: Arc<dyn Failpoint>) -> Installed {
        let mut failpoints = FAILPOINTS.write().unwrap_or_else(PoisonError::into_inner);
        failpoints.push((directory.to_owned(), failpoint));
        Installed(directory.to_owned())
    }

    #[must_use]
    pub(crate) struct Installed(PathBuf);

    impl Drop for Installed {
        fn drop(&mut self) {
            let mut failpoints = FAILPOINTS.write().unwrap_or_else(PoisonError::into_inner);
            failpoints.retain(|(directory, _)| *directory != self.0);
        }
    }

    pub(crate) fn guarded<T>(
        path: &Path,
        call: IoCall<'_>,
        go: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(failpoint) = failpoint_of(path) else {
            return go();
        };
        failpoint.before(path, call)?;
        let done = go()?;
        failpoint.after(path, call);
        Ok(done)
    }

    pub(crate) fn round(path: &Path) {
        if let Some(failpoint) = failpoint_of(path) {
            failpoint.round();
        }
    }

    pub(crate) fn lock_timeout(path: &Path, usual: Duration) -> Duration {
        let wanted = failpoint_of(path).and_then(|failpoint| failpoint.lock_timeout());
        wanted.unwrap_or(usual)
    }

    fn failpoint_of(path: &Path) -> Option<Arc<dyn Failpoint>> {
        let failpoints = FAILPOINTS.read().unwrap_or_else(PoisonError::into_inner);
        let found = failpoints.iter().find(|(below, _)| path.starts_with(below));
        found.map(|(_, failpoint)| failpoint.clone())
    }
}
