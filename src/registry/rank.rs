//! Which checkpoint is best.

use super::checkpoint::Checkpoint;
use super::tables::look::RegistryView;
use super::tables::rows::ModelRow;
use super::tables::{ChangeFailure, names};
use super::{Core, Registry};
use crate::entry::error::{Error, Result};
use crate::entry::mode::Mode;
use crate::entry::name;

/// The rules of ranking, in one place:
///
/// 1. With [`Mode::Min`] the smallest value is best, with [`Mode::Max`] the largest.
/// 2. NaN is kept with the checkpoint, but never ranks.
/// 3. Infinities rank where they belong: −∞ below and +∞ above every other number.
/// 4. −0.0 is 0.0.
/// 5. Of equals, the newest is best.
/// 6. A checkpoint without the metric does not rank by it.
/// 7. A metric that no checkpoint of the model has is an error that lists those that there are.
/// 8. Only checkpoints that are committed, not deleted, and whose weights are not known to be
///    missing or damaged rank.
impl Registry {
    /// Sets the metric that ranks a model's checkpoints, and its better end. Stored; holds for
    /// every process. The model needs no checkpoints yet. One redb commit.
    ///
    /// # Errors
    /// [`Error::InvalidName`], and [errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// use annals::Mode;
    ///
    /// registry.set_monitor("dqn_agent", "loss", Mode::Min)?; // no commit if it is set already
    /// assert_eq!(registry.monitor("dqn_agent")?, Some(("loss".to_owned(), Mode::Min)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn set_monitor(&self, model: &str, metric: &str, mode: Mode) -> Result<()> {
        names::check_model(model)?;
        name::check_word("metric", metric)?;
        let core = self.core();
        // Set at every start, usually to the same value: that costs no commit.
        if self
            .monitor(model)?
            .is_some_and(|(m, known)| m == metric && known == mode)
        {
            return Ok(());
        }
        let set = core
            .store
            .write(|change| change.set_monitor(model, metric, mode));
        set.map_err(ChangeFailure::into_error)?;
        core.watches.notify();
        Ok(())
    }

    /// The setting of [`set_monitor`](Self::set_monitor) for a model.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use annals::Mode;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// assert_eq!(registry.monitor("dqn_agent")?, None);
    /// registry.set_monitor("dqn_agent", "val_loss", Mode::Min)?;
    /// assert_eq!(registry.monitor("dqn_agent")?, Some(("val_loss".to_owned(), Mode::Min)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn monitor(&self, model: &str) -> Result<Option<(String, Mode)>> {
        let row = self.core().store.read(|view| view.model(model))?;
        Ok(row.and_then(|row| row.monitor))
    }

    /// A model's best checkpoint by its monitor, without touching weights; `None` if none ranks.
    /// One snapshot, some microseconds.
    ///
    /// # Errors
    /// [`Error::NoMonitor`] if the model has checkpoints and no monitor, [`Error::UnknownMetric`]
    /// if none of them has the metric, and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_monitor("dqn_agent", "loss", annals::Mode::Min)?;
    /// let better = registry.checkpoint("dqn_agent").metric("loss", 0.05).save(b"better")?;
    /// let best = registry.best("dqn_agent")?.expect("two rank");
    /// assert_eq!(best.id(), better.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn best(&self, model: &str) -> Result<Option<Checkpoint>> {
        let core = self.core();
        let best = core.store.read(|view| core.best(view, model))?;
        core.noted(model, best)
    }

    /// The best of each of these models, in one snapshot. All answers hold at the same moment, and
    /// each costs less than a look-up of its own.
    ///
    /// # Errors
    /// Those of [`best`](Self::best), for the first model that has one.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.set_monitor("dqn_agent", "loss", annals::Mode::Min)?;
    /// let best = registry.best_of_each(&["dqn_agent", "unknown"])?;
    /// assert!(best[0].is_some() && best[1].is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn best_of_each<M: AsRef<str>>(&self, models: &[M]) -> Result<Vec<Option<Checkpoint>>> {
        let core = self.core();
        core.store.read(|view| {
            let models = models.iter();
            models
                .map(|model| core.best(view, model.as_ref()))
                .collect()
        })
    }

    /// The best by any metric, whatever the monitor.
    ///
    /// # Errors
    /// [`Error::UnknownMetric`], and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let best = registry.best_by("dqn_agent", "loss", annals::Mode::Max)?;
    /// assert_eq!(best.as_ref().map(|best| best.id()), Some(saved.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn best_by(&self, model: &str, metric: &str, mode: Mode) -> Result<Option<Checkpoint>> {
        let best = self.top_k(model, metric, mode, 1)?;
        self.core().noted(model, best.into_iter().next())
    }

    /// The `k` best by a metric, best first. One snapshot.
    ///
    /// # Errors
    /// [`Error::UnknownMetric`], and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let top = registry.top_k("dqn_agent", "loss", annals::Mode::Min, 3)?;
    /// assert_eq!(top.len(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn top_k(
        &self,
        model: &str,
        metric: &str,
        mode: Mode,
        k: usize,
    ) -> Result<Vec<Checkpoint>> {
        let core = self.core();
        core.store.read(|view| {
            let Some(row) = view.model(model)? else {
                return Ok(Vec::new());
            };
            core.top(view, model, &row, (metric, mode), k)
        })
    }
}

impl Core {
    /// Reports, once, that a model has nothing to offer.
    pub(super) fn noted(
        &self,
        model: &str,
        found: Option<Checkpoint>,
    ) -> Result<Option<Checkpoint>> {
        if self.journal.is_some() {
            match &found {
                Some(_) => self.clear_none(model),
                None => self.raise_none(model),
            }
        }
        Ok(found)
    }

    pub(super) fn best(
        &self,
        view: &mut impl RegistryView,
        model: &str,
    ) -> Result<Option<Checkpoint>> {
        // The usual answer takes one look-up, because the best row is kept beside the ranking.
        if let Some((id, row)) = view.best(model)? {
            return Ok(Some(Checkpoint::new(id, row, &self.root)));
        }
        // There is none; why not?
        let Some(row) = view.model(model)? else {
            return Ok(None);
        };
        if row.checkpoints == 0 {
            return Ok(None);
        }
        let Some((metric, mode)) = &row.monitor else {
            return Err(Error::NoMonitor {
                model: name::shown(model),
                known: known(&row),
            });
        };
        let best = self.top(view, model, &row, (metric, *mode), 1)?;
        Ok(best.into_iter().next())
    }

    fn top(
        &self,
        view: &mut impl RegistryView,
        model: &str,
        row: &ModelRow,
        (metric, mode): (&str, Mode),
        k: usize,
    ) -> Result<Vec<Checkpoint>> {
        let ranked = view.ranked(model, metric, mode, k)?;
        let is_known = row.metrics.iter().any(|(known, _)| known == metric);
        // A metric that some checkpoint has may rank none, because weights are missing. One that
        // none has is probably misspelt.
        if ranked.is_empty() && !is_known && row.checkpoints > 0 {
            return Err(Error::UnknownMetric {
                model: name::shown(model),
                metric: name::shown(metric),
                known: known(row),
            });
        }
        let mut found = Vec::with_capacity(ranked.len());
        for (id, _) in ranked {
            if let Some(row) = view.checkpoint(&id)? {
                found.push(Checkpoint::new(&*id, row, &self.root));
            }
        }
        Ok(found)
    }
}

pub(super) fn known(row: &ModelRow) -> Vec<String> {
    row.metrics.iter().map(|(name, _)| name.clone()).collect()
}
