//! Taking in the records of another source: once each, under ids that name the source.

pub(crate) mod events;
pub(crate) mod gaps;
pub(crate) mod inferences;
mod inputs;
pub(crate) mod limits;
mod loss;
pub(crate) mod names;
pub(crate) mod notes;
pub(crate) mod outcomes;

use std::path::Path;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use crate::engine::directory::Directory;
use crate::engine::format::block::BlockEncoder;
use crate::engine::hot::{Commit, Hot};
use crate::engine::kv::WriteFailure;
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::name_cache::NameCache;
use crate::engine::runs::{RunEnd, RunRow};
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::InferenceId;
use crate::entry::ids::{MAX_RUN, RunId};
use crate::entry::timestamp::Timestamp;
use crate::options::Options;
use crate::sealing::seal::Sealer;
use crate::stats::folding::fold::Folder;
pub use inferences::Answer;
use inputs::ImportInputs;
pub use loss::Loss;
use notes::KnownNotes;
pub use outcomes::PastOutcome;

/// Encoded bytes that one transaction brings: it has to stay short.
const SLICE_BYTES: usize = 2 << 20;
/// Bytes in the hot file after which the oldest are sealed, as a journal does.
const SEAL_BYTES: u64 = 128 << 20;

/// Takes in inferences that were recorded elsewhere: by another journal, or by other software.
///
/// Each source gets a run of its own, found again by the source's name. Each of its inferences gets
/// the id of that run and of its number in the source. So an id names its source, and an inference
/// that is there already is not taken in again. That holds for any number and order of reads of the
/// source, also after a crash. Event times are the source's; the recorded time is now, or that of
/// [`recorded_at`](Self::recorded_at). Works beside the journal's other writers; commits are short
/// slices.
///
/// ```
/// use annals::Inference;
/// use annals::import::{Answer, Importer};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("data");
/// for _twice in 0..2 {
///     let mut importer = Importer::open(&dir)?;
///     let source = importer.source("old.db")?;
///     let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.85);
///     importer.add(source.inference(4_711)?, &inference, Answer::Full)?;
///     importer.close()?;
/// }
/// let taken = annals::Reader::open(&dir)?.newest(9).collect::<annals::Result<Vec<_>>>()?;
/// assert_eq!(taken.len(), 1);
/// assert_eq!(taken[0].id.counter(), 4_711);
/// # Ok::<(), annals::Error>(())
/// ```
pub struct Importer {
    hot: Hot,
    sealer: Option<Sealer>,
    source: Arc<Source>,
    runs: AHashMap<RunId, ImportRun>,
    names: NameCache,
    encoder: BlockEncoder,
    /// Ids in `encoder`.
    pending: AHashSet<InferenceId>,
    /// The id that was added last, while nothing has turned out for it.
    fresh: Option<InferenceId>,
    /// Ids that `encoder` has outcomes of.
    judged: AHashSet<InferenceId>,
    /// Invariant I1: the committed ids of the bucket with this number, or of none.
    near: Option<(u64, Vec<InferenceId>)>,
    /// When the source recorded the next entries; `None` is now.
    recorded: Option<Timestamp>,
    notes: KnownNotes,
    /// `None` where none can be kept.
    inputs: Option<ImportInputs>,
    /// The error of a commit: this importer adds nothing more.
    failed: Option<Error>,
    doing: ImportMode,
    superseded: u64,
}

/// Whether added entries are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ImportMode {
    Real,
    /// Nothing is written; `pending` keeps the ids, and the encoder's blocks are thrown away.
    Rehearsal,
}

/// A run that is being taken in.
struct ImportRun {
    row: RunRow,
    source: String,
    /// The highest id that is committed or in the encoder: a higher one is new.
    highest: InferenceId,
    /// Whether it was there before: its events and gaps may be there too.
    is_continued: bool,
    /// Whether outcomes may be there before their inference.
    has_outcomes: bool,
}

impl Importer {
    /// Opens the journal in `dir`, creating it if there is none, to take things in.
    ///
    /// # Errors
    /// Those of [`Journal::open`](crate::Journal::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mut importer = annals::import::Importer::open(&dir)?; // beside a running agent, too
    /// let run = importer.source("old.db")?;
    /// println!("entries of old.db have ids that begin with {run}-");
    /// importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Importer> {
        Importer::open_with(dir, &Options::default())
    }

    /// Opens it with `options`: whether others may use it too, how much it may cache, by which
    /// clock it goes, and how many bytes of inputs it may keep. A new journal has its label.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let options = annals::Options::default().cache_bytes(1 << 20);
    /// let opened = annals::import::Importer::open_with(&dir, &options)?;
    /// # drop(opened);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn open_with(dir: impl AsRef<Path>, options: &Options) -> Result<Importer> {
        options.check()?;
        let directory = Directory::create(dir.as_ref())?;
        Self::beside(Hot::open(directory, options)?, options, ImportMode::Real)
    }

    /// Opens the journal in `dir` to find out the effect of an import. All added entries are
    /// checked and looked for as by [`open`](Self::open), and nothing is written. Where there is no
    /// journal, none is made; where there is one, it is opened for reading only. Outcomes are
    /// compared with those in the journal, and not with each other. Keeps 16 bytes in memory for
    /// each new inference.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// ```
    /// use annals::{Error, Inference, Reader};
    /// use annals::import::{Answer, Importer};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mut importer = Importer::rehearse(&dir)?;
    /// let source = importer.source("old.db")?;
    /// let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// assert!(importer.add(source.inference(1)?, &inference, Answer::Full)?); // it would be new
    /// importer.close()?;
    /// assert!(matches!(Reader::open(&dir), Err(Error::Missing { .. })));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn rehearse(dir: impl AsRef<Path>) -> Result<Importer> {
        let options = Options::default();
        let there = Directory::existing(dir.as_ref());
        match there {
            Ok(directory) if directory.hot_file().exists() => {
                let source = Source::open(directory, options.sharing, options.cache_bytes)?;
                let hot = Hot::in_memory(&options)?;
                Ok(Self::of(hot, Arc::new(source), None, ImportMode::Rehearsal))
            }
            Ok(_) | Err(Error::Missing { .. }) => {
                Self::beside(Hot::in_memory(&options)?, &options, ImportMode::Real)
            }
            Err(error) => Err(error),
        }
    }

    fn beside(hot: Hot, options: &Options, doing: ImportMode) -> Result<Importer> {
        let source = Arc::new(Source::beside(&hot, options.cache_bytes)?);
        let journal = source.identity()?.id;
        let sealer = MaintenanceHandle::of(source.clone())
            .map(|maintenance| Sealer::new(maintenance, journal));
        let budget = options.input_budget;
        let directory = hot.directory().filter(|_| budget > 0);
        let inputs = directory.map(|inside| ImportInputs::new(inside.clone(), journal, budget));
        let importer = Self::of(hot, source, sealer, doing);
        Ok(Importer { inputs, ..importer })
    }

    fn of(hot: Hot, source: Arc<Source>, sealer: Option<Sealer>, doing: ImportMode) -> Importer {
        Importer {
            hot,
            sealer,
            source,
            runs: AHashMap::new(),
            names: NameCache::default(),
            encoder: BlockEncoder::default(),
            pending: AHashSet::new(),
            fresh: None,
            judged: AHashSet::new(),
            near: None,
            recorded: None,
            notes: KnownNotes::default(),
            inputs: None,
            failed: None,
            doing,
            superseded: 0,
        }
    }

    /// Number of values of outcomes that were left out because a later value is there.
    ///
    /// ```
    /// use annals::{Inference, Outcome, Timestamp};
    /// use annals::import::{Answer, Importer};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let at = Timestamp::from_micros;
    /// let mut importer = Importer::open(&dir)?;
    /// let id = importer.source("old.db")?.inference(1)?;
    /// importer.add(id, &Inference::new("dqn_agent", "ETH/USDT", "BUY"), Answer::Full)?;
    /// importer.add_outcome(id, &Outcome::new().reward(2.0).at(at(20)))?;
    /// assert!(!importer.add_outcome(id, &Outcome::new().reward(1.0).at(at(10)))?); // it is older
    /// assert_eq!(importer.superseded(), 1);
    /// importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn superseded(&self) -> u64 {
        self.superseded
    }

    /// The run of the source with this name: gone on with, or begun. One small commit.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process is taking in this source, [`Error::InvalidOption`] for a
    /// name of more than 4,096 bytes, and [errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// let run = importer.source("old.db")?;
    /// assert_eq!(importer.source("old.db")?, run); // the same source, the same run
    /// # importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn source(&mut self, name: &str) -> Result<RunId> {
        // The same source twice in one import is one run.
        if let Some((run, _)) = self.runs.iter().find(|(_, taking)| taking.source == name) {
            return Ok(*run);
        }
        limits::check_source(name)?;
        let now = Timestamp::now();
        let (run, row) = match self.doing {
            ImportMode::Real => {
                let begun = self.hot.take_in(now, name);
                begun.map_err(WriteFailure::into_error)?
            }
            ImportMode::Rehearsal => self.rehearsed(now, name)?,
        };
        let is_continued = row.batch > 0;
        let taking = ImportRun {
            highest: row.last_id,
            has_outcomes: row.committed > 0,
            row,
            source: name.to_owned(),
            is_continued,
        };
        self.runs.insert(run, taking);
        Ok(run)
    }

    /// Sets the recorded time of the entries that are added from here on: when the source recorded
    /// them. `None`, as at the beginning, is the time of adding.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// let then = annals::Timestamp::from_micros(1_753_454_079_000_000);
    /// importer.recorded_at(Some(then)); // of the entries that follow
    /// # importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn recorded_at(&mut self, time: Option<Timestamp>) {
        self.recorded = time;
    }

    fn recorded_or_now(&self) -> Timestamp {
        self.recorded.unwrap_or_else(Timestamp::now)
    }

    /// The run of the source with this name, or one that no other has.
    fn rehearsed(&self, now: Timestamp, name: &str) -> Result<(RunId, RunRow)> {
        let all = self.source.runs(0, usize::MAX)?;
        let mut highest = self.runs.keys().map(|run| run.get()).max().unwrap_or(0);
        for (run, row) in all {
            if row.source.as_deref() == Some(name) {
                return Ok((run, row));
            }
            highest = highest.max(run.get());
        }
        let run = RunId(highest.saturating_add(1).min(MAX_RUN));
        Ok((run, RunRow::begin(now)))
    }

    /// Commits the added entries; returns when they are on disk.
    ///
    /// # Errors
    /// [Errors of a commit](crate::Error#errors-of-a-commit). After one, all later calls give the
    /// same error: open another importer and add the source again.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// # let run = importer.source("old.db")?;
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// importer.add(run.inference(1)?, &decision, annals::import::Answer::Full)?;
    /// importer.commit()?; // on disk
    /// # importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn commit(&mut self) -> Result<()> {
        self.check_failed()?;
        let done = self.commit_all();
        if let Err(error) = &done {
            self.failed = Some(error.clone());
        }
        done
    }

    /// The error of an earlier commit. What it was about to store is lost to this importer, so
    /// going on would leave it out without a word.
    fn check_failed(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn commit_all(&mut self) -> Result<()> {
        let mut blocks = self.encoder.take();
        if blocks.is_empty() || self.doing == ImportMode::Rehearsal {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(self.runs.len());
        for (run, taking) in &mut self.runs {
            // With the entries, in one transaction: after a crash the import continues behind them.
            taking.row.last_id = taking.highest;
            taking.row.batch += 1;
            rows.push((*run, taking.row.clone()));
        }
        let mut inputs = inputs::to_commit(self.inputs.as_mut())?;
        let commit = Commit {
            blocks: &mut blocks,
            rows: &rows,
            inputs: &mut inputs,
        };
        self.hot.commit(commit).map_err(WriteFailure::into_error)?;
        self.pending.clear();
        self.judged.clear();
        // I1: the committed ids are others now.
        self.near = None;
        self.seal()
    }

    /// Commits the added entries if they fill a slice.
    fn commit_if_due(&mut self) -> Result<()> {
        // Memory is bounded, and a transaction does not hold up a running agent for long.
        if self.encoder.pending_bytes() < SLICE_BYTES {
            return Ok(());
        }
        self.commit()
    }

    /// Keeps the hot file small: no other sealer may be running.
    fn seal(&self) -> Result<()> {
        let due = self.source.extent()?.hot_bytes >= SEAL_BYTES;
        if let Some(sealer) = self.sealer.as_ref().filter(|_| due) {
            sealer.seal(SEAL_BYTES, Timestamp::now(), &|| true)?;
        }
        Ok(())
    }

    /// Commits the added entries and ends the sources' runs, for now. Then folds committed entries
    /// into the rollups, at some 2 to 10 million entries per second, so that the first statistic is
    /// fast.
    ///
    /// # Errors
    /// [Errors of a commit](crate::Error#errors-of-a-commit).
    ///
    /// ```
    /// use annals::{Inference, Reader};
    /// use annals::import::{Answer, Importer};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mut importer = Importer::open(&dir)?;
    /// let id = importer.source("old.db")?.inference(1)?;
    /// importer.add(id, &Inference::new("dqn_agent", "ETH/USDT", "BUY"), Answer::Full)?;
    /// importer.close()?;
    /// assert_eq!(Reader::open(&dir)?.stats("dqn_agent").get()?.count, 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn close(mut self) -> Result<()> {
        self.commit()?;
        if self.doing == ImportMode::Rehearsal {
            return Ok(());
        }
        let now = Timestamp::now();
        for (run, mut taking) in std::mem::take(&mut self.runs) {
            let ended = self.hot.end_run(run, &mut taking.row, RunEnd::Closed(now));
            ended.map_err(WriteFailure::into_error)?;
        }
        // All is taken in, and statistics are right, even if this fails.
        let _ = Folder::of(self.source.clone()).fold(now, &|_| true);
        Ok(())
    }

    fn taking(&mut self, run: RunId) -> Result<&mut ImportRun> {
        self.check_failed()?;
        self.runs.get_mut(&run).ok_or_else(|| foreign(run))
    }
}

fn foreign(run: RunId) -> Error {
    Error::InvalidOption {
        name: "id",
        value: format!("of run {run}"),
        advice: "give ids of a run that source() returned",
    }
}

impl std::fmt::Debug for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer")
            .field("path", &self.hot.name())
            .finish_non_exhaustive()
    }
}
