//! The rest of the hot file: each row that can be read, and the tables that lack some.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use super::fill::{fill, firsts, rows};
use super::salvage_scan::salvage_scan;
use super::segment::SegmentSlot;
use super::{CACHE_BYTES, SequenceLayout};
use crate::engine::directory::Directory;
use crate::engine::format::block::StoredEntry;
use crate::engine::format::codec;
use crate::engine::keys;
use crate::engine::kv::{Kv, ReadTransaction, Table};
use crate::engine::lost_ranges::MOST_LOST;
use crate::engine::meta;
use crate::engine::meta::{Extent, Identity};
use crate::engine::retired;
use crate::engine::segments;
use crate::engine::segments::{Registered, file_name, files, stated_journal};
use crate::engine::uses::Uses;
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::maintenance::verify::defect::DefectKind;
use crate::maintenance::verify::{
    Findings, check_cursors, check_engine, check_hot, check_names, check_runs, check_value,
};
use crate::stats::folding::folded;

/// A key and a payload.
pub(super) type Raw = (Vec<u8>, Vec<u8>);

/// Numbers in keys are looked for below it where the journal's end is not known.
const FAR: Sequence = Sequence::new(1 << 32);

/// The hot file as far as it can be read.
pub(super) struct Salvage {
    pub(super) kv: Option<Kv>,
    pub(super) path: PathBuf,
    directory: Directory,
    /// No number in a key is as high, as far as is known.
    end: Sequence,
    /// Tables that could not be read to the end.
    incomplete: RefCell<BTreeSet<String>>,
}

impl Salvage {
    /// Opens the existing files. A journal in another format is refused.
    pub(super) fn open(directory: &Directory) -> Result<Self> {
        let path = directory.hot_file();
        let kv = match Kv::salvage(&path, CACHE_BYTES) {
            // A file that others have open is not damaged, and must not be written anew.
            Err(error @ Error::InUse { .. }) => return Err(error),
            opened => opened,
        };
        let mut salvage = Salvage {
            path,
            end: FAR,
            directory: directory.clone(),
            incomplete: RefCell::default(),
            kv: match kv {
                Ok(kv) => Some(kv),
                // Without segments there is nothing to repair from: this may be no journal at all.
                Err(error) if files(directory).is_empty() => return Err(error),
                Err(_) => None,
            },
        };
        // A later format is whole to its own version. Repairing it would lose all of it.
        if let Some(Err(error @ Error::UnknownFormat { .. })) = salvage.read(meta::identity) {
            return Err(error);
        }
        if let Some(Ok(extent)) = salvage.read(meta::extent) {
            // Some room beyond the stored end. Keys that are farther out are damage.
            salvage.end = extent.next.saturating_add(1 << 16);
        }
        if salvage.kv.is_some() && files(directory).is_empty() && salvage.is_nothing() {
            let why = "nothing of it can be read";
            return Err(meta::damaged(&salvage.path, "journal", why));
        }
        Ok(salvage)
    }

    fn is_nothing(&self) -> bool {
        let known = self
            .read(meta::known_identity)
            .is_some_and(|read| read.is_ok());
        let blocks = self
            .kv
            .as_ref()
            .map(|kv| firsts(kv, &(Sequence::ZERO..self.end)));
        !known && blocks.is_none_or(|blocks| blocks.is_empty())
    }

    fn read<T>(
        &self,
        body: impl FnOnce(&ReadTransaction<'_>, &std::path::Path) -> Result<T>,
    ) -> Option<Result<T>> {
        let kv = self.kv.as_ref()?;
        Some(kv.read(|snapshot| body(snapshot, &self.path)))
    }

    /// The result of `body`; if it fails, `what` is incomplete.
    pub(super) fn known<T>(
        &self,
        what: &str,
        body: impl FnOnce(&ReadTransaction<'_>, &std::path::Path) -> Result<T>,
    ) -> Option<T> {
        let known = self.read(body).and_then(Result::ok);
        if known.is_none() {
            self.lacks(what);
        }
        known
    }

    fn lacks(&self, what: &str) {
        self.incomplete.borrow_mut().insert(what.to_owned());
    }

    pub(super) fn incomplete(&self) -> Vec<String> {
        self.incomplete.borrow().iter().cloned().collect()
    }

    /// Every row of `table` that can be read.
    pub(super) fn rows(&self, table: Table) -> Vec<Raw> {
        let mut found = Vec::new();
        self.each(table, &mut |key, payload| {
            found.push((key.to_vec(), payload.to_vec()))
        });
        // A scan around damage gives rows in the order in which it finds them.
        found.sort_unstable();
        found
    }

    /// Shows every row of `table` that can be read; returns whether those are all.
    pub(super) fn each(&self, table: Table, see: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let mut whole = self.kv.is_some();
        if let Some(kv) = &self.kv {
            let reached = salvage_scan(kv, table, self.end, &mut |key, value| match value {
                // A value that was made up is as good as one that is damaged.
                Ok(payload) if check_value(table, &self.path, key, payload).is_ok() => {
                    see(key, payload);
                }
                _ => whole = false,
            });
            whole &= reached;
        }
        if !whole {
            self.lacks(table.name());
        }
        whole
    }

    /// Checks the hot file alone; returns the extent and the segments in it.
    pub(super) fn check(
        &self,
        uses: &mut Uses,
        findings: &mut Findings,
    ) -> (Extent, Vec<Registered>) {
        let checked = self.read(|snapshot, path| Ok(check_hot(snapshot, path, uses, findings)));
        let tables = self.read(|snapshot, _| snapshot.check_tables());
        check_engine(&self.path, findings);
        if let Some(Err(error)) = tables {
            findings.report(DefectKind::Unreadable, &self.path, None, error.to_string());
        }
        match checked {
            Some(Ok(known)) => known,
            _ => {
                findings.report(
                    DefectKind::Unreadable,
                    &self.path,
                    None,
                    "it cannot be read",
                );
                (Extent::new(), Vec::new())
            }
        }
    }

    /// Checks names, runs and cursors against what all entries need.
    pub(super) fn check_uses(&self, uses: &Uses, findings: &mut Findings) {
        let checked = self.read(|snapshot, path| {
            check_names(snapshot, path, uses, findings);
            check_runs(snapshot, path, uses, findings);
            check_cursors(snapshot, path, findings);
            Ok(())
        });
        if !matches!(checked, Some(Ok(()))) {
            findings.report(
                DefectKind::Unreadable,
                &self.path,
                None,
                "it cannot be read",
            );
        }
    }

    /// Identity of the journal: its own, or that in its segments, or a new one.
    pub(super) fn identity(&self, now: Timestamp) -> Result<Identity> {
        if let Some(identity) = self.known("meta identity", meta::known_identity) {
            return Ok(identity);
        }
        let mut identity = Identity::draw(None, now)?;
        let mut ends = BTreeMap::new();
        for (first, next) in files(&self.directory) {
            let file = self.directory.segments().join(file_name(first, next));
            let stated = Kv::salvage(&file, CACHE_BYTES).and_then(|kv| stated_journal(&kv));
            if let Ok(Some(journal)) = stated {
                // The last file holds: segments from before a restore state the older journal.
                identity.id = journal;
                ends.insert(journal, next);
            }
        }
        ends.remove(&identity.id);
        identity.ancestors = ends.into_iter().collect();
        Ok(identity)
    }

    /// Which sequences there are, and where they should be, from all that can be read of it.
    pub(super) fn layout(&self) -> SequenceLayout {
        let extent = self.known("meta extent", meta::extent);
        let retired = self.known("meta retired", retired::read);
        let hot = self
            .kv
            .as_ref()
            .map(|kv| firsts(kv, &(Sequence::ZERO..self.end)))
            .unwrap_or_default();
        let last = hot.last().and_then(|first| rows(self.kv.as_ref()?, *first));
        let last = last.and_then(|rows| rows.last().map(StoredEntry::next));
        // The existing files show how far the journal can reach.
        let seen = [
            self.registered().last().map(|slot| slot.range.end),
            files(&self.directory).last().map(|file| file.1),
            last,
        ];
        let seen = seen.into_iter().flatten().max().unwrap_or(Sequence::FIRST);
        // A false number must not become a lost range of millions of entries.
        let can_be = |end: &Sequence| *end <= seen.saturating_add(MOST_LOST);
        let extent = extent.filter(|extent| can_be(&extent.next));
        let retired = retired.filter(|row| can_be(&Sequence::new(row.entries)));
        if extent.is_none() {
            self.lacks("meta extent");
        }
        let mut kept = extent.map(|extent| extent.kept);
        kept = kept.or(retired.map(|row| Sequence::FIRST.saturating_add(row.entries)));
        let first_hot = extent.map(|extent| extent.hot);
        let mut slots = self.registered();
        for (first, next) in files(&self.directory) {
            let free = |slot: &SegmentSlot| slot.range.end <= first || next <= slot.range.start;
            let fits = match first_hot {
                Some(first_hot) => next <= first_hot,
                // Blocks that can be read are better than a file that cannot.
                None => {
                    !hot.iter().any(|block| (first..next).contains(block))
                        || self.is_whole(first, next)
                }
            };
            if fits && kept.is_none_or(|kept| first >= kept) && slots.iter().all(free) {
                let range = first..next;
                slots.push(SegmentSlot { range, row: None });
                slots.sort_unstable_by_key(|slot| slot.range.start);
            }
        }
        slots.retain(|slot| kept.is_none_or(|kept| slot.range.start >= kept));
        let lowest = slots.first().map(|slot| slot.range.start);
        let kept = kept
            .or(lowest)
            .or(hot.first().copied())
            .unwrap_or(Sequence::FIRST);
        let after = slots.last().map_or(kept, |slot| slot.range.end);
        // Entries of a segment are not in the hot file, whatever the extent says.
        let first_hot = first_hot.unwrap_or(after).max(after);
        let mut all = Vec::new();
        let mut next = kept;
        for slot in slots {
            if slot.range.start.since(next) > MOST_LOST {
                // A file or a row with a false number.
                continue;
            }
            if next < slot.range.start {
                let range = next..slot.range.start;
                all.push(SegmentSlot { range, row: None });
            }
            next = slot.range.end;
            all.push(slot);
        }
        if next < first_hot {
            all.push(SegmentSlot {
                range: next..first_hot,
                row: None,
            });
        }
        let folded = self.known("meta folded", folded::read);
        let cursors = self.rows(Table::Cursors).into_iter();
        let cursors = cursors.filter_map(|(_, row)| {
            codec::decode(&row)
                .ok()
                .map(|row: crate::engine::cursors::CursorRow| row.next)
        });
        let ends = [
            extent.map(|extent| extent.next),
            last,
            folded.map(|folded| folded.farthest()),
            cursors.max(),
        ];
        let next = ends
            .into_iter()
            .flatten()
            .filter(can_be)
            .max()
            .unwrap_or(first_hot)
            .max(first_hot);
        SequenceLayout {
            slots: all,
            extent: Extent {
                next,
                hot: first_hot,
                kept,
                hot_bytes: 0,
                // A list of segments that was cached by the old number is not used again.
                generation: extent.map_or(1, |extent| extent.generation.saturating_add(1)),
            },
        }
    }

    /// The registrations that can be read, without those that do not fit the ones before.
    fn registered(&self) -> Vec<SegmentSlot> {
        let mut slots: Vec<SegmentSlot> = Vec::new();
        for (key, payload) in self.rows(Table::Segments) {
            let Some(first) = keys::first_number(&key) else {
                continue;
            };
            if let Ok(row) = segments::decode(first, &payload) {
                let after = slots.last().map_or(Sequence::ZERO, |slot| slot.range.end);
                // A row with false numbers would make a lost range of its own.
                let can_be = row.next.since(first) <= MOST_LOST && first.since(after) <= MOST_LOST;
                if after <= first && can_be {
                    let range = first..row.next;
                    slots.push(SegmentSlot {
                        range,
                        row: Some(row),
                    });
                }
            }
        }
        slots
    }

    fn is_whole(&self, first: Sequence, next: Sequence) -> bool {
        let file = self.directory.segments().join(file_name(first, next));
        let kv = Kv::salvage(&file, CACHE_BYTES).ok();
        fill(
            kv.as_ref(),
            &(first..next),
            Timestamp::default(),
            |_| Ok(()),
        )
        .is_ok_and(|lost| lost.is_empty())
    }
}

/// Whether a stretch of sequences is one of these.
pub(super) fn is_among(slots: &[SegmentSlot], range: &Range<Sequence>) -> bool {
    slots.iter().any(|slot| slot.range == *range)
}
