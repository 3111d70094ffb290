//! Sums by group.

use ahash::AHashMap;

use super::group::{GroupKey, Grouping};
use super::rollup::Combination;
use super::rollup::sums::{OutcomeChange, Rollup};
use crate::engine::format::row::NameId;
use crate::engine::format::scan::ScannedDecision;
use crate::entry::error::{Error, Result};
use crate::entry::timestamp::Timestamp;

/// Sums of the decisions of each group.
pub(super) struct Totals {
    grouping: Grouping,
    groups: Vec<(GroupKey, Rollup)>,
    places: AHashMap<GroupKey, usize>,
    last: usize,
    /// Where the period of the last time was found.
    near: usize,
    /// Groups that are kept at most.
    most: usize,
    /// Whether there were more. Decisions that did not fit are in no group.
    overflown: bool,
    spare: Rollup,
}

/// Groups that one answer may have: each takes some 1.5 kB.
const MOST_GROUPS: usize = 1 << 19;

impl Totals {
    pub(super) fn new(grouping: Grouping) -> Self {
        Totals {
            grouping,
            groups: Vec::new(),
            places: AHashMap::new(),
            last: 0,
            near: 0,
            most: MOST_GROUPS,
            overflown: false,
            spare: Rollup::default(),
        }
    }

    /// Refuses an answer that was cut short.
    pub(super) fn check(&self) -> Result<()> {
        if !self.overflown {
            return Ok(());
        }
        Err(Error::InvalidOption {
            name: "by",
            value: format!("more than {} groups", self.most),
            advice: "ask about one symbol, fewer names or a shorter time, or read the decisions",
        })
    }

    /// `None` if the time lies between periods.
    #[inline]
    fn key(&mut self, time: Timestamp, whose: Combination) -> Option<GroupKey> {
        let grouping = &self.grouping;
        let if_divided = |divided: bool, name| if divided { name } else { NameId::NONE };
        Some(GroupKey {
            bucket: grouping.time.bucket(time, &mut self.near)?,
            model: if_divided(grouping.model, whose.model),
            symbol: if_divided(grouping.symbol, whose.symbol),
            checkpoint: if_divided(grouping.checkpoint, whose.checkpoint),
            action: NameId::NONE,
        })
    }

    /// Sum of the decisions of a group so far.
    #[inline]
    fn group(&mut self, key: GroupKey) -> &mut Rollup {
        // Decisions and rows that follow each other are often of one group.
        if self
            .groups
            .get(self.last)
            .is_none_or(|group| group.0 != key)
        {
            if self.groups.len() >= self.most && !self.places.contains_key(&key) {
                // The sums go on into a spare row, so that callers need no error on each addition.
                self.overflown = true;
                self.spare = Rollup::default();
                return &mut self.spare;
            }
            self.last = *self.places.entry(key).or_insert_with(|| {
                self.groups.push((key, Rollup::default()));
                self.groups.len() - 1
            });
        }
        &mut self.groups[self.last].1
    }

    /// Adds a rollup of decisions that lie, all of them, in the group of `time`.
    pub(super) fn add_rollup(&mut self, time: Timestamp, whose: Combination, rollup: &Rollup) {
        let Some(mut key) = self.key(time, whose) else {
            return;
        };
        if !self.grouping.action {
            self.group(key).merge(rollup);
            return;
        }
        // Quantiles and memory are stored for all actions together, so rows by action have none.
        for (action, cell) in &rollup.cells {
            key.action = *action;
            self.group(key).cell(*action).merge(cell);
        }
    }

    /// Adds a decision.
    #[inline]
    pub(super) fn add(&mut self, event: &ScannedDecision) {
        let Some(mut key) = self.key(event.event, Combination::of(event)) else {
            return;
        };
        if !self.grouping.action {
            self.group(key).add(event);
            return;
        }
        key.action = event.action;
        let group = self.group(key);
        group.cell(event.action).add(event);
    }

    /// Adds a new outcome of a decision.
    pub(super) fn change(&mut self, change: &OutcomeChange) {
        let event = &change.event;
        let Some(mut key) = self.key(event.event, Combination::of(event)) else {
            return;
        };
        if self.grouping.action {
            key.action = event.action;
        }
        self.group(key).change(change);
    }

    /// Makes sure that there is this group, be it empty.
    pub(super) fn ensure(&mut self, key: GroupKey) {
        self.group(key);
    }

    /// Makes sure that there is a group that can say what is missing of a combination at a time.
    /// There is none by action: the action is unknown.
    pub(super) fn ensure_of(&mut self, time: Timestamp, whose: Combination) {
        if let Some(key) = self.key(time, whose).filter(|_| !self.grouping.action) {
            self.group(key);
        }
    }

    /// The period of a time.
    pub(super) fn bucket(&mut self, time: Timestamp) -> Option<i64> {
        self.grouping.time.bucket(time, &mut self.near)
    }

    pub(super) fn grouping(&self) -> &Grouping {
        &self.grouping
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.iter().map(|group| &group.0)
    }

    pub(super) fn into_groups(self) -> impl Iterator<Item = (GroupKey, Rollup)> {
        self.groups.into_iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn more_groups_than_an_answer_may_have_are_refused() {
        let mut totals = Totals::new(Grouping::default());
        totals.most = 3;
        for bucket in [1, 2, 3, 2, 1] {
            totals.ensure(GroupKey {
                bucket,
                ..GroupKey::default()
            });
        }
        assert!(totals.check().is_ok());
        for bucket in 4..1_000 {
            totals.ensure(GroupKey {
                bucket,
                ..GroupKey::default()
            });
        }
        assert_eq!(totals.keys().count(), 3);
        let error = totals.check().unwrap_err();
        assert!(error.to_string().contains("more than 3 groups"), "{error}");
    }
}
