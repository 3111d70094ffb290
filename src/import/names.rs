//! Names as the journal numbers them.

use super::{Doing, Importer};
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{NameId, Names, Texts};
use crate::engine::kv::WriteFailure;
use crate::entry::error::Result;
use crate::entry::inference::Inference;
use crate::record::queue::names::LocalName;

impl Importer {
    /// The stored ids of an inference's names; those that cannot have one are written out.
    pub(super) fn stored_names(
        &mut self,
        inference: &Inference<'_>,
        texts: &mut Texts,
    ) -> Result<Names> {
        let Texts {
            model,
            symbol,
            action,
            checkpoint,
            ..
        } = texts;
        Ok(Names {
            model: self.stored_name(NameKind::Model, inference.model, model)?,
            symbol: self.stored_name(NameKind::Symbol, inference.symbol, symbol)?,
            action: self.stored_name(NameKind::Action, inference.action, action)?,
            checkpoint: match inference.checkpoint {
                Some(id) => self.stored_name(NameKind::Checkpoint, id, checkpoint)?,
                None => 0,
            },
        })
    }

    pub(super) fn stored_name(
        &mut self,
        kind: NameKind,
        text: &str,
        written: &mut Option<String>,
    ) -> Result<NameId> {
        let cached = self.names.with_thread(|names| names.find(kind, text));
        match cached.flatten().or_else(|| self.names.id(kind, text)) {
            Some(local) => self.stored(local),
            None => {
                *written = Some(text.to_owned());
                Ok(0)
            }
        }
    }

    pub(super) fn stored_labels(
        &mut self,
        inference: &Inference<'_>,
        texts: &mut Texts,
    ) -> Result<NameId> {
        if inference.probabilities.is_empty() {
            return Ok(0);
        }
        let labels = inference.probabilities.iter().map(|(label, _)| *label);
        let cached = self
            .names
            .with_thread(|names| names.find_labels(labels.clone()));
        match cached
            .flatten()
            .or_else(|| self.names.labels_id(labels.clone()))
        {
            Some(local) => self.stored(local),
            None => {
                texts.labels = Some(labels.map(str::to_owned).collect());
                Ok(0)
            }
        }
    }

    /// The stored id of a name of this process; a new one is stored now.
    fn stored(&mut self, local: LocalName) -> Result<NameId> {
        let index = local as usize;
        if let Some(known) = self.stored.get(index).filter(|known| **known != 0) {
            return Ok(*known);
        }
        let Some((kind, text)) = self.names.text(local) else {
            return Ok(0);
        };
        if self.doing == Doing::Rehearsal {
            let known = self.source.name_id(kind as u8, &text)?;
            return Ok(known.unwrap_or(0));
        }
        let ids = self.hot.intern(None, &[(kind as u8, text)]);
        let id = ids
            .map_err(WriteFailure::into_error)?
            .first()
            .copied()
            .unwrap_or(0);
        if self.stored.len() <= index {
            self.stored.resize(index + 1, 0);
        }
        self.stored[index] = id;
        Ok(id)
    }
}
