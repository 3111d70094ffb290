//! By what a statistic is divided, and the rows that it then has.

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Serialize;

use super::result::Stats;
use crate::error::Result;
use crate::format::row::NameId;
use crate::rollup::Level;
use crate::timestamp::Timestamp;

/// What the decisions of a row have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Group {
    /// The model that decided.
    Model,
    /// What was decided about.
    Symbol,
    /// The checkpoint that decided.
    Checkpoint,
    /// What was decided. Such rows have neither quantiles of times nor memory nor a first and last
    /// time: these are not kept by action.
    Action,
    /// The hour of event time, UTC.
    Hour,
    /// The day of event time, UTC.
    Day,
}

/// One or several [`Group`]s; made from one, or from an array or slice of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Vec<Group>);

impl From<Group> for Groups {
    fn from(group: Group) -> Self {
        Groups(vec![group])
    }
}

impl<const N: usize> From<[Group; N]> for Groups {
    fn from(groups: [Group; N]) -> Self {
        Groups(groups.into())
    }
}

impl From<&[Group]> for Groups {
    fn from(groups: &[Group]) -> Self {
        Groups(groups.into())
    }
}

impl Groups {
    pub(super) fn grouping(&self) -> Grouping {
        let has = |group| self.0.contains(&group);
        Grouping {
            model: has(Group::Model),
            symbol: has(Group::Symbol),
            checkpoint: has(Group::Checkpoint),
            action: has(Group::Action),
            time: if has(Group::Hour) {
                Some(Level::Hour)
            } else if has(Group::Day) {
                Some(Level::Day)
            } else {
                None
            },
        }
    }
}

/// By what is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grouping {
    pub(super) model: bool,
    pub(super) symbol: bool,
    pub(super) checkpoint: bool,
    pub(super) action: bool,
    pub(super) time: Option<Level>,
}

impl Grouping {
    /// The coarsest rollups that do not mix groups.
    pub(super) fn coarsest(self) -> Level {
        self.time.unwrap_or(Level::Day)
    }

    /// The part of `times` that a group is about.
    pub(super) fn range_of(
        self,
        key: &GroupKey,
        times: &RangeInclusive<i64>,
    ) -> RangeInclusive<i64> {
        match self.time {
            Some(level) => {
                let start = level.start(key.bucket).max(*times.start());
                start..=level.last(key.bucket).min(*times.end())
            }
            None => times.clone(),
        }
    }
}

/// A group; what is not divided by is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    pub(super) bucket: i64,
    pub(super) model: NameId,
    pub(super) symbol: NameId,
    pub(super) checkpoint: NameId,
    pub(super) action: NameId,
}

/// The statistics of one group.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StatsRow {
    /// The beginning of its hour or day, if divided by one.
    pub time: Option<Timestamp>,
    /// Its model, if divided by model.
    pub model: Option<Arc<str>>,
    /// Its symbol, if divided by symbol.
    pub symbol: Option<Arc<str>>,
    /// Its checkpoint, if divided by checkpoint; `None` also for decisions without one.
    pub checkpoint: Option<Arc<str>>,
    /// Its action, if divided by action.
    pub action: Option<Arc<str>>,
    /// What its decisions add up to.
    pub stats: Stats,
}

impl GroupKey {
    pub(super) fn row(
        &self,
        grouping: Grouping,
        stats: Stats,
        name: &mut impl FnMut(NameId) -> Result<Option<Arc<str>>>,
    ) -> Result<StatsRow> {
        let time = grouping.time.map(|level| level.start(self.bucket));
        Ok(StatsRow {
            time: time.map(Timestamp::from_micros),
            model: name(self.model)?,
            symbol: name(self.symbol)?,
            checkpoint: name(self.checkpoint)?,
            action: name(self.action)?,
            stats,
        })
    }
}

impl StatsRow {
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let time = self.time.cmp(&other.time);
        time.then_with(|| self.names().cmp(&other.names()))
    }

    fn names(&self) -> [&Option<Arc<str>>; 4] {
        [&self.model, &self.symbol, &self.checkpoint, &self.action]
    }
}
