//! The owner of a journal: it starts the writer, hands out recorders and readers, and ends it all.

pub(crate) mod ask;
mod digest;
pub(crate) mod finish;
pub(crate) mod global;
pub(crate) mod health;
pub(crate) mod inputs;
#[cfg(feature = "tracing")]
pub(crate) mod layer;
pub(crate) mod panics;
pub(crate) mod record;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::engine::directory::Directory;
use crate::engine::hot::Hot;
use crate::engine::inputs::store::InputStore;
use crate::engine::kv::WriteFailure;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::source::Source;
use crate::engine::spool::{Spool, SpoolOwner};
use crate::entry::error::Result;
use crate::entry::ids::{JournalId, RunId};
use crate::logs::MirrorThread;
use crate::maintenance::Maintenance;
use crate::maintenance::retention::automatic::Automatic;
use crate::options::{BlackBox, Options, Sharing};
use crate::record::conditions::Conditions;
use crate::record::flush::FlushReply;
use crate::record::queue::Queue;
use crate::record::queue::input_queue::InputQueue;
use crate::record::queue::lanes::{Lanes, Reading};
use crate::record::queue::local_names::NamesLog;
use crate::record::recovery::Recovery;
use crate::record::status::Status;
use crate::record::writer::Writer;
use crate::registry;
use crate::registry::tables::Access;
use crate::sealing::seal::Sealer;
use crate::sealing::{Limits, Retire, SealThread};
use crate::stats::folding::FoldThread;
use crate::stats::folding::fold::Folder;
use crate::threads::panics::PanicObserver;
use crate::threads::worker;
use digest::DigestThread;

/// An open journal: the flight recorder of this process in one directory.
///
/// Logging never blocks (unless [`Overflow::Block`](crate::Overflow::Block) is chosen) and never
/// fails loudly: a call that could not be recorded returns `None` and is counted in
/// [`health`](Self::health). The calls promise:
///
/// * [`log`](Self::log) returning an id means *queued*;
/// * [`flush`](Self::flush) being `Ok` means *on disk and visible to readers*, for everything
///   logged before it; [`sync`](Self::sync) being `Ok` means *on disk*;
/// * the death of the process loses no call that returned an id, if [`Health::black_box`] is
///   [`BlackBox::Lanes`], as it is on Linux by default;
/// * the death of the machine loses at most the calls after the last commit. These are the calls of
///   one commit interval and one commit, or of two commits where batches fill faster than the disk
///   takes them.
///
/// A journal is `Send + Sync`; share it by reference or in an `Arc`. Dropping it closes it, waits
/// for at most [`Options::close_timeout`], and has to swallow errors: call [`close`](Self::close)
/// to see them. A process that forks without exec must not use the journal in the child. The child
/// has no writer thread: its calls return `None` and are counted as dropped. Without lanes they
/// fill a queue first, which is never emptied.
///
/// [`Health::black_box`]: crate::health::Health::black_box
pub struct Journal {
    queue: Arc<Queue>,
    status: Arc<Status>,
    requests: Sender<FlushReply>,
    done: Receiver<Result<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    mirror: Option<MirrorThread>,
    sealing: Option<SealThread>,
    folding: Option<FoldThread>,
    digest: Option<DigestThread>,
    conditions: Arc<Conditions>,
    /// Let go of when the journal closes, so that another process may have the file to itself;
    /// what lives in memory only is kept.
    source: Mutex<Option<Arc<Source>>>,
    sharing: Sharing,
    cache_bytes: usize,
    /// How the registry's part of the file is opened, and the registry while a handle of it lives.
    checkpoints: Access,
    registry: Mutex<Weak<registry::WatchOwner>>,
    id: JournalId,
    dir: Option<PathBuf>,
    close_timeout: Duration,
    /// Told of the application's panics as long as the journal is there.
    _on_panic: Option<Arc<dyn PanicObserver>>,
}

impl Journal {
    /// Opens the journal in `dir` with default [`Options`], creating directory and journal if
    /// they are missing (the directory for its owner only).
    ///
    /// Takes milliseconds at any size, also after a crash: a few fsynced commits. Waits for a
    /// minute for a transaction that another process has open; then the error names the process.
    ///
    /// # Errors
    /// [`NotADirectory`](crate::Error::NotADirectory), [`Io`](crate::Error::Io) (no permission,
    /// read-only media), [`Foreign`](crate::Error::Foreign),
    /// [`UnknownFormat`](crate::Error::UnknownFormat), [`Corrupt`](crate::Error::Corrupt),
    /// [`InUse`](crate::Error::InUse), [`Locked`](crate::Error::Locked). No error leaves an
    /// existing file changed.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// journal.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Journal> {
        Options::default().open(dir)
    }

    /// Default settings, to be changed and then [opened](Options::open).
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::Journal;
    ///
    /// let journal = Journal::options().commit_interval(Duration::from_millis(50)).in_memory()?;
    /// journal.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn options() -> Options {
        Options::default()
    }

    /// A journal in memory, for tests: everything works, nothing survives.
    ///
    /// # Errors
    /// [`Error::Thread`](crate::Error::Thread) if the writer thread cannot be started.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// assert!(journal.path().is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn in_memory() -> Result<Journal> {
        Options::default().in_memory()
    }

    pub(crate) fn open_with(dir: &Path, options: Options) -> Result<Journal> {
        let directory = Directory::create(dir)?;
        let path = directory.path().to_owned();
        Journal::run(Hot::open(directory, &options)?, Some(path), options)
    }

    pub(crate) fn in_memory_with(options: Options) -> Result<Journal> {
        Journal::run(Hot::in_memory(&options)?, None, options)
    }

    fn run(mut hot: Hot, dir: Option<PathBuf>, options: Options) -> Result<Journal> {
        // Before the first thread of the journal can panic.
        crate::threads::panics::install();
        // Before the run is begun: a journal that cannot be read leaves no run behind.
        let source = Arc::new(Source::beside(&hot, options.cache_bytes)?);
        let id = source.identity()?.journal();
        let now = options.clock.now();
        let begun = hot.begin_run(now, None, &Recovery);
        let (run, row) = begun.map_err(WriteFailure::into_error)?;
        let spool_owner = SpoolOwner { journal: id.0, run };
        let directory = hot
            .directory()
            .filter(|_| options.black_box != BlackBox::Off);
        let spool = directory.map(|directory| Spool::new(directory.clone(), spool_owner));
        let (lanes, no_lanes) = match (&spool, options.black_box) {
            (Some(_), BlackBox::Lanes) => lanes_of(hot.name(), id, run, &options),
            _ => (None, None),
        };
        let budget = options.input_budget;
        let inputs = hot.directory().filter(|_| budget > 0);
        let inputs = inputs.map(|inside| InputStore::new(inside.clone(), id.0, run, budget));
        let queue = Queue::new(
            run,
            options.queue_capacity,
            options.overflow,
            options.max_names,
            options.clock.clone(),
            lanes,
        );
        let queue = queue.with_inputs(InputQueue::new(inputs.is_some()));
        let queue = Arc::new(queue.with_redactor(options.redaction.clone()));
        let status = Arc::new(Status::new(run));
        let mut known = status.lock();
        known.died_inputs = hot.lost_inputs();
        known.file_bytes = hot.file_bytes();
        known.black_box = match (&spool, queue.lanes()) {
            (None, _) => BlackBox::Off,
            (Some(_), None) => BlackBox::Spool,
            (Some(_), Some(_)) => BlackBox::Lanes,
        };
        known.black_box_error = no_lanes;
        drop(known);
        let maintenance = MaintenanceHandle::of(source.clone());
        let folder = Folder::of(source.clone());
        let checkpoints = Access::of(&hot, options.cache_bytes);
        let (requests, received) = crossbeam_channel::unbounded();
        let (done_sender, done) = crossbeam_channel::bounded(1);
        let mut writer = Writer::new(
            queue.clone(),
            status.clone(),
            received,
            hot,
            (run, row),
            spool,
            &options,
        );
        if let Some(inputs) = inputs {
            writer.keep_inputs(inputs);
        }
        let thread = worker::spawn("annals-writer", queue.keep_panic(), move || {
            writer.run(&done_sender);
        })?;
        // Senders wake it from here on. Earlier changes are found by its first look.
        queue.set_writer(thread.thread().clone());
        let watch = |timeout| panics::watch(&queue, &requests, timeout);
        let on_panic = options.flush_on_panic.map(watch);
        let conditions = Arc::new(Conditions::new(queue.clone()));
        let logs = options.mirror.as_ref().and_then(|mirror| {
            let below = dir.as_ref().map(|dir| dir.join("logs"));
            mirror.directory.clone().or(below)
        });
        let mut journal = Journal {
            queue,
            status,
            requests,
            done,
            // From here on an error drops the journal, which ends the writer and the run.
            thread: Mutex::new(Some(thread)),
            mirror: None,
            sealing: None,
            folding: None,
            digest: None,
            conditions,
            source: Mutex::new(Some(source.clone())),
            sharing: options.sharing,
            cache_bytes: options.cache_bytes,
            checkpoints,
            registry: Mutex::default(),
            id,
            dir,
            close_timeout: options.close_timeout,
            _on_panic: on_panic,
        };
        journal.digest = DigestThread::start(journal.queue.keep_panic());
        if let Some(interval) = options.fold_interval {
            let folding = FoldThread::start(
                folder,
                source.clone(),
                interval,
                options.clock.clone(),
                journal.conditions.clone(),
            )?;
            journal.folding = Some(folding);
        }
        if let Some(maintenance) = maintenance {
            let sealer = Sealer::new(maintenance.clone(), journal.id.0);
            let maintenance = Maintenance::new(maintenance, options.clock.clone())?;
            let retention = options.retention.map(|policy| -> Retire {
                let mut automatic = Automatic::new(maintenance, policy);
                Box::new(move |sealed, go_on| automatic.round(sealed, go_on))
            });
            let limits = Limits {
                bytes: options.seal_bytes,
                age: options.seal_age,
            };
            let conditions = journal.conditions.clone();
            let sealing = SealThread::start(
                sealer,
                retention,
                source.clone(),
                limits,
                options.clock,
                conditions,
            )?;
            journal.sealing = Some(sealing);
        }
        if let Some((directory, settings)) = logs.zip(options.mirror) {
            let mirror = MirrorThread::start(
                source,
                journal.id,
                directory,
                settings,
                journal.conditions.clone(),
            )?;
            journal.mirror = Some(mirror);
        }
        Ok(journal)
    }

    /// The directory of the human-readable files; `None` if they are off.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// assert_eq!(journal.log_directory(), Some(dir.path().join("data").join("logs")));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn log_directory(&self) -> Option<PathBuf> {
        let mirror = self.mirror.as_ref()?;
        Some(mirror.directory().to_owned())
    }

    /// The journal's identity.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let id = journal.id().to_string();
    /// assert_eq!(id.parse::<annals::JournalId>()?, journal.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.id
    }

    /// The journal's directory; `None` in memory.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// assert_eq!(journal.path(), Some(dir.path().join("data").as_path()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}

/// The lanes of a new run, or why it has none.
fn lanes_of(
    place: &Path,
    id: JournalId,
    run: RunId,
    options: &Options,
) -> (Option<(Lanes, NamesLog)>, Option<String>) {
    let reading = Reading {
        anchor: options.clock.anchor(),
        memory: 0,
    };
    match Lanes::create(place, id, run, options.queue_capacity, reading) {
        Ok(lanes) => (Some(lanes), None),
        Err(why) => (None, Some(why)),
    }
}

impl Options {
    /// Opens the journal in `dir` with these settings, creating it if there is none.
    ///
    /// # Errors
    /// See [`Journal::open`]; a setting that cannot work is
    /// [`Error::InvalidOption`](crate::Error::InvalidOption).
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::Journal;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::options().commit_interval(Duration::from_millis(50)).open(&dir)?;
    /// journal.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Journal> {
        self.check()?;
        Journal::open_with(dir.as_ref(), self)
    }

    /// Like [`Journal::in_memory`], with these settings.
    ///
    /// # Errors
    /// A setting that cannot work is [`Error::InvalidOption`](crate::Error::InvalidOption).
    ///
    /// ```
    /// let journal = annals::Journal::options().label("trainer-7").in_memory()?;
    /// assert!(journal.path().is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn in_memory(self) -> Result<Journal> {
        self.check()?;
        Journal::in_memory_with(self)
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("id", &self.id)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
