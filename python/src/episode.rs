//! Episodes: decisions that are numbered, and an end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use annals::InferenceId;
use annals::entry::EpisodeEnd;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{ConflictError, UnsupportedError};
use crate::fork::Owned;
use crate::outcome;
use crate::recorder::{Parts, Recorder};
use crate::timer::Timer;
use crate::values;

/// An episode under way: a context manager. Its decisions are numbered from 0.
#[pyclass(frozen, module = "annals")]
pub(crate) struct Episode {
    recorder: Py<Recorder>,
    id: u64,
    /// `None` once it has ended. Nobody who holds the lock runs Python's code or lets go of the
    /// interpreter.
    state: Mutex<Option<Owned<annals::record::Episode>>>,
}

impl Episode {
    pub(crate) fn begin(recorder: &Bound<'_, Recorder>) -> PyResult<Episode> {
        let episode = recorder.get().current(recorder.py())?.episode();
        Ok(Episode {
            recorder: recorder.clone().unbind(),
            id: episode.id().to_u64(),
            state: Mutex::new(Some(Owned::new(episode))),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Owned<annals::record::Episode>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the episode. An error once it has ended, and in a forked child: two
    /// processes would count the same steps.
    fn with<T>(&self, act: impl FnOnce(&annals::record::Episode) -> T) -> PyResult<T> {
        match self.lock().as_ref().map(Owned::get) {
            Some(Some(episode)) => Ok(act(episode)),
            Some(None) => Err(parents()),
            None => Err(ConflictError::new_err(
                "the episode has ended; begin another one",
            )),
        }
    }

    fn finish(&self, end: EpisodeEnd, reward: Option<f64>) -> PyResult<bool> {
        let taken = self.lock().take();
        let Some(mut taken) = taken else {
            return Err(ConflictError::new_err("the episode has ended already"));
        };
        let Some(episode) = taken.take() else {
            return Err(parents());
        };
        Ok(match reward {
            Some(reward) => episode.end_with_reward(end, reward),
            None => episode.end(end),
        })
    }
}

fn parents() -> PyErr {
    UnsupportedError::new_err("the episode belongs to the parent process; begin one in this one")
}

#[pymethods]
impl Episode {
    /// Records the next step; see `Recorder.log`.
    #[pyo3(signature = (action, probabilities=None, features=None, timer=None, **more))]
    fn log(
        &self,
        py: Python<'_>,
        action: &Bound<'_, PyAny>,
        probabilities: Option<&Bound<'_, PyAny>>,
        features: Option<&Bound<'_, PyAny>>,
        timer: Option<&Bound<'_, Timer>>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Option<u64>> {
        let recorder = self.recorder.get();
        let action = recorder.action(action)?;
        let call = recorder.call(probabilities, features, timer, more)?;
        if !recorder.handle().blocks() {
            let id = self.with(|episode| call.record(episode.inference(action)))?;
            return Ok(id.map(InferenceId::to_u64));
        }
        // The episode is out of its place while the call waits. Steps of one episode follow each
        // other, so another thread's step finds it ended.
        let mut taken = self.lock().take();
        let episode = taken.as_ref().and_then(Owned::get);
        let Some(episode) = episode else {
            let error = match taken.is_some() {
                true => parents(),
                false => ConflictError::new_err("the episode has ended or is in another thread"),
            };
            *self.lock() = taken;
            return Err(error);
        };
        let record = |parts: &Parts<'_>| parts.record(episode.inference(action));
        let id = call.record_waiting(py, record);
        *self.lock() = taken.take();
        Ok(id.map(InferenceId::to_u64))
    }

    /// Records what became known after a step: its reward. See `Journal.outcome`.
    #[pyo3(signature = (id, /, **outcome))]
    fn outcome(
        &self,
        id: &Bound<'_, PyAny>,
        outcome: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let given = outcome::Given::of(outcome)?;
        if id.is_none() {
            return Ok(false);
        }
        let id = values::inference_id("id", id)?;
        self.with(|episode| episode.attach_outcome(id, given.outcome()))
    }

    /// Measures the processing time of a step; see `Recorder.timer`.
    fn timer(&self) -> Timer {
        Timer::new()
    }

    /// Ends the episode: "terminated", "truncated" or "abandoned". `reward` is one of the whole,
    /// beside those of its steps. Returns whether it was queued; False without any step.
    #[pyo3(signature = (end=None, *, reward=None))]
    fn end(
        &self,
        end: Option<&Bound<'_, PyAny>>,
        reward: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let end = match end {
            None => EpisodeEnd::Terminated,
            Some(end) => outcome::episode_end("end", end)?,
        };
        let reward = reward
            .map(|reward| values::real("reward", reward))
            .transpose()?;
        self.finish(end, reward)
    }

    /// Its id, which another process may be told: that gives it to `log(episode=, step=)`.
    #[getter]
    fn id(&self) -> u64 {
        self.id
    }

    /// How many steps were taken; 0 once it has ended.
    #[getter]
    fn steps(&self) -> u64 {
        let steps = self.with(annals::record::Episode::steps);
        steps.unwrap_or(0)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        error: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let is_under_way = self.lock().as_ref().is_some_and(Owned::is_ours);
        if is_under_way {
            let end = match error.is_none() {
                true => EpisodeEnd::Terminated,
                false => EpisodeEnd::Abandoned,
            };
            self.finish(end, None)?;
        }
        Ok(())
    }

    fn __repr__(&self) -> String {
        let id = annals::entry::EpisodeId::from_u64(self.id);
        let state = match self.lock().is_some() {
            true => "",
            false => " (ended)",
        };
        format!("<annals.Episode {id}{state}>")
    }
}

impl Drop for Episode {
    fn drop(&mut self) {
        // Without a lock that another thread of the parent may have held.
        drop(
            self.state
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Episode>()
}
