//! Names as numbers while a statistic is made: also those that no table has.

use std::sync::Arc;

use ahash::AHashMap;

use super::Subject;
use super::scope::Scope;
use super::survey::Survey;
use crate::engine::format::name::NameKind;
use crate::engine::format::row::NameId;
use crate::engine::format::scan::Scan;
use crate::entry::error::Result;
use crate::read::Reader;

/// Numbers of the names that were met in words.
#[derive(Default)]
pub(super) struct Words {
    numbers: AHashMap<(u8, Arc<str>), NameId>,
    /// Names without a stored number. They get one here, counted down from the highest; and
    /// whether an entry with it was met.
    unstored: Vec<(Arc<str>, bool)>,
}

impl Words {
    /// The numbers of the names that are asked for.
    pub(super) fn wanted(&mut self, survey: &Survey<'_, '_>, subject: &Subject) -> Result<Scope> {
        let mut number = |kind: NameKind, name: &Option<Arc<str>>| {
            let name = name.as_deref();
            let number = |text| self.number(kind, text, || survey.name_id(kind, text));
            name.map(number).transpose()
        };
        Ok(Scope {
            model: number(NameKind::Model, &subject.model)?,
            symbol: number(NameKind::Symbol, &subject.symbol)?,
            checkpoint: number(NameKind::Checkpoint, &subject.checkpoint)?,
        })
    }

    /// Gives the names that are written out in a block numbers.
    pub(super) fn number_texts(&mut self, survey: &Survey<'_, '_>, scan: &mut Scan) -> Result<()> {
        scan.number_texts(|kind, text| {
            let number = self.number(kind, text, || survey.name_id(kind, text))?;
            if let Some(known) = self.unstored.get_mut(unstored(number)) {
                known.1 = true;
            }
            Ok(number)
        })
    }

    /// The number of a name: the stored one, which `look_up` finds, or one of our own.
    pub(super) fn number(
        &mut self,
        kind: NameKind,
        text: &str,
        look_up: impl FnOnce() -> Result<Option<NameId>>,
    ) -> Result<NameId> {
        let name = (kind as u8, Arc::from(text));
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        let number = match look_up()? {
            Some(number) => number,
            None => {
                self.unstored.push((name.1.clone(), false));
                let count = u32::try_from(self.unstored.len()).unwrap_or(u32::MAX);
                NameId::MAX - (count - 1)
            }
        };
        self.numbers.insert(name, number);
        Ok(number)
    }

    /// Whether the journal has ever seen the name with this number.
    pub(super) fn is_known(&self, number: Option<NameId>) -> bool {
        let known = number.and_then(|number| self.unstored.get(unstored(number)));
        known.is_none_or(|known| known.1)
    }

    /// The name with this number; `None` for "none".
    pub(super) fn word(&self, reader: &Reader, number: NameId) -> Result<Option<Arc<str>>> {
        if number == 0 {
            return Ok(None);
        }
        match self.unstored.get(unstored(number)) {
            Some((name, _)) => Ok(Some(name.clone())),
            None => reader.word(number).map(Some),
        }
    }
}

/// The place in the list of unstored names that a number would stand for.
fn unstored(number: NameId) -> usize {
    usize::try_from(NameId::MAX - number).unwrap_or(usize::MAX)
}
