//! Names as numbers while a statistic is made.

use std::sync::Arc;

use super::Subject;
use super::scope::Scope;
use super::snapshot::StatsSnapshot;
use crate::engine::format::name::NameKind;
use crate::engine::format::row::NameId;
use crate::entry::error::Result;
use crate::read::Reader;

/// Stands for a name that is not stored, and so in no entry: no id is as high.
pub(super) const UNKNOWN: NameId = NameId::MAX;

/// The numbers of the names that are asked for.
pub(super) fn wanted(snapshot: &StatsSnapshot<'_, '_>, subject: &Subject) -> Result<Scope> {
    let number = |kind: NameKind, name: &Option<Arc<str>>| {
        let Some(text) = name else { return Ok(None) };
        Ok(Some(snapshot.name_id(kind, text)?.unwrap_or(UNKNOWN)))
    };
    Ok(Scope {
        model: number(NameKind::Model, &subject.model)?,
        symbol: number(NameKind::Symbol, &subject.symbol)?,
        checkpoint: number(NameKind::Checkpoint, &subject.checkpoint)?,
    })
}

/// The name with this number; `None` for "none".
pub(super) fn word(reader: &Reader, number: NameId) -> Result<Option<Arc<str>>> {
    match number {
        NameId::NONE => Ok(None),
        number => reader.word(number).map(Some),
    }
}
