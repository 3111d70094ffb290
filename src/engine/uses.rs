//! Which names and runs entries need, so that those of retired entries can be forgotten.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::format::block::StoredEntry;
use super::format::codec::Stored;
use super::format::row::NameId;

/// Names below it have a bit each, of two megabytes.
const DENSE: NameId = NameId::new(1 << 24);

/// Names and runs that some entries need.
#[derive(Default)]
pub(crate) struct Uses {
    /// One bit for each name: ids are dense, and a million rows per second are examined.
    names: Vec<u64>,
    /// Names from [`DENSE`] on: an id that a file made up must not take half a gigabyte.
    more: BTreeSet<NameId>,
    runs: BTreeSet<u32>,
    last_run: Option<u32>,
}

/// [`Uses`] as a segment's file states them.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UsesRow {
    pub(crate) names: Vec<NameId>,
    pub(crate) runs: Vec<u32>,
}

impl Stored for UsesRow {}

impl Uses {
    pub(crate) fn see(&mut self, entry: &StoredEntry) {
        entry.row.each_name(|name| self.see_name(name));
        self.see_run(entry.run());
    }

    pub(crate) fn see_run(&mut self, run: u32) {
        if self.last_run != Some(run) {
            self.last_run = Some(run);
            self.runs.insert(run);
        }
    }

    pub(crate) fn see_name(&mut self, name: NameId) {
        if name >= DENSE {
            self.more.insert(name);
            return;
        }
        let (word, bit) = (name.get() as usize / 64, name.get() % 64);
        if self.names.len() <= word {
            self.names.resize(word + 1, 0);
        }
        if let Some(word) = self.names.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    pub(crate) fn add(&mut self, row: &UsesRow) {
        row.names.iter().for_each(|name| self.see_name(*name));
        self.runs.extend(&row.runs);
    }

    pub(crate) fn has_name(&self, name: NameId) -> bool {
        if name >= DENSE {
            return self.more.contains(&name);
        }
        let word = self.names.get(name.get() as usize / 64);
        word.is_some_and(|word| word & (1 << (name.get() % 64)) != 0)
    }

    pub(crate) fn has_run(&self, run: u32) -> bool {
        self.runs.contains(&run)
    }

    pub(crate) fn row(&self) -> UsesRow {
        let names = (0_u32..).zip(&self.names).flat_map(|(index, word)| {
            let set = move |bit: &u32| word & (1 << bit) != 0;
            (0..64)
                .filter(set)
                .map(move |bit| NameId::new(index * 64 + bit))
        });
        UsesRow {
            names: names
                .filter(|name| *name != NameId::NONE)
                .chain(self.more.iter().copied())
                .collect(),
            runs: self.runs.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_found_again() {
        let mut uses = Uses::default();
        for name in [0, 1, 63, 64, 1_000_000, u32::MAX].map(NameId::new) {
            uses.see_name(name);
        }
        uses.runs.insert(7);
        let row = uses.row();
        assert_eq!(row.names, [1, 63, 64, 1_000_000, u32::MAX].map(NameId::new));
        assert!(uses.names.len() < 20_000 && uses.has_name(NameId::MAX));
        let mut again = Uses::default();
        again.add(&row);
        assert!(
            again.has_name(NameId::new(63))
                && again.has_name(NameId::new(1_000_000))
                && again.has_run(7)
        );
        assert!(
            !again.has_name(NameId::new(2))
                && !again.has_name(NameId::new(2_000_000))
                && !again.has_run(8)
        );
    }
}
