//! The journal: opening, closing, waiting, decisions with names as strings, outcomes and events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use annals::entry::CheckpointAction;
use annals::{Inference, InferenceId, Level};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::decision::{More, Names, add_more, borrowed};
use crate::errors::{OrRaise, invalid};
use crate::features::{Numbers, Shape, Slice};
use crate::handle::Handle;
use crate::outcome;
use crate::recorder::{Recorder, Settings};
use crate::registry::Registry;
use crate::timer::Timer;
use crate::values;
use crate::wait;

/// An open journal: the flight recorder of this process in one directory. A context manager.
///
/// `log` never waits for the disk and never raises because of it: a call that could not be recorded
/// returns None and is counted in `health()`. After `flush` everything that was logged before is
/// on disk and visible to readers. A forked child opens its own journal at the first call.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Journal {
    pub(crate) handle: Arc<Handle>,
}

/// How long `flush` and `sync` wait if the caller does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the journal in a directory, and creates it where there is none.
#[pyfunction]
#[pyo3(signature = (path, **options))]
fn open(py: Python<'_>, path: PathBuf, options: Option<&Bound<'_, PyDict>>) -> PyResult<Journal> {
    let handle = Handle::open(py, Some(path), options)?;
    Ok(Journal { handle })
}

/// Opens a journal in memory, for tests: everything works, nothing survives.
#[pyfunction]
#[pyo3(signature = (**options))]
fn in_memory(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Journal> {
    let handle = Handle::open(py, None, options)?;
    Ok(Journal { handle })
}

fn patience(given: Option<&Bound<'_, PyAny>>) -> PyResult<Duration> {
    given.map_or(Ok(PATIENCE), |given| values::duration("timeout", given))
}

fn level(given: &Bound<'_, PyAny>) -> PyResult<Level> {
    let word = values::text("level", given)?.to_uppercase();
    let word = if word == "WARNING" { "WARN" } else { &word };
    word.parse().or_raise()
}

/// Probabilities by label: a dict, or a list of pairs.
fn labelled(given: &Bound<'_, PyAny>) -> PyResult<Vec<(String, f64)>> {
    const NAME: &str = "probabilities";
    let pair = |label: &Bound<'_, PyAny>, probability: &Bound<'_, PyAny>| {
        let label = values::text(NAME, label)?.into_owned();
        Ok((label, values::real(NAME, probability)?))
    };
    if let Ok(dict) = given.cast::<PyDict>() {
        return dict
            .iter()
            .map(|(label, probability)| pair(&label, &probability))
            .collect();
    }
    let advice = "give a dict such as {\"BUY\": 0.85}; a recorder takes arrays";
    let pairs = given.try_iter().map_err(|_| invalid(NAME, advice))?;
    pairs
        .map(|item| {
            let item = item?;
            let (label, probability) = item
                .extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
                .map_err(|_| invalid(NAME, advice))?;
            pair(&label, &probability)
        })
        .collect()
}

#[pymethods]
impl Journal {
    /// Records a decision with names as strings.
    ///
    /// `probabilities` is a dict from label to number. `features` is the input; without `keep=True`
    /// only its hash is stored. Further keywords: `confidence`, `checkpoint`, `processing_time` in
    /// seconds, `timer`, `memory` in bytes, `event_time`, `feature_hash`, `deterministic`,
    /// `sampled`, `propensity`, `action_vector`, `caused_by`, `correlation`, `episode`, `step`,
    /// `attributes`, `keep`, `keep_bytes`.
    ///
    /// Returns the decision's id, which means that it is queued; None if it was dropped and counted
    /// in `health()`, or if the journal is closed.
    ///
    /// Raises InvalidInputError for arguments that cannot be stored as they are.
    #[pyo3(signature = (model, symbol, action, *, probabilities=None, features=None, **more))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn log(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        symbol: &Bound<'_, PyAny>,
        action: &Bound<'_, PyAny>,
        probabilities: Option<&Bound<'_, PyAny>>,
        features: Option<&Bound<'_, PyAny>>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Option<u64>> {
        let model = values::text("model", model)?;
        let symbol = values::text("symbol", symbol)?;
        let action = values::text("action", action)?;
        let more = More::of(more, Names::InCall)?;
        let probabilities = probabilities.map(labelled).transpose()?.unwrap_or_default();
        let probabilities = probabilities.iter();
        let probabilities = probabilities.map(|(label, probability)| {
            let narrow = annals::record::Float::to_f32(*probability);
            (label.as_str(), narrow)
        });
        let probabilities: Vec<(&str, f32)> = probabilities.collect();
        let features = features.map(|given| Numbers::of("features", given, Shape::Any));
        let features = features.transpose()?.map(Numbers::copied);
        let attributes = borrowed(&more.attributes);
        let mut decision = Inference::new(&model, &symbol, &action)
            .probabilities(&probabilities)
            .attributes(&attributes);
        decision = match (features.as_ref().map(Numbers::slice), more.keep) {
            (None, _) => decision,
            (Some(Slice::F32(features)), false) => decision.features(features),
            (Some(Slice::F64(features)), false) => decision.features(features),
            (Some(Slice::F32(features)), true) => decision.keep_features(features),
            (Some(Slice::F64(features)), true) => decision.keep_features(features),
        };
        add_more!(decision, more);
        if let Some(checkpoint) = &more.checkpoint {
            decision = decision.checkpoint(checkpoint);
        }
        if let Some(bytes) = more.memory {
            decision = decision.memory(bytes);
        }
        if more.deterministic {
            decision = decision.deterministic();
        }
        let Some(journal) = self.handle.current(py)? else {
            return Ok(None);
        };
        let id = match self.handle.blocks() {
            true => py.detach(|| journal.log(decision)),
            false => journal.log(decision),
        };
        Ok(id.map(InferenceId::to_u64))
    }

    /// Prepares the decisions of one model about one symbol: names are bound once.
    ///
    /// `actions` are what the model chooses from, in the order of its outputs. `labels` name the
    /// probabilities where they are not the actions. `keep_inputs` is True to keep every input, n
    /// to keep about one in n, False to keep those of calls with `keep=True`.
    ///
    /// Raises InvalidInputError without actions, or for a name that is given twice; EndedError once
    /// the journal is closed.
    #[pyo3(signature = (model, symbol, actions, *, labels=None, checkpoint=None,
        deterministic=false, keep_inputs=None, feature_names=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn recorder(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        symbol: &Bound<'_, PyAny>,
        actions: &Bound<'_, PyAny>,
        labels: Option<&Bound<'_, PyAny>>,
        checkpoint: Option<&Bound<'_, PyAny>>,
        deterministic: bool,
        keep_inputs: Option<&Bound<'_, PyAny>>,
        feature_names: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Recorder> {
        let checkpoint = checkpoint
            .map(|id| values::text("checkpoint", id))
            .transpose()?;
        let settings = Settings {
            labels,
            checkpoint: checkpoint.map(std::borrow::Cow::into_owned),
            deterministic,
            keep_inputs,
            feature_names,
        };
        let model = values::text("model", model)?.into_owned();
        let symbol = values::text("symbol", symbol)?.into_owned();
        let actions = values::texts("actions", actions)?;
        Recorder::bind(py, &self.handle, model, symbol, actions, settings)
    }

    /// Measures a processing time: `with journal.timer() as timer: ...`, then
    /// `journal.log(..., timer=timer)`.
    fn timer(&self) -> Timer {
        Timer::new()
    }

    /// Records what became known after a decision. `id` is what `log` returned.
    ///
    /// Keywords: `reward` and `episode_reward` as numbers, `correct` as bool, `label` as str, `at`
    /// as time, `episode_end` as "terminated", "truncated" or "abandoned". Every other keyword is a
    /// number with that name. A later value replaces an earlier one of the same name.
    ///
    /// Returns whether it was queued; False for an id of None, and once the journal is closed.
    #[pyo3(signature = (id, /, **outcome))]
    fn outcome(
        &self,
        py: Python<'_>,
        id: &Bound<'_, PyAny>,
        outcome: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let given = outcome::Given::of(outcome)?;
        if id.is_none() {
            return Ok(false);
        }
        let id = values::inference_id("id", id)?;
        let journal = self.handle.current(py)?;
        Ok(journal.is_some_and(|journal| journal.attach_outcome(id, given.outcome())))
    }

    /// Records a system event: a message about the environment of the models, with fields.
    ///
    /// `level` is "trace", "debug", "info", "warn" or "error". Returns whether it was queued.
    #[pyo3(signature = (level, component, message, /, **fields))]
    fn event(
        &self,
        py: Python<'_>,
        level: &Bound<'_, PyAny>,
        component: &Bound<'_, PyAny>,
        message: &Bound<'_, PyAny>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let level = self::level(level)?;
        let component = values::text("component", component)?;
        let message = values::text("message", message)?;
        let fields = fields.map(|fields| values::named_values("fields", fields));
        let fields = fields.transpose()?.unwrap_or_default();
        let Some(journal) = self.handle.current(py)? else {
            return Ok(false);
        };
        Ok(journal.event_with(level, &component, message, fields))
    }

    /// Records that a condition holds, once until `clear_condition` ends it: "no checkpoints".
    ///
    /// Returns whether this call recorded it.
    #[pyo3(name = "raise_condition")]
    fn raise(
        &self,
        py: Python<'_>,
        level: &Bound<'_, PyAny>,
        component: &Bound<'_, PyAny>,
        condition: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let level = self::level(level)?;
        let component = values::text("component", component)?;
        let condition = values::text("condition", condition)?;
        let journal = self.handle.current(py)?;
        Ok(journal.is_some_and(|journal| journal.raise(level, &component, &condition)))
    }

    /// Records that a condition has ended. Returns whether this call recorded it.
    #[pyo3(name = "clear_condition")]
    fn clear(
        &self,
        py: Python<'_>,
        component: &Bound<'_, PyAny>,
        condition: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let component = values::text("component", component)?;
        let condition = values::text("condition", condition)?;
        let journal = self.handle.current(py)?;
        Ok(journal.is_some_and(|journal| journal.clear(&component, &condition)))
    }

    /// Records what happened to a checkpoint outside of the registry: "saved", "loaded",
    /// "activated", "deleted" or "failed". Returns whether it was queued.
    #[pyo3(signature = (action, model, checkpoint, detail=None))]
    fn checkpoint_event(
        &self,
        py: Python<'_>,
        action: &Bound<'_, PyAny>,
        model: &Bound<'_, PyAny>,
        checkpoint: &Bound<'_, PyAny>,
        detail: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let action: CheckpointAction = values::text("action", action)?.parse().or_raise()?;
        let model = values::text("model", model)?;
        let checkpoint = values::text("checkpoint", checkpoint)?;
        let detail = detail
            .map(|detail| values::text("detail", detail))
            .transpose()?;
        let detail = detail.unwrap_or_default();
        let Some(journal) = self.handle.current(py)? else {
            return Ok(false);
        };
        Ok(journal.checkpoint_event(action, &model, &checkpoint, &detail))
    }

    /// Waits until everything that was logged before is on disk and visible to readers.
    ///
    /// `timeout` is in seconds, by default 30. The interpreter runs meanwhile, and Ctrl-C works.
    ///
    /// Raises BusyError when time ran out: the flush may still come. Raises RefusedBySystemError
    /// without room on the device, EndedError once the journal is closed or its files are gone.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let patience = patience(timeout)?;
        let flush = self.handle.journal(py)?.flush();
        wait::for_flush(py, flush, "flush", patience)
    }

    /// Waits until everything that was logged before is on disk, without a commit: cheaper than
    /// `flush`, and readers may not see it yet. Raises the same errors.
    #[pyo3(signature = (timeout=None))]
    fn sync(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let patience = patience(timeout)?;
        let flush = self.handle.journal(py)?.sync();
        wait::for_flush(py, flush, "sync", patience)
    }

    /// How the journal is doing: counts of what was recorded and lost, and its threads, as a dict.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let health = self.handle.journal(py)?.health();
        values::serialized(py, &health)
    }

    /// The registry of checkpoints in this journal's directory.
    ///
    /// Raises UnsupportedError for a journal in memory.
    fn registry(&self, py: Python<'_>) -> PyResult<Registry> {
        Registry::of_journal(py, &self.handle)
    }

    /// Commits what is queued, and closes the journal. Closing it again does nothing.
    ///
    /// Waits for at most the option `close_timeout`, by default 5 s; then raises BusyError.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.close(py)
    }

    /// The directory; None in memory.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.handle.path().cloned()
    }

    /// Whether the journal was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// The journal's identity: 32 hexadecimal digits.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.handle.journal(py)?.id().to_string())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.handle.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let state = if self.handle.is_closed() {
            " (closed)"
        } else {
            ""
        };
        let path = match self.handle.path() {
            Some(path) => PyString::new(py, &path.to_string_lossy())
                .repr()?
                .to_string(),
            None => "in memory".to_owned(),
        };
        Ok(format!("<annals.Journal {path}{state}>"))
    }

    /// A reader of what is committed, on the same journal.
    fn reader<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::reader::of_journal(py, &*self.handle.journal(py)?)
    }

    /// The answer to a statement in SQLite's dialect; `annals.reading.Reader.sql` describes it.
    #[pyo3(signature = (statement, **options))]
    fn sql<'py>(
        &self,
        py: Python<'py>,
        statement: &str,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.reader(py)?.call_method("sql", (statement,), options)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Journal>()?;
    module.add_function(wrap_pyfunction!(open, module)?)?;
    module.add_function(wrap_pyfunction!(in_memory, module)?)
}
