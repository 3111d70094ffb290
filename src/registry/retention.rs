//! Retention: a policy has rules, a plan lists their effect, and applying it does exactly that.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::delete::{files_of, kept_by, remove_files};
use super::tables::ChangeFailure;
use super::tables::ages::Ages;
use super::tables::look::{RegistryChange, RegistryView};
use super::tables::rows::{CheckpointRow, DeletedRow, Origin};
use super::{Core, Registry};
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::entry::timestamp::Timestamp;
use crate::options::retention::{Best, KeptItem, RetentionPolicy, in_days, too_old};

/// Deletions in one transaction: it has to stay short.
const SLICE: usize = 250;

/// The fate of a checkpoint in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It stays.
    Keep,
    /// It goes.
    Delete,
}

/// One line of a [`CheckpointRetentionPlan`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedCheckpoint {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its fate.
    pub fate: Fate,
    /// The limit that it exceeds, or what keeps it.
    pub reason: String,
}

/// A policy for checkpoints that is about to be planned; from [`Registry::retention`].
#[must_use = "nothing is planned until plan is called"]
pub struct CheckpointRetention<'r> {
    registry: &'r Registry,
    policy: RetentionPolicy,
    model: Option<String>,
}

/// Effects of a policy, checkpoint by checkpoint. Nothing happens until it is applied.
#[must_use = "nothing is deleted until apply is called"]
pub struct CheckpointRetentionPlan {
    registry: Registry,
    lines: Vec<PlannedCheckpoint>,
    held_back: Vec<String>,
}

/// Result of applying a [`CheckpointRetentionPlan`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct CheckpointRetentionReport {
    /// The ids that were deleted.
    pub deleted: Vec<String>,
    /// Bytes of their weights that the registry wrote and removed.
    pub bytes: u64,
}

impl Registry {
    /// Begins to apply a policy to the checkpoints of each model.
    ///
    /// ```
    /// # use annals::{Journal, Mode, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// for loss in [0.3, 0.1, 0.2, 0.4] {
    ///     registry.checkpoint("dqn_agent").metric("loss", loss).save(b"weights")?;
    /// }
    /// let policy = RetentionPolicy::new().max_count(1).keep_best(2, "loss", Mode::Min);
    /// let plan = registry.retention(policy).plan()?;
    /// for line in plan.lines() {
    ///     println!("{:?} {}: {}", line.fate, line.checkpoint.id(), line.reason);
    /// }
    /// assert_eq!(plan.apply()?.deleted.len(), 1); // the newest stays, and the two best
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn retention(&self, policy: RetentionPolicy) -> CheckpointRetention<'_> {
        CheckpointRetention {
            registry: self,
            policy,
            model: None,
        }
    }
}

impl CheckpointRetention<'_> {
    /// Only this model.
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// let plan = registry.retention(newest).model("another").plan()?;
    /// assert!(plan.lines().is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Decides about every checkpoint, newest first within each model. Reads each model in one
    /// snapshot; changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a policy that [`RetentionPolicy`] calls refused,
    /// [`Error::UnknownMetric`] and [`Error::UnknownTag`] for a rule that names what no checkpoint
    /// has, and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// let plan = registry.retention(newest).plan()?;
    /// assert_eq!(plan.deletions().count(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn plan(self) -> Result<CheckpointRetentionPlan> {
        self.policy.check(KeptItem::Checkpoints)?;
        let core = self.registry.core();
        let models = match &self.model {
            Some(model) => vec![model.clone()],
            None => self.registry.models()?,
        };
        // Read once, so that all models are judged by one moment.
        let ages = core.store.ages(core.now())?;
        let mut lines = Vec::new();
        let mut held_back = Vec::new();
        let mut unproven = 0;
        for model in models {
            // A snapshot for each model keeps old pages for a short time only. `apply` checks every
            // line again, so the plan need not be of one snapshot.
            let decided = core
                .store
                .read(|view| decide(core, view, &model, &self.policy, &ages))?;
            lines.extend(decided.lines);
            held_back.extend(decided.left_alone);
            unproven += decided.unproven;
        }
        self.refuse_unknown(&lines)?;
        if unproven > 0 {
            let (them, are) = match unproven {
                1 => ("1 checkpoint is".to_owned(), "stays"),
                more => (format!("{more} checkpoints are"), "stay"),
            };
            held_back.push(format!(
                "{them} old enough by the wall clock alone and {are}: trust_clock goes by it"
            ));
        }
        Ok(CheckpointRetentionPlan {
            registry: self.registry.clone(),
            lines,
            held_back,
        })
    }

    /// A misspelt metric or tag would keep nothing.
    fn refuse_unknown(&self, lines: &[PlannedCheckpoint]) -> Result<()> {
        // Without checkpoints there is nothing to delete.
        if lines.is_empty() {
            return Ok(());
        }
        let model = || self.model.clone().unwrap_or_else(|| "any model".to_owned());
        let all = || lines.iter().map(|line| &line.checkpoint);
        let metrics = all().flat_map(|found| found.metrics().iter().map(|(name, _)| name));
        let metrics: BTreeSet<&String> = metrics.collect();
        let mut best = self.policy.keep_best.iter().map(|best| &best.metric);
        if let Some(metric) = best.find(|metric| !metrics.contains(metric)) {
            return Err(Error::UnknownMetric {
                model: model(),
                metric: metric.clone(),
                known: metrics.into_iter().cloned().collect(),
            });
        }
        let tags: BTreeSet<&String> = all().flat_map(Checkpoint::tags).collect();
        let mut named = self.policy.keep_tagged.iter();
        match named.find(|tag| !tags.contains(tag)) {
            None => Ok(()),
            Some(tag) => Err(Error::UnknownTag {
                model: model(),
                tag: tag.clone(),
                known: tags.into_iter().cloned().collect(),
            }),
        }
    }
}

/// The fates of one model's checkpoints.
struct Decided {
    lines: Vec<PlannedCheckpoint>,
    /// Why all of them stay, if a keep rule has nothing to go by.
    left_alone: Option<String>,
    /// How many stay because only the wall clock calls them old.
    unproven: u64,
}

/// Decides about one model's checkpoints.
fn decide(
    core: &Core,
    view: &mut impl RegistryView,
    model: &str,
    policy: &RetentionPolicy,
    ages: &Ages,
) -> Result<Decided> {
    let found = view.of_model(model)?.into_iter();
    let found: Vec<Checkpoint> = found
        .map(|(id, row)| Checkpoint::new(&*id, row, &core.root))
        .collect();
    let left_alone = nothing_to_go_by(policy, &found);
    let mut kept = match &left_alone {
        Some(why) => found
            .iter()
            .map(|found| (found.id().to_owned(), why.clone()))
            .collect(),
        None => keep(view, model, policy, &found)?,
    };
    let rows: Vec<_> = found.iter().map(Checkpoint::row).collect();
    let ages = ages.of(&rows);
    let now = core.now();
    let mut decided = Decided {
        lines: Vec::with_capacity(found.len()),
        left_alone: left_alone
            .filter(|_| !found.is_empty())
            .map(|why| format!("all checkpoints of {model} stay: {why}")),
        unproven: 0,
    };
    let (mut count, mut bytes) = (0_u64, 0_u64);
    // Newest first: limits count from the newest on, also over those that a rule keeps.
    for (checkpoint, elapsed) in found.into_iter().zip(ages) {
        count += 1;
        // Deleting an entry frees only weights that the registry wrote.
        let own = match checkpoint.origin() {
            Origin::Saved => checkpoint.bytes(),
            _ => 0,
        };
        bytes = bytes.saturating_add(own);
        let age = age_of(policy, &checkpoint, elapsed, now);
        let exceeded = match age {
            CheckpointAge::Exceeded(age) => Some(too_old(age)),
            // A deletion that frees no bytes is no remedy for too many bytes.
            _ => policy.exceeded(count, if own > 0 { bytes } else { 0 }),
        };
        let (fate, reason) = match (kept.remove(checkpoint.id()), exceeded, age) {
            (Some(why), ..) => (Fate::Keep, why),
            (None, Some(limit), _) => (Fate::Delete, limit),
            (None, None, CheckpointAge::Unproven(age)) => {
                decided.unproven += 1;
                let age = in_days(age);
                (
                    Fate::Keep,
                    format!("older than {age} by the wall clock alone"),
                )
            }
            (None, None, _) => (Fate::Keep, "within the limits".to_owned()),
        };
        decided.lines.push(PlannedCheckpoint {
            checkpoint,
            fate,
            reason,
        });
    }
    Ok(decided)
}

/// The reasons that keep checkpoints of a model, by their id: a lasting protection or a keep rule.
fn keep(
    view: &mut impl RegistryView,
    model: &str,
    policy: &RetentionPolicy,
    found: &[Checkpoint],
) -> Result<HashMap<String, String>> {
    let mut kept: HashMap<String, String> = HashMap::new();
    // The first reason stays, so those that hold always come before the policy's rules.
    let mut keep = |id: &str, reason: String| {
        kept.entry(id.to_owned()).or_insert(reason);
    };
    for alias in view.aliases(model)? {
        keep(&alias.1.target, format!("alias {:?}", alias.0));
    }
    for pinned in found.iter().filter(|found| found.is_pinned()) {
        keep(pinned.id(), "pinned".to_owned());
    }
    if let Some(newest) = found.first() {
        keep(newest.id(), "the newest of its model".to_owned());
    }
    if let Some((metric, mode)) = view.model(model)?.and_then(|model| model.monitor) {
        for (id, _) in view.ranked(model, &metric, mode, 1)? {
            keep(&id, format!("the best of its model by {metric} ({mode})"));
        }
    }
    if let Some(n) = policy.keep_latest {
        for found in found.iter().take(whole(n)) {
            keep(found.id(), format!("latest {n}"));
        }
    }
    for Best { n, metric, mode } in &policy.keep_best {
        for (id, _) in view.ranked(model, metric, *mode, whole(*n))? {
            keep(&id, format!("best {n} by {metric} ({mode})"));
        }
    }
    if let Some(every) = policy.keep_every_steps {
        let mut first: HashMap<u64, (u64, &str)> = HashMap::new();
        for found in found {
            let Some(step) = found.step() else { continue };
            let Some(multiple) = step.checked_div(every) else {
                continue;
            };
            let known = first.entry(multiple).or_insert((step, found.id()));
            if step < known.0 {
                *known = (step, found.id());
            }
        }
        for (_, id) in first.into_values() {
            keep(id, format!("every {every} steps"));
        }
    }
    for tag in &policy.keep_tagged {
        for found in found.iter().filter(|found| found.tags().contains(tag)) {
            keep(found.id(), format!("tagged {tag:?}"));
        }
    }
    Ok(kept)
}

/// A number as one in memory: there are never more checkpoints than that.
fn whole(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The keep rule that cannot keep any of a model's checkpoints, because none has what it names. The
/// limits alone would delete what the rule is to keep.
fn nothing_to_go_by(policy: &RetentionPolicy, found: &[Checkpoint]) -> Option<String> {
    let is_ranked = |metric: &str| {
        let mut values = found.iter().filter_map(|found| found.metric(metric));
        values.any(|value| !value.is_nan())
    };
    let mut best = policy.keep_best.iter().map(|best| &best.metric);
    if let Some(metric) = best.find(|metric| !is_ranked(metric)) {
        return Some(format!("none has the metric {metric:?} (keep_best)"));
    }
    let steps = found.iter().any(|found| found.step().is_some());
    if policy.keep_every_steps.is_some() && !steps {
        return Some("none has a step (keep_every_steps)".to_owned());
    }
    let is_there = |tag: &String| found.iter().any(|found| found.tags().contains(tag));
    let tag = policy.keep_tagged.iter().find(|tag| !is_there(tag))?;
    Some(format!("none has the tag {tag:?} (keep_tagged)"))
}

/// A checkpoint's age against the limit.
#[derive(Clone, Copy)]
enum CheckpointAge {
    /// Below it, or there is no limit.
    Within,
    /// Certainly older.
    Exceeded(Duration),
    /// Older by the wall clock alone.
    Unproven(Duration),
}

fn age_of(
    policy: &RetentionPolicy,
    found: &Checkpoint,
    elapsed: Duration,
    now: Timestamp,
) -> CheckpointAge {
    let Some(age) = policy.max_age else {
        return CheckpointAge::Within;
    };
    let by_clock = found.created() < now.saturating_sub(age);
    match (by_clock, elapsed > age) {
        (true, _) if policy.trust_clock => CheckpointAge::Exceeded(age),
        // A clock that is behind calls everything young for ever.
        (_, true) if !policy.trust_clock => CheckpointAge::Exceeded(age),
        (true, _) => CheckpointAge::Unproven(age),
        (false, _) => CheckpointAge::Within,
    }
}

impl CheckpointRetentionPlan {
    /// Every examined checkpoint, with its fate and the reason.
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// let plan = registry.retention(newest).plan()?;
    /// assert_eq!(plan.lines()[0].reason, "the newest of its model");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn lines(&self) -> &[PlannedCheckpoint] {
        &self.lines
    }

    /// Why checkpoints stay that the limits would delete: a keep rule has nothing to go by, or only
    /// the wall clock calls them old. One line for each reason. Empty if there is none.
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// registry.checkpoint("another").save(b"weights")?;
    /// let best = newest.keep_best(1, "val_loss", annals::Mode::Min);
    /// let plan = registry.retention(best).plan()?;
    /// assert!(plan.held_back()[0].starts_with("all checkpoints of another stay"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn held_back(&self) -> &[String] {
        &self.held_back
    }

    /// The checkpoints that would be deleted.
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// let plan = registry.retention(newest).plan()?;
    /// assert!(plan.deletions().all(|checkpoint| checkpoint.model() == "dqn_agent"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn deletions(&self) -> impl Iterator<Item = &Checkpoint> {
        let lines = self.lines.iter();
        let deleted = lines.filter(|line| line.fate == Fate::Delete);
        deleted.map(|line| &line.checkpoint)
    }

    /// How many bytes of weights would be freed: those that the registry wrote.
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// let plan = registry.retention(newest).plan()?;
    /// assert_eq!(plan.bytes(), 2 * 7); // of two files
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let own = self
            .deletions()
            .filter(|gone| gone.origin() == Origin::Saved);
        own.map(Checkpoint::bytes).fold(0, u64::saturating_add)
    }

    /// Deletes exactly the checkpoints of the plan. If a checkpoint of the plan is gone, has
    /// changed (a tag, a metric, its weights' state), or is protected by now, nothing is deleted.
    /// The error lists the differences. Later checkpoints are left alone and do not count as a
    /// difference. The registry is changed in transactions of 250 checkpoints, each checked again,
    /// so that other processes do not wait; what changes while they run stops the rest. Then files
    /// are removed.
    ///
    /// # Errors
    /// [`Error::PlanOutdated`], [errors of a commit](crate::Error#errors-of-a-commit), and
    /// [`Error::Io`] if a folder cannot be synced.
    ///
    /// ```
    /// # use annals::{Journal, RetentionPolicy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// for loss in [0.3, 0.2, 0.1] {
    ///     registry.checkpoint("dqn_agent").metric("val_loss", loss).save(b"weights")?;
    /// }
    /// let newest = RetentionPolicy::new().max_count(1);
    /// let applied = registry.retention(newest).plan()?.apply()?;
    /// assert_eq!(applied.deleted.len(), 2);
    /// assert_eq!(registry.count("dqn_agent")?, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn apply(self) -> Result<CheckpointRetentionReport> {
        let core = self.registry.core();
        let lines = self.lines.iter();
        let expired: Vec<_> = lines.filter(|line| line.fate == Fate::Delete).collect();
        // Checked before the first deletion, so that an outdated plan usually deletes nothing. Each
        // transaction checks its own part again.
        let changes = core.store.read(|view| changes(view, &expired))?;
        if !changes.is_empty() {
            return Err(Error::PlanOutdated {
                changes,
                deleted: 0,
            });
        }
        let now = core.now();
        let mut applied = CheckpointRetentionReport {
            deleted: Vec::new(),
            bytes: 0,
        };
        for slice in expired.chunks(SLICE) {
            core.step("delete");
            let done = core.store.write(|change| delete_all(change, slice, now));
            // Also after an error: the transaction may hold all the same.
            core.watches.notify();
            let leaving = match done {
                Ok(leaving) => leaving,
                Err(ChangeFailure::Nothing(Error::PlanOutdated { changes, .. })) => {
                    return Err(Error::PlanOutdated {
                        changes,
                        deleted: applied.deleted.len(),
                    });
                }
                Err(failure) => return Err(failure.into_error()),
            };
            for line in slice {
                let gone = &line.checkpoint;
                let why = reason_of(line);
                core.emit(CheckpointAction::Deleted, gone.model(), gone.id(), &why);
                applied.deleted.push(gone.id().to_owned());
                if gone.origin() == Origin::Saved {
                    applied.bytes = applied.bytes.saturating_add(gone.bytes());
                }
            }
            remove_files(core, &leaving)?;
        }
        Ok(applied)
    }
}

/// The reason that is stored with a deletion.
fn reason_of(line: &PlannedCheckpoint) -> String {
    format!("retention: {}", line.reason)
}

fn delete_all(
    change: &mut RegistryChange<'_, '_>,
    slice: &[&PlannedCheckpoint],
    now: Timestamp,
) -> Result<Vec<(String, Vec<String>)>> {
    // Again, in the transaction that deletes: others may have changed it since the first check.
    let changes = changes(change, slice)?;
    if !changes.is_empty() {
        return Err(Error::PlanOutdated {
            changes,
            deleted: 0,
        });
    }
    let mut leaving = Vec::with_capacity(slice.len());
    for line in slice {
        let gone = &line.checkpoint;
        let note = DeletedRow {
            model: gone.row().model.clone(),
            at: now,
            why: reason_of(line),
        };
        let files = files_of(gone.id(), gone.row());
        change.delete(gone.id(), &note, &files)?;
        leaving.push((gone.id().to_owned(), files));
    }
    Ok(leaving)
}

/// Differences from the state that the plan was made from, as far as they concern these
/// checkpoints.
fn changes(view: &mut impl RegistryView, expired: &[&PlannedCheckpoint]) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    for line in expired {
        let planned = &line.checkpoint;
        let id = planned.id();
        match view.checkpoint(id)? {
            None => changes.push(format!("{id} is gone")),
            // A digest that was computed since is no change.
            Some(row) if !same(&row, planned.row()) => changes.push(format!("{id} has changed")),
            Some(row) => {
                if let Some(by) = kept_by(view, id, &row)? {
                    changes.push(format!("{id} is protected now: {by}"));
                }
            }
        }
    }
    Ok(changes)
}

fn same(now: &CheckpointRow, then: &CheckpointRow) -> bool {
    let bits = |row: &CheckpointRow| -> Vec<(String, u64)> {
        let metrics = row.metrics.iter();
        metrics
            .map(|(name, value)| (name.clone(), value.to_bits()))
            .collect()
    };
    now.number == then.number
        && now.tags == then.tags
        && now.pinned == then.pinned
        && now.condition == then.condition
        && bits(now) == bits(then)
}
