//! Forgetting the names and runs that no entry needs any more.
//!
//! Writers keep ids of names in memory, so a name must stay while a run that has resolved it may
//! still use it. So each name stores the runs between which it was resolved. It may be forgotten if
//! none of those was alive before the entries were looked at: no run can use it for a commit any
//! more. A run that resolves it later is stored with it, and that is checked when it is forgotten.

use std::collections::{BTreeSet, HashSet};
use std::ops::{Bound, ControlFlow};

use crate::engine::dictionary;
use crate::engine::keys;
use crate::engine::kv::{Direction, Table};
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::manifests;
use crate::engine::runs::{RunEnd, RunRow};
use crate::engine::uses::Uses;
use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::entry::sequence::Sequence;

/// Rows that one transaction removes: others wait for it.
const SLICE: usize = 500;
/// How much is decoded at once.
const BUDGET_BYTES: usize = 1 << 20;

/// Forgotten names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) names: usize,
    pub(crate) runs: usize,
}

/// The runs under which something could be committed at one moment.
struct Alive {
    known: BTreeSet<u32>,
    /// The highest run that there was: later ones are alive, as far as that moment knows.
    highest: u32,
}

impl Alive {
    fn none_within(&self, runs: (u32, u32)) -> bool {
        // A range that ends before it begins would be a panic.
        let in_order = runs.0 <= runs.1;
        in_order && runs.1 <= self.highest && self.known.range(runs.0..=runs.1).next().is_none()
    }
}

impl MaintenanceHandle {
    /// Forgets names and runs that nothing needs. Reads the needs of every segment, and decodes the
    /// hot blocks. Asks `go_on` between two slices.
    pub(crate) fn forget_unused(&self, go_on: &dyn Fn() -> bool) -> Result<Forgotten> {
        let runs = self.source().runs(0, usize::MAX)?;
        let alive = self.alive(&runs);
        let mut forgotten = Forgotten::default();
        let Some(uses) = self.uses(go_on)? else {
            return Ok(forgotten);
        };
        let candidates = self.unused_names(&alive, &uses)?;
        for slice in candidates.chunks(SLICE) {
            if !go_on() {
                return Ok(forgotten);
            }
            forgotten.names += self.forget_names(slice, &alive)?;
        }
        // The highest is kept: the next run's number is taken from it.
        let ended = runs.split_last().map_or(&[][..], |(_, before)| before);
        let unused = |(run, row): &&(RunId, RunRow)| {
            // A later import of a source has to know that it was taken in.
            row.source.is_none()
                && row.end.is_some()
                && !alive.known.contains(&run.get())
                && !uses.has_run(run.get())
        };
        let unused: Vec<RunId> = ended.iter().filter(unused).map(|(run, _)| *run).collect();
        for slice in unused.chunks(SLICE) {
            self.write(|transaction| {
                for run in slice {
                    transaction.remove(Table::Runs, &keys::number(*run))?;
                    manifests::remove(transaction, *run)?;
                }
                Ok(())
            })?;
            forgotten.runs += slice.len();
        }
        Ok(forgotten)
    }

    /// The runs under which something may still be committed. A run that was continued lives on in
    /// the next run of its process, and so do its names.
    fn alive(&self, runs: &[(RunId, RunRow)]) -> Alive {
        let mut known = BTreeSet::new();
        let mut begun = HashSet::new();
        for (run, row) in runs.iter().rev() {
            let alive = match row.end {
                None => !self.source().is_run_dead(*run),
                Some(RunEnd::Continued(at)) => begun.contains(&(at, row.process)),
                Some(RunEnd::Closed(_) | RunEnd::FoundDead(_) | RunEnd::Panicked(_)) => false,
            };
            if alive {
                known.insert(run.get());
                begun.insert((row.started, row.process));
            }
        }
        Alive {
            known,
            highest: runs.last().map_or(0, |(run, _)| run.get()),
        }
    }

    /// Needs of all entries; `None` if a segment is damaged or silent about them, or it was told to
    /// stop.
    fn uses(&self, go_on: &dyn Fn() -> bool) -> Result<Option<Uses>> {
        let source = self.source();
        let mut uses = Uses::default();
        let segments = source.segments()?;
        let mut next = source.extent()?.kept;
        for segment in &*segments {
            match source.segment(segment).and_then(|open| open.uses()) {
                Ok(Some(row)) => uses.add(&row),
                Ok(None) => return Ok(None),
                // Segments retired since need nothing.
                Err(_) if segment.first < source.extent()?.kept => {}
                // An unreadable segment may need anything. Its readers get the error.
                Err(Error::Corrupt { .. } | Error::Foreign { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
            next = segment.row.next;
        }
        loop {
            if !go_on() {
                return Ok(None);
            }
            let blocks = match source.after(next, BUDGET_BYTES) {
                Err(Error::Retired { kept, .. }) => {
                    next = Sequence::new(kept);
                    continue;
                }
                blocks => blocks?,
            };
            let Some(last) = blocks.last() else { break };
            next = last.next;
            for entry in blocks.iter().flat_map(|block| &block.rows) {
                uses.see(entry);
            }
        }
        if source.losses().entries() > 0 {
            // An unreadable segment may need anything.
            return Ok(None);
        }
        // Last: entries retired since had been folded before.
        source.with_rollups(|stats| stats.each_name(|name| uses.see_name(name)))?;
        Ok(Some(uses))
    }

    fn unused_names(&self, alive: &Alive, uses: &Uses) -> Result<Vec<Vec<u8>>> {
        let path = self.source().path();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut unused = Vec::new();
        self.source().read(|snapshot| {
            let direction = Direction::Ascending;
            snapshot.scan(Table::NameIds, everything, direction, |key, value| {
                let row = dictionary::decode_row(path, value)?;
                if alive.none_within(row.asked) && !uses.has_name(row.id) {
                    unused.push(key.to_vec());
                }
                Ok(ControlFlow::Continue(()))
            })
        })?;
        Ok(unused)
    }

    /// Forgets those of `keys` that no run has resolved since.
    fn forget_names(&self, keys: &[Vec<u8>], alive: &Alive) -> Result<usize> {
        let path = self.source().path();
        self.write(|transaction| {
            let mut forgotten = 0;
            for key in keys {
                let row = transaction.get(Table::NameIds, key, |value| {
                    dictionary::decode_row(path, value)
                })?;
                if let Some(row) = row.transpose()?
                    && alive.none_within(row.asked)
                {
                    transaction.remove(Table::NameIds, key)?;
                    transaction.remove(Table::Names, &keys::number(row.id))?;
                    forgotten += 1;
                }
            }
            Ok(forgotten)
        })
    }
}
