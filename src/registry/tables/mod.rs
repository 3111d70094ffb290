//! The registry's tables in the hot file: rights to read and to change, and the meaning of a failed
//! change.

pub(crate) mod ages;
pub(crate) mod change;
pub(crate) mod details;
pub(crate) mod keys;
pub(crate) mod look;
pub(crate) mod names;
pub(crate) mod rebuild;
pub(crate) mod rows;

pub(crate) use rows::CheckpointRow;

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use crate::engine::directory::Directory;
use crate::engine::format::codec;
use crate::engine::handle::{FileHandle, WeakHandle, WriteHandle};
use crate::engine::hot::Hot;
use crate::engine::kv::{Direction, Table, WriteFailure, WriteTransaction};
use crate::engine::meta;
use crate::engine::source::{Snapshot, Source};
use crate::entry::error::{Error, Result};
use crate::options::{Options, Sharing};
pub(crate) use look::{RegistryChange, RegistryView};
pub(crate) use rebuild::{TABLES, check_change, check_row, rebuild, set_change, stored_change};

/// The registry's side of the hot file.
pub(crate) struct Checkpoints {
    directory: Directory,
    source: Source,
    /// Opened by the first change, so that reading needs no right to write.
    writer: WriteHandle,
    kept: Persistence,
}

/// Where changes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Persistence {
    OnDisk,
    /// A copy of the tables in memory: nothing is written.
    InMemory,
}

/// A change that did not happen, as far as can be known.
#[derive(Debug)]
pub(crate) enum ChangeFailure {
    /// Refused or never begun: nothing has changed.
    Nothing(Error),
    /// It may or may not be on disk.
    Unknown(Error),
}

impl ChangeFailure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            ChangeFailure::Nothing(error) | ChangeFailure::Unknown(error) => error,
        }
    }
}

impl Source {
    /// The id of the checkpoint that is best by its model's monitor, as the journal's reader sees
    /// it.
    pub(crate) fn best_checkpoint(&self, model: &str) -> Result<Option<String>> {
        let best = self.read(|mut snapshot| snapshot.best(model))?;
        Ok(best.map(|(id, _)| id))
    }

    /// The models that have checkpoints, with how many and their bytes.
    pub(crate) fn models_of_checkpoints(&self) -> Result<Vec<(String, u64, u64)>> {
        let models = self.read(|mut snapshot| snapshot.models())?;
        let sums = models
            .into_iter()
            .map(|(model, row)| (model, row.checkpoints, row.bytes));
        Ok(sums.collect())
    }
}

impl Checkpoints {
    /// Opens the registry of the journal in `directory` beside its other users.
    pub(crate) fn open(directory: Directory, sharing: Sharing, cache_bytes: usize) -> Result<Self> {
        let source = Source::open_for_maintenance(directory.clone(), sharing, cache_bytes)?;
        let opened = Checkpoints::of(directory, source, cache_bytes);
        opened.source.read(|snapshot| {
            meta::identity(snapshot, opened.source.path())?;
            // Here, and not at the first question: a foreign file is told apart when it is opened.
            snapshot.check_tables()
        })?;
        Ok(opened)
    }

    fn of(directory: Directory, source: Source, cache_bytes: usize) -> Self {
        Checkpoints {
            writer: source.writer(cache_bytes),
            directory,
            source,
            kept: Persistence::OnDisk,
        }
    }

    /// The registry of a journal that is open in exclusive mode in this process: its handle is the
    /// only one there may be.
    pub(crate) fn within(directory: Directory, only: FileHandle) -> Self {
        let source = Source::of_only(only, directory.clone());
        Checkpoints::of(directory, source, 0)
    }

    /// A copy in memory of the registry of the journal in `root`, empty where there is none. The
    /// journal is opened for reading only.
    pub(crate) fn rehearsed(root: &Path, options: &Options) -> Result<Self> {
        let directory = match Directory::existing(root) {
            Ok(directory) => directory,
            Err(Error::Missing { .. }) => Directory::missing(root),
            Err(error) => return Err(error),
        };
        let path = directory.hot_file();
        let memory = Hot::in_memory(options)?.handle();
        let rehearsed = Checkpoints {
            kept: Persistence::InMemory,
            ..Checkpoints::within(directory.clone(), memory.clone())
        };
        if !path.exists() {
            return Ok(rehearsed);
        }
        let there = Checkpoints::open(directory, Sharing::Shared, options.cache_bytes)?;
        there.source.read(|snapshot| {
            let copy = |transaction: &mut WriteTransaction<'_>| {
                let everything = (Bound::Unbounded, Bound::Unbounded);
                for table in TABLES {
                    let ascending = Direction::Ascending;
                    snapshot.scan(table, everything, ascending, |key, payload| {
                        transaction.put_payload(table, key, payload)?;
                        Ok(ControlFlow::Continue(()))
                    })?;
                }
                match stored_change(snapshot, &path)? {
                    Some(number) => set_change(transaction, number),
                    None => Ok(()),
                }
            };
            memory.with(|kv| kv.write(copy).map_err(WriteFailure::into_error))
        })?;
        Ok(rehearsed)
    }

    /// Whether changes are thrown away.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.kept == Persistence::InMemory
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `body` on one consistent snapshot.
    pub(crate) fn read<T>(
        &self,
        body: impl FnOnce(&mut &Snapshot<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        self.source.read(|mut snapshot| body(&mut snapshot))
    }

    /// Runs `body` in one durable transaction with the next change number. An error from `body`
    /// changes nothing. Waits for other transactions for a minute.
    pub(crate) fn write<T>(
        &self,
        body: impl FnOnce(&mut RegistryChange<'_, '_>) -> Result<T>,
    ) -> Result<T, ChangeFailure> {
        // A failure here is certain to have changed nothing, and the caller may say so.
        self.writer.open().map_err(ChangeFailure::Nothing)?;
        let mut finished = false;
        let change = |transaction: &mut WriteTransaction<'_>| {
            let known = transaction.get(Table::Meta, look::CHANGE_KEY, codec::decode::<u64>)?;
            let known = rebuild::known_change(self.source.path(), known)?;
            // Raised within the transaction: two processes never give the same number.
            let number = known.unwrap_or(0).saturating_add(1);
            let mut change = RegistryChange {
                transaction,
                path: self.source.path(),
                number,
                inserted: 0,
            };
            let value = body(&mut change)?;
            let mut number = meta::sealed(&number);
            transaction.put(Table::Meta, look::CHANGE_KEY, &mut number)?;
            finished = true;
            Ok(value)
        };
        let written = self.writer.try_with(|kv| kv.write(change));
        let written = written.ok_or_else(|| ChangeFailure::Nothing(self.writer.failed()))?;
        match written {
            Ok(value) => Ok(value),
            // The body itself failed, so the transaction was given up before its commit.
            Err(WriteFailure::Fatal(error)) if !finished => {
                // Only these say something about the file: a refused request does not cost the
                // handle.
                if matches!(error, Error::Io { .. } | Error::Corrupt { .. }) {
                    self.writer.let_go();
                }
                Err(ChangeFailure::Nothing(error))
            }
            Err(failure) => {
                self.writer.let_go();
                Err(ChangeFailure::Unknown(failure.into_error()))
            }
        }
    }

    /// Looks through the handle that writes, opened again after a failure: which commit holds is
    /// decided by then.
    pub(crate) fn read_settled<T>(
        &self,
        body: impl FnOnce(&mut &Snapshot<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        self.writer
            .with(|kv| kv.read(|tables| body(&mut &self.source.snapshot(tables))))
    }
}

/// The handle that a journal's [`Checkpoints`] opens on demand.
pub(crate) enum Access {
    Beside {
        directory: Directory,
        cache_bytes: usize,
    },
    /// Not held here: a journal that is closed lets go of its file.
    Within {
        directory: Directory,
        only: WeakHandle,
        cache_bytes: usize,
    },
    /// The journal is in memory, and weights need a place to lie.
    Nowhere,
}

impl Access {
    pub(crate) fn of(hot: &Hot, cache_bytes: usize) -> Access {
        match (hot.directory(), hot.sharing()) {
            (Some(directory), Sharing::Shared) => Access::Beside {
                directory: directory.clone(),
                cache_bytes,
            },
            (Some(directory), Sharing::Exclusive) => Access::Within {
                directory: directory.clone(),
                // Weak: a closed journal must give its file up, also while a registry lives.
                only: hot.handle().downgrade(),
                cache_bytes,
            },
            (None, _) => Access::Nowhere,
        }
    }

    pub(crate) fn open(&self) -> Result<Checkpoints> {
        match self {
            Access::Beside {
                directory,
                cache_bytes,
            } => Checkpoints::open(directory.clone(), Sharing::Shared, *cache_bytes),
            Access::Within {
                directory,
                only,
                cache_bytes,
            } => match only.upgrade() {
                Some(only) => Ok(Checkpoints::within(directory.clone(), only)),
                None => Checkpoints::open(directory.clone(), Sharing::Exclusive, *cache_bytes),
            },
            Access::Nowhere => Err(Error::NoDirectory),
        }
    }
}
