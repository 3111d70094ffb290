//! What can go wrong, said so that the reader knows where and what to do.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The result of this crate's fallible calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every error of this crate. Each message says what was tried, on which path, and what to do.
///
/// Errors are `Clone`, because one failed commit has to be told to every waiting `flush`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no journal at this path.
    #[error("no journal in {}: open it for writing once to create it, or check the path", path.display())]
    Missing {
        /// The directory that was looked at.
        path: PathBuf,
    },
    /// A file stands where the journal's directory should be.
    #[error("{} is a file, but a journal is a directory: choose another path", path.display())]
    NotADirectory {
        /// The path in question.
        path: PathBuf,
    },
    /// `journal.redb` is no journal of this library; it was left untouched.
    #[error("{} was not written by annals ({reason}); it was left untouched: choose another directory or move the file aside", path.display())]
    Foreign {
        /// The file in question.
        path: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// The journal was written in a format that this version does not know.
    #[error("{} has format {found}, this version of annals reads format {supported}: use the version that wrote it", path.display())]
    UnknownFormat {
        /// The file in question.
        path: PathBuf,
        /// The format that the file states.
        found: u32,
        /// The format that this version reads and writes.
        supported: u32,
    },
    /// Stored bytes are not what was written: a damaged disk, a truncated or edited file.
    #[error("{} is damaged: {detail}; restore a backup, or read what is readable of it", path.display())]
    Corrupt {
        /// The file in question.
        path: PathBuf,
        /// Which table and key, and what is wrong with it.
        detail: String,
    },
    /// Another process holds the journal in exclusive mode, or with an incompatible redb.
    #[error("{} is held by another process ({reason}): close it there, or open both in shared mode", path.display())]
    InUse {
        /// The file in question.
        path: PathBuf,
        /// What the storage engine said.
        reason: String,
    },
    /// The last writer died and the file must be opened for writing once, which is not allowed here.
    #[error("{} needs recovery after its writer died, and cannot be opened for writing ({reason}): open the journal for writing once, or copy it to writable media", path.display())]
    NeedsRecovery {
        /// The file in question.
        path: PathBuf,
        /// Why it could not be opened for writing.
        reason: String,
    },
    /// The operating system refused something.
    #[error("cannot {operation} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// No room on the device; the events are kept and the commit is tried again.
    #[error("no room to write {} ({reason}): free some space; what is queued is kept and committed when there is room, what overflows is counted", path.display())]
    NoRoom {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A commit failed in a way that makes going on unsafe; nothing more is written by this handle.
    #[error("the journal {} has failed ({reason}): its last batch may or may not be on disk; drop it and open it again", path.display())]
    Failed {
        /// The journal's directory.
        path: PathBuf,
        /// The first error.
        reason: String,
    },
    /// The journal was closed before this call.
    #[error("the journal is closed: open it again")]
    Closed,
    /// The bound of a wait passed; what was waited for may still happen.
    #[error(
        "{operation} was not done after {waited:?}: the writer may be held up by a stopped process or a slow disk; wait longer or look at health()"
    )]
    TimedOut {
        /// What was waited for.
        operation: &'static str,
        /// How long.
        waited: Duration,
    },
    /// An option has a value that cannot work.
    #[error("option {name} = {value}: {advice}")]
    InvalidOption {
        /// The option's name.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// What would be accepted.
        advice: &'static str,
    },
    /// A text does not have the form that was expected.
    #[error("{text:?} is not a valid {what}: expected {expected}")]
    Parse {
        /// What was to be parsed.
        what: &'static str,
        /// The text.
        text: String,
        /// The form that is accepted.
        expected: &'static str,
    },
    /// A cursor belongs to another journal or lies beyond this journal's end.
    #[error("the cursor {cursor} does not fit this journal: {reason}")]
    ForeignCursor {
        /// The cursor as text.
        cursor: String,
        /// Why it does not fit.
        reason: String,
    },
    /// What was asked for has been retired.
    #[error("entry {sequence} of {} has been retired, the first one kept is {kept}: go on from Reader::start", path.display())]
    Retired {
        /// The file in question.
        path: PathBuf,
        /// The sequence that was asked for.
        sequence: u64,
        /// The first sequence that is kept.
        kept: u64,
    },
    /// All 16,777,215 run numbers have been used.
    #[error("{} has used all of its {limit} runs: start a new journal directory", path.display())]
    RunsExhausted {
        /// The journal's directory.
        path: PathBuf,
        /// How many there are.
        limit: u32,
    },
    /// [`install`](crate::install) was called before in this process.
    #[error("a journal is already installed in this process: use annals::installed()")]
    AlreadyInstalled,
    /// A thread could not be started.
    #[error("cannot start the thread {name}: {cause}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// What the system said.
        cause: Arc<io::Error>,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Error::Io {
            operation,
            path: path.into(),
            cause: Arc::new(cause),
        }
    }
}
