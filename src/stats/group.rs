//! The groups of a statistic, and its rows then.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use super::periods::Division;
use super::result::Stats;
use super::rollup::Resolution;
use crate::engine::format::row::NameId;
use crate::entry::error::{Error, Result};
use crate::entry::timestamp::Timestamp;

/// Common property of the decisions of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Group {
    /// The model that decided.
    Model,
    /// Symbol of the decision.
    Symbol,
    /// The checkpoint that decided.
    Checkpoint,
    /// Decided actions. Such rows have neither quantiles of times nor memory nor a first and last
    /// time: these are not kept by action.
    Action,
    /// The hour of event time, UTC; for others see
    /// [`StatsQuery::by_periods`](super::StatsQuery::by_periods).
    Hour,
    /// The day of event time, UTC; for those of a time zone see
    /// [`StatsQuery::by_periods`](super::StatsQuery::by_periods).
    Day,
}

impl Group {
    const ALL: [Group; 6] = [
        Group::Model,
        Group::Symbol,
        Group::Checkpoint,
        Group::Action,
        Group::Hour,
        Group::Day,
    ];

    /// Its name in lower case.
    ///
    /// ```
    /// use annals::Group;
    ///
    /// assert_eq!(Group::Checkpoint.as_str(), "checkpoint");
    /// assert_eq!("checkpoint".parse::<Group>()?, Group::Checkpoint);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Group::Model => "model",
            Group::Symbol => "symbol",
            Group::Checkpoint => "checkpoint",
            Group::Action => "action",
            Group::Hour => "hour",
            Group::Day => "day",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads what [`Group::as_str`] gives.
///
/// ```
/// use annals::Group;
///
/// assert_eq!("checkpoint".parse::<Group>()?, Group::Checkpoint);
/// # Ok::<(), annals::Error>(())
/// ```
impl FromStr for Group {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Group::ALL.into_iter().find(|group| group.as_str() == text);
        found.ok_or_else(|| Error::Parse {
            what: "group",
            text: text.to_owned(),
            expected: "model, symbol, checkpoint, action, hour or day",
        })
    }
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
                Division::Level(Resolution::Hour)
            } else if has(Group::Day) {
                Division::Level(Resolution::Day)
            } else {
                Division::None
            },
        }
    }
}

/// Property that groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grouping {
    pub(super) model: bool,
    pub(super) symbol: bool,
    pub(super) checkpoint: bool,
    pub(super) action: bool,
    pub(super) time: Division,
}

impl Grouping {
    /// The part of `times` that a group is about.
    pub(super) fn range_of(
        &self,
        bucket: i64,
        times: &RangeInclusive<Timestamp>,
    ) -> RangeInclusive<Timestamp> {
        match self.time.range(bucket) {
            Some(range) => {
                let start = *range.start().max(times.start());
                start..=*range.end().min(times.end())
            }
            None => times.clone(),
        }
    }
}

/// A group; a property that does not group is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    pub(super) bucket: i64,
    pub(super) model: NameId,
    pub(super) symbol: NameId,
    pub(super) checkpoint: NameId,
    pub(super) action: NameId,
}

/// The statistics of one group.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct StatsRow {
    /// The beginning of its hour, day or period, if divided by one.
    pub time: Option<Timestamp>,
    /// Its end: the beginning of what follows. Days of a time zone have 23 or 25 hours now and
    /// then.
    pub end: Option<Timestamp>,
    /// The name of its period, if divided by [periods](super::Periods) that have names.
    pub period: Option<Arc<str>>,
    /// Its model, if divided by model.
    pub model: Option<Arc<str>>,
    /// Its symbol, if divided by symbol.
    pub symbol: Option<Arc<str>>,
    /// Its checkpoint, if divided by checkpoint; `None` also for decisions without one.
    pub checkpoint: Option<Arc<str>>,
    /// Its action, if divided by action.
    pub action: Option<Arc<str>>,
    /// Sum of its decisions.
    pub stats: Stats,
}

impl GroupKey {
    pub(super) fn row(
        &self,
        grouping: &Grouping,
        stats: Stats,
        name: &mut impl FnMut(NameId) -> Result<Option<Arc<str>>>,
    ) -> Result<StatsRow> {
        let range = grouping.time.range(self.bucket);
        let period = match &grouping.time {
            Division::Periods(periods) => periods.name(self.bucket),
            _ => None,
        };
        Ok(StatsRow {
            time: range.as_ref().map(|range| *range.start()),
            end: range.map(|range| range.end().moved_by(1)),
            period,
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
