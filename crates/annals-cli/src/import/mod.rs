//! Taking in what was recorded elsewhere: one file for each kind of source.

mod content;
pub mod folder;
mod json;
pub mod jsonl;
mod known;
mod python;
pub mod sqlite;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use annals::import::Importer;
use annals::{Journal, Registry};

use crate::failure::Result;
use crate::progress;
pub use content::FieldChange;

/// Whether an import is done, or only what it would do is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Doing {
    #[default]
    Real,
    Rehearsal,
}

impl Doing {
    /// The importer for it.
    pub fn importer(self, dir: &Path) -> Result<Importer> {
        Ok(match self {
            // What was kept elsewhere is kept here. A journal that is opened then goes by its own
            // budget.
            Doing::Real => {
                let options = Journal::options().input_budget(u64::MAX);
                Importer::open_with(dir, &options)?
            }
            Doing::Rehearsal => Importer::rehearse(dir)?,
        })
    }

    /// The registry for it; where there is no journal, one is made.
    pub fn registry(self, dir: &Path) -> Result<Registry> {
        if self == Doing::Rehearsal {
            return Ok(Registry::rehearse(dir)?);
        }
        if !dir.join("journal.redb").exists() {
            Journal::options().without_mirror().open(dir)?.close()?;
        }
        Ok(Registry::open(dir)?)
    }

    /// Treatment of known checkpoints that lacked something.
    pub fn completes(self) -> &'static str {
        match self {
            Doing::Real => "checkpoints that were known got what they lacked",
            Doing::Rehearsal => "checkpoints that are known would get what they lack",
        }
    }
}

/// Whether rows that look like earlier ones are those.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RowIdentity {
    #[default]
    Recognised,
    /// All of it is another source's.
    New,
}

/// Whether columns that are not known are kept as attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TakenColumns {
    #[default]
    Known,
    All,
}

/// Result of an import.
#[derive(Default)]
pub struct ImportReport {
    pub doing: Doing,
    /// The source's name.
    pub source: String,
    /// The numbers of the runs that it was taken in under.
    pub runs: Vec<u32>,
    pub inferences: u64,
    pub outcomes: u64,
    /// Kept inputs of inferences.
    pub inputs: u64,
    pub gaps: u64,
    /// System events and checkpoint events.
    pub events: u64,
    pub checkpoints: u64,
    /// Rows that were there already.
    pub known: u64,
    /// Of these, under which source's name.
    pub known_as: BTreeMap<String, u64>,
    /// Of these, those whose time differs by what zones do.
    pub other_zone: u64,
    /// Of these, those that got an outcome.
    pub completed: u64,
    /// Of these, those that differ from the entry.
    pub differs: u64,
    /// In which fields, and how. A committed decision does not change.
    pub differing: BTreeMap<(&'static str, FieldChange), u64>,
    /// The runs that hold entries which differ, or have the times of another zone.
    pub outdated: BTreeSet<u32>,
    /// Rows that were taken in and look like rows of another source, by its name.
    pub alike: BTreeMap<String, u64>,
    /// Rows that were left out.
    pub broken: u64,
    /// Rows that were taken in without a field that could not be read.
    pub damaged: u64,
    /// Fields that were not taken over as they are, by field and reason.
    pub not_taken: BTreeMap<(String, String), u64>,
    /// Rows whose time bears no zone.
    pub no_zone: u64,
    /// Rows in an hour that came twice, when the clocks were put back.
    pub twice: u64,
    /// Rows in an hour that never was, when the clocks were put forward.
    pub never: u64,
    /// Unreadable parts of the source, and the reasons.
    pub unread: Vec<String>,
    /// Further remarks.
    pub notes: Vec<String>,
}

/// Broken rows that are said one by one.
const SAID: u64 = 20;

impl ImportReport {
    /// A row that cannot be taken in.
    pub fn broken(&mut self, place: &str, why: &str) {
        self.broken += 1;
        say(self.broken, place, why);
    }

    /// A row that is taken in without one of its fields.
    pub fn damaged(&mut self, place: &str, why: &str) {
        self.damaged += 1;
        say(self.damaged, place, why);
    }

    /// A row that is there already, in this run, and differs from its entry.
    pub fn differs(&mut self, place: &str, run: u32, changes: &[(&'static str, FieldChange)]) {
        self.differs += 1;
        self.outdated.insert(run);
        let mut said: Vec<String> = Vec::new();
        for (field, change) in changes {
            *self.differing.entry((field, *change)).or_default() += 1;
            said.push(format!("{field}: {}", change.reason()));
        }
        let why = format!("{}; the entry stays as it is", said.join("; "));
        say(self.differs, place, &why);
    }

    /// A row that is there already, in this run, with a time that another zone gave it.
    pub fn other_zone(&mut self, run: u32) {
        self.other_zone += 1;
        self.outdated.insert(run);
    }

    /// Everything that was taken in so far.
    fn taken(&self) -> [u64; 5] {
        [
            self.inferences,
            self.outcomes,
            self.gaps,
            self.events,
            self.checkpoints,
        ]
    }

    /// A field that is not taken over as it is.
    pub fn not_taken(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.not_taken_times(field, reason, 1);
    }

    /// So many values of a field.
    pub fn not_taken_times(
        &mut self,
        field: impl Into<String>,
        reason: impl Into<String>,
        times: u64,
    ) {
        let key = (field.into(), reason.into());
        *self.not_taken.entry(key).or_default() += times;
    }
}

/// Why a row is refused for its own sake, naming its field; `None` for errors that concern more
/// than that row.
fn refusal(error: &annals::Error) -> Option<String> {
    match error {
        annals::Error::InvalidOption {
            name,
            value,
            advice,
            ..
        } => Some(format!("{name}: {value}: {advice}")),
        annals::Error::Parse { .. } => Some(error.to_string()),
        _ => None,
    }
}

fn say(count: u64, place: &str, why: &str) {
    if count <= SAID {
        progress::say(&format!("annals: {place}: {why}"));
    }
    if count == SAID {
        progress::say("annals: and so on: further ones are counted only");
    }
}
