//! Why entries are missing: the reason of a gap, and what was wrong with a call that was refused.

use serde::{Deserialize, Serialize};

/// How many bytes of a name a refusal keeps.
const MOST_NAME: usize = 256;

/// Why events are missing from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The queue was full and the policy is to drop, or the bounded wait ran out.
    QueueFull,
    /// The call could not be recorded as given: too many probabilities, too much text, an action
    /// index beyond the recorder's actions. [`Gap::refusal`](crate::entry::Gap::refusal) has the
    /// reason.
    Refused,
    /// The run ended without closing the journal: killed, crashed, or the power went.
    Died,
    /// They were stored, and cannot be read any more. The count is of entries of any kind, and of
    /// no certain run.
    Damaged,
    /// They were of an import that was [undone](crate::maintenance::undo_import). The count is of
    /// entries of any kind. They do not count as lost.
    Withdrawn,
}

impl GapReason {
    /// Whether the gap stands in the place of entries.
    pub(crate) fn is_lost_range(self) -> bool {
        matches!(self, GapReason::Damaged | GapReason::Withdrawn)
    }
}

/// Why a call could not be recorded as it was given. Part of [`Gap`](crate::entry::Gap) and of
/// [`Health`](crate::health::Health).
///
/// ```
/// # use annals::Journal;
/// # let journal = Journal::in_memory()?;
/// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
/// assert!(recorder.inference(2).log().is_none());
/// let refused = &journal.health().refusals[0];
/// assert_eq!(
///     refused.refusal.to_string(),
///     "model dqn_agent, action: the index is beyond the recorder's 2 actions (first: 2)"
/// );
/// assert_eq!(refused.count, 1);
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The model whose call it was; `None` for system events and outcomes. Cut after 256 bytes.
    pub model: Option<String>,
    /// The argument that cannot be stored. Cut after 256 bytes.
    pub field: String,
    /// The reason of a refusal: the limit, and the first value beyond it.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(model: Option<&str>, field: &str, reason: &str) -> Self {
        Refusal {
            model: model.map(|model| shortened(model).to_owned()),
            field: shortened(field).to_owned(),
            reason: shortened(reason).to_owned(),
        }
    }
}

/// `model M, F: R`, or `F: R` without a model.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(model) = &self.model {
            write!(f, "model {model}, ")?;
        }
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// The beginning of `text`, as far as a refusal keeps it.
pub(crate) fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MOST_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
