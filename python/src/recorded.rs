//! One decision as a Python object.

use annals::entry::{InputValues, KeptInput};
use annals::{InferenceId, InferenceRecord, Outcomes};
use annals_arrow::texts;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::values;

/// A decision, with the outcomes and the input that were asked for.
#[pyclass(frozen, module = "annals")]
#[derive(Clone)]
pub struct Decision {
    record: InferenceRecord,
    outcomes: Option<Outcomes>,
    input: Option<KeptInput>,
}

impl Decision {
    pub(crate) fn new(
        record: InferenceRecord,
        outcomes: Option<Outcomes>,
        input: Option<KeptInput>,
    ) -> Self {
        Decision {
            record,
            outcomes,
            input,
        }
    }
}

#[pymethods]
impl Decision {
    #[getter]
    fn kind(&self) -> &'static str {
        match self.record.repeat_of {
            None => "inference",
            Some(_) => "repeat",
        }
    }

    #[getter]
    fn id(&self) -> u64 {
        self.record.id.to_u64()
    }

    #[getter]
    fn run(&self) -> u32 {
        self.record.id.run().get()
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.record.sequence
    }

    #[getter]
    fn event_time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::datetime(py, self.record.event_time)
    }

    #[getter]
    fn event_time_us(&self) -> i64 {
        self.record.event_time.as_micros()
    }

    #[getter]
    fn recorded_time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::datetime(py, self.record.recorded_time)
    }

    #[getter]
    fn model(&self) -> &str {
        &self.record.model
    }

    #[getter]
    fn symbol(&self) -> &str {
        &self.record.symbol
    }

    #[getter]
    fn action(&self) -> &str {
        &self.record.action
    }

    #[getter]
    fn checkpoint(&self) -> Option<&str> {
        self.record.checkpoint.as_deref()
    }

    #[getter]
    fn confidence(&self) -> Option<f64> {
        self.record.confidence.map(shortest)
    }

    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let shares = PyDict::new(py);
        for (label, share) in self.record.probabilities.iter() {
            shares.set_item(label, shortest(share))?;
        }
        Ok(shares)
    }

    #[getter]
    fn feature_hash(&self) -> Option<u64> {
        self.record.feature_hash
    }

    #[getter]
    fn processing_ns(&self) -> Option<u64> {
        let time = self.record.processing_time?;
        Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    #[getter]
    fn memory_bytes(&self) -> Option<u64> {
        self.record.memory
    }

    #[getter]
    fn divergent(&self) -> bool {
        self.record.divergent
    }

    #[getter]
    fn repeat_of(&self) -> Option<u64> {
        self.record.repeat_of.map(InferenceId::to_u64)
    }

    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::from_json(py, &texts::values(&self.record.attributes))
    }

    #[getter]
    fn propensity(&self) -> Option<f64> {
        self.record.propensity.map(shortest)
    }

    #[getter]
    fn action_vector(&self) -> Vec<f64> {
        let vector = self.record.action_vector.iter();
        vector.map(|number| shortest(*number)).collect()
    }

    #[getter]
    fn caused_by(&self) -> Option<u64> {
        self.record.caused_by.map(InferenceId::to_u64)
    }

    #[getter]
    fn correlation(&self) -> Option<&str> {
        self.record.correlation.as_deref()
    }

    #[getter]
    fn episode(&self) -> Option<String> {
        self.record.episode.map(|id| id.to_string())
    }

    #[getter]
    fn step(&self) -> Option<u64> {
        self.record.step
    }

    #[getter]
    fn reward(&self) -> Option<f64> {
        let reward = self.outcomes.as_ref()?.reward?;
        Some(reward.value)
    }

    #[getter]
    fn correct(&self) -> Option<bool> {
        let correct = self.outcomes.as_ref()?.correct?;
        Some(correct.value)
    }

    #[getter]
    fn outcome_label(&self) -> Option<&str> {
        let label = self.outcomes.as_ref()?.label.as_ref()?;
        Some(&label.value)
    }

    #[getter]
    fn outcome_values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let values = PyDict::new(py);
        for (name, latest) in self.outcomes.iter().flat_map(|known| &known.values) {
            values.set_item(&**name, latest.value)?;
        }
        Ok(values)
    }

    #[getter]
    fn outcome_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let time = self.outcomes.as_ref().and_then(texts::latest);
        time.map(|time| values::datetime(py, time)).transpose()
    }

    /// An array of numpy, or bytes, or nothing.
    #[getter]
    fn features(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(KeptInput::Kept(input)) = &self.input else {
            return Ok(None);
        };
        let (bytes, kind): (Vec<u8>, &str) = match &input.values {
            InputValues::F32(values) => {
                let bytes = values.iter().flat_map(|value| value.to_ne_bytes());
                (bytes.collect(), "f4")
            }
            InputValues::F64(values) => {
                let bytes = values.iter().flat_map(|value| value.to_ne_bytes());
                (bytes.collect(), "f8")
            }
            InputValues::Bytes(bytes) => return PyBytes::new(py, bytes).into_py_any(py).map(Some),
            _ => return Ok(None),
        };
        let bytes = PyBytes::new(py, &bytes);
        let array = py
            .import("numpy")?
            .call_method1("frombuffer", (bytes, kind))?;
        Ok(Some(array.unbind()))
    }

    #[getter]
    fn feature_names(&self) -> Vec<&str> {
        match &self.input {
            Some(KeptInput::Kept(input)) => input.names.iter().map(|name| &**name).collect(),
            _ => Vec::new(),
        }
    }

    #[getter]
    fn input_state(&self) -> Option<&'static str> {
        Some(match self.input.as_ref()? {
            KeptInput::Kept(_) => "kept",
            KeptInput::GivenUp => "given_up",
            KeptInput::Removed => "removed",
            _ => "not_kept",
        })
    }

    /// The line that the text files have.
    fn line(&self) -> String {
        self.record.to_string()
    }

    fn __repr__(&self) -> String {
        let record = &self.record;
        let confidence = match record.confidence {
            Some(confidence) => format!(", confidence={confidence}"),
            None => String::new(),
        };
        format!(
            "<annals.Decision {} {} {} {}{confidence} at {}>",
            record.id, record.model, record.symbol, record.action, record.event_time
        )
    }
}

/// A short number through its own shortest text: 0.85, and not 0.8500000238418579.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}
