//! Retention: a policy has rules, a plan lists their effect, and applying it does exactly that.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::delete::{files_of, kept_by, remove_files};
use super::tables::ChangeFailure;
use super::tables::ages::Ages;
use super::tables::keys;
use super::tables::look::{RegistryChange, RegistryView};
use super::tables::rows::DeletedRow;
use super::{Core, Registry};
use crate::entry::error::{Error, Result};
use crate::entry::event::CheckpointAction;
use crate::entry::mode::Mode;
use crate::entry::timestamp::Timestamp;

/// Deletions in one transaction: it has to stay short.
const SLICE: usize = 250;

/// Rules for keeping checkpoints. Rules add up: a checkpoint is kept if any rule keeps it. A
/// checkpoint that no rule keeps is deleted, unless it is protected. A pin, an alias, being the
/// newest, and being the best by the model's monitor protect it.
///
/// ```
/// use std::time::Duration;
/// use annals::Mode;
/// use annals::registry::Policy;
///
/// let policy = Policy::new()
///     .latest(5)
///     .best(3, "val_loss", Mode::Min)
///     .every_steps(10_000)
///     .newer_than(Duration::from_secs(24 * 3_600))
///     .tagged("release");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a policy does nothing until retention plans with it"]
pub struct Policy {
    rules: Vec<Rule>,
    trust_clock: bool,
}

#[derive(Clone, Debug)]
enum Rule {
    Latest(usize),
    Best(usize, String, Mode),
    EverySteps(u64),
    NewerThan(Duration),
    Tagged(String),
}

impl Policy {
    /// A policy without rules, which cannot be planned with: it would keep next to nothing.
    pub fn new() -> Self {
        Policy::default()
    }

    /// Keeps each model's `n` newest.
    pub fn latest(self, n: usize) -> Self {
        self.with(Rule::Latest(n))
    }

    /// Keeps each model's `n` best by a metric. Planning fails if no checkpoint that is planned for
    /// has it: a misspelt name must not delete anything.
    pub fn best(self, n: usize, metric: impl Into<String>, mode: Mode) -> Self {
        self.with(Rule::Best(n, metric.into(), mode))
    }

    /// Keeps the first checkpoint at or after each multiple of so many steps.
    pub fn every_steps(self, steps: u64) -> Self {
        self.with(Rule::EverySteps(steps))
    }

    /// Keeps checkpoints younger than this when the plan is made. Ages go by elapsed time since the
    /// registry took a checkpoint in, as [`Keep::newer_than`](crate::Keep::newer_than) goes by it
    /// for entries: one jump of the clock deletes nothing. A checkpoint that is older by the clock
    /// alone stays, and [`Plan::held_back`] lists it.
    pub fn newer_than(self, age: Duration) -> Self {
        self.with(Rule::NewerThan(age))
    }

    /// Lets [`newer_than`](Self::newer_than) go by [`Checkpoint::created`] and the wall clock. A
    /// clock that is ahead then deletes young checkpoints: use it where the clock is known to be
    /// right.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::registry::Policy;
    ///
    /// let policy = Policy::new().newer_than(Duration::from_secs(86_400)).trust_clock();
    /// ```
    pub fn trust_clock(self) -> Self {
        Policy {
            trust_clock: true,
            ..self
        }
    }

    /// Keeps checkpoints with this tag.
    pub fn tagged(self, tag: impl Into<String>) -> Self {
        self.with(Rule::Tagged(tag.into()))
    }

    fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

/// The fate of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays.
    Keep,
    /// It goes.
    Delete,
}

/// One line of a [`Plan`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Planned {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its fate.
    pub decision: Decision,
    /// The rule that decided, or what protects it.
    pub rule: String,
}

/// A policy that is about to be planned; from [`Registry::retention`].
#[must_use = "nothing is planned until plan is called"]
pub struct Retention<'r> {
    registry: &'r Registry,
    policy: Policy,
    model: Option<String>,
}

/// Effects of a policy, checkpoint by checkpoint. Nothing happens until it is applied.
#[must_use = "nothing is deleted until apply is called"]
pub struct Plan {
    registry: Registry,
    lines: Vec<Planned>,
    held_back: Vec<String>,
}

/// Result of applying a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The ids that were deleted.
    pub deleted: Vec<String>,
    /// Bytes of their weights that the registry wrote and removed.
    pub bytes: u64,
}

impl Registry {
    /// Begins to apply a policy to all models.
    ///
    /// ```
    /// # use annals::{Journal, Mode};
    /// # use annals::registry::{Decision, Policy};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// for loss in [0.3, 0.1, 0.2, 0.4] {
    ///     registry.checkpoint("dqn_agent").metric("loss", loss).save(b"weights")?;
    /// }
    /// let plan = registry.retention(Policy::new().best(2, "loss", Mode::Min)).plan()?;
    /// for line in plan.lines() {
    ///     println!("{:?} {}: {}", line.decision, line.checkpoint.id(), line.rule);
    /// }
    /// assert_eq!(plan.apply()?.deleted.len(), 1); // two best, and the newest
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn retention(&self, policy: Policy) -> Retention<'_> {
        Retention {
            registry: self,
            policy,
            model: None,
        }
    }
}

impl Retention<'_> {
    /// Only this model.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Decides about every checkpoint, newest first within each model. Reads each model in one
    /// snapshot; changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a policy without rules, [`Error::UnknownMetric`] for a rule by
    /// a metric that no checkpoint has, and [errors of reading](crate::Error#errors-of-reading).
    pub fn plan(self) -> Result<Plan> {
        let invalid = |name, value: String, advice| Error::InvalidOption {
            name,
            value,
            advice,
        };
        if self.policy.rules.is_empty() {
            let value = "without rules".to_owned();
            return Err(invalid("policy", value, "add a rule that keeps something"));
        }
        for rule in &self.policy.rules {
            if let Rule::EverySteps(0) = rule {
                return Err(invalid(
                    "every_steps",
                    "0".to_owned(),
                    "give 1 or more steps",
                ));
            }
        }
        let core = self.registry.core();
        let models = match &self.model {
            Some(model) => vec![model.clone()],
            None => self.registry.models()?,
        };
        self.refuse_unknown_metrics(&models)?;
        let ages = core.store.ages(core.now())?;
        let mut lines = Vec::new();
        let mut unproven = 0;
        for model in models {
            lines.extend(
                core.store
                    .read(|view| {
                        let decided = decide(core, view, &model, &self.policy, &ages);
                        decided.inspect(|decided| unproven += decided.1)
                    })?
                    .0,
            );
        }
        let mut held_back = Vec::new();
        if unproven > 0 {
            let (them, are) = match unproven {
                1 => ("1 checkpoint is".to_owned(), "stays"),
                more => (format!("{more} checkpoints are"), "stay"),
            };
            held_back.push(format!(
                "{them} old enough by the wall clock alone and {are}: trust_clock goes by it"
            ));
        }
        Ok(Plan {
            registry: self.registry.clone(),
            lines,
            held_back,
        })
    }
}

impl Retention<'_> {
    /// A misspelt metric would keep nothing.
    fn refuse_unknown_metrics(&self, models: &[String]) -> Result<()> {
        let best = self.policy.rules.iter().filter_map(|rule| match rule {
            Rule::Best(_, metric, _) => Some(metric),
            _ => None,
        });
        let mut best = best.peekable();
        if best.peek().is_none() {
            return Ok(());
        }
        let known = self.registry.core().store.read(|view| {
            let mut known = BTreeSet::new();
            let mut checkpoints = 0;
            for model in models {
                if let Some(row) = view.model(model)? {
                    checkpoints += row.checkpoints;
                    known.extend(row.metrics.into_iter().map(|(name, _)| name));
                }
            }
            Ok((checkpoints > 0).then_some(known))
        })?;
        // Without checkpoints there is nothing to delete.
        let Some(known) = known else { return Ok(()) };
        match best.find(|metric| !known.contains(*metric)) {
            None => Ok(()),
            Some(metric) => Err(Error::UnknownMetric {
                model: self.model.clone().unwrap_or_else(|| "any model".to_owned()),
                metric: metric.clone(),
                known: known.into_iter().collect(),
            }),
        }
    }
}

/// Decides about one model's checkpoints. Also returns the number of checkpoints that stay because
/// only the wall clock calls them old.
fn decide(
    core: &Core,
    view: &mut impl RegistryView,
    model: &str,
    policy: &Policy,
    ages: &Ages,
) -> Result<(Vec<Planned>, u64)> {
    let prefix = keys::prefix(&[model]);
    let mut found = Vec::new();
    for (_, id) in view.ids(
        crate::engine::kv::tables::Table::Newest,
        &prefix,
        None,
        usize::MAX,
    )? {
        if let Some(row) = view.checkpoint(&id)? {
            found.push(Checkpoint::new(&*id, row, &core.root));
        }
    }
    let mut kept: HashMap<String, String> = HashMap::new();
    let mut unproven: Vec<(&str, &Duration)> = Vec::new();
    let mut keep = |id: &str, rule: String| {
        kept.entry(id.to_owned()).or_insert(rule);
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
    for rule in &policy.rules {
        match rule {
            Rule::Latest(n) => {
                for found in found.iter().take(*n) {
                    keep(found.id(), format!("latest {n}"));
                }
            }
            Rule::Best(n, metric, mode) => {
                for (id, _) in view.ranked(model, metric, *mode, *n)? {
                    keep(&id, format!("best {n} by {metric} ({mode})"));
                }
            }
            Rule::EverySteps(every) => {
                let mut first: HashMap<u64, (u64, &str)> = HashMap::new();
                for found in &found {
                    let Some(step) = found.step() else { continue };
                    let known = first.entry(step / every).or_insert((step, found.id()));
                    if step < known.0 {
                        *known = (step, found.id());
                    }
                }
                for (_, id) in first.into_values() {
                    keep(id, format!("every {every} steps"));
                }
            }
            Rule::NewerThan(age) => {
                let from = Timestamp::from_micros(core.now()).saturating_sub(*age);
                let rows: Vec<_> = found.iter().map(Checkpoint::row).collect();
                for (found, elapsed) in found.iter().zip(ages.of(&rows)) {
                    let by_clock = found.created() < from;
                    match (by_clock, elapsed > *age) {
                        (true, _) if policy.trust_clock => {}
                        // A clock that is behind calls everything young for ever.
                        (_, true) if !policy.trust_clock => {}
                        (true, _) => unproven.push((found.id(), age)),
                        (false, _) => keep(found.id(), format!("newer than {age:?}")),
                    }
                }
            }
            Rule::Tagged(tag) => {
                for found in found.iter().filter(|found| found.tags().contains(tag)) {
                    keep(found.id(), format!("tagged {tag:?}"));
                }
            }
        }
    }
    // A model to which no rule applies is left alone: without the metric, the tag or steps it would
    // lose all checkpoints but the newest.
    if !policy.rules.iter().any(|rule| applies(rule, &found)) {
        for found in &found {
            keep(found.id(), "no rule applies to its model".to_owned());
        }
    }
    let mut held_back = 0;
    for (id, age) in unproven {
        if !kept.contains_key(id) {
            kept.insert(
                id.to_owned(),
                format!("older than {age:?} by the wall clock alone"),
            );
            held_back += 1;
        }
    }
    let lines = found.into_iter().map(|checkpoint| {
        let rule = kept.remove(checkpoint.id());
        let decision = if rule.is_some() {
            Decision::Keep
        } else {
            Decision::Delete
        };
        Planned {
            checkpoint,
            decision,
            rule: rule.unwrap_or_else(|| "no rule keeps it".to_owned()),
        }
    });
    let lines = lines.collect();
    Ok((lines, held_back))
}

/// Whether a rule can keep any of these.
fn applies(rule: &Rule, found: &[Checkpoint]) -> bool {
    match rule {
        Rule::Latest(_) | Rule::NewerThan(_) => true,
        Rule::Best(_, metric, _) => found.iter().any(|found| found.metric(metric).is_some()),
        Rule::EverySteps(_) => found.iter().any(|found| found.step().is_some()),
        Rule::Tagged(tag) => found.iter().any(|found| found.tags().contains(tag)),
    }
}

impl Plan {
    /// Every examined checkpoint, with its fate and the reason.
    #[must_use]
    pub fn lines(&self) -> &[Planned] {
        &self.lines
    }

    /// Why checkpoints stay that the policy's ages would delete by the wall clock, one line for
    /// each reason. Empty if nothing does.
    #[must_use]
    pub fn held_back(&self) -> &[String] {
        &self.held_back
    }

    /// The checkpoints that would be deleted.
    pub fn deletions(&self) -> impl Iterator<Item = &Checkpoint> {
        let lines = self.lines.iter();
        let deleted = lines.filter(|line| line.decision == Decision::Delete);
        deleted.map(|line| &line.checkpoint)
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
    pub fn apply(self) -> Result<Applied> {
        let core = self.registry.core();
        let doomed: Vec<&Checkpoint> = self.deletions().collect();
        let changes = core.store.read(|view| changes(view, &doomed))?;
        if !changes.is_empty() {
            return Err(Error::PlanOutdated {
                changes,
                deleted: 0,
            });
        }
        let now = core.now();
        let mut applied = Applied {
            deleted: Vec::new(),
            bytes: 0,
        };
        for slice in doomed.chunks(SLICE) {
            core.step("delete");
            let done = core.store.write(|change| delete_all(change, slice, now));
            core.watches.nudge();
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
            for gone in slice {
                core.say(CheckpointAction::Deleted, gone.model(), gone.id(), WHY);
                applied.deleted.push(gone.id().to_owned());
                if gone.origin() == crate::registry::Origin::Saved {
                    applied.bytes = applied.bytes.saturating_add(gone.bytes());
                }
            }
            remove_files(core, &leaving)?;
        }
        Ok(applied)
    }
}

const WHY: &str = "retention: no rule kept it";

fn delete_all(
    change: &mut RegistryChange<'_, '_>,
    slice: &[&Checkpoint],
    now: i64,
) -> Result<Vec<(String, Vec<String>)>> {
    let changes = changes(change, slice)?;
    if !changes.is_empty() {
        return Err(Error::PlanOutdated {
            changes,
            deleted: 0,
        });
    }
    let mut leaving = Vec::with_capacity(slice.len());
    for gone in slice {
        let note = DeletedRow {
            model: gone.row().model.clone(),
            at: now,
            why: WHY.to_owned(),
        };
        let files = files_of(gone.id(), gone.row());
        change.delete(gone.id(), &note, &files)?;
        leaving.push((gone.id().to_owned(), files));
    }
    Ok(leaving)
}

/// Differences from the state that the plan was made from, as far as they concern these
/// checkpoints.
fn changes(view: &mut impl RegistryView, doomed: &[&Checkpoint]) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    for planned in doomed {
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

fn same(
    now: &super::tables::rows::CheckpointRow,
    then: &super::tables::rows::CheckpointRow,
) -> bool {
    let bits = |row: &super::tables::rows::CheckpointRow| -> Vec<(String, u64)> {
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
