//! annals: as it is opened without settings, with its commits alone, with its spool, and with a
//! sync of each decision.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use annals::entry::GapReason;
use annals::{BlackBox, Content, Inference, InferenceId, Journal, Options, Outcome, Timestamp};
use anyhow::{Result, ensure};

use super::{ACTION, CONFIDENCE, Found, Kind, MODEL, Promise, SYMBOL, Subject, signed, unsigned};

const BOUND: Duration = Duration::from_secs(60);
/// Without settings, lanes in shared memory keep all calls.
const HAS_LANES: bool = cfg!(all(target_os = "linux", target_pointer_width = "64"));

pub const DEFAULT: Kind = Kind {
    name: "annals",
    description: "annals, default settings",
    promise: if HAS_LANES { Some(Promise::All) } else { None },
    open: |dir| open(Journal::options(), dir, After::Nothing),
    read: |dir| read(Journal::options(), dir),
};

pub const OFF: Kind = Kind {
    name: "annals-off",
    description: "annals, `BlackBox::Off`",
    promise: None,
    open: |dir| open(off(), dir, After::Nothing),
    read: |dir| read(off(), dir),
};

pub const SPOOL: Kind = Kind {
    name: "annals-spool",
    description: "annals, `BlackBox::Spool`",
    promise: Some(Promise::AllButTheLast),
    open: |dir| open(spool(), dir, After::Nothing),
    read: |dir| read(spool(), dir),
};

pub const SYNC: Kind = Kind {
    name: "annals-sync",
    description: "annals, `BlackBox::Spool`, `sync` after each call",
    promise: Some(Promise::All),
    open: |dir| open(spool(), dir, After::Sync),
    read: |dir| read(spool(), dir),
};

fn off() -> Options {
    Journal::options().black_box(BlackBox::Off)
}

fn spool() -> Options {
    Journal::options().black_box(BlackBox::Spool)
}

/// What follows each call before it counts as answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Sync,
}

struct Annals {
    journal: Journal,
    after: After,
    /// The last id of each thread that logs: outcomes follow their decision at once.
    ids: Mutex<BTreeMap<u64, InferenceId>>,
}

fn open(options: Options, dir: &Path, after: After) -> Result<Box<dyn Subject>> {
    Ok(Box::new(Annals {
        journal: options.open(dir)?,
        after,
        ids: Mutex::default(),
    }))
}

impl Annals {
    fn settle(&self) -> Result<()> {
        if self.after == After::Sync {
            self.journal.sync().wait(BOUND)?;
        }
        Ok(())
    }
}

impl Subject for Annals {
    fn log(&self, number: u64) -> Result<bool> {
        let inference = Inference::new(MODEL, SYMBOL, ACTION)
            .confidence(CONFIDENCE)
            .event_time(Timestamp::from_micros(signed(number)));
        let Some(id) = self.journal.log(inference) else {
            return Ok(false);
        };
        self.settle()?;
        if let Ok(mut ids) = self.ids.lock() {
            ids.insert(number >> 32, id);
        }
        Ok(true)
    }

    fn attach_outcome(&self, number: u64) -> Result<bool> {
        let id = self.ids.lock().ok();
        let Some(id) = id.and_then(|ids| ids.get(&(number >> 32)).copied()) else {
            return Ok(false);
        };
        let accepted = self.journal.attach_outcome(id, Outcome::new().reward(1.5));
        self.settle()?;
        Ok(accepted)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.journal.close()?)
    }
}

fn read(options: Options, dir: &Path) -> Result<Found> {
    let journal = options.open(dir)?;
    let reader = journal.reader()?;
    let mut found = Found::default();
    let mut numbers = BTreeMap::new();
    for (next, entry) in (1..).zip(reader.follow(reader.start())?) {
        let entry = entry?;
        ensure!(entry.sequence == next, "sequence {next} is missing");
        match entry.content {
            Content::Inference(record) => {
                let number = unsigned(record.event_time.as_micros());
                let before = numbers.insert(record.id, number);
                ensure!(before.is_none(), "{} is there twice", record.id);
                found.decisions.push(number);
            }
            Content::Outcome(outcome) => {
                let number = numbers.get(&outcome.of);
                ensure!(number.is_some(), "an outcome before its decision");
                found.outcomes.extend(number);
            }
            Content::Gap(gap) => found.deaths += usize::from(gap.reason == GapReason::Died),
            _ => {}
        }
    }
    found.says_loss = found.deaths > 0;
    drop(reader);
    journal.close()?;
    Ok(found)
}
