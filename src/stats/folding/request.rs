//! Folding on request, beside any process that folds by itself.

use std::thread;
use std::time::{Duration, Instant};

use super::fold::{Folder, GoOn};
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::runs::RunRow;
use crate::entry::error::Result;
use crate::entry::ids::RunId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Timeout and poll interval while another process is folding.
const OTHERS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

impl MaintenanceHandle {
    /// Folds committed entries into the rollups; returns the sequence that this was to reach.
    /// Another process that is folding is waited for, but not for ever: it may have been stopped.
    pub(crate) fn fold(&self, now: Timestamp) -> Result<Sequence> {
        let end = self.source().next_sequence()?;
        self.fold_while(now, &|_| true)?;
        Ok(end)
    }

    /// The same as long as `go_on` returns true; returns the number of folded entries.
    pub(crate) fn fold_while(&self, now: Timestamp, go_on: GoOn<'_>) -> Result<u64> {
        let end = self.source().next_sequence()?;
        let mut folder = Folder::of(self.source().clone());
        let began = Instant::now();
        let mut entries = 0_u64;
        loop {
            let folded = folder.fold(now, go_on)?;
            entries = entries.saturating_add(folded.unwrap_or(0));
            let reached = self
                .source()
                .with_rollups(|stats| Ok(stats.folded().all_before()))?;
            let is_over = reached >= end || !go_on(reached) || began.elapsed() >= OTHERS;
            if is_over {
                return Ok(entries);
            }
            thread::park_timeout(LOOK);
        }
    }

    /// Folds once; `None` if another process is folding, or has a run open and so folds itself.
    pub(crate) fn fold_if_idle(&self, now: Timestamp, go_on: GoOn<'_>) -> Result<Option<u64>> {
        let runs = self.source().runs(0, usize::MAX)?;
        let lives =
            |(run, row): &(RunId, RunRow)| row.end.is_none() && !self.source().is_run_dead(*run);
        if runs.iter().any(lives) {
            return Ok(None);
        }
        Folder::of(self.source().clone()).fold(now, go_on)
    }
}
