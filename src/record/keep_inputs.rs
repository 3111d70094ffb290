//! Which inputs a recorder keeps, and under which names.

use super::queue::Queue;
use super::queue::local_names::{LocalName, NO_NAME};
use crate::engine::format::name::{NameKind, join_labels};
use crate::entry::error::{Error, Result};
use crate::entry::input::Condition;

/// Most bytes of the names of an input's values, all together.
pub(crate) const MOST_NAMES: usize = 64 << 10;

/// Which inputs a [`Recorder`](crate::Recorder) keeps, and not only their hash; see
/// [`RecorderBuilder::keep_inputs`](super::RecorderBuilder::keep_inputs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepInputs {
    /// None, but for calls that [ask for it](super::Prepared::keep_features). The default.
    #[default]
    Asked,
    /// All of them.
    Always,
    /// About one in so many, by the feature hash: all decisions about one input are in, or all are
    /// out, in every run and every process. A hash is in if it is at most 2^64 / n. Not 0.
    OneIn(u32),
    /// Those of decisions that are found to be divergent: a
    /// [deterministic](super::RecorderBuilder::deterministic) model has answered the same features
    /// with another answer, in this process, and within the
    /// [window of deduplication](crate::Options::dedup_window). The earlier decision has the same
    /// feature hash, so its input is the same. Every input travels to the writer, which throws most
    /// away: a call costs as much as with [`Always`](Self::Always). An input that finds no room, or
    /// is too large, is given up before it is known whether its decision is divergent. A decision
    /// with attributes or blobs is compared with no other, so its input is not kept.
    Divergent,
}

/// What a recorder does with inputs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BoundInputs {
    /// The highest feature hash whose input is kept.
    highest: Option<u64>,
    condition: Condition,
    names: LocalName,
}

impl BoundInputs {
    /// Whether a decision with this feature hash keeps its input.
    #[inline]
    pub(super) fn wants(self, hash: Option<u64>) -> bool {
        self.highest
            .is_some_and(|highest| hash.is_some_and(|hash| hash <= highest))
    }

    /// What has to come true besides.
    #[inline]
    pub(super) fn condition(self) -> Condition {
        self.condition
    }

    #[inline]
    pub(super) fn names(self) -> LocalName {
        self.names
    }

    /// What a recorder of `queue` does with inputs.
    pub(super) fn bind(queue: &Queue, keep: KeepInputs, names: &[String]) -> Result<BoundInputs> {
        let bad = |name, value: String, advice| {
            Err(Error::InvalidOption {
                name,
                value,
                advice,
            })
        };
        let bytes = names.iter().map(|name| name.len() + 1);
        let bytes: usize = bytes.sum();
        if bytes > MOST_NAMES {
            let advice = "give names with at most 64 KiB together";
            return bad("feature_names", format!("{bytes} bytes"), advice);
        }
        let highest = match keep {
            KeepInputs::Asked => None,
            KeepInputs::Always | KeepInputs::Divergent => Some(u64::MAX),
            KeepInputs::OneIn(0) => {
                return bad("keep_inputs", "one in 0".to_owned(), "give 1 or more");
            }
            KeepInputs::OneIn(n) => Some(u64::MAX / u64::from(n)),
        };
        let bound = if names.is_empty() {
            NO_NAME
        } else {
            let joined = join_labels(names.iter().map(String::as_str));
            let known = queue.names.intern(NameKind::FeatureNames, &joined);
            // Without room for it in the table of names, inputs are kept without names.
            known.map_or(NO_NAME, |(name, _)| name)
        };
        Ok(BoundInputs {
            highest: highest.filter(|_| queue.inputs.is_on()),
            condition: match keep {
                KeepInputs::Divergent => Condition::Divergent,
                _ => Condition::None,
            },
            names: bound,
        })
    }
}
