//! The writer's loop: the order in which it looks, commits, answers and ends. The promises of
//! `flush` and `close` rest on this order, so it stands apart from the work itself.

use std::time::Duration;

use crate::entry::error::Result;
use crate::record::flush::{Demand, FlushReply};
use crate::record::queue::channel::Channel;
use crate::threads::sync::channel::Receiver;
use crate::threads::sync::thread;

/// Whether a caller waits for the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A flush or a close waits for a commit.
    Urgent,
    /// A sync waits for the spool.
    Sync,
    /// No caller does.
    Routine,
}

/// The work that the loop drives.
pub(crate) trait Work {
    /// Takes up at least the messages in the queue at the time of the call. An error reports a full
    /// device.
    fn drain(&mut self, urgency: Urgency) -> Result<()>;

    /// Makes all that was taken up durable, in the spool or by a commit.
    fn sync(&mut self) -> Result<()>;

    /// Whether the interval since the last commit is over.
    fn is_due(&self) -> bool;

    /// Commits all that was taken up, unless it failed.
    fn commit(&mut self) -> Result<()>;

    /// The error that ended all commits, if there was one.
    fn failure(&self) -> Result<()>;

    /// Whether nothing is left in the lanes; see [`Channel::seal_if_quiet`].
    fn is_drained(&mut self) -> bool;

    /// Between two rounds, when no caller waits for an answer.
    fn between_rounds(&mut self);

    /// Time without work, unless a call comes.
    fn nap_time(&self) -> Duration;

    /// The last words, after the last commit came to `result`.
    fn finish(&mut self, result: Result<()>) -> Result<()>;
}

/// Works until the channel is closed and everything before that has been answered for.
pub(crate) fn serve<M>(
    work: &mut impl Work,
    channel: &Channel<M>,
    requests: &Receiver<FlushReply>,
) -> Result<()> {
    loop {
        // Read before the requests, which are read before the queue is drained. So a flush
        // before a close is answered, and calls before a flush are drained with it.
        let closing = channel.is_closed();
        let mut asked: Vec<FlushReply> = requests.try_iter().collect();
        let urgency = if closing || asked.iter().any(|asked| asked.demand() == Demand::Commit) {
            Urgency::Urgent
        } else if !asked.is_empty() {
            Urgency::Sync
        } else {
            Urgency::Routine
        };
        let swept = work.drain(urgency);
        if urgency == Urgency::Sync {
            // One sync answers all that were asked for by now. A commit that is due comes behind
            // it: it takes longer.
            let result = swept.clone().and_then(|()| work.sync());
            let result = result.and_then(|()| work.failure());
            for answer in asked.drain(..) {
                answer.send(result.clone());
            }
        }
        if urgency == Urgency::Urgent || work.is_due() {
            // A flush is answered after the commit that holds its entries, never before.
            let result = swept.and_then(|()| work.commit());
            let result = result.and_then(|()| work.failure());
            for answer in asked {
                answer.send(result.clone());
            }
            // A call that was under way when the journal closed may just have got through.
            // So may a loss, which gets its gap.
            if closing && (result.is_err() || channel.seal_if_quiet(|| work.is_drained())) {
                return work.finish(result);
            }
        }
        work.between_rounds();
        // A call from here on leaves a token, so that the nap does not begin.
        if !channel.is_closed() && requests.is_empty() {
            thread::park_timeout(work.nap_time());
        }
    }
}
