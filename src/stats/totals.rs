//! Sums by group.

use ahash::AHashMap;

use super::group::{GroupKey, Grouping};
use crate::format::scan::Event;
use crate::rollup::Combination;
use crate::rollup::row::{Change, Rollup};

/// What the decisions of each group add up to.
pub(super) struct Totals {
    grouping: Grouping,
    groups: Vec<(GroupKey, Rollup)>,
    places: AHashMap<GroupKey, usize>,
    last: usize,
}

impl Totals {
    pub(super) fn new(grouping: Grouping) -> Self {
        Totals {
            grouping,
            groups: Vec::new(),
            places: AHashMap::new(),
            last: 0,
        }
    }

    #[inline]
    fn key(&self, time: i64, whose: Combination) -> GroupKey {
        let grouping = self.grouping;
        let if_divided = |divided: bool, name| if divided { name } else { 0 };
        GroupKey {
            bucket: grouping.time.map_or(0, |level| level.bucket(time)),
            model: if_divided(grouping.model, whose.model),
            symbol: if_divided(grouping.symbol, whose.symbol),
            checkpoint: if_divided(grouping.checkpoint, whose.checkpoint),
            action: 0,
        }
    }

    /// What the decisions of a group add up to so far.
    #[inline]
    fn group(&mut self, key: GroupKey) -> &mut Rollup {
        if self
            .groups
            .get(self.last)
            .is_none_or(|group| group.0 != key)
        {
            self.last = *self.places.entry(key).or_insert_with(|| {
                self.groups.push((key, Rollup::default()));
                self.groups.len() - 1
            });
        }
        &mut self.groups[self.last].1
    }

    /// Adds a rollup of decisions that lie, all of them, in the group of `time`.
    pub(super) fn add_rollup(&mut self, time: i64, whose: Combination, rollup: &Rollup) {
        let mut key = self.key(time, whose);
        if !self.grouping.action {
            self.group(key).merge(rollup);
            return;
        }
        for (action, cell) in &rollup.cells {
            key.action = *action;
            self.group(key).cell(*action).merge(cell);
        }
    }

    /// Adds a decision.
    #[inline]
    pub(super) fn add(&mut self, event: &Event) {
        let mut key = self.key(event.event, Combination::of(event));
        if !self.grouping.action {
            self.group(key).add(event);
            return;
        }
        key.action = event.action;
        let group = self.group(key);
        group.cell(event.action).add(event);
    }

    /// Adds what turned out anew for a decision.
    pub(super) fn change(&mut self, change: &Change) {
        let event = &change.event;
        let mut key = self.key(event.event, Combination::of(event));
        if self.grouping.action {
            key.action = event.action;
        }
        self.group(key).change(change);
    }

    /// Makes sure that there is this group, be it empty.
    pub(super) fn ensure(&mut self, key: GroupKey) {
        self.group(key);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.iter().map(|group| &group.0)
    }

    /// Decisions in all groups.
    pub(super) fn events(&self) -> u64 {
        let events = self.groups.iter().map(|group| group.1.events());
        events.fold(0, u64::saturating_add)
    }

    pub(super) fn into_groups(self) -> impl Iterator<Item = (GroupKey, Rollup)> {
        self.groups.into_iter()
    }
}
