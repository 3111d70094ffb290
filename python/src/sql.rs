//! Statements of SQL, in a thread of their own so that Ctrl-C reaches the interpreter.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use annals_sql::{ColumnType, ColumnTypes, Database, Error, Interrupter, Value, ValueRef};
use arrow_array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use crossbeam_channel::{RecvTimeoutError, bounded};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyIndexError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyString, PyTuple};

use crate::arrow::capsule;
use crate::errors::{InvalidInputError, raised};

/// How long the interpreter's signals wait at most.
const LOOK: Duration = Duration::from_millis(50);
/// Rows of a batch.
const BATCH: usize = 65_536;

/// The rows of an answer, in memory.
#[pyclass(frozen, module = "annals._annals")]
pub struct Rows {
    columns: Vec<String>,
    types: ColumnTypes,
    rows: Vec<Vec<Value>>,
    is_from_rollups: bool,
}

/// What the thread of a statement tells.
enum Told {
    Begun(Interrupter),
    Ended(Result<Rows, Failure>),
}

enum Failure {
    Sql(Error),
    TooMany(u64),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Sql(error)
    }
}

impl Failure {
    fn raised(self) -> PyErr {
        match self {
            Failure::Sql(Error::Journal(error)) => raised(&error),
            Failure::Sql(other) => InvalidInputError::new_err(other.to_string()),
            Failure::TooMany(most) => InvalidInputError::new_err(format!(
                "the answer has more than {most} rows, which are kept in memory: give the \
                 statement a LIMIT, or a greater max_rows"
            )),
        }
    }
}

fn answer(mut database: Database, statement: &str, max_rows: u64) -> Result<Rows, Failure> {
    let answer = database.query(statement)?;
    let columns = answer.columns().to_vec();
    let mut found = Rows {
        types: ColumnTypes::new(columns.len()),
        columns,
        rows: Vec::new(),
        is_from_rollups: answer.is_from_rollups(),
    };
    let mut is_over = false;
    answer.for_each(|row: &[ValueRef<'_>]| {
        is_over = found.rows.len() as u64 >= max_rows;
        if is_over {
            return ControlFlow::Break(());
        }
        found.types.see(row);
        let values = row.iter().map(|value| match value {
            // SQLite does not check that text is UTF-8; Python does.
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            other => Value::try_from(*other).unwrap_or(Value::Null),
        });
        found.rows.push(values.collect());
        ControlFlow::Continue(())
    })?;
    match is_over {
        true => Err(Failure::TooMany(max_rows)),
        false => Ok(found),
    }
}

/// Answers a statement. Ctrl-C ends it.
pub(crate) fn ask(
    py: Python<'_>,
    path: PathBuf,
    statement: String,
    scan: bool,
    max_rows: u64,
) -> PyResult<Rows> {
    // One of the standard library is of one thread, and the interpreter is let go for the wait.
    let (sender, receiver) = bounded(2);
    let working = thread::Builder::new().name("annals-sql".into());
    let working = working.spawn(move || {
        let ended = Database::open(&path)
            .map_err(Failure::from)
            .and_then(|database| {
                let database = database.with_rollups(!scan);
                // Nobody waits any more where these fail.
                let _ = sender.send(Told::Begun(database.interrupter()));
                answer(database, &statement, max_rows)
            });
        let _ = sender.send(Told::Ended(ended));
    })?;
    let mut interrupter: Option<Interrupter> = None;
    let mut interrupted = None;
    let ended = loop {
        let waited = py.detach(|| receiver.recv_timeout(LOOK));
        match waited {
            Ok(Told::Begun(new)) => interrupter = Some(new),
            Ok(Told::Ended(ended)) => break Some(ended),
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if interrupted.is_none() {
            interrupted = py.check_signals().err();
        }
        if let (Some(_), Some(interrupter)) = (&interrupted, &interrupter) {
            // Again and again: before its first row a statement does not notice it.
            interrupter.interrupt();
        }
    };
    let joined = py.detach(|| working.join());
    match (interrupted, ended) {
        (Some(signal), _) => Err(signal),
        (None, Some(ended)) if joined.is_ok() => ended.map_err(Failure::raised),
        _ => Err(PyRuntimeError::new_err(
            "the thread of the statement panicked",
        )),
    }
}

#[pymethods]
impl Rows {
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    #[getter]
    fn is_from_rollups(&self) -> bool {
        self.is_from_rollups
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    fn row<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyTuple>> {
        let row = self
            .rows
            .get(index)
            .ok_or_else(|| PyIndexError::new_err("no such row"))?;
        let values = row.iter().map(|value| match value {
            Value::Null => Ok(py.None()),
            Value::Integer(number) => number.into_py_any(py),
            Value::Real(number) => number.into_py_any(py),
            Value::Text(text) => Ok(PyString::new(py, text).into_any().unbind()),
            Value::Blob(bytes) => Ok(PyBytes::new(py, bytes).into_any().unbind()),
        });
        PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let types = self.types.types(&self.columns);
        let types = types.map_err(|error| Failure::Sql(error).raised())?;
        let fields = self.columns.iter().zip(&types).map(|(name, kind)| {
            let kind = match kind {
                ColumnType::Integer => DataType::Int64,
                ColumnType::Real => DataType::Float64,
                ColumnType::Text => DataType::Utf8,
                ColumnType::Blob => DataType::Binary,
            };
            Field::new(name, kind, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let made = py.detach(|| {
            let batches = self.rows.chunks(BATCH).map(|rows| {
                let columns = types.iter().enumerate();
                let columns = columns.map(|(index, kind)| array(rows, index, *kind));
                RecordBatch::try_new(schema.clone(), columns.collect())
            });
            batches.collect::<Vec<_>>()
        });
        capsule(py, RecordBatchIterator::new(made, schema), requested_schema)
    }
}

fn array(rows: &[Vec<Value>], index: usize, kind: ColumnType) -> ArrayRef {
    let values = rows
        .iter()
        .map(|row| row.get(index).unwrap_or(&Value::Null));
    match kind {
        ColumnType::Integer => Arc::new(
            values
                .map(|value| match value {
                    Value::Integer(number) => Some(*number),
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        ColumnType::Real => Arc::new(
            values
                .map(|value| match value {
                    Value::Real(number) => Some(*number),
                    #[expect(clippy::cast_precision_loss, reason = "exact: none is beyond 2^53")]
                    Value::Integer(number) => Some(*number as f64),
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        ColumnType::Text => Arc::new(
            values
                .map(|value| match value {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        ColumnType::Blob => Arc::new(
            values
                .map(|value| match value {
                    Value::Blob(bytes) => Some(bytes.as_slice()),
                    _ => None,
                })
                .collect::<BinaryArray>(),
        ),
    }
}
