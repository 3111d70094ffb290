//! Taking in what was recorded elsewhere: one file for each kind of source.

mod content;
pub mod folder;
mod json;
pub mod jsonl;
mod known;
mod python;
pub mod sqlite;

use std::collections::BTreeMap;
use std::path::Path;

use annals::Importer;

use crate::failure::Result;
use crate::progress;

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
            Doing::Real => Importer::open(dir)?,
            Doing::Rehearsal => Importer::rehearse(dir)?,
        })
    }
}

/// Whether rows that look like earlier ones are those.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Identity {
    #[default]
    Recognised,
    /// All of it is another source's.
    New,
}

/// Whether columns that are not known are kept as attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Columns {
    #[default]
    Known,
    All,
}

/// Result of an import.
#[derive(Default)]
pub struct Report {
    pub doing: Doing,
    /// The source's name.
    pub source: String,
    /// The numbers of the runs that it was taken in under.
    pub runs: Vec<u32>,
    pub inferences: u64,
    pub outcomes: u64,
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
    /// Of these, those that differ from the entry.
    pub differs: u64,
    /// In which fields.
    pub differing: BTreeMap<&'static str, u64>,
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

impl Report {
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

    /// A row that is there already, and differs from its entry.
    pub fn differs(&mut self, place: &str, why: &str) {
        self.differs += 1;
        say(self.differs, place, why);
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

fn say(count: u64, place: &str, why: &str) {
    if count <= SAID {
        progress::say(&format!("annals: {place}: {why}"));
    }
    if count == SAID {
        progress::say("annals: and so on: further ones are counted only");
    }
}
