//! All errors; each names the place and the next step.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::timestamp::Timestamp;

/// The result of this crate's fallible calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The next step of a caller after an [`Error`]; from [`Error::kind`].
///
/// A program decides by the kind, and shows the error's text. Variants of [`Error`] say more, and
/// may be added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is nothing of that name, or no longer: ask for something else.
    NotFound,
    /// The call cannot work as it was made: change its arguments.
    InvalidInput,
    /// The journal cannot do this as it is or as it was opened: open it otherwise.
    Unsupported,
    /// Another process is at work, or time ran out: the same call may succeed later.
    Busy,
    /// The system refused: look at rights, room and limits, then make the same call again.
    System,
    /// Stored bytes are not what was written: restore a backup, or repair.
    Damaged,
    /// This handle is at its end: drop it, and open the journal again.
    Ended,
    /// The state does not allow it now: look at it anew, and decide again.
    Conflict,
}

/// Every error of this crate. Each message names the operation, the path, and the next step.
///
/// Decide by [`kind`](Self::kind). [`source`](std::error::Error::source) is the system's
/// [`io::Error`] if there is one. Errors are `Clone`: every waiting `flush` gets the error of a
/// failed commit.
///
/// ```
/// use annals::{ErrorKind, Reader};
///
/// let error = Reader::open("/nowhere/data").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("no journal in /nowhere/data"));
/// ```
///
/// # Errors of reading
///
/// Every call that reads a journal can return these; its documentation lists further ones.
///
/// | error | cause |
/// |---|---|
/// | [`Corrupt`](Self::Corrupt) | damage beyond a single block, which is passed over |
/// | [`Foreign`](Self::Foreign) | a file of the journal was replaced by another one |
/// | [`Io`](Self::Io) | the system refused a read |
/// | [`Locked`](Self::Locked) | another process held the file's header for 10 s |
/// | [`Closed`](Self::Closed) | the call came through a journal that is closed |
///
/// # Errors of a commit
///
/// Every call that changes a journal itself can return the errors of reading, and these:
///
/// | error | cause |
/// |---|---|
/// | [`NoRoom`](Self::NoRoom) | the device is full; nothing was changed |
/// | [`Locked`](Self::Locked) | another process held the write lock for 60 s |
/// | [`InUse`](Self::InUse) | an exclusive user has the journal |
/// | [`Failed`](Self::Failed) | an earlier write failed and the file cannot be opened again |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no journal at this path.
    #[non_exhaustive]
    Missing {
        /// The directory that was looked at.
        path: PathBuf,
    },
    /// A file stands where the journal's directory should be.
    #[non_exhaustive]
    NotADirectory {
        /// The path in question.
        path: PathBuf,
    },
    /// `journal.redb` is no journal of this library; it was left untouched.
    #[non_exhaustive]
    Foreign {
        /// The file in question.
        path: PathBuf,
        /// The sign that gave it away.
        reason: String,
    },
    /// The journal was written in a format that this version does not know.
    #[non_exhaustive]
    UnknownFormat {
        /// The file in question.
        path: PathBuf,
        /// The format that the file states.
        found: u32,
        /// The format that this version reads and writes.
        supported: u32,
    },
    /// Stored bytes differ from the written ones: a damaged disk, a truncated or edited file.
    #[non_exhaustive]
    Corrupt {
        /// The file in question.
        path: PathBuf,
        /// The table and key, and the defect.
        detail: String,
    },
    /// Another process holds the journal in exclusive mode, or with an incompatible redb.
    #[non_exhaustive]
    InUse {
        /// The file in question.
        path: PathBuf,
        /// Message of the storage engine.
        reason: String,
    },
    /// The last writer died and the file must be opened for writing once, which is not allowed
    /// here.
    #[non_exhaustive]
    NeedsRecovery {
        /// The file in question.
        path: PathBuf,
        /// Why it could not be opened for writing.
        reason: String,
    },
    /// The operating system refused something.
    #[non_exhaustive]
    Io {
        /// The operation that failed.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's error.
        cause: Arc<io::Error>,
    },
    /// No room on the device; the events are kept and the commit is tried again.
    #[non_exhaustive]
    NoRoom {
        /// The file that could not grow.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// A commit failed in a way that makes going on unsafe; nothing more is written by this handle.
    #[non_exhaustive]
    Failed {
        /// The journal's directory.
        path: PathBuf,
        /// The first error.
        reason: String,
    },
    /// The journal was closed before this call.
    Closed,
    /// The bound of a wait passed; the awaited operation may still happen.
    #[non_exhaustive]
    TimedOut {
        /// The operation that was waited for.
        operation: &'static str,
        /// Length of the wait.
        waited: Duration,
    },
    /// An option has a value that cannot work.
    #[non_exhaustive]
    InvalidOption {
        /// The option's name.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// A value that would be accepted.
        advice: &'static str,
    },
    /// A text does not have the form that was expected.
    #[non_exhaustive]
    Parse {
        /// The kind of text that was parsed.
        what: &'static str,
        /// The text.
        text: String,
        /// The form that is accepted.
        expected: &'static str,
    },
    /// A cursor belongs to another journal or lies beyond this journal's end.
    #[non_exhaustive]
    ForeignCursor {
        /// The cursor as text.
        cursor: String,
        /// Why it does not fit.
        reason: String,
    },
    /// The requested entry has been retired.
    #[non_exhaustive]
    Retired {
        /// The file in question.
        path: PathBuf,
        /// The sequence that was asked for.
        sequence: u64,
        /// The first sequence that is kept.
        kept: u64,
    },
    /// All 16,777,215 run numbers have been used.
    #[non_exhaustive]
    RunsExhausted {
        /// The journal's directory.
        path: PathBuf,
        /// How many there are.
        limit: u32,
    },
    /// [`install`](crate::install) was called before in this process.
    AlreadyInstalled,
    /// A name cannot be used as given.
    #[non_exhaustive]
    InvalidName {
        /// The kind of object that it was to name.
        what: &'static str,
        /// The name, shortened if it is long.
        name: String,
        /// The reason why it is invalid.
        reason: &'static str,
    },
    /// There is no checkpoint with this id.
    #[non_exhaustive]
    UnknownCheckpoint {
        /// The id, shortened if it is long.
        id: String,
    },
    /// There was a checkpoint with this id, and it was deleted.
    #[non_exhaustive]
    Deleted {
        /// The id.
        id: String,
        /// When.
        at: Timestamp,
        /// The wish or the rule behind it.
        why: String,
    },
    /// No checkpoint of this model has this metric.
    #[non_exhaustive]
    UnknownMetric {
        /// The model.
        model: String,
        /// The metric that was asked for.
        metric: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No checkpoint of this model has this tag.
    #[non_exhaustive]
    UnknownTag {
        /// The model.
        model: String,
        /// The tag that was asked for.
        tag: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No monitor is set, so no metric ranks this model's checkpoints.
    #[non_exhaustive]
    NoMonitor {
        /// The model.
        model: String,
        /// The metrics that its checkpoints have.
        known: Vec<String>,
    },
    /// An alias points nowhere.
    #[non_exhaustive]
    UnknownAlias {
        /// The model.
        model: String,
        /// The alias that was asked for.
        alias: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// An alias has never pointed at anything else that still exists.
    #[non_exhaustive]
    NothingBefore {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
    /// A checkpoint could not be saved; nothing of it is left.
    #[non_exhaustive]
    NotSaved {
        /// The model.
        model: String,
        /// The file that could not be written.
        path: PathBuf,
        /// Error of the system or of the closure that writes.
        cause: Arc<io::Error>,
    },
    /// A checkpoint is whole on disk, but its entry in the registry may not be.
    #[non_exhaustive]
    Unconfirmed {
        /// The id.
        id: String,
        /// The file of its weights.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The weights of a checkpoint are gone.
    #[non_exhaustive]
    WeightsMissing {
        /// The id.
        id: String,
        /// Where they should be.
        path: PathBuf,
    },
    /// The weights of a checkpoint differ from the saved ones.
    #[non_exhaustive]
    WeightsCorrupt {
        /// The id.
        id: String,
        /// The file.
        path: PathBuf,
        /// How it shows.
        detail: String,
    },
    /// A checkpoint must not be deleted.
    #[non_exhaustive]
    Protected {
        /// The id.
        id: String,
        /// The reason for the protection.
        by: String,
    },
    /// The state that a plan was made from has changed. Nothing outside the plan was deleted.
    #[non_exhaustive]
    PlanOutdated {
        /// The differences, one by one.
        changes: Vec<String>,
        /// How many checkpoints or segments of the plan had been deleted by then.
        deleted: usize,
    },
    /// A journal in memory has no directory for weights, segments or backups.
    NoDirectory,
    /// The requested part was switched off when the journal was opened.
    #[non_exhaustive]
    SwitchedOff {
        /// The part that is switched off.
        what: &'static str,
        /// The option that did it.
        option: &'static str,
    },
    /// A background thread panicked; its work has stopped.
    #[non_exhaustive]
    ThreadPanicked {
        /// The thread's name.
        name: &'static str,
        /// Message of the panic.
        message: String,
    },
    /// The written file has lost its name: new entries cannot be found under that name any more.
    #[non_exhaustive]
    Misplaced {
        /// The file's name.
        path: PathBuf,
        /// The change: "removed or moved", or "replaced by another file".
        what: &'static str,
    },
    /// Another process holds a lock of the file for longer than is waited for.
    #[non_exhaustive]
    Locked {
        /// The file in question.
        path: PathBuf,
        /// The operation: "read", "written" or "opened".
        operation: &'static str,
        /// The lock that is held.
        lock: &'static str,
        /// Its holders as far as the system reports them: numbers, names and states of processes.
        holder: String,
        /// Length of the wait.
        waited: Duration,
    },
    /// A thread could not be started.
    #[non_exhaustive]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// The system's error.
        cause: Arc<io::Error>,
    },
}

/// Some of the words, for a message.
fn listed(words: &[String]) -> String {
    const MOST: usize = 20;
    let mut list = words
        .iter()
        .take(MOST)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if words.is_empty() {
        list.push_str("none");
    } else if words.len() > MOST {
        list.push_str(&format!(" and {} more", words.len() - MOST));
    }
    list
}

/// The article that goes before a word.
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

impl Error {
    /// The next step of the caller.
    ///
    /// ```
    /// use annals::{ErrorKind, InferenceId};
    ///
    /// let error = "three".parse::<InferenceId>().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Missing { .. }
            | Error::Deleted { .. }
            | Error::NoMonitor { .. }
            | Error::NothingBefore { .. }
            | Error::Retired { .. }
            | Error::UnknownAlias { .. }
            | Error::UnknownCheckpoint { .. }
            | Error::UnknownMetric { .. }
            | Error::UnknownTag { .. }
            | Error::WeightsMissing { .. } => ErrorKind::NotFound,
            Error::ForeignCursor { .. }
            | Error::InvalidName { .. }
            | Error::InvalidOption { .. }
            | Error::NotADirectory { .. }
            | Error::Parse { .. } => ErrorKind::InvalidInput,
            Error::Foreign { .. }
            | Error::NoDirectory
            | Error::RunsExhausted { .. }
            | Error::SwitchedOff { .. }
            | Error::UnknownFormat { .. } => ErrorKind::Unsupported,
            Error::InUse { .. } | Error::Locked { .. } | Error::TimedOut { .. } => ErrorKind::Busy,
            Error::Io { .. }
            | Error::NeedsRecovery { .. }
            | Error::NoRoom { .. }
            | Error::NotSaved { .. }
            | Error::Thread { .. } => ErrorKind::System,
            Error::Corrupt { .. } | Error::WeightsCorrupt { .. } => ErrorKind::Damaged,
            Error::Closed
            | Error::Failed { .. }
            | Error::Misplaced { .. }
            | Error::ThreadPanicked { .. } => ErrorKind::Ended,
            Error::AlreadyInstalled
            | Error::PlanOutdated { .. }
            | Error::Protected { .. }
            | Error::Unconfirmed { .. } => ErrorKind::Conflict,
        }
    }

    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Error::Io {
            operation,
            path: path.into(),
            cause: Arc::new(cause),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing { path } => write!(
                f,
                "no journal in {}: open it for writing once to create it, or check the path",
                path.display(),
            ),
            Error::NotADirectory { path } => write!(
                f,
                "{} is a file, but a journal is a directory: choose another path",
                path.display(),
            ),
            Error::Foreign { path, reason } => write!(
                f,
                "{} was not written by annals ({reason}); it was left untouched: choose \
                 another directory or move the file aside",
                path.display(),
            ),
            Error::UnknownFormat {
                path,
                found,
                supported,
            } => write!(
                f,
                "{} has format {found}, this version of annals reads format {supported}: use \
                 the version that wrote it",
                path.display(),
            ),
            Error::Corrupt { path, detail } => write!(
                f,
                "{} is damaged: {detail}; restore a backup, or keep what can be read with \
                 annals::maintenance::repair",
                path.display(),
            ),
            Error::InUse { path, reason } => write!(
                f,
                "{} is held by another process ({reason}): close it there, or open both in \
                 shared mode",
                path.display(),
            ),
            Error::NeedsRecovery { path, reason } => write!(
                f,
                "{} needs recovery after its writer died, and cannot be opened for writing \
                 ({reason}): open the journal for writing once, or copy it to writable media",
                path.display(),
            ),
            Error::Io {
                operation,
                path,
                cause,
            } => write!(f, "cannot {operation} {}: {cause}", path.display(),),
            Error::NoRoom { path, reason } => write!(
                f,
                "no room to write {} ({reason}): free some space; what is queued is kept and \
                 committed when there is room, what overflows is counted",
                path.display(),
            ),
            Error::Failed { path, reason } => write!(
                f,
                "the journal {} has failed ({reason}): its last batch may or may not be on \
                 disk; drop it and open it again",
                path.display(),
            ),
            Error::Closed => f.write_str("the journal is closed: open it again"),
            Error::TimedOut { operation, waited } => write!(
                f,
                "{operation} was not done after {waited:?}: the writer may be held up by a \
                 stopped process or a slow disk; wait longer or look at health()"
            ),
            Error::InvalidOption {
                name,
                value,
                advice,
            } => write!(f, "option {name} = {value}: {advice}"),
            Error::Parse {
                what,
                text,
                expected,
            } => write!(f, "{text:?} is not a valid {what}: expected {expected}"),
            Error::ForeignCursor { cursor, reason } => {
                write!(f, "the cursor {cursor} does not fit this journal: {reason}")
            }
            Error::Retired {
                path,
                sequence,
                kept,
            } => write!(
                f,
                "entry {sequence} of {} has been retired, the first one kept is {kept}: go on \
                 from Reader::start",
                path.display(),
            ),
            Error::RunsExhausted { path, limit } => write!(
                f,
                "{} has used all of its {limit} runs: start a new journal directory",
                path.display(),
            ),
            Error::AlreadyInstalled => f.write_str(
                "a journal is already installed in this process: use annals::installed()",
            ),
            Error::InvalidName { what, name, reason } => {
                write!(f, "{name:?} cannot be {} {what}: {reason}", article(what),)
            }
            Error::UnknownCheckpoint { id } => write!(
                f,
                "no checkpoint {id:?} in the registry: list() says which there are, and \
                 reconcile() takes in files that it does not know yet"
            ),
            Error::Deleted { id, at, why } => write!(
                f,
                "checkpoint {id} was deleted at {at}: {why}; ask best() or latest() for another"
            ),
            Error::UnknownMetric {
                model,
                metric,
                known,
            } => write!(
                f,
                "no checkpoint of {model} has the metric {metric:?}: known are {}",
                listed(known),
            ),
            Error::UnknownTag { model, tag, known } => write!(
                f,
                "no checkpoint of {model} has the tag {tag:?}: known are {}",
                listed(known),
            ),
            Error::NoMonitor { model, known } => write!(
                f,
                "{model} has no monitor: call set_monitor, or best_by with one of {}",
                listed(known),
            ),
            Error::UnknownAlias {
                model,
                alias,
                known,
            } => write!(
                f,
                "{model} has no alias {alias:?}: known are {}",
                listed(known),
            ),
            Error::NothingBefore { model, alias } => write!(
                f,
                "the alias {alias:?} of {model} has nothing to roll back to: set_alias points \
                 it at a checkpoint by id"
            ),
            Error::NotSaved { model, path, cause } => write!(
                f,
                "cannot save a checkpoint of {model} at {}: {cause}; nothing of it was kept",
                path.display(),
            ),
            Error::Unconfirmed { id, path, reason } => write!(
                f,
                "checkpoint {id} is whole in {}, but it is not certain that the registry has \
                 it ({reason}): reconcile() settles it",
                path.display(),
            ),
            Error::WeightsMissing { id, path } => write!(
                f,
                "the weights of checkpoint {id} are missing from {}: restore the file and \
                 reconcile(), or take best_loadable()",
                path.display(),
            ),
            Error::WeightsCorrupt { id, path, detail } => write!(
                f,
                "the weights of checkpoint {id} in {} are damaged ({detail}): restore the file \
                 and reconcile(), or take best_loadable()",
                path.display(),
            ),
            Error::Protected { id, by } => {
                write!(f, "checkpoint {id} is protected ({by}): release it first")
            }
            Error::PlanOutdated { changes, deleted } => write!(
                f,
                "the plan is out of date, {deleted} were deleted before that showed: {}; make \
                 a new plan",
                listed(changes),
            ),
            Error::NoDirectory => f.write_str(
                "the journal is in memory, and this needs a directory: open one with \
                 Journal::open",
            ),
            Error::SwitchedOff { what, option } => write!(
                f,
                "{what} is switched off in this journal: open it without Options::{option}",
            ),
            Error::ThreadPanicked { name, message } => write!(
                f,
                "the thread {name} panicked ({message}): what it does stands still; close the \
                 journal, open it again, and report this"
            ),
            Error::Misplaced { path, what } => write!(
                f,
                "{} was {what} while the journal was open: what is recorded goes to a file \
                 that nobody can open by that name; put it back, or close the journal and open \
                 it again",
                path.display(),
            ),
            Error::Locked {
                path,
                operation,
                lock,
                holder,
                waited,
            } => write!(
                f,
                "{} cannot be {operation}: {holder} has held {lock} for {waited:?}; let a \
                 stopped process go on (kill -CONT) or end it, and try again",
                path.display(),
            ),
            Error::Thread { name, cause } => write!(f, "cannot start the thread {name}: {cause}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The error itself, not the pointer to it: a caller can downcast it.
            Error::Io { cause, .. }
            | Error::NotSaved { cause, .. }
            | Error::Thread { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

/// Keeps the whole error inside, with the nearest kind that [`io::ErrorKind`] has; one of the
/// system's has the system's kind.
///
/// ```
/// use std::io;
///
/// fn newest(dir: &str) -> io::Result<Option<String>> {
///     let reader = annals::Reader::open(dir)?;
///     let entry = reader.newest(1).next().transpose()?;
///     Ok(entry.map(|entry| entry.to_string()))
/// }
///
/// let error = newest("/nowhere/data").unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::NotFound);
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<annals::Error>()));
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error, error.kind()) {
            (
                Error::Io { cause, .. }
                | Error::NotSaved { cause, .. }
                | Error::Thread { cause, .. },
                _,
            ) => cause.kind(),
            (Error::NoRoom { .. }, _) => io::ErrorKind::StorageFull,
            (Error::TimedOut { .. }, _) => io::ErrorKind::TimedOut,
            (_, ErrorKind::NotFound) => io::ErrorKind::NotFound,
            (_, ErrorKind::InvalidInput) => io::ErrorKind::InvalidInput,
            (_, ErrorKind::Unsupported) => io::ErrorKind::Unsupported,
            (_, ErrorKind::Busy) => io::ErrorKind::ResourceBusy,
            (_, ErrorKind::Damaged) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_systems_error_can_be_reached() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let errors = [
            Error::io("open", "data", refused()),
            Error::NotSaved {
                model: "m".to_owned(),
                path: "data".into(),
                cause: Arc::new(refused()),
            },
            Error::Thread {
                name: "annals-test",
                cause: Arc::new(refused()),
            },
        ];
        for error in errors {
            let source = error.source().and_then(|source| source.downcast_ref());
            let kind = source.map(io::Error::kind);
            assert_eq!(kind, Some(io::ErrorKind::PermissionDenied), "{error}");
            assert_eq!(error.kind(), ErrorKind::System);
            let outer = io::Error::from(error);
            assert_eq!(outer.kind(), io::ErrorKind::PermissionDenied);
        }
        assert!(Error::Closed.source().is_none());
    }

    #[test]
    fn each_says_what_its_kind_allows() {
        let error = Error::Corrupt {
            path: "journal.redb".into(),
            detail: "page 3".to_owned(),
        };
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("annals::maintenance::repair"));
        let error = Error::SwitchedOff {
            what: "folding",
            option: "without_folding",
        };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("Options::without_folding"));
        assert_eq!(Error::Closed.kind(), ErrorKind::Ended);
    }
}
