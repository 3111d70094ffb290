//! The runs of one handle, and which events count for which.

use crate::engine::runs::{RunDelta, RunRow};
use crate::entry::ids::RunId;

/// The current run, and earlier ones whose events may still be under way: a thread may have taken
/// its id before the run ended and sent its event after that.
pub(crate) struct WriterRuns {
    current: (RunId, RunRow),
    earlier: Vec<(RunId, RunRow)>,
}

impl WriterRuns {
    pub(crate) fn new(run: RunId, row: RunRow) -> Self {
        WriterRuns {
            current: (run, row),
            earlier: Vec::new(),
        }
    }

    pub(crate) fn current(&self) -> RunId {
        self.current.0
    }

    pub(crate) fn row(&mut self) -> &mut RunRow {
        &mut self.current.1
    }

    /// Continues under `run`; the current one ended with `ended`.
    pub(crate) fn move_to(&mut self, run: RunId, row: RunRow, ended: RunRow) {
        let (old, _) = std::mem::replace(&mut self.current, (run, row));
        self.earlier.push((old, ended));
    }

    /// The rows as they are when a batch is committed, the current run's first: it counts the
    /// batch itself and its losses.
    pub(crate) fn with(&self, deltas: &[RunDelta], losses: u64) -> Vec<(RunId, RunRow)> {
        let mut rows = vec![self.current.clone()];
        // After a failed commit this number shows whether it holds all the same.
        rows[0].1.batch += 1;
        rows[0].1.dropped += losses;
        for delta in deltas {
            let known = rows.iter().position(|(run, _)| *run == delta.run);
            let index = known.unwrap_or_else(|| {
                let earlier = self.earlier.iter().find(|(run, _)| *run == delta.run);
                rows.extend(earlier.cloned());
                // Every id comes from a run of this handle.
                rows.len() - 1
            });
            delta.add_to(&mut rows[index].1);
        }
        rows
    }

    /// Takes over the rows that have been committed.
    pub(crate) fn confirm(&mut self, rows: Vec<(RunId, RunRow)>) {
        for (run, row) in rows {
            if run == self.current.0 {
                self.current.1 = row;
            } else if let Some(earlier) = self.earlier.iter_mut().find(|(known, _)| *known == run) {
                earlier.1 = row;
            }
        }
    }
}
