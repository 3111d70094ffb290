//! Inputs of imported inferences: a store for each run, since an input's number names its run.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ahash::AHashMap;

use super::Importer;
use crate::engine::directory::Directory;
use crate::engine::format::name::{NameKind, join_labels};
use crate::engine::format::row::{InputNumber, InputRef, NameId};
use crate::engine::inputs::rows;
use crate::engine::inputs::store::{InputStore, InputsCommit};
use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::entry::input::{InputKind, MOST_INPUT};
use crate::record::keep_inputs::MOST_NAMES;

/// Runs whose files are open at once. Lines of one source mostly stand together.
const MOST_OPEN: usize = 16;

/// The input of an imported inference.
pub(super) enum ImportedInput<'a> {
    NotKept,
    GivenUp,
    Removed,
    /// In stored order, with the names of its values.
    Given(InputKind, Vec<u8>, &'a [Arc<str>]),
}

impl ImportedInput<'_> {
    /// Refuses one that is too large.
    pub(super) fn check(&self) -> Result<()> {
        let ImportedInput::Given(kind, bytes, names) = self else {
            return Ok(());
        };
        if !kind.fits(bytes.len()) {
            return Err(Error::InvalidOption {
                name: "input",
                value: format!("{} bytes, and the most are {MOST_INPUT}", bytes.len()),
                advice: "give at most 1 MiB",
            });
        }
        let names = names.iter().map(|name| name.len().saturating_add(1));
        let names = names.fold(0, usize::saturating_add);
        if names > MOST_NAMES {
            return Err(Error::InvalidOption {
                name: "names of an input's values",
                value: format!("{names} bytes"),
                advice: "give names with at most 64 KiB together",
            });
        }
        Ok(())
    }
}

/// The inputs of all runs that are taken in.
pub(super) struct ImportInputs {
    directory: Directory,
    journal: u128,
    budget: u64,
    /// The one used last stands last.
    open: Vec<(RunId, InputStore)>,
    /// The next number of runs whose store was closed to make room.
    next: AHashMap<RunId, InputNumber>,
    /// What closed stores had.
    pending: InputsCommit,
}

impl ImportInputs {
    /// None yet. Touches no file.
    pub(super) fn new(directory: Directory, journal: u128, budget: u64) -> Self {
        ImportInputs {
            directory,
            journal,
            budget,
            open: Vec::new(),
            next: AHashMap::new(),
            pending: InputsCommit::of(budget),
        }
    }

    /// Keeps an input of a run; `first` finds the number of its next one when it is not known.
    fn keep(
        &mut self,
        run: RunId,
        first: impl FnOnce() -> Result<InputNumber>,
        (kind, bytes): (InputKind, &[u8]),
    ) -> Result<Option<InputNumber>> {
        let known = self.open.iter().position(|(known, _)| *known == run);
        let mut store = match known {
            Some(place) => self.open.remove(place).1,
            None => {
                let next = self.next.get(&run).copied();
                let next = next.map_or_else(first, Ok)?;
                if self.open.len() >= MOST_OPEN {
                    let (closed, store) = self.open.remove(0);
                    let (pending, next) = store.end();
                    self.pending.join(pending);
                    self.next.insert(closed, next);
                }
                InputStore::from(self.directory.clone(), self.journal, next, self.budget)
            }
        };
        let number = store.keep(kind, bytes);
        self.open.push((run, store));
        Ok(number)
    }
}

/// Everything since the last call, on disk.
///
/// # Errors
/// [`Error::Io`] if an input cannot be written: its decision is not taken in without it.
pub(super) fn to_commit(inputs: Option<&mut ImportInputs>) -> Result<InputsCommit> {
    let Some(inputs) = inputs else {
        return Ok(InputsCommit::of(0));
    };
    let mut all = std::mem::replace(&mut inputs.pending, InputsCommit::of(inputs.budget));
    for (_, store) in &mut inputs.open {
        all.join(store.take());
    }
    all.sync();
    let Some(why) = all.error() else {
        return Ok(all);
    };
    // The system may report success for pages that it has lost: these files are not continued.
    inputs
        .open
        .iter_mut()
        .for_each(|(_, store)| store.give_up());
    Err(failed(inputs.directory.inputs(), why))
}

fn failed(folder: PathBuf, why: &str) -> Error {
    Error::io("keep inputs in", folder, io::Error::other(why.to_owned()))
}

impl Importer {
    /// Keeps an input that was [checked](ImportedInput::check), of an inference of `run` that is
    /// not there yet.
    pub(super) fn keep(&mut self, run: RunId, input: ImportedInput<'_>) -> Result<InputRef> {
        let (kind, bytes, names) = match input {
            ImportedInput::NotKept => return Ok(InputRef::NotKept),
            _ if self.inputs.is_none() => return Ok(InputRef::NotKept),
            ImportedInput::GivenUp => return Ok(InputRef::GivenUp),
            ImportedInput::Removed => {
                if let Some(inputs) = &mut self.inputs {
                    inputs.pending.note_removed(run);
                }
                return Ok(InputRef::Kept {
                    number: InputNumber::removed_of(run),
                    names: NameId::NONE,
                });
            }
            ImportedInput::Given(kind, bytes, names) => (kind, bytes, names),
        };
        let names = match names {
            [] => NameId::NONE,
            names => {
                let joined = join_labels(names.iter().map(|name| &**name));
                self.stored_name(NameKind::FeatureNames, &joined)?
            }
        };
        let source = &self.source;
        let first = || source.read(|snapshot| rows::next_of(snapshot, source.path(), run));
        let Some(inputs) = &mut self.inputs else {
            return Ok(InputRef::NotKept);
        };
        let number = inputs.keep(run, first, (kind, &bytes))?;
        match number {
            Some(number) => Ok(InputRef::Kept { number, names }),
            None => {
                let folder = inputs.directory.inputs();
                let error = to_commit(Some(inputs)).map(drop).err();
                let error = error.unwrap_or_else(|| failed(folder, "a file could not be written"));
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}
