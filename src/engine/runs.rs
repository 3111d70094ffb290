//! One row for each run: when it began, how far it came, how it ended.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::format::codec;
use super::format::codec::{Stored, bounded};
use super::keys;
use super::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use super::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::timestamp::Timestamp;

/// Stored form of a run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunRow {
    pub(crate) started: Timestamp,
    pub(crate) process: u32,
    /// Counts the run's commits: after an ambiguous failure it shows whether the last one holds.
    pub(crate) batch: u64,
    /// Inferences, repeats and events committed.
    pub(crate) committed: u64,
    /// Events given up and written down as gaps.
    pub(crate) dropped: u64,
    /// The highest id committed; 0 before the first.
    pub(crate) last_id: InferenceId,
    pub(crate) end: Option<RunEnd>,
    /// The source that is taken in under this run; `None` for a run of a journal's own.
    pub(crate) source: Option<String>,
    /// The value of `batch` with which a panic of the process was committed last.
    pub(crate) panicked: Option<u64>,
    /// Whether the table of manifests has a row of this run.
    pub(crate) has_manifest: bool,
}

impl RunRow {
    pub(crate) fn begin(started: Timestamp) -> Self {
        RunRow {
            started,
            process: std::process::id(),
            batch: 0,
            committed: 0,
            dropped: 0,
            last_id: InferenceId::NONE,
            end: None,
            source: None,
            panicked: None,
            has_manifest: false,
        }
    }
}

/// The additions of a batch or a block to one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunDelta {
    pub(crate) run: RunId,
    /// Entries that are no gaps.
    pub(crate) events: u64,
    /// Events that gaps stand for. The writer counts those of a batch for the current run.
    pub(crate) lost: u64,
    /// The highest id; 0 without one.
    pub(crate) last_id: InferenceId,
}

impl RunDelta {
    /// Counts an event with this id, or without one. Ids come out of order: they are taken before
    /// their message is queued.
    pub(crate) fn count(&mut self, id: InferenceId) {
        self.events = self.events.saturating_add(1);
        self.last_id = self.last_id.max(id);
    }

    pub(crate) fn add_to(&self, row: &mut RunRow) {
        row.committed = row.committed.saturating_add(self.events);
        row.dropped = row.dropped.saturating_add(self.lost);
        // The gap of a run that dies begins behind the highest id.
        row.last_id = row.last_id.max(self.last_id);
    }
}

/// Additions to runs, each run once. There are one or two: calls that began before a change of runs
/// still bring ids of the run before.
#[derive(Default)]
pub(crate) struct RunDeltas(Vec<RunDelta>);

impl RunDeltas {
    /// The additions to `run` so far.
    pub(crate) fn of(&mut self, run: RunId) -> &mut RunDelta {
        // The run of the last entry is almost always that of the next one.
        let known = self.0.iter().rposition(|delta| delta.run == run);
        let place = known.unwrap_or_else(|| {
            self.0.push(RunDelta {
                run,
                events: 0,
                lost: 0,
                last_id: InferenceId::NONE,
            });
            self.0.len().saturating_sub(1)
        });
        &mut self.0[place]
    }

    pub(crate) fn take(&mut self) -> Vec<RunDelta> {
        std::mem::take(&mut self.0)
    }
}

impl RunRow {
    /// Whether a panic was the last that the run recorded. Calls of other threads at the same time
    /// take a batch or two.
    pub(crate) fn ends_with_panic(&self) -> bool {
        let since = |batch| self.batch.saturating_sub(batch);
        self.panicked.is_some_and(|batch| since(batch) <= 2)
    }
}

impl Stored for RunRow {
    fn check(&self) -> std::result::Result<(), String> {
        let counts = [self.batch, self.committed, self.dropped];
        let mut counts = counts.into_iter();
        counts.try_for_each(|count| bounded("a run's count", count))
    }
}

/// End of a run; when it came, as far as it is known.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// Its journal was closed.
    Closed(Timestamp),
    /// A later opener found its lock free; the time is the opener's.
    FoundDead(Timestamp),
    /// Its ids ran low and the same process continued under the next run.
    Continued(Timestamp),
    /// Its journal was closed by a thread that was unwinding after a panic.
    Panicked(Timestamp),
}

pub(crate) fn put(transaction: &mut WriteTransaction<'_>, run: RunId, row: &RunRow) -> Result<()> {
    let key = keys::number(run);
    transaction.put(Table::Runs, &key, &mut sealed(row))
}

/// All runs that `keep` likes, in order.
pub(crate) fn select(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    keep: impl Fn(&RunRow) -> bool,
) -> Result<Vec<(RunId, RunRow)>> {
    let mut found = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    transaction.scan(
        Table::Runs,
        everything,
        Direction::Ascending,
        |key, value| {
            let (run, row) = decode(path, key, value)?;
            if keep(&row) {
                found.push((run, row));
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(found)
}

/// The highest run number used so far, 0 if there is none.
pub(crate) fn highest(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<u32> {
    let mut highest = 0;
    let everything = (Bound::Unbounded, Bound::Unbounded);
    transaction.scan(
        Table::Runs,
        everything,
        Direction::Descending,
        |key, value| {
            highest = decode(path, key, value)?.0.get();
            Ok(ControlFlow::Break(()))
        },
    )?;
    Ok(highest)
}

/// Up to `most` runs from number `from`.
pub(crate) fn page(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    from: u32,
    most: usize,
) -> Result<Vec<(RunId, RunRow)>> {
    let mut found = Vec::new();
    let start = keys::number(u64::from(from));
    let range = (Bound::Included(&start[..]), Bound::Unbounded);
    snapshot.scan(Table::Runs, range, Direction::Ascending, |key, value| {
        found.push(decode(path, key, value)?);
        Ok(if found.len() < most {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(found)
}

pub(crate) fn decode(path: &Path, key: &[u8], value: &[u8]) -> Result<(RunId, RunRow)> {
    let run: RunId =
        keys::first_number(key).ok_or_else(|| damaged(path, "runs", "a key is no run number"))?;
    let row = codec::decode(value).map_err(|why| damaged(path, &format!("run {run}"), &why))?;
    Ok((run, row))
}
