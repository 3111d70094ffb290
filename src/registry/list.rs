//! Lists of a model's checkpoints, newest first.

use super::Registry;
use super::checkpoint::Checkpoint;
use super::tables::keys;
use super::tables::look::RegistryView;
use crate::engine::kv::tables::Table;
use crate::entry::error::Result;
use crate::entry::timestamp::Timestamp;

/// Rows that one snapshot gives: none is held for long.
const PAGE: usize = 512;

/// Which checkpoints to list; from [`Registry::list`].
#[derive(Clone)]
#[must_use = "nothing is listed until get is called"]
pub struct List {
    registry: Registry,
    model: String,
    tag: Option<String>,
    alias: Option<String>,
    since: Timestamp,
    until: Timestamp,
    steps: (u64, u64),
    with_step: bool,
    limit: usize,
}

impl Registry {
    /// Lists a model's checkpoints, newest first.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// for step in 1..=3 {
    ///     registry.checkpoint("dqn_agent").step(1_000 * step).tag("nightly").save(b"weights")?;
    /// }
    /// let late = registry.list("dqn_agent").tag("nightly").steps(2_000..).get()?;
    /// assert_eq!(late.iter().map(|c| c.step().unwrap()).collect::<Vec<_>>(), [3_000, 2_000]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn list(&self, model: impl Into<String>) -> List {
        List {
            registry: self.clone(),
            model: model.into(),
            tag: None,
            alias: None,
            since: Timestamp::MIN,
            until: Timestamp::MAX,
            steps: (0, u64::MAX),
            with_step: false,
            limit: usize::MAX,
        }
    }
}

impl List {
    /// Only those with this tag.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// registry.checkpoint("dqn_agent").tag("nightly").save(b"weights")?;
    /// assert_eq!(registry.list("dqn_agent").tag("nightly").get()?.len(), 1);
    /// assert_eq!(registry.list("dqn_agent").tag("weekly").get()?.len(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Only the active one.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// registry.checkpoint("dqn_agent").save(b"one")?;
    /// let used = registry.checkpoint("dqn_agent").save(b"another")?;
    /// registry.activate(used.id())?;
    /// assert_eq!(registry.list("dqn_agent").active().get()?, [registry.find(used.id())?]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn active(self) -> Self {
        self.alias(super::alias::ACTIVE)
    }

    /// Only the one that this alias points at.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// registry.set_alias("champion", saved.id())?;
    /// assert_eq!(registry.list("dqn_agent").alias("champion").get()?.len(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Only those created at `time` or later.
    ///
    /// ```
    /// use annals::Timestamp;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let nine: Timestamp = "2025-07-25T09:00:00Z".parse()?;
    /// registry.checkpoint("dqn_agent").created(nine).save(b"weights")?;
    /// assert_eq!(registry.list("dqn_agent").since(nine).get()?.len(), 1);
    /// assert_eq!(registry.list("dqn_agent").since(Timestamp::now()).get()?.len(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn since(mut self, time: impl Into<Timestamp>) -> Self {
        self.since = time.into();
        self
    }

    /// Only those created before `time`.
    ///
    /// ```
    /// use annals::Timestamp;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let nine: Timestamp = "2025-07-25T09:00:00Z".parse()?;
    /// registry.checkpoint("dqn_agent").created(nine).save(b"weights")?;
    /// assert_eq!(registry.list("dqn_agent").until(nine).get()?.len(), 0); // before, not at
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn until(mut self, time: impl Into<Timestamp>) -> Self {
        self.until = time.into();
        self
    }

    /// Only those with a step in this range.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// registry.checkpoint("dqn_agent").step(1_000).save(b"weights")?;
    /// assert_eq!(registry.list("dqn_agent").steps(500..).get()?.len(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn steps(mut self, steps: impl std::ops::RangeBounds<u64>) -> Self {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let low = match steps.start_bound() {
            Included(step) => Some(*step),
            Excluded(step) => step.checked_add(1),
            Unbounded => Some(0),
        };
        let high = match steps.end_bound() {
            Included(step) => Some(*step),
            Excluded(step) => step.checked_sub(1),
            Unbounded => Some(u64::MAX),
        };
        // An empty range holds no step.
        self.steps = low.zip(high).unwrap_or((1, 0));
        self.with_step = true;
        self
    }

    /// At most so many.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let newest = registry.list("dqn_agent").limit(20).get()?;
    /// assert_eq!(newest.len(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn limit(mut self, most: usize) -> Self {
        self.limit = most;
        self
    }

    /// The checkpoints. Costs a look at each of the model's checkpoints, or of those with the tag,
    /// until there are enough. Pages of 512 are read in a snapshot each. A checkpoint that is saved
    /// or deleted between them may or may not be there, and none comes twice.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let first = registry.checkpoint("dqn_agent").save(b"first")?;
    /// let second = registry.checkpoint("dqn_agent").save(b"second")?;
    /// assert_eq!(registry.list("dqn_agent").get()?, [second, first]); // newest first
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn get(self) -> Result<Vec<Checkpoint>> {
        let core = self.registry.core();
        if let Some(alias) = &self.alias {
            let found = core.store.read(|view| {
                let Some(row) = view.alias(&self.model, alias)? else {
                    return Ok(None);
                };
                let found = view.checkpoint(&row.target)?;
                Ok(found.map(|found| Checkpoint::new(&*row.target, found, &core.root)))
            })?;
            let found = found.filter(|found| self.limit > 0 && self.takes(found));
            return Ok(found.into_iter().collect());
        }
        let (table, prefix) = match &self.tag {
            Some(tag) => (Table::Tags, keys::prefix(&[&self.model, tag])),
            None => (Table::Newest, keys::prefix(&[&self.model])),
        };
        let mut taken = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while taken.len() < self.limit {
            let most = PAGE.min(self.limit - taken.len());
            let page = core.store.read(|view| {
                let ids = view.ids(table, &prefix, after.as_deref(), most)?;
                let mut page = Vec::with_capacity(ids.len());
                for (key, id) in ids {
                    let found = view.checkpoint(&id)?;
                    let found = found.filter(|row| keys::is_of(&key, row));
                    page.push((key, found.map(|row| Checkpoint::new(&*id, row, &core.root))));
                }
                Ok(page)
            })?;
            let is_last = page.len() < most;
            after = page.last().map(|(key, _)| key.clone()).or(after);
            let found = page.into_iter().filter_map(|(_, found)| found);
            taken.extend(found.filter(|found| self.takes(found)));
            if is_last {
                break;
            }
        }
        Ok(taken)
    }

    fn takes(&self, found: &Checkpoint) -> bool {
        let tagged = self
            .tag
            .as_ref()
            .is_none_or(|tag| found.tags().contains(tag));
        let (low, high) = self.steps;
        let stepped = found.step().is_some_and(|step| low <= step && step <= high);
        let created = found.created();
        tagged && (!self.with_step || stepped) && self.since <= created && created < self.until
    }
}
