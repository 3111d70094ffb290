//! annals itself: with names bound beforehand, with names as strings, and with its text files.

use std::path::Path;

use annals::{Inference, Journal, Options, Overflow, Recorder};
use anyhow::{Result, bail};

use super::{ACTIONS, CHECKPOINT, MODEL, SYMBOL, Subject};
use crate::common::BOUND;
use crate::common::events::Decision;

fn options() -> Options {
    // Whoever measures throughput waits for room instead of dropping; a paced call never does.
    Journal::options()
        .overflow(Overflow::Block { timeout: BOUND })
        .close_timeout(BOUND)
}

fn settle(journal: &Journal) -> Result<()> {
    journal.flush().wait(BOUND)?;
    Ok(())
}

fn check(journal: &Journal, events: u64) -> Result<()> {
    let health = journal.health();
    if health.committed != events || health.dropped.total() > 0 {
        bail!("not every event was recorded: {health:?}");
    }
    journal.seal(BOUND)?;
    journal.close()?;
    Ok(())
}

/// Names bound once, as a loop would.
pub struct Prepared {
    journal: Journal,
    recorder: Recorder,
}

impl Prepared {
    fn start(options: Options, dir: &Path) -> Result<Self> {
        let journal = options.open(dir)?;
        let recorder = journal
            .recorder(MODEL, SYMBOL)
            .actions(ACTIONS)
            .checkpoint(CHECKPOINT)
            .build()?;
        Ok(Prepared { journal, recorder })
    }
}

impl Subject for Prepared {
    fn open(dir: &Path) -> Result<Self> {
        Prepared::start(options().without_mirror(), dir)
    }

    fn log(&mut self, decision: &Decision) {
        let logged = self
            .recorder
            .inference(decision.action)
            .probabilities(&decision.probabilities)
            .features(&decision.features)
            .processing_time(decision.took)
            .log();
        std::hint::black_box(logged);
    }

    fn settle(&mut self) -> Result<()> {
        settle(&self.journal)
    }

    fn check(&mut self, events: u64) -> Result<()> {
        check(&self.journal, events)
    }
}

/// The same with the text files written behind it.
pub struct WithText(Prepared);

impl Subject for WithText {
    fn open(dir: &Path) -> Result<Self> {
        Prepared::start(options(), dir).map(WithText)
    }

    fn log(&mut self, decision: &Decision) {
        self.0.log(decision);
    }

    fn settle(&mut self) -> Result<()> {
        self.0.settle()
    }

    fn check(&mut self, events: u64) -> Result<()> {
        self.0.check(events)
    }
}

/// Everything at hand as strings.
pub struct Strings(Journal);

impl Subject for Strings {
    fn open(dir: &Path) -> Result<Self> {
        Ok(Strings(options().without_mirror().open(dir)?))
    }

    fn log(&mut self, decision: &Decision) {
        let [buy, sell, hold] = decision.probabilities;
        let logged = self.0.log(
            Inference::new(MODEL, SYMBOL, ACTIONS[decision.action])
                .probabilities(&[("BUY", buy), ("SELL", sell), ("HOLD", hold)])
                .features(&decision.features)
                .processing_time(decision.took)
                .checkpoint(CHECKPOINT),
        );
        std::hint::black_box(logged);
    }

    fn settle(&mut self) -> Result<()> {
        settle(&self.0)
    }

    fn check(&mut self, events: u64) -> Result<()> {
        check(&self.0, events)
    }
}
