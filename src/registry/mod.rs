//! The checkpoint registry: which states a model has been saved in, and which of them is best.

pub(crate) mod adopt;
pub(crate) mod alias;
pub(crate) mod checkpoint;
pub(crate) mod claim;
pub(crate) mod copies;
pub(crate) mod delete;
pub(crate) mod files;
pub(crate) mod handle;
pub(crate) mod import;
pub(crate) mod layout;
pub(crate) mod leftovers;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod look_up;
pub(crate) mod metadata;
mod problem;
pub(crate) mod rank;
pub(crate) mod reconcile;
pub(crate) mod relocate;
pub(crate) mod retention;
#[cfg_attr(not(feature = "safetensors"), allow(dead_code))]
pub(crate) mod safetensors;
pub(crate) mod save;
pub(crate) mod sidecar;
pub(crate) mod tables;
pub(crate) mod watch;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::engine::directory::Directory;
use crate::entry::clock::Clock;
use crate::entry::error::{Error, Result};
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::name;
use crate::entry::timestamp::Timestamp;
use crate::fs::lock::{FileLock, LockMode};
use crate::options::Options;
use crate::record::conditions::Conditions;
use crate::record::queue::Queue;
use crate::threads::worker::lock;
use tables::{Checkpoints, names};

pub use alias::AliasChange;
pub(crate) use copies::{after_restore, into_backup};
pub(crate) use handle::Registry;
pub use import::{FolderImport, Import, Imported};
pub use list::List;
pub use load::{Fallback, Loaded, Skipped, WeightsReader};
pub use metadata::Metadata;
pub use problem::Problem;
pub use reconcile::Report;
pub use relocate::Relocated;
pub use retention::{
    CheckpointRetention, CheckpointRetentionPlan, CheckpointRetentionReport, Fate,
    PlannedCheckpoint,
};
#[cfg(all(feature = "safetensors", any(test, feature = "fuzzing")))]
pub(crate) use safetensors::parse as parse_safetensors;
#[cfg(feature = "safetensors")]
pub use safetensors::{SafetensorsHeader, TensorInfo};
pub use save::NewCheckpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use sidecar::{parse as parse_sidecar, write as write_sidecar};
pub use tables::rows::{Condition, Origin};
pub use watch::{Watch, Watched};

/// Ends the watching thread when the last registry and the last watch are gone.
pub(crate) struct WatchOwner {
    core: Arc<Core>,
    watcher: watch::Watcher,
}

/// Longest wait of a claim for others, and for removing leftovers: both take milliseconds.
const CLAIMS: Duration = Duration::from_secs(60);

/// State shared by the registry's calls and its watching thread.
struct Core {
    store: Checkpoints,
    root: Arc<Path>,
    clock: Clock,
    journal: Option<EventSink>,
    watches: watch::Watches,
    /// Models whose folder this process has cleared of leftovers.
    swept: Mutex<HashSet<String>>,
    /// The last id that this process claimed, without its number, and the number. Where one second
    /// sees many, each claim skips those before it.
    last_claim: Mutex<(String, u32)>,
    /// A call that tests make before each step of a save or a deletion.
    step: OnceLock<fn(&str)>,
    /// The error of an automatic import of models.
    rebuild_failure: Mutex<Option<Error>>,
    /// Ids that were taken in by themselves, and that no report has named yet.
    unreported: Mutex<Vec<String>>,
}

/// Where the registry reports its work.
pub(crate) struct EventSink {
    pub(crate) queue: Arc<Queue>,
    pub(crate) conditions: Arc<Conditions>,
}

impl Registry {
    /// Opens the registry of the journal in `dir`, with or without a journal open there, in this
    /// process or in others.
    ///
    /// Takes milliseconds at any size. Writes nothing, with one exception: models with files below
    /// `checkpoints/` that the registry does not know are taken in first. Their facts come from
    /// their sidecars, or else from names, sizes and times of the files. The next
    /// [`reconcile`](Self::reconcile) names them. Its work is not recorded in the journal: for
    /// that, use [`Journal::registry`](crate::Journal::registry).
    ///
    /// # Errors
    /// Those of [`Reader::open`](crate::Reader::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// # annals::Journal::open(&dir)?.close()?;
    /// let registry = annals::Registry::open(&dir)?;
    /// assert!(registry.models()?.is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Registry> {
        Registry::open_with(dir, &Options::default())
    }

    /// Opens it with `options`: whether others may use it too, how much it may cache, and by which
    /// clock it goes. The other options are a journal's own.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// # annals::Journal::open(&dir)?.close()?;
    /// let options = annals::Options::default().cache_bytes(1 << 20);
    /// let opened = annals::Registry::open_with(&dir, &options)?;
    /// # drop(opened);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open_with(dir: impl AsRef<Path>, options: &Options) -> Result<Registry> {
        let directory = Directory::existing(dir.as_ref())?;
        let store = Checkpoints::open(directory, options.sharing, options.cache_bytes)?;
        Ok(Registry::start(store, options.clock.clone(), None))
    }

    /// Opens a copy of the registry in memory, to find out the effect of changes. Everything is
    /// looked for and reported as by [`open`](Self::open), nothing is written, and the copy is gone
    /// with its last handle. Where there is no journal, the copy is empty and none is made. Changes
    /// of files are refused. Takes as much memory as the registry's tables.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), except that a journal may be missing.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let folder = dir.path().join("models");
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # std::fs::write(folder.join("best.pt"), b"weights").unwrap();
    /// let data = dir.path().join("data");
    /// let registry = annals::Registry::rehearse(&data)?;
    /// assert_eq!(registry.import_folder("dqn_agent", &folder)?.new, ["best"]); // it would be new
    /// assert!(!data.exists());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn rehearse(dir: impl AsRef<Path>) -> Result<Registry> {
        let options = Options::default();
        let store = Checkpoints::rehearsed(dir.as_ref(), &options)?;
        Ok(Registry::start(store, options.clock, None))
    }

    pub(crate) fn start(store: Checkpoints, clock: Clock, journal: Option<EventSink>) -> Registry {
        let core = Arc::new(Core {
            root: store.root().into(),
            store,
            clock,
            journal,
            watches: watch::Watches::default(),
            swept: Mutex::default(),
            last_claim: Mutex::default(),
            step: OnceLock::new(),
            rebuild_failure: Mutex::default(),
            unreported: Mutex::default(),
        });
        let watcher = watch::Watcher::new(core.clone());
        let registry = Registry {
            owner: Arc::new(WatchOwner { core, watcher }),
        };
        registry.take_in_unknown_models();
        registry
    }

    pub(crate) fn owner(&self) -> &Arc<WatchOwner> {
        &self.owner
    }

    pub(crate) fn of(owner: Arc<WatchOwner>) -> Registry {
        Registry { owner }
    }

    fn core(&self) -> &Core {
        &self.owner.core
    }

    /// The journal's directory.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// assert_eq!(registry.path(), dir);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.core().root
    }

    /// Why files of unknown models could not be taken in when the registry was opened, if that
    /// failed; [`reconcile`](Self::reconcile) tries again.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// assert!(registry.rebuild_failure().is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn rebuild_failure(&self) -> Option<Error> {
        lock(&self.core().rebuild_failure).clone()
    }

    /// Calls `step` before each step of a save or a deletion, for tests that stop there.
    #[cfg(feature = "__test-hooks")]
    #[doc(hidden)]
    pub fn at_each_step(&self, step: fn(&str)) {
        // The first one stays.
        let _ = self.core().step.set(step);
    }
}

impl Core {
    fn step(&self, name: &str) {
        if let Some(step) = self.step.get() {
            step(name);
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Records what happened to a checkpoint, where there is a journal.
    fn emit(&self, action: CheckpointAction, model: &str, id: &str, detail: &str) {
        if let Some(journal) = &self.journal {
            journal.queue.checkpoint_event(action, model, id, detail);
        }
    }

    /// Reports that a model has no checkpoints, once until it has some.
    fn raise_none(&self, model: &str) {
        if let Some(journal) = &self.journal {
            let condition = none(model);
            let conditions = &journal.conditions;
            conditions.raise(Level::Info, "registry", &condition, Vec::new());
        }
    }

    fn clear_none(&self, model: &str) {
        if let Some(journal) = &self.journal {
            journal.conditions.clear("registry", &none(model));
        }
    }

    /// Refuses to change files in a rehearsal.
    fn check_may_write(&self) -> Result<()> {
        if !self.store.is_rehearsal() {
            return Ok(());
        }
        Err(Error::InvalidOption {
            name: "registry",
            value: "a copy in memory".to_owned(),
            advice: "open it with Registry::open to change files",
        })
    }

    /// Holds the folder of all checkpoints: shared to claim an id, exclusive to remove what dead
    /// savers left, so that a claim is never seen before it is locked.
    fn hold_claims(&self, mode: LockMode) -> Result<FileLock> {
        // A rehearsal must not even make the folder.
        self.check_may_write()?;
        let folder = self.root.join(names::FOLDER);
        files::create_folder(&folder)?;
        FileLock::wait(&folder.join(".lock"), mode, CLAIMS)
    }
}

fn none(model: &str) -> String {
    format!("no checkpoints for {}", name::shown(model))
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
