//! A reader's work on the text files: it writes them anew, and measures how far behind they are.

use std::io;
use std::path::Path;

use super::BUDGET_BYTES;
use super::files::Files;
use super::place;
use super::state::MirrorState;
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::JournalId;
use crate::entry::sequence::Sequence;
use crate::fs::disk;
use crate::options::logs::{LogKind, Mirror};
use crate::read::Reader;

impl Reader {
    /// Writes the human-readable files of the whole journal anew into `directory`, which must not
    /// hold any. With the same settings they are equal, to the byte, to the mirror's files, as far
    /// as the journal still holds the entries. Returns the number of lines.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the directory cannot be written or holds files of the
    /// mirror already, and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use annals::{Inference, Journal};
    /// use annals::logs::Mirror;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.rebuild_mirror(dir.join("again"), Mirror::new())?, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn rebuild_mirror(&self, directory: impl AsRef<Path>, settings: Mirror) -> Result<u64> {
        rebuild(&self.source, self.id(), directory.as_ref(), settings)
    }

    /// Entries that were committed and not yet in the text files below `logs`, as their writer
    /// stored it last: while it writes, at most a second ago. `None` if no mirror ever wrote there.
    /// Reads one small file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), and [errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use annals::{Inference, Journal, Reader};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::open(&dir)?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.close()?; // the text files end with the last committed entry
    /// assert_eq!(Reader::open(&dir)?.mirror_lag(dir.join("logs"))?, Some(0));
    /// assert_eq!(Reader::open(&dir)?.mirror_lag(dir.join("nowhere"))?, None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn mirror_lag(&self, logs: impl AsRef<Path>) -> Result<Option<u64>> {
        let written = written_until(logs.as_ref(), self.id())?;
        let end = self.source.next_sequence()?;
        Ok(written.map(|next| end.since(next)))
    }
}

/// Writes the whole mirror of `source` anew into `directory`, which must hold none. Returns the
/// number of its lines.
fn rebuild(source: &Source, journal: JournalId, directory: &Path, settings: Mirror) -> Result<u64> {
    let fault = |error| Error::io("write the text files in", directory, error);
    disk::create_directory(directory).map_err(fault)?;
    let stored = MirrorState::load(directory, journal).map_err(fault)?;
    let mut taken = stored.is_some();
    for kind in LogKind::ALL {
        taken |= !place::files(directory, kind).map_err(fault)?.is_empty();
    }
    if taken {
        return Err(fault(io::ErrorKind::AlreadyExists.into()));
    }
    let extent = source.extent()?;
    let mut files = Files::resume(directory, journal, extent.next, settings).map_err(fault)?;
    files.skip_to(extent.kept);
    let mut lines = 0;
    loop {
        let blocks = source.after(files.next(), BUDGET_BYTES)?;
        if blocks.is_empty() {
            files.save()?;
            return Ok(lines);
        }
        lines += files.write(source, &blocks)?;
    }
}

/// The sequence of the first entry that is not in the files of `directory`, as stored last.
fn written_until(directory: &Path, journal: JournalId) -> Result<Option<Sequence>> {
    let state = MirrorState::load(directory, journal);
    let state = state.map_err(|cause| Error::io("read the place of", directory, cause))?;
    Ok(state.map(|state| state.next))
}
