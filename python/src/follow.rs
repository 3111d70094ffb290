//! Following a journal as it is written.

use std::time::{Duration, Instant};

use annals::{Content, Cursor, Entry};
use pyo3::prelude::*;

use crate::errors::{InvalidInputError, OrRaise};
use crate::recorded::Decision;
use crate::values;

/// How long the interpreter's signals wait at most.
const LOOK: Duration = Duration::from_millis(50);

/// Every committed entry once, in sequence, and then those that follow.
#[pyclass(module = "annals._annals")]
pub struct Follow {
    reader: annals::Reader,
    follow: annals::Follow,
    /// How long to wait for an entry; without a bound if there is none.
    timeout: Option<Duration>,
}

impl Follow {
    pub(crate) fn new(
        reader: annals::Reader,
        cursor: Cursor,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let timeout = timeout.map(|timeout| values::duration("timeout", timeout));
        let timeout = timeout.transpose()?;
        let follow = reader.follow(cursor).or_raise()?;
        Ok(Follow {
            reader,
            follow,
            timeout,
        })
    }

    /// The entry with all that belongs to it.
    fn whole(&self, entry: Entry) -> annals::Result<PyEntry> {
        let decision = match &entry.content {
            Content::Inference(record) => Some(record.clone()),
            // With the answer that it repeats.
            Content::Repeat(repeat) => self.reader.get(repeat.id)?,
            _ => None,
        };
        let decision = decision.map(|record| Decision::new(record, None, None));
        Ok(PyEntry { entry, decision })
    }
}

#[pymethods]
impl Follow {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<PyEntry>> {
        let began = Instant::now();
        loop {
            let left = match self.timeout {
                None => LOOK,
                Some(timeout) => timeout.saturating_sub(began.elapsed()).min(LOOK),
            };
            let this = &mut *self;
            let found = py.detach(|| {
                if !this.follow.wait(left)? {
                    return Ok(None);
                }
                let entry = this.follow.next().transpose()?;
                entry.map(|entry| this.whole(entry)).transpose()
            });
            if let Some(entry) = found.or_raise()? {
                return Ok(Some(entry));
            }
            py.check_signals()?;
            if self
                .timeout
                .is_some_and(|timeout| began.elapsed() >= timeout)
            {
                return Ok(None);
            }
        }
    }

    #[getter]
    fn cursor(&self) -> String {
        self.follow.cursor().to_string()
    }
}

/// Anything with a sequence number.
#[pyclass(frozen, module = "annals", name = "Entry")]
pub struct PyEntry {
    entry: Entry,
    decision: Option<Decision>,
}

#[pymethods]
impl PyEntry {
    #[getter]
    fn kind(&self) -> &'static str {
        match &self.entry.content {
            Content::Inference(_) => "inference",
            Content::Repeat(_) => "repeat",
            Content::Outcome(_) => "outcome",
            Content::SystemEvent(_) => "event",
            Content::CheckpointEvent(_) => "checkpoint_event",
            Content::Gap(_) => "gap",
            _ => "other",
        }
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.entry.sequence
    }

    #[getter]
    fn recorded_time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::datetime(py, self.entry.recorded_time)
    }

    #[getter]
    fn decision(&self) -> Option<Decision> {
        self.decision.clone()
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let json = serde_json::to_value(&self.entry);
        let json = json.map_err(|error| InvalidInputError::new_err(error.to_string()))?;
        values::from_json(py, &json)
    }

    fn __repr__(&self) -> String {
        format!(
            "<annals.Entry {} {}: {}>",
            self.entry.sequence,
            self.kind(),
            self.entry
        )
    }
}
