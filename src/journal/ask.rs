//! Questions to a journal, and other work on it: readers, statistics, the registry, maintenance.

use std::sync::Arc;
use std::thread;

use super::Journal;
use super::health::Health;
use super::inputs::InputsHealth;
use crate::engine::directory::Directory;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::logs::MirrorThread;
use crate::maintenance::Maintenance;
use crate::read::Reader;
use crate::record::queue::redact::Redactor;
use crate::registry;
use crate::registry::Registry;
use crate::sealing::SealThread;
use crate::stats::StatsQuery;
use crate::stats::folding::FoldThread;
use crate::threads::worker::lock;

/// Number of times that the health is read again while its counts do not add up.
const LOOKS: usize = 16;

impl Journal {
    /// A reader of this journal, in any thread. It sees committed entries; cheap to make.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// assert_eq!(reader.get(id)?.map(|record| record.id), Some(id));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn reader(&self) -> Result<Reader> {
        if let Some(source) = self.kept_source() {
            return self.reader_of(source);
        }
        let dir = self.dir.as_deref().ok_or(Error::NoDirectory)?;
        let directory = Directory::existing(dir)?;
        let source = Source::open(directory, self.sharing, self.cache_bytes)?;
        self.reader_of(Arc::new(source))
    }

    fn reader_of(&self, source: Arc<Source>) -> Result<Reader> {
        Ok(Reader::new(source)?.with_clock(self.queue.clock.clone()))
    }

    /// Cloned out of the lock: reading may wait, and close must not wait for it.
    fn kept_source(&self) -> Option<Arc<Source>> {
        let source = lock(&self.source);
        source.clone()
    }

    /// Begins a question about the committed decisions of `model`; see [`StatsQuery`].
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let day = journal.stats("dqn_agent").last(std::time::Duration::from_secs(86_400)).get()?;
    /// assert_eq!(day.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn stats(&self, model: impl AsRef<str>) -> StatsQuery {
        StatsQuery::new(self.reader(), Some(model.as_ref()))
    }

    /// Begins a question about what all models did.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.stats_of_all().get()?.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn stats_of_all(&self) -> StatsQuery {
        StatsQuery::new(self.reader(), None)
    }

    /// The checkpoint registry of this directory. Its work is recorded here: saving, loading,
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
        // Held until the registry is there: two callers at once get the same one, with one thread.
        let mut held = lock(&self.registry);
        if let Some(owner) = held.upgrade() {
            return Ok(Registry::of(owner));
        }
        let store = self.checkpoints.open()?;
        let sink = registry::EventSink {
            queue: self.queue.clone(),
            conditions: self.conditions.clone(),
        };
        let registry = Registry::start(store, self.queue.clock.clone(), Some(sink));
        *held = Arc::downgrade(registry.owner());
        Ok(registry)
    }

    /// Maintenance of this directory: cursors by name, retention, backups, checks. For use beside
    /// the loop; it may be asked for after the journal was closed.
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
        let maintenance = match self.kept_source() {
            Some(source) => MaintenanceHandle::of(source).ok_or(Error::NoDirectory)?,
            None => {
                let dir = self.dir.as_deref().ok_or(Error::NoDirectory)?;
                MaintenanceHandle::open(Directory::existing(dir)?, self.sharing, self.cache_bytes)?
            }
        };
        Maintenance::new(maintenance, self.queue.clock.clone())
    }

    /// How the journal is doing. Takes a lock that the writer holds for nanoseconds; no I/O.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let health = journal.health();
    /// assert_eq!((health.committed, health.dropped.total()), (1, 0));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.look();
        // The journal's own threads record events now and then, which may be under way while one
        // number is read after the other.
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
        let [too_large, queue_full] = self.queue.inputs.given_up();
        Health {
            state: known.state,
            offered: self.queue.offered(),
            committed: known.counts.events,
            queued: if known.gone {
                0
            } else {
                known.uncommitted + self.queue.waiting()
            },
            unknown: known.unknown,
            dropped: self.queue.dropped(known.gone),
            refusals: self.queue.refusals.counts(),
            repeats: known.counts.repeats,
            divergences: known.counts.divergences,
            invalid: known.counts.invalid,
            inputs: InputsHealth {
                kept: known.inputs.kept,
                bytes: known.inputs.bytes,
                repeated: known.inputs.repeated,
                too_large,
                queue_full,
                failed: known.inputs.failed,
                removed: known.inputs.removed,
                died: known.died_inputs,
                error: known.input_error.or_else(|| self.queue.inputs.large_blob()),
            },
            failed_redactions: (self.queue.redactor.as_ref()).map_or(0, Redactor::panics),
            queue_capacity: self.queue.capacity(),
            commits: known.commits,
            last_commit: known.last_commit,
            last_commit_took: known.last_commit_took,
            black_box: known.black_box,
            black_box_error: known.black_box_error,
            last_error: known.failure.map(|error| error.to_string()),
            damaged: (self.kept_source()).map_or(0, |source| source.losses().entries()),
            damaged_rollups: (self.kept_source()).map_or(0, |source| source.losses().rollups()),
            thread_panics: self.queue.panics(),
            run: known.run,
            names: self.queue.names.len(),
            file_bytes: known.file_bytes,
            process_memory: known.process_memory,
            mirror: self.mirror.as_ref().map(MirrorThread::health),
            sealing: self.sealing.as_ref().map(SealThread::health),
            folding: self.folding.as_ref().map(FoldThread::health),
        }
    }
}
