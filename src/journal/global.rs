//! One journal for the whole process, for code that cannot be handed one.

use std::sync::OnceLock;

use super::Journal;
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::inference::{Attributes, Inference};

static INSTALLED: OnceLock<Journal> = OnceLock::new();

/// Makes `journal` the one that [`log`] records to, for the rest of the process.
///
/// A static is never dropped: call [`Journal::close`] on the returned journal before the process
/// ends, or its last commit interval is lost as in a crash.
///
/// # Errors
/// [`Error::AlreadyInstalled`] on the second call; `journal` is closed by being dropped.
///
/// ```
/// use annals::{Inference, Journal};
///
/// let journal = annals::install(Journal::in_memory()?)?;
/// let id = annals::log(Inference::new("dqn_agent", "ETH/USDT", "HOLD"));
/// assert!(id.is_some());
/// journal.close()?;
/// # Ok::<(), annals::Error>(())
/// ```
pub fn install(journal: Journal) -> Result<&'static Journal> {
    let is_first = INSTALLED.set(journal).is_ok();
    let installed = INSTALLED.get().filter(|_| is_first);
    installed.ok_or(Error::AlreadyInstalled)
}

/// The installed journal, if there is one. Costs one atomic load.
///
/// ```
/// assert!(annals::installed().is_none()); // until a journal is installed
/// ```
#[must_use]
pub fn installed() -> Option<&'static Journal> {
    INSTALLED.get()
}

/// [`Journal::log`] on the installed journal; `None` (and counted nowhere) if there is none.
///
/// ```
/// // Counted nowhere, because no journal is installed.
/// assert!(annals::log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY")).is_none());
/// ```
#[inline]
pub fn log<A: Attributes>(inference: Inference<'_, A>) -> Option<InferenceId> {
    INSTALLED.get()?.log(inference)
}
