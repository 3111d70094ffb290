//! The registry of checkpoints: saving, finding, loading, watching, aliases and retention.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals::registry::{CheckpointRetentionPlan, Fate, Metadata, NewCheckpoint, Watched};
use annals::{Mode, RetentionPolicy, Timestamp};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMemoryView, PyString};

use crate::checkpoint::Checkpoint;
use crate::errors::{ConflictError, InvalidInputError, OrRaise, RefusedBySystemError, invalid};
use crate::fork::Owned;
use crate::handle::Handle;
use crate::values;
use crate::wait;

/// Where a registry was opened, and where a forked child opens it again.
enum Place {
    Journal(Arc<Handle>),
    Directory(PathBuf),
}

/// The checkpoints of a directory: weights, metrics and metadata, and the best of them.
///
/// `Registry(path)` opens the registry of a journal's directory without recording there.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Registry {
    place: Place,
    /// Nobody who holds the lock runs Python's code or lets go of the interpreter.
    state: Mutex<Owned<annals::Registry>>,
}

/// The facts about a new checkpoint.
#[derive(Default)]
struct Facts {
    metrics: Vec<(String, f64)>,
    metadata: Vec<(String, Metadata)>,
    tags: Vec<String>,
    step: Option<u64>,
    epoch: Option<u64>,
    parent: Option<String>,
    model_type: Option<String>,
    extension: Option<String>,
    created: Option<Timestamp>,
}

impl Facts {
    fn of(given: Option<&Bound<'_, PyDict>>) -> PyResult<Facts> {
        let mut facts = Facts::default();
        for (key, item) in given.into_iter().flatten() {
            if item.is_none() {
                continue;
            }
            let key = values::text("keyword", &key)?;
            let text = || values::text(&key, &item).map(std::borrow::Cow::into_owned);
            match &*key {
                "metrics" => {
                    for (name, value) in values::as_dict(&key, &item)?.iter() {
                        let name = values::text(&key, &name)?.into_owned();
                        let value = values::real(&name, &value)?;
                        facts.metrics.push((name, value));
                    }
                }
                "metadata" => {
                    for (name, value) in values::as_dict(&key, &item)?.iter() {
                        let name = values::text(&key, &name)?.into_owned();
                        let value = values::json(&name, &value)?;
                        let value = serde_json::from_value::<Metadata>(value)
                            .map_err(|error| invalid(&name, error))?;
                        facts.metadata.push((name, value));
                    }
                }
                "tags" => facts.tags = values::texts(&key, &item)?,
                "step" => facts.step = Some(values::count(&key, &item)?),
                "epoch" => facts.epoch = Some(values::count(&key, &item)?),
                "parent" => facts.parent = Some(checkpoint_id(&key, &item)?),
                "model_type" => facts.model_type = Some(text()?),
                "extension" => facts.extension = Some(text()?),
                "created" => facts.created = Some(values::timestamp(&key, &item)?),
                _ => {
                    let message = format!("save() got an unexpected keyword argument '{key}'");
                    return Err(PyTypeError::new_err(message));
                }
            }
        }
        Ok(facts)
    }

    fn add_to<'r>(
        self,
        mut new: NewCheckpoint<'r>,
        extension: Option<String>,
    ) -> NewCheckpoint<'r> {
        new = new.metrics(self.metrics);
        for (name, value) in self.metadata {
            new = new.metadata(name, value);
        }
        for tag in self.tags {
            new = new.tag(tag);
        }
        if let Some(step) = self.step {
            new = new.step(step);
        }
        if let Some(epoch) = self.epoch {
            new = new.epoch(epoch);
        }
        if let Some(parent) = self.parent {
            new = new.parent(parent);
        }
        if let Some(model_type) = self.model_type {
            new = new.model_type(model_type);
        }
        if let Some(extension) = self.extension.or(extension) {
            new = new.extension(extension);
        }
        if let Some(created) = self.created {
            new = new.created(created);
        }
        new
    }
}

/// An id, from a checkpoint or a text.
fn checkpoint_id(name: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(checkpoint) = given.cast::<Checkpoint>() {
        return Ok(checkpoint.get().checkpoint.id().to_owned());
    }
    values::text(name, given).map(std::borrow::Cow::into_owned)
}

fn name(what: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    values::text(what, given).map(std::borrow::Cow::into_owned)
}

fn mode(given: &Bound<'_, PyAny>) -> PyResult<Mode> {
    values::text("mode", given)?.parse().or_raise()
}

fn list<'py>(py: Python<'py>, found: Vec<annals::Checkpoint>) -> PyResult<Bound<'py, PyList>> {
    let found = found
        .into_iter()
        .map(|one| Bound::new(py, Checkpoint::from(one)));
    PyList::new(py, found.collect::<PyResult<Vec<_>>>()?)
}

/// Weights as they are given to `save`.
enum Weights<'py> {
    Bytes(Bound<'py, PyBytes>),
    File(PathBuf),
    /// Tensors, as safetensors.
    State(Bound<'py, PyBytes>),
}

fn weights<'py>(given: &Bound<'py, PyAny>) -> PyResult<Weights<'py>> {
    let py = given.py();
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Weights::Bytes(bytes.clone()));
    }
    if given.is_instance_of::<PyByteArray>() || given.is_instance_of::<PyMemoryView>() {
        let bytes = py.get_type::<PyBytes>().call1((given,))?;
        return Ok(Weights::Bytes(bytes.cast_into::<PyBytes>()?));
    }
    if given.is_instance_of::<PyString>() || given.hasattr("__fspath__")? {
        return given.extract().map(Weights::File);
    }
    let state = py
        .import("annals.weights")?
        .call_method1("to_safetensors", (given,))?;
    Ok(Weights::State(state.cast_into::<PyBytes>()?))
}

impl Registry {
    /// The registry of an open journal.
    pub(crate) fn of_journal(py: Python<'_>, handle: &Arc<Handle>) -> PyResult<Registry> {
        Registry::at(py, Place::Journal(handle.clone()))
    }

    fn at(py: Python<'_>, place: Place) -> PyResult<Registry> {
        let registry = Registry::opened(py, &place)?;
        Ok(Registry {
            place,
            state: Mutex::new(Owned::new(registry)),
        })
    }

    fn opened(py: Python<'_>, place: &Place) -> PyResult<annals::Registry> {
        match place {
            Place::Journal(handle) => {
                let journal = handle.journal(py)?;
                wait::interruptible(py, move || journal.registry())
            }
            Place::Directory(path) => {
                let path = path.clone();
                wait::interruptible(py, move || annals::Registry::open(path))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Owned<annals::Registry>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry of this process, opened anew in a forked child.
    fn current(&self, py: Python<'_>) -> PyResult<annals::Registry> {
        if let Some(registry) = self.lock().get() {
            return Ok(registry.clone());
        }
        let registry = Registry::opened(py, &self.place)?;
        *self.lock() = Owned::new(registry.clone());
        Ok(registry)
    }

    /// Asks the registry, without the interpreter's lock.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&annals::Registry) -> annals::Result<T> + Send,
    ) -> PyResult<T> {
        let registry = self.current(py)?;
        py.detach(|| ask(&registry)).or_raise()
    }

    /// The same for one checkpoint that there may be.
    fn ask_one(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&annals::Registry) -> annals::Result<Option<annals::Checkpoint>> + Send,
    ) -> PyResult<Option<Checkpoint>> {
        Ok(self.ask(py, ask)?.map(Checkpoint::from))
    }
}

#[pymethods]
impl Registry {
    /// Opens the registry in a journal's directory, and creates it where there is none.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Registry> {
        Registry::at(py, Place::Directory(path))
    }

    /// Saves weights as a new checkpoint, durable when it returns: some five fsyncs.
    ///
    /// `weights` is bytes, the path of a file that is copied, an object with `state_dict` such as
    /// a torch module, or a dict of arrays or tensors. The last two are stored as safetensors.
    /// Keywords: `metrics`, `metadata`, `tags`, `step`, `epoch`, `parent`, `model_type`,
    /// `extension`, `created`.
    ///
    /// Raises RefusedBySystemError if the weights cannot be written: then nothing is left of them.
    #[pyo3(signature = (model, weights, **facts))]
    fn save(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
        facts: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Checkpoint> {
        let (model, facts) = (name("model", model)?, Facts::of(facts)?);
        let weights = self::weights(weights)?;
        let saved = match &weights {
            Weights::Bytes(bytes) => {
                let bytes = bytes.as_bytes();
                self.ask(py, |registry| {
                    facts.add_to(registry.checkpoint(model), None).save(bytes)
                })
            }
            Weights::State(bytes) => {
                let (bytes, extension) = (bytes.as_bytes(), Some("safetensors".to_owned()));
                self.ask(py, |registry| {
                    facts
                        .add_to(registry.checkpoint(model), extension)
                        .save(bytes)
                })
            }
            Weights::File(path) => {
                // Without the interpreter's lock: the file may be a pipe, or far away.
                let file = py.detach(|| File::open(path)).map_err(|error| {
                    let message = format!("{} could not be opened: {error}", path.display());
                    RefusedBySystemError::new_err(message)
                })?;
                let extension = path.extension().and_then(|extension| extension.to_str());
                let extension = extension.map(str::to_owned);
                self.ask(py, |registry| {
                    facts
                        .add_to(registry.checkpoint(model), extension)
                        .save_from(file)
                })
            }
        };
        saved.map(Checkpoint::from)
    }

    /// Registers weights that stay where they are. The registry reads and never deletes them.
    /// Keywords as of `save`.
    #[pyo3(signature = (model, path, **facts))]
    fn register(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        path: PathBuf,
        facts: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Checkpoint> {
        let (model, facts) = (name("model", model)?, Facts::of(facts)?);
        let registered = self.ask(py, |registry| {
            facts
                .add_to(registry.checkpoint(model), None)
                .register(path)
        });
        registered.map(Checkpoint::from)
    }

    /// The weights of a checkpoint as bytes, after a look at their digest.
    ///
    /// Raises NotFoundError for an unknown id and for weights that are gone, DamagedError if they
    /// differ from the saved ones.
    fn load<'py>(&self, py: Python<'py>, id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let id = checkpoint_id("id", id)?;
        let bytes = self.ask(py, |registry| registry.load(&id)?.into_bytes())?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The tensors of a checkpoint in safetensors: a dict from name to numpy array.
    ///
    /// Raises the errors of `load`. Needs the packages numpy and safetensors.
    fn load_arrays<'py>(
        &self,
        py: Python<'py>,
        id: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = self.load(py, id)?;
        py.import("annals.weights")?
            .call_method1("from_safetensors", (bytes,))
    }

    /// The best checkpoint by the model's monitor, or by a metric and a mode ("min" or "max").
    /// None without any.
    #[pyo3(signature = (model, metric=None, mode=None))]
    fn best(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        metric: Option<&Bound<'_, PyAny>>,
        mode: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Checkpoint>> {
        let model = name("model", model)?;
        match (metric, mode) {
            (None, None) => self.ask_one(py, |registry| registry.best(&model)),
            (Some(metric), Some(mode)) => {
                let (metric, mode) = (name("metric", metric)?, self::mode(mode)?);
                self.ask_one(py, |registry| registry.best_by(&model, &metric, mode))
            }
            _ => Err(invalid(
                "metric",
                "give metric and mode together, or neither",
            )),
        }
    }

    /// The `k` best checkpoints by a metric, best first.
    fn top_k<'py>(
        &self,
        py: Python<'py>,
        model: &Bound<'_, PyAny>,
        metric: &Bound<'_, PyAny>,
        mode: &Bound<'_, PyAny>,
        k: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let (model, metric) = (name("model", model)?, name("metric", metric)?);
        let mode = self::mode(mode)?;
        list(
            py,
            self.ask(py, |registry| registry.top_k(&model, &metric, mode, k))?,
        )
    }

    /// The active checkpoint: the one that the alias "active" points at. None without one.
    fn active(&self, py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<Option<Checkpoint>> {
        let model = name("model", model)?;
        self.ask_one(py, |registry| registry.active(&model))
    }

    /// The newest checkpoint. None without any.
    fn latest(&self, py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<Option<Checkpoint>> {
        let model = name("model", model)?;
        self.ask_one(py, |registry| registry.latest(&model))
    }

    /// The checkpoint with this id. None if there is none.
    fn get(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<Option<Checkpoint>> {
        let id = checkpoint_id("id", id)?;
        self.ask_one(py, |registry| registry.get(&id))
    }

    /// A model's checkpoints, newest first.
    ///
    /// `tag` and `alias` select, `since` and `until` are times of creation, `steps` is a pair of
    /// the first step and the one behind the last.
    #[pyo3(signature = (model, *, tag=None, alias=None, since=None, until=None, steps=None,
        limit=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn list<'py>(
        &self,
        py: Python<'py>,
        model: &Bound<'_, PyAny>,
        tag: Option<&Bound<'_, PyAny>>,
        alias: Option<&Bound<'_, PyAny>>,
        since: Option<&Bound<'_, PyAny>>,
        until: Option<&Bound<'_, PyAny>>,
        steps: Option<(u64, u64)>,
        limit: Option<usize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let registry = self.current(py)?;
        let mut query = registry.list(name("model", model)?);
        if let Some(tag) = tag {
            query = query.tag(name("tag", tag)?);
        }
        if let Some(alias) = alias {
            query = query.alias(name("alias", alias)?);
        }
        if let Some(since) = since {
            query = query.since(values::timestamp("since", since)?);
        }
        if let Some(until) = until {
            query = query.until(values::timestamp("until", until)?);
        }
        if let Some((first, behind)) = steps {
            query = query.steps(first..behind);
        }
        if let Some(limit) = limit {
            query = query.limit(limit);
        }
        list(py, py.detach(|| query.get()).or_raise()?)
    }

    /// The names of all models.
    fn models(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.ask(py, annals::Registry::models)
    }

    /// The metrics that a model's checkpoints have.
    fn metrics(&self, py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        let model = name("model", model)?;
        self.ask(py, |registry| registry.metrics(&model))
    }

    /// The metric and mode that rank a model's checkpoints. None if none is set.
    fn monitor(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
    ) -> PyResult<Option<(String, String)>> {
        let model = name("model", model)?;
        let monitor = self.ask(py, |registry| registry.monitor(&model))?;
        Ok(monitor.map(|(metric, mode)| (metric, mode.to_string())))
    }

    /// Sets the metric that ranks a model's checkpoints, with the mode "min" or "max".
    fn set_monitor(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        metric: &Bound<'_, PyAny>,
        mode: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (model, metric) = (name("model", model)?, name("metric", metric)?);
        let mode = self::mode(mode)?;
        self.ask(py, |registry| registry.set_monitor(&model, &metric, mode))
    }

    /// The checkpoint that an alias points at. None if it points nowhere.
    fn alias(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        alias: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Checkpoint>> {
        let (model, alias) = (name("model", model)?, name("alias", alias)?);
        self.ask_one(py, |registry| registry.alias(&model, &alias))
    }

    /// A model's aliases: a dict from alias to id.
    fn aliases<'py>(
        &self,
        py: Python<'py>,
        model: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let model = name("model", model)?;
        let dict = PyDict::new(py);
        for (alias, id) in self.ask(py, |registry| registry.aliases(&model))? {
            dict.set_item(alias, id)?;
        }
        Ok(dict)
    }

    /// Points an alias of the checkpoint's model at it.
    fn set_alias(
        &self,
        py: Python<'_>,
        alias: &Bound<'_, PyAny>,
        id: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (alias, id) = (name("alias", alias)?, checkpoint_id("id", id)?);
        self.ask(py, |registry| registry.set_alias(&alias, &id))
    }

    /// Removes an alias. Returns whether it was there.
    fn remove_alias(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        alias: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (model, alias) = (name("model", model)?, name("alias", alias)?);
        self.ask(py, |registry| registry.remove_alias(&model, &alias))
    }

    /// Points an alias at where it pointed before, and returns that checkpoint.
    fn rollback(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        alias: &Bound<'_, PyAny>,
    ) -> PyResult<Checkpoint> {
        let (model, alias) = (name("model", model)?, name("alias", alias)?);
        let before = self.ask(py, |registry| registry.rollback(&model, &alias));
        before.map(Checkpoint::from)
    }

    /// Makes a checkpoint the active one of its model.
    fn activate(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<()> {
        let id = checkpoint_id("id", id)?;
        self.ask(py, |registry| registry.activate(&id))
    }

    /// Adds a tag to a checkpoint.
    fn tag(&self, py: Python<'_>, id: &Bound<'_, PyAny>, tag: &Bound<'_, PyAny>) -> PyResult<()> {
        let (id, tag) = (checkpoint_id("id", id)?, name("tag", tag)?);
        self.ask(py, |registry| registry.tag(&id, &tag))
    }

    /// Removes a tag from a checkpoint.
    fn untag(&self, py: Python<'_>, id: &Bound<'_, PyAny>, tag: &Bound<'_, PyAny>) -> PyResult<()> {
        let (id, tag) = (checkpoint_id("id", id)?, name("tag", tag)?);
        self.ask(py, |registry| registry.untag(&id, &tag))
    }

    /// Keeps retention from deleting a checkpoint.
    fn pin(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<()> {
        let id = checkpoint_id("id", id)?;
        self.ask(py, |registry| registry.pin(&id))
    }

    /// Ends a pin.
    fn unpin(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<()> {
        let id = checkpoint_id("id", id)?;
        self.ask(py, |registry| registry.unpin(&id))
    }

    /// Deletes a checkpoint and its weights. `why` stays on record.
    ///
    /// Raises ConflictError for one that is pinned or has an alias.
    fn delete(
        &self,
        py: Python<'_>,
        id: &Bound<'_, PyAny>,
        why: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (id, why) = (checkpoint_id("id", id)?, name("why", why)?);
        self.ask(py, |registry| registry.delete(&id, &why))
    }

    /// The checkpoint and those that it was trained from, the newest first.
    fn lineage<'py>(&self, py: Python<'py>, id: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let id = checkpoint_id("id", id)?;
        list(py, self.ask(py, |registry| registry.lineage(&id))?)
    }

    /// Compares entries with files, and returns what was found, as a dict. With `contents` every
    /// digest is computed: that reads all weights.
    #[pyo3(signature = (*, contents=false))]
    fn reconcile<'py>(&self, py: Python<'py>, contents: bool) -> PyResult<Bound<'py, PyAny>> {
        let report = self.ask(py, |registry| match contents {
            true => registry.reconcile_contents(),
            false => registry.reconcile(),
        })?;
        values::serialized(py, &report)
    }

    /// A retention policy for checkpoints: `plan()` lists what it would delete, and why.
    ///
    /// Rules: `max_age` such as "30d", `max_bytes` such as "10GB", `max_count`, `keep_latest`,
    /// `keep_best` as a list of "3:val_loss:min", `keep_every_steps`, `keep_tagged` as a list,
    /// `trust_clock`. A checkpoint goes if it exceeds a limit and no keep rule holds it.
    #[pyo3(signature = (model=None, **rules))]
    fn retention(
        slf: &Bound<'_, Self>,
        model: Option<&Bound<'_, PyAny>>,
        rules: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Retention> {
        let rules = match rules {
            None => serde_json::Value::Object(serde_json::Map::new()),
            Some(rules) => values::json("rules", rules)?,
        };
        let policy = serde_json::from_value::<RetentionPolicy>(rules)
            .map_err(|error| InvalidInputError::new_err(format!("a rule of retention: {error}")))?;
        Ok(Retention {
            registry: slf.clone().unbind(),
            model: model.map(|model| name("model", model)).transpose()?,
            policy,
        })
    }

    /// Keeps a model's "best" or "latest" checkpoint, or that of an alias, up to date, so that a
    /// loop may ask at every tick. A change by another process is seen within 0.2 s.
    #[pyo3(signature = (model, what=None))]
    fn watch(
        slf: &Bound<'_, Self>,
        model: &Bound<'_, PyAny>,
        what: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Watch> {
        let what = what.map(|what| name("what", what)).transpose()?;
        let what = match what.as_deref() {
            None | Some("best") => Watched::Best,
            Some("latest") => Watched::Latest,
            Some(alias) => Watched::Alias(alias.to_owned()),
        };
        let model = name("model", model)?;
        let (py, registry) = (slf.py(), slf.get());
        let watch = registry.ask(py, |registry| registry.watch(&model, what.clone()))?;
        Ok(Watch {
            registry: slf.clone().unbind(),
            model,
            what,
            state: Mutex::new(Owned::new(watch)),
        })
    }

    /// The directory of the weights.
    #[getter]
    fn path(&self, py: Python<'_>) -> PyResult<PathBuf> {
        Ok(self.current(py)?.path().to_owned())
    }

    fn __repr__(&self) -> String {
        let path = match &self.place {
            Place::Journal(handle) => handle.path(),
            Place::Directory(path) => Some(path),
        };
        let path = path.map_or_else(String::new, |path| path.display().to_string());
        format!("<annals.Registry {path:?}>")
    }
}

/// A retention policy for checkpoints; from `Registry.retention`.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Retention {
    registry: Py<Registry>,
    model: Option<String>,
    policy: RetentionPolicy,
}

#[pymethods]
impl Retention {
    /// What would be deleted now, and why each checkpoint stays or goes. Deletes nothing.
    fn plan(&self, py: Python<'_>) -> PyResult<RetentionPlan> {
        let (policy, model) = (self.policy.clone(), self.model.clone());
        let plan = self.registry.get().ask(py, |registry| {
            let retention = registry.retention(policy);
            match model {
                Some(model) => retention.model(model).plan(),
                None => retention.plan(),
            }
        })?;
        Ok(RetentionPlan {
            plan: Mutex::new(Some(plan)),
        })
    }

    fn __repr__(&self) -> String {
        format!("<annals.Retention {}>", self.policy)
    }
}

/// What a retention policy would delete; from `Retention.plan`.
#[pyclass(frozen, module = "annals")]
pub(crate) struct RetentionPlan {
    /// `None` once it was applied. Nobody who holds the lock lets go of the interpreter.
    plan: Mutex<Option<CheckpointRetentionPlan>>,
}

impl RetentionPlan {
    fn with<T>(&self, look: impl FnOnce(&CheckpointRetentionPlan) -> T) -> PyResult<T> {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.as_ref().map(look).ok_or_else(applied)
    }
}

fn applied() -> PyErr {
    ConflictError::new_err("the plan was applied; make another one")
}

#[pymethods]
impl RetentionPlan {
    /// For every checkpoint the id, whether it is deleted, and the reason.
    #[getter]
    fn lines(&self) -> PyResult<Vec<(String, bool, String)>> {
        self.with(|plan| {
            let lines = plan.lines().iter().map(|line| {
                let is_deleted = line.fate == Fate::Delete;
                (
                    line.checkpoint.id().to_owned(),
                    is_deleted,
                    line.reason.clone(),
                )
            });
            lines.collect()
        })
    }

    /// The checkpoints that would be deleted.
    #[getter]
    fn deletions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list(py, self.with(|plan| plan.deletions().cloned().collect())?)
    }

    /// Bytes of weights that would be freed.
    #[getter]
    fn bytes(&self) -> PyResult<u64> {
        self.with(CheckpointRetentionPlan::bytes)
    }

    /// Models whose checkpoints all stay because a rule names what they do not have.
    #[getter]
    fn held_back(&self) -> PyResult<Vec<String>> {
        self.with(|plan| plan.held_back().to_vec())
    }

    /// Deletes exactly what the plan lists, and returns the ids.
    ///
    /// Raises ConflictError if the registry has changed since, before anything outside of the plan
    /// is deleted.
    fn apply(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let plan = self
            .plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let plan = plan.ok_or_else(applied)?;
        py.detach(|| plan.apply())
            .or_raise()
            .map(|report| report.deleted)
    }

    fn __repr__(&self) -> String {
        match self.with(|plan| (plan.deletions().count(), plan.bytes())) {
            Ok((count, bytes)) => {
                format!("<annals.RetentionPlan deletes {count} checkpoints, {bytes} bytes>")
            }
            Err(_) => "<annals.RetentionPlan (applied)>".to_owned(),
        }
    }
}

/// A model's best, newest or aliased checkpoint, kept up to date; from `Registry.watch`.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Watch {
    registry: Py<Registry>,
    model: String,
    what: Watched,
    state: Mutex<Owned<annals::registry::Watch>>,
}

impl Watch {
    fn with<T>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&mut annals::registry::Watch) -> T,
    ) -> PyResult<T> {
        if let Some(watch) = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut()
        {
            return Ok(ask(watch));
        }
        let (model, what) = (&self.model, self.what.clone());
        let registry = self.registry.get();
        let mut watch = registry.ask(py, |registry| registry.watch(model, what))?;
        let answer = ask(&mut watch);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Owned::new(watch);
        Ok(answer)
    }
}

#[pymethods]
impl Watch {
    /// The checkpoint as of now; None while there is none.
    fn current(&self, py: Python<'_>) -> PyResult<Option<Checkpoint>> {
        self.with(py, |watch| watch.current().map(Checkpoint::from))
    }

    /// The checkpoint, if it is another one than when this was last asked; the first time, if there
    /// is one.
    fn changed(&self, py: Python<'_>) -> PyResult<Option<Checkpoint>> {
        self.with(py, |watch| watch.changed().map(Checkpoint::from))
    }

    fn __repr__(&self) -> String {
        format!("<annals.Watch {} {:?}>", self.model, self.what)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Registry>()?;
    module.add_class::<Retention>()?;
    module.add_class::<RetentionPlan>()?;
    module.add_class::<Watch>()
}
