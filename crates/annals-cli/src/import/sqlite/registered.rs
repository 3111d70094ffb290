//! Rows of checkpoints on their way into the registry: what is new, known, completed or different,
//! and which of them is the active one.

use std::collections::BTreeMap;

use annals::registry::Import;
use annals::{Checkpoint, Registry};

use super::super::ImportReport;
use super::super::times::Doubts;
use crate::failure::Result;

/// Rows that one call of the registry takes.
const SLICE: usize = 500;
/// Notes of one kind that are said one by one.
const SAID: usize = 20;
/// Marks the checkpoint that the source calls active, so that the next import sees it move.
pub const TAG: &str = "active-in-source";

/// One row.
pub struct Pending {
    pub entry: Import,
    pub id: String,
    pub model: String,
    /// Whether the source calls it the active one.
    pub active: bool,
    /// Whether its weights are there.
    pub present: bool,
    /// The doubts about its time.
    pub doubts: Doubts,
}

/// Rows that are taken in together.
pub struct RegisteredBatch<'r> {
    registry: &'r Registry,
    pending: Vec<Pending>,
    active: Vec<String>,
    missing: Vec<String>,
    renamed: Vec<String>,
    completed: Vec<String>,
    differs: Vec<String>,
}

impl<'r> RegisteredBatch<'r> {
    pub fn new(registry: &'r Registry) -> Self {
        RegisteredBatch {
            registry,
            pending: Vec::new(),
            active: Vec::new(),
            missing: Vec::new(),
            renamed: Vec::new(),
            completed: Vec::new(),
            differs: Vec::new(),
        }
    }

    pub fn push(&mut self, row: Pending, report: &mut ImportReport) -> Result<()> {
        self.pending.push(row);
        if self.pending.len() >= SLICE {
            self.flush(report)?;
        }
        Ok(())
    }

    fn flush(&mut self, report: &mut ImportReport) -> Result<()> {
        let (mut entries, mut rows) = (Vec::new(), Vec::new());
        for row in self.pending.drain(..) {
            entries.push(row.entry);
            rows.push((row.id, row.model, row.active, row.present, row.doubts));
        }
        let imported = self.registry.import_each(entries)?;
        for (imported, (id, model, active, present, doubts)) in imported.into_iter().zip(rows) {
            if imported.is_new {
                report.checkpoints += 1;
                doubts.count(report);
            } else {
                report.known += 1;
            }
            if imported.id != id {
                let other = format!(
                    "{id} of {model} is {}: another model has its id",
                    imported.id
                );
                self.renamed.push(other);
            }
            if !present && !imported.is_deleted {
                self.missing.push(imported.id.clone());
            }
            if !imported.completed.is_empty() {
                let what = imported.completed.join(", ");
                self.completed.push(format!("{}: {what}", imported.id));
            }
            if !imported.differs.is_empty() {
                let what = imported.differs.join(", ");
                self.differs.push(format!("{}: {what}", imported.id));
            }
            if active && !imported.is_deleted {
                self.active.push(imported.id);
            }
        }
        Ok(())
    }

    /// Takes in the last rows, points `active` where the source does, and adds what there is to
    /// say.
    pub fn finish(mut self, table: &str, report: &mut ImportReport) -> Result<()> {
        self.flush(report)?;
        let kinds = [
            (
                &self.renamed,
                "checkpoints have another id than in the source",
            ),
            (
                &self.missing,
                "checkpoints have no weights any more, and are kept as missing",
            ),
            (&self.completed, report.doing.completes()),
            (
                &self.differs,
                "checkpoints differ from the source: what was known is kept",
            ),
        ];
        for (found, what) in kinds {
            if found.is_empty() {
                continue;
            }
            let shown: Vec<&str> = found.iter().take(SAID).map(String::as_str).collect();
            let more = match found.len().checked_sub(SAID) {
                None | Some(0) => String::new(),
                Some(more) => format!("; and {more} more"),
            };
            let note = format!("{} {what}: {}{more}", found.len(), shown.join("; "));
            report.notes.push(note);
        }
        self.activate(table, report)
    }

    fn activate(&self, table: &str, report: &mut ImportReport) -> Result<()> {
        // The column's default is true in many databases, so several rows may claim it: the newest
        // holds.
        let mut claims: BTreeMap<String, Vec<Checkpoint>> = BTreeMap::new();
        for id in &self.active {
            if let Some(known) = self.registry.get(id)? {
                claims
                    .entry(known.model().to_owned())
                    .or_default()
                    .push(known);
            }
        }
        for (model, mut claims) in claims {
            claims.sort_by_key(Checkpoint::created);
            let Some(last) = claims.pop() else { continue };
            if !claims.is_empty() {
                let why = format!(
                    "{} rows are active; {} is the newest and holds",
                    claims.len() + 1,
                    last.id()
                );
                report.damaged(&format!("{table}, {model}"), &why);
            }
            self.follow(&model, &last, report)?;
        }
        Ok(())
    }

    /// Moves `active` to the source's active checkpoint, if that has moved there and was not moved
    /// here.
    fn follow(&self, model: &str, claimed: &Checkpoint, report: &mut ImportReport) -> Result<()> {
        let before = self.registry.list(model).tag(TAG).get()?;
        let has_moved = !before.iter().any(|known| known.id() == claimed.id());
        let here = self.registry.active(model)?;
        if has_moved {
            for old in &before {
                self.registry.untag(old.id(), TAG)?;
            }
            self.registry.tag(claimed.id(), TAG)?;
        }
        match here {
            None => self.registry.activate(claimed.id())?,
            Some(here) if here.id() == claimed.id() || !has_moved => {}
            Some(here) if before.iter().any(|old| old.id() == here.id()) => {
                self.registry.activate(claimed.id())?;
                report.notes.push(format!(
                    "the active checkpoint of {model} is {}, as in the source: it was {}",
                    claimed.id(),
                    here.id()
                ));
            }
            Some(here) => report.notes.push(format!(
                "the source calls {} the active checkpoint of {model}; {} was activated here, and \
                 stays",
                claimed.id(),
                here.id()
            )),
        }
        Ok(())
    }
}
