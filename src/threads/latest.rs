//! One value that several threads publish and others take. A finding of a newer state of the
//! registry is never replaced by one of an older state, in any order of the threads.
//!
//! `crates/protocol-model` compiles this file once more and runs it through every order of its
//! threads.

use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Mutex, MutexGuard, PoisonError};

/// The newest value, and a number that is another one after each change.
pub(crate) struct Published<T> {
    /// Counts changes of the value. Begins at 1, so that a reader that has seen 0 takes the first
    /// one.
    version: AtomicU64,
    newest: Mutex<Newest<T>>,
}

struct Newest<T> {
    /// Invariant L1: never falls; the change of the registry whose snapshot had `value`.
    change: Option<u64>,
    value: T,
}

impl<T: Clone> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        Published {
            version: AtomicU64::new(1),
            newest: Mutex::new(Newest {
                change: None,
                value,
            }),
        }
    }

    /// The number that the value has now: one atomic load.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Publishes a value from the snapshot whose last change was number `change`, unless a newer
    /// one was published before. `is_same` tells whether two values are one to the watchers.
    pub(crate) fn publish(&self, change: u64, found: T, is_same: impl Fn(&T, &T) -> bool) {
        let mut newest = self.lock();
        // Two threads look and then publish. The one that looked first may publish last.
        if newest.change.is_some_and(|known| known > change) {
            return;
        }
        newest.change = Some(change);
        if !is_same(&newest.value, &found) {
            newest.value = found;
            // Under the lock, so that number and value belong together.
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// The value, and its number.
    pub(crate) fn take(&self) -> (u64, T) {
        let newest = self.lock();
        (self.version(), newest.value.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Newest<T>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
