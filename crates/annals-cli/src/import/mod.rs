//! Taking in what was recorded elsewhere: one file for each kind of source.

pub mod folder;
mod json;
pub mod jsonl;
mod python;
pub mod sqlite;

use crate::progress;

/// What an import did.
#[derive(Default)]
pub struct Report {
    /// The source's name.
    pub source: String,
    pub inferences: u64,
    pub outcomes: u64,
    pub gaps: u64,
    /// System events and checkpoint events.
    pub events: u64,
    pub checkpoints: u64,
    /// Rows that were there already.
    pub known: u64,
    /// Rows that were left out.
    pub broken: u64,
    /// Rows that were taken in without a field that could not be read.
    pub damaged: u64,
    /// What else is worth knowing.
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
}

fn say(count: u64, place: &str, why: &str) {
    if count <= SAID {
        progress::say(&format!("annals: {place}: {why}"));
    }
    if count == SAID {
        progress::say("annals: and so on: further ones are counted only");
    }
}
