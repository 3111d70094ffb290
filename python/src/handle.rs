//! What a journal in Python holds: the library's journal, and how to open it again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use annals::Options;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{EndedError, InvalidInputError, OrRaise};
use crate::fork::Owned;
use crate::values;
use crate::wait;

/// A journal that a forked child opens anew at its first call.
pub(crate) struct Handle {
    /// `None` in memory.
    path: Option<PathBuf>,
    options: Options,
    /// A call may wait for room in the queue.
    blocks: bool,
    /// Nobody who holds this lock runs Python's code or lets go of the interpreter. So a thread
    /// that waits for it with the interpreter in its hands waits for a moment only.
    state: Mutex<State>,
}

enum State {
    Open(Owned<Arc<annals::Journal>>),
    Closed,
}

/// All of this process, for its end.
static ALL: Mutex<Vec<Weak<Handle>>> = Mutex::new(Vec::new());

fn opened(path: Option<PathBuf>, options: Options) -> annals::Result<annals::Journal> {
    match path {
        Some(path) => options.open(path),
        None => options.in_memory(),
    }
}

/// The options, and whether a full queue makes a call wait.
fn options(given: Option<&Bound<'_, PyDict>>) -> PyResult<(Options, bool)> {
    let Some(given) = given else {
        return Ok((Options::default(), false));
    };
    let given = values::json("options", given)?;
    let blocks = given
        .get("overflow")
        .is_some_and(serde_json::Value::is_object);
    let options = serde_json::from_value(given)
        .map_err(|error| InvalidInputError::new_err(format!("an option of open: {error}")))?;
    Ok((options, blocks))
}

impl Handle {
    /// Opens a journal with options by name.
    pub(crate) fn open(
        py: Python<'_>,
        path: Option<PathBuf>,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Arc<Handle>> {
        close_at_end_of_child(py)?;
        let (options, blocks) = self::options(given)?;
        let (at, with) = (path.clone(), options.clone());
        let journal = wait::interruptible(py, move || opened(at, with))?;
        let handle = Arc::new(Handle {
            path,
            options,
            blocks,
            state: Mutex::new(State::Open(Owned::new(Arc::new(journal)))),
        });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&handle));
        Ok(handle)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory; `None` in memory.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// Whether a call may wait for room in the queue.
    pub(crate) fn blocks(&self) -> bool {
        self.blocks
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed)
    }

    /// The open journal; `EndedError` once closed. A forked child opens its own at the first call.
    pub(crate) fn journal(&self, py: Python<'_>) -> PyResult<Arc<annals::Journal>> {
        self.current(py)?
            .ok_or_else(|| EndedError::new_err("the journal is closed; open it again"))
    }

    /// The same, `None` once closed.
    pub(crate) fn current(&self, py: Python<'_>) -> PyResult<Option<Arc<annals::Journal>>> {
        match &*self.lock() {
            State::Closed => return Ok(None),
            State::Open(journal) => {
                if let Some(journal) = journal.get() {
                    return Ok(Some(journal.clone()));
                }
            }
        }
        self.open_in_child(py)
    }

    #[cold]
    fn open_in_child(&self, py: Python<'_>) -> PyResult<Option<Arc<annals::Journal>>> {
        let (path, options) = (self.path.clone(), self.options.clone());
        let journal = wait::interruptible(py, move || opened(path, options))?;
        close_at_end_of_child(py)?;
        let mut state = self.lock();
        let others = match &*state {
            // Another thread was first, or has closed it meanwhile: ours is dropped.
            State::Closed => Some(None),
            State::Open(theirs) => theirs.get().map(|theirs| Some(theirs.clone())),
        };
        if let Some(others) = others {
            drop(state);
            py.detach(move || drop(journal));
            return Ok(others);
        }
        let journal = Arc::new(journal);
        *state = State::Open(Owned::new(journal.clone()));
        Ok(Some(journal))
    }

    /// Closes the journal. Closing it again does nothing.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let state = std::mem::replace(&mut *self.lock(), State::Closed);
        let State::Open(mut journal) = state else {
            return Ok(());
        };
        match journal.take() {
            Some(journal) => py.detach(|| journal.close()).or_raise(),
            None => Ok(()),
        }
    }
}

/// Closes every open journal, so that their last entries are committed.
#[pyfunction]
fn _close_all(py: Python<'_>) {
    let all = std::mem::take(&mut *ALL.lock().unwrap_or_else(PoisonError::into_inner));
    for handle in all.iter().filter_map(Weak::upgrade) {
        if let Err(error) = handle.close(py) {
            error.write_unraisable(py, None);
        }
    }
}

/// A child of `multiprocessing` ends without `atexit`: it has hooks of its own.
fn close_at_end_of_child(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    let process = modules.call_method1("get", (intern!(py, "multiprocessing.process"),))?;
    if process.is_none() || process.call_method0("parent_process")?.is_none() {
        return Ok(());
    }
    let close_all = py.import("annals._annals")?.getattr("_close_all")?;
    let settings = PyDict::new(py);
    settings.set_item("exitpriority", 10)?;
    let util = py.import("multiprocessing.util")?;
    util.call_method("Finalize", (py.None(), close_all), Some(&settings))?;
    Ok(())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let close_all = wrap_pyfunction!(_close_all, module)?;
    module.add_function(close_all.clone())?;
    module
        .py()
        .import("atexit")?
        .call_method1("register", (close_all,))?;
    Ok(())
}
