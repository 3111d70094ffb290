//! The owner of a journal: it starts the writer, hands out recorders and readers, and ends it all.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::conditions::Conditions;
use crate::error::{Error, Result};
use crate::event::{CheckpointAction, Level};
use crate::flush::{self, Answer, Flush};
use crate::folding::FoldThread;
use crate::health::{Health, Status};
use crate::ids::{InferenceId, JournalId};
use crate::inference::{Inference, Timer};
use crate::maintenance::Maintenance;
use crate::maintenance::automatic::Automatic;
use crate::mirror::{Cleaned, MirrorThread};
use crate::options::{Options, Sharing};
use crate::outcome::Outcome;
use crate::panic_flush;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::recorder::RecorderBuilder;
use crate::registry::{self, Registry};
use crate::sealing::{Limits, SealThread};
use crate::stats::StatsQuery;
use crate::store::{Access, Directory, Folder, Hot, Sealer, Source, Upkeep, WriteFailure};
use crate::threads;
use crate::value::Value;
use crate::writer::Writer;

/// How often the health is read again while its counts do not add up.
const LOOKS: usize = 16;

/// An open journal: the flight recorder of this process in one directory.
///
/// Logging never blocks (unless [`Overflow::Block`](crate::Overflow::Block) is chosen) and never
/// fails loudly: a call that could not be recorded returns `None` and is counted in
/// [`health`](Self::health). What the calls promise:
///
/// * [`log`](Self::log) returning an id means *queued*;
/// * [`flush`](Self::flush) being `Ok` means *on disk*, for everything logged before it;
/// * a crash loses at most what came after the last commit: one commit interval and one commit.
///
/// A journal is `Send + Sync`; share it by reference or in an `Arc`. Dropping it closes it, waits
/// for at most [`Options::close_timeout`], and has to swallow errors: call
/// [`close`](Self::close) to see them. A process that forks without exec must not use the
/// journal in the child: its writer thread is not there, so the child's calls fill a queue that
/// nobody empties and are counted as dropped.
pub struct Journal {
    queue: Arc<Queue>,
    status: Arc<Status>,
    requests: Sender<Answer>,
    done: Receiver<Result<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    mirror: Option<MirrorThread>,
    sealing: Option<SealThread>,
    folding: Option<FoldThread>,
    conditions: Arc<Conditions>,
    /// Let go of when the journal closes, so that another process may have the file to itself;
    /// what lives in memory only is kept.
    source: Mutex<Option<Arc<Source>>>,
    sharing: Sharing,
    cache_bytes: usize,
    /// How the registry's part of the file is opened, and the registry while anybody holds it.
    checkpoints: Access,
    registry: Mutex<Weak<registry::Owner>>,
    id: JournalId,
    dir: Option<PathBuf>,
    close_timeout: Duration,
}

impl Journal {
    /// Opens the journal in `dir` with default [`Options`], creating directory and journal if
    /// they are missing (the directory for its owner only).
    ///
    /// Takes milliseconds at any size, also after a crash: a few fsynced commits. Waits, without
    /// a bound, for a transaction that another process has open.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::Io`] (no permission, read-only media),
    /// [`Error::Foreign`], [`Error::UnknownFormat`], [`Error::Corrupt`], [`Error::InUse`]. No
    /// error leaves an existing file changed.
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
    pub fn options() -> Options {
        Options::default()
    }

    /// A journal in memory, for tests: everything works, nothing survives.
    ///
    /// # Errors
    /// [`Error::Thread`] if the writer thread cannot be started.
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
        let source = Arc::new(Source::beside(&hot, options.cache_bytes)?);
        let id = source.identity()?.journal();
        let now = options.clock.now().as_micros();
        let (run, row) = hot.begin_run(now, None).map_err(WriteFailure::into_error)?;
        let queue = Arc::new(Queue::new(
            run,
            options.queue_capacity,
            options.overflow,
            options.max_names,
            options.clock.clone(),
        ));
        let status = Arc::new(Status::new(run));
        status.lock().file_bytes = hot.file_bytes();
        let upkeep = Upkeep::of(source.clone());
        let folder = Folder::of(source.clone());
        let checkpoints = Access::of(&hot, options.cache_bytes);
        let (requests, received) = crossbeam_channel::unbounded();
        let (done_sender, done) = crossbeam_channel::bounded(1);
        let writer = Writer::new(
            queue.clone(),
            status.clone(),
            received,
            hot,
            (run, row),
            &options,
        );
        let thread = threads::spawn("annals-writer", move || writer.run(&done_sender))?;
        queue.set_writer(thread.thread().clone());
        if let Some(timeout) = options.flush_on_panic {
            panic_flush::watch(&queue, &requests, timeout);
        }
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
            thread: Mutex::new(Some(thread)),
            mirror: None,
            sealing: None,
            folding: None,
            conditions,
            source: Mutex::new(Some(source.clone())),
            sharing: options.sharing,
            cache_bytes: options.cache_bytes,
            checkpoints,
            registry: Mutex::default(),
            id,
            dir,
            close_timeout: options.close_timeout,
        };
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
        if let Some(upkeep) = upkeep {
            let sealer = Sealer::new(upkeep.clone(), journal.id.0);
            let maintenance = Maintenance::new(upkeep, options.clock.clone())?;
            let retention = options.keep.map(|keep| Automatic::new(maintenance, keep));
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

    /// Records one decision: looks its names up in a cache of this thread, hashes nothing it was
    /// not given, reads the clock once and copies 100 bytes into the queue.
    ///
    /// Returns the inference's id, or `None` if it was dropped and counted: the queue is full,
    /// the journal closed, or the inference [cannot be recorded](crate::GapReason::Refused).
    ///
    /// No lock, allocation or system call, with these exceptions: a thread's first use of a name;
    /// more than 8 probabilities, attributes, given memory, or a name over 255 bytes (an
    /// allocation); every n-th call (n = a quarter of the queue), which wakes the writer.
    #[inline]
    pub fn log(&self, inference: Inference<'_>) -> Option<InferenceId> {
        self.queue.log(&inference)
    }

    /// Starts measuring a processing time; see [`Inference::timer`].
    #[inline]
    pub fn start(&self) -> Timer {
        Timer::start(&self.queue.clock)
    }

    /// Records what turned out later for an inference or repeat: of this run, of an earlier one or
    /// of another process. Says whether it was queued; if not, it is counted as dropped.
    ///
    /// Each value replaces what was attached before under the same name. An id that is not in the
    /// journal yet is no error: the two may be under way in different processes. Looks up each
    /// named value's name and allocates; no lock in the ordinary case, and no system call. An
    /// outcome with over 1,024 named values or 1 MiB of text is refused and counted.
    ///
    /// ```
    /// # use annals::{Inference, Journal, Outcome};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # let id = id.unwrap();
    /// // a bar later
    /// assert!(journal.attach_outcome(id, Outcome::reward(1.5).and_correct(true)));
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let known = journal.reader()?.outcome(id)?;
    /// assert_eq!(known.and_then(|known| known.reward).map(|reward| reward.value), Some(1.5));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attach_outcome(&self, id: InferenceId, outcome: Outcome<'_>) -> bool {
        self.queue.outcome(id, &outcome)
    }

    /// Records something that happened around the models. Says whether it was queued; if not, it
    /// is counted as dropped. Allocates; for the loop itself there is [`log`](Self::log).
    ///
    /// ```
    /// # use annals::{Journal, Level};
    /// # let journal = Journal::in_memory()?;
    /// assert!(journal.event(Level::Warn, "exchange", "no ticks for 5 s"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn event(&self, level: Level, component: &str, message: impl Into<String>) -> bool {
        self.queue
            .system_event(level, component, message.into(), Vec::new())
    }

    /// Like [`event`](Self::event), with named values.
    pub fn event_with(
        &self,
        level: Level,
        component: &str,
        message: impl Into<String>,
        fields: Vec<(String, Value)>,
    ) -> bool {
        self.queue
            .system_event(level, component, message.into(), fields)
    }

    /// Records what happened to a checkpoint, for code that keeps its checkpoints itself.
    pub fn checkpoint_event(
        &self,
        action: CheckpointAction,
        model: &str,
        checkpoint: &str,
        detail: &str,
    ) -> bool {
        self.queue
            .checkpoint_event(action, model, checkpoint, detail)
    }

    /// A layer that records `tracing` events of `least` and above as system events. Needs the
    /// feature `tracing`.
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn layer(&self, least: Level) -> crate::JournalLayer {
        crate::JournalLayer::new(self.queue.clone(), least)
    }

    /// Says that a condition holds, once: the first call records an event, further ones are only
    /// counted until [`clear`](Self::clear). Says whether this call was the first. Takes a lock.
    ///
    /// ```
    /// # use annals::{Journal, Level};
    /// # let journal = Journal::in_memory()?;
    /// for _tick in 0..10_000 {
    ///     journal.raise(Level::Info, "registry", "no checkpoints for dqn_agent");
    /// }
    /// journal.clear("registry", "no checkpoints for dqn_agent"); // says it, with the count
    /// assert_eq!(journal.health().offered, 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn raise(&self, level: Level, component: &str, condition: &str) -> bool {
        self.conditions
            .raise(level, component, condition, Vec::new())
    }

    /// Says that a condition that was [raised](Self::raise) is over, and how often it was met.
    /// Says whether it had been raised.
    pub fn clear(&self, component: &str, condition: &str) -> bool {
        self.conditions.clear(component, condition)
    }

    /// The directory of the human-readable files; `None` if they are off.
    #[must_use]
    pub fn log_directory(&self) -> Option<PathBuf> {
        let mirror = self.mirror.as_ref()?;
        Some(mirror.directory().to_owned())
    }

    /// Cleans up the human-readable files now, as [`Mirror`](crate::Mirror) says; otherwise that
    /// happens once a minute. Does nothing if another process writes them.
    ///
    /// # Errors
    /// [`Error::Io`] naming what stood in the way, [`Error::TimedOut`] past `timeout`,
    /// [`Error::Closed`] if the journal is closed or has no such files.
    pub fn clean_up_logs(&self, timeout: Duration) -> Result<Cleaned> {
        let mirror = self.mirror.as_ref().ok_or(Error::Closed)?;
        mirror.clean_up(timeout)
    }

    /// Begins a [`Recorder`](crate::Recorder): names bound once, for the fastest calls.
    pub fn recorder(&self, model: impl Into<String>, symbol: impl Into<String>) -> RecorderBuilder {
        RecorderBuilder::new(self.queue.clone(), model.into(), symbol.into())
    }

    /// A reader of this journal, in any thread. It sees what is committed; cheap to make.
    ///
    /// # Errors
    /// Those of reading: [`Error::Corrupt`], [`Error::Io`].
    pub fn reader(&self) -> Result<Reader> {
        if let Some(source) = self.kept_source() {
            return self.reader_of(source);
        }
        let dir = self.dir.as_deref().ok_or(Error::Closed)?;
        let directory = Directory::existing(dir)?;
        let source = Source::open(directory, self.sharing, self.cache_bytes)?;
        self.reader_of(Arc::new(source))
    }

    fn reader_of(&self, source: Arc<Source>) -> Result<Reader> {
        Ok(Reader::new(source)?.with_clock(self.queue.clock.clone()))
    }

    /// Cloned out of the lock: reading may wait, and close must not wait for it.
    fn kept_source(&self) -> Option<Arc<Source>> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.clone()
    }

    /// What keeps this directory in order: cursors by name, retention, backups, checks. For use
    /// beside the loop; it may be asked for after the journal was closed.
    ///
    /// # Errors
    /// [`Error::NoDirectory`] in memory, and those of [`Maintenance::open`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = annals::Journal::open(dir.path().join("data"))?;
    /// assert!(journal.maintenance()?.cursors()?.is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn maintenance(&self) -> Result<Maintenance> {
        let upkeep = match self.kept_source() {
            Some(source) => Upkeep::of(source).ok_or(Error::NoDirectory)?,
            None => {
                let dir = self.dir.as_deref().ok_or(Error::NoDirectory)?;
                Upkeep::open(Directory::existing(dir)?, self.sharing, self.cache_bytes)?
            }
        };
        Maintenance::new(upkeep, self.queue.clock.clone())
    }

    /// The checkpoint registry of this directory. What it does is recorded here: saving, loading,
    /// activating, deleting, and weights that fail their check. Opens the file once more (some
    /// milliseconds); while a registry is held, further calls give the same one.
    ///
    /// # Errors
    /// [`Error::NoDirectory`] in memory, and those of [`Registry::open`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = annals::Journal::open(dir.path().join("data"))?;
    /// let registry = journal.registry()?;
    /// assert!(registry.latest("dqn_agent")?.is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn registry(&self) -> Result<Registry> {
        let mut held = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = held.upgrade() {
            return Ok(Registry::of(owner));
        }
        let store = self.checkpoints.open()?;
        let says = registry::Says {
            queue: self.queue.clone(),
            conditions: self.conditions.clone(),
        };
        let registry = Registry::start(store, self.queue.clock.clone(), Some(says));
        *held = Arc::downgrade(registry.owner());
        Ok(registry)
    }

    /// Asks for everything logged so far to be committed now, whatever the interval.
    ///
    /// Covers calls of [`log`](Self::log) that returned before this one was made, on any thread;
    /// not those that run at the same time. Does not block: wait on the ticket or await it.
    pub fn flush(&self) -> Flush {
        flush::request(&self.requests, || self.queue.wake_writer())
    }

    /// How the journal is doing. Takes a lock that the writer holds for nanoseconds; no I/O.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.look();
        // The journal's own threads have something to say now and then, and so may be under way
        // while one number is read after the other.
        for _ in 0..LOOKS {
            if health.adds_up() {
                break;
            }
            thread::yield_now();
            health = self.look();
        }
        health
    }

    fn look(&self) -> Health {
        let known = self.status.lock().clone();
        Health {
            state: known.state,
            offered: self.queue.offered(),
            committed: known.counts.events,
            queued: if known.gone {
                0
            } else {
                known.in_hand + self.queue.len() as u64
            },
            unknown: known.unknown,
            dropped: self.queue.dropped(known.gone),
            repeats: known.counts.repeats,
            divergences: known.counts.divergences,
            invalid: known.counts.invalid,
            queue_capacity: self.queue.capacity(),
            commits: known.commits,
            last_commit: known.last_commit,
            last_commit_took: known.last_commit_took,
            last_error: known.failure.map(|error| error.to_string()),
            run: known.run,
            names: self.queue.names.len(),
            file_bytes: known.file_bytes,
            process_memory: known.process_memory,
            mirror: self.mirror.as_ref().map(MirrorThread::health),
            sealing: self.sealing.as_ref().map(SealThread::health),
            folding: self.folding.as_ref().map(FoldThread::health),
        }
    }

    /// Seals everything that is committed now, instead of when there is enough of it: moves it from
    /// `journal.redb` into a segment, which is what backups copy and retention removes. Says how
    /// many entries this call sealed; another process that is at it is waited for. Writes them once more
    /// and fsyncs; loops and commits go on meanwhile.
    ///
    /// # Errors
    /// What stood in the way: [`Error::Io`], [`Error::NoRoom`], [`Error::Corrupt`];
    /// [`Error::TimedOut`] past `timeout` (it goes on); [`Error::Closed`] if the journal is closed
    /// or lives in memory.
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.flush().wait(minute)?;
    /// assert_eq!(journal.seal(minute)?, 1);
    /// assert!(journal.reader()?.get(id)?.is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn seal(&self, timeout: Duration) -> Result<u64> {
        let sealing = self.sealing.as_ref().ok_or(Error::Closed)?;
        sealing.seal(timeout)
    }

    /// Folds everything that is committed now into the rollups that statistics are made of, instead
    /// of when it is due. Says how many entries that were; none if another process is folding. No
    /// statistic is different afterwards, only faster.
    ///
    /// # Errors
    /// What stood in the way: [`Error::Io`], [`Error::NoRoom`], [`Error::Corrupt`];
    /// [`Error::TimedOut`] past `timeout` (it goes on); [`Error::Closed`] if the journal is closed
    /// or [does not fold](Options::without_folding).
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.fold(minute)?;
    /// let stats = journal.stats("dqn_agent").get()?;
    /// assert_eq!(stats.coverage.folded, stats.coverage.sequence);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn fold(&self, timeout: Duration) -> Result<u64> {
        let folding = self.folding.as_ref().ok_or(Error::Closed)?;
        folding.fold(timeout)
    }

    /// Begins a question about what `model` did, as far as it is committed; see [`StatsQuery`].
    pub fn stats(&self, model: impl AsRef<str>) -> StatsQuery {
        StatsQuery::new(self.reader(), Some(model.as_ref()))
    }

    /// Begins a question about what all models did.
    pub fn stats_of_all(&self) -> StatsQuery {
        StatsQuery::new(self.reader(), None)
    }

    /// The journal's identity.
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.id
    }

    /// The journal's directory; `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Commits what is queued and ends the writer. Later calls of `log` return `None` and are
    /// counted; readers go on (and, in exclusive mode, keep others out until they are dropped).
    /// Closing twice is no error; the second call has nothing to report, and waits only for what
    /// the first did not see end.
    ///
    /// # Errors
    /// Whatever kept the last commit from the disk, and [`Error::TimedOut`] past
    /// [`Options::close_timeout`]: the thread that has not ended is then let go and may still finish.
    pub fn close(&self) -> Result<()> {
        self.queue.close();
        let mut writer = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let left = || self.close_timeout.saturating_sub(began.elapsed());
        // Told now, waited for last: they stop after the slice that they are at.
        let (sealing, folding) = (self.sealing.as_ref(), self.folding.as_ref());
        sealing.inspect(|sealing| sealing.stop());
        folding.inspect(|folding| folding.stop());
        let result = self.finish_writer(&mut writer);
        // Last, so that the files end with what was committed last.
        let mirror = self.mirror.as_ref();
        let mirrored = mirror.is_none_or(|mirror| mirror.finish(left()));
        if self.dir.is_some() {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.take();
        }
        let sealed = sealing.is_none_or(|sealing| sealing.finish(left()));
        let folded = folding.is_none_or(|folding| folding.finish(left()));
        if mirrored && sealed && folded {
            result
        } else {
            result.and(Err(self.close_timed_out()))
        }
    }

    /// Waits for the writer's last word, unless that was heard before.
    fn finish_writer(&self, writer: &mut Option<JoinHandle<()>>) -> Result<()> {
        let Some(thread) = writer.take() else {
            return Ok(());
        };
        match self.done.recv_timeout(self.close_timeout) {
            Ok(result) => {
                // It has sent its last word, so this returns at once.
                let _ = thread.join();
                result
            }
            Err(RecvTimeoutError::Timeout) => {
                // Kept, so that closing again waits again.
                *writer = Some(thread);
                Err(self.close_timed_out())
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::Closed),
        }
    }

    fn close_timed_out(&self) -> Error {
        Error::TimedOut {
            operation: "close",
            waited: self.close_timeout,
        }
    }
}

impl Options {
    /// Opens the journal in `dir` with these settings, creating it if there is none.
    ///
    /// # Errors
    /// See [`Journal::open`]; a setting that cannot work is [`Error::InvalidOption`].
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Journal> {
        self.check()?;
        Journal::open_with(dir.as_ref(), self)
    }

    /// Like [`Journal::in_memory`], with these settings.
    ///
    /// # Errors
    /// A setting that cannot work is [`Error::InvalidOption`].
    pub fn in_memory(self) -> Result<Journal> {
        self.check()?;
        Journal::in_memory_with(self)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A destructor has nobody to tell; `close` is there for those who want to know.
        let _ = self.close();
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
