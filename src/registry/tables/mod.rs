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
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::engine::directory::Directory;
use crate::engine::format::codec;
use crate::engine::hot::{Hot, Slot};
use crate::engine::kv::{Direction, Kv, Table, WriteFailure};
use crate::engine::meta;
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::options::{Options, Sharing};
use look::Look;
pub(crate) use look::{Change, View};
pub(crate) use rebuild::{TABLES, check_change, check_row, rebuild, set_change, stored_change};

/// The registry's side of the hot file.
pub(crate) struct Checkpoints {
    directory: Directory,
    path: PathBuf,
    read: Slot,
    /// The same as `read` where only one handle may be open. Otherwise the first change opens it,
    /// so that reading needs no right to write.
    write: Slot,
    sharing: Sharing,
    cache_bytes: usize,
    kept: Kept,
}

/// Where changes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
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
        let best = self.read(|snapshot| Look(snapshot, self.path()).best(model))?;
        Ok(best.map(|(id, _)| id))
    }

    /// The models that have checkpoints, with how many and their bytes.
    pub(crate) fn models_of_checkpoints(&self) -> Result<Vec<(String, u64, u64)>> {
        let models = self.read(|snapshot| Look(snapshot, self.path()).models())?;
        let sums = models
            .into_iter()
            .map(|(model, row)| (model, row.checkpoints, row.bytes));
        Ok(sums.collect())
    }
}

impl Checkpoints {
    /// Opens the registry of the journal in `directory` beside its other users.
    pub(crate) fn open(directory: Directory, sharing: Sharing, cache_bytes: usize) -> Result<Self> {
        let path = directory.hot_file();
        let (read, write): (Slot, Slot) = if sharing == Sharing::Shared {
            let kv = Kv::open_read_only(&path, sharing, cache_bytes)?;
            (Arc::new(RwLock::new(Some(kv))), Slot::default())
        } else {
            let kv = Kv::open(&path, sharing, cache_bytes)?;
            let slot = Arc::new(RwLock::new(Some(kv)));
            (slot.clone(), slot)
        };
        let opened = Checkpoints {
            directory,
            path,
            read,
            write,
            sharing,
            cache_bytes,
            kept: Kept::OnDisk,
        };
        opened.read_raw(|snapshot| {
            meta::identity(snapshot, &opened.path)?;
            snapshot.check_tables()
        })?;
        Ok(opened)
    }

    /// The registry of a journal that is open in exclusive mode in this process: its handle is the
    /// only one there may be.
    pub(crate) fn within(directory: Directory, slot: Slot) -> Self {
        Checkpoints {
            path: directory.hot_file(),
            directory,
            read: slot.clone(),
            write: slot,
            sharing: Sharing::Exclusive,
            cache_bytes: 0,
            kept: Kept::OnDisk,
        }
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
        let slot = Hot::in_memory(options)?.slot();
        let rehearsed = Checkpoints {
            path: path.clone(),
            directory: directory.clone(),
            read: slot.clone(),
            write: slot.clone(),
            sharing: Sharing::Exclusive,
            cache_bytes: options.cache_bytes,
            kept: Kept::InMemory,
        };
        if !path.exists() {
            return Ok(rehearsed);
        }
        let there = Checkpoints::open(directory, Sharing::Shared, options.cache_bytes)?;
        let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
        let Some(memory) = &*slot else {
            return Err(there.failed("there is no room in memory for a copy"));
        };
        there.read_raw(|snapshot| {
            let copied = memory.write(|transaction| {
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
            });
            copied.map_err(WriteFailure::into_error)
        })?;
        drop(slot);
        Ok(rehearsed)
    }

    /// Whether changes are thrown away.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.kept == Kept::InMemory
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    fn read_raw<T>(
        &self,
        body: impl FnOnce(&crate::engine::kv::Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let slot = self.read.read().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(kv) => kv.read(body),
            None => Err(self.failed("the file is being opened again after a failed write")),
        }
    }

    /// Runs `body` on one consistent snapshot.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&mut Look<'_, '_>) -> Result<T>) -> Result<T> {
        self.read_raw(|snapshot| body(&mut Look(snapshot, &self.path)))
    }

    /// Runs `body` in one durable transaction with the next change number. An error from `body`
    /// changes nothing. Waits for other transactions for a minute.
    pub(crate) fn write<T>(
        &self,
        body: impl FnOnce(&mut Change<'_, '_>) -> Result<T>,
    ) -> Result<T, ChangeFailure> {
        self.open_for_writing().map_err(ChangeFailure::Nothing)?;
        let slot = self.write.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kv) = &*slot else {
            let why = "the file could not be opened again after a failed write";
            return Err(ChangeFailure::Nothing(self.failed(why)));
        };
        let mut finished = false;
        let written = kv.write(|transaction| {
            let known = transaction.get(Table::Meta, look::CHANGE_KEY, codec::decode::<u64>)?;
            let known = rebuild::known_change(&self.path, known)?;
            let number = known.unwrap_or(0).saturating_add(1);
            let mut change = Change {
                transaction,
                path: &self.path,
                number,
                inserted: 0,
            };
            let value = body(&mut change)?;
            let mut number = meta::sealed(&number);
            transaction.put(Table::Meta, look::CHANGE_KEY, &mut number)?;
            finished = true;
            Ok(value)
        });
        drop(slot);
        match written {
            Ok(value) => Ok(value),
            Err(WriteFailure::Fatal(error)) if !finished => {
                if matches!(error, Error::Io { .. } | Error::Corrupt { .. }) {
                    self.let_go();
                }
                Err(ChangeFailure::Nothing(error))
            }
            Err(failure) => {
                self.let_go();
                Err(ChangeFailure::Unknown(failure.into_error()))
            }
        }
    }

    /// Looks through the handle that writes, opened again after a failure: which commit holds is
    /// decided by then.
    pub(crate) fn read_settled<T>(
        &self,
        body: impl FnOnce(&mut Look<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        self.open_for_writing()?;
        let slot = self.write.read().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(kv) => kv.read(|snapshot| body(&mut Look(snapshot, &self.path))),
            None => Err(self.failed("the file could not be opened again after a failed write")),
        }
    }

    fn open_for_writing(&self) -> Result<()> {
        if self.sharing == Sharing::Exclusive {
            return Ok(());
        }
        let is_open = {
            let slot = self.write.read().unwrap_or_else(PoisonError::into_inner);
            slot.is_some()
        };
        if is_open {
            return Ok(());
        }
        let mut slot = self.write.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(Kv::open(&self.path, self.sharing, self.cache_bytes)?);
        }
        Ok(())
    }

    /// After a failure redb refuses to write through the same handle; the next change opens
    /// another. In exclusive mode the handle is the journal's, and its writer sees to it.
    fn let_go(&self) {
        if self.sharing == Sharing::Shared {
            let mut slot = self.write.write().unwrap_or_else(PoisonError::into_inner);
            *slot = None;
        }
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Failed {
            path: self.root().to_owned(),
            reason: reason.to_owned(),
        }
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
        slot: Weak<RwLock<Option<Kv>>>,
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
                slot: Arc::downgrade(&hot.slot()),
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
                slot,
                cache_bytes,
            } => match slot.upgrade() {
                Some(slot) => Ok(Checkpoints::within(directory.clone(), slot)),
                None => Checkpoints::open(directory.clone(), Sharing::Exclusive, *cache_bytes),
            },
            Access::Nowhere => Err(Error::NoDirectory),
        }
    }
}
