//! Decisions as streams of Arrow and as Python objects.

use std::sync::Arc;

use annals::Query;
use annals_arrow::{DecisionBatches, Decisions as Reading, Parts};
use arrow_array::{ArrayRef, RecordBatchReader, StructArray};
use arrow_schema::Field;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};

use crate::errors::{InvalidInputError, OrRaise, raised};
use crate::recorded::Decision;

/// Decisions that are handed to Python at once, while the interpreter is let go for others.
const TOGETHER: usize = 256;

/// The answer to a query; each iteration and each stream runs it once more.
#[pyclass(frozen, module = "annals._annals")]
pub struct Decisions {
    reader: annals::Reader,
    query: Query,
    parts: Parts,
}

impl Decisions {
    pub(crate) fn new(reader: annals::Reader, query: Query, parts: Parts) -> Self {
        Decisions {
            reader,
            query,
            parts,
        }
    }
}

#[pymethods]
impl Decisions {
    fn __iter__(&self) -> DecisionIterator {
        DecisionIterator {
            reading: Reading::new(&self.reader, self.query.clone(), self.parts),
            ready: Vec::new().into_iter(),
            failed: None,
        }
    }

    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.query.count()).or_raise()
    }

    /// A stream of the columns with these names, or of all.
    #[pyo3(signature = (columns=None))]
    fn arrow(&self, columns: Option<Vec<String>>) -> PyResult<DecisionStream> {
        let stream = DecisionStream {
            reader: self.reader.clone(),
            query: self.query.clone(),
            parts: self.parts,
            columns,
        };
        // A name that is wrong is told now.
        stream.batches().map(|_| stream)
    }
}

/// Decisions as objects, in pieces.
#[pyclass(module = "annals._annals")]
pub struct DecisionIterator {
    reading: Reading,
    ready: std::vec::IntoIter<Decision>,
    failed: Option<annals::Error>,
}

#[pymethods]
impl DecisionIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Decision>> {
        if let Some(decision) = self.ready.next() {
            return Ok(Some(decision));
        }
        if let Some(error) = self.failed.take() {
            return Err(raised(&error));
        }
        let reading = &mut self.reading;
        let (ready, failed) = py.detach(|| {
            let mut ready = Vec::new();
            for decision in reading.by_ref().take(TOGETHER) {
                match decision {
                    Ok(found) => {
                        ready.push(Decision::new(found.record, found.outcomes, found.input));
                    }
                    // Told after the decisions before it.
                    Err(error) => return (ready, Some(error)),
                }
            }
            (ready, None)
        });
        (self.ready, self.failed) = (ready.into_iter(), failed);
        match (self.ready.next(), self.failed.take()) {
            (None, Some(error)) => Err(raised(&error)),
            (next, failed) => {
                self.failed = failed;
                Ok(next)
            }
        }
    }
}

/// What libraries of data frames take: batches of decisions, read as they are asked for.
#[pyclass(frozen, module = "annals._annals")]
pub struct DecisionStream {
    reader: annals::Reader,
    query: Query,
    parts: Parts,
    columns: Option<Vec<String>>,
}

impl DecisionStream {
    fn batches(&self) -> PyResult<DecisionBatches> {
        let columns = self.columns.as_deref();
        DecisionBatches::new(&self.reader, self.query.clone(), self.parts, columns)
            .map_err(|error| InvalidInputError::new_err(error.to_string()))
    }
}

#[pymethods]
impl DecisionStream {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        capsule(py, self.batches()?, requested_schema)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.batches()?.schema().as_ref())?)
    }

    #[getter]
    fn column_names(&self) -> PyResult<Vec<String>> {
        let schema = self.batches()?.schema();
        Ok(schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect())
    }
}

/// Batches for the consumer that asked, who reads them without the interpreter.
pub(crate) fn capsule<'py>(
    py: Python<'py>,
    batches: impl RecordBatchReader + Send + 'static,
    requested_schema: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = batches.schema();
    let field = Field::new_struct("", schema.fields().clone(), false);
    let arrays = batches.map(|batch| {
        let rows: ArrayRef = Arc::new(StructArray::from(batch?));
        Ok(rows)
    });
    let arrays = Box::new(ArrayIterator::new(arrays, Arc::new(field)));
    Ok(to_stream_pycapsule(py, arrays, requested_schema)?)
}
