//! Facts about names and runs in entries, for where both tables are lost.

use std::collections::BTreeMap;

use crate::engine::format::block::StoredEntry;
use crate::engine::format::name::{LABEL_SEPARATOR, NameKind};
use crate::engine::format::row::{NameId, NameIds, Note, OutcomeValue, Row};
use crate::engine::uses::Uses;
use crate::entry::ids::InferenceId;
use crate::entry::timestamp::Timestamp;

/// Names and runs seen in entries.
#[derive(Default)]
pub(super) struct Evidence {
    pub(super) uses: Uses,
    pub(super) names: BTreeMap<NameId, SeenName>,
    pub(super) runs: BTreeMap<u32, SeenRun>,
}

/// How a name is used.
#[derive(Clone, Copy)]
pub(super) struct SeenName {
    kind: NameKind,
    /// Of labels, how many.
    labels: usize,
}

/// Facts about a run in entries.
#[derive(Clone, Copy)]
pub(super) struct SeenRun {
    /// The first recorded time.
    pub(super) first: Timestamp,
    pub(super) entries: u64,
    /// The highest id; 0 if there is none.
    pub(super) last_id: InferenceId,
}

impl Evidence {
    pub(super) fn see(&mut self, entry: &StoredEntry) {
        self.uses.see(entry);
        let id = match &entry.row {
            Row::Inference(row) => {
                self.see_names(row.names);
                self.see_name(
                    NameKind::Labels,
                    row.labels,
                    row.probabilities.as_slice().len(),
                );
                entry.head.id
            }
            Row::Repeat(row) => {
                self.see_names(row.names);
                entry.head.id
            }
            Row::Note(note) => {
                self.see_note(note);
                InferenceId::NONE
            }
        };
        let recorded = entry.head.recorded;
        let run = self.runs.entry(entry.run()).or_insert(SeenRun {
            first: recorded,
            entries: 0,
            last_id: InferenceId::NONE,
        });
        run.first = run.first.min(recorded);
        run.entries += 1;
        run.last_id = run.last_id.max(id);
    }

    fn see_note(&mut self, note: &Note) {
        match note {
            Note::Gap(_) => {}
            Note::SystemEvent(row) => self.see_name(NameKind::Component, row.component, 0),
            Note::CheckpointEvent(row) => {
                self.see_name(NameKind::Model, row.model, 0);
                self.see_name(NameKind::Checkpoint, row.checkpoint, 0);
            }
            Note::Outcome(row) => {
                for value in &row.values {
                    if let OutcomeValue::Named(name, _) = value {
                        self.see_name(NameKind::OutcomeName, *name, 0);
                    }
                }
            }
        }
    }

    fn see_names(&mut self, names: NameIds) {
        self.see_name(NameKind::Model, names.model, 0);
        self.see_name(NameKind::Symbol, names.symbol, 0);
        self.see_name(NameKind::Action, names.action, 0);
        self.see_name(NameKind::Checkpoint, names.checkpoint, 0);
    }

    fn see_name(&mut self, kind: NameKind, name: NameId, labels: usize) {
        if name != NameId::NONE {
            self.names.entry(name).or_insert(SeenName { kind, labels });
        }
    }
}

impl SeenName {
    /// The number that is stored for its kind, and what stands for its text.
    pub(super) fn placeholder(self, id: NameId) -> (u8, String) {
        let text = format!("lost-name-{id}");
        match self.kind {
            NameKind::Labels => {
                let labels: Vec<String> = (0..self.labels.max(1))
                    .map(|label| format!("{text}-{label}"))
                    .collect();
                (
                    NameKind::Labels as u8,
                    labels.join(&LABEL_SEPARATOR.to_string()),
                )
            }
            kind => (kind as u8, text),
        }
    }
}
