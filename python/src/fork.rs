//! Forked processes: what a child has copied from its parent and must not use, close or drop.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How often the process was forked on the way to this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A number that is another one in a forked child.
#[inline]
fn generation() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// A value with threads, locks or files of the process that made it. A forked child has a copy
/// that it cannot use: its threads are not there, and to drop it would wait for them. So there the
/// value counts as missing and is never dropped.
pub(crate) struct Owned<T> {
    value: Option<T>,
    generation: u64,
}

impl<T> Owned<T> {
    /// A value of this process.
    pub(crate) fn new(value: T) -> Self {
        Owned {
            value: Some(value),
            generation: generation(),
        }
    }

    /// Whether this process made it.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.generation == generation()
    }

    /// The value; `None` in a forked child.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.is_ours())
    }

    /// The same, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        let is_ours = self.is_ours();
        self.value.as_mut().filter(|_| is_ours)
    }

    /// Takes the value out; `None` in a forked child.
    pub(crate) fn take(&mut self) -> Option<T> {
        match self.is_ours() {
            true => self.value.take(),
            false => None,
        }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.value.take());
        }
    }
}

/// Called in a forked child, before its first line of Python.
#[pyfunction]
fn _after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let hook = wrap_pyfunction!(_after_fork_in_child, module)?;
    let py = module.py();
    let os = py.import("os")?;
    // Windows has no forks.
    if os.hasattr("register_at_fork")? {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", hook)?;
        os.call_method("register_at_fork", (), Some(&hooks))?;
    }
    Ok(())
}
