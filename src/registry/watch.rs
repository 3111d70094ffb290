//! Watching: one thread per registry asks the file, and everybody else asks an atomic number.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::tables::look::RegistryView;
use super::{Core, Registry, WatchOwner};
use crate::entry::error::{Error, Result};
use crate::fs::failpoint;
use crate::threads::latest::Published;
use crate::threads::worker::{Orders, Worker, lock, panicked};

/// Longest time that a change by another process may go unseen. Two of these and a look-up stay
/// well below the 250 ms that are promised.
const INTERVAL: Duration = Duration::from_millis(100);
/// Rest of the thread after a panic, which it survives: watches must not stop for ever.
const REST: Duration = Duration::from_secs(10);
/// Longest wait of a registry's last handle for the thread.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Subject of a [`Watch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watched {
    /// The best checkpoint by the model's monitor.
    Best,
    /// The newest.
    Latest,
    /// The one that an alias points at.
    Alias(String),
}

impl Watched {
    /// The active checkpoint: the alias `active`.
    ///
    /// ```
    /// use annals::registry::Watched;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let mut watch = registry.watch("dqn_agent", Watched::active())?;
    /// assert!(watch.current().is_none()); // nothing is active
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn active() -> Self {
        Watched::Alias(super::alias::ACTIVE.to_owned())
    }
}

/// A model's best, newest or active checkpoint, kept up to date by the registry's thread, so that
/// an inference loop may ask at every tick.
///
/// Asking reads one atomic number: no lock, no system call, no allocation. Only when the answer has
/// changed is a lock taken, held by others for nanoseconds. The thread looks into the registry
/// every 100 ms while there are watches, and at once after a change by this process; it reads one
/// number unless something has changed. A watch keeps the registry's thread and file open.
pub struct Watch {
    shared: Arc<WatchedValue>,
    seen: u64,
    current: Option<Checkpoint>,
    /// Keeps the thread.
    _owner: Arc<WatchOwner>,
}

struct WatchedValue {
    model: String,
    what: Watched,
    latest: Published<Option<Checkpoint>>,
}

impl Watch {
    /// The checkpoint as of now; `None` while there is none.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.activate(saved.id())?;
    /// let mut active = registry.watch("dqn_agent", annals::registry::Watched::active())?;
    /// if let Some(checkpoint) = active.current() {
    ///     println!("decide with {}", checkpoint.id()); // about a nanosecond: ask in the loop
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn current(&mut self) -> Option<&Checkpoint> {
        // One atomic load: the loop pays for more only after a change.
        if self.shared.latest.version() != self.seen {
            self.take();
        }
        self.current.as_ref()
    }

    /// The checkpoint, if it is another one than when this was last asked; the first time, if there
    /// is one. Changes of its tags, pin or state are no change.
    ///
    /// ```
    /// # use annals::Journal;
    /// # use annals::registry::Watched;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let saved = registry.checkpoint("dqn_agent").save(b"weights")?;
    /// registry.activate(saved.id())?;
    /// let mut active = registry.watch("dqn_agent", Watched::active())?;
    /// for _tick in 0..3 {
    ///     if let Some(checkpoint) = active.changed() {
    ///         println!("load {}", checkpoint.id()); // once
    ///     }
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn changed(&mut self) -> Option<&Checkpoint> {
        if self.shared.latest.version() == self.seen {
            return None;
        }
        self.take();
        self.current.as_ref()
    }

    #[cold]
    fn take(&mut self) {
        (self.seen, self.current) = self.shared.latest.take();
    }
}

impl WatchedValue {
    /// Examines, and publishes the result. The thread and the caller that begins the watch do this
    /// at the same time. The number of the registry's last change, from the same snapshot, puts
    /// them in order.
    fn refresh(&self, core: &Core) -> Result<()> {
        let (change, found) = core.store.read(|view| {
            let change = view.change()?;
            let found = match &self.what {
                Watched::Best => core.best(view, &self.model),
                Watched::Latest => match view.newest(&self.model)? {
                    Some(id) => {
                        let row = view.checkpoint(&id)?;
                        Ok(row.map(|row| Checkpoint::new(&*id, row, &core.root)))
                    }
                    None => Ok(None),
                },
                Watched::Alias(alias) => core.pointed_at(view, &self.model, alias),
            };
            let found = match found {
                // There is no best by a metric that nothing has yet, or without a monitor.
                Err(Error::NoMonitor { .. } | Error::UnknownMetric { .. }) => None,
                found => found?,
            };
            Ok((change, found))
        })?;
        let is_same = |one: &Option<Checkpoint>, other: &Option<Checkpoint>| {
            one.as_ref().map(Checkpoint::id) == other.as_ref().map(Checkpoint::id)
        };
        // With the number of the snapshot that it is from. Two threads may refresh at once: the
        // older answer does not replace the newer one.
        self.latest.publish(change, found, is_same);
        Ok(())
    }
}

/// Nothing is asked of the thread: it only is woken.
type WatchThread = Worker<Infallible>;

/// The value that the thread keeps up to date.
#[derive(Default)]
pub(super) struct Watches {
    shared: Mutex<Vec<Weak<WatchedValue>>>,
    /// Started by the first watch.
    thread: Mutex<Option<Arc<WatchThread>>>,
    /// The obstacle to refreshing the watches now.
    fault: Mutex<Option<Error>>,
}

impl Watches {
    /// Lets the thread look now: something has changed.
    pub(super) fn notify(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.wake();
        }
    }

    /// The watches that still have a handle.
    fn living(&self) -> Vec<Arc<WatchedValue>> {
        let mut shared = lock(&self.shared);
        // Watches are dropped by loops, which must not take this lock: the list is cleaned up here.
        shared.retain(|watch| watch.strong_count() > 0);
        shared.iter().filter_map(Weak::upgrade).collect()
    }
}

/// The thread; started by the first watch, ended and joined with the registry's last handle.
pub(super) struct Watcher {
    core: Arc<Core>,
}

impl Watcher {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Watcher { core }
    }

    fn start(&self) -> Result<()> {
        let mut thread = lock(&self.core.watches.thread);
        // The thread lives as long as a handle of the registry does.
        if thread.is_some() {
            return Ok(());
        }
        let core = self.core.clone();
        // A round that panics is caught there; nothing else in the thread can. The thread holds the
        // core and not the owner: otherwise the owner would never be dropped, and the thread would
        // never be stopped.
        let started = Worker::start(NAME, drop, move |orders| watch(&core, &orders))?;
        *thread = Some(Arc::new(started));
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Waited for without the lock, so that a change does not wait for it to wake the thread.
        let thread = lock(&self.core.watches.thread).take();
        if let Some(thread) = thread {
            // It ends after one look at most; one that is held up is let go, and ends after that.
            let _ = thread.finish(LETTING_GO);
        }
    }
}

const NAME: &str = "annals-watch";

fn watch(core: &Core, orders: &Orders<Infallible>) {
    // The first round refreshes all, because nothing is known of what happened before it.
    let mut seen = None;
    while !orders.is_stopped() {
        let round = catch_unwind(AssertUnwindSafe(|| {
            failpoint::round(&core.root);
            refresh_all(core, &mut seen)
        }));
        let mut rest = INTERVAL;
        let fault = round.unwrap_or_else(|panic| {
            rest = REST;
            seen = None;
            let panic = panicked(NAME, &*panic);
            if let Some(sink) = &core.journal {
                sink.queue.note_panic(panic.clone());
            }
            Err(panic)
        });
        *lock(&core.watches.fault) = fault.err();
        // A notification that came during the round has left a token: this returns at once.
        thread::park_timeout(rest);
    }
}

/// Looks once. A watch that cannot be read now is tried again, and keeps its value.
fn refresh_all(core: &Core, seen: &mut Option<u64>) -> Result<()> {
    // One number, read every 100 ms. Only a new one costs a look-up for each watch.
    let change = core.store.read(|view| view.change())?;
    if *seen != Some(change) {
        // Forgotten first: after an error all are refreshed again.
        *seen = None;
        let living = core.watches.living();
        living.iter().try_for_each(|watch| watch.refresh(core))?;
        *seen = Some(change);
    }
    Ok(())
}

impl Registry {
    /// Watches a model's best, newest or active checkpoint. It may not exist yet. The first watch
    /// starts the registry's thread.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading), and [`Error::Thread`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// # let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// registry.activate(saved.id())?;
    /// let mut active = registry.watch("dqn_agent", annals::registry::Watched::active())?;
    /// assert_eq!(active.current().map(|active| active.id()), Some(saved.id()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn watch(&self, model: &str, what: Watched) -> Result<Watch> {
        let core = self.core();
        let shared = Arc::new(WatchedValue {
            model: model.to_owned(),
            what,
            latest: Published::new(None),
        });
        // On the list first: a change between this look and the thread's next one is not missed.
        lock(&core.watches.shared).push(Arc::downgrade(&shared));
        // Before the first look, so that every change is seen either by it or by the thread.
        self.owner().watcher.start()?;
        shared.refresh(core)?;
        Ok(Watch {
            shared,
            seen: 0,
            current: None,
            _owner: self.owner().clone(),
        })
    }
}

impl Registry {
    /// The obstacle to refreshing this registry's watches now, if there is one: the registry cannot
    /// be read, or the thread panicked and rests for ten seconds. Watches keep what they have.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = annals::Journal::open(dir.path().join("data"))?;
    /// # let registry = journal.registry()?;
    /// let _watch = registry.watch("dqn_agent", annals::registry::Watched::Latest)?;
    /// assert!(registry.watch_fault().is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn watch_fault(&self) -> Option<Error> {
        lock(&self.core().watches.fault).clone()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("model", &self.shared.model)
            .field("what", &self.shared.what)
            .field("current", &self.current.as_ref().map(Checkpoint::id))
            .finish_non_exhaustive()
    }
}
