//! The prepared way to log: names bound once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals::InferenceId;
use annals::record::{KeepInputs, Prepared};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::decision::{More, Names, add_more, borrowed};
use crate::episode::Episode;
use crate::errors::{OrRaise, invalid};
use crate::features::{Numbers, Shape, Slice};
use crate::fork::Owned;
use crate::handle::Handle;
use crate::outcome;
use crate::timer::Timer;
use crate::values;

/// The names of a recorder, by which a forked child makes it anew.
#[derive(Clone)]
struct BoundNames {
    model: String,
    symbol: String,
    checkpoint: Option<String>,
    actions: Vec<String>,
    labels: Option<Vec<String>>,
    deterministic: bool,
    keep_inputs: KeepInputs,
    feature_names: Vec<String>,
}

impl BoundNames {
    fn bind(&self, journal: &annals::Journal) -> annals::Result<annals::Recorder> {
        let mut builder = journal
            .recorder(&self.model, &self.symbol)
            .actions(&self.actions)
            .keep_inputs(self.keep_inputs)
            .feature_names(&self.feature_names);
        if let Some(labels) = &self.labels {
            builder = builder.labels(labels);
        }
        if let Some(checkpoint) = &self.checkpoint {
            builder = builder.checkpoint(checkpoint);
        }
        if self.deterministic {
            builder = builder.deterministic();
        }
        builder.build()
    }
}

/// What one call of `log` gives, apart from the action.
pub(crate) struct Call<'py> {
    probabilities: Option<Numbers<'py>>,
    features: Option<Numbers<'py>>,
    more: Option<More>,
    took: Option<Duration>,
}

impl<'py> Call<'py> {
    /// Reads the arguments: for each label a probability, or none at all.
    #[inline]
    pub(crate) fn of(
        labels: usize,
        probabilities: Option<&Bound<'py, PyAny>>,
        features: Option<&Bound<'py, PyAny>>,
        timer: Option<&Bound<'py, Timer>>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        let numbers = |name, given: Option<&Bound<'py, PyAny>>, shape| {
            given
                .map(|given| Numbers::of(name, given, shape))
                .transpose()
        };
        let call = Call {
            probabilities: numbers("probabilities", probabilities, Shape::Row)?,
            features: numbers("features", features, Shape::Any)?,
            took: timer.map(|timer| timer.get().elapsed()),
            more: match more {
                None => None,
                Some(more) => Some(More::of(Some(more), Names::Bound)?),
            },
        };
        let given = call
            .probabilities
            .as_ref()
            .map_or(0, |numbers| numbers.slice().len());
        if given != 0 && given != labels {
            let message = format!("{given} of them for {labels} actions or labels");
            return Err(invalid("probabilities", message));
        }
        Ok(call)
    }

    /// Its parts as the library takes them.
    #[inline]
    fn parts(&self) -> Parts<'_> {
        Parts {
            probabilities: self.probabilities.as_ref().map(Numbers::to_f32),
            features: self.features.as_ref().map(Numbers::slice),
            more: self.more.as_ref(),
            took: self.took,
        }
    }

    /// Adds everything to a decision, and records it.
    #[inline]
    pub(crate) fn record(&self, decision: Prepared<'_>) -> Option<InferenceId> {
        self.parts().record(decision)
    }

    /// The same without the interpreter's lock: the call may wait for room.
    #[cold]
    pub(crate) fn record_waiting(
        self,
        py: Python<'_>,
        record: impl FnOnce(&Parts<'_>) -> Option<InferenceId> + Send,
    ) -> Option<InferenceId> {
        // Copied: another thread may write to an array meanwhile.
        let copied = Call {
            probabilities: self.probabilities.map(Numbers::copied),
            features: self.features.map(Numbers::copied),
            more: self.more,
            took: self.took,
        };
        let parts = copied.parts();
        py.detach(|| record(&parts))
    }
}

/// The parts of a call, without anything of Python.
pub(crate) struct Parts<'a> {
    probabilities: Option<Cow<'a, [f32]>>,
    features: Option<Slice<'a>>,
    more: Option<&'a More>,
    took: Option<Duration>,
}

impl Parts<'_> {
    /// Adds everything to a decision, and records it.
    #[inline]
    pub(crate) fn record(&self, mut decision: Prepared<'_>) -> Option<InferenceId> {
        if let Some(took) = self.took {
            decision = decision.processing_time(took);
        }
        let probabilities = self.probabilities.as_deref().unwrap_or_default();
        if let Some(more) = self.more {
            return self.record_more(decision, probabilities, more);
        }
        let decision = decision.probabilities(probabilities);
        match self.features {
            None => decision.log(),
            Some(Slice::F32(features)) => decision.features(features).log(),
            Some(Slice::F64(features)) => decision.features(features).log(),
        }
    }

    #[inline(never)]
    fn record_more(
        &self,
        decision: Prepared<'_>,
        probabilities: &[f32],
        more: &More,
    ) -> Option<InferenceId> {
        let attributes = borrowed(&more.attributes);
        let decision = decision.probabilities(probabilities);
        let mut decision = decision.attributes(&attributes);
        decision = match (self.features, more.keep) {
            (None, _) => decision,
            (Some(Slice::F32(features)), false) => decision.features(features),
            (Some(Slice::F64(features)), false) => decision.features(features),
            (Some(Slice::F32(features)), true) => decision.keep_features(features),
            (Some(Slice::F64(features)), true) => decision.keep_features(features),
        };
        add_more!(decision, more);
        decision.log()
    }
}

/// Records the decisions of one model about one symbol, with names that are bound once.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Recorder {
    handle: Arc<Handle>,
    /// Nobody who holds this lock runs Python's code or lets go of the interpreter.
    state: Mutex<State>,
    actions: HashMap<String, usize>,
    labels: usize,
}

struct State {
    names: BoundNames,
    recorder: Owned<annals::Recorder>,
}

impl Recorder {
    pub(crate) fn bind(
        py: Python<'_>,
        handle: &Arc<Handle>,
        model: String,
        symbol: String,
        actions: Vec<String>,
        given: Settings<'_, '_>,
    ) -> PyResult<Recorder> {
        let labels = given
            .labels
            .map(|labels| values::texts("labels", labels))
            .transpose()?;
        let names = BoundNames {
            model,
            symbol,
            checkpoint: given.checkpoint,
            labels,
            deterministic: given.deterministic,
            keep_inputs: keep_inputs(given.keep_inputs)?,
            feature_names: match given.feature_names {
                None => Vec::new(),
                Some(names) => values::texts("feature_names", names)?,
            },
            actions,
        };
        let recorder = names.bind(&*handle.journal(py)?).or_raise()?;
        Ok(Recorder {
            handle: handle.clone(),
            actions: names.actions.iter().cloned().zip(0..).collect(),
            labels: names.labels.as_ref().unwrap_or(&names.actions).len(),
            state: Mutex::new(State {
                names,
                recorder: Owned::new(recorder),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of an action that is given as index or as name.
    #[inline]
    pub(crate) fn action(&self, given: &Bound<'_, PyAny>) -> PyResult<usize> {
        let index = match given.extract::<usize>() {
            Ok(index) if !given.is_instance_of::<PyBool>() => Some(index),
            _ if given.is_instance_of::<PyString>() => {
                self.actions.get(&*values::text("action", given)?).copied()
            }
            _ => None,
        };
        index
            .filter(|index| *index < self.actions.len())
            .ok_or_else(|| self.no_action(given))
    }

    #[cold]
    fn no_action(&self, given: &Bound<'_, PyAny>) -> PyErr {
        let given = given
            .repr()
            .map_or_else(|_| "it".to_owned(), |text| text.to_string());
        let most = self.actions.len();
        invalid(
            "action",
            format!("{given} is none of the {most} actions: give an index or a name"),
        )
    }

    /// Reads the arguments of a call.
    #[inline]
    pub(crate) fn call<'py>(
        &self,
        probabilities: Option<&Bound<'py, PyAny>>,
        features: Option<&Bound<'py, PyAny>>,
        timer: Option<&Bound<'py, Timer>>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Call<'py>> {
        Call::of(self.labels, probabilities, features, timer, more)
    }

    /// Makes the recorder of a forked child, where there is need.
    fn renew(&self, py: Python<'_>) -> PyResult<()> {
        if self.lock().recorder.is_ours() {
            return Ok(());
        }
        let journal = self.handle.current(py)?;
        let mut state = self.lock();
        let recorder = match journal {
            Some(journal) => state.names.bind(&journal).or_raise()?,
            None => annals::Recorder::disabled(),
        };
        state.recorder = Owned::new(recorder);
        Ok(())
    }

    /// A copy of the library's recorder, which costs three reference counts.
    pub(crate) fn current(&self, py: Python<'_>) -> PyResult<annals::Recorder> {
        self.renew(py)?;
        let recorder = self.lock().recorder.get().cloned();
        Ok(recorder.unwrap_or_else(annals::Recorder::disabled))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Settings of a recorder that are seldom given.
pub(crate) struct Settings<'a, 'py> {
    pub(crate) labels: Option<&'a Bound<'py, PyAny>>,
    pub(crate) checkpoint: Option<String>,
    pub(crate) deterministic: bool,
    pub(crate) keep_inputs: Option<&'a Bound<'py, PyAny>>,
    pub(crate) feature_names: Option<&'a Bound<'py, PyAny>>,
}

/// Which inputs are kept: True for all, False for those that a call asks for, n for one in n.
fn keep_inputs(given: Option<&Bound<'_, PyAny>>) -> PyResult<KeepInputs> {
    let Some(given) = given else {
        return Ok(KeepInputs::Asked);
    };
    if let Ok(flag) = given.cast::<PyBool>() {
        return Ok(match flag.is_true() {
            true => KeepInputs::Always,
            false => KeepInputs::Asked,
        });
    }
    let one_in = given.extract::<u32>().map_err(|_| {
        let kind = values::kind_of(given);
        invalid(
            "keep_inputs",
            format!("expected True, False or an int, got {kind}"),
        )
    })?;
    Ok(KeepInputs::OneIn(one_in))
}

#[pymethods]
impl Recorder {
    /// Records a decision. `action` is an index or a name of the bound actions.
    ///
    /// `probabilities` has one number for each action or label, `features` is the input: numpy
    /// arrays of float32 or float64, or lists. Of features that are kept nowhere, only the hash is
    /// stored. The confidence is the probability of the action, the event time is now.
    ///
    /// Returns the decision's id, which means that it is queued; None if it was dropped and counted
    /// in `health()`. Never waits for the disk.
    ///
    /// Raises InvalidInputError for arguments that cannot be stored as they are.
    #[pyo3(signature = (action, probabilities=None, features=None, timer=None, **more))]
    #[pyo3(
        text_signature = "($self, action, probabilities=None, features=None, timer=None, **more)"
    )]
    fn log(
        &self,
        py: Python<'_>,
        action: &Bound<'_, PyAny>,
        probabilities: Option<&Bound<'_, PyAny>>,
        features: Option<&Bound<'_, PyAny>>,
        timer: Option<&Bound<'_, Timer>>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Option<u64>> {
        let action = self.action(action)?;
        let call = self.call(probabilities, features, timer, more)?;
        if self.handle.blocks() {
            let recorder = self.current(py)?;
            let record = |parts: &Parts<'_>| parts.record(recorder.inference(action));
            return Ok(call.record_waiting(py, record).map(InferenceId::to_u64));
        }
        let state = self.lock();
        if let Some(recorder) = state.recorder.get() {
            return Ok(call
                .record(recorder.inference(action))
                .map(InferenceId::to_u64));
        }
        drop(state);
        let recorder = self.current(py)?;
        Ok(call
            .record(recorder.inference(action))
            .map(InferenceId::to_u64))
    }

    /// Measures the processing time of a decision: `with recorder.timer() as timer: ...`, then
    /// `recorder.log(..., timer=timer)`.
    fn timer(&self) -> Timer {
        Timer::new()
    }

    /// Records what became known after a decision; see `Journal.outcome`.
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
        Ok(self.current(py)?.attach_outcome(id, given.outcome()))
    }

    /// Begins an episode: a context manager whose decisions are numbered steps.
    ///
    /// The block's end ends the episode as terminated, and an exception as abandoned, unless
    /// `end` was called.
    fn episode(slf: &Bound<'_, Self>) -> PyResult<Episode> {
        Episode::begin(slf)
    }

    /// The model, which can be set.
    #[getter]
    fn model(&self) -> String {
        self.lock().names.model.clone()
    }

    #[setter]
    fn set_model(&self, py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<()> {
        let model = values::text("model", model)?;
        self.renew(py)?;
        let mut state = self.lock();
        if let Some(recorder) = state.recorder.get_mut() {
            recorder.set_model(&model);
        }
        state.names.model = model.into_owned();
        Ok(())
    }

    /// The symbol, which can be set.
    #[getter]
    fn symbol(&self) -> String {
        self.lock().names.symbol.clone()
    }

    #[setter]
    fn set_symbol(&self, py: Python<'_>, symbol: &Bound<'_, PyAny>) -> PyResult<()> {
        let symbol = values::text("symbol", symbol)?;
        self.renew(py)?;
        let mut state = self.lock();
        if let Some(recorder) = state.recorder.get_mut() {
            recorder.set_symbol(&symbol);
        }
        state.names.symbol = symbol.into_owned();
        Ok(())
    }

    /// The checkpoint that decides, which can be set; None for none.
    #[getter]
    fn checkpoint(&self) -> Option<String> {
        self.lock().names.checkpoint.clone()
    }

    #[setter]
    fn set_checkpoint(&self, py: Python<'_>, id: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        // A checkpoint of the registry, or its id.
        let id = match id {
            None => None,
            Some(id) => {
                let inner = id.getattr_opt(intern!(py, "id"))?;
                let id = inner.as_ref().unwrap_or(id);
                Some(values::text("checkpoint", id)?.into_owned())
            }
        };
        self.renew(py)?;
        let mut state = self.lock();
        if let Some(recorder) = state.recorder.get_mut() {
            match &id {
                Some(id) => recorder.set_checkpoint(id),
                None => recorder.clear_checkpoint(),
            }
        }
        state.names.checkpoint = id;
        Ok(())
    }

    /// The actions, in the order of their indexes.
    #[getter]
    fn actions(&self) -> Vec<String> {
        self.lock().names.actions.clone()
    }

    fn __repr__(&self) -> String {
        let state = self.lock();
        let names = &state.names;
        let actions = names.actions.len();
        format!(
            "<annals.Recorder {} {}, {actions} actions>",
            names.model, names.symbol
        )
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Recorder>()
}
