//! The story of a journal: commits of inferences and events, with flushes, saves of checkpoints,
//! seals and reopenings among them.

use std::path::Path;

use super::HANG;
use super::ledger::{
    Account, Ledger, Promise, assert_balanced, options, settled, weights_of, with_inference,
};
use crate::health::State;
use crate::{BlackBox, Error, Journal, Level};

/// Intervals of events, in commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Story {
    pub(super) commits: usize,
    pub(super) save_every: usize,
    pub(super) seal_every: usize,
    pub(super) reopen_every: usize,
    /// A commit of so much that it takes several batches, of which the writer encodes one while
    /// another is on its way to the disk.
    pub(super) burst_every: usize,
    pub(super) waits: Waits,
}

/// The wait after each lot of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// A flush.
    Flush,
    /// A sync of a spool, and a flush every fifth time.
    Sync,
}

/// Events of a burst: more than are encoded between two checks for a full batch.
const BURST: usize = 200;

/// One telling of a story.
pub(super) struct Teller<'a> {
    pub(super) dir: &'a Path,
    pub(super) ledger: Ledger,
    /// Called after each promise with all promises so far.
    pub(super) promised: &'a mut dyn FnMut(&Ledger),
    next: u32,
}

impl<'a> Teller<'a> {
    pub(super) fn new(dir: &'a Path, promised: &'a mut dyn FnMut(&Ledger)) -> Self {
        Teller {
            dir,
            ledger: Ledger::default(),
            promised,
            next: 0,
        }
    }

    /// Tells the story to its end, whatever fails, opening a journal that has failed again. Gives
    /// up when it cannot be opened twice in a row.
    pub(super) fn tell(&mut self, story: Story) {
        self.ledger.has_spool = story.waits == Waits::Sync;
        let black_box = match story.waits {
            Waits::Flush => BlackBox::Off,
            Waits::Sync => BlackBox::Lanes,
        };
        let mut open: Option<Journal> = None;
        let mut refusals = 0;
        for commit in 1..=story.commits {
            if open.is_none() {
                match options().black_box(black_box).open(self.dir) {
                    Ok(journal) => {
                        refusals = 0;
                        self.ledger.runs.insert(journal.health().run.get());
                        (self.promised)(&self.ledger);
                        open = Some(journal);
                    }
                    Err(error) => {
                        self.ledger.errors.push(error);
                        refusals += 1;
                        if refusals == 2 {
                            return;
                        }
                        continue;
                    }
                }
            }
            let Some(journal) = &open else { continue };
            self.log_some(journal, commit, story);
            if commit.is_multiple_of(story.seal_every) {
                let sealed = journal.seal(HANG);
                self.note(sealed.map(|_| ()));
            }
            if commit.is_multiple_of(story.save_every) {
                self.save(journal, commit as u64);
            }
            let failed = journal.health().state == State::Failed;
            if failed || commit.is_multiple_of(story.reopen_every) {
                self.end(open.take());
            }
        }
        self.end(open);
    }

    fn log_some(&mut self, journal: &Journal, commit: usize, story: Story) {
        let is_burst = commit.is_multiple_of(story.burst_every);
        for _ in 0..1 + commit % 7 {
            let id = with_inference(self.next, |inference| journal.log(inference));
            if let Some(id) = id {
                let told = (self.next, Promise::None);
                self.ledger.inferences.insert(id.to_u64(), told);
            }
            self.next += 1;
        }
        if commit.is_multiple_of(4) {
            self.say(journal, format!("event {commit}"));
        }
        for number in (0..BURST).filter(|_| is_burst) {
            self.say(journal, format!("event {commit}/{number:1000}"));
        }
        // A burst is synced while the batch before is on its way.
        let ticket = if story.waits == Waits::Flush || commit % 5 == 1 {
            journal.flush()
        } else {
            journal.sync()
        };
        match ticket.wait(HANG) {
            Ok(()) => {
                self.ledger.flushed(journal.health().run);
                (self.promised)(&self.ledger);
            }
            Err(error) => self.ledger.errors.push(error),
        }
        let health = settled(journal);
        if health.queued == 0 {
            assert_balanced(&health, "after a flush");
        }
    }

    fn say(&mut self, journal: &Journal, message: String) {
        if journal.event(Level::Info, "story", message.clone()) {
            let run = journal.health().run.get();
            self.ledger.events.insert(message, (run, Promise::None));
        }
    }

    fn save(&mut self, journal: &Journal, step: u64) {
        self.ledger.checkpoints.insert(step, None);
        let saved = journal.registry().and_then(|registry| {
            let checkpoint = registry.checkpoint("model 0").step(step);
            checkpoint.metric("loss", 0.5).save(weights_of(step))
        });
        match saved {
            Ok(saved) => {
                let id = saved.id().to_owned();
                self.ledger.checkpoints.insert(step, Some(id));
                (self.promised)(&self.ledger);
            }
            Err(error) => self.ledger.errors.push(error),
        }
    }

    fn end(&mut self, journal: Option<Journal>) {
        let Some(journal) = journal else { return };
        let closed = journal.close();
        let health = journal.health();
        // A close that is in good order has committed everything.
        if closed.is_ok() {
            self.ledger.flushed(health.run);
            (self.promised)(&self.ledger);
        }
        self.ledger.accounts.push(Account {
            run: health.run.get(),
            health,
            closed: closed.is_ok(),
        });
        self.note(closed);
    }

    fn note(&mut self, outcome: Result<(), Error>) {
        self.ledger.errors.extend(outcome.err());
    }
}
