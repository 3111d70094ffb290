//! Reading a journal: from any thread and any process, while it is being written.

pub(crate) mod cursor;
mod episodes;
pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod follow;
pub(crate) mod handle;
pub(crate) mod inputs;
mod last_inputs;
pub(crate) mod names;
pub(crate) mod outcomes;
pub(crate) mod pages;
pub(crate) mod plan;
pub(crate) mod query;
#[cfg(feature = "stream")]
pub(crate) mod stream;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;

use crate::engine::directory::Directory;
use crate::engine::format::row::NameId;
use crate::engine::format::scan::Scan;
use crate::engine::source::Source;
pub use crate::entry::attribute::AttributeCondition;
use crate::entry::clock::Clock;
use crate::entry::error::Result;
use crate::entry::ids::{InferenceId, JournalId, RunId};
use crate::entry::record::{Content, Entry, InferenceRecord, Run};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::options::Options;
pub(crate) use cursor::Cursor;
pub use events::Events;
pub(crate) use follow::Follow;
pub(crate) use handle::Reader;
pub use inputs::{FollowWithInputs, WithInputs};
use names::ReaderDictionary;
pub use outcomes::WithOutcomes;
pub use pages::{Gaps, Runs};
pub use query::Inferences;
pub(crate) use query::Query;
#[cfg(feature = "stream")]
pub use stream::FollowStream;

/// Entries that are not folded, and that are decoded to see whether they can be.
const LOOKED_AT: u64 = 1 << 18;

impl Reader {
    /// Opens the journal in `dir` for reading, beside its writers.
    ///
    /// Takes milliseconds. If the last writer died, the file is opened for writing once, which
    /// recovers it.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) if there is no journal,
    /// [`Error::NeedsRecovery`](crate::Error::NeedsRecovery) if its writer died and this process
    /// may not write, and those of [`Journal::open`](crate::Journal::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// # annals::Journal::open(&dir)?.close()?;
    /// let reader = annals::Reader::open(&dir)?;
    /// for record in reader.newest(20) {
    ///     println!("{:?}", record?);
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Reader> {
        Reader::open_with(dir, &Options::default())
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
    /// let opened = annals::Reader::open_with(&dir, &options)?;
    /// # drop(opened);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open_with(dir: impl AsRef<Path>, options: &Options) -> Result<Reader> {
        let directory = Directory::existing(dir.as_ref())?;
        let source = Source::open(directory, options.sharing, options.cache_bytes)?;
        Ok(Reader::new(Arc::new(source))?.with_clock(options.clock.clone()))
    }

    pub(crate) fn new(source: Arc<Source>) -> Result<Reader> {
        let identity = source.identity()?;
        Ok(Reader {
            source,
            names: Arc::new(ReaderDictionary::default()),
            inputs: Arc::default(),
            id: identity.journal(),
            label: identity.label.map(Into::into),
            clock: Clock::system(),
        })
    }

    /// The same reader, whose "now" is the clock's.
    pub(crate) fn with_clock(self, clock: Clock) -> Reader {
        Reader { clock, ..self }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The stored name with this id; `None` for "none".
    pub(crate) fn optional_name(&self, id: NameId) -> Result<Option<Arc<str>>> {
        match id {
            NameId::NONE => Ok(None),
            id => self.names.name(&self.source, id).map(Some),
        }
    }

    /// Entries per second over about the last `span`, by the progress of runs. Time counts while a
    /// run is open, so a clock that jumps does not change the rate. The span is as exact as the
    /// journal's marks, which are 5 s apart or more. One short snapshot.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::Corrupt`](crate::Error::Corrupt).
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # journal.flush().wait(Duration::from_secs(60))?;
    /// let per_second = journal.reader()?.rate(Duration::from_secs(60))?;
    /// assert!(per_second >= 0.0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn rate(&self, span: Duration) -> Result<f64> {
        let next = self.source.next_sequence()?;
        let elapsed = self.source.elapsed(self.now())?;
        let (entries, took) = elapsed.recent(span, next);
        // A shorter span shows the moment rather than the rate.
        let seconds = took.as_secs_f64().max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "a rate is as exact as its span")]
        Ok(entries as f64 / seconds)
    }

    /// The journal's identity.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// assert_eq!(journal.reader()?.id(), journal.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.id
    }

    /// The label that the journal was created with.
    ///
    /// ```
    /// let journal = annals::Journal::options().label("trainer-7").in_memory()?;
    /// assert_eq!(journal.reader()?.label(), Some("trainer-7"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The newest `n` decisions, newest first: inferences and repeats, these with their original's
    /// answer.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// for record in journal.reader()?.newest(20) {
    ///     println!("{}", record?); // the line of the text files
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn newest(&self, n: usize) -> Inferences {
        self.inferences().newest_first().limit(n).iter()
    }

    /// Begins a query over all decisions: inferences, and [repeats](Query::repeats) with their
    /// original's answer.
    ///
    /// ```
    /// # use annals::{Inference, Journal, Timestamp};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # journal.flush().wait(Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let hour_ago = Timestamp::now().saturating_sub(Duration::from_secs(3_600));
    /// let bought = reader.inferences().model("dqn_agent").action("BUY").since(hour_ago);
    /// assert_eq!(bought.iter().count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn inferences(&self) -> Query {
        Query::new(self.clone())
    }

    /// The inference with this id, or `None` if it was dropped, is not committed yet, or never
    /// was. A repeat comes with its original's answer. One look-up in the index and one block.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading);
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it may be in a block that cannot be read.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let record = journal.reader()?.get(id)?.expect("it was committed");
    /// assert_eq!(&*record.action, "BUY");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn get(&self, id: InferenceId) -> Result<Option<InferenceRecord>> {
        let found = self.source.find(id)?;
        found.map_or(Ok(None), |entry| self.names.record(&self.source, &entry))
    }

    /// The inferences with `ids`, in their order, as [`get`](Self::get) gives them. Many are looked
    /// up much faster together than one by one: each block that holds any is read once.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # use annals::{Inference, Journal};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// # let ids = ["BUY", "SELL"].map(|a| journal.log(Inference::new("m", "s", a)).unwrap());
    /// # let unknown: annals::InferenceId = "999-1".parse()?;
    /// # journal.flush().wait(Duration::from_secs(5))?;
    /// let found = journal.reader()?.get_each(&[ids[1], unknown, ids[0]])?;
    /// let actions = found.iter().map(|found| found.as_ref().map(|record| &*record.action));
    /// assert_eq!(actions.collect::<Vec<_>>(), [Some("SELL"), None, Some("BUY")]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn get_each(&self, ids: &[InferenceId]) -> Result<Vec<Option<InferenceRecord>>> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        // An id that was asked for twice is looked up once, and given twice.
        sorted.dedup();
        let mut found = AHashMap::with_capacity(sorted.len());
        for entry in self.source.find_each(&sorted)? {
            if let Some(record) = self.names.record(&self.source, &entry)? {
                found.insert(record.id, record);
            }
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// The entry with this sequence; the gap that stands for it if its block cannot be read.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let entry = journal.reader()?.entry(1)?.expect("the journal's first entry");
    /// assert_eq!(entry.sequence, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn entry(&self, sequence: u64) -> Result<Option<Entry>> {
        self.entry_at(Sequence::new(sequence))
    }

    fn entry_at(&self, sequence: Sequence) -> Result<Option<Entry>> {
        let found = self.source.at(sequence)?;
        found
            .map(|entry| self.names.entry(&self.source, entry))
            .transpose()
    }

    /// The cursor before the journal's first entry.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// assert_eq!(reader.follow(reader.start())?.count(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn start(&self) -> Cursor {
        Cursor::at_start(self.id)
    }

    /// The cursor after the last committed entry.
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
    /// let mut follow = reader.follow(reader.end()?)?; // only what comes from now on
    /// assert!(follow.next().is_none());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn end(&self) -> Result<Cursor> {
        Ok(Cursor::new(self.id, self.source.next_sequence()?))
    }

    /// Every entry from `cursor` on, in sequence, each once, now and as more are committed.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`](crate::Error::ForeignCursor) if the cursor is another journal's.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let reader = journal.reader()?;
    /// let mut follow = reader.follow(reader.start())?;
    /// for entry in follow.by_ref() {
    ///     println!("{}", entry?.sequence);
    /// }
    /// let next_time = follow.cursor(); // store it, and follow from it later
    /// assert_eq!(next_time.next_sequence(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn follow(&self, cursor: Cursor) -> Result<Follow> {
        Follow::new(self.clone(), cursor)
    }

    /// Entries that are committed and not folded into the rollups yet, so that each statistic reads
    /// them again, at 2 to 40 million a second. A reader changes nothing:
    /// [`Maintenance::fold`](crate::Maintenance::fold) does that. One short snapshot.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use std::time::Duration;
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// journal.fold(Duration::from_secs(60))?;
    /// assert_eq!(journal.reader()?.unfolded()?, 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn unfolded(&self) -> Result<u64> {
        self.source.unfolded()
    }

    /// Every run that this journal has seen, oldest first.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.runs().count(), 1); // this one, which is open
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn runs(&self) -> Runs {
        Runs::new(self.source.clone())
    }

    /// The run with this number, with its manifest; `None` if there is none. One look-up.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let run = journal.reader()?.run(id.run())?.expect("a decision has one");
    /// println!("decided by {:?}", run.manifest);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn run(&self, id: RunId) -> Result<Option<Run>> {
        pages::run(&self.source, id)
    }

    /// Everything that is no inference, newest first: system events, checkpoint events and gaps.
    ///
    /// ```
    /// # use annals::{Journal, Level};
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// journal.event(Level::Warn, "exchange", "feed is late");
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let newest = journal.reader()?.events().next().transpose()?.expect("was recorded");
    /// assert!(newest.to_string().ends_with("| WARN  | exchange        | feed is late"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// The sequences of unreadable entries that this reader, its clones and their iterators have
    /// passed over so far. Queries leave them out, and [`follow`](Self::follow),
    /// [`entry`](Self::entry) and the text files have a [gap](crate::entry::GapReason::Damaged) in
    /// their place, as after a [`repair`](crate::maintenance::repair), which ends this. Blocks that
    /// were never read are not known: [`Maintenance::verify`](crate::Maintenance::verify) reads
    /// everything.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let reader = journal.reader()?;
    /// let newest = reader.newest(100).collect::<annals::Result<Vec<_>>>()?;
    /// for lost in reader.missing() {
    ///     eprintln!("entries {} to {} cannot be read", lost.start, lost.end - 1);
    /// }
    /// # assert!(newest.is_empty() && reader.missing().is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u64>> {
        let lost = self.source.losses().list().into_iter();
        lost.map(|lost| lost.start.get()..lost.end.get()).collect()
    }

    /// The number of times that statistics through this reader and its clones met unreadable
    /// rollups, and read entries in their place; see
    /// [`Coverage::damaged_rollups`](crate::stats::Coverage::damaged_rollups). Costs nothing.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// assert_eq!(journal.reader()?.damaged_rollups(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn damaged_rollups(&self) -> u64 {
        self.source.losses().rollups()
    }

    /// Number of entries that are known to be unreadable and not repaired: those in
    /// [`missing`](Self::missing), and those that the folding thread has passed over. Reads the
    /// rows of gaps. It also reads unfolded entries if they are at most some 260,000, which takes
    /// up to 20 ms.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// assert_eq!(journal.reader()?.known_damaged()?, 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn known_damaged(&self) -> Result<u64> {
        let (border, folded) = self.source.with_readable_rollups(|snapshot| {
            let border = snapshot.folded().all_before();
            // Losses before the border are in the sums of gaps. Those behind it are found by
            // reading, which is bounded.
            if snapshot.next_sequence().since(border) <= LOOKED_AT {
                snapshot.blocks_from(border, &mut Scan::default(), |_| Ok(()))?;
            }
            let gaps = snapshot.gaps(Timestamp::MIN, Timestamp::MAX)?;
            Ok((border, gaps.damaged.saturating_sub(snapshot.repaired()?)))
        })?;
        let known = self.source.losses().list().into_iter();
        // Folding counted losses before its border already: they must not count twice.
        let (before, behind): (Vec<_>, Vec<_>) = known.partition(|lost| lost.start < border);
        let sum = |stretches: &[Range<Sequence>]| {
            let lengths = stretches.iter();
            let lengths = lengths.map(|lost| lost.end.since(lost.start));
            lengths.fold(0, u64::saturating_add)
        };
        Ok(folded.max(sum(&before)).saturating_add(sum(&behind)))
    }

    /// Every gap, oldest first.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// # let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8);
    /// # let id = journal.log(decision).unwrap();
    /// # journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.gaps().count(), 0); // nothing was lost
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        Gaps::new(self.clone())
    }
}

impl Entry {
    /// The id of an inference or a repeat.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let logged = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let entry = journal.reader()?.entry(1)?.expect("it is the first");
    /// assert_eq!(entry.id(), logged);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> Option<InferenceId> {
        match &self.content {
            Content::Inference(record) => Some(record.id),
            Content::Repeat(repeat) => Some(repeat.id),
            Content::Gap(_)
            | Content::SystemEvent(_)
            | Content::CheckpointEvent(_)
            | Content::Outcome(_) => None,
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("id", &self.id)
            .field("path", &self.source.path())
            .finish_non_exhaustive()
    }
}
