//! Everything about a journal that has a number.

mod command_line;
pub(crate) mod file;
pub(crate) mod logs;
pub(crate) mod manifest;
pub(crate) mod retention;
mod words;

use std::time::Duration;

use crate::entry::clock::{Clock, ManualClock};
use crate::entry::error::{Error, Result};
use crate::entry::redaction::{Redaction, RedactionHook};
use logs::Mirror;
use manifest::Manifest;
use retention::{KeptItem, RetentionPolicy};

/// Behaviour when inferences come faster than they can be committed and the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The new event is dropped and counted, and the loop continues without waiting. The default.
    DropNewest,
    /// The caller waits for room, at most this long; then the event is dropped and counted.
    Block {
        /// The longest wait of one call.
        timeout: Duration,
    },
}

/// Whether other processes may use the directory at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// Any number of processes write and read. Needs byte-range file locks, which Linux, macOS
    /// and Windows have on local disks. The default there.
    Shared,
    /// One process at a time; others are refused with [`Error::InUse`]. The default elsewhere.
    Exclusive,
}

/// The fate of accepted entries that no commit has yet, when the process dies by a kill, an abort,
/// or for want of memory. A loss of power costs the same with all, but for what a
/// [`sync`](crate::Journal::sync) has made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlackBox {
    /// The next opener takes them in from lanes in shared memory, and from the spool, a file beside
    /// the journal: all calls that returned an id. Where there is no shared memory, too little of
    /// it, or one that ends with this process, this is as `Spool`.
    Lanes,
    /// The next opener takes them in from the spool, a file beside the journal. Lost are the calls
    /// of the last 5 ms, and those that the writer has not taken from the queue. It is behind when
    /// there is no processor for it, or while it stores new names.
    Spool,
    /// They are lost: up to one commit interval and one commit, or two commits where batches fill
    /// faster than the disk takes them.
    Off,
}

impl BlackBox {
    const fn native() -> Self {
        if cfg!(all(
            target_os = "linux",
            target_pointer_width = "64",
            not(annals_portable)
        )) {
            BlackBox::Lanes
        } else {
            BlackBox::Off
        }
    }
}

impl Sharing {
    pub(crate) const fn native() -> Self {
        if cfg!(all(
            any(target_os = "linux", target_vendor = "apple", windows),
            not(annals_portable)
        )) {
            Sharing::Shared
        } else {
            Sharing::Exclusive
        }
    }
}

/// Settings of a journal, all with sound defaults; from
/// [`Journal::options`](crate::Journal::options), checked and used by [`open`](Self::open).
///
/// ```
/// use annals::{Journal, Overflow};
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir().unwrap();
/// let journal = Journal::options()
///     .commit_interval(Duration::from_millis(50))
///     .overflow(Overflow::Block { timeout: Duration::from_millis(2) })
///     .label("trainer-7")
///     .open(dir.path().join("data"))?;
/// journal.close()?;
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until open is called"]
pub struct Options {
    pub(crate) commit_interval: Duration,
    pub(crate) commit_bytes: usize,
    pub(crate) queue_capacity: usize,
    pub(crate) overflow: Overflow,
    pub(crate) dedup_window: Duration,
    pub(crate) dedup_capacity: usize,
    pub(crate) max_names: usize,
    pub(crate) cache_bytes: usize,
    pub(crate) memory_interval: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) sharing: Sharing,
    pub(crate) flush_on_panic: Option<Duration>,
    pub(crate) label: Option<String>,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) seal_bytes: u64,
    pub(crate) seal_age: Duration,
    pub(crate) fold_interval: Option<Duration>,
    pub(crate) retention: Option<RetentionPolicy>,
    pub(crate) black_box: BlackBox,
    pub(crate) input_budget: u64,
    pub(crate) manifest: Manifest,
    pub(crate) redaction: Option<RedactionHook>,
    pub(crate) clock: Clock,
    /// Ids after which a new run is begun; far below what the counter holds.
    pub(crate) ids_per_run: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            commit_interval: Duration::from_millis(200),
            commit_bytes: 4 << 20,
            queue_capacity: 65_536,
            overflow: Overflow::DropNewest,
            dedup_window: Duration::from_secs(1),
            dedup_capacity: 65_536,
            max_names: 65_536,
            cache_bytes: 16 << 20,
            memory_interval: Duration::from_secs(1),
            close_timeout: Duration::from_secs(5),
            sharing: Sharing::native(),
            flush_on_panic: None,
            label: None,
            mirror: Some(Mirror::default()),
            seal_bytes: 128 << 20,
            seal_age: Duration::from_secs(86_400),
            fold_interval: Some(Duration::from_secs(2)),
            retention: None,
            black_box: BlackBox::native(),
            input_budget: 1 << 30,
            manifest: Manifest::new(),
            redaction: None,
            clock: Clock::system(),
            ids_per_run: 1 << 39,
        }
    }
}

impl Options {
    /// Longest time that an event waits in the queue before its commit begins. Default 200 ms. A
    /// crash loses the calls after the last commit; an idle journal wakes up once per interval.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::Journal;
    ///
    /// // A crash may lose 20 ms of decisions instead of 200.
    /// let journal = Journal::options().commit_interval(Duration::from_millis(20)).in_memory()?;
    /// assert!(Journal::options().commit_interval(Duration::ZERO).in_memory().is_err());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// Encoded bytes after which a commit does not wait for the interval. Default 4 MiB. Up to
    /// four times this is held in memory while the device is full.
    ///
    /// ```
    /// let journal = annals::Journal::options().commit_bytes(1 << 20).in_memory()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn commit_bytes(mut self, bytes: usize) -> Self {
        self.commit_bytes = bytes;
        self
    }

    /// Events that may be queued; 120 bytes each, allocated at once. Default 65,536. A thread's
    /// lane holds as many, and at most 2 MB: some 25,000 decisions.
    ///
    /// ```
    /// // 120 MB, for bursts of a million decisions.
    /// let options = annals::Journal::options().queue_capacity(1_000_000);
    /// ```
    pub fn queue_capacity(mut self, events: usize) -> Self {
        self.queue_capacity = events;
        self
    }

    /// Behaviour when the queue is full. Default [`Overflow::DropNewest`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Journal, Overflow};
    ///
    /// let wait = Overflow::Block { timeout: Duration::from_millis(2) };
    /// let journal = Journal::options().overflow(wait).in_memory()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn overflow(mut self, policy: Overflow) -> Self {
        self.overflow = policy;
        self
    }

    /// Time that an answer is remembered to recognise its repeats. Default 1 s; zero turns
    /// deduplication off.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::options().dedup_window(Duration::ZERO).in_memory()?;
    /// for _ in 0..2 {
    ///     journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").features(&[0.1, 0.2]));
    /// }
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// assert_eq!(journal.health().repeats, 0); // both are stored in full
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn dedup_window(mut self, window: Duration) -> Self {
        self.dedup_window = window;
        self
    }

    /// How many answers are remembered. Default 65,536 (4 MB when full); under a higher rate the
    /// window is, in effect, shorter.
    ///
    /// ```
    /// // A loop over 500,000 symbols that asks again within a second.
    /// let options = annals::Journal::options().dedup_capacity(500_000);
    /// ```
    pub fn dedup_capacity(mut self, answers: usize) -> Self {
        self.dedup_capacity = answers;
        self
    }

    /// Distinct names (models, symbols, actions, checkpoints, label sets) that a process keeps as
    /// numbers. Default 65,536. Further ones, and names over 255 bytes, go through the queue as
    /// text: such a call allocates, and the writer looks for the name. They are stored like all
    /// others.
    ///
    /// ```
    /// // One symbol for each user.
    /// let options = annals::Journal::options().max_names(1 << 20);
    /// ```
    pub fn max_names(mut self, names: usize) -> Self {
        self.max_names = names;
        self
    }

    /// Memory for cached pages of the file, for the writer and again for each reader.
    /// Default 16 MiB.
    ///
    /// ```
    /// let journal = annals::Journal::options().cache_bytes(4 << 20).in_memory()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Interval of sampling the process's memory, for inferences that state none. Default 1 s.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = annals::Journal::options().memory_interval(Duration::from_secs(10));
    /// ```
    pub fn memory_interval(mut self, interval: Duration) -> Self {
        self.memory_interval = interval;
        self
    }

    /// Longest time that [`close`](crate::Journal::close) and dropping the journal wait for the
    /// last commit. Default 5 s.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let half_a_minute = Duration::from_secs(30);
    /// let journal = annals::Journal::options().close_timeout(half_a_minute).in_memory()?;
    /// journal.close()?; // waits for 30 s at most
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Whether other processes may use the directory too.
    ///
    /// ```
    /// use annals::{Error, Journal, Sharing};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::options().sharing(Sharing::Exclusive).open(&dir)?;
    /// assert!(matches!(Journal::open(&dir), Err(Error::InUse { .. })));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Records the message, location and thread of every panic of the process as a system event of
    /// the component `panic`, and flushes the journal, for at most `timeout`. The hook runs before
    /// the one that was set when the first journal was opened. Off by default: then only a panic
    /// that unwinds the thread that owns the journal is recorded, when the journal is dropped.
    ///
    /// ```
    /// # use annals::{Content, Journal};
    /// # use std::time::Duration;
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// let journal = Journal::options().flush_on_panic(Duration::from_secs(5)).in_memory()?;
    /// let worker = std::thread::Builder::new().name("loop".to_owned());
    /// let ended = worker.spawn(|| panic!("no weights")).expect("starts").join();
    /// assert!(ended.is_err());
    /// let last = journal.reader()?.events().next().transpose()?.expect("was recorded");
    /// let Content::SystemEvent(event) = last.content else { unreachable!() };
    /// assert_eq!((&*event.component, event.message.as_str()), ("panic", "no weights"));
    /// assert_eq!(event.fields[1].1, "loop".into());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn flush_on_panic(mut self, timeout: Duration) -> Self {
        self.flush_on_panic = Some(timeout);
        self
    }

    /// A name for people, stored when the journal is created; tells machines apart.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::options().label("trainer-7").open(&dir)?;
    /// assert_eq!(journal.reader()?.label(), Some("trainer-7"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Place and retention of the human-readable files. Default: in `logs` below the journal's
    /// directory, for ever. A journal in memory writes them only into a directory that is given
    /// here.
    ///
    /// ```
    /// use annals::logs::Mirror;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mirror = Mirror::new().compress_old();
    /// let journal = annals::Journal::options().mirror(mirror).open(&dir)?;
    /// assert!(journal.log_directory().is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn mirror(mut self, mirror: Mirror) -> Self {
        self.mirror = Some(mirror);
        self
    }

    /// Writes no human-readable files.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::options().without_mirror().open(&dir)?;
    /// assert_eq!(journal.log_directory(), None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn without_mirror(mut self) -> Self {
        self.mirror = None;
        self
    }

    /// Bytes of blocks in `journal.redb` after which the oldest are sealed: moved into a segment, a
    /// file that is never written again. Keeps commits small. Default 128 MiB.
    ///
    /// ```
    /// // Small segments, so that retention can remove small parts of the journal.
    /// let options = annals::Journal::options().seal_bytes(16 << 20);
    /// ```
    pub fn seal_bytes(mut self, bytes: u64) -> Self {
        self.seal_bytes = bytes;
        self
    }

    /// How old the oldest entry in `journal.redb` may be, by recorded time, before it is sealed.
    /// Checked once a minute. Default one day.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// // Whatever is older than an hour is in a segment, which a backup links instead of copying.
    /// let options = annals::Journal::options().seal_age(Duration::from_secs(3_600));
    /// ```
    pub fn seal_age(mut self, age: Duration) -> Self {
        self.seal_age = age;
        self
    }

    /// Longest time that an entry waits before it is folded into rollups, which statistics are made
    /// of. Many entries wait for less. Default 2 s. Statistics are the same at every moment: they
    /// read unfolded entries themselves. One more fsynced commit each time, by a thread of its own.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = annals::Journal::options().fold_interval(Duration::from_secs(30));
    /// ```
    pub fn fold_interval(mut self, interval: Duration) -> Self {
        self.fold_interval = Some(interval);
        self
    }

    /// Folds nothing: statistics read the entries that no other process folds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Error, Journal};
    ///
    /// let journal = Journal::options().without_folding().in_memory()?;
    /// let refused = journal.fold(Duration::from_secs(5));
    /// assert!(matches!(refused, Err(Error::SwitchedOff { .. })));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn without_folding(mut self) -> Self {
        self.fold_interval = None;
        self
    }

    /// Retires entries by this policy, once a minute in the background. By default everything is
    /// kept; see [`Maintenance::retention`](crate::Maintenance::retention) for retention by plan.
    /// With [`trust_clock`](RetentionPolicy::trust_clock), nothing is retired while the newest
    /// entry of all is too old: then it is more likely that the clock is wrong.
    ///
    /// ```
    /// use annals::{Journal, RetentionPolicy};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let month = RetentionPolicy::new().max_age_days(30).max_bytes(50_000_000_000);
    /// let journal = Journal::options().retention(month).open(&dir)?;
    /// # drop(journal);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn retention(mut self, policy: RetentionPolicy) -> Self {
        self.retention = Some(policy);
        self
    }

    /// The survival of calls when this process dies between two commits. Default
    /// [`BlackBox::Lanes`] on Linux, [`BlackBox::Off`] elsewhere; nothing of a journal in memory
    /// survives.
    ///
    /// | | the process dies | the machine dies |
    /// |---|---|---|
    /// | `Lanes` | no call that returned an id is lost | the calls since the last commit |
    /// | `Spool` | some 5 ms, and what the writer has not taken from the queue | the same |
    /// | `Off` | the calls since the last commit | the same |
    ///
    /// `Lanes` reserves 2 MB of `/dev/shm` for each thread that logs at the same time, up to 64.
    /// Its first call makes the lane, by system calls. A later thread takes the lane over. A burst
    /// that fills its lane goes on in others, so that it has room for as many plain decisions as
    /// the queue. The writer empties a lane when a quarter of it is full, and before each commit.
    /// With `Spool` it looks at the queue every 4 ms, also when nothing is logged. Both hand what
    /// was taken to the system: one plain write, and no sync unless
    /// [`Journal::sync`](crate::Journal::sync) asks for one. So entries are written twice, and a
    /// commit merges the short blocks that this makes. A part that fails stops nothing:
    /// [`Health::black_box`] says which promise holds now, and `black_box_error` has the reason.
    ///
    /// [`Health::black_box`]: crate::health::Health::black_box
    ///
    /// ```
    /// use annals::{BlackBox, Journal};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::options().black_box(BlackBox::Spool).open(&dir)?;
    /// assert_eq!(journal.health().black_box, BlackBox::Spool);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn black_box(mut self, black_box: BlackBox) -> Self {
        self.black_box = black_box;
        self
    }

    /// Bytes that files of kept inputs may take together. Default 1 GiB; zero keeps none. When a
    /// file begins or is full, the oldest ones are removed until the rest is within the budget, and
    /// [`Health::inputs`] counts their inputs. A file has an eighth of the budget, and at least
    /// 64 KiB and at most 64 MiB. Those that open journals write at the moment are not removed, so
    /// the budget can be exceeded by them. A file also goes when retention has removed the last
    /// decisions of its time. Only [recorders](crate::record::RecorderBuilder::keep_inputs) and
    /// calls that ask for it keep inputs.
    ///
    /// [`Health::inputs`]: crate::health::Health::inputs
    ///
    /// ```
    /// // 132 bytes for each vector of 32 `f32`: the last 370 million.
    /// let options = annals::Journal::options().input_budget(50_000_000_000);
    /// ```
    pub fn input_budget(mut self, bytes: u64) -> Self {
        self.input_budget = bytes;
        self
    }

    /// What each run says about the program that decides: name, version, features, seed, and
    /// anything else. Readers show it with the [run](crate::entry::Run::manifest), so that a
    /// decision leads to the code that made it. The machine's name, the command line without
    /// secrets and a digest of the executable come by themselves.
    ///
    /// The executable is read once for each process, in the background. Its digest is stored by the
    /// next commit after that. A close waits for it for up to a second.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new()
    ///     .program(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    ///     .pairs([("stage", "paper")]);
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    /// let run = journal.reader()?.runs().next().transpose()?.expect("this one");
    /// assert_eq!(run.manifest.expect("of each run").get("stage"), Some("paper"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = manifest;
        self
    }

    /// Calls `hook` in the thread of each call, before anything of it is queued, for each text that
    /// the program gives freely. It may replace the text. Nothing of what it replaces is stored:
    /// not in lanes, not in the journal, not in the text files.
    ///
    /// It sees:
    ///
    /// * attributes that are text;
    /// * [blobs](crate::Inference::blobs), and inputs given as bytes;
    /// * messages and text fields of system events, those of panics and of `tracing` too;
    /// * details of checkpoint events, and labels of outcomes.
    ///
    /// It does not see numbers, flags and inputs given as floats. It does not see names: of models,
    /// symbols, actions, checkpoints, components and keys. Nor does it see correlations, because a
    /// changed one would link nothing. Manifests, imports and the registry's metadata do not pass
    /// it.
    ///
    /// The feature hash of an input given as bytes is of the bytes as they were.
    ///
    /// A hook that panics costs the text alone: `[dropped: its redaction panicked]` is recorded in
    /// its place, or the blob or input is given up. [`Health::failed_redactions`] counts it, and
    /// the panic's message is kept nowhere. Texts of calls that the hook itself makes are dropped
    /// in the same way. A program whose panics abort is ended.
    ///
    /// [`Health::failed_redactions`]: crate::health::Health::failed_redactions
    ///
    /// ```
    /// use annals::{Inference, Journal, Value};
    ///
    /// let journal = Journal::options()
    ///     .redact(|text| {
    ///         let Some(given) = text.text().filter(|given| given.contains('@')) else { return };
    ///         let words = given.split(' ').map(|word| match word.contains('@') {
    ///             true => "***",
    ///             false => word,
    ///         });
    ///         text.replace(words.collect::<Vec<_>>().join(" "));
    ///     })
    ///     .in_memory()?;
    /// let prompt = [("prompt", Value::from("write to ann@example.com today"))];
    /// let id = journal.log(Inference::new("llm", "chat", "tool").attributes(&prompt)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it is committed");
    /// assert_eq!(record.attributes[0].1, "write to *** today".into());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn redact(mut self, hook: impl Fn(&mut Redaction<'_>) + Send + Sync + 'static) -> Self {
        self.redaction = Some(RedactionHook::new(hook));
        self
    }

    /// Takes all times from `clock`, for tests.
    ///
    /// ```
    /// use annals::{Inference, Journal, ManualClock, Timestamp};
    ///
    /// let noon: Timestamp = "2025-07-25T12:00:00Z".parse()?;
    /// let journal = Journal::options().clock(ManualClock::at(noon)).in_memory()?;
    /// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.get(id)?.expect("it is committed").event_time, noon);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn clock(mut self, clock: ManualClock) -> Self {
        self.clock = Clock::Manual(clock);
        self
    }

    /// Begins a new run after this many ids. Only tests have a reason to lower it.
    #[cfg(feature = "__test-hooks")]
    #[doc(hidden)]
    pub fn ids_per_run(mut self, ids: u64) -> Self {
        self.ids_per_run = ids;
        self
    }

    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |name, value: String, advice| {
            Err(Error::InvalidOption {
                name,
                value,
                advice,
            })
        };
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(3_600));
        if !(least..=most).contains(&self.commit_interval) {
            let value = format!("{:?}", self.commit_interval);
            return bad("commit_interval", value, "give 1 ms to 1 h");
        }
        if let Some(interval) = self.fold_interval
            && !(least..=most).contains(&interval)
        {
            return bad("fold_interval", format!("{interval:?}"), "give 1 ms to 1 h");
        }
        if self.close_timeout > most {
            let value = format!("{:?}", self.close_timeout);
            return bad("close_timeout", value, "give at most 1 h");
        }
        if let Overflow::Block { timeout } = self.overflow
            && timeout > most
        {
            return bad("overflow", format!("{timeout:?}"), "give at most 1 h");
        }
        if !(4..=1 << 24).contains(&self.queue_capacity) {
            let value = self.queue_capacity.to_string();
            return bad("queue_capacity", value, "give 4 to 16,777,216 events");
        }
        if !(1 << 16..=1 << 28).contains(&self.commit_bytes) {
            let value = self.commit_bytes.to_string();
            return bad("commit_bytes", value, "give 64 KiB to 256 MiB");
        }
        if !(1 << 16..=1 << 40).contains(&self.seal_bytes) {
            let value = self.seal_bytes.to_string();
            return bad("seal_bytes", value, "give 64 KiB to 1 TiB");
        }
        if let Some(policy) = &self.retention {
            policy.check(KeptItem::Entries)?;
        }
        if let Some(policy) = self
            .mirror
            .as_ref()
            .and_then(|mirror| mirror.retention.as_ref())
        {
            policy.check(KeptItem::Lines)?;
        }
        if self.dedup_capacity > 1 << 24 {
            let value = self.dedup_capacity.to_string();
            return bad("dedup_capacity", value, "give at most 16,777,216 answers");
        }
        if self.max_names > 1 << 24 {
            let value = self.max_names.to_string();
            return bad("max_names", value, "give at most 16,777,216 names");
        }
        if self.ids_per_run == 0 || self.ids_per_run > 1 << 39 {
            let value = self.ids_per_run.to_string();
            return bad("ids_per_run", value, "give 1 to 2^39 ids");
        }
        if self.label.as_ref().is_some_and(|label| label.len() > 1_024) {
            let value = format!("{} bytes", self.label.as_ref().map_or(0, String::len));
            return bad("label", value, "give at most 1,024 bytes");
        }
        self.manifest.check()
    }
}
