//! The time that a decision took.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Measures the processing time of a decision, in a `with` block or from its making on.
///
/// The block's end stops it. A running timer gives the time until now.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Timer {
    span: Mutex<Span>,
}

struct Span {
    began: Instant,
    took: Option<Duration>,
}

impl Timer {
    fn set(&self, span: Span) {
        *self.span.lock().unwrap_or_else(PoisonError::into_inner) = span;
    }

    /// The measured time, or the time until now.
    pub(crate) fn elapsed(&self) -> Duration {
        let span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        span.took.unwrap_or_else(|| span.began.elapsed())
    }
}

#[pymethods]
impl Timer {
    /// A timer that runs from now on.
    #[new]
    pub(crate) fn new() -> Self {
        let (began, took) = (Instant::now(), None);
        Timer {
            span: Mutex::new(Span { began, took }),
        }
    }

    /// Seconds of the block, or until now.
    #[getter]
    fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// Ends the measurement; returns the seconds.
    fn stop(&self) -> f64 {
        let took = self.elapsed();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        span.took = Some(took);
        took.as_secs_f64()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        let (began, took) = (Instant::now(), None);
        slf.get().set(Span { began, took });
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.stop();
    }

    fn __repr__(&self) -> String {
        format!("<annals.Timer {:?}>", self.elapsed())
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Timer>()
}
