//! Identities of episodes: decisions that follow each other in one course of an environment.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::ids::{InferenceId, RunId};
use super::timestamp::Timestamp;

/// The id of an episode: 24 bits number the run that began it, 40 bits count within that run. It
/// prints as `<run>-<counter>` and parses from the same form, so that another process can be told
/// of it. Ids of episodes and of inferences are apart: `3-17` may be one of each.
///
/// ```
/// use annals::entry::EpisodeId;
///
/// let id: EpisodeId = "3-17".parse()?;
/// assert_eq!((id.run().get(), id.counter()), (3, 17));
/// assert_eq!(id.to_string(), "3-17");
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpisodeId(pub(crate) u64);

impl EpisodeId {
    /// The run that began the episode.
    ///
    /// ```
    /// let id: annals::entry::EpisodeId = "3-17".parse()?;
    /// assert_eq!(id.run(), "3".parse()?);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn run(self) -> RunId {
        InferenceId(self.0).run()
    }

    /// Its number within that run.
    ///
    /// ```
    /// let id: annals::entry::EpisodeId = "3-17".parse()?;
    /// assert_eq!(id.counter(), 17);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn counter(self) -> u64 {
        InferenceId(self.0).counter()
    }

    /// The id as one number, for storage elsewhere.
    ///
    /// ```
    /// let id: annals::entry::EpisodeId = "3-17".parse()?;
    /// assert_eq!(id.to_u64(), (3 << 40) + 17);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The id that [`to_u64`](Self::to_u64) gave. A caller with episodes of its own may give any
    /// number.
    ///
    /// ```
    /// use annals::entry::EpisodeId;
    ///
    /// let id: EpisodeId = "3-17".parse()?;
    /// assert_eq!(EpisodeId::from_u64(id.to_u64()), id);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub const fn from_u64(id: u64) -> Self {
        EpisodeId(id)
    }
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        InferenceId(self.0).fmt(f)
    }
}

impl fmt::Debug for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EpisodeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.parse::<InferenceId>();
        parsed.map(|id| EpisodeId(id.0)).map_err(|_| Error::Parse {
            what: "episode id",
            text: text.to_owned(),
            expected: "<run>-<counter>, such as 3-17",
        })
    }
}

/// The name of an outcome's value that says how an episode has ended.
pub(crate) const EPISODE_END: &str = "episode.end";
/// The name of an outcome's value that is the reward of a whole episode.
pub(crate) const EPISODE_REWARD: &str = "episode.reward";

/// How an episode has ended, as in Gymnasium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EpisodeEnd {
    /// The environment came to an end of its own: a goal, a loss.
    Terminated,
    /// It was cut short from outside: a limit of time.
    Truncated,
    /// Nobody went on with it.
    Abandoned,
}

impl EpisodeEnd {
    /// The word for it.
    ///
    /// ```
    /// assert_eq!(annals::entry::EpisodeEnd::Truncated.as_str(), "truncated");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            EpisodeEnd::Terminated => "terminated",
            EpisodeEnd::Truncated => "truncated",
            EpisodeEnd::Abandoned => "abandoned",
        }
    }

    /// The stored value for it.
    pub(crate) const fn code(self) -> f64 {
        match self {
            EpisodeEnd::Terminated => 1.0,
            EpisodeEnd::Truncated => 2.0,
            EpisodeEnd::Abandoned => 3.0,
        }
    }

    /// The end that is stored so; `None` for a value that nothing writes.
    pub(crate) fn from_code(code: f64) -> Option<EpisodeEnd> {
        let all = [
            EpisodeEnd::Terminated,
            EpisodeEnd::Truncated,
            EpisodeEnd::Abandoned,
        ];
        all.into_iter()
            .find(|end| end.code().to_bits() == code.to_bits())
    }
}

impl fmt::Display for EpisodeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One episode, added up from its decisions; from [`Query::episodes`](crate::Query::episodes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpisodeRecord {
    /// Its id.
    pub id: EpisodeId,
    /// The model of its lowest step.
    pub model: Arc<str>,
    /// The symbol of its lowest step: the environment.
    pub symbol: Arc<str>,
    /// The earliest event time of its decisions.
    pub first_time: Timestamp,
    /// The latest event time of its decisions.
    pub last_time: Timestamp,
    /// Its length: how many decisions there are.
    pub decisions: u64,
    /// The highest number of a step. With fewer decisions than numbers, some were lost, or are
    /// another process's that has not committed them.
    pub last_step: u64,
    /// Its return: the rewards of the steps, and the newest reward of the whole episode.
    pub total_reward: f64,
    /// How many rewards are in it.
    pub rewarded: u64,
    /// Rewards that are NaN or infinite, which are left out of it.
    pub invalid_rewards: u64,
    /// How it has ended: as the newest outcome of its decisions says. Without one, an episode is
    /// abandoned if no run that recorded it is alive, and goes on otherwise: `None`.
    pub end: Option<EpisodeEnd>,
}

impl EpisodeRecord {
    /// Adds a reward.
    pub(crate) fn reward(&mut self, reward: f64) {
        if reward.is_finite() {
            self.total_reward += reward;
            self.rewarded += 1;
        } else {
            self.invalid_rewards += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_back_from_their_codes() {
        for end in [
            EpisodeEnd::Terminated,
            EpisodeEnd::Truncated,
            EpisodeEnd::Abandoned,
        ] {
            assert_eq!(EpisodeEnd::from_code(end.code()), Some(end));
        }
        for code in [0.0, 4.0, 1.5, f64::NAN, -1.0] {
            assert_eq!(EpisodeEnd::from_code(code), None);
        }
    }

    #[test]
    fn ids_print_and_parse_at_their_ends() {
        for id in [0, 1, (1 << 40) - 1, 1 << 40, u64::MAX] {
            let id = EpisodeId(id);
            assert_eq!(id.to_string().parse::<EpisodeId>().ok(), Some(id));
        }
        let error = "3"
            .parse::<EpisodeId>()
            .err()
            .map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("episode id")));
    }
}
