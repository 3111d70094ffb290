//! Size of a journal on disk, and giving back unneeded room.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Maintenance;
use crate::engine::format::row::{NameId, Row};
use crate::entry::error::Result;
use crate::registry::tables::names;

/// How much is decoded at once.
const BUDGET_BYTES: usize = 1 << 20;
/// Longest wait of a compaction for others' transactions.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Size of a journal, by kind; from [`Maintenance::usage`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes of `journal.redb`.
    pub hot_bytes: u64,
    /// Bytes of all segments.
    pub segment_bytes: u64,
    /// How many segments there are.
    pub segments: u64,
    /// Bytes of the human-readable files, if they lie in `logs`.
    pub log_bytes: u64,
    /// Bytes of checkpoints: weights and sidecars.
    pub checkpoint_bytes: u64,
    /// Bytes of the spools of open runs, and of their locks.
    pub spool_bytes: u64,
    /// Bytes of files of kept inputs.
    pub input_bytes: u64,
    /// Bytes of everything else in the directory: other locks, files that were set aside, foreign
    /// files.
    pub other_bytes: u64,
    /// Entries that are kept.
    pub entries: u64,
}

/// Size of one model; from [`Maintenance::usage_by_model`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ModelUsage {
    /// The model.
    pub model: String,
    /// Its inferences and repeats.
    pub inferences: u64,
    /// Bytes of blocks that these take: a block's bytes are shared out evenly among its entries.
    pub bytes: u64,
    /// Its checkpoints that are registered.
    pub checkpoints: u64,
    /// Bytes of their weights.
    pub checkpoint_bytes: u64,
}

impl Maintenance {
    /// Size of the journal on disk, by kind. Reads the files' sizes, and no content.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let usage = journal.maintenance()?.usage()?;
    /// println!("{usage:?}");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn usage(&self) -> Result<Usage> {
        let source = self.maintenance.source();
        let (extent, segments) = source.extent_and_segments()?;
        let root = self.maintenance.root();
        let mut usage = Usage {
            hot_bytes: self.maintenance.hot_bytes(),
            segment_bytes: segments
                .iter()
                .fold(0, |sum, segment| sum.saturating_add(segment.row.bytes)),
            segments: segments.len() as u64,
            log_bytes: bytes_below(&root.join("logs")),
            checkpoint_bytes: bytes_below(&root.join(names::FOLDER)),
            spool_bytes: bytes_below(&root.join("runs")),
            input_bytes: bytes_below(&root.join("inputs")),
            other_bytes: 0,
            entries: extent.next.since(extent.kept),
        };
        let known = [
            usage.segment_bytes,
            usage.log_bytes,
            usage.checkpoint_bytes,
            usage.spool_bytes,
            usage.input_bytes,
        ];
        let known = known.into_iter().fold(usage.hot_bytes, u64::saturating_add);
        // Others write at the same time.
        usage.other_bytes = bytes_below(root).saturating_sub(known);
        Ok(usage)
    }

    /// Size of each model, the largest first. Decodes every entry.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading);
    /// [`Error::Retired`](crate::Error::Retired) if entries are retired while they are read.
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(Duration::from_secs(60))?;
    /// let usage = journal.maintenance()?.usage_by_model()?;
    /// assert_eq!((usage[0].model.as_str(), usage[0].inferences), ("dqn_agent", 1));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn usage_by_model(&self) -> Result<Vec<ModelUsage>> {
        let source = self.maintenance.source();
        let extent = source.extent()?;
        let mut next = extent.kept;
        let mut by_id: BTreeMap<NameId, (u64, f64)> = BTreeMap::new();
        while next < extent.next {
            let blocks = source.after(next, BUDGET_BYTES)?;
            let Some(last) = blocks.last() else { break };
            next = last.next;
            for block in &blocks {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a block has at most 65,520 bytes"
                )]
                let share = block.bytes as f64 / block.rows.len().max(1) as f64;
                for entry in &block.rows {
                    let model = match &entry.row {
                        Row::Inference(row) => row.names.model,
                        Row::Repeat(row) => row.names.model,
                        Row::Note(_) => continue,
                    };
                    let known = by_id.entry(model).or_default();
                    known.0 += 1;
                    known.1 += share;
                }
            }
        }
        let mut models: BTreeMap<String, (u64, f64)> = BTreeMap::new();
        for (id, of_model) in by_id {
            let name = source.name(id)?;
            let name = name.map_or_else(String::new, |name| name.to_string());
            models.insert(name, of_model);
        }
        let mut checkpoints: BTreeMap<String, (u64, u64)> = source
            .models_of_checkpoints()?
            .into_iter()
            .map(|(model, count, bytes)| (model, (count, bytes)))
            .collect();
        for model in checkpoints.keys() {
            models.entry(model.clone()).or_default();
        }
        let mut usage: Vec<ModelUsage> = models
            .into_iter()
            .map(|(model, (inferences, bytes))| {
                let (checkpoints, checkpoint_bytes) =
                    checkpoints.remove(&model).unwrap_or_default();
                ModelUsage {
                    model,
                    inferences,
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a sum of shares of files"
                    )]
                    bytes: bytes.round() as u64,
                    checkpoints,
                    checkpoint_bytes,
                }
            })
            .collect();
        usage.sort_by_key(|model| {
            std::cmp::Reverse(model.bytes.saturating_add(model.checkpoint_bytes))
        });
        Ok(usage)
    }

    /// Compacts `journal.redb` and gives the rest of the file back; returns the number of bytes.
    /// **Holds up every commit while it runs**, in this process and in others. Worth it after many
    /// checkpoints or names have gone; what sealing and retention free is used again anyway.
    ///
    /// # Errors
    /// [`Error::InUse`](crate::Error::InUse) if for 5 s there was always a transaction in some
    /// process: compact when the backup or the statistic is over. [Errors of a
    /// commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # annals::Journal::open(dir.path().join("data"))?.close()?;
    /// let maintenance = annals::Maintenance::open(dir.path().join("data"))?;
    /// println!("{} bytes given back", maintenance.compact()?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn compact(&self) -> Result<u64> {
        let before = self.maintenance.hot_bytes();
        self.maintenance.compact(TIMEOUT)?;
        Ok(before.saturating_sub(self.maintenance.hot_bytes()))
    }
}

/// Bytes of the files below a folder; files that cannot be read count nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    });
    bytes.sum()
}
