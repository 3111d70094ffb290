//! annals itself: with names bound beforehand, with names as strings, and with its text files.

use std::path::Path;

use annals::{Journal, Options, Recorder};
use anyhow::{Result, anyhow};

use super::Subject;
use crate::common::events::Decision;
use crate::common::journals::{self, MODEL, SYMBOL};
use crate::common::{BOUND, Failure};

fn failed(error: Failure) -> anyhow::Error {
    anyhow!("{error}")
}

fn settle(journal: &Journal) -> Result<()> {
    journal.flush().wait(BOUND)?;
    Ok(())
}

fn check(journal: &Journal, events: u64) -> Result<()> {
    journals::all_recorded(journal, events).map_err(failed)?;
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
        let recorder = journals::recorder(&journal, MODEL, SYMBOL).map_err(failed)?;
        Ok(Prepared { journal, recorder })
    }
}

impl Subject for Prepared {
    fn open(dir: &Path) -> Result<Self> {
        Prepared::start(journals::options().without_mirror(), dir)
    }

    fn log(&mut self, decision: &Decision) {
        std::hint::black_box(journals::log(&self.recorder, decision));
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
        Prepared::start(journals::options(), dir).map(WithText)
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

/// All names as strings.
pub struct Strings(Journal);

impl Subject for Strings {
    fn open(dir: &Path) -> Result<Self> {
        Ok(Strings(journals::options().without_mirror().open(dir)?))
    }

    fn log(&mut self, decision: &Decision) {
        std::hint::black_box(journals::log_strings(&self.0, decision));
    }

    fn settle(&mut self) -> Result<()> {
        settle(&self.0)
    }

    fn check(&mut self, events: u64) -> Result<()> {
        check(&self.0, events)
    }
}
