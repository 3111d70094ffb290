//! Names of imported entries by their stored ids. An import has no numbers of a process: it asks
//! the journal for each name that its cache does not have.

use super::{ImportMode, Importer};
use crate::engine::format::name::{NameKind, join_labels};
use crate::engine::format::row::{NameId, NameIds, StoredValue};
use crate::engine::kv::WriteFailure;
use crate::entry::error::Result;
use crate::entry::inference::Inference;
use crate::entry::prediction;
use crate::entry::typed::{TypedValue, ValueKind};

impl Importer {
    /// The stored ids of an inference's names.
    pub(super) fn stored_names(&mut self, inference: &Inference<'_>) -> Result<NameIds> {
        Ok(NameIds {
            model: self.stored_name(NameKind::Model, inference.model)?,
            symbol: self.stored_name(NameKind::Symbol, inference.symbol)?,
            action: self.stored_name(NameKind::Action, inference.action)?,
            checkpoint: match inference.checkpoint {
                Some(id) => self.stored_name(NameKind::Checkpoint, id)?,
                None => NameId::NONE,
            },
        })
    }

    pub(super) fn stored_labels(&mut self, inference: &Inference<'_>) -> Result<NameId> {
        if inference.probabilities.is_empty() {
            return Ok(NameId::NONE);
        }
        let labels = inference.probabilities.iter().map(|(label, _)| *label);
        self.stored_name(NameKind::Labels, &join_labels(labels))
    }

    /// Predictions under their stored names; under each name the last one.
    pub(super) fn stored_predictions(
        &mut self,
        inference: &Inference<'_>,
    ) -> Result<Box<[StoredValue]>> {
        let mut values: Vec<StoredValue> = Vec::new();
        for (name, number) in inference.predictions {
            let stored = prediction::actual_of(name);
            let name = self.stored_name(NameKind::OutcomeName, &stored)?;
            let value = TypedValue::F64(*number);
            match values.iter_mut().find(|known| known.name == name) {
                Some(known) => known.value = value,
                None => values.push(StoredValue {
                    kind: ValueKind::Prediction,
                    name,
                    value,
                }),
            }
        }
        Ok(values.into())
    }

    /// The stored id of a name; a new one is stored now.
    pub(super) fn stored_name(&mut self, kind: NameKind, text: &str) -> Result<NameId> {
        if let Some(known) = self.names.find(kind, text) {
            return Ok(known);
        }
        if self.doing == ImportMode::Rehearsal {
            let known = self.source.name_id(kind as u8, text)?;
            return Ok(known.unwrap_or_default());
        }
        let names = [(kind as u8, text.into())];
        let ids = self.hot.intern(None, &names);
        let id = ids.map_err(WriteFailure::into_error)?.first().copied();
        let ([(_, text)], id) = (names, id.unwrap_or_default());
        self.names.make_room();
        self.names.put(kind, text, id);
        Ok(id)
    }
}
