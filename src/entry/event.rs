//! Events that are no inferences: messages about the environment of the models.

use std::fmt;
use std::str::FromStr;

use super::error::Error;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For tracing a single path.
    Trace,
    /// For developers.
    Debug,
    /// The ordinary course of things.
    Info,
    /// Something that deserves a look.
    Warn,
    /// Something that failed.
    Error,
}

impl Level {
    /// The level in capitals, as it stands in the text files.
    ///
    /// ```
    /// use annals::Level;
    ///
    /// assert_eq!(Level::Warn.as_str(), "WARN");
    /// assert_eq!("WARN".parse::<Level>()?, Level::Warn);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}

/// Reads what [`Level::as_str`] gives.
impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [
            Level::Trace,
            Level::Debug,
            Level::Info,
            Level::Warn,
            Level::Error,
        ];
        let found = all.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| Error::Parse {
            what: "level",
            text: text.to_owned(),
            expected: "TRACE, DEBUG, INFO, WARN or ERROR",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckpointAction {
    /// Written and registered.
    Saved,
    /// Read back into a model.
    Loaded,
    /// Made the one in use.
    Activated,
    /// Removed.
    Deleted,
    /// Found missing or damaged.
    Failed,
}

impl CheckpointAction {
    /// The action in lower case, as it stands in the text files.
    ///
    /// ```
    /// use annals::entry::CheckpointAction;
    ///
    /// assert_eq!(CheckpointAction::Activated.as_str(), "activated");
    /// assert_eq!("activated".parse::<CheckpointAction>()?, CheckpointAction::Activated);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CheckpointAction::Saved => "saved",
            CheckpointAction::Loaded => "loaded",
            CheckpointAction::Activated => "activated",
            CheckpointAction::Deleted => "deleted",
            CheckpointAction::Failed => "failed",
        }
    }
}

impl fmt::Display for CheckpointAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads what [`CheckpointAction::as_str`] gives.
impl FromStr for CheckpointAction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [
            CheckpointAction::Saved,
            CheckpointAction::Loaded,
            CheckpointAction::Activated,
            CheckpointAction::Deleted,
            CheckpointAction::Failed,
        ];
        let found = all.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| Error::Parse {
            what: "action",
            text: text.to_owned(),
            expected: "saved, loaded, activated, deleted or failed",
        })
    }
}
