//! The figures of a comparison, and the file that they are kept in.

use std::path::Path;

use annals::Timestamp;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::common::machine::Machine;
use crate::kind::Kind;
use crate::measure::{Growth, Latency, Throughput};

#[derive(Default, Serialize, Deserialize)]
pub struct Report {
    /// In the order of [`Kind::ALL`].
    pub subjects: Vec<Figures>,
}

/// Figures of one subject, with place and time.
#[derive(Serialize, Deserialize)]
pub struct Figures {
    pub name: String,
    pub promise: String,
    pub machine: String,
    /// UTC, to the second.
    pub at: String,
    pub latency: Vec<Latency>,
    pub throughput: Vec<Throughput>,
    pub growth: Option<Growth>,
}

impl Figures {
    pub fn new(kind: Kind, machine: &Machine) -> Self {
        Figures {
            name: kind.name().to_owned(),
            promise: kind.promise().to_owned(),
            machine: machine.to_string(),
            at: Timestamp::now().to_string().chars().take(16).collect(),
            latency: Vec::new(),
            throughput: Vec::new(),
            growth: None,
        }
    }
}

impl Report {
    /// The figures in `file`; none if there is no such file.
    pub fn read(file: &Path) -> Result<Report> {
        if !file.exists() {
            return Ok(Report::default());
        }
        let text = std::fs::read_to_string(file)?;
        serde_json::from_str(&text).with_context(|| {
            let file = file.display();
            format!("{file} holds figures of another kind: remove it to begin anew")
        })
    }

    /// Puts `figures` in the place of older ones of the same subject.
    pub fn put(&mut self, figures: Figures) {
        self.subjects.retain(|known| known.name != figures.name);
        self.subjects.push(figures);
        self.subjects.sort_by_key(|figures| {
            let kinds = Kind::ALL.iter();
            kinds.take_while(|kind| kind.name() != figures.name).count()
        });
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(file, text)?;
        Ok(())
    }
}
