//! Reading: a handle of its own, decisions by id and by query.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals::entry::KeptInput;
use annals::{Cursor, Group, Query, Repeats};
use annals_arrow::Parts;
use pyo3::prelude::*;

use crate::arrow::Decisions;
use crate::errors::{EndedError, OrRaise, raised};
use crate::follow::{Follow, PyEntry};
use crate::fork::Owned;
use crate::recorded::Decision;
use crate::sql::{self, Rows};
use crate::statistics::{self, Scope};
use crate::values;

/// A handle that reads a journal, beside any processes that write it.
#[pyclass(frozen, module = "annals._annals", name = "_Reader")]
pub struct PyReader {
    /// `None` in memory.
    path: Option<PathBuf>,
    state: Mutex<State>,
}

enum State {
    Open(Owned<annals::Reader>),
    Closed,
}

/// The conditions of a query; a mapping in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Filter<'py> {
    model: Option<String>,
    symbol: Option<String>,
    action: Option<String>,
    checkpoint: Option<String>,
    correlation: Option<String>,
    caused_by: Option<Bound<'py, PyAny>>,
    episode: Option<String>,
    /// Event times.
    since: Option<Bound<'py, PyAny>>,
    until: Option<Bound<'py, PyAny>>,
    /// The least sequence, and the one that none reaches.
    first: Option<u64>,
    end: Option<u64>,
    repeats: bool,
    newest_first: bool,
    limit: Option<usize>,
    outcomes: bool,
    inputs: bool,
}

impl Filter<'_> {
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            outcomes: self.outcomes,
            inputs: self.inputs,
        }
    }

    pub(crate) fn query(&self, reader: &annals::Reader) -> PyResult<Query> {
        let mut query = reader.inferences();
        if let Some(model) = &self.model {
            query = query.model(model);
        }
        if let Some(symbol) = &self.symbol {
            query = query.symbol(symbol);
        }
        if let Some(action) = &self.action {
            query = query.action(action);
        }
        if let Some(checkpoint) = &self.checkpoint {
            query = query.checkpoint(checkpoint);
        }
        if let Some(correlation) = &self.correlation {
            query = query.correlation(correlation);
        }
        if let Some(cause) = &self.caused_by {
            query = query.caused_by(values::inference_id("caused_by", cause)?);
        }
        if let Some(episode) = &self.episode {
            query = query.episode(episode.parse().or_raise()?);
        }
        if let Some(since) = &self.since {
            query = query.since(values::timestamp("since", since)?);
        }
        if let Some(until) = &self.until {
            query = query.until(values::timestamp("until", until)?);
        }
        if self.first.is_some() || self.end.is_some() {
            query = query.sequences(self.first.unwrap_or(0)..self.end.unwrap_or(u64::MAX));
        }
        if !self.repeats {
            query = query.repeats(Repeats::Exclude);
        }
        if self.newest_first {
            query = query.newest_first();
        }
        Ok(query.limit(self.limit.unwrap_or(usize::MAX)))
    }
}

impl PyReader {
    /// A handle on a journal that is open already; without a path it is in memory.
    pub(crate) fn of(reader: annals::Reader, path: Option<PathBuf>) -> Self {
        PyReader {
            path,
            state: Mutex::new(State::Open(Owned::new(reader))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open reader. A forked child opens its own at the first call.
    fn handle(&self, py: Python<'_>) -> PyResult<annals::Reader> {
        match &*self.lock() {
            State::Closed => {
                return Err(EndedError::new_err(
                    "the reader is closed; open another one",
                ));
            }
            State::Open(reader) => {
                if let Some(reader) = reader.get() {
                    return Ok(reader.clone());
                }
            }
        }
        let Some(path) = &self.path else {
            let what = "a journal in memory stays with the process that opened it";
            return Err(EndedError::new_err(what));
        };
        let opened = py.detach(|| annals::Reader::open(path)).or_raise()?;
        *self.lock() = State::Open(Owned::new(opened.clone()));
        Ok(opened)
    }
}

/// A reader for people's use on a journal that is open already.
pub(crate) fn of_journal<'py>(
    py: Python<'py>,
    journal: &annals::Journal,
) -> PyResult<Bound<'py, PyAny>> {
    let path = journal.path().map(Path::to_path_buf);
    let reader = py.detach(|| journal.reader()).or_raise()?;
    let class = py.import("annals.reading")?.getattr("Reader")?;
    class.call_method1("_of", (PyReader::of(reader, path),))
}

#[pymethods]
impl PyReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let reader = py.detach(|| annals::Reader::open(&path)).or_raise()?;
        Ok(PyReader::of(reader, Some(path)))
    }

    #[getter]
    fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    #[getter]
    fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed)
    }

    fn close(&self, py: Python<'_>) {
        let state = std::mem::replace(&mut *self.lock(), State::Closed);
        py.detach(|| drop(state));
    }

    /// The journal's id.
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.handle(py)?.id().to_string())
    }

    /// The cursor before the first entry.
    fn start(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.handle(py)?.start().to_string())
    }

    /// The cursor behind the last committed entry, and the sequence that follows.
    fn end(&self, py: Python<'_>) -> PyResult<(String, u64)> {
        let reader = self.handle(py)?;
        let end = py.detach(|| reader.end()).or_raise()?;
        Ok((end.to_string(), end.next_sequence()))
    }

    /// The sequence that a cursor of this journal is before.
    fn sequence_of(&self, py: Python<'_>, cursor: &str) -> PyResult<u64> {
        let cursor: Cursor = cursor.parse().or_raise()?;
        // It checks whose the cursor is.
        let follow = self.handle(py)?.follow(cursor).or_raise()?;
        Ok(follow.cursor().next_sequence())
    }

    /// The cursor before the entry with this sequence.
    fn cursor_at(&self, py: Python<'_>, sequence: u64) -> PyResult<String> {
        Ok(format!("annals:{}:{sequence}", self.handle(py)?.id()))
    }

    /// The names of the models that have decisions.
    fn models(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let reader = self.handle(py)?;
        let rows = py.detach(|| reader.stats_of_all().by(Group::Model));
        let names = rows.or_raise()?.into_iter();
        Ok(names
            .filter_map(|row| row.model.map(|name| name.to_string()))
            .collect())
    }

    /// Whether a model has decisions.
    fn knows(&self, py: Python<'_>, model: &str) -> PyResult<bool> {
        let reader = self.handle(py)?;
        let stats = py.detach(|| reader.stats(model).get()).or_raise()?;
        Ok(stats.known)
    }

    fn get(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<Option<Decision>> {
        let id = values::inference_id("id", id)?;
        let reader = self.handle(py)?;
        let found = py.detach(|| {
            let Some(record) = reader.get(id)? else {
                return Ok(None);
            };
            let outcomes = reader.outcome(id)?;
            let input: KeptInput = reader.input(id)?;
            Ok(Some(Decision::new(record, outcomes, Some(input))))
        });
        found.or_raise()
    }

    fn decisions(&self, py: Python<'_>, filter: Filter<'_>) -> PyResult<Decisions> {
        let reader = self.handle(py)?;
        let query = filter.query(&reader)?;
        Ok(Decisions::new(reader, query, filter.parts()))
    }

    /// A statistic as JSON, or with `by` a list of them.
    #[pyo3(signature = (scope, by))]
    fn stats(&self, py: Python<'_>, scope: Scope<'_>, by: Option<Vec<String>>) -> PyResult<String> {
        let reader = self.handle(py)?;
        statistics::ask(py, &reader, scope, by)
    }

    /// Follows from a cursor; from the start without one.
    #[pyo3(signature = (cursor, timeout))]
    fn follow(
        &self,
        py: Python<'_>,
        cursor: Option<&str>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Follow> {
        let reader = self.handle(py)?;
        let cursor = match cursor {
            None => reader.start(),
            Some(text) => text.parse().or_raise()?,
        };
        Follow::new(reader, cursor, timeout)
    }

    fn sql(&self, py: Python<'_>, statement: String, scan: bool, max_rows: u64) -> PyResult<Rows> {
        self.handle(py)?;
        let path = self
            .path
            .clone()
            .ok_or_else(|| raised(&annals::Error::NoDirectory))?;
        sql::ask(py, path, statement, scan, max_rows)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyReader>()?;
    module.add_class::<Decision>()?;
    module.add_class::<PyEntry>()
}
