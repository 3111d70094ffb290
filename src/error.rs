//! What can go wrong, said so that the reader knows where and what to do.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::timestamp::Timestamp;

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
    #[error(
        "{} is damaged: {detail}; restore a backup, or keep what can be read (`annals repair`)",
        path.display()
    )]
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
    /// A name cannot be used as given.
    #[error("{name:?} cannot be {} {what}: {reason}", article(what))]
    InvalidName {
        /// What it was to name.
        what: &'static str,
        /// The name, shortened if it is long.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no checkpoint with this id.
    #[error(
        "no checkpoint {id:?} in the registry: list() says which there are, and reconcile() takes in files that it does not know yet"
    )]
    UnknownCheckpoint {
        /// The id, shortened if it is long.
        id: String,
    },
    /// There was a checkpoint with this id, and it was deleted.
    #[error("checkpoint {id} was deleted at {at}: {why}; ask best() or latest() for another")]
    Deleted {
        /// The id.
        id: String,
        /// When.
        at: Timestamp,
        /// By whose wish or which rule.
        why: String,
    },
    /// No checkpoint of this model has this metric.
    #[error(
        "no checkpoint of {model} has the metric {metric:?}: known are {}",
        listed(known)
    )]
    UnknownMetric {
        /// The model.
        model: String,
        /// The metric that was asked for.
        metric: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Nobody said which metric ranks this model's checkpoints.
    #[error(
        "{model} has no monitor: call set_monitor, or best_by with one of {}",
        listed(known)
    )]
    NoMonitor {
        /// The model.
        model: String,
        /// The metrics that its checkpoints have.
        known: Vec<String>,
    },
    /// An alias points nowhere.
    #[error("{model} has no alias {alias:?}: known are {}", listed(known))]
    UnknownAlias {
        /// The model.
        model: String,
        /// The alias that was asked for.
        alias: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// An alias has never pointed at anything else that still exists.
    #[error(
        "the alias {alias:?} of {model} has nothing to roll back to: set_alias points it at a checkpoint by id"
    )]
    NothingBefore {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
    /// A checkpoint could not be saved; nothing of it is left.
    #[error("cannot save a checkpoint of {model} at {}: {cause}; nothing of it was kept", path.display())]
    NotSaved {
        /// The model.
        model: String,
        /// The file that could not be written.
        path: PathBuf,
        /// What the system or the writing closure said.
        cause: Arc<io::Error>,
    },
    /// A checkpoint is whole on disk, but its entry in the registry may not be.
    #[error("checkpoint {id} is whole in {}, but it is not certain that the registry has it ({reason}): reconcile() settles it", path.display())]
    Unconfirmed {
        /// The id.
        id: String,
        /// The file of its weights.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The weights of a checkpoint are gone.
    #[error("the weights of checkpoint {id} are missing from {}: restore the file and reconcile(), or take best_loadable()", path.display())]
    WeightsMissing {
        /// The id.
        id: String,
        /// Where they should be.
        path: PathBuf,
    },
    /// The weights of a checkpoint are not what was saved.
    #[error("the weights of checkpoint {id} in {} are damaged ({detail}): restore the file and reconcile(), or take best_loadable()", path.display())]
    WeightsCorrupt {
        /// The id.
        id: String,
        /// The file.
        path: PathBuf,
        /// How it shows.
        detail: String,
    },
    /// A checkpoint must not be deleted.
    #[error("checkpoint {id} is protected ({by}): release it first")]
    Protected {
        /// The id.
        id: String,
        /// What protects it.
        by: String,
    },
    /// What a plan was made from has changed; nothing that differs from the plan was deleted.
    #[error(
        "the plan is out of date, {deleted} were deleted before that showed: {}; make a new plan",
        listed(changes)
    )]
    PlanOutdated {
        /// What is different now, one by one.
        changes: Vec<String>,
        /// How many checkpoints or segments of the plan had been deleted by then.
        deleted: usize,
    },
    /// A journal in memory has no directory for weights, segments or backups.
    #[error("the journal is in memory, and this needs a directory: open one with Journal::open")]
    NoDirectory,
    /// A thread in the background panicked; what it did is not done any more.
    #[error(
        "the thread {name} panicked ({message}): what it does stands still; close the journal, open it again, and report this"
    )]
    ThreadPanicked {
        /// The thread's name.
        name: &'static str,
        /// What it panicked with.
        message: String,
    },
    /// The file that is written has lost its name: what is recorded cannot be found there any more.
    #[error("{} was {what} while the journal was open: what is recorded goes to a file that nobody can open by that name; put it back, or close the journal and open it again", path.display())]
    Misplaced {
        /// The file's name.
        path: PathBuf,
        /// What happened to it: "removed or moved", or "replaced by another file".
        what: &'static str,
    },
    /// Another process holds a lock of the file for longer than is waited for.
    #[error("{} cannot be {operation}: {holder} has held {lock} for {waited:?}; let a stopped process go on (kill -CONT) or end it, and try again", path.display())]
    Locked {
        /// The file in question.
        path: PathBuf,
        /// What was to be done with it: "read", "written" or "opened".
        operation: &'static str,
        /// Which lock is in the way.
        lock: &'static str,
        /// Who holds it, as far as the system says: numbers, names and states of processes.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// A thread could not be started.
    #[error("cannot start the thread {name}: {cause}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// What the system said.
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
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Error::Io {
            operation,
            path: path.into(),
            cause: Arc::new(cause),
        }
    }
}
