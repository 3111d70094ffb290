//! Taking an import out again.

use std::path::Path;

use super::repair::withdrawal::Withdrawal;
use crate::engine::directory::Directory;
use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::entry::timestamp::Timestamp;
use crate::read::Reader;

/// Result of [`undo_import`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct UndoneImport {
    /// The source that the run was of.
    pub source: String,
    /// Inferences and repeats that were taken out.
    pub inferences: u64,
    /// Outcomes and gaps that were taken out.
    pub others: u64,
}

/// Takes out of the journal in `dir` all that an import took in under `run`: its inferences,
/// outcomes and gaps. No process may have the journal open. The source can be imported again
/// afterwards, under a run of its own, and statistics are as if the import had not been.
///
/// Entries of others keep their sequences, and cursors their places: gaps of the reason
/// [`Withdrawn`](crate::entry::GapReason::Withdrawn) stand where the import's were. Checkpoints
/// that came from the same source stay registered, and lines in text files stay until these are
/// rebuilt.
///
/// Reads the whole journal and writes `journal.redb` anew, and the segments that hold entries of
/// the run; the rollups are folded again by the next that asks or writes. If it dies, the journal
/// is as it was, or has to be [repaired](crate::maintenance::repair) before it is done again.
///
/// # Errors
/// [`Error::InUse`] if a process has the journal open; [`Error::InvalidOption`] for a run that is
/// no import's. The same for a journal with retired entries, since their statistics would be lost.
/// [`Error::Corrupt`] if it is damaged, and [`Error::Io`].
///
/// ```
/// use annals::{Inference, Reader};
/// use annals::import::{Answer, Importer};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("data");
/// let mut importer = Importer::open(&dir)?;
/// let run = importer.source("old.db")?;
/// let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY");
/// importer.add(run.inference(1)?, &inference, Answer::Full)?;
/// importer.close()?;
/// let undone = annals::maintenance::undo_import(&dir, run)?;
/// assert_eq!((&*undone.source, undone.inferences), ("old.db", 1));
/// assert_eq!(Reader::open(&dir)?.newest(9).count(), 0);
/// # Ok::<(), annals::Error>(())
/// ```
pub fn undo_import(dir: impl AsRef<Path>, run: RunId) -> Result<UndoneImport> {
    let dir = dir.as_ref();
    let directory = Directory::existing(dir)?;
    let reader = Reader::open(dir)?;
    let mut source = None;
    for known in reader.runs() {
        let known = known?;
        if known.id == run {
            source = known.source;
            break;
        }
    }
    drop(reader);
    let source = source.ok_or_else(|| Error::InvalidOption {
        name: "run",
        value: run.to_string(),
        advice: "give a run that an import made: what a program recorded itself stays",
    })?;
    let mut withdrawal = Withdrawal::of(run);
    withdrawal.apply(&directory, Timestamp::now())?;
    Ok(UndoneImport {
        source,
        inferences: withdrawal.inferences,
        others: withdrawal.others,
    })
}
