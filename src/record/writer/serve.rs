//! The writer's loop: the order in which it looks, commits, answers and ends. The promises of
//! `flush` and `close` rest on this order, so it stands apart from the work itself.

use std::time::Duration;

use crate::entry::error::Result;
use crate::record::flush::FlushReply;
use crate::record::queue::lane::Lane;
use crate::threads::sync::channel::Receiver;
use crate::threads::sync::thread;

/// Whether a caller waits for the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A flush or a close waits.
    Urgent,
    /// No caller does.
    Leisurely,
}

/// The work that the loop drives.
pub(crate) trait Work {
    /// Takes up at least the messages in the queue at the time of the call. An error reports a full
    /// device.
    fn sweep(&mut self, pace: Pace) -> Result<()>;

    /// Whether the interval since the last commit is over.
    fn is_due(&self) -> bool;

    /// Commits all that was taken up, unless it failed.
    fn commit(&mut self) -> Result<()>;

    /// The error that ended all commits, if there was one.
    fn outcome(&self) -> Result<()>;

    /// Between two rounds, when no caller waits for an answer.
    fn tidy(&mut self);

    /// Time without work, unless a call comes.
    fn rest(&self) -> Duration;

    /// The last words, after the last commit came to `outcome`.
    fn finish(&mut self, outcome: Result<()>) -> Result<()>;
}

/// Works until the lane is closed and everything before that has been answered for.
pub(crate) fn serve<M>(
    work: &mut impl Work,
    lane: &Lane<M>,
    requests: &Receiver<FlushReply>,
) -> Result<()> {
    loop {
        // Read before the requests, which are read before the sweep. So a flush before a close is
        // answered, and calls before a flush are swept with it.
        let closing = lane.is_closed();
        let asked: Vec<FlushReply> = requests.try_iter().collect();
        let pace = if closing || !asked.is_empty() {
            Pace::Urgent
        } else {
            Pace::Leisurely
        };
        let swept = work.sweep(pace);
        if pace == Pace::Urgent || work.is_due() {
            // A flush is answered after the commit that holds its entries, never before.
            let outcome = swept.and_then(|()| work.commit());
            let outcome = outcome.and_then(|()| work.outcome());
            for answer in asked {
                answer.give(outcome.clone());
            }
            // A call that was under way when the journal closed may just have got through.
            // So may a loss, which gets its gap.
            if closing && (outcome.is_err() || lane.seal_if_quiet()) {
                return work.finish(outcome);
            }
        }
        work.tidy();
        // A call from here on leaves a token, so that the nap does not begin.
        if !lane.is_closed() && requests.is_empty() {
            thread::park_timeout(work.rest());
        }
    }
}
