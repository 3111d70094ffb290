//! The handle of the registry; its calls stand beside what they do.

use std::sync::Arc;

use super::WatchOwner;

/// The checkpoints of all models: saved whole or not at all, found without touching their weights,
/// verified when they are loaded, and never deleted by surprise.
///
/// A registry belongs to the directory of a journal; weights lie below it, in
/// `checkpoints/<model>/`. Any number of processes use it at once. It is cheap to clone, and
/// `Send + Sync`.
///
/// ```
/// use annals::{Journal, Mode};
/// use annals::registry::Watched;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("data");
/// let journal = Journal::open(&dir)?;
/// let registry = journal.registry()?; // or Registry::open(&dir), in any process
/// registry.set_monitor("dqn_agent", "val_loss", Mode::Min)?;
///
/// for (epoch, loss) in [(1, 0.5), (2, 0.0234), (3, f64::NAN)] {
///     registry
///         .checkpoint("dqn_agent")
///         .model_type("rl")
///         .metric("val_loss", loss)
///         .epoch(epoch)
///         .metadata("lr", 0.001)
///         .save(b"the weights")?; // on disk, with its entry, when this returns
/// }
///
/// let best = registry.best("dqn_agent")?.expect("two of three rank"); // no weights touched
/// assert_eq!(best.epoch(), Some(2));
/// assert_eq!(registry.load(best.id())?.into_bytes()?, b"the weights"); // digest verified
///
/// registry.activate(best.id())?;
/// let mut active = registry.watch("dqn_agent", Watched::active())?;
/// assert_eq!(active.current().map(|c| c.id()), Some(best.id())); // nanoseconds; ask every tick
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    pub(super) owner: Arc<WatchOwner>,
}
