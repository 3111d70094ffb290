//! What the registry knows about one checkpoint.

use std::path::PathBuf;

use annals::registry::{Condition, Origin};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::values;

/// A checkpoint of the registry, as it was when it was asked for.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Checkpoint {
    pub(crate) checkpoint: annals::Checkpoint,
}

impl From<annals::Checkpoint> for Checkpoint {
    fn from(checkpoint: annals::Checkpoint) -> Self {
        Checkpoint { checkpoint }
    }
}

impl From<&annals::Checkpoint> for Checkpoint {
    fn from(checkpoint: &annals::Checkpoint) -> Self {
        checkpoint.clone().into()
    }
}

#[pymethods]
impl Checkpoint {
    /// Its id, such as "dqn_agent_20250725_143500".
    #[getter]
    fn id(&self) -> &str {
        self.checkpoint.id()
    }

    /// The model.
    #[getter]
    fn model(&self) -> &str {
        self.checkpoint.model()
    }

    /// The kind of model, such as "rl"; empty if it was not given.
    #[getter]
    fn model_type(&self) -> &str {
        self.checkpoint.model_type()
    }

    /// When it was made: an aware datetime in UTC.
    #[getter]
    fn created<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::datetime(py, self.checkpoint.created())
    }

    /// Metrics by name.
    #[getter]
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in self.checkpoint.metrics() {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    /// The training run's own facts by name.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in self.checkpoint.all_metadata() {
            dict.set_item(name, values::serialized(py, value)?)?;
        }
        Ok(dict)
    }

    /// The step of training.
    #[getter]
    fn step(&self) -> Option<u64> {
        self.checkpoint.step()
    }

    /// The epoch of training.
    #[getter]
    fn epoch(&self) -> Option<u64> {
        self.checkpoint.epoch()
    }

    /// The id of the checkpoint that the training began from.
    #[getter]
    fn parent(&self) -> Option<&str> {
        self.checkpoint.parent()
    }

    /// Its tags.
    #[getter]
    fn tags(&self) -> Vec<String> {
        self.checkpoint.tags().to_vec()
    }

    /// Whether it is pinned: retention never deletes it.
    #[getter]
    fn pinned(&self) -> bool {
        self.checkpoint.is_pinned()
    }

    /// Size of the weights in bytes.
    #[getter]
    fn size(&self) -> u64 {
        self.checkpoint.bytes()
    }

    /// BLAKE3 digest of the weights in hexadecimal; None if it is not known.
    #[getter]
    fn digest(&self) -> Option<String> {
        let digest = self.checkpoint.digest()?;
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The file of the weights. `Registry.load` verifies what it reads.
    #[getter]
    fn path(&self) -> PathBuf {
        self.checkpoint.path()
    }

    /// "present", "missing", or "corrupt: " and how it shows.
    #[getter]
    fn condition(&self) -> String {
        match self.checkpoint.condition() {
            Condition::Present => "present".to_owned(),
            Condition::Missing => "missing".to_owned(),
            Condition::Corrupt(how) => format!("corrupt: {how}"),
            other => format!("{other:?}"),
        }
    }

    /// "saved" by the registry, "registered" where it lies, or "found" beside the registry's own.
    #[getter]
    fn origin(&self) -> &'static str {
        match self.checkpoint.origin() {
            Origin::Saved => "saved",
            Origin::Registered => "registered",
            Origin::Found => "found",
            _ => "other",
        }
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let other = other.cast::<Checkpoint>();
        other.is_ok_and(|other| other.get().checkpoint == self.checkpoint)
    }

    fn __hash__(&self) -> u64 {
        id_hash(self.checkpoint.id())
    }

    fn __repr__(&self) -> String {
        let metrics = self.checkpoint.metrics().iter();
        let metrics: String = metrics
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let bytes = self.checkpoint.bytes();
        format!(
            "<annals.Checkpoint {}{metrics}, {bytes} bytes>",
            self.checkpoint.id()
        )
    }
}

fn id_hash(id: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Checkpoint>()
}
