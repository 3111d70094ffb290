//! The only folder that names redb: ordered tables of bytes, every value under a checksum, every
//! failure a typed error.
//!
//! Above it no redb type, redb error or redb panic is visible. A value is stored as eight bytes of
//! xxh3-64 over (table, key, payload), followed by the payload. So bytes that a bad disk moved,
//! swapped or flipped do not pass as data.

pub(crate) mod detour;
pub(crate) mod errors;
pub(crate) mod faults;
mod hold;
pub(crate) mod locks;
pub(crate) mod overlay;
pub(crate) mod process;
pub(crate) mod range;
pub(crate) mod tables;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, ConcurrencyMode, DatabaseError, Durability, ReadableDatabase, StorageBackend};

use crate::entry::error::{Error, Result};
use crate::fs::disk;
use crate::fs::disk::FileId;
use crate::options::Sharing;
use crate::threads::worker::lock;
pub(crate) use errors::foreign;
use errors::{commit_error, compaction_error, corrupt, database_error, guard, transaction_error};
use faults::{FaultLog, FaultRecorder};
use locks::Locks;
use overlay::Overlay;
use process::Purpose;
pub(crate) use range::{Direction, EVERYTHING, KeyRange};
pub(crate) use tables::{ReadTransaction, Table, WriteTransaction};

/// A write transaction that did not commit, and what that means for its rows.
#[derive(Debug)]
pub(crate) enum WriteFailure {
    /// The device is full. Whether the rows are there must be looked up after reopening; if they
    /// are not, they may be sent again.
    NoRoom(Error),
    /// Anything else. After a failed sync the kernel may already have thrown the pages away and
    /// marked them clean, so trying again would report success for data that is lost.
    Fatal(Error),
}

impl WriteFailure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            WriteFailure::NoRoom(error) | WriteFailure::Fatal(error) => error,
        }
    }
}

/// Number of recoveries by a reader of a file whose writers keep dying.
const RECOVERIES: usize = 5;

enum Handle {
    Writer(redb::Database),
    Reader(redb::ReadOnlyDatabase),
}

/// One open redb file.
pub(crate) struct Kv {
    /// Present until it is dropped.
    handle: Option<Handle>,
    path: PathBuf,
    /// The file that was opened for writing, and its absolute name; `None` in memory, and where
    /// files have no numbers.
    file: Option<(FileId, PathBuf)>,
    locks: Option<Arc<Locks>>,
    faults: FaultLog,
    /// Held by the writer through this handle, so that `faults` is about its transaction alone; the
    /// longest transaction so far.
    writing: Mutex<Duration>,
}

impl Kv {
    /// Opens an existing file for writing. A foreign or damaged one is refused, untouched. Waits
    /// for locks of other processes, here and later, for a minute.
    pub(crate) fn open(path: &Path, sharing: Sharing, cache_bytes: usize) -> Result<Kv> {
        // Opened and examined here, and handed to redb as a backend: redb's own opening would
        // follow any link, wait for a pipe, and write its header into an empty file.
        let file = open_file(path, OpenOptions::new().read(true).write(true))
            .map_err(|error| unless_foreign("open for writing", path, error))?;
        refuse_foreign(&file, path)?;
        Kv::start(file, path, sharing, cache_bytes)
    }

    /// Creates a new file, private to its owner. A crash in here leaves a file that redb refuses
    /// for ever, so a caller creates under another name and renames.
    pub(crate) fn create(path: &Path, cache_bytes: usize) -> Result<Kv> {
        let file = disk::create(path).map_err(|error| Error::io("create", path, error))?;
        Kv::start(file, path, Sharing::Exclusive, cache_bytes)
    }

    fn start(file: File, path: &Path, sharing: Sharing, cache_bytes: usize) -> Result<Kv> {
        let faults = FaultLog::default();
        // The backend asks these for every lock that redb takes, from its first access on.
        let locks = locks_of(&file, path, sharing, Purpose::Write)?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let opened_file = FileId::of(&file).map(|id| (id, absolute));
        let opened = guard(path, || {
            let file = FileBackend::new(file).map_err(|error| database_error(path, error))?;
            let backend = FaultRecorder::new(file, path, faults.clone(), locks.clone());
            builder(sharing, cache_bytes)
                .create_with_backend(backend)
                .map_err(|error| database_error(path, error))
        })?;
        locks.opened();
        Ok(Kv {
            handle: Some(Handle::Writer(opened)),
            path: path.to_owned(),
            file: opened_file,
            locks: Some(locks),
            faults,
            writing: Mutex::default(),
        })
    }

    /// Opens the file for reading beside its writers. If the last writer died and left the file in
    /// need of recovery, it is opened for writing once first.
    pub(crate) fn open_read_only(path: &Path, sharing: Sharing, cache_bytes: usize) -> Result<Kv> {
        for _ in 0..RECOVERIES {
            if let Some(kv) = Kv::try_open_read_only(path, sharing, cache_bytes)? {
                return Ok(kv);
            }
            let recovered = Kv::open(path, sharing, cache_bytes).map_err(|error| match error {
                Error::Corrupt { .. } | Error::Foreign { .. } => error,
                _ => Error::NeedsRecovery {
                    path: path.to_owned(),
                    reason: error.to_string(),
                },
            })?;
            // While a writer is open the file counts as consistent. That holds even if several
            // recover it at once and the first to close cannot mark it clean for all.
            if sharing == Sharing::Shared
                && let Some(kv) = Kv::try_open_read_only(path, sharing, cache_bytes)?
            {
                return Ok(kv);
            }
            drop(recovered);
        }
        Err(Error::NeedsRecovery {
            path: path.to_owned(),
            reason: "other writers died during the recovery".to_owned(),
        })
    }

    /// Opens the file for reading; `None` if its last writer died and it must be recovered first.
    pub(crate) fn try_open_read_only(
        path: &Path,
        sharing: Sharing,
        cache_bytes: usize,
    ) -> Result<Option<Kv>> {
        Kv::open_with(path, sharing, cache_bytes, FaultRecorder::padded)
    }

    fn open_with(
        path: &Path,
        sharing: Sharing,
        cache_bytes: usize,
        wrap: impl FnOnce(FaultRecorder) -> FaultRecorder,
    ) -> Result<Option<Kv>> {
        let file = match open_file(path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing {
                    path: path.parent().unwrap_or(path).to_owned(),
                });
            }
            Err(error) => return Err(unless_foreign("open", path, error)),
        };
        refuse_foreign(&file, path)?;
        let faults = FaultLog::default();
        let locks = locks_of(&file, path, sharing, Purpose::Read)?;
        guard(path, || {
            let file = FileBackend::new(file).map_err(|error| database_error(path, error))?;
            let backend = wrap(FaultRecorder::new(
                file,
                path,
                faults.clone(),
                locks.clone(),
            ));
            // A reader never repairs: redb says `RepairAborted`, and the caller decides who
            // recovers the file.
            let opened = builder(sharing, cache_bytes).open_read_only_with_backend(backend);
            locks.opened();
            match opened {
                Ok(database) => Ok(Some(Kv {
                    handle: Some(Handle::Reader(database)),
                    path: path.to_owned(),
                    // Readers are not asked whether their file has lost its name: only committed
                    // rows can be misplaced.
                    file: None,
                    locks: None,
                    faults: faults.clone(),
                    writing: Mutex::default(),
                })),
                Err(DatabaseError::RepairAborted) => Ok(None),
                Err(error) => Err(database_error(path, error)),
            }
        })
    }

    /// Opens a file without changing it: writes go to memory. Also one that its writer left in need
    /// of recovery, and one that must be repaired, as far as the engine can.
    pub(crate) fn over(path: &Path, cache_bytes: usize) -> Result<Kv> {
        let file = open_file(path, OpenOptions::new().read(true))
            .map_err(|error| unless_foreign("open", path, error))?;
        refuse_foreign(&file, path)?;
        let opened = guard(path, || {
            let overlay = Overlay::new(file).map_err(|error| Error::io("read", path, error))?;
            builder(Sharing::Exclusive, cache_bytes)
                // "Create" recovers and repairs what it is given; all that it writes stays in the
                // overlay.
                .create_with_backend(overlay)
                .map_err(|error| database_error(path, error))
        })?;
        Ok(Kv::without_file(Handle::Writer(opened), path))
    }

    /// Opens a damaged file for reading, as far as possible. It is opened as it is, or repaired in
    /// memory by the engine. If the engine gives it up, it is opened as if its last writer had
    /// closed it.
    pub(crate) fn salvage(path: &Path, cache_bytes: usize) -> Result<Kv> {
        let is_open = |kv: &Kv| {
            kv.read(|snapshot| snapshot.has(Table::Meta))
                .is_ok_and(|has| has)
        };
        let as_it_is = Kv::open_with(path, Sharing::native(), cache_bytes, FaultRecorder::padded);
        if let Ok(Some(kv)) = &as_it_is
            && is_open(kv)
        {
            return as_it_is.and_then(|kv| kv.ok_or_else(|| foreign(path, "it cannot be opened")));
        }
        // Neither is damage: a repair of a file that is in use would read a moving target.
        if let Err(error @ (Error::InUse { .. } | Error::Missing { .. })) = as_it_is {
            return Err(error);
        }
        // The engine gives some files up that can still be read in part, so its repair is the
        // second attempt and not the last.
        let repaired = Kv::over(path, cache_bytes);
        if repaired.as_ref().is_ok_and(is_open) {
            return repaired;
        }
        Kv::as_if_closed(path, cache_bytes)
    }

    fn as_if_closed(path: &Path, cache_bytes: usize) -> Result<Kv> {
        let file = open_file(path, OpenOptions::new().read(true))
            .map_err(|error| unless_foreign("open", path, error))?;
        refuse_foreign(&file, path)?;
        let database = guard(path, || {
            let io = |error| Error::io("read", path, error);
            let overlay = Overlay::new(file).map_err(io)?;
            let mut flags = [0];
            overlay.read(FLAGS_AT, &mut flags).map_err(io)?;
            // In memory only: the file keeps the flag, so a later repair still knows of the death.
            let closed = flags.map(|flags| flags & !RECOVERY_REQUIRED);
            overlay.write(FLAGS_AT, &closed).map_err(io)?;
            builder(Sharing::native(), cache_bytes)
                .open_read_only_with_backend(overlay)
                .map_err(|error| database_error(path, error))
        })?;
        Ok(Kv::without_file(Handle::Reader(database), path))
    }

    /// The engine's own check of its pages; returns whether it found them in order.
    pub(crate) fn check_engine(&mut self) -> Result<bool> {
        let path = self.path.clone();
        let Some(Handle::Writer(database)) = &mut self.handle else {
            return Err(self.no_handle());
        };
        guard(&path, || {
            database
                .check_integrity()
                .map_err(|error| database_error(&path, error))
        })
    }

    /// A file that lives in memory and dies with this value.
    pub(crate) fn in_memory(cache_bytes: usize) -> Result<Kv> {
        let path = PathBuf::from("<memory>");
        let database = guard(&path, || {
            builder(Sharing::Exclusive, cache_bytes)
                .create_with_backend(InMemoryBackend::new())
                .map_err(|error| database_error(&path, error))
        })?;
        Ok(Kv::without_file(Handle::Writer(database), &path))
    }

    /// All that is written stays in memory, so there is nothing to lock and nothing to fail.
    fn without_file(handle: Handle, path: &Path) -> Kv {
        Kv {
            handle: Some(handle),
            path: path.to_owned(),
            file: None,
            locks: None,
            faults: FaultLog::default(),
            writing: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From here on write transactions of this handle wait for others' without a bound.
    pub(crate) fn wait_endlessly(&self) {
        if let Some(locks) = &self.locks {
            locks.wait_endlessly();
        }
    }

    /// The change of the file's name since it was opened for writing, if there was one.
    pub(crate) fn lost_name(&self) -> Option<&'static str> {
        self.file
            .as_ref()
            .and_then(|(file, name)| file.lost_name(name))
    }

    /// Runs `body` on one consistent snapshot. Costs about 5 µs plus the body. Does not block
    /// writers, and must not run code of the library's user, which might take for ever.
    pub(crate) fn read<T>(
        &self,
        body: impl FnOnce(&ReadTransaction<'_>) -> Result<T>,
    ) -> Result<T> {
        guard(&self.path, || {
            let transaction = match &self.handle {
                Some(Handle::Writer(database)) => database.begin_read(),
                Some(Handle::Reader(database)) => database.begin_read(),
                None => return Err(self.no_handle()),
            };
            let transaction = transaction.map_err(|error| transaction_error(&self.path, error))?;
            body(&ReadTransaction::new(transaction, &self.path))
        })
    }

    /// Runs `body` in one durable transaction: all of it is on disk when this returns `Ok`. An
    /// error from `body` aborts. Waits for other processes' transactions: a minute, or, for the
    /// journal's writer, as long as they take.
    pub(crate) fn write<T>(
        &self,
        body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T>,
    ) -> Result<T, WriteFailure> {
        self.write_with(Durability::Immediate, body)
    }

    /// Like [`write`](Self::write), without waiting for the disk: the next durable transaction
    /// brings it there too. Only for a file that no other process knows.
    pub(crate) fn write_ahead<T>(
        &self,
        body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T>,
    ) -> Result<T, WriteFailure> {
        self.write_with(Durability::None, body)
    }

    fn write_with<T>(
        &self,
        durability: Durability,
        body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T>,
    ) -> Result<T, WriteFailure> {
        // Taken before redb's lock and kept until the fault log is read: two threads that write
        // through one handle must not find each other's fault.
        let mut longest = lock(&self.writing);
        let outcome = guard(&self.path, || {
            let Some(Handle::Writer(database)) = &self.handle else {
                return Err(self.no_handle());
            };
            let mut transaction = database
                .begin_write()
                .map_err(|error| transaction_error(&self.path, error))?;
            if matches!(durability, Durability::None) {
                // Only for a segment under construction: a crash leaves a file that is not
                // registered.
                let set = transaction.set_durability(durability);
                set.map_err(|error| corrupt(&self.path, error.to_string()))?;
            }
            // From here on this is the only transaction of this handle that writes.
            let began = Instant::now();
            // Reads of the same handle may have failed before; they do not belong to this
            // transaction.
            self.faults.clear();
            // The braces close the tables that `body` has opened: redb refuses to commit while one
            // is open. An error drops the transaction, which aborts it.
            let value = { body(&mut WriteTransaction::new(&transaction, &self.path))? };
            transaction
                .commit()
                .map_err(|error| commit_error(&self.path, error))?;
            *longest = began.elapsed().max(*longest);
            Ok(value)
        });
        outcome.map_err(|error| match self.faults.take() {
            // redb's own error does not say which operation failed first. The backend noted it.
            // Only a full device may be tried again: there no page was thrown away after it had
            // been reported written.
            Some(fault) if fault.is_out_of_room() => WriteFailure::NoRoom(Error::NoRoom {
                path: self.path.clone(),
                reason: fault.reason,
            }),
            _ => WriteFailure::Fatal(error),
        })
    }

    /// Duration of this handle's longest transaction, which other writers waited for.
    pub(crate) fn longest_transaction(&self) -> Duration {
        *lock(&self.writing)
    }

    /// Compacts the stored pages and gives the rest of the file back. Holds up everybody else.
    pub(crate) fn compact(&mut self) -> Result<()> {
        let path = self.path.clone();
        let Some(Handle::Writer(database)) = &mut self.handle else {
            return Err(self.no_handle());
        };
        guard(&path, || {
            database
                .compact()
                .map_err(|error| compaction_error(&path, error))?;
            Ok(())
        })
    }

    fn no_handle(&self) -> Error {
        Error::io(
            "write through a read-only handle to",
            &self.path,
            io::ErrorKind::PermissionDenied.into(),
        )
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        let handle = self.handle.take();
        // After a panic inside redb its locks are poisoned, and closing it panics once more.
        let _ = guard(&self.path, || {
            drop(handle);
            Ok(())
        });
    }
}

fn locks_of(file: &File, path: &Path, sharing: Sharing, purpose: Purpose) -> Result<Arc<Locks>> {
    let id = FileId::of(file);
    let locks = match sharing {
        Sharing::Shared => Locks::shared(path, id, purpose)
            .map_err(|error| Error::io("open the locks of", path, error))?,
        Sharing::Exclusive => Locks::alone(path, id),
    };
    Ok(Arc::new(locks))
}

fn builder(sharing: Sharing, cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder.set_concurrency_mode(match sharing {
        Sharing::Shared => ConcurrencyMode::MultiWriter,
        Sharing::Exclusive => ConcurrencyMode::ExclusiveWriter,
    });
    builder
}

/// The first bytes of every redb file.
const MAGIC: [u8; 9] = [b'r', b'e', b'd', b'b', 0x1A, 0x0A, 0xA9, 0x0D, 0x0A];

/// Place of the flags in a redb file's header, and the flag that marks a dead last writer.
const FLAGS_AT: u64 = 9;
const RECOVERY_REQUIRED: u8 = 2;

/// Opens a regular file, without waiting for anything else. A link is followed within its folder.
fn open_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    disk::open_regular_with(&disk::inside(folder, path)?, options)
}

fn unless_foreign(operation: &'static str, path: &Path, error: io::Error) -> Error {
    if disk::is_no_regular_file(&error) {
        return foreign(path, &format!("it is not a regular file: {error}"));
    }
    Error::io(operation, path, error)
}

/// Refuses a file that redb did not write, or did not finish, before redb gets to see it: redb
/// would start a new database in an empty one.
fn refuse_foreign(file: &File, path: &Path) -> Result<()> {
    let mut start = Vec::with_capacity(MAGIC.len());
    let metadata = file
        .metadata()
        .map_err(|error| Error::io("look at", path, error))?;
    if !metadata.is_file() {
        return Err(foreign(path, "it is not a regular file"));
    }
    file.take(MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(|error| Error::io("read", path, error))?;
    if start == MAGIC {
        Ok(())
    } else if start.is_empty() {
        Err(foreign(path, "it is empty"))
    } else {
        Err(foreign(path, "it does not begin like a redb file"))
    }
}
