//! Taking in what another source has recorded: once each, under ids that say where it came from.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use crate::entry::Gap;
use crate::error::{Error, Result};
use crate::format::block::{BlockEncoder, Place};
use crate::format::floats::{Floats, MOST};
use crate::format::name::NameKind;
use crate::format::row::{
    GapReason, GapRow, InferenceRow, NameId, Names, Note, OutcomeRow, OutcomeValue, RepeatRow,
    Texts, flag,
};
use crate::format::spans::id_bucket;
use crate::ids::{InferenceId, RunId};
use crate::inference::{Inference, Processing};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::queue::names::{LocalName, NameTable};
use crate::reader::Reader;
use crate::store::{Commit, Directory, Hot, RunEnd, RunRow, Sealer, Source, Upkeep, WriteFailure};
use crate::timestamp::Timestamp;

/// Encoded bytes that one transaction brings: it has to stay short.
const SLICE_BYTES: usize = 2 << 20;
/// Bytes in the hot file after which the oldest are sealed, as a journal does.
const SEAL_BYTES: u64 = 128 << 20;

/// What an imported inference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// An answer in full.
    Full,
    /// An answer in full that differs from one just given to the same question.
    Divergent,
    /// The answer of another inference, given again.
    RepeatOf(InferenceId),
}

/// Inferences that another source lost, to be handed to [`Importer::add_gap`]: what a
/// [`Gap`] says, without its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The run, one of [`Importer::source`]'s.
    pub run: RunId,
    /// Why they are missing.
    pub reason: GapReason,
    /// How many; `None` if nobody can know.
    pub count: Option<u64>,
    /// The last id before a death, of the same run.
    pub after: Option<InferenceId>,
    /// When the first and the last of them were offered.
    pub recorded_range: Option<(Timestamp, Timestamp)>,
    /// Their first and last event time.
    pub event_range: Option<(Timestamp, Timestamp)>,
}

impl From<&Gap> for Loss {
    fn from(gap: &Gap) -> Self {
        Loss {
            run: gap.run,
            reason: gap.reason,
            count: gap.count,
            after: gap.after,
            recorded_range: gap.recorded_range,
            event_range: gap.event_range,
        }
    }
}

/// Takes in inferences that were recorded elsewhere: by another journal, or by other software.
///
/// Each source gets a run of its own, found again by the source's name, and each of its
/// inferences the id of that run and of its number in the source. So an id says where an
/// inference came from, and one that is there already is not taken in again, however often and in
/// whatever pieces the source is read, also after a crash. Event times are the source's; the
/// recorded time is now. Beside whoever else writes the journal; commits are short slices.
///
/// ```
/// use annals::{Answer, Importer, Inference};
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
    runs: AHashMap<RunId, Taking>,
    names: NameTable,
    /// By the name's number in `names`; 0 where it is not stored yet.
    stored: Vec<NameId>,
    encoder: BlockEncoder,
    /// Ids in `encoder`.
    pending: AHashSet<u64>,
    /// The id that was added last, while nothing has turned out for it.
    fresh: Option<u64>,
    /// Ids that `encoder` has outcomes of.
    judged: AHashSet<u64>,
    /// Invariant I1: the committed ids of the bucket with this number, or of none.
    near: Option<(u64, Vec<u64>)>,
}

/// A run that is being taken in.
struct Taking {
    row: RunRow,
    source: String,
    /// The highest id that is committed or in the encoder: a higher one is new.
    highest: u64,
    /// What is known to be missing; `None` until somebody asks.
    gaps: Option<Vec<Loss>>,
}

impl Importer {
    /// Opens the journal in `dir`, creating it if there is none, to take things in.
    ///
    /// # Errors
    /// Those of [`Journal::open`](crate::Journal::open).
    pub fn open(dir: impl AsRef<Path>) -> Result<Importer> {
        let options = Options::default();
        let directory = Directory::create(dir.as_ref())?;
        let hot = Hot::open(directory, &options)?;
        let source = Arc::new(Source::beside(&hot, options.cache_bytes)?);
        let journal = source.identity()?.id;
        let sealer = Upkeep::of(source.clone()).map(|upkeep| Sealer::new(upkeep, journal));
        Ok(Importer {
            hot,
            sealer,
            source,
            runs: AHashMap::new(),
            names: NameTable::new(options.max_names),
            stored: Vec::new(),
            encoder: BlockEncoder::default(),
            pending: AHashSet::new(),
            fresh: None,
            judged: AHashSet::new(),
            near: None,
        })
    }

    /// The run of the source with this name: gone on with, or begun. One small commit.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process is taking in this source, and those of a commit.
    pub fn source(&mut self, name: &str) -> Result<RunId> {
        if let Some((run, _)) = self.runs.iter().find(|(_, taking)| taking.source == name) {
            return Ok(*run);
        }
        let now = Timestamp::now().as_micros();
        let begun = self.hot.take_in(now, name);
        let (run, row) = begun.map_err(WriteFailure::into_error)?;
        let taking = Taking {
            highest: row.last_id,
            row,
            source: name.to_owned(),
            gaps: None,
        };
        self.runs.insert(run, taking);
        Ok(run)
    }

    /// Adds an inference under `id`, whose run is one of [`source`](Self::source)'s; `false` if it
    /// is there already. Committed with the slice that it belongs to: at the latest by
    /// [`commit`](Self::commit). About 300 ns, and a commit for each new name.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an id of another run and for more than 1,024 probabilities;
    /// those of reading and of a commit, after which the source may be read again from its start.
    pub fn add(
        &mut self,
        id: InferenceId,
        inference: &Inference<'_>,
        answer: Answer,
    ) -> Result<bool> {
        if inference.probabilities.len() > MOST {
            return Err(Error::InvalidOption {
                name: "probabilities",
                value: format!("{} of them", inference.probabilities.len()),
                advice: "give at most 1,024",
            });
        }
        if self.has(id)? {
            return Ok(false);
        }
        let recorded = Timestamp::now().as_micros();
        let place = Place {
            id: id.to_u64(),
            recorded,
            event: inference.event_time.map_or(recorded, Timestamp::as_micros),
        };
        self.encode(place, inference, answer)?;
        if let Some(taking) = self.runs.get_mut(&id.run()) {
            taking.highest = taking.highest.max(id.to_u64());
            taking.row.committed += 1;
        }
        self.pending.insert(id.to_u64());
        self.fresh = Some(id.to_u64());
        if self.encoder.pending_bytes() >= SLICE_BYTES {
            self.commit()?;
        }
        Ok(true)
    }

    /// Adds what turned out for the inference `of`, which has to be of a [`source`](Self::source)'s
    /// run, less what is recorded already with the same time; `false` if that is all of it.
    /// Right behind its new inference as cheap as that; otherwise it costs a look-up.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_outcome(&mut self, of: InferenceId, outcome: &Outcome<'_>) -> Result<bool> {
        self.taking(of.run())?;
        let now = Timestamp::now().as_micros();
        let time = outcome.time.map_or(now, Timestamp::as_micros);
        let mut values = self.stored_values(outcome)?;
        if self.fresh.take() != Some(of.to_u64()) {
            if self.judged.contains(&of.to_u64()) {
                self.commit()?;
            }
            self.source.outcomes(&[of.to_u64()], u64::MAX, |known| {
                if known.row.time == time {
                    values.retain(|value| !known.row.values.iter().any(|k| k.is_same(value)));
                }
                ControlFlow::Continue(())
            })?;
        }
        if values.is_empty() {
            return Ok(false);
        }
        let row = OutcomeRow {
            run: of.run().get(),
            of: of.to_u64(),
            time,
            values,
        };
        self.encoder.note(now, &Note::Outcome(row));
        self.judged.insert(of.to_u64());
        self.taking(of.run())?.row.committed += 1;
        if self.encoder.pending_bytes() >= SLICE_BYTES {
            self.commit()?;
        }
        Ok(true)
    }

    fn stored_values(&mut self, outcome: &Outcome<'_>) -> Result<Vec<OutcomeValue>> {
        let label = outcome.label.map(str::to_owned);
        let built_in = [
            outcome.reward.map(OutcomeValue::Reward),
            outcome.correct.map(OutcomeValue::Correct),
            label.map(OutcomeValue::Label),
        ];
        let mut values: Vec<OutcomeValue> = built_in.into_iter().flatten().collect();
        for (name, value) in &outcome.values {
            let mut written = None;
            let id = self.stored_name(NameKind::OutcomeName, name, &mut written)?;
            values.push(match written {
                Some(name) => OutcomeValue::Written(name, *value),
                None => OutcomeValue::Named(id, *value),
            });
        }
        Ok(values)
    }

    /// Adds a gap of a source; `false` if the same one is there already. Its run and the id in it
    /// have to be those of [`source`](Self::source).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_gap(&mut self, gap: &Loss) -> Result<bool> {
        let taking = self.runs.get(&gap.run).ok_or_else(|| foreign(gap.run))?;
        if taking.gaps.is_none() {
            let all = Reader::new(self.source.clone())?.gaps();
            let ours =
                all.filter(|known| known.as_ref().map_or(true, |known| known.run == gap.run));
            let ours = ours.map(|known| known.map(|known| Loss::from(&known)));
            let ours = ours.collect::<Result<Vec<_>>>()?;
            self.taking(gap.run)?.gaps = Some(ours);
        }
        let known = self.taking(gap.run)?.gaps.get_or_insert_default();
        if known.contains(gap) {
            return Ok(false);
        }
        known.push(*gap);
        let times = |range: Option<(Timestamp, Timestamp)>| {
            range.map(|(first, last)| (first.as_micros(), last.as_micros()))
        };
        let row = GapRow {
            run: gap.run.get(),
            reason: gap.reason,
            count: gap.count,
            after: gap.after.map(InferenceId::to_u64),
            recorded_range: times(gap.recorded_range),
            event_range: times(gap.event_range),
        };
        self.taking(gap.run)?.row.dropped += gap.count.unwrap_or(0);
        let now = Timestamp::now().as_micros();
        self.encoder.note(now, &Note::Gap(row));
        Ok(true)
    }

    /// Commits what was added; returns when it is on disk.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn commit(&mut self) -> Result<()> {
        let mut blocks = self.encoder.take();
        if blocks.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(self.runs.len());
        for (run, taking) in &mut self.runs {
            taking.row.last_id = taking.highest;
            taking.row.batch += 1;
            rows.push((*run, taking.row.clone()));
        }
        let commit = Commit {
            blocks: &mut blocks,
            rows: &rows,
        };
        self.hot.commit(commit).map_err(WriteFailure::into_error)?;
        self.pending.clear();
        self.judged.clear();
        self.near = None;
        self.seal()
    }

    /// Keeps the hot file small: nobody else may be there to do it.
    fn seal(&self) -> Result<()> {
        let due = self.source.extent()?.hot_bytes >= SEAL_BYTES;
        if let Some(sealer) = self.sealer.as_ref().filter(|_| due) {
            sealer.seal(SEAL_BYTES, Timestamp::now().as_micros(), &|| true)?;
        }
        Ok(())
    }

    /// Commits what was added and ends the sources' runs, for now.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn close(mut self) -> Result<()> {
        self.commit()?;
        let now = Timestamp::now().as_micros();
        for (run, mut taking) in std::mem::take(&mut self.runs) {
            let ended = self.hot.end_run(run, &mut taking.row, RunEnd::Closed(now));
            ended.map_err(WriteFailure::into_error)?;
        }
        Ok(())
    }

    fn taking(&mut self, run: RunId) -> Result<&mut Taking> {
        self.runs.get_mut(&run).ok_or_else(|| foreign(run))
    }

    /// Whether the inference with this id has been taken in.
    fn has(&mut self, id: InferenceId) -> Result<bool> {
        let id = {
            let highest = self.taking(id.run())?.highest;
            if id.to_u64() > highest {
                return Ok(false);
            }
            id.to_u64()
        };
        if self.pending.contains(&id) {
            return Ok(true);
        }
        let (bucket, _) = id_bucket(id);
        let near = match self.near.take() {
            Some(near) if near.0 == bucket => near,
            _ => (bucket, self.source.ids_near(id)?),
        };
        let known = near.1.contains(&id);
        self.near = Some(near);
        Ok(known)
    }

    fn encode(&mut self, place: Place, inference: &Inference<'_>, answer: Answer) -> Result<()> {
        let mut texts = Texts::default();
        let names = self.stored_names(inference, &mut texts)?;
        let labels = match answer {
            Answer::RepeatOf(_) => 0,
            Answer::Full | Answer::Divergent => self.stored_labels(inference, &mut texts)?,
        };
        let processing = match inference.processing {
            Processing::Known(time) => {
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                nanos.saturating_add(1)
            }
            // A measurement that is still running is of now, not of then.
            Processing::Unknown | Processing::Since(_) => 0,
        };
        if let Answer::RepeatOf(original) = answer {
            let row = RepeatRow {
                names,
                original: original.to_u64(),
                processing,
                texts: boxed(texts),
            };
            self.encoder.repeat(place, &row);
            return Ok(());
        }
        let attributes = inference.attributes.iter();
        texts.attributes = attributes
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        let confidence = inference.confidence_or_probability();
        let mut flags = 0;
        if confidence.is_none() {
            flags |= flag::NO_CONFIDENCE;
        }
        if answer == Answer::Divergent {
            flags |= flag::DIVERGENT;
        }
        let values = inference.probabilities.iter().map(|(_, value)| *value);
        let row = InferenceRow {
            names,
            labels,
            flags,
            confidence: confidence.unwrap_or(f32::NAN),
            probabilities: Floats::collect(inference.probabilities.len(), values),
            features: inference.features,
            processing,
            texts: boxed(texts),
        };
        let memory = inference
            .memory
            .map_or(0, |bytes| (bytes / 1_024).saturating_add(1));
        self.encoder.inference(place, memory, &row);
        Ok(())
    }

    /// The stored ids of an inference's names; those that cannot have one are written out.
    fn stored_names(&mut self, inference: &Inference<'_>, texts: &mut Texts) -> Result<Names> {
        let Texts {
            model,
            symbol,
            action,
            checkpoint,
            ..
        } = texts;
        Ok(Names {
            model: self.stored_name(NameKind::Model, inference.model, model)?,
            symbol: self.stored_name(NameKind::Symbol, inference.symbol, symbol)?,
            action: self.stored_name(NameKind::Action, inference.action, action)?,
            checkpoint: match inference.checkpoint {
                Some(id) => self.stored_name(NameKind::Checkpoint, id, checkpoint)?,
                None => 0,
            },
        })
    }

    fn stored_name(
        &mut self,
        kind: NameKind,
        text: &str,
        written: &mut Option<String>,
    ) -> Result<NameId> {
        let cached = self.names.with_thread(|names| names.find(kind, text));
        match cached.flatten().or_else(|| self.names.id(kind, text)) {
            Some(local) => self.stored(local),
            None => {
                *written = Some(text.to_owned());
                Ok(0)
            }
        }
    }

    fn stored_labels(&mut self, inference: &Inference<'_>, texts: &mut Texts) -> Result<NameId> {
        if inference.probabilities.is_empty() {
            return Ok(0);
        }
        let labels = inference.probabilities.iter().map(|(label, _)| *label);
        let cached = self
            .names
            .with_thread(|names| names.find_labels(labels.clone()));
        match cached
            .flatten()
            .or_else(|| self.names.labels_id(labels.clone()))
        {
            Some(local) => self.stored(local),
            None => {
                texts.labels = Some(labels.map(str::to_owned).collect());
                Ok(0)
            }
        }
    }

    /// The stored id of a name of this process; a new one is stored now.
    fn stored(&mut self, local: LocalName) -> Result<NameId> {
        let index = local as usize;
        if let Some(known) = self.stored.get(index).filter(|known| **known != 0) {
            return Ok(*known);
        }
        let Some((kind, text)) = self.names.text(local) else {
            return Ok(0);
        };
        let ids = self.hot.intern(None, &[(kind as u8, text)]);
        let id = ids
            .map_err(WriteFailure::into_error)?
            .first()
            .copied()
            .unwrap_or(0);
        if self.stored.len() <= index {
            self.stored.resize(index + 1, 0);
        }
        self.stored[index] = id;
        Ok(id)
    }
}

fn boxed(texts: Texts) -> Option<Box<Texts>> {
    (texts != Texts::default()).then(|| Box::new(texts))
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
