//! The handle of a question; its calls stand beside what they do.

use std::ops::RangeInclusive;

use super::Subject;
use crate::entry::error::Result;
use crate::entry::timestamp::Timestamp;
use crate::read::Reader;

/// A question about what models did; from [`Reader::stats`](crate::Reader::stats) and
/// [`Journal::stats`](crate::Journal::stats). Nothing is read before [`get`](Self::get) or
/// [`by`](Self::by).
///
/// Times are event times. Without a range, all of them are meant; a range that is empty or reversed
/// gives an empty result.
///
/// ```
/// # use annals::{Group, Inference, Journal};
/// # use std::time::Duration;
/// # let journal = Journal::in_memory()?;
/// for confidence in [0.8, 0.9] {
///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(confidence));
/// }
/// journal.log(Inference::new("dqn_agent", "BTC/USDT", "HOLD").confidence(0.4));
/// journal.flush().wait(Duration::from_secs(5))?;
///
/// let day = journal.stats("dqn_agent").last(Duration::from_secs(86_400)).get()?;
/// assert_eq!(day.count, 3);
/// assert!(day.confidence.mean.is_some_and(|mean| (mean - 0.7).abs() < 1e-6));
///
/// for row in journal.stats("dqn_agent").by(Group::Symbol)? {
///     println!("{:?}: {} decisions", row.symbol, row.stats.count);
/// }
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a question reads nothing until get or by is called"]
pub struct StatsQuery {
    pub(super) reader: Result<Reader>,
    pub(super) subject: Subject,
    pub(super) times: RangeInclusive<Timestamp>,
    /// Outcomes that turned out later are left out.
    pub(super) known_until: Option<Timestamp>,
}
